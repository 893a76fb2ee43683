/// Growable array of plain records and a hash table from source ids to indices: what builders are made of. Private.
///
/// A pile keeps its memory when emptied, so that a builder used for thousands of scenes stops allocating soon.
#ifndef NM_SIM_PILE_H
#define NM_SIM_PILE_H

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

typedef struct nm_pile {
    void *data;
    size_t count, capacity; // elements
} nm_pile;

/// Makes room for `extra` more elements of `size` bytes; 0 when memory is out (the pile is as it was).
static inline int nm_pile_reserve(nm_pile *pile, size_t size, size_t extra) {
    if (NM_LIKELY(extra <= pile->capacity - pile->count)) return 1;
    if (extra > SIZE_MAX / 4 / size - pile->count) return 0;
    size_t capacity = pile->capacity + pile->capacity / 2 + 16;
    if (capacity < pile->count + extra) capacity = pile->count + extra;
    void *data = realloc(pile->data, capacity * size);
    if (!data) return 0;
    pile->data = data;
    pile->capacity = capacity;
    return 1;
}

/// `count` new elements at the end, uninitialised; NULL when memory is out. Pointers into the pile become invalid.
static inline void *nm_pile_push(nm_pile *pile, size_t size, size_t count) {
    if (!nm_pile_reserve(pile, size, count ? count : 1)) return NULL;
    void *element = (char *)pile->data + pile->count * size;
    pile->count += count;
    return element;
}

#define NM_PUSH(pile, type, count) ((type *)nm_pile_push((pile), sizeof(type), (count)))
#define NM_AT(pile, type, index) (((type *)(pile).data)[index])

static inline void nm_pile_free(nm_pile *pile) {
    free(pile->data);
    *pile = (nm_pile){0};
}

/// Open addressing, linear probing, at most half full. Index + 1 is stored; 0 = free.
typedef struct nm_id_table {
    int64_t *ids;
    uint32_t *slots;
    size_t capacity; // allocated, a power of two or 0
    size_t mask;     // of the part in use: a reset shrinks it, so that one large scene does not slow the next ones down
    size_t count;
} nm_id_table;

static inline void nm_id_table_free(nm_id_table *table) {
    free(table->ids);
    free(table->slots);
    *table = (nm_id_table){0};
}

static inline void nm_id_table_reset(nm_id_table *table) {
    size_t used = table->capacity < 64 ? table->capacity : 64;
    if (used) memset(table->slots, 0, used * sizeof *table->slots);
    table->mask = used ? used - 1 : 0;
    table->count = 0;
}

static inline size_t nm_id_table_place(const nm_id_table *table, int64_t id) {
    size_t at = (size_t)nm_hash64((uint64_t)id) & table->mask;
    while (table->slots[at] && table->ids[at] != id) at = (at + 1) & table->mask;
    return at;
}

/// The index stored for `id`, or UINT32_MAX.
static inline uint32_t nm_id_table_find(const nm_id_table *table, int64_t id) {
    if (!table->count) return UINT32_MAX;
    return table->slots[nm_id_table_place(table, id)] - 1u; // 0 - 1 = UINT32_MAX
}

static inline int nm_id_table_grow(nm_id_table *table) {
    size_t size = table->mask ? (table->mask + 1) * 2 : 64;
    int64_t *ids = malloc(size * sizeof *ids);
    uint32_t *slots = calloc(size, sizeof *slots);
    if (!ids || !slots) {
        free(ids);
        free(slots);
        return 0;
    }
    nm_id_table old = *table;
    *table = (nm_id_table){.ids = ids, .slots = slots, .capacity = size, .mask = size - 1, .count = old.count};
    for (size_t i = 0; old.mask && i <= old.mask; i++) {
        if (!old.slots[i]) continue;
        size_t at = nm_id_table_place(table, old.ids[i]);
        ids[at] = old.ids[i];
        slots[at] = old.slots[i];
    }
    free(old.ids);
    free(old.slots);
    return 1;
}

/// Adds id -> index. Returns the index stored for `id` now: another one than given means the id was there before;
/// UINT32_MAX means that memory is out.
static inline uint32_t nm_id_table_add(nm_id_table *table, int64_t id, uint32_t index) {
    if (!table->mask || table->count * 2 > table->mask) {
        if (!nm_id_table_grow(table)) return UINT32_MAX;
    }
    size_t at = nm_id_table_place(table, id);
    if (table->slots[at]) return table->slots[at] - 1u;
    table->ids[at] = id;
    table->slots[at] = index + 1u;
    table->count++;
    return index;
}

#endif
