/// The inside of a world. Private to sim/.
///
/// One block of memory, cut by NM_WORLD_FIELDS into arrays of `capacity` elements, 64-byte aligned. The same list
/// drives allocation, compaction when somebody leaves, and hashing. Scratch that is rebuilt every step is in
/// NM_WORLD_SCRATCH and does not take part in the latter two.
#ifndef NM_SIM_WORLD_INTERNAL_H
#define NM_SIM_WORLD_INTERNAL_H

#include "base/rng.h"
#include "sim/math.h"
#include "sim/world.h"

#define NM_PATH_MAX 8        ///< lanes ahead kept per agent
#define NM_GHOST 0x80000000u ///< bit in an order entry's slot: the agent overlaps this lane but follows another

/// X(type, name, elements per slot, hashed): state by slot that lives across steps.
#define NM_WORLD_FIELDS(X)                                                                                             \
    X(uint32_t, track, 1, 1)                                                                                           \
    X(float, x, 1, 1)                                                                                                  \
    X(float, y, 1, 1)                                                                                                  \
    X(float, heading, 1, 1)                                                                                            \
    X(float, cos_h, 1, 1)                                                                                              \
    X(float, sin_h, 1, 1)                                                                                              \
    X(float, speed, 1, 1)                                                                                              \
    X(float, accel, 1, 1)                                                                                              \
    X(float, curvature, 1, 1)                                                                                          \
    X(float, vx, 1, 1)                                                                                                 \
    X(float, vy, 1, 1)                                                                                                 \
    X(float, length, 1, 1)                                                                                             \
    X(float, width, 1, 1)                                                                                              \
    X(float, radius, 1, 0) /* half diagonal of the box */                                                              \
    X(float, rear, 1, 0)   /* m from centre back to the rear axle */                                                   \
    X(float, accel_max, 1, 0)                                                                                          \
    X(float, brake_max, 1, 0)                                                                                          \
    X(float, jerk_step, 1, 0) /* m/s^2 that accel may change in one step */                                            \
    X(float, curvature_max, 1, 0)                                                                                      \
    X(float, curvature_step, 1, 0) /* 1/m that curvature may change in one step */                                     \
    X(float, grip_squared, 1, 0)   /* (mu g)^2 */                                                                      \
    X(float, speed_max, 1, 0)                                                                                          \
    X(float, steer_preview, 1, 0) /* s before a corner at which steering for it begins */                              \
    X(float, accel_command, 1, 0)                                                                                      \
    X(float, curvature_command, 1, 0)                                                                                  \
    X(float, mobile, 1, 0) /* 1 = moved by the bicycle, 0 = placed by the log or from outside */                       \
    X(uint32_t, lane, 1, 1)                                                                                            \
    X(float, lane_s, 1, 1)                                                                                             \
    X(float, lane_d, 1, 1)                                                                                             \
    X(float, lane_cos, 1, 0) /* tangent of the lane at lane_s */                                                       \
    X(float, lane_sin, 1, 0)                                                                                           \
    X(float, lane_curvature, 1, 0)                                                                                     \
    X(float, bend_ahead, 1, 0) /* 1/m of the path where the agent is soon */                                           \
    X(float, lane_left, 1, 0)                                                                                          \
    X(float, lane_right, 1, 0)                                                                                         \
    X(float, cruise, 1, 0)            /* m/s the lane allows here, curves ahead included */                            \
    X(float, limit, 1, 0)             /* m/s speed limit here */                                                       \
    X(uint32_t, path, NM_PATH_MAX, 0) /* lanes after `lane` on the route */                                            \
    X(float, conflict_ahead, 1, 0)  /* m from the start of `lane` to the first lane of the path that has conflicts; */ \
                                    /* -INFINITY = `lane` itself has, INFINITY = none */                               \
    X(float, rule_ahead, 1, 0)      /* likewise, conflicts, signals or stop signs */                                   \
    X(float, slowest_ahead, 1, 0)   /* m/s, the least that a lane of the path allows where it begins */                \
    X(float, corner, 1, 0)          /* sine of the angle to the next lane of the path, 0 = less than a corner */       \
    X(uint32_t, lanes_beside, 1, 0) /* bits of nm_beside: a lane is known beside `lane` */                             \
    X(uint8_t, path_end, 1, 0)      /* nm_lane_end of the last lane known of the path */                               \
    X(uint8_t, path_count, 1, 0)                                                                                       \
    X(uint32_t, entered_step, 1, 0)                                                                                    \
    X(uint8_t, was_on_road, 1, 0)                                                                                      \
    X(uint8_t, type, 1, 0)                                                                                             \
    X(uint8_t, policy, 1, 0)                                                                                           \
    X(uint8_t, fixed, 1, 0) /* static track or stopped after a collision */                                            \
    X(uint8_t, off_road, 1, 1)                                                                                         \
    X(uint8_t, wrong_way, 1, 1)                                                                                        \
    X(uint8_t, leaving, 1, 0) /* nm_world_take_out was called: it goes in the next step */                             \
    X(uint8_t, pending, 1, 0) /* nm_world_set_state was called for the next step: */                                   \
    X(float, pending_x, 1, 0)                                                                                          \
    X(float, pending_y, 1, 0)                                                                                          \
    X(float, pending_heading, 1, 0)                                                                                    \
    X(float, pending_speed, 1, 0)                                                                                      \
    X(float, offset_target, 1, 1)    /* m left of the centreline that the agent steers for */                          \
    X(float, offset_rest, 1, 0)      /* and where it wants to end up */                                                \
    X(float, idm_accel, 1, 0)        /* a_max of this vehicle */                                                       \
    X(float, idm_root, 1, 0)         /* 1 / (2 sqrt(a_max b)) */                                                       \
    X(float, desired_factor, 1, 0)   /* on the lane's speed */                                                         \
    X(float, desired_cap, 1, 0)      /* m/s, own upper limit */                                                        \
    X(float, gap_factor, 1, 0)       /* on the IDM time gap */                                                         \
    X(uint32_t, change_after, 1, 0)  /* step before which no lane change is considered */                              \
    X(uint32_t, cleared_lane, 1, 0)  /* lane at whose stop line this agent has halted, or NM_NONE */                   \
    X(uint32_t, arrived_step, 1, 0)  /* when it came near its next junction, or NM_NONE */                             \
    X(uint32_t, junction_lane, 1, 0) /* conflict lane `arrived_step` is about */                                       \
    X(uint32_t, halted_steps, 1, 0)                                                                                    \
    X(uint8_t, held, 1, 0)           /* waits before junction_lane (of the step before) */                             \
    X(uint32_t, blocked_until, 1, 0) /* step before which it stands, after an emergency stop at walking pace */        \
    X(uint8_t, walk_way, 1, 1)       /* nm_walk_way of a pedestrian, set when it first acts */                         \
    X(uint32_t, lead, 1, 0)                                                                                            \
    X(float, lead_gap, 1, 0)                                                                                           \
    X(float, ttc, 1, 0)                                                                                                \
    X(uint32_t, ttc_with, 1, 0)                                                                                        \
    X(uint8_t, ordered, 1, 0)   /* 1 = has its entry in the order on lanes */                                          \
    X(uint8_t, has_ghost, 1, 0) /* 1 = has a second one, on the lane it reaches into */                                \
    X(float, brake_ttc, 1, 0)   /* s to a contact with something in front, INFINITY = none */

