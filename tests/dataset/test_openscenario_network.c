/// The road network of OpenSCENARIO documents: written beside them, read from there and from nowhere else.
#include "scene_support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

typedef struct folder {
    char path[64], document[96];
} folder;

static folder make_folder(void) {
    folder f = {.path = "/tmp/nearmiss-network-XXXXXX"};
    assert_non_null(mkdtemp(f.path));
    snprintf(f.document, sizeof f.document, "%s/a.xosc", f.path);
    return f;
}
static void remove_folder(const folder *f) {
    char command[96];
    snprintf(command, sizeof command, "rm -r '%s'", f->path);
    assert_int_equal(system(command), 0);
}
static void put_file(const folder *f, const char *name, const void *bytes, size_t size) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    write_bytes(path, bytes, size);
}

static catch import_document(nm_importer *importer, const folder *f) {
    catch c = {0};
    nm_error error;
    assert_int_equal(nm_import_file(importer, f->document, catch_scene, catch_refusal, &c, NULL, &error), NM_OK);
    return c;
}

static int has_tag(const nm_scene *scene, const char *tag) {
    for (uint32_t i = 0; i < scene->tag_count; ++i) {
        if (strcmp(scene->tags[i], tag) == 0) return 1;
    }
    return 0;
}

/// A document of one car, 7 m along x from (100, 200), on the network `name`.
static void put_document(const folder *f, const char *name) {
    char text[2048];
    int length = snprintf(
        text, sizeof text,
        "<OpenSCENARIO><FileHeader revMajor=\"1\" revMinor=\"2\"/><RoadNetwork><LogicFile filepath=\"%s\"/>"
        "</RoadNetwork><Entities><ScenarioObject name=\"a\"/></Entities><Storyboard><Story><Act><ManeuverGroup>"
        "<Actors><EntityRef entityRef=\"a\"/></Actors><Maneuver><Event><Action><PrivateAction><RoutingAction>"
        "<FollowTrajectoryAction><TrajectoryRef><Trajectory><Shape><Polyline>"
        "<Vertex time=\"0\"><Position><WorldPosition x=\"100\" y=\"200\" h=\"0\"/></Position></Vertex>"
        "<Vertex time=\"1\"><Position><WorldPosition x=\"107\" y=\"200\" h=\"0\"/></Position></Vertex>"
        "</Polyline></Shape></Trajectory></TrajectoryRef><TimeReference><Timing domainAbsoluteRelative=\"absolute\" "
        "scale=\"1\" offset=\"0\"/></TimeReference></FollowTrajectoryAction></RoutingAction></PrivateAction></Action>"
        "</Event></Maneuver></ManeuverGroup></Act></Story></Storyboard></OpenSCENARIO>",
        name);
    assert_true(length > 0 && (size_t)length < sizeof text);
    put_file(f, "a.xosc", text, (size_t)length);
}

/// A road of one lane along x; `header` goes into its header, z0 is how high it lies.
static size_t road(char *text, size_t size, const char *header, const char *z0, double length) {
    int written = snprintf(text, size,
                           "<OpenDRIVE><header revMajor=\"1\" revMinor=\"6\">%s</header><road id=\"1\" length=\"%g\" "
                           "junction=\"-1\"><planView><geometry s=\"0\" x=\"90\" y=\"201.5\" hdg=\"0\" length=\"%g\">"
                           "<line/></geometry></planView><elevationProfile><elevation s=\"0\" a=\"%s\" b=\"0\" c=\"0\" "
                           "d=\"0\"/></elevationProfile><lanes><laneSection s=\"0\"><center><lane id=\"0\" "
                           "type=\"none\"/></center><right><lane id=\"-1\" type=\"driving\"><width sOffset=\"0\" "
                           "a=\"3\" b=\"0\" c=\"0\" d=\"0\"/></lane></right></laneSection></lanes></road></OpenDRIVE>",
                           header, length, length, z0);
    assert_true(written > 0 && (size_t)written < size);
    return (size_t)written;
}

