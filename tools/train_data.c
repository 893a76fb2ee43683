/// The data of a training run: scenes of stores, and what the simulator makes.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/shards.h"
#include "scenarios/simulated_examples.h"
#include "scenarios/store.h"
#include "tools/cli.h"
#include "tools/train_config.h"

/// Adds a scene at the trainer's time step; takes it over.
static nm_status add_scene(nm_training_set *set, uint32_t index, const nm_scene *scene, nm_error *error) {
    nm_status status = NM_OK;
    if (!(fabsf(scene->dt - 0.1f) < 1e-6f)) { // as nm_training_set_add asks
        const nm_scene *resampled;
        status = nm_scene_resample(scene, 0.1, &resampled, error);
        nm_scene_destroy(scene);
        if (status != NM_OK) return status;
        scene = resampled;
    }
    status = nm_training_set_add(set, index, scene, error);
    if (status != NM_OK) nm_scene_destroy(scene);
    return status;
}

static nm_status read_store(nm_store *store, const nm_train_part *part, nm_training_set *set, uint32_t index, int quiet,
                            nm_error *error) {
    nm_arena *arena = nm_arena_create(0);
    int64_t *ids = NULL;
    size_t count = 0;
    nm_status status = arena ? nm_store_scene_ids(store, -1, arena, &ids, &count, error)
                             : NM_ERROR(error, NM_E_MEMORY, "out of memory for the scenes of a store");
    nm_progress *progress = nm_progress_start("reading", "scenes", count, quiet);
    for (size_t i = 0; status == NM_OK && i < count; ++i) {
        const nm_scene *scene = NULL;
        status = nm_store_get_scene(store, ids[i], &scene, error);
        if (status == NM_OK && scene->track_count && nm_train_part_wants(part, scene->provenance.scene_id))
            status = add_scene(set, index, scene, error);
        else
            nm_scene_destroy(scene);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        nm_progress_add(progress, 1);
    }
    nm_progress_finish(progress);
    nm_arena_destroy(arena);
    return status;
}

static nm_status open_store(const nm_train_part *part, nm_training_set *set, int quiet, nm_error *error) {
    nm_store *store;
    uint32_t index;
    nm_status status = nm_store_open(part->path, NM_STORE_READ, &store, error);
    if (status != NM_OK) return status;
    nm_store_set_interrupt(store, nm_cli_stop, NULL);
    const size_t before = nm_training_set_scenes(set);
    status = nm_training_set_add_part(set, part->weight, &index, error);
    if (status == NM_OK) status = read_store(store, part, set, index, quiet, error);
    nm_store_close(store);
    if (status == NM_OK && nm_training_set_scenes(set) == before)
        status = NM_ERROR(error, NM_E_NOT_FOUND, "%s: no scene has a name that was asked for", part->path);
    return status;
}

static nm_status open_shards(const nm_train_part *part, nm_training_set *set, int quiet, nm_error *error) {
    nm_shard_set *shards;
    uint32_t index;
    nm_status status = nm_shard_set_open(part->path, 0, &shards, error);
    if (status != NM_OK) return status;
    const uint64_t count = nm_shard_set_scene_count(shards);
    const size_t before = nm_training_set_scenes(set);
    status = nm_training_set_add_part(set, part->weight, &index, error);
    nm_progress *progress = nm_progress_start("reading", "scenes", count, quiet);
    for (uint64_t i = 0; status == NM_OK && i < count; ++i) {
        const nm_scene *scene = nm_shard_set_scene(shards, i, error);
        if (!scene)
            status = error->code;
        else if (scene->track_count && nm_train_part_wants(part, scene->provenance.scene_id))
            status = add_scene(set, index, scene, error);
        else
            nm_scene_destroy(scene);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        nm_progress_add(progress, 1);
    }
    nm_progress_finish(progress);
    nm_shard_set_close(shards);
    if (status == NM_OK && nm_training_set_scenes(set) == before)
        status = NM_ERROR(error, NM_E_NOT_FOUND, "%s: no scene has a name that was asked for", part->path);
    return status;
}

void nm_train_data_close(nm_train_data *data) {
    nm_training_set_destroy(data->set);
    for (uint32_t i = 0; i < data->simulated_count; ++i) nm_simulated_examples_destroy(data->simulated[i]);
    *data = (nm_train_data){0};
}

/// Seeds in a configuration are below 2^53: this bit is free to tell validation from training.
static uint64_t seed_for(const nm_train_config *config, nm_train_purpose purpose) {
    return config->trainer.seed | (purpose == NM_TRAIN_TO_VALIDATE ? UINT64_C(1) << 63 : 0);
}

static nm_status open_simulation(const nm_train_config *config, const nm_train_part *part, uint64_t seed,
                                 const nm_block_growth *growth, nm_train_data *data, nm_error *error) {
    nm_simulated_config c = nm_simulated_config_default(config->set.tokens.encoding);
    c.tokens = config->set.tokens;
    c.map = part->path;
    c.density = part->density;
    c.routes = config->set.routes;
    c.blocks = config->set.blocks;
    c.growth = *growth;
    c.parts = config->set.parts;
    c.maps = part->maps;
    c.seed = seed + data->simulated_count;
    nm_simulated_examples **examples = &data->simulated[data->simulated_count];
    nm_status status = nm_simulated_examples_create(&c, examples, error);
    if (status != NM_OK) return status;
    data->simulated_count++;
    return nm_training_set_add_source(data->set, part->weight, nm_simulated_examples_source(*examples), error);
}

nm_status nm_train_data_open(const nm_train_config *config, const nm_train_parts *parts, nm_train_purpose purpose,
                             int quiet, nm_train_data *data, nm_error *error) {
    *data = (nm_train_data){0};
    nm_training_set_config set = config->set;
    set.seed = seed_for(config, purpose);
    if (purpose == NM_TRAIN_TO_VALIDATE) set.augmentation = (nm_augmentation){0};
    if (purpose == NM_TRAIN_TO_VALIDATE) set.growth.count = 0; // always in blocks of the last size
    nm_status status = nm_training_set_create(&set, &data->set, error);
    for (uint32_t i = 0; status == NM_OK && i < parts->count; ++i) {
        const nm_train_part *part = &parts->part[i];
        if (part->from == NM_TRAIN_STORE)
            status = open_store(part, data->set, quiet, error);
        else if (part->from == NM_TRAIN_SIMULATE)
            status = open_simulation(config, part, set.seed, &set.growth, data, error);
        else
            status = open_shards(part, data->set, quiet, error);
    }
    if (status != NM_OK) nm_train_data_close(data);
    return status;
}
