/// Which of several imagined futures the ego takes: worked out by hand on a straight road.
#include "scenarios/planner_nexus_choice.h"

#include "sim/route.h"
#include "sim/world_scenes.h"

enum { NOW = 10, SAMPLES = 6 };

static const nm_planner_vehicle vehicle = {
    .length = 4.5f, .width = 1.8f, .wheelbase = 2.7f, .rear_axle_to_box_centre = 1.35f};

/// The ego at x = 100 now, and a car at `x` now, at `speed`, both until step `last`.
static const nm_scene *future(const nm_map *map, float x, float speed, uint32_t last) {
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, NOW + 81, &error), NM_OK);
    uint32_t track;
    for (int64_t id = 0; id < 2; id++) {
        const nm_track_def def = {.id = id, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    }
    for (uint32_t k = 0; k <= last; k++) {
        const float time = 0.1f * ((float)k - (float)NOW);
        const nm_state ego = {.x = 100.0f + 10.0f * time, .vx = 10.0f}, car = {.x = x + speed * time, .vx = speed};
        assert_int_equal(nm_scene_builder_add_local_state(builder, 0, k, &ego, &error), NM_OK);
        assert_int_equal(nm_scene_builder_add_local_state(builder, 1, k, &car, &error), NM_OK);
    }
    nm_scene_builder_set_current(builder, NOW, 0);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    return scene;
}

static nm_nexus_plan straight(float speed) {
    nm_nexus_plan plan;
    for (uint32_t k = 0; k <= NM_NEXUS_AHEAD; k++)
        plan.poses[k] = (nm_nexus_pose){100.0f + 0.1f * speed * (float)k, 0.0f, 0.0f, speed};
    return plan;
}

typedef struct stage {
    const nm_map *map;
    nm_route *route;
    const nm_scene *futures[SAMPLES];
    nm_nexus_plan plans[SAMPLES];
    uint32_t chosen;
} stage;

/// The car is at `x` in the first `with` futures, far ahead in the others.
static stage choose_among(uint32_t with, float x, float speed, uint32_t last, nm_nexus_plan first, nm_nexus_plan rest) {
    stage s = {.map = straight_road(3, 500, 20)};
    nm_error error;
    nm_error_clear(&error);
    const uint32_t lane = 0;
    const nm_planner_pose from = {100.0f, 0.0f, 0.0f}, to = {400.0f, 0.0f, 0.0f};
    if (nm_route_through(s.map, &lane, 1, from, to, &s.route, &error) != NM_OK) fail_msg("%s", error.message);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        s.futures[i] = future(s.map, i < with ? x : 450.0f, speed, last);
        s.plans[i] = i == 0 ? first : rest;
    }
    const nm_planner_scenario scenario = {
        .vehicle = vehicle, .route = nm_route_get(s.route), .scene = s.futures[0], .step_seconds = 0.1f};
    const nm_planner_observation seen = {.ego = {.box_centre = from, .rear_axle_speed_ahead = 10.0f},
                                         .route = nm_route_get(s.route),
                                         .route_position = 0.0f};
    nm_nexus_choice *choice = nm_nexus_choice_create(SAMPLES, 4);
    s.chosen = nm_nexus_choose(choice, &scenario, &seen, s.futures, NOW, s.plans);
    nm_nexus_choice_destroy(choice);
    for (uint32_t i = 0; i < SAMPLES; i++) nm_scene_destroy(s.futures[i]);
    nm_route_destroy(s.route);
    nm_map_release(s.map);
    return s;
}

/// The first plan drives at `first` m/s, the others at `rest`.
static stage choose(uint32_t with, float x, float speed, uint32_t last, float first, float rest) {
    return choose_among(with, x, speed, last, straight(first), straight(rest));
}

/// A car that stands at `x` in all futures, and all plans the same.
static stage choose_plan(float x, nm_nexus_plan plan) {
    return choose_among(SAMPLES, x, 0.0f, NOW + 80, plan, plan);
}

