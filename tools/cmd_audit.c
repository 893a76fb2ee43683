/// `nearmiss audit`: an independent check of a generated set.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "nexus/recipe.h"
#include "scenarios/audit.h"
#include "scenarios/planner_trial.h"
#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/scene_ids.h"
#include "tools/shipped_model.h"

typedef struct audit_options {
    const char *where, *from, *model, *precision;
    const char *planner, *agents, *only, *idm;
    nm_text_list logs;
    int64_t regenerate, seed;
    nm_world_config world; ///< of the planner's trial
} audit_options;

typedef struct trial_row {
    const char *name;
    nm_trial trial;
} trial_row;

/// Everything that is printed.
typedef struct audit_result {
    nm_audit_totals totals;
    trial_row rows[1 + NM_LIST_MAX]; ///< [row_count] the set, then the logs
    size_t row_count;
} audit_result;

// --- results ---------------------------------------------------------------------------------------------------------

static cJSON *worst_json(const nm_audit_total *t) {
    cJSON *list = cJSON_CreateArray();
    for (uint32_t i = 0; i < t->worst_count; i++) {
        cJSON *one = cJSON_CreateObject();
        nm_json_integer(one, "scene", (uint64_t)t->worst[i].scene);
        nm_json_number(one, "value", t->worst[i].value);
        nm_json_number(one, "limit", t->worst[i].limit);
        cJSON_AddItemToArray(list, one);
    }
    return list;
}

static double share(const nm_trial *trial, uint64_t part) {
    return trial->runs ? (double)part / (double)trial->runs : NAN;
}

static double hours(const nm_trial *trial) {
    return (double)trial->steps * (double)NM_STEP_SECONDS / 3600.0;
}

static cJSON *trial_json(const trial_row *row) {
    const nm_trial *t = &row->trial;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "store", row->name);
    nm_json_integer(object, "scenes", t->scenes);
    nm_json_integer(object, "unreadable", t->unreadable);
    nm_json_integer(object, "runs", t->runs);
    nm_json_number(object, "hours", hours(t));
    nm_json_integer(object, "collided", t->collided);
    nm_json_integer(object, "at_fault", t->at_fault);
    nm_json_number(object, "collided_share", share(t, t->collided));
    nm_json_number(object, "at_fault_share", share(t, t->at_fault));
    nm_json_number(object, "collided_per_hour", t->steps ? (double)t->collided / hours(t) : NAN);
    nm_json_number(object, "at_fault_per_hour", t->steps ? (double)t->at_fault / hours(t) : NAN);
    return object;
}

static void print_trials(const audit_result *r) {
    static const char *const headings[] = {"planner drives in", ">scenes",   ">runs", ">hours", ">collided", ">%",
                                           ">/ hour",           ">at fault", ">%",    ">/ hour"};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    for (size_t i = 0; i < r->row_count; i++) {
        const nm_trial *t = &r->rows[i].trial;
        const uint64_t parts[2] = {t->collided, t->at_fault};
        nm_table_cell(table, "%s", nm_base_name(r->rows[i].name));
        nm_table_cell(table, "%" PRIu64, t->scenes);
        nm_table_cell(table, "%" PRIu64, t->runs);
        nm_table_cell(table, "%.3f", hours(t));
        for (int k = 0; k < 2; k++) {
            nm_table_cell(table, "%" PRIu64, parts[k]);
            nm_table_cell(table, "%.2f", 100.0 * share(t, parts[k]));
            nm_table_cell(table, "%.1f", (double)parts[k] / hours(t));
        }
    }
    if (r->row_count) printf("\n");
    if (r->row_count) nm_table_print(table, stdout);
    nm_table_destroy(table);
}

