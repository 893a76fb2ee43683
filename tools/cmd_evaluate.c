/// `nearmiss evaluate`: planners through stored scenes in closed loop, and their scores.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/evaluation.h"
#include "scenarios/planner_open.h"
#include "tools/cli.h"
#include "tools/scene_ids.h"

#define PLANNERS_MAX 8u

typedef struct evaluate_options {
    const char *store, *agents, *idm, *execution, *kind, *where, *results, *config;
    nm_text_list planners;
    int64_t limit, seed;
    double seconds, deadline;
    int no_expert;
} evaluate_options;

/// A planner and what it came to.
typedef struct entrant {
    const char *specification;
    nm_evaluation_report report;
    nm_nuplan_mean mean;
    double collided, plan_mean; ///< share of scenes with a collision at fault; s
} entrant;

typedef struct evaluate_run {
    const nm_command *command;
    const nm_common *common;
    const evaluate_options *options;
    nm_episode_config episode;
    nm_planner_options planner_options;
    int kind; ///< nm_kind, -1 = any
    nm_scene_ids scenes;
    entrant entrants[PLANNERS_MAX + 1];
    uint32_t entrant_count, current;
    nm_results *results;
    nm_thread_pool *pool;
    nm_progress *progress;
    nm_arena *arena;
} evaluate_run;

// ---------------------------------------------------------------------------------------------------------------------
// The runs

static nm_status open_planner(void *context, nm_planner **planner, nm_error *error) {
    const evaluate_run *run = context;
    return nm_planner_open(run->entrants[run->current].specification, &run->planner_options, planner, error);
}

static void show_progress(void *context, size_t episodes) {
    nm_progress_add(((evaluate_run *)context)->progress, episodes);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/// Scores over all scenes; those that nobody can drive count for nobody.
static nm_status sum_up(evaluate_run *run, entrant *e, nm_error *error) {
    nm_results_row *rows;
    size_t count, scored = 0;
    nm_arena_reset(run->arena);
    nm_status status = nm_results_rows(run->results, e->report.run, run->arena, &rows, &count, error);
    if (status != NM_OK) return status;
    count = nm_results_select(rows, count, run->scenes.ids, run->scenes.count);
    nm_nuplan_entry *entries = NM_ARENA_ARRAY(run->arena, nm_nuplan_entry, count + 1);
    if (!entries) return NM_ERROR(error, NM_E_MEMORY, "out of memory for results");
    for (size_t i = 0; i < count; ++i) {
        const nm_episode *d = &rows[i].episode;
        if (d->outcome == NM_EPISODE_UNFIT) continue;
        nm_nuplan_entry *entry = &entries[scored++];
        *entry = (nm_nuplan_entry){.failed = d->outcome == NM_EPISODE_FAILED, .score = d->score.score};
        for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) entry->metric[m] = d->score.metric[m].value;
        e->collided += d->outcome == NM_EPISODE_DONE && d->score.metric[NM_NUPLAN_COLLISIONS].value < 1.0;
        e->plan_mean += d->plan_mean;
    }
    if (scored) {
        e->collided /= (double)scored;
        e->plan_mean /= (double)scored;
    }
    nm_nuplan_mean types[1];
    return nm_nuplan_aggregate(entries, scored, NM_NUPLAN_FAILURES_COUNT, types, 1, &e->mean, error);
}

static nm_status run_entrant(evaluate_run *run, uint32_t index, nm_error *error) {
    entrant *e = &run->entrants[index];
    run->current = index;
    const nm_evaluation_config config = {
        .episode = run->episode,
        .planner = open_planner,
        .planner_context = run,
        .run = {.planner = e->specification,
                .store = base_name(run->options->store),
                .weights = "",
                .config = run->options->config,
                .program = "nearmiss " NM_VERSION},
        .store = run->options->store,
        .scenes = run->scenes.ids,
        .scene_count = run->scenes.count,
        .stop = nm_cli_stop,
        .progress = show_progress,
        .progress_context = run,
    };
    run->progress =
        nm_progress_start(e->specification, "scenes", run->scenes.count, run->common->quiet || run->common->json);
    nm_status status = nm_evaluation_run(&config, run->results, run->pool, &e->report, error);
    nm_progress_finish(run->progress);
    return status == NM_OK ? sum_up(run, e, error) : status;
}

// ---------------------------------------------------------------------------------------------------------------------
// What comes out

