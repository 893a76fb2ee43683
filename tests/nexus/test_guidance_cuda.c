/// Guidance on a GPU against the CPU's, where there is a GPU; everywhere, how it refuses. What the kernels compute is
/// also tested without one: cuda_on_cpu/test_guidance_on_cpu.c.
#include "guidance_support.h"

static nm_test_guide begin(void) {
    nm_test_guide on = {.create = nm_guidance_cuda_create,
                        .destroy = nm_guidance_cuda_destroy,
                        .set_scenes = nm_guidance_cuda_set_scenes,
                        .set_adversaries = nm_guidance_cuda_set_adversaries,
                        .apply = nm_guidance_cuda_apply,
                        .link = nm_guidance_cuda_link,
                        .run = nm_guidance_cuda_run,
                        .tolerance = 1e-5}; // sine, cosine, arc tangent and hypot are the device's own
    const nm_backend_config config = nm_backend_config_default();
    nm_error error;
    const nm_status status = nm_backend_create_cuda(&config, &on.backend, &error);
    if (status == NM_E_UNSUPPORTED) {
        printf("skipped: %s\n", error.message);
        skip();
    }
    if (status) fail_msg("%s", error.message);
    return on;
}

static void other_backends_are_refused(void **state) {
    (void)state;
    nm_backend *reference;
    assert_int_equal(nm_backend_create_reference(&reference, NULL), NM_OK);
    nm_guidance_config config = nm_guidance_config_default();
    config.max_tokens = 10;
    nm_guidance_cuda *guidance = (nm_guidance_cuda *)&config;
    nm_error error;
    assert_int_equal(nm_guidance_cuda_create(reference, &config, 8, &guidance, &error), NM_E_UNSUPPORTED);
    assert_null(guidance);
    assert_non_null(strstr(error.message, reference->name));
    assert_int_equal(nm_guidance_cuda_create(reference, &config, 8, &guidance, NULL), NM_E_UNSUPPORTED);
    nm_guidance_cuda_destroy(NULL);
    nm_backend_destroy(reference);
}

static void every_term_is_the_cpus(void **state) {
    (void)state;
    nm_test_guide on = begin();
    const nm_test_crowd_shape shapes[] = {{1, 1, 12, 0, 1, 0}, {5, 6, 7, 0, 1, 9}, {4, 6, 5, 1, 1, 8},
                                          {3, 8, 7, 0, 0, 6},  {2, 5, 1, 1, 1, 1}, {1, 300, 4, 0, 1, 40}};
    nm_test_crowd_run_all(&on, shapes, sizeof shapes / sizeof *shapes);
    nm_backend_destroy(on.backend);
}

/// Tokens on the device: run, run again, and replayed from a recording.
static void runs_and_recordings_give_the_same_bits(void **state) {
    (void)state;
    nm_test_guide on = begin();
    nm_test_crowd crowd;
    nm_test_crowd_begin(&crowd, &(nm_test_crowd_shape){6, 20, 9, 1, 1, 30}, 3);
    nm_test_crowd_strength(&crowd, 5, 0.8f);
    nm_guidance_cuda *guidance = nm_test_crowd_guidance(&crowd, &on);
    const nm_ops *ops = on.backend->ops;
    const nm_tensor x0 = nm_tensor_create(on.backend, crowd.in.count, crowd.in.channels, NM_F32);
    const nm_tensor level = nm_tensor_create(on.backend, crowd.in.count, 1, NM_F32);
    ops->upload(on.backend, crowd.level, level);
    assert_int_equal(on.link(guidance, &crowd.in, NULL), NM_OK);
    nm_recording *recording = NULL;
    assert_int_equal(ops->capture_begin(on.backend, NULL), NM_OK);
    on.run(guidance, level, x0);
    assert_int_equal(ops->capture_end(on.backend, &recording, NULL), NM_OK);
    float *got[3];
    for (int i = 0; i < 3; i++) {
        got[i] = nm_test_crowd_copy(&crowd);
        ops->upload(on.backend, crowd.x0, x0);
        if (i < 2)
            on.run(guidance, level, x0);
        else
            ops->replay(on.backend, recording);
        ops->download(on.backend, x0, got[i]);
        assert_int_equal(ops->synchronize(on.backend, NULL), NM_OK);
        assert_memory_equal(got[i], got[0], nm_test_crowd_bytes(&crowd));
    }
    float *expected = nm_test_crowd_on_cpu(&crowd);
    assert_true(nm_test_crowd_compare(&crowd, expected, got[0], on.tolerance) > 100);
    for (int i = 0; i < 3; i++) free(got[i]);
    free(expected);
    ops->release_recording(on.backend, recording);
    ops->release(on.backend, x0.data);
    ops->release(on.backend, level.data);
    on.destroy(guidance);
    nm_test_crowd_end(&crowd);
    nm_backend_destroy(on.backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_backends_are_refused),
        cmocka_unit_test(every_term_is_the_cpus),
        cmocka_unit_test(runs_and_recordings_give_the_same_bits),
    };
    return cmocka_run_group_tests_name("guidance on a GPU", tests, NULL, NULL);
}
