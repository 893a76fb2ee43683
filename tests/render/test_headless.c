/// Contexts without a screen: what can not be had is said, what is read is what was drawn.
#include "render/support_gl.h"

#include <sys/wait.h>
#include <unistd.h>

static const nm_rgba red = {255, 0, 0, 255}, green = {0, 255, 0, 255}, blue = {0, 0, 255, 255};

static void assert_all(const uint8_t *pixels, int count, nm_rgba colour) {
    for (int i = 0; i < count; i++) assert_memory_equal(pixels + 4 * i, &colour, 4);
}

/// Makes a configuration of fontconfig in which there is no font; `path` as for mkstemp.
static void no_fonts(char *path) {
    static const char empty[] = "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\"><fontconfig/>";
    const int descriptor = mkstemp(path);
    assert_int_equal(write(descriptor, empty, sizeof empty - 1), sizeof empty - 1);
    close(descriptor);
}

static void rows_from_above(void **state) {
    (void)state;
    nm_headless *headless = nm_test_headless(31, 17); // no multiple of anything
    if (!headless) skip();
    uint8_t pixels[4 * 31 * 17];
    nm_error error;
    const nm_viewport upper = {0, 0, 31, 5, 17};
    nm_renderer_clear(nm_headless_renderer(headless), nm_headless_viewport(headless), blue);
    nm_renderer_clear(nm_headless_renderer(headless), upper, red);
    CHECK_OK(nm_headless_read(headless, pixels, &error), error);
    assert_all(pixels, 31 * 5, red);
    assert_all(pixels + 4 * 31 * 5, 31 * 12, blue);
    nm_headless_destroy(headless);
    nm_headless_destroy(NULL);
}

static void reads_overlap_in_order(void **state) {
    (void)state;
    nm_headless *headless = nm_test_headless(16, 16);
    if (!headless) skip();
    const nm_rgba colours[3] = {red, green, blue};
    uint8_t pixels[4 * 16 * 16];
    nm_error error;
    for (int i = 0; i < 10; i++) {
        nm_renderer_clear(nm_headless_renderer(headless), nm_headless_viewport(headless), colours[i % 3]);
        CHECK_OK(nm_headless_read_begin(headless, &error), error);
        if (i == 0) continue;
        CHECK_OK(nm_headless_read_end(headless, pixels, &error), error);
        assert_all(pixels, 16 * 16, colours[(i - 1) % 3]);
    }
    CHECK_OK(nm_headless_read_end(headless, pixels, &error), error);
    assert_all(pixels, 16 * 16, colours[0]);
    nm_headless_destroy(headless);
}

static void sizes_change(void **state) {
    (void)state;
    nm_headless *headless = nm_test_headless(64, 64);
    if (!headless) skip();
    static uint8_t pixels[4 * 300 * 200];
    nm_error error;
    for (int i = 0; i < 6; i++) {
        const int width = i % 2 ? 300 : 10, height = i % 3 ? 200 : 20;
        CHECK_OK(nm_headless_resize(headless, width, height, &error), error);
        assert_int_equal(nm_headless_viewport(headless).width, width);
        assert_int_equal(nm_headless_viewport(headless).full_height, height);
        nm_renderer_clear(nm_headless_renderer(headless), nm_headless_viewport(headless), green);
        CHECK_OK(nm_headless_read(headless, pixels, &error), error);
        assert_all(pixels, width * height, green);
    }
    nm_headless_destroy(headless);
}

static void a_read_that_fails_leaves_nothing_under_way(void **state) {
    (void)state;
    nm_headless *headless = nm_test_headless(8, 8);
    if (!headless) skip();
    uint8_t pixels[4 * 8 * 8];
    nm_error error;
    const nm_viewport refused = {0, 0, -1, 8, 8}; // by GL
    for (int i = 0; i < 3; i++) {
        nm_renderer_clear(nm_headless_renderer(headless), refused, red);
        assert_int_equal(nm_headless_read(headless, pixels, &error), NM_E_NUMERIC);
    }
    nm_renderer_clear(nm_headless_renderer(headless), nm_headless_viewport(headless), blue);
    CHECK_OK(nm_headless_read(headless, pixels, &error), error);
    assert_all(pixels, 64, blue);
    nm_headless_destroy(headless);
}

