/// Scores of generated scenes: each against numbers worked by hand, and the searches against oracles without them.
#include "futures_scenes.h"

#include "sim/geometry.h"
#include "sim/metrics/criticality.h"
#include "sim/metrics/generation.h"

#define STEPS 101 // current step 20, then 8 s

static nm_generation_config config;

static nm_generation_sums sums_of(const nm_scene *scene, const hand_made *f) {
    nm_generation_sums sums = {0};
    nm_error error;
    if (nm_generation_add(scene, &f->view, &config, &sums, &error) != NM_OK) fail_msg("%s", error.message);
    return sums;
}

static nm_generation_result score(const nm_scene *scene, const hand_made *f) {
    const nm_generation_sums sums = sums_of(scene, f);
    return nm_generation_result_of(&sums);
}

static int setup(void **state) {
    (void)state;
    config = nm_generation_config_default();
    return 0;
}

// --- displacement ----------------------------------------------------------------------------------------------------

static void test_displacement(void **state) {
    (void)state;
    const recorded_agent agents[] = {
        {.x = 0, .y = 0, .speed = 5, .last = 100},              // the ego, 8 m beside itself
        {.x = 20, .y = 3.5, .speed = 5, .last = 100},           // 3-4-5
        {.x = 40, .y = 0, .speed = 5, .first = 20, .last = 55}, // 1 m, recorded up to 3.5 s
        {.x = 60, .y = 0, .speed = 5, .first = 0, .last = 19},  // not there now
    };
    const nm_scene *scene = record(nm_test_road(200), agents, 4, STEPS, 20, 0);
    hand_made f = going_on(scene, 1, 80);
    assert_int_equal(f.view.agents, 3);
    shift(&f, 0, 0, 0, 8);
    shift(&f, 0, 1, 3, 4);
    shift(&f, 0, 2, 1, 0);
    f.x[future_at(&f, 0, 1, 79)] += 16.0f; // 19 m along and 4 across, at 8 s alone
    for (uint32_t k = 0; k < 80; k++)      // what lies between the whole seconds is not looked at
        if ((k + 1) % 10) f.x[future_at(&f, 0, 1, k)] = 1000.0f;
    const nm_generation_sums sums = sums_of(scene, &f);
    const nm_generation_result r = nm_generation_result_of(&sums);
    const double end = sqrt(19.0 * 19.0 + 16.0);
    for (int s = 0; s < 8; s++) {
        const double want = s < 3 ? (5.0 + 1.0) / 2.0 : s < 7 ? 5.0 : end;
        assert_float_equal(r.displacement[NM_WHO_AGENTS][NM_OVER_MEAN][s], want, 1e-4);
        assert_float_equal(sums.displacement_count[NM_WHO_AGENTS][s], s < 3 ? 2 : 1, 0);
        assert_float_equal(sums.displacement_count[NM_WHO_EVERYBODY][s], s < 3 ? 3 : 2, 0);
    }
    assert_float_equal(r.displacement[NM_WHO_EVERYBODY][NM_OVER_MEAN][0], 14.0 / 3.0, 1e-4);
    assert_float_equal(r.displacement_7s[NM_WHO_AGENTS][NM_OVER_MEAN], (3 * 3.0 + 4 * 5.0) / 7, 1e-4);
    assert_float_equal(r.displacement_8s[NM_WHO_AGENTS][NM_OVER_MEAN], (3 * 3.0 + 4 * 5.0 + end) / 8, 1e-4);
    assert_float_equal(r.displacement_7s[NM_WHO_EVERYBODY][NM_OVER_MEAN], (3 * 14.0 / 3 + 4 * 6.5) / 7, 1e-4);
    hand_made_free(&f);
    nm_scene_destroy(scene);
}

/// The mean is over all pairs of agent and frame of all scenes, not over scenes.
static void test_displacement_over_scenes(void **state) {
    (void)state;
    const recorded_agent agents[] = {{.x = 0, .last = 100}, {.x = 20, .last = 100}, {.x = 40, .last = 100}};
    const nm_scene *one = record(nm_test_road(200), agents, 1, STEPS, 20, NM_NONE);
    const nm_scene *three = record(nm_test_road(200), agents, 3, STEPS, 20, NM_NONE);
    hand_made f = going_on(one, 1, 80), g = going_on(three, 1, 80);
    shift(&f, 0, 0, 8, 0);
    nm_generation_sums sums = sums_of(one, &f), more = sums_of(three, &g);
    nm_generation_merge(&sums, &more);
    const nm_generation_result r = nm_generation_result_of(&sums);
    assert_float_equal(r.displacement[NM_WHO_AGENTS][NM_OVER_MEAN][4], 2.0, 1e-5);
    assert_float_equal(sums.scenes, 2, 0);
    // adding to what is there is the same as merging
    nm_generation_sums both = {0};
    nm_error error;
    assert_int_equal(nm_generation_add(one, &f.view, &config, &both, &error), NM_OK);
    assert_int_equal(nm_generation_add(three, &g.view, &config, &both, &error), NM_OK);
    assert_memory_equal(&both, &sums, sizeof sums);
    hand_made_free(&f);
    hand_made_free(&g);
    nm_scene_destroy(one);
    nm_scene_destroy(three);
}

