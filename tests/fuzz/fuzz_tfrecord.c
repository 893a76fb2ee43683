/// TFRecord framing over arbitrary bytes: records lie inside the input, in order, and reading ends.
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "dataset/tfrecord.h"

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
