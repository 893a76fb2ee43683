/// From the collected parts to a map: resolves ids, completes the lane graph, moves everything into one block.
#include "sim/map_builder.h"

#include <math.h>

#include "sim/geometry.h"

#define MAX_EXTENT 1e6 // m from the origin: a float still resolves 6 cm there

/// Working state of one build.
typedef struct build {
    nm_map_builder *in;
    nm_map shape; // counts
    nm_map_object *object;
    nm_map *map; // of the object
    uint32_t ref_count, signal_ref_count, neighbour_count;
    uint32_t *successor_start; // [lanes + 1] into targets
    uint32_t *targets;         // successors of all lanes
    nm_error *error;
} build;

static nm_status no_memory(build *b) {
    return NM_ERROR(b->error, NM_E_MEMORY, "out of memory for the map");
}

static const nm_raw_lane *raw_lane(const build *b, uint32_t lane) {
    return &NM_AT(b->in->lanes, nm_raw_lane, lane);
}

static uint32_t resolve(const build *b, int64_t id) {
    return nm_id_table_find(&b->in->lane_ids, id);
}

static nm_status dangling(build *b, int64_t line, const char *what, int64_t id, const char *relation, int64_t to) {
    return NM_ERROR_AT(b->error, NM_E_FORMAT, NULL, line, -1, "%s %lld names %s %lld, which does not exist", what,
                       (long long)id, relation, (long long)to);
}

// ---------------------------------------------------------------------------------------------------------------------
// The successor graph: the union of what successors and predecessors say.
//
// An edge is packed as target << 2 | said by (1 = the successor list of its start, 2 = the predecessor list of its
// end). Edges are bucketed by start lane and sorted within the bucket: linear but for lanes with very many successors.

static int compare_edges(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void sort_edges(uint32_t *edges, uint32_t count) {
    if (count > 32) {
        qsort(edges, count, sizeof *edges, compare_edges);
        return;
    }
    for (uint32_t i = 1; i < count; i++) {
        uint32_t edge = edges[i], at = i;
        for (; at > 0 && edges[at - 1] > edge; at--) edges[at] = edges[at - 1];
        edges[at] = edge;
    }
}

/// Calls for every reference between lanes: pass 0 counts edges by start, pass 1 places them. Reports what is dangling.
static nm_status visit_references(build *b, int pass, uint32_t *starts, uint32_t *edges) {
    nm_map_builder *in = b->in;
    for (uint32_t lane = 0; lane < in->lanes.count; lane++) {
        const nm_raw_lane *raw = raw_lane(b, lane);
        for (int backward = 0; backward < 2; backward++) {
            nm_range range = backward ? raw->predecessors : raw->successors;
            for (uint32_t k = range.first; k < range.first + range.count; k++) {
                int64_t id = NM_AT(in->refs, int64_t, k);
                uint32_t other = resolve(b, id);
                if (other == NM_NONE) {
                    return dangling(b, raw->line, "lane", raw->id, backward ? "predecessor" : "successor", id);
                }
                if (other == lane) {
                    in->repairs[NM_REPAIR_SELF_REFERENCE] += pass == 0;
                    continue;
                }
                uint32_t start = backward ? other : lane, target = backward ? lane : other;
                if (pass == 0)
                    starts[start + 1]++;
                else
                    edges[starts[start]++] = target << 2 | (backward ? 2u : 1u);
            }
        }
    }
    return NM_OK;
}

/// Merges equal targets of one bucket; returns how many are left, as plain targets.
static uint32_t merge_edges(build *b, uint32_t *edges, uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count;) {
        uint32_t target = edges[i] >> 2, said = 0;
        for (; i < count && edges[i] >> 2 == target; i++) said |= edges[i] & 3u;
        b->in->repairs[NM_REPAIR_ONE_WAY_REFERENCE] += said != 3u;
        edges[kept++] = target;
    }
    return kept;
}

