/// Blocks: who sees whom, as defined; gradients through the mask; keys that are kept against passes over everything.
#include "blocks_support.h"

#include "backends_support.h"

/// All parts of a story in one pass, as in training.
typedef struct whole {
    nm_backend *backend;
    nm_model *model;
    nm_pass *pass;
    nm_block_links *links;
    block_story story;
    random_tokens tokens;
} whole;

enum { MOST_TOKENS = TRACKS * PARTS * 2 * STEPS };

static nm_block_links_config links_config(const nm_block_config *blocks) {
    return (nm_block_links_config){.blocks = *blocks, .strands = TRACKS, .tokens = MOST_TOKENS};
}

static void add_part(nm_block_links *links, const nm_batch *batch, const block_story *s, uint32_t scene,
                     uint32_t number, uint32_t first, int last, int clean, int again) {
    const nm_block_part part = {.scene = scene,
                                .number = number,
                                .past = PAST,
                                .steps = STEPS,
                                .role = s->part[number].role,
                                .first = first,
                                .last = last,
                                .clean = clean,
                                .again = again};
    nm_block_links_add(links, batch, &part);
}

static nm_backend *reference_backend(void) {
    nm_error error;
    nm_backend *backend;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    return backend;
}

static void open_whole(whole *w, nm_backend *backend, const nm_block_config *blocks, uint64_t seed, int training) {
    nm_error error;
    const nm_model_config config = small_config(2);
    const nm_block_links_config of_links = links_config(blocks);
    const nm_link_capacity room = nm_block_links_capacity(&of_links);
    const nm_batch_capacity capacity = {PARTS, MOST_TOKENS, PARTS * TRACKS * ROWS_OF_AGENT};
    w->backend = backend;
    assert_int_equal(nm_model_create(&config, backend, 1, &w->model, &error), NM_OK);
    randomise_model(w->model, 5);
    assert_int_equal(nm_pass_create_linked(w->model, &capacity, &room, training, &w->pass, &error), NM_OK);
    assert_int_equal(nm_block_links_create(&of_links, &w->links, &error), NM_OK);
    tell_story(&w->story, seed, blocks, &config);
    nm_token_scene scenes[PARTS];
    for (uint32_t i = 0; i < PARTS; ++i) scenes[i] = scene_of_part(&w->story, i, i + 1 < PARTS);
    if (nm_pass_set_scenes(w->pass, scenes, PARTS, &error) != NM_OK) fail_msg("%s", error.message);
    const nm_batch *batch = nm_pass_batch(w->pass);
    for (uint32_t i = 0; i < PARTS; ++i)
        add_part(w->links, batch, &w->story, i, i, 0, i + 1 == PARTS, i + 1 < PARTS, 0);
    const nm_pass_links links = nm_block_links_get(w->links);
    if (nm_pass_set_links(w->pass, &links, &error) != NM_OK) fail_msg("%s", error.message);
    w->tokens = make_block_tokens(batch, &w->story, 0, 0, &config, 9);
    for (uint32_t row = batch->scene_tokens[PARTS - 1]; row < batch->tokens; ++row) { // the last part has no twins
        const nm_token_ref r = batch->refs[row];
        if (r.time <= PAST) continue;
        w->tokens.level[row] = 0.25f * (float)(1 + (w->story.part[PARTS - 1].track[r.agent] + r.time) % 4);
        w->tokens.weight[row] = 0.2f;
        for (uint32_t c = 0; c < config.channels; ++c) {
            const size_t at = (size_t)row * config.channels + c;
            const size_t name =
                (((size_t)(PARTS - 1) * TRACKS + w->story.part[PARTS - 1].track[r.agent]) * STEPS + r.time) * 64;
            w->tokens.known[at] = w->tokens.mask[at] = 0.0f;
            w->tokens.noised[at] = random_value(9, 12, name + c);
        }
    }
}

static void close_whole(whole *w) {
    free_tokens(&w->tokens);
    end_story(&w->story);
    nm_block_links_destroy(w->links);
    nm_pass_destroy(w->pass);
    nm_model_destroy(w->model);
}

