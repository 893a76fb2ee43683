/// Joint attention: full and to blocks.
#include <unistd.h>

#include "backends_support.h"
#include "network_support.h"
#include "nexus/reuse.h"
#include "nexus/safetensors.h"

enum { CHANNELS = 3, AGENTS = 30, STEPS = 10, TOKENS = AGENTS * STEPS };

/// A crowd whose blocks are many, and a small scene beside it.
typedef struct fixture {
    nm_model *model;
    nm_pass *pass;
    uint8_t valid[TOKENS];
    nm_token_scene scenes[2];
    random_tokens tokens;
    float v[2 * TOKENS * CHANNELS];
} fixture;

static nm_model_config blocks_config(float tau) {
    nm_model_config c = small_config(4);
    c.blocks = 3; // a layer of every kind of blocks
    c.attention.tau = tau;
    return c;
}
static nm_model_config full_config(void) {
    nm_model_config c = blocks_config(1.0f);
    c.attention.kind = NM_ATTENTION_FULL;
    return c;
}

static void begin(fixture *f, nm_backend *backend, const nm_model_config *config, int training) {
    nm_error error;
    const nm_batch_capacity capacity = {2, 2 * TOKENS, 0};
    assert_int_equal(nm_model_create(config, backend, 1, &f->model, &error), NM_OK);
    randomise_model(f->model, 5);
    assert_int_equal(nm_pass_create(f->model, &capacity, training, &f->pass, &error), NM_OK);
    for (uint32_t i = 0; i < TOKENS; ++i) f->valid[i] = random_value(3, 2, i) > -0.8f;
    f->scenes[0] = (nm_token_scene){.agents = AGENTS, .steps = STEPS, .valid = f->valid};
    f->scenes[1] = (nm_token_scene){.agents = 3, .steps = STEPS, .valid = f->valid + 50};
    assert_int_equal(nm_pass_set_scenes(f->pass, f->scenes, 2, &error), NM_OK);
    f->tokens = make_tokens(nm_pass_batch(f->pass), config, 9);
}
static void predict(fixture *f) {
    nm_error error;
    if (nm_pass_predict(f->pass, &f->tokens.input, f->v, &error) != NM_OK) fail_msg("%s", error.message);
}
static void end(fixture *f) {
    free_tokens(&f->tokens);
    nm_pass_destroy(f->pass);
    nm_model_destroy(f->model);
}
static size_t values_of(const fixture *f) {
    return (size_t)nm_pass_batch(f->pass)->tokens * CHANNELS;
}

/// The largest difference, relative to the largest value.
static double distance(const fixture *a, const fixture *b) {
    double worst = 0.0, largest = 0.0;
    for (size_t i = 0; i < values_of(a); ++i) {
        worst = fmax(worst, fabs((double)a->v[i] - (double)b->v[i]));
        largest = fmax(largest, fabs((double)b->v[i]));
    }
    return worst / largest;
}

static void all_blocks_are_full_attention(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int i = 0; i < count; ++i) {
        static fixture full, all, most, few;
        const nm_model_config exact = full_config();
        begin(&full, backends[i].backend, &exact, 0);
        predict(&full);
        static fixture *const others[] = {&all, &most, &few};
        static const float tau[] = {1.0f, 0.95f, 0.3f};
        for (int k = 0; k < 3; ++k) {
            const nm_model_config config = blocks_config(tau[k]);
            begin(others[k], backends[i].backend, &config, 0);
            predict(others[k]);
        }
        const double of_all = distance(&all, &full), of_most = distance(&most, &full), of_few = distance(&few, &full);
        if (of_all > backends[i].tolerance) fail_msg("%s: all blocks are off by %g", backends[i].backend->name, of_all);
        if (!(of_few > 1e-3 && of_most < of_few)) // else nothing has been left out
            fail_msg("%s: most blocks are off by %g, few by %g", backends[i].backend->name, of_most, of_few);
        assert_true(nm_pass_flops(few.pass) < nm_pass_flops(most.pass));
        assert_true(nm_pass_flops(most.pass) < nm_pass_flops(all.pass));
        // which scores every pair, and besides every query and block of its scene twice, as if they were keys with
        // values, in all three layers
        const nm_batch *b = nm_pass_batch(all.pass);
        double scored = 0.0;
        for (int s = 0; s < 2; ++s) {
            const uint32_t size = b->scene_tokens[s + 1] - b->scene_tokens[s];
            scored += (double)size * ((size + 15) / 16);
        }
        assert_true(fabs(nm_pass_flops(all.pass) - nm_pass_flops(full.pass) - 3 * 4.0 * 16 * scored) <
                    1e-6 * nm_pass_flops(full.pass));
        end(&full);
        for (int k = 0; k < 3; ++k) end(others[k]);
    }
    close_backends(backends, count);
}

