/// tf.Example records: the flat features become a Scenario message, which then goes the way of every other. What they
/// do not say stays unknown: lanes have no borders, neighbours, speed limits or stop signs. Map points become features
/// by their id and direction (a sample without direction is a feature's last), and lanes follow one another where one
/// begins, in the same direction, where the other ends.
#include "dataset/womd_example.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/womd_samples.h"

#define MICROSECOND 1e-6
#define MAX_KEY 64u

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_32BIT = 5 };
enum { LIST_BYTES = 1, LIST_FLOAT = 2, LIST_INT64 = 3 };

/// What is known of one key: where the values are in the payload.
typedef struct feature {
    const uint8_t *bytes;
    size_t size;
    int list; // LIST_..., 0 = not there
    size_t count;
} feature;

enum { PAST = 0, CURRENT, FUTURE, PERIODS };
static const char *const period_names[PERIODS] = {"past", "current", "future"};

enum { S_X, S_Y, S_Z, S_LENGTH, S_WIDTH, S_HEIGHT, S_YAW, S_VX, S_VY, S_FLOATS, S_VALID = S_FLOATS, S_MICROS, S_COUNT };
static const char *const state_names[S_COUNT] = {
    "x", "y", "z", "length", "width", "height", "bbox_yaw", "velocity_x", "velocity_y", "valid", "timestamp_micros"};
enum { L_X, L_Y, L_Z, L_FLOATS, L_ID = L_FLOATS, L_STATE, L_VALID, L_MICROS, L_COUNT };
static const char *const light_names[L_COUNT] = {"x", "y", "z", "id", "state", "valid", "timestamp_micros"};
enum { A_ID, A_TYPE, A_SDC, A_PREDICT, A_INTEREST, A_DIFFICULTY, A_COUNT };
static const char *const agent_names[A_COUNT] = {"state/id",
                                                 "state/type",
                                                 "state/is_sdc",
                                                 "state/tracks_to_predict",
                                                 "state/objects_of_interest",
                                                 "state/difficulty_level"};
enum { P_XYZ, P_DIR, P_TYPE, P_ID, P_VALID, P_COUNT };
static const char *const point_names[P_COUNT] = {"roadgraph_samples/xyz", "roadgraph_samples/dir",
                                                 "roadgraph_samples/type", "roadgraph_samples/id",
                                                 "roadgraph_samples/valid"};

/// Values of one kind, one of the two.
typedef struct values {
    const float *floats;
    const int64_t *integers;
    size_t count;
} values;

typedef struct example {
    nm_womd_record *record;
    feature scenario_id, agents[A_COUNT], points[P_COUNT], states[PERIODS][S_COUNT], lights[PERIODS][L_COUNT];
    size_t agent_count, steps[PERIODS], step_count;
    Womd__Scenario *out;
    uint32_t *kept; // [out->n_tracks] agents
} example;

static void *take(const example *e, size_t count, size_t size) {
    return nm_arena_calloc(e->record->arena, count, size, 16);
}
#define TAKE(e, type, count) ((type *)take((e), (count), sizeof(type)))
#define SET(message, field, value) ((message)->has_##field = 1, (message)->field = (value))

static nm_status refuse_key(const example *e, nm_error *error, const char *key, const char *what) {
    return nm_womd_refuse(e->record, error, NM_E_FORMAT, NM_WOMD_RECORD, 0, "tf.Example: feature '%s' %s", key, what);
}

// ---------------------------------------------------------------------------------------------------------------------
// Finding the features

static void note_key(example *e, const char *key, const feature *found) {
    char name[MAX_KEY];
    feature *slot = strcmp(key, "scenario/id") == 0 ? &e->scenario_id : NULL;
    for (int i = 0; i < A_COUNT && !slot; i++) slot = strcmp(key, agent_names[i]) == 0 ? &e->agents[i] : NULL;
    for (int i = 0; i < P_COUNT && !slot; i++) slot = strcmp(key, point_names[i]) == 0 ? &e->points[i] : NULL;
    for (int p = 0; p < PERIODS && !slot; p++) {
        for (int i = 0; i < S_COUNT && !slot; i++) {
            snprintf(name, sizeof name, "state/%s/%s", period_names[p], state_names[i]);
            slot = strcmp(key, name) == 0 ? &e->states[p][i] : NULL;
        }
        for (int i = 0; i < L_COUNT && !slot; i++) {
            snprintf(name, sizeof name, "traffic_light_state/%s/%s", period_names[p], light_names[i]);
            slot = strcmp(key, name) == 0 ? &e->lights[p][i] : NULL;
        }
    }
    if (slot) *slot = *found; // the last one counts, as in every protobuf map
}

