/// Maps and drives of nuPlan's metrics, small enough to work out by hand.
#ifndef NM_TESTS_NUPLAN_SUPPORT_H
#define NM_TESTS_NUPLAN_SUPPORT_H

#include "support.h"

#include "sim/math.h"
#include "sim/metrics/nuplan_private.h"

// --- maps ------------------------------------------------------------------------------------------------------------

enum { MAP_MAX = 64 };

/// A definition whose surfaces are upright rectangles.
typedef struct hand_map {
    nm_nuplan_point points[MAP_MAX * 8];
    nm_range rings[MAP_MAX], polygons[MAP_MAX], roadblocks[MAP_MAX], intersections[MAP_MAX], drivable[MAP_MAX];
    uint32_t parts[MAP_MAX * 4];
    nm_nuplan_object objects[MAP_MAX];
    nm_nuplan_link links[MAP_MAX];
    nm_nuplan_map_def def;
} hand_map;

static inline void hand_begin(hand_map *m) {
    *m = (hand_map){0};
    m->def = (nm_nuplan_map_def){.points = m->points,
                                 .rings = m->rings,
                                 .polygons = m->polygons,
                                 .parts = m->parts,
                                 .objects = m->objects,
                                 .links = m->links,
                                 .roadblocks = m->roadblocks,
                                 .intersections = m->intersections,
                                 .drivable = m->drivable};
}

static inline uint32_t hand_polygon(hand_map *m, double x0, double y0, double x1, double y1) {
    const nm_nuplan_point corners[4] = {{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}};
    memcpy(m->points + m->def.point_count, corners, sizeof corners);
    m->rings[m->def.ring_count] = (nm_range){m->def.point_count, 4};
    m->polygons[m->def.polygon_count] = (nm_range){m->def.ring_count++, 1};
    m->def.point_count += 4;
    return m->def.polygon_count++;
}

static inline nm_range hand_area(hand_map *m, uint32_t polygon) {
    m->parts[m->def.part_count] = polygon;
    return (nm_range){m->def.part_count++, 1};
}

/// A lane or connector with a straight baseline and a roadblock of its own; part of the drivable area.
static inline uint32_t hand_lane(hand_map *m, nm_nuplan_kind kind, double x0, double y0, double x1, double y1,
                                 nm_nuplan_point from, nm_nuplan_point to, double limit) {
    const uint32_t polygon = hand_polygon(m, x0, y0, x1, y1);
    m->points[m->def.point_count] = from;
    m->points[m->def.point_count + 1] = to;
    m->roadblocks[m->def.roadblock_count] = hand_area(m, polygon);
    m->drivable[m->def.drivable_count++] = hand_area(m, polygon);
    m->objects[m->def.object_count] = (nm_nuplan_object){.id = 100 + m->def.object_count,
                                                         .kind = (uint8_t)kind,
                                                         .surface = polygon,
                                                         .roadblock = m->def.roadblock_count++,
                                                         .baseline = {m->def.point_count, 2},
                                                         .speed_limit = limit};
    m->def.point_count += 2;
    return m->def.object_count++;
}

static inline void hand_link(hand_map *m, uint32_t from, uint32_t to) {
    m->links[m->def.link_count++] = (nm_nuplan_link){from, to};
}

static inline const nm_nuplan_map *hand_finish(const hand_map *m) {
    const nm_nuplan_map *map;
    nm_error error;
    if (nm_nuplan_map_create(&m->def, &map, &error) != NM_OK) fail_msg("%s", error.message);
    return map;
}

/// A road from west to east, and what it meets:
///
///                              | F  |              F  lane   x 110 .. 120, y 10 .. 60, northwards, no limit
///     +------------------+-----+----+----+         E  connector x 100 .. 130, y -2 .. 10: over C; its baseline goes
///     | B                |     E         |            from (100, 0) to (115, 10)
///     +------------------+---------------+-----+   B  lane   x 0 .. 100, y 2 .. 6, limit 10: A's roadblock
///     | A                |     C         |  D  |   A, C, D  x 0 .. 100 .. 130 .. 230, y -2 .. 2, limits 10, 99, 15
///     +------------------+---------------+-----+   intersection x 100 .. 130, y -2 .. 10
enum { LANE_A, LANE_B, CONNECTOR_C, CONNECTOR_E, LANE_D, LANE_F };
static inline void hand_town(hand_map *m) {
    hand_begin(m);
    hand_lane(m, NM_NUPLAN_LANE, 0, -2, 100, 2, (nm_nuplan_point){0, 0}, (nm_nuplan_point){100, 0}, 10.0);
    hand_lane(m, NM_NUPLAN_LANE, 0, 2, 100, 6, (nm_nuplan_point){0, 4}, (nm_nuplan_point){100, 4}, 10.0);
    hand_lane(m, NM_NUPLAN_CONNECTOR, 100, -2, 130, 2, (nm_nuplan_point){100, 0}, (nm_nuplan_point){130, 0}, 99.0);
    hand_lane(m, NM_NUPLAN_CONNECTOR, 100, -2, 130, 10, (nm_nuplan_point){100, 0}, (nm_nuplan_point){115, 10}, 99.0);
    hand_lane(m, NM_NUPLAN_LANE, 130, -2, 230, 2, (nm_nuplan_point){130, 0}, (nm_nuplan_point){230, 0}, 15.0);
    hand_lane(m, NM_NUPLAN_LANE, 110, 10, 120, 60, (nm_nuplan_point){115, 10}, (nm_nuplan_point){115, 60}, 0.0);
    m->roadblocks[0] = (nm_range){m->def.part_count, 2}; // A and B
    m->parts[m->def.part_count++] = m->objects[LANE_A].surface;
    m->parts[m->def.part_count++] = m->objects[LANE_B].surface;
    m->objects[LANE_B].roadblock = 0;
    m->intersections[m->def.intersection_count++] = hand_area(m, hand_polygon(m, 100, -2, 130, 10));
    hand_link(m, LANE_A, CONNECTOR_C);
    hand_link(m, LANE_A, CONNECTOR_E);
    hand_link(m, CONNECTOR_C, LANE_D);
    hand_link(m, CONNECTOR_E, LANE_F);
}

