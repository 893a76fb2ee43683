/// The viewer when memory runs out: every allocation fails once, and what was open before is open afterwards.
///
/// The linker hands this program's calls of the allocator to the functions below (--wrap).
#include <stdlib.h>

#include "render/viewer/viewer_internal.h"
#include "viewer_support.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static uint32_t left; ///< allocations until one fails; 0 = none will

static int fails(void) {
    return left > 0 && --left == 0;
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    return fails() ? NULL : __real_realloc(memory, size);
}

/// Gives back what drawings keep, so that the next use has to ask for memory again.
static void forget(nm_drawing *drawing) {
    nm_drawing_free(drawing);
}

static void opening(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    nm_error error;
    uint32_t refused = 0;
    test_open(viewer, 101, 0);
    for (uint32_t n = 1;; n++) {
        nm_error_clear(&error);
        forget(&viewer->spare);
        left = n;
        const nm_status status = nm_viewer_open(viewer, 102, 1, &error);
        left = 0;
        const nm_viewer_status s = nm_viewer_get(viewer);
        if (status == NM_OK) {
            assert_int_equal(s.panes, 2);
            break;
        }
        refused++;
        assert_int_equal(status, NM_E_MEMORY);
        assert_true(error.message[0] != 0);
        assert_int_equal(s.panes, 1); // nothing is left half open
        assert_int_equal(s.scene[0], 101);
        assert_int_equal(source.open, 1);
        assert_true(test_says(viewer, "101")); // and what is open can be drawn
    }
    assert_true(refused > 5); // the map alone takes several arrays
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void going_live(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    nm_error error;
    uint32_t refused = 0;
    test_open(viewer, 101, 0);
    for (uint32_t n = 1;; n++) {
        nm_error_clear(&error);
        left = n;
        const nm_status status = nm_viewer_start_live(viewer, &error);
        left = 0;
        if (status == NM_OK) break;
        refused++;
        assert_int_equal(status, NM_E_MEMORY);
        assert_false(nm_viewer_get(viewer).live[0]);
        assert_int_equal(nm_viewer_get(viewer).steps[0], 40);
    }
    assert_true(refused > 5);
    assert_true(nm_viewer_get(viewer).live[0]);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

/// A small picture that there is no memory for is left out; the list can be drawn.
static void small_pictures(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 350);
    const nm_viewer_view *views;
    const nm_drawing *screen[2];
    uint32_t count, left_out = 0;
    nm_error error;
    assert_true(test_says(viewer, "scene number 0")); // the panels have their memory
    for (uint32_t n = 1;; n++) {
        nm_viewer_thumbnail *t = &viewer->thumbnails[0];
        t->used = 0;
        forget(&t->map);
        forget(&t->frame);
        left = n;
        nm_viewer_tick(viewer, 0.01f);
        const int reached = left == 0;
        left = 0;
        assert_int_equal(source.open, 0);
        assert_int_equal(nm_viewer_compose(viewer, &views, &count, screen, &error), NM_OK);
        assert_int_equal(count, t->failed ? 0 : 1);
        left_out += (uint32_t)t->failed;
        if (!reached) break;
    }
    assert_true(left_out > 5);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void creating(void **state) {
    (void)state;
    nm_viewer_config config = nm_viewer_config_default();
    nm_viewer *viewer = NULL;
    nm_error error;
    uint32_t refused = 0;
    for (uint32_t n = 1; !viewer; n++) {
        left = n;
        const nm_status status = nm_viewer_create(&config, &viewer, &error);
        left = 0;
        assert_int_equal(status, viewer ? NM_OK : NM_E_MEMORY);
        refused += !viewer;
    }
    assert_true(refused > 0);
    nm_viewer_destroy(viewer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening),
        cmocka_unit_test(going_live),
        cmocka_unit_test(small_pictures),
        cmocka_unit_test(creating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
