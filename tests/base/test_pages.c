/// Blocks of memory of any size: zero, aligned, apart from each other, and gone when they are released.
#include "support.h"

#include "base/pages.h"

static void blocks_are_zero_and_apart(void **state) {
    (void)state;
    const size_t sizes[] = {0, 1, 255, 256, 4096, (4u << 20) - 1, 4u << 20, (9u << 20) + 77};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    unsigned char *blocks[COUNT];
    for (int round = 0; round < 3; round++) { // what is released and comes again is zero, too
        for (int i = 0; i < COUNT; i++) {
            assert_non_null(blocks[i] = nm_pages_allocate(sizes[i]));
            assert_int_equal((uintptr_t)blocks[i] % NM_PAGES_ALIGNMENT, 0);
            for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(blocks[i][k], 0);
            memset(blocks[i], i + 1, sizes[i]);
        }
        for (int i = 0; i < COUNT; i++) {
            for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(blocks[i][k], i + 1);
            nm_pages_release(blocks[i]);
        }
    }
    nm_pages_release(NULL);
}

static void more_than_there_is_is_refused(void **state) {
    (void)state;
    assert_null(nm_pages_allocate(SIZE_MAX));
    assert_null(nm_pages_allocate(SIZE_MAX / 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_are_zero_and_apart),
                                       cmocka_unit_test(more_than_there_is_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
