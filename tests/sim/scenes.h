/// Tiny maps and scenes for tests: made by hand, small enough to know every number. (Richer ones: sim/builtin.h.)
#ifndef NM_TESTS_SIM_SCENES_H
#define NM_TESTS_SIM_SCENES_H

#include "base/rng.h"
#include "sim/math.h"
#include "sim/scene.h"
#include "support.h"

/// Adds a lane of `width` whose centreline runs through `count` points (x, y pairs).
static inline void nm_test_lane(nm_map_builder *builder, nm_lane_def *def, const double *xy, size_t count,
                                double width) {
    nm_point3 *centre = calloc(count, sizeof *centre);
    for (size_t i = 0; i < count; i++) centre[i] = (nm_point3){xy[2 * i], xy[2 * i + 1], 0.0};
    def->centre = centre;
    def->point_count = count;
    def->width = width;
    nm_error error;
    nm_error_clear(&error);
    if (nm_map_builder_add_lane(builder, def, &error) != NM_OK) fail_msg("%s", error.message);
    free(centre);
    def->centre = NULL;
}

static inline const nm_map *nm_test_build(nm_map_builder *builder) {
    const nm_map *map = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_map_builder_build(builder, &map, &error) != NM_OK) fail_msg("%s", error.message);
    nm_map_builder_destroy(builder);
    if (nm_map_prepare(map, &error) != NM_OK) fail_msg("%s", error.message);
    return map;
}

/// Three lanes eastwards, 3.5 m wide, `length` m, from x = 0; lane i (id 10 + i) at y = 3.5 i, so 0 is the rightmost.
/// Neighbours linked; no successors. Origin (0, 0, 0). Limit 30 m/s.
static inline const nm_map *nm_test_road(double length) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    for (int i = 0; i < 3; i++) {
        nm_lane_def def = nm_lane_def_default();
        nm_neighbour_def left = {.lane = 11 + i}, right = {.lane = 9 + i};
        def.id = 10 + i;
        def.type = NM_LANE_FREEWAY;
        def.speed_limit = 30.0;
        def.left_neighbours = &left;
        def.left_neighbour_count = i < 2;
        def.right_neighbours = &right;
        def.right_neighbour_count = i > 0;
        nm_test_lane(builder, &def, (double[]){0.0, 3.5 * i, 0.5 * length, 3.5 * i, length, 3.5 * i}, 3, 3.5);
    }
    return nm_test_build(builder);
}

/// Two one-lane roads that cross at (0, 0), each as entry (to -10), middle and exit (from +10), 100 m long, 3.5 m wide.
/// West to east: ids 1, 2, 3; south to north: 4, 5, 6. `control` rules the ends of the entries 1 and 4; the middles
/// share junction 7.
static inline const nm_map *nm_test_crossing(nm_control_kind control1, nm_control_kind control4) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    const double at[4] = {-50.0, -10.0, 10.0, 50.0};
    for (int road = 0; road < 2; road++) {
        for (int part = 0; part < 3; part++) {
            nm_lane_def def = nm_lane_def_default();
            def.id = 1 + 3 * road + part;
            def.type = NM_LANE_STREET;
            int64_t next = def.id + 1;
            def.successors = &next;
            def.successor_count = part < 2;
            if (part == 0) def.control = road ? control4 : control1;
            if (part == 1) def.junction = 7;
            double a = at[part], b = at[part + 1];
            double east[4] = {a, 0.0, b, 0.0}, north[4] = {0.0, a, 0.0, b};
            nm_test_lane(builder, &def, road ? north : east, 2, 3.5);
        }
    }
    return nm_test_build(builder);
}

/// One lane (id 1) round a left-hand circular arc about (0, radius), from (0, 0) heading east, over `angle` rad.
static inline const nm_map *nm_test_curve(double radius, double angle) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    size_t count = 2 + (size_t)(radius * angle);
    double *xy = calloc(2 * count, sizeof *xy);
    for (size_t i = 0; i < count; i++) {
        double a = angle * (double)i / (double)(count - 1);
        xy[2 * i] = radius * sin(a);
        xy[2 * i + 1] = radius * (1.0 - cos(a));
    }
    nm_lane_def def = nm_lane_def_default();
    def.id = 1;
    def.type = NM_LANE_STREET;
    nm_test_lane(builder, &def, xy, count, 4.0);
    free(xy);
    return nm_test_build(builder);
}

/// One agent of nm_test_scene: constant velocity along its heading from the start.
typedef struct nm_test_agent {
    double x, y, heading, speed;
    double length, width; ///< 0 = 4.5 x 1.8
    nm_agent_type type;   ///< NM_AGENT_UNKNOWN = car
} nm_test_agent;