static void all_blocks_have_the_gradients_of_full_attention(void **state) {
    (void)state;
    nm_error error;
    nm_backend *reference;
    static fixture f[2];
    double loss[2];
    const nm_model_config config[2] = {full_config(), blocks_config(1.0f)};
    assert_int_equal(nm_backend_create_reference(&reference, &error), NM_OK);
    for (int i = 0; i < 2; ++i) {
        begin(&f[i], reference, &config[i], 1);
        nm_pass_zero_gradients(f[i].pass);
        assert_int_equal(nm_pass_train(f[i].pass, &f[i].tokens.input, &f[i].tokens.target, &loss[i], &error), NM_OK);
    }
    const nm_tensor a = nm_pass_gradients(f[0].pass), b = nm_pass_gradients(f[1].pass);
    double largest = 0.0, worst = 0.0;
    for (uint32_t i = 0; i < a.cols; ++i) {
        largest = fmax(largest, fabs(((double *)a.data)[i]));
        worst = fmax(worst, fabs(((double *)a.data)[i] - ((double *)b.data)[i]));
    }
    assert_true(largest > 1e-3 && worst < 1e-11 * largest);
    for (int i = 0; i < 2; ++i) end(&f[i]);
    nm_backend_destroy(reference);
}

/// Predictions and gradients have the same bits for any number of threads, and again.
static void threads_do_not_matter(void **state) {
    (void)state;
    static const int threads[] = {1, 2, 3, 1};
    for (int kind = 0; kind < 4; ++kind) {
        const nm_model_config config = kind % 2 ? blocks_config(0.5f) : full_config();
        static fixture f[4];
        nm_backend *backend[4];
        nm_error error;
        for (int i = 0; i < 4; ++i) {
            double loss;
            nm_backend_config c = nm_backend_config_default();
            c.threads = threads[i];
            c.compute = kind / 2 ? NM_BF16 : NM_F32;
            assert_int_equal(nm_backend_create_cpu(&c, &backend[i], &error), NM_OK);
            begin(&f[i], backend[i], &config, 1);
            predict(&f[i]);
            nm_pass_zero_gradients(f[i].pass);
            assert_int_equal(nm_pass_train(f[i].pass, &f[i].tokens.input, &f[i].tokens.target, &loss, &error), NM_OK);
            assert_memory_equal(f[i].v, f[0].v, values_of(&f[0]) * sizeof(float));
            const nm_tensor g = nm_pass_gradients(f[i].pass);
            assert_memory_equal(g.data, nm_pass_gradients(f[0].pass).data, g.cols * sizeof(float));
        }
        for (int i = 0; i < 4; ++i) {
            end(&f[i]);
            nm_backend_destroy(backend[i]);
        }
    }
}

/// Tokens know where others are, and nothing of where the scene is.
static void places_are_relative(void **state) {
    (void)state;
    nm_error error;
    nm_backend *reference;
    assert_int_equal(nm_backend_create_reference(&reference, &error), NM_OK);
    for (int kind = 0; kind < 2; ++kind) {
        const nm_model_config config = kind ? blocks_config(0.5f) : full_config();
        static fixture f, as_it_was;
        begin(&f, reference, &config, 0);
        predict(&f);
        as_it_was = f;
        const uint32_t count = nm_pass_batch(f.pass)->tokens;
        for (uint32_t n = 0; n < count; ++n) {
            f.tokens.pose[4 * n] += 4096.0f; // which rounds poses of some ten metres to a few 1e-4 m
            f.tokens.pose[4 * n + 1] -= 4096.0f;
        }
        predict(&f);
        assert_true(distance(&f, &as_it_was) < 1e-3);
        for (uint32_t n = 0; n < count; ++n) { // one agent steps aside
            if (nm_pass_batch(f.pass)->refs[n].agent == 2) f.tokens.pose[4 * n + 1] += 3.0f;
        }
        predict(&f);
        double other = 0.0;
        for (uint32_t n = 0; n < count; ++n) {
            if (nm_pass_batch(f.pass)->refs[n].agent == 2) continue;
            for (uint32_t c = 0; c < CHANNELS; ++c)
                other = fmax(other, fabs((double)f.v[n * CHANNELS + c] - (double)as_it_was.v[n * CHANNELS + c]));
        }
        assert_true(other > 1e-3);
        end(&f);
    }
    nm_backend_destroy(reference);
}

