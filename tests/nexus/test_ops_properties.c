// What the operations must do, seen from outside: closed forms, invariances and independent formulations, on the
// reference backend.
#include "reference_support.h"

static nm_test_bench bench;

static int begin(void **state) {
    (void)state;
    nm_test_bench_begin(&bench, reference, NM_F64, 1, 11);
    return 0;
}
static int end(void **state) {
    (void)state;
    nm_test_bench_end(&bench);
    return 0;
}

static nm_tensor make(uint32_t rows, uint32_t cols) {
    return nm_test_tensor(&bench, rows, cols, NM_TEST_STREAM, 1);
}
static nm_tensor filled(uint32_t rows, uint32_t cols, float value) {
    float values[256];
    assert_true(rows * cols <= 256);
    for (uint32_t i = 0; i < rows * cols; i++) values[i] = value;
    return nm_test_tensor_of(&bench, rows, cols, NM_TEST_STREAM, values);
}

// memory
// -------------------------------------------------------------------------------------------------------------------

static void memory_is_zeroed_and_aligned(void **state) {
    (void)state;
    for (size_t bytes = 0; bytes < 2000; bytes += 333) {
        unsigned char *memory = reference->ops->allocate(reference, bytes);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 256, 0);
        for (size_t i = 0; i < bytes; i++) assert_int_equal(memory[i], 0);
        memset(memory, 0xff, bytes);
        reference->ops->release(reference, memory);
    }
    assert_null(reference->ops->allocate(reference, SIZE_MAX));
    reference->ops->release(reference, NULL);
    nm_backend_destroy(NULL);
}

static void zero_stays_in_its_view(void **state) {
    (void)state;
    const nm_tensor t = make(4, 5);
    reference->ops->zero(reference, nm_tensor_cols(nm_tensor_rows(t, 1, 2), 2, 2));
    for (uint32_t r = 0; r < 4; r++)
        for (uint32_t c = 0; c < 5; c++) assert_true((*at(t, r, c) == 0) == (r / 2 != r % 2 && c / 2 == 1));
}

static uint16_t bf16_of(double value) {
    nm_tensor from = nm_tensor_create(reference, 1, 1, NM_F64), to = nm_tensor_create(reference, 1, 1, NM_BF16);
    *(double *)from.data = value;
    reference->ops->convert(reference, from, to);
    const uint16_t half = *(uint16_t *)to.data;
    reference->ops->release(reference, from.data);
    reference->ops->release(reference, to.data);
    return half;
}

static void converts_to_the_nearest_even(void **state) {
    (void)state;
    assert_int_equal(bf16_of(1.0), 0x3f80);
    assert_int_equal(bf16_of(-2.5), 0xc020);
    assert_int_equal(bf16_of(1.0 + 0x1p-8), 0x3f80);              // a tie: down to even
    assert_int_equal(bf16_of(1.0 + 0x3p-8), 0x3f82);              // a tie: up to even
    assert_int_equal(bf16_of(1.0 + 0x1p-8 + 0x1p-40), 0x3f81);    // over a tie by less than a float can say
    assert_int_equal(bf16_of(-(1.0 + 0x3p-8 - 0x1p-40)), 0xbf81); // and under one
    assert_int_equal(bf16_of(0x1p300), 0x7f80);
    assert_int_equal(bf16_of(0x1.fep127), 0x7f7f);
    assert_int_equal(bf16_of(0x1.ffp127), 0x7f80); // the tie between the largest and infinity
    assert_int_equal(bf16_of(-INFINITY), 0xff80);
    assert_int_equal(bf16_of(-0.0), 0x8000);
    assert_int_equal(bf16_of(1e-300), 0);
    assert_true((bf16_of((double)NAN) & 0x7fff) > 0x7f80);
    for (uint32_t half = 0; half < 0x10000; half++) { // every bf16 stays itself
        const float value = nm_float_of_bf16((uint16_t)half);
        if (isnan(value))
            assert_true(isnan(nm_float_of_bf16(nm_bf16_of_float(value))));
        else
            assert_int_equal(nm_bf16_of_float(value), half);
    }
}

