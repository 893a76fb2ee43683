#include "nexus/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/model_private.h"

/// One place in a pass: the tokens of an example and their levels.
typedef struct slot {
    nm_arena *arena;
    nm_tokens tokens;
    float *level; ///< [A][T], in the arena
} slot;

struct nm_trainer {
    nm_model *model;
    nm_example_source source;
    nm_trainer_config config;
    nm_thread_pool *pool;
    nm_pass *pass;
    nm_optimizer *optimizer;
    slot *slots;            ///< [config.scenes]
    nm_token_scene *scenes; ///< [config.scenes]
    const nm_path **paths;  ///< [config.scenes] of each scene
    // per token of the pass, host
    float *known, *mask, *noised, *condition, *pose, *noise, *prior; ///< [N][C], [N][K], [N][4]
    float *level, *alpha, *sigma, *weight, *spread;                  ///< [N]
    uint64_t *noise_scene;                                           ///< [N]
    uint32_t *noise_agent, *noise_step;                              ///< [N]
};

nm_trainer_config nm_trainer_config_default(void) {
    return (nm_trainer_config){.scenes = 16,
                               .accumulate = 1,
                               .max_tokens = 32 * 21,
                               .max_map_rows = 32 * 48,
                               .rate = 3e-4f,
                               .warm_up = 200,
                               .steps = 10000,
                               .final_rate = 0.02f,
                               .snr = NM_SNR_COSINE,
                               .mask = nm_noise_mask_config_default(),
                               .optimizer = nm_optimizer_config_default()};
}

