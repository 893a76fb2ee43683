/// The map of a scene: lanes and their graph, lines, areas, stop lines, signs, signals; and what is derived from them
/// once so that a simulation step never searches: rails, conflicts, a raster of the drivable area and a grid over the
/// lanes.
///
/// Constant after nm_map_builder_build, shared by any number of scenes and threads, reference-counted. The derived part
/// is not needed to import and store a map, so it is made on demand: nm_map_prepare, thread-safe, once a map. Fields
/// marked [prepared] are empty (0, or NM_NONE) before it; call it before reading them. The queries call it themselves.
///
/// Frame: x east, y north, metres, floats relative to `origin` (doubles, as in the source). Headings are
/// counter-clockwise from +x. Absent indices are NM_NONE. All arrays live in one block owned by the map.
///
/// Cost: build O(points); prepare O(points + cells of the raster); memory about 32 bytes a metre of lane plus the
/// raster (at most 4 MiB).
#ifndef NM_SIM_MAP_H
#define NM_SIM_MAP_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_NONE UINT32_MAX

typedef struct nm_vec2 {
    float x, y;
} nm_vec2;
typedef struct nm_point3 {
    double x, y, z;
} nm_point3;

typedef enum nm_lane_type {
    NM_LANE_UNKNOWN = 0,
    NM_LANE_FREEWAY,
    NM_LANE_STREET,
    NM_LANE_RAMP,
    NM_LANE_SHOULDER,
    NM_LANE_DRIVEWAY,
    NM_LANE_BUS,
    NM_LANE_BIKE,
    NM_LANE_SIDEWALK,
    NM_LANE_CROSSWALK,
    NM_LANE_TYPE_COUNT
} nm_lane_type;

typedef enum nm_turn { NM_TURN_UNKNOWN = 0, NM_TURN_STRAIGHT, NM_TURN_LEFT, NM_TURN_RIGHT, NM_TURN_U } nm_turn;

/// What rules the END of a lane, where it enters its successors.
typedef enum nm_control {
    NM_CONTROL_NONE = 0, ///< nothing known: right before left where lanes cross
    NM_CONTROL_PRIORITY, ///< has the right of way
    NM_CONTROL_YIELD,
    NM_CONTROL_STOP,         ///< minor-road stop: halt, then yield
    NM_CONTROL_ALL_WAY_STOP, ///< halt; first come, first served
    NM_CONTROL_SIGNAL
} nm_control_kind;

typedef enum nm_marking {
    NM_MARKING_UNKNOWN = 0,
    NM_MARKING_NONE,
    NM_MARKING_DASHED,
    NM_MARKING_SOLID,
    NM_MARKING_DOUBLE_SOLID,
    NM_MARKING_DOUBLE_DASHED,
    NM_MARKING_SOLID_DASHED, ///< solid on the left of the pair, seen in driving direction
    NM_MARKING_DASHED_SOLID,
    NM_MARKING_BROAD_DASHED,
    NM_MARKING_BROAD_SOLID,
    NM_MARKING_CURB
} nm_marking;

typedef enum nm_colour { NM_COLOUR_UNKNOWN = 0, NM_COLOUR_WHITE, NM_COLOUR_YELLOW } nm_colour;

typedef enum nm_line_kind {
    NM_LINE_ROAD_LINE = 0,
    NM_LINE_EDGE_UNKNOWN,
    NM_LINE_EDGE_BOUNDARY,
    NM_LINE_EDGE_MEDIAN
} nm_line_kind;

typedef enum nm_area_kind {
    NM_AREA_CROSSWALK = 0,
    NM_AREA_SPEED_BUMP,
    NM_AREA_DRIVEWAY,
    NM_AREA_OBSTACLE
} nm_area_kind;

/// The names follow WOMD; the CommonRoad colours map onto them (red STOP, yellow CAUTION, green GO, redYellow CAUTION).
typedef enum nm_signal_state {
    NM_SIGNAL_UNKNOWN = 0,
    NM_SIGNAL_ARROW_STOP,
    NM_SIGNAL_ARROW_CAUTION,
    NM_SIGNAL_ARROW_GO,
    NM_SIGNAL_STOP,
    NM_SIGNAL_CAUTION,
    NM_SIGNAL_GO,
    NM_SIGNAL_FLASHING_STOP,
    NM_SIGNAL_FLASHING_CAUTION,
    NM_SIGNAL_OFF,
    NM_SIGNAL_STATE_COUNT
} nm_signal_state;

