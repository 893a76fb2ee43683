/// Recipes of models: written and read again, wherever they are wrong refused, also beside the wrong weights.
#include <unistd.h>

#include "nexus/ops/ops.h"
#include "nexus/recipe.h"
#include "nexus/safetensors.h"
#include "support.h"

/// Nothing as it is by default.
static nm_recipe odd_recipe(void) {
    nm_recipe r = {.tokens = nm_token_config_default(NM_TOKENS_AGENT),
                   .snr = NM_SNR_SHIFTED_COSINE,
                   .prior = NM_PRIOR_STRAIGHT,
                   .steps = 123456789012,
                   .name = "a \"model\" with \\ and \xc3\xa4"};
    r.tokens.past = 3;
    r.tokens.future = 7;
    r.tokens.agents = 11;
    r.tokens.range = 77.7;
    r.tokens.statics = 0;
    r.tokens.paths = 1;
    r.tokens.map_features = NM_MAP_LANES;
    r.tokens.map_polylines = 9;
    r.tokens.map_points = 5;
    r.tokens.map_piece = 12.5;
    r.tokens.map_range = 61.0 / 3.0; // no finite decimal
    r.tokens.position_scale = 19.0;
    r.tokens.heading_scale = 0.7;
    r.tokens.speed_scale = 8.1;
    return r;
}

static nm_recipe published(void) {
    return (nm_recipe){.tokens = nm_token_config_default(NM_TOKENS_EGO), .name = "published"};
}

static void assert_same(const nm_recipe *a, const nm_recipe *b) {
    const nm_token_config *x = &a->tokens, *y = &b->tokens;
    assert_true(x->encoding == y->encoding && x->past == y->past && x->future == y->future && x->agents == y->agents &&
                x->statics == y->statics && x->paths == y->paths && x->map_features == y->map_features);
    assert_true(x->map_polylines == y->map_polylines && x->map_points == y->map_points);
    assert_true(x->range == y->range && x->map_piece == y->map_piece && x->map_range == y->map_range);
    assert_true(x->position_scale == y->position_scale && x->heading_scale == y->heading_scale &&
                x->speed_scale == y->speed_scale);
    assert_true(a->snr == b->snr && a->prior == b->prior && a->steps == b->steps);
    assert_string_equal(a->name, b->name);
}

static void a_text_says_all_of_a_recipe(void **state) {
    (void)state;
    nm_error error;
    nm_error_clear(&error);
    const nm_recipe recipes[2] = {odd_recipe(), published()};
    for (int i = 0; i < 2; i++) {
        char *text = nm_recipe_format(&recipes[i]);
        assert_non_null(text);
        nm_recipe read = recipes[1 - i];
        if (nm_recipe_parse(text, &read, &error) != NM_OK) fail_msg("%s", error.message);
        assert_same(&read, &recipes[i]);
        free(text);
    }
}

static void blocks_are_said_where_there_are_any(void **state) {
    (void)state;
    nm_error error;
    nm_error_clear(&error);
    nm_recipe with = odd_recipe(), read = odd_recipe();
    with.blocks = (nm_block_config){.size = 3, .memory = 11};
    nm_recipe causal = with;
    causal.blocks.causal = 1;
    char *of_causal = nm_recipe_format(&causal);
    assert_non_null(strstr(of_causal, "\"block_causal\":1")); // which older programs refuse, as they have another mask
    if (nm_recipe_parse(of_causal, &read, &error) != NM_OK) fail_msg("%s", error.message);
    assert_true(read.blocks.size == 3 && read.blocks.memory == 11 && read.blocks.causal == 1);
    free(of_causal);
    read = odd_recipe();
    char *text = nm_recipe_format(&with), *without = nm_recipe_format(&read);
    assert_non_null(strstr(text, "\"blocks\":3,\"block_memory\":11"));
    assert_null(strstr(without, "block")); // as before there were any: older programs read it
    assert_null(strstr(text, "causal"));
    if (nm_recipe_parse(text, &read, &error) != NM_OK) fail_msg("%s", error.message);
    assert_same(&read, &with);
    assert_true(read.blocks.size == 3 && read.blocks.memory == 11 && read.blocks.causal == 0);
    static const char *const wrong[] = {"{\"blocks\": 8}",
                                        "{\"blocks\": 1.5}",
                                        "{\"blocks\": \"many\"}",
                                        "{\"blocks\": 1, \"block_memory\": 0}",
                                        "{\"block_memory\": 8}",
                                        "{\"block_causal\": 1}",
                                        "{\"blocks\": 2, \"block_causal\": 2}"}; // 7 tokens of future
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        nm_recipe other = odd_recipe();
        assert_int_equal(nm_recipe_parse(wrong[i], &other, &error), NM_E_FORMAT);
        assert_non_null(strstr(error.message, "block"));
    }
    free(text);
    free(without);
}

