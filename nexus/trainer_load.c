#include "nexus/trainer_load.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/// One place in a pass.
typedef struct slot {
    nm_arena *arena; ///< of all that nm_loaded points to
    nm_batch batch;  ///< of the one scene, without its map
    uint64_t *scene; ///< [n] of the noise's key
    uint32_t *agent, *step;
    float *prior, *spread; ///< [n][C], [n]
} slot;

/// A pass's worth of them.
typedef struct shelf {
    slot *slots;       ///< [config.scenes]
    nm_loaded *loaded; ///< [config.scenes]
} shelf;

struct nm_loader {
    nm_model_config model;
    nm_trainer_config config;
    nm_thread_pool *pool;
    shelf now, next; ///< what the last get gave; what is made ahead
    nm_load_order ahead;
    int ordered; ///< something is, or was, made ahead
    int running; ///< and `thread` was not waited for yet
    pthread_t thread;
    nm_status status; ///< of `ahead`, once it is no longer running
    nm_error error;
};

static int make_shelf(shelf *s, uint32_t count) {
    s->slots = calloc(count, sizeof *s->slots);
    s->loaded = calloc(count, sizeof *s->loaded);
    int complete = s->slots && s->loaded;
    for (uint32_t i = 0; complete && i < count; ++i) {
        s->slots[i].arena = nm_arena_create(0);
        complete = s->slots[i].arena != NULL;
    }
    return complete;
}

static void release_shelf(shelf *s, uint32_t count) {
    for (uint32_t i = 0; s->slots && i < count; ++i) {
        nm_arena_destroy(s->slots[i].arena);
        nm_batch_destroy(&s->slots[i].batch);
    }
    free(s->slots);
    free(s->loaded);
}

nm_status nm_loader_create(const nm_model_config *model, const nm_trainer_config *config, nm_thread_pool *pool,
                           nm_loader **loader, nm_error *error) {
    *loader = NULL;
    nm_loader *l = calloc(1, sizeof *l);
    if (!l) return NM_ERROR(error, NM_E_MEMORY, "out of memory for examples");
    l->model = *model;
    l->config = *config;
    l->pool = pool;
    if (!make_shelf(&l->now, config->scenes) || (config->ahead && !make_shelf(&l->next, config->scenes))) {
        nm_loader_destroy(l);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u examples", config->scenes);
    }
    *loader = l;
    return NM_OK;
}

static void wait_for(nm_loader *l) {
    if (l->running) pthread_join(l->thread, NULL);
    l->running = 0;
}

void nm_loader_destroy(nm_loader *l) {
    if (!l) return;
    wait_for(l);
    release_shelf(&l->now, l->config.scenes);
    release_shelf(&l->next, l->config.scenes);
    free(l);
}

// ---------------------------------------------------------------------------------------------------------------------
// One example

/// Examples [order->first, ...) on a shelf.
typedef struct task {
    const nm_loader *loader;
    const nm_load_order *order;
    shelf *shelf;
} task;

static nm_status check_example(const nm_loader *l, const nm_tokens *tokens, uint64_t number, nm_error *error) {
    const nm_model_config *m = &l->model;
    const nm_token_config *c = &tokens->config;
    if (nm_token_channels(c) == m->channels && nm_token_conditions(c) == m->conditions &&
        nm_token_map_channels(c) == m->map_channels) {
        if (l->config.prior == NM_PRIOR_NONE) return NM_OK;
        if (c->encoding == NM_TOKENS_AGENT && (l->config.prior != NM_PRIOR_LANE || c->paths)) return NM_OK;
        return NM_ERROR(error, NM_E_ARGUMENT, "example %llu: only tokens in own frames%s have a prior '%s'",
                        (unsigned long long)number, c->encoding == NM_TOKENS_AGENT ? " with paths" : "",
                        nm_prior_name(l->config.prior));
    }
    return NM_ERROR(error, NM_E_ARGUMENT,
                    "example %llu has %u channels, %u conditions, %u map channels; the model has %u, %u, %u",
                    (unsigned long long)number, nm_token_channels(c), nm_token_conditions(c), nm_token_map_channels(c),
                    m->channels, m->conditions, m->map_channels);
}

