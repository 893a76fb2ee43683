/// Writing weights files: the same set gives the same bytes, shards make one set, nothing is left half-written.
#include "safetensors_support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>

/// How many more times a folder may change before the machine is switched off: from then on everything fails.
static long changes_left = LONG_MAX;

static int switched_off(void) {
    if (changes_left-- > 0) return 0;
    errno = EIO;
    return 1;
}
/// Files and folders flushed to the disk.
static int flushes;

int fsync(int file) {
    (void)file;
    flushes++;
    return 0;
}
int rename(const char *from, const char *to) {
    return switched_off() ? -1 : renameat(AT_FDCWD, from, AT_FDCWD, to);
}
int unlink(const char *path) {
    return switched_off() ? -1 : unlinkat(AT_FDCWD, path, 0);
}

static const float w[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const double d[2] = {-1.5, 0x1p-1000};
static const uint8_t b[3] = {1, 0, 1};

static const nm_safetensors_text texts[2] = {{"hidden", "64"}, {"a \"quoted\"\nkey", "sch\xc3\xb6n"}};
static const nm_safetensors_item items[6] = {
    {"layer.weight", NM_STORED_F32, 2, {3, 4}, w}, {"layer.bias", NM_STORED_BF16, 1, {3}, w},
    {"double", NM_STORED_F64, 1, {2}, d},          {"flags", NM_STORED_BOOL, 1, {3}, b},
    {"empty", NM_STORED_I64, 2, {0, 5}, NULL},     {"a/\xc3\xa9\\", NM_STORED_I8, 0, {0}, b},
};

static nm_safetensors_config with_texts(uint64_t shard_bytes) {
    nm_safetensors_config config = nm_safetensors_config_default();
    config.metadata = texts;
    config.metadata_count = 2;
    config.shard_bytes = shard_bytes;
    return config;
}

static void write_items(const char *path, size_t count, uint64_t shard_bytes) {
    const nm_safetensors_config config = with_texts(shard_bytes);
    nm_error error;
    if (nm_safetensors_write(path, items, count, &config, &error) != NM_OK) fail_msg("%s", error.message);
}

/// Whether the set at `path` holds items [0, count) and the texts.
static void check_items(const char *path, size_t count) {
    nm_safetensors *file = NULL;
    nm_error error;
    if (nm_safetensors_open(path, &file, &error) != NM_OK) fail_msg("%s: %s", error.input, error.message);
    assert_int_equal(nm_safetensors_count(file), count);
    for (size_t i = 0; i < count; i++) {
        unsigned char bytes[64];
        const nm_stored_tensor *tensor = nm_safetensors_find(file, items[i].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->type, items[i].type);
        assert_int_equal(tensor->rank, items[i].rank);
        assert_memory_equal(tensor->shape, items[i].shape, sizeof tensor->shape[0] * tensor->rank);
        assert_int_equal(tensor->offset % nm_stored_type_size(tensor->type), 0);
        assert_int_equal(nm_safetensors_read(file, tensor, bytes, &error), NM_OK);
        if (tensor->bytes) assert_memory_equal(bytes, items[i].data, tensor->bytes);
    }
    assert_int_equal(nm_safetensors_metadata_count(file), 2);
    for (int i = 0; i < 2; i++) assert_string_equal(nm_safetensors_metadata(file, texts[i].key), texts[i].value);
    nm_safetensors_close(file);
}

static void writes_what_it_reads(void **state) {
    (void)state;
    write_items(at("one.safetensors"), 6, 0);
    check_items(at("one.safetensors"), 6);
    flushes = 0;
    write_items(at("one.safetensors"), 2, 0); // replaced
    assert_int_equal(flushes, 2);             // the file, then the folder in which it was renamed
    check_items(at("one.safetensors"), 2);
    assert_int_equal(files_in_folder(), 1);
}

static void the_order_given_does_not_matter(void **state) {
    (void)state;
    nm_safetensors_item turned[6];
    nm_safetensors_text turned_texts[2] = {texts[1], texts[0]};
    for (int i = 0; i < 6; i++) turned[i] = items[(i * 5 + 3) % 6];
    nm_safetensors_config config = with_texts(1), other = config; // shards are not looked at
    other.metadata = turned_texts;
    char first[2048], second[2048];
    size_t size = 0, other_size = 0;
    assert_int_equal(nm_safetensors_encode(items, 6, &config, first, sizeof first, &size, NULL), NM_OK);
    assert_int_equal(nm_safetensors_encode(turned, 6, &other, second, sizeof second, &other_size, NULL), NM_OK);
    assert_in_range(size, 200, sizeof first);
    assert_int_equal(size, other_size);
    assert_memory_equal(first, second, size);
    uint64_t header = 0;
    memcpy(&header, first, 8);
    assert_int_equal(header % 8, 0);
    memset(second, 7, sizeof second);
    assert_int_equal(nm_safetensors_encode(items, 6, &config, second, size - 1, &other_size, NULL), NM_OK);
    assert_int_equal(second[0], 7); // too small: left alone
}

/// Reads a set and writes it again.
static void copy_set(const char *from, const char *to) {
    nm_safetensors *file = NULL;
    assert_int_equal(nm_safetensors_open(from, &file, NULL), NM_OK);
    const size_t count = nm_safetensors_count(file), keys = nm_safetensors_metadata_count(file);
    nm_safetensors_item *copies = calloc(count, sizeof *copies);
    nm_safetensors_text *metadata = calloc(keys, sizeof *metadata);
    for (size_t i = 0; i < count; i++) {
        const nm_stored_tensor *tensor = nm_safetensors_at(file, i);
        void *data = malloc(tensor->bytes + 1);
        assert_int_equal(nm_safetensors_read(file, tensor, data, NULL), NM_OK);
        copies[i] =
            (nm_safetensors_item){.name = tensor->name, .type = tensor->type, .rank = tensor->rank, .data = data};
        memcpy(copies[i].shape, tensor->shape, sizeof tensor->shape);
    }
    for (size_t i = 0; i < keys; i++) nm_safetensors_metadata_at(file, i, &metadata[i].key, &metadata[i].value);
    const nm_safetensors_config config = {.metadata = metadata, .metadata_count = keys};
    assert_int_equal(nm_safetensors_write(to, copies, count, &config, NULL), NM_OK);
    for (size_t i = 0; i < count; i++) free((void *)copies[i].data);
    free(copies);
    free(metadata);
    nm_safetensors_close(file);
}

/// The golden files come from another writer (reference.py) that follows the same rules.
static void two_writers_make_the_same_bytes(void **state) {
    (void)state;
    for (const char *const *name = (const char *const[]){"small-weights", "small-io", NULL}; *name; name++) {
        char path[256];
        size_t size, copied;
        snprintf(path, sizeof path, "%s%s.safetensors", GOLDEN, *name);
        copy_set(path, at("copy.safetensors"));
        unsigned char *golden = get_file(path, &size), *copy = get_file(at("copy.safetensors"), &copied);
        assert_int_equal(size, copied);
        assert_memory_equal(golden, copy, size);
        free(golden);
        free(copy);
    }
}

static void cuts_a_set_into_shards(void **state) {
    (void)state;
    flushes = 0;
    write_items(at("model.safetensors"), 6, 48); // by name: 1 + 16 + 0 + 3 + 6, then 48
    assert_int_equal(flushes, 6); // three files; the folder without an index, with the shards, with the new index
    assert_true(exists("model-00001-of-00002.safetensors"));
    assert_true(exists("model-00002-of-00002.safetensors"));
    assert_int_equal(files_in_folder(), 3);
    check_items(at("model.safetensors.index.json"), 6);
    check_items(at("model.safetensors"), 6);
    check_items(folder, 6);
    nm_safetensors *file = NULL;
    const char *const paths[2] = {at("model-00002-of-00002.safetensors"), at("model-00001-of-00002.safetensors")};
    assert_int_equal(nm_safetensors_open_list(paths, 2, &file, NULL), NM_OK);
    assert_int_equal(nm_safetensors_count(file), 6);
    assert_int_equal(nm_safetensors_find(file, "layer.weight")->file, 0);
    assert_int_equal(nm_safetensors_find(file, "flags")->file, 1);
    nm_safetensors_close(file);
}

/// A tensor over the limit is not cut; names that do not end as they should get the ending.
static void a_large_tensor_has_a_file_of_its_own(void **state) {
    (void)state;
    write_items(at("big"), 6, 10);
    check_items(at("big"), 6); // a: 1, double: 16, empty and flags and layer.bias: 9, layer.weight: 48
    assert_true(exists("big-00004-of-00004.safetensors"));
    assert_true(exists("big.index.json"));
    assert_int_equal(files_in_folder(), 5);
}

static void one_form_replaces_the_other(void **state) {
    (void)state;
    write_items(at("model.safetensors"), 6, 0);
    write_items(at("model.safetensors"), 5, 30);
    assert_false(exists("model.safetensors"));
    check_items(folder, 5);
    write_items(at("model.safetensors"), 4, 0);
    assert_false(exists("model.safetensors.index.json"));
    check_items(folder, 4);
}

static void put_index(const char *text) {
    put_file(at("model.safetensors.index.json"), text, strlen(text));
}

/// Each index here does not agree with what lies beside it.
static void refuses_an_index_that_lies(void **state) {
    (void)state;
    static const struct {
        const char *index, *part;
        nm_status status;
    } cases[] = {
        {"{\"weight_map\":{\"x\":\"s1\",\"y\":\"s2\",\"z\":\"s2\"}}", "'z' is not in 's2'", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"s1\",\"y\":\"s1\"}}", "'y' is not in 's1'", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"s1\",\"a\":\"s2\",\"y\":\"s2\"}}", "'a' is not in 's2'", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"s2\",\"y\":\"s1\"}}", "'x' is in 's1', not in 's2'", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"both\"}}", "leaves out tensor 'y' of 'both'", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"s1\",\"x\":\"s2\"}}", "'x' twice", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"s1\",\"y\":\"none\"}}", "", NM_E_NOT_FOUND},
        {"{\"weight_map\":{\"x\":\"../s1\"}}", "no file beside the index", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"/etc/passwd\"}}", "no file beside the index", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"..\"}}", "no file beside the index", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"\"}}", "no file beside the index", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":1}}", "no file beside the index", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"s1\",\"y\":\"other\"}}", "'hidden' are '64' here and '32' in 'other'", NM_E_FORMAT},
        {"{\"weight_map\":{}}", "no 'weight_map'", NM_E_FORMAT},
        {"{\"weight_map\":[\"s1\"]}", "no 'weight_map'", NM_E_FORMAT},
        {"{\"metadata\":{}}", "no 'weight_map'", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"s1\"}", "not JSON", NM_E_FORMAT},
        {"{\"weight_map\":{\"x\":\"model.safetensors.index.json\"}}", "over the format's limit", NM_E_FORMAT},
    };
    const nm_safetensors_item x = {"x", NM_STORED_U8, 1, {3}, b}, y = {"y", NM_STORED_U8, 1, {3}, b};
    const nm_safetensors_text small = {"hidden", "32"};
    nm_safetensors_config config = with_texts(0), other = config;
    other.metadata = &small;
    other.metadata_count = 1;
    assert_int_equal(nm_safetensors_write(at("s1"), &x, 1, &config, NULL), NM_OK);
    assert_int_equal(nm_safetensors_write(at("s2"), &y, 1, &config, NULL), NM_OK);
    assert_int_equal(nm_safetensors_write(at("other"), &y, 1, &other, NULL), NM_OK);
    assert_int_equal(nm_safetensors_write(at("both"), (nm_safetensors_item[]){x, y}, 2, &config, NULL), NM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nm_safetensors *file;
        nm_error error;
        put_index(cases[i].index);
        nm_status status = nm_safetensors_open(folder, &file, &error);
        check_error(cases[i].index, status, cases[i].status, &error, folder, cases[i].part);
        assert_null(file);
    }
    nm_safetensors *file = NULL;
    put_index("{\n  \"weight_map\": {\"y\": \"s2\", \"x\": \"s1\"}\n}\n");
    assert_int_equal(nm_safetensors_open(folder, &file, NULL), NM_OK);
    assert_int_equal(nm_safetensors_count(file), 2);
    nm_safetensors_close(file);
}

/// What several files say is kept once; a key that one of them repeats is not taken for that.
static void a_key_twice_in_one_of_two_files_is_refused(void **state) {
    (void)state;
    static const char *const headers[] = {"{\"__metadata__\":{\"k\":\"1\"}}",
                                          "{\"__metadata__\":{\"k\":\"1\",\"j\":\"2\",\"k\":\"1\"}}"};
    const char *paths[3] = {at("x"), at("y"), at("z")};
    nm_error error;
    nm_safetensors *file;
    for (int i = 0; i < 3; i++) {
        size_t size;
        unsigned char *bytes = with_header(headers[i == 2], 0, &size);
        put_file(paths[i], bytes, size);
        free(bytes);
    }
    assert_int_equal(nm_safetensors_open_list(paths, 2, &file, &error), NM_OK);
    assert_int_equal(nm_safetensors_metadata_count(file), 1);
    nm_safetensors_close(file);
    check_error("twice", nm_safetensors_open_list(paths, 3, &file, &error), NM_E_FORMAT, &error, "z", "there twice");
}

/// A disk that is full after the first bytes: the set of before is untouched and nothing else lies about.
static void a_failed_write_changes_nothing(void **state) {
    (void)state;
    char name[300];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const nm_safetensors_item two[2] = {{"a", NM_STORED_U8, 1, {3}, b}, {name, NM_STORED_F32, 1, {12}, w}};
    nm_safetensors_config config = nm_safetensors_config_default();
    nm_error whole, shards;
    write_items(at("model.safetensors"), 6, 48);
    struct rlimit limit, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 250; // enough for the first of two shards
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    nm_status first = nm_safetensors_write(at("model.safetensors"), two, 2, &config, &whole);
    config.shard_bytes = 10;
    nm_status second = nm_safetensors_write(at("model.safetensors"), two, 2, &config, &shards);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    check_error("whole", first, NM_E_IO, &whole, "model.safetensors", "cannot be written");
    check_error("shards", second, NM_E_IO, &shards, "model-00002-of-00002.safetensors", "cannot be written");
    assert_int_equal(files_in_folder(), 3);
    check_items(folder, 6);
}

enum { MARKED = 4 };

/// Tensors of one byte each, all of them `mark`.
static nm_status write_marked(uint8_t mark, uint64_t shard_bytes, nm_error *error) {
    static const char *const names[MARKED] = {"a", "b", "c", "d"};
    nm_safetensors_item marked[MARKED];
    for (int i = 0; i < MARKED; i++) marked[i] = (nm_safetensors_item){names[i], NM_STORED_U8, 1, {1}, &mark};
    nm_safetensors_config config = nm_safetensors_config_default();
    config.shard_bytes = shard_bytes;
    return nm_safetensors_write(at("model.safetensors"), marked, MARKED, &config, error);
}

/// The mark that all tensors of a set have; 0 where there is no set.
static int mark_of(const char *path) {
    nm_error error;
    nm_safetensors *file;
    uint8_t mark = 0, other;
    if (nm_safetensors_open(path, &file, &error) != NM_OK) return 0;
    assert_int_equal(nm_safetensors_count(file), MARKED);
    for (size_t i = 0; i < MARKED; i++) {
        assert_int_equal(nm_safetensors_read(file, nm_safetensors_at(file, i), &other, &error), NM_OK);
        if (i && other != mark) fail_msg("a set of old and new tensors");
        mark = other;
    }
    nm_safetensors_close(file);
    return mark;
}

/// Whenever the machine stops while a set replaces another one, of whatever form, what can be opened is one of the two.
static void no_set_mixes_old_and_new(void **state) {
    (void)state;
    static const uint64_t forms[] = {0, 1, 2}; // one file, four, two
    for (int from = 0; from < 3; from++) {
        for (int to = 0; to < 3; to++) {
            nm_status status = NM_E_IO;
            for (long changes = 0; status != NM_OK; changes++) {
                nm_error error;
                remove_folder(state);
                assert_int_equal(make_folder(state), 0);
                assert_int_equal(write_marked(1, forms[from], &error), NM_OK);
                changes_left = changes;
                status = write_marked(2, forms[to], &error);
                changes_left = LONG_MAX;
                const int whole = mark_of(at("model.safetensors")), index = mark_of(at("model.safetensors.index.json"));
                if (status == NM_OK) assert_true(whole == 2 && index == (forms[to] ? 2 : 0));
                if (changes == 0) assert_int_equal(whole, 1);
                assert_true(changes < 20);
            }
        }
    }
}

static void refuses_what_can_not_be_a_file(void **state) {
    (void)state;
    const nm_safetensors_config config = nm_safetensors_config_default();
    const nm_safetensors_text twice[2] = {{"k", "1"}, {"k", "2"}}, broken[1] = {{"k", "\xff"}};
    const nm_safetensors_config bad_texts[2] = {{.metadata = twice, .metadata_count = 2},
                                                {.metadata = broken, .metadata_count = 1}};
    const struct {
        nm_safetensors_item items[2];
        const char *part;
    } cases[] = {
        {{items[0], items[0]}, "two tensors are called 'layer.weight'"},
        {{items[0], {"\xc3", NM_STORED_U8, 1, {3}, b}}, "can not be the name"},
        {{items[0], {"__metadata__", NM_STORED_U8, 1, {3}, b}}, "'__metadata__' can not be the name"},
        {{items[0], {"x", NM_STORED_U8, 2, {1ull << 32, 1ull << 32}, b}}, "overflows"},
        {{items[0], {"x", NM_STORED_F64, 1, {1ull << 61}, b}}, "overflows"},
        {{items[0], {"x", NM_STORED_U8, 1, {1ull << 63}, b}}, "overflows"},
    };
    nm_error error;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nm_status status = nm_safetensors_write(at("x.safetensors"), cases[i].items, 2, &config, &error);
        check_error(cases[i].part, status, NM_E_ARGUMENT, &error, "", cases[i].part);
    }
    for (int i = 0; i < 2; i++)
        check_error("texts", nm_safetensors_write(at("x.safetensors"), items, 6, &bad_texts[i], &error), NM_E_ARGUMENT,
                    &error, "", "the metadata 'k'");
    check_error("no folder", nm_safetensors_write(at("none/x.safetensors"), items, 6, &config, &error), NM_E_IO, &error,
                "none/x.safetensors", "cannot be written");
    const nm_safetensors_config cut = with_texts(10);
    check_error("a folder", nm_safetensors_write(folder, items, 6, &cut, &error), NM_E_IO, &error, folder, "cannot be");
    assert_int_equal(access(strcat(strcpy((char[96]){0}, folder), ".index.json"), F_OK), -1);
    assert_int_equal(files_in_folder(), 0);
}

