/// What the readers of nuPlan's logs (.db) and maps (.gpkg) are made of. Private to dataset/.
///
/// Both are SQLite files. nuplan_sql.c opens them so that nothing in them is ever run; nuplan_geometry.c decodes the
/// shapes of a map; nuplan_city.c reads a map whole ("city"), nuplan_find.c finds it; nuplan_roads.c makes a map of
/// ours of the part of a city that a scene needs, through nuplan_lines.c; nuplan_log.c reads what frames a log has, and
/// nuplan_windows.c makes scenes of it, one at a time.
///
/// Sources: the database and map layers of nuplan-devkit as documented; OGC 12-128 (GeoPackage), OGC 06-103 (WKB);
/// the transverse Mercator series of Krueger (1912) to third order, as in Karney (2011).
#ifndef NM_DATASET_NUPLAN_H
#define NM_DATASET_NUPLAN_H

#include "dataset/readers.h"
#include "sim/pile.h"

struct sqlite3;
struct sqlite3_stmt;

// nuplan_sql.c
// ---------------------------------------------------------------------------------------------------------------------

typedef struct nm_np_database {
    struct sqlite3 *db;
    const char *name, *what; ///< for messages: the file; "a nuPlan log"
    nm_error *error;
    uint64_t work; ///< thousands of instructions that statements may still take
} nm_np_database;

/// Opens the file `name`, or `size` bytes of one (nullable; they must outlive the database): read-only, without locks
/// or journals, no extensions, views, triggers or functions, little memory, bounded work. Close it in either case.
nm_status nm_np_open(nm_np_database *database, const char *name, const char *what, const void *bytes, size_t size,
                     nm_error *error);
void nm_np_close(nm_np_database *database);
/// 1 when there is a plain table of that name: no view, no virtual table.
int nm_np_has_table(const nm_np_database *database, const char *table);
int nm_np_has_column(const nm_np_database *database, const char *table, const char *column);
/// Refuses a file that lacks one of the tables, naming it; the list ends with NULL. `kind` is "table" or "layer".
nm_status nm_np_need_tables(const nm_np_database *database, const char *kind, const char *const *tables);

/// A statement at work. Getters note the first thing that is wrong, with table and row, and give 0 from then on.
typedef struct nm_np_query {
    nm_np_database *database;
    struct sqlite3_stmt *statement;
    const char *table;
    uint64_t row; ///< 1 = the first one
    nm_status status;
} nm_np_query;
/// "SELECT columns FROM table rest": all three are the program's own, never the file's.
nm_np_query nm_np_select(nm_np_database *database, const char *table, const char *columns, const char *rest);
int nm_np_next(nm_np_query *query); ///< 0: no further row, or something is wrong
/// Looks up another rowid with a "WHERE rowid = ?1". 1 when there is such a row.
int nm_np_find_row(nm_np_query *query, int64_t rowid);
nm_status nm_np_finish(nm_np_query *query); ///< releases it; NM_OK or what was wrong
int nm_np_is_null(const nm_np_query *query, int column);
uint64_t nm_np_token(nm_np_query *query, int column); ///< BLOB of 8 bytes, as a big-endian number
int64_t nm_np_integer(nm_np_query *query, int column);
double nm_np_real(nm_np_query *query, int column); ///< finite
/// A number, whatever it is stored as: columns of maps are at times written as text. 0: NULL, "" or "nan"; *value is 0.
int nm_np_number(nm_np_query *query, int column, double *value);
/// Text, cut to `size`; control characters become spaces. NULL is "".
void nm_np_text(nm_np_query *query, int column, char *text, size_t size);
const void *nm_np_blob(nm_np_query *query, int column, size_t *size); ///< valid until the next row
nm_status nm_np_wrong(nm_np_query *query, const char *format, ...) __attribute__((format(printf, 2, 3)));

// nuplan_geometry.c
// ---------------------------------------------------------------------------------------------------------------------

typedef struct nm_np_point {
    double x, y;
} nm_np_point;
typedef struct nm_np_box {
    double lo_x, lo_y, hi_x, hi_y;
} nm_np_box;
/// A line, or a ring of a polygon (closed implicitly).
typedef struct nm_np_ring {
    nm_range points;
    uint8_t hole; ///< in the ring before it that is none
} nm_np_ring;

typedef enum nm_np_shape { NM_NP_LINE, NM_NP_POLYGON } nm_np_shape;
/// Decodes a GeoPackage geometry of that shape (one member of a multi-line, any of a multi-polygon; heights and
/// measures are passed over) and appends points (nm_np_point) and rings (nm_np_ring). Returns NULL, or what is wrong,
/// with its offset in the blob; the piles then hold rubbish at their ends.
const char *nm_np_decode(const void *blob, size_t size, nm_np_shape shape, int32_t *srs, nm_pile *points,
                         nm_pile *rings, size_t *offset);

