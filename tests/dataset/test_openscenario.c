/// OpenSCENARIO written and read back; foreign and hostile documents.
#include "scene_support.h"

#include "dataset/openscenario.h"
#include "dataset/xml_write.h"

// --- there and back --------------------------------------------------------------------------------------------------

/// A track and the track of the same id.
static uint32_t track_of(const nm_scene *scene, int64_t id) {
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        if (scene->tracks[i].source_id == id) return i;
    }
    return NM_NONE;
}

/// m that a position may be off: the origin of the one that was read is another, so floats there are others.
static double slack(const nm_scene *scene, float local) {
    return 1.3e-7 * (2 * fabs((double)local) + fabs(scene->map->origin.x) + fabs(scene->map->origin.y) + 200.0);
}

static void same_track(const nm_scene *a, uint32_t i, const nm_scene *b, uint32_t base) {
    const nm_track *m = &a->tracks[i];
    uint32_t k = track_of(b, m->source_id), there = 0;
    for (uint32_t step = base; step < a->step_count; ++step) there += a->valid[nm_scene_at(a, i, step)];
    if (!there) {
        assert_int_equal(k, NM_NONE);
        return;
    }
    assert_true(k != NM_NONE);
    const nm_track *n = &b->tracks[k];
    assert_int_equal(m->type, n->type);
    assert_int_equal(m->flags, n->flags);
    assert_true(m->length == n->length && m->width == n->width && m->height == n->height);
    for (uint32_t step = base; step < a->step_count; ++step) {
        nm_state x = {0}, y = {0}, next;
        int valid = nm_scene_get_state(a, i, step, &x);
        assert_int_equal(valid, nm_scene_get_state(b, k, step - base, &y));
        if (!valid) continue;
        assert_true(x.heading == y.heading);
        assert_float_equal(a->map->origin.x + (double)x.x, b->map->origin.x + (double)y.x, slack(a, x.x));
        assert_float_equal(a->map->origin.y + (double)x.y, b->map->origin.y + (double)y.y, slack(a, x.y));
        assert_float_equal(x.z, y.z, 1e-6);
        if (nm_scene_get_state(a, i, step + 1 < a->step_count ? step + 1 : step, &next) && step + 1 < a->step_count) {
            assert_float_equal(y.vx, (next.x - x.x) / a->dt, 1e-2);
            assert_float_equal(y.vy, (next.y - x.y) / a->dt, 1e-2);
        }
    }
}

static catch read_back(encoding *e, const nm_export_item *item) {
    nm_error error;
    must(encode_scene(e, item, &error), &error);
    catch c = import_bytes("back.xosc", e->out.main.bytes, e->out.main.size);
    if (c.scenes != 1) fail_msg("refused: %d %s", (int)c.refusal.line, c.refusal.message);
    return c;
}

static void random_scenes_come_back(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_OPENSCENARIO);
    for (size_t i = 0; i < 4 * SPEC_COUNT; ++i) {
        const nm_scene *scene = random_scene(builtin_specs[i % SPEC_COUNT], i, i / SPEC_COUNT & 1 ? WITH_EGO : 0);
        nm_export_item item = {.scene = scene, .id = (int64_t)i};
        catch c = read_back(&e, &item);
        assert_int_equal(c.scene->step_count, scene->step_count);
        assert_int_equal(c.scene->current_step, scene->current_step);
        assert_true(c.scene->dt == scene->dt);
        assert_int_equal(c.scene->ego == NM_NONE, scene->ego == NM_NONE);
        if (scene->ego != NM_NONE)
            assert_int_equal(c.scene->tracks[c.scene->ego].source_id, scene->tracks[scene->ego].source_id);
        uint32_t there = 0;
        for (uint32_t k = 0; k < scene->track_count; ++k) {
            same_track(scene, k, c.scene, 0);
            there += scene->tracks[k].first_step <= scene->tracks[k].last_step;
        }
        assert_int_equal(c.scene->track_count, there);
        char network[96]; // is named; what was read from memory has none, and names none
        snprintf(network, sizeof network, "<LogicFile filepath=\"%s\"/>", e.out.shared_name);
        assert_int_equal(strncmp(e.out.shared_name, "map-", 4), 0);
        assert_true(e.out.shared.size > 0);
        nm_byte_buffer_put(&e.out.main, "", 1);
        assert_non_null(strstr((const char *)e.out.main.bytes, network));
        nm_export_item again = {.scene = c.scene, .id = 1};
        catch twice = read_back(&e, &again);
        nm_byte_buffer_put(&e.out.main, "", 1);
        assert_null(strstr((const char *)e.out.main.bytes, "LogicFile"));
        release_catch(&twice);
        release_catch(&c);
        nm_scene_destroy(scene);
    }
    encoding_end(&e);
}

