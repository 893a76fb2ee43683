/// Energies as files.
#include "nexus/energy_private.h"
#include "nexus/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "nearmiss_energy" ///< its value: the version of the rows
enum { TENSORS = 6, TEXTS = 7, TEXT_SIZE = 64 };

static const char *const names[TENSORS] = {"rows.weight", "rows.bias",     "agents.weight",
                                           "agents.bias", "output.weight", "scale"};

/// Names and shapes for so many hidden values.
static void describe(uint32_t hidden, nm_wanted_tensor wanted[TENSORS]) {
    const uint64_t h = hidden;
    const nm_wanted_tensor all[TENSORS] = {{names[0], 2, {h, NM_ENERGY_ROW}},
                                           {names[1], 1, {h}},
                                           {names[2], 2, {h, 2 * h}},
                                           {names[3], 1, {h}},
                                           {names[4], 1, {h}},
                                           {names[5], 1, {1}}};
    memcpy(wanted, all, sizeof all);
}

static size_t size_of(const nm_wanted_tensor *t) {
    return (size_t)(t->rank == 2 ? t->shape[0] * t->shape[1] : t->shape[0]);
}

// ---------------------------------------------------------------------------------------------------------------------

static void describe_origin(const nm_energy_origin *o, char texts[TEXTS][TEXT_SIZE]) {
    snprintf(texts[0], TEXT_SIZE, "%d", NM_ENERGY_ROWS_VERSION);
    snprintf(texts[1], TEXT_SIZE, "%016llx", (unsigned long long)o->model_hash);
    snprintf(texts[2], TEXT_SIZE, "%s", o->model);
    snprintf(texts[3], TEXT_SIZE, "%llu", (unsigned long long)o->steps);
    snprintf(texts[4], TEXT_SIZE, "%llu", (unsigned long long)o->examples);
    snprintf(texts[5], TEXT_SIZE, "%.6f", o->agent_share);
    snprintf(texts[6], TEXT_SIZE, "%.6f", o->scene_share);
}

