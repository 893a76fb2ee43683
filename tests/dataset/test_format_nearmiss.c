/// The project's own format: everything comes back bit by bit, whatever is broken is refused.
#include "formats_support.h"

#include "base/arena.h"
#include "dataset/readers.h"
#include "womd_sample.h"

static const nm_scene_generation generation = {.kind = "cut_in",
                                               .generator = "manoeuvre",
                                               .severity = "near_miss",
                                               .label = "avoidable",
                                               .requested = "{\"gap\": 5.2}",
                                               .achieved = "{\"gap\": 5.25}",
                                               .verdicts = "{}"};

/// Labels that fit a scene; how many.
static size_t make_labels(const nm_scene *scene, nm_scene_label labels[2]) {
    if (scene->track_count < 2) return 0;
    labels[0] = (nm_scene_label){.kind = "cut_in",
                                 .actor = 1,
                                 .other = 0,
                                 .last_step = scene->step_count - 1,
                                 .critical_step = scene->step_count / 2,
                                 .severity = 0.75f,
                                 .min_ttc = 0.0f, // 0 is not the same as not measured
                                 .min_distance = 1.5f,
                                 .min_thw = NAN,
                                 .max_drac = 3.25f,
                                 .pet = NAN,
                                 .min_ttr = NAN,
                                 .closing_speed = -2.0f,
                                 .gap = 4.0f,
                                 .lateral_speed = NAN,
                                 .deceleration = 6.5f,
                                 .impact_speed = NAN,
                                 .delta_v = NAN};
    labels[1] = labels[0];
    labels[1].kind = "hard_brake";
    labels[1].other = NM_NONE;
    return 2;
}

static void compare_labels(const caught *c, const nm_scene_label *labels, size_t count) {
    assert_int_equal(c->label_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(c->kind[i], labels[i].kind);
        nm_scene_label a = c->labels[i], b = labels[i];
        a.kind = b.kind = NULL;
        assert_int_equal(a.actor, b.actor);
        assert_int_equal(a.other, b.other);
        const float x[] = {a.severity,     a.min_ttc,      a.min_distance,  a.min_thw, a.max_drac,
                           a.pet,          a.min_ttr,      a.closing_speed, a.gap,     a.lateral_speed,
                           a.deceleration, a.impact_speed, a.delta_v};
        const float y[] = {b.severity,     b.min_ttc,      b.min_distance,  b.min_thw, b.max_drac,
                           b.pet,          b.min_ttr,      b.closing_speed, b.gap,     b.lateral_speed,
                           b.deceleration, b.impact_speed, b.delta_v};
        for (size_t k = 0; k < sizeof x / sizeof *x; k++) {
            if (isnan(y[k]))
                assert_true(isnan(x[k]));
            else
                assert_true(x[k] == y[k]);
        }
        assert_int_equal(a.critical_step, b.critical_step);
        assert_int_equal(a.last_step, b.last_step);
    }
}

/// Through stored bytes: what hashes leave out (provenance) is compared as well.
static void compare_all(const nm_scene *a, const nm_scene *b) {
    assert_true(a->map->hash == b->map->hash);
    assert_true(a->hash == b->hash);
    const size_t size = nm_scene_encode(a, NULL, 0);
    assert_int_equal(nm_scene_encode(b, NULL, 0), size);
    uint8_t *x = malloc(size), *y = malloc(size);
    assert_true(x && y);
    nm_scene_encode(a, x, size);
    nm_scene_encode(b, y, size);
    assert_memory_equal(x, y, size);
    free(x);
    free(y);
}

static void test_round_trip(void **state) {
    (void)state;
    caught c = {0};
    for (uint64_t seed = 0; seed < FORMAT_SCENES; seed++) {
        const nm_scene *scene = random_scene(seed);
        if (seed % 3 == 0) assert_int_equal(nm_map_prepare(scene->map, NULL), NM_OK); // adds junctions, flags
        nm_scene_label labels[2];
        nm_export_item item = {.scene = scene, .id = (int64_t)seed, .labels = labels};
        item.label_count = make_labels(scene, labels);
        if (seed % 2) item.generated = &generation;
        compare_all(scene, round_trip(&nm_encoder_nearmiss, &item, &c));
        assert_int_equal(c.extras, item.label_count || item.generated);
        compare_labels(&c, labels, item.label_count);
        if (c.extras) {
            assert_string_equal(c.achieved, item.generated ? generation.achieved : "-");
            assert_string_equal(c.generator, item.generated ? "manoeuvre" : "-");
            assert_int_equal(c.id, seed);
        }
        nm_scene_destroy(scene);
    }
    forget_caught(&c);
}

/// A scene that an importer made: sizes that vary, lines with heights, signs, lanes that are odd.
static void test_imported(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    sample s = sample_make(arena);
    SAMPLE_SET(s.scenario.map_features[LINE_10]->road_line->polyline[1], z, 2.5);
    s.scenario.tracks[0]->states[1]->length += 0.25f;
    size_t size;
    uint8_t *payload = sample_pack(&s, &size), *bytes = malloc(size + 16);
    assert_non_null(bytes);
    caught from = {0}, to = {0};
    import_bytes(&from, bytes, sample_frame(bytes, payload, size));
    assert_int_equal(from.count, 1);
    assert_true(from.scenes[0]->state_length && from.scenes[0]->map->line_z_count);
    const nm_export_item item = {.scene = from.scenes[0]};
    compare_all(from.scenes[0], round_trip(&nm_encoder_nearmiss, &item, &to));
    assert_int_equal(to.extras, 0);
    forget_caught(&from);
    forget_caught(&to);
    free(bytes);
    nm_arena_destroy(arena);
}

