/// Paths: places along them and back, coasting, and which way the road leads an agent.
#include "nexus/path.h"
#include "sim/math.h"
#include "tokens_support.h"

/// A path 3 m straight, then round a circle of `radius` to the left, its points `step` m apart.
static nm_path bend(float radius, float step) {
    nm_path path = {.step = step};
    for (uint32_t i = 0; i < NM_PATH_POINTS; i++) {
        const float along = step * (float)i, round = nm_maxf(along - 3.0f, 0.0f) / radius;
        path.heading[i] = round;
        path.x[i] = nm_minf(along, 3.0f) + radius * sinf(round);
        path.y[i] = radius * (1.0f - cosf(round));
    }
    nm_path_measure(&path);
    return path;
}

static void a_place_comes_back(void **state) {
    (void)state;
    const nm_path path = bend(20.0f, 1.0f);
    const float end = path.s[NM_PATH_POINTS - 1];
    for (float s = -10.0f; s < end + 20.0f; s += 0.37f) {
        for (float d = -4.0f; d < 5.0f; d += 2.0f) {
            const nm_path_pose on = {.x = s, .y = d, .cos_h = 0.8f, .sin_h = -0.6f};
            const nm_path_pose place = nm_path_place(&path, &on), back = nm_path_project(&path, &place);
            assert_float_equal(back.x, s, 2e-2f);
            assert_float_equal(back.y, d, 1e-3f);
            assert_float_equal(back.cos_h, 0.8f, 2e-3f);
            assert_float_equal(back.sin_h, -0.6f, 2e-3f);
            assert_float_equal(place.cos_h * place.cos_h + place.sin_h * place.sin_h, 1.0f, 1e-5f);
        }
    }
}

static void places_lie_on_the_circle(void **state) {
    (void)state;
    const float radius = 20.0f;
    const nm_path path = bend(radius, 1.5f); // a point every 4 degrees
    for (float s = 6.0f; s < 60.0f; s += 0.13f) {
        const nm_path_pose on = {.x = s, .y = 1.0f, .cos_h = 1.0f}, at = nm_path_place(&path, &on);
        assert_float_equal(hypotf(at.x - 3.0f, at.y - radius), radius - 1.0f, 2e-3f);
        // along the tangent
        assert_float_equal((at.x - 3.0f) * at.cos_h + (at.y - radius) * at.sin_h, 0.0f, 0.05f);
    }
}

static void who_coasts_takes_up_the_direction(void **state) {
    (void)state;
    const nm_path_pose start = {.x = 5.0f, .y = 1.0f, .cos_h = cosf(0.2f), .sin_h = sinf(0.2f)};
    nm_path_pose at = nm_path_coast(&start, 10.0f, 0.0f);
    assert_float_equal(at.x, 5.0f, 1e-6f);
    assert_float_equal(at.y, 1.0f, 1e-6f);
    assert_float_equal(at.sin_h, start.sin_h, 1e-6f);
    const nm_path_pose soon = nm_path_coast(&start, 10.0f, 0.01f); // begins as it looks
    assert_float_equal((soon.y - 1.0f) / (soon.x - 5.0f), tanf(0.2f), 2e-3f);
    at = nm_path_coast(&start, 10.0f, 8.0f);
    assert_float_equal(at.x, 5.0f + 80.0f * cosf(0.2f), 1e-3f);
    assert_float_equal(at.y, 1.0f + 10.0f * tanf(0.2f), 5e-3f); // within the way of a second
    assert_float_equal(at.sin_h, 0.0f, 1e-3f);
    const nm_path_pose back = nm_path_coast(&start, -2.0f, 1.0f); // backwards, to the right of where it looks
    assert_true(back.x < 5.0f && back.y < 1.0f);
    const nm_path_pose stands = nm_path_coast(&start, 0.0f, 8.0f);
    assert_memory_equal(&stands, &start, sizeof stands);
}

static void points_that_fall_together_are_told_apart(void **state) {
    (void)state;
    nm_path path = {.step = 1.0f};
    nm_path_measure(&path);
    for (uint32_t i = 1; i < NM_PATH_POINTS; i++) assert_true(path.s[i] > path.s[i - 1]);
    const nm_path_pose at = nm_path_place(&path, &(nm_path_pose){.x = 0.01f, .cos_h = 1.0f});
    assert_true(isfinite(at.x) && isfinite(at.y) && fabsf(at.x) < 0.1f);
}

// ---------------------------------------------------------------------------------------------------------------------
// Whose path

