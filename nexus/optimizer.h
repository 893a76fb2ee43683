/// AdamW over all parameters of a model, with an exponential moving average of them, and its state in files.
///
/// The model's values, both moments and the average are float32 master copies; what the fast backends multiply with is
/// made anew after every step. A run that is saved and resumed goes on bit for bit.
#ifndef NM_NEXUS_OPTIMIZER_H
#define NM_NEXUS_OPTIMIZER_H

#include "nexus/network.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_optimizer_config {
    float beta1, beta2; ///< default 0.9, 0.95
    float epsilon;      ///< default 1e-8
    float decay;        ///< of matrices of linear layers; default 0.01
    float clip;         ///< largest norm of all gradients together; 0 = none; default 1
    float ema_decay;    ///< 0 = no average; at step n at most (1 + n) / (10 + n), so that the first values do not hold
                        ///< a young average back; default 0.999
} nm_optimizer_config;
NM_API nm_optimizer_config nm_optimizer_config_default(void);

typedef struct nm_optimizer nm_optimizer;

/// The model is borrowed and outlives the optimizer. The average starts as the model's values. NM_E_ARGUMENT for betas
/// and ema_decay outside [0, 1), an epsilon that is not positive, anything negative or not a number; NM_E_MEMORY.
NM_API nm_status nm_optimizer_create(nm_model *model, const nm_optimizer_config *config, nm_optimizer **optimizer,
                                     nm_error *error);
NM_API void nm_optimizer_destroy(nm_optimizer *optimizer); ///< NULL is fine

/// One step along nm_pass_gradients(pass) at `rate`; gradients are clipped, not changed. `pass` is a training pass over
/// the optimizer's model. norm [out, nullable]: the gradients', before clipping. NM_E_NUMERIC when it is not finite,
/// NM_E_ARGUMENT for a rate that is negative or not finite: nothing was changed. Renews the model's packed weights.
NM_API nm_status nm_optimizer_step(nm_optimizer *optimizer, const nm_pass *pass, float rate, double *norm,
                                   nm_error *error);
NM_API uint64_t nm_optimizer_steps(const nm_optimizer *optimizer); ///< taken so far

/// Values, moments, average and the number of steps in a safetensors file, in shards of at most `shard_bytes` (0 =
/// one).
NM_API nm_status nm_optimizer_save(const nm_optimizer *optimizer, const char *path, size_t shard_bytes,
                                   nm_error *error);
/// Into an optimizer of the same configuration and a model of the same parameters. Refused when names or shapes of the
/// parameters differ or a file is of an optimizer with an average and the other is not (NM_E_FORMAT), when a value is
/// not finite or a mean of squares negative (NM_E_NUMERIC), and as nm_safetensors_open does, like that from one thread
/// at a time. Then both are as they were.
NM_API nm_status nm_optimizer_load(nm_optimizer *optimizer, const char *path, nm_error *error);
/// Exchanges the model's values with the average: once to use or save the average, once more to go on. NM_E_ARGUMENT
/// without an average, NM_E_MEMORY: nothing was changed.
NM_API nm_status nm_optimizer_swap_average(nm_optimizer *optimizer, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
