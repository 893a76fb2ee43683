#include "nexus/trainer_load.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/trainer_example.h"

/// A pass's worth of them.
typedef struct shelf {
    nm_example_slot *slots; ///< [config.scenes]
    nm_loaded *loaded;      ///< [config.scenes]
} shelf;

struct nm_loader {
    nm_example_how how;
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
    l->how.model = *model;
    l->how.config = *config;
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
    release_shelf(&l->now, l->how.config.scenes);
    release_shelf(&l->next, l->how.config.scenes);
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

static nm_status make_one(void *context, size_t index, int worker, nm_error *error) {
    (void)worker;
    const task *t = context;
    nm_example_how ours = t->loader->how;
    const nm_example_how *how = &ours;
    if (t->order->blocks.size) ours.config.blocks = t->order->blocks;
    nm_example_slot *s = &t->shelf->slots[index];
    nm_loaded *e = &t->shelf->loaded[index];
    const uint64_t number = t->order->first + index, seed = t->order->seed;
    nm_arena_reset(s->arena);
    nm_status status = t->order->source.make(t->order->source.context, number, s->arena, &e->tokens, error);
    for (const nm_tokens *part = &e->tokens; status == NM_OK && part; part = part->next)
        status = nm_example_check(how, part, number, error);
    if (status != NM_OK) return status;
    if (how->config.blocks.size) return nm_example_fill_parts(how, s, seed, number, e, error);
    status = nm_example_pack(s, &e->tokens.shape, error);
    if (status != NM_OK) return status;
    const nm_token_scene *shape = &e->tokens.shape;
    float *level = NM_ARENA_ARRAY(s->arena, float, (size_t)shape->agents * shape->steps); // of all tokens, valid or not
    e->scenes = NM_ARENA_ARRAY(s->arena, nm_token_scene, 1);
    if (!level || !e->scenes || !nm_example_allocate(how, s->arena, s->batch.tokens, e))
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for an example");
    e->scenes[0] = *shape;
    e->scene_count = 1;
    e->parts = NULL;
    e->next_count = 0;
    s->place = 0;
    nm_noise_mask_draw(&how->config.mask, seed, number, shape->agents, shape->steps, shape->valid,
                       e->tokens.config.past + 1, level);
    return nm_example_fill(how, s, &e->tokens, level, seed, number, e, error);
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
    NM_ASSERT(l->how.config.ahead && order->count <= l->how.config.scenes);
    wait_for(l);
    l->ahead = *order;
    l->running = l->ordered = pthread_create(&l->thread, NULL, run_ahead, l) == 0; // without a thread: when asked for
}

static int same_order(const nm_load_order *a, const nm_load_order *b) {
    return a->source.context == b->source.context && a->source.make == b->source.make && a->seed == b->seed &&
           a->first == b->first && a->count == b->count && a->blocks.size == b->blocks.size;
}

nm_status nm_loader_get(nm_loader *l, const nm_load_order *order, const nm_loaded **loaded, nm_error *error) {
    NM_ASSERT(order->count <= l->how.config.scenes);
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
