/// Queries over lanes: projection, position, what lies where. The drivable area: map_drivable.c.
#include "sim/geometry.h"
#include "sim/map_private.h"

#define HEADING_WEIGHT 3.0f // m per rad, of nm_map_match

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

/// Nearest point of the centreline among `count` segments from `first`: segment and squared distance.
static uint32_t nearest_segment(const nm_map *map, uint32_t first, uint32_t count, nm_vec2 p, float *distance2) {
    uint32_t best = first;
    float least = INFINITY;
    for (uint32_t i = first; i < first + count; i++) {
        float d2 = nm_segment_distance2(map->centre[i], map->centre[i + 1], p);
        if (d2 < least) {
            least = d2;
            best = i;
        }
    }
    *distance2 = least;
    return best;
}

/// Direction of segment i; of its nearest neighbour with a length where it has none.
static nm_vec2 segment_direction(const nm_map *map, const nm_lane *lane, uint32_t i) {
    uint32_t first = lane->points.first, last = first + lane->points.count - 2;
    for (uint32_t reach = 0; reach <= last - first; reach++) {
        for (int side = 0; side < 2; side++) {
            if (side ? i < first + reach : i + reach > last) continue;
            uint32_t k = side ? i - reach : i + reach;
            nm_vec2 d = nm_sub(map->centre[k + 1], map->centre[k]);
            float length = nm_hypotf(d.x, d.y);
            if (length > 0.0f) return (nm_vec2){d.x / length, d.y / length};
        }
    }
    return (nm_vec2){1.0f, 0.0f};
}

/// The borders beside the point at parameter t of segment i, measured square to `tangent`.
static void half_widths(const nm_map *map, uint32_t i, float t, nm_vec2 tangent, float *left, float *right) {
    nm_vec2 c = nm_lerp(map->centre[i], map->centre[i + 1], t);
    *left = nm_maxf(nm_cross(tangent, nm_sub(nm_lerp(map->left[i], map->left[i + 1], t), c)), 0.0f);
    *right = nm_maxf(-nm_cross(tangent, nm_sub(nm_lerp(map->right[i], map->right[i + 1], t), c)), 0.0f);
}

nm_frenet nm_map_project(const nm_map *map, uint32_t index, float x, float y) {
    NM_ASSERT(index < map->lane_count);
    const nm_lane *lane = &map->lanes[index];
    nm_vec2 p = {x, y};
    float d2;
    uint32_t i = nearest_segment(map, lane->points.first, lane->points.count - 1, p, &d2);
    float t = nm_segment_nearest(map->centre[i], map->centre[i + 1], p);
    nm_vec2 tangent = segment_direction(map, lane, i);
    nm_vec2 offset = nm_sub(p, nm_lerp(map->centre[i], map->centre[i + 1], t));
    nm_frenet f = {.lane = index};
    f.s = nm_clampf(map->point_s[i] + t * (map->point_s[i + 1] - map->point_s[i]), 0.0f, lane->length);
    float side = nm_cross(tangent, offset), along = nm_dot(tangent, offset);
    int before = i == lane->points.first && t <= 0.0f && along < 0.0f;
    int after = i == lane->points.first + lane->points.count - 2 && t >= 1.0f && along > 0.0f;
    if (before || after) { // past an end: split into beyond and lateral
        f.beyond = along;
        f.d = side;
    } else {
        f.d = side < 0.0f ? -sqrtf(d2) : sqrtf(d2);
    }
    f.heading = nm_atan2f(tangent.y, tangent.x);
    half_widths(map, i, t, tangent, &f.left, &f.right);
    return f;
}

