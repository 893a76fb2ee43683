/// What the parts of the validity filter share. Private to scenarios/.
#ifndef NM_SCENARIOS_VALIDITY_INTERNAL_H
#define NM_SCENARIOS_VALIDITY_INTERNAL_H

#include "scenarios/validity.h"

#define NM_VALID_CHORD 0.3f ///< m that count as standing
#define NM_VALID_REAR 0.3f  ///< of the length: from the centre back to the rear axle (sim's cars)

/// Motion of one run of valid steps, each array [count]; NaN where no whole window fits.
typedef struct nm_motion {
    uint32_t first, count;
    float *heading; ///< rad, unwrapped; of every step
    float *speed, *along, *across, *jerk, *yaw_rate, *slip;
} nm_motion;

/// Measures the steps [first, last], all valid. NM_E_MEMORY.
nm_status nm_motion_measure(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t last, nm_arena *arena,
                            nm_motion *out);

/// The run of valid steps around or after `from`: 1 when there is one, from >= first and run up to `last` at most.
int nm_valid_run(const nm_scene *scene, uint32_t track, uint32_t from, uint32_t last, uint32_t *first, uint32_t *end);

typedef struct nm_judging {
    const nm_conflict_case *conflict;
    const nm_validity_params *params;
    nm_arena *arena;
    nm_validity *out;
    uint32_t begin, last; ///< steps that are judged; realism and cause from conflict->begin on
} nm_judging;

/// Lays a measured value beside the verdict: the worse one stays. allowed: passing the limit was asked for.
void nm_verdict_take(nm_judging *j, nm_verdict_kind kind, uint32_t track, uint32_t step, float value, float limit,
                     int allowed);

/// Last step before the track first touches another one that it did not touch at the beginning; else j->last.
uint32_t nm_last_free_step(const nm_judging *j, uint32_t track);

nm_status nm_judge_motion(nm_judging *j, uint32_t track);
nm_status nm_judge_overlaps(nm_judging *j);
nm_status nm_judge_road(nm_judging *j, uint32_t track, int adversary);
nm_status nm_judge_rules(nm_judging *j, uint32_t track);
nm_status nm_judge_realism(nm_judging *j, uint32_t track);
nm_status nm_judge_cause(nm_judging *j);

/// Which cell of the histograms a value falls into.
#define NM_ORDINARY_SPEEDS 8
#define NM_ORDINARY_FEATURES 3
#define NM_ORDINARY_BINS 41
uint32_t nm_ordinary_speed(float speed);
uint32_t nm_ordinary_bin(int feature, float value);
/// Adds the drive to counts [NM_ORDINARY_FEATURES][NM_ORDINARY_SPEEDS][NM_ORDINARY_BINS]: how the table was made.
nm_status nm_ordinary_count(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t last, nm_arena *arena,
                            uint32_t *counts);

#endif
