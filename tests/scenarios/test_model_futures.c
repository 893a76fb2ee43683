/// Futures as they are scored: nothing of the recorded future is known, feedback bears on what comes after it alone,
/// guidance that is off does nothing, and who finds no room goes straight on.
#include "base/rng.h"
#include "nexus/network_support.h"
#include "nexus/tokens_support.h"
#include "scenarios/scene_generator.h"

enum { CURRENT = 25, FUTURE = 6, AHEAD = FUTURE * (int)NM_TOKEN_STEPS, TRACKS = 64 };

typedef struct stage {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    const nm_scene *scene;
    nm_arena *arena;
    uint32_t track[TRACKS], agents; ///< who is there at the current step
} stage;

static void find_tracks(stage *s, uint32_t current) {
    s->agents = 0;
    for (uint32_t i = 0; i < s->scene->track_count && s->agents < TRACKS; i++)
        if (s->scene->valid[nm_scene_at(s->scene, i, current)]) s->track[s->agents++] = i;
}

static stage stage_open(nm_token_encoding encoding) {
    stage s = {.recipe = {.tokens = nm_token_config_default(encoding)}, .arena = nm_arena_create(0)};
    s.recipe.prior = encoding == NM_TOKENS_AGENT ? NM_PRIOR_LANE : NM_PRIOR_NONE;
    s.recipe.tokens.paths = encoding == NM_TOKENS_AGENT;
    s.recipe.tokens.future = FUTURE;
    s.recipe.tokens.map_polylines = 8;
    nm_model_config config = small_config(encoding == NM_TOKENS_AGENT ? 2 : 0);
    nm_token_fit_model(&s.recipe.tokens, &config);
    nm_backend_config backend = nm_backend_config_default();
    backend.compute = NM_F32;
    backend.threads = 2;
    nm_error error;
    assert_int_equal(nm_backend_create_cpu(&backend, &s.backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&config, s.backend, 1, &s.model, &error), NM_OK);
    randomise_model(s.model, 3);
    s.scene = tokens_rollout("junction_signal:vehicles=12,pedestrians=3", 7, CURRENT + AHEAD + 8);
    find_tracks(&s, CURRENT);
    assert_true(s.agents > 6);
    return s;
}

static void stage_close(stage *s) {
    nm_scene_destroy(s->scene);
    nm_arena_destroy(s->arena);
    nm_model_destroy(s->model);
    nm_backend_destroy(s->backend);
}

static nm_model_futures_config config_of(const char *schedule, float guidance) {
    nm_model_futures_config c = nm_model_futures_config_default();
    nm_error error;
    assert_int_equal(nm_schedule_parse(schedule, &c.generator.schedule, &error), NM_OK);
    c.generator.scenes = 2;
    c.generator.levels = 3;
    c.generator.seed = 5;
    c.agents = 20;
    c.guidance.overlap = c.guidance.road = c.guidance.smooth = c.guidance.consistent = guidance;
    return c;
}

static nm_model_futures *open_futures(const stage *s, const nm_model_futures_config *config) {
    nm_model_futures *futures = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_model_futures_create(s->model, &s->recipe, config, &futures, &error) != NM_OK) fail_msg("%s", error.message);
    return futures;
}

static nm_future_request request_of(const stage *s, const nm_scene *scene, nm_task_kind task, uint32_t samples) {
    return (nm_future_request){.scene = scene,
                               .current_step = CURRENT,
                               .task = task,
                               .samples = samples,
                               .agents = s->agents,
                               .track = s->track,
                               .seed = 5};
}

static nm_futures run(stage *s, nm_model_futures *futures, const nm_future_request *request) {
    nm_futures out;
    nm_error error;
    nm_error_clear(&error);
    if (nm_model_futures_run(futures, request, s->arena, &out, NULL, &error) != NM_OK) fail_msg("%s", error.message);
    for (size_t i = 0; i < (size_t)out.samples * out.agents * out.steps; i++)
        assert_true(isfinite(out.x[i]) && isfinite(out.y[i]) && isfinite(out.heading[i]) && isfinite(out.z[i]));
    return out;
}

