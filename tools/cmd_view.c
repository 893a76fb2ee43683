/// `nearmiss view`: the interactive viewer.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "render/viewer/viewer_sdl.h"
#include "sim/builtin.h"
#include "tools/cli.h"
#include "tools/cmd_view_source.h"

typedef struct view_options {
    const char *store, *map, *where, *kind, *theme, *size, *screenshot, *denoising;
    double exit_after, scale;
    int64_t beside, seed, id; ///< ids: 0 = none
    int live;
    int width, height;
} view_options;

/// What is open; released by close_all.
typedef struct viewing {
    nm_store *store;
    nm_view_store *list;
    const nm_scene *scene;
    nm_view_single single;
    nm_denoising *denoising;
    nm_viewer_source source;
    int has_source;
    nm_viewer *viewer;
} viewing;

static void close_all(viewing *v) {
    nm_viewer_destroy(v->viewer);
    nm_view_store_destroy(v->list);
    nm_denoising_destroy(v->denoising);
    nm_scene_destroy(v->scene);
    nm_store_close(v->store);
}

static nm_status open_store(viewing *v, const view_options *options, nm_query *query, nm_error *error) {
    nm_status status = nm_store_open(options->store, NM_STORE_READ, &v->store, error);
    if (status != NM_OK) return status;
    nm_store_set_interrupt(v->store, nm_cli_stop, NULL);
    query->where = options->where;
    status = nm_view_store_create(v->store, query, &v->list, error);
    if (status != NM_OK) return status;
    v->source = nm_view_store_source(v->list);
    v->has_source = 1;
    return NM_OK;
}

static nm_status find_in_store(void *context, uint64_t hash, int64_t *id, nm_error *error) {
    return nm_store_find_hash(context, hash, id, error);
}

static nm_status open_sources(viewing *v, const view_options *options, nm_query *query, nm_error *error) {
    nm_status status = NM_OK;
    if (options->denoising) status = nm_denoising_read(options->denoising, &v->denoising, error);
    if (status == NM_OK && options->map) {
        status = nm_builtin_scene(options->map, (uint64_t)options->seed, &v->scene, error);
        v->single = (nm_view_single){.scene = v->scene, .name = options->map};
        v->source = nm_view_single_source(&v->single);
        v->has_source = status == NM_OK;
    }
    if (status == NM_OK && options->store && !options->map) status = open_store(v, options, query, error);
    return status;
}

static nm_status open_viewer(viewing *v, const view_options *options, nm_error *error) {
    nm_viewer_config config = nm_viewer_config_default();
    config.source = v->has_source ? &v->source : NULL;
    if (v->store) {
        config.find = find_in_store;
        config.find_context = v->store;
    }
    config.denoising = v->denoising;
    config.theme = strcmp(options->theme, "dark") == 0 ? NM_THEME_DARK : NM_THEME_DAY;
    config.width = options->width;
    config.height = options->height;
    config.scale = (float)options->scale;
    config.seed = (uint64_t)options->seed;
    nm_status status = nm_viewer_create(&config, &v->viewer, error);
    const int64_t id = options->map ? 1 : options->id;
    if (status == NM_OK && id) status = nm_viewer_open(v->viewer, id, 0, error);
    if (status == NM_OK && id && options->beside) status = nm_viewer_open(v->viewer, options->beside, 1, error);
    // a built-in map has one step: there is nothing to play but a live run
    if (status == NM_OK && id && (options->live || options->map)) status = nm_viewer_start_live(v->viewer, error);
    return status;
}

static int report(const nm_command *command, const nm_common *common, const nm_viewer_window_stats *stats) {
    if (!common->json) return NM_EXIT_OK;
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "renderer", stats->renderer);
    nm_json_integer(document, "frames", stats->frames);
    nm_json_number(document, "seconds", stats->seconds);
    nm_json_number(document, "draw_ms_per_frame",
                   stats->frames ? stats->draw_seconds * 1e3 / (double)stats->frames : 0.0);
    return nm_cli_print_json(command, document);
}

static int view(const nm_command *command, const nm_common *common, const view_options *options, nm_query *query) {
    viewing v = {0};
    nm_error error;
    nm_viewer_window_stats stats = {0};
    nm_error_clear(&error);
    nm_status status = open_sources(&v, options, query, &error);
    if (status == NM_OK) status = open_viewer(&v, options, &error);
    if (status == NM_OK) {
        const nm_viewer_window window = {.width = options->width,
                                         .height = options->height,
                                         .scale = (float)options->scale,
                                         .screenshot = options->screenshot,
                                         .exit_after = options->exit_after,
                                         .stop = nm_cli_stop};
        status = nm_viewer_run(v.viewer, &window, &stats, &error);
    }
    int result = status == NM_OK ? report(command, common, &stats) : nm_cli_fail(command, &error);
    if (status == NM_E_ARGUMENT) result = NM_EXIT_USAGE;
    close_all(&v);
    return result;
}

