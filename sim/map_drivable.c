/// Queries over the drivable area.
#include "sim/geometry.h"
#include "sim/map_private.h"

#define BLOCK 64 // boxes handled at once by nm_map_boxes_off_road

int nm_span_drivable(const nm_map *map, const nm_span *span) {
    if (span->owner & NM_SPAN_AREA) return map->areas[span->owner & ~NM_SPAN_AREA].kind == NM_AREA_DRIVEWAY;
    return nm_lane_type_drivable((nm_lane_type)map->lanes[span->owner].type);
}

int nm_map_drivable_exact(const nm_map *map, const nm_map_grid *grid, float x, float y) {
    size_t cell;
    if (grid) {
        if (!nm_grid_cell(grid, x, y, &cell)) return 0;
        for (uint32_t k = grid->start[cell]; k < grid->start[cell + 1]; k++) {
            const nm_span *span = &grid->spans[k];
            if (nm_span_drivable(map, span) && nm_span_contains(map, span, x, y)) return 1;
        }
        return 0;
    }
    nm_candidates c = {.map = map, .count = map->lane_count + map->area_count};
    for (const nm_span *span; (span = nm_next_candidate(&c));) {
        if (nm_span_drivable(map, span) && nm_span_contains(map, span, x, y)) return 1;
    }
    return 0;
}

/// Index of the raster cell of a point; points outside fall on the outermost cells, which are OUT; so does NaN.
static inline int32_t raster_index(const nm_map_grid *grid, float x, float y) {
    float u = (x - grid->raster_origin.x) * grid->raster_inverse;
    float v = (y - grid->raster_origin.y) * grid->raster_inverse;
    u = nm_minf(nm_maxf(u, 0.0f), (float)(grid->raster_columns - 1));
    v = nm_minf(nm_maxf(v, 0.0f), (float)(grid->raster_rows - 1));
    return (int32_t)v * grid->raster_columns + (int32_t)u;
}

static inline uint32_t raster_cell(const uint32_t *raster, int32_t index) {
    return raster[index >> 4] >> ((unsigned)(index & 15) * 2) & 3u;
}

int nm_map_drivable(const nm_map *map, float x, float y) {
    if (!nm_map_ready(map)) return nm_map_drivable_exact(map, NULL, x, y);
    uint32_t cell = raster_cell(map->grid->raster, raster_index(map->grid, x, y));
    return cell == NM_CELL_MIXED ? nm_map_drivable_exact(map, map->grid, x, y) : (int)cell;
}

/// Corner k of a box: 0 front left, 1 front right, 2 rear left, 3 rear right.
static inline nm_vec2 corner(float x, float y, float c, float s, float half_length, float half_width, int k) {
    float l = k & 2 ? -half_length : half_length;
    float w = k & 1 ? -half_width : half_width;
    return (nm_vec2){x + l * c - w * s, y + l * s + w * c};
}

/// Raster cells of the corners of up to BLOCK boxes. Apart, so that it vectorises.
NM_TARGET_CLONES static void corner_cells(const nm_map_grid *grid, const float *restrict x, const float *restrict y,
                                          const float *restrict cos_h, const float *restrict sin_h,
                                          const float *restrict length, const float *restrict width, float margin,
                                          int count, int32_t (*restrict cells)[BLOCK]) {
    float ox = grid->raster_origin.x, oy = grid->raster_origin.y, inverse = grid->raster_inverse;
    float most_u = (float)(grid->raster_columns - 1), most_v = (float)(grid->raster_rows - 1);
    int32_t columns = grid->raster_columns;
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < count; i++) {
            float half_length = nm_maxf(0.5f * length[i] - margin, 0.0f);
            float half_width = nm_maxf(0.5f * width[i] - margin, 0.0f);
            nm_vec2 p = corner(x[i], y[i], cos_h[i], sin_h[i], half_length, half_width, k);
            float u = nm_minf(nm_maxf((p.x - ox) * inverse, 0.0f), most_u);
            float v = nm_minf(nm_maxf((p.y - oy) * inverse, 0.0f), most_v);
            cells[k][i] = (int32_t)v * columns + (int32_t)u;
        }
    }
}

void nm_map_boxes_off_road(const nm_map *map, const float *x, const float *y, const float *cos_h, const float *sin_h,
                           const float *length, const float *width, float margin, size_t count, uint8_t *off) {
    int ready = nm_map_ready(map);
    int32_t cells[4][BLOCK];
    for (size_t first = 0; first < count; first += BLOCK) {
        int n = count - first < BLOCK ? (int)(count - first) : BLOCK;
        if (ready) {
            corner_cells(map->grid, x + first, y + first, cos_h + first, sin_h + first, length + first, width + first,
                         margin, n, cells);
        }
        for (int i = 0; i < n; i++) {
            size_t at = first + (size_t)i;
            uint32_t state[4] = {NM_CELL_MIXED, NM_CELL_MIXED, NM_CELL_MIXED, NM_CELL_MIXED};
            if (ready) {
                const uint32_t *raster = map->grid->raster;
                for (int k = 0; k < 4; k++) state[k] = raster_cell(raster, cells[k][i]);
                if (NM_LIKELY(state[0] & state[1] & state[2] & state[3] & NM_CELL_IN)) {
                    off[at] = 0;
                    continue;
                }
            }
            off[at] = 0;
            for (int k = 0; k < 4 && !off[at]; k++) {
                if (state[k] == NM_CELL_IN) continue;
                float half_length = nm_maxf(0.5f * length[at] - margin, 0.0f);
                float half_width = nm_maxf(0.5f * width[at] - margin, 0.0f);
                nm_vec2 p = corner(x[at], y[at], cos_h[at], sin_h[at], half_length, half_width, k);
                off[at] = state[k] == NM_CELL_OUT || !nm_map_drivable_exact(map, ready ? map->grid : NULL, p.x, p.y);
            }
        }
    }
}

float nm_map_border_distance(const nm_map *map, float x, float y, float reach) {
    float sign = nm_map_drivable(map, x, y) ? -1.0f : 1.0f;
    if (!nm_map_ready(map)) return sign * reach;
    const nm_map_grid *grid = map->grid;
    nm_lattice lattice = {(double)grid->origin.x, (double)grid->origin.y, (double)grid->size, grid->columns,
                          grid->rows};
    int32_t columns[2], rows[2];
    float least = reach * reach;
    if (!nm_lattice_box(&lattice, x - reach, y - reach, x + reach, y + reach, columns, rows)) return sign * reach;
    for (int32_t row = rows[0]; row <= rows[1]; row++) {
        for (int32_t column = columns[0]; column <= columns[1]; column++) {
            size_t cell = (size_t)row * (size_t)grid->columns + (size_t)column;
            for (uint32_t k = grid->border_start[cell]; k < grid->border_start[cell + 1]; k++) {
                const nm_border *border = &grid->borders[grid->border_refs[k]];
                least = nm_minf(least, nm_segment_distance2(border->a, border->b, (nm_vec2){x, y}));
            }
        }
    }
    return sign * sqrtf(least);
}
