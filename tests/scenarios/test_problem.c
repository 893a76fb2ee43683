/// Planning problems: the reference by hand, goals from both sides, and an evaluation over them.
#include "store_support.h"

#include "../sim/world_scenes.h"

#include "base/thread_pool.h"
#include "scenarios/evaluation.h"
#include "scenarios/problem.h"
#include "sim/math.h"

/// Two lanes of 400 m; a car that stands on the second at x = 200 for 20 steps; the problem starts on the first at
/// (50, 0.5), step 5, with 10 m/s. Its goal: 20 m by 4 m about (goal_x, 0), from 2 s before step `last` to it.
static const nm_scene *problem_scene(double goal_x, uint32_t last, double origin_x) {
    nm_map_builder *maps = nm_map_builder_create();
    nm_error why;
    nm_error_clear(&why);
    nm_map_builder_set_origin(maps, (nm_point3){origin_x, 0, 0});
    for (int i = 0; i < 2; ++i) {
        const nm_point3 centre[2] = {{origin_x, 3.5 * i, 0}, {origin_x + 400, 3.5 * i, 0}};
        nm_lane_def lane = nm_lane_def_default();
        lane.id = 10 + i;
        lane.type = NM_LANE_STREET;
        lane.centre = centre;
        lane.point_count = 2;
        lane.width = 3.5;
        lane.speed_limit = 15;
        if (nm_map_builder_add_lane(maps, &lane, &why) != NM_OK) fail_msg("%s", why.message);
    }
    const nm_map *map = NULL;
    if (nm_map_builder_build(maps, &map, &why) != NM_OK) fail_msg("%s", why.message);
    nm_map_builder_destroy(maps);
    nm_scene_builder *b = nm_scene_builder_create();
    uint32_t track;
    const nm_track_def def = {.id = 7, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
    must(nm_scene_builder_begin(b, map, 0.1, 20, error));
    must(nm_scene_builder_add_track(b, &def, &track, error));
    for (uint32_t t = 0; t < 20; ++t) {
        const nm_state_def at = {.x = origin_x + 200, .y = 3.5};
        must(nm_scene_builder_add_state(b, track, t, &at, error));
    }
    const nm_state_def start = {.x = origin_x + 50, .y = 0.5, .vx = 10};
    const nm_goal goal = {.first_step = last > 20 ? last - 20 : 0,
                          .last_step = last,
                          .heading_min = -0.2f,
                          .heading_max = 0.2f,
                          .speed_min = 1.0f,
                          .speed_max = 12.0f};
    must(nm_scene_builder_add_problem(b, 3, &start, 5, error));
    must(nm_scene_builder_add_goal(b, &goal, error));
    must(nm_scene_builder_add_goal_area(b, origin_x + goal_x, 0, 20, 4, 0, -1, error));
    nm_scene_builder_set_current(b, 0, NM_NONE);
    const nm_scene *scene = NULL;
    must(nm_scene_builder_build(b, &scene, error));
    nm_scene_builder_destroy(b);
    nm_map_release(map);
    return scene;
}

static nm_state ego_at(const nm_scene *scene, uint32_t step) {
    nm_state state;
    assert_true(nm_scene_get_state(scene, scene->ego, step, &state));
    return state;
}

/// 100 m in 10 s at 10 m/s: at constant speed. 60 m: it would have to reverse, so it brakes with 100 / 120 m/s^2.
static void references_by_hand(void **state) {
    (void)state;
    const nm_scene *scene = problem_scene(150, 105, 1000), *placed = NULL;
    must(nm_problem_scene(scene, 0, &placed, error));
    assert_int_equal(placed->track_count, 2);
    assert_int_equal(placed->ego, 1);
    assert_int_equal(placed->current_step, 5);
    assert_int_equal(placed->step_count, 107); // a step beyond the goal's last
    assert_float_equal(placed->tracks[1].length, NM_PROBLEM_LENGTH, 0);
    assert_true(placed->tracks[1].source_id != 7 && placed->tracks[0].source_id == 7);
    assert_float_equal(ego_at(placed, 5).y, 0.5f, 1e-5f); // as the problem says
    for (uint32_t k = 0; k <= 101; k += 10) {
        const nm_state at = ego_at(placed, 5 + k);
        const float x = k > 100 ? 150.0f : 50.0f + (float)k, left = 1.0f - fminf((x - 50.0f) / 20.0f, 1.0f);
        assert_float_equal(at.x, x, 0.02f);
        assert_float_equal(at.y, 0.5f * left * left, 2e-3f);
        if (k < 100) assert_float_equal(at.vx, 10.0f, 0.01f);
    }
    nm_state other;
    assert_true(nm_scene_get_state(placed, 0, 19, &other) && !nm_scene_get_state(placed, 0, 20, &other));
    nm_scene_destroy(placed);
    nm_scene_destroy(scene);
    scene = problem_scene(95, 105, 0); // 45 m in 10 s
    must(nm_problem_scene(scene, 0, &placed, error));
    const float decel = 100.0f / 90.0f;
    for (uint32_t k = 10; k <= 90; k += 20) {
        const float t = 0.1f * (float)k;
        assert_float_equal(ego_at(placed, 5 + k).x, 50.0f + 10.0f * t - 0.5f * decel * t * t, 0.02f);
    }
    assert_float_equal(ego_at(placed, 100).x, 95.0f, 0.02f);
    assert_float_equal(ego_at(placed, 100).vx, 0.0f, 1e-5f);
    nm_scene_destroy(placed);
    nm_scene_destroy(scene);
}

static void goals_from_both_sides(void **state) {
    (void)state;
    const nm_scene *s = problem_scene(150, 105, 0);
    assert_true(nm_problem_reached(s, 0, 100, 150, 0, 0, 10));
    assert_true(nm_problem_reached(s, 0, 85, 140.1f, 1.9f, 0.19f, 11.9f));
    assert_true(nm_problem_reached(s, 0, 105, 159.9f, -1.9f, -0.19f, 1.1f));
    assert_false(nm_problem_reached(s, 0, 84, 150, 0, 0, 10));
    assert_false(nm_problem_reached(s, 0, 106, 150, 0, 0, 10));
    assert_false(nm_problem_reached(s, 0, 100, 139.9f, 0, 0, 10));
    assert_false(nm_problem_reached(s, 0, 100, 160.1f, 0, 0, 10));
    assert_false(nm_problem_reached(s, 0, 100, 150, 2.1f, 0, 10));
    assert_false(nm_problem_reached(s, 0, 100, 150, 0, 0.21f, 10));
    assert_false(nm_problem_reached(s, 0, 100, 150, 0, -0.21f, 10));
    assert_false(nm_problem_reached(s, 0, 100, 150, 0, 0, 0.9f));
    assert_false(nm_problem_reached(s, 0, 100, 150, 0, 0, 12.1f));
    nm_scene_destroy(s);
}

static void what_is_missing_is_said(void **state) {
    (void)state;
    const nm_scene *scene = problem_scene(150, 105, 0), *placed = NULL;
    nm_error why;
    nm_error_clear(&why);
    assert_int_equal(nm_problem_scene(scene, 1, &placed, &why), NM_E_NOT_FOUND);
    nm_scene other = *scene;
    other.dt = 0.2f;
    assert_int_equal(nm_problem_scene(&other, 0, &placed, &why), NM_E_ARGUMENT);
    nm_scene_destroy(scene);
    scene = problem_scene(150, 5, 0);
    assert_int_equal(nm_problem_scene(scene, 0, &placed, &why), NM_E_ARGUMENT);
    nm_scene_destroy(scene);
    scene = problem_scene(20, 105, 0); // behind the start: it brakes with 10 m/s^2
    must(nm_problem_scene(scene, 0, &placed, error));
    assert_float_equal(ego_at(placed, 105).x, 55.0f, 0.02f);
    nm_scene_destroy(placed);
    nm_scene_destroy(scene);
    scene = problem_scene(150, 105, 0);
    nm_goal_area aside = scene->goal_areas[0];
    aside.centre.y = 300;
    other = *scene;
    other.goal_areas = &aside;
    assert_int_equal(nm_problem_scene(&other, 0, &placed, &why), NM_E_NOT_FOUND);
    assert_non_null(strstr(why.message, "goal lies on no lane"));
    assert_null(placed);
    nm_scene_destroy(scene);
}

static nm_status named(void *context, nm_planner **planner, nm_error *error) {
    return nm_planner_named(context, "", planner, error);
}

/// Constant velocity is at the goal in time; the expert has nobody to follow; without being asked for, scenes are
/// driven as before.
static void evaluations_drive_to_goals(void **state) {
    (void)state;
    folder f = folder_make();
    char path[300];
    snprintf(path, sizeof path, "%s/r.db", f.path);
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    const nm_scene *scene = problem_scene(150, 105, 0);
    int64_t id;
    must(nm_store_put_scene(store, scene, &id, error));
    nm_store_close(store);
    nm_results *results;
    nm_thread_pool *pool;
    must(nm_results_open(path, 1, &results, error));
    must(nm_thread_pool_create(1, &pool, error));
    char planner[] = "constant_velocity", expert[] = "expert";
    nm_evaluation_config config = {.episode = nm_episode_config_default(),
                                   .planner = named,
                                   .planner_context = planner,
                                   .run = {.planner = "a", .store = "s", .weights = "", .program = "p"},
                                   .problems = 1,
                                   .store = f.store,
                                   .scenes = &id,
                                   .scene_count = 1};
    config.episode.agents = NM_EPISODE_LOG;
    nm_evaluation_report report;
    nm_results_row *rows;
    size_t count;
    nm_arena *arena = nm_arena_create(0);
    must(nm_evaluation_run(&config, results, pool, &report, error));
    must(nm_results_rows(results, report.run, arena, &rows, &count, error));
    assert_int_equal(count, 1);
    const nm_episode *e = &rows[0].episode;
    assert_int_equal(e->outcome, NM_EPISODE_DONE);
    assert_int_equal(e->start_step, 5);
    assert_int_equal(e->samples, 101);
    assert_true(e->has_goal);
    assert_int_equal(e->goal_sample, 90); // 140 m
    assert_true(e->score.score > 0.99);
    for (uint32_t i = 0; i < e->loss_count; ++i) assert_false(e->losses[i].recording); // nobody drove there
    config.run.planner = "b";
    config.needs_recording = 1;
    config.planner_context = expert;
    must(nm_evaluation_run(&config, results, pool, &report, error));
    must(nm_results_rows(results, report.run, arena, &rows, &count, error));
    assert_int_equal(rows[0].episode.outcome, NM_EPISODE_UNFIT);
    assert_non_null(strstr(rows[0].episode.reason, "planning problem"));
    config.run.planner = "c";
    config.problems = config.needs_recording = 0;
    must(nm_evaluation_run(&config, results, pool, &report, error));
    must(nm_results_rows(results, report.run, arena, &rows, &count, error));
    assert_true(!rows[0].episode.has_goal && rows[0].episode.start_step == 0);
    nm_results_close(results);
    nm_thread_pool_destroy(pool);
    nm_arena_destroy(arena);
    nm_scene_destroy(scene);
    folder_remove(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_by_hand),
        cmocka_unit_test(goals_from_both_sides),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(evaluations_drive_to_goals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
