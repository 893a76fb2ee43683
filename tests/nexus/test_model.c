/// Configurations, and what a model begins with.
#include <stddef.h>

#include "backends_support.h"
#include "network_support.h"

/// Parameters of a new model, in the words of model.h.
static void check_first_values(const nm_parameter *p, const double *values) {
    const size_t count = (size_t)p->rows * p->cols;
    const int gain = strstr(p->name, "norm.weight") != NULL, latents = strstr(p->name, "latents") != NULL;
    const int zero = strstr(p->name, "adaLN_modulation") || strstr(p->name, "output_proj") ||
                     strstr(p->name, "norm.bias") || strstr(p->name, "pose_bias");
    double largest = 0.0, square = 0.0;
    for (size_t i = 0; i < count; ++i) {
        if (zero || gain) assert_true(values[i] == (gain ? 1.0 : 0.0));
        largest = fmax(largest, fabs(values[i]));
        square += values[i] * values[i] / (double)count;
    }
    if (zero || gain) return;
    if (latents) {
        assert_true(largest < 0.02 * 6.0 && fabs(sqrt(square) - 0.02) < 0.006);
    } else if (!p->vector) { // uniform in +-b: the mean of squares is b b / 3
        const double bound = 1.0 / sqrt(p->cols);
        assert_true(largest <= bound * 1.000001 && largest > 0.8 * bound);
        assert_true(fabs(square / (bound * bound / 3.0) - 1.0) < 0.4);
    } else {
        assert_true(largest > 0.0);
    }
}

static const nm_parameter *parameter(const nm_model *model, const char *name) {
    for (size_t i = 0; i < model->parameter_count; ++i)
        if (strcmp(model->parameters[i].name, name) == 0) return &model->parameters[i];
    return NULL;
}

static void first_values_are_a_function_of_seed_and_name(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    nm_model *model, *other, *more;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_model_config config = small_config(0), richer = small_config(1);
    assert_int_equal(nm_model_create(&config, backend, 1, &model, &error), NM_OK);
    assert_int_equal(nm_model_create(&config, backend, 2, &other, &error), NM_OK);
    assert_int_equal(nm_model_create(&richer, backend, 1, &more, &error), NM_OK);
    const double *values = nm_model_values(model).data, *others = nm_model_values(other).data;
    const double *mores = nm_model_values(more).data;
    for (size_t i = 0; i < model->parameter_count; ++i) {
        const nm_parameter *p = &model->parameters[i], *q = parameter(more, p->name);
        const size_t count = (size_t)p->rows * p->cols;
        check_first_values(p, values + p->offset);
        if (p->spread != 0.0f) assert_memory_not_equal(values + p->offset, others + p->offset, count * sizeof *values);
        assert_non_null(q);
        if (q->cols == p->cols) // all but the input, which has two more columns
            assert_memory_equal(values + p->offset, mores + q->offset, count * sizeof *values);
        for (size_t k = 0; p->spread != 0.0f && k < i; ++k) { // no two begin alike
            const nm_parameter *r = &model->parameters[k];
            if (r->rows == p->rows && r->cols == p->cols && r->spread == p->spread)
                assert_memory_not_equal(values + p->offset, values + r->offset, count * sizeof *values);
        }
    }
    nm_model_destroy(model);
    nm_model_destroy(other);
    nm_model_destroy(more);
    nm_backend_destroy(backend);
}

static void bad_configurations_are_refused_by_name(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    nm_model *model;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    nm_model_config c = small_config(0);
    c.heads = 3;
    assert_int_equal(nm_model_create(&c, backend, 1, &model, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "heads"));
    assert_null(model);
    c = small_config(0);
    c.blocks = 0;
    assert_int_equal(nm_model_create(&c, backend, 1, &model, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "blocks"));
    c = small_config(1);
    c.heads = c.hidden;
    assert_int_equal(nm_model_create(&c, backend, 1, &model, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "rotary"));
    c = small_config(1);
    c.rotary = 2; // which a file could not say
    assert_int_equal(nm_model_create(&c, backend, 1, &model, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "rotary"));
    c = small_config(1);
    c.pose_bias = -1;
    assert_int_equal(nm_model_create(&c, backend, 1, &model, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "pose_bias"));
    nm_backend_destroy(backend);
}

