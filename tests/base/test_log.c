#include "support.h"

#include <sched.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "base/thread_pool.h"

typedef struct lines {
    char text[64][4096];
    size_t count;
    nm_log_level level;
} lines;

static void keep(void *context, nm_log_level level, const char *line) {
    lines *l = context;
    l->level = level;
    if (l->count < 64) snprintf(l->text[l->count++], sizeof l->text[0], "%s", line);
}

static lines kept;

static void one_line_per_event(void **state) {
    (void)state;
    kept.count = 0;
    nm_log *log = nm_log_create(NM_LOG_INFO, 0, keep, &kept);
    nm_log_write(log, NM_LOG_DEBUG, "import", "dropped");
    nm_log_write(log, NM_LOG_INFO, "import", "read file=%s scenes=%d", "a.xml", 3);
    nm_log_write(log, NM_LOG_WARN, "store", "evil\nerror store: forged \033[31m");
    nm_log_write(NULL, NM_LOG_ERROR, "import", "dropped");
    assert_int_equal(kept.count, 2);
    assert_string_equal(kept.text[0], "info import: read file=a.xml scenes=3");
    assert_string_equal(kept.text[1], "warn store: evil\\nerror store: forged \\x1b[31m");
    assert_int_equal(kept.level, NM_LOG_WARN);
    nm_error error;
    NM_ERROR_AT(&error, NM_E_FORMAT, "a.xml", 9, -1, "no lanes");
    nm_log_error(log, "import", &error);
    assert_string_equal(kept.text[2], "error import: a.xml:9: no lanes");
    nm_log_destroy(log);
    nm_log_destroy(NULL);
}

static void none_silences_everything(void **state) {
    (void)state;
    kept.count = 0;
    nm_log *log = nm_log_create(NM_LOG_NONE, 0, keep, &kept);
    nm_log_write(log, NM_LOG_ERROR, "import", "dropped");
    assert_int_equal(kept.count, 0);
    nm_log_destroy(log);
}

static void json_lines(void **state) {
    (void)state;
    kept.count = 0;
    nm_log *log = nm_log_create(NM_LOG_DEBUG, 1, keep, &kept);
    nm_log_write(log, NM_LOG_DEBUG, "im\"port", "quote \" slash \\ bell \a bad \xff");
    assert_string_equal(kept.text[0], "{\"level\":\"debug\",\"component\":\"im\\\"port\",\"message\":"
                                      "\"quote \\\" slash \\\\ bell \\u0007 bad \xef\xbf\xbd\"}");
    nm_error error;
    NM_ERROR_AT(&error, NM_E_FORMAT, "a\n.xml", 9, 70, "no lanes");
    nm_log_error(log, "import", &error);
    assert_string_equal(kept.text[1], "{\"level\":\"error\",\"component\":\"import\",\"message\":\"no lanes\",\"code\":"
                                      "\"NM_E_FORMAT\",\"input\":\"a\\n.xml\",\"line\":9,\"offset\":70}");
    nm_log_destroy(log);
}

static void a_long_message_is_cut(void **state) {
    (void)state;
    kept.count = 0;
    nm_log *log = nm_log_create(NM_LOG_DEBUG, 0, keep, &kept);
    char longer[10000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    nm_log_write(log, NM_LOG_INFO, "import", "%s", longer);
    assert_true(strlen(kept.text[0]) > 2000 && strlen(kept.text[0]) < 2100);
    nm_log_destroy(log);
}

static atomic_int inside, overlaps;
static void keep_alone(void *context, nm_log_level level, const char *line) {
    if (atomic_fetch_add(&inside, 1) != 0) atomic_fetch_add(&overlaps, 1);
    for (int i = 0; i < 20; i++) sched_yield();
    keep(context, level, line);
    atomic_fetch_sub(&inside, 1);
}

static nm_status log_index(void *context, size_t index, int worker, nm_error *error) {
    (void)worker;
    (void)error;
    nm_log_write(context, NM_LOG_INFO, "pool", "index=%zu", index);
    return NM_OK;
}

static void the_sink_is_called_by_one_thread_at_a_time(void **state) {
    (void)state;
    kept.count = 0;
    nm_log *log = nm_log_create(NM_LOG_DEBUG, 0, keep_alone, &kept);
    nm_thread_pool *pool;
    assert_int_equal(nm_thread_pool_create(4, &pool, NULL), NM_OK);
    assert_int_equal(nm_thread_pool_for(pool, 64, 1, log_index, log, NULL), NM_OK);
    nm_thread_pool_destroy(pool);
    assert_int_equal(atomic_load(&overlaps), 0);
    assert_int_equal(kept.count, 64);
    int seen[64] = {0};
    for (size_t i = 0; i < 64; i++) {
        unsigned index;
        assert_int_equal(sscanf(kept.text[i], "info pool: index=%u", &index), 1);
        seen[index]++;
    }
    for (size_t i = 0; i < 64; i++) assert_int_equal(seen[i], 1);
    nm_log_destroy(log);
}

static void progress_lines(void **state) {
    (void)state;
    static const struct {
        uint64_t done, total;
        double seconds;
        const char *note, *line;
    } cases[] = {
        {42, 100, 2.0, "note", "import  42% [====      ] 42/100 files  21.0 files/s  0:02 left  note"},
        {0, 100, 0.0, NULL, "import   0% [          ] 0/100 files"},
        {100, 100, 4.0, "", "import 100% [==========] 100/100 files  25.0 files/s"},
        {150, 100, 1.0, NULL, "import 100% [==========] 150/100 files  150 files/s"},
        {999, 1000, 1.0, NULL, "import  99% [========= ] 999/1000 files  999 files/s  0:00 left"},
        {12, 0, 2.0, NULL, "import 12 files  6.0 files/s"},
        {1, 10000, 1.0, NULL, "import   0% [          ] 1/10000 files  1.0 files/s  2:46:39 left"},
        {24000000, 0, 2.0, NULL, "import 24000000 files  12.0M files/s"},
        {UINT64_MAX - 1, UINT64_MAX, 1e300, NULL, NULL},
    };
    char line[256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nm_progress_format(line, sizeof line, "import", "files", cases[i].done, cases[i].total, cases[i].seconds,
                           cases[i].note);
        if (cases[i].line) assert_string_equal(line, cases[i].line);
    }
    nm_progress_format(line, 10, "import", "files", 42, 100, 2.0, "note");
    assert_string_equal(line, "import  4");
    nm_progress_format(line, 1, "import", "files", 42, 100, 2.0, "note");
    assert_string_equal(line, "");
}

static void silent_progress_is_null(void **state) {
    (void)state;
    nm_progress *progress = nm_progress_start("import", "files", 10, 1);
    assert_null(progress);
    nm_progress_add(progress, 1);
    nm_progress_note(progress, "x");
    nm_progress_finish(progress);
    const double before = nm_clock();
    assert_true(nm_clock() >= before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_per_event),
        cmocka_unit_test(none_silences_everything),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(a_long_message_is_cut),
        cmocka_unit_test(the_sink_is_called_by_one_thread_at_a_time),
        cmocka_unit_test(progress_lines),
        cmocka_unit_test(silent_progress_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
