#include "nexus/generator_agreement.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct nm_generator {
    nm_recipe recipe;
    nm_generator_config config;
    nm_model *model;
    nm_pass *pass;
    nm_sampler *sampler;
    nm_pass_denoiser context;
    uint32_t slots;            ///< scenes of the sampler: config.scenes * K
    nm_candidates *candidates; ///< NULL: one of each
    uint8_t *none;             ///< [A T] 0: valid tokens of a candidate that was not chosen
    uint32_t *from;            ///< [N] tokens that are left of the candidates
    nm_token_scene *shapes;    ///< [slots]
    const nm_path **paths;     ///< [slots]
    uint64_t *keys;            ///< [slots]
    // packed tokens of the batch
    float *values, *condition, *pose, *clean_float; ///< [N][C], [N][K], [N][4], [N]
    uint8_t *clean;                                 ///< [N]
    uint8_t *told;                                  ///< [N] feedback is to come
    float *sampled;                                 ///< [N][C] values that feedback has replaced
    uint32_t *scene, *agent, *time, *id;            ///< [N]
    int32_t *delay;                                 ///< [N]
    uint32_t *next;                                 ///< [slots] time that `happened` is to be asked about
    float *asked;                                   ///< [A][C] sampled, [A][C] actual
    uint8_t *answered;                              ///< [A]
    float *row;                                     ///< [A T] of one scene: known as float
    size_t row_size;
    nm_generator_agreement *agreement; ///< NULL: none
    nm_generated_count *counts;        ///< [slots]
    nm_generation *exact;              ///< [scenes] as asked for, with values of its own; NULL: nothing is compared
    float *exact_values;               ///< [scenes][A T C]
    nm_reuse_stats compared;           ///< positions alone
};

nm_generator_config nm_generator_config_default(void) {
    nm_schedule schedule = nm_schedule_default();
    schedule.kind = NM_SCHEDULE_FULL;
    return (nm_generator_config){.scenes = 8,
                                 .levels = 8,
                                 .solver = NM_SOLVER_DDIM,
                                 .schedule = schedule,
                                 .reuse = nm_reuse_config_default(),
                                 .candidates = nm_candidates_config_default()};
}

static nm_status allocate(nm_generator *g, size_t tokens, nm_error *error) {
    const nm_model_config *m = nm_model_get_config(g->model);
    g->row_size = (size_t)g->recipe.tokens.agents * nm_token_count(&g->recipe.tokens);
    g->shapes = calloc(g->slots, sizeof *g->shapes);
    g->paths = calloc(g->slots, sizeof *g->paths);
    g->keys = calloc(g->slots, sizeof *g->keys);
    g->values = calloc(tokens * m->channels, sizeof(float));
    g->condition = calloc(tokens * m->conditions + 1, sizeof(float));
    g->pose = calloc(tokens * 4, sizeof(float));
    g->context.scratch = calloc(tokens * (m->channels * 3 + 1), sizeof(float));
    g->clean_float = calloc(tokens, sizeof(float));
    g->row = calloc(g->row_size, sizeof(float));
    g->next = calloc(g->slots, sizeof *g->next);
    g->counts = calloc(g->slots, sizeof *g->counts);
    g->asked = calloc((size_t)g->recipe.tokens.agents * 2 * m->channels, sizeof(float));
    g->answered = calloc(g->recipe.tokens.agents, 1);
    g->clean = calloc(tokens, 1);
    g->told = calloc(tokens, 1);
    g->sampled = calloc(tokens * m->channels, sizeof(float));
    g->scene = calloc(tokens * 4, sizeof(uint32_t));
    g->delay = calloc(tokens, sizeof(int32_t));
    g->none = calloc(g->row_size, 1);
    g->from = calloc(tokens, sizeof *g->from);
    if (!g->shapes || !g->paths || !g->keys || !g->values || !g->condition || !g->pose || !g->context.scratch ||
        !g->clean_float || !g->row || !g->clean || !g->told || !g->sampled || !g->scene || !g->delay || !g->next ||
        !g->asked || !g->answered || !g->counts || !g->none || !g->from)
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for generating %u scenes at once", g->config.scenes);
    g->agent = g->scene + tokens;
    g->time = g->agent + tokens;
    g->id = g->time + tokens;
    return NM_OK;
}

