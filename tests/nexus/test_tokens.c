/// Tokens of scenes: known examples by hand, the way there and back, what does not depend on where a scene lies or how
/// its tracks are numbered, masks, and scenes that are odd or refused. The map's side: test_tokens_map.c.
#include "tokens_support.h"

static const nm_token_encoding encodings[2] = {NM_TOKENS_EGO, NM_TOKENS_AGENT};

/// Two agents on a wide road, 81 + 30 steps: the ego drives north along x = 10, the other one east.
static const nm_scene *two_agents(void) {
    const nm_test_agent agents[2] = {{.x = 10.0, .y = 20.0, .heading = NM_PI / 2.0, .speed = 4.0},
                                     {.x = 13.0, .y = 25.0, .heading = 0.0, .speed = 2.0, .length = 9.5, .width = 2.8}};
    return nm_test_scene(nm_test_road(200.0), agents, 2, 111);
}

#define NEAR(a, b) assert_true(fabs((double)(a) - (double)(b)) < 2e-5)

static void test_ego_by_hand(void **state) {
    (void)state;
    const nm_scene *scene = two_agents();
    nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 20, .focus = NM_NONE});
    const nm_tokens *k = &f.tokens;
    assert_int_equal(k->shape.agents, 2);
    assert_int_equal(k->shape.steps, 21);
    assert_int_equal(nm_token_channels(&config), 8);
    assert_int_equal(k->track[0], 0);
    assert_int_equal(k->track[1], 1);
    for (size_t i = 0; i < 2 * 21; i++) assert_true(k->valid[i] && k->logged[i]);
    // at step 20 the ego is at (10, 28); two seconds before, at token 0, 8 m behind, and 32 m ahead at the end
    const float *first = k->values, *now = k->values + 4 * 8, *last = k->values + 20 * 8;
    NEAR(first[NM_EGO_X], -8.0 / 104.0);
    NEAR(now[NM_EGO_X], 0.0);
    NEAR(last[NM_EGO_X], 32.0 / 104.0);
    NEAR(now[NM_EGO_Y], 0.0);
    NEAR(now[NM_EGO_COS], 1.0);
    NEAR(now[NM_EGO_SIN], 0.0);
    NEAR(now[NM_EGO_VX], 1.0);
    NEAR(now[NM_EGO_VY], 0.0);
    NEAR(now[NM_EGO_LENGTH], 0.0);
    NEAR(now[NM_EGO_WIDTH], -0.2 / 1.6);
    // the other at (17, 25): 3 m behind the ego, 7 m to its right, moving to the right
    const float *other = k->values + (21 + 4) * 8;
    NEAR(other[NM_EGO_X], -3.0 / 104.0);
    NEAR(other[NM_EGO_Y], -7.0 / 104.0);
    NEAR(other[NM_EGO_COS], 0.0);
    NEAR(other[NM_EGO_SIN], -1.0);
    NEAR(other[NM_EGO_VX], 0.0);
    NEAR(other[NM_EGO_VY], -0.5);
    NEAR(other[NM_EGO_LENGTH], 1.0);
    NEAR(other[NM_EGO_WIDTH], 0.5);
    NEAR(k->pose[4 * (21 + 4)], -3.0);
    NEAR(k->pose[4 * (21 + 4) + 1], -7.0);
    NEAR(k->pose[4 * (21 + 4) + 2], 0.0);
    NEAR(k->pose[4 * (21 + 4) + 3], -1.0);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

static void test_agent_by_hand(void **state) {
    (void)state;
    const nm_scene *scene = two_agents();
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 24, .focus = NM_NONE});
    const nm_tokens *k = &f.tokens;
    assert_int_equal(nm_token_channels(&config), 25);
    // state i of token t is that of step 24 + 5 (t - 4) - 4 + i; the other agent goes 0.2 m a step, straight ahead
    for (int t = 0; t < 21; t++) {
        for (int i = 0; i < 5; i++) {
            if (24 + 5 * (t - 4) - 4 + i > 110) continue;
            const float *v = k->values + (size_t)(21 + t) * 25 + (size_t)i * NM_OWN_CHANNELS;
            NEAR(v[NM_OWN_X], 0.2 * (5 * (t - 4) - 4 + i) / 20.0);
            NEAR(v[NM_OWN_Y], 0.0);
            NEAR(v[NM_OWN_COS], 1.0);
            NEAR(v[NM_OWN_SIN], 0.0);
            NEAR(v[NM_OWN_SPEED], 0.2);
        }
    }
    // (17.8, 25) heading east, seen from the ego at (10, 29.6) heading north
    const float *c = k->condition + (size_t)(21 + 4) * NM_CONDITION_COUNT;
    for (int type = 0; type < NM_AGENT_TYPE_COUNT; type++) NEAR(c[NM_CONDITION_TYPE + type], type == NM_AGENT_CAR);
    NEAR(c[NM_CONDITION_LENGTH], 1.0);
    NEAR(c[NM_CONDITION_WIDTH], 0.5);
    NEAR(c[NM_CONDITION_EGO], 0.0);
    NEAR(k->condition[NM_CONDITION_EGO], 1.0);
    NEAR(c[NM_CONDITION_X], -4.6 / 50.0);
    NEAR(c[NM_CONDITION_Y], -7.8 / 50.0);
    NEAR(c[NM_CONDITION_COS], 0.0);
    NEAR(c[NM_CONDITION_SIN], -1.0);
    NEAR(c[NM_CONDITION_SPEED], 0.2);
    NEAR(c[NM_CONDITION_AGE], 0.0);
    NEAR(c[NM_CONDITION_LANE], 0.0); // 25 m north of the first lane
    tokens_end(&f);
    nm_scene_destroy(scene);
}

