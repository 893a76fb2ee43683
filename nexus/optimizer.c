#include "nexus/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nexus/model_private.h"
#include "nexus/safetensors.h"

/// What is kept of every parameter. In files each is one flat tensor, laid out as the model's values.
enum { VALUES, FIRST, SECOND, AVERAGE, PARTS };
static const char *const part_names[PARTS] = {"optimizer.values", "optimizer.first", "optimizer.second",
                                              "optimizer.average"};

struct nm_optimizer {
    nm_model *model;
    nm_optimizer_config config;
    nm_tensor parts[PARTS]; ///< VALUES is the model's own; AVERAGE absent without ema
    nm_tensor decay_mask;
    nm_tensor square_sum; ///< [1][1] F64
    uint64_t steps;
};

nm_optimizer_config nm_optimizer_config_default(void) {
    return (nm_optimizer_config){
        .beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-8f, .decay = 0.01f, .clip = 1.0f, .ema_decay = 0.999f};
}

static nm_status make_decay_mask(nm_optimizer *o, nm_error *error) {
    const nm_model *m = o->model;
    float *host = calloc(m->flat_size, sizeof *host);
    if (!host) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an optimizer");
    for (size_t i = 0; i < m->parameter_count; ++i) {
        const nm_parameter *p = &m->parameters[i];
        for (size_t k = 0; p->decay && k < (size_t)p->rows * p->cols; ++k) host[p->offset + k] = 1.0f;
    }
    m->backend->ops->upload(m->backend, host, o->decay_mask);
    free(host);
    return NM_OK;
}

static nm_status fill(nm_optimizer *o, nm_error *error) {
    nm_backend *backend = o->model->backend;
    const uint32_t size = o->model->values.cols;
    o->parts[VALUES] = o->model->values;
    o->parts[FIRST] = nm_tensor_create(backend, 1, size, backend->parameter);
    o->parts[SECOND] = nm_tensor_create(backend, 1, size, backend->parameter);
    if (o->config.ema_decay > 0.0f) o->parts[AVERAGE] = nm_tensor_create(backend, 1, size, backend->parameter);
    o->decay_mask = nm_tensor_create(backend, 1, size, backend->parameter);
    o->square_sum = nm_tensor_create(backend, 1, 1, NM_F64);
    if (!o->parts[FIRST].data || !o->parts[SECOND].data || !o->decay_mask.data || !o->square_sum.data ||
        (o->config.ema_decay > 0.0f && !o->parts[AVERAGE].data))
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for an optimizer of %u parameters", size);
    if (o->parts[AVERAGE].data) backend->ops->convert(backend, o->parts[VALUES], o->parts[AVERAGE]);
    return make_decay_mask(o, error);
}

nm_status nm_optimizer_create(nm_model *model, const nm_optimizer_config *config, nm_optimizer **optimizer,
                              nm_error *error) {
    *optimizer = NULL;
    if (!(config->beta1 >= 0.0f && config->beta1 < 1.0f && config->beta2 >= 0.0f && config->beta2 < 1.0f &&
          config->epsilon > 0.0f && isfinite(config->epsilon) && config->decay >= 0.0f && isfinite(config->decay) &&
          config->clip >= 0.0f && config->ema_decay >= 0.0f && config->ema_decay < 1.0f))
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "an optimizer with beta1 %g, beta2 %g, epsilon %g, decay %g, clip %g, ema_decay %g",
                        (double)config->beta1, (double)config->beta2, (double)config->epsilon, (double)config->decay,
                        (double)config->clip, (double)config->ema_decay);
    nm_optimizer *o = calloc(1, sizeof *o);
    if (!o) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an optimizer");
    o->model = model;
    o->config = *config;
    const nm_status status = fill(o, error);
    if (status != NM_OK) {
        nm_optimizer_destroy(o);
        return status;
    }
    *optimizer = o;
    return NM_OK;
}

void nm_optimizer_destroy(nm_optimizer *o) {
    if (!o) return;
    nm_backend *backend = o->model->backend;
    for (int i = FIRST; i < PARTS; ++i)
        if (o->parts[i].data) backend->ops->release(backend, o->parts[i].data);
    if (o->decay_mask.data) backend->ops->release(backend, o->decay_mask.data);
    if (o->square_sum.data) backend->ops->release(backend, o->square_sum.data);
    free(o);
}

