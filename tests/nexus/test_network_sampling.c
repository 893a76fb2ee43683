/// The sampler and the network together: whole scenes out of noise, on every backend.
#include "backends_support.h"
#include "network_support.h"
#include "nexus/pass_denoiser.h"
#include "nexus/sampler.h"

enum { CHANNELS = 3, LEVELS = 6, TOKENS_MAX = 3 * SCENE_AGENTS * SCENE_STEPS };

/// Scenes, a pass and a sampler over their tokens; steps 0 and 1 of every agent are given.
typedef struct run {
    nm_model *model;
    nm_pass *pass;
    nm_sampler *sampler;
    nm_pass_denoiser context;
    random_tokens tokens;
    uint32_t scene[TOKENS_MAX], agent[TOKENS_MAX], time[TOKENS_MAX];
    uint8_t clean[TOKENS_MAX];
    int32_t delay[TOKENS_MAX];
} run;

static void begin(run *r, nm_backend *backend, int variant, const nm_token_scene *scenes, const uint64_t *keys,
                  uint32_t count, const char *schedule_name) {
    nm_error error;
    const nm_model_config shape = small_config(variant);
    const nm_batch_capacity capacity = {count, TOKENS_MAX, 3 * SCENE_POINTS};
    assert_int_equal(nm_model_create(&shape, backend, 1, &r->model, &error), NM_OK);
    randomise_model(r->model, 5);
    assert_int_equal(nm_pass_create(r->model, &capacity, 0, &r->pass, &error), NM_OK);
    assert_int_equal(nm_pass_set_scenes(r->pass, scenes, count, &error), NM_OK);
    const nm_batch *batch = nm_pass_batch(r->pass);
    r->tokens = make_tokens(batch, &shape, 9);
    r->context = (nm_pass_denoiser){.pass = r->pass, .condition = r->tokens.condition, .pose = r->tokens.pose};
    for (uint32_t i = 0; i < batch->tokens; ++i) {
        r->scene[i] = batch->refs[i].scene;
        r->agent[i] = batch->refs[i].agent;
        r->time[i] = batch->refs[i].time;
        r->clean[i] = r->time[i] < 2;
    }
    nm_schedule schedule;
    assert_int_equal(nm_schedule_parse(schedule_name, &schedule, &error), NM_OK);
    nm_schedule_delays(&schedule, LEVELS, batch->tokens, r->time, 2, SCENE_STEPS, NULL, r->delay);
    nm_sampler_config config = nm_sampler_config_default();
    config.max_tokens = TOKENS_MAX;
    config.max_scenes = count;
    config.channels = CHANNELS;
    config.levels = LEVELS;
    config.clip = 1.0f;
    config.seed = 77;
    assert_int_equal(nm_sampler_create(&config, &r->sampler, &error), NM_OK);
    const nm_token_layout layout = {.count = batch->tokens,
                                    .scene_count = count,
                                    .scene = r->scene,
                                    .agent = r->agent,
                                    .time = r->time,
                                    .scene_key = keys};
    if (nm_sampler_begin(r->sampler, &layout, r->clean, r->tokens.known, r->delay, &error) != NM_OK)
        fail_msg("%s", error.message);
}

static void end(run *r) {
    free_tokens(&r->tokens);
    nm_sampler_destroy(r->sampler);
    nm_pass_destroy(r->pass);
    nm_model_destroy(r->model);
}

static void step(run *r) {
    nm_error error;
    const nm_denoiser denoiser = nm_denoiser_of_pass(&r->context);
    if (nm_sampler_step(r->sampler, &denoiser, NULL, NULL, &error) != NM_OK) fail_msg("%s", error.message);
}

static void check_conditions(const run *r) {
    const nm_sampler_state s = nm_sampler_get(r->sampler);
    for (uint32_t i = 0; i < s.in.count; ++i)
        if (r->clean[i])
            assert_memory_equal(s.in.noised + i * CHANNELS, r->tokens.known + i * CHANNELS, CHANNELS * sizeof(float));
}

static void check_batch(nm_backend *backend, int variant, const char *schedule) {
    static const uint64_t keys[3] = {11, 22, 33};
    random_scene memory[3];
    nm_token_scene scenes[3];
    const nm_model_config shape = small_config(variant);
    for (uint32_t i = 0; i < 3; ++i)
        scenes[i] = make_scene(&memory[i], 20 + i, SCENE_AGENTS - i, SCENE_POINTS - 3 * i, &shape);
    run *alone = calloc(1, sizeof *alone), *together = calloc(1, sizeof *together);
    assert_true(alone && together);
    begin(alone, backend, variant, scenes, keys, 1, schedule);
    begin(together, backend, variant, scenes, keys, 3, schedule);
    const nm_sampler_state start = nm_sampler_get(alone->sampler);
    float *before = malloc((size_t)start.in.count * CHANNELS * sizeof *before);
    assert_non_null(before);
    memcpy(before, start.in.noised, (size_t)start.in.count * CHANNELS * sizeof *before);
    while (nm_sampler_remaining(alone->sampler) > 0) step(alone);
    while (nm_sampler_remaining(together->sampler) > 0) step(together);
    check_conditions(alone);
    check_conditions(together);
    const nm_sampler_state a = nm_sampler_get(alone->sampler), b = nm_sampler_get(together->sampler);
    const size_t size = (size_t)a.in.count * CHANNELS * sizeof(float);
    assert_true(a.in.count > 10 && b.in.count > a.in.count);
    if (memcmp(a.in.noised, b.in.noised, size) != 0)
        fail_msg("%s, variant %d, %s: a batch changes what is sampled", backend->name, variant, schedule);
    assert_true(memcmp(before, a.in.noised, size) != 0);
    free(before);
    end(alone);
    end(together);
    free(alone);
    free(together);
}

