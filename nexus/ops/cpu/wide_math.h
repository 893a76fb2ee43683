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

#if defined(__AVX512F__)

/// |x| Phi(-|x|) in 16 equal intervals of [0, 6): coefficients of powers of the position in the interval, in [0, 1).
/// Chebyshev interpolation in float64, off by at most 1.7e-08.
static const float gelu_table[6][WIDE] = {
    {0.0f, 1.326863468e-01f, 1.699705124e-01f, 1.465813220e-01f, 1.002108008e-01f, 5.699317902e-02f, 2.750506625e-02f,
     1.137267891e-02f, 4.049694631e-03f, 1.245639636e-03f, 3.315646027e-04f, 7.646391168e-05f, 1.528947541e-05f,
     2.652189551e-06f, 3.992563222e-07f, 5.217328791e-08f},
    {1.874993593e-01f, 8.039401472e-02f, 2.908549213e-04f, -4.052438214e-02f, -4.780065641e-02f, -3.696678951e-02f,
     -2.219634689e-02f, -1.090082806e-02f, -4.479656462e-03f, -1.558941440e-03f, -4.626659502e-04f, -1.176253209e-04f,
     -2.569455864e-05f, -4.832979812e-06f, -7.839726095e-07f, -1.098021016e-07f},
    {-5.609231442e-02f, -4.861283302e-02f, -3.044296801e-02f, -1.094783098e-02f, 2.273209626e-03f, 7.331171539e-03f,
     6.836812943e-03f, 4.377028439e-03f, 2.181766089e-03f, 8.854265325e-04f, 2.988736087e-04f, 8.492224879e-05f,
     2.046427289e-05f, 4.203202934e-06f, 7.384181799e-07f, 1.112461732e-07f},
    {-4.129155786e-05f, 4.718251526e-03f, 6.847364828e-03f, 5.760297179e-03f, 3.003504360e-03f, 5.460307002e-04f,
     -6.764704594e-04f, -8.552726358e-04f, -5.863661645e-04f, -2.936823294e-04f, -1.161741457e-04f, -3.752156772e-05f,
     -1.007030278e-05f, -2.269951437e-06f, -4.327594922e-07f, -7.012334180e-08f},
    {1.398704248e-03f, 9.563364438e-04f, 5.039871394e-05f, -6.306578871e-04f, -7.451607380e-04f, -4.629401374e-04f,
     -1.335370616e-04f, 4.735563925e-05f, 8.470467583e-05f, 5.916674490e-05f, 2.853704245e-05f, 1.061232160e-05f,
     3.177114877e-06f, 7.828359685e-07f, 1.608492681e-07f, 2.779679065e-08f},
    {-7.811209070e-05f, -1.715958351e-04f, -1.348333317e-04f, -2.795524779e-05f, 5.148106357e-05f, 6.441117148e-05f,
     3.715493585e-05f, 8.733929462e-06f, -4.502683623e-06f, -6.044514976e-06f, -3.671332934e-06f, -1.562191187e-06f,
     -5.138468850e-07f, -1.360516393e-07f, -2.962124768e-08f, -5.372017942e-09f},
};
/// x Phi(x) = max(x, 0) - |x| Phi(-|x|). With a permutation as the look-up this takes half of what the general form
/// does.
W_INLINE wide w_gelu(wide x) {
    const wide size = w_abs(x), at = w_mul(size, w_set(16.0f / 6.0f));
    const __m512i interval = _mm512_cvttps_epi32(at);
    const wide d = w_sub(at, _mm512_cvtepi32_ps(interval));
    wide p = _mm512_permutexvar_ps(interval, w_load(gelu_table[5]));
    for (int power = 4; power >= 0; power--) {
        p = w_fma(p, d, _mm512_permutexvar_ps(interval, w_load(gelu_table[power])));
    }
    const wide above = w_max(w_zero(), x); // beyond 6 what is taken off is less than 6e-9
    return _mm512_mask_sub_ps(above, _mm512_cmp_ps_mask(size, w_set(6.0f), _CMP_NGE_UQ), above, p);
}

