/// `nearmiss bench render`: ms per frame in software, films per second, memory over many frames.
///
/// 64 agents drive for 20 s through a city junction (or in the scene of a file); every frame is another moment, the
/// camera follows the ego. Before anything is timed, a frame is drawn twice and has to give the same pixels.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataset/import.h"
#include "render/headless.h"
#include "render/media.h"
#include "render/picture.h"
#include "sim/builtin.h"
#include "sim/world.h"
#include "tools/cli.h"

#define WIDTH 1280
#define HEIGHT 720
#define STEPS 200
#define FPS 30
#define FRAMES 300 // timed
#define WARM_UP 40 // shaders are compiled, buffers have grown
#define MANY 10000 // frames for the memory

typedef struct set_up {
    nm_headless *headless;
    nm_picture *picture;
    const nm_scene *scene;
    uint8_t *pixels;
} set_up;

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static float step_of(const set_up *s, int frame) {
    const float last = (float)(s->scene->step_count - 1);
    const float step = (float)frame / ((float)FPS * s->scene->dt);
    return last > 0.0f ? step - last * (float)(int)(step / last) : 0.0f; // again from the beginning
}

static nm_status draw(const set_up *s, int frame, nm_error *error) {
    return nm_picture_draw(s->picture, nm_headless_renderer(s->headless), nm_headless_viewport(s->headless),
                           step_of(s, frame), NULL, error);
}

/// The same frame gives the same pixels, and there is something in it.
static nm_status validate(const set_up *s, nm_error *error) {
    const size_t size = 4 * (size_t)WIDTH * HEIGHT;
    uint8_t *again = malloc(size);
    if (!again) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_status status = NM_OK;
    for (int i = 0; status == NM_OK && i < 4; i++) { // the map is kept from the third on
        status = draw(s, 30, error);
        if (status == NM_OK) status = nm_headless_read(s->headless, i < 3 ? s->pixels : again, error);
    }
    size_t edges = 0;
    for (size_t i = 4; i < size; i += 4) edges += memcmp(s->pixels + i, s->pixels + i - 4, 3) != 0;
    if (status == NM_OK && memcmp(s->pixels, again, size) != 0)
        status = NM_ERROR(error, NM_E_NUMERIC, "two drawings of one frame differ");
    if (status == NM_OK && edges < 1000) status = NM_ERROR(error, NM_E_NUMERIC, "the picture is empty");
    free(again);
    return status;
}

/// Median ms per frame; with `read` the pixels of each frame are fetched while the next one is drawn.
static nm_status time_frames(const set_up *s, int read, double *ms, nm_error *error) {
    double times[FRAMES];
    nm_status status = NM_OK;
    int waiting = 0;
    for (int i = -WARM_UP; status == NM_OK && i < FRAMES; i++) {
        if (nm_cli_interrupted()) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        const double start = nm_clock();
        status = draw(s, i + WARM_UP, error);
        if (read && status == NM_OK) status = nm_headless_read_begin(s->headless, error);
        if (waiting && status == NM_OK) status = nm_headless_read_end(s->headless, s->pixels, error);
        waiting = read;
        if (!read) nm_renderer_finish(nm_headless_renderer(s->headless));
        if (i >= 0) times[i] = 1e3 * (nm_clock() - start);
    }
    if (waiting && status == NM_OK) status = nm_headless_read_end(s->headless, s->pixels, error);
    if (status != NM_OK) return status;
    qsort(times, FRAMES, sizeof *times, by_value);
    *ms = times[FRAMES / 2];
    return status;
}

static nm_status time_film(const set_up *s, int threads, double *per_second, nm_error *error) {
    char path[] = "/tmp/nearmiss-bench-XXXXXX";
    const int descriptor = mkstemp(path);
    if (descriptor < 0) return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "no temporary file");
    close(descriptor);
    nm_film *film = NULL;
    int waiting = 0;
    const double start = nm_clock();
    nm_status status = nm_film_open(path, WIDTH, HEIGHT, FPS, threads, &film, error);
    for (int i = 0; status == NM_OK && i <= FRAMES; i++) {
        if (i < FRAMES) status = draw(s, i, error);
        if (i < FRAMES && status == NM_OK) status = nm_headless_read_begin(s->headless, error);
        if (waiting && status == NM_OK) status = nm_headless_read_end(s->headless, s->pixels, error);
        if (waiting && status == NM_OK) status = nm_film_add(film, s->pixels, error);
        waiting = 1;
    }
    if (status == NM_OK)
        status = nm_film_close(film, error);
    else
        nm_film_abandon(film);
    *per_second = (double)FRAMES / (nm_clock() - start);
    unlink(path);
    return status;
}

