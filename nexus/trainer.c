#include "nexus/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/model_private.h"
#include "nexus/trainer_load.h"

struct nm_trainer {
    nm_model *model;
    nm_example_source source;
    nm_trainer_config config;
    nm_loader *loader;
    nm_pass *pass;
    nm_optimizer *optimizer;
    nm_block_links *links;  ///< NULL without blocks
    nm_token_scene *scenes; ///< [config.scenes * parts]
    // per token of the pass, host
    float *known, *mask, *noised, *condition, *pose, *noise; ///< [N][C], [N][K], [N][4]
    float *level, *alpha, *sigma, *weight;                   ///< [N]
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
                               .blocks = nm_block_config_default(),
                               .parts = 16,
                               .mask = nm_noise_mask_config_default(),
                               .optimizer = nm_optimizer_config_default()};
}

static nm_status check_growth(const nm_trainer_config *c, nm_error *error) {
    const nm_block_growth *g = &c->growth;
    if (!(c->next >= 0.0f && c->next <= 1e3f))
        return NM_ERROR(error, NM_E_ARGUMENT, "the autoregressive loss has a weight of %g, not 0..1000",
                        (double)c->next);
    if (c->next > 0.0f && !(c->blocks.size && c->blocks.causal))
        return NM_ERROR(error, NM_E_ARGUMENT, "the autoregressive loss needs blocks with a causal mask");
    const nm_status status = nm_block_growth_check(g, &c->blocks, error);
    if (status != NM_OK || !g->count || g->stage[g->count - 1].first < c->steps) return status;
    return NM_ERROR(error, NM_E_ARGUMENT, "blocks have their last size from step %llu on, of %llu steps",
                    (unsigned long long)g->stage[g->count - 1].first, (unsigned long long)c->steps);
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
    if (c->blocks.size > 256 || (c->blocks.size && (c->blocks.memory < 1 || c->blocks.memory > 1024)))
        return NM_ERROR(error, NM_E_ARGUMENT, "blocks of %u tokens that see %u before them, not 1..256 and 1..1024",
                        c->blocks.size, c->blocks.memory);
    if (c->blocks.size && (c->parts < 1 || c->parts > 1024))
        return NM_ERROR(error, NM_E_ARGUMENT, "parts is %u, not in 1..1024", c->parts);
    const uint64_t keys = (uint64_t)c->scenes * c->max_tokens * (c->blocks.memory + c->blocks.size);
    if (c->blocks.size && keys >= NM_BATCH_MAX_ROWS)
        return NM_ERROR(
            error, NM_E_ARGUMENT,
            "blocks in a pass of %u scenes with %u tokens each see %llu keys, over %u: fewer scenes, or parts",
            c->scenes, c->max_tokens, (unsigned long long)keys, NM_BATCH_MAX_ROWS - 1);
    if (c->steps < 1) return NM_ERROR(error, NM_E_ARGUMENT, "steps is 0");
    const nm_status status = check_growth(c, error);
    return status == NM_OK ? nm_noise_mask_config_check(&c->mask, error) : status;
}

