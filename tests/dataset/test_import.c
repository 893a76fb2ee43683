/// Files, formats and archives.
#include "commonroad_support.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "dataset/tfrecord.h"

// --- a folder of its own for each run --------------------------------------------------------------------------------

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/nm-import-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}
static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}
static const char *in_folder(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}
static void write_file(const char *name, const void *bytes, size_t size) {
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static catch import_path(const char *path, uint64_t *bytes_read) {
    catch c = {0};
    nm_error error;
    nm_importer *importer = nm_importer_create(NULL);
    assert_int_equal(nm_import_file(importer, path, catch_scene, catch_refusal, &c, bytes_read, &error), NM_OK);
    nm_importer_destroy(importer);
    return c;
}

// --- formats ---------------------------------------------------------------------------------------------------------

static void test_detection(void **state) {
    (void)state;
#define DETECT(text) nm_detect_format(text, sizeof(text) - 1)
    assert_int_equal(DETECT("<commonRoad"), NM_FORMAT_COMMONROAD);
    assert_int_equal(DETECT("\xef\xbb\xbf \r\n\t<?xml version='1.0'?>"), NM_FORMAT_COMMONROAD);
    assert_int_equal(DETECT("\xff\xfe<\0?\0"), NM_FORMAT_COMMONROAD);
    assert_int_equal(DETECT("\xfe\xff\0<\0?"), NM_FORMAT_COMMONROAD);
    assert_int_equal(DETECT("\x1f\x8b\x08"), NM_FORMAT_ARCHIVE);
    assert_int_equal(DETECT("BZh91AY"), NM_FORMAT_ARCHIVE);
    assert_int_equal(DETECT("\xfd"
                            "7zXZ\0\0"),
                     NM_FORMAT_ARCHIVE);
    assert_int_equal(DETECT("\x28\xb5\x2f\xfd."), NM_FORMAT_ARCHIVE);
    assert_int_equal(DETECT("PK\x03\x04."), NM_FORMAT_ARCHIVE);
    assert_int_equal(DETECT(""), NM_FORMAT_UNKNOWN);
    assert_int_equal(DETECT("{\"a\": 1}"), NM_FORMAT_UNKNOWN);
    assert_int_equal(DETECT("\xef\xbb\xbf"), NM_FORMAT_UNKNOWN);
    assert_int_equal(DETECT("\xff\xfe"), NM_FORMAT_UNKNOWN);
    uint8_t record[NM_TFRECORD_HEADER + 8] = {0};
    nm_tfrecord_header(8, record);
    assert_int_equal(nm_detect_format(record, sizeof record), NM_FORMAT_WOMD_SCENARIO);
    record[9] ^= 1; // the checksum
    assert_int_equal(nm_detect_format(record, sizeof record), NM_FORMAT_UNKNOWN);
    assert_string_equal(nm_format_name(NM_FORMAT_COMMONROAD), "commonroad");
#undef DETECT
}

static void test_plain_file(void **state) {
    (void)state;
    size_t size;
    char *text = read_document("2020a.xml", &size);
    write_file("misleading.tfrecord", text, size); // the name says nothing
    uint64_t bytes = 5;
    catch c = import_path(in_folder("misleading.tfrecord"), &bytes);
    assert_int_equal(c.scenes, 1);
    assert_string_equal(c.input, in_folder("misleading.tfrecord"));
    assert_string_equal(c.scene->provenance.file, "misleading.tfrecord");
    assert_int_equal(bytes, 5 + size);
    uint64_t hash = c.scene->hash;
    release_catch(&c);

    char *marked = malloc(size + 3);
    memcpy(marked, "\xef\xbb\xbf", 3);
    memcpy(marked + 3, text, size);
    write_file("marked.xml", marked, size + 3);
    c = import_path(in_folder("marked.xml"), NULL);
    assert_int_equal(c.scenes, 1);
    assert_true(c.scene->hash == hash); // provenance is not part of it
    release_catch(&c);
    free(marked);
    free(text);
}

static void test_utf16(void **state) {
    (void)state;
    size_t size;
    char *text = read_document("smallest.xml", &size);
    uint8_t *wide = malloc(2 * size + 2);
    wide[0] = 0xff;
    wide[1] = 0xfe;
    for (size_t i = 0; i < size; ++i) {
        wide[2 + 2 * i] = (uint8_t)text[i];
        wide[3 + 2 * i] = 0;
    }
    catch c = import_bytes("wide", wide, 2 * size + 2);
    assert_int_equal(c.scenes, 1);
    release_catch(&c);
    free(wide);
    free(text);
}

static void expect_refused_path(const char *path, nm_status code, const char *says) {
    catch c = import_path(path, NULL);
    assert_int_equal(c.scenes, 0);
    assert_int_equal(c.refusals, 1);
    if (c.refusal.code != code || !strstr(c.refusal.message, says))
        fail_msg("%s: %s %s", path, nm_status_name(c.refusal.code), c.refusal.message);
    assert_string_equal(c.refusal.input, path);
}

static void test_unreadable(void **state) {
    (void)state;
    expect_refused_path(in_folder("missing.xml"), NM_E_IO, "No such file");
    expect_refused_path(folder, NM_E_IO, "directory");
    write_file("empty.xml", "", 0);
    expect_refused_path(in_folder("empty.xml"), NM_E_FORMAT, "empty");
    expect_refused_path("/dev/zero", NM_E_FORMAT, "neither"); // seen at once, not after a gigabyte

    nm_error error; // without a refusal sink the status comes back
    catch c = {0};
    nm_importer *importer = nm_importer_create(NULL);
    assert_int_equal(nm_import_file(importer, in_folder("missing.xml"), catch_scene, NULL, &c, NULL, &error), NM_E_IO);
    assert_string_equal(error.input, in_folder("missing.xml"));
    nm_importer_destroy(importer);
}

static void test_file_limit(void **state) {
    (void)state;
    size_t size;
    char *text = read_document("2020a.xml", &size);
    write_file("big.xml", text, size);
    for (int more = 0; more < 2; ++more) {
        nm_import_limits limits = nm_import_limits_default();
        limits.max_file_bytes = size - 1 + (size_t)more;
        nm_error error;
        catch c = {0};
        nm_importer *importer = nm_importer_create(&limits);
        assert_int_equal(nm_import_file(importer, in_folder("big.xml"), catch_scene, NULL, &c, NULL, &error),
                         more ? NM_OK : NM_E_LIMIT);
        release_catch(&c);
        nm_importer_destroy(importer);
    }
    free(text);
}

/// A pipe has no size to ask for beforehand.
static void test_pipe(void **state) {
    (void)state;
    size_t size;
    char *text = read_document("2020a.xml", &size);
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    for (int more = 0; more < 2; ++more) {
        pid_t writer = fork();
        if (writer == 0) {
            FILE *file = fopen(in_folder("pipe"), "wb");
            size_t written = fwrite(text, 1, size, file);
            fclose(file);
            _exit(written != size);
        }
        nm_import_limits limits = nm_import_limits_default();
        limits.max_file_bytes = size - 1 + (size_t)more;
        nm_error error;
        catch c = {0};
        nm_importer *importer = nm_importer_create(&limits);
        assert_int_equal(nm_import_file(importer, in_folder("pipe"), catch_scene, NULL, &c, NULL, &error),
                         more ? NM_OK : NM_E_LIMIT);
        assert_int_equal(c.scenes, more);
        release_catch(&c);
        nm_importer_destroy(importer);
        assert_int_equal(waitpid(writer, NULL, 0), writer);
    }
    free(text);
}

// --- archives --------------------------------------------------------------------------------------------------------

typedef struct member {
    const char *name;
    const void *bytes;
    size_t size;
    int directory;
} member;

static void write_archive(const char *name, int format, int filter, const member *members, size_t count) {
    struct archive *a = archive_write_new();
    assert_int_equal(archive_write_set_format(a, format), ARCHIVE_OK);
    if (filter != ARCHIVE_FILTER_NONE) assert_true(archive_write_add_filter(a, filter) >= ARCHIVE_WARN);
    assert_int_equal(archive_write_open_filename(a, in_folder(name)), ARCHIVE_OK);
    for (size_t i = 0; i < count; ++i) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, members[i].name);
        archive_entry_set_filetype(entry, members[i].directory ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, (la_int64_t)members[i].size);
        assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
        if (members[i].size)
            assert_int_equal(archive_write_data(a, members[i].bytes, members[i].size), members[i].size);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static void test_archives(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int format, filter;
    } kinds[] = {{"a.tar", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE},
                 {"a.tar.gz", ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, ARCHIVE_FILTER_GZIP},
                 {"a.tar.xz", ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_XZ},
                 {"a.tar.bz2", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_BZIP2},
                 {"a.tar.zst", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_ZSTD},
                 {"a.zip", ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE}};
    size_t first_size, second_size;
    char *first = read_document("2020a.xml", &first_size), *second = read_document("2018b.xml", &second_size);
    const member members[] = {{"day/", NULL, 0, 1},
                              {"day/README", "read me", 7, 0},
                              {"day/first.xml", first, first_size, 0},
                              {"day/notes.bin", "????", 4, 0},
                              {"day/nested.gz", "\x1f\x8b\x08\0\0\0\0\0\0\3", 10, 0},
                              {"day/cut.xml", first, first_size / 2, 0},
                              {"day/second.xml", second, second_size, 0}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
        write_archive(kinds[i].name, kinds[i].format, kinds[i].filter, members, sizeof members / sizeof members[0]);
        uint64_t bytes = 0;
        catch c = import_path(in_folder(kinds[i].name), &bytes);
        assert_int_equal(c.scenes, 2); // one bad member does not stop the next
        assert_int_equal(c.refusals, 3);
        assert_int_equal(c.states, 9);
        assert_int_equal(bytes, first_size + first_size / 2 + second_size);
        char expected[300];
        snprintf(expected, sizeof expected, "%s!day/second.xml", in_folder(kinds[i].name));
        assert_string_equal(c.input, expected);
        assert_string_equal(c.scene->provenance.file, "second.xml");
        snprintf(expected, sizeof expected, "%s!day/cut.xml", in_folder(kinds[i].name));
        assert_string_equal(c.refusal.input, expected); // the last refusal
        assert_true(c.refusal.line > 1);
        release_catch(&c);
    }
    free(first);
    free(second);
}