static cJSON *to_json(const audit_result *r) {
    const nm_audit_totals *totals = &r->totals;
    cJSON *document = cJSON_CreateObject();
    nm_json_integer(document, "scenes", totals->scenes);
    nm_json_integer(document, "broken", totals->broken);
    nm_json_integer(document, "unreadable", totals->unreadable);
    cJSON_AddStringToObject(document, "remark", totals->remark);
    cJSON *checks = cJSON_AddObjectToObject(document, "checks");
    for (int i = 0; i < NM_AUDIT_COUNT; i++) {
        const nm_audit_total *t = &totals->check[i];
        cJSON *check = cJSON_AddObjectToObject(checks, nm_audit_name((nm_audit_check)i));
        cJSON_AddStringToObject(check, "unit", nm_audit_unit((nm_audit_check)i));
        nm_json_integer(check, "scenes", t->scenes);
        nm_json_integer(check, "allowed", t->allowed);
        nm_json_integer(check, "broken", t->broken);
        nm_json_number(check, "worst", t->scenes ? t->value : NAN);
        nm_json_number(check, "limit", t->scenes ? t->limit : NAN);
        nm_json_integer(check, "worst_scene", (uint64_t)t->worst_scene);
        cJSON_AddItemToObject(check, "worst_broken", worst_json(t));
        nm_json_integer(check, "differs", t->differs);
        if (!t->differs) continue;
        nm_json_integer(check, "differing_scene", (uint64_t)t->differing);
        nm_json_number(check, "found", t->found);
        nm_json_number(check, "stored", t->stored);
    }
    cJSON *trials = cJSON_AddArrayToObject(document, "planner");
    for (size_t i = 0; i < r->row_count; i++) cJSON_AddItemToArray(trials, trial_json(&r->rows[i]));
    return document;
}

static void print_checks(const nm_audit_totals *totals) {
    static const char *const headings[] = {"check",   "unit",   ">scenes", ">allowed",
                                           ">broken", ">worst", ">limit",  ">scene"};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    for (int i = 0; i < NM_AUDIT_COUNT; i++) {
        const nm_audit_total *t = &totals->check[i];
        if (!t->scenes) continue;
        nm_table_cell(table, "%s", nm_audit_name((nm_audit_check)i));
        nm_table_cell(table, "%s", nm_audit_unit((nm_audit_check)i));
        nm_table_cell(table, "%" PRIu64, t->scenes);
        nm_table_cell(table, "%" PRIu64, t->allowed);
        nm_table_cell(table, "%" PRIu64, t->broken);
        nm_table_cell(table, "%.3f", t->value);
        nm_table_cell(table, "%.3f", t->limit);
        nm_table_cell(table, "%" PRId64, t->worst_scene);
    }
    nm_table_print(table, stdout);
    nm_table_destroy(table);
}

static void print_broken(const nm_audit_totals *totals) {
    static const char *const headings[] = {"broken", "the worst: scene (value)"};
    nm_table *table = nm_table_create(headings, 2);
    int any = 0;
    for (int i = 0; i < NM_AUDIT_COUNT; i++) {
        const nm_audit_total *t = &totals->check[i];
        char list[400] = "";
        size_t used = 0;
        for (uint32_t k = 0; k < t->worst_count && used < sizeof list; k++)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%" PRId64 " (%.4g)", k ? ", " : "",
                                     t->worst[k].scene, t->worst[k].value);
        if (!t->worst_count) continue;
        any = 1;
        nm_table_cell(table, "%s", nm_audit_name((nm_audit_check)i));
        nm_table_cell(table, "%s", list);
    }
    if (any) printf("\n");
    if (any) nm_table_print(table, stdout);
    nm_table_destroy(table);
}

static void print_number(nm_table *table, double value) {
    if (isnan(value))
        nm_table_cell(table, "none");
    else
        nm_table_cell(table, "%.4f", value);
}

static void print_differences(const nm_audit_totals *totals) {
    static const char *const headings[] = {"stored verdict", ">differs", ">most in scene", ">found", ">stored"};
    nm_table *table = nm_table_create(headings, 5);
    int any = 0;
    for (int i = 0; i < NM_AUDIT_VERDICTS; i++) {
        const nm_audit_total *t = &totals->check[i];
        if (!t->differs) continue;
        any = 1;
        nm_table_cell(table, "%s", nm_audit_name((nm_audit_check)i));
        nm_table_cell(table, "%" PRIu64, t->differs);
        nm_table_cell(table, "%" PRId64, t->differing);
        print_number(table, t->found);
        print_number(table, t->stored);
    }
    if (any) printf("\n");
    if (any) nm_table_print(table, stdout);
    nm_table_destroy(table);
}

