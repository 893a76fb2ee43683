#include "tools/bench_attention_pass.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/tokens.h"
#include "tools/bench_network.h"

enum { HISTORY = 5, POLYLINES = 48 };

nm_status nm_bench_run_pass(nm_model *model, const nm_bench_crowd *crowd, int warm_ups, nm_bench_passed *passed,
                            nm_error *error) {
    nm_pass *pass = NULL;
    const nm_batch_capacity capacity = {1, crowd->tokens, crowd->scene.points};
    nm_status status = nm_pass_create(model, &capacity, 0, &pass, error);
    if (status == NM_OK) status = nm_pass_set_scenes(pass, &crowd->scene, 1, error);
    for (int i = 0; status == NM_OK && i <= warm_ups; ++i) {
        if (nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        const double start = nm_clock();
        if (status == NM_OK) status = nm_pass_predict(pass, &crowd->input, passed->v, error);
        passed->ms = 1e3 * (nm_clock() - start);
    }
    if (status == NM_OK) passed->flops = nm_pass_flops(pass);
    nm_pass_destroy(pass);
    return status;
}

double nm_bench_distance(const float *v, const float *exact, size_t count) {
    double difference = 0.0, size = 0.0;
    for (size_t i = 0; i < count; ++i) {
        difference += ((double)v[i] - (double)exact[i]) * ((double)v[i] - (double)exact[i]);
        size += (double)exact[i] * (double)exact[i];
    }
    return sqrt(difference / size);
}

// Tokens
// ---------------------------------------------------------------------------------------------------------------------

/// Memory of a crowd made of tokens that know no more than where and when they are.
typedef struct memory {
    uint8_t *valid;
    uint32_t *map_agent;
    float *map, *known, *mask, *noised, *condition, *level, *pose, *v[2];
} memory;

static void release(memory *m) {
    void *parts[] = {m->valid,     m->map_agent, m->map,  m->known, m->mask, m->noised,
                     m->condition, m->level,     m->pose, m->v[0],  m->v[1]};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) free(parts[i]);
    *m = (memory){0};
}

/// Tokens of an agent follow each other in time: the next agent begins where time does not go on.
static int begins(const nm_block_token *tokens, uint32_t n) {
    return n == 0 || tokens[n].time <= tokens[n - 1].time;
}

static void count_agents(const nm_block_token *tokens, uint32_t count, uint32_t *agents, uint32_t *steps) {
    *agents = *steps = 0;
    for (uint32_t n = 0; n < count; ++n) {
        *agents += begins(tokens, n);
        if (tokens[n].time >= *steps) *steps = tokens[n].time + 1;
    }
}

static int allocate(memory *m, const nm_model_config *c, uint32_t agents, uint32_t steps, size_t tokens) {
    const size_t rows = (size_t)agents * POLYLINES;
    m->valid = calloc((size_t)agents * steps, 1);
    m->map_agent = calloc(rows, sizeof *m->map_agent);
    m->map = calloc(rows * c->map_channels, sizeof(float));
    float **of_tokens[] = {&m->known, &m->mask, &m->noised, &m->v[0], &m->v[1]};
    int complete = m->valid && m->map_agent && m->map;
    for (size_t i = 0; i < sizeof of_tokens / sizeof *of_tokens; ++i)
        complete = (*of_tokens[i] = calloc(tokens * c->channels, sizeof(float))) && complete;
    m->condition = calloc(tokens * c->conditions + 1, sizeof(float));
    m->level = calloc(tokens, sizeof(float));
    m->pose = calloc(tokens * 4, sizeof(float));
    return complete && m->condition && m->level && m->pose;
}

/// An agent's frame is where it is in the middle of its time.
static void fill_pose(memory *m, const nm_block_token *tokens, uint32_t first, uint32_t end) {
    const nm_block_token *at = &tokens[first + (end - first) / 2];
    const float heading = 3.0f * nm_bench_normal(5, first);
    const float pose[4] = {at->x, at->y, cosf(heading), sinf(heading)};
    for (uint32_t n = first; n < end; ++n) memcpy(m->pose + 4 * (size_t)n, pose, sizeof pose);
}

