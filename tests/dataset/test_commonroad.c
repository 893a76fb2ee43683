/// What the documents of the corpus say, value by value, and small edits of them.
#include "commonroad_support.h"

static catch import_document(const char *name) {
    size_t size;
    char *text = read_document(name, &size);
    catch c = import_bytes(name, text, size);
    free(text);
    if (c.refusals) fail_msg("%s:%lld: %s", name, (long long)c.refusal.line, c.refusal.message);
    assert_int_equal(c.scenes, 1);
    return c;
}

/// The document after one edit, which must be accepted.
static catch import_edited(const char *name, const char *from, const char *to) {
    char *text = read_document(name, NULL), *changed = edited(text, from, to);
    catch c = import_bytes(name, changed, strlen(changed));
    free(text);
    free(changed);
    if (c.refusals) fail_msg("%s:%lld: %s", name, (long long)c.refusal.line, c.refusal.message);
    return c;
}

static const nm_lane *lane_of(const nm_map *map, int64_t id) {
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        if (map->lanes[i].source_id == id) return &map->lanes[i];
    }
    fail_msg("no lane %lld", (long long)id);
    return NULL;
}
static uint32_t index_of(const nm_map *map, int64_t id) {
    return (uint32_t)(lane_of(map, id) - map->lanes);
}

static uint32_t track_of(const nm_scene *scene, int64_t id) {
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        if (scene->tracks[i].source_id == id) return i;
    }
    fail_msg("no track %lld", (long long)id);
    return NM_NONE;
}

#define NEAR(a, b) assert_true(fabs((double)(a) - (double)(b)) < 1e-4)

static void test_lanes(void **state) {
    (void)state;
    catch c = import_document("2020a.xml");
    const nm_map *map = c.scene->map;
    assert_int_equal(map->lane_count, 6);
    const nm_lane *one = lane_of(map, 1);
    assert_int_equal(one->points.count, 3);
    uint32_t p = one->points.first;
    NEAR(map->left[p].x + map->origin.x, 1000.0);
    NEAR(map->left[p].y + map->origin.y, 2003.5);
    NEAR(map->right[p + 2].x + map->origin.x, 1050.0);
    NEAR(map->right[p + 2].y + map->origin.y, 2000.0);
    NEAR(map->centre[p + 1].y + map->origin.y, 2001.75);
    NEAR(one->length, 50.0);
    assert_int_equal(one->left_marking, NM_MARKING_SOLID);
    assert_int_equal(one->right_marking, NM_MARKING_DASHED);
    assert_int_equal(one->type, NM_LANE_STREET);

    assert_int_equal(one->successors.count, 2);
    assert_int_equal(map->lane_refs[one->successors.first], index_of(map, 2));
    assert_int_equal(map->lane_refs[one->successors.first + 1], index_of(map, 3));
    assert_int_equal(one->left.count, 1);
    assert_int_equal(map->neighbours[one->left.first].lane, index_of(map, 4));
    assert_int_equal(map->neighbours[one->left.first].opposite, 1);
    assert_int_equal(one->right.count, 1);
    assert_int_equal(map->neighbours[one->right.first].lane, index_of(map, 5));
    assert_int_equal(map->neighbours[one->right.first].opposite, 0);

    assert_int_equal(lane_of(map, 5)->type, NM_LANE_BUS); // the more specific of two types
    assert_int_equal(lane_of(map, 5)->right_marking, NM_MARKING_CURB);
    assert_int_equal(lane_of(map, 6)->type, NM_LANE_CROSSWALK);
    release_catch(&c);
}