/// The last length-prefixed field of that number; 0 when the message is broken, 1 with size 0 when it is not there.
static int find_message(const uint8_t *bytes, size_t size, uint32_t first, uint32_t last, feature *found) {
    nm_womd_field field;
    *found = (feature){.bytes = bytes};
    for (size_t at = 0; at < size;) {
        if (!nm_womd_read_field(bytes, size, &at, &field)) return 0;
        if (field.number < first || field.number > last || field.wire != WIRE_BYTES) continue;
        *found = (feature){.bytes = bytes + field.content, .size = field.size, .list = (int)field.number};
    }
    return 1;
}

/// One entry of the map: key, and the list within the feature.
static int read_entry(example *e, const uint8_t *bytes, size_t size) {
    feature key, value, list;
    char name[MAX_KEY];
    if (!find_message(bytes, size, 1, 1, &key) || !find_message(bytes, size, 2, 2, &value)) return 0;
    if (!find_message(value.bytes, value.size, LIST_BYTES, LIST_INT64, &list)) return 0;
    if (key.size == 0 || key.size >= sizeof name || memchr(key.bytes, 0, key.size)) return 1; // none of those known
    memcpy(name, key.bytes, key.size);
    name[key.size] = '\0';
    note_key(e, name, &list);
    return 1;
}

static nm_status find_features(example *e, nm_error *error) {
    const nm_tfrecord *frame = &e->record->frame;
    nm_womd_field outer, inner;
    for (size_t at = 0; at < frame->size;) {
        const size_t start = at;
        int good = nm_womd_read_field(frame->payload, frame->size, &at, &outer);
        const uint8_t *bytes = frame->payload + outer.content;
        for (size_t in = 0; good && outer.number == 1 && outer.wire == WIRE_BYTES && in < outer.size;) {
            good = nm_womd_read_field(bytes, outer.size, &in, &inner);
            if (good && inner.number == 1 && inner.wire == WIRE_BYTES)
                good = read_entry(e, bytes + inner.content, inner.size);
        }
        if (!good)
            return NM_ERROR_AT(error, NM_E_FORMAT, e->record->name, 0, (int64_t)(frame->offset + start),
                               "record %" PRIu64 " is no tf.Example message: its features can not be read",
                               frame->index);
    }
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Values

static int read_varint(const uint8_t *bytes, size_t size, size_t *at, int64_t *value) {
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (*at >= size) return 0;
        const uint8_t byte = bytes[(*at)++];
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = (int64_t)number;
            return 1;
        }
    }
    return 0;
}

