/// What a recording shows: drives made by hand, along the lanes of built-in roads and of a straight one.
#include "../sim/planner_drive.h"

#include "scenarios/scene_type.h"

typedef struct seen {
    nm_scene_place_type place;
    nm_scene_act act;
} seen;

static seen classify(const nm_scene *scene) {
    seen s;
    nm_scene_classify(scene, 0, 0, UINT32_MAX, &s.place, &s.act);
    nm_scene_destroy(scene);
    return s;
}

static void expect(seen s, nm_scene_place_type place, nm_scene_act act) {
    if (s.place == place && s.act == act) return;
    fail_msg("%s: %s, not %s: %s", nm_scene_place_type_name(s.place), nm_scene_act_name(s.act),
             nm_scene_place_type_name(place), nm_scene_act_name(act));
}

/// `lanes` freeway lanes; the first vehicle is the ego.
static seen on_road(int lanes, const test_vehicle *vehicles, size_t count, uint32_t steps) {
    return classify(scene_with(straight_road(lanes, 400.0, 15.0), vehicles, count, steps));
}

static void standing_cruising_following(void **state) {
    (void)state;
    // 0.95 m in 5 s, and 1.05 m
    expect(on_road(1, &(test_vehicle){NM_AGENT_CAR, 20, 0, 0, 0.19f}, 1, 51), NM_PLACE_FREEWAY, NM_ACT_STANDING);
    expect(on_road(1, &(test_vehicle){NM_AGENT_CAR, 20, 0, 0, 0.21f}, 1, 51), NM_PLACE_FREEWAY, NM_ACT_CRUISING);
    // boxes of 4.5 m at 10 m/s: 34 m apart are 2.95 s, 35 m 3.05 s
    const test_vehicle near[2] = {{NM_AGENT_CAR, 20, 0, 0, 10}, {NM_AGENT_CAR, 54, 0, 0, 10}};
    const test_vehicle far[2] = {{NM_AGENT_CAR, 20, 0, 0, 10}, {NM_AGENT_CAR, 55, 0, 0, 10}};
    const test_vehicle beside[2] = {{NM_AGENT_CAR, 20, 0, 0, 10}, {NM_AGENT_CAR, 54, 3.5f, 0, 10}};
    // at walking pace 8 m count as near: gaps of 7.9 m and 8.1 m at 1 m/s
    const test_vehicle slow[2] = {{NM_AGENT_CAR, 20, 0, 0, 1}, {NM_AGENT_CAR, 32.4f, 0, 0, 1}};
    const test_vehicle apart[2] = {{NM_AGENT_CAR, 20, 0, 0, 1}, {NM_AGENT_CAR, 32.6f, 0, 0, 1}};
    expect(on_road(1, near, 2, 51), NM_PLACE_FREEWAY, NM_ACT_FOLLOWING);
    expect(on_road(1, far, 2, 51), NM_PLACE_FREEWAY, NM_ACT_CRUISING);
    expect(on_road(2, beside, 2, 51), NM_PLACE_FREEWAY, NM_ACT_CRUISING);
    expect(on_road(1, slow, 2, 51), NM_PLACE_FREEWAY, NM_ACT_FOLLOWING);
    expect(on_road(1, apart, 2, 51), NM_PLACE_FREEWAY, NM_ACT_CRUISING);
}

/// 70 m at 0.05 rad are 3.5 m to the side: into the next lane; 30 m are not.
static void changing_lane(void **state) {
    (void)state;
    expect(on_road(3, &(test_vehicle){NM_AGENT_CAR, 20, 0, 0.05f, 14}, 1, 51), NM_PLACE_FREEWAY, NM_ACT_CHANGING_LEFT);
    expect(on_road(3, &(test_vehicle){NM_AGENT_CAR, 20, 7, -0.05f, 14}, 1, 51), NM_PLACE_FREEWAY,
           NM_ACT_CHANGING_RIGHT);
    expect(on_road(3, &(test_vehicle){NM_AGENT_CAR, 20, 0, 0.05f, 6}, 1, 51), NM_PLACE_FREEWAY, NM_ACT_CRUISING);
    expect(on_road(3, &(test_vehicle){NM_AGENT_CAR, 20, 100, 0, 6}, 1, 51), NM_PLACE_NO_LANE, NM_ACT_CRUISING);
}

// ---------------------------------------------------------------------------------------------------------------------
// Along lanes

