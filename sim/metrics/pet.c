/// Post-encroachment time: how long after one left a piece of ground the other came to it.
///
/// `late` comes to ground that `early` has covered. Search: for each block of steps of `late` the blocks of `early`
/// whose bounding boxes touch it (none, almost always), then step by step. Following on the same path is the one common
/// case with ground shared at every step; there the step of `early` that covered the last position, or its neighbour,
/// answers at once.
#include "sim/metrics/course.h"

#include "sim/math.h"

typedef struct search {
    const nm_course *early, *late;
    double margin;          ///< m
    double cross_cos;       ///< below: paths cross
    uint32_t memory;        ///< steps for which covered ground is remembered: twice the horizon, so that a gap that
                            ///< shrinks below it is not taken for an arrival
    const uint32_t *blocks; ///< of `early`, ascending, that may matter for the block of `late` at hand
    uint32_t block_count;
} search;

/// Centre and motion of a course between two steps.
typedef struct motion {
    nm_box box;
    double dx, dy; ///< displacement over the step; 0 where there is no neighbour
} motion;

static motion motion_of(const nm_course *course, uint32_t index, uint32_t neighbour, double margin) {
    motion out = {.box = nm_course_box(course, index)};
    out.box.length = (float)(out.box.length + 2.0 * margin);
    out.box.width = (float)(out.box.width + 2.0 * margin);
    if (neighbour < course->count && nm_course_valid(course, neighbour)) {
        double sign = neighbour > index ? 1.0 : -1.0;
        out.dx = sign * ((double)course->x[neighbour] - course->x[index]);
        out.dy = sign * ((double)course->y[neighbour] - course->y[index]);
    }
    return out;
}

/// The least of beta - alpha (in steps) for which early, alpha in [0, 1] after its step i, and late, beta in [-1, 0]
/// around its step k, overlap: a linear program in two unknowns, solved by clipping the square of both. Never below
/// -steps, which would be early coming after late. 0 = they never do.
static int least_lag(const nm_pair_axes *axes, const motion *early, const motion *late, double steps, double *lag) {
    nm_polygon polygon = {4, {0.0, 1.0, 1.0, 0.0}, {-1.0, -1.0, 0.0, 0.0}};
    for (int k = 0; k < 4 && polygon.count; k++) {
        double a = -(axes->x[k] * early->dx + axes->y[k] * early->dy);
        double b = axes->x[k] * late->dx + axes->y[k] * late->dy;
        nm_polygon_clip(&polygon, a, b, axes->e[k] - axes->p[k]);
        nm_polygon_clip(&polygon, -a, -b, axes->e[k] + axes->p[k]);
    }
    nm_polygon_clip(&polygon, 1.0, -1.0, steps);
    *lag = INFINITY;
    for (int i = 0; i < polygon.count; i++) *lag = nm_smaller(*lag, polygon.y[i] - polygon.x[i]);
    return polygon.count > 0;
}

/// Could they overlap at all during the two steps? Boxes around the ground each sweeps.
static int may_touch(const nm_pair_axes *axes, const motion *early, const motion *late) {
    double mx = 0.5 * (-late->dx - early->dx), my = 0.5 * (-late->dy - early->dy);
    for (int k = 0; k < 4; k++) {
        double reach = 0.5 * (fabs(axes->x[k] * early->dx + axes->y[k] * early->dy) +
                              fabs(axes->x[k] * late->dx + axes->y[k] * late->dy));
        if (fabs(axes->p[k] + axes->x[k] * mx + axes->y[k] * my) > axes->e[k] + reach) return 0;
    }
    return 1;
}

/// Did early, in its step i .. i + 1, cover ground that late covers in its step k - 1 .. k? lag [out, nullable]: in
/// steps.
static int covers(const search *find, uint32_t i, uint32_t k, double *lag) {
    const nm_course *early = find->early, *late = find->late;
    if (!nm_course_valid(early, i)) return 0;
    motion one = motion_of(early, i, i + 1, find->margin);
    motion other = motion_of(late, k, k > 0 ? k - 1 : UINT32_MAX, find->margin);
    nm_pair_axes axes = nm_pair_axes_of(&one.box, &other.box);
    if (!lag && nm_axes_overlap(&axes, 0.0, 0.0)) return 1;
    if (!may_touch(&axes, &one, &other)) return 0;
    double steps = (double)late->first + k - ((double)early->first + i), part;
    if (!least_lag(&axes, &one, &other, steps, &part)) return 0;
    if (lag) *lag = nm_positive(steps + part);
    return 1;
}

