/// Layer normalisation (Ba et al. 2016), affine or modulated per row, and SiLU of a whole matrix.
#ifndef NM_NEXUS_OPS_NORM_H
#define NM_NEXUS_OPS_NORM_H

#include "nexus/ops/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/// y = n * a + c with n = (x - mean) / sqrt(variance + epsilon), mean and (biased) variance over a row, and either
///   affine      a = weight,     c = bias       the same for all rows
///   modulated   a = 1 + scale,  c = shift      one row each (adaLN: Peebles and Xie 2023)
/// Exactly one of the pairs is given.
typedef struct nm_layer_norm {
    nm_tensor x;            ///< [N][C] stream type
    nm_tensor weight, bias; ///< [1][C] parameter type
    nm_tensor scale, shift; ///< [N][C] compute type
    float epsilon;
    nm_tensor y;          ///< [out, N x C] compute or stream type
    nm_tensor statistics; ///< [out, nullable, N x 2] F32 (F64 in the reference): mean, 1 / sqrt(variance + epsilon)
} nm_layer_norm;
typedef void nm_layer_norm_forward(nm_backend *backend, const nm_layer_norm *op);

/// dx += a gradient (added: x is the residual stream, whose gradient is already there); parameters' gradients are added
/// to, dscale and dshift are written.
typedef struct nm_layer_norm_grad {
    nm_tensor x, weight, scale, statistics; ///< as in the forward pass
    nm_tensor dy;                           ///< [N][C] compute or stream type
    nm_tensor dx;                           ///< [in/out, nullable, N x C] stream type
    nm_tensor dweight, dbias;               ///< [in/out, 1 x C] parameter type. Affine
    nm_tensor dscale, dshift;               ///< [out, N x C] compute type. Modulated
} nm_layer_norm_grad;
typedef void nm_layer_norm_backward(nm_backend *backend, const nm_layer_norm_grad *op);

/// y = x sigmoid(x). x [N][C] stream type, y [out, N x C] compute type.
typedef void nm_silu_forward(nm_backend *backend, nm_tensor x, nm_tensor y);
/// dx [in/out, stream type] += dy [compute type] times the derivative at x.
typedef void nm_silu_backward(nm_backend *backend, nm_tensor x, nm_tensor dy, nm_tensor dx);

#ifdef __cplusplus
}
#endif
#endif