static nm_status allocate_exact(nm_generator *g, size_t tokens, nm_error *error) {
    if (!g->config.reuse.on || !g->config.reuse.compare) return NM_OK;
    g->exact = calloc(g->config.scenes, sizeof *g->exact);
    g->exact_values = calloc(tokens * nm_model_get_config(g->model)->channels, sizeof(float));
    if (g->exact && g->exact_values) return NM_OK;
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for comparing %u scenes at once", g->config.scenes);
}

static nm_status create_parts(nm_generator *g, nm_error *error) {
    const nm_model_config *m = nm_model_get_config(g->model);
    const nm_token_config *t = &g->recipe.tokens;
    const uint64_t tokens = (uint64_t)g->slots * t->agents * nm_token_count(t);
    const uint64_t rows = (uint64_t)g->slots * nm_token_map_rows(t, t->agents);
    if (tokens >= NM_BATCH_MAX_ROWS || rows >= NM_BATCH_MAX_ROWS)
        return NM_ERROR(error, NM_E_LIMIT, "%u scenes of %u agents at once are too many", g->slots, t->agents);
    nm_status status = allocate(g, (size_t)tokens, error);
    if (status == NM_OK) status = allocate_exact(g, (size_t)tokens, error);
    if (status == NM_OK && g->config.candidates.count > 1)
        status = nm_candidates_create(&g->config.candidates, g->config.scenes, g->config.seed, &g->candidates, error);
    const nm_batch_capacity capacity = {g->slots, (uint32_t)tokens, (uint32_t)rows};
    if (status == NM_OK) status = nm_pass_create(g->model, &capacity, 0, &g->pass, error);
    nm_sampler_config s = nm_sampler_config_default();
    s.max_tokens = (uint32_t)tokens;
    s.max_scenes = g->slots;
    s.channels = m->channels;
    s.levels = g->config.levels;
    s.snr = g->recipe.snr;
    s.solver = g->config.solver;
    s.clip = g->config.clip;
    s.seed = g->config.seed;
    s.observer = g->config.observer;
    s.observer_context = g->config.observer_context;
    if (status == NM_OK)
        status = nm_generator_agreement_create(&g->config, &g->recipe, (size_t)tokens, g->context.scratch, g->counts,
                                               &g->agreement, error);
    s.settle = g->agreement ? nm_generator_agreement_settle : NULL;
    s.settle_context = g->agreement;
    if (status == NM_OK) status = nm_sampler_create(&s, &g->sampler, error);
    if (status == NM_OK && g->config.reuse.on)
        status = nm_reuse_create(g->pass, &g->config.reuse, &g->context.reuse, error);
    g->context.pass = g->pass;
    g->context.condition = m->conditions ? g->condition : NULL;
    g->context.pose = nm_model_wants_poses(m) ? g->pose : NULL;
    g->context.prior = g->recipe.prior;
    g->context.paths = (const nm_path *const *)g->paths;
    g->context.tokens = &g->recipe.tokens;
    g->context.snr = g->recipe.snr;
    return status;
}

/// What is out of range, or can not be together.
static nm_status check_config(const nm_generator_config *config, const nm_recipe *recipe, nm_error *error) {
    if (config->scenes < 1 || config->scenes > 4096)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u scenes at once, not 1..4096", config->scenes);
    if (recipe->blocks.size)
        return NM_ERROR(error, NM_E_ARGUMENT, "the model was trained on blocks of %u tokens: it knows no other order",
                        recipe->blocks.size);
    if (config->candidates.count > 1 && nm_agreement_is_on(&config->agreement))
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "candidates are compared after the same passes: agreement, which leaves out some, must be off");
    if (config->candidates.count > 1 && config->reuse.on &&
        (config->reuse.map >= 0.0f || config->reuse.skip_end > config->reuse.skip_first))
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "candidates take the places of others: reuse must keep no map shares and skip no blocks of "
                        "those that were there before");
    if (config->candidates.count > 1 && config->reuse.on && config->reuse.compare)
        return NM_ERROR(error, NM_E_ARGUMENT, "exact passes may choose other candidates: reuse must not compare them");
    if (config->observer && config->reuse.on && config->reuse.compare)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "an observer would see everything twice: futures that are compared with exact ones have none");
    return nm_candidates_config_check(&config->candidates, error);
}

