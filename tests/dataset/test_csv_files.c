/// Large files of rows: read in pieces, by one thread or cut into scenes for many, they give the same.
#include "formats_support.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/wait.h>
#include <unistd.h>

#define WINDOW ((size_t)1 << 20) // of the reader

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/nm-csv-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}
static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/// What came of a file: everything about it in one number, and the refusals.
typedef struct outcome {
    uint64_t digest, scenes, refusals, records;
    int64_t lines[4];  // of the first refusals
    char words[4][64]; // and how they begin
} outcome;

static nm_status note_scene(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    outcome *o = context;
    (void)input, (void)error;
    assert_int_equal(record, scene->provenance.record);
    o->digest = nm_hash64(o->digest ^ scene->hash) + record;
    o->scenes++;
    nm_scene_destroy(scene);
    return NM_OK;
}
static void note_refusal(void *context, const nm_error *error) {
    outcome *o = context;
    if (o->refusals < 4) {
        o->lines[o->refusals] = error->line;
        snprintf(o->words[o->refusals], sizeof *o->words, "%.63s", error->message);
    }
    o->refusals++;
}

static nm_importer *importer_of(uint64_t max_file_bytes) {
    nm_import_limits limits = nm_import_limits_default();
    if (max_file_bytes) limits.max_file_bytes = max_file_bytes;
    nm_importer *importer = nm_importer_create(&limits);
    assert_non_null(importer);
    return importer;
}

static nm_status read_piece(void *context, const nm_piece *piece, nm_error *error) {
    outcome *o = context;
    if (piece->kind != NM_PIECE_RECORD) return NM_OK;
    o->records++;
    nm_importer *reader = importer_of(0);
    const nm_status status = nm_import_piece(reader, piece, note_scene, note_refusal, o, error);
    nm_importer_destroy(reader);
    return status;
}

static outcome read_path(const char *path, int split, uint64_t max_file_bytes) {
    outcome o = {0};
    nm_error error;
    nm_importer *importer = importer_of(max_file_bytes);
    const nm_status status = split ? nm_import_split(importer, path, read_piece, note_refusal, &o, &error)
                                   : nm_import_file(importer, path, note_scene, note_refusal, &o, NULL, &error);
    if (status != NM_OK) fail_msg("%s", error.message);
    nm_importer_destroy(importer);
    if (split) assert_true(o.records >= o.scenes);
    o.records = 0;
    return o;
}

static void expect_same(const outcome *a, const outcome *b) {
    assert_true(a->digest == b->digest);
    assert_int_equal(a->scenes, b->scenes);
    assert_int_equal(a->refusals, b->refusals);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(a->lines[i], b->lines[i]);
        assert_string_equal(a->words[i], b->words[i]);
    }
}

static const char header[] = "scene,step,time_s,track_id,type,x_m,y_m,heading_rad,note\r\n";

/// Scenes of 1 to 40 rows until there are `size` bytes, in lines of very different lengths; a few have a bad row.
static char *make_rows(size_t size, size_t *used) {
    dice d = {.seed = 5};
    char *text = malloc(size + 100000), *at = text;
    assert_non_null(text);
    at += sprintf(at, "\xef\xbb\xbf%s", header);
    for (unsigned scene = 0; (size_t)(at - text) < size; scene++) {
        const unsigned rows = 1 + throw_dice(&d, 40), bad = throw_dice(&d, 300) == 0 ? throw_dice(&d, rows) : rows;
        for (unsigned i = 0; i < rows; i++) {
            at += sprintf(at, "town %u,%u,%.1f,%s,car,%.3f,2,0,\"", scene, i, 0.1 * i, i == bad ? "x" : "7",
                          draw(&d, -50.0, 50.0));
            const size_t note = throw_dice(&d, 8) ? throw_dice(&d, 20) : throw_dice(&d, 2000);
            memset(at, 'n', note);
            at += note;
            at += sprintf(at, throw_dice(&d, 2) ? "\"\r\n" : "\"\n");
        }
        if (throw_dice(&d, 9) == 0) *at++ = '\n';
    }
    *used = (size_t)(at - text);
    return text;
}

static void write_text(const char *path, const char *text, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/// As a member of an archive, or compressed as it is (`format` raw).
static void write_packed(const char *path, int format, const char *text, size_t size) {
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    assert_int_equal(archive_write_set_format(a, format), ARCHIVE_OK);
    assert_true(archive_write_add_filter_gzip(a) >= ARCHIVE_WARN);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    archive_entry_set_pathname(entry, "rows.csv");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)size);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, text, size), size);
    archive_entry_free(entry);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

