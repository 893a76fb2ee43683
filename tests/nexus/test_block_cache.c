/// Blocks with kept keys against passes over everything that was, on traffic; and sampling block by block.
#include "network_support.h"
#include "nexus/block_generator.h"
#include "tokens_support.h"

enum { PAST = 2, FUTURE = 6, AGENTS = 5, BLOCKS = 9 };

typedef struct world {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    const nm_scene *scene;
    nm_token_map *map;
    nm_arena *arena;
} world;

static world open_world(uint32_t size, uint32_t memory, int causal, nm_dtype compute) {
    nm_error error;
    world w = {.recipe = {.tokens = nm_token_config_default(NM_TOKENS_AGENT), .prior = NM_PRIOR_LANE}};
    nm_token_config *t = &w.recipe.tokens;
    t->past = PAST;
    t->future = FUTURE;
    t->agents = AGENTS; // the nearest to the ego: they change
    t->map_polylines = 6;
    t->paths = 1;
    w.recipe.blocks = (nm_block_config){.size = size, .memory = memory, .causal = causal};
    nm_backend_config cpu = nm_backend_config_default();
    cpu.compute = compute;
    cpu.threads = 2;
    assert_int_equal(nm_backend_create_cpu(&cpu, &w.backend, &error), NM_OK);
    nm_model_config shape = nm_model_config_default();
    shape.hidden = 32;
    shape.blocks = 2;
    shape.widening = 2;
    shape.frequencies = 16;
    shape.rotary = 1;
    nm_token_fit_model(t, &shape);
    if (nm_model_create(&shape, w.backend, 1, &w.model, &error) != NM_OK) fail_msg("%s", error.message);
    randomise_model(w.model, 4);
    w.scene = tokens_rollout("junction_signal:density=40", 5, 40 + BLOCKS * FUTURE * NM_TOKEN_STEPS);
    assert_int_equal(nm_token_map_create(w.scene->map, t, &w.map, &error), NM_OK);
    w.arena = nm_arena_create(0);
    assert_non_null(w.arena);
    return w;
}

static void close_world(world *w) {
    nm_arena_destroy(w->arena);
    nm_token_map_destroy(w->map);
    nm_scene_destroy(w->scene);
    nm_model_destroy(w->model);
    nm_backend_destroy(w->backend);
}

/// The tokens of block `number`: what is logged of it is its truth; beyond it nobody looks.
static nm_tokens *tokens_at(const world *w, uint32_t number) {
    nm_error error;
    nm_tokens *tokens = NM_ARENA_ARRAY(w->arena, nm_tokens, 1);
    const nm_token_request request = {.focus = NM_NONE,
                                      .current_step = 30 + number * w->recipe.blocks.size * NM_TOKEN_STEPS};
    assert_non_null(tokens);
    if (nm_tokens_build(w->map, w->scene, &request, w->arena, tokens, &error) != NM_OK) fail_msg("%s", error.message);
    return tokens;
}

// ---------------------------------------------------------------------------------------------------------------------
// Recomputation

/// A block as the network saw it: what it was told of each token of the block's batch.
typedef struct seen {
    uint8_t valid[AGENTS * (PAST + 1 + FUTURE)];
    nm_block_role role[AGENTS];
    nm_token_scene shape;
    uint32_t count;
    float *known, *mask, *noised, *condition, *pose, *level;
} seen;

static float *keep_floats(const world *w, const float *from, size_t count) {
    float *to = NM_ARENA_ARRAY(w->arena, float, count + 1);
    assert_non_null(to);
    if (from) memcpy(to, from, count * sizeof *to);
    return to;
}