// --- ours ------------------------------------------------------------------------------------------------------------

/// The network in the folder is what the map reads back as from OpenDRIVE alone, and states lie where they lay.
static void exports_come_back_on_their_roads(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_OPENSCENARIO), roads = encoding_begin(NM_EXPORT_OPENDRIVE);
    nm_importer *importer = nm_importer_create(NULL);
    folder f = make_folder();
    for (size_t i = 0; i < 2 * SPEC_COUNT; ++i) { // twice each in a row: the second network is the first, kept
        const nm_scene *scene = random_scene(builtin_specs[i / 2], i, WITH_EGO);
        nm_export_item item = {.scene = scene, .id = (int64_t)i};
        nm_error error;
        must(encode_scene(&e, &item, &error), &error);
        must(encode_scene(&roads, &item, &error), &error);
        assert_string_equal(e.out.shared_name, roads.out.shared_name);
        assert_int_equal(e.out.shared.size, roads.out.shared.size);
        assert_memory_equal(e.out.shared.bytes, roads.out.shared.bytes, roads.out.shared.size);
        put_file(&f, "a.xosc", e.out.main.bytes, e.out.main.size);
        put_file(&f, e.out.shared_name, e.out.shared.bytes, e.out.shared.size);
        catch alone = import_bytes("m.xodr", e.out.shared.bytes, e.out.shared.size), c = import_document(importer, &f);
        assert_int_equal(alone.scenes, 1);
        if (c.scenes != 1) fail_msg("refused: %s", c.refusal.message);
        assert_true(c.scene->map->hash == alone.scene->map->hash && c.scene->map->lane_count > 0);
        assert_false(has_tag(c.scene, "map_not_read"));
        assert_string_equal(c.scene->provenance.source, "openscenario");
        const nm_point3 a = scene->map->origin, b = c.scene->map->origin;
        nm_state x = {0}, y = {0};
        assert_true(nm_scene_get_state(scene, scene->ego, scene->current_step, &x));
        assert_true(nm_scene_get_state(c.scene, c.scene->ego, c.scene->current_step, &y));
        assert_float_equal(a.x + (double)x.x, b.x + (double)y.x, 1e-3);
        assert_float_equal(a.y + (double)x.y, b.y + (double)y.y, 1e-3);
        assert_float_equal(a.z + (double)x.z, b.z + (double)y.z, 1e-3);
        release_catch(&alone);
        release_catch(&c);
        nm_scene_destroy(scene);
    }
    remove_folder(&f);
    nm_importer_destroy(importer);
    encoding_end(&roads);
    encoding_end(&e);
}

static int all_but_one(const void *written, const char *name) {
    return strcmp(written, name) != 0;
}

/// What is written already is named, and its bytes are not made again.
static void networks_are_made_once(void **state) {
    (void)state;
    const nm_export_format formats[] = {NM_EXPORT_OPENSCENARIO, NM_EXPORT_OPENDRIVE};
    const nm_scene *scene = random_scene(builtin_specs[0], 1, WITH_EGO);
    const nm_export_item item = {.scene = scene, .id = 1};
    for (size_t i = 0; i < 2; ++i) {
        encoding e = encoding_begin(formats[i]);
        nm_error error;
        char name[64];
        must(encode_scene(&e, &item, &error), &error);
        assert_true(e.out.shared.size > 0);
        snprintf(name, sizeof name, "%s", e.out.shared_name);
        e.out.is_written = all_but_one;
        e.out.written = "map-0000000000000000.xodr";
        must(encode_scene(&e, &item, &error), &error);
        assert_string_equal(e.out.shared_name, name);
        assert_int_equal(e.out.shared.size, 0);
        e.out.written = name;
        must(encode_scene(&e, &item, &error), &error);
        assert_true(e.out.shared.size > 0);
        encoding_end(&e);
    }
    nm_scene_destroy(scene);
}

// --- others' ---------------------------------------------------------------------------------------------------------

