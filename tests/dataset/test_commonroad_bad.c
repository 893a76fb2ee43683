/// What must be refused: with the right code, the right line, a message that says what is wrong, and nothing left over.
#include "commonroad_support.h"

#include "base/rng.h"

typedef struct bad {
    const char *file, *from, *to;
    nm_status code;
    int line; ///< 0 = any
    const char *says;
} bad;

static void expect_refusal(const bad *b, const char *text, size_t size) {
    catch c = import_bytes("folder/bad.xml", text, size);
    if (c.scenes != 0 || c.refusals != 1) fail_msg("accepted: %s -> %s", b->from, b->to);
    if (c.refusal.code != b->code || (b->line && c.refusal.line != b->line) || !strstr(c.refusal.message, b->says))
        fail_msg("%s -> %s: refused as %s, line %lld: %s", b->from, b->to, nm_status_name(c.refusal.code),
                 (long long)c.refusal.line, c.refusal.message);
    assert_string_equal(c.refusal.input, "folder/bad.xml");
}

static void test_edits(void **state) {
    (void)state;
    static const bad edits[] = {
        // root
        {"2020a.xml", "<commonRoad ", "<openScenery ", NM_E_FORMAT, 2, "<openScenery>"},
        {"2020a.xml", " commonRoadVersion=\"2020a\"", "", NM_E_FORMAT, 2, "commonRoadVersion"},
        {"2020a.xml", "commonRoadVersion=\"2020a\"", "commonRoadVersion=\"2031x\"", NM_E_UNSUPPORTED, 2, "2031x"},
        {"2020a.xml", " benchmarkID=\"ZAM_Test-1_1_T-1\"", "", NM_E_FORMAT, 2, "benchmarkID"},
        {"2020a.xml", "timeStepSize=\"0.1\"", "", NM_E_FORMAT, 2, "timeStepSize"},
        {"2020a.xml", "timeStepSize=\"0.1\"", "timeStepSize=\"0\"", NM_E_FORMAT, 2, "timeStepSize"},
        {"2020a.xml", "timeStepSize=\"0.1\"", "timeStepSize=\"-0.1\"", NM_E_FORMAT, 2, "timeStepSize"},
        {"2020a.xml", "timeStepSize=\"0.1\"", "timeStepSize=\"nan\"", NM_E_FORMAT, 2, "timeStepSize"},
        {"2018b.xml", "tags=\"highway",
         "tags=\"highwaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaay", NM_E_LIMIT, 1,
         "tags"},
        // numbers
        {"2020a.xml", "<x>1025.0</x>", "<x>abc</x>", NM_E_FORMAT, 8, "<x> is not a number: \"abc\""},
        {"2020a.xml", "<x>1025.0</x>", "<x></x>", NM_E_FORMAT, 8, "<x> is not a number"},
        {"2020a.xml", "<x>1025.0</x>", "<x>nan</x>", NM_E_FORMAT, 8, "not a number"},
        {"2020a.xml", "<x>1025.0</x>", "<x>inf</x>", NM_E_FORMAT, 8, "not a number"},
        {"2020a.xml", "<x>1025.0</x>", "<x>0x10</x>", NM_E_FORMAT, 8, "not a number"},
        {"2020a.xml", "<x>1025.0</x>", "<x>1e999</x>", NM_E_FORMAT, 8, "too large"},
        {"2020a.xml", "<x>1025.0</x>", "<x>1e9</x>", NM_E_LIMIT, 8, "coordinate"},
        {"2020a.xml", "<x>1025.0</x>", "<x><x>1</x></x>", NM_E_FORMAT, 8, "inside <x>"},
        {"2020a.xml", "<x>1025.0</x>", "", NM_E_FORMAT, 8, "<point> has no <x>"},
        {"2020a.xml", "<x>1025.0</x>", "<x>1</x><x>2</x>", NM_E_FORMAT, 8, "a second <x>"},
        {"2020a.xml", "<exact>10.0</exact>", "<exact>1e5</exact>", NM_E_LIMIT, 165, "velocity"},
        // lanelets
        {"2020a.xml", "<lanelet id=\"1\">", "<lanelet>", NM_E_FORMAT, 5, "no attribute id"},
        {"2020a.xml", "<lanelet id=\"1\">", "<lanelet id=\"one\">", NM_E_FORMAT, 5, "id=\"one\""},
        {"2020a.xml", "<lanelet id=\"1\">", "<lanelet id=\"-1\">", NM_E_FORMAT, 5, "id=\"-1\""},
        {"2020a.xml", "<lanelet id=\"1\">", "<lanelet id=\"99999999999999999999\">", NM_E_FORMAT, 5, "id="},
        {"2020a.xml", "<lanelet id=\"2\">", "<lanelet id=\"1\">", NM_E_FORMAT, 34, "id 1"},
        {"2020a.xml", "<trafficSign id=\"10\">", "<trafficSign id=\"5\">", NM_E_FORMAT, 0, "id 5"},
        {"2020a.xml", "<successor ref=\"2\"/>", "<successor ref=\"999\"/>", NM_E_FORMAT, 18, "no lanelet 999"},
        {"2020a.xml", "<successor ref=\"2\"/>", "<successor/>", NM_E_FORMAT, 18, "no attribute ref"},
        {"2020a.xml", "<successor ref=\"2\"/>", "<successor ref=\"10\"/>", NM_E_FORMAT, 18, "no lanelet 10"},
        {"2020a.xml", "ref=\"4\" drivingDir=\"opposite\"", "ref=\"44\" drivingDir=\"same\"", NM_E_FORMAT, 20, "44"},
        {"2020a.xml", "ref=\"4\" drivingDir=\"opposite\"", "ref=\"4\"", NM_E_FORMAT, 20, "drivingDir"},
        {"2020a.xml", "<trafficSignRef ref=\"10\"/>", "<trafficSignRef ref=\"1\"/>", NM_E_FORMAT, 30,
         "no traffic sign 1"},
        {"2020a.xml", "<trafficLightRef ref=\"20\"/>", "<trafficLightRef ref=\"10\"/>", NM_E_FORMAT, 26, "light 10"},
        {"2020a.xml", "<point><x>1025.0</x><y>2003.5</y></point>", "", NM_E_FORMAT, 5, "2 points on the left and 3"},
        {"2020a.xml", "<point><x>1048.0</x><y>2000.0</y></point>", "", NM_E_FORMAT, 0, "stop line"},
        {"smallest.xml", "<point><x>9</x><y>1</y></point>", "", NM_E_FORMAT, 1, "at least 2"},
        {"smallest.xml",
         "<x>9</x><y>1</y></point></leftBound><rightBound><point><x>0</x><y>0</y></point><point><x>9</x>",
         "<x>0</x><y>1</y></point></leftBound><rightBound><point><x>0</x><y>0</y></point><point><x>0</x>", NM_E_FORMAT,
         1, "different"},
        {"smallest.xml", "<rightBound>", "<rightBound/><rightBound>", NM_E_FORMAT, 1, ""},
        {"smallest.xml", "<lanelet id=\"1\">", "<lanelet id=\"1\"><speedLimit>-3</speedLimit>", NM_E_FORMAT, 1,
         "speed"},
        // signals, intersections
        {"2020a.xml", "<color>yellow</color>", "<color>mauve</color>", NM_E_FORMAT, 0, "mauve"},
        {"2020a.xml", "<duration>30</duration>", "<duration>0</duration>", NM_E_FORMAT, 0, "duration"},
        {"2020a.xml", "<duration>30</duration>", "<duration>2.5</duration>", NM_E_FORMAT, 0, "duration"},
        {"2020a.xml", "<duration>30</duration>", "", NM_E_FORMAT, 0, "<duration>"},
        {"2020a.xml", "<active>true</active>", "<active>perhaps</active>", NM_E_FORMAT, 0, "perhaps"},
        {"2020a.xml", "<successorsLeft ref=\"3\"/>", "<successorsLeft ref=\"30\"/>", NM_E_FORMAT, 0, "no lanelet 30"},
        // obstacles
        {"2020a.xml", "<type>pedestrian</type>", "", NM_E_FORMAT, 0, "<type>"},
        {"2020a.xml", "<shape><circle><radius>0.35</radius></circle></shape>", "<shape/>", NM_E_FORMAT, 0, "shape"},
        {"2020a.xml", "<radius>0.35</radius>", "<radius>-1</radius>", NM_E_FORMAT, 0, "radius"},
        {"2020a.xml", "<point><x>3</x><y>-1</y></point>", "", NM_E_FORMAT, 0, "polygon of 2"},
        {"2020a.xml", "<exact>4</exact>", "<exact>1</exact>", NM_E_FORMAT, 0, "time step 1 again"},
        {"2020a.xml", "<exact>4</exact>", "<exact>0</exact>", NM_E_FORMAT, 0, "time step 0 after step 1"},
        {"2020a.xml", "<exact>4</exact>", "<exact>-4</exact>", NM_E_FORMAT, 0, "time -4"},
        {"2020a.xml", "<exact>4</exact>", "<exact>4.5</exact>", NM_E_FORMAT, 0, "time 4.5"},
        {"2020a.xml", "<exact>4</exact>", "<exact>1000000</exact>", NM_E_LIMIT, 0, "time step 1000000"},
        {"2020a.xml", "<time><exact>4</exact></time>", "", NM_E_FORMAT, 0, "<state> has no <time>"},
        {"2020a.xml", "<orientation><exact>7.0</exact></orientation>", "", NM_E_FORMAT, 0, "no <orientation>"},
        {"2020a.xml", "<position><point><x>1006.0</x><y>2001.75</y></point></position>", "<position/>", NM_E_FORMAT, 0,
         "one point or areas"},
        {"2020a.xml", "<position><lanelet ref=\"5\"/></position>", "<position><lanelet ref=\"55\"/></position>",
         NM_E_FORMAT, 0, "no lanelet 55"},
        {"2020a.xml", "<intervalStart>9.0</intervalStart>", "", NM_E_FORMAT, 0, "<velocity> needs"},
        {"2020a.xml", "<intervalStart>9.0</intervalStart>", "<intervalStart>12</intervalStart>", NM_E_FORMAT, 0,
         "ends before"},
        {"2018b.xml", "<role>dynamic</role>", "<role>hero</role>", NM_E_FORMAT, 14, "hero"},
        {"2018b.xml", "<role>dynamic</role>", "", NM_E_FORMAT, 13, "<role>"},
        {"2018b.xml", "<role>dynamic</role>", "<role>static</role>", NM_E_FORMAT, 13, "static"},
        // planning problems
        {"2018b.xml", "<goalRegion>", "<goalState><time/></goalState><goalRegion>", NM_E_FORMAT, 0, "<time> needs"},
        {"2020a.xml", "<lanelet ref=\"2\"/>", "<lanelet ref=\"22\"/>", NM_E_FORMAT, 0, "no lanelet 22"},
        // XML
        {"2020a.xml", "<commonRoad ", "<!DOCTYPE commonRoad [<!ENTITY a \"b\">]><commonRoad ", NM_E_FORMAT, 2,
         "DOCTYPE"},
        {"2020a.xml", "<commonRoad ", "<!DOCTYPE commonRoad SYSTEM \"http://x/y.dtd\"><commonRoad ", NM_E_FORMAT, 2,
         "DOCTYPE"},
        {"2020a.xml", "<x>1025.0</x>", "<x>&bomb;</x>", NM_E_FORMAT, 8, "malformed XML"},
        {"2020a.xml", "</leftBound>", "</rightBound>", NM_E_FORMAT, 0, "malformed XML"},
        {"2020a.xml", "encoding=\"UTF-8\"", "encoding=\"klingon\"", NM_E_FORMAT, 0, "malformed XML"},
        {"2020a.xml", "<y>2003.5</y>", "<y a=\"1\" a=\"2\">2003.5</y>", NM_E_FORMAT, 7, "malformed XML"},
        {"2020a.xml", "</commonRoad>", "</commonRoad><commonRoad/>", NM_E_FORMAT, 0, "malformed XML"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; ++i) {
        char *text = read_document(edits[i].file, NULL), *changed = edited(text, edits[i].from, edits[i].to);
        expect_refusal(&edits[i], changed, strlen(changed));
        free(text);
        free(changed);
    }
}

static void test_not_xml(void **state) {
    (void)state;
    static const bad empty = {"", "nothing", "", NM_E_FORMAT, 0, "empty"};
    static const bad binary = {"", "binary", "", NM_E_FORMAT, 0, "neither"};
    static const bad blank = {"", "blank", "", NM_E_FORMAT, 0, "neither"};
    static const bad other = {"", "html", "", NM_E_FORMAT, 1, "<html>"};
    static const bad bare = {"", "bare", "", NM_E_FORMAT, 0, "no lanelet"};
    expect_refusal(&empty, "", 0);
    expect_refusal(&binary,
                   "\x7f"
                   "ELF\0\0\0",
                   7);
    expect_refusal(&blank, " \n\n", 3);
    expect_refusal(&other, "<html></html>", 13);
    const char *root = "<commonRoad commonRoadVersion=\"2020a\" benchmarkID=\"x\" timeStepSize=\"0.1\"/>";
    expect_refusal(&bare, root, strlen(root));
}

/// Without a sink for refusals the first one is the import's status.
static void test_without_refusal_sink(void **state) {
    (void)state;
    catch c = {0};
    nm_error error;
    nm_error_clear(&error);
    nm_importer *importer = nm_importer_create(NULL);
    assert_int_equal(nm_import_memory(importer, "x.xml", "<a/>", 4, catch_scene, NULL, &c, &error), NM_E_FORMAT);
    assert_int_equal(error.code, NM_E_FORMAT);
    assert_string_equal(error.input, "x.xml");
    assert_int_equal(error.line, 1);
    nm_importer_destroy(importer);
}

static void test_limits(void **state) {
    (void)state;
    static const struct {
        nm_import_limits limits;
        const char *says;
    } cases[] = {{{1000, 10, 100, 10, 1000}, "larger than the limit"},
                 {{1 << 20, 4, 100, 10, 1000}, "more than 4 obstacles"},
                 {{1 << 20, 10, 4, 10, 1000}, "limit is 4 steps"},
                 {{1 << 20, 10, 100, 5, 1000}, "more than 5 lanelets"},
                 {{1 << 20, 10, 100, 10, 24}, "more than 24 states"}};
    size_t size;
    char *text = read_document("2020a.xml", &size);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        catch c = {0};
        nm_error error;
        nm_importer *importer = nm_importer_create(&cases[i].limits);
        assert_int_equal(nm_import_memory(importer, "x.xml", text, size, catch_scene, NULL, &c, &error), NM_E_LIMIT);
        assert_non_null(strstr(error.message, cases[i].says));
        nm_importer_destroy(importer);
    }
    free(text);
}

