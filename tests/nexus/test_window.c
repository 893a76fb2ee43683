/// The sliding window: what the denoiser is shown, how fast it answers, and agents that come and go.
#include "support.h"

#include "base/rng.h"
#include "nexus/window.h"

enum { HISTORY = 3, FUTURE = 6, CHANNELS = 2, LENGTH = HISTORY + FUTURE };

/// Predicts that everybody goes on as in the newest clean frames of their own: x0 = last + (time - last time) * 0.5, in
/// every channel. Checks what it is shown, and remembers it.
typedef struct prophet {
    int calls;
    uint32_t count;
    uint64_t layout;
    float known[64][CHANNELS], mask[64][CHANNELS], level[64];
} prophet;

static nm_status foresee(void *context, const nm_denoise_input *in, float *v, nm_error *error) {
    (void)error;
    prophet *p = context;
    p->calls++;
    p->count = in->count;
    p->layout = in->layout;
    float last = 0.0f;
    uint32_t last_time = 0;
    for (uint32_t n = 0; n < in->count; n++) {
        const int same = n && in->scene[n] == in->scene[n - 1] && in->agent[n] == in->agent[n - 1];
        const float *mask = in->mask + n * CHANNELS, *known = in->known + n * CHANNELS;
        if (!same) last = NAN;
        if (mask[0] == 1.0f) {
            last = known[0];
            last_time = in->time[n];
        }
        assert_true((mask[0] == 1.0f) == (in->level[n] == 0.0f));
        const nm_noise_level level = nm_noise_level_at(NM_SNR_COSINE, (double)in->level[n]);
        for (uint32_t c = 0; c < CHANNELS; c++) {
            p->known[n][c] = known[c];
            p->mask[n][c] = mask[c];
            const double x0 = (double)last + 0.5 * (in->time[n] - last_time);
            const double z = (double)in->noised[n * CHANNELS + c];
            v[n * CHANNELS + c] = mask[c] == 1.0f ? 0.0f : (float)((level.alpha * z - x0) / level.sigma);
        }
        p->level[n] = in->level[n];
    }
    return NM_OK;
}

static nm_window *make(uint32_t stride, nm_solver solver, uint32_t scenes) {
    nm_window_config config = nm_window_config_default();
    config.max_rows = 7;
    config.max_scenes = 2;
    config.history = HISTORY;
    config.future = FUTURE;
    config.stride = stride;
    config.sampler.channels = CHANNELS;
    config.sampler.solver = solver;
    config.sampler.seed = 4;
    nm_window *window;
    nm_error error;
    const uint64_t keys[2] = {77, 78};
    if (nm_window_create(&config, &window, &error)) fail_msg("%s", error.message);
    assert_false(nm_window_ready(window)); // not begun yet
    if (nm_window_begin(window, scenes, keys, 1000, &error)) fail_msg("%s", error.message);
    return window;
}

/// An agent that has moved by 0.5 a frame and is at `at` now.
typedef struct past {
    float values[HISTORY * CHANNELS], guess[FUTURE * CHANNELS];
    uint8_t valid[HISTORY];
} past;
static nm_window_row agent_at(past *p, uint32_t scene, uint32_t id, float at) {
    for (int h = 0; h < HISTORY; h++) {
        p->valid[h] = 1;
        for (int c = 0; c < CHANNELS; c++) p->values[h * CHANNELS + c] = at + 0.5f * (float)(h - HISTORY + 1);
    }
    for (int f = 0; f < FUTURE; f++) {
        for (int c = 0; c < CHANNELS; c++) p->guess[f * CHANNELS + c] = at + 0.5f * (float)(f + 1);
    }
    return (nm_window_row){.scene = scene, .id = id, .history = p->values, .valid = p->valid};
}

static int until_ready(nm_window *window, prophet *p) {
    const nm_denoiser denoiser = {p, foresee};
    int passes = 0;
    while (!nm_window_ready(window)) {
        nm_error error;
        if (nm_window_pass(window, &denoiser, NULL, NULL, &error)) fail_msg("%s", error.message);
        passes++;
    }
    return passes;
}