static int print_result(const nm_command *command, const audit_result *r, int json) {
    const nm_audit_totals *totals = &r->totals;
    int result;
    if (json) {
        result = nm_cli_print_json(command, to_json(r));
    } else {
        print_checks(totals);
        print_broken(totals);
        print_differences(totals);
        print_trials(r);
        char remark[4 * sizeof totals->remark]; // may quote what a store says
        nm_text_escape(remark, sizeof remark, totals->remark);
        if (remark[0]) printf("\n%s\n", remark);
        printf("\n%" PRIu64 " scenes, %" PRIu64 " with a violation\n", totals->scenes, totals->broken);
        result = nm_cli_finish(command);
    }
    if (result != NM_EXIT_OK || !totals->broken) return result;
    nm_error error;
    NM_ERROR(&error, NM_E_FORMAT, "%" PRIu64 " of %" PRIu64 " generated scenes break what they promise", totals->broken,
             totals->scenes);
    return nm_cli_fail(command, &error);
}

// --- the run ---------------------------------------------------------------------------------------------------------

typedef struct shown {
    nm_progress *progress;
    uint64_t done;
} shown;

static void show_progress(void *context, uint64_t done, uint64_t all) {
    shown *s = context;
    (void)all;
    nm_progress_add(s->progress, done - s->done);
    s->done = done;
}

/// Whatever model is at hand, unless one is named. Without any, what was made with one is not made again, which is
/// said.
static nm_status load_model(const audit_options *o, const nm_common *common, nm_backend **backend, nm_model **model,
                            nm_recipe *recipe, nm_error *error) {
    char path[NM_MODEL_PATH];
    if (!o->regenerate) return NM_OK;
    nm_backend_config config = nm_backend_config_default();
    config.compute = strcmp(o->precision, "f32") == 0 ? NM_F32 : NM_BF16;
    nm_status status = nm_shipped_model(o->model, path, error);
    if (status == NM_E_NOT_FOUND && !o->model) {
        nm_error_clear(error);
        return NM_OK;
    }
    if (status == NM_OK)
        status = strcmp(common->device, "cuda") == 0 ? nm_backend_create_cuda(&config, backend, error)
                                                     : nm_backend_create_cpu(&config, backend, error);
    return status == NM_OK ? nm_recipe_load(path, *backend, model, recipe, error) : status;
}

/// Scenes by name, with * and ?, separated by commas; NULL = all.
static int is_named(void *context, const nm_scene *scene) {
    return nm_scene_ids_named(((const audit_options *)context)->only, scene->provenance.scene_id);
}

static nm_status try_store(const audit_options *o, const char *store, int generated, nm_thread_pool *pool,
                           audit_result *r, nm_error *error) {
    trial_row *row = &r->rows[r->row_count++];
    row->name = store;
    const nm_status status =
        nm_trial_store(store, generated, generated ? NULL : is_named, (void *)o, &o->world, pool, &row->trial, error);
    if (status == NM_OK && row->trial.unreadable)
        fprintf(stderr, "nearmiss audit: the planner did not drive in %" PRIu64 " scenes of %s: damaged\n",
                row->trial.unreadable, store);
    return status;
}

static nm_status try_planner(const audit_options *o, const char *store, nm_thread_pool *pool, audit_result *r,
                             nm_error *error) {
    if (!o->planner) return NM_OK;
    nm_status status = try_store(o, store, 1, pool, r, error);
    for (size_t i = 0; status == NM_OK && i < o->logs.count; i++)
        status = try_store(o, o->logs.items[i], 0, pool, r, error);
    return status;
}

/// Names to policies and the like; a message that lists what there is.
static int check_options(const nm_command *command, audit_options *o) {
    o->world = nm_world_config_default();
    o->world.stop = nm_cli_stop;
    if (strcmp(o->precision, "bf16") != 0 && strcmp(o->precision, "f32") != 0)
        return nm_cli_usage(command, "--precision wants bf16 or f32, not '%.40s'", o->precision);
    if (!o->planner && (o->logs.count || o->only))
        return nm_cli_usage(command, "--logs and --only are for a --planner");
    if (o->planner && (!nm_policy_from_name(o->planner, &o->world.ego) || o->world.ego >= NM_POLICY_EXTERNAL))
        return nm_cli_usage(command, "--planner '%.40s': log, idm or constant_velocity", o->planner);
    if (!nm_policy_from_name(o->agents, &o->world.agents) || o->world.agents >= NM_POLICY_EXTERNAL)
        return nm_cli_usage(command, "--agents '%.40s': log, idm or constant_velocity", o->agents);
    o->world.idm = nm_idm_named(o->idm);
    if (!o->world.idm) return nm_cli_usage(command, "--idm '%.40s': nearmiss, nuplan, waymax or metadrive", o->idm);
    return NM_EXIT_OK;
}

