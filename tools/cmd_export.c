/// `nearmiss export`: writes scenes of a store in other people's formats.
///
/// Scenes are taken in order of their ids, a batch at a time: the threads read them, each through a store object of its
/// own, then the exporter encodes and writes the batch. So the bytes do not depend on the number of threads, and memory
/// is bounded by the batch.
#include <stdlib.h>
#include <string.h>

#include "dataset/export.h"
#include "dataset/tfrecord.h"
#include "scenarios/store.h"
#include "tools/cli.h"
#include "tools/evaluate_report.h"
#include "tools/scene_ids.h"

#define BATCH_PER_THREAD 8
#define CACHE_MIB 4u         ///< of pages, for each thread's store: every scene is read once
#define REFUSALS_KEPT 10000u ///< listed in full; more are only counted

typedef struct export_options {
    const char *store, *format, *out, *where, *kind, *only, *name, *ego;
    int64_t limit, shards, windows;
    int overwrite, strict;
} export_options;

/// A scene on its way, and what the store knows about it.
typedef struct fetched {
    int64_t id;
    const nm_scene *scene; // NULL: it can not be read
    nm_arena *arena;       // of what follows; one for each place in a batch
    nm_scene_label *labels;
    size_t label_count;
    nm_scene_generation generated;
    int is_generated;
    nm_status status;
    nm_error error;
} fetched;

typedef struct refusal {
    int64_t id;
    nm_error error;
} refusal;

typedef struct export_run {
    const nm_command *command;
    const export_options *options;
    nm_export_format format;
    nm_export_ego ego;
    int kind;
    char *line; ///< of the manifest
    nm_scene_ids list;
    nm_thread_pool *pool;
    nm_store **stores; ///< [store_count], one a worker
    int store_count;
    fetched *batch; ///< [room]
    nm_export_item *items;
    size_t room;
    nm_exporter *exporter;
    nm_progress *progress;
    refusal *refused; ///< [listed]
    size_t listed, listed_room;
    uint64_t refusals;
    nm_export_totals totals;
} export_run;

// --- options ---------------------------------------------------------------------------------------------------------

static int bad_name(const nm_command *command, const char *what, const char *given, const char *const *names,
                    size_t count) {
    const char *near = nm_cli_nearest(given, names, count);
    char list[512] = "";
    for (size_t i = 0; i < count && !near; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : ": ", names[i]);
    return nm_cli_usage(command, "there is no %s '%s'%s%s%s%s", what, given, near ? "; did you mean '" : "",
                        near ? near : "", near ? "'?" : "", list);
}

static int read_format(export_run *run) {
    const char *names[NM_EXPORT_FORMAT_COUNT];
    if (nm_export_format_from_name(run->options->format, &run->format)) return -1;
    for (int i = 0; i < NM_EXPORT_FORMAT_COUNT; i++) names[i] = nm_export_format_name((nm_export_format)i);
    return bad_name(run->command, "format", run->options->format, names, NM_EXPORT_FORMAT_COUNT);
}

static int read_ego(export_run *run) {
    const char *word = run->options->ego;
    if (!word) return -1;
    if (strcmp(word, "recorded") == 0)
        run->ego = NM_EXPORT_EGO_RECORDED;
    else if (strcmp(word, "planned") == 0)
        run->ego = NM_EXPORT_EGO_PLANNED;
    else
        return nm_cli_usage(run->command, "--ego is recorded or planned, not '%s'", word);
    return -1;
}

static int read_kind(export_run *run) {
    const char *names[NM_KIND_COUNT];
    nm_kind kind;
    run->kind = -1;
    if (!run->options->kind) return -1;
    if (nm_kind_from_name(run->options->kind, &kind)) {
        run->kind = (int)kind;
        return -1;
    }
    for (int i = 0; i < NM_KIND_COUNT; i++) names[i] = nm_kind_name((nm_kind)i);
    const char *near = nm_cli_nearest(run->options->kind, names, NM_KIND_COUNT);
    if (near) return bad_name(run->command, "kind", run->options->kind, names, NM_KIND_COUNT);
    return nm_cli_usage(run->command, "there is no kind '%s'; nearmiss mine --list-kinds lists them",
                        run->options->kind);
}

