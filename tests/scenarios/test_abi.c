/// The library's description of itself (scenarios/abi.h): layouts rebuilt from it are the compiler's, names are unique
/// and known, functions are what they are called; and the calls that spare other languages a callback.
#include "support.h"

#include <unistd.h>

#include "scenarios/abi.h"
#include "scenarios/corner_set.h"
#include "sim/builtin.h"
#include "sim/planner.h"
#include "sim/vector_env.h"

static const nm_abi_type *type_named(const char *name) {
    const nm_abi_tables *abi = nm_abi();
    for (uint32_t i = 0; i < abi->type_count; ++i)
        if (strcmp(abi->types[i].name, name) == 0) return &abi->types[i];
    return NULL;
}

/// Size of one element, and its alignment; 0 = no such type.
static uint32_t size_of(const char *type, uint32_t *alignment) {
    static const struct {
        const char *name;
        uint32_t size;
    } numbers[] = {{"char", 1}, {"i8", 1},  {"u8", 1},  {"i16", 2}, {"u16", 2}, {"i32", 4},
                   {"u32", 4},  {"i64", 8}, {"u64", 8}, {"f32", 4}, {"f64", 8}, {"pointer", sizeof(void *)}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i)
        if (strcmp(numbers[i].name, type) == 0) return *alignment = numbers[i].size;
    const nm_abi_type *known = type_named(type);
    if (!known) return 0;
    *alignment = known->alignment;
    return known->size;
}

static void layouts_follow_from_the_fields(void **state) {
    (void)state;
    const nm_abi_tables *abi = nm_abi();
    for (uint32_t i = 0; i < abi->type_count; ++i) {
        const nm_abi_type *t = &abi->types[i];
        uint32_t at = 0, most = 1;
        for (uint32_t k = 0; k < t->field_count; ++k) {
            const nm_abi_field *f = &t->fields[k];
            uint32_t alignment = 1;
            const uint32_t size = size_of(f->type, &alignment);
            if (size == 0) fail_msg("%s.%s has the unknown type %s", t->name, f->name, f->type);
            at = (at + alignment - 1) / alignment * alignment;
            if (at != f->offset) fail_msg("%s.%s lies at %u, not at %u", t->name, f->name, f->offset, at);
            if (size * f->count != f->size) fail_msg("%s.%s has %u bytes", t->name, f->name, f->size);
            at += f->size;
            if (alignment > most) most = alignment;
        }
        if (t->field_count == 0) continue;
        assert_int_equal(most, t->alignment);
        if ((at + most - 1) / most * most != t->size) fail_msg("%s has %u bytes, not %u", t->name, t->size, at);
    }
    assert_int_equal(type_named("nm_scene")->size, sizeof(nm_scene));
    assert_int_equal(type_named("nm_status")->is_enum, 1);
    assert_int_equal(type_named("nm_vector_env_config")->size, sizeof(nm_vector_env_config));
    assert_int_equal(type_named("nm_planner_output")->size, sizeof(nm_planner_output));
}

static void names_are_unique_and_values_right(void **state) {
    (void)state;
    const nm_abi_tables *abi = nm_abi();
    for (uint32_t i = 0; i < abi->type_count; ++i)
        for (uint32_t k = 0; k < i; ++k) assert_string_not_equal(abi->types[i].name, abi->types[k].name);
    for (uint32_t i = 0; i < abi->function_count; ++i)
        for (uint32_t k = 0; k < i; ++k) assert_string_not_equal(abi->functions[i].name, abi->functions[k].name);
    int seen = 0;
    for (uint32_t i = 0; i < abi->constant_count; ++i) {
        if (strcmp(abi->constants[i].name, "NM_NONE") == 0) seen += abi->constants[i].value == (int64_t)NM_NONE;
        if (strcmp(abi->constants[i].name, "NM_KIND_COUNT") == 0) seen += abi->constants[i].value == NM_KIND_COUNT;
    }
    assert_int_equal(seen, 2);
    assert_int_equal(nm_abi_version(), NM_ABI_VERSION);
    assert_int_equal(abi->version, NM_ABI_VERSION);
    assert_int_equal(abi->size, sizeof *abi);
    assert_non_null(strstr(abi->program, "nearmiss "));
}

