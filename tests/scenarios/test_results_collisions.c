#include "support.h"

#include "scenarios/results.h"

static nm_results_row episode_of(int64_t scene, uint32_t contacts) {
    nm_results_row row = {.scene = scene, .name = "n", .type = "t"};
    row.episode = (nm_episode){.start_step = 10, .samples = 100, .worst = "", .worst_sample = NM_NONE};
    row.episode.min_ttc = row.episode.min_distance = INFINITY;
    row.episode.collision_count = row.episode.score.collisions = contacts;
    for (uint32_t i = 0; i < contacts; ++i)
        row.episode.collisions[i] = (nm_nuplan_collision){.track = 100 + i,
                                                          .step = 3 * i,
                                                          .type = (uint8_t)(i % NM_NUPLAN_TYPE_COUNT),
                                                          .collision_class = (uint8_t)(i % NM_NUPLAN_CLASS_COUNT),
                                                          .at_fault = i % 2,
                                                          .energy = 0.5 * i};
    return row;
}

static void expect(const nm_results_row *got, const nm_results_row *wanted) {
    assert_int_equal(got->scene, wanted->scene);
    assert_int_equal(got->episode.collision_count, wanted->episode.collision_count);
    for (uint32_t i = 0; i < wanted->episode.collision_count; ++i) {
        const nm_nuplan_collision *a = &got->episode.collisions[i], *b = &wanted->episode.collisions[i];
        assert_int_equal(a->track, b->track);
        assert_int_equal(a->step, b->step);
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->collision_class, b->collision_class);
        assert_int_equal(a->at_fault, b->at_fault);
        assert_float_equal(a->energy, b->energy, 0);
    }
}

/// Every class and type comes back, with its scene and its run; an episode put again replaces its contacts.
static void collisions_come_back(void **state) {
    (void)state;
    nm_results *results;
    nm_results_row *rows;
    size_t count;
    int64_t first, second;
    nm_arena *arena = nm_arena_create(0);
    assert_int_equal(nm_results_open(":memory:", 1, &results, NULL), NM_OK);
    nm_results_run run = {
        .planner = "a", .store = "s", .weights = "", .program = "p", .idm = "nuplan", .seconds = 15.0f};
    assert_int_equal(nm_results_begin_run(results, &run, &first, NULL), NM_OK);
    run.planner = "b";
    assert_int_equal(nm_results_begin_run(results, &run, &second, NULL), NM_OK);
    nm_results_row put[4] = {episode_of(1, 0), episode_of(2, NM_EPISODE_COLLISIONS), episode_of(5, 1),
                             episode_of(9, 2)};
    for (size_t i = 0; i < 4; ++i) assert_int_equal(nm_results_put(results, first, &put[i], NULL), NM_OK);
    const nm_results_row other = episode_of(2, 3);
    assert_int_equal(nm_results_put(results, second, &other, NULL), NM_OK);
    put[3] = episode_of(9, 1);
    assert_int_equal(nm_results_put(results, first, &put[3], NULL), NM_OK);
    assert_int_equal(nm_results_rows(results, first, arena, &rows, &count, NULL), NM_OK);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < 4; ++i) expect(&rows[i], &put[i]);
    assert_int_equal(nm_results_rows(results, second, arena, &rows, &count, NULL), NM_OK);
    assert_int_equal(count, 1);
    expect(&rows[0], &other);
    nm_results_close(results);
    nm_arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(collisions_come_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
