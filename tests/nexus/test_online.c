/// Sampling online: frames are those of a window over a pass that is given everything anew every time, and no map is
/// encoded for them.
#include "network_support.h"

#include "nexus/online.h"
#include "nexus/pass_denoiser.h"

enum { CHANNELS = 8, HISTORY = 2, FUTURE = 3, LENGTH = HISTORY + FUTURE, MOST = 6, SCENES = 2, POINTS = 9, FRAMES = 9 };

/// Counts what encodes maps: all of the Perceiver's begin with a repetition of the latents.
static struct {
    int encodings;
    void (*repeat)(nm_backend *, nm_tensor, uint32_t, nm_tensor);
} counted;
static void count_repeat(nm_backend *backend, nm_tensor from, uint32_t times, nm_tensor to) {
    counted.encodings++;
    counted.repeat(backend, from, times, to);
}

/// An agent of the test: its numbers are made of its id.
typedef struct who {
    uint32_t scene, id, since; ///< since: frame that it was added before
} who;

typedef struct fixture {
    nm_backend *reference, backend;
    nm_ops ops;
    nm_model_config shape;
    nm_model *model;
    nm_online *online;
    nm_window *window; // the twin, by hand
    nm_pass *pass;
    float map[SCENES][POINTS * 5];
    uint8_t map_valid[SCENES][POINTS];
    uint32_t owner[SCENES][POINTS];
    nm_online_map maps[SCENES];
    who there[MOST]; ///< in the order of rows
    uint32_t count;
    int version; ///< of maps and poses
} fixture;

/// One clean value of an agent, around where a car may be.
static float value_of(uint32_t id, uint32_t frame, uint32_t c) {
    return 0.3f * random_value(id, 20 + c, frame);
}
static float condition_of(uint32_t id, uint32_t frame, uint32_t c) {
    return random_value(id, 40 + c, frame);
}
static void pose_of(const fixture *f, uint32_t id, float pose[4]) {
    const float turn = 3.0f * random_value(id, 60, (size_t)f->version);
    pose[0] = 30.0f * random_value(id, 61, (size_t)f->version);
    pose[1] = 30.0f * random_value(id, 62, (size_t)f->version);
    pose[2] = cosf(turn);
    pose[3] = sinf(turn);
}
static nm_motion motion_of(uint32_t id) {
    const double angle = 2.0 * (double)random_value(id, 70, 0);
    return (nm_motion){5.0 * (double)random_value(id, 71, 0), 5.0 * (double)random_value(id, 72, 0), cos(angle),
                       sin(angle)};
}

static void make_maps(fixture *f) {
    for (uint32_t s = 0; s < SCENES; s++) {
        const uint64_t seed = 100 + 10 * s + (uint64_t)f->version;
        for (uint32_t i = 0; i < POINTS * f->shape.map_channels; i++) f->map[s][i] = random_value(seed, 1, i);
        for (uint32_t p = 0; p < POINTS; p++) {
            f->map_valid[s][p] = random_value(seed, 2, p) > -0.6f;
            f->owner[s][p] = p % 5 * 10 + 3; // ids 3, 13, 23, 33, 43: some are there, some come, some never do
        }
        f->maps[s] = (nm_online_map){.points = POINTS - 2 * s, .map = f->map[s], .map_valid = f->map_valid[s]};
        if (f->shape.map_encoder == NM_MAP_POLYLINES) f->maps[s].owner = f->owner[s];
    }
}

static void set_up(fixture *f, int variant, int reuse) {
    nm_error error;
    *f = (fixture){.shape = small_config(variant)};
    f->shape.channels = CHANNELS;
    assert_int_equal(nm_backend_create_reference(&f->reference, &error), NM_OK);
    f->ops = *f->reference->ops;
    f->backend = *f->reference;
    f->backend.ops = &f->ops;
    counted.repeat = f->ops.repeat;
    f->ops.repeat = count_repeat;
    assert_int_equal(nm_model_create(&f->shape, &f->backend, 1, &f->model, &error), NM_OK);
    randomise_model(f->model, 5);
    nm_online_config config = nm_online_config_default();
    config.window.max_rows = MOST;
    config.window.max_scenes = SCENES;
    config.window.history = HISTORY;
    config.window.future = FUTURE;
    config.window.stride = 2;
    config.window.sampler.clip = 1.5f;
    config.window.sampler.seed = 8;
    config.max_points = SCENES * POINTS;
    config.reuse.on = reuse;
    if (nm_online_create(f->model, &config, &f->online, &error)) fail_msg("%s", error.message);
    config.window.sampler.channels = CHANNELS;
    assert_int_equal(nm_window_create(&config.window, &f->window, &error), NM_OK);
    const nm_batch_capacity capacity = {SCENES, MOST * LENGTH, SCENES * POINTS};
    assert_int_equal(nm_pass_create(f->model, &capacity, 0, &f->pass, &error), NM_OK);
    const uint64_t keys[SCENES] = {5, 6};
    make_maps(f);
    counted.encodings = 0;
    if (nm_online_begin(f->online, SCENES, keys, f->maps, 100, &error)) fail_msg("%s", error.message);
    assert_int_equal(counted.encodings, variant < 2);
    assert_int_equal(nm_window_begin(f->window, SCENES, keys, 100, &error), NM_OK);
}

