/// Packing scenes: every list of a batch against what a plain walk over the padded scenes finds.
#include "base/rng.h"
#include "nexus/batch.h"
#include "tests/support.h"

enum { SCENES = 4, AGENTS = 6, STEPS = 5, POINTS = 9, CHANNELS = 3, TOKENS = SCENES * AGENTS * STEPS };

typedef struct world {
    uint8_t valid[SCENES][AGENTS * STEPS], map_valid[SCENES][POINTS];
    uint32_t map_agent[SCENES][POINTS];
    float map[SCENES][POINTS * CHANNELS];
    nm_token_scene scenes[SCENES];
} world;

static float chance(uint64_t seed, uint32_t what, size_t index) {
    const nm_rng_key key = {.seed = seed, .agent = what, .step = (uint32_t)index, .purpose = NM_PURPOSE_TEST};
    return nm_rng_uniform(&key, 0);
}

/// Scenes of every size down to nothing, some rows of them valid, agents without any token among them.
static void make_world(world *w, uint64_t seed) {
    for (uint32_t s = 0; s < SCENES; ++s) {
        const float density = chance(seed, 1, s);
        nm_token_scene *scene = &w->scenes[s];
        scene->agents = (uint32_t)(chance(seed, 2, s) * (AGENTS + 1));
        scene->steps = (uint32_t)(chance(seed, 3, s) * (STEPS + 1));
        scene->points = scene->agents ? (uint32_t)(chance(seed, 4, s) * (POINTS + 1)) : 0;
        for (uint32_t i = 0; i < AGENTS * STEPS; ++i) w->valid[s][i] = chance(seed, 10 + s, i) < density;
        for (uint32_t p = 0; p < scene->points; ++p) {
            w->map_valid[s][p] = chance(seed, 20 + s, p) < 0.7f;
            w->map_agent[s][p] = (uint32_t)(chance(seed, 30 + s, p) * (float)scene->agents);
            for (uint32_t c = 0; c < CHANNELS; ++c)
                w->map[s][p * CHANNELS + c] = chance(seed, 40 + s, p * CHANNELS + c);
        }
        scene->valid = w->valid[s];
        scene->map = w->map[s];
        scene->map_valid = chance(seed, 5, s) < 0.8f ? w->map_valid[s] : NULL;
        scene->map_agent = chance(seed, 6, s) < 0.8f ? w->map_agent[s] : NULL;
    }
}

static int taken(const nm_token_scene *scene, uint32_t point, int padding) {
    return (!scene->map_valid || scene->map_valid[point]) != padding;
}

/// Group after group as the contract orders them, checked row by row.
typedef struct reader {
    const nm_row_lists *lists;
    uint32_t group, at, longest;
} reader;

static void expect_row(reader *r, uint32_t row) {
    assert_true(r->at < r->lists->offsets[r->lists->count]);
    assert_int_equal(r->lists->rows[r->at++], row);
}
static void end_group(reader *r) {
    assert_true(r->group < r->lists->count);
    const uint32_t size = r->at - r->lists->offsets[r->group];
    if (size > r->longest) r->longest = size;
    assert_int_equal(r->lists->offsets[++r->group], r->at);
}
static void expect_end(const reader *r) {
    assert_int_equal(r->group, r->lists->count);
    assert_int_equal(r->lists->offsets[0], 0);
    assert_int_equal(r->longest, r->lists->longest);
}

static void check_tokens(const nm_batch *b, const world *w) {
    reader agents = {.lists = &b->by_agent}, times = {.lists = &b->by_time}, scenes = {.lists = &b->by_scene};
    uint32_t rows[AGENTS * STEPS], next = 0;
    for (uint32_t s = 0; s < SCENES; ++s) {
        const nm_token_scene *scene = &w->scenes[s];
        assert_int_equal(b->scene_tokens[s], next);
        for (uint32_t a = 0; a < scene->agents; ++a) {
            const uint32_t first = next;
            for (uint32_t t = 0; t < scene->steps; ++t) {
                if (!scene->valid[a * scene->steps + t]) continue;
                const nm_token_ref ref = b->refs[next];
                assert_true(ref.scene == s && ref.agent == a && ref.time == t);
                assert_true(b->time[next] == (float)t / (float)scene->steps && b->position[next] == (float)t);
                expect_row(&agents, next);
                expect_row(&scenes, next);
                rows[a * STEPS + t] = next++;
            }
            if (next > first) end_group(&agents);
        }
        end_group(&scenes);
        for (uint32_t t = 0; t < scene->steps; ++t) {
            const uint32_t first = times.at;
            for (uint32_t a = 0; a < scene->agents; ++a)
                if (scene->valid[a * scene->steps + t]) expect_row(&times, rows[a * STEPS + t]);
            if (times.at > first) end_group(&times);
        }
    }
    assert_int_equal(b->tokens, next);
    assert_int_equal(b->scene_tokens[SCENES], next);
    expect_end(&agents);
    expect_end(&times);
    expect_end(&scenes);
}