/// Displacements by sample: agent 1 (6, 1, 5), agent 2 (1, 7, 3), ego (0, 0, 90).
static void test_samples(void **state) {
    (void)state;
    const recorded_agent agents[] = {{.x = 0, .last = 100}, {.x = 20, .last = 100}, {.x = 40, .last = 100}};
    const nm_scene *scene = record(nm_test_road(400), agents, 3, STEPS, 20, 0);
    hand_made f = going_on(scene, 3, 80);
    const float by[3][3] = {{0, 6, 1}, {0, 1, 7}, {90, 5, 3}};
    for (uint32_t r = 0; r < 3; r++)
        for (uint32_t a = 0; a < 3; a++) shift(&f, r, a, by[r][a], 0);
    const nm_generation_sums sums = sums_of(scene, &f);
    const nm_generation_result r = nm_generation_result_of(&sums);
    for (int s = 0; s < 8; s++) {
        assert_float_equal(r.displacement[NM_WHO_AGENTS][NM_OVER_MEAN][s], 23.0 / 6.0, 1e-4);
        assert_float_equal(r.displacement[NM_WHO_AGENTS][NM_OVER_BEST_AGENT][s], 1.0, 1e-4);
        assert_float_equal(r.displacement[NM_WHO_AGENTS][NM_OVER_BEST_SCENE][s], 3.5, 1e-4); // sums 7, 8, 8
        assert_float_equal(r.displacement[NM_WHO_EVERYBODY][NM_OVER_BEST_AGENT][s], 2.0 / 3.0, 1e-4);
        assert_float_equal(sums.displacement_count[NM_WHO_AGENTS][s], 2, 0); // however many samples
    }
    // another sample becomes the best one without the ego than with it
    shift(&f, 0, 1, 3, 0); // sums without the ego 10, 8, 8 - and then 7 in the last
    shift(&f, 2, 2, -1, 0);
    const nm_generation_result q = score(scene, &f);
    assert_float_equal(q.displacement_8s[NM_WHO_AGENTS][NM_OVER_BEST_SCENE], 3.5, 1e-4);
    assert_float_equal(q.displacement_8s[NM_WHO_EVERYBODY][NM_OVER_BEST_SCENE], 8.0 / 3.0, 1e-4);
    hand_made_free(&f);
    nm_scene_destroy(scene);
}

/// The best sample is best over all seconds, also where another one is better for some.
static void test_best_over_time(void **state) {
    (void)state;
    const recorded_agent agents[] = {{.x = 0, .last = 100}};
    const nm_scene *scene = record(nm_test_road(400), agents, 1, STEPS, 20, NM_NONE);
    hand_made f = going_on(scene, 2, 80);
    shift(&f, 1, 0, 1, 0);                 // 1 m all along: 8 in all
    f.x[future_at(&f, 0, 0, 79)] += 10.0f; // nothing but at the end: 10 in all
    const nm_generation_result r = score(scene, &f);
    assert_float_equal(r.displacement[NM_WHO_AGENTS][NM_OVER_BEST_AGENT][0], 1.0, 1e-5);
    assert_float_equal(r.displacement[NM_WHO_AGENTS][NM_OVER_BEST_AGENT][7], 1.0, 1e-5);
    assert_float_equal(r.displacement[NM_WHO_AGENTS][NM_OVER_MEAN][0], 0.5, 1e-5);
    assert_float_equal(r.displacement[NM_WHO_AGENTS][NM_OVER_MEAN][7], 5.5, 1e-5);
    hand_made_free(&f);
    nm_scene_destroy(scene);
}

