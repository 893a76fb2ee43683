/// `nearmiss train --energy MODEL --config F --out DIR`: an energy that tells recorded futures from those of a model.
///
/// Moments of stored scenes are drawn, the model writes futures of each, and the energy is trained on both. Futures are
/// kept as they are made (train_energy_futures.h), training takes seconds: a run that is interrupted goes on with the
/// moment that it was at, and the same command gives the same file.
#include "tools/train_energy.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rng.h"
#include "scenarios/energy_examples.h"
#include "scenarios/store.h"
#include "tools/cmd_event.h"
#include "tools/guidance_option.h"
#include "tools/shipped_model.h"
#include "tools/train_config.h"
#include "tools/train_energy_futures.h"

/// What the file says.
typedef struct energy_config {
    cJSON *document; ///< owns the texts
    nm_energy_trainer_config trainer;
    uint32_t moments; ///< that are drawn
    uint32_t futures; ///< of the model, of each
    uint32_t hidden;
    uint32_t held; ///< one scene in so many is kept back
    nm_train_precision precision;
    uint32_t levels;
    char schedule[256], guidance[256], reduce[256]; ///< as the options of those names; reduce "" = none
} energy_config;

/// Scenes of a part.
typedef struct energy_part {
    const nm_scene **scenes; ///< [count] held
    size_t count, room;
} energy_part;

typedef struct energy_run {
    const nm_command *command;
    const nm_common *common;
    const char *out;
    energy_config config;
    char model_path[NM_MODEL_PATH];
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    nm_train_parts parts;
    energy_part part[NM_TRAIN_PARTS];
    nm_model_futures_config futures; ///< how they are sampled
    nm_energy_examples *examples;
    nm_energy_futures *kept;
    uint32_t sampled; ///< moments that were not kept
    nm_energy_set *set;
    nm_energy *energy;
    nm_energy_quality learnt, held;
    double loss, seconds;
    nm_progress *progress;
} energy_run;

// ---------------------------------------------------------------------------------------------------------------------
// The configuration

static const char *const precisions[] = {"f32", "bf16", NULL};

#define FIELD(name, kind, member, least, most)                                                                         \
    { name, kind, offsetof(energy_config, member), least, most, NULL }
static const nm_config_field fields[] = {
    FIELD("seed", NM_CONFIG_U64, trainer.seed, 0, 9007199254740992.0),
    FIELD("steps", NM_CONFIG_U64, trainer.steps, 1, 1e9),
    FIELD("batch", NM_CONFIG_U32, trainer.batch, 1, 65536),
    FIELD("rate", NM_CONFIG_F64, trainer.rate, 1e-9, 1),
    FIELD("decay", NM_CONFIG_F64, trainer.decay, 0, 1),
    FIELD("moments", NM_CONFIG_U32, moments, 1, 1e6),
    FIELD("futures", NM_CONFIG_U32, futures, 1, 64),
    FIELD("hidden", NM_CONFIG_U32, hidden, 1, NM_ENERGY_MOST_HIDDEN),
    FIELD("held", NM_CONFIG_U32, held, 2, 1e6),
    FIELD("levels", NM_CONFIG_U32, levels, 1, 4095),
    FIELD("schedule", NM_CONFIG_TEXT, schedule, 0, 255),
    FIELD("guidance", NM_CONFIG_TEXT, guidance, 0, 255),
    FIELD("reduce", NM_CONFIG_TEXT, reduce, 0, 255),
    {"precision", NM_CONFIG_CHOICE, offsetof(energy_config, precision), 0, 0, precisions},
};

/// How futures are sampled, as the file says.
static nm_status read_sampling(energy_run *run, nm_error *error) {
    const energy_config *c = &run->config;
    nm_model_futures_config *f = &run->futures;
    *f = nm_model_futures_config_default();
    f->generator.levels = c->levels;
    f->stop = nm_cli_stop;
    nm_status status = nm_schedule_parse(c->schedule, &f->generator.schedule, error);
    if (status == NM_OK) status = nm_guidance_option(c->guidance, &f->guidance, error);
    if (status == NM_OK && c->reduce[0]) status = nm_reuse_parse_reductions(c->reduce, &f->generator.reuse, error);
    return status;
}