nm_status nm_energy_save(const nm_energy *e, const char *path, nm_error *error) {
    static const char *const keys[TEXTS] = {KEY,        "model_hash",  "model",      "steps",
                                            "examples", "agent_share", "scene_share"};
    const size_t count = nm_energy_parameter_count(e);
    char texts[TEXTS][TEXT_SIZE];
    nm_safetensors_text metadata[TEXTS];
    nm_safetensors_item items[TENSORS];
    nm_wanted_tensor shapes[TENSORS];
    float *values = calloc(count + 1, sizeof *values);
    if (!values) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an energy");
    for (size_t i = 0; i < count; ++i) values[i] = (float)e->parameters[i];
    values[count] = (float)e->scale;
    describe(e->hidden, shapes);
    const float *at = values;
    for (int i = 0; i < TENSORS; ++i) {
        items[i] = (nm_safetensors_item){.name = names[i], .type = NM_STORED_F32, .rank = shapes[i].rank, .data = at};
        memcpy(items[i].shape, shapes[i].shape, sizeof items[i].shape);
        at += size_of(&shapes[i]);
    }
    describe_origin(&e->origin, texts);
    for (int i = 0; i < TEXTS; ++i) metadata[i] = (nm_safetensors_text){keys[i], texts[i]};
    nm_safetensors_config config = nm_safetensors_config_default();
    config.metadata = metadata;
    config.metadata_count = TEXTS;
    const nm_status status = nm_safetensors_write(path, items, TENSORS, &config, error);
    free(values);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------

static nm_status number(const nm_safetensors *file, const char *key, uint64_t *value, nm_error *error) {
    int64_t read = 0;
    const nm_status status = nm_safetensors_metadata_number(file, key, 0, INT64_MAX, &read, error);
    *value = (uint64_t)read;
    return status;
}

static double share(const nm_safetensors *file, const char *key) {
    const char *text = nm_safetensors_metadata(file, key);
    const double value = text ? strtod(text, NULL) : (double)NAN;
    return value >= 0.0 && value <= 1.0 ? value : (double)NAN;
}

static nm_status read_origin(const nm_safetensors *file, nm_energy_origin *o, nm_error *error) {
    int64_t version = 0;
    if (!nm_safetensors_metadata(file, KEY)) return NM_ERROR(error, NM_E_FORMAT, "this file holds no energy");
    nm_status status = nm_safetensors_metadata_number(file, KEY, 0, INT32_MAX, &version, error);
    if (status == NM_OK && version != NM_ENERGY_ROWS_VERSION)
        status = NM_ERROR(error, NM_E_FORMAT, "an energy of version %lld, not %d", (long long)version,
                          NM_ENERGY_ROWS_VERSION);
    const char *hash = nm_safetensors_metadata(file, "model_hash"), *model = nm_safetensors_metadata(file, "model");
    if (status == NM_OK && (!hash || strlen(hash) != 16 || strspn(hash, "0123456789abcdef") != 16 || !model))
        status = NM_ERROR(error, NM_E_FORMAT, "an energy that does not say which model it is of");
    if (status == NM_OK) status = number(file, "steps", &o->steps, error);
    if (status == NM_OK) status = number(file, "examples", &o->examples, error);
    if (status != NM_OK) return status;
    o->model_hash = strtoull(hash, NULL, 16);
    snprintf(o->model, sizeof o->model, "%.*s", (int)sizeof o->model - 1, model);
    o->agent_share = share(file, "agent_share");
    o->scene_share = share(file, "scene_share");
    return NM_OK;
}

static nm_status read_values(const nm_safetensors *file, nm_energy *e, nm_error *error) {
    nm_wanted_tensor wanted[TENSORS];
    describe(e->hidden, wanted);
    nm_status status = nm_safetensors_match(file, wanted, TENSORS, error);
    const size_t count = nm_energy_parameter_count(e);
    float *values = calloc(count + 1, sizeof *values), *at = values;
    if (status == NM_OK && !values) status = NM_ERROR(error, NM_E_MEMORY, "out of memory for an energy");
    for (int i = 0; status == NM_OK && i < TENSORS; ++i) {
        status = nm_safetensors_read_f32(file, names[i], wanted[i].rank, wanted[i].shape, at, error);
        at += size_of(&wanted[i]);
    }
    for (size_t i = 0; status == NM_OK && i < count; ++i) e->parameters[i] = (double)values[i];
    if (status == NM_OK) e->scale = (double)values[count];
    free(values);
    return status;
}

static nm_status read_all(const nm_safetensors *file, nm_energy **energy, nm_error *error) {
    nm_energy_origin origin = {0};
    nm_status status = read_origin(file, &origin, error);
    if (status != NM_OK) return status;
    const nm_stored_tensor *bias = nm_safetensors_find(file, names[1]);
    if (!bias || bias->rank != 1 || bias->shape[0] < 1 || bias->shape[0] > NM_ENERGY_MOST_HIDDEN)
        return NM_ERROR(error, NM_E_FORMAT, "an energy wants '%s' of 1..%u values", names[1], NM_ENERGY_MOST_HIDDEN);
    nm_energy *e;
    status = nm_energy_create((uint32_t)bias->shape[0], 0, &e, error);
    if (status == NM_OK) status = read_values(file, e, error);
    if (status == NM_OK) {
        e->origin = origin;
        *energy = e;
    } else {
        nm_energy_destroy(e);
    }
    return status;
}

nm_status nm_energy_load(const char *path, nm_energy **energy, nm_error *error) {
    nm_safetensors *file;
    *energy = NULL;
    nm_status status = nm_safetensors_open(path, &file, error);
    if (status != NM_OK) return status;
    status = read_all(file, energy, error);
    nm_safetensors_close(file);
    if (status != NM_OK && error && !error->input[0])
        snprintf(error->input, sizeof error->input, "%.*s", (int)sizeof error->input - 1, path);
    return status;
}
