/// The corner-case store: one SQLite file that plain `sqlite3` opens and understands.
///
/// Tables (scenarios/schema.sql names every column, its unit and meaning; it is in the file itself: `.schema`): meta,
/// kind, source, imported (input files that went in completely), map (once by hash, zstd), scene and scene_data (zstd),
/// scene_fts (words), mining, criticality (extremes and feature of a scene), event, event_rtree (ranges), feature_block
/// (features packed for similarity search); generation, attempt, generated (schema_generation.sql: how generated scenes
/// came about). Views for people: scenes, events, kinds, sources, generated_scenes, yields.
///
/// WAL; foreign keys on. Whatever is put goes in within one transaction, so a killed process leaves nothing
/// half-written and an import that is run again skips what is there. A loss of power may take back the last
/// transactions (they are synced at checkpoints, every 32 MiB, and when the store is closed), never the file's
/// consistency.
///
/// One nm_store per thread at a time. Several processes may read while one writes; a second writer waits up to 10 s for
/// the transaction of the first to end, then gets NM_E_BUSY. Every error names the file.
#ifndef NM_SCENARIOS_STORE_H
#define NM_SCENARIOS_STORE_H

#include "scenarios/detect.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_store nm_store;

typedef enum nm_store_mode { NM_STORE_READ = 0, NM_STORE_WRITE, NM_STORE_CREATE } nm_store_mode;

/// CREATE makes the file when it is missing; WRITE and READ want an existing one (NM_E_NOT_FOUND). CREATE and WRITE
/// bring an older schema up to date, in one transaction. READ never writes: it works on a read-only file in a read-only
/// directory, and reads older schemas as they are. NM_E_VERSION for a newer schema, NM_E_FORMAT when the file is not a
/// store (another program's database is never touched), NM_E_IO / NM_E_BUSY from the system. *store is NULL on failure.
NM_API nm_status nm_store_open(const char *path, nm_store_mode mode, nm_store **store, nm_error *error);
NM_API void nm_store_close(nm_store *store); ///< rolls back what is open; NULL is fine

/// Asked now and then during waits and long searches; nonzero ends them with NM_E_CANCELLED. NULL = never.
typedef int nm_interrupt(void *context);
NM_API void nm_store_set_interrupt(nm_store *store, nm_interrupt *interrupt, void *context);
/// Bounds the pages of the file that are kept in memory, which by default take 64 MiB in a store object that reads.
/// Less is enough for whoever reads every scene once, with many store objects. 1 to 4096.
NM_API void nm_store_set_cache(nm_store *store, uint32_t mebibytes);

/// Bulk writing: between begin and commit everything is one transaction. Calls outside make their own. After a failure
/// within the transaction other than NM_E_EXISTS and NM_E_NOT_FOUND, commit rolls back and returns that failure again.
NM_API nm_status nm_store_begin(nm_store *store, nm_error *error);
NM_API nm_status nm_store_commit(nm_store *store, nm_error *error);
NM_API void nm_store_rollback(nm_store *store);

/// Puts a scene (and its map, once). *id receives the row id. A scene with the same provenance (source, file, record,
/// seed) and content hash is not stored twice: NM_E_EXISTS with *id of the one there. The provenance (parent, seed,
/// parameters, program) is stored as it is: make it complete, so that the scene can be made again.
NM_API nm_status nm_store_put_scene(nm_store *store, const nm_scene *scene, int64_t *id, nm_error *error);

/// A scene encoded and compressed outside the store, for threads: pack in many, put in one.
typedef struct nm_packed_scene nm_packed_scene;
/// Working memory of packing, and the maps packed last (a log repeats them). One per thread.
typedef struct nm_packer nm_packer;
NM_API nm_packer *nm_packer_create(void); ///< NULL: no memory
NM_API void nm_packer_destroy(nm_packer *packer);
/// *packed holds no reference to the scene or its map. NM_E_LIMIT when a blob passes what SQLite takes (about 1 GB).
NM_API nm_status nm_pack_scene(nm_packer *packer, const nm_scene *scene, nm_packed_scene **packed, nm_error *error);
NM_API void nm_packed_scene_destroy(nm_packed_scene *packed);       ///< any thread; NULL is fine
NM_API size_t nm_packed_scene_bytes(const nm_packed_scene *packed); ///< memory held, to bound queues
NM_API nm_status nm_store_put_packed(nm_store *store, const nm_packed_scene *packed, int64_t *id, nm_error *error);

/// Replaces the events, criticality and feature of a scene in one transaction: the scene counts as mined. NaN and
/// infinite numbers are stored as NULL. criticality and feature are nullable (without a feature it is never similar).
/// NM_E_NOT_FOUND when there is no such scene.
NM_API nm_status nm_store_put_events(nm_store *store, int64_t scene, const nm_event *events, size_t count,
                                     const nm_scene_criticality *criticality, const float feature[NM_FEATURE_COUNT],
                                     const char *params_json, nm_error *error);

