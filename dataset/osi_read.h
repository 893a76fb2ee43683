/// Reading OSI traces: what osi_read.c and osi_read_map.c share. Private to them.
#ifndef NM_DATASET_OSI_READ_H
#define NM_DATASET_OSI_READ_H

#include "dataset/osi_private.h"
#include "sim/pile.h"

typedef Osi3__GroundTruth nm_osi_truth;

/// Our own external reference among these, or NULL.
const Osi3__ExternalReference *nm_osi_find_reference(Osi3__ExternalReference *const *all, size_t count,
                                                     const char *type);
/// The value of a key, or `otherwise`. Occurrence `nth` from 0.
int64_t nm_osi_key(const Osi3__ExternalReference *reference, const char *key, size_t nth, int64_t otherwise);
/// The same as an enumeration below `count`; 0 where there is none.
int nm_osi_key_enum(const Osi3__ExternalReference *reference, const char *key, int count);

/// A map from a message, and which light belongs to which of its signals.
typedef struct nm_osi_map {
    const nm_map *map; ///< one reference
    nm_id_table bulbs; ///< id of a bulb -> signal
} nm_osi_map;

/// `arena` holds what is needed meanwhile. Positions with a frame offset come back bit for bit: the map's frame is the
/// trace's then.
nm_status nm_osi_read_map(nm_reader_context *context, const nm_osi_truth *truth, nm_arena *arena, nm_osi_map *to,
                          nm_error *error);
/// The frame's offset; 0 where the message says none, or turns the frame.
int nm_osi_offset(const nm_osi_truth *truth, nm_point3 *offset);
static inline int64_t nm_osi_id(const Osi3__Identifier *id) {
    return id ? (int64_t)id->value : -1;
}

#endif
