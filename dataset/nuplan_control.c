/// Stop polygons: what rules the end of a lane, and where one stops there.
///
/// A polygon belongs to a lane whose baseline it meets on its last metres, or to the lanes before a connector whose
/// baseline it meets on its first ones: nuPlan names the stop lines of connectors by their lights alone. One stops
/// where the baseline enters the polygon.
#include <math.h>

#include "dataset/nuplan.h"

#define BEFORE_END 20.0  // m of a lane in which a stop polygon rules its end
#define BEHIND_START 5.0 // m of a connector in which it rules the lane before

enum { STOP_SIGN = 1, TRAFFIC_LIGHT = 2, YIELD = 4 };

static nm_np_lane *lane_at(const nm_np_city *city, size_t index) {
    return &NM_AT(city->lanes, nm_np_lane, index);
}

static void rule(nm_np_lane *lane, int64_t type, double s) {
    if (type == STOP_SIGN)
        lane->control = NM_CONTROL_STOP;
    else if (type == YIELD && lane->control == NM_CONTROL_NONE)
        lane->control = NM_CONTROL_YIELD;
    if (s >= 0.0 && (lane->stop_s < 0.0 || s < lane->stop_s)) lane->stop_s = s;
}

uint64_t nm_np_apply_stop(nm_np_city *city, const nm_np_stop *stop) {
    if (stop->type != STOP_SIGN && stop->type != TRAFFIC_LIGHT && stop->type != YIELD) return 0;
    uint64_t work = city->lanes.count;
    const nm_np_point *points = city->points.data, *corners = &points[stop->points.first];
    for (size_t i = 0; i < city->lanes.count; ++i) {
        nm_np_lane *lane = lane_at(city, i);
        if (!nm_np_meet(&lane->box, &stop->box)) continue;
        work += (uint64_t)lane->centre.count * (2 + stop->points.count);
        const nm_np_point *line = &points[lane->centre.first];
        const double length = nm_np_length(line, lane->centre.count);
        const double first = lane->connector ? 0.0 : fmax(0.0, length - BEFORE_END);
        const double last = lane->connector ? fmin(BEHIND_START, length) : length;
        const double s = nm_np_enter(line, lane->centre.count, first, last, corners, stop->points.count);
        if (s < 0.0) continue;
        if (!lane->connector)
            rule(lane, stop->type, s);
        else if (lane->before != NM_NONE)
            rule(lane_at(city, lane->before), stop->type, -1.0);
    }
    return work;
}

typedef struct entries {
    int64_t group; ///< lane group of the first entry
    uint8_t all, several;
} entries;

int nm_np_find_all_way_stops(nm_np_city *city) {
    nm_id_table ids = {0};
    nm_pile junctions = {0};
    int enough = 1;
    for (size_t i = city->lane_count; enough && i < city->lanes.count; ++i) {
        const nm_np_lane *connector = lane_at(city, i);
        if (connector->intersection < 0 || connector->before == NM_NONE) continue;
        const nm_np_lane *lane = lane_at(city, connector->before);
        const uint32_t index = nm_id_table_add(&ids, connector->intersection, (uint32_t)junctions.count);
        if (index == junctions.count) {
            entries *made = NM_PUSH(&junctions, entries, 1);
            if (made) *made = (entries){.group = lane->group, .all = 1};
            enough = made != NULL;
        }
        enough = enough && index != NM_NONE;
        if (!enough) break;
        entries *e = &NM_AT(junctions, entries, index);
        e->all = e->all && lane->control == NM_CONTROL_STOP;
        e->several = e->several || lane->group != e->group;
    }
    for (size_t i = city->lane_count; enough && i < city->lanes.count; ++i) {
        const nm_np_lane *connector = lane_at(city, i);
        if (connector->intersection < 0 || connector->before == NM_NONE) continue;
        nm_np_lane *lane = lane_at(city, connector->before);
        const entries *e = &NM_AT(junctions, entries, nm_id_table_find(&ids, connector->intersection));
        if (e->all && e->several && lane->control == NM_CONTROL_STOP) lane->control = NM_CONTROL_ALL_WAY_STOP;
    }
    nm_id_table_free(&ids);
    nm_pile_free(&junctions);
    return enough;
}