static void test_short(void **state) {
    (void)state;
    const recorded_agent agents[] = {{.x = 0, .speed = 1, .last = 100}};
    const nm_scene *scene = record(nm_test_road(400), agents, 1, 20 + 35, 20, NM_NONE); // 3.4 s of future
    hand_made f = going_on(scene, 1, 80), g = going_on(scene, 1, 29);                   // 2.9 s
    shift(&f, 0, 0, 2, 0);
    nm_generation_result r = score(scene, &f);
    assert_float_equal(r.displacement[NM_WHO_AGENTS][NM_OVER_MEAN][2], 2.0, 1e-5);
    assert_true(isnan(r.displacement[NM_WHO_AGENTS][NM_OVER_MEAN][3]));
    assert_float_equal(r.displacement_8s[NM_WHO_AGENTS][NM_OVER_MEAN], 2.0, 1e-5);
    assert_true(isnan(r.stability[NM_STABILITY_ACCEL]));
    assert_true(isnan(r.collision[3]));
    assert_float_equal(r.collision_rate, 0.0, 0);
    r = score(scene, &g);
    assert_float_equal(r.displacement[NM_WHO_AGENTS][NM_OVER_MEAN][1], 0.0, 1e-5);
    assert_true(isnan(r.displacement[NM_WHO_AGENTS][NM_OVER_MEAN][2]));
    // nothing at all
    const nm_generation_sums empty = {0};
    r = nm_generation_result_of(&empty);
    assert_true(isnan(r.displacement_8s[NM_WHO_AGENTS][NM_OVER_MEAN]) && isnan(r.off_road_rate));
    assert_true(isnan(r.collision_rate) && isnan(r.stability[0]));
    hand_made_free(&f);
    hand_made_free(&g);
    nm_scene_destroy(scene);
}

// --- collisions ------------------------------------------------------------------------------------------------------

static void test_collisions(void **state) {
    (void)state;
    const recorded_agent agents[] = {
        {.x = 0, .last = 100},                               // ego
        {.x = 20, .last = 100},                              //
        {.x = 40, .last = 100},                              //
        {.x = 60, .last = 60},                               // not recorded after 4 s
        {.x = 80, .length = 24, .last = 100},                // a road train from 68 to 92
        {.x = 120, .y = 3.5, .heading = NM_PI, .last = 100}, //
    };
    const nm_scene *scene = record(nm_test_road(400), agents, 6, STEPS, 20, 0);
    hand_made f = going_on(scene, 1, 80);
    nm_generation_result r = score(scene, &f);
    assert_float_equal(r.collision_rate, 0.0, 0);
    shift(&f, 0, 0, 16, 0);   // the ego's front touches agent 1
    shift(&f, 0, 2, -20, 1);  // agent 2 lies half on agent 1 and touches the ego: three pairs
    shift(&f, 0, 5, -31, -2); // at (89, 1.5), on the train's side: a fourth
    shift(&f, 0, 3, 7.5f, 0); // 1.5 m into the train's rear, but 12.5 m from its centre: not looked at
    r = score(scene, &f);
    for (int s = 0; s < 8; s++) assert_float_equal(r.collision[s], s < 4 ? 4.0 / 6.0 : 4.0 / 5.0, 1e-12);
    assert_float_equal(r.collision_rate, (4.0 / 6.0 + 4.0 / 5.0) / 2.0, 1e-12);
    shift(&f, 0, 3, 3, 0); // 9.5 m from it: a fifth, but not where it is not recorded
    r = score(scene, &f);
    for (int s = 0; s < 8; s++) assert_float_equal(r.collision[s], s < 4 ? 5.0 / 6.0 : 4.0 / 5.0, 1e-12);
    shift(&f, 0, 0, -0.01f, 0); // apart by a centimetre: the ego is in no pair any more
    r = score(scene, &f);
    assert_float_equal(r.collision[0], 3.0 / 6.0, 1e-12);
    for (uint32_t k = 0; k < 80; k++) f.heading[future_at(&f, 0, 5, k)] = NM_HALF_PI_F; // now from 1.5 - 2 to 1.5 + 2
    shift(&f, 0, 5, 0, 2);                                                              // and up to 1.5
    r = score(scene, &f);
    assert_float_equal(r.collision[0], 2.0 / 6.0, 1e-12);
    hand_made_free(&f);
    nm_scene_destroy(scene);
}

/// 10 m between centres, whatever the direction: two road trains one behind the other on a diagonal.
static void test_collision_reach(void **state) {
    (void)state;
    const recorded_agent agents[] = {{.x = 50, .heading = NM_PI / 4, .length = 24, .last = 100},
                                     {.x = 58, .y = 8, .heading = NM_PI / 4, .length = 24, .last = 100}};
    const nm_scene *scene = record(nm_test_road(400), agents, 2, STEPS, 20, 0);
    hand_made f = going_on(scene, 1, 80);
    assert_float_equal(score(scene, &f).collision_rate, 0.0, 0); // 11.3 m apart
    shift(&f, 0, 1, -1, -1);                                     // 9.9 m
    assert_float_equal(score(scene, &f).collision_rate, 0.5, 0);
    config.pair_distance = 9.0f;
    assert_float_equal(score(scene, &f).collision_rate, 0.0, 0);
    hand_made_free(&f);
    nm_scene_destroy(scene);
}