static int print_table(const evaluate_run *run) {
    static const char *const headings[] = {"planner",     ">score",     ">no collision at fault",
                                           ">on road",    ">direction", ">progress",
                                           ">making way", ">TTC",       ">limit",
                                           ">comfort",    ">failed",    ">unfit",
                                           ">ms/step"};
    static const nm_nuplan_metric order[] = {
        NM_NUPLAN_COLLISIONS,      NM_NUPLAN_DRIVABLE_AREA, NM_NUPLAN_DRIVING_DIRECTION, NM_NUPLAN_PROGRESS,
        NM_NUPLAN_MAKING_PROGRESS, NM_NUPLAN_TTC,           NM_NUPLAN_SPEED_LIMIT,       NM_NUPLAN_COMFORT};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    for (uint32_t i = 0; i < run->entrant_count; ++i) {
        const entrant *e = &run->entrants[i];
        nm_table_cell(table, "%s", e->specification);
        nm_table_cell(table, "%.4f", e->mean.score);
        for (size_t m = 0; m < sizeof order / sizeof *order; ++m)
            nm_table_cell(table, "%.3f", e->mean.metric[order[m]]);
        nm_table_cell(table, "%zu", e->report.failed);
        nm_table_cell(table, "%zu", e->report.unfit);
        nm_table_cell(table, "%.3f", 1e3 * e->plan_mean);
    }
    nm_table_print(table, stdout);
    nm_table_destroy(table);
    const nm_idm_params *idm = run->episode.idm;
    printf("\n%zu scenes, agents %s, %s, %g s at most", run->scenes.count, nm_episode_agents_name(run->episode.agents),
           run->episode.perfect ? "plans followed exactly" : "plans tracked by nuPlan's two-stage controller",
           (double)run->episode.seconds);
    if (run->episode.agents == NM_EPISODE_IDM)
        printf(", IDM set %s: T %.2f s, s0 %.1f m, a %.1f, b %.1f m/s2", idm->name, (double)idm->time_gap,
               (double)idm->min_gap, (double)idm->accel, (double)idm->brake);
    printf("\n");
    return nm_cli_finish(run->command);
}

static cJSON *entrant_json(const entrant *e) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "planner", e->specification);
    nm_json_number(object, "score", e->mean.score);
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m)
        nm_json_number(object, nm_nuplan_describe((nm_nuplan_metric)m)->name, e->mean.metric[m]);
    nm_json_integer(object, "scenes", e->mean.scenarios);
    nm_json_integer(object, "failed", e->report.failed);
    nm_json_integer(object, "unfit", e->report.unfit);
    nm_json_number(object, "collided_at_fault", e->collided);
    nm_json_number(object, "plan_ms", 1e3 * e->plan_mean);
    nm_json_integer(object, "driven_now", e->report.driven);
    nm_json_number(object, "realtime_factor",
                   e->report.driven ? e->report.driven_seconds / e->report.wall_seconds : NAN);
    return object;
}

static int print_json(const evaluate_run *run) {
    cJSON *document = cJSON_CreateObject();
    nm_json_integer(document, "scenes", run->scenes.count);
    cJSON_AddStringToObject(document, "agents", nm_episode_agents_name(run->episode.agents));
    cJSON_AddStringToObject(document, "idm", run->episode.idm->name);
    cJSON_AddStringToObject(document, "execution", run->episode.perfect ? "perfect" : "tracked");
    nm_json_number(document, "seconds", (double)run->episode.seconds);
    cJSON *list = cJSON_AddArrayToObject(document, "planners");
    for (uint32_t i = 0; i < run->entrant_count; ++i) cJSON_AddItemToArray(list, entrant_json(&run->entrants[i]));
    return nm_cli_print_json(run->command, document);
}

