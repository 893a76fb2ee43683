#include "dataset/tfrecord.h"

#include <inttypes.h>
#include <stdlib.h>
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

static nm_status cut_header(const char *name, const nm_tfrecord *record, size_t left, nm_error *error) {
    return NM_ERROR_AT(error, NM_E_FORMAT, name, 0, (int64_t)record->offset,
                       "record %" PRIu64 " is cut off: %zu bytes are left, its header has 12", record->index, left);
}

static nm_status bad_header(const char *name, const nm_tfrecord *record, nm_error *error) {
    return NM_ERROR_AT(error, NM_E_FORMAT, name, 0, (int64_t)record->offset,
                       "the length of record %" PRIu64 " does not match its checksum; what follows can not be found",
                       record->index);
}

static nm_status cut_payload(const char *name, const nm_tfrecord *record, uint64_t length, size_t left,
                             nm_error *error) {
    return NM_ERROR_AT(error, NM_E_FORMAT, name, 0, (int64_t)record->offset,
                       "record %" PRIu64 " is cut off: it has %" PRIu64 " bytes and a checksum of 4, but %zu are left",
                       record->index, length, left);
}

/// Moves `record` from its header to its payload and sets it, if the checksum that follows the payload fits.
static nm_status take_payload(const char *name, nm_tfrecord *record, const uint8_t *payload, size_t size,
                              nm_error *error) {
    record->offset += NM_TFRECORD_HEADER;
    if (get32(payload + size) != nm_crc32c_mask(nm_crc32c(0, payload, size)))
        return NM_ERROR_AT(error, NM_E_FORMAT, name, 0, (int64_t)record->offset,
                           "the %zu bytes of record %" PRIu64 " do not match their checksum", size, record->index);
    record->payload = payload;
    record->size = size;
    return NM_OK;
}

nm_status nm_tfrecord_next(nm_tfrecord_reader *reader, nm_tfrecord *record, nm_error *error) {
    NM_ASSERT(reader->offset <= reader->size);
    size_t start = reader->offset, left = reader->size - start;
    *record = (nm_tfrecord){.offset = start, .index = reader->index};
    if (left == 0) return NM_E_NOT_FOUND;
    reader->offset = reader->size; // until the next record's place is known
    reader->index++;
    if (left < NM_TFRECORD_HEADER) return cut_header(reader->name, record, left, error);
    const uint8_t *header = reader->bytes + start;
    if (!header_fits(header)) return bad_header(reader->name, record, error);
    uint64_t length = get64(header);
    left -= NM_TFRECORD_HEADER;
    if (length > left || left - length < NM_TFRECORD_FOOTER)
        return cut_payload(reader->name, record, length, left, error);
    reader->offset = start + NM_TFRECORD_HEADER + (size_t)length + NM_TFRECORD_FOOTER;
    return take_payload(reader->name, record, header + NM_TFRECORD_HEADER, (size_t)length, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Streams

#define FIRST_CAPACITY ((size_t)1 << 16)

nm_tfrecord_stream nm_tfrecord_stream_open(const char *name, nm_byte_source *source, void *context, size_t limit) {
    NM_ASSERT(source && limit <= SIZE_MAX / 4);
    return (nm_tfrecord_stream){.name = name, .source = source, .context = context, .limit = limit};
}

void nm_tfrecord_stream_close(nm_tfrecord_stream *stream) {
    free(stream->buffer);
    stream->buffer = NULL;
    stream->capacity = 0;
    stream->ended = 1;
}

/// Asks the source until `size` bytes are there or it ends.
static nm_status fetch(nm_tfrecord_stream *stream, uint8_t *to, size_t size, size_t *got, nm_error *error) {
    *got = 0;
    while (*got < size) {
        size_t more = 0;
        nm_status status = stream->source(stream->context, to + *got, size - *got, &more, error);
        NM_ASSERT(status != NM_E_NOT_FOUND); // it means the end here
        if (status != NM_OK || more == 0) {
            stream->ended = 1;
            return status;
        }
        NM_ASSERT(more <= size - *got);
        *got += more;
        stream->offset += more;
    }
    return NM_OK;
}

/// Passes over the rest of a record that is not wanted.
static nm_status skip(nm_tfrecord_stream *stream, uint64_t size, nm_error *error) {
    uint8_t piece[4096];
    nm_status status = NM_OK;
    while (size > 0 && !stream->ended && status == NM_OK) {
        size_t want = size < sizeof piece ? (size_t)size : sizeof piece, got;
        status = fetch(stream, piece, want, &got, error);
        size -= got;
    }
    return status;
}

/// Fetches payload and footer. The buffer at most doubles each time it was filled: what is claimed but does not come
/// costs nothing. *got < size at the end of the source; *starved is set when there is no memory.
static nm_status fetch_payload(nm_tfrecord_stream *stream, size_t size, size_t *got, int *starved, nm_error *error) {
    nm_status status = NM_OK;
    *got = 0;
    while (*got < size && !stream->ended && status == NM_OK) {
        if (*got == stream->capacity) {
            size_t wanted = stream->capacity ? stream->capacity * 2 : FIRST_CAPACITY;
            uint8_t *grown = realloc(stream->buffer, wanted);
            if (!grown) {
                *starved = 1;
                return NM_OK;
            }
            stream->buffer = grown;
            stream->capacity = wanted;
        }
        size_t room = stream->capacity < size ? stream->capacity : size, more;
        status = fetch(stream, stream->buffer + *got, room - *got, &more, error);
        *got += more;
    }
    return status;
}

nm_status nm_tfrecord_stream_next(nm_tfrecord_stream *stream, nm_tfrecord *record, nm_error *error) {
    uint8_t header[NM_TFRECORD_HEADER];
    size_t got;
    int starved = 0;
    *record = (nm_tfrecord){.offset = stream->offset, .index = stream->index};
    if (stream->ended) return NM_E_NOT_FOUND;
    nm_status status = fetch(stream, header, sizeof header, &got, error);
    if (status == NM_OK && got == 0) return NM_E_NOT_FOUND;
    stream->index++;
    if (status != NM_OK) return status;
    if (got < sizeof header) return cut_header(stream->name, record, got, error);
    if (!header_fits(header)) {
        stream->ended = 1;
        return bad_header(stream->name, record, error);
    }
    uint64_t length = get64(header);
    if (length > stream->limit) {
        NM_ERROR_AT(error, NM_E_LIMIT, stream->name, 0, (int64_t)record->offset,
                    "record %" PRIu64 " has %" PRIu64 " bytes, at most %zu are read", record->index, length,
                    stream->limit);
        status = skip(stream, length, error);
        if (status == NM_OK) status = skip(stream, NM_TFRECORD_FOOTER, error);
        return status == NM_OK ? NM_E_LIMIT : status;
    }
    size_t size = (size_t)length;
    status = fetch_payload(stream, size + NM_TFRECORD_FOOTER, &got, &starved, error);
    if (starved) {
        NM_ERROR_AT(error, NM_E_MEMORY, stream->name, 0, (int64_t)record->offset,
                    "no memory for the %zu bytes of record %" PRIu64, size, record->index);
        status = skip(stream, size + NM_TFRECORD_FOOTER - got, error);
        return status == NM_OK ? NM_E_MEMORY : status;
    }
    if (status != NM_OK) return status;
    if (got < size + NM_TFRECORD_FOOTER) return cut_payload(stream->name, record, length, got, error);
    return take_payload(stream->name, record, stream->buffer, size, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing

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

// ---------------------------------------------------------------------------------------------------------------------
// Shards

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
