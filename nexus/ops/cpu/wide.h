/// Sixteen floats at once: the tiny vector type that the kernels are written in.
///
/// Always 16 lanes, whatever the machine: one AVX-512 register, two of AVX2, or an array that the compiler vectorises
/// as it can. So layouts (panels of packed weights, transposed keys) and the order of sums over lanes are the same
/// everywhere; variants differ only in that the first two fuse a multiplication with the addition that follows.
/// Included by kernels.inc alone, which is compiled once per instruction set.
#ifndef NM_NEXUS_OPS_CPU_WIDE_H
#define NM_NEXUS_OPS_CPU_WIDE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "nexus/ops/bf16.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define WIDE 16
#define W_INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

typedef __m512 wide;
typedef __mmask16 wide_mask;

W_INLINE wide w_load(const float *p) {
    return _mm512_loadu_ps(p);
}
W_INLINE void w_store(float *p, wide a) {
    _mm512_storeu_ps(p, a);
}
W_INLINE __mmask16 w_first(uint32_t n) {
    return (__mmask16)((1u << n) - 1u);
}
W_INLINE wide w_load_n(const float *p, uint32_t n) {
    return _mm512_maskz_loadu_ps(w_first(n), p);
}
W_INLINE void w_store_n(float *p, wide a, uint32_t n) {
    _mm512_mask_storeu_ps(p, w_first(n), a);
}
W_INLINE wide w_widen(__m256i h) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
W_INLINE __m256i w_narrow(wide a) {
    const __m512i u = _mm512_castps_si512(a);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(0x40));
    const __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, quiet));
}
W_INLINE wide w_load_bf16(const uint16_t *p) {
    return w_widen(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
W_INLINE void w_store_bf16(uint16_t *p, wide a) {
    _mm256_storeu_si256((__m256i *)(void *)p, w_narrow(a));
}
W_INLINE wide w_load_bf16_n(const uint16_t *p, uint32_t n) {
    return w_widen(_mm256_maskz_loadu_epi16(w_first(n), p));
}
W_INLINE void w_store_bf16_n(uint16_t *p, wide a, uint32_t n) {
    _mm256_mask_storeu_epi16(p, w_first(n), w_narrow(a));
}
W_INLINE wide w_set(float x) {
    return _mm512_set1_ps(x);
}
W_INLINE wide w_add(wide a, wide b) {
    return _mm512_add_ps(a, b);
}
W_INLINE wide w_sub(wide a, wide b) {
    return _mm512_sub_ps(a, b);
}
W_INLINE wide w_mul(wide a, wide b) {
    return _mm512_mul_ps(a, b);
}
W_INLINE wide w_div(wide a, wide b) {
    return _mm512_div_ps(a, b);
}
/// 1 / a to one unit in the last place, for a in [1, 1e30].
W_INLINE wide w_reciprocal(wide a) {
    const wide r = _mm512_rcp14_ps(a);
    return _mm512_fmadd_ps(r, _mm512_fnmadd_ps(a, r, _mm512_set1_ps(1.0f)), r);
}
/// a b + c
W_INLINE wide w_fma(wide a, wide b, wide c) {
    return _mm512_fmadd_ps(a, b, c);
}
/// c - a b
W_INLINE wide w_fnma(wide a, wide b, wide c) {
    return _mm512_fnmadd_ps(a, b, c);
}
/// The larger; b where either is NaN. So w_max(limit, x) keeps a NaN in x.
W_INLINE wide w_max(wide a, wide b) {
    return _mm512_max_ps(a, b);
}
W_INLINE wide w_min(wide a, wide b) {
    return _mm512_min_ps(a, b);
}
W_INLINE wide w_sqrt(wide a) {
    return _mm512_sqrt_ps(a);
}
W_INLINE wide w_abs(wide a) {
    return _mm512_abs_ps(a);
}
W_INLINE wide w_round(wide a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
W_INLINE wide_mask w_less(wide a, wide b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
/// mask ? a : b
W_INLINE wide w_select(wide_mask mask, wide a, wide b) {
    return _mm512_mask_mov_ps(b, mask, a);
}
/// a 2^n for integral n in [-126, 127]
W_INLINE wide w_scale2(wide a, wide n) {
    return _mm512_scalef_ps(a, n);
}
/// x = m 2^e with m in [1, 2), for normal positive x.
W_INLINE wide w_exponent(wide x) {
    return _mm512_getexp_ps(x);
}
W_INLINE wide w_mantissa(wide x) {
    return _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
}
/// Lanes 2 i and 2 i + 1 change places.
W_INLINE wide w_exchange(wide a) {
    return _mm512_permute_ps(a, 0xb1);
}
/// Adds lane i and i + 8, then i and i + 4, ...: the order on every machine.
W_INLINE float w_sum(wide a) {
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}

#elif defined(__AVX2__) && defined(__FMA__)

typedef struct wide {
    __m256 a, b;
} wide;
typedef wide wide_mask;

W_INLINE wide w_load(const float *p) {
    return (wide){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
W_INLINE void w_store(float *p, wide a) {
    _mm256_storeu_ps(p, a.a);
    _mm256_storeu_ps(p + 8, a.b);
}
W_INLINE wide w_load_n(const float *p, uint32_t n) {
    float t[WIDE] = {0};
    memcpy(t, p, n * sizeof *t);
    return w_load(t);
}
W_INLINE void w_store_n(float *p, wide a, uint32_t n) {
    float t[WIDE];
    w_store(t, a);
    memcpy(p, t, n * sizeof *t);
}
W_INLINE __m256 w_widen8(__m128i h) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
W_INLINE __m256i w_narrow8(__m256 a) {
    const __m256i u = _mm256_castps_si256(a);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, quiet, nan);
}
W_INLINE wide w_load_bf16(const uint16_t *p) {
    return (wide){w_widen8(_mm_loadu_si128((const __m128i *)(const void *)p)),
                  w_widen8(_mm_loadu_si128((const __m128i *)(const void *)(p + 8)))};
}
W_INLINE void w_store_bf16(uint16_t *p, wide a) {
    const __m256i packed = _mm256_packus_epi32(w_narrow8(a.a), w_narrow8(a.b)); // halves interleaved by 128 bits
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(packed, 0xd8));
}
W_INLINE wide w_load_bf16_n(const uint16_t *p, uint32_t n) {
    uint16_t t[WIDE] = {0};
    memcpy(t, p, n * sizeof *t);
    return w_load_bf16(t);
}
W_INLINE void w_store_bf16_n(uint16_t *p, wide a, uint32_t n) {
    uint16_t t[WIDE];
    w_store_bf16(t, a);
    memcpy(p, t, n * sizeof *t);
}
W_INLINE wide w_set(float x) {
    return (wide){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
W_INLINE wide w_add(wide a, wide b) {
    return (wide){_mm256_add_ps(a.a, b.a), _mm256_add_ps(a.b, b.b)};
}
W_INLINE wide w_sub(wide a, wide b) {
    return (wide){_mm256_sub_ps(a.a, b.a), _mm256_sub_ps(a.b, b.b)};
}
W_INLINE wide w_mul(wide a, wide b) {
    return (wide){_mm256_mul_ps(a.a, b.a), _mm256_mul_ps(a.b, b.b)};
}
W_INLINE wide w_div(wide a, wide b) {
    return (wide){_mm256_div_ps(a.a, b.a), _mm256_div_ps(a.b, b.b)};
}
W_INLINE wide w_reciprocal(wide a) {
    return w_div(w_set(1.0f), a);
}
W_INLINE wide w_fma(wide a, wide b, wide c) {
    return (wide){_mm256_fmadd_ps(a.a, b.a, c.a), _mm256_fmadd_ps(a.b, b.b, c.b)};
}
W_INLINE wide w_fnma(wide a, wide b, wide c) {
    return (wide){_mm256_fnmadd_ps(a.a, b.a, c.a), _mm256_fnmadd_ps(a.b, b.b, c.b)};
}
W_INLINE wide w_max(wide a, wide b) {
    return (wide){_mm256_max_ps(a.a, b.a), _mm256_max_ps(a.b, b.b)};
}
W_INLINE wide w_min(wide a, wide b) {
    return (wide){_mm256_min_ps(a.a, b.a), _mm256_min_ps(a.b, b.b)};
}
W_INLINE wide w_sqrt(wide a) {
    return (wide){_mm256_sqrt_ps(a.a), _mm256_sqrt_ps(a.b)};
}
W_INLINE wide w_abs(wide a) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (wide){_mm256_andnot_ps(sign, a.a), _mm256_andnot_ps(sign, a.b)};
}
W_INLINE wide w_round(wide a) {
    return (wide){_mm256_round_ps(a.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                  _mm256_round_ps(a.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
W_INLINE wide_mask w_less(wide a, wide b) {
    return (wide){_mm256_cmp_ps(a.a, b.a, _CMP_LT_OQ), _mm256_cmp_ps(a.b, b.b, _CMP_LT_OQ)};
}
W_INLINE wide w_select(wide_mask mask, wide a, wide b) {
    return (wide){_mm256_blendv_ps(b.a, a.a, mask.a), _mm256_blendv_ps(b.b, a.b, mask.b)};
}
W_INLINE __m256 w_power8(__m256 n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
W_INLINE wide w_scale2(wide a, wide n) {
    return (wide){_mm256_mul_ps(a.a, w_power8(n.a)), _mm256_mul_ps(a.b, w_power8(n.b))};
}
W_INLINE __m256 w_exponent8(__m256 x) {
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(_mm256_castps_si256(x), 23), _mm256_set1_epi32(127)));
}
W_INLINE __m256 w_mantissa8(__m256 x) {
    const __m256i m = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffff));
    return _mm256_castsi256_ps(_mm256_or_si256(m, _mm256_set1_epi32(0x3f800000)));
}
W_INLINE wide w_exponent(wide x) {
    return (wide){w_exponent8(x.a), w_exponent8(x.b)};
}
W_INLINE wide w_mantissa(wide x) {
    return (wide){w_mantissa8(x.a), w_mantissa8(x.b)};
}
W_INLINE wide w_exchange(wide a) {
    return (wide){_mm256_permute_ps(a.a, 0xb1), _mm256_permute_ps(a.b, 0xb1)};
}
W_INLINE float w_sum(wide a) {
    const __m256 h = _mm256_add_ps(a.a, a.b);
    const __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}

#else

/// Four vectors of four: what every processor of the last decades has, in the compilers' own notation.
typedef float four __attribute__((vector_size(16)));
typedef int32_t four_bits __attribute__((vector_size(16)));
typedef uint32_t four_unsigned __attribute__((vector_size(16)));
typedef struct wide {
    four v[4];
} wide;
typedef struct wide_mask {
    four_bits v[4];
} wide_mask;

#define W_EACH(expression)                                                                                             \
    wide r;                                                                                                            \
    for (int i = 0; i < 4; i++) r.v[i] = (expression);                                                                 \
    return r
#define W_ALL(x) ((four){(x), (x), (x), (x)})

W_INLINE wide w_load(const float *p) {
    wide r;
    memcpy(r.v, p, sizeof r.v);
    return r;
}
W_INLINE void w_store(float *p, wide a) {
    memcpy(p, a.v, sizeof a.v);
}
W_INLINE wide w_load_n(const float *p, uint32_t n) {
    float t[WIDE] = {0};
    memcpy(t, p, n * sizeof *t);
    return w_load(t);
}
W_INLINE void w_store_n(float *p, wide a, uint32_t n) {
    float t[WIDE];
    w_store(t, a);
    memcpy(p, t, n * sizeof *t);
}
W_INLINE wide w_load_bf16(const uint16_t *p) {
    uint32_t t[WIDE];
    for (int i = 0; i < WIDE; i++) t[i] = (uint32_t)p[i] << 16;
    wide r;
    memcpy(r.v, t, sizeof r.v);
    return r;
}
W_INLINE void w_store_bf16(uint16_t *p, wide a) {
    uint32_t t[WIDE];
    for (int i = 0; i < 4; i++) {
        const four_unsigned u = (four_unsigned)a.v[i];
        const four_unsigned rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
        const four_unsigned nan = (four_unsigned)(a.v[i] != a.v[i]);
        const four_unsigned half = (nan & ((u >> 16) | 0x40u)) | (~nan & rounded);
        memcpy(t + 4 * i, &half, sizeof half);
    }
    for (int i = 0; i < WIDE; i++) p[i] = (uint16_t)t[i];
}
W_INLINE wide w_load_bf16_n(const uint16_t *p, uint32_t n) {
    uint16_t t[WIDE] = {0};
    memcpy(t, p, n * sizeof *t);
    return w_load_bf16(t);
}
W_INLINE void w_store_bf16_n(uint16_t *p, wide a, uint32_t n) {
    uint16_t t[WIDE];
    w_store_bf16(t, a);
    memcpy(p, t, n * sizeof *t);
}
W_INLINE wide w_set(float x) {
    W_EACH(W_ALL(x));
}
W_INLINE wide w_add(wide a, wide b) {
    W_EACH(a.v[i] + b.v[i]);
}
W_INLINE wide w_sub(wide a, wide b) {
    W_EACH(a.v[i] - b.v[i]);
}
W_INLINE wide w_mul(wide a, wide b) {
    W_EACH(a.v[i] * b.v[i]);
}
W_INLINE wide w_div(wide a, wide b) {
    W_EACH(a.v[i] / b.v[i]);
}
W_INLINE wide w_reciprocal(wide a) {
    W_EACH(W_ALL(1.0f) / a.v[i]);
}
W_INLINE wide w_fma(wide a, wide b, wide c) {
    W_EACH(a.v[i] * b.v[i] + c.v[i]);
}
W_INLINE wide w_fnma(wide a, wide b, wide c) {
    W_EACH(c.v[i] - a.v[i] * b.v[i]);
}
W_INLINE four four_select(four_bits mask, four a, four b) {
    return (four)((mask & (four_bits)a) | (~mask & (four_bits)b));
}
W_INLINE wide w_max(wide a, wide b) {
    W_EACH(four_select(a.v[i] > b.v[i], a.v[i], b.v[i]));
}
W_INLINE wide w_min(wide a, wide b) {
    W_EACH(four_select(a.v[i] < b.v[i], a.v[i], b.v[i]));
}
W_INLINE wide w_sqrt(wide a) {
    float t[WIDE];
    w_store(t, a);
    for (int i = 0; i < WIDE; i++) t[i] = sqrtf(t[i]);
    return w_load(t);
}
W_INLINE wide w_abs(wide a) {
    W_EACH((four)((four_bits)a.v[i] & 0x7fffffff));
}
/// For |a| < 2^22: the addition leaves no room for a fraction.
W_INLINE wide w_round(wide a) {
    W_EACH((a.v[i] + W_ALL(12582912.0f)) - W_ALL(12582912.0f));
}
W_INLINE wide_mask w_less(wide a, wide b) {
    wide_mask r;
    for (int i = 0; i < 4; i++) r.v[i] = a.v[i] < b.v[i];
    return r;
}
W_INLINE wide w_select(wide_mask mask, wide a, wide b) {
    W_EACH(four_select(mask.v[i], a.v[i], b.v[i]));
}
/// n + 1.5 2^23 holds n in its lowest bits, so that no conversion, undefined for a NaN, is needed.
W_INLINE wide w_scale2(wide a, wide n) {
    W_EACH(a.v[i] * (four)(((four_bits)(n.v[i] + W_ALL(12582912.0f)) - 0x4b400000 + 127) << 23));
}
W_INLINE wide w_exponent(wide x) {
    W_EACH(__builtin_convertvector((four_bits)((four_unsigned)x.v[i] >> 23) - 127, four));
}
W_INLINE wide w_mantissa(wide x) {
    W_EACH((four)(((four_bits)x.v[i] & 0x7fffff) | 0x3f800000));
}
W_INLINE wide w_exchange(wide a) {
    W_EACH(((four){a.v[i][1], a.v[i][0], a.v[i][3], a.v[i][2]}));
}
W_INLINE float w_sum(wide a) {
    const four q = (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
    return (q[0] + q[2]) + (q[1] + q[3]);
}

#endif

W_INLINE wide w_zero(void) {
    return w_set(0.0f);
}

/// The highest lane.
W_INLINE float w_highest(wide a) {
#if defined(__AVX512F__)
    return _mm512_reduce_max_ps(a);
#else
    float t[WIDE];
    w_store(t, a);
    for (int half = WIDE / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) t[i] = t[i + half] > t[i] ? t[i + half] : t[i];
    }
    return t[0];
#endif
}

/// The same as w_store_bf16, and two side by side; a subnormal number may become zero, which the instruction does.
#if defined(__AVX512BF16__)
W_INLINE void w_put_bf16(uint16_t *p, wide a) {
    _mm256_storeu_si256((__m256i *)(void *)p, (__m256i)_mm512_cvtneps_pbh(a));
}
W_INLINE void w_put_bf16_n(uint16_t *p, wide a, uint32_t n) {
    _mm256_mask_storeu_epi16(p, w_first(n), (__m256i)_mm512_cvtneps_pbh(a));
}
W_INLINE void w_put_bf16_two(uint16_t *p, wide a, wide b) {
    _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}
#else
W_INLINE void w_put_bf16(uint16_t *p, wide a) {
    w_store_bf16(p, a);
}
W_INLINE void w_put_bf16_n(uint16_t *p, wide a, uint32_t n) {
    w_store_bf16_n(p, a, n);
}
W_INLINE void w_put_bf16_two(uint16_t *p, wide a, wide b) {
    w_store_bf16(p, a);
    w_store_bf16(p + WIDE, b);
}
#endif

/// Rows to columns: afterwards lane j of r[i] is what lane i of r[j] was.
W_INLINE void w_transpose(wide r[WIDE]) {
#if defined(__AVX512F__)
    wide t[WIDE], u[WIDE];
    for (int i = 0; i < WIDE; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < WIDE; i++) { // 128-bit lane L of u[4 i + j]: column 4 L + j of rows 4 i .. 4 i + 3
        const int pair = (i & ~3) + ((i & 2) >> 1);
        const __m512d a = _mm512_castps_pd(t[pair]), b = _mm512_castps_pd(t[pair + 2]);
        u[i] = _mm512_castpd_ps(i & 1 ? _mm512_unpackhi_pd(a, b) : _mm512_unpacklo_pd(a, b));
    }
    for (int j = 0; j < 4; j++) {
        const wide even = _mm512_shuffle_f32x4(u[j], u[4 + j], 0x88), odd = _mm512_shuffle_f32x4(u[j], u[4 + j], 0xdd);
        const wide even2 = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0x88);
        const wide odd2 = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0xdd);
        r[j] = _mm512_shuffle_f32x4(even, even2, 0x88);
        r[4 + j] = _mm512_shuffle_f32x4(odd, odd2, 0x88);
        r[8 + j] = _mm512_shuffle_f32x4(even, even2, 0xdd);
        r[12 + j] = _mm512_shuffle_f32x4(odd, odd2, 0xdd);
    }
#else
    float m[WIDE][WIDE], column[WIDE];
    for (int i = 0; i < WIDE; i++) w_store(m[i], r[i]);
    for (int i = 0; i < WIDE; i++) {
        for (int j = 0; j < WIDE; j++) column[j] = m[j][i];
        r[i] = w_load(column);
    }
#endif
}

#endif
