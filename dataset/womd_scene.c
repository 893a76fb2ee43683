/// Tracks, time, signal states and tags of a record.
#include "dataset/womd_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define NOMINAL_DT 0.1 // s; WOMD is a 10 Hz data set whose clocks jitter by some tenths of a millisecond
#define MIN_DT 1e-3    // s
#define MAX_DT 1e3
#define SLACK 0.2         // share of a step by which it may be longer or shorter and still count as one
#define TRUCK_LENGTH 7.0f // m: WOMD only says "vehicle"; what is longer than the longest pickup is called a truck
#define MAX_SIZE 1000.0f  // m
#define MAX_COORDINATE 1e8

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/// The time step: 0.1 s when the recorded ones are within 20 % of it at the median, else their median (records made
/// from other data sets have other rates). Steps that are off are counted.
static nm_status read_time(nm_womd_record *record, double *dt, nm_error *error) {
    const double *times = record->scenario->timestamps_seconds;
    size_t count = record->scenario->n_timestamps_seconds;
    *dt = NOMINAL_DT;
    for (size_t i = 0; i < count; i++) {
        if (!(fabs(times[i]) <= 1e12) || (i > 0 && times[i] <= times[i - 1]))
            return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_TIMESTAMPS, i,
                                  "timestamp %zu (%g s) does not come after the one before", i, times[i]);
    }
    if (count < 2) return NM_OK;
    double *gaps = NM_ARENA_ARRAY(record->arena, double, count - 1);
    if (!gaps) return nm_womd_no_memory(record, error);
    for (size_t i = 0; i + 1 < count; i++) gaps[i] = times[i + 1] - times[i];
    qsort(gaps, count - 1, sizeof *gaps, ascending);
    double median = gaps[(count - 1) / 2];
    if (fabs(median - NOMINAL_DT) > SLACK * NOMINAL_DT) *dt = median;
    if (!(*dt >= MIN_DT && *dt <= MAX_DT))
        return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_TIMESTAMPS, 0,
                              "a time step of %g s (median) makes no sense", *dt);
    for (size_t i = 0; i + 1 < count; i++) record->notes[NM_WOMD_IRREGULAR_STEP] += fabs(gaps[i] - *dt) > SLACK * *dt;
    return NM_OK;
}

/// Everything whose counts must agree, and the indices.
nm_status nm_womd_check_shape(const nm_womd_record *record, nm_error *error) {
    const Womd__Scenario *s = record->scenario;
    const nm_import_limits *limits = &record->context->limits;
    size_t steps = s->n_timestamps_seconds;
    if (steps == 0)
        return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_RECORD, 0, "has no time steps (timestamps_seconds)");
    if (steps > limits->max_steps || steps > NM_SCENE_MAX_STEPS)
        return nm_womd_refuse(record, error, NM_E_LIMIT, NM_WOMD_TIMESTAMPS, 0, "has %zu time steps", steps);
    if (s->n_tracks > limits->max_tracks || s->n_tracks > NM_SCENE_MAX_TRACKS)
        return nm_womd_refuse(record, error, NM_E_LIMIT, NM_WOMD_TRACKS, 0, "has %zu tracks", s->n_tracks);
    if ((uint64_t)s->n_tracks * steps > limits->max_cells)
        return nm_womd_refuse(record, error, NM_E_LIMIT, NM_WOMD_TRACKS, 0, "has %zu tracks over %zu time steps",
                              s->n_tracks, steps);
    for (size_t i = 0; i < s->n_tracks; i++) {
        if (s->tracks[i]->n_states != steps)
            return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_TRACKS, i,
                                  "track %zu (id %" PRId32 ") has %zu states, but there are %zu time steps", i,
                                  s->tracks[i]->id, s->tracks[i]->n_states, steps);
    }
    if (s->n_dynamic_map_states != steps && s->n_dynamic_map_states != 0)
        return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_DYNAMIC_MAP_STATES, 0,
                              "has signal states for %zu steps, but there are %zu time steps", s->n_dynamic_map_states,
                              steps);
    if (s->current_time_index < 0 || (size_t)s->current_time_index >= steps)
        return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_CURRENT_TIME_INDEX, 0,
                              "current_time_index is %" PRId32 ", but there are %zu time steps", s->current_time_index,
                              steps);
    if ((s->has_sdc_track_index || s->n_tracks) &&
        (s->sdc_track_index < 0 || (size_t)s->sdc_track_index >= s->n_tracks))
        return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_SDC_TRACK_INDEX, 0,
                              "sdc_track_index is %" PRId32 ", but there are %zu tracks", s->sdc_track_index,
                              s->n_tracks);
    for (size_t i = 0; i < s->n_tracks_to_predict; i++) {
        int32_t index = s->tracks_to_predict[i]->track_index;
        if (index < 0 || (size_t)index >= s->n_tracks)
            return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_TRACKS_TO_PREDICT, i,
                                  "tracks_to_predict names track %" PRId32 ", but there are %zu tracks", index,
                                  s->n_tracks);
    }
    return NM_OK;
}