/// What the builder had to mend to make the geometry usable. Counted, kept with the map, reported by nm_scene_validate.
typedef enum nm_map_repair {
    NM_REPAIR_REPEATED_POINT = 0, ///< a border point pair equal to the one before: dropped
    NM_REPAIR_SELF_REFERENCE,     ///< a lane that names itself as successor, predecessor or neighbour: dropped
    NM_REPAIR_SWAPPED_BORDERS,    ///< left border lay on the right all along: swapped
    NM_REPAIR_ONE_WAY_REFERENCE,  ///< successor without the matching predecessor (or the reverse): completed
    NM_REPAIR_ASSUMED_WIDTH,      ///< no border in the source: width assumed
    NM_REPAIR_COUNT
} nm_map_repair;

#define NM_LANE_JUNCTION 1u      ///< lies inside a junction (joins other lanes): has a `junction`
#define NM_LANE_BIDIRECTIONAL 2u ///< may be driven both ways
#define NM_LANE_ASSUMED_LEFT 4u  ///< left border was not in the source
#define NM_LANE_ASSUMED_RIGHT 8u

/// A range into one of the map's index or element arrays.
typedef struct nm_range {
    uint32_t first, count;
} nm_range;

typedef struct nm_lane {
    int64_t source_id;
    float length;                        ///< m, of the centreline
    float speed_limit;                   ///< m/s; 0 = not known
    uint8_t type;                        ///< nm_lane_type
    uint8_t turn;                        ///< nm_turn
    uint8_t control;                     ///< nm_control_kind, at the end of the lane
    uint8_t flags;                       ///< NM_LANE_...
    uint8_t left_marking, right_marking; ///< nm_marking
    uint8_t left_colour, right_colour;   ///< nm_colour
    uint32_t junction;                   ///< group of lanes of one junction, or NM_NONE: the source's; [prepared] also
                                         ///< lanes that cross others outside the source's junctions
    nm_range points;                     ///< into centre/left/right: at least 2, paired
    nm_range rail;                       ///< [prepared] into map->rail: at least 2
    float rail_step;                     ///< [prepared] m between rail points
    float rail_inverse;                  ///< [prepared] 1 / rail_step
    nm_range predecessors;               ///< into map->lane_refs
    nm_range successors;                 ///< into map->lane_refs
    nm_range left, right;                ///< into map->neighbours
    nm_range conflicts;                  ///< [prepared] into map->conflicts, ordered by self_in
    nm_range signals;                    ///< into map->signal_refs: signals that rule the end of this lane
    uint32_t stop_line;                  ///< into map->stop_lines, or NM_NONE (then the lane's end)
    float stop_s; ///< m along the lane where to stop for its control; = length when there is no stop line
} nm_lane;

/// A stretch of lane beside another.
typedef struct nm_neighbour {
    uint32_t lane;
    float self_start, self_end;   ///< m along this lane for which it holds
    float other_start, other_end; ///< m along the neighbour; decreasing when opposite
    uint8_t opposite;             ///< 1 = the neighbour runs the other way
    uint8_t may_change;           ///< 1 = markings between allow a change from this lane into the neighbour
    uint8_t reserved[2];
} nm_neighbour;

/// The lane resampled at equal steps, about 1 m, up to 8 m where it is straight, of one width and without conflicts:
/// what a simulation step reads. 32 bytes, one vector load.
typedef struct nm_rail_point {
    float x, y;
    float cos_h, sin_h; ///< unit tangent, in driving direction
    float curvature;    ///< 1/m, left positive
    float left, right;  ///< m from the centreline to the borders, both >= 0
    float speed_limit;  ///< m/s here, default applied (never 0)
} nm_rail_point;