static void test_lane_conditions(void **state) {
    (void)state;
    // 0.5 m left of the second lane (y = 3.5), turned 0.1 rad; a pedestrian at the same place knows no lane
    const nm_test_agent agents[2] = {{.x = 50.0, .y = 4.0, .heading = 0.1},
                                     {.x = 60.0, .y = 4.0, .heading = 0.1, .type = NM_AGENT_PEDESTRIAN}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), agents, 2, 11);
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 10, .focus = NM_NONE});
    const float *c = f.tokens.condition, *walker = c + 21 * NM_CONDITION_COUNT;
    NEAR(c[NM_CONDITION_LANE], 1.0);
    NEAR(c[NM_CONDITION_LANE_OFFSET], 0.25);
    NEAR(c[NM_CONDITION_LANE_COS], cos(0.1));
    NEAR(c[NM_CONDITION_LANE_SIN], sin(0.1));
    NEAR(c[NM_CONDITION_LIMIT_KNOWN], 1.0);
    NEAR(c[NM_CONDITION_LIMIT], 1.5);
    for (int i = 0; i < 5; i++) NEAR(c[NM_CONDITION_SIGNAL + i], 0.0);
    for (int i = NM_CONDITION_LANE; i < NM_CONDITION_LEAD; i++) NEAR(walker[i], 0.0);
    NEAR(walker[NM_CONDITION_TYPE + NM_AGENT_PEDESTRIAN], 1.0);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

static void check_state(const nm_scene *scene, uint32_t track, int64_t step, const nm_state *got, int velocity) {
    const size_t at = nm_scene_at(scene, track, (uint32_t)step);
    assert_true(hypot((double)(got->x - scene->x[at]), (double)(got->y - scene->y[at])) < 1e-3);
    assert_true(fabs((double)nm_wrap_angle(got->heading - scene->heading[at])) < 1e-3);
    if (velocity) {
        assert_true(fabsf(got->vx - scene->vx[at]) < 1e-3f);
        assert_true(fabsf(got->vy - scene->vy[at]) < 1e-3f);
    }
}

/// Every logged token decodes to the log; returns how many states were compared.
static uint32_t round_trip(const nm_scene *scene, nm_token_encoding encoding, nm_token_rate rate) {
    nm_token_config config = nm_token_config_default(encoding);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 30, .focus = NM_NONE});
    const uint32_t count = nm_token_timeline(&config, rate), agents = f.tokens.shape.agents;
    const int64_t first = nm_tokens_first_step(&f.tokens, rate), stride = rate == NM_RATE_2HZ ? 5 : 1;
    nm_state *states = calloc((size_t)agents * count, sizeof *states);
    uint8_t *valid = calloc((size_t)agents * count, 1);
    nm_error error;
    assert_int_equal(nm_tokens_decode(&f.tokens, f.tokens.values, NULL, rate, states, valid, &error), NM_OK);
    uint32_t compared = 0;
    for (uint32_t a = 0; a < agents; a++) {
        for (uint32_t i = 0; i < count; i++) {
            const size_t at = (size_t)a * count + i;
            if (!valid[at]) continue;
            check_state(scene, f.tokens.track[a], first + stride * (int64_t)i, &states[at], encoding == NM_TOKENS_EGO);
            compared++;
        }
    }
    free(states);
    free(valid);
    tokens_end(&f);
    return compared;
}

