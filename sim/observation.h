/// What a planner sees of a world: builds the structures of planner.h from a world and its scene, step by step.
///
/// One observation belongs to one world at a time and one thread. Everything is sized at creation: an update never
/// allocates. Cost of an update O(agents there * history + lights near), of an excerpt of the map O(lanes), made only
/// when the ego has moved by `map_refresh`.
#ifndef NM_SIM_OBSERVATION_H
#define NM_SIM_OBSERVATION_H

#include "sim/route.h"
#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Fill with nm_observation_config_default().
typedef struct nm_observation_config {
    const char *name; ///< of the scenario, for messages; copied; default the scene's id, its hash where that is empty
    uint64_t seed;    ///< default 0
    uint32_t start_step;        ///< the world's; default the scene's current step
    uint32_t step_count;        ///< that shall be driven; default 0 = unknown
    uint32_t history;           ///< samples, 1..100; default NM_PLANNER_HISTORY
    float map_radius;           ///< m around the ego that an excerpt shows at least, 0..1000; 0 = none; default 100
    float map_refresh;          ///< m of way between two excerpts, > 0; default 20
    float deadline;             ///< s, handed on to planners; default 0 = none
    nm_planner_vehicle vehicle; ///< length 0 = that of the ego's track, see nm_planner_vehicle_of; default
    const nm_route *route;      ///< borrowed; NULL = nm_route_of_scene; default
} nm_observation_config;
NM_API nm_observation_config nm_observation_config_default(const nm_scene *scene);

/// The vehicle of a box: rear axle where the world's dynamics have it, axles at equal distances from the middle
/// (nuPlan's Pacifica: 0.60 of the length between them, 0.28 from the middle to the rear one; ours 0.60 and 0.30).
NM_API nm_planner_vehicle nm_planner_vehicle_of(nm_agent_type type, float length, float width);

typedef struct nm_observation nm_observation;

/// scene    borrowed, outlives the observation
/// returns  NM_OK; NM_E_NOT_FOUND that names what the scene lacks (see nm_route_of_scene); NM_E_ARGUMENT for a
///          configuration that makes no sense; NM_E_MEMORY. *observation is NULL unless NM_OK. Prepares the map.
NM_API nm_status nm_observation_create(const nm_scene *scene, const nm_observation_config *config,
                                       nm_observation **observation, nm_error *error);
NM_API void nm_observation_destroy(nm_observation *observation); ///< NULL is fine
/// Forgets the run; the next one has another seed. What was recorded before the start is history again.
NM_API void nm_observation_reset(nm_observation *observation, uint64_t seed);

/// For begin. Its map shows the surroundings of the ego at the start of the recording. Valid until destroy; the map
/// until the next update.
NM_API const nm_planner_scenario *nm_observation_scenario(const nm_observation *observation);

/// Looks at the world, one over the observation's scene or over another with the same map, tracks and ego (a drive that
/// goes on in another world): call once after every step of it, and once before the first. Samples of steps not looked
/// at are missing from histories. *out is valid until the next update or reset.
///
/// returns  NM_OK; NM_E_NOT_FOUND when the ego is gone (it left the map, or its recording ended)
NM_API nm_status nm_observation_update(nm_observation *observation, const nm_world *world,
                                       const nm_planner_observation **out, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