uint64_t nm_optimizer_steps(const nm_optimizer *optimizer) {
    return optimizer->steps;
}

/// Young averages forget faster, so that they are not held back by the first values: (1 + n) / (10 + n) at step n, up
/// to the configured decay.
static float average_decay(const nm_optimizer *o) {
    const double young = (1.0 + (double)o->steps) / (10.0 + (double)o->steps);
    return (float)fmin((double)o->config.ema_decay, young);
}

nm_status nm_optimizer_step(nm_optimizer *o, const nm_pass *pass, float rate, double *norm, nm_error *error) {
    nm_backend *backend = o->model->backend;
    const nm_tensor gradients = nm_pass_gradients(pass);
    NM_ASSERT(gradients.data && nm_pass_model(pass) == o->model);
    if (!(rate >= 0.0f && isfinite(rate))) return NM_ERROR(error, NM_E_ARGUMENT, "a rate of %g", (double)rate);
    float square = 0.0f;
    backend->ops->square_sum(backend, gradients, o->square_sum);
    backend->ops->download(backend, o->square_sum, &square);
    nm_status status = backend->ops->synchronize(backend, error);
    if (status != NM_OK) return status;
    const double length = sqrt((double)square);
    if (norm) *norm = length;
    if (!isfinite(length)) return NM_ERROR(error, NM_E_NUMERIC, "the gradients are not finite");
    const double clip = (double)o->config.clip;
    o->steps++;
    const nm_adamw op = {.parameter = o->parts[VALUES],
                         .gradient = gradients,
                         .first = o->parts[FIRST],
                         .second = o->parts[SECOND],
                         .ema = o->parts[AVERAGE],
                         .decay_mask = o->decay_mask,
                         .rate = rate,
                         .beta1 = o->config.beta1,
                         .beta2 = o->config.beta2,
                         .epsilon = o->config.epsilon,
                         .decay = o->config.decay,
                         .gradient_scale = clip > 0.0 && length > clip ? (float)(clip / length) : 1.0f,
                         .ema_decay = average_decay(o),
                         .step = o->steps};
    backend->ops->adamw(backend, &op);
    status = nm_model_repack(o->model, error);
    return status == NM_OK ? backend->ops->synchronize(backend, error) : status;
}

nm_status nm_optimizer_swap_average(nm_optimizer *o, nm_error *error) {
    nm_backend *backend = o->model->backend;
    if (!o->parts[AVERAGE].data) return NM_ERROR(error, NM_E_ARGUMENT, "this optimizer keeps no average");
    nm_tensor room = nm_tensor_create(backend, 1, o->parts[VALUES].cols, backend->parameter);
    if (!room.data) return NM_ERROR(error, NM_E_MEMORY, "out of memory for exchanging the average");
    backend->ops->convert(backend, o->parts[VALUES], room);
    backend->ops->convert(backend, o->parts[AVERAGE], o->parts[VALUES]);
    backend->ops->convert(backend, room, o->parts[AVERAGE]);
    const nm_status status = backend->ops->synchronize(backend, error);
    backend->ops->release(backend, room.data);
    return status == NM_OK ? nm_model_repack(o->model, error) : status;
}

static int part_count(const nm_optimizer *o) {
    return o->parts[AVERAGE].data ? PARTS : AVERAGE;
}

/// A number for the names and shapes of a model's parameters: what gives the numbers of a flat tensor their meaning.
static void print_layout(const nm_model *m, char text[17]) {
    uint64_t hash = 0;
    for (size_t i = 0; i < m->parameter_count; ++i) {
        const nm_parameter *p = &m->parameters[i];
        const uint64_t shape[] = {p->offset, p->rows, p->cols};
        hash = nm_hash_bytes(p->name, strlen(p->name), hash);
        hash = nm_hash_bytes(shape, sizeof shape, hash);
    }
    snprintf(text, 17, "%016llx", (unsigned long long)hash);
}

