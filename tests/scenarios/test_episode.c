/// Planners through scenes in closed loop, against what is worked out by hand.
#include "../sim/planner_drive.h"

#include <time.h>

#include "scenarios/episode.h"
#include "sim/metrics/nuplan_scene.h"

// --- a planner of the test's own -------------------------------------------------------------------------------------

typedef enum manner {
    STRAIGHT = 0, // at `speed`, along the heading
    SIDEWAYS,     // the same, 45 degrees to the left
    NOT_A_NUMBER, // the others go wrong at step 5
    NOTHING,
    SAYS_CANCELLED,
    SAYS_MEMORY,
    SLOW,         // 30 ms for every answer
    CAN_NOT_BEGIN // at step 0
} manner;

typedef struct mind {
    manner manner;
    float speed;
    uint32_t begun, ended;
} mind;

static void *make(const char *config, char *error, size_t size) {
    (void)config, (void)error, (void)size;
    return NULL;
}

static int begin(void *planner, const nm_planner_scenario *scenario, char *error, size_t size) {
    mind *m = planner;
    (void)scenario;
    m->begun++;
    snprintf(error, size, "not today");
    return m->manner == CAN_NOT_BEGIN ? NM_E_MEMORY : 0;
}

static void end(void *planner) {
    ((mind *)planner)->ended++;
}

static int plan(void *planner, const nm_planner_observation *seen, nm_planner_output *output, char *error,
                size_t size) {
    const mind *m = planner;
    const nm_planner_pose from = seen->ego.rear_axle;
    const float heading = from.heading_scene + (m->manner == SIDEWAYS && seen->step == 0 ? 0.785398f : 0.0f);
    const int now = seen->step == 5;
    if (m->manner == SLOW) nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    snprintf(error, size, "I give up");
    if (now && m->manner == SAYS_CANCELLED) return NM_E_CANCELLED;
    if (now && m->manner == SAYS_MEMORY) return NM_E_MEMORY;
    if (now && m->manner == NOTHING) return 0;
    for (uint32_t i = 0; i <= 20; ++i) {
        const float time = 0.1f * (float)i, way = m->speed * time;
        output->points[output->point_count++] = (nm_planner_trajectory_point){
            time,
            {from.x_scene + way * cosf(heading), from.y_scene + way * sinf(heading), heading},
            now && m->manner == NOT_A_NUMBER ? NAN : m->speed};
    }
    output->answer = NM_PLANNER_TRAJECTORY;
    return 0;
}

static const nm_planner_vtable table = {.abi = NM_PLANNER_ABI,
                                        .size = sizeof(nm_planner_vtable),
                                        .name = "test",
                                        .create = make,
                                        .begin = begin,
                                        .plan = plan,
                                        .end = end};

static nm_planner *planner_of(mind *m) {
    nm_planner *planner = NULL;
    assert_int_equal(nm_planner_adopt(&table, NULL, m, &planner, NULL), NM_OK);
    return planner;
}

// --- scenes ----------------------------------------------------------------------------------------------------------

static nm_episode_config replayed(void) {
    nm_episode_config config = nm_episode_config_default();
    config.agents = NM_EPISODE_LOG;
    config.perfect = 1;
    config.deadline = 0.0f; // nothing here depends on how busy the machine is
    return config;
}

/// Three lanes, 400 m, 15 m/s.
static const nm_scene *on_road(const test_vehicle *vehicles, size_t count, uint32_t steps) {
    return scene_with(straight_road(3, 400.0, 15.0), vehicles, count, steps);
}

static const test_vehicle traffic[3] = {{NM_AGENT_CAR, 20.0f, 0.0f, 0.0f, 10.0f},
                                        {NM_AGENT_CAR, 60.0f, 0.0f, 0.0f, 10.0f},
                                        {NM_AGENT_TRUCK, 30.0f, 3.5f, 0.0f, 12.0f}};