static void test_deterministic(void **state) {
    (void)state;
    const nm_scene *scene = random_scene(3), *again = random_scene(3);
    const nm_export_item a = {.scene = scene}, b = {.scene = again};
    size_t x, y;
    uint8_t *p = make_file(&nm_encoder_nearmiss, &a, &x);
    assert_int_equal(nm_map_prepare(again->map, NULL), NM_OK);
    uint8_t *q = make_file(&nm_encoder_nearmiss, &b, &y);
    assert_int_equal(x, y);
    assert_memory_equal(p, q, x);
    free(p);
    free(q);
    nm_scene_destroy(scene);
    nm_scene_destroy(again);
}

static void refused_payload(const nm_byte_buffer *payload, nm_status status, const char *words) {
    caught c = {0};
    uint8_t *bytes = malloc(payload->size + 16);
    assert_non_null(bytes);
    import_bytes(&c, bytes, sample_frame(bytes, payload->bytes, payload->size));
    assert_int_equal(c.count, 0);
    assert_int_equal(c.refusals, 1);
    if (!strstr(c.refusal.message, words)) fail_msg("no '%s' in: %s", words, c.refusal.message);
    assert_int_equal(c.refusal.code, status);
    assert_true(c.refusal.offset >= 0);
    free(bytes);
}

/// A payload that was changed behind its hash; fields behind the last one win.
static void test_refusals(void **state) {
    (void)state;
    static const struct {
        const char *extra;
        size_t size;
        nm_status status;
        const char *words;
    } cases[] = {{"\x10\x02", 2, NM_E_VERSION, "version 2"},
                 {"\x28\x07", 2, NM_E_FORMAT, ""},                  // steps
                 {"\x28\x00", 2, NM_E_FORMAT, "0 steps"},           // none
                 {"\x28\xff\xff\xff\x7f", 5, NM_E_LIMIT, "steps"},  // too many
                 {"\x30\xff\x01", 3, NM_E_FORMAT, "make no sense"}, // current step
                 {"\x62\x08\0\0\0\0\0\0\0\0", 10, NM_E_FORMAT, "timestamps"},
                 {"\x5a\x01\x0a", 3, NM_E_FORMAT, "signal_states"},
                 {"\x52\x04\x42\x02\x00\x7f", 6, NM_E_FORMAT, "valid_runs"},
                 {"\x52\x02\x18\x01", 4, NM_E_FORMAT, "hash"},      // one track more
                 {"\x82\x01\x02\x10\x7f", 5, NM_E_FORMAT, "label"}, // of a track that is not there
                 {"\x72\x02\xff\xfe", 4, NM_E_FORMAT, "UTF-8"},
                 {"\x72\x01\x61", 3, NM_E_FORMAT, "hash"},
                 {"\x72\x7f\x61", 3, NM_E_FORMAT, "no Scene"}, // a length that lies
                 {"\x4a\x04\x0a\x02\x60\x00", 6, NM_E_FORMAT, ""}};
    const nm_scene *scene = random_scene(5);
    const nm_export_item item = {.scene = scene};
    nm_encoded out = {0};
    assert_int_equal(encode_item(&nm_encoder_nearmiss, &item, &out, NULL), NM_OK);
    const size_t size = out.main.size;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nm_byte_buffer_put(&out.main, cases[i].extra, cases[i].size);
        refused_payload(&out.main, cases[i].status, cases[i].words);
        out.main.size = size;
    }
    for (size_t cut = size - 1; cut > 20; cut = cut * 7 / 8) {
        out.main.size = cut;
        refused_payload(&out.main, NM_E_FORMAT, "");
    }
    nm_byte_buffer_free(&out.main);
    nm_scene_destroy(scene);
}

/// What no protobuf reader would take is not written.
static void test_unsupported(void **state) {
    (void)state;
    const nm_scene *scene = random_scene(4);
    nm_scene changed = *scene;
    changed.provenance.scene_id = "\xff";
    const nm_export_item item = {.scene = &changed};
    nm_encoded out = {0};
    nm_error error;
    assert_int_equal(encode_item(&nm_encoder_nearmiss, &item, &out, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "UTF-8"));
    nm_byte_buffer_free(&out.main);
    nm_scene_destroy(scene);
}

static void test_detected(void **state) {
    (void)state;
    const nm_scene *scene = random_scene(1);
    const nm_export_item item = {.scene = scene};
    size_t size;
    uint8_t *bytes = make_file(&nm_encoder_nearmiss, &item, &size);
    assert_int_equal(nm_detect_format(bytes, size < 4096 ? size : 4096), NM_FORMAT_NEARMISS);
    free(bytes);
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_imported),    cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_unsupported), cmocka_unit_test(test_detected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
