/// Distinct values among those of many tokens, so that what depends on a value alone is computed once per value.
#ifndef NM_NEXUS_LEVELS_H
#define NM_NEXUS_LEVELS_H

#include "base/status.h"

typedef struct nm_levels {
    uint32_t capacity, count; ///< tokens at most; distinct values found
    float *values;            ///< [count] in the order of first use
    uint32_t *index;          ///< [tokens] which value a token has
    uint32_t *offsets;        ///< [count + 1]
    uint32_t *rows;           ///< [tokens] those that have value e, in rising order: offsets[e] .. offsets[e + 1]
    uint32_t *table;          ///< hash table of value numbers, slots a power of two
    uint32_t slots;
} nm_levels;

/// NM_E_MEMORY. Release with nm_levels_destroy.
nm_status nm_levels_create(uint32_t capacity, nm_levels *levels, nm_error *error);
void nm_levels_destroy(nm_levels *levels);
/// Values are told apart by their bits (0 and -0 are two). tokens <= capacity. O(tokens), no allocation.
void nm_levels_find(nm_levels *levels, const float *values, uint32_t tokens);

#endif