static void uploads_and_downloads(void **state) {
    (void)state;
    const float host[6] = {1, -2.25f, 3e-20f, 4e20f, 0.1f, -0.0f};
    for (int dtype = NM_F64; dtype <= NM_BF16; dtype++) {
        const nm_tensor whole = nm_tensor_create(reference, 3, 4, (nm_dtype)dtype);
        const nm_tensor t = nm_tensor_cols(whole, 1, 2);
        float back[6];
        reference->ops->upload(reference, host, t);
        reference->ops->download(reference, t, back);
        for (int i = 0; i < 6; i++) {
            const float expected = dtype == NM_BF16 ? nm_float_of_bf16(nm_bf16_of_float(host[i])) : host[i];
            assert_memory_equal(&back[i], &expected, sizeof expected);
        }
        reference->ops->release(reference, whole.data);
    }
    uint32_t *indices = reference->ops->allocate(reference, 3 * sizeof *indices);
    reference->ops->upload_u32(reference, (const uint32_t[]){7, UINT32_MAX, 0}, 3, indices);
    assert_true(indices[0] == 7 && indices[1] == UINT32_MAX && indices[2] == 0);
    reference->ops->release(reference, indices);
}

static jmp_buf after_assertion;
static void jump_out(const char *condition, const char *file, int line) {
    (void)condition, (void)file, (void)line;
    longjmp(after_assertion, 1);
}

static void asserts_shapes(void **state) {
    (void)state;
    nm_linear op = {.x = make(2, 3), .weight = {.value = make(4, 3)}, .y = make(2, 5)};
    volatile int refused = 0;
    nm_set_assert_handler(jump_out);
    if (setjmp(after_assertion) == 0)
        reference->ops->linear(reference, &op);
    else
        refused = 1;
    nm_set_assert_handler(NULL);
    assert_true(refused);
}

// matrix products
// -------------------------------------------------------------------------------------------------------------------

static void epilogues_have_known_values(void **state) {
    (void)state;
    // x W^T + b = 2 x - 1 with one input and one output
    const float x[5] = {1, 0, 0.5f, 100, -100}, two = 2, minus_one = -1;
    nm_linear op = {.x = nm_test_tensor_of(&bench, 5, 1, NM_TEST_COMPUTE, x), .y = make(5, 1), .pre = make(5, 1)};
    op.weight.value = nm_test_tensor_of(&bench, 1, 1, NM_TEST_PARAMETER, &two);
    op.weight.bias = nm_test_tensor_of(&bench, 1, 1, NM_TEST_PARAMETER, &minus_one);
    op.residual = op.gate = make(5, 1);
    assert_int_equal(reference->ops->pack_weight(reference, &op.weight, NULL), NM_OK);
    // Phi(1) = 0.8413447460685429, sigmoid(1) = 0.7310585786300049
    static const double expected[3][5] = {{1, -1, 0, 199, -201},
                                          {0.8413447460685429, -0.15865525393145707, 0, 199, 0},
                                          {0.7310585786300049, -0.2689414213699951, 0, 199, 0}};
    for (int epilogue = NM_EPILOGUE_NONE; epilogue <= NM_EPILOGUE_SILU; epilogue++) {
        op.epilogue = (nm_epilogue)epilogue;
        reference->ops->linear(reference, &op);
        for (uint32_t n = 0; n < 5; n++) expect_near(*at(op.y, n, 0), expected[epilogue][n], 1e-15);
        for (uint32_t n = 0; n < 5; n++) expect_near(*at(op.pre, n, 0), expected[0][n], 0);
    }
    for (int gated = 0; gated < 2; gated++) {
        op.epilogue = gated ? NM_EPILOGUE_GATED : NM_EPILOGUE_RESIDUAL;
        reference->ops->linear(reference, &op);
        for (uint32_t n = 0; n < 5; n++) {
            const double r = *at(op.residual, n, 0);
            expect_near(*at(op.y, n, 0), r + (gated ? r : 1) * expected[0][n], 1e-13);
        }
    }
    reference->ops->release_weight(reference, &op.weight);
}

static void residual_may_be_in_place(void **state) {
    (void)state;
    nm_linear op = {.x = make(4, 3), .weight = {.value = make(5, 3)}, .epilogue = NM_EPILOGUE_GATED};
    op.residual = make(4, 5);
    op.gate = make(4, 5);
    op.y = make(4, 5);
    reference->ops->linear(reference, &op);
    const nm_tensor apart = op.y;
    op.y = op.residual;
    reference->ops->linear(reference, &op);
    expect_all_near(op.y, apart, 0);
    op.x = nm_tensor_rows(op.x, 0, 0); // no rows: nothing happens
    op.y = op.residual = op.gate = nm_tensor_rows(op.y, 0, 0);
    reference->ops->linear(reference, &op);
    expect_all_near(op.y, nm_tensor_rows(apart, 0, 0), 0);
}

// normalisation
// -------------------------------------------------------------------------------------------------------------------

