/// TFRecord: records back to back, each {uint64 length, masked CRC-32C of those 8 bytes, payload, masked CRC-32C of the
/// payload}, little-endian, no header and no footer. Two readers find the same: one over bytes in memory, which copies
/// and allocates nothing, and one over a stream, which holds one record at a time (shards have hundreds of megabytes).
#ifndef NM_DATASET_TFRECORD_H
#define NM_DATASET_TFRECORD_H

#include <stdio.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_TFRECORD_HEADER 12u ///< bytes before a payload
#define NM_TFRECORD_FOOTER 4u  ///< and behind it

/// 1 when `head` begins with a record's length and a checksum that fits it, which no other format does by chance (one
/// in 2^32). 12 bytes are needed.
NM_API int nm_tfrecord_detect(const void *head, size_t size);

/// A place in a file. Plain data; a copy reads on independently.
typedef struct nm_tfrecord_reader {
    const char *name; ///< of the input, for messages
    const uint8_t *bytes;
    size_t size;
    size_t offset;  ///< where the next record begins; = size at the end
    uint64_t index; ///< number of the next record, from 0
} nm_tfrecord_reader;

typedef struct nm_tfrecord {
    const uint8_t *payload; ///< within the reader's bytes
    size_t size;
    uint64_t offset; ///< of the payload in the file
    uint64_t index;  ///< of the record in the file
} nm_tfrecord;

/// `name` and `bytes` must outlive the reader.
NM_API nm_tfrecord_reader nm_tfrecord_open(const char *name, const void *bytes, size_t size);

/// The next record. Both checksums are verified.
///   NM_OK           *record is set
///   NM_E_NOT_FOUND  there are no more records; `error` is untouched
///   NM_E_FORMAT     this record is bad; `error` [nullable] names it and its byte offset. Call again: behind a bad
///                   payload comes the next record; behind a bad or cut-off length nothing can be found, and the next
///                   call returns NM_E_NOT_FOUND
/// *record is zeroed, apart from index and offset, unless NM_OK.
NM_API nm_status nm_tfrecord_next(nm_tfrecord_reader *reader, nm_tfrecord *record, nm_error *error);

/// Gives the next bytes of an input, at most `size` (> 0); *got = 0 at its end. Like read(2), it may give fewer. Any
/// status but NM_OK and NM_E_NOT_FOUND tells of trouble and ends the stream.
typedef nm_status nm_byte_source(void *context, void *buffer, size_t size, size_t *got, nm_error *error);

/// A place in a stream. Fill with nm_tfrecord_stream_open, release with nm_tfrecord_stream_close.
typedef struct nm_tfrecord_stream {
    const char *name; ///< of the input, for messages
    nm_byte_source *source;
    void *context;
    size_t limit;    ///< larger payloads are refused and skipped
    uint64_t offset; ///< bytes taken from the source
    uint64_t index;  ///< number of the next record, from 0
    int ended;
    uint8_t *buffer; ///< owned: payload and footer of the last record
    size_t capacity;
} nm_tfrecord_stream;

/// `name` and `context` must outlive the stream. `limit` in bytes, at most SIZE_MAX / 4.
NM_API nm_tfrecord_stream nm_tfrecord_stream_open(const char *name, nm_byte_source *source, void *context,
                                                  size_t limit);
NM_API void nm_tfrecord_stream_close(nm_tfrecord_stream *stream);

/// Like nm_tfrecord_next; the payload is valid until the next call. Besides:
///   NM_E_LIMIT   the payload is larger than the limit: it is skipped, the next call goes on behind it
///   NM_E_MEMORY  there was no memory for it: likewise
///   others       from the source; the stream is at its end then
/// Memory grows as bytes arrive, so a length that lies takes none.
NM_API nm_status nm_tfrecord_stream_next(nm_tfrecord_stream *stream, nm_tfrecord *record, nm_error *error);

/// What stands before and behind a payload of `size` bytes.
NM_API void nm_tfrecord_header(uint64_t size, uint8_t out[NM_TFRECORD_HEADER]);
NM_API void nm_tfrecord_footer(const void *payload, size_t size, uint8_t out[NM_TFRECORD_FOOTER]);
/// Appends one record to `file`. NM_E_IO when it can not be written; `name` of the file is for the message.
NM_API nm_status nm_tfrecord_write(FILE *file, const char *name, const void *payload, size_t size, nm_error *error);

// ---------------------------------------------------------------------------------------------------------------------
// Sharded files: BASE@COUNT stands for BASE-00000-of-COUNT ... (five digits, more only where COUNT has more).

#define NM_SHARDS_MAX 1000000u

/// 1 when `spec` is such a shorthand: the last '@' is followed by 1..NM_SHARDS_MAX in plain digits, and something
/// stands before it. Sets the length of BASE and COUNT.
NM_API int nm_shards_parse(const char *spec, size_t *base_length, uint32_t *count);
/// Name of shard `index` < `count`. Returns its length, like snprintf; always terminated when size > 0.
NM_API size_t nm_shards_name(const char *base, size_t base_length, uint32_t index, uint32_t count, char *name,
                             size_t size);

#ifdef __cplusplus
}
#endif
#endif
