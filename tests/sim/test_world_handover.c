/// Drivers who take over where a recording left them: beside the middle of the lane, in a bend, too fast for it, beside
/// somebody who reaches into their lane. They get back without leaving the road or hitting anybody.
#include "world_scenes.h"

#define MOST_POINTS 400

typedef struct piece {
    double length, curvature; ///< m, 1/m to the left
} piece;

/// A centreline from the origin to the east, a point every half metre.
static size_t draw(const piece *pieces, size_t count, nm_point3 *points) {
    double x = 0, y = 0, heading = 0;
    size_t used = 0;
    points[used++] = (nm_point3){0, 0, 0};
    for (size_t i = 0; i < count; ++i) {
        const int steps = (int)lround(pieces[i].length / 0.5);
        for (int k = 0; k < steps; ++k) {
            assert_true(used < MOST_POINTS);
            const double turn = 0.5 * pieces[i].curvature;
            x += 0.5 * cos(heading + 0.5 * turn);
            y += 0.5 * sin(heading + 0.5 * turn);
            heading += turn;
            points[used++] = (nm_point3){x, y, 0};
        }
    }
    return used;
}

static void add_lane(nm_map_builder *builder, nm_lane_def *def, int64_t id, const nm_point3 *centre, size_t count,
                     double width) {
    nm_error error;
    nm_error_clear(&error);
    def->id = id;
    def->centre = centre;
    def->point_count = count;
    def->width = width;
    if (!(def->speed_limit > 0)) def->speed_limit = 14;
    def->type = NM_LANE_STREET;
    if (nm_map_builder_add_lane(builder, def, &error) != NM_OK) fail_msg("%s", error.message);
}

static nm_map_builder *new_builder(void) {
    nm_map_builder *builder = nm_map_builder_create();
    assert_non_null(builder);
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    return builder;
}

static const nm_map *finish(nm_map_builder *builder) {
    const nm_map *map = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_map_builder_build(builder, &map, &error) != NM_OK) fail_msg("%s", error.message);
    nm_map_builder_destroy(builder);
    return map;
}

static const nm_map *one_lane(const piece *pieces, size_t count, double width) {
    nm_point3 centre[MOST_POINTS];
    nm_map_builder *builder = new_builder();
    nm_lane_def def = nm_lane_def_default();
    add_lane(builder, &def, 1, centre, draw(pieces, count, centre), width);
    return finish(builder);
}

typedef struct driver {
    nm_agent_type type;
    float length, width;
    float x, y, heading, speed, curvature; ///< at the last recorded step
    int parked;
} driver;

/// Each was recorded for `steps` steps on a circle or straight line. Takes over the map's reference.
static const nm_scene *recorded(const nm_map *map, const driver *drivers, size_t count, uint32_t steps) {
    nm_scene_builder *builder = nm_scene_builder_create();
    assert_non_null(builder);
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, &error), NM_OK);
    for (size_t i = 0; i < count; ++i) {
        const driver *d = &drivers[i];
        const nm_track_def def = {.id = (int64_t)i + 1,
                                  .type = d->type,
                                  .flags = d->parked ? NM_TRACK_STATIC : 0,
                                  .length = d->length,
                                  .width = d->width,
                                  .height = 1.5f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t t = 0; t < steps; ++t) {
            const double way = (double)d->speed * 0.1 * ((double)t - (double)(steps - 1)),
                         turn = way * (double)d->curvature;
            const double chord = fabs(turn) > 1e-6 ? way * sin(0.5 * turn) / (0.5 * turn) : way;
            const double mid = (double)d->heading + 0.5 * turn, heading = (double)d->heading + turn;
            const nm_state_def state = {.x = (double)d->x + chord * cos(mid),
                                        .y = (double)d->y + chord * sin(mid),
                                        .heading = heading,
                                        .vx = (double)d->speed * cos(heading),
                                        .vy = (double)d->speed * sin(heading)};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &state, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, steps - 1, NM_NONE);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

/// A world that begins at the last recorded step.
static nm_world *taken_over(const nm_scene *scene, nm_policy_kind policy) {
    nm_world_config config = nm_world_config_default();
    config.agents = config.ego = policy;
    config.start_step = scene->step_count - 1;
    nm_world *world = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_world_create(scene, &config, &world, &error) != NM_OK) fail_msg("%s", error.message);
    return world;
}

