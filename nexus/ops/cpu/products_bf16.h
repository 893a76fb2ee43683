/// Products in bf16 with float32 sums, for processors with instructions for that.
///
/// A packed weight is [ceil(O / 16)] panels of [I / 2][16][2]: of 16 columns, two inputs side by side, as both kinds of
/// instruction take them. I is filled up to a multiple of 32 and O to a multiple of 16, with zeros.
#ifndef NM_NEXUS_OPS_CPU_PRODUCTS_BF16_H
#define NM_NEXUS_OPS_CPU_PRODUCTS_BF16_H

#include "nexus/ops/linear.h"

#define NM_BF16_DEPTH 32
#define NM_BF16_PANEL 16
#define NM_BF16_ROWS 16

typedef void nm_bf16_pack(const uint16_t *x, size_t stride, uint32_t rows, uint32_t cols, uint32_t depth, uint16_t *to);

typedef struct nm_bf16_products {
    const char *name;
    uint32_t block; ///< rows to take at a time
    /// Nullable: called in a thread before its first product of a run, and after its last.
    void (*begin)(void);
    void (*end)(void);
    /// y [rows][16 panels] (+)= x [rows][depth] times `panels` panels; rows a multiple of 16, depth of 32. The sum over
    /// inputs has one order, whatever the other numbers.
    void (*product)(const uint16_t *x, size_t x_stride, uint32_t rows, const uint16_t *packed, uint32_t panels,
                    uint32_t depth, float *y, size_t y_stride, int add);
    /// Nullable: rows [row, row + block) of y = epilogue(x W^T + b) at once, x beginning at the first of them. 0, and
    /// nothing done, where there is no loop for such an op. `sums`: as many floats as linear_scratch says.
    int (*linear)(const nm_linear *op, uint32_t row, const uint16_t *x, size_t x_stride, const uint16_t *packed,
                  uint32_t depth, float *sums);
    size_t (*linear_scratch)(uint32_t cols, uint32_t depth);

    /// A packed weight out of value [O][I] (or [I][O], transposed), rounded; subnormal numbers become zero.
    void (*pack_weight)(const float *value, size_t stride, uint32_t O, uint32_t I, int transposed, uint16_t *to);

    /// Outer products dw [O][I] += dp [rows][O]^T x [rows][I] are `product` of dp^T, packed to the left, with x, packed
    /// to the right; `depth` is `rows` filled up to a multiple of 32. See nm_bf16_pack_left and those after it.
    nm_bf16_pack *pack_left, *pack_right;
    void (*sum_left)(const uint16_t *packed, uint32_t cols, uint32_t depth, double *sums);
} nm_bf16_products;

void nm_bf16_pack_weight(const float *value, size_t stride, uint32_t O, uint32_t I, int transposed, uint16_t *to);
/// to [cols filled up to 16][depth] = x [rows][cols]^T, zeros beyond
nm_bf16_pack nm_bf16_pack_left;
/// to = x [rows][cols] as a packed weight of `cols` outputs and `depth` inputs, zeros beyond
nm_bf16_pack nm_bf16_pack_right;
/// sums[c] += sum over a row of what was packed to the left, each in one order
void nm_bf16_sum_left(const uint16_t *packed, uint32_t cols, uint32_t depth, double *sums);

/// NULL where the processor, or the operating system, does not give them.
const nm_bf16_products *nm_bf16_find_amx(void);
const nm_bf16_products *nm_bf16_find_avx512(void);

#endif