static void test_round_trip(void **state) {
    (void)state;
    static const char *const specifications[3] = {"junction_signal:vehicles=20,pedestrians=6,cyclists=3",
                                                  "highway_curved:vehicles=40", "roundabout:vehicles=14"};
    for (int i = 0; i < 3; i++) {
        const nm_scene *scene = tokens_rollout(specifications[i], 7, 115);
        assert_true(round_trip(scene, NM_TOKENS_EGO, NM_RATE_2HZ) > 150);
        uint32_t tokens = round_trip(scene, NM_TOKENS_AGENT, NM_RATE_2HZ);
        assert_true(tokens > 150);
        assert_int_equal(round_trip(scene, NM_TOKENS_AGENT, NM_RATE_10HZ), 5 * tokens);
        nm_scene_destroy(scene);
    }
}

/// Between 2 Hz tokens the path bends as the vehicles do: near the log all along, and never past the headings around.
static void test_interpolation(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("roundabout:vehicles=14", 3, 115);
    nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 30, .focus = NM_NONE});
    enum { COUNT = 101 };
    assert_int_equal(nm_token_timeline(&config, NM_RATE_10HZ), COUNT);
    nm_state *states = calloc((size_t)f.tokens.shape.agents * COUNT, sizeof *states);
    uint8_t *valid = calloc((size_t)f.tokens.shape.agents * COUNT, 1);
    nm_error error;
    nm_tokens_decode(&f.tokens, f.tokens.values, NULL, NM_RATE_10HZ, states, valid, &error);
    double worst = 0.0, turned = 0.0, worst_heading = 0.0, worst_speed = 0.0;
    for (uint32_t a = 0; a < f.tokens.shape.agents; a++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            const nm_state *s = &states[(size_t)a * COUNT + i];
            if (!valid[(size_t)a * COUNT + i]) continue;
            size_t at = nm_scene_at(scene, f.tokens.track[a], 10 + i);
            assert_true(scene->valid[at]);
            worst = fmax(worst, hypot((double)(s->x - scene->x[at]), (double)(s->y - scene->y[at])));
            worst_heading = fmax(worst_heading, fabs((double)nm_wrap_angle(s->heading - scene->heading[at])));
            worst_speed = fmax(worst_speed, hypot((double)(s->vx - scene->vx[at]), (double)(s->vy - scene->vy[at])));
            if (i % 5 || i + 5 >= COUNT || !valid[(size_t)a * COUNT + i + 5]) continue;
            float turn = nm_wrap_angle(s[5].heading - s->heading);
            turned += fabs((double)turn);
            for (int j = 1; j < 5; j++) {
                float part = nm_wrap_angle(s[j].heading - s->heading);
                assert_true(part * turn >= -1e-9f && fabsf(part) <= fabsf(turn) + 1e-5f);
            }
        }
    }
    assert_true(turned > 3.0); // rad: they did drive round
    assert_true(worst < 0.05);
    assert_true(worst_heading < 0.04);
    assert_true(worst_speed < 0.5);
    free(states);
    free(valid);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// Uniform acceleration is a parabola: the cubic gives it exactly, at every tenth of a second.
static void test_parabola(void **state) {
    (void)state;
    const nm_test_agent one = {.x = 0.0, .y = 0.0, .heading = 3.0, .speed = 1.0};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), &one, 1, 101);
    nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 20, .focus = NM_NONE});
    for (int t = 0; t < 21; t++) { // x = 5 + 3 t + t^2, y = -2 t: in the ego's frame
        const double s = 0.5 * t;
        float *v = f.tokens.values + (size_t)t * 8;
        v[NM_EGO_X] = (float)((5.0 + 3.0 * s + s * s) / 104.0);
        v[NM_EGO_Y] = (float)(-2.0 * s / 104.0);
        v[NM_EGO_VX] = (float)((3.0 + 2.0 * s) / 4.0);
        v[NM_EGO_VY] = (float)(-2.0 / 4.0);
        v[NM_EGO_COS] = (float)(2.0 * cos(0.9 + 0.3 * s)); // not of length 1; passes pi in the scene
        v[NM_EGO_SIN] = (float)(2.0 * sin(0.9 + 0.3 * s));
    }
    nm_state states[101];
    uint8_t valid[101];
    nm_error error;
    assert_int_equal(nm_tokens_decode(&f.tokens, f.tokens.values, NULL, NM_RATE_10HZ, states, valid, &error), NM_OK);
    const nm_token_frame *frame = &f.tokens.frame[0];
    const double c = cos(3.0), s = sin(3.0);
    for (int i = 0; i < 101; i++) {
        const double t = 0.1 * i, x = 5.0 + 3.0 * t + t * t, y = -2.0 * t, vx = 3.0 + 2.0 * t, vy = -2.0;
        assert_true(valid[i]);
        assert_true(fabs((double)states[i].x - (frame->x + c * x - s * y)) < 1e-4);
        assert_true(fabs((double)states[i].y - (frame->y + s * x + c * y)) < 1e-4);
        assert_true(fabs((double)states[i].vx - (c * vx - s * vy)) < 1e-3);
        assert_true(fabs((double)states[i].vy - (s * vx + c * vy)) < 1e-3);
        assert_true(fabs((double)nm_wrap_angle((float)(states[i].heading - (3.9 + 0.3 * t)))) < 1e-4);
        assert_true(states[i].heading > -NM_PI_F && states[i].heading <= NM_PI_F);
    }
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// Where a turn ends, headings come to rest there (the monotone cubic's derivative is 0), and never overshoot.
static void test_turn_that_ends(void **state) {
    (void)state;
    const nm_test_agent one = {.speed = 1.0};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), &one, 1, 101);
    nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 20, .focus = NM_NONE});
    for (int t = 0; t < 21; t++) {
        f.tokens.values[t * 8 + NM_EGO_COS] = (float)cos(t ? 0.4 : 0.0);
        f.tokens.values[t * 8 + NM_EGO_SIN] = (float)sin(t ? 0.4 : 0.0);
    }
    nm_state states[101];
    uint8_t valid[101];
    nm_error error;
    assert_int_equal(nm_tokens_decode(&f.tokens, f.tokens.values, NULL, NM_RATE_10HZ, states, valid, &error), NM_OK);
    for (int i = 0; i < 101; i++) {
        const double u = fmin(i / 5.0, 1.0); // from slope 0.4 to slope 0
        NEAR(states[i].heading, 0.4 * u * (1.0 + u - u * u));
    }
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// Agents of `b` by source id, in the order of `a`.
static uint32_t same_agent(const nm_scene *from, const nm_tokens *a, uint32_t agent, const nm_scene *to,
                           const nm_tokens *b) {
    const int64_t id = from->tracks[a->track[agent]].source_id;
    for (uint32_t i = 0; i < b->shape.agents; i++)
        if (to->tracks[b->track[i]].source_id == id) return i;
    fail_msg("agent %lld is missing", (long long)id);
    return 0;
}