/// A built-in scene, driven on by IDM for 120 steps: a recording with bends, braking and gaps.
static const nm_scene *recording_of(const char *specification, uint64_t seed) {
    const nm_scene *scene = scene_of(specification, seed);
    nm_world_config config = nm_world_config_default();
    config.seed = seed;
    nm_rollout_result result;
    nm_error error;
    nm_error_clear(&error);
    if (nm_rollout(scene, &config, 120, 1, &result, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_destroy(scene);
    return result.scene;
}

static nm_episode run_in(nm_episode_work *work, const nm_scene *scene, nm_planner *planner,
                         const nm_episode_config *config) {
    nm_episode out;
    nm_error error;
    nm_error_clear(&error);
    if (nm_episode_run(work, scene, planner, config, &out, &error) != NM_OK) fail_msg("%s", error.message);
    return out;
}

static nm_episode run_once(const nm_scene *scene, nm_planner *planner, const nm_episode_config *config) {
    nm_episode_work *work = nm_episode_work_create();
    assert_non_null(work);
    const nm_episode out = run_in(work, scene, planner, config);
    nm_episode_work_destroy(work);
    return out;
}

static nm_episode run_named(const nm_scene *scene, const char *name, const nm_episode_config *config) {
    nm_planner *planner = planner_named(name);
    const nm_episode out = run_once(scene, planner, config);
    nm_planner_destroy(planner);
    return out;
}

static nm_episode run_manner(const nm_scene *scene, mind m, const nm_episode_config *config) {
    nm_planner *planner = planner_of(&m);
    const nm_episode out = run_once(scene, planner, config);
    nm_planner_destroy(planner);
    assert_int_equal(m.begun, m.ended);
    return out;
}

static void assert_done(const nm_episode *e) {
    if (e->outcome != NM_EPISODE_DONE) fail_msg("%s: %s", nm_episode_outcome_name(e->outcome), e->reason);
    assert_string_equal(e->reason, "");
}

static nm_state state_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    nm_state s = {0};
    assert_true(nm_scene_get_state(scene, track, step, &s));
    return s;
}

// --- the expert ------------------------------------------------------------------------------------------------------

static nm_nuplan_result score_of_recording(const nm_scene *driven, const nm_scene *expert, uint32_t start,
                                           uint32_t iterations) {
    const nm_nuplan_map *map = NULL;
    nm_nuplan_record *record = NULL;
    nm_nuplan_result result;
    nm_error error;
    nm_error_clear(&error);
    if (nm_nuplan_map_of(expert->map, &map, &error) != NM_OK) fail_msg("%s", error.message);
    if (nm_nuplan_record_scene(map, driven, expert, start, iterations, &record, &error) != NM_OK)
        fail_msg("%s", error.message);
    if (nm_nuplan_score(&record->drive, &result, NULL, 0, NULL, &error) != NM_OK) fail_msg("%s", error.message);
    nm_nuplan_record_destroy(record);
    nm_nuplan_map_destroy(map);
    return result;
}

static void assert_same_score(const nm_nuplan_result *a, const nm_nuplan_result *b, int comfort) {
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) {
        if (m == NM_NUPLAN_COMFORT && !comfort) continue;
        if (fabs(a->metric[m].value - b->metric[m].value) > 1e-4 ||
            (a->metric[m].value < 1.0 && a->metric[m].step != b->metric[m].step))
            fail_msg("%s: %.9g at %d, %.9g at %d", nm_nuplan_describe((nm_nuplan_metric)m)->name, a->metric[m].value,
                     (int)a->metric[m].step, b->metric[m].value, (int)b->metric[m].step);
    }
    assert_int_equal(a->collisions, b->collisions);
    assert_true(fabs(a->expert_progress - b->expert_progress) < 1e-3);
    assert_true(fabs(a->ego_progress - b->ego_progress) < 0.05);
}

static void expert_reproduces_the_recording(void **state) {
    (void)state;
    nm_episode_config config = replayed();
    config.keep_scene = 1;
    const nm_scene *scene = on_road(traffic, 3, 151);
    const nm_episode e = run_named(scene, "expert", &config);
    assert_done(&e);
    assert_int_equal(e.samples, 150);
    const nm_nuplan_result wanted = score_of_recording(scene, scene, 0, 151);
    assert_same_score(&e.score, &wanted, 1);
    // nobody in the way, 10 of 15 m/s; but 149 of the way that the expert's 150 steps are
    assert_true(fabs(e.score.score - (1.0 - 5.0 / 16.0 / 150.0)) < 1e-6);
    assert_string_equal(e.worst, nm_nuplan_describe(NM_NUPLAN_PROGRESS)->name);
    assert_int_equal(e.worst_sample, NM_NONE);
    assert_true(fabsf(e.min_distance - hypotf(10.2f - 4.5f, 3.5f - 1.8f)) < 1e-3f); // to the truck, a step on
    for (uint32_t step = 0; step < 150; ++step)
        for (uint32_t track = 0; track < 3; ++track) {
            const nm_state a = state_at(e.scene, track, step), b = state_at(scene, track, step);
            assert_true(fabsf(a.x - b.x) < 1e-3f && fabsf(a.y - b.y) < 1e-3f);
        }
    nm_scene_destroy(e.scene);
    nm_scene_destroy(scene);
}

