/// A driving scene: a map, recorded or generated tracks, signal states over time, and where it all came from.
///
/// The hub type: importers make one, the simulator runs one, exporters write one. Constant after nm_scene_builder_build
/// and shared by threads. SI units; the map's frame (x east, y north, relative to map->origin); headings
/// counter-clockwise from +x in (-pi, pi]; positions are centres of bounding boxes; absence is a validity flag.
///
/// Layout: state arrays are [track][step] (time contiguous): state (a, t) is at index a * step_count + t.
#ifndef NM_SIM_SCENE_H
#define NM_SIM_SCENE_H

#include "sim/map.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_agent_type {
    NM_AGENT_UNKNOWN = 0,
    NM_AGENT_CAR,
    NM_AGENT_TRUCK,
    NM_AGENT_BUS,
    NM_AGENT_MOTORCYCLE,
    NM_AGENT_CYCLIST,
    NM_AGENT_PEDESTRIAN,
    NM_AGENT_TRAIN,
    NM_AGENT_OBSTACLE, ///< construction zone, cone, other static thing
    NM_AGENT_TYPE_COUNT
} nm_agent_type;

#define NM_TRACK_STATIC 1u ///< stands still by its role (parked vehicle, obstacle); not counted as an agent
#define NM_TRACK_EGO 2u    ///< the recording or planned vehicle
#define NM_TRACK_TO_PREDICT 4u
#define NM_TRACK_OF_INTEREST 8u
#define NM_TRACK_ADVERSARY 16u ///< generated: steered to conflict with the ego
#define NM_TRACK_GENERATED 32u ///< not in the recording

typedef struct nm_track {
    int64_t source_id;
    float length, width, height; ///< m; at the current step, else the first valid one; height 0 = unknown
    uint8_t type;                ///< nm_agent_type
    uint8_t flags;               ///< NM_TRACK_...
    uint8_t difficulty;          ///< WOMD difficulty level
    uint8_t reserved;
    uint32_t first_step, last_step; ///< first and last valid step; first > last when there is none
} nm_track;

/// One state as it goes in and comes out.
typedef struct nm_state {
    float x, y, z;               ///< m; z of the box centre, 0 where the source is flat
    float heading;               ///< rad in (-pi, pi]
    float vx, vy;                ///< m/s, scene frame
    float length, width, height; ///< m at this step; 0 = the track's
} nm_state;

/// The goal of a planning problem; any one goal satisfied means success.
typedef struct nm_goal {
    uint32_t first_step, last_step; ///< inclusive
    float heading_min, heading_max; ///< rad; min > max = any
    float speed_min, speed_max;     ///< m/s; min > max = any
    nm_range areas;                 ///< into goal_areas; empty = anywhere
} nm_goal;
typedef struct nm_goal_area {
    nm_vec2 centre;
    float length, width, heading; ///< oriented rectangle; width 0 = circle of diameter `length`
    uint32_t lane;                ///< != NM_NONE: this lane's surface instead of the rectangle
} nm_goal_area;

/// Where a planner starts (CommonRoad planning problem). Not a track: nothing was recorded.
typedef struct nm_problem {
    int64_t source_id;
    nm_state start;
    uint32_t start_step;
    nm_range goals; ///< into goals
} nm_problem;

typedef struct nm_provenance {
    const char *source;     ///< "commonroad", "womd", "builtin", "simulate", ...
    const char *file;       ///< base name of the file it was read from; "" = none
    const char *scene_id;   ///< the source's own id of the scene (benchmarkID, scenario_id)
    uint64_t record;        ///< index of the record within the file
    const char *program;    ///< "nearmiss 0.1.0"
    uint64_t seed;          ///< of the generation; 0 for logs
    uint64_t parent;        ///< content hash of the scene it was made from; 0 = none
    const char *parameters; ///< JSON object: everything needed to make it again; "{}" for logs
} nm_provenance;

