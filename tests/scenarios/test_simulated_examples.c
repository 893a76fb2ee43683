/// Examples out of the simulator: the same for a number whoever asks, on every kind of map, with traffic on its roads.
#include "scenarios/simulated_examples.h"

#include "base/rng.h"
#include "base/thread_pool.h"
#include "support.h"

static nm_simulated_config small_config(const char *map) {
    nm_simulated_config c = nm_simulated_config_default(NM_TOKENS_AGENT);
    c.tokens.past = 2;
    c.tokens.future = 4;
    c.tokens.agents = 8;
    c.tokens.map_polylines = 8;
    c.map = map;
    c.maps = NM_BUILTIN_COUNT;
    c.seconds = 4.0;
    c.seed = 21;
    return c;
}

static nm_simulated_examples *make(const nm_simulated_config *config) {
    nm_simulated_examples *examples;
    nm_error error;
    nm_error_clear(&error);
    if (nm_simulated_examples_create(config, &examples, &error) != NM_OK) fail_msg("%s", error.message);
    return examples;
}

/// nm_make_example, refused as a failed test.
static nm_tokens ask(const nm_example_source *source, uint64_t number, nm_arena *arena) {
    nm_tokens tokens;
    nm_error error;
    nm_error_clear(&error);
    nm_arena_reset(arena);
    if (source->make(source->context, number, arena, &tokens, &error) != NM_OK)
        fail_msg("example %u: %s", (unsigned)number, error.message);
    return tokens;
}

static uint64_t hash_of(const nm_tokens *t) {
    const size_t count = (size_t)t->shape.agents * t->shape.steps;
    uint64_t hash = nm_hash_bytes(&t->current_step, sizeof t->current_step, 0);
    hash = nm_hash_bytes(t->values, count * nm_token_channels(&t->config) * sizeof(float), hash);
    hash = nm_hash_bytes(t->condition, count * nm_token_conditions(&t->config) * sizeof(float), hash);
    return nm_hash_bytes(t->shape.map, t->shape.points * nm_token_map_channels(&t->config) * sizeof(float), hash);
}

enum { EXAMPLES = 24 };

typedef struct making {
    nm_example_source source;
    uint64_t hash[EXAMPLES];
} making;

static nm_status make_one(void *context, size_t index, int worker, nm_error *error) {
    (void)worker;
    making *m = context;
    nm_arena *arena = nm_arena_create(0);
    nm_tokens tokens;
    if (!arena) return NM_ERROR(error, NM_E_MEMORY, "no arena");
    const nm_status status = m->source.make(m->source.context, EXAMPLES - 1 - index, arena, &tokens, error);
    if (status == NM_OK) m->hash[EXAMPLES - 1 - index] = hash_of(&tokens);
    nm_arena_destroy(arena);
    return status;
}

static void an_example_is_a_function_of_its_number(void **state) {
    (void)state;
    static const int threads[] = {1, 2, 4};
    making first = {0};
    nm_error error;
    nm_error_clear(&error);
    for (int run = 0; run < 4; run++) { // the last with another seed
        nm_simulated_config config = small_config("all");
        config.seed += (uint64_t)(run == 3) << 63;
        nm_simulated_examples *examples = make(&config);
        nm_thread_pool *pool;
        assert_int_equal(nm_thread_pool_create(threads[run % 3], &pool, &error), NM_OK);
        making m = {.source = nm_simulated_examples_source(examples)};
        if (nm_thread_pool_for(pool, EXAMPLES, 1, make_one, &m, &error) != NM_OK) fail_msg("%s", error.message);
        if (run == 0) first = m;
        for (int i = 0; i < EXAMPLES; i++) assert_int_equal(m.hash[i] == first.hash[i], run < 3);
        nm_thread_pool_destroy(pool);
        nm_simulated_examples_destroy(examples);
    }
    for (int i = 0; i < EXAMPLES; i++)
        for (int k = 0; k < i; k++) assert_true(first.hash[i] != first.hash[k]);
}

/// Adds up what is plausible about one example.
typedef struct census {
    uint32_t examples, agents, vehicles, on_lane, moving, future;
} census;

