// What attention must do, seen from outside: a dense formulation, invariances, and the features of poses, on the
// reference backend.
#include "reference_support.h"

#include "nexus/ops/pose.h"

static nm_test_bench bench;
static nm_test_groups lists;

static int begin(void **state) {
    (void)state;
    nm_test_bench_begin(&bench, reference, NM_F64, 1, 12);
    return 0;
}
static int end(void **state) {
    (void)state;
    nm_test_bench_end(&bench);
    return 0;
}

static nm_tensor make(uint32_t rows, uint32_t cols) {
    return nm_test_tensor(&bench, rows, cols, NM_TEST_COMPUTE, 1);
}

enum { QUERIES = 13, KEYS = 11, HEADS = 2, WIDTH = 6 };

/// Random attention over `lists`, which are made here, too.
static nm_attention make_attention(nm_groups *groups, int shared_keys, int with_poses) {
    nm_test_groups_random(&bench.random, QUERIES, KEYS, 4, shared_keys, &lists);
    *groups = nm_test_groups_upload(&bench, &lists);
    nm_attention op = {.q = make(QUERIES, WIDTH), .k = make(KEYS, WIDTH), .v = make(KEYS, WIDTH), .heads = HEADS};
    op.groups = groups;
    if (with_poses) {
        op.query_pose = nm_test_poses(&bench, QUERIES, 30);
        op.key_pose = nm_test_poses(&bench, KEYS, 30);
        op.pose_weight = make(HEADS, NM_POSE_FEATURES);
    }
    op.out = make(QUERIES, WIDTH);
    op.logsumexp = make(QUERIES, HEADS);
    return op;
}

/// The same as dense attention under a mask: numerator and denominator summed side by side, nothing subtracted.
static void agrees_with_masked_dense_attention(void **state) {
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        nm_groups groups;
        const nm_attention op = make_attention(&groups, variant & 1, variant >> 1);
        reference->ops->attention(reference, &op);
        static int may[QUERIES][KEYS];
        memset(may, 0, sizeof may);
        for (uint32_t g = 0; g < lists.count; g++)
            for (uint32_t i = lists.query_offsets[g]; i < lists.query_offsets[g + 1]; i++)
                for (uint32_t j = lists.key_offsets[g]; j < lists.key_offsets[g + 1]; j++)
                    may[lists.query_rows[i]][lists.key_rows[j]] = 1;
        for (uint32_t i = 0; i < QUERIES; i++) {
            for (uint32_t c = 0; c < WIDTH; c++) {
                const uint32_t head = c / 3;
                double above = 0, below = 0;
                for (uint32_t j = 0; j < KEYS; j++) {
                    if (!may[i][j]) continue;
                    double s = 0, f[NM_POSE_FEATURES];
                    for (uint32_t d = 3 * head; d < 3 * head + 3; d++) s += *at(op.q, i, d) * *at(op.k, j, d) / sqrt(3);
                    if (variant >> 1) nm_pose_features(at(op.query_pose, i, 0), at(op.key_pose, j, 0), f);
                    for (uint32_t n = 0; n < NM_POSE_FEATURES && variant >> 1; n++)
                        s += *at(op.pose_weight, head, n) * f[n];
                    above += exp(s) * *at(op.v, j, c);
                    below += exp(s);
                }
                expect_near(*at(op.out, i, c), below > 0 ? above / below : 0, 1e-13);
                if (below > 0)
                    expect_near(*at(op.logsumexp, i, head), log(below), 1e-13);
                else
                    assert_true(*at(op.logsumexp, i, head) == -INFINITY);
            }
        }
    }
}

static void equal_scores_average(void **state) {
    (void)state;
    nm_groups groups;
    const nm_attention op = make_attention(&groups, 0, 0);
    reference->ops->zero(reference, op.q);
    reference->ops->attention(reference, &op);
    for (uint32_t g = 0; g < lists.count; g++) {
        const uint32_t keys = lists.key_offsets[g + 1] - lists.key_offsets[g];
        for (uint32_t i = lists.query_offsets[g]; i < lists.query_offsets[g + 1]; i++) {
            for (uint32_t c = 0; c < WIDTH; c++) {
                double mean = 0;
                for (uint32_t j = lists.key_offsets[g]; j < lists.key_offsets[g + 1]; j++)
                    mean += *at(op.v, lists.key_rows[j], c) / keys;
                expect_near(*at(op.out, lists.query_rows[i], c), mean, 1e-14);
            }
            if (keys) expect_near(*at(op.logsumexp, lists.query_rows[i], 0), log(keys), 1e-14);
        }
    }
}

