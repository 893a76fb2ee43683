/// Signals and stop signs.
///
/// WOMD attaches a signal's state to the lane that leads through the junction, and its stop point to where that lane
/// begins. A map of this program says what rules the END of a lane. So a signal rules the ends of the lanes that lead
/// into its lane, for the turn that its lane makes; the signal keeps the lane's id as its own and the stop point as its
/// position, so that an exporter finds both again. Only where the stop point lies in the second half of its lane does
/// the signal rule that lane's own end. Stop signs likewise.
#include "dataset/womd_private.h"

#include <math.h>
#include <stdlib.h>

#define ON_LANE 5.0                     // m: a stop point further from a lane's centreline is not on it
#define END_SLACK 0.5                   // m: as close to the end counts as the end
#define END_SEGMENTS 64                 // how far back from a lane's end a stop point is looked for
#define COS_STRAIGHT 0.8660254037844386 // 30 degrees
#define COS_U_TURN -0.8660254037844386  // 150 degrees

typedef struct state_ref {
    int64_t lane;
    size_t order; // in the record
    const Womd__TrafficSignalLaneState *state;
} state_ref;

static int by_lane(const void *a, const void *b) {
    const state_ref *x = a, *y = b;
    if (x->lane != y->lane) return x->lane < y->lane ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/// m along the lane of the point nearest to `p` on the segments from `first` on, and its distance.
static double project(nm_womd_map *map, const nm_womd_lane *lane, size_t first, const nm_point3 *p, double *distance) {
    double best = INFINITY, s = 0.0;
    map->work += lane->line.count - first;
    for (size_t i = first; i + 1 < lane->line.count; i++) {
        const nm_point3 *a = &lane->line.points[i], *b = a + 1;
        double dx = b->x - a->x, dy = b->y - a->y, square = dx * dx + dy * dy;
        double k = square > 0.0 ? ((p->x - a->x) * dx + (p->y - a->y) * dy) / square : 0.0;
        k = k < 0.0 ? 0.0 : k > 1.0 ? 1.0 : k;
        double ex = p->x - a->x - k * dx, ey = p->y - a->y - k * dy, d = ex * ex + ey * ey;
        if (d < best) {
            best = d;
            s = lane->along[i] + k * (lane->along[i + 1] - lane->along[i]);
        }
    }
    *distance = sqrt(best);
    return s;
}

static double length_of(const nm_womd_lane *lane) {
    return lane->along[lane->line.count - 1];
}

static nm_womd_lane *lane_of(nm_womd_map *map, int64_t id) {
    const nm_womd_id *found = nm_womd_find(map, id, NM_WOMD_LANE);
    return found ? &map->lanes[found->index] : NULL;
}

/// 1 when a stop point (nullable) of this lane lies in its second half: then it rules the lane's own end.
static int rules_own_end(nm_womd_map *map, const nm_womd_lane *lane, const nm_point3 *stop, double *s) {
    double distance;
    if (!stop) return 0;
    *s = project(map, lane, 0, stop, &distance);
    return *s > 0.5 * length_of(lane);
}

static void rule(nm_womd_map *map, nm_womd_lane *lane, nm_control_kind control, const nm_point3 *stop, int own_end,
                 double own_s) {
    if (control == NM_CONTROL_SIGNAL || lane->control == NM_CONTROL_NONE) lane->control = control;
    if (!stop || control != NM_CONTROL_SIGNAL) return; // a stop sign stands beside the road, not where one stops
    double distance = 0.0, s = own_s;
    if (!own_end) {
        size_t last = lane->line.count - 1;
        s = project(map, lane, last > END_SEGMENTS ? last - END_SEGMENTS : 0, stop, &distance);
    }
    if (distance <= ON_LANE && s < length_of(lane) - END_SLACK && s < lane->stop_s) lane->stop_s = s;
}

/// Applies a control that stands at lane `id` to the lanes whose ends it rules.
static void apply(nm_womd_map *map, int64_t id, nm_control_kind control, const nm_point3 *stop) {
    nm_womd_lane *lane = lane_of(map, id);
    double s = 0.0;
    if (!lane) return;
    if (rules_own_end(map, lane, stop, &s)) {
        rule(map, lane, control, stop, 1, s);
        return;
    }
    for (size_t i = 0; i < lane->entry_count; i++) rule(map, lane_of(map, lane->entries[i]), control, stop, 0, 0.0);
}

/// By the directions at both ends; the same rule for the lane and for its signal, so that they match.
static nm_turn turn_of(const nm_womd_lane *lane) {
    nm_womd_direction a = lane->tangents[0], b = lane->tangents[lane->line.count - 1];
    double cosine = a.x * b.x + a.y * b.y, sine = a.x * b.y - a.y * b.x;
    if (cosine > COS_STRAIGHT) return NM_TURN_STRAIGHT;
    if (cosine < COS_U_TURN) return NM_TURN_U;
    return sine > 0.0 ? NM_TURN_LEFT : NM_TURN_RIGHT;
}

static nm_point3 point_of(const Womd__MapPoint *p) {
    return (nm_point3){p->x, p->y, p->z};
}
static int usable(const nm_point3 *p) {
    return fabs(p->x) <= 1e8 && fabs(p->y) <= 1e8 && fabs(p->z) <= 1e8;
}

static nm_status gather_signals(nm_womd_record *record, nm_womd_map *map, nm_error *error) {
    const Womd__Scenario *scenario = record->scenario;
    size_t count = 0, next = 0;
    for (size_t t = 0; t < scenario->n_dynamic_map_states; t++) count += scenario->dynamic_map_states[t]->n_lane_states;
    state_ref *states = NM_ARENA_ARRAY(record->arena, state_ref, count);
    map->signals = NM_ARENA_ARRAY(record->arena, nm_womd_signal, count);
    if (!states || !map->signals) return nm_womd_no_memory(record, error);
    for (size_t t = 0; t < scenario->n_dynamic_map_states; t++) {
        const Womd__DynamicMapState *step = scenario->dynamic_map_states[t];
        for (size_t i = 0; i < step->n_lane_states; i++, next++) {
            const Womd__TrafficSignalLaneState *state = step->lane_states[i];
            states[next] = (state_ref){state->lane, next, state};
            if (!state->stop_point) continue;
            nm_point3 stop = point_of(state->stop_point);
            if (!usable(&stop))
                return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_DYNAMIC_MAP_STATES, t,
                                      "the stop point of lane %lld is not a number or further than 1e8 m from 0",
                                      (long long)state->lane);
        }
    }
    qsort(states, count, sizeof *states, by_lane);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || states[i].lane != states[i - 1].lane)
            map->signals[map->signal_count++] = (nm_womd_signal){.lane = states[i].lane};
        nm_womd_signal *signal = &map->signals[map->signal_count - 1];
        if (signal->placed || !states[i].state->stop_point) continue;
        signal->placed = 1;
        signal->stop = point_of(states[i].state->stop_point);
    }
    return NM_OK;
}