/// Speed of 0.1 s steps from `from` to `to` m/s.
static const nm_scene *along(const nm_map *map, const uint32_t *lanes, uint32_t count, float start, float from,
                             float to, uint32_t steps) {
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    nm_error_clear(&error);
    uint32_t track, lane = 0;
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, &error), NM_OK);
    const nm_track_def def = {.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f, .height = 1.5f};
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    float s = start;
    for (uint32_t t = 0; t < steps; ++t) {
        const float speed = from + (to - from) * (float)t / (float)(steps - 1);
        nm_state at = {.length = 0};
        while (lane + 1 < count && s > map->lanes[lanes[lane]].length) s -= map->lanes[lanes[lane++]].length;
        nm_map_position(map, lanes[lane], s, 0.0f, &at.x, &at.y, &at.heading);
        at.vx = speed * cosf(at.heading), at.vy = speed * sinf(at.heading);
        if (nm_scene_builder_add_local_state(builder, track, t, &at, &error) != NM_OK) fail_msg("%s", error.message);
        s += 0.1f * speed;
    }
    nm_scene_builder_set_current(builder, 0, 0);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    return scene;
}

static const nm_map *map_of(nm_builtin_kind kind, int lanes, double limit) {
    nm_builtin_params params = nm_builtin_params_default(kind);
    params.lanes = lanes;
    params.speed_limit = limit;
    const nm_map *map = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_builtin_map(&params, &map, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_map_prepare(map, &error), NM_OK);
    return map;
}

/// A drivable lane within the junction that turns so, with the one before it: lanes[2].
static void find_turn(const nm_map *map, nm_turn turn, uint32_t lanes[2]) {
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        const nm_lane *lane = &map->lanes[i];
        if (!nm_lane_type_drivable((nm_lane_type)lane->type) || !(lane->flags & NM_LANE_JUNCTION)) continue;
        if (lane->turn != turn || !lane->predecessors.count) continue;
        lanes[1] = i;
        lanes[0] = map->lane_refs[lane->predecessors.first];
        return;
    }
    fail_msg("no lane turns so");
}

/// The last 20 m before the junction at 8 m/s, and through it.
static seen turning(nm_builtin_kind kind, nm_turn turn) {
    const nm_map *map = map_of(kind, 1, 13.9);
    uint32_t lanes[2] = {0, 0};
    find_turn(map, turn, lanes);
    const float before = map->lanes[lanes[0]].length;
    const uint32_t steps = (uint32_t)((20.0f + map->lanes[lanes[1]].length) / 0.8f);
    const seen s = classify(along(map, lanes, 2, before - 20.0f, 8.0f, 8.0f, steps));
    nm_map_release(map);
    return s;
}

static void through_junctions(void **state) {
    (void)state;
    expect(turning(NM_BUILTIN_JUNCTION_SIGNAL, NM_TURN_LEFT), NM_PLACE_SIGNALS, NM_ACT_TURNING_LEFT);
    expect(turning(NM_BUILTIN_JUNCTION_SIGNAL, NM_TURN_RIGHT), NM_PLACE_SIGNALS, NM_ACT_TURNING_RIGHT);
    expect(turning(NM_BUILTIN_JUNCTION_SIGNAL, NM_TURN_STRAIGHT), NM_PLACE_SIGNALS, NM_ACT_CRUISING);
    expect(turning(NM_BUILTIN_JUNCTION_PRIORITY, NM_TURN_LEFT), NM_PLACE_JUNCTION, NM_ACT_TURNING_LEFT);
    expect(turning(NM_BUILTIN_JUNCTION_ALL_WAY, NM_TURN_STRAIGHT), NM_PLACE_JUNCTION, NM_ACT_CRUISING);
    expect(turning(NM_BUILTIN_T_JUNCTION, NM_TURN_RIGHT), NM_PLACE_JUNCTION, NM_ACT_TURNING_RIGHT);
}

/// Before a light: 35 m are no matter of it, 25 m are. From 10 m/s to 0 in 2 s takes 10.5 m, the last lane 30 m.
static void before_a_light(void **state) {
    (void)state;
    const nm_map *map = map_of(NM_BUILTIN_JUNCTION_SIGNAL, 1, 13.9);
    uint32_t turn[2] = {0, 0};
    find_turn(map, NM_TURN_STRAIGHT, turn);
    const nm_lane *last = &map->lanes[turn[0]];
    assert_int_equal(last->predecessors.count, 1);
    const uint32_t lanes[2] = {map->lane_refs[last->predecessors.first], turn[0]};
    const float stop = map->lanes[lanes[0]].length + last->stop_s;
    expect(classify(along(map, lanes, 2, stop - 46.0f, 10.0f, 0.0f, 21)), NM_PLACE_STREET, NM_ACT_STOPPING);
    expect(classify(along(map, lanes, 2, stop - 41.0f, 10.0f, 0.0f, 21)), NM_PLACE_STREET, NM_ACT_STOPPING);
    expect(classify(along(map, lanes, 2, stop - 40.0f, 10.0f, 0.0f, 21)), NM_PLACE_SIGNALS, NM_ACT_STOPPING);
    expect(classify(along(map, lanes, 2, stop - 36.0f, 0.0f, 10.0f, 21)), NM_PLACE_SIGNALS, NM_ACT_STARTING);
    expect(classify(along(map, lanes, 2, stop - 36.0f, 10.0f, 0.6f, 21)), NM_PLACE_SIGNALS, NM_ACT_CRUISING);
    nm_map_release(map);
}

