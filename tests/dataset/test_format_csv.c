/// Rows: states come back bit by bit, in any order of columns; bad rows lose their scene only.
#include "formats_support.h"

static const char first_line[] = "scene,step,time_s,track_id,type,x_m,y_m,heading_rad\n";

static caught read_text(const char *text) {
    caught c = {0};
    import_bytes(&c, text, strlen(text));
    return c;
}

/// The number of steps up to the last one with a state: more is not in the rows.
static uint32_t last_step(const nm_scene *scene) {
    uint32_t steps = 0;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const nm_track *t = &scene->tracks[i];
        if (t->first_step <= t->last_step && t->last_step >= steps) steps = t->last_step + 1;
    }
    return steps;
}

static void test_round_trip(void **state) {
    (void)state;
    caught c = {0};
    for (uint64_t seed = 0; seed < FORMAT_SCENES; seed++) {
        const nm_scene *scene = random_scene(seed);
        const nm_export_item item = {.scene = scene, .id = (int64_t)seed};
        const uint32_t steps = last_step(scene);
        if (steps) {
            const nm_scene *back = round_trip(&nm_encoder_csv, &item, &c);
            compare_states(scene, back, 1);
            assert_int_equal(back->step_count, steps);
            assert_true(back->dt == scene->dt || scene->timestamps || steps == 1);
            for (uint32_t t = 0; t < steps && scene->timestamps && back->timestamps; t++) {
                int any = 0; // a step without any state has no time
                for (uint32_t i = 0; i < scene->track_count; i++) any |= scene->valid[nm_scene_at(scene, i, t)];
                if (any) assert_true(scene->timestamps[t] == back->timestamps[t]);
            }
            if (!scene->timestamps) assert_null(back->timestamps);
            const nm_point3 *a = &scene->map->origin, *b = &back->map->origin;
            assert_true(a->x == b->x && a->y == b->y && a->z == b->z);
            assert_int_equal(back->ego != NM_NONE, scene->ego != NM_NONE && scene->tracks[scene->ego].first_step <=
                                                                                scene->tracks[scene->ego].last_step);
            char name[32];
            snprintf(name, sizeof name, "%llu", (unsigned long long)seed);
            assert_string_equal(back->provenance.scene_id, name);
        }
        nm_scene_destroy(scene);
    }
    forget_caught(&c);
}

/// What a spreadsheet makes of it: columns in another order, quotes, CRLF, a byte order mark, numbers as 3.0.
static void test_tolerant(void **state) {
    (void)state;
    caught c = read_text("\xef\xbb\xbfscene,step,time_s,track_id,\"type\",extra,y_m,x_m,heading_rad,speed_mps,role\r\n"
                         "a,0.0,0,7.0,\"car\",\"x,\"\"y\"\"\",2,1.5,0.25,3,agent\r\n"
                         "a,2,0.2,7,truck,,4,3.5,0.5,3,ego\r\n"
                         "\r\n"
                         "b,5,9.5,-1,dog,,4,3.5,-3.14159265358979,3,agent");
    assert_int_equal(c.refusals, 0);
    assert_int_equal(c.count, 2);
    const nm_scene *s = c.scenes[0];
    assert_int_equal(s->step_count, 3);
    assert_int_equal(s->track_count, 1);
    assert_int_equal(s->tracks[0].source_id, 7);
    assert_int_equal(s->tracks[0].type, NM_AGENT_CAR);
    assert_true(s->dt == 0.1f && !s->timestamps);
    assert_false(s->valid[1]);
    assert_true(s->x[2] == 3.5f && s->y[2] == 4.0f && s->heading[2] == 0.5f && s->map->lane_count == 0);
    s = c.scenes[1];
    assert_int_equal(s->step_count, 6);
    assert_int_equal(s->tracks[0].type, NM_AGENT_UNKNOWN);
    assert_true(s->heading[5] == 3.14159274f);
    assert_string_equal(s->provenance.scene_id, "b");
    assert_int_equal(s->provenance.record, 1);
    forget_caught(&c);
}