/// A street of 40 m along x, then two ways on: a bend of 90 degrees to the left, first in the list, and `ahead` m
/// straight on.
static const nm_map *fork_of(double ahead) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    nm_lane_def def = nm_lane_def_default();
    static const int64_t next[2] = {2, 3};
    def.id = 1;
    def.type = NM_LANE_STREET;
    def.speed_limit = 10.0;
    def.control = NM_CONTROL_YIELD;
    def.successors = next;
    def.successor_count = 2;
    nm_test_lane(builder, &def, (double[]){0.0, 0.0, 40.0, 0.0}, 2, 3.5);
    def.successor_count = 0;
    def.control = NM_CONTROL_NONE;
    def.id = 2;
    def.speed_limit = 5.0;
    double arc[2 * 32];
    for (int i = 0; i < 31; i++) {
        const double angle = 1.5707963267948966 * i / 30.0;
        arc[2 * i] = 40.0 + 15.0 * sin(angle);
        arc[2 * i + 1] = 15.0 * (1.0 - cos(angle));
    }
    arc[62] = 55.0;
    arc[63] = 80.0;
    nm_test_lane(builder, &def, arc, 32, 3.5);
    def.id = 3;
    def.speed_limit = 20.0;
    nm_test_lane(builder, &def, (double[]){40.0, 0.0, 40.0 + ahead, 0.0}, 2, 3.5);
    return nm_test_build(builder);
}

static const nm_map *fork(void) {
    return fork_of(120.0);
}

/// One car at 10 m/s along the street, 0.5 m left of its middle; at the end of its recording 8 s later at `goal`.
static const nm_scene *driver(const nm_map *map, double x, double y, double heading) {
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 101, &error), NM_OK);
    const nm_track_def def = {.id = 7, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
    uint32_t track;
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    for (uint32_t step = 0; step < 101; step++) {
        const float along = (float)step * 1.0f;
        nm_state s = {.x = 5.0f + along, .y = 0.5f, .vx = 10.0f};
        if (step > 20) { // only the end of it says where it goes
            s.x = (float)x;
            s.y = (float)y;
            s.heading = (float)heading;
        }
        assert_int_equal(nm_scene_builder_add_local_state(builder, track, step, &s, &error), NM_OK);
    }
    nm_scene_builder_set_current(builder, 20, 0);
    const nm_scene *out = NULL;
    if (nm_scene_builder_build(builder, &out, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return out;
}

static nm_token_config with_paths(void) {
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    config.paths = 1;
    return config;
}

static void without_a_goal_the_straightest_way_leads(void **state) {
    (void)state;
    const nm_scene *scene = driver(fork(), 55.0, 60.0, 1.5708); // to the left, but nobody is told
    const nm_token_config config = with_paths();
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 20, .focus = NM_NONE});
    const nm_path *path = f.tokens.path;
    assert_true(path->step > 0.0f && f.tokens.route_given[0] == 0);
    for (uint32_t i = 0; i < NM_PATH_POINTS; i++) {
        assert_float_equal(path->x[i], path->step * (float)i, 2e-3f);
        assert_float_equal(path->y[i], 0.0f, 1e-3f);
    }
    const uint32_t width = nm_token_conditions(&config);
    assert_int_equal(width, NM_CONDITION_PATH_END);
    const float *now = f.tokens.condition + (size_t)config.past * width, *last = now + (size_t)config.future * width;
    assert_float_equal(now[NM_CONDITION_PATH], 1.0f, 0.0f);
    assert_float_equal(now[NM_CONDITION_ROUTE], 0.0f, 0.0f);
    assert_float_equal(last[NM_CONDITION_PATH_X], 80.0f / 20.0f, 1e-3f);
    assert_float_equal(now[NM_CONDITION_PATH_LIMIT], 0.5f, 1e-6f);
    assert_float_equal(now[NM_CONDITION_PATH_LIMIT + 1], 1.0f, 1e-6f); // the end of the street is 15 m away
    assert_float_equal(now[NM_CONDITION_PATH_CONTROL + NM_CONTROL_YIELD - NM_CONTROL_PRIORITY], 1.0f, 0.0f);
    assert_float_equal(now[NM_CONDITION_PATH_ENTRY], 15.0f / 50.0f, 1e-3f);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// Who is seen in a map is rarely about to leave it: the way that goes on is taken, unless both end too early.
static void a_way_that_ends_does_not_lead(void **state) {
    (void)state;
    static const struct {
        double ahead;
        int left;
    } cases[] = {{30.0, 1}, {85.0, 1}, {100.0, 0}}; // the left arm is 88.5 m long, 129 m are looked for
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const nm_scene *scene = driver(fork_of(cases[i].ahead), 30.0, 0.0, 0.0);
        const nm_token_config config = with_paths();
        tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 20, .focus = NM_NONE});
        assert_float_equal(f.tokens.path[0].heading[NM_PATH_POINTS - 1], cases[i].left ? 1.5708f : 0.0f, 2e-3f);
        tokens_end(&f);
        nm_scene_destroy(scene);
    }
}

