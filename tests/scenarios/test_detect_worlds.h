/// One constructed world per kind: as it must be found, and a variant just outside the thresholds that must not be.
#ifndef NM_TESTS_SCENARIOS_TEST_DETECT_WORLDS_H
#define NM_TESTS_SCENARIOS_TEST_DETECT_WORLDS_H

#include "test_detect_support.h"

static inline void start_world(world *w, map_kind map, int steps) {
    memset(w, 0, sizeof *w);
    w->map = map;
    w->steps = steps;
    w->signal = NM_SIGNAL_UNKNOWN;
}

/// Agent 0 comes from the middle lane into the right one, 10 m (outside: 40 m) ahead of agent 1, both at 20 m/s.
static inline void world_cut_in(world *w, int outside) {
    point path[63];
    start_world(w, MAP_HIGHWAY, 100);
    size_t count = change_path(path, 0, 3.5, 0, 180, 250);
    cruise(w, add_car(w), path, count, outside ? 145 : 115, 20);
    straight_at(w, add_car(w), 100, 0, 0, 20);
}

/// Agent 0 leads agent 1 by 15 m and leaves the lane; ahead of it agent 2 drives at 10 m/s (outside: 20 m/s).
static inline void world_cut_out(world *w, int outside) {
    point path[63];
    start_world(w, MAP_HIGHWAY, 100);
    size_t count = change_path(path, 0, 0, 3.5, 200, 260);
    cruise(w, add_car(w), path, count, 120, 20);
    straight_at(w, add_car(w), 100, 0, 0, 20);
    straight_at(w, add_car(w), outside ? 160 : 215, 0, 0, outside ? 20 : 10);
}

/// Agent 0 brakes from 15 m/s with 6 m/s^2 (outside: 3.2) for 1.5 s; agent 1 follows 20 m behind and brakes softly.
static inline void world_hard_brake(world *w, int outside) {
    double speeds[STEPS_MAX];
    start_world(w, MAP_HIGHWAY, 80);
    profile(speeds, w->steps, 15, 30, outside ? -3.2 : -6, 6);
    straight(w, add_car(w), 125, 0, 0, speeds);
    profile(speeds, w->steps, 15, 35, -2.5, 6);
    straight(w, add_car(w), 100, 0, 0, speeds);
}

/// Agent 0 at 20 m/s runs up to agent 1 at 8 m/s; the scene ends at a gap of 8 m (outside: 40 m).
static inline void world_rear_end(world *w, int outside) {
    start_world(w, MAP_HIGHWAY, 50);
    straight_at(w, add_car(w), 100, 0, 0, 20);
    straight_at(w, add_car(w), 100 + 5 + 12 * 4.9 + (outside ? 40 : 8), 0, 0, 8);
}

/// Agent 1 stands in the lane; agent 0 comes at 12 m/s and brakes with 6 m/s^2 (outside: 2) to stop 2 m behind.
static inline void world_lead_stopped(world *w, int outside) {
    double speeds[STEPS_MAX], brake = outside ? 2 : 6;
    start_world(w, MAP_HIGHWAY, 120);
    profile(speeds, w->steps, 12, 30, -brake, 0);
    straight(w, add_car(w), 100, 0, 0, speeds);
    straight_at(w, add_car(w), 100 + 12 * 3 + 144 / (2 * brake) + 5 + 2, 0, 0, 0);
}

/// Agent 0 comes down the joining lane and enters 6 m (outside: 25 m) ahead of agent 1 on the main road, which closes
/// in.
static inline void world_merge_conflict(world *w, int outside) {
    const point joining[] = {{0, -30}, {100, -15}, {160, -5}, {185, -1}, {200, 0}, {500, 0}};
    start_world(w, MAP_MERGE, 95);
    // both are timed to the joint: agent 0 has 152 m to go at 15 m/s, agent 1 comes at 17 m/s
    double length = hypot(100, 15) + hypot(60, 10) + hypot(25, 4) + hypot(15, 1), at = 8;
    cruise(w, add_car(w), joining, 6, length - 15 * at, 15);
    straight_at(w, add_car(w), 200 - 17 * at - 5 - (outside ? 25 : 6), 0, 0, 17);
}

