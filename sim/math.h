/// Elementary functions of the simulator, made of IEEE + - * / and sqrt only: the same bits on every machine and
/// compiler (contraction is off), which libm does not promise. Branch-free, so that loops over the inline functions
/// vectorise.
///
/// The polynomials are minimax fits made for this file (Remez exchange, weighted for the error of the result); the
/// reduction of the angle is Cody and Waite's, "Software Manual for the Elementary Functions", 1980.
#ifndef NM_SIM_MATH_H
#define NM_SIM_MATH_H

#include <math.h>
#include <stdint.h>

#include "base/export.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_PI 3.14159265358979323846
#define NM_PI_F 3.14159274101257324219f ///< the float nearest to pi, the largest heading there is
#define NM_HALF_PI_F 1.57079637050628662109f

NM_HOST_DEVICE static inline float nm_minf(float a, float b) {
    return a < b ? a : b;
}
NM_HOST_DEVICE static inline float nm_maxf(float a, float b) {
    return a > b ? a : b;
}
NM_HOST_DEVICE static inline float nm_clampf(float value, float low, float high) {
    return nm_minf(nm_maxf(value, low), high);
}
NM_HOST_DEVICE static inline float nm_hypotf(float x, float y) {
    return sqrtf(x * x + y * y);
}

/// The nearest integer to `x`, ties to even, as a float; |x| < 2^22.
NM_HOST_DEVICE static inline float nm_nearest(float x) {
    const float shifter = 12582912.0f; // 1.5 * 2^23: the sum has no fraction bits left
    return (x + shifter) - shifter;
}

/// Sine and cosine of x, rad; absolute error under 1e-7 for |x| <= 1e4.
NM_HOST_DEVICE static inline void nm_sincosf(float x, float *sine, float *cosine) {
    float turns = nm_nearest(x * 0.636619772f);
    int quadrant = (int)turns;
    // pi / 2 in three parts, the first two so short that the products are exact
    float r = x - turns * 1.5703125f;
    r = r - turns * 4.837512969970703125e-4f;
    r = r - turns * 7.549789948768648e-8f;
    float u = r * r;
    float s = r + r * u * (-1.666665077e-01f + u * (8.331981488e-03f + u * -1.949589059e-04f));
    float c = 1.0f - 0.5f * u + u * u * (4.166664556e-02f + u * (-1.388737466e-03f + u * 2.443912126e-05f));
    float first = quadrant & 1 ? c : s;
    float second = quadrant & 1 ? s : c;
    *sine = quadrant & 2 ? -first : first;
    *cosine = (quadrant + 1) & 2 ? -second : second;
}

/// Angle of the vector (x, y), rad in (-pi, pi]; absolute error under 3e-7. (0, 0) gives 0.
NM_HOST_DEVICE static inline float nm_atan2f(float y, float x) {
    float ax = x < 0.0f ? -x : x;
    float ay = y < 0.0f ? -y : y;
    float large = nm_maxf(ax, ay);
    float small = nm_minf(ax, ay);
    float t = small / nm_maxf(large, 1e-37f);
    float u = t * t;
    float p = -7.564313710e-02f + u * (4.326657951e-02f + u * (-1.636139303e-02f + u * 2.911380958e-03f));
    p = -3.333322108e-01f + u * (1.999468654e-01f + u * (-1.421558112e-01f + u * (1.067658886e-01f + u * p)));
    float r = t + t * u * p;
    r = ay > ax ? NM_HALF_PI_F - r : r;
    r = x < 0.0f ? NM_PI_F - r : r;
    r = y < 0.0f ? -r : r;
    return r <= -NM_PI_F ? NM_PI_F : r;
}

/// The same direction in (-pi, pi], for |x| <= 1e4 rad. Values already in range come back unchanged, -pi becomes pi.
NM_HOST_DEVICE static inline float nm_wrap_angle(float x) {
    float turns = nm_nearest(x * 0.159154943f);
    float r = x - turns * 6.28125f; // 2 pi in three parts, as above
    r = r - turns * 1.9350051879882812e-3f;
    r = r - turns * 3.019915979507459e-7f;
    r = r > NM_PI_F ? r - 2.0f * NM_PI_F : r; // the product above rounds: near the ends it may miss the nearest turn
    r = r <= -NM_PI_F ? r + 2.0f * NM_PI_F : r;
    r = nm_minf(r, NM_PI_F);
    float inside = x <= -NM_PI_F ? NM_PI_F : x;
    return x >= -NM_PI_F && x <= NM_PI_F ? inside : r;
}

/// The same for any finite double, for what comes from files.
NM_HOST_DEVICE static inline double nm_wrap_angle_d(double x) {
    if (!(x >= -4.0 * NM_PI && x <= 4.0 * NM_PI)) x = fmod(x, 2.0 * NM_PI); // exact in every libm
    while (x > NM_PI) x -= 2.0 * NM_PI;
    while (x <= -NM_PI) x += 2.0 * NM_PI;
    return x;
}

#ifdef __cplusplus
}
#endif
#endif
