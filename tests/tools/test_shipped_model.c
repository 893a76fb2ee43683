/// Where the weights are looked for, in which order, and what is said when there are none.
#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tools/shipped_model.h"

/// A folder with bin/ and share/nearmiss/ as an installed program has them.
typedef struct prefix {
    char root[64], program[128], weights[160], other[128];
} prefix;

static void make_file(const char *path) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fclose(file);
}

static prefix make_prefix(void) {
    prefix p;
    char path[160];
    snprintf(p.root, sizeof p.root, "/tmp/nearmiss-test-XXXXXX");
    assert_non_null(mkdtemp(p.root));
    const char *const folders[] = {"bin", "share", "share/nearmiss"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", p.root, folders[i]);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    snprintf(p.program, sizeof p.program, "%s/bin/nearmiss", p.root);
    snprintf(p.weights, sizeof p.weights, "%s/bin/../share/nearmiss/nearmiss.safetensors", p.root);
    snprintf(p.other, sizeof p.other, "%s/other.safetensors", p.root);
    return p;
}

static void remove_prefix(const prefix *p) {
    char path[160];
    unlink(p->weights);
    unlink(p->other);
    const char *const left[] = {"share/nearmiss/nearmiss.safetensors.index.json", "share/nearmiss", "share", "bin", ""};
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", p->root, left[i]);
        remove(path);
    }
    assert_int_equal(access(p->root, F_OK), -1);
}

static nm_status find(const prefix *p, const char *asked, const char *environment, char path[NM_MODEL_PATH],
                      nm_error *error) {
    nm_error_clear(error);
    return nm_model_path(asked, &(nm_model_places){.environment = environment, .program = p->program}, path, error);
}

static void test_order(void **state) {
    (void)state;
    const prefix p = make_prefix();
    char path[NM_MODEL_PATH];
    nm_error error;
    make_file(p.weights);
    make_file(p.other);
    assert_int_equal(find(&p, "my.safetensors", p.other, path, &error), NM_OK);
    assert_string_equal(path, "my.safetensors"); // there or not: whoever opens it says so
    const char *const asked[] = {NULL, "shipped"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(find(&p, asked[i], p.other, path, &error), NM_OK);
        assert_string_equal(path, p.other);
        assert_int_equal(find(&p, asked[i], "", path, &error), NM_OK);
        assert_string_equal(path, p.weights);
        assert_int_equal(find(&p, asked[i], NULL, path, &error), NM_OK);
        assert_string_equal(path, p.weights);
    }
    unlink(p.weights);
    char index[192];
    snprintf(index, sizeof index, "%s.index.json", p.weights);
    make_file(index); // in shards
    assert_int_equal(find(&p, NULL, NULL, path, &error), NM_OK);
    assert_string_equal(path, p.weights);
    remove_prefix(&p);
}

/// The model of blocks lies beside the other, and is no other's stand-in: neither what the environment names.
static void test_blocks(void **state) {
    (void)state;
    const prefix p = make_prefix();
    char path[NM_MODEL_PATH], blocks[192];
    nm_error error;
    make_file(p.weights);
    make_file(p.other);
    assert_int_equal(find(&p, NM_SHIPPED_BLOCKS, p.other, path, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "share/nearmiss/blocks.safetensors"));
    assert_null(strstr(error.message, "NEARMISS_MODEL"));
    snprintf(blocks, sizeof blocks, "%s/bin/../share/nearmiss/blocks.safetensors", p.root);
    make_file(blocks);
    assert_int_equal(find(&p, NM_SHIPPED_BLOCKS, p.other, path, &error), NM_OK);
    assert_string_equal(path, blocks);
    assert_int_equal(find(&p, "shipped", NULL, path, &error), NM_OK);
    assert_string_equal(path, p.weights);
    assert_true(nm_model_is_shipped("shipped") && nm_model_is_shipped(NM_SHIPPED_BLOCKS));
    assert_false(nm_model_is_shipped("shipped-") || nm_model_is_shipped("blocks"));
    unlink(blocks);
    remove_prefix(&p);
}

static void test_none(void **state) {
    (void)state;
    const prefix p = make_prefix();
    char path[NM_MODEL_PATH];
    nm_error error;
    assert_int_equal(find(&p, NULL, NULL, path, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "NEARMISS_MODEL"));
    assert_non_null(strstr(error.message, p.weights));
    assert_null(strstr(error.message, "nexus/weights")); // it lies in no build tree
    make_file(p.weights);
    assert_int_equal(find(&p, "shipped", p.other, path, &error), NM_E_NOT_FOUND); // no other in its stead
    assert_non_null(strstr(error.message, p.other));
    assert_non_null(strstr(error.message, "NEARMISS_MODEL"));
    remove_prefix(&p);
}

/// This test lies in a build tree: the source tree's weights are used, or named as a place that was looked at.
static void test_build_tree(void **state) {
    (void)state;
    const char *weights = NM_SOURCE_DIR "/nexus/weights/nearmiss.safetensors";
    char program[NM_MODEL_PATH], path[NM_MODEL_PATH];
    nm_error error;
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    assert_true(length > 0);
    program[length] = '\0';
    const nm_model_places places = {.program = program};
    const nm_status status = nm_model_path(NULL, &places, path, &error);
    if (access(weights, F_OK) == 0) {
        assert_int_equal(status, NM_OK);
        assert_string_equal(path, weights);
    } else {
        assert_int_equal(status, NM_E_NOT_FOUND);
        assert_non_null(strstr(error.message, weights));
        assert_non_null(strstr(error.message, "share/nearmiss"));
    }
}

static void test_too_long(void **state) {
    (void)state;
    static char longest[NM_MODEL_PATH + 8];
    char path[NM_MODEL_PATH];
    nm_error error;
    memset(longest, 'x', sizeof longest - 1);
    const nm_model_places named = {.environment = longest}, beside = {.program = longest};
    assert_int_equal(nm_model_path(longest, &named, path, &error), NM_E_LIMIT);
    assert_int_equal(nm_model_path(NULL, &named, path, &error), NM_E_LIMIT);
    assert_int_equal(nm_model_path(NULL, &beside, path, &error), NM_E_LIMIT);
    longest[NM_MODEL_PATH - 1] = '\0';
    assert_int_equal(nm_model_path(longest, &named, path, &error), NM_OK);
    assert_string_equal(path, longest);
    assert_int_equal(nm_model_path(NULL, &(nm_model_places){0}, path, &error), NM_E_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),      cmocka_unit_test(test_blocks),   cmocka_unit_test(test_none),
        cmocka_unit_test(test_build_tree), cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