/// Two lanes that share ground: crossing, merging, or diverging ones.
typedef enum nm_conflict_kind { NM_CONFLICT_CROSS = 0, NM_CONFLICT_MERGE, NM_CONFLICT_DIVERGE } nm_conflict_kind;
typedef enum nm_precedence {
    NM_PRECEDENCE_EQUAL = 0, ///< first come, first served; ties: right before left, then the lower lane index
    NM_PRECEDENCE_MINE,      ///< the other lane yields
    NM_PRECEDENCE_THEIRS     ///< this lane yields
} nm_precedence;
typedef struct nm_conflict {
    uint32_t lane;           ///< the other lane
    float self_in, self_out; ///< m along this lane where the shared ground begins and ends
    float other_in, other_out;
    uint8_t kind;       ///< nm_conflict_kind
    uint8_t precedence; ///< nm_precedence from the controls, the turns and right-before-left; signals come on top
    uint8_t reserved[2];
} nm_conflict;

typedef struct nm_line {
    int64_t source_id;
    uint8_t kind;    ///< nm_line_kind
    uint8_t marking; ///< nm_marking, for road lines
    uint8_t colour;  ///< nm_colour
    uint8_t reserved;
    nm_range points; ///< into line_points
} nm_line;

typedef struct nm_area {
    int64_t source_id;
    uint8_t kind; ///< nm_area_kind
    uint8_t reserved[3];
    nm_range points; ///< into area_points; polygon, closed implicitly
} nm_area;

typedef struct nm_stop_line {
    nm_vec2 a, b;  ///< end points, a on the left
    uint32_t lane; ///< the lane it lies on
    float s;       ///< m along that lane
} nm_stop_line;

typedef struct nm_sign {
    int64_t source_id;
    char code[16];  ///< as in the source ("274", "R2-1", "STOP")
    float value;    ///< the first additional value, SI; 0 = none
    uint8_t placed; ///< 1 = `position` is from the source
    uint8_t virtual_sign;
    uint8_t reserved[2];
    nm_vec2 position;
    nm_range lanes; ///< into lane_refs
} nm_sign;

typedef struct nm_phase {
    uint32_t steps; ///< duration in steps of the source's time step
    uint8_t state;  ///< nm_signal_state
    uint8_t reserved[3];
} nm_phase;

typedef struct nm_signal {
    int64_t source_id;
    nm_vec2 position; ///< of the light or of the stop point
    uint8_t placed;   ///< 1 = `position` is from the source
    uint8_t turn;     ///< nm_turn it is meant for; NM_TURN_UNKNOWN = all
    uint8_t reserved[2];
    uint32_t phase_offset; ///< steps: phase = (step + cycle - offset mod cycle) mod cycle
    float cycle_dt;        ///< s, what one step of the cycle lasts
    nm_range phases;       ///< into map->phases; empty = no cycle known
    nm_range lanes;        ///< into lane_refs: lanes whose end it rules
} nm_signal;

typedef struct nm_map_grid nm_map_grid; ///< private: cells over lane segments, raster of the drivable area

typedef struct nm_map {
    nm_point3 origin; ///< what was subtracted from the source's coordinates
    nm_vec2 bounds_min, bounds_max;
    uint64_t hash; ///< of the content (nm_map_encode), the key under which stores share maps

    uint32_t lane_count;
    const nm_lane *lanes;
    uint32_t point_count;                 ///< of lane points
    const nm_vec2 *centre, *left, *right; ///< [point_count], paired
    const float *z;                       ///< [point_count] height of the centreline, m relative to origin.z
    const float *point_s;                 ///< [point_count] m along the centreline
    uint32_t rail_count;                  ///< [prepared]
    const nm_rail_point *rail;
    uint32_t lane_ref_count;
    const uint32_t *lane_refs;
    uint32_t neighbour_count;
    const nm_neighbour *neighbours;
    uint32_t conflict_count; ///< [prepared]
    const nm_conflict *conflicts;
    uint32_t junction_count; ///< groups; [prepared] those found by geometry included

    uint32_t line_count;
    const nm_line *lines;
    uint32_t line_point_count;
    const nm_vec2 *line_points;
    uint32_t line_z_count; ///< line_point_count, or 0 where all lines lie at origin.z (flat sources)
    const float *line_z;   ///< [line_z_count] height of each line point, m relative to origin.z
    uint32_t area_count;
    const nm_area *areas;
    uint32_t area_point_count;
    const nm_vec2 *area_points;
    uint32_t stop_line_count;
    const nm_stop_line *stop_lines;
    uint32_t sign_count;
    const nm_sign *signs;
    uint32_t signal_count;
    const nm_signal *signals;
    uint32_t signal_ref_count;
    const uint32_t *signal_refs;
    uint32_t phase_count;
    const nm_phase *phases;

    uint32_t repairs[NM_REPAIR_COUNT];
    const nm_map_grid *grid; ///< [prepared]
    size_t bytes;            ///< memory held, [prepared] derived parts included
} nm_map;