static void a_goal_chooses_the_way(void **state) {
    (void)state;
    static const struct {
        double x, y, heading;
        int given, left;
    } cases[] = {{55.0, 60.0, 1.5708, 1, 1},   // down the left arm
                 {120.0, 0.0, 0.0, 1, 0},      // straight on
                 {30.0, 0.0, 0.0, 1, 0},       // before the ways part
                 {90.0, 60.0, 0.8, 0, 0},      // nowhere near a road
                 {55.0, 60.0, -1.5708, 0, 0}}; // looking back
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const nm_scene *scene = driver(fork(), cases[i].x, cases[i].y, cases[i].heading);
        const nm_token_config config = with_paths();
        const nm_token_request request = {.current_step = 20, .focus = NM_NONE, .routes = 1.0f};
        tokens_fixture f = tokens_begin(scene, &config, &request);
        const nm_path *path = f.tokens.path;
        if (f.tokens.route_given[0] != cases[i].given) fail_msg("case %zu", i);
        const float turned = path->heading[NM_PATH_POINTS - 1];
        if (fabsf(turned - (cases[i].left ? 1.5708f : 0.0f)) > 2e-3f) fail_msg("case %zu turned %g", i, (double)turned);
        assert_float_equal(turned, cases[i].left ? 1.5708f : 0.0f, 2e-3f);
        if (cases[i].left) { // 0.5 m left of the arm's middle
            assert_float_equal(path->x[NM_PATH_POINTS - 1], 54.5f - 25.0f, 0.02f);
            assert_true(path->y[NM_PATH_POINTS - 1] > 60.0f);
        }
        tokens_end(&f);
        nm_scene_destroy(scene);
    }
}

/// Where an agent is bound for chooses its way whatever was recorded, and of nobody else.
static void whose_way_is_known_takes_it(void **state) {
    (void)state;
    static const struct {
        nm_token_bound bound;
        int given, left;
    } cases[] = {{{0, 55.0f, 30.0f, 1.5708f}, 1, 1},
                 {{0, 90.0f, 0.0f, 0.0f}, 1, 0},
                 {{0, 90.0f, 60.0f, 0.8f}, 0, 0},     // nowhere near a road
                 {{1, 55.0f, 30.0f, 1.5708f}, 0, 0}}; // somebody else
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const nm_scene *scene = driver(fork(), 120.0, 0.0, 0.0); // went straight on
        const nm_token_config config = with_paths();
        const nm_token_request request = {
            .current_step = 20, .focus = NM_NONE, .bounds = &cases[i].bound, .bound_count = 1};
        tokens_fixture f = tokens_begin(scene, &config, &request);
        if (f.tokens.route_given[0] != cases[i].given) fail_msg("case %zu", i);
        assert_float_equal(f.tokens.path[0].heading[NM_PATH_POINTS - 1], cases[i].left ? 1.5708f : 0.0f, 2e-3f);
        tokens_end(&f);
        nm_scene_destroy(scene);
    }
}

static void shares_of_routes_are_drawn(void **state) {
    (void)state;
    const nm_scene *scene = driver(fork(), 55.0, 60.0, 1.5708);
    const nm_token_config config = with_paths();
    uint32_t given = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        const nm_token_request request = {.current_step = 20, .focus = NM_NONE, .routes = 0.3f, .seed = seed};
        tokens_fixture f = tokens_begin(scene, &config, &request);
        given += f.tokens.route_given[0];
        assert_float_equal(f.tokens.path[0].heading[NM_PATH_POINTS - 1], f.tokens.route_given[0] ? 1.5708f : 0.0f,
                           2e-3f);
        tokens_end(&f);
    }
    assert_in_range(given, 40, 80);
    nm_scene_destroy(scene);
}

