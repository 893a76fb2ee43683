/// `nearmiss generate`: futures of scenes out of a trained model, kept in the store.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/safetensors.h"
#include "scenarios/case.h"
#include "sim/builtin.h"
#include "tools/attention_option.h"
#include "tools/cmd_generate.h"
#include "tools/sampling_default.h"

#define HISTORY 2.0 // s, where a scene has none of its own

// ---------------------------------------------------------------------------------------------------------------------
// Scenes

static uint32_t current_step(const nm_generate_run *run, const nm_scene *scene) {
    const double history = run->options.history;
    if (history < 0.0 && scene->current_step > 0) return scene->current_step;
    return (uint32_t)lround((history < 0.0 ? HISTORY : history) / (double)NM_STEP_SECONDS);
}

/// A goal is a recorded state half a second or more after the current step.
static int long_enough(const nm_generate_run *run, const nm_scene *scene) {
    const uint32_t least = run->task == NM_TASK_GOAL ? NM_TOKEN_STEPS : 0;
    return (uint64_t)current_step(run, scene) + least < scene->step_count;
}

/// A stored scene at the model's time step.
static nm_status fetch(const nm_generate_run *run, int64_t id, const nm_scene **ready, uint64_t *parent,
                       nm_error *error) {
    const nm_scene *scene;
    *parent = 0;
    nm_status status = nm_store_get_scene(run->store, id, &scene, error);
    if (status != NM_OK) return status;
    *ready = scene;
    if (fabsf(scene->dt - NM_STEP_SECONDS) <= 1e-4f) return NM_OK;
    *parent = scene->hash; // what the model sees is not what is stored
    status = nm_scene_resample(scene, (double)NM_STEP_SECONDS, ready, error);
    nm_scene_destroy(scene);
    return status;
}

/// Queues a scene; it passes.
static nm_status take(nm_generate_run *run, int64_t id, const nm_scene *scene, uint64_t hash, nm_error *error) {
    if (!long_enough(run, scene)) {
        run->totals.too_short++;
        nm_progress_add(run->progress, (uint64_t)run->options.count);
        nm_scene_destroy(scene);
        return NM_OK;
    }
    nm_generate_parent *parent = calloc(1, sizeof *parent);
    if (!parent) {
        nm_scene_destroy(scene);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for a scene");
    }
    *parent = (nm_generate_parent){
        .id = id, .scene = scene, .hash = hash, .current_step = current_step(run, scene), .holders = 1};
    return nm_generate_add(run, parent, error);
}

static nm_status take_stored(nm_generate_run *run, int64_t id, int all, nm_error *error) {
    const nm_scene *scene = NULL;
    uint64_t hash;
    const nm_status status = fetch(run, id, &scene, &hash, error);
    if (status == NM_E_CANCELLED || status == NM_E_MEMORY) return status;
    if (status != NM_OK) {
        nm_generate_report_failed(run, id, error);
        nm_error_clear(error);
        nm_progress_add(run->progress, (uint64_t)run->options.count);
        return NM_OK;
    }
    if (all && strcmp(scene->provenance.source, "nexus") == 0) { // or every call would go on from the last one's
        run->totals.generated_before++;
        nm_progress_add(run->progress, (uint64_t)run->options.count);
        nm_scene_destroy(scene);
        return NM_OK;
    }
    return take(run, id, scene, hash, error);
}

