/// Training on parts: what examples are made of, and that a network learns from them.
#include "backends_support.h"
#include "base/rng.h"
#include "nexus/augment.h"
#include "nexus/trainer_load.h"
#include "tokens_support.h"

enum { PAST = 2, FUTURE = 6 };

typedef struct traffic {
    const nm_scene *scene;
    nm_token_map *map;
    nm_block_config blocks;
    nm_block_growth growth; ///< by numbers of examples
    float drop;
} traffic;

static nm_token_config small_tokens(void) {
    nm_token_config c = nm_token_config_default(NM_TOKENS_AGENT);
    c.past = PAST;
    c.future = FUTURE;
    c.agents = 6;
    c.map_polylines = 8;
    c.paths = 1;
    return c;
}

static nm_status make_example(void *context, uint64_t number, nm_arena *arena, nm_tokens *tokens, nm_error *error) {
    const traffic *t = context;
    const nm_rng_key key = {.seed = 5, .scene = number, .purpose = NM_PURPOSE_EXAMPLE};
    const nm_token_request request = {.focus = NM_NONE, .current_step = 20 + nm_rng_below(&key, 0, 40)};
    const nm_block_config blocks = nm_block_growth_at(&t->growth, &t->blocks, number);
    const nm_status status = nm_block_example(t->map, t->scene, &request, &blocks, 0, arena, tokens, error);
    if (status == NM_OK && t->drop > 0.0f)
        nm_augment_parts(&(nm_augmentation){.drop = t->drop, .mirror = 0.5f}, 3, number, tokens);
    return status;
}

static traffic make_traffic(uint32_t block) {
    nm_error error;
    traffic t = {.scene = tokens_rollout("junction_signal:density=20", 3, 100), .blocks = {.size = block, .memory = 4}};
    const nm_token_config config = small_tokens();
    assert_int_equal(nm_token_map_create(t.scene->map, &config, &t.map, &error), NM_OK);
    return t;
}

static void free_traffic(traffic *t) {
    nm_token_map_destroy(t->map);
    nm_scene_destroy(t->scene);
}

static nm_trainer_config small_run(const nm_block_config *blocks) {
    nm_trainer_config c = nm_trainer_config_default();
    c.seed = 11;
    c.scenes = 4;
    c.blocks = *blocks;
    c.parts = FUTURE;
    c.max_tokens = 2 * 6 * (PAST + 1 + FUTURE);
    c.max_map_rows = 6 * 8 * FUTURE;
    c.rate = 3e-3f;
    c.warm_up = 5;
    c.steps = 60;
    c.loss = NM_LOSS_V;
    c.prior = NM_PRIOR_LANE;
    c.optimizer.ema_decay = 0.9f;
    return c;
}

static nm_model_config small_model(void) {
    const nm_token_config tokens = small_tokens();
    nm_model_config shape = nm_model_config_default();
    shape.hidden = 32;
    shape.blocks = 1;
    shape.widening = 2;
    shape.frequencies = 16;
    shape.rotary = 1;
    nm_token_fit_model(&tokens, &shape);
    return shape;
}

// ---------------------------------------------------------------------------------------------------------------------
// Examples

static void parts_follow_each_other(void **state) {
    (void)state;
    nm_error error;
    traffic t = make_traffic(2);
    nm_arena *arena = nm_arena_create(0), *other = nm_arena_create(0);
    nm_tokens first, alone;
    const nm_token_request request = {.focus = NM_NONE, .current_step = 30};
    assert_int_equal(nm_block_example(t.map, t.scene, &request, &t.blocks, 0, arena, &first, &error), NM_OK);
    uint32_t count = 0;
    for (const nm_tokens *p = &first; p; p = p->next, ++count) {
        assert_int_equal(p->current_step, 30 + 10 * count);
        assert_int_equal(p->track[0], first.track[0]);
        const nm_token_request at = {.focus = first.track[0], .current_step = p->current_step};
        nm_arena_reset(other);
        assert_int_equal(nm_tokens_build(t.map, t.scene, &at, other, &alone, &error), NM_OK);
        const size_t n = (size_t)p->shape.agents * p->shape.steps;
        assert_int_equal(alone.shape.agents, p->shape.agents);
        assert_memory_equal(alone.values, p->values, n * nm_token_channels(&p->config) * sizeof(float));
        assert_memory_equal(alone.condition, p->condition, n * nm_token_conditions(&p->config) * sizeof(float));
    }
    assert_int_equal(count, FUTURE / 2);
    assert_int_equal(nm_block_example(t.map, t.scene, &request, &t.blocks, 2, arena, &first, &error), NM_OK);
    assert_non_null(first.next);
    assert_null(first.next->next);
    const nm_token_request late = {.focus = NM_NONE, .current_step = 80}; // 20 steps of the recording are left
    assert_int_equal(nm_block_example(t.map, t.scene, &late, &t.blocks, 9, arena, &first, &error), NM_OK);
    for (count = 0; first.next; ++count) first = *first.next;
    assert_int_equal(count, 1);
    nm_arena_destroy(arena);
    nm_arena_destroy(other);
    free_traffic(&t);
}