static void one_frame_every_stride_passes(void **state) {
    (void)state;
    for (uint32_t stride = 1; stride <= 3; stride += 2) {
        for (int solver = 0; solver < 3; solver++) {
            nm_window *window = make(stride, (nm_solver)solver, 1);
            past a, b;
            const nm_window_row rows[2] = {agent_at(&b, 0, 9, -1.0f), agent_at(&a, 0, 4, 2.0f)};
            nm_error error;
            assert_int_equal(nm_window_add(window, rows, 2, &error), NM_OK);
            prophet p = {0};
            assert_int_equal(until_ready(window, &p), (int)stride * FUTURE);
            const uint64_t layout = p.layout;
            float frame[2 * CHANNELS];
            uint8_t present[2];
            for (int i = 0; i < 20; i++) {
                nm_window_frame(window, frame, present);
                assert_true(present[0] && present[1]);
                assert_true(fabsf(frame[0] - (2.5f + 0.5f * (float)i)) < 1e-4f); // agent 4 comes first
                assert_true(fabsf(frame[CHANNELS] - (-0.5f + 0.5f * (float)i)) < 1e-4f);
                assert_int_equal(nm_window_slide(window, i % 2 ? frame : NULL, NULL, &error), NM_OK);
                assert_int_equal(until_ready(window, &p), (int)stride);
                assert_true(p.layout == layout && p.count == 2 * LENGTH); // the network may keep its groups
                // the last pass of a frame: history clean, then one stride more of noise for every frame
                for (int n = 0; n < 2 * LENGTH; n++) {
                    const int f = n % LENGTH - HISTORY;
                    const float level = f < 0 ? 0.0f : (float)((int)stride * f + 1) / (float)((int)stride * FUTURE);
                    assert_true(fabsf(p.level[n] - level) < 1e-6f);
                }
            }
            assert_int_equal(p.calls, (int)stride * (FUTURE + 20));
            nm_window_destroy(window);
        }
    }
}

/// Something else happened than was denoised: the very next pass is told, and what it yields starts from there.
static void what_happened_is_seen_by_the_next_pass(void **state) {
    (void)state;
    nm_window *window = make(1, NM_SOLVER_ANCESTRAL, 2);
    past a, b;
    const nm_window_row rows[2] = {agent_at(&a, 0, 0, 2.0f), agent_at(&b, 1, 0, -1.0f)};
    nm_error error;
    assert_int_equal(nm_window_add(window, rows, 2, &error), NM_OK);
    prophet p = {0};
    until_ready(window, &p);
    float frame[2 * CHANNELS];
    uint8_t present[2];
    nm_window_frame(window, frame, present);
    const float braked[2 * CHANNELS] = {2.1f, 2.1f, frame[2], frame[3]};
    assert_int_equal(nm_window_slide(window, braked, NULL, &error), NM_OK);
    const int calls = p.calls;
    assert_int_equal(until_ready(window, &p), 1);
    assert_int_equal(p.calls, calls + 1);
    const uint32_t newest = nm_window_token(window, 0, -1);
    assert_true(p.known[newest][0] == 2.1f && p.mask[newest][0] == 1.0f);
    assert_true(p.known[newest - 1][0] == 2.0f); // and what was before moved on
    nm_window_frame(window, frame, present);
    assert_true(fabsf(frame[0] - 2.6f) < 1e-4f);
    assert_true(fabsf(frame[CHANNELS]) < 1e-4f); // the other scene goes on

    // a frame to come may be fixed as well, such as a goal: shown at once, kept until it is executed
    const float goal[CHANNELS] = {9.0f, 8.0f};
    assert_int_equal(nm_window_slide(window, NULL, NULL, &error), NM_OK);
    assert_int_equal(nm_window_overwrite(window, 1, 4, goal, &error), NM_OK);
    for (int i = 4; i >= 0; i--) {
        until_ready(window, &p);
        const uint32_t token = nm_window_token(window, 1, i);
        assert_true(p.known[token][1] == 8.0f && p.mask[token][1] == 1.0f);
        nm_window_frame(window, frame, present);
        if (i == 0) assert_memory_equal(frame + CHANNELS, goal, sizeof goal);
        assert_int_equal(nm_window_slide(window, NULL, NULL, &error), NM_OK);
    }

    float bad[2 * CHANNELS] = {0.0f, 0.0f, NAN, 0.0f};
    const uint8_t alive[2] = {1, 0};
    until_ready(window, &p);
    assert_int_equal(nm_window_slide(window, bad, NULL, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "agent 0 of scene 1"));
    assert_int_equal(nm_window_rows(window), 2);
    assert_int_equal(nm_window_slide(window, bad, alive, &error), NM_OK); // of a row that is gone nothing is read
    assert_int_equal(nm_window_rows(window), 1);
    nm_window_destroy(window);
}

