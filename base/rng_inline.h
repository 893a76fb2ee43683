/// The arithmetic behind rng.h, inline, for loops that draw many numbers at once. Private: everyone else calls rng.h.
/// IEEE operations only and no table, so that a GPU without contraction computes the same bits.
#ifndef NM_BASE_RNG_INLINE_H
#define NM_BASE_RNG_INLINE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/// The ten rounds of Philox4x32; word w goes to out[w * stride]. Multipliers and Weyl increments: Salmon et al. 2011,
/// table 2 and section 4.3.
static inline void nm_philox_rounds(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1,
                                    uint32_t *out, size_t stride) {
    for (int round = 0; round < 10; round++) {
        const uint64_t product0 = UINT64_C(0xD2511F53) * c0;
        const uint64_t product1 = UINT64_C(0xCD9E8D57) * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    out[0] = c0;
    out[stride] = c1;
    out[2 * stride] = c2;
    out[3 * stride] = c3;
}

// The normal draw does not call libm's log and cos: their last bits differ between libraries, and a stored seed must
// give the same scene on every machine. Both below are good to about 1e-12, far under the float that is returned.

/// Natural logarithm of a normal number x > 0: x = m 2^e, log m = 2 artanh((m - 1) / (m + 1)) with m in [0.7, 1.42).
static inline double nm_exact_log(double x) {
    union {
        double value;
        uint64_t bits;
    } from = {.value = x}, to;
    int exponent = (int)(from.bits >> 52) - 1023;
    to.bits = (from.bits & UINT64_C(0x000FFFFFFFFFFFFF)) | UINT64_C(0x3FF0000000000000);
    double m = to.value;
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    const double t = (m - 1.0) / (m + 1.0), t2 = t * t;
    double sum = 1.0 / 15.0;
    for (int odd = 13; odd >= 1; odd -= 2) sum = sum * t2 + 1.0 / odd;
    return exponent * 0.6931471805599453 + 2.0 * t * sum;
}

/// cos(x) for x in [0, pi/2]: the Taylor series to x^18.
static inline double nm_exact_cos(double x) {
    const double x2 = x * x;
    double sum = 1.0;
    for (int n = 18; n >= 2; n -= 2) sum = 1.0 - sum * x2 / (double)(n * (n - 1));
    return sum;
}

/// cos of the angle 2 pi (word + 0.5) / 2^32: the top two bits are the quadrant.
static inline double nm_cos_of_turn(uint32_t word) {
    const uint32_t quadrant = word >> 30;
    const double part = ((double)(word & UINT32_C(0x3FFFFFFF)) + 0.5) * 0x1p-30;
    const double angle = ((quadrant & 1) ? 1.0 - part : part) * 1.5707963267948966;
    const double value = nm_exact_cos(angle);
    return quadrant == 1 || quadrant == 2 ? -value : value;
}

/// sqrt(-2 ln((word + 0.5) / 2^32)). The half keeps the uniform off 0 and 1; the largest value is sqrt(66 ln 2) = 6.76.
static inline double nm_normal_radius(uint32_t word) {
    return sqrt(-2.0 * nm_exact_log(((double)word + 0.5) * 0x1p-32));
}

#endif
