/// What the files of the store share. Private to scenarios/store_*.c and their tests.
#ifndef NM_SCENARIOS_STORE_INTERNAL_H
#define NM_SCENARIOS_STORE_INTERNAL_H

#include <sqlite3.h>
#include <zstd.h>

#include "scenarios/store.h"

#define NM_STORE_SCHEMA 2                  ///< PRAGMA user_version
#define NM_STORE_READABLE 1                ///< oldest schema that NM_STORE_READ opens: what came later is only added
#define NM_STORE_APPLICATION_ID 0x6e6d7373 ///< "nmss", PRAGMA application_id
#define NM_STORE_PAGE 8192 ///< B: twice the default halves the pages of a blob of 16 KiB; larger ones only waste
#define NM_STORE_CHECKPOINT (32u << 20) ///< B of write-ahead log before it is copied into the file
#define NM_STORE_CACHE 16384 ///< KiB of pages kept by a writer: more only makes fresh memory of every blob's pages
#define NM_STORE_BUSY_SECONDS 10.0
#define NM_STORE_MAX_RAW (UINT64_C(2) << 30) ///< B a blob may decompress to
#define NM_STORE_MAX_BLOB 1000000000u        ///< B, SQLite's default limit
#define NM_STORE_MAX_WHERE 65536u            ///< B
#define NM_STORE_MAPS 8                      ///< decoded maps kept

#define NM_BLOCK_SCENES 1024
#define NM_BLOCK_ENTRY 36 ///< B: NM_FEATURE_COUNT codes and a float
#define NM_BLOCK_BYTES (NM_BLOCK_SCENES * NM_BLOCK_ENTRY)
#define NM_LIKE_SCALE 100.0f ///< codes per unit of a feature

#define NM_RTREE_MISSING 1e6 ///< where event_rtree puts what was not measured

/// Statements kept prepared; texts in store_sql.c, in this order.
typedef enum nm_sql {
    NM_SQL_BEGIN_WRITE = 0,
    NM_SQL_BEGIN_READ,
    NM_SQL_COMMIT,
    NM_SQL_ROLLBACK,
    NM_SQL_PUT_MAP,
    NM_SQL_GET_SOURCE,
    NM_SQL_PUT_SOURCE,
    NM_SQL_PUT_SCENE,
    NM_SQL_FIND_SCENE,
    NM_SQL_PUT_DATA,
    NM_SQL_PUT_TEXT,
    NM_SQL_HAS_SCENE,
    NM_SQL_DELETE_SCENE,
    NM_SQL_GET_MINING,
    NM_SQL_PUT_MINING,
    NM_SQL_DELETE_EVENTS,
    NM_SQL_DELETE_CRITICALITY,
    NM_SQL_PUT_CRITICALITY,
    NM_SQL_PUT_EVENT,
    NM_SQL_PUT_RTREE,
    NM_SQL_GET_BLOCK,
    NM_SQL_PUT_BLOCK,
    NM_SQL_SCAN_BLOCKS,
    NM_SQL_GET_FEATURE,
    NM_SQL_GET_DATA,
    NM_SQL_GET_MAP,
    NM_SQL_FIND_HASH,
    NM_SQL_SCENE_EVENTS,
    NM_SQL_INFO,
    NM_SQL_HIT_EVENT,
    NM_SQL_HIT_SCENE,
    NM_SQL_IMPORTED_PUT,
    NM_SQL_IMPORTED_GET,
    NM_SQL_FIND_GENERATION,
    NM_SQL_FINISHED_GENERATION,
    NM_SQL_PUT_GENERATION,
    NM_SQL_END_GENERATION,
    NM_SQL_PUT_ATTEMPT,
    NM_SQL_GET_ATTEMPTS,
    NM_SQL_GENERATED_STEPS,
    NM_SQL_PUT_GENERATED,
    NM_SQL_GET_GENERATED,
    NM_SQL_COUNT
} nm_sql;

typedef struct nm_store_map {
    const nm_map *map;
    uint64_t used; ///< 0 = empty slot
} nm_store_map;

struct nm_store {
    sqlite3 *db;
    char *path;
    nm_store_mode mode;
    int schema; ///< of the file
    sqlite3_stmt *statements[NM_SQL_COUNT];

    int in_transaction; ///< opened by nm_store_begin
    nm_error broken;    ///< why the open transaction can only be rolled back; code NM_OK = it can be committed

    double began;      ///< nm_clock() of its beginning
    double busy_since; ///< nm_clock() when waiting for another writer began
    int readers;       ///< nested read transactions

    nm_interrupt *interrupt;
    void *interrupt_context;
    double deadline;   ///< nm_clock() at which a search gives up; 0 = never
    nm_status stopped; ///< NM_E_CANCELLED or NM_E_LIMIT once a progress callback ended a statement

    nm_packer *packer; ///< of nm_store_put_scene, made on first use
    ZSTD_DCtx *decompressor;
    nm_store_map maps[NM_STORE_MAPS];
    uint64_t map_clock;

    // rows used last within the open transaction, so that they are not looked up again; 0 = none
    char source_name[64];
    int64_t source_id;
    uint64_t map_hash;
    int map_known;
    uint64_t mining_hash;
    int64_t mining_id;

    int64_t block; ///< the feature block held in `vectors`, or -1
    int block_dirty;
    uint8_t *vectors; ///< NM_BLOCK_BYTES
};

// --- store_sql.c -----------------------------------------------------------------------------------------------------

