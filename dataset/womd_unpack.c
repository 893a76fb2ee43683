/// The bulk of a Scenario without protobuf-c: states of tracks and points of lanes and lines are nine tenths of a
/// record, and generic code spends most of its time on finding out what they are. They are read here in one pass into
/// arrays; everything else goes to protobuf-c, as does the whole record as soon as anything is not as writers of the
/// data set have it: fields of other types or numbers, repeated where they can not be, numbers that need more bytes. So
/// what is accepted, refused and said of it is what protobuf-c makes of it.
#include <string.h>

#include "dataset/womd_private.h"

enum { VARINT = 0, WIRE_64 = 1, BYTES = 2, WIRE_32 = 5 };
#define TAG(field, wire) ((uint8_t)((field) << 3 | (wire)))

typedef struct unpacker {
    nm_arena *arena;
    ProtobufCAllocator allocator;
} unpacker;

typedef struct span {
    const uint8_t *at, *end;
} span;

static void *take(void *data, size_t size) {
    return nm_arena_alloc(data, size, 1, 16);
}
static void give(void *data, void *memory) {
    (void)data, (void)memory;
}

/// A number of at most 28 bits; 0 when it is longer or cut off.
static int read_short(span *s, uint32_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        if (s->at == s->end) return 0;
        const uint8_t byte = *s->at++;
        *value |= (uint32_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return 1;
    }
    return 0;
}

static int read_int32(span *s, int32_t *value) {
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (s->at == s->end) return 0;
        const uint8_t byte = *s->at++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte >= 0x80) continue;
        *value = (int32_t)number;
        return number <= INT32_MAX;
    }
    return 0;
}

static int read_span(span *s, span *inner) {
    uint32_t size;
    if (!read_short(s, &size) || size > (size_t)(s->end - s->at)) return 0;
    *inner = (span){s->at, s->at + size};
    s->at += size;
    return 1;
}

static int read_double(span *s, double *value, protobuf_c_boolean *has) {
    uint64_t bits = 0;
    if (s->end - s->at < 8) return 0;
    for (int i = 0; i < 8; i++) bits |= (uint64_t)s->at[i] << 8 * i;
    memcpy(value, &bits, sizeof *value);
    s->at += 8;
    *has = 1;
    return 1;
}

static int read_float(span *s, float *value, protobuf_c_boolean *has) {
    uint32_t bits = 0;
    if (s->end - s->at < 4) return 0;
    for (int i = 0; i < 4; i++) bits |= (uint32_t)s->at[i] << 8 * i;
    memcpy(value, &bits, sizeof *value);
    s->at += 4;
    *has = 1;
    return 1;
}

/// How often the length-prefixed `field` comes (numbers below 16); 0 as result when something can not be skipped.
static int count_field(span s, uint32_t field, size_t *count) {
    *count = 0;
    const size_t size = (size_t)(s.end - s.at);
    nm_womd_field found;
    for (size_t at = 0; at < size;) {
        if (!nm_womd_read_field(s.at, size, &at, &found)) return 0;
        if (found.number != field) continue;
        if (found.wire != BYTES) return 0;
        ++*count;
    }
    return 1;
}

// --- states ----------------------------------------------------------------------------------------------------------

static int read_state(span s, Womd__ObjectState *out) {
    int good = 1;
    while (good && s.at < s.end) {
        switch (*s.at++) {
        case TAG(2, WIRE_64):
            good = read_double(&s, &out->center_x, &out->has_center_x);
            break;
        case TAG(3, WIRE_64):
            good = read_double(&s, &out->center_y, &out->has_center_y);
            break;
        case TAG(4, WIRE_64):
            good = read_double(&s, &out->center_z, &out->has_center_z);
            break;
        case TAG(5, WIRE_32):
            good = read_float(&s, &out->length, &out->has_length);
            break;
        case TAG(6, WIRE_32):
            good = read_float(&s, &out->width, &out->has_width);
            break;
        case TAG(7, WIRE_32):
            good = read_float(&s, &out->height, &out->has_height);
            break;
        case TAG(8, WIRE_32):
            good = read_float(&s, &out->heading, &out->has_heading);
            break;
        case TAG(9, WIRE_32):
            good = read_float(&s, &out->velocity_x, &out->has_velocity_x);
            break;
        case TAG(10, WIRE_32):
            good = read_float(&s, &out->velocity_y, &out->has_velocity_y);
            break;
        case TAG(11, VARINT):
            good = s.at < s.end && *s.at <= 1;
            if (!good) break;
            out->valid = *s.at++;
            out->has_valid = 1;
            break;
        default:
            return 0;
        }
    }
    return good;
}