static void where_a_text_is_silent_values_stay(void **state) {
    (void)state;
    nm_error error;
    nm_recipe read = odd_recipe(), wanted = odd_recipe();
    assert_int_equal(nm_recipe_parse("{}", &read, &error), NM_OK);
    assert_same(&read, &wanted);
    assert_int_equal(nm_recipe_parse(" {\"past\": 6, \"steps\": 0} ", &read, &error), NM_OK);
    wanted.tokens.past = 6;
    wanted.steps = 0;
    assert_same(&read, &wanted);
}

static void texts_that_make_no_sense_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "no JSON"},
        {"[]", "no JSON"},
        {"7", "no JSON"},
        {"{\"past\": 3", "no JSON"},
        {"{\"past\": 3} {}", "no JSON"},
        {"{\"pasts\": 3}", "'pasts'"},
        {"{\"Past\": 3}", "'Past'"},
        {"{\"\": 3}", "there is no ''"},
        {"{\"past\": \"3\"}", "'past'"},
        {"{\"past\": null}", "'past'"},
        {"{\"past\": [3]}", "'past'"},
        {"{\"past\": 2.5}", "'past'"},
        {"{\"past\": -1}", "'past'"},
        {"{\"past\": 1e10}", "'past'"},
        {"{\"past\": 1e999}", "'past'"},
        {"{\"past\": 65}", "past of tokens is 65"},
        {"{\"agents\": 4294967295}", "'agents'"},
        {"{\"agents\": 0}", "agents of tokens is 0"},
        {"{\"range\": 0}", "range of tokens is 0"},
        {"{\"range\": -1e999}", "'range'"},
        {"{\"statics\": true}", "'statics'"},
        {"{\"snr\": \"linear\"}", "'snr'"},
        {"{\"snr\": 0}", "'snr'"},
        {"{\"prior\": \"curved\"}", "'prior'"},
        {"{\"prior\": 1}", "'prior'"},
        {"{\"encoding\": \"own\"}", "'encoding'"},
        {"{\"encoding\": {}}", "'encoding'"},
        {"{\"prior\": \"lane\", \"paths\": 0}", "'lane' needs paths"},
        {"{\"encoding\": \"ego\", \"paths\": 1}", "paths of tokens is 1"},
        {"{\"encoding\": \"ego\", \"paths\": 0}", "only tokens in own frames have a prior"},
        {"{\"steps\": -1}", "'steps'"},
        {"{\"steps\": 1e16}", "'steps'"},
        {"{\"steps\": 0.5}", "'steps'"},
        {"{\"name\": 5}", "'name'"},
        {"{\"past\": 3, \"future\": 7, \"past\": 3}", "'past' is there twice"},
        {"{\"blocks\": 1, \"name\": \"a\", \"blocks\": 2}", "'blocks' is there twice"},
        {"{\"none\": 1, \"none\": 1}", "'none' is there twice"},
        {"{\"past\": 3, \"Past\": 3}", "there is no 'Past'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nm_recipe recipe = odd_recipe();
        nm_error error;
        nm_error_clear(&error);
        const nm_status status = nm_recipe_parse(cases[i].text, &recipe, &error);
        if (status != NM_E_FORMAT || !strstr(error.message, cases[i].message))
            fail_msg("%s: %s, '%s'", cases[i].text, nm_status_name(status), error.message);
    }
}

static void huge_and_deep_texts_are_refused(void **state) {
    (void)state;
    nm_error error;
    nm_recipe recipe = odd_recipe();
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE + 64);
    assert_non_null(text);
    for (int kind = 0; kind < 4; kind++) {
        size_t used = (size_t)snprintf(text, 64, "%s", kind == 3 ? "{\"" : "{\"past\":");
        memset(text + used, kind == 0 ? '[' : kind == 1 ? '9' : kind == 2 ? ' ' : 'k', SIZE);
        used += SIZE;
        snprintf(text + used, 16, "%s", kind == 1 ? "}" : kind == 3 ? "\":1}" : "");
        assert_int_equal(nm_recipe_parse(text, &recipe, &error), NM_E_FORMAT);
    }
    // a name of any length is cut where it must be
    recipe = odd_recipe();
    const size_t used = (size_t)snprintf(text, 64, "{\"name\":\"");
    memset(text + used, 'n', 5000);
    memcpy(text + used + 5000, "\"}", 3);
    assert_int_equal(nm_recipe_parse(text, &recipe, &error), NM_OK);
    assert_int_equal(strlen(recipe.name), sizeof recipe.name - 1);
    free(text);
}

