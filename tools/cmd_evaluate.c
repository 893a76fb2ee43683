/// `nearmiss evaluate`: planners through stored scenes in closed loop, and their scores.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/evaluation.h"
#include "scenarios/planner_open.h"
#include "tools/cli.h"
#include "tools/cmd_evaluate_model.h"
#include "tools/evaluate_folder.h"
#include "tools/scene_ids.h"

#define PLANNERS_MAX 8u

typedef struct evaluate_options {
    const char *store, *agents, *idm, *execution, *kind, *where, *results, *config, *report, *by, *model, *precision;
    nm_text_list planners;
    int64_t limit, seed, gallery;
    double seconds, deadline, pass_score;
    int no_expert;
} evaluate_options;

typedef struct evaluate_run {
    const nm_command *command;
    const nm_common *common;
    const evaluate_options *options;
    nm_episode_config episode;
    nm_planner_options planner_options;
    int kind; ///< nm_kind, -1 = any
    int uses_model;
    nm_scene_ids scenes;
    nm_evaluation_entrant entrants[PLANNERS_MAX + 1];
    nm_evaluation_report reports[PLANNERS_MAX + 1];
    uint32_t entrant_count, current;
    nm_evaluate_folder folder; // of the report; empty without one
    nm_evaluate_model model;
    nm_results *results;
    nm_evaluation_summary summary;
    nm_evaluate_report report; // borrows the above
    char *command_line, *same_options;
    nm_thread_pool *pool;
    nm_progress *progress;
    nm_arena *arena;
} evaluate_run;

// ---------------------------------------------------------------------------------------------------------------------
// The runs

static int is_nexus(const char *specification) {
    return strcmp(specification, "nexus") == 0;
}

static nm_status open_planner(void *context, nm_planner **planner, nm_error *error) {
    const evaluate_run *run = context;
    const evaluate_options *o = run->options;
    const int alone = run->episode.agents == NM_EPISODE_NEXUS; // else each thread has a model of its own
    if (is_nexus(run->entrants[run->current].planner))
        return nm_evaluate_model_planner(o->model, o->precision, run->common, alone ? (int)run->common->threads : 1,
                                         planner, error);
    return nm_planner_open(run->entrants[run->current].planner, &run->planner_options, planner, error);
}

static void show_progress(void *context, size_t episodes) {
    nm_progress_add(((evaluate_run *)context)->progress, episodes);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/// The rows of the scenes that were asked for: a file of results may hold more of the same run. Both are ascending.
static nm_status read_rows(evaluate_run *run, uint32_t index, nm_error *error) {
    nm_results_row *rows;
    size_t count;
    const nm_status status = nm_results_rows(run->results, run->reports[index].run, run->arena, &rows, &count, error);
    if (status != NM_OK) return status;
    run->entrants[index].rows = rows;
    run->entrants[index].count = nm_results_select(rows, count, run->scenes.ids, run->scenes.count);
    return NM_OK;
}

static nm_status sum_up(evaluate_run *run, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < run->entrant_count; ++i) status = read_rows(run, i, error);
    if (status == NM_OK)
        status = nm_evaluation_summarize(run->entrants, run->entrant_count, NULL, run->arena, &run->summary, error);
    run->report = (nm_evaluate_report){.store = run->options->store,
                                       .results = run->options->results ? run->options->results : run->folder.results,
                                       .command_line = run->command_line,
                                       .options = run->same_options,
                                       .made = run->folder.made,
                                       .episode = &run->episode,
                                       .entrants = run->entrants,
                                       .summary = &run->summary,
                                       .scenes = run->scenes.count,
                                       .pass_score = run->options->pass_score};
    return status;
}

static nm_status run_entrant(evaluate_run *run, uint32_t index, nm_error *error) {
    const char *planner = run->entrants[index].planner;
    run->current = index;
    const nm_evaluation_config config = {
        .episode = run->episode,
        .planner = open_planner,
        .planner_context = run,
        .run = {.planner = planner,
                .store = base_name(run->options->store),
                .weights = run->episode.loop || is_nexus(planner) ? run->model.name : "",
                .config = run->options->config,
                .program = "nearmiss " NM_VERSION},
        .store = run->options->store,
        .scenes = run->scenes.ids,
        .scene_count = run->scenes.count,
        .stop = nm_cli_stop,
        .progress = show_progress,
        .progress_context = run,
    };
    run->progress = nm_progress_start(planner, "scenes", run->scenes.count, run->common->quiet || run->common->json);
    const nm_status status = nm_evaluation_run(&config, run->results, run->pool, &run->reports[index], error);
    nm_progress_finish(run->progress);
    return status;
}

