/// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11).
///
/// There is no generator state. A number is a function of what it is for - (seed, scene, agent, step, purpose, draw) -
/// so it does not depend on threads, batches or the order of calls, and a CPU and a GPU draw the same. Pure functions,
/// safe everywhere.
#ifndef NM_BASE_RNG_H
#define NM_BASE_RNG_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What a draw is for. Append only: the numbers are part of every stored seed's meaning.
typedef enum nm_purpose {
    NM_PURPOSE_TEST = 0,
    NM_PURPOSE_SPAWN = 1,      ///< places and speeds of spawned traffic
    NM_PURPOSE_BEHAVIOUR = 2,  ///< per-agent parameters: desired speed, time gap, politeness
    NM_PURPOSE_DECISION = 3,   ///< per-step choices: lane changes, gaps accepted, pedestrians stepping out
    NM_PURPOSE_ROUTE = 4,      ///< which successor at a fork
    NM_PURPOSE_NOISE = 5,      ///< diffusion noise
    NM_PURPOSE_INIT = 6,       ///< first values of a network's parameters
    NM_PURPOSE_MASK = 7,       ///< noise levels of training examples
    NM_PURPOSE_EXAMPLE = 8,    ///< which scene, moment and ego a training example shows
    NM_PURPOSE_AUGMENT = 9,    ///< how a training example is varied
    NM_PURPOSE_BOOTSTRAP = 10, ///< which groups a resample of an evaluation takes
    NM_PURPOSE_KIND = 11,      ///< parameters, place and drivers of a generated corner case
    NM_PURPOSE_CHOICE = 12     ///< which of several candidates of a future goes on
} nm_purpose;

/// Who draws. `scene` is a stable hash or id of the scene, `agent` its index there, `step` the simulation step.
typedef struct nm_rng_key {
    uint64_t seed;
    uint64_t scene;
    uint32_t agent;
    uint32_t step;
    uint32_t purpose;
} nm_rng_key;

/// The bare block function: ten rounds over a 128-bit counter with a 64-bit key. Matches the Random123 known answers.
NM_API void nm_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/// Four 32-bit words for draw number `draw` of `key`. Counter = (agent, step, purpose, draw); key = seed and scene
/// mixed by splitmix64, so that neighbouring seeds and scenes are unrelated.
NM_API void nm_rng_words(const nm_rng_key *key, uint32_t draw, uint32_t out[4]);

NM_API float nm_rng_uniform(const nm_rng_key *key, uint32_t draw); ///< [0, 1), 24 bits
NM_API float nm_rng_normal(const nm_rng_key *key, uint32_t draw);  ///< mean 0, variance 1 (Box-Muller, first value)
/// Four independent normals of one draw, both values of Box-Muller of words (0, 1) and of words (2, 3). out[0] is
/// nm_rng_normal(key, draw).
NM_API void nm_rng_normal4(const nm_rng_key *key, uint32_t draw, float out[4]);
NM_API uint32_t nm_rng_below(const nm_rng_key *key, uint32_t draw,
                             uint32_t bound); ///< [0, bound), bound > 0, unbiased to 2^-32

/// splitmix64 finaliser and FNV-1a: stable hashes for keys and content. Not cryptographic.
NM_API uint64_t nm_hash64(uint64_t value);
NM_API uint64_t nm_hash_bytes(const void *data, size_t size, uint64_t basis); ///< basis 0 = FNV offset basis

#ifdef __cplusplus
}
#endif
#endif
