/// A small Scenario made by hand, for tests and as a seed of the fuzz targets: an approach (lane 1) with a parallel
/// lane (lane 4) leads into a junction, straight on (lane 2, signal) or to the left (lane 3, signal). Two vehicles, one
/// pedestrian, STEPS steps.
///
///          3 <-.         y
///   1 ---------+--> 2    |
///   4 --->               +-- x       everything is shifted by (SHIFT_X, SHIFT_Y)
#ifndef NM_TESTS_WOMD_SAMPLE_H
#define NM_TESTS_WOMD_SAMPLE_H

#include <string.h>

#include "base/arena.h"
#include "dataset/protos/scenario.pb-c.h"
#include "dataset/tfrecord.h"

#define STEPS 5
#define SHIFT_X 7000.0
#define SHIFT_Y -3000.0
enum {
    LANE_1,
    LANE_2,
    LANE_3,
    LANE_4,
    LINE_10,
    EDGE_11,
    EDGE_12,
    STOP_20,
    CROSSWALK_21,
    BUMP_22,
    DRIVEWAY_23,
    FEATURES
};

typedef struct sample {
    nm_arena *arena;
    Womd__Scenario scenario;
} sample;

static inline void *sample_take(sample *s, size_t count, size_t size) {
    return nm_arena_calloc(s->arena, count, size, 16);
}
/// An array of pointers to `count` new messages of a type.
#define SAMPLE_LIST(s, type, prefix, count) ((type **)sample_list((s), (count), sizeof(type), &prefix##__descriptor))
static inline void **sample_list(sample *s, size_t count, size_t size, const ProtobufCMessageDescriptor *descriptor) {
    void **list = sample_take(s, count, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i] = sample_take(s, 1, size);
        protobuf_c_message_init(descriptor, list[i]);
    }
    return list;
}
#define SAMPLE_SET(message, field, value) ((message)->has_##field = 1, (message)->field = (value))

static inline Womd__MapPoint **sample_polyline(sample *s, size_t count, double x0, double y0, double x1, double y1) {
    Womd__MapPoint **points = SAMPLE_LIST(s, Womd__MapPoint, womd__map_point, count);
    for (size_t i = 0; i < count; i++) {
        double k = count > 1 ? (double)i / (double)(count - 1) : 0.0;
        SAMPLE_SET(points[i], x, SHIFT_X + x0 + k * (x1 - x0));
        SAMPLE_SET(points[i], y, SHIFT_Y + y0 + k * (y1 - y0));
        SAMPLE_SET(points[i], z, 12.0);
    }
    return points;
}

static inline Womd__LaneCenter *sample_lane(sample *s, size_t index, int64_t id, size_t count, double x0, double y0,
                                            double x1, double y1) {
    Womd__MapFeature *feature = s->scenario.map_features[index];
    SAMPLE_SET(feature, id, id);
    feature->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_LANE;
    Womd__LaneCenter *lane = feature->lane = SAMPLE_LIST(s, Womd__LaneCenter, womd__lane_center, 1)[0];
    SAMPLE_SET(lane, speed_limit_mph, 25.0);
    SAMPLE_SET(lane, type, WOMD__LANE_CENTER__LANE_TYPE__TYPE_SURFACE_STREET);
    lane->n_polyline = count;
    lane->polyline = sample_polyline(s, count, x0, y0, x1, y1);
    return lane;
}

static inline int64_t *sample_ids(sample *s, int64_t a, int64_t b) {
    int64_t *ids = sample_take(s, 2, sizeof *ids);
    ids[0] = a;
    ids[1] = b;
    return ids;
}

static inline Womd__BoundarySegment **sample_boundary(sample *s, int32_t start, int32_t end, int64_t id,
                                                      Womd__RoadLine__RoadLineType type) {
    Womd__BoundarySegment **list = SAMPLE_LIST(s, Womd__BoundarySegment, womd__boundary_segment, 1);
    SAMPLE_SET(list[0], lane_start_index, start);
    SAMPLE_SET(list[0], lane_end_index, end);
    SAMPLE_SET(list[0], boundary_feature_id, id);
    SAMPLE_SET(list[0], boundary_type, type);
    return list;
}

