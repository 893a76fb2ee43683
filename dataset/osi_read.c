/// A trace of OSI messages as a scene: every message is a step.
#include "dataset/osi_read.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "dataset/csv_private.h"
#include "dataset/protobuf_in.h"
#include "sim/math.h"

#define MAX_MESSAGE_MEMORY ((size_t)512 << 20) // unpacked
#define NS 1000000000

typedef struct raw_state {
    uint32_t track, step, before; // the track's state before, or NM_NONE
    uint8_t has_velocity, has_heading;
    nm_state_def def;
} raw_state;

typedef struct raw_track {
    int64_t id; // the trace's
    nm_track_def def;
    uint32_t last; // state
    uint8_t fixture, flat, assumed;
} raw_track;

typedef struct raw_signal {
    uint32_t signal, step;
    nm_signal_state state;
} raw_signal;

typedef struct reading {
    nm_reader_context *context;
    const char *name;
    const uint8_t *bytes;
    size_t size;
    nm_arena *arena; // of one message
    nm_pile times;   // int64_t ns, of each step
    nm_pile states;  // raw_state
    nm_pile tracks;  // raw_track
    nm_pile signals; // raw_signal
    nm_id_table track_ids;
    nm_osi_map map;
    int has_offset, own; // own: our external references name the tracks
    nm_point3 offset;
    uint64_t host; // id + 1 of the host vehicle; 0 = not said
    int truncated;
    size_t at; // of the message, for errors
} reading;

static nm_status refuse(const reading *r, nm_error *error, nm_status code, const char *what) {
    return NM_ERROR_AT(error, code, r->name, 0, (int64_t)r->at, "message %zu: %s", r->times.count, what);
}

// ---------------------------------------------------------------------------------------------------------------------
// References

const Osi3__ExternalReference *nm_osi_find_reference(Osi3__ExternalReference *const *all, size_t count,
                                                     const char *type) {
    for (size_t i = 0; i < count; i++) {
        if (all[i]->type && strcmp(all[i]->type, type) == 0) return all[i];
    }
    return NULL;
}

int64_t nm_osi_key(const Osi3__ExternalReference *reference, const char *key, size_t nth, int64_t otherwise) {
    const size_t length = strlen(key);
    for (size_t i = 0; reference && i < reference->n_identifier; i++) {
        const char *text = reference->identifier[i];
        if (strncmp(text, key, length) != 0 || text[length] != '=' || nth-- > 0) continue;
        char *end;
        long long value = strtoll(text + length + 1, &end, 10);
        return *end || end == text + length + 1 ? otherwise : (int64_t)value;
    }
    return otherwise;
}

int nm_osi_key_enum(const Osi3__ExternalReference *reference, const char *key, int count) {
    int64_t value = nm_osi_key(reference, key, 0, 0);
    return value >= 0 && value < count ? (int)value : 0;
}

int nm_osi_offset(const nm_osi_truth *truth, nm_point3 *offset) {
    const Osi3__ProjFrameOffset *o = truth->proj_frame_offset;
    *offset = (nm_point3){0.0, 0.0, 0.0};
    if (!o || !o->position || (o->has_yaw && o->yaw != 0.0)) return 0;
    *offset = (nm_point3){o->position->x, o->position->y, o->position->z};
    return fabs(offset->x) <= 1e9 && fabs(offset->y) <= 1e9 && fabs(offset->z) <= 1e9;
}

// ---------------------------------------------------------------------------------------------------------------------
// Messages