static void expert_reproduces_bends_and_braking(void **state) {
    (void)state;
    const char *const roads[] = {"roundabout:density=10", "junction_signal:density=15"};
    for (size_t i = 0; i < sizeof roads / sizeof *roads; ++i) {
        const nm_scene *scene = recording_of(roads[i], 3);
        nm_episode_config config = replayed();
        config.keep_scene = 1;
        const nm_episode e = run_named(scene, "expert", &config);
        assert_done(&e);
        nm_scene with_ego = *scene;
        with_ego.ego = e.ego_track;
        const nm_nuplan_result logged = score_of_recording(&with_ego, &with_ego, e.start_step, e.samples + 1);
        // accelerations are taken otherwise: backwards, as they are commanded
        assert_same_score(&e.score, &logged, 0);
        const nm_nuplan_result kept = score_of_recording(e.scene, &with_ego, e.start_step, e.samples + 1);
        assert_same_score(&e.score, &kept, 0);
        nm_scene_destroy(e.scene);
        nm_scene_destroy(scene);
    }
}

/// The controller lags: near the plan, but not on it.
static void tracked_is_near_the_plan(void **state) {
    (void)state;
    const nm_scene *scene = recording_of("roundabout:density=10", 3);
    nm_episode_config config = replayed();
    config.keep_scene = 1;
    const nm_episode exact = run_named(scene, "expert", &config);
    config.perfect = 0;
    const nm_episode tracked = run_named(scene, "expert", &config);
    assert_done(&tracked);
    assert_int_equal(exact.samples, tracked.samples);
    float most = 0.0f;
    for (uint32_t step = exact.start_step; step < exact.start_step + exact.samples; ++step) {
        const nm_state a = state_at(exact.scene, exact.ego_track, step);
        const nm_state b = state_at(tracked.scene, exact.ego_track, step);
        most = fmaxf(most, hypotf(a.x - b.x, a.y - b.y));
    }
    assert_true(most > 0.01f && most < 5.0f);
    nm_scene_destroy(exact.scene);
    nm_scene_destroy(tracked.scene);
    nm_scene_destroy(scene);
}

/// One step by hand: v = 10, plan says 12 from the next second on: with B = T = 1 s, a = -10 (10 - 12) / (10 + 1), of
/// which the lag of the first step lets through a third.
static void tracked_as_the_controller_says(void **state) {
    (void)state;
    const nm_scene *scene = on_road(traffic, 1, 151);
    nm_episode_config config = replayed();
    config.perfect = 0;
    config.keep_scene = 1;
    const nm_episode e = run_manner(scene, (mind){STRAIGHT, 12.0f, 0, 0}, &config);
    assert_done(&e);
    const nm_state first = state_at(e.scene, 0, 1), second = state_at(e.scene, 0, 2);
    assert_true(fabsf(first.x - 21.0f) < 1e-3f); // the speed before
    const float accel = 20.0f / 11.0f / 3.0f;
    assert_true(fabsf(second.x - (22.0f + 0.01f * accel)) < 2e-3f);
    nm_scene_destroy(e.scene);
    nm_scene_destroy(scene);
}

// --- collisions ------------------------------------------------------------------------------------------------------