static const nm_loaded *load(nm_loader *loader, traffic *t, uint64_t first, uint32_t count) {
    nm_error error;
    const nm_loaded *loaded;
    const nm_load_order order = {.source = {t, make_example}, .seed = 11, .first = first, .count = count};
    if (nm_loader_get(loader, &order, &loaded, &error) != NM_OK) fail_msg("%s", error.message);
    return loaded;
}

static nm_loader *make_loader(const nm_trainer_config *config) {
    nm_error error;
    nm_loader *loader;
    const nm_model_config model = small_model();
    assert_int_equal(nm_loader_create(&model, config, NULL, &loader, &error), NM_OK);
    return loader;
}

/// Rows of one part: history and clean copies are given and do not count, noised copies are the same tokens with noise.
static void check_part(const nm_loaded *e, uint32_t part, uint32_t row, uint32_t *noised) {
    const nm_token_scene *scene = &e->scenes[part];
    const uint32_t steps = e->parts[part].steps, channels = 25, last = e->parts[part].last != 0;
    assert_int_equal(last, part + 1 == e->scene_count);
    assert_int_equal(scene->steps, last ? steps : 2 * steps);
    for (uint32_t a = 0; a < scene->agents; ++a) {
        for (uint32_t t = 0; t < scene->steps; ++t) {
            if (!scene->valid[(size_t)a * scene->steps + t]) continue;
            const int may_be_noised = t >= steps || (last && t > PAST);
            if (!may_be_noised || e->level[row] == 0.0f) {
                assert_true(e->level[row] == 0.0f && e->weight[row] == 0.0f && e->mask[row * channels] == 1.0f);
                assert_memory_equal(e->known + row * channels, e->noised + row * channels, channels * sizeof(float));
            } else {
                assert_true(e->weight[row] > 0.0f && e->mask[row * channels] == 0.0f && e->level[row] <= 1.0f);
                assert_true(e->known[row * channels] == 0.0f);
                ++*noised;
            }
            if (t >= steps) assert_true(scene->valid[(size_t)a * scene->steps + t - steps]); // its clean copy
            ++row;
        }
    }
}

static void examples_have_every_block_clean_and_noised(void **state) {
    (void)state;
    traffic t = make_traffic(2);
    const nm_trainer_config config = small_run(&t.blocks);
    nm_loader *loader = make_loader(&config);
    const nm_loaded *loaded = load(loader, &t, 0, 4);
    uint32_t all = 0, all_noised = 0;
    for (uint32_t i = 0; i < 4; ++i) {
        const nm_loaded *e = &loaded[i];
        assert_int_equal(e->scene_count, FUTURE / 2);
        uint32_t row = 0, noised = 0;
        for (uint32_t p = 0; p < e->scene_count; ++p) {
            check_part(e, p, row, &noised);
            assert_int_equal(e->parts[p].number, p);
            for (size_t k = 0; k < (size_t)e->scenes[p].agents * e->scenes[p].steps; ++k) row += e->scenes[p].valid[k];
        }
        assert_int_equal(row, e->count);
        assert_int_equal(noised, e->noised_count);
        all_noised += noised;
        all += row;
    }
    assert_in_range(all_noised, all / 8, all / 2); // some are given within their block
    nm_loader_destroy(loader);
    free_traffic(&t);
}