static void assert_close(const float *a, const float *b, size_t count, double tolerance) {
    for (size_t i = 0; i < count; i++) {
        if (!(fabs((double)a[i] - (double)b[i]) < tolerance))
            fail_msg("element %zu: %g and %g", i, (double)a[i], (double)b[i]);
    }
}

/// Everything alike but the order of agents, and that only where `ordered` is 0.
static void compare_tokens(const nm_scene *from, const nm_tokens *a, const nm_scene *to, const nm_tokens *b,
                           int ordered, double tolerance) {
    const size_t steps = a->shape.steps, channels = nm_token_channels(&a->config);
    const size_t conditions = nm_token_conditions(&a->config);
    assert_int_equal(a->shape.agents, b->shape.agents);
    assert_int_equal(a->shape.points, b->shape.points);
    for (uint32_t i = 0; i < a->shape.agents; i++) {
        const uint32_t k = same_agent(from, a, i, to, b);
        if (ordered || i == 0) assert_int_equal(i, k);
        assert_memory_equal(a->valid + i * steps, b->valid + k * steps, steps);
        assert_memory_equal(a->known + i * steps, b->known + k * steps, steps);
        assert_close(a->values + i * steps * channels, b->values + k * steps * channels, steps * channels, tolerance);
        assert_close(a->condition + i * steps * conditions, b->condition + k * steps * conditions, steps * conditions,
                     tolerance);
        assert_close(a->pose + i * steps * 4, b->pose + k * steps * 4, steps * 4, tolerance);
    }
}

