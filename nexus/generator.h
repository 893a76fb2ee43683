/// Futures of scenes out of a trained model: tokens with what is known in them go in, all values come out.
///
/// All memory is made by the creation for a batch of a given size; runs allocate nothing but what a backend may for
/// recording a pass. One thread at a time, that of the model's backend.
#ifndef NM_NEXUS_GENERATOR_H
#define NM_NEXUS_GENERATOR_H

#include "nexus/agreement.h"
#include "nexus/candidates.h"
#include "nexus/pass_denoiser.h"
#include "nexus/recipe.h"
#include "nexus/sampler.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Fill with nm_generator_config_default().
typedef struct nm_generator_config {
    uint32_t scenes;               ///< in a batch, several futures of one scene counted each; 1..4096; default 8
    uint32_t levels;               ///< S of the sampler; default 8
    nm_solver solver;              ///< default ddim
    nm_schedule schedule;          ///< default full
    float clip;                    ///< of the sampler; default 0
    uint64_t seed;                 ///< default 0
    nm_reuse_config reuse;         ///< of passes, see reuse.h; default off. With its `compare` everything is sampled
                                   ///< twice, with exact passes first, and the guide called for both
    nm_sampler_observer *observer; ///< of the sampler; nullable
    void *observer_context;
    /// Finishes tokens early on which the network and a proposal agree; default all 0: none. Scenes in which nothing is
    /// left to denoise then leave the batch, and the pass, unless there is an observer, or reuse, which would have to
    /// forget what it kept: a guide must do without them.
    nm_agreement agreement;
    /// Of each future: memory for scenes * K; default one. Candidate k of scene i is scene i * K + k to the guide, the
    /// observer and the energy; those that are not chosen have no tokens from then on. Several can not be with
    /// agreement, nor with reuse of what is kept whoever takes the place (reuse.map and skip_) or reuse.compare; with
    /// reuse they are to the bit what they are without where a single one is (drift 0, no reductions).
    nm_candidates_config candidates;
} nm_generator_config;
NM_API nm_generator_config nm_generator_config_default(void);

typedef struct nm_generator nm_generator;

/// The model is borrowed and must outlive it; the recipe is copied. NM_E_ARGUMENT, NM_E_LIMIT for a value out of range;
/// NM_E_ARGUMENT for a recipe with blocks, which are for block_generator.h, for several candidates with what they can
/// not be with, and for an observer with reuse.compare; NM_E_FORMAT for a recipe that is not the model's
/// (nm_recipe_check); NM_E_MEMORY; errors of nm_reuse_create.
NM_API nm_status nm_generator_create(nm_model *model, const nm_recipe *recipe, const nm_generator_config *config,
                                     nm_generator **generator, nm_error *error);
NM_API void nm_generator_destroy(nm_generator *generator); ///< NULL is fine

/// What really happened at a time of a scene, asked while the rest of it is being sampled: a closed loop. Called once
/// for each time after the current one, in order, as soon as all tokens of the scene up to it are finished.
///
/// sampled  [A][C] tokens at `time`; 0 where there is none
/// told     [in: 0, out, A] 1 = `actual` takes the place of that agent's token, given ones apart, and is seen by all
///          passes after it
/// actual   [out, A][C] read where told
typedef nm_status nm_happened(void *context, uint32_t time, const float *sampled, uint8_t *told, float *actual,
                              nm_error *error);

/// One scene of a batch.
typedef struct nm_generation {
    const nm_tokens *tokens; ///< of the recipe's configuration; known tokens are given (nm_tokens_set_task)
    uint64_t key;            ///< keys the noise: another one for each future of a scene
    /// [A][T] nullable: where 1 and logged, the token's logged value takes the place of what was sampled as soon as
    /// that is finished, and is seen by all passes after it, as if the scene were lived through; `values` has what was
    /// sampled. Makes a difference to schedules that finish some tokens before others.
    const uint8_t *feedback;
    /// [A] nullable: where not 0, the agent's logged tokens that are not given are drafts (nm_sampler_draft) of at most
    /// this level, 1 .. levels, made of the logged values.
    const uint16_t *draft;
    /// [A][T][C] nullable: what a driver model says, read where `proposed` [A][T] is not 0; finite there. Elsewhere the
    /// prior is the proposal, from the tokens that are finished; without a prior (NM_PRIOR_NONE) there is none. Read
    /// with config.agreement only.
    const float *proposal;
    const uint8_t *proposed; ///< NULL with `proposal`
    nm_happened *happened;   ///< nullable; its failure ends the run. `values` has what was sampled
    void *happened_context;
    float *values; ///< [out, A x T x C] known values as they are, other valid ones as sampled, the rest 0
} nm_generation;

/// Samples `count` <= scenes scenes together. What comes out of a scene does not depend on which others are with it.
/// guide   nullable, see sampler.h
/// With reuse.compare there can be no `happened` (NM_E_ARGUMENT): what is lived through is so once.
/// NM_E_ARGUMENT for tokens of another configuration, and for feedback or `happened` with several candidates: a closed
/// loop is lived through once; NM_E_NUMERIC (what happened, too, or is proposed) and others as nm_sampler_run;
/// NM_E_LIMIT
NM_API nm_status nm_generator_run(nm_generator *generator, const nm_generation *scenes, uint32_t count, nm_guide *guide,
                                  void *guide_context, nm_error *error);
NM_API uint64_t nm_generator_passes(const nm_generator *generator);            ///< of the last run
NM_API nm_reuse_stats nm_generator_reuse_stats(const nm_generator *generator); ///< of the last run; 0 where it is off
/// What the last run did for its scene `scene`: passes until nothing was left to denoise, tokens that there were to
/// denoise, and those of them that were finished early; of several candidates, of the chosen one.
typedef struct nm_generated_count {
    uint64_t passes, tokens, agreed;
} nm_generated_count;
NM_API nm_generated_count nm_generator_count(const nm_generator *generator, uint32_t scene);
/// What became of the candidates of scene `scene` of the last run; NULL where there is one of each.
NM_API const nm_candidate_report *nm_generator_candidates(const nm_generator *generator, uint32_t scene);
/// The batch of the last run, for guides that must know which token is whose; of scenes that have left it there are no
/// tokens in it.
NM_API const nm_batch *nm_generator_batch(const nm_generator *generator);

#ifdef __cplusplus
}
#endif
#endif
