/// The whole network's gradient against central differences, in float64 on the reference backend.
#include "network_support.h"

typedef struct fixture {
    nm_backend *backend;
    nm_model *model;
    nm_pass *pass;
    random_scene memory[2];
    nm_token_scene scenes[2];
    random_tokens tokens;
} fixture;

static void set_up(fixture *f, int variant) {
    nm_error error;
    const nm_model_config config = small_config(variant);
    assert_int_equal(nm_backend_create_reference(&f->backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&config, f->backend, 1, &f->model, &error), NM_OK);
    randomise_model(f->model, 5);
    const nm_batch_capacity capacity = {2, 2 * SCENE_AGENTS * SCENE_STEPS, 2 * SCENE_POINTS};
    assert_int_equal(nm_pass_create(f->model, &capacity, 1, &f->pass, &error), NM_OK);
    f->scenes[0] = make_scene(&f->memory[0], 7, SCENE_AGENTS, SCENE_POINTS, &config);
    f->scenes[1] = make_scene(&f->memory[1], 8, 3, 7, &config);
    assert_int_equal(nm_pass_set_scenes(f->pass, f->scenes, 2, &error), NM_OK);
    f->tokens = make_tokens(nm_pass_batch(f->pass), &config, 9);
}

static void tear_down(fixture *f) {
    free_tokens(&f->tokens);
    nm_pass_destroy(f->pass);
    nm_model_destroy(f->model);
    nm_backend_destroy(f->backend);
}

/// The loss in float64 (nm_pass_train returns it through a float).
static double loss_of(fixture *f) {
    nm_error error;
    double loss;
    assert_int_equal(nm_model_repack(f->model, &error), NM_OK); // a parameter may have been moved
    assert_int_equal(nm_pass_loss(f->pass, &f->tokens.input, &f->tokens.target, &loss, &error), NM_OK);
    const double forward = *(double *)f->pass->loss.data;
    assert_int_equal(nm_pass_train(f->pass, &f->tokens.input, &f->tokens.target, &loss, &error), NM_OK);
    assert_true(*(double *)f->pass->loss.data == forward);
    return forward;
}

static double difference(fixture *f, double *parameter) {
    const double before = *parameter, h = 1e-4;
    *parameter = before + h;
    const double above = loss_of(f);
    *parameter = before - h;
    const double below = loss_of(f);
    *parameter = before;
    return (above - below) / (2.0 * h);
}

/// A few elements of every parameter, so that no tensor goes unchecked.
static void check_gradients(int variant) {
    fixture f;
    set_up(&f, variant);
    nm_pass_zero_gradients(f.pass);
    loss_of(&f);
    const size_t size = nm_pass_gradients(f.pass).cols;
    double *analytic = malloc(size * sizeof *analytic);
    assert_non_null(analytic);
    memcpy(analytic, nm_pass_gradients(f.pass).data, size * sizeof *analytic);
    double largest = 0.0;
    for (size_t i = 0; i < size; ++i) largest = fmax(largest, fabs(analytic[i]));
    assert_true(largest > 1e-3);

    const nm_parameter *parameters;
    const size_t count = nm_model_parameters(f.model, &parameters);
    for (size_t i = 0; i < count; ++i) {
        const nm_parameter *p = &parameters[i];
        const size_t elements = (size_t)p->rows * p->cols;
        double norm = 0.0;
        for (size_t k = 0; k < elements; ++k) norm += fabs(analytic[p->offset + k]);
        // softmax does not see what is added to all keys
        const int keys_bias = strstr(p->name, ".k.bias") != NULL;
        if (!keys_bias && norm == 0.0) fail_msg("variant %d: %s has no gradient", variant, p->name);
        for (size_t k = 0; k < 3; ++k) {
            const size_t at = p->offset + (k * 7919) % elements;
            const double numeric = difference(&f, (double *)f.model->values.data + at);
            const double bound = 1e-6 * fmax(fabs(numeric), 0.01 * largest);
            if (fabs(numeric - analytic[at]) > bound)
                fail_msg("variant %d: %s[%zu]: %.12g, but the loss changes by %.12g", variant, p->name, at - p->offset,
                         analytic[at], numeric);
        }
    }
    free(analytic);
    tear_down(&f);
}

static void gradients_of_the_published_network(void **state) {
    (void)state;
    check_gradients(0);
}
static void gradients_with_rotary_positions_poses_and_conditions(void **state) {
    (void)state;
    check_gradients(1);
}
static void gradients_with_polylines(void **state) {
    (void)state;
    check_gradients(2);
}

static void gradients_with_joint_attention(void **state) {
    (void)state;
    check_gradients(3);
}
static void gradients_with_attention_to_blocks(void **state) {
    (void)state;
    check_gradients(4);
}

static void gradients_of_batches_add_up(void **state) {
    (void)state;
    fixture f;
    set_up(&f, 0);
    nm_pass_zero_gradients(f.pass);
    loss_of(&f);
    const size_t size = nm_pass_gradients(f.pass).cols;
    const double *gradients = nm_pass_gradients(f.pass).data;
    double *once = malloc(size * sizeof *once);
    assert_non_null(once);
    memcpy(once, gradients, size * sizeof *once);
    loss_of(&f);
    for (size_t i = 0; i < size; ++i) assert_true(fabs(gradients[i] - 2.0 * once[i]) <= 1e-12);
    free(once);
    tear_down(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_the_published_network),
        cmocka_unit_test(gradients_with_rotary_positions_poses_and_conditions),
        cmocka_unit_test(gradients_with_polylines),
        cmocka_unit_test(gradients_with_joint_attention),
        cmocka_unit_test(gradients_with_attention_to_blocks),
        cmocka_unit_test(gradients_of_batches_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