/// |x| Phi(-|x|) around 32 points 6/32 apart: coefficients of powers of the distance from the nearest, in [-1/2, 1/2]
/// of an interval. Least maximum by Lawson's iteration in float64; around 0 relative to x.
static const float coarse_gelu_table[4][2 * WIDE] = {
    {0.0f,
     0.0798058435f,
     0.132685885f,
     0.161374077f,
     0.169970468f,
     0.163360178f,
     0.146581605f,
     0.124262258f,
     0.100211151f,
     0.0772095472f,
     0.0569934063f,
     0.0403840579f,
     0.027505137f,
     0.0180243738f,
     0.0113726603f,
     0.00691281259f,
     0.00404965505f,
     0.0022871301f,
     0.00124561065f,
     0.00065430277f,
     0.000331550138f,
     0.000162087512f,
     7.6458382e-05f,
     3.48027097e-05f,
     1.5287771e-05f,
     6.48102969e-06f,
     2.65175777e-06f,
     1.04720482e-06f,
     3.99165032e-07f,
     1.4686195e-07f,
     5.21570485e-08f,
     1.78802235e-08f},
    {0.0937503204f,    0.0660255849f,    0.0401972458f,    0.0178723745f,    0.00014533865f,   -0.0125166327f,
     -0.0202624258f,   -0.0237380005f,   -0.023900494f,    -0.021815706f,    -0.0184834227f,   -0.0147187794f,
     -0.0110981287f,   -0.00796105806f,  -0.00545036979f,  -0.0035694323f,   -0.00223980891f,  -0.00134835555f,
     -0.00077946845f,  -0.000433035224f, -0.000231335725f, -0.000118897267f, -5.88149487e-05f, -2.80115946e-05f,
     -1.28483243e-05f, -5.67700545e-06f, -2.41683438e-06f, -9.91533398e-07f, -3.92074668e-07f, -1.49448198e-07f,
     -5.49193508e-08f, -1.94589465e-08f},
    {-0.0140368603f,  -0.0135197602f,   -0.0121393185f,  -0.0100706425f,  -0.00760784885f, -0.00507063372f,
     -0.00274396897f, -0.000832955586f, 0.000558031083f, 0.00142166705f,  0.0018252898f,   0.00187935424f,
     0.00170626363f,  0.00141640683f,   0.0010943989f,   0.000795084692f, 0.00054657826f,  0.000357055076f,
     0.000222310307f, 0.000132213681f,  7.52324049e-05f, 4.10113134e-05f, 2.14395495e-05f, 1.07571914e-05f,
     5.18378647e-06f, 2.40051668e-06f,  1.06875325e-06f, 4.57657222e-07f, 1.88557351e-07f, 7.47681952e-08f,
     2.85413115e-08f, 1.04909317e-08f},
    {6.15590325e-05f,  0.000319215818f,  0.000589593896f,  0.000773240288f,  0.000850978424f,  0.000824810588f,
     0.000715074886f,  0.000553307007f,  0.000373753312f,  0.000205834498f,  6.9408743e-05f,   -2.66004445e-05f,
     -8.27384356e-05f, -0.00010589735f,  -0.00010582331f,  -9.22374602e-05f, -7.30342872e-05f, -5.35787258e-05f,
     -3.68249093e-05f, -2.3878134e-05f,  -1.4675742e-05f,  -8.57785835e-06f, -4.77966023e-06f, -2.54367819e-06f,
     -1.2948085e-06f,  -6.31148623e-07f, -2.94883904e-07f, -1.3216092e-07f,  -5.68554128e-08f, -2.34908182e-08f,
     -9.32584499e-09f, -3.5589347e-09f},
};
/// x Phi(x) for a result in bf16: to 1.4e-5 of its value for x > -3, 3e-4 of it down to -5; 6e-7 absolute everywhere.
W_INLINE wide w_gelu_coarse(wide x) {
    const wide size = w_abs(x), scale = w_set(32.0f / 6.0f), magic = w_set(12582912.0f);
    const wide at =
        w_fma(size, scale, magic); // 1.5 2^23 leaves no room for a fraction: the point is in the lowest bits
    const wide d = _mm512_fmsub_ps(size, scale, w_sub(at, magic));
    const __m512i point = _mm512_castps_si512(at);
    wide p = _mm512_permutex2var_ps(w_load(coarse_gelu_table[3]), point, w_load(coarse_gelu_table[3] + WIDE));
    for (int power = 2; power >= 0; power--) {
        const float *table = coarse_gelu_table[power];
        p = w_fma(p, d, _mm512_permutex2var_ps(w_load(table), point, w_load(table + WIDE)));
    }
    const wide above = w_max(w_zero(), x);
    return _mm512_mask_sub_ps(above, _mm512_cmp_ps_mask(size, w_set(31.5f * 6.0f / 32.0f), _CMP_NGE_UQ), above, p);
}