static int check_options(export_run *run, int ids) {
    const export_options *o = run->options;
    if (!o->store) return nm_cli_usage(run->command, "--store S.db is missing");
    if (!o->format) return nm_cli_usage(run->command, "--format NAME is missing");
    if (!o->out || !o->out[0]) return nm_cli_usage(run->command, "--out DIR is missing");
    if (!o->name[0] || o->name[0] == '.' || strchr(o->name, '/') || strlen(o->name) > 200)
        return nm_cli_usage(run->command, "--name wants the beginning of a file's name, not '%s'", o->name);
    if (ids && (o->kind || o->where || o->only || o->limit))
        return nm_cli_usage(run->command,
                            "scenes are named, or chosen by --kind, --where, --only and --limit, not both");
    int status = read_format(run);
    if (status < 0 && o->windows && run->format != NM_EXPORT_WOMD && run->format != NM_EXPORT_WOMD_EXAMPLE)
        status = nm_cli_usage(run->command, "--windows is for womd and womd-example");
    if (status < 0 && o->strict && run->format != NM_EXPORT_COMMONROAD)
        status = nm_cli_usage(run->command, "--strict is for commonroad");
    if (status < 0) status = read_ego(run);
    return status >= 0 ? status : read_kind(run);
}

/// What makes the same bytes from the same store: neither the store's place nor the folder's, nor threads.
static char *manifest_line(const export_options *o, int id_count, char **ids) {
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    fprintf(file, "nearmiss export --format %s", o->format);
    const char *const words[][2] = {
        {"kind", o->kind}, {"where", o->where}, {"only", o->only}, {"name", o->name}, {"ego", o->ego}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!words[i][1]) continue;
        fprintf(file, " --%s ", words[i][0]);
        nm_evaluate_shell_word(file, words[i][1]);
    }
    if (o->windows) fprintf(file, " --windows %lld", (long long)o->windows);
    if (o->strict) fputs(" --strict", file);
    if (o->limit) fprintf(file, " --limit %lld", (long long)o->limit);
    fprintf(file, " --shards %lld", (long long)o->shards);
    for (int i = 0; i < id_count && i < 1000; i++) fprintf(file, " %s", ids[i]);
    if (id_count > 1000) fputs(" ...", file);
    fclose(file);
    return text;
}

// --- reading ---------------------------------------------------------------------------------------------------------

static nm_scene_label label_of(const nm_event *e) {
    return (nm_scene_label){.kind = nm_kind_name(e->kind),
                            .actor = e->actor,
                            .other = e->other,
                            .first_step = e->first_step,
                            .last_step = e->last_step,
                            .critical_step = e->critical_step,
                            .severity = e->severity,
                            .min_ttc = e->min_ttc,
                            .min_distance = e->min_distance,
                            .min_thw = e->min_thw,
                            .max_drac = e->max_drac,
                            .pet = e->pet,
                            .min_ttr = e->min_ttr,
                            .closing_speed = e->closing_speed,
                            .gap = e->gap,
                            .lateral_speed = e->lateral_speed,
                            .deceleration = e->deceleration,
                            .impact_speed = e->impact_speed,
                            .delta_v = e->delta_v};
}

static nm_status fetch_labels(nm_store *store, fetched *f) {
    nm_event *events = NULL;
    nm_status status = nm_store_get_events(store, f->id, f->arena, &events, &f->label_count, &f->error);
    if (status != NM_OK) return status;
    f->labels = NM_ARENA_ARRAY(f->arena, nm_scene_label, f->label_count);
    if (!f->labels) return NM_ERROR(&f->error, NM_E_MEMORY, "out of memory");
    for (size_t i = 0; i < f->label_count; i++) f->labels[i] = label_of(&events[i]);
    return NM_OK;
}

static nm_status fetch_generated(nm_store *store, fetched *f) {
    nm_generated row;
    const nm_status status = nm_store_get_generated(store, f->id, f->arena, &row, &f->error);
    f->is_generated = status == NM_OK;
    if (status == NM_E_NOT_FOUND) return NM_OK;
    if (status == NM_OK)
        f->generated = (nm_scene_generation){.kind = nm_kind_name(row.kind),
                                             .generator = row.generator,
                                             .severity = row.severity,
                                             .label = row.label,
                                             .requested = row.requested,
                                             .achieved = row.achieved,
                                             .verdicts = row.verdicts};
    return status;
}