nm_status nm_womd_find_controls(nm_womd_record *record, nm_womd_map *map, nm_error *error) {
    nm_status status = gather_signals(record, map, error);
    if (status != NM_OK) return status;
    for (size_t i = 0; i < map->signal_count; i++) {
        const nm_womd_signal *signal = &map->signals[i];
        nm_womd_lane *lane = lane_of(map, signal->lane);
        if (!lane)
            record->notes[NM_WOMD_DANGLING_REFERENCE]++;
        else
            lane->turn = turn_of(lane);
        apply(map, signal->lane, NM_CONTROL_SIGNAL, signal->placed ? &signal->stop : NULL);
    }
    for (size_t f = 0; f < record->scenario->n_map_features; f++) {
        const Womd__MapFeature *feature = record->scenario->map_features[f];
        if (feature->feature_data_case != WOMD__MAP_FEATURE__FEATURE_DATA_STOP_SIGN) continue;
        const Womd__StopSign *sign = feature->stop_sign;
        nm_point3 position = sign->position ? point_of(sign->position) : (nm_point3){0};
        if (!usable(&position))
            return nm_womd_refuse(record, error, NM_E_FORMAT, NM_WOMD_MAP_FEATURES, f,
                                  "stop sign %lld stands nowhere: its position is not a number or further than 1e8 m "
                                  "from 0",
                                  (long long)feature->id);
        for (size_t i = 0; i < sign->n_lane && status == NM_OK; i++) {
            apply(map, sign->lane[i], NM_CONTROL_STOP, sign->position ? &position : NULL);
            status = nm_womd_check_work(record, map, (uint32_t)f, error);
        }
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

nm_status nm_womd_add_signals(nm_womd_record *record, nm_womd_map *map, nm_error *error) {
    for (size_t i = 0; i < map->signal_count; i++) {
        const nm_womd_signal *signal = &map->signals[i];
        const nm_womd_lane *lane = lane_of(map, signal->lane);
        const nm_point3 *stop = signal->placed ? &signal->stop : NULL;
        double s;
        nm_signal_def def = {.id = signal->lane, .position = stop};
        if (lane && rules_own_end(map, lane, stop, &s)) {
            def.lanes = &signal->lane;
            def.lane_count = 1;
        } else if (lane) {
            def.turn = lane->turn;
            def.lanes = lane->entries;
            def.lane_count = lane->entry_count;
        }
        nm_status status = nm_map_builder_add_signal(record->context->map_builder, &def, error);
        if (status != NM_OK) return nm_womd_place(record, error, status, NM_WOMD_DYNAMIC_MAP_STATES, 0);
    }
    return NM_OK;
}

nm_status nm_womd_add_stop_sign(nm_womd_record *record, nm_womd_map *map, uint32_t feature, nm_error *error) {
    const Womd__MapFeature *from = record->scenario->map_features[feature];
    const Womd__StopSign *sign = from->stop_sign;
    nm_point3 position = sign->position ? point_of(sign->position) : (nm_point3){0};
    int64_t *lanes = NM_ARENA_ARRAY(record->arena, int64_t, sign->n_lane);
    if (!lanes) return nm_womd_no_memory(record, error);
    nm_sign_def def = {.id = from->id, .code = "STOP", .position = sign->position ? &position : NULL, .lanes = lanes};
    for (size_t i = 0; i < sign->n_lane; i++) {
        if (lane_of(map, sign->lane[i]))
            lanes[def.lane_count++] = sign->lane[i];
        else
            record->notes[NM_WOMD_DANGLING_REFERENCE]++;
    }
    nm_status status = nm_map_builder_add_sign(record->context->map_builder, &def, error);
    return status == NM_OK ? NM_OK : nm_womd_place(record, error, status, NM_WOMD_MAP_FEATURES, feature);
}

uint32_t nm_womd_signal_of(const nm_womd_map *map, int64_t lane) {
    size_t low = 0, high = map->signal_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->signals[middle].lane < lane)
            low = middle + 1;
        else
            high = middle;
    }
    return low < map->signal_count && map->signals[low].lane == lane ? (uint32_t)low : NM_NONE;
}