/// The same bits in steps [first, end) of everybody, samples from `from` of the one on against those of the other.
static int same_steps(const nm_futures *a, uint32_t from, const nm_futures *b, uint32_t first, uint32_t end) {
    assert_int_equal(a->agents, b->agents);
    assert_int_equal(a->steps, b->steps);
    const float *one[4] = {a->x, a->y, a->z, a->heading}, *other[4] = {b->x, b->y, b->z, b->heading};
    const uint32_t samples = a->samples - from < b->samples ? a->samples - from : b->samples;
    int same = 1;
    for (int plane = 0; plane < 4; plane++)
        for (size_t row = 0; row < (size_t)samples * a->agents; row++)
            same &= memcmp(one[plane] + (from * (size_t)a->agents + row) * a->steps + first,
                           other[plane] + row * b->steps + first, (end - first) * sizeof(float)) == 0;
    return same;
}

static int same(const nm_futures *a, const nm_futures *b) {
    return a->samples == b->samples && same_steps(a, 0, b, 0, a->steps);
}

// ---------------------------------------------------------------------------------------------------------------------
// A recording with another future. Its hash is that of the first, because the hash keys the noise.

static float *copied(stage *s, const float *from, size_t count) {
    float *to = NM_ARENA_ARRAY(s->arena, float, count);
    assert_non_null(to);
    memcpy(to, from, count * sizeof *to);
    return to;
}

/// Is the track there from the current step to the end of the future?
static int stays(const nm_scene *scene, uint32_t track) {
    uint32_t step = CURRENT;
    while (step <= CURRENT + AHEAD && scene->valid[nm_scene_at(scene, track, step)]) step++;
    return step > CURRENT + AHEAD;
}

/// keep: a step after the current one that stays as it was, and with it who leaves before the end; 0 = nothing stays.
/// gone: every third state after the current step is missing.
static nm_scene scrambled(stage *s, uint32_t keep, int gone) {
    nm_scene other = *s->scene;
    const size_t states = (size_t)other.track_count * other.step_count;
    float *planes[] = {copied(s, other.x, states),       copied(s, other.y, states),  copied(s, other.z, states),
                       copied(s, other.heading, states), copied(s, other.vx, states), copied(s, other.vy, states)};
    uint8_t *valid = NM_ARENA_ARRAY(s->arena, uint8_t, states);
    memcpy(valid, other.valid, states);
    uint32_t draw = 0;
    for (uint32_t i = 0; i < other.track_count; i++) {
        for (uint32_t step = CURRENT + 1; step < other.step_count; step++) {
            const size_t at = nm_scene_at(&other, i, step);
            if (step == keep || (keep && !stays(s->scene, i))) continue;
            for (int p = 0; p < 6; p++) planes[p][at] = (float)nm_test_uniform(11, &draw, -3.0, 3.0);
            if (gone && (i + step) % 3 == 0) valid[at] = 0;
        }
    }
    if (other.signal_states) {
        const size_t signals = (size_t)other.map->signal_count * other.step_count;
        uint8_t *lights = NM_ARENA_ARRAY(s->arena, uint8_t, signals + 1);
        memcpy(lights, other.signal_states, signals);
        for (uint32_t i = 0; i < other.map->signal_count; i++)
            memset(lights + (size_t)i * other.step_count + CURRENT + 1, NM_SIGNAL_UNKNOWN,
                   other.step_count - CURRENT - 1);
        other.signal_states = lights;
    }
    other.x = planes[0], other.y = planes[1], other.z = planes[2];
    other.heading = planes[3], other.vx = planes[4], other.vy = planes[5];
    other.valid = valid;
    return other;
}

