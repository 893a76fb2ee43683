/// Opening what is there, what is not, what is somebody else's, what is damaged, and what may not be touched.
#include <sys/resource.h>
#include <sys/wait.h>

#include "scenarios/set_stats.h"
#include "store_support.h"

static nm_error failure;

static nm_status open_status(const char *path, nm_store_mode mode) {
    nm_store *store = NULL;
    nm_error_clear(&failure);
    nm_status status = nm_store_open(path, mode, &store, &failure);
    if (status == NM_OK) {
        nm_store_close(store);
    } else {
        assert_null(store);
        assert_int_equal(failure.code, status);
        assert_true(failure.message[0]);
    }
    return status;
}

static void write_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void test_what_is_not_a_store(void **state) {
    (void)state;
    folder f = folder_make();
    // missing
    assert_int_equal(open_status(f.store, NM_STORE_READ), NM_E_NOT_FOUND);
    assert_int_equal(open_status(f.store, NM_STORE_WRITE), NM_E_NOT_FOUND);
    assert_int_equal(access(f.store, F_OK), -1);
    assert_int_equal(open_status("", NM_STORE_CREATE), NM_E_ARGUMENT);
    assert_int_equal(open_status("/no/such/folder/s.db", NM_STORE_CREATE), NM_E_IO);
    // a folder
    assert_int_equal(open_status(f.path, NM_STORE_CREATE), NM_E_IO);
    assert_non_null(strstr(failure.message, "directory"));
    assert_int_equal(open_status("/dev/null", NM_STORE_READ), NM_E_IO);
    // empty
    write_file(f.store, "", 0);
    assert_int_equal(open_status(f.store, NM_STORE_READ), NM_E_FORMAT);
    assert_int_equal(open_status(f.store, NM_STORE_CREATE), NM_OK); // an empty file may become one
    assert_int_equal(open_status(f.store, NM_STORE_READ), NM_OK);
    // text
    write_file(f.store, "This is not a database, however long it may be. ", 48);
    assert_int_equal(open_status(f.store, NM_STORE_READ), NM_E_FORMAT);
    assert_int_equal(open_status(f.store, NM_STORE_CREATE), NM_E_FORMAT);
    // another program's database
    unlink(f.store);
    sql(f.store, "CREATE TABLE mine (x); INSERT INTO mine VALUES (7)");
    assert_int_equal(open_status(f.store, NM_STORE_CREATE), NM_E_FORMAT);
    assert_non_null(strstr(failure.message, "another program"));
    assert_int_equal(sql_integer(f.store, "SELECT x FROM mine"), 7);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM sqlite_schema"), 1);
    folder_remove(&f);
}

static void test_odd_names(void **state) {
    (void)state;
    folder f = folder_make();
    static const char *const names[] = {":memory:", "file:x?mode=memory", "50% off#1?.db", " s ", "\xc3\xa4.db"};
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(f.path), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        nm_store *store = open_store(names[i], NM_STORE_CREATE);
        put_random(store, i);
        nm_store_close(store);
        assert_int_equal(access(names[i], F_OK), 0);
        assert_int_equal(open_status(names[i], NM_STORE_READ), NM_OK);
    }
    assert_int_equal(chdir(here), 0);
    folder_remove(&f);
}

static void test_plain_sqlite_understands_it(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    nm_event event = random_event(4);
    int64_t id = put_random(store, 4);
    must(nm_store_put_events(store, id, &event, 1, NULL, NULL, "{}", error));
    nm_store_close(store);
    assert_int_equal(sql_integer(f.store, "PRAGMA application_id"), NM_STORE_APPLICATION_ID);
    assert_int_equal(sql_integer(f.store, "PRAGMA user_version"), NM_STORE_SCHEMA);
    assert_int_equal(sql_integer(f.store, "SELECT value FROM meta WHERE name = 'schema_version'"), NM_STORE_SCHEMA);
    static const char *const views[] = {"scenes", "events", "sources"};
    for (size_t i = 0; i < 3; i++) {
        char text[64];
        snprintf(text, sizeof text, "SELECT count(*) FROM %s", views[i]);
        assert_int_equal(sql_integer(f.store, text), 1);
    }
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM kinds WHERE definition != ''"), NM_KIND_COUNT);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM kinds WHERE events = 1"), 1);
    // nothing lies beside a store that was closed
    char beside[120];
    snprintf(beside, sizeof beside, "%s-wal", f.store);
    assert_int_equal(access(beside, F_OK), -1);
    folder_remove(&f);
}