static nm_status open_again(void *context, size_t planner, nm_planner **out, nm_error *error) {
    evaluate_run *run = context;
    run->current = (uint32_t)planner;
    return open_planner(run, out, error);
}

/// The gallery, and the files of the report.
static nm_status leave_report(evaluate_run *run, nm_error *error) {
    nm_evaluate_gallery *gallery = NULL;
    const nm_evaluate_gallery_config config = {.store = run->options->store,
                                               .driven = run->folder.driven,
                                               .episode = &run->episode,
                                               .open = open_again,
                                               .context = run,
                                               .most = (size_t)run->options->gallery,
                                               .progress = show_progress,
                                               .stop = nm_cli_stop};
    nm_status status = NM_OK;
    if (run->options->gallery) {
        const size_t shots = nm_evaluate_gallery_size(run->entrants, run->entrant_count, config.most);
        run->progress = nm_progress_start("gallery", "scenes", shots, run->common->quiet || run->common->json);
        status = nm_evaluate_gallery_make(&config, run->entrants, run->entrant_count, &gallery, error);
        nm_progress_finish(run->progress);
    }
    run->report.gallery = gallery;
    if (status == NM_OK) status = nm_evaluate_folder_write(&run->folder, &run->report, error);
    run->report.gallery = NULL;
    nm_evaluate_gallery_destroy(gallery);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// What comes out

static int print_table(const evaluate_run *run) {
    static const char *const headings[] = {"planner",   ">score",     ">no collision at fault",
                                           ">on road",  ">direction", ">making way",
                                           ">progress", ">TTC",       ">limit",
                                           ">comfort",  ">failed",    ">unfit",
                                           ">ms/step"};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    char text[NM_EVALUATE_NUMBER];
    for (uint32_t i = 0; i < run->entrant_count; ++i) {
        const nm_evaluation_sum *p = &run->summary.planners[i];
        nm_table_cell(table, "%s", run->entrants[i].planner);
        nm_table_cell(table, "%s", nm_evaluate_number(text, p->all.score, 4));
        for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m)
            nm_table_cell(table, "%s", nm_evaluate_number(text, p->all.metric[nm_evaluate_order[m]], 3));
        nm_table_cell(table, "%zu", p->all.failed);
        nm_table_cell(table, "%zu", p->all.unfit);
        nm_table_cell(table, "%s", nm_evaluate_number(text, 1e3 * p->plan_mean.mean, 3));
    }
    nm_table_print(table, stdout);
    nm_table_destroy(table);
    if (run->options->by) {
        printf("\n");
        nm_evaluate_print_types(&run->report, stdout);
    }
    const nm_idm_params *idm = run->episode.idm;
    printf("\n%zu scenes, agents %s, %s, %g s at most", run->scenes.count, nm_episode_agents_name(run->episode.agents),
           run->episode.perfect ? "plans followed exactly" : "plans tracked by nuPlan's two-stage controller",
           (double)run->episode.seconds);
    if (run->episode.agents == NM_EPISODE_IDM)
        printf(", IDM set %s: T %.2f s, s0 %.1f m, a %.1f, b %.1f m/s2", idm->name, (double)idm->time_gap,
               (double)idm->min_gap, (double)idm->accel, (double)idm->brake);
    if (run->uses_model) printf(", weights %s", run->model.name);
    printf("\n");
    if (run->folder.path) printf("report: %s\n", run->folder.page);
    return nm_cli_finish(run->command);
}