typedef struct nm_scene {
    const nm_map *map; ///< one reference held
    float dt;          ///< s between steps
    uint32_t step_count;
    uint32_t current_step; ///< "now": history before and at it, future after (WOMD: 10; CommonRoad: 0)
    uint32_t ego;          ///< track index or NM_NONE

    uint32_t track_count;
    const nm_track *tracks;
    const uint8_t *valid;             ///< [track_count][step_count]
    const float *x, *y, *z, *heading; ///< [track_count][step_count]; 0 where invalid
    const float *vx, *vy;
    const float *state_length, *state_width, *state_height; ///< the same, or NULL when no track's size varies

    /// Recorded states of map->signals[i]: [signal_count][step_count], NULL when none was recorded. Use
    /// nm_scene_signal.
    const uint8_t *signal_states;
    const double *timestamps; ///< [step_count] s as recorded, or NULL (then step * dt)

    uint32_t problem_count;
    const nm_problem *problems;
    uint32_t goal_count;
    const nm_goal *goals;
    uint32_t goal_area_count;
    const nm_goal_area *goal_areas;

    uint32_t tag_count;
    const char *const *tags;
    nm_provenance provenance;
    uint64_t hash; ///< of the content, map included, provenance excluded
    size_t bytes;  ///< memory held, map excluded
} nm_scene;

static inline size_t nm_scene_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    return (size_t)track * scene->step_count + step;
}
/// The state of `track` at `step` as it goes into a builder, in the map's frame; 0, and nothing written, where it is
/// not valid. Sizes are 0 where they do not vary over time.
static inline int nm_scene_get_state(const nm_scene *scene, uint32_t track, uint32_t step, nm_state *state) {
    const size_t at = nm_scene_at(scene, track, step);
    if (!scene->valid[at]) return 0;
    state->x = scene->x[at];
    state->y = scene->y[at];
    state->z = scene->z[at];
    state->heading = scene->heading[at];
    state->vx = scene->vx[at];
    state->vy = scene->vy[at];
    state->length = scene->state_length ? scene->state_length[at] : 0.0f;
    state->width = scene->state_width ? scene->state_width[at] : 0.0f;
    state->height = scene->state_height ? scene->state_height[at] : 0.0f;
    return 1;
}

/// Signal `signal` at `step` (which may lie past the recording): recorded state, else the cycle's, else UNKNOWN.
NM_API nm_signal_state nm_scene_signal(const nm_scene *scene, uint32_t signal, uint32_t step);
/// Moving agents (not NM_TRACK_STATIC) and their valid states.
NM_API void nm_scene_count(const nm_scene *scene, uint64_t *agents, uint64_t *agent_states);

NM_API void nm_scene_destroy(const nm_scene *scene); ///< NULL is fine; releases the map reference

// ---------------------------------------------------------------------------------------------------------------------
// Construction

typedef struct nm_scene_builder nm_scene_builder;
NM_API nm_scene_builder *nm_scene_builder_create(void); ///< NULL: no memory
NM_API void nm_scene_builder_destroy(nm_scene_builder *builder);
NM_API void nm_scene_builder_reset(nm_scene_builder *builder); ///< keeps the memory, for the next scene

/// map is retained. dt in s (> 0). step_count may grow while states are added.
NM_API nm_status nm_scene_builder_begin(nm_scene_builder *builder, const nm_map *map, double dt, uint32_t step_count,
                                        nm_error *error);
typedef struct nm_track_def {
    int64_t id;
    int64_t line; ///< of the input, for messages
    nm_agent_type type;
    unsigned flags;
    unsigned difficulty;
    float length, width, height; ///< m
} nm_track_def;
/// *track receives the index. Duplicate ids are refused (NM_E_FORMAT).
NM_API nm_status nm_scene_builder_add_track(nm_scene_builder *builder, const nm_track_def *def, uint32_t *track,
                                            nm_error *error);