static void test_rules_of_lanes(void **state) {
    (void)state;
    catch c = import_document("2020a.xml");
    const nm_map *map = c.scene->map;
    const nm_lane *one = lane_of(map, 1);
    NEAR(one->speed_limit, 13.889);                            // from sign 10, not its first element
    assert_int_equal(one->control, NM_CONTROL_SIGNAL);         // stronger than its yield sign
    assert_int_equal(lane_of(map, 2)->speed_limit == 0.0f, 1); // 50.0 means none
    assert_int_equal(lane_of(map, 4)->control, NM_CONTROL_NONE);
    assert_int_equal(lane_of(map, 5)->control, NM_CONTROL_STOP);

    assert_int_equal(one->junction, NM_NONE);
    assert_int_not_equal(lane_of(map, 2)->junction, NM_NONE);
    assert_int_equal(lane_of(map, 2)->junction, lane_of(map, 3)->junction);
    assert_int_equal(lane_of(map, 2)->turn, NM_TURN_STRAIGHT);
    assert_int_equal(lane_of(map, 3)->turn, NM_TURN_LEFT);
    assert_true(lane_of(map, 3)->flags & NM_LANE_JUNCTION);

    assert_int_not_equal(one->stop_line, NM_NONE);
    const nm_stop_line *stop = &map->stop_lines[one->stop_line];
    NEAR(stop->a.y + map->origin.y, 2003.5); // the left end first, though the source has it last
    NEAR(stop->b.y + map->origin.y, 2000.0);
    NEAR(one->stop_s, 48.0);
    release_catch(&c);

    c = import_edited("2020a.xml", "<trafficLightRef ref=\"20\"/>\n    </stopLine>", "</stopLine>");
    assert_int_equal(lane_of(c.scene->map, 1)->control, NM_CONTROL_SIGNAL); // the lanelet's own reference
    release_catch(&c);
    c = import_edited("2020a.xml", "<active>true</active>", "<active>false</active>");
    assert_int_equal(lane_of(c.scene->map, 1)->control, NM_CONTROL_YIELD); // the light is dark: the sign holds
    release_catch(&c);
}

static void test_signs_and_signals(void **state) {
    (void)state;
    catch c = import_document("2020a.xml");
    const nm_scene *scene = c.scene;
    const nm_map *map = scene->map;
    assert_int_equal(map->sign_count, 4);
    const nm_sign *sign = &map->signs[0];
    assert_int_equal(sign->source_id, 10);
    assert_string_equal(sign->code, "274");
    NEAR(sign->value, 13.889);
    assert_true(sign->placed && sign->virtual_sign);
    assert_false(map->signs[1].placed || map->signs[1].virtual_sign);
    assert_int_equal(sign->lanes.count, 1);
    assert_int_equal(map->lane_refs[sign->lanes.first], index_of(map, 1));

    assert_int_equal(map->signal_count, 2);
    const nm_signal *signal = &map->signals[0];
    assert_int_equal(signal->source_id, 20);
    assert_int_equal(signal->turn, NM_TURN_STRAIGHT);
    assert_int_equal(signal->lanes.count, 1); // named by the lanelet and by its stop line
    // cycle 100, offset 130 = 30: green begins at step 30
    const nm_signal_state expected[][2] = {{0, NM_SIGNAL_STOP},  {24, NM_SIGNAL_STOP},     {25, NM_SIGNAL_CAUTION},
                                           {30, NM_SIGNAL_GO},   {59, NM_SIGNAL_GO},       {60, NM_SIGNAL_CAUTION},
                                           {65, NM_SIGNAL_STOP}, {129, NM_SIGNAL_CAUTION}, {130, NM_SIGNAL_GO}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; ++i)
        assert_int_equal(nm_scene_signal(scene, 0, (uint32_t)expected[i][0]), expected[i][1]);
    assert_int_equal(nm_scene_signal(scene, 1, 3), NM_SIGNAL_OFF);
    release_catch(&c);

    c = import_edited("2020a.xml", "<timeOffset>130</timeOffset>", "<timeOffset>-70</timeOffset>");
    assert_int_equal(nm_scene_signal(c.scene, 0, 29), NM_SIGNAL_CAUTION);
    assert_int_equal(nm_scene_signal(c.scene, 0, 30), NM_SIGNAL_GO);
    release_catch(&c);
}

static void test_all_way_stop(void **state) {
    (void)state;
    // two incomings, both under stop signs
    char *text = read_document("2020a.xml", NULL);
    char *a = edited(text, "<incomingLanelet ref=\"1\"/>", "<incomingLanelet ref=\"4\"/><incomingLanelet ref=\"5\"/>");
    catch c = import_bytes("two", a, strlen(a));
    assert_int_equal(lane_of(c.scene->map, 5)->control, NM_CONTROL_STOP); // lanelet 4 has none
    release_catch(&c);
    char *b = edited(a, "<adjacentLeft ref=\"1\" drivingDir=\"opposite\"/>\n    <laneletType>urban</laneletType>",
                     "<trafficSignRef ref=\"13\"/>");
    c = import_bytes("two", b, strlen(b));
    assert_int_equal(lane_of(c.scene->map, 5)->control, NM_CONTROL_ALL_WAY_STOP);
    assert_int_equal(lane_of(c.scene->map, 4)->control, NM_CONTROL_ALL_WAY_STOP);
    release_catch(&c);
    free(text);
    free(a);
    free(b);
}