nm_block_config nm_trainer_blocks(const nm_trainer_config *c, uint64_t step) {
    return nm_block_growth_at(&c->growth, &c->blocks, step - 1);
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

/// Scenes of the pass that one example is.
static uint32_t parts_of(const nm_trainer_config *c) {
    return c->blocks.size ? c->parts : 1;
}

static nm_status create_pass(nm_trainer *t, nm_error *error) {
    const nm_trainer_config *c = &t->config;
    const nm_batch_capacity capacity = {
        .scenes = c->scenes * parts_of(c), .tokens = c->scenes * c->max_tokens, .points = c->scenes * c->max_map_rows};
    if (!c->blocks.size) return nm_pass_create(t->model, &capacity, 1, &t->pass, error);
    // strands are numbered by rows, see link
    const nm_block_links_config links = {.blocks = c->blocks, .strands = capacity.tokens, .tokens = capacity.tokens};
    const nm_link_capacity room = nm_block_links_capacity(&links);
    const nm_status status = nm_block_links_create(&links, &t->links, error);
    return status == NM_OK ? nm_pass_create_linked(t->model, &capacity, &room, 1, &t->pass, error) : status;
}

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
                  {&t->level, 1},
                  {&t->alpha, 1},
                  {&t->sigma, 1},
                  {&t->weight, 1}};
    int complete = 1;
    for (size_t i = 0; i < sizeof floats / sizeof *floats; ++i) {
        *floats[i].array = calloc(tokens * floats[i].width + 1, sizeof(float));
        complete = complete && *floats[i].array;
    }
    t->scenes = calloc((size_t)t->config.scenes * parts_of(&t->config), sizeof *t->scenes);
    complete = complete && t->scenes;
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
    status = allocate(t, error);
    if (status == NM_OK) status = nm_loader_create(&model->config, config, pool, &t->loader, error);
    if (status == NM_OK) status = create_pass(t, error);
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
    nm_loader_destroy(t->loader);
    nm_optimizer_destroy(t->optimizer);
    nm_pass_destroy(t->pass);
    nm_block_links_destroy(t->links);
    void *parts[] = {t->scenes, t->known, t->mask,  t->noised, t->condition, t->pose,
                     t->noise,  t->level, t->alpha, t->sigma,  t->weight};
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
// One pass

static void copy(float *to, size_t first, const float *from, size_t count, size_t width) {
    if (from && count) memcpy(to + first * width, from, count * width * sizeof *to);
}

/// Of one example, from token `first` of the pass on: noised ones and those that are to say the next one.
static void weigh(nm_trainer *t, const nm_loaded *e, size_t first, float noised, float next) {
    for (size_t n = 0; n < e->count; ++n) t->weight[first + n] = e->weight[n] != 0.0f ? noised * e->weight[n] : 0.0f;
    for (size_t n = 0; n < e->count && next > 0.0f; ++n)
        if (e->says_next[n] != 0.0f) t->weight[first + n] = next;
}

/// Puts examples side by side, in the order of the pass's tokens; `share` of the loss is this pass's, `next` the weight
/// of the autoregressive one.
static void gather(nm_trainer *t, const nm_loaded *loaded, uint32_t count, double share, double next) {
    const nm_model_config *m = &t->model->config;
    const nm_batch *batch = nm_pass_batch(t->pass);
    uint32_t noised = 0, nexts = 0, scene = 0;
    for (uint32_t i = 0; i < count; ++i) noised += loaded[i].noised_count;
    for (uint32_t i = 0; i < count; ++i) nexts += loaded[i].next_count;
    const float each = (float)(share / noised), each_next = nexts ? (float)(share * next / nexts) : 0.0f;
    for (uint32_t i = 0; i < count; ++i) {
        const nm_loaded *e = &loaded[i];
        const size_t first = batch->scene_tokens[scene];
        scene += e->scene_count;
        NM_ASSERT(batch->scene_tokens[scene] - first == e->count);
        copy(t->known, first, e->known, e->count, m->channels);
        copy(t->mask, first, e->mask, e->count, m->channels);
        copy(t->noised, first, e->noised, e->count, m->channels);
        copy(t->noise, first, e->noise, e->count, m->channels);
        copy(t->condition, first, e->condition, e->count, m->conditions);
        copy(t->pose, first, e->pose, e->count, 4);
        copy(t->level, first, e->level, e->count, 1);
        copy(t->alpha, first, e->alpha, e->count, 1);
        copy(t->sigma, first, e->sigma, e->count, 1);
        weigh(t, e, first, each, each_next);
    }
}

