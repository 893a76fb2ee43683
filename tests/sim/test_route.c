#include "scenes.h"

#include "sim/builtin.h"
#include "sim/route.h"

static nm_route *route_of(const nm_scene *scene, uint32_t step) {
    nm_route *route = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_route_of_scene(scene, step, &route, &error) != NM_OK) fail_msg("%s", error.message);
    return route;
}

/// What every route promises: points 1 m apart, headings along the line, everything finite.
static void check_line(const nm_planner_route *r) {
    assert_true(r->point_count >= 2 && r->lane_count >= 1);
    assert_float_equal(r->lane_from[0], 0.0f, 0.0f);
    for (uint32_t i = 1; i < r->lane_count; i++) assert_true(r->lane_from[i] >= r->lane_from[i - 1]);
    for (uint32_t i = 0; i + 1 < r->point_count; i++) {
        const float dx = r->points[i + 1].x_scene - r->points[i].x_scene;
        const float dy = r->points[i + 1].y_scene - r->points[i].y_scene;
        const float way = hypotf(dx, dy);
        assert_true(way <= 1.001f);
        if (i + 2 < r->point_count) assert_true(way > 0.9f); // chords of what was 1 m of line
        assert_true(fabsf(nm_wrap_angle(atan2f(dy, dx) - r->heading_scene[i])) < 0.15f);
        assert_true(isfinite(r->curvature[i]) && r->speed_limit[i] > 0.0f);
    }
    assert_true(r->goal >= 0.0f && r->goal <= r->length);
}

static void follows_the_lane_it_was_recorded_on(void **state) {
    (void)state;
    const nm_test_agent ego = {.x = 100, .y = 3.5, .speed = 10};
    const nm_scene *scene = nm_test_scene(nm_test_road(400), &ego, 1, 81);
    nm_route *route = route_of(scene, 0);
    const nm_planner_route *r = nm_route_get(route);
    check_line(r);
    assert_int_equal(r->lane_count, 1);
    assert_int_equal(r->lanes[0], 1);
    assert_float_equal(r->points[0].x_scene, 80.0f, 1e-3f); // 20 m behind the ego
    assert_float_equal(r->points[0].y_scene, 3.5f, 1e-4f);
    assert_float_equal(r->length, 320.0f, 1e-2f);
    assert_float_equal(r->goal, 100.0f, 1e-2f); // 80 m driven
    assert_float_equal(nm_route_goal(route).x_scene, 180.0f, 1e-3f);
    assert_float_equal(r->speed_limit[5], 30.0f, 1e-4f);
    nm_route_destroy(route);
    nm_scene_destroy(scene);
}

/// A lane to and fro between the ends of the map, 34,000 km long: more metres than a float counts one by one.
static void refuses_what_never_ends(void **state) {
    (void)state;
    enum { POINTS = 20 };
    nm_point3 left[POINTS], right[POINTS];
    for (int i = 0; i < POINTS; i++) {
        const int side = i % 2 ? 1 : -1;
        left[i] = (nm_point3){9e5 * side - side, 10.0 * i + 1.75, 0};
        right[i] = (nm_point3){9e5 * side + side, 10.0 * i - 1.75, 0};
    }
    nm_map_builder *builder = nm_map_builder_create();
    nm_lane_def def = nm_lane_def_default();
    def.id = 1;
    def.left = left;
    def.right = right;
    def.point_count = POINTS;
    def.type = NM_LANE_FREEWAY;
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    assert_int_equal(nm_map_builder_add_lane(builder, &def, NULL), NM_OK);
    const nm_map *map = NULL;
    assert_int_equal(nm_map_builder_build(builder, &map, NULL), NM_OK);
    nm_map_builder_destroy(builder);
    assert_true(map->lanes[0].length > 3e7f);
    const uint32_t lane = 0;
    const nm_planner_pose start = {-9e5f, 0.0f, 0.0f}, goal = {9e5f, 190.0f, 0.0f};
    nm_route *route = NULL;
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_route_through(map, &lane, 1, start, goal, &route, &error), NM_E_LIMIT);
    assert_non_null(strstr(error.message, "longer than 200 km"));
    assert_null(route);
    nm_map_release(map);
}