/// What the network is told where the sampler says `in`.
static void see(const world *w, const nm_batch *batch, const nm_tokens *tokens, const nm_denoise_input *in, seen *s,
                float *prior, float *spread) {
    const size_t channels = in->channels, n = in->count;
    const uint32_t steps = tokens->shape.steps, conditions = nm_token_conditions(&tokens->config);
    const nm_path *paths = tokens->path;
    s->count = in->count;
    s->condition = keep_floats(w, NULL, n * conditions);
    s->pose = keep_floats(w, NULL, n * 4);
    nm_batch_gather(batch, 0, steps, conditions, tokens->condition, s->condition);
    nm_batch_gather(batch, 0, steps, 4, tokens->pose, s->pose);
    s->known = keep_floats(w, NULL, n * channels);
    s->noised = keep_floats(w, NULL, n * channels);
    s->mask = keep_floats(w, in->mask, n * channels);
    s->level = keep_floats(w, in->level, n);
    nm_prior_fill(NM_PRIOR_LANE, &tokens->config, batch, s->condition, &paths, in->known, in->mask, prior, spread);
    nm_prior_take_off(NM_PRIOR_LANE, (float)tokens->config.heading_scale, NM_SNR_COSINE, in, prior, spread, s->known,
                      s->noised);
}

/// The prediction for the last of `count` blocks out of one pass over all of them.
static void recompute(const world *w, const seen *all, uint32_t count, float *v) {
    nm_error error;
    const nm_model_config *m = nm_model_get_config(w->model);
    const uint32_t tokens = BLOCKS * AGENTS * (PAST + 1 + FUTURE), steps = PAST + 1 + FUTURE;
    const nm_block_links_config config = {.blocks = w->recipe.blocks, .strands = AGENTS, .tokens = tokens};
    const nm_link_capacity room = nm_block_links_capacity(&config);
    const nm_batch_capacity capacity = {BLOCKS, tokens, BLOCKS * nm_token_map_rows(&w->recipe.tokens, AGENTS)};
    nm_pass *pass;
    nm_block_links *links;
    nm_token_scene scenes[BLOCKS];
    for (uint32_t i = 0; i < count; ++i) scenes[i] = all[i].shape;
    assert_int_equal(nm_pass_create_linked(w->model, &capacity, &room, 0, &pass, &error), NM_OK);
    assert_int_equal(nm_block_links_create(&config, &links, &error), NM_OK);
    if (nm_pass_set_scenes(pass, scenes, count, &error) != NM_OK) fail_msg("%s", error.message);
    const nm_batch *batch = nm_pass_batch(pass);
    float *in[6];
    for (int k = 0; k < 6; ++k) in[k] = keep_floats(w, NULL, (size_t)batch->tokens * 128);
    for (uint32_t i = 0; i < count; ++i) {
        const nm_block_part part = {
            .scene = i, .number = i, .past = PAST, .steps = steps, .role = all[i].role, .clean = i + 1 < count};
        nm_block_links_add(links, batch, &part);
        const size_t first = batch->scene_tokens[i], n = all[i].count;
        const float *from[] = {all[i].known, all[i].mask, all[i].noised, all[i].condition, all[i].pose, all[i].level};
        const size_t width[] = {m->channels, m->channels, m->channels, m->conditions, 4, 1};
        assert_int_equal(batch->scene_tokens[i + 1] - first, n);
        for (int k = 0; k < 6; ++k) memcpy(in[k] + first * width[k], from[k], n * width[k] * sizeof(float));
    }
    const nm_pass_links lists = nm_block_links_get(links);
    assert_int_equal(nm_pass_set_links(pass, &lists, &error), NM_OK);
    const nm_pass_input input = {in[0], in[1], in[2], in[3], in[5], in[4]};
    float *out = keep_floats(w, NULL, (size_t)batch->tokens * m->channels);
    if (nm_pass_predict(pass, &input, out, &error) != NM_OK) fail_msg("%s", error.message);
    const size_t first = batch->scene_tokens[count - 1];
    memcpy(v, out + first * m->channels, (batch->tokens - first) * m->channels * sizeof *v);
    nm_block_links_destroy(links);
    nm_pass_destroy(pass);
}

