// Every backward operation against central differences of its forward operation, in float64 on the reference backend.
#include "reference_support.h"

/// A function of some tensors, and a direction in the space of its output: their product is a number to differentiate.
typedef struct differentiable {
    void (*forward)(const void *op); ///< writes all of `output`, out of inputs it does not write
    const void *op;
    nm_tensor output, direction;
} differentiable;

static double value_of(const differentiable *f) {
    f->forward(f->op);
    double sum = 0;
    for (uint32_t r = 0; r < f->output.rows; r++)
        for (uint32_t c = 0; c < f->output.cols; c++) sum += *at(f->output, r, c) * *at(f->direction, r, c);
    return sum;
}

/// [rows][cols] of `t` as it is now. Free it.
static double *copy_of(nm_tensor t) {
    double *copy = malloc(((size_t)t.rows * t.cols + 1) * sizeof *copy);
    assert_non_null(copy);
    for (uint32_t r = 0; r < t.rows; r++)
        for (uint32_t c = 0; c < t.cols; c++) copy[(size_t)r * t.cols + c] = *at(t, r, c);
    return copy;
}

/// `analytic` (less `before`, where the operation adds: what copy_of gave, freed here) is the gradient by `input`.
/// Central differences with h = 1e-5: truncation h^2 f''' / 6 and rounding 1e-16 f / h are both far under 1e-7 of the
/// largest.
static void expect_gradient(const char *name, const differentiable *f, nm_tensor input, nm_tensor analytic,
                            double *before) {
    const double h = 1e-5, tolerance = 1e-7;
    double largest = 0, worst = 0;
    assert_true(nm_tensor_same_shape(input, analytic));
    for (uint32_t r = 0; r < input.rows; r++) {
        for (uint32_t c = 0; c < input.cols; c++) {
            double *x = at(input, r, c);
            const double kept = *x;
            *x = kept + h;
            const double above = value_of(f);
            *x = kept - h;
            const double below = value_of(f);
            *x = kept;
            const double numeric = (above - below) / (2 * h);
            const double added = *at(analytic, r, c) - (before ? before[(size_t)r * input.cols + c] : 0);
            largest = fmax(largest, fabs(numeric));
            worst = fmax(worst, fabs(added - numeric));
            if (!isfinite(added)) worst = INFINITY;
        }
    }
    if (!(largest > 1e-3)) fail_msg("%s: nothing depends on it", name);
    if (!(worst <= tolerance * largest)) fail_msg("%s: off by %.3g where the largest is %.3g", name, worst, largest);
    free(before);
}

// matrix products
// -------------------------------------------------------------------------------------------------------------------

static void run_linear(const void *op) {
    reference->ops->linear(reference, op);
}

typedef struct linear_case {
    nm_test_bench bench;
    nm_linear op;
    nm_tensor dy, dp, dgate;
} linear_case;

static void make_linear(linear_case *t, nm_epilogue epilogue, int with_bias, uint64_t seed) {
    nm_test_bench *bench = &t->bench;
    nm_test_bench_begin(bench, reference, NM_F64, 1, seed);
    const uint32_t rows = 1 + nm_test_below(&bench->random, 6), inputs = 1 + nm_test_below(&bench->random, 6);
    const uint32_t outputs = 1 + nm_test_below(&bench->random, 6);
    memset(&t->op, 0, sizeof t->op);
    t->op.x = nm_test_tensor(bench, rows, inputs, NM_TEST_COMPUTE, 1);
    t->op.weight.value = nm_test_tensor(bench, outputs, inputs, NM_TEST_PARAMETER, 1);
    if (with_bias) t->op.weight.bias = nm_test_tensor(bench, 1, outputs, NM_TEST_PARAMETER, 1);
    t->op.weight.product = reference->compute;
    t->op.epilogue = epilogue;
    t->op.residual = nm_test_tensor(bench, rows, outputs, NM_TEST_STREAM, 1);
    t->op.gate = nm_test_tensor(bench, rows, outputs, NM_TEST_COMPUTE, 1);
    t->op.y = nm_test_tensor(bench, rows, outputs, NM_TEST_STREAM, 1);
    t->op.pre = nm_test_tensor(bench, rows, outputs, NM_TEST_COMPUTE, 1);
    t->dy = nm_test_tensor(bench, rows, outputs, NM_TEST_STREAM, 1);
    t->dp = nm_test_tensor(bench, rows, outputs, NM_TEST_COMPUTE, 1);
    t->dgate = nm_test_tensor(bench, rows, outputs, NM_TEST_COMPUTE, 1);
}