/// X(type, name, elements): rebuilt each step.
#define NM_WORLD_SCRATCH(X)                                                                                            \
    X(float, stop_gap, 1)  /* m to the place where right of way, signal or dead end make it stop */                    \
    X(float, end_gap, 1)   /* m to where the path leaves the map, INFINITY = not within reach */                       \
    X(float, merge_gap, 1) /* m to the projected leader of a merge */                                                  \
    X(float, merge_speed, 1)                                                                                           \
    X(uint32_t, order_position, 1)                                                                                     \
    X(float, before_x, 1) /* where it was before this step */                                                          \
    X(float, before_y, 1)                                                                                              \
    X(float, before_heading, 1)                                                                                        \
    X(float, along, 1) /* position, velocity, half extent along the contact axis */                                    \
    X(float, along_v, 1)                                                                                               \
    X(float, along_half, 1)                                                                                            \
    X(float, across, 1) /* and across it */                                                                            \
    X(float, across_v, 1)                                                                                              \
    X(float, across_half, 1)                                                                                           \
    X(float, sorted_x, 1) /* the same in the order of `sweep` */                                                       \
    X(float, sorted_y, 1)                                                                                              \
    X(float, sorted_vx, 1)                                                                                             \
    X(float, sorted_vy, 1)                                                                                             \
    X(float, sorted_ex, 1)                                                                                             \
    X(float, sorted_ey, 1)                                                                                             \
    X(float, acts, 1)        /* 1 = a driver that has not crashed */                                                   \
    X(float, lead_speed, 1)  /* m/s of the leader along this agent's heading */                                        \
    X(float, wish, 1)        /* m left of the centreline where it would want to be alone */                            \
    X(float, unsettled, 1)   /* 1 = where it wants to be depends on others, or on a bend */                            \
    X(float, offset_rate, 1) /* m/s at which offset_target moves in this step */                                       \
    X(uint8_t, flag, 1)                                                                                                \
    X(uint32_t, list, 1)                                                                                               \
    X(uint32_t, drivers, 1) /* slots under IDM on wheels, ascending; kept until somebody comes or goes */              \
    X(uint32_t, walkers, 1)