/// A state of the sampler half way: tokens of the block at levels of their own.
static nm_denoise_input half_way(const world *w, const nm_batch *batch, const nm_tokens *tokens, uint32_t number,
                                 int clean) {
    const size_t channels = nm_token_channels(&tokens->config), n = batch->tokens;
    float *values = keep_floats(w, NULL, n * channels), *mask = keep_floats(w, NULL, n * channels);
    float *known = keep_floats(w, NULL, n * channels), *level = keep_floats(w, NULL, n);
    uint32_t *ref = NM_ARENA_ARRAY(w->arena, uint32_t, 3 * n + 1);
    nm_batch_gather(batch, 0, tokens->shape.steps, (uint32_t)channels, tokens->values, values);
    for (size_t row = 0; row < n; ++row) {
        const nm_token_ref r = batch->refs[row];
        const int noised = r.time > PAST && !clean && (number + r.agent + r.time) % 5 != 0; // some are given
        level[row] = noised ? 0.25f * (float)(1 + (r.agent + r.time) % 4) : 0.0f;
        ref[row] = 0;
        ref[n + row] = r.agent;
        ref[2 * n + row] = r.time;
        for (size_t c = row * channels; c < (row + 1) * channels; ++c) {
            mask[c] = noised ? 0.0f : 1.0f;
            known[c] = noised ? 0.0f : values[c];
            if (noised) values[c] += 0.3f * random_value(7, number, c);
        }
    }
    return (nm_denoise_input){.count = batch->tokens,
                              .channels = (uint32_t)channels,
                              .scene_count = 1,
                              .scene = ref,
                              .agent = ref + n,
                              .time = ref + 2 * n,
                              .known = known,
                              .mask = mask,
                              .noised = values,
                              .level = level};
}

static uint32_t check_blocks(uint32_t size, uint32_t memory, int causal, nm_dtype compute, double bound) {
    nm_error error;
    world w = open_world(size, memory, causal, compute);
    nm_block_cache *cache;
    if (nm_block_cache_create(w.model, &w.recipe, 1, &cache, &error) != NM_OK) fail_msg("%s", error.message);
    static seen all[BLOCKS]; // one after another, by one thread
    const size_t channels = nm_token_channels(&w.recipe.tokens), most = AGENTS * (PAST + 1 + FUTURE);
    float *v = calloc(most * channels, sizeof *v), *expected = calloc(most * channels, sizeof *v);
    float *prior = calloc(most * channels, sizeof *v), *spread = calloc(most, sizeof *v);
    nm_block_cast cast;
    uint32_t begun = 0;
    assert_int_equal(nm_block_cast_create(&w.recipe.blocks, AGENTS, w.arena, &cast, &error), NM_OK);
    for (uint32_t i = 0; i < BLOCKS; ++i) {
        const nm_tokens *tokens = tokens_at(&w, i);
        seen *s = &all[i];
        nm_block_cast_next(&cast, tokens, s->valid, s->role);
        for (uint32_t a = 0; i > 0 && a < tokens->shape.agents; ++a) begun += s->role[a].begins != 0;
        s->shape = tokens->shape;
        s->shape.valid = s->valid;
        if (nm_block_cache_set(cache, &tokens, 1, &error) != NM_OK) fail_msg("%s", error.message);
        const nm_batch *batch = nm_block_cache_batch(cache);
        const nm_denoiser denoiser = nm_block_cache_denoiser(cache);
        const nm_denoise_input in = half_way(&w, batch, tokens, i, 0);
        assert_int_equal(nm_denoise(&denoiser, &in, v, &error), NM_OK);
        see(&w, batch, tokens, &in, s, prior, spread);
        recompute(&w, all, i + 1, expected);
        nm_prior_put_back(NM_PRIOR_LANE, (float)w.recipe.tokens.heading_scale, NM_SNR_COSINE, &in, prior, spread,
                          s->noised, expected);
        double worst = 0.0, largest = 0.0;
        for (size_t k = 0; k < in.count * channels; ++k) {
            if (in.mask[k] != 0.0f) continue;
            worst = fmax(worst, fabs((double)v[k] - (double)expected[k]));
            largest = fmax(largest, fabs((double)expected[k]));
        }
        if (in.count > 0 && !(worst <= bound * fmax(largest, 0.1)))
            fail_msg("size %u, memory %u, block %u: off by %g of %g", size, memory, i, worst, largest);
        const nm_denoise_input clean = half_way(&w, batch, tokens, i, 1);
        if (nm_block_cache_keep(cache, clean.noised, &error) != NM_OK) fail_msg("%s", error.message);
        see(&w, batch, tokens, &clean, s, prior, spread);
        assert_int_equal(nm_block_cache_blocks(cache), i + 1);
    }
    free(v);
    free(expected);
    free(prior);
    free(spread);
    nm_block_cache_destroy(cache);
    close_world(&w);
    return begun;
}