/// A scene that can not be read does not stop the others: the status stays in its slot.
static nm_status fetch_task(void *context, size_t index, int worker, nm_error *error) {
    export_run *run = context;
    fetched *f = &run->batch[index];
    nm_store *store = run->stores[worker];
    if (nm_cli_interrupted()) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    nm_error_clear(&f->error);
    nm_arena_reset(f->arena);
    f->status = nm_store_get_scene(store, f->id, &f->scene, &f->error);
    if (f->status == NM_OK) f->status = fetch_labels(store, f);
    if (f->status == NM_OK) f->status = fetch_generated(store, f);
    return NM_OK;
}

// --- writing ---------------------------------------------------------------------------------------------------------

static void take_refusal(export_run *run, int64_t id, const nm_error *error) {
    if (run->refusals++ >= REFUSALS_KEPT) return;
    if (run->listed == run->listed_room) {
        const size_t room = run->listed_room ? 2 * run->listed_room : 16;
        refusal *moved = realloc(run->refused, room * sizeof *moved);
        if (!moved) return; // it stays counted
        run->refused = moved;
        run->listed_room = room;
    }
    run->refused[run->listed++] = (refusal){id, *error};
}

static void refused_by_format(void *context, uint64_t index, const nm_export_item *item, const nm_error *error) {
    (void)index;
    take_refusal(context, item->id, error);
}

static nm_status write_batch(export_run *run, size_t count, nm_error *error) {
    size_t good = 0;
    for (size_t i = 0; i < count; i++) {
        const fetched *f = &run->batch[i];
        if (f->status == NM_OK)
            run->items[good++] = (nm_export_item){.scene = f->scene,
                                                  .id = f->id,
                                                  .labels = f->labels,
                                                  .label_count = f->label_count,
                                                  .generated = f->is_generated ? &f->generated : NULL,
                                                  .ego = run->ego,
                                                  .strict = run->options->strict};
        else
            take_refusal(run, f->id, &f->error);
    }
    return nm_exporter_add(run->exporter, run->items, good, refused_by_format, run, error);
}

static nm_status write_all(export_run *run, nm_error *error) {
    nm_status status = NM_OK;
    for (size_t done = 0; done < run->list.count && status == NM_OK; done += run->room) {
        const size_t left = run->list.count - done, count = left < run->room ? left : run->room;
        for (size_t i = 0; i < count; i++) {
            run->batch[i].id = run->list.ids[done + i];
            run->batch[i].scene = NULL;
        }
        status = nm_thread_pool_for(run->pool, count, 1, fetch_task, run, error);
        if (status == NM_OK) status = write_batch(run, count, error);
        for (size_t i = 0; i < count; i++) nm_scene_destroy(run->batch[i].scene);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        nm_progress_add(run->progress, count);
    }
    return status;
}

