/// Examples are functions of their numbers alone, come from parts as their weights say and begin where scenes have
/// something to learn from.
#include "nexus/training_set.h"

#include "base/thread_pool.h"
#include "tokens_support.h"

static nm_training_set_config small_config(void) {
    nm_training_set_config c = nm_training_set_config_default(NM_TOKENS_AGENT);
    c.tokens.past = 2;
    c.tokens.future = 5;
    c.tokens.agents = 5;
    c.tokens.map_polylines = 6;
    c.seed = 9;
    return c;
}

static nm_training_set *make_set(const nm_training_set_config *config) {
    nm_training_set *set;
    nm_error error;
    nm_error_clear(&error);
    if (nm_training_set_create(config, &set, &error) != NM_OK) fail_msg("%s", error.message);
    return set;
}

static void add(nm_training_set *set, uint32_t part, const nm_scene *scene) {
    nm_error error;
    nm_error_clear(&error);
    if (nm_training_set_add(set, part, scene, &error) != NM_OK) fail_msg("%s", error.message);
}

static uint32_t add_part(nm_training_set *set, double weight) {
    uint32_t part;
    nm_error error;
    assert_int_equal(nm_training_set_add_part(set, weight, &part, &error), NM_OK);
    return part;
}

/// Hash of all that an example says.
static uint64_t hash_of(const nm_tokens *t) {
    const size_t count = (size_t)t->shape.agents * t->shape.steps;
    uint64_t hash = nm_hash_bytes(&t->current_step, sizeof t->current_step, 0);
    hash = nm_hash_bytes(t->values, count * nm_token_channels(&t->config) * sizeof(float), hash);
    hash = nm_hash_bytes(t->condition, count * nm_token_conditions(&t->config) * sizeof(float), hash);
    hash = nm_hash_bytes(t->pose, count * 4 * sizeof(float), hash);
    hash = nm_hash_bytes(t->valid, count, hash);
    hash = nm_hash_bytes(t->shape.map_agent, t->shape.points * sizeof(uint32_t), hash);
    return nm_hash_bytes(t->shape.map, t->shape.points * nm_token_map_channels(&t->config) * sizeof(float), hash);
}

// ---------------------------------------------------------------------------------------------------------------------

enum { EXAMPLES = 64 };

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

/// Two parts, three maps, every kind of augmentation.
static nm_training_set *rich_set(void) {
    nm_training_set_config config = small_config();
    config.augmentation = (nm_augmentation){.mirror = 0.5f, .drop = 0.3f, .history_noise = 0.1f};
    nm_training_set *set = make_set(&config);
    const uint32_t a = add_part(set, 1.0), b = add_part(set, 2.0);
    add(set, a, tokens_rollout("junction_signal:density=25", 3, 70));
    add(set, b, tokens_rollout("highway:density=25", 4, 60));
    add(set, a, tokens_rollout("roundabout:density=20", 5, 65));
    return set;
}

static void an_example_is_a_function_of_its_number(void **state) {
    (void)state;
    nm_error error;
    nm_error_clear(&error);
    static const int threads[] = {1, 2, 4};
    making first = {0};
    for (int run = 0; run < 3; run++) { // sets that are built alike, on other numbers of threads
        nm_training_set *set = rich_set();
        nm_thread_pool *pool;
        assert_int_equal(nm_thread_pool_create(threads[run], &pool, &error), NM_OK);
        making m = {.source = nm_training_set_source(set)};
        if (nm_thread_pool_for(pool, EXAMPLES, 1, make_one, &m, &error) != NM_OK) fail_msg("%s", error.message);
        if (run == 0) first = m;
        assert_memory_equal(m.hash, first.hash, sizeof m.hash);
        nm_thread_pool_destroy(pool);
        nm_training_set_destroy(set);
    }
    for (int i = 0; i < EXAMPLES; i++) // each shows something else
        for (int k = 0; k < i; k++) assert_true(first.hash[i] != first.hash[k]);
}

static void another_seed_gives_other_examples(void **state) {
    (void)state;
    nm_error error;
    nm_arena *arena = nm_arena_create(0);
    nm_tokens tokens;
    uint64_t hash[2][8];
    for (int run = 0; run < 2; run++) {
        nm_training_set_config config = small_config();
        config.seed += (uint64_t)run << 63; // all 64 bits count
        nm_training_set *set = make_set(&config);
        add(set, add_part(set, 1.0), tokens_rollout("highway:density=25", 4, 60));
        const nm_example_source source = nm_training_set_source(set);
        for (uint64_t n = 0; n < 8; n++) {
            nm_arena_reset(arena);
            assert_int_equal(source.make(source.context, n, arena, &tokens, &error), NM_OK);
            hash[run][n] = hash_of(&tokens);
        }
        nm_training_set_destroy(set);
    }
    for (int n = 0; n < 8; n++) assert_true(hash[0][n] != hash[1][n]);
    nm_arena_destroy(arena);
}

