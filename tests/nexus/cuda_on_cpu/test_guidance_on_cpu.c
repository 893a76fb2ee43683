/// Guidance as the GPU computes it, run thread by thread on the CPU: the same bits as the CPU's own, whatever the order
/// of threads.
#include "../guidance_support.h"

#include "emulator.h"

static nm_test_guide begin(void) {
    nm_test_guide on = {.create = nm_guidance_cuda_create_on_cpu,
                        .destroy = nm_guidance_cuda_destroy_on_cpu,
                        .set_scenes = nm_guidance_cuda_set_scenes_on_cpu,
                        .set_adversaries = nm_guidance_cuda_set_adversaries_on_cpu,
                        .apply = nm_guidance_cuda_apply_on_cpu,
                        .link = nm_guidance_cuda_link_on_cpu,
                        .run = nm_guidance_cuda_run_on_cpu};
    const nm_backend_config config = nm_backend_config_default();
    assert_int_equal(nm_backend_create_cuda_on_cpu(&config, &on.backend, NULL), NM_OK);
    nm_emulator_set_order(0);
    return on;
}
static void end(nm_test_guide *on) {
    assert_int_equal(on->backend->ops->synchronize(on->backend, NULL), NM_OK);
    nm_backend_destroy(on->backend);
}

static const nm_test_crowd_shape shapes[] = {
    {1, 1, 12, 0, 1, 0}, {1, 9, 8, 0, 1, 4}, {5, 6, 7, 0, 1, 9},
    {4, 6, 5, 1, 1, 8},  {3, 8, 7, 0, 0, 6}, {2, 5, 1, 1, 1, 1},
};
static void every_term_is_the_cpus(void **state) {
    (void)state;
    nm_test_guide on = begin();
    nm_test_crowd_run_all(&on, shapes, sizeof shapes / sizeof *shapes);
    end(&on);
}

static void three_hundred_agents(void **state) {
    (void)state;
    nm_test_guide on = begin();
    const nm_test_crowd_shape many = {1, 300, 4, 0, 1, 40}; // many adversaries have the same path
    nm_test_crowd_run_all(&on, &many, 1);
    end(&on);
}

static void any_order_of_threads(void **state) {
    (void)state;
    nm_test_guide on = begin();
    nm_test_crowd crowd;
    nm_test_crowd_begin(&crowd, &(nm_test_crowd_shape){2, 20, 8, 1, 1, 9}, 3);
    nm_test_crowd_strength(&crowd, 5, 1.0f);
    float *expected = nm_test_crowd_on_cpu(&crowd);
    const uint32_t orders[] = {0, 1, 12345};
    for (int i = 0; i < 3; i++) {
        nm_emulator_set_order(orders[i]);
        float *got = nm_test_crowd_on(&crowd, &on);
        assert_true(nm_test_crowd_compare(&crowd, expected, got, 0.0) > 100);
        free(got);
    }
    free(expected);
    nm_test_crowd_end(&crowd);
    end(&on);
}

static void no_strength_changes_nothing(void **state) {
    (void)state;
    nm_test_guide on = begin();
    nm_test_crowd crowd;
    nm_test_crowd_begin(&crowd, &shapes[2], 4);
    float *got = nm_test_crowd_on(&crowd, &on);
    assert_memory_equal(got, crowd.x0, nm_test_crowd_bytes(&crowd));
    free(got);
    nm_test_crowd_end(&crowd);
    end(&on);
}

