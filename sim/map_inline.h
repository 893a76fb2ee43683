/// The queries over lanes as inline functions, and the grid that they walk: private to sim/map_*.c and to copies of a
/// map on a GPU. What they compute is described in map.h.
///
/// They read lane_count, lanes, centre, left, right and point_s of the map, and of the grid what comes before the
/// borders.
#ifndef NM_SIM_MAP_INLINE_H
#define NM_SIM_MAP_INLINE_H

#include "sim/geometry.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What touches a cell: consecutive segments of one lane (segment i runs from point i to point i + 1 of the map), or an
/// area (first and count unused).
typedef struct nm_span {
    uint32_t owner; // lane, or area | NM_SPAN_AREA
    uint32_t first, count;
} nm_span;
#define NM_SPAN_AREA 0x80000000u

/// A piece of the border of the drivable area, the area on its right.
typedef struct nm_border {
    nm_vec2 a, b;
} nm_border;

struct nm_map_grid {
    nm_vec2 origin; // of cell (0, 0)
    float size;     // m, of a cell
    float inverse;
    int32_t columns, rows;
    uint32_t *start; // [rows * columns + 1] into spans
    nm_span *spans;  // within a cell: lanes ascending, then first ascending, then areas

    uint32_t border_count;
    nm_border *borders;
    uint32_t *border_start; // [rows * columns + 1] into border_refs
    uint32_t *border_refs;

    nm_vec2 raster_origin;
    float raster_inverse;                // cells per m
    int32_t raster_columns, raster_rows; // columns a multiple of 16
    uint32_t *raster;
    size_t bytes;
};

/// A regular lattice of square cells, to find those that a polygon touches.
typedef struct nm_lattice {
    double x, y, size; // corner of cell (0, 0)
    int32_t columns, rows;
} nm_lattice;

/// [lane_count] of the borders; as long as the map.
const nm_bounds *nm_map_lane_bounds(const nm_map *map);

NM_HOST_DEVICE static inline int32_t nm_clamp_index(double value, int32_t count) {
    if (!(value > 0.0)) return 0;
    return value < (double)count ? (int32_t)value : count - 1;
}

/// The cells of an axis-parallel box, first and last, clamped to the lattice; 0 when they do not meet.
NM_HOST_DEVICE static inline int nm_lattice_box(const nm_lattice *lattice, float lo_x, float lo_y, float hi_x,
                                                float hi_y, int32_t columns[2], int32_t rows[2]) {
    double u0 = ((double)lo_x - lattice->x) / lattice->size, u1 = ((double)hi_x - lattice->x) / lattice->size;
    double v0 = ((double)lo_y - lattice->y) / lattice->size, v1 = ((double)hi_y - lattice->y) / lattice->size;
    if (!(u1 >= 0.0 && v1 >= 0.0 && u0 <= lattice->columns && v0 <= lattice->rows)) return 0;
    columns[0] = nm_clamp_index(u0, lattice->columns);
    columns[1] = nm_clamp_index(u1, lattice->columns);
    rows[0] = nm_clamp_index(v0, lattice->rows);
    rows[1] = nm_clamp_index(v1, lattice->rows);
    return 1;
}

// ---------------------------------------------------------------------------------------------------------------------
// Frenet

