/// What every test program includes: cmocka and its prerequisites, and where the optional data are.
#ifndef NM_TESTS_SUPPORT_H
#define NM_TESTS_SUPPORT_H

// cmocka.h needs these first
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/// cmocka's own takes NaN for equal to anything, and infinity, too: a result that is missing would pass for any value.
#undef assert_float_equal
#define assert_float_equal(a, b, epsilon) nm_test_near((double)(a), (double)(b), (double)(epsilon), __FILE__, __LINE__)
static inline void nm_test_near(double a, double b, double epsilon, const char *file, int line) {
    if (a == b || fabs(a - b) <= fmax(epsilon, 1.2e-7 * fmin(fabs(a), fabs(b)))) return;
    print_error("%.9g != %.9g\n", a, b);
    _fail(file, line);
}

/// Optional third-party data: $NM_SHARED, else ../shared beside the checkout. Tests skip, saying so, when it is
/// missing.
static inline const char *nm_test_shared(void) {
    const char *path = getenv("NM_SHARED");
    return path ? path : NM_SOURCE_DIR "/../shared";
}
static inline int nm_test_have(char *path, size_t size, const char *relative) {
    snprintf(path, size, "%s/%s", nm_test_shared(), relative);
    FILE *file = fopen(path, "rb");
    if (!file) {
        printf("skipped: %s is not there\n", relative);
        return 0;
    }
    fclose(file);
    return 1;
}

#endif