static void test_tracks(void **state) {
    (void)state;
    catch c = import_document("2020a.xml");
    const nm_scene *scene = c.scene;
    const nm_point3 o = scene->map->origin;
    assert_int_equal(scene->track_count, 5);
    assert_int_equal(scene->step_count, 5);
    assert_int_equal(scene->ego, NM_NONE);
    NEAR(scene->dt, 0.1);
    assert_int_equal(c.agents, 4);
    assert_int_equal(c.states, 7);

    uint32_t car = track_of(scene, 100);
    assert_int_equal(scene->tracks[car].type, NM_AGENT_CAR);
    NEAR(scene->tracks[car].length, 4.5);
    NEAR(scene->tracks[car].width, 1.8);
    const uint8_t valid[5] = {1, 1, 0, 0, 1}; // a gap stays a gap
    assert_memory_equal(&scene->valid[nm_scene_at(scene, car, 0)], valid, 5);
    size_t s = nm_scene_at(scene, car, 0);
    // heading pi / 2: the shape's offset (1, 0.5) lies at (-0.5, 1)
    NEAR(scene->x[s] + o.x, 1004.5);
    NEAR(scene->y[s] + o.y, 2002.75);
    NEAR(scene->heading[s], 1.5707963);
    NEAR(scene->vx[s], 0.0);
    NEAR(scene->vy[s], 10.0);
    NEAR(scene->heading[s + 1], 7.0 - 6.283185307);
    NEAR(hypot((double)scene->vx[s + 1], (double)scene->vy[s + 1]), 10.0); // middle of 9 and 11
    NEAR(scene->vx[s + 4], 10.0 * cos(0.5));                               // course = heading + slip angle
    NEAR(scene->vy[s + 4], 10.0 * sin(0.5));

    uint32_t walker = track_of(scene, 101);
    assert_int_equal(scene->tracks[walker].type, NM_AGENT_PEDESTRIAN);
    NEAR(scene->tracks[walker].length, 0.7);
    NEAR(scene->tracks[walker].width, 0.7);
    assert_int_equal(scene->tracks[walker].first_step, 2);
    NEAR(scene->vy[nm_scene_at(scene, walker, 2)], 1.0); // no velocity given: 0.2 m in two steps
    NEAR(scene->vy[nm_scene_at(scene, walker, 4)], 1.0);

    uint32_t truck = track_of(scene, 104); // a "car" of 12 m, standing on lanelet 5
    assert_int_equal(scene->tracks[truck].type, NM_AGENT_TRUCK);
    NEAR(scene->x[nm_scene_at(scene, truck, 0)] + o.x, 1025.0);
    NEAR(scene->y[nm_scene_at(scene, truck, 0)] + o.y, 1998.25);
    assert_int_equal(scene->tracks[truck].last_step, 0);
    release_catch(&c);
}

static void test_shapes_and_statics(void **state) {
    (void)state;
    catch c = import_document("2020a.xml");
    const nm_scene *scene = c.scene;
    const nm_point3 o = scene->map->origin;
    uint32_t ship = track_of(scene, 105); // polygon and circle: their common box is 6 x 2 around (2, 0)
    assert_int_equal(scene->tracks[ship].type, NM_AGENT_UNKNOWN);
    NEAR(scene->tracks[ship].length, 6.0);
    NEAR(scene->tracks[ship].width, 2.0);
    NEAR(scene->x[nm_scene_at(scene, ship, 0)] + o.x, 1018.0); // heading pi
    assert_int_equal(scene->tracks[ship].last_step, 0);        // its occupancies are no states

    uint32_t parked = track_of(scene, 102);
    assert_int_equal(scene->tracks[parked].type, NM_AGENT_CAR);
    assert_true(scene->tracks[parked].flags & NM_TRACK_STATIC);
    for (uint32_t t = 0; t < scene->step_count; ++t) {
        size_t s = nm_scene_at(scene, parked, t);
        assert_int_equal(scene->valid[s], 1);
        NEAR(scene->x[s] + o.x, 1010.0); // the centre of the area it is somewhere in
        NEAR(scene->y[s] + o.y, 1998.0);
        NEAR(scene->heading[s], 0.1); // the middle of the interval
        NEAR(scene->vx[s], 0.0);
    }

    const nm_map *map = scene->map;
    assert_int_equal(map->area_count, 2);
    assert_int_equal(map->areas[0].kind, NM_AREA_OBSTACLE);
    assert_int_equal(map->areas[0].points.count, 3);
    assert_int_equal(map->areas[1].points.count, 4);
    NEAR(map->area_points[map->areas[1].points.first].x + o.x, 1042.0);
    NEAR(map->area_points[map->areas[1].points.first].y + o.y, 2021.0);
    release_catch(&c);
}

