#include "planner_drive.h"

#include <time.h>

#include "sim/math.h"

/// A planner that answers what it is told to.
typedef struct puppet {
    nm_planner_output says; ///< points are copied from `points`
    nm_planner_trajectory_point points[8];
    int code;
    double waits; ///< s
    int begun, ended, destroyed;
} puppet;

static puppet strings; // pulled by the tests, one at a time

static void *create(const char *config, char *error, size_t error_size) {
    if (strcmp(config, "fail") != 0) return &strings;
    snprintf(error, error_size, "no such file: %s\n", config);
    return NULL;
}
static void destroy(void *planner) {
    ((puppet *)planner)->destroyed++;
}
static int begin(void *planner, const nm_planner_scenario *scenario, char *error, size_t error_size) {
    puppet *p = planner;
    (void)scenario;
    p->begun++;
    if (p->code) snprintf(error, error_size, "can not begin");
    return p->code;
}
static void end(void *planner) {
    ((puppet *)planner)->ended++;
}
static int plan(void *planner, const nm_planner_observation *observation, nm_planner_output *output, char *error,
                size_t error_size) {
    const puppet *p = planner;
    (void)observation;
    if (p->waits > 0.0) {
        const struct timespec time = {0, (long)(p->waits * 1e9)};
        nanosleep(&time, NULL);
    }
    if (p->code) {
        snprintf(error, error_size, "a word with a \x1b in it");
        return p->code;
    }
    const nm_planner_output made = *output;
    *output = p->says;
    output->point_capacity = made.point_capacity;
    output->points = made.points;
    memcpy(output->points, p->points, sizeof p->points);
    return 0;
}

static const nm_planner_vtable table = {.abi = NM_PLANNER_ABI,
                                        .size = sizeof(nm_planner_vtable),
                                        .name = "puppet",
                                        .create = create,
                                        .destroy = destroy,
                                        .begin = begin,
                                        .plan = plan,
                                        .end = end};

static nm_planner_trajectory_point point(float time, float x, float y, float heading, float speed) {
    return (nm_planner_trajectory_point){time, {x, y, heading}, speed};
}

/// Straight on at 10 m/s from the origin.
static void pull_straight(void) {
    strings = (puppet){.says = {.answer = NM_PLANNER_TRAJECTORY, .point_count = 3}};
    for (int i = 0; i < 8; i++) strings.points[i] = point(0.5f * (float)i, 5.0f * (float)i, 0, 0, 10);
}

static nm_planner *begun(void) {
    static const nm_planner_scenario scenario = {.name = "scene 7", .step_seconds = 0.1f};
    nm_planner *planner = NULL;
    const int code = strings.code;
    strings.code = 0;
    assert_int_equal(nm_planner_create(&table, NULL, "", &planner, NULL), NM_OK);
    assert_int_equal(nm_planner_begin(planner, &scenario, NULL), NM_OK);
    strings.code = code;
    return planner;
}

/// Asks once; checks the code and that the message says `words`.
static void expect(nm_status wanted, const char *words) {
    const nm_planner_observation observation = {
        .step = 4, .deadline = 0.05f, .ego = {.vehicle = {4.5f, 1.8f, 2.7f, 1.35f}, .rear_axle_speed_ahead = 10}};
    const nm_planner_output *output = NULL;
    nm_error error;
    nm_error_clear(&error);
    nm_planner *planner = begun();
    const nm_status status = nm_planner_plan(planner, &observation, &output, &error);
    if (status != wanted || !strstr(error.message, words)) fail_msg("%s: %s", nm_status_name(status), error.message);
    assert_true((output != NULL) == (wanted == NM_OK));
    if (wanted != NM_OK) assert_non_null(strstr(error.message, "'puppet'"));
    if (wanted != NM_OK) assert_non_null(strstr(error.message, "step 4"));
    nm_planner_destroy(planner);
    assert_int_equal(strings.ended, 1); // destroying ends what was begun
    assert_int_equal(strings.destroyed, 1);
}

static void takes_a_sound_trajectory(void **state) {
    (void)state;
    pull_straight();
    expect(NM_OK, "");
    pull_straight(); // one that begins later: the ego is its first point
    strings.points[0] = point(0.1f, 1, 0, 0, 10);
    expect(NM_OK, "");
}

