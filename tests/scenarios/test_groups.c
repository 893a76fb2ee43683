/// Groups of scenes: what joins them, what does not, and the recordings that are cut into overlapping files.
#include "support.h"

#include "dataset/import.h"
#include "scenarios/groups.h"
#include "sim/math.h"

/// One vehicle whose speed never repeats, seen from source step `first` for `steps` steps.
typedef struct clip {
    int64_t id;
    uint32_t driver;       ///< whose way it is: other drivers have other speeds
    uint32_t first, steps; ///< of the drive
    double x, y, turn;     ///< the file's frame: moved, and turned
    double slow;           ///< factor on its speeds; 0 = 1
    const char *name;      ///< scene id
    uint32_t still;        ///< 1 = stands, 2 = keeps 10 m/s
} clip;

static double speed_at(const clip *c, uint32_t step) {
    if (c->still) return c->still == 1 ? 0.5 : 10.0;
    const double speed = 8.0 + 3.0 * sin(0.13 * step + 1.7 * c->driver) + 0.01 * step;
    return speed * (c->slow > 0.0 ? c->slow : 1.0);
}

static const nm_scene *scene_of(const clip *c) {
    nm_map_builder *maps = nm_map_builder_create();
    nm_lane_def lane = nm_lane_def_default();
    const nm_point3 centre[2] = {{c->x, c->y, 0}, {c->x + 300, c->y, 0}};
    nm_error error;
    const nm_map *map;
    lane.id = 1, lane.centre = centre, lane.point_count = 2, lane.width = 3.5;
    assert_int_equal(nm_map_builder_add_lane(maps, &lane, &error), NM_OK);
    assert_int_equal(nm_map_builder_build(maps, &map, &error), NM_OK);
    nm_map_builder_destroy(maps);
    nm_scene_builder *builder = nm_scene_builder_create();
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, c->steps, &error), NM_OK);
    const nm_track_def def = {.id = c->id, .type = NM_AGENT_CAR, .length = 4, .width = 2};
    uint32_t track;
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    double way = 50.0 * c->driver;
    for (uint32_t step = 0; step < c->first; step++) way += 0.1 * speed_at(c, step);
    for (uint32_t t = 0; t < c->steps; t++) {
        const double speed = speed_at(c, c->first + t);
        const nm_state_def state = {.x = c->x + way * cos(c->turn),
                                    .y = c->y + way * sin(c->turn),
                                    .heading = c->turn,
                                    .vx = speed * cos(c->turn),
                                    .vy = speed * sin(c->turn)};
        assert_int_equal(nm_scene_builder_add_state(builder, track, t, &state, &error), NM_OK);
        way += 0.1 * speed;
    }
    const nm_provenance provenance = {.source = "commonroad", .scene_id = c->name};
    assert_int_equal(nm_scene_builder_set_provenance(builder, &provenance, &error), NM_OK);
    const nm_scene *scene;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

static uint32_t group(nm_grouping grouping, const clip *clips, uint32_t count, uint32_t *groups) {
    nm_groups *g = nm_groups_create(grouping);
    assert_non_null(g);
    for (uint32_t i = 0; i < count; i++) {
        const nm_scene *scene = scene_of(&clips[i]);
        nm_error error;
        assert_int_equal(nm_groups_add(g, scene, &error), NM_OK);
        nm_scene_destroy(scene);
    }
    assert_int_equal(nm_groups_scenes(g), count);
    const uint32_t found = nm_groups_get(g, groups);
    assert_int_equal(nm_groups_get(g, NULL), found);
    nm_groups_destroy(g);
    return found;
}

static void together(clip a, clip b, int expected) {
    uint32_t groups[2];
    const clip ab[2] = {a, b}, ba[2] = {b, a};
    assert_int_equal(group(NM_GROUP_MOTION, ab, 2, groups), expected ? 1 : 2);
    assert_int_equal(groups[0], 0);
    assert_int_equal(groups[1], expected ? 0 : 1);
    assert_int_equal(group(NM_GROUP_MOTION, ba, 2, groups), expected ? 1 : 2);
}