/// Many boxes in little room: the sweep finds what a look at every pair finds, over the mean of two samples.
static void test_collisions_against_all_pairs(void **state) {
    (void)state;
    enum { N = 60 };
    recorded_agent agents[N] = {{.x = 0}};
    for (int i = 0; i < N; i++) agents[i] = (recorded_agent){.x = 10.0 * i, .last = 100};
    const nm_scene *scene = record(nm_test_road(1000), agents, N, STEPS, 20, 0);
    uint32_t draw = 0, pairs = 0;
    for (uint64_t seed = 0; seed < 10; seed++) {
        hand_made f = going_on(scene, 2, 80);
        const size_t size = (size_t)2 * N * 80;
        for (size_t i = 0; i < size; i++) {
            f.x[i] = (float)nm_test_uniform(seed, &draw, 0, 60);
            f.y[i] = (float)nm_test_uniform(seed, &draw, 0, 60);
            f.heading[i] = (float)nm_test_uniform(seed, &draw, -3.1, 3.1);
        }
        const nm_generation_sums sums = sums_of(scene, &f);
        for (uint32_t s = 0; s < 8; s++) {
            uint32_t found = 0;
            for (uint32_t r = 0; r < 2; r++) {
                for (uint32_t a = 0; a < N; a++) {
                    for (uint32_t b = 0; b < a; b++) {
                        nm_box box[2] = {{.length = 4, .width = 2}, {.length = 4, .width = 2}};
                        for (int k = 0; k < 2; k++) {
                            const size_t at = future_at(&f, r, k ? a : b, 10 * s + 9);
                            box[k].x = f.x[at], box[k].y = f.y[at];
                            nm_sincosf(f.heading[at], &box[k].sin_h, &box[k].cos_h);
                        }
                        found += (uint32_t)nm_box_overlap(&box[0], &box[1]);
                    }
                }
            }
            assert_float_equal(sums.collisions[s], 0.5 * found, 1e-9);
            assert_float_equal(sums.collision_count[s], N, 0);
            pairs += found;
        }
        hand_made_free(&f);
    }
    assert_true(pairs > 1000);
    nm_scene_destroy(scene);
}

// --- off the road ----------------------------------------------------------------------------------------------------

/// A lane of two points 300 m apart: between them nothing but the line itself is near.
static const nm_map *long_lane(nm_lane_type type) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    nm_lane_def def = nm_lane_def_default();
    def.id = 1;
    def.type = type;
    nm_test_lane(builder, &def, (double[]){0, 0, 300, 0}, 2, 3.5);
    return nm_test_build(builder);
}

static void test_off_road(void **state) {
    (void)state;
    const recorded_agent agents[] = {
        {.x = 50, .y = 2.7, .last = 100},                                        // ego, in its lane by 5 cm
        {.x = 70, .y = 2.8, .last = 100},                                        // out of it
        {.x = 90, .last = 100},                                                  // stays
        {.x = 110, .last = 40},                                                  // recorded for 2 s more
        {.x = 130, .last = 100, .type = NM_AGENT_PEDESTRIAN},                    // no vehicle
        {.x = 150, .last = 100, .type = NM_AGENT_TRUCK},                         //
        {.x = 310, .heading = 3.141592, .speed = 10.0, .first = 5, .last = 100}, // came in from beyond the end
    };
    const nm_scene *scene = record(long_lane(NM_LANE_STREET), agents, 7, STEPS, 20, 0);
    hand_made f = going_on(scene, 1, 80);
    nm_generation_sums sums = sums_of(scene, &f);
    assert_float_equal(sums.vehicles, 6, 0);
    assert_float_equal(sums.in_lane, 5, 0);
    assert_float_equal(sums.off_road, 0, 0);
    f.y[future_at(&f, 0, 0, 4)] += 0.1f;  // the ego leaves at 0.5 s and is back: off
    f.y[future_at(&f, 0, 2, 5)] += 50.0f; // between two frames: not seen
    f.y[future_at(&f, 0, 3, 24)] -= 3.0f; // at 2.5 s, where it is not recorded: not scored
    f.y[future_at(&f, 0, 4, 4)] += 50.0f;
    f.y[future_at(&f, 0, 5, 79)] -= 2.76f; // at the very end: off
    sums = sums_of(scene, &f);
    assert_float_equal(sums.off_road, 2, 0);
    const nm_generation_result r = nm_generation_result_of(&sums);
    assert_float_equal(r.off_road_rate, 2.0 / 6.0, 1e-12);
    assert_float_equal(r.off_road_in_lane, 2.0 / 5.0, 1e-12);
    f.y[future_at(&f, 0, 3, 19)] -= 3.0f; // at 2 s, the last recorded state
    sums = sums_of(scene, &f);
    assert_float_equal(sums.off_road, 3, 0);
    config.lane_distance = 2.85f; // takes in agent 1 and all but the pedestrian and agents 3 and 5
    sums = sums_of(scene, &f);
    assert_float_equal(sums.in_lane, 6, 0);
    assert_float_equal(sums.off_road, 1, 0);
    hand_made_free(&f);
    nm_scene_destroy(scene);
}

