/// bfloat16 in plain C: the upper half of a float32, rounded to nearest even.
#ifndef NM_NEXUS_OPS_BF16_H
#define NM_NEXUS_OPS_BF16_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline float nm_float_of_bf16(uint16_t half) {
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/// Infinities stay, too large values become infinite, a NaN stays a (quiet) NaN.
static inline uint16_t nm_bf16_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & UINT32_C(0x7fffffff)) > UINT32_C(0x7f800000)) return (uint16_t)((bits >> 16) | 0x0040);
    return (uint16_t)((bits + UINT32_C(0x7fff) + ((bits >> 16) & 1)) >> 16);
}

#ifdef __cplusplus
}
#endif
#endif
