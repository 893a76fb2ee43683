/// Memory of sampling: every allocation that a creation makes may fail, and nothing is lost or left half-made; after
/// the creation nothing allocates.
///
/// Every allocation of the process goes through the functions below.
#include "gaussian.h"
#include "nexus/window.h"
#include "tokens_support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define COUNTS 0
#else
#define COUNTS 1
static long allocations, live, fail_at = -1; ///< fail_at: number of the allocation that fails, -1 = none

void *__libc_malloc(size_t size);                     // NOLINT
void *__libc_calloc(size_t count, size_t size);       // NOLINT
void *__libc_realloc(void *memory, size_t size);      // NOLINT
void *__libc_memalign(size_t alignment, size_t size); // NOLINT
void __libc_free(void *memory);                       // NOLINT

static void *counted(void *memory) {
    live += memory != NULL;
    return memory;
}
static int refused(void) {
    return allocations++ == fail_at;
}
void *malloc(size_t size) {
    return refused() ? NULL : counted(__libc_malloc(size));
}
void *calloc(size_t count, size_t size) {
    return refused() ? NULL : counted(__libc_calloc(count, size));
}
void *realloc(void *memory, size_t size) {
    if (refused()) return NULL;
    live -= memory != NULL;
    return counted(__libc_realloc(memory, size));
}
void *aligned_alloc(size_t alignment, size_t size) {
    return refused() ? NULL : counted(__libc_memalign(alignment, size));
}
void free(void *memory) {
    live -= memory != NULL;
    __libc_free(memory);
}
#endif

#if COUNTS
typedef nm_status creation(const void *from, void **made, nm_error *error);

/// Lets the first, second, ... allocation fail until there is none left to fail.
static void check_creation(creation *create, void (*destroy)(void *), const void *from) {
    for (long at = 0;; at++) {
        void *made = &made; // must become NULL
        nm_error error;
        const long before = live;
        allocations = 0;
        fail_at = at;
        const nm_status status = create(from, &made, &error);
        fail_at = -1;
        if (status == NM_OK) {
            assert_true(allocations <= at && at >= 2); // it did allocate
            assert_non_null(made);
            destroy(made);
            assert_true(live == before);
            return;
        }
        assert_int_equal(status, NM_E_MEMORY);
        assert_non_null(strstr(error.message, "no memory"));
        assert_null(made);
        assert_true(live == before);
    }
}

static nm_status create_sampler(const void *from, void **made, nm_error *error) {
    nm_sampler *sampler = *made;
    const nm_status status = nm_sampler_create(from, &sampler, error);
    *made = sampler;
    return status;
}
static void destroy_sampler(void *made) {
    nm_sampler_destroy(made);
}
static nm_status create_window(const void *from, void **made, nm_error *error) {
    nm_window *window = *made;
    const nm_status status = nm_window_create(from, &window, error);
    *made = window;
    return status;
}
static void destroy_window(void *made) {
    nm_window_destroy(made);
}
static nm_status create_token_map(const void *from, void **made, nm_error *error) {
    nm_token_map *map = *made;
    const nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    const nm_status status = nm_token_map_create(from, &config, &map, error);
    *made = map;
    return status;
}
static void destroy_token_map(void *made) {
    nm_token_map_destroy(made);
}
#endif

static void creations_fail_cleanly(void **state) {
    (void)state;
#if !COUNTS
    skip();
#else
    nm_sampler_config sampler = nm_sampler_config_default();
    sampler.max_tokens = 5000;
    sampler.max_scenes = 9;
    check_creation(create_sampler, destroy_sampler, &sampler);
    nm_window_config window = nm_window_config_default();
    window.max_rows = 300;
    window.max_scenes = 9;
    check_creation(create_window, destroy_window, &window);
    const nm_scene *scene;
    nm_error error;
    assert_int_equal(nm_builtin_scene("junction_signal:vehicles=5", 1, &scene, &error), NM_OK);
    check_creation(create_token_map, destroy_token_map, scene->map);
    nm_scene_destroy(scene);
#endif
}

static void passes_allocate_nothing(void **state) {
    (void)state;
#if !COUNTS
    skip();
#else
    gaussian world;
    gaussian_init(&world, 1, 7);
    nm_window_config config = nm_window_config_default();
    config.max_rows = config.max_scenes = 1;
    config.history = 3;
    config.future = 4;
    config.sampler.channels = 2;
    nm_window *window;
    nm_error error;
    const uint64_t key = 5;
    const float history[3 * 2] = {0.0f}, guess[4 * 2] = {0.0f};
    const uint8_t valid[3] = {1, 1, 1};
    const nm_window_row row = {.history = history, .valid = valid, .guess = guess};
    const nm_denoiser denoiser = {&world, gaussian_predict};
    assert_int_equal(nm_window_create(&config, &window, &error), NM_OK);
    allocations = 0;
    for (int run = 0; run < 2; run++) {
        assert_int_equal(nm_window_begin(window, 1, &key, 0, &error), NM_OK);
        assert_int_equal(nm_window_add(window, &row, 1, &error), NM_OK);
        for (int i = 0; i < 20; i++) {
            assert_int_equal(nm_window_pass(window, &denoiser, NULL, NULL, &error), NM_OK);
            if (nm_window_ready(window)) assert_int_equal(nm_window_slide(window, NULL, NULL, &error), NM_OK);
        }
        assert_int_equal(nm_window_remove(window, 0, &error), NM_OK);
    }
    assert_int_equal(allocations, 0);
    nm_window_destroy(window);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creations_fail_cleanly),
        cmocka_unit_test(passes_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
