/// What the sampler asks of a network: the v prediction for packed tokens.
///
/// Tokens are the valid ones of a batch of scenes, packed in the order (scene, agent, time); there is no padding.
#ifndef NM_NEXUS_DENOISER_H
#define NM_NEXUS_DENOISER_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Owned by the sampler, valid during the call. Host memory.
typedef struct nm_denoise_input {
    uint32_t count, channels;
    uint32_t scene_count;
    uint64_t layout;       ///< changes whenever count, scene, agent or time do: groups may be kept while it is the
                           ///< same. Other samplers count anew
    const uint32_t *scene; ///< [count] index in the batch, rising
    const uint32_t *agent; ///< [count] the agent's place in its scene, rising within a scene
    const uint32_t *time;  ///< [count] place in the window, rising within an agent
    const float *known;    ///< [count][channels] the value of clean tokens, 0 for others
    const float *mask;     ///< [count][channels] 1 for clean tokens (level 0: given, executed or finished), else 0
    const float *noised;   ///< [count][channels] z; of clean tokens the value itself
    const float *level;    ///< [count] u in [0, 1]
    const uint8_t *moves;  ///< [count] nullable: 0 = the pass leaves the token at its level, and nothing that is said
                           ///< of it is used but by an nm_settle. NULL = not known; so outside of passes
} nm_denoise_input;

/// Writes v [out, count x channels]; rows of clean tokens are ignored. May wait for a device, may use threads. A
/// failure ends the pass and leaves the sampler as it was before it. The map and other conditions are the context's.
typedef nm_status nm_predict(void *context, const nm_denoise_input *in, float *v, nm_error *error);

typedef struct nm_denoiser {
    void *context;
    nm_predict *predict;
} nm_denoiser;

/// Calls the denoiser and checks what came back: NM_E_NUMERIC, with the first token it is about and how many there are,
/// when the prediction for a token that is not clean has a NaN or an infinity.
NM_API nm_status nm_denoise(const nm_denoiser *denoiser, const nm_denoise_input *in, float *v, nm_error *error);

/// Called on the predicted x0 [in/out, count x channels] of a pass before it is used; see guidance.h. Rows of clean
/// tokens hold their values; what is written to them is ignored.
typedef nm_status nm_guide(void *context, const nm_denoise_input *in, float *x0, nm_error *error);

/// What becomes of a token after a pass (nm_settle).
typedef enum nm_settled {
    NM_NOT_SETTLED = 0,      ///< what the schedule says
    NM_SETTLED_AS_PREDICTED, ///< finished with its row of x0, as when its last level is gone
    NM_SETTLED_OTHERWISE     ///< the same, but that row is no prediction: news to its scene as in nm_sampler_set_token
} nm_settled;
/// Called on the x0 [in/out, count x channels] of a pass after guidance, to finish tokens before their schedule does.
/// settled [in: all 0, out, count] nm_settled; rows of x0 are to be changed of NM_SETTLED_OTHERWISE only, and are
/// finite there. What is said of clean tokens is ignored.
typedef void nm_settle(void *context, const nm_denoise_input *in, float *x0, uint8_t *settled);

#ifdef __cplusplus
}
#endif
#endif