/// Who stands for 100,000 steps costs a text nothing: as a scene he must not cost gigabytes.
static void test_short_documents_are_small_scenes(void **state) {
    (void)state;
    static const char box[] = "<shape><rectangle><length>4</length><width>2</width></rectangle></shape><initialState>"
                              "<position><point><x>1</x><y>1</y></point></position><orientation><exact>0</exact>"
                              "</orientation><time><exact>0</exact></time></initialState>";
    char *text = read_document("smallest.xml", NULL), *last = strstr(text, "</commonRoad>"), *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    assert_true(out && last);
    fwrite(text, 1, (size_t)(last - text), out);
    for (int i = 2; i < 52; ++i)
        fprintf(out, "<staticObstacle id=\"%d\"><type>parkedVehicle</type>%s</staticObstacle>", i, box);
    fprintf(out,
            "<dynamicObstacle id=\"99\"><type>car</type>%s<trajectory><state><position><point><x>9</x><y>1</y></point>"
            "</position><orientation><exact>0</exact></orientation><time><exact>99999</exact></time></state>"
            "</trajectory></dynamicObstacle>%s",
            box, last);
    fclose(out);
    assert_true(51u * 100000u < nm_import_limits_default().max_cells);
    catch c = import_bytes("bomb.xml", bytes, size);
    assert_int_equal(c.scenes, 0);
    assert_int_equal(c.refusal.code, NM_E_LIMIT);
    if (!strstr(c.refusal.message, "51 obstacles over 100000 time steps")) fail_msg("%s", c.refusal.message);
    free(bytes);
    free(text);
}