/// A block that is all of the future is an ordinary example but for how levels are drawn: what is clean is the same.
static void one_block_is_an_ordinary_example(void **state) {
    (void)state;
    traffic t = make_traffic(FUTURE), ordinary = t;
    ordinary.blocks.size = 0;
    nm_trainer_config config = small_run(&t.blocks);
    config.mask.behaviour = 1.0f;
    config.mask.goals = 0.0f;
    config.mask.threshold = 1.0f; // half of all tokens are clean
    nm_loader *parts = make_loader(&config);
    config.blocks.size = 0;
    nm_loader *whole = make_loader(&config);
    const nm_loaded *of_parts = load(parts, &t, 0, 4), *of_whole = load(whole, &ordinary, 0, 4);
    uint32_t both = 0;
    for (uint32_t i = 0; i < 4; ++i) {
        assert_int_equal(of_parts[i].scene_count, 1);
        assert_int_equal(of_parts[i].count, of_whole[i].count);
        assert_memory_equal(of_parts[i].noise, of_whole[i].noise, of_parts[i].count * 25 * sizeof(float));
        for (uint32_t n = 0; n < of_parts[i].count; ++n) {
            if (of_parts[i].level[n] > 0.0f || of_whole[i].level[n] > 0.0f) continue;
            assert_memory_equal(of_parts[i].known + n * 25, of_whole[i].known + n * 25, 25 * sizeof(float));
            ++both;
        }
    }
    assert_true(both > 60);
    nm_loader_destroy(parts);
    nm_loader_destroy(whole);
    free_traffic(&t);
}

static void who_is_left_out_is_so_in_all_parts(void **state) {
    (void)state;
    nm_error error;
    traffic t = make_traffic(1);
    t.drop = 1.0f;
    nm_arena *arena = nm_arena_create(0);
    uint32_t dropped = 0, mirrored = 0;
    for (uint64_t number = 0; number < 12; ++number) {
        nm_tokens tokens;
        nm_arena_reset(arena);
        assert_int_equal(make_example(&t, number, arena, &tokens, &error), NM_OK);
        int out[64] = {0}, in[64] = {0};
        float side = 0.0f;
        for (const nm_tokens *p = &tokens; p; p = p->next) {
            for (uint32_t a = 0; a < p->shape.agents; ++a) {
                const uint8_t *logged = p->logged + (size_t)a * p->shape.steps;
                const uint8_t *valid = p->valid + (size_t)a * p->shape.steps;
                assert_true(p->track[a] < 64);
                for (uint32_t k = 0; k < p->shape.steps; ++k) {
                    if (!logged[k]) continue;
                    if (valid[k])
                        in[p->track[a]] = 1;
                    else
                        out[p->track[a]] = 1;
                }
                const nm_token_frame *ego = &p->frame[0], *own = &p->frame[a];
                const double left = (own->y - ego->y) * (double)ego->cos - (own->x - ego->x) * (double)ego->sin;
                const float pose = p->pose[4 * (size_t)a * p->shape.steps + 1];
                if (fabs(left) < 1.0) continue;
                const float now = left * (double)pose > 0.0 ? 1.0f : -1.0f;
                assert_true(side == 0.0f || side == now);
                side = now;
            }
        }
        mirrored += side < 0.0f;
        for (int i = 0; i < 64; ++i) {
            assert_false(in[i] && out[i]);
            dropped += (uint32_t)out[i];
        }
    }
    assert_true(dropped > 5 && mirrored > 1 && mirrored < 11);
    nm_arena_destroy(arena);
    free_traffic(&t);
}

static void parts_that_do_not_fit_are_left_out(void **state) {
    (void)state;
    traffic t = make_traffic(1);
    nm_trainer_config config = small_run(&t.blocks);
    nm_loader *loader = make_loader(&config);
    const nm_loaded *loaded = load(loader, &t, 0, 1);
    const uint32_t all = loaded[0].scene_count, count = loaded[0].count;
    assert_int_equal(all, FUTURE);
    nm_loader_destroy(loader);
    config.max_tokens = count - 1;
    loader = make_loader(&config);
    loaded = load(loader, &t, 0, 1);
    assert_in_range(loaded[0].scene_count, 1, all - 1);
    assert_in_range(loaded[0].count, 1, count - 1);
    assert_true(loaded[0].parts[loaded[0].scene_count - 1].last);
    nm_loader_destroy(loader);
    config.parts = 2;
    config.max_tokens = count;
    loader = make_loader(&config);
    assert_int_equal(load(loader, &t, 0, 1)[0].scene_count, 2);
    nm_loader_destroy(loader);
    free_traffic(&t);
}

/// Row of a token of part `part`, in the order of the pass; NM_NONE where it is not in it.
static uint32_t row_of(const nm_loaded *e, uint32_t part, uint32_t agent, uint32_t time) {
    uint32_t row = 0;
    for (uint32_t p = 0; p <= part; ++p) {
        const nm_token_scene *s = &e->scenes[p];
        const size_t before = p < part ? (size_t)s->agents * s->steps : (size_t)agent * s->steps + time;
        if (p == part && time >= s->steps) return NM_NONE;
        for (size_t k = 0; k < before; ++k) row += s->valid[k];
        if (p == part && !s->valid[before]) return NM_NONE;
    }
    return row;
}

