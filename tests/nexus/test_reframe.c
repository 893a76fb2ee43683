/// Frames that move under tokens: alone, in the sampler and in the window.
#include "gaussian.h"

#include "base/rng.h"
#include "nexus/tokens.h"
#include "nexus/window.h"

enum { MOST = 25, AGENTS = 2, TIMES = 4, SIZE = AGENTS * TIMES, SCENES = 2, COUNT = SCENES * SIZE, LEVELS = 12 };

/// As published, ours, and one with a mean wherever there may be one.
static nm_state_encoding encoding_of(int i) {
    if (i == 0) return nm_state_encoding_published();
    if (i == 1) return nm_state_encoding_own(20.0f, 1.0f, 10.0f);
    return (nm_state_encoding){.states = 2,
                               .stride = 9,
                               .channel = {8, 1, 2, 0, 4, 5, 3, -1},
                               .mean = {3.0f, -5.0f, 0.25f, -0.5f, 2.0f, 1.0f, 4.5f, 0.0f},
                               .scale = {20.0f, 20.0f, 0.5f, 0.5f, -8.0f, -8.0f, 5.0f, 1.0f}};
}

static double draw(uint64_t seed, uint32_t number, double low, double high) {
    const nm_rng_key key = {.seed = seed, .step = number, .purpose = NM_PURPOSE_TEST};
    return low + (high - low) * (double)nm_rng_uniform(&key, 0);
}

static nm_motion motion_of(uint64_t seed) {
    const double angle = draw(seed, 0, -3.0, 3.0);
    return (nm_motion){draw(seed, 1, -30.0, 30.0), draw(seed, 2, -30.0, 30.0), cos(angle), sin(angle)};
}

/// The field of a state in its units, and back.
static double decoded(const nm_state_encoding *e, const float *values, uint32_t state, int field) {
    const float v = values[state * e->stride + (uint32_t)e->channel[field]];
    return (double)v * (double)e->scale[field] + (double)e->mean[field];
}
static void encode(const nm_state_encoding *e, float *values, uint32_t state, int field, double value) {
    values[state * e->stride + (uint32_t)e->channel[field]] =
        (float)((value - (double)e->mean[field]) / (double)e->scale[field]);
}

/// What a motion does to clean states, field by field in metres.
static void move_plainly(const nm_state_encoding *e, const nm_motion *m, float *values) {
    for (uint32_t i = 0; i < e->states; i++) {
        for (int f = NM_FIELD_X; f <= NM_FIELD_VX; f += 2) {
            if (e->channel[f + 1] < 0) continue;
            const double x = decoded(e, values, i, f), y = decoded(e, values, i, f + 1);
            const double tx = f == NM_FIELD_X ? m->x : 0.0, ty = f == NM_FIELD_X ? m->y : 0.0;
            encode(e, values, i, f, m->cos_h * x - m->sin_h * y + tx);
            encode(e, values, i, f + 1, m->sin_h * x + m->cos_h * y + ty);
        }
    }
}

static double furthest(const float *a, const float *b, size_t count) {
    double most = 0.0;
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static void motions_lead_from_frame_to_frame(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        const nm_motion from = motion_of(2 * seed), to = motion_of(2 * seed + 1), m = nm_motion_between(&from, &to);
        const double x = draw(seed, 7, -50.0, 50.0), y = draw(seed, 8, -50.0, 50.0);
        const double out_x = from.x + from.cos_h * x - from.sin_h * y, out_y = from.y + from.sin_h * x + from.cos_h * y;
        const double in_x = m.x + m.cos_h * x - m.sin_h * y, in_y = m.y + m.sin_h * x + m.cos_h * y;
        assert_true(fabs(to.x + to.cos_h * in_x - to.sin_h * in_y - out_x) < 1e-9);
        assert_true(fabs(to.y + to.sin_h * in_x + to.cos_h * in_y - out_y) < 1e-9);
        assert_int_equal(nm_motion_check(&m, NULL), NM_OK);
    }
}

