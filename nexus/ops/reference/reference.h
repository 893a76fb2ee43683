/// The reference backend's parts, private to it: its operations, and how they look at tensors.
///
/// Every operation is written as its contract states it, element by element in float64, sums from the first row and
/// column to the last: read it to know what an operation is. Speed is nobody's concern here.
#ifndef NM_NEXUS_OPS_REFERENCE_H
#define NM_NEXUS_OPS_REFERENCE_H

#include "nexus/ops/ops.h"

/// Row r: `cols` doubles.
static inline double *nm_reference_row(nm_tensor t, uint32_t r) {
    NM_DEBUG_ASSERT(r < t.rows);
    return (double *)t.data + (size_t)r * t.stride;
}

static inline int nm_reference_is(nm_tensor t, uint32_t rows, uint32_t cols) {
    return (t.data || rows == 0) && t.dtype == NM_F64 && t.rows == rows && t.cols == cols && t.stride >= cols;
}

/// A caller's bug unless `t` is there, float64, and of this shape.
#define NM_REFERENCE_EXPECT(t, rows, cols) NM_ASSERT(nm_reference_is(t, rows, cols))

/// sigmoid(x) = 1 / (1 + exp(-x)), without overflow.
double nm_reference_sigmoid(double x);
/// d/dx of x sigmoid(x).
double nm_reference_silu_slope(double x);

nm_linear_forward nm_reference_linear;
nm_linear_backward nm_reference_linear_backward;
nm_epilogue_backward nm_reference_epilogue_backward;
nm_layer_norm_forward nm_reference_layer_norm;
nm_layer_norm_backward nm_reference_layer_norm_backward;
nm_silu_forward nm_reference_silu;
nm_silu_backward nm_reference_silu_backward;
nm_attention_forward nm_reference_attention;
nm_attention_backward nm_reference_attention_backward;
nm_block_select_forward nm_reference_block_select;
nm_block_attention_forward nm_reference_block_attention;
nm_block_attention_backward nm_reference_block_attention_backward;
nm_rotary nm_reference_rotary;
nm_pair_turn_forward nm_reference_turn;
nm_assemble_forward nm_reference_assemble;
nm_sinusoid_forward nm_reference_sinusoid;
nm_lookup_forward nm_reference_lookup;
nm_lookup_backward nm_reference_lookup_backward;
nm_repeat_forward nm_reference_repeat;
nm_repeat_backward nm_reference_repeat_backward;
nm_noise_loss_forward nm_reference_noise_loss;
nm_adamw_step nm_reference_adamw;
nm_square_sum nm_reference_square_sum;

#endif