static void projects_and_places_as_inverses(void **state) {
    (void)state;
    const nm_test_agent ego = {.x = 2, .y = 0, .speed = 10};
    const nm_scene *scene = nm_test_scene(nm_test_curve(40.0, 3.0), &ego, 1, 2);
    nm_route *route = route_of(scene, 0);
    const nm_planner_route *r = nm_route_get(route);
    check_line(r);
    assert_float_equal(r->curvature[30], 1.0f / 40.0f, 5e-4f);
    for (float s = 3.0f; s < r->length - 3.0f; s += 3.7f) {
        const nm_route_place at = nm_route_at(r, s);
        float d;
        const float x = at.pose.x_scene - 1.5f * sinf(at.pose.heading_scene);
        const float y = at.pose.y_scene + 1.5f * cosf(at.pose.heading_scene);
        assert_float_equal(nm_route_project(r, x, y, s, &d), s, 0.05f);
        assert_float_equal(d, 1.5f, 0.02f);
        assert_float_equal(nm_route_project(r, x, y, -1.0f, &d), s, 0.05f); // looked for everywhere
        assert_float_equal(nm_route_project(r, x, y, s > 70.0f ? 0.0f : 110.0f, NULL), s, 0.05f); // a wrong hint
    }
    nm_route_destroy(route);
    nm_scene_destroy(scene);
}

static void draws_a_change_of_lanes_smoothly(void **state) {
    (void)state;
    const nm_test_agent ego = {.x = 50, .y = 0, .heading = 0.035, .speed = 10}; // at the next centreline after 100 m
    const nm_scene *scene = nm_test_scene(nm_test_road(500), &ego, 1, 101);
    nm_route *route = route_of(scene, 0);
    const nm_planner_route *r = nm_route_get(route);
    check_line(r);
    assert_int_equal(r->lane_count, 2);
    assert_int_equal(r->lanes[0], 0);
    assert_int_equal(r->lanes[1], 1);
    float before = -1.0f;
    for (uint32_t i = 0; i < r->point_count; i++) {
        assert_true(r->points[i].y_scene >= before - 1e-4f);
        before = r->points[i].y_scene;
        assert_true(fabsf(r->curvature[i]) < 0.03f);
        // half of it is done where the ego crossed the line between the lanes
        const float x = r->points[i].x_scene;
        if (x > 104.0f - 20.0f && x < 96.0f + 20.0f) assert_true(before > 0.0f && before < 3.5f);
    }
    assert_float_equal(before, 3.5f, 1e-3f);
    nm_route_destroy(route);
    nm_scene_destroy(scene);
}

/// Who weaves over the line between two lanes has not changed lanes each time.
static void does_not_flicker_between_lanes(void **state) {
    (void)state;
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_map *map = nm_test_road(500);
    nm_error error;
    uint32_t track;
    const nm_track_def def = {.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 201, &error), NM_OK);
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    for (uint32_t t = 0; t <= 200; t++) {
        const nm_state_def at = {.x = 50 + t, .y = 1.70 + 0.25 * sin(0.2 * t), .vx = 10};
        assert_int_equal(nm_scene_builder_add_state(builder, track, t, &at, &error), NM_OK);
    }
    nm_scene_builder_set_current(builder, 0, 0);
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    nm_route *route = route_of(scene, 0);
    check_line(nm_route_get(route));
    assert_int_equal(nm_route_get(route)->lane_count, 1);
    assert_int_equal(nm_route_get(route)->lanes[0], 0); // 5 cm nearer on the whole
    nm_route_destroy(route);
    nm_scene_destroy(scene);
}

