/// Weights that are not quite a model's are refused, and the message says which tensor.
#include <unistd.h>

#include "backends_support.h"
#include "nexus/model.h"
#include "nexus/safetensors.h"

#define GOLDEN NM_SOURCE_DIR "/tests/nexus/golden/small-weights.safetensors"
#define PROJECTION "model.diffuser.model.backbone.1.spatial_attention.attn.projection.weight"

/// A copy of the golden weights that can be changed before it is written.
typedef struct copy {
    nm_safetensors *file;
    nm_safetensors_item items[256];
    nm_safetensors_text metadata[32];
    void *data[256];
    size_t count, texts;
} copy;

static copy *open_copy(void) {
    nm_error error;
    copy *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_int_equal(nm_safetensors_open(GOLDEN, &c->file, &error), NM_OK);
    c->count = nm_safetensors_count(c->file);
    c->texts = nm_safetensors_metadata_count(c->file);
    assert_true(c->count < 255 && c->texts < 32);
    for (size_t i = 0; i < c->count; ++i) {
        const nm_stored_tensor *t = nm_safetensors_at(c->file, i);
        c->data[i] = malloc(t->bytes);
        assert_non_null(c->data[i]);
        assert_int_equal(nm_safetensors_read(c->file, t, c->data[i], &error), NM_OK);
        c->items[i] = (nm_safetensors_item){.name = t->name, .type = t->type, .rank = t->rank, .data = c->data[i]};
        memcpy(c->items[i].shape, t->shape, sizeof t->shape);
    }
    for (size_t i = 0; i < c->texts; ++i)
        nm_safetensors_metadata_at(c->file, i, &c->metadata[i].key, &c->metadata[i].value);
    return c;
}

static void close_copy(copy *c) {
    for (size_t i = 0; i < nm_safetensors_count(c->file); ++i) free(c->data[i]);
    nm_safetensors_close(c->file);
    free(c);
}

static nm_safetensors_item *item(copy *c, const char *name) {
    for (size_t i = 0; i < c->count; ++i)
        if (strcmp(c->items[i].name, name) == 0) return &c->items[i];
    fail_msg("no %s among the golden weights", name);
    return NULL;
}

/// Writes the copy and loads it as a model.
static nm_status load(const copy *c, nm_error *error) {
    char path[] = "/tmp/nm_weights_XXXXXX";
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    nm_safetensors_config config = nm_safetensors_config_default();
    config.metadata = c->metadata;
    config.metadata_count = c->texts;
    assert_int_equal(nm_safetensors_write(path, c->items, c->count, &config, error), NM_OK);
    nm_backend *backend;
    nm_model *model;
    assert_int_equal(nm_backend_create_reference(&backend, error), NM_OK);
    const nm_status status = nm_model_load(path, NULL, backend, &model, error);
    assert_true((status == NM_OK) == (model != NULL));
    nm_model_destroy(model);
    nm_backend_destroy(backend);
    unlink(path);
    return status;
}

static void expect_refusal(const copy *c, nm_status expected, const char *words) {
    nm_error error;
    const nm_status status = load(c, &error);
    if (status != expected || !strstr(error.message, words))
        fail_msg("%s: '%s', expected %s about '%s'", nm_status_name(status), error.message, nm_status_name(expected),
                 words);
    assert_true(error.input[0] != '\0');
}

static void an_unchanged_copy_loads(void **state) {
    (void)state;
    nm_error error;
    copy *c = open_copy();
    if (load(c, &error) != NM_OK) fail_msg("%s", error.message);
    close_copy(c);
}

static void a_missing_tensor_is_named(void **state) {
    (void)state;
    copy *c = open_copy();
    *item(c, PROJECTION) = c->items[c->count - 1];
    c->count--;
    expect_refusal(c, NM_E_FORMAT, PROJECTION);
    close_copy(c);
    c = open_copy(); // one that the configuration is read off
    *item(c, "model.diffuser.model.input_proj.weight") = c->items[c->count - 1];
    c->count--;
    expect_refusal(c, NM_E_FORMAT, "input_proj.weight");
    close_copy(c);
}

static void a_tensor_too_many_is_named(void **state) {
    (void)state;
    copy *c = open_copy();
    c->items[c->count] = *item(c, PROJECTION);
    c->items[c->count++].name = "model.diffuser.model.backbone.1.spatial_attention.attn.gate.weight";
    expect_refusal(c, NM_E_FORMAT, "attn.gate.weight");
    close_copy(c);
}

static void another_shape_is_named(void **state) {
    (void)state;
    copy *c = open_copy();
    nm_safetensors_item *t = item(c, PROJECTION);
    t->shape[0] /= 2;
    t->shape[1] *= 2;
    expect_refusal(c, NM_E_FORMAT, PROJECTION);
    close_copy(c);
    c = open_copy();
    t = item(c, "model.diffuser.model.output_proj.weight"); // channels would be a product of two sizes
    t->rank = 1;
    t->shape[0] *= t->shape[1];
    expect_refusal(c, NM_E_FORMAT, "output_proj.weight");
    close_copy(c);
    c = open_copy();
    t = item(c, "model.diffuser.model.input_proj.weight"); // fewer inputs than the parts of a token
    t->shape[0] *= 2;
    t->shape[1] /= 2;
    expect_refusal(c, NM_E_FORMAT, "input_proj.weight has");
    close_copy(c);
    c = open_copy();
    t = item(c, "model.diffuser.model.backbone.0.temporal_attention.mlp.mlp.0.weight"); // half as wide as the stream
    t->shape[0] = t->shape[1] / 2;
    t->shape[1] = 2 * item(c, "model.diffuser.model.backbone.0.temporal_attention.mlp.mlp.0.bias")->shape[0];
    expect_refusal(c, NM_E_FORMAT, "no multiple");
    close_copy(c);
}