/// In its lane in one observed frame is enough, but only in the last 2 s and where the frames are.
static void test_observed_in_lane(void **state) {
    (void)state;
    recorded_agent agents[] = {
        {.x = 50, .y = 0, .heading = NM_PI / 2, .speed = 2.0, .last = 100}, // 2 m at 1 s, 4 m at 2 s, 6 m at 3 s
    };
    const nm_scene *scenes[] = {
        record(long_lane(NM_LANE_STREET), agents, 1, STEPS, 20, NM_NONE), // in it at 0, 0.5 and 1 s
        record(long_lane(NM_LANE_STREET), agents, 1, STEPS, 33, NM_NONE), // at 1.3 s: frames at 1.3, 1.8 s, ...
        record(long_lane(NM_LANE_STREET), agents, 1, STEPS, 34, NM_NONE), // at 1.4 s, 2.8 m
        record(long_lane(NM_LANE_STREET), agents, 1, STEPS, 3, NM_NONE),  // only the current frame
        record(long_lane(NM_LANE_SIDEWALK), agents, 1, STEPS, 20, NM_NONE),
    };
    const double expected[] = {1, 1, 0, 1, 0};
    for (int i = 0; i < 5; i++) {
        hand_made f = going_on(scenes[i], 1, 80);
        const nm_generation_sums sums = sums_of(scenes[i], &f);
        assert_float_equal(sums.in_lane, expected[i], 0);
        assert_float_equal(sums.off_road, expected[i], 0); // it walks away
        assert_float_equal(sums.vehicles, 1, 0);
        hand_made_free(&f);
        nm_scene_destroy(scenes[i]);
    }
}

/// Scenes weigh the same in the rate, vehicles in the pooled one; samples are averaged.
static void test_off_road_over_scenes(void **state) {
    (void)state;
    const recorded_agent agents[] = {
        {.x = 20, .last = 100}, {.x = 40, .last = 100}, {.x = 60, .last = 100}, {.x = 80, .last = 100}};
    const recorded_agent person[] = {{.x = 20, .last = 100, .type = NM_AGENT_PEDESTRIAN}};
    const nm_scene *one = record(long_lane(NM_LANE_BUS), agents, 1, STEPS, 20, NM_NONE);
    const nm_scene *four = record(long_lane(NM_LANE_RAMP), agents, 4, STEPS, 20, NM_NONE);
    const nm_scene *none = record(long_lane(NM_LANE_STREET), person, 1, STEPS, 20, NM_NONE);
    hand_made f = going_on(one, 2, 80), g = going_on(four, 2, 80), h = going_on(none, 1, 80);
    shift(&f, 1, 0, 0, 5); // in one of two samples
    shift(&g, 0, 2, 0, 5);
    nm_generation_sums sums = sums_of(one, &f), more = sums_of(four, &g), nobody = sums_of(none, &h);
    nm_generation_merge(&sums, &more);
    nm_generation_merge(&sums, &nobody);
    const nm_generation_result r = nm_generation_result_of(&sums);
    assert_float_equal(r.off_road_rate, (0.5 + 0.125) / 2.0, 1e-12);
    assert_float_equal(r.off_road_pooled, (0.5 + 0.5) / 5.0, 1e-12);
    hand_made_free(&f);
    hand_made_free(&g);
    hand_made_free(&h);
    nm_scene_destroy(one);
    nm_scene_destroy(four);
    nm_scene_destroy(none);
}

static int near_any(const nm_map *map, nm_vec2 p, float distance) {
    float least = INFINITY;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_lane *lane = &map->lanes[i];
        if (!nm_lane_type_drivable((nm_lane_type)lane->type)) continue;
        for (uint32_t k = lane->points.first; k + 1 < lane->points.first + lane->points.count; k++)
            least = nm_minf(least, nm_segment_distance2(map->centre[k], map->centre[k + 1], p));
    }
    return sqrtf(least) <= distance;
}