/// Rows go by not being alive, and by being taken out; an empty window goes on.
static void check_leaving(nm_window *window, prophet *p, float *frame, uint8_t *present) {
    nm_error error;
    const uint8_t alive[4] = {0, 1, 1, 1};
    assert_int_equal(nm_window_slide(window, frame, alive, &error), NM_OK);
    assert_int_equal(nm_window_find(window, 0, 3), NM_TOKEN_NEW);
    assert_int_equal(nm_window_remove(window, 1, &error), NM_OK);
    assert_int_equal(nm_window_find(window, 0, 8), NM_TOKEN_NEW);
    assert_int_equal(nm_window_rows(window), 2);
    until_ready(window, p);
    nm_window_frame(window, frame, present);
    assert_true(fabsf(frame[0] - (3.5f + 0.5f * FUTURE)) < 1e-4f);
    assert_int_equal(nm_window_remove(window, 0, &error), NM_OK);
    assert_int_equal(nm_window_remove(window, 0, &error), NM_OK);
    assert_int_equal(nm_window_slide(window, NULL, NULL, &error), NM_OK);
    assert_int_equal(until_ready(window, p), 1);
}

static void agents_come_and_go(void **state) {
    (void)state;
    nm_window *window = make(1, NM_SOLVER_2M, 2);
    past a, b, c, d;
    nm_window_row row = agent_at(&a, 0, 5, 2.0f);
    nm_error error;
    assert_int_equal(nm_window_add(window, &row, 1, &error), NM_OK);
    prophet p = {0};
    until_ready(window, &p);
    assert_int_equal(nm_window_slide(window, NULL, NULL, &error), NM_OK);
    // one with a guess before it, one without behind it, one that was half seen in another scene
    nm_window_row more[3] = {agent_at(&d, 1, 0, 7.0f), agent_at(&b, 0, 3, 4.0f), agent_at(&c, 0, 8, 6.0f)};
    more[1].guess = b.guess;
    d.valid[0] = 0;
    assert_int_equal(nm_window_add(window, more, 3, &error), NM_OK);
    assert_int_equal(nm_window_rows(window), 4);
    assert_int_equal(nm_window_find(window, 0, 3), 0);
    assert_int_equal(nm_window_find(window, 0, 5), 1);
    assert_int_equal(nm_window_find(window, 0, 8), 2);
    assert_int_equal(nm_window_find(window, 1, 0), 3);
    assert_int_equal(nm_window_find(window, 0, 4), NM_TOKEN_NEW);
    assert_int_equal(nm_window_find(window, 1, 1), NM_TOKEN_NEW);
    uint32_t scene, id;
    nm_window_row_at(window, 2, &scene, &id);
    assert_true(scene == 0 && id == 8);
    assert_int_equal(nm_window_first_row(window, 0), 0);
    assert_int_equal(nm_window_first_row(window, 1), 3);

    assert_int_equal(until_ready(window, &p), 1);
    // the farthest frame of those without a guess is at pure noise, as it is for all
    assert_int_equal(p.count, LENGTH + LENGTH + (HISTORY + 1) + (HISTORY - 1 + 1));
    float frame[4 * CHANNELS];
    uint8_t present[4];
    nm_window_frame(window, frame, present);
    assert_true(present[0] && present[1] && !present[2] && !present[3]);
    assert_true(fabsf(frame[0] - 4.5f) < 1e-4f && fabsf(frame[2] - 3.0f) < 1e-4f);
    assert_true(frame[4] == 0.0f && frame[7] == 0.0f);

    // the simulation drives who is not denoised yet, until its frames have come near
    for (int i = 1; i <= FUTURE; i++) {
        for (int k = 2; k < 4; k++) {
            if (!present[k]) frame[k * CHANNELS] = frame[k * CHANNELS + 1] = (k == 2 ? 6.0f : 7.0f) + 0.5f * (float)i;
        }
        assert_int_equal(nm_window_slide(window, frame, NULL, &error), NM_OK);
        until_ready(window, &p);
        nm_window_frame(window, frame, present);
        assert_int_equal(present[2], i >= FUTURE - 1);
        assert_true(present[0] && present[1]);
    }
    assert_true(fabsf(frame[4] - (6.5f + 0.5f * FUTURE)) < 1e-4f && fabsf(frame[6] - (7.5f + 0.5f * FUTURE)) < 1e-4f);
    assert_int_equal(p.count, 4 * LENGTH);

    check_leaving(window, &p, frame, present);
    nm_window_destroy(window);
}

