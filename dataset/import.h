/// Reading scenes from other people's files. The format is detected from the content, never from the name.
///
/// A file is hostile: sizes, counts and references are checked before use; a bad scene is refused whole, with file and
/// line (XML) or byte offset (binary); the caller decides whether the rest goes on. Memory is bounded by the largest
/// single scene (about three times its bytes). One importer per thread; any number of them side by side.
///
/// What CommonRoad becomes, where the two do not say the same:
/// - Agents are the dynamic obstacles; their states are the initial one and the trajectory, at their own time steps
///   (a gap in time stays a gap). Static obstacles become tracks with NM_TRACK_STATIC, valid at every step, at rest.
///   Environment obstacles become areas of the map. An occupancy set is not read: the obstacle keeps its initial state.
/// - Positions are moved from the shape's origin to the centre of its box; several shapes, circles and polygons get the
///   box around them. A "car" longer than 7 m is a truck (recordings converted from NGSIM call everything a car);
///   unknown types are NM_AGENT_UNKNOWN.
/// - Intervals give their middle, areas and lanelets their centre. The recorded speed is kept, along heading plus slip
///   angle; a moving obstacle without one gets it from its displacement. Accelerations and yaw rates are checked only.
/// - Speed limits come from signs 274, 274.1, R2-1 and r301, from the start of each lanelet that refers to them,
///   or from 2018b's speedLimit; 50 m/s and more means none. Yield, stop and priority signs and lights rule a lanelet's
///   end; stop signs at every entry of an intersection make it an all-way stop.
/// - Lanelets called urban (or nothing) are freeways when the tags say highway or interstate, and neither urban nor
///   intersection: converters of freeway recordings write so.
/// - Goals keep their areas; a polygon becomes the box along its longest edge. There is no ego track: a planning
///   problem is where a planner would start.
///
/// What a WOMD Scenario becomes:
/// - Everything recorded is kept: states with their own sizes, recorded times, flags, ids. Headings are wrapped.
///   Whether a state counts is said by its flag `valid` alone. A "vehicle" longer than 7 m is a truck; unset and other
///   types are NM_AGENT_UNKNOWN.
/// - The time step is 0.1 s where the median of the recorded ones is within 20 % of that, else the median.
/// - Lane borders lie where the normals of the centreline meet the lines and edges named as boundaries; without those,
///   half-way to the neighbour lane; without that, the width is assumed.
/// - A signal or stop sign, given with the lane behind it, rules the ends of the lanes before that; nm_signal.source_id
///   is the lane it was given with, nm_signal.position the stop point, nm_signal.turn the turn that lane makes.
/// - Road edges mark a lane like a curb. Of a passing double line the solid half is taken to be the left one.
/// - Real records are cut at the border of the map. What is lost there, or odd, is counted in tags of the scene:
///   dangling_references, one_point_lanes, bad_ranges, degenerate_features, unknown_features, repeated_signal_states,
///   irregular_time_steps, each followed by a colon and how many.
///
/// What a WOMD tf.Example becomes: the same as a Scenario, as far as it goes.
/// - Agents that are padding are left out; ids are floats in the format, exact to 2^24.
/// - Map points become features by id and direction. Lanes follow one another where one begins within 0.1 m of where
///   the other ends, in about the same direction (60 degrees). Their widths are assumed; speed limits, neighbours,
///   markings and the lanes of stop signs are not in the format.
/// - Times are microseconds cut off from floats; where they do not ascend, steps are 0.1 s.
///
/// What an OpenSCENARIO document becomes:
/// - Agents are the entities that follow trajectories of timed world positions, while those last; entities that are
///   only placed are NM_TRACK_STATIC and there all the time, one left to a controller only at the beginning. Behaviour
///   is not run: a file without a trajectory is refused, and so are shapes, positions and timings of other kinds.
/// - The time step is the median time between vertices where all vertices lie on multiples of it, else 0.1 s; between
///   vertices states are linear. Velocities are the way to the next state. Headings that are not given follow the way.
/// - The ego is the entity called Ego, ego or hero. Of a file on disk, the OpenDRIVE file that it names beside it
///   is the map, and its tags the scene's; otherwise the map is empty, which the tag map_not_read says (docs/formats/
///   openscenario.md). entities_without_trajectory:N counts those that were neither moved nor placed.
///
/// What an OpenDRIVE road network becomes (docs/formats/opendrive.md has it all):
/// - A scene of one step with the map and no tracks: something to generate on.
/// - Lanes to drive, ride or walk on become lanes, in the direction of the road's rule (left- or right-hand traffic).
///   A lane is one lane of ours through all lane sections of its road as long as it is linked one to one and nothing
///   said of it changes: markings, limit, type, what rules its end. Their borders are sampled to 4 mm.
/// - Lane ids count from 1 in the order of the file; a road's name and id are not kept.
/// - Traffic lights get a plain program (OpenDRIVE has none; tag assumed_light_programs). They, stop, yield and
///   priority signs rule the ends of lanes, stop lines (294) and signs say where to halt, 274 and R2-1 limit the speed
///   where the road says nothing itself.
/// - geoReference is a tag, "geoReference:...". Links between lanes that are not there are left out and counted in the
///   tag dangling_references; links to roads or junctions that are not there are refused.
#ifndef NM_DATASET_IMPORT_H
#define NM_DATASET_IMPORT_H