/// On tangles of lanes: found as by looking at all of them.
static void test_off_road_against_all_lanes(void **state) {
    (void)state;
    enum { N = 80 };
    uint32_t off = 0, in = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint32_t draw = 100000;
        recorded_agent agents[N] = {{.x = 0}};
        for (int i = 0; i < N; i++)
            agents[i] = (recorded_agent){
                .x = nm_test_uniform(seed, &draw, -60, 60), .y = nm_test_uniform(seed, &draw, -60, 60), .last = 100};
        const nm_scene *scene = record(nm_test_tangle(seed, 50, 60), agents, N, STEPS, 0, NM_NONE);
        hand_made f = going_on(scene, 1, 40);
        for (uint32_t a = 0; a < N; a++) { // meander
            const double turn = nm_test_uniform(seed, &draw, -0.3, 0.3);
            for (uint32_t k = 0; k < 40; k++) {
                f.x[future_at(&f, 0, a, k)] += (float)(k * 0.05 * cos(turn * k));
                f.y[future_at(&f, 0, a, k)] += (float)(k * 0.05 * sin(turn * k));
            }
        }
        uint32_t expect_off = 0, expect_in = 0;
        for (uint32_t a = 0; a < N; a++) {
            const size_t now = nm_scene_at(scene, a, 0);
            if (!near_any(scene->map, (nm_vec2){scene->x[now], scene->y[now]}, 2.75f)) continue;
            expect_in++;
            int stays = 1;
            for (uint32_t j = 0; j < 8; j++) {
                const size_t at = future_at(&f, 0, a, 5 * j + 4);
                stays &= near_any(scene->map, (nm_vec2){f.x[at], f.y[at]}, 2.75f);
            }
            expect_off += !stays;
        }
        const nm_generation_sums sums = sums_of(scene, &f);
        assert_float_equal(sums.in_lane, expect_in, 0);
        assert_float_equal(sums.off_road, expect_off, 0);
        off += expect_off, in += expect_in;
        hand_made_free(&f);
        nm_scene_destroy(scene);
    }
    assert_true(off > 20 && in > off + 20);
}

// --- stability -------------------------------------------------------------------------------------------------------

/// Sets the frames (every fifth step) of an agent: places along a straight line at angle `along`, and yaws.
static void set_frames(hand_made *f, uint32_t sample, uint32_t agent, const double *way, const double *yaw,
                       double along) {
    for (uint32_t j = 0; j < 16; j++) {
        const size_t at = future_at(f, sample, agent, 5 * j + 4);
        f->x[at] = (float)(way[j] * cos(along));
        f->y[at] = (float)(way[j] * sin(along));
        f->heading[at] = (float)nm_wrap_angle_d(yaw[j] + along);
    }
}

static void test_stability(void **state) {
    (void)state;
    const recorded_agent agents[] = {{.x = 10, .last = 100}, {.x = 30, .last = 99}};
    const nm_scene *scene = record(nm_test_road(200), agents, 2, STEPS, 20, 0);
    hand_made f = going_on(scene, 1, 80);
    // speed 2, 3, 2, 3, ... m/s; yaw +0.1, +0.3, +0.1, ... rad a frame
    double way[16] = {0}, yaw[16] = {0};
    for (int j = 1; j < 16; j++) {
        way[j] = way[j - 1] + 0.5 * (j % 2 ? 2.0 : 3.0);
        yaw[j] = yaw[j - 1] + (j % 2 ? 0.1 : 0.3);
    }
    set_frames(&f, 0, 0, way, yaw, 0.0);
    set_frames(&f, 0, 1, yaw, way, 0.0); // not recorded in the last frame: does not count
    nm_generation_sums sums = sums_of(scene, &f);
    nm_generation_result r = nm_generation_result_of(&sums);
    const double degrees = 180.0 / NM_PI;
    const double want[NM_STABILITY_COUNT] = {
        (8 * 0.1 + 7 * 0.3) / 15 * degrees, 1.0, 2.0, 8.0, 0.2 / 0.25 * degrees, 0.4 / 0.125 * degrees};
    assert_float_equal(sums.stability_count, 1, 0);
    for (int k = 0; k < NM_STABILITY_COUNT; k++) assert_float_equal(r.stability[k], want[k], 2e-4 * want[k]);
    // a flip of the turn to the other side is none of its rate: it goes +0.2, -0.2, ...
    for (int j = 1; j < 16; j++) yaw[j] = yaw[j - 1] + (j % 2 ? 0.2 : -0.2);
    set_frames(&f, 0, 0, way, yaw, 0.0);
    r = score(scene, &f);
    assert_float_equal(r.stability[NM_STABILITY_YAW_STEP], 0.2 * degrees, 1e-3);
    assert_float_equal(r.stability[NM_STABILITY_YAW_ACCEL], 0.0, 1e-3);
    // six frames suffice on demand, and then the other one is there, too
    config.frames = 6;
    sums = sums_of(scene, &f);
    assert_float_equal(sums.stability_count, 2, 0);
    assert_float_equal(sums.displacement_count[NM_WHO_EVERYBODY][2], 2, 0);
    assert_float_equal(sums.displacement_count[NM_WHO_EVERYBODY][3], 0, 0);
    hand_made_free(&f);
    nm_scene_destroy(scene);
}

