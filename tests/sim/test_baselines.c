/// Baselines: extrapolations against closed forms, the simulated one against a rollout, and what it must not know.
#include "futures_scenes.h"

#include "base/arena.h"
#include "sim/baselines.h"
#include "sim/world.h"

static nm_arena *arena;
static nm_baseline_request request;

static int setup(void **state) {
    (void)state;
    arena = nm_arena_create(0);
    request = nm_baseline_request_default();
    return arena ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    nm_arena_destroy(arena);
    return 0;
}

static nm_futures make(const nm_scene *scene, nm_baseline kind, const uint32_t *track, uint32_t agents) {
    nm_futures f = {0};
    nm_error error;
    request.track = track, request.agents = agents;
    if (nm_baseline_futures(scene, kind, &request, arena, &f, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(f.samples, request.samples);
    assert_int_equal(f.steps, request.steps);
    assert_int_equal(f.agents, agents);
    assert_ptr_equal(f.track, track);
    return f;
}

static size_t at(const nm_futures *f, uint32_t sample, uint32_t agent, uint32_t step) {
    return ((size_t)sample * f->agents + agent) * f->steps + step;
}

static void test_names(void **state) {
    (void)state;
    for (int i = 0; i < NM_BASELINE_COUNT; i++) {
        nm_baseline kind = NM_BASELINE_COUNT;
        assert_int_equal(nm_baseline_from_name(nm_baseline_name((nm_baseline)i), &kind), 1);
        assert_int_equal(kind, i);
    }
    nm_baseline kind = NM_BASELINE_LOG;
    assert_int_equal(nm_baseline_from_name("IDM", &kind), 0);
    assert_int_equal(kind, NM_BASELINE_LOG);
}

static void test_tracks(void **state) {
    (void)state;
    const recorded_agent agents[] = {
        {.last = 19},                                             // gone
        {.x = 10, .last = 100},                                   //
        {.x = 20, .last = 100, .type = NM_AGENT_PEDESTRIAN},      //
        {.x = 30, .last = 100, .flags = NM_TRACK_STATIC},         //
        {.x = 40, .first = 20, .last = 20, .type = NM_AGENT_BUS}, //
        {.x = 50, .first = 21, .last = 100},                      // not there yet
        {.x = 60, .last = 100, .type = NM_AGENT_CYCLIST},         //
    };
    const nm_scene *scene = record(nm_test_road(200), agents, 7, 101, 20, 1);
    uint32_t track[8] = {77, 77, 77, 77, 77};
    assert_int_equal(nm_futures_tracks(scene, NM_TYPE_MASK_ALL, NULL, 0), 4);
    assert_int_equal(nm_futures_tracks(scene, NM_TYPE_MASK_ALL, track, 3), 4);
    assert_true(track[0] == 1 && track[1] == 2 && track[2] == 4 && track[3] == 77);
    assert_int_equal(nm_futures_tracks(scene, NM_TYPE_MASK_VEHICLE, track, 8), 2);
    assert_true(track[0] == 1 && track[1] == 4);
    for (int type = 0; type < NM_AGENT_TYPE_COUNT; type++)
        assert_int_equal((NM_TYPE_MASK_VEHICLE >> type) & 1u, nm_agent_type_vehicle((nm_agent_type)type));
    nm_scene_destroy(scene);
}

static void test_constant_velocity(void **state) {
    (void)state;
    const recorded_agent agents[] = {{.x = 10, .y = 1, .heading = 0.5, .speed = 4, .last = 20}};
    const nm_scene *scene = record(nm_test_road(200), agents, 1, 101, 20, 0);
    const uint32_t track[] = {0};
    request.samples = 3;
    const nm_futures f = make(scene, NM_BASELINE_CONSTANT_VELOCITY, track, 1);
    for (uint32_t r = 0; r < 3; r++) {
        for (uint32_t k = 0; k < 80; k++) {
            const double way = 4 * 0.1 * (21 + k);
            assert_float_equal(f.x[at(&f, r, 0, k)], 10 + way * cos(0.5), 1e-4);
            assert_float_equal(f.y[at(&f, r, 0, k)], 1 + way * sin(0.5), 1e-4);
            assert_float_equal(f.heading[at(&f, r, 0, k)], 0.5, 1e-6);
            assert_float_equal(f.z[at(&f, r, 0, k)], 0.2, 1e-5);
        }
    }
    nm_scene_destroy(scene);
}

/// A recording with one more state of track 0 at `step`, elsewhere.
static const nm_scene *with_goal(double x, double y, uint32_t step, uint32_t steps) {
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_map *map = nm_test_road(200);
    nm_error error;
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, &error), NM_OK);
    const nm_track_def def = {.id = 1, .type = NM_AGENT_CAR, .length = 4, .width = 2};
    uint32_t track;
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    const nm_state_def now = {.x = 10, .y = 2, .heading = -1, .vx = 1, .vy = 2}, then = {.x = x, .y = y, .z = 8};
    assert_int_equal(nm_scene_builder_add_state(builder, track, 20, &now, &error), NM_OK);
    assert_int_equal(nm_scene_builder_add_state(builder, track, step, &then, &error), NM_OK);
    nm_scene_builder_set_current(builder, 20, NM_NONE);
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

static void test_straight(void **state) {
    (void)state;
    const uint32_t track[] = {0};
    const nm_scene *scene = with_goal(-20, 42, 60, 200); // 50 m in 4 s, towards (-3, 4) / 5
    nm_futures f = make(scene, NM_BASELINE_STRAIGHT, track, 1);
    for (uint32_t k = 0; k < 80; k++) {
        assert_float_equal(f.x[at(&f, 0, 0, k)], 10 - 0.75 * (k + 1), 1e-4);
        assert_float_equal(f.y[at(&f, 0, 0, k)], 2 + 1.0 * (k + 1), 1e-4);
        assert_float_equal(f.heading[at(&f, 0, 0, k)], atan2(4, -3), 1e-5);
        assert_float_equal(f.z[at(&f, 0, 0, k)], k < 40 ? 0.2 * (k + 1) : 8, 1e-4);
    }
    assert_true(f.x[at(&f, 0, 0, 39)] == -20.0f && f.y[at(&f, 0, 0, 39)] == 42.0f); // exactly there
    request.steps = 39; // the goal lies beyond what is asked for: the velocity is held
    f = make(scene, NM_BASELINE_STRAIGHT, track, 1);
    assert_float_equal(f.x[at(&f, 0, 0, 38)], 10 + 3.9, 1e-4);
    assert_float_equal(f.heading[at(&f, 0, 0, 38)], -1, 1e-6);
    nm_scene_destroy(scene);
    request.steps = 120;
    const struct {
        double x, y;
        uint32_t step;
        double end_x, heading; // at 8 s
    } cases[] = {
        {10.3, 2.3, 100, 10.3, -1},         // 0.42 m: moves, but keeps its heading
        {10.4, 2.4, 100, 10.4, NM_PI / 4},  // 0.57 m
        {50, 2, 62, 18, -1},                // between two frames: not given, so its velocity
        {50, 2, 105, 18, -1},               // later than 8 s
        {-30, 2, 25, 10 - 80.0 * 8, NM_PI}, // 0.5 s ahead, and on
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const nm_scene *other = with_goal(cases[i].x, cases[i].y, cases[i].step, 200);
        f = make(other, NM_BASELINE_STRAIGHT, track, 1);
        assert_float_equal(f.x[at(&f, 0, 0, 79)], cases[i].end_x, 1e-3);
        assert_float_equal(f.heading[at(&f, 0, 0, 79)], cases[i].heading, 1e-5);
        nm_scene_destroy(other);
    }
}

static void test_log(void **state) {
    (void)state;
    const recorded_agent agents[] = {{.x = 10, .heading = 0.1, .speed = 4, .last = 100},
                                     {.x = 30, .heading = 0.2, .speed = 3, .last = 40}};
    const nm_scene *scene = record(nm_test_road(200), agents, 2, 101, 20, 0);
    const uint32_t track[] = {0, 1};
    request.steps = 100, request.samples = 2;
    nm_futures f = make(scene, NM_BASELINE_LOG, track, 2);
    for (uint32_t a = 0; a < 2; a++) {
        for (uint32_t k = 0; k < 100; k++) {
            const uint32_t step = 21 + k;
            const size_t i = at(&f, 1, a, k);
            if (step <= agents[a].last) { // bit for bit
                const size_t log = nm_scene_at(scene, a, step);
                assert_true(f.x[i] == scene->x[log] && f.y[i] == scene->y[log] && f.z[i] == scene->z[log]);
                assert_true(f.heading[i] == scene->heading[log]);
            } else {
                assert_float_equal(f.x[i], agents[a].x + 0.1 * step * agents[a].speed * cos(agents[a].heading), 1e-3);
                assert_float_equal(f.y[i], 0.1 * step * agents[a].speed * sin(agents[a].heading), 1e-3);
                assert_float_equal(f.z[i], 0.01 * agents[a].last, 1e-5);
            }
        }
    }
    nm_scene_destroy(scene);
    scene = with_goal(100, 50, 30, 200); // a gap, in which the last velocity is held, then what was recorded, at rest
    request.steps = 80;
    f = make(scene, NM_BASELINE_LOG, track, 1);
    assert_float_equal(f.x[at(&f, 0, 0, 8)], 10.9, 1e-4);
    assert_float_equal(f.y[at(&f, 0, 0, 8)], 3.8, 1e-4);
    assert_float_equal(f.x[at(&f, 0, 0, 9)], 100, 0);
    assert_float_equal(f.x[at(&f, 0, 0, 79)], 100, 0);
    nm_scene_destroy(scene);
}

static const recorded_agent traffic[] = {
    {.x = 20, .y = 0, .speed = 12, .last = 100},   {.x = 60, .y = 0, .speed = 6, .last = 100},
    {.x = 30, .y = 3.5, .speed = 15, .last = 100}, {.x = 100, .y = 3.5, .speed = 4, .last = 60},
    {.x = 10, .y = 7, .speed = 20, .last = 100},   {.x = 350, .y = 7, .speed = 15, .last = 100},
};

/// The world's rollout, agent by agent; who leaves goes on.
static void test_idm(void **state) {
    (void)state;
    const nm_scene *scene = record(nm_test_road(400), traffic, 6, 101, 20, 0);
    const uint32_t track[] = {0, 2, 3, 5};
    request.seed = 7, request.samples = 2;
    const nm_futures f = make(scene, NM_BASELINE_IDM, track, 4);
    nm_world_config config = nm_world_config_default();
    config.start_step = 20, config.spawn_later = 0;
    int left = 0, differ = 0;
    for (uint32_t r = 0; r < 2; r++) {
        nm_rollout_result result;
        nm_error error;
        config.seed = 7 + r;
        assert_int_equal(nm_rollout(scene, &config, 80, 1, &result, &error), NM_OK);
        for (uint32_t a = 0; a < 4; a++) {
            for (uint32_t k = 0; k < 80; k++) {
                const size_t i = at(&f, r, a, k), from = nm_scene_at(result.scene, track[a], 21 + k);
                if (result.scene->valid[from]) {
                    assert_true(f.x[i] == result.scene->x[from] && f.y[i] == result.scene->y[from]);
                    assert_true(f.heading[i] == result.scene->heading[from]);
                } else { // beyond the end of the road, as fast as before
                    assert_true(f.x[i] > 390.0f);
                    assert_float_equal(f.x[i] - f.x[i - 1], f.x[i - 1] - f.x[i - 2], 0.05);
                    left++;
                }
                assert_float_equal(f.z[i], 0.2, 1e-5);
                differ += r == 1 && f.x[i] != f.x[at(&f, 0, a, k)];
            }
        }
        nm_scene_destroy(result.scene);
    }
    assert_true(left > 50);
    assert_true(differ > 50); // seeds differ
    nm_scene_destroy(scene);
}

/// Two recordings alike up to the current step: what comes later, even who, is not known to it.
static void test_idm_foresees_nothing(void **state) {
    (void)state;
    recorded_agent shorter[7];
    memcpy(shorter, traffic, sizeof traffic);
    for (int i = 0; i < 6; i++) shorter[i].last = 20;
    shorter[6] = (recorded_agent){.x = 110, .y = 0, .first = 21, .last = 100}; // in the way, later
    const nm_scene *one = record(nm_test_road(400), traffic, 6, 101, 20, 0);
    const nm_scene *other = record(nm_test_road(400), shorter, 7, 101, 20, 0);
    const uint32_t track[] = {0, 1, 2, 3, 4, 5};
    nm_scene alike = *other;
    alike.hash = one->hash; // drivers' characters are drawn from (seed, hash of the scene, track)
    const nm_futures f = make(one, NM_BASELINE_IDM, track, 6), g = make(&alike, NM_BASELINE_IDM, track, 6);
    assert_memory_equal(f.x, g.x, sizeof(float) * 6 * 80);
    assert_memory_equal(f.y, g.y, sizeof(float) * 6 * 80);
    assert_memory_equal(f.heading, g.heading, sizeof(float) * 6 * 80);
    nm_scene_destroy(one);
    nm_scene_destroy(other);
}

static void refused(const nm_scene *scene, const nm_baseline_request *bad, nm_arena *from, nm_status expected) {
    for (int kind = 0; kind < NM_BASELINE_COUNT; kind++) {
        nm_futures f = {.samples = 77};
        nm_error error;
        nm_error_clear(&error);
        const size_t used = nm_arena_used(from);
        assert_int_equal(nm_baseline_futures(scene, (nm_baseline)kind, bad, from, &f, &error), expected);
        assert_int_equal(error.code, expected);
        assert_int_equal(f.samples, 77);
        assert_int_equal(nm_arena_used(from), used);
    }
}

static void test_refusals(void **state) {
    (void)state;
    const nm_scene *scene = record(nm_test_road(400), traffic, 6, 101, 20, 0);
    const uint32_t track[] = {0, 2}, falling[] = {2, 0}, beyond[] = {0, 6};
    request.track = track, request.agents = 2;
    nm_baseline_request bad = request;
    bad.samples = 0;
    refused(scene, &bad, arena, NM_E_ARGUMENT);
    bad = request, bad.steps = 0;
    refused(scene, &bad, arena, NM_E_ARGUMENT);
    bad = request, bad.steps = NM_SCENE_MAX_STEPS + 1;
    refused(scene, &bad, arena, NM_E_ARGUMENT);
    bad = request, bad.track = falling;
    refused(scene, &bad, arena, NM_E_ARGUMENT);
    bad = request, bad.track = beyond;
    refused(scene, &bad, arena, NM_E_ARGUMENT);
    nm_scene other = *scene;
    other.dt = 0.2f;
    refused(&other, &request, arena, NM_E_ARGUMENT);
    other = *scene, other.current_step = 101;
    refused(&other, &request, arena, NM_E_ARGUMENT);
    nm_arena *small = nm_arena_create(4096);
    bad = request, bad.samples = 1000;
    refused(scene, &bad, small, NM_E_MEMORY);
    nm_arena_destroy(small);
    // nobody is fine
    request.agents = 0;
    for (int kind = 0; kind < NM_BASELINE_COUNT; kind++) make(scene, (nm_baseline)kind, NULL, 0);
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tracks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_constant_velocity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_straight, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idm_foresees_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
