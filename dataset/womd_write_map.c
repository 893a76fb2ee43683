/// Map features. Lanes keep their ids; other features keep theirs where no other has it, else they get a free one.
#include "dataset/womd_write.h"

#include <math.h>
#include <stdlib.h>

#include "dataset/protobuf_out.h"

#define MPH 0.44704 // m/s

enum {
    FEATURE_LANE = 3,
    FEATURE_ROAD_LINE = 4,
    FEATURE_ROAD_EDGE = 5,
    FEATURE_CROSSWALK = 8,
    FEATURE_SPEED_BUMP = 9,
    FEATURE_DRIVEWAY = 10
};
enum { LANE_UNDEFINED = 0, LANE_FREEWAY, LANE_STREET, LANE_BIKE };

uint8_t *nm_womd_put_point(uint8_t *at, uint32_t field, double x, double y, double z) {
    *at++ = (uint8_t)(field << 3 | NM_PB_BYTES);
    *at++ = NM_WOMD_POINT_BYTES - 2;
    *at++ = 1 << 3 | NM_PB_64;
    at = nm_pb_store_double(at, x);
    *at++ = 2 << 3 | NM_PB_64;
    at = nm_pb_store_double(at, y);
    *at++ = 3 << 3 | NM_PB_64;
    return nm_pb_store_double(at, z);
}

/// Points of the map's frame, `z` [nullable] beside them.
static void put_points(nm_byte_buffer *out, uint32_t field, const nm_map *map, const nm_vec2 *points, const float *z,
                       uint32_t count) {
    uint8_t *at = nm_byte_buffer_grow(out, (size_t)count * NM_WOMD_POINT_BYTES);
    const nm_point3 *o = &map->origin;
    for (uint32_t i = 0; at && i < count; i++)
        at = nm_womd_put_point(at, field, o->x + (double)points[i].x, o->y + (double)points[i].y,
                               o->z + (z ? (double)z[i] : 0.0));
}

static int lane_type(const nm_lane *lane) {
    switch ((nm_lane_type)lane->type) {
    case NM_LANE_FREEWAY:
    case NM_LANE_RAMP:
        return LANE_FREEWAY;
    case NM_LANE_STREET:
    case NM_LANE_DRIVEWAY:
    case NM_LANE_BUS:
        return LANE_STREET;
    case NM_LANE_BIKE:
        return LANE_BIKE;
    default:
        return LANE_UNDEFINED;
    }
}

/// A round number of mph where one gives the same speed.
static double mph_of(float speed) {
    const double mph = (double)speed / MPH, round_mph = nearbyint(mph * 100.0) / 100.0;
    return (float)(round_mph * MPH) == speed ? round_mph : mph;
}

/// The lane's point nearest to s.
static uint32_t point_at(const nm_map *map, const nm_lane *lane, float s) {
    const float *along = map->point_s + lane->points.first;
    uint32_t low = 0, high = lane->points.count - 1;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (along[middle] < s)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && s - along[low - 1] < along[low] - s ? low - 1 : low;
}

static void put_references(const nm_womd_map_work *work, nm_byte_buffer *out, uint32_t field, nm_range range) {
    const uint32_t *refs = work->map->lane_refs + range.first;
    size_t at = 0, any = 0;
    for (uint32_t i = 0; i < range.count; i++) {
        if (!work->written[refs[i]]) continue;
        if (!any++) at = nm_pb_begin(out, field);
        nm_pb_raw_varint(out, (uint64_t)work->map->lanes[refs[i]].source_id);
    }
    if (any) nm_pb_end(out, at);
}

static void put_stretches(nm_byte_buffer *out, uint32_t field, const nm_womd_stretches *list) {
    for (uint32_t i = 0; i < list->count; i++) {
        const nm_womd_stretch *s = &list->items[i];
        const size_t at = nm_pb_begin(out, field);
        nm_pb_int(out, 1, s->first);
        nm_pb_int(out, 2, s->last);
        nm_pb_int(out, 3, s->line);
        nm_pb_int(out, 4, s->type);
        nm_pb_end(out, at);
    }
}

