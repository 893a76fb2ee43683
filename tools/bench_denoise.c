/// `nearmiss bench denoise`: one pass of the denoising network in its published configuration (21 tokens an
/// agent), from host memory to host memory: inputs checked and handed over, prediction brought back.
///
/// Weights and tokens are random, none zero. Before anything is timed, bf16 is compared with float32, a second pass has
/// to give the same bits, and an overwritten token has to change the very next prediction. Medians over the repeats.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench_network.h"

enum { REPEATS = 15, WARM_UP = 3 };

/// The same prediction twice, and another one at once after the environment overwrote a token.
static nm_status validate(nm_pass *pass, nm_bench_batch *b, uint32_t channels, nm_error *error) {
    const size_t values = (size_t)b->tokens * channels, token = NM_BENCH_STEPS - 1;
    float *before = malloc(values * sizeof *before);
    if (!before) return NM_ERROR(error, NM_E_MEMORY, "no memory for a prediction");
    const nm_pass_input input = nm_bench_input(b);
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
static nm_status time_pass(const nm_bench_network *n, nm_bench_batch *b, bench_result *result, nm_error *error) {
    const uint32_t channels = nm_model_get_config(n->model)->channels;
    const nm_batch_capacity capacity = {b->count, b->tokens, b->count * b->points};
    nm_pass *pass;
    nm_status status = nm_pass_create(n->model, &capacity, 0, &pass, error);
    if (status != NM_OK) return status;
    result->bytes = nm_pass_bytes(n->model, &capacity, 0);
    status = nm_pass_set_scenes(pass, b->scenes, b->count, error);
    if (status == NM_OK) status = validate(pass, b, channels, error);
    result->flops = nm_pass_flops(pass);
    double times[REPEATS];
    const nm_pass_input input = nm_bench_input(b);
    for (int r = -WARM_UP; status == NM_OK && r < REPEATS; ++r) {
        if (nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        const double start = nm_clock();
        if (status == NM_OK) status = nm_pass_predict(pass, &input, b->v, error);
        if (r >= 0) times[r] = 1e3 * (nm_clock() - start);
    }
    if (status == NM_OK) result->milliseconds = nm_bench_median(times, REPEATS);
    nm_pass_destroy(pass);
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
    nm_bench_network f32, bf16;
    float *exact; ///< the float32 prediction of the 32 x 21 case
    double peak;  ///< bf16
} bench_state;

/// bf16 may differ from float32 by 2 % of the largest value.
static nm_status compare(bench_state *s, const bench_case *c, const nm_bench_batch *b, nm_error *error) {
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
    const nm_bench_network *network = c->compute == NM_F32 ? &s->f32 : &s->bf16;
    nm_bench_batch batch;
    bench_result result = {0};
    nm_status status = nm_bench_create_batch(&batch, nm_model_get_config(network->model), c->agents, c->scenes, error);
    if (status == NM_OK) status = time_pass(network, &batch, &result, error);
    if (status == NM_OK) status = compare(s, c, &batch, error);
    nm_bench_destroy_batch(&batch);
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
    const nm_model_config shape = nm_model_config_default();
    nm_status status = nm_bench_create_network(&s.f32, common, &shape, NM_F32, error);
    if (status == NM_OK) status = nm_bench_create_network(&s.bf16, common, &shape, NM_BF16, error);
    if (status == NM_OK) status = nm_bench_matmul_peak(s.bf16.backend, &s.peak, error);
    for (size_t i = 0; status == NM_OK && i < sizeof cases / sizeof *cases; ++i)
        if (cuda || !cases[i].cuda_only) status = run_case(&s, &cases[i], error);
    if (status == NM_OK) {
        char note[256];
        snprintf(note, sizeof note, "published configuration, %zu parameters; %s",
                 nm_model_parameter_count(s.bf16.model), s.bf16.backend->name);
        nm_bench_note(bench, note);
    }
    free(s.exact);
    nm_bench_destroy_network(&s.f32);
    nm_bench_destroy_network(&s.bf16);
    return status;
}

const nm_bench_entry nm_bench_denoise = {
    .name = "denoise",
    .summary = "One pass of the denoising network: milliseconds, FLOP/s, share of the matrix product's peak.",
    .cuda = 1,
    .run = bench_denoise,
};