static void tear_down(fixture *f) {
    nm_online_destroy(f->online);
    nm_window_destroy(f->window);
    nm_pass_destroy(f->pass);
    nm_model_destroy(f->model);
    nm_backend_destroy(f->reference);
}

static int before(const who *a, const who *b) {
    return a->scene != b->scene ? a->scene < b->scene : a->id < b->id;
}

/// Adds agents before frame `frame` to both.
static void add(fixture *f, const who *who_comes, uint32_t count, uint32_t frame) {
    nm_window_row rows[MOST];
    float history[MOST][HISTORY * CHANNELS], guess[MOST][FUTURE * CHANNELS], pose[MOST * 4];
    float condition[MOST * LENGTH * 2];
    uint8_t valid[MOST][HISTORY];
    for (uint32_t i = 0; i < count; i++) {
        who w = who_comes[i];
        w.since = frame;
        for (uint32_t k = 0; k < HISTORY * CHANNELS; k++)
            history[i][k] = value_of(w.id, frame + k / CHANNELS, k % CHANNELS);
        for (uint32_t k = 0; k < FUTURE * CHANNELS; k++) guess[i][k] = value_of(w.id, frame + 9, k);
        for (uint32_t h = 0; h < HISTORY; h++) valid[i][h] = w.id % 20 != 3 || h; // 3, 23, 43: seen late
        for (uint32_t k = 0; k < LENGTH * f->shape.conditions; k++)
            condition[i * LENGTH * f->shape.conditions + k] =
                condition_of(w.id, frame + k / f->shape.conditions, k % f->shape.conditions);
        pose_of(f, w.id, pose + 4 * i);
        rows[i] = (nm_window_row){.scene = w.scene, .id = w.id, .history = history[i], .valid = valid[i]};
        if (w.id % 20 == 13) rows[i].guess = guess[i];
        uint32_t at = f->count++;
        for (; at > 0 && before(&w, &f->there[at - 1]); at--) f->there[at] = f->there[at - 1];
        f->there[at] = w;
    }
    nm_error error;
    const int has_pose = f->shape.pose_bias, has_conditions = f->shape.conditions > 0;
    if (nm_online_add(f->online, rows, has_conditions ? condition : NULL, has_pose ? pose : NULL, count, &error))
        fail_msg("%s", error.message);
    assert_int_equal(nm_window_add(f->window, rows, count, &error), NM_OK);
}