static void look_at(const nm_tokens *t, const nm_simulated_config *config, census *c) {
    const uint32_t steps = t->shape.steps, channels = nm_token_channels(&t->config);
    const uint32_t history = NM_TOKEN_STEPS * (config->tokens.past + 1);
    const double before = fmax(10.0 * config->seconds, (double)history);
    assert_true(t->current_step >= history && t->current_step <= before);
    c->examples++;
    for (uint32_t a = 0; a < t->shape.agents; a++) {
        const size_t now = (size_t)a * steps + t->config.past;
        const float *known = t->condition + now * NM_CONDITION_COUNT;
        const int pedestrian = known[NM_CONDITION_TYPE + NM_AGENT_PEDESTRIAN] > 0.0f;
        if (!t->logged[now]) continue;
        c->agents++;
        c->vehicles += !pedestrian;
        c->on_lane += known[NM_CONDITION_LANE] > 0.0f;
        c->moving += fabsf(known[NM_CONDITION_SPEED]) > 0.05f;
        for (uint32_t k = t->config.past + 1; k < steps; k++) c->future += t->logged[(size_t)a * steps + k];
        // an ordinary speed, and no place farther off than one gets at it
        const float speed = fabsf(known[NM_CONDITION_SPEED]) * (float)t->config.speed_scale;
        assert_true(speed < 60.0f);
        for (uint32_t k = 0; k < steps; k++) {
            const float *last = t->values + ((size_t)a * steps + k) * channels + channels - NM_OWN_CHANNELS;
            if (!t->logged[(size_t)a * steps + k]) continue;
            const float time = 0.5f * fabsf((float)k - (float)t->config.past);
            const float far = hypotf(last[NM_OWN_X], last[NM_OWN_Y]) * (float)t->config.position_scale;
            assert_true(far <= time * (speed + 5.0f * time) + 0.1f); // at most 10 m/s^2
        }
    }
    for (size_t i = 0; i < (size_t)t->shape.agents * steps * channels; i++) assert_true(isfinite(t->values[i]));
    for (size_t i = 0; i < (size_t)t->shape.points * nm_token_map_channels(&t->config); i++)
        assert_true(isfinite(t->shape.map[i]));
}

static void every_kind_of_map_gives_traffic_on_its_roads(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    for (int kind = 0; kind < NM_BUILTIN_COUNT; kind++) {
        nm_simulated_config config = small_config(nm_builtin_name((nm_builtin_kind)kind));
        config.maps = 12; // with as many draws of lanes, widths, limits and radii
        nm_simulated_examples *examples = make(&config);
        const nm_example_source source = nm_simulated_examples_source(examples);
        census c = {0};
        for (uint64_t n = 0; n < 12; n++) {
            const nm_tokens t = ask(&source, n, arena);
            look_at(&t, &config, &c);
        }
        const int good = c.agents >= 2 * c.examples && c.on_lane >= c.vehicles - c.vehicles / 50 &&
                         c.moving > c.agents / 4 && c.future > 2 * c.agents;
        if (!good)
            fail_msg("%s: %u examples, %u agents, %u vehicles, %u on lanes, %u moving, %u tokens of future", config.map,
                     c.examples, c.agents, c.vehicles, c.on_lane, c.moving, c.future);
        nm_simulated_examples_destroy(examples);
    }
    nm_arena_destroy(arena);
}

static void all_kinds_of_maps_come(void **state) {
    (void)state;
    nm_simulated_config config = small_config("all");
    config.tokens = nm_token_config_default(NM_TOKENS_EGO); // the other encoding, too
    config.tokens.past = 2;
    config.tokens.future = 2;
    config.tokens.agents = 4;
    config.tokens.map_polylines = 16;
    nm_simulated_examples *examples = make(&config);
    const nm_example_source source = nm_simulated_examples_source(examples);
    nm_arena *arena = nm_arena_create(0);
    uint64_t seen[NM_BUILTIN_COUNT] = {0};
    int kinds = 0;
    for (uint64_t n = 0; n < 80; n++) { // each of ten misses all of them once in 4600 times
        const nm_tokens t = ask(&source, n, arena);
        assert_int_equal(t.config.encoding, NM_TOKENS_EGO);
        // what the map is like, wherever the ego stands: whether points lie in junctions, their limits
        float limit = 0.0f;
        uint32_t connectors = 0, others = 0;
        for (uint32_t p = 0; p < t.shape.points; p++) {
            const float *row = t.shape.map + (size_t)p * NM_POINT_CHANNELS;
            limit = fmaxf(limit, row[NM_POINT_LIMIT]);
            connectors += row[NM_POINT_CONNECTOR] > 0.0f;
            others += row[NM_POINT_OTHER] > 0.0f;
        }
        const uint64_t like = nm_hash_bytes(&limit, sizeof limit, (connectors > 0) + 2 * (others > 0) + 1);
        int known = 0;
        for (int k = 0; k < kinds; k++) known |= seen[k] == like;
        if (!known && kinds < NM_BUILTIN_COUNT) seen[kinds++] = like;
    }
    assert_true(kinds >= NM_BUILTIN_COUNT - 2); // every map has a limit of its own
    nm_arena_destroy(arena);
    nm_simulated_examples_destroy(examples);
}

