/// `nearmiss evaluate`: planners through stored scenes in closed loop, and their scores.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tools/cmd_evaluate.h"

// ---------------------------------------------------------------------------------------------------------------------
// Options

/// "log,idm": each once.
static int read_agents(nm_evaluate_run *run) {
    const char *list = run->options->agents;
    do {
        const size_t length = strcspn(list, ",");
        char name[64];
        nm_episode_agents agents;
        snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), list);
        if (!nm_episode_agents_from_name(name, &agents))
            return nm_cli_usage(run->command, "--agents wants log, idm or nexus, or several with commas, not '%.40s'",
                                name);
        for (uint32_t i = 0; i < run->agents_count; ++i)
            if (run->agents[i] == agents) return nm_cli_usage(run->command, "--agents names %s twice", name);
        run->agents[run->agents_count++] = agents;
        run->uses_model |= agents == NM_EPISODE_NEXUS;
        list += length;
    } while (*list++ == ',');
    return -1;
}

/// Results tell stores by their base names.
static int read_stores(nm_evaluate_run *run) {
    const nm_text_list *stores = &run->options->stores;
    if (!stores->count) return nm_cli_usage(run->command, "--store S.db is missing");
    if (stores->count > NM_EVALUATE_STORES)
        return nm_cli_usage(run->command, "at most %u stores at a time", NM_EVALUATE_STORES);
    for (size_t i = 0; i < stores->count; ++i) {
        for (size_t k = 0; k < i; ++k)
            if (strcmp(nm_base_name(stores->items[k]), nm_base_name(stores->items[i])) == 0)
                return nm_cli_usage(run->command, "two stores are called %.80s", nm_base_name(stores->items[i]));
        nm_evaluate_store *store = &run->stores[run->store_count++];
        store->path = stores->items[i];
        snprintf(store->name, sizeof store->name, "%.290s%s", nm_base_name(store->path),
                 run->options->problems ? " (planning problems)" : "");
    }
    return -1;
}

static int read_planners(nm_evaluate_run *run) {
    const nm_text_list *planners = &run->options->planners;
    if (!planners->count)
        return nm_cli_usage(run->command, "--planner NAME is missing: built in are expert, "
                                          "constant_velocity, idm, pdm and nexus; or ./libmine.so, "
                                          "\"exec:python3 mine.py\", unix:PATH");
    if (planners->count > NM_EVALUATE_PLANNERS)
        return nm_cli_usage(run->command, "at most %u planners at a time", NM_EVALUATE_PLANNERS);
    int expert = run->options->no_expert;
    for (size_t i = 0; i < planners->count; ++i) {
        for (size_t k = 0; k < i; ++k)
            if (strcmp(planners->items[k], planners->items[i]) == 0)
                return nm_cli_usage(run->command, "--planner %.60s is there twice", planners->items[i]);
        run->planners[run->planner_count++] = planners->items[i];
        run->uses_model |= nm_evaluate_nexus_samples(planners->items[i]) > 0;
        expert |= strcmp(planners->items[i], "expert") == 0;
    }
    if (!expert) run->planners[run->planner_count++] = "expert";
    return -1;
}

static int read_choices(nm_evaluate_run *run) {
    const nm_evaluate_options *o = run->options;
    const nm_command *command = run->command;
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
    if (!nm_evaluation_grouping_from_name(o->groups, &run->grouping))
        return nm_cli_usage(command, "--groups wants motion, place or scene, not '%.40s'", o->groups);
    if (strcmp(o->precision, "bf16") != 0 && strcmp(o->precision, "f32") != 0)
        return nm_cli_usage(command, "--precision wants bf16 or f32, not '%.40s'", o->precision);
    if (!run->uses_model && (o->model || strcmp(run->common->device, "cuda") == 0))
        return nm_cli_usage(command, "%s is of the model: add --agents nexus or --planner nexus",
                            o->model ? "--model" : "--device cuda");
    nm_error error;
    nm_error_clear(&error);
    if (nm_evaluate_adversaries_parse(&o->adversaries, &run->adversaries, &error) != NM_OK)
        return nm_cli_usage(command, "--adversary: %.600s", error.message);
    return -1;
}

static int read_options(nm_evaluate_run *run) {
    const nm_evaluate_options *o = run->options;
    run->episode = nm_episode_config_default();
    int usage = read_stores(run);
    if (usage < 0) usage = read_planners(run);
    if (usage < 0) usage = read_agents(run);
    if (usage < 0) usage = read_choices(run);
    run->episode.seconds = (float)o->seconds;
    run->episode.deadline = (float)o->deadline;
    run->episode.seed = (uint64_t)o->seed;
    run->planner_options = nm_planner_options_default();
    run->planner_options.config = o->config;
    return usage;
}