#include "dataset/export.h"
#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_format {
    NM_FORMAT_UNKNOWN = 0,
    NM_FORMAT_COMMONROAD,    ///< XML 2018b or 2020a
    NM_FORMAT_WOMD_SCENARIO, ///< Scenario protobuf in TFRecord
    NM_FORMAT_WOMD_EXAMPLE,  ///< tf.Example in TFRecord
    NM_FORMAT_ARCHIVE,       ///< tar (xz, gz, zst, bz2) or zip holding files of the above and below
    NM_FORMAT_NEARMISS,      ///< the project's own protobuf in TFRecord (docs/formats/nearmiss.md)
    NM_FORMAT_OSI,           ///< trace of OSI GroundTruth or SensorView messages (docs/formats/osi.md)
    NM_FORMAT_CSV,           ///< rows as `nearmiss export --format csv` writes them (docs/formats/csv.md)
    NM_FORMAT_OPENSCENARIO,  ///< XML 1.0 to 1.3 with trajectories
    NM_FORMAT_OPENDRIVE,     ///< XML, versions 1.4 to 1.8
    NM_FORMAT_NUPLAN,        ///< log database of nuPlan (.db; SQLite)
    NM_FORMAT_NUPLAN_MAP     ///< map of nuPlan (.gpkg; GeoPackage)
} nm_format;

/// Fill with nm_import_limits_default().
typedef struct nm_import_limits {
    uint64_t max_file_bytes; ///< default 1 GiB; of what is held whole: files of records are not, of CSV the
                             ///< rows of a scene are
    uint32_t max_tracks;     ///< default 1,000,000 a scene
    uint32_t max_steps;      ///< default 100,000
    uint32_t max_lanes;      ///< default 1,000,000
    uint64_t max_cells;      ///< tracks times steps of a scene, which are stored densely; default 2^26. Of XML no more
                             ///< than 2^22 and 64 for each state that is stated
} nm_import_limits;
NM_API nm_import_limits nm_import_limits_default(void);

/// Looks at the first bytes (at most 4096 are needed).
NM_API nm_format nm_detect_format(const void *head, size_t size);
NM_API const char *nm_format_name(nm_format format);
/// 1 for formats whose files are records, which nm_import_split gives one by one.
NM_API int nm_format_has_records(nm_format format);

/// Receives each scene read. Ownership passes to the callee (nm_scene_destroy). `input` is "file" or "archive!member",
/// valid during the call. A status other than NM_OK stops the import with that status.
typedef nm_status nm_scene_sink(void *context, const nm_scene *scene, const char *input, uint64_t record,
                                nm_error *error);
/// Told of each scene or file that was refused; the import goes on with the next. NULL stops at the first.
typedef void nm_refusal_sink(void *context, const nm_error *error);

typedef struct nm_importer nm_importer;
NM_API nm_importer *nm_importer_create(const nm_import_limits *limits); ///< NULL: no memory; limits nullable
NM_API void nm_importer_destroy(nm_importer *importer);

