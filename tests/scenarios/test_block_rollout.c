/// Long futures block by block: history as it was, the same alone and beside others, as long as asked for.
#include "nexus/network_support.h"
#include "nexus/tokens_support.h"
#include "scenarios/scene_generator.h"

enum { PARENTS = 3, CURRENT = 25 };

typedef struct stage {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    const nm_scene *scene[PARENTS];
} stage;

/// Random, but what it says is a small part of what the prior leaves: nobody is off the map at once.
static void make_timid(nm_model *model) {
    nm_error error;
    randomise_model(model, 3);
    const nm_tensor values = nm_model_values(model);
    float *host = calloc(values.cols, sizeof *host);
    assert_non_null(host);
    model->backend->ops->download(model->backend, values, host);
    for (size_t i = 0; i < model->parameter_count; i++) {
        const nm_parameter *p = &model->parameters[i];
        if (!strstr(p->name, "output_proj")) continue;
        for (size_t k = p->offset; k < p->offset + (size_t)p->rows * p->cols; k++) host[k] *= 0.02f;
    }
    model->backend->ops->upload(model->backend, host, values);
    free(host);
    assert_int_equal(nm_model_repack(model, &error), NM_OK);
}

static stage stage_open(uint32_t block) {
    static const char *const maps[PARENTS] = {"junction_signal:vehicles=12,pedestrians=3", "highway:vehicles=8",
                                              "junction_signal:vehicles=5"};
    stage s = {.recipe = {.tokens = nm_token_config_default(NM_TOKENS_AGENT), .prior = NM_PRIOR_LANE}};
    s.recipe.tokens.future = 6;
    s.recipe.tokens.map_polylines = 8;
    s.recipe.tokens.paths = 1;
    s.recipe.blocks = (nm_block_config){.size = block, .memory = 4};
    nm_model_config config = small_config(2);
    nm_token_fit_model(&s.recipe.tokens, &config);
    nm_backend_config backend = nm_backend_config_default();
    backend.compute = NM_F32;
    backend.threads = 2;
    nm_error error;
    assert_int_equal(nm_backend_create_cpu(&backend, &s.backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&config, s.backend, 1, &s.model, &error), NM_OK);
    make_timid(s.model);
    for (int i = 0; i < PARENTS; i++) s.scene[i] = tokens_rollout(maps[i], 7 + (uint64_t)i, 60);
    return s;
}

static void stage_close(stage *s) {
    for (int i = 0; i < PARENTS; i++) nm_scene_destroy(s->scene[i]);
    nm_model_destroy(s->model);
    nm_backend_destroy(s->backend);
}

static nm_scene_generator *open_generator(const stage *s, uint32_t batch, uint32_t steps) {
    nm_scene_generator_config config = nm_scene_generator_config_default();
    nm_scene_generator *g = NULL;
    nm_error error;
    nm_error_clear(&error);
    config.generator.scenes = batch;
    config.generator.seed = 5;
    config.agents = 20;
    config.steps = steps;
    if (nm_scene_generator_create(s->model, &s->recipe, &config, &g, &error) != NM_OK) fail_msg("%s", error.message);
    return g;
}

static nm_scene_request request_of(const stage *s, uint32_t n) {
    return (nm_scene_request){
        .scene = s->scene[n], .current_step = CURRENT, .seed = 5, .sample = n, .parameters = "{\"a\":1}"};
}

/// Futures of requests [first, first + count) in one batch.
static void make(const stage *s, nm_scene_generator *g, uint32_t first, uint32_t count, const nm_scene **out,
                 nm_future_cost *cost) {
    nm_error error;
    nm_generated_scene made[PARENTS];
    nm_error_clear(&error);
    for (uint32_t i = 0; i < count; i++) {
        const nm_scene_request request = request_of(s, first + i);
        if (nm_scene_generator_add(g, &request, &error) != NM_OK) fail_msg("%s", error.message);
    }
    if (nm_scene_generator_run(g, made, cost, &error) != NM_OK) fail_msg("%s", error.message);
    for (uint32_t i = 0; i < count; i++) {
        if (made[i].status != NM_OK) fail_msg("%s", made[i].error.message);
        assert_in_range(made[i].agents, 1, 20);
        out[i] = made[i].scene;
    }
}

static void check_history(const nm_scene *from, const nm_scene *made, uint32_t steps) {
    assert_int_equal(made->step_count, CURRENT + 1 + steps);
    assert_int_equal(made->current_step, CURRENT);
    assert_int_equal(made->track_count, from->track_count);
    assert_int_equal(made->ego, from->ego);
    assert_string_equal(made->provenance.source, "nexus");
    assert_string_equal(made->provenance.parameters, "{\"a\":1}");
    assert_true(made->provenance.parent == from->hash);
    uint32_t lived = 0;
    for (uint32_t i = 0; i < from->track_count; i++) {
        for (uint32_t k = 0; k < made->step_count; k++) {
            const size_t a = nm_scene_at(made, i, k), b = nm_scene_at(from, i, k < CURRENT ? k : CURRENT);
            if (k > CURRENT) {
                lived += made->valid[a];
                assert_true(!made->valid[a] || from->valid[b]);     // nobody comes from nowhere
                assert_true(!made->valid[a] || made->valid[a - 1]); // nor comes back
                continue;
            }
            assert_int_equal(made->valid[a], from->valid[b]);
            assert_true(made->x[a] == from->x[b] && made->y[a] == from->y[b] && made->heading[a] == from->heading[b]);
        }
    }
    assert_true(lived > steps); // more than one of them
}

