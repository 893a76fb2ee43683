/// Why scores are not 1: by hand, of driven episodes, and in the file of results.
#include "../sim/planner_drive.h"

#include <math.h>

#include "scenarios/episode_clean.h"
#include "scenarios/results.h"
#include "sim/math.h"
#include "sim/metrics/nuplan_scene.h"

// --- by hand ---------------------------------------------------------------------------------------------------------

static nm_nuplan_result perfect(void) {
    nm_nuplan_result result = {.score = 1.0};
    for (int m = 0; m < NM_NUPLAN_METRIC_COUNT; ++m)
        result.metric[m] = (nm_nuplan_value){.value = 1.0, .step = NM_NONE, .track = NM_NONE};
    return result;
}

static void rescore(nm_nuplan_result *result) {
    double values[NM_NUPLAN_SCORED_COUNT];
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) values[m] = result->metric[m].value;
    result->score = nm_nuplan_combine(values);
}

/// Progress 0.8, a TTC with track 4, comfort by its jerk: the score is (4 + 0 + 4 + 0) / 16 = 0.5.
static void losses_by_hand(void **state) {
    (void)state;
    nm_nuplan_result score = perfect(), recorded = perfect();
    nm_loss losses[NM_NUPLAN_SCORED_COUNT];
    assert_int_equal(nm_losses_of(&score, NULL, 0, NULL, losses), 0);
    score.metric[NM_NUPLAN_PROGRESS] = (nm_nuplan_value){0.8, 0.8, NM_NONE, NM_NONE};
    score.metric[NM_NUPLAN_TTC] = (nm_nuplan_value){0.0, 0.6, 17, 4};
    score.metric[NM_NUPLAN_COMFORT] = (nm_nuplan_value){0.0, 2.0, 9, NM_NONE};
    score.metric[NM_NUPLAN_LON_ACCEL] = (nm_nuplan_value){0.0, -6.0, 30, NM_NONE}; // 1.48 of its bound
    score.metric[NM_NUPLAN_LON_JERK] = (nm_nuplan_value){0.0, 8.26, 9, NM_NONE};   // 2.0
    rescore(&score);
    assert_float_equal(score.score, 0.5, 1e-12);
    recorded.metric[NM_NUPLAN_TTC].value = 0.0;
    recorded.metric[NM_NUPLAN_PROGRESS].value = 0.91; // 0.09 of 0.2: less than half
    rescore(&recorded);
    assert_int_equal(nm_losses_of(&score, NULL, 0, &recorded, losses), 3);
    assert_int_equal(losses[0].metric, NM_NUPLAN_PROGRESS);
    assert_float_equal(losses[0].cost, 1.0 / 16, 1e-12);
    assert_true(!losses[0].recording && losses[0].sample == NM_NONE && losses[0].track == NM_NONE);
    assert_float_equal(losses[0].recorded, 0.91, 0);
    assert_int_equal(losses[1].metric, NM_NUPLAN_TTC);
    assert_float_equal(losses[1].cost, 5.0 / 16, 1e-12);
    assert_true(losses[1].recording && losses[1].sample == 17 && losses[1].track == 4);
    assert_int_equal(losses[2].metric, NM_NUPLAN_COMFORT);
    assert_string_equal(nm_loss_detail(&losses[2]), "ego_lon_jerk");
    assert_true(losses[2].sample == 9 && !losses[2].recording);
    recorded.metric[NM_NUPLAN_PROGRESS].value = 0.9; // half
    nm_losses_of(&score, NULL, 0, &recorded, losses);
    assert_true(losses[0].recording);
    nm_losses_of(&score, NULL, 0, NULL, losses);
    assert_true(isnan(losses[0].recorded) && !losses[0].recording);
}