// --- versions --------------------------------------------------------------------------------------------------------

static void test_a_newer_schema(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store_close(open_store(f.store, NM_STORE_CREATE));
    sql(f.store, "PRAGMA user_version = 73; CREATE TABLE future (x)");
    for (int mode = NM_STORE_READ; mode <= NM_STORE_CREATE; mode++) {
        assert_int_equal(open_status(f.store, (nm_store_mode)mode), NM_E_VERSION);
        assert_non_null(strstr(failure.message, "schema 73"));
        assert_non_null(strstr(failure.message, "up to 2"));
        assert_non_null(strstr(failure.message, NM_VERSION));
    }
    assert_int_equal(sql_integer(f.store, "PRAGMA user_version"), 73);
    folder_remove(&f);
}

static void test_migration(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    put_random(store, 1);
    static const nm_migration steps[] = {
        {3, "ALTER TABLE mining ADD COLUMN seconds REAL; UPDATE mining SET seconds = 5"},
        {2,
         "ALTER TABLE mining ADD COLUMN program TEXT; INSERT INTO mining (parameters, program) VALUES ('{}', 'old')"},
    };
    must(nm_store_migrate(store, steps, 2, 4, error));
    assert_int_equal(sql_integer(f.store, "PRAGMA user_version"), 4);
    assert_int_equal(sql_integer(f.store, "SELECT value FROM meta WHERE name = 'schema_version'"), 4);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM mining WHERE seconds = 5 AND program = 'old'"), 1);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM scene"), 1);
    must(nm_store_migrate(store, steps, 2, 4, error)); // nothing left to do
    assert_int_equal(nm_store_migrate(store, steps, 2, 3, &failure), NM_E_VERSION);
    assert_non_null(strstr(failure.message, "schema 4"));
    nm_store_close(store);
    assert_int_equal(open_status(f.store, NM_STORE_READ), NM_E_VERSION);
    folder_remove(&f);
}

static void test_a_migration_is_whole_or_not_at_all(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    static const nm_migration steps[] = {
        {2, "ALTER TABLE mining ADD COLUMN program TEXT"},
        {3, "ALTER TABLE mining ADD COLUMN seconds REAL; INSERT INTO nowhere VALUES (1)"},
    };
    assert_int_equal(nm_store_migrate(store, steps, 2, 4, &failure), NM_E_FORMAT);
    assert_int_equal(sql_integer(f.store, "PRAGMA user_version"), 2);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM pragma_table_info('mining')"), 2);
    static const nm_migration gap[] = {{3, "SELECT 1"}};
    assert_int_equal(nm_store_migrate(store, gap, 1, 4, &failure), NM_E_VERSION);
    assert_non_null(strstr(failure.message, "older"));
    nm_store_close(store);
    assert_int_equal(open_status(f.store, NM_STORE_WRITE), NM_OK);
    folder_remove(&f);
}

/// A store marked as schema 0 has no way up and must not be taken for an empty one.
static void test_an_older_schema_without_a_way_up(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store_close(open_store(f.store, NM_STORE_CREATE));
    sql(f.store, "PRAGMA user_version = 0");
    assert_int_equal(open_status(f.store, NM_STORE_READ), NM_E_VERSION);
    assert_int_equal(open_status(f.store, NM_STORE_CREATE), NM_E_VERSION);
    folder_remove(&f);
}

static void test_missing_kinds_are_added(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store_close(open_store(f.store, NM_STORE_CREATE));
    sql(f.store, "DELETE FROM kind WHERE id > 3"); // as an older program leaves it
    nm_store_close(open_store(f.store, NM_STORE_WRITE));
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM kind"), NM_KIND_COUNT);
    folder_remove(&f);
}

// --- damage ----------------------------------------------------------------------------------------------------------

static nm_status ignore_hit(void *context, const nm_hit *hit, nm_error *error) {
    (void)context;
    (void)hit;
    (void)error;
    return NM_OK;
}

static void count_finding(void *context, const char *finding) {
    assert_true(finding[0]);
    ++*(int *)context;
}