/// Neighbours of one side, the first with `between`. 0 when there is none.
static int put_neighbours(const nm_womd_map_work *work, nm_byte_buffer *out, uint32_t field, const nm_lane *lane,
                          nm_range range, const nm_womd_stretches *between) {
    const nm_map *map = work->map;
    int any = 0;
    for (uint32_t i = 0; i < range.count; i++) {
        const nm_neighbour *n = &map->neighbours[range.first + i];
        const nm_lane *other = &map->lanes[n->lane];
        if (n->opposite || !work->written[n->lane]) continue;
        const uint32_t start = point_at(map, lane, n->self_start), end = point_at(map, lane, n->self_end);
        const uint32_t from = point_at(map, other, n->other_start), to = point_at(map, other, n->other_end);
        if (end <= start || to <= from) continue; // between two points: no range can say it
        const size_t at = nm_pb_begin(out, field);
        nm_pb_int(out, 1, other->source_id);
        nm_pb_int(out, 2, start);
        nm_pb_int(out, 3, end);
        nm_pb_int(out, 4, from);
        nm_pb_int(out, 5, to);
        if (!any && between) put_stretches(out, 6, between);
        nm_pb_end(out, at);
        any = 1;
    }
    return any;
}

/// 1 when lines with a marking bound a side that has none itself: then the record named them as lying between this lane
/// and a neighbour.
static int lies_between(const nm_womd_map_work *work, const nm_womd_stretches *list, unsigned marking) {
    uint32_t marked = 0;
    for (uint32_t i = 0; i < list->count; i++) marked += list->items[i].type != 0;
    return work->grid && marking == NM_MARKING_UNKNOWN && marked > 0;
}

static void put_lane(nm_womd_map_work *work, nm_byte_buffer *out, uint32_t index, nm_womd_stretches sides[2]) {
    const nm_map *map = work->map;
    const nm_lane *lane = &map->lanes[index];
    int between[2];
    for (int left = 1; left >= 0; left--) {
        nm_womd_lines_beside(work, index, left, &sides[left]);
        between[left] = lies_between(work, &sides[left], left ? lane->left_marking : lane->right_marking);
    }
    const size_t feature = nm_pb_begin(out, 8);
    nm_pb_int(out, 1, lane->source_id);
    const size_t at = nm_pb_begin(out, FEATURE_LANE);
    nm_pb_double(out, 1, mph_of(lane->speed_limit));
    nm_pb_int(out, 2, lane_type(lane));
    nm_pb_int(out, 3, nm_map_get_source(map).lane_flags[index] & NM_LANE_JUNCTION ? 1 : 0);
    put_points(out, 8, map, map->centre + lane->points.first, map->z + lane->points.first, lane->points.count);
    put_references(work, out, 9, lane->predecessors);
    put_references(work, out, 10, lane->successors);
    for (int left = 1; left >= 0; left--)
        between[left] &= put_neighbours(work, out, left ? 11 : 12, lane, left ? lane->left : lane->right,
                                        between[left] ? &sides[left] : NULL);
    for (int left = 1; left >= 0; left--) {
        if (!between[left]) put_stretches(out, left ? 13 : 14, &sides[left]);
    }
    nm_pb_end(out, at);
    nm_pb_end(out, feature);
}

static void put_line(const nm_womd_map_work *work, nm_byte_buffer *out, uint32_t index) {
    const nm_map *map = work->map;
    const nm_line *line = &map->lines[index];
    const int edge = line->kind != NM_LINE_ROAD_LINE;
    const size_t feature = nm_pb_begin(out, 8);
    nm_pb_int(out, 1, work->line_ids[index]);
    const size_t at = nm_pb_begin(out, edge ? FEATURE_ROAD_EDGE : FEATURE_ROAD_LINE);
    nm_pb_int(out, 1, edge ? line->kind - NM_LINE_EDGE_UNKNOWN : nm_womd_line_type(line->marking, line->colour));
    put_points(out, 2, map, map->line_points + line->points.first,
               map->line_z_count ? map->line_z + line->points.first : NULL, line->points.count);
    nm_pb_end(out, at);
    nm_pb_end(out, feature);
}

