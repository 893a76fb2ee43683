/// Scenes that break one limit of validity.h and nothing else, for the tests of those who judge them.
#ifndef NM_TESTS_SCENARIOS_TEST_BREACHES_H
#define NM_TESTS_SCENARIOS_TEST_BREACHES_H

#include "test_detect_worlds.h"

#include "scenarios/validity.h"
#include "sim/math.h"
#include "sim/scenes.h"

#define BEGIN 15
#define BIT(kind) (1u << (kind))

typedef struct trial {
    world world;
    int ego, adversary; ///< agents
    nm_validity_params params;
    uint32_t implied; ///< verdicts that cannot but fail with it
} trial;

static trial t; // large; one at a time

// --- scenes that break one thing -------------------------------------------------------------------------------------

static inline void start(map_kind map, int steps) {
    memset(&t, 0, sizeof t);
    start_world(&t.world, map, steps);
    t.params = nm_validity_params_default();
    t.ego = 0;
    t.adversary = 1;
}

/// On the plain, where nothing but motion is judged: the ego stands far off, the adversary is what `make_path` drives.
static inline void start_plain(int steps) {
    start(MAP_EMPTY, steps);
    straight_at(&t.world, add_car(&t.world), -300, -300, 0, 0);
    add_car(&t.world);
}

/// The ego and an adversary one lane to the left, both at `speed`.
static inline void start_highway(int steps, double speed) {
    start(MAP_HIGHWAY, steps);
    straight_at(&t.world, add_car(&t.world), 100, 0, 0, speed);
    straight_at(&t.world, add_car(&t.world), 130, 3.5, 0, speed);
}

static inline agent *adversary(void) {
    return &t.world.agent[t.adversary];
}

static inline void with_profile(double from, int begin, double accel, double to) {
    double speeds[STEPS_MAX];
    profile(speeds, t.world.steps, from, begin, accel, to);
    straight(&t.world, adversary(), 20, 3.5, 0, speeds);
}

/// A circle to the left, driven along the heading.
static inline void circle(double radius, double speed) {
    for (int i = 0; i < t.world.steps; i++) {
        double angle = speed * DT * i / radius;
        adversary()->poses[i] = (pose){radius * sin(angle), radius * (1 - cos(angle)), angle, speed, 1};
    }
}