// ---------------------------------------------------------------------------------------------------------------------
// Construction. A builder is used by one thread. Ids are the source's; references may point forward and are resolved by
// the build, which refuses (NM_E_FORMAT, with the line given in the definition) duplicate ids of lanes, signals or
// signs, references to nowhere, NaN and infinite coordinates, lanes with fewer than two different points or a
// centreline of no length, and coordinates over 1e8 m or more than 1e6 m from the origin. Lane ids must be >= 0.

typedef struct nm_map_builder nm_map_builder;

typedef struct nm_neighbour_def {
    int64_t lane;
    int opposite;
    double self_start, self_end;   ///< m; self_end <= self_start means "the whole lane"
    double other_start, other_end; ///< m; likewise; of an opposite lane in either order, equal = the whole lane
} nm_neighbour_def;

/// Arrays are copied. `left`/`right` are both given and paired with equal counts (then the centre is their half sum
/// where `centre` is NULL, else given likewise), or NULL (then `centre` is given, and borders come from the widths, or
/// are assumed: 3.5 m, bike lanes and sidewalks 1.8 m).
typedef struct nm_lane_def {
    int64_t id;
    int64_t line; ///< line of the input, for messages; 0 = unknown
    const nm_point3 *centre, *left, *right;
    size_t point_count;
    const float *left_width, *right_width; ///< nullable; with `centre`: m to each border per point, <= 0 = unknown
    double width;                          ///< m, with `centre`; 0 = unknown
    double speed_limit;                    ///< m/s; 0 = unknown
    nm_lane_type type;
    nm_turn turn;
    nm_control_kind control;
    unsigned flags;
    nm_marking left_marking, right_marking;
    nm_colour left_colour, right_colour;
    int64_t junction; ///< any id shared by the lanes of a junction; -1 = none
    const int64_t *predecessors, *successors;
    size_t predecessor_count, successor_count;
    const nm_neighbour_def *left_neighbours, *right_neighbours;
    size_t left_neighbour_count, right_neighbour_count;
    const nm_point3 *stop_line; ///< nullable: two points
    int has_stop_line;          ///< 1 with `stop_line` NULL: across the lane's end
} nm_lane_def;

NM_API nm_lane_def nm_lane_def_default(void); ///< no references, type unknown, junction -1

typedef struct nm_signal_def {
    int64_t id;
    int64_t line;
    const nm_point3 *position; ///< nullable
    nm_turn turn;
    const nm_phase *phases; ///< nullable
    size_t phase_count;
    uint32_t phase_offset;
    double cycle_dt;      ///< s per step of the cycle
    const int64_t *lanes; ///< lanes whose END it rules
    size_t lane_count;
} nm_signal_def;

typedef struct nm_sign_def {
    int64_t id;
    int64_t line;
    const char *code;
    double value;
    int virtual_sign;
    const nm_point3 *position; ///< nullable
    const int64_t *lanes;
    size_t lane_count;
} nm_sign_def;

NM_API nm_map_builder *nm_map_builder_create(void); ///< NULL: no memory
NM_API void nm_map_builder_destroy(nm_map_builder *builder);
/// Empties the builder but keeps its memory, for the next map of a long import.
NM_API void nm_map_builder_reset(nm_map_builder *builder);