typedef struct files {
    int count;
    uint64_t bytes;
    catch scenes;
} files;

static void refuse_file(void *context, const nm_error *error) {
    catch_refusal(&((files *)context)->scenes, error);
}

/// Reads each file that is handed over with an importer of its own.
static nm_status take_file(void *context, const nm_piece *piece, nm_error *error) {
    files *f = context;
    assert_int_equal(piece->kind, NM_PIECE_FILE);
    ++f->count;
    f->bytes += piece->size;
    nm_importer *importer = nm_importer_create(NULL);
    nm_status status = nm_import_piece(importer, piece, catch_scene, catch_refusal, &f->scenes, error);
    nm_importer_destroy(importer);
    return f->count < 3 ? status : NM_ERROR(error, NM_E_CANCELLED, "enough");
}

static void test_files(void **state) {
    (void)state;
    size_t size;
    char *text = read_document("2018b.xml", &size);
    const member members[] = {{"one.xml", text, size, 0},
                              {"two.dat", "what is this", 12, 0},
                              {"three.xml", text, size / 2, 0},
                              {"four.xml", text, size, 0},
                              {"five.xml", text, size, 0}};
    write_archive("files.tar.gz", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP, members, 5);
    files f = {0};
    nm_error error;
    nm_importer *importer = nm_importer_create(NULL);
    assert_int_equal(nm_import_split(importer, in_folder("files.tar.gz"), take_file, NULL, &f, &error), NM_E_FORMAT);
    assert_int_equal(f.count, 1); // two.dat stops it without a sink for refusals
    release_catch(&f.scenes);
    memset(&f, 0, sizeof f);
    nm_status status = nm_import_split(importer, in_folder("files.tar.gz"), take_file, refuse_file, &f, &error);
    assert_int_equal(status, NM_E_CANCELLED); // the sink's own
    assert_string_equal(error.message, "enough");
    assert_int_equal(f.count, 3);
    assert_int_equal(f.bytes, size / 2 + 2 * size);
    assert_int_equal(f.scenes.scenes, 2);
    assert_int_equal(f.scenes.refusals, 2); // two.dat by the archive, three.xml by its reader
    nm_importer_destroy(importer);
    release_catch(&f.scenes);
    free(text);
}