/// The frame of reference does not matter, also where headings pass from pi to -pi. Means over agents and samples.
static void test_stability_turned(void **state) {
    (void)state;
    const recorded_agent agents[] = {{.x = 10, .last = 100}, {.x = 30, .last = 100}};
    const nm_scene *scene = record(nm_test_road(200), agents, 2, STEPS, 20, 0);
    hand_made f = going_on(scene, 2, 80);
    double way[3][16] = {{0}}, yaw[3][16] = {{0}};
    uint32_t draw = 0;
    for (int i = 0; i < 3; i++) {
        for (int j = 1; j < 16; j++) {
            way[i][j] = way[i][j - 1] + nm_test_uniform(3, &draw, 0, 5);
            yaw[i][j] = yaw[i][j - 1] + nm_test_uniform(3, &draw, -1, 1);
        }
    }
    double mean[NM_STABILITY_COUNT] = {0};
    for (int i = 0; i < 3; i++) { // alone: both agents in both samples alike
        for (uint32_t k = 0; k < 4; k++) set_frames(&f, k / 2, k % 2, way[i], yaw[i], 0.0);
        const nm_generation_result r = score(scene, &f);
        for (int k = 0; k < NM_STABILITY_COUNT; k++) mean[k] += r.stability[k] * (i == 0 ? 2 : 1) / 4.0;
    }
    for (int turn = 0; turn < 16; turn++) {
        const double along = 0.4 * turn;
        set_frames(&f, 0, 0, way[0], yaw[0], along);
        set_frames(&f, 0, 1, way[1], yaw[1], along);
        set_frames(&f, 1, 0, way[0], yaw[0], along);
        set_frames(&f, 1, 1, way[2], yaw[2], along);
        const nm_generation_sums sums = sums_of(scene, &f);
        const nm_generation_result r = nm_generation_result_of(&sums);
        assert_float_equal(sums.stability_count, 2, 0);
        for (int k = 0; k < NM_STABILITY_COUNT; k++) {
            assert_true(r.stability[k] > 0.1);
            assert_float_equal(r.stability[k], mean[k], 1e-4 * mean[k]);
        }
    }
    hand_made_free(&f);
    nm_scene_destroy(scene);
}

// --- the recording, and what is refused ------------------------------------------------------------------------------

static void test_log(void **state) {
    (void)state;
    const recorded_agent agents[] = {
        {.x = 10, .y = 0, .speed = 3, .last = 100},
        {.x = 40, .y = 0, .heading = NM_PI / 2, .speed = 2, .last = 100}, // drives off the road
        {.x = 60, .y = 3.5, .last = 100},                                 //
        {.x = 63, .y = 3.5, .last = 45},                                  // overlaps it while it is there
        {.x = 100, .y = 0, .heading = 0.2, .speed = 4, .last = 70},       // likewise, after it is gone
        {.x = 20, .y = 40, .heading = 0.0, .speed = 4, .last = 100, .flags = NM_TRACK_STATIC}, // not asked for
    };
    const nm_scene *scene = record(nm_test_road(200), agents, 6, STEPS, 20, 0);
    const uint32_t track[] = {0, 1, 2, 3, 4};
    nm_generation_sums log = {0};
    nm_error error;
    assert_int_equal(nm_generation_log(scene, track, 5, &config, &log, &error), NM_OK);
    const nm_generation_result r = nm_generation_result_of(&log);
    assert_float_equal(r.displacement_8s[NM_WHO_EVERYBODY][NM_OVER_BEST_AGENT], 0.0, 0);
    assert_float_equal(log.displacement_count[NM_WHO_AGENTS][7], 2, 0);
    assert_float_equal(r.collision[1], 1.0 / 5.0, 1e-12);
    assert_float_equal(r.collision[2], 0.0, 0);
    assert_float_equal(log.off_road, 1, 0);
    assert_float_equal(log.stability_count, 3, 0);
    // futures that are the recording say the same; what they say where it has nothing does not matter
    hand_made f = going_on(scene, 1, 80);
    f.view.agents = 5;
    for (uint32_t k = 0; k < 80; k++)
        for (uint32_t a = 0; a < 5; a++)
            if (20 + k + 1 > agents[a].last) f.x[future_at(&f, 0, a, k)] = NAN;
    const nm_generation_sums same = sums_of(scene, &f);
    const double *p = (const double *)&log, *q = (const double *)&same;
    for (size_t i = 0; i < sizeof log / sizeof *p; i++) assert_float_equal(p[i], q[i], 1e-3);
    hand_made_free(&f);
    nm_scene_destroy(scene);
}