static void check_linear(nm_epilogue epilogue, int with_bias, int add_dx, int in_place, uint64_t seed) {
    linear_case *t = malloc(sizeof *t);
    assert_non_null(t);
    make_linear(t, epilogue, with_bias, seed);
    const uint32_t rows = t->op.x.rows, inputs = t->op.x.cols, outputs = t->op.y.cols;
    const differentiable f = {run_linear, &t->op, t->op.y, nm_test_tensor(&t->bench, rows, outputs, NM_TEST_STREAM, 1)};
    run_linear(&t->op);
    reference->ops->convert(reference, f.direction, t->dy);
    const nm_tensor dp = in_place || epilogue == NM_EPILOGUE_NONE || epilogue == NM_EPILOGUE_RESIDUAL ? t->dy : t->dp;
    const nm_epilogue_grad undo = {
        .epilogue = epilogue, .dy = t->dy, .pre = t->op.pre, .gate = t->op.gate, .dp = dp, .dgate = t->dgate};
    if (epilogue != NM_EPILOGUE_NONE && epilogue != NM_EPILOGUE_RESIDUAL)
        reference->ops->epilogue_backward(reference, &undo);

    nm_linear_grad grad = {.x = t->op.x, .weight = t->op.weight, .dp = dp, .add_dx = add_dx};
    grad.dx = nm_test_tensor(&t->bench, rows, inputs, NM_TEST_STREAM, 1);
    grad.dweight = nm_test_tensor(&t->bench, outputs, inputs, NM_TEST_PARAMETER, 1);
    if (with_bias) grad.dbias = nm_test_tensor(&t->bench, 1, outputs, NM_TEST_PARAMETER, 1);
    double *dx = add_dx ? copy_of(grad.dx) : NULL, *dweight = copy_of(grad.dweight);
    double *dbias = with_bias ? copy_of(grad.dbias) : NULL;
    reference->ops->linear_backward(reference, &grad);
    expect_gradient("x", &f, t->op.x, grad.dx, dx);
    expect_gradient("weight", &f, t->op.weight.value, grad.dweight, dweight);
    if (with_bias) expect_gradient("bias", &f, t->op.weight.bias, grad.dbias, dbias);
    if (epilogue == NM_EPILOGUE_GATED) expect_gradient("gate", &f, t->op.gate, t->dgate, NULL);
    if (epilogue == NM_EPILOGUE_GATED || epilogue == NM_EPILOGUE_RESIDUAL)
        expect_gradient("residual", &f, t->op.residual, f.direction, NULL);
    nm_test_bench_end(&t->bench);
    free(t);
}

static void linear_has_its_gradients(void **state) {
    (void)state;
    for (int epilogue = NM_EPILOGUE_NONE; epilogue <= NM_EPILOGUE_GATED; epilogue++)
        for (int variant = 0; variant < 8; variant++)
            check_linear((nm_epilogue)epilogue, variant & 1, variant >> 1 & 1, variant >> 2 & 1,
                         (uint64_t)(10 * epilogue + variant));
}