/// A planned ego is placed where it is now and given a controller; the file begins then.
static void the_ego_may_be_left_to_a_controller(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_OPENSCENARIO);
    const nm_scene *scene = random_scene(builtin_specs[0], 3, WITH_EGO);
    nm_export_item item = {.scene = scene, .id = 12, .ego = NM_EXPORT_EGO_PLANNED};
    catch c = read_back(&e, &item);
    nm_byte_buffer_put(&e.out.main, "", 1);
    const char *text = (const char *)e.out.main.bytes;
    assert_non_null(strstr(text, "<ScenarioObject name=\"Ego\">"));
    assert_non_null(strstr(text, "<ObjectController><Controller name=\"EgoController\">"));
    assert_non_null(strstr(text, "<ActivateControllerAction lateral=\"true\" longitudinal=\"true\"/>"));
    assert_non_null(strstr(text, "<AcquirePositionAction>"));
    assert_null(strstr(text, "<Trajectory name=\"Ego"));
    const uint32_t base = scene->current_step, ego = c.scene->ego;
    assert_int_equal(c.scene->step_count, scene->step_count - base);
    assert_true(ego != NM_NONE);
    nm_state x = {0}, y = {0};
    assert_true(nm_scene_get_state(scene, scene->ego, base, &x) && nm_scene_get_state(c.scene, ego, 0, &y));
    assert_float_equal(scene->map->origin.x + (double)x.x, c.scene->map->origin.x + (double)y.x, slack(scene, x.x));
    assert_int_equal(c.scene->tracks[ego].last_step, 0);
    for (uint32_t i = 1; i < scene->track_count; ++i) same_track(scene, i, c.scene, base);
    release_catch(&c);
    nm_scene_destroy(scene);
    encoding_end(&e);
}

/// Far from 0 and above the sea: what has coordinates of 5e6 m comes back to the float.
static void far_coordinates_come_back(void **state) {
    (void)state;
    nm_error error;
    nm_map_builder *maps = nm_map_builder_create();
    nm_point3 line[2] = {{412000.25, 5345000.5, 310.0}, {412100.25, 5345040.5, 312.0}};
    nm_lane_def lane = nm_lane_def_default();
    lane.centre = line;
    lane.point_count = 2;
    const nm_map *map;
    must(nm_map_builder_add_lane(maps, &lane, &error), &error);
    must(nm_map_builder_build(maps, &map, &error), &error);
    nm_scene_builder *builder = nm_scene_builder_create();
    must(nm_scene_builder_begin(builder, map, 0.04, 30, &error), &error);
    dice d = {9, 0};
    nm_track_def def = {.id = -5, .type = NM_AGENT_TRUCK, .length = 9.3f, .width = 2.5f};
    uint32_t track;
    must(nm_scene_builder_add_track(builder, &def, &track, &error), &error);
    for (uint32_t step = 0; step < 30; ++step) {
        nm_state s = {.x = (float)roll(&d, -50, 50),
                      .y = (float)roll(&d, -50, 50),
                      .z = (float)roll(&d, 0, 3),
                      .heading = (float)roll(&d, -3.1, 3.1)};
        must(nm_scene_builder_add_local_state(builder, track, step, &s, &error), &error);
    }
    const nm_scene *scene;
    must(nm_scene_builder_build(builder, &scene, &error), &error);
    encoding e = encoding_begin(NM_EXPORT_OPENSCENARIO);
    nm_export_item item = {.scene = scene, .id = 1};
    catch c = read_back(&e, &item);
    assert_true(c.scene->dt == scene->dt);
    for (uint32_t step = 0; step < 30; ++step) {
        nm_state x = {0}, y = {0};
        assert_true(nm_scene_get_state(scene, 0, step, &x) && nm_scene_get_state(c.scene, 0, step, &y));
        assert_float_equal(map->origin.x + (double)x.x, c.scene->map->origin.x + (double)y.x, 1e-5);
        assert_float_equal(map->origin.y + (double)x.y, c.scene->map->origin.y + (double)y.y, 1e-5);
        assert_float_equal(map->origin.z + (double)x.z, c.scene->map->origin.z + (double)y.z, 4e-5);
        assert_true(x.heading == y.heading);
    }
    release_catch(&c);
    encoding_end(&e);
    nm_scene_destroy(scene);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    nm_map_builder_destroy(maps);
}

