/// The map of a record: features are indexed by id, checked and copied, then given to the map's builder.
#include "dataset/womd_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MPH 0.44704        // m/s
#define MAX_MPH 1000.0     // anything above is no speed limit
#define MAX_COORDINATE 1e8 // m
#define MAX_WORK 50000000u // steps; a quarter of a second
#define MIN_LANE 1e-3      // m: a lane shorter than that is one point

// ---------------------------------------------------------------------------------------------------------------------
// Index

static int by_id(const void *a, const void *b) {
    const nm_womd_id *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->feature < y->feature ? -1 : x->feature > y->feature;
}

const nm_womd_id *nm_womd_find(const nm_womd_map *map, int64_t id, nm_womd_kind kind) {
    size_t low = 0, high = map->id_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->ids[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    const nm_womd_id *found = low < map->id_count ? &map->ids[low] : NULL;
    return found && found->id == id && found->kind == kind ? found : NULL;
}

nm_status nm_womd_check_work(const nm_womd_record *record, const nm_womd_map *map, uint32_t feature, nm_error *error) {
    if (map->work <= MAX_WORK) return NM_OK;
    return nm_womd_refuse(record, error, NM_E_LIMIT, NM_WOMD_MAP_FEATURES, feature,
                          "the boundaries and signs are too many and too long to be matched with the lanes");
}

/// Copies a polyline; refuses what is not a place on earth.
static nm_status copy_points(nm_womd_record *record, Womd__MapPoint *const *from, size_t count, uint32_t feature,
                             nm_womd_polyline *line, nm_error *error) {
    *line = (nm_womd_polyline){.points = NM_ARENA_ARRAY(record->arena, nm_point3, count), .count = count};
    if (!line->points) return nm_womd_no_memory(record, error);
    for (size_t i = 0; i < count; i++) {
        nm_point3 p = {from[i]->x, from[i]->y, from[i]->z};
        if (!(fabs(p.x) <= MAX_COORDINATE && fabs(p.y) <= MAX_COORDINATE && fabs(p.z) <= MAX_COORDINATE))
            return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_MAP_FEATURES, feature,
                                  "point %zu of map feature %lld is not a number or further than 1e8 m from 0", i,
                                  (long long)record->scenario->map_features[feature]->id);
        line->points[i] = p;
    }
    return NM_OK;
}

static nm_status read_lane(nm_womd_record *record, uint32_t feature, nm_womd_lane *lane, nm_error *error) {
    const Womd__MapFeature *from = record->scenario->map_features[feature];
    *lane = (nm_womd_lane){.source = from->lane, .id = from->id, .feature = feature};
    if (from->id < 0)
        return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_MAP_FEATURES, feature, "lane id %lld is negative",
                              (long long)from->id);
    if (!(from->lane->speed_limit_mph >= 0.0 && from->lane->speed_limit_mph <= MAX_MPH))
        return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_MAP_FEATURES, feature,
                              "lane %lld has a speed limit of %g mph", (long long)from->id,
                              from->lane->speed_limit_mph);
    nm_status status = copy_points(record, from->lane->polyline, from->lane->n_polyline, feature, &lane->line, error);
    if (status != NM_OK) return status;
    lane->along = NM_ARENA_ARRAY(record->arena, double, lane->line.count);
    if (!lane->along) return nm_womd_no_memory(record, error);
    double sum = 0.0;
    for (size_t i = 0; i < lane->line.count; i++) {
        const nm_point3 *p = &lane->line.points[i];
        if (i > 0) {
            double dx = p->x - p[-1].x, dy = p->y - p[-1].y;
            sum += sqrt(dx * dx + dy * dy);
        }
        lane->along[i] = sum;
    }
    lane->stop_s = sum;
    if (!nm_womd_add_boxes(record->arena, &lane->line) || !nm_womd_add_tangents(record->arena, lane))
        return nm_womd_no_memory(record, error);
    return NM_OK;
}

