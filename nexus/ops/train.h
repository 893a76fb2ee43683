/// The loss and what an optimiser does to parameters.
#ifndef NM_NEXUS_OPS_TRAIN_H
#define NM_NEXUS_OPS_TRAIN_H

#include "nexus/ops/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Loss on the noise, out of a v prediction (nexus-core 2): with z = alpha x + sigma e per token,
///   e_hat = sigma z + alpha v,   loss = sum over tokens of row_weight[n] * mean over channels of (e_hat - e)^2
/// Callers put 1 / (1 + min(SNR, 5)) / (number of counted tokens) into row_weight, and 0 for tokens that do not count.
/// dv = row_weight 2 alpha (e_hat - e) / C.
typedef struct nm_noise_loss {
    nm_tensor v;                        ///< [N][C] stream type
    nm_tensor z, e;                     ///< [N][C] stream type
    nm_tensor alpha, sigma, row_weight; ///< [N][1] F32 (F64 reference)
    nm_tensor loss;                     ///< [out, 1 x 1] F64 on all backends: summed in a fixed order
    nm_tensor dv;                       ///< [out, nullable, N x C] compute type
} nm_noise_loss;
typedef void nm_noise_loss_forward(nm_backend *backend, const nm_noise_loss *op);

/// AdamW (Loshchilov and Hutter 2019) on one flat array of parameters, all [1][n] of the parameter type:
///   g = gradient * gradient_scale;  m = b1 m + (1 - b1) g;  s = b2 s + (1 - b2) g^2
///   p = p - rate (m / (1 - b1^step) / (sqrt(s / (1 - b2^step)) + epsilon) + decay * decay_mask p)
/// and, when ema is present, ema = ema + (1 - ema_decay) (p - ema). decay_mask [1][n] holds 0 or 1, absent = all 1.
typedef struct nm_adamw {
    nm_tensor parameter, gradient, first, second, ema, decay_mask;
    float rate, beta1, beta2, epsilon, decay, gradient_scale, ema_decay;
    uint64_t step; ///< from 1
} nm_adamw;
typedef void nm_adamw_step(nm_backend *backend, const nm_adamw *op);

/// out [1 x 1] F64 = sum of squares of x, summed in a fixed order on each backend.
typedef void nm_square_sum(nm_backend *backend, nm_tensor x, nm_tensor out);

#ifdef __cplusplus
}
#endif
#endif