nm_status nm_generator_create(nm_model *model, const nm_recipe *recipe, const nm_generator_config *config,
                              nm_generator **generator, nm_error *error) {
    *generator = NULL;
    nm_status status = check_config(config, recipe, error);
    if (status == NM_OK) status = nm_token_config_check(&recipe->tokens, error);
    if (status == NM_OK) status = nm_recipe_check(recipe, model, error);
    if (status != NM_OK) return status;
    nm_generator *g = calloc(1, sizeof *g);
    if (!g) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a generator");
    g->model = model;
    g->recipe = *recipe;
    g->config = *config;
    g->slots = config->scenes * config->candidates.count;
    status = create_parts(g, error);
    if (status == NM_OK)
        *generator = g;
    else
        nm_generator_destroy(g);
    return status;
}

void nm_generator_destroy(nm_generator *g) {
    if (!g) return;
    nm_sampler_destroy(g->sampler);
    nm_reuse_destroy(g->context.reuse);
    nm_pass_destroy(g->pass);
    nm_generator_agreement_destroy(g->agreement);
    nm_candidates_destroy(g->candidates);
    void *parts[] = {g->none,         g->from,   g->next,      g->asked, g->answered,        g->shapes,      g->paths,
                     g->keys,         g->values, g->condition, g->pose,  g->context.scratch, g->clean_float, g->row,
                     g->clean,        g->scene,  g->delay,     g->told,  g->counts,          g->sampled,     g->exact,
                     g->exact_values, g};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) free(parts[i]);
}

static nm_status check(const nm_generator *g, const nm_generation *scenes, uint32_t count, nm_error *error) {
    if (count > g->config.scenes)
        return NM_ERROR(error, NM_E_LIMIT, "%u scenes at once for a generator of %u", count, g->config.scenes);
    const nm_token_config *ours = &g->recipe.tokens;
    for (uint32_t i = 0; i < count; ++i) {
        if (!nm_token_config_same(&scenes[i].tokens->config, ours) || scenes[i].tokens->shape.agents > ours->agents)
            return NM_ERROR(error, NM_E_ARGUMENT, "scene %u has tokens of another configuration than the model's", i);
        if (g->candidates && (scenes[i].feedback || scenes[i].happened))
            return NM_ERROR(error, NM_E_ARGUMENT, "scene %u is lived through: there can be no candidates", i);
        if (g->exact && scenes[i].happened)
            return NM_ERROR(error, NM_E_ARGUMENT, "scene %u is lived through, once: there is nothing to compare", i);
    }
    return g->agreement ? nm_generator_agreement_check(scenes, count, error) : NM_OK;
}

/// Packs one scene of the batch.
static void gather(nm_generator *g, const nm_generation *from, uint32_t index) {
    const nm_batch *batch = nm_pass_batch(g->pass);
    const nm_model_config *m = nm_model_get_config(g->model);
    const nm_tokens *t = from->tokens;
    const uint32_t steps = t->shape.steps;
    for (size_t k = 0; k < (size_t)t->shape.agents * steps; ++k) g->row[k] = (float)t->known[k];
    nm_batch_gather(batch, index, steps, 1, g->row, g->clean_float);
    nm_batch_gather(batch, index, steps, m->channels, t->values, g->values);
    if (m->conditions) nm_batch_gather(batch, index, steps, m->conditions, t->condition, g->condition);
    if (nm_model_wants_poses(m)) nm_batch_gather(batch, index, steps, 4, t->pose, g->pose);
    for (uint32_t n = batch->scene_tokens[index]; n < batch->scene_tokens[index + 1]; ++n) {
        g->scene[n] = index;
        g->agent[n] = batch->refs[n].agent;
        g->time[n] = batch->refs[n].time;
        g->id[n] = t->agent_id[g->agent[n]];
        g->clean[n] = g->clean_float[n] > 0.0f;
        const size_t at = (size_t)g->agent[n] * steps + g->time[n];
        g->told[n] = from->feedback && from->feedback[at] && t->logged[at] && !g->clean[n];
    }
    g->counts[index] = (nm_generated_count){0};
    for (uint32_t n = batch->scene_tokens[index]; n < batch->scene_tokens[index + 1]; ++n)
        g->counts[index].tokens += !g->clean[n];
    if (g->agreement) nm_generator_agreement_gather(g->agreement, batch, from, index);
    g->keys[index] = from->key;
    g->paths[index] = t->path;
}

