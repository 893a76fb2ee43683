#include "tools/bench_network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

enum { POLYLINES = 128, POLYLINE_POINTS = 21, AGENT_POLYLINES = 48, REPEATS = 15 };

float nm_bench_normal(uint32_t what, size_t index) {
    const nm_rng_key key = {
        .seed = 1, .agent = what, .step = (uint32_t)index, .scene = index >> 32, .purpose = NM_PURPOSE_TEST};
    return nm_rng_normal(&key, 0);
}

// Batches
// ---------------------------------------------------------------------------------------------------------------------

void nm_bench_destroy_batch(nm_bench_batch *b) {
    void *parts[] = {b->scenes, b->valid,     b->map,   b->map_agent, b->known, b->mask,
                     b->noised, b->condition, b->level, b->pose,      b->v};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) free(parts[i]);
    *b = (nm_bench_batch){0};
}

static void fill_scenes(nm_bench_batch *b, uint32_t map_channels) {
    memset(b->valid, 1, (size_t)b->agents * NM_BENCH_STEPS);
    for (size_t i = 0; i < (size_t)b->points * map_channels; ++i) b->map[i] = 0.5f * nm_bench_normal(0, i);
    for (uint32_t i = 0; b->map_agent && i < b->points; ++i) b->map_agent[i] = i / AGENT_POLYLINES;
    for (uint32_t s = 0; s < b->count; ++s)
        b->scenes[s] = (nm_token_scene){.agents = b->agents,
                                        .steps = NM_BENCH_STEPS,
                                        .valid = b->valid,
                                        .points = b->points,
                                        .map = b->map,
                                        .map_agent = b->map_agent};
}
static void fill_tokens(nm_bench_batch *b, size_t channels, size_t conditions) {
    for (size_t n = 0; n < b->tokens; ++n) {
        const int history = n % NM_BENCH_STEPS < NM_BENCH_HISTORY;
        const float heading = 3.0f * nm_bench_normal(5, n);
        b->level[n] = history ? 0.0f : (float)(1 + n % NM_BENCH_STEPS) / (float)(NM_BENCH_STEPS + 1);
        for (size_t c = 0; c < channels; ++c) {
            b->known[n * channels + c] = 0.5f * nm_bench_normal(1, n * channels + c);
            b->mask[n * channels + c] = history ? 1.0f : 0.0f;
            b->noised[n * channels + c] = nm_bench_normal(2, n * channels + c);
        }
        for (size_t c = 0; c < conditions; ++c)
            b->condition[n * conditions + c] = nm_bench_normal(4, n * conditions + c);
        const float pose[4] = {20.0f * nm_bench_normal(6, n), 20.0f * nm_bench_normal(7, n), cosf(heading),
                               sinf(heading)};
        memcpy(b->pose + 4 * n, pose, sizeof pose);
    }
}

nm_status nm_bench_create_batch(nm_bench_batch *b, const nm_model_config *config, uint32_t agents, uint32_t scenes,
                                nm_error *error) {
    const int own = config->map_encoder == NM_MAP_POLYLINES;
    *b = (nm_bench_batch){.agents = agents,
                          .count = scenes,
                          .tokens = agents * scenes * NM_BENCH_STEPS,
                          .points = own ? agents * AGENT_POLYLINES : POLYLINES * POLYLINE_POINTS};
    const size_t values = (size_t)b->tokens * config->channels;
    b->scenes = calloc(scenes, sizeof *b->scenes);
    b->valid = calloc((size_t)agents * NM_BENCH_STEPS, 1);
    b->map = calloc((size_t)b->points * config->map_channels, sizeof *b->map);
    if (own) b->map_agent = calloc(b->points, sizeof *b->map_agent);
    b->known = calloc(values, sizeof *b->known);
    b->mask = calloc(values, sizeof *b->mask);
    b->noised = calloc(values, sizeof *b->noised);
    b->condition = calloc((size_t)b->tokens * config->conditions + 1, sizeof *b->condition);
    b->level = calloc(b->tokens, sizeof *b->level);
    b->pose = calloc(4 * (size_t)b->tokens, sizeof *b->pose);
    b->v = calloc(values, sizeof *b->v);
    if (!b->scenes || !b->valid || !b->map || (own && !b->map_agent) || !b->known || !b->mask || !b->noised ||
        !b->condition || !b->level || !b->pose || !b->v)
        return NM_ERROR(error, NM_E_MEMORY, "no memory for a batch of %u tokens", b->tokens);
    fill_scenes(b, config->map_channels);
    fill_tokens(b, config->channels, config->conditions);
    return NM_OK;
}