/// A car stands 15.5 m before the front. At 10 m/s it is hit, in as many futures as it is in: the score is 1 where it
/// is not, 0 where it is. At 3 m/s it is not, and 1.17 s away after 4 s: (5 * 0.3 + 5 + 2) / 12 = 0.71 everywhere.
static void what_is_in_most_futures_is_reckoned_with(void **state) {
    (void)state;
    for (uint32_t with = 0; with <= SAMPLES; with++) {
        const stage s = choose(with, 122.25f - 2.25f, 0.0f, NOW + 80, 10.0f, 3.0f);
        // the fast one scores 1 - with / 6; where every future has the car its progress counts for nobody
        if ((s.chosen == 0) != (with <= 1)) fail_msg("in %u futures: %u", with, s.chosen);
        assert_float_equal(s.plans[s.chosen].poses[80].speed, s.chosen == 0 ? 10.0f : 3.0f, 0.0f);
    }
}

/// Nothing but 10 m/s was imagined, and that hits the car after 0.6 s: where it is there in most futures, the ego stops
/// within 10^2 / (2 * 4.05) = 12.3 m, and stays where it is then.
static void without_a_way_out_it_brakes(void **state) {
    (void)state;
    for (uint32_t with = 0; with <= SAMPLES; with++) {
        const stage s = choose(with, 110.0f, 0.0f, NOW + 80, 10.0f, 10.0f);
        const nm_nexus_pose *end = &s.plans[s.chosen].poses[NM_NEXUS_AHEAD];
        assert_int_equal(s.chosen, 0); // all the same: the first
        if (2 * with > SAMPLES) {
            assert_float_equal(end->x, 100.0f + 12.35f, 0.3f);
            assert_float_equal(end->speed, 0.0f, 0.0f);
            assert_float_equal(s.plans[0].poses[1].speed, 10.0f - 0.405f, 1e-4f);
            assert_float_equal(s.plans[0].poses[1].x, 100.0f + 0.97975f, 1e-3f);
        } else {
            assert_float_equal(end->x, 180.0f, 1e-3f);
        }
    }
}

/// From 10 m/s at 8 m/s^2, harder than comfort: the plan stands after 1.25 s and 6.25 m.
static nm_nexus_plan hard_stop(void) {
    nm_nexus_plan plan;
    for (uint32_t k = 0; k <= NM_NEXUS_AHEAD; k++) {
        const float time = fminf(0.1f * (float)k, 1.25f);
        plan.poses[k] = (nm_nexus_pose){100.0f + 10.0f * time - 4.0f * time * time, 0.0f, 0.0f, 10.0f - 8.0f * time};
    }
    return plan;
}

/// Braking makes no plan longer: one that stops after 6.25 m does not become one of 12.3 m, and who stands is not fast.
static void a_plan_that_brakes_harder_is_not_softened(void **state) {
    (void)state;
    const stage s = choose_plan(107.0f, hard_stop());
    const nm_nexus_plan own = hard_stop(), *made = &s.plans[s.chosen];
    for (uint32_t k = 0; k <= NM_NEXUS_AHEAD; k++) {
        assert_true(made->poses[k].x <= own.poses[k].x + 1e-3f);
        assert_true(made->poses[k].speed >= 0.0f);
    }
    assert_float_equal(made->poses[NM_NEXUS_AHEAD].x, 106.25f, 1e-2f);
    for (uint32_t k = 14; k <= NM_NEXUS_AHEAD; k++) assert_float_equal(made->poses[k].speed, 0.0f, 1e-4f);
}

/// A car that the model has nothing more of after half a second is taken to go on: at -10 m/s it is met after 1.8 s.
static void who_ends_keeps_the_velocity(void **state) {
    (void)state;
    const stage s = choose(SAMPLES, 140.5f, -10.0f, NOW + 5, 10.0f, 10.0f);
    assert_float_equal(s.plans[s.chosen].poses[NM_NEXUS_AHEAD].speed, 0.0f, 0.0f);
    const stage late = choose(SAMPLES, 146.5f, -10.0f, NOW + 5, 10.0f, 10.0f); // after 2.1 s
    assert_float_equal(late.plans[late.chosen].poses[NM_NEXUS_AHEAD].speed, 10.0f, 0.0f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_most_futures_is_reckoned_with),
        cmocka_unit_test(without_a_way_out_it_brakes),
        cmocka_unit_test(who_ends_keeps_the_velocity),
        cmocka_unit_test(a_plan_that_brakes_harder_is_not_softened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