/// Round an island of 20 m: who is in it turns all along, and turns nowhere.
static void in_a_roundabout(void **state) {
    (void)state;
    const nm_map *map = map_of(NM_BUILTIN_ROUNDABOUT, 1, 8.0);
    uint32_t found = 0;
    for (uint32_t i = 0; i < map->lane_count; ++i) { // every lane of the ring, and of the ring alone
        if (!nm_lane_type_drivable((nm_lane_type)map->lanes[i].type) || map->lanes[i].length < 3.0f) continue;
        const seen s = classify(along(map, &i, 1, 0.5f, 2.0f, 2.0f, 11));
        found += s.place == NM_PLACE_ROUNDABOUT;
        if (s.place == NM_PLACE_ROUNDABOUT) assert_int_equal(s.act, NM_ACT_CRUISING);
    }
    assert_true(found >= 4 && found < map->lane_count / 2);
    nm_map_release(map);
}

/// One lane each way is crossed, what leads there is street.
static void over_a_crosswalk(void **state) {
    (void)state;
    const nm_map *map = map_of(NM_BUILTIN_CROSSWALK, 1, 13.9);
    uint32_t crossed = 0, streets = 0;
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        if (!nm_lane_type_drivable((nm_lane_type)map->lanes[i].type) || map->lanes[i].length < 3.0f) continue;
        const seen s = classify(along(map, &i, 1, 0.5f, 2.0f, 2.0f, 11));
        crossed += s.place == NM_PLACE_CROSSWALK;
        streets += s.place == NM_PLACE_STREET;
    }
    assert_int_equal(crossed, 2);
    assert_true(streets >= 4);
    nm_map_release(map);
}

static void roads(void **state) {
    (void)state;
    const struct {
        nm_builtin_kind kind;
        int lanes;
        double limit;
        nm_scene_place_type place;
    } cases[] = {{NM_BUILTIN_T_JUNCTION, 1, 13.9, NM_PLACE_STREET},
                 {NM_BUILTIN_T_JUNCTION, 2, 13.9, NM_PLACE_STREET},
                 {NM_BUILTIN_T_JUNCTION, 3, 13.9, NM_PLACE_MULTILANE},
                 {NM_BUILTIN_T_JUNCTION, 1, 22.3, NM_PLACE_FREEWAY},
                 {NM_BUILTIN_ON_RAMP, 2, 20.0, NM_PLACE_FREEWAY},
                 {NM_BUILTIN_HIGHWAY, 2, 20.0, NM_PLACE_FREEWAY}}; // by the lane's type
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const nm_map *map = map_of(cases[i].kind, cases[i].lanes, cases[i].limit);
        uint32_t lane = 0;
        while (map->lanes[lane].type == NM_LANE_SHOULDER || map->lanes[lane].length < 60.0f ||
               !nm_lane_type_drivable((nm_lane_type)map->lanes[lane].type))
            ++lane;
        const seen s = classify(along(map, &lane, 1, 1.0f, 5.0f, 5.0f, 11));
        if (s.place != cases[i].place) fail_msg("case %zu: %s", i, nm_scene_place_type_name(s.place));
        nm_map_release(map);
    }
}

static void in_words(void **state) {
    (void)state;
    char text[64];
    const test_vehicle ego = {NM_AGENT_CAR, 20, 0, 0, 10};
    const nm_scene *scene = scene_with(straight_road(1, 400.0, 15.0), &ego, 1, 21);
    nm_scene_type(scene, 0, 0, 20, text, sizeof text);
    assert_string_equal(text, "freeway: cruising");
    nm_scene_type(scene, 0, 50, 60, text, sizeof text); // after its end
    assert_string_equal(text, "off the lanes: standing");
    nm_scene_type(scene, 0, 0, 20, text, 8);
    assert_string_equal(text, "freeway");
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standing_cruising_following),
        cmocka_unit_test(changing_lane),
        cmocka_unit_test(through_junctions),
        cmocka_unit_test(before_a_light),
        cmocka_unit_test(in_a_roundabout),
        cmocka_unit_test(over_a_crosswalk),
        cmocka_unit_test(roads),
        cmocka_unit_test(in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