static void rollouts_are_as_long_as_wanted(void **state) {
    (void)state;
    for (uint32_t block = 1; block <= 6; block += 2) {
        stage s = stage_open(block);
        const uint32_t lengths[] = {0, 7, 60};
        for (int i = 0; i < 3; i++) {
            nm_scene_generator *g = open_generator(&s, 1, lengths[i]);
            const nm_scene *made;
            nm_future_cost cost = {0};
            make(&s, g, 0, 1, &made, &cost);
            const uint32_t steps = lengths[i] ? lengths[i] : 30, blocks = (steps + 5 * block - 1) / (5 * block);
            check_history(s.scene[0], made, steps);
            // each block: two levels and a delay for each token but the first; all but the last once more
            assert_int_equal(cost.passes, blocks * (2 + block - 1) + blocks - 1);
            uint32_t left = 0;
            for (uint32_t t = 0; t < made->track_count; t++)
                left += made->valid[nm_scene_at(made, t, made->step_count - 1)];
            assert_true(left >= 5); // of 15
            nm_scene_destroy(made);
            nm_scene_generator_destroy(g);
        }
        stage_close(&s);
    }
}

static void rollouts_are_the_same_alone_and_beside_others(void **state) {
    (void)state;
    stage s = stage_open(2);
    const nm_scene *beside[PARENTS], *alone, *shorter;
    nm_scene_generator *three = open_generator(&s, 3, 60), *single = open_generator(&s, 1, 60);
    nm_scene_generator *brief = open_generator(&s, 1, 20);
    make(&s, three, 0, PARENTS, beside, NULL);
    for (uint32_t i = 0; i < PARENTS; i++) {
        make(&s, single, i, 1, &alone, NULL);
        check_history(s.scene[i], alone, 60);
        assert_true(alone->hash == beside[i]->hash);
        make(&s, brief, i, 1, &shorter, NULL); // a longer one begins like a shorter one
        for (uint32_t t = 0; t < shorter->track_count; t++) {
            for (uint32_t k = 0; k < shorter->step_count; k++) {
                const size_t a = nm_scene_at(shorter, t, k), b = nm_scene_at(alone, t, k);
                assert_true(shorter->valid[a] == alone->valid[b] && shorter->x[a] == alone->x[b]);
            }
        }
        nm_scene_destroy(shorter);
        nm_scene_destroy(alone);
        nm_scene_destroy(beside[i]);
    }
    nm_scene_generator_destroy(three);
    nm_scene_generator_destroy(single);
    nm_scene_generator_destroy(brief);
    stage_close(&s);
}