static nm_status make_graph(build *b) {
    nm_map_builder *in = b->in;
    size_t lanes = in->lanes.count;
    in->starts.count = in->edges.count = 0;
    uint32_t *starts = NM_PUSH(&in->starts, uint32_t, lanes + 2);
    uint32_t *edges = NM_PUSH(&in->edges, uint32_t, in->refs.count);
    if (!starts || !edges) return no_memory(b);
    memset(starts, 0, (lanes + 2) * sizeof *starts);
    // counts land one slot late, so that after placing, starts[i] is the end of bucket i - 1 = the start of bucket i
    nm_status status = visit_references(b, 0, starts + 1, NULL);
    if (status != NM_OK) return status;
    for (size_t i = 0; i < lanes; i++) starts[i + 2] += starts[i + 1];
    status = visit_references(b, 1, starts + 1, edges);
    if (status != NM_OK) return status;
    uint32_t kept = 0;
    for (size_t i = 0; i < lanes; i++) {
        uint32_t first = starts[i], count = starts[i + 1] - first;
        sort_edges(edges + first, count);
        count = merge_edges(b, edges + first, count);
        memmove(edges + kept, edges + first, count * sizeof *edges);
        starts[i] = kept;
        kept += count;
    }
    starts[lanes] = kept;
    b->successor_start = starts;
    b->targets = edges;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Moving the parts over

static nm_vec2 local(const build *b, double x, double y) {
    return (nm_vec2){(float)(x - b->map->origin.x), (float)(y - b->map->origin.y)};
}

static void place_origin(build *b) {
    nm_map_builder *in = b->in;
    if (in->has_origin) {
        b->shape.origin = in->origin;
    } else if (in->points.count) {
        b->shape.origin = (nm_point3){floor(0.5 * (in->lo_x + in->hi_x) + 0.5),
                                      floor(0.5 * (in->lo_y + in->hi_y) + 0.5), floor(in->lo_z + 0.5)};
    }
}

static nm_status move_points(build *b) {
    nm_map *map = b->map;
    nm_vec2 *centre = NM_MUTABLE(nm_vec2, map->centre);
    nm_vec2 *left = NM_MUTABLE(nm_vec2, map->left);
    nm_vec2 *right = NM_MUTABLE(nm_vec2, map->right);
    float *z = NM_MUTABLE(float, map->z);
    const nm_raw_point *points = b->in->points.data;
    float far = 0.0f;
    for (uint32_t i = 0; i < map->point_count; i++) {
        const nm_raw_point *p = &points[i];
        centre[i] = local(b, p->cx, p->cy);
        left[i] = local(b, p->lx, p->ly);
        right[i] = local(b, p->rx, p->ry);
        z[i] = (float)(p->z - map->origin.z);
        far = nm_maxf(far, nm_maxf(fabsf(left[i].x), fabsf(left[i].y)));
        far = nm_maxf(far, nm_maxf(fabsf(right[i].x), fabsf(right[i].y)));
    }
    if (far <= (float)MAX_EXTENT) return NM_OK;
    return NM_ERROR(b->error, NM_E_FORMAT, "the lanes reach %g m from the map's origin; at most %g m are supported",
                    (double)far, MAX_EXTENT);
}

static nm_status move_loose_points(build *b, const nm_pile *pile, const nm_vec2 *to, const char *what) {
    nm_vec2 *out = NM_MUTABLE(nm_vec2, to);
    for (size_t i = 0; i < pile->count; i++) {
        const nm_point3 *p = &NM_AT(*pile, nm_point3, i);
        out[i] = local(b, p->x, p->y);
        if (fabsf(out[i].x) <= (float)MAX_EXTENT && fabsf(out[i].y) <= (float)MAX_EXTENT) continue;
        return NM_ERROR(b->error, NM_E_FORMAT, "a point of %s lies more than %g m from the map's origin", what,
                        MAX_EXTENT);
    }
    return NM_OK;
}

static nm_status place(build *b, const nm_point3 *point, const char *what, int64_t id, int64_t line, nm_vec2 *out) {
    *out = local(b, point->x, point->y);
    if (fabsf(out->x) <= (float)MAX_EXTENT && fabsf(out->y) <= (float)MAX_EXTENT) return NM_OK;
    return NM_ERROR_AT(b->error, NM_E_FORMAT, NULL, line, -1, "%s %lld lies more than %g m from the map's origin", what,
                       (long long)id, MAX_EXTENT);
}

/// May one go over the border between the lanes? `mine` is the marking on this lane's side, `theirs` the other lane's
/// for the same border (used where the source is silent on this side).
static int may_cross(nm_marking mine, nm_marking theirs, int to_left, int opposite) {
    nm_marking marking = mine != NM_MARKING_UNKNOWN || opposite ? mine : theirs;
    switch (marking) {
    case NM_MARKING_UNKNOWN:
        return !opposite; // silence: allowed among lanes of one direction only
    case NM_MARKING_SOLID:
    case NM_MARKING_DOUBLE_SOLID:
    case NM_MARKING_BROAD_SOLID:
    case NM_MARKING_CURB:
        return 0;
    case NM_MARKING_SOLID_DASHED: // the right line of the pair is dashed: near side for a change to the left
        return to_left;
    case NM_MARKING_DASHED_SOLID:
        return !to_left;
    default:
        return 1;
    }
}

static void set_stretch(double start, double end, float length, int reverse, float *out_start, float *out_end) {
    float a = start > 0.0 ? (float)start : 0.0f, z = end > 0.0 ? (float)end : 0.0f;
    int whole = reverse ? start == end : end <= start;
    a = whole ? 0.0f : nm_minf(a, length);
    z = whole ? length : nm_minf(z, length);
    if (reverse && (whole || a < z)) {
        *out_start = z;
        *out_end = a;
    } else {
        *out_start = a;
        *out_end = z;
    }
}

static nm_status move_neighbours(build *b, uint32_t lane, nm_range range, int to_left, nm_range *out) {
    nm_neighbour *neighbours = NM_MUTABLE(nm_neighbour, b->map->neighbours);
    const nm_raw_lane *raw = raw_lane(b, lane);
    out->first = b->neighbour_count;
    for (uint32_t k = range.first; k < range.first + range.count; k++) {
        const nm_neighbour_def *def = &NM_AT(b->in->neighbours, nm_neighbour_def, k);
        uint32_t other = resolve(b, def->lane);
        if (other == NM_NONE) return dangling(b, raw->line, "lane", raw->id, "neighbour", def->lane);
        if (!(fabs(def->self_start) < MAX_EXTENT && fabs(def->self_end) < 1e9 && fabs(def->other_start) < 1e9 &&
              fabs(def->other_end) < 1e9)) {
            return NM_ERROR_AT(b->error, NM_E_FORMAT, NULL, raw->line, -1,
                               "lane %lld: the stretch beside lane %lld makes no sense", (long long)raw->id,
                               (long long)def->lane);
        }
        if (other == lane) {
            b->in->repairs[NM_REPAIR_SELF_REFERENCE]++;
            continue;
        }
        const nm_raw_lane *theirs = raw_lane(b, other);
        nm_neighbour *n = &neighbours[b->neighbour_count++];
        n->lane = other;
        n->opposite = def->opposite != 0;
        set_stretch(def->self_start, def->self_end, b->map->lanes[lane].length, 0, &n->self_start, &n->self_end);
        set_stretch(def->other_start, def->other_end, b->map->lanes[other].length, n->opposite, &n->other_start,
                    &n->other_end);
        nm_marking near = (nm_marking)(to_left ? raw->left_marking : raw->right_marking);
        nm_marking far = (nm_marking)(to_left ? theirs->right_marking : theirs->left_marking);
        int kinds =
            nm_lane_type_drivable((nm_lane_type)theirs->type) || !nm_lane_type_drivable((nm_lane_type)raw->type);
        n->may_change = (uint8_t)(kinds && may_cross(near, far, to_left, n->opposite));
    }
    out->count = b->neighbour_count - out->first;
    return NM_OK;
}

static nm_status move_lane_graph(build *b) {
    nm_lane *lanes = NM_MUTABLE(nm_lane, b->map->lanes);
    uint32_t *refs = NM_MUTABLE(uint32_t, b->map->lane_refs);
    uint32_t lane_count = b->map->lane_count;
    uint32_t edges = b->successor_start[lane_count];
    if (edges) memcpy(refs, b->targets, edges * sizeof *refs);
    for (uint32_t i = 0; i < lane_count; i++) {
        uint32_t first = b->successor_start[i];
        lanes[i].successors = (nm_range){first, b->successor_start[i + 1] - first};
        for (uint32_t k = first; k < b->successor_start[i + 1]; k++) lanes[b->targets[k]].predecessors.count++;
    }
    b->ref_count = edges;
    for (uint32_t i = 0; i < lane_count; i++) {
        lanes[i].predecessors.first = b->ref_count;
        b->ref_count += lanes[i].predecessors.count;
        lanes[i].predecessors.count = 0;
    }
    for (uint32_t i = 0; i < lane_count; i++) { // ascending starts: predecessor lists come out sorted
        for (uint32_t k = b->successor_start[i]; k < b->successor_start[i + 1]; k++) {
            nm_range *range = &lanes[b->targets[k]].predecessors;
            refs[range->first + range->count++] = i;
        }
    }
    return NM_OK;
}

static nm_status move_lanes(build *b) {
    nm_map_builder *in = b->in;
    nm_lane *lanes = NM_MUTABLE(nm_lane, b->map->lanes);
    for (uint32_t i = 0; i < b->map->lane_count; i++) {
        const nm_raw_lane *raw = raw_lane(b, i);
        nm_lane *lane = &lanes[i];
        lane->source_id = raw->id;
        lane->points = raw->points;
        lane->speed_limit = (float)raw->speed_limit;
        lane->type = raw->type;
        lane->control = raw->control;
        lane->flags = raw->flags;
        lane->left_marking = raw->left_marking;
        lane->right_marking = raw->right_marking;
        lane->left_colour = raw->left_colour;
        lane->right_colour = raw->right_colour;
        lane->stop_line = NM_NONE;
        lane->junction = NM_NONE;
        lane->turn = raw->turn != NM_TURN_UNKNOWN
                         ? raw->turn
                         : (uint8_t)nm_map_classify_turn(b->map->centre + raw->points.first, raw->points.count);
        if (raw->junction >= 0) {
            uint32_t group = nm_id_table_add(&in->junction_ids, raw->junction, (uint32_t)in->junction_ids.count);
            if (group == NM_NONE) return no_memory(b);
            lane->junction = group;
            lane->flags |= NM_LANE_JUNCTION;
        }
        b->object->source_flags[i] = lane->flags;
        b->object->source_junction[i] = lane->junction;
    }
    for (int t = 0; t < NM_LANE_TYPE_COUNT; t++) b->object->default_speed[t] = (float)in->default_speed[t];
    b->map->junction_count = b->object->source_junction_count = (uint32_t)in->junction_ids.count;
    uint32_t bad = nm_map_measure(b->object);
    if (bad != NM_NONE) {
        return NM_ERROR_AT(b->error, NM_E_FORMAT, NULL, raw_lane(b, bad)->line, -1,
                           "lane %lld: its centreline has no length", (long long)raw_lane(b, bad)->id);
    }
    for (uint32_t i = 0; i < b->map->lane_count; i++) {
        nm_status status = move_neighbours(b, i, raw_lane(b, i)->left, 1, &lanes[i].left);
        if (status == NM_OK) status = move_neighbours(b, i, raw_lane(b, i)->right, 0, &lanes[i].right);
        if (status != NM_OK) return status;
        lanes[i].stop_s = lanes[i].length;
    }
    b->map->neighbour_count = b->neighbour_count;
    return NM_OK;
}

static nm_status move_stop_lines(build *b) {
    nm_lane *lanes = NM_MUTABLE(nm_lane, b->map->lanes);
    nm_stop_line *lines = NM_MUTABLE(nm_stop_line, b->map->stop_lines);
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->map->lane_count; i++) {
        const nm_raw_lane *raw = raw_lane(b, i);
        if (!raw->stop) continue;
        nm_stop_line *line = &lines[count];
        line->lane = i;
        if (raw->stop == 1) {
            uint32_t last = lanes[i].points.first + lanes[i].points.count - 1;
            line->a = b->map->left[last];
            line->b = b->map->right[last];
            line->s = lanes[i].length;
        } else {
            nm_status status = place(b, &raw->stop_a, "the stop line of lane", raw->id, raw->line, &line->a);
            if (status == NM_OK) status = place(b, &raw->stop_b, "the stop line of lane", raw->id, raw->line, &line->b);
            if (status != NM_OK) return status;
            nm_vec2 middle = nm_lerp(line->a, line->b, 0.5f);
            nm_frenet at = nm_map_project(b->map, i, middle.x, middle.y);
            float s, c;
            nm_sincosf(at.heading, &s, &c);
            line->s = at.s;
            if (nm_cross((nm_vec2){c, s}, nm_sub(line->a, line->b)) < 0.0f) {
                nm_vec2 swap = line->a;
                line->a = line->b;
                line->b = swap;
            }
        }
        lanes[i].stop_line = count++;
        lanes[i].stop_s = line->s;
    }
    return NM_OK;
}