/// The noise of a frame is that frame's and its scene's, whenever the window began.
static void frames_keep_their_noise(void **state) {
    (void)state;
    nm_window *window = make(2, NM_SOLVER_ANCESTRAL, 2);
    past a, b;
    const nm_window_row rows[2] = {agent_at(&a, 0, 5, 2.0f), agent_at(&b, 1, 6, 3.0f)};
    nm_error error;
    assert_int_equal(nm_window_add(window, rows, 2, &error), NM_OK);
    prophet p = {0};
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t k = 0; k < 2 * FUTURE; k++) { // at first all to come, later what was pushed
            const uint32_t row = k % 2, frame = FUTURE - 1 - k / 2;
            if (i && k >= 2) break;
            const uint32_t token = nm_window_token(window, row, (int32_t)frame);
            float noise[4];
            const nm_rng_key key = {4, 77 + row, 5 + row, nm_noise_step(1000 + i + HISTORY + frame, 2 * FUTURE),
                                    NM_PURPOSE_NOISE};
            nm_rng_normal4(&key, 0, noise);
            const float *z = nm_sampler_get(nm_window_sampler(window)).in.noised + token * CHANNELS;
            assert_memory_equal(z, noise, CHANNELS * sizeof *z);
        }
        until_ready(window, &p);
        assert_int_equal(nm_window_slide(window, NULL, NULL, &error), NM_OK);
    }
    nm_window_destroy(window);
}

/// A denoiser that predicts every token from itself alone, and remembers the agents it was shown.
static nm_status hermit(void *context, const nm_denoise_input *in, float *v, nm_error *error) {
    (void)error;
    for (uint32_t n = 0; n < in->count; n++) ((uint32_t *)context)[n] = in->agent[n];
    for (uint32_t i = 0; i < in->count * in->channels; i++) v[i] = 0.4f * in->noised[i];
    return NM_OK;
}

/// Others come before it and leave: an agent's place changes, and its noise does not.
static void agents_keep_their_noise(void **state) {
    (void)state;
    nm_window *alone = make(1, NM_SOLVER_ANCESTRAL, 2), *crowded = make(1, NM_SOLVER_ANCESTRAL, 2);
    past p[4];
    const nm_window_row rows[4] = {agent_at(&p[0], 1, 50, 2.0f), agent_at(&p[1], 1, 7, 0.0f),
                                   agent_at(&p[2], 1, 60, 5.0f), agent_at(&p[3], 0, 3, 5.0f)};
    nm_error error;
    assert_int_equal(nm_window_add(alone, rows, 1, &error), NM_OK);
    assert_int_equal(nm_window_add(crowded, rows, 4, &error), NM_OK);
    for (int i = 0; i < 15; i++) {
        uint32_t shown[2][4 * LENGTH];
        if (i == 5) assert_int_equal(nm_window_remove(crowded, nm_window_find(crowded, 1, 7), &error), NM_OK);
        for (int k = 0; k < 2; k++) {
            nm_window *window = k ? crowded : alone;
            const nm_denoiser denoiser = {shown[k], hermit};
            assert_int_equal(nm_window_pass(window, &denoiser, NULL, NULL, &error), NM_OK);
        }
        const uint32_t row = nm_window_find(crowded, 1, 50);
        assert_int_equal(row, i < 5 ? 2 : 1);
        const uint32_t first = nm_window_token(crowded, row, -HISTORY);
        for (uint32_t n = 0; n < LENGTH; n++) {
            assert_int_equal(shown[0][n], 0);
            assert_int_equal(shown[1][first + n], i < 5); // counted in its scene
        }
        const nm_sampler_state a = nm_sampler_get(nm_window_sampler(alone)),
                               b = nm_sampler_get(nm_window_sampler(crowded));
        assert_memory_equal(a.in.noised, b.in.noised + (size_t)first * CHANNELS, LENGTH * CHANNELS * sizeof(float));
        if (!nm_window_ready(alone)) continue;
        assert_int_equal(nm_window_slide(alone, NULL, NULL, &error), NM_OK);
        assert_int_equal(nm_window_slide(crowded, NULL, NULL, &error), NM_OK);
    }
    nm_window_destroy(alone);
    nm_window_destroy(crowded);
}

