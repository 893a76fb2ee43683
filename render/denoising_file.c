/// Recordings as bytes. Little-endian:
///
///     0    8  "NMDENOIS"
///     8    4  version, 1
///     12   4  tokens N
///     16   4  times
///     20   4  now
///     24   4  passes P
///     28   4  reserved, 0
///     32   8  bytes of the map M
///     40   8  bytes of the scene S
///     48   8  hash of bytes 8 to 47, and with that as the seed of everything from byte 56 on (nm_hash_block)
///     56  64  title, ended and filled up with 0
///     120  M  the map (nm_map_encode)
///          S  the scene (nm_scene_encode)
///         4N  track of each token
///         4N  time of each token
///   P times:  4N level, 4N x, 4N y, 4N heading (32-bit floats), N valid (0 or 1)
///
/// The file ends there. The hash finds damage; every number is checked all the same.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/whole_file.h"
#include "render/denoising_private.h"
#include "sim/bytes.h"

#define MAGIC "NMDENOIS"
#define VERSION 1u
#define HASHED_FROM 56u
#define HEADER (HASHED_FROM + NM_DENOISING_TITLE)
#define MOST_BYTES ((uint64_t)1 << 31)

typedef struct header {
    char magic[8];
    uint32_t version, tokens, times, now, passes, reserved;
    uint64_t map_bytes, scene_bytes, hash;
    char title[NM_DENOISING_TITLE];
} header;

static void header_io(nm_io *io, header *h) {
    nm_io_bytes(io, h->magic, sizeof h->magic);
    nm_io_u32(io, &h->version);
    nm_io_u32(io, &h->tokens);
    nm_io_u32(io, &h->times);
    nm_io_u32(io, &h->now);
    nm_io_u32(io, &h->passes);
    nm_io_u32(io, &h->reserved);
    nm_io_u64(io, &h->map_bytes);
    nm_io_u64(io, &h->scene_bytes);
    nm_io_u64(io, &h->hash);
    nm_io_bytes(io, h->title, sizeof h->title);
}

static void tokens_io(nm_io *io, const nm_denoising *d) {
    nm_io_words(io, (void *)d->track, d->tokens);
    nm_io_words(io, (void *)d->time, d->tokens);
    for (uint32_t pass = 0; pass < d->passes; pass++) {
        const size_t at = (size_t)pass * d->tokens;
        nm_io_words(io, (void *)(d->level + at), d->tokens);
        nm_io_words(io, (void *)(d->x + at), d->tokens);
        nm_io_words(io, (void *)(d->y + at), d->tokens);
        nm_io_words(io, (void *)(d->heading + at), d->tokens);
        nm_io_bytes(io, (void *)(d->valid + at), d->tokens);
    }
}

/// Of everything but the magic and itself.
static uint64_t hash_of(const unsigned char *bytes, size_t size) {
    return nm_hash_block(bytes + HASHED_FROM, size - HASHED_FROM, nm_hash_block(bytes + 8, 40, 0));
}

/// All factors are within their limits: no overflow.
static uint64_t tokens_bytes(uint32_t tokens, uint32_t passes) {
    return (uint64_t)tokens * 8u + (uint64_t)tokens * passes * 17u;
}

