/// The loops over numbers, once per instruction set; what calls them is shared.
///
/// Every kernel works on what it is given, in one thread, in an order that does not depend on anything else. Ops come
/// as views of the rows to treat (see rows.h), float types F32 or BF16 as ops/*.h state. A kernel of one table gives
/// the same bits for a row whatever other rows it is called with. Where a result is stored in bf16, a subnormal number
/// may become zero; `convert` is exact.
#ifndef NM_NEXUS_OPS_CPU_KERNELS_H
#define NM_NEXUS_OPS_CPU_KERNELS_H

#include "nexus/ops/cpu/products_bf16.h"
#include "nexus/ops/ops.h"

/// Columns per panel of a packed weight.
#define NM_CPU_PANEL 16
/// Attention works on tiles of this many queries and keys.
#define NM_CPU_QUERIES 32
#define NM_CPU_KEYS 128

/// A part of an attention: queries [first_query, first_query + queries) of one group (positions in its list), for
/// heads [first_head, first_head + heads).
typedef struct nm_cpu_attention_part {
    uint32_t group, first_query, queries, first_head, heads;
} nm_cpu_attention_part;

/// Where the backward pass of a part puts what several parts share.
///   dpose         [14] per head of the part, written; NULL without poses
///   dk, dv        NULL: key rows belong to this part alone, and dk and dv of the op are written. Else float
///                 accumulators [Nk][C] that are added to, in the order of the calls
typedef struct nm_cpu_attention_sums {
    double *dpose;
    float *dk, *dv;
} nm_cpu_attention_sums;

/// A part of attention to blocks: the queries of blocks [first, end), all of one scene, for one head.
typedef struct nm_cpu_block_part {
    uint32_t scene, head, first, end;
} nm_cpu_block_part;

/// A part of a matrix: rows [row, row + rows), columns [col, col + cols).
typedef struct nm_cpu_part {
    uint32_t row, rows, col, cols;
} nm_cpu_part;