static void test_nothing_leaks(void **state) {
    (void)state;
    for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++) {
        stage s = stage_open((nm_token_encoding)encoding);
        const nm_model_futures_config config = config_of("pyramid:1", 1.0f);
        nm_model_futures *futures = open_futures(&s, &config);
        for (int gone = 0; gone < 2; gone++) {
            const nm_scene other = scrambled(&s, 0, gone);
            nm_future_request request = request_of(&s, s.scene, NM_TASK_FREE, 3), changed = request;
            changed.scene = &other;
            const nm_futures a = run(&s, futures, &request), b = run(&s, futures, &changed);
            assert_true(same(&a, &b));
            request.feedback = changed.feedback = 1; // what is told is told
            const nm_futures c = run(&s, futures, &request), d = run(&s, futures, &changed);
            assert_false(same(&c, &d));
        }
        nm_model_futures_destroy(futures);
        stage_close(&s);
    }
}

/// Of the goal's token only the last state is known, and of all before it nothing.
static void test_only_the_goal_is_given(void **state) {
    (void)state;
    for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++) {
        stage s = stage_open((nm_token_encoding)encoding);
        const nm_model_futures_config config = config_of("pyramid:1", 1.0f);
        nm_model_futures *futures = open_futures(&s, &config);
        const nm_scene other = scrambled(&s, CURRENT + AHEAD, 0), elsewhere = scrambled(&s, 0, 0);
        nm_future_request request = request_of(&s, s.scene, NM_TASK_GOAL, 2);
        const nm_futures a = run(&s, futures, &request);
        request.scene = &elsewhere;
        const nm_futures c = run(&s, futures, &request);
        assert_false(same(&a, &c));
        uint32_t present = 0;
        for (uint32_t i = 0; i < s.agents; i++) present += stays(s.scene, s.track[i]);
        assert_true(present > 6);
        request.scene = &other;
        const nm_futures b = run(&s, futures, &request);
        assert_true(same(&a, &b));
        nm_model_futures_destroy(futures);
        stage_close(&s);
    }
}

static void test_feedback(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    static const char *const schedules[] = {"ar", "full"};
    for (int i = 0; i < 2; i++) {
        const nm_model_futures_config config = config_of(schedules[i], 0.0f);
        nm_model_futures *futures = open_futures(&s, &config);
        nm_future_request request = request_of(&s, s.scene, NM_TASK_FREE, 2);
        const nm_futures alone = run(&s, futures, &request);
        request.feedback = 1;
        const nm_futures told = run(&s, futures, &request);
        assert_true(same_steps(&alone, 0, &told, 0, NM_TOKEN_STEPS)); // nothing was told yet
        for (uint32_t t = 1; t < FUTURE; t++)
            assert_int_equal(same_steps(&alone, 0, &told, t * NM_TOKEN_STEPS, (t + 1) * NM_TOKEN_STEPS), i == 1);
        // what comes out is what was sampled, not what it was told
        uint32_t recorded = 0;
        for (uint32_t a = 0; a < s.agents; a++)
            for (uint32_t k = 0; k < told.steps; k++)
                recorded += told.x[a * told.steps + k] == s.scene->x[nm_scene_at(s.scene, s.track[a], CURRENT + 1 + k)];
        assert_true(recorded < s.agents);
        nm_model_futures_destroy(futures);
    }
    // a token is told of tokens that were finished before it, not of its own or later recorded states
    const nm_model_futures_config config = config_of("ar", 0.0f);
    nm_model_futures *futures = open_futures(&s, &config);
    const nm_scene other = scrambled(&s, 0, 0);
    nm_future_request request = request_of(&s, s.scene, NM_TASK_FREE, 1);
    request.feedback = 1;
    const nm_futures a = run(&s, futures, &request);
    request.scene = &other;
    const nm_futures b = run(&s, futures, &request);
    assert_true(same_steps(&a, 0, &b, 0, NM_TOKEN_STEPS));
    assert_false(same_steps(&a, 0, &b, NM_TOKEN_STEPS, 2 * NM_TOKEN_STEPS));
    nm_model_futures_destroy(futures);
    stage_close(&s);
}