/// Agent 0 turns left at 7 m/s; agent 1 comes from ahead at 10 m/s and reaches the spot shortly (outside: 5 s) after.
static inline void world_left_turn(world *w, int outside) {
    point path[23], turn[21];
    start_world(w, MAP_JUNCTION, 120);
    size_t count = left_turn(turn);
    path[0] = (point){-60, -1.75};
    memcpy(path + 1, turn, count * sizeof *turn);
    path[count + 1] = (point){1.75, 100};
    cruise(w, add_car(w), path, count + 2, 0, 7); // crosses y = 1.75 at about x = -1.7 after 60 - 10 + 13 m: 9 s
    straight_at(w, add_car(w), -1.7 + 10 * (9.0 + (outside ? 5 : 2)), 1.75, PI, 10);
}

/// Agent 0 goes north through the junction at 10 m/s, agent 1 east at 10 m/s, 1.5 s (outside: 4 s) later at the
/// crossing.
static inline void world_crossing(world *w, int outside) {
    start_world(w, MAP_JUNCTION, 120);
    straight_at(w, add_car(w), 1.75, -1.75 - 60, PI / 2, 10);
    straight_at(w, add_car(w), 1.75 - 60 - (outside ? 40 : 15), -1.75, 0, 10);
}

/// Agent 0 comes from the south and turns right at 6 m/s; agent 1 goes east at 12 m/s and is 8 m (outside: 40 m)
/// behind.
static inline void world_right_turn(world *w, int outside) {
    point path[23], turn[21];
    start_world(w, MAP_JUNCTION, 120);
    size_t count = right_turn(turn);
    path[0] = (point){1.75, -60};
    memcpy(path + 1, turn, count * sizeof *turn);
    path[count + 1] = (point){140, -1.75};
    cruise(w, add_car(w), path, count + 2, 0, 6); // at the exit after 50 + 13 m: 10.5 s
    straight_at(w, add_car(w), 10 - 5 - (outside ? 40 : 8) - 12 * 10.5, -1.75, 0, 12);
}

/// Agent 0 walks over the road; agent 1 at 8 m/s reaches the place 1 s (outside: 4 s) after it has left.
static inline void world_pedestrian(world *w, int outside) {
    start_world(w, MAP_TWO_WAY, 110);
    straight_at(w, add_agent(w, NM_AGENT_PEDESTRIAN, 0.5, 0.5), 200, -7, PI / 2, 1.4); // on the axis after 5 s
    straight_at(w, add_car(w), 200 - 2.5 - 8 * (5 + (0.9 + 0.25 + 0.25) / 1.4 + (outside ? 4 : 1)), 0, 0, 8);
}

/// The same with a cyclist at 4 m/s.
static inline void world_cyclist(world *w, int outside) {
    start_world(w, MAP_TWO_WAY, 110);
    straight_at(w, add_agent(w, NM_AGENT_CYCLIST, 1.8, 0.6), 200, -16, PI / 2, 4); // on the axis after 4 s
    straight_at(w, add_car(w), 200 - 2.5 - 8 * (4 + (0.9 + 0.9 + 0.3) / 4 + (outside ? 4 : 1)), 0, 0, 8);
}

/// Agent 0 drives east through the junction at 10 m/s while its signal is red (outside: green).
static inline void world_red_light(world *w, int outside) {
    start_world(w, MAP_JUNCTION, 100);
    w->signal = outside ? NM_SIGNAL_GO : NM_SIGNAL_STOP;
    straight_at(w, add_car(w), -60, -1.75, 0, 10);
}

/// Agent 0 drives west in the lane that runs east (outside: in the one that runs west).
static inline void world_wrong_way(world *w, int outside) {
    start_world(w, MAP_TWO_WAY, 60);
    straight_at(w, add_car(w), 400, outside ? 3.5 : 0, PI, 10);
}

/// Agent 0 follows agent 1 at 20 m/s with a gap of 12 m (outside: 22 m).
static inline void world_tailgate(world *w, int outside) {
    start_world(w, MAP_HIGHWAY, 60);
    straight_at(w, add_car(w), 100, 0, 0, 20);
    straight_at(w, add_car(w), 105 + (outside ? 22 : 12), 0, 0, 20);
}