/// A collision at fault makes the score 0: taking it away alone gives back what is left, the TTC of 0 not.
static void collisions_by_hand(void **state) {
    (void)state;
    nm_nuplan_result score = perfect();
    nm_loss losses[NM_NUPLAN_SCORED_COUNT];
    const nm_nuplan_collision contacts[2] = {
        {.track = 2, .step = 5, .collision_class = NM_NUPLAN_ACTIVE_REAR},
        {.track = 7, .step = 40, .collision_class = NM_NUPLAN_STOPPED_TRACK, .at_fault = 1}};
    score.metric[NM_NUPLAN_COLLISIONS] = (nm_nuplan_value){0.0, 1.0, 40, NM_NONE};
    score.metric[NM_NUPLAN_TTC] = (nm_nuplan_value){0.0, 0.0, 40, NM_NONE};
    rescore(&score);
    assert_int_equal(nm_losses_of(&score, contacts, 2, NULL, losses), 2);
    assert_string_equal(nm_loss_detail(&losses[0]), "stopped_track");
    assert_float_equal(losses[0].cost, 11.0 / 16, 1e-12);
    assert_true(losses[0].track == 7 && losses[0].sample == 40);
    assert_float_equal(losses[1].cost, 0.0, 0);
    assert_int_equal(losses[1].track, 7);
}

static void names_come_back(void **state) {
    (void)state;
    int known = 0;
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m)
        for (int d = 0; d < NM_NUPLAN_METRIC_COUNT; ++d) {
            const nm_loss loss = {.metric = (uint8_t)m, .detail = (uint8_t)d};
            if (m == NM_NUPLAN_COLLISIONS ? d >= NM_NUPLAN_CLASS_COUNT
                : m == NM_NUPLAN_COMFORT  ? d < NM_NUPLAN_LON_ACCEL
                                          : d != 0)
                continue;
            nm_loss back = {0};
            const char *metric = nm_nuplan_describe((nm_nuplan_metric)m)->name;
            assert_true(nm_loss_from_names(metric, nm_loss_detail(&loss), &back));
            assert_true(back.metric == m && back.detail == d);
            ++known;
        }
    assert_int_equal(known, 6 + NM_NUPLAN_CLASS_COUNT + 6);
    nm_loss none;
    assert_false(nm_loss_from_names("ego_is_comfortable", "active_front", &none));
    assert_false(nm_loss_from_names("score", "", &none));
}

static void reasons_add_up(void **state) {
    (void)state;
    nm_reasons reasons = {0};
    const nm_loss first[2] = {{.metric = NM_NUPLAN_TTC, .cost = 0.25, .recording = 1},
                              {.metric = NM_NUPLAN_COMFORT, .detail = NM_NUPLAN_JERK, .cost = 0.125}};
    const nm_loss second[2] = {{.metric = NM_NUPLAN_COMFORT, .detail = NM_NUPLAN_YAW_RATE, .cost = 0.125},
                               {.metric = NM_NUPLAN_TTC, .cost = 0.5}};
    nm_reasons_add(&reasons, first, 2);
    nm_reasons_add(&reasons, second, 2);
    nm_reasons_add(&reasons, &first[1], 1);
    nm_reasons_sort(&reasons);
    assert_int_equal(reasons.count, 3);
    assert_int_equal(reasons.reasons[0].about.metric, NM_NUPLAN_TTC);
    assert_true(reasons.reasons[0].episodes == 2 && reasons.reasons[0].recordings == 1);
    assert_float_equal(reasons.reasons[0].cost, 0.75, 0);
    assert_int_equal(reasons.reasons[1].about.detail, NM_NUPLAN_JERK);
    assert_int_equal(reasons.reasons[1].episodes, 2);
}

// --- driven ----------------------------------------------------------------------------------------------------------

static nm_episode driven(const nm_scene *scene, const char *planner, int perfectly) {
    nm_episode_config config = nm_episode_config_default();
    config.agents = NM_EPISODE_LOG;
    config.perfect = perfectly;
    config.deadline = 0.0f;
    nm_planner *p = planner_named(planner);
    nm_episode_work *work = nm_episode_work_create();
    nm_episode out;
    nm_error error;
    nm_error_clear(&error);
    if (nm_episode_run(work, scene, p, &config, &out, &error) != NM_OK) fail_msg("%s", error.message);
    nm_episode_work_destroy(work);
    nm_planner_destroy(p);
    return out;
}