static void check_map(const nm_batch *b, const world *w, int padding) {
    reader scenes = {.lists = &b->map_by_scene}, agents = {.lists = &b->map_by_agent};
    uint32_t next = 0;
    for (uint32_t s = 0; s < SCENES; ++s) {
        const nm_token_scene *scene = &w->scenes[s];
        const uint32_t first = next;
        for (uint32_t p = 0; p < scene->points; ++p) {
            if (!taken(scene, p, padding)) continue;
            assert_memory_equal(b->map + (size_t)next * CHANNELS, scene->map + (size_t)p * CHANNELS,
                                CHANNELS * sizeof(float));
            expect_row(&scenes, next++);
        }
        end_group(&scenes);
        for (uint32_t a = 0; a < scene->agents; ++a) {
            int tokens = 0;
            for (uint32_t t = 0; t < scene->steps; ++t) tokens += scene->valid[a * scene->steps + t];
            if (!tokens) continue; // no group, and its rows in none
            uint32_t row = first;
            for (uint32_t p = 0; p < scene->points; ++p) {
                if (!taken(scene, p, padding)) continue;
                if (scene->map_agent && scene->map_agent[p] == a) expect_row(&agents, row);
                row++;
            }
            end_group(&agents);
        }
    }
    assert_int_equal(b->points, next);
    assert_int_equal(agents.group, b->by_agent.count);
    expect_end(&scenes);
    expect_end(&agents);
}

static void packs_what_is_valid(void **state) {
    (void)state;
    nm_error error;
    nm_batch batch;
    const nm_batch_capacity capacity = {SCENES, TOKENS, SCENES * POINTS};
    assert_int_equal(nm_batch_create(&capacity, CHANNELS, &batch, &error), NM_OK);
    for (uint64_t seed = 0; seed < 300; ++seed) { // one batch for all: nothing of the last set may stay
        world w;
        make_world(&w, seed);
        const int padding = seed % 2;
        if (nm_batch_set(&batch, w.scenes, SCENES, padding, &error) != NM_OK)
            fail_msg("seed %d: %s", (int)seed, error.message);
        assert_int_equal(batch.scenes, SCENES);
        check_tokens(&batch, &w);
        check_map(&batch, &w, padding);
    }
    nm_batch_destroy(&batch);
}

static void what_is_gathered_is_scattered_back(void **state) {
    (void)state;
    enum { C = 2 };
    nm_error error;
    nm_batch batch;
    const nm_batch_capacity capacity = {SCENES, TOKENS, SCENES * POINTS};
    assert_int_equal(nm_batch_create(&capacity, CHANNELS, &batch, &error), NM_OK);
    for (uint64_t seed = 0; seed < 20; ++seed) {
        world w;
        float packed[TOKENS * C] = {0}, padded[AGENTS * STEPS * C], back[AGENTS * STEPS * C];
        make_world(&w, seed);
        assert_int_equal(nm_batch_set(&batch, w.scenes, SCENES, 0, &error), NM_OK);
        for (uint32_t s = 0; s < SCENES; ++s) {
            const uint32_t steps = w.scenes[s].steps, count = w.scenes[s].agents * steps;
            for (uint32_t i = 0; i < count * C; ++i) padded[i] = (float)(1000 * s + i + 1), back[i] = -1.0f;
            nm_batch_gather(&batch, s, steps, C, padded, packed);
            nm_batch_scatter(&batch, s, steps, C, packed, back);
            for (uint32_t i = 0; i < count * C; ++i) assert_true(back[i] == (w.valid[s][i / C] ? padded[i] : -1.0f));
        }
        for (uint32_t row = 0; row < batch.tokens; ++row) { // each scene's rows hold its own
            const nm_token_ref ref = batch.refs[row];
            const uint32_t at = ref.agent * w.scenes[ref.scene].steps + ref.time;
            assert_true(packed[row * C] == (float)(1000 * ref.scene + at * C + 1));
        }
    }
    nm_batch_destroy(&batch);
}