// --- drives ----------------------------------------------------------------------------------------------------------

enum { DRIVE_MAX = 151, TRACK_MAX = 8 };

/// An ego of 4 m by 2 m whose rear axle is 1 m behind its centre, and an expert beside it.
typedef struct hand_drive {
    nm_nuplan_ego ego[DRIVE_MAX];
    nm_nuplan_pose expert[DRIVE_MAX];
    uint8_t types[TRACK_MAX], present[DRIVE_MAX * TRACK_MAX];
    nm_nuplan_box boxes[DRIVE_MAX * TRACK_MAX];
    nm_nuplan_drive view;
    // what comes out
    nm_nuplan_result result;
    nm_nuplan_collision collisions[TRACK_MAX];
    double ttc[DRIVE_MAX], over_limit[DRIVE_MAX], progress_1s[DRIVE_MAX], lon_accel[DRIVE_MAX], lat_accel[DRIVE_MAX],
        yaw_rate[DRIVE_MAX], yaw_accel[DRIVE_MAX], lon_jerk[DRIVE_MAX], jerk[DRIVE_MAX];
    uint8_t multi_lane[DRIVE_MAX], far_off[DRIVE_MAX];
} hand_drive;

/// Puts the CENTRE of the ego at (x, y).
static inline void put_ego(hand_drive *d, uint32_t k, double x, double y, double heading, double speed) {
    const double back = d->view.vehicle.rear_to_centre;
    d->ego[k].x = x - back * cos(heading);
    d->ego[k].y = y - back * sin(heading);
    d->ego[k].heading = heading;
    d->ego[k].vx = speed;
}
static inline void put_expert(hand_drive *d, uint32_t k, double x, double y, double heading) {
    const double back = d->view.vehicle.rear_to_centre;
    d->expert[k] = (nm_nuplan_pose){x - back * cos(heading), y - back * sin(heading), heading};
}

/// Ego and expert drive east from (x, y) at `speed`, at 10 Hz; `samples` of the ego, one more of the expert.
static inline void drive_east(hand_drive *d, const nm_nuplan_map *map, uint32_t samples, double x, double y,
                              double speed) {
    *d = (hand_drive){0};
    d->view = (nm_nuplan_drive){.map = map,
                                .vehicle = {.length = 4, .width = 2, .rear_to_centre = 1, .wheelbase = 3},
                                .ego = d->ego,
                                .samples = samples,
                                .expert = d->expert,
                                .expert_samples = samples + 1,
                                .types = d->types,
                                .present = d->present,
                                .boxes = d->boxes};
    for (uint32_t k = 0; k <= samples; ++k) {
        if (k < samples) {
            put_ego(d, k, x + 0.1 * k * speed, y, 0.0, speed);
            d->ego[k].time_us = 1000000 + 100000 * (int64_t)k;
        }
        put_expert(d, k, x + 0.1 * k * speed, y, 0.0);
    }
}

/// A track over all samples, from (x, y) along its heading. Boxes are [samples][tracks], so all are made before others
/// are added: `tracks` is fixed by the first call.
static inline void put_track(hand_drive *d, uint32_t tracks, uint32_t t, nm_nuplan_type type, nm_nuplan_box box) {
    assert_true(d->view.tracks == 0 || d->view.tracks == tracks);
    d->view.tracks = tracks;
    d->types[t] = (uint8_t)type;
    for (uint32_t k = 0; k < d->view.samples; ++k) {
        const size_t at = (size_t)k * tracks + t;
        d->present[at] = 1;
        d->boxes[at] = box;
        d->boxes[at].x += 0.1 * k * box.vx;
        d->boxes[at].y += 0.1 * k * box.vy;
    }
}

static inline const nm_nuplan_result *score(hand_drive *d) {
    const nm_nuplan_series series = {.ttc = d->ttc,
                                     .over_limit = d->over_limit,
                                     .progress_1s = d->progress_1s,
                                     .lon_accel = d->lon_accel,
                                     .lat_accel = d->lat_accel,
                                     .yaw_rate = d->yaw_rate,
                                     .yaw_accel = d->yaw_accel,
                                     .lon_jerk = d->lon_jerk,
                                     .jerk = d->jerk,
                                     .multi_lane = d->multi_lane,
                                     .far_off = d->far_off};
    nm_error error;
    if (nm_nuplan_score(&d->view, &d->result, d->collisions, TRACK_MAX, &series, &error) != NM_OK)
        fail_msg("%s", error.message);
    return &d->result;
}

static inline void assert_metric(const hand_drive *d, nm_nuplan_metric which, double value, double worst,
                                 uint32_t step) {
    const nm_nuplan_value *v = &d->result.metric[which];
    if (fabs(v->value - value) > 1e-12 || !(v->worst == worst || fabs(v->worst - worst) < 1e-9) || v->step != step)
        fail_msg("%s is %.15g, worst %.15g at %d; wanted %.15g, %.15g, %d", nm_nuplan_describe(which)->name, v->value,
                 v->worst, (int)v->step, value, worst, (int)step);
}

#endif
