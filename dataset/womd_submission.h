/// Submissions to the Waymo Open Sim Agents Challenge (SimAgentsChallengeSubmission): simulated futures of WOMD scenes,
/// read and written. A file, shard or not (submission.binproto-00000-of-00150), is one bare protobuf message; several
/// messages one behind the other are one message that holds all they hold, so a file is written in parts:
/// nm_womd_submission_encode_info once, nm_womd_submission_encode_scene for each scene.
///
/// What comes in is hostile until checked. Trajectories for scenario generation (sizes, types, flags of their own) are
/// read for their positions only.
#ifndef NM_DATASET_WOMD_SUBMISSION_H
#define NM_DATASET_WOMD_SUBMISSION_H

#include "base/arena.h"
#include "sim/metrics/futures.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_WOMD_ROLLOUTS 32u ///< samples a scene that the challenge wants
#define NM_WOMD_STEPS 80u    ///< and steps a sample

// ---------------------------------------------------------------------------------------------------------------------
// Reading

/// The rollouts of one scene within a submission.
typedef struct nm_womd_rollouts {
    const char *scenario_id; ///< "" when it was not set; lives in the submission's arena
    const uint8_t *bytes;    ///< of the message
    size_t size;
    size_t offset; ///< of the message in the file
} nm_womd_rollouts;

typedef struct nm_womd_submission {
    const char *name; ///< of the input, for messages
    size_t count;
    const nm_womd_rollouts *scenes; ///< [count] in the order of the file
} nm_womd_submission;

/// Finds the scenes in `bytes`, which are borrowed, as is `name`, for as long as the submission is used. What is in a
/// scene is looked at by nm_womd_submission_futures.
/// returns   NM_E_FORMAT with the byte offset: no such message; NM_E_MEMORY
NM_API nm_status nm_womd_submission_open(const char *name, const void *bytes, size_t size, nm_arena *arena,
                                         nm_womd_submission *submission, nm_error *error);

/// Index of the scene with that id, or submission->count.
NM_API size_t nm_womd_submission_find(const nm_womd_submission *submission, const char *scenario_id);

/// The futures of `scene`, imported from WOMD, that scene `index` of the submission holds: positions moved into the
/// scene's frame, headings wrapped, agents in the order of the scene's tracks. Lives in `arena`.
/// returns   NM_E_FORMAT: no such message; not for this scene; no rollouts or no steps; a rollout that does not hold
///           every track valid at the current step once, and no other, each for equally many steps; a coordinate that
///           is not finite or further than NM_SCENE_MAX_DISTANCE from the map's origin. Other numbers of rollouts and
///           steps than the challenge's are fine. NM_E_LIMIT: over 256 MiB for one scene. NM_E_MEMORY
NM_API nm_status nm_womd_submission_futures(const nm_womd_submission *submission, size_t index, const nm_scene *scene,
                                            nm_arena *arena, nm_futures *futures, nm_error *error);

// ---------------------------------------------------------------------------------------------------------------------
// Writing

/// Who submits what. Strings are nullable (left out).
typedef struct nm_womd_submission_info {
    const char *account_name; ///< e-mail registered with the challenge
    const char *unique_method_name;
    const char *const *authors;
    size_t author_count;
    const char *affiliation, *description, *method_link;
    const char *num_model_parameters; ///< "200K"
    int uses_lidar_data, uses_camera_data;
    int uses_public_model_pretraining;
    const char *const *public_model_names;
    size_t public_model_count;
    int closed_loop; ///< the method acts step by step at 10 Hz, as the challenge demands
} nm_womd_submission_info;

/// The bytes of a message with all but scenes. They live in `arena`. NM_E_MEMORY.
NM_API nm_status nm_womd_submission_encode_info(const nm_womd_submission_info *info, nm_arena *arena,
                                                const uint8_t **bytes, size_t *size, nm_error *error);

/// The bytes of a message with one scene: positions in the source's frame, one trajectory for each agent of the
/// futures. That samples, steps and agents are those the challenge wants is up to the caller.
/// returns   NM_E_ARGUMENT: the scene is not from WOMD (an id that is not 32 bits, no scenario id); NM_E_MEMORY
NM_API nm_status nm_womd_submission_encode_scene(const nm_scene *scene, const nm_futures *futures, nm_arena *arena,
                                                 const uint8_t **bytes, size_t *size, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