static void a_block_is_what_a_pass_over_everything_says(void **state) {
    (void)state;
    uint32_t begun = 0;
    for (uint32_t size = 1; size <= FUTURE; ++size) begun += check_blocks(size, 3 + size, 0, NM_F32, 2e-5);
    check_blocks(1, 1, 0, NM_F32, 2e-5);
    check_blocks(2, 20, 0, NM_F32, 2e-5);
    assert_true(begun > 10); // agents come and go
}

static void also_with_the_causal_mask(void **state) {
    (void)state;
    for (uint32_t size = 1; size <= FUTURE; ++size) check_blocks(size, 3 + size % 3, 1, NM_F32, 2e-5);
    check_blocks(4, 1, 1, NM_F32, 2e-5);
    check_blocks(2, 20, 1, NM_F32, 2e-5);
}

/// A keep that fails leaves the block as it was: predicted as before, and kept by the next one.
static void what_could_not_be_kept_is_as_it_was(void **state) {
    (void)state;
    nm_error error;
    world w = open_world(3, 4, 1, NM_F32);
    nm_block_cache *cache;
    assert_int_equal(nm_block_cache_create(w.model, &w.recipe, 1, &cache, &error), NM_OK);
    const size_t channels = nm_token_channels(&w.recipe.tokens), most = AGENTS * (PAST + 1 + FUTURE) * channels;
    float *v[4];
    for (int i = 0; i < 4; ++i) memset(v[i] = keep_floats(&w, NULL, most), 0, most * sizeof(float));
    for (int failing = 0; failing < 2; ++failing) {
        nm_block_cache_forget(cache);
        for (uint32_t i = 0; i < 2; ++i) {
            const nm_tokens *tokens = tokens_at(&w, i);
            assert_int_equal(nm_block_cache_set(cache, &tokens, 1, &error), NM_OK);
            const nm_denoiser denoiser = nm_block_cache_denoiser(cache);
            const nm_batch *batch = nm_block_cache_batch(cache);
            const nm_denoise_input in = half_way(&w, batch, tokens, i, 0), clean = half_way(&w, batch, tokens, i, 1);
            if (failing) {
                float *huge = keep_floats(&w, clean.noised, batch->tokens * channels);
                const nm_tensor values = nm_model_values(w.model);
                float *weight = (float *)values.data + values.cols - 1, was = *weight;
                *weight = INFINITY; // what is predicted is not finite
                assert_int_equal(nm_model_repack(w.model, &error), NM_OK);
                assert_int_equal(nm_block_cache_keep(cache, huge, &error), NM_E_NUMERIC);
                *weight = was;
                assert_int_equal(nm_model_repack(w.model, &error), NM_OK);
                assert_int_equal(nm_block_cache_blocks(cache), i);
            }
            assert_int_equal(nm_denoise(&denoiser, &in, v[2 * failing + (int)i], &error), NM_OK);
            assert_int_equal(nm_block_cache_keep(cache, clean.noised, &error), NM_OK);
        }
    }
    assert_memory_equal(v[0], v[2], most * sizeof(float));
    assert_memory_equal(v[1], v[3], most * sizeof(float));
    nm_block_cache_destroy(cache);
    close_world(&w);
}

// ---------------------------------------------------------------------------------------------------------------------
// Sampling

enum { ROUNDS = 4, VALUES = AGENTS * (PAST + 1 + FUTURE) * 25 };

static nm_block_generator *make_generator(const world *w, uint32_t scenes) {
    nm_error error;
    nm_block_generator *g;
    nm_generator_config config = nm_generator_config_default();
    config.scenes = scenes;
    config.levels = 3;
    if (nm_block_generator_create(w->model, &w->recipe, &config, &g, &error) != NM_OK) fail_msg("%s", error.message);
    return g;
}