/// Reads tag and extent of a field at *at; 0 when it is broken.
static int next_field(const uint8_t *bytes, size_t size, size_t *at, uint64_t *number, unsigned *wire, size_t *content,
                      size_t *length) {
    uint64_t values[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        unsigned shift = 0;
        if (i == 1 && (values[0] & 7) != PROTOBUF_C_WIRE_TYPE_VARINT &&
            (values[0] & 7) != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            break;
        for (;; shift += 7) {
            if (*at >= size || shift > 63) return 0;
            uint8_t byte = bytes[(*at)++];
            values[i] |= (uint64_t)(byte & 0x7f) << shift;
            if (byte < 0x80) break;
        }
    }
    *number = values[0] >> 3;
    *wire = values[0] & 7;
    *content = *at;
    *length = *wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ? values[1]
              : *wire == PROTOBUF_C_WIRE_TYPE_64BIT         ? 8u
              : *wire == PROTOBUF_C_WIRE_TYPE_32BIT         ? 4u
                                                            : 0u;
    if (*wire != PROTOBUF_C_WIRE_TYPE_VARINT && *wire != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED && *length == 0) return 0;
    if (*length > size - *at) return 0;
    *at += *length;
    return *number != 0;
}

/// The ground truth within a SensorView: its field 7, which has a time in field 2 where a traffic light (field 7 of a
/// GroundTruth) has its box. Returns the message itself when it is no SensorView.
static const uint8_t *find_truth(const uint8_t *bytes, size_t size, size_t *length) {
    size_t at = 0, content, extent;
    uint64_t number;
    unsigned wire;
    *length = size;
    while (at < size && next_field(bytes, size, &at, &number, &wire, &content, &extent)) {
        if (number != 7 || wire != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) continue;
        const uint8_t *inner = bytes + content;
        size_t inside = extent, begin = 0;
        while (begin < inside && next_field(inner, inside, &begin, &number, &wire, &content, &extent)) {
            if (number != 2 || wire != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) continue;
            if (extent == 0 || (inner[content] != 0x08 && inner[content] != 0x10)) break;
            *length = inside;
            return inner;
        }
        break;
    }
    return bytes;
}

static nm_agent_type type_of(const Osi3__MovingObject *o) {
    if (o->type == NM_OSI_PEDESTRIAN) return NM_AGENT_PEDESTRIAN;
    if (o->type != NM_OSI_VEHICLE) return NM_AGENT_UNKNOWN;
    int type = o->vehicle_classification ? o->vehicle_classification->type : NM_OSI_CAR;
    if (type >= NM_OSI_CAR_FIRST && type <= NM_OSI_CAR_LAST) return NM_AGENT_CAR;
    if ((type >= NM_OSI_HEAVY_TRUCK && type <= NM_OSI_TRAILER) || type == NM_OSI_SEMITRACTOR) return NM_AGENT_TRUCK;
    if (type == NM_OSI_MOTORCYCLE) return NM_AGENT_MOTORCYCLE;
    if (type == NM_OSI_BICYCLE || type == NM_OSI_SCOOTER || type == NM_OSI_MICROMOBILITY) return NM_AGENT_CYCLIST;
    if (type == NM_OSI_BUS) return NM_AGENT_BUS;
    if (type == NM_OSI_TRAM || type == NM_OSI_TRAIN) return NM_AGENT_TRAIN;
    return type == NM_OSI_WHEELCHAIR ? NM_AGENT_PEDESTRIAN : NM_AGENT_UNKNOWN;
}

/// The track of an id: a new one takes what its first message says.
static raw_track *track_of(reading *r, int64_t id, const Osi3__ExternalReference *reference, nm_agent_type type,
                           uint32_t *index) {
    *index = nm_id_table_find(&r->track_ids, id);
    if (*index != NM_NONE) return &NM_AT(r->tracks, raw_track, *index);
    *index = (uint32_t)r->tracks.count;
    raw_track *track = NM_PUSH(&r->tracks, raw_track, 1);
    if (!track || nm_id_table_add(&r->track_ids, id, *index) == NM_NONE) return NULL;
    *track = (raw_track){.id = id, .last = NM_NONE};
    track->def.id = nm_osi_key(reference, "id", 0, id);
    track->def.type = type;
    track->def.flags = (unsigned)nm_osi_key_enum(reference, "flags", 256);
    track->def.difficulty = (unsigned)nm_osi_key_enum(reference, "difficulty", 256);
    track->flat = nm_osi_key(reference, "flat", 0, 0) == 1;
    track->assumed = nm_osi_key(reference, "height_assumed", 0, 0) == 1;
    if (reference) track->def.type = (nm_agent_type)nm_osi_key_enum(reference, "type", NM_AGENT_TYPE_COUNT);
    r->own &= reference != NULL;
    return track;
}

static void set_box(const raw_track *track, const Osi3__Dimension3d *d, const Osi3__Vector3d *p, nm_state_def *def) {
    double height = d ? d->height : 0.0;
    def->x = p->x;
    def->y = p->y;
    def->z = p->z - (track->flat ? 0.5 * height : 0.0);
    def->length = d ? (float)d->length : 0.0f;
    def->width = d ? (float)d->width : 0.0f;
    def->height = track->assumed ? 0.0f : (float)height;
}

static nm_status add_moving(reading *r, const Osi3__MovingObject *o, nm_error *error) {
    const Osi3__BaseMoving *base = o->base_values;
    if (!o->id || !base || !base->position) return NM_OK; // nothing to place
    const Osi3__ExternalReference *reference =
        nm_osi_find_reference(o->source_reference, o->n_source_reference, NM_OSI_REF_TRACK);
    uint32_t index;
    raw_track *track = track_of(r, nm_osi_id(o->id), reference, type_of(o), &index);
    raw_state *state = track ? NM_PUSH(&r->states, raw_state, 1) : NULL;
    if (!state) return refuse(r, error, NM_E_MEMORY, "out of memory for the states");
    *state = (raw_state){.track = index, .step = (uint32_t)r->times.count, .before = track->last};
    set_box(track, base->dimension, base->position, &state->def);
    if (base->orientation) state->def.heading = base->orientation->yaw;
    if (base->velocity) state->def.vx = base->velocity->x, state->def.vy = base->velocity->y;
    state->has_heading = base->orientation != NULL;
    state->has_velocity = base->velocity != NULL;
    track->last = (uint32_t)r->states.count - 1;
    return NM_OK;
}

/// Stationary objects that were tracks stand at every step.
static nm_status add_fixture(reading *r, const Osi3__StationaryObject *o, nm_error *error) {
    const Osi3__ExternalReference *reference =
        nm_osi_find_reference(o->source_reference, o->n_source_reference, NM_OSI_REF_TRACK);
    uint32_t index;
    if (!reference || !o->id || !o->base_values || !o->base_values->position) return NM_OK;
    if (nm_id_table_find(&r->track_ids, nm_osi_id(o->id)) != NM_NONE) return NM_OK; // again, as in every message
    raw_track *track = track_of(r, nm_osi_id(o->id), reference, NM_AGENT_OBSTACLE, &index);
    raw_state *state = track ? NM_PUSH(&r->states, raw_state, 1) : NULL;
    if (!state) return refuse(r, error, NM_E_MEMORY, "out of memory for the states");
    *state = (raw_state){.track = index, .before = NM_NONE, .has_velocity = 1, .has_heading = 1};
    track->fixture = 1;
    set_box(track, o->base_values->dimension, o->base_values->position, &state->def);
    if (o->base_values->orientation) state->def.heading = o->base_values->orientation->yaw;
    return NM_OK;
}

/// What the bulbs of one signal say together: 0 nothing yet, 1 a state.
static nm_signal_state lit_state(const Osi3__TrafficLightClassification *c) {
    int arrow = c->icon >= NM_OSI_STRAIGHT && c->icon <= NM_OSI_ICON_LAST_ARROW;
    if (c->mode == NM_OSI_FLASHING) {
        if (c->color == NM_OSI_RED) return NM_SIGNAL_FLASHING_STOP;
        if (c->color == NM_OSI_YELLOW) return NM_SIGNAL_FLASHING_CAUTION;
    }
    if (c->mode < NM_OSI_CONSTANT) return NM_SIGNAL_UNKNOWN;
    if (c->color == NM_OSI_RED) return arrow ? NM_SIGNAL_ARROW_STOP : NM_SIGNAL_STOP;
    if (c->color == NM_OSI_YELLOW) return arrow ? NM_SIGNAL_ARROW_CAUTION : NM_SIGNAL_CAUTION;
    if (c->color == NM_OSI_GREEN) return arrow ? NM_SIGNAL_ARROW_GO : NM_SIGNAL_GO;
    return NM_SIGNAL_UNKNOWN;
}

/// Yellow beside another light is what counts (red with yellow: about to change); off where all are.
static nm_signal_state together(nm_signal_state a, nm_signal_state b, int b_off) {
    if (b == NM_SIGNAL_UNKNOWN) return a == NM_SIGNAL_UNKNOWN && b_off ? NM_SIGNAL_OFF : a;
    if (a == NM_SIGNAL_UNKNOWN || a == NM_SIGNAL_OFF) return b;
    return a == NM_SIGNAL_CAUTION || a == NM_SIGNAL_ARROW_CAUTION ? a : b;
}

static nm_status add_lights(reading *r, const nm_osi_truth *truth, nm_error *error) {
    const uint32_t count = r->map.map ? r->map.map->signal_count : 0;
    if (!count || !truth->n_traffic_light) return NM_OK;
    uint8_t *states = nm_arena_calloc(r->arena, count, 1, 1), *seen = nm_arena_calloc(r->arena, count, 1, 1);
    if (!states || !seen) return refuse(r, error, NM_E_MEMORY, "out of memory for the lights");
    for (size_t i = 0; i < truth->n_traffic_light; i++) {
        const Osi3__TrafficLight *light = truth->traffic_light[i];
        uint32_t signal = nm_id_table_find(&r->map.bulbs, nm_osi_id(light->id));
        if (signal == NM_NONE || !light->classification) continue;
        seen[signal] = 1;
        states[signal] = (uint8_t)together((nm_signal_state)states[signal], lit_state(light->classification),
                                           light->classification->mode == NM_OSI_MODE_OFF);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!seen[i]) continue;
        raw_signal *to = NM_PUSH(&r->signals, raw_signal, 1);
        if (!to) return refuse(r, error, NM_E_MEMORY, "out of memory for the lights");
        *to = (raw_signal){i, (uint32_t)r->times.count, (nm_signal_state)states[i]};
    }
    return NM_OK;
}

