/// Other tokens of the same scenes: what a pass computes is what it would compute had the scenes been set anew, and no
/// map is encoded for it.
#include "backends_support.h"
#include "network_support.h"

enum { SCENES = 3, TOKENS = SCENES * SCENE_AGENTS * SCENE_STEPS, POINTS = SCENES * SCENE_POINTS };

typedef struct world {
    random_scene memory[SCENES];
    nm_token_scene scenes[SCENES];
} world;

/// Scenes of one set of maps, whatever `crowd` says of who is there. Polylines of those who are not have no owner.
static void make_world(world *w, uint64_t crowd, const nm_model_config *config) {
    for (uint32_t s = 0; s < SCENES; s++) {
        w->scenes[s] = make_scene(&w->memory[s], 60 + s, SCENE_AGENTS, s == 2 ? 0 : SCENE_POINTS, config);
        const uint32_t agents = crowd ? SCENE_AGENTS - (uint32_t)(crowd + s) % 3 : SCENE_AGENTS;
        w->scenes[s].agents = agents;
        for (uint32_t i = 0; i < agents * SCENE_STEPS && crowd; i++)
            w->memory[s].valid[i] = random_value(crowd, 2, i + 100 * s) > -0.3f;
        for (uint32_t p = 0; p < SCENE_POINTS; p++) {
            const uint32_t owner = (p + (uint32_t)crowd) % SCENE_AGENTS;
            w->memory[s].map_agent[p] = owner < agents ? owner : NM_NO_AGENT;
        }
    }
}

static void same_lists(const nm_row_lists *a, const nm_row_lists *b) {
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->longest, b->longest);
    assert_memory_equal(a->offsets, b->offsets, (a->count + 1) * sizeof *a->offsets);
    assert_memory_equal(a->rows, b->rows, a->offsets[a->count] * sizeof *a->rows);
}

static void same_batch(const nm_batch *a, const nm_batch *b) {
    assert_true(a->scenes == b->scenes && a->tokens == b->tokens && a->points == b->points);
    assert_memory_equal(a->refs, b->refs, a->tokens * sizeof *a->refs);
    assert_memory_equal(a->scene_tokens, b->scene_tokens, (a->scenes + 1) * sizeof *a->scene_tokens);
    assert_memory_equal(a->time, b->time, a->tokens * sizeof *a->time);
    assert_memory_equal(a->position, b->position, a->tokens * sizeof *a->position);
    assert_memory_equal(a->map, b->map, (size_t)a->points * a->map_channels * sizeof *a->map);
    same_lists(&a->by_agent, &b->by_agent);
    same_lists(&a->by_time, &b->by_time);
    same_lists(&a->by_scene, &b->by_scene);
    same_lists(&a->map_by_scene, &b->map_by_scene);
    same_lists(&a->map_by_agent, &b->map_by_agent);
}

static void tokens_are_packed_as_with_their_maps(void **state) {
    (void)state;
    static world first, now;
    const nm_batch_capacity capacity = {SCENES, TOKENS, POINTS};
    for (int variant = 0; variant < 3; variant += 2) {
        const nm_model_config config = small_config(variant);
        for (int padding = 0; padding < 2; padding++) {
            nm_batch kept, anew;
            nm_error error;
            assert_int_equal(nm_batch_create(&capacity, config.map_channels, &kept, &error), NM_OK);
            assert_int_equal(nm_batch_create(&capacity, config.map_channels, &anew, &error), NM_OK);
            make_world(&first, 0, &config);
            assert_int_equal(nm_batch_set(&kept, first.scenes, SCENES, padding, &error), NM_OK);
            assert_true(kept.points > 0);
            for (uint64_t crowd = 1; crowd < 6; crowd++) {
                make_world(&now, crowd, &config);
                assert_int_equal(nm_batch_set(&anew, now.scenes, SCENES, padding, &error), NM_OK);
                if (variant == 0) memset(now.memory[0].map, -1, sizeof now.memory[0].map); // is not read
                if (nm_batch_set_tokens(&kept, now.scenes, SCENES, padding, &error)) fail_msg("%s", error.message);
                assert_true(kept.tokens > 20);
                same_batch(&kept, &anew);
            }
            nm_batch_destroy(&kept);
            nm_batch_destroy(&anew);
        }
    }
}