// ---------------------------------------------------------------------------------------------------------------------
// Weights: sources that only count

typedef struct counter {
    uint32_t calls, other;
    uint64_t last;
} counter;

static nm_status count_example(void *context, uint64_t number, nm_arena *arena, nm_tokens *tokens, nm_error *error) {
    (void)arena;
    counter *c = context;
    c->calls++;
    c->other += number >= 2000;
    c->last = number;
    *tokens = (nm_tokens){0};
    return NM_ERROR(error, NM_E_UNSUPPORTED, "counted");
}

static void parts_come_as_their_weights_say(void **state) {
    (void)state;
    static const double weights[] = {3.0, 1e-3, 0.5, 6.0};
    enum { PARTS = 4, DRAWS = 2000 };
    counter counters[PARTS] = {{0}};
    nm_error error;
    const nm_training_set_config config = small_config();
    nm_training_set *set = make_set(&config);
    add_part(set, 1e6); // without scenes it counts for nothing
    double total = 0.0, chi_square = 0.0;
    for (int i = 0; i < PARTS; i++) {
        const nm_example_source source = {&counters[i], count_example};
        assert_int_equal(nm_training_set_add_source(set, weights[i], source, &error), NM_OK);
        total += weights[i];
    }
    add_part(set, 1e6);
    assert_int_equal(nm_training_set_scenes(set), 0);
    assert_int_equal(nm_training_set_moments(set), 0);
    const nm_example_source source = nm_training_set_source(set);
    uint32_t all = 0;
    for (uint64_t n = 0; n < DRAWS; n++) {
        nm_tokens tokens;
        assert_int_equal(source.make(source.context, n, NULL, &tokens, &error), NM_E_UNSUPPORTED);
        int asked = 0;
        for (int i = 0; i < PARTS; i++) asked += counters[i].calls && counters[i].last == n;
        assert_true(asked >= 1); // with the set's number
    }
    for (int i = 0; i < PARTS; i++) {
        const double expected = DRAWS * weights[i] / total, off = (double)counters[i].calls - expected;
        all += counters[i].calls;
        assert_int_equal(counters[i].other, 0);
        if (i != 1) chi_square += off * off / expected;
    }
    assert_int_equal(all, DRAWS);
    assert_true(counters[1].calls <= 3);                                  // 0.2 are expected
    if (!(chi_square < 13.8)) fail_msg("a chi square of %g", chi_square); // 2 degrees: one in a thousand
    nm_training_set_destroy(set);
}