/// Packs the tokens of the example by themselves; their maps are the pass's business.
static nm_status pack(slot *s, const nm_token_scene *shape, nm_error *error) {
    nm_token_scene scene = *shape;
    scene.points = 0;
    const uint32_t most = shape->agents * shape->steps;
    if (!s->batch.block || s->batch.capacity.tokens < most) {
        const nm_batch_capacity capacity = {.scenes = 1, .tokens = most};
        nm_batch_destroy(&s->batch);
        const nm_status status = nm_batch_create(&capacity, 1, &s->batch, error);
        if (status != NM_OK) return status;
    }
    return nm_batch_set(&s->batch, &scene, 1, 0, error);
}

static int allocate(const nm_loader *l, slot *s, nm_loaded *e) {
    const size_t n = s->batch.tokens, channels = l->model.channels, conditions = l->model.conditions;
    nm_arena *arena = s->arena;
    e->count = s->batch.tokens;
    e->condition = e->pose = NULL;
    if (conditions && !(e->condition = NM_ARENA_ARRAY(arena, float, n *conditions))) return 0;
    if (l->model.pose_bias && !(e->pose = NM_ARENA_ARRAY(arena, float, n * 4))) return 0;
    return (e->known = NM_ARENA_ARRAY(arena, float, n *channels)) &&
           (e->mask = NM_ARENA_ARRAY(arena, float, n *channels)) &&
           (e->noised = NM_ARENA_ARRAY(arena, float, n *channels)) &&
           (e->noise = NM_ARENA_ARRAY(arena, float, n *channels)) && (e->level = NM_ARENA_ARRAY(arena, float, n)) &&
           (e->alpha = NM_ARENA_ARRAY(arena, float, n)) && (e->sigma = NM_ARENA_ARRAY(arena, float, n)) &&
           (e->weight = NM_ARENA_ARRAY(arena, float, n)) && (s->scene = NM_ARENA_ARRAY(arena, uint64_t, n)) &&
           (s->agent = NM_ARENA_ARRAY(arena, uint32_t, n)) && (s->step = NM_ARENA_ARRAY(arena, uint32_t, n)) &&
           (s->prior = NM_ARENA_ARRAY(arena, float, n *channels)) && (s->spread = NM_ARENA_ARRAY(arena, float, n));
}

static void draw_noise(const nm_loader *l, slot *s, nm_loaded *e, uint64_t seed, uint64_t number) {
    for (uint32_t n = 0; n < e->count; ++n) {
        s->scene[n] = number;
        s->agent[n] = s->batch.refs[n].agent;
        s->step[n] = nm_noise_step(s->batch.refs[n].time, 0);
    }
    nm_noise_fill(seed, e->count, l->model.channels, s->scene, s->agent, s->step, e->noise);
}

/// Leaves of the values what the prior does not explain, in units of what is likely to be left (prior.h).
static void subtract_prior(const nm_loader *l, slot *s, nm_loaded *e) {
    const nm_token_config *tokens = &e->tokens.config;
    const nm_prior kind = l->config.prior;
    const size_t channels = l->model.channels;
    const nm_path *paths = e->tokens.path;
    if (kind == NM_PRIOR_NONE || e->count == 0) return;
    for (uint32_t n = 0; n < e->count; ++n) e->mask[n * channels] = e->level[n] <= 0.0f ? 1.0f : 0.0f;
    nm_prior_fill(kind, tokens, &s->batch, e->condition, &paths, e->known, e->mask, s->prior, s->spread);
    for (uint32_t n = 0; n < e->count; ++n) {
        float *known = e->known + n * channels;
        nm_prior_rest(kind, (float)tokens->heading_scale, (uint32_t)channels, known, s->prior + n * channels,
                      s->spread[n], known);
    }
}

/// What the network is shown token n at.
static nm_noise_level level_of(const nm_loader *l, const slot *s, const nm_loaded *e, uint32_t n) {
    const nm_noise_level level = nm_noise_level_at(l->config.snr, (double)e->level[n]);
    if (l->config.prior == NM_PRIOR_NONE || e->level[n] <= 0.0f) return level;
    const nm_spread_level at = nm_spread_level_of(&level, (double)s->spread[n]);
    return (nm_noise_level){at.logsnr, at.alpha, at.sigma};
}

static float weight_of(const nm_loader *l, const nm_noise_level *level) {
    if (l->config.loss == NM_LOSS_V) return (float)(1.0 / (level->alpha * level->alpha));
    return (float)(1.0 / (1.0 + fmin(exp(level->logsnr), 5.0)));
}