nm_status nm_optimizer_save(const nm_optimizer *o, const char *path, size_t shard_bytes, nm_error *error) {
    nm_backend *backend = o->model->backend;
    const size_t size = o->parts[VALUES].cols;
    const int parts = part_count(o);
    float *host = malloc(size * (size_t)parts * sizeof *host);
    if (!host) return NM_ERROR(error, NM_E_MEMORY, "out of memory for writing an optimizer");
    nm_safetensors_item items[PARTS];
    for (int i = 0; i < parts; ++i) {
        backend->ops->download(backend, o->parts[i], host + size * (size_t)i);
        items[i] = (nm_safetensors_item){
            .name = part_names[i], .type = NM_STORED_F32, .rank = 1, .shape = {size}, .data = host + size * (size_t)i};
    }
    nm_status status = backend->ops->synchronize(backend, error);
    char steps[24];
    snprintf(steps, sizeof steps, "%llu", (unsigned long long)o->steps);
    char layout[17];
    print_layout(o->model, layout);
    const nm_safetensors_text metadata[] = {{"layout", layout}, {"steps", steps}};
    nm_safetensors_config config = nm_safetensors_config_default();
    config.metadata = metadata;
    config.metadata_count = sizeof metadata / sizeof *metadata;
    config.shard_bytes = shard_bytes;
    if (status == NM_OK) status = nm_safetensors_write(path, items, (size_t)parts, &config, error);
    free(host);
    return status;
}

static nm_status check_layout(const nm_optimizer *o, const nm_safetensors *file, nm_error *error) {
    char layout[17];
    print_layout(o->model, layout);
    const char *stored = nm_safetensors_metadata(file, "layout");
    if (stored && strcmp(stored, layout) == 0) return NM_OK;
    return NM_ERROR(error, NM_E_FORMAT, "the state of an optimizer of another model: its parameters differ");
}

/// Squares have no sign, and the step takes their root.
static nm_status check_second(const float *second, size_t size, nm_error *error) {
    for (size_t i = 0; i < size; ++i) {
        if (second[i] >= 0.0f) continue;
        return NM_ERROR(error, NM_E_NUMERIC, "tensor '%s' holds %g at [%zu], a mean of squares", part_names[SECOND],
                        (double)second[i], i);
    }
    return NM_OK;
}

static nm_status read_state(const nm_optimizer *o, const nm_safetensors *file, float *host, int64_t *steps,
                            nm_error *error) {
    const uint64_t size = o->parts[VALUES].cols;
    nm_wanted_tensor wanted[PARTS] = {0};
    const int parts = part_count(o);
    for (int i = 0; i < parts; ++i) wanted[i] = (nm_wanted_tensor){.name = part_names[i], .rank = 1, .shape = {size}};
    nm_status status = nm_safetensors_match(file, wanted, (size_t)parts, error);
    if (status == NM_OK) status = check_layout(o, file, error);
    if (status == NM_OK) status = nm_safetensors_metadata_number(file, "steps", 0, INT64_MAX, steps, error);
    for (int i = 0; status == NM_OK && i < parts; ++i)
        status = nm_safetensors_read_f32(file, part_names[i], 1, &size, host + size * (size_t)i, error);
    return status == NM_OK ? check_second(host + size * SECOND, size, error) : status;
}

nm_status nm_optimizer_load(nm_optimizer *o, const char *path, nm_error *error) {
    nm_backend *backend = o->model->backend;
    const size_t size = o->parts[VALUES].cols;
    nm_safetensors *file;
    nm_status status = nm_safetensors_open(path, &file, error);
    if (status != NM_OK) return status;
    int64_t steps = 0;
    float *host = malloc(size * PARTS * sizeof *host);
    status = host ? read_state(o, file, host, &steps, error)
                  : NM_ERROR(error, NM_E_MEMORY, "out of memory for reading an optimizer");
    if (status == NM_OK) {
        for (int i = 0; i < part_count(o); ++i) backend->ops->upload(backend, host + size * (size_t)i, o->parts[i]);
        o->steps = (uint64_t)steps;
        status = nm_model_repack(o->model, error);
    }
    if (status == NM_OK) status = backend->ops->synchronize(backend, error);
    nm_safetensors_close(file);
    free(host);
    if (status != NM_OK && error && !error->input[0])
        snprintf(error->input, sizeof error->input, "%.*s", (int)sizeof error->input - 1, path);
    return status;
}