/// Uses everything; nothing may crash, whatever is found.
static void use_all(const char *path) {
    nm_store *store = NULL;
    if (nm_store_open(path, NM_STORE_WRITE, &store, &failure) != NM_OK) return;
    nm_arena *arena = nm_arena_create(0);
    nm_query query = nm_query_default();
    nm_stored_info info;
    nm_store_stats stats;
    nm_event *events;
    size_t count;
    int findings = 0;
    query.seconds = 2;
    (void)nm_store_find(store, &query, ignore_hit, NULL, &failure);
    query.like = 2;
    (void)nm_store_find(store, &query, ignore_hit, NULL, &failure);
    query.like = 0;
    query.text = "highway";
    (void)nm_store_find(store, &query, ignore_hit, NULL, &failure);
    for (int64_t id = 1; id <= 4; id++) {
        const nm_scene *scene = NULL;
        if (nm_store_get_scene(store, id, &scene, &failure) == NM_OK) nm_scene_destroy(scene);
        (void)nm_store_get_info(store, id, &info, &failure);
        (void)nm_store_get_events(store, id, arena, &events, &count, &failure);
    }
    nm_set_stats set;
    (void)nm_store_get_stats(store, &stats, &failure);
    (void)nm_set_stats_read(store, arena, &set, &failure);
    (void)nm_store_check(store, 1, count_finding, &findings, NULL, &failure);
    const nm_scene *scene = random_scene(99);
    int64_t id;
    (void)nm_store_put_scene(store, scene, &id, &failure);
    nm_scene_destroy(scene);
    nm_arena_destroy(arena);
    nm_store_close(store);
}

static void make_small_store(const char *path) {
    nm_store *store = open_store(path, NM_STORE_CREATE);
    must(nm_store_begin(store, error));
    for (uint64_t i = 0; i < 20; i++) {
        nm_event event = random_event(i);
        float feature[NM_FEATURE_COUNT];
        random_feature(i, feature);
        int64_t id = put_random(store, i);
        must(nm_store_put_events(store, id, &event, 1, NULL, feature, "{}", error));
    }
    must(nm_store_commit(store, error));
    nm_store_close(store);
}

