/// `nearmiss bench denoise`: one pass of the denoising network in its published configuration (21 tokens an
/// agent), from host memory to host memory: inputs checked and handed over, prediction brought back.
///
/// Weights and tokens are random, none zero. Before anything is timed, bf16 is compared with float32, a second pass has
/// to give the same bits, and an overwritten token has to change the very next prediction. Medians over the repeats.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nexus/network.h"
#include "tools/cli.h"

enum { STEPS = 21, HISTORY = 5, POLYLINES = 128, POLYLINE_POINTS = 21, REPEATS = 15, WARM_UP = 3 };

/// A batch of scenes all tokens of which are valid, and what a pass is told of it.
typedef struct bench_batch {
    uint32_t agents, count, tokens;
    nm_token_scene *scenes;
    uint8_t *valid;
    float *map;
    float *known, *mask, *noised, *level, *v;
} bench_batch;

static float normal(uint32_t what, size_t index) {
    const nm_rng_key key = {
        .seed = 1, .agent = what, .step = (uint32_t)index, .scene = index >> 32, .purpose = NM_PURPOSE_TEST};
    return nm_rng_normal(&key, 0);
}

static void destroy_batch(bench_batch *b) {
    void *parts[] = {b->scenes, b->valid, b->map, b->known, b->mask, b->noised, b->level, b->v};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) free(parts[i]);
    *b = (bench_batch){0};
}

static void fill_batch(bench_batch *b, const nm_model_config *config) {
    const size_t points = (size_t)POLYLINES * POLYLINE_POINTS, channels = config->channels;
    memset(b->valid, 1, (size_t)b->agents * STEPS);
    for (size_t i = 0; i < points * config->map_channels; ++i) b->map[i] = 0.5f * normal(0, i);
    for (uint32_t s = 0; s < b->count; ++s)
        b->scenes[s] = (nm_token_scene){
            .agents = b->agents, .steps = STEPS, .valid = b->valid, .points = (uint32_t)points, .map = b->map};
    for (size_t n = 0; n < b->tokens; ++n) {
        const int history = n % STEPS < HISTORY;
        b->level[n] = history ? 0.0f : (float)(1 + n % STEPS) / (float)(STEPS + 1);
        for (size_t c = 0; c < channels; ++c) {
            b->known[n * channels + c] = 0.5f * normal(1, n * channels + c);
            b->mask[n * channels + c] = history ? 1.0f : 0.0f;
            b->noised[n * channels + c] = normal(2, n * channels + c);
        }
    }
}

static nm_status create_batch(bench_batch *b, const nm_model_config *config, uint32_t agents, uint32_t scenes,
                              nm_error *error) {
    *b = (bench_batch){.agents = agents, .count = scenes, .tokens = agents * scenes * STEPS};
    const size_t values = (size_t)b->tokens * config->channels;
    b->scenes = calloc(scenes, sizeof *b->scenes);
    b->valid = calloc((size_t)agents * STEPS, 1);
    b->map = calloc((size_t)POLYLINES * POLYLINE_POINTS * config->map_channels, sizeof *b->map);
    b->known = calloc(values, sizeof *b->known);
    b->mask = calloc(values, sizeof *b->mask);
    b->noised = calloc(values, sizeof *b->noised);
    b->v = calloc(values, sizeof *b->v);
    b->level = calloc(b->tokens, sizeof *b->level);
    if (!b->scenes || !b->valid || !b->map || !b->known || !b->mask || !b->noised || !b->v || !b->level)
        return NM_ERROR(error, NM_E_MEMORY, "no memory for a batch of %u tokens", b->tokens);
    fill_batch(b, config);
    return NM_OK;
}

/// Random values for every parameter: the first values of a model leave out half of it (adaLN-Zero).
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
            host[p->offset + k] = p->centre + scale * normal(3, p->offset + k);
    }
    nm_backend *backend = nm_model_get_backend(model);
    backend->ops->upload(backend, host, values);
    free(host);
    return nm_model_repack(model, error);
}

/// One precision on one device.
typedef struct bench_network {
    nm_backend *backend;
    nm_model *model;
} bench_network;

static void destroy_network(bench_network *n) {
    nm_model_destroy(n->model);
    nm_backend_destroy(n->backend);
    *n = (bench_network){0};
}

