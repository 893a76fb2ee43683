/// The readers behind import.h, one per format. Private to dataset/.
#ifndef NM_DATASET_READERS_H
#define NM_DATASET_READERS_H

#include "dataset/import.h"
#include "dataset/tfrecord.h"

/// Bytes in memory, and what gives them as a stream would (nm_byte_source).
typedef struct nm_memory_source {
    const uint8_t *bytes; ///< those that were not given yet
    size_t size;
} nm_memory_source;
nm_status nm_memory_next(void *memory_source, void *buffer, size_t size, size_t *got, nm_error *error);

/// State kept between files by one importer: builders and buffers, reused so that a long import does not churn memory.
typedef struct nm_reader_context {
    nm_import_limits limits;
    nm_map_builder *map_builder;
    nm_scene_builder *scene_builder;
    void *commonroad;       ///< private to commonroad.c, released by nm_commonroad_release
    void *womd;             ///< private to womd.c, released by nm_womd_release
    void *nearmiss;         ///< private to nearmiss_read.c, released by nm_nearmiss_release
    void *osi;              ///< private to osi_read.c, released by nm_osi_release
    nm_extras_sink *extras; ///< nullable
    void *extras_context;
    void *opendrive; ///< private to opendrive.c, released by nm_opendrive_release
    void *nuplan;    ///< private to nuplan.c, released by nm_nuplan_release
    nm_import_nuplan nuplan_options;
    void *openscenario; ///< private to openscenario_network.c, released by nm_openscenario_release
    const char *path;   ///< of the file being read, for formats that name others beside it; NULL = in memory, a member
                        ///< of an archive
    size_t archive;     ///< of a member of an archive: the length of the archive's path, which its name begins with
} nm_reader_context;

/// How many cells (tracks times steps) a scene may have of which a file states so many states. Who stands for as many
/// steps as are declared costs a text nothing: 100 kB must not become gigabytes.
static inline uint64_t nm_import_cells(const nm_import_limits *limits, uint64_t stated) {
    const uint64_t most = (UINT64_C(1) << 22) + 64 * stated;
    return most < limits->max_cells ? most : limits->max_cells;
}

/// Reads one CommonRoad document. *scene is set on success.
nm_status nm_commonroad_read(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                             const nm_scene **scene, nm_error *error);
void nm_commonroad_release(nm_reader_context *context);
/// Makes libxml2 ready. Left to itself it does so at the first parse, where threads that parse at once race.
void nm_commonroad_prepare(void);
/// What `bench import` compares with: libxml2 walks the document and nothing else is done. 1 when it is well-formed.
int nm_commonroad_parse_bare(const void *bytes, size_t size);

/// Receives a member of an archive: its path in it, and its bytes, valid during the call. A status other than NM_OK
/// stops with that status.
typedef nm_status nm_member_sink(void *context, const char *path, const void *bytes, size_t size, nm_error *error);
/// archive.c: all regular members of this format, up to where the archive can be read. The descriptor of the archive is
/// read from where it stands, and stays open. NM_E_MEMORY, NM_E_LIMIT of the sink.
nm_status nm_archive_each(const nm_import_limits *limits, int file, const char *path, nm_format format,
                          nm_member_sink *sink, void *context, nm_error *error);

/// Reads one OpenSCENARIO document, and with context->path the road network beside it, with
/// context->archive the one in the archive. *scene is set on success.
nm_status nm_openscenario_read(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                               const nm_scene **scene, nm_error *error);
void nm_openscenario_release(nm_reader_context *context);
/// Reads one OpenDRIVE document. *scene is set on success: it holds the map, and nobody on it. Needs
/// nm_commonroad_prepare, too.
nm_status nm_opendrive_read(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                            const nm_scene **scene, nm_error *error);
void nm_opendrive_release(nm_reader_context *context);