/// One guidance through scenes that come and go, more adversaries, another layout: as if it had been made for each.
static void scenes_come_and_go(void **state) {
    (void)state;
    nm_test_guide on = begin();
    nm_test_crowd crowds[3];
    const nm_test_crowd_shape visits[3] = {{5, 6, 7, 0, 1, 2}, {2, 12, 8, 0, 1, 11}, {4, 4, 9, 0, 0, 0}};
    for (int i = 0; i < 3; i++) {
        nm_test_crowd_begin(&crowds[i], &visits[i], 20 + (uint64_t)i / 2);
        nm_test_crowd_strength(&crowds[i], 5, 0.9f);
        crowds[i].config.max_tokens = 5 * 6 * 7;
    }
    nm_guidance_cuda *guidance = nm_test_crowd_guidance(&crowds[0], &on);
    for (int visit = 0; visit < 7; visit++) {
        const nm_test_crowd *c = &crowds[visit / 2 * 2 % 3];
        nm_error error;
        if (visit % 2 == 0) {
            assert_int_equal(on.set_scenes(guidance, c->scenes, c->in.scene_count, &error), NM_OK);
            assert_int_equal(on.set_adversaries(guidance, c->adversaries, c->adversary_count, &error), NM_OK);
        }
        float *expected = nm_test_crowd_on_cpu(c), *got = nm_test_crowd_copy(c);
        if (on.apply(guidance, &c->in, got, &error)) fail_msg("%s", error.message);
        nm_test_crowd_compare(c, expected, got, 0.0);
        free(expected);
        free(got);
    }
    // other adversaries with the same tokens
    nm_error error;
    nm_test_crowd *c = &crowds[0];
    c->adversaries[0].aim = NM_AIM_HEAD_ON;
    c->adversary_count = 1;
    assert_int_equal(on.set_adversaries(guidance, c->adversaries, 1, &error), NM_OK);
    float *expected = nm_test_crowd_on_cpu(c), *got = nm_test_crowd_copy(c);
    if (on.apply(guidance, &c->in, got, &error)) fail_msg("%s", error.message);
    nm_test_crowd_compare(c, expected, got, 0.0);
    free(expected);
    free(got);
    on.destroy(guidance);
    for (int i = 0; i < 3; i++) nm_test_crowd_end(&crowds[i]);
    end(&on);
}

/// Tokens that are on the device already, in rows that are longer than a token.
static void tokens_may_stay_on_the_device(void **state) {
    (void)state;
    nm_test_guide on = begin();
    nm_test_crowd crowd;
    nm_test_crowd_begin(&crowd, &shapes[3], 6);
    nm_test_crowd_strength(&crowd, 5, 0.5f);
    nm_guidance_cuda *guidance = nm_test_crowd_guidance(&crowd, &on);
    const nm_ops *ops = on.backend->ops;
    nm_tensor wide = nm_tensor_create(on.backend, crowd.in.count, crowd.in.channels + 5, NM_F32);
    const nm_tensor x0 = nm_tensor_cols(wide, 2, crowd.in.channels);
    const nm_tensor levels = nm_tensor_create(on.backend, crowd.in.count, 3, NM_F32);
    const nm_tensor level = nm_tensor_cols(levels, 1, 1);
    ops->upload(on.backend, crowd.x0, x0);
    ops->upload(on.backend, crowd.level, level);
    assert_int_equal(on.link(guidance, &crowd.in, NULL), NM_OK);
    on.run(guidance, level, x0);
    float *expected = nm_test_crowd_on_cpu(&crowd), *got = nm_test_crowd_copy(&crowd);
    ops->download(on.backend, x0, got);
    assert_true(nm_test_crowd_compare(&crowd, expected, got, 0.0) > 20);
    free(expected);
    free(got);
    ops->release(on.backend, wide.data);
    ops->release(on.backend, levels.data);
    on.destroy(guidance);
    nm_test_crowd_end(&crowd);
    end(&on);
}