static void scatter(const nm_generator *g, const nm_generation *to, uint32_t index, const float *packed) {
    const nm_batch *batch = nm_pass_batch(g->pass);
    const uint32_t channels = nm_model_get_config(g->model)->channels, steps = to->tokens->shape.steps;
    memset(to->values, 0, (size_t)to->tokens->shape.agents * steps * channels * sizeof *to->values);
    nm_batch_scatter(batch, index, steps, channels, packed, to->values);
}

/// Starts the tokens that are drafts as these.
static nm_status draft(nm_generator *g, const nm_generation *from, uint32_t index, nm_error *error) {
    const nm_batch *batch = nm_pass_batch(g->pass);
    const uint32_t channels = nm_model_get_config(g->model)->channels, steps = from->tokens->shape.steps;
    nm_status status = NM_OK;
    if (!from->draft) return NM_OK;
    for (uint32_t n = batch->scene_tokens[index]; status == NM_OK && n < batch->scene_tokens[index + 1]; ++n) {
        const uint32_t most = from->draft[g->agent[n]];
        if (most > 0 && !g->clean[n] && from->tokens->logged[(size_t)g->agent[n] * steps + g->time[n]])
            status = nm_sampler_draft(g->sampler, n, g->values + (size_t)n * channels, most, error);
    }
    return status;
}

/// Keeps what was sampled of token n and gives the sampler what happened in its place.
static nm_status tell(nm_generator *g, uint32_t n, const float *actual, nm_error *error) {
    const uint32_t channels = nm_model_get_config(g->model)->channels;
    const float *sampled = nm_sampler_get(g->sampler).in.noised + (size_t)n * channels;
    memcpy(g->sampled + (size_t)n * channels, sampled, channels * sizeof(float));
    g->clean[n] = 2;
    return nm_sampler_set_token(g->sampler, n, actual, error);
}

static int finished(const nm_generator *g, uint32_t scene, uint32_t time) {
    const nm_batch *batch = nm_pass_batch(g->pass);
    const nm_sampler_state state = nm_sampler_get(g->sampler);
    for (uint32_t n = batch->scene_tokens[scene]; n < batch->scene_tokens[scene + 1]; ++n)
        if (g->time[n] <= time && state.step[n] > 0) return 0;
    return 1;
}

/// Asks what happened at the times of a scene that are finished now.
static nm_status ask(nm_generator *g, const nm_generation *from, uint32_t scene, nm_error *error) {
    const nm_batch *batch = nm_pass_batch(g->pass);
    const uint32_t channels = nm_model_get_config(g->model)->channels, agents = from->tokens->shape.agents;
    float *sampled = g->asked, *actual = g->asked + (size_t)agents * channels;
    nm_status status = NM_OK;
    for (; status == NM_OK && g->next[scene] < from->tokens->shape.steps; ++g->next[scene]) {
        const uint32_t time = g->next[scene];
        if (!finished(g, scene, time)) break;
        const float *last = nm_sampler_get(g->sampler).in.noised;
        memset(sampled, 0, (size_t)agents * channels * sizeof *sampled);
        memset(g->answered, 0, agents);
        for (uint32_t n = batch->scene_tokens[scene]; n < batch->scene_tokens[scene + 1]; ++n)
            if (g->time[n] == time)
                memcpy(sampled + (size_t)g->agent[n] * channels, last + (size_t)n * channels,
                       channels * sizeof *sampled);
        status = from->happened(from->happened_context, time, sampled, g->answered, actual, error);
        for (uint32_t n = batch->scene_tokens[scene]; status == NM_OK && n < batch->scene_tokens[scene + 1]; ++n)
            if (g->time[n] == time && g->answered[g->agent[n]] && !g->clean[n])
                status = tell(g, n, actual + (size_t)g->agent[n] * channels, error);
    }
    return status;
}