static const nm_loss *loss_in(const nm_episode *e, nm_nuplan_metric metric) {
    for (uint32_t i = 0; i < e->loss_count; ++i)
        if (e->losses[i].metric == metric) return &e->losses[i];
    return NULL;
}

/// The car ahead stands at 60 m in the ego's lane; the recording drives through it, 10 m/s from 20 m on.
static void what_the_recording_did_is_its(void **state) {
    (void)state;
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 20, 0, 0, 10}, {NM_AGENT_CAR, 60, 0, 0, 0}};
    const nm_scene *scene = scene_with(straight_road(2, 400, 15), cars, 2, 60);
    const nm_episode expert = driven(scene, "expert", 1);
    assert_int_equal(expert.outcome, NM_EPISODE_DONE);
    const nm_loss *collision = loss_in(&expert, NM_NUPLAN_COLLISIONS), *ttc = loss_in(&expert, NM_NUPLAN_TTC);
    assert_true(collision && ttc);
    assert_true(collision->recording && ttc->recording);
    assert_string_equal(nm_loss_detail(collision), "stopped_track");
    assert_int_equal(collision->track, 1);
    assert_int_equal(collision->sample, 36); // 40 - 4.5 m from where 35.5 m were driven
    assert_float_equal(collision->recorded, 0.0, 0);
    // nothing else is wrong but the last sample of the progress
    assert_int_equal(expert.loss_count, 3);
    const nm_loss *progress = loss_in(&expert, NM_NUPLAN_PROGRESS);
    assert_true(progress && progress->recording && progress->track == NM_NONE);
    nm_scene_destroy(scene);
}

/// The recording changes lanes before the standing car; who keeps on runs into it by itself.
static void what_the_planner_did_is_its(void **state) {
    (void)state;
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_map *map = straight_road(2, 400, 15);
    nm_error error;
    uint32_t track[2];
    const nm_track_def defs[2] = {{.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f},
                                  {.id = 2, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f}};
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 60, &error), NM_OK);
    for (int i = 0; i < 2; ++i)
        assert_int_equal(nm_scene_builder_add_track(builder, &defs[i], &track[i], &error), NM_OK);
    for (uint32_t t = 0; t < 60; ++t) {
        const double u = fmin(t / 30.0, 1.0), slope = t < 30 ? 3.5 * 6 * u * (1 - u) / 30.0 : 0.0;
        const nm_state_def ego = {
            .x = 20.0 + t, .y = 3.5 * u * u * (3 - 2 * u), .heading = atan(slope), .vx = 10, .vy = 10 * slope};
        const nm_state_def other = {.x = 70};
        assert_int_equal(nm_scene_builder_add_state(builder, track[0], t, &ego, &error), NM_OK);
        assert_int_equal(nm_scene_builder_add_state(builder, track[1], t, &other, &error), NM_OK);
    }
    nm_scene_builder_set_current(builder, 0, 0);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    const nm_episode e = driven(scene, "constant_velocity", 0);
    const nm_loss *collision = loss_in(&e, NM_NUPLAN_COLLISIONS);
    assert_true(collision && !collision->recording && collision->track == 1);
    assert_float_equal(collision->recorded, 1.0, 0);
    const nm_episode expert = driven(scene, "expert", 0);
    assert_null(loss_in(&expert, NM_NUPLAN_COLLISIONS));
    nm_scene_destroy(scene);
}