/// Of other scenes, other maps, strangers or too many: the maps stay, and good tokens are taken afterwards.
static void tokens_that_do_not_fit_are_refused(void **state) {
    (void)state;
    static world w;
    const nm_model_config config = small_config(2);
    const nm_batch_capacity capacity = {SCENES, 40, POINTS};
    nm_batch batch;
    nm_error error;
    make_world(&w, 2, &config);
    assert_int_equal(nm_batch_create(&capacity, config.map_channels, &batch, &error), NM_OK);
    assert_int_equal(nm_batch_set(&batch, w.scenes, 2, 0, &error), NM_OK);
    const uint32_t points = batch.points, tokens = batch.tokens;
    for (int i = 0; i < 4; i++) {
        make_world(&w, 2, &config);
        if (i == 1) w.scenes[1].points--, w.memory[1].map_valid[SCENE_POINTS - 1] = 1;
        if (i == 2) w.memory[0].map_agent[1] = w.scenes[0].agents, w.memory[0].map_valid[1] = 1;
        if (i == 3) memset(w.memory[0].valid, 1, sizeof w.memory[0].valid), memset(w.memory[1].valid, 1, 30);
        if (i == 3) w.scenes[0].agents = w.scenes[1].agents = SCENE_AGENTS;
        static const char *const says[] = {"3 scenes for the maps of 2", "scene 1 has", "scene 0, map row 1: agent",
                                           "more than the 40 tokens"};
        const nm_status status = nm_batch_set_tokens(&batch, w.scenes, i == 0 ? 3 : 2, 0, &error);
        assert_int_equal(status, i == 3 ? NM_E_LIMIT : NM_E_ARGUMENT);
        if (!strstr(error.message, says[i])) fail_msg("case %d: %s", i, error.message);
        assert_true(batch.tokens == 0 && batch.points == points && batch.scenes == 2 && batch.by_scene.count == 2);
        assert_true(batch.by_agent.count == 0 && batch.by_time.count == 0 && batch.map_by_agent.count == 0);
        make_world(&w, 2, &config);
        assert_int_equal(nm_batch_set_tokens(&batch, w.scenes, 2, 0, &error), NM_OK);
        assert_int_equal(batch.tokens, tokens);
    }
    nm_batch_destroy(&batch);
}

// ---------------------------------------------------------------------------------------------------------------------

/// Counts what encodes maps.
static struct {
    int encodings;
    void (*repeat)(nm_backend *, nm_tensor, uint32_t, nm_tensor);
} counted;

static void count_repeat(nm_backend *backend, nm_tensor from, uint32_t times, nm_tensor to) {
    counted.encodings++; // the latents of every scene: the first step of the encoder
    counted.repeat(backend, from, times, to);
}

static void predict(nm_pass *pass, const nm_model_config *config, float *v) {
    random_tokens t = make_tokens(nm_pass_batch(pass), config, 4);
    nm_error error;
    if (nm_pass_predict(pass, &t.input, v, &error)) fail_msg("%s", error.message);
    free_tokens(&t);
}

static void check_predictions(nm_backend *backend, int variant) {
    static world w;
    nm_model_config config = small_config(variant);
    const nm_batch_capacity capacity = {SCENES, TOKENS, POINTS};
    nm_model *model;
    nm_pass *kept, *anew;
    nm_error error;
    assert_int_equal(nm_model_create(&config, backend, 1, &model, &error), NM_OK);
    randomise_model(model, 5);
    assert_int_equal(nm_pass_create(model, &capacity, 0, &kept, &error), NM_OK);
    assert_int_equal(nm_pass_create(model, &capacity, 0, &anew, &error), NM_OK);
    make_world(&w, 0, &config);
    assert_int_equal(nm_pass_set_scenes(kept, w.scenes, SCENES, &error), NM_OK);
    for (uint64_t crowd = 1; crowd < 5; crowd++) {
        float a[TOKENS * 3], b[TOKENS * 3];
        make_world(&w, crowd, &config);
        assert_int_equal(nm_pass_set_scenes(anew, w.scenes, SCENES, &error), NM_OK);
        const int before = counted.encodings;
        if (nm_pass_set_tokens(kept, w.scenes, SCENES, &error)) fail_msg("%s", error.message);
        assert_int_equal(counted.encodings, before);
        assert_true(nm_pass_flops(kept) == nm_pass_flops(anew) || crowd == 1); // levels differ before the first pass
        predict(kept, &config, a);
        predict(anew, &config, b);
        assert_true(nm_pass_flops(kept) == nm_pass_flops(anew));
        assert_memory_equal(a, b, nm_pass_batch(anew)->tokens * config.channels * sizeof *a);
        if (crowd == 3) { // weights that change under them are seen: the map is there to be encoded again
            randomise_model(model, 6);
            predict(kept, &config, b);
            assert_memory_not_equal(a, b, sizeof(float) * 30);
        }
    }
    nm_pass_destroy(kept);
    nm_pass_destroy(anew);
    nm_model_destroy(model);
}

