/// The expert where the ego is not as recorded, and where nothing was recorded.
#include "planner_drive.h"
#include "scenes.h"

#include <math.h>

#include "sim/math.h"

#define STEPS 200u

/// Where the centre of the box was at step t; 0 = not recorded.
typedef int recorded_at(uint32_t t, nm_state_def *at);

static const nm_scene *recorded(const nm_map *map, recorded_at *of) {
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    uint32_t track;
    const nm_track_def def = {.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, STEPS, &error), NM_OK);
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    for (uint32_t t = 0; t < STEPS; t++) {
        nm_state_def at = {0};
        if (of(t, &at)) assert_int_equal(nm_scene_builder_add_state(builder, track, t, &at, &error), NM_OK);
    }
    nm_scene_builder_set_current(builder, 0, 0);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

/// The expert over a scene.
typedef struct setting {
    const nm_scene *scene;
    nm_observation *observation;
    nm_world *world;
    nm_planner *planner;
    nm_planner_observation seen; ///< of the first step; may be changed
} setting;

static setting open(const nm_scene *scene) {
    setting s = {.scene = scene};
    nm_world_config config = nm_world_config_default();
    config.ego = NM_POLICY_EXTERNAL;
    const nm_observation_config look = nm_observation_config_default(scene);
    const nm_planner_observation *seen;
    nm_error error;
    assert_int_equal(nm_world_create(scene, &config, &s.world, NULL), NM_OK);
    if (nm_observation_create(scene, &look, &s.observation, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_planner_named("expert", "", &s.planner, NULL), NM_OK);
    assert_int_equal(nm_planner_begin(s.planner, nm_observation_scenario(s.observation), NULL), NM_OK);
    assert_int_equal(nm_observation_update(s.observation, s.world, &seen, NULL), NM_OK);
    s.seen = *seen;
    return s;
}

static void close_setting(setting *s) {
    nm_planner_destroy(s->planner);
    nm_observation_destroy(s->observation);
    nm_world_destroy(s->world);
    nm_scene_destroy(s->scene);
}

/// What it plans at a step, the rear axle of the ego being at a place.
static const nm_planner_output *plan_from(setting *s, uint32_t step, float x, float y, float heading, float speed) {
    const nm_planner_output *output;
    nm_error error;
    s->seen.step = step;
    s->seen.ego.rear_axle = (nm_planner_pose){x, y, heading};
    s->seen.ego.rear_axle_speed_ahead = speed;
    if (nm_planner_plan(s->planner, &s->seen, &output, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(output->point_count, 81);
    return output;
}

static int ten_a_second(uint32_t t, nm_state_def *at) {
    *at = (nm_state_def){.x = 20 + 1.0 * t, .y = 0, .vx = 10};
    return 1;
}

/// 2 m behind and 1 m beside: the plan begins there, is back on the way after 4 m (0.4 s), and makes up for 0.2 s.
static void comes_back_to_the_recording(void **state) {
    (void)state;
    setting s = open(recorded(straight_road(1, 500, 20), ten_a_second));
    const float back = s.seen.ego.vehicle.rear_axle_to_box_centre, now = 70.0f - back;
    const nm_planner_output *plan = plan_from(&s, 50, now - 2.0f, 1.0f, -0.1f, 10.0f);
    const nm_planner_trajectory_point *p = plan->points;
    assert_float_equal(p[0].time, 0.0f, 0.0f);
    assert_float_equal(p[0].rear_axle.x_scene, now - 2.0f, 1e-3f);
    assert_float_equal(p[0].rear_axle.y_scene, 1.0f, 1e-3f);
    assert_float_equal(p[0].rear_axle.heading_scene, -0.1f, 1e-3f);
    for (uint32_t k = 0; k <= 80; k++) {
        const float time = 0.1f * (float)k, q = 1.0f + time / 4.0f;
        const float x = now + 10.0f * (time - 0.2f / (q * q)), way = x - (now - 2.0f);
        assert_float_equal(p[k].rear_axle.x_scene, x, 2e-3f);
        assert_float_equal(p[k].speed_ahead, 10.0f * (1.0f + 2.0f * 0.2f / (4.0f * q * q * q)), 2e-3f);
        // the cubic with value 1, slope -0.1 at 0 and nothing at 4 m
        const float t = fminf(way / 4.0f, 1.0f), u = 1.0f - t;
        assert_float_equal(p[k].rear_axle.y_scene, u * u * (1.0f + 2.0f * t) - 0.4f * u * u * t, 2e-3f);
        if (way >= 4.0f) assert_float_equal(p[k].rear_axle.heading_scene, 0.0f, 1e-4f);
    }
    // as recorded: the recording itself
    p = plan_from(&s, 50, now + 0.005f, 0.0f, 0.0f, 10.0f)->points;
    for (uint32_t k = 0; k <= 80; k++) assert_float_equal(p[k].rear_axle.x_scene, now + (float)k, 1e-4f);
    close_setting(&s);
}

static int waits_first(uint32_t t, nm_state_def *at) {
    const double since = t > 100 ? 0.1 * (t - 100) : 0.0;
    *at = (nm_state_def){.x = 50 + since * since, .y = 0, .vx = 2 * since};
    return 1;
}

/// At rest all times are at the same place: the recorded moment is now, and the ego waits as long as was waited.
static void waits_as_long_as_recorded(void **state) {
    (void)state;
    setting s = open(recorded(straight_road(1, 500, 20), waits_first));
    const float back = s.seen.ego.vehicle.rear_axle_to_box_centre;
    const nm_planner_trajectory_point *p = plan_from(&s, 90, 50.3f - back, 0.0f, 0.0f, 0.0f)->points;
    assert_float_equal(p[10].speed_ahead, 0.0f, 0.05f);
    assert_float_equal(p[30].speed_ahead, 4.0f, 0.1f); // 2 s after it began to drive
    close_setting(&s);
}

static int round_with_gap(uint32_t t, nm_state_def *at) {
    const double angle = 0.8 * (t + 10) / 60.0;
    *at = (nm_state_def){.x = 60 * sin(angle), .y = 60 - 60 * cos(angle), .heading = angle};
    at->vx = 8 * cos(angle), at->vy = 8 * sin(angle);
    return t < 30 || t >= 130;
}

/// 10 s are missing in a bend. The plans that meet the gap, and those made in it, follow the road.
static void follows_the_road_over_a_gap(void **state) {
    (void)state;
    setting s = open(recorded(nm_test_curve(60, 2.9), round_with_gap));
    const uint32_t steps[] = {20, 29, 75, 129};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        nm_state_def at;
        round_with_gap(steps[i], &at);
        const double back = (double)s.seen.ego.vehicle.rear_axle_to_box_centre;
        const nm_planner_output *plan = plan_from(&s, steps[i], (float)(at.x - back * cos(at.heading)),
                                                  (float)(at.y - back * sin(at.heading)), (float)at.heading, 8.0f);
        for (uint32_t k = 0; k <= 80 && steps[i] + k < STEPS; k++) {
            const nm_planner_trajectory_point *p = &plan->points[k];
            round_with_gap(steps[i] + k, &at);
            assert_float_equal(p->rear_axle.x_scene, at.x - back * cos(at.heading), 0.25);
            assert_float_equal(p->rear_axle.y_scene, at.y - back * sin(at.heading), 0.25);
            assert_true(fabsf(nm_wrap_angle(p->rear_axle.heading_scene - (float)at.heading)) < 0.05f);
            assert_float_equal(p->speed_ahead, 8.0f, 0.2f);
        }
    }
    close_setting(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_to_the_recording),
        cmocka_unit_test(waits_as_long_as_recorded),
        cmocka_unit_test(follows_the_road_over_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