typedef struct nm_cpu_kernels {
    const char *name; ///< such as "AVX-512"

    void (*convert)(nm_tensor from, nm_tensor to);
    /// What follows a product p [rows][cols] (stride `stride`) without bias, for that part of y; the op is whole.
    void (*epilogue)(const nm_linear *op, nm_cpu_part part, const float *product, size_t stride);
    void (*epilogue_grad)(const nm_epilogue_grad *op);
    void (*layer_norm)(const nm_layer_norm *op);
    /// sums [2][C]: what these rows add to dweight and dbias, written. NULL when modulated.
    void (*layer_norm_grad)(const nm_layer_norm_grad *op, float *sums);
    void (*silu)(nm_tensor x, nm_tensor y);
    void (*silu_grad)(nm_tensor x, nm_tensor dy, nm_tensor dx);
    /// frequency [D / 2]; scratch [3 D]
    void (*rotary)(nm_tensor x, nm_tensor time, uint32_t heads, float sign, const float *frequency, float *scratch);
    /// scratch [2 W], W = op->turns.cols
    void (*turn)(const nm_pair_turn *op, float *scratch);
    void (*assemble)(const nm_assemble *op);
    /// frequency [F]
    void (*sinusoid)(nm_tensor value, nm_tensor out, const float *frequency);
    /// x[n] += table_a[index_a[n]] + table_b[index_b[n]] for rows [first, first + count)
    void (*lookup)(const nm_lookup *a, const nm_lookup *b, nm_tensor x, uint32_t first, uint32_t count);
    /// out = (add ? out : 0) + sum of rows list[0 .. count) of x (list NULL: first, first + step, ...), in that order
    void (*sum_rows)(nm_tensor x, const uint32_t *list, uint32_t first, uint32_t step, uint32_t count, int add,
                     nm_tensor out);
    /// Returns the loss of these rows.
    double (*noise_loss)(const nm_noise_loss *op);
    void (*adamw)(const nm_adamw *op, size_t first, size_t count);
    double (*square_sum)(const float *x, size_t count);

    /// packed [ceil(O / 16)][I][16] out of value [O][I] (or of value [I][O], transposed), zeros beyond O
    void (*pack)(const float *value, size_t stride, uint32_t O, uint32_t I, int transposed, float *packed);
    /// y [rows][O] = x [rows][I] times a packed weight, plus bias (nullable); y F32 or BF16
    void (*product)(const float *x, size_t x_stride, uint32_t rows, const float *packed, uint32_t O, uint32_t I,
                    const float *bias, void *y, size_t y_stride, nm_dtype y_type);
    /// dw [O][I] += dp [rows][O]^T x [rows][I]
    void (*outer)(const float *dp, size_t dp_stride, const float *x, size_t x_stride, uint32_t rows, uint32_t O,
                  uint32_t I, float *dw, size_t dw_stride);

    /// Floats of scratch that a part needs. `products`: nullable; used where these kernels can use them, and the op is
    /// in bf16, the forward pass without poses (then a part is of one head).
    size_t (*attention_scratch)(const nm_attention *op, const nm_bf16_products *products);
    size_t (*attention_grad_scratch)(const nm_attention_grad *op, const nm_bf16_products *products);
    void (*attention)(const nm_attention *op, nm_cpu_attention_part part, const nm_bf16_products *products,
                      float *scratch);
    void (*attention_grad)(const nm_attention_grad *op, nm_cpu_attention_part part, nm_cpu_attention_sums sums,
                           const nm_bf16_products *products, float *scratch);

    /// Selection of blocks: a block's mean; then the normaliser of a part's queries and the levels of their pairs,
    /// added to the histogram whatever other threads add there; then, given the cut, their bits.
    size_t (*block_select_scratch)(const nm_block_select *op);
    void (*block_means)(const nm_block_select *op, uint32_t block);
    void (*block_measure)(const nm_block_select *op, nm_cpu_block_part part, float *scratch);
    void (*block_mark)(const nm_block_select *op, nm_cpu_block_part part, uint32_t cut, float *scratch);
    /// Attention to blocks, after the keys of all blocks were packed for the head: in tiles of NM_CPU_KEYS keys,
    /// block_tile floats each, the first of block b at packed + b block_floats.
    size_t (*block_tile)(const nm_block_attention *op, const nm_bf16_products *products);
    void (*block_pack)(const nm_block_attention *op, uint32_t head, uint32_t block, const nm_bf16_products *products,
                       float *to);
    size_t (*block_attention_scratch)(const nm_block_attention *op);
    void (*block_attention)(const nm_block_attention *op, nm_cpu_block_part part, const float *packed,
                            size_t block_floats, const nm_bf16_products *products, float *scratch);
    /// Writes dq of a part and adds to dk and dv [tokens + 16][D filled up to 16] of its head, which are in the order
    /// of blocks; the second brings rows [first, first + count) of them to where they belong.
    size_t (*block_attention_grad_scratch)(const nm_block_attention_grad *op, const nm_bf16_products *products);
    void (*block_attention_grad)(const nm_block_attention_grad *op, nm_cpu_block_part part, float *dk, float *dv,
                                 const nm_bf16_products *products, float *scratch);
    void (*block_attention_grad_keys)(const nm_block_attention_grad *op, uint32_t head, uint32_t first, uint32_t count,
                                      const float *dk, const float *dv);

    /// out[i] = f(x[i]) for the tests of accuracy: 'e' exp, 'g' gelu, 'h' gelu for results in bf16, 'G' and 'H' their
    /// slopes, 's' sigmoid, 'S' slope of SiLU, 'l' log2, 'n' sin, 'c' cos. count is a multiple of 16.
    void (*evaluate)(char function, const float *x, float *out, size_t count);
} nm_cpu_kernels;

extern const nm_cpu_kernels nm_cpu_kernels_portable;
#if defined(__x86_64__)
extern const nm_cpu_kernels nm_cpu_kernels_avx2;
extern const nm_cpu_kernels nm_cpu_kernels_avx512;
extern const nm_cpu_kernels nm_cpu_kernels_avx512bf16; ///< AVX-512 with its instructions for bf16
#endif

#endif