/// Traffic on a built-in map, driven for the history; and on, so that there are goals and something to compare with.
static nm_status drive(const nm_generate_run *run, const nm_scene **driven, nm_error *error) {
    const double history = run->options.history < 0.0 ? HISTORY : run->options.history;
    const uint32_t past = (uint32_t)lround(history / (double)NM_STEP_SECONDS);
    const nm_scene *start;
    nm_rollout_result result;
    nm_world_config config = nm_world_config_default();
    config.seed = (uint64_t)run->options.seed;
    config.stop = nm_cli_stop;
    nm_status status = nm_builtin_scene(run->options.map, config.seed, &start, error);
    if (status != NM_OK) return status;
    status = nm_rollout(start, &config, past + NM_TOKEN_STEPS * run->recipe.tokens.future, 1, &result, error);
    nm_scene_destroy(start);
    if (status == NM_OK) *driven = result.scene;
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Opening

static nm_status hash_of(const char *path, uint64_t *hash, nm_error *error) {
    nm_safetensors *file = NULL;
    nm_status status = nm_safetensors_open(path, &file, error);
    if (status == NM_OK) status = nm_safetensors_hash(file, hash, error);
    nm_safetensors_close(file);
    return status;
}

/// The model is one whose passes can not be reduced.
static nm_status undo_reduction(nm_generate_run *run, nm_error *error) {
    nm_generate_options *o = &run->options;
    o->reduce = NULL;
    if (strcmp(o->guidance, NM_GUIDANCE_NEAR) == 0) o->guidance = NM_GUIDANCE_DEFAULT;
    const nm_status status = nm_guidance_option(o->guidance, &run->guidance, error);
    return status == NM_OK ? nm_reuse_option(NULL, NULL, &run->reuse, error) : status;
}

static nm_status open_model(nm_generate_run *run, nm_error *error) {
    nm_backend_config config = nm_backend_config_default();
    config.threads = (int)run->common->threads;
    config.compute = strcmp(run->options.precision, "f32") == 0 ? NM_F32 : NM_BF16;
    const char *asked = run->options.model;
    const char *environment = getenv("NEARMISS_MODEL"); // who names a model there gets no other in its stead
    if (!asked && run->options.seconds > 0.0 && !(environment && environment[0])) asked = NM_SHIPPED_BLOCKS;
    nm_status status = nm_shipped_model(asked, run->model_path, error);
    if (status == NM_OK) status = hash_of(run->model_path, &run->model_hash, error);
    if (status == NM_OK)
        status = strcmp(run->common->device, "cuda") == 0 ? nm_backend_create_cuda(&config, &run->backend, error)
                                                          : nm_backend_create_cpu(&config, &run->backend, error);
    if (status == NM_OK) status = nm_recipe_load(run->model_path, run->backend, &run->model, &run->recipe, error);
    if (status == NM_OK) status = nm_attention_option_apply(run->options.attention, run->model, error);
    if (status == NM_OK && run->reduced && !nm_sampling_fits(run->model, &run->recipe))
        status = undo_reduction(run, error);
    if (status == NM_OK)
        status = nm_energy_option_open(&run->options.energy, run->model, &run->recipe, &run->energy, error);
    if (status == NM_OK && run->energy) status = hash_of(run->options.energy.energy, &run->energy_hash, error);
    return status;
}

/// scenes: that there are. The batch is no larger than what is to be made.
static nm_status open_generator(nm_generate_run *run, size_t scenes, nm_error *error) {
    const double wanted = (double)scenes * (double)run->options.count;
    if (run->candidates.count > 1) // as much memory as without
        run->options.batch =
            run->options.batch > run->candidates.count ? run->options.batch / run->candidates.count : 1;
    if (wanted < (double)run->options.batch) run->options.batch = wanted < 1.0 ? 1 : (int64_t)wanted;
    nm_status status = NM_OK;
    nm_scene_generator_config config = nm_scene_generator_config_default();
    config.generator.scenes = (uint32_t)run->options.batch;
    config.generator.levels = (uint32_t)run->options.levels;
    config.generator.solver = run->solver;
    config.generator.schedule = run->schedule;
    config.generator.seed = (uint64_t)run->options.seed;
    config.generator.reuse = run->reuse;
    config.guidance = run->guidance;
    config.generator.agreement = run->agreement;
    config.driver = run->driver;
    config.steps = (uint32_t)lround(run->options.seconds / (double)NM_STEP_SECONDS);
    config.candidates = run->candidates;
    config.energy = run->energy;
    config.stop = nm_cli_stop;
    if (run->options.recording && run->recipe.blocks.size)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "--recording shows all of a future lose its noise at once; the model was "
                        "trained on blocks");
    if (run->options.recording) {
        status = nm_generate_recording_create(&run->recording, error);
        config.generator.observer = nm_generate_recording_observe;
        config.generator.observer_context = run->recording;
    }
    run->jobs = calloc((size_t)run->options.batch, sizeof *run->jobs);
    if (status == NM_OK && !run->jobs) status = NM_ERROR(error, NM_E_MEMORY, "out of memory for a batch");
    if (status == NM_OK) status = nm_scene_generator_create(run->model, &run->recipe, &config, &run->generator, error);
    return status;
}