static inline void sample_map(sample *s) {
    Womd__Scenario *r = &s->scenario;
    r->n_map_features = FEATURES;
    r->map_features = SAMPLE_LIST(s, Womd__MapFeature, womd__map_feature, FEATURES);
    Womd__LaneCenter *lane1 = sample_lane(s, LANE_1, 1, 41, 0, 0, 20, 0);
    lane1->n_exit_lanes = 2;
    lane1->exit_lanes = sample_ids(s, 2, 3);
    lane1->n_left_boundaries = lane1->n_right_boundaries = 1;
    lane1->left_boundaries = sample_boundary(s, 0, 40, 11, WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_UNKNOWN);
    lane1->right_boundaries = sample_boundary(s, 0, 40, 10, WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_BROKEN_SINGLE_WHITE);
    lane1->n_right_neighbors = 1;
    lane1->right_neighbors = SAMPLE_LIST(s, Womd__LaneNeighbor, womd__lane_neighbor, 1);
    SAMPLE_SET(lane1->right_neighbors[0], feature_id, 4);
    SAMPLE_SET(lane1->right_neighbors[0], self_start_index, 10);
    SAMPLE_SET(lane1->right_neighbors[0], self_end_index, 30);
    SAMPLE_SET(lane1->right_neighbors[0], neighbor_start_index, 0);
    SAMPLE_SET(lane1->right_neighbors[0], neighbor_end_index, 20);
    for (int i = 0; i < 2; i++) {
        Womd__LaneCenter *lane =
            i ? sample_lane(s, LANE_3, 3, 21, 20, 0, 20, 10) : sample_lane(s, LANE_2, 2, 21, 20, 0, 30, 0);
        lane->n_entry_lanes = 1;
        lane->entry_lanes = sample_ids(s, 1, 0);
    }
    // lane 3 begins eastward before it turns, as real ones do
    s->scenario.map_features[LANE_3]->lane->polyline[1]->x += 0.5;
    s->scenario.map_features[LANE_3]->lane->polyline[1]->y -= 0.5;
    Womd__LaneCenter *lane4 = sample_lane(s, LANE_4, 4, 21, 5, -4, 15, -4);
    lane4->n_left_neighbors = 1; // without a boundary: the width is half the way over
    lane4->left_neighbors = SAMPLE_LIST(s, Womd__LaneNeighbor, womd__lane_neighbor, 1);
    SAMPLE_SET(lane4->left_neighbors[0], feature_id, 1);
    SAMPLE_SET(lane4->left_neighbors[0], self_end_index, 20);
    SAMPLE_SET(lane4->left_neighbors[0], neighbor_start_index, 10);
    SAMPLE_SET(lane4->left_neighbors[0], neighbor_end_index, 30);
    static const int64_t line_ids[] = {10, 11, 12};
    static const double line_y[] = {-2.25, 1.5, -6.0};
    for (size_t i = 0; i < 3; i++) {
        Womd__MapFeature *feature = r->map_features[LINE_10 + i];
        SAMPLE_SET(feature, id, line_ids[i]);
        Womd__MapPoint **points = sample_polyline(s, 8, 0, line_y[i], 20, line_y[i]);
        if (i == 0) {
            feature->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_LINE;
            feature->road_line = SAMPLE_LIST(s, Womd__RoadLine, womd__road_line, 1)[0];
            SAMPLE_SET(feature->road_line, type, WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_BROKEN_SINGLE_WHITE);
            feature->road_line->n_polyline = 8;
            feature->road_line->polyline = points;
        } else {
            feature->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_EDGE;
            feature->road_edge = SAMPLE_LIST(s, Womd__RoadEdge, womd__road_edge, 1)[0];
            SAMPLE_SET(feature->road_edge, type,
                       i == 1 ? WOMD__ROAD_EDGE__ROAD_EDGE_TYPE__TYPE_ROAD_EDGE_MEDIAN
                              : WOMD__ROAD_EDGE__ROAD_EDGE_TYPE__TYPE_ROAD_EDGE_BOUNDARY);
            feature->road_edge->n_polyline = 8;
            feature->road_edge->polyline = points;
        }
    }
    Womd__MapFeature *stop = r->map_features[STOP_20];
    SAMPLE_SET(stop, id, 20);
    stop->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_STOP_SIGN;
    stop->stop_sign = SAMPLE_LIST(s, Womd__StopSign, womd__stop_sign, 1)[0];
    stop->stop_sign->n_lane = 1;
    stop->stop_sign->lane = sample_ids(s, 4, 0);
    stop->stop_sign->position = sample_polyline(s, 1, 15, -6, 15, -6)[0];
    for (size_t i = 0; i < 3; i++) {
        Womd__MapFeature *feature = r->map_features[CROSSWALK_21 + i];
        SAMPLE_SET(feature, id, 21 + (int64_t)i);
        Womd__MapPoint **polygon = sample_polyline(s, 4, 16, -6, 18, 2);
        polygon[1]->x += 2.0;
        if (i == 0) {
            feature->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_CROSSWALK;
            feature->crosswalk = SAMPLE_LIST(s, Womd__Crosswalk, womd__crosswalk, 1)[0];
            feature->crosswalk->n_polygon = 4;
            feature->crosswalk->polygon = polygon;
        } else if (i == 1) {
            feature->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_SPEED_BUMP;
            feature->speed_bump = SAMPLE_LIST(s, Womd__SpeedBump, womd__speed_bump, 1)[0];
            feature->speed_bump->n_polygon = 4;
            feature->speed_bump->polygon = polygon;
        } else {
            feature->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_DRIVEWAY;
            feature->driveway = SAMPLE_LIST(s, Womd__Driveway, womd__driveway, 1)[0];
            feature->driveway->n_polygon = 4;
            feature->driveway->polygon = polygon;
        }
    }
}