/// A scene with a bad row is refused whole, with the line; the next one is read.
static void test_bad_rows(void **state) {
    (void)state;
    static const struct {
        const char *row, *words;
    } cases[] = {{"1,x,0.1,3,car,1,2,0\n", "step"},
                 {"1,-1,0.1,3,car,1,2,0\n", "step"},
                 {"1,99999999,0.1,3,car,1,2,0\n", "step"},
                 {"1,1,0.1,z,car,1,2,0\n", "track_id"},
                 {"1,1,0.1,3,car,nan,2,0\n", "number"},
                 {"1,1,0.1,3,car,,2,0\n", "number"},
                 {"1,1,0.1,3,car\n", "number"},
                 {"1,1,0.1,3,car,1e20,2,0\n", "absurd"},
                 {"1,0,0.0,3,car,1,2,0\n", "two states"},
                 {"1,0,0.7,4,car,1,2,0\n", "two times"},
                 {"1,1,-5,3,car,1,2,0\n", "not after the one before"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s1,0,0,3,car,1,2,0\n%s1,2,0.2,3,car,1,2,0\n2,0,0,3,car,1,2,0\n", first_line,
                 cases[i].row);
        caught c = read_text(text);
        if (c.refusals != 1 || c.count != 1) fail_msg("%s: %zu, %zu", cases[i].row, c.refusals, c.count);
        if (!strstr(c.refusal.message, cases[i].words)) fail_msg("%s: %s", cases[i].row, c.refusal.message);
        assert_true(c.refusal.line >= 2 && c.refusal.line <= 3);
        assert_string_equal(c.scenes[0]->provenance.scene_id, "2");
        assert_int_equal(c.scenes[0]->provenance.record, 1);
        forget_caught(&c);
    }
}

static void test_bad_files(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {{"scene,step,time_s,track_id,type,x_m,y_m\n1,0,0,3,car,1,2\n", "no column heading_rad"},
                 {"scene,step,time_s,track_id,x_m,x_m,y_m,heading_rad\n", "two columns x_m"},
                 {"scene,step,time_s,track_id,type,x_m,y_m,heading_rad\n1,0,0,3,\"car,1,2,0\n", "quotes"},
                 {"scene,step,time_s,track_id,type,x_m,y_m,heading_rad\n1,0,0,3,\"c\"r,1,2,0\n", "quotes"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        caught c = read_text(cases[i].text);
        assert_int_equal(c.refusals, 1);
        if (!strstr(c.refusal.message, cases[i].words)) fail_msg("%s", c.refusal.message);
        assert_int_equal(c.count, 0);
    }
    caught c = read_text(first_line);
    assert_int_equal(c.refusals + c.count, 0);
}

/// Numbers are the shortest that read back: as floats, with a point, whatever the size.
static void test_numbers(void **state) {
    (void)state;
    caught c = read_text("scene,step,time_s,track_id,type,x_m,y_m,heading_rad,vx_mps,vy_mps,length_m\n"
                         "1,0,0,3,car,0.1,-8388608,1e-20,-0.0,23456.789,4.5\n"
                         "1,1,0.1,3,car,3e-6,1234567,0.3333333333333,100,0.00012207031,4.5\n");
    assert_int_equal(c.count, 1);
    const nm_export_item item = {.scene = c.scenes[0], .id = 8};
    nm_encoded out = {0};
    assert_int_equal(encode_item(&nm_encoder_csv, &item, &out, NULL), NM_OK);
    nm_byte_buffer_put(&out.main, "", 1);
    const char *text = (const char *)out.main.bytes;
    assert_string_equal(text,
                        "8,0,0,3,car,agent,0,0.1,-8388608,0,0.1,-8388608,0,1e-20,-0,23456.79,23456.79,4.5,0,0,,,\n"
                        "8,1,0.1,3,car,agent,0,0.000003,1234567,0,0.000003,1234567,0,0.33333334,100,0.00012207031,"
                        "100,4.5,0,0,,,\n");
    nm_byte_buffer_free(&out.main);
    forget_caught(&c);
}

static void test_events(void **state) {
    (void)state;
    const nm_scene *scene = random_scene(2);
    assert_true(scene->track_count >= 2);
    const nm_scene_label label = {.kind = "cut,in", .actor = 0, .other = 1, .last_step = scene->step_count};
    const nm_export_item item = {.scene = scene, .labels = &label, .label_count = 1};
    nm_encoded out = {0};
    assert_int_equal(encode_item(&nm_encoder_csv, &item, &out, NULL), NM_OK);
    nm_byte_buffer_put(&out.main, "", 1);
    assert_non_null(strstr((const char *)out.main.bytes, ",cut_in:actor\n"));
    assert_non_null(strstr((const char *)out.main.bytes, ",cut_in:other\n"));
    nm_byte_buffer_free(&out.main);
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_tolerant), cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_bad_files),  cmocka_unit_test(test_numbers),  cmocka_unit_test(test_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
