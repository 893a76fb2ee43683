/// Whether numbers are numbers, for arrays that are looked through at every pass.
#ifndef NM_NEXUS_FINITE_H
#define NM_NEXUS_FINITE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/// 1 when none of values [count] is infinite or NaN. No branch and no sum: whole vectors at a time.
static inline int nm_all_finite(const float *values, size_t count) {
    int32_t bad = 0;
    for (size_t i = 0; i < count; ++i) {
        int32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bad |= (bits & INT32_MAX) > 0x7F7FFFFF; // FLT_MAX
    }
    return !bad;
}

#endif
