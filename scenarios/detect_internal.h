/// What the detectors share: the feature pass over a scene, and small helpers on it. Private to scenarios/.
///
/// The pass turns noisy logged states into samples: smoothed motion, the lane by a Viterbi match over the whole run (so
/// that forks and parallel lanes are decided by where the agent goes, not by one noisy position), Frenet coordinates
/// there, and the leader on the lane path. Detectors then are short loops over samples.
#ifndef NM_SCENARIOS_DETECT_INTERNAL_H
#define NM_SCENARIOS_DETECT_INTERNAL_H

#include <math.h>

#include "scenarios/detect.h"

// Places of the parameters in the table: the table is filled through these names, so they cannot disagree.
enum {
    CUT_IN_MAX_GAP,
    CUT_IN_MAX_HEADWAY,
    CUT_IN_MIN_LATERAL,
    CUT_IN_MIN_STAY,
    CUT_IN_MIN_CLOSING,
    CUT_IN_MIN_SPEED,
    CUT_IN_PARAMS
};
enum {
    CUT_OUT_MAX_GAP,
    CUT_OUT_MAX_REVEAL,
    CUT_OUT_MIN_CLOSING,
    CUT_OUT_MAX_TTC,
    CUT_OUT_MIN_LATERAL,
    CUT_OUT_MIN_STAY,
    CUT_OUT_PARAMS
};
enum {
    HARD_BRAKE_MIN_DECEL,
    HARD_BRAKE_MIN_DURATION,
    HARD_BRAKE_MIN_SPEED,
    HARD_BRAKE_MIN_MEAN,
    HARD_BRAKE_MAX_DECEL,
    HARD_BRAKE_PARAMS
};
enum { REAR_END_MAX_TTC, REAR_END_MIN_DRAC, REAR_END_MIN_CLOSING, REAR_END_MIN_DURATION, REAR_END_PARAMS };
enum {
    LEAD_STOPPED_LEADER_SPEED,
    LEAD_STOPPED_STANDING,
    LEAD_STOPPED_MIN_SPEED,
    LEAD_STOPPED_MIN_DRAC,
    LEAD_STOPPED_MIN_DURATION,
    LEAD_STOPPED_PARAMS
};
enum { MERGE_MAX_PET, MERGE_MIN_SPEED, MERGE_MIN_CLOSING, MERGE_MIN_SEPARATION, MERGE_MIN_STAY, MERGE_PARAMS };
// The five crossing kinds share one layout.
enum { CROSS_MAX_PET, CROSS_MAX_TTC, CROSS_MIN_DRAC, CROSS_MIN_ANGLE, CROSS_MIN_SPEED, CROSS_PARAMS };
enum { RED_LIGHT_MIN_SPEED, RED_LIGHT_MIN_RED, RED_LIGHT_MIN_BEYOND, RED_LIGHT_PARAMS };
enum {
    WRONG_WAY_MIN_ANGLE,
    WRONG_WAY_MIN_DURATION,
    WRONG_WAY_MIN_SPEED,
    WRONG_WAY_MIN_DISTANCE,
    WRONG_WAY_MIN_INSIDE,
    WRONG_WAY_PARAMS
};
enum { TAILGATE_MAX_HEADWAY, TAILGATE_MIN_DURATION, TAILGATE_MIN_SPEED, TAILGATE_PARAMS };
enum {
    LANE_DRIFT_MIN_OVERHANG,
    LANE_DRIFT_MIN_EXCURSION,
    LANE_DRIFT_MIN_DURATION,
    LANE_DRIFT_MAX_DURATION,
    LANE_DRIFT_MIN_SPEED,
    LANE_DRIFT_PARAMS
};
enum { HEAD_ON_MAX_TTC, HEAD_ON_MIN_ANGLE, HEAD_ON_MIN_SPEED, HEAD_ON_MIN_OVERLAP, HEAD_ON_PARAMS };
enum {
    NEAR_MISS_MAX_TTC,
    NEAR_MISS_MAX_PET,
    NEAR_MISS_MAX_DISTANCE,
    NEAR_MISS_MIN_CLOSING,
    NEAR_MISS_MIN_DRAC,
    NEAR_MISS_MIN_EVASION,
    NEAR_MISS_MIN_DURATION,
    NEAR_MISS_PARAMS
};
enum { COLLISION_MIN_PENETRATION, COLLISION_MIN_SPEED, COLLISION_PARAMS };
enum {
    CHAIN_MIN_DECEL,
    CHAIN_MIN_FOLLOWER,
    CHAIN_MIN_DURATION,
    CHAIN_MIN_SPEED,
    CHAIN_MIN_MEAN,
    CHAIN_MAX_DECEL,
    CHAIN_MAX_DELAY,
    CHAIN_MIN_FOLLOWERS,
    CHAIN_PARAMS
};
enum {
    PULL_OUT_MIN_STANDING,
    PULL_OUT_MIN_OFFSET,
    PULL_OUT_MIN_SHIFT,
    PULL_OUT_MAX_TIME,
    PULL_OUT_MAX_GAP,
    PULL_OUT_MIN_SPEED,
    PULL_OUT_MIN_BRAKE,
    PULL_OUT_PARAMS
};
enum {
    OCCLUDED_MIN_HIDDEN,
    OCCLUDED_MAX_VISIBLE,
    OCCLUDED_MAX_TIME,
    OCCLUDED_MIN_SPEED,
    OCCLUDED_MIN_WALK,
    OCCLUDED_MARGIN,
    OCCLUDED_MIN_HEIGHT,
    OCCLUDED_PARAMS
};
enum {
    BLOCKED_MIN_STANDING,
    BLOCKED_MAX_ROOM,
    BLOCKED_MIN_SPEED,
    BLOCKED_MAX_TIME,
    BLOCKED_MAX_STOP,
    BLOCKED_MIN_SHIFT,
    BLOCKED_MIN_FREE,
    BLOCKED_PARAMS
};
enum {
    U_TURN_MIN_ANGLE,
    U_TURN_MAX_TIME,
    U_TURN_MIN_WAY,
    U_TURN_MAX_TTC,
    U_TURN_MIN_SPEED,
    U_TURN_MAX_RATE,
    U_TURN_PARAMS
};