/// What is not asked for is not computed, and does not change what is.
static void computes_only_the_gradients_asked_for(void **state) {
    (void)state;
    linear_case *t = malloc(sizeof *t);
    assert_non_null(t);
    make_linear(t, NM_EPILOGUE_NONE, 1, 5);
    const uint32_t rows = t->op.x.rows, inputs = t->op.x.cols, outputs = t->op.y.cols;
    nm_linear_grad all = {.x = t->op.x, .weight = t->op.weight, .dp = t->dy};
    all.dx = nm_test_tensor(&t->bench, rows, inputs, NM_TEST_STREAM, 1);
    all.dweight = nm_test_tensor(&t->bench, outputs, inputs, NM_TEST_PARAMETER, 0);
    all.dbias = nm_test_tensor(&t->bench, 1, outputs, NM_TEST_PARAMETER, 0);
    reference->ops->linear_backward(reference, &all);
    for (int part = 0; part < 3; part++) {
        nm_linear_grad one = {.x = t->op.x, .weight = t->op.weight, .dp = t->dy};
        const nm_tensor whole = part == 0 ? all.dx : part == 1 ? all.dweight : all.dbias;
        const nm_tensor alone = nm_test_tensor(&t->bench, whole.rows, whole.cols, NM_TEST_STREAM, 0);
        *(part == 0 ? &one.dx : part == 1 ? &one.dweight : &one.dbias) = alone;
        reference->ops->linear_backward(reference, &one);
        for (uint32_t r = 0; r < whole.rows; r++)
            for (uint32_t c = 0; c < whole.cols; c++) assert_true(*at(whole, r, c) == *at(alone, r, c));
    }
    nm_test_bench_end(&t->bench);
    free(t);
}

// normalisation and SiLU
// -------------------------------------------------------------------------------------------------------------------

static void run_layer_norm(const void *op) {
    reference->ops->layer_norm(reference, op);
}

static void check_layer_norm(int affine, uint64_t seed) {
    nm_test_bench *bench = malloc(sizeof *bench);
    assert_non_null(bench);
    nm_test_bench_begin(bench, reference, NM_F64, 1, seed);
    const uint32_t rows = 1 + nm_test_below(&bench->random, 5), cols = 3 + nm_test_below(&bench->random, 8);
    nm_layer_norm op = {.epsilon = affine ? 1e-5f : 0.5f};
    op.x = nm_test_tensor(bench, rows, cols, NM_TEST_STREAM, 1);
    nm_tensor *a = affine ? &op.weight : &op.scale, *b = affine ? &op.bias : &op.shift;
    const uint32_t own = affine ? 1 : rows;
    *a = nm_test_tensor(bench, own, cols, NM_TEST_COMPUTE, 1);
    *b = nm_test_tensor(bench, own, cols, NM_TEST_COMPUTE, 1);
    op.y = nm_test_tensor(bench, rows, cols, NM_TEST_STREAM, 1);
    op.statistics = nm_test_tensor(bench, rows, 2, NM_TEST_PLAIN, 1);
    const differentiable f = {run_layer_norm, &op, op.y, nm_test_tensor(bench, rows, cols, NM_TEST_STREAM, 1)};
    run_layer_norm(&op);

    nm_layer_norm_grad grad = {
        .x = op.x, .weight = op.weight, .scale = op.scale, .statistics = op.statistics, .dy = f.direction};
    grad.dx = nm_test_tensor(bench, rows, cols, NM_TEST_STREAM, 1);
    nm_tensor *da = affine ? &grad.dweight : &grad.dscale, *db = affine ? &grad.dbias : &grad.dshift;
    *da = nm_test_tensor(bench, own, cols, NM_TEST_COMPUTE, 1);
    *db = nm_test_tensor(bench, own, cols, NM_TEST_COMPUTE, 1);
    double *dx = copy_of(grad.dx), *before_a = affine ? copy_of(*da) : NULL, *before_b = affine ? copy_of(*db) : NULL;
    reference->ops->layer_norm_backward(reference, &grad);
    expect_gradient("x", &f, op.x, grad.dx, dx);
    expect_gradient(affine ? "weight" : "scale", &f, *a, *da, before_a);
    expect_gradient(affine ? "bias" : "shift", &f, *b, *db, before_b);

    nm_test_bench_end(bench);
    free(bench);
}