/// Flags and difficulty of each track, from the lists beside them.
static nm_status mark_tracks(nm_womd_record *record, uint8_t **flags, uint8_t **difficulty, nm_error *error) {
    const Womd__Scenario *s = record->scenario;
    *flags = nm_arena_calloc(record->arena, s->n_tracks, 1, 1);
    *difficulty = nm_arena_calloc(record->arena, s->n_tracks, 1, 1);
    if (!*flags || !*difficulty) return nm_womd_no_memory(record, error);
    if (s->n_tracks) (*flags)[s->sdc_track_index] |= NM_TRACK_EGO;
    for (size_t i = 0; i < s->n_tracks_to_predict; i++) {
        const Womd__RequiredPrediction *p = s->tracks_to_predict[i];
        (*flags)[p->track_index] |= NM_TRACK_TO_PREDICT;
        (*difficulty)[p->track_index] = (uint8_t)nm_womd_enum((int)p->difficulty, 3);
    }
    return NM_OK;
}

static int by_number(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/// Objects of interest are named by id. An id that no track has is counted.
static nm_status mark_interest(nm_womd_record *record, uint8_t *flags, nm_error *error) {
    const Womd__Scenario *s = record->scenario;
    size_t count = s->n_objects_of_interest, distinct = 0, found = 0;
    if (count == 0) return NM_OK;
    int32_t *wanted = NM_ARENA_ARRAY(record->arena, int32_t, count);
    if (!wanted) return nm_womd_no_memory(record, error);
    memcpy(wanted, s->objects_of_interest, count * sizeof *wanted);
    qsort(wanted, count, sizeof *wanted, by_number);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || wanted[i] != wanted[distinct - 1]) wanted[distinct++] = wanted[i];
    }
    for (size_t i = 0; i < s->n_tracks; i++) {
        if (!bsearch(&s->tracks[i]->id, wanted, distinct, sizeof *wanted, by_number)) continue;
        flags[i] |= NM_TRACK_OF_INTEREST;
        found++;
    }
    // two tracks of one id are refused by the builder, so found <= distinct in every scene that comes to be
    if (found < distinct) record->notes[NM_WOMD_DANGLING_REFERENCE] += (uint32_t)(distinct - found);
    return NM_OK;
}

/// The state whose size stands for the track: the current one, else the first valid one, else NULL.
static const Womd__ObjectState *reference_state(const Womd__Track *track, size_t current) {
    if (track->states[current]->valid) return track->states[current];
    for (size_t t = 0; t < track->n_states; t++) {
        if (track->states[t]->valid) return track->states[t];
    }
    return NULL;
}