nm_status nm_denoising_encode(const nm_denoising *denoising, void **bytes, size_t *size, nm_error *error) {
    NM_ASSERT(denoising && bytes && size);
    const nm_denoising *d = denoising;
    const size_t map = nm_map_encode(d->scene->map, NULL, 0), scene = nm_scene_encode(d->scene, NULL, 0);
    const uint64_t total = HEADER + (uint64_t)map + scene + tokens_bytes(d->tokens, d->passes);
    *bytes = NULL;
    *size = 0;
    if (total > MOST_BYTES) return NM_ERROR(error, NM_E_LIMIT, "the recording takes over 2 GiB");
    unsigned char *out = malloc((size_t)total);
    if (!out) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a recording of %" PRIu64 " bytes", total);
    header h = {.version = VERSION,
                .tokens = d->tokens,
                .times = d->times,
                .now = d->now,
                .passes = d->passes,
                .map_bytes = map,
                .scene_bytes = scene};
    memcpy(h.magic, MAGIC, sizeof h.magic);
    snprintf(h.title, sizeof h.title, "%s", d->title);
    nm_io io = {.mode = NM_IO_WRITE, .at = out + HEADER};
    unsigned char *at = nm_io_take(&io, map);
    nm_map_encode(d->scene->map, at, map);
    at = nm_io_take(&io, scene);
    nm_scene_encode(d->scene, at, scene);
    tokens_io(&io, d);
    io = (nm_io){.mode = NM_IO_WRITE, .at = out};
    header_io(&io, &h);
    h.hash = hash_of(out, (size_t)total);
    io = (nm_io){.mode = NM_IO_WRITE, .at = out};
    header_io(&io, &h);
    *bytes = out;
    *size = (size_t)total;
    return NM_OK;
}

static nm_status check_header(const header *h, size_t size, nm_error *error) {
    if (h->tokens < 1 || h->tokens > NM_DENOISING_MAX_TOKENS || h->times < 1 || h->times > NM_DENOISING_MAX_TIMES ||
        h->now >= h->times || h->passes < 1 || h->passes > NM_DENOISING_MAX_PASSES || h->reserved != 0)
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, 0, 12,
                           "%u tokens, %u times (now %u) and %u passes make no recording", h->tokens, h->times, h->now,
                           h->passes);
    if (h->title[NM_DENOISING_TITLE - 1] != 0)
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, 0, HASHED_FROM, "the title does not end");
    if (h->map_bytes > MOST_BYTES || h->scene_bytes > MOST_BYTES ||
        HEADER + h->map_bytes + h->scene_bytes + tokens_bytes(h->tokens, h->passes) != size)
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, 0, 32, "the file has %zu bytes, which is not what its parts take",
                           size);
    return NM_OK;
}

/// Says in which part of the file the trouble is: by the byte where it begins.
static nm_status in_part(nm_status status, uint64_t start, nm_error *error) {
    if (status != NM_OK && error) error->offset = (int64_t)start;
    return status;
}

static nm_status read_scene(const unsigned char *at, const header *h, const nm_scene **scene, nm_error *error) {
    const nm_map *map = NULL;
    nm_status status = in_part(nm_map_decode(at, (size_t)h->map_bytes, &map, error), HEADER, error);
    if (status != NM_OK) return status;
    status = in_part(nm_scene_decode(at + h->map_bytes, (size_t)h->scene_bytes, map, scene, error),
                     HEADER + h->map_bytes, error);
    nm_map_release(map);
    return status;
}

/// start: where the tracks of the tokens lie in the file.
static nm_status check_tokens(const nm_denoising *d, uint64_t start, nm_error *error) {
    nm_status status = nm_denoising_check_tokens(d->scene, d->tokens, d->times, d->now, d->track, d->time, error);
    if (status != NM_E_ARGUMENT) return status;
    if (error) error->code = NM_E_FORMAT; // the file's fault, not the caller's
    return in_part(NM_E_FORMAT, start, error);
}

static nm_status check_passes(const nm_denoising *d, uint64_t start, nm_error *error) {
    for (uint32_t pass = 0; pass < d->passes; pass++)
        for (uint32_t i = 0; i < d->tokens; i++) {
            const size_t at = (size_t)pass * d->tokens + i;
            if (!nm_denoising_good(d->level[at], d->x[at], d->y[at], d->heading[at], d->valid[at]))
                return NM_ERROR_AT(error, NM_E_FORMAT, NULL, 0, (int64_t)(start + tokens_bytes(d->tokens, pass)),
                                   "token %u of pass %u has numbers that make no sense", i, pass);
        }
    return NM_OK;
}

