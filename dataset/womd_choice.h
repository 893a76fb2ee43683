/// What both WOMD encoders choose before they write: which 91 steps, who is the autonomous vehicle, whom to predict and
/// who is of interest. Private to dataset/womd_*.c.
///
/// - Time step 0.1 s: other scenes are resampled.
/// - Window: 10 steps before the current one, it, and 80 after. Where the scene has fewer than 10 steps before, the
///   window begins with it and the current step is its eleventh. Steps behind the scene's end are invalid. A longer
///   scene with labels: moved by as little as needed for the critical moment of the most severe one to lie 1 s to 6 s
///   after the current step.
/// - A window that is given (nm_export_item.window_first) is taken as it is.
/// - The autonomous vehicle: the scene's ego, in a given window only where it is there at the current step; where there
/// is none, as in evaluation (scenarios/episode.h) the motor
///   vehicle that was recorded longest from the current step on, of several the one that drove furthest, of these the
///   first; without motor vehicles anybody by the same rule.
/// - Of interest: who is marked so; else the two roles of the most severe label; else the ego and those steered at it.
/// - To predict: who is marked so; else, up to 8 of those who are there at the current step and later: the roles of the
///   labels, most severe first, then those who move (1 m in the window's future, or 0.5 m/s now), the nearest to the
///   autonomous vehicle first. Not the autonomous vehicle.
/// - Tracks without a state in the window are left out where they have one outside.
#ifndef NM_DATASET_WOMD_CHOICE_H
#define NM_DATASET_WOMD_CHOICE_H

#include "base/arena.h"
#include "dataset/export.h"
#include "sim/pile.h"

#define NM_WOMD_STEPS 91u
#define NM_WOMD_NOW 10u
#define NM_WOMD_PREDICTED 8u
#define NM_WOMD_DT 0.1

typedef struct nm_womd_choice {
    const nm_scene *scene;  ///< of time step 0.1 s
    const nm_scene *owned;  ///< the same where it was made here, else NULL
    uint32_t first;         ///< step of the scene that is step 0 of the window
    uint32_t *tracks;       ///< [track_count] of the scene, ascending
    uint32_t track_count;   ///< at least 1
    uint32_t ego;           ///< into tracks
    uint32_t *predict;      ///< [predict_count] into tracks
    uint32_t predict_count; ///< at most NM_WOMD_PREDICTED where they were not marked
    uint32_t *interest;     ///< [interest_count] into tracks
    uint32_t interest_count;
    int32_t *ids; ///< [track_count] the source's where it is no negative number and below 2^31, else free
                  ///< ones in ascending order
} nm_womd_choice;

/// Arrays come from the arena. Release with nm_womd_choice_release, also after a failure. NM_E_UNSUPPORTED for a scene
/// without anybody in the window, NM_E_MEMORY, NM_E_LIMIT from resampling.
nm_status nm_womd_choose(const nm_export_item *item, nm_arena *arena, nm_womd_choice *choice, nm_error *error);
void nm_womd_choice_release(nm_womd_choice *choice);

/// The step of the scene at step `step` of the window; 0 when the scene has ended.
static inline int nm_womd_step(const nm_womd_choice *choice, uint32_t step, uint32_t *of_scene) {
    *of_scene = choice->first + step;
    return *of_scene < choice->scene->step_count;
}

/// Times of the window's steps, s: as recorded, behind those and where there are none every 0.1 s.
void nm_womd_times(const nm_womd_choice *choice, double times[NM_WOMD_STEPS]);

/// As Track.ObjectType.
int nm_womd_object_type(unsigned agent_type);

/// A scenario's id: the source's own for what came from WOMD as it is, else the content hash in 16 hex digits; of a
/// given window followed by "-" and its first step.
#define NM_WOMD_ID 272
void nm_womd_scenario_id(const nm_export_item *item, char id[NM_WOMD_ID]);

/// The windows of both encoders (encoders.h).
nm_status nm_womd_windows(const nm_scene *scene, uint32_t every, nm_pile *out, nm_error *error);
int nm_womd_window_holds(const nm_scene *scene, uint32_t first, uint32_t step);

#endif
