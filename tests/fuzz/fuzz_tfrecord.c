/// TFRecord framing over arbitrary bytes: records lie inside the input, in order, and reading ends.
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "dataset/tfrecord.h"

typedef struct bytes_left {
    const uint8_t *bytes;
    size_t size, most;
} bytes_left;

static nm_status some(void *context, void *buffer, size_t size, size_t *got, nm_error *error) {
    bytes_left *left = context;
    (void)error;
    *got = size < left->size ? size : left->size;
    if (*got > left->most) *got = left->most;
    if (*got) memcpy(buffer, left->bytes, *got);
    left->bytes += *got;
    left->size -= *got;
    return NM_OK;
}

/// The stream reader finds what the memory reader does.
static void compare(const uint8_t *data, size_t size) {
    bytes_left left = {data, size, 1 + size % 50};
    nm_tfrecord_reader reader = nm_tfrecord_open("fuzz", data, size);
    nm_tfrecord_stream stream = nm_tfrecord_stream_open("fuzz", some, &left, (size_t)1 << 40);
    for (;;) {
        nm_tfrecord a, b;
        nm_status status = nm_tfrecord_next(&reader, &a, NULL);
        nm_status other = nm_tfrecord_stream_next(&stream, &b, NULL);
        if (status == NM_E_NOT_FOUND && other == NM_E_NOT_FOUND) break;
        int lied = other == NM_E_LIMIT && status == NM_E_FORMAT; // over the limit, and then it does not come
        if ((status != other && !lied) || a.index != b.index || a.offset != b.offset || a.size != b.size) abort();
        if (a.size && memcmp(a.payload, b.payload, a.size) != 0) abort();
    }
    nm_tfrecord_stream_close(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nm_tfrecord_reader reader = nm_tfrecord_open("fuzz", data, size);
    nm_tfrecord record;
    nm_error error;
    nm_status status;
    size_t at = 0;
    for (uint64_t index = 0; (status = nm_tfrecord_next(&reader, &record, &error)) != NM_E_NOT_FOUND; index++) {
        if (record.index != index || record.offset < at || record.offset > size || reader.offset <= record.offset)
            abort();
        if (status == NM_OK && (record.payload != data + record.offset || record.size > size - record.offset)) abort();
        if (status != NM_OK && (error.offset < 0 || (size_t)error.offset > size || !error.message[0])) abort();
        at = reader.offset;
    }
    if (reader.offset != size) abort();
    compare(data, size);
    char spec[64], name[96];
    size_t length = size < sizeof spec - 1 ? size : sizeof spec - 1;
    uint32_t count;
    if (length) memcpy(spec, data, length);
    spec[length] = 0;
    if (nm_shards_parse(spec, &length, &count)) nm_shards_name(spec, length, count - 1, count, name, sizeof name);
    return 0;
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    size_t at = 0;
    if (index >= 3 || capacity < 256) return 0;
    for (size_t i = 0; i <= index; i++) { // 1, 2, 3 records of growing size
        size_t size = i * 20;
        nm_tfrecord_header(size, buffer + at);
        memset(buffer + at + NM_TFRECORD_HEADER, (int)(i + 'a'), size);
        nm_tfrecord_footer(buffer + at + NM_TFRECORD_HEADER, size, buffer + at + NM_TFRECORD_HEADER + size);
        at += NM_TFRECORD_HEADER + size + NM_TFRECORD_FOOTER;
    }
    return at;
}