/// Copies the lanes a sign or signal names behind the lane references, dropping repeats that follow each other.
static nm_status move_lane_list(build *b, const char *what, int64_t id, int64_t line, nm_range range, nm_range *out) {
    uint32_t *refs = NM_MUTABLE(uint32_t, b->map->lane_refs);
    out->first = b->ref_count;
    for (uint32_t k = range.first; k < range.first + range.count; k++) {
        int64_t lane_id = NM_AT(b->in->refs, int64_t, k);
        uint32_t lane = resolve(b, lane_id);
        if (lane == NM_NONE) return dangling(b, line, what, id, "lane", lane_id);
        if (b->ref_count > out->first && refs[b->ref_count - 1] == lane) continue;
        refs[b->ref_count++] = lane;
    }
    out->count = b->ref_count - out->first;
    return NM_OK;
}

static nm_status move_signs(build *b) {
    nm_sign *signs = NM_MUTABLE(nm_sign, b->map->signs);
    for (uint32_t i = 0; i < b->map->sign_count; i++) {
        const nm_raw_sign *raw = &NM_AT(b->in->signs, nm_raw_sign, i);
        signs[i] = raw->sign;
        nm_status status = NM_OK;
        if (raw->sign.placed) {
            status = place(b, &raw->position, "sign", raw->sign.source_id, raw->line, &signs[i].position);
        }
        if (status == NM_OK) {
            status = move_lane_list(b, "sign", raw->sign.source_id, raw->line, raw->lanes, &signs[i].lanes);
        }
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

static nm_status move_signals(build *b) {
    nm_signal *signals = NM_MUTABLE(nm_signal, b->map->signals);
    nm_lane *lanes = NM_MUTABLE(nm_lane, b->map->lanes);
    for (uint32_t i = 0; i < b->map->signal_count; i++) {
        const nm_raw_signal *raw = &NM_AT(b->in->signals, nm_raw_signal, i);
        nm_signal *signal = &signals[i];
        signal->source_id = raw->id;
        signal->placed = raw->placed;
        signal->turn = raw->turn;
        signal->phase_offset = raw->phase_offset;
        signal->cycle_dt = (float)raw->cycle_dt;
        signal->phases = raw->phases;
        nm_status status = NM_OK;
        if (raw->placed) status = place(b, &raw->position, "signal", raw->id, raw->line, &signal->position);
        if (status == NM_OK) status = move_lane_list(b, "signal", raw->id, raw->line, raw->lanes, &signal->lanes);
        if (status != NM_OK) return status;
        for (uint32_t k = 0; k < signal->lanes.count; k++) {
            nm_lane *lane = &lanes[b->map->lane_refs[signal->lanes.first + k]];
            lane->signals.count++;
            lane->control = NM_CONTROL_SIGNAL;
        }
    }
    if (b->map->phase_count) {
        memcpy(NM_MUTABLE(nm_phase, b->map->phases), b->in->phases.data, b->map->phase_count * sizeof(nm_phase));
    }
    return NM_OK;
}

/// The other direction: which signals rule each lane. Then where to stop for them when there is no line: beside the
/// signal's own position if that lies on the lane (WOMD gives the stop point there).
static void link_signals(build *b) {
    nm_lane *lanes = NM_MUTABLE(nm_lane, b->map->lanes);
    uint32_t *refs = NM_MUTABLE(uint32_t, b->map->signal_refs);
    uint32_t at = 0;
    for (uint32_t i = 0; i < b->map->lane_count; i++) {
        lanes[i].signals.first = at;
        at += lanes[i].signals.count;
        lanes[i].signals.count = 0;
    }
    for (uint32_t i = 0; i < b->map->signal_count; i++) {
        const nm_signal *signal = &b->map->signals[i];
        for (uint32_t k = 0; k < signal->lanes.count; k++) {
            uint32_t index = b->map->lane_refs[signal->lanes.first + k];
            nm_lane *lane = &lanes[index];
            refs[lane->signals.first + lane->signals.count++] = i;
            if (lane->stop_line != NM_NONE || !signal->placed) continue;
            nm_frenet place_on = nm_map_project(b->map, index, signal->position.x, signal->position.y);
            if (place_on.beyond == 0.0f && place_on.d < place_on.left && -place_on.d < place_on.right) {
                lane->stop_s = place_on.s;
            }
        }
    }
}

/// Heights of the lines; none where the source is flat.
static int lines_have_heights(const build *b) {
    int any = 0;
    for (size_t i = 0; i < b->in->line_points.count; i++) {
        any |= (float)(NM_AT(b->in->line_points, nm_point3, i).z - b->shape.origin.z) != 0.0f;
    }
    return any;
}

static nm_status move_rest(build *b) {
    nm_map_builder *in = b->in;
    if (in->lines.count) {
        memcpy(NM_MUTABLE(nm_line, b->map->lines), in->lines.data, in->lines.count * sizeof(nm_line));
    }
    if (in->areas.count) {
        memcpy(NM_MUTABLE(nm_area, b->map->areas), in->areas.data, in->areas.count * sizeof(nm_area));
    }
    nm_status status = move_loose_points(b, &in->line_points, b->map->line_points, "a line");
    if (status == NM_OK) status = move_loose_points(b, &in->area_points, b->map->area_points, "an area");
    float *z = NM_MUTABLE(float, b->map->line_z);
    for (size_t i = 0; i < b->map->line_z_count; i++) {
        z[i] = (float)(NM_AT(in->line_points, nm_point3, i).z - b->map->origin.z);
    }
    return status;
}

static void count_parts(build *b) {
    nm_map_builder *in = b->in;
    uint32_t stops = 0, refs = 2 * b->successor_start[in->lanes.count], signal_refs = 0;
    for (size_t i = 0; i < in->lanes.count; i++) stops += raw_lane(b, (uint32_t)i)->stop != 0;
    for (size_t i = 0; i < in->signs.count; i++) refs += NM_AT(in->signs, nm_raw_sign, i).lanes.count;
    for (size_t i = 0; i < in->signals.count; i++) signal_refs += NM_AT(in->signals, nm_raw_signal, i).lanes.count;
    b->shape.lane_count = (uint32_t)in->lanes.count;
    b->shape.point_count = (uint32_t)in->points.count;
    b->shape.lane_ref_count = refs + signal_refs;
    b->shape.neighbour_count = (uint32_t)in->neighbours.count;
    b->shape.line_count = (uint32_t)in->lines.count;
    b->shape.line_point_count = (uint32_t)in->line_points.count;
    b->shape.line_z_count = lines_have_heights(b) ? b->shape.line_point_count : 0;
    b->shape.area_count = (uint32_t)in->areas.count;
    b->shape.area_point_count = (uint32_t)in->area_points.count;
    b->shape.stop_line_count = stops;
    b->shape.sign_count = (uint32_t)in->signs.count;
    b->shape.signal_count = (uint32_t)in->signals.count;
    b->shape.signal_ref_count = signal_refs;
    b->shape.phase_count = (uint32_t)in->phases.count;
}

nm_status nm_map_builder_build(nm_map_builder *builder, const nm_map **map, nm_error *error) {
    *map = NULL;
    build b = {.in = builder, .error = error};
    if (builder->lanes.count > NM_NONE / 8) {
        return NM_ERROR(error, NM_E_LIMIT, "too many lanes");
    }
    uint32_t repairs[NM_REPAIR_COUNT]; // those of the parts: a second build counts its own again
    memcpy(repairs, builder->repairs, sizeof repairs);
    nm_id_table_reset(&builder->junction_ids);
    place_origin(&b);
    nm_status status = make_graph(&b);
    if (status != NM_OK) goto restore;
    count_parts(&b);
    b.object = nm_map_allocate(&b.shape);
    if (!b.object) {
        status = no_memory(&b);
        goto restore;
    }
    b.map = &b.object->map;
    nm_status (*const stages[])(build *) = {move_points,     move_rest,  move_lanes,  move_lane_graph,
                                            move_stop_lines, move_signs, move_signals};
    for (size_t i = 0; status == NM_OK && i < sizeof stages / sizeof *stages; i++) status = stages[i](&b);
    if (status == NM_OK) {
        b.map->lane_ref_count = b.ref_count;
        link_signals(&b);
        b.map->signal_ref_count = 0;
        for (uint32_t i = 0; i < b.map->lane_count; i++) b.map->signal_ref_count += b.map->lanes[i].signals.count;
        memcpy(b.map->repairs, builder->repairs, sizeof repairs);
        if (!nm_map_seal(b.object)) status = no_memory(&b);
    }
    if (status == NM_OK)
        *map = b.map;
    else
        nm_map_release(b.map);
restore:
    memcpy(builder->repairs, repairs, sizeof repairs);
    return status;
}