/// ROUNDS blocks of `scenes` futures with keys from `key` on; `out` [ROUNDS] of the first. happened: what became of the
/// first block of the first scene; NULL = as sampled.
static void sample(const world *w, nm_block_generator *g, uint32_t scenes, uint64_t key, const float *happened,
                   float out[ROUNDS][VALUES]) {
    nm_error error;
    static float values[3][VALUES];
    nm_block_generator_forget(g);
    for (uint32_t i = 0; i < ROUNDS; ++i) {
        const nm_tokens *tokens = tokens_at(w, i);
        nm_block_generation round[3];
        for (uint32_t k = 0; k < scenes; ++k)
            round[k] = (nm_block_generation){.tokens = tokens, .key = key + k, .values = values[k]};
        if (nm_block_generator_run(g, round, scenes, NULL, NULL, &error) != NM_OK) fail_msg("%s", error.message);
        const size_t count = (size_t)tokens->shape.agents * tokens->shape.steps * 25;
        memset(out[i], 0, sizeof out[i]);
        memcpy(out[i], values[0], count * sizeof(float));
        const float *actual[3] = {i == 0 ? happened : NULL};
        if (nm_block_generator_keep(g, actual, &error) != NM_OK) fail_msg("%s", error.message);
    }
}

static void futures_do_not_depend_on_who_is_beside_them(void **state) {
    (void)state;
    world w = open_world(2, 4, 0, NM_F32);
    static float alone[ROUNDS][VALUES], beside[ROUNDS][VALUES], other[ROUNDS][VALUES];
    nm_block_generator *one = make_generator(&w, 1), *three = make_generator(&w, 3);
    sample(&w, one, 1, 70, NULL, alone);
    sample(&w, three, 3, 70, NULL, beside);
    assert_memory_equal(alone, beside, sizeof alone);
    sample(&w, one, 1, 71, NULL, other);
    assert_memory_not_equal(alone[0], other[0], sizeof alone[0]);
    const uint64_t passes = nm_block_generator_passes(one);
    sample(&w, one, 1, 70, NULL, other); // forgotten: again from the beginning
    assert_memory_equal(alone, other, sizeof alone);
    assert_int_equal(nm_block_generator_passes(one) - passes, ROUNDS * (3 + 1));
    nm_block_generator_destroy(one);
    nm_block_generator_destroy(three);
    close_world(&w);
}

static void what_happened_is_what_later_blocks_see(void **state) {
    (void)state;
    world w = open_world(2, 4, 0, NM_F32);
    static float first[ROUNDS][VALUES], second[ROUNDS][VALUES], happened[VALUES];
    nm_block_generator *g = make_generator(&w, 1);
    sample(&w, g, 1, 70, NULL, first);
    memcpy(happened, first[0], sizeof happened);
    sample(&w, g, 1, 70, happened, second);
    assert_memory_equal(first, second, sizeof first);
    for (size_t k = 0; k < VALUES; ++k) happened[k] += 0.1f * (happened[k] != 0.0f);
    sample(&w, g, 1, 70, happened, second);
    assert_memory_equal(first[0], second[0], sizeof first[0]);
    assert_memory_not_equal(first[1], second[1], sizeof first[1]);
    nm_block_generator_destroy(g);
    close_world(&w);
}

static void what_is_given_stays(void **state) {
    (void)state;
    nm_error error;
    world w = open_world(3, 4, 0, NM_F32);
    nm_block_generator *g = make_generator(&w, 1);
    nm_tokens *tokens = tokens_at(&w, 0);
    const uint32_t steps = tokens->shape.steps;
    uint8_t given[AGENTS] = {0, 1};
    nm_tokens_set_task(tokens, &(nm_token_task){.kind = NM_TASK_FREE, .given = given});
    static float values[VALUES];
    const nm_block_generation round = {.tokens = tokens, .key = 1, .values = values};
    if (nm_block_generator_run(g, &round, 1, NULL, NULL, &error) != NM_OK) fail_msg("%s", error.message);
    uint32_t sampled = 0;
    for (uint32_t a = 0; a < tokens->shape.agents; ++a) {
        for (uint32_t t = 0; t < steps; ++t) {
            const size_t at = ((size_t)a * steps + t) * 25;
            float nothing[25] = {0};
            if (t <= PAST || t > PAST + 3 || !tokens->valid[a * steps + t])
                assert_memory_equal(values + at, nothing, sizeof nothing);
            else if (a == 1)
                assert_memory_equal(values + at, tokens->values + at, sizeof nothing);
            else
                sampled += memcmp(values + at, tokens->values + at, sizeof nothing) != 0;
        }
    }
    assert_true(sampled > 5);
    nm_block_generator_destroy(g);
    close_world(&w);
}