/// Says of each planner which scenes failed and why, a few of them.
static void list_failures(const evaluate_run *run, const entrant *e) {
    nm_results_row *rows;
    size_t count, shown = 0;
    nm_arena_reset(run->arena);
    if (!e->report.failed && !e->report.unfit) return;
    if (nm_results_rows(run->results, e->report.run, run->arena, &rows, &count, NULL) != NM_OK) return;
    count = nm_results_select(rows, count, run->scenes.ids, run->scenes.count);
    for (size_t i = 0; i < count && shown < 5; ++i) {
        if (rows[i].episode.outcome == NM_EPISODE_DONE) continue;
        nm_error why;
        nm_error_clear(&why);
        NM_ERROR(&why, NM_E_UNSUPPORTED, "%s, scene %" PRId64 " %s: %.300s", e->specification, rows[i].scene,
                 nm_episode_outcome_name(rows[i].episode.outcome), rows[i].episode.reason);
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
                                     "constant_velocity, idm and pdm; or ./libmine.so, "
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
    run->episode.seconds = (float)o->seconds;
    run->episode.deadline = (float)o->deadline;
    run->episode.seed = (uint64_t)o->seed;
    run->planner_options = nm_planner_options_default();
    run->planner_options.config = o->config;
    int expert = o->no_expert;
    for (size_t i = 0; i < o->planners.count; ++i) {
        run->entrants[run->entrant_count++].specification = o->planners.items[i];
        expert |= strcmp(o->planners.items[i], "expert") == 0;
    }
    if (!expert) run->entrants[run->entrant_count++].specification = "expert";
    return -1;
}

static nm_status evaluate(evaluate_run *run, int id_count, char **ids, nm_error *error) {
    const evaluate_options *o = run->options;
    run->arena = nm_arena_create(0);
    nm_status status = run->arena ? nm_episode_check(&run->episode, error)
                                  : NM_ERROR(error, NM_E_MEMORY, "out of memory for an evaluation");
    if (status == NM_OK)
        status = id_count ? nm_scene_ids_parse(ids, id_count, &run->scenes, error)
                          : nm_scene_ids_choose(o->store, run->kind, o->where, (size_t)o->limit, &run->scenes, error);
    // last, so that what goes wrong before leaves no file
    if (status == NM_OK) status = nm_results_open(o->results ? o->results : ":memory:", 1, &run->results, error);
    if (status == NM_OK) status = nm_thread_pool_create((int)run->common->threads, &run->pool, error);
    for (uint32_t i = 0; status == NM_OK && i < run->entrant_count; ++i) status = run_entrant(run, i, error);
    return status;
}

static int run_evaluate(const nm_command *command, int argc, char **argv) {
    evaluate_options options = {
        .agents = "idm", .idm = "nuplan", .execution = "tracked", .config = "", .seconds = 15.0, .deadline = 1.0};
    nm_common common = {0};
    const nm_option table[] = {
        {"store", NM_OPTION_TEXT, &options.store, "S.db", "store with the scenes", 0, 0},
        {"planner", NM_OPTION_LIST, &options.planners, "P",
         "expert, constant_velocity, idm, pdm, ./libmine.so, \"exec:COMMAND\" or unix:PATH; repeatable", 0, 0},
        {"config", NM_OPTION_TEXT, &options.config, "TEXT", "handed to planners that are not built in", 0, 0},
        {"agents", NM_OPTION_TEXT, &options.agents, "A", "log = replayed, idm = reacting (default), nexus = the model",
         0, 0},
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
        {"no-expert", NM_OPTION_FLAG, &options.no_expert, "", "without the recorded drive beside them", 0, 0},
    };
    int count;
    const int parsed = nm_cli_parse(command, table, sizeof table / sizeof *table, &common, argc, argv, 0, -1, &count);
    if (parsed >= 0) return parsed;
    evaluate_run run = {.command = command, .common = &common, .options = &options};
    const int usage = read_options(&run);
    if (usage >= 0) return usage;
    if (count && (options.kind || options.where))
        return nm_cli_usage(command, "scenes by number, or by --kind and --where, not both");
    nm_error error;
    nm_error_clear(&error);
    const nm_status status = evaluate(&run, count, argv, &error);
    int exit_status = NM_EXIT_OK;
    if (status == NM_OK) {
        for (uint32_t i = 0; i < run.entrant_count && !common.quiet; ++i) list_failures(&run, &run.entrants[i]);
        exit_status = common.json ? print_json(&run) : print_table(&run);
    } else {
        exit_status = nm_cli_fail(command, &error);
    }
    nm_results_close(run.results);
    nm_thread_pool_destroy(run.pool);
    nm_scene_ids_release(&run.scenes);
    nm_arena_destroy(run.arena);
    return exit_status;
}

const nm_command nm_command_evaluate = {
    .name = "evaluate",
    .summary = "Drives planners through stored scenes in closed loop and scores them.",
    .usage = "evaluate [ID...] --store S.db --planner P... [--agents log|idm|nexus] [--results R.db] [--limit N]",
    .example = "nearmiss evaluate --store scenes.db --planner idm --planner \"exec:python3 mine.py\" --results runs.db",
    .run = run_evaluate,
};