/// Bumpers are 57.75 - 22.25 = 35.5 m apart: at 10 m/s they meet after 3.55 s, seen at sample 36.
static void standing_car_is_run_into(void **state) {
    (void)state;
    const test_vehicle vehicles[2] = {{NM_AGENT_CAR, 20.0f, 0.0f, 0.0f, 10.0f},
                                      {NM_AGENT_CAR, 60.0f, 0.0f, 0.0f, 0.0f}};
    const nm_scene *scene = on_road(vehicles, 2, 151);
    const nm_episode_config config = replayed();
    const nm_episode e = run_named(scene, "constant_velocity", &config);
    assert_done(&e);
    assert_int_equal(e.collision_count, 1);
    const nm_nuplan_collision *hit = &e.collisions[0];
    assert_int_equal(hit->step, 36);
    assert_int_equal(hit->track, 1);
    assert_int_equal(hit->collision_class, NM_NUPLAN_STOPPED_TRACK);
    assert_int_equal(hit->at_fault, 1);
    assert_int_equal(hit->type, NM_NUPLAN_VEHICLE);
    assert_true(fabs(hit->energy - 5.0) < 1e-3);
    assert_true(e.score.score == 0.0 && e.score.metric[NM_NUPLAN_COLLISIONS].value == 0.0);
    assert_int_equal(e.score.at_fault_vehicles, 1);
    assert_string_equal(e.worst, nm_nuplan_describe(NM_NUPLAN_COLLISIONS)->name);
    assert_int_equal(e.worst_sample, 36);
    assert_true(e.min_distance == 0.0f && e.min_ttc < 0.05f);
    // 35.5 m between them at 10 m/s: half a metre is left at sample 35
    assert_true(e.danger.value[NM_EGO_TTC] == 0.0f && e.danger.worst_step == 36 && e.danger.worst_track == 1);
    assert_float_equal(e.danger.value[NM_EGO_CLOSING], 10.0, 1e-3);
    assert_float_equal(e.danger.value[NM_EGO_THW], 0.05, 1e-4);
    assert_float_equal(e.danger.value[NM_EGO_DRAC], 100.0, 0.1);
    assert_float_equal(e.danger.value[NM_EGO_REQUIRED], 100.0, 0.1);
    assert_true(isinf(e.danger.value[NM_EGO_PET]));
    nm_scene_destroy(scene);
}

/// Somebody who drives into a standing ego: not the ego's fault, and its score is what standing there gives.
static void being_run_into_is_no_fault(void **state) {
    (void)state;
    const test_vehicle vehicles[2] = {{NM_AGENT_CAR, 60.0f, 0.0f, 0.0f, 8.0f},
                                      {NM_AGENT_CAR, 20.0f, 0.0f, 0.0f, 10.0f}};
    const nm_scene *scene = on_road(vehicles, 2, 151);
    const nm_episode_config config = replayed();
    const nm_episode e = run_manner(scene, (mind){STRAIGHT, 0.0f, 0, 0}, &config);
    assert_done(&e);
    assert_int_equal(e.collision_count, 1);
    assert_int_equal(e.collisions[0].collision_class, NM_NUPLAN_STOPPED_EGO);
    assert_int_equal(e.collisions[0].at_fault, 0);
    assert_true(e.score.metric[NM_NUPLAN_COLLISIONS].value == 1.0);
    assert_true(e.score.metric[NM_NUPLAN_MAKING_PROGRESS].value == 0.0 && e.score.score == 0.0);
    nm_scene_destroy(scene);
}

/// Boxes that overlap at the start part after 2.25 m of way at 5 m/s; what drives into them later counts.
static void contact_at_the_start_is_nobodys_doing(void **state) {
    (void)state;
    const test_vehicle vehicles[3] = {{NM_AGENT_CAR, 20.0f, 0.0f, 0.0f, 5.0f},
                                      {NM_AGENT_CAR, 22.25f, 0.0f, 0.0f, 10.0f},
                                      {NM_AGENT_CAR, 60.0f, 0.0f, 0.0f, 0.0f}};
    const nm_scene *two = on_road(vehicles, 2, 101), *three = on_road(vehicles, 3, 101);
    const nm_episode_config config = replayed();
    const nm_episode alone = run_named(two, "expert", &config);
    assert_done(&alone);
    assert_int_equal(alone.score.collisions, 0);
    assert_true(alone.score.metric[NM_NUPLAN_COLLISIONS].value == 1.0);
    assert_true(alone.min_distance > 0.0f && alone.min_distance < 0.6f);
    assert_true(isinf(alone.danger.value[NM_EGO_TTC]) && alone.danger.value[NM_EGO_REQUIRED] == 0.0f);
    assert_float_equal(alone.danger.value[NM_EGO_THW], 0.05, 1e-4); // parted at sample 5: 0.25 m at 5 m/s
    const nm_episode later = run_named(three, "expert", &config);
    assert_int_equal(later.score.collisions, 1);
    assert_int_equal(later.collisions[0].track, 2);
    assert_true(later.danger.worst_track == 2 && later.danger.value[NM_EGO_TTC] == 0.0f);
    assert_int_equal(later.collisions[0].step, 71); // 35.5 m at 5 m/s take 7.1 s, touching counts
    nm_scene_destroy(two);
    nm_scene_destroy(three);
}

// --- how long --------------------------------------------------------------------------------------------------------