/// As from a converter that knew no size: such a track is left out and counted, the rest is scored.
static void boxes_without_size_are_left_out(void **state) {
    (void)state;
    const test_vehicle cars[3] = {
        {NM_AGENT_CAR, 20, 0, 0, 10}, {NM_AGENT_CAR, 60, 0, 0, 0}, {NM_AGENT_CAR, 80, 3.5f, 0, 0}};
    const nm_scene *sized = scene_with(straight_road(2, 400, 15), cars, 3, 60);
    nm_scene scene = *sized;
    nm_track *tracks = calloc(scene.track_count, sizeof *tracks);
    assert_non_null(tracks);
    memcpy(tracks, sized->tracks, scene.track_count * sizeof *tracks);
    tracks[1].length = tracks[1].width = 0.0f;
    scene.tracks = tracks;
    scene.state_length = scene.state_width = NULL;
    const nm_episode e = driven(&scene, "expert", 1);
    assert_int_equal(e.outcome, NM_EPISODE_DONE);
    assert_int_equal(e.sizeless, 1);
    assert_null(loss_in(&e, NM_NUPLAN_COLLISIONS));
    const nm_loss *progress = loss_in(&e, NM_NUPLAN_PROGRESS);
    assert_true(progress && progress->recording); // the recording can be scored as well
    free(tracks);
    nm_scene_destroy(sized);
}

// --- clean -----------------------------------------------------------------------------------------------------------

static nm_cleanness cleanness_of(const nm_scene *scene) {
    nm_arena *arena = nm_arena_create(0);
    const nm_episode_config config = nm_episode_config_default();
    nm_cleanness out;
    nm_error error;
    nm_error_clear(&error);
    if (nm_episode_clean(scene, &config, arena, &out, &error) != NM_OK) fail_msg("%s", error.message);
    nm_arena_destroy(arena);
    return out;
}

/// A car on the first of two lanes with a limit of 15 m/s, and perhaps another.
static const char *clean(float y, float speed, float heading, uint32_t steps, float other_x, float other_y) {
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 50, y, heading, speed}, {NM_AGENT_CAR, other_x, other_y, 0, 0}};
    const nm_scene *scene = scene_with(straight_road(2, 400, 15), cars, 2, steps);
    const nm_cleanness out = cleanness_of(scene);
    nm_scene_destroy(scene);
    return nm_cleanness_name(&out);
}

static void clean_is_what_nothing_is_wrong_with(void **state) {
    (void)state;
    assert_string_equal(clean(0, 10, 0, 60, 300, 3.5f), "clean");
    assert_string_equal(clean(0, 17.2f, 0, 60, 300, 3.5f), "clean"); // 2.2 m/s over the limit
    assert_string_equal(clean(0, 17.3f, 0, 60, 300, 3.5f), "speeding");
    assert_string_equal(clean(0, 10, 0, 60, 80, 0), "contact");
    assert_string_equal(clean(0, 10, 0, 60, 50, 1.0f), "contact");    // from the start on
    assert_string_equal(clean(-1.1f, 10, 0, 60, 300, 3.5f), "clean"); // its right side 0.25 m off the road
    assert_string_equal(clean(-1.3f, 10, 0, 60, 300, 3.5f), "off_road");
    assert_string_equal(clean(0, 10, NM_PI_F, 30, 300, 3.5f), "wrong_way");
    assert_string_equal(clean(0, 10, 0, 17, 300, 3.5f), "clean"); // as many states as the jerk needs
    assert_string_equal(clean(0, 10, 0, 16, 300, 3.5f), "too_short");
}

/// 3 m/s^2 for a second: more than nuPlan calls comfortable; said where and by how much.
static void clean_looks_at_the_motion(void **state) {
    (void)state;
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_map *map = straight_road(1, 400, 30);
    nm_error error;
    uint32_t track;
    const nm_track_def def = {.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 60, &error), NM_OK);
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    double x = 50, v = 5;
    for (uint32_t t = 0; t < 60; ++t) {
        const nm_state_def at = {.x = x, .vx = v};
        assert_int_equal(nm_scene_builder_add_state(builder, track, t, &at, &error), NM_OK);
        const double a = t < 10 ? 0.0 : fmin(0.35 * (t - 10), 3.0); // 3.5 m/s^3, which is comfortable
        x += 0.1 * v + 0.005 * a, v += 0.1 * a;
    }
    nm_scene_builder_set_current(builder, 0, 0);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    const nm_cleanness out = cleanness_of(scene);
    assert_string_equal(nm_cleanness_name(&out), "acceleration");
    assert_float_equal(out.value, 3.0f, 0.05f);
    assert_float_equal(out.limit, 2.4f, 1e-6f);
    assert_true(out.track == 0 && out.step > 15);
    nm_scene none = *scene;
    none.ego = NM_NONE;
    nm_episode_config config = nm_episode_config_default();
    config.start_step = 59; // nothing comes after
    nm_arena *arena = nm_arena_create(0);
    nm_cleanness unfit;
    assert_int_equal(nm_episode_clean(&none, &config, arena, &unfit, &error), NM_OK);
    assert_string_equal(nm_cleanness_name(&unfit), "unfit");
    nm_arena_destroy(arena);
    nm_scene_destroy(scene);
}