/// A pass follows poses that differ, and tokens that come and go, as one that is made for them does.
static void moved_poses_are_followed(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int i = 0; i < count; ++i) {
        static fixture f, anew;
        nm_error error;
        const nm_model_config config = blocks_config(0.5f);
        begin(&f, backends[i].backend, &config, 0);
        for (int round = 0; round < 4; ++round) { // from the second one on a backend may replay what it recorded
            begin(&anew, backends[i].backend, &config, 0);
            if (round == 3) {
                for (fixture *each = &f; each; each = each == &f ? &anew : NULL) {
                    memset(each->valid + 80, 0, 60);
                    free_tokens(&each->tokens);
                    assert_int_equal(nm_pass_set_tokens(each->pass, each->scenes, 2, &error), NM_OK);
                    each->tokens = make_tokens(nm_pass_batch(each->pass), &config, 9);
                }
            }
            for (uint32_t n = 0; n < nm_pass_batch(f.pass)->tokens; ++n)
                for (fixture *each = &f; each; each = each == &f ? &anew : NULL)
                    each->tokens.pose[4 * n] =
                        (float)(round + 1) * 20.0f * random_value(77, 1, nm_pass_batch(f.pass)->refs[n].agent);
            predict(&f);
            predict(&anew);
            assert_int_equal(values_of(&f), values_of(&anew));
            assert_memory_equal(f.v, anew.v, values_of(&f) * sizeof(float));
            end(&anew);
        }
        end(&f);
    }
    close_backends(backends, count);
}

// ---------------------------------------------------------------------------------------------------------------------
// Files and choices

static void attentions_are_read(void **state) {
    (void)state;
    nm_error error;
    nm_attention_choice c = {.kind = NM_ATTENTION_FACTORED, .target = 64, .tau = 0.25f};
    assert_int_equal(nm_attention_parse("full", &c, &error), NM_OK);
    assert_true(c.kind == NM_ATTENTION_FULL && c.target == 64 && c.tau == 0.25f);
    assert_int_equal(nm_attention_parse("blocks", &c, &error), NM_OK);
    assert_true(c.kind == NM_ATTENTION_BLOCKS && c.target == 64 && c.tau == 0.25f);
    assert_int_equal(nm_attention_parse("blocks:tau=0.9,target=16", &c, &error), NM_OK);
    assert_true(c.target == 16 && c.tau == 0.9f);
    assert_int_equal(nm_attention_parse("blocks:target=1024", &c, &error), NM_OK);
    assert_true(c.target == 1024 && c.tau == 0.9f);
    static const char *const wrong[] = {"",
                                        "factored",
                                        "block",
                                        "blocks:",
                                        "blocks:tau",
                                        "blocks:tau=",
                                        "blocks:tau=1.5",
                                        "blocks:tau=-0.1",
                                        "blocks:tau=nan",
                                        "blocks:tau=0.5x",
                                        "blocks:target=15",
                                        "blocks:target=1025",
                                        "blocks:target=-64",
                                        "blocks:target=99999999999999999999",
                                        "blocks:target=",
                                        "blocks:tau=0.5,",
                                        "blocks:tau=0.5,,target=64",
                                        "blocks:tau=0.50000000000000000000000000000000000000000000000000",
                                        "full:tau=1",
                                        "blocks tau=1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        const nm_attention_choice before = c;
        if (nm_attention_parse(wrong[i], &c, &error) != NM_E_ARGUMENT) fail_msg("\"%s\" is read", wrong[i]);
        assert_memory_equal(&c, &before, sizeof c);
    }
}

static void save_and_load(nm_model *model, nm_backend *backend, const char *path, nm_model **loaded) {
    nm_error error;
    assert_int_equal(nm_model_save(model, path, 0, &error), NM_OK);
    if (nm_model_load(path, NULL, backend, loaded, &error) != NM_OK) fail_msg("%s", error.message);
}