/// What clean tokens are to say is x0 of the noised copy of the next token, where all before it is given in the noised
/// copy, too: that is what a block of this one token would be.
static uint32_t check_next(const nm_loaded *e, const nm_loaded *without) {
    uint32_t asked = 0, compared = 0, row = 0;
    assert_int_equal(e->count, without->count);
    assert_null(without->says_next);
    for (uint32_t p = 0; p < e->scene_count; ++p) {
        const uint32_t steps = e->parts[p].steps, last = e->parts[p].last != 0;
        for (uint32_t a = 0; a < e->scenes[p].agents; ++a) {
            for (uint32_t t = 0; t < e->scenes[p].steps; ++t) {
                if (row_of(e, p, a, t) == NM_NONE) continue;
                assert_int_equal(row_of(e, p, a, t), row);
                const int is_clean = t <= PAST || (t < steps && !last);
                const int follows = t >= PAST && t + 1 < steps && row_of(e, p, a, t + 1) != NM_NONE;
                assert_true((e->says_next[row] != 0.0f) == (is_clean && follows));
                if (e->says_next[row] == 0.0f) { // no bit of it has changed
                    assert_memory_equal(e->noise + row * 25, without->noise + row * 25, 25 * sizeof(float));
                    assert_true(e->alpha[row] == without->alpha[row] && e->sigma[row] == without->sigma[row]);
                } else {
                    assert_true(e->level[row] == 0.0f && e->alpha[row] == 1.0f && e->sigma[row] == 0.0f);
                    ++asked;
                    int given = 1;
                    for (uint32_t k = PAST + 1; k <= t; ++k) {
                        const uint32_t twin = row_of(e, p, a, last ? k : steps + k);
                        given = given && (twin == NM_NONE || e->level[twin] == 0.0f);
                    }
                    const uint32_t twin = row_of(e, p, a, last ? t + 1 : steps + t + 1);
                    uint32_t later = 0; // known tokens after it would bend its prior
                    for (uint32_t k = t + 2; k < steps; ++k) {
                        const uint32_t other = row_of(e, p, a, last ? k : steps + k);
                        later += other != NM_NONE && e->level[other] == 0.0f;
                    }
                    if (given && !later && e->level[twin] > 0.0f && e->alpha[twin] > 0.2f) {
                        for (uint32_t c = 0; c < 25; ++c) {
                            const float z = e->noised[twin * 25 + c], n = e->noise[twin * 25 + c];
                            const float x0 = (z - e->sigma[twin] * n) / e->alpha[twin];
                            assert_true(fabsf(x0 - e->noise[row * 25 + c]) < 1e-4f * (1.0f + fabsf(x0)));
                        }
                        ++compared;
                    }
                }
                assert_memory_equal(e->known + row * 25, without->known + row * 25, 25 * sizeof(float));
                assert_true(e->weight[row] == without->weight[row]);
                ++row;
            }
        }
    }
    assert_int_equal(asked, e->next_count);
    return compared;
}