static void fill(memory *m, const nm_model_config *c, const nm_block_token *tokens, uint32_t count, uint32_t steps) {
    uint32_t agent = 0, first = 0;
    for (uint32_t n = 0; n < count; ++n) {
        if (begins(tokens, n) && n > 0) {
            fill_pose(m, tokens, first, n);
            first = n;
            ++agent;
        }
        m->valid[(size_t)agent * steps + tokens[n].time] = 1;
        const int history = n - first < HISTORY;
        m->level[n] = history ? 0.0f : (float)(1 + tokens[n].time % 8) / 9.0f;
        for (size_t i = (size_t)n * c->channels; i < ((size_t)n + 1) * c->channels; ++i) {
            m->known[i] = 0.5f * nm_bench_normal(1, i);
            m->mask[i] = history ? 1.0f : 0.0f;
            m->noised[i] = nm_bench_normal(2, i);
        }
        for (size_t i = (size_t)n * c->conditions; i < ((size_t)n + 1) * c->conditions; ++i)
            m->condition[i] = nm_bench_normal(4, i);
    }
    if (count) fill_pose(m, tokens, first, count);
    for (size_t i = 0; i < (size_t)(agent + 1) * POLYLINES; ++i) m->map_agent[i] = (uint32_t)(i / POLYLINES);
    for (size_t i = 0; i < (size_t)(agent + 1) * POLYLINES * c->map_channels; ++i)
        m->map[i] = 0.5f * nm_bench_normal(8, i);
}

// Networks
// ---------------------------------------------------------------------------------------------------------------------

static nm_model_config shape_of(nm_attention_kind kind, uint32_t target, float tau) {
    nm_token_config tokens = nm_token_config_default(NM_TOKENS_AGENT);
    nm_model_config c = nm_model_config_default();
    tokens.paths = 1;
    nm_token_fit_model(&tokens, &c);
    c.hidden = c.frequencies = 128;
    c.rotary = 1;
    c.pose_bias = kind == NM_ATTENTION_FACTORED;
    c.attention = (nm_attention_choice){.kind = kind, .target = target, .tau = tau};
    return c;
}

/// Random weights look at everything alike, which no trained network does. Here all queries and keys of joint layers
/// have a share in common, of a score of `peak` at the same place, time and heading, which turns make fall off with
/// distance; what is random beside it is made smaller.
static nm_status sharpen(nm_model *model, float peak, nm_error *error) {
    const nm_model_config *c = nm_model_get_config(model);
    const float depth = (float)(c->hidden / c->heads), size = sqrtf(peak / sqrtf(depth));
    const nm_tensor values = nm_model_values(model);
    nm_backend *backend = nm_model_get_backend(model);
    float *host = calloc(values.cols, sizeof *host);
    if (!host) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u parameters", values.cols);
    backend->ops->download(backend, values, host);
    nm_status status = backend->ops->synchronize(backend, error);
    const nm_parameter *parameters;
    const size_t count = nm_model_parameters(model, &parameters);
    for (size_t i = 0; i < count; ++i) {
        const nm_parameter *p = &parameters[i];
        const char *part = strstr(p->name, "spatial_attention.attn.");
        if (!part || !(strstr(part, "attn.q.") || strstr(part, "attn.k."))) continue;
        for (size_t k = 0; k < (size_t)p->rows * p->cols; ++k) {
            float *value = &host[p->offset + k];
            *value = p->vector ? copysignf(size, nm_bench_normal(9, k)) : 0.25f * *value;
        }
    }
    if (status == NM_OK) {
        backend->ops->upload(backend, host, values);
        status = nm_model_repack(model, error);
    }
    free(host);
    return status;
}

static void row(nm_bench *bench, const char *what, uint32_t count, double value, const char *unit) {
    char name[96];
    snprintf(name, sizeof name, "pass.%s.%" PRIu32, what, count);
    nm_bench_row(bench, name, value, unit);
}

