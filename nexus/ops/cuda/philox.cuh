/// base/rng.c on the device: the same function of the same key, bit for bit.
///
/// Every double-precision operation is named by its rounding, so that no compiler may contract a product and a sum
/// whatever its flags. Keep in step with base/rng.c, where the choices are explained.
#ifndef NM_NEXUS_OPS_CUDA_PHILOX_CUH
#define NM_NEXUS_OPS_CUDA_PHILOX_CUH

#include <cuda_runtime.h>

#include "base/rng.h"

namespace nm_cuda {

__device__ inline uint64_t hash64(uint64_t value) {
    value += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

/// The first two of the four words that nm_rng_words gives: all that a normal draw takes.
__device__ inline void rng_words(const nm_rng_key &key, uint32_t draw, uint32_t *first, uint32_t *second) {
    const uint64_t mixed = hash64(hash64(key.seed) ^ key.scene);
    uint32_t k0 = (uint32_t)mixed, k1 = (uint32_t)(mixed >> 32);
    uint32_t c0 = key.agent, c1 = key.step, c2 = key.purpose, c3 = draw;
#pragma unroll
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
    *first = c0;
    *second = c1;
}

/// Natural logarithm of a normal number x > 0.
__device__ inline double exact_log(double x) {
    uint64_t bits = (uint64_t)__double_as_longlong(x);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000FFFFFFFFFFFFF)) | UINT64_C(0x3FF0000000000000);
    double m = __longlong_as_double((long long)bits);
    if (m > 1.4142135623730951) {
        m = __dmul_rn(m, 0.5);
        exponent++;
    }
    const double t = __ddiv_rn(__dsub_rn(m, 1.0), __dadd_rn(m, 1.0)), t2 = __dmul_rn(t, t);
    double sum = 1.0 / 15.0;
    for (int odd = 13; odd >= 1; odd -= 2) sum = __dadd_rn(__dmul_rn(sum, t2), __ddiv_rn(1.0, (double)odd));
    return __dadd_rn(__dmul_rn((double)exponent, 0.6931471805599453), __dmul_rn(__dmul_rn(2.0, t), sum));
}

/// cos(x) for x in [0, pi/2].
__device__ inline double exact_cos(double x) {
    const double x2 = __dmul_rn(x, x);
    double sum = 1.0;
    for (int n = 18; n >= 2; n -= 2) sum = __dsub_rn(1.0, __ddiv_rn(__dmul_rn(sum, x2), (double)(n * (n - 1))));
    return sum;
}

/// cos of the angle 2 pi (word + 0.5) / 2^32.
__device__ inline double cos_of_turn(uint32_t word) {
    const uint32_t quadrant = word >> 30;
    const double part = __dmul_rn(__dadd_rn((double)(word & UINT32_C(0x3FFFFFFF)), 0.5), 0x1p-30);
    const double angle = __dmul_rn((quadrant & 1) ? __dsub_rn(1.0, part) : part, 1.5707963267948966);
    const double value = exact_cos(angle);
    return quadrant == 1 || quadrant == 2 ? -value : value;
}

__device__ inline float rng_normal(const nm_rng_key &key, uint32_t draw) {
    uint32_t first, second;
    rng_words(key, draw, &first, &second);
    const double uniform = __dmul_rn(__dadd_rn((double)first, 0.5), 0x1p-32);
    return __double2float_rn(__dmul_rn(__dsqrt_rn(__dmul_rn(-2.0, exact_log(uniform))), cos_of_turn(second)));
}

} // namespace nm_cuda
#endif