// ---------------------------------------------------------------------------------------------------------------------
// The mask

typedef struct token_facts {
    uint32_t track, part, life; ///< life: how often its track had begun by then
    int64_t place, start;
    int clean, history;
} token_facts;

static token_facts facts_of(const whole *w, uint32_t row, const nm_block_config *blocks) {
    const nm_token_ref r = nm_pass_batch(w->pass)->refs[row];
    const block_part *p = &w->story.part[r.scene];
    token_facts f = {.track = p->track[r.agent], .part = r.scene};
    f.start = (int64_t)PAST + r.scene * blocks->size;
    f.place = (int64_t)(r.time % STEPS) + r.scene * blocks->size;
    f.history = r.time % STEPS <= PAST;
    f.clean = f.history || (r.time < STEPS && r.scene + 1 < PARTS);
    for (uint32_t i = 0; i <= r.scene; ++i)
        for (uint32_t a = 0; a < w->story.part[i].tokens.shape.agents; ++a)
            f.life += w->story.part[i].track[a] == f.track && w->story.part[i].role[a].strand != NM_NONE &&
                      w->story.part[i].role[a].begins;
    return f;
}

/// blocks.h, in two lines.
static int sees(const token_facts *q, const token_facts *k, const nm_block_config *blocks) {
    if (q->track != k->track || q->life != k->life) return 0;
    if (blocks->causal && q->clean) return k->clean && k->place >= q->place - blocks->memory && k->place <= q->place;
    if (k->clean && k->place > q->start - blocks->memory && k->place <= q->start) return k->part <= q->part;
    return !q->history && !k->history && q->part == k->part && q->clean == k->clean;
}

static void check_mask(const nm_block_config *blocks, uint64_t seed) {
    whole w;
    nm_backend *backend = reference_backend();
    open_whole(&w, backend, blocks, seed, 0);
    const nm_batch *batch = nm_pass_batch(w.pass);
    const nm_pass_links links = nm_block_links_get(w.links);
    uint8_t *seen = calloc((size_t)batch->tokens * batch->tokens, 1), *asked = calloc(batch->tokens, 1);
    assert_true(seen && asked);
    for (uint32_t g = 0; g < links.queries->count; ++g) {
        for (uint32_t i = links.queries->offsets[g]; i < links.queries->offsets[g + 1]; ++i) {
            const uint32_t row = links.queries->rows[i];
            asked[row]++;
            for (uint32_t k = links.keys->offsets[g]; k < links.keys->offsets[g + 1]; ++k)
                seen[(size_t)row * batch->tokens + links.keys->rows[k]]++;
        }
    }
    uint32_t across = 0;
    for (uint32_t q = 0; q < batch->tokens; ++q) {
        const token_facts of_query = facts_of(&w, q, blocks);
        assert_int_equal(asked[q], 1);
        assert_true(links.position[q] == (float)of_query.place);
        assert_true(links.time[q] == (float)(batch->refs[q].time % STEPS) / (float)STEPS);
        for (uint32_t k = 0; k < batch->tokens; ++k) {
            const token_facts of_key = facts_of(&w, k, blocks);
            const int expected = sees(&of_query, &of_key, blocks);
            if (seen[(size_t)q * batch->tokens + k] != expected)
                fail_msg("size %u, memory %u: part %u track %u place %d %s %d times part %u place %d, not %d",
                         blocks->size, blocks->memory, of_query.part, of_query.track, (int)of_query.place, "sees",
                         seen[(size_t)q * batch->tokens + k], of_key.part, (int)of_key.place, expected);
            across += expected && of_query.part != of_key.part;
        }
    }
    assert_true(across > 20);
    free(seen);
    free(asked);
    close_whole(&w);
    nm_backend_destroy(backend);
}

static void the_mask_is_as_defined(void **state) {
    (void)state;
    for (uint32_t size = 1; size <= FUTURE; ++size)
        for (uint32_t memory = 1; memory <= 9; memory += 2)
            for (int causal = 0; causal < 2; ++causal)
                check_mask(&(nm_block_config){size, memory, causal}, 100 + size * 16 + memory);
}

