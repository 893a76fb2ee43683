/// Building scenes, and asking them.
#include "sim/scenes.h"

static void test_constant_velocity(void **state) {
    (void)state;
    nm_test_agent agents[2] = {{.x = 10.0, .y = 0.0, .speed = 10.0}, {.x = 50.0, .y = 3.5, .speed = 5.0}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), agents, 2, 20);
    assert_int_equal(scene->track_count, 2);
    assert_int_equal(scene->step_count, 20);
    assert_int_equal(scene->ego, 0);
    assert_true(scene->tracks[0].flags & NM_TRACK_EGO);
    assert_true(fabsf(scene->x[nm_scene_at(scene, 0, 10)] - 20.0f) < 1e-4f);
    assert_true(scene->vx[nm_scene_at(scene, 1, 3)] == 5.0f);
    assert_null(scene->state_length);
    assert_int_equal(scene->tracks[1].last_step, 19);
    uint64_t count, states;
    nm_scene_count(scene, &count, &states);
    assert_int_equal(count, 2);
    assert_int_equal(states, 40);
    nm_scene_destroy(scene);
}

static void test_codec_round_trip(void **state) {
    (void)state;
    nm_test_agent agents[2] = {{.x = 10.0, .y = 0.0, .speed = 10.0}, {.x = 50.0, .y = 3.5, .speed = 5.0}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), agents, 2, 20);
    size_t size = nm_scene_encode(scene, NULL, 0);
    unsigned char *bytes = malloc(size);
    assert_int_equal(nm_scene_encode(scene, bytes, size), size);
    const nm_scene *back = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_scene_decode(bytes, size, scene->map, &back, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(back->hash, scene->hash);
    nm_scene_destroy(back);
    size = nm_map_encode(scene->map, NULL, 0);
    bytes = realloc(bytes, size);
    nm_map_encode(scene->map, bytes, size);
    const nm_map *map = NULL;
    if (nm_map_decode(bytes, size, &map, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(map->hash, scene->map->hash);
    nm_map_release(map);
    nm_scene_destroy(scene);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_constant_velocity),
                                       cmocka_unit_test(test_codec_round_trip)};
    return cmocka_run_group_tests_name("scene", tests, NULL, NULL);
}