// ---------------------------------------------------------------------------------------------------------------------
// Beside weights

typedef struct folder {
    char path[64], file[128];
    nm_backend *backend;
} folder;

static folder open_folder(void) {
    folder f = {.path = "/tmp/nm_recipe_XXXXXX"};
    nm_error error;
    nm_backend_config config = nm_backend_config_default();
    config.compute = NM_F32;
    config.threads = 1;
    assert_non_null(mkdtemp(f.path));
    snprintf(f.file, sizeof f.file, "%s/m.safetensors", f.path);
    assert_int_equal(nm_backend_create_cpu(&config, &f.backend, &error), NM_OK);
    return f;
}

static void close_folder(folder *f) {
    unlink(f->file);
    assert_int_equal(rmdir(f->path), 0);
    nm_backend_destroy(f->backend);
}

static nm_model *model_for(const folder *f, const nm_token_config *tokens) {
    nm_model_config shape = nm_model_config_default();
    nm_model *model;
    nm_error error;
    shape.hidden = 16;
    shape.heads = 2;
    shape.blocks = 1;
    shape.frequencies = 8;
    nm_token_fit_model(tokens, &shape);
    if (nm_model_create(&shape, f->backend, 1, &model, &error) != NM_OK) fail_msg("%s", error.message);
    return model;
}

static void weights_carry_their_recipe(void **state) {
    (void)state;
    folder f = open_folder();
    nm_error error;
    nm_error_clear(&error);
    nm_recipe recipe = odd_recipe();
    snprintf(recipe.start, sizeof recipe.start, "run/weights.safetensors");
    nm_model *model = model_for(&f, &recipe.tokens), *loaded;
    nm_recipe read = published();
    if (nm_recipe_save(&recipe, model, f.file, 0, &error) != NM_OK) fail_msg("%s", error.message);
    if (nm_recipe_load(f.file, f.backend, &loaded, &read, &error) != NM_OK) fail_msg("%s", error.message);
    assert_same(&read, &recipe);
    assert_int_equal(nm_model_parameter_count(loaded), nm_model_parameter_count(model));
    assert_string_equal(read.start, "run/weights.safetensors");
    nm_model_destroy(loaded);
    nm_model_destroy(model);
    close_folder(&f);
}

static void weights_without_a_recipe_are_the_published_ones(void **state) {
    (void)state;
    folder f = open_folder();
    nm_error error;
    nm_error_clear(&error);
    const nm_recipe wanted = published();
    nm_recipe read = odd_recipe();
    nm_model *model = model_for(&f, &wanted.tokens), *loaded;
    assert_int_equal(nm_model_save(model, f.file, 0, &error), NM_OK);
    if (nm_recipe_load(f.file, f.backend, &loaded, &read, &error) != NM_OK) fail_msg("%s", error.message);
    assert_same(&read, &wanted);
    nm_model_destroy(loaded);
    nm_model_destroy(model);
    // and a network of other tokens without a recipe is nothing that could be used
    const nm_recipe other = odd_recipe();
    model = model_for(&f, &other.tokens);
    assert_int_equal(nm_model_save(model, f.file, 0, &error), NM_OK);
    assert_int_equal(nm_recipe_load(f.file, f.backend, &loaded, &read, &error), NM_E_FORMAT);
    assert_null(loaded);
    nm_model_destroy(model);
    close_folder(&f);
}

