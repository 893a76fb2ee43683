/// Queries over lanes: projection, position, what lies where. The drivable area: map_drivable.c.
#include "sim/geometry.h"
#include "sim/map_private.h"

nm_candidates nm_map_candidates(const nm_map *map, float x, float y) {
    nm_candidates c = {.map = map};
    if (!nm_map_ready(map)) {
        c.count = map->lane_count + map->area_count;
        return c;
    }
    size_t cell;
    c.spans = map->grid->spans;
    if (nm_grid_cell(map->grid, x, y, &cell)) {
        c.spans += map->grid->start[cell];
        c.count = map->grid->start[cell + 1] - map->grid->start[cell];
    }
    return c;
}

// ---------------------------------------------------------------------------------------------------------------------
// Frenet

const nm_bounds *nm_map_lane_bounds(const nm_map *map) {
    return nm_map_object_of(map)->lane_bounds;
}

nm_frenet nm_map_project(const nm_map *map, uint32_t lane, float x, float y) {
    NM_ASSERT(lane < map->lane_count);
    return nm_inline_project(map, lane, x, y);
}

void nm_map_position(const nm_map *map, uint32_t lane, float s, float d, float *x, float *y, float *heading) {
    NM_ASSERT(lane < map->lane_count);
    nm_inline_position(map, lane, s, d, x, y, heading);
}

nm_frenet nm_map_match(const nm_map *map, float x, float y, float heading, float radius, unsigned type_mask) {
    const nm_map_grid *grid = nm_map_ready(map) ? map->grid : NULL;
    return nm_inline_match(map, nm_map_lane_bounds(map), grid, x, y, heading, radius, type_mask);
}

nm_rail_point nm_map_rail(const nm_map *map, uint32_t index, float s) {
    NM_ASSERT(index < map->lane_count);
    NM_ASSERT(nm_map_ready(map));
    const nm_lane *lane = &map->lanes[index];
    float u = nm_clampf(s * lane->rail_inverse, 0.0f, (float)(lane->rail.count - 1));
    uint32_t i = (uint32_t)u;
    if (i > lane->rail.count - 2) i = lane->rail.count - 2;
    float t = u - (float)i;
    const nm_rail_point *a = &map->rail[lane->rail.first + i], *b = a + 1;
    nm_rail_point r = {.x = a->x + t * (b->x - a->x),
                       .y = a->y + t * (b->y - a->y),
                       .cos_h = a->cos_h + t * (b->cos_h - a->cos_h),
                       .sin_h = a->sin_h + t * (b->sin_h - a->sin_h),
                       .curvature = a->curvature + t * (b->curvature - a->curvature),
                       .left = a->left + t * (b->left - a->left),
                       .right = a->right + t * (b->right - a->right),
                       .speed_limit = a->speed_limit};
    float length = nm_hypotf(r.cos_h, r.sin_h);
    r.cos_h = length > 0.0f ? r.cos_h / length : a->cos_h;
    r.sin_h = length > 0.0f ? r.sin_h / length : a->sin_h;
    return r;
}

// ---------------------------------------------------------------------------------------------------------------------
// What lies where

int nm_span_contains(const nm_map *map, const nm_span *span, float x, float y) {
    const float reach = 1.001f * NM_SURFACE_TOLERANCE, reach2 = NM_SURFACE_TOLERANCE * NM_SURFACE_TOLERANCE;
    nm_vec2 p = {x, y};
    if (span->owner & NM_SPAN_AREA) {
        const nm_range *points = &map->areas[span->owner & ~NM_SPAN_AREA].points;
        return points->count >= 3 && nm_polygon_contains(map->area_points + points->first, points->count, p, reach2);
    }
    for (uint32_t i = span->first; i < span->first + span->count; i++) {
        nm_vec2 quad[4];
        nm_quad(map, i, quad);
        nm_bounds box = nm_bounds_of(quad, 4);
        if (x < box.lo.x - reach || x > box.hi.x + reach || y < box.lo.y - reach || y > box.hi.y + reach) continue;
        if (nm_polygon_contains(quad, 4, p, reach2)) return 1;
    }
    return 0;
}

/// Is (|d|, index) of a before that of b?
static int nearer(const nm_frenet *a, const nm_frenet *b) {
    float da = fabsf(a->d), db = fabsf(b->d);
    return da < db || (da == db && a->lane < b->lane);
}

size_t nm_map_lanes_at(const nm_map *map, float x, float y, nm_frenet *out, size_t max) {
    size_t found = 0;
    uint32_t last = NM_NONE;
    nm_candidates c = nm_map_candidates(map, x, y);
    for (const nm_span *span; (span = nm_next_candidate(&c));) {
        if ((span->owner & NM_SPAN_AREA) || span->owner == last || !nm_span_contains(map, span, x, y)) continue;
        last = span->owner; // spans of one lane follow each other
        nm_frenet f = nm_map_project(map, span->owner, x, y);
        size_t at = found < max ? found : max;
        found++;
        while (at > 0 && nearer(&f, &out[at - 1])) { // keep the nearest `max` in order
            if (at < max) out[at] = out[at - 1];
            at--;
        }
        if (at < max) out[at] = f;
    }
    return found;
}

/// Does the segment touch the rectangle? (separating axes: x, y, the segment's normal)
static int segment_meets(nm_vec2 a, nm_vec2 b, nm_vec2 lo, nm_vec2 hi) {
    if (nm_maxf(a.x, b.x) < lo.x || nm_minf(a.x, b.x) > hi.x) return 0;
    if (nm_maxf(a.y, b.y) < lo.y || nm_minf(a.y, b.y) > hi.y) return 0;
    nm_vec2 d = nm_sub(b, a);
    float c0 = nm_cross(d, nm_sub(lo, a)), c1 = nm_cross(d, nm_sub((nm_vec2){hi.x, lo.y}, a));
    float c2 = nm_cross(d, nm_sub(hi, a)), c3 = nm_cross(d, nm_sub((nm_vec2){lo.x, hi.y}, a));
    float least = nm_minf(nm_minf(c0, c1), nm_minf(c2, c3)), most = nm_maxf(nm_maxf(c0, c1), nm_maxf(c2, c3));
    return least <= 0.0f && most >= 0.0f;
}

size_t nm_map_lanes_in(const nm_map *map, nm_vec2 lo, nm_vec2 hi, uint32_t *lanes, size_t max) {
    size_t found = 0;
    const nm_bounds *bounds = nm_map_object_of(map)->lane_bounds;
    nm_vec2 middle = {0.5f * (lo.x + hi.x), 0.5f * (lo.y + hi.y)};
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_bounds *b = &bounds[i];
        if (b->lo.x > hi.x || b->hi.x < lo.x || b->lo.y > hi.y || b->hi.y < lo.y) continue;
        const nm_lane *lane = &map->lanes[i];
        int meets = 0;
        for (uint32_t k = lane->points.first; k < lane->points.first + lane->points.count - 1 && !meets; k++) {
            nm_vec2 quad[4];
            nm_quad(map, k, quad);
            for (int e = 0; e < 4 && !meets; e++) meets = segment_meets(quad[e], quad[(e + 1) & 3], lo, hi);
            meets = meets || nm_polygon_contains(quad, 4, middle, 0.0f);
        }
        if (!meets) continue;
        if (found < max) lanes[found] = i;
        found++;
    }
    return found;
}