/// Fixes the origin. Without it the build takes the middle of the lanes' bounding box, rounded to 1 m.
NM_API void nm_map_builder_set_origin(nm_map_builder *builder, nm_point3 origin);
/// m/s used on rails where a lane has no limit; default 50 km/h streets, 120 km/h freeways, 60 km/h ramps.
NM_API void nm_map_builder_set_default_speed(nm_map_builder *builder, nm_lane_type type, double speed);

/// Each returns NM_E_FORMAT or NM_E_MEMORY with `error` filled; the builder is then good only for reset or destroy.
NM_API nm_status nm_map_builder_add_lane(nm_map_builder *builder, const nm_lane_def *def, nm_error *error);
NM_API nm_status nm_map_builder_add_line(nm_map_builder *builder, int64_t id, nm_line_kind kind, nm_marking marking,
                                         nm_colour colour, const nm_point3 *points, size_t count, nm_error *error);
NM_API nm_status nm_map_builder_add_area(nm_map_builder *builder, int64_t id, nm_area_kind kind,
                                         const nm_point3 *points, size_t count, nm_error *error);
NM_API nm_status nm_map_builder_add_signal(nm_map_builder *builder, const nm_signal_def *def, nm_error *error);
NM_API nm_status nm_map_builder_add_sign(nm_map_builder *builder, const nm_sign_def *def, nm_error *error);

/// Resolves and derives everything. `*map` has one reference. On failure `*map` is NULL.
NM_API nm_status nm_map_builder_build(nm_map_builder *builder, const nm_map **map, nm_error *error);

/// Makes the derived part: rails, conflicts, grid, raster. Idempotent, cheap when done; safe from any thread. May be
/// called again after NM_E_MEMORY. nm_world_create calls it; whoever reads a [prepared] field directly must, too.
NM_API nm_status nm_map_prepare(const nm_map *map, nm_error *error);

NM_API const nm_map *nm_map_retain(const nm_map *map); ///< atomic; returns `map`
NM_API void nm_map_release(const nm_map *map);         ///< frees at zero; NULL is fine

// ---------------------------------------------------------------------------------------------------------------------
// Queries. All are pure and thread-safe. The first one that needs the derived part prepares the map; after that none
// allocates. (Without memory to prepare, they answer the same from the lanes alone, slowly; nm_map_rail asserts.)
//
// Surfaces: a point belongs to a lane or driveway when it lies in its polygon or within NM_SURFACE_TOLERANCE of it, so
// that slivers between the borders of adjacent lanes, common in real maps, are no holes in the road.
#define NM_SURFACE_TOLERANCE 0.05f ///< m

/// A place relative to a lane's centreline.
typedef struct nm_frenet {
    uint32_t lane;
    float s;           ///< m along, clamped to [0, length]
    float d;           ///< m to the left of the centreline
    float heading;     ///< rad, of the centreline there
    float left, right; ///< m to the borders there
    float beyond;      ///< m past the lane's end (> 0) or before its start (< 0), else 0
} nm_frenet;

/// Projects onto one lane: nearest point of its whole centreline. O(points of the lane).
NM_API nm_frenet nm_map_project(const nm_map *map, uint32_t lane, float x, float y);
/// Scene position and heading of (s, d) on a lane; s outside [0, length] extends the end tangents.
NM_API void nm_map_position(const nm_map *map, uint32_t lane, float s, float d, float *x, float *y, float *heading);
/// The rail at s, linearly interpolated (tangent renormalised). s is clamped.
NM_API nm_rail_point nm_map_rail(const nm_map *map, uint32_t lane, float s);