static void add_noise(const nm_loader *l, const slot *s, nm_loaded *e) {
    const uint32_t channels = l->model.channels;
    e->noised_count = 0;
    for (uint32_t n = 0; n < e->count; ++n) {
        const nm_noise_level level = level_of(l, s, e, n);
        const int clean = e->level[n] <= 0.0f;
        e->noised_count += !clean;
        e->alpha[n] = (float)level.alpha;
        e->sigma[n] = (float)level.sigma;
        e->weight[n] = clean ? 0.0f : weight_of(l, &level);
        for (size_t k = (size_t)n * channels; k < ((size_t)n + 1) * channels; ++k) {
            const float x = e->known[k];
            e->noised[k] = clean ? x : e->alpha[n] * x + e->sigma[n] * e->noise[k];
            e->mask[k] = clean ? 1.0f : 0.0f;
            e->known[k] = clean ? x : 0.0f;
        }
    }
}

static nm_status make_one(void *context, size_t index, int worker, nm_error *error) {
    (void)worker;
    const task *t = context;
    const nm_loader *l = t->loader;
    const nm_model_config *m = &l->model;
    slot *s = &t->shelf->slots[index];
    nm_loaded *e = &t->shelf->loaded[index];
    const uint64_t number = t->order->first + index;
    nm_arena_reset(s->arena);
    nm_status status = t->order->source.make(t->order->source.context, number, s->arena, &e->tokens, error);
    if (status == NM_OK) status = check_example(l, &e->tokens, number, error);
    if (status == NM_OK) status = pack(s, &e->tokens.shape, error);
    if (status != NM_OK) return status;
    const nm_token_scene *shape = &e->tokens.shape;
    const uint32_t steps = shape->steps;
    float *level = NM_ARENA_ARRAY(s->arena, float, (size_t)shape->agents *steps); // of all tokens, valid or not
    if (!level || !allocate(l, s, e)) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an example");
    nm_noise_mask_draw(&l->config.mask, t->order->seed, number, shape->agents, steps, shape->valid,
                       e->tokens.config.past + 1, level);
    nm_batch_gather(&s->batch, 0, steps, m->channels, e->tokens.values, e->known);
    nm_batch_gather(&s->batch, 0, steps, 1, level, e->level);
    if (e->condition) nm_batch_gather(&s->batch, 0, steps, m->conditions, e->tokens.condition, e->condition);
    if (e->pose) nm_batch_gather(&s->batch, 0, steps, 4, e->tokens.pose, e->pose);
    draw_noise(l, s, e, t->order->seed, number);
    subtract_prior(l, s, e);
    add_noise(l, s, e);
    return NM_OK;
}

static nm_status make_all(const nm_loader *l, const nm_load_order *order, shelf *to, nm_error *error) {
    task t = {l, order, to};
    if (l->pool) return nm_thread_pool_for(l->pool, order->count, 1, make_one, &t, error);
    for (uint32_t i = 0; i < order->count; ++i) {
        const nm_status status = make_one(&t, i, 0, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Now and ahead

static void *run_ahead(void *context) {
    nm_loader *l = context;
    nm_error_clear(&l->error);
    l->status = make_all(l, &l->ahead, &l->next, &l->error);
    return NULL;
}

void nm_loader_ahead(nm_loader *l, const nm_load_order *order) {
    NM_ASSERT(l->config.ahead && order->count <= l->config.scenes);
    wait_for(l);
    l->ahead = *order;
    l->running = l->ordered = pthread_create(&l->thread, NULL, run_ahead, l) == 0; // without a thread: when asked for
}

static int same_order(const nm_load_order *a, const nm_load_order *b) {
    return a->source.context == b->source.context && a->source.make == b->source.make && a->seed == b->seed &&
           a->first == b->first && a->count == b->count;
}

nm_status nm_loader_get(nm_loader *l, const nm_load_order *order, const nm_loaded **loaded, nm_error *error) {
    NM_ASSERT(order->count <= l->config.scenes);
    wait_for(l);
    if (!l->ordered || !same_order(order, &l->ahead)) {
        *loaded = l->now.loaded;
        return make_all(l, order, &l->now, error);
    }
    const shelf made = l->next;
    l->next = l->now;
    l->now = made;
    l->ordered = 0;
    *loaded = made.loaded;
    if (l->status != NM_OK && error) *error = l->error;
    return l->status;
}