/// Which scenes are made of a nuPlan log. Fill with nm_import_nuplan_default().
typedef struct nm_import_nuplan {
    /// Where maps are: the folder of maps as nuPlan has it (LOCATION/VERSION/map.gpkg; the highest version is taken), a
    /// folder of LOCATION.gpkg, or one map file, which is then taken for all logs. NULL (default): $NUPLAN_MAPS_ROOT is
    /// the caller's to look at; a folder "maps" beside the log or up to five folders above it, and those places
    /// themselves.
    const char *maps;
    int without_map;     ///< 1: scenes have an empty map and the tag map_not_read; default 0
    const char *types;   ///< types of tags that make scenes, with commas between; NULL (default) = all
    double windows;      ///< s: scenes of this length one after the other, whatever the tags; 0 (default) = by tags
    double spacing;      ///< s between the tags of one type that make scenes; default 15
    double offset;       ///< s from the tag to where the scenario begins; default -3
    double past, future; ///< s before and from where it begins on; default 2 and 15
    double radius;       ///< m of map around what the ego drove; default 300
} nm_import_nuplan;
NM_API nm_import_nuplan nm_import_nuplan_default(void);
/// Copies the options; their texts must outlive the importer's use of them.
NM_API void nm_importer_set_nuplan(nm_importer *importer, const nm_import_nuplan *options);

/// Told of a scene whose file says more than a scene can hold: corner cases (labels) and what it was generated for. The
/// call comes right before the scene goes to the sink; everything in the item is valid during the call.
typedef void nm_extras_sink(void *context, const nm_export_item *item);
NM_API void nm_importer_set_extras(nm_importer *importer, nm_extras_sink *sink, void *context); ///< NULL: dropped

/// Reads a file or an archive. Returns NM_OK when everything was read or refused through `refused`; the first refusal's
/// status when `refused` is NULL; or the sink's status. *bytes_read [out, nullable] adds up bytes of scene files read.
NM_API nm_status nm_import_file(nm_importer *importer, const char *path, nm_scene_sink *sink, nm_refusal_sink *refused,
                                void *context, uint64_t *bytes_read, nm_error *error);
/// The same for one file already in memory. `name` is used in messages and provenance (its base name).
NM_API nm_status nm_import_memory(nm_importer *importer, const char *name, const void *bytes, size_t size,
                                  nm_scene_sink *sink, nm_refusal_sink *refused, void *context, nm_error *error);

/// What threads can share out: whole files and archive members, and the single records of TFRecord files and the
/// scenes of CSV files, which are too large to be held.
typedef enum nm_piece_kind {
    NM_PIECE_FILE = 0, ///< a whole file of a known format
    NM_PIECE_RECORDS,  ///< a file of records begins: its records, and refusals of such, follow, then NM_PIECE_END
    NM_PIECE_RECORD,   ///< one of its records, checksums verified; of CSV the header and the rows of one scene
    NM_PIECE_END
} nm_piece_kind;

typedef struct nm_piece {
    nm_piece_kind kind;
    const char *name;  ///< "file" or "archive!member"
    const void *bytes; ///< NULL but for a file and a record
    size_t size;
    uint64_t offset,
        index;      ///< of a record: of its payload in the file (CSV: the line of its first row), and which it is
    size_t archive; ///< of a member of an archive: the length of the archive's path, which its name begins with; else 0
} nm_piece;

/// Receives a piece before anything in it is read. The piece and what it points to are valid during the call. A status
/// other than NM_OK stops with that status.
typedef nm_status nm_piece_sink(void *context, const nm_piece *piece, nm_error *error);
/// Calls back with every piece of what nm_import_file would read, in its order. What it would refuse without looking
/// inside goes to `refused`.
NM_API nm_status nm_import_split(nm_importer *importer, const char *path, nm_piece_sink *sink, nm_refusal_sink *refused,
                                 void *context, nm_error *error);
/// Reads a file or record that nm_import_split gave; its bytes may be a copy.
NM_API nm_status nm_import_piece(nm_importer *importer, const nm_piece *piece, nm_scene_sink *sink,
                                 nm_refusal_sink *refused, void *context, nm_error *error);

/// Receives the name of one file, valid during the call. A status other than NM_OK stops.
typedef nm_status nm_path_sink(void *context, const char *path, nm_error *error);
/// Names the files that an argument of the command line stands for: the shards of a sharded file written BASE@COUNT
/// (see dataset/tfrecord.h), unless there is a file of exactly that name; else the argument itself. The files need not
/// exist: whoever opens them says so. Returns the sink's status.
NM_API nm_status nm_import_expand(const char *argument, nm_path_sink *sink, void *context, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