static void networks_are_read_beside_the_document(void **state) {
    (void)state;
    nm_importer *importer = nm_importer_create(NULL);
    folder f = make_folder();
    char text[2048];
    put_file(&f, "a.xodr", text, road(text, sizeof text, "<geoReference>+proj=tmerc</geoReference>", "12.5", 50));
    put_document(&f, "./a.xodr");
    catch c = import_document(importer, &f);
    assert_int_equal(c.scenes, 1);
    assert_int_equal(c.scene->map->lane_count, 1);
    assert_true(has_tag(c.scene, "geoReference:+proj=tmerc"));
    assert_float_equal(c.scene->map->lanes[0].length, 50, 1e-3);
    nm_state s = {0};
    assert_true(nm_scene_get_state(c.scene, 0, 0, &s));
    assert_float_equal(c.scene->map->origin.x + (double)s.x, 100, 1e-4);
    assert_float_equal(c.scene->map->origin.z, 12.5, 1.0);
    assert_true(s.z == 0.0f); // without a height of its own: the map's
    release_catch(&c);
    put_file(&f, "a.xodr", text, road(text, sizeof text, "", "0", 60)); // the one that was kept is not that one
    c = import_document(importer, &f);
    assert_float_equal(c.scene->map->lanes[0].length, 60, 1e-3);
    release_catch(&c);
    put_file(&f, "a.xodr", text, road(text, sizeof text, "", "0", 70)); // nor one that is as long
    c = import_document(importer, &f);
    assert_float_equal(c.scene->map->lanes[0].length, 70, 1e-3);
    release_catch(&c);
    put_file(&f, "a.xodr", text, road(text, sizeof text, "<offset x=\"7\" y=\"0\" z=\"0\" hdg=\"0\"/>", "0", 60));
    c = import_document(importer, &f); // its roads lie 7 m elsewhere in the scenario's frame
    assert_int_equal(c.scene->map->lane_count, 0);
    assert_true(has_tag(c.scene, "map_not_read"));
    release_catch(&c);
    remove_folder(&f);
    nm_importer_destroy(importer);
}

static void nothing_else_is_opened(void **state) {
    (void)state;
    nm_importer *importer = nm_importer_create(NULL);
    folder f = make_folder(), outside = make_folder();
    char text[2048], path[256], up[256], absolute[256];
    const size_t size = road(text, sizeof text, "", "0", 50);
    put_file(&outside, "a.xodr", text, size);
    snprintf(path, sizeof path, "%s/link.xodr", f.path);
    snprintf(absolute, sizeof absolute, "%s/a.xodr", outside.path);
    assert_int_equal(symlink(absolute, path), 0);
    snprintf(path, sizeof path, "%s/pipe.xodr", f.path);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/sub", f.path);
    assert_int_equal(mkdir(path, 0700), 0);
    put_file(&f, "sub/a.xodr", text, size);
    snprintf(up, sizeof up, "../%s/a.xodr", strrchr(outside.path, '/') + 1);
    const char *const names[] = {absolute, up,      "link.xodr", "pipe.xodr",   "sub",
                                 ".",      "..",    "./.",       "sub/a.xodr",  "missing.xodr",
                                 "",       "./../", "a.xosc/",   "sub\\a.xodr", "./"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        put_document(&f, names[i]);
        catch c = import_document(importer, &f);
        if (c.scenes != 1) fail_msg("%s: %s", names[i], c.refusal.message);
        assert_int_equal(c.scene->map->lane_count, 0);
        assert_true(has_tag(c.scene, "map_not_read"));
        release_catch(&c);
    }
    // bytes from memory have no folder, whatever their name says
    put_document(&f, "a.xodr");
    put_file(&f, "a.xodr", text, size);
    size_t length;
    char *document = read_text(f.document, &length);
    catch c = import_bytes(f.document, document, length);
    assert_true(c.scenes == 1 && c.scene->map->lane_count == 0);
    release_catch(&c);
    free(document);
    remove_folder(&outside);
    remove_folder(&f);
    nm_importer_destroy(importer);
}