static void large_scores_do_not_overflow(void **state) {
    (void)state;
    nm_groups groups;
    const nm_attention op = make_attention(&groups, 1, 0);
    for (uint32_t i = 0; i < QUERIES; i++)
        for (uint32_t c = 0; c < WIDTH; c++) *at(op.q, i, c) *= 1e6;
    reference->ops->attention(reference, &op);
    for (uint32_t g = 0; g < lists.count; g++) { // all weight on the key of the largest score
        for (uint32_t i = lists.query_offsets[g]; i < lists.query_offsets[g + 1]; i++) {
            double largest = -INFINITY, expected = 0;
            for (uint32_t j = lists.key_offsets[g]; j < lists.key_offsets[g + 1]; j++) {
                double s = 0;
                for (uint32_t c = 0; c < 3; c++)
                    s += *at(op.q, lists.query_rows[i], c) * *at(op.k, lists.key_rows[j], c);
                if (s > largest) expected = *at(op.v, lists.key_rows[j], 0);
                largest = fmax(largest, s);
            }
            expect_near(*at(op.out, lists.query_rows[i], 0), expected, 1e-12);
        }
    }
}

/// Renaming rows renames the result: rows have no order of their own.
static void permuted_rows_give_permuted_results(void **state) {
    (void)state;
    static nm_test_groups renamed;
    nm_groups groups;
    nm_attention op = make_attention(&groups, 1, 1), other = op;
    uint32_t query_name[QUERIES], key_name[KEYS];
    nm_test_shuffle(&bench.random, QUERIES, query_name);
    nm_test_shuffle(&bench.random, KEYS, key_name);
    renamed = lists;
    for (uint32_t i = 0; i < lists.query_offsets[lists.count]; i++)
        renamed.query_rows[i] = query_name[lists.query_rows[i]];
    for (uint32_t i = 0; i < lists.key_offsets[lists.count]; i++) renamed.key_rows[i] = key_name[lists.key_rows[i]];
    const nm_groups renamed_groups = nm_test_groups_upload(&bench, &renamed);
    other.groups = &renamed_groups;
    nm_tensor *from[5] = {&op.q, &op.query_pose, &op.k, &op.v, &op.key_pose};
    nm_tensor *to[5] = {&other.q, &other.query_pose, &other.k, &other.v, &other.key_pose};
    for (int t = 0; t < 5; t++) {
        *to[t] = make(from[t]->rows, from[t]->cols);
        for (uint32_t r = 0; r < from[t]->rows; r++)
            for (uint32_t c = 0; c < from[t]->cols; c++)
                *at(*to[t], t < 2 ? query_name[r] : key_name[r], c) = *at(*from[t], r, c);
    }
    other.out = make(QUERIES, WIDTH);
    other.logsumexp = nm_tensor_none(); // optional
    reference->ops->attention(reference, &op);
    reference->ops->attention(reference, &other);
    for (uint32_t i = 0; i < QUERIES; i++)
        for (uint32_t c = 0; c < WIDTH; c++) assert_true(*at(op.out, i, c) == *at(other.out, query_name[i], c));
}

static void heads_do_not_see_each_other(void **state) {
    (void)state;
    nm_groups groups;
    nm_attention op = make_attention(&groups, 0, 1), one = op;
    reference->ops->attention(reference, &op);
    for (uint32_t head = 0; head < HEADS; head++) {
        one.heads = 1;
        one.q = nm_tensor_cols(op.q, 3 * head, 3);
        one.k = nm_tensor_cols(op.k, 3 * head, 3);
        one.v = nm_tensor_cols(op.v, 3 * head, 3);
        one.pose_weight = nm_tensor_rows(op.pose_weight, head, 1);
        one.out = make(QUERIES, 3);
        one.logsumexp = make(QUERIES, 1);
        reference->ops->attention(reference, &one);
        expect_all_near(one.out, nm_tensor_cols(op.out, 3 * head, 3), 0);
    }
}

static void keys_in_no_group_get_no_gradient(void **state) {
    (void)state;
    nm_groups groups;
    const nm_attention op = make_attention(&groups, 0, 0);
    reference->ops->attention(reference, &op);
    const nm_attention_grad grad = {.forward = op,
                                    .dout = make(QUERIES, WIDTH),
                                    .dq = make(QUERIES, WIDTH),
                                    .dk = make(KEYS, WIDTH),
                                    .dv = make(KEYS, WIDTH)};
    reference->ops->attention_backward(reference, &grad);
    uint32_t used[KEYS] = {0}, unused = 0;
    for (uint32_t j = 0; j < lists.key_offsets[lists.count]; j++) used[lists.key_rows[j]] = 1;
    for (uint32_t j = 0; j < KEYS; j++) {
        unused += !used[j];
        for (uint32_t c = 0; c < WIDTH; c++)
            assert_true(used[j] || (*at(grad.dk, j, c) == 0 && *at(grad.dv, j, c) == 0));
    }
    assert_true(unused > 0);
    // and queries without a key
    for (uint32_t i = lists.query_offsets[1]; i < lists.query_offsets[2]; i++)
        for (uint32_t c = 0; c < WIDTH; c++) assert_true(*at(grad.dq, lists.query_rows[i], c) == 0);
}

