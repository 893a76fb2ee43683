/// The prior: sampling with it is sampling of the difference to it, and it is where straight driving leads.
#include "base/rng.h"
#include "gaussian.h"
#include "nexus/prior.h"
#include "tokens_support.h"

enum { CHANNELS = 3, LEVELS = 24, MOST = 4 * GAUSSIAN_MOST };

static float test_value(uint32_t what, size_t index) {
    const nm_rng_key key = {.seed = 4, .agent = what, .step = (uint32_t)index, .purpose = NM_PURPOSE_TEST};
    return 2.0f * nm_rng_uniform(&key, 0) - 1.0f;
}

static void names_are_read_as_they_are_written(void **state) {
    (void)state;
    nm_error error;
    nm_error_clear(&error);
    for (int i = NM_PRIOR_NONE; i < NM_PRIOR_COUNT; i++) {
        nm_prior prior = (nm_prior)-1;
        assert_int_equal(nm_prior_parse(nm_prior_name((nm_prior)i), &prior, &error), NM_OK);
        assert_int_equal(prior, i);
    }
    nm_prior prior = NM_PRIOR_STRAIGHT;
    static const char *const wrong[] = {"", "Straight", "straight ", "curved"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(nm_prior_parse(wrong[i], &prior, &error), NM_E_ARGUMENT);
        assert_non_null(strstr(error.message, "none, straight, bridge and lane"));
        assert_int_equal(prior, NM_PRIOR_STRAIGHT);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Sampling

/// The Gaussian of x - p behind a prior p.
typedef struct shifted {
    gaussian rest;
    nm_snr_schedule snr;
    float prior[MOST * CHANNELS]; ///< [tokens][CHANNELS]
    float spread[MOST];           ///< 1: a Gaussian of independent scales is the other test's
    float known[MOST * CHANNELS], noised[MOST * CHANNELS];
} shifted;

static nm_status shifted_predict(void *context, const nm_denoise_input *in, float *v, nm_error *error) {
    shifted *s = context;
    nm_denoise_input inner = *in;
    for (uint32_t n = 0; n < in->count; n++) s->spread[n] = 1.0f;
    nm_prior_take_off(NM_PRIOR_STRAIGHT, 1.0f, s->snr, in, s->prior, s->spread, s->known, s->noised);
    inner.known = s->known;
    inner.noised = s->noised;
    for (size_t k = 0; k < (size_t)in->count * CHANNELS; k++) { // what is given is given, less the prior
        if (in->mask[k] == 0.0f) assert_true(s->known[k] == 0.0f);
        if (in->mask[k] != 0.0f) assert_true(s->known[k] == in->known[k] - s->prior[k] && s->noised[k] == s->known[k]);
    }
    const nm_status status = gaussian_predict(&s->rest, &inner, v, error);
    if (status == NM_OK) nm_prior_put_back(NM_PRIOR_STRAIGHT, 1.0f, s->snr, in, s->prior, s->spread, s->noised, v);
    return status;
}

static void sample(const nm_denoiser *denoiser, const gaussian *g, uint32_t scenes, nm_solver solver, float *x) {
    nm_sampler_config config = nm_sampler_config_default();
    config.max_tokens = MOST;
    config.max_scenes = scenes;
    config.channels = CHANNELS;
    config.levels = LEVELS;
    config.solver = solver;
    config.snr = g->snr;
    config.seed = 12;
    nm_sampler *sampler;
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_sampler_create(&config, &sampler, &error), NM_OK);
    nm_token_layout layout = gaussian_layout(g, scenes, 70);
    uint8_t clean[MOST];
    float values[MOST * CHANNELS];
    int32_t delay[MOST];
    for (uint32_t n = 0; n < layout.count; n++) {
        clean[n] = layout.time[n] == 0 || n == 6;
        delay[n] = (int32_t)(2 * layout.time[n]);
        for (uint32_t c = 0; c < CHANNELS; c++) values[n * CHANNELS + c] = 2.0f * test_value(1, n * CHANNELS + c);
    }
    assert_int_equal(nm_sampler_begin(sampler, &layout, clean, values, delay, &error), NM_OK);
    if (nm_sampler_run(sampler, denoiser, NULL, NULL, &error) != NM_OK) fail_msg("%s", error.message);
    memcpy(x, nm_sampler_get(sampler).in.noised, layout.count * CHANNELS * sizeof *x);
    for (uint32_t n = 0; n < layout.count; n++)
        if (clean[n]) assert_memory_equal(x + n * CHANNELS, values + n * CHANNELS, CHANNELS * sizeof *x);
    gaussian_layout_free(&layout);
    nm_sampler_destroy(sampler);
}

/// A prior of up to 4 units, tens of deviations of what it leaves: a sign or a factor that is wrong shows at once.
static void sampling_of_the_difference_is_sampling(void **state) {
    (void)state;
    static const nm_solver solvers[] = {NM_SOLVER_DDIM, NM_SOLVER_2M, NM_SOLVER_ANCESTRAL};
    enum { SCENES = 3 };
    gaussian direct;
    shifted *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (int run = 0; run < 6; run++) {
        gaussian_init(&direct, 2, 5);
        direct.snr = run < 3 ? NM_SNR_COSINE : NM_SNR_SHIFTED_COSINE;
        s->rest = direct;
        s->snr = direct.snr;
        const uint32_t size = gaussian_size(&direct);
        for (uint32_t i = 0; i < size; i++) {
            const float p = 4.0f * test_value(2, i);
            s->rest.mean[i] = direct.mean[i] - (double)p;
            for (uint32_t scene = 0; scene < SCENES; scene++)
                for (uint32_t c = 0; c < CHANNELS; c++) s->prior[(scene * size + i) * CHANNELS + c] = p;
        }
        float expected[MOST * CHANNELS], got[MOST * CHANNELS];
        const nm_denoiser plain = {&direct, gaussian_predict}, with_prior = {s, shifted_predict};
        sample(&plain, &direct, SCENES, solvers[run % 3], expected);
        sample(&with_prior, &direct, SCENES, solvers[run % 3], got);
        assert_true(s->rest.calls == direct.calls && s->rest.calls > LEVELS / 2);
        for (uint32_t k = 0; k < SCENES * size * CHANNELS; k++) assert_float_equal(got[k], expected[k], 5e-5f);
    }
    free(s);
}

// ---------------------------------------------------------------------------------------------------------------------
// Going straight

/// The scene, some states of agents 2 and 3 left out at the end: they were seen 0.3 s and 1.1 s before the current
/// step.
static const nm_scene *without_the_last(const nm_scene *scene, uint32_t current) {
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    const nm_scene *out = NULL;
    nm_error_clear(&error);
    assert_int_equal(nm_scene_builder_begin(builder, scene->map, 0.1, scene->step_count, &error), NM_OK);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const nm_track *t = &scene->tracks[i];
        const nm_track_def def = {
            .id = t->source_id, .type = (nm_agent_type)t->type, .length = t->length, .width = t->width};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        const uint32_t unseen = i == 2 ? 3 : i == 3 ? 11 : 0;
        for (uint32_t step = 0; step < scene->step_count; step++) {
            nm_state s;
            if (step + unseen > current && step <= current) continue;
            assert_true(nm_scene_get_state(scene, i, step, &s));
            assert_int_equal(nm_scene_builder_add_local_state(builder, track, step, &s, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, current, 0);
    if (nm_scene_builder_build(builder, &out, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    return out;
}

static void who_goes_straight_is_known_in_advance(void **state) {
    (void)state;
    static const nm_test_agent agents[] = {{10.0, 0.0, 0.0, 12.0, 0, 0, 0},
                                           {60.0, 3.5, 0.3, 25.0, 0, 0, 0},
                                           {40.0, 7.0, -2.8, 9.0, 0, 0, 0},
                                           {90.0, 3.5, 1.6, 4.0, 0, 0, 0},
                                           {30.0, 1.0, 3.1, 0.0, 0, 0, 0}};
    enum { CURRENT = 30 };
    const nm_scene *whole = nm_test_scene(nm_test_road(300.0), agents, 5, 80);
    const nm_scene *scene = without_the_last(whole, CURRENT);
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    config.past = 3;
    config.future = 8;
    config.position_scale = 7.0; // other than the defaults, so that none is taken for granted
    config.heading_scale = 2.0;
    config.speed_scale = 3.0;
    const nm_token_request request = {.current_step = CURRENT, .focus = NM_NONE};
    tokens_fixture f = tokens_begin(scene, &config, &request);
    const uint32_t steps = f.tokens.shape.steps, count = f.tokens.shape.agents * steps;
    assert_int_equal(f.tokens.shape.agents, 5);
    nm_token_ref *refs = calloc(count, sizeof *refs);
    float *prior = calloc((size_t)count * NM_TOKEN_STEPS * NM_OWN_CHANNELS, sizeof *prior);
    float *spread = calloc(count, sizeof *spread);
    for (uint32_t n = 0; n < count; n++) refs[n] = (nm_token_ref){.agent = n / steps, .time = n % steps};
    const nm_batch batch = {.tokens = count, .refs = refs};
    nm_prior_fill(NM_PRIOR_STRAIGHT, &config, &batch, f.tokens.condition, NULL, NULL, NULL, prior, spread);
    uint32_t compared = 0, aged = 0;
    for (uint32_t n = 0; n < count; n++) {
        if (!f.tokens.logged[n]) continue;
        aged += f.tokens.condition[n * NM_CONDITION_COUNT + NM_CONDITION_AGE] > 0.0f;
        for (uint32_t k = 0; k < NM_TOKEN_STEPS * NM_OWN_CHANNELS; k++, compared++) {
            const float value = f.tokens.values[n * NM_TOKEN_STEPS * NM_OWN_CHANNELS + k];
            // positions are floats of up to 200 m, then divided by 7; the rest is of size 1
            assert_float_equal(prior[n * NM_TOKEN_STEPS * NM_OWN_CHANNELS + k], value, 2e-5f);
        }
    }
    assert_true(compared > 1000 && aged > 10);
    free(refs);
    free(prior);
    free(spread);
    tokens_end(&f);
    nm_scene_destroy(scene);
    nm_scene_destroy(whole);
}

// ---------------------------------------------------------------------------------------------------------------------
// Spread

/// z' is the noise of z around x' = (x - p) / s, and v comes back from v' exactly.
static void a_spread_is_another_level(void **state) {
    (void)state;
    static const float spreads[] = {0.02f, 0.1f, 0.7f, 1.0f, 2.0f};
    static const float levels[] = {0.05f, 0.3f, 0.5f, 0.8f, 0.95f};
    for (int i = 0; i < 25; i++) {
        const float s = spreads[i % 5], u = levels[i / 5], p = 3.0f, rest = 0.8f, noise = -1.3f, x = p + s * rest;
        const nm_noise_level level = nm_noise_level_at(NM_SNR_COSINE, (double)u);
        const float z = (float)(level.alpha * (double)x + level.sigma * (double)noise), zero = 0.0f;
        const uint32_t index = 0;
        const nm_denoise_input in = {.count = 1,
                                     .channels = 1,
                                     .scene_count = 1,
                                     .scene = &index,
                                     .agent = &index,
                                     .time = &index,
                                     .known = &zero,
                                     .mask = &zero,
                                     .noised = &z,
                                     .level = &u};
        float known, noised;
        nm_prior_take_off(NM_PRIOR_STRAIGHT, 1.0f, NM_SNR_COSINE, &in, &p, &s, &known, &noised);
        const nm_spread_level at = nm_spread_level_of(&level, (double)s);
        assert_true(fabs(at.alpha * at.alpha + at.sigma * at.sigma - 1.0) < 1e-12);
        assert_true(fabs(at.logsnr - fmax(level.logsnr + 2.0 * log((double)s), -14.0)) < 1e-9);
        assert_float_equal(noised, (float)(at.alpha * (double)rest + at.sigma * (double)noise), 2e-5f);
        float v = (float)(at.alpha * (double)noise - at.sigma * (double)rest);
        nm_prior_put_back(NM_PRIOR_STRAIGHT, 1.0f, NM_SNR_COSINE, &in, &p, &s, &noised, &v);
        assert_float_equal(v, (float)(level.alpha * (double)noise - level.sigma * (double)x), 1e-4f);
        assert_float_equal(known, 0.0f, 0.0f);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Bridges

enum { PAST = 2, FUTURE = 6, STEPS = PAST + 1 + FUTURE, WIDTH = NM_TOKEN_STEPS * NM_OWN_CHANNELS };

/// One agent that brakes at 1 m/s^2 from 8 m/s, on a straight line: a cubic follows that to the digit.
typedef struct braking {
    nm_token_config config;
    nm_token_ref refs[STEPS];
    uint32_t rows[STEPS], offsets[2];
    nm_batch batch;
    float condition[STEPS * NM_CONDITION_COUNT], values[STEPS * WIDTH], mask[STEPS * WIDTH], prior[STEPS * WIDTH];
    float spread[STEPS];
} braking;

static void begin_braking(braking *b) {
    memset(b, 0, sizeof *b);
    b->config = nm_token_config_default(NM_TOKENS_AGENT);
    b->config.past = PAST;
    b->config.future = FUTURE;
    b->config.position_scale = 7.0;
    b->config.speed_scale = 3.0;
    b->config.heading_scale = 0.5;
    for (uint32_t t = 0; t < STEPS; t++) {
        b->refs[t] = (nm_token_ref){.time = t};
        b->rows[t] = t;
        b->condition[t * NM_CONDITION_COUNT + NM_CONDITION_SPEED] = 8.0f / 3.0f;
        for (uint32_t i = 0; i < NM_TOKEN_STEPS; i++) {
            const float time = 0.5f * ((float)t - PAST) - 0.1f * (float)(NM_TOKEN_STEPS - 1 - i);
            float *state = b->values + t * WIDTH + i * NM_OWN_CHANNELS;
            state[NM_OWN_X] = (8.0f * time - 0.5f * time * time) / 7.0f;
            state[NM_OWN_COS] = 2.0f;
            state[NM_OWN_SPEED] = (8.0f - time) / 3.0f;
        }
        for (uint32_t k = 0; k < WIDTH; k++) b->mask[t * WIDTH + k] = t <= PAST || t == STEPS - 1 ? 1.0f : 0.0f;
    }
    b->offsets[1] = STEPS;
    b->batch = (nm_batch){.tokens = STEPS,
                          .refs = b->refs,
                          .by_agent = {.count = 1, .longest = STEPS, .offsets = b->offsets, .rows = b->rows}};
}

static void a_bridge_leads_to_the_goal(void **state) {
    (void)state;
    braking b;
    begin_braking(&b);
    nm_prior_fill(NM_PRIOR_BRIDGE, &b.config, &b.batch, b.condition, NULL, b.values, b.mask, b.prior, b.spread);
    for (uint32_t k = (PAST + 1) * WIDTH; k < (STEPS - 1) * WIDTH; k++)
        assert_float_equal(b.prior[k], b.values[k], 2e-5f);
    // half way between the two it is most uncertain; what is known has the straight prior, so that it is seen
    assert_float_equal(b.spread[PAST + 3], powf(1.5f / 8.0f, 1.2f), 1e-6f);
    assert_float_equal(b.spread[PAST + 1], b.spread[STEPS - 2], 1e-6f);
    assert_float_equal(b.prior[(STEPS - 1) * WIDTH + 4 * NM_OWN_CHANNELS + NM_OWN_X], 24.0f / 7.0f, 1e-5f);
}

static void a_bridge_without_a_goal_goes_on_from_what_is_known(void **state) {
    (void)state;
    braking b;
    begin_braking(&b);
    for (uint32_t k = 0; k < WIDTH; k++) { // two tokens further than the current one, no goal
        b.mask[(PAST + 1) * WIDTH + k] = b.mask[(PAST + 2) * WIDTH + k] = 1.0f;
        b.mask[(STEPS - 1) * WIDTH + k] = 0.0f;
    }
    nm_prior_fill(NM_PRIOR_BRIDGE, &b.config, &b.batch, b.condition, NULL, b.values, b.mask, b.prior, b.spread);
    for (uint32_t t = PAST + 3; t < STEPS; t++) {
        const float *last = b.prior + t * WIDTH + (NM_TOKEN_STEPS - 1) * NM_OWN_CHANNELS;
        const float after = 0.5f * (float)(t - PAST - 2); // from 1 s on, at 7 m/s
        assert_float_equal(last[NM_OWN_X] * 7.0f, 7.5f + 7.0f * after, 1e-4f);
        assert_float_equal(last[NM_OWN_SPEED] * 3.0f, 7.0f, 1e-4f);
        assert_float_equal(b.spread[t], fmaxf(powf(after / 8.0f, 1.2f), 0.02f), 1e-6f);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Along the road

/// The braking agent on a circle of 12 m to the left, in steps of 1 m.
typedef struct rounding {
    braking b;
    nm_path path;
    float condition[STEPS * NM_CONDITION_PATH_END];
} rounding;

static void begin_rounding(rounding *r) {
    begin_braking(&r->b);
    r->b.config.paths = 1;
    r->path.step = 1.0f;
    for (uint32_t i = 0; i < NM_PATH_POINTS; i++) {
        r->path.heading[i] = (float)i / 12.0f;
        r->path.x[i] = 12.0f * sinf(r->path.heading[i]);
        r->path.y[i] = 12.0f * (1.0f - cosf(r->path.heading[i]));
    }
    nm_path_measure(&r->path);
    for (uint32_t t = 0; t < STEPS; t++) {
        r->condition[t * NM_CONDITION_PATH_END + NM_CONDITION_SPEED] = 8.0f / 3.0f;
        for (uint32_t i = 0; i < NM_TOKEN_STEPS; i++) {
            float *s = r->b.values + t * WIDTH + i * NM_OWN_CHANNELS;
            const float along = s[NM_OWN_X] * 7.0f;
            if (along <= 0.0f) continue;
            s[NM_OWN_X] = 12.0f * sinf(along / 12.0f) / 7.0f;
            s[NM_OWN_Y] = 12.0f * (1.0f - cosf(along / 12.0f)) / 7.0f;
            s[NM_OWN_COS] = 2.0f * cosf(along / 12.0f);
            s[NM_OWN_SIN] = 2.0f * sinf(along / 12.0f);
        }
    }
}

static void fill_lane(rounding *r) {
    const nm_path *const paths[] = {&r->path};
    nm_prior_fill(NM_PRIOR_LANE, &r->b.config, &r->b.batch, r->condition, paths, r->b.values, r->b.mask, r->b.prior,
                  r->b.spread);
}

static void a_lane_leads_round_the_bend_to_the_goal(void **state) {
    (void)state;
    rounding r = {.path = {0}};
    begin_rounding(&r);
    fill_lane(&r);
    for (uint32_t k = (PAST + 1) * WIDTH; k < (STEPS - 1) * WIDTH; k++)
        assert_float_equal(r.b.prior[k], r.b.values[k], 6e-3f); // chords are 0.03 % shorter than the circle
    assert_float_equal(r.b.spread[PAST + 3], powf(1.5f / 8.0f, 1.2f), 1e-6f);
}

static void without_a_goal_a_lane_leads_on(void **state) {
    (void)state;
    rounding r = {.path = {0}};
    begin_rounding(&r);
    for (uint32_t k = 0; k < WIDTH; k++) r.b.mask[(STEPS - 1) * WIDTH + k] = 0.0f;
    fill_lane(&r);
    for (uint32_t t = PAST + 1; t < STEPS; t++) {
        const float *last = r.b.prior + t * WIDTH + (NM_TOKEN_STEPS - 1) * NM_OWN_CHANNELS;
        const float angle = 8.0f * 0.5f * (float)(t - PAST) / 12.0f;
        assert_float_equal(last[NM_OWN_X] * 7.0f, 12.0f * sinf(angle), 0.02f);
        assert_float_equal(last[NM_OWN_Y] * 7.0f, 12.0f * (1.0f - cosf(angle)), 0.02f);
        assert_float_equal(last[NM_OWN_SIN] * 0.5f, sinf(angle), 2e-3f);
        assert_float_equal(last[NM_OWN_SPEED] * 3.0f, 8.0f, 1e-4f);
    }
}

/// Where the goal is beside the road or looks across it, and where there is no road, a lane is a bridge.
static void a_goal_off_the_road_is_bridged_to(void **state) {
    (void)state;
    for (int which = 0; which < 3; which++) {
        rounding r = {.path = {0}};
        begin_rounding(&r);
        float *goal = r.b.values + (STEPS - 1) * WIDTH + (NM_TOKEN_STEPS - 1) * NM_OWN_CHANNELS;
        if (which == 0) goal[NM_OWN_X] += sinf(2.0f) * 9.0f / 7.0f, goal[NM_OWN_Y] -= cosf(2.0f) * 9.0f / 7.0f;
        if (which == 1) goal[NM_OWN_COS] *= -1.0f, goal[NM_OWN_SIN] *= -1.0f;
        if (which == 2) r.path = (nm_path){0};
        fill_lane(&r);
        float bridge[STEPS * WIDTH], spread[STEPS];
        r.b.config.paths = 0;
        for (uint32_t t = 0; t < STEPS; t++) r.b.condition[t * NM_CONDITION_COUNT + NM_CONDITION_SPEED] = 8.0f / 3.0f;
        nm_prior_fill(NM_PRIOR_BRIDGE, &r.b.config, &r.b.batch, r.b.condition, NULL, r.b.values, r.b.mask, bridge,
                      spread);
        assert_memory_equal(bridge, r.b.prior, sizeof bridge);
        assert_memory_equal(spread, r.b.spread, sizeof spread);
    }
}

/// What is left is seen along the road: who is 1 m farther round the bend is 1 m farther in x'. And noise is turned
/// there and back.
static void what_is_left_is_seen_from_the_prior(void **state) {
    (void)state;
    enum { STATE = NM_OWN_CHANNELS };
    float prior[WIDTH], x[WIDTH], rest[WIDTH];
    for (uint32_t i = 0; i < NM_TOKEN_STEPS; i++) {
        const float angle = 0.5f + 0.4f * (float)i, c = cosf(angle), s = sinf(angle);
        const float p[STATE] = {3.0f, -2.0f, 2.0f * c, 2.0f * s, 1.0f};
        const float value[STATE] = {3.0f + 0.1f * c, -2.0f + 0.1f * s, 2.0f * (c * 0.8f - s * 0.6f),
                                    2.0f * (s * 0.8f + c * 0.6f), 1.5f};
        memcpy(prior + i * STATE, p, sizeof p);
        memcpy(x + i * STATE, value, sizeof value);
    }
    nm_prior_rest(NM_PRIOR_LANE, 0.5f, WIDTH, x, prior, 0.1f, rest);
    for (uint32_t i = 0; i < NM_TOKEN_STEPS; i++) {
        assert_float_equal(rest[i * STATE + NM_OWN_X], 1.0f, 1e-4f);
        assert_float_equal(rest[i * STATE + NM_OWN_Y], 0.0f, 1e-4f);
        assert_float_equal(rest[i * STATE + NM_OWN_COS], 2.0f * -0.2f / 0.1f, 1e-4f);
        assert_float_equal(rest[i * STATE + NM_OWN_SIN], 10.0f, 0.0f); // 12, clipped
        assert_float_equal(rest[i * STATE + NM_OWN_SPEED], 5.0f, 1e-4f);
    }
    float noise[WIDTH], z[WIDTH], v[WIDTH], known[WIDTH], noised[WIDTH], mask[WIDTH] = {0};
    const float spread = 0.7f, u = 0.4f;
    const nm_noise_level level = nm_noise_level_at(NM_SNR_COSINE, (double)u);
    const nm_spread_level at = nm_spread_level_of(&level, (double)spread);
    nm_prior_rest(NM_PRIOR_LANE, 0.5f, WIDTH, x, prior, spread, rest);
    for (uint32_t k = 0; k < WIDTH; k++) {
        noise[k] = test_value(9, k);
        z[k] = (float)(level.alpha * (double)x[k] + level.sigma * (double)noise[k]);
    }
    const uint32_t index = 0;
    const nm_denoise_input in = {.count = 1,
                                 .channels = WIDTH,
                                 .scene_count = 1,
                                 .scene = &index,
                                 .agent = &index,
                                 .time = &index,
                                 .known = mask,
                                 .mask = mask,
                                 .noised = z,
                                 .level = &u};
    nm_prior_take_off(NM_PRIOR_LANE, 0.5f, NM_SNR_COSINE, &in, prior, &spread, known, noised);
    float turned[WIDTH]; // the noise, seen from the prior: what is left over of noise alone
    for (uint32_t k = 0; k < WIDTH; k++) turned[k] = prior[k] + noise[k];
    nm_prior_rest(NM_PRIOR_LANE, 0.5f, WIDTH, turned, prior, 1.0f, turned);
    for (uint32_t k = 0; k < WIDTH; k++) {
        assert_float_equal(noised[k], (float)(at.alpha * (double)rest[k] + at.sigma * (double)turned[k]), 2e-5f);
        v[k] = (float)(at.alpha * (double)turned[k] - at.sigma * (double)rest[k]);
    }
    nm_prior_put_back(NM_PRIOR_LANE, 0.5f, NM_SNR_COSINE, &in, prior, &spread, noised, v);
    for (uint32_t k = 0; k < WIDTH; k++)
        assert_float_equal(v[k], (float)(level.alpha * (double)noise[k] - level.sigma * (double)x[k]), 1e-4f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_as_they_are_written),
        cmocka_unit_test(sampling_of_the_difference_is_sampling),
        cmocka_unit_test(who_goes_straight_is_known_in_advance),
        cmocka_unit_test(a_spread_is_another_level),
        cmocka_unit_test(a_bridge_leads_to_the_goal),
        cmocka_unit_test(a_bridge_without_a_goal_goes_on_from_what_is_known),
        cmocka_unit_test(a_lane_leads_round_the_bend_to_the_goal),
        cmocka_unit_test(without_a_goal_a_lane_leads_on),
        cmocka_unit_test(a_goal_off_the_road_is_bridged_to),
        cmocka_unit_test(what_is_left_is_seen_from_the_prior),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