/// Lanes whose surface contains the point, at most `max`, ordered by |d|, then index. Returns how many were found in
/// all.
NM_API size_t nm_map_lanes_at(const nm_map *map, float x, float y, nm_frenet *out, size_t max);
/// The lane best matching a pose: containing or nearest within `radius` m, weighing |d| (m) plus heading difference (3
/// m per rad). Only lanes for which (1 << type) is in `type_mask`. lane = NM_NONE when there is none.
NM_API nm_frenet nm_map_match(const nm_map *map, float x, float y, float heading, float radius, unsigned type_mask);
/// 1 when the point is on the drivable area: the union of the surfaces of drivable lanes and driveways. Exact: a raster
/// answers away from borders, polygons answer near them.
NM_API int nm_map_drivable(const nm_map *map, float x, float y);
/// The same for `count` oriented boxes: off[i] = 1 when any corner is off the drivable area. Corners `margin` m inside
/// count (WOSAC and nuPlan use tolerances: pass 0 for exact).
NM_API void nm_map_boxes_off_road(const nm_map *map, const float *x, const float *y, const float *cos_h,
                                  const float *sin_h, const float *length, const float *width, float margin,
                                  size_t count, uint8_t *off);
/// Signed distance to the nearest border of the drivable area, m, negative inside, clamped to +-`reach`. O(local
/// points).
NM_API float nm_map_border_distance(const nm_map *map, float x, float y, float reach);
/// Lanes with a point within the rectangle; returns the count found, writes at most `max`, ascending.
NM_API size_t nm_map_lanes_in(const nm_map *map, nm_vec2 lo, nm_vec2 hi, uint32_t *lanes, size_t max);

/// Vehicles may drive on it.
NM_API int nm_lane_type_drivable(nm_lane_type type);
#define NM_LANE_MASK_VEHICLE                                                                                           \
    ((1u << NM_LANE_UNKNOWN) | (1u << NM_LANE_FREEWAY) | (1u << NM_LANE_STREET) | (1u << NM_LANE_RAMP) |               \
     (1u << NM_LANE_SHOULDER) | (1u << NM_LANE_DRIVEWAY) | (1u << NM_LANE_BUS))

/// Shortest route (by length, lane changes cost `change_cost` m) from `from` to `to`, both included; consecutive lanes
/// are successors, or same-direction neighbours that the markings let one change to. A route between drivable lanes
/// stays on drivable lanes. Returns the number of lanes, 0 when unreachable (or out of memory), and NM_NONE when there
/// are more than `max`. `scratch` holds working memory and is left as it was; NULL scratch allocates. Dijkstra's
/// algorithm: O((lanes + links) log lanes).
struct nm_arena;
NM_API uint32_t nm_map_route(const nm_map *map, uint32_t from, uint32_t to, float change_cost, uint32_t *lanes,
                             uint32_t max, struct nm_arena *scratch);

// ---------------------------------------------------------------------------------------------------------------------
// Bytes. Little-endian, versioned, described in map_codec.c; derived parts are rebuilt on decoding.

/// Writes into `buffer` when it is not NULL and large enough; always returns the size needed.
NM_API size_t nm_map_encode(const nm_map *map, void *buffer, size_t size);
/// Refuses anything inconsistent (NM_E_FORMAT), newer (NM_E_VERSION) or larger than it says.
NM_API nm_status nm_map_decode(const void *bytes, size_t size, const nm_map **map, nm_error *error);

/// What the source said where nm_map_prepare adds to the fields of the map, and what they do not show. Arrays are the
/// map's.
typedef struct nm_map_source {
    const uint8_t *lane_flags;      ///< [lane_count]
    const uint32_t *lane_junctions; ///< [lane_count] or NM_NONE
    uint32_t junction_count;
    const float *default_speeds; ///< [NM_LANE_TYPE_COUNT] m/s
} nm_map_source;
NM_API nm_map_source nm_map_get_source(const nm_map *map);
/// A map of these fields, for readers of formats that hold all of a map: with the same fields and source comes the same
/// hash. Taken are origin, repairs and the counts and arrays that are not [prepared], as long as the counts say; ranges
/// follow one another in their arrays (lane_refs: all successor lists, all predecessor lists, signs, signals;
/// neighbours: left, then right, lane by lane), of which `first` is ignored; lengths and arc lengths are measured.
/// Refuses what nm_map_decode refuses.
NM_API nm_status nm_map_assemble(const nm_map *fields, const nm_map_source *source, const nm_map **map,
                                 nm_error *error);

NM_API const char *nm_lane_type_name(nm_lane_type type);
NM_API const char *nm_signal_state_name(nm_signal_state state);

#ifdef __cplusplus
}
#endif
#endif