/// The twin's passes, with scenes, conditions and poses made from nothing.
static void pass_by_hand(fixture *f, uint32_t frame) {
    uint8_t valid[MOST * LENGTH];
    uint32_t owner[SCENES][POINTS];
    nm_token_scene scenes[SCENES];
    float condition[MOST * LENGTH * 2], pose[MOST * LENGTH * 4];
    nm_error error;
    for (uint32_t s = 0; s < SCENES; s++) {
        uint32_t first = 0, agents = 0;
        while (first < f->count && f->there[first].scene < s) first++;
        while (first + agents < f->count && f->there[first + agents].scene == s) agents++;
        for (uint32_t p = 0; p < POINTS; p++) {
            owner[s][p] = NM_NO_AGENT;
            for (uint32_t a = 0; a < agents; a++)
                if (f->there[first + a].id == f->owner[s][p]) owner[s][p] = a;
        }
        scenes[s] = (nm_token_scene){.agents = agents,
                                     .steps = LENGTH,
                                     .valid = valid + first * LENGTH,
                                     .points = f->maps[s].points,
                                     .map = f->map[s],
                                     .map_valid = f->map_valid[s],
                                     .map_agent = f->maps[s].owner ? owner[s] : NULL};
    }
    for (uint32_t row = 0; row < f->count; row++) {
        for (uint32_t p = 0; p < LENGTH; p++) {
            const uint32_t token = nm_window_token(f->window, row, (int32_t)p - HISTORY);
            valid[row * LENGTH + p] = token != NM_TOKEN_NEW;
            if (token == NM_TOKEN_NEW) continue;
            const who *w = &f->there[row];
            const uint32_t latest = w->since + LENGTH - 1, at = frame + p < latest ? frame + p : latest;
            for (uint32_t c = 0; c < f->shape.conditions; c++)
                condition[token * f->shape.conditions + c] = condition_of(w->id, at, c);
            pose_of(f, w->id, pose + 4 * token);
        }
    }
    assert_int_equal(nm_pass_set_scenes(f->pass, scenes, SCENES, &error), NM_OK);
    nm_pass_denoiser context = {.pass = f->pass, .condition = condition, .pose = pose};
    const nm_denoiser denoiser = nm_denoiser_of_pass(&context);
    while (!nm_window_ready(f->window)) {
        if (nm_window_pass(f->window, &denoiser, NULL, NULL, &error)) fail_msg("%s", error.message);
    }
}

/// What happens in frame `frame`: states that were not foreseen, one who leaves (3), and frames that move (5).
typedef struct event {
    float actual[MOST * CHANNELS], pose[MOST * 4];
    uint8_t alive[MOST];
    nm_motion motions[MOST];
    nm_online_frame frame;
} event;
static void make_event(fixture *f, uint32_t frame, event *e) {
    const int moves = frame == 5 || frame == 6;
    f->version += moves;
    e->frame = (nm_online_frame){0};
    for (uint32_t row = 0; row < f->count; row++) {
        const uint32_t id = f->there[row].id;
        for (uint32_t c = 0; c < CHANNELS; c++) e->actual[row * CHANNELS + c] = value_of(id, 50 + frame, c);
        e->alive[row] = !(frame == 3 && id == 13);
        e->motions[row] = motion_of(id + frame);
        pose_of(f, id, e->pose + row * 4);
    }
    if (frame != 2) e->frame.actual = e->actual;
    if (frame >= 3) e->frame.alive = e->alive;
    if (moves) e->frame.motions = e->motions;
    if (moves) e->frame.pose = e->pose;
}

/// Frames move before the window does, so that the noise of the frame that is pushed is in the new ones.
static void slide_by_hand(fixture *f, uint32_t frame, const event *e) {
    const nm_state_encoding published = nm_state_encoding_published();
    float actual[MOST * CHANNELS];
    nm_error error;
    memcpy(actual, e->actual, sizeof actual);
    for (uint32_t row = 0; row < f->count && e->frame.motions; row++)
        nm_state_encoding_move(&published, &e->motions[row], 1.0, actual + row * CHANNELS);
    if (e->frame.motions) assert_int_equal(nm_window_reframe(f->window, &published, e->motions, &error), NM_OK);
    const float *happened = e->frame.actual ? actual : NULL;
    assert_int_equal(nm_window_slide(f->window, happened, e->frame.alive, &error), NM_OK);
    uint32_t made = 0;
    for (uint32_t row = 0; row < f->count; row++) {
        if (!e->frame.alive || e->alive[row]) f->there[made++] = f->there[row];
    }
    assert_int_equal(made == f->count, frame != 3);
    f->count = made;
}

/// States, motions and maps that are none are refused, and nothing has changed.
static void try_bad(fixture *f, const event *e) {
    static event bad;
    float values[MOST * CHANNELS];
    uint8_t present[MOST];
    nm_error error;
    const uint64_t passes = nm_sampler_get(nm_window_sampler(nm_online_window(f->online))).passes;
    for (int i = 0; i < 3; i++) {
        bad = *e;
        bad.frame.actual = bad.actual;
        bad.frame.motions = bad.motions;
        if (i == 0) bad.actual[CHANNELS * (f->count - 1)] = NAN;
        if (i == 1) bad.motions[0].cos_h += 0.5;
        if (i == 2) bad.motions[0].x = 1e300;
        assert_int_equal(nm_online_step(f->online, &bad.frame, NULL, NULL, values, present, &error), NM_E_NUMERIC);
    }
    assert_true(passes == nm_sampler_get(nm_window_sampler(nm_online_window(f->online))).passes);
}

