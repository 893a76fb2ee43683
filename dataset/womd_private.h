/// Inside of the WOMD reader. Private to womd*.c.
///
/// One record goes through four stages: womd_decode.c unpacks it (womd_example.c a tf.Example), womd_map.c turns its
/// features into an nm_map with the help of womd_borders.c (how wide lanes are) and womd_control.c (signals and stop
/// signs), womd_scene.c adds the tracks. Everything in between lives in one arena, emptied after each record.
#ifndef NM_DATASET_WOMD_PRIVATE_H
#define NM_DATASET_WOMD_PRIVATE_H

#include "base/arena.h"
#include "dataset/protos/scenario.pb-c.h"
#include "dataset/readers.h"
#include "dataset/tfrecord.h"

/// Field numbers of Scenario, for the places of errors.
enum {
    NM_WOMD_RECORD = 0, ///< the record as a whole
    NM_WOMD_TIMESTAMPS = 1,
    NM_WOMD_TRACKS = 2,
    NM_WOMD_OBJECTS_OF_INTEREST = 4,
    NM_WOMD_SCENARIO_ID = 5,
    NM_WOMD_SDC_TRACK_INDEX = 6,
    NM_WOMD_DYNAMIC_MAP_STATES = 7,
    NM_WOMD_MAP_FEATURES = 8,
    NM_WOMD_CURRENT_TIME_INDEX = 10,
    NM_WOMD_TRACKS_TO_PREDICT = 11
};

/// What was left out of a scene, or is odd about it. Real records are cut at the border of the map and hold such
/// things; refusing them would lose a third of the data set. Each becomes a tag NAME:COUNT of the scene.
typedef enum nm_womd_note {
    NM_WOMD_DANGLING_REFERENCE = 0, ///< to a lane, boundary or object that is not there: dropped
    NM_WOMD_ONE_POINT_LANE,         ///< a lane without length: dropped
    NM_WOMD_BAD_RANGE,              ///< an index range outside its polyline, or empty: dropped
    NM_WOMD_DEGENERATE_FEATURE,     ///< a line of fewer than 2 or a polygon of fewer than 3 points: dropped
    NM_WOMD_UNKNOWN_FEATURE,        ///< of a kind this program does not know: dropped
    NM_WOMD_REPEATED_SIGNAL,        ///< a second state for the same lane and step: the first was kept
    NM_WOMD_IRREGULAR_STEP,         ///< a time step more than 20 % longer or shorter than the scene's
    NM_WOMD_NOTE_COUNT
} nm_womd_note;

typedef struct nm_womd_record {
    nm_reader_context *context;
    nm_arena *arena;
    const char *name;
    nm_tfrecord frame;
    const Womd__Scenario *scenario;
    uint32_t notes[NM_WOMD_NOTE_COUNT];
} nm_womd_record;

/// A polyline in source coordinates, with the bounding boxes of runs of its segments.
typedef struct nm_womd_box {
    double lo_x, lo_y, hi_x, hi_y;
} nm_womd_box;
typedef struct nm_womd_polyline {
    nm_point3 *points;
    size_t count;
    nm_womd_box *boxes; ///< [ceil((count - 1) / NM_WOMD_RUN)]
} nm_womd_polyline;
#define NM_WOMD_RUN 16u ///< segments a box holds

typedef struct nm_womd_direction {
    double x, y;
} nm_womd_direction;

typedef struct nm_womd_lane {
    const Womd__LaneCenter *source;
    int64_t id;
    uint32_t feature; ///< index into scenario->map_features
    nm_womd_polyline line;
    double *along;               ///< [line.count] m from the start, in the plane
    nm_womd_direction *tangents; ///< [line.count]
    int64_t *entries, *exits;    ///< ids of the lanes that lead in and out, and are there
    size_t entry_count, exit_count;
    nm_turn turn;            ///< UNKNOWN unless a signal rules it
    nm_control_kind control; ///< at its end
    double stop_s;           ///< m along it where to stop for that; = length unless said otherwise
} nm_womd_lane;

typedef struct nm_womd_line {
    int64_t id;
    uint32_t feature;
    nm_line_kind kind;
    nm_marking marking;
    nm_colour colour;
    nm_womd_polyline line;
} nm_womd_line;

typedef enum nm_womd_kind { NM_WOMD_LANE, NM_WOMD_LINE, NM_WOMD_OTHER } nm_womd_kind;
typedef struct nm_womd_id {
    int64_t id;
    uint32_t feature;
    nm_womd_kind kind;
    size_t index; ///< into lanes or lines
} nm_womd_id;

/// A signal of WOMD is the state of one lane; it stands where that lane begins.
typedef struct nm_womd_signal {
    int64_t lane;
    nm_point3 stop; ///< the first stop point given
    int placed;
} nm_womd_signal;

