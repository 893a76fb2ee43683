/// One sampling run: the levels and values of all tokens of a batch of scenes, and the step from noise to scenes.
///
/// A pass predicts x0 for all tokens at once, lets guidance change it, and moves every token from its own level to the
/// next lower one (or leaves it, while its delay lasts). Tokens at level 0 are never changed except by set_token.
///
/// All mutable state of a run is here; a sampler is used by one thread at a time, several samplers by several threads.
/// Memory is sized by nm_sampler_create; nothing after it allocates.
#ifndef NM_NEXUS_SAMPLER_H
#define NM_NEXUS_SAMPLER_H

#include "nexus/denoiser.h"
#include "nexus/encoding.h"
#include "nexus/noise.h"
#include "nexus/schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_solver {
    NM_SOLVER_ANCESTRAL = 0, ///< stochastic: nm_ancestral_step (Ho et al. 2020)
    NM_SOLVER_DDIM,          ///< eta 0: z' = alpha' x0 + sigma' e (Song et al. 2021); exact to first order
    NM_SOLVER_2M ///< DPM-Solver++(2M), data prediction (Lu et al. 2022, algorithm 2), with each token's own steps
} nm_solver;
NM_API const char *nm_solver_name(nm_solver solver);                                    ///< "ancestral", "ddim", "2m"
NM_API nm_status nm_solver_parse(const char *text, nm_solver *solver, nm_error *error); ///< NM_E_ARGUMENT

/// Called with the state before the first pass (pass 0) and after every pass that had something to do: for a viewer.
/// See nm_sampler_state.
typedef struct nm_sampler nm_sampler;
typedef void nm_sampler_observer(void *context, const nm_sampler *sampler);

typedef struct nm_sampler_config {
    uint32_t max_tokens, max_scenes; ///< >= 1; no default
    uint32_t channels;               ///< [1, 64]; default 8
    uint32_t levels;                 ///< S, [1, NM_SCHEDULE_MAX_LEVELS]; default 32
    nm_snr_schedule snr;             ///< default cosine
    nm_solver solver;                ///< default ancestral
    float clip;                      ///< x0 is clamped to [-clip, clip], encoded; 0 = not; default 0 (published: 1)
    uint64_t seed;                   ///< default 0
    nm_sampler_observer *observer;   ///< nullable
    void *observer_context;
    /// Nullable: finishes tokens early. An agent of whom tokens were finished in a pass does not wait for passes that
    /// would move none of its tokens: they are left out of all of its delays.
    nm_settle *settle;
    void *settle_context;
} nm_sampler_config;
NM_API nm_sampler_config nm_sampler_config_default(void);

/// NM_E_ARGUMENT for a value out of range; NM_E_MEMORY.
NM_API nm_status nm_sampler_create(const nm_sampler_config *config, nm_sampler **sampler, nm_error *error);
NM_API void nm_sampler_destroy(nm_sampler *sampler); ///< NULL is fine

/// Which tokens there are; copied. Order and meaning of scene, agent and time as in nm_denoise_input: the agent is its
/// place among those of the scene, and may change whenever others come or go.
typedef struct nm_token_layout {
    uint32_t count, scene_count;
    const uint32_t *scene, *agent, *time; ///< [count]
    const uint32_t *frame;                ///< [count] number of the time token that never changes while a window moves,
                           ///< rising within an agent, <= NM_NOISE_MAX_FRAME; keys the noise. NULL = time
    const uint32_t *agent_id;  ///< [count] what never changes about the agent (nm_noise_agent); keys the noise. Agents
                               ///< of one scene and one id get one noise. NULL = agent
    const uint64_t *scene_key; ///< [scene_count] stable ids of the scenes; key the noise. Scenes of one key,
                               ///< and of one seed, get one noise: for several futures of a scene in a batch,
                               ///< mix their number into the key (nm_hash64)
} nm_token_layout;

/// Starts a run.
///
/// clean        [count] 1 = the token is given
/// values       [count][channels] of the given tokens; other rows are ignored
/// delay        [count] from nm_schedule_delays, 0 .. NM_SCHEDULE_MAX_DELAY; of given tokens ignored. NULL = all 0
/// returns      NM_E_ARGUMENT, saying which token, when the layout is not in order or has a scene, frame or delay out
///              of range; NM_E_LIMIT when it is larger than the sampler; NM_E_NUMERIC when a given value is not finite
NM_API nm_status nm_sampler_begin(nm_sampler *sampler, const nm_token_layout *layout, const uint8_t *clean,
                                  const float *values, const int32_t *delay, nm_error *error);