static nm_status open_run(export_run *run, const nm_common *common, nm_error *error) {
    nm_status status = nm_thread_pool_create((int)common->threads, &run->pool, error);
    if (status != NM_OK) return status;
    const int threads = nm_thread_pool_threads(run->pool);
    run->stores = calloc((size_t)threads, sizeof *run->stores);
    run->batch = calloc((size_t)threads * BATCH_PER_THREAD, sizeof *run->batch);
    run->items = calloc((size_t)threads * BATCH_PER_THREAD, sizeof *run->items);
    if (!run->stores || !run->batch || !run->items) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    for (run->room = 0; run->room < (size_t)threads * BATCH_PER_THREAD; run->room++) {
        run->batch[run->room].arena = nm_arena_create(0);
        if (!run->batch[run->room].arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    }
    for (; run->store_count < threads && status == NM_OK; run->store_count += status == NM_OK) {
        status = nm_store_open(run->options->store, NM_STORE_READ, &run->stores[run->store_count], error);
        if (status == NM_OK) nm_store_set_cache(run->stores[run->store_count], CACHE_MIB);
    }
    if (status != NM_OK) return status;
    nm_export_options options = nm_export_options_default(run->format);
    options.folder = run->options->out;
    options.name = run->options->name;
    options.shards = (uint32_t)run->options->shards;
    options.scenes = run->list.count;
    options.overwrite = run->options->overwrite;
    options.windows = (uint32_t)run->options->windows;
    options.program = "nearmiss " NM_VERSION;
    options.command = run->line;
    return nm_exporter_create(&options, run->pool, &run->exporter, error);
}

static void close_run(export_run *run) {
    nm_exporter_destroy(run->exporter);
    for (int i = 0; i < run->store_count; i++) nm_store_close(run->stores[i]);
    for (size_t i = 0; i < run->room; i++) nm_arena_destroy(run->batch[i].arena);
    nm_thread_pool_destroy(run->pool);
    nm_scene_ids_release(&run->list);
    free(run->stores);
    free(run->batch);
    free(run->items);
    free(run->refused);
    free(run->line);
}

// --- output ----------------------------------------------------------------------------------------------------------

static int print_json(const export_run *run, double seconds) {
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "store", run->options->store);
    cJSON_AddStringToObject(document, "format", run->options->format);
    cJSON_AddStringToObject(document, "folder", run->options->out);
    nm_json_integer(document, "scenes", run->totals.scenes);
    nm_json_integer(document, "files", run->totals.files);
    nm_json_integer(document, "bytes", run->totals.bytes);
    nm_json_integer(document, "refusals", run->refusals);
    if (run->options->strict) nm_json_integer(document, "left_out", run->totals.left_out);
    cJSON *refused = cJSON_AddArrayToObject(document, "refused");
    for (size_t i = 0; i < run->listed; i++) {
        cJSON *entry = cJSON_CreateObject();
        nm_json_integer(entry, "scene", (uint64_t)run->refused[i].id);
        cJSON_AddStringToObject(entry, "message", run->refused[i].error.message);
        if (!cJSON_AddItemToArray(refused, entry)) cJSON_Delete(entry);
    }
    nm_json_number(document, "seconds", seconds);
    nm_json_number(document, "scenes_per_s", seconds > 0 ? (double)run->totals.scenes / seconds : 0);
    return nm_cli_print_json(run->command, document);
}

static int print_text(const export_run *run, double seconds) {
    printf("%llu %s in %llu files, %.1f MB, in %.1f s: %s\n", (unsigned long long)run->totals.scenes,
           run->options->windows ? "records" : "scenes", (unsigned long long)run->totals.files,
           (double)run->totals.bytes / 1e6, seconds, run->options->out);
    if (run->totals.left_out)
        printf("%llu tracks, or stretches of them, that the schema does not allow were left out: manifest.json says of "
               "which scenes\n",
               (unsigned long long)run->totals.left_out);
    return nm_cli_finish(run->command);
}

static int report(const export_run *run, const nm_common *common, double seconds) {
    for (size_t i = 0; i < run->listed; i++) {
        nm_error error = run->refused[i].error;
        snprintf(error.message, sizeof error.message, "scene %lld: %.470s", (long long)run->refused[i].id,
                 run->refused[i].error.message);
        nm_cli_fail(run->command, &error);
    }
    if (run->refusals > run->listed)
        fprintf(stderr, "nearmiss export: %llu more were refused\n", (unsigned long long)(run->refusals - run->listed));
    int result = NM_EXIT_OK;
    if (common->json)
        result = print_json(run, seconds);
    else if (!common->quiet)
        result = print_text(run, seconds);
    return run->refusals ? NM_EXIT_FAILED : result;
}

// --- the command -----------------------------------------------------------------------------------------------------