/// Nearest point of the centreline among `count` segments from `first`: segment and squared distance.
NM_HOST_DEVICE static inline uint32_t nm_nearest_segment(const nm_map *map, uint32_t first, uint32_t count, nm_vec2 p,
                                                         float *distance2) {
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
NM_HOST_DEVICE static inline nm_vec2 nm_segment_direction(const nm_map *map, const nm_lane *lane, uint32_t i) {
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
NM_HOST_DEVICE static inline void nm_half_widths(const nm_map *map, uint32_t i, float t, nm_vec2 tangent, float *left,
                                                 float *right) {
    nm_vec2 c = nm_lerp(map->centre[i], map->centre[i + 1], t);
    *left = nm_maxf(nm_cross(tangent, nm_sub(nm_lerp(map->left[i], map->left[i + 1], t), c)), 0.0f);
    *right = nm_maxf(-nm_cross(tangent, nm_sub(nm_lerp(map->right[i], map->right[i + 1], t), c)), 0.0f);
}

NM_HOST_DEVICE static inline nm_frenet nm_inline_project(const nm_map *map, uint32_t index, float x, float y) {
    const nm_lane *lane = &map->lanes[index];
    nm_vec2 p = {x, y};
    float d2;
    uint32_t i = nm_nearest_segment(map, lane->points.first, lane->points.count - 1, p, &d2);
    float t = nm_segment_nearest(map->centre[i], map->centre[i + 1], p);
    nm_vec2 tangent = nm_segment_direction(map, lane, i);
    nm_vec2 offset = nm_sub(p, nm_lerp(map->centre[i], map->centre[i + 1], t));
    nm_frenet f = {index, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
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
    nm_half_widths(map, i, t, tangent, &f.left, &f.right);
    return f;
}

/// The segment of the lane that holds arc length s: the last one that begins at or before it.
NM_HOST_DEVICE static inline uint32_t nm_segment_at(const nm_map *map, const nm_lane *lane, float s) {
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

NM_HOST_DEVICE static inline void nm_inline_position(const nm_map *map, uint32_t index, float s, float d, float *x,
                                                     float *y, float *heading) {
    const nm_lane *lane = &map->lanes[index];
    uint32_t i = nm_segment_at(map, lane, s);
    float span = map->point_s[i + 1] - map->point_s[i];
    float on = nm_clampf(s, 0.0f, lane->length);
    float t = span > 0.0f ? nm_clampf((on - map->point_s[i]) / span, 0.0f, 1.0f) : 0.0f;
    nm_vec2 p = nm_lerp(map->centre[i], map->centre[i + 1], t);
    nm_vec2 tangent = nm_segment_direction(map, lane, i);
    float beyond = s - on;
    *x = p.x + beyond * tangent.x - d * tangent.y;
    *y = p.y + beyond * tangent.y + d * tangent.x;
    *heading = nm_atan2f(tangent.y, tangent.x);
}

// ---------------------------------------------------------------------------------------------------------------------
// Matching

#define NM_HEADING_WEIGHT 3.0f // m per rad

/// Can nothing of the lane be within `radius` of the point?
NM_HOST_DEVICE static inline int nm_out_of_reach(const nm_bounds *bounds, float x, float y, float radius) {
    return x < bounds->lo.x - radius || x > bounds->hi.x + radius || y < bounds->lo.y - radius ||
           y > bounds->hi.y + radius;
}

NM_HOST_DEVICE static inline float nm_heading_cost(float a, float b) {
    float difference = nm_wrap_angle(a - b);
    return NM_HEADING_WEIGHT * (difference < 0.0f ? -difference : difference);
}

/// The score of one lane for nm_map_match, INFINITY when it is too far away.
NM_HOST_DEVICE static inline float nm_match_lane(const nm_map *map, uint32_t index, float x, float y, float heading,
                                                 float radius, nm_frenet *out) {
    const nm_lane *lane = &map->lanes[index];
    *out = nm_inline_project(map, index, x, y);
    float lateral = fabsf(out->d), past = fabsf(out->beyond);
    float outside = nm_maxf(lateral - (out->d > 0.0f ? out->left : out->right), 0.0f);
    if (nm_hypotf(outside, past) > radius) return INFINITY;
    float turned = nm_heading_cost(heading, out->heading);
    if (lane->flags & NM_LANE_BIDIRECTIONAL) turned = nm_minf(turned, nm_heading_cost(heading + NM_PI_F, out->heading));
    return lateral + past + turned;
}

/// What nm_inline_match is after, and the best of what it has seen.
typedef struct nm_match {
    float x, y, heading, radius;
    unsigned type_mask;
    nm_frenet best;
    float least;        // cost of the best
    uint32_t tried[64]; // lanes looked at; beyond: tried again, with the same result
    uint32_t count;
} nm_match;

/// A lane costs at least its distance: one that lies farther away than the best costs is not looked at.
NM_HOST_DEVICE static inline void nm_match_try(const nm_map *map, const nm_bounds *bounds, uint32_t lane, nm_match *m) {
    const float reach = nm_minf(m->radius, m->least) + NM_SURFACE_TOLERANCE;
    if (!(m->type_mask >> map->lanes[lane].type & 1u) || nm_out_of_reach(&bounds[lane], m->x, m->y, reach)) return;
    uint32_t i = 0;
    while (i < m->count && m->tried[i] != lane) i++;
    if (i < m->count) return;
    if (m->count < 64) m->tried[m->count++] = lane;
    nm_frenet f;
    const float cost = nm_match_lane(map, lane, m->x, m->y, m->heading, m->radius, &f);
    if (cost < m->least || (cost == m->least && cost < INFINITY && lane < m->best.lane)) {
        m->least = cost;
        m->best = f;
    }
}

NM_HOST_DEVICE static inline void nm_match_cell(const nm_map *map, const nm_bounds *bounds, const nm_map_grid *grid,
                                                int32_t row, int32_t column, nm_match *m) {
    const size_t cell = (size_t)row * (size_t)grid->columns + (size_t)column;
    for (uint32_t k = grid->start[cell]; k < grid->start[cell + 1]; k++) {
        const uint32_t lane = grid->spans[k].owner;
        if (lane & NM_SPAN_AREA) break; // areas come last
        nm_match_try(map, bounds, lane, m);
    }
}

/// grid: nullable, then all lanes are looked at.
NM_HOST_DEVICE static inline nm_frenet nm_inline_match(const nm_map *map, const nm_bounds *bounds,
                                                       const nm_map_grid *grid, float x, float y, float heading,
                                                       float radius, unsigned type_mask) {
    nm_match m;
    m.x = x, m.y = y, m.heading = heading, m.radius = radius, m.type_mask = type_mask;
    m.best = (nm_frenet){NM_NONE, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    m.least = INFINITY;
    m.count = 0;
    const float reach = radius + NM_SURFACE_TOLERANCE;
    if (!grid || !(reach < grid->size * 8.0f)) { // no grid, or more cells than lanes are worth
        for (uint32_t i = 0; i < map->lane_count; i++) nm_match_try(map, bounds, i, &m);
        return m.best;
    }
    const nm_lattice lattice = {(double)grid->origin.x, (double)grid->origin.y, (double)grid->size, grid->columns,
                                grid->rows};
    int32_t rows[2], columns[2], row[2] = {-1, -1}, column[2] = {-1, -1};
    if (!nm_lattice_box(&lattice, x - reach, y - reach, x + reach, y + reach, columns, rows)) return m.best;
    // the place itself first: what lies there rules out most of what lies around, as a lane costs at least the distance
    // to its centreline, which lies between its borders, of which cells are filled
    if (nm_lattice_box(&lattice, x, y, x, y, column, row)) nm_match_cell(map, bounds, grid, row[0], column[0], &m);
    const float left = nm_minf(radius, m.least) + NM_SURFACE_TOLERANCE;
    if (!nm_lattice_box(&lattice, x - left, y - left, x + left, y + left, columns, rows)) return m.best;
    for (int32_t r = rows[0]; r <= rows[1]; r++) {
        for (int32_t c = columns[0]; c <= columns[1]; c++) {
            if (r != row[0] || c != column[0]) nm_match_cell(map, bounds, grid, r, c, &m);
        }
    }
    return m.best;
}

#ifdef __cplusplus
}
#endif
#endif
