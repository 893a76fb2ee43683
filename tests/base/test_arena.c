#include "support.h"

#include "base/arena.h"
#include "base/rng.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

static void gives_aligned_distinct_memory(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    assert_non_null(arena);
    const nm_rng_key key = {.seed = 7};
    unsigned char *blocks[300];
    size_t sizes[300];
    for (uint32_t i = 0; i < 300; i++) {
        const size_t align = (size_t)1 << nm_rng_below(&key, 2 * i, 13);
        sizes[i] = nm_rng_below(&key, 2 * i + 1, 3000);
        blocks[i] = nm_arena_alloc(arena, sizes[i], 1, align);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % align, 0);
        memset(blocks[i], (int)(i & 0xff), sizes[i]);
    }
    for (uint32_t i = 0; i < 300; i++) {
        for (size_t b = 0; b < sizes[i]; b++) assert_int_equal(blocks[i][b], i & 0xff);
    }
    nm_arena_destroy(arena);
}

static void refuses_overflowing_sizes(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    assert_null(nm_arena_alloc(arena, SIZE_MAX / 2, 3, 8));
    assert_null(nm_arena_alloc(arena, SIZE_MAX, 1, 4096));
    assert_null(nm_arena_calloc(arena, SIZE_MAX / 8 + 1, 8, 8));
    assert_null(nm_arena_strndup(arena, "x", SIZE_MAX));
    assert_int_equal(nm_arena_reserve(arena, SIZE_MAX - 8), NM_E_MEMORY);
    assert_int_equal(nm_arena_used(arena), 0);
    assert_non_null(nm_arena_alloc(arena, 10, 10, 8)); // still works
    nm_arena_destroy(arena);
}

static void keeps_its_limit(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(1000);
    assert_non_null(nm_arena_alloc(arena, 600, 1, 1));
    assert_null(nm_arena_alloc(arena, 401, 1, 1));
    assert_int_equal(nm_arena_reserve(arena, 401), NM_E_MEMORY);
    assert_non_null(nm_arena_alloc(arena, 400, 1, 1));
    assert_int_equal(nm_arena_used(arena), 1000);
    assert_null(nm_arena_alloc(arena, 1, 1, 1));
    nm_arena_reset(arena);
    assert_non_null(nm_arena_alloc(arena, 1000, 1, 1));
    nm_arena_destroy(arena);
}

static void an_empty_array_has_an_address(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    assert_non_null(nm_arena_alloc(arena, 0, 8, 64));
    assert_non_null(nm_arena_alloc(arena, 8, 0, 64));
    assert_int_equal(nm_arena_used(arena), 0);
    nm_arena_destroy(arena);
}

static void zeroes_and_copies(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    unsigned char *dirty = nm_arena_alloc(arena, 512, 1, 64);
    memset(dirty, 0xaa, 512);
    nm_arena_reset(arena);
    const unsigned char *clean = nm_arena_calloc(arena, 64, 8, 64);
    for (size_t i = 0; i < 512; i++) assert_int_equal(clean[i], 0);
    const char *copy = nm_arena_strndup(arena, "lanelet", 4);
    assert_string_equal(copy, "lane");
    assert_string_equal(nm_arena_strndup(arena, NULL, 0), "");
    nm_arena_destroy(arena);
}

/// Random marks and releases against a stack of expected fill levels; what lies below a mark must not change.
static void marks_are_a_stack(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    const nm_rng_key key = {.seed = 11};
    nm_arena_mark marks[64];
    size_t used[64];
    uint32_t *stamps[64];
    size_t depth = 0, most = 0;
    for (uint32_t i = 0; i < 4000; i++) {
        const uint32_t choice = nm_rng_below(&key, 2 * i, 3);
        if (choice == 0 && depth < 64) {
            stamps[depth] = nm_arena_alloc(arena, 1, sizeof(uint32_t), 4);
            assert_non_null(stamps[depth]);
            *stamps[depth] = i;
            marks[depth] = nm_arena_get_mark(arena);
            used[depth++] = nm_arena_used(arena);
        } else if (choice == 1) {
            void *block = nm_arena_alloc(arena, nm_rng_below(&key, 2 * i + 1, 40000), 1, 64);
            assert_non_null(block);
        } else if (depth > 0) {
            depth--;
            nm_arena_release(arena, marks[depth]);
            assert_int_equal(nm_arena_used(arena), used[depth]);
            if (depth > 0) assert_true(*stamps[depth - 1] < *stamps[depth]);
        }
        if (nm_arena_used(arena) > most) most = nm_arena_used(arena);
        assert_int_equal(nm_arena_high_water(arena), most);
    }
    nm_arena_reset(arena);
    assert_int_equal(nm_arena_used(arena), 0);
    assert_int_equal(nm_arena_high_water(arena), most);
    nm_arena_destroy(arena);
}

/// After a reserve, a step that allocates within it gets the same addresses again and again: no chunk is added.
static void a_reserve_is_stable_memory(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    nm_arena_alloc(arena, 60000, 1, 1); // leaves a small rest in the first chunk
    assert_int_equal(nm_arena_reserve(arena, 3 * (1 << 20)), NM_OK);
    const nm_arena_mark mark = nm_arena_get_mark(arena);
    const void *first[3] = {0};
    for (int step = 0; step < 50; step++) {
        for (int i = 0; i < 3; i++) {
            const void *block = nm_arena_alloc(arena, 1 << 20, 1, 64);
            assert_non_null(block);
            if (step == 0) first[i] = block;
            assert_ptr_equal(block, first[i]);
        }
        nm_arena_release(arena, mark);
    }
    nm_arena_destroy(arena);
}

static void memory_is_kept_for_reuse(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    const void *first = nm_arena_alloc(arena, 100, 1, 64);
    nm_arena_reset(arena);
    assert_ptr_equal(nm_arena_alloc(arena, 100, 1, 64), first);
    nm_arena_destroy(arena);
    nm_arena_destroy(NULL);
}

static void released_memory_is_poisoned(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    nm_arena *arena = nm_arena_create(0);
    const nm_arena_mark mark = nm_arena_get_mark(arena);
    unsigned char *block = nm_arena_alloc(arena, 100, 1, 64);
    assert_false(__asan_address_is_poisoned(block));
    assert_false(__asan_address_is_poisoned(block + 99));
    assert_true(__asan_address_is_poisoned(block + 104));
    nm_arena_release(arena, mark);
    assert_true(__asan_address_is_poisoned(block));
    nm_arena_destroy(arena);
#else
    printf("needs AddressSanitizer\n");
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_aligned_distinct_memory),
        cmocka_unit_test(refuses_overflowing_sizes),
        cmocka_unit_test(keeps_its_limit),
        cmocka_unit_test(an_empty_array_has_an_address),
        cmocka_unit_test(zeroes_and_copies),
        cmocka_unit_test(marks_are_a_stack),
        cmocka_unit_test(a_reserve_is_stable_memory),
        cmocka_unit_test(memory_is_kept_for_reuse),
        cmocka_unit_test(released_memory_is_poisoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