/// Who sees whom. Each example has the strands that begin with the number of its first row: it has no more than rows.
static nm_status link_parts(nm_trainer *t, const nm_loaded *loaded, uint32_t count, nm_error *error) {
    const nm_batch *batch = nm_pass_batch(t->pass);
    uint32_t scene = 0;
    nm_block_links_forget(t->links);
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t strand = batch->scene_tokens[scene];
        for (uint32_t k = 0; k < loaded[i].scene_count; ++k) {
            nm_block_part part = loaded[i].parts[k];
            part.scene = scene++;
            part.strand = strand;
            nm_block_links_add(t->links, batch, &part);
        }
    }
    const nm_pass_links links = nm_block_links_get(t->links);
    return nm_pass_set_links(t->pass, &links, error);
}

/// The loss of the examples and, with `gradients`, the backward pass. `next`: what to make meanwhile; NULL = nothing.
static nm_status run_pass(nm_trainer *t, const nm_load_order *order, const nm_load_order *next, int gradients,
                          double share, double *loss, nm_error *error) {
    const nm_loaded *loaded;
    nm_status status = nm_loader_get(t->loader, order, &loaded, error);
    if (status != NM_OK) return status;
    if (next) nm_loader_ahead(t->loader, next);
    uint32_t scenes = 0;
    for (uint32_t i = 0; i < order->count; scenes += loaded[i++].scene_count)
        memcpy(t->scenes + scenes, loaded[i].scenes, loaded[i].scene_count * sizeof *t->scenes);
    status = nm_pass_set_scenes(t->pass, t->scenes, scenes, error);
    if (status == NM_OK && t->links) status = link_parts(t, loaded, order->count, error);
    if (status != NM_OK) return status;
    gather(t, loaded, order->count, share, gradients ? (double)t->config.next : 0.0);
    const nm_pass_input input = {.known = t->known,
                                 .mask = t->mask,
                                 .noised = t->noised,
                                 .condition = t->model->config.conditions ? t->condition : NULL,
                                 .level = t->level,
                                 .pose = nm_model_wants_poses(&t->model->config) ? t->pose : NULL};
    const nm_pass_target target = {.noise = t->noise, .alpha = t->alpha, .sigma = t->sigma, .weight = t->weight};
    return gradients ? nm_pass_train(t->pass, &input, &target, loss, error)
                     : nm_pass_loss(t->pass, &input, &target, loss, error);
}

nm_status nm_trainer_step(nm_trainer *t, nm_train_report *report, nm_error *error) {
    const nm_trainer_config *c = &t->config;
    const uint64_t step = nm_trainer_steps(t) + 1, per_step = (uint64_t)c->scenes * c->accumulate;
    *report = (nm_train_report){.step = step, .rate = nm_trainer_rate(c, step), .scenes = per_step};
    nm_load_order order = {.source = t->source, .seed = c->seed, .count = c->scenes};
    nm_status status = NM_OK;
    nm_pass_zero_gradients(t->pass);
    for (uint32_t i = 0; status == NM_OK && i < c->accumulate; ++i) {
        double loss = 0.0;
        order.first = (step - 1) * per_step + (uint64_t)i * c->scenes;
        order.blocks = nm_trainer_blocks(c, step);
        nm_load_order next = order;
        next.first += c->scenes;
        next.blocks = nm_trainer_blocks(c, next.first / per_step + 1);
        status = run_pass(t, &order, c->ahead ? &next : NULL, 1, 1.0 / c->accumulate, &loss, error);
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
        const nm_load_order order = {
            .source = source, .seed = seed, .first = first + done, .count = size, .blocks = t->config.blocks};
        double one = 0.0;
        status = run_pass(t, &order, NULL, 0, (double)size / (double)count, &one, error);
        sum += one;
        done += size;
    }
    *loss = sum;
    if (!average) return status;
    nm_error swap_error;
    const nm_status back = nm_optimizer_swap_average(t->optimizer, status == NM_OK ? error : &swap_error);
    return status == NM_OK ? back : status;
}