/// Position in SOURCE coordinates (the map's origin is subtracted in double); heading is wrapped here. Refuses NaN,
/// infinity and what is beyond NM_SCENE_MAX_DISTANCE or NM_SCENE_MAX_SPEED, a second state for the same step, and more
/// than NM_SCENE_MAX_STEPS steps.
typedef struct nm_state_def {
    double x, y, z;
    double heading;
    double vx, vy;
    float length, width, height; ///< 0 = the track's
} nm_state_def;
NM_API nm_status nm_scene_builder_add_state(nm_scene_builder *builder, uint32_t track, uint32_t step,
                                            const nm_state_def *state, nm_error *error);
/// The same in the map's frame, kept bit for bit: for what comes out of another scene or a world over the same map,
/// where the way through source coordinates would round. Heading in (-pi, pi]; sizes 0 = the track's.
NM_API nm_status nm_scene_builder_add_local_state(nm_scene_builder *builder, uint32_t track, uint32_t step,
                                                  const nm_state *state, nm_error *error);
NM_API nm_status nm_scene_builder_set_signal(nm_scene_builder *builder, uint32_t signal, uint32_t step,
                                             nm_signal_state state, nm_error *error);
NM_API nm_status nm_scene_builder_set_timestamps(nm_scene_builder *builder, const double *seconds, size_t count,
                                                 nm_error *error);
NM_API nm_status nm_scene_builder_add_problem(nm_scene_builder *builder, int64_t id, const nm_state_def *start,
                                              uint32_t start_step, nm_error *error);
/// Adds a goal to the last problem; areas in SOURCE coordinates through nm_scene_builder_add_goal_area.
NM_API nm_status nm_scene_builder_add_goal(nm_scene_builder *builder, const nm_goal *goal, nm_error *error);
/// Adds an area to the last goal. lane_id >= 0 names a lane by source id instead of the rectangle.
NM_API nm_status nm_scene_builder_add_goal_area(nm_scene_builder *builder, double x, double y, double length,
                                                double width, double heading, int64_t lane_id, nm_error *error);
NM_API nm_status nm_scene_builder_add_tag(nm_scene_builder *builder, const char *tag, nm_error *error);
NM_API void nm_scene_builder_set_current(nm_scene_builder *builder, uint32_t current_step, uint32_t ego);
/// Strings are copied; NULL strings become "".
NM_API nm_status nm_scene_builder_set_provenance(nm_scene_builder *builder, const nm_provenance *provenance,
                                                 nm_error *error);
/// On failure *scene is NULL. The builder may be reset and used again.
NM_API nm_status nm_scene_builder_build(nm_scene_builder *builder, const nm_scene **scene, nm_error *error);

#define NM_SCENE_MAX_STEPS 100000u
#define NM_SCENE_MAX_TRACKS 4000000u
#define NM_SCENE_MAX_STATES 100000000u ///< tracks times steps: 2.5 GB
#define NM_SCENE_MAX_DISTANCE 1e7      ///< m from the map's origin, along each axis
#define NM_SCENE_MAX_SPEED 1e5         ///< m/s, along each axis

/// The same scene at time step `dt` (linear positions, shortest-arc headings, velocities by linear interpolation; valid
/// only between two valid neighbours). NM_OK with a copy when dt is the scene's own. Step numbers of goals, problems
/// and the current step are converted to the same times. NM_E_ARGUMENT for a dt that makes no sense.
NM_API nm_status nm_scene_resample(const nm_scene *scene, double dt, const nm_scene **out, nm_error *error);

// ---------------------------------------------------------------------------------------------------------------------
// Validation: everything wrong is named, nothing is changed.