static void test_compressed_file(void **state) {
    (void)state;
    size_t size;
    char *text = read_document("2020a.xml", &size);
    struct archive *a = archive_write_new();
    archive_write_set_format_raw(a);
    archive_write_add_filter_gzip(a);
    assert_int_equal(archive_write_open_filename(a, in_folder("one.xml.gz")), ARCHIVE_OK);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_write_header(a, entry);
    archive_write_data(a, text, size);
    archive_entry_free(entry);
    archive_write_free(a);
    catch c = import_path(in_folder("one.xml.gz"), NULL);
    assert_int_equal(c.scenes, 1);
    assert_string_equal(c.scene->provenance.file, "one.xml");
    release_catch(&c);
    free(text);
}

static void test_damaged_archives(void **state) {
    (void)state;
    size_t size;
    char *text = read_document("2020a.xml", &size);
    const member members[] = {{"a.xml", text, size, 0}, {"b.xml", text, size, 0}};
    write_archive("whole.tar.gz", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP, members, 2);
    size_t packed;
    char *bytes = read_text(in_folder("whole.tar.gz"), &packed);
    for (size_t length = 3; length < packed; length += 61) {
        write_file("cut.tar.gz", bytes, length);
        catch c = import_path(in_folder("cut.tar.gz"), NULL);
        assert_true(c.refusals >= 1 || c.scenes == 2);
        release_catch(&c);
    }
    for (size_t at = 10; at < packed; at += 97) {
        char kept = bytes[at];
        bytes[at] = (char)(kept ^ 0x55);
        write_file("bent.tar.gz", bytes, packed);
        catch c = import_path(in_folder("bent.tar.gz"), NULL);
        assert_true(c.refusals >= 1 || c.scenes == 2);
        release_catch(&c);
        bytes[at] = kept;
    }
    free(bytes);
    free(text);
    write_archive("empty.tar.gz", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP, NULL, 0);
    expect_refused_path(in_folder("empty.tar.gz"), NM_E_FORMAT, "empty");
}

