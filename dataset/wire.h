/// Writing protobuf messages field by field into a byte buffer: nothing is built in between, sizes are not asked for
/// beforehand. Fields in ascending order give the bytes that protobuf's own libraries write. Private to dataset/.
#ifndef NM_DATASET_WIRE_H
#define NM_DATASET_WIRE_H

#include <string.h>

#include "dataset/encoders.h"

enum { NM_WIRE_VARINT = 0, NM_WIRE_64BIT = 1, NM_WIRE_BYTES = 2, NM_WIRE_32BIT = 5 };

static inline size_t nm_wire_varint_size(uint64_t value) {
    size_t size = 1;
    for (; value >= 0x80; value >>= 7) size++;
    return size;
}

/// Writes at `at`, returns what lies behind: at most 10 bytes.
static inline uint8_t *nm_wire_put_varint(uint8_t *at, uint64_t value) {
    for (; value >= 0x80; value >>= 7) *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}
static inline uint8_t *nm_wire_put_u32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
    return at + 4;
}
static inline uint8_t *nm_wire_put_u64(uint8_t *at, uint64_t value) {
    for (int i = 0; i < 8; i++) at[i] = (uint8_t)(value >> 8 * i);
    return at + 8;
}
static inline uint8_t *nm_wire_put_float(uint8_t *at, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return nm_wire_put_u32(at, bits);
}
static inline uint8_t *nm_wire_put_double(uint8_t *at, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return nm_wire_put_u64(at, bits);
}

static inline void nm_wire_number(nm_byte_buffer *out, uint64_t value) {
    uint8_t bytes[10];
    nm_byte_buffer_put(out, bytes, (size_t)(nm_wire_put_varint(bytes, value) - bytes));
}
static inline void nm_wire_tag(nm_byte_buffer *out, uint32_t field, uint32_t wire) {
    nm_wire_number(out, (uint64_t)field << 3 | wire);
}
/// int32, int64, bool, enum. Negative numbers take ten bytes, as protobuf has it.
static inline void nm_wire_integer(nm_byte_buffer *out, uint32_t field, int64_t value) {
    nm_wire_tag(out, field, NM_WIRE_VARINT);
    nm_wire_number(out, (uint64_t)value);
}
static inline void nm_wire_double(nm_byte_buffer *out, uint32_t field, double value) {
    uint8_t bytes[8];
    nm_wire_tag(out, field, NM_WIRE_64BIT);
    nm_wire_put_double(bytes, value);
    nm_byte_buffer_put(out, bytes, sizeof bytes);
}
static inline void nm_wire_bytes(nm_byte_buffer *out, uint32_t field, const void *bytes, size_t size) {
    nm_wire_tag(out, field, NM_WIRE_BYTES);
    nm_wire_number(out, size);
    nm_byte_buffer_put(out, bytes, size);
}

/// Begins a message, text or packed list of yet unknown length; returns the place to close it with.
static inline size_t nm_wire_open(nm_byte_buffer *out, uint32_t field) {
    nm_wire_tag(out, field, NM_WIRE_BYTES);
    const size_t at = out->size;
    nm_byte_buffer_grow(out, 1);
    return at;
}
/// Ends it: a length over 127 bytes needs room, so what was written moves up.
static inline void nm_wire_close(nm_byte_buffer *out, size_t at) {
    if (out->failed) return;
    const size_t length = out->size - at - 1, more = nm_wire_varint_size(length) - 1;
    if (more && !nm_byte_buffer_grow(out, more)) return;
    if (more) memmove(out->bytes + at + 1 + more, out->bytes + at + 1, length);
    nm_wire_put_varint(out->bytes + at, length);
}

#endif