static void bad_networks_are_refused_by_name(void **state) {
    (void)state;
    nm_importer *importer = nm_importer_create(NULL);
    folder f = make_folder();
    char text[2048];
    size_t size = road(text, sizeof text, "", "0", 50);
    put_document(&f, "a.xodr");
    const struct {
        const char *bytes, *message;
        size_t size;
    } cases[] = {{text, "malformed XML", size / 2},
                 {"", "the file is empty", 0},
                 {"top secret", "not OpenDRIVE XML", 10},
                 {"<OpenDRIVE/>", "no lane", 12}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        put_file(&f, "a.xodr", cases[i].bytes, cases[i].size);
        catch c = import_document(importer, &f);
        assert_int_equal(c.scenes, 0);
        assert_int_equal(c.refusals, 1);
        assert_non_null(strstr(c.refusal.input, "/a.xodr"));
        if (!strstr(c.refusal.message, cases[i].message)) fail_msg("%s", c.refusal.message);
        assert_null(strstr(c.refusal.message, "secret"));
        assert_non_null(strstr(c.refusal.message, "a.xosc"));
    }
    put_file(&f, "a.xodr", text, size); // and the next one is fine
    catch c = import_document(importer, &f);
    assert_int_equal(c.scenes, 1);
    release_catch(&c);
    remove_folder(&f);
    nm_importer_destroy(importer);
}

// --- in archives -----------------------------------------------------------------------------------------------------

typedef struct packed {
    struct archive *archive;
    char path[256];
} packed;

static packed begin_archive(const folder *f, int zip) {
    packed p = {.archive = archive_write_new()};
    snprintf(p.path, sizeof p.path, "%s/pack", f->path);
    if (zip)
        assert_int_equal(archive_write_set_format_zip(p.archive), ARCHIVE_OK);
    else
        assert_int_equal(archive_write_set_format_pax_restricted(p.archive), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(p.archive, p.path), ARCHIVE_OK);
    return p;
}
static void add_member(packed *p, const char *name, const void *bytes, size_t size) {
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)size);
    assert_int_equal(archive_write_header(p->archive, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(p->archive, bytes, size), size);
    archive_entry_free(entry);
}
static void end_archive(packed *p) {
    assert_int_equal(archive_write_close(p->archive), ARCHIVE_OK);
    archive_write_free(p->archive);
}

/// Of the scenes of an archive those of scenarios, the OpenDRIVE files among them left out.
typedef struct scenarios {
    int count, refusals;
    double length; ///< of the only lane of the last one's map; 0 = it has no map
    nm_error refusal;
} scenarios;

static nm_status note_scenario(void *context, const nm_scene *scene, const char *input, uint64_t record,
                               nm_error *error) {
    (void)input, (void)record, (void)error;
    scenarios *s = context;
    if (strcmp(scene->provenance.source, "openscenario") == 0) {
        ++s->count;
        s->length = scene->map->lane_count ? (double)scene->map->lanes[0].length : 0.0;
        assert_int_equal(has_tag(scene, "map_not_read"), scene->map->lane_count == 0);
    }
    nm_scene_destroy(scene);
    return NM_OK;
}
static void note_refusal(void *context, const nm_error *error) {
    scenarios *s = context;
    ++s->refusals;
    s->refusal = *error;
}

typedef struct by_piece {
    nm_importer *reader;
    scenarios *to;
} by_piece;

/// Read from a copy of the piece, as another thread would.
static nm_status read_piece(void *context, const nm_piece *piece, nm_error *error) {
    const by_piece *b = context;
    char name[512];
    snprintf(name, sizeof name, "%s", piece->name);
    nm_piece copy = *piece;
    copy.name = name;
    return nm_import_piece(b->reader, &copy, note_scenario, note_refusal, b->to, error);
}

