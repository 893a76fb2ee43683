/// Inside of the nuPlan score: boxes, routes, and the parts of a run. Private to sim/metrics/nuplan_*.c.
#ifndef NM_SIM_METRICS_NUPLAN_PRIVATE_H
#define NM_SIM_METRICS_NUPLAN_PRIVATE_H

#include <math.h>

#include "sim/metrics/nuplan_map.h"
#include "sim/metrics/nuplan_score.h"
#include "sim/pile.h"

// --- grid of the map -------------------------------------------------------------------------------------------------

typedef struct nm_nuplan_cells {
    uint32_t column[2], row[2]; ///< inclusive
} nm_nuplan_cells;

static inline uint32_t nm_nuplan_cell(double place, uint32_t count) {
    return place <= 0.0 ? 0 : place >= (double)count ? count - 1 : (uint32_t)place;
}
/// The cells that finite bounds touch, or those nearest to them; the grid must not be empty.
static inline nm_nuplan_cells nm_nuplan_cells_of(const nm_nuplan_grid *grid, const nm_nuplan_bounds *b) {
    return (nm_nuplan_cells){{nm_nuplan_cell((b->lo_x - grid->origin_x) / grid->size, grid->columns),
                              nm_nuplan_cell((b->hi_x - grid->origin_x) / grid->size, grid->columns)},
                             {nm_nuplan_cell((b->lo_y - grid->origin_y) / grid->size, grid->rows),
                              nm_nuplan_cell((b->hi_y - grid->origin_y) / grid->size, grid->rows)}};
}

// --- boxes -----------------------------------------------------------------------------------------------------------

typedef struct nm_nuplan_rectangle {
    double x, y;         ///< centre
    double cos_h, sin_h; ///< heading
    double half_length, half_width;
} nm_nuplan_rectangle;

static inline nm_nuplan_rectangle nm_nuplan_rectangle_of(const nm_nuplan_box *box) {
    return (nm_nuplan_rectangle){box->x,          box->y, cos(box->heading), sin(box->heading), 0.5 * box->length,
                                 0.5 * box->width};
}
/// Advanced by `way` along its heading.
static inline nm_nuplan_rectangle nm_nuplan_advanced(nm_nuplan_rectangle r, double way) {
    r.x += way * r.cos_h, r.y += way * r.sin_h;
    return r;
}
/// Stretched forward by `way`.
static inline nm_nuplan_rectangle nm_nuplan_stretched(nm_nuplan_rectangle r, double way) {
    r = nm_nuplan_advanced(r, 0.5 * way);
    r.half_length += 0.5 * way;
    return r;
}

/// Do they overlap? Separating axes (Gottschalk et al. 1996); touching counts. Extents may be 0.
static inline int nm_nuplan_overlap(const nm_nuplan_rectangle *a, const nm_nuplan_rectangle *b) {
    const double dx = b->x - a->x, dy = b->y - a->y;
    const double c = fabs(a->cos_h * b->cos_h + a->sin_h * b->sin_h);
    const double s = fabs(a->cos_h * b->sin_h - a->sin_h * b->cos_h);
    return fabs(dx * a->cos_h + dy * a->sin_h) <= a->half_length + c * b->half_length + s * b->half_width &&
           fabs(dy * a->cos_h - dx * a->sin_h) <= a->half_width + s * b->half_length + c * b->half_width &&
           fabs(dx * b->cos_h + dy * b->sin_h) <= b->half_length + c * a->half_length + s * a->half_width &&
           fabs(dy * b->cos_h - dx * b->sin_h) <= b->half_width + s * a->half_length + c * a->half_width;
}

static inline double nm_nuplan_hypot(double x, double y) {
    return sqrt(x * x + y * y);
}
static inline int nm_nuplan_within(double dx, double dy, double reach) {
    return nm_nuplan_hypot(dx, dy) < reach;
}
/// The collision test (0.2): centres strictly nearer than half the sum of the diagonals, then the overlap. The first
/// matters for boxes that touch at corners on the line of their centres.
static inline int nm_nuplan_collide(const nm_nuplan_rectangle *a, const nm_nuplan_rectangle *b) {
    const double reach =
        nm_nuplan_hypot(a->half_length, a->half_width) + nm_nuplan_hypot(b->half_length, b->half_width);
    return nm_nuplan_within(b->x - a->x, b->y - a->y, reach) && nm_nuplan_overlap(a, b);
}

static inline double nm_nuplan_larger(double a, double b) {
    return a > b ? a : b;
}

// --- a run -----------------------------------------------------------------------------------------------------------

/// Objects that a point was assigned to, sample by sample: ranges into one pile of indices. An empty range is no
/// object.
typedef struct nm_nuplan_route {
    nm_range *set; ///< [points]
    nm_pile refs;  ///< uint32_t
} nm_nuplan_route;