/// Resident memory of this process in MB; 0 where the system does not tell.
static double resident_mb(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return 0.0;
    if (fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static nm_status measure_growth(const set_up *s, int quiet, double *growth, nm_error *error) {
    nm_status status = NM_OK;
    double before = 0.0;
    nm_progress *progress = nm_progress_start("render", "frames", MANY, quiet);
    for (int i = 0; status == NM_OK && i < MANY; i++) {
        if (i == 2 * FRAMES * (int)s->scene->step_count / STEPS) before = resident_mb(); // the whole scene was seen
        if (nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        if (status == NM_OK) status = draw(s, i, error);
        if (status == NM_OK) status = nm_headless_read(s->headless, s->pixels, error);
        nm_progress_add(progress, 1);
    }
    nm_progress_finish(progress);
    *growth = resident_mb() - before;
    return status;
}

static nm_status keep_largest(void *context, const nm_scene *scene, const char *input, uint64_t record,
                              nm_error *error) {
    const nm_scene **best = context;
    (void)input;
    (void)record;
    (void)error;
    if (*best && (*best)->track_count >= scene->track_count) {
        nm_scene_destroy(scene);
    } else {
        nm_scene_destroy(*best);
        *best = scene;
    }
    return NM_OK;
}

static void ignore_refusal(void *context, const nm_error *error) {
    (void)context;
    (void)error;
}

static nm_status imported_scene(const char *path, const nm_scene **scene, nm_error *error) {
    nm_importer *importer = nm_importer_create(NULL);
    if (!importer) return NM_ERROR(error, NM_E_MEMORY, "no memory for an importer");
    nm_status status = nm_import_file(importer, path, keep_largest, ignore_refusal, scene, NULL, error);
    nm_importer_destroy(importer);
    if (status == NM_OK && !*scene) status = NM_ERROR_AT(error, NM_E_NOT_FOUND, path, 0, -1, "there is no scene in it");
    return status;
}

static nm_status driven_scene(const nm_scene **scene, nm_error *error) {
    const nm_scene *start = NULL;
    nm_rollout_result result = {0};
    nm_status status = nm_builtin_scene("junction_signal:lanes=2,length=250,density=40,vehicles=64", 1, &start, error);
    const nm_world_config config = nm_world_config_default();
    if (status == NM_OK) status = nm_rollout(start, &config, STEPS, 1, &result, error);
    *scene = result.scene;
    nm_scene_destroy(start);
    return status;
}

static void row(nm_bench *bench, const char *name, const char *suffix, double value, const char *unit) {
    char text[64];
    snprintf(text, sizeof text, "%s%s", name, suffix);
    nm_bench_row(bench, text, value, unit);
}

static nm_status run_scene(nm_bench *bench, const nm_common *common, set_up *s, const char *suffix, nm_error *error) {
    double bird = 0.0, read = 0.0, chase = 0.0, films = 0.0, growth = 0.0;
    uint64_t agents, states;
    nm_picture_options options = nm_picture_options_default();
    nm_status status = nm_picture_create(s->scene, &options, "bench", &s->picture, error);
    if (status == NM_OK) status = validate(s, error);
    if (status == NM_OK) status = time_frames(s, 0, &bird, error);
    if (status == NM_OK) status = time_frames(s, 1, &read, error);
    if (status == NM_OK) status = time_film(s, (int)common->threads, &films, error);
    if (status == NM_OK && !*suffix) status = measure_growth(s, common->quiet, &growth, error);
    if (status == NM_OK) {
        options.camera = NM_CAMERA_CHASE;
        nm_picture_set_options(s->picture, &options);
        status = time_frames(s, 0, &chase, error);
    }
    nm_picture_destroy(s->picture);
    s->picture = NULL;
    if (status != NM_OK) return status;
    nm_scene_count(s->scene, &agents, &states);
    row(bench, "frame_ms.sw", suffix, bird, "ms");
    row(bench, "frame_ms.sw.read", suffix, read, "ms");
    row(bench, "frame_ms.sw.chase", suffix, chase, "ms");
    row(bench, "video_frames_per_s", suffix, films, "frames/s");
    if (!*suffix) row(bench, "rss_growth_mb", suffix, growth, "MB");
    row(bench, "agents", suffix, (double)agents, "agents");
    return NM_OK;
}

static nm_status bench_render(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error) {
    set_up s = {0};
    if (argc > 1) return NM_ERROR(error, NM_E_ARGUMENT, "bench render takes one file at most");
    s.pixels = malloc(4 * (size_t)WIDTH * HEIGHT);
    if (!s.pixels) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_status status = nm_headless_create(WIDTH, HEIGHT, "software", &s.headless, error);
    if (status == NM_OK) status = driven_scene(&s.scene, error);
    if (status == NM_OK) status = run_scene(bench, common, &s, "", error);
    nm_scene_destroy(s.scene);
    s.scene = NULL;
    if (status == NM_OK && argc == 1) {
        status = imported_scene(argv[0], &s.scene, error);
        if (status == NM_OK) status = run_scene(bench, common, &s, ".file", error);
        nm_scene_destroy(s.scene);
    }
    if (status == NM_OK) {
        char note[320];
        snprintf(note, sizeof note,
                 "1280x720 with panel, another moment each frame; medians of %d; sw: software (%.100s), bird's eye; "
                 ".read: pixels fetched while the next frame is drawn; films: drawn, fetched and encoded; "
                 "memory: %d frames",
                 FRAMES, nm_renderer_name(nm_headless_renderer(s.headless)), MANY);
        nm_bench_note(bench, note);
    }
    nm_headless_destroy(s.headless);
    free(s.pixels);
    return status;
}

const nm_bench_entry nm_bench_render = {
    .name = "render",
    .summary = "pictures in software: ms per frame, film frames per second, memory [FILE: a scene to import]",
    .run = bench_render,
};
