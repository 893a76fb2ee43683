/// A residual energy over whole scenes: what tells recorded futures from a model's own.
///
/// With p(x) the model and E the energy, p(x) exp(-E(x)) / Z is closer to what is recorded ("Energy-based diffusion
/// language models", arXiv 2410.21357, section 3; residual energies of sequences: Deng et al. 2020). It is for
/// importance sampling among candidates (candidates.h). The energy of a scene is a sum over its agents, so that it
/// grows with them as a logarithm of probabilities does:
///
///   row of an agent's token, D features of its motion, the road and who is nearest (energy_rows.h)
///   h = SiLU(W1 row + b1); mean and largest over the agent's tokens of the future; a collision is one token of many
///   g = SiLU(W2 (mean, largest) + b2), e = w3 . g
///   E = scale * sum of e over the agents
///
/// It is trained by noise-contrastive estimation with the model's futures as noise, in its ranking form (Ma and Collins
/// 2018, for distributions that are conditional: whatever a context gives to all its futures falls out): of the
/// recorded future x_0 and n of the model,
///   loss = -log(exp(-E(x_0)) / sum_i exp(-E(x_i)))
/// which with n = 1 is -log sigmoid(E(x_1) - E(x_0)). Agents are what is ranked, each by its own e: there are many of
/// them in a scene; `scale` alone is fitted to whole scenes (agents of one scene are not independent, their sum claims
/// too much), on scenes that the rest did not see. The denoiser itself is not read: what it costs is far below a pass.
///
/// A head is constant while it is used, shared by threads; working memory is the caller's.
#ifndef NM_NEXUS_ENERGY_H
#define NM_NEXUS_ENERGY_H

#include "nexus/candidates.h"
#include "nexus/energy_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_ENERGY_MOST_HIDDEN 256u

/// Which model's futures it tells from recorded ones: of no use for another.
typedef struct nm_energy_origin {
    uint64_t model_hash; ///< nm_model_hash
    char model[64];      ///< its name, for people
    uint64_t steps;      ///< of training
    uint64_t examples;   ///< moments of scenes that were trained on
    double agent_share;  ///< of held back agents, ranked below all the model's; NaN = none
    double scene_share;  ///< the same of scenes
} nm_energy_origin;

typedef struct nm_energy nm_energy;

/// First values, a function of `seed` (NM_PURPOSE_INIT): layers uniform in +-1 / sqrt(inputs), scale 1. hidden 1 ..
/// NM_ENERGY_MOST_HIDDEN: NM_E_ARGUMENT; NM_E_MEMORY.
NM_API nm_status nm_energy_create(uint32_t hidden, uint64_t seed, nm_energy **energy, nm_error *error);
NM_API void nm_energy_destroy(nm_energy *energy); ///< NULL is fine
NM_API uint32_t nm_energy_hidden(const nm_energy *energy);
NM_API size_t nm_energy_parameter_count(const nm_energy *energy); ///< without the scale
/// W1 [H][D], b1 [H], W2 [H][2 H], b2 [H], w3 [H], in succession.
NM_API double *nm_energy_parameters(nm_energy *energy);
NM_API double nm_energy_scale(const nm_energy *energy);
NM_API void nm_energy_set_scale(nm_energy *energy, double scale);
NM_API nm_energy_origin *nm_energy_get_origin(nm_energy *energy);

/// Reads a head: safetensors "rows.weight", "rows.bias", "agents.weight", "agents.bias", "output.weight" and "scale",
/// with the metadata that save writes. NM_E_FORMAT for any other file, also one of other features
/// (NM_ENERGY_ROWS_VERSION); NM_E_NUMERIC for a value that is not finite; the rest as nm_safetensors_open.
NM_API nm_status nm_energy_load(const char *path, nm_energy **energy, nm_error *error);
/// Values are rounded to float32. Nothing half-written.
NM_API nm_status nm_energy_save(const nm_energy *energy, const char *path, nm_error *error);
/// NM_E_ARGUMENT when the head is another model's. hash: nm_model_hash.
NM_API nm_status nm_energy_check_model(const nm_energy *energy, uint64_t hash, nm_error *error);

/// e of an agent with `count` >= 1 rows [count][NM_ENERGY_ROW]; of none it is 0 by definition.
/// scratch  [out, 3 * hidden] for nm_energy_agent_backward; nullable
NM_API double nm_energy_agent(const nm_energy *energy, const float *rows, uint32_t count, double *scratch);
/// Adds d * (de / d parameters) to gradient [nm_energy_parameter_count]; scratch as the forward pass of the same rows
/// left it.
NM_API void nm_energy_agent_backward(const nm_energy *energy, const float *rows, uint32_t count, const double *scratch,
                                     double d, double *gradient);

/// E of a scene: rows [tokens->count][NM_ENERGY_ROW] as nm_energy_rows made them; tokens up to time `past` are given.
NM_API double nm_energy_scene(const nm_energy *energy, const nm_energy_tokens *tokens, uint32_t past,
                              const float *rows);

// ---------------------------------------------------------------------------------------------------------------------
// For candidates

/// A head, with what it must know of the scenes of a batch: the context of nm_energy_of_batch.
typedef struct nm_energy_batch {
    const nm_energy *energy;
    nm_energy_reader *reader;
    const nm_guided_scene *scenes; ///< in the order of the batch
    uint32_t scene_count;
    float *rows; ///< [reader's max_tokens][NM_ENERGY_ROW]
} nm_energy_batch;

/// An nm_candidate_energy. NM_E_LIMIT for a scene larger than the reader; NM_E_NOT_FOUND for one that was not set.
NM_API nm_status nm_energy_of_batch(void *batch, const nm_denoise_input *in, const float *x0, double *energy,
                                    nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