typedef enum nm_walk_way {
    NM_WALK_UNDECIDED = 0,
    NM_WALK_ALONG,
    NM_WALK_BACK
} nm_walk_way; ///< along the lane, against it
typedef enum nm_beside { NM_BESIDE_LEFT = 1, NM_BESIDE_RIGHT = 2 } nm_beside;
typedef enum nm_lane_end { NM_LANE_GOES_ON = 0, NM_LANE_LEAVES, NM_LANE_MUST_CHANGE } nm_lane_end;

/// The start of one stretch of valid states after the world's first step.
typedef struct nm_entry {
    uint32_t step, track;
} nm_entry;

/// One agent on one lane, sorted by (lane, s, slot).
typedef struct nm_order_entry {
    uint32_t lane;
    float s, d;
    uint32_t slot; ///< NM_GHOST set: a secondary lane
} nm_order_entry;

/// An agent on, or coming to, a lane that has conflicts.
typedef struct nm_approach {
    uint32_t slot;
    uint32_t next;  ///< in the list of this lane, or NM_NONE
    float distance; ///< m from the agent's centre to the start of the lane; negative = on it already
} nm_approach;

/// An agent in the order of the broad phase.
typedef struct nm_sweep_entry {
    int32_t row;
    float x; ///< along the axis
    uint32_t slot;
} nm_sweep_entry;

/// One row of the broad phase: its agents in the order of the sweep, the range of their speeds along the axis, m/s, and
/// the longest of their half extents along it, m.
typedef struct nm_row {
    uint32_t first, end;
    int32_t index;
    float slowest, fastest, half;
} nm_row;

typedef struct nm_pair {
    uint32_t a, b; ///< tracks, a < b
} nm_pair;

static inline int nm_pair_before(nm_pair p, nm_pair q) {
    return p.a != q.a ? p.a < q.a : p.b < q.b;
}

struct nm_world {
    const nm_scene *scene;
    const nm_map *map;
    nm_world_config config;
    size_t bytes; ///< of everything below that is an array: one block, which follows the struct
    uint32_t capacity, count, step;
    uint32_t driver_count, walker_count;
    int groups_stale; ///< drivers and walkers have to be listed again
    int has_others;   ///< some agent is under another policy than IDM
    nm_world_stats stats;
    uint64_t scene_key; ///< for random numbers

#define X(type, name, per, hashed) type *name;
    NM_WORLD_FIELDS(X)
#undef X
#define X(type, name, per) type *name;
    NM_WORLD_SCRATCH(X)
#undef X
    // by track
    uint32_t *slot_of; ///< [tracks]
    uint32_t *events;  ///< [tracks]
    uint8_t *taken;    ///< [tracks] has entered (and perhaps left)
    nm_entry *entries; ///< [entry_capacity] who enters later, ordered by (step, track)
    uint32_t entry_capacity, entry_count, entry_next;
    nm_entry *waiting; ///< [entry_capacity] those that found no room yet
    uint32_t waiting_count;
    // by lane
    uint32_t *lane_first;    ///< [lanes] index into order; valid where lane_agents > 0
    uint32_t *lane_agents;   ///< [lanes]
    uint32_t *approach_head; ///< [lanes] or NM_NONE
    uint32_t *touched;       ///< [capacity * NM_APPROACH_MAX] lanes with an approach list
    uint32_t touched_count;
    uint8_t *lane_end; ///< [lanes] nm_lane_end
    int has_rules;     ///< some lane has conflicts, signals or a stop sign
    float *cruise_at;  ///< [rail_count] m/s allowed by limit and curvature, ahead included
    // order on lanes
    nm_order_entry *order; ///< [2 * capacity]
    uint32_t order_count;
    uint32_t ordered_count; ///< slots at the last sorting
    int lanes_found;        ///< somebody without a lane got one since
    // junctions
    nm_approach *approaches; ///< [capacity * NM_APPROACH_MAX]
    uint32_t approach_count;
    uint8_t *signal_now; ///< [signals]
    // contacts
    nm_sweep_entry *sweep; ///< [capacity] sorted by (row, x)
    uint32_t sweep_count;
    nm_row *rows;             ///< [capacity + 1]
    float row_height;         ///< m
    float axis_cos, axis_sin; ///< direction of the contact axis
    float longest;            ///< m, of all boxes there have been since the start
    uint32_t contact_capacity;
    nm_pair *contacts, *contacts_before; ///< by TRACK, sorted; [contact_capacity]
    uint32_t contact_count, contact_before_count;
    uint8_t *contact_since_entry; ///< parallel to contacts: 1 = has touched ever since one of them entered
    uint8_t *contact_before_since_entry;
};