static int read_track(const unpacker *u, span s, Womd__Track *out) {
    static const Womd__ObjectState empty = WOMD__OBJECT_STATE__INIT;
    size_t count;
    uint32_t type;
    span inner;
    if (!count_field(s, 3, &count)) return 0;
    out->states = NM_ARENA_ARRAY(u->arena, Womd__ObjectState *, count);
    Womd__ObjectState *states = NM_ARENA_ARRAY(u->arena, Womd__ObjectState, count);
    if (!out->states || !states) return 0;
    while (s.at < s.end) {
        switch (*s.at++) {
        case TAG(1, VARINT):
            if (!read_int32(&s, &out->id)) return 0;
            out->has_id = 1;
            break;
        case TAG(2, VARINT):
            if (!read_short(&s, &type)) return 0;
            out->object_type = (Womd__Track__ObjectType)type;
            out->has_object_type = 1;
            break;
        case TAG(3, BYTES):
            states[out->n_states] = empty;
            out->states[out->n_states] = &states[out->n_states];
            if (!read_span(&s, &inner) || !read_state(inner, &states[out->n_states])) return 0;
            out->n_states++;
            break;
        default:
            return 0;
        }
    }
    return 1;
}

// --- points ----------------------------------------------------------------------------------------------------------

static int read_point(span s, Womd__MapPoint *out) {
    int good = 1;
    while (good && s.at < s.end) {
        switch (*s.at++) {
        case TAG(1, WIRE_64):
            good = read_double(&s, &out->x, &out->has_x);
            break;
        case TAG(2, WIRE_64):
            good = read_double(&s, &out->y, &out->has_y);
            break;
        case TAG(3, WIRE_64):
            good = read_double(&s, &out->z, &out->has_z);
            break;
        default:
            return 0;
        }
    }
    return good;
}

/// Splits a message: occurrences of `field` as points, all other bytes as they are into `rest`.
static int split_points(const unpacker *u, span s, uint32_t field, Womd__MapPoint ***list, size_t *n, span *rest) {
    static const Womd__MapPoint empty = WOMD__MAP_POINT__INIT;
    const size_t size = (size_t)(s.end - s.at);
    size_t count, kept = 0;
    nm_womd_field found;
    if (!count_field(s, field, &count)) return 0;
    *list = NM_ARENA_ARRAY(u->arena, Womd__MapPoint *, count);
    Womd__MapPoint *points = NM_ARENA_ARRAY(u->arena, Womd__MapPoint, count);
    uint8_t *others = NM_ARENA_ARRAY(u->arena, uint8_t, size);
    if (!*list || !points || !others) return 0;
    *n = 0;
    for (size_t at = 0; at < size;) {
        if (!nm_womd_read_field(s.at, size, &at, &found)) return 0;
        if (found.number == field) {
            const span inner = {s.at + found.content, s.at + found.content + found.size};
            points[*n] = empty;
            (*list)[*n] = &points[*n];
            if (!read_point(inner, &points[(*n)++])) return 0;
        } else {
            memcpy(others + kept, s.at + found.start, at - found.start);
            kept += at - found.start;
        }
    }
    *rest = (span){others, others + kept};
    return 1;
}

#define UNPACK(u, message, part) message(&(u)->allocator, (size_t)((part).end - (part).at), (part).at)

static int read_lane(unpacker *u, span s, Womd__MapFeature *out) {
    Womd__MapPoint **points;
    size_t count;
    span rest;
    if (!split_points(u, s, 8, &points, &count, &rest)) return 0;
    out->lane = UNPACK(u, womd__lane_center__unpack, rest);
    if (!out->lane) return 0;
    out->lane->polyline = points;
    out->lane->n_polyline = count;
    out->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_LANE;
    return 1;
}

static int read_line(unpacker *u, span s, Womd__MapFeature *out) {
    Womd__MapPoint **points;
    size_t count;
    span rest;
    if (!split_points(u, s, 2, &points, &count, &rest)) return 0;
    out->road_line = UNPACK(u, womd__road_line__unpack, rest);
    if (!out->road_line) return 0;
    out->road_line->polyline = points;
    out->road_line->n_polyline = count;
    out->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_LINE;
    return 1;
}

