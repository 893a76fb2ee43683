/// Writing scenes into other people's formats: what the importers (import.h) read, the other way.
///
/// Each format has an encoder, which makes bytes of one scene and knows nothing of files; nm_exporter shares scenes out
/// to threads, puts what comes back into files in the order of the scenes, and writes down what it wrote. The bytes are
/// a function of scenes, format and options: the same for any number of threads, and at any time.
///
/// In the folder: the files of the format; SHA256SUMS, which `sha256sum -c` checks; manifest.json, which says of each
/// file what it holds, and of each scene where it went. A file appears under its name when it is complete, the manifest
/// last: a folder without one is not finished. Memory is bounded by a round of scenes and a line for each file.
///
/// manifest.json: {"manifest": 1, "program", "command", "format", "name", "shards", "scenes": [one for each scene
/// given, in order: {"id", "hash", "source", "scene_id", "kinds", "file", "record"} or, of what was refused, "refused":
/// why], "files": [{"name", "bytes", "sha256", "scenes"}], "written", "refused"}. "record" (of TFRecord) counts from 0
/// in its file; "shared" names the file that the scene shares with others, where the format has such; "left_out" is how
/// many tracks, or stretches of them, the strict file does not hold. With windows there is an entry for each record,
/// with "first_step": the scene's, in steps of 0.1 s; "kinds" are those of its labels then, and "scenes", "written" and
/// "refused" count records.
#ifndef NM_DATASET_EXPORT_H
#define NM_DATASET_EXPORT_H

#include "base/thread_pool.h"
#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Stable names: the command line's. Append only.
typedef enum nm_export_format {
    NM_EXPORT_WOMD = 0,     ///< "womd": Scenario protobufs in sharded TFRecord
    NM_EXPORT_WOMD_EXAMPLE, ///< "womd-example": tf.Example in sharded TFRecord
    NM_EXPORT_OSI,          ///< "osi": a trace of GroundTruth messages a scene, what stands in the first
    NM_EXPORT_OPENSCENARIO, ///< "openscenario": 1.2, a .xosc with trajectories a scene, and the .xodr of its map
    NM_EXPORT_OPENDRIVE,    ///< "opendrive": a .xodr a map
    NM_EXPORT_COMMONROAD,   ///< "commonroad": 2020a XML with a planning problem a scene
    NM_EXPORT_NEARMISS,     ///< "nearmiss": all there is, labels included, as protobuf in sharded TFRecord
    NM_EXPORT_CSV,          ///< "csv": a row per object and step, in shards
    NM_EXPORT_OSI_COMPLETE, ///< "osi-complete": as "osi", lanes and all that stands in every message
    NM_EXPORT_FORMAT_COUNT
} nm_export_format;
NM_API const char *nm_export_format_name(nm_export_format format);
NM_API int nm_export_format_from_name(const char *name, nm_export_format *format); ///< 1 when found

/// A corner case in the scene, as the store has it (scenarios/detect.h: nm_event). NaN = not measured or no danger.
typedef struct nm_scene_label {
    const char *kind;                               ///< "cut_in", ...
    uint32_t actor, other;                          ///< tracks; other NM_NONE where there is none
    uint32_t first_step, last_step, critical_step;  ///< of the scene
    float severity;                                 ///< 0..1
    float min_ttc, min_distance, min_thw, max_drac; ///< s, m, s, m/s^2
    float pet, min_ttr, closing_speed, gap;         ///< s, s, m/s, m
    float lateral_speed, deceleration;              ///< m/s, m/s^2
    float impact_speed, delta_v;                    ///< m/s
} nm_scene_label;

/// What a scene was generated for; texts as in the store (scenarios/store.h: nm_generated). Never NULL, "" = none.
typedef struct nm_scene_generation {
    const char *kind, *generator, *severity, *label;
    const char *requested, *achieved, *verdicts; ///< JSON objects
} nm_scene_generation;