static void files_keep_the_attention(void **state) {
    (void)state;
    nm_error error;
    nm_backend *reference;
    char path[] = "/tmp/nm_joint_XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(nm_backend_create_reference(&reference, &error), NM_OK);
    for (int variant = 2; variant < NETWORK_VARIANTS; ++variant) {
        nm_model *model, *loaded;
        nm_safetensors *stored;
        nm_model_config config = small_config(variant);
        config.attention.tau = 0.7f;
        assert_int_equal(nm_model_create(&config, reference, 1, &model, &error), NM_OK);
        save_and_load(model, reference, path, &loaded);
        const nm_attention_choice *got = &nm_model_get_config(loaded)->attention;
        assert_int_equal(got->kind, config.attention.kind);
        if (variant == 4) assert_true(got->target == 16 && got->tau == 0.7f);
        assert_int_equal(nm_safetensors_open(path, &stored, &error), NM_OK);
        // files of factored models say nothing of it: they are what they always were
        assert_true((nm_safetensors_metadata(stored, "attention") != NULL) == (variant > 2));
        assert_true((nm_safetensors_metadata(stored, "block_tau") != NULL) == (variant > 3));
        nm_safetensors_close(stored);

        const nm_attention_choice other = {
            .kind = variant == 3 ? NM_ATTENTION_BLOCKS : NM_ATTENTION_FULL, .target = 48, .tau = 0.5f};
        const nm_attention_choice bad = {.kind = NM_ATTENTION_BLOCKS, .target = 8, .tau = 0.5f};
        const nm_attention_choice factored = {.kind = NM_ATTENTION_FACTORED};
        const nm_status expected = variant == 2 ? NM_E_ARGUMENT : NM_OK;
        const nm_attention_choice unknown = {.kind = (nm_attention_kind)3, .target = 48, .tau = 0.5f};
        assert_int_equal(nm_model_set_attention(loaded, &unknown, &error), NM_E_ARGUMENT);
        assert_non_null(strstr(error.message, "number 3"));
        assert_int_equal(nm_model_set_attention(loaded, &bad, &error), NM_E_ARGUMENT);
        assert_int_equal(nm_model_set_attention(loaded, &factored, &error), NM_E_ARGUMENT);
        assert_int_equal(got->kind, config.attention.kind);
        assert_int_equal(nm_model_set_attention(loaded, &other, &error), expected);
        assert_int_equal(got->kind, variant == 2 ? NM_ATTENTION_FACTORED : (int)other.kind);
        nm_model_destroy(loaded);
        nm_model_destroy(model);
    }
    unlink(path);
    nm_backend_destroy(reference);
}

/// What knows factored attention alone says so.
static void what_is_factored_refuses_joint_models(void **state) {
    (void)state;
    nm_error error;
    nm_backend *reference;
    nm_pass *pass;
    nm_reuse *reuse;
    static fixture f;
    const nm_model_config config = blocks_config(0.5f);
    const nm_batch_capacity capacity = {1, TOKENS, 0};
    const nm_link_capacity links = {4, 4, 0};
    nm_reuse_config kept = nm_reuse_config_default();
    kept.on = 1;
    assert_int_equal(nm_backend_create_reference(&reference, &error), NM_OK);
    begin(&f, reference, &config, 0);
    assert_int_equal(nm_pass_create_linked(f.model, &capacity, &links, 0, &pass, &error), NM_E_UNSUPPORTED);
    assert_null(pass);
    assert_non_null(strstr(error.message, "'blocks'"));
    assert_int_equal(nm_reuse_create(f.pass, &kept, &reuse, &error), NM_E_UNSUPPORTED);
    assert_null(reuse);
    assert_non_null(strstr(error.message, "'blocks'"));
    nm_model_config posed = config;
    posed.pose_bias = 1;
    assert_int_equal(nm_model_config_check(&posed, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "pose_bias"));
    end(&f);
    nm_backend_destroy(reference);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_blocks_are_full_attention),
        cmocka_unit_test(all_blocks_have_the_gradients_of_full_attention),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(places_are_relative),
        cmocka_unit_test(moved_poses_are_followed),
        cmocka_unit_test(attentions_are_read),
        cmocka_unit_test(files_keep_the_attention),
        cmocka_unit_test(what_is_factored_refuses_joint_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