/// No guidance is the same as one that is asked and does nothing: what the scene generator's has to be.
static void test_no_guidance(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    const nm_model_futures_config off = config_of("pyramid:1", 0.0f), on = config_of("pyramid:1", 1.0f);
    nm_model_futures *without = open_futures(&s, &off), *with = open_futures(&s, &on);
    const nm_future_request request = request_of(&s, s.scene, NM_TASK_FREE, 2);
    const nm_futures a = run(&s, without, &request), b = run(&s, with, &request);
    assert_false(same(&a, &b));
    nm_scene_generator_config config = nm_scene_generator_config_default();
    config.generator = off.generator;
    config.agents = off.agents;
    config.guidance = off.guidance;
    nm_scene_generator *g;
    nm_error error;
    assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &config, &g, &error), NM_OK);
    const nm_scene_request wanted = {.scene = s.scene, .current_step = CURRENT, .seed = 5, .parameters = "{}"};
    nm_generated_scene out;
    assert_int_equal(nm_scene_generator_add(g, &wanted, &error), NM_OK);
    assert_int_equal(nm_scene_generator_run(g, &out, NULL, &error), NM_OK);
    assert_int_equal(out.status, NM_OK);
    uint32_t compared = 0; // who drives off the map has no states in the scene
    for (uint32_t i = 0; i < s.agents; i++) {
        for (uint32_t k = 0; k < a.steps; k++) {
            const size_t at = nm_scene_at(out.scene, s.track[i], CURRENT + 1 + k);
            if (!out.scene->valid[at]) break;
            assert_true(out.scene->x[at] == a.x[i * a.steps + k]);
            compared++;
        }
    }
    assert_true(compared > s.agents * a.steps / 2);
    nm_scene_destroy(out.scene);
    nm_scene_generator_destroy(g);
    nm_model_futures_destroy(without);
    nm_model_futures_destroy(with);
    stage_close(&s);
}

static void test_no_room(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    nm_model_futures_config config = config_of("pyramid:1", 1.0f);
    config.agents = 3;
    nm_model_futures *futures = open_futures(&s, &config);
    const nm_future_request request = request_of(&s, s.scene, NM_TASK_FREE, 3);
    const nm_futures out = run(&s, futures, &request);
    uint32_t straight = 0;
    for (uint32_t i = 0; i < s.agents; i++) {
        nm_state now = {0};
        assert_true(nm_scene_get_state(s.scene, s.track[i], CURRENT, &now));
        uint32_t held = 0;
        for (uint32_t r = 0; r < out.samples; r++) {
            for (uint32_t k = 0; k < out.steps; k++) {
                const size_t at = ((size_t)r * out.agents + i) * out.steps + k;
                const float time = 0.1f * (float)(k + 1);
                held += out.x[at] == now.x + time * now.vx && out.y[at] == now.y + time * now.vy &&
                        out.heading[at] == now.heading;
                assert_true(out.z[at] == now.z);
            }
        }
        straight += held == out.samples * out.steps;
    }
    assert_int_equal(straight, s.agents - 3);
    nm_model_futures_destroy(futures);
    stage_close(&s);
}

static void check_refused(const stage *s, const nm_model_futures_config *config, const char *why) {
    nm_model_futures *futures = NULL;
    nm_error error;
    assert_int_equal(nm_model_futures_create(s->model, &s->recipe, config, &futures, &error), NM_E_ARGUMENT);
    assert_null(futures);
    if (!strstr(error.message, why)) fail_msg("%s", error.message);
}

