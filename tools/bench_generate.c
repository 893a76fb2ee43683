/// `nearmiss bench generate`: how fast corner cases of all kinds are made, judged and stored, on built-in roads: one
/// half by manoeuvre, the other by resample.
///
/// Before anything is timed a small set is made and every scene of it is detected again: the kind that was asked for
/// must be among its events. The timed set goes into a fresh store like that of `nearmiss generate --kind all
/// --generator manoeuvre,resample --hours H`.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/progress.h"
#include "scenarios/corner_set.h"
#include "sim/builtin.h"
#include "tools/cli.h"

#define DEFAULT_HOURS 10.0
#define CHECKED 3u // scenes a kind

typedef struct generate_bench {
    nm_bench *bench;
    char folder[256], path[288];
    const nm_scene *sources[NM_BUILTIN_COUNT];
    nm_corner_kind kinds[NM_KIND_COUNT];
    nm_corner_yield yields[NM_KIND_COUNT * NM_CASE_GENERATOR_COUNT];
    nm_corner_config config;
    nm_corner_report report;
    nm_thread_pool *pool;
    double busy; ///< s that processors worked for the last set, on a machine with other work less than the clock says
} generate_bench;

static nm_status open_sources(generate_bench *b, nm_error *error) {
    nm_status status = NM_OK;
    for (int i = 0; status == NM_OK && i < NM_BUILTIN_COUNT; i++) {
        char text[80];
        snprintf(text, sizeof text, "%s:density=15", nm_builtin_name((nm_builtin_kind)i));
        status = nm_builtin_scene(text, 1, &b->sources[i], error);
    }
    b->config = nm_corner_config_default();
    b->config.sources = b->sources;
    b->config.source_count = NM_BUILTIN_COUNT;
    b->config.kinds = b->kinds;
    b->config.seed = 1;
    b->config.generators[NM_CASE_MANOEUVRE] = b->config.generators[NM_CASE_RESAMPLE] = 0.5;
    b->config.stop = nm_cli_stop;
    b->config.run = (nm_generation_run){.parameters = "{}", .program = "nearmiss bench"};
    uint32_t count = 0;
    for (int k = 0; status == NM_OK && k < NM_KIND_COUNT; k++) {
        if (!nm_kind_spec_of((nm_kind)k)->generable) continue;
        nm_corner_config one = b->config;
        nm_error why;
        nm_error_clear(&why);
        status = nm_corner_kind_default((nm_kind)k, &b->kinds[count], error);
        one.kinds = &b->kinds[count];
        one.kind_count = one.count = 1;
        if (status == NM_OK && nm_corner_check(&one, &why) == NM_OK) count++; // there is room for it
    }
    b->config.kind_count = count;
    return status;
}