static int read_edge(unpacker *u, span s, Womd__MapFeature *out) {
    Womd__MapPoint **points;
    size_t count;
    span rest;
    if (!split_points(u, s, 2, &points, &count, &rest)) return 0;
    out->road_edge = UNPACK(u, womd__road_edge__unpack, rest);
    if (!out->road_edge) return 0;
    out->road_edge->polyline = points;
    out->road_edge->n_polyline = count;
    out->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_EDGE;
    return 1;
}

/// A feature of an id and a lane, line or edge, in this order; any other is protobuf-c's. NULL: neither.
static Womd__MapFeature *read_feature(unpacker *u, span s) {
    const span whole = s;
    int32_t id;
    span inner;
    if (s.at < s.end && *s.at++ == TAG(1, VARINT) && read_int32(&s, &id) && s.at < s.end) {
        const uint8_t tag = *s.at++;
        int (*read)(unpacker *, span, Womd__MapFeature *) = tag == TAG(3, BYTES)   ? read_lane
                                                            : tag == TAG(4, BYTES) ? read_line
                                                            : tag == TAG(5, BYTES) ? read_edge
                                                                                   : NULL;
        Womd__MapFeature *out = read ? NM_ARENA_ARRAY(u->arena, Womd__MapFeature, 1) : NULL;
        if (out && read_span(&s, &inner) && s.at == s.end) {
            womd__map_feature__init(out);
            out->id = id;
            out->has_id = 1;
            return read(u, inner, out) ? out : NULL;
        }
    }
    return UNPACK(u, womd__map_feature__unpack, whole);
}

// --- the record ------------------------------------------------------------------------------------------------------

static int read_bulk(unpacker *u, const nm_tfrecord *frame, span *rest, Womd__Scenario *bulk) {
    const span all = {frame->payload, frame->payload + frame->size};
    size_t tracks, features, kept = 0;
    nm_womd_field found;
    if (!count_field(all, NM_WOMD_TRACKS, &tracks) || !count_field(all, NM_WOMD_MAP_FEATURES, &features)) return 0;
    bulk->tracks = NM_ARENA_ARRAY(u->arena, Womd__Track *, tracks);
    bulk->map_features = NM_ARENA_ARRAY(u->arena, Womd__MapFeature *, features);
    Womd__Track *made = NM_ARENA_ARRAY(u->arena, Womd__Track, tracks);
    uint8_t *others = NM_ARENA_ARRAY(u->arena, uint8_t, frame->size);
    if (!bulk->tracks || !bulk->map_features || !made || !others) return 0;
    for (size_t at = 0; at < frame->size;) {
        if (!nm_womd_read_field(frame->payload, frame->size, &at, &found)) return 0;
        const span inner = {frame->payload + found.content, frame->payload + found.content + found.size};
        if (found.number == NM_WOMD_TRACKS) {
            Womd__Track *track = &made[bulk->n_tracks];
            womd__track__init(track);
            bulk->tracks[bulk->n_tracks++] = track;
            if (!read_track(u, inner, track)) return 0;
        } else if (found.number == NM_WOMD_MAP_FEATURES) {
            Womd__MapFeature *feature = read_feature(u, inner);
            if (!feature) return 0;
            bulk->map_features[bulk->n_map_features++] = feature;
        } else {
            memcpy(others + kept, frame->payload + found.start, at - found.start);
            kept += at - found.start;
        }
    }
    *rest = (span){others, others + kept};
    return 1;
}

const Womd__Scenario *nm_womd_unpack_fast(const nm_womd_record *record) {
    unpacker u = {record->arena, {.alloc = take, .free = give, .allocator_data = record->arena}};
    const nm_arena_mark mark = nm_arena_get_mark(record->arena);
    Womd__Scenario bulk = WOMD__SCENARIO__INIT, *out = NULL;
    span rest;
    if (read_bulk(&u, &record->frame, &rest, &bulk)) out = UNPACK(&u, womd__scenario__unpack, rest);
    if (!out) {
        nm_arena_release(record->arena, mark);
        return NULL;
    }
    out->tracks = bulk.tracks;
    out->n_tracks = bulk.n_tracks;
    out->map_features = bulk.map_features;
    out->n_map_features = bulk.n_map_features;
    return out;
}
