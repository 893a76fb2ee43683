/// Waymo Open Motion Dataset: the records of a TFRecord file, in either form.
#include "dataset/womd_example.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_RECORD_MEMORY ((size_t)256 << 20) // a record of 1 MB takes about 4 MB
#define KEEP_MEMORY ((size_t)64 << 20)        // kept from record to record

static nm_arena *arena_of(nm_reader_context *context) {
    if (!context->womd) context->womd = nm_arena_create(MAX_RECORD_MEMORY);
    return context->womd;
}

void nm_womd_release(nm_reader_context *context) {
    nm_arena_destroy(context->womd);
    context->womd = NULL;
}

/// Empties the arena; after a giant record it is given back whole.
static void empty_arena(nm_reader_context *context) {
    if (nm_arena_used(context->womd) > KEEP_MEMORY)
        nm_womd_release(context);
    else
        nm_arena_reset(context->womd);
}

/// Reads the length-prefixed field `tag` at *at; 0 when that is not what stands there. A length that points past the
/// end is fine: only the head of a file may be at hand.
static int enter(const uint8_t *bytes, size_t size, size_t *at, uint8_t tag, uint64_t *length) {
    if (*at >= size || bytes[(*at)++] != tag) return 0;
    *length = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
        if (*at >= size) return 0;
        uint8_t byte = bytes[(*at)++];
        *length |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return 1;
    }
    return 0;
}

int nm_womd_is_example(const void *payload, size_t size) {
    // Example{1: Features{1: entry{1: key, ...}}}: three first fields nested, then a readable key. In a Scenario field
    // 1 holds timestamps: eight bytes each (tag 0x09) or, packed, a list of them, which does not begin like this.
    const uint8_t *bytes = payload;
    size_t at = 0;
    uint64_t features, entry, key;
    if (!enter(bytes, size, &at, 0x0a, &features)) return 0;
    if (!enter(bytes, size, &at, 0x0a, &entry) || entry >= features) return 0;
    if (!enter(bytes, size, &at, 0x0a, &key) || key == 0 || key > 256 || key >= entry) return 0;
    for (uint64_t i = 0; i < key && at < size; i++, at++) {
        if (bytes[at] < 0x20 || bytes[at] > 0x7e) return 0;
    }
    return 1;
}

static nm_status read_record(nm_womd_record *record, const nm_scene **scene, nm_error *error) {
    record->arena = arena_of(record->context);
    if (!record->arena) return nm_womd_no_memory(record, error);
    nm_womd_map work = {0};
    const nm_map *map = NULL;
    nm_status status = nm_womd_is_example(record->frame.payload, record->frame.size)
                           ? nm_womd_unpack_example(record, error)
                           : nm_womd_unpack(record, error);
    if (status == NM_OK) status = nm_womd_check_shape(record, error);
    if (status == NM_OK) status = nm_womd_build_map(record, &work, &map, error);
    if (status == NM_OK) status = nm_womd_build_scene(record, &work, map, scene, error);
    nm_map_release(map);
    empty_arena(record->context);
    return status;
}

/// Where records come from: one of the two.
typedef struct input {
    nm_tfrecord_reader *memory;
    nm_tfrecord_stream *stream;
} input;

static nm_status next_record(const input *from, nm_tfrecord *frame, nm_error *error) {
    return from->memory ? nm_tfrecord_next(from->memory, frame, error)
                        : nm_tfrecord_stream_next(from->stream, frame, error);
}

/// Where scenes and refusals go. `refused` is nullable.
typedef struct output {
    nm_scene_sink *sink;
    nm_refusal_sink *refused;
    void *context;
} output;

/// A refusal: told, or where nobody listens the end.
static nm_status refuse(const output *to, nm_status status, const nm_error *trouble, nm_error *error) {
    if (to->refused) {
        to->refused(to->context, trouble);
        return NM_OK;
    }
    if (error) *error = *trouble;
    return status;
}

static nm_status read_frame(nm_reader_context *context, const char *name, const nm_tfrecord *frame, const output *to,
                            nm_error *error) {
    nm_womd_record record = {.context = context, .name = name, .frame = *frame};
    const nm_scene *scene = NULL;
    nm_error trouble;
    nm_error_clear(&trouble);
    nm_status status = nm_nearmiss_is(frame->payload, frame->size)
                           ? nm_nearmiss_read(context, name, frame, &scene, &trouble)
                           : read_record(&record, &scene, &trouble);
    if (status != NM_OK) return refuse(to, status, &trouble, error);
    return to->sink(to->context, scene, name, frame->index, error);
}

static nm_status read_all(nm_reader_context *context, const char *name, const input *from, const output *to,
                          nm_error *error) {
    nm_tfrecord frame;
    nm_error trouble;
    nm_error_clear(&trouble);
    for (nm_status status; (status = next_record(from, &frame, &trouble)) != NM_E_NOT_FOUND;) {
        status = status == NM_OK ? read_frame(context, name, &frame, to, error) : refuse(to, status, &trouble, error);
        if (status != NM_OK) return status;
        nm_error_clear(&trouble);
    }
    return NM_OK;
}

nm_status nm_womd_read(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                       nm_scene_sink *sink, nm_refusal_sink *refused, void *sink_context, nm_error *error) {
    nm_tfrecord_reader reader = nm_tfrecord_open(name, bytes, size);
    const output to = {sink, refused, sink_context};
    return read_all(context, name, &(input){.memory = &reader}, &to, error);
}

nm_status nm_womd_read_stream(nm_reader_context *context, const char *name, nm_byte_source *source,
                              void *source_context, nm_scene_sink *sink, nm_refusal_sink *refused, void *sink_context,
                              nm_error *error) {
    nm_tfrecord_stream stream = nm_tfrecord_stream_open(name, source, source_context, MAX_RECORD_MEMORY);
    const output to = {sink, refused, sink_context};
    nm_status status = read_all(context, name, &(input){.stream = &stream}, &to, error);
    nm_tfrecord_stream_close(&stream);
    return status;
}

nm_status nm_womd_split_stream(const char *name, nm_byte_source *source, void *source_context, nm_piece_sink *visit,
                               nm_refusal_sink *refused, void *context, nm_error *error) {
    nm_tfrecord_stream stream = nm_tfrecord_stream_open(name, source, source_context, MAX_RECORD_MEMORY);
    const output to = {.refused = refused, .context = context};
    nm_tfrecord frame;
    nm_error trouble;
    nm_error_clear(&trouble);
    nm_status status;
    while ((status = nm_tfrecord_stream_next(&stream, &frame, &trouble)) != NM_E_NOT_FOUND) {
        if (status != NM_OK) {
            status = refuse(&to, status, &trouble, error);
        } else {
            const nm_piece piece = {.kind = NM_PIECE_RECORD,
                                    .name = name,
                                    .bytes = frame.payload,
                                    .size = frame.size,
                                    .offset = frame.offset,
                                    .index = frame.index};
            status = visit(context, &piece, error);
        }
        if (status != NM_OK) break;
        nm_error_clear(&trouble);
    }
    nm_tfrecord_stream_close(&stream);
    return status == NM_E_NOT_FOUND ? NM_OK : status;
}

nm_status nm_womd_read_record(nm_reader_context *context, const nm_piece *piece, nm_scene_sink *sink,
                              nm_refusal_sink *refused, void *sink_context, nm_error *error) {
    const nm_tfrecord frame = {piece->bytes, piece->size, piece->offset, piece->index};
    const output to = {sink, refused, sink_context};
    return read_frame(context, piece->name, &frame, &to, error);
}
