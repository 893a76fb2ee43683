// Blocks of tokens: every token in one, of its own scene, of about the size asked for, together by time, by place, or
// by both; and nothing that depends on the order of tokens.
#include "ops_support.h"

enum { TOKENS = 3000, SCENES = 4, BLOCKS = 400 };

static nm_block_token tokens[TOKENS];
static uint32_t rows[2][TOKENS], offsets[2][BLOCKS + 1], scenes[2][SCENES + 1];

static nm_block_arrays arrays_of(int which) {
    return (nm_block_arrays){.tokens = TOKENS,
                             .blocks = BLOCKS,
                             .scenes = SCENES,
                             .rows = rows[which],
                             .block_offsets = offsets[which],
                             .scene_blocks = scenes[which]};
}

/// Agents that drive about; scene 1 is empty, scene 3 small.
static void make_tokens(uint64_t seed) {
    nm_test_random random = nm_test_random_of(seed);
    for (uint32_t i = 0; i < TOKENS; i++) {
        const uint32_t scene = i % 20 == 0 ? 3 : i % 3 ? 0 : 2;
        tokens[i] = (nm_block_token){.scene = scene,
                                     .time = nm_test_below(&random, 30),
                                     .x = 100 * nm_test_normal(&random),
                                     .y = 60 * nm_test_normal(&random)};
    }
}

static nm_block_set cut(const nm_partition_config *config, const nm_block_token *from, int which) {
    const nm_block_arrays arrays = arrays_of(which);
    nm_block_set set;
    nm_error error;
    if (nm_block_partition(config, from, TOKENS, SCENES, &arrays, &set, &error) != NM_OK) fail_msg("%s", error.message);
    return set;
}

static uint32_t scene_tokens(uint32_t scene) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < TOKENS; i++) count += tokens[i].scene == scene;
    return count;
}

static void every_token_is_in_one_block_of_its_scene(void **state) {
    (void)state;
    make_tokens(1);
    for (int kind = NM_BLOCK_TIME; kind <= NM_BLOCK_SPACE_TIME; kind++) {
        for (uint32_t target = 16; target <= 200; target += 61) {
            const nm_partition_config config = {.kind = (nm_block_kind)kind, .target = target, .step_m = 5};
            const nm_block_set set = cut(&config, tokens, 0);
            static int seen[TOKENS];
            memset(seen, 0, sizeof seen);
            assert_true(set.blocks <= nm_block_limit(TOKENS, SCENES, target) && set.tokens == TOKENS);
            assert_true(set.scene_blocks[0] == 0 && set.scene_blocks[SCENES] == set.blocks);
            assert_true(set.block_offsets[set.blocks] == TOKENS);
            uint32_t largest = 0, most = 0;
            for (uint32_t s = 0; s < SCENES; s++) {
                const uint32_t count = scene_tokens(s), blocks = set.scene_blocks[s + 1] - set.scene_blocks[s];
                assert_int_equal(blocks, (count + target - 1) / target);
                if (blocks > most) most = blocks;
                for (uint32_t b = set.scene_blocks[s]; b < set.scene_blocks[s + 1]; b++) {
                    const uint32_t size = set.block_offsets[b + 1] - set.block_offsets[b];
                    assert_true(size == count / blocks || size == count / blocks + 1);
                    assert_true(size <= target && (count < 3 * target || 4 * size >= 3 * target));
                    if (size > largest) largest = size;
                    for (uint32_t i = set.block_offsets[b]; i < set.block_offsets[b + 1]; i++) {
                        assert_int_equal(tokens[set.rows[i]].scene, s);
                        assert_int_equal(seen[set.rows[i]]++, 0);
                    }
                }
            }
            assert_true(set.max_block == largest && set.max_scene_blocks == most);
        }
    }
}

/// Mean over blocks of how far apart their tokens are: in time (steps), and in place (m, the larger of both sides).
static void spreads(const nm_block_set *set, uint32_t scene, double *time, double *place) {
    *time = *place = 0;
    const uint32_t first = set->scene_blocks[scene], end = set->scene_blocks[scene + 1];
    for (uint32_t b = first; b < end; b++) {
        double low[3] = {1e9, 1e9, 1e9}, high[3] = {-1e9, -1e9, -1e9};
        for (uint32_t i = set->block_offsets[b]; i < set->block_offsets[b + 1]; i++) {
            const nm_block_token *t = &tokens[set->rows[i]];
            const double at[3] = {t->time, (double)t->x, (double)t->y};
            for (int a = 0; a < 3; a++) {
                low[a] = fmin(low[a], at[a]);
                high[a] = fmax(high[a], at[a]);
            }
        }
        *time += (high[0] - low[0]) / (end - first);
        *place += fmax(high[1] - low[1], high[2] - low[2]) / (end - first);
    }
}