/// Goes on with another layout: agents came or went, a window moved. from [count]: the token of the old layout that
/// this one continues (its value, its level, what is left of its delay), or NM_TOKEN_NEW. Each old token is continued
/// at most once. A new token has
///   delay 0 ..           pure noise, and that delay
///   delay -levels .. -1  guess [channels] of its value, noised to level levels + delay; -levels: it is given, and so
///                        is news to its scene as in nm_sampler_set_token
/// delay, guess  [count], [count][channels], nullable (delay 0); read for new tokens only, guess where delay < 0
/// Errors as above; on error nothing has changed.
#define NM_TOKEN_NEW UINT32_MAX
NM_API nm_status nm_sampler_rearrange(nm_sampler *sampler, const nm_token_layout *layout, const uint32_t *from,
                                      const int32_t *delay, const float *guess, nm_error *error);

/// Overwrites a token, at whatever level it is: level 0 from now on, seen by the very next pass. The solver's memory of
/// its scene, predicted before this was known, is dropped when the value is news (the next pass is first order there).
/// values [channels]; NM_E_NUMERIC when one is not finite.
NM_API nm_status nm_sampler_set_token(nm_sampler *sampler, uint32_t token, const float *values, nm_error *error);

/// Makes a token above level 0 a draft: known but for some noise, which is what others see of it from now on. Its level
/// is clip(levels + delay - passes, 0, most): it waits at `most`, in steps of 1 / levels, 1 .. levels, where others
/// wait at pure noise, and loses its last levels when they do. guess [channels] is noised to its level, with its first
/// noise there. NM_E_NUMERIC when a value is not finite. O(tokens).
NM_API nm_status nm_sampler_draft(nm_sampler *sampler, uint32_t token, const float *guess, uint32_t most,
                                  nm_error *error);

/// The frames that tokens are in move: given values, noised ones, the last prediction and what the solver remembers go
/// along at whatever level they are (nm_state_encoding_move); levels and delays stay. Noise drawn from now on is in the
/// new frames. With clip 0 and a denoiser and a guide that are told of the new frames, what is sampled is what would
/// have been, moved, but for noise still to come.
///
/// motion_of  [count] which of `motions` makes coordinates of the token's old frame those of the new one, or
///            NM_TOKEN_STAYS
/// returns    what nm_state_encoding_check_motion refuses (NM_E_ARGUMENT); NM_E_NUMERIC for a motion that is none or a
///            value that is not finite afterwards: nothing has changed then
#define NM_TOKEN_STAYS UINT32_MAX
NM_API nm_status nm_sampler_reframe(nm_sampler *sampler, const nm_state_encoding *encoding, const nm_motion *motions,
                                    uint32_t motion_count, const uint32_t *motion_of, nm_error *error);

/// Makes the tokens of scene `to` those of scene `from`, at whatever level they are, with what the solver remembers:
/// the two have the same agents and times. Tokens of `to` that have not begun to be denoised keep their own noise.
/// Between passes, as all that is here. O(tokens).
NM_API void nm_sampler_copy_scene(nm_sampler *sampler, uint32_t from, uint32_t to);

/// One pass. guide NULL = none. On failure nothing has changed, and the pass may be tried again: of the denoiser, of
/// the guide, or NM_E_NUMERIC when an x0 is not finite or beyond +-1e30, from where the next passes may overflow. A
/// pass without a token above level 0 calls nobody and counts all the same.
NM_API nm_status nm_sampler_step(nm_sampler *sampler, const nm_denoiser *denoiser, nm_guide *guide, void *guide_context,
                                 nm_error *error);
/// Passes until all tokens are clean. On failure, the state before the failed pass.
NM_API nm_status nm_sampler_run(nm_sampler *sampler, const nm_denoiser *denoiser, nm_guide *guide, void *guide_context,
                                nm_error *error);
/// Passes still needed until all tokens are clean.
NM_API int64_t nm_sampler_remaining(const nm_sampler *sampler);

/// What can be seen: as the next pass will show it to the denoiser.
typedef struct nm_sampler_state {
    nm_denoise_input in;
    uint32_t levels;
    const uint16_t *step; ///< [count] level in steps of 1 / levels
    const float *x0;      ///< [count][channels] the last pass's prediction, after guidance; before the first pass of a
                          ///< token its noise, of clean tokens their value
    uint64_t passes;      ///< done since nm_sampler_begin
} nm_sampler_state;
/// The pointers stay valid until the next call that changes the sampler.
NM_API nm_sampler_state nm_sampler_get(const nm_sampler *sampler);

#ifdef __cplusplus
}
#endif
#endif