static void samples_are_one_less_than_iterations(void **state) {
    (void)state;
    const nm_scene *scene = on_road(traffic, 3, 151), *brief = on_road(traffic, 3, 41);
    nm_episode_config config = replayed();
    config.seconds = 5.0f;
    assert_int_equal(run_named(scene, "expert", &config).samples, 50);
    config.seconds = 15.0f;
    const nm_episode whole = run_named(brief, "expert", &config);
    assert_int_equal(whole.samples, 40);
    assert_true(whole.seconds == 4.0f);
    config.start_step = 25;
    const nm_episode rest = run_named(brief, "expert", &config);
    assert_int_equal(rest.start_step, 25);
    assert_int_equal(rest.samples, 15);
    assert_done(&rest);
    nm_scene_destroy(scene);
    nm_scene_destroy(brief);
}

/// At 20 m/s from x = 300 the front, 2.25 m ahead, is within half a metre of the end at 400 m at step 49.
static void end_of_the_map_ends_the_episode(void **state) {
    (void)state;
    const test_vehicle ego = {NM_AGENT_CAR, 300.0f, 0.0f, 0.0f, 5.0f};
    const nm_scene *scene = on_road(&ego, 1, 151);
    nm_episode_config config = replayed();
    config.keep_scene = 1;
    const nm_episode e = run_manner(scene, (mind){STRAIGHT, 20.0f, 0, 0}, &config);
    assert_done(&e);
    assert_int_equal(e.samples, 49);
    assert_int_equal(e.scene->step_count, 49);
    assert_true(e.score.metric[NM_NUPLAN_DRIVABLE_AREA].value == 1.0);
    assert_true(e.score.metric[NM_NUPLAN_PROGRESS].value == 1.0); // 96 m; the expert came 75 m far
    assert_true(fabs(e.score.ego_progress - 96.0) < 0.1);
    // beside the road there is no end to it: that is off the road, to the end of the recording
    config.keep_scene = 0;
    const nm_episode off = run_manner(scene, (mind){SIDEWAYS, 10.0f, 0, 0}, &config);
    assert_done(&off);
    assert_int_equal(off.samples, 150);
    assert_true(off.score.metric[NM_NUPLAN_DRIVABLE_AREA].value == 0.0 && off.score.score == 0.0);
    nm_scene_destroy(e.scene);
    nm_scene_destroy(scene);
}

// --- planners that fail ----------------------------------------------------------------------------------------------

static void failures_cost_their_episode_only(void **state) {
    (void)state;
    const nm_scene *scene = on_road(traffic, 3, 151);
    nm_episode_config config = replayed();
    config.keep_scene = 1;
    const struct {
        manner manner;
        uint32_t samples;
        const char *words;
    } bad[] = {{NOT_A_NUMBER, 6, "step 5"},
               {NOTHING, 6, "step 5"},
               {SAYS_CANCELLED, 6, "I give up"},
               {SAYS_MEMORY, 6, "I give up"},
               {CAN_NOT_BEGIN, 0, "not today"}};
    mind m = {STRAIGHT, 10.0f, 0, 0};
    nm_planner *planner = planner_of(&m);
    nm_episode_work *work = nm_episode_work_create();
    const nm_episode good = run_in(work, scene, planner, &config);
    assert_done(&good);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        m.manner = bad[i].manner;
        const nm_episode e = run_in(work, scene, planner, &config);
        if (e.outcome != NM_EPISODE_FAILED || !strstr(e.reason, bad[i].words)) fail_msg("%zu: %s", i, e.reason);
        assert_int_equal(e.samples, bad[i].samples);
        assert_true(e.score.score == 0.0 && e.collision_count == 0);
        assert_int_equal(e.scene ? e.scene->step_count : 0, bad[i].samples);
        nm_scene_destroy(e.scene);
        m.manner = STRAIGHT;
        const nm_episode again = run_in(work, scene, planner, &config);
        assert_done(&again);
        assert_true(again.score.score == good.score.score && again.scene->hash == good.scene->hash);
        nm_scene_destroy(again.scene);
    }
    assert_int_equal(m.begun, m.ended);
    nm_scene_destroy(good.scene);
    nm_episode_work_destroy(work);
    nm_planner_destroy(planner);
    nm_scene_destroy(scene);
}

