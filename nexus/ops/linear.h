/// y = epilogue(x W^T + b): every matrix product of the network, with what follows it fused.
#ifndef NM_NEXUS_OPS_LINEAR_H
#define NM_NEXUS_OPS_LINEAR_H

#include "nexus/ops/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A weight and what a backend made of it. `value` and `bias` are the parameters (F32; F64 in the reference backend);
/// `packed` is the backend's own copy in the layout and type its matrix product wants (bf16, blocked), or NULL; it is
/// made and renewed by nm_ops.pack_weight, and must be renewed after `value` or `bias` changed. `product` is the type
/// its products are taken in: the compute type, or the stream type where bf16 would lose what matters (coordinates,
/// noise levels).
typedef struct nm_weight {
    nm_tensor value; ///< [O][I], row-major as in the weights file
    nm_tensor bias;  ///< [1][O], or absent
    void *packed;
    nm_dtype product; ///< then x has this type too, or the stream type (converted on the way in)
} nm_weight;

typedef enum nm_epilogue {
    NM_EPILOGUE_NONE = 0, ///< y = p, with p = x W^T + b
    NM_EPILOGUE_GELU,     ///< y = p Phi(p), exact (erf): Hendrycks and Gimpel 2016
    NM_EPILOGUE_SILU,     ///< y = p sigmoid(p)
    NM_EPILOGUE_RESIDUAL, ///< y = residual + p
    NM_EPILOGUE_GATED     ///< y = residual + gate * p, per element (adaLN-Zero: Peebles and Xie 2023)
} nm_epilogue;

typedef struct nm_linear {
    nm_tensor x; ///< [N][I] the weight's product type, or stream type
    nm_weight weight;
    nm_epilogue epilogue;
    nm_tensor residual; ///< [N][O] stream type; may be y itself. RESIDUAL, GATED
    nm_tensor gate;     ///< [N][O] compute type. GATED
    nm_tensor y;        ///< [out, N x O] stream type for RESIDUAL and GATED, any float type otherwise
    nm_tensor pre;      ///< [out, nullable, N x O] compute type: p, kept for the backward pass
} nm_linear;

/// N = 0 does nothing. x, gate and pre do not overlap y.
typedef void nm_linear_forward(nm_backend *backend, const nm_linear *op);

/// Gradients of p = x W^T + b given dp. What epilogues did is undone before by nm_ops.epilogue_backward.
typedef struct nm_linear_grad {
    nm_tensor x; ///< [N][I] as in the forward pass
    nm_weight weight;
    nm_tensor dp; ///< [N][O] compute type
    nm_tensor dx; ///< [out, nullable, N x I] compute or stream type: dp W, written, or added to when add_dx
    int add_dx;
    nm_tensor dweight; ///< [in/out, nullable, O x I] parameter type: += dp^T x
    nm_tensor dbias;   ///< [in/out, nullable, 1 x O] parameter type: += sum over rows of dp
} nm_linear_grad;
typedef void nm_linear_backward(nm_backend *backend, const nm_linear_grad *op);

/// dp out of dy for each epilogue:
///   GELU      dp = dy (Phi(pre) + pre phi(pre))
///   SILU      dp = dy s (1 + pre (1 - s)), s = sigmoid(pre)
///   GATED     dp = dy gate;  dgate = dy pre      (the residual's gradient is dy itself)
typedef struct nm_epilogue_grad {
    nm_epilogue epilogue;
    nm_tensor dy;    ///< [N][O] compute type (GELU, SILU) or stream type (GATED)
    nm_tensor pre;   ///< [N][O] compute type
    nm_tensor gate;  ///< [N][O] compute type. GATED
    nm_tensor dp;    ///< [out, N x O] compute type; may be dy itself where the types agree
    nm_tensor dgate; ///< [out, N x O] compute type, written. GATED
} nm_epilogue_grad;
typedef void nm_epilogue_backward(nm_backend *backend, const nm_epilogue_grad *op);

#ifdef __cplusplus
}
#endif
#endif