static nm_status read_line(nm_womd_record *record, uint32_t feature, nm_womd_line *line, nm_error *error) {
    static const nm_line_kind edges[] = {NM_LINE_EDGE_UNKNOWN, NM_LINE_EDGE_BOUNDARY, NM_LINE_EDGE_MEDIAN};
    const Womd__MapFeature *from = record->scenario->map_features[feature];
    *line = (nm_womd_line){.id = from->id, .feature = feature, .kind = NM_LINE_ROAD_LINE};
    Womd__MapPoint **points;
    size_t count;
    if (from->feature_data_case == WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_LINE) {
        nm_womd_line_style(from->road_line->type, &line->marking, &line->colour);
        points = from->road_line->polyline;
        count = from->road_line->n_polyline;
    } else {
        line->kind = edges[nm_womd_enum((int)from->road_edge->type, 3)];
        line->marking = NM_MARKING_CURB; // what it is to the lane beside it: not to be crossed
        points = from->road_edge->polyline;
        count = from->road_edge->n_polyline;
    }
    nm_status status = copy_points(record, points, count, feature, &line->line, error);
    if (status == NM_OK && !nm_womd_add_boxes(record->arena, &line->line)) status = nm_womd_no_memory(record, error);
    return status;
}

static int is_line(const Womd__MapFeature *feature) {
    return feature->feature_data_case == WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_LINE ||
           feature->feature_data_case == WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_EDGE;
}
static int is_lane(const Womd__MapFeature *feature) {
    return feature->feature_data_case == WOMD__MAP_FEATURE__FEATURE_DATA_LANE;
}

static nm_status allocate(nm_womd_record *record, nm_womd_map *map, nm_error *error) {
    const Womd__Scenario *scenario = record->scenario;
    size_t lanes = 0, lines = 0;
    if (scenario->n_map_features >= NM_NONE)
        return nm_womd_refuse(record, error, NM_E_LIMIT, NM_WOMD_RECORD, 0, "too many map features");
    for (size_t i = 0; i < scenario->n_map_features; i++) {
        lanes += (size_t)is_lane(scenario->map_features[i]);
        lines += (size_t)is_line(scenario->map_features[i]);
    }
    if (lanes > record->context->limits.max_lanes)
        return nm_womd_refuse(record, error, NM_E_LIMIT, NM_WOMD_RECORD, 0, "has %zu lanes, at most %u are read", lanes,
                              (unsigned)record->context->limits.max_lanes);
    map->lanes = NM_ARENA_ARRAY(record->arena, nm_womd_lane, lanes);
    map->lines = NM_ARENA_ARRAY(record->arena, nm_womd_line, lines);
    map->ids = NM_ARENA_ARRAY(record->arena, nm_womd_id, scenario->n_map_features);
    if (!map->lanes || !map->lines || !map->ids) return nm_womd_no_memory(record, error);
    return NM_OK;
}

/// Reads lanes and lines and sorts the ids of all features. A lane of one point (the map is cut there) is left out.
static nm_status index_features(nm_womd_record *record, nm_womd_map *map, nm_error *error) {
    const Womd__Scenario *scenario = record->scenario;
    nm_status status = allocate(record, map, error);
    for (uint32_t i = 0; i < scenario->n_map_features && status == NM_OK; i++) {
        const Womd__MapFeature *feature = scenario->map_features[i];
        nm_womd_id entry = {.id = feature->id, .feature = i, .kind = NM_WOMD_OTHER};
        if (is_lane(feature)) {
            nm_womd_lane *lane = &map->lanes[map->lane_count];
            status = read_lane(record, i, lane, error);
            if (status != NM_OK) break;
            if (lane->stop_s < MIN_LANE)
                record->notes[NM_WOMD_ONE_POINT_LANE]++;
            else
                entry = (nm_womd_id){feature->id, i, NM_WOMD_LANE, map->lane_count++};
        } else if (is_line(feature)) {
            status = read_line(record, i, &map->lines[map->line_count], error);
            entry = (nm_womd_id){feature->id, i, NM_WOMD_LINE, map->line_count++};
        }
        if (feature->has_id || is_lane(feature)) map->ids[map->id_count++] = entry;
    }
    if (status != NM_OK) return status;
    qsort(map->ids, map->id_count, sizeof *map->ids, by_id);
    for (size_t i = 1; i < map->id_count; i++) {
        if (map->ids[i].id == map->ids[i - 1].id)
            return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_MAP_FEATURES, map->ids[i].feature,
                                  "map feature id %lld is used twice", (long long)map->ids[i].id);
    }
    return NM_OK;
}

