/// TFRecord through the importer: the same scenes from memory, from a file and from archives.
#include "commonroad_support.h"

#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "womd_sample.h"

#define RECORDS 9

typedef struct seen {
    uint64_t hashes[RECORDS];
    uint64_t records;
    int refusals;
} seen;

static nm_status note_scene(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)error;
    seen *s = context;
    assert_true(record == s->records && record < RECORDS);
    s->hashes[s->records++] = scene->hash;
    nm_scene_destroy(scene);
    return NM_OK;
}
static nm_status note_any(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)record, (void)error;
    ++((seen *)context)->records;
    nm_scene_destroy(scene);
    return NM_OK;
}
static void note_refusal(void *context, const nm_error *error) {
    (void)error;
    ++((seen *)context)->refusals;
}

/// A file of RECORDS equal records. Release with free.
static uint8_t *make_file(size_t *size) {
    nm_arena *arena = nm_arena_create(0);
    sample made = sample_make(arena);
    size_t payload_size;
    uint8_t *payload = sample_pack(&made, &payload_size);
    uint8_t *bytes = malloc(RECORDS * (payload_size + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER));
    assert_non_null(bytes);
    *size = 0;
    for (int i = 0; i < RECORDS; ++i) *size += sample_frame(bytes + *size, payload, payload_size);
    nm_arena_destroy(arena);
    return bytes;
}

static void write_tar(const char *path, int filter, const uint8_t *bytes, size_t size) {
    struct archive *a = archive_write_new();
    archive_write_set_format_ustar(a);
    assert_true(archive_write_add_filter(a, filter) >= ARCHIVE_WARN);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, "day/shard.tfrecord");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_size(entry, (la_int64_t)size);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, bytes, size), size);
    archive_entry_free(entry);
    archive_write_free(a);
}

static void expect_path(const char *path, const seen *expected, uint64_t bytes_expected) {
    nm_import_limits limits = nm_import_limits_default();
    limits.max_file_bytes = 4096; // records are streamed: it does not hold for them
    nm_importer *importer = nm_importer_create(&limits);
    nm_error error;
    seen got = {0};
    uint64_t bytes = 0;
    assert_int_equal(nm_import_file(importer, path, note_scene, note_refusal, &got, &bytes, &error), NM_OK);
    nm_importer_destroy(importer);
    assert_memory_equal(&got, expected, sizeof got);
    assert_true(bytes == bytes_expected);
}

typedef struct pieces {
    seen seen;
    int begun, ended;
} pieces;

static nm_status note_piece(void *context, const nm_piece *piece, nm_error *error) {
    pieces *p = context;
    p->begun += piece->kind == NM_PIECE_RECORDS;
    p->ended += piece->kind == NM_PIECE_END;
    if (piece->kind != NM_PIECE_RECORD) return NM_OK;
    assert_int_equal(p->begun, 1);
    assert_int_equal(p->ended, 0);
    nm_importer *reader = nm_importer_create(NULL);
    nm_status status = nm_import_piece(reader, piece, note_scene, note_refusal, &p->seen, error);
    nm_importer_destroy(reader);
    return status;
}
static void note_piece_refusal(void *context, const nm_error *error) {
    note_refusal(&((pieces *)context)->seen, error);
}

/// Cut into records that are read one by one, a file gives the same.
static void expect_pieces(const char *path, const seen *expected) {
    nm_importer *importer = nm_importer_create(NULL);
    nm_error error;
    pieces got = {0};
    assert_int_equal(nm_import_split(importer, path, note_piece, note_piece_refusal, &got, &error), NM_OK);
    nm_importer_destroy(importer);
    assert_memory_equal(&got.seen, expected, sizeof *expected);
    assert_int_equal(got.begun, 1);
    assert_int_equal(got.ended, 1);
}

static void test_same_everywhere(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = make_file(&size);
    assert_true(size > 4096); // more than the head that tells the format
    nm_error error;
    seen expected = {0};
    nm_importer *importer = nm_importer_create(NULL);
    assert_int_equal(
        nm_import_memory(importer, "shard.tfrecord", bytes, size, note_scene, note_refusal, &expected, &error), NM_OK);
    nm_importer_destroy(importer);
    assert_int_equal(expected.records, RECORDS);
    assert_int_equal(expected.refusals, 0);

    char folder[] = "/tmp/nm-womd-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    expect_path(path, &expected, size);
    expect_pieces(path, &expected);
    write_tar(path, ARCHIVE_FILTER_NONE, bytes, size);
    expect_path(path, &expected, size);
    expect_pieces(path, &expected);
    write_tar(path, ARCHIVE_FILTER_GZIP, bytes, size);
    expect_path(path, &expected, size);
    expect_pieces(path, &expected);

    // a record damaged in the middle is refused, the others come
    bytes[size / 2] ^= 1;
    file = fopen(path, "wb");
    fwrite(bytes, 1, size, file);
    fclose(file);
    seen got = {0};
    importer = nm_importer_create(NULL);
    assert_int_equal(nm_import_file(importer, path, note_any, note_refusal, &got, NULL, &error), NM_OK);
    assert_int_equal(got.records, RECORDS - 1);
    assert_int_equal(got.refusals, 1);
    nm_importer_destroy(importer);
    remove(path);
    rmdir(folder);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_everywhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