static void blocks_are_together_in_what_their_kind_says(void **state) {
    (void)state;
    make_tokens(2);
    double time[3], place[3];
    for (int kind = NM_BLOCK_TIME; kind <= NM_BLOCK_SPACE_TIME; kind++) {
        const nm_partition_config config = {.kind = (nm_block_kind)kind, .target = 32, .step_m = 5};
        const nm_block_set set = cut(&config, tokens, 0);
        spreads(&set, 0, &time[kind], &place[kind]);
    }
    // 1900 tokens at 30 times: 60 blocks, two for each time
    for (int kind = NM_BLOCK_TIME; kind <= NM_BLOCK_SPACE_TIME; kind++)
        printf("kind %d: blocks of %.1f steps and %.1f m\n", kind, time[kind], place[kind]);
    assert_true(time[NM_BLOCK_TIME] <= 1 && time[NM_BLOCK_SPACE] > 20);
    assert_true(time[NM_BLOCK_SPACE_TIME] < 0.7 * time[NM_BLOCK_SPACE]);
    assert_true(place[NM_BLOCK_SPACE] < 0.9 * place[NM_BLOCK_SPACE_TIME]);
    assert_true(place[NM_BLOCK_SPACE_TIME] < 0.7 * place[NM_BLOCK_TIME]);
}

/// In TIME, blocks follow each other in time.
static void stretches_of_time_do_not_overlap(void **state) {
    (void)state;
    make_tokens(3);
    const nm_partition_config config = {.kind = NM_BLOCK_TIME, .target = 100, .step_m = 5};
    const nm_block_set set = cut(&config, tokens, 0);
    for (uint32_t s = 0; s < SCENES; s++) {
        uint32_t latest = 0;
        for (uint32_t i = set.block_offsets[set.scene_blocks[s]]; i < set.block_offsets[set.scene_blocks[s + 1]]; i++) {
            assert_true(tokens[set.rows[i]].time >= latest);
            latest = tokens[set.rows[i]].time;
        }
    }
}

/// One agent of many times in one place, for SPACE, is one block wherever the others are; a step of time that counts
/// for much makes blocks of SPACE_TIME those of one time.
static void a_step_of_time_has_a_length(void **state) {
    (void)state;
    make_tokens(4);
    double time[2], place;
    for (int i = 0; i < 2; i++) {
        const nm_partition_config config = {.kind = NM_BLOCK_SPACE_TIME, .target = 32, .step_m = i ? 1e5f : 1e-3f};
        const nm_block_set set = cut(&config, tokens, 0);
        spreads(&set, 0, &time[i], &place);
    }
    assert_true(time[0] > 20 && time[1] <= 2);
}

static void the_order_of_tokens_does_not_count(void **state) {
    (void)state;
    make_tokens(5);
    static nm_block_token shuffled[TOKENS];
    static uint32_t order[TOKENS];
    nm_test_random random = nm_test_random_of(6);
    nm_test_shuffle(&random, TOKENS, order);
    for (uint32_t i = 0; i < TOKENS; i++) shuffled[order[i]] = tokens[i];
    for (int kind = NM_BLOCK_TIME; kind <= NM_BLOCK_SPACE_TIME; kind++) {
        const nm_partition_config config = {.kind = (nm_block_kind)kind, .target = 64, .step_m = 5};
        const nm_block_set a = cut(&config, tokens, 0), b = cut(&config, shuffled, 1);
        assert_memory_equal(offsets[0], offsets[1], (a.blocks + 1) * sizeof(uint32_t));
        assert_memory_equal(scenes[0], scenes[1], (SCENES + 1) * sizeof(uint32_t));
        for (uint32_t i = 0; i < TOKENS; i++) assert_int_equal(order[a.rows[i]], b.rows[i]);
    }
}