static void test_rigid_motion(void **state) {
    (void)state;
    const rigid motion = {.angle = 2.1, .x = 1000.0, .y = -500.0};
    const nm_scene *scene = tokens_rollout("junction_signal:vehicles=20,pedestrians=6", 5, 115);
    const nm_map *map = rigid_map(scene->map, &motion);
    const nm_scene *moved = rigid_scene(scene, map, &motion, NULL);
    for (int e = 0; e < 2; e++) {
        nm_token_config config = nm_token_config_default(encodings[e]);
        const nm_token_request request = {.current_step = 30, .focus = NM_NONE};
        tokens_fixture a = tokens_begin(scene, &config, &request), b = tokens_begin(moved, &config, &request);
        assert_true(a.tokens.shape.agents > 10);
        compare_tokens(scene, &a.tokens, moved, &b.tokens, 1, 1e-3);
        tokens_end(&a);
        tokens_end(&b);
    }
    nm_scene_destroy(moved);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

static void test_permutation(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("junction_priority:vehicles=24,pedestrians=6", 5, 115);
    uint32_t order[64];
    assert_true(scene->track_count <= 64);
    for (uint32_t i = 0; i < scene->track_count; i++) order[i] = scene->track_count - 1 - i;
    const nm_scene *turned = rigid_scene(scene, scene->map, &(rigid){0}, order);
    for (int e = 0; e < 2; e++) {
        nm_token_config config = nm_token_config_default(encodings[e]);
        const nm_token_request request = {.current_step = 30, .focus = NM_NONE};
        tokens_fixture a = tokens_begin(scene, &config, &request), b = tokens_begin(turned, &config, &request);
        compare_tokens(scene, &a.tokens, turned, &b.tokens, 0, 1e-6);
        tokens_end(&a);
        tokens_end(&b);
    }
    nm_scene_destroy(turned);
    nm_scene_destroy(scene);
}

/// One agent at (t, 0) with states at the steps where `there` has a 1, and the ego beside it, always there.
static const nm_scene *with_gaps(const char *there) {
    const nm_map *map = nm_test_road(200.0);
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    const uint32_t steps = (uint32_t)strlen(there);
    nm_scene_builder_begin(builder, map, 0.1, steps, &error);
    for (int i = 0; i < 2; i++) {
        nm_track_def def = {.id = i, .type = NM_AGENT_CAR, .length = 4.0f, .width = 2.0f};
        uint32_t track;
        nm_scene_builder_add_track(builder, &def, &track, &error);
        for (uint32_t t = 0; t < steps; t++) {
            if (i == 1 && there[t] != '1') continue;
            nm_state_def s = {.x = 0.1 * t, .y = 3.5 * i, .vx = 1.0};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &s, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, 10, 0);
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

static void expect(const uint8_t *mask, const char *pattern) {
    for (size_t t = 0; pattern[t]; t++)
        if (mask[t] != (uint8_t)(pattern[t] - '0')) fail_msg("token %zu is %d, not as in %s", t, mask[t], pattern);
}

static void test_masks(void **state) {
    (void)state;
    // steps:                              0    5    10   15   20   25   30  34
    const nm_scene *scene = with_gaps("11111111110111111011111111111110111");
    nm_token_request request = nm_token_request_default(scene);
    assert_int_equal(request.current_step, 10);
    nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    config.past = 2;
    config.future = 5;
    tokens_fixture f = tokens_begin(scene, &config, &request); // steps 0 5 10 15 20 25 30 35
    expect(f.tokens.logged, "11111110");
    expect(f.tokens.logged + 8, "11011110");
    expect(f.tokens.valid + 8, "11011110");
    expect(f.tokens.known + 8, "11000000");
    assert_int_equal(f.tokens.frame[1].step, 9);
    for (int i = 0; i < 8; i++) assert_true(f.tokens.values[(8 + 2) * 8 + i] == 0.0f);
    nm_tokens_set_task(&f.tokens, &(nm_token_task){.kind = NM_TASK_GOAL});
    expect(f.tokens.known, "11100010");
    expect(f.tokens.known + 8, "11000010");
    nm_tokens_set_task(&f.tokens, &(nm_token_task){.kind = NM_TASK_INFILL, .gap_first = 1, .gap_end = 5});
    expect(f.tokens.known, "10000110");
    expect(f.tokens.known + 8, "10000110");
    nm_tokens_set_task(&f.tokens, &(nm_token_task){.kind = NM_TASK_FREE, .given = (const uint8_t[]){0, 1}});
    expect(f.tokens.known, "11100000");
    expect(f.tokens.known + 8, "11011110");
    tokens_end(&f);
    config.encoding = NM_TOKENS_AGENT; // a token needs all five: steps -4..0, 1..5, 6..10, 11..15, ...
    f = tokens_begin(scene, &config, &request);
    expect(f.tokens.logged, "01111110");
    expect(f.tokens.logged + 8, "01010110");
    assert_true(fabsf(f.tokens.condition[8 * NM_CONDITION_COUNT + NM_CONDITION_AGE] - 0.1f) < 1e-6f);
    nm_tokens_set_task(&f.tokens, &(nm_token_task){.kind = NM_TASK_GOAL});
    expect(f.tokens.known + 8, "01000010");
    tokens_end(&f);
    request.generate = 1; // all that is to come is seen; only what is logged can be known
    f = tokens_begin(scene, &config, &request);
    expect(f.tokens.valid, "01111111");
    expect(f.tokens.valid + 8, "01011111"); // token 2, the current one, is history: not generated
    nm_tokens_set_task(&f.tokens, &(nm_token_task){.kind = NM_TASK_INFILL, .gap_first = 4, .gap_end = 5});
    expect(f.tokens.known + 8, "01010110");
    tokens_end(&f);
    nm_scene_destroy(scene);
}

static void refuse(const nm_scene *scene, const nm_token_map *map, const nm_token_request *request, nm_status status,
                   const char *word) {
    nm_arena *arena = nm_arena_create(0);
    nm_tokens tokens;
    nm_error error;
    assert_int_equal(nm_tokens_build(map, scene, request, arena, &tokens, &error), status);
    if (!strstr(error.message, word)) fail_msg("\"%s\" does not say \"%s\"", error.message, word);
    nm_arena_destroy(arena);
}

static void test_refused(void **state) {
    (void)state;
    nm_error error;
    const nm_scene *scene = two_agents(), *other = with_gaps("00000000000000000001"), *slow;
    assert_int_equal(nm_scene_resample(scene, 0.2, &slow, &error), NM_OK);
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    nm_token_map *map, *other_map;
    assert_int_equal(nm_token_map_create(scene->map, &config, &map, &error), NM_OK);
    config.future = 3;
    assert_int_equal(nm_token_map_create(other->map, &config, &other_map, &error), NM_OK);
    refuse(slow, map, &(nm_token_request){.focus = NM_NONE}, NM_E_ARGUMENT, "0.2 s");
    refuse(scene, map, &(nm_token_request){.current_step = 111, .focus = NM_NONE}, NM_E_ARGUMENT, "111 steps");
    refuse(scene, map, &(nm_token_request){.focus = 2}, NM_E_ARGUMENT, "2 tracks");
    refuse(other, other_map, &(nm_token_request){.current_step = 18, .focus = 1}, NM_E_NOT_FOUND, "track 1");
    nm_test_agent none;
    const nm_scene *empty = nm_test_scene(nm_test_crossing(NM_CONTROL_NONE, NM_CONTROL_NONE), &none, 0, 3);
    refuse(empty, map, &(nm_token_request){.focus = NM_NONE}, NM_E_ARGUMENT, "another map");
    nm_token_map_destroy(other_map);
    assert_int_equal(nm_token_map_create(empty->map, &config, &other_map, &error), NM_OK);
    refuse(empty, other_map, &(nm_token_request){.focus = NM_NONE}, NM_E_NOT_FOUND, "no agent");
    nm_token_map_destroy(other_map);
    config.map_points = 1;
    assert_int_equal(nm_token_map_create(empty->map, &config, &other_map, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "map_points"));
    assert_null(other_map);
    config = nm_token_config_default(NM_TOKENS_EGO);
    config.range = (double)NAN;
    assert_int_equal(nm_token_config_check(&config, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "range"));
    nm_token_map_destroy(map);
    nm_scene_destroy(empty);
    nm_scene_destroy(slow);
    nm_scene_destroy(other);
    nm_scene_destroy(scene);
}

static void test_no_memory(void **state) {
    (void)state;
    const nm_scene *scene = two_agents();
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    nm_token_map *map;
    nm_error error;
    assert_int_equal(nm_token_map_create(scene->map, &config, &map, &error), NM_OK);
    int refused = 0;
    for (size_t limit = 64; limit < 65536; limit += 512) { // wherever it runs out
        nm_arena *arena = nm_arena_create(limit);
        nm_tokens tokens;
        nm_token_request request = nm_token_request_default(scene);
        nm_status status = nm_tokens_build(map, scene, &request, arena, &tokens, &error);
        assert_true(status == NM_OK || status == NM_E_MEMORY);
        refused += status == NM_E_MEMORY;
        nm_arena_destroy(arena);
    }
    assert_in_range(refused, 10, 127);
    nm_token_map_destroy(map);
    nm_scene_destroy(scene);
}

/// A thousand agents and only 32 places: the ego first, then the nearest in order; the rest is farther.
static void test_thousand(void **state) {
    (void)state;
    const nm_scene *scene;
    nm_error error;
    assert_int_equal(nm_builtin_scene("highway:lanes=5,length=8000,vehicles=1000", 1, &scene, &error), NM_OK);
    for (int e = 0; e < 2; e++) {
        nm_token_config config = nm_token_config_default(encodings[e]);
        config.range = 500.0;
        tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.focus = 500, .generate = 1});
        const nm_tokens *k = &f.tokens;
        uint8_t taken[1000] = {0};
        double last = 0.0;
        assert_int_equal(k->shape.agents, 32);
        assert_int_equal(k->track[0], 500);
        for (uint32_t a = 0; a < 32; a++) {
            double d = hypot(k->frame[a].x - k->frame[0].x, k->frame[a].y - k->frame[0].y);
            assert_true(d >= last - 0.011); // whole centimetres
            last = d;
            assert_false(taken[k->track[a]]);
            taken[k->track[a]] = 1;
            for (uint32_t t = 0; t < 21; t++) assert_int_equal(k->valid[a * 21 + t], t > 4 || (t == 4 && e == 0));
        }
        for (uint32_t i = 0; i < 1000; i++) {
            if (taken[i]) continue;
            assert_true(hypot((double)scene->x[i] - k->frame[0].x, (double)scene->y[i] - k->frame[0].y) > last - 0.011);
        }
        tokens_end(&f);
    }
    nm_scene_destroy(scene);
}

static void test_ranges(void **state) {
    (void)state;
    // ego, one 10 km away, one at 30 m, a parked one at 20 m
    nm_test_agent agents[4] = {
        {.x = 0.0, .speed = 5.0}, {.x = 10000.0}, {.x = 0.0, .y = 30.0, .speed = 5.0}, {.x = 20.0}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), agents, 4, 40);
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    const nm_token_request request = {.current_step = 0, .focus = NM_NONE};
    tokens_fixture f = tokens_begin(scene, &config, &request);
    assert_int_equal(f.tokens.shape.agents, 3);
    assert_int_equal(f.tokens.track[1], 3);
    assert_int_equal(f.tokens.track[2], 2);
    tokens_end(&f);
    config.range = 20000.0; // wanted: it is there, and its numbers are right
    f = tokens_begin(scene, &config, &request);
    assert_int_equal(f.tokens.shape.agents, 4);
    assert_true(fabsf(f.tokens.condition[3 * 21 * NM_CONDITION_COUNT + NM_CONDITION_X] - 200.0f) < 1e-3f);
    tokens_end(&f);
    config.agents = 1;
    f = tokens_begin(scene, &config, &request);
    assert_int_equal(f.tokens.shape.agents, 1);
    assert_int_equal(f.tokens.track[0], 0);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// Without an ego the middle of the traffic decides, not a straggler 10 km away nor a pedestrian, wherever it lies.
static void test_no_ego(void **state) {
    (void)state;
    for (int moved = 0; moved < 2; moved++) {
        const double x = moved ? 9e5 : 0.0;
        const nm_test_agent agents[6] = {{.x = x - 40.0, .speed = 1.0},
                                         {.x = x + 10000.0},
                                         {.x = x + 2.0, .y = 0.5, .type = NM_AGENT_PEDESTRIAN},
                                         {.x = x + 4.0, .y = 1.0, .speed = 1.0},
                                         {.x = x + 40.0, .speed = 1.0},
                                         {.x = x, .y = 40.0, .speed = 1.0}};
        const nm_scene *made = nm_test_scene(nm_test_road(200.0), agents, 6, 10);
        nm_scene scene = *made;
        scene.ego = NM_NONE;
        nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
        tokens_fixture f = tokens_begin(&scene, &config, &(nm_token_request){.current_step = 5, .focus = NM_NONE});
        assert_int_equal(f.tokens.track[0], 3);
        assert_int_equal(f.tokens.shape.agents, 5);
        for (size_t i = 0; i < 5 * 21 * 8; i++) assert_true(isfinite(f.tokens.values[i]));
        tokens_end(&f);
        nm_scene_destroy(made);
    }
}

/// Track 0 is the ego and gone when the window begins; 1 stands by its role; 2 drives, with a trailer from step 50 on.
static const nm_scene *ego_that_left(void) {
    const nm_map *map = nm_test_road(200.0);
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 60, &error), NM_OK);
    for (int i = 0; i < 3; i++) {
        const nm_track_def def = {
            .id = i, .type = NM_AGENT_CAR, .flags = i == 1 ? NM_TRACK_STATIC : 0, .length = 4.5f, .width = 2.0f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t t = 0; t < (i ? 60 : 20); t++) {
            const int trailer = i == 2 && t >= 50;
            const nm_state_def s = {.x = 10.0 * i, .length = trailer ? 9.5f : 4.5f, .width = trailer ? 2.8f : 2.0f};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &s, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, 50, 0);
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

static void test_who_takes_part(void **state) {
    (void)state;
    const nm_scene *scene = ego_that_left();
    const nm_token_request request = nm_token_request_default(scene);
    nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    tokens_fixture f = tokens_begin(scene, &config, &request);
    assert_int_equal(f.tokens.shape.agents, 2);
    assert_int_equal(f.tokens.track[0], 2); // not the one that is gone, nor the one that stands
    assert_int_equal(f.tokens.track[1], 1);
    for (uint32_t t = 0; t <= 4; t++) { // sizes are those of the step where it has some
        NEAR(f.tokens.values[t * 8 + NM_EGO_LENGTH], t == 4 ? 1.0 : 0.0);
        NEAR(f.tokens.values[t * 8 + NM_EGO_WIDTH], t == 4 ? 0.5 : 0.0);
    }
    tokens_end(&f);
    config.statics = 0;
    f = tokens_begin(scene, &config, &request);
    assert_int_equal(f.tokens.shape.agents, 1);
    tokens_end(&f);
    f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 50, .focus = 1}); // but who is asked for
    assert_int_equal(f.tokens.track[0], 1);
    assert_int_equal(f.tokens.track[1], 2);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// One step, and a million metres from the origin: built, decoded to where it was (floats there are 6 cm apart).