// --- kept ------------------------------------------------------------------------------------------------------------

static void losses_and_words_come_back(void **state) {
    (void)state;
    nm_results *results;
    nm_results_row *rows;
    size_t count;
    int64_t id;
    nm_error error;
    nm_arena *arena = nm_arena_create(0);
    assert_int_equal(nm_results_open(":memory:", 1, &results, NULL), NM_OK);
    const nm_results_run run = {
        .planner = "a", .store = "s", .weights = "", .program = "p", .idm = "nuplan", .seconds = 15.0f};
    assert_int_equal(nm_results_begin_run(results, &run, &id, NULL), NM_OK);
    nm_results_row row = {.scene = 3, .name = "n", .type = "t", .said = "one\ntwo \xc3\xa9\n"};
    row.episode = (nm_episode){.start_step = 10, .samples = 100, .worst = "", .worst_sample = NM_NONE};
    row.episode.loss_count = 2;
    row.episode.losses[0] = (nm_loss){.metric = NM_NUPLAN_COLLISIONS,
                                      .detail = NM_NUPLAN_ACTIVE_FRONT,
                                      .value = 0.5,
                                      .cost = 0.25,
                                      .recorded = 1.0,
                                      .sample = 7,
                                      .track = 2};
    row.episode.losses[1] = (nm_loss){.metric = NM_NUPLAN_COMFORT,
                                      .detail = NM_NUPLAN_JERK,
                                      .cost = 0.125,
                                      .recorded = NAN,
                                      .sample = NM_NONE,
                                      .track = NM_NONE,
                                      .recording = 1};
    nm_results_row other = {.scene = 9, .name = "n", .type = "t"};
    other.episode = (nm_episode){.worst = "", .worst_sample = NM_NONE};
    for (int twice = 0; twice < 2; ++twice) // put again: replaced, not added to
        if (nm_results_put(results, id, &row, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_results_put(results, id, &other, NULL), NM_OK);
    if (nm_results_rows(results, id, arena, &rows, &count, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].said, row.said);
    assert_true(!rows[1].said && rows[1].episode.loss_count == 0);
    assert_int_equal(rows[0].episode.loss_count, 2);
    for (int i = 0; i < 2; ++i) {
        const nm_loss *a = &rows[0].episode.losses[i], *b = &row.episode.losses[i];
        assert_true(a->metric == b->metric && a->detail == b->detail && a->recording == b->recording);
        assert_true(a->sample == b->sample && a->track == b->track);
        assert_float_equal(a->value, b->value, 0);
        assert_float_equal(a->cost, b->cost, 0);
        assert_true(isnan(b->recorded) ? isnan(a->recorded) : fabs(a->recorded - b->recorded) < 1e-12);
    }
    nm_results_close(results);
    nm_arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_by_hand),
        cmocka_unit_test(collisions_by_hand),
        cmocka_unit_test(names_come_back),
        cmocka_unit_test(reasons_add_up),
        cmocka_unit_test(what_the_recording_did_is_its),
        cmocka_unit_test(what_the_planner_did_is_its),
        cmocka_unit_test(boxes_without_size_are_left_out),
        cmocka_unit_test(clean_is_what_nothing_is_wrong_with),
        cmocka_unit_test(clean_looks_at_the_motion),
        cmocka_unit_test(losses_and_words_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