/// Copies the ids of lanes that are there; the map is cut at its border, so references may lead out of it.
static nm_status keep_references(nm_womd_record *record, const nm_womd_map *map, const int64_t *ids, size_t count,
                                 int64_t **kept, size_t *kept_count, nm_error *error) {
    *kept = NM_ARENA_ARRAY(record->arena, int64_t, count);
    *kept_count = 0;
    if (!*kept) return nm_womd_no_memory(record, error);
    for (size_t i = 0; i < count; i++) {
        if (nm_womd_find(map, ids[i], NM_WOMD_LANE))
            (*kept)[(*kept_count)++] = ids[i];
        else
            record->notes[NM_WOMD_DANGLING_REFERENCE]++;
    }
    return NM_OK;
}

static nm_status link_lanes(nm_womd_record *record, nm_womd_map *map, nm_error *error) {
    nm_status status = NM_OK;
    for (size_t i = 0; i < map->lane_count && status == NM_OK; i++) {
        nm_womd_lane *lane = &map->lanes[i];
        const Womd__LaneCenter *source = lane->source;
        status = keep_references(record, map, source->entry_lanes, source->n_entry_lanes, &lane->entries,
                                 &lane->entry_count, error);
        if (status == NM_OK)
            status = keep_references(record, map, source->exit_lanes, source->n_exit_lanes, &lane->exits,
                                     &lane->exit_count, error);
    }
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Into the builder

static int range_in(const nm_womd_lane *lane, int64_t start, int64_t end) {
    return start >= 0 && end > start && (uint64_t)end < lane->line.count && lane->along[end] > lane->along[start];
}

/// Neighbours with their index ranges as metres. A range of one point holds no lane change and is dropped.
static nm_status read_neighbours(nm_womd_record *record, const nm_womd_map *map, const nm_womd_lane *lane,
                                 Womd__LaneNeighbor *const *from, size_t count, nm_neighbour_def **out, size_t *kept,
                                 nm_error *error) {
    *out = NM_ARENA_ARRAY(record->arena, nm_neighbour_def, count);
    *kept = 0;
    if (!*out) return nm_womd_no_memory(record, error);
    for (size_t i = 0; i < count; i++) {
        const Womd__LaneNeighbor *n = from[i];
        const nm_womd_id *found = nm_womd_find(map, n->feature_id, NM_WOMD_LANE);
        if (!found) {
            record->notes[NM_WOMD_DANGLING_REFERENCE]++;
            continue;
        }
        const nm_womd_lane *other = &map->lanes[found->index];
        if (!range_in(lane, n->self_start_index, n->self_end_index) ||
            !range_in(other, n->neighbor_start_index, n->neighbor_end_index)) {
            record->notes[NM_WOMD_BAD_RANGE]++;
            continue;
        }
        (*out)[(*kept)++] = (nm_neighbour_def){.lane = n->feature_id,
                                               .self_start = lane->along[n->self_start_index],
                                               .self_end = lane->along[n->self_end_index],
                                               .other_start = other->along[n->neighbor_start_index],
                                               .other_end = other->along[n->neighbor_end_index]};
    }
    return NM_OK;
}

/// Two points across the lane, the left one first.
static void stop_line_at(const nm_womd_lane *lane, double s, nm_point3 line[2]) {
    size_t i = 0;
    while (i + 2 < lane->line.count && lane->along[i + 1] < s) i++;
    const nm_point3 *a = &lane->line.points[i], *b = a + 1;
    double length = lane->along[i + 1] - lane->along[i], half = 1.75;
    double k = length > 0.0 ? (s - lane->along[i]) / length : 0.0;
    nm_womd_direction t = lane->tangents[i];
    nm_point3 c = {a->x + k * (b->x - a->x), a->y + k * (b->y - a->y), a->z + k * (b->z - a->z)};
    line[0] = (nm_point3){c.x - half * t.y, c.y + half * t.x, c.z};
    line[1] = (nm_point3){c.x + half * t.y, c.y - half * t.x, c.z};
}

static nm_status add_lane(nm_womd_record *record, nm_womd_map *map, const nm_womd_lane *lane, nm_error *error) {
    static const nm_lane_type types[] = {NM_LANE_UNKNOWN, NM_LANE_FREEWAY, NM_LANE_STREET, NM_LANE_BIKE};
    const Womd__LaneCenter *source = lane->source;
    nm_arena_mark mark = nm_arena_get_mark(record->arena);
    float *widths[2];
    nm_neighbour_def *neighbours[2];
    size_t neighbour_counts[2];
    nm_status status = NM_OK;
    for (int left = 0; left < 2 && status == NM_OK; left++) {
        widths[left] = NM_ARENA_ARRAY(record->arena, float, lane->line.count);
        if (!widths[left]) return nm_womd_no_memory(record, error);
        status = nm_womd_widths(record, map, lane, left, widths[left], error);
        if (status == NM_OK)
            status = read_neighbours(record, map, lane, left ? source->left_neighbors : source->right_neighbors,
                                     left ? source->n_left_neighbors : source->n_right_neighbors, &neighbours[left],
                                     &neighbour_counts[left], error);
    }
    if (status != NM_OK) return status;
    nm_point3 stop_line[2];
    nm_lane_def def = nm_lane_def_default();
    def.id = lane->id;
    def.centre = lane->line.points;
    def.point_count = lane->line.count;
    def.left_width = widths[1];
    def.right_width = widths[0];
    def.speed_limit = source->speed_limit_mph * MPH;
    def.type = types[nm_womd_enum((int)source->type, 4)];
    def.turn = lane->turn;
    def.control = lane->control;
    def.flags = source->interpolating ? NM_LANE_JUNCTION : 0;
    nm_womd_side_marking(map, lane, 1, &def.left_marking, &def.left_colour);
    nm_womd_side_marking(map, lane, 0, &def.right_marking, &def.right_colour);
    def.predecessors = lane->entries;
    def.predecessor_count = lane->entry_count;
    def.successors = lane->exits;
    def.successor_count = lane->exit_count;
    def.left_neighbours = neighbours[1];
    def.left_neighbour_count = neighbour_counts[1];
    def.right_neighbours = neighbours[0];
    def.right_neighbour_count = neighbour_counts[0];
    if (lane->stop_s < lane->along[lane->line.count - 1]) {
        stop_line_at(lane, lane->stop_s, stop_line);
        def.stop_line = stop_line;
    }
    def.has_stop_line = def.stop_line != NULL || lane->control == NM_CONTROL_SIGNAL;
    status = nm_map_builder_add_lane(record->context->map_builder, &def, error);
    nm_arena_release(record->arena, mark);
    if (status != NM_OK) return nm_womd_place(record, error, status, NM_WOMD_MAP_FEATURES, lane->feature);
    return NM_OK;
}

static nm_status add_line(nm_womd_record *record, const nm_womd_line *line, nm_error *error) {
    if (line->line.count < 2) {
        record->notes[NM_WOMD_DEGENERATE_FEATURE]++;
        return NM_OK;
    }
    nm_marking marking = line->kind == NM_LINE_ROAD_LINE ? line->marking : NM_MARKING_UNKNOWN;
    nm_status status = nm_map_builder_add_line(record->context->map_builder, line->id, line->kind, marking,
                                               line->colour, line->line.points, line->line.count, error);
    return status == NM_OK ? NM_OK : nm_womd_place(record, error, status, NM_WOMD_MAP_FEATURES, line->feature);
}

static nm_status add_area(nm_womd_record *record, uint32_t feature, nm_area_kind kind, Womd__MapPoint *const *polygon,
                          size_t count, nm_error *error) {
    nm_womd_polyline line;
    nm_status status = copy_points(record, polygon, count, feature, &line, error);
    if (status != NM_OK) return status;
    if (count < 3) {
        record->notes[NM_WOMD_DEGENERATE_FEATURE]++;
        return NM_OK;
    }
    status = nm_map_builder_add_area(record->context->map_builder, record->scenario->map_features[feature]->id, kind,
                                     line.points, line.count, error);
    return status == NM_OK ? NM_OK : nm_womd_place(record, error, status, NM_WOMD_MAP_FEATURES, feature);
}

/// Everything that is neither lane nor line.
static nm_status add_other(nm_womd_record *record, nm_womd_map *map, uint32_t i, nm_error *error) {
    const Womd__MapFeature *f = record->scenario->map_features[i];
    switch (f->feature_data_case) {
    case WOMD__MAP_FEATURE__FEATURE_DATA_LANE:
    case WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_LINE:
    case WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_EDGE:
        return NM_OK;
    case WOMD__MAP_FEATURE__FEATURE_DATA_STOP_SIGN:
        return nm_womd_add_stop_sign(record, map, i, error);
    case WOMD__MAP_FEATURE__FEATURE_DATA_CROSSWALK:
        return add_area(record, i, NM_AREA_CROSSWALK, f->crosswalk->polygon, f->crosswalk->n_polygon, error);
    case WOMD__MAP_FEATURE__FEATURE_DATA_SPEED_BUMP:
        return add_area(record, i, NM_AREA_SPEED_BUMP, f->speed_bump->polygon, f->speed_bump->n_polygon, error);
    case WOMD__MAP_FEATURE__FEATURE_DATA_DRIVEWAY:
        return add_area(record, i, NM_AREA_DRIVEWAY, f->driveway->polygon, f->driveway->n_polygon, error);
    default:
        record->notes[NM_WOMD_UNKNOWN_FEATURE]++;
        return NM_OK;
    }
}

/// Without lanes the builder has nothing to put the origin to: take the first valid state, or floats lose millimetres.
static void place_origin(const nm_womd_record *record) {
    const Womd__Scenario *scenario = record->scenario;
    for (size_t i = 0; i < scenario->n_tracks; i++) {
        for (size_t t = 0; t < scenario->tracks[i]->n_states; t++) {
            const Womd__ObjectState *s = scenario->tracks[i]->states[t];
            if (!s->valid || !(fabs(s->center_x) <= MAX_COORDINATE && fabs(s->center_y) <= MAX_COORDINATE)) continue;
            nm_point3 origin = {nearbyint(s->center_x), nearbyint(s->center_y), 0.0};
            nm_map_builder_set_origin(record->context->map_builder, origin);
            return;
        }
    }
}

nm_status nm_womd_build_map(nm_womd_record *record, nm_womd_map *work, const nm_map **map, nm_error *error) {
    nm_map_builder *builder = record->context->map_builder;
    nm_map_builder_reset(builder);
    *map = NULL;
    nm_status status = index_features(record, work, error);
    if (status == NM_OK) status = link_lanes(record, work, error);
    if (status == NM_OK) status = nm_womd_find_controls(record, work, error);
    for (size_t i = 0; i < work->lane_count && status == NM_OK; i++)
        status = add_lane(record, work, &work->lanes[i], error);
    for (size_t i = 0; i < work->line_count && status == NM_OK; i++) status = add_line(record, &work->lines[i], error);
    for (uint32_t i = 0; i < record->scenario->n_map_features && status == NM_OK; i++)
        status = add_other(record, work, i, error);
    if (status == NM_OK) status = nm_womd_add_signals(record, work, error);
    if (status != NM_OK) return status;
    if (work->lane_count == 0) place_origin(record);
    status = nm_map_builder_build(builder, map, error);
    return status == NM_OK ? NM_OK : nm_womd_place(record, error, status, NM_WOMD_RECORD, 0);
}