static uint64_t hash_of(const char *name) {
    nm_safetensors *file = NULL;
    nm_error error;
    uint64_t hash = 0;
    assert_int_equal(nm_safetensors_open(at(name), &file, &error), NM_OK);
    assert_int_equal(nm_safetensors_hash(file, &hash, &error), NM_OK);
    nm_safetensors_close(file);
    return hash;
}

/// Whole or in shards it is the same set; any other value, name, shape, type or text makes another.
static void one_hash_however_it_is_cut(void **state) {
    (void)state;
    const nm_safetensors_config whole = with_texts(0), cut = with_texts(10);
    nm_safetensors_config bare = with_texts(0);
    bare.metadata_count = 1;
    nm_error error;
    assert_int_equal(nm_safetensors_write(at("a.safetensors"), items, 6, &whole, &error), NM_OK);
    const uint64_t hash = hash_of("a.safetensors");
    assert_int_equal(nm_safetensors_write(at("a.safetensors"), items, 6, &cut, &error), NM_OK);
    assert_int_equal(access(at("a.safetensors"), F_OK), -1);
    assert_true(hash_of("a.safetensors") == hash);
    assert_int_equal(nm_safetensors_write(at("b.safetensors"), items, 6, &bare, &error), NM_OK);
    assert_true(hash_of("b.safetensors") != hash);
    const float other[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11.5f};
    const nm_safetensors_item changes[4] = {{"layer.weight", NM_STORED_F32, 2, {3, 4}, other},
                                            {"layer.weighs", NM_STORED_F32, 2, {3, 4}, w},
                                            {"layer.weight", NM_STORED_F32, 2, {4, 3}, w},
                                            {"layer.weight", NM_STORED_U32, 2, {3, 4}, w}};
    for (int i = 0; i < 4; i++) {
        nm_safetensors_item changed[6];
        memcpy(changed, items, sizeof items);
        changed[0] = changes[i];
        assert_int_equal(nm_safetensors_write(at("b.safetensors"), changed, 6, &whole, &error), NM_OK);
        assert_true(hash_of("b.safetensors") != hash);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_hash_however_it_is_cut, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(writes_what_it_reads, make_folder, remove_folder),
        cmocka_unit_test(the_order_given_does_not_matter),
        cmocka_unit_test_setup_teardown(two_writers_make_the_same_bytes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(cuts_a_set_into_shards, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_large_tensor_has_a_file_of_its_own, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(one_form_replaces_the_other, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(refuses_an_index_that_lies, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_key_twice_in_one_of_two_files_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_failed_write_changes_nothing, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(no_set_mixes_old_and_new, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(refuses_what_can_not_be_a_file, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
