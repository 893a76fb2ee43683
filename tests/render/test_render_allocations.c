/// Memory runs out at every allocation in turn: what makes pictures, films and recordings says so, leaves nothing
/// behind and never hands out a picture that lacks something.
///
/// The linker sends the allocations of the project's code here, not those of the libraries it stands on.
#include "render/support_gl.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>

#include "render/denoising.h"
#include "render/picture.h"
#include "render/stage.h"
#include "sim/builtin.h"

#define WIDTH 320
#define HEIGHT 240

void *__real_malloc(size_t size);                          // NOLINT
void *__real_calloc(size_t count, size_t size);            // NOLINT
void *__real_realloc(void *memory, size_t size);           // NOLINT
void *__real_aligned_alloc(size_t alignment, size_t size); // NOLINT
void *__wrap_aligned_alloc(size_t alignment, size_t size); // NOLINT
void __real_free(void *memory);                            // NOLINT
void *__wrap_malloc(size_t size);                          // NOLINT
void *__wrap_calloc(size_t count, size_t size);            // NOLINT
void *__wrap_realloc(void *memory, size_t size);           // NOLINT
void __wrap_free(void *memory);                            // NOLINT

static long left = LONG_MAX; ///< allocations that still succeed
static long live;            ///< blocks not freed yet
static int only_one;         ///< 1: a single allocation fails, the next ones succeed again
static int refused;          ///< one has failed

static int may_allocate(void) {
    if (left-- > 0 || (only_one && refused)) return 1;
    refused = 1;
    errno = ENOMEM;
    return 0;
}
static void *counted(void *memory) {
    live += memory != NULL;
    return memory;
}
void *__wrap_malloc(size_t size) {
    return may_allocate() ? counted(__real_malloc(size)) : NULL;
}
void *__wrap_calloc(size_t count, size_t size) {
    return may_allocate() ? counted(__real_calloc(count, size)) : NULL;
}
void *__wrap_realloc(void *memory, size_t size) {
    if (!may_allocate()) return NULL;
    return memory ? __real_realloc(memory, size) : counted(__real_malloc(size));
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return may_allocate() ? counted(__real_aligned_alloc(alignment, size)) : NULL;
}
void __wrap_free(void *memory) {
    live -= memory != NULL;
    __real_free(memory);
}

typedef nm_status trial(nm_error *error);

/// Runs a trial in which ever later allocations fail, alone or with all that follow, until there are none left to fail.
static void fail_everywhere(trial *run, int least) {
    for (only_one = 0; only_one < 2; only_one++) {
        int i = 0;
        do {
            nm_error error;
            nm_error_clear(&error);
            const long before = live;
            refused = 0;
            left = i;
            const nm_status status = run(&error);
            left = LONG_MAX;
            if (live != before) fail_msg("%ld blocks are left after failure %d: %s", live - before, i, error.message);
            if (status != NM_E_MEMORY && (refused || status != NM_OK))
                fail_msg("failure %d is told as %s: %s", i, nm_status_name(status), error.message);
            assert_int_equal(error.code, status);
            assert_true(++i < 1000);
        } while (refused);
        assert_true(i > least);
    }
}

// --- files -----------------------------------------------------------------------------------------------------------

static char path[64];
static uint8_t pixels[4 * WIDTH * HEIGHT];

static nm_status write_png(nm_error *error) {
    return nm_png_write(path, pixels, WIDTH, HEIGHT, error);
}

static nm_status read_png(nm_error *error) {
    uint8_t *rgba;
    int width, height;
    const nm_status status = nm_png_read(path, &rgba, &width, &height, error);
    assert_true((rgba != NULL) == (status == NM_OK));
    free(rgba);
    return status;
}

static nm_status write_film(nm_error *error) {
    nm_film *film;
    nm_status status = nm_film_open(path, WIDTH, HEIGHT, 25, 1, &film, error);
    assert_true((film != NULL) == (status == NM_OK));
    if (status != NM_OK) return status;
    status = nm_film_add(film, pixels, error);
    if (status == NM_OK) return nm_film_close(film, error);
    nm_film_abandon(film);
    return status;
}

static void files(void **state) {
    (void)state;
    char folder[] = "/tmp/nearmiss-memory-XXXXXX";
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a", folder);
    fail_everywhere(write_png, 4);
    fail_everywhere(read_png, 4);
    fail_everywhere(write_film, 4);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); // nothing half-written is in it
}

/// The encoder fails at one frame and would take the next one.
static int lost_frame = -1;
int __real_avcodec_send_frame(AVCodecContext *context, const AVFrame *frame); // NOLINT
int __wrap_avcodec_send_frame(AVCodecContext *context, const AVFrame *frame); // NOLINT
int __wrap_avcodec_send_frame(AVCodecContext *context, const AVFrame *frame) {
    return lost_frame >= 0 && lost_frame-- == 0 ? AVERROR_EXTERNAL : __real_avcodec_send_frame(context, frame);
}

