/// Scenes as drives: what is read, what is derived, and the score of recordings and rollouts.
#include "nuplan_support.h"

#include "scenes.h"
#include "sim/builtin.h"
#include "sim/metrics/nuplan_scene.h"
#include "sim/world.h"

static const nm_nuplan_map *view_of(const nm_scene *scene) {
    const nm_nuplan_map *view;
    nm_error error;
    if (nm_nuplan_map_of(scene->map, &view, &error) != NM_OK) fail_msg("%s", error.message);
    return view;
}

static nm_nuplan_record *record_of(const nm_nuplan_map *view, const nm_scene *driven, const nm_scene *expert,
                                   uint32_t first, uint32_t iterations) {
    nm_nuplan_record *record;
    nm_error error;
    if (nm_nuplan_record_scene(view, driven, expert, first, iterations, &record, &error) != NM_OK)
        fail_msg("%s", error.message);
    return record;
}

/// Who has no size cannot be scored; the others are.
static void test_boxes_without_size(void **state) {
    (void)state;
    const nm_test_agent agents[3] = {{.x = 20, .speed = 10}, {.x = 60}, {.x = 120, .y = 3.5}};
    const nm_scene *sized = nm_test_scene(nm_test_road(200), agents, 3, 60);
    nm_scene scene = *sized;
    nm_track tracks[3] = {sized->tracks[0], sized->tracks[1], sized->tracks[2]};
    tracks[1].width = 0.0f;
    scene.tracks = tracks;
    scene.state_length = scene.state_width = NULL;
    const nm_nuplan_map *view = view_of(&scene);
    nm_nuplan_record *r = record_of(view, &scene, &scene, 0, 60);
    nm_nuplan_result result;
    nm_error error;
    assert_int_equal(r->sizeless, 1);
    assert_true(!r->present[1] && r->present[2]);
    assert_int_equal(nm_nuplan_score(&r->drive, &result, NULL, 0, NULL, &error), NM_OK);
    assert_int_equal(result.collisions, 0);
    nm_nuplan_record_destroy(r);
    nm_nuplan_map_destroy(view);
    nm_scene_destroy(sized);
}

/// An ego of 5.176 m on the rightmost of three lanes at 12 m/s, its centre from (20, 0); a car beside it, a pedestrian.
static void test_what_is_read(void **state) {
    (void)state;
    const nm_test_agent agents[3] = {{.x = 20, .y = 0, .speed = 12, .length = 5.176, .width = 2.297},
                                     {.x = 25, .y = 3.5, .speed = 14, .length = 4, .width = 2},
                                     {.x = 90, .y = -5, .heading = 1.5, .type = NM_AGENT_PEDESTRIAN}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200), agents, 3, 60);
    const nm_nuplan_map *view = view_of(scene);
    nm_nuplan_record *r = record_of(view, scene, scene, 10, 41);
    assert_int_equal(r->drive.samples, 40);
    assert_int_equal(r->drive.expert_samples, 41);
    assert_int_equal(r->drive.tracks, 3);
    assert_float_equal(r->drive.vehicle.rear_to_centre, 1.461, 1e-6);
    for (uint32_t k = 0; k < 40; ++k) {
        assert_int_equal(r->ego[k].time_us, 100000 * k);
        assert_float_equal(r->ego[k].x, 20 + 1.2 * (k + 10) - 1.461, 1e-4);
        assert_float_equal(r->ego[k].vx, 12, 1e-5);
        assert_float_equal(r->ego[k].ax, 0, 1e-4);
        assert_int_equal(r->present[3 * k], 0); // itself
        assert_int_equal(r->present[3 * k + 1], 1);
        assert_float_equal(r->boxes[3 * k + 1].x, 25 + 1.4 * (k + 10), 1e-4);
        assert_float_equal(r->boxes[3 * k + 1].length, 4, 1e-6);
    }
    assert_float_equal(r->expert[40].x, 20 + 1.2 * 50 - 1.461, 1e-4);
    assert_int_equal(r->types[1], NM_NUPLAN_VEHICLE);
    assert_int_equal(r->types[2], NM_NUPLAN_PEDESTRIAN);
    nm_nuplan_result result;
    nm_error error;
    assert_int_equal(nm_nuplan_score(&r->drive, &result, NULL, 0, NULL, &error), NM_OK);
    // nothing is wrong; the ego has one step fewer than the expert: 39 / 40
    assert_float_equal(result.score, (5 * 39.0 / 40.0 + 11) / 16, 1e-6);
    nm_nuplan_record_destroy(r);
    nm_nuplan_map_destroy(view);
    nm_scene_destroy(scene);
}