static void two_at_once(void **state) {
    (void)state;
    nm_headless *one = nm_test_headless(8, 8);
    if (!one) skip();
    nm_headless *other = nm_test_headless(8, 8);
    uint8_t pixels[4 * 8 * 8];
    nm_error error;
    nm_headless_destroy(one); // the other one lives on
    nm_headless *third = nm_test_headless(8, 8);
    nm_headless_destroy(other);
    nm_renderer_clear(nm_headless_renderer(third), nm_headless_viewport(third), blue);
    CHECK_OK(nm_headless_read(third, pixels, &error), error);
    assert_all(pixels, 64, blue);
    nm_headless_destroy(third);
}

/// A font is looked for when the new context is current already: without one it has to make way again.
static void a_failure_leaves_the_context_that_was_current(void **state) {
    (void)state;
    nm_headless *mine = nm_test_headless(8, 8), *other = NULL;
    if (!mine) skip();
    char path[] = "/tmp/nearmiss-fonts-XXXXXX";
    uint8_t pixels[4 * 8 * 8];
    nm_error error;
    no_fonts(path);
    setenv("FONTCONFIG_FILE", path, 1);
    const nm_status status = nm_headless_create(8, 8, "software", &other, &error);
    unsetenv("FONTCONFIG_FILE");
    unlink(path);
    assert_int_equal(status, NM_E_NOT_FOUND);
    assert_null(other);
    nm_renderer_clear(nm_headless_renderer(mine), nm_headless_viewport(mine), blue);
    CHECK_OK(nm_headless_read(mine, pixels, &error), error);
    assert_all(pixels, 64, blue);
    nm_headless_destroy(mine);
}

static void arguments_are_looked_at(void **state) {
    (void)state;
    nm_headless *headless = NULL;
    nm_error error;
    assert_int_equal(nm_headless_create(0, 10, "software", &headless, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_headless_create(10, 8193, "software", &headless, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_headless_create(10, 10, "abacus", &headless, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "abacus"));
    assert_int_equal(nm_headless_create(10, 10, "-1", &headless, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_headless_create(10, 10, "31", &headless, &error), NM_E_UNSUPPORTED);
    assert_null(headless);
}

/// Tries in a process of its own, where the drivers read the environment for the first time. The child's exit status
/// says the code, its output the message.
static nm_status create_with(const char *name, const char *value, char *message, size_t size) {
    int ends[2], result;
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        nm_headless *headless = NULL;
        nm_error error;
        nm_error_clear(&error);
        setenv(name, value, 1);
        const nm_status status = nm_headless_create(10, 10, "software", &headless, &error);
        if (write(ends[1], error.message, strlen(error.message)) < 0) _exit(99);
        _exit((int)status);
    }
    close(ends[1]);
    const ssize_t length = read(ends[0], message, size - 1);
    message[length > 0 ? length : 0] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    return (nm_status)WEXITSTATUS(result);
}

static void what_is_missing_is_named(const char *name, const char *value, nm_status status, const char *text) {
    char message[600];
    const nm_status got = create_with(name, value, message, sizeof message);
    if (got != status || !strstr(message, text)) fail_msg("%s=%s: %s '%s'", name, value, nm_status_name(got), message);
}

static void old_opengl(void **state) {
    (void)state;
    what_is_missing_is_named("MESA_GL_VERSION_OVERRIDE", "3.2", NM_E_UNSUPPORTED, "OpenGL 3.3");
}
static void no_driver(void **state) {
    (void)state;
    what_is_missing_is_named("__EGL_VENDOR_LIBRARY_DIRS", "/nonexistent", NM_E_UNSUPPORTED, "EGL");
}
static void no_font(void **state) {
    (void)state;
    char path[] = "/tmp/nearmiss-fonts-XXXXXX";
    no_fonts(path);
    char message[600];
    const nm_status status = create_with("FONTCONFIG_FILE", path, message, sizeof message);
    unlink(path);
    if (status == NM_E_UNSUPPORTED) skip(); // no context at all
    assert_int_equal(status, NM_E_NOT_FOUND);
    assert_non_null(strstr(message, "fonts-dejavu-core"));
}

int main(void) {
    // Those that fork first: drivers start threads of their own.
    const struct CMUnitTest tests[] = {cmocka_unit_test(old_opengl),
                                       cmocka_unit_test(no_driver),
                                       cmocka_unit_test(no_font),
                                       cmocka_unit_test(rows_from_above),
                                       cmocka_unit_test(reads_overlap_in_order),
                                       cmocka_unit_test(sizes_change),
                                       cmocka_unit_test(a_read_that_fails_leaves_nothing_under_way),
                                       cmocka_unit_test(two_at_once),
                                       cmocka_unit_test(a_failure_leaves_the_context_that_was_current),
                                       cmocka_unit_test(arguments_are_looked_at)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