static void test_static_speed(void **state) {
    (void)state;
    catch c = import_edited("2020a.xml", "<intervalEnd>0.4</intervalEnd></orientation>",
                            "<intervalEnd>0.4</intervalEnd></orientation><velocity><exact>5</exact></velocity>");
    size_t s = nm_scene_at(c.scene, track_of(c.scene, 102), 3);
    assert_true(c.scene->vx[s] == 0.0f && c.scene->vy[s] == 0.0f); // what stands by its role has no speed
    release_catch(&c);
}

static void test_problems(void **state) {
    (void)state;
    catch c = import_document("2020a.xml");
    const nm_scene *scene = c.scene;
    const nm_point3 o = scene->map->origin;
    assert_int_equal(scene->problem_count, 1);
    const nm_problem *problem = &scene->problems[0];
    assert_int_equal(problem->source_id, 200);
    NEAR(problem->start.x + o.x, 1002.0);
    NEAR(problem->start.vx, 8.0);
    assert_int_equal(problem->goals.count, 2);

    const nm_goal *first = &scene->goals[problem->goals.first];
    assert_int_equal(first->first_step, 30);
    assert_int_equal(first->last_step, 40);
    NEAR(first->heading_min, -0.2);
    NEAR(first->heading_max, 0.2);
    NEAR(first->speed_min, 5.0);
    NEAR(first->speed_max, 12.0);
    assert_int_equal(first->areas.count, 2);
    const nm_goal_area *area = &scene->goal_areas[first->areas.first];
    NEAR(area->centre.x + o.x, 1070.0);
    NEAR(area->length, 6.0);
    NEAR(area->heading, 0.1);
    assert_int_equal(area->lane, NM_NONE);
    assert_int_equal(area[1].lane, index_of(scene->map, 2));

    const nm_goal *second = first + 1;
    assert_int_equal(second->first_step, 50);
    assert_true(second->heading_min > second->heading_max);
    assert_true(second->speed_min > second->speed_max);
    area = &scene->goal_areas[second->areas.first];
    NEAR(area->length, 4.0); // circle: its diameter
    NEAR(area->width, 0.0);
    NEAR(area[1].centre.x + o.x, 1061.0); // the polygon is a rectangle, turned by 45 degrees
    NEAR(area[1].centre.y + o.y, 2003.0);
    NEAR(area[1].length, 4.0 * sqrt(2.0));
    NEAR(area[1].width, 2.0 * sqrt(2.0));
    NEAR(fabs((double)area[1].heading), 0.7853982);
    release_catch(&c);
}

static void test_provenance_and_tags(void **state) {
    (void)state;
    size_t size;
    char *text = read_document("2020a.xml", &size);
    catch c = import_bytes("/some/where/logs.tar.xz!day/ZAM_Test.xml", text, size);
    free(text);
    assert_string_equal(c.scene->provenance.source, "commonroad");
    assert_string_equal(c.scene->provenance.scene_id, "ZAM_Test-1_1_T-1");
    assert_string_equal(c.scene->provenance.file, "ZAM_Test.xml");
    assert_int_equal(c.scene->tag_count, 3);
    assert_string_equal(c.scene->tags[0], "urban");
    assert_string_equal(c.scene->tags[2], "two_lane");
    release_catch(&c);
}