static void test_motion(void **state) {
    (void)state;
    const clip a = {.id = 7, .first = 0, .steps = 40};
    clip b = a;
    together(a, b, 1);
    b.first = 35, b.x = 1000, b.turn = 0.4; // overlaps by 5 steps; another frame, the same id
    together(a, b, 1);
    b.first = 36; // by 4
    together(a, b, 0);
    b.first = 35, b.id = 8; // another frame and another id: nothing says that it is the same
    together(a, b, 0);
    b.x = 0, b.turn = 0; // another id in the same frame
    together(a, b, 1);
    b.x = 0.05; // 5 cm aside
    together(a, b, 0);
    b = a, b.slow = 1.01; // the same id, other speeds
    together(a, b, 0);
    b = a, b.driver = 1;
    together(a, b, 0);
}

static void test_what_says_nothing(void **state) {
    (void)state;
    clip a = {.id = 7, .first = 0, .steps = 40, .still = 1}, b = a;
    together(a, b, 0); // stands in the same place
    a.still = b.still = 2;
    together(a, b, 0); // 10 m/s all along
}

/// Chains join, in any order; numbers follow the first scene.
static void test_chains(void **state) {
    (void)state;
    clip clips[9];
    for (uint32_t i = 0; i < 9; i++) {
        const uint32_t driver = i % 3; // windows of 40 steps, 20 apart: each overlaps the next of its driver
        clips[i] = (clip){.id = 10 + driver, .driver = driver, .first = 20 * (i / 3), .steps = 40, .x = 10.0 * i};
    }
    uint32_t groups[9];
    assert_int_equal(group(NM_GROUP_MOTION, clips, 9, groups), 3);
    for (uint32_t i = 0; i < 9; i++) assert_int_equal(groups[i], i % 3);
    const uint32_t order[9] = {8, 2, 0, 6, 1, 7, 5, 3, 4}; // what links drivers 0 and 1 comes last
    clip mixed[9];
    for (int i = 0; i < 9; i++) mixed[i] = clips[order[i]];
    assert_int_equal(group(NM_GROUP_MOTION, mixed, 7, groups), 5);
    assert_int_equal(group(NM_GROUP_MOTION, mixed, 9, groups), 3);
    for (int i = 0; i < 9; i++)
        for (int k = 0; k < 9; k++) assert_int_equal(groups[i] == groups[k], order[i] % 3 == order[k] % 3);
    assert_int_equal(groups[0], 0);
}

/// Of many shared windows one in eight is enough to see that two belong together, whatever the scenes are; where the
/// one shared window is left out they do not.
static void test_thinned_out(void **state) {
    (void)state;
    const clip a = {.id = 7, .first = 0, .steps = 90}, b = {.id = 7, .first = 30, .steps = 90, .x = 50},
               c = {.id = 8, .driver = 1, .steps = 90};
    const clip *const clips[3] = {&a, &b, &c};
    static const uint32_t rates[3] = {1, 8, 1000000};
    for (int r = 0; r < 3; r++) {
        const uint32_t one_in = rates[r];
        nm_groups *g = nm_groups_create(NM_GROUP_MOTION);
        nm_groups_thin_out(g, one_in);
        for (int i = 0; i < 3; i++) {
            const nm_scene *scene = scene_of(clips[i]);
            assert_int_equal(nm_groups_add(g, scene, NULL), NM_OK);
            nm_scene_destroy(scene);
        }
        assert_int_equal(nm_groups_get(g, NULL), one_in <= 8 ? 2 : 3);
        nm_groups_destroy(g);
    }
}

