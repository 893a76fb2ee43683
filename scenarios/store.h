/// The corner-case store: one SQLite file that plain `sqlite3` opens and understands.
///
/// Tables (see schema.sql in the repository for every column and unit): meta (schema version, program), map (hash, zstd
/// blob), source (file, format, import state), scene (one row per scene: ids, counts, times, provenance, criticality
/// extremes, zstd blob), event (one row per labelled event), scene_rtree / event_rtree (ranges), tag + scene_fts,
/// feature (similarity vectors). Views: scenes, events, kinds, sources.
///
/// WAL; foreign keys on; every scene or source file goes in within one transaction, so a killed process leaves nothing
/// half-written, and an import that is run again skips what is there. One nm_store per thread; several processes may
/// read while one writes; a second writer waits up to busy_timeout, then gets NM_E_BUSY.
#ifndef NM_SCENARIOS_STORE_H
#define NM_SCENARIOS_STORE_H

#include "scenarios/detect.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_store nm_store;

typedef enum nm_store_mode { NM_STORE_READ = 0, NM_STORE_WRITE, NM_STORE_CREATE } nm_store_mode;

/// CREATE makes the file when it is missing and migrates an older schema; WRITE and READ want an existing one.
/// NM_E_VERSION for a newer schema, NM_E_FORMAT when it is not a store, NM_E_IO / NM_E_BUSY from the system.
NM_API nm_status nm_store_open(const char *path, nm_store_mode mode, nm_store **store, nm_error *error);
NM_API void nm_store_close(nm_store *store); ///< rolls back what is open; NULL is fine

/// Bulk writing: between begin and commit everything is one transaction. Calls outside make their own.
NM_API nm_status nm_store_begin(nm_store *store, nm_error *error);
NM_API nm_status nm_store_commit(nm_store *store, nm_error *error);
NM_API void nm_store_rollback(nm_store *store);

/// Puts a scene (and its map, once). *id receives the row id. A scene with the same provenance (source, file, record,
/// seed) and content hash is not stored twice: NM_E_EXISTS with *id of the one there.
NM_API nm_status nm_store_put_scene(nm_store *store, const nm_scene *scene, int64_t *id, nm_error *error);
/// For threads: compresses outside the store. Release with nm_packed_scene_destroy. put_packed stores it.
typedef struct nm_packed_scene nm_packed_scene;
NM_API nm_status nm_pack_scene(const nm_scene *scene, nm_packed_scene **packed, nm_error *error);
NM_API void nm_packed_scene_destroy(nm_packed_scene *packed);
NM_API nm_status nm_store_put_packed(nm_store *store, const nm_packed_scene *packed, int64_t *id, nm_error *error);

/// Replaces the events, criticality and feature of a scene in one transaction.
NM_API nm_status nm_store_put_events(nm_store *store, int64_t scene, const nm_event *events, size_t count,
                                     const nm_scene_criticality *criticality, const float feature[NM_FEATURE_COUNT],
                                     const char *params_json, nm_error *error);

/// *scene is the caller's (nm_scene_destroy). Maps are cached inside the store object.
NM_API nm_status nm_store_get_scene(nm_store *store, int64_t id, const nm_scene **scene, nm_error *error);
/// Ids of all scenes, ascending, allocated from `arena`; mined: -1 all, 0 only not yet mined, 1 only mined.
NM_API nm_status nm_store_scene_ids(nm_store *store, int mined, nm_arena *arena, int64_t **ids, size_t *count,
                                    nm_error *error);
NM_API nm_status nm_store_delete_scene(nm_store *store, int64_t id, nm_error *error);

/// Remembers which input file (identity: base name, size, content hash) went in completely, so that a repeated import
/// skips it. state_of returns 1 = complete, 0 = unknown.
NM_API nm_status nm_store_source_done(nm_store *store, const char *file, uint64_t size, uint64_t hash, uint64_t scenes,
                                      nm_error *error);
NM_API int nm_store_source_known(nm_store *store, const char *file, uint64_t size, uint64_t hash);

// --- search ----------------------------------------------------------------------------------------------------------

/// Fill with nm_query_default(): everything open.
typedef struct nm_query {
    int kind;                          ///< nm_kind or -1
    double ttc_min, ttc_max;           ///< s; NAN = open
    double distance_min, distance_max; ///< m
    double severity_min;
    const char *text;   ///< FTS over tags, source, scene id; NULL = any
    const char *source; ///< exact provenance source; NULL = any
    const char *where;  ///< an SQL condition over the view `events`; run read-only, refused when it writes; NULL = none
    int64_t like;       ///< scene id: order by similarity to it; 0 = none
    uint32_t limit;     ///< default 20; 0 = no limit
} nm_query;
NM_API nm_query nm_query_default(void);

typedef struct nm_hit {
    int64_t scene, event; ///< event 0 when the scene has none
    int kind;             ///< or -1
    nm_event detail;
    double distance; ///< similarity distance, with `like`
    char source[32], scene_id[96], file[128];
} nm_hit;
typedef nm_status nm_hit_sink(void *context, const nm_hit *hit, nm_error *error);
/// Ordered by severity (most severe first), then id; or by distance with `like`.
NM_API nm_status nm_store_find(nm_store *store, const nm_query *query, nm_hit_sink *sink, void *context,
                               nm_error *error);

typedef struct nm_store_stats {
    uint64_t scenes, agents, agent_states, maps, events, sources;
    double hours; ///< of scene time
    double agent_hours;
    uint64_t by_kind[NM_KIND_COUNT]; ///< events
    uint64_t scenes_by_kind[NM_KIND_COUNT];
    uint64_t mined;
    uint64_t bytes; ///< of the file
} nm_store_stats;
NM_API nm_status nm_store_get_stats(nm_store *store, nm_store_stats *stats, nm_error *error);
/// Calls back with each source and its number of scenes, ordered by source.
typedef void nm_source_sink(void *context, const char *source, uint64_t scenes, uint64_t agent_states);
NM_API nm_status nm_store_by_source(nm_store *store, nm_source_sink *sink, void *context, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