static void predictions_are_those_of_scenes_set_anew(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int i = 0; i < count; i++) {
        for (int variant = 0; variant < 3; variant++) check_predictions(backends[i].backend, variant);
    }
    close_backends(backends, count);
}

static void maps_are_encoded_once(void **state) {
    (void)state;
    nm_backend *reference, counting;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&reference, &error), NM_OK);
    nm_ops ops = *reference->ops;
    counting = *reference;
    counting.ops = &ops;
    counted.repeat = ops.repeat;
    ops.repeat = count_repeat;
    counted.encodings = 0;
    check_predictions(&counting, 0);
    // made empty and of the first scenes, of each crowd anew, and both again for the new weights: that of the kept
    // scenes at once, that of the others when they are set
    assert_int_equal(counted.encodings, 2 + 1 + 4 + 1);
    nm_backend_destroy(reference);
}

/// Gradients go through the maps, too: what training keeps of them is still there.
static void training_goes_on(void **state) {
    (void)state;
    static world w;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    for (int variant = 0; variant < 3; variant += 2) {
        const nm_model_config config = small_config(variant);
        const nm_batch_capacity capacity = {SCENES, TOKENS, POINTS};
        nm_model *model;
        nm_pass *pass[2];
        double loss[2];
        assert_int_equal(nm_model_create(&config, backend, 1, &model, &error), NM_OK);
        randomise_model(model, 5);
        const size_t size = nm_model_values(model).cols;
        float *gradients[2];
        for (int k = 0; k < 2; k++) {
            assert_int_equal(nm_pass_create(model, &capacity, 1, &pass[k], &error), NM_OK);
            make_world(&w, 0, &config);
            if (k == 0) assert_int_equal(nm_pass_set_scenes(pass[k], w.scenes, SCENES, &error), NM_OK);
            make_world(&w, 4, &config);
            if (k == 0)
                assert_int_equal(nm_pass_set_tokens(pass[k], w.scenes, SCENES, &error), NM_OK);
            else
                assert_int_equal(nm_pass_set_scenes(pass[k], w.scenes, SCENES, &error), NM_OK);
            random_tokens t = make_tokens(nm_pass_batch(pass[k]), &config, 4);
            nm_pass_zero_gradients(pass[k]);
            assert_int_equal(nm_pass_train(pass[k], &t.input, &t.target, &loss[k], &error), NM_OK);
            gradients[k] = malloc(size * sizeof(float));
            backend->ops->download(backend, nm_pass_gradients(pass[k]), gradients[k]);
            free_tokens(&t);
        }
        assert_true(loss[0] == loss[1] && loss[0] > 0.0);
        assert_memory_equal(gradients[0], gradients[1], size * sizeof(float));
        for (int k = 0; k < 2; k++) {
            free(gradients[k]);
            nm_pass_destroy(pass[k]);
        }
        nm_model_destroy(model);
    }
    nm_backend_destroy(backend);
}

static void a_pass_refuses_what_a_batch_does(void **state) {
    (void)state;
    static world w;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_model_config config = small_config(2);
    const nm_batch_capacity capacity = {SCENES, TOKENS, POINTS};
    nm_model *model;
    nm_pass *pass;
    assert_int_equal(nm_model_create(&config, backend, 1, &model, &error), NM_OK);
    assert_int_equal(nm_pass_create(model, &capacity, 0, &pass, &error), NM_OK);
    make_world(&w, 1, &config);
    assert_int_equal(nm_pass_set_tokens(pass, w.scenes, SCENES, &error), NM_E_ARGUMENT); // no maps yet
    assert_int_equal(nm_pass_set_scenes(pass, w.scenes, SCENES, &error), NM_OK);
    w.scenes[0].map_agent = NULL;
    w.scenes[0].points = 0; // as if there were none: but there are
    assert_int_equal(nm_pass_set_tokens(pass, w.scenes, SCENES, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "does not say which agents"));
    assert_int_equal(nm_pass_batch(pass)->tokens, 0);
    assert_int_equal(nm_pass_predict(pass, &(nm_pass_input){0}, NULL, &error), NM_OK); // of nobody
    make_world(&w, 1, &config);
    assert_int_equal(nm_pass_set_tokens(pass, w.scenes, SCENES, &error), NM_OK);
    assert_true(nm_pass_batch(pass)->tokens > 0);
    nm_pass_destroy(pass);
    nm_model_destroy(model);
    nm_backend_destroy(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_packed_as_with_their_maps),
        cmocka_unit_test(tokens_that_do_not_fit_are_refused),
        cmocka_unit_test(predictions_are_those_of_scenes_set_anew),
        cmocka_unit_test(maps_are_encoded_once),
        cmocka_unit_test(training_goes_on),
        cmocka_unit_test(a_pass_refuses_what_a_batch_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