/// The estimate over half a second: way^2 / (way^2 + 2 m^2) of what was measured, for IDM drivers only.
static void wheels_are_turned_as_the_recording_drives(void **state) {
    (void)state;
    const piece circle[1] = {{40, 0.1}};
    static const struct {
        float speed, curvature;
        nm_policy_kind policy;
        float expected;
    } cases[] = {{5, 0.1f, NM_POLICY_IDM, 0.1f * 6.25f / 8.25f},
                 {2.5f, 0.1f, NM_POLICY_IDM, 0.1f * 1.5625f / 3.5625f},
                 {1, 0.1f, NM_POLICY_IDM, 0},           // nothing to measure
                 {10, 0.1f, NM_POLICY_IDM, 4 / 100.0f}, // no more than 4 m/s^2 sideways
                 {5, 0.1f, NM_POLICY_CONSTANT_VELOCITY, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const driver car = {NM_AGENT_CAR, 4.5f, 1.8f, 8.4147f, 4.597f, 1, cases[i].speed, cases[i].curvature, 0};
        const nm_scene *scene = recorded(one_lane(circle, 1, 3.5), &car, 1, 11);
        nm_world *world = taken_over(scene, cases[i].policy);
        assert_float_equal(nm_world_get_view(world).curvature[0], cases[i].expected, 1e-3f);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
}

static nm_world_stats run(nm_world *world, int steps) {
    for (int t = 0; t < steps; ++t) assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    return nm_world_get_stats(world);
}

/// The left lane ends, and the right one is hardly wider than the vehicles.
static const nm_map *lane_that_ends(void) {
    const piece long_way[1] = {{190, 0}}, short_way[1] = {{100, 0}};
    nm_point3 right[MOST_POINTS], left[MOST_POINTS];
    const size_t right_count = draw(long_way, 1, right), left_count = draw(short_way, 1, left);
    for (size_t i = 0; i < left_count; ++i) left[i].y = 2.94;
    nm_map_builder *builder = new_builder();
    nm_lane_def def = nm_lane_def_default();
    const nm_neighbour_def up = {.lane = 2, .self_end = 100, .other_end = 100};
    const nm_neighbour_def down = {.lane = 1, .self_end = 100, .other_end = 100};
    def.left_marking = def.right_marking = NM_MARKING_DASHED;
    def.left_neighbours = &up, def.left_neighbour_count = 1;
    add_lane(builder, &def, 1, right, right_count, 2.94);
    def.left_neighbours = NULL, def.left_neighbour_count = 0;
    def.right_neighbours = &down, def.right_neighbour_count = 1;
    add_lane(builder, &def, 2, left, left_count, 2.94);
    return finish(builder);
}

static void a_lane_change_ends_inside_the_lane(void **state) {
    (void)state;
    for (float length = 4; length <= 9; length += 1)
        for (float speed = 3; speed <= 12; speed += 1) {
            const driver car = {NM_AGENT_CAR, length, 2.1f, 20, 2.94f, 0, speed, 0, 0};
            const nm_scene *scene = recorded(lane_that_ends(), &car, 1, 21);
            nm_world *world = taken_over(scene, NM_POLICY_IDM);
            const nm_world_stats stats = run(world, 120);
            assert_int_equal(stats.lane_changes, 1);
            if (stats.off_road) fail_msg("%g m long, %g m/s: left the road", (double)length, (double)speed);
            nm_world_destroy(world);
            nm_scene_destroy(scene);
        }
}

/// Beside the middle, with the side a hand's breadth from the kerb: the rear corner does not swing over it.
static void nobody_swings_the_rear_over_the_kerb(void **state) {
    (void)state;
    const piece straight[1] = {{190, 0}};
    for (float length = 6; length <= 12; length += 1)
        for (float side = -1; side <= 1; side += 2)
            for (float speed = 2; speed <= 12; speed += 2) {
                const driver car = {NM_AGENT_CAR, length, 2.1f, 20, side * 0.43f, 0, speed, 0, 0};
                const nm_scene *scene = recorded(one_lane(straight, 1, 3), &car, 1, 21);
                nm_world *world = taken_over(scene, NM_POLICY_IDM);
                const nm_world_stats stats = run(world, 100);
                if (stats.off_road) fail_msg("%g m long, %g m/s: left the road", (double)length, (double)speed);
                nm_world_destroy(world);
                nm_scene_destroy(scene);
            }
}

/// The recording moves towards the middle: the driver goes on, and does not steer back to where it was.
static void who_moves_sideways_goes_on(void **state) {
    (void)state;
    const piece straight[1] = {{190, 0}};
    const driver car = {NM_AGENT_CAR, 4.5f, 1.8f, 20, 1, -0.3f, 8, 0, 0};
    const nm_scene *scene = recorded(one_lane(straight, 1, 4.2), &car, 1, 21);
    nm_world *world = taken_over(scene, NM_POLICY_IDM);
    run(world, 8);
    assert_true(nm_world_get_view(world).y[0] < 0.12f);
    run(world, 80);
    assert_float_equal(nm_world_get_view(world).y[0], 0, 0.1f);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// Two ways, 3 m each, the second to the west.
static const nm_map *two_ways(void) {
    const piece straight[1] = {{150, 0}};
    nm_point3 centre[MOST_POINTS], back[MOST_POINTS];
    const size_t count = draw(straight, 1, centre);
    for (size_t i = 0; i < count; ++i) back[i] = (nm_point3){centre[count - 1 - i].x, 3, 0};
    nm_map_builder *builder = new_builder();
    nm_lane_def def = nm_lane_def_default();
    const nm_neighbour_def there = {.lane = 2, .opposite = 1}, here = {.lane = 1, .opposite = 1};
    def.left_neighbours = &there, def.left_neighbour_count = 1;
    add_lane(builder, &def, 1, centre, count, 3);
    def.left_neighbours = &here;
    add_lane(builder, &def, 2, back, count, 3);
    return finish(builder);
}

/// A truck that has kept to the right of its lane meets a car that stands 0.3 m over the middle line: it keeps to the
/// right, and goes on.
static void nobody_pulls_over_to_who_reaches_across_the_line(void **state) {
    (void)state;
    for (int parked = 0; parked <= 1; ++parked)
        for (float gap = 8; gap < 40; gap += 4) {
            const driver pair[2] = {{NM_AGENT_TRUCK, 7, 2.1f, 30, -0.4f, 0, 9, 0, 0},
                                    {NM_AGENT_CAR, 4.8f, 2.1f, 30 + gap, 2.25f, 3.14159f, 0, 0, parked}};
            const nm_scene *scene = recorded(two_ways(), pair, 2, 21);
            nm_world *world = taken_over(scene, NM_POLICY_IDM);
            assert_int_equal(run(world, 40).collided, 0);
            const nm_world_view view = nm_world_get_view(world);
            assert_true(view.x[view.slot_of[0]] > 30 + 0.8f * 4 * 9); // hardly braked
            assert_int_equal(run(world, 60).collided, 0);
            assert_int_equal(nm_world_get_stats(world).off_road, 0);
            nm_world_destroy(world);
            nm_scene_destroy(scene);
        }
}

/// Cyclists and cars abreast in one lane, with hardly room: neither goes over the kerb for the clearance's sake.
static void clearance_is_not_sought_beyond_the_kerb(void **state) {
    (void)state;
    const piece straight[1] = {{150, 0}};
    for (int k = 0; k < 24; ++k) {
        const float ahead = 5.0f * (float)(k % 6), side = k < 12 ? -1.0f : 1.0f, beside = k % 12 < 6 ? -0.45f : -0.2f;
        const driver pair[2] = {{NM_AGENT_CYCLIST, 1.8f, 0.6f, 30, side * 1.35f, 0, 5, 0, 0},
                                {NM_AGENT_TRUCK, 7, 2.3f, 30 + ahead, side * beside, 0, 0, 0, 1}};
        const nm_scene *scene = recorded(one_lane(straight, 1, 3.5), pair, 2, 21);
        nm_world *world = taken_over(scene, NM_POLICY_IDM);
        const nm_world_stats stats = run(world, 80);
        assert_int_equal(stats.collided, 0);
        assert_int_equal(stats.off_road, 0);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
}

/// Hardly room on either side: nobody seeks the middle of the lane then.
static void who_is_between_two_stays_there(void **state) {
    (void)state;
    const piece straight[1] = {{190, 0}};
    const driver three[3] = {{NM_AGENT_CAR, 4.5f, 1.8f, 40, 0.5f, 0, 8, 0, 0},
                             {NM_AGENT_CAR, 4.5f, 1.8f, 41, 2.5f, 0, 8, 0, 0},
                             {NM_AGENT_CAR, 4.5f, 1.8f, 40, -1.5f, 0, 8, 0, 0}};
    const nm_scene *scene = recorded(one_lane(straight, 1, 8), three, 3, 21);
    nm_world *world = taken_over(scene, NM_POLICY_CONSTANT_VELOCITY);
    nm_world_set_policy(world, 0, NM_POLICY_IDM);
    for (int t = 0; t < 60; ++t) nm_world_step(world, NULL, 0, NULL);
    assert_int_equal(nm_world_get_stats(world).collided, 0);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// Over the middle line beside somebody who has gone by: in that lane it would be the next one ahead, on the own way it
/// is behind.
static void nobody_brakes_for_who_has_gone_by_in_the_opposite_lane(void **state) {
    (void)state;
    const driver pair[2] = {{NM_AGENT_CAR, 4.5f, 2.1f, 50, 0.6f, 0, 8, 0, 0},
                            {NM_AGENT_CAR, 4.5f, 1.6f, 42, 2.6f, 3.14159f, 0, 0, 0}};
    const nm_scene *scene = recorded(two_ways(), pair, 2, 21);
    nm_world *world = taken_over(scene, NM_POLICY_IDM);
    nm_world_set_policy(world, 1, NM_POLICY_EXTERNAL);
    for (int t = 0; t < 10; ++t) {
        run(world, 1);
        assert_int_equal(nm_world_get_view(world).lead[0], NM_NONE);
        assert_true(nm_world_get_view(world).speed[0] > 7.9f);
    }
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// Askew on a straight road: getting back takes a harder turn than is comfortable, and speed is taken off for it.
static void who_has_to_turn_hard_brakes(void **state) {
    (void)state;
    const piece straight[1] = {{190, 0}};
    const driver car = {NM_AGENT_CAR, 4.5f, 1.8f, 40, 0, 0.3f, 13, 0, 0};
    const nm_scene *scene = recorded(one_lane(straight, 1, 6), &car, 1, 21);
    nm_world *world = taken_over(scene, NM_POLICY_IDM);
    float hardest = 0.0f;
    for (int t = 0; t < 6; ++t) {
        run(world, 1);
        hardest = fminf(hardest, nm_world_get_view(world).accel[0]);
    }
    assert_true(hardest < -2.0f);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// Drives along a lane and tells whether that went well.
static int stays_in(const piece *pieces, size_t count, double width, driver car, int steps) {
    const nm_scene *scene = recorded(one_lane(pieces, count, width), &car, 1, 21);
    nm_world *world = taken_over(scene, NM_POLICY_IDM);
    const nm_world_stats stats = run(world, steps);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
    return stats.off_road == 0;
}

/// Cars, too, swing out with the front in a tight bend: they drive it on its inside.
static void cars_keep_their_corners_inside_tight_bends(void **state) {
    (void)state;
    for (int side = -1; side <= 1; side += 2) {
        const piece bend[3] = {{20, 0}, {12, 0.11 * side}, {20, 0}};
        for (float length = 4; length <= 5.2f; length += 0.3f)
            for (float speed = 1; speed <= 6; speed += 1) {
                const driver car = {NM_AGENT_CAR, length, 2.0f, 6, 0, 0, speed, 0, 0};
                if (!stays_in(bend, 3, 3.3, car, 150))
                    fail_msg("%g m long, %g m/s: left the road", (double)length, (double)speed);
            }
    }
}

/// More than twice as fast as comfortable, 4 m before the bend.
static void who_is_too_fast_for_a_bend_brakes(void **state) {
    (void)state;
    for (int side = -1; side <= 1; side += 2) {
        const piece bend[3] = {{40, 0}, {30, 0.07 * side}, {20, 0}};
        for (float speed = 8; speed <= 14; speed += 1) {
            const driver car = {NM_AGENT_CAR, 4.8f, 1.9f, 36, 0, 0, speed, 0, 0};
            if (!stays_in(bend, 3, 3.5, car, 80)) fail_msg("%g m/s: left the road", (double)speed);
        }
    }
}

/// Two lanes that meet at an angle, as maps of turn pockets have them: steering begins before the corner.
static void corners_between_lanes_are_rounded(void **state) {
    (void)state;
    for (int side = -1; side <= 1; side += 2)
        for (float speed = 4; speed <= 7; speed += 1) {
            nm_point3 before[2] = {{0, 0, 0}, {40, 0, 0}};
            nm_point3 after[2] = {{40, 0, 0}, {40 + 60 * cos(0.35), 60 * sin(0.35) * side, 0}};
            const int64_t first = 1, second = 2;
            nm_map_builder *builder = new_builder();
            nm_lane_def def = nm_lane_def_default();
            def.successors = &second, def.successor_count = 1;
            add_lane(builder, &def, 1, before, 2, 3.6);
            def.successor_count = 0;
            def.predecessors = &first, def.predecessor_count = 1;
            add_lane(builder, &def, 2, after, 2, 3.6);
            const driver car = {NM_AGENT_CAR, 4.5f, 1.8f, 25, 0, 0, speed, 0, 0};
            const nm_scene *scene = recorded(finish(builder), &car, 1, 21);
            nm_world *world = taken_over(scene, NM_POLICY_IDM);
            float most = 0.0f;
            for (int t = 0; t < 60 && nm_world_get_view(world).count; ++t) {
                run(world, 1);
                most = fmaxf(most, fabsf(nm_world_get_view(world).lane_d[0]));
            }
            if (!(most < 0.5f)) fail_msg("%g m/s: %g m off the middle", (double)speed, (double)most);
            nm_world_destroy(world);
            nm_scene_destroy(scene);
        }
}

/// A truck behind on the right, a motorcycle between it and the car: sorted by their middles, the motorcycle comes
/// first, but it is the truck whose front the car would pull over to.
static void nobody_pulls_over_to_a_long_vehicle_behind_a_short_one(void **state) {
    (void)state;
    const piece straight[1] = {{190, 0}};
    const driver three[3] = {{NM_AGENT_CAR, 4.5f, 1.8f, 80, 1.35f, 0, 8, 0, 0},
                             {NM_AGENT_MOTORCYCLE, 2, 0.7f, 75, 2.6f, 0, 8, 0, 0},
                             {NM_AGENT_TRUCK, 18, 2.5f, 70.5f, -1.35f, 0, 8, 0, 0}};
    const nm_scene *scene = recorded(one_lane(straight, 1, 6.5), three, 3, 21);
    nm_world *world = taken_over(scene, NM_POLICY_IDM);
    nm_world_set_policy(world, 2, NM_POLICY_CONSTANT_VELOCITY);
    for (int t = 0; t < 40; ++t) {
        run(world, 1);
        assert_true(nm_world_get_view(world).y[0] > 1.0f);
    }
    assert_int_equal(nm_world_get_stats(world).collided, 0);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// Recorded up to the end, in the bend with half a metre to the left of the middle; the driver takes over later than
/// the world began, and from where the recording has come to: not from where that entered.
static void a_driver_may_take_over_in_mid_run(void **state) {
    (void)state;
    const piece bend[1] = {{190, 0.04}};
    const double radius = 25; // of the lane
    const driver car = {NM_AGENT_CAR,
                        4.5f,
                        1.8f,
                        (float)((radius - 0.4) * sin(2)),
                        (float)(radius - (radius - 0.4) * cos(2)),
                        2,
                        7,
                        (float)(1 / (radius - 0.4)),
                        0};
    const nm_scene *scene = recorded(one_lane(bend, 1, 4), &car, 1, 41);
    nm_world_config config = nm_world_config_default();
    config.agents = config.ego = NM_POLICY_LOG;
    nm_world *world;
    assert_int_equal(nm_world_create(scene, &config, &world, NULL), NM_OK);
    run(world, 30);
    nm_world_set_policy(world, 0, NM_POLICY_IDM);
    float before = nm_world_get_view(world).lane_d[0];
    assert_float_equal(before, 0.4f, 0.02f);
    for (int t = 0; t < 25; ++t) { // back to the middle, and no detour
        run(world, 1);
        const float d = nm_world_get_view(world).lane_d[0];
        if (!(d < before + 0.01f && d > -0.05f)) fail_msg("step %d: %g m, then %g m off", t, (double)before, (double)d);
        before = d;
    }
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// Recorded changing from the right lane to the left one: the driver who takes over there stays there.
static void who_takes_over_in_another_lane_stays_there(void **state) {
    (void)state;
    const driver car = {NM_AGENT_CAR, 4.5f, 1.8f, 60, 2.94f, 0.1f, 9, 0, 0};
    const nm_scene *scene = recorded(lane_that_ends(), &car, 1, 41);
    nm_idm_params idm = *nm_idm_named("nearmiss");
    idm.lane_changes = 0;
    nm_world_config config = nm_world_config_default();
    config.agents = config.ego = NM_POLICY_LOG;
    config.idm = &idm;
    nm_world *world;
    assert_int_equal(nm_world_create(scene, &config, &world, NULL), NM_OK);
    run(world, 38);
    assert_float_equal(nm_world_get_view(world).lane_d[0], -0.1f, 0.15f);
    nm_world_set_policy(world, 0, NM_POLICY_IDM);
    for (int t = 0; t < 40; ++t) {
        run(world, 1);
        assert_float_equal(nm_world_get_view(world).lane_d[0], 0, 0.35f);
    }
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// From beside the road, too far off for a lane, onto it: as smoothly as from the border of a lane.
static void who_comes_to_a_lane_from_beside_the_road_steers_gently(void **state) {
    (void)state;
    for (float heading = 0.02f; heading < 0.3f; heading += 0.09f)
        for (float speed = 5; speed <= 20; speed += 5) {
            const test_vehicle car = {NM_AGENT_CAR, 50, -6.2f, heading, speed};
            const nm_scene *scene = scene_with(straight_road(1, 800, 20), &car, 1, 2);
            nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
            assert_int_equal(nm_world_get_view(world).lane[0], NM_NONE);
            for (int t = 0; t < 200; ++t) {
                run(world, 1);
                const nm_world_view v = nm_world_get_view(world);
                const float sideways = v.speed[0] * v.speed[0] * fabsf(v.curvature[0]);
                if (!(sideways < 6.5f)) fail_msg("%g rad, %g m/s: %g m/s2", heading, speed, (double)sideways);
            }
            assert_float_equal(nm_world_get_view(world).y[0], 0, 0.2f);
            nm_world_destroy(world);
            nm_scene_destroy(scene);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wheels_are_turned_as_the_recording_drives),
        cmocka_unit_test(a_lane_change_ends_inside_the_lane),
        cmocka_unit_test(nobody_swings_the_rear_over_the_kerb),
        cmocka_unit_test(who_moves_sideways_goes_on),
        cmocka_unit_test(nobody_pulls_over_to_who_reaches_across_the_line),
        cmocka_unit_test(clearance_is_not_sought_beyond_the_kerb),
        cmocka_unit_test(who_is_between_two_stays_there),
        cmocka_unit_test(nobody_brakes_for_who_has_gone_by_in_the_opposite_lane),
        cmocka_unit_test(who_has_to_turn_hard_brakes),
        cmocka_unit_test(cars_keep_their_corners_inside_tight_bends),
        cmocka_unit_test(who_is_too_fast_for_a_bend_brakes),
        cmocka_unit_test(corners_between_lanes_are_rounded),
        cmocka_unit_test(nobody_pulls_over_to_a_long_vehicle_behind_a_short_one),
        cmocka_unit_test(a_driver_may_take_over_in_mid_run),
        cmocka_unit_test(who_takes_over_in_another_lane_stays_there),
        cmocka_unit_test(who_comes_to_a_lane_from_beside_the_road_steers_gently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