/// How an agent came from the lane of the step before into the one of this step.
typedef enum nm_move {
    NM_MOVE_NONE = 0, ///< same lane, or no lane before
    NM_MOVE_NEXT,     ///< into a successor, over short connectors too: not a lane change
    NM_MOVE_BACK,     ///< into a predecessor
    NM_MOVE_LEFT,     ///< into a neighbour that runs the same way
    NM_MOVE_RIGHT,
    NM_MOVE_FORK,     ///< from one branch of a fork into the other, where they still lie on each other
    NM_MOVE_OPPOSITE, ///< into a neighbour that runs the other way
    NM_MOVE_JUMP      ///< unrelated lanes: nothing is concluded from it
} nm_move;

#define NM_SAMPLE_VALID 1u
#define NM_SAMPLE_SCORED 2u   ///< not the first step of a run: nothing is scored in the spawn frame
#define NM_SAMPLE_REVERSED 4u ///< heads against the lane it was matched to
#define NM_SAMPLE_ROUGH 8u    ///< positions and velocities contradict each other: not scored

/// One agent at one step.
typedef struct nm_sample {
    float vx, vy; ///< m/s, smoothed
    float speed;  ///< m/s along the heading, smoothed, signed
    float accel;  ///< m/s^2 along the heading, smoothed
    uint32_t lane;
    uint32_t next;            ///< lane that it enters after this one, or NM_NONE when the run ends or it changes lanes
    float s, d;               ///< m on that lane
    float left, right;        ///< m from the centreline to the borders
    float lane_cos, lane_sin; ///< direction of the lane there
    float lateral;            ///< m/s across the lane, left positive
    uint32_t leader;          ///< track ahead on the lane path, or NM_NONE
    float gap;                ///< m, bumper to bumper along the path to the leader
    uint8_t flags;            ///< NM_SAMPLE_...
    uint8_t move;             ///< nm_move
} nm_sample;