// poses
// -------------------------------------------------------------------------------------------------------------------

/// Turns and moves every pose of `t`.
static void move_all(nm_tensor t, double angle, double east, double north) {
    for (uint32_t r = 0; r < t.rows; r++) {
        const double x = *at(t, r, 0), y = *at(t, r, 1), c = *at(t, r, 2), s = *at(t, r, 3);
        *at(t, r, 0) = x * cos(angle) - y * sin(angle) + east;
        *at(t, r, 1) = x * sin(angle) + y * cos(angle) + north;
        *at(t, r, 2) = c * cos(angle) - s * sin(angle);
        *at(t, r, 3) = c * sin(angle) + s * cos(angle);
    }
}

static void poses_are_relative(void **state) {
    (void)state;
    nm_groups groups;
    nm_attention op = make_attention(&groups, 0, 1);
    reference->ops->attention(reference, &op);
    const nm_tensor before = op.out;
    move_all(op.query_pose, 2, -40, 70);
    op.out = make(QUERIES, WIDTH);
    reference->ops->attention(reference, &op); // the queries alone have moved
    double moved = 0;
    for (uint32_t i = 0; i < QUERIES; i++) moved = fmax(moved, fabs(*at(op.out, i, 0) - *at(before, i, 0)));
    assert_true(moved > 0.1);
    move_all(op.key_pose, 2, -40, 70);
    reference->ops->attention(reference, &op);
    expect_all_near(op.out, before, 1e-11);
}

static void features_have_known_values(void **state) {
    (void)state;
    // the query looks north from (10, 20); the key is 3 m to its left (west), looking west: bearing and turn +90 deg
    const double query[4] = {10, 20, 0, 1}, key[4] = {7, 20, -1, 0};
    const double near3 = exp(-3.0 / 20); // log2(1 + 3) = 2
    const double expected[NM_POSE_FEATURES] = {exp(-4), exp(-1), 1,     exp(-1), exp(-4), exp(-9), 0,
                                               1,       0,       near3, 0,       1,       0,       near3};
    double feature[NM_POSE_FEATURES];
    nm_pose_features(query, key, feature);
    for (int f = 0; f < NM_POSE_FEATURES; f++) expect_near(feature[f], expected[f], 1e-15);
    // at the same place there is no bearing, and near is 1
    const double there[4] = {10, 20, 0.6, -0.8};
    nm_pose_features(query, there, feature);
    for (int f = 0; f < 6; f++) expect_near(feature[f], exp(-f * f), 1e-15);
    for (int f = 6; f < 10; f++) expect_near(feature[f], 0, 0);
    for (int f = 10; f < 14; f += 2) {
        expect_near(feature[f], -0.8, 1e-15);
        expect_near(feature[f + 1], -0.6, 1e-15);
    }
}

static void features_in_float_agree(void **state) {
    (void)state;
    const nm_tensor poses = nm_test_poses(&bench, 40, 200);
    for (uint32_t i = 0; i < 40; i++) {
        for (uint32_t j = 0; j < 40; j++) {
            double feature[NM_POSE_FEATURES];
            float query[4], key[4], single[NM_POSE_FEATURES];
            for (uint32_t c = 0; c < 4; c++) {
                query[c] = (float)*at(poses, i, c);
                key[c] = (float)*at(poses, j, c);
            }
            nm_pose_features(at(poses, i, 0), at(poses, j, 0), feature);
            nm_pose_features_f32(query, key, single);
            for (int f = 0; f < NM_POSE_FEATURES; f++) {
                expect_near((double)single[f], feature[f], 1e-5);
                assert_true(fabs(feature[f]) <= 1 + 1e-6);
            }
        }
    }
}

// rotary
// -------------------------------------------------------------------------------------------------------------------

static double product(nm_tensor a, uint32_t i, nm_tensor b, uint32_t j) {
    double sum = 0;
    for (uint32_t c = 0; c < a.cols; c++) sum += *at(a, i, c) * *at(b, j, c);
    return sum;
}