static inline void sample_tracks(sample *s) {
    static const int32_t ids[] = {700, 12, 350};
    static const Womd__Track__ObjectType types[] = {WOMD__TRACK__OBJECT_TYPE__TYPE_VEHICLE,
                                                    WOMD__TRACK__OBJECT_TYPE__TYPE_VEHICLE,
                                                    WOMD__TRACK__OBJECT_TYPE__TYPE_PEDESTRIAN};
    static const float lengths[] = {4.5f, 11.5f, 0.8f};
    Womd__Scenario *r = &s->scenario;
    r->n_tracks = 3;
    r->tracks = SAMPLE_LIST(s, Womd__Track, womd__track, 3);
    for (size_t i = 0; i < 3; i++) {
        Womd__Track *track = r->tracks[i];
        SAMPLE_SET(track, id, ids[i]);
        SAMPLE_SET(track, object_type, types[i]);
        track->n_states = STEPS;
        track->states = SAMPLE_LIST(s, Womd__ObjectState, womd__object_state, STEPS);
        for (size_t t = 0; t < STEPS; t++) {
            Womd__ObjectState *state = track->states[t];
            SAMPLE_SET(state, center_z, 12.75);
            SAMPLE_SET(state, valid, !(i == 1 && t < 2));
            if (!state->valid) continue;
            SAMPLE_SET(state, center_x, SHIFT_X + 3.0 + (double)t + 5.0 * (double)i);
            SAMPLE_SET(state, center_y, SHIFT_Y + 0.125 * (double)i);
            SAMPLE_SET(state, length, lengths[i] + (i == 0 ? 0.25f * (float)t : 0.0f));
            SAMPLE_SET(state, width, 2.0f);
            SAMPLE_SET(state, height, 1.5f);
            SAMPLE_SET(state, heading, 0.1f * (float)t + (i == 0 ? 7.0f : 0.0f)); // not wrapped, as in real records
            SAMPLE_SET(state, velocity_x, 10.0f);
            SAMPLE_SET(state, velocity_y, -0.5f);
        }
    }
}