static void bad_input_is_refused(void **state) {
    (void)state;
    nm_error error;
    for (int i = 0; i < 6; i++) {
        nm_window_config config = nm_window_config_default();
        nm_window *window;
        config.max_rows = i == 0 ? 0 : 4;
        config.max_scenes = i == 1 ? 0 : 1;
        if (i == 2) config.history = 0;
        if (i == 3) config.future = 1001;
        if (i == 4) config.stride = 256; // * 16 = 4096
        if (i == 5) config.stride = 0;
        assert_int_equal(nm_window_create(&config, &window, &error), NM_E_ARGUMENT);
        assert_null(window);
    }
    nm_window *window = make(1, NM_SOLVER_DDIM, 1);
    const uint64_t keys[3] = {0};
    past p[8];
    nm_window_row rows[8];
    for (uint32_t i = 0; i < 8; i++) rows[i] = agent_at(&p[i], 0, i, 0.0f);
    assert_int_equal(nm_window_add(window, rows, 8, &error), NM_E_LIMIT);
    assert_int_equal(nm_window_add(window, rows, 5, &error), NM_OK);
    assert_int_equal(nm_window_add(window, rows + 4, 2, &error), NM_E_EXISTS);
    rows[6].id = 5;
    assert_int_equal(nm_window_add(window, rows + 5, 2, &error), NM_E_EXISTS);
    rows[6].id = 6;
    rows[6].scene = 1;
    assert_int_equal(nm_window_add(window, rows + 5, 2, &error), NM_E_ARGUMENT);
    rows[6].scene = 0;
    p[6].values[3] = NAN;
    assert_int_equal(nm_window_add(window, rows + 5, 2, &error), NM_E_NUMERIC);
    assert_int_equal(nm_window_rows(window), 5);
    p[6].values[3] = 0.0f;
    p[6].valid[0] = 0;
    assert_int_equal(nm_window_add(window, rows + 5, 2, &error), NM_OK);
    assert_int_equal(nm_window_rows(window), 7);
    assert_int_equal(nm_window_overwrite(window, 6, -HISTORY, p[0].values, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "agent 6 of scene 0 has no token at frame -3"));
    assert_int_equal(nm_window_begin(window, 3, keys, 0, &error), NM_E_LIMIT);
    assert_int_equal(nm_window_rows(window), 7);
    // frames beyond what noise can tell apart: at the beginning, or later
    const uint32_t last = NM_NOISE_MAX_FRAME + 1 - LENGTH;
    assert_int_equal(nm_window_begin(window, 1, keys, last + 1, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_window_begin(window, 1, keys, UINT32_MAX - 3, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "frame 4294967292"));
    assert_int_equal(nm_window_rows(window), 7);
    assert_int_equal(nm_window_begin(window, 1, keys, last - 1, &error), NM_OK);
    assert_int_equal(nm_window_rows(window), 0);
    assert_int_equal(nm_window_add(window, rows, 1, &error), NM_OK);
    prophet p2 = {0};
    until_ready(window, &p2);
    assert_int_equal(nm_window_slide(window, NULL, NULL, &error), NM_OK);
    until_ready(window, &p2);
    assert_int_equal(nm_window_slide(window, NULL, NULL, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_window_remove(window, 0, &error), NM_OK);
    assert_int_equal(nm_window_slide(window, NULL, NULL, &error), NM_E_ARGUMENT);
    nm_window_destroy(window);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_frame_every_stride_passes),
        cmocka_unit_test(what_happened_is_seen_by_the_next_pass),
        cmocka_unit_test(agents_come_and_go),
        cmocka_unit_test(frames_keep_their_noise),
        cmocka_unit_test(agents_keep_their_noise),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