static void a_value_that_is_no_number_is_named(void **state) {
    (void)state;
    copy *c = open_copy();
    nm_safetensors_item *t = item(c, "model.diffuser.model.output_proj.bias");
    assert_int_equal(t->type, NM_STORED_F32);
    float *values = c->data[t - c->items];
    values[3] = NAN;
    expect_refusal(c, NM_E_NUMERIC, "output_proj.bias");
    values[3] = -INFINITY;
    expect_refusal(c, NM_E_NUMERIC, "output_proj.bias");
    close_copy(c);
}

static void integers_are_no_weights(void **state) {
    (void)state;
    copy *c = open_copy();
    item(c, "model.diffuser.model.output_proj.bias")->type = NM_STORED_I32;
    expect_refusal(c, NM_E_FORMAT, "output_proj.bias");
    close_copy(c);
}

static void metadata_that_makes_no_sense_is_named(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"heads", "3"}, {"heads", "0"}, {"encoder_blocks", "many"}, {"encoder_self_heads", "7"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        copy *c = open_copy();
        for (size_t k = 0; k < c->texts; ++k)
            if (strcmp(c->metadata[k].key, bad[i][0]) == 0) c->metadata[k].value = bad[i][1];
        nm_error error;
        assert_int_equal(load(c, &error), NM_E_FORMAT);
        if (!strstr(error.message, bad[i][0])) fail_msg("'%s' does not name %s", error.message, bad[i][0]);
        close_copy(c);
    }
    copy *c = open_copy();
    c->metadata[c->texts++] = (nm_safetensors_text){"map_mask", "both"};
    expect_refusal(c, NM_E_FORMAT, "map_mask");
    close_copy(c);
}

static size_t asked_for; ///< of a backend without memory
static void *allocate_nothing(nm_backend *backend, size_t bytes) {
    (void)backend;
    asked_for += bytes;
    return NULL;
}

/// Empty tensors and one of bytes can stand for gigabytes of parameters: they are refused before any of it is
/// allocated.
static void a_small_file_can_not_ask_for_much_memory(void **state) {
    (void)state;
    static const struct {
        const char *name;
        uint32_t rank;
        uint64_t shape[2];
    } shapes[] = {
        {"model.diffuser.model.input_proj.weight", 2, {4096, 3}},
        {"model.diffuser.model.output_proj.weight", 2, {1, 0}},
        {"model.diffuser.model.diffusion_timestep_embeddor.mlp.0.weight", 2, {0, 256}},
        {"model.diffuser.model.backbone.0.temporal_attention.mlp.mlp.0.weight", 2, {4096, 0}},
        {"model.diffuser.model.backbone.0.temporal_attention.attn.q.weight", 1, {0, 0}},
        {"model.global_encoder._encoder.cross_attn.kv_layer_norm.weight", 1, {7, 0}},
        {"model.global_encoder._encoder.latents", 2, {16, 0}},
    };
    nm_error error;
    nm_backend *reference;
    nm_model *model;
    char path[] = "/tmp/nm_weights_XXXXXX";
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    void *bytes = calloc(4096, 3);
    nm_safetensors_item items[sizeof shapes / sizeof *shapes];
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
        items[i] =
            (nm_safetensors_item){.name = shapes[i].name, .type = NM_STORED_U8, .rank = shapes[i].rank, .data = bytes};
        memcpy(items[i].shape, shapes[i].shape, sizeof shapes[i].shape);
    }
    const nm_safetensors_config config = nm_safetensors_config_default();
    assert_int_equal(nm_safetensors_write(path, items, sizeof shapes / sizeof *shapes, &config, &error), NM_OK);
    assert_int_equal(nm_backend_create_reference(&reference, &error), NM_OK);
    nm_ops ops = *reference->ops;
    nm_backend without_memory = *reference;
    ops.allocate = allocate_nothing;
    without_memory.ops = &ops;
    assert_int_equal(nm_model_load(path, NULL, &without_memory, &model, &error), NM_E_FORMAT);
    assert_non_null(strstr(error.message, "missing"));
    assert_int_equal(asked_for, 0);
    nm_backend_destroy(reference);
    free(bytes);
    unlink(path);
}

static void a_model_over_the_limit_says_so(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    nm_model *model;
    nm_model_config config = nm_model_config_default();
    config.hidden = 4096;
    config.blocks = 64;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&config, backend, 1, &model, &error), NM_E_LIMIT);
    assert_null(model);
    nm_backend_destroy(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unchanged_copy_loads),
        cmocka_unit_test(a_missing_tensor_is_named),
        cmocka_unit_test(a_tensor_too_many_is_named),
        cmocka_unit_test(another_shape_is_named),
        cmocka_unit_test(a_value_that_is_no_number_is_named),
        cmocka_unit_test(integers_are_no_weights),
        cmocka_unit_test(metadata_that_makes_no_sense_is_named),
        cmocka_unit_test(a_small_file_can_not_ask_for_much_memory),
        cmocka_unit_test(a_model_over_the_limit_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