/// Speeds v_k = 8 + 0.02 k^2 on a circle of radius 50 m: differences 0.2 k (2 k of 0.1 s), v^2 / 50 across.
static void test_accelerations(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(200);
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    uint32_t track;
    double heading = 3.0, times[12];
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 12, &error), NM_OK);
    const nm_track_def def = {.id = 1, .type = NM_AGENT_CAR, .length = 4, .width = 2};
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    for (uint32_t k = 0; k < 12; ++k) {
        const double v = 8 + 0.02 * k * k;
        times[k] = 7.5 + 0.1 * k;
        const nm_state_def s = {.x = 50, .heading = heading, .vx = v * cos(heading), .vy = v * sin(heading)};
        assert_int_equal(nm_scene_builder_add_state(builder, track, k, &s, &error), NM_OK);
        heading += 0.016; // 0.16 rad/s, through pi
    }
    assert_int_equal(nm_scene_builder_set_timestamps(builder, times, 12, &error), NM_OK);
    nm_scene_builder_set_current(builder, 0, 0);
    const nm_scene *scene;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    const nm_nuplan_map *view = view_of(scene);
    nm_nuplan_record *r = record_of(view, scene, scene, 0, 12);
    for (uint32_t k = 1; k < 10; ++k) {
        assert_float_equal(r->ego[k].ax, 0.4 * k, 1e-4); // (0.02 (k + 1)^2 - 0.02 (k - 1)^2) / 0.2
        assert_float_equal(r->ego[k].ay, (8 + 0.02 * k * k) * 0.16, 1e-4);
        assert_true(r->ego[k].yaw_rate == 0.0 && r->ego[k].yaw_accel == 0.0 && r->ego[k].vy == 0.0);
    }
    assert_float_equal(r->ego[0].ax, 0.2, 1e-4);
    assert_float_equal(r->ego[10].ax, 0.02 * (100 - 81) / 0.1, 1e-4);
    assert_int_equal(r->ego[0].time_us, 0);
    assert_int_equal(r->ego[10].time_us, 1000000);
    nm_nuplan_record_destroy(r);
    nm_nuplan_map_destroy(view);
    nm_scene_destroy(scene);
}

static void test_refuses(void **state) {
    (void)state;
    const nm_test_agent agents[2] = {{.x = 20, .speed = 12}, {.x = 60, .speed = 12}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200), agents, 2, 30);
    const nm_nuplan_map *view = view_of(scene);
    nm_nuplan_record *record = (nm_nuplan_record *)(uintptr_t)8;
    nm_error error;
    nm_scene other = *scene; // the same arrays
    uint8_t valid[60];
    memcpy(valid, scene->valid, sizeof valid);
#define REFUSED(driven, expert, first, iterations, what)                                                               \
    do {                                                                                                               \
        assert_int_equal(nm_nuplan_record_scene(view, driven, expert, first, iterations, &record, &error),             \
                         NM_E_ARGUMENT);                                                                               \
        assert_null(record);                                                                                           \
        if (!strstr(error.message, what)) fail_msg("\"%s\" does not speak of %s", error.message, what);                \
    } while (0)
    REFUSED(scene, scene, 0, 4, "4 iterations");
    REFUSED(scene, scene, 0, 31, "expert"); // the ego needs one step fewer
    REFUSED(scene, scene, 0, 32, "ego");
    REFUSED(scene, scene, UINT32_MAX, 5, "ego");
    REFUSED(scene, scene, 5, UINT32_MAX, "ego");
    other.ego = NM_NONE;
    REFUSED(&other, scene, 0, 30, "ego");
    REFUSED(scene, &other, 0, 30, "expert");
    other.ego = 0, other.valid = valid;
    valid[17] = 0;
    REFUSED(&other, scene, 0, 30, "step 17");
    REFUSED(scene, &other, 10, 8, "expert has no state at step 17");
    // before it, and with the last step missing for the ego alone
    assert_int_equal(nm_nuplan_record_scene(view, &other, scene, 0, 18, &record, &error), NM_OK);
    nm_nuplan_record_destroy(record);
    nm_nuplan_record_destroy(NULL);
#undef REFUSED
    nm_nuplan_map_destroy(view);
    nm_scene_destroy(scene);
}

/// Rollouts of built-in scenes, scored against themselves: an IDM driver keeps to the road, the limit and its
/// distances, whatever the map. Whoever turns around and drives against the traffic does not.
static void test_rollouts(void **state) {
    (void)state;
    static const char *const scenes[] = {"junction_signal:vehicles=20", "roundabout:vehicles=20",
                                         "highway:vehicles=30"};
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; ++i) {
        const nm_scene *scene;
        nm_error error;
        nm_rollout_result rollout;
        nm_nuplan_result result;
        const nm_world_config config = nm_world_config_default();
        if (nm_builtin_scene(scenes[i], 1, &scene, &error) != NM_OK) fail_msg("%s", error.message);
        assert_int_equal(nm_rollout(scene, &config, 100, 1, &rollout, &error), NM_OK);
        const nm_nuplan_map *view = view_of(scene);
        nm_nuplan_record *r = record_of(view, rollout.scene, rollout.scene, 1, 100);
        assert_int_equal(nm_nuplan_score(&r->drive, &result, NULL, 0, NULL, &error), NM_OK);
        for (int m = 0; m < 4; ++m) assert_float_equal(result.metric[m].value, 1.0, 0);
        assert_true(result.score > 0.8);
        assert_int_equal(result.off_route_samples, 0);
        for (uint32_t k = 0; k < r->drive.samples; ++k) { // backwards through the same places
            nm_nuplan_ego *a = &r->ego[k], *b = &r->ego[r->drive.samples - 1 - k];
            if (a >= b) break;
            const nm_nuplan_ego swap = *a;
            *a = *b, *b = swap;
            const int64_t time = a->time_us;
            a->time_us = b->time_us, b->time_us = time;
        }
        assert_int_equal(nm_nuplan_score(&r->drive, &result, NULL, 0, NULL, &error), NM_OK);
        assert_float_equal(result.metric[NM_NUPLAN_DRIVING_DIRECTION].value, 0.0, 0);
        assert_float_equal(result.score, 0.0, 0);
        nm_nuplan_record_destroy(r);
        nm_nuplan_map_destroy(view);
        nm_scene_destroy(rollout.scene);
        nm_scene_destroy(scene);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boxes_without_size), cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_accelerations),      cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_rollouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