static inline void sample_signals(sample *s) {
    Womd__Scenario *r = &s->scenario;
    r->n_dynamic_map_states = STEPS;
    r->dynamic_map_states = SAMPLE_LIST(s, Womd__DynamicMapState, womd__dynamic_map_state, STEPS);
    for (size_t t = 0; t < STEPS; t++) {
        Womd__DynamicMapState *step = r->dynamic_map_states[t];
        step->n_lane_states = t == 4 ? 1 : 2; // the last step saw only one
        step->lane_states = SAMPLE_LIST(s, Womd__TrafficSignalLaneState, womd__traffic_signal_lane_state, 2);
        for (size_t i = 0; i < 2; i++) {
            SAMPLE_SET(step->lane_states[i], lane, i ? 2 : 3);
            SAMPLE_SET(step->lane_states[i], state,
                       i       ? WOMD__TRAFFIC_SIGNAL_LANE_STATE__STATE__LANE_STATE_GO
                       : t < 3 ? WOMD__TRAFFIC_SIGNAL_LANE_STATE__STATE__LANE_STATE_ARROW_STOP
                               : WOMD__TRAFFIC_SIGNAL_LANE_STATE__STATE__LANE_STATE_ARROW_GO);
            step->lane_states[i]->stop_point = sample_polyline(s, 1, 20, 0, 20, 0)[0];
        }
    }
}

/// Begins a sample in `arena`; everything in it may be changed before it is packed.
static inline sample sample_make(nm_arena *arena) {
    sample s = {.arena = arena};
    Womd__Scenario *r = &s.scenario;
    womd__scenario__init(r);
    r->scenario_id = nm_arena_strndup(arena, "0123456789abcdef", 16);
    r->n_timestamps_seconds = STEPS;
    r->timestamps_seconds = sample_take(&s, STEPS, sizeof(double));
    for (size_t t = 0; t < STEPS; t++) r->timestamps_seconds[t] = 0.1 * (double)t + (t == 2 ? 0.0003 : 0.0);
    SAMPLE_SET(r, sdc_track_index, 0);
    SAMPLE_SET(r, current_time_index, 2);
    r->n_objects_of_interest = 2;
    r->objects_of_interest = sample_take(&s, 2, sizeof(int32_t));
    r->objects_of_interest[0] = 350;
    r->objects_of_interest[1] = 12;
    r->n_tracks_to_predict = 1;
    r->tracks_to_predict = SAMPLE_LIST(&s, Womd__RequiredPrediction, womd__required_prediction, 1);
    SAMPLE_SET(r->tracks_to_predict[0], track_index, 1);
    SAMPLE_SET(r->tracks_to_predict[0], difficulty, WOMD__REQUIRED_PREDICTION__DIFFICULTY_LEVEL__LEVEL_2);
    sample_map(&s);
    sample_tracks(&s);
    sample_signals(&s);
    return s;
}

/// The payload in the arena. *size receives its length.
static inline uint8_t *sample_pack(sample *s, size_t *size) {
    *size = womd__scenario__get_packed_size(&s->scenario);
    uint8_t *bytes = sample_take(s, *size, 1);
    womd__scenario__pack(&s->scenario, bytes);
    return bytes;
}

/// Payload and framing written to `out`; returns the bytes.
static inline size_t sample_frame(uint8_t *out, const void *payload, size_t size) {
    nm_tfrecord_header(size, out);
    if (size) memcpy(out + NM_TFRECORD_HEADER, payload, size);
    nm_tfrecord_footer(payload, size, out + NM_TFRECORD_HEADER + size);
    return NM_TFRECORD_HEADER + size + NM_TFRECORD_FOOTER;
}

#endif
