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
    float ema_decay;    ///< 0 = no average; default 0.999
} nm_optimizer_config;
NM_API nm_optimizer_config nm_optimizer_config_default(void);

typedef struct nm_optimizer nm_optimizer;

/// The model is borrowed. The average starts as the model's values.
NM_API nm_status nm_optimizer_create(nm_model *model, const nm_optimizer_config *config, nm_optimizer **optimizer,
                                     nm_error *error);
NM_API void nm_optimizer_destroy(nm_optimizer *optimizer); ///< NULL is fine

/// One step along nm_pass_gradients(pass) at `rate`; gradients are clipped, not changed. norm [out, nullable]: theirs,
/// before clipping. NM_E_NUMERIC when it is not finite: nothing was changed. Renews the model's packed weights.
NM_API nm_status nm_optimizer_step(nm_optimizer *optimizer, const nm_pass *pass, float rate, double *norm,
                                   nm_error *error);
NM_API uint64_t nm_optimizer_steps(const nm_optimizer *optimizer); ///< taken so far

/// Values, moments, average and the number of steps in a safetensors file, in shards of at most `shard_bytes` (0 =
/// one).
NM_API nm_status nm_optimizer_save(const nm_optimizer *optimizer, const char *path, size_t shard_bytes,
                                   nm_error *error);
/// Into an optimizer of the same configuration and a model of the same shape. On failure both are as they were.
NM_API nm_status nm_optimizer_load(nm_optimizer *optimizer, const char *path, nm_error *error);
/// Exchanges the model's values with the average: once to use or save the average, once more to go on.
NM_API nm_status nm_optimizer_swap_average(nm_optimizer *optimizer, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