/// A sink that says no ends the import with its own status.
static nm_status full_disk(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)context, (void)input, (void)record;
    nm_scene_destroy(scene);
    return NM_ERROR(error, NM_E_IO, "disk full");
}
static void test_sink_fails(void **state) {
    (void)state;
    size_t size;
    char *text = read_document("smallest.xml", &size);
    catch c = {0};
    nm_error error;
    nm_importer *importer = nm_importer_create(NULL);
    assert_int_equal(nm_import_memory(importer, "x.xml", text, size, full_disk, catch_refusal, &c, &error), NM_E_IO);
    assert_string_equal(error.message, "disk full");
    assert_int_equal(c.refusals, 0);
    nm_importer_destroy(importer);
    free(text);
}

/// Nested 300 deep, inside and outside of what is skipped; a million points; many elements of unknown names.
static void test_large(void **state) {
    (void)state;
    char *text = read_document("smallest.xml", NULL);
    size_t room = 4u << 20;
    char *inner = malloc(room + 1);
    for (int which = 0; which < 3; ++which) {
        size_t n = 0;
        if (which == 0) {
            for (int i = 0; i < 300; ++i) n += (size_t)sprintf(inner + n, "<a>");
            for (int i = 0; i < 300; ++i) n += (size_t)sprintf(inner + n, "</a>");
        } else if (which == 1) {
            memset(inner, ' ', room - 1); // a text node of 4 MiB
            inner[room - 1] = 0;
        } else {
            for (int i = 0; i < 20000; ++i) n += (size_t)sprintf(inner + n, "<unknown%d x=\"%d\"/>", i, i);
        }
        char *joined = malloc(strlen(inner) + 64);
        sprintf(joined, "<lanelet id=\"1\">%s", inner);
        char *changed = edited(text, "<lanelet id=\"1\">", joined);
        catch c = import_bytes("large", changed, strlen(changed));
        assert_int_equal(c.scenes, which == 0 ? 0 : 1); // libxml2 stops at a depth of 256
        release_catch(&c);
        free(joined);
        free(changed);
    }
    free(inner);
    free(text);
}