/// *scene is the caller's (nm_scene_destroy). The maps used last are cached inside the store object.
NM_API nm_status nm_store_get_scene(nm_store *store, int64_t id, const nm_scene **scene, nm_error *error);
/// The scene whose content has this hash (nm_scene.hash, as others name it in provenance.parent); of several with other
/// provenances the smallest id. Through an index: O(log scenes). NM_E_NOT_FOUND, also for 0.
NM_API nm_status nm_store_find_hash(nm_store *store, uint64_t hash, int64_t *id, nm_error *error);
/// Ids of all scenes, ascending, allocated from `arena`; mined: -1 all, 0 only not yet mined, 1 only mined.
NM_API nm_status nm_store_scene_ids(nm_store *store, int mined, nm_arena *arena, int64_t **ids, size_t *count,
                                    nm_error *error);
/// The same for scenes of other sources (nm_provenance.source) than these, 1 to 8. O(scenes).
NM_API nm_status nm_store_ids_without(nm_store *store, const char *const *sources, size_t source_count, nm_arena *arena,
                                      int64_t **ids, size_t *count, nm_error *error);
/// The same for scenes that were not mined with exactly these parameters (as given to put_events): not at all, or with
/// others.
NM_API nm_status nm_store_unmined_ids(nm_store *store, const char *params_json, nm_arena *arena, int64_t **ids,
                                      size_t *count, nm_error *error);
/// The events of a scene as find would return them, most severe first, allocated from `arena`.
NM_API nm_status nm_store_get_events(nm_store *store, int64_t scene, nm_arena *arena, nm_event **events, size_t *count,
                                     nm_error *error);
/// What the store knows about a scene beyond the scene itself.
typedef struct nm_stored_info {
    uint64_t content_bytes, content_raw_bytes; ///< in the file, and decompressed
    uint64_t map_bytes, map_raw_bytes;
    uint64_t map_scenes; ///< scenes that share the map
    int mined, has_feature;
    uint64_t events;
    nm_scene_criticality criticality; ///< arrays NULL; numbers NaN where NULL in the store; pair_count as mined
    float feature[NM_FEATURE_COUNT];
} nm_stored_info;
NM_API nm_status nm_store_get_info(nm_store *store, int64_t scene, nm_stored_info *info, nm_error *error);
/// With its events and, when no other scene needs it, its map. NM_E_NOT_FOUND.
NM_API nm_status nm_store_delete_scene(nm_store *store, int64_t id, nm_error *error);

/// Remembers which input file (identity: base name, size, a 64-bit hash of the content that the caller chooses) went in
/// completely, so that a repeated import skips it. source_known returns 1 = complete (*scenes [out, nullable]: how many
/// it held), 0 = unknown.
NM_API nm_status nm_store_source_done(nm_store *store, const char *file, uint64_t size, uint64_t hash, uint64_t scenes,
                                      nm_error *error);
NM_API int nm_store_source_known(nm_store *store, const char *file, uint64_t size, uint64_t hash, uint64_t *scenes);

// --- generated sets --------------------------------------------------------------------------------------------------

/// A run of a generator. Texts are the caller's.
typedef struct nm_generation_run {
    const char *parameters; ///< JSON: the whole request
    const char *command;    ///< the command line that makes it again; NULL or "" = none
    const char *program;    ///< with its version
    uint64_t seed;
} nm_generation_run;
/// Begins a run, or goes on with one that was not finished and is the same in parameters, program and seed: the command
/// is for people, and the first one is kept. *id: its row. *attempts [out, nullable]: how many were counted so far, 0
/// for a new one; whoever counts attempts in the transaction in which their scenes go in, and in a fixed order, goes on
/// with the next one. NM_E_FORMAT when `parameters` is not JSON.
NM_API nm_status nm_store_begin_generation(nm_store *store, const nm_generation_run *run, int64_t *id,
                                           uint64_t *attempts, nm_error *error);
/// *id: the first run that is the same in these three and was finished; 0 = there is none.
NM_API nm_status nm_store_finished_generation(nm_store *store, const nm_generation_run *run, int64_t *id,
                                              nm_error *error);
/// Marks it as finished. NM_E_NOT_FOUND when there is no such run that is not.
NM_API nm_status nm_store_end_generation(nm_store *store, int64_t id, nm_error *error);
#define NM_ATTEMPT_KEPT "kept"
/// Adds `count` attempts of `generator` for `kind` that came to `reason`: NM_ATTEMPT_KEPT, or why they were rejected (a
/// short word such as "off_road").
NM_API nm_status nm_store_count_attempts(nm_store *store, int64_t generation, nm_kind kind, const char *generator,
                                         const char *reason, uint64_t count, nm_error *error);