static void layer_norm_has_its_gradients(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        check_layer_norm(0, seed);
        check_layer_norm(1, seed + 100);
    }
}

static void run_silu(const void *op) {
    const nm_tensor *x_and_y = op;
    reference->ops->silu(reference, x_and_y[0], x_and_y[1]);
}

static void silu_has_its_gradient(void **state) {
    (void)state;
    nm_test_bench *bench = malloc(sizeof *bench);
    assert_non_null(bench);
    nm_test_bench_begin(bench, reference, NM_F64, 1, 3);
    const nm_tensor x_and_y[2] = {nm_test_tensor(bench, 5, 7, NM_TEST_STREAM, 2),
                                  nm_test_tensor(bench, 5, 7, NM_TEST_COMPUTE, 1)};
    const differentiable f = {run_silu, x_and_y, x_and_y[1], nm_test_tensor(bench, 5, 7, NM_TEST_COMPUTE, 1)};
    const nm_tensor dx = nm_test_tensor(bench, 5, 7, NM_TEST_STREAM, 1);
    double *before = copy_of(dx);
    reference->ops->silu_backward(reference, x_and_y[0], f.direction, dx);
    expect_gradient("x", &f, x_and_y[0], dx, before);
    nm_test_bench_end(bench);
    free(bench);
}

// attention
// -------------------------------------------------------------------------------------------------------------------

static void run_attention(const void *op) {
    reference->ops->attention(reference, op);
}

typedef enum who { RANDOM_GROUPS, SHARED_KEYS, OVER_TIME, OVER_AGENTS } who;

static void check_attention(who attend, int with_poses, uint32_t heads, uint64_t seed) {
    static nm_test_groups lists;
    nm_test_bench *bench = malloc(sizeof *bench);
    assert_non_null(bench);
    nm_test_bench_begin(bench, reference, NM_F64, 1, seed);
    uint32_t queries = 7, keys = 9;
    if (attend == OVER_TIME || attend == OVER_AGENTS)
        queries = keys = nm_test_groups_tokens(&bench->random, 3, 4, 0.7, attend == OVER_AGENTS, &lists);
    else
        nm_test_groups_random(&bench->random, queries, keys, 4, attend == SHARED_KEYS, &lists);
    const nm_groups groups = nm_test_groups_upload(bench, &lists);
    const uint32_t width = heads * 3;
    nm_attention op = {.heads = heads, .groups = &groups};
    op.q = nm_test_tensor(bench, queries, width, NM_TEST_COMPUTE, 1);
    op.k = nm_test_tensor(bench, keys, width, NM_TEST_COMPUTE, 1);
    op.v = nm_test_tensor(bench, keys, width, NM_TEST_COMPUTE, 1);
    if (with_poses) {
        op.query_pose = nm_test_poses(bench, queries, 20);
        op.key_pose = nm_test_poses(bench, keys, 20);
        op.pose_weight = nm_test_tensor(bench, heads, NM_POSE_FEATURES, NM_TEST_PARAMETER, 1);
    }
    op.out = nm_test_tensor(bench, queries, width, NM_TEST_COMPUTE, 1);
    op.logsumexp = nm_test_tensor(bench, queries, heads, NM_TEST_PLAIN, 1);
    const differentiable f = {run_attention, &op, op.out, nm_test_tensor(bench, queries, width, NM_TEST_COMPUTE, 1)};
    run_attention(&op);

    nm_attention_grad grad = {.forward = op, .dout = f.direction};
    grad.dq = nm_test_tensor(bench, queries, width, NM_TEST_COMPUTE, 1);
    grad.dk = nm_test_tensor(bench, keys, width, NM_TEST_COMPUTE, 1);
    grad.dv = nm_test_tensor(bench, keys, width, NM_TEST_COMPUTE, 1);
    double *before = NULL;
    if (with_poses) {
        grad.dpose_weight = nm_test_tensor(bench, heads, NM_POSE_FEATURES, NM_TEST_PARAMETER, 1);
        before = copy_of(grad.dpose_weight);
    }
    reference->ops->attention_backward(reference, &grad);
    expect_gradient("q", &f, op.q, grad.dq, NULL);
    expect_gradient("k", &f, op.k, grad.dk, NULL);
    expect_gradient("v", &f, op.v, grad.dv, NULL);
    if (with_poses) expect_gradient("pose_weight", &f, op.pose_weight, grad.dpose_weight, before);
    nm_test_bench_end(bench);
    free(bench);
}