/// The segment of the lane that holds arc length s: the last one that begins at or before it.
static uint32_t segment_at(const nm_map *map, const nm_lane *lane, float s) {
    uint32_t low = lane->points.first, high = low + lane->points.count - 1;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (map->point_s[middle] <= s)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void nm_map_position(const nm_map *map, uint32_t index, float s, float d, float *x, float *y, float *heading) {
    NM_ASSERT(index < map->lane_count);
    const nm_lane *lane = &map->lanes[index];
    uint32_t i = segment_at(map, lane, s);
    float span = map->point_s[i + 1] - map->point_s[i];
    float on = nm_clampf(s, 0.0f, lane->length);
    float t = span > 0.0f ? nm_clampf((on - map->point_s[i]) / span, 0.0f, 1.0f) : 0.0f;
    nm_vec2 p = nm_lerp(map->centre[i], map->centre[i + 1], t);
    nm_vec2 tangent = segment_direction(map, lane, i);
    float beyond = s - on;
    *x = p.x + beyond * tangent.x - d * tangent.y;
    *y = p.y + beyond * tangent.y + d * tangent.x;
    *heading = nm_atan2f(tangent.y, tangent.x);
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

/// Can nothing of the lane be within `radius` of the point?
static int out_of_reach(const nm_bounds *bounds, float x, float y, float radius) {
    return x < bounds->lo.x - radius || x > bounds->hi.x + radius || y < bounds->lo.y - radius ||
           y > bounds->hi.y + radius;
}

static float heading_cost(float a, float b) {
    float difference = nm_wrap_angle(a - b);
    return HEADING_WEIGHT * (difference < 0.0f ? -difference : difference);
}

/// The score of one lane for nm_map_match, INFINITY when it is too far away.
static float match_lane(const nm_map *map, uint32_t index, float x, float y, float heading, float radius,
                        nm_frenet *out) {
    const nm_lane *lane = &map->lanes[index];
    *out = nm_map_project(map, index, x, y);
    float lateral = fabsf(out->d), past = fabsf(out->beyond);
    float outside = nm_maxf(lateral - (out->d > 0.0f ? out->left : out->right), 0.0f);
    if (nm_hypotf(outside, past) > radius) return INFINITY;
    float turned = heading_cost(heading, out->heading);
    if (lane->flags & NM_LANE_BIDIRECTIONAL) turned = nm_minf(turned, heading_cost(heading + NM_PI_F, out->heading));
    return lateral + past + turned;
}

nm_frenet nm_map_match(const nm_map *map, float x, float y, float heading, float radius, unsigned type_mask) {
    nm_frenet best = {.lane = NM_NONE}, f;
    float least = INFINITY;
    const nm_bounds *bounds = nm_map_object_of(map)->lane_bounds;
    int have_grid = nm_map_ready(map);
    float reach = radius + NM_SURFACE_TOLERANCE;
    if (!have_grid || !(reach < map->grid->size * 8.0f)) { // no grid, or more cells than lanes are worth
        for (uint32_t i = 0; i < map->lane_count; i++) {
            if (!(type_mask >> map->lanes[i].type & 1u) || out_of_reach(&bounds[i], x, y, reach)) continue;
            float cost = match_lane(map, i, x, y, heading, radius, &f);
            if (cost < least) {
                least = cost;
                best = f;
            }
        }
        return best;
    }
    const nm_map_grid *grid = map->grid;
    nm_lattice lattice = {(double)grid->origin.x, (double)grid->origin.y, (double)grid->size, grid->columns,
                          grid->rows};
    uint32_t tried[64];
    uint32_t tried_count = 0;
    int32_t rows[2], columns[2];
    if (!nm_lattice_box(&lattice, x - reach, y - reach, x + reach, y + reach, columns, rows)) return best;
    for (int32_t row = rows[0]; row <= rows[1]; row++) {
        for (int32_t column = columns[0]; column <= columns[1]; column++) {
            size_t cell = (size_t)row * (size_t)grid->columns + (size_t)column;
            for (uint32_t k = grid->start[cell]; k < grid->start[cell + 1]; k++) {
                uint32_t lane = grid->spans[k].owner;
                if (lane & NM_SPAN_AREA) break; // areas come last
                if (!(type_mask >> map->lanes[lane].type & 1u) || out_of_reach(&bounds[lane], x, y, reach)) continue;
                uint32_t i = 0;
                while (i < tried_count && tried[i] != lane) i++;
                if (i < tried_count) continue;
                if (tried_count < 64) tried[tried_count++] = lane; // beyond: tried again, with the same result
                float cost = match_lane(map, lane, x, y, heading, radius, &f);
                if (cost < least || (cost == least && cost < INFINITY && lane < best.lane)) {
                    least = cost;
                    best = f;
                }
            }
        }
    }
    return best;
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
