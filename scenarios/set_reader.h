/// Inside of the statistics of generated sets: rows of queries into arrays of an arena, whatever the store holds.
#ifndef NM_SCENARIOS_SET_READER_H
#define NM_SCENARIOS_SET_READER_H

#include "scenarios/set_stats.h"
#include "scenarios/store_internal.h"

#define MOST (INT64_C(1) << 53) // of a count: up to there a double holds every integer
#define LARGEST 1e30            // of a parameter: differences and sums of two stay finite

/// A query under way, whose rows go into one growing array of the arena.
typedef struct nm_reader {
    nm_store *store;
    nm_arena *arena;
    nm_error *error;
    sqlite3_stmt *row;
    nm_status status; ///< once it is not NM_OK every further query has no rows
    size_t capacity;  ///< of the array being filled
} nm_reader;

void nm_reader_begin(nm_reader *reader, const char *sql);
int nm_reader_next(nm_reader *reader); ///< 1 while there are rows; ends the query by itself
/// Room for one more element: `items` itself or its larger copy.
void *nm_reader_grow(nm_reader *reader, void *items, size_t count, size_t size);
void *nm_reader_out_of_memory(nm_reader *reader); ///< NULL
const char *nm_reader_text(nm_reader *reader, int column);
/// A count, whatever a store of others says: none is negative, and sums of some thousands of them fit.
uint64_t nm_reader_number(const nm_reader *reader, int column);
double nm_reader_real(const nm_reader *reader, int column); ///< NaN when it is no number
/// 0 when this program does not know the kind: a newer one wrote it.
int nm_reader_kind(const nm_reader *reader, int column, nm_kind *kind);

void nm_set_read_parameters(nm_reader *reader, nm_set_stats *stats); ///< set_parameters.c
void nm_set_read_quality(nm_reader *reader, nm_set_stats *stats);    ///< set_quality.c: confusion and generators

#endif