static void attention_has_its_gradients(void **state) {
    (void)state;
    for (int attend = RANDOM_GROUPS; attend <= OVER_AGENTS; attend++)
        for (int with_poses = 0; with_poses < 2; with_poses++)
            for (uint32_t heads = 1; heads <= 2; heads++)
                check_attention((who)attend, with_poses, heads, (uint64_t)attend * 10 + heads);
}

/// Rotation in place, as a function from one tensor to another.
typedef struct rotary_case {
    nm_tensor x, y, time;
} rotary_case;

static void run_rotary(const void *op) {
    const rotary_case *t = op;
    reference->ops->convert(reference, t->x, t->y);
    reference->ops->rotary(reference, t->y, t->time, 2, 1);
}

static void rotary_turns_its_gradient_back(void **state) {
    (void)state;
    nm_test_bench *bench = malloc(sizeof *bench);
    assert_non_null(bench);
    nm_test_bench_begin(bench, reference, NM_F64, 1, 4);
    const rotary_case t = {.x = nm_test_tensor(bench, 5, 12, NM_TEST_COMPUTE, 1),
                           .y = nm_test_tensor(bench, 5, 12, NM_TEST_COMPUTE, 1),
                           .time = nm_test_tensor(bench, 5, 1, NM_TEST_PLAIN, 9)};
    const differentiable f = {run_rotary, &t, t.y, nm_test_tensor(bench, 5, 12, NM_TEST_COMPUTE, 1)};
    const nm_tensor dx = nm_test_tensor(bench, 5, 12, NM_TEST_COMPUTE, 1);
    reference->ops->convert(reference, f.direction, dx);
    reference->ops->rotary(reference, dx, t.time, 2, -1);
    expect_gradient("x", &f, t.x, dx, NULL);
    nm_test_bench_end(bench);
    free(bench);
}

// tables
// -------------------------------------------------------------------------------------------------------------------

typedef struct lookup_case {
    nm_lookup a, b;
    nm_tensor x, y;
} lookup_case;

static void run_lookup(const void *op) {
    const lookup_case *t = op;
    reference->ops->convert(reference, t->x, t->y);
    reference->ops->lookup(reference, &t->a, &t->b, t->y);
}

static void lookup_has_its_gradients(void **state) {
    (void)state;
    nm_test_bench *bench = malloc(sizeof *bench);
    assert_non_null(bench);
    nm_test_bench_begin(bench, reference, NM_F64, 1, 6);
    const uint32_t rows = 11, cols = 5;
    lookup_case t = {.x = nm_test_tensor(bench, rows, cols, NM_TEST_STREAM, 1),
                     .y = nm_test_tensor(bench, rows, cols, NM_TEST_STREAM, 1)};
    t.a = nm_test_lookup(bench, 4, rows, cols);
    t.b = nm_test_lookup(bench, 6, rows, cols);
    const differentiable f = {run_lookup, &t, t.y, nm_test_tensor(bench, rows, cols, NM_TEST_STREAM, 1)};
    const nm_tensor da = nm_test_tensor(bench, 4, cols, NM_TEST_COMPUTE, 1);
    const nm_tensor db = nm_test_tensor(bench, 6, cols, NM_TEST_COMPUTE, 1);
    reference->ops->lookup_backward(reference, &t.a, f.direction, da);
    reference->ops->lookup_backward(reference, &t.b, f.direction, db);
    expect_gradient("table a", &f, t.a.table, da, NULL);
    expect_gradient("table b", &f, t.b.table, db, NULL);
    expect_gradient("x", &f, t.x, f.direction, NULL);
    nm_test_bench_end(bench);
    free(bench);
}