static void rotary_turns_pairs(void **state) {
    (void)state;
    // two heads of width 4: frequencies 1 and 10000^(-2/4) = 0.01
    const float time[2] = {0, 3};
    const nm_tensor x = make(2, 8), before = make(2, 8);
    const nm_tensor times = nm_test_tensor_of(&bench, 2, 1, NM_TEST_PLAIN, time);
    reference->ops->convert(reference, x, before);
    reference->ops->rotary(reference, x, times, 2, 1);
    expect_all_near(nm_tensor_rows(x, 0, 1), nm_tensor_rows(before, 0, 1), 0);
    for (uint32_t pair = 0; pair < 4; pair++) {
        const double angle = pair % 2 ? 0.03 : 3, a = *at(before, 1, 2 * pair), b = *at(before, 1, 2 * pair + 1);
        expect_near(*at(x, 1, 2 * pair), a * cos(angle) - b * sin(angle), 1e-14);
        expect_near(*at(x, 1, 2 * pair + 1), a * sin(angle) + b * cos(angle), 1e-14);
    }
    expect_near(product(x, 1, x, 1), product(before, 1, before, 1), 1e-13);
    reference->ops->rotary(reference, x, times, 2, -1);
    expect_all_near(x, before, 1e-14);
}

static void rotary_sees_time_differences_alone(void **state) {
    (void)state;
    const nm_tensor q = make(1, 8), k = make(1, 8), turned_q = make(4, 8), turned_k = make(4, 8);
    const float query_time[4] = {1, 6, 101, 1}, key_time[4] = {4, 9, 104, 5}; // three times 3 apart, once 4
    for (uint32_t n = 0; n < 4; n++) {
        reference->ops->convert(reference, q, nm_tensor_rows(turned_q, n, 1));
        reference->ops->convert(reference, k, nm_tensor_rows(turned_k, n, 1));
    }
    reference->ops->rotary(reference, turned_q, nm_test_tensor_of(&bench, 4, 1, NM_TEST_PLAIN, query_time), 2, 1);
    reference->ops->rotary(reference, turned_k, nm_test_tensor_of(&bench, 4, 1, NM_TEST_PLAIN, key_time), 2, 1);
    for (uint32_t n = 1; n < 3; n++)
        expect_near(product(turned_q, n, turned_k, n), product(turned_q, 0, turned_k, 0), 1e-12);
    assert_true(fabs(product(turned_q, 3, turned_k, 3) - product(turned_q, 0, turned_k, 0)) > 1e-3);
}

static void turns_are_those_that_are_given(void **state) {
    (void)state;
    // two pairs, for the left and the right half of x alike; the second turns by no angle alone, but grows, too
    const float given[4] = {0.6f, 0.8f, 2, 0};
    const nm_tensor x = make(1, 8), y = make(1, 8), back = make(1, 8);
    const nm_tensor turns = nm_test_tensor_of(&bench, 1, 4, NM_TEST_PLAIN, given);
    const nm_pair_turn op = {.x = x, .turns = turns, .direction = 1, .y = y};
    reference->ops->turn(reference, &op);
    for (uint32_t c = 0; c < 8; c += 4) {
        const double cosine = (double)given[0], sine = (double)given[1];
        expect_near(*at(y, 0, c), cosine * *at(x, 0, c) - sine * *at(x, 0, c + 1), 1e-15);
        expect_near(*at(y, 0, c + 1), sine * *at(x, 0, c) + cosine * *at(x, 0, c + 1), 1e-15);
        expect_near(*at(y, 0, c + 2), 2 * *at(x, 0, c + 2), 0);
        expect_near(*at(y, 0, c + 3), 2 * *at(x, 0, c + 3), 0);
    }
    // the other direction is the gradient: d/dx of (w . y) is what w becomes
    const nm_tensor w = make(1, 8);
    const nm_pair_turn gradient = {.x = w, .turns = turns, .direction = -1, .y = back};
    reference->ops->turn(reference, &gradient);
    expect_near(product(back, 0, x, 0), product(w, 0, y, 0), 1e-14);
}

#define PROPERTY(name) cmocka_unit_test_setup_teardown(name, begin, end)
int main(void) {
    const struct CMUnitTest tests[] = {
        PROPERTY(agrees_with_masked_dense_attention),
        PROPERTY(equal_scores_average),
        PROPERTY(large_scores_do_not_overflow),
        PROPERTY(permuted_rows_give_permuted_results),
        PROPERTY(heads_do_not_see_each_other),
        PROPERTY(keys_in_no_group_get_no_gradient),
        PROPERTY(poses_are_relative),
        PROPERTY(features_have_known_values),
        PROPERTY(features_in_float_agree),
        PROPERTY(rotary_turns_pairs),
        PROPERTY(rotary_sees_time_differences_alone),
        PROPERTY(turns_are_those_that_are_given),
    };
    return cmocka_run_group_tests_name("attention", tests, make_reference, destroy_reference);
}
