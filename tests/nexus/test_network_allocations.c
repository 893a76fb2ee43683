/// A pass allocates nothing: neither a prediction nor a training step, from the second one of a shape on.
///
/// Every allocation of the process goes through the functions below, those of libraries too.
#include "backends_support.h"
#include "network_support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define COUNTS 0
#else
#define COUNTS 1
#include <stdatomic.h>

static atomic_size_t allocations;

void *__libc_malloc(size_t size);                     // NOLINT
void *__libc_calloc(size_t count, size_t size);       // NOLINT
void *__libc_realloc(void *memory, size_t size);      // NOLINT
void *__libc_memalign(size_t alignment, size_t size); // NOLINT
int posix_memalign(void **memory, size_t alignment, size_t size);

void *malloc(size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
    atomic_fetch_add(&allocations, 1);
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : 12; // ENOMEM
}
#endif

static void passes_allocate_nothing(void **state) {
    (void)state;
#if !COUNTS
    skip();
#else
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int i = 0; i < count; ++i) {
        nm_error error;
        nm_model *model;
        nm_pass *pass;
        random_scene memory;
        double loss;
        const nm_model_config shape = small_config(1);
        const nm_batch_capacity capacity = {1, SCENE_AGENTS * SCENE_STEPS, SCENE_POINTS};
        assert_int_equal(nm_model_create(&shape, backends[i].backend, 1, &model, &error), NM_OK);
        assert_int_equal(nm_pass_create(model, &capacity, 1, &pass, &error), NM_OK);
        const nm_token_scene scene = make_scene(&memory, 3, SCENE_AGENTS, SCENE_POINTS, &shape);
        assert_int_equal(nm_pass_set_scenes(pass, &scene, 1, &error), NM_OK);
        random_tokens t = make_tokens(nm_pass_batch(pass), &shape, 4);
        float *v = malloc(SCENE_AGENTS * SCENE_STEPS * 3 * sizeof *v);
        assert_non_null(v);
        size_t before = 0;
        for (int round = 0; round < 3; ++round) {
            if (round == 1) before = atomic_load(&allocations);
            assert_int_equal(nm_pass_predict(pass, &t.input, v, &error), NM_OK);
            assert_int_equal(nm_pass_train(pass, &t.input, &t.target, &loss, &error), NM_OK);
            assert_int_equal(nm_pass_set_scenes(pass, &scene, 1, &error), NM_OK);
        }
        const size_t made = atomic_load(&allocations) - before;
        if (made) fail_msg("%s: %zu allocations in two rounds of passes", backends[i].backend->name, made);
        free(v);
        free_tokens(&t);
        nm_pass_destroy(pass);
        nm_model_destroy(model);
    }
    assert_true(atomic_load(&allocations) > 0); // they are counted
    close_backends(backends, count);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(passes_allocate_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