/// When everybody has left the map the rest of the scene is empty, and as long as asked for.
static void empty_roads_end_no_rollout(void **state) {
    (void)state;
    stage s = stage_open(1);
    nm_scene_generator *g = open_generator(&s, 1, 600);
    const nm_scene *made;
    make(&s, g, 1, 1, &made, NULL);
    assert_int_equal(made->step_count, CURRENT + 1 + 600);
    for (uint32_t t = 0; t < made->track_count; t++) assert_false(made->valid[nm_scene_at(made, t, CURRENT + 600)]);
    nm_scene_destroy(made);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

/// A moment before the end of a recording, with signals that were recorded, goes on past it.
static void rollouts_go_on_past_the_recording(void **state) {
    (void)state;
    nm_error error;
    stage s = stage_open(3);
    nm_scene_generator *g = open_generator(&s, 1, 90);
    nm_scene_request request = request_of(&s, 0);
    request.current_step = s.scene[0]->step_count - 1;
    nm_generated_scene made;
    if (nm_scene_generator_add(g, &request, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_scene_generator_run(g, &made, NULL, &error), NM_OK);
    if (made.status != NM_OK) fail_msg("%s", made.error.message);
    assert_int_equal(made.scene->step_count, s.scene[0]->step_count + 90);
    assert_true(made.scene->map->signal_count > 0);
    for (uint32_t i = 0; i < made.scene->map->signal_count; i++)
        for (uint32_t k = 0; k < made.scene->step_count; k++)
            assert_int_equal(nm_scene_signal(made.scene, i, k), nm_scene_signal(s.scene[0], i, k));
    nm_scene_destroy(made.scene);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

/// What is scored is what is kept.
static void futures_are_those_of_rollouts(void **state) {
    (void)state;
    nm_error error;
    nm_error_clear(&error);
    stage s = stage_open(2);
    const nm_scene *made;
    nm_scene_generator *g = open_generator(&s, 1, 0);
    make(&s, g, 0, 1, &made, NULL);
    nm_model_futures_config config = nm_model_futures_config_default();
    nm_model_futures *futures;
    config.generator.scenes = 2;
    config.generator.seed = 5;
    config.agents = 20;
    if (nm_model_futures_create(s.model, &s.recipe, &config, &futures, &error) != NM_OK) fail_msg("%s", error.message);
    uint32_t track[64], count = 0;
    for (uint32_t i = 0; i < s.scene[0]->track_count && count < 64; i++)
        if (s.scene[0]->valid[nm_scene_at(s.scene[0], i, CURRENT)]) track[count++] = i;
    nm_future_request request = {.scene = s.scene[0],
                                 .current_step = CURRENT,
                                 .task = NM_TASK_FREE,
                                 .samples = 3,
                                 .agents = count,
                                 .track = track,
                                 .seed = 5};
    nm_arena *arena = nm_arena_create(0);
    nm_futures out;
    nm_future_cost cost = {0};
    if (nm_model_futures_run(futures, &request, arena, &out, &cost, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(cost.batches, 2);
    assert_int_equal(out.steps, 30);
    uint32_t same = 0, other = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < out.steps; k++) {
            const size_t at = nm_scene_at(made, track[i], CURRENT + 1 + k), first = (size_t)i * out.steps + k;
            if (!made->valid[at]) continue;
            assert_true(out.x[first] == made->x[at] && out.y[first] == made->y[at] &&
                        out.heading[first] == made->heading[at]);
            same++;
            other += out.x[first + (size_t)count * out.steps] != made->x[at]; // the second sample
        }
    }
    assert_true(same > 100 && other > same / 2);
    request.task = NM_TASK_GOAL;
    assert_int_equal(nm_model_futures_run(futures, &request, arena, &out, NULL, &error), NM_E_ARGUMENT);
    request.task = NM_TASK_FREE;
    request.feedback = 1;
    assert_int_equal(nm_model_futures_run(futures, &request, arena, &out, NULL, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "feedback"));
    nm_arena_destroy(arena);
    nm_model_futures_destroy(futures);
    nm_scene_destroy(made);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

static int interrupted(void *context) {
    return ++*(int *)context > 4;
}

static void what_blocks_can_not_do_is_refused(void **state) {
    (void)state;
    nm_error error;
    stage s = stage_open(2);
    nm_scene_generator *g = open_generator(&s, 1, 0), *none;
    nm_scene_request request = request_of(&s, 0);
    request.task = NM_TASK_GOAL;
    assert_int_equal(nm_scene_generator_add(g, &request, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "goals"));
    assert_int_equal(nm_scene_generator_count(g), 0);
    nm_scene_generator_destroy(g);

    nm_generator *whole;
    const nm_generator_config of_whole = nm_generator_config_default();
    assert_int_equal(nm_generator_create(s.model, &s.recipe, &of_whole, &whole, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "blocks of 2"));

    int asked = 0;
    nm_scene_generator_config config = nm_scene_generator_config_default();
    config.generator.scenes = 1;
    config.stop = interrupted;
    config.stop_context = &asked;
    assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &config, &g, &error), NM_OK);
    nm_generated_scene made;
    request.task = NM_TASK_FREE;
    assert_int_equal(nm_scene_generator_add(g, &request, &error), NM_OK);
    assert_int_equal(nm_scene_generator_run(g, &made, NULL, &error), NM_E_CANCELLED);
    assert_null(made.scene);
    nm_scene_generator_destroy(g);

    s.recipe.blocks.size = 0; // another model: it writes what it writes
    config.stop = NULL;
    config.steps = 600;
    assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &config, &none, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "trained on blocks"));
    config.steps = 30;
    assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &config, &none, &error), NM_OK);
    nm_scene_generator_destroy(none);
    stage_close(&s);
}

static void blocks_have_no_candidates(void **state) {
    (void)state;
    nm_error error;
    stage s = stage_open(2);
    nm_energy *energy;
    assert_int_equal(nm_energy_create(4, 1, &energy, &error), NM_OK);
    nm_scene_generator_config config = nm_scene_generator_config_default();
    config.generator.scenes = 1;
    config.candidates.count = 3;
    config.energy = energy;
    nm_scene_generator *g;
    assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &config, &g, &error), NM_E_ARGUMENT);
    assert_null(g);
    assert_non_null(strstr(error.message, "no candidates"));

    nm_model_futures_config of_futures = nm_model_futures_config_default();
    of_futures.generator.scenes = 1;
    of_futures.candidates.count = 3;
    of_futures.energy = energy;
    nm_model_futures *futures;
    assert_int_equal(nm_model_futures_create(s.model, &s.recipe, &of_futures, &futures, &error), NM_E_ARGUMENT);
    assert_null(futures);
    assert_non_null(strstr(error.message, "no candidates"));
    nm_energy_destroy(energy);
    stage_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rollouts_are_as_long_as_wanted),
        cmocka_unit_test(rollouts_are_the_same_alone_and_beside_others),
        cmocka_unit_test(empty_roads_end_no_rollout),
        cmocka_unit_test(rollouts_go_on_past_the_recording),
        cmocka_unit_test(futures_are_those_of_rollouts),
        cmocka_unit_test(what_blocks_can_not_do_is_refused),
        cmocka_unit_test(blocks_have_no_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