/// What is counted is what is kept of each strand: its memory and a block.
static void more_traces_than_there_may_be_are_refused(void **state) {
    (void)state;
    const nm_block_links_config config = {
        .blocks = {.size = 255, .memory = 1}, .strands = NM_BATCH_MAX_ROWS / 256, .tokens = 4};
    nm_error error;
    nm_block_links *links;
    assert_int_equal(nm_block_links_create(&config, &links, &error), NM_E_LIMIT);
    assert_non_null(strstr(error.message, "1073741824 traces"));
    assert_null(links);
}

/// Blocks that are smaller than those that there is room for.
static void sizes_up_to_the_largest_have_room(void **state) {
    (void)state;
    const nm_block_config small = {.size = 2, .memory = 3}, large = {.size = FUTURE, .memory = 3};
    const nm_block_links_config config = links_config(&large);
    nm_error error;
    nm_block_links *links;
    whole w;
    nm_backend *backend = reference_backend();
    open_whole(&w, backend, &small, 100, 0);
    assert_int_equal(nm_block_links_create(&config, &links, &error), NM_OK);
    for (uint32_t i = 0; i < PARTS; ++i) {
        const nm_block_part part = {.scene = i,
                                    .number = i,
                                    .past = PAST,
                                    .steps = STEPS,
                                    .role = w.story.part[i].role,
                                    .last = i + 1 == PARTS,
                                    .size = 2};
        nm_block_links_add(links, nm_pass_batch(w.pass), &part);
    }
    const nm_pass_links a = nm_block_links_get(w.links), b = nm_block_links_get(links);
    const uint32_t groups = a.keys->count;
    assert_int_equal(b.keys->count, groups);
    assert_memory_equal(a.keys->offsets, b.keys->offsets, (groups + 1) * sizeof(uint32_t));
    assert_memory_equal(a.keys->rows, b.keys->rows, a.keys->offsets[groups] * sizeof(uint32_t));
    assert_memory_equal(a.position, b.position, nm_pass_batch(w.pass)->tokens * sizeof(float));
    nm_block_links_destroy(links);
    close_whole(&w);
    nm_backend_destroy(backend);
}

static void agents_come_and_go_in_the_stories(void **state) {
    (void)state;
    const nm_block_config blocks = {.size = 1, .memory = 4};
    const nm_model_config model = small_config(2);
    uint32_t begun = 0, without = 0, stayed = 0;
    block_story s;
    for (uint64_t seed = 100; seed < 110; ++seed) {
        tell_story(&s, seed, &blocks, &model);
        for (uint32_t i = 1; i < PARTS; ++i) {
            for (uint32_t a = 0; a < s.part[i].tokens.shape.agents; ++a) {
                const nm_block_role role = s.part[i].role[a];
                without += role.strand == NM_NONE;
                begun += role.strand != NM_NONE && role.begins;
                stayed += role.strand != NM_NONE && !role.begins;
                for (uint32_t k = 0; k <= PAST; ++k) // who goes on has its past behind it
                    assert_true(role.begins || !s.part[i].valid[a * STEPS + k]);
            }
        }
        end_story(&s);
    }
    if (!(begun > 10 && without > 3 && stayed > 50))
        fail_msg("%u begin, %u stay, %u are in no part", begun, stayed, without);
}

// ---------------------------------------------------------------------------------------------------------------------
// Gradients

static double loss_of(whole *w) {
    nm_error error;
    double loss;
    assert_int_equal(nm_model_repack(w->model, &error), NM_OK);
    assert_int_equal(nm_pass_train(w->pass, &w->tokens.input, &w->tokens.target, &loss, &error), NM_OK);
    return *(double *)w->pass->loss.data;
}