typedef struct nm_womd_map {
    nm_womd_lane *lanes;
    size_t lane_count;
    nm_womd_line *lines;
    size_t line_count;
    nm_womd_id *ids; ///< ascending
    size_t id_count;
    nm_womd_signal *signals; ///< ascending by lane
    size_t signal_count;
    uint64_t work; ///< segments looked at while matching boundaries, signals and signs with lanes
} nm_womd_map;

// ---------------------------------------------------------------------------------------------------------------------
// womd_decode.c

/// One field of a message on the wire.
typedef struct nm_womd_field {
    uint32_t number, wire;
    size_t start;         ///< of the tag
    size_t content, size; ///< of a length-prefixed value
} nm_womd_field;
/// Reads the field at *at and moves past it; 0 when it is broken.
int nm_womd_read_field(const uint8_t *bytes, size_t size, size_t *at, nm_womd_field *found);

/// Unpacks the payload into the arena and sets record->scenario.
nm_status nm_womd_unpack(nm_womd_record *record, nm_error *error);
/// Refuses an id that is too long or no plain text.
nm_status nm_womd_check_id(const nm_womd_record *record, nm_error *error);
/// Fills `error` with a message about occurrence `nth` of `field`, naming file, record, scenario and byte offset.
nm_status nm_womd_refuse(const nm_womd_record *record, nm_error *error, nm_status code, uint32_t field, size_t nth,
                         const char *format, ...) NM_PRINTF(6, 7);
/// Adds the place to an error that a builder raised; returns its code.
nm_status nm_womd_place(const nm_womd_record *record, nm_error *error, nm_status code, uint32_t field, size_t nth);
nm_status nm_womd_no_memory(const nm_womd_record *record, nm_error *error);

// womd_unpack.c
/// The whole record in the arena, several times as fast as protobuf-c has it; NULL for anything out of the ordinary, be
/// it good or bad.
const Womd__Scenario *nm_womd_unpack_fast(const nm_womd_record *record);

// womd_map.c
nm_status nm_womd_build_map(nm_womd_record *record, nm_womd_map *work, const nm_map **map, nm_error *error);
/// The lane or line of that id, or NULL.
const nm_womd_id *nm_womd_find(const nm_womd_map *map, int64_t id, nm_womd_kind kind);
/// NM_E_LIMIT when a record asks for minutes of matching: a hostile one can list the same long polyline a million
/// times. Real ones take about two million steps.
nm_status nm_womd_check_work(const nm_womd_record *record, const nm_womd_map *map, uint32_t feature, nm_error *error);

// womd_borders.c
/// Lays boxes over a polyline; 0 when memory is out.
int nm_womd_add_boxes(nm_arena *arena, nm_womd_polyline *line);
/// Unit tangents at the points of a lane, by the neighbouring points that lie elsewhere; 0 when memory is out.
int nm_womd_add_tangents(nm_arena *arena, nm_womd_lane *lane);
/// m from each point of the lane's centreline to its left or right border; 0 where the record does not say.
nm_status nm_womd_widths(nm_womd_record *record, nm_womd_map *map, const nm_womd_lane *lane, int left, float *widths,
                         nm_error *error);
/// The marking along most of that side.
void nm_womd_side_marking(const nm_womd_map *map, const nm_womd_lane *lane, int left, nm_marking *marking,
                          nm_colour *colour);
void nm_womd_line_style(Womd__RoadLine__RoadLineType type, nm_marking *marking, nm_colour *colour);

// womd_control.c
/// Gathers the signals and says of each lane what rules its end.
nm_status nm_womd_find_controls(nm_womd_record *record, nm_womd_map *map, nm_error *error);
nm_status nm_womd_add_signals(nm_womd_record *record, nm_womd_map *map, nm_error *error);
nm_status nm_womd_add_stop_sign(nm_womd_record *record, nm_womd_map *map, uint32_t feature, nm_error *error);
/// Index into map->signals, = index of the nm_signal; NM_NONE when there is none.
uint32_t nm_womd_signal_of(const nm_womd_map *map, int64_t lane);

// womd_scene.c
/// Refuses a record whose counts contradict each other or whose indices lead out of their lists.
nm_status nm_womd_check_shape(const nm_womd_record *record, nm_error *error);
nm_status nm_womd_build_scene(nm_womd_record *record, const nm_womd_map *work, const nm_map *map,
                              const nm_scene **scene, nm_error *error);

/// A proto2 enum is closed: a value the reader does not know reads as the first one.
static inline int nm_womd_enum(int value, int count) {
    return value >= 0 && value < count ? value : 0;
}

#endif
