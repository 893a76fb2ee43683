/// Private to sim/metrics: which courses come near which, found by a hashed grid over space and windows of time.
#ifndef NM_SIM_METRICS_NEIGHBOURS_H
#define NM_SIM_METRICS_NEIGHBOURS_H

#include "sim/metrics/course.h"
#include "sim/metrics/screen.h"

/// Where the centres of one course were during a window of NM_SCREEN_STEPS steps; empty when low_x > high_x.
typedef struct nm_extent {
    float low_x, high_x, low_y, high_y;
} nm_extent;

typedef struct nm_neighbours nm_neighbours;

/// Windows are counted from first_step on. Everything lives in `arena`. range: m. NM_E_MEMORY.
nm_status nm_neighbours_make(const nm_course *courses, uint32_t count, uint32_t first_step, float range,
                             nm_arena *arena, nm_neighbours **neighbours, nm_error *error);
/// Writes the courses above `course` that come within range of it in some window, ascending; returns how many.
/// Conservative: compares the extents. `found` holds count entries.
uint32_t nm_neighbours_above(nm_neighbours *neighbours, uint32_t course, uint32_t *found);

/// Windows [*first, *end) in which the course is.
void nm_neighbours_windows(const nm_neighbours *neighbours, uint32_t course, uint32_t *first, uint32_t *end);
/// May they come within range during the window? Both must be there.
int nm_neighbours_near(const nm_neighbours *neighbours, uint32_t a, uint32_t b, uint32_t window);

#endif