nm_pass_input nm_bench_input(const nm_bench_batch *b) {
    return (nm_pass_input){.known = b->known,
                           .mask = b->mask,
                           .noised = b->noised,
                           .condition = b->condition,
                           .level = b->level,
                           .pose = b->pose};
}

// Networks
// ---------------------------------------------------------------------------------------------------------------------

static nm_status randomise(nm_model *model, nm_error *error) {
    const nm_tensor values = nm_model_values(model);
    const nm_parameter *parameters;
    const size_t count = nm_model_parameters(model, &parameters);
    float *host = calloc(values.cols, sizeof *host);
    if (!host) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u parameters", values.cols);
    for (size_t i = 0; i < count; ++i) {
        const nm_parameter *p = &parameters[i];
        const float scale = p->vector ? 0.1f : 1.0f / sqrtf((float)p->cols);
        for (size_t k = 0; k < (size_t)p->rows * p->cols; ++k)
            host[p->offset + k] = p->centre + scale * nm_bench_normal(3, p->offset + k);
    }
    nm_backend *backend = nm_model_get_backend(model);
    backend->ops->upload(backend, host, values);
    free(host);
    return nm_model_repack(model, error);
}

void nm_bench_destroy_network(nm_bench_network *n) {
    nm_model_destroy(n->model);
    nm_backend_destroy(n->backend);
    *n = (nm_bench_network){0};
}

nm_status nm_bench_create_network(nm_bench_network *n, const nm_common *common, const nm_model_config *shape,
                                  nm_dtype compute, nm_error *error) {
    *n = (nm_bench_network){0};
    nm_backend_config config = nm_backend_config_default();
    config.threads = (int)common->threads;
    config.compute = compute;
    nm_status status = strcmp(common->device, "cuda") == 0 ? nm_backend_create_cuda(&config, &n->backend, error)
                                                           : nm_backend_create_cpu(&config, &n->backend, error);
    if (status == NM_OK) status = nm_model_create(shape, n->backend, 1, &n->model, error);
    if (status == NM_OK) status = randomise(n->model, error);
    return status;
}

// Measuring
// ---------------------------------------------------------------------------------------------------------------------

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
double nm_bench_median(double *values, size_t count) {
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

nm_status nm_bench_matmul_peak(nm_backend *backend, double *peak, nm_error *error) {
    // A GPU takes the next product while one runs: several, of a size that fills it.
    const int gpu = backend->ops->capture_begin != NULL;
    const uint32_t rows = gpu ? 8192 : 2688, width = gpu ? 4096 : 1024, products = gpu ? 8 : 1;
    nm_weight w = {.product = backend->compute};
    w.value = nm_tensor_create(backend, width, width, backend->parameter);
    const nm_tensor x = nm_tensor_create(backend, rows, width, backend->compute);
    const nm_tensor y = nm_tensor_create(backend, rows, width, backend->compute);
    float *host = malloc((size_t)rows * width * sizeof *host);
    nm_status status = NM_OK;
    if (!w.value.data || !x.data || !y.data || !host) status = NM_ERROR(error, NM_E_MEMORY, "no memory for a product");
    if (status == NM_OK) {
        for (size_t i = 0; i < (size_t)rows * width; ++i) host[i] = (float)(i % 61) / 61.0f - 0.4f;
        backend->ops->upload(backend, host, w.value);
        backend->ops->upload(backend, host, x);
        status = backend->ops->pack_weight(backend, &w, error);
    }
    double best = 0.0;
    for (int r = 0; status == NM_OK && r < REPEATS; ++r) {
        const nm_linear op = {.x = x, .weight = w, .y = y};
        const double start = nm_clock();
        for (uint32_t i = 0; i < products; ++i) backend->ops->linear(backend, &op);
        status = backend->ops->synchronize(backend, error);
        best = fmax(best, 2.0 * products * rows * width * width / (nm_clock() - start));
    }
    *peak = best;
    if (w.packed) backend->ops->release_weight(backend, &w);
    void *memory[] = {w.value.data, x.data, y.data};
    for (size_t i = 0; i < 3; ++i)
        if (memory[i]) backend->ops->release(backend, memory[i]);
    free(host);
    return status;
}
