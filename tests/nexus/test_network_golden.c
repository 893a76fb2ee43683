/// The published network's outputs, recorded from the published code (../shared) and from the description in
/// reference.py (golden/), on every backend.
#include "backends_support.h"
#include "nexus/network.h"
#include "nexus/noise.h"
#include "nexus/safetensors.h"

/// A tensor of a golden file as floats, with its sizes. Release `values`.
typedef struct golden {
    float *values;
    uint64_t shape[NM_SAFETENSORS_MAX_RANK];
    size_t count;
} golden;

static golden read_golden(const nm_safetensors *file, const char *name) {
    nm_error error;
    const nm_stored_tensor *t = nm_safetensors_find(file, name);
    if (!t) fail_msg("the golden file has no %s", name);
    golden g = {.count = t->elements};
    memcpy(g.shape, t->shape, sizeof g.shape);
    g.values = malloc(t->elements * sizeof *g.values);
    assert_non_null(g.values);
    assert_int_equal(nm_safetensors_read_f32(file, name, t->rank, t->shape, g.values, &error), NM_OK);
    return g;
}

typedef struct inputs {
    golden scene, valid, keep, u, z, road, road_valid;
    uint32_t scenes, agents, steps, channels, points;
    uint8_t *valid_bytes, *road_bytes;
    nm_token_scene *list;
} inputs;

static inputs read_inputs(const nm_safetensors *file) {
    inputs in = {.scene = read_golden(file, "scene"),
                 .valid = read_golden(file, "valid"),
                 .keep = read_golden(file, "keep"),
                 .u = read_golden(file, "u"),
                 .z = read_golden(file, "z"),
                 .road = read_golden(file, "road_graph"),
                 .road_valid = read_golden(file, "road_graph_validity")};
    in.scenes = (uint32_t)in.scene.shape[0];
    in.agents = (uint32_t)in.scene.shape[1];
    in.steps = (uint32_t)in.scene.shape[2];
    in.channels = (uint32_t)in.scene.shape[3];
    in.points = (uint32_t)(in.road.shape[1] * in.road.shape[2]);
    const uint32_t map_channels = (uint32_t)in.road.shape[3];
    in.valid_bytes = malloc(in.valid.count);
    in.road_bytes = malloc((size_t)in.scenes * in.points);
    in.list = calloc(in.scenes, sizeof *in.list);
    assert_true(in.valid_bytes && in.road_bytes && in.list);
    for (size_t i = 0; i < in.valid.count; ++i) in.valid_bytes[i] = in.valid.values[i] > 0.5f;
    for (size_t i = 0; i < (size_t)in.scenes * in.points; ++i)
        in.road_bytes[i] = in.road_valid.values[i * map_channels] > 0.5f;
    for (uint32_t s = 0; s < in.scenes; ++s)
        in.list[s] = (nm_token_scene){.agents = in.agents,
                                      .steps = in.steps,
                                      .valid = in.valid_bytes + (size_t)s * in.agents * in.steps,
                                      .points = in.points,
                                      .map = in.road.values + (size_t)s * in.points * map_channels,
                                      .map_valid = in.road_bytes + (size_t)s * in.points};
    return in;
}

static void free_inputs(inputs *in) {
    golden *parts[] = {&in->scene, &in->valid, &in->keep, &in->u, &in->z, &in->road, &in->road_valid};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) free(parts[i]->values);
    free(in->valid_bytes);
    free(in->road_bytes);
    free(in->list);
}

/// The packed rows of a padded golden array.
static float *packed(const nm_batch *batch, const inputs *in, const golden *g, uint32_t channels) {
    float *rows = malloc(((size_t)batch->tokens + 1) * channels * sizeof *rows);
    assert_non_null(rows);
    for (uint32_t s = 0; s < in->scenes; ++s)
        nm_batch_gather(batch, s, in->steps, channels, g->values + (size_t)s * in->agents * in->steps * channels, rows);
    return rows;
}