static void put_made_line(const nm_womd_map_work *work, nm_byte_buffer *out, const nm_womd_made_line *line) {
    const nm_map *map = work->map;
    const nm_vec2 *border = line->left ? map->left : map->right;
    const nm_point3 *o = &map->origin;
    const size_t feature = nm_pb_begin(out, 8);
    nm_pb_int(out, 1, line->id);
    const size_t at = nm_pb_begin(out, line->edge ? FEATURE_ROAD_EDGE : FEATURE_ROAD_LINE);
    nm_pb_int(out, 1, line->type);
    uint8_t *point = nm_byte_buffer_grow(out, (size_t)line->count * NM_WOMD_POINT_BYTES);
    for (uint32_t i = 0; point && i < line->count; i++) {
        const uint32_t p = line->points[i];
        point = nm_womd_put_point(point, 2, o->x + (double)border[p].x, o->y + (double)border[p].y,
                                  o->z + (double)map->z[p]);
    }
    nm_pb_end(out, at);
    nm_pb_end(out, feature);
}

static void put_area(const nm_womd_map_work *work, nm_byte_buffer *out, uint32_t index) {
    static const uint8_t fields[] = {[NM_AREA_CROSSWALK] = FEATURE_CROSSWALK,
                                     [NM_AREA_SPEED_BUMP] = FEATURE_SPEED_BUMP,
                                     [NM_AREA_DRIVEWAY] = FEATURE_DRIVEWAY};
    const nm_area *area = &work->map->areas[index];
    if (area->kind >= sizeof fields) return; // obstacles: WOMD has no such feature
    const size_t feature = nm_pb_begin(out, 8);
    nm_pb_int(out, 1, work->area_ids[index]);
    const size_t at = nm_pb_begin(out, fields[area->kind]);
    put_points(out, 1, work->map, work->map->area_points + area->points.first, NULL, area->points.count);
    nm_pb_end(out, at);
    nm_pb_end(out, feature);
}

/// A lane that is a crosswalk: its outline.
static void put_crossing(nm_womd_map_work *work, nm_byte_buffer *out, const nm_lane *lane) {
    const nm_map *map = work->map;
    const size_t feature = nm_pb_begin(out, 8);
    nm_pb_int(out, 1, lane->source_id);
    const size_t at = nm_pb_begin(out, FEATURE_CROSSWALK);
    const uint32_t first = lane->points.first, count = lane->points.count;
    put_points(out, 1, map, map->right + first, map->z + first, count);
    for (uint32_t i = count; i-- > 0;) put_points(out, 1, map, map->left + first + i, map->z + first + i, 1);
    nm_pb_end(out, at);
    nm_pb_end(out, feature);
}

// --- ids -------------------------------------------------------------------------------------------------------------

typedef struct owner {
    int64_t id;
    uint32_t rank; // who comes first keeps it
    int64_t *place;
} owner;