/// Turns SQLite's result code into a status and a message: "doing WHAT: REASON".
nm_status nm_store_fail(nm_store *store, int result, const char *what, nm_error *error);
nm_status nm_store_status(const nm_store *store); ///< of SQLite's last call, when it failed
nm_status nm_store_exec(nm_store *store, const char *sql, const char *what, nm_error *error);
/// Ready to bind; NULL with `error` filled when it cannot be prepared. Give back with sqlite3_reset.
sqlite3_stmt *nm_store_statement(nm_store *store, nm_sql which, nm_error *error);
/// Steps a statement that returns no row, and resets it.
nm_status nm_store_run(nm_store *store, sqlite3_stmt *statement, const char *what, nm_error *error);
/// One integer from one row; `fallback` when there is no row.
nm_status nm_store_integer(nm_store *store, const char *sql, int64_t fallback, int64_t *value, nm_error *error);
/// The shortest decimal number that reads back as `value`: 0.1f is stored as 0.1, so that people's conditions hold.
double nm_decimal(float value);
void nm_bind_number(sqlite3_stmt *statement, int index, double value);  ///< NULL when not finite
void nm_bind_float(sqlite3_stmt *statement, int index, float value);    ///< the same, through nm_decimal
void nm_bind_index(sqlite3_stmt *statement, int index, uint32_t value); ///< NULL when NM_NONE
float nm_column_float(sqlite3_stmt *statement, int column);             ///< NaN when NULL
uint32_t nm_column_index(sqlite3_stmt *statement, int column);          ///< NM_NONE when NULL or out of range

/// Columns `first` ... as store_sql.c lists those of an event. 0 when the kind is unknown.
int nm_column_event(sqlite3_stmt *statement, int first, nm_event *event);

// --- store_open.c ----------------------------------------------------------------------------------------------------

/// A transaction of one call, or the part of it in an open one. leave commits or, when `status` is a failure, rolls
/// back (in an open transaction: marks it broken); returns the status to return.
nm_status nm_store_enter(nm_store *store, nm_error *error);
nm_status nm_store_leave(nm_store *store, nm_status status, nm_error *error);
/// Forgets rows used last: they may not be there in another transaction.
void nm_store_forget(nm_store *store);
/// A read transaction, so that several statements see one state; they nest. Nothing in an open transaction.
nm_status nm_store_enter_read(nm_store *store, nm_error *error);
void nm_store_leave_read(nm_store *store);

/// A step of migration: brings a store from schema `from` to `from + 1`.
typedef struct nm_migration {
    int from;
    const char *sql;
} nm_migration;
/// Runs the steps from the store's version up to `target` in one transaction. NM_E_VERSION names both versions when the
/// store is newer, or older than the first step.
nm_status nm_store_migrate(nm_store *store, const nm_migration *steps, size_t count, int target, nm_error *error);

// --- store_pack.c ----------------------------------------------------------------------------------------------------

/// Bytes shared by packed scenes on one map.
typedef struct nm_packed_map {
    uint64_t hash;
    uint32_t lanes;
    double lane_km;
    double origin_x, origin_y;
    size_t raw_size, size;
    int references; ///< atomic
    uint64_t used;  ///< of the packer's cache
    uint8_t *bytes; ///< follows the struct
} nm_packed_map;

struct nm_packed_scene {
    nm_packed_map *map;
    uint64_t hash;
    const char *source, *file, *scene_id, *program, *parameters, *tags;
    uint64_t record, seed, parent;
    double dt;
    uint32_t steps, current_step, ego, tracks, problems;
    uint64_t agents, agent_states;
    size_t raw_size, size;
    uint8_t *bytes;
    size_t held; ///< bytes of this allocation
};

/// Decompresses one zstd frame of a known size into malloced memory. `name` is for the message.
nm_status nm_store_unpack(nm_store *store, const void *bytes, size_t size, uint64_t raw_size, const char *name,
                          uint8_t **raw, nm_error *error);
nm_status nm_store_load_map(nm_store *store, uint64_t hash, const nm_map **map, nm_error *error); ///< retained

// --- store_where.c ---------------------------------------------------------------------------------------------------

/// NM_OK when `text` is one SQL expression that reads only what it may over the view `events`; NM_E_ARGUMENT in words
/// for the one who wrote it, NM_E_LIMIT when it is too long.
nm_status nm_where_check(nm_store *store, const char *text, nm_error *error);
/// Big values are refused, so that one call of a function cannot take for ever; leave puts the limits back.
void nm_where_enter(nm_store *store);
void nm_where_leave(nm_store *store);

// --- store_like.c ----------------------------------------------------------------------------------------------------

/// Rounds a feature to an entry of a block.
void nm_like_encode(const float feature[NM_FEATURE_COUNT], uint8_t entry[NM_BLOCK_ENTRY]);
/// Sets (or with NULL removes) the entry of a scene in the block held; written by nm_like_flush.
nm_status nm_like_set(nm_store *store, int64_t scene, const float *feature, nm_error *error);
nm_status nm_like_flush(nm_store *store, nm_error *error);
void nm_like_forget(nm_store *store); ///< after a rollback

typedef struct nm_neighbour_scene {
    int64_t scene;
    float distance;
} nm_neighbour_scene;
/// The `count` scenes (0 = all) nearest to `scene`, which is left out; of those in `allowed` (ascending ids) when it is
/// not NULL. Ordered by (distance, scene). *found is malloced.
nm_status nm_like_search(nm_store *store, int64_t scene, const int64_t *allowed, size_t allowed_count, size_t count,
                         nm_neighbour_scene **found, size_t *found_count, nm_error *error);

#endif
