/// Training of a denoising network: examples, noise, gradients, steps, states in files.
///
/// Example number n of a run is a pure function of (seed, n), so a run does not depend on threads, on how it is cut
/// into slices, or on when it was interrupted: saved and resumed it goes on bit for bit.
#ifndef NM_NEXUS_TRAINER_H
#define NM_NEXUS_TRAINER_H

#include "base/thread_pool.h"
#include "nexus/blocks.h"
#include "nexus/noise.h"
#include "nexus/noise_mask.h"
#include "nexus/optimizer.h"
#include "nexus/prior.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Makes example `number` in `arena`. Called from several threads at once, for different arenas; the same number gives
/// the same tokens. History is what comes before token tokens->config.past + 1. With blocks (nm_trainer_config) an
/// example is its parts, one after another through nm_tokens.next (nm_block_parts_build).
typedef nm_status nm_make_example(void *context, uint64_t number, nm_arena *arena, nm_tokens *tokens, nm_error *error);
typedef struct nm_example_source {
    void *context;
    nm_make_example *make;
} nm_example_source;

/// What a token at a level costs, its v prediction being off by d. As the error of the noise is alpha d and that of x0
/// is sigma d, the published weight counts errors of x0 with alpha^2 / (1 + min(SNR, 5)) / sigma^2 only: next to
/// nothing at the noisy levels, where a scene's large features are decided.
typedef enum nm_loss_kind {
    NM_LOSS_PUBLISHED = 0, ///< (alpha d)^2 / (1 + min(SNR, 5)), nexus-core 2
    NM_LOSS_V              ///< d^2 (Salimans and Ho 2022): every level alike
} nm_loss_kind;
NM_API const char *nm_loss_name(nm_loss_kind kind);                                    ///< "published", "v"
NM_API nm_status nm_loss_parse(const char *text, nm_loss_kind *kind, nm_error *error); ///< NM_E_ARGUMENT

/// The autoregressive loss (NBDiff, arXiv 2512.06776): with a causal mask a clean token sees nothing that comes after
/// it, so that it can be asked for what comes next, in the same pass. Clean token t, not before the last of the
/// history, is to say x0 of token t + 1 of the same part, as a block of that one token would have it: what the prior
/// leaves of it with all up to t known. The loss is the mean of squares over such tokens and their channels, times
/// `next`.
///
/// It is said by the ordinary output, which for clean tokens means nothing else: level 0 and the mask of known values
/// tell the network which of the two it is asked for. So it takes no parameters that weights or states would have to
/// carry or drop, and no operation: as alpha = 1 and sigma = 0 there, the loss of the noise (ops/train.h) with x0 in
/// the place of the noise is it. Not the history before its last token: in the frame of the last state all of them tell
/// where that is. Not the token after the part: it has another frame.
typedef struct nm_trainer_config {
    uint64_t seed;
    uint32_t scenes;        ///< examples in a pass, 1..4096; default 16
    uint32_t accumulate;    ///< passes whose gradients make one step, 1..4096; default 1
    uint32_t max_tokens;    ///< of an example; default 32 * 21. With blocks of all parts, clean and noised: parts that
                            ///< do not fit are left out
    uint32_t max_map_rows;  ///< of an example (of all its parts); default 32 * 48
    nm_block_config blocks; ///< size > 0: trains with the skip-causal mask of blocks.h; default none
    nm_block_growth growth; ///< by steps taken: step n from 1 on has the size of number n - 1, the source's examples
                            ///< (n - 1) * scenes * accumulate and on must have it, too; default none
    uint32_t parts;         ///< with blocks: parts of an example at most, 1..1024; default 16
    float next;             ///< weight of the autoregressive loss, >= 0, which needs blocks.causal; default 0
    float rate;             ///< largest learning rate, > 0; default 3e-4
    uint64_t warm_up;       ///< steps of linear rise; default 200
    uint64_t steps;         ///< of the whole run: the rate falls along half a cosine to final_rate * rate at its
                            ///< end and stays there; default 10000
    float final_rate;       ///< [0, 1]; default 0.02
    nm_snr_schedule snr;    ///< default cosine
    nm_loss_kind loss;      ///< default published
    nm_prior prior;         ///< default none
    int ahead;              ///< 1: a thread of the trainer makes the examples of the next pass while this one is
                            ///< computed, which changes no bit and pays where a GPU computes; default 0
    nm_noise_mask_config mask;
    nm_optimizer_config optimizer;
} nm_trainer_config;
NM_API nm_trainer_config nm_trainer_config_default(void);
/// NM_E_ARGUMENT naming the field.
NM_API nm_status nm_trainer_config_check(const nm_trainer_config *config, nm_error *error);
/// Blocks of step `step`, from 1.
NM_API nm_block_config nm_trainer_blocks(const nm_trainer_config *config, uint64_t step);
/// The rate of step `step`, from 1.
NM_API float nm_trainer_rate(const nm_trainer_config *config, uint64_t step);

typedef struct nm_trainer nm_trainer;

/// The model, the source and the pool (which makes examples; NULL = the calling thread) are borrowed. With
/// config->ahead the source and the pool are in use between calls, too: nobody else may use the pool.
NM_API nm_status nm_trainer_create(nm_model *model, nm_example_source source, const nm_trainer_config *config,
                                   nm_thread_pool *pool, nm_trainer **trainer, nm_error *error);
NM_API void nm_trainer_destroy(nm_trainer *trainer); ///< NULL is fine

typedef struct nm_train_report {
    uint64_t step;   ///< just taken, from 1
    double loss;     ///< mean over the step's passes; the autoregressive one, times its weight, is in it
    double norm;     ///< of the gradients, before clipping
    float rate;      ///< that was used
    uint64_t tokens; ///< that went into it
    uint64_t scenes;
    double flops; ///< of forward passes; forward and backward take about three times as many
} nm_train_report;
/// One step. NM_E_NUMERIC when loss or gradients are not finite: the model is as it was before the step, which is
/// not counted; the message says which examples were in it.
NM_API nm_status nm_trainer_step(nm_trainer *trainer, nm_train_report *report, nm_error *error);
NM_API uint64_t nm_trainer_steps(const nm_trainer *trainer);
NM_API nm_optimizer *nm_trainer_optimizer(nm_trainer *trainer);

/// Mean loss of examples [first, first + count) of `source`, with the noise of `seed`: the same examples and noise give
/// comparable numbers from one moment of a run to another, with config.blocks whatever the step, and without the
/// autoregressive loss. average: with the averaged weights.
NM_API nm_status nm_trainer_validate(nm_trainer *trainer, nm_example_source source, uint64_t seed, uint64_t first,
                                     uint64_t count, int average, double *loss, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