/// Clean values become the moved states; noised ones the moved states plus noise that is turned alone.
static void values_move_with_their_noise(void **state) {
    (void)state;
    for (int k = 0; k < 3; k++) {
        const nm_state_encoding e = encoding_of(k);
        const uint32_t channels = nm_state_encoding_channels(&e);
        assert_int_equal(channels, k == 0 ? 8 : k == 1 ? 25 : 18);
        for (uint64_t seed = 0; seed < 30; seed++) {
            float x[MOST] = {0}, noise[MOST] = {0}, z[MOST] = {0}, moved[MOST], turned[MOST], kept[MOST] = {0};
            const nm_motion m = motion_of(seed), turn = {0.0, 0.0, m.cos_h, m.sin_h};
            const nm_motion here = {0.0, 0.0, 1.0, 0.0}, back = nm_motion_between(&here, &m);
            const double alpha = draw(seed, 30, 0.0, 1.0), sigma = sqrt(1.0 - alpha * alpha);
            nm_state_encoding plain = e; // of noise: no means
            for (int f = 0; f < NM_FIELD_COUNT; f++) plain.mean[f] = 0.0f;
            for (uint32_t c = 0; c < channels; c++) {
                x[c] = (float)draw(seed, 40 + c, -1.5, 1.5);
                noise[c] = (float)draw(seed, 80 + c, -2.0, 2.0);
                kept[c] = z[c] = (float)(alpha * (double)x[c] + sigma * (double)noise[c]);
            }
            memcpy(moved, x, sizeof moved);
            memcpy(turned, noise, sizeof turned);
            move_plainly(&e, &m, moved);
            move_plainly(&plain, &turn, turned);
            nm_state_encoding_move(&e, &m, 1.0, x);
            assert_true(furthest(x, moved, channels) < 1e-5);
            nm_state_encoding_move(&e, &m, alpha, z);
            float expected[MOST];
            for (uint32_t c = 0; c < channels; c++)
                expected[c] = (float)(alpha * (double)moved[c] + sigma * (double)turned[c]);
            assert_true(furthest(z, expected, channels) < 1e-5);
            assert_true(furthest(z, kept, channels) > 1e-2);
            nm_state_encoding_move(&e, &back, alpha, z); // and there again
            assert_true(furthest(z, kept, channels) < 4e-6);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The sampler

/// A Gaussian about means that are states in each agent's frame: told of the frames, it moves with them. Agents do not
/// bear on each other, so that each may have a frame of its own.
typedef struct rigid_world {
    gaussian g;
    nm_state_encoding e;
    uint32_t channels;
    float mean[COUNT][MOST];
} rigid_world;

static nm_status predict(void *context, const nm_denoise_input *in, float *v, nm_error *error) {
    (void)error;
    const rigid_world *w = context;
    const uint32_t channels = in->channels;
    nm_noise_level level[GAUSSIAN_MOST] = {{0}};
    for (uint32_t first = 0; first < in->count; first += SIZE) {
        double gain[GAUSSIAN_MOST][GAUSSIAN_MOST];
        for (uint32_t i = 0; i < SIZE; i++) level[i] = nm_noise_level_at(w->g.snr, (double)in->level[first + i]);
        gaussian_gain(&w->g, level, gain);
        for (uint32_t i = 0; i < SIZE; i++) {
            for (uint32_t c = 0; c < channels; c++) {
                double x0 = (double)w->mean[first + i][c];
                for (uint32_t j = 0; j < SIZE; j++) {
                    const double z = (double)in->noised[(first + j) * channels + c];
                    x0 += gain[i][j] * (z - level[j].alpha * (double)w->mean[first + j][c]);
                }
                const double z = (double)in->noised[(first + i) * channels + c];
                v[(first + i) * channels + c] =
                    level[i].sigma > 0.0 ? (float)((level[i].alpha * z - x0) / level[i].sigma) : 0.0f;
            }
        }
    }
    return NM_OK;
}

typedef struct run {
    rigid_world world;
    nm_token_layout layout;
    nm_sampler *sampler;
    uint8_t clean[COUNT];
    float values[COUNT * MOST];
} run;

static void start(run *r, int encoding, nm_solver solver) {
    rigid_world *w = &r->world;
    gaussian_init(&w->g, AGENTS, TIMES);
    w->e = encoding_of(encoding);
    w->channels = nm_state_encoding_channels(&w->e);
    for (uint32_t i = 0; i < SIZE; i++) {
        for (uint32_t j = 0; j < SIZE; j++) w->g.covariance[i][j] *= i / TIMES == j / TIMES;
    }
    r->layout = gaussian_layout(&w->g, SCENES, 9);
    int32_t delay[COUNT];
    for (uint32_t n = 0; n < COUNT; n++) {
        r->clean[n] = n % TIMES == 0 || n == 7;
        delay[n] = 4 * (int32_t)(n % TIMES); // some still wait when frames move
        for (uint32_t c = 0; c < w->channels; c++) {
            w->mean[n][c] = (float)draw(n, 200 + c, -1.0, 1.0);
            r->values[n * w->channels + c] = w->mean[n][c] + (float)draw(n, 300 + c, -0.3, 0.3);
        }
    }
    nm_sampler_config config = nm_sampler_config_default();
    config.max_tokens = COUNT;
    config.max_scenes = SCENES;
    config.channels = w->channels;
    config.levels = LEVELS;
    config.solver = solver;
    config.seed = 3;
    nm_error error;
    if (nm_sampler_create(&config, &r->sampler, &error)) fail_msg("%s", error.message);
    if (nm_sampler_begin(r->sampler, &r->layout, r->clean, r->values, delay, &error)) fail_msg("%s", error.message);
}

static void finish(run *r) {
    nm_sampler_destroy(r->sampler);
    gaussian_layout_free(&r->layout);
}

static void step(run *r) {
    const nm_denoiser denoiser = {&r->world, predict};
    nm_error error;
    if (nm_sampler_step(r->sampler, &denoiser, NULL, NULL, &error)) fail_msg("%s", error.message);
}

/// Moves the frames of all agents but the last, and tells the world.
static void reframe(run *r, uint64_t seed) {
    rigid_world *w = &r->world;
    nm_motion motions[SCENES * AGENTS - 1];
    uint32_t which[COUNT];
    for (uint32_t i = 0; i < SCENES * AGENTS - 1; i++) motions[i] = motion_of(seed + i);
    for (uint32_t n = 0; n < COUNT; n++) {
        which[n] = n / TIMES < SCENES * AGENTS - 1 ? n / TIMES : NM_TOKEN_STAYS;
        if (which[n] != NM_TOKEN_STAYS) move_plainly(&w->e, &motions[which[n]], w->mean[n]);
    }
    nm_error error;
    if (nm_sampler_reframe(r->sampler, &w->e, motions, SCENES * AGENTS - 1, which, &error))
        fail_msg("%s", error.message);
}

/// What a run without moved frames has, moved: `values` [COUNT][channels].
static void move_all(const rigid_world *w, uint64_t seed, float *values) {
    for (uint32_t n = 0; n < COUNT; n++) {
        const nm_motion m = motion_of(seed + n / TIMES);
        if (n / TIMES < SCENES * AGENTS - 1) move_plainly(&w->e, &m, values + n * w->channels);
    }
}

/// Frames that move at any moment, twice, change nothing but the frames: levels, predictions, what 2M remembers.
static void sampling_goes_on_in_moved_frames(void **state) {
    (void)state;
    static const nm_solver solvers[] = {NM_SOLVER_DDIM, NM_SOLVER_2M};
    static run plain, moved;
    for (int k = 0; k < 6; k++) {
        for (int when = 0; when < 20; when += 5) {
            start(&plain, k / 2, solvers[k % 2]);
            start(&moved, k / 2, solvers[k % 2]);
            const size_t count = COUNT * plain.world.channels;
            float expected[COUNT * MOST];
            for (int pass = 0; nm_sampler_remaining(plain.sampler); pass++) {
                if (pass == when) reframe(&moved, 50);
                if (pass == when + 2) reframe(&moved, 90);
                step(&plain);
                step(&moved);
                const nm_sampler_state a = nm_sampler_get(plain.sampler), b = nm_sampler_get(moved.sampler);
                assert_memory_equal(a.step, b.step, COUNT * sizeof *a.step);
                assert_memory_equal(a.in.mask, b.in.mask, count * sizeof(float));
                assert_true(nm_sampler_remaining(plain.sampler) == nm_sampler_remaining(moved.sampler));
                memcpy(expected, a.x0, count * sizeof(float));
                if (pass >= when) move_all(&plain.world, 50, expected);
                if (pass >= when + 2) move_all(&plain.world, 90, expected);
                if (furthest(expected, b.x0, count) > 1e-4)
                    fail_msg("encoding %d, pass %d of %d: %g", k, pass, when, furthest(expected, b.x0, count));
            }
            const nm_sampler_state a = nm_sampler_get(plain.sampler), b = nm_sampler_get(moved.sampler);
            memcpy(expected, a.in.noised, count * sizeof(float));
            move_all(&plain.world, 50, expected);
            move_all(&plain.world, 90, expected);
            assert_true(furthest(expected, b.in.noised, count) < 1e-4);
            assert_true(furthest(a.in.noised, b.in.noised, count) > 0.1);
            finish(&plain);
            finish(&moved);
        }
    }
}

/// At once, without a pass: what is clean is exactly what was given, moved; all else is alpha of it; back is back.
static void there_and_back_is_where_it_was(void **state) {
    (void)state;
    static run r;
    for (int k = 0; k < 3; k++) {
        start(&r, k, NM_SOLVER_ANCESTRAL);
        const uint32_t channels = r.world.channels;
        for (int pass = 0; pass < 9; pass++) {
            float z[COUNT * MOST], x0[COUNT * MOST], value[MOST];
            const size_t bytes = COUNT * channels * sizeof(float);
            nm_sampler_state at = nm_sampler_get(r.sampler);
            const uint64_t layout = at.in.layout;
            memcpy(z, at.in.noised, bytes);
            memcpy(x0, at.x0, bytes);
            const nm_motion here = {0.0, 0.0, 1.0, 0.0}, there = motion_of(70), back = nm_motion_between(&here, &there);
            uint32_t which[COUNT] = {0};
            nm_error error;
            assert_int_equal(nm_sampler_reframe(r.sampler, &r.world.e, &there, 1, which, &error), NM_OK);
            at = nm_sampler_get(r.sampler);
            assert_true(at.in.layout == layout && at.passes == (uint64_t)pass);
            for (uint32_t n = 0; n < COUNT; n++) {
                const size_t first = n * channels;
                memcpy(value, z + first, channels * sizeof *value);
                nm_state_encoding_move(&r.world.e, &there, 1.0, value);
                if (at.step[n] == 0) {
                    assert_memory_equal(at.in.noised + first, value, channels * sizeof *value);
                    assert_memory_equal(at.in.known + first, value, channels * sizeof *value);
                    assert_memory_equal(at.x0 + first, value, channels * sizeof *value);
                } else {
                    assert_true(at.in.known[first] == 0.0f && at.in.mask[first] == 0.0f);
                }
                // before the first pass x0 is the noise
                if (pass == 0) assert_memory_equal(at.x0 + first, at.in.noised + first, channels * sizeof *value);
            }
            assert_true(furthest(at.in.noised, z, COUNT * channels) > 0.1);
            assert_int_equal(nm_sampler_reframe(r.sampler, &r.world.e, &back, 1, which, &error), NM_OK);
            assert_true(furthest(nm_sampler_get(r.sampler).in.noised, z, COUNT * channels) < 4e-6);
            assert_true(furthest(nm_sampler_get(r.sampler).x0, x0, COUNT * channels) < 4e-6);
            step(&r);
        }
        finish(&r);
    }
}

static void bad_motions_are_refused(void **state) {
    (void)state;
    static run r;
    start(&r, 0, NM_SOLVER_2M);
    uint32_t which[COUNT] = {0};
    float z[COUNT * MOST];
    memcpy(z, nm_sampler_get(r.sampler).in.noised, COUNT * 8 * sizeof *z);
    nm_error error;
    for (int i = 0; i < 9; i++) {
        nm_motion m = motion_of(1);
        nm_state_encoding e = r.world.e;
        if (i == 0) m.x = NAN;
        if (i == 1) m.y = INFINITY;
        if (i == 2) m.cos_h += 1e-3;
        if (i == 3) m.x = 1e300; // a float takes no more than 1e38
        if (i == 4) e.states = 2, e.stride = 8;
        if (i == 5) e.scale[NM_FIELD_Y] = 50.0f;
        if (i == 6) e.scale[NM_FIELD_VY] = 5.0f;
        if (i == 7) e.channel[NM_FIELD_SIN] = -1;
        if (i == 8) e.channel[NM_FIELD_WIDTH] = INT32_MAX;
        static const char *const says[] = {"is none",        "is none",    "is none",
                                           "beyond all",     "reaches 16", "can not turn",
                                           "fields 4 and 5", "field 3",    "reaches 2147483648"};
        assert_int_equal(nm_sampler_reframe(r.sampler, &e, &m, 1, which, &error), i < 4 ? NM_E_NUMERIC : NM_E_ARGUMENT);
        if (!strstr(error.message, says[i])) fail_msg("case %d: %s", i, error.message);
        assert_memory_equal(nm_sampler_get(r.sampler).in.noised, z, COUNT * 8 * sizeof *z);
    }
    finish(&r);
}

// ---------------------------------------------------------------------------------------------------------------------

/// In the window a motion is a row's: of all its tokens, and of no others.
static void rows_of_the_window_move(void **state) {
    (void)state;
    nm_window_config config = nm_window_config_default();
    config.max_rows = 3;
    config.max_scenes = 1;
    config.history = 2;
    config.future = 3;
    config.sampler.solver = NM_SOLVER_DDIM;
    nm_window *window;
    nm_error error;
    const uint64_t key = 1;
    const nm_state_encoding e = nm_state_encoding_published();
    float history[2][2 * 8];
    for (uint32_t i = 0; i < 32; i++) history[i / 16][i % 16] = (float)draw(5, i, -1.0, 1.0);
    const uint8_t valid[2] = {1, 1}, late[2] = {0, 1};
    const nm_window_row rows[2] = {{.id = 4, .history = history[0], .valid = late},
                                   {.id = 9, .history = history[1], .valid = valid}};
    assert_int_equal(nm_window_create(&config, &window, &error), NM_OK);
    assert_int_equal(nm_window_begin(window, 1, &key, 0, &error), NM_OK);
    assert_int_equal(nm_window_reframe(window, &e, NULL, &error), NM_OK); // of nobody
    assert_int_equal(nm_window_add(window, rows, 2, &error), NM_OK);
    const nm_motion motions[2] = {motion_of(1), motion_of(2)};
    float before[9 * 8];
    memcpy(before, nm_sampler_get(nm_window_sampler(window)).in.noised, sizeof before);
    assert_int_equal(nm_window_reframe(window, &e, motions, &error), NM_OK);
    const nm_sampler_state at = nm_sampler_get(nm_window_sampler(window));
    const float alpha = (float)nm_noise_level_at(NM_SNR_COSINE, 1.0).alpha;
    assert_int_equal(at.in.count, 9);
    for (uint32_t row = 0; row < 2; row++) {
        for (int32_t f = -2; f < 3; f++) {
            const uint32_t token = nm_window_token(window, row, f);
            if (token == NM_TOKEN_NEW) continue;
            nm_state_encoding_move(&e, &motions[row], f < 0 ? 1.0 : (double)alpha, before + token * 8);
        }
    }
    assert_memory_equal(at.in.noised, before, sizeof before);
    nm_window_destroy(window);
}

static void tokens_say_how_they_are_encoded(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        nm_token_config config = nm_token_config_default(k ? NM_TOKENS_AGENT : NM_TOKENS_EGO);
        config.position_scale = 25.0;
        config.heading_scale = 0.5;
        config.speed_scale = 8.0;
        const nm_state_encoding e = nm_token_state_encoding(&config);
        assert_int_equal(nm_state_encoding_channels(&e), nm_token_channels(&config));
        const nm_token_frame frame = {.cos = 1.0f};
        nm_state states[NM_TOKEN_STEPS];
        float values[MOST];
        for (uint32_t i = 0; i < NM_TOKEN_STEPS; i++)
            states[i] = (nm_state){.x = 10.0f + (float)i,
                                   .y = 4.0f,
                                   .heading = 0.3f,
                                   .vx = 3.0f,
                                   .vy = 1.0f,
                                   .length = 5.0f,
                                   .width = 1.9f};
        nm_token_encode(&config, &frame, states, values);
        for (uint32_t i = 0; i < e.states; i++) {
            assert_true(fabs(decoded(&e, values, i, NM_FIELD_X) - (double)states[i].x) < 1e-5);
            assert_true(fabs(decoded(&e, values, i, NM_FIELD_Y) - 4.0) < 1e-5);
            assert_true(fabs(decoded(&e, values, i, NM_FIELD_COS) - cos(0.3)) < 1e-6);
            assert_true(fabs(decoded(&e, values, i, NM_FIELD_SIN) - sin(0.3)) < 1e-6);
            const double speed = k ? 3.0 * cos(0.3) + sin(0.3) : 3.0;
            assert_true(fabs(decoded(&e, values, i, NM_FIELD_VX) - speed) < 1e-5);
            if (!k) assert_true(fabs(decoded(&e, values, i, NM_FIELD_LENGTH) - 5.0) < 1e-5);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(motions_lead_from_frame_to_frame), cmocka_unit_test(values_move_with_their_noise),
        cmocka_unit_test(sampling_goes_on_in_moved_frames), cmocka_unit_test(there_and_back_is_where_it_was),
        cmocka_unit_test(bad_motions_are_refused),          cmocka_unit_test(rows_of_the_window_move),
        cmocka_unit_test(tokens_say_how_they_are_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
