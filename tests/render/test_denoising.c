/// Recordings of a sampling run: what is recorded, the file, the pictures, and the viewer's mode for them.
#include <sys/stat.h>
#include <unistd.h>

#include "nexus/tokens_support.h"
#include "render/denoising.h"
#include "render/headless.h"
#include "render/media.h"
#include "sim/bytes.h"
#include "tools/record_denoising.h"
#include "viewer_support.h"

enum { LEVELS = 12, AGENTS = 10, FUTURE = 8, PAST = 2, MOST = 2 * AGENTS * (PAST + 1 + FUTURE) };

/// The perfect denoiser of independent Gaussians of deviation 0.02 (4 m) about what was logged.
typedef struct logged {
    const float *mean;
    nm_snr_schedule snr;
} logged;

static nm_status predict(void *context, const nm_denoise_input *in, float *v, nm_error *error) {
    const logged *model = context;
    const double variance = 0.02 * 0.02;
    (void)error;
    for (uint32_t i = 0; i < in->count; i++) {
        const nm_noise_level n = nm_noise_level_at(model->snr, (double)in->level[i]);
        for (uint32_t c = 0; c < in->channels; c++) {
            const size_t at = (size_t)i * in->channels + c;
            const double z = (double)in->noised[at], mean = (double)model->mean[at];
            const double gain = n.alpha * variance / (n.alpha * n.alpha * variance + n.sigma * n.sigma);
            const double x0 = n.sigma > 0.0 ? mean + gain * (z - n.alpha * mean) : z;
            v[at] = n.sigma > 0.0 ? (float)((n.alpha * z - x0) / n.sigma) : 0.0f;
        }
    }
    return NM_OK;
}

/// A scene with its tokens, sampled with a schedule and recorded.
typedef struct run {
    const nm_scene *scene;
    tokens_fixture tokens;
    nm_denoising *denoising;
    uint32_t count;
    uint32_t batch[MOST], agent[MOST], time[MOST];
    uint8_t clean[MOST];
    int32_t delay[MOST];
    float values[MOST * NM_EGO_CHANNELS];
} run;

static void lay_out(run *r, uint32_t copies) {
    const nm_tokens *t = &r->tokens.tokens;
    const uint32_t times = nm_token_count(&t->config);
    for (uint32_t copy = 0; copy < copies; copy++) {
        for (uint32_t a = 0; a < t->shape.agents; a++) {
            for (uint32_t k = 0; k < times; k++) {
                const size_t from = (size_t)a * times + k;
                if (!t->valid[from]) continue;
                assert_true(r->count < MOST);
                const uint32_t n = r->count++;
                r->batch[n] = copy;
                r->agent[n] = a;
                r->time[n] = k;
                r->clean[n] = t->known[from];
                memcpy(r->values + (size_t)n * NM_EGO_CHANNELS, t->values + from * NM_EGO_CHANNELS,
                       NM_EGO_CHANNELS * sizeof(float));
            }
        }
    }
}