/// Guidance leaves noise far ahead alone: nothing is changed where nothing is so far ahead, little where something is,
/// and what is told of all tokens can not be with it.
static void test_guidance_of_what_is_near(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    nm_model_futures_config config = config_of("pyramid:1", 0.8f);
    const nm_future_request request = request_of(&s, s.scene, NM_TASK_FREE, 2);
    nm_futures out[3];
    for (int i = 0; i < 3; i++) {
        config.guidance.ahead = i == 0 ? NM_GUIDANCE_NO_LIMIT : i == 1 ? 1000 : 0;
        nm_model_futures *futures = open_futures(&s, &config);
        out[i] = run(&s, futures, &request);
        nm_model_futures_destroy(futures);
    }
    assert_true(same_steps(&out[0], 0, &out[1], 0, out[0].steps));
    assert_false(same_steps(&out[0], 0, &out[2], 0, out[0].steps)); // windows reach into what is not guided yet
    config.guidance.ahead = 1;
    config.generator.agreement = (nm_agreement){.position = 1.0f, .speed = 1.0f, .most = 2};
    nm_model_futures_destroy(open_futures(&s, &config));
    config.generator.agreement.most = 3; // the third one would not have been guided
    check_refused(&s, &config, "most= of 1 to 2");
    config.generator.agreement.most = 0;
    check_refused(&s, &config, "most= of 1 to 2");
    config.generator.agreement.most = 1;
    config.generator.agreement.scattered = 1;
    check_refused(&s, &config, "scattered");
    config.generator.agreement = (nm_agreement){0};
    config.candidates.count = 2;
    check_refused(&s, &config, "candidates");
    stage_close(&s);
}

/// A sample is a function of the seed and its number, however many there are and however many at once.
static void test_samples(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    nm_model_futures_config config = config_of("pyramid:1", 1.0f);
    nm_model_futures *futures = open_futures(&s, &config);
    nm_future_cost cost = {0};
    nm_error error;
    nm_future_request request = request_of(&s, s.scene, NM_TASK_FREE, 5);
    nm_futures five;
    assert_int_equal(nm_model_futures_run(futures, &request, s.arena, &five, &cost, &error), NM_OK);
    assert_int_equal(cost.batches, 3);
    assert_int_equal(cost.passes, 3 * (3 + FUTURE - 1));
    request.samples = 2;
    const nm_futures two = run(&s, futures, &request);
    assert_true(same_steps(&five, 0, &two, 0, two.steps));
    for (uint32_t r = 1; r < 5; r++) assert_false(same_steps(&five, r, &five, 0, five.steps));
    // other seeds, also those beyond 32 bits, are other futures, and not the next sample of another seed either
    static const uint64_t seeds[] = {6, 5 + (UINT64_C(1) << 32), 5 + (UINT64_C(1) << 40)};
    for (int i = 0; i < 3; i++) {
        request.seed = seeds[i];
        const nm_futures other = run(&s, futures, &request);
        for (uint32_t r = 0; r < 5; r++) assert_false(same_steps(&five, r, &other, 0, other.steps));
    }
    nm_model_futures_destroy(futures);
    config.generator.scenes = 5;
    futures = open_futures(&s, &config);
    request = request_of(&s, s.scene, NM_TASK_FREE, 5);
    const nm_futures wide = run(&s, futures, &request);
    assert_true(same(&five, &wide));
    request.agents = 0; // nobody is wanted
    const nm_futures nobody = run(&s, futures, &request);
    assert_int_equal(nobody.agents, 0);
    assert_int_equal(nobody.steps, AHEAD);
    nm_model_futures_destroy(futures);
    stage_close(&s);
}