static nm_status read_config(energy_run *run, const char *path, nm_error *error) {
    static const char *const others[] = {"data", NULL};
    energy_config *c = &run->config;
    c->trainer = nm_energy_trainer_config_default();
    c->moments = 400;
    c->futures = 4;
    c->hidden = 32;
    c->held = 5;
    c->precision = NM_TRAIN_BF16;
    const nm_generator_config sampling = nm_model_futures_config_default().generator;
    c->levels = sampling.levels;
    nm_schedule_format(&sampling.schedule, c->schedule, sizeof c->schedule);
    snprintf(c->guidance, sizeof c->guidance, "%s", NM_GUIDANCE_DEFAULT);
    nm_status status = nm_config_load(path, &c->document, error);
    if (status != NM_OK) return status;
    status = nm_config_read(c->document, "", fields, sizeof fields / sizeof *fields, others, c, error);
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(c->document, "data");
    if (status == NM_OK && !data) status = NM_ERROR(error, NM_E_FORMAT, "data is missing: what to train on");
    if (status == NM_OK) status = nm_train_read_parts(data, "data", &run->parts, error);
    if (status == NM_OK && !run->parts.count)
        status = NM_ERROR(error, NM_E_FORMAT, "data is empty: nothing to train on");
    for (uint32_t i = 0; status == NM_OK && i < run->parts.count; ++i)
        if (run->parts.part[i].from != NM_TRAIN_STORE)
            status = NM_ERROR(error, NM_E_FORMAT, "data[%u]: an energy is trained on stores", i);
    if (status == NM_OK) status = read_sampling(run, error);
    if (status != NM_OK && error && !error->input[0])
        snprintf(error->input, sizeof error->input, "%.*s", (int)sizeof error->input - 1, path);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Scenes

#define LEAST_HISTORY 10u ///< steps
#define LEAST_FUTURE 20u  ///< steps

/// Takes the scene over.
static nm_status keep(energy_part *part, const nm_scene *scene, nm_error *error) {
    if (!(fabsf(scene->dt - 0.1f) < 1e-6f)) { // as tokens ask
        const nm_scene *resampled = NULL;
        const nm_status status = nm_scene_resample(scene, 0.1, &resampled, error);
        nm_scene_destroy(scene);
        if (status != NM_OK) return status;
        scene = resampled;
    }
    if (scene->step_count <= LEAST_HISTORY + LEAST_FUTURE) {
        nm_scene_destroy(scene);
        return NM_OK;
    }
    if (part->count == part->room) {
        const size_t room = part->room ? 2 * part->room : 64;
        const nm_scene **grown = realloc(part->scenes, room * sizeof *grown);
        if (!grown) {
            nm_scene_destroy(scene);
            return NM_ERROR(error, NM_E_MEMORY, "out of memory for scenes");
        }
        part->scenes = grown;
        part->room = room;
    }
    part->scenes[part->count++] = scene;
    return NM_OK;
}

static nm_status read_store(energy_run *run, uint32_t index, nm_store *store, nm_error *error) {
    const nm_train_part *from = &run->parts.part[index];
    nm_arena *arena = nm_arena_create(0);
    int64_t *ids = NULL;
    size_t count = 0;
    nm_status status = arena ? nm_store_scene_ids(store, -1, arena, &ids, &count, error)
                             : NM_ERROR(error, NM_E_MEMORY, "out of memory for the scenes of a store");
    for (size_t i = 0; status == NM_OK && i < count; ++i) {
        const nm_scene *scene = NULL;
        status = nm_store_get_scene(store, ids[i], &scene, error);
        if (status == NM_OK && scene->track_count && nm_train_part_wants(from, scene->provenance.scene_id))
            status = keep(&run->part[index], scene, error);
        else
            nm_scene_destroy(scene);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    nm_arena_destroy(arena);
    if (status == NM_OK && !run->part[index].count)
        status = NM_ERROR(error, NM_E_NOT_FOUND, "%s: no scene of that name is long enough", from->path);
    return status;
}

static nm_status read_scenes(energy_run *run, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < run->parts.count; ++i) {
        nm_store *store;
        status = nm_store_open(run->parts.part[i].path, NM_STORE_READ, &store, error);
        if (status != NM_OK) break;
        nm_store_set_interrupt(store, nm_cli_stop, NULL);
        status = read_store(run, i, store, error);
        nm_store_close(store);
    }
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Training

static nm_status open_model(energy_run *run, const char *model, nm_error *error) {
    nm_backend_config backend = nm_backend_config_default();
    backend.threads = (int)run->common->threads;
    backend.compute = run->config.precision == NM_TRAIN_BF16 ? NM_BF16 : NM_F32;
    nm_status status = nm_shipped_model(model, run->model_path, error);
    if (status == NM_OK)
        status = strcmp(run->common->device, "cuda") == 0 ? nm_backend_create_cuda(&backend, &run->backend, error)
                                                          : nm_backend_create_cpu(&backend, &run->backend, error);
    if (status == NM_OK) status = nm_recipe_load(run->model_path, run->backend, &run->model, &run->recipe, error);
    if (status == NM_OK)
        status = nm_energy_examples_create(run->model, &run->recipe, run->config.futures, &run->futures, &run->examples,
                                           error);
    if (status == NM_OK) status = nm_energy_set_create(run->config.futures, &run->set, error);
    return status;
}

/// Which futures the same moments get from the same model: to be raised with whatever changes them, so that what an
/// older program kept is not gone on with.
#define SAMPLING_VERSION 1u

/// A hash of all of a model that its futures depend on. Its parameters do not tell what their tokens mean, nor how the
/// network computes with them: both stand beside them in the file.
static nm_status hash_model(const energy_run *run, uint64_t *hash, nm_error *error) {
    const nm_model_config *c = nm_model_get_config(run->model);
    const nm_attention_choice *a = &c->attention;
    char text[256];
    const nm_status status = nm_model_hash(run->model, hash, error);
    if (status != NM_OK) return status;
    char *recipe = nm_recipe_format(&run->recipe);
    if (!recipe) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a recipe");
    *hash = nm_hash_bytes(recipe, strlen(recipe) + 1, *hash);
    free(recipe);
    const int length = snprintf(text, sizeof text, "%u %u %u %u %d %d %d %s %u %.9g", c->heads, c->encoder_cross_heads,
                                c->encoder_self_heads, c->encoder_rounds, (int)c->map_mask, c->rotary, c->pose_bias,
                                nm_attention_name(a->kind), a->target, (double)a->tau);
    *hash = nm_hash_bytes(text, (size_t)length, *hash);
    return NM_OK;
}

/// A hash of all that says which moments are drawn and how they are sampled: neither of how many there are nor of how
/// the energy is trained.
static uint64_t hash_sampling(const energy_run *run) {
    const energy_config *c = &run->config;
    char text[1200];
    const int length = snprintf(text, sizeof text, "%u %" PRIu64 " %u %u %s %u %s %s %s", SAMPLING_VERSION,
                                c->trainer.seed, c->futures, (unsigned)c->precision, run->common->device, c->levels,
                                c->schedule, c->guidance, c->reduce);
    uint64_t hash = nm_hash_bytes(text, (size_t)length, 0);
    for (uint32_t i = 0; i < run->parts.count; ++i) {
        hash = nm_hash_bytes(&run->parts.part[i].weight, sizeof run->parts.part[i].weight, hash);
        for (size_t k = 0; k < run->part[i].count; ++k)
            hash = nm_hash_bytes(&run->part[i].scenes[k]->hash, sizeof run->part[i].scenes[k]->hash, hash);
    }
    return hash;
}

static nm_status open_kept(energy_run *run, nm_error *error) {
    nm_energy_futures_key key = {.sampling = hash_sampling(run)};
    nm_status status = hash_model(run, &key.model, error);
    if (status == NM_OK && mkdir(run->out, 0777) != 0 && errno != EEXIST)
        status = NM_ERROR(error, NM_E_IO, "%s: %s", run->out, strerror(errno));
    return status == NM_OK ? nm_energy_futures_open(run->out, &key, &run->kept, error) : status;
}

/// Says of kept futures that are not of moment `index` where they are, and what to do.
static nm_status refuse_kept(const energy_run *run, uint32_t index, nm_status status, nm_error *error) {
    char why[sizeof error->message];
    snprintf(why, sizeof why, "%s", error->message);
    return NM_ERROR(error, status, "%s/futures.bin: moment %u: %s: remove the file, or train into another folder",
                    run->out, index, why);
}

/// Adds moment `index` with its futures as they were kept, or samples and keeps them.
static nm_status add_moment_of(energy_run *run, uint32_t index, const nm_scene *scene, uint32_t step, int held,
                               nm_error *error) {
    const uint64_t seed = run->config.trainer.seed + index;
    const float *kept = NULL;
    size_t count = 0;
    nm_status status = nm_energy_futures_next(run->kept, &kept, &count, error);
    if (status == NM_OK) {
        if (!count) return NM_OK;
        status = nm_energy_examples_add(run->examples, scene, step, seed, held, kept, count, run->set, error);
        return status == NM_E_FORMAT || status == NM_E_NUMERIC ? refuse_kept(run, index, status, error) : status;
    }
    if (status != NM_E_NOT_FOUND) return status;
    nm_error_clear(error);
    run->sampled++;
    status = nm_energy_examples_add(run->examples, scene, step, seed, held, NULL, 0, run->set, error);
    if (status == NM_OK) kept = nm_energy_examples_sampled(run->examples, &count);
    if (status == NM_OK || status == NM_E_NOT_FOUND) // nobody is there then
        status = nm_energy_futures_add(run->kept, kept, count, error);
    return status;
}

/// Draws moment `index`: a part by weight, a scene of it, a step.
static nm_status add_moment(energy_run *run, uint32_t index, nm_error *error) {
    const nm_rng_key key = {
        .seed = run->config.trainer.seed, .agent = UINT32_MAX, .step = index, .purpose = NM_PURPOSE_EXAMPLE};
    double all = 0.0, sum = 0.0;
    uint32_t p = 0;
    for (uint32_t i = 0; i < run->parts.count; ++i) all += run->parts.part[i].weight;
    const double u = all * (double)nm_rng_uniform(&key, 0);
    while (p + 1 < run->parts.count && u >= (sum += run->parts.part[p].weight)) ++p;
    const energy_part *part = &run->part[p];
    const nm_scene *scene = part->scenes[nm_rng_below(&key, 1, (uint32_t)part->count)];
    const uint32_t steps = scene->step_count - LEAST_HISTORY - LEAST_FUTURE;
    const uint32_t step = LEAST_HISTORY + nm_rng_below(&key, 2, steps);
    return add_moment_of(run, index, scene, step, nm_hash64(scene->hash) % run->config.held == 0, error);
}

static nm_status make_examples(energy_run *run, int quiet, nm_error *error) {
    nm_status status = NM_OK;
    run->progress = nm_progress_start("futures", "moments", run->config.moments, quiet);
    for (uint32_t i = 0; status == NM_OK && i < run->config.moments; ++i) {
        status = add_moment(run, i, error);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        nm_progress_add(run->progress, 1);
    }
    nm_progress_finish(run->progress);
    run->progress = NULL;
    return status;
}

static nm_status learn(energy_run *run, int quiet, nm_error *error) {
    nm_energy_trainer *trainer = NULL;
    nm_status status = nm_energy_create(run->config.hidden, run->config.trainer.seed, &run->energy, error);
    if (status == NM_OK)
        status = nm_energy_trainer_create(run->energy, run->set, &run->config.trainer, &trainer, error);
    run->progress = nm_progress_start("train", "steps", run->config.trainer.steps, quiet);
    for (uint64_t i = 0; status == NM_OK && i < run->config.trainer.steps; ++i) {
        double loss = 0.0;
        char note[64];
        status = nm_energy_trainer_step(trainer, &loss, error);
        run->loss = i ? run->loss + 0.02 * (loss - run->loss) : loss;
        snprintf(note, sizeof note, "loss %.4f", run->loss);
        nm_progress_note(run->progress, note);
        nm_progress_add(run->progress, 1);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    nm_progress_finish(run->progress);
    run->progress = NULL;
    nm_energy_trainer_destroy(trainer);
    return status == NM_OK ? nm_energy_fit_scale(run->set, run->energy, error) : status;
}

static nm_status save(energy_run *run, nm_error *error) {
    char path[4096];
    nm_energy_origin *origin = nm_energy_get_origin(run->energy);
    run->learnt = nm_energy_set_quality(run->set, run->energy, 0);
    run->held = nm_energy_set_quality(run->set, run->energy, 1);
    snprintf(origin->model, sizeof origin->model, "%s", run->recipe.name);
    origin->steps = run->config.trainer.steps;
    origin->examples = nm_energy_set_examples(run->set, 0);
    origin->agent_share = run->held.agent_share;
    origin->scene_share = run->held.scene_share;
    nm_status status = nm_model_hash(run->model, &origin->model_hash, error);
    snprintf(path, sizeof path, "%s/energy.safetensors", run->out);
    return status == NM_OK ? nm_energy_save(run->energy, path, error) : status;
}

static nm_status train(energy_run *run, const char *model, const char *config, nm_error *error) {
    const int quiet = run->common->quiet || run->common->json;
    const double start = nm_clock();
    nm_status status = read_config(run, config, error);
    if (status == NM_OK) status = open_model(run, model, error);
    if (status == NM_OK) status = read_scenes(run, error);
    if (status == NM_OK) status = open_kept(run, error);
    if (status == NM_OK) status = make_examples(run, quiet, error);
    if (status == NM_OK) status = learn(run, quiet, error);
    if (status == NM_OK) status = save(run, error);
    run->seconds = nm_clock() - start;
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------

static void add_quality(cJSON *document, const char *name, const nm_energy_quality *q, const energy_run *run,
                        int held) {
    cJSON *one = cJSON_AddObjectToObject(document, name);
    nm_json_integer(one, "moments", nm_energy_set_examples(run->set, held));
    nm_json_integer(one, "agents", nm_energy_set_agents(run->set, held));
    nm_json_number(one, "agent_loss", q->agent_loss);
    nm_json_number(one, "agent_share", q->agent_share);
    nm_json_number(one, "scene_loss", q->scene_loss);
    nm_json_number(one, "scene_share", q->scene_share);
}

static void print_quality(nm_table *table, const char *name, const nm_energy_quality *q, const energy_run *run,
                          int held) {
    nm_table_cell(table, "%s", name);
    nm_table_cell(table, "%u", nm_energy_set_examples(run->set, held));
    nm_table_cell(table, "%" PRIu64, nm_energy_set_agents(run->set, held));
    nm_table_number(table, 3, q->agent_loss);
    nm_table_number(table, 1, 100.0 * q->agent_share);
    nm_table_number(table, 3, q->scene_loss);
    nm_table_number(table, 1, 100.0 * q->scene_share);
}

static int print(energy_run *run) {
    if (run->common->json) {
        cJSON *document = cJSON_CreateObject();
        cJSON_AddStringToObject(document, "out", run->out);
        cJSON_AddStringToObject(document, "model", run->recipe.name);
        nm_json_integer(document, "steps", run->config.trainer.steps);
        nm_json_integer(document, "parameters", nm_energy_parameter_count(run->energy) + 1);
        nm_json_integer(document, "futures", run->config.futures);
        nm_json_integer(document, "moments_sampled", run->sampled);
        nm_json_number(document, "loss", run->loss);
        nm_json_number(document, "scale", nm_energy_scale(run->energy));
        add_quality(document, "trained_on", &run->learnt, run, 0);
        add_quality(document, "kept_back", &run->held, run, 1);
        nm_json_number(document, "seconds", run->seconds);
        return nm_cli_print_json(run->command, document);
    }
    static const char *const headings[] = {"moments",     ">count",          ">agents",    ">loss of agents",
                                           ">first of %", ">loss of scenes", ">first of %"};
    printf("energy of %zu parameters for the model %s, scale %.3f; chance: loss %.3f, first %.1f %%\n",
           nm_energy_parameter_count(run->energy) + 1, run->recipe.name, nm_energy_scale(run->energy),
           log(1.0 + run->config.futures), 100.0 / (1.0 + run->config.futures));
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    print_quality(table, "trained on", &run->learnt, run, 0);
    print_quality(table, "kept back", &run->held, run, 1);
    nm_table_print(table, stdout);
    nm_table_destroy(table);
    printf("energy: %s/energy.safetensors\n", run->out);
    return nm_cli_finish(run->command);
}

static void release(energy_run *run) {
    nm_progress_finish(run->progress);
    nm_energy_destroy(run->energy);
    nm_energy_set_destroy(run->set);
    nm_energy_futures_close(run->kept);
    nm_energy_examples_destroy(run->examples);
    nm_model_destroy(run->model);
    if (run->backend) nm_backend_destroy(run->backend);
    for (uint32_t i = 0; i < NM_TRAIN_PARTS; ++i) {
        for (size_t k = 0; k < run->part[i].count; ++k) nm_scene_destroy(run->part[i].scenes[k]);
        free(run->part[i].scenes);
    }
    cJSON_Delete(run->config.document);
    free(run);
}

int nm_train_energy(const nm_command *command, const nm_common *common, const char *model, const char *config,
                    const char *out) {
    nm_error error;
    nm_error_clear(&error);
    energy_run *run = calloc(1, sizeof *run);
    if (!run) {
        (void)NM_ERROR(&error, NM_E_MEMORY, "out of memory");
        return nm_cli_fail(command, &error);
    }
    run->command = command;
    run->common = common;
    run->out = out;
    const nm_status status = train(run, model, config, &error);
    nm_progress_finish(run->progress);
    run->progress = NULL;
    const int result = status == NM_OK ? print(run) : nm_cli_fail(command, &error);
    release(run);
    return result;
}
