/// Files that appear when they are complete.
#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/whole_file.h"

enum { FILES = 5 };

typedef struct room {
    char folder[256], paths[FILES][300];
    nm_whole_file files[FILES];
} room;

static int setup(void **state) {
    room *r = calloc(1, sizeof *r);
    assert_non_null(r);
    char folder[sizeof r->folder]; // of its own: gcc takes two members of one object for one text that overlaps
    snprintf(folder, sizeof folder, "%s/nm-whole-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(folder));
    memcpy(r->folder, folder, sizeof folder);
    for (int i = 0; i < FILES; i++) {
        snprintf(r->paths[i], sizeof *r->paths, "%s/%d", folder, i);
        assert_int_equal(nm_whole_file_open(&r->files[i], r->paths[i], NM_WHOLE_FILE_STREAM, NULL), NM_OK);
        fprintf(r->files[i].stream, "content %d", i);
        assert_int_not_equal(access(r->paths[i], F_OK), 0);
    }
    *state = r;
    return 0;
}

static int teardown(void **state) {
    room *r = *state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", r->folder);
    assert_int_equal(system(command), 0);
    free(r);
    return 0;
}

/// Names in the folder; those of temporary files count as well.
static int names(const room *r) {
    char command[300];
    int count = 0;
    snprintf(command, sizeof command, "ls '%s' | wc -l", r->folder);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    assert_int_equal(fscanf(out, "%d", &count), 1);
    pclose(out);
    return count;
}

static void expect(const room *r, int i) {
    char found[64] = "", wanted[64];
    FILE *file = fopen(r->paths[i], "r");
    assert_non_null(file);
    assert_non_null(fgets(found, sizeof found, file));
    fclose(file);
    snprintf(wanted, sizeof wanted, "content %d", i);
    assert_string_equal(found, wanted);
}

static void all_appear(void **state) {
    room *r = *state;
    assert_int_equal(nm_whole_files_keep(r->files, FILES, NULL), NM_OK);
    for (int i = 0; i < FILES; i++) expect(r, i);
    assert_int_equal(names(r), FILES);
    assert_int_equal(nm_whole_files_keep(r->files, 0, NULL), NM_OK);
}

/// The third can not have its name: those before it have theirs, the others are gone.
static void what_fails_leaves_no_half(void **state) {
    room *r = *state;
    nm_error error;
    assert_int_equal(mkdir(r->paths[2], 0777), 0);
    assert_int_equal(nm_whole_files_keep(r->files, FILES, &error), NM_E_IO);
    assert_string_equal(error.input, r->paths[2]);
    expect(r, 0);
    expect(r, 1);
    assert_int_equal(names(r), 3);
}

/// A full disk shows when bytes are handed over, before anything has its name.
static void a_full_disk_leaves_nothing(void **state) {
    room *r = *state;
    nm_error error;
    if (access("/dev/full", W_OK) != 0) {
        for (int i = 0; i < FILES; i++) nm_whole_file_drop(&r->files[i]);
        skip();
    }
    nm_whole_file_drop(&r->files[3]);
    assert_int_equal(nm_whole_file_open(&r->files[3], "/dev/full", NM_WHOLE_FILE_STREAM, NULL), NM_OK);
    fprintf(r->files[3].stream, "more than there is room for");
    assert_int_equal(nm_whole_files_keep(r->files, FILES, &error), NM_E_IO);
    assert_string_equal(error.input, "/dev/full");
    assert_int_equal(names(r), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {TEST(all_appear), TEST(what_fails_leaves_no_half),
                                       TEST(a_full_disk_leaves_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