static void normalised_rows_have_mean_0_and_variance_1(void **state) {
    (void)state;
    nm_layer_norm op = {.x = make(5, 9), .weight = filled(1, 9, 1), .bias = filled(1, 9, 0), .epsilon = 1e-6f};
    op.y = make(5, 9);
    op.statistics = make(5, 2);
    reference->ops->layer_norm(reference, &op);
    for (uint32_t n = 0; n < 5; n++) {
        double mean = 0, square = 0, mean_x = 0, square_x = 0;
        for (uint32_t c = 0; c < 9; c++) {
            mean += *at(op.y, n, c) / 9;
            square += *at(op.y, n, c) * *at(op.y, n, c) / 9;
            mean_x += *at(op.x, n, c) / 9;
            square_x += *at(op.x, n, c) * *at(op.x, n, c) / 9;
        }
        const double variance = square_x - mean_x * mean_x;
        expect_near(mean, 0, 1e-14);
        expect_near(square, variance / (variance + (double)op.epsilon), 1e-12);
        expect_near(*at(op.statistics, n, 0), mean_x, 1e-14);
        expect_near(*at(op.statistics, n, 1), 1 / sqrt(variance + (double)op.epsilon), 1e-12);
    }
    // a shift of a row and a positive factor do not matter
    const nm_tensor before = op.y;
    for (uint32_t n = 0; n < 5; n++)
        for (uint32_t c = 0; c < 9; c++) *at(op.x, n, c) = 7 * *at(op.x, n, c) + 3;
    op.y = make(5, 9);
    op.epsilon *= 49;
    reference->ops->layer_norm(reference, &op);
    expect_all_near(op.y, before, 1e-12);
    // a constant row has no direction
    for (uint32_t c = 0; c < 9; c++) *at(op.x, 0, c) = 5;
    reference->ops->layer_norm(reference, &op);
    for (uint32_t c = 0; c < 9; c++) expect_near(*at(op.y, 0, c), 0, 0);
}

static void modulation_is_an_affine_norm_per_row(void **state) {
    (void)state;
    nm_layer_norm affine = {.x = make(4, 6), .weight = make(1, 6), .bias = make(1, 6), .epsilon = 1e-5f};
    affine.y = make(4, 6);
    nm_layer_norm modulated = {.x = affine.x, .scale = make(4, 6), .shift = make(4, 6), .epsilon = 1e-5f};
    modulated.y = make(4, 6);
    for (uint32_t n = 0; n < 4; n++) {
        for (uint32_t c = 0; c < 6; c++) {
            *at(modulated.scale, n, c) = *at(affine.weight, 0, c) - 1;
            *at(modulated.shift, n, c) = *at(affine.bias, 0, c);
        }
    }
    reference->ops->layer_norm(reference, &affine);
    reference->ops->layer_norm(reference, &modulated);
    expect_all_near(affine.y, modulated.y, 1e-13);
    *at(modulated.scale, 2, 3) += 1; // one element of one row
    const double n = (*at(modulated.y, 2, 3) - *at(affine.bias, 0, 3)) / *at(affine.weight, 0, 3);
    reference->ops->layer_norm(reference, &modulated);
    expect_near(*at(modulated.y, 2, 3), *at(affine.y, 2, 3) + n, 1e-12);
    *at(modulated.y, 2, 3) = *at(affine.y, 2, 3);
    expect_all_near(affine.y, modulated.y, 1e-13);
}

static void silu_has_known_values(void **state) {
    (void)state;
    const float x[4] = {0, 1, -1, -1000};
    const double expected[4] = {0, 0.7310585786300049, -0.2689414213699951, 0};
    const nm_tensor y = make(1, 4);
    reference->ops->silu(reference, nm_test_tensor_of(&bench, 1, 4, NM_TEST_STREAM, x), y);
    for (uint32_t i = 0; i < 4; i++) expect_near(*at(y, 0, i), expected[i], 1e-15);
}

// inputs
// -------------------------------------------------------------------------------------------------------------------

static void assembles_the_published_input(void **state) {
    (void)state;
    nm_assemble op = {.known = make(3, 2), .mask = make(3, 2), .noised = make(3, 2), .condition = make(3, 4)};
    for (uint32_t spare = 0; spare < 3; spare += 2) {
        for (int conditions = 4; conditions >= 0; conditions -= 4) {
            if (!conditions) op.condition = nm_tensor_none();
            op.out = make(3, 6 + (uint32_t)conditions + spare);
            reference->ops->assemble(reference, &op);
            for (uint32_t n = 0; n < 3; n++) {
                for (uint32_t c = 0; c < 2; c++) {
                    expect_near(*at(op.out, n, c), *at(op.known, n, c) * *at(op.mask, n, c), 0);
                    expect_near(*at(op.out, n, 2 + c), *at(op.mask, n, c), 0);
                    expect_near(*at(op.out, n, 4 + c), *at(op.noised, n, c), 0);
                }
                for (uint32_t c = 0; c < (uint32_t)conditions; c++)
                    expect_near(*at(op.out, n, 6 + c), *at(op.condition, n, c), 0);
                for (uint32_t c = 0; c < spare; c++) expect_near(*at(op.out, n, 6 + (uint32_t)conditions + c), 0, 0);
            }
        }
        op.condition = make(3, 4);
    }
}