/// A sideways move from one lane into its neighbour that really happened: the body moved across by the stated shift.
typedef struct nm_lane_change {
    uint32_t track;
    uint32_t from, to;   ///< lanes
    uint32_t begin, end; ///< steps between which it moved sideways
    uint32_t entry;      ///< the box first reaches over the border
    uint32_t step;       ///< the centre crosses
    uint32_t exit;       ///< the box has left the old lane
    float side;          ///< +1 left, -1 right
    float shift;         ///< m sideways from begin to end, relative to the lanes' direction
} nm_lane_change;

typedef enum nm_way { NM_WAY_STRAIGHT = 0, NM_WAY_LEFT, NM_WAY_RIGHT } nm_way;

/// Two driven paths that cross. `first` gets there first.
typedef struct nm_crossing {
    uint32_t first, second;
    uint32_t first_step, second_step; ///< centre at the crossing point
    float angle;                      ///< rad between the directions there, [0, pi]
    float approach_angle;             ///< rad between the directions on the approaches, [0, pi]
    float pet;                        ///< s; 0 when both were on the shared ground together
    nm_way first_way, second_way;
    int follows; ///< the second drove behind the first in its lane: a way that curls, not a crossing
} nm_crossing;

/// A braking as hard_brake has it.
typedef struct nm_braking {
    uint32_t track, first, critical, last; ///< steps; critical: the hardest
} nm_braking;
typedef struct nm_braking_limits {
    float min_decel, min_duration, min_speed, min_mean, max_decel; ///< see the parameters of hard_brake
} nm_braking_limits;

/// A track that stands, from `first` to `last` (inclusive), for at least half a second.
typedef struct nm_stand {
    uint32_t track, first, last;
} nm_stand;

/// How another is placed on the way that a road user drives.
typedef struct nm_ahead {
    uint32_t lane; ///< that it is on, or NM_NONE off the map
    float d;       ///< m to the left of that lane's centreline
    float gap;     ///< m along the way, from the front to the nearest of the other's box; negative when beside it
    float offset;  ///< m that the other's centre is to the left of the own one
    float overlap; ///< m sideways that the boxes share; negative: the way passes clear of the other
    float closing; ///< m/s along the way
    float room;    ///< m of that lane left free beside the other, the wider side; INFINITY off the map
    float inside;  ///< m that the other's box reaches into that lane; INFINITY off the map
} nm_ahead;

typedef struct nm_detect_context {
    const nm_scene *scene;
    const nm_map *map;
    const nm_detect_params *params;
    nm_arena *arena;
    float dt;
    size_t *base; ///< [track_count] samples of track a, step t are at base[a] + t - tracks[a].first_step
    nm_sample *samples;
    nm_scene_criticality criticality;
    nm_lane_change *changes; ///< ordered by (track, step)
    size_t change_count;
    nm_crossing *crossings; ///< ordered by pair
    size_t crossing_count;
    nm_stand *stands; ///< ordered by (track, first)
    size_t stand_count;
    nm_event *events;
    size_t event_count, event_capacity;
    nm_status status; ///< first failure of nm_detect_emit
} nm_detect_context;

// --- the pass --------------------------------------------------------------------------------------------------------

nm_status nm_detect_motion(nm_detect_context *ctx);    ///< allocates the samples; motion
nm_status nm_detect_lanes(nm_detect_context *ctx);     ///< lanes, moves, Frenet
nm_status nm_detect_leaders(nm_detect_context *ctx);   ///< leader and gap
nm_status nm_detect_changes(nm_detect_context *ctx);   ///< lane changes
nm_status nm_detect_crossings(nm_detect_context *ctx); ///< crossing paths
nm_status nm_detect_stands(nm_detect_context *ctx);    ///< who stands when

// --- the detectors: each emits events of its kinds -------------------------------------------------------------------