static nm_status add_time(reading *r, const nm_osi_truth *truth, nm_error *error) {
    const Osi3__Timestamp *t = truth->timestamp;
    if (!t) return refuse(r, error, NM_E_FORMAT, "there is no timestamp");
    if (t->seconds < 0 || t->seconds >= INT64_C(9000000000) || t->nanos >= NS)
        return refuse(r, error, NM_E_FORMAT, "the timestamp makes no sense");
    int64_t ns = t->seconds * NS + t->nanos;
    if (r->times.count && ns <= NM_AT(r->times, int64_t, r->times.count - 1))
        return refuse(r, error, NM_E_FORMAT, "its time does not come after that of the message before");
    if (r->times.count >= NM_SCENE_MAX_STEPS || r->times.count >= r->context->limits.max_steps)
        return refuse(r, error, NM_E_LIMIT, "there are more messages than a scene may have steps");
    int64_t *to = NM_PUSH(&r->times, int64_t, 1);
    if (!to) return refuse(r, error, NM_E_MEMORY, "out of memory for the times");
    *to = ns;
    return NM_OK;
}

static nm_status add_message(reading *r, const nm_osi_truth *truth, nm_error *error) {
    nm_status status = NM_OK;
    nm_point3 offset;
    int says = nm_osi_offset(truth, &offset);
    if (r->times.count == 0) r->has_offset = says, r->offset = offset;
    if (!r->map.map && (truth->n_logical_lane || truth->n_lane || truth->n_lane_boundary)) {
        nm_error why;
        status = nm_osi_read_map(r->context, truth, r->arena, &r->map, &why);
        if (status != NM_OK) return refuse(r, error, status, why.message);
    }
    for (size_t i = 0; i < truth->n_stationary_object && status == NM_OK; i++)
        status = add_fixture(r, truth->stationary_object[i], error);
    for (size_t i = 0; i < truth->n_moving_object && status == NM_OK; i++)
        status = add_moving(r, truth->moving_object[i], error);
    if (status == NM_OK) status = add_lights(r, truth, error);
    if (truth->host_vehicle_id && !r->host) r->host = truth->host_vehicle_id->value + 1;
    return status == NM_OK ? add_time(r, truth, error) : status;
}