/// Reads a nuPlan log, scene by scene; a scene that is bad is refused through `refused`. The file is `name`, or `bytes`
/// (nullable) of one; maps are looked for from `name` on either way.
nm_status nm_nuplan_read_log(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                             nm_scene_sink *sink, nm_refusal_sink *refused, void *sink_context, nm_error *error);
/// Reads a nuPlan map: *scene, set on success, holds it, and nobody on it.
nm_status nm_nuplan_read_map(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                             const nm_scene **scene, nm_error *error);
void nm_nuplan_release(nm_reader_context *context);
/// NM_FORMAT_NUPLAN_MAP for a GeoPackage, NM_FORMAT_NUPLAN for other SQLite files but those of this program.
nm_format nm_nuplan_detect(const void *head, size_t size);

/// Reads every record of one TFRecord file of Scenario protobufs. A record whose payload is bad is refused through
/// `refused`; a record whose length CRC is bad ends the file (nothing behind it can be found).
nm_status nm_womd_read(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                       nm_scene_sink *sink, nm_refusal_sink *refused, void *sink_context, nm_error *error);
/// The same from a stream, one record in memory at a time: shards have hundreds of megabytes. What the source refuses
/// ends the file with that status, through `refused` where it is given.
nm_status nm_womd_read_stream(nm_reader_context *context, const char *name, nm_byte_source *source,
                              void *source_context, nm_scene_sink *sink, nm_refusal_sink *refused, void *sink_context,
                              nm_error *error);
/// Gives the records of a stream to `visit` without looking into them; bad ones are refused.
nm_status nm_womd_split_stream(const char *name, nm_byte_source *source, void *source_context, nm_piece_sink *visit,
                               nm_refusal_sink *refused, void *context, nm_error *error);
/// Reads one of those records.
nm_status nm_womd_read_record(nm_reader_context *context, const nm_piece *piece, nm_scene_sink *sink,
                              nm_refusal_sink *refused, void *sink_context, nm_error *error);
void nm_womd_release(nm_reader_context *context);
/// 1 when the first record's payload is a tf.Example.
int nm_womd_is_example(const void *payload, size_t size);

/// Reads one record of the project's own format (protos/nearmiss.proto). *scene is set on success; labels and
/// generation have gone to context->extras then.
nm_status nm_nearmiss_read(nm_reader_context *context, const char *name, const nm_tfrecord *frame,
                           const nm_scene **scene, nm_error *error);
void nm_nearmiss_release(nm_reader_context *context);
/// 1 when a record's payload is of that format; 16 bytes are needed.
int nm_nearmiss_is(const void *payload, size_t size);

/// Reads one trace of OSI GroundTruth or SensorView messages. *scene is set on success.
nm_status nm_osi_read(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                      const nm_scene **scene, nm_error *error);
void nm_osi_release(nm_reader_context *context);
/// 1 when a file begins like one.
int nm_osi_is(const void *head, size_t size);

/// Reads rows of the CSV that the exporter writes: any number of scenes, one after the other, the rows of one in memory
/// at a time. A scene that is bad is refused through `refused`; what the source refuses ends the file likewise.
nm_status nm_csv_read(nm_reader_context *context, const char *name, nm_byte_source *source, void *source_context,
                      nm_scene_sink *sink, nm_refusal_sink *refused, void *sink_context, nm_error *error);
/// Gives the rows of each scene to `visit` without looking into them, the header before them: NM_PIECE_RECORD, `offset`
/// is the line of the first row.
nm_status nm_csv_split(nm_reader_context *context, const char *name, nm_byte_source *source, void *source_context,
                       nm_piece_sink *visit, nm_refusal_sink *refused, void *sink_context, nm_error *error);
/// Reads one of those.
nm_status nm_csv_read_part(nm_reader_context *context, const nm_piece *piece, nm_scene_sink *sink,
                           nm_refusal_sink *refused, void *sink_context, nm_error *error);
/// 1 when a file begins like one.
int nm_csv_is(const void *head, size_t size);

#endif