/// Every third clean token is to say something else than noise, as trainer.h has it.
static void ask_for_next(whole *w, const nm_block_config *blocks) {
    uint32_t asked = 0;
    for (uint32_t row = 0; row < nm_pass_batch(w->pass)->tokens; ++row) {
        if (!facts_of(w, row, blocks).clean || row % 3 != 0) continue;
        w->tokens.alpha[row] = 1.0f;
        w->tokens.sigma[row] = 0.0f;
        w->tokens.weight[row] = 0.3f;
        ++asked;
    }
    assert_true(asked > 10);
}

static void check_gradients(int causal) {
    whole w;
    nm_backend *backend = reference_backend();
    const nm_block_config blocks = {.size = 2, .memory = 3, .causal = causal};
    open_whole(&w, backend, &blocks, 100, 1);
    if (causal) ask_for_next(&w, &blocks);
    nm_pass_zero_gradients(w.pass);
    loss_of(&w);
    const size_t size = nm_pass_gradients(w.pass).cols;
    double *analytic = malloc(size * sizeof *analytic), largest = 0.0;
    assert_non_null(analytic);
    memcpy(analytic, nm_pass_gradients(w.pass).data, size * sizeof *analytic);
    for (size_t i = 0; i < size; ++i) largest = fmax(largest, fabs(analytic[i]));
    assert_true(largest > 1e-3);
    const nm_parameter *parameters;
    const size_t count = nm_model_parameters(w.model, &parameters);
    for (size_t i = 0; i < count; ++i) {
        const nm_parameter *p = &parameters[i];
        const size_t at = p->offset + 7919 % ((size_t)p->rows * p->cols);
        double *value = (double *)w.model->values.data + at;
        const double before = *value, h = 1e-4;
        *value = before + h;
        const double above = loss_of(&w);
        *value = before - h;
        const double numeric = (above - loss_of(&w)) / (2.0 * h);
        *value = before;
        if (fabs(numeric - analytic[at]) > 1e-6 * fmax(fabs(numeric), 0.01 * largest))
            fail_msg("%s: %.12g, but the loss changes by %.12g", p->name, analytic[at], numeric);
    }
    free(analytic);
    close_whole(&w);
    nm_backend_destroy(backend);
}

static void gradients_pass_through_the_mask(void **state) {
    (void)state;
    check_gradients(0);
}

static void and_through_the_causal_one_with_its_loss(void **state) {
    (void)state;
    check_gradients(1);
}

/// What clean tokens say hangs on nothing that comes after them, in whichever layer: so they may be asked for it.
static void clean_tokens_do_not_know_what_follows(void **state) {
    (void)state;
    nm_error error;
    const nm_block_config blocks = {.size = 3, .memory = 4, .causal = 1};
    whole w;
    nm_backend *backend = reference_backend();
    open_whole(&w, backend, &blocks, 100, 0);
    const nm_model_config *config = nm_model_get_config(w.model);
    const nm_batch *batch = nm_pass_batch(w.pass);
    const size_t channels = config->channels, count = batch->tokens * channels;
    float *before = calloc(count, sizeof *before), *after = calloc(count, sizeof *after);
    assert_true(before && after);
    assert_int_equal(nm_pass_predict(w.pass, &w.tokens.input, before, &error), NM_OK);
    const int64_t place = PAST + 3 * 2 + 2; // the second token of part 2
    for (uint32_t row = 0; row < batch->tokens; ++row)
        if (facts_of(&w, row, &blocks).place >= place)
            for (size_t c = row * channels; c < (row + 1) * channels; ++c)
                w.tokens.noised[c] = w.tokens.known[c] += 0.5f;
    assert_int_equal(nm_pass_predict(w.pass, &w.tokens.input, after, &error), NM_OK);
    uint32_t same = 0, other = 0;
    for (uint32_t row = 0; row < batch->tokens; ++row) {
        const token_facts f = facts_of(&w, row, &blocks);
        const int differs = memcmp(before + row * channels, after + row * channels, channels * sizeof *before) != 0;
        if (!f.clean) continue;
        if (f.place < place && differs)
            fail_msg("part %u, track %u: the clean token at %d knows what comes at %d", f.part, f.track, (int)f.place,
                     (int)place);
        same += f.place < place;
        other += differs;
    }
    assert_true(same > 20 && other > 10);
    free(before);
    free(after);
    close_whole(&w);
    nm_backend_destroy(backend);
}

