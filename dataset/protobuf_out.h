/// Writing protobuf messages straight into bytes, in the order of the wire: no message structures in between. Private
/// to dataset/.
///
/// A field is left out where proto2 readers would assume its value anyway only when the caller says so: the plain
/// functions always write. Messages within messages are begun and ended; their length goes in at the end.
#ifndef NM_DATASET_PROTOBUF_OUT_H
#define NM_DATASET_PROTOBUF_OUT_H

#include <string.h>

#include "dataset/encoders.h"

enum { NM_PB_VARINT = 0, NM_PB_64 = 1, NM_PB_BYTES = 2, NM_PB_32 = 5 }; ///< wire types

static inline size_t nm_pb_varint_size(uint64_t value) {
    size_t size = 1;
    while (value >= 0x80) value >>= 7, size++;
    return size;
}
/// Writes at `at`, returns what lies behind: at most 10 bytes.
static inline uint8_t *nm_pb_store_varint(uint8_t *at, uint64_t value) {
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}
/// These write at `at`, too, and return what lies behind.
static inline uint8_t *nm_pb_store_u32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
    return at + 4;
}
static inline uint8_t *nm_pb_store_u64(uint8_t *at, uint64_t value) {
    for (int i = 0; i < 8; i++) at[i] = (uint8_t)(value >> 8 * i);
    return at + 8;
}
static inline uint8_t *nm_pb_store_float(uint8_t *at, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return nm_pb_store_u32(at, bits);
}
static inline uint8_t *nm_pb_store_double(uint8_t *at, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return nm_pb_store_u64(at, bits);
}

static inline void nm_pb_raw_varint(nm_byte_buffer *out, uint64_t value) {
    uint8_t *at = nm_byte_buffer_grow(out, nm_pb_varint_size(value));
    if (at) nm_pb_store_varint(at, value);
}
static inline void nm_pb_tag(nm_byte_buffer *out, uint32_t field, unsigned wire) {
    nm_pb_raw_varint(out, (uint64_t)field << 3 | wire);
}
static inline uint64_t nm_pb_zigzag(int64_t value) {
    return (uint64_t)value << 1 ^ (value < 0 ? ~UINT64_C(0) : 0u);
}

/// uint32, uint64, bool, enum; of int32 and int64 what is not negative.
static inline void nm_pb_uint(nm_byte_buffer *out, uint32_t field, uint64_t value) {
    nm_pb_tag(out, field, NM_PB_VARINT);
    nm_pb_raw_varint(out, value);
}
static inline void nm_pb_sint(nm_byte_buffer *out, uint32_t field, int64_t value) {
    nm_pb_uint(out, field, nm_pb_zigzag(value));
}
/// int32, int64, negative ones too: they take ten bytes, as protobuf has it.
static inline void nm_pb_int(nm_byte_buffer *out, uint32_t field, int64_t value) {
    nm_pb_uint(out, field, (uint64_t)value);
}
static inline void nm_pb_fixed64(nm_byte_buffer *out, uint32_t field, uint64_t bits) {
    nm_pb_tag(out, field, NM_PB_64);
    uint8_t *at = nm_byte_buffer_grow(out, 8);
    if (at) nm_pb_store_u64(at, bits);
}
static inline void nm_pb_float(nm_byte_buffer *out, uint32_t field, float value) {
    nm_pb_tag(out, field, NM_PB_32);
    uint8_t *at = nm_byte_buffer_grow(out, 4);
    if (at) nm_pb_store_float(at, value);
}
static inline void nm_pb_double(nm_byte_buffer *out, uint32_t field, double value) {
    nm_pb_tag(out, field, NM_PB_64);
    uint8_t *at = nm_byte_buffer_grow(out, 8);
    if (at) nm_pb_store_double(at, value);
}
static inline void nm_pb_bytes(nm_byte_buffer *out, uint32_t field, const void *bytes, size_t size) {
    nm_pb_tag(out, field, NM_PB_BYTES);
    nm_pb_raw_varint(out, size);
    nm_byte_buffer_put(out, bytes, size);
}
static inline void nm_pb_text(nm_byte_buffer *out, uint32_t field, const char *text) {
    nm_pb_bytes(out, field, text, strlen(text));
}

/// Packed fixed-width numbers in a row in memory: float, double, fixed32.
static inline void nm_pb_packed32(nm_byte_buffer *out, uint32_t field, const void *words, size_t count) {
    nm_pb_tag(out, field, NM_PB_BYTES);
    nm_pb_raw_varint(out, count * 4);
    uint8_t *at = nm_byte_buffer_grow(out, count * 4);
    if (!at) return;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (count) memcpy(at, words, count * 4);
#else
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, (const uint8_t *)words + 4 * i, 4);
        at = nm_pb_store_u32(at, bits);
    }
#endif
}
static inline void nm_pb_packed64(nm_byte_buffer *out, uint32_t field, const double *values, size_t count) {
    nm_pb_tag(out, field, NM_PB_BYTES);
    nm_pb_raw_varint(out, count * 8);
    uint8_t *at = nm_byte_buffer_grow(out, count * 8);
    for (size_t i = 0; at && i < count; i++) at = nm_pb_store_double(at, values[i]);
}
/// Packed uint32; nothing when there are none.
static inline void nm_pb_packed_uint(nm_byte_buffer *out, uint32_t field, const uint32_t *values, size_t count) {
    if (!count) return;
    size_t size = 0;
    for (size_t i = 0; i < count; i++) size += nm_pb_varint_size(values[i]);
    nm_pb_tag(out, field, NM_PB_BYTES);
    nm_pb_raw_varint(out, size);
    uint8_t *at = nm_byte_buffer_grow(out, size);
    for (size_t i = 0; at && i < count; i++) at = nm_pb_store_varint(at, values[i]);
}

/// Begins a message; the result goes to nm_pb_end. One byte is kept for the length: most messages are small.
static inline size_t nm_pb_begin(nm_byte_buffer *out, uint32_t field) {
    nm_pb_tag(out, field, NM_PB_BYTES);
    nm_byte_buffer_grow(out, 1);
    return out->size;
}
static inline void nm_pb_end(nm_byte_buffer *out, size_t begun) {
    if (out->failed) return;
    size_t size = out->size - begun, length = nm_pb_varint_size(size);
    if (length > 1) {
        if (!nm_byte_buffer_grow(out, length - 1)) return;
        memmove(out->bytes + begun + length - 1, out->bytes + begun, size);
    }
    nm_pb_store_varint(out->bytes + begun - 1, size);
}

#endif
