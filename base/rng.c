#include "base/rng.h"

#include <math.h>
#include <string.h>

void nm_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    // Multipliers and Weyl increments: Salmon et al. 2011, table 2 and section 4.3.
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
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
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint64_t nm_hash64(uint64_t value) {
    // One step of splitmix64 from state `value` (Steele, Lea, Flood 2014; Stafford's mix 13). A bijection.
    value += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

uint64_t nm_hash_bytes(const void *data, size_t size, uint64_t basis) {
    const unsigned char *bytes = data;
    uint64_t hash = basis ? basis : UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001B3);
    return hash;
}

void nm_rng_words(const nm_rng_key *key, uint32_t draw, uint32_t out[4]) {
    // The seed is hashed before the scene comes in, so that (seed, scene) and (seed + 1, scene - 1) share nothing.
    const uint64_t mixed = nm_hash64(nm_hash64(key->seed) ^ key->scene);
    const uint32_t counter[4] = {key->agent, key->step, key->purpose, draw};
    const uint32_t philox_key[2] = {(uint32_t)mixed, (uint32_t)(mixed >> 32)};
    nm_philox4x32(counter, philox_key, out);
}

float nm_rng_uniform(const nm_rng_key *key, uint32_t draw) {
    uint32_t words[4];
    nm_rng_words(key, draw, words);
    return (float)(words[0] >> 8) * 0x1p-24f;
}

uint32_t nm_rng_below(const nm_rng_key *key, uint32_t draw, uint32_t bound) {
    NM_ASSERT(bound > 0);
    uint32_t words[4];
    nm_rng_words(key, draw, words);
    // The high 32 bits of a 64-bit draw times the bound, in two halves (Lemire 2019 without the rejection: a stateless
    // draw can not reject, and 64 bits leave a bias below bound / 2^64).
    const uint64_t high = (uint64_t)words[0] * bound;
    const uint64_t low = (uint64_t)words[1] * bound;
    return (uint32_t)((high + (low >> 32)) >> 32);
}

// The normal draw does not call libm's log and cos: their last bits differ between libraries, and a stored seed must
// give the same scene on every machine. Both below are good to about 1e-12, far under the float that is returned.

/// Natural logarithm of a normal number x > 0: x = m 2^e, log m = 2 artanh((m - 1) / (m + 1)) with m in [0.7, 1.42).
static double exact_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000FFFFFFFFFFFFF)) | UINT64_C(0x3FF0000000000000);
    double m;
    memcpy(&m, &bits, sizeof m);
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
static double exact_cos(double x) {
    const double x2 = x * x;
    double sum = 1.0;
    for (int n = 18; n >= 2; n -= 2) sum = 1.0 - sum * x2 / (double)(n * (n - 1));
    return sum;
}

/// cos of the angle 2 pi (word + 0.5) / 2^32: the top two bits are the quadrant.
static double cos_of_turn(uint32_t word) {
    const uint32_t quadrant = word >> 30;
    const double part = ((double)(word & UINT32_C(0x3FFFFFFF)) + 0.5) * 0x1p-30;
    const double angle = ((quadrant & 1) ? 1.0 - part : part) * 1.5707963267948966;
    const double value = exact_cos(angle);
    return quadrant == 1 || quadrant == 2 ? -value : value;
}

float nm_rng_normal(const nm_rng_key *key, uint32_t draw) {
    uint32_t words[4];
    nm_rng_words(key, draw, words);
    // Box and Muller 1958. The half keeps the uniform off 0 and 1; the largest magnitude is sqrt(66 ln 2) = 6.76.
    const double uniform = ((double)words[0] + 0.5) * 0x1p-32;
    return (float)(sqrt(-2.0 * exact_log(uniform)) * cos_of_turn(words[1]));
}