static void test_one_step_far_out(void **state) {
    (void)state;
    const nm_test_agent agents[2] = {{.x = 900000.0, .y = -900000.0, .heading = 1.0, .speed = 9.0},
                                     {.x = 900010.0, .y = -900000.0, .heading = -2.0, .speed = 3.0}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), agents, 2, 1);
    for (int e = 0; e < 2; e++) {
        nm_token_config config = nm_token_config_default(encodings[e]);
        tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.focus = NM_NONE, .generate = 1});
        nm_state states[2 * 105];
        uint8_t valid[2 * 105];
        nm_error error;
        assert_int_equal(
            nm_tokens_decode(&f.tokens, f.tokens.values, f.tokens.logged, NM_RATE_2HZ, states, valid, &error), NM_OK);
        assert_int_equal(valid[21 + 4], e == 0);
        if (e == 0) {
            assert_true(fabsf(states[21 + 4].x - 900010.0f) < 0.07f);
            assert_true(fabsf(states[21 + 4].heading + 2.0f) < 1e-3f);
        }
        assert_int_equal(f.tokens.shape.valid[21 + 20], 1);
        if (e == 1) assert_int_equal(f.tokens.shape.points, 0); // no map out there
        tokens_end(&f);
    }
    nm_scene_destroy(scene);
}