static void test_2018b(void **state) {
    (void)state;
    catch c = import_document("2018b.xml");
    const nm_scene *scene = c.scene;
    NEAR(scene->dt, 0.25);
    assert_int_equal(scene->tag_count, 3);
    assert_string_equal(scene->tags[1], "merging");
    assert_string_equal(scene->tags[2], "two_lane"); // behind a character reference
    NEAR(lane_of(scene->map, 7)->speed_limit, 27.78);
    assert_true(lane_of(scene->map, 8)->speed_limit == 0.0f);
    assert_int_equal(lane_of(scene->map, 7)->type, NM_LANE_FREEWAY); // no type, but the tag highway
    NEAR(lane_of(scene->map, 7)->length, 100.0);                     // "1.0e2"
    assert_int_equal(scene->tracks[track_of(scene, 20)].type, NM_AGENT_CYCLIST);
    assert_int_equal(scene->tracks[track_of(scene, 21)].type, NM_AGENT_OBSTACLE);
    assert_true(scene->tracks[track_of(scene, 21)].flags & NM_TRACK_STATIC);
    assert_int_equal(c.agents, 1);
    assert_int_equal(c.states, 2);
    assert_int_equal(scene->problem_count, 1);
    assert_int_equal(scene->goal_count, 1); // from goalRegion
    assert_int_equal(scene->goals[0].last_step, 20);
    NEAR(scene->problems[0].start.vx, 10.0);
    release_catch(&c);
}

/// Everything that may be missing or new in a document that is fine.
static void test_tolerated(void **state) {
    (void)state;
    static const struct {
        const char *file, *from, *to;
    } edits[] = {
        {"smallest.xml", "</lanelet>", "</lanelet><phantomObstacle id=\"x\"><a><b/></a></phantomObstacle>"},
        {"smallest.xml", "<lanelet ", "<!-- a remark --><?target data?><lanelet "},
        {"smallest.xml", "<commonRoad ", "<commonRoad xmlns=\"urn:x\" xmlns:a=\"urn:a\" a:b=\"c\" "},
        {"smallest.xml", "<x>0</x>", "<x> \n+0.0e0\t</x>"},
        {"smallest.xml", "<x>0</x>", "<x><![CDATA[0]]></x>"},
        {"smallest.xml", "<x>0</x>", "<x>&#48;<!-- zero --></x>"},
        {"2020a.xml", "<scenarioTags><urban/><intersection/><two_lane/></scenarioTags>", ""},
        {"2020a.xml", "<laneletType>urban</laneletType>", "<laneletType>hovering</laneletType>"},
        {"2020a.xml", "<lineMarking>solid</lineMarking>", "<lineMarking>wavy</lineMarking>"},
        {"2020a.xml", "<isLeftOf ref=\"31\"/>", "<isLeftOf ref=\"77\"/>"},
        {"2020a.xml", "<additionalValue>13.889</additionalValue>", "<additionalValue>8-18 h</additionalValue>"},
        {"2018b.xml", "</commonRoad>", "</commonRoad>\n<!-- end -->\n"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; ++i) {
        catch c = import_edited(edits[i].file, edits[i].from, edits[i].to);
        assert_int_equal(c.scenes, 1);
        release_catch(&c);
    }
}

/// One importer, many documents: nothing of one shows in the next, whether it was refused or not.
static void test_reuse(void **state) {
    (void)state;
    size_t size;
    char *text = read_document("2020a.xml", &size);
    char *bad = edited(text, "<exact>4</exact>", "<exact>four</exact>");
    catch c = {0};
    nm_error error;
    nm_importer *importer = nm_importer_create(NULL);
    uint64_t hash = 0;
    for (int i = 0; i < 4; ++i) {
        assert_int_equal(nm_import_memory(importer, "a", text, size, catch_scene, catch_refusal, &c, &error), NM_OK);
        if (i == 0) hash = c.scene->hash;
        assert_true(c.scene->hash == hash);
        assert_int_equal(nm_import_memory(importer, "b", bad, strlen(bad), catch_scene, catch_refusal, &c, &error),
                         NM_OK);
    }
    assert_int_equal(c.scenes, 4);
    assert_int_equal(c.refusals, 4);
    nm_importer_destroy(importer);
    release_catch(&c);
    free(text);
    free(bad);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_rules_of_lanes),
        cmocka_unit_test(test_signs_and_signals),
        cmocka_unit_test(test_all_way_stop),
        cmocka_unit_test(test_tracks),
        cmocka_unit_test(test_shapes_and_statics),
        cmocka_unit_test(test_static_speed),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_provenance_and_tags),
        cmocka_unit_test(test_2018b),
        cmocka_unit_test(test_tolerated),
        cmocka_unit_test(test_reuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
