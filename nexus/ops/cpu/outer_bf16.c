/// Weights and operands of outer products in bf16, laid out as products want theirs (products_bf16.h). In an outer
/// product dp^T takes the place of x there, and x that of the weight.
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

/// 16 numbers at most, zeros after.
W_INLINE wide some(const float *p, uint32_t n) {
    return n >= WIDE ? w_load(p) : w_load_n(p, n);
}
static void pack_rows(const float *value, size_t stride, uint32_t O, uint32_t I, uint32_t depth, uint16_t *to) {
    for (uint32_t o = 0; o < O; o += NM_BF16_PANEL) {
        for (uint32_t i = 0; i < depth; i += 2 * WIDE) {
            const uint32_t low = I > i ? I - i : 0, high = low > WIDE ? low - WIDE : 0;
            wide r[WIDE];
            for (uint32_t j = 0; j < WIDE; j++) {
                const float *row = value + (o + j < O ? o + j : 0) * stride + (low ? i : 0);
                const uint32_t there = o + j < O;
                const wide a = some(row, there ? low : 0), b = some(row + (high ? WIDE : 0), there ? high : 0);
                r[j] = _mm512_castsi512_ps((__m512i)_mm512_cvtne2ps_pbh(b, a));
            }
            w_transpose(r);
            for (uint32_t j = 0; j < WIDE; j++, to += 2 * WIDE) _mm512_storeu_ps(to, r[j]);
        }
    }
}
static void pack_columns(const float *value, size_t stride, uint32_t O, uint32_t I, uint32_t depth, uint16_t *to) {
    // a conversion puts 16 of one row before 16 of the other; pairs are wanted
    uint16_t order[32];
    for (uint16_t i = 0; i < 16; i++) {
        order[2 * i] = i;
        order[2 * i + 1] = (uint16_t)(16 + i);
    }
    const __m512i pairs = _mm512_loadu_si512(order);
    for (uint32_t i = 0; i < depth; i += 2) {
        for (uint32_t o = 0; o < O; o += NM_BF16_PANEL) {
            const wide a = some(value + (i < I ? i : 0) * stride + o, i < I ? O - o : 0);
            const wide b = some(value + (i + 1 < I ? i + 1 : 0) * stride + o, i + 1 < I ? O - o : 0);
            const __m512i both = _mm512_permutexvar_epi16(pairs, (__m512i)_mm512_cvtne2ps_pbh(b, a));
            _mm512_storeu_si512(to + (size_t)o * depth + (size_t)i * NM_BF16_PANEL, both);
        }
    }
}
void nm_bf16_pack_weight(const float *value, size_t stride, uint32_t O, uint32_t I, int transposed, uint16_t *to) {
    const uint32_t depth = (I + NM_BF16_DEPTH - 1) / NM_BF16_DEPTH * NM_BF16_DEPTH;
    if (transposed)
        pack_columns(value, stride, O, I, depth, to);
    else
        pack_rows(value, stride, O, I, depth, to);
}

#endif