/// All messages. A file that ends within one is read up to there; without any whole one it is refused.
static nm_status read_messages(reading *r, nm_error *error) {
    nm_status status = NM_OK;
    for (size_t next; r->at < r->size && status == NM_OK; r->at = next) {
        size_t left = r->size - r->at;
        const uint8_t *head = r->bytes + r->at;
        uint32_t size =
            left < 4 ? 0
                     : (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
        r->truncated = left < 4 || size > left - 4;
        if (r->truncated) break;
        next = r->at + 4 + size;
        if (size == 0) continue;
        nm_pb_memory memory = {.arena = r->arena};
        ProtobufCAllocator allocator = nm_pb_allocator(&memory);
        size_t length;
        const uint8_t *message = find_truth(head + 4, size, &length);
        const nm_osi_truth *truth = osi3__ground_truth__unpack(&allocator, length, message);
        if (truth)
            status = add_message(r, truth, error);
        else
            status = memory.refused ? refuse(r, error, NM_E_MEMORY, "needs more memory than one message may take")
                                    : refuse(r, error, NM_E_FORMAT, "is neither GroundTruth nor SensorView of OSI 3");
        nm_arena_reset(r->arena);
    }
    if (status == NM_OK && r->times.count == 0) return refuse(r, error, NM_E_FORMAT, "the trace is cut off or empty");
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Building

/// What was not said follows from the way covered. States of a track are linked backwards.
static void complete_states(reading *r, double dt) {
    for (size_t i = 0; i < r->states.count; i++) {
        raw_state *s = &NM_AT(r->states, raw_state, i);
        raw_state *b = s->before == NM_NONE ? NULL : &NM_AT(r->states, raw_state, s->before);
        if (!b) continue;
        double time = (double)(s->step - b->step) * dt;
        double vx = time > 0.0 ? (s->def.x - b->def.x) / time : 0.0,
               vy = time > 0.0 ? (s->def.y - b->def.y) / time : 0.0;
        if (!s->has_velocity) s->def.vx = vx, s->def.vy = vy;
        if (!b->has_velocity && b->before == NM_NONE) b->def.vx = vx, b->def.vy = vy;
        double heading = hypot(vx, vy) > 0.1 ? atan2(vy, vx) : b->def.heading;
        if (!s->has_heading) s->def.heading = heading;
        if (!b->has_heading && b->before == NM_NONE) b->def.heading = heading;
    }
}

/// The state at a step. With an offset the trace's frame is the map's, and floats that were written come back.
static nm_status put_state(const reading *r, uint32_t track, uint32_t step, const nm_state_def *def, nm_error *error) {
    nm_scene_builder *builder = r->context->scene_builder;
    if (!r->has_offset) return nm_scene_builder_add_state(builder, track, step, def, error);
    double heading = def->heading;
    if (!(fabs(heading) <= (double)NM_PI_F)) heading = fabs(heading) < 1e15 ? nm_wrap_angle_d(heading) : NAN;
    nm_state state = {(float)def->x,  (float)def->y, (float)def->z, (float)heading, (float)def->vx,
                      (float)def->vy, def->length,   def->width,    def->height};
    if (state.heading <= -NM_PI_F) state.heading = NM_PI_F;
    return nm_scene_builder_add_local_state(builder, track, step, &state, error);
}

static nm_status add_states(reading *r, nm_error *error) {
    const uint32_t steps = (uint32_t)r->times.count;
    if ((uint64_t)r->tracks.count * steps > r->context->limits.max_cells ||
        r->tracks.count > r->context->limits.max_tracks)
        return NM_ERROR(error, NM_E_LIMIT, "there are %zu objects over %" PRIu32 " messages", r->tracks.count, steps);
    uint32_t ego = NM_NONE;
    for (size_t i = 0; i < r->tracks.count; i++) {
        raw_track *track = &NM_AT(r->tracks, raw_track, i);
        uint32_t index;
        if (!r->own) track->def.id = track->id; // of some only: the names might clash
        if (r->host && (uint64_t)track->id + 1 == r->host) ego = (uint32_t)i;
        nm_status status = nm_scene_builder_add_track(r->context->scene_builder, &track->def, &index, error);
        if (status != NM_OK) return status;
    }
    for (size_t i = 0; i < r->states.count; i++) {
        const raw_state *s = &NM_AT(r->states, raw_state, i);
        uint32_t first = s->step, last = s->step;
        if (NM_AT(r->tracks, raw_track, s->track).fixture) first = 0, last = steps - 1;
        for (uint32_t step = first; step <= last; step++) {
            nm_status status = put_state(r, s->track, step, &s->def, error);
            if (status != NM_OK) return status;
        }
    }
    for (size_t i = 0; i < r->signals.count; i++) {
        const raw_signal *s = &NM_AT(r->signals, raw_signal, i);
        nm_status status = nm_scene_builder_set_signal(r->context->scene_builder, s->signal, s->step, s->state, error);
        if (status != NM_OK) return status;
    }
    nm_scene_builder_set_current(r->context->scene_builder, 0, ego);
    return NM_OK;
}

/// The time step, and the recorded times where they are off its grid.
static nm_status set_times(const reading *r, double dt, nm_error *error) {
    const int64_t *times = r->times.data;
    size_t count = r->times.count, off = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t grid = nm_osi_time(dt, (uint32_t)i);
        off += times[i] - grid > 1 || grid - times[i] > 1;
    }
    if (!off) return NM_OK;
    double *seconds = malloc(count * sizeof *seconds);
    if (!seconds) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the times");
    for (size_t i = 0; i < count; i++) seconds[i] = (double)times[i] / 1e9;
    nm_status status = nm_scene_builder_set_timestamps(r->context->scene_builder, seconds, count, error);
    free(seconds);
    return status;
}

static nm_status make_map(reading *r, nm_error *error) {
    if (r->map.map) return NM_OK;
    nm_point3 origin = r->offset;
    if (!r->has_offset && r->states.count) { // near what there is: floats are exact there
        const nm_state_def *first = &NM_AT(r->states, raw_state, 0).def;
        if (fabs(first->x) < 1e8 && fabs(first->y) < 1e8) origin = (nm_point3){rint(first->x), rint(first->y), 0.0};
    }
    nm_map_builder_reset(r->context->map_builder);
    nm_map_builder_set_origin(r->context->map_builder, origin);
    return nm_map_builder_build(r->context->map_builder, &r->map.map, error);
}

static nm_status build(reading *r, const nm_scene **scene, nm_error *error) {
    nm_scene_builder *builder = r->context->scene_builder;
    const int64_t *times = r->times.data;
    size_t count = r->times.count;
    double dt = count > 1 ? (double)(times[count - 1] - times[0]) / (double)(count - 1) / 1e9 : 0.1;
    dt = nm_csv_float((float)dt);
    nm_scene_builder_reset(builder);
    nm_status status = make_map(r, error);
    if (status == NM_OK) status = nm_scene_builder_begin(builder, r->map.map, dt, (uint32_t)count, error);
    complete_states(r, dt);
    if (status == NM_OK) status = add_states(r, error);
    if (status == NM_OK) status = set_times(r, dt, error);
    if (status == NM_OK && r->truncated) status = nm_scene_builder_add_tag(builder, "truncated_trace:1", error);
    const nm_provenance provenance = {.source = "osi",
                                      .file = nm_base_name(r->name),
                                      .scene_id = "",
                                      .program = "nearmiss " NM_VERSION,
                                      .parameters = "{}"};
    if (status == NM_OK) status = nm_scene_builder_set_provenance(builder, &provenance, error);
    return status == NM_OK ? nm_scene_builder_build(builder, scene, error) : status;
}

void nm_osi_release(nm_reader_context *context) {
    nm_arena_destroy(context->osi);
    context->osi = NULL;
}

int nm_osi_is(const void *head, size_t size) {
    // a length, then field 1: an InterfaceVersion of a few bytes whose first field is the major version, 3
    const uint8_t *b = head;
    if (size < 8) return 0;
    uint32_t length = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return length >= 4 && b[4] == 0x0a && b[5] >= 2 && b[5] <= 24 && b[6] == 0x08 && b[7] == NM_OSI_MAJOR;
}

nm_status nm_osi_read(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                      const nm_scene **scene, nm_error *error) {
    reading r = {.context = context, .name = name, .bytes = bytes, .size = size, .own = 1};
    nm_error why;
    nm_error_clear(&why);
    *scene = NULL;
    if (!context->osi) context->osi = nm_arena_create(MAX_MESSAGE_MEMORY);
    r.arena = context->osi;
    if (!r.arena) return refuse(&r, error, NM_E_MEMORY, "out of memory");
    nm_status status = read_messages(&r, &why);
    if (status == NM_OK) {
        status = build(&r, scene, &why);
        if (status != NM_OK && !why.input[0]) {
            nm_error inner = why;
            status = NM_ERROR_AT(&why, status, name, 0, -1, "%s", inner.message);
        }
    }
    nm_arena_reset(r.arena);
    nm_pile *piles[] = {&r.times, &r.states, &r.tracks, &r.signals};
    for (size_t i = 0; i < sizeof piles / sizeof *piles; i++) nm_pile_free(piles[i]);
    nm_id_table_free(&r.track_ids);
    nm_id_table_free(&r.map.bulbs);
    nm_map_release(r.map.map);
    if (status != NM_OK && error) *error = why;
    return status;
}
