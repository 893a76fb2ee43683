#include "dataset/womd_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define MAX_ID 256u // bytes

// ---------------------------------------------------------------------------------------------------------------------
// Places: protobuf-c does not tell where a field was, so the top level of the message is walked again when an error has
// to name it.

/// Reads a base-128 number at *at; 0 when it is cut off or over 64 bits.
static int read_varint(const uint8_t *bytes, size_t size, size_t *at, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (*at >= size) return 0;
        uint8_t byte = bytes[(*at)++];
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return 1;
    }
    return 0;
}

int nm_womd_read_field(const uint8_t *bytes, size_t size, size_t *at, nm_womd_field *found) {
    uint64_t tag, value;
    *found = (nm_womd_field){.start = *at};
    if (!read_varint(bytes, size, at, &tag) || tag > UINT32_MAX || tag < 8) return 0;
    found->number = (uint32_t)(tag >> 3);
    found->wire = tag & 7;
    size_t skip;
    switch (found->wire) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return read_varint(bytes, size, at, &value);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        skip = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        skip = 4;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!read_varint(bytes, size, at, &value) || value > size - *at) return 0;
        skip = (size_t)value;
        break;
    default:
        return 0;
    }
    if (skip > size - *at) return 0;
    found->content = *at;
    found->size = skip;
    *at += skip;
    return 1;
}

/// Offset in the file of occurrence `nth` of `number`; of the payload when it is not there.
static int64_t locate(const nm_tfrecord *frame, uint32_t number, size_t nth) {
    size_t at = 0;
    nm_womd_field found;
    while (number != NM_WOMD_RECORD && at < frame->size &&
           nm_womd_read_field(frame->payload, frame->size, &at, &found)) {
        if (found.number == number && nth-- == 0) return (int64_t)(frame->offset + found.start);
    }
    return (int64_t)frame->offset;
}

static void name_record(const nm_womd_record *record, char *text, size_t size) {
    char id[64] = "";
    if (record->scenario && record->scenario->scenario_id) nm_text_escape(id, sizeof id, record->scenario->scenario_id);
    if (*id)
        snprintf(text, size, "record %" PRIu64 " (scenario %s)", record->frame.index, id);
    else
        snprintf(text, size, "record %" PRIu64, record->frame.index);
}

nm_status nm_womd_refuse(const nm_womd_record *record, nm_error *error, nm_status code, uint32_t field_number,
                         size_t nth, const char *format, ...) {
    char place[128], message[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    name_record(record, place, sizeof place);
    return NM_ERROR_AT(error, code, record->name, 0, locate(&record->frame, field_number, nth), "%s: %s", place,
                       message);
}

nm_status nm_womd_place(const nm_womd_record *record, nm_error *error, nm_status code, uint32_t field_number,
                        size_t nth) {
    if (!error) return code;
    char message[sizeof error->message];
    memcpy(message, error->message, sizeof message);
    return nm_womd_refuse(record, error, code, field_number, nth, "%s", message);
}

nm_status nm_womd_no_memory(const nm_womd_record *record, nm_error *error) {
    return nm_womd_refuse(record, error, NM_E_MEMORY, NM_WOMD_RECORD, 0,
                          "needs more memory than there is, or than one record may take");
}

// ---------------------------------------------------------------------------------------------------------------------
// Unpacking into the arena, whose limit is what a hostile record can make us spend: two bytes on the wire can ask for
// more than a hundred in memory. Nothing is freed singly.

typedef struct allocation {
    nm_arena *arena;
    int refused;
} allocation;

static void *take(void *data, size_t size) {
    allocation *from = data;
    void *memory = nm_arena_alloc(from->arena, size, 1, 16);
    if (!memory) from->refused = 1;
    return memory;
}
static void give(void *data, void *memory) {
    (void)data, (void)memory;
}

/// Says what is wrong with a payload that did not unpack: the first field at the top level that does not.
static nm_status explain(nm_womd_record *record, ProtobufCAllocator *allocator, nm_error *error) {
    static const struct {
        uint32_t number;
        const ProtobufCMessageDescriptor *message;
    } parts[] = {{NM_WOMD_TRACKS, &womd__track__descriptor},
                 {NM_WOMD_DYNAMIC_MAP_STATES, &womd__dynamic_map_state__descriptor},
                 {NM_WOMD_MAP_FEATURES, &womd__map_feature__descriptor},
                 {NM_WOMD_TRACKS_TO_PREDICT, &womd__required_prediction__descriptor}};
    const nm_tfrecord *frame = &record->frame;
    size_t at = 0;
    while (at < frame->size) {
        nm_womd_field found;
        if (!nm_womd_read_field(frame->payload, frame->size, &at, &found))
            return NM_ERROR_AT(error, NM_E_FORMAT, record->name, 0, (int64_t)(frame->offset + found.start),
                               "record %" PRIu64 " is no Scenario message: no field can be read here", frame->index);
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            if (found.number != parts[i].number) continue;
            nm_arena_mark mark = nm_arena_get_mark(record->arena);
            int good = found.wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
                       protobuf_c_message_unpack(parts[i].message, allocator, found.size,
                                                 frame->payload + found.content) != NULL;
            nm_arena_release(record->arena, mark);
            if (!good)
                return NM_ERROR_AT(error, NM_E_FORMAT, record->name, 0, (int64_t)(frame->offset + found.start),
                                   "record %" PRIu64 ": field %" PRIu32 " is no %s message", frame->index, found.number,
                                   parts[i].message->short_name);
        }
    }
    return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_RECORD, 0, "the payload is no Scenario message");
}

/// The id ends up in databases, file names and JSON.
nm_status nm_womd_check_id(const nm_womd_record *record, nm_error *error) {
    const char *id = record->scenario->scenario_id ? record->scenario->scenario_id : "";
    size_t length = strlen(id), step;
    if (length > MAX_ID)
        return nm_womd_refuse(record, error, NM_E_LIMIT, NM_WOMD_SCENARIO_ID, 0, "scenario_id has %zu bytes", length);
    for (size_t at = 0; at < length; at += step) {
        step = nm_utf8_next(id + at, length - at);
        if (step == 0 || (unsigned char)id[at] < 0x20 || id[at] == 0x7f)
            return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_SCENARIO_ID, 0, "scenario_id is no plain text");
    }
    return NM_OK;
}

nm_status nm_womd_unpack(nm_womd_record *record, nm_error *error) {
    allocation from = {.arena = record->arena};
    ProtobufCAllocator allocator = {.alloc = take, .free = give, .allocator_data = &from};
    nm_arena_mark mark = nm_arena_get_mark(record->arena);
    record->scenario = nm_womd_unpack_fast(record);
    if (record->scenario) return nm_womd_check_id(record, error);
    record->scenario = womd__scenario__unpack(&allocator, record->frame.size, record->frame.payload);
    if (record->scenario) return nm_womd_check_id(record, error);
    if (from.refused) return nm_womd_no_memory(record, error);
    nm_arena_release(record->arena, mark);
    return explain(record, &allocator, error);
}
