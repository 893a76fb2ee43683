/// What the parts of the results share. Private to scenarios/.
#ifndef NM_SCENARIOS_RESULTS_INTERNAL_H
#define NM_SCENARIOS_RESULTS_INTERNAL_H

#include <sqlite3.h>

#include "scenarios/results.h"

sqlite3 *nm_results_database(nm_results *results);
/// The status that a result of SQLite stands for, with its words in *error.
nm_status nm_results_fail(const nm_results *results, int result, const char *what, nm_error *error);

/// Files are hostile: what is no finite number of floats reads as `missing`, ...
double nm_results_number(sqlite3_stmt *s, int at, double missing);
/// ... and what is no share, 0 to 1, as `missing`, too.
double nm_results_share(sqlite3_stmt *s, int at, double missing);
/// Steps from `start` on, or with 0 tracks: NM_NONE is NULL, and so reads what is no such number.
void nm_results_bind_index(sqlite3_stmt *s, int at, uint32_t index, uint32_t start);
uint32_t nm_results_index(sqlite3_stmt *s, int at, uint32_t start);

/// Losses, what was said, and the goal of an episode that was just put.
nm_status nm_results_put_losses(nm_results *results, int64_t run, const nm_results_row *row, nm_error *error);
/// Into rows that were read, ascending by scene; texts are the arena's.
nm_status nm_results_read_losses(nm_results *results, int64_t run, nm_arena *arena, nm_results_row *rows, size_t count,
                                 nm_error *error);

#endif