/// A few numbers of obstacles and steps that would make a dense scene of terabytes.
static void test_dense_bomb(void **state) {
    (void)state;
    char *text = read_document("2020a.xml", NULL);
    char *late = edited(text, "<exact>4</exact>", "<exact>99999</exact>");
    size_t room = 1u << 20, n = 0;
    char *many = malloc(room);
    static const char *const one =
        "<staticObstacle id=\"%d\"><type>unknown</type><shape><circle><radius>1</radius></circle>"
        "</shape><initialState><position><point><x>0</x><y>0</y></point></position><orientation>"
        "<exact>0</exact></orientation><time><exact>0</exact></time></initialState></staticObstacle>";
    for (int i = 0; i < 2000; ++i) n += (size_t)sprintf(many + n, one, 10000 + i);
    sprintf(many + n, "<staticObstacle id=\"102\">");
    char *changed = edited(late, "<staticObstacle id=\"102\">", many);
    catch c = import_bytes("bomb", changed, strlen(changed));
    assert_int_equal(c.scenes, 0);
    assert_int_equal(c.refusal.code, NM_E_LIMIT);
    free(text);
    free(late);
    free(many);
    free(changed);
}

/// Every prefix of a document is refused, at a line that is there.
static void test_truncations(void **state) {
    (void)state;
    static const char *const files[] = {"2018b.xml", "smallest.xml", "2020a.xml"};
    for (size_t f = 0; f < 3; ++f) {
        size_t size;
        char *text = read_document(files[f], &size);
        size_t end = size; // of the document proper
        while (text[end - 1] != '>') --end;
        nm_importer *importer = nm_importer_create(NULL);
        catch c = {0};
        nm_error error;
        size_t stride = f == 2 ? 37 : 1;
        for (size_t length = 0; length < end; length += stride) {
            char *copy = malloc(length ? length : 1); // exactly as long: AddressSanitizer sees a read past it
            memcpy(copy, text, length);
            assert_int_equal(nm_import_memory(importer, "cut", copy, length, catch_scene, NULL, &c, &error),
                             NM_E_FORMAT);
            free(copy);
        }
        assert_int_equal(c.scenes, 0);
        nm_importer_destroy(importer);
        free(text);
    }
}