static void clean_tokens_are_asked_for_the_next(void **state) {
    (void)state;
    for (uint32_t size = 1; size <= 3; ++size) {
        traffic t = make_traffic(size);
        t.blocks.causal = 1;
        nm_trainer_config config = small_run(&t.blocks);
        config.mask.behaviour = 1.0f;
        config.mask.threshold = 0.7f;
        nm_loader *without = make_loader(&config);
        config.next = 0.5f;
        nm_loader *with = make_loader(&config);
        uint32_t compared = 0;
        for (uint64_t first = 0; first < 32; first += 4) {
            const nm_loaded *a = load(with, &t, first, 4), *b = load(without, &t, first, 4);
            for (uint32_t i = 0; i < 4; ++i) compared += check_next(&a[i], &b[i]);
        }
        if (compared < 10) fail_msg("size %u: %u compared", size, compared);
        nm_loader_destroy(with);
        nm_loader_destroy(without);
        free_traffic(&t);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Learning

typedef struct fixture {
    nm_thread_pool *pool;
    nm_model *model;
    nm_trainer *trainer;
} fixture;

static fixture make(nm_backend *backend, traffic *t, int threads, int ahead) {
    nm_error error;
    fixture f = {0};
    const nm_model_config shape = small_model();
    nm_trainer_config config = small_run(&t->blocks);
    config.ahead = ahead;
    config.growth = t->growth; // to steps
    for (uint32_t i = 0; i < config.growth.count; ++i) config.growth.stage[i].first /= config.scenes;
    if (t->blocks.causal) config.next = 0.3f;
    if (threads > 0) assert_int_equal(nm_thread_pool_create(threads, &f.pool, &error), NM_OK);
    if (nm_model_create(&shape, backend, 1, &f.model, &error) != NM_OK) fail_msg("%s", error.message);
    const nm_example_source source = {t, make_example};
    if (nm_trainer_create(f.model, source, &config, f.pool, &f.trainer, &error) != NM_OK) fail_msg("%s", error.message);
    return f;
}

static void destroy(fixture *f) {
    nm_trainer_destroy(f->trainer);
    nm_model_destroy(f->model);
    nm_thread_pool_destroy(f->pool);
}

static nm_backend *float_backend(void) {
    nm_error error;
    nm_backend *backend;
    nm_backend_config config = nm_backend_config_default();
    config.compute = NM_F32;
    config.threads = 2;
    assert_int_equal(nm_backend_create_cpu(&config, &backend, &error), NM_OK);
    return backend;
}

static void the_loss_falls(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend = float_backend();
    traffic t = make_traffic(2);
    fixture f = make(backend, &t, 2, 0);
    const nm_example_source source = {&t, make_example};
    double before, after;
    nm_train_report report;
    assert_int_equal(nm_trainer_validate(f.trainer, source, 99, 1000, 16, 0, &before, &error), NM_OK);
    for (int i = 0; i < 40; ++i)
        if (nm_trainer_step(f.trainer, &report, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(report.scenes, 4);
    assert_int_equal(nm_trainer_validate(f.trainer, source, 99, 1000, 16, 0, &after, &error), NM_OK);
    if (!(after < 0.8 * before)) fail_msg("the loss fell from %g to %g only", before, after);
    destroy(&f);
    free_traffic(&t);
    nm_backend_destroy(backend);
}

static void threads_and_examples_made_ahead_do_not_matter(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend = float_backend();
    traffic t = make_traffic(1);
    double expected[4];
    for (int i = 0; i < 3; ++i) {
        fixture f = make(backend, &t, i, i == 2);
        for (int k = 0; k < 4; ++k) {
            nm_train_report report;
            if (nm_trainer_step(f.trainer, &report, &error) != NM_OK) fail_msg("%s", error.message);
            if (i == 0) expected[k] = report.loss;
            assert_memory_equal(&report.loss, &expected[k], sizeof report.loss);
        }
        destroy(&f);
    }
    free_traffic(&t);
    nm_backend_destroy(backend);
}

/// From 1 to 2 tokens after two steps: by now, by threads, ahead, and not if nobody says so.
static void blocks_grow_from_step_to_step(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend = float_backend();
    traffic t = make_traffic(2);
    t.blocks.causal = 1;
    t.growth = (nm_block_growth){2, {{0, 1}, {2 * 4, 2}}};
    double expected[4];
    uint64_t tokens[4];
    for (int i = 0; i < 3; ++i) {
        fixture f = make(backend, &t, i, i == 2);
        for (int k = 0; k < 4; ++k) {
            nm_train_report report;
            if (nm_trainer_step(f.trainer, &report, &error) != NM_OK) fail_msg("%s", error.message);
            if (i == 0) expected[k] = report.loss;
            if (i == 0) tokens[k] = report.tokens;
            assert_memory_equal(&report.loss, &expected[k], sizeof report.loss);
            assert_int_equal(report.tokens, tokens[k]);
        }
        double grown, other;
        const nm_example_source source = {&t, make_example};
        traffic ungrown = t;
        ungrown.growth.count = 0;
        const nm_example_source all = {&ungrown, make_example};
        assert_int_equal(nm_trainer_validate(f.trainer, all, 99, 1000, 4, 0, &grown, &error), NM_OK);
        assert_int_equal(nm_trainer_validate(f.trainer, source, 99, 1000, 4, 0, &other, &error), NM_OK);
        assert_true(grown == other); // examples 1000 and on are of the last size
        destroy(&f);
    }
    const nm_trainer_config config = {.blocks = t.blocks, .growth = {2, {{0, 1}, {2, 2}}}};
    const uint32_t sizes[] = {1, 1, 2, 2};
    for (uint64_t k = 0; k < 4; ++k) assert_int_equal(nm_trainer_blocks(&config, k + 1).size, sizes[k]);
    // the same examples in blocks of two from the beginning: others at first, and later, too, as the network differs
    t.growth.count = 0;
    fixture f = make(backend, &t, 0, 0);
    for (int k = 0; k < 4; ++k) {
        nm_train_report report;
        assert_int_equal(nm_trainer_step(f.trainer, &report, &error), NM_OK);
        assert_true(report.loss != expected[k]);
        assert_true((report.tokens == tokens[k]) == (k >= 2));
    }
    destroy(&f);
    // a trainer that grows with a source that does not
    const nm_model_config shape = small_model();
    nm_trainer_config alone = small_run(&t.blocks);
    alone.growth = config.growth;
    nm_model *model;
    nm_trainer *trainer;
    nm_train_report report;
    assert_int_equal(nm_model_create(&shape, backend, 1, &model, &error), NM_OK);
    assert_int_equal(nm_trainer_create(model, (nm_example_source){&t, make_example}, &alone, NULL, &trainer, &error),
                     NM_OK);
    assert_int_equal(nm_trainer_step(trainer, &report, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "10 steps apart, which blocks of 1 are not"));
    nm_trainer_destroy(trainer);
    nm_model_destroy(model);
    free_traffic(&t);
    nm_backend_destroy(backend);
}

static void the_autoregressive_loss_falls_and_is_not_validated(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend = float_backend();
    traffic t = make_traffic(3);
    t.blocks.causal = 1;
    const nm_example_source source = {&t, make_example};
    const nm_model_config shape = small_model();
    double loss[2], validation[2], first = 0.0, later = 0.0;
    for (int i = 0; i < 2; ++i) {
        nm_trainer_config config = small_run(&t.blocks);
        config.next = i ? 0.3f : 0.0f;
        nm_model *model;
        nm_trainer *trainer;
        nm_train_report report;
        assert_int_equal(nm_model_create(&shape, backend, 1, &model, &error), NM_OK);
        assert_int_equal(nm_trainer_create(model, source, &config, NULL, &trainer, &error), NM_OK);
        assert_int_equal(nm_trainer_validate(trainer, source, 99, 1000, 4, 0, &validation[i], &error), NM_OK);
        for (int k = 0; k < 40; ++k) {
            if (nm_trainer_step(trainer, &report, &error) != NM_OK) fail_msg("%s", error.message);
            if (k == 0) loss[i] = report.loss;
            if (i && k < 5) first += report.loss;
            if (i && k >= 35) later += report.loss;
        }
        nm_trainer_destroy(trainer);
        nm_model_destroy(model);
    }
    assert_true(validation[0] == validation[1]);
    assert_true(loss[1] > loss[0] * 1.01); // of the same network and examples
    if (!(later < 0.8 * first)) fail_msg("from %g to %g", first, later);
    free_traffic(&t);
    nm_backend_destroy(backend);
}

static void what_makes_no_sense_is_refused(void **state) {
    (void)state;
    nm_error error;
    nm_trainer_config config = small_run(&(nm_block_config){.size = 2, .memory = 4});
    config.next = 0.5f;
    assert_int_equal(nm_trainer_config_check(&config, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "causal mask"));
    config.blocks.causal = 1;
    assert_int_equal(nm_trainer_config_check(&config, &error), NM_OK);
    config.next = NAN;
    assert_int_equal(nm_trainer_config_check(&config, &error), NM_E_ARGUMENT);
    config.next = 0.0f;
    config.growth = (nm_block_growth){2, {{0, 1}, {config.steps, 2}}};
    assert_int_equal(nm_trainer_config_check(&config, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "of 60 steps"));
    config.growth.stage[1].first--;
    assert_int_equal(nm_trainer_config_check(&config, &error), NM_OK);
    config.growth.stage[1].size = 1;
    assert_int_equal(nm_trainer_config_check(&config, &error), NM_E_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_follow_each_other),
        cmocka_unit_test(examples_have_every_block_clean_and_noised),
        cmocka_unit_test(one_block_is_an_ordinary_example),
        cmocka_unit_test(who_is_left_out_is_so_in_all_parts),
        cmocka_unit_test(parts_that_do_not_fit_are_left_out),
        cmocka_unit_test(clean_tokens_are_asked_for_the_next),
        cmocka_unit_test(the_loss_falls),
        cmocka_unit_test(blocks_grow_from_step_to_step),
        cmocka_unit_test(the_autoregressive_loss_falls_and_is_not_validated),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(threads_and_examples_made_ahead_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
