/// The host's side of planner.h: planners of any origin behind one handle, their answers checked, and what becomes of
/// the ego when it does as it was told.
///
///     nm_planner_named("idm", "", &planner, &error);             // or nm_planner_open (scenarios/planner_open.h)
///     nm_planner_needs needs = nm_planner_get_needs(planner);    // sizes the observation
///     nm_planner_begin(planner, nm_observation_scenario(observation), &error);
///     every step: nm_observation_update -> nm_planner_plan -> a tracker, or nm_planner_follow_exactly -> nm_world_step
///     nm_planner_end(planner);
///
/// A handle is used by one thread at a time; make one for each thread. A failure costs the scenario: call
/// nm_planner_end, and the handle is good for the next.
#ifndef NM_SIM_PLANNER_HOST_H
#define NM_SIM_PLANNER_HOST_H

#include "base/status.h"
#include "sim/planner.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_planner nm_planner;

/// Makes a planner of a table. `name` (copied) stands in messages; NULL = the table's. config "" or NULL = none.
///
/// returns  NM_OK; NM_E_VERSION for a table of another ABI; NM_E_ARGUMENT for one without begin, plan or create;
///          NM_E_MEMORY; NM_E_UNSUPPORTED with the planner's words when it can not be made. *planner is NULL then
NM_API nm_status nm_planner_create(const nm_planner_vtable *table, const char *name, const char *config,
                                   nm_planner **planner, nm_error *error);
/// The same for a planner object that is there already; it is taken over, also when this fails: the table's destroy is
/// called for it.
NM_API nm_status nm_planner_adopt(const nm_planner_vtable *table, const char *name, void *object, nm_planner **planner,
                                  nm_error *error);
/// Calls release(library) when everything else of the handle is gone, to unload the code of the table, say.
NM_API void nm_planner_release_with(nm_planner *planner, void (*release)(void *library), void *library);
NM_API void nm_planner_destroy(nm_planner *planner); ///< ends what was begun; NULL is fine

/// The object behind a handle that was made with this table; NULL when it was made with another.
NM_API void *nm_planner_object_of(const nm_planner *planner, const nm_planner_vtable *table);
NM_API const char *nm_planner_name(const nm_planner *planner);
NM_API nm_planner_needs nm_planner_get_needs(const nm_planner *planner);

/// returns  NM_OK; else the code and the words that the planner gave: see nm_planner_plan
NM_API nm_status nm_planner_begin(nm_planner *planner, const nm_planner_scenario *scenario, nm_error *error);
/// Asks for one answer and checks it.
///
/// *output  the planner's answer, valid until the next call with this handle
/// returns  NM_OK; NM_E_NUMERIC for NaN or infinity; NM_E_FORMAT for an answer that breaks the rules of planner.h
/// (none,
///          too short, times that do not rise, a jump no vehicle makes); NM_E_LIMIT when it came after the
///          observation's deadline; else the code that the planner returned where it is an nm_status, NM_E_UNSUPPORTED
///          otherwise. The message names planner and step, and holds the planner's words.
NM_API nm_status nm_planner_plan(nm_planner *planner, const nm_planner_observation *observation,
                                 const nm_planner_output **output, nm_error *error);
NM_API void nm_planner_end(nm_planner *planner); ///< nothing when nothing was begun

NM_API double nm_planner_last_seconds(const nm_planner *planner); ///< real time that the last answer took

/// The bounds that answers are held to.
#define NM_PLANNER_MAX_SPEED 100.0f    ///< m/s, also of the way to the first point after now
#define NM_PLANNER_MAX_TIME 100.0f     ///< s that a trajectory may last; trackers take no more
#define NM_PLANNER_MAX_ACCEL 100.0f    ///< m/s^2
#define NM_PLANNER_MAX_CURVATURE 10.0f ///< 1/m
#define NM_PLANNER_MAX_STEERING 100.0f ///< rad/s

/// The ego after a step. Goes into a world as nm_world_set_state(world, ego, box_centre.x_scene, ..., speed_ahead).
typedef struct nm_planner_motion {
    nm_planner_pose rear_axle, box_centre;
    float speed_ahead;         ///< m/s
    float acceleration_ahead;  ///< m/s^2, during the step
    float rear_axle_curvature; ///< 1/m, during the step
    float steering_angle;      ///< rad, at its end
} nm_planner_motion;

/// How the ego follows an answer: a controller with its own state, or nm_planner_follow_exactly.
typedef void nm_planner_tracker(void *context, const nm_planner_output *output, const nm_planner_ego *ego,
                                float step_seconds, nm_planner_motion *next);

/// Perfect execution: where the trajectory is one step later (position and speed linear between its points, heading
/// along the shorter way round); a control drives the kinematic bicycle, without lag or limits but that braking does
/// not reverse and that steering stays within 60 degrees (nuPlan's). `output` must have passed nm_planner_plan; context
/// is not used. Pure.
NM_API void nm_planner_follow_exactly(void *context, const nm_planner_output *output, const nm_planner_ego *ego,
                                      float step_seconds, nm_planner_motion *next);

// ---------------------------------------------------------------------------------------------------------------------
// Built-in planners

/// "expert": drives as the ego was recorded; then on at the last velocity.
/// "constant_velocity": keeps speed and heading.
/// "idm": follows the route by the Intelligent Driver Model with the parameters of nuPlan's IDM planner, see
///        planner_idm.c.
/// "pdm": of several speeds and offsets to the route the one that scores best over the next 4 s, in the manner of
///        PDM-Closed (Dauner et al. 2023), see planner_pdm.c.
/// None takes a config. NM_E_NOT_FOUND lists the names; NM_E_ARGUMENT for a config.
NM_API nm_status nm_planner_named(const char *name, const char *config, nm_planner **planner, nm_error *error);
/// For listing: name and one line about it; NULL past the end.
NM_API const char *nm_planner_builtin_name(size_t i);
NM_API const char *nm_planner_builtin_about(size_t i);

#ifdef __cplusplus
}
#endif
#endif