/// Who is ahead round the bend is ahead on the path, and who is straight ahead beyond it is not.
static void a_leader_is_on_the_path(void **state) {
    (void)state;
    const double quarter = 15.0 * 1.5707963267948966;
    const nm_test_agent agents[] = {
        {.x = 38.0, .speed = 5.0}, {.x = 55.0, .y = 25.0, .heading = 1.5708, .speed = 3.0}, {.x = 80.0, .speed = 1.5}};
    const nm_scene *scene = nm_test_scene(fork(), agents, 3, 120);
    const nm_token_config config = with_paths();
    for (int given = 0; given < 2; given++) {
        // the leader's own end is up the arm; the first car's end is straight on, so that only its default leads there
        const nm_token_request request = {.current_step = 0, .focus = 0, .routes = (float)given};
        tokens_fixture f = tokens_begin(scene, &config, &request);
        const float *first = f.tokens.condition;
        assert_float_equal(first[NM_CONDITION_LEAD], 1.0f, 0.0f);
        assert_float_equal(first[NM_CONDITION_LEAD_GAP], (42.0f - 4.5f) / 50.0f, 2e-3f);
        assert_float_equal(first[NM_CONDITION_LEAD_SPEED], (1.5f - 5.0f) / 10.0f, 1e-4f);
        tokens_end(&f);
    }
    nm_scene_destroy(scene);
    const nm_test_agent bound_left[] = {{.x = 45.0, .y = 0.857864, .heading = 0.339837, .speed = 5.0},
                                        {.x = 55.0, .y = 25.0, .heading = 1.5708, .speed = 3.0},
                                        {.x = 80.0, .speed = 1.5}};
    scene = nm_test_scene(fork(), bound_left, 3, 120);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 0, .focus = 0});
    assert_int_equal(f.tokens.track[0], 0);
    assert_float_equal(f.tokens.condition[NM_CONDITION_LEAD], 1.0f, 0.0f);
    const double gap = quarter - 15.0 * 0.339837 + 10.0 - 4.5;
    assert_float_equal(f.tokens.condition[NM_CONDITION_LEAD_GAP], (float)gap / 50.0f, 5e-3f);
    assert_float_equal(f.tokens.condition[NM_CONDITION_LEAD_SPEED], -0.2f, 1e-3f);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

static void who_is_on_no_lane_has_no_path(void **state) {
    (void)state;
    const nm_test_agent agents[] = {{.x = 20.0, .y = 30.0, .speed = 3.0},
                                    {.x = 20.0, .heading = 3.1, .speed = 3.0},
                                    {.x = 10.0, .speed = 1.0, .type = NM_AGENT_PEDESTRIAN},
                                    {.x = 30.0, .speed = 6.0}};
    const nm_scene *scene = nm_test_scene(fork(), agents, 4, 2);
    const nm_token_config config = with_paths();
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 0, .focus = NM_NONE});
    const uint32_t width = nm_token_conditions(&config), steps = f.tokens.shape.steps;
    assert_int_equal(f.tokens.shape.agents, 4);
    for (uint32_t a = 0; a < 4; a++) {
        const int led = f.tokens.track[a] == 3;
        const float *last = f.tokens.condition + ((size_t)a * steps + steps - 1) * width;
        assert_int_equal(f.tokens.path[a].step > 0.0f, led);
        assert_float_equal(last[NM_CONDITION_PATH], (float)led, 0.0f);
        assert_float_equal(last[NM_CONDITION_PATH_X], 8.0f * 10.0f * last[NM_CONDITION_SPEED] / 20.0f, 2e-3f);
        assert_float_equal(last[NM_CONDITION_PATH_COS], 1.0f, 1e-4f);
        for (uint32_t k = NM_CONDITION_PATH_LIMIT; !led && k < width; k++) assert_float_equal(last[k], 0.0f, 0.0f);
    }
    tokens_end(&f);
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_comes_back),
        cmocka_unit_test(places_lie_on_the_circle),
        cmocka_unit_test(who_coasts_takes_up_the_direction),
        cmocka_unit_test(points_that_fall_together_are_told_apart),
        cmocka_unit_test(without_a_goal_the_straightest_way_leads),
        cmocka_unit_test(a_way_that_ends_does_not_lead),
        cmocka_unit_test(a_goal_chooses_the_way),
        cmocka_unit_test(whose_way_is_known_takes_it),
        cmocka_unit_test(shares_of_routes_are_drawn),
        cmocka_unit_test(a_leader_is_on_the_path),
        cmocka_unit_test(who_is_on_no_lane_has_no_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