/// The last step of `early` before late's step k that covers late's ground; UINT32_MAX = none.
static uint32_t last_cover(const search *find, uint32_t k, double *lag) {
    int64_t newest = (int64_t)find->late->first + k - find->early->first - 1;
    int64_t oldest = newest - find->memory;
    for (uint32_t n = find->block_count; n-- > 0;) {
        int64_t from = (int64_t)find->blocks[n] * NM_BLOCK_STEPS, to = from + NM_BLOCK_STEPS - 1;
        if (to >= find->early->count) to = (int64_t)find->early->count - 1;
        if (to > newest) to = newest;
        if (from < oldest) from = oldest;
        for (int64_t i = to; i >= from; i--)
            if (covers(find, (uint32_t)i, k, lag)) return (uint32_t)i;
    }
    return UINT32_MAX;
}

/// Is the ground of step k covered near the step that covered the last position? UINT32_MAX = not surely.
///
/// When one follows the other, the step of `early` that is nearest has its centre so near that the circles inside both
/// boxes overlap: no geometry needed.
static uint32_t cover_near(const search *find, uint32_t k, uint32_t hint) {
    const nm_course *early = find->early, *late = find->late;
    int64_t newest = (int64_t)late->first + k - early->first - 1;
    float x = late->x[k], y = late->y[k], nearest = INFINITY;
    uint32_t best = hint;
    for (int64_t i = hint; i <= newest && i < early->count; i++) {
        float dx = early->x[i] - x, dy = early->y[i] - y, distance = dx * dx + dy * dy;
        if (!(distance < nearest)) break;
        nearest = distance, best = (uint32_t)i;
    }
    float inside = 0.999f * (nm_minf(early->half_length[best], early->half_width[best]) +
                             nm_minf(late->half_length[k], late->half_width[k]));
    if (nearest < inside * inside || (nearest < INFINITY && covers(find, best, k, NULL))) return best;
    return UINT32_MAX;
}

static double heading_cos(const search *find, uint32_t i, uint32_t k) {
    return (double)find->early->cos_h[i] * find->late->cos_h[k] + (double)find->early->sin_h[i] * find->late->sin_h[k];
}

/// Does late's step k touch the box at which early's recording began (or began again after a gap)?
static int at_the_start_of(const search *find, uint32_t i, uint32_t k) {
    uint32_t start = i;
    for (uint32_t n = 0; n < find->memory && start > 0 && nm_course_valid(find->early, start - 1); n++) start--;
    if (start > 0 && nm_course_valid(find->early, start - 1)) return 0;
    return covers(find, start, k, NULL);
}

/// Writes the blocks of `early` that touch block `b` of `late` in space and are not all later or forgotten in time.
static uint32_t near_blocks(const search *find, uint32_t b, uint32_t *blocks) {
    const nm_course *early = find->early, *late = find->late;
    int64_t first = (int64_t)late->first - early->first + (int64_t)b * NM_BLOCK_STEPS; // in early's steps
    int64_t newest = first + NM_BLOCK_STEPS - 2, oldest = first - 1 - find->memory;
    uint32_t count = 0;
    for (int64_t n = oldest > 0 ? oldest / NM_BLOCK_STEPS : 0; n < early->block_count && n * NM_BLOCK_STEPS <= newest;
         n++) {
        const nm_box *one = &early->blocks[n], *other = &late->blocks[b];
        float dx = one->x - other->x, dy = one->y - other->y, reach = early->radii[n] + late->radii[b];
        if (reach < 0.0f || dx * dx + dy * dy > reach * reach) continue;
        if (nm_box_overlap(one, other)) blocks[count++] = (uint32_t)n;
    }
    return count;
}

/// What is known of `late` between two of its steps.
typedef struct visit {
    int covered;   ///< the ground of the last step was covered; so it counts when there was no last step
    int crossing;  ///< still on the ground it arrived at by crossing
    uint32_t hint; ///< step of `early` that covered it, UINT32_MAX = none
} visit;