static int export_scenes(export_run *run, const nm_common *common, int id_count, char **ids) {
    const export_options *o = run->options;
    nm_error error;
    nm_error_clear(&error);
    const double start = nm_clock();
    run->line = manifest_line(o, id_count, ids);
    nm_status status = run->line ? NM_OK : NM_ERROR(&error, NM_E_MEMORY, "out of memory");
    if (status == NM_OK)
        status = id_count ? nm_scene_ids_parse(ids, id_count, &run->list, &error)
                          : nm_scene_ids_choose(o->store, o->only, run->kind, o->where, (size_t)o->limit, &run->list,
                                                &error);
    if (status == NM_E_ARGUMENT) {
        nm_cli_fail(run->command, &error);
        close_run(run);
        return NM_EXIT_USAGE;
    }
    if (status == NM_OK) status = open_run(run, common, &error);
    if (status == NM_OK) {
        run->progress = nm_progress_start("export", "scenes", run->list.count, common->quiet || common->json);
        status = write_all(run, &error);
        nm_progress_finish(run->progress);
    }
    if (status == NM_OK) status = nm_exporter_finish(run->exporter, &run->totals, &error);
    int result = status == NM_OK ? report(run, common, nm_clock() - start) : nm_cli_fail(run->command, &error);
    if (status == NM_E_ARGUMENT) result = NM_EXIT_USAGE; // --name
    close_run(run);
    return result;
}

static int run_export(const nm_command *command, int argc, char **argv) {
    export_options options = {.name = "nearmiss", .shards = 1};
    nm_common common = {0};
    int count;
    const nm_option list[] = {
        {"store", NM_OPTION_TEXT, &options.store, "S.db", "the store whose scenes are written", 0, 0},
        {"format", NM_OPTION_TEXT, &options.format, "NAME",
         "womd, womd-example, osi, osi-complete, openscenario, opendrive, commonroad, nearmiss or csv "
         "(docs/formats.md)",
         0, 0},
        {"out", NM_OPTION_TEXT, &options.out, "DIR",
         "folder of the files; made when it is missing, those above it, too", 0, 0},
        {"kind", NM_OPTION_TEXT, &options.kind, "KIND", "only scenes with an event of this kind", 0, 0},
        {"where", NM_OPTION_TEXT, &options.where, "SQL", "only scenes with an event for which this holds, as in find",
         0, 0},
        {"only", NM_OPTION_TEXT, &options.only, "NAMES",
         "only scenes of these names, with *, ? and [a-z], separated by commas", 0, 0},
        {"limit", NM_OPTION_INTEGER, &options.limit, "N", "so many of them, evenly; 0 = all (default)", 0, 1e9},
        {"shards", NM_OPTION_INTEGER, &options.shards, "N",
         "so many files, NAME-00000-of-N and so on, where a file holds many scenes (default 1)", 1, NM_SHARDS_MAX},
        {"name", NM_OPTION_TEXT, &options.name, "NAME", "how the names of such files begin (default nearmiss)", 0, 0},
        {"ego", NM_OPTION_TEXT, &options.ego, "WHAT",
         "recorded: an agent like the others; planned: left to a planner, which starts at the current step (default "
         "for "
         "commonroad)",
         0, 0},
        {"windows", NM_OPTION_INTEGER, &options.windows, "N",
         "womd and womd-example: scenes of more than 9.1 s become a record for each 9.1 s, the next N steps of 0.1 s "
         "later (91: one after the other); default: one record, around the current step",
         1, 1e9},
        {"strict", NM_OPTION_FLAG, &options.strict, NULL,
         "commonroad: what its schema does not allow is left out (who comes later than step 0, or for one step) or "
         "refused",
         0, 0},
        {"overwrite", NM_OPTION_FLAG, &options.overwrite, NULL, "replace an earlier export in the folder", 0, 0},
    };
    const int status = nm_cli_parse(command, list, sizeof list / sizeof *list, &common, argc, argv, 0, -1, &count);
    if (status >= 0) return status;
    export_run run = {.command = command, .options = &options};
    const int usage = check_options(&run, count);
    return usage >= 0 ? usage : export_scenes(&run, &common, count, argv);
}

const nm_command nm_command_export = {
    .name = "export",
    .summary = "Writes scenes of a store in other people's formats.",
    .usage = "export --store S.db --format NAME --out DIR [--kind KIND] [--where SQL] [--only NAMES] [--limit N] "
             "[--shards N] "
             "[--name NAME] [--ego recorded|planned] [--windows N] [--strict] [--overwrite] [ID...]",
    .example = "nearmiss export --store scenes.db --format womd --where \"severity > 0.5\" --shards 10 --out womd",
    .run = run_export,
};
