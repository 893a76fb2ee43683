#include "support.h"

#include <signal.h>
#include <stdatomic.h>

#include "base/rng.h"
#include "base/thread_pool.h"

static const int thread_counts[] = {1, 2, 3, 8};

typedef struct squares {
    uint64_t *out;
    atomic_int *occupied; ///< per worker: catches one worker used by two calls at once
    int threads;
} squares;

static nm_status square(void *context, size_t index, int worker, nm_error *error) {
    squares *s = context;
    if (worker < 0 || worker >= s->threads) return NM_ERROR(error, NM_E_LIMIT, "worker %d", worker);
    if (atomic_fetch_add(&s->occupied[worker], 1) != 0) return NM_ERROR(error, NM_E_BUSY, "worker %d", worker);
    s->out[index] += nm_hash64(index);
    atomic_fetch_sub(&s->occupied[worker], 1);
    return NM_OK;
}

static void every_index_runs_once(void **state) {
    (void)state;
    enum { COUNT = 1001 };
    static const size_t grains[] = {1, 7, 5000};
    for (size_t t = 0; t < 4; t++) {
        nm_thread_pool *pool;
        assert_int_equal(nm_thread_pool_create(thread_counts[t], &pool, NULL), NM_OK);
        assert_int_equal(nm_thread_pool_threads(pool), thread_counts[t]);
        for (size_t g = 0; g < 3; g++) {
            for (size_t count = 0; count <= COUNT; count += count < 10 ? 1 : 331) {
                uint64_t out[COUNT + 1] = {0};
                atomic_int occupied[8] = {0};
                squares context = {out, occupied, thread_counts[t]};
                nm_error error;
                assert_int_equal(nm_thread_pool_for(pool, count, grains[g], square, &context, &error), NM_OK);
                for (size_t i = 0; i < count; i++) assert_true(out[i] == nm_hash64(i));
                assert_true(out[count] == 0);
            }
        }
        nm_thread_pool_destroy(pool);
    }
    nm_thread_pool_destroy(NULL);
}

typedef struct failing {
    atomic_size_t calls;
    size_t every; ///< index % every == every - 1 fails
} failing;

static nm_status fail_sometimes(void *context, size_t index, int worker, nm_error *error) {
    failing *f = context;
    (void)worker;
    atomic_fetch_add(&f->calls, 1);
    if (index % f->every == f->every - 1) return NM_ERROR_AT(error, NM_E_FORMAT, "in.xml", (int64_t)index, -1, "bad");
    return NM_OK;
}

/// Indices are handed out in order, so the lowest failing index always runs and always wins.
static void the_lowest_failure_is_reported(void **state) {
    (void)state;
    for (size_t t = 0; t < 4; t++) {
        nm_thread_pool *pool;
        assert_int_equal(nm_thread_pool_create(thread_counts[t], &pool, NULL), NM_OK);
        for (int repeat = 0; repeat < 200; repeat++) {
            failing f = {.every = 5 + (size_t)repeat % 3};
            nm_error error;
            assert_int_equal(nm_thread_pool_for(pool, 100000, 1 + (size_t)repeat % 4, fail_sometimes, &f, &error),
                             NM_E_FORMAT);
            assert_int_equal(error.line, f.every - 1);
            assert_string_equal(error.input, "in.xml");
            assert_true(atomic_load(&f.calls) < 100000); // stopped early
        }
        // a failed loop leaves nothing behind
        failing none = {.every = SIZE_MAX};
        assert_int_equal(nm_thread_pool_for(pool, 50, 1, fail_sometimes, &none, NULL), NM_OK);
        assert_int_equal(atomic_load(&none.calls), 50);
        nm_thread_pool_destroy(pool);
    }
}

static nm_status fail_silently(void *context, size_t index, int worker, nm_error *error) {
    (void)context;
    (void)index;
    (void)worker;
    (void)error;
    return NM_E_CANCELLED;
}

static void a_status_without_an_error_is_kept(void **state) {
    (void)state;
    nm_thread_pool *pool;
    nm_error error;
    assert_int_equal(nm_thread_pool_create(2, &pool, &error), NM_OK);
    assert_int_equal(nm_thread_pool_for(pool, 10, 1, fail_silently, NULL, &error), NM_E_CANCELLED);
    assert_int_equal(error.code, NM_E_CANCELLED);
    assert_int_equal(nm_thread_pool_for(pool, 10, 1, fail_silently, NULL, NULL), NM_E_CANCELLED);
    nm_thread_pool_destroy(pool);
}

static void checks_the_number_of_threads(void **state) {
    (void)state;
    nm_thread_pool *pool;
    nm_error error;
    assert_int_equal(nm_thread_pool_create(-1, &pool, &error), NM_E_ARGUMENT);
    assert_null(pool);
    assert_non_null(strstr(error.message, "-1"));
    assert_int_equal(nm_thread_pool_create(257, &pool, &error), NM_E_ARGUMENT);
    assert_true(nm_cpu_count() >= 1);
    assert_int_equal(nm_thread_pool_create(0, &pool, &error), NM_OK);
    assert_true(nm_thread_pool_threads(pool) >= 1);
    nm_thread_pool_destroy(pool);
}

static nm_status note_signal_mask(void *context, size_t index, int worker, nm_error *error) {
    (void)index;
    (void)error;
    atomic_int *unblocked = context;
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    if (worker > 0 && !sigismember(&mask, SIGINT)) atomic_fetch_add(unblocked, 1);
    return NM_OK;
}

static void workers_leave_signals_to_the_program(void **state) {
    (void)state;
    nm_thread_pool *pool;
    assert_int_equal(nm_thread_pool_create(4, &pool, NULL), NM_OK);
    atomic_int unblocked = 0;
    assert_int_equal(nm_thread_pool_for(pool, 1000, 1, note_signal_mask, &unblocked, NULL), NM_OK);
    assert_int_equal(atomic_load(&unblocked), 0);
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_false(sigismember(&mask, SIGINT)); // the caller's own mask is as it was
    nm_thread_pool_destroy(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_runs_once),
        cmocka_unit_test(the_lowest_failure_is_reported),
        cmocka_unit_test(a_status_without_an_error_is_kept),
        cmocka_unit_test(checks_the_number_of_threads),
        cmocka_unit_test(workers_leave_signals_to_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