static char *read_whole(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void test_damaged_pages(void **state) {
    (void)state;
    folder f = folder_make();
    size_t size;
    make_small_store(f.store);
    char *good = read_whole(f.store, &size);
    char *bad = malloc(size);
    uint32_t draw = 0;
    for (int round = 0; round < 40; round++) {
        memcpy(bad, good, size);
        const size_t page = (size_t)nm_test_uniform(9, &draw, 0, (double)(size / NM_STORE_PAGE) - 0.01);
        for (int i = 0; i < 20; i++) {
            size_t at = page * NM_STORE_PAGE + (size_t)nm_test_uniform(9, &draw, 0, NM_STORE_PAGE - 0.01);
            if (at >= 100) bad[at] = (char)nm_test_uniform(9, &draw, 0, 255.9);
        }
        write_file(f.store, bad, round % 8 == 7 ? size / 2 : size); // and cut short
        use_all(f.store);
    }
    free(good);
    free(bad);
    folder_remove(&f);
}

static void test_damaged_blobs(void **state) {
    (void)state;
    static const char *const wounds[] = {
        "UPDATE scene_data SET content = x'28b52ffd' WHERE scene = 2",
        "UPDATE scene_data SET content = NULL, raw_bytes = 1 WHERE scene = 2",
        "UPDATE scene_data SET content = zeroblob(5000) WHERE scene = 2",
        "UPDATE scene_data SET raw_bytes = 9223372036854775807 WHERE scene = 2",
        "UPDATE scene_data SET raw_bytes = -1 WHERE scene = 2",
        "UPDATE scene_data SET content = (SELECT content FROM scene_data WHERE scene = 3), raw_bytes = (SELECT "
        "raw_bytes "
        "FROM scene_data WHERE scene = 3) WHERE scene = 2",
        "UPDATE scene_data SET content = substr(content, 1, length(content) / 2) WHERE scene = 2",
        "UPDATE map SET content = zeroblob(100)",
        "PRAGMA foreign_keys = OFF; DELETE FROM map",
        "DELETE FROM scene_data WHERE scene = 2",
        "UPDATE feature_block SET vectors = zeroblob(10)",
        "UPDATE feature_block SET vectors = zeroblob(36864)",
        "UPDATE criticality SET feature = 'text' WHERE scene = 2",
        "UPDATE criticality SET events = 7 WHERE scene = 2",
        "DELETE FROM event_rtree WHERE id = 3",
        "UPDATE event SET kind = 999 WHERE scene = 2",
        "INSERT INTO scene_fts (scene_fts) VALUES ('delete-all')",
    };
    folder f = folder_make();
    for (size_t i = 0; i < sizeof wounds / sizeof *wounds; i++) {
        unlink(f.store);
        make_small_store(f.store);
        char text[512];
        snprintf(text, sizeof text, "PRAGMA ignore_check_constraints = ON; %s", wounds[i]);
        sqlite3 *db;
        assert_int_equal(sqlite3_open(f.store, &db), SQLITE_OK);
        const int refused = sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK; // by the schema itself: as good
        sqlite3_close(db);
        use_all(f.store);
        int findings = 0;
        nm_store *store = open_store(f.store, NM_STORE_WRITE);
        nm_status status = nm_store_check(store, 1, count_finding, &findings, NULL, &failure);
        nm_store_close(store);
        if (!refused && status == NM_OK && findings == 0) fail_msg("not noticed: %s", wounds[i]);
    }
    folder_remove(&f);
}

/// A read of a damaged scene says which scene of which store.
static void test_damage_is_placed(void **state) {
    (void)state;
    folder f = folder_make();
    make_small_store(f.store);
    sql(f.store, "UPDATE scene_data SET content = substr(content, 1, length(content) / 2) WHERE scene = 2");
    nm_store *store = open_store(f.store, NM_STORE_READ);
    const nm_scene *scene = NULL;
    assert_int_equal(nm_store_get_scene(store, 2, &scene, &failure), NM_E_FORMAT);
    assert_non_null(strstr(failure.message, "scene 2"));
    assert_string_equal(failure.input, f.store);
    must(nm_store_get_scene(store, 3, &scene, error)); // the others are as good as before
    nm_scene_destroy(scene);
    assert_int_equal(nm_store_get_scene(store, 999, &scene, &failure), NM_E_NOT_FOUND);
    nm_store_close(store);
    folder_remove(&f);
}

// --- what may not be touched -----------------------------------------------------------------------------------------

/// Runs `body` in a child process that is not root; returns its exit status.
static int without_rights(void (*body)(const folder *f), const folder *f) {
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(9);
        body(f);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

#define child_must(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, failure.message);                       \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static nm_status try_open(const char *path, nm_store_mode mode, nm_store **store) {
    nm_error_clear(&failure);
    return nm_store_open(path, mode, store, &failure);
}

static void read_only_body(const folder *f) {
    nm_store *store = NULL;
    const nm_scene *scene = NULL;
    child_must(try_open(f->store, NM_STORE_CREATE, &store) == NM_E_IO);
    child_must(strstr(failure.message, "cannot be written") != NULL);
    child_must(try_open(f->store, NM_STORE_READ, &store) == NM_OK);
    child_must(nm_store_get_scene(store, 2, &scene, &failure) == NM_OK);
    nm_scene_destroy(scene);
    child_must(nm_store_begin(store, &failure) == NM_E_ARGUMENT);
    child_must(nm_store_delete_scene(store, 2, &failure) == NM_E_ARGUMENT);
    nm_store_close(store);
}

static void test_read_only_file_in_read_only_folder(void **state) {
    (void)state;
    folder f = folder_make();
    make_small_store(f.store);
    chmod(f.store, 0444);
    chmod(f.path, 0555);
    assert_int_equal(without_rights(read_only_body, &f), 0);
    chmod(f.path, 0755);
    assert_int_equal(without_rights(read_only_body, &f), 0);
    folder_remove(&f);
}

static void no_folder_body(const folder *f) {
    nm_store *store = NULL;
    char path[120];
    snprintf(path, sizeof path, "%s/new.db", f->path);
    child_must(try_open(path, NM_STORE_CREATE, &store) == NM_E_IO);
    // the file may be written, but not what SQLite needs beside it
    nm_status status = try_open(f->store, NM_STORE_WRITE, &store);
    child_must(status == NM_E_IO);
}

static void test_a_folder_that_cannot_be_written(void **state) {
    (void)state;
    folder f = folder_make();
    make_small_store(f.store);
    chmod(f.store, 0666);
    chmod(f.path, 0555);
    assert_int_equal(without_rights(no_folder_body, &f), 0);
    chmod(f.path, 0755);
    folder_remove(&f);
}

static void unreadable_body(const folder *f) {
    nm_store *store = NULL;
    child_must(try_open(f->store, NM_STORE_READ, &store) == NM_E_IO);
}

static void test_an_unreadable_file(void **state) {
    (void)state;
    folder f = folder_make();
    make_small_store(f.store);
    chmod(f.store, 0);
    assert_int_equal(without_rights(unreadable_body, &f), 0);
    chmod(f.store, 0644);
    folder_remove(&f);
}

/// The file system refuses to let files grow: as a full disk does.
static void full_disk_body(const folder *f) {
    nm_store *store = NULL;
    signal(SIGXFSZ, SIG_IGN);
    child_must(try_open(f->store, NM_STORE_CREATE, &store) == NM_OK);
    const struct rlimit limit = {.rlim_cur = 900000, .rlim_max = 900000};
    child_must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    nm_status status = NM_OK;
    int64_t id, stored = 0;
    for (uint64_t i = 100; i < 3000 && status == NM_OK; i++) {
        const nm_scene *scene = random_scene(i);
        status = nm_store_put_scene(store, scene, &id, &failure);
        nm_scene_destroy(scene);
        stored += status == NM_OK;
    }
    child_must(status == NM_E_IO);
    child_must(failure.message[0] != 0);
    nm_store_close(store);
    FILE *note = fopen("stored", "w"); // the parent compares
    child_must(note != NULL);
    fprintf(note, "%d", (int)stored);
    fclose(note);
}

static void test_a_full_disk_loses_nothing(void **state) {
    (void)state;
    folder f = folder_make();
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    chmod(f.path, 0777);
    assert_int_equal(chdir(f.path), 0);
    assert_int_equal(without_rights(full_disk_body, &f), 0);
    int stored = 0;
    FILE *note = fopen("stored", "r");
    assert_non_null(note);
    assert_int_equal(fscanf(note, "%d", &stored), 1);
    fclose(note);
    assert_int_equal(chdir(here), 0);
    assert_true(stored > 5);
    nm_store *store = open_store(f.store, NM_STORE_WRITE);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM scene"), stored);
    int findings = 0;
    must(nm_store_check(store, 1, count_finding, &findings, NULL, error));
    assert_int_equal(findings, 0);
    put_random(store, 7); // there is room again
    nm_store_close(store);
    folder_remove(&f);
}

static int impatient(void *context) {
    return ++*(int *)context > 20;
}

static void test_a_second_writer_waits_and_is_told(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *first = open_store(f.store, NM_STORE_CREATE), *second = open_store(f.store, NM_STORE_WRITE);
    int asked = 0;
    must(nm_store_begin(first, error));
    put_random(first, 1);
    nm_store_set_interrupt(second, impatient, &asked);
    assert_int_equal(nm_store_begin(second, &failure), NM_E_BUSY);
    assert_non_null(strstr(failure.message, "another program is writing"));
    assert_true(asked > 10); // it did wait
    nm_store_stats stats;
    must(nm_store_get_stats(second, &stats, error)); // and may read
    assert_int_equal(stats.scenes, 0);
    must(nm_store_commit(first, error));
    asked = 0;
    must(nm_store_begin(second, error));
    put_random(second, 2);
    must(nm_store_commit(second, error));
    must(nm_store_get_stats(first, &stats, error));
    assert_int_equal(stats.scenes, 2);
    nm_store_close(first);
    nm_store_close(second);
    folder_remove(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_a_store),
        cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_plain_sqlite_understands_it),
        cmocka_unit_test(test_a_newer_schema),
        cmocka_unit_test(test_migration),
        cmocka_unit_test(test_a_migration_is_whole_or_not_at_all),
        cmocka_unit_test(test_an_older_schema_without_a_way_up),
        cmocka_unit_test(test_missing_kinds_are_added),
        cmocka_unit_test(test_damaged_pages),
        cmocka_unit_test(test_damaged_blobs),
        cmocka_unit_test(test_damage_is_placed),
        cmocka_unit_test(test_read_only_file_in_read_only_folder),
        cmocka_unit_test(test_a_folder_that_cannot_be_written),
        cmocka_unit_test(test_an_unreadable_file),
        cmocka_unit_test(test_a_full_disk_loses_nothing),
        cmocka_unit_test(test_a_second_writer_waits_and_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