void nm_detect_hard_brake(nm_detect_context *ctx);
void nm_detect_following(nm_detect_context *ctx); ///< rear_end, lead_stopped, tailgate
void nm_detect_cut_in(nm_detect_context *ctx);
void nm_detect_cut_out(nm_detect_context *ctx);
void nm_detect_merge(nm_detect_context *ctx);
void nm_detect_lane_drift(nm_detect_context *ctx);
void nm_detect_crossing_kinds(nm_detect_context *ctx);
void nm_detect_red_light(nm_detect_context *ctx);
void nm_detect_wrong_way(nm_detect_context *ctx);
void nm_detect_head_on(nm_detect_context *ctx);
void nm_detect_near_miss(nm_detect_context *ctx);
void nm_detect_collision(nm_detect_context *ctx);
void nm_detect_chain_brake(nm_detect_context *ctx);
void nm_detect_pull_out(nm_detect_context *ctx);
void nm_detect_occluded(nm_detect_context *ctx);
void nm_detect_blocked_lane(nm_detect_context *ctx);
void nm_detect_u_turn(nm_detect_context *ctx);

// --- helpers ---------------------------------------------------------------------------------------------------------

/// An event of `kind` with its numbers unset.
nm_event nm_detect_event(nm_kind kind, uint32_t actor, uint32_t other, uint32_t first, uint32_t critical,
                         uint32_t last);
/// Appends. What was left NaN is measured afterwards over the event's steps.
void nm_detect_emit(nm_detect_context *ctx, const nm_event *event);

/// The box with smoothed motion; 0 when invalid.
int nm_detect_box(const nm_detect_context *ctx, uint32_t track, uint32_t step, nm_box *box);

/// Lane that a path takes after `lane`: `known` if it is not NM_NONE, else the straightest successor; NM_NONE at the
/// end.
uint32_t nm_detect_next_lane(const nm_map *map, uint32_t lane, uint32_t known);

/// Sideways overlap of two boxes that drive one behind the other, m; negative when they pass clear of each other. The
/// offset is measured across the mean of the two headings, which is the chord of a circular arc: right in bends too. Of
/// two that face each other one heading is reversed first.
float nm_detect_lateral_overlap(const nm_detect_context *ctx, uint32_t a, uint32_t b, uint32_t step);

/// Seconds until the boxes touch when both keep speed and turn rate (smoothed); INFINITY beyond `horizon`. A vehicle in
/// a turn passes many others that a straight projection would run into; this tells them apart.
float nm_detect_turning_ttc(const nm_detect_context *ctx, uint32_t a, uint32_t b, uint32_t step, float horizon);

/// How the track goes through around `step` (25 m before to 25 m after). approach [out, nullable]: heading before, rad.
nm_way nm_detect_way(const nm_detect_context *ctx, uint32_t track, uint32_t step, float *approach);

/// Direction in which the track goes, rad: the way it points, of pedestrians the way they move.
float nm_detect_direction(const nm_detect_context *ctx, uint32_t track, uint32_t step);

/// How far the box of `actor` reaches into the lane path that `other` drives on, m (negative: clear of it), and the
/// distance along it between the centres; 0 when the actor is not on that path ahead of the other.
int nm_detect_on_path(const nm_detect_context *ctx, uint32_t actor, uint32_t other, uint32_t step, nm_frenet *place,
                      float *ahead, float *into);

/// 0 when both keep to lanes whose ways ahead (where they drive within some seconds, and on from there) share no
/// ground: then they pass, however their straight lines ahead may cross. 1 otherwise, and when either has no lane,
/// drives against it, or reaches into the other's way.
int nm_detect_ways_meet(const nm_detect_context *ctx, uint32_t a, uint32_t b, uint32_t step);

/// Where `target` is on the way that `self` drives: along its lanes, straight ahead where it has none or drives against
/// them. 0 when it is not ahead (its centre behind), farther than 120 m, or more than 8 m to the side.
int nm_detect_ahead(const nm_detect_context *ctx, uint32_t self, uint32_t target, uint32_t step, nm_ahead *ahead);

