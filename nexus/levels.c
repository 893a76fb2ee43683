#include "nexus/levels.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define EMPTY UINT32_MAX

nm_status nm_levels_create(uint32_t capacity, nm_levels *levels, nm_error *error) {
    *levels = (nm_levels){.capacity = capacity, .slots = 64};
    while (levels->slots < 2 * (size_t)capacity) levels->slots *= 2;
    const size_t tokens = (size_t)capacity + 1;
    levels->values = malloc(tokens * sizeof *levels->values);
    levels->index = malloc(tokens * sizeof *levels->index);
    levels->offsets = malloc((tokens + 1) * sizeof *levels->offsets);
    levels->rows = malloc(tokens * sizeof *levels->rows);
    levels->table = malloc(levels->slots * sizeof *levels->table);
    if (levels->values && levels->index && levels->offsets && levels->rows && levels->table) {
        nm_levels_find(levels, NULL, 0);
        return NM_OK;
    }
    nm_levels_destroy(levels);
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for the levels of %u tokens", capacity);
}

void nm_levels_destroy(nm_levels *levels) {
    free(levels->values);
    free(levels->index);
    free(levels->offsets);
    free(levels->rows);
    free(levels->table);
    *levels = (nm_levels){0};
}

/// The number of `value`, given one if it is new.
static uint32_t number_of(nm_levels *l, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t slot = (uint32_t)nm_hash64(bits) & (l->slots - 1);
    for (; l->table[slot] != EMPTY; slot = (slot + 1) & (l->slots - 1)) {
        if (memcmp(&l->values[l->table[slot]], &value, sizeof value) == 0) return l->table[slot];
    }
    l->table[slot] = l->count;
    l->values[l->count] = value;
    return l->count++;
}

void nm_levels_find(nm_levels *levels, const float *values, uint32_t tokens) {
    NM_ASSERT(tokens <= levels->capacity);
    levels->count = 0;
    memset(levels->table, 0xFF, levels->slots * sizeof *levels->table);
    for (uint32_t i = 0; i < tokens; ++i) levels->index[i] = number_of(levels, values[i]);
    // a counting sort: sizes, then first rows, then each token to its place
    memset(levels->offsets, 0, ((size_t)levels->count + 1) * sizeof *levels->offsets);
    for (uint32_t i = 0; i < tokens; ++i) levels->offsets[levels->index[i] + 1]++;
    for (uint32_t e = 0; e < levels->count; ++e) levels->offsets[e + 1] += levels->offsets[e];
    for (uint32_t i = tokens; i-- > 0;) levels->rows[--levels->offsets[levels->index[i] + 1]] = i;
    // every end has moved to its beginning: offsets[e + 1] is now the first row of e
    memmove(levels->offsets, levels->offsets + 1, levels->count * sizeof *levels->offsets);
    levels->offsets[levels->count] = tokens;
}
