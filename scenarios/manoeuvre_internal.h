/// The stage on which manoeuvres are played, and the inside of their generator. Private to scenarios/.
///
/// stage   what the simulator runs over: an nm_scene over arrays of the work, of which only step 0 is used of reactive
///         agents, and all steps of scripted ones. Filled anew for every run, without allocation
/// take    what happened in a run: an nm_scene over other arrays of the same layout
/// line    a way on the map as points a metre apart; s = 0 at the conflict
#ifndef NM_SCENARIOS_MANOEUVRE_INTERNAL_H
#define NM_SCENARIOS_MANOEUVRE_INTERNAL_H

#include "base/arena.h"
#include "scenarios/manoeuvre.h"
#include "scenarios/places.h"
#include "sim/geometry.h"
#include "sim/world.h"

#define NM_LINE_POINTS 640
#define NM_LINE_BACK 240 ///< index of s = 0
#define NM_ROLES 3       ///< ego, adversary, other
#define NM_MORE (NM_CASE_MAX_ADVERSARIES - 1)
#define NM_SCRIPTS (NM_ROLES + NM_MORE) ///< role NM_ROLES + i: further adversary i
#define NM_STAGE_TRACKS (NM_SCRIPTS + NM_CASE_MAX_TRAFFIC)
#define NM_STAGE_STEPS 401
#define NM_LANES_MAX 48
#define NM_LEFT_OUT 8
#define NM_FIRST_TRAFFIC_ID 4 ///< source id of the base's track 0

typedef struct nm_drive_line {
    float x[NM_LINE_POINTS], y[NM_LINE_POINTS], heading[NM_LINE_POINTS], limit[NM_LINE_POINTS];
    uint32_t first, last;         ///< points that there are
    uint32_t lanes[NM_LANES_MAX]; ///< driven over, in order; none of a straight line
    uint32_t lane_count;
} nm_drive_line;

typedef struct nm_pose {
    float x, y, heading;
} nm_pose;

/// Lanes through (lane, s): straightest before and after.
void nm_drive_line_along(const nm_map *map, uint32_t lane, float s, nm_drive_line *line);
/// The half circle of a sudden U-turn at the place, straight before and after; s = 0 where it begins.
void nm_drive_line_u_turn(const nm_map *map, const nm_place *place, nm_drive_line *line);
/// A straight line of `reach` m to both sides of (x, y).
void nm_drive_line_straight(float x, float y, float heading, float reach, nm_drive_line *line);
nm_pose nm_drive_line_at(const nm_drive_line *line, float s, float d);
/// Nearest place, looked for from *hint on (an index; updated). d left positive.
void nm_drive_line_project(const nm_drive_line *line, float x, float y, uint32_t *hint, float *s, float *d);
float nm_drive_line_first(const nm_drive_line *line); ///< m
float nm_drive_line_last(const nm_drive_line *line);
/// Least speed that limits and 2.5 m/s^2 sideways allow over [from, to] m.
float nm_drive_line_limit(const nm_drive_line *line, float from, float to);

/// Motion of a scripted agent, a state a step. `reversed`: drives against the line.
typedef struct nm_script {
    const nm_drive_line *line;
    int reversed;
    float s[NM_STAGE_STEPS], d[NM_STAGE_STEPS], v[NM_STAGE_STEPS]; ///< v >= 0 in its own direction
} nm_script;

/// What the ego did, seen from its line.
typedef struct nm_course {
    uint32_t count; ///< steps for which it was there
    float s[NM_STAGE_STEPS], v[NM_STAGE_STEPS], d[NM_STAGE_STEPS];
} nm_course;

typedef struct nm_arrays {
    nm_scene scene;
    nm_track tracks[NM_STAGE_TRACKS];
    uint8_t valid[NM_STAGE_TRACKS * NM_STAGE_STEPS];
    float x[NM_STAGE_TRACKS * NM_STAGE_STEPS], y[NM_STAGE_TRACKS * NM_STAGE_STEPS], z[NM_STAGE_TRACKS * NM_STAGE_STEPS];
    float heading[NM_STAGE_TRACKS * NM_STAGE_STEPS], vx[NM_STAGE_TRACKS * NM_STAGE_STEPS],
        vy[NM_STAGE_TRACKS * NM_STAGE_STEPS];
} nm_arrays;