/// The scenario `document`, which names the network `name`, in an archive with roads of 50 m as `roads`, before or
/// behind it; read at once, and by pieces.
static scenarios read_packed(nm_importer *importer, const folder *f, int form, const char *document, const char *name,
                             const char *roads, double length) {
    char text[2048], path[128];
    size_t size, road_size = road(text, sizeof text, "", "0", length);
    put_document(f, name);
    snprintf(path, sizeof path, "%s/a.xosc", f->path);
    char *scenario = read_text(path, &size);
    packed p = begin_archive(f, form & 1);
    if (form & 2) add_member(&p, roads, text, road_size);
    add_member(&p, document, scenario, size);
    if (!(form & 2)) add_member(&p, roads, text, road_size);
    end_archive(&p);
    scenarios at_once = {0}, split = {0};
    nm_error error;
    nm_importer *walker = nm_importer_create(NULL);
    by_piece b = {importer, &split};
    must(nm_import_file(importer, p.path, note_scenario, note_refusal, &at_once, NULL, &error), &error);
    must(nm_import_split(walker, p.path, read_piece, note_refusal, &b, &error), &error);
    assert_int_equal(at_once.count, split.count);
    assert_int_equal(at_once.refusals, split.refusals);
    assert_true(at_once.length == split.length);
    nm_importer_destroy(walker);
    free(scenario);
    return at_once;
}

static void networks_are_found_in_archives(void **state) {
    (void)state;
    static const struct {
        const char *document, *name, *roads;
        int found;
    } cases[] = {
        {"a.xosc", "r.xodr", "r.xodr", 1},
        {"a.xosc", "./r.xodr", "./r.xodr", 1},
        {"./x/a.xosc", "r.xodr", "x/r.xodr", 1},
        {"x/y/a.xosc", "../maps/r.xodr", "x/maps/r.xodr", 1},
        {"x/a.xosc", "..//./r.xodr", "r.xodr", 1},
        {"x/a.xosc", "maps/r.xodr", "x/maps/r.xodr", 1},
        {"x/a.xosc", "r.xodr", "r.xodr", 0},           // another folder's
        {"x/a.xosc", "../../r.xodr", "r.xodr", 0},     // out of the archive
        {"x/a.xosc", "../../x/r.xodr", "x/r.xodr", 0}, // and in again
        {"a.xosc", "/r.xodr", "r.xodr", 0},            // of the machine
        {"a.xosc", "/etc/passwd", "etc/passwd", 0},    //
        {"a.xosc", "..\\r.xodr", "r.xodr", 0},         //
        {"../a.xosc", "r.xodr", "r.xodr", 0},          // a member that has left the archive
        {"a.xosc", "r.xodr", "../r.xodr", 0},          //
        {"a.xosc", ".", "r.xodr", 0},                  //
        {"a.xosc", "r.xodr/", "r.xodr/x.xodr", 0},     //
    };
    nm_importer *importer = nm_importer_create(NULL);
    folder f = make_folder();
    char outside[2048];
    put_file(&f, "r.xodr", outside, road(outside, sizeof outside, "", "0", 99)); // beside the archive: not looked at
    for (int form = 0; form < 4; ++form) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
            const scenarios s =
                read_packed(importer, &f, form, cases[i].document, cases[i].name, cases[i].roads, 50.0 + (double)i);
            if (s.count != 1 || s.refusals) fail_msg("case %zu: %d, %s", i, s.count, s.refusal.message);
            assert_float_equal(s.length, cases[i].found ? 50.0 + (double)i : 0.0, 1e-3);
        }
    }
    remove_folder(&f);
    nm_importer_destroy(importer);
}