/// What was not driven to its end is not measured.
static void danger_is_that_of_whole_drives(void **state) {
    (void)state;
    const nm_scene *scene = on_road(traffic, 3, 60);
    const nm_episode_config config = replayed();
    const nm_episode e = run_manner(scene, (mind){NOT_A_NUMBER, 10.0f, 0, 0}, &config);
    assert_int_equal(e.outcome, NM_EPISODE_FAILED);
    for (int m = 0; m < NM_EGO_MEASURE_COUNT; ++m) assert_true(isnan(e.danger.value[m]));
    assert_int_equal(e.danger.worst_step, NM_NONE);
    nm_scene_destroy(scene);
}

static void late_answers_fail(void **state) {
    (void)state;
    const nm_scene *scene = on_road(traffic, 3, 21);
    nm_episode_config config = replayed();
    config.deadline = 0.01f;
    const nm_episode late = run_manner(scene, (mind){SLOW, 10.0f, 0, 0}, &config);
    assert_int_equal(late.outcome, NM_EPISODE_FAILED);
    assert_int_equal(late.samples, 1);
    assert_true(late.plan_max >= 0.03 && late.plan_mean == late.plan_max);
    config.deadline = 0.0f;
    const nm_episode patient = run_manner(scene, (mind){SLOW, 10.0f, 0, 0}, &config);
    assert_done(&patient);
    assert_true(patient.plan_mean >= 0.03 && patient.wall_seconds >= 19 * 0.03); // the last sample needs no answer
    nm_scene_destroy(scene);
}

// --- scenes that do not fit ------------------------------------------------------------------------------------------

static void assert_unfit(const nm_scene *scene, const nm_episode_config *config, const char *words) {
    const nm_episode e = run_manner(scene, (mind){STRAIGHT, 10.0f, 0, 0}, config);
    if (e.outcome != NM_EPISODE_UNFIT || !strstr(e.reason, words))
        fail_msg("'%s' wanted: %s, '%s'", words, nm_episode_outcome_name(e.outcome), e.reason);
    assert_int_equal(e.samples, 0);
    assert_null(e.scene);
}

static const nm_map *map_without_lanes(void) {
    nm_map_builder *builder = nm_map_builder_create();
    const nm_map *map = NULL;
    nm_error error;
    nm_error_clear(&error);
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    if (nm_map_builder_build(builder, &map, &error) != NM_OK) fail_msg("%s", error.message);
    nm_map_builder_destroy(builder);
    return map;
}

static void scenes_that_do_not_fit_say_why(void **state) {
    (void)state;
    const test_vehicle walker = {NM_AGENT_PEDESTRIAN, 20.0f, 0.0f, 0.0f, 1.0f};
    const test_vehicle lost = {NM_AGENT_CAR, 20.0f, 50.0f, 0.0f, 10.0f};
    const test_vehicle leaving = {NM_AGENT_CAR, 398.0f, 0.0f, 0.0f, 0.5f};
    nm_episode_config config = replayed();
    config.keep_scene = 1;
    const nm_scene *scene = on_road(&walker, 1, 151);
    nm_scene nobody = *scene;
    nobody.ego = NM_NONE;
    assert_unfit(&nobody, &config, "no ego");
    nm_scene_destroy(scene);
    scene = on_road(&lost, 1, 151);
    assert_unfit(scene, &config, "lane");
    nm_scene_destroy(scene);
    scene = on_road(&leaving, 1, 151);
    assert_unfit(scene, &config, "leaves the map");
    nm_scene_destroy(scene);
    scene = scene_with(map_without_lanes(), traffic, 3, 151);
    assert_unfit(scene, &config, "lane");
    nm_scene_destroy(scene);
    scene = on_road(traffic, 3, 10); // nine steps after the first
    assert_unfit(scene, &config, "less than a second");
    config.start_step = 10;
    assert_unfit(scene, &config, "ends before the start");
    config.start_step = NM_NONE;
    config.ego_track = 3;
    assert_unfit(scene, &config, "no ego");
    nm_scene slow = *scene;
    slow.dt = 0.2f;
    assert_unfit(&slow, &config, "0.1 s");
    nm_scene_destroy(scene);
    scene = on_road(traffic, 3, 11);
    config.ego_track = NM_NONE;
    const nm_episode least = run_named(scene, "expert", &config);
    assert_done(&least);
    assert_int_equal(least.samples, 10);
    nm_scene_destroy(least.scene);
    nm_scene_destroy(scene);
}