static void times_are_decimal(void **state) {
    (void)state;
    static const struct {
        float dt;
        uint64_t half_steps;
        const char *text;
    } cases[] = {{0.1f, 6, "0.3"}, {0.1f, 7, "0.35"},         {0.04f, 2, "0.04"},
                 {0.25f, 0, "0"},  {0.1f, 200002, "10000.1"}, {2.0f, 3, "3"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char text[NM_XML_NUMBER + 1];
        text[nm_xml_time(text, cases[i].dt, cases[i].half_steps)] = 0;
        assert_string_equal(text, cases[i].text);
    }
}

static void bytes_are_a_function_of_the_scene(void **state) {
    (void)state;
    encoding a = encoding_begin(NM_EXPORT_OPENSCENARIO), b = encoding_begin(NM_EXPORT_OPENSCENARIO);
    nm_error error;
    const nm_scene *scene = random_scene(builtin_specs[4], 77, WITH_EGO), *other = random_scene(builtin_specs[1], 7, 0);
    nm_export_item item = {.scene = scene, .id = 9}, before = {.scene = other, .id = 8};
    must(encode_scene(&a, &before, &error), &error);
    must(encode_scene(&a, &item, &error), &error);
    must(encode_scene(&b, &item, &error), &error);
    assert_int_equal(a.out.main.size, b.out.main.size);
    assert_memory_equal(a.out.main.bytes, b.out.main.bytes, b.out.main.size);
    nm_scene_destroy(scene);
    nm_scene_destroy(other);
    encoding_end(&a);
    encoding_end(&b);
}

/// Names as the encoder gives them; states of all that is there.
static void write_states(const char *path, const nm_scene *scene, uint32_t base) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        for (uint32_t step = base; step < scene->step_count; ++step) {
            nm_state s;
            if (!nm_scene_get_state(scene, i, step, &s)) continue;
            if (i == scene->ego)
                fprintf(file, "Ego");
            else
                fprintf(file, "%s_%lld", nm_osc_type_name(scene->tracks[i].type),
                        (long long)scene->tracks[i].source_id);
            fprintf(file, " %u %.9g %.9g %.9g\n", step - base, scene->map->origin.x + (double)s.x,
                    scene->map->origin.y + (double)s.y, (double)s.heading);
        }
    }
    assert_int_equal(fclose(file), 0);
}

static void fill_for_python(const char *folder) {
    encoding e = encoding_begin(NM_EXPORT_OPENSCENARIO);
    for (size_t i = 0; i < SPEC_COUNT; ++i) {
        const nm_scene *scene = random_scene(builtin_specs[i], 40 + i, i & 1 ? WITH_EGO : 0);
        const nm_scene_label label = {.kind = "cut_in", .actor = 1};
        nm_export_item item = {.scene = scene, .id = (int64_t)i + 1, .labels = &label, .label_count = 1};
        nm_error error;
        must(encode_scene(&e, &item, &error), &error);
        char path[256];
        snprintf(path, sizeof path, "%s/%02zu.xosc", folder, i);
        write_bytes(path, e.out.main.bytes, e.out.main.size);
        snprintf(path, sizeof path, "%s/%02zu.txt", folder, i);
        write_states(path, scene, 0);
        nm_scene_destroy(scene);
    }
    encoding_end(&e);
}

static void python_finds_structure_and_states(void **state) {
    (void)state;
    run_reader("read_openscenario.py", "NM_OPENSCENARIO_PYTHON", "0.1", fill_for_python);
}

// --- foreign documents -----------------------------------------------------------------------------------------------

static char *foreign(void) {
    return read_text(NM_SOURCE_DIR "/tests/fuzz/corpus/openscenario/foreign.xosc", NULL);
}