static int print_json(const evaluate_run *run) {
    cJSON *document = cJSON_CreateObject();
    nm_json_integer(document, "scenes", run->scenes.count);
    cJSON_AddStringToObject(document, "agents", nm_episode_agents_name(run->episode.agents));
    cJSON_AddStringToObject(document, "idm", run->episode.idm->name);
    cJSON_AddStringToObject(document, "weights", run->model.name);
    cJSON_AddStringToObject(document, "execution", run->episode.perfect ? "perfect" : "tracked");
    nm_json_number(document, "seconds", (double)run->episode.seconds);
    if (run->folder.path) cJSON_AddStringToObject(document, "report", run->folder.page);
    cJSON *list = cJSON_AddArrayToObject(document, "planners");
    for (uint32_t i = 0; i < run->entrant_count; ++i) {
        const nm_evaluation_report *r = &run->reports[i];
        cJSON *object = nm_evaluate_planner_json(&run->report, i);
        nm_json_integer(object, "driven_now", r->driven);
        nm_json_number(object, "realtime_factor", r->driven ? r->driven_seconds / r->wall_seconds : NAN);
        cJSON_AddItemToArray(list, object);
    }
    cJSON_AddItemToObject(document, "pairs", nm_evaluate_pairs_json(&run->report));
    return nm_cli_print_json(run->command, document);
}