static void configurations_without_sense_are_refused(void **state) {
    (void)state;
    const nm_scene *scene = on_road(traffic, 3, 151);
    nm_planner *planner = planner_named("expert");
    nm_episode_work *work = nm_episode_work_create();
    nm_idm_params idm = *nm_idm_named("nuplan");
    idm.accel = NAN;
    nm_episode_config bad[7];
    for (int i = 0; i < 7; ++i) bad[i] = replayed();
    bad[0].seconds = 0.9f;
    bad[1].seconds = 61.0f;
    bad[2].deadline = NAN;
    bad[3].idm = &idm;
    bad[4].idm = NULL;
    bad[5].agents = NM_EPISODE_AGENTS_COUNT;
    bad[6].agents = NM_EPISODE_NEXUS;
    for (int i = 0; i < 7; ++i) {
        nm_episode out;
        nm_error error;
        nm_error_clear(&error);
        assert_int_equal(nm_episode_run(work, scene, planner, &bad[i], &out, &error), NM_E_ARGUMENT);
        assert_true(error.message[0] && out.samples == 0 && !out.scene);
    }
    nm_episode_work_destroy(work);
    nm_planner_destroy(planner);
    nm_scene_destroy(scene);
}

static int stop_at_five(void *context) {
    uint32_t *asked = context;
    return ++*asked == 5;
}

static void stops_when_asked(void **state) {
    (void)state;
    const nm_scene *scene = on_road(traffic, 3, 151);
    nm_episode_config config = replayed();
    uint32_t asked = 0;
    config.stop = stop_at_five;
    config.stop_context = &asked;
    config.keep_scene = 1;
    mind m = {STRAIGHT, 10.0f, 0, 0};
    nm_planner *planner = planner_of(&m);
    nm_episode_work *work = nm_episode_work_create();
    nm_episode out;
    assert_int_equal(nm_episode_run(work, scene, planner, &config, &out, NULL), NM_E_CANCELLED);
    assert_true(asked == 5 && !out.scene && m.begun == 1 && m.ended == 1);
    nm_episode_work_destroy(work);
    nm_planner_destroy(planner);
    nm_scene_destroy(scene);
}

// --- who, and what is kept -------------------------------------------------------------------------------------------

static void ego_is_chosen_where_there_is_none(void **state) {
    (void)state;
    const test_vehicle vehicles[5] = {{NM_AGENT_PEDESTRIAN, 20.0f, 6.0f, 0.0f, 20.0f},
                                      {NM_AGENT_CAR, 20.0f, 0.0f, 0.0f, 5.0f},
                                      {NM_AGENT_TRUCK, 60.0f, 3.5f, 0.0f, 12.0f},
                                      {NM_AGENT_CAR, 20.0f, 7.0f, 0.0f, 12.0f},
                                      {NM_AGENT_CYCLIST, 90.0f, 0.0f, 0.0f, 13.0f}};
    const nm_scene *scene = on_road(vehicles, 5, 101);
    nm_scene nobody = *scene;
    nobody.ego = NM_NONE;
    nm_episode_config config = replayed();
    assert_int_equal(run_named(&nobody, "expert", &config).ego_track, 2); // of the fastest the first
    config.ego_track = 1;
    assert_int_equal(run_named(&nobody, "expert", &config).ego_track, 1);
    nobody.ego = 3;
    assert_int_equal(run_named(&nobody, "expert", &config).ego_track, 1);
    config.ego_track = NM_NONE;
    assert_int_equal(run_named(&nobody, "expert", &config).ego_track, 3);
    nm_scene_destroy(scene);
}

static void kept_scene_is_what_was_driven(void **state) {
    (void)state;
    const nm_scene *scene = on_road(traffic, 3, 151);
    nm_episode_config config = replayed();
    config.keep_scene = 1;
    config.start_step = 20;
    config.seed = 77;
    const nm_episode e = run_manner(scene, (mind){STRAIGHT, 6.0f, 0, 0}, &config);
    assert_done(&e);
    assert_int_equal(e.samples, 130);
    const nm_scene *kept = e.scene;
    assert_int_equal(kept->step_count, 150);
    assert_int_equal(kept->current_step, 20);
    assert_int_equal(kept->ego, 0);
    assert_string_equal(kept->provenance.source, "evaluate");
    assert_true(kept->provenance.parent == scene->hash && kept->provenance.seed == 77);
    assert_non_null(strstr(kept->provenance.parameters, "\"planner\":\"test\""));
    for (uint32_t step = 0; step < 150; ++step) {
        const nm_state ego = state_at(kept, 0, step);
        const float wanted = step <= 20 ? 20.0f + (float)step : 40.0f + 0.6f * (float)(step - 20);
        assert_true(fabsf(ego.x - wanted) < 2e-3f);
    }
    nm_scene_destroy(kept);
    nm_scene_destroy(scene);
}

