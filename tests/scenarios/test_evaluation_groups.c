/// Which scenes of a store belong together: by what moves in them, and by what they were made from.
#include "../sim/world_scenes.h"
#include "store_support.h"

#include "scenarios/evaluation_groups.h"

/// One vehicle whose speed never repeats, seen for 40 steps from step `first` of its drive on.
typedef struct clip {
    uint32_t driver, first;
    uint64_t parent;
    const char *name;
} clip;

static const nm_scene *scene_of_clip(const clip *c) {
    const nm_map *map = straight_road(1, 400.0 + c->driver, 15.0);
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_scene *scene = NULL;
    uint32_t track;
    must(nm_scene_builder_begin(builder, map, 0.1, 40, error));
    const nm_track_def def = {.id = 7, .type = NM_AGENT_CAR, .length = 4, .width = 2};
    must(nm_scene_builder_add_track(builder, &def, &track, error));
    double way = 10.0;
    for (uint32_t t = 0; t < c->first + 40; ++t) {
        const double speed = 5.0 + c->driver + 0.0171 * t;
        const nm_state_def state = {.x = way, .vx = speed};
        if (t >= c->first) must(nm_scene_builder_add_state(builder, track, t - c->first, &state, error));
        way += 0.1 * speed;
    }
    const nm_provenance provenance = {.source = "test", .scene_id = c->name ? c->name : "", .parent = c->parent};
    must(nm_scene_builder_set_provenance(builder, &provenance, error));
    must(nm_scene_builder_build(builder, &scene, error));
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

static void fill(nm_store *store, const clip *clips, uint32_t count, int64_t *ids) {
    for (uint32_t i = 0; i < count; ++i) {
        const nm_scene *scene = scene_of_clip(&clips[i]);
        must(nm_store_put_scene(store, scene, &ids[i], error));
        nm_scene_destroy(scene);
    }
}

static void expect(const clip *clips, uint32_t count, nm_evaluation_grouping grouping, const uint32_t *wanted,
                   uint32_t groups) {
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    int64_t ids[8];
    uint32_t group[8], found;
    fill(store, clips, count, ids);
    must(nm_evaluation_groups(store, ids, count, grouping, NULL, NULL, group, &found, error));
    for (uint32_t i = 0; i < count; ++i) assert_int_equal(group[i], wanted[i]);
    assert_int_equal(found, groups);
    nm_store_close(store);
    folder_remove(&f);
}

static void by_motion(void **state) {
    (void)state;
    const clip clips[4] = {{0, 0, 0, NULL}, {1, 0, 0, NULL}, {0, 20, 0, NULL}, {0, 50, 0, NULL}};
    expect(clips, 4, NM_EVALUATION_MOTION, (const uint32_t[]){0, 1, 0, 0}, 2); // each overlaps the next
    expect(clips, 4, NM_EVALUATION_SCENE, (const uint32_t[]){0, 1, 2, 3}, 4);
}

/// Made from one scene, whether or not that is there; and a chain over a recording that overlaps another.
static void by_origin(void **state) {
    (void)state;
    const clip first = {0, 0, 0, NULL};
    const nm_scene *scene = scene_of_clip(&first);
    const uint64_t hash = scene->hash;
    nm_scene_destroy(scene);
    const clip clips[7] = {{3, 0, 99, NULL}, {4, 0, hash, NULL}, {0, 20, 0, NULL},
                           {5, 0, 98, NULL}, {6, 0, 99, NULL},   first,
                           {7, 0, 0, NULL}};
    expect(clips, 7, NM_EVALUATION_MOTION, (const uint32_t[]){0, 1, 1, 2, 0, 1, 3}, 4);
    // what was made from a scene is no recording: that it moves like another says nothing
    const clip made[2] = {{0, 0, 97, NULL}, {0, 20, 96, NULL}};
    expect(made, 2, NM_EVALUATION_MOTION, (const uint32_t[]){0, 1}, 2);
}

static void by_place(void **state) {
    (void)state;
    const clip clips[4] = {{0, 0, 0, "DEU_Aachen-10_2_T-1"},
                           {1, 0, 0, "DEU_Aachen-2_1_T-1"},
                           {2, 0, 0, "USA_US101-1_1_T-1"},
                           {3, 0, 5, "USA_US101-2_1_T-1"}};
    expect(clips, 4, NM_EVALUATION_PLACE, (const uint32_t[]){0, 0, 1, 1}, 2);
}

static int stop(void *context) {
    return --*(int *)context <= 0;
}

static void what_cannot_be_read_is_a_group(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    const clip clips[2] = {{0, 0, 0, NULL}, {0, 20, 0, NULL}};
    int64_t ids[4] = {0, 0, 70, 71}; // the last two are not there
    uint32_t group[4], found;
    fill(store, clips, 2, ids);
    must(nm_evaluation_groups(store, ids, 4, NM_EVALUATION_MOTION, NULL, NULL, group, &found, error));
    assert_int_equal(found, 3);
    assert_true(group[0] == 0 && group[1] == 0 && group[2] == 1 && group[3] == 2);
    int left = 2;
    nm_error why;
    nm_error_clear(&why);
    assert_int_equal(nm_evaluation_groups(store, ids, 4, NM_EVALUATION_MOTION, stop, &left, group, &found, &why),
                     NM_E_CANCELLED);
    assert_int_equal(why.code, NM_E_CANCELLED);
    must(nm_evaluation_groups(store, ids, 0, NM_EVALUATION_MOTION, NULL, NULL, group, &found, error));
    assert_int_equal(found, 0);
    nm_store_close(store);
    folder_remove(&f);
}

static void names(void **state) {
    (void)state;
    nm_evaluation_grouping grouping;
    for (int i = 0; i < NM_EVALUATION_GROUPING_COUNT; ++i) {
        assert_int_equal(
            nm_evaluation_grouping_from_name(nm_evaluation_grouping_name((nm_evaluation_grouping)i), &grouping), 1);
        assert_int_equal(grouping, i);
    }
    assert_int_equal(nm_evaluation_grouping_from_name("Motion", &grouping), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_motion), cmocka_unit_test(by_origin),
        cmocka_unit_test(by_place),  cmocka_unit_test(what_cannot_be_read_is_a_group),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