static void refuses_unsound_trajectories(void **state) {
    (void)state;
    pull_straight();
    strings.says.answer = NM_PLANNER_NO_ANSWER;
    expect(NM_E_FORMAT, "answered nothing");
    pull_straight();
    strings.says.answer = 77;
    expect(NM_E_FORMAT, "neither");
    pull_straight();
    strings.says.point_count = 1;
    expect(NM_E_FORMAT, "of 1 points");
    pull_straight();
    strings.says.point_count = NM_PLANNER_MAX_POINTS + 1;
    expect(NM_E_FORMAT, "513 points");
    float *const fields[5] = {&strings.points[1].time, &strings.points[1].rear_axle.x_scene,
                              &strings.points[1].rear_axle.y_scene, &strings.points[1].rear_axle.heading_scene,
                              &strings.points[1].speed_ahead};
    for (int i = 0; i < 5; i++) {
        pull_straight();
        *fields[i] = NAN;
        expect(NM_E_NUMERIC, "NaN");
        pull_straight();
        *fields[i] = -INFINITY;
        expect(NM_E_NUMERIC, "infinity");
    }
    pull_straight();
    strings.points[2].time = 0.500001f; // the same microsecond, or almost, to a tracker
    expect(NM_E_FORMAT, "do not rise");
    pull_straight();
    strings.points[0].time = 1e-7f;
    expect(NM_E_FORMAT, "do not rise");
    pull_straight();
    strings.points[2].time = 100.5f;
    expect(NM_E_FORMAT, "plans 100.5 s ahead");
    pull_straight();
    strings.points[2].time = 1e30f; // of no number of microseconds
    expect(NM_E_FORMAT, "at most 100 s");
    pull_straight();
    strings.points[2].time = 0.5f;
    expect(NM_E_FORMAT, "do not rise");
    pull_straight();
    strings.points[0].time = -0.1f;
    expect(NM_E_FORMAT, "do not rise");
    pull_straight();
    strings.points[1].speed_ahead = 101.0f;
    expect(NM_E_FORMAT, "out of range");
    pull_straight();
    for (int i = 0; i < 3; i++) strings.points[i] = point(0.04f * (float)i, (float)i, 0, 0, 10); // ends after 0.08 s
    expect(NM_E_FORMAT, "too short");
    pull_straight();
    for (int i = 0; i < 3; i++) strings.points[i] = point(0.05f * (float)i, (float)i, 0, 0, 10); // after 0.1 s exactly
    expect(NM_OK, "");
    pull_straight();
    for (int i = 0; i < 3; i++) strings.points[i].rear_axle.x_scene += 4000.0f; // another frame
    expect(NM_E_FORMAT, "scene's frame");
}

static void checks_controls(void **state) {
    (void)state;
    strings = (puppet){.says = {.answer = NM_PLANNER_CONTROL_CURVATURE, .acceleration_ahead = -3}};
    expect(NM_OK, "");
    strings = (puppet){.says = {.answer = NM_PLANNER_CONTROL_STEERING, .steering_rate = NAN}};
    expect(NM_E_NUMERIC, "NaN");
    strings = (puppet){.says = {.answer = NM_PLANNER_CONTROL_CURVATURE, .rear_axle_curvature = 11}};
    expect(NM_E_FORMAT, "out of range");
    strings = (puppet){.says = {.answer = NM_PLANNER_CONTROL_STEERING, .acceleration_ahead = 101}};
    expect(NM_E_FORMAT, "out of range");
    strings = (puppet){.says = {.answer = NM_PLANNER_CONTROL_STEERING, .rear_axle_curvature = NAN}}; // not asked for
    expect(NM_OK, "");
}

static void passes_on_what_a_planner_says(void **state) {
    (void)state;
    pull_straight();
    strings.code = NM_E_IO;
    expect(NM_E_IO, "a word with a \\x1b in it");
    pull_straight();
    strings.code = 1000;
    expect(NM_E_UNSUPPORTED, "'scene 7'");
    pull_straight();
    strings.waits = 0.06;
    expect(NM_E_LIMIT, "too late");
    nm_planner *planner = NULL;
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_planner_create(&table, NULL, "fail", &planner, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "no such file: fail\\n"));
    const nm_planner_scenario scenario = {.name = "scene 8", .step_seconds = 0.1f};
    strings = (puppet){.code = NM_E_NOT_FOUND};
    assert_int_equal(nm_planner_create(&table, "mine", NULL, &planner, &error), NM_OK);
    assert_string_equal(nm_planner_name(planner), "mine");
    assert_int_equal(nm_planner_begin(planner, &scenario, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "'mine' failed to begin scenario 'scene 8': can not begin"));
    nm_planner_end(planner);
    nm_planner_end(planner); // once is enough
    assert_int_equal(strings.ended, 1);
    nm_planner_destroy(planner);
}

static void refuses_tables_of_another_version(void **state) {
    (void)state;
    nm_planner_vtable other[5] = {table, table, table, table, table};
    const nm_status wanted[5] = {NM_E_VERSION, NM_E_VERSION, NM_E_ARGUMENT, NM_E_ARGUMENT, NM_E_ARGUMENT};
    other[0].abi = NM_PLANNER_ABI + 1;
    other[1].size -= 8;
    other[2].create = NULL;
    other[3].begin = NULL;
    other[4].plan = NULL;
    nm_planner *planner = NULL;
    for (int i = 0; i < 5; i++) {
        nm_error error;
        nm_error_clear(&error);
        assert_int_equal(nm_planner_create(&other[i], NULL, "", &planner, &error), wanted[i]);
        assert_null(planner);
        if (i < 2) assert_non_null(strstr(error.message, "version"));
    }
}