static void check_variant(int variant, int reuse) {
    static fixture f;
    set_up(&f, variant, reuse);
    const who first[3] = {{0, 13, 0}, {1, 3, 0}, {0, 3, 0}}, later[2] = {{0, 5, 0}, {1, 13, 0}}, last[1] = {{0, 33, 0}};
    add(&f, first, 3, 0);
    int encodings = variant < 2;
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        static event e;
        nm_error error;
        if (frame == 2) add(&f, later, 2, frame - 1);
        if (frame == 4) add(&f, last, 1, frame - 1);
        if (frame == 7) {
            assert_int_equal(nm_online_remove(f.online, 1, &error), NM_OK);
            assert_int_equal(nm_window_remove(f.window, 1, &error), NM_OK);
            for (uint32_t row = 1; row + 1 < f.count; row++) f.there[row] = f.there[row + 1];
            f.count--;
        }
        if (frame) {
            make_event(&f, frame, &e);
            if (e.frame.motions) { // maps in the new frames
                make_maps(&f);
                counted.encodings = 0;
                assert_int_equal(nm_online_set_maps(f.online, f.maps, &error), NM_OK);
                assert_int_equal(counted.encodings, encodings);
            }
            if (frame == 4) try_bad(&f, &e);
            slide_by_hand(&f, frame, &e);
        }
        float values[MOST * CHANNELS], expected[MOST * CHANNELS];
        uint8_t present[MOST], expected_present[MOST];
        counted.encodings = 0;
        if (nm_online_step(f.online, &e.frame, NULL, NULL, values, present, &error)) fail_msg("%s", error.message);
        assert_int_equal(counted.encodings, 0);
        pass_by_hand(&f, frame);
        assert_int_equal(counted.encodings, encodings);
        nm_window_frame(f.window, expected, expected_present);
        assert_int_equal(nm_window_rows(nm_online_window(f.online)), f.count);
        assert_memory_equal(present, expected_present, f.count);
        if (memcmp(values, expected, f.count * CHANNELS * sizeof *values) != 0)
            fail_msg("variant %d, reuse %d, frame %u is not that of the passes by hand", variant, reuse, frame);
    }
    assert_int_equal(f.count, 3);
    tear_down(&f);
}

static void frames_are_those_of_passes_by_hand(void **state) {
    (void)state;
    for (int variant = 0; variant < 3; variant++) check_variant(variant, 0);
}

/// Nothing that passes keep is out of date when agents come and go, frames move, or what happened takes the place of
/// what was foreseen.
static void frames_are_the_same_where_passes_keep_what_is_the_same(void **state) {
    (void)state;
    for (int variant = 0; variant < 3; variant++) check_variant(variant, 1);
}

/// A pass that fails leaves what happened as history, and the next call goes on.
static nm_status stubborn(void *context, const nm_denoise_input *in, float *x0, nm_error *error) {
    (void)in;
    (void)x0;
    int *calls = context;
    return ++*calls == 2 ? NM_ERROR(error, NM_E_BUSY, "not now") : NM_OK;
}

static void a_failed_pass_is_made_up_for(void **state) {
    (void)state;
    static fixture f;
    set_up(&f, 1, 0);
    const who first[2] = {{0, 13, 0}, {1, 3, 0}};
    add(&f, first, 2, 0);
    float values[2][MOST * CHANNELS];
    uint8_t present[MOST];
    nm_error error;
    nm_online *other;
    for (int k = 0; k < 2; k++) { // once without and once with a failure
        static event e;
        f.version = 0;
        if (k == 1) {
            const uint64_t keys[SCENES] = {5, 6};
            assert_int_equal(nm_online_begin(f.online, SCENES, keys, f.maps, 100, &error), NM_OK);
            assert_int_equal(nm_window_begin(f.window, SCENES, keys, 100, &error), NM_OK);
            f.count = 0;
            add(&f, first, 2, 0);
        }
        for (uint32_t frame = 0; frame < 4; frame++) {
            int calls = k == 1 && frame == 2 ? 0 : 100;
            if (frame) make_event(&f, 1, &e);
            nm_status status = nm_online_step(f.online, &e.frame, stubborn, &calls, values[k], present, &error);
            if (calls < 100) {
                assert_int_equal(status, NM_E_BUSY);
                assert_int_equal(calls, 2);
                status = nm_online_step(f.online, &e.frame, stubborn, &calls, values[k], present, &error);
            }
            assert_int_equal(status, NM_OK);
        }
    }
    assert_memory_equal(values[0], values[1], 2 * CHANNELS * sizeof(float));

    // nothing goes on without maps
    const nm_online_map kept = f.maps[1];
    f.maps[1].points = SCENES * POINTS;
    assert_int_equal(nm_online_set_maps(f.online, f.maps, &error), NM_E_LIMIT);
    assert_int_equal(nm_online_step(f.online, NULL, NULL, NULL, values[0], present, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "no maps"));
    f.maps[1] = kept;
    assert_int_equal(nm_online_set_maps(f.online, f.maps, &error), NM_OK);
    assert_int_equal(nm_online_step(f.online, NULL, NULL, NULL, values[0], present, &error), NM_OK);
    nm_online_config config = nm_online_config_default();
    assert_int_equal(nm_online_create(f.model, &config, &other, &error), NM_E_ARGUMENT);
    assert_null(other);
    tear_down(&f);
}