/// What the CPU refuses, in the same words; tokens stay as they are, and afterwards all goes on.
static void refusals_are_the_cpus(void **state) {
    (void)state;
    nm_test_guide on = begin();
    nm_test_crowd crowd;
    nm_test_crowd_begin(&crowd, &shapes[2], 7);
    nm_test_crowd_strength(&crowd, 5, 0.5f);
    nm_guidance_cuda *guidance = nm_test_crowd_guidance(&crowd, &on);
    nm_guidance *cpu;
    nm_error error, same;
    assert_int_equal(nm_guidance_create(&crowd.config, &cpu, &same), NM_OK);
    nm_guidance_set_scenes(cpu, crowd.scenes, crowd.in.scene_count);
    assert_int_equal(nm_guidance_set_adversaries(cpu, crowd.adversaries, crowd.adversary_count, &same), NM_OK);
    float *x0 = nm_test_crowd_copy(&crowd);
    const nm_denoise_input good = crowd.in;
    for (int i = 0; i < 4; i++) {
        nm_denoise_input in = good;
        const uint32_t last = in.count - 1, kept_time = crowd.time[last], kept_agent = crowd.agent[last];
        if (i == 0) crowd.time[last] = 4096;
        if (i == 1) crowd.agent[last] = 999;
        if (i == 2) in.count = crowd.config.max_tokens + 1;
        if (i == 3) crowd.adversaries[0].time = 77;
        if (i == 3) assert_int_equal(on.set_adversaries(guidance, crowd.adversaries, crowd.adversary_count, &error), 0);
        const nm_status status = nm_guidance_apply(cpu, &in, x0, &same);
        assert_true(status == NM_E_LIMIT || status == NM_E_NOT_FOUND);
        assert_int_equal(on.apply(guidance, &in, x0, &error), status);
        assert_string_equal(error.message, same.message);
        assert_memory_equal(x0, crowd.x0, nm_test_crowd_bytes(&crowd));
        crowd.time[last] = kept_time;
        crowd.agent[last] = kept_agent;
    }
    nm_adversary bad[30];
    for (int i = 0; i < 30; i++) bad[i] = nm_adversary_default(); // of itself
    assert_int_equal(on.set_adversaries(guidance, bad, 30, &error), NM_E_ARGUMENT);
    crowd.adversary_count = 0;
    assert_int_equal(on.set_adversaries(guidance, crowd.adversaries, 0, &error), NM_OK);
    float *expected = nm_test_crowd_on_cpu(&crowd);
    if (on.apply(guidance, &good, x0, &error)) fail_msg("%s", error.message);
    nm_test_crowd_compare(&crowd, expected, x0, 0.0);
    free(expected);
    free(x0);
    nm_guidance_destroy(cpu);
    on.destroy(guidance);
    nm_test_crowd_end(&crowd);
    end(&on);
}

static void bad_configurations_are_refused(void **state) {
    (void)state;
    nm_test_guide on = begin();
    nm_guidance_config config = nm_guidance_config_default();
    nm_guidance_cuda *guidance = (nm_guidance_cuda *)&config;
    nm_error error;
    assert_int_equal(on.create(on.backend, &config, 8, &guidance, &error), NM_E_ARGUMENT); // no max_tokens
    assert_null(guidance);
    assert_non_null(strstr(error.message, "max_tokens"));
    config.max_tokens = 3;
    assert_int_equal(on.create(on.backend, &config, 7, &guidance, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "more channels than 7"));
    config.ahead = 1;
    assert_int_equal(on.create(on.backend, &config, 8, &guidance, &error), NM_E_UNSUPPORTED);
    assert_null(guidance);
    assert_non_null(strstr(error.message, "ahead"));
    on.destroy(NULL);
    end(&on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_term_is_the_cpus), cmocka_unit_test(three_hundred_agents),
        cmocka_unit_test(any_order_of_threads),   cmocka_unit_test(no_strength_changes_nothing),
        cmocka_unit_test(scenes_come_and_go),     cmocka_unit_test(tokens_may_stay_on_the_device),
        cmocka_unit_test(refusals_are_the_cpus),  cmocka_unit_test(bad_configurations_are_refused),
    };
    return cmocka_run_group_tests_name("guidance on the GPU, on the CPU", tests, NULL, NULL);
}