/// batch_scene of `copies` equal scenes is recorded.
static run *begin(const char *schedule_text, uint32_t copies, uint32_t batch_scene) {
    static const uint64_t keys[2] = {5, 6};
    run *r = calloc(1, sizeof *r);
    nm_error error;
    nm_error_clear(&error);
    assert_non_null(r);
    nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    config.past = PAST;
    config.future = FUTURE;
    config.agents = AGENTS;
    r->scene = tokens_rollout("junction_signal:density=25", 3, 60);
    nm_token_request request = nm_token_request_default(r->scene);
    request.current_step = 12;
    r->tokens = tokens_begin(r->scene, &config, &request);
    lay_out(r, copies);
    nm_schedule schedule;
    assert_int_equal(nm_schedule_parse(schedule_text, &schedule, &error), NM_OK);
    nm_schedule_delays(&schedule, LEVELS, r->count, r->time, PAST + 1, PAST + 1 + FUTURE, NULL, r->delay);
    nm_denoising_recorder *recorder;
    assert_int_equal(
        nm_denoising_recorder_create(&r->tokens.tokens, r->scene, batch_scene, schedule_text, &recorder, &error),
        NM_OK);
    nm_sampler_config sampling = nm_sampler_config_default();
    sampling.max_tokens = MOST;
    sampling.max_scenes = copies;
    sampling.channels = NM_EGO_CHANNELS;
    sampling.levels = LEVELS;
    sampling.observer = nm_denoising_recorder_observe;
    sampling.observer_context = recorder;
    nm_sampler *sampler;
    assert_int_equal(nm_sampler_create(&sampling, &sampler, &error), NM_OK);
    const nm_token_layout layout = {.count = r->count,
                                    .scene_count = copies,
                                    .scene = r->batch,
                                    .agent = r->agent,
                                    .time = r->time,
                                    .scene_key = keys};
    logged model = {.mean = r->values, .snr = sampling.snr};
    const nm_denoiser denoiser = {&model, predict};
    if (nm_sampler_begin(sampler, &layout, r->clean, r->values, r->delay, &error) != NM_OK)
        fail_msg("%s", error.message);
    if (nm_sampler_run(sampler, &denoiser, NULL, NULL, &error) != NM_OK) fail_msg("%s", error.message);
    if (nm_denoising_recorder_finish(recorder, &r->denoising, &error) != NM_OK) fail_msg("%s", error.message);
    nm_sampler_destroy(sampler);
    nm_denoising_recorder_destroy(recorder);
    return r;
}

static void end(run *r) {
    nm_denoising_destroy(r->denoising);
    tokens_end(&r->tokens);
    nm_scene_destroy(r->scene);
    free(r);
}

static void records_levels_and_places(const char *text, uint32_t copies, uint32_t batch_scene) {
    run *r = begin(text, copies, batch_scene);
    const nm_denoising *d = r->denoising;
    const uint32_t count = r->count / copies, first = batch_scene * count;
    assert_int_equal(d->tokens, count);
    assert_int_equal(d->times, PAST + 1 + FUTURE);
    assert_int_equal(d->now, PAST);
    assert_int_equal(d->passes, nm_schedule_passes(LEVELS, r->count, r->delay) + 1);
    for (uint32_t i = 0; i < d->tokens; i++) {
        const uint32_t n = first + i;
        assert_int_equal(d->track[i], r->tokens.tokens.track[r->agent[n]]);
        assert_int_equal(d->time[i], r->time[n]);
        for (uint32_t pass = 0; pass < d->passes; pass++) {
            const size_t at = (size_t)pass * d->tokens + i;
            const float level =
                r->clean[n] ? 0.0f : (float)nm_schedule_level(LEVELS, r->delay[n], pass) / (float)LEVELS;
            assert_true(fabsf(d->level[at] - level) < 1e-6f);
            assert_true(d->valid[at]);
        }
        const size_t last = (size_t)(d->passes - 1) * d->tokens + i;
        const size_t scene_at = nm_scene_at(r->scene, d->track[i], 12 + 5 * d->time[i] - 5 * PAST);
        if (!r->scene->valid[scene_at]) continue;
        const float off = hypotf(d->x[last] - r->scene->x[scene_at], d->y[last] - r->scene->y[scene_at]);
        assert_true(off < (r->clean[n] ? 0.01f : 20.0f)); // 104 m * 0.02 in each direction
        if (r->clean[n]) assert_true(fabsf(d->heading[last] - r->scene->heading[scene_at]) < 1e-3f);
    }
    end(r);
}

static void pyramid_is_recorded(void **state) {
    (void)state;
    records_levels_and_places("pyramid:2", 1, 0);
}

static void second_scene_of_a_batch_is_recorded(void **state) {
    (void)state;
    records_levels_and_places("trapezoid:2", 2, 1);
}