static void a_lost_frame_spoils_the_film(void **state) {
    (void)state;
    nm_film *film;
    nm_error error;
    snprintf(path, sizeof path, "/tmp/nearmiss-lost-%ld.mp4", (long)getpid());
    CHECK_OK(nm_film_open(path, WIDTH, HEIGHT, 25, 1, &film, &error), error);
    lost_frame = 1;
    CHECK_OK(nm_film_add(film, pixels, &error), error);
    assert_int_equal(nm_film_add(film, pixels, &error), NM_E_UNSUPPORTED);
    assert_int_equal(lost_frame, -1);
    assert_int_equal(nm_film_add(film, pixels, &error), NM_E_UNSUPPORTED);
    assert_int_equal(nm_film_close(film, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "frame 2"));
    assert_int_equal(access(path, F_OK), -1);
}

// --- pictures --------------------------------------------------------------------------------------------------------

static stage street;
static nm_headless *headless;
static uint8_t wanted[4 * WIDTH * HEIGHT];

static nm_status create_headless(nm_error *error) {
    nm_headless *other;
    const nm_status status = nm_headless_create(16, 16, "software", &other, error);
    assert_true((other != NULL) == (status == NM_OK));
    nm_headless_destroy(other);
    return status;
}

/// A renderer of its own, so that nothing is there yet.
static nm_status draw(nm_error *error) {
    nm_picture_options options = nm_picture_options_default();
    nm_picture *picture = NULL;
    nm_renderer *renderer = NULL;
    options.frame.labels = 2;
    nm_status status = nm_picture_create(&street.scene, &options, "title", &picture, error);
    if (status == NM_OK) status = nm_renderer_create(&renderer, error);
    if (status == NM_OK) status = nm_picture_draw(picture, renderer, nm_headless_viewport(headless), 0, NULL, error);
    nm_renderer_destroy(renderer);
    nm_picture_destroy(picture);
    if (status != NM_OK) return status;
    assert_int_equal(nm_headless_read(headless, pixels, error), NM_OK);
    if (left > LONG_MAX / 2) memcpy(wanted, pixels, sizeof wanted);
    assert_memory_equal(pixels, wanted, sizeof wanted); // whole, or not at all
    return NM_OK;
}

static void pictures(void **state) {
    (void)state;
    nm_error error;
    headless = nm_test_headless(WIDTH, HEIGHT);
    if (!headless) skip();
    street = stage_of(nm_test_road(200), 8, 3);
    for (uint32_t i = 0; i < 8; i++) stage_drive(&street, i, 12 * (float)i, 0, 0, 5);
    street.scene.ego = 3;
    CHECK_OK(draw(&error), error);
    fail_everywhere(draw, 20);
    nm_headless_destroy(headless);
    fail_everywhere(create_headless, 4);
    stage_strike(&street);
}

// --- recordings ------------------------------------------------------------------------------------------------------

static const nm_scene *scene;

static nm_status record(nm_error *error) {
    static const uint32_t track[2] = {0, 1}, time[2] = {0, 0};
    static const float level[2] = {1, 0.5f}, place[2] = {1, 2};
    static const uint8_t valid[2] = {1, 1};
    nm_denoising_builder *builder;
    nm_denoising *denoising = NULL, *back = NULL;
    void *bytes = NULL;
    size_t size;
    nm_status status = nm_denoising_builder_create(scene, "run", 2, 1, 0, track, time, &builder, error);
    for (int i = 0; i < 5 && status == NM_OK; i++)
        status = nm_denoising_builder_add(builder, level, place, place, place, valid, error);
    if (status == NM_OK)
        status = nm_denoising_builder_finish(builder, &denoising, error);
    else
        nm_denoising_builder_destroy(builder);
    if (status == NM_OK) status = nm_denoising_encode(denoising, &bytes, &size, error);
    if (status == NM_OK) status = nm_denoising_decode(bytes, size, &back, error);
    assert_true((back != NULL) == (status == NM_OK));
    free(bytes);
    nm_denoising_destroy(denoising);
    nm_denoising_destroy(back);
    return status;
}

static void recordings(void **state) {
    (void)state;
    nm_error error;
    CHECK_OK(nm_builtin_scene("highway:vehicles=4", 1, &scene, &error), error);
    fail_everywhere(record, 20);
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(files), cmocka_unit_test(a_lost_frame_spoils_the_film),
                                       cmocka_unit_test(pictures), cmocka_unit_test(recordings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