static void what_does_not_fit_leaves_an_empty_batch(void **state) {
    (void)state;
    nm_error error;
    nm_batch batch;
    static const uint8_t valid[4] = {1, 1, 1, 1};
    float map[3 * CHANNELS] = {0};
    static const uint32_t owners[3] = {0, 1, 0}, strangers[3] = {0, 1, 2};
    const nm_token_scene scene = {.agents = 2, .steps = 2, .valid = valid, .points = 3, .map = map};
    const nm_token_scene pair[2] = {scene, scene};
    const struct {
        nm_batch_capacity capacity;
        const char *words;
    } limits[] = {{{1, 8, 6}, "2 scenes"},
                  {{2, 7, 6}, "scene 1, agent 1, step 1"},
                  {{2, 8, 5}, "scene 1, map row 2"},
                  {{2, 3, 6}, "scene 0, agent 1, step 1"}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; ++i) {
        assert_int_equal(nm_batch_create(&limits[i].capacity, CHANNELS, &batch, &error), NM_OK);
        assert_int_equal(nm_batch_set(&batch, pair, 2, 0, &error), NM_E_LIMIT);
        if (!strstr(error.message, limits[i].words)) fail_msg("'%s', not '%s'", error.message, limits[i].words);
        assert_true(batch.scenes == 0 && batch.tokens == 0 && batch.points == 0 && batch.by_agent.count == 0);
        nm_batch_destroy(&batch);
    }
    const nm_batch_capacity exact = {2, 8, 6};
    assert_int_equal(nm_batch_create(&exact, CHANNELS, &batch, &error), NM_OK);
    assert_int_equal(nm_batch_set(&batch, pair, 2, 0, &error), NM_OK);
    nm_token_scene owned = scene;
    owned.map_agent = owners;
    assert_int_equal(nm_batch_set(&batch, &owned, 1, 0, &error), NM_OK);
    owned.map_agent = strangers;
    assert_int_equal(nm_batch_set(&batch, &owned, 1, 0, &error), NM_E_ARGUMENT);
    map[2 * CHANNELS + 1] = INFINITY;
    assert_int_equal(nm_batch_set(&batch, pair, 2, 0, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "scene 0, map row 2, channel 1"));
    assert_int_equal(batch.tokens, 0);
    static const uint8_t map_valid[3] = {1, 1, 0};
    owned = scene;
    owned.map_valid = map_valid; // what is not taken may be anything
    assert_int_equal(nm_batch_set(&batch, &owned, 1, 0, &error), NM_OK);
    assert_int_equal(nm_batch_set(&batch, &owned, 1, 1, &error), NM_E_NUMERIC);
    nm_batch_destroy(&batch);
}

static void sizes_that_overflow_are_refused(void **state) {
    (void)state;
    nm_error error;
    nm_batch batch;
    const nm_batch_capacity none = {0, 0, 0};
    assert_int_equal(nm_batch_create(&none, CHANNELS, &batch, &error), NM_OK);
    assert_int_equal(nm_batch_set(&batch, NULL, 0, 0, &error), NM_OK);
    nm_batch_destroy(&batch);
    const struct {
        nm_batch_capacity capacity;
        uint32_t channels;
    } bad[] = {{{NM_BATCH_MAX_ROWS, 1, 1}, 1},
               {{1, NM_BATCH_MAX_ROWS, 1}, 1},
               {{1, 1, NM_BATCH_MAX_ROWS}, 1},
               {{1, 1, NM_BATCH_MAX_ROWS - 1}, UINT32_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        assert_int_equal(nm_batch_create(&bad[i].capacity, bad[i].channels, &batch, &error), NM_E_LIMIT);
        nm_batch_destroy(&batch);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packs_what_is_valid),
        cmocka_unit_test(what_is_gathered_is_scattered_back),
        cmocka_unit_test(what_does_not_fit_leaves_an_empty_batch),
        cmocka_unit_test(sizes_that_overflow_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