/// Agents at constant velocity over `steps` steps of 0.1 s; track 0 is the ego. Takes over the reference to `map`.
static inline const nm_scene *nm_test_scene(const nm_map *map, const nm_test_agent *agents, size_t count,
                                            uint32_t steps) {
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, &error), NM_OK);
    for (size_t i = 0; i < count; i++) {
        const nm_test_agent *a = &agents[i];
        nm_track_def def = {.id = 100 + (int64_t)i,
                            .type = a->type == NM_AGENT_UNKNOWN ? NM_AGENT_CAR : a->type,
                            .length = a->length > 0.0 ? (float)a->length : 4.5f,
                            .width = a->width > 0.0 ? (float)a->width : 1.8f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t t = 0; t < steps; t++) {
            double vx = a->speed * cos(a->heading), vy = a->speed * sin(a->heading);
            nm_state_def state = {.x = map->origin.x + a->x + 0.1 * t * vx,
                                  .y = map->origin.y + a->y + 0.1 * t * vy,
                                  .z = map->origin.z,
                                  .heading = a->heading,
                                  .vx = vx,
                                  .vy = vy};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &state, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, 0, count ? 0 : NM_NONE);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

/// Uniform numbers from the project's generator: the same on every machine. `*draw` counts up.
static inline double nm_test_uniform(uint64_t seed, uint32_t *draw, double low, double high) {
    nm_rng_key key = {.seed = seed, .purpose = NM_PURPOSE_TEST};
    return low + (high - low) * (double)nm_rng_uniform(&key, (*draw)++);
}

/// A map of `lanes` winding lanes that cross and overlap at will (ids 0, 1, ...): for property tests. Widths 2.5 to 5
/// m, some points repeated or millimetres apart, as in real maps. Each lane has up to two successors and one neighbour.
static inline const nm_map *nm_test_tangle(uint64_t seed, int lanes, double extent) {
    nm_map_builder *builder = nm_map_builder_create();
    uint32_t draw = 0;
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    for (int i = 0; i < lanes; i++) {
        double xy[160];
        size_t count = 0, points = 10 + (size_t)nm_test_uniform(seed, &draw, 0.0, 60.0);
        double x = nm_test_uniform(seed, &draw, -extent, extent), y = nm_test_uniform(seed, &draw, -extent, extent);
        double h = nm_test_uniform(seed, &draw, -3.14, 3.14), k = nm_test_uniform(seed, &draw, -0.04, 0.04);
        for (size_t p = 0; p < points; p++) {
            xy[2 * count] = x;
            xy[2 * count + 1] = y;
            count++;
            double kind = nm_test_uniform(seed, &draw, 0.0, 1.0);
            double step = kind < 0.05 ? 0.0 : kind < 0.1 ? 0.002 : nm_test_uniform(seed, &draw, 0.5, 4.0);
            h += k * step;
            x += step * cos(h);
            y += step * sin(h);
        }
        nm_lane_def def = nm_lane_def_default();
        def.id = i;
        def.type = i % 7 == 6 ? NM_LANE_SIDEWALK : NM_LANE_STREET;
        int64_t next[2] = {(int64_t)nm_test_uniform(seed, &draw, 0.0, lanes),
                           (int64_t)nm_test_uniform(seed, &draw, 0.0, lanes)};
        def.successors = next;
        def.successor_count = (size_t)nm_test_uniform(seed, &draw, 0.0, 2.99);
        nm_neighbour_def beside = {.lane = (int64_t)nm_test_uniform(seed, &draw, 0.0, lanes)};
        def.left_neighbours = &beside;
        def.left_neighbour_count = i % 3 == 0;
        nm_test_lane(builder, &def, xy, count, nm_test_uniform(seed, &draw, 2.5, 5.0));
    }
    for (int i = 0; i < lanes / 5; i++) { // driveways of any shape, some of them crossing themselves
        nm_point3 points[5];
        double x = nm_test_uniform(seed, &draw, -extent, extent), y = nm_test_uniform(seed, &draw, -extent, extent);
        size_t count = 3 + (size_t)(i % 3);
        for (size_t k = 0; k < count; k++) {
            points[k] = (nm_point3){x + nm_test_uniform(seed, &draw, -15.0, 15.0),
                                    y + nm_test_uniform(seed, &draw, -15.0, 15.0), 0.0};
        }
        nm_error error;
        assert_int_equal(nm_map_builder_add_area(builder, 1000 + i, NM_AREA_DRIVEWAY, points, count, &error), NM_OK);
    }
    return nm_test_build(builder);
}

#endif