/// The same bits in the same memory, scene after scene.
static void test_memory_reused(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("junction_signal:vehicles=20", 5, 60);
    for (int e = 0; e < 2; e++) {
        nm_token_config config = nm_token_config_default(encodings[e]);
        const nm_token_request request = {.current_step = 30, .focus = NM_NONE};
        tokens_fixture f = tokens_begin(scene, &config, &request);
        const nm_tokens first = f.tokens;
        const size_t count = (size_t)first.shape.agents * 21 * nm_token_channels(&config);
        const size_t map = (size_t)first.shape.points * nm_token_map_channels(&config);
        float *values = malloc(count * sizeof *values), *rows = malloc(map * sizeof *rows);
        memcpy(values, first.values, count * sizeof *values);
        memcpy(rows, first.shape.map, map * sizeof *rows);
        size_t most = 0;
        for (int again = 0; again < 3; again++) { // the chunks settle in the first round
            nm_arena_reset(f.arena);
            memset(nm_arena_alloc(f.arena, 1u << 16, 1, 64), 0x7f, 1u << 16);
            nm_arena_reset(f.arena);
            nm_error error;
            assert_int_equal(nm_tokens_build(f.map, scene, &request, f.arena, &f.tokens, &error), NM_OK);
            if (again == 2) assert_int_equal(nm_arena_high_water(f.arena), most);
            most = nm_arena_high_water(f.arena);
        }
        assert_memory_equal(f.tokens.values, values, count * sizeof *values);
        assert_memory_equal(f.tokens.shape.map, rows, map * sizeof *rows);
        assert_int_equal(f.tokens.shape.points, first.shape.points);
        free(values);
        free(rows);
        tokens_end(&f);
    }
    nm_scene_destroy(scene);
}

