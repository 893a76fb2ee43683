/// Private to sim/spawn*.c: the agents being placed, and a grid over them that answers what is near.
#ifndef NM_SIM_SPAWN_FIELD_H
#define NM_SIM_SPAWN_FIELD_H

#include "base/rng.h"
#include "sim/builtin.h"

typedef struct nm_spawned {
    float x, y, cos_h, sin_h;
    float length, width, height;
    float desired; ///< m/s, speed wanted on a free road
    float speed;   ///< m/s
    float s, d;    ///< on `lane`; pedestrians beside a crosswalk area have no lane
    uint32_t lane;
    uint32_t rank; ///< random: who stays when there are too many
    nm_agent_type type;
} nm_spawned;

typedef struct nm_field {
    const nm_map *map;
    const nm_spawn_params *params;
    nm_spawned *agents;
    uint32_t *next; ///< the next agent in the same cell
    size_t count, room;
    uint32_t *cells; ///< [columns * rows] first agent or NM_NONE
    uint32_t columns, rows;
    float cell, inverse;
    nm_status failed; ///< sticky
} nm_field;

nm_status nm_field_begin(nm_field *field, const nm_map *map, const nm_spawn_params *params, nm_error *error);
void nm_field_end(nm_field *field);

/// Places `agent` unless its box with `side` and `front` m around it overlaps somebody's, or, for vehicles and
/// cyclists, leaves the drivable area. 1 when placed.
int nm_field_add(nm_field *field, const nm_spawned *agent, float front, float side);
/// Takes everybody out of the grid and puts agents [0, count) back.
void nm_field_keep(nm_field *field, size_t count);

/// Calls visit(context, index) for everybody whose centre may lie within `reach` m of the place.
typedef void nm_field_visit(void *context, uint32_t agent);
void nm_field_near(const nm_field *field, float x, float y, float reach, nm_field_visit *visit, void *context);

/// Draw number `draw` for slot `slot` of `stream`: what the keys of all random numbers here are made of.
float nm_field_uniform(const nm_field *field, uint32_t stream, uint32_t slot, uint32_t draw);
float nm_field_normal(const nm_field *field, uint32_t stream, uint32_t slot, uint32_t draw);
uint32_t nm_field_word(const nm_field *field, uint32_t stream, uint32_t slot, uint32_t draw);
#define NM_STREAM_CYCLISTS 0x40000000u ///< streams below are lanes, the first of their chain
#define NM_STREAM_PEDESTRIANS 0x80000000u

/// Pose on a lane, d m left of the centreline.
void nm_field_pose(const nm_map *map, nm_spawned *agent, uint32_t lane, float s, float d, int backwards);

// The stages, in this order. Each does nothing after a failure.

/// Vehicles on lanes at the asked density; at least one where any fits.
void nm_spawn_vehicles(nm_field *field);
/// Returns how many places there are in principle (lanes, crosswalks): 0 means that the map has no room of this kind.
size_t nm_spawn_cyclists(nm_field *field);
size_t nm_spawn_pedestrians(nm_field *field);
/// Speeds of vehicles and cyclists.
void nm_spawn_speeds(nm_field *field);

/// 1 when traffic may be put on the lane at all.
int nm_spawn_lane_usable(const nm_map *map, uint32_t lane);
/// km of such lanes, junctions excluded.
double nm_spawn_lane_km(const nm_map *map);
/// The first s' >= s for which [s', s' + length] lies on the lane clear of junctions' shared ground and of the stop
/// line; a negative number when there is none.
float nm_spawn_free_span(const nm_map *map, uint32_t lane, float s, float length);
/// The successor that goes straightest on, or NM_NONE.
uint32_t nm_spawn_ahead(const nm_map *map, uint32_t lane);

// ---------------------------------------------------------------------------------------------------------------------

/// How the scene is labelled; nm_spawn_traffic and nm_builtin_scene differ only in this.
typedef struct nm_spawn_label {
    const char *scene_id;
    const char *parameters; ///< JSON
    const char *tag;        ///< nullable
} nm_spawn_label;
nm_status nm_spawn_labelled(const nm_map *map, const nm_spawn_params *params, const nm_spawn_label *label,
                            const nm_scene **scene, nm_error *error);
nm_status nm_spawn_check(const nm_spawn_params *params, nm_error *error);

/// The shortest decimal that reads back as the same double.
void nm_spawn_number(char *text, size_t size, double value);

#endif
