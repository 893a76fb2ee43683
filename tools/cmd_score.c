/// `nearmiss score`: how good generated futures are, beside the log and simple baselines, on the same scenes.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/groups.h"
#include "scenarios/store.h"
#include "tools/agreement_option.h"
#include "tools/attention_option.h"
#include "tools/cli.h"
#include "tools/guidance_option.h"
#include "tools/reuse_option.h"
#include "tools/sampling_default.h"
#include "tools/scene_ids.h"
#include "tools/score_report.h"
#include "tools/shipped_model.h"

enum { MOST_ROWS = 2 * (NM_SCORE_MODELS * NM_SCORE_SCHEDULES + 4), MOST_OPTIONS = 32 };

typedef struct score_options {
    const char *model, *data, *only, *task, *schedule, *solver, *csv, *agents, *precision, *groups, *guidance, *agree,
        *attention, *reuse, *reduce;
    double history;
    int64_t samples, realism, levels, batch, seed, limit;
    int no_baselines;
    nm_energy_options energy;
} score_options;

typedef struct score_run {
    const nm_command *command;
    const nm_common *common;
    score_options options;
    nm_score_models models;
    nm_score_report report;
    nm_score_result results[MOST_ROWS];
    const nm_scene **scenes; ///< [scene_count], held
    uint32_t *group;         ///< [scene_count]
    size_t scene_count;
    int realism;     ///< of the scene at work
    nm_arena *arena; ///< of one scene
    nm_progress *progress;
} score_run;

// ---------------------------------------------------------------------------------------------------------------------
// Scenes

/// The step from which the future is to be found: the recording's own, or after so much history.
static uint32_t current_step(const score_run *run, const nm_scene *scene) {
    if (run->options.history < 0.0) return scene->current_step;
    return (uint32_t)lround(10.0 * run->options.history);
}

/// Who is scored.
static unsigned types(const score_run *run) {
    return strcmp(run->options.agents, "vehicles") == 0 ? NM_TYPE_MASK_VEHICLE : NM_TYPE_MASK_ALL;
}

/// Keeps a scene, at 0.1 s, that has a second of future and somebody to score in it.
static nm_status keep(score_run *run, const nm_scene *scene, nm_error *error) {
    const nm_scene *ready = scene;
    nm_status status = NM_OK;
    if (!(fabsf(scene->dt - 0.1f) < 1e-6f)) { // as tokens ask
        status = nm_scene_resample(scene, 0.1, &ready, error);
        nm_scene_destroy(scene);
        if (status != NM_OK) return status;
    }
    nm_scene moved = *ready;
    moved.current_step = current_step(run, ready);
    if (moved.current_step + 10 >= ready->step_count || !nm_futures_tracks(&moved, types(run), NULL, 0)) {
        run->report.skipped++;
        nm_scene_destroy(ready);
        return NM_OK;
    }
    const nm_scene **grown = realloc(run->scenes, (run->scene_count + 1) * sizeof(*run->scenes));
    if (!grown) {
        nm_scene_destroy(ready);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for scenes");
    }
    run->scenes = grown;
    run->scenes[run->scene_count++] = ready;
    return NM_OK;
}