static void test_fits_model(void **state) {
    (void)state;
    nm_model_config model = {0};
    nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    nm_token_fit_model(&config, &model);
    assert_int_equal(model.channels, 8);
    assert_int_equal(model.conditions, 0);
    assert_int_equal(model.map_channels, 7);
    assert_int_equal(model.map_encoder, NM_MAP_PERCEIVER);
    config = nm_token_config_default(NM_TOKENS_AGENT);
    nm_token_fit_model(&config, &model);
    assert_int_equal(model.channels, 25);
    assert_int_equal(model.conditions, NM_CONDITION_COUNT);
    assert_int_equal(model.map_channels, NM_ROW_POINTS + 20);
    assert_int_equal(model.map_encoder, NM_MAP_POLYLINES);
    assert_int_equal(model.pose_bias, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ego_by_hand),      cmocka_unit_test(test_agent_by_hand),
        cmocka_unit_test(test_lane_conditions),  cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_interpolation),    cmocka_unit_test(test_parabola),
        cmocka_unit_test(test_turn_that_ends),   cmocka_unit_test(test_rigid_motion),
        cmocka_unit_test(test_permutation),      cmocka_unit_test(test_masks),
        cmocka_unit_test(test_refused),          cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_thousand),         cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_no_ego),           cmocka_unit_test(test_who_takes_part),
        cmocka_unit_test(test_one_step_far_out), cmocka_unit_test(test_memory_reused),
        cmocka_unit_test(test_fits_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