static void sinusoids_have_their_periods(void **state) {
    (void)state;
    // periods 2 pi (10000^(i / F)); at an eighth of the period of frequency i both are sqrt(1/2)
    const uint32_t frequencies = 4;
    float values[5] = {0};
    for (uint32_t i = 0; i < frequencies; i++) values[i + 1] = (float)(0.7853981633974483 * pow(10, i));
    const nm_tensor out = make(5, 2 * frequencies);
    reference->ops->sinusoid(reference, nm_test_tensor_of(&bench, 5, 1, NM_TEST_PLAIN, values), out);
    for (uint32_t i = 0; i < frequencies; i++) {
        expect_near(*at(out, 0, i), 1, 0);
        expect_near(*at(out, 0, frequencies + i), 0, 0);
        expect_near(*at(out, i + 1, i), 0.7071067811865476, 1e-7);
        expect_near(*at(out, i + 1, frequencies + i), 0.7071067811865476, 1e-7);
    }
    expect_near(*at(out, 1, 1), cos(0.07853981633974483), 1e-8); // the second is ten times slower
}

static void lookup_adds_entries_of_both_tables(void **state) {
    (void)state;
    const nm_tensor x = make(7, 3), before = make(7, 3);
    reference->ops->convert(reference, x, before);
    const nm_lookup a = nm_test_lookup(&bench, 4, 7, 3), b = nm_test_lookup(&bench, 2, 7, 3);
    reference->ops->lookup(reference, &a, &b, x);
    for (uint32_t n = 0; n < 7; n++)
        for (uint32_t c = 0; c < 3; c++)
            expect_near(*at(x, n, c) - *at(before, n, c), *at(a.table, a.index[n], c) + *at(b.table, b.index[n], c),
                        1e-15);
}

static void repeat_lays_tables_end_to_end(void **state) {
    (void)state;
    const nm_tensor table = make(3, 2), x = make(9, 2);
    reference->ops->repeat(reference, table, 3, x);
    for (uint32_t t = 0; t < 3; t++) expect_all_near(nm_tensor_rows(x, 3 * t, 3), table, 0);
}

// loss and optimiser
// -------------------------------------------------------------------------------------------------------------------

static nm_noise_loss make_loss(uint32_t rows, uint32_t channels) {
    nm_noise_loss op = {.v = make(rows, channels), .z = make(rows, channels), .e = make(rows, channels)};
    op.alpha = make(rows, 1);
    op.sigma = make(rows, 1);
    op.row_weight = make(rows, 1);
    op.loss = make(1, 1);
    op.dv = make(rows, channels);
    return op;
}

static void the_true_velocity_has_no_loss(void **state) {
    (void)state;
    const uint32_t rows = 5, channels = 3;
    nm_noise_loss op = make_loss(rows, channels);
    double expected = 0;
    for (int offset = 0; offset < 2; offset++) { // v = alpha e - sigma x, then v + 1
        for (uint32_t n = 0; n < rows; n++) {
            const double angle = 0.3 + 0.2 * n, alpha = cos(angle), sigma = sin(angle);
            *at(op.alpha, n, 0) = alpha;
            *at(op.sigma, n, 0) = sigma;
            if (offset) expected += *at(op.row_weight, n, 0) * alpha * alpha;
            for (uint32_t c = 0; c < channels; c++) {
                const double x = n - 0.5 * c, e = *at(op.e, n, c);
                *at(op.z, n, c) = alpha * x + sigma * e;
                *at(op.v, n, c) = alpha * e - sigma * x + offset;
            }
        }
        reference->ops->noise_loss(reference, &op);
        expect_near(*at(op.loss, 0, 0), expected, 1e-13);
        for (uint32_t n = 0; n < rows; n++) {
            const double slope = 2 * *at(op.row_weight, n, 0) * pow(*at(op.alpha, n, 0), 2) / channels;
            for (uint32_t c = 0; c < channels; c++) expect_near(*at(op.dv, n, c), offset ? slope : 0, 1e-13);
        }
    }
}