/// A document that unpacks to far more than it was: told by the ratio, before memory is gone. And the limit of a
/// member.
static void test_bomb(void **state) {
    (void)state;
    size_t size = 300u << 20; // more than what is free of charge
    struct archive *a = archive_write_new();
    archive_write_set_format_ustar(a);
    archive_write_add_filter_zstd(a);
    assert_int_equal(archive_write_open_filename(a, in_folder("bomb.tar.zst")), ARCHIVE_OK);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, "bomb.xml");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_size(entry, (la_int64_t)size);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    size_t block = 1u << 20;
    char *spaces = malloc(block);
    memset(spaces, ' ', block);
    memcpy(spaces, "<commonRoad", 11);
    for (size_t i = 0; i < size; i += block) assert_int_equal(archive_write_data(a, spaces, block), block);
    archive_entry_free(entry);
    archive_write_free(a);
    free(spaces);
    catch c = import_path(in_folder("bomb.tar.zst"), NULL);
    assert_int_equal(c.scenes, 0);
    assert_int_equal(c.refusals, 1);
    assert_int_equal(c.refusal.code, NM_E_LIMIT);

    nm_import_limits limits = nm_import_limits_default();
    limits.max_file_bytes = 1u << 20;
    nm_error error;
    nm_importer *importer = nm_importer_create(&limits);
    catch d = {0};
    assert_int_equal(nm_import_file(importer, in_folder("bomb.tar.zst"), catch_scene, NULL, &d, NULL, &error),
                     NM_E_LIMIT);
    assert_non_null(strstr(error.message, "limit"));
    nm_importer_destroy(importer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detection),
        cmocka_unit_test(test_plain_file),
        cmocka_unit_test(test_utf16),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_file_limit),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_archives),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_compressed_file),
        cmocka_unit_test(test_damaged_archives),
        cmocka_unit_test(test_bomb),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