/// Parked agents: many tokens of one place, and all of one time and place.
static void equal_tokens_are_cut_all_the_same(void **state) {
    (void)state;
    make_tokens(7);
    for (uint32_t i = 0; i < TOKENS; i++) {
        tokens[i].x = tokens[i].y = 7;
        if (tokens[i].scene == 2) tokens[i].time = 1;
    }
    for (int kind = NM_BLOCK_TIME; kind <= NM_BLOCK_SPACE_TIME; kind++) {
        const nm_partition_config config = {.kind = (nm_block_kind)kind, .target = 50, .step_m = 5};
        const nm_block_set set = cut(&config, tokens, 0);
        assert_true(set.max_block <= 50 && set.block_offsets[set.blocks] == TOKENS);
    }
}

static void expect_refused(const nm_partition_config *config, const nm_block_arrays *arrays, nm_status expected,
                           const char *says) {
    nm_block_set set = {.tokens = 1};
    nm_error error;
    assert_int_equal(nm_block_partition(config, tokens, TOKENS, SCENES, arrays, &set, &error), expected);
    assert_int_equal(error.code, expected);
    if (!strstr(error.message, says)) fail_msg("'%s' does not say '%s'", error.message, says);
    assert_true(set.tokens == 0 && set.blocks == 0 && !set.rows);
}

static void bad_input_is_refused(void **state) {
    (void)state;
    make_tokens(8);
    const nm_block_arrays arrays = arrays_of(0);
    nm_partition_config config = nm_partition_config_default();
    config.target = NM_BLOCK_MIN - 1;
    expect_refused(&config, &arrays, NM_E_ARGUMENT, "15 tokens");
    config.target = NM_BLOCK_MAX + 1;
    expect_refused(&config, &arrays, NM_E_ARGUMENT, "1025 tokens");
    config = nm_partition_config_default();
    config.kind = (nm_block_kind)3;
    expect_refused(&config, &arrays, NM_E_ARGUMENT, "kind 3");
    config = nm_partition_config_default();
    config.step_m = 0;
    expect_refused(&config, &arrays, NM_E_ARGUMENT, "step of time");
    config.step_m = NAN;
    expect_refused(&config, &arrays, NM_E_ARGUMENT, "step of time");
    config = nm_partition_config_default();
    nm_block_arrays small = arrays;
    small.tokens = TOKENS - 1;
    expect_refused(&config, &small, NM_E_LIMIT, "3000 tokens");
    small = arrays;
    small.scenes = SCENES - 1;
    expect_refused(&config, &small, NM_E_LIMIT, "of 4 scenes");
    small = arrays;
    small.blocks = 20;
    expect_refused(&config, &small, NM_E_LIMIT, "the 20 blocks");
    tokens[77].scene = SCENES;
    expect_refused(&config, &arrays, NM_E_ARGUMENT, "token 77 is of scene 4");
    tokens[77].scene = 0;
    tokens[2999].y = INFINITY;
    expect_refused(&config, &arrays, NM_E_NUMERIC, "token 2999");
    tokens[2999].y = 0;
    tokens[0].x = NAN;
    expect_refused(&config, &arrays, NM_E_NUMERIC, "token 0 ");
}

static void no_token_makes_no_block(void **state) {
    (void)state;
    const nm_partition_config config = nm_partition_config_default();
    const nm_block_arrays arrays = arrays_of(0);
    nm_block_set set;
    assert_int_equal(nm_block_partition(&config, tokens, 0, 2, &arrays, &set, NULL), NM_OK);
    assert_true(set.blocks == 0 && set.scenes == 2 && set.scene_blocks[2] == 0 && set.block_offsets[0] == 0);
    assert_int_equal(nm_block_partition(&config, tokens, 0, 0, &arrays, &set, NULL), NM_OK);
    assert_true(set.blocks == 0 && set.scenes == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_is_in_one_block_of_its_scene),
        cmocka_unit_test(blocks_are_together_in_what_their_kind_says),
        cmocka_unit_test(stretches_of_time_do_not_overlap),
        cmocka_unit_test(a_step_of_time_has_a_length),
        cmocka_unit_test(the_order_of_tokens_does_not_count),
        cmocka_unit_test(equal_tokens_are_cut_all_the_same),
        cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(no_token_makes_no_block),
    };
    return cmocka_run_group_tests_name("block_partition", tests, NULL, NULL);
}