static void follows_the_links_of_lanes(void **state) {
    (void)state;
    const nm_test_agent agents[2] = {{.x = -45, .speed = 10}, {.x = 0, .y = -45, .heading = 1.5708, .speed = 10}};
    const nm_scene *scene = nm_test_scene(nm_test_crossing(NM_CONTROL_NONE, NM_CONTROL_YIELD), agents, 2, 91);
    nm_route *route = route_of(scene, 0);
    const nm_planner_route *r = nm_route_get(route);
    check_line(r);
    assert_int_equal(r->lane_count, 3);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(r->lanes[i], i);
    assert_float_equal(r->lane_from[1], 40.0f, 0.01f);
    assert_float_equal(r->lane_from[2], 60.0f, 0.01f);
    assert_float_equal(r->length, 100.0f, 0.01f); // the road ends 5 m after the goal
    nm_route_destroy(route);
    nm_scene_destroy(scene);
}

static void goes_on_where_nothing_was_recorded(void **state) {
    (void)state;
    const nm_test_agent ego = {.x = 100, .y = 3.5, .speed = 10};
    const nm_scene *scene = nm_test_scene(nm_test_road(1000), &ego, 1, 1);
    nm_route *route = route_of(scene, 0);
    const nm_planner_route *r = nm_route_get(route);
    check_line(r);
    assert_float_equal(nm_route_goal(route).x_scene, 100.0f + NM_ROUTE_AHEAD, 0.01f);
    nm_route_destroy(route);
    nm_scene_destroy(scene);
}

static void takes_a_given_way(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(300);
    nm_error error;
    nm_error_clear(&error);
    nm_route *route = NULL;
    const uint32_t lanes[3] = {0, 1, 2}, none[1] = {7};
    const nm_planner_pose start = {20, 0, 0}, goal = {200, 7, 0};
    assert_int_equal(nm_route_through(map, lanes, 3, start, goal, &route, &error), NM_OK);
    check_line(nm_route_get(route));
    const nm_route_place end = nm_route_at(nm_route_get(route), nm_route_get(route)->goal);
    assert_float_equal(end.pose.x_scene, 200.0f, 0.1f);
    assert_float_equal(end.pose.y_scene, 7.0f, 0.01f);
    assert_float_equal(nm_route_at(nm_route_get(route), 15.0f).pose.y_scene, 0.0f, 0.01f); // not before the ego
    nm_route_destroy(route);
    assert_int_equal(nm_route_through(map, none, 1, start, goal, &route, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "3 lanes"));
    assert_int_equal(nm_route_through(map, lanes, 0, start, goal, &route, &error), NM_E_ARGUMENT);
    assert_null(route);
    nm_map_release(map);
}

static void says_what_a_scene_lacks(void **state) {
    (void)state;
    nm_error error;
    nm_error_clear(&error);
    nm_route *route = NULL;
    const nm_test_agent far = {.x = 100, .y = 60, .speed = 10};
    const nm_scene *scene = nm_test_scene(nm_test_road(400), &far, 1, 10);
    assert_int_equal(nm_route_of_scene(scene, 0, &route, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "no route"));
    assert_int_equal(nm_route_of_scene(scene, 10, &route, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "not there at step 10"));
    nm_scene_destroy(scene);
    scene = nm_test_scene(nm_test_road(400), NULL, 0, 10);
    assert_int_equal(nm_route_of_scene(scene, 0, &route, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "no ego"));
    nm_scene_destroy(scene);
    scene = nm_test_scene(nm_test_build(nm_map_builder_create()), &far, 1, 10);
    assert_int_equal(nm_route_of_scene(scene, 0, &route, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "no map"));
    assert_null(route);
    nm_scene_destroy(scene);
}