static float read_float(const uint8_t *bytes) {
    const uint32_t bits =
        (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/// Appends the values of one packed or single field; 0 when they are broken.
static int take_values(const uint8_t *list, const nm_womd_field *field, size_t start, float *floats, int64_t *integers,
                       size_t *count) {
    const uint8_t *bytes = list + field->content;
    if (floats) {
        if (field->wire != WIRE_BYTES && field->wire != WIRE_32BIT) return 0;
        if (field->size % 4 != 0) return 0;
        for (size_t i = 0; i < field->size; i += 4) floats[(*count)++] = read_float(bytes + i);
        return 1;
    }
    if (field->wire == WIRE_VARINT) { // read whole before: tag and value lie within the list
        size_t at = start;
        while (list[at++] & 0x80) continue;
        return read_varint(list, at + 10, &at, &integers[(*count)++]);
    }
    if (field->wire != WIRE_BYTES) return 0;
    for (size_t at = 0; at < field->size;) {
        if (!read_varint(bytes, field->size, &at, &integers[(*count)++])) return 0;
    }
    return 1;
}

/// Decodes a feature, which must be a list of floats (or integers) where `floats`, else one of integers.
static nm_status decode(const example *e, const feature *f, const char *key, int floats, values *out, nm_error *error) {
    *out = (values){0};
    if (!f->list) return refuse_key(e, error, key, "is missing");
    if (f->size == 0) return NM_OK; // an empty list needs no kind
    if (f->list != (floats ? LIST_FLOAT : LIST_INT64))
        return refuse_key(e, error, key, floats ? "holds no floats" : "holds no integers");
    // every float takes four bytes, every integer at least one
    const size_t room = floats ? f->size / 4 + 1 : f->size;
    float *reals = floats ? TAKE(e, float, room) : NULL;
    int64_t *integers = floats ? NULL : TAKE(e, int64_t, room);
    if (!reals && !integers) return nm_womd_no_memory(e->record, error);
    nm_womd_field field;
    for (size_t at = 0; at < f->size;) {
        const size_t start = at;
        if (!nm_womd_read_field(f->bytes, f->size, &at, &field) ||
            (field.number == 1 && !take_values(f->bytes, &field, start, reals, integers, &out->count)))
            return refuse_key(e, error, key, "can not be read");
    }
    out->floats = reals;
    out->integers = integers;
    return NM_OK;
}

static nm_status expect(const example *e, const values *v, const char *key, size_t count, nm_error *error) {
    if (v->count == count) return NM_OK;
    return nm_womd_refuse(e->record, error, NM_E_FORMAT, NM_WOMD_RECORD, 0,
                          "tf.Example: feature '%s' has %zu values, not %zu", key, v->count, count);
}

// ---------------------------------------------------------------------------------------------------------------------
// Agents

typedef struct agent_values {
    values id, type, sdc, predict, interest, difficulty;
} agent_values;

static nm_status decode_agents(example *e, agent_values *a, nm_error *error) {
    values *const places[A_COUNT] = {&a->id, &a->type, &a->sdc, &a->predict, &a->interest, &a->difficulty};
    nm_status status = NM_OK;
    *a = (agent_values){0};
    for (int i = 0; i < A_COUNT && status == NM_OK; i++) {
        if (i > A_SDC && !e->agents[i].list) continue;
        status = decode(e, &e->agents[i], agent_names[i], i <= A_TYPE, places[i], error);
        if (i == A_ID) e->agent_count = places[i]->count;
        if (status == NM_OK) status = expect(e, places[i], agent_names[i], e->agent_count, error);
    }
    if (status == NM_OK && e->agent_count == 0) return refuse_key(e, error, agent_names[A_ID], "is empty");
    return status;
}

/// How many steps a period has; the past and the future may be missing.
static nm_status count_steps(example *e, int p, nm_error *error) {
    char key[MAX_KEY];
    values x;
    snprintf(key, sizeof key, "state/%s/x", period_names[p]);
    if (p != CURRENT && !e->states[p][S_X].list) return NM_OK;
    const nm_arena_mark mark = nm_arena_get_mark(e->record->arena);
    const nm_status status = decode(e, &e->states[p][S_X], key, 1, &x, error);
    nm_arena_release(e->record->arena, mark);
    if (status != NM_OK) return status;
    e->steps[p] = x.count / e->agent_count;
    e->step_count += e->steps[p];
    if (e->steps[p] * e->agent_count != x.count || (p == CURRENT && e->steps[p] != 1))
        return nm_womd_refuse(e->record, error, NM_E_FORMAT, NM_WOMD_RECORD, 0,
                              "tf.Example: feature '%s' has %zu values for %zu agents", key, x.count, e->agent_count);
    return NM_OK;
}

/// Which agents are there: padding has -1 in tracks_to_predict, or, without that, a negative id.
static nm_status make_tracks(example *e, const agent_values *a, nm_error *error) {
    Womd__Scenario *s = e->out;
    s->tracks = TAKE(e, Womd__Track *, e->agent_count);
    e->kept = TAKE(e, uint32_t, e->agent_count);
    if (!s->tracks || !e->kept) return nm_womd_no_memory(e->record, error);
    for (size_t i = 0; i < e->agent_count; i++) {
        const float id = a->id.floats[i], type = a->type.floats[i];
        if (a->predict.count ? a->predict.integers[i] == -1 : id < 0.0f) continue;
        if (!(id >= 0.0f && id < 2147483648.0f))
            return nm_womd_refuse(e->record, error, NM_E_FORMAT, NM_WOMD_RECORD, 0,
                                  "tf.Example: agent %zu has the id %g", i, (double)id);
        Womd__Track *track = TAKE(e, Womd__Track, 1);
        if (!track) return nm_womd_no_memory(e->record, error);
        womd__track__init(track);
        SET(track, id, (int32_t)id);
        SET(track, object_type, type >= 0.0f && type <= 4.0f ? (Womd__Track__ObjectType)type : 0);
        track->n_states = e->step_count;
        track->states = TAKE(e, Womd__ObjectState *, e->step_count);
        if (!track->states) return nm_womd_no_memory(e->record, error);
        e->kept[s->n_tracks] = (uint32_t)i;
        s->tracks[s->n_tracks++] = track;
    }
    return NM_OK;
}

static nm_status make_states(example *e, int p, size_t first, nm_error *error) {
    char key[MAX_KEY];
    values v[S_VALID + 1];
    for (int i = 0; i <= S_VALID; i++) {
        snprintf(key, sizeof key, "state/%s/%s", period_names[p], state_names[i]);
        nm_status status = decode(e, &e->states[p][i], key, i < S_FLOATS, &v[i], error);
        if (status == NM_OK) status = expect(e, &v[i], key, e->agent_count * e->steps[p], error);
        if (status != NM_OK) return status;
    }
    for (size_t k = 0; k < e->out->n_tracks; k++) {
        Womd__ObjectState *states = TAKE(e, Womd__ObjectState, e->steps[p]);
        if (!states) return nm_womd_no_memory(e->record, error);
        for (size_t t = 0; t < e->steps[p]; t++) {
            Womd__ObjectState *state = &states[t];
            const size_t at = e->kept[k] * e->steps[p] + t;
            womd__object_state__init(state);
            e->out->tracks[k]->states[first + t] = state;
            SET(state, valid, v[S_VALID].integers[at] == 1);
            if (!state->valid) continue;
            SET(state, center_x, (double)v[S_X].floats[at]);
            SET(state, center_y, (double)v[S_Y].floats[at]);
            SET(state, center_z, (double)v[S_Z].floats[at]);
            SET(state, length, v[S_LENGTH].floats[at]);
            SET(state, width, v[S_WIDTH].floats[at]);
            SET(state, height, v[S_HEIGHT].floats[at]);
            SET(state, heading, v[S_YAW].floats[at]);
            SET(state, velocity_x, v[S_VX].floats[at]);
            SET(state, velocity_y, v[S_VY].floats[at]);
        }
    }
    return NM_OK;
}

static nm_status make_roles(example *e, const agent_values *a, nm_error *error) {
    Womd__Scenario *s = e->out;
    size_t pilots = 0;
    s->tracks_to_predict = TAKE(e, Womd__RequiredPrediction *, s->n_tracks);
    s->objects_of_interest = TAKE(e, int32_t, s->n_tracks);
    Womd__RequiredPrediction *predictions = TAKE(e, Womd__RequiredPrediction, s->n_tracks);
    if (!s->tracks_to_predict || !s->objects_of_interest || !predictions) return nm_womd_no_memory(e->record, error);
    for (size_t k = 0; k < s->n_tracks; k++) {
        const size_t i = e->kept[k];
        if (a->sdc.integers[i] == 1) {
            SET(s, sdc_track_index, (int32_t)k);
            pilots++;
        }
        if (a->interest.count && a->interest.integers[i] == 1)
            s->objects_of_interest[s->n_objects_of_interest++] = s->tracks[k]->id;
        if (!a->predict.count || a->predict.integers[i] != 1) continue;
        Womd__RequiredPrediction *p = &predictions[s->n_tracks_to_predict];
        womd__required_prediction__init(p);
        SET(p, track_index, (int32_t)k);
        if (a->difficulty.count && a->difficulty.integers[i] >= 0 && a->difficulty.integers[i] <= 2)
            SET(p, difficulty, (Womd__RequiredPrediction__DifficultyLevel)a->difficulty.integers[i]);
        s->tracks_to_predict[s->n_tracks_to_predict++] = p;
    }
    if (s->n_tracks && pilots != 1)
        return nm_womd_refuse(e->record, error, NM_E_FORMAT, NM_WOMD_RECORD, 0,
                              "tf.Example: state/is_sdc marks %zu agents, not one", pilots);
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Time and signals

/// Times of a period, of the signals or, step by step, of whoever is there; 0 where they are not said.
static nm_status read_times(example *e, int p, double *times, nm_error *error) {
    char key[MAX_KEY];
    values v;
    const int lights = e->lights[p][L_MICROS].list != 0;
    const feature *from = lights ? &e->lights[p][L_MICROS] : &e->states[p][S_MICROS];
    snprintf(key, sizeof key, lights ? "traffic_light_state/%s/%s" : "state/%s/%s", period_names[p],
             state_names[S_MICROS]);
    for (size_t t = 0; t < e->steps[p]; t++) times[t] = -1.0;
    if (!from->list) return NM_OK;
    nm_status status = decode(e, from, key, 0, &v, error);
    if (status == NM_OK) status = expect(e, &v, key, e->steps[p] * (lights ? 1 : e->agent_count), error);
    for (size_t i = 0; status == NM_OK && i < v.count; i++) {
        const size_t t = i % e->steps[p];
        if (v.integers[i] > -1 && v.integers[i] < INT64_C(1000000000000000))
            times[t] = (double)v.integers[i] * MICROSECOND;
    }
    return status;
}

/// As recorded; every 0.1 s where the record does not say or they do not ascend.
static nm_status make_times(example *e, nm_error *error) {
    double *times = TAKE(e, double, e->step_count);
    size_t at = 0;
    int good = 1;
    if (!times) return nm_womd_no_memory(e->record, error);
    for (int p = 0; p < PERIODS; at += e->steps[p++]) {
        const nm_status status = e->steps[p] ? read_times(e, p, times + at, error) : NM_OK;
        if (status != NM_OK) return status;
    }
    for (size_t t = 0; t < e->step_count; t++) good = good && times[t] >= 0.0 && (t == 0 || times[t] > times[t - 1]);
    for (size_t t = 0; t < e->step_count && !good; t++) times[t] = 0.1 * (double)t;
    e->out->timestamps_seconds = times;
    e->out->n_timestamps_seconds = e->step_count;
    return NM_OK;
}

static nm_status make_lights(example *e, int p, size_t first, nm_error *error) {
    char key[MAX_KEY];
    values v[L_VALID + 1];
    for (int i = 0; i <= L_VALID; i++) {
        snprintf(key, sizeof key, "traffic_light_state/%s/%s", period_names[p], light_names[i]);
        nm_status status = decode(e, &e->lights[p][i], key, i < L_FLOATS, &v[i], error);
        if (status == NM_OK) status = expect(e, &v[i], key, v[0].count / e->steps[p] * e->steps[p], error);
        if (status != NM_OK) return status;
    }
    const size_t most = v[0].count / e->steps[p];
    for (size_t t = 0; t < e->steps[p]; t++) {
        Womd__DynamicMapState *step = e->out->dynamic_map_states[first + t];
        step->lane_states = TAKE(e, Womd__TrafficSignalLaneState *, most);
        if (!step->lane_states) return nm_womd_no_memory(e->record, error);
        for (size_t i = t * most; i < (t + 1) * most; i++) {
            if (v[L_VALID].integers[i] != 1) continue;
            Womd__TrafficSignalLaneState *state = TAKE(e, Womd__TrafficSignalLaneState, 1);
            Womd__MapPoint *stop = TAKE(e, Womd__MapPoint, 1);
            if (!state || !stop) return nm_womd_no_memory(e->record, error);
            womd__traffic_signal_lane_state__init(state);
            womd__map_point__init(stop);
            SET(state, lane, v[L_ID].integers[i]);
            SET(state, state,
                (Womd__TrafficSignalLaneState__State)(v[L_STATE].integers[i] >= 0 && v[L_STATE].integers[i] <= 8
                                                          ? v[L_STATE].integers[i]
                                                          : 0));
            SET(stop, x, (double)v[L_X].floats[i]);
            SET(stop, y, (double)v[L_Y].floats[i]);
            SET(stop, z, (double)v[L_Z].floats[i]);
            // -1 everywhere: this program's word for a signal without a stop point
            if (!(stop->x == -1.0 && stop->y == -1.0 && stop->z == -1.0)) state->stop_point = stop;
            step->lane_states[step->n_lane_states++] = state;
        }
    }
    return NM_OK;
}

static nm_status make_all_lights(example *e, nm_error *error) {
    Womd__Scenario *s = e->out;
    size_t at = 0;
    s->dynamic_map_states = TAKE(e, Womd__DynamicMapState *, e->step_count);
    Womd__DynamicMapState *steps = TAKE(e, Womd__DynamicMapState, e->step_count);
    if (!s->dynamic_map_states || !steps) return nm_womd_no_memory(e->record, error);
    for (size_t t = 0; t < e->step_count; t++) {
        womd__dynamic_map_state__init(&steps[t]);
        s->dynamic_map_states[t] = &steps[t];
    }
    s->n_dynamic_map_states = e->step_count;
    for (int p = 0; p < PERIODS; at += e->steps[p++]) {
        if (!e->steps[p] || !e->lights[p][L_STATE].list) continue;
        const nm_status status = make_lights(e, p, at, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------

static nm_status make_map(example *e, nm_error *error) {
    values v[P_COUNT] = {{0}};
    if (!e->points[P_XYZ].list) return NM_OK;
    for (int i = 0; i < P_COUNT; i++) {
        const int vectors = i == P_XYZ || i == P_DIR;
        if (i == P_DIR && !e->points[i].list) continue;
        nm_status status = decode(e, &e->points[i], point_names[i], vectors, &v[i], error);
        if (status == NM_OK) status = expect(e, &v[i], point_names[i], v[P_XYZ].count / 3 * (vectors ? 3 : 1), error);
        if (status != NM_OK) return status;
    }
    const nm_womd_points points = {.count = v[P_XYZ].count / 3,
                                   .xyz = v[P_XYZ].floats,
                                   .dir = v[P_DIR].floats,
                                   .type = v[P_TYPE].integers,
                                   .id = v[P_ID].integers,
                                   .valid = v[P_VALID].integers};
    return nm_womd_points_to_features(e->record, &points, e->out, error);
}

static nm_status make_id(example *e, nm_error *error) {
    feature id;
    if (!e->scenario_id.list) return NM_OK;
    if (!find_message(e->scenario_id.bytes, e->scenario_id.size, 1, 1, &id))
        return refuse_key(e, error, "scenario/id", "can not be read");
    if (id.size && memchr(id.bytes, 0, id.size)) return refuse_key(e, error, "scenario/id", "is no plain text");
    e->out->scenario_id = nm_arena_strndup(e->record->arena, (const char *)id.bytes, id.size);
    return e->out->scenario_id ? NM_OK : nm_womd_no_memory(e->record, error);
}

static nm_status make_scenario(example *e, nm_error *error) {
    agent_values a;
    size_t at = 0;
    nm_status status = decode_agents(e, &a, error);
    for (int p = 0; p < PERIODS && status == NM_OK; p++) status = count_steps(e, p, error);
    // before anything is made for every agent and step
    if (status == NM_OK && (uint64_t)e->agent_count * (uint64_t)e->step_count > e->record->context->limits.max_cells)
        status = nm_womd_refuse(e->record, error, NM_E_LIMIT, NM_WOMD_RECORD, 0, "has %zu agents over %zu time steps",
                                e->agent_count, e->step_count);
    if (status == NM_OK) status = make_tracks(e, &a, error);
    for (int p = 0; p < PERIODS && status == NM_OK; at += e->steps[p++])
        status = e->steps[p] ? make_states(e, p, at, error) : NM_OK;
    if (status == NM_OK) status = make_roles(e, &a, error);
    if (status == NM_OK) status = make_times(e, error);
    if (status == NM_OK) status = make_all_lights(e, error);
    if (status == NM_OK) status = make_map(e, error);
    if (status == NM_OK) SET(e->out, current_time_index, (int32_t)e->steps[PAST]);
    return status;
}

nm_status nm_womd_unpack_example(nm_womd_record *record, nm_error *error) {
    example *e = nm_arena_calloc(record->arena, 1, sizeof *e, 16);
    Womd__Scenario *out = nm_arena_calloc(record->arena, 1, sizeof *out, 16);
    if (!e || !out) return nm_womd_no_memory(record, error);
    womd__scenario__init(out);
    e->record = record;
    e->out = out;
    nm_status status = find_features(e, error);
    if (status == NM_OK) status = make_id(e, error);
    record->scenario = out; // messages name it from here on
    if (status == NM_OK) status = nm_womd_check_id(record, error);
    return status == NM_OK ? make_scenario(e, error) : status;
}
