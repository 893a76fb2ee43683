/// Several candidates for each future, and which of them goes on: importance sampling by an energy.
///
/// The model p and a residual energy E together are the distribution p(x) exp(-E(x)) / Z ("Energy-based diffusion
/// language models", arXiv 2410.21357, section 3: there the energy corrects what tokens that are sampled one by one do
/// not know of each other; here, that the model learns no scene as a whole). It is sampled as there (algorithm 1), by
/// self-normalised importance sampling inside a window of the denoising: K candidates, weights exp(-E) of the whole
/// scene that each pass predicts. What differs: a pass of the paper's network is a distribution from which K candidates
/// are drawn, a pass of ours is one scene, so that candidates are runs of their own, with a noise of their own, from
/// the first pass to the end of the window, where one of them goes on alone. Inside the window candidates of little
/// weight are replaced by copies of others whenever the effective number falls below half (sequential importance
/// resampling; Gordon, Salmond and Smith 1993), and the weights go on from there: they hold what was counted already,
/// so that the energy counts once. A copy keeps its own noise where a token has not begun to be denoised.
///
/// With one energy for all scenes no candidate is preferred: what comes out is distributed as without candidates.
#ifndef NM_NEXUS_CANDIDATES_H
#define NM_NEXUS_CANDIDATES_H

#include "nexus/sampler.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_CANDIDATES_MOST 64u

/// E of the scenes of a batch. x0 [in->count][channels] whole scenes: clean tokens as they are, the others as the last
/// pass predicted them, after guidance. energy [out, in->scene_count]; of a scene without tokens it is not read.
typedef nm_status nm_candidate_energy(void *context, const nm_denoise_input *in, const float *x0, double *energy,
                                      nm_error *error);

typedef enum nm_candidate_choice {
    NM_CHOOSE_SAMPLED = 0, ///< drawn by weight
    NM_CHOOSE_BEST         ///< the one of least energy; never resampled before
} nm_candidate_choice;
NM_API const char *nm_candidate_choice_name(nm_candidate_choice choice); ///< "sampled", "best"
NM_API nm_status nm_candidate_choice_parse(const char *text, nm_candidate_choice *c,
                                           nm_error *error); ///< NM_E_ARGUMENT

/// Fill with nm_candidates_config_default().
typedef struct nm_candidates_config {
    uint32_t count;             ///< K, 1..NM_CANDIDATES_MOST; default 1: none, and nothing else here is read
    double first, last;         ///< window, shares of a run's passes: resampled after pass first * passes and later
                                ///< ones, chosen after pass last * passes (rounded up, at least 1); 0 <= first <= last
                                ///< <= 1; default 1, 1
    nm_candidate_choice choice; ///< default sampled
    double temperature;         ///< weights are exp(-E / temperature), > 0; default 1
    nm_candidate_energy *energy;
    void *context;
} nm_candidates_config;
NM_API nm_candidates_config nm_candidates_config_default(void);
/// NM_E_ARGUMENT naming what is out of range.
NM_API nm_status nm_candidates_config_check(const nm_candidates_config *config, nm_error *error);
/// Passes over one scene that a future of a run of `passes` passes takes: K of them up to the choice, one after it.
NM_API uint64_t nm_candidates_cost(const nm_candidates_config *config, uint64_t passes);

// ---------------------------------------------------------------------------------------------------------------------
// Weights. Pure functions.

/// weights[k] = exp(log_weights[k]) / their sum; returns the effective number 1 / sum of squares (Kong 1992), in
/// [1, count]. Finite logarithms of any size.
NM_API double nm_candidate_weights(uint32_t count, const double *log_weights, double *weights);
/// The first k with u < weights[0] + .. + weights[k], u in [0, 1): drawn by weight.
NM_API uint32_t nm_candidate_draw(uint32_t count, const double *weights, double u);
/// Systematic resampling: candidate k is taken floor or ceil(count * weights[k]) times, count * weights[k] on average
/// over u in [0, 1). from [out, count]: whom each place continues; whoever is taken keeps its own place.
NM_API void nm_candidate_resample(uint32_t count, const double *weights, double u, uint32_t *from);
/// Keys the noise of candidate k of a future; candidate 0 is the future's own.
NM_API uint64_t nm_candidate_key(uint64_t key, uint32_t k);

// ---------------------------------------------------------------------------------------------------------------------
// A run: candidate k of future i is scene i * K + k of the sampler.

typedef struct nm_candidates nm_candidates;

/// What became of the candidates of a future.
typedef struct nm_candidate_report {
    uint32_t chosen;    ///< which
    uint32_t resampled; ///< how often before
    double effective;   ///< number of candidates by their weights at the choice, 1..K
    double energy;      ///< of the chosen one, at the choice
    double mean_energy; ///< of all
} nm_candidate_report;

/// seed: keys the draws with the future's key (NM_PURPOSE_CHOICE). NM_E_ARGUMENT, NM_E_MEMORY.
NM_API nm_status nm_candidates_create(const nm_candidates_config *config, uint32_t futures, uint64_t seed,
                                      nm_candidates **candidates, nm_error *error);
NM_API void nm_candidates_destroy(nm_candidates *candidates); ///< NULL is fine
/// Before the first pass. keys [futures] of the futures; passes: of the whole run.
NM_API void nm_candidates_begin(nm_candidates *candidates, const uint64_t *keys, uint32_t futures, uint64_t passes);
/// After each pass, until *chosen is 1: weighs, resamples (nm_sampler_copy_scene), and at the end of the window
/// chooses. NM_E_NUMERIC for an energy that is not finite; errors of the energy. No allocation.
NM_API nm_status nm_candidates_after_pass(nm_candidates *candidates, nm_sampler *sampler, int *chosen, nm_error *error);
NM_API const nm_candidate_report *nm_candidates_report(const nm_candidates *candidates, uint32_t future);

#ifdef __cplusplus
}
#endif
#endif