/// Says of each planner which scenes failed and why, a few of them.
static void list_failures(const evaluate_run *run, uint32_t index) {
    const nm_evaluation_entrant *e = &run->entrants[index];
    size_t shown = 0;
    for (size_t i = 0; i < e->count && shown < 5; ++i) {
        const nm_results_row *row = &e->rows[i];
        if (row->episode.outcome == NM_EPISODE_DONE) continue;
        nm_error why;
        nm_error_clear(&why);
        NM_ERROR(&why, NM_E_UNSUPPORTED, "%s, scene %" PRId64 " %s: %.300s", e->planner, row->scene,
                 nm_episode_outcome_name(row->episode.outcome), row->episode.reason);
        nm_cli_fail(run->command, &why);
        ++shown;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Options

static int read_options(evaluate_run *run) {
    const evaluate_options *o = run->options;
    const nm_command *command = run->command;
    if (!o->store) return nm_cli_usage(command, "--store S.db is missing");
    if (!o->planners.count)
        return nm_cli_usage(command, "--planner NAME is missing: built in are expert, "
                                     "constant_velocity, idm, pdm and nexus; or ./libmine.so, "
                                     "\"exec:python3 mine.py\", unix:PATH");
    if (o->planners.count > PLANNERS_MAX) return nm_cli_usage(command, "at most %u planners at a time", PLANNERS_MAX);
    run->episode = nm_episode_config_default();
    if (!nm_episode_agents_from_name(o->agents, &run->episode.agents))
        return nm_cli_usage(command, "--agents wants log, idm or nexus, not '%.40s'", o->agents);
    run->episode.idm = nm_idm_named(o->idm);
    if (!run->episode.idm) return nm_cli_usage(command, "there are no IDM parameters '%.40s'", o->idm);
    run->episode.perfect = strcmp(o->execution, "perfect") == 0;
    if (!run->episode.perfect && strcmp(o->execution, "tracked") != 0)
        return nm_cli_usage(command, "--execution wants tracked or perfect, not '%.40s'", o->execution);
    nm_kind kind;
    if (o->kind && !nm_kind_from_name(o->kind, &kind))
        return nm_cli_usage(command, "there is no kind '%.60s'", o->kind);
    run->kind = o->kind ? (int)kind : -1;
    if (o->by && strcmp(o->by, "type") != 0) return nm_cli_usage(command, "--by wants type, not '%.40s'", o->by);
    if (strcmp(o->precision, "bf16") != 0 && strcmp(o->precision, "f32") != 0)
        return nm_cli_usage(command, "--precision wants bf16 or f32, not '%.40s'", o->precision);
    run->uses_model = run->episode.agents == NM_EPISODE_NEXUS;
    for (size_t i = 0; i < o->planners.count; ++i) run->uses_model |= is_nexus(o->planners.items[i]);
    if (!run->uses_model && (o->model || strcmp(run->common->device, "cuda") == 0))
        return nm_cli_usage(command, "%s is of the model: add --agents nexus or --planner nexus",
                            o->model ? "--model" : "--device cuda");
    run->episode.seconds = (float)o->seconds;
    run->episode.deadline = (float)o->deadline;
    run->episode.seed = (uint64_t)o->seed;
    run->planner_options = nm_planner_options_default();
    run->planner_options.config = o->config;
    int expert = o->no_expert;
    for (size_t i = 0; i < o->planners.count; ++i) {
        for (size_t k = 0; k < i; ++k)
            if (strcmp(o->planners.items[k], o->planners.items[i]) == 0)
                return nm_cli_usage(command, "--planner %.60s is there twice", o->planners.items[i]);
        run->entrants[run->entrant_count++].planner = o->planners.items[i];
        expert |= strcmp(o->planners.items[i], "expert") == 0;
    }
    if (!expert) run->entrants[run->entrant_count++].planner = "expert";
    return -1;
}

/// Options that drive a scene the same way again, those that are not the default. NULL: no memory.
static char *same_options(const evaluate_options *o) {
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    const struct {
        const char *name, *value, *usual;
    } texts[] = {{"config", o->config, ""},
                 {"agents", o->agents, ""},
                 {"idm", o->idm, "nuplan"},
                 {"execution", o->execution, "tracked"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
        if (strcmp(texts[i].value, texts[i].usual) == 0) continue;
        fprintf(file, " --%s=", texts[i].name); // values may begin with dashes
        nm_evaluate_shell_word(file, texts[i].value);
    }
    if (o->seconds < 15.0 || o->seconds > 15.0) fprintf(file, " --seconds %g", o->seconds);
    if (o->deadline < 1.0 || o->deadline > 1.0) fprintf(file, " --deadline %g", o->deadline);
    if (o->seed) fprintf(file, " --seed %" PRId64, o->seed);
    fclose(file);
    return text;
}

/// As it was typed. NULL: no memory.
static char *command_line_of(int argc, char **argv) {
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    fputs("nearmiss evaluate", file);
    for (int i = 0; i < argc; ++i) {
        fputc(' ', file);
        nm_evaluate_shell_word(file, argv[i]);
    }
    fclose(file);
    return text;
}

static nm_status open_results(evaluate_run *run, nm_error *error) {
    const evaluate_options *o = run->options;
    nm_status status = o->report ? nm_evaluate_folder_open(&run->folder, o->report, error) : NM_OK;
    if (status != NM_OK) return status;
    const char *path = o->results ? o->results : o->report ? run->folder.results : ":memory:";
    return nm_results_open(path, 1, &run->results, error);
}

static nm_status evaluate(evaluate_run *run, int id_count, char **ids, nm_error *error) {
    const evaluate_options *o = run->options;
    run->arena = nm_arena_create(0);
    run->same_options = same_options(o);
    nm_status status = run->arena && run->command_line && run->same_options
                           ? NM_OK
                           : NM_ERROR(error, NM_E_MEMORY, "out of memory for an evaluation");
    if (status == NM_OK && run->uses_model)
        status = nm_evaluate_model_open(&run->model, o->model, o->precision, run->common, error);
    run->episode.loop = run->episode.agents == NM_EPISODE_NEXUS ? run->model.loop : NULL;
    if (status == NM_OK) status = nm_episode_check(&run->episode, error);
    if (status == NM_OK)
        status = id_count ? nm_scene_ids_parse(ids, id_count, &run->scenes, error)
                          : nm_scene_ids_choose(o->store, run->kind, o->where, (size_t)o->limit, &run->scenes, error);
    // last, so that what goes wrong before leaves no file
    if (status == NM_OK) status = open_results(run, error);
    if (status == NM_OK) status = nm_thread_pool_create((int)run->common->threads, &run->pool, error);
    for (uint32_t i = 0; status == NM_OK && i < run->entrant_count; ++i) status = run_entrant(run, i, error);
    if (status == NM_OK) status = sum_up(run, error);
    return status == NM_OK && o->report ? leave_report(run, error) : status;
}

static int execute(evaluate_run *run, int id_count, char **ids) {
    nm_error error;
    nm_error_clear(&error);
    const nm_status status = evaluate(run, id_count, ids, &error);
    int exit_status = NM_EXIT_OK;
    if (status == NM_OK) {
        for (uint32_t i = 0; i < run->entrant_count && !run->common->quiet; ++i) list_failures(run, i);
        exit_status = run->common->json ? print_json(run) : print_table(run);
    } else {
        exit_status = nm_cli_fail(run->command, &error);
    }
    nm_results_close(run->results);
    nm_evaluate_model_close(&run->model);
    nm_thread_pool_destroy(run->pool);
    nm_scene_ids_release(&run->scenes);
    nm_arena_destroy(run->arena);
    free(run->same_options);
    return exit_status;
}

static int run_evaluate(const nm_command *command, int argc, char **argv) {
    evaluate_options options = {.agents = "idm",
                                .idm = "nuplan",
                                .execution = "tracked",
                                .config = "",
                                .precision = "bf16",
                                .seconds = 15.0,
                                .deadline = 1.0,
                                .gallery = 12,
                                .pass_score = NAN};
    nm_common common = {0};
    const nm_option table[] = {
        {"store", NM_OPTION_TEXT, &options.store, "S.db", "store with the scenes", 0, 0},
        {"planner", NM_OPTION_LIST, &options.planners, "P",
         "expert, constant_velocity, idm, pdm, nexus, ./libmine.so, \"exec:COMMAND\" or unix:PATH; repeatable", 0, 0},
        {"config", NM_OPTION_TEXT, &options.config, "TEXT", "handed to planners that are not built in", 0, 0},
        {"agents", NM_OPTION_TEXT, &options.agents, "A", "log = replayed, idm = reacting (default), nexus = the model",
         0, 0},
        {"model", NM_OPTION_TEXT, &options.model, "F",
         "weights of the model (default: $NEARMISS_MODEL, else those that come with the program)", 0, 0},
        {"precision", NM_OPTION_TEXT, &options.precision, "NAME", "of the model: bf16 (default) or f32", 0, 0},
        {"idm", NM_OPTION_TEXT, &options.idm, "SET",
         "parameters of IDM agents: nuplan (default), nearmiss, waymax, ...", 0, 0},
        {"execution", NM_OPTION_TEXT, &options.execution, "E",
         "tracked = nuPlan's two-stage controller (default), perfect = plans are followed exactly", 0, 0},
        {"seconds", NM_OPTION_REAL, &options.seconds, "S", "driven at most (default 15)", 1, 60},
        {"deadline", NM_OPTION_REAL, &options.deadline, "S", "for an answer, 0 = none (default 1)", 0, 3600},
        {"kind", NM_OPTION_TEXT, &options.kind, "KIND", "only scenes with an event of this kind", 0, 0},
        {"where", NM_OPTION_TEXT, &options.where, "SQL", "only scenes with an event for which this holds, as in find",
         0, 0},
        {"limit", NM_OPTION_INTEGER, &options.limit, "N", "so many of them, evenly; 0 = all (default)", 0, 1e9},
        {"seed", NM_OPTION_INTEGER, &options.seed, "K", "of agents and planners (default 0)", 0, 9e15},
        {"results", NM_OPTION_TEXT, &options.results, "R.db", "keep results here; a run that is there goes on", 0, 0},
        {"report", NM_OPTION_TEXT, &options.report, "DIR",
         "leave a page, CSV, JSON and JUnit XML there, and results.db without --results", 0, 0},
        {"gallery", NM_OPTION_INTEGER, &options.gallery, "N",
         "pictures of so many worst scenes of each planner in the report (default 12)", 0, 1000},
        {"pass-score", NM_OPTION_REAL, &options.pass_score, "S",
         "JUnit: lower scores are failures (default: only a planner's failure is)", 0, 1},
        {"by", NM_OPTION_TEXT, &options.by, "type", "also print scores by type of scene", 0, 0},
        {"no-expert", NM_OPTION_FLAG, &options.no_expert, "", "without the recorded drive beside them", 0, 0},
    };
    int count;
    char *command_line = command_line_of(argc, argv); // parsing changes the order
    const int parsed = nm_cli_parse(command, table, sizeof table / sizeof *table, &common, argc, argv, 0, -1, &count);
    evaluate_run run = {.command = command, .common = &common, .options = &options, .command_line = command_line};
    int usage = parsed >= 0 ? parsed : read_options(&run);
    if (usage < 0 && count && (options.kind || options.where))
        usage = nm_cli_usage(command, "scenes by number, or by --kind and --where, not both");
    if (usage < 0) usage = execute(&run, count, argv);
    free(command_line);
    return usage;
}

const nm_command nm_command_evaluate = {
    .name = "evaluate",
    .summary = "Drives planners through stored scenes in closed loop and scores them.",
    .usage = "evaluate [ID...] --store S.db --planner P... [--agents log|idm|nexus] [--report DIR] [--limit N]",
    .example = "nearmiss evaluate --store scenes.db --planner idm --planner \"exec:python3 mine.py\" --report report",
    .cuda = 1,
    .run = run_evaluate,
};
