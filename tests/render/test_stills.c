/// Pictures of the built-in maps against golden ones, by structure (SSIM); and of recorded scenes against what was to
/// be drawn.
///
/// NM_WRITE_GOLDEN=1 writes the golden pictures anew: look at each of them before committing it.
#include "render/support_gl.h"

#include <sys/stat.h>

#include "dataset/import.h"
#include "render/picture.h"
#include "sim/builtin.h"

#define WIDTH 480
#define HEIGHT 270
// Another driver smooths edges differently: no window falls below the bar for that. What does not pass is a car that is
// missing, a picture moved by a pixel or two, or another grey of the road: see pictures_differ.
#define MOST_DIFFERENCE 1.0
#define MOST_UNLIKE 0.005

static const nm_scene *builtin(nm_builtin_kind kind) {
    char spec[160];
    const nm_scene *scene = NULL;
    nm_error error;
    const int people = kind == NM_BUILTIN_CROSSWALK || kind == NM_BUILTIN_JUNCTION_SIGNAL;
    snprintf(spec, sizeof spec, "%s:density=25%s", nm_builtin_name(kind), people ? ",pedestrians=8" : "");
    CHECK_OK(nm_builtin_scene(spec, 7, &scene, &error), error);
    return scene;
}

static void draw(nm_headless *headless, const nm_scene *scene, const nm_picture_options *options, float step,
                 uint8_t *pixels) {
    nm_picture *picture = NULL;
    nm_error error;
    nm_error_clear(&error);
    CHECK_OK(nm_picture_create(scene, options, "golden", &picture, &error), error);
    nm_camera camera = nm_camera_default(); // on the middle of the built-in maps
    camera.span = options->span;
    const nm_camera *own = options->span > 0 && options->camera == NM_CAMERA_BIRD ? &camera : NULL;
    CHECK_OK(
        nm_picture_draw(picture, nm_headless_renderer(headless), nm_headless_viewport(headless), step, own, &error),
        error);
    CHECK_OK(nm_headless_read(headless, pixels, &error), error);
    nm_picture_destroy(picture);
}

static nm_picture_options options_for(int kind) {
    nm_picture_options options = nm_picture_options_default();
    options.theme = kind % 2 ? NM_THEME_DARK : NM_THEME_DAY;
    options.camera = kind == NM_BUILTIN_T_JUNCTION ? NM_CAMERA_CHASE : NM_CAMERA_BIRD;
    options.span = 80.0f;
    options.panel = 0;
    options.layers &= ~(1u << NM_LAYER_LABELS | 1u << NM_LAYER_PANEL); // no text: machines have other fonts
    return options;
}

static int is_like(nm_test_likeness like) {
    return like.difference <= MOST_DIFFERENCE && like.unlike <= MOST_UNLIKE;
}

static void golden_pictures(void **state) {
    (void)state;
    nm_headless *headless = nm_test_headless(WIDTH, HEIGHT);
    if (!headless) skip();
    uint8_t *pixels = malloc(4 * WIDTH * HEIGHT);
    nm_error error;
    nm_error_clear(&error);
    for (int kind = 0; kind < NM_BUILTIN_COUNT; kind++) {
        char path[512];
        const nm_scene *scene = builtin((nm_builtin_kind)kind);
        const nm_picture_options options = options_for(kind);
        draw(headless, scene, &options, 0.0f, pixels);
        nm_scene_destroy(scene);
        snprintf(path, sizeof path, "%s/tests/render/golden/%s.png", NM_SOURCE_DIR,
                 nm_builtin_name((nm_builtin_kind)kind));
        if (getenv("NM_WRITE_GOLDEN")) CHECK_OK(nm_png_write(path, pixels, WIDTH, HEIGHT, &error), error);
        struct stat file;
        assert_int_equal(stat(path, &file), 0);
        assert_true(file.st_size < 30000);
        uint8_t *golden = NULL;
        int width, height;
        CHECK_OK(nm_png_read(path, &golden, &width, &height, &error), error);
        assert_int_equal(width, WIDTH);
        assert_int_equal(height, HEIGHT);
        const nm_test_likeness like = nm_test_compare(pixels, golden, WIDTH, HEIGHT);
        free(golden);
        if (is_like(like)) continue;
        snprintf(path, sizeof path, "not_golden_%s.png", nm_builtin_name((nm_builtin_kind)kind));
        nm_png_write(path, pixels, WIDTH, HEIGHT, NULL);
        fail_msg("%s differs from its golden picture: mean difference %.2f (at most %.2f), %.2f %% of it unlike "
                 "(at most %.2f); see %s",
                 nm_builtin_name((nm_builtin_kind)kind), like.difference, MOST_DIFFERENCE, 100 * like.unlike,
                 100 * MOST_UNLIKE, path);
    }
    free(pixels);
    nm_headless_destroy(headless);
}