/// Parameters, both forms of trajectories, relative times, vertices between steps, no headings, two runs of one entity.
static void a_foreign_document_is_read(void **state) {
    (void)state;
    char *text = foreign();
    assert_int_equal(nm_detect_format(text, strlen(text)), NM_FORMAT_OPENSCENARIO);
    catch c = import_bytes("x/foreign.xosc", text, strlen(text));
    if (c.scenes != 1) fail_msg("refused: %d %s", (int)c.refusal.line, c.refusal.message);
    const nm_scene *s = c.scene;
    assert_string_equal(s->provenance.source, "openscenario");
    assert_string_equal(s->provenance.file, "foreign.xosc");
    assert_float_equal(s->dt, 0.1, 1e-7);
    assert_int_equal(s->track_count, 3); // one has neither place nor trajectory
    assert_int_equal(s->tag_count, 2);
    assert_string_equal(s->tags[1], "entities_without_trajectory:1");
    assert_int_equal(s->ego, 0);
    assert_int_equal(s->tracks[0].type, NM_AGENT_CAR);
    assert_int_equal(s->tracks[1].type, NM_AGENT_PEDESTRIAN);
    assert_int_equal(s->tracks[2].type, NM_AGENT_OBSTACLE);
    assert_int_equal(s->tracks[2].flags, NM_TRACK_STATIC);
    nm_state at = {0};
    // the ego: from (0, 0) east at 10 m/s for 1 s; its middle is 1.4 m before its axle
    assert_true(nm_scene_get_state(s, 0, 3, &at));
    assert_float_equal(s->map->origin.x + (double)at.x, 3.0 + 1.4, 1e-5);
    assert_float_equal(at.vx, 10, 1e-4);
    assert_float_equal(at.heading, 0, 0);
    // then north for 1 s, by a second trajectory whose times are relative to 1 s
    assert_true(nm_scene_get_state(s, 0, 15, &at));
    assert_float_equal(s->map->origin.y + (double)at.y, 5.0 + 1.4, 1e-5);
    assert_float_equal(at.heading, NM_PI / 2, 1e-6);
    assert_int_equal(s->tracks[0].last_step, 20);
    // the pedestrian is there from 0.5 s to 1.05 s
    assert_int_equal(s->tracks[1].first_step, 5);
    assert_int_equal(s->tracks[1].last_step, 10);
    assert_true(nm_scene_get_state(s, 1, 7, &at));
    assert_float_equal(s->map->origin.y + (double)at.y, -7 + 0.2 * 1.5, 1e-5);
    assert_int_equal(s->tracks[2].last_step, 20);
    free(text);
    release_catch(&c);
}

static void refused_with(const char *from, const char *to, nm_status code, const char *words) {
    char *text = foreign(), *bad = edited(text, from, to);
    catch c = import_bytes("bad.xosc", bad, strlen(bad));
    if (c.scenes || c.refusals != 1) fail_msg("not refused: %s", to);
    if (c.refusal.code != code || !strstr(c.refusal.message, words)) fail_msg("%s", c.refusal.message);
    assert_string_equal(c.refusal.input, "bad.xosc");
    free(text);
    free(bad);
}

