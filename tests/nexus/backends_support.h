/// The backends a test of the network runs on. One that can not be had here is skipped, saying so.
#ifndef NM_TESTS_BACKENDS_SUPPORT_H
#define NM_TESTS_BACKENDS_SUPPORT_H

#include "nexus/ops/ops.h"
#include "tests/support.h"

typedef struct test_backend {
    nm_backend *backend;
    double tolerance; ///< of float32 results, relative to the largest
} test_backend;

enum { TEST_BACKENDS = 5 };

/// Opens all there are; returns how many. Release with close_backends.
static inline int open_backends(test_backend *backends) {
    int count = 0;
    for (int i = 0; i < TEST_BACKENDS; ++i) {
        static const char *const names[TEST_BACKENDS] = {"reference", "cpu f32", "cpu bf16", "cuda f32", "cuda bf16"};
        nm_backend_config config = nm_backend_config_default();
        config.compute = i % 2 ? NM_F32 : NM_BF16;
        config.threads = 2;
        nm_error error;
        test_backend *b = &backends[count];
        b->tolerance = config.compute == NM_BF16 && i > 0 ? 2e-2 : 1e-4;
        const nm_status status = i == 0  ? nm_backend_create_reference(&b->backend, &error)
                                 : i < 3 ? nm_backend_create_cpu(&config, &b->backend, &error)
                                         : nm_backend_create_cuda(&config, &b->backend, &error);
        if (status == NM_OK) {
            count++;
            continue;
        }
        assert_int_equal(status, NM_E_UNSUPPORTED);
        printf("skipped: %s: %s\n", names[i], error.message);
    }
    return count;
}

static inline void close_backends(test_backend *backends, int count) {
    for (int i = 0; i < count; ++i) nm_backend_destroy(backends[i].backend);
}

#endif