static void a_scene_sampled_alone_equals_the_scene_in_a_batch(void **state) {
    (void)state;
    static const char *const schedules[] = {"full", "pyramid:2", "trapezoid:1.5"};
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int i = 0; i < count; ++i)
        for (int variant = 0; variant < 3; ++variant) check_batch(backends[i].backend, variant, schedules[variant]);
    close_backends(backends, count);
}

/// What the environment did to one token in the middle of the denoising is seen by the very next pass: its neighbours
/// in time and space are predicted otherwise, and its own value stays, bit for bit.
static void check_overwriting(nm_backend *backend) {
    static const uint64_t keys[1] = {11};
    random_scene memory;
    const nm_model_config shape = small_config(0);
    const nm_token_scene scene = make_scene(&memory, 20, SCENE_AGENTS, SCENE_POINTS, &shape);
    run *plain = calloc(1, sizeof *plain), *changed = calloc(1, sizeof *changed);
    assert_true(plain && changed);
    begin(plain, backend, 0, &scene, keys, 1, "pyramid:1");
    begin(changed, backend, 0, &scene, keys, 1, "pyramid:1");
    for (int i = 0; i < 3; ++i) {
        step(plain);
        step(changed);
    }
    const uint32_t count = nm_sampler_get(plain->sampler).in.count;
    uint32_t token = 0;
    while (changed->time[token] != 3) token++;
    const float executed[CHANNELS] = {0.9f, -0.7f, 0.5f};
    nm_error error;
    assert_int_equal(nm_sampler_set_token(changed->sampler, token, executed, &error), NM_OK);
    assert_true(nm_sampler_get(changed->sampler).in.level[token] == 0.0f);
    step(plain);
    step(changed);
    const nm_sampler_state a = nm_sampler_get(plain->sampler), b = nm_sampler_get(changed->sampler);
    uint32_t affected = 0;
    for (uint32_t i = 0; i < count; ++i) {
        if (i == token || a.in.level[i] == 0.0f) continue;
        affected += memcmp(a.x0 + i * CHANNELS, b.x0 + i * CHANNELS, CHANNELS * sizeof(float)) != 0;
    }
    assert_true(affected > 0);
    while (nm_sampler_remaining(changed->sampler) > 0) {
        step(changed);
        const nm_sampler_state now = nm_sampler_get(changed->sampler);
        assert_memory_equal(now.in.noised + token * CHANNELS, executed, sizeof executed);
    }
    end(plain);
    end(changed);
    free(plain);
    free(changed);
}

static void an_overwritten_token_changes_the_next_pass(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int i = 0; i < count; ++i) check_overwriting(backends[i].backend);
    close_backends(backends, count);
}

static void tokens_of_another_batch_are_refused(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    static const uint64_t keys[1] = {11};
    random_scene memory[2];
    const nm_model_config shape = small_config(0);
    const nm_token_scene scene = make_scene(&memory[0], 20, SCENE_AGENTS, SCENE_POINTS, &shape);
    run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    begin(r, backend, 0, &scene, keys, 1, "full");
    const nm_token_scene other = make_scene(&memory[1], 21, SCENE_AGENTS - 1, SCENE_POINTS, &shape);
    assert_int_equal(nm_pass_set_scenes(r->pass, &other, 1, &error), NM_OK);
    const nm_denoiser denoiser = nm_denoiser_of_pass(&r->context);
    assert_int_equal(nm_sampler_step(r->sampler, &denoiser, NULL, NULL, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "the pass"));

    assert_int_equal(nm_pass_set_scenes(r->pass, &scene, 1, &error), NM_OK);
    float v[TOKENS_MAX * CHANNELS];
    const nm_denoise_input right = nm_sampler_get(r->sampler).in;
    assert_int_equal(nm_denoise(&denoiser, &right, v, &error), NM_OK);
    for (int i = 0; i < 4; ++i) { // as many tokens, one of them another one; or channels of another model
        uint32_t other_place[TOKENS_MAX];
        nm_denoise_input wrong = right;
        const uint32_t **places[] = {&wrong.scene, &wrong.agent, &wrong.time};
        if (i < 3) {
            memcpy(other_place, *places[i], right.count * sizeof *other_place);
            other_place[7]++;
            *places[i] = other_place;
        } else {
            wrong.channels = 2;
        }
        assert_int_equal(nm_denoise(&denoiser, &wrong, v, &error), NM_E_ARGUMENT);
        assert_non_null(strstr(error.message, i < 3 ? "token 7 is" : "2 channels, the model's 3"));
    }
    end(r);
    free(r);
    nm_backend_destroy(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scene_sampled_alone_equals_the_scene_in_a_batch),
        cmocka_unit_test(an_overwritten_token_changes_the_next_pass),
        cmocka_unit_test(tokens_of_another_batch_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
