/// Built-in parametric maps and plausible traffic on them, so that nothing needs data.
///
/// Also the shared scene builders of tests, benchmarks and viewer: what is timed is what is seen and tested.
#ifndef NM_SIM_BUILTIN_H
#define NM_SIM_BUILTIN_H

#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_builtin_kind {
    NM_BUILTIN_HIGHWAY = 0, ///< straight, 2-5 lanes one way
    NM_BUILTIN_HIGHWAY_CURVED,
    NM_BUILTIN_ON_RAMP, ///< acceleration lane that ends: merge
    NM_BUILTIN_OFF_RAMP,
    NM_BUILTIN_JUNCTION_SIGNAL,   ///< 4-way, signals with left-turn yielding
    NM_BUILTIN_JUNCTION_PRIORITY, ///< 4-way, main road against stop/yield
    NM_BUILTIN_JUNCTION_ALL_WAY,  ///< 4-way, all-way stop
    NM_BUILTIN_T_JUNCTION,        ///< minor road yields
    NM_BUILTIN_ROUNDABOUT,
    NM_BUILTIN_CROSSWALK, ///< mid-block pedestrian crossing
    NM_BUILTIN_COUNT
} nm_builtin_kind;

/// Fill with nm_builtin_params_default(kind).
typedef struct nm_builtin_params {
    nm_builtin_kind kind;
    int lanes;                     ///< per direction, 1..5 (highways 2..5, junction arms 1..3)
    double lane_width;             ///< m, 2.5..5; default 3.5
    double length;                 ///< m of straight road (highway) or of each arm; 50..20000
    double radius;                 ///< m, curve (highway curved) or inner circle (roundabout)
    double speed_limit;            ///< m/s
    double green, yellow, all_red; ///< s, signal phases
} nm_builtin_params;
NM_API nm_builtin_params nm_builtin_params_default(nm_builtin_kind kind);

NM_API const char *nm_builtin_name(nm_builtin_kind kind); ///< "highway", "junction_signal", ...
NM_API nm_status nm_builtin_from_name(const char *name, nm_builtin_kind *kind,
                                      nm_error *error); ///< lists the names on failure

/// NM_E_ARGUMENT names the parameter that is out of range.
NM_API nm_status nm_builtin_map(const nm_builtin_params *params, const nm_map **map, nm_error *error);

/// Traffic on any map (built-in or imported). Fill with nm_spawn_params_default().
typedef struct nm_spawn_params {
    double density;                                  ///< vehicles per km of lane, 0..150; default 20
    uint32_t max_vehicles;                           ///< stop there; default 0 = no limit
    double speed_spread;                             ///< standard deviation of speed over limit, fraction; default 0.1
    double min_gap;                                  ///< s of headway kept at the start; default 1.0 (plus 2 m)
    double truck_share, bus_share, motorcycle_share; ///< default 0.08, 0.01, 0.01
    uint32_t pedestrians;                            ///< beside crosswalks and on sidewalks; default 0
    uint32_t cyclists; ///< on bike lanes, else on the right of the rightmost lanes; default 0
    uint64_t seed;
    uint32_t step_count; ///< steps of the scene; only step 0 is valid: the simulator makes the rest. default 1
} nm_spawn_params;
NM_API nm_spawn_params nm_spawn_params_default(void);

/// A scene with one valid state per track at step 0: no overlaps, everybody on the road, speeds that do not need more
/// than 3 m/s^2 of braking against the leader. Track 0 is the ego (if any vehicle fits). Deterministic for a seed.
/// Provenance: source "builtin", parameters = the spawn and map parameters as JSON.
NM_API nm_status nm_spawn_traffic(const nm_map *map, const nm_spawn_params *params, const char *map_parameters_json,
                                  const nm_scene **scene, nm_error *error);

/// Both in one: "kind[:key=value,...]", for example "highway:lanes=4,length=2000,density=25". For command lines.
NM_API nm_status nm_builtin_scene(const char *specification, uint64_t seed, const nm_scene **scene, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