static double processor_seconds(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return NAN;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static nm_status make(generate_bench *b, double hours, uint64_t count, double *seconds, nm_error *error) {
    nm_store *store;
    unlink(b->path);
    b->config.hours = hours;
    b->config.count = count;
    b->report.yields = b->yields;
    const double start = nm_clock(), busy = processor_seconds();
    nm_status status = nm_store_open(b->path, NM_STORE_CREATE, &store, error);
    if (status != NM_OK) return status;
    status = nm_corner_set_run(&b->config, store, b->pool, &b->report, error);
    nm_store_close(store);
    *seconds = nm_clock() - start;
    b->busy = processor_seconds() - busy;
    return status;
}

/// Every scene once more, with nothing but what is stored.
static nm_status check(const generate_bench *b, nm_error *error) {
    nm_store *store;
    nm_arena *arena = nm_arena_create(0);
    int64_t *ids;
    size_t count = 0;
    nm_status status = arena ? nm_store_open(b->path, NM_STORE_READ, &store, error) : NM_E_MEMORY;
    if (status != NM_OK) {
        nm_arena_destroy(arena);
        return status;
    }
    status = nm_store_scene_ids(store, -1, arena, &ids, &count, error);
    const nm_detect_params params = nm_detect_params_default();
    for (size_t i = 0; status == NM_OK && i < count; i++) {
        const nm_scene *scene;
        nm_generated row;
        nm_event *events;
        size_t found = 0;
        int confirmed = 0;
        status = nm_store_get_generated(store, ids[i], arena, &row, error);
        if (status == NM_OK) status = nm_store_get_scene(store, ids[i], &scene, error);
        if (status != NM_OK) break;
        status = nm_detect(scene, &params, arena, &events, &found, NULL, error);
        for (size_t k = 0; status == NM_OK && k < found; k++) confirmed |= events[k].kind == row.kind;
        nm_scene_destroy(scene);
        if (status == NM_OK && !confirmed)
            status = NM_ERROR(error, NM_E_NUMERIC, "scene %zu is stored as %s, and the detectors do not find it", i + 1,
                              nm_kind_name(row.kind));
    }
    nm_store_close(store);
    nm_arena_destroy(arena);
    return status;
}

static void show_generator(const generate_bench *b, nm_case_generator generator, const char *yield, const char *share) {
    uint64_t attempts = 0, kept = 0;
    for (uint32_t k = 0; k < b->config.kind_count; k++) {
        const nm_corner_yield *y = &b->yields[k * NM_CASE_GENERATOR_COUNT + (uint32_t)generator];
        attempts += y->attempts;
        kept += y->kept;
    }
    if (attempts) nm_bench_row(b->bench, yield, (double)kept / (double)attempts, "");
    nm_bench_row(b->bench, share, (double)kept / (double)b->report.kept, "");
}

static void show(generate_bench *b, double seconds) {
    struct stat file;
    struct rusage usage;
    const double kept = (double)b->report.kept, attempts = (double)b->report.attempts;
    nm_bench_row(b->bench, "hours_per_minute", b->report.hours * 60.0 / seconds, "h/min");
    nm_bench_row(b->bench, "minutes_for_540_hours", 540.0 / (b->report.hours * 60.0 / seconds), "min");
    nm_bench_row(b->bench, "processor_s_per_hour", b->busy / b->report.hours, "s/h");
    nm_bench_row(b->bench, "scenes_per_s", kept / seconds, "1/s");
    nm_bench_row(b->bench, "attempts_per_s", attempts / seconds, "1/s");
    nm_bench_row(b->bench, "yield", kept / attempts, "");
    show_generator(b, NM_CASE_MANOEUVRE, "yield_manoeuvre", "share_manoeuvre");
    show_generator(b, NM_CASE_RESAMPLE, "yield_resample", "share_resample");
    if (stat(b->path, &file) == 0) nm_bench_row(b->bench, "bytes_per_scene", (double)file.st_size / kept, "B");
    if (getrusage(RUSAGE_SELF, &usage) == 0) nm_bench_row(b->bench, "memory", (double)usage.ru_maxrss / 1024.0, "MiB");
    nm_bench_row(b->bench, "scenes", kept, "");
}

static void close_bench(generate_bench *b) {
    char beside[320];
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(beside, sizeof beside, "%s%s", b->path, ends[i]);
        unlink(beside);
    }
    rmdir(b->folder);
    for (int i = 0; i < NM_BUILTIN_COUNT; i++) nm_scene_destroy(b->sources[i]);
    nm_thread_pool_destroy(b->pool);
    free(b);
}

static nm_status run(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error) {
    const char *parent = getenv("TMPDIR");
    char *end = NULL;
    const double hours = argc > 0 ? strtod(argv[0], &end) : DEFAULT_HOURS;
    if (argc > 1 || (end && *end) || !(hours > 0.0 && hours <= 1e4))
        return NM_ERROR(error, NM_E_ARGUMENT, "bench generate wants at most a number of hours, up to 10000");
    generate_bench *b = calloc(1, sizeof *b);
    if (!b) return NM_ERROR(error, NM_E_MEMORY, "no memory");
    b->bench = bench;
    snprintf(b->folder, sizeof b->folder, "%s/nearmiss-bench-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(b->folder)) {
        free(b);
        return NM_ERROR(error, NM_E_IO, "cannot make a folder for the bench: set TMPDIR");
    }
    snprintf(b->path, sizeof b->path, "%s/set.db", b->folder);
    double seconds;
    nm_status status = nm_thread_pool_create((int)common->threads, &b->pool, error);
    if (status == NM_OK) status = open_sources(b, error);
    if (status == NM_OK) status = make(b, 0.0, CHECKED, &seconds, error);
    if (status == NM_OK) status = check(b, error);
    if (status == NM_OK) status = make(b, hours, 0, &seconds, error);
    if (status == NM_OK) show(b, seconds);
    close_bench(b);
    return status;
}

const nm_bench_entry nm_bench_generate = {
    .name = "generate",
    .summary = "Corner cases of all kinds on built-in roads by manoeuvre and resample, judged and stored: 10 hours (or "
               "HOURS).",
    .run = run,
};