/// Phi(-|x|) - |x| phi(x), made in the same way.
static const float coarse_slope_table[4][2 * WIDE] = {
    {0.5f,
     0.352136523f,
     0.214385495f,
     0.0953195542f,
     0.000775377848f,
     -0.0667551979f,
     -0.108066164f,
     -0.126602635f,
     -0.127469316f,
     -0.116350494f,
     -0.0985783339f,
     -0.078500241f,
     -0.0591900907f,
     -0.042459026f,
     -0.0290686674f,
     -0.0190369841f,
     -0.0119456472f,
     -0.00719122356f,
     -0.00415715715f,
     -0.00230951328f,
     -0.00123378402f,
     -0.000634113967f,
     -0.000313676515f,
     -0.000149393149f,
     -6.8523208e-05f,
     -3.02767003e-05f,
     -1.28894344e-05f,
     -5.28800365e-06f,
     -2.09098175e-06f,
     -7.97019197e-07f,
     -2.92886767e-07f,
     -1.03774219e-07f},
    {-0.14960371f,    -0.144412279f,   -0.129640639f,   -0.107508205f,   -0.0811660513f,  -0.0540384762f,
     -0.0291747134f,  -0.00876745302f, 0.00607092679f,  0.0152674681f,   0.0195476338f,   0.0200966652f,
     0.0182255805f,   0.0151148923f,   0.0116680507f,   0.00846924167f,  0.0058168238f,   0.00379631016f,
     0.00236136746f,  0.00140294642f,  0.00079746556f,  0.000434243702f, 0.000226750417f, 0.000113635215f,
     5.46916999e-05f, 2.52940008e-05f, 1.12462221e-05f, 4.80909648e-06f, 1.97850864e-06f, 7.83357336e-07f,
     2.98567414e-07f, 1.09568269e-07f},
    {3.65677761e-06f,  0.00510580093f,   0.00943055656f,   0.0123682432f,    0.0136119127f,    0.0131941335f,
     0.0114394575f,    0.00885234587f,   0.00598045764f,   0.00329443184f,   0.00111191429f,   -0.000424259837f,
     -0.00132270716f,  -0.00169357366f,  -0.00169272209f,  -0.00147562043f,  -0.00116855011f,  -0.000857354549f,
     -0.000589328643f, -0.000382176484f, -0.0002349157f,   -0.000137322088f, -7.65260993e-05f, -4.07312073e-05f,
     -2.0735999e-05f,  -1.01089781e-05f, -4.72372631e-06f, -2.11736983e-06f, -9.11018958e-07f, -3.76459013e-07f,
     -1.49476776e-07f, -5.70523468e-08f},
    {0.00174385787f,   0.00161257037f,   0.00123706285f,   0.000704542908f,  0.000126618485f,  -0.000386902946f,
     -0.000754765526f, -0.000939627353f, -0.000949041743f, -0.000824332179f, -0.000623090833f, -0.000401786761f,
     -0.000203466858f, -5.24817588e-05f, 4.44689613e-05f,  9.33673873e-05f,  0.000106768588f,  9.82416968e-05f,
     7.95464875e-05f,  5.8661717e-05f,   4.01024845e-05f,  2.56770454e-05f,  1.55003254e-05f,  8.86174439e-06f,
     4.81382858e-06f,  2.49063237e-06f,  1.22967242e-06f,  5.80193614e-07f,  2.61926203e-07f,  1.13248817e-07f,
     4.69345061e-08f,  1.86575413e-08f},
};
/// Phi(x) + x phi(x) for a result in bf16: to 1.3e-6.
W_INLINE wide w_gelu_slope_coarse(wide x) {
    const wide size = w_abs(x), scale = w_set(32.0f / 6.0f), magic = w_set(12582912.0f);
    const wide at = w_fma(size, scale, magic);
    const wide d = _mm512_fmsub_ps(size, scale, w_sub(at, magic));
    const __m512i point = _mm512_castps_si512(at);
    wide p = _mm512_permutex2var_ps(w_load(coarse_slope_table[3]), point, w_load(coarse_slope_table[3] + WIDE));
    for (int power = 2; power >= 0; power--) {
        const float *table = coarse_slope_table[power];
        p = w_fma(p, d, _mm512_permutex2var_ps(w_load(table), point, w_load(table + WIDE)));
    }
    p = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(size, w_set(31.5f * 6.0f / 32.0f), _CMP_NGE_UQ), p);
    return _mm512_mask_sub_ps(p, _mm512_cmp_ps_mask(x, w_zero(), _CMP_NLT_UQ), w_set(1.0f), p);
}

#else

/// x Phi(x)
W_INLINE wide w_gelu(wide x) {
    wide bell;
    const wide below = w_mul(w_tail(x, &bell), x);
    return w_select(w_less(x, w_zero()), below, w_sub(x, below));
}
/// x Phi(x) for a result in bf16.
W_INLINE wide w_gelu_coarse(wide x) {
    return w_gelu(x);
}

#endif

/// Phi(x) + x phi(x)
W_INLINE wide w_gelu_slope(wide x) {
    wide bell;
    const wide tail = w_tail(x, &bell);
    const wide phi = w_select(w_less(x, w_zero()), tail, w_sub(w_set(1.0f), tail));
    return w_fma(w_mul(x, w_set(0.39894228f)), bell, phi);
}

#if !defined(__AVX512F__)
/// Phi(x) + x phi(x) for a result in bf16.
W_INLINE wide w_gelu_slope_coarse(wide x) {
    return w_gelu_slope(x);
}
#endif

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
