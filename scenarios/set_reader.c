#include "scenarios/set_reader.h"

#include <math.h>
#include <string.h>

void nm_reader_begin(nm_reader *reader, const char *sql) {
    reader->row = NULL;
    reader->capacity = 0;
    if (reader->status != NM_OK) return;
    int result = sqlite3_prepare_v2(reader->store->db, sql, -1, &reader->row, NULL);
    if (result != SQLITE_OK)
        reader->status = nm_store_fail(reader->store, result, "counting generated scenes", reader->error);
}

int nm_reader_next(nm_reader *reader) {
    if (!reader->row) return 0;
    int result = reader->status == NM_OK ? sqlite3_step(reader->row) : SQLITE_DONE;
    if (result == SQLITE_ROW) return 1;
    if (result != SQLITE_DONE)
        reader->status = nm_store_fail(reader->store, result, "counting generated scenes", reader->error);
    sqlite3_finalize(reader->row);
    reader->row = NULL;
    return 0;
}

void *nm_reader_out_of_memory(nm_reader *reader) {
    reader->status = NM_ERROR(reader->error, NM_E_MEMORY, "out of memory while counting generated scenes");
    return NULL;
}

void *nm_reader_grow(nm_reader *reader, void *items, size_t count, size_t size) {
    if (reader->status != NM_OK || count < reader->capacity) return items;
    size_t capacity = reader->capacity ? 2 * reader->capacity : 16;
    void *grown = nm_arena_calloc(reader->arena, capacity, size, 16);
    if (!grown) return nm_reader_out_of_memory(reader);
    if (count) memcpy(grown, items, count * size);
    reader->capacity = capacity;
    return grown;
}

const char *nm_reader_text(nm_reader *reader, int column) {
    const char *value = (const char *)sqlite3_column_text(reader->row, column);
    size_t size = value ? (size_t)sqlite3_column_bytes(reader->row, column) : 0;
    const char *copy = nm_arena_strndup(reader->arena, value ? value : "", size);
    if (!copy) nm_reader_out_of_memory(reader);
    return copy ? copy : "";
}

uint64_t nm_reader_number(const nm_reader *reader, int column) {
    int64_t value = sqlite3_column_int64(reader->row, column); // SQLite bounds what is no integer
    return value < 0 ? 0 : value > MOST ? (uint64_t)MOST : (uint64_t)value;
}

double nm_reader_real(const nm_reader *reader, int column) {
    int type = sqlite3_column_type(reader->row, column);
    return type == SQLITE_INTEGER || type == SQLITE_FLOAT ? sqlite3_column_double(reader->row, column) : NAN;
}

int nm_reader_kind(const nm_reader *reader, int column, nm_kind *kind) {
    int64_t value = sqlite3_column_int64(reader->row, column);
    if (value < 0 || value >= NM_KIND_COUNT) return 0;
    *kind = (nm_kind)value;
    return 1;
}