static void test_place(void **state) {
    (void)state;
    const clip clips[] = {
        {.id = 1, .steps = 10, .name = "DEU_Aachen-10_2_T-1"},
        {.id = 1, .steps = 10, .name = "DEU_Aachen-2_1_T-1", .x = 1000},
        {.id = 1, .steps = 10, .name = "DEU_Aalen-2_1_T-1"},
        {.id = 1, .steps = 10, .name = "C-DEU_Aachen-3_1_T-1", .x = 2000},
        {.id = 1, .steps = 10, .name = "637f20cafde22ff8"}, // no name: the map says it
        {.id = 1, .steps = 10, .name = "another", .y = 5000},
        {.id = 2, .steps = 10, .name = "a third"},
    };
    uint32_t groups[7];
    assert_int_equal(group(NM_GROUP_PLACE, clips, 7, groups), 4);
    const uint32_t expected[7] = {0, 0, 1, 0, 2, 3, 2};
    assert_memory_equal(groups, expected, sizeof groups);
}

static void test_place_names(void **state) {
    (void)state;
    const struct {
        const char *id, *place; ///< NULL = not of that form
    } cases[] = {
        {"USA_US101-3_1_T-1", "USA_US101"},
        {"C-USA_US101-3_1_T-1", "USA_US101"},
        {"ZAM_Zip-1_1_T-1", "ZAM_Zip"},
        {"", NULL},
        {"C-", NULL},
        {"US_Some-1", NULL},
        {"USA_-1_1", NULL},
        {"USA_Town", NULL},
        {"USA_Town-x", NULL},
        {"USATown-1", NULL},
        {"637f20ca-1", NULL},
        {"USA", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nm_scene scene = {.provenance = {.scene_id = cases[i].id}};
        char text[64] = "before";
        assert_int_equal(nm_scene_place(&scene, text, sizeof text), cases[i].place != NULL);
        assert_string_equal(text, cases[i].place ? cases[i].place : "");
        char small[6];
        nm_scene_place(&scene, small, sizeof small);
        assert_true(strlen(small) == (cases[i].place ? 5 : 0));
    }
}

static nm_status take(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)record;
    nm_groups **groups = context;
    const nm_status status = nm_groups_add(groups[0], scene, error);
    if (status == NM_OK) nm_groups_add(groups[1], scene, error);
    nm_scene_destroy(scene);
    return status;
}

/// 93 files out of few recordings. No group is in both: none of the motion that is trained on is in the files that
/// judge it. Peach-4_1 and 4_2 show the same vehicles, 2 s apart and 5 m moved.
static void test_ngsim(void **state) {
    (void)state;
    const struct {
        const char *file;
        uint32_t scenes, groups; ///< of this file and those before
    } parts[] = {{"data/commonroad/ngsim-train.tar.xz", 77, 26}, {"data/commonroad/ngsim-val.tar.xz", 93, 26 + 7}};
    nm_groups *groups[2] = {nm_groups_create(NM_GROUP_MOTION), nm_groups_create(NM_GROUP_PLACE)};
    nm_importer *importer = nm_importer_create(NULL);
    int missing = 0;
    for (int i = 0; i < 2 && !missing; i++) {
        char path[1024];
        nm_error error;
        missing = !nm_test_have(path, sizeof path, parts[i].file);
        if (missing) continue;
        if (nm_import_file(importer, path, take, NULL, groups, NULL, &error) != NM_OK) fail_msg("%s", error.message);
        assert_int_equal(nm_groups_scenes(groups[0]), parts[i].scenes);
        assert_int_equal(nm_groups_get(groups[0], NULL), parts[i].groups);
        assert_int_equal(nm_groups_get(groups[1], NULL), 3);
    }
    nm_importer_destroy(importer);
    nm_groups_destroy(groups[0]);
    nm_groups_destroy(groups[1]);
    if (missing) skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_motion), cmocka_unit_test(test_what_says_nothing),
        cmocka_unit_test(test_chains), cmocka_unit_test(test_thinned_out),
        cmocka_unit_test(test_place),  cmocka_unit_test(test_place_names),
        cmocka_unit_test(test_ngsim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