/// Weights whose recipe speaks of other tokens: the message names the file.
static void a_recipe_for_another_network_is_refused(void **state) {
    (void)state;
    folder f = open_folder();
    nm_error error;
    const nm_recipe right = odd_recipe();
    nm_model *model = model_for(&f, &right.tokens), *loaded;
    nm_recipe wrong[3] = {right, published(), right}, read;
    wrong[0].tokens.map_points = 6;
    wrong[2].tokens.map_points = 4;
    for (int i = 0; i < 3; i++) {
        nm_error_clear(&error);
        assert_int_equal(nm_recipe_check(&wrong[i], model, &error), NM_E_FORMAT);
        assert_int_equal(nm_recipe_save(&wrong[i], model, f.file, 0, &error), NM_OK); // files are hostile
        nm_error_clear(&error);
        assert_int_equal(nm_recipe_load(f.file, f.backend, &loaded, &read, &error), NM_E_FORMAT);
        assert_non_null(strstr(error.message, "map channels"));
        assert_string_equal(error.input, f.file);
        assert_null(loaded);
    }
    assert_int_equal(nm_recipe_check(&right, model, &error), NM_OK);
    nm_model_destroy(model);
    // as wide, but with points of a map where the recipe has polylines
    nm_model_config shape = nm_model_config_default();
    shape.hidden = 16;
    shape.heads = 2;
    shape.blocks = 1;
    shape.frequencies = 8;
    nm_token_fit_model(&right.tokens, &shape);
    shape.map_encoder = NM_MAP_PERCEIVER;
    assert_int_equal(nm_model_create(&shape, f.backend, 1, &model, &error), NM_OK);
    assert_int_equal(nm_recipe_check(&right, model, &error), NM_E_FORMAT);
    assert_non_null(strstr(error.message, "map encoder"));
    nm_model_destroy(model);
    close_folder(&f);
}

/// Joint attention sees all of a scene at once, of which blocks keep nothing.
static void blocks_of_joint_attention_are_refused(void **state) {
    (void)state;
    folder f = open_folder();
    nm_error error;
    nm_recipe recipe = odd_recipe(), read;
    nm_model *model, *loaded;
    nm_model_config shape = nm_model_config_default();
    shape.hidden = 16;
    shape.heads = 2;
    shape.blocks = 1;
    shape.frequencies = 8;
    nm_token_fit_model(&recipe.tokens, &shape);
    shape.pose_bias = 0;
    shape.attention.kind = NM_ATTENTION_FULL;
    if (nm_model_create(&shape, f.backend, 1, &model, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_recipe_check(&recipe, model, &error), NM_OK);
    recipe.blocks = (nm_block_config){.size = 2, .memory = 8};
    assert_int_equal(nm_recipe_save(&recipe, model, f.file, 0, &error), NM_OK); // files are hostile
    nm_error_clear(&error);
    assert_int_equal(nm_recipe_load(f.file, f.backend, &loaded, &read, &error), NM_E_FORMAT);
    assert_non_null(strstr(error.message, "blocks need factored attention"));
    assert_string_equal(error.input, f.file);
    assert_null(loaded);
    nm_model_destroy(model);
    close_folder(&f);
}

static void a_bad_recipe_in_a_file_names_the_file(void **state) {
    (void)state;
    folder f = open_folder();
    nm_error error;
    nm_error_clear(&error);
    nm_model *loaded = (nm_model *)&error;
    nm_recipe read;
    static const float data[1] = {0};
    const nm_safetensors_item item = {.name = "x", .type = NM_STORED_F32, .rank = 1, .shape = {1}, .data = data};
    const nm_safetensors_text text = {"nearmiss_recipe", "{\"past\": \"many\"}"};
    nm_safetensors_config config = nm_safetensors_config_default();
    config.metadata = &text;
    config.metadata_count = 1;
    assert_int_equal(nm_safetensors_write(f.file, &item, 1, &config, &error), NM_OK);
    assert_int_equal(nm_recipe_load(f.file, f.backend, &loaded, &read, &error), NM_E_FORMAT);
    assert_non_null(strstr(error.message, "'past'"));
    assert_string_equal(error.input, f.file);
    assert_null(loaded);
    unlink(f.file);
    assert_int_equal(nm_recipe_load(f.file, f.backend, &loaded, &read, &error), NM_E_NOT_FOUND);
    close_folder(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_says_all_of_a_recipe),
        cmocka_unit_test(blocks_are_said_where_there_are_any),
        cmocka_unit_test(where_a_text_is_silent_values_stay),
        cmocka_unit_test(texts_that_make_no_sense_are_refused_by_name),
        cmocka_unit_test(huge_and_deep_texts_are_refused),
        cmocka_unit_test(weights_carry_their_recipe),
        cmocka_unit_test(weights_without_a_recipe_are_the_published_ones),
        cmocka_unit_test(a_recipe_for_another_network_is_refused),
        cmocka_unit_test(blocks_of_joint_attention_are_refused),
        cmocka_unit_test(a_bad_recipe_in_a_file_names_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