typedef enum nm_issue_kind {
    NM_ISSUE_OVERLAP_AT_START = 0, ///< two boxes overlap at the first step both are valid (not both static); value: m
    NM_ISSUE_OFF_ROAD_AT_START,    ///< a moving vehicle's centre is off the drivable area at its first step
    NM_ISSUE_JUMP,                 ///< moved further in one step than speed and 2 m allow, or over 70 m/s
    NM_ISSUE_HEADING_JUMP,         ///< heading changed by more than 0.5 rad in one step
    NM_ISSUE_SPEED_MISMATCH,       ///< |displacement / dt - speed| over 5 m/s
    NM_ISSUE_SIZE,                 ///< length or width <= 0, under 0.3 m for a vehicle, or over 30 m (but trains)
    NM_ISSUE_GAP,                  ///< invalid steps between valid ones
    NM_ISSUE_NO_STATE,             ///< a track without any valid state
    NM_ISSUE_GOAL_UNREACHABLE,     ///< no lane route from the start to any goal area
    NM_ISSUE_SHORT_LANE,           ///< a lane under 0.1 m
    NM_ISSUE_NARROW_LANE,          ///< narrowest place under 1 m
    NM_ISSUE_WIDE_LANE,            ///< over 8 m
    NM_ISSUE_DEAD_END,             ///< drivable lane without successor inside the map (more than 20 m from its bounds),
                                   ///< nor a lane beside it to change to
    NM_ISSUE_KINK,                 ///< centreline turns by more than 90 degrees between two segments
    NM_ISSUE_DISCONNECTED,         ///< successor begins more than 0.5 m from the end
    NM_ISSUE_REPAIRED,             ///< the builder mended something (detail says what and how often)
    NM_ISSUE_EMPTY_MAP,
    NM_ISSUE_COUNT
} nm_issue_kind;

typedef struct nm_issue {
    nm_issue_kind kind;
    uint32_t track, other; ///< track indices or NM_NONE
    uint32_t lane;         ///< lane index or NM_NONE
    uint32_t step;
    float value;      ///< m, rad or m/s, by kind
    char detail[120]; ///< one sentence
} nm_issue;

/// Writes at most `max` issues ordered by kind, then index (overlaps by step first); returns how many there are in all.
/// counts [out, nullable]: NM_ISSUE_COUNT totals. Thread-safe. O(states + lanes); where thousands of boxes lie on one
/// another, overlaps are counted up to a fixed amount of work. Prepares the map. Returns SIZE_MAX when memory is out.
NM_API size_t nm_scene_validate(const nm_scene *scene, nm_issue *issues, size_t max, uint32_t *counts);
NM_API const char *nm_issue_name(nm_issue_kind kind); ///< such as "overlap_at_start"

// ---------------------------------------------------------------------------------------------------------------------
// Bytes. The map is not inside: it is stored once, by hash. Layout in scene_codec.c.

NM_API size_t nm_scene_encode(const nm_scene *scene, void *buffer, size_t size); ///< see nm_map_encode
/// `map` is retained; its hash must be the one the bytes name.
NM_API nm_status nm_scene_decode(const void *bytes, size_t size, const nm_map *map, const nm_scene **scene,
                                 nm_error *error);
/// Reads only the map hash out of encoded bytes.
NM_API nm_status nm_scene_peek_map(const void *bytes, size_t size, uint64_t *map_hash, nm_error *error);

/// A scene of these fields, for readers of formats that hold all of a scene: with the same fields comes the same hash.
/// Arrays, as long as the counts say, and texts are copied; `map` is retained. Of `fields` map, hash, bytes and the
/// tracks' first and last steps are ignored, and states that are not valid. Refuses (NM_E_FORMAT) what nm_scene_decode
/// refuses.
NM_API nm_status nm_scene_assemble(const nm_scene *fields, const nm_map *map, const nm_scene **scene, nm_error *error);

NM_API const char *nm_agent_type_name(nm_agent_type type);
NM_API int nm_agent_type_vehicle(nm_agent_type type); ///< drives on lanes: car, truck, bus, motorcycle, unknown

#ifdef __cplusplus
}
#endif
#endif