static nm_status open_run(nm_generate_run *run, nm_error *error) {
    nm_status status = open_model(run, error); // before a store is made for nothing
    if (status == NM_OK) status = nm_thread_pool_create((int)run->common->threads, &run->pool, error);
    if (status != NM_OK) return status;
    const int threads = nm_thread_pool_threads(run->pool);
    run->packers = calloc((size_t)threads, sizeof *run->packers);
    if (!run->packers) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    for (int i = 0; i < threads; ++i)
        if (!(run->packers[i] = nm_packer_create())) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    run->rows = cJSON_CreateArray();
    return NM_OK;
}

static nm_status open_store(nm_generate_run *run, nm_store_mode mode, nm_error *error) {
    const nm_status status = nm_store_open(run->options.store, mode, &run->store, error);
    if (status == NM_OK) nm_store_set_interrupt(run->store, nm_cli_stop, NULL);
    return status;
}

static void close_run(nm_generate_run *run) {
    nm_progress_finish(run->progress);
    nm_generate_release_jobs(run);
    free(run->jobs);
    nm_scene_generator_destroy(run->generator);
    nm_generate_recording_destroy(run->recording);
    nm_energy_destroy(run->energy);
    nm_model_destroy(run->model);
    if (run->backend) nm_backend_destroy(run->backend);
    nm_store_close(run->store);
    for (int i = 0; run->packers && i < nm_thread_pool_threads(run->pool); ++i) nm_packer_destroy(run->packers[i]);
    free(run->packers);
    nm_thread_pool_destroy(run->pool);
    cJSON_Delete(run->rows);
}

// ---------------------------------------------------------------------------------------------------------------------
// All of it

static void start_progress(nm_generate_run *run, size_t scenes) {
    const int quiet = run->common->quiet || run->common->json;
    run->progress = nm_progress_start("generate", "scenes", (uint64_t)scenes * (uint64_t)run->options.count, quiet);
}

static nm_status generate_on_map(nm_generate_run *run, nm_error *error) {
    const nm_scene *scene = NULL;
    nm_status status = drive(run, &scene, error);
    if (status == NM_OK) status = open_store(run, NM_STORE_CREATE, error);
    if (status == NM_OK) status = open_generator(run, 1, error);
    if (status != NM_OK) {
        nm_scene_destroy(scene);
        return status;
    }
    start_progress(run, 1);
    status = take(run, 0, scene, 0, error);
    return status == NM_OK ? nm_generate_flush(run, error) : status;
}

static nm_status read_ids(const nm_text_list *list, int64_t *ids, nm_error *error) {
    for (size_t i = 0; i < list->count; ++i) {
        char *end;
        ids[i] = strtoll(list->items[i], &end, 10);
        if (*end || end == list->items[i] || ids[i] <= 0)
            return NM_ERROR(error, NM_E_ARGUMENT, "'%.100s' is not the id of a scene", list->items[i]);
    }
    return NM_OK;
}