#define NM_APPROACH_MAX 4u

// world.c
void nm_world_place(nm_world *world, uint32_t track, const nm_state *state);
void nm_world_set_size(nm_world *world, uint32_t slot, float length, float width);
void nm_world_remove(nm_world *world, const uint8_t *leave); ///< stable compaction; leave[slot]
nm_state nm_world_log_state(const nm_scene *scene, uint32_t track, uint32_t step);
void nm_world_note_event(nm_world *world, uint32_t slot, uint32_t event);

// dynamics.c: moves slots with mobile != 0 under accel_command and curvature_command
void nm_world_integrate(nm_world *world);

// world_lanes.c
void nm_world_prepare_lanes(nm_world *world);
float nm_world_steer_preview(float curvature_step); ///< of an agent whose curvature may change by that in one step
void nm_world_enter_lane(nm_world *world, uint32_t slot); ///< finds lane and path of a newly placed agent
/// Where a driver wants to be who begins to follow a lane here: two-wheelers keep their side, the others come back to
/// the middle from where they are.
void nm_world_aim_from_here(nm_world *world, uint32_t slot);
void nm_world_take_over(nm_world *world, uint32_t slot); ///< steering, of an agent that is where it was recorded
void nm_world_prefetch_rails(const nm_world *world);
void nm_world_update_lanes(nm_world *world); ///< cursors after a move
void nm_world_sort_lanes(nm_world *world);   ///< order, lane_first, lane_agents
void nm_world_find_leads(nm_world *world);
void nm_world_follow_lane(nm_world *world, uint32_t slot, uint32_t lane, float s, float d); ///< new lane, path rebuilt
/// First entry of `lane` with s > at (order index), or the end of the lane's range.
uint32_t nm_world_order_after(const nm_world *world, uint32_t lane, float at);

// driver.c: who sits at the wheel
void nm_world_seat_driver(nm_world *world, uint32_t slot); ///< parameters drawn for (seed, track)
void nm_world_fit_drivers(nm_world *world);                ///< newcomers: desired speed from what was recorded of them

// world_entry.c: who comes and who goes after a move
void nm_world_list_entries(nm_world *world);
uint32_t nm_world_count_entries(const nm_scene *scene, uint32_t start_step);
void nm_world_come_and_go(nm_world *world);

// right_of_way.c: fills stop_gap, merge_gap, merge_speed
void nm_world_right_of_way(nm_world *world);

// elbow_room.c: the lateral offset nearest to `wanted` that keeps clear of who drives abreast in the same lane
float nm_world_elbow_room(const nm_world *world, uint32_t slot, float wanted);

// policy_idm.c, lane_change.c, policy_walk.c
void nm_policy_idm_act(nm_world *world, const uint32_t *slots, uint32_t count);
void nm_policy_change_lanes(nm_world *world, const uint32_t *slots, uint32_t count);
void nm_policy_walk_act(nm_world *world, const uint32_t *slots, uint32_t count);
/// The lane that a walker against its lane's direction comes to next, or NM_NONE.
uint32_t nm_walk_back_lane(const nm_world *world, uint32_t slot);
/// m to the end of the path as far as it is known; with path_end NM_LANE_MUST_CHANGE a change has to be made by there.
float nm_world_path_length(const nm_world *world, uint32_t slot);
/// IDM acceleration of `slot` behind something `gap` m ahead that moves at `speed`; gap INFINITY = free road.
float nm_idm_acceleration(const nm_world *world, uint32_t slot, float speed, float gap, float lead_speed);

// world_contacts.c
void nm_world_choose_axis(nm_world *world);
void nm_world_find_contacts(nm_world *world);
void nm_world_check_road(nm_world *world);

/// What `other` moves along the heading of `slot`, m/s: one that crosses counts with what it contributes, one that
/// comes towards it as standing.
static inline float nm_world_speed_along(const nm_world *w, uint32_t slot, uint32_t other) {
    return nm_maxf(w->vx[other] * w->cos_h[slot] + w->vy[other] * w->sin_h[slot], 0.0f);
}

/// m ahead that an agent steers for: long bodies swing their corners out when they straighten up quickly.
static inline float nm_look_distance(float speed, float length) {
    return 3.0f + 0.6f * speed + 0.6f * nm_maxf(length - 5.0f, 0.0f);
}

static inline int nm_is_walker(uint8_t type) {
    return type == NM_AGENT_PEDESTRIAN;
}

#endif
