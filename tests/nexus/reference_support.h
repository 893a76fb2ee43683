/// For tests that look into the memory of the reference backend, which is the host's: the backend itself as a fixture
/// of the whole program, and its elements.
#ifndef NM_TESTS_NEXUS_REFERENCE_SUPPORT_H
#define NM_TESTS_NEXUS_REFERENCE_SUPPORT_H

#include "ops_support.h"

static nm_backend *reference;

static inline int make_reference(void **state) {
    (void)state;
    return nm_backend_create_reference(&reference, NULL) == NM_OK ? 0 : -1;
}
static inline int destroy_reference(void **state) {
    (void)state;
    nm_backend_destroy(reference);
    return 0;
}

static inline double *at(nm_tensor t, uint32_t row, uint32_t col) {
    assert_true(t.dtype == NM_F64 && row < t.rows && col < t.cols);
    return (double *)t.data + (size_t)row * t.stride + col;
}

static inline void expect_near(double actual, double expected, double tolerance) {
    if (!(fabs(actual - expected) <= tolerance))
        fail_msg("%.17g is not within %.3g of %.17g", actual, tolerance, expected);
}
static inline void expect_all_near(nm_tensor a, nm_tensor b, double tolerance) {
    assert_true(nm_tensor_same_shape(a, b));
    for (uint32_t r = 0; r < a.rows; r++)
        for (uint32_t c = 0; c < a.cols; c++) expect_near(*at(a, r, c), *at(b, r, c), tolerance);
}

#endif