/// How an EPSG code 326ZZ or 327ZZ projects degrees of WGS84.
typedef struct nm_np_projection {
    int32_t code; ///< of the projected system
    double central_meridian, false_northing;
} nm_np_projection;
int nm_np_projection_of(int32_t code, nm_np_projection *projection); ///< 0: not UTM on WGS84
/// Degrees to metres; 0 when a point is not on the globe or over 30 degrees from the zone. Third-order series: within
/// 0.1 mm in the zone.
int nm_np_project(const nm_np_projection *projection, nm_np_point *points, size_t count);

// nuplan_lines.c
// ---------------------------------------------------------------------------------------------------------------------

#define NM_NP_TOLERANCE 0.001 // m

/// Leaves out points that lie within the tolerance of the line through those that stay (Douglas and Peucker 1973), and
/// repeated ones. Works in place; returns how many stay, at least 2 where there were. `stack` is working memory.
size_t nm_np_simplify(nm_np_point *points, size_t count, nm_pile *stack);
double nm_np_length(const nm_np_point *points, size_t count);
/// The point at that share of the length, 0 to 1.
nm_np_point nm_np_at(const nm_np_point *points, size_t count, double share);
/// Pairs lines that run side by side: at every share of the length at which one of them has a point, all get one, so
/// that none loses a corner. Lines with count 0 are left out of it. Appends to `out[i]` (nm_point3). 0 without memory.
typedef struct nm_np_line {
    const nm_np_point *points;
    size_t count;
    int reversed;
} nm_np_line;
int nm_np_pair(const nm_np_line lines[3], nm_pile out[3], nm_pile *shares);
/// 1 when the border runs against the centreline, 0 when along it, -1 when its ends lie over `reach` m from those of
/// the centreline either way.
int nm_np_orientation(const nm_np_point *centre, size_t count, const nm_np_point *border, size_t border_count,
                      double reach);
nm_np_box nm_np_bounds(const nm_np_point *points, size_t count);
static inline int nm_np_meet(const nm_np_box *a, const nm_np_box *b) {
    return a->lo_x <= b->hi_x && b->lo_x <= a->hi_x && a->lo_y <= b->hi_y && b->lo_y <= a->hi_y;
}
/// m along the line, from `first` m to `last` m, where it first is in the polygon; negative: nowhere.
double nm_np_enter(const nm_np_point *points, size_t count, double first, double last, const nm_np_point *polygon,
                   size_t corners);

// nuplan_city.c
// ---------------------------------------------------------------------------------------------------------------------

/// A lane, or a lane connector. References are fids of the file until the city is complete, then indices.
typedef struct nm_np_lane {
    int64_t fid, id;                   ///< of the layer; of the map
    int64_t group, index;              ///< lane group; place in it from the left (lanes)
    int64_t intersection;              ///< -1 = none (connectors)
    int64_t boundary[2];               ///< left, right: fid, -1 = none
    int64_t exit_fid, entry_fid;       ///< of connectors: the lane before, the lane behind
    uint32_t before, behind;           ///< of connectors: lanes, or NM_NONE
    uint32_t beside[2];                ///< of lanes: left, right, or NM_NONE
    nm_range centre, border[2];        ///< into points
    uint8_t connector, bike, lit;      ///< lit: a stop line of a traffic light is named
    uint8_t marking[2], turn, control; ///< nm_marking, nm_turn; nm_control_kind at the end of a lane
    uint8_t against[2];                ///< the border runs against the lane
    double speed_limit;                ///< m/s, 0 = none
    double stop_s;                     ///< m along where to stop; negative: at the end
    nm_np_box box;
} nm_np_lane;

typedef struct nm_np_area {
    int64_t fid;
    uint8_t kind; ///< nm_area_kind
    nm_range points;
    nm_np_box box;
} nm_np_area;

typedef struct nm_np_link {
    uint32_t lane, connector;
} nm_np_link;

/// A map as it stands, in metres of its projected system. Constant once read.
typedef struct nm_np_city {
    nm_pile points;            ///< nm_np_point
    nm_pile lanes;             ///< nm_np_lane: lanes, then connectors
    uint32_t lane_count;       ///< lanes without connectors
    nm_pile areas;             ///< nm_np_area
    nm_pile leaving, arriving; ///< nm_np_link, by lane: connectors that leave it, that lead into it
    nm_id_table connectors;    ///< fid -> index into lanes
    int64_t shift;             ///< added to the fids of connectors where lanes have the same ones
    uint32_t dangling, unfit;  ///< references to nowhere; boundaries that do not run beside their lane
    char name[128];            ///< such as "us-nv-las-vegas-strip"
} nm_np_city;