nm_status nm_denoising_decode(const void *bytes, size_t size, nm_denoising **denoising, nm_error *error) {
    NM_ASSERT((bytes || !size) && denoising);
    *denoising = NULL;
    header h;
    nm_io io = {.mode = NM_IO_READ, .at = (unsigned char *)bytes, .left = size}; // not written to when reading
    header_io(&io, &h);
    if (io.bad || memcmp(h.magic, MAGIC, sizeof h.magic) != 0)
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, 0, 0, "this is no recording of a denoising");
    if (h.version != VERSION)
        return NM_ERROR_AT(error, NM_E_VERSION, NULL, 0, 8, "the recording has version %u; this program reads %u",
                           h.version, VERSION);
    nm_status status = check_header(&h, size, error);
    if (status != NM_OK) return status;
    const unsigned char *start = bytes;
    if (hash_of(start, size) != h.hash)
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, 0, 48, "the file is damaged: its hash is another");
    nm_denoising *d = nm_denoising_new(h.tokens, h.passes);
    if (!d) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u passes of %u tokens", h.passes, h.tokens);
    d->times = h.times;
    d->now = h.now;
    memcpy(d->title, h.title, sizeof d->title);
    nm_io_take(&io, (size_t)(h.map_bytes + h.scene_bytes));
    tokens_io(&io, d);
    status = read_scene(start + HEADER, &h, &d->scene, error);
    const uint64_t tokens_at = HEADER + h.map_bytes + h.scene_bytes;
    if (status == NM_OK) status = check_tokens(d, tokens_at, error);
    if (status == NM_OK) status = check_passes(d, tokens_at, error);
    if (status != NM_OK) {
        nm_denoising_destroy(d);
        return status;
    }
    *denoising = d;
    return NM_OK;
}

// --- files -----------------------------------------------------------------------------------------------------------

nm_status nm_denoising_write(const nm_denoising *denoising, const char *path, nm_error *error) {
    NM_ASSERT(denoising && path);
    nm_whole_file file;
    void *bytes;
    size_t size;
    nm_status status = nm_denoising_encode(denoising, &bytes, &size, error);
    if (status != NM_OK) return status;
    status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status == NM_OK && fwrite(bytes, 1, size, file.stream) != size) {
        status = NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "can not be written: %s", strerror(errno));
        nm_whole_file_drop(&file);
    } else if (status == NM_OK) {
        status = nm_whole_file_keep(&file, error);
    }
    free(bytes);
    return status;
}

static nm_status read_all(int descriptor, const char *path, unsigned char **bytes, size_t *size, nm_error *error) {
    struct stat about;
    if (fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode))
        return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "this is no file");
    if ((uint64_t)about.st_size > MOST_BYTES)
        return NM_ERROR_AT(error, NM_E_LIMIT, path, 0, -1, "the file is larger than 2 GiB");
    *size = (size_t)about.st_size;
    *bytes = malloc(*size + 1);
    if (!*bytes) return NM_ERROR_AT(error, NM_E_MEMORY, path, 0, -1, "out of memory for %zu bytes", *size);
    for (size_t done = 0; done < *size;) {
        const ssize_t more = read(descriptor, *bytes + done, *size - done);
        if (more < 0 && errno == EINTR) continue;
        if (more <= 0)
            return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "could not read: %s",
                               more < 0 ? strerror(errno) : "the file became shorter");
        done += (size_t)more;
    }
    return NM_OK;
}

nm_status nm_denoising_read(const char *path, nm_denoising **denoising, nm_error *error) {
    NM_ASSERT(path && denoising);
    *denoising = NULL;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // not to wait for the writer of a pipe
    if (descriptor < 0) {
        const int reason = errno;
        return NM_ERROR_AT(error, reason == ENOENT ? NM_E_NOT_FOUND : NM_E_IO, path, 0, -1, "could not open: %s",
                           strerror(reason));
    }
    unsigned char *bytes = NULL;
    size_t size = 0;
    nm_status status = read_all(descriptor, path, &bytes, &size, error);
    close(descriptor);
    if (status == NM_OK) {
        status = nm_denoising_decode(bytes, size, denoising, error);
        if (status != NM_OK && error && !error->input[0]) snprintf(error->input, sizeof error->input, "%s", path);
    }
    free(bytes);
    return status;
}
