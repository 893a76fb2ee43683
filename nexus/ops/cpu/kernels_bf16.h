/// Products in bf16 with float32 sums, for processors with instructions for that.
///
/// A packed weight is [ceil(O / 16)] panels of [I / 2][16][2]: of 16 columns, two inputs side by side, as both kinds of
/// instruction take them. I is filled up to a multiple of 32 and O to a multiple of 16, with zeros.
#ifndef NM_NEXUS_OPS_CPU_KERNELS_BF16_H
#define NM_NEXUS_OPS_CPU_KERNELS_BF16_H

#include <stddef.h>
#include <stdint.h>

#define NM_BF16_DEPTH 32
#define NM_BF16_PANEL 16
#define NM_BF16_ROWS 16

/// y [rows][16 panels] (+)= x [rows][depth] times `panels` panels; rows a multiple of 16, depth of 32.
typedef void nm_bf16_product(const uint16_t *x, size_t x_stride, uint32_t rows, const uint16_t *packed, uint32_t panels,
                             uint32_t depth, float *y, size_t y_stride, int add);

/// NULL where the processor, or the operating system, does not give them.
nm_bf16_product *nm_bf16_find_amx(void);
nm_bf16_product *nm_bf16_find_avx512(void);

#endif