static nm_status create_network(bench_network *n, const nm_common *common, nm_dtype compute, nm_error *error) {
    *n = (bench_network){0};
    nm_backend_config config = nm_backend_config_default();
    config.threads = (int)common->threads;
    config.compute = compute;
    nm_status status = strcmp(common->device, "cuda") == 0 ? nm_backend_create_cuda(&config, &n->backend, error)
                                                           : nm_backend_create_cpu(&config, &n->backend, error);
    const nm_model_config shape = nm_model_config_default();
    if (status == NM_OK) status = nm_model_create(&shape, n->backend, 1, &n->model, error);
    if (status == NM_OK) status = randomise(n->model, error);
    return status;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

static nm_pass_input input_of(const bench_batch *b) {
    return (nm_pass_input){.known = b->known, .mask = b->mask, .noised = b->noised, .level = b->level};
}

/// The same prediction twice, and another one at once after the environment overwrote a token.
static nm_status validate(nm_pass *pass, bench_batch *b, uint32_t channels, nm_error *error) {
    const size_t values = (size_t)b->tokens * channels, token = STEPS - 1;
    float *before = malloc(values * sizeof *before);
    if (!before) return NM_ERROR(error, NM_E_MEMORY, "no memory for a prediction");
    const nm_pass_input input = input_of(b);
    nm_status status = nm_pass_predict(pass, &input, b->v, error);
    memcpy(before, b->v, values * sizeof *before);
    if (status == NM_OK) status = nm_pass_predict(pass, &input, b->v, error);
    if (status == NM_OK && memcmp(before, b->v, values * sizeof *before) != 0)
        status = NM_ERROR(error, NM_E_NUMERIC, "two passes over the same input differ");
    const float level = b->level[token], known = b->mask[token * channels];
    b->level[token] = 0.0f;
    for (uint32_t c = 0; c < channels; ++c) b->mask[token * channels + c] = 1.0f;
    if (status == NM_OK) status = nm_pass_predict(pass, &input, b->v, error);
    if (status == NM_OK && memcmp(before, b->v, channels * sizeof *before) == 0)
        status = NM_ERROR(error, NM_E_NUMERIC, "an overwritten token does not change the next prediction");
    b->level[token] = level;
    for (uint32_t c = 0; c < channels; ++c) b->mask[token * channels + c] = known;
    if (status == NM_OK) status = nm_pass_predict(pass, &input, b->v, error);
    free(before);
    return status;
}

typedef struct bench_result {
    double milliseconds;
    double flops;
    size_t bytes;
} bench_result;

/// Median time of a pass. `b->v` holds its prediction afterwards.
static nm_status time_pass(const bench_network *n, bench_batch *b, bench_result *result, nm_error *error) {
    const uint32_t channels = nm_model_get_config(n->model)->channels;
    const nm_batch_capacity capacity = {b->count, b->tokens, b->count * POLYLINES * POLYLINE_POINTS};
    nm_pass *pass;
    nm_status status = nm_pass_create(n->model, &capacity, 0, &pass, error);
    if (status != NM_OK) return status;
    result->bytes = nm_pass_bytes(n->model, &capacity, 0);
    status = nm_pass_set_scenes(pass, b->scenes, b->count, error);
    if (status == NM_OK) status = validate(pass, b, channels, error);
    result->flops = nm_pass_flops(pass);
    double times[REPEATS];
    const nm_pass_input input = input_of(b);
    for (int r = -WARM_UP; status == NM_OK && r < REPEATS; ++r) {
        if (nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        const double start = nm_clock();
        if (status == NM_OK) status = nm_pass_predict(pass, &input, b->v, error);
        if (r >= 0) times[r] = 1e3 * (nm_clock() - start);
    }
    if (status == NM_OK) result->milliseconds = median(times, REPEATS);
    nm_pass_destroy(pass);
    return status;
}

/// Best rate of a large product through the same operation: what the backend can reach, FLOP/s.
static nm_status matmul_peak(nm_backend *backend, double *peak, nm_error *error) {
    enum { ROWS = 2688, WIDTH = 1024 };
    nm_weight w = {.product = backend->compute};
    w.value = nm_tensor_create(backend, WIDTH, WIDTH, backend->parameter);
    const nm_tensor x = nm_tensor_create(backend, ROWS, WIDTH, backend->compute);
    const nm_tensor y = nm_tensor_create(backend, ROWS, WIDTH, backend->compute);
    float *host = malloc((size_t)ROWS * WIDTH * sizeof *host);
    nm_status status = NM_OK;
    if (!w.value.data || !x.data || !y.data || !host) status = NM_ERROR(error, NM_E_MEMORY, "no memory for a product");
    if (status == NM_OK) {
        for (size_t i = 0; i < (size_t)ROWS * WIDTH; ++i) host[i] = (float)(i % 61) / 61.0f - 0.4f;
        backend->ops->upload(backend, host, w.value);
        backend->ops->upload(backend, host, x);
        status = backend->ops->pack_weight(backend, &w, error);
    }
    double best = 0.0;
    for (int r = 0; status == NM_OK && r < REPEATS; ++r) {
        const nm_linear op = {.x = x, .weight = w, .y = y};
        const double start = nm_clock();
        backend->ops->linear(backend, &op);
        status = backend->ops->synchronize(backend, error);
        best = fmax(best, 2.0 * ROWS * WIDTH * WIDTH / (nm_clock() - start));
    }
    *peak = best;
    if (w.packed) backend->ops->release_weight(backend, &w);
    void *memory[] = {w.value.data, x.data, y.data};
    for (size_t i = 0; i < 3; ++i)
        if (memory[i]) backend->ops->release(backend, memory[i]);
    free(host);
    return status;
}

static double largest_difference(const float *a, const float *b, size_t count, double *largest) {
    double difference = 0.0;
    *largest = 0.0;
    for (size_t i = 0; i < count; ++i) {
        difference = fmax(difference, fabs((double)a[i] - b[i]));
        *largest = fmax(*largest, fabs((double)b[i]));
    }
    return difference;
}

typedef struct bench_case {
    const char *name;
    uint32_t agents, scenes;
    nm_dtype compute;
    int cuda_only;
} bench_case;
static const bench_case cases[] = {
    {"32x21.f32", 32, 1, NM_F32, 0},       {"32x21.bf16", 32, 1, NM_BF16, 0},       {"128x21.bf16", 128, 1, NM_BF16, 0},
    {"64x32x21.bf16", 32, 64, NM_BF16, 1}, {"64x128x21.bf16", 128, 64, NM_BF16, 1},
};

typedef struct bench_state {
    nm_bench *bench;
    const nm_common *common;
    bench_network f32, bf16;
    float *exact; ///< the float32 prediction of the 32 x 21 case
    double peak;  ///< bf16
} bench_state;

/// bf16 may differ from float32 by 2 % of the largest value.
static nm_status compare(bench_state *s, const bench_case *c, const bench_batch *b, nm_error *error) {
    const size_t values = (size_t)b->tokens * nm_model_get_config(s->f32.model)->channels;
    if (c->compute == NM_F32) {
        s->exact = malloc(values * sizeof *s->exact);
        if (!s->exact) return NM_ERROR(error, NM_E_MEMORY, "no memory for a prediction");
        memcpy(s->exact, b->v, values * sizeof *s->exact);
        return NM_OK;
    }
    if (c->agents != cases[0].agents || c->scenes != cases[0].scenes) return NM_OK;
    double largest;
    const double difference = largest_difference(b->v, s->exact, values, &largest);
    nm_bench_row(s->bench, "bf16_error", difference / largest, "of the largest float32 value");
    if (difference <= 2e-2 * largest) return NM_OK;
    return NM_ERROR(error, NM_E_NUMERIC, "bf16 differs from float32 by %g of %g", difference, largest);
}

static nm_status run_case(bench_state *s, const bench_case *c, nm_error *error) {
    const bench_network *network = c->compute == NM_F32 ? &s->f32 : &s->bf16;
    bench_batch batch;
    bench_result result = {0};
    nm_status status = create_batch(&batch, nm_model_get_config(network->model), c->agents, c->scenes, error);
    if (status == NM_OK) status = time_pass(network, &batch, &result, error);
    if (status == NM_OK) status = compare(s, c, &batch, error);
    destroy_batch(&batch);
    if (status != NM_OK) return status;
    char name[64];
    snprintf(name, sizeof name, "pass_ms.%s", c->name);
    nm_bench_row(s->bench, name, result.milliseconds, "ms");
    if (c->compute == NM_F32) return NM_OK;
    const double rate = result.flops / (1e-3 * result.milliseconds);
    // the response to a change is one pass over the changed tokens, hand-over included
    if (c->agents == 32 && c->scenes == 1) nm_bench_row(s->bench, "response_ms.32", result.milliseconds, "ms");
    const int last = c->agents == 128 && (c->scenes > 1) == (strcmp(s->common->device, "cuda") == 0);
    if (last) {
        nm_bench_row(s->bench, "gflops", 1e-9 * rate, "GFLOP/s");
        nm_bench_row(s->bench, "matmul_peak_gflops", 1e-9 * s->peak, "GFLOP/s");
        nm_bench_row(s->bench, "fraction_of_matmul_peak", rate / s->peak, "");
        nm_bench_row(s->bench, "memory_mb", (double)result.bytes / 1e6, "MB");
    }
    return NM_OK;
}

static nm_status bench_denoise(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error) {
    (void)argv;
    if (argc > 0) return NM_ERROR(error, NM_E_ARGUMENT, "bench denoise takes no argument");
    bench_state s = {.bench = bench, .common = common};
    const int cuda = strcmp(common->device, "cuda") == 0;
    nm_status status = create_network(&s.f32, common, NM_F32, error);
    if (status == NM_OK) status = create_network(&s.bf16, common, NM_BF16, error);
    if (status == NM_OK) status = matmul_peak(s.bf16.backend, &s.peak, error);
    for (size_t i = 0; status == NM_OK && i < sizeof cases / sizeof *cases; ++i)
        if (cuda || !cases[i].cuda_only) status = run_case(&s, &cases[i], error);
    if (status == NM_OK) {
        char note[256];
        snprintf(note, sizeof note, "published configuration, %zu parameters; %s",
                 nm_model_parameter_count(s.bf16.model), s.bf16.backend->name);
        nm_bench_note(bench, note);
    }
    free(s.exact);
    destroy_network(&s.f32);
    destroy_network(&s.bf16);
    return status;
}

const nm_bench_entry nm_bench_denoise = {
    .name = "denoise",
    .summary = "One pass of the denoising network: milliseconds, FLOP/s, share of the matrix product's peak.",
    .cuda = 1,
    .run = bench_denoise,
};