static void a_block_has_no_candidates(void **state) {
    (void)state;
    nm_error error;
    world w = open_world(2, 4, 0, NM_F32);
    nm_block_generator *g;
    nm_generator_config config = nm_generator_config_default();
    config.candidates.count = 2;
    assert_int_equal(nm_block_generator_create(w.model, &w.recipe, &config, &g, &error), NM_E_ARGUMENT);
    assert_null(g);
    assert_non_null(strstr(error.message, "no candidates"));
    config.candidates.count = 1;
    assert_int_equal(nm_block_generator_create(w.model, &w.recipe, &config, &g, &error), NM_OK);
    nm_block_generator_destroy(g);
    close_world(&w);
}

static void misuse_is_refused(void **state) {
    (void)state;
    nm_error error;
    world w = open_world(2, 4, 0, NM_F32);
    nm_block_cache *cache;
    nm_recipe other = w.recipe;
    other.blocks.size = 0;
    assert_int_equal(nm_block_cache_create(w.model, &other, 1, &cache, &error), NM_E_ARGUMENT);
    assert_null(cache);
    other.blocks = (nm_block_config){.size = FUTURE + 1, .memory = 4};
    assert_int_equal(nm_block_cache_create(w.model, &other, 1, &cache, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_block_cache_create(w.model, &w.recipe, 0, &cache, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_block_cache_create(w.model, &w.recipe, 2, &cache, &error), NM_OK);
    assert_int_equal(nm_block_cache_bytes(cache), 2 * AGENTS * (PAST + 1 + 2 + 4) * 2 * 2 * 32 * 4);
    nm_tokens *tokens = tokens_at(&w, 0);
    const nm_tokens *many[] = {tokens, tokens, tokens};
    assert_int_equal(nm_block_cache_set(cache, many, 3, &error), NM_E_LIMIT);
    assert_int_equal(nm_block_cache_set(cache, many, 2, &error), NM_OK);
    assert_int_equal(nm_block_cache_set(cache, many, 2, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "not kept"));
    const size_t count = (size_t)nm_block_cache_batch(cache)->tokens * 25;
    float *values = calloc(count, sizeof *values);
    assert_non_null(values);
    values[3] = NAN;
    assert_int_equal(nm_block_cache_keep(cache, values, &error), NM_E_NUMERIC);
    values[3] = 0.0f;
    assert_int_equal(nm_block_cache_keep(cache, values, &error), NM_OK);
    assert_int_equal(nm_block_cache_set(cache, many, 1, &error), NM_E_LIMIT); // two scenes, then one
    tokens->config.past = PAST + 1;
    assert_int_equal(nm_block_cache_set(cache, many, 2, &error), NM_E_ARGUMENT);
    free(values);
    nm_block_cache_destroy(cache);
    nm_block_cache_destroy(NULL);
    close_world(&w);
}

/// What no machine has room for is refused by its number, before it is tried.
static void too_many_agents_are_refused(void **state) {
    (void)state;
    nm_error error;
    world w = open_world(2, 4, 0, NM_F32);
    nm_block_cache *cache;
    w.recipe.tokens.agents = 4000; // 9 rows each in 4096 scenes, of 512 bytes
    assert_int_equal(nm_block_cache_create(w.model, &w.recipe, 4096, &cache, &error), NM_E_LIMIT);
    assert_non_null(strstr(error.message, "75497472000 bytes"));
    assert_null(cache);
    w.recipe.tokens.agents = 65536;
    assert_int_equal(nm_block_cache_create(w.model, &w.recipe, 4096, &cache, &error), NM_E_LIMIT);
    assert_non_null(strstr(error.message, "8053063680 rows"));
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_what_a_pass_over_everything_says),
        cmocka_unit_test(also_with_the_causal_mask),
        cmocka_unit_test(what_could_not_be_kept_is_as_it_was),
        cmocka_unit_test(futures_do_not_depend_on_who_is_beside_them),
        cmocka_unit_test(what_happened_is_what_later_blocks_see),
        cmocka_unit_test(what_is_given_stays),
        cmocka_unit_test(a_block_has_no_candidates),
        cmocka_unit_test(misuse_is_refused),
        cmocka_unit_test(too_many_agents_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