/// A goal is kept until it is popped; a row's conditions may be told anew; the last frame is the last.
static void what_is_told_is_kept(void **state) {
    (void)state;
    static fixture f;
    set_up(&f, 1, 0);
    const uint64_t keys[SCENES] = {5, 6};
    const uint32_t last = NM_NOISE_MAX_FRAME + 1 - LENGTH;
    nm_error error;
    float values[2 * CHANNELS], other[2 * CHANNELS];
    uint8_t present[2];
    const float goal[CHANNELS] = {0.5f, 0.25f};
    const who first[1] = {{0, 3, 0}};
    float condition[LENGTH * 2];
    for (int k = 0; k < 2; k++) {
        assert_int_equal(nm_online_begin(f.online, SCENES, keys, f.maps, last - 2, &error), NM_OK);
        assert_int_equal(nm_window_begin(f.window, SCENES, keys, last - 2, &error), NM_OK);
        f.count = 0;
        add(&f, first, 1, 0);
        for (uint32_t i = 0; i < LENGTH * 2; i++) condition[i] = k ? 0.5f : condition_of(3, i / 2, i % 2);
        nm_online_set_condition(f.online, 0, condition);
        assert_int_equal(nm_online_step(f.online, NULL, NULL, NULL, k ? other : values, present, &error), NM_OK);
    }
    assert_memory_not_equal(values, other, CHANNELS * sizeof *values);
    assert_int_equal(nm_online_overwrite(f.online, 0, 2, goal, &error), NM_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(nm_online_step(f.online, NULL, NULL, NULL, values, present, &error), NM_OK);
    assert_memory_equal(values, goal, sizeof goal);
    assert_int_equal(nm_online_step(f.online, NULL, NULL, NULL, values, present, &error), NM_E_ARGUMENT);
    tear_down(&f);
}

/// Rows that go make room, whichever way they go.
static void rows_make_room_for_others(void **state) {
    (void)state;
    static fixture f;
    set_up(&f, 1, 0);
    nm_error error;
    float values[MOST * CHANNELS];
    uint8_t present[MOST];
    const uint8_t alive[2] = {1, 0};
    const nm_online_frame leaves = {.alive = alive};
    const who stays[1] = {{0, 3, 0}}, comes[1] = {{1, 5, 0}};
    add(&f, stays, 1, 0);
    assert_int_equal(nm_online_step(f.online, NULL, NULL, NULL, values, present, &error), NM_OK);
    for (int i = 0; i < 3 * MOST; i++) {
        add(&f, comes, 1, 1);
        if (i % 2)
            assert_int_equal(nm_online_remove(f.online, 1, &error), NM_OK);
        else
            assert_int_equal(nm_online_step(f.online, &leaves, NULL, NULL, values, present, &error), NM_OK);
        assert_int_equal(nm_window_remove(f.window, 1, &error), NM_OK);
        assert_int_equal(nm_window_rows(nm_online_window(f.online)), 1);
        f.count = 1;
    }
    tear_down(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_those_of_passes_by_hand),
        cmocka_unit_test(frames_are_the_same_where_passes_keep_what_is_the_same),
        cmocka_unit_test(a_failed_pass_is_made_up_for),
        cmocka_unit_test(what_is_told_is_kept),
        cmocka_unit_test(rows_make_room_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
