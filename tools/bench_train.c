/// `nearmiss bench train`: a step of training, forward, backward and optimizer, on 16 scenes of 32 agents by 21 tokens;
/// in the published configuration, and in that of tokens in the agents' own frames.
///
/// Weights, tokens and targets are random, none zero. Before anything is timed, a second pass has to give the same
/// gradients, bit for bit, and those of bf16 are compared with those of float32. Medians over the repeats.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/optimizer.h"
#include "nexus/tokens.h"
#include "tools/bench_network.h"

enum { AGENTS = 32, SCENES = 16, REPEATS = 7, REPEATS_F32 = 3 };

/// What a pass learns from.
typedef struct train_target {
    float *noise, *alpha, *sigma, *weight;
} train_target;

static void destroy_target(train_target *t) {
    float *parts[] = {t->noise, t->alpha, t->sigma, t->weight};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) free(parts[i]);
    *t = (train_target){0};
}

static nm_status create_target(train_target *t, const nm_bench_batch *b, uint32_t channels, nm_error *error) {
    const size_t values = (size_t)b->tokens * channels;
    t->noise = calloc(values, sizeof *t->noise);
    t->alpha = calloc(b->tokens, sizeof *t->alpha);
    t->sigma = calloc(b->tokens, sizeof *t->sigma);
    t->weight = calloc(b->tokens, sizeof *t->weight);
    if (!t->noise || !t->alpha || !t->sigma || !t->weight)
        return NM_ERROR(error, NM_E_MEMORY, "no memory for a target of %u tokens", b->tokens);
    for (size_t i = 0; i < values; ++i) t->noise[i] = nm_bench_normal(8, i);
    for (size_t n = 0; n < b->tokens; ++n) {
        const float angle = 1.5f * b->level[n]; // a quarter of a circle, about: noise from none to all
        t->alpha[n] = cosf(angle);
        t->sigma[n] = sinf(angle);
        t->weight[n] = 1.0f / (float)b->tokens;
    }
    return NM_OK;
}

/// A network, a pass over a batch and its optimizer.
typedef struct trained {
    nm_bench_network network;
    nm_bench_batch batch;
    train_target target;
    nm_pass *pass;
    nm_optimizer *optimizer;
    size_t bytes;
} trained;

static void destroy_trained(trained *t) {
    nm_optimizer_destroy(t->optimizer);
    nm_pass_destroy(t->pass);
    destroy_target(&t->target);
    nm_bench_destroy_batch(&t->batch);
    nm_bench_destroy_network(&t->network);
    *t = (trained){0};
}

static nm_status create_trained(trained *t, const nm_common *common, const nm_model_config *shape, nm_dtype compute,
                                nm_error *error) {
    *t = (trained){0};
    nm_status status = nm_bench_create_network(&t->network, common, shape, compute, error);
    if (status == NM_OK) status = nm_bench_create_batch(&t->batch, shape, AGENTS, SCENES, error);
    if (status == NM_OK) status = create_target(&t->target, &t->batch, shape->channels, error);
    const nm_batch_capacity capacity = {t->batch.count, t->batch.tokens, t->batch.count * t->batch.points};
    if (status == NM_OK) status = nm_pass_create(t->network.model, &capacity, 1, &t->pass, error);
    if (status == NM_OK) status = nm_pass_set_scenes(t->pass, t->batch.scenes, t->batch.count, error);
    const nm_optimizer_config config = nm_optimizer_config_default();
    if (status == NM_OK) status = nm_optimizer_create(t->network.model, &config, &t->optimizer, error);
    if (status == NM_OK) t->bytes = nm_pass_bytes(t->network.model, &capacity, 1);
    return status;
}

/// Forward and backward, from gradients of zero.
static nm_status run_pass(const trained *t, double *loss, nm_error *error) {
    const nm_pass_input input = nm_bench_input(&t->batch);
    const nm_pass_target target = {
        .noise = t->target.noise, .alpha = t->target.alpha, .sigma = t->target.sigma, .weight = t->target.weight};
    nm_pass_zero_gradients(t->pass);
    return nm_pass_train(t->pass, &input, &target, loss, error);
}

/// The gradients in `host`, room for twice as many numbers, after a second pass gave the same bits.
static nm_status validate(const trained *t, float *host, nm_error *error) {
    nm_backend *backend = t->network.backend;
    const nm_tensor gradients = nm_pass_gradients(t->pass);
    double losses[2] = {0};
    nm_status status = NM_OK;
    for (int i = 0; status == NM_OK && i < 2; ++i) {
        status = run_pass(t, &losses[i], error);
        if (status == NM_OK) backend->ops->download(backend, gradients, host + (size_t)i * gradients.cols);
        if (status == NM_OK) status = backend->ops->synchronize(backend, error);
    }
    if (status == NM_OK &&
        (losses[0] != losses[1] || memcmp(host, host + gradients.cols, gradients.cols * sizeof *host) != 0))
        status = NM_ERROR(error, NM_E_NUMERIC, "two passes over the same examples differ");
    return status;
}

