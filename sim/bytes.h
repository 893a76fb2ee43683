/// Bytes of stored maps and scenes: one description of a record serves writing, reading and measuring. Private.
///
/// Everything is little-endian. Reading never passes the end: after the first shortage everything reads as 0 and `bad`
/// is set, so that callers check once a section.
#ifndef NM_SIM_BYTES_H
#define NM_SIM_BYTES_H

#include <stdint.h>
#include <string.h>

#include "base/rng.h"

typedef enum nm_io_mode { NM_IO_MEASURE, NM_IO_WRITE, NM_IO_READ } nm_io_mode;

typedef struct nm_io {
    nm_io_mode mode;
    unsigned char *at; // NULL when measuring; not written to when reading
    size_t left;       // when reading
    size_t done;       // bytes passed
    int bad;
} nm_io;

/// Moves on by `size` bytes and returns where they were; NULL when measuring, or when reading past the end.
static inline unsigned char *nm_io_take(nm_io *io, size_t size) {
    unsigned char *at = io->at;
    if (io->mode == NM_IO_READ) {
        if (io->bad || size > io->left) {
            io->bad = 1;
            return NULL;
        }
        io->left -= size;
    }
    io->done += size;
    if (at) io->at = at + size;
    return at;
}

static inline void nm_store32(unsigned char *to, uint32_t value) {
    to[0] = (unsigned char)value;
    to[1] = (unsigned char)(value >> 8);
    to[2] = (unsigned char)(value >> 16);
    to[3] = (unsigned char)(value >> 24);
}
static inline uint32_t nm_load32(const unsigned char *from) {
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}
static inline uint64_t nm_load64(const unsigned char *from) {
    return nm_load32(from) | (uint64_t)nm_load32(from + 4) << 32;
}

static inline void nm_io_u8(nm_io *io, uint8_t *value) {
    unsigned char *at = nm_io_take(io, 1);
    if (io->mode == NM_IO_READ)
        *value = at ? *at : 0;
    else if (at)
        *at = *value;
}
static inline void nm_io_u32(nm_io *io, uint32_t *value) {
    unsigned char *at = nm_io_take(io, 4);
    if (io->mode == NM_IO_READ)
        *value = at ? nm_load32(at) : 0;
    else if (at)
        nm_store32(at, *value);
}
static inline void nm_io_u64(nm_io *io, uint64_t *value) {
    uint32_t low = (uint32_t)*value, high = (uint32_t)(*value >> 32);
    nm_io_u32(io, &low);
    nm_io_u32(io, &high);
    if (io->mode == NM_IO_READ) *value = low | (uint64_t)high << 32;
}
static inline void nm_io_i64(nm_io *io, int64_t *value) {
    uint64_t bits = (uint64_t)*value;
    nm_io_u64(io, &bits);
    if (io->mode == NM_IO_READ) memcpy(value, &bits, sizeof bits);
}
static inline void nm_io_f32(nm_io *io, float *value) {
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    nm_io_u32(io, &bits);
    if (io->mode == NM_IO_READ) memcpy(value, &bits, sizeof bits);
}
static inline void nm_io_f64(nm_io *io, double *value) {
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    nm_io_u64(io, &bits);
    if (io->mode == NM_IO_READ) memcpy(value, &bits, sizeof bits);
}
static inline void nm_io_bytes(nm_io *io, void *bytes, size_t size) {
    unsigned char *at = nm_io_take(io, size);
    if (!size) return;
    if (io->mode == NM_IO_READ) {
        if (at)
            memcpy(bytes, at, size);
        else
            memset(bytes, 0, size);
    } else if (at) {
        memcpy(at, bytes, size);
    }
}
/// `count` 32-bit words (floats or integers).
static inline void nm_io_words(nm_io *io, void *words, size_t count) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    nm_io_bytes(io, words, count * 4);
#else
    for (size_t i = 0; i < count; i++) nm_io_u32(io, (uint32_t *)words + i);
#endif
}

/// Hash of a block, 8 bytes at a time in four independent lanes: about as fast as memory. Each step is a bijection of
/// the lane for a given word and of the word for a given lane, so a single changed word always changes its lane.
/// Not cryptographic. Chain blocks through `seed`.
static inline uint64_t nm_hash_step(uint64_t lane, uint64_t word) {
    lane ^= word * 0x9e3779b97f4a7c15u;
    lane = lane << 29 | lane >> 35;
    return lane * 0xd6e8feb86659fd93u + 0x2545f4914f6cdd1du;
}
static inline uint64_t nm_hash_block(const void *data, size_t size, uint64_t seed) {
    const unsigned char *at = data;
    uint64_t lanes[4] = {seed, ~seed, seed ^ 0xa0761d6478bd642fu, seed + 0xe7037ed1a0b428dbu};
    size_t left = size;
    for (; left >= 32; at += 32, left -= 32) {
        for (int i = 0; i < 4; i++) lanes[i] = nm_hash_step(lanes[i], nm_load64(at + 8 * i));
    }
    unsigned char tail[32] = {0};
    if (left) memcpy(tail, at, left);
    for (int i = 0; i < 4; i++) lanes[i] = nm_hash_step(lanes[i], nm_load64(tail + 8 * i));
    uint64_t hash = nm_hash64(lanes[0] ^ (uint64_t)size);
    for (int i = 1; i < 4; i++) hash = nm_hash64(hash ^ lanes[i]);
    return hash;
}

#endif