// ---------------------------------------------------------------------------------------------------------------------
// Keys that are kept

/// Denoises part after part, each part alone, and compares with what the pass over all of them says.
static void check_kept(const whole *w, const float *expected, const nm_block_config *blocks, double bound) {
    nm_error error;
    const nm_model_config *config = nm_model_get_config(w->model);
    const uint32_t page = TRACKS * STEPS, pages = 2 + blocks->memory / blocks->size + 1;
    const nm_block_links_config of_links = links_config(blocks);
    nm_link_capacity room = nm_block_links_capacity(&of_links);
    room.kept = page * pages;
    const nm_batch_capacity capacity = {1, page, TRACKS * ROWS_OF_AGENT};
    nm_pass *pass;
    nm_block_links *links;
    assert_int_equal(nm_pass_create_linked(w->model, &capacity, &room, 0, &pass, &error), NM_OK);
    assert_int_equal(nm_block_links_create(&of_links, &links, &error), NM_OK);
    float *v = calloc((size_t)page * config->channels, sizeof *v);
    assert_non_null(v);
    const nm_batch *whole_batch = nm_pass_batch(w->pass);
    double worst = 0.0, size = 0.0;
    for (uint32_t i = 0; i < PARTS; ++i) {
        const nm_token_scene scene = scene_of_part(&w->story, i, 0);
        assert_int_equal(nm_pass_set_scenes(pass, &scene, 1, &error), NM_OK);
        for (int clean = 0; clean < 2; ++clean) {
            nm_block_links_begin(links);
            add_part(links, nm_pass_batch(pass), &w->story, 0, i, i % pages * page, 0, clean, clean);
            const nm_pass_links at = nm_block_links_get(links);
            if (nm_pass_set_links(pass, &at, &error) != NM_OK) fail_msg("%s", error.message);
            random_tokens t = make_block_tokens(nm_pass_batch(pass), &w->story, i, !clean, config, 9);
            if (nm_pass_predict(pass, &t.input, v, &error) != NM_OK) fail_msg("%s", error.message);
            free_tokens(&t);
            if (clean) break; // that left the keys of the clean tokens
            uint32_t other = whole_batch->scene_tokens[i];
            for (uint32_t row = 0; row < nm_pass_batch(pass)->tokens; ++row) {
                const nm_token_ref r = nm_pass_batch(pass)->refs[row];
                if (r.time <= PAST) continue;
                const uint32_t time = i + 1 < PARTS ? r.time + STEPS : r.time;
                other = whole_batch->scene_tokens[i];
                while (whole_batch->refs[other].agent != r.agent || whole_batch->refs[other].time != time) ++other;
                for (uint32_t c = 0; c < config->channels; ++c) {
                    const double of_all = (double)expected[(size_t)other * config->channels + c];
                    worst = fmax(worst, fabs((double)v[(size_t)row * config->channels + c] - of_all));
                    size = fmax(size, fabs(of_all));
                }
            }
        }
    }
    assert_true(size > 0.1);
    if (!(worst <= bound * size))
        fail_msg("size %u, memory %u: off by %g of %g", blocks->size, blocks->memory, worst, size);
    free(v);
    nm_block_links_destroy(links);
    nm_pass_destroy(pass);
}

static void check_backend(nm_backend *backend, double bound) {
    nm_error error;
    for (uint32_t size = 1; size <= FUTURE; ++size) {
        for (uint32_t memory = 1; memory <= 9; memory += 4) {
            const nm_block_config blocks = {.size = size, .memory = memory, .causal = (size + memory / 4) % 2};
            whole w;
            open_whole(&w, backend, &blocks, 200 + size * 16 + memory, 0);
            const size_t count = (size_t)nm_pass_batch(w.pass)->tokens * nm_model_get_config(w.model)->channels;
            float *v = calloc(count, sizeof *v);
            assert_non_null(v);
            assert_int_equal(nm_pass_predict(w.pass, &w.tokens.input, v, &error), NM_OK);
            check_kept(&w, v, &blocks, bound);
            free(v);
            close_whole(&w);
        }
    }
}