/// float32 within 1e-4 of every value; bf16 within 2 % in the Euclidean norm of the whole output.
static void compare(const test_backend *b, const char *what, const float *got, const float *expected, size_t count) {
    double worst = 0.0, error = 0.0, size = 0.0;
    for (size_t i = 0; i < count; ++i) {
        const double difference = (double)got[i] - expected[i];
        worst = fmax(worst, fabs(difference));
        error += difference * difference;
        size += (double)expected[i] * expected[i];
    }
    assert_true(size > 0.01 * (double)count);
    if (b->backend->compute != NM_BF16) {
        if (!(worst <= 1e-4)) fail_msg("%s: %s is off by %g", b->backend->name, what, worst);
    } else if (!(sqrt(error) <= 2e-2 * sqrt(size))) {
        fail_msg("%s: %s is off by %g of %g", b->backend->name, what, sqrt(error), sqrt(size));
    }
}

static void check_mask(const test_backend *b, const char *weights, const nm_safetensors *io, nm_map_mask mask) {
    nm_error error;
    nm_model *model;
    nm_pass *pass;
    if (nm_model_load(weights, &mask, b->backend, &model, &error) != NM_OK) fail_msg("%s", error.message);
    inputs in = read_inputs(io);
    const nm_batch_capacity capacity = {in.scenes, in.scenes * in.agents * in.steps, in.scenes * in.points};
    assert_int_equal(nm_pass_create(model, &capacity, 0, &pass, &error), NM_OK);
    assert_int_equal(nm_pass_set_scenes(pass, in.list, in.scenes, &error), NM_OK);
    const nm_batch *batch = nm_pass_batch(pass);

    const int padding = mask == NM_MAP_MASK_PADDING;
    golden latents = read_golden(io, padding ? "latents_published_mask" : "latents_valid_mask");
    golden expected = read_golden(io, padding ? "v_published_mask" : "v_valid_mask");
    float *got_latents = malloc(latents.count * sizeof *got_latents);
    float *known = packed(batch, &in, &in.scene, in.channels), *mask_rows = packed(batch, &in, &in.keep, in.channels);
    float *noised = packed(batch, &in, &in.z, in.channels), *level = packed(batch, &in, &in.u, 1);
    float *wanted = packed(batch, &in, &expected, in.channels);
    float *v = malloc((size_t)batch->tokens * in.channels * sizeof *v);
    assert_true(got_latents && v);
    const nm_pass_input input = {.known = known, .mask = mask_rows, .noised = noised, .level = level};
    assert_int_equal(nm_pass_predict(pass, &input, v, &error), NM_OK);
    assert_int_equal(nm_pass_latents(pass, got_latents, &error), NM_OK);
    compare(b, "latents", got_latents, latents.values, latents.count);
    compare(b, "v", v, wanted, (size_t)batch->tokens * in.channels);

    float *arrays[] = {latents.values, expected.values, got_latents, known, mask_rows, noised, level, wanted, v};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; ++i) free(arrays[i]);
    free_inputs(&in);
    nm_pass_destroy(pass);
    nm_model_destroy(model);
}

static void check_network(const char *weights, const char *io_path) {
    nm_error error;
    nm_safetensors *io;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    if (nm_safetensors_open(io_path, &io, &error) != NM_OK) fail_msg("%s", error.message);
    for (int i = 0; i < count; ++i) {
        check_mask(&backends[i], weights, io, NM_MAP_MASK_PADDING);
        check_mask(&backends[i], weights, io, NM_MAP_MASK_VALID);
    }
    nm_safetensors_close(io);
    close_backends(backends, count);
}

static void own_network(void **state) {
    (void)state;
    check_network(NM_SOURCE_DIR "/tests/nexus/golden/small-weights.safetensors",
                  NM_SOURCE_DIR "/tests/nexus/golden/small-io.safetensors");
}

static void published_network(void **state) {
    (void)state;
    char weights[1024], io[1024];
    if (!nm_test_have(weights, sizeof weights, "reference/nexus-small-weights.safetensors") ||
        !nm_test_have(io, sizeof io, "reference/nexus-small-io.safetensors"))
        skip();
    check_network(weights, io);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_network),
        cmocka_unit_test(published_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