/// Moves the visit to late's valid step k; returns the lag in steps when that is to be counted, else INFINITY.
static double advance(const search *find, visit *now, uint32_t k) {
    int timed = now->crossing || !now->covered;
    if (!timed && now->hint != UINT32_MAX) {
        now->hint = cover_near(find, k, now->hint);
        if (now->hint != UINT32_MAX) return INFINITY;
    }
    double lag = INFINITY;
    uint32_t i = last_cover(find, k, timed ? &lag : NULL);
    int arrived = !now->covered && i != UINT32_MAX;
    int crossing = timed && i != UINT32_MAX && heading_cos(find, i, k) < find->cross_cos;
    if (!crossing && !(arrived && !at_the_start_of(find, i, k))) lag = INFINITY;
    *now = (visit){i != UINT32_MAX, crossing, i};
    return lag;
}

static double arrivals(const search *find, uint32_t *scratch, double dt, double horizon, uint32_t *step) {
    search local = *find;
    const nm_course *late = find->late;
    double best = INFINITY;
    visit now = {1, 0, UINT32_MAX};
    local.blocks = scratch;
    for (uint32_t b = 0; b < late->block_count; b++) {
        local.block_count = near_blocks(find, b, scratch);
        uint32_t end = nm_minu((b + 1) * NM_BLOCK_STEPS, late->count);
        for (uint32_t k = b * NM_BLOCK_STEPS; k < end; k++) {
            if (!nm_course_valid(late, k)) {
                now = (visit){1, 0, UINT32_MAX};
                continue;
            }
            double lag = local.block_count ? advance(&local, &now, k) * dt : INFINITY;
            if (!local.block_count) now = (visit){0, 0, UINT32_MAX};
            if (lag < best && lag <= horizon) best = lag, *step = late->first + k;
        }
    }
    return best;
}

void nm_course_pet(const nm_course *first, const nm_course *second, double dt, const nm_criticality_params *params,
                   uint32_t *scratch, float *pet, uint32_t *step) {
    *pet = INFINITY, *step = NM_NONE;
    if (!first->count || !second->count || !nm_box_overlap(&first->whole, &second->whole)) return;
    float sine, cosine;
    nm_sincosf(params->pet_cross_angle, &sine, &cosine);
    double horizon = nm_positive(params->pet_horizon);
    search find = {.margin = nm_positive(params->pet_margin), .cross_cos = cosine};
    find.memory = (uint32_t)nm_smaller(ceil(2.0 * horizon / dt), 1e9);
    const nm_course *courses[2] = {first, second};
    double best = INFINITY;
    for (int order = 0; order < 2; order++) {
        uint32_t at = NM_NONE;
        find.early = courses[order], find.late = courses[1 - order];
        double lag = arrivals(&find, scratch, dt, horizon, &at);
        if (lag < best) best = lag, *step = at;
    }
    *pet = nm_result(best);
}

nm_status nm_pet(const nm_scene *scene, uint32_t first, uint32_t second, const nm_criticality_params *params,
                 nm_arena *arena, float *pet, uint32_t *step, nm_error *error) {
    NM_ASSERT(first < scene->track_count && second < scene->track_count);
    *pet = INFINITY;
    if (step) *step = NM_NONE;
    if (!scene->step_count) return NM_OK;
    nm_arena_mark mark = nm_arena_get_mark(arena);
    const uint32_t tracks[2] = {first, second};
    nm_course courses[2];
    nm_status status = NM_OK;
    for (int i = 0; i < 2 && status == NM_OK; i++) {
        status = nm_course_make(scene, tracks[i], 0, scene->step_count - 1, arena, &courses[i], error);
        if (status == NM_OK) status = nm_course_block(&courses[i], params->pet_margin, arena, error);
    }
    int together = 0;
    nm_box a, b;
    for (uint32_t t = 0; t < scene->step_count && status == NM_OK && !together; t++)
        together = nm_scene_box(scene, first, t, &a) && nm_scene_box(scene, second, t, &b) && nm_box_overlap(&a, &b);
    if (status == NM_OK && !together) {
        uint32_t at,
            *scratch = NM_ARENA_ARRAY(arena, uint32_t, nm_maxu(courses[0].block_count, courses[1].block_count));
        if (scratch)
            nm_course_pet(&courses[0], &courses[1], scene->dt, params, scratch, pet, step ? step : &at);
        else
            status = NM_ERROR(error, NM_E_MEMORY, "no memory for the paths of two tracks");
    }
    nm_arena_release(arena, mark);
    return status;
}