char *nm_evaluate_same_options(const nm_evaluate_options *o, nm_episode_agents agents) {
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    const struct {
        const char *name, *value, *usual;
    } texts[] = {{"config", o->config, ""},
                 {"agents", nm_episode_agents_name(agents), ""},
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
    if (o->problems) fputs(" --problems", file);
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

static int execute(nm_evaluate_run *run, int id_count, char **ids) {
    nm_error error;
    nm_error_clear(&error);
    const nm_status status = nm_evaluate_execute(run, id_count, ids, &error);
    int exit_status = NM_EXIT_OK;
    if (status == NM_OK) {
        if (!run->common->quiet) nm_evaluate_list_failures(run);
        exit_status = run->common->json ? nm_evaluate_print_json(run) : nm_evaluate_print_table(run);
    } else {
        exit_status = nm_cli_fail(run->command, &error);
    }
    nm_evaluate_release(run);
    return exit_status;
}

/// With the options as they were parsed, which may still make no sense together.
static int start(const nm_command *command, const nm_common *common, const nm_evaluate_options *options,
                 char *command_line, int id_count, char **ids) {
    nm_evaluate_run *run = calloc(1, sizeof *run); // too large for a stack
    if (!run) {
        nm_error error;
        nm_error_clear(&error);
        NM_ERROR(&error, NM_E_MEMORY, "out of memory for an evaluation");
        return nm_cli_fail(command, &error);
    }
    run->command = command;
    run->common = common;
    run->options = options;
    run->command_line = command_line;
    int usage = read_options(run);
    if (usage < 0 && id_count && (options->kind || options->where || options->only))
        usage = nm_cli_usage(command, "scenes by number, or by --only, --kind and --where, not both");
    if (usage < 0 && id_count && run->store_count > 1)
        usage = nm_cli_usage(command, "scenes by number are of one store, not of %u", run->store_count);
    if (usage < 0) usage = execute(run, id_count, ids);
    free(run);
    return usage;
}

static nm_evaluate_options usual_options(void) {
    return (nm_evaluate_options){.agents = "idm",
                                 .idm = "nuplan",
                                 .groups = "motion",
                                 .execution = "tracked",
                                 .config = "",
                                 .precision = "bf16",
                                 .seconds = 15.0,
                                 .deadline = 1.0,
                                 .gallery = 12,
                                 .pass_score = NAN};
}

#define OPTIONS_MOST 32u

/// What is driven, and how. Returns how many there are.
static uint32_t driving_options(nm_evaluate_options *o, nm_option *to) {
    const nm_option table[] = {
        {"store", NM_OPTION_LIST, &o->stores, "S.db",
         "store with the scenes; several stand side by side: which planners does one set tell apart that another does "
         "not?",
         0, 0},
        {"planner", NM_OPTION_LIST, &o->planners, "P",
         "expert, constant_velocity, idm, pdm, nexus[:SAMPLES], ./libmine.so, \"exec:COMMAND\" or unix:PATH; "
         "repeatable",
         0, 0},
        {"config", NM_OPTION_TEXT, &o->config, "TEXT", "handed to planners that are not built in", 0, 0},
        {"agents", NM_OPTION_TEXT, &o->agents, "A",
         "log = replayed, idm = reacting (default), nexus = the model; several with commas stand side by side", 0, 0},
        {"realism", NM_OPTION_INTEGER, &o->realism, "N",
         "also say how real the agents are, by so many rollouts of each scene: the realism metrics of Waymo's sim "
         "agents "
         "challenge, as it has 32; 0 = leave them out (default). An independent reimplementation, no official score: "
         "see NOTICE about licence and patents",
         0, 1000},
        {"groups", NM_OPTION_TEXT, &o->groups, "G",
         "scenes count as one for intervals that repeat each other's motion or were made from one (motion, default), "
         "are of one place, or each for itself (scene)",
         0, 0},
        {"model", NM_OPTION_TEXT, &o->model, "F",
         "weights of the model (default: $NEARMISS_MODEL, else those that come with the program)", 0, 0},
        {"precision", NM_OPTION_TEXT, &o->precision, "NAME", "of the model: bf16 (default) or f32", 0, 0},
        {"idm", NM_OPTION_TEXT, &o->idm, "SET", "parameters of IDM agents: nuplan (default), nearmiss, waymax, ...", 0,
         0},
        {"execution", NM_OPTION_TEXT, &o->execution, "E",
         "tracked = nuPlan's two-stage controller (default), perfect = plans are followed exactly", 0, 0},
        {"seconds", NM_OPTION_REAL, &o->seconds, "S", "driven at most (default 15)", 1, 60},
        {"deadline", NM_OPTION_REAL, &o->deadline, "S", "for an answer, 0 = none (default 1)", 0, 3600},
        {"kind", NM_OPTION_TEXT, &o->kind, "KIND", "only scenes with an event of this kind", 0, 0},
        {"where", NM_OPTION_TEXT, &o->where, "SQL", "only scenes with an event for which this holds, as in find", 0, 0},
        {"only", NM_OPTION_TEXT, &o->only, "NAMES",
         "only scenes of these names, with *, ? and [a-z], separated by commas", 0, 0},
        {"limit", NM_OPTION_INTEGER, &o->limit, "N", "so many of them, evenly; 0 = all (default)", 0, 1e9},
        {"adversary", NM_OPTION_LIST, &o->adversaries, "KIND",
         "one agent is steered by this kind against the planner, in every scene; repeatable, a,b, or all", 0, 0},
        {"seed", NM_OPTION_INTEGER, &o->seed, "K", "of agents and planners (default 0)", 0, 9e15},
    };
    memcpy(to, table, sizeof table);
    return sizeof table / sizeof *table;
}

/// What is told of it.
static uint32_t telling_options(nm_evaluate_options *o, nm_option *to) {
    const nm_option table[] = {
        {"results", NM_OPTION_TEXT, &o->results, "R.db", "keep results here; a run that is there goes on", 0, 0},
        {"fresh", NM_OPTION_FLAG, &o->fresh, "",
         "forget what the results have of these planners in these worlds: of one that changed behind the same name", 0,
         0},
        {"report", NM_OPTION_TEXT, &o->report, "DIR",
         "leave a page, CSV, JSON and JUnit XML there, and results.db without --results", 0, 0},
        {"gallery", NM_OPTION_INTEGER, &o->gallery, "N",
         "pictures of so many worst scenes of each planner in the report (default 12)", 0, 1000},
        {"pass-score", NM_OPTION_REAL, &o->pass_score, "S",
         "JUnit: lower scores are failures (default: only a planner's failure is)", 0, 1},
        {"by", NM_OPTION_TEXT, &o->by, "type", "also print scores by type of scene", 0, 0},
        {"reasons", NM_OPTION_FLAG, &o->reasons, "",
         "also print why scores are not 1: metric, cost, and how often the recording lacks it, too", 0, 0},
        {"clean", NM_OPTION_FLAG, &o->clean, "",
         "only scenes whose recorded ego drives comfortably, on the road, by the rules, and touches nobody", 0, 0},
        {"problems", NM_OPTION_FLAG, &o->problems, "",
         "drive scenes without an ego from their planning problem's start to its goal", 0, 0},
        {"no-expert", NM_OPTION_FLAG, &o->no_expert, "", "without the recorded drive beside them", 0, 0},
    };
    memcpy(to, table, sizeof table);
    return sizeof table / sizeof *table;
}

static int run_evaluate(const nm_command *command, int argc, char **argv) {
    nm_evaluate_options options = usual_options();
    nm_common common = {0};
    nm_option table[OPTIONS_MOST];
    uint32_t known = driving_options(&options, table);
    known += telling_options(&options, table + known);
    NM_ASSERT(known <= OPTIONS_MOST);
    int count;
    char *command_line = command_line_of(argc, argv); // parsing changes the order
    const int parsed = nm_cli_parse(command, table, known, &common, argc, argv, 0, -1, &count);
    const int usage = parsed >= 0 ? parsed : start(command, &common, &options, command_line, count, argv);
    free(command_line);
    return usage;
}

const nm_command nm_command_evaluate = {
    .name = "evaluate",
    .summary = "Drives planners through stored scenes in closed loop and scores them.",
    .usage = "evaluate [ID...] --store S.db --planner P... [--agents log,idm,nexus] [--adversary KIND]... "
             "[--realism N] [--report DIR] [--limit N]",
    .example = "nearmiss evaluate --store scenes.db --planner idm --planner \"exec:python3 mine.py\" --report report",
    .cuda = 1,
    .run = run_evaluate,
};