static void bad_documents_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
        nm_status code;
        const char *words;
    } cases[] = {
        {"<OpenSCENARIO>", "<!DOCTYPE OpenSCENARIO [<!ENTITY a \"b\">]><OpenSCENARIO>", NM_E_FORMAT, "DOCTYPE"},
        {"<OpenSCENARIO>", "<!DOCTYPE OpenSCENARIO SYSTEM \"file:///etc/passwd\"><OpenSCENARIO>", NM_E_FORMAT,
         "DOCTYPE"},
        {"revMajor=\"1\"", "revMajor=\"0\"", NM_E_UNSUPPORTED, "revision \"0\""},
        {"value=\"$zero\"", "value=\"$start\"", NM_E_FORMAT, "circle"},
        {"x=\"$start\"", "x=\"$stop\"", NM_E_FORMAT, "no such parameter"},
        {"x=\"$start\"", "x=\"${1+1}\"", NM_E_UNSUPPORTED, "expressions"},
        {"x=\"10\"", "x=\"1e9\"", NM_E_LIMIT, "beyond"},
        {"x=\"10\"", "x=\"nan\"", NM_E_FORMAT, "not a number"},
        {"x=\"10\"", "", NM_E_FORMAT, "x is missing"},
        {"time=\"1.05\"", "time=\"0.5\"", NM_E_FORMAT, "after one at"},
        {"time=\"1.05\"", "", NM_E_UNSUPPORTED, "without a time"},
        {"time=\"1.05\"", "time=\"1e6\"", NM_E_LIMIT, "time steps"},
        {"entityRef=\"walker\"", "entityRef=\"nobody\"", NM_E_FORMAT, "no entity \"nobody\""},
        {"name=\"walker\"", "name=\"Ego\"", NM_E_FORMAT, "two entities"},
        {"<WorldPosition x=\"10\" y=\"0\"/>", "<LanePosition roadId=\"1\" laneId=\"1\" s=\"0\"/>", NM_E_UNSUPPORTED,
         "WorldPosition"},
        {"<Polyline>", "<Nurbs order=\"2\"/><Polyline>", NM_E_UNSUPPORTED, "<Nurbs>"},
        {"<Timing domainAbsoluteRelative=\"absolute\" scale=\"1\" offset=\"0\"/>", "<None/>", NM_E_UNSUPPORTED,
         "Timing"},
        {"<TrajectoryRef>", "<TrajectoryRef><CatalogReference catalogName=\"a\" entryName=\"b\"/>", NM_E_UNSUPPORTED,
         "catalog"},
        {"length=\"4.5\"", "length=\"-4.5\"", NM_E_FORMAT, "negative size"},
        {"</Storyboard>", "", NM_E_FORMAT, "malformed XML"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        refused_with(cases[i].from, cases[i].to, cases[i].code, cases[i].words);
}

static void behaviour_is_refused(void **state) {
    (void)state;
    static const char text[] = "<?xml version=\"1.0\"?><!-- <commonRoad> --><OpenSCENARIO><FileHeader revMajor=\"1\"/>"
                               "<Entities><ScenarioObject name=\"Ego\"/></Entities></OpenSCENARIO>";
    catch c = import_bytes("b.xosc", text, sizeof text - 1);
    assert_int_equal(c.refusals, 1);
    assert_int_equal(c.refusal.code, NM_E_UNSUPPORTED);
    assert_non_null(strstr(c.refusal.message, "behaviour"));
}

/// A few bytes that stand for millions of states: as many as the limits of a scene allow, but not of so short a file.
static void a_short_document_is_a_small_scene(void **state) {
    (void)state;
    nm_byte_buffer out = {0};
    nm_byte_buffer_text(&out, "<OpenSCENARIO><FileHeader revMajor=\"1\"/><ParameterDeclarations><ParameterDeclaration "
                              "name=\"nearmiss_steps\" value=\"100000\"/></ParameterDeclarations><Entities>");
    for (int i = 0; i < 50; ++i) nm_byte_buffer_format(&out, "<ScenarioObject name=\"e%d\"/>", i);
    nm_byte_buffer_text(&out, "</Entities><Storyboard><Init><Actions>");
    for (int i = 0; i < 50; ++i)
        nm_byte_buffer_format(&out,
                              "<Private entityRef=\"e%d\"><PrivateAction><TeleportAction><Position><WorldPosition "
                              "x=\"%d\" y=\"0\"/></Position></TeleportAction></PrivateAction></Private>",
                              i, i);
    nm_byte_buffer_text(&out, "</Actions></Init></Storyboard></OpenSCENARIO>");
    assert_true(50u * 100000u < nm_import_limits_default().max_cells);
    catch c = import_bytes("bomb.xosc", out.bytes, out.size);
    assert_int_equal(c.scenes, 0);
    assert_int_equal(c.refusal.code, NM_E_LIMIT);
    assert_non_null(strstr(c.refusal.message, "50 entities over 100000 time steps"));
    nm_byte_buffer_free(&out);
}

/// Cut anywhere, a document is refused, with the file's name.
static void cut_documents_are_refused(void **state) {
    (void)state;
    char *text = foreign();
    size_t size = strlen(text);
    for (size_t cut = 60; cut < size - 2; cut += 7) {
        catch c = import_bytes("cut.xosc", text, cut);
        assert_int_equal(c.scenes, 0);
        assert_int_equal(c.refusals, 1);
        assert_string_equal(c.refusal.input, "cut.xosc");
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_scenes_come_back),
        cmocka_unit_test(the_ego_may_be_left_to_a_controller),
        cmocka_unit_test(far_coordinates_come_back),
        cmocka_unit_test(times_are_decimal),
        cmocka_unit_test(bytes_are_a_function_of_the_scene),
        cmocka_unit_test(python_finds_structure_and_states),
        cmocka_unit_test(a_foreign_document_is_read),
        cmocka_unit_test(bad_documents_are_refused),
        cmocka_unit_test(behaviour_is_refused),
        cmocka_unit_test(cut_documents_are_refused),
        cmocka_unit_test(a_short_document_is_a_small_scene),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