/// What was sampled of the tokens of a slot that are clean now, where nothing was told in their place.
static void keep_sampled(nm_generator *g, uint32_t slot) {
    const nm_batch *batch = nm_pass_batch(g->pass);
    const size_t channels = nm_model_get_config(g->model)->channels;
    const float *last = nm_sampler_get(g->sampler).in.noised; // what is noised of a clean token is the value
    for (uint32_t n = batch->scene_tokens[slot]; n < batch->scene_tokens[slot + 1]; ++n)
        if (g->clean[n] != 2) memcpy(g->sampled + n * channels, last + n * channels, channels * sizeof(float));
}

/// Packs slots [0, count * K), candidates of scenes in succession.
static void gather_all(nm_generator *g, const nm_generation *scenes, uint32_t count) {
    const uint32_t each = g->config.candidates.count;
    for (uint32_t i = 0; i < count * each; ++i) {
        gather(g, &scenes[i / each], i);
        g->keys[i] = nm_candidate_key(scenes[i / each].key, i % each);
    }
}

/// Where a scene is: with several candidates, the chosen one.
static uint32_t slot_of(const nm_generator *g, uint32_t scene) {
    if (!g->candidates) return scene;
    return scene * g->config.candidates.count + nm_candidates_report(g->candidates, scene)->chosen;
}

static nm_token_layout layout_of(const nm_generator *g, uint32_t tokens, uint32_t slots) {
    return (nm_token_layout){.count = tokens,
                             .scene_count = slots,
                             .scene = g->scene,
                             .agent = g->agent,
                             .time = g->time,
                             .agent_id = g->id,
                             .scene_key = g->keys};
}

/// Packs anew without the tokens of scenes that are done; their maps stay where they are.
static nm_status repack(nm_generator *g, const nm_generation *scenes, uint32_t count, nm_error *error) {
    const nm_model_config *m = nm_model_get_config(g->model);
    const uint32_t stay = nm_generator_agreement_stay(g->agreement, g->scene, nm_pass_batch(g->pass)->tokens);
    const struct {
        void *rows;
        size_t bytes;
    } parts[] = {{NULL, 0},
                 {g->values, m->channels * sizeof(float)},
                 {g->sampled, m->channels * sizeof(float)},
                 {g->condition, m->conditions * sizeof(float)},
                 {g->pose, 4 * sizeof(float)},
                 {g->clean, 1},
                 {g->told, 1},
                 {g->scene, sizeof(uint32_t)},
                 {g->agent, sizeof(uint32_t)},
                 {g->time, sizeof(uint32_t)},
                 {g->id, sizeof(uint32_t)}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i)
        nm_generator_agreement_compact(g->agreement, stay, parts[i].rows, parts[i].bytes);
    for (uint32_t i = 0; i < count; ++i) {
        g->shapes[i] = scenes[i].tokens->shape;
        if (g->agreement->done[i]) g->shapes[i].valid = g->agreement->nobody;
    }
    const nm_status status = nm_pass_set_tokens(g->pass, g->shapes, count, error);
    if (status != NM_OK) return status;
    const nm_token_layout layout = layout_of(g, stay, count);
    return nm_sampler_rearrange(g->sampler, &layout, g->agreement->from, NULL, NULL, error);
}

/// Lets scenes go in which nothing is left to denoise.
static nm_status let_go(nm_generator *g, const nm_generation *scenes, uint32_t count, nm_error *error) {
    uint32_t now = 0;
    if (!g->agreement || nm_sampler_remaining(g->sampler) == 0) return NM_OK;
    for (uint32_t i = 0; i < count; ++i) {
        if (g->agreement->done[i] || !finished(g, i, UINT32_MAX)) continue;
        if (!g->counts[i].passes && g->counts[i].tokens) g->counts[i].passes = nm_generator_passes(g);
        if (g->config.observer || g->context.reuse) continue; // what is kept of passes is worth more than the rows
        g->agreement->done[i] = 1;
        keep_sampled(g, i);
        scatter(g, &scenes[i], i, g->sampled);
        ++now;
    }
    return now ? repack(g, scenes, count, error) : NM_OK;
}