static void functions_can_be_called_by_address(void **state) {
    (void)state;
    const nm_abi_tables *abi = nm_abi();
    int called = 0;
    for (uint32_t i = 0; i < abi->function_count; ++i) {
        if (strcmp(abi->functions[i].name, "nm_status_name") != 0) continue;
        assert_string_equal(abi->functions[i].result, "const char *");
        assert_string_equal(abi->functions[i].arguments, "(nm_status)");
        const char *(*name)(nm_status) = (const char *(*)(nm_status))abi->functions[i].address;
        assert_string_equal(name(NM_E_FORMAT), "NM_E_FORMAT");
        ++called;
    }
    assert_int_equal(called, 1);
}

typedef struct seen_hits {
    nm_hit hits[300];
    size_t count;
} seen_hits;

static nm_status see(void *context, const nm_hit *hit, nm_error *error) {
    (void)error;
    seen_hits *seen = context;
    seen->hits[seen->count++] = *hit;
    return NM_OK;
}

static void hits_without_a_callback(void **state) {
    (void)state;
    char path[] = "/tmp/nm_abi_XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    unlink(path);
    nm_error error;
    nm_error_clear(&error);
    nm_store *store = NULL;
    if (nm_store_open(path, NM_STORE_CREATE, &store, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_store_begin(store, NULL), NM_OK);
    for (uint64_t seed = 0; seed < 150; ++seed) { // more than the list first holds
        const nm_scene *scene = NULL;
        int64_t id;
        assert_int_equal(nm_builtin_scene("highway:length=100,density=0", seed, &scene, NULL), NM_OK);
        assert_int_equal(nm_store_put_scene(store, scene, &id, NULL), NM_OK);
        nm_scene_destroy(scene);
    }
    assert_int_equal(nm_store_commit(store, NULL), NM_OK);
    nm_query query = nm_query_default();
    query.limit = 0;
    static seen_hits seen;
    assert_int_equal(nm_store_find(store, &query, see, &seen, NULL), NM_OK);
    nm_arena *arena = nm_arena_create(0);
    nm_hit *hits;
    size_t count;
    assert_int_equal(nm_store_find_all(store, &query, arena, &hits, &count, NULL), NM_OK);
    assert_int_equal(count, 150);
    assert_int_equal(count, seen.count);
    for (size_t i = 0; i < count; ++i) assert_int_equal(hits[i].scene, seen.hits[i].scene);
    query.where = "nonsense";
    assert_int_equal(nm_store_find_all(store, &query, arena, &hits, &count, NULL), NM_E_ARGUMENT);
    assert_null(hits);
    assert_int_equal(count, 0);
    // nothing was generated
    int64_t *ids;
    assert_int_equal(nm_store_generated_ids(store, 1, arena, &ids, &count, NULL), NM_OK);
    assert_int_equal(count, 0);
    const nm_generation_run run = {.parameters = "{}", .program = "test", .seed = 1};
    const nm_generated row = {.kind = NM_KIND_CUT_IN, .generator = "manoeuvre", .severity = "", .label = ""};
    int64_t generation, wanted[2] = {90, 17};
    assert_int_equal(nm_store_begin_generation(store, &run, &generation, NULL, NULL), NM_OK);
    for (int i = 0; i < 2; ++i) {
        nm_generated one = row;
        one.generation = generation;
        assert_int_equal(nm_store_put_generated(store, wanted[i], &one, NULL), NM_OK);
    }
    assert_int_equal(nm_store_generated_ids(store, generation, arena, &ids, &count, NULL), NM_OK);
    assert_int_equal(count, 2);
    assert_int_equal(ids[0], 17);
    assert_int_equal(ids[1], 90);
    assert_int_equal(nm_store_generated_ids(store, generation + 1, arena, &ids, &count, NULL), NM_OK);
    assert_int_equal(count, 0);
    nm_arena_destroy(arena);
    nm_store_close(store);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_follow_from_the_fields),
        cmocka_unit_test(names_are_unique_and_values_right),
        cmocka_unit_test(functions_can_be_called_by_address),
        cmocka_unit_test(hits_without_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