static void a_long_history_is_simulated_first(void **state) {
    (void)state;
    nm_simulated_config config = small_config("highway");
    config.seconds = 1.0; // less than the history
    config.tokens.past = 6;
    nm_simulated_examples *examples = make(&config);
    const nm_example_source source = nm_simulated_examples_source(examples);
    nm_arena *arena = nm_arena_create(0);
    for (uint64_t n = 0; n < 4; n++) {
        const nm_tokens t = ask(&source, n, arena);
        assert_int_equal(t.current_step, 35);
        assert_true(t.logged[0]); // the ego's oldest token
    }
    nm_arena_destroy(arena);
    nm_simulated_examples_destroy(examples);
}

/// Tokens of an agent that are logged in the block, and beyond it.
static void count_logged(const nm_tokens *t, uint32_t size, uint32_t *in_block, uint32_t *beyond) {
    const uint32_t end = t->config.past + size;
    for (uint32_t a = 0; a < t->shape.agents; a++) {
        for (uint32_t k = t->config.past + 1; k < t->shape.steps; k++) {
            *(k <= end ? in_block : beyond) += t->logged[(size_t)a * t->shape.steps + k];
        }
    }
}

/// As long as the parts need, and not simulated for longer: the last part has its block, and nothing after it.
static void examples_are_as_long_as_their_parts(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    static const uint32_t cases[][3] = {{1, 7, 7}, {2, 1, 1}, {3, 0, 2}, {2, 5, 5}}; // size, parts, how many come
    for (int i = 0; i < 4; i++) {
        nm_simulated_config config = small_config("roundabout");
        config.blocks.size = cases[i][0];
        config.parts = cases[i][1];
        nm_simulated_examples *examples = make(&config);
        const nm_example_source source = nm_simulated_examples_source(examples);
        for (uint64_t n = 0; n < 4; n++) {
            const nm_tokens first = ask(&source, n, arena);
            const nm_tokens *last = &first;
            uint32_t parts = 1, in_block = 0, beyond = 0;
            for (; last->next; last = last->next) parts++;
            assert_int_equal(parts, cases[i][2]);
            count_logged(last, config.blocks.size, &in_block, &beyond);
            assert_true(in_block > 0);
            assert_int_equal(beyond, 0);
        }
        nm_simulated_examples_destroy(examples);
    }
    nm_arena_destroy(arena);
}

/// While blocks grow, examples are driven as far as they have parts at that size.
static void examples_of_growing_blocks_are_no_longer(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    nm_simulated_config config = small_config("roundabout");
    config.blocks.size = 3;
    config.parts = 4;
    config.growth = (nm_block_growth){.count = 2, .stage = {{0, 1}, {3, 3}}};
    nm_simulated_examples *examples = make(&config);
    const nm_example_source source = nm_simulated_examples_source(examples);
    for (uint64_t n = 0; n < 5; n++) {
        const nm_tokens first = ask(&source, n, arena);
        const nm_tokens *last = &first;
        uint32_t parts = 1, in_block = 0, beyond = 0;
        for (; last->next; last = last->next) parts++;
        assert_int_equal(parts, 4);
        count_logged(last, n < 3 ? 1 : 3, &in_block, &beyond);
        assert_true(in_block > 0);
        assert_int_equal(beyond, 0);
    }
    nm_simulated_examples_destroy(examples);
    nm_arena_destroy(arena);
}

static void values_out_of_range_are_named(void **state) {
    (void)state;
    nm_simulated_examples *examples = (nm_simulated_examples *)&examples;
    nm_error error;
    static const char *const messages[] = {"0 variants", "1025 variants", "nan",
                                           "151",        "0.5 s",         "121 s",
                                           "motorway",   "agents",        "block_parts, 601, times blocks, 2"};
    for (int i = 0; i < 9; i++) {
        nm_simulated_config c = small_config("all");
        if (i == 0) c.maps = 0;
        if (i == 1) c.maps = 1025;
        if (i == 2) c.density = NAN;
        if (i == 3) c.density = 151.0;
        if (i == 4) c.seconds = 0.5;
        if (i == 5) c.seconds = 121.0;
        if (i == 6) c.map = "motorway";
        if (i == 7) c.tokens.agents = 0;
        if (i == 8) c.blocks.size = 2, c.parts = 601;
        nm_error_clear(&error);
        assert_int_equal(nm_simulated_examples_create(&c, &examples, &error), NM_E_ARGUMENT);
        if (!strstr(error.message, messages[i])) fail_msg("%d: %s", i, error.message);
        assert_null(examples);
    }
    nm_simulated_examples_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_example_is_a_function_of_its_number),
        cmocka_unit_test(every_kind_of_map_gives_traffic_on_its_roads),
        cmocka_unit_test(all_kinds_of_maps_come),
        cmocka_unit_test(a_long_history_is_simulated_first),
        cmocka_unit_test(examples_are_as_long_as_their_parts),
        cmocka_unit_test(examples_of_growing_blocks_are_no_longer),
        cmocka_unit_test(values_out_of_range_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
