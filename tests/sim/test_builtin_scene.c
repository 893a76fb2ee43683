/// Specifications of built-in scenes: what they mean, what is refused and how, and that a scene can be made again from
/// its provenance alone.
#include "support.h"

#include "sim/builtin.h"

static const nm_scene *make(const char *specification, uint64_t seed) {
    const nm_scene *scene;
    nm_error error;
    if (nm_builtin_scene(specification, seed, &scene, &error) != NM_OK)
        fail_msg("%s: %s", specification, error.message);
    return scene;
}

/// The fields "spec" and "seed" of a provenance row, as any reader of it would get them.
static void read_provenance(const char *parameters, char *spec, size_t size, uint64_t *seed) {
    const char *from = strstr(parameters, "{\"spec\":\"");
    assert_true(from == parameters);
    from += strlen("{\"spec\":\"");
    size_t length = strcspn(from, "\"");
    assert_true(length < size);
    memcpy(spec, from, length);
    spec[length] = '\0';
    from += length;
    assert_int_equal(strncmp(from, "\",\"seed\":", 9), 0);
    from += 9;
    if (*from == '"') from++;
    char *end;
    *seed = strtoull(from, &end, 10);
    if (*end == '"') end++;
    assert_string_equal(end, "}");
}

static void test_made_again(void **state) {
    (void)state;
    static const struct {
        const char *specification;
        uint64_t seed;
    } cases[] = {
        {"highway", 0},
        {"highway:lanes=4,length=2000,density=25", 2},
        {"highway:lanes=2,carriageways=2,vehicles=40", 3},
        {"highway_curved:radius=333.3,lane_width=3.65,steps=91", 4},
        {"on_ramp:lanes=2,speed_limit=25,min_gap=1.5", 5},
        {"off_ramp:truck_share=0.3,bus_share=0.1,motorcycle_share=0", 6},
        {"junction_signal:lanes=2,green=15.5,yellow=4,all_red=1,pedestrians=10,cyclists=3", 7},
        {"junction_priority:minor_control=yield,density=0.1", 8},
        {"junction_all_way:speed_spread=0", 9},
        {"t_junction:minor_control=stop,lanes=3", 10},
        {"roundabout:radius=18,lanes=2,pedestrians=5", 11},
        {"crosswalk:pedestrians=8,density=12.345678901234567", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const nm_scene *scene = make(cases[i].specification, cases[i].seed);
        char spec[768];
        uint64_t seed;
        assert_string_equal(scene->provenance.source, "builtin");
        assert_true(scene->provenance.seed == cases[i].seed);
        read_provenance(scene->provenance.parameters, spec, sizeof(spec), &seed);
        assert_true(seed == cases[i].seed);
        const nm_scene *again = make(spec, seed);
        assert_true(again->hash == scene->hash);
        assert_true(again->map->hash == scene->map->hash);
        assert_string_equal(again->provenance.parameters, scene->provenance.parameters);
        assert_string_equal(again->provenance.scene_id, scene->provenance.scene_id);
        assert_int_equal(scene->tag_count, 1);
        size_t kind = strcspn(cases[i].specification, ":");
        assert_int_equal(strncmp(scene->tags[0], cases[i].specification, kind), 0);
        nm_scene_destroy(scene);
        nm_scene_destroy(again);
    }
}

static void test_keys_mean_something(void **state) {
    (void)state;
    const nm_scene *scene = make("highway:lanes=5,length=8000,density=25", 1);
    assert_in_range(scene->track_count, 900, 1100); // the benchmark's thousand
    nm_scene_destroy(scene);
    scene = make("highway:lanes=5,length=8000,vehicles=1000", 1);
    assert_int_equal(scene->track_count, 1000);
    nm_scene_destroy(scene);
    scene = make("junction_signal:vehicles=30,pedestrians=9,cyclists=4,steps=7", 2);
    uint32_t vehicles = 0, people = 0, riders = 0;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        vehicles += nm_agent_type_vehicle((nm_agent_type)scene->tracks[i].type) != 0;
        people += scene->tracks[i].type == NM_AGENT_PEDESTRIAN;
        riders += scene->tracks[i].type == NM_AGENT_CYCLIST;
    }
    assert_int_equal(vehicles, 30);
    assert_int_equal(people, 9);
    assert_int_equal(riders, 4);
    assert_int_equal(scene->step_count, 7);
    assert_int_equal(scene->current_step, 0);
    nm_scene_destroy(scene);
    scene = make("junction_priority:minor_control=yield", 0);
    uint32_t yields = 0;
    for (uint32_t i = 0; i < scene->map->lane_count; i++) yields += scene->map->lanes[i].control == NM_CONTROL_YIELD;
    assert_int_equal(yields, 2);
    nm_scene_destroy(scene);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *specification, *first, *second; ///< words that the message must hold
    } cases[] = {
        {"", "built-in map", "roundabout"},
        {"autobahn", "\"autobahn\"", "highway_curved"},
        {"Highway", "\"Highway\"", "highway"},
        {"highway lanes=3", "built-in map", "highway"},
        {"highway:lane=3", "\"lane\"", "lanes (2..5)"},
        {"highway:radius=300", "radius does not apply to highway", "lane_width (2.5..5)"},
        {"roundabout:green=3", "green does not apply to roundabout", "radius (10..100)"},
        {"crosswalk:minor_control=stop", "minor_control does not apply", "pedestrians"},
        {"highway:lanes=9", "lanes", "2 to 5"},
        {"highway:lanes=2.5", "lanes", "not a whole number"},
        {"highway:lanes=1e99", "lanes", "not a whole number"},
        {"highway:lanes=", "lanes", "not a number"},
        {"highway:lanes=three", "\"three\"", "not a number"},
        {"highway:lanes=3x", "\"3x\"", "not a number"},
        {"highway:length=nan", "length", "not a number"},
        {"highway:length=inf", "length", "not a number"},
        {"highway:length=49.9", "length", "50 to 20000"},
        {"highway:lanes=3,lanes=4", "lanes", "twice"},
        {"highway:density=20,density=20", "density", "twice"},
        {"highway:lanes", "\"lanes\"", "key=value"},
        {"highway:=3", "\"=3\"", "key=value"},
        {"highway:", "key=value", ""},
        {"highway:,", "key=value", ""},
        {"highway:lanes=3,", "key=value", ""},
        {"highway:density=151", "density", "0 to 150"},
        {"highway:density=-1", "density", "0 to 150"},
        {"highway:vehicles=-3", "vehicles", "negative"},
        {"highway:vehicles=1.5", "vehicles", "whole"},
        {"highway:pedestrians=3", "pedestrians", "sidewalks"},
        {"highway:cyclists=3", "cyclists", "streets"},
        {"highway:steps=0", "steps", "1 to"},
        {"t_junction:minor_control=priority", "minor_control", "yield nor stop"},
        {"junction_signal:green=2", "green", "3 to 300"},
        {"on_ramp:length=399", "length", "400 to 20000"},
        {"highway:truck_share=0.7,bus_share=0.7", "truck_share", "more than all"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const nm_scene *scene = (const nm_scene *)&cases;
        nm_error error;
        nm_error_clear(&error);
        assert_int_equal(nm_builtin_scene(cases[i].specification, 1, &scene, &error), NM_E_ARGUMENT);
        assert_null(scene);
        if (!strstr(error.message, cases[i].first) || !strstr(error.message, cases[i].second))
            fail_msg("\"%s\": %s", cases[i].specification, error.message);
    }
}

/// Long and binary input ends in a message, too.
static void test_hostile(void **state) {
    (void)state;
    char text[5000];
    const nm_scene *scene;
    static const char alphabet[] = "highway:=,lanes0123456789.eE+-\x01\xff_ ";
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 3000; round++) {
        size_t length = 0, wanted = round % 10 ? (size_t)round % 90 : sizeof(text) - 1;
        if (round % 2) length = (size_t)snprintf(text, sizeof(text), "crosswalk:");
        while (length < wanted) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            text[length++] = alphabet[random % (sizeof(alphabet) - 1)];
        }
        text[length] = '\0';
        if (nm_builtin_scene(text, 1, &scene, NULL) == NM_OK)
            nm_scene_destroy(scene);
        else
            assert_null(scene);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_again),
        cmocka_unit_test(test_keys_mean_something),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