static nm_status check(const audit_options *o, const char *store, const nm_common *common, audit_result *r,
                       nm_error *error) {
    nm_thread_pool *pool = NULL;
    nm_backend *backend = NULL;
    nm_model *model = NULL;
    nm_recipe recipe;
    nm_status status = nm_thread_pool_create((int)common->threads, &pool, error);
    if (status == NM_OK) status = load_model(o, common, &backend, &model, &recipe, error);
    shown progress = {.progress = nm_progress_start("audit", "scenes", 0, common->quiet || common->json)};
    nm_audit_config config = nm_audit_config_default();
    config.store = store;
    config.where = o->where;
    config.from = o->from;
    config.regenerate = (uint64_t)o->regenerate;
    config.seed = (uint64_t)o->seed;
    config.model = model;
    config.recipe = model ? &recipe : NULL;
    config.stop = nm_cli_stop;
    config.progress = show_progress;
    config.progress_context = &progress;
    if (status == NM_OK) status = nm_audit_run(&config, pool, &r->totals, error);
    nm_progress_finish(progress.progress);
    if (status == NM_OK) status = try_planner(o, store, pool, r, error);
    nm_model_destroy(model);
    nm_backend_destroy(backend);
    nm_thread_pool_destroy(pool);
    return status;
}

static int audit(const nm_command *command, int argc, char **argv) {
    audit_options o = {.idm = "nearmiss", .agents = "log", .precision = "bf16"};
    nm_common common = {0};
    const nm_option options[] = {
        {"where", NM_OPTION_TEXT, (void *)&o.where, "SQL",
         "only scenes with such an event (columns of the view events)", 0, 0},
        {"regenerate", NM_OPTION_INTEGER, &o.regenerate, "N", "make N of them, drawn at random, again from their rows",
         0, 1e9},
        {"from", NM_OPTION_TEXT, (void *)&o.from, "S.db", "store with the scenes that they were made from", 0, 0},
        {"model", NM_OPTION_TEXT, (void *)&o.model, "F",
         "weights for those of the diffusion generator (default: $NEARMISS_MODEL, else those that come with the "
         "program)",
         0, 0},
        {"precision", NM_OPTION_TEXT, (void *)&o.precision, "NAME", "bf16 (default) or f32: as when they were made", 0,
         0},
        {"seed", NM_OPTION_INTEGER, &o.seed, "K", "seed of the draw (default 0)", 0, 9e15},
        {"planner", NM_OPTION_TEXT, (void *)&o.planner, "NAME",
         "log, idm or constant_velocity: how often does it collide as the ego?", 0, 0},
        {"agents", NM_OPTION_TEXT, (void *)&o.agents, "NAME",
         "who drives those who are not staged: log, idm or constant_velocity (default log)", 0, 0},
        {"idm", NM_OPTION_TEXT, (void *)&o.idm, "SET", "nearmiss, nuplan, waymax or metadrive (default nearmiss)", 0,
         0},
        {"logs", NM_OPTION_LIST, &o.logs, "S.db", "and how often in the recordings of this store; several times", 0, 0},
        {"only", NM_OPTION_TEXT, (void *)&o.only, "NAMES",
         "of --logs: scenes of these names, with * and ?, separated by commas", 0, 0},
    };
    int positional;
    const int exit_status =
        nm_cli_parse(command, options, sizeof options / sizeof *options, &common, argc, argv, 1, 1, &positional);
    if (exit_status >= 0) return exit_status;
    if (check_options(command, &o) != NM_EXIT_OK) return NM_EXIT_USAGE;
    nm_error error;
    nm_error_clear(&error);
    audit_result *result = calloc(1, sizeof *result);
    nm_status status = result ? NM_OK : NM_ERROR(&error, NM_E_MEMORY, "out of memory");
    if (status == NM_OK) status = check(&o, argv[0], &common, result, &error);
    const int done = status == NM_OK ? print_result(command, result, common.json) : nm_cli_fail(command, &error);
    free(result);
    return done;
}

const nm_command nm_command_audit = {
    .name = "audit",
    .summary = "Checks a generated set independently of what made it, and what it does to a planner.",
    .usage = "audit S.db [--where SQL] [--regenerate N [--from S.db]] [--planner NAME [--logs S.db]]",
    .example = "nearmiss audit cases.db --regenerate 100 --from logs.db --planner idm --logs logs.db",
    .cuda = 1,
    .run = audit,
};