/// Median time of a step, in seconds.
static nm_status time_step(const trained *t, int repeats, double *seconds, nm_error *error) {
    double times[REPEATS], loss;
    nm_status status = NM_OK;
    for (int r = -1; status == NM_OK && r < repeats; ++r) {
        if (nm_cli_interrupted()) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        const double start = nm_clock();
        status = run_pass(t, &loss, error);
        if (status == NM_OK) status = nm_optimizer_step(t->optimizer, t->pass, 1e-4f, NULL, error);
        if (r >= 0) times[r] = nm_clock() - start;
    }
    if (status == NM_OK) *seconds = nm_bench_median(times, (size_t)repeats);
    return status;
}

typedef struct bench_state {
    nm_bench *bench;
    const nm_common *common;
    float *exact; ///< float32 gradients of the published configuration
    double peak;  ///< of a product in bf16, FLOP/s
    char note[256];
} bench_state;

/// Gradients in bf16 may be off those in float32 by 5 % of their length.
static nm_status compare(bench_state *s, const float *gradients, size_t count, nm_error *error) {
    double off = 0.0, all = 0.0;
    for (size_t i = 0; i < count; ++i) {
        const double exact = (double)s->exact[i], d = (double)gradients[i] - exact;
        off += d * d;
        all += exact * exact;
    }
    const double share = sqrt(off / all);
    nm_bench_row(s->bench, "bf16_error", share, "of the float32 gradients' length");
    if (share <= 0.05) return NM_OK;
    return NM_ERROR(error, NM_E_NUMERIC, "gradients in bf16 are off those in float32 by %g of their length", share);
}

static nm_status check_gradients(bench_state *s, const trained *t, int agent, nm_error *error) {
    const size_t count = nm_pass_gradients(t->pass).cols;
    float *host = malloc(2 * count * sizeof *host);
    if (!host) return NM_ERROR(error, NM_E_MEMORY, "no memory for %zu gradients", 2 * count);
    nm_status status = validate(t, host, error);
    if (status == NM_OK && !agent && t->network.backend->compute == NM_F32) {
        s->exact = host;
        return NM_OK;
    }
    if (status == NM_OK && !agent) status = compare(s, host, count, error);
    free(host);
    return status;
}

static void report(bench_state *s, const trained *t, int agent, double seconds) {
    const int f32 = t->network.backend->compute == NM_F32;
    char name[64];
    snprintf(name, sizeof name, "scenes_per_s.%s%s%s", s->common->device, f32 ? ".f32" : "", agent ? ".agent" : "");
    nm_bench_row(s->bench, name, t->batch.count / seconds, "scenes/s");
    if (f32 || agent) return;
    const double rate = 3.0 * nm_pass_flops(t->pass) / seconds; // forward once, backward twice as much
    nm_bench_row(s->bench, "step_ms", 1e3 * seconds, "ms");
    nm_bench_row(s->bench, "gflops", 1e-9 * rate, "GFLOP/s");
    nm_bench_row(s->bench, "matmul_peak_gflops", 1e-9 * s->peak, "GFLOP/s");
    nm_bench_row(s->bench, "fraction_of_matmul_peak", rate / s->peak, "");
    nm_bench_row(s->bench, "memory_mb", (double)t->bytes / 1e6, "MB");
    snprintf(s->note, sizeof s->note, "%u scenes of %u x %d tokens, %zu parameters; %s", t->batch.count,
             t->batch.agents, NM_BENCH_STEPS, nm_model_parameter_count(t->network.model), t->network.backend->name);
}

static nm_status run_case(bench_state *s, int agent, nm_dtype compute, nm_error *error) {
    nm_model_config shape = nm_model_config_default();
    if (agent) {
        const nm_token_config tokens = nm_token_config_default(NM_TOKENS_AGENT);
        nm_token_fit_model(&tokens, &shape);
        shape.rotary = 1;
    }
    const int main_case = !agent && compute == NM_BF16;
    double seconds = 0.0;
    trained t;
    nm_status status = create_trained(&t, s->common, &shape, compute, error);
    if (status == NM_OK && main_case) status = nm_bench_matmul_peak(t.network.backend, &s->peak, error);
    if (status == NM_OK) status = check_gradients(s, &t, agent, error);
    if (status == NM_OK) status = time_step(&t, compute == NM_F32 ? REPEATS_F32 : REPEATS, &seconds, error);
    if (status == NM_OK) report(s, &t, agent, seconds);
    destroy_trained(&t);
    return status;
}

static nm_status bench_train(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error) {
    (void)argv;
    if (argc > 0) return NM_ERROR(error, NM_E_ARGUMENT, "bench train takes no argument");
    bench_state s = {.bench = bench, .common = common};
    nm_status status = run_case(&s, 0, NM_F32, error);
    if (status == NM_OK) status = run_case(&s, 0, NM_BF16, error);
    if (status == NM_OK) status = run_case(&s, 1, NM_BF16, error);
    if (status == NM_OK) nm_bench_note(bench, s.note);
    free(s.exact);
    return status;
}

const nm_bench_entry nm_bench_train = {
    .name = "train",
    .summary = "A step of training: scenes per second, FLOP/s, share of the matrix product's peak.",
    .cuda = 1,
    .run = bench_train,
};