/// A recording of one step: no token is known. And one that ends before the first token does: no goal is.
static void test_short_recordings(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    const nm_model_futures_config config = config_of("pyramid:1", 1.0f);
    nm_model_futures *futures = open_futures(&s, &config);
    static const uint32_t steps[] = {1, 4, 9};
    for (int i = 0; i < 3; i++) {
        const nm_test_agent cars[] = {{.x = 20.0, .speed = 8.0}, {.x = 40.0, .y = 3.5, .speed = 9.0}};
        const nm_scene *scene = nm_test_scene(nm_test_road(300.0), cars, i ? 2 : 1, steps[i]);
        const uint32_t track[] = {0, 1};
        nm_future_request request = {.scene = scene,
                                     .current_step = steps[i] < 9 ? steps[i] - 1 : 5,
                                     .samples = 2,
                                     .agents = i ? 2 : 1,
                                     .track = track};
        const nm_futures a = run(&s, futures, &request);
        request.task = NM_TASK_GOAL;
        const nm_futures b = run(&s, futures, &request);
        request.feedback = 1;
        const nm_futures c = run(&s, futures, &request);
        assert_true(same(&a, &b) && same(&a, &c));
        nm_scene_destroy(scene);
    }
    nm_model_futures_destroy(futures);
    stage_close(&s);
}

static int passes_left;
static int stop_later(void *context) {
    (void)context;
    return passes_left-- <= 0;
}

static void test_interrupted(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    const nm_future_request request = request_of(&s, s.scene, NM_TASK_FREE, 6);
    for (int guidance = 0; guidance < 2; guidance++) {
        nm_model_futures_config config = config_of("full", (float)guidance);
        nm_model_futures *plain = open_futures(&s, &config);
        config.stop = stop_later;
        nm_model_futures *asked = open_futures(&s, &config);
        nm_futures out;
        nm_error error;
        passes_left = 4; // of three batches of three passes
        assert_int_equal(nm_model_futures_run(asked, &request, s.arena, &out, NULL, &error), NM_E_CANCELLED);
        assert_int_equal(passes_left, -1);
        passes_left = 100;
        const nm_futures a = run(&s, plain, &request), b = run(&s, asked, &request);
        assert_true(same(&a, &b));
        nm_model_futures_destroy(plain);
        nm_model_futures_destroy(asked);
    }
    stage_close(&s);
}

/// m from the nearest lane's centreline, mean over all states of vehicles; 10 where there is none that near.
static double off_the_lanes(const stage *s, const nm_futures *f) {
    double sum = 0.0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < f->agents; i++) {
        if (!nm_agent_type_vehicle((nm_agent_type)s->scene->tracks[f->track[i]].type)) continue;
        for (uint32_t k = 0; k < f->steps; k++, count++) {
            const size_t at = (size_t)i * f->steps + k;
            const nm_frenet on =
                nm_map_match(s->scene->map, f->x[at], f->y[at], f->heading[at], 10.0f, NM_LANE_MASK_VEHICLE);
            sum += on.lane == NM_NONE ? 10.0 : fabs((double)on.d);
        }
    }
    assert_true(count > 100);
    return sum / count;
}

/// Guidance is told where in the map the frames of the agents are: an untrained model strays, and is led back to lanes.
static void test_guidance_finds_the_road(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    s.recipe.prior = NM_PRIOR_STRAIGHT; // it strays by metres, not by hundreds of them
    nm_model_futures_config off = config_of("full", 0.0f), on = off;
    on.guidance.road = 1.0f;
    on.guidance.iterations = 15;
    nm_model_futures *without = open_futures(&s, &off), *with = open_futures(&s, &on);
    const nm_future_request request = request_of(&s, s.scene, NM_TASK_FREE, 1);
    const nm_futures a = run(&s, without, &request), b = run(&s, with, &request);
    const double strayed = off_the_lanes(&s, &a), led = off_the_lanes(&s, &b);
    if (!(led < 0.75 * strayed)) fail_msg("%g m from the lanes, %g without guidance", led, strayed);
    nm_model_futures_destroy(without);
    nm_model_futures_destroy(with);
    stage_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_leaks),
        cmocka_unit_test(test_only_the_goal_is_given),
        cmocka_unit_test(test_feedback),
        cmocka_unit_test(test_no_guidance),
        cmocka_unit_test(test_guidance_finds_the_road),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_short_recordings),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_guidance_of_what_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