static inline const uint32_t *nm_nuplan_set(const nm_nuplan_route *route, uint32_t at) {
    return (const uint32_t *)route->refs.data + route->set[at].first;
}

/// What is known of a sample before any metric looks at it.
typedef struct nm_nuplan_moment {
    double x, y;               ///< of the ego's centre
    double cos_h, sin_h;       ///< of its heading
    double speed;              ///< m/s, of the rear axle
    nm_nuplan_point corner[4]; ///< front left, rear left, rear right, front right
    uint8_t multi_lane;        ///< the footprint is not in one lane
    uint8_t at_fault;          ///< a collision at fault begins
} nm_nuplan_moment;

enum { NM_NUPLAN_CORNERS = 4 };

typedef struct nm_nuplan_run {
    const nm_nuplan_drive *drive;
    const nm_nuplan_map *map;
    nm_nuplan_result *result;
    double mean_dt;                 ///< s; 0 for a single sample
    nm_nuplan_moment *moment;       ///< [samples]
    nm_nuplan_route route;          ///< [samples] of the ego's centre
    nm_nuplan_route corners;        ///< [4 * samples]
    nm_nuplan_route expert;         ///< [expert_samples] of the expert's centre
    uint32_t *contact;              ///< [tracks] sample of the first contact, NM_NONE without
    nm_nuplan_point *centre;        ///< [samples] of the ego
    nm_nuplan_point *expert_centre; ///< [expert_samples]
    double *work;                   ///< [3 * samples]
    const nm_nuplan_series *series;
} nm_nuplan_run;

typedef enum nm_nuplan_side { NM_NUPLAN_AHEAD, NM_NUPLAN_BEHIND, NM_NUPLAN_BESIDE } nm_nuplan_side;

/// Where a point lies as seen from the rear axle: ahead within 30 degrees, behind beyond 150, both exclusive. At the
/// rear axle itself the angle is NaN as published: neither ahead nor behind.
static inline nm_nuplan_side nm_nuplan_side_of(const nm_nuplan_run *run, uint32_t step, double x, double y) {
    const nm_nuplan_moment *m = &run->moment[step];
    const double dx = x - run->drive->ego[step].x, dy = y - run->drive->ego[step].y;
    const double along = m->cos_h * dx + m->sin_h * dy, limit = 0.86602540378443865 * nm_nuplan_hypot(dx, dy);
    return along > limit ? NM_NUPLAN_AHEAD : along < -limit ? NM_NUPLAN_BEHIND : NM_NUPLAN_BESIDE;
}

/// The route of one point (0.4): S_k for each of `count` points. 0 when memory is out; frees nothing.
int nm_nuplan_find_route(const nm_nuplan_map *map, const nm_nuplan_point *points, uint32_t count,
                         nm_nuplan_route *route);
/// The route of the four corners; `corners` is [count][4].
int nm_nuplan_find_corners(const nm_nuplan_map *map, const nm_nuplan_moment *moments, uint32_t count,
                           nm_nuplan_route *route);
/// Is the footprint in one lane (0.5)? `corners` as nm_nuplan_find_corners made it.
int nm_nuplan_in_one_lane(const nm_nuplan_map *map, const nm_nuplan_route *corners, uint32_t sample);

/// Savitzky and Golay 1964, as SciPy's savgol_filter with mode "interp" does it, even windows included: then the fit of
/// the window [i - w/2 + 1, i + w/2] is evaluated at its middle, i + 1/2, within the series, but at the samples
/// themselves over the first and the last w / 2 samples. `window` (at most 16) is cut to `count`, and must be larger
/// than `degree` (at most 3) then. Least squares over the orthogonal polynomials of the window. `out` is not `values`.
void nm_nuplan_savgol(const double *values, uint32_t count, uint32_t window, uint32_t degree, uint32_t derivative,
                      double delta, double *out);
/// To 8 decimals, ties to even.
void nm_nuplan_round(double *values, uint32_t count);
/// Takes whole turns out of the differences of successive headings.
void nm_nuplan_unwrap(const double *headings, uint32_t count, double *out);

// The metrics. Each fills its entries of the result.
void nm_nuplan_find_collisions(nm_nuplan_run *run, nm_nuplan_collision *collisions, uint32_t max); ///< before the TTC
void nm_nuplan_judge_ttc(nm_nuplan_run *run);
void nm_nuplan_judge_area(nm_nuplan_run *run);
void nm_nuplan_judge_direction(nm_nuplan_run *run);
void nm_nuplan_judge_speed(nm_nuplan_run *run);
void nm_nuplan_judge_comfort(nm_nuplan_run *run);
int nm_nuplan_judge_progress(nm_nuplan_run *run); ///< 0 when memory is out

static inline void nm_nuplan_set_metric(nm_nuplan_run *run, nm_nuplan_metric which, double value, double worst,
                                        uint32_t step) {
    run->result->metric[which] = (nm_nuplan_value){value, worst, step, NM_NONE};
}

#endif
