/// Elementary functions of sixteen floats. Accuracies are checked against libm by tests/nexus/test_cpu_backend.c.
/// A NaN gives a NaN.
#ifndef NM_NEXUS_OPS_CPU_WIDE_MATH_H
#define NM_NEXUS_OPS_CPU_WIDE_MATH_H

#include "nexus/ops/cpu/wide.h"

/// e^x to 3e-7 relative; 0 below -80, so that products of it stay clear of the slow subnormal numbers; not above
/// e^88.3. x = n ln 2 + r, Taylor in r.
W_INLINE wide w_exp(wide x) {
    const wide lowest = w_set(-80.0f);
    const wide_mask tiny = w_less(x, lowest);
    const wide c = w_min(w_set(88.3f), w_max(lowest, x));
    const wide n = w_round(w_mul(c, w_set(1.44269504f)));
    wide r = w_fnma(n, w_set(0.693359375f), c); // ln 2 in two parts: the first times n is exact
    r = w_fma(n, w_set(2.12194442e-4f), r);
    wide p = w_fma(r, w_set(1.0f / 720.0f), w_set(1.0f / 120.0f));
    p = w_fma(p, r, w_set(1.0f / 24.0f));
    p = w_fma(p, r, w_set(1.0f / 6.0f));
    p = w_fma(p, r, w_set(0.5f));
    p = w_fma(p, r, w_set(1.0f));
    p = w_fma(p, r, w_set(1.0f));
    return w_select(tiny, w_zero(), w_scale2(p, n));
}

/// 1 / (1 + e^-x)
W_INLINE wide w_sigmoid(wide x) {
    return w_reciprocal(w_add(w_set(1.0f), w_exp(w_sub(w_zero(), x))));
}

/// Phi(-|x|), the tail of the normal distribution, and bell = exp(-x^2 / 2). tail = bell t P(t) with
/// t = 1 / (1 + 0.275 |x|), the form of Abramowitz and Stegun 1964, 7.1.26; P was fitted so that |x| tail is off by at
/// most 1.1e-8.
W_INLINE wide w_tail(wide x, wide *bell) {
    const wide t = w_reciprocal(w_fma(w_abs(x), w_set(0.275f), w_set(1.0f)));
    wide p = w_fma(t, w_set(-0.11416583508f), w_set(0.44916570187f));
    p = w_fma(p, t, w_set(-0.32639047503f));
    p = w_fma(p, t, w_set(0.33022090793f));
    p = w_fma(p, t, w_set(0.04359609261f));
    p = w_fma(p, t, w_set(0.11757362634f));
    *bell = w_exp(w_mul(x, w_mul(x, w_set(-0.5f))));
    return w_mul(w_mul(p, t), *bell);
}

/// x Phi(x)
W_INLINE wide w_gelu(wide x) {
    wide bell;
    const wide below = w_mul(w_tail(x, &bell), x);
    return w_select(w_less(x, w_zero()), below, w_sub(x, below));
}

/// Phi(x) + x phi(x)
W_INLINE wide w_gelu_slope(wide x) {
    wide bell;
    const wide tail = w_tail(x, &bell);
    const wide phi = w_select(w_less(x, w_zero()), tail, w_sub(w_set(1.0f), tail));
    return w_fma(w_mul(x, w_set(0.39894228f)), bell, phi);
}

/// s (1 + x (1 - s)), s = sigmoid(x)
W_INLINE wide w_silu_slope(wide x) {
    const wide s = w_sigmoid(x);
    return w_mul(s, w_fma(x, w_sub(w_set(1.0f), s), w_set(1.0f)));
}

/// log2 x for normal positive x, to 2e-7 absolute near 1: x = m 2^e, 2 atanh((m - 1) / (m + 1)) by its series.
W_INLINE wide w_log2(wide x) {
    const wide m = w_mantissa(x);
    const wide_mask low = w_less(m, w_set(1.41421356f));
    const wide e = w_add(w_exponent(x), w_select(low, w_zero(), w_set(1.0f)));
    const wide c = w_select(low, m, w_mul(m, w_set(0.5f)));
    const wide s = w_div(w_sub(c, w_set(1.0f)), w_add(c, w_set(1.0f)));
    const wide q = w_mul(s, s);
    wide p = w_fma(q, w_set(1.0f / 9.0f), w_set(1.0f / 7.0f));
    p = w_fma(p, q, w_set(1.0f / 5.0f));
    p = w_fma(p, q, w_set(1.0f / 3.0f));
    p = w_fma(p, q, w_set(1.0f));
    return w_fma(w_mul(s, p), w_set(2.88539008f), e);
}

/// What w_sin_cos takes; beyond, pi/2 in three parts leaves too much.
#define W_SIN_COS_LIMIT 8192.0f

/// sin x and cos x to 2e-7 absolute for |x| <= W_SIN_COS_LIMIT: x = n pi/2 + r, Taylor in r.
W_INLINE void w_sin_cos(wide x, wide *sine, wide *cosine) {
    const wide n = w_round(w_mul(x, w_set(0.63661977f)));
    wide r = w_fnma(n, w_set(1.5703125f), x);
    r = w_fnma(n, w_set(4.837512969970703e-4f), r);
    r = w_fnma(n, w_set(7.549790126e-8f), r);
    const wide q = w_mul(r, r);
    wide s = w_fma(q, w_set(1.0f / 362880.0f), w_set(-1.0f / 5040.0f));
    s = w_fma(s, q, w_set(1.0f / 120.0f));
    s = w_fma(s, q, w_set(-1.0f / 6.0f));
    s = w_fma(w_mul(s, q), r, r);
    wide c = w_fma(q, w_set(1.0f / 40320.0f), w_set(-1.0f / 720.0f));
    c = w_fma(c, q, w_set(1.0f / 24.0f));
    c = w_fma(c, q, w_set(-0.5f));
    c = w_fma(c, q, w_set(1.0f));
    // n mod 4 in {0, 1, 2, -1, -2}; odd swaps sine and cosine
    const wide quarter = w_fnma(w_round(w_mul(n, w_set(0.25f))), w_set(4.0f), n);
    const wide turns = w_abs(quarter);
    const wide_mask odd = w_less(w_abs(w_sub(turns, w_set(1.0f))), w_set(0.5f));
    const wide_mask half = w_less(w_set(1.5f), turns);
    const wide_mask back = w_less(quarter, w_set(-0.5f));
    const wide minus = w_set(-1.0f), plus = w_set(1.0f);
    const wide half_sign = w_select(half, minus, plus);
    const wide odd_sign = w_select(back, minus, plus); // only looked at where n is odd
    *sine = w_mul(w_select(odd, c, s), w_select(odd, odd_sign, half_sign));
    *cosine = w_mul(w_select(odd, s, c), w_select(odd, w_sub(w_zero(), odd_sign), half_sign));
}

#endif