/// The first braking of `track` within `limits` that begins at `from` or later; 0 when there is none.
int nm_detect_braking(const nm_detect_context *ctx, uint32_t track, uint32_t from, const nm_braking_limits *limits,
                      nm_braking *braking);

/// Who follows `track` at `step` within a headway at which its braking concerns him; NM_NONE when nobody.
uint32_t nm_detect_concerned(const nm_detect_context *ctx, uint32_t track, uint32_t step);

/// First and last step at which both tracks may be valid; 0 when there is none.
int nm_detect_common(const nm_scene *scene, uint32_t a, uint32_t b, uint32_t *first, uint32_t *last);

/// 1 when the track is within a lane change at `step`.
int nm_detect_changing(const nm_detect_context *ctx, uint32_t track, uint32_t step);

/// The vehicle whose leader `track` is at `step`, the nearest one; NM_NONE when nobody follows.
uint32_t nm_detect_follower(const nm_detect_context *ctx, uint32_t track, uint32_t step);

/// Metres moved sideways (left positive) from step `from` to step `to` relative to the lanes' direction; both in one
/// run.
float nm_detect_shift(const nm_detect_context *ctx, uint32_t track, uint32_t from, uint32_t to);

static inline float nm_detect_param(const nm_detect_context *ctx, nm_kind kind, int index) {
    return ctx->params->values[kind][index];
}
static inline int nm_detect_enabled(const nm_detect_context *ctx, nm_kind kind) {
    return (ctx->params->enabled >> kind) & 1u;
}
/// NULL when the track is not valid there.
static inline const nm_sample *nm_detect_sample(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    const nm_track *info = &ctx->scene->tracks[track];
    if (step < info->first_step || step > info->last_step) return NULL;
    const nm_sample *sample = &ctx->samples[ctx->base[track] + (step - info->first_step)];
    return sample->flags & NM_SAMPLE_VALID ? sample : NULL;
}
/// NULL when nothing may be scored there: invalid, spawn frame, contradictory motion.
static inline const nm_sample *nm_detect_scored(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    const nm_sample *sample = nm_detect_sample(ctx, track, step);
    return sample && (sample->flags & (NM_SAMPLE_SCORED | NM_SAMPLE_ROUGH)) == NM_SAMPLE_SCORED ? sample : NULL;
}
/// Steps that `seconds` take, at least `least`.
static inline uint32_t nm_detect_steps(const nm_detect_context *ctx, float seconds, uint32_t least) {
    float steps = seconds / ctx->dt + 0.5f;
    uint32_t count = steps > 1e6f ? 1000000u : (uint32_t)steps;
    return count < least ? least : count;
}
/// `length` of the track at the step, m (per-step sizes where the scene has them).
static inline float nm_detect_length(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    const nm_scene *scene = ctx->scene;
    float own = scene->state_length ? scene->state_length[nm_scene_at(scene, track, step)] : 0;
    return own > 0 ? own : scene->tracks[track].length;
}
static inline float nm_detect_width(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    const nm_scene *scene = ctx->scene;
    float own = scene->state_width ? scene->state_width[nm_scene_at(scene, track, step)] : 0;
    return own > 0 ? own : scene->tracks[track].width;
}
static inline int nm_detect_vehicle(const nm_detect_context *ctx, uint32_t track) {
    return nm_agent_type_vehicle((nm_agent_type)ctx->scene->tracks[track].type);
}
static inline int nm_detect_static(const nm_detect_context *ctx, uint32_t track) {
    return (ctx->scene->tracks[track].flags & NM_TRACK_STATIC) != 0;
}
#define NM_DETECT_PI 3.14159265358979323846f
/// Angle between two directions, [0, pi].
static inline float nm_detect_between(float heading_a, float heading_b) {
    float difference = fabsf(remainderf(heading_a - heading_b, 6.28318530717958647692f));
    return difference;
}

#endif
