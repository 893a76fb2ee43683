/// Operands of outer products in bf16, laid out as products of a packed weight want theirs (products_bf16.h): dp^T
/// takes the place of x there, and x that of the weight.
#include "nexus/ops/cpu/products_bf16.h"

#if defined(__x86_64__) && defined(__AVX512BF16__)

#include "nexus/ops/cpu/wide.h"

/// Columns [c, c + 32) of a row, zeros beyond `cols`; all zeros for a row that is not there.
W_INLINE __m512i half_row(const uint16_t *x, size_t stride, uint32_t row, uint32_t rows, uint32_t c, uint32_t cols) {
    if (row >= rows || c >= cols) return _mm512_setzero_si512();
    const uint16_t *at = x + row * stride + c;
    if (NM_LIKELY(cols - c >= 32)) return _mm512_loadu_si512(at);
    return _mm512_maskz_loadu_epi16((__mmask32)((1u << (cols - c)) - 1u), at);
}

/// Two rows, pair by pair: columns 0 to 15 in *low, 16 to 31 in *high.
W_INLINE void interleave(__m512i a, __m512i b, __m512i *low, __m512i *high) {
    // unpacking takes every other four columns; in this order it takes the first 16, then the last
    const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    a = _mm512_permutexvar_epi64(order, a);
    b = _mm512_permutexvar_epi64(order, b);
    *low = _mm512_unpacklo_epi16(a, b);
    *high = _mm512_unpackhi_epi16(a, b);
}

void nm_bf16_pack_right(const uint16_t *x, size_t stride, uint32_t rows, uint32_t cols, uint32_t depth, uint16_t *to) {
    const size_t panel = (size_t)depth * NM_BF16_PANEL;
    for (uint32_t n = 0; n < depth; n += 2) {
        for (uint32_t c = 0; c < cols; c += 32) {
            uint16_t *low = to + c / NM_BF16_PANEL * panel + (size_t)n * NM_BF16_PANEL;
            __m512i first, second;
            interleave(half_row(x, stride, n, rows, c, cols), half_row(x, stride, n + 1, rows, c, cols), &first,
                       &second);
            _mm512_storeu_si512(low, first);
            if (c + NM_BF16_PANEL < cols) _mm512_storeu_si512(low + panel, second);
        }
    }
}

/// 32 rows by 32 columns, turned: columns as rows of 32.
W_INLINE void turn(const uint16_t *x, size_t stride, uint32_t n, uint32_t rows, uint32_t c, uint32_t cols, uint16_t *to,
                   size_t to_stride) {
    wide low[WIDE], high[WIDE];
    for (uint32_t i = 0; i < WIDE; i++) {
        __m512i first, second;
        interleave(half_row(x, stride, n + 2 * i, rows, c, cols), half_row(x, stride, n + 2 * i + 1, rows, c, cols),
                   &first, &second);
        low[i] = _mm512_castsi512_ps(first);
        high[i] = _mm512_castsi512_ps(second);
    }
    w_transpose(low);
    for (uint32_t i = 0; i < WIDE; i++) _mm512_storeu_ps(to + i * to_stride, low[i]);
    if (c + WIDE >= cols) return;
    w_transpose(high);
    for (uint32_t i = 0; i < WIDE; i++) _mm512_storeu_ps(to + (WIDE + i) * to_stride, high[i]);
}

void nm_bf16_pack_left(const uint16_t *x, size_t stride, uint32_t rows, uint32_t cols, uint32_t depth, uint16_t *to) {
    for (uint32_t n = 0; n < depth; n += 32) {
        for (uint32_t c = 0; c < cols; c += 32) turn(x, stride, n, rows, c, cols, to + (size_t)c * depth + n, depth);
    }
}

void nm_bf16_sum_left(const uint16_t *packed, uint32_t cols, uint32_t depth, double *sums) {
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
    for (uint32_t c = 0; c < cols; c++) {
        const uint16_t *row = packed + (size_t)c * depth;
        __m512 even = _mm512_setzero_ps(), odd = even;
        uint32_t n = 0;
        for (; n + 64 <= depth; n += 64) {
            even = _mm512_dpbf16_ps(even, (__m512bh)_mm512_loadu_si512(row + n), ones);
            odd = _mm512_dpbf16_ps(odd, (__m512bh)_mm512_loadu_si512(row + n + 32), ones);
        }
        if (n < depth) even = _mm512_dpbf16_ps(even, (__m512bh)_mm512_loadu_si512(row + n), ones);
        sums[c] += (double)w_sum(_mm512_add_ps(even, odd));
    }
}

#endif