/// A scene that agents 0 and 1 drive through from step `first` to step `last`.
static const nm_scene *short_scene(uint32_t steps, uint32_t first, uint32_t last) {
    const nm_map *map = nm_test_road(400.0);
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    const nm_scene *scene;
    nm_error_clear(&error);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, &error), NM_OK);
    for (int i = 0; i < 2; i++) {
        const nm_track_def def = {.id = 5 + i, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t t = first; t <= last && first < steps; t++) {
            const nm_state_def s = {.x = 20.0 * i + 1.5 * t, .y = 3.5 * i, .vx = 15.0};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &s, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, 0, 0);
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

typedef struct range {
    uint32_t least, most;
} range;

/// Where examples of the set begin.
static range moments_of(nm_training_set *set, uint64_t count) {
    nm_arena *arena = nm_arena_create(0);
    nm_error error;
    nm_error_clear(&error);
    range r = {UINT32_MAX, 0};
    const nm_example_source source = nm_training_set_source(set);
    for (uint64_t n = 0; n < count; n++) {
        nm_tokens t;
        nm_arena_reset(arena);
        if (source.make(source.context, n, arena, &t, &error) != NM_OK) fail_msg("%s", error.message);
        r.least = t.current_step < r.least ? t.current_step : r.least;
        r.most = t.current_step > r.most ? t.current_step : r.most;
    }
    nm_arena_destroy(arena);
    return r;
}

static void moments_have_a_current_token_and_a_future(void **state) {
    (void)state;
    static const struct {
        uint32_t steps, first, last, least_future, earliest, latest;
    } cases[] = {
        {60, 0, 59, 3, 4, 44},   // a whole current token before, 15 steps after
        {60, 0, 59, 0, 4, 59},   // no future asked for
        {60, 10, 49, 3, 14, 34}, // counted from who is there
        {24, 0, 23, 4, 0, 3},    // too short for both: the future counts
        {25, 0, 24, 4, 4, 4},    // just long enough
        {21, 0, 20, 4, 0, 0},    // the future alone
        {10, 0, 9, 4, 0, 0},     // not even that
        {1, 0, 0, 4, 0, 0},      // one step
        {30, 29, 29, 4, 29, 29}, // one step, at the end
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nm_training_set_config config = small_config();
        config.least_future = cases[i].least_future;
        nm_training_set *set = make_set(&config);
        add(set, add_part(set, 1.0), short_scene(cases[i].steps, cases[i].first, cases[i].last));
        assert_int_equal(nm_training_set_moments(set), cases[i].latest - cases[i].earliest + 1);
        const range r = moments_of(set, 400);
        if (r.least != cases[i].earliest || r.most != cases[i].latest)
            fail_msg("case %zu: from %u to %u", i, r.least, r.most);
        nm_training_set_destroy(set);
    }
}

/// A part with a short and a long scene: every moment counts alike.
static void every_moment_is_as_likely(void **state) {
    (void)state;
    nm_training_set_config config = small_config();
    config.least_future = 0;
    nm_training_set *set = make_set(&config);
    const uint32_t part = add_part(set, 1.0);
    const uint32_t lengths[] = {14, 5, 34}; // 10, 1 and 30 moments, from steps 4, 4 and 4 on
    for (int i = 0; i < 3; i++) add(set, part, short_scene(lengths[i], 0, lengths[i] - 1));
    assert_int_equal(nm_training_set_scenes(set), 3);
    assert_int_equal(nm_training_set_moments(set), 41);
    nm_arena *arena = nm_arena_create(0);
    nm_error error;
    uint32_t late = 0, first = 0;
    const nm_example_source source = nm_training_set_source(set);
    for (uint64_t n = 0; n < 1000; n++) {
        nm_tokens t;
        nm_arena_reset(arena);
        assert_int_equal(source.make(source.context, n, arena, &t, &error), NM_OK);
        late += t.current_step > 13; // only the long scene has these
        first += t.current_step == 4;
    }
    assert_in_range(late, 424, 552); // 1000 * 20 / 41 = 488, four deviations of 16
    assert_in_range(first, 40, 107); // 1000 * 3 / 41 = 73, four of 8.2
    nm_arena_destroy(arena);
    nm_training_set_destroy(set);
}

static void any_vehicle_may_be_the_ego(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    nm_error error;
    for (int all = 0; all < 2; all++) {
        nm_training_set_config config = small_config();
        config.other_ego = (float)all;
        nm_training_set *set = make_set(&config);
        const nm_scene *scene = tokens_rollout("junction_signal:density=25,pedestrians=6", 3, 60); // the set's
        add(set, add_part(set, 1.0), scene);
        const nm_example_source source = nm_training_set_source(set);
        uint64_t seen = 0;
        uint32_t others = 0;
        for (uint64_t n = 0; n < 100; n++) {
            nm_tokens t;
            nm_arena_reset(arena);
            assert_int_equal(source.make(source.context, n, arena, &t, &error), NM_OK);
            const nm_track *ego = &scene->tracks[t.track[0]];
            seen |= UINT64_C(1) << (t.track[0] % 64);
            others += t.track[0] != scene->ego;
            if (!all) continue;
            assert_true(nm_agent_type_vehicle((nm_agent_type)ego->type) && !(ego->flags & NM_TRACK_STATIC));
            assert_true(scene->valid[nm_scene_at(scene, t.track[0], t.current_step)]);
        }
        if (all) assert_true(others > 60 && __builtin_popcountll(seen) > 8);
        if (!all && scene->ego != NM_NONE) assert_int_equal(others, 0);
        nm_training_set_destroy(set);
    }
    nm_arena_destroy(arena);
}

/// Nothing to learn, and nothing that goes wrong: nobody has a whole token in a scene of one step.
static void a_scene_of_one_step_teaches_nothing(void **state) {
    (void)state;
    nm_error error;
    nm_error_clear(&error);
    const nm_training_set_config config = small_config();
    nm_training_set *set = make_set(&config);
    add(set, add_part(set, 1.0), short_scene(1, 0, 0));
    nm_backend *backend;
    nm_backend_config on = nm_backend_config_default();
    on.compute = NM_F32;
    on.threads = 1;
    assert_int_equal(nm_backend_create_cpu(&on, &backend, &error), NM_OK);
    nm_model_config shape = nm_model_config_default();
    shape.hidden = 16;
    shape.heads = 2;
    shape.blocks = 1;
    shape.frequencies = 8;
    nm_token_fit_model(&config.tokens, &shape);
    nm_model *model;
    assert_int_equal(nm_model_create(&shape, backend, 1, &model, &error), NM_OK);
    nm_trainer_config run = nm_trainer_config_default();
    run.scenes = 2;
    run.prior = NM_PRIOR_STRAIGHT;
    nm_trainer *trainer;
    assert_int_equal(nm_trainer_create(model, nm_training_set_source(set), &run, NULL, &trainer, &error), NM_OK);
    nm_train_report report;
    for (int i = 0; i < 2; i++) {
        if (nm_trainer_step(trainer, &report, &error) != NM_OK) fail_msg("%s", error.message);
        assert_int_equal(report.tokens, 0);
        assert_true(report.loss == 0.0 && report.norm == 0.0);
    }
    nm_trainer_destroy(trainer);
    nm_model_destroy(model);
    nm_backend_destroy(backend);
    nm_training_set_destroy(set);
}

// ---------------------------------------------------------------------------------------------------------------------

static void configurations_out_of_range_are_refused(void **state) {
    (void)state;
    nm_error error;
    nm_training_set *set = (nm_training_set *)&error;
    nm_training_set_config c[7];
    for (int i = 0; i < 7; i++) c[i] = small_config();
    c[0].other_ego = NAN;
    c[1].other_ego = 1.5f;
    c[2].least_future = 6;
    c[3].augmentation.drop = -1.0f;
    c[4].tokens.agents = 0;
    c[5].routes = 1.5f;
    c[6].routes = NAN;
    static const char *const names[] = {"other_ego", "other_ego", "least_future", "drop", "agents", "routes", "routes"};
    for (int i = 0; i < 7; i++) {
        assert_int_equal(nm_training_set_create(&c[i], &set, &error), NM_E_ARGUMENT);
        assert_non_null(strstr(error.message, names[i]));
        assert_null(set);
    }
}

static void what_can_not_be_learnt_from_is_refused(void **state) {
    (void)state;
    nm_error error;
    const nm_training_set_config config = small_config();
    nm_training_set *set = make_set(&config);
    static const double weights[] = {NAN, 0.0, -1.0, INFINITY, 1e300};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        uint32_t part = 77;
        const nm_example_source source = {NULL, count_example};
        assert_int_equal(nm_training_set_add_part(set, weights[i], &part, &error), NM_E_ARGUMENT);
        assert_int_equal(part, 77);
        assert_int_equal(nm_training_set_add_source(set, weights[i], source, &error), NM_E_ARGUMENT);
    }
    const uint32_t part = add_part(set, 1.0);
    const nm_scene *nobody = nm_test_scene(nm_test_road(100.0), NULL, 0, 20);
    assert_int_equal(nm_training_set_add(set, part, nobody, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "no states"));
    nm_scene_destroy(nobody); // is still ours
    const nm_scene *tenths = short_scene(40, 0, 39), *halves;
    assert_int_equal(nm_scene_resample(tenths, 0.5, &halves, &error), NM_OK);
    assert_int_equal(nm_training_set_add(set, part, halves, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "0.5 s"));
    nm_scene_destroy(halves);
    assert_int_equal(nm_training_set_scenes(set), 0);
    add(set, part, tenths); // none of it did any harm
    assert_int_equal(moments_of(set, 20).most < 40, 1);
    nm_training_set_destroy(set);
    nm_training_set_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_example_is_a_function_of_its_number),
        cmocka_unit_test(another_seed_gives_other_examples),
        cmocka_unit_test(parts_come_as_their_weights_say),
        cmocka_unit_test(moments_have_a_current_token_and_a_future),
        cmocka_unit_test(every_moment_is_as_likely),
        cmocka_unit_test(any_vehicle_may_be_the_ego),
        cmocka_unit_test(a_scene_of_one_step_teaches_nothing),
        cmocka_unit_test(configurations_out_of_range_are_refused),
        cmocka_unit_test(what_can_not_be_learnt_from_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