nm_status nm_trainer_config_check(const nm_trainer_config *c, nm_error *error) {
    if (c->scenes < 1 || c->scenes > 4096)
        return NM_ERROR(error, NM_E_ARGUMENT, "scenes is %u, not in 1..4096", c->scenes);
    if (c->accumulate < 1 || c->accumulate > 4096)
        return NM_ERROR(error, NM_E_ARGUMENT, "accumulate is %u, not in 1..4096", c->accumulate);
    if (c->max_tokens < 1 || c->max_tokens > NM_BATCH_MAX_ROWS / c->scenes)
        return NM_ERROR(error, NM_E_ARGUMENT, "max_tokens is %u, too many for %u scenes in a pass", c->max_tokens,
                        c->scenes);
    if (c->max_map_rows > NM_BATCH_MAX_ROWS / c->scenes)
        return NM_ERROR(error, NM_E_ARGUMENT, "max_map_rows is %u, too many for %u scenes in a pass", c->max_map_rows,
                        c->scenes);
    if (!(c->rate > 0.0f && c->rate <= 1.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "rate is %g, not in 0..1", (double)c->rate);
    if (!(c->final_rate >= 0.0f && c->final_rate <= 1.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "final_rate is %g, not in 0..1", (double)c->final_rate);
    if (c->steps < 1) return NM_ERROR(error, NM_E_ARGUMENT, "steps is 0");
    return nm_noise_mask_config_check(&c->mask, error);
}

static const char *const loss_names[] = {"published", "v"};

const char *nm_loss_name(nm_loss_kind kind) {
    return loss_names[kind];
}

nm_status nm_loss_parse(const char *text, nm_loss_kind *kind, nm_error *error) {
    for (int i = 0; i < 2; ++i) {
        if (strcmp(text, loss_names[i]) != 0) continue;
        *kind = (nm_loss_kind)i;
        return NM_OK;
    }
    return NM_ERROR(error, NM_E_ARGUMENT, "there is no loss '%s': published and v are possible", text);
}

float nm_trainer_rate(const nm_trainer_config *c, uint64_t step) {
    if (step <= c->warm_up) return (float)((double)c->rate * (double)step / (double)c->warm_up);
    if (step >= c->steps) return c->rate * c->final_rate;
    const double along = (double)(step - c->warm_up) / (double)(c->steps - c->warm_up);
    const double fall = 0.5 * (1.0 + cos(3.14159265358979323846 * along));
    return (float)((double)c->rate * ((double)c->final_rate + (1.0 - (double)c->final_rate) * fall));
}

// ---------------------------------------------------------------------------------------------------------------------
// Memory

static nm_status allocate(nm_trainer *t, nm_error *error) {
    const nm_model_config *m = &t->model->config;
    const size_t tokens = (size_t)t->config.scenes * t->config.max_tokens + 1;
    const struct {
        float **array;
        size_t width;
    } floats[] = {{&t->known, m->channels},
                  {&t->mask, m->channels},
                  {&t->noised, m->channels},
                  {&t->condition, m->conditions + 1},
                  {&t->pose, 4},
                  {&t->noise, m->channels},
                  {&t->prior, t->config.prior == NM_PRIOR_NONE ? 0 : m->channels},
                  {&t->level, 1},
                  {&t->alpha, 1},
                  {&t->sigma, 1},
                  {&t->weight, 1},
                  {&t->spread, 1}};
    int complete = 1;
    for (size_t i = 0; i < sizeof floats / sizeof *floats; ++i) {
        *floats[i].array = calloc(tokens * floats[i].width + 1, sizeof(float));
        complete = complete && *floats[i].array;
    }
    t->noise_scene = calloc(tokens, sizeof *t->noise_scene);
    t->noise_agent = calloc(tokens, sizeof *t->noise_agent);
    t->noise_step = calloc(tokens, sizeof *t->noise_step);
    t->scenes = calloc(t->config.scenes, sizeof *t->scenes);
    t->paths = calloc(t->config.scenes, sizeof *t->paths);
    t->slots = calloc(t->config.scenes, sizeof *t->slots);
    complete = complete && t->noise_scene && t->noise_agent && t->noise_step && t->scenes && t->paths && t->slots;
    for (uint32_t i = 0; complete && i < t->config.scenes; ++i) {
        t->slots[i].arena = nm_arena_create(0);
        complete = t->slots[i].arena != NULL;
    }
    return complete ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for a trainer of %zu tokens", tokens - 1);
}

nm_status nm_trainer_create(nm_model *model, nm_example_source source, const nm_trainer_config *config,
                            nm_thread_pool *pool, nm_trainer **trainer, nm_error *error) {
    *trainer = NULL;
    nm_status status = nm_trainer_config_check(config, error);
    if (status != NM_OK) return status;
    nm_trainer *t = calloc(1, sizeof *t);
    if (!t) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a trainer");
    t->model = model;
    t->source = source;
    t->config = *config;
    t->pool = pool;
    const nm_batch_capacity capacity = {.scenes = config->scenes,
                                        .tokens = config->scenes * config->max_tokens,
                                        .points = config->scenes * config->max_map_rows};
    status = allocate(t, error);
    if (status == NM_OK) status = nm_pass_create(model, &capacity, 1, &t->pass, error);
    if (status == NM_OK) status = nm_optimizer_create(model, &config->optimizer, &t->optimizer, error);
    if (status != NM_OK) {
        nm_trainer_destroy(t);
        return status;
    }
    *trainer = t;
    return NM_OK;
}

void nm_trainer_destroy(nm_trainer *t) {
    if (!t) return;
    nm_optimizer_destroy(t->optimizer);
    nm_pass_destroy(t->pass);
    for (uint32_t i = 0; t->slots && i < t->config.scenes; ++i) nm_arena_destroy(t->slots[i].arena);
    void *parts[] = {t->slots,     t->scenes, t->paths,  t->known,       t->mask,        t->noised,
                     t->condition, t->pose,   t->noise,  t->prior,       t->spread,      t->level,
                     t->alpha,     t->sigma,  t->weight, t->noise_scene, t->noise_agent, t->noise_step};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) free(parts[i]);
    free(t);
}

uint64_t nm_trainer_steps(const nm_trainer *trainer) {
    return nm_optimizer_steps(trainer->optimizer);
}

nm_optimizer *nm_trainer_optimizer(nm_trainer *trainer) {
    return trainer->optimizer;
}

// ---------------------------------------------------------------------------------------------------------------------
// One pass: examples, levels, noise

/// A pass over examples [first, first + count).
typedef struct load {
    nm_trainer *trainer;
    nm_example_source source;
    uint64_t seed, first;
    uint32_t count;
    int gradients; ///< 0: only the loss
} load;

static nm_status check_example(const nm_trainer *t, const nm_tokens *tokens, uint64_t number, nm_error *error) {
    const nm_model_config *m = &t->model->config;
    const nm_token_config *c = &tokens->config;
    if (nm_token_channels(c) == m->channels && nm_token_conditions(c) == m->conditions &&
        nm_token_map_channels(c) == m->map_channels) {
        if (t->config.prior == NM_PRIOR_NONE) return NM_OK;
        if (c->encoding == NM_TOKENS_AGENT && (t->config.prior != NM_PRIOR_LANE || c->paths)) return NM_OK;
        return NM_ERROR(error, NM_E_ARGUMENT, "example %llu: only tokens in own frames%s have a prior '%s'",
                        (unsigned long long)number, c->encoding == NM_TOKENS_AGENT ? " with paths" : "",
                        nm_prior_name(t->config.prior));
    }
    return NM_ERROR(error, NM_E_ARGUMENT,
                    "example %llu has %u channels, %u conditions, %u map channels; the model has %u, %u, %u",
                    (unsigned long long)number, nm_token_channels(c), nm_token_conditions(c), nm_token_map_channels(c),
                    m->channels, m->conditions, m->map_channels);
}

static nm_status make_slot(void *context, size_t index, int worker, nm_error *error) {
    (void)worker;
    const load *l = context;
    slot *s = &l->trainer->slots[index];
    const uint64_t number = l->first + index;
    nm_arena_reset(s->arena);
    nm_status status = l->source.make(l->source.context, number, s->arena, &s->tokens, error);
    if (status == NM_OK) status = check_example(l->trainer, &s->tokens, number, error);
    if (status != NM_OK) return status;
    const nm_token_scene *shape = &s->tokens.shape;
    s->level = NM_ARENA_ARRAY(s->arena, float, (size_t)shape->agents * shape->steps);
    if (!s->level) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the levels of an example");
    nm_noise_mask_draw(&l->trainer->config.mask, l->seed, number, shape->agents, shape->steps, shape->valid,
                       s->tokens.config.past + 1, s->level);
    return NM_OK;
}

static nm_status make_examples(load *l, nm_error *error) {
    if (l->trainer->pool) return nm_thread_pool_for(l->trainer->pool, l->count, 1, make_slot, l, error);
    for (uint32_t i = 0; i < l->count; ++i) {
        const nm_status status = make_slot(l, i, 0, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

/// Packs what belongs to the scene in slot `index`.
static void gather_scene(nm_trainer *t, const load *l, uint32_t index) {
    const nm_batch *batch = nm_pass_batch(t->pass);
    const nm_model_config *m = &t->model->config;
    const slot *s = &t->slots[index];
    const uint32_t steps = s->tokens.shape.steps;
    nm_batch_gather(batch, index, steps, m->channels, s->tokens.values, t->known);
    nm_batch_gather(batch, index, steps, 1, s->level, t->level);
    if (m->conditions) nm_batch_gather(batch, index, steps, m->conditions, s->tokens.condition, t->condition);
    if (m->pose_bias) nm_batch_gather(batch, index, steps, 4, s->tokens.pose, t->pose);
    for (uint32_t row = batch->scene_tokens[index]; row < batch->scene_tokens[index + 1]; ++row) {
        t->noise_scene[row] = l->first + index;
        t->noise_agent[row] = batch->refs[row].agent;
        t->noise_step[row] = nm_noise_step(batch->refs[row].time, 0);
    }
}

/// Leaves of the values what the prior does not explain, in units of what is likely to be left (prior.h).
static void subtract_prior(nm_trainer *t, const nm_token_config *tokens) {
    const nm_batch *batch = nm_pass_batch(t->pass);
    const size_t channels = t->model->config.channels;
    if (t->config.prior == NM_PRIOR_NONE) return;
    for (uint32_t n = 0; n < batch->tokens; ++n) t->mask[n * channels] = t->level[n] <= 0.0f ? 1.0f : 0.0f;
    for (uint32_t i = 0; i < batch->scenes; ++i) t->paths[i] = t->slots[i].tokens.path;
    nm_prior_fill(t->config.prior, tokens, batch, t->condition, (const nm_path *const *)t->paths, t->known, t->mask,
                  t->prior, t->spread);
    for (uint32_t n = 0; n < batch->tokens; ++n) {
        float *known = t->known + n * channels;
        nm_prior_rest(t->config.prior, (float)tokens->heading_scale, (uint32_t)channels, known, t->prior + n * channels,
                      t->spread[n], known);
    }
}

/// What the network is shown token n at.
static nm_noise_level level_of(const nm_trainer *t, uint32_t n) {
    const nm_noise_level level = nm_noise_level_at(t->config.snr, (double)t->level[n]);
    if (t->config.prior == NM_PRIOR_NONE || t->level[n] <= 0.0f) return level;
    const nm_spread_level at = nm_spread_level_of(&level, (double)t->spread[n]);
    return (nm_noise_level){at.logsnr, at.alpha, at.sigma};
}

static float weight_of(const nm_trainer *t, const nm_noise_level *level) {
    if (t->config.loss == NM_LOSS_V) return (float)(1.0 / (level->alpha * level->alpha));
    return (float)(1.0 / (1.0 + fmin(exp(level->logsnr), 5.0)));
}

/// From values and levels to what the network sees and what it is to say (nexus-core 2 and 3): clean tokens are given,
/// the others are z = alpha x + sigma e. `share` of the loss is this pass's.
static void add_noise(nm_trainer *t, double share) {
    const uint32_t tokens = nm_pass_batch(t->pass)->tokens, channels = t->model->config.channels;
    uint32_t counted = 0;
    for (uint32_t n = 0; n < tokens; ++n) counted += t->level[n] > 0.0f;
    for (uint32_t n = 0; n < tokens; ++n) {
        const nm_noise_level level = level_of(t, n);
        const int clean = t->level[n] <= 0.0f;
        t->alpha[n] = (float)level.alpha;
        t->sigma[n] = (float)level.sigma;
        t->weight[n] = clean ? 0.0f : (float)(share / counted) * weight_of(t, &level);
        for (size_t k = (size_t)n * channels; k < ((size_t)n + 1) * channels; ++k) {
            const float x = t->known[k];
            t->noised[k] = clean ? x : t->alpha[n] * x + t->sigma[n] * t->noise[k];
            t->mask[k] = clean ? 1.0f : 0.0f;
            t->known[k] = clean ? x : 0.0f;
        }
    }
}

static nm_status run_pass(load *l, double share, double *loss, nm_error *error) {
    nm_trainer *t = l->trainer;
    nm_status status = make_examples(l, error);
    if (status != NM_OK) return status;
    for (uint32_t i = 0; i < l->count; ++i) t->scenes[i] = t->slots[i].tokens.shape;
    status = nm_pass_set_scenes(t->pass, t->scenes, l->count, error);
    if (status != NM_OK) return status;
    for (uint32_t i = 0; i < l->count; ++i) gather_scene(t, l, i);
    nm_noise_fill(l->seed, nm_pass_batch(t->pass)->tokens, t->model->config.channels, t->noise_scene, t->noise_agent,
                  t->noise_step, t->noise);
    subtract_prior(t, &t->slots[0].tokens.config);
    add_noise(t, share);
    const nm_pass_input input = {.known = t->known,
                                 .mask = t->mask,
                                 .noised = t->noised,
                                 .condition = t->model->config.conditions ? t->condition : NULL,
                                 .level = t->level,
                                 .pose = t->model->config.pose_bias ? t->pose : NULL};
    const nm_pass_target target = {.noise = t->noise, .alpha = t->alpha, .sigma = t->sigma, .weight = t->weight};
    return l->gradients ? nm_pass_train(t->pass, &input, &target, loss, error)
                        : nm_pass_loss(t->pass, &input, &target, loss, error);
}

nm_status nm_trainer_step(nm_trainer *t, nm_train_report *report, nm_error *error) {
    const nm_trainer_config *c = &t->config;
    const uint64_t step = nm_trainer_steps(t) + 1, per_step = (uint64_t)c->scenes * c->accumulate;
    *report = (nm_train_report){.step = step, .rate = nm_trainer_rate(c, step), .scenes = per_step};
    load l = {.trainer = t, .source = t->source, .seed = c->seed, .count = c->scenes, .gradients = 1};
    nm_status status = NM_OK;
    nm_pass_zero_gradients(t->pass);
    for (uint32_t i = 0; status == NM_OK && i < c->accumulate; ++i) {
        double loss = 0.0;
        l.first = (step - 1) * per_step + (uint64_t)i * c->scenes;
        status = run_pass(&l, 1.0 / c->accumulate, &loss, error);
        report->loss += loss;
        report->tokens += nm_pass_batch(t->pass)->tokens;
        report->flops += nm_pass_flops(t->pass);
    }
    if (status == NM_OK) status = nm_optimizer_step(t->optimizer, t->pass, report->rate, &report->norm, error);
    if (status == NM_E_NUMERIC) {
        char text[256];
        nm_error_format(error, text, sizeof text);
        return NM_ERROR(error, NM_E_NUMERIC, "step %llu, examples %llu to %llu: %s", (unsigned long long)step,
                        (unsigned long long)((step - 1) * per_step), (unsigned long long)(step * per_step - 1), text);
    }
    return status;
}

nm_status nm_trainer_validate(nm_trainer *t, nm_example_source source, uint64_t seed, uint64_t first, uint64_t count,
                              int average, double *loss, nm_error *error) {
    double sum = 0.0;
    nm_status status = average ? nm_optimizer_swap_average(t->optimizer, error) : NM_OK;
    if (status != NM_OK) return status;
    for (uint64_t done = 0; status == NM_OK && done < count;) {
        const uint64_t left = count - done;
        const uint32_t size = left < t->config.scenes ? (uint32_t)left : t->config.scenes;
        load l = {.trainer = t, .source = source, .seed = seed, .first = first + done, .count = size};
        double one = 0.0;
        status = run_pass(&l, (double)size / (double)count, &one, error);
        sum += one;
        done += size;
    }
    *loss = sum;
    if (!average) return status;
    nm_error swap_error;
    const nm_status back = nm_optimizer_swap_average(t->optimizer, status == NM_OK ? error : &swap_error);
    return status == NM_OK ? back : status;
}