/// Leaves the chosen candidates alone: the others have no tokens any more. Maps stay encoded.
static nm_status drop_candidates(nm_generator *g, const nm_generation *scenes, uint32_t count, nm_error *error) {
    const uint32_t each = g->config.candidates.count;
    uint32_t left = 0;
    for (uint32_t i = 0; i < count * each; ++i) {
        const int chosen = nm_candidates_report(g->candidates, i / each)->chosen == i % each;
        if (!chosen) g->shapes[i].valid = g->none;
        const uint32_t *tokens = nm_pass_batch(g->pass)->scene_tokens;
        for (uint32_t n = tokens[i]; chosen && n < tokens[i + 1]; ++n) g->from[left++] = n;
    }
    nm_status status = nm_pass_set_tokens(g->pass, g->shapes, count * each, error);
    if (status != NM_OK) return status;
    gather_all(g, scenes, count);
    const nm_token_layout layout = layout_of(g, nm_pass_batch(g->pass)->tokens, count * each);
    return nm_sampler_rearrange(g->sampler, &layout, g->from, NULL, NULL, error);
}

/// Passes until all tokens are clean; tokens that are finished are told what happened.
static nm_status run_with_feedback(nm_generator *g, const nm_generation *scenes, uint32_t count,
                                   const nm_denoiser *denoiser, nm_guide *guide, void *guide_context, nm_error *error) {
    const uint32_t channels = nm_model_get_config(g->model)->channels;
    int choosing = g->candidates != NULL;
    nm_status status = NM_OK;
    for (uint32_t i = 0; i < count; ++i) g->next[i] = g->recipe.tokens.past + 1;
    while (status == NM_OK && nm_sampler_remaining(g->sampler) > 0) {
        status = nm_sampler_step(g->sampler, denoiser, guide, guide_context, error);
        int chosen = 0;
        if (status == NM_OK && choosing) status = nm_candidates_after_pass(g->candidates, g->sampler, &chosen, error);
        if (status == NM_OK && chosen) status = drop_candidates(g, scenes, count, error);
        choosing = choosing && !chosen;
        for (uint32_t n = 0; status == NM_OK && n < nm_pass_batch(g->pass)->tokens; ++n) {
            const nm_sampler_state state = nm_sampler_get(g->sampler);
            if (!g->told[n] || state.step[n] > 0) continue;
            g->told[n] = 0;
            status = tell(g, n, g->values + (size_t)n * channels, error);
        }
        for (uint32_t i = 0; status == NM_OK && i < count; ++i)
            if (scenes[i].happened) status = ask(g, &scenes[i], i, error);
        if (status == NM_OK) status = let_go(g, scenes, count, error);
    }
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) {
        if (g->agreement && g->agreement->done[i]) continue;
        const uint32_t slot = slot_of(g, i);
        if (!g->counts[slot].passes && g->counts[slot].tokens) g->counts[slot].passes = nm_generator_passes(g);
        keep_sampled(g, slot);
        scatter(g, &scenes[i], slot, g->sampled);
    }
    return status;
}

static void begin_candidates(nm_generator *g, const nm_generation *scenes, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) g->keys[i] = scenes[i].key; // the sampler has its own copy of all slots'
    nm_candidates_begin(g->candidates, g->keys, count, (uint64_t)nm_sampler_remaining(g->sampler));
}

static nm_status run(nm_generator *g, const nm_generation *scenes, uint32_t count, nm_guide *guide, void *guide_context,
                     nm_error *error) {
    const uint32_t each = g->config.candidates.count, slots = count * each;
    for (uint32_t i = 0; i < slots; ++i) g->shapes[i] = scenes[i / each].tokens->shape;
    nm_status status = nm_pass_set_scenes(g->pass, g->shapes, slots, error);
    if (status != NM_OK) return status;
    gather_all(g, scenes, count);
    const uint32_t tokens = nm_pass_batch(g->pass)->tokens, first = g->recipe.tokens.past + 1;
    nm_schedule_delays(&g->config.schedule, g->config.levels, tokens, g->time, first, nm_token_count(&g->recipe.tokens),
                       NULL, g->delay);
    const nm_token_layout layout = layout_of(g, tokens, slots);
    status = nm_sampler_begin(g->sampler, &layout, g->clean, g->values, g->delay, error);
    for (uint32_t i = 0; status == NM_OK && i < slots; ++i) status = draft(g, &scenes[i / each], i, error);
    if (status == NM_OK && g->candidates) begin_candidates(g, scenes, count);
    const nm_denoiser denoiser = nm_denoiser_of_pass(&g->context);
    return status == NM_OK ? run_with_feedback(g, scenes, count, &denoiser, guide, guide_context, error) : status;
}

