#include "base/rng.h"

#include "base/rng_inline.h"

void nm_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    nm_philox_rounds(counter[0], counter[1], counter[2], counter[3], key[0], key[1], out, 1);
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

float nm_rng_normal(const nm_rng_key *key, uint32_t draw) {
    uint32_t words[4];
    nm_rng_words(key, draw, words);
    return (float)(nm_normal_radius(words[0]) * nm_cos_of_turn(words[1])); // Box and Muller 1958
}

void nm_rng_normal4(const nm_rng_key *key, uint32_t draw, float out[4]) {
    uint32_t words[4];
    nm_rng_words(key, draw, words);
    for (int pair = 0; pair < 2; pair++) {
        const double radius = nm_normal_radius(words[2 * pair]);
        out[2 * pair] = (float)(radius * nm_cos_of_turn(words[2 * pair + 1]));
        // the sine: the cosine a quarter of a turn back
        out[2 * pair + 1] = (float)(radius * nm_cos_of_turn(words[2 * pair + 1] - UINT32_C(0x40000000)));
    }
}