static void refused(const nm_scene *scene, const nm_futures *futures, const nm_generation_config *c,
                    nm_status expected) {
    nm_generation_sums sums, before;
    memset(&sums, 0, sizeof sums);
    sums.scenes = 5;
    before = sums;
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_generation_add(scene, futures, c, &sums, &error), expected);
    assert_int_equal(error.code, expected);
    assert_true(error.message[0] != '\0');
    assert_memory_equal(&sums, &before, sizeof sums);
}

static void test_refusals(void **state) {
    (void)state;
    const recorded_agent agents[] = {
        {.x = 0, .last = 100}, {.x = 20, .first = 30, .last = 100}, {.x = 40, .last = 100}};
    const nm_scene *scene = record(nm_test_road(200), agents, 3, STEPS, 20, 0);
    hand_made f = going_on(scene, 2, 80);
    for (int i = 0; i < 5; i++) {
        nm_generation_config bad = config;
        if (i == 0) bad.frames = 3;
        if (i == 1) bad.frames = 17;
        if (i == 2) bad.lane_distance = 0.0f;
        if (i == 3) bad.lane_distance = NAN;
        if (i == 4) bad.pair_distance = -1.0f;
        refused(scene, &f.view, &bad, NM_E_ARGUMENT);
    }
    nm_scene other = *scene;
    other.dt = 0.2f;
    refused(&other, &f.view, &config, NM_E_ARGUMENT);
    other = *scene;
    other.current_step = STEPS;
    refused(&other, &f.view, &config, NM_E_ARGUMENT);
    const uint32_t track[][2] = {{0, 1}, {2, 0}, {2, 2}, {0, 3}}; // not there now, falling, twice, no track
    for (int i = 0; i < 4; i++) {
        nm_futures g = f.view;
        g.track = track[i];
        refused(scene, &g, &config, NM_E_ARGUMENT);
    }
    float *planes[] = {f.x, f.y, f.heading};
    const float odd[] = {NAN, INFINITY, -INFINITY, 2e7f};
    for (int p = 0; p < 3; p++) {
        for (int i = 0; i < 4; i++) {
            float *at = &planes[p][future_at(&f, 1, 1, 79)];
            const float was = *at;
            *at = odd[i];
            refused(scene, &f.view, &config, NM_E_NUMERIC);
            *at = was;
        }
    }
    sums_of(scene, &f); // and now it is fine
    hand_made_free(&f);
    nm_scene_destroy(scene);
}

static void test_nobody(void **state) {
    (void)state;
    const recorded_agent agents[] = {{.x = 0, .last = 10}};
    const nm_scene *scene = record(nm_test_road(200), agents, 1, STEPS, 20, NM_NONE);
    hand_made f = going_on(scene, 1, 80);
    const nm_generation_sums sums = sums_of(scene, &f);
    assert_float_equal(sums.scenes, 1, 0);
    assert_float_equal(sums.off_road_scenes, 0, 0);
    const nm_generation_result r = nm_generation_result_of(&sums);
    assert_true(isnan(r.displacement_8s[NM_WHO_AGENTS][NM_OVER_MEAN]) && isnan(r.collision_rate));
    hand_made_free(&f);
    nm_scene_destroy(scene);
}

static void test_names(void **state) {
    (void)state;
    for (int a = 0; a < NM_STABILITY_COUNT; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(nm_stability_name((nm_stability)a), nm_stability_name((nm_stability)b));
    assert_string_equal(nm_stability_name(NM_STABILITY_YAW_JERK), "yaw_jerk");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_displacement, setup),
        cmocka_unit_test_setup(test_displacement_over_scenes, setup),
        cmocka_unit_test_setup(test_samples, setup),
        cmocka_unit_test_setup(test_best_over_time, setup),
        cmocka_unit_test_setup(test_short, setup),
        cmocka_unit_test_setup(test_collisions, setup),
        cmocka_unit_test_setup(test_collision_reach, setup),
        cmocka_unit_test_setup(test_collisions_against_all_pairs, setup),
        cmocka_unit_test_setup(test_off_road, setup),
        cmocka_unit_test_setup(test_observed_in_lane, setup),
        cmocka_unit_test_setup(test_off_road_over_scenes, setup),
        cmocka_unit_test_setup(test_off_road_against_all_lanes, setup),
        cmocka_unit_test_setup(test_stability, setup),
        cmocka_unit_test_setup(test_stability_turned, setup),
        cmocka_unit_test_setup(test_log, setup),
        cmocka_unit_test_setup(test_refusals, setup),
        cmocka_unit_test_setup(test_nobody, setup),
        cmocka_unit_test_setup(test_names, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
