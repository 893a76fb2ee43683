/// CRC-32C against a bit-by-bit definition and known vectors; TFRecord framing, its damage and its repair; shard names.
#include "support.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/rng.h"
#include "dataset/crc32c.h"
#include "dataset/import.h"
#include "dataset/tfrecord.h"

#define SEED 20260801u

static uint32_t draw(uint32_t step, uint32_t index, uint32_t bound) {
    nm_rng_key key = {.seed = SEED, .step = step, .purpose = NM_PURPOSE_TEST};
    return nm_rng_below(&key, index, bound);
}

/// The definition: one bit at a time.
static uint32_t crc32c_bitwise(const uint8_t *bytes, size_t size) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void known_checksums(void **state) {
    (void)state;
    uint8_t bytes[32];
    assert_int_equal(nm_crc32c(0, "123456789", 9), 0xe3069283); // the catalogue's check value
    memset(bytes, 0, sizeof bytes);                             // RFC 3720, B.4
    assert_int_equal(nm_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(nm_crc32c(0, bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
    assert_int_equal(nm_crc32c(0, bytes, 32), 0x46dd794e);
    assert_int_equal(nm_crc32c_portable(0, bytes, 32), 0x46dd794e);
    assert_int_equal(nm_crc32c(0, NULL, 0), 0);
    // a length of 952,947 bytes, as formats that write TFRecord store it
    const uint8_t length[8] = {0x73, 0x8a, 0x0e};
    assert_int_equal(nm_crc32c_mask(nm_crc32c(0, length, 8)), 0x11443719);
}

static void checksums_agree(void **state) {
    (void)state;
    uint8_t bytes[700];
    for (uint32_t run = 0; run < 400; run++) {
        size_t size = draw(run, 0, 640), shift = draw(run, 1, 16), split = draw(run, 2, (uint32_t)size + 1);
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)draw(run, 3 + (uint32_t)i, 256);
        const uint8_t *start = bytes + shift;
        uint32_t expected = crc32c_bitwise(start, size);
        assert_int_equal(nm_crc32c(0, start, size), expected);
        assert_int_equal(nm_crc32c_portable(0, start, size), expected);
        assert_int_equal(nm_crc32c(nm_crc32c_portable(0, start, split), start + split, size - split), expected);
        assert_int_equal(nm_crc32c_portable(nm_crc32c(0, start, split), start + split, size - split), expected);
        assert_int_equal(nm_crc32c_unmask(nm_crc32c_mask(expected)), expected);
    }
}

static size_t frame(uint8_t *out, const void *payload, size_t size) {
    nm_tfrecord_header(size, out);
    memcpy(out + NM_TFRECORD_HEADER, payload, size);
    nm_tfrecord_footer(payload, size, out + NM_TFRECORD_HEADER + size);
    return size + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER;
}

#define THREE_SIZE (3 * 16 + 3 + 0 + 5)
static void three_records(uint8_t out[THREE_SIZE]) {
    size_t size = frame(out, "one", 3);
    size += frame(out + size, "", 0);
    size += frame(out + size, "three", 5);
    assert_int_equal(size, THREE_SIZE);
}

static void reads_records(void **state) {
    (void)state;
    uint8_t bytes[THREE_SIZE];
    three_records(bytes);
    assert_true(nm_tfrecord_detect(bytes, 12));
    assert_false(nm_tfrecord_detect(bytes, 11));
    assert_false(nm_tfrecord_detect("<?xml version=\"1.0\"?>", 20));
    nm_tfrecord_reader reader = nm_tfrecord_open("three", bytes, sizeof bytes);
    nm_tfrecord record;
    static const char *const payloads[] = {"one", "", "three"};
    static const size_t offsets[] = {12, 31, 47};
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(nm_tfrecord_next(&reader, &record, NULL), NM_OK);
        assert_int_equal(record.index, i);
        assert_int_equal(record.offset, offsets[i]);
        assert_int_equal(record.size, strlen(payloads[i]));
        assert_memory_equal(record.payload, payloads[i], record.size);
    }
    assert_int_equal(nm_tfrecord_next(&reader, &record, NULL), NM_E_NOT_FOUND);
    assert_int_equal(nm_tfrecord_next(&reader, &record, NULL), NM_E_NOT_FOUND);
    reader = nm_tfrecord_open("empty", NULL, 0);
    assert_int_equal(nm_tfrecord_next(&reader, &record, NULL), NM_E_NOT_FOUND);
}

static void written_records_read_back(void **state) {
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    uint8_t expected[THREE_SIZE], found[THREE_SIZE + 1];
    three_records(expected);
    assert_int_equal(nm_tfrecord_write(file, "f", "one", 3, NULL), NM_OK);
    assert_int_equal(nm_tfrecord_write(file, "f", NULL, 0, NULL), NM_OK);
    assert_int_equal(nm_tfrecord_write(file, "f", "three", 5, NULL), NM_OK);
    rewind(file);
    assert_int_equal(fread(found, 1, sizeof found, file), THREE_SIZE);
    assert_memory_equal(found, expected, THREE_SIZE);
    fclose(file);
    FILE *full = fopen("/dev/full", "wb");
    if (!full) return;
    setvbuf(full, NULL, _IONBF, 0);
    nm_error error = {0};
    assert_int_equal(nm_tfrecord_write(full, "out.tfrecord", "one", 3, &error), NM_E_IO);
    assert_string_equal(error.input, "out.tfrecord");
    fclose(full);
}

/// Counts what a reader finds, checking that it always moves on.
static void read_all(const uint8_t *bytes, size_t size, int *good, int *bad, nm_error *first) {
    nm_tfrecord_reader reader = nm_tfrecord_open("damaged", bytes, size);
    nm_tfrecord record;
    nm_status status;
    *good = *bad = 0;
    nm_error error;
    while ((status = nm_tfrecord_next(&reader, &record, &error)) != NM_E_NOT_FOUND) {
        if (status == NM_OK)
            ++*good;
        else if ((*bad)++ == 0)
            *first = error;
        assert_true(*good + *bad <= 4);
    }
}

static void any_flipped_bit_is_found(void **state) {
    (void)state;
    uint8_t bytes[THREE_SIZE];
    for (size_t bit = 0; bit < THREE_SIZE * 8; bit++) {
        three_records(bytes);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int good, bad;
        nm_error error;
        read_all(bytes, THREE_SIZE, &good, &bad, &error);
        size_t byte = bit / 8,
               record = byte < 19   ? 0
                        : byte < 35 ? 1
                                    : 2,
               start = record == 0   ? 0
                       : record == 1 ? 19
                                     : 35;
        int in_header = byte - start < 12;
        assert_int_equal(bad, 1);
        assert_int_equal(good, in_header ? (int)record : 2); // a bad length ends the file, a bad payload does not
        assert_int_equal(error.code, NM_E_FORMAT);
        assert_int_equal(error.offset, start + (in_header ? 0 : 12));
        assert_string_equal(error.input, "damaged");
    }
}

static void any_cut_is_found(void **state) {
    (void)state;
    uint8_t bytes[THREE_SIZE];
    three_records(bytes);
    for (size_t size = 0; size < THREE_SIZE; size++) {
        uint8_t *exact = malloc(size + !size); // so that a read past the end is seen by the sanitizer
        assert_non_null(exact);
        memcpy(exact, bytes, size);
        int good, bad, whole = (size >= 19) + (size >= 35);
        nm_error error;
        read_all(exact, size, &good, &bad, &error);
        assert_int_equal(good, whole);
        assert_int_equal(bad, size != 0 && size != 19 && size != 35);
        if (bad) assert_non_null(strstr(error.message, "cut off"));
        free(exact);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Streams

typedef struct trickle {
    const uint8_t *bytes;
    size_t size, at, most; // bytes at a time
    size_t fail_at;        // a read from here on fails
} trickle;

static nm_status trickle_on(void *context, void *buffer, size_t size, size_t *got, nm_error *error) {
    trickle *t = context;
    assert_true(size > 0);
    if (t->at >= t->fail_at) return NM_ERROR_AT(error, NM_E_IO, "trickle", 0, -1, "the disk is gone");
    *got = t->size - t->at < size ? t->size - t->at : size;
    if (*got > t->most) *got = t->most;
    memcpy(buffer, t->bytes + t->at, *got);
    t->at += *got;
    return NM_OK;
}

/// Both readers say the same, down to the words, however the bytes arrive.
static void streams_agree_with_memory(void **state) {
    (void)state;
    uint8_t bytes[THREE_SIZE];
    for (uint32_t run = 0; run < 3000; run++) {
        three_records(bytes);
        if (draw(run, 0, 8)) bytes[draw(run, 1, THREE_SIZE)] ^= (uint8_t)(1 << draw(run, 2, 8));
        size_t size = draw(run, 3, 3) ? THREE_SIZE : draw(run, 4, THREE_SIZE + 1);
        trickle t = {.bytes = bytes, .size = size, .most = 1 + draw(run, 5, 20), .fail_at = SIZE_MAX};
        nm_tfrecord_reader reader = nm_tfrecord_open("same", bytes, size);
        nm_tfrecord_stream stream = nm_tfrecord_stream_open("same", trickle_on, &t, 1000);
        for (int i = 0;; i++) {
            assert_true(i < 5);
            nm_tfrecord a, b;
            nm_error expected = {0}, found = {0};
            nm_status status = nm_tfrecord_next(&reader, &a, &expected);
            assert_int_equal(nm_tfrecord_stream_next(&stream, &b, &found), status);
            if (status == NM_E_NOT_FOUND) break;
            assert_int_equal(a.index, b.index);
            assert_int_equal(a.offset, b.offset);
            assert_int_equal(a.size, b.size);
            if (status == NM_OK) assert_memory_equal(a.payload, b.payload, a.size);
            assert_string_equal(expected.message, found.message);
            assert_int_equal(expected.offset, found.offset);
        }
        nm_tfrecord_stream_close(&stream);
    }
}

static void streams_pass_over_large_records(void **state) {
    (void)state;
    uint8_t bytes[THREE_SIZE];
    three_records(bytes);
    trickle t = {.bytes = bytes, .size = THREE_SIZE, .most = 7, .fail_at = SIZE_MAX};
    nm_tfrecord_stream stream = nm_tfrecord_stream_open("limit", trickle_on, &t, 2);
    nm_tfrecord record;
    nm_error error;
    assert_int_equal(nm_tfrecord_stream_next(&stream, &record, &error), NM_E_LIMIT);
    assert_non_null(strstr(error.message, "record 0 has 3 bytes"));
    assert_int_equal(nm_tfrecord_stream_next(&stream, &record, &error), NM_OK);
    assert_int_equal(record.index, 1);
    assert_int_equal(nm_tfrecord_stream_next(&stream, &record, &error), NM_E_LIMIT);
    assert_int_equal(nm_tfrecord_stream_next(&stream, &record, &error), NM_E_NOT_FOUND);
    nm_tfrecord_stream_close(&stream);
    // a length that lies is found out without its memory: a terabyte is within the limit here
    nm_tfrecord_header((uint64_t)1 << 40, bytes);
    t = (trickle){.bytes = bytes, .size = THREE_SIZE, .most = 7, .fail_at = SIZE_MAX};
    stream = nm_tfrecord_stream_open("liar", trickle_on, &t, (size_t)1 << 41);
    assert_int_equal(nm_tfrecord_stream_next(&stream, &record, &error), NM_E_FORMAT);
    assert_non_null(strstr(error.message, "cut off"));
    assert_true(stream.capacity <= 1u << 16);
    assert_int_equal(nm_tfrecord_stream_next(&stream, &record, &error), NM_E_NOT_FOUND);
    nm_tfrecord_stream_close(&stream);
}

static void streams_pass_on_failures(void **state) {
    (void)state;
    uint8_t bytes[THREE_SIZE];
    three_records(bytes);
    for (size_t at = 0; at < THREE_SIZE; at++) {
        trickle t = {.bytes = bytes, .size = THREE_SIZE, .most = 1, .fail_at = at};
        nm_tfrecord_stream stream = nm_tfrecord_stream_open("failing", trickle_on, &t, 1000);
        nm_tfrecord record;
        nm_error error;
        size_t good = 0;
        nm_status status;
        while ((status = nm_tfrecord_stream_next(&stream, &record, &error)) == NM_OK) good++;
        assert_int_equal(status, NM_E_IO);
        assert_string_equal(error.message, "the disk is gone");
        assert_int_equal(good, (size_t)(at >= 19) + (at >= 35));
        assert_int_equal(nm_tfrecord_stream_next(&stream, &record, &error), NM_E_NOT_FOUND);
        nm_tfrecord_stream_close(&stream);
    }
}

static void gigantic_lengths_are_refused(void **state) {
    (void)state;
    static const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 15, UINT64_MAX - 3, (uint64_t)1 << 63, 5, 6, 7};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t bytes[20] = {0}; // room for 4 bytes of payload
        nm_tfrecord_header(lengths[i], bytes);
        int good, bad;
        nm_error error;
        read_all(bytes, sizeof bytes, &good, &bad, &error);
        assert_int_equal(good, 0);
        assert_int_equal(bad, 1);
    }
}

static void shard_names(void **state) {
    (void)state;
    size_t length;
    uint32_t count;
    char name[64];
    assert_true(nm_shards_parse("dir@1/training.tfrecord@1000", &length, &count));
    assert_int_equal(length, strlen("dir@1/training.tfrecord"));
    assert_int_equal(count, 1000);
    assert_int_equal(nm_shards_name("val@150", 3, 7, 150, name, sizeof name), strlen("val-00007-of-00150"));
    assert_string_equal(name, "val-00007-of-00150");
    nm_shards_name("x", 1, 123456, 1000000, name, sizeof name);
    assert_string_equal(name, "x-123456-of-1000000");
    assert_int_equal(nm_shards_name("training", 8, 0, 1, name, 4), strlen("training-00000-of-00001"));
    assert_string_equal(name, "tra");
    static const char *const others[] = {"",
                                         "a",
                                         "@",
                                         "@5",
                                         "a@",
                                         "a@0",
                                         "a@05",
                                         "a@x",
                                         "a@5x",
                                         "a@1000001",
                                         "a@-5",
                                         "a@ 5",
                                         "a@99999999999999999999",
                                         "a@5/b",
                                         "training.tfrecord-00000-of-01000"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(nm_shards_parse(others[i], &length, &count));
}

typedef struct paths {
    char text[512];
    int left; // calls that may succeed
} paths;

static nm_status add_path(void *context, const char *path, nm_error *error) {
    paths *p = context;
    if (p->left-- == 0) return NM_ERROR(error, NM_E_CANCELLED, "enough");
    strcat(p->text, path);
    strcat(p->text, " ");
    return NM_OK;
}

static void arguments_expand(void **state) {
    (void)state;
    nm_error error = {0};
    paths p = {.left = 9};
    assert_int_equal(nm_import_expand("no/such@3", add_path, &p, &error), NM_OK);
    assert_string_equal(p.text, "no/such-00000-of-00003 no/such-00001-of-00003 no/such-00002-of-00003 ");
    p = (paths){.left = 9};
    assert_int_equal(nm_import_expand("me@example.org", add_path, &p, &error), NM_OK);
    assert_string_equal(p.text, "me@example.org ");
    p = (paths){.left = 1};
    assert_int_equal(nm_import_expand("x@1000000", add_path, &p, &error), NM_E_CANCELLED);
    assert_string_equal(p.text, "x-00000-of-1000000 ");
    char name[64]; // of a file that is really called so
    snprintf(name, sizeof name, "/tmp/nm-shards-%ld@2", (long)getpid());
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    fclose(file);
    p = (paths){.left = 9};
    assert_int_equal(nm_import_expand(name, add_path, &p, &error), NM_OK);
    assert_int_equal(strlen(p.text), strlen(name) + 1);
    unlink(name);
}

int main(void) {
    printf("seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_checksums),
        cmocka_unit_test(checksums_agree),
        cmocka_unit_test(reads_records),
        cmocka_unit_test(written_records_read_back),
        cmocka_unit_test(any_flipped_bit_is_found),
        cmocka_unit_test(any_cut_is_found),
        cmocka_unit_test(streams_agree_with_memory),
        cmocka_unit_test(streams_pass_over_large_records),
        cmocka_unit_test(streams_pass_on_failures),
        cmocka_unit_test(gigantic_lengths_are_refused),
        cmocka_unit_test(shard_names),
        cmocka_unit_test(arguments_expand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