static nm_agent_type type_of(const Womd__Track *track, float length) {
    switch (track->object_type) {
    case WOMD__TRACK__OBJECT_TYPE__TYPE_VEHICLE:
        return length > TRUCK_LENGTH ? NM_AGENT_TRUCK : NM_AGENT_CAR;
    case WOMD__TRACK__OBJECT_TYPE__TYPE_PEDESTRIAN:
        return NM_AGENT_PEDESTRIAN;
    case WOMD__TRACK__OBJECT_TYPE__TYPE_CYCLIST:
        return NM_AGENT_CYCLIST;
    default:
        return NM_AGENT_UNKNOWN;
    }
}

static int good_size(float size) {
    return size >= 0.0f && size <= MAX_SIZE;
} // false for NaN

static nm_status add_state(nm_womd_record *record, size_t i, uint32_t track, uint32_t step, nm_error *error) {
    const Womd__ObjectState *s = record->scenario->tracks[i]->states[step];
    int32_t id = record->scenario->tracks[i]->id;
    if (!(fabs(s->center_x) <= MAX_COORDINATE && fabs(s->center_y) <= MAX_COORDINATE &&
          fabs(s->center_z) <= MAX_COORDINATE))
        return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_TRACKS, i,
                              "track %zu (id %" PRId32 "), step %" PRIu32
                              ": the position is not a number or further than 1e8 m from 0",
                              i, id, step);
    if (!isfinite(s->heading) || !isfinite(s->velocity_x) || !isfinite(s->velocity_y))
        return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_TRACKS, i,
                              "track %zu (id %" PRId32 "), step %" PRIu32 ": heading or velocity is not a number", i,
                              id, step);
    if (!good_size(s->length) || !good_size(s->width) || !good_size(s->height))
        return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_TRACKS, i,
                              "track %zu (id %" PRId32 "), step %" PRIu32 ": a size of %g x %g x %g m makes no sense",
                              i, id, step, (double)s->length, (double)s->width, (double)s->height);
    nm_state_def def = {.x = s->center_x,
                        .y = s->center_y,
                        .z = s->center_z,
                        .heading = (double)s->heading,
                        .vx = (double)s->velocity_x,
                        .vy = (double)s->velocity_y,
                        .length = s->length,
                        .width = s->width,
                        .height = s->height};
    nm_status status = nm_scene_builder_add_state(record->context->scene_builder, track, step, &def, error);
    return status == NM_OK ? NM_OK : nm_womd_place(record, error, status, NM_WOMD_TRACKS, i);
}

static nm_status add_track(nm_womd_record *record, size_t i, unsigned flags, unsigned difficulty, nm_error *error) {
    const Womd__Track *from = record->scenario->tracks[i];
    const Womd__ObjectState *size = reference_state(from, (size_t)record->scenario->current_time_index);
    nm_track_def def = {.id = from->id, .flags = flags, .difficulty = difficulty};
    if (size && good_size(size->length) && good_size(size->width) && good_size(size->height)) {
        def.length = size->length;
        def.width = size->width;
        def.height = size->height;
    }
    def.type = type_of(from, def.length);
    uint32_t track;
    nm_status status = nm_scene_builder_add_track(record->context->scene_builder, &def, &track, error);
    if (status != NM_OK) return nm_womd_place(record, error, status, NM_WOMD_TRACKS, i);
    for (uint32_t t = 0; t < from->n_states && status == NM_OK; t++) {
        if (from->states[t]->valid) status = add_state(record, i, track, t, error);
    }
    return status;
}

static nm_status add_signal_states(nm_womd_record *record, const nm_womd_map *work, nm_error *error) {
    const Womd__Scenario *s = record->scenario;
    uint32_t *seen = nm_arena_calloc(record->arena, work->signal_count, sizeof *seen, _Alignof(uint32_t)); // step + 1
    if (!seen) return nm_womd_no_memory(record, error);
    for (uint32_t t = 0; t < s->n_dynamic_map_states; t++) {
        for (size_t i = 0; i < s->dynamic_map_states[t]->n_lane_states; i++) {
            const Womd__TrafficSignalLaneState *from = s->dynamic_map_states[t]->lane_states[i];
            uint32_t signal = nm_womd_signal_of(work, from->lane);
            NM_ASSERT(signal != NM_NONE);
            if (seen[signal] == t + 1) {
                record->notes[NM_WOMD_REPEATED_SIGNAL]++;
                continue;
            }
            seen[signal] = t + 1;
            nm_signal_state state = (nm_signal_state)nm_womd_enum((int)from->state, NM_SIGNAL_OFF); // same numbers
            nm_status status = nm_scene_builder_set_signal(record->context->scene_builder, signal, t, state, error);
            if (status != NM_OK) return nm_womd_place(record, error, status, NM_WOMD_DYNAMIC_MAP_STATES, t);
        }
    }
    return NM_OK;
}

