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

/// Roads are driven on the right. Highways are one carriageway from west to east unless `carriageways` is 2 (then an
/// oncoming one lies beyond a median of 6 m); every other road has `lanes` lanes each way. Junction maps have
/// sidewalks, and crosswalks over every arm. Coordinates are m from the middle of the highway, the junction or the
/// roundabout.
///
/// Fill with nm_builtin_params_default(kind). Fields that do not apply to the kind are ignored.
typedef struct nm_builtin_params {
    nm_builtin_kind kind;
    int lanes;          ///< per direction: highways and ramps 2..5, roundabout 1..2, others 1..3
    int carriageways;   ///< highways: 1 or 2; default 1
    double lane_width;  ///< m, 2.5..5; default 3.5
    double length;      ///< m of road (highways, 50..20000; ramps 400..20000) or of each arm (50..20000)
    double radius;      ///< m: bends of highway_curved, 50..10000; island of roundabout, 10..100 (2 lanes: 15..)
    double speed_limit; ///< m/s, 2..60
    double green, yellow, all_red; ///< s, signal phases: 3..300, 1..10, 0..10
    nm_control_kind minor_control; ///< the minor road of priority and T-junctions: NM_CONTROL_YIELD or NM_CONTROL_STOP
} nm_builtin_params;
NM_API nm_builtin_params nm_builtin_params_default(nm_builtin_kind kind);

NM_API const char *nm_builtin_name(nm_builtin_kind kind); ///< "highway", "junction_signal", ...
NM_API nm_status nm_builtin_from_name(const char *name, nm_builtin_kind *kind,
                                      nm_error *error); ///< lists the names on failure

/// NM_E_ARGUMENT names the parameter that is out of range, and the range.
NM_API nm_status nm_builtin_map(const nm_builtin_params *params, const nm_map **map, nm_error *error);

/// Traffic on any map (built-in or imported). Fill with nm_spawn_params_default().
typedef struct nm_spawn_params {
    double density;        ///< vehicles per km of lane, 0..150; default 20. 0 = the ego alone
    uint32_t max_vehicles; ///< when more would come, some are left out at random; default 0 = no limit
    double speed_spread;   ///< standard deviation of wanted speed over limit, fraction 0..0.5; default 0.1
    double min_gap;        ///< s of headway kept at the start, 0.3..10; default 1.0 (plus 2 m)
    double truck_share, bus_share, motorcycle_share; ///< fractions; default 0.08, 0.01, 0.01
    uint32_t pedestrians; ///< beside crosswalks and on sidewalks, walking 1.0 to 1.6 m/s; default 0
    uint32_t cyclists;    ///< on bike lanes, else at the right of streets, 3 to 6 m/s; default 0
    uint64_t seed;
    uint32_t step_count; ///< steps of the scene; only step 0 is valid: the simulator makes the rest. default 1
} nm_spawn_params;
NM_API nm_spawn_params nm_spawn_params_default(void);

/// A scene with one valid state per track at step 0: no overlaps, everybody on the road (pedestrians off it), nobody on
/// junctions or shoulders. Speeds keep the headway, 2 m/s^2 of lateral acceleration in curves, and need no more than
/// 2 m/s^2 of an IDM driver's braking against leaders, red lights, stop lines and lanes that end. Track 0 is the ego
/// (if any vehicle fits): the car nearest to the middle of the map, by preference one that approaches it; at least this
/// one is placed whatever the density. Then come the other vehicles, cyclists and pedestrians. Where there is no room
/// for all that was asked for, there are fewer; NM_E_ARGUMENT when the map has no place for pedestrians or cyclists at
/// all, or a parameter is out of range.
///
/// Every random number is a function of seed, map and place (NM_PURPOSE_SPAWN), so the same call gives the same bits.
/// Provenance: source "builtin", parameters {"map": map_parameters_json, "spawn": {...}}.
/// map_parameters_json  [nullable] a JSON value that tells how the map came about; it is not checked
///
/// Calls nm_map_prepare. O(agents + lanes) after that.
NM_API nm_status nm_spawn_traffic(const nm_map *map, const nm_spawn_params *params, const char *map_parameters_json,
                                  const nm_scene **scene, nm_error *error);

/// Both in one: "kind[:key=value,...]", for example "highway:lanes=4,length=2000,density=25". For command lines.
///
/// Keys are the fields of nm_builtin_params that apply to the kind (minor_control=yield|stop), and density, vehicles
/// (with no density given: as many as that, or as fit), speed_spread, min_gap, truck_share, bus_share,
/// motorcycle_share, pedestrians, cyclists, steps. NM_E_ARGUMENT says what is wrong and what there is.
///
/// Provenance: parameters {"spec": S, "seed": N}, and S and N given to this function make the same scene again. S has
/// all keys written out, so it survives a change of defaults. N is a string where it is over 2^53.
NM_API nm_status nm_builtin_scene(const char *specification, uint64_t seed, const nm_scene **scene, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