/// After t steps the moments are sums over the history: m_t = (1 - b1) sum_i b1^(t - i) g_i, and so on.
static void adamw_agrees_with_its_history(void **state) {
    (void)state;
    enum { COUNT = 4, STEPS = 12 };
    nm_adamw op = {.rate = 0.125f, .beta1 = 0.75f, .beta2 = 0.9375f, .epsilon = 0.0625f, .decay = 0.5f};
    op.gradient_scale = 0.25f;
    op.ema_decay = 0.875f;
    op.parameter = make(1, COUNT);
    op.gradient = make(1, COUNT);
    op.first = filled(1, COUNT, 0);
    op.second = filled(1, COUNT, 0);
    op.ema = make(1, COUNT);
    op.decay_mask = nm_test_tensor_of(&bench, 1, COUNT, NM_TEST_PARAMETER, (const float[]){1, 0, 1, 0});
    double history[STEPS + 1][COUNT], parameter[COUNT], ema[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) parameter[i] = *at(op.parameter, 0, i), ema[i] = *at(op.ema, 0, i);
    for (int t = 1; t <= STEPS; t++) {
        for (uint32_t i = 0; i < COUNT; i++)
            history[t][i] = 0.25 * (*at(op.gradient, 0, i) = (double)nm_test_normal(&bench.random));
        op.step = (uint64_t)t;
        reference->ops->adamw(reference, &op);
        for (uint32_t i = 0; i < COUNT; i++) {
            double first = 0, second = 0, weight1 = 0, weight2 = 0; // weighted means of the history
            for (int s = 1; s <= t; s++) {
                first += pow(0.75, t - s) * history[s][i];
                weight1 += pow(0.75, t - s);
                second += pow(0.9375, t - s) * history[s][i] * history[s][i];
                weight2 += pow(0.9375, t - s);
            }
            const double decay = i % 2 == 0 ? 0.5 : 0;
            parameter[i] =
                parameter[i] * (1 - 0.125 * decay) - 0.125 * (first / weight1) / (sqrt(second / weight2) + 0.0625);
            ema[i] = 0.875 * ema[i] + 0.125 * parameter[i];
            expect_near(*at(op.parameter, 0, i), parameter[i], 1e-13);
            expect_near(*at(op.ema, 0, i), ema[i], 1e-13);
        }
    }
}

static void adamw_without_mask_decays_all(void **state) {
    (void)state;
    nm_adamw op = {.rate = 0.5f, .beta1 = 0.5f, .beta2 = 0.5f, .epsilon = 1, .decay = 0.5f, .gradient_scale = 1};
    op.step = 1;
    op.parameter = filled(1, 2, 8);
    op.gradient = filled(1, 2, 0);
    op.first = filled(1, 2, 0);
    op.second = filled(1, 2, 0);
    reference->ops->adamw(reference, &op);
    for (uint32_t i = 0; i < 2; i++) expect_near(*at(op.parameter, 0, i), 6, 0); // 8 - 0.5 * 0.5 * 8
}

static void square_sum_has_its_value(void **state) {
    (void)state;
    const nm_tensor out = make(1, 1);
    reference->ops->square_sum(
        reference, nm_test_tensor_of(&bench, 2, 3, NM_TEST_STREAM, (const float[]){1, -2, 3, -4, 5, 0.5f}), out);
    expect_near(*at(out, 0, 0), 55.25, 0);
}

#define PROPERTY(name) cmocka_unit_test_setup_teardown(name, begin, end)
int main(void) {
    const struct CMUnitTest tests[] = {
        PROPERTY(memory_is_zeroed_and_aligned),
        PROPERTY(zero_stays_in_its_view),
        PROPERTY(converts_to_the_nearest_even),
        PROPERTY(uploads_and_downloads),
        PROPERTY(asserts_shapes),
        PROPERTY(epilogues_have_known_values),
        PROPERTY(residual_may_be_in_place),
        PROPERTY(normalised_rows_have_mean_0_and_variance_1),
        PROPERTY(modulation_is_an_affine_norm_per_row),
        PROPERTY(silu_has_known_values),
        PROPERTY(assembles_the_published_input),
        PROPERTY(sinusoids_have_their_periods),
        PROPERTY(lookup_adds_entries_of_both_tables),
        PROPERTY(repeat_lays_tables_end_to_end),
        PROPERTY(the_true_velocity_has_no_loss),
        PROPERTY(adamw_agrees_with_its_history),
        PROPERTY(adamw_without_mask_decays_all),
        PROPERTY(square_sum_has_its_value),
    };
    return cmocka_run_group_tests_name("properties of the operations", tests, make_reference, destroy_reference);
}
