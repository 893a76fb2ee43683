/// One importer a thread: what comes out does not depend on how many run.
#include "commonroad_support.h"

#include "base/thread_pool.h"

#define IMPORTS 64
#define MAX_THREADS 8

typedef struct job {
    nm_importer *importers[MAX_THREADS];
    char *texts[2];
    size_t sizes[2];
    uint64_t hashes[IMPORTS];
} job;

static nm_status import_one(void *context, size_t index, int worker, nm_error *error) {
    job *j = context;
    catch c = {0};
    nm_status status = nm_import_memory(j->importers[worker], "thread.xml", j->texts[index % 2], j->sizes[index % 2],
                                        catch_scene, NULL, &c, error);
    if (status == NM_OK) j->hashes[index] = c.scene->hash;
    release_catch(&c);
    return status;
}

static void test_threads(void **state) {
    (void)state;
    static const int counts[] = {1, 2, 3, 8};
    job *j = calloc(1, sizeof *j);
    assert_non_null(j);
    j->texts[0] = read_document("2020a.xml", &j->sizes[0]);
    j->texts[1] = read_document("2018b.xml", &j->sizes[1]);
    uint64_t expected[2] = {0, 0};
    for (size_t n = 0; n < sizeof counts / sizeof counts[0]; ++n) {
        nm_error error;
        nm_thread_pool *pool;
        assert_int_equal(nm_thread_pool_create(counts[n], &pool, &error), NM_OK);
        for (int i = 0; i < counts[n]; ++i) j->importers[i] = nm_importer_create(NULL);
        assert_int_equal(nm_thread_pool_for(pool, IMPORTS, 1, import_one, j, &error), NM_OK);
        if (n == 0) memcpy(expected, j->hashes, sizeof expected);
        for (size_t i = 0; i < IMPORTS; ++i) assert_true(j->hashes[i] == expected[i % 2]);
        for (int i = 0; i < counts[n]; ++i) nm_importer_destroy(j->importers[i]);
        nm_thread_pool_destroy(pool);
    }
    free(j->texts[0]);
    free(j->texts[1]);
    free(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