/// Agent 0 wanders 1.5 m (outside: 0.8 m) to the left and back within 4 s.
static inline void world_lane_drift(world *w, int outside) {
    point path[123];
    start_world(w, MAP_HIGHWAY, 120);
    double aside = outside ? 0.8 : 1.5;
    path[0] = (point){0, 0};
    for (int i = 0; i <= 120; i++)
        path[1 + i] = (point){150 + 60.0 * i / 120, aside * 0.5 * (1 - cos(2 * PI * i / 120))};
    path[122] = (point){1200, 0};
    cruise(w, add_car(w), path, 123, 90, 15);
}

/// Agent 0 comes towards agent 1 in agent 1's lane (outside: in its own lane); the scene ends 10 m before they meet.
static inline void world_head_on(world *w, int outside) {
    start_world(w, MAP_TWO_WAY, 50);
    straight_at(w, add_car(w), 300 + 10 * 4.9 + 7.5, outside ? 3.5 : 0.4, PI, 10);
    straight_at(w, add_car(w), 300 - 10 * 4.9 - 7.5, 0, 0, 10);
}

/// Agent 0 goes east at 12 m/s, agent 1 crosses north at 12 m/s right after it: PET 0.6 s (outside: 2.5 s).
static inline void world_near_miss(world *w, int outside) {
    start_world(w, MAP_JUNCTION, 110);
    straight_at(w, add_car(w), 1.75 - 60, -1.75, 0, 12);
    straight_at(w, add_car(w), 1.75, -1.75 - 60 - 12 * ((5 + 1.8) / 12 + (outside ? 2.5 : 0.6)), PI / 2, 12);
}

/// Agent 0 at 15 m/s runs into agent 1 at 5 m/s, pushes on; outside: it passes 0.3 m beside it.
static inline void world_collision(world *w, int outside) {
    start_world(w, MAP_HIGHWAY, 50);
    straight_at(w, add_car(w), 100, outside ? 2.1 : 0.5, 0, 15);
    straight_at(w, add_car(w), 105 + 20, 0, 0, 5);
}

/// Agent 0 brakes from 15 m/s with 6 m/s^2 for 1.8 s; agents 1 and 2, 12 m apart, brake as hard 0.8 and 1.6 s later
/// (outside: agent 2 brakes with 2 m/s^2).
static inline void world_chain_brake(world *w, int outside) {
    double speeds[STEPS_MAX];
    start_world(w, MAP_HIGHWAY, 110);
    for (int i = 0; i < 3; i++) {
        profile(speeds, w->steps, 15, 30 + 8 * i, outside && i == 2 ? -2 : -6, 4);
        straight(w, add_car(w), 200 - 21 * i, 0, 0, speeds);
    }
}

/// Agent 0 stands beside the lane (its middle 2.9 m off), moves off after 3 s and is in the lane about 2 s later; agent
/// 1 comes from behind at 12 m/s and is 22 m (outside: 75 m) away then. It brakes with 4 m/s^2 in time.
static inline void world_pull_out(world *w, int outside) {
    point path[63];
    double speeds[STEPS_MAX];
    start_world(w, MAP_TWO_WAY, 120);
    size_t count = change_path(path, 190, -2.9, 0, 201, 212);
    profile(speeds, w->steps, 0, 30, 2, 6);
    drive(w, add_car(w), path, count, 10, speeds);
    profile(speeds, w->steps, 12, 50, -4, 5);
    straight(w, add_car(w), 204 - 5 - 12 * 5.0 - (outside ? 75 : 22), 0, 0, speeds);
}

/// A parked van hides agent 0, who walks over the road from behind it in front of agent 1 (10 m/s, brakes); outside:
/// the van stands beyond the place, so that agent 0 is seen all the time.
static inline void world_occluded(world *w, int outside) {
    double speeds[STEPS_MAX];
    start_world(w, MAP_TWO_WAY, 100);
    straight_at(w, add_agent(w, NM_AGENT_PEDESTRIAN, 0.5, 0.5), 202, -7, PI / 2, 1.4); // 1.4 m off the axis after 4 s
    profile(speeds, w->steps, 10, 45, -6, 0);
    straight(w, add_car(w), 200 - 2.5 - 17 - 10 * 4, 0, 0, speeds);
    agent *van = add_agent(w, NM_AGENT_TRUCK, 6, 2.2);
    van->flags = NM_TRACK_STATIC;
    straight_at(w, van, outside ? 209 : 198, -2.9, 0, 0);
}

