/// The features of a relative pose (attention.h), written once for every float type and backend.
#ifndef NM_NEXUS_OPS_POSE_H
#define NM_NEXUS_OPS_POSE_H

#include <math.h>

#include "nexus/ops/attention.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __CUDACC__
#define NM_POSE_INLINE static __host__ __device__ inline
#else
#define NM_POSE_INLINE static inline
#endif

/// Defines void name(const real query[4], const real key[4], real feature[NM_POSE_FEATURES]): poses are x, y in m, cos
/// and sin of the heading. SQRT, EXP and LOG1P are the C functions of the type. log1p keeps small distances exact.
#define NM_DEFINE_POSE_FEATURES(name, real, SQRT, EXP, LOG1P)                                                          \
    NM_POSE_INLINE void name(const real query[4], const real key[4], real feature[NM_POSE_FEATURES]) {                 \
        const real east = key[0] - query[0], north = key[1] - query[1];                                                \
        const real distance = SQRT(east * east + north * north);                                                       \
        const real inverse = distance > (real)0 ? (real)1 / distance : (real)0;                                        \
        const real near = EXP(distance * (real)-0.05);                                                                 \
        const real octaves = LOG1P(distance) * (real)1.4426950408889634; /* log2(1 + d): 1 / ln 2 */                   \
        for (int i = 0; i < 6; i++) feature[i] = EXP(-(octaves - (real)i) * (octaves - (real)i));                      \
        feature[6] = (east * query[2] + north * query[3]) * inverse;                                                   \
        feature[7] = (north * query[2] - east * query[3]) * inverse;                                                   \
        feature[8] = near * feature[6];                                                                                \
        feature[9] = near * feature[7];                                                                                \
        feature[10] = key[2] * query[2] + key[3] * query[3];                                                           \
        feature[11] = key[3] * query[2] - key[2] * query[3];                                                           \
        feature[12] = near * feature[10];                                                                              \
        feature[13] = near * feature[11];                                                                              \
    }

NM_DEFINE_POSE_FEATURES(nm_pose_features, double, sqrt, exp, log1p)
NM_DEFINE_POSE_FEATURES(nm_pose_features_f32, float, sqrtf, expf, log1pf)

#ifdef __cplusplus
}
#endif
#endif