/// The file is many times as large as what may be held, and is read by whichever way.
static void test_same_everywhere(void **state) {
    (void)state;
    char path[128];
    size_t size;
    char *text = make_rows(3 * WINDOW, &size);
    outcome whole = {0};
    nm_importer *importer = importer_of(0);
    assert_int_equal(nm_import_memory(importer, "rows.csv", text, size, note_scene, note_refusal, &whole, NULL), NM_OK);
    nm_importer_destroy(importer);
    assert_true(whole.scenes > 300 && whole.refusals >= 3 && whole.refusals < 30);
    static const struct {
        const char *name;
        int format; // of libarchive; 0 = plain
    } ways[] = {{"rows.csv", 0}, {"rows.tar.gz", ARCHIVE_FORMAT_TAR_USTAR}, {"rows.csv.gz", ARCHIVE_FORMAT_RAW}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, ways[i].name);
        if (ways[i].format)
            write_packed(path, ways[i].format, text, size);
        else
            write_text(path, text, size);
        for (int split = 0; split < 2; split++) {
            const outcome got = read_path(path, split, 200000);
            expect_same(&got, &whole);
        }
    }
    free(text);
}

/// A pipe gives a few bytes at a time.
static void test_pipe(void **state) {
    (void)state;
    char path[128];
    size_t size;
    char *text = make_rows(20000, &size);
    snprintf(path, sizeof path, "%s/small.csv", folder);
    write_text(path, text, size);
    const outcome whole = read_path(path, 0, 0);
    assert_true(whole.scenes > 1);
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    const pid_t writer = fork();
    if (writer == 0) {
        FILE *file = fopen(path, "wb");
        if (!file || setvbuf(file, NULL, _IONBF, 0) != 0) _exit(1);
        for (size_t at = 0; at < size; at += 7) fwrite(text + at, 1, size - at < 7 ? size - at : 7, file);
        _exit(fclose(file) != 0);
    }
    const outcome got = read_path(path, 0, 0);
    expect_same(&got, &whole);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
    free(text);
}

/// One scene is held, so that it must not be larger than what may be; those around it are read.
static void test_large_scene(void **state) {
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/large.csv", folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fprintf(file, "%sa,0,0,1,car,1,2,0,\n", header);
    for (unsigned i = 0; i < 20000; i++) fprintf(file, "b,%u,%.1f,1,car,1,2,0,\n", i, 0.1 * i);
    fputs("c,0,0,1,car,1,2,0,\n", file);
    assert_int_equal(fclose(file), 0);
    for (int split = 0; split < 2; split++) {
        outcome got = read_path(path, split, 0);
        assert_int_equal(got.scenes, 3);
        assert_int_equal(got.refusals, 0);
        got = read_path(path, split, 100000);
        assert_int_equal(got.scenes, 2);
        assert_int_equal(got.refusals, 1);
        assert_non_null(strstr(got.words[0], "more than is held"));
    }
}

/// A row of 1 MiB is the most; what comes behind a longer one cannot be known.
static void test_long_rows(void **state) {
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/long.csv", folder);
    for (size_t more = 0; more < 2; more++) {
        static const char row[] = "a,0,0,1,car,1,2,0,";
        char *note = malloc(WINDOW + 2);
        assert_non_null(note);
        memset(note, 'n', WINDOW + 1);
        note[WINDOW - sizeof row + more] = '\0'; // with its line feed the row has WINDOW bytes, or one more
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        fprintf(file, "%s%s%s\nb,0,0,1,car,1,2,0,\n", header, row, note);
        assert_int_equal(fclose(file), 0);
        for (int split = 0; split < 2; split++) {
            const outcome got = read_path(path, split, 0);
            assert_int_equal(got.scenes, more ? 0 : 2);
            assert_int_equal(got.refusals, more);
            if (more) assert_int_equal(got.lines[0], 2);
            if (more) assert_non_null(strstr(got.words[0], "1 MiB"));
        }
        free(note);
    }
}

/// Names are compared as the file has them, whatever of them goes into file names.
static void test_names(void **state) {
    (void)state;
    char text[2000], left[100], right[100];
    memset(left, 'l', sizeof left);
    memcpy(right, left, sizeof right);
    left[99] = right[99] = '\0';
    right[98] = 'r'; // behind what is kept of a name
    const char *const names[] = {"my scene", "my_scene", "\"my \"\"scene\"\"\"", left, right, "", "\xc3\xa4"};
    int length = snprintf(text, sizeof text, "%s", header);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (int step = 0; step < 3; step++)
            length += snprintf(text + length, sizeof text - (size_t)length, "%s,%d,%.1f,1,car,1,2,0,\n", names[i], step,
                               0.1 * step);
    }
    caught c = {0};
    import_bytes(&c, text, (size_t)length);
    assert_int_equal(c.refusals, 0);
    assert_int_equal(c.count, sizeof names / sizeof *names);
    for (size_t i = 0; i < c.count; i++) assert_int_equal(c.scenes[i]->step_count, 3);
    assert_string_equal(c.scenes[0]->provenance.scene_id, "my_scene");
    assert_int_equal(strlen(c.scenes[3]->provenance.scene_id), 63);
    forget_caught(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_everywhere), cmocka_unit_test(test_pipe),  cmocka_unit_test(test_large_scene),
        cmocka_unit_test(test_long_rows),       cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