/// What is named is read as it is: a damaged one is refused with the scenario; of two of one name the last one counts.
static void archives_have_bad_networks(void **state) {
    (void)state;
    nm_importer *importer = nm_importer_create(NULL);
    folder f = make_folder();
    char text[2048], path[128];
    nm_error error;
    size_t document, size = road(text, sizeof text, "", "0", 50);
    put_document(&f, "r.xodr");
    snprintf(path, sizeof path, "%s/a.xosc", f.path);
    char *scenario = read_text(path, &document);
    packed p = begin_archive(&f, 0);
    add_member(&p, "a.xosc", scenario, document);
    add_member(&p, "r.xodr", text, size / 2);
    end_archive(&p);
    scenarios s = {0};
    must(nm_import_file(importer, p.path, note_scenario, note_refusal, &s, NULL, &error), &error);
    assert_int_equal(s.count, 0);
    assert_int_equal(s.refusals, 2); // the scenario, and the network by itself
    p = begin_archive(&f, 0);
    add_member(&p, "r.xodr", text, size);
    add_member(&p, "a.xosc", scenario, document);
    add_member(&p, "r.xodr", text, road(text, sizeof text, "", "0", 70));
    end_archive(&p);
    s = (scenarios){0};
    must(nm_import_file(importer, p.path, note_scenario, note_refusal, &s, NULL, &error), &error);
    assert_int_equal(s.count, 1);
    assert_float_equal(s.length, 70.0, 1e-3);
    free(scenario);
    remove_folder(&f);
    nm_importer_destroy(importer);
}

/// Makes the last road of the archive something else, without its file looking any different.
static void spoil_last_road(const char *path) {
    struct stat about;
    size_t size, at = 0;
    assert_int_equal(stat(path, &about), 0);
    char *bytes = read_text(path, &size);
    for (size_t i = 0; i + 10 < size; ++i) {
        if (memcmp(bytes + i, "<OpenDRIVE", 10) == 0) at = i;
    }
    bytes[at + 1] = 'X';
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, (const struct timespec[]){about.st_atim, about.st_mtim}, 0), 0);
    free(bytes);
}

/// An archive with more OpenDRIVE than is kept is gone through once, not once for each of its scenarios.
static void too_many_networks_are_found_out_once(void **state) {
    (void)state;
    folder f = make_folder();
    char text[2048], path[128];
    size_t document, size = road(text, sizeof text, "", "0", 50);
    put_document(&f, "r.xodr");
    snprintf(path, sizeof path, "%s/a.xosc", f.path);
    char *scenario = read_text(path, &document);
    packed p = begin_archive(&f, 0);
    add_member(&p, "a.xosc", scenario, document);
    add_member(&p, "r.xodr", text, size);
    add_member(&p, "s.xodr", text, size);
    end_archive(&p);
    nm_import_limits limits = nm_import_limits_default();
    limits.max_file_bytes = 4 * size + 2 * size; // one road and a half
    assert_true(document < limits.max_file_bytes);
    nm_importer *importer = nm_importer_create(&limits);
    nm_error error;
    for (int spoiled = 0; spoiled < 2; ++spoiled) {
        scenarios s = {0};
        if (spoiled) spoil_last_road(p.path);
        must(nm_import_file(importer, p.path, note_scenario, note_refusal, &s, NULL, &error), &error);
        assert_int_equal(s.count, 0);
        assert_int_equal(s.refusals, 1 + spoiled); // s.xodr itself
        if (!spoiled) assert_non_null(strstr(s.refusal.message, "the road networks in it have over"));
        if (!spoiled) assert_int_equal(s.refusal.code, NM_E_LIMIT);
    }
    nm_importer *fresh = nm_importer_create(&limits);
    scenarios s = {0};
    must(nm_import_file(fresh, p.path, note_scenario, note_refusal, &s, NULL, &error), &error);
    assert_int_equal(s.count, 1);
    assert_float_equal(s.length, 50.0, 1e-3);
    nm_importer_destroy(fresh);
    nm_importer_destroy(importer);
    free(scenario);
    remove_folder(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exports_come_back_on_their_roads),
        cmocka_unit_test(networks_are_made_once),
        cmocka_unit_test(networks_are_read_beside_the_document),
        cmocka_unit_test(nothing_else_is_opened),
        cmocka_unit_test(bad_networks_are_refused_by_name),
        cmocka_unit_test(networks_are_found_in_archives),
        cmocka_unit_test(archives_have_bad_networks),
        cmocka_unit_test(too_many_networks_are_found_out_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