static void run_repeat(const void *op) {
    const nm_tensor *table_and_x = op;
    reference->ops->repeat(reference, table_and_x[0], 3, table_and_x[1]);
}

static void repeat_has_its_gradient(void **state) {
    (void)state;
    nm_test_bench *bench = malloc(sizeof *bench);
    assert_non_null(bench);
    nm_test_bench_begin(bench, reference, NM_F64, 1, 7);
    const nm_tensor table_and_x[2] = {nm_test_tensor(bench, 4, 5, NM_TEST_PARAMETER, 1),
                                      nm_test_tensor(bench, 12, 5, NM_TEST_STREAM, 1)};
    const differentiable f = {run_repeat, table_and_x, table_and_x[1], nm_test_tensor(bench, 12, 5, NM_TEST_STREAM, 1)};
    const nm_tensor dtable = nm_test_tensor(bench, 4, 5, NM_TEST_PARAMETER, 1);
    double *before = copy_of(dtable);
    reference->ops->repeat_backward(reference, f.direction, 3, dtable);
    expect_gradient("table", &f, table_and_x[0], dtable, before);
    nm_test_bench_end(bench);
    free(bench);
}

// the loss
// -------------------------------------------------------------------------------------------------------------------

static void run_noise_loss(const void *op) {
    reference->ops->noise_loss(reference, op);
}

static void noise_loss_has_its_gradient(void **state) {
    (void)state;
    nm_test_bench *bench = malloc(sizeof *bench);
    assert_non_null(bench);
    nm_test_bench_begin(bench, reference, NM_F64, 1, 8);
    nm_noise_loss op = {.v = nm_test_tensor(bench, 6, 5, NM_TEST_STREAM, 1),
                        .z = nm_test_tensor(bench, 6, 5, NM_TEST_STREAM, 1),
                        .e = nm_test_tensor(bench, 6, 5, NM_TEST_STREAM, 1),
                        .alpha = nm_test_tensor(bench, 6, 1, NM_TEST_PLAIN, 1),
                        .sigma = nm_test_tensor(bench, 6, 1, NM_TEST_PLAIN, 1),
                        .row_weight = nm_test_tensor(bench, 6, 1, NM_TEST_PLAIN, 1),
                        .loss = nm_test_tensor(bench, 1, 1, NM_TEST_DOUBLE, 1),
                        .dv = nm_test_tensor(bench, 6, 5, NM_TEST_COMPUTE, 1)};
    const float one = 1;
    const differentiable f = {run_noise_loss, &op, op.loss, nm_test_tensor_of(bench, 1, 1, NM_TEST_DOUBLE, &one)};
    run_noise_loss(&op);
    const nm_tensor dv = op.dv;
    op.dv = nm_tensor_none(); // optional, and what was written must not follow the perturbed inputs
    expect_gradient("v", &f, op.v, dv, NULL);
    nm_test_bench_end(bench);
    free(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_has_its_gradients),     cmocka_unit_test(computes_only_the_gradients_asked_for),
        cmocka_unit_test(layer_norm_has_its_gradients), cmocka_unit_test(silu_has_its_gradient),
        cmocka_unit_test(attention_has_its_gradients),  cmocka_unit_test(rotary_turns_its_gradient_back),
        cmocka_unit_test(lookup_has_its_gradients),     cmocka_unit_test(repeat_has_its_gradient),
        cmocka_unit_test(noise_loss_has_its_gradient),
    };
    return cmocka_run_group_tests_name("gradients of the operations", tests, make_reference, destroy_reference);
}