static void kept_keys_are_those_of_a_whole_pass(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int i = 0; i < count; ++i) {
        const nm_dtype compute = backends[i].backend->compute; // told in float32 whatever it is computed in
        check_backend(backends[i].backend, compute == NM_F64 ? 2e-7 : compute == NM_F32 ? 2e-5 : 3e-2);
    }
    close_backends(backends, count);
}

// ---------------------------------------------------------------------------------------------------------------------

/// Links that say what is the case without any: every agent's tokens see each other.
static void links_of_the_ordinary_kind_change_no_bit(void **state) {
    (void)state;
    nm_error error;
    nm_backend_config cpu = nm_backend_config_default();
    nm_backend *backend;
    cpu.compute = NM_F32;
    assert_int_equal(nm_backend_create_cpu(&cpu, &backend, &error), NM_OK);
    const nm_model_config config = small_config(2);
    nm_model *model;
    nm_pass *pass;
    assert_int_equal(nm_model_create(&config, backend, 1, &model, &error), NM_OK);
    randomise_model(model, 5);
    const nm_batch_capacity capacity = {1, SCENE_AGENTS * SCENE_STEPS, SCENE_POINTS};
    const nm_link_capacity room = {.groups = SCENE_AGENTS, .keys = SCENE_AGENTS * SCENE_STEPS};
    assert_int_equal(nm_pass_create_linked(model, &capacity, &room, 0, &pass, &error), NM_OK);
    random_scene memory;
    const nm_token_scene scene = make_scene(&memory, 7, SCENE_AGENTS, SCENE_POINTS, &config);
    assert_int_equal(nm_pass_set_scenes(pass, &scene, 1, &error), NM_OK);
    const nm_batch *batch = nm_pass_batch(pass);
    random_tokens t = make_tokens(batch, &config, 9);
    const size_t count = (size_t)batch->tokens * config.channels;
    float *without = calloc(count, sizeof *without), *with = calloc(count, sizeof *with);
    assert_true(without && with);
    assert_int_equal(nm_pass_predict(pass, &t.input, without, &error), NM_OK);
    const nm_pass_links links = {.queries = &batch->by_agent, .keys = &batch->by_agent};
    const double flops = nm_pass_flops(pass);
    assert_int_equal(nm_pass_set_links(pass, &links, &error), NM_OK);
    assert_int_equal(nm_pass_predict(pass, &t.input, with, &error), NM_OK);
    assert_memory_equal(without, with, count * sizeof *with);
    assert_true(nm_pass_flops(pass) == flops);

    uint32_t offsets[] = {0, batch->tokens}, none[] = {0, 0};
    const nm_row_lists all = {1, batch->tokens, offsets, batch->by_agent.rows}, no_key = {1, 0, none, NULL};
    const nm_pass_links alone = {.queries = &all, .keys = &no_key};
    assert_int_equal(nm_pass_set_links(pass, &alone, &error), NM_OK);
    assert_int_equal(nm_pass_predict(pass, &t.input, with, &error), NM_OK);
    assert_memory_not_equal(without, with, count * sizeof *with);
    assert_int_equal(nm_pass_set_tokens(pass, &scene, 1, &error), NM_OK); // other tokens: no links any more
    assert_int_equal(nm_pass_predict(pass, &t.input, with, &error), NM_OK);
    assert_memory_equal(without, with, count * sizeof *with);
    free(without);
    free(with);
    free_tokens(&t);
    nm_pass_destroy(pass);
    nm_model_destroy(model);
    nm_backend_destroy(backend);
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    nm_error error;
    nm_token_config tokens = nm_token_config_default(NM_TOKENS_AGENT);
    nm_block_config blocks = nm_block_config_default();
    assert_int_equal(nm_block_config_check(&blocks, &tokens, &error), NM_OK);
    assert_int_equal(nm_block_parts(&blocks, &tokens), 1);
    blocks.size = 3;
    assert_int_equal(nm_block_config_check(&blocks, &tokens, &error), NM_OK);
    assert_int_equal(nm_block_parts(&blocks, &tokens), 6);
    blocks.size = 17;
    assert_int_equal(nm_block_config_check(&blocks, &tokens, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "17 tokens"));
    blocks = (nm_block_config){.size = 1, .memory = 0};
    assert_int_equal(nm_block_config_check(&blocks, &tokens, &error), NM_E_ARGUMENT);
    tokens = nm_token_config_default(NM_TOKENS_EGO);
    blocks.memory = 8;
    assert_int_equal(nm_block_config_check(&blocks, &tokens, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "own frames"));

    const nm_block_config four = {.size = 4, .memory = 4};
    const struct {
        nm_block_growth growth;
        const char *message;
    } wrong[] = {{{1, {{5, 4}}}, "begin at 0"},
                 {{2, {{0, 1}, {0, 4}}}, "later than"},
                 {{2, {{0, 5}, {9, 4}}}, "5 tokens on the way to 4"},
                 {{2, {{0, 0}, {9, 4}}}, "0 tokens"},
                 {{2, {{0, 1}, {9, 2}}}, "end with 2"},
                 {{NM_BLOCK_STAGES + 1, {{0, 4}}}, "more than 16"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        assert_int_equal(nm_block_growth_check(&wrong[i].growth, &four, &error), NM_E_ARGUMENT);
        if (!strstr(error.message, wrong[i].message)) fail_msg("%s", error.message);
    }
    const nm_block_growth grows = {3, {{0, 1}, {10, 3}, {20, 4}}}, none = {0};
    assert_int_equal(nm_block_growth_check(&grows, &four, &error), NM_OK);
    assert_int_equal(nm_block_growth_check(&none, &four, &error), NM_OK);
    static const uint32_t sizes[][2] = {{0, 1}, {9, 1}, {10, 3}, {19, 3}, {20, 4}, {4000, 4}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        assert_int_equal(nm_block_growth_at(&grows, &four, sizes[i][0]).size, sizes[i][1]);
        assert_int_equal(nm_block_growth_at(&none, &four, sizes[i][0]).size, 4);
    }

    const nm_block_config fine = {.size = 2, .memory = 4};
    whole w;
    nm_backend *backend = reference_backend();
    open_whole(&w, backend, &fine, 100, 0);
    const nm_batch_capacity capacity = w.pass->batch.capacity;
    const nm_link_capacity small = {.groups = MOST_TOKENS, .keys = 10}, huge = {.groups = NM_BATCH_MAX_ROWS};
    nm_pass *pass;
    assert_int_equal(nm_pass_create_linked(w.model, &capacity, &huge, 0, &pass, &error), NM_E_LIMIT);
    assert_null(pass);
    assert_int_equal(nm_pass_create_linked(w.model, &capacity, &small, 0, &pass, &error), NM_OK);
    nm_token_scene scenes[PARTS];
    for (uint32_t i = 0; i < PARTS; ++i) scenes[i] = scene_of_part(&w.story, i, i + 1 < PARTS);
    assert_int_equal(nm_pass_set_scenes(pass, scenes, PARTS, &error), NM_OK);
    const nm_pass_links links = nm_block_links_get(w.links);
    assert_int_equal(nm_pass_set_links(pass, &links, &error), NM_E_LIMIT);
    nm_pass_destroy(pass);
    close_whole(&w);
    nm_backend_destroy(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_come_and_go_in_the_stories),
        cmocka_unit_test(the_mask_is_as_defined),
        cmocka_unit_test(more_traces_than_there_may_be_are_refused),
        cmocka_unit_test(sizes_up_to_the_largest_have_room),
        cmocka_unit_test(gradients_pass_through_the_mask),
        cmocka_unit_test(and_through_the_causal_one_with_its_loss),
        cmocka_unit_test(clean_tokens_do_not_know_what_follows),
        cmocka_unit_test(kept_keys_are_those_of_a_whole_pass),
        cmocka_unit_test(links_of_the_ordinary_kind_change_no_bit),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