/// Reads a map. On failure there is nothing to release.
nm_status nm_np_city_read(const nm_import_limits *limits, const char *name, const void *bytes, size_t size,
                          nm_np_city *city, nm_error *error);
void nm_np_city_release(nm_np_city *city);
/// nuplan_control.c: what rules the ends of lanes, by stop polygons (fid, type, ring).
typedef struct nm_np_stop {
    int64_t type; ///< 1 stop sign, 2 traffic light, 4 yield; others rule nothing
    nm_range points;
    nm_np_box box;
} nm_np_stop;
uint64_t nm_np_apply_stop(nm_np_city *city, const nm_np_stop *stop); ///< returns how much work that was
/// Makes stops all-way stops where every entry of an intersection has one. 0 without memory.
int nm_np_find_all_way_stops(nm_np_city *city);

// nuplan_find.c
// ---------------------------------------------------------------------------------------------------------------------

#define NM_NP_PATH 4096
/// The file of the map called `map` (see nm_import_nuplan.maps). NM_E_NOT_FOUND says where it was looked for.
nm_status nm_np_find_map(const char *log, const char *maps, const char *map, char path[NM_NP_PATH], nm_error *error);

// nuplan_roads.c
// ---------------------------------------------------------------------------------------------------------------------

/// What of the city meets the box (NULL: all of it), as a map. lit [nullable]: fids of further connectors with lights.
nm_status nm_np_build_map(const nm_np_city *city, const nm_np_box *box, const nm_id_table *lit, nm_map_builder *builder,
                          const nm_map **map, nm_error *error);

// nuplan_log.c
// ---------------------------------------------------------------------------------------------------------------------

typedef struct nm_np_frame {
    uint64_t token;
    int64_t time; ///< us
    uint64_t pose_token;
    uint64_t scene;      ///< token; 0 = none
    double x, y, z, yaw; ///< rear axle
    double vx, vy, rate; ///< of the rear axle in the ego's frame; rad/s
    uint8_t posed;
    nm_range boxes;  ///< into box_rows
    nm_range lights; ///< into lights
    nm_range tags;   ///< into tags
} nm_np_frame;
/// Where the ego of a scene of the log is bound for.
typedef struct nm_np_goal {
    uint64_t scene, pose_token;
    double x, y, yaw; ///< rear axle
    uint8_t posed;    ///< 0: the pose is not there
} nm_np_goal;
typedef struct nm_np_light {
    uint32_t frame;
    uint8_t state; ///< nm_signal_state
    int64_t connector;
} nm_np_light;
typedef struct nm_np_tag {
    uint32_t frame, type; ///< into types
} nm_np_tag;
typedef struct nm_np_type {
    char name[64];
} nm_np_type;
typedef struct nm_np_track {
    int64_t row; ///< rowid: its id in scenes
    uint8_t type, is_static;
} nm_np_track;

#define NM_NP_MAX_TYPES 256u

/// What a log has, but the boxes: of those the rows are known, frame by frame.
typedef struct nm_np_log {
    nm_pile frames;             ///< nm_np_frame, by time
    nm_pile goals;              ///< nm_np_goal, by pose
    nm_id_table scenes;         ///< token of a scene -> goal
    nm_pile box_rows;           ///< int64_t
    nm_pile lights;             ///< nm_np_light, by frame
    nm_pile tags;               ///< nm_np_tag, by frame, then name, the last one first
    nm_pile types;              ///< nm_np_type
    nm_pile tracks;             ///< nm_np_track
    nm_id_table track_ids, lit; ///< token -> track; connector -> any
    char log_name[128], location[128], map[128], vehicle[64];
} nm_np_log;
nm_status nm_np_log_read(nm_np_database *database, nm_np_log *log);
void nm_np_log_release(nm_np_log *log);

// nuplan_windows.c
// ---------------------------------------------------------------------------------------------------------------------

/// One scene to be: sample k is frame first + k * stride.
typedef struct nm_np_window {
    uint32_t tagged;                ///< the frame that has the tag, or where the window was cut
    uint32_t first, count, current; ///< frame; samples; which sample is now
    uint32_t stride;
} nm_np_window;
/// Appends windows (nm_np_window) in order of time. NM_E_ARGUMENT for options that make no sense.
nm_status nm_np_plan(const nm_np_log *log, const nm_import_nuplan *options, nm_pile *windows, nm_error *error);

#endif