/// Blocks, and full attention for at most `most` tokens, by the same weights.
static nm_status joint_passes(nm_bench *bench, const nm_common *common, const nm_bench_crowd *crowd, memory *m,
                              const nm_attention_choice *blocks, uint32_t most, nm_error *error) {
    const nm_model_config shape = shape_of(blocks->kind, blocks->target, blocks->tau);
    const size_t values = (size_t)crowd->tokens * shape.channels;
    const int warm_ups = crowd->tokens > 20000 ? 0 : 1;
    nm_bench_network n;
    nm_bench_passed some = {.v = m->v[0]}, full = {.v = m->v[1]};
    nm_status status = nm_bench_create_network(&n, common, &shape, NM_BF16, error);
    if (status == NM_OK) status = sharpen(n.model, 12.0f, error);
    if (status == NM_OK) status = nm_bench_run_pass(n.model, crowd, warm_ups, &some, error);
    if (status == NM_OK) {
        row(bench, "blocks_ms", crowd->tokens, some.ms, "ms");
        row(bench, "blocks_gflop", crowd->tokens, 1e-9 * some.flops, "GFLOP");
    }
    if (status == NM_OK && crowd->tokens <= most) {
        const nm_attention_choice all = {.kind = NM_ATTENTION_FULL};
        status = nm_model_set_attention(n.model, &all, error);
        if (status == NM_OK) status = nm_bench_run_pass(n.model, crowd, warm_ups, &full, error);
        if (status == NM_OK) {
            row(bench, "full_ms", crowd->tokens, full.ms, "ms");
            row(bench, "full_gflop", crowd->tokens, 1e-9 * full.flops, "GFLOP");
            row(bench, "speedup", crowd->tokens, full.ms / some.ms, "x");
            row(bench, "fewer_operations", crowd->tokens, full.flops / some.flops, "x");
            row(bench, "error", crowd->tokens, nm_bench_distance(some.v, full.v, values), "of the exact output");
        }
    }
    nm_bench_destroy_network(&n);
    return status;
}

static nm_status factored_pass(nm_bench *bench, const nm_common *common, const nm_bench_crowd *crowd, memory *m,
                               nm_error *error) {
    const nm_model_config shape = shape_of(NM_ATTENTION_FACTORED, 0, 0.0f);
    nm_bench_network n;
    nm_bench_passed passed = {.v = m->v[0]};
    nm_status status = nm_bench_create_network(&n, common, &shape, NM_BF16, error);
    if (status == NM_OK) status = nm_bench_run_pass(n.model, crowd, crowd->tokens > 20000 ? 0 : 1, &passed, error);
    if (status == NM_OK) {
        row(bench, "factored_ms", crowd->tokens, passed.ms, "ms");
        row(bench, "factored_gflop", crowd->tokens, 1e-9 * passed.flops, "GFLOP");
    }
    nm_bench_destroy_network(&n);
    return status;
}

nm_status nm_bench_passes(nm_bench *bench, const nm_common *common, const nm_block_token *tokens, uint32_t count,
                          uint32_t target, float tau, uint32_t most, nm_error *error) {
    memory m = {0};
    uint32_t agents, steps;
    const nm_model_config shape = shape_of(NM_ATTENTION_FACTORED, 0, 0.0f);
    const nm_attention_choice blocks = {.kind = NM_ATTENTION_BLOCKS, .target = target, .tau = tau};
    count_agents(tokens, count, &agents, &steps);
    nm_status status = NM_OK;
    if (!allocate(&m, &shape, agents, steps, count))
        status = NM_ERROR(error, NM_E_MEMORY, "no memory for a pass over %" PRIu32 " tokens", count);
    if (status == NM_OK) {
        fill(&m, &shape, tokens, count, steps);
        const nm_bench_crowd crowd = {
            .scene = {.agents = agents,
                      .steps = steps,
                      .valid = m.valid,
                      .points = agents * POLYLINES,
                      .map = m.map,
                      .map_agent = m.map_agent},
            .tokens = count,
            .input = {m.known, m.mask, m.noised, m.condition, m.level, m.pose},
        };
        status = factored_pass(bench, common, &crowd, &m, error);
        if (status == NM_OK) status = joint_passes(bench, common, &crowd, &m, &blocks, most, error);
    }
    release(&m);
    return status;
}