/// An obstacle, agent 0, stands in the lane (outside: 2.2 m to its right); agent 1 comes at 10 m/s and swerves into the
/// next lane (outside: likewise, without need).
static inline void world_blocked_lane(world *w, int outside) {
    point path[63];
    start_world(w, MAP_HIGHWAY, 120);
    agent *a = add_agent(w, NM_AGENT_OBSTACLE, 2, 2);
    a->flags = NM_TRACK_STATIC;
    straight_at(w, a, 200, outside ? -2.2 : 0.3, 0, 0);
    size_t count = change_path(path, 0, 0, 3.5, 165, 195);
    cruise(w, add_car(w), path, count, 120, 10);
}

/// Agent 0 turns back to the left in front of agent 1, which comes from behind at 12 m/s and is 20 m (outside: 90 m)
/// behind.
static inline void world_u_turn(world *w, int outside) {
    point path[23];
    double speeds[STEPS_MAX];
    start_world(w, MAP_TWO_WAY, 100);
    size_t count = arc(path + 1, 205, 3.5, 4.2, -PI / 2, PI / 2);
    path[0] = (point){150, -0.7};
    path[count + 1] = (point){50, 7.7};
    cruise(w, add_car(w), path, count + 2, 30, 5);
    profile(speeds, w->steps, 12, 50, -5, 0);
    straight(w, add_car(w), 205 - 5 - 12 * 5 - (outside ? 90 : 20), 0, 0, speeds);
}

typedef struct kind_case {
    nm_kind kind;
    void (*make)(world *w, int outside);
    int actor, other; ///< agents; other -1 = none
    double from, to;  ///< s between which the critical step must lie
    int chiral;       ///< left and right matter: not found in the mirror
} kind_case;

static const kind_case kind_cases[NM_KIND_COUNT] = {
    {NM_KIND_CUT_IN, world_cut_in, 0, 1, 3.4, 6, 0},
    {NM_KIND_CUT_OUT, world_cut_out, 0, 1, 4.5, 8, 0},
    {NM_KIND_HARD_BRAKE, world_hard_brake, 0, 1, 3, 4.6, 0},
    {NM_KIND_REAR_END, world_rear_end, 0, 1, 4, 5, 0},
    {NM_KIND_LEAD_STOPPED, world_lead_stopped, 0, 1, 2.5, 5, 0},
    {NM_KIND_MERGE_CONFLICT, world_merge_conflict, 0, 1, 7.5, 9, 0},
    {NM_KIND_UNPROTECTED_LEFT_TURN, world_left_turn, 0, 1, 8, 10, 1},
    {NM_KIND_CROSSING_CONFLICT, world_crossing, 0, 1, 5.5, 6.5, 0},
    {NM_KIND_RED_LIGHT_RUNNER, world_red_light, 0, -1, 4.6, 4.9, 0},
    {NM_KIND_RIGHT_TURN_CONFLICT, world_right_turn, 0, 1, 10, 12, 1},
    {NM_KIND_PEDESTRIAN_CROSSING, world_pedestrian, 0, 1, 4.5, 5.5, 0},
    {NM_KIND_CYCLIST_CROSSING, world_cyclist, 0, 1, 3.5, 4.5, 0},
    {NM_KIND_WRONG_WAY, world_wrong_way, 0, -1, 0, 1, 0},
    {NM_KIND_TAILGATE, world_tailgate, 0, 1, 0, 6, 0},
    {NM_KIND_LANE_DRIFT, world_lane_drift, 0, -1, 5.5, 6.5, 0},
    {NM_KIND_HEAD_ON, world_head_on, 0, 1, 4.3, 5, 0},
    {NM_KIND_NEAR_MISS, world_near_miss, 0, 1, 4.5, 5.5, 0},
    {NM_KIND_COLLISION, world_collision, 0, 1, 1.9, 2.2, 0},
    {NM_KIND_CHAIN_BRAKE, world_chain_brake, 0, 1, 4.4, 5.2, 0},
    {NM_KIND_PARKED_PULL_OUT, world_pull_out, 0, 1, 4.5, 7.5, 0},
    {NM_KIND_OCCLUDED_PEDESTRIAN, world_occluded, 0, 1, 3.5, 4.5, 0},
    {NM_KIND_BLOCKED_LANE, world_blocked_lane, 0, 1, 4, 7, 0},
    {NM_KIND_SUDDEN_U_TURN, world_u_turn, 0, 1, 5, 7, 0},
};

#endif