struct nm_manoeuvre_work {
    nm_arena *arena; ///< of the detectors
    nm_scene_builder *builder;
    nm_scene_criticality criticality;
    nm_manoeuvre_drive drive; ///< of the last attempt that was kept
    // places of the map and kind seen last
    uint64_t map_hash;
    nm_kind kind;
    nm_place *places;
    size_t place_count, place_capacity;
    uint8_t *signals; ///< [signal_count][steps]
    size_t signal_capacity;
    nm_arrays stage, take;
    nm_drive_line ego_line, other_line; ///< the second: of an adversary on a way of its own
    nm_script script[NM_SCRIPTS];       ///< [NM_ROLE_EGO] is unused
    nm_course course, undisturbed;      ///< as of the last run; without the adversary
};

/// A further adversary.
typedef struct nm_extra {
    nm_agent_type type;
    float length, width;
} nm_extra;

/// One attempt in progress.
typedef struct nm_attempt {
    nm_manoeuvre_work *work;
    const nm_scene *base;
    const nm_case_request *request;
    const nm_kind_spec *spec;
    uint64_t index;
    nm_place place;
    uint32_t start_step, clock; ///< of the base: traffic, and step of the signals at the stage's step 0
    nm_world *world;
    nm_world_config config;
    nm_idm_params idm;
    uint32_t tracks; ///< of the stage
    int has_other;
    int other_reacts;                      ///< the third role drives like the traffic
    unsigned other_flags, adversary_flags; ///< NM_TRACK_STATIC
    nm_role danger;                        ///< whom the ego comes close to
    float ego_length, ego_width;
    float length, width; ///< of the adversary
    nm_agent_type adversary_type;
    float other_length, other_width; ///< of the third role
    float start_s, start_speed;      ///< of the ego
    float ground_in, ground_out;     ///< m: shared ground on the ego's line
    float cross_out;                 ///< m: where it ends on the adversary's own way
    float seconds;                   ///< to the conflict, when nobody reacts
    float drawn[NM_KIND_MAX_PARAMS];
    float value[NM_KIND_MAX_PARAMS]; ///< wanted now
    float aim[NM_KIND_MAX_PARAMS];   ///< staged, so that what is wanted is what is measured
    int movable;                     ///< there is a value that may be moved for the severity
    uint32_t tries;                  ///< places looked at
    uint32_t left_out[NM_LEFT_OUT];  ///< [left_out_count] tracks of the base that were hit at this place before
    uint32_t left_out_count;
    uint32_t shown; ///< step from which on there is something to react to, for the scene's current step
    uint32_t blind; ///< steps for which the ego has not noticed anything yet
    uint64_t world_seed;
    uint32_t conflict; ///< step that the parameters are of
    uint32_t hint;     ///< of the ego on its line
    uint8_t crashed[NM_SCRIPTS];
    float start_d, start_turn;  ///< m left of its line, rad against it: how the ego starts
    uint32_t taken[NM_SCRIPTS]; ///< [taken_count] tracks of the base that play roles: none of them is traffic
    uint32_t taken_count;
    int ego_cast;           ///< one of them is the ego: whom the recording has as that may be traffic
    nm_extra more[NM_MORE]; ///< [more_count] further adversaries
    uint32_t more_count;
    const char *members; ///< nullable: for nm_case_write_recipe
    nm_case *out;
} nm_attempt;

static inline float nm_attempt_value(const nm_attempt *a, nm_kind_param_id id) {
    const int at = nm_kind_param_index(a->spec->kind, id);
    NM_ASSERT(at >= 0);
    return a->aim[at];
}

/// Smooth step of the quintic with zero speed and acceleration at both ends: 10 u^3 - 15 u^4 + 6 u^5.
static inline float nm_quintic(float u) {
    u = nm_clampf(u, 0, 1);
    return u * u * u * (10 - 15 * u + 6 * u * u);
}
#define NM_QUINTIC_PEAK 1.875f ///< largest slope