static inline void break_speed(void) {
    start_highway(80, 20);
    with_profile(75, 0, 0, 75);
}
static inline void break_acceleration(void) {
    start_highway(80, 20);
    with_profile(10, 30, 7, 30);
}
static inline void break_braking(void) {
    start_highway(80, 20);
    with_profile(28, 30, -10.8, 0);
}
static inline void break_lateral(void) {
    start_plain(60);
    circle(100, 31);
    t.params.realism = INFINITY; // nobody drives like that for long
}
static inline void break_jerk(void) {
    double speeds[STEPS_MAX], v = 15;
    start_plain(80);
    for (int i = 0; i < 80; i++) { // from full acceleration to full braking at once
        speeds[i] = v;
        v += (i < 30 ? 0 : i < 45 ? 5.5 : i < 60 ? -9 : 0) * DT;
    }
    straight(&t.world, adversary(), 0, 0, 0, speeds);
    t.params.realism = INFINITY;
}
static inline void break_yaw_rate(void) {
    start_plain(60);
    circle(1 / 0.29, 3.6);
    t.params.profile = NM_LIMITS_COMFORT; // in the feasible one it takes another violation to turn that fast
    t.params.realism = INFINITY;
}
static inline void break_curvature(void) {
    start_plain(60);
    circle(2.5, 2);
}
static inline void break_slip(void) {
    start_plain(60);
    straight_at(&t.world, adversary(), 0, 0, 0, 10);
    for (int i = 0; i < 60; i++) adversary()->poses[i].heading = 0.25;
}
static inline void break_teleport(void) {
    start_highway(80, 20);
    for (int i = 40; i < 80; i++) adversary()->poses[i].x += 1.2;
    t.implied = BIT(NM_VERDICT_VELOCITY);
}
static inline void break_heading_jump(void) {
    start_plain(60);
    for (int i = 0; i < 60; i++) {
        double turned = i > 30 ? 0.52 : 0, way = 0.8 * (i > 30 ? i - 30 : 0);
        adversary()->poses[i] = (pose){0.8 * (i < 30 ? i : 30) + way * cos(turned), way * sin(turned), turned, 8, 1};
    }
    t.params.realism = INFINITY;
}
static inline void break_velocity(void) {
    start_highway(80, 20);
    for (int i = 0; i < 80; i++) adversary()->poses[i].speed = 13;
}
static inline void break_gap(void) {
    start_highway(80, 20);
    for (int i = 40; i < 45; i++) adversary()->poses[i].valid = 0;
}
static inline void break_turn_on_spot(void) {
    start_plain(60);
    straight_at(&t.world, adversary(), 0, 0, 0, 0);
    for (int i = 20; i < 60; i++) adversary()->poses[i].heading = 0.03 * (i - 20);
}
static inline void break_overlap(void) {
    start_highway(80, 20);
    straight_at(&t.world, add_car(&t.world), 100, 1.4, 0, 20); // 0.4 m into the ego, gone one step later
    for (int i = BEGIN + 1; i < 80; i++) t.world.agent[2].poses[i].valid = 0;
}
static inline void break_off_road(void) {
    point path[63];
    start_highway(80, 20);
    size_t count = change_path(path, 0, 7, 8.6, 200, 260); // the road ends at 8.75
    cruise(&t.world, adversary(), path, count, 130, 20);
}
static inline void break_jaywalk(void) {
    start(MAP_TWO_WAY, 80);
    straight_at(&t.world, add_car(&t.world), 300, 0, 0, 10);
    straight_at(&t.world, add_agent(&t.world, NM_AGENT_PEDESTRIAN, 0.5, 0.5), 200, -4, PI / 2, 1.4);
}
static inline void break_red_light(void) {
    world_red_light(&t.world, 0);
    t.params = nm_validity_params_default();
    straight_at(&t.world, add_car(&t.world), -40, 1.75, PI, 5);
    t.ego = 1;
    t.adversary = 0;
}
static inline void break_wrong_way(void) {
    world_wrong_way(&t.world, 0);
    t.params = nm_validity_params_default();
    straight_at(&t.world, add_car(&t.world), 450, 3.5, PI, 5);
    t.ego = 1;
    t.adversary = 0;
}
static inline void break_realism(void) {
    start_plain(100);
    double x = 0, y = 0, heading = 0, v = 10;
    for (int i = 0; i < 100; i++) { // weaves, speeds up and brakes at once, all within the limits
        adversary()->poses[i] = (pose){x, y, heading, v, 1};
        double rate = 0.4 * sin(2 * PI * i / 25.0), step = v * DT;
        x += step * cos(heading + 0.5 * rate * DT);
        y += step * sin(heading + 0.5 * rate * DT);
        heading += rate * DT;
        v += 5 * cos(2 * PI * i / 16.0) * DT;
    }
}
static inline void break_cause(void) {
    start_highway(80, 20);
    double speeds[STEPS_MAX];
    profile(speeds, 80, 20, 20, -9, 0);
    straight(&t.world, add_car(&t.world), 117, 0, 0, speeds); // somebody else brakes hard 12 m ahead of the ego
}

typedef struct breach {
    nm_verdict_kind kind;
    void (*make)(void);
    uint32_t violation; ///< that makes it allowed; 0 = none
} breach;

static const breach breaches[] = {
    {NM_VERDICT_SPEED, break_speed, 0},
    {NM_VERDICT_ACCELERATION, break_acceleration, 0},
    {NM_VERDICT_BRAKING, break_braking, 0},
    {NM_VERDICT_LATERAL_ACCELERATION, break_lateral, 0},
    {NM_VERDICT_JERK, break_jerk, 0},
    {NM_VERDICT_YAW_RATE, break_yaw_rate, 0},
    {NM_VERDICT_CURVATURE, break_curvature, 0},
    {NM_VERDICT_SLIP, break_slip, 0},
    {NM_VERDICT_TELEPORT, break_teleport, 0},
    {NM_VERDICT_HEADING_JUMP, break_heading_jump, 0},
    {NM_VERDICT_VELOCITY, break_velocity, 0},
    {NM_VERDICT_GAP, break_gap, 0},
    {NM_VERDICT_TURN_ON_SPOT, break_turn_on_spot, 0},
    {NM_VERDICT_OVERLAP_AT_START, break_overlap, 0},
    {NM_VERDICT_OFF_ROAD, break_off_road, NM_VIOLATION_OFF_ROAD},
    {NM_VERDICT_JAYWALK, break_jaywalk, NM_VIOLATION_JAYWALK},
    {NM_VERDICT_RED_LIGHT, break_red_light, NM_VIOLATION_RED_LIGHT},
    {NM_VERDICT_WRONG_WAY, break_wrong_way, NM_VIOLATION_WRONG_WAY},
    {NM_VERDICT_REALISM, break_realism, 0},
    {NM_VERDICT_CAUSE, break_cause, 0},
};
#define BREACHES (sizeof breaches / sizeof *breaches)

static const placing here = {0}, elsewhere = {.turn = 2.1, .east = 4321.5, .north = -8765.25};
static const placing mirrored = {.mirror = 1, .turn = -0.4};

#endif