/// A number of a configuration, and its range in the words of model.h.
typedef struct range {
    const char *name;
    size_t offset;
    uint32_t low, high;
} range;
#define RANGE(field, low, high)                                                                                        \
    { #field, offsetof(nm_model_config, field), low, high }

static nm_status check_with(const range *r, uint32_t value, nm_error *error) {
    nm_model_config c = small_config(1);
    c.hidden = 4096; // so that every divisor up to its own limit has a chance
    memcpy((char *)&c + r->offset, &value, sizeof value);
    if (r->offset == offsetof(nm_model_config, hidden)) // divides itself
        c.heads = c.encoder_cross_heads = c.encoder_self_heads = 1, c.rotary = 0;
    return nm_model_config_check(&c, error);
}

static void every_field_has_its_range(void **state) {
    (void)state;
    static const range ranges[] = {
        RANGE(channels, 1, 256),      RANGE(conditions, 0, 256), RANGE(hidden, 8, 4096),
        RANGE(blocks, 1, 64),         RANGE(widening, 1, 16),    RANGE(frequencies, 2, 1024),
        RANGE(map_channels, 1, 1024), RANGE(latents, 1, 4096),   RANGE(encoder_rounds, 0, 16),
        RANGE(encoder_layers, 0, 16), RANGE(map_mask, 0, 1),     RANGE(map_encoder, 0, 1),
        RANGE(rotary, 0, 1),          RANGE(pose_bias, 0, 1),
    };
    nm_error error;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; ++i) {
        const range *r = &ranges[i];
        if (check_with(r, r->low, &error) != NM_OK) fail_msg("%s = %u: %s", r->name, r->low, error.message);
        if (check_with(r, r->high, &error) != NM_OK) fail_msg("%s = %u: %s", r->name, r->high, error.message);
        for (int above = 0; above < 2; ++above) { // below 0 comes the largest number
            assert_int_equal(check_with(r, above ? r->high + 1 : r->low - 1, &error), NM_E_ARGUMENT);
            if (strstr(error.message, r->name) != error.message) fail_msg("'%s', not %s", error.message, r->name);
        }
    }
    nm_model_config c = small_config(0);
    c.frequencies = 11;
    assert_int_equal(nm_model_config_check(&c, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "frequencies"));
    uint32_t *divisors[] = {&c.heads, &c.encoder_cross_heads, &c.encoder_self_heads};
    for (size_t i = 0; i < 3; ++i) {
        c = small_config(0);
        *divisors[i] = 0;
        assert_int_equal(nm_model_config_check(&c, &error), NM_E_ARGUMENT);
        *divisors[i] = 5;
        assert_int_equal(nm_model_config_check(&c, &error), NM_E_ARGUMENT);
        assert_non_null(strstr(error.message, "heads"));
    }
}

/// What reads coordinates or levels: bf16 would not tell neighbours apart.
static void count_exact(void *context, nm_weight *weight) {
    int *exact = context;
    *exact += weight->product == NM_F32;
}

static void coordinates_and_levels_are_not_rounded(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    nm_backend_config config = nm_backend_config_default();
    config.threads = 1;
    assert_int_equal(nm_backend_create_cpu(&config, &backend, &error), NM_OK);
    assert_int_equal(backend->compute, NM_BF16);
    for (int variant = 0; variant < 3; ++variant) {
        nm_model *m;
        int exact = 0;
        const nm_model_config shape = small_config(variant);
        assert_int_equal(nm_model_create(&shape, backend, 1, &m, &error), NM_OK);
        assert_int_equal(m->input.product, NM_F32);
        assert_int_equal(m->level.first.product, NM_F32);
        assert_int_equal(m->time.first.product, NM_F32);
        assert_int_equal(variant == 2 ? m->polyline.up.product : m->encoder_cross.kv.product, NM_F32);
        nm_model_each_weight(m, count_exact, &exact);
        assert_int_equal(exact, 4); // and nothing else
        nm_model_destroy(m);
    }
    nm_backend_destroy(backend);
}

static void the_published_configuration_has_its_size(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    nm_model *model;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_model_config c = nm_model_config_default();
    assert_int_equal(nm_model_create(&c, backend, 1, &model, &error), NM_OK);
    const nm_parameter *parameters;
    const size_t count = nm_model_parameters(model, &parameters);
    size_t encoder = 0;
    for (size_t i = 0; i < count; ++i)
        if (strstr(parameters[i].name, "global_encoder")) encoder += (size_t)parameters[i].rows * parameters[i].cols;
    assert_int_equal(nm_model_parameter_count(model) - encoder, 10267144); // published as 10.27 M
    assert_int_equal(encoder, 1092622);                                    // and 1.09 M
    nm_model_destroy(model);
    nm_backend_destroy(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_values_are_a_function_of_seed_and_name),
        cmocka_unit_test(bad_configurations_are_refused_by_name),
        cmocka_unit_test(every_field_has_its_range),
        cmocka_unit_test(coordinates_and_levels_are_not_rounded),
        cmocka_unit_test(the_published_configuration_has_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