static nm_planner_motion follow(const nm_planner_output *output, const nm_planner_ego *ego) {
    nm_planner_motion next;
    nm_planner_follow_exactly(NULL, output, ego, 0.1f, &next);
    return next;
}

static void interpolates_trajectories(void **state) {
    (void)state;
    const nm_planner_ego ego = {.rear_axle = {0, 0, 3.1f},
                                .rear_axle_speed_ahead = 8,
                                .vehicle = {.wheelbase = 2.7f, .rear_axle_to_box_centre = 1.35f}};
    nm_planner_trajectory_point points[3] = {point(0, 0, 0, 3.1f, 8), point(0.2f, -2, 0.4f, -3.1f, 10),
                                             point(0.4f, -9, 9, 0, 0)};
    nm_planner_output output = {.answer = NM_PLANNER_TRAJECTORY, .point_count = 3, .points = points};
    nm_planner_motion next = follow(&output, &ego);
    assert_float_equal(next.rear_axle.x_scene, -1.0f, 1e-6f); // half way to the second point
    assert_float_equal(next.rear_axle.y_scene, 0.2f, 1e-6f);
    assert_float_equal(fabsf(next.rear_axle.heading_scene), NM_PI_F, 1e-3f); // across the seam, not through 0
    assert_float_equal(next.speed_ahead, 9.0f, 1e-5f);
    assert_float_equal(next.acceleration_ahead, 10.0f, 1e-4f);
    assert_float_equal(next.box_centre.x_scene, -2.35f, 1e-3f);
    // 0.0416 rad on 0.85 m
    assert_float_equal(next.rear_axle_curvature, (3.14159265 - 3.1) / 0.85, 1e-3f);
    points[0] = point(0.3f, -3, 0, 3.1f, 8); // begins late: from where the ego is
    points[1] = point(0.5f, -9, 9, 0, 0);
    output.point_count = 2;
    next = follow(&output, &ego);
    assert_float_equal(next.rear_axle.x_scene, -1.0f, 1e-5f);
    points[0] = point(0.05f, -3, 0, 3.1f, 8); // two points before the step, then one
    points[1] = point(0.1f, -4, 1, 3.1f, 8);
    points[2] = point(0.2f, -7, 7, 3.1f, 8);
    output.point_count = 3;
    next = follow(&output, &ego);
    assert_float_equal(next.rear_axle.x_scene, -4.0f, 1e-5f);
    assert_float_equal(next.rear_axle.y_scene, 1.0f, 1e-5f);
}

static void drives_the_bicycle_by_controls(void **state) {
    (void)state;
    nm_planner_ego ego = {.rear_axle_speed_ahead = 10,
                          .vehicle = {.wheelbase = 2.7f, .rear_axle_to_box_centre = 1.35f}};
    nm_planner_output output = {.answer = NM_PLANNER_CONTROL_CURVATURE, .acceleration_ahead = 2};
    nm_planner_motion next = follow(&output, &ego);
    assert_float_equal(next.rear_axle.x_scene, 1.01f, 1e-5f);
    assert_float_equal(next.box_centre.x_scene, 2.36f, 1e-5f);
    assert_float_equal(next.speed_ahead, 10.2f, 1e-5f);
    output = (nm_planner_output){.answer = NM_PLANNER_CONTROL_CURVATURE, .rear_axle_curvature = 0.1f};
    next = follow(&output, &ego);
    assert_float_equal(next.rear_axle.heading_scene, 0.1f, 1e-5f); // 1 m at 0.1 1/m
    assert_float_equal(next.rear_axle.x_scene, cos(0.05), 1e-5f);
    assert_float_equal(next.rear_axle.y_scene, sin(0.05), 1e-5f);
    assert_float_equal(next.steering_angle, atan(0.27), 1e-5f);
    ego.steering_angle = 0.2f;
    output = (nm_planner_output){.answer = NM_PLANNER_CONTROL_STEERING, .steering_rate = -0.5f};
    next = follow(&output, &ego);
    assert_float_equal(next.steering_angle, 0.15f, 1e-6f);
    assert_float_equal(next.rear_axle_curvature, tan(0.15) / 2.7, 1e-5f);
    output = (nm_planner_output){.answer = NM_PLANNER_CONTROL_STEERING, .steering_rate = 50};
    assert_float_equal(follow(&output, &ego).steering_angle, 1.0472f, 1e-4f);
    ego.rear_axle_speed_ahead = 0.2f;
    output = (nm_planner_output){.answer = NM_PLANNER_CONTROL_CURVATURE, .acceleration_ahead = -8};
    next = follow(&output, &ego);
    assert_float_equal(next.speed_ahead, 0.0f, 0.0f); // brakes, but does not reverse
    assert_true(next.rear_axle.x_scene >= 0.0f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_sound_trajectory),
        cmocka_unit_test(refuses_unsound_trajectories),
        cmocka_unit_test(checks_controls),
        cmocka_unit_test(passes_on_what_a_planner_says),
        cmocka_unit_test(refuses_tables_of_another_version),
        cmocka_unit_test(interpolates_trajectories),
        cmocka_unit_test(drives_the_bicycle_by_controls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