static int same_bits(const nm_episode *a, const nm_episode *b) {
    return a->outcome == b->outcome && a->samples == b->samples && a->min_ttc == b->min_ttc &&
           a->min_distance == b->min_distance && a->worst_sample == b->worst_sample &&
           a->score.score == b->score.score && a->score.ego_progress == b->score.ego_progress &&
           a->score.metric[NM_NUPLAN_COMFORT].worst == b->score.metric[NM_NUPLAN_COMFORT].worst &&
           a->scene->hash == b->scene->hash;
}

static void same_again_is_the_same(void **state) {
    (void)state;
    const nm_scene *scene = recording_of("junction_signal:density=15", 4), *other = recording_of("highway", 5);
    nm_episode_config config = nm_episode_config_default();
    config.keep_scene = 1;
    config.deadline = 0.0f;
    config.seconds = 6.0f;
    nm_planner *planner = planner_named("idm");
    nm_episode_work *work = nm_episode_work_create();
    const nm_episode first = run_in(work, scene, planner, &config);
    const nm_episode between = run_in(work, other, planner, &config);
    const nm_episode second = run_in(work, scene, planner, &config);
    const nm_episode fresh = run_named(scene, "idm", &config);
    assert_done(&first);
    assert_done(&between);
    assert_true(same_bits(&first, &second) && same_bits(&first, &fresh) && !same_bits(&first, &between));
    const nm_scene *all[] = {first.scene, between.scene, second.scene, fresh.scene, scene, other};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) nm_scene_destroy(all[i]);
    nm_episode_work_destroy(work);
    nm_planner_destroy(planner);
}

/// Who reacts brakes behind an ego that stands; who is replayed drives through it.
static void agents_react_or_do_not(void **state) {
    (void)state;
    const test_vehicle vehicles[2] = {{NM_AGENT_CAR, 100.0f, 0.0f, 0.0f, 8.0f},
                                      {NM_AGENT_CAR, 40.0f, 0.0f, 0.0f, 10.0f}};
    const nm_scene *scene = on_road(vehicles, 2, 151);
    nm_episode_config config = replayed();
    assert_int_equal(run_manner(scene, (mind){STRAIGHT, 0.0f, 0, 0}, &config).score.collisions, 1);
    config.agents = NM_EPISODE_IDM;
    assert_int_equal(run_manner(scene, (mind){STRAIGHT, 0.0f, 0, 0}, &config).score.collisions, 0);
    nm_scene_destroy(scene);
}

static void names(void **state) {
    (void)state;
    for (int i = 0; i < NM_EPISODE_AGENTS_COUNT; ++i) {
        nm_episode_agents back;
        assert_true(nm_episode_agents_from_name(nm_episode_agents_name((nm_episode_agents)i), &back));
        assert_int_equal(back, i);
    }
    nm_episode_agents unused = NM_EPISODE_LOG;
    assert_false(nm_episode_agents_from_name("IDM", &unused));
    assert_string_equal(nm_episode_outcome_name(NM_EPISODE_UNFIT), "unfit");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expert_reproduces_the_recording),
        cmocka_unit_test(expert_reproduces_bends_and_braking),
        cmocka_unit_test(tracked_is_near_the_plan),
        cmocka_unit_test(tracked_as_the_controller_says),
        cmocka_unit_test(standing_car_is_run_into),
        cmocka_unit_test(being_run_into_is_no_fault),
        cmocka_unit_test(contact_at_the_start_is_nobodys_doing),
        cmocka_unit_test(samples_are_one_less_than_iterations),
        cmocka_unit_test(end_of_the_map_ends_the_episode),
        cmocka_unit_test(failures_cost_their_episode_only),
        cmocka_unit_test(danger_is_that_of_whole_drives),
        cmocka_unit_test(late_answers_fail),
        cmocka_unit_test(scenes_that_do_not_fit_say_why),
        cmocka_unit_test(configurations_without_sense_are_refused),
        cmocka_unit_test(stops_when_asked),
        cmocka_unit_test(ego_is_chosen_where_there_is_none),
        cmocka_unit_test(kept_scene_is_what_was_driven),
        cmocka_unit_test(same_again_is_the_same),
        cmocka_unit_test(agents_react_or_do_not),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