/// The comparison sees what matters: it would be no test of pictures otherwise.
static void pictures_differ(void **state) {
    (void)state;
    nm_headless *headless = nm_test_headless(WIDTH, HEIGHT);
    if (!headless) skip();
    uint8_t *one = malloc(4 * WIDTH * HEIGHT), *other = malloc(4 * WIDTH * HEIGHT);
    const nm_scene *scene = builtin(NM_BUILTIN_JUNCTION_SIGNAL);
    nm_picture_options options = options_for(0);
    draw(headless, scene, &options, 0.0f, one);
    draw(headless, scene, &options, 0.0f, other);
    assert_memory_equal(one, other, 4 * WIDTH * HEIGHT);

    assert_true(is_like(nm_test_compare(one, other, WIDTH, HEIGHT)));

    options.layers &= ~(1u << NM_LAYER_AGENTS);
    draw(headless, scene, &options, 0.0f, other);
    assert_false(is_like(nm_test_compare(one, other, WIDTH, HEIGHT)));
    options = options_for(0);
    options.layers &= ~(1u << NM_LAYER_MARKINGS);
    draw(headless, scene, &options, 0.0f, other);
    assert_false(is_like(nm_test_compare(one, other, WIDTH, HEIGHT)));
    options = options_for(0);
    options.span = 82.0f; // everything a little elsewhere
    draw(headless, scene, &options, 0.0f, other);
    assert_false(is_like(nm_test_compare(one, other, WIDTH, HEIGHT)));
    for (int y = 100; y < 108; y++) // one car's place
        memset(one + 4 * (y * WIDTH + 300), 128, 4 * 16);
    options = options_for(0);
    draw(headless, scene, &options, 0.0f, other);
    assert_false(is_like(nm_test_compare(one, other, WIDTH, HEIGHT)));
    nm_scene_destroy(scene);
    free(one);
    free(other);
    nm_headless_destroy(headless);
}

// --- recorded scenes: their pictures stay here -----------------------------------------------------------------------

static nm_status keep_first(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    const nm_scene **kept = context;
    (void)input;
    (void)record;
    (void)error;
    if (*kept)
        nm_scene_destroy(scene);
    else
        *kept = scene;
    return NM_OK;
}
static void ignore(void *context, const nm_error *error) {
    (void)context;
    (void)error;
}