static int parse_size(const char *text, int *width, int *height) {
    char *end;
    const long w = strtol(text, &end, 10);
    if (end == text || *end != 'x') return 0;
    const char *second = end + 1;
    const long h = strtol(second, &end, 10);
    if (end == second || *end || w < 160 || w > 8192 || h < 160 || h > 8192) return 0;
    *width = (int)w;
    *height = (int)h;
    return 1;
}

/// -1 to go on, else the exit status.
static int check(const nm_command *command, view_options *options, int count, char **argv, nm_query *query) {
    nm_kind kind;
    const char *names[NM_KIND_COUNT];
    if (!options->store && !options->map && !options->denoising)
        return nm_cli_usage(command, "nothing to show: give --store S.db, --map SPEC or --denoising F");
    if (count == 1) {
        char *end;
        options->id = strtoll(argv[0], &end, 10);
        if (*end || end == argv[0] || options->id < 1)
            return nm_cli_usage(command, "'%s' is not the number of a scene", argv[0]);
        if (!options->store || options->map || options->denoising)
            return nm_cli_usage(command, "scene %s is of a store: give --store S.db alone", argv[0]);
    }
    if ((options->beside || options->live) && !options->id && !options->map)
        return nm_cli_usage(command, "--%s wants a scene to begin with", options->beside ? "beside" : "live");
    if (strcmp(options->theme, "day") != 0 && strcmp(options->theme, "dark") != 0)
        return nm_cli_usage(command, "there is no theme '%s'; there are day and dark", options->theme);
    if (!parse_size(options->size, &options->width, &options->height))
        return nm_cli_usage(command, "'%s' is no size: WIDTHxHEIGHT, each from 160 to 8192", options->size);
    if (options->screenshot && !(options->exit_after > 0.0)) options->exit_after = 1.0;
    if (options->kind && !nm_kind_from_name(options->kind, &kind)) {
        for (int i = 0; i < NM_KIND_COUNT; i++) names[i] = nm_kind_name((nm_kind)i);
        const char *near = nm_cli_nearest(options->kind, names, NM_KIND_COUNT);
        return near ? nm_cli_usage(command, "there is no kind '%s'; did you mean '%s'?", options->kind, near)
                    : nm_cli_usage(command, "there is no kind '%s'", options->kind);
    }
    if (options->kind) query->kind = (int)kind;
    return -1;
}

static int run_view(const nm_command *command, int argc, char **argv) {
    view_options options = {.theme = "day", .size = "1280x800", .scale = 1.0};
    nm_query query = nm_query_default();
    nm_common common = {0};
    int count;
    const nm_option table[] = {
        {"store", NM_OPTION_TEXT, &options.store, "S.db", "store to browse", 0, 0},
        {"map", NM_OPTION_TEXT, &options.map, "SPEC", "built-in map to drive on, such as junction_signal:density=20", 0,
         0},
        {"denoising", NM_OPTION_TEXT, &options.denoising, "F", "recording of a denoising to step through", 0, 0},
        {"kind", NM_OPTION_TEXT, &options.kind, "K", "only scenes with such an event", 0, 0},
        {"where", NM_OPTION_TEXT, &options.where, "SQL", "only events for which this holds; see find", 0, 0},
        {"beside", NM_OPTION_INTEGER, &options.beside, "ID", "second scene, shown beside the first", 1, 9.0e15},
        {"live", NM_OPTION_FLAG, &options.live, NULL, "start a closed loop from the first step", 0, 0},
        {"seed", NM_OPTION_INTEGER, &options.seed, "N", "of built-in traffic and of live runs; default 0", 0, 9.0e15},
        {"theme", NM_OPTION_TEXT, &options.theme, "NAME", "day or dark; default day", 0, 0},
        {"size", NM_OPTION_TEXT, &options.size, "WxH", "of the window; default 1280x800", 0, 0},
        {"scale", NM_OPTION_REAL, &options.scale, "X", "of texts and panels, over what the display asks for; default 1",
         0.5, 4.0},
        {"screenshot", NM_OPTION_TEXT, &options.screenshot, "F.png", "picture to write before the end", 0, 0},
        {"exit-after", NM_OPTION_REAL, &options.exit_after, "S", "seconds after which the window closes; default never",
         0.01, 1e6},
    };
    const int parsed = nm_cli_parse(command, table, sizeof table / sizeof *table, &common, argc, argv, 0, 1, &count);
    if (parsed >= 0) return parsed;
    const int refused = check(command, &options, count, argv, &query);
    return refused >= 0 ? refused : view(command, &common, &options, &query);
}

const nm_command nm_command_view = {
    .name = "view",
    .summary = "Shows scenes in a window: browse, play, compare, drive live. Press ? there for the keys.",
    .usage = "view [ID] --store S.db | --map SPEC | --denoising F",
    .example = "nearmiss view 42 --store scenes.db --beside 43",
    .run = run_view,
};