/// The same with exact passes, into g->exact.
static nm_status run_exact(nm_generator *g, const nm_generation *scenes, uint32_t count, nm_guide *guide,
                           void *guide_context, nm_error *error) {
    const size_t most = g->row_size * nm_model_get_config(g->model)->channels;
    nm_reuse *reuse = g->context.reuse;
    for (uint32_t i = 0; i < count; ++i) {
        g->exact[i] = scenes[i];
        g->exact[i].values = g->exact_values + i * most;
    }
    g->context.reuse = NULL;
    const nm_status status = run(g, g->exact, count, guide, guide_context, error);
    g->context.reuse = reuse;
    return status;
}

/// How far apart two samplings of a scene put its agents, into the statistics.
static void compare(const nm_generation *sampled, const nm_generation *exact, nm_reuse_stats *stats) {
    const nm_tokens *t = sampled->tokens;
    const nm_state_encoding e = nm_token_state_encoding(&t->config);
    const uint32_t channels = nm_token_channels(&t->config);
    for (size_t n = 0; n < (size_t)t->shape.agents * t->shape.steps; ++n) {
        if (!t->shape.valid[n] || t->known[n]) continue;
        for (uint32_t i = 0; i < e.states; ++i) {
            const float *a = sampled->values + n * channels + (size_t)i * e.stride;
            const float *b = exact->values + n * channels + (size_t)i * e.stride;
            const uint32_t x = (uint32_t)e.channel[NM_FIELD_X], y = (uint32_t)e.channel[NM_FIELD_Y];
            const double away = hypot((double)(a[x] - b[x]) * (double)e.scale[NM_FIELD_X],
                                      (double)(a[y] - b[y]) * (double)e.scale[NM_FIELD_Y]);
            stats->positions++;
            stats->position_error_sum += away;
            if (!(away <= stats->position_error_max)) stats->position_error_max = away;
        }
    }
}

nm_status nm_generator_run(nm_generator *g, const nm_generation *scenes, uint32_t count, nm_guide *guide,
                           void *guide_context, nm_error *error) {
    nm_status status = check(g, scenes, count, error);
    if (status != NM_OK || count == 0) return status;
    if (g->context.reuse) nm_reuse_reset_stats(g->context.reuse);
    g->compared = (nm_reuse_stats){0};
    if (g->exact)
        status = run_exact(g, scenes, count, guide, guide_context, error); // first: what is told is of the other
    if (status == NM_OK) status = run(g, scenes, count, guide, guide_context, error);
    for (uint32_t i = 0; g->exact && status == NM_OK && i < count; ++i) compare(&scenes[i], &g->exact[i], &g->compared);
    return status;
}

const nm_candidate_report *nm_generator_candidates(const nm_generator *g, uint32_t scene) {
    return g->candidates ? nm_candidates_report(g->candidates, scene) : NULL;
}

uint64_t nm_generator_passes(const nm_generator *g) {
    return nm_sampler_get(g->sampler).passes;
}

nm_reuse_stats nm_generator_reuse_stats(const nm_generator *g) {
    nm_reuse_stats stats = g->compared;
    if (!g->context.reuse) return stats;
    const nm_reuse_stats passes = nm_reuse_get_stats(g->context.reuse);
    nm_reuse_stats_add(&stats, &passes);
    return stats;
}

const nm_batch *nm_generator_batch(const nm_generator *g) {
    return nm_pass_batch(g->pass);
}

nm_generated_count nm_generator_count(const nm_generator *g, uint32_t scene) {
    NM_ASSERT(scene < g->config.scenes);
    return g->counts[slot_of(g, scene)];
}
