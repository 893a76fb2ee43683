/// Products in bf16 with AVX512-BF16: pairs of inputs times 16 columns.
#include "nexus/ops/cpu/products_bf16.h"

#if defined(__x86_64__) && defined(__AVX512BF16__)

#include <immintrin.h>
#include <string.h>

#define ROWS 8
#define PANELS 2

static inline __m512bh pair(const uint16_t *p) {
    int both;
    memcpy(&both, p, sizeof both);
    return (__m512bh)_mm512_set1_epi32(both);
}
static inline __m512bh columns(const uint16_t *p) {
    return (__m512bh)_mm512_loadu_si512(p);
}

/// `panels` is a constant where it is called.
static inline __attribute__((always_inline)) void tile(const uint16_t *x, size_t x_stride, const uint16_t *w,
                                                       size_t panel, int panels, uint32_t depth, float *y,
                                                       size_t y_stride, int add) {
    __m512 sums[ROWS][PANELS];
    for (int r = 0; r < ROWS; r++) {
        for (int p = 0; p < panels; p++) {
            sums[r][p] = add ? _mm512_loadu_ps(y + (size_t)r * y_stride + 16 * p) : _mm512_setzero_ps();
        }
    }
    for (uint32_t i = 0; i < depth; i += 2) {
        __m512bh right[PANELS];
        for (int p = 0; p < panels; p++) right[p] = columns(w + (size_t)p * panel + (size_t)i * 16);
        for (int r = 0; r < ROWS; r++) {
            const __m512bh left = pair(x + (size_t)r * x_stride + i);
            for (int p = 0; p < panels; p++) sums[r][p] = _mm512_dpbf16_ps(sums[r][p], left, right[p]);
        }
    }
    for (int r = 0; r < ROWS; r++) {
        for (int p = 0; p < panels; p++) _mm512_storeu_ps(y + (size_t)r * y_stride + 16 * p, sums[r][p]);
    }
}

static void product(const uint16_t *x, size_t x_stride, uint32_t rows, const uint16_t *packed, uint32_t panels,
                    uint32_t depth, float *y, size_t y_stride, int add) {
    const size_t panel = (size_t)depth * NM_BF16_PANEL;
    for (uint32_t p = 0; p < panels;) {
        const uint32_t wide = panels - p >= PANELS ? PANELS : 1;
        for (uint32_t r = 0; r < rows; r += ROWS) {
            const uint16_t *from = x + r * x_stride;
            float *to = y + r * y_stride + (size_t)p * NM_BF16_PANEL;
            if (wide == PANELS)
                tile(from, x_stride, packed + p * panel, panel, PANELS, depth, to, y_stride, add);
            else
                tile(from, x_stride, packed + p * panel, panel, 1, depth, to, y_stride, add);
        }
        p += wide;
    }
}

static const nm_bf16_products products = {.name = "own loops, AVX512-BF16",
                                          .block = 64,
                                          .product = product,
                                          .pack_weight = nm_bf16_pack_weight,
                                          .pack_left = nm_bf16_pack_left,
                                          .pack_right = nm_bf16_pack_right,
                                          .sum_left = nm_bf16_sum_left};

const nm_bf16_products *nm_bf16_find_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16") ? &products : NULL;
}

#else

const nm_bf16_products *nm_bf16_find_avx512(void) {
    return NULL;
}

#endif