/// Any scene on any built-in road and any tangle of lanes: a sound line or a named refusal.
static void is_sound_on_every_road(void **state) {
    (void)state;
    for (int kind = 0; kind < NM_BUILTIN_COUNT; kind++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            const nm_scene *scene = NULL;
            nm_error error;
            nm_error_clear(&error);
            assert_int_equal(nm_builtin_scene(nm_builtin_name((nm_builtin_kind)kind), seed, &scene, &error), NM_OK);
            nm_route *route = route_of(scene, 0);
            check_line(nm_route_get(route));
            nm_route_destroy(route);
            nm_scene_destroy(scene);
        }
    }
    int made = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint32_t draw = 0;
        const nm_test_agent ego = {.x = nm_test_uniform(seed, &draw, -60, 60),
                                   .y = nm_test_uniform(seed, &draw, -60, 60),
                                   .heading = nm_test_uniform(seed, &draw, -3, 3),
                                   .speed = 12};
        const nm_scene *scene = nm_test_scene(nm_test_tangle(seed, 25, 80.0), &ego, 1, 60);
        nm_route *route = NULL;
        const nm_status status = nm_route_of_scene(scene, 0, &route, NULL);
        assert_true(status == NM_OK || status == NM_E_NOT_FOUND || status == NM_E_LIMIT);
        if (status == NM_OK) {
            const nm_planner_route *r = nm_route_get(route);
            for (uint32_t i = 0; i < r->point_count; i++)
                assert_true(isfinite(r->points[i].x_scene) && isfinite(r->curvature[i]));
            made++;
        }
        nm_route_destroy(route);
        nm_scene_destroy(scene);
    }
    assert_true(made >= 10);
}

/// Over to the lane that comes towards one: turned round on the spot, not half a change of lanes before it.
static void turns_round_where_it_is_told_to(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    nm_lane_def def = nm_lane_def_default();
    def.type = NM_LANE_STREET;
    def.id = 1;
    nm_test_lane(builder, &def, (double[]){0, 0, 300, 0}, 2, 3.5);
    def.id = 2;
    nm_test_lane(builder, &def, (double[]){300, 3.5, 0, 3.5}, 2, 3.5);
    const nm_map *map = nm_test_build(builder);
    const uint32_t lanes[] = {0, 1};
    nm_route *route = NULL;
    nm_error error;
    const nm_status status = nm_route_through(map, lanes, 2, (nm_planner_pose){100, 0, 0},
                                              (nm_planner_pose){20, 3.5f, NM_PI_F}, &route, &error);
    if (status != NM_OK) fail_msg("%s", error.message);
    const nm_planner_route *r = nm_route_get(route);
    float furthest = 0.0f;
    for (uint32_t i = 0; i < r->point_count; i++) {
        const nm_planner_point p = r->points[i];
        furthest = fmaxf(furthest, p.x_scene);
        // on one of the lanes, or between them where it turns
        assert_true(fabsf(p.y_scene) < 1e-3f || fabsf(p.y_scene - 3.5f) < 1e-3f || p.x_scene > 119.0f);
    }
    assert_true(furthest > 119.0f && furthest < 120.1f); // half a change of lanes ahead of the start
    assert_float_equal(r->lane_from[1], 40.0f, 0.1f);
    assert_float_equal(r->goal, 40.0f + 3.5f + 100.0f, 0.5f);
    nm_route_destroy(route);
    nm_map_release(map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_lane_it_was_recorded_on),
        cmocka_unit_test(refuses_what_never_ends),
        cmocka_unit_test(projects_and_places_as_inverses),
        cmocka_unit_test(draws_a_change_of_lanes_smoothly),
        cmocka_unit_test(does_not_flicker_between_lanes),
        cmocka_unit_test(follows_the_links_of_lanes),
        cmocka_unit_test(goes_on_where_nothing_was_recorded),
        cmocka_unit_test(takes_a_given_way),
        cmocka_unit_test(turns_round_where_it_is_told_to),
        cmocka_unit_test(says_what_a_scene_lacks),
        cmocka_unit_test(is_sound_on_every_road),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