static nm_status read_scenes(score_run *run, nm_store *store, nm_error *error) {
    int64_t *ids = NULL;
    size_t count = 0;
    nm_status status = nm_store_scene_ids(store, -1, run->arena, &ids, &count, error);
    for (size_t i = 0; status == NM_OK && i < count; ++i) {
        const nm_scene *scene = NULL;
        if (run->options.limit && run->scene_count == (size_t)run->options.limit) break;
        status = nm_store_get_scene(store, ids[i], &scene, error);
        if (status != NM_OK) break;
        if (nm_scene_ids_named(run->options.only, scene->provenance.scene_id))
            status = keep(run, scene, error);
        else
            nm_scene_destroy(scene);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    if (status == NM_OK && !run->scene_count)
        status = NM_ERROR(error, NM_E_NOT_FOUND, "%s: no scene of that name is long enough", run->options.data);
    return status;
}

static nm_status open_scenes(score_run *run, nm_error *error) {
    nm_store *store;
    nm_status status = nm_store_open(run->options.data, NM_STORE_READ, &store, error);
    if (status != NM_OK) return status;
    nm_store_set_interrupt(store, nm_cli_stop, NULL);
    status = read_scenes(run, store, error);
    nm_store_close(store);
    if (status != NM_OK) return status;
    run->group = calloc(run->scene_count, sizeof *run->group);
    if (!run->group) return NM_ERROR(error, NM_E_MEMORY, "out of memory for groups");
    nm_groups *groups = nm_groups_create(strcmp(run->options.groups, "place") ? NM_GROUP_MOTION : NM_GROUP_PLACE);
    if (!groups) return NM_ERROR(error, NM_E_MEMORY, "out of memory for groups");
    for (size_t i = 0; status == NM_OK && i < run->scene_count; ++i)
        status = nm_groups_add(groups, run->scenes[i], error);
    if (status == NM_OK) run->report.groups = nm_groups_get(groups, run->group);
    nm_groups_destroy(groups);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Rows

static void add_row(score_run *run, nm_score_row row) {
    run->results[run->report.count].row = row;
    run->report.count++;
}

static void add_baseline(score_run *run, nm_task_kind task, nm_baseline kind) {
    nm_score_row row = {.task = task, .model = -1, .baseline = kind};
    snprintf(row.name, sizeof row.name, "%s", nm_baseline_name(kind));
    add_row(run, row);
}

static void add_task(score_run *run, nm_task_kind task) {
    const int goal = task == NM_TASK_GOAL;
    if (!run->options.no_baselines) {
        add_baseline(run, task, NM_BASELINE_LOG);
        add_baseline(run, task, goal ? NM_BASELINE_STRAIGHT : NM_BASELINE_CONSTANT_VELOCITY);
        if (!goal) add_baseline(run, task, NM_BASELINE_IDM);
    }
    for (uint32_t m = 0; m < run->models.count; ++m) {
        if (goal && run->models.model[m].recipe.blocks.size) continue; // the report says so
        for (uint32_t s = 0; s < run->models.sampling.schedules; ++s) {
            nm_score_row row = {.task = task, .model = (int)m, .schedule = s};
            char schedule[48];
            nm_schedule_format(&run->models.sampling.schedule[s], schedule, sizeof schedule);
            const int several = run->models.sampling.schedules > 1;
            snprintf(row.name, sizeof row.name, "%s%s%s%s", run->models.model[m].name, several ? " " : "",
                     several ? schedule : "", run->models.sampling.feedback[s] ? "+feedback" : "");
            add_row(run, row);
        }
    }
}

/// What a model that writes block by block can not be asked for is refused before anything is sampled.
static nm_status check_blocks(const score_run *run, nm_error *error) {
    const int goal = strcmp(run->options.task, "goal") == 0;
    for (uint32_t m = 0; m < run->models.count; ++m) {
        const nm_score_model *model = &run->models.model[m];
        if (!model->recipe.blocks.size) continue;
        if (goal)
            return NM_ERROR(error, NM_E_ARGUMENT,
                            "'%s' was trained on blocks of %u tokens: a goal lies beyond the one in the making, and it "
                            "knows none; --task free",
                            model->name, model->recipe.blocks.size);
        for (uint32_t s = 0; s < run->models.sampling.schedules; ++s)
            if (run->models.sampling.feedback[s])
                return NM_ERROR(error, NM_E_ARGUMENT, "'%s' was trained on blocks: its futures take no +feedback",
                                model->name);
    }
    return NM_OK;
}

static nm_status make_rows(score_run *run, nm_error *error) {
    if (strcmp(run->options.task, "goal") != 0) add_task(run, NM_TASK_FREE);
    if (strcmp(run->options.task, "free") != 0) add_task(run, NM_TASK_GOAL);
    run->report.goals = strcmp(run->options.task, "free") != 0;
    run->report.results = run->results;
    for (size_t i = 0; i < run->report.count; ++i) {
        nm_score_result *r = &run->results[i];
        r->groups = calloc(run->report.groups, sizeof *r->groups);
        r->realism = calloc(run->scene_count, sizeof *r->realism);
        r->realism_group = calloc(run->scene_count, sizeof *r->realism_group);
        if (!r->groups || !r->realism || !r->realism_group)
            return NM_ERROR(error, NM_E_MEMORY, "out of memory for scores");
    }
    return NM_OK;
}

/// Futures cut at the recording's end, which the realism metrics want: `steps` of them in arrays of their own.
static nm_status shorten(const nm_futures *all, uint32_t steps, nm_arena *arena, nm_futures *out, nm_error *error) {
    *out = *all;
    if (steps >= all->steps) return NM_OK;
    const size_t rows = (size_t)all->samples * all->agents;
    const float *from[4] = {all->x, all->y, all->z, all->heading};
    const float **to[4] = {&out->x, &out->y, &out->z, &out->heading};
    out->steps = steps;
    for (int i = 0; i < 4; ++i) {
        float *copy = NM_ARENA_ARRAY(arena, float, rows *steps);
        if (!copy) return NM_ERROR(error, NM_E_MEMORY, "out of memory for futures");
        for (size_t row = 0; row < rows; ++row)
            memcpy(copy + row * steps, from[i] + row * all->steps, steps * sizeof *copy);
        *to[i] = copy;
    }
    return NM_OK;
}

static nm_status add_realism(score_run *run, nm_score_result *r, const nm_scene *scene, uint32_t group,
                             const uint32_t *track, uint32_t agents, nm_error *error) {
    nm_futures all, futures;
    nm_status status = nm_score_futures(&run->models, &r->row, scene, track, agents, (uint32_t)run->options.realism,
                                        run->arena, &all, NULL, error);
    if (status == NM_OK)
        status = shorten(&all, scene->step_count - 1 - scene->current_step, run->arena, &futures, error);
    if (status == NM_OK)
        status = nm_realism_score(scene, &futures, NULL, run->arena, &r->realism[r->realism_count], error);
    if (status == NM_OK) r->realism_group[r->realism_count++] = group;
    return status;
}

/// The realism metrics are of those whom the recording names, if it names any: they must be there.
static int has_realism(const nm_scene *scene) {
    int named_any = 0, all = 1;
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        const int to_predict = (scene->tracks[i].flags & NM_TRACK_TO_PREDICT) != 0;
        named_any |= to_predict;
        if (to_predict || i == scene->ego) all &= scene->valid[nm_scene_at(scene, i, scene->current_step)] != 0;
    }
    return all || !named_any;
}

static nm_status score_row(score_run *run, nm_score_result *r, const nm_scene *scene, uint32_t group, nm_error *error) {
    const nm_arena_mark mark = nm_arena_get_mark(run->arena);
    uint32_t *track = NM_ARENA_ARRAY(run->arena, uint32_t, scene->track_count);
    if (!track) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the tracks of a scene");
    const uint32_t agents = nm_futures_tracks(scene, types(run), track, scene->track_count);
    const nm_generation_config config = nm_generation_config_default();
    const uint32_t samples = (uint32_t)run->options.samples;
    nm_futures futures;
    nm_status status;
    if (r->row.model < 0 && r->row.baseline == NM_BASELINE_LOG) {
        status = nm_generation_log(scene, track, agents, &config, &r->groups[group], error);
    } else {
        status = nm_score_futures(&run->models, &r->row, scene, track, agents, samples, run->arena, &futures, &r->cost,
                                  error);
        if (status == NM_OK) status = nm_generation_add(scene, &futures, &config, &r->groups[group], error);
    }
    r->scenes++;
    r->samples = samples;
    // realism is about what happens by itself
    if (status == NM_OK && run->realism && r->row.task == NM_TASK_FREE)
        status = add_realism(run, r, scene, group, track, agents, error);
    nm_arena_release(run->arena, mark);
    return status;
}

static nm_status score_scenes(score_run *run, nm_error *error) {
    nm_status status = NM_OK;
    run->progress = nm_progress_start("score", "scenes", run->scene_count, run->common->quiet || run->common->json);
    for (size_t i = 0; status == NM_OK && i < run->scene_count; ++i) {
        nm_scene scene = *run->scenes[i];
        scene.current_step = current_step(run, run->scenes[i]);
        nm_arena_reset(run->arena);
        run->report.agents += nm_futures_tracks(&scene, types(run), NULL, 0);
        run->realism = run->options.realism && has_realism(&scene);
        run->report.no_realism += run->options.realism && !run->realism;
        for (size_t k = 0; status == NM_OK && k < run->report.count; ++k) {
            status = score_row(run, &run->results[k], &scene, run->group[i], error);
            if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        }
        if (status != NM_OK && status != NM_E_CANCELLED) {
            char why[512];
            nm_error_format(error, why, sizeof why);
            NM_ERROR(error, status, "scene '%s': %s", scene.provenance.scene_id, why);
        }
        nm_progress_add(run->progress, 1);
    }
    nm_progress_finish(run->progress);
    run->report.scenes = run->scene_count;
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------

static nm_status parse_schedules(const char *text, nm_score_sampling *s, nm_error *error) {
    if (!*text) return NM_ERROR(error, NM_E_ARGUMENT, "--schedule wants the name of one");
    while (*text) {
        char one[64];
        const size_t length = strcspn(text, ",");
        if (length >= sizeof one || s->schedules == NM_SCORE_SCHEDULES)
            return NM_ERROR(error, NM_E_ARGUMENT, "at most %d schedules, separated by commas", NM_SCORE_SCHEDULES);
        memcpy(one, text, length);
        one[length] = '\0';
        char *plus = strstr(one, "+feedback");
        s->feedback[s->schedules] = plus && !plus[9];
        if (s->feedback[s->schedules]) *plus = '\0';
        const nm_status status = nm_schedule_parse(one, &s->schedule[s->schedules], error);
        if (status != NM_OK) return status;
        s->schedules++;
        text += length + (text[length] == ',');
    }
    return NM_OK;
}

static nm_status score(score_run *run, const char *const *paths, uint32_t count, const nm_score_sampling *sampling,
                       nm_error *error) {
    const nm_dtype precision = strcmp(run->options.precision, "f32") == 0 ? NM_F32 : NM_BF16;
    run->arena = nm_arena_create(0);
    if (!run->arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    char windows[NM_MODEL_PATH], blocks[NM_MODEL_PATH];
    const char *found[NM_SCORE_MODELS];
    nm_status status = run->options.csv ? nm_score_try_csv(run->options.csv, error) : NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) {
        found[i] = paths[i];
        if (!nm_model_is_shipped(paths[i])) continue;
        char *to = strcmp(paths[i], NM_SHIPPED_BLOCKS) == 0 ? blocks : windows;
        status = nm_shipped_model(paths[i], to, error);
        found[i] = to;
    }
    if (status == NM_OK)
        status = nm_score_models_open(found, count, sampling, run->common, precision, &run->models, error);
    if (status == NM_OK) status = check_blocks(run, error);
    if (status == NM_OK) status = open_scenes(run, error);
    if (status == NM_OK) status = make_rows(run, error);
    if (status == NM_OK) status = score_scenes(run, error);
    if (status == NM_OK && run->options.csv) status = nm_score_write_csv(&run->report, run->options.csv, error);
    return status;
}

static void release(score_run *run) {
    for (size_t i = 0; i < run->report.count; ++i) {
        free(run->results[i].groups);
        free(run->results[i].realism);
        free(run->results[i].realism_group);
    }
    for (size_t i = 0; i < run->scene_count; ++i) nm_scene_destroy(run->scenes[i]);
    free(run->scenes);
    free(run->group);
    nm_score_models_close(&run->models);
    nm_arena_destroy(run->arena);
    free(run);
}

static int check_words(const nm_command *command, const score_options *o) {
    const struct {
        const char *name, *value, *choices;
    } words[] = {{"task", o->task, "free goal both"},
                 {"agents", o->agents, "all vehicles"},
                 {"groups", o->groups, "motion place"},
                 {"precision", o->precision, "bf16 f32"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i) {
        const char *at = strstr(words[i].choices, words[i].value);
        const size_t length = strlen(words[i].value);
        if (at && length && !strchr(words[i].value, ' ') && (at == words[i].choices || at[-1] == ' ') &&
            (at[length] == ' ' || !at[length]))
            continue;
        return nm_cli_usage(command, "--%s wants one of: %s; not '%s'", words[i].name, words[i].choices,
                            words[i].value);
    }
    if (o->history < 0.0 && o->history != -1.0)
        return nm_cli_usage(command, "--history wants s, or -1 for each scene's own; not %g", o->history);
    // they want everybody simulated, and are about what happens by itself
    if (o->realism && (strcmp(o->agents, "vehicles") == 0 || strcmp(o->task, "goal") == 0))
        return nm_cli_usage(command, "--realism is of all agents, of futures without goals: not with --%s",
                            strcmp(o->task, "goal") == 0 ? "task goal" : "agents vehicles");
    return -1;
}

static void reduce_by_default(const nm_common *common, score_options *o, nm_score_sampling *s) {
    nm_sampling_asked asked = {.reuse = o->reuse,
                               .device = common->device,
                               .schedules = s->schedule,
                               .count = s->schedules,
                               .otherwise = nm_agreement_is_on(&s->agreement) || s->candidates.count > 1};
    for (uint32_t i = 0; i < s->schedules; ++i) asked.otherwise |= s->feedback[i];
    s->reduced = nm_sampling_reduce(&asked, &o->reduce, &o->guidance);
}

/// -1 to go on, else the exit status.
static int read_sampling(const nm_command *command, const nm_common *common, score_options *o, nm_score_sampling *s) {
    nm_error error;
    nm_error_clear(&error);
    *s = (nm_score_sampling){.levels = (uint32_t)o->levels,
                             .batch = (uint32_t)o->batch,
                             .seed = (uint64_t)o->seed,
                             .energy = o->energy,
                             .attention = o->attention};
    if (nm_solver_parse(o->solver, &s->solver, &error) != NM_OK || parse_schedules(o->schedule, s, &error) != NM_OK ||
        nm_agreement_option(o->agree, &s->agreement, &s->driver, &error) != NM_OK ||
        nm_attention_option_check(o->attention, &error) != NM_OK ||
        nm_energy_option_read(&o->energy, &s->candidates, &error) != NM_OK)
        return nm_cli_usage(command, "%s", error.message);
    reduce_by_default(common, o, s);
    if (nm_guidance_option(o->guidance, &s->guidance, &error) != NM_OK ||
        nm_reuse_option(o->reuse, o->reduce, &s->reuse, &error) != NM_OK ||
        nm_energy_option_check(&s->candidates, &s->agreement, &s->reuse, &s->guidance, &error) != NM_OK)
        return nm_cli_usage(command, "%s", error.message);
    for (uint32_t i = 0; s->candidates.count > 1 && i < s->schedules; ++i)
        if (s->feedback[i])
            return nm_cli_usage(command, "+feedback is a scene that is lived through: there can be no --candidates");
    return -1;
}

/// How many; `to` has room for MOST_OPTIONS.
static size_t fill_options(score_options *o, nm_option *to) {
    const nm_option table[] = {
        {"model", NM_OPTION_TEXT, &o->model, "F",
         "weights with their recipe, or shipped or " NM_SHIPPED_BLOCKS
         ": those that come with the program; more as arguments. None: baselines",
         0, 0},
        {"data", NM_OPTION_TEXT, &o->data, "S.db", "store with the recorded scenes", 0, 0},
        {"only", NM_OPTION_TEXT, &o->only, "NAMES", "scenes of these names, with * and ?, separated by commas", 0, 0},
        {"limit", NM_OPTION_INTEGER, &o->limit, "N", "at most so many scenes, 0 = all (default 0)", 0, 1e9},
        {"history", NM_OPTION_REAL, &o->history, "S",
         "s of the recording that are given (default 2); -1 = each scene's own current step", -1, 1e4},
        {"task", NM_OPTION_TEXT, &o->task, "NAME",
         "free, goal (each agent's last state is given) or both (default; models trained on blocks: free)", 0, 0},
        {"agents", NM_OPTION_TEXT, &o->agents, "NAME", "all (default) or vehicles are scored", 0, 0},
        {"groups", NM_OPTION_TEXT, &o->groups, "NAME",
         "scenes count as one for intervals that repeat each other's motion (default), or are of one place", 0, 0},
        {"samples", NM_OPTION_INTEGER, &o->samples, "N", "futures of each scene (default 6)", 1, 1000},
        {"realism", NM_OPTION_INTEGER, &o->realism, "N",
         "futures for the realism metrics of Waymo's sim agents challenge, as it has 32; 0 = leave them out (default). "
         "An independent reimplementation, no official score: see NOTICE about licence and patents",
         0, 1000},
        {"levels", NM_OPTION_INTEGER, &o->levels, "N", "noise levels of the sampler (default 2)", 1, 4095},
        {"schedule", NM_OPTION_TEXT, &o->schedule, "NAMES",
         "of the sampler, several with commas: full, ar, pyramid[:C], trapezoid[:C], block:N; +feedback behind it: "
         "what is finished becomes what was recorded, as in a closed loop (default pyramid:1)",
         0, 0},
        {"solver", NM_OPTION_TEXT, &o->solver, "NAME", "ancestral, ddim or 2m (default ddim)", 0, 0},
        {"guidance", NM_OPTION_TEXT, &o->guidance, "TERMS", NM_GUIDANCE_HELP, 0, 0},
        {"agree", NM_OPTION_TEXT, &o->agree, "TERMS", NM_AGREEMENT_HELP, 0, 0},
        {"attention", NM_OPTION_TEXT, &o->attention, "KIND", NM_ATTENTION_HELP, 0, 0},
        {"reuse", NM_OPTION_TEXT, &o->reuse, "TERMS", NM_REUSE_HELP, 0, 0},
        {"reduce", NM_OPTION_TEXT, &o->reduce, "TERMS", NM_REDUCE_HELP, 0, 0},
        {"batch", NM_OPTION_INTEGER, &o->batch, "N",
         "futures of a scene that each thread samples at once; changes nothing but time (default 1 on the CPU; 8 on a "
         "GPU, and with --candidates)",
         1, 256},
        {"seed", NM_OPTION_INTEGER, &o->seed, "N", "of the noise (default 0)", 0, 9e15},
        {"no-baselines", NM_OPTION_FLAG, &o->no_baselines, NULL, "models only", 0, 0},
        {"csv", NM_OPTION_TEXT, &o->csv, "F", "write the table there, too", 0, 0},
    };
    const size_t count = sizeof table / sizeof *table;
    NM_ASSERT(count + NM_ENERGY_OPTIONS <= MOST_OPTIONS);
    memcpy(to, table, sizeof table);
    nm_energy_option_table(&o->energy, to + count);
    return count + NM_ENERGY_OPTIONS;
}

static int run_score(const nm_command *command, int argc, char **argv) {
    nm_common common = {0};
    score_options o = {.task = "both",
                       .schedule = "pyramid:1",
                       .solver = "ddim",
                       .agents = "all",
                       .precision = "bf16",
                       .groups = "motion",
                       .guidance = NM_GUIDANCE_DEFAULT,
                       .agree = "none",
                       .history = 2.0,
                       .energy = nm_energy_options_default(),
                       .samples = 6,
                       .levels = 2};
    nm_option table[MOST_OPTIONS];
    const size_t options = fill_options(&o, table);
    int count;
    const int parsed = nm_cli_parse(command, table, options, &common, argc, argv, 0, NM_SCORE_MODELS - 1, &count);
    if (parsed >= 0) return parsed;
    if (!o.data) return nm_cli_usage(command, "--data S.db is missing");
    const int words = check_words(command, &o);
    if (words >= 0) return words;
    nm_error error;
    nm_error_clear(&error);
    nm_score_sampling sampling;
    const int usage = read_sampling(command, &common, &o, &sampling);
    if (usage >= 0) return usage;
    const char *paths[NM_SCORE_MODELS];
    uint32_t models = 0;
    if (!o.model && !count && o.no_baselines)
        return nm_cli_usage(command, "there is nothing to score: no model, and --no-baselines");
    if (o.model) paths[models++] = o.model;
    for (int i = 0; i < count; ++i) paths[models++] = argv[i];
    score_run *run = calloc(1, sizeof *run);
    if (!run) return nm_cli_fail(command, &error);
    run->command = command;
    run->common = &common;
    run->options = o;
    run->report.data = o.data;
    run->report.history = o.history;
    run->report.models = &run->models;
    int result = NM_EXIT_FAILED;
    if (score(run, paths, models, &sampling, &error) != NM_OK)
        nm_cli_fail(command, &error);
    else
        result = common.json ? nm_score_print_json(command, &run->report) : nm_score_print(command, &run->report);
    release(run);
    return result;
}

const nm_command nm_command_score = {
    .name = "score",
    .summary = "Scores generated futures against recorded ones, beside the log, constant velocity and IDM.",
    .usage = "score --data S.db [--model F [F...]] [--task free|goal|both] [--samples N] [--realism N] [--energy F] "
             "[--csv F]",
    .example = "nearmiss score --data scenes.db --model shipped --realism 32",
    .cuda = 1,
    .run = run_score,
};