static nm_status generate_stored(nm_generate_run *run, nm_error *error) {
    int64_t named[NM_LIST_MAX], *ids = named;
    size_t count = run->options.scenes.count;
    const int all = count == 0;
    nm_arena *arena = nm_arena_create(0);
    if (!arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_status status = read_ids(&run->options.scenes, named, error);
    if (status == NM_OK) status = open_store(run, NM_STORE_WRITE, error);
    if (status == NM_OK && all) status = nm_store_scene_ids(run->store, -1, arena, &ids, &count, error);
    if (status == NM_OK) status = open_generator(run, count, error);
    if (status == NM_OK) start_progress(run, count);
    for (size_t i = 0; status == NM_OK && i < count; ++i) {
        status = take_stored(run, ids[i], all, error);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    if (status == NM_OK) status = nm_generate_flush(run, error);
    nm_arena_destroy(arena);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Options

/// What is not given, of futures.
static nm_generate_options default_options(void) {
    return (nm_generate_options){.traffic = -1,
                                 .seed = -1,
                                 .schedule = "pyramid:1",
                                 .solver = "ddim",
                                 .guidance = NM_GUIDANCE_DEFAULT,
                                 .agree = "none",
                                 .task = "free",
                                 .precision = "bf16",
                                 .history = -1.0,
                                 .energy = nm_energy_options_default(),
                                 .levels = 2,
                                 .batch = 8};
}

/// Nothing that is given goes unheard: -1, else the exit status.
static int check_purpose(const nm_command *command, const nm_generate_options *o) {
    const nm_generate_options d = default_options();
    if (o->kinds.count || o->mix) {
        if (o->recording || strcmp(o->task, d.task) != 0 || strcmp(o->schedule, d.schedule) != 0 ||
            strcmp(o->solver, d.solver) != 0 || strcmp(o->guidance, d.guidance) != 0 ||
            strcmp(o->agree, d.agree) != 0 || o->history >= 0.0 || o->levels != d.levels || o->batch != d.batch ||
            o->attention || o->reuse || o->reduce || o->energy.energy)
            return nm_cli_usage(command, "--recording, --task, --history, --schedule, --levels, --solver, --guidance, "
                                         "--agree, --attention, --reuse, --reduce, --energy and --batch are of "
                                         "futures, not of corner cases (--kind)");
    } else if (o->params.count || o->from.count || o->hours > 0.0 || o->generators.count || o->sources ||
               o->adversaries || o->severity || o->sampling || o->ego || o->traffic >= 0) {
        return nm_cli_usage(command, "--param, --severity, --sampling, --from, --hours, --generator, --sources, "
                                     "--adversaries, --traffic and --ego are of corner cases: --kind is missing, or "
                                     "--mix");
    }
    if ((o->kinds.count || o->mix) && o->seconds != 0.0 && (o->seconds < 6.0 || o->seconds > 40.0))
        return nm_cli_usage(command, "--seconds of a corner case is 6 to 40");
    return -1;
}

static void reduce_by_default(nm_generate_run *run) {
    nm_generate_options *o = &run->options;
    const int otherwise = nm_agreement_is_on(&run->agreement) || run->candidates.count > 1;
    const nm_sampling_asked asked = {.reuse = o->reuse,
                                     .device = run->common->device,
                                     .schedules = &run->schedule,
                                     .count = 1,
                                     .otherwise = otherwise};
    run->reduced = nm_sampling_reduce(&asked, &o->reduce, &o->guidance);
}

/// Returns -1 to go on, else the exit status.
static int check_options(nm_generate_run *run) {
    const nm_generate_options *o = &run->options;
    nm_error error;
    nm_error_clear(&error);
    if (o->list_kinds) return -1;
    if (!o->store) return nm_cli_usage(run->command, "--store S.db is missing: where scenes are and go to");
    const int usage = check_purpose(run->command, o);
    if (usage >= 0) return usage;
    if (o->mix && (o->kinds.count || o->params.count || o->severity || o->sampling))
        return nm_cli_usage(run->command, "--kind, --param, --severity and --sampling stand in the file that --mix "
                                          "names: not both");
    if (o->scenes.count && (o->map || o->from.count))
        return nm_cli_usage(run->command, "either --scene, or --from and --map, not both");
    if (strcmp(o->task, "free") != 0 && strcmp(o->task, "goal") != 0)
        return nm_cli_usage(run->command, "--task wants free or goal, not '%s'", o->task);
    if (strcmp(o->precision, "bf16") != 0 && strcmp(o->precision, "f32") != 0)
        return nm_cli_usage(run->command, "--precision wants bf16 or f32, not '%s'", o->precision);
    run->task = strcmp(o->task, "goal") == 0 ? NM_TASK_GOAL : NM_TASK_FREE;
    if (nm_schedule_parse(o->schedule, &run->schedule, &error) != NM_OK ||
        nm_solver_parse(o->solver, &run->solver, &error) != NM_OK ||
        nm_agreement_option(o->agree, &run->agreement, &run->driver, &error) != NM_OK ||
        nm_attention_option_check(o->attention, &error) != NM_OK ||
        nm_energy_option_read(&o->energy, &run->candidates, &error) != NM_OK)
        return nm_cli_usage(run->command, "%s", error.message);
    reduce_by_default(run);
    if (nm_guidance_option(o->guidance, &run->guidance, &error) != NM_OK ||
        nm_reuse_option(o->reuse, o->reduce, &run->reuse, &error) != NM_OK ||
        nm_energy_option_check(&run->candidates, &run->agreement, &run->reuse, &run->guidance, &error) != NM_OK)
        return nm_cli_usage(run->command, "%s", error.message);
    if (o->recording && run->candidates.count > 1)
        return nm_cli_usage(run->command, "--recording shows one future losing its noise: not with --candidates");
    return -1;
}

/// Options of corner cases; how many.
static size_t case_options(nm_generate_options *o, nm_option *to) {
    const nm_option table[] = {
        {"kind", NM_OPTION_LIST, &o->kinds, "KIND",
         "corner cases of this kind instead of the model's futures; several times, or all", 0, 0},
        {"list-kinds", NM_OPTION_FLAG, &o->list_kinds, NULL, "what kinds there are, and their parameters", 0, 0},
        {"param", NM_OPTION_LIST, &o->params, "NAME=LO:HI",
         "range of a parameter of the kinds, several times; [KIND.]NAME=LO:HI or NAME=VALUE", 0, 0},
        {"severity", NM_OPTION_TEXT, &o->severity, "NAME",
         "of corner cases: near_miss, collision, or both (default: a quarter collide)", 0, 0},
        {"sampling", NM_OPTION_TEXT, &o->sampling, "NAME",
         "of parameters: uniform (default), grid, all (combinations) or critical", 0, 0},
        {"hours", NM_OPTION_REAL, &o->hours, "H", "of corner cases, all kinds together, instead of --count", 1e-3, 1e5},
        {"mix", NM_OPTION_TEXT, &o->mix, "F",
         "corner cases as this file says (JSON): kinds, shares, ranges, sources; see docs/corner_cases.md", 0, 0},
        {"generator", NM_OPTION_LIST, &o->generators, "NAME",
         "of corner cases: manoeuvre (default), resample, diffusion, all; several times, or NAME=SHARE,NAME=SHARE", 0,
         0},
        {"adversaries", NM_OPTION_INTEGER, &o->adversaries, "N", "in corner cases of resample (default 1)", 1,
         NM_CASE_MAX_ADVERSARIES},
        {"from", NM_OPTION_LIST, &o->from, "S2.db",
         "store whose recorded scenes or road networks give roads and traffic to corner cases; several times, also "
         "beside --map",
         0, 0},
        {"sources", NM_OPTION_INTEGER, &o->sources, "N",
         "scenes of each such store, drawn by the seed from all over it (default 256)", 1, 100000},
        {"seconds", NM_OPTION_REAL, &o->seconds, "S",
         "length of a corner case, 6 to 40 (default 10); of futures of a model trained on blocks, by "
         "default (no --model, no $NEARMISS_MODEL) " NM_SHIPPED_BLOCKS " then (without: its horizon)",
         0.1, 3600},
        {"traffic", NM_OPTION_INTEGER, &o->traffic, "N", "others around a corner case (default 6)", 0, 32},
        {"ego", NM_OPTION_TEXT, &o->ego, "NAME", "who the ego of a corner case is: idm (default), constant_velocity", 0,
         0},
    };
    memcpy(to, table, sizeof table);
    return sizeof table / sizeof *table;
}

/// The others: of both, and of futures.
static size_t future_options(nm_generate_options *o, nm_option *to) {
    const nm_option table[] = {
        {"store", NM_OPTION_TEXT, &o->store, "S.db", "store with the scenes, and for what is made of them", 0, 0},
        {"scene", NM_OPTION_LIST, &o->scenes, "ID",
         "scenes to go on from, or to take roads and traffic from; further ones as arguments (default: all that no "
         "model made)",
         0, 0},
        {"map", NM_OPTION_TEXT, &o->map, "SPEC",
         "a built-in map instead, e.g. roundabout:density=25: spawned traffic is driven for the history; corner cases: "
         "or all (their default)",
         0, 0},
        {"count", NM_OPTION_INTEGER, &o->count, "N", "futures of each scene, or corner cases of each kind (default 1)",
         1, 1e6},
        {"seed", NM_OPTION_INTEGER, &o->seed, "K", "of the noise, and of the traffic on --map (default 0)", 0, 9e15},
        {"history", NM_OPTION_REAL, &o->history, "S",
         "s of the scene that are given (default: up to its current step, 2 where that is its first)", 0, 9000},
        {"task", NM_OPTION_TEXT, &o->task, "NAME", "free (default), or goal: each agent's last state is given", 0, 0},
        {"model", NM_OPTION_TEXT, &o->model, "F",
         "weights with their recipe, or those that come with the program: shipped (default, or what $NEARMISS_MODEL "
         "names), " NM_SHIPPED_BLOCKS,
         0, 0},
        {"schedule", NM_OPTION_TEXT, &o->schedule, "NAME",
         "of the noise: full, ar, pyramid[:C], trapezoid[:C], block:N (default pyramid:1)", 0, 0},
        {"levels", NM_OPTION_INTEGER, &o->levels, "N", "noise levels (default 2)", 1, 4095},
        {"solver", NM_OPTION_TEXT, &o->solver, "NAME", "ancestral, ddim or 2m (default ddim)", 0, 0},
        {"guidance", NM_OPTION_TEXT, &o->guidance, "TERMS", NM_GUIDANCE_HELP, 0, 0},
        {"agree", NM_OPTION_TEXT, &o->agree, "TERMS", NM_AGREEMENT_HELP, 0, 0},
        {"attention", NM_OPTION_TEXT, &o->attention, "KIND", NM_ATTENTION_HELP, 0, 0},
        {"reuse", NM_OPTION_TEXT, &o->reuse, "TERMS", NM_REUSE_HELP, 0, 0},
        {"reduce", NM_OPTION_TEXT, &o->reduce, "TERMS", NM_REDUCE_HELP, 0, 0},
        {"batch", NM_OPTION_INTEGER, &o->batch, "N", "scenes sampled at once; changes nothing but time (default 8)", 1,
         256},
        {"precision", NM_OPTION_TEXT, &o->precision, "NAME", "bf16 (default) or f32", 0, 0},
        {"recording", NM_OPTION_TEXT, &o->recording, "F",
         "write how the first scene loses its noise, for nearmiss view --denoising F", 0, 0},
    };
    memcpy(to, table, sizeof table);
    nm_energy_option_table(&o->energy, to + sizeof table / sizeof *table);
    return sizeof table / sizeof *table + NM_ENERGY_OPTIONS;
}

static int read_options(nm_generate_run *run, nm_common *common, int argc, char **argv) {
    nm_generate_options *o = &run->options;
    nm_option table[48];
    size_t options = case_options(o, table);
    options += future_options(o, table + options);
    NM_ASSERT(options <= sizeof table / sizeof *table);
    int count;
    const int status = nm_cli_parse(run->command, table, options, common, argc, argv, 0, NM_LIST_MAX, &count);
    if (status >= 0) return status;
    for (int i = 0; i < count; ++i) {
        if (o->scenes.count == NM_LIST_MAX)
            return nm_cli_usage(run->command, "more than %d scenes are named", NM_LIST_MAX);
        o->scenes.items[o->scenes.count++] = argv[i];
    }
    return check_options(run);
}

static int run_generate(const nm_command *command, int argc, char **argv) {
    nm_common common = {0};
    nm_error error;
    nm_error_clear(&error);
    nm_generate_run *run = calloc(1, sizeof *run);
    if (!run) {
        NM_ERROR(&error, NM_E_MEMORY, "out of memory");
        return nm_cli_fail(command, &error);
    }
    run->command = command;
    run->common = &common;
    run->options = default_options();
    int exit_status = read_options(run, &common, argc, argv);
    if (exit_status < 0 && run->options.list_kinds) {
        exit_status = nm_generate_list_kinds(command, common.json);
    } else if (exit_status < 0 && (run->options.kinds.count || run->options.mix)) {
        exit_status = nm_generate_kinds(command, &common, &run->options);
    } else if (exit_status < 0) {
        if (!run->options.count) run->options.count = 1;
        if (run->options.seed < 0) run->options.seed = 0;
        nm_status status = open_run(run, &error);
        if (status == NM_OK) status = run->options.map ? generate_on_map(run, &error) : generate_stored(run, &error);
        nm_progress_finish(run->progress);
        run->progress = NULL;
        if (status == NM_OK) {
            exit_status = nm_generate_print(run);
        } else {
            nm_cli_fail(command, &error);
            exit_status = status == NM_E_ARGUMENT ? NM_EXIT_USAGE : NM_EXIT_FAILED;
        }
        close_run(run);
    }
    free(run);
    return exit_status;
}

const nm_command nm_command_generate = {
    .name = "generate",
    .summary = "Makes corner cases on demand, or lets a trained model write futures of scenes.",
    .usage = "generate --store S.db [--kind KIND | --mix F] [--scene ID [ID...] | --map SPEC] [--count N] [--seed K] "
             "[--model F]",
    .example = "nearmiss generate --kind cut_in --param gap=3:8 --count 20 --store corner.db",
    .cuda = 1,
    .run = run_generate,
};
