/// Private to sim/metrics: one track over the evaluated steps, laid out for the loops over pairs.
#ifndef NM_SIM_METRICS_COURSE_H
#define NM_SIM_METRICS_COURSE_H

#include "base/arena.h"
#include "sim/metrics/pair.h"

#define NM_COURSE_PAD 8  ///< steps that loops may read at once: as many without a state follow each course
#define NM_BLOCK_STEPS 8 ///< steps that share one bounding box for the search of common ground

/// States of steps first .. first + count - 1, the first and the last of which are valid.
typedef struct nm_course {
    uint32_t first, count; ///< count 0 = no valid step
    float *x, *y;          ///< x is NaN where there is no state: every comparison with it is false
    float *vx, *vy, *cos_h, *sin_h;
    float *half_length, *half_width;
    float *speed;
    uint32_t *same;                ///< all ones where the state equals the one before, else 0
    float most_speed, most_extent; ///< over all steps: of |vx| + |vy|, of half_length + half_width
    /// Boxes around the ground covered from the step before a block to the first step of the next; NULL until
    /// nm_course_block.
    uint32_t block_count;
    nm_box *blocks;
    float *radii; ///< of circles around the blocks; negative for a block without a state
    nm_box whole;
} nm_course;

/// Reads the states of `track` in [first_step, last_step]. NM_E_MEMORY.
nm_status nm_course_make(const nm_scene *scene, uint32_t track, uint32_t first_step, uint32_t last_step,
                         nm_arena *arena, nm_course *course, nm_error *error);
/// Adds the blocks; margin: m on every side.
nm_status nm_course_block(nm_course *course, float margin, nm_arena *arena, nm_error *error);

static inline int nm_course_valid(const nm_course *course, uint32_t index) {
    return course->x[index] == course->x[index];
}

/// The box at `index` (step - first), accelerations left at 0; it must be valid.
static inline nm_box nm_course_box(const nm_course *course, uint32_t index) {
    return (nm_box){
        .x = course->x[index],
        .y = course->y[index],
        .cos_h = course->cos_h[index],
        .sin_h = course->sin_h[index],
        .length = 2.0f * course->half_length[index],
        .width = 2.0f * course->half_width[index],
        .vx = course->vx[index],
        .vy = course->vy[index],
    };
}

/// Post-encroachment time of two courses with blocks; see nm_pet. `scratch` holds an index per block of the larger
/// one. Does not look for collisions.
void nm_course_pet(const nm_course *first, const nm_course *second, double dt, const nm_criticality_params *params,
                   uint32_t *scratch, float *pet, uint32_t *step);

#endif