/// Random damage: bytes changed, pieces removed, doubled or moved. Whatever comes out must be a scene that passes its
/// own encoding, or a refusal with a message.
static void test_mutations(void **state) {
    (void)state;
    const uint64_t seed = 20240501;
    printf("seed %llu\n", (unsigned long long)seed);
    static const char *const files[] = {"2018b.xml", "2020a.xml"};
    static const char *const pieces[] = {"-",  "e9",    "0",   "<",          ">",        "/",
                                         "\"", "1e308", "nan", "4294967296", "id=\"1\"", "\0"};
    nm_importer *importer = nm_importer_create(NULL);
    for (uint32_t run = 0; run < 1500; ++run) {
        size_t size;
        char *text = read_document(files[run % 2], &size);
        char *work = malloc(2 * size + 64);
        memcpy(work, text, size);
        nm_rng_key key = {.seed = seed, .agent = run, .purpose = NM_PURPOSE_TEST};
        uint32_t draw = 0, edits = 1 + nm_rng_below(&key, draw++, 4);
        for (uint32_t e = 0; e < edits && size > 16; ++e) {
            size_t at = nm_rng_below(&key, draw++, (uint32_t)size - 8);
            size_t span = 1 + nm_rng_below(&key, draw++, 7);
            const char *piece = pieces[nm_rng_below(&key, draw++, sizeof pieces / sizeof pieces[0])];
            switch (nm_rng_below(&key, draw++, 3)) {
            case 0:
                work[at] = (char)nm_rng_below(&key, draw++, 256);
                break;
            case 1: // remove
                memmove(work + at, work + at + span, size - at - span);
                size -= span;
                break;
            default: // insert
                memmove(work + at + strlen(piece), work + at, size - at);
                memcpy(work + at, piece, strlen(piece));
                size += strlen(piece);
            }
        }
        catch c = {0};
        nm_error error;
        nm_error_clear(&error);
        nm_status status = nm_import_memory(importer, "mutant", work, size, catch_scene, NULL, &c, &error);
        assert_int_equal(c.scenes, status == NM_OK);
        if (status != NM_OK) assert_true(error.code == status && error.message[0] && error.input[0]);
        release_catch(&c);
        free(text);
        free(work);
    }
    nm_importer_destroy(importer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_not_xml),
        cmocka_unit_test(test_without_refusal_sink),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_short_documents_are_small_scenes),
        cmocka_unit_test(test_sink_fails),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_dense_bomb),
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
