#include "dataset/tfrecord.h"

#include <inttypes.h>
#include <string.h>

#include "dataset/crc32c.h"

static uint32_t get32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}
static uint64_t get64(const uint8_t *bytes) {
    return get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

static void put32(uint8_t *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

static int header_fits(const uint8_t *header) {
    return get32(header + 8) == nm_crc32c_mask(nm_crc32c(0, header, 8));
}

int nm_tfrecord_detect(const void *head, size_t size) {
    return size >= NM_TFRECORD_HEADER && header_fits(head);
}

nm_tfrecord_reader nm_tfrecord_open(const char *name, const void *bytes, size_t size) {
    NM_ASSERT(bytes || size == 0);
    return (nm_tfrecord_reader){.name = name, .bytes = bytes, .size = size};
}

nm_status nm_tfrecord_next(nm_tfrecord_reader *reader, nm_tfrecord *record, nm_error *error) {
    NM_ASSERT(reader->offset <= reader->size);
    size_t start = reader->offset, left = reader->size - start;
    *record = (nm_tfrecord){.offset = start, .index = reader->index};
    if (left == 0) return NM_E_NOT_FOUND;
    reader->offset = reader->size; // until the next record's place is known
    reader->index++;
    if (left < NM_TFRECORD_HEADER)
        return NM_ERROR_AT(error, NM_E_FORMAT, reader->name, 0, (int64_t)start,
                           "record %" PRIu64 " is cut off: %zu bytes are left, its header has 12", record->index, left);
    const uint8_t *header = reader->bytes + start;
    if (!header_fits(header))
        return NM_ERROR_AT(error, NM_E_FORMAT, reader->name, 0, (int64_t)start,
                           "the length of record %" PRIu64
                           " does not match its checksum; what follows can not be found",
                           record->index);
    uint64_t length = get64(header);
    left -= NM_TFRECORD_HEADER;
    if (length > left || left - length < NM_TFRECORD_FOOTER)
        return NM_ERROR_AT(error, NM_E_FORMAT, reader->name, 0, (int64_t)start,
                           "record %" PRIu64 " is cut off: it has %" PRIu64
                           " bytes and a checksum of 4, but %zu are left",
                           record->index, length, left);
    const uint8_t *payload = header + NM_TFRECORD_HEADER;
    size_t size = (size_t)length;
    reader->offset = start + NM_TFRECORD_HEADER + size + NM_TFRECORD_FOOTER;
    record->offset = start + NM_TFRECORD_HEADER;
    if (get32(payload + size) != nm_crc32c_mask(nm_crc32c(0, payload, size)))
        return NM_ERROR_AT(error, NM_E_FORMAT, reader->name, 0, (int64_t)record->offset,
                           "the %zu bytes of record %" PRIu64 " do not match their checksum", size, record->index);
    record->payload = payload;
    record->size = size;
    return NM_OK;
}

void nm_tfrecord_header(uint64_t size, uint8_t out[NM_TFRECORD_HEADER]) {
    put32(out, (uint32_t)size);
    put32(out + 4, (uint32_t)(size >> 32));
    put32(out + 8, nm_crc32c_mask(nm_crc32c(0, out, 8)));
}

void nm_tfrecord_footer(const void *payload, size_t size, uint8_t out[NM_TFRECORD_FOOTER]) {
    put32(out, nm_crc32c_mask(nm_crc32c(0, payload, size)));
}

nm_status nm_tfrecord_write(FILE *file, const char *name, const void *payload, size_t size, nm_error *error) {
    uint8_t header[NM_TFRECORD_HEADER], footer[NM_TFRECORD_FOOTER];
    nm_tfrecord_header(size, header);
    nm_tfrecord_footer(payload, size, footer);
    if (fwrite(header, 1, sizeof header, file) != sizeof header || (size && fwrite(payload, 1, size, file) != size) ||
        fwrite(footer, 1, sizeof footer, file) != sizeof footer)
        return NM_ERROR_AT(error, NM_E_IO, name, 0, -1, "a record of %zu bytes could not be written", size);
    return NM_OK;
}

int nm_shards_parse(const char *spec, size_t *base_length, uint32_t *count) {
    const char *at = strrchr(spec, '@');
    if (!at || at == spec || at[1] < '1' || at[1] > '9') return 0;
    uint32_t value = 0;
    for (const char *digit = at + 1; *digit; digit++) {
        if (*digit < '0' || *digit > '9') return 0;
        value = value * 10 + (uint32_t)(*digit - '0');
        if (value > NM_SHARDS_MAX) return 0;
    }
    *base_length = (size_t)(at - spec);
    *count = value;
    return 1;
}

size_t nm_shards_name(const char *base, size_t base_length, uint32_t index, uint32_t count, char *name, size_t size) {
    NM_ASSERT(index < count && base_length <= 1u << 20);
    int length = snprintf(name, size, "%.*s-%05" PRIu32 "-of-%05" PRIu32, (int)base_length, base, index, count);
    NM_ASSERT(length > 0);
    return (size_t)length;
}