static void assert_same(const nm_denoising *a, const nm_denoising *b) {
    const size_t plane = (size_t)a->passes * a->tokens;
    assert_int_equal(a->tokens, b->tokens);
    assert_int_equal(a->times, b->times);
    assert_int_equal(a->passes, b->passes);
    assert_int_equal(a->now, b->now);
    assert_string_equal(a->title, b->title);
    assert_int_equal(a->scene->hash, b->scene->hash);
    assert_int_equal(a->scene->map->hash, b->scene->map->hash);
    assert_memory_equal(a->track, b->track, a->tokens * sizeof *a->track);
    assert_memory_equal(a->time, b->time, a->tokens * sizeof *a->time);
    assert_memory_equal(a->level, b->level, plane * sizeof(float));
    assert_memory_equal(a->x, b->x, plane * sizeof(float));
    assert_memory_equal(a->y, b->y, plane * sizeof(float));
    assert_memory_equal(a->heading, b->heading, plane * sizeof(float));
    assert_memory_equal(a->valid, b->valid, plane);
}

static void file_keeps_everything(void **state) {
    (void)state;
    char folder[] = "/tmp/nearmiss-denoising-XXXXXX", path[64], missing[64];
    nm_denoising *back;
    nm_error error;
    nm_error_clear(&error);
    run *r = begin("pyramid:2", 1, 0);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/run.denoising", folder);
    snprintf(missing, sizeof missing, "%s/none/run", folder);
    for (int twice = 0; twice < 2; twice++) { // over itself, too
        if (nm_denoising_write(r->denoising, path, &error) != NM_OK) fail_msg("%s", error.message);
        if (nm_denoising_read(path, &back, &error) != NM_OK) fail_msg("%s", error.message);
        assert_same(r->denoising, back);
        nm_denoising_destroy(back);
    }
    assert_int_equal(nm_denoising_read(missing, &back, &error), NM_E_NOT_FOUND);
    assert_null(back);
    assert_int_equal(nm_denoising_read(folder, &back, &error), NM_E_IO);
    assert_int_equal(nm_denoising_write(r->denoising, missing, &error), NM_E_IO);
    assert_string_equal(error.input, missing);
    char link[128]; // a link stays one, and what another run left behind is in nobody's way
    snprintf(link, sizeof link, "%s.%ld.part", path, (long)getpid());
    assert_int_equal(symlink(path, link), 0);
    if (nm_denoising_write(r->denoising, path, &error) != NM_OK) fail_msg("%s", error.message);
    if (nm_denoising_write(r->denoising, link, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(unlink(path), 0); // what the link stands for
    assert_int_equal(nm_denoising_read(link, &back, &error), NM_E_NOT_FOUND);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(mkfifo(path, 0600), 0); // a pipe that nobody writes to is not waited for
    alarm(20);
    assert_int_equal(nm_denoising_read(path, &back, &error), NM_E_IO);
    alarm(0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); // empty: nothing half-written was left
    end(r);
}

static void put32(unsigned char *bytes, size_t at, uint32_t value) {
    for (int i = 0; i < 4; i++) bytes[at + (size_t)i] = (unsigned char)(value >> 8 * i);
}

static void hostile_bytes_are_refused(void **state) {
    (void)state;
    void *whole;
    size_t size;
    nm_denoising *back;
    nm_error error;
    run *r = begin("pyramid:2", 1, 0);
    assert_int_equal(nm_denoising_encode(r->denoising, &whole, &size, &error), NM_OK);
    unsigned char *bytes = malloc(size + 1); // of exactly the size, so that a sanitizer sees reads beyond
    assert_non_null(bytes);
    for (size_t cut = 0; cut < size; cut += cut < 200 ? 1 : 997) {
        unsigned char *part = malloc(cut ? cut : 1);
        assert_non_null(part);
        memcpy(part, whole, cut);
        assert_int_equal(nm_denoising_decode(part, cut, &back, &error), NM_E_FORMAT);
        assert_null(back);
        free(part);
    }
    memcpy(bytes, whole, size);
    bytes[size] = 0;
    assert_int_equal(nm_denoising_decode(bytes, size + 1, &back, &error), NM_E_FORMAT);
    for (size_t at = 0; at < size; at += at < 130 ? 1 : 1009) { // any byte changed is noticed
        memcpy(bytes, whole, size);
        bytes[at] ^= 0x11;
        const nm_status status = nm_denoising_decode(bytes, size, &back, &error);
        assert_int_equal(status, at >= 8 && at < 12 ? NM_E_VERSION : NM_E_FORMAT);
        assert_null(back);
    }
    memcpy(bytes, whole, size);
    put32(bytes, 12, NM_DENOISING_MAX_TOKENS); // sizes that would ask for much
    put32(bytes, 24, NM_DENOISING_MAX_PASSES);
    assert_int_equal(nm_denoising_decode(bytes, size, &back, &error), NM_E_FORMAT);
    free(bytes);
    free(whole);
    end(r);
}

// Whoever writes a file can also write its hash: it is the checks of the numbers that count.
static void hostile_numbers_are_refused(void **state) {
    (void)state;
    static const struct {
        size_t field; // 0 track, 1 time; then of the last pass: 2 level, 3 x, 4 y, 5 heading
        uint32_t value;
    } bad[] = {{0, 1u << 30},    {1, 1u << 30},   {1, 5},          {2, 0x7fc00000u}, {2, 0xbf800000u},
               {2, 0x40000000u}, {3, 0x7f800000}, {3, 0x49f42400}, {4, 0x7fc00000},  {5, 0xff800000u}};
    unsigned char *bytes;
    void *whole;
    size_t size;
    nm_denoising *back;
    nm_error error;
    run *r = begin("pyramid:2", 1, 0);
    const size_t n = r->denoising->tokens, passes = r->denoising->passes;
    assert_int_equal(nm_denoising_encode(r->denoising, &whole, &size, &error), NM_OK);
    const size_t tokens = size - 8 * n - 17 * n * passes, pass = size - 17 * n;
    bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        memcpy(bytes, whole, size);
        if (i == sizeof bad / sizeof *bad)
            bytes[size - n] = 2; // neither valid nor not
        else if (bad[i].field < 2)
            put32(bytes, tokens + 4 * n * bad[i].field, bad[i].value);
        else
            put32(bytes, pass + 4 * n * (bad[i].field - 2), bad[i].value);
        const uint64_t hash = nm_hash_block(bytes + 56, size - 56, nm_hash_block(bytes + 8, 40, 0));
        put32(bytes, 48, (uint32_t)hash);
        put32(bytes, 52, (uint32_t)(hash >> 32));
        nm_error_clear(&error);
        if (nm_denoising_decode(bytes, size, &back, &error) != NM_E_FORMAT) fail_msg("number %zu is taken", i);
        assert_null(back);
        assert_int_equal(error.code, NM_E_FORMAT);
        assert_int_equal(error.offset, i < 3 ? tokens : pass);
    }
    free(bytes);
    free(whole);
    end(r);
}

static void builder_refuses_nonsense(void **state) {
    (void)state;
    nm_denoising_builder *builder;
    nm_denoising *d;
    nm_error error;
    nm_error_clear(&error);
    const nm_scene *scene = tokens_rollout("highway:vehicles=4", 1, 5);
    const uint32_t track[4] = {0, 0, 1, 0}, time[4] = {0, 1, 0, 2}, late[2] = {1, 0}, far[1] = {77};
    assert_int_equal(nm_denoising_builder_create(scene, "", 4, 3, 0, track, time, &builder, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_denoising_builder_create(scene, "", 2, 3, 0, track, late, &builder, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_denoising_builder_create(scene, "", 1, 3, 0, far, time, &builder, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_denoising_builder_create(scene, "", 2, 1, 0, track, time, &builder, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_denoising_builder_create(scene, "", 2, 3, 3, track, time, &builder, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_denoising_builder_create(scene, "", 0, 3, 0, track, time, &builder, &error), NM_E_LIMIT);
    assert_int_equal(nm_denoising_builder_create(scene, "ok", 3, 3, 0, track, time, &builder, &error), NM_OK);
    const float level[3] = {-1.0f, NAN, 7.0f}, x[3] = {1.0f, INFINITY, 2e6f}, zero[3] = {0};
    const uint8_t valid[3] = {1, 1, 1};
    for (int i = 0; i < 5; i++)
        assert_int_equal(nm_denoising_builder_add(builder, level, x, zero, zero, valid, &error), NM_OK);
    assert_int_equal(nm_denoising_builder_finish(builder, &d, &error), NM_OK);
    assert_int_equal(d->passes, 5);
    assert_true(d->level[12] == 0.0f && d->level[13] == 0.0f && d->level[14] == 1.0f);
    assert_true(d->valid[12] && !d->valid[13] && !d->valid[14] && d->x[13] == 0.0f);
    nm_denoising_destroy(d);
    assert_int_equal(nm_denoising_builder_create(scene, "", 3, 3, 0, track, time, &builder, &error), NM_OK);
    assert_int_equal(nm_denoising_builder_finish(builder, &d, &error), NM_E_ARGUMENT);
    assert_null(d);
    nm_scene_destroy(scene);
}

/// Every token that is valid is a box of its agent's size in the colour of its level.
static void drawing_shows_levels(void **state) {
    (void)state;
    run *r = begin("trapezoid:2", 1, 0);
    const nm_denoising *d = r->denoising;
    const nm_theme *theme = nm_theme_of(NM_THEME_DAY);
    nm_drawing world, screen;
    nm_drawing_init(&world, NM_SPACE_WORLD);
    nm_drawing_init(&screen, NM_SPACE_SCREEN);
    const uint32_t pass = d->passes / 2;
    nm_draw_denoising(&world, d, pass, theme);
    assert_int_equal(world.vertex_count, 6 * d->tokens);
    for (uint32_t i = 0; i < d->tokens; i++) {
        const nm_vertex *v = &world.vertices[6 * (size_t)i]; // front left, rear left, rear right, ...
        const nm_rgba wanted = nm_noise_colour(theme, d->level[(size_t)pass * d->tokens + i]);
        assert_true(v->colour.r == wanted.r && v->colour.g == wanted.g && v->colour.b == wanted.b);
        const float length = hypotf(v[0].x - v[1].x, v[0].y - v[1].y);
        assert_true(fabsf(length - fmaxf(d->scene->tracks[d->track[i]].length, 0.6f)) < 1e-3f);
    }
    const nm_denoising_panel panel = {.x = 10.0f, .y = 20.0f, .width = 300.0f, .height = 500.0f};
    nm_point least, most;
    nm_draw_denoising_panel(&screen, d, pass, &panel, theme);
    assert_true(nm_drawing_bounds(&screen, &least, &most));
    assert_true(least.x >= 10.0f && least.y >= 20.0f && most.x <= 310.0f && most.y <= 520.0f);
    const uint32_t cells = screen.vertex_count;
    nm_drawing_clear(&screen);
    nm_draw_denoising_panel(&screen, d, pass, &(nm_denoising_panel){.width = 60.0f, .height = 60.0f}, theme);
    assert_true(screen.vertex_count == 0 && cells > 0);
    nm_drawing_free(&world);
    nm_drawing_free(&screen);
    end(r);
}

/// $NM_PICTURES: a folder that keeps what is drawn here, to be looked at.
static void keep(nm_headless *headless, uint8_t *pixels, const char *name) {
    const char *folder = getenv("NM_PICTURES");
    const nm_viewport v = nm_headless_viewport(headless);
    char path[512];
    nm_error error;
    assert_int_equal(nm_headless_read(headless, pixels, &error), NM_OK);
    if (!folder) return;
    snprintf(path, sizeof path, "%s/%s.png", folder, name);
    if (nm_png_write(path, pixels, v.width, v.height, &error) != NM_OK) fail_msg("%s", error.message);
}

static void viewer_steps_through_passes(void **state) {
    (void)state;
    static const char *const schedules[] = {"pyramid:2", "trapezoid:2"};
    nm_headless *headless = NULL;
    nm_error error;
    nm_error_clear(&error);
    const int pictures = nm_headless_create(1280, 800, NULL, &headless, &error) == NM_OK;
    uint8_t *before = malloc(1280 * 800 * 4), *after = malloc(1280 * 800 * 4);
    assert_true(before && after);
    if (!pictures) printf("no pictures: %s\n", error.message);
    for (int i = 0; i < 2; i++) {
        run *r = begin(schedules[i], 1, 0);
        const uint32_t last = r->denoising->passes - 1;
        nm_viewer_config config = nm_viewer_config_default();
        config.denoising = r->denoising;
        nm_viewer *viewer;
        char name[64];
        assert_int_equal(nm_viewer_create(&config, &viewer, &error), NM_OK);
        assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_DENOISING);
        for (int k = 0; k <= 3 && pictures; k++) {
            nm_viewer_press(viewer, NM_KEY_HOME);
            while (nm_viewer_get(viewer).pass < last * (uint32_t)k / 3) nm_viewer_press(viewer, NM_KEY_RIGHT);
            if (nm_viewer_draw(viewer, nm_headless_renderer(headless), &error) != NM_OK) fail_msg("%s", error.message);
            snprintf(name, sizeof name, "denoising-%.4s-%d", schedules[i], k);
            keep(headless, k == 0 ? before : after, name);
        }
        size_t different = 0;
        for (size_t p = 0; p < 1280 * 800 && pictures; p++) different += memcmp(before + 4 * p, after + 4 * p, 4) != 0;
        assert_true(!pictures || different > 1280 * 800 / 100);
        nm_viewer_press(viewer, NM_KEY_HOME);
        nm_viewer_press(viewer, NM_KEY_LEFT);
        assert_int_equal(nm_viewer_get(viewer).pass, 0);
        nm_viewer_press(viewer, NM_KEY_SPACE);
        for (int k = 0; k < 4; k++) nm_viewer_tick(viewer, 0.125f);
        assert_int_equal(nm_viewer_get(viewer).pass, 4);
        for (int k = 0; k < 200; k++) nm_viewer_tick(viewer, 0.25f);
        assert_int_equal(nm_viewer_get(viewer).pass, last);
        assert_false(nm_viewer_get(viewer).playing);
        nm_viewer_press(viewer, NM_KEY_RIGHT);
        assert_int_equal(nm_viewer_get(viewer).pass, last);
        const nm_viewer_rect line = nm_viewer_timeline_rect(viewer);
        nm_viewer_event_handle(
            viewer, &(nm_viewer_event){.kind = NM_VIEWER_MOUSE_DOWN, .button = 1, .x = line.x, .y = line.y + 10.0f});
        assert_int_equal(nm_viewer_get(viewer).pass, 0);
        nm_viewer_destroy(viewer);
        end(r);
    }
    free(before);
    free(after);
    nm_headless_destroy(headless);
}

/// A recording shown together with a list: there and back.
static void viewer_returns_to_the_recording(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    const nm_viewer_source interface = test_source_of(&source);
    run *r = begin("pyramid:2", 1, 0);
    nm_viewer_config config = nm_viewer_config_default();
    nm_viewer *viewer;
    nm_error error;
    config.source = &interface;
    config.denoising = r->denoising;
    assert_int_equal(nm_viewer_create(&config, &viewer, &error), NM_OK);
    nm_viewer_press(viewer, NM_KEY_ESCAPE);
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_LIST);
    nm_viewer_press(viewer, NM_KEY_TAB);
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_DENOISING);
    nm_viewer_press(viewer, NM_KEY_ESCAPE);
    nm_viewer_press(viewer, NM_KEY_ENTER);
    nm_viewer_press(viewer, NM_KEY_ESCAPE);
    nm_viewer_press(viewer, NM_KEY_TAB); // a scene that is open comes first
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_SCENE);
    nm_viewer_press(viewer, 'x');
    nm_viewer_press(viewer, NM_KEY_TAB);
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_DENOISING);
    nm_viewer_destroy(viewer);
    end(r);
    test_source_end(&source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pyramid_is_recorded),
        cmocka_unit_test(second_scene_of_a_batch_is_recorded),
        cmocka_unit_test(file_keeps_everything),
        cmocka_unit_test(hostile_bytes_are_refused),
        cmocka_unit_test(hostile_numbers_are_refused),
        cmocka_unit_test(builder_refuses_nonsense),
        cmocka_unit_test(drawing_shows_levels),
        cmocka_unit_test(viewer_steps_through_passes),
        cmocka_unit_test(viewer_returns_to_the_recording),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
