/// Random numbers of a test, one after the other.
#ifndef NM_TESTS_RENDER_DICE_H
#define NM_TESTS_RENDER_DICE_H

#include "base/rng.h"

typedef struct dice {
    nm_rng_key key;
    uint32_t draw;
} dice;

static inline dice dice_of(uint64_t seed) {
    return (dice){.key = {.seed = seed, .purpose = NM_PURPOSE_TEST}};
}
/// [0, 1)
static inline float dice_roll(dice *d) {
    return nm_rng_uniform(&d->key, d->draw++);
}
static inline uint32_t dice_below(dice *d, uint32_t bound) {
    return nm_rng_below(&d->key, d->draw++, bound);
}

#endif