/// What becomes of the ego, in formats that make a difference between a recording and a task for a planner.
typedef enum nm_export_ego {
    NM_EXPORT_EGO_USUAL = 0, ///< as users of the format expect: commonroad is planned, all others are recorded
    NM_EXPORT_EGO_RECORDED,  ///< one of the agents, from the first step on
    NM_EXPORT_EGO_PLANNED    ///< left to a planner, which starts where it is at the current step: time 0 of the file
} nm_export_ego;

/// One scene and what is known of it beyond the scene. All pointers are borrowed.
typedef struct nm_export_item {
    const nm_scene *scene;
    int64_t id;                   ///< in the store; names files: "000042.xosc"
    const nm_scene_label *labels; ///< [label_count], most severe first
    size_t label_count;
    const nm_scene_generation *generated; ///< NULL: it was not
    nm_export_ego ego;
    int strict;   ///< commonroad: 1 = only what the official schema allows: who comes after step 0, or is there for one
                  ///< step, is left out and counted
    int windowed; ///< womd, womd-example: 1 = the steps written are given; set by the exporter where the
    uint32_t window_first; ///< options say so. The first of the 91, in steps of 0.1 s
} nm_export_item;

/// Fill with nm_export_options_default().
typedef struct nm_export_options {
    nm_export_format format;
    const char *folder; ///< made when missing, those above it, too; must be empty but for what an earlier export of
                        ///< the same format left, whole or not: NM_E_EXISTS, naming what else is there
    const char *name;   ///< of sharded files: NAME-00000-of-00010.tfrecord, a file's name; default "nearmiss"
    uint32_t shards;    ///< 1..NM_SHARDS_MAX, default 1; scene i of n goes to shard i * shards / n
    uint64_t scenes;    ///< how many will come, 1e12 at most: shards are shared out by it
    uint32_t windows;   ///< womd, womd-example: a scene of more than 91 steps of 0.1 s becomes a record for each window
                        ///< of 91 that begins a multiple of this many steps behind its first, and one that ends with
                        ///< it where steps are left; labels are those whose critical step lies in the window. Default
                        ///< 0: one record a scene
    int overwrite;      ///< 1 = files of an earlier export in the folder are removed first; default 0: NM_E_EXISTS
    const char *program, *command; ///< for the manifest; nullable
} nm_export_options;
NM_API nm_export_options nm_export_options_default(nm_export_format format);

typedef struct nm_export_totals {
    uint64_t scenes, refused, files, bytes; ///< with windows: scenes and refused count records
    uint64_t left_out;                      ///< tracks, see nm_export_item.strict
} nm_export_totals;

/// Told of each scene that the format cannot hold, with its place among those given; the export goes on with the next.
typedef void nm_export_refusal(void *context, uint64_t index, const nm_export_item *item, const nm_error *error);

typedef struct nm_exporter nm_exporter;
/// The pool is borrowed; texts are copied. NM_E_ARGUMENT for options that make no sense, NM_E_UNSUPPORTED for a format
/// that this build can not write, NM_E_EXISTS, NM_E_IO, NM_E_MEMORY. *exporter is NULL then.
NM_API nm_status nm_exporter_create(const nm_export_options *options, nm_thread_pool *pool, nm_exporter **exporter,
                                    nm_error *error);
/// Encodes `count` scenes side by side and writes them in this order, behind those of earlier calls. NM_E_LIMIT when
/// more come than were announced, NM_E_EXISTS for a second scene of one id where each has a file of its own; NM_E_IO,
/// NM_E_MEMORY. Nothing more can be added after a failure: it is returned again.
NM_API nm_status nm_exporter_add(nm_exporter *exporter, const nm_export_item *items, size_t count,
                                 nm_export_refusal *refused, void *context, nm_error *error);
/// Completes files, checksums and manifest; totals nullable. Fewer scenes than announced are fine: shards may be empty.
NM_API nm_status nm_exporter_finish(nm_exporter *exporter, nm_export_totals *totals, nm_error *error);
/// Files that are not complete are removed, and folders that are empty then and were made here. NULL is fine.
NM_API void nm_exporter_destroy(nm_exporter *exporter);

#ifdef __cplusplus
}
#endif
#endif
