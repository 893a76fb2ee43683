/// Scenes to train on, and the examples they give: which scene, which moment, whose view, varied how.
///
/// Example number n is a pure function of the set (its parts in the order they were added), its seed and n, so a run
/// can be cut, resumed and shared out over threads. Constant after the last nm_training_set_add; then examples are made
/// by several threads at once.
#ifndef NM_NEXUS_TRAINING_SET_H
#define NM_NEXUS_TRAINING_SET_H

#include "nexus/augment.h"
#include "nexus/blocks.h"
#include "nexus/trainer.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Fill with nm_training_set_config_default().
typedef struct nm_training_set_config {
    nm_token_config tokens;
    nm_augmentation augmentation; ///< default none
    float
        other_ego; ///< [0, 1] share of examples in which a random vehicle is the ego, static tracks apart; default 0.5
    float routes;  ///< nm_token_request.routes, where tokens have paths; default 0.5
    uint32_t least_future;  ///< tokens of future that the recording covers, where the scene is long enough for it;
                            ///< default 4
    uint64_t seed;          ///< default 0
    nm_block_config blocks; ///< size > 0: examples are parts, one a block (blocks.h); default none
    nm_block_growth growth; ///< by numbers of examples; default none
    uint32_t parts;         ///< of an example at most; default 0 = those that cover the future
} nm_training_set_config;
NM_API nm_training_set_config nm_training_set_config_default(nm_token_encoding encoding);

typedef struct nm_training_set nm_training_set;
/// NM_E_ARGUMENT naming the field that is out of range; NM_E_MEMORY.
NM_API nm_status nm_training_set_create(const nm_training_set_config *config, nm_training_set **set, nm_error *error);
NM_API void nm_training_set_destroy(nm_training_set *set); ///< NULL is fine

/// A part is a number of scenes with a share of the examples: `weight` over the sum of all parts' weights. Within a
/// part every moment of every scene is as likely as any other.
/// *part receives its index. NM_E_ARGUMENT for a weight that is not positive and finite.
NM_API nm_status nm_training_set_add_part(nm_training_set *set, double weight, uint32_t *part, nm_error *error);
/// Takes the scene over, on success. Its map is cut once for all scenes that share it. Refuses a time step that is not
/// 0.1 s and a scene without any state (NM_E_ARGUMENT).
NM_API nm_status nm_training_set_add(nm_training_set *set, uint32_t part, const nm_scene *scene, nm_error *error);
/// A part whose examples come from elsewhere, such as a simulator. Borrowed. `source.make` is called with the set's
/// example numbers, those that fall to it; its tokens are augmented like all others, and must have the set's token
/// configuration.
NM_API nm_status nm_training_set_add_source(nm_training_set *set, double weight, nm_example_source source,
                                            nm_error *error);

NM_API size_t nm_training_set_scenes(const nm_training_set *set);
NM_API uint64_t nm_training_set_moments(const nm_training_set *set); ///< that examples may begin at
/// What the trainer asks. NM_E_NOT_FOUND from it: a scene with nobody in it at every moment tried.
/// The set is borrowed and must have examples: parts without scenes count as having no weight.
NM_API nm_example_source nm_training_set_source(nm_training_set *set);

#ifdef __cplusplus
}
#endif
#endif