/// Where it came from, and what was left out.
static nm_status add_notes(nm_womd_record *record, nm_error *error) {
    static const char *const names[NM_WOMD_NOTE_COUNT] = {
        [NM_WOMD_DANGLING_REFERENCE] = "dangling_references",
        [NM_WOMD_ONE_POINT_LANE] = "one_point_lanes",
        [NM_WOMD_BAD_RANGE] = "bad_ranges",
        [NM_WOMD_DEGENERATE_FEATURE] = "degenerate_features",
        [NM_WOMD_UNKNOWN_FEATURE] = "unknown_features",
        [NM_WOMD_REPEATED_SIGNAL] = "repeated_signal_states",
        [NM_WOMD_IRREGULAR_STEP] = "irregular_time_steps",
    };
    nm_scene_builder *builder = record->context->scene_builder;
    const char *id = record->scenario->scenario_id;
    nm_provenance provenance = {.source = "womd",
                                .file = nm_base_name(record->name),
                                .scene_id = id ? id : "",
                                .record = record->frame.index,
                                .program = "nearmiss " NM_VERSION,
                                .parameters = "{}"};
    nm_status status = nm_scene_builder_set_provenance(builder, &provenance, error);
    for (int i = 0; i < NM_WOMD_NOTE_COUNT && status == NM_OK; i++) {
        char tag[64];
        if (record->notes[i] == 0) continue;
        snprintf(tag, sizeof tag, "%s:%" PRIu32, names[i], record->notes[i]);
        status = nm_scene_builder_add_tag(builder, tag, error);
    }
    return status == NM_OK ? NM_OK : nm_womd_place(record, error, status, NM_WOMD_RECORD, 0);
}

nm_status nm_womd_build_scene(nm_womd_record *record, const nm_womd_map *work, const nm_map *map,
                              const nm_scene **scene, nm_error *error) {
    const Womd__Scenario *s = record->scenario;
    nm_scene_builder *builder = record->context->scene_builder;
    uint8_t *flags, *difficulty;
    double dt;
    *scene = NULL;
    nm_scene_builder_reset(builder);
    nm_status status = read_time(record, &dt, error);
    if (status == NM_OK) status = mark_tracks(record, &flags, &difficulty, error);
    if (status == NM_OK) status = mark_interest(record, flags, error);
    if (status != NM_OK) return status;
    status = nm_scene_builder_begin(builder, map, dt, (uint32_t)s->n_timestamps_seconds, error);
    if (status != NM_OK) return nm_womd_place(record, error, status, NM_WOMD_RECORD, 0);
    for (size_t i = 0; i < s->n_tracks && status == NM_OK; i++)
        status = add_track(record, i, flags[i], difficulty[i], error);
    if (status == NM_OK) status = add_signal_states(record, work, error);
    if (status == NM_OK) status = add_notes(record, error);
    if (status != NM_OK) return status;
    nm_scene_builder_set_current(builder, (uint32_t)s->current_time_index,
                                 s->n_tracks ? (uint32_t)s->sdc_track_index : NM_NONE);
    status = nm_scene_builder_set_timestamps(builder, s->timestamps_seconds, s->n_timestamps_seconds, error);
    if (status == NM_OK) status = nm_scene_builder_build(builder, scene, error);
    return status == NM_OK ? NM_OK : nm_womd_place(record, error, status, NM_WOMD_RECORD, 0);
}