// manoeuvre_stage.c
/// Ego and traffic on the stage. Roles are tracks 0, 1 and 2 (2 only with has_other), then the further adversaries.
void nm_stage_build(nm_attempt *a);
uint32_t nm_stage_track(const nm_attempt *a, uint32_t role);    ///< role < NM_SCRIPTS
void nm_stage_script(nm_attempt *a, uint32_t role);             ///< writes the script's states into the stage
nm_pose nm_script_pose(const nm_script *script, uint32_t step); ///< but for the turn that moving sideways takes
/// Runs up to step `until` (on from where it is with `more`, else from the start); what happens goes into the take, the
/// ego's way into the course.
void nm_stage_run(nm_attempt *a, uint32_t until, int more);
void nm_stage_close(nm_attempt *a, uint32_t steps); ///< first and last steps of the take's tracks
/// 1 when the lights of the adversary's own lane, where it has any, are red, or green, from step `from` to step `to`.
int nm_stage_red(const nm_attempt *a, uint32_t from, uint32_t to);
int nm_stage_green(const nm_attempt *a, uint32_t from, uint32_t to);
/// Picks the moment of the signals so that the ego has green and the adversary what the kind needs; 0 when there is
/// none.
int nm_stage_signals(nm_attempt *a);

// manoeuvre.c
nm_status nm_stage_places(nm_manoeuvre_work *work, const nm_map *map, nm_kind kind, nm_error *error);
nm_status nm_stage_reserve(nm_attempt *a, nm_error *error); ///< room for the signals
nm_status nm_stage_open(nm_attempt *a, nm_error *error);    ///< a->world over the stage
/// Draws drivers until one comes to the place on the ego's line; leaves its course. 0 when none does.
int nm_stage_ego_comes(nm_attempt *a);
/// Who of the traffic was hit in the take is left out at this place the next time; 0 when nobody was.
int nm_stage_leave_out(nm_attempt *a);
/// a->value from a->drawn. pressure in [-1, 1]: 0 leaves the drawn values, 1 moves all to their critical ends.
void nm_attempt_press(nm_attempt *a, float pressure);

// manoeuvre_record.c
/// Builds the scene of the take into out->scene.
nm_status nm_stage_publish(nm_attempt *a, nm_error *error);

// manoeuvre_plan.c, manoeuvre_setup.c
/// Where the ego begins and how fast, roles' sizes; NM_REJECT_NONE when it fits. Its parts, for who has an ego already:
nm_reject nm_plan_setup(nm_attempt *a);
void nm_plan_ways(nm_attempt *a);   ///< lines of ego and adversary through the place; roles and their sizes
void nm_plan_ground(nm_attempt *a); ///< what the two share where their ways cross, by these sizes
int nm_plan_speed(nm_attempt *a);   ///< an adversary on lanes drives as fast as these allow; 0: as it was to, it cannot
/// The ego keeps its velocity for the first `steps`; NM_REJECT_NO_ROOM where its way does not run straight on.
nm_reject nm_plan_blind(nm_attempt *a, uint32_t steps);
#define NM_SLOWEST 0.55f    ///< of what the road allows: the ego's least speed
#define NM_BLIND_DRIFT 0.8f ///< m by which it may leave its way meanwhile (twice the sagitta)
/// The scripts of adversary and other against the course. NM_REJECT_NO_ROOM when it does not fit.
nm_reject nm_plan_scripts(nm_attempt *a);
/// NM_REJECT_NO_ROOM when the adversary's script cannot be driven there: off the road, or too fast round a bend.
nm_reject nm_plan_check(const nm_attempt *a);
/// What is staged against the ego's course, in the terms of the plan: as aimed at, but for what depends on the ego.
void nm_plan_staged(const nm_attempt *a, float value[NM_KIND_MAX_PARAMS]);
/// Measures the take up to step `until`; returns the largest deviation from what is wanted, in tolerances, after moving
/// the aims by what measuring and staging differ.
float nm_plan_correct(nm_attempt *a, uint32_t until);

#endif