static int by_id(const void *a, const void *b) {
    const owner *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/// Gives every feature an id of its own.
static int number_features(nm_womd_map_work *work) {
    const nm_map *map = work->map;
    const size_t count = (size_t)map->lane_count + map->line_count + map->area_count + map->sign_count;
    work->line_ids = NM_ARENA_ARRAY(work->arena, int64_t, map->line_count);
    work->area_ids = NM_ARENA_ARRAY(work->arena, int64_t, map->area_count);
    work->sign_ids = NM_ARENA_ARRAY(work->arena, int64_t, map->sign_count);
    owner *owners = NM_ARENA_ARRAY(work->arena, owner, count);
    if (!work->line_ids || !work->area_ids || !work->sign_ids || !owners) return 0;
    uint32_t n = 0;
    int64_t most = -1;
    for (uint32_t i = 0; i < map->lane_count; i++, n++) owners[n] = (owner){map->lanes[i].source_id, n, NULL};
    for (uint32_t i = 0; i < map->line_count; i++, n++)
        owners[n] = (owner){map->lines[i].source_id, n, &work->line_ids[i]};
    for (uint32_t i = 0; i < map->area_count; i++, n++)
        owners[n] = (owner){map->areas[i].source_id, n, &work->area_ids[i]};
    for (uint32_t i = 0; i < map->sign_count; i++, n++)
        owners[n] = (owner){map->signs[i].source_id, n, &work->sign_ids[i]};
    for (uint32_t i = 0; i < n; i++) {
        if (owners[i].id > most) most = owners[i].id;
    }
    // above all that are taken, unless somebody uses the largest numbers there are
    work->next_id = most < INT64_MAX / 2 ? most + 1 : INT64_MIN / 2;
    qsort(owners, n, sizeof *owners, by_id);
    for (uint32_t i = 0; i < n; i++) {
        if (!owners[i].place) continue;
        const int taken = owners[i].id < 0 || (i > 0 && owners[i].id == owners[i - 1].id);
        *owners[i].place = taken ? work->next_id++ : owners[i].id;
    }
    return 1;
}

// --- the whole -------------------------------------------------------------------------------------------------------

static int write_features(nm_womd_map_work *work, nm_byte_buffer *out) {
    const nm_map *map = work->map;
    nm_womd_stretches sides[2] = {{0}};
    work->written = nm_arena_calloc(work->arena, map->lane_count, 1, 1);
    if (!work->written || !number_features(work) || !nm_womd_lines_begin(work)) return 0;
    for (uint32_t i = 0; i < map->lane_count; i++)
        work->written[i] = map->lanes[i].type != NM_LANE_SIDEWALK && map->lanes[i].type != NM_LANE_CROSSWALK;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (work->written[i]) put_lane(work, out, i, sides);
    }
    for (uint32_t i = 0; i < map->line_count; i++) put_line(work, out, i);
    for (uint32_t i = 0; i < work->made_count; i++) put_made_line(work, out, &work->made[i]);
    for (uint32_t i = 0; i < map->area_count; i++) put_area(work, out, i);
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (map->lanes[i].type == NM_LANE_CROSSWALK) put_crossing(work, out, &map->lanes[i]);
    }
    nm_womd_write_signs(work, out);
    return !work->failed && !out->failed;
}

const nm_womd_map_bytes *nm_womd_map_write(nm_womd_map_cache *cache, const nm_map *map, nm_arena *arena) {
    nm_womd_map_bytes *place = &cache->maps[0];
    for (uint32_t i = 0; i < NM_WOMD_KEPT_MAPS; i++) {
        nm_womd_map_bytes *kept = &cache->maps[i];
        if (kept->used && kept->hash == map->hash) {
            kept->used = ++cache->clock;
            return kept;
        }
        if (kept->used < place->used) place = kept;
    }
    place->used = 0;
    place->features.size = 0;
    place->features.failed = 0;
    place->light_count = 0;
    nm_womd_map_work work = {.arena = arena, .map = map};
    const nm_arena_mark mark = nm_arena_get_mark(arena);
    const int good = write_features(&work, &place->features) && nm_womd_lights(map, work.written, place);
    nm_arena_release(arena, mark);
    if (!good) return NULL;
    place->hash = map->hash;
    place->used = ++cache->clock;
    return place;
}

void nm_womd_map_cache_free(nm_womd_map_cache *cache) {
    for (uint32_t i = 0; i < NM_WOMD_KEPT_MAPS; i++) {
        nm_byte_buffer_free(&cache->maps[i].features);
        free(cache->maps[i].lights);
    }
    *cache = (nm_womd_map_cache){0};
}

void nm_womd_map_cache_forget(nm_womd_map_cache *cache) {
    for (uint32_t i = 0; i < NM_WOMD_KEPT_MAPS; i++) cache->maps[i].used = 0;
}
