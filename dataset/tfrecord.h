/// TFRecord: records back to back, each {uint64 length, masked CRC-32C of those 8 bytes, payload, masked CRC-32C of the
/// payload}, little-endian, no header and no footer. Reading works on bytes in memory (map the file: only one record is
/// touched at a time); nothing is copied or allocated.
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
    size_t offset;  ///< of the payload in the file
    uint64_t index; ///< of the record in the file
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