/// How many were counted so far for a kind, and how many of them were kept.
NM_API nm_status nm_store_counted_attempts(nm_store *store, int64_t generation, nm_kind kind, const char *generator,
                                           uint64_t *attempts, uint64_t *kept, nm_error *error);

/// Steps of all scenes of the generation that are in the store, the first of each not counted: what they are long.
NM_API nm_status nm_store_generated_steps(nm_store *store, int64_t generation, uint64_t *steps, nm_error *error);
/// Ids of the scenes of a generation, ascending, allocated from `arena`.
NM_API nm_status nm_store_generated_ids(nm_store *store, int64_t generation, nm_arena *arena, int64_t **ids,
                                        size_t *count, nm_error *error);

/// What a scene was generated for. Texts are the caller's; NULL = "" or, where it is JSON, "{}".
typedef struct nm_generated {
    int64_t generation;
    nm_kind kind;                                ///< that was asked for
    const char *generator;                       ///< "manoeuvre", "resample", "diffusion"
    const char *severity;                        ///< that was asked for: "near_miss", "collision"; "" = any
    const char *label;                           ///< nm_avoid_label_name: "no_conflict", ...; "" = not judged
    const char *requested, *achieved, *verdicts; ///< JSON objects: numbers by name of the parameter; verdicts by name
} nm_generated;
/// Once per scene, in the transaction in which it goes in (nm_store_begin). NM_E_EXISTS when the scene has such a row,
/// NM_E_NOT_FOUND when there is no such scene or generation, NM_E_FORMAT for what is not JSON.
NM_API nm_status nm_store_put_generated(nm_store *store, int64_t scene, const nm_generated *row, nm_error *error);
/// Texts are allocated from `arena`. NM_E_NOT_FOUND when it was not generated so.
NM_API nm_status nm_store_get_generated(nm_store *store, int64_t scene, nm_arena *arena, nm_generated *row,
                                        nm_error *error);

// --- search ----------------------------------------------------------------------------------------------------------

/// Fill with nm_query_default(): everything open.
typedef struct nm_query {
    int kind;                          ///< nm_kind or -1
    double ttc_min, ttc_max;           ///< s; NAN = open; events without a TTC are outside every range
    double distance_min, distance_max; ///< m; likewise
    double severity_min;               ///< 0..1; NAN = open
    const char *text;   ///< words, all to be found among tags, source, file and scene id ("high*" = prefix); NULL = any
    const char *source; ///< exact provenance source; NULL = any
    const char *where;  ///< one SQL expression over the columns of the view `events`; NULL = none. See below
    int64_t like;       ///< scene id: order by similarity to it; 0 = none
    uint32_t limit;     ///< default 20; 0 = no limit
    double seconds;     ///< NM_E_LIMIT after this long; default 60; 0 = never
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
/// One hit per event, ordered by severity (most severe first), then event id. Without any condition on events, scenes
/// that have none follow, by id. The sink must not use the store; a status other than NM_OK ends the search with it.
///
/// like: one hit per scene other than the one asked about, nearest first (then by id), the event being its most severe
/// one that fits. The result is exact: distances are computed from the full features; the packed ones only rule out.
/// NM_E_NOT_FOUND when the scene does not exist or has not been mined.
///
/// where: read from a user, so nothing is trusted. It must be one expression; it may read the store's tables and views
/// except blobs, call pure functions, and nothing else: no writes, no PRAGMA, no ATTACH, no parameters; at most 64 KiB
/// (NM_E_LIMIT). What is wrong comes back as NM_E_ARGUMENT in SQLite's words.
NM_API nm_status nm_store_find(nm_store *store, const nm_query *query, nm_hit_sink *sink, void *context,
                               nm_error *error);

typedef struct nm_store_stats {
    uint64_t scenes, agents, agent_states, maps, events, sources;
    double hours;                    ///< of scene time, first to last step
    double agent_hours;              ///< of agents' valid states
    uint64_t by_kind[NM_KIND_COUNT]; ///< events
    uint64_t scenes_by_kind[NM_KIND_COUNT];
    uint64_t mined;
    uint64_t bytes; ///< of the file
} nm_store_stats;
NM_API nm_status nm_store_get_stats(nm_store *store, nm_store_stats *stats, nm_error *error);
/// Calls back with each source and its number of scenes, ordered by source.
typedef void nm_source_sink(void *context, const char *source, uint64_t scenes, uint64_t agent_states);
NM_API nm_status nm_store_by_source(nm_store *store, nm_source_sink *sink, void *context, nm_error *error);

/// Looks for damage: SQLite's own integrity check, foreign keys, the full-text and range indexes, feature blocks,
/// counts, and (deep) every blob decoded and its hash compared. Wants a store opened for writing. Calls back with each
/// finding.
typedef void nm_finding_sink(void *context, const char *finding);
NM_API nm_status nm_store_check(nm_store *store, int deep, nm_finding_sink *sink, void *context, uint64_t *findings,
                                nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