/// Of the agents' middles in the picture, nearly all show the colour of an agent instead of what is below it.
static void agents_are_where_they_should(const char *data) {
    char path[512];
    if (!nm_test_have(path, sizeof path, data)) skip();
    nm_headless *headless = nm_test_headless(1280, 720);
    if (!headless) skip();
    const nm_scene *scene = NULL;
    nm_error error;
    nm_error_clear(&error);
    nm_importer *importer = nm_importer_create(NULL);
    CHECK_OK(nm_import_file(importer, path, keep_first, ignore, &scene, NULL, &error), error);
    nm_importer_destroy(importer);
    assert_non_null(scene);

    uint8_t *with = malloc(4 * 1280 * 720), *without = malloc(4 * 1280 * 720);
    nm_picture_options options = nm_picture_options_default();
    options.panel = 0;
    options.follow = NM_FOLLOW_NONE;
    options.layers = 1u << NM_LAYER_GROUND | 1u << NM_LAYER_EDGES | 1u << NM_LAYER_MARKINGS | 1u << NM_LAYER_AGENTS;
    const float step = (float)scene->current_step;
    draw(headless, scene, &options, step, with);
    options.layers &= ~(1u << NM_LAYER_AGENTS);
    draw(headless, scene, &options, step, without);

    nm_picture *picture = NULL;
    CHECK_OK(nm_picture_create(scene, &options, NULL, &picture, &error), error);
    const nm_camera camera = nm_picture_camera(picture, step, 1280, 720);
    uint32_t inside = 0, seen = 0;
    for (uint32_t k = 0; k < scene->track_count; k++) {
        const size_t at = nm_scene_at(scene, k, scene->current_step);
        float x, y;
        if (!scene->valid[at]) continue;
        if (!nm_camera_project(&camera, 1280, 720, (nm_point){scene->x[at], scene->y[at], 0}, &x, &y)) continue;
        if (x < 2 || y < 2 || x > 1277 || y > 717) continue;
        inside++;
        for (int d = 0, found = 0; d < 9 && !found; d++) { // the camera was moved to a whole pixel
            const size_t pixel = 4 * ((size_t)((int)y + d / 3 - 1) * 1280 + (size_t)((int)x + d % 3 - 1));
            found = memcmp(with + pixel, without + pixel, 3) != 0;
            seen += (uint32_t)found;
        }
    }
    printf("%s: %u agents in the picture, %u seen\n", data, inside, seen);
    assert_true(inside >= 3);
    assert_true(seen * 100 >= inside * 95);
    nm_picture_destroy(picture);
    nm_scene_destroy(scene);
    free(with);
    free(without);
    nm_headless_destroy(headless);
}

/// A title longer than the picture is wide comes out smaller: nothing of it is cut off.
static void long_titles_fit(void **state) {
    (void)state;
    enum { WIDE = 250, HIGH = 140 };
    nm_headless *headless = nm_test_headless(WIDE, HIGH);
    if (!headless) skip();
    static uint8_t pixels[2][4 * WIDE * HIGH];
    const nm_scene *scene = NULL;
    nm_error error;
    CHECK_OK(nm_builtin_scene("highway", 1, &scene, &error), error);
    nm_picture_options options = nm_picture_options_default();
    options.panel = 0;
    for (int i = 0; i < 2; i++) {
        nm_picture *picture = NULL;
        CHECK_OK(nm_picture_create(scene, &options, i ? "" : "1  crossing_conflict  TTC 0.92 s", &picture, &error),
                 error);
        CHECK_OK(
            nm_picture_draw(picture, nm_headless_renderer(headless), nm_headless_viewport(headless), 0, NULL, &error),
            error);
        CHECK_OK(nm_headless_read(headless, pixels[i], &error), error);
        nm_picture_destroy(picture);
    }
    int most = 0; // column that the title reaches
    for (int i = 0; i < WIDE * HIGH; i++)
        if (memcmp(pixels[0] + 4 * i, pixels[1] + 4 * i, 4) != 0 && i % WIDE > most) most = i % WIDE;
    assert_in_range(most, WIDE / 2, WIDE - 8);
    nm_scene_destroy(scene);
    nm_headless_destroy(headless);
}

static void ngsim_scene(void **state) {
    (void)state;
    agents_are_where_they_should("data/commonroad/ngsim-val.tar.xz");
}
static void womd_scene(void **state) {
    (void)state;
    agents_are_where_they_should("data/womd/womd_scenario_input.tfrecord");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_pictures), cmocka_unit_test(pictures_differ),
                                       cmocka_unit_test(long_titles_fit), cmocka_unit_test(ngsim_scene),
                                       cmocka_unit_test(womd_scene)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
