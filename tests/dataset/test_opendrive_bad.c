/// OpenDRIVE documents that must be refused: with the right line and a message that says what is wrong.
#include "opendrive_support.h"

#include "base/rng.h"

static const char *const good[] = {
    "<?xml version=\"1.0\"?>",
    "<OpenDRIVE>",
    "<header revMajor=\"1\" revMinor=\"7\" name=\"n\"><geoReference><![CDATA[+proj=utm]]></geoReference></header>",
    "<road id=\"a\" length=\"100\" junction=\"-1\">",
    "<link><successor elementType=\"road\" elementId=\"b\" contactPoint=\"start\"/></link>",
    "<planView><geometry s=\"0\" x=\"0\" y=\"0\" hdg=\"0\" length=\"60\"><line/></geometry>",
    "<geometry s=\"60\" x=\"60\" y=\"0\" hdg=\"0\" length=\"40\"><arc curvature=\"0.01\"/></geometry></planView>",
    "<lanes><laneOffset s=\"0\" a=\"0\" b=\"0\" c=\"0\" d=\"0\"/>",
    "<laneSection s=\"0\"><center><lane id=\"0\" type=\"none\"/></center><right>",
    "<lane id=\"-1\" type=\"driving\"><link><successor id=\"-1\"/></link>",
    "<width sOffset=\"0\" a=\"3.5\" b=\"0\" c=\"0\" d=\"0\"/><width sOffset=\"30\" a=\"3.5\" b=\"0\" c=\"0\" d=\"0\"/>",
    "<speed sOffset=\"0\" max=\"50\" unit=\"km/h\"/></lane></right></laneSection></lanes>",
    "<signals><signal id=\"1\" s=\"90\" t=\"-4\" orientation=\"+\" dynamic=\"yes\" type=\"1000001\"/></signals>",
    "</road>",
    "<road id=\"b\" length=\"50\" junction=\"-1\">",
    "<link><predecessor elementType=\"road\" elementId=\"a\" contactPoint=\"end\"/>",
    "<successor elementType=\"junction\" elementId=\"j\"/></link>",
    "<planView><geometry s=\"0\" x=\"98.9\" y=\"7.9\" hdg=\"0.4\" length=\"50\"><line/></geometry></planView>",
    "<lanes><laneSection s=\"0\"><center><lane id=\"0\" type=\"none\"/></center><right>",
    "<lane id=\"-1\" type=\"driving\"><width sOffset=\"0\" a=\"3.5\" b=\"0\" c=\"0\" "
    "d=\"0\"/></lane></right></laneSection></lanes>",
    "</road>",
    "<road id=\"c\" length=\"20\" junction=\"j\">",
    "<link><predecessor elementType=\"road\" elementId=\"b\" contactPoint=\"end\"/></link>",
    "<planView><geometry s=\"0\" x=\"144.95\" y=\"27.37\" hdg=\"0.4\" length=\"20\"><line/></geometry></planView>",
    "<lanes><laneSection s=\"0\"><center><lane id=\"0\" type=\"none\"/></center><right>",
    "<lane id=\"-1\" type=\"driving\"><link><predecessor id=\"-1\"/></link><width sOffset=\"0\" a=\"3.5\" b=\"0\" "
    "c=\"0\" d=\"0\"/></lane>",
    "</right></laneSection></lanes></road>",
    "<junction id=\"j\"><connection id=\"0\" incomingRoad=\"b\" connectingRoad=\"c\" contactPoint=\"start\">",
    "<laneLink from=\"-1\" to=\"-1\"/></connection></junction>",
    "</OpenDRIVE>",
};

static char *good_text(void) {
    char *text = calloc(1, 1 << 15);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof good / sizeof *good; ++i) {
        strcat(text, good[i]);
        strcat(text, "\n");
    }
    return text;
}

typedef struct bad {
    const char *from, *to;
    int line; ///< 0 = any
    const char *says;
} bad;

static const bad edits[] = {
    {"revMajor=\"1\"", "revMajor=\"2\"", 3, "only versions 1.x"},
    // numbers
    {"length=\"100\"", "length=\"nan\"", 4, "length=\"nan\" of <road> is not a number"},
    {"length=\"100\"", "length=\"1e999\"", 4, "not a finite number"},
    {"length=\"100\"", "length=\"1e12\"", 4, "a road of length 1e+12"},
    {"length=\"100\"", "length=\"-5\"", 4, "a road of length -5"},
    {" length=\"100\"", "", 4, "<road> has no attribute length"},
    {"length=\"100\"", "length=\"500\"", 4, "geometry ends at s = 100, its length is 500"},
    {"x=\"60\"", "x=\"\"", 7, "x=\"\" of <geometry> is not a number"},
    {"x=\"60\"", "x=\"1e9\"", 4, "at most 1e8 m"},
    {"curvature=\"0.01\"", "curvature=\"1e6\"", 7, "bends by more than 1000 rad"},
    {"curvature=\"0.01\"", "curvature=\"inf\"", 7, "curvature"},
    {"<arc curvature=\"0.01\"/>", "", 7, "neither line, arc, spiral, poly3 nor paramPoly3"},
    {"<arc curvature=\"0.01\"/>", "<helix/>", 7, "neither line"},
    {"<arc curvature=\"0.01\"/>", "<line/><line/>", 7, "a second shape"},
    {"<arc curvature=\"0.01\"/>",
     "<paramPoly3 aU=\"0\" bU=\"0\" cU=\"0\" dU=\"0\" aV=\"0\" bV=\"0\" cV=\"0\" dV=\"0\"/>", 7, "no length"},
    {"<arc curvature=\"0.01\"/>",
     "<paramPoly3 aU=\"0\" bU=\"4000\" cU=\"0\" dU=\"0\" aV=\"0\" bV=\"0\" cV=\"0\" dV=\"0\"/>", 7,
     "not as long as it says"},
    // s
    {"geometry s=\"60\"", "geometry s=\"-1\"", 7, "geometry"},
    {"geometry s=\"60\"", "geometry s=\"30\"", 7, "the one before ends at 60"},
    {"geometry s=\"60\"", "geometry s=\"80\"", 7, "the one before ends at 60"},
    {"width sOffset=\"30\"", "width sOffset=\"-1\"", 11, "lies before the last one"},
    {"<laneOffset s=\"0\"", "<laneOffset s=\"5\" a=\"0\"/><laneOffset s=\"0\"", 8, "laneOffset at s = 0 lies before"},
    {"<laneSection s=\"0\">",
     "<laneSection s=\"0\"><center><lane id=\"0\" type=\"none\"/></center></laneSection>"
     "<laneSection s=\"0\">",
     9, "not behind the last one"},
    // lanes
    {"a=\"3.5\" b=\"0\" c=\"0\" d=\"0\"/><width", "a=\"-3\" b=\"0\" c=\"0\" d=\"0\"/><width", 10,
     "lane -1 of the road in line 4 is -3 m wide"},
    {"a=\"3.5\" b=\"0\" c=\"0\" d=\"0\"/><width", "a=\"3\" b=\"-1\" c=\"0\" d=\"0\"/><width", 10, "wide at s"},
    {"a=\"3.5\" b=\"0\" c=\"0\" d=\"0\"/><width", "a=\"1e300\" b=\"0\" c=\"0\" d=\"0\"/><width", 10, "wide at s"},
    {"<lane id=\"0\" type=\"none\"/>", "", 9, "without lane 0"},
    {"<lane id=\"0\" type=\"none\"/>", "<lane id=\"1\" type=\"none\"/>", 9, "lane 1 among the lanes on the centre"},
    {"lane id=\"-1\"", "lane id=\"1\"", 10, "lane 1 among the lanes on the right"},
    {"lane id=\"-1\"", "lane id=\"-999\"", 10, "the id of a lane"},
    {"lane id=\"-1\"", "lane id=\"-1.5\"", 10, "the id of a lane"},
    {"</lane></right>", "</lane><lane id=\"-1\" type=\"driving\"/></right>", 12, "lane -1 is there twice"},
    {"unit=\"km/h\"", "unit=\"knots\"", 12, "unit=\"knots\""},
    {"max=\"50\"", "max=\"-50\"", 12, "max=\"-50\" of <speed> is not a speed"},
    // links
    {"road id=\"b\"", "road id=\"a\"", 15, "the id \"a\" is used by two roads"},
    {"elementId=\"b\" contactPoint=\"start\"", "elementId=\"z\" contactPoint=\"start\"", 5,
     "a road's successor names road \"z\", which does not exist"},
    {"elementId=\"a\" contactPoint=\"end\"", "elementId=\"zz\" contactPoint=\"end\"", 16,
     "predecessor names road \"zz\""},
    {"elementId=\"j\"", "elementId=\"k\"", 17, "names junction \"k\""},
    {"junction=\"j\"", "junction=\"k\"", 22, "names junction \"k\""},
    {"incomingRoad=\"b\"", "incomingRoad=\"q\"", 28, "names road \"q\""},
    {"connectingRoad=\"c\"", "connectingRoad=\"q\"", 28, "names road \"q\""},
    {" incomingRoad=\"b\"", "", 28, "no attribute incomingRoad"},
    {"elementId=\"b\" contactPoint=\"start\"", "elementId=\"a\" contactPoint=\"start\"", 4, "which begins or ends"},
    {"elementId=\"b\" contactPoint=\"start\"/></link>",
     "elementId=\"b\" contactPoint=\"start\"/>"
     "<successor elementType=\"road\" elementId=\"b\" contactPoint=\"start\"/></link>",
     5, "a second <successor>"},
    // a road on another one
    {"x=\"98.9\" y=\"7.9\" hdg=\"0.4\"", "x=\"2\" y=\"0\" hdg=\"0\"", 0, ""},
    // documents
    {"<OpenDRIVE>", "<!DOCTYPE OpenDRIVE [<!ENTITY x \"y\">]><OpenDRIVE>", 0, "DOCTYPE"},
    {"</OpenDRIVE>", "", 0, "malformed XML"},
    {"type=\"driving\"", "type=\"driving", 0, "malformed XML"},
};

static void test_edits(void **state) {
    (void)state;
    char *text = good_text();
    nm_scene_destroy(read_roads(text, strlen(text)));
    for (size_t i = 0; i < sizeof edits / sizeof *edits; ++i) {
        const bad *b = &edits[i];
        char *changed = edited(text, b->from, b->to);
        catch c = import_bytes("folder/bad.xodr", changed, strlen(changed));
        if (c.scenes != 0 || c.refusals != 1) fail_msg("accepted: %s -> %s", b->from, b->to);
        if ((b->line && c.refusal.line != b->line) || !strstr(c.refusal.message, b->says) || !c.refusal.message[0])
            fail_msg("%s -> %s: line %lld: %s", b->from, b->to, (long long)c.refusal.line, c.refusal.message);
        assert_string_equal(c.refusal.input, "folder/bad.xodr");
        free(changed);
    }
    free(text);
}

/// Two roads over one another at an angle are a bridge; the same road twice is a mistake.
static void test_overlap(void **state) {
    (void)state;
    static const char road[] =
        "<road id=\"%s\" length=\"80\" junction=\"-1\"><planView><geometry s=\"0\" x=\"%s\" y=\"%s\" hdg=\"%s\" "
        "length=\"80\"><line/></geometry></planView><elevationProfile><elevation s=\"0\" a=\"%s\" b=\"0\" c=\"0\" "
        "d=\"0\"/>"
        "</elevationProfile><lanes><laneSection s=\"0\"><center><lane id=\"0\" type=\"none\"/></center><right>"
        "<lane id=\"-1\" type=\"driving\"><width sOffset=\"0\" a=\"3.5\" b=\"0\" c=\"0\" d=\"0\"/></lane></right>"
        "</laneSection></lanes></road>";
    static const struct {
        const char *x, *y, *hdg, *z;
        int accepted;
    } second[] = {{"0", "0", "0", "0", 0},
                  {"7", "0.1", "0", "0", 0},
                  {"25", "0", "0", "0", 0},
                  {"40", "-40", "1.57", "0", 1},
                  {"0", "0", "0", "6", 1},
                  {"0", "3.5", "0", "0", 1},
                  {"80", "-3.5", "3.14159265", "0", 1},
                  {"70", "0", "0", "0", 1}};
    for (size_t i = 0; i < sizeof second / sizeof *second; ++i) {
        char text[3000] = "<OpenDRIVE><header revMajor=\"1\" revMinor=\"6\"/>\n";
        size_t at = strlen(text);
        at += (size_t)snprintf(text + at, sizeof text - at, road, "a", "0", "0", "0", "0");
        at += (size_t)snprintf(text + at, sizeof text - at, road, "b", second[i].x, second[i].y, second[i].hdg,
                               second[i].z);
        snprintf(text + at, sizeof text - at, "</OpenDRIVE>");
        catch c = import_bytes("a.xodr", text, strlen(text));
        if (c.scenes != second[i].accepted) fail_msg("case %zu: %s", i, c.scenes ? "accepted" : c.refusal.message);
        if (!c.scenes) assert_non_null(strstr(c.refusal.message, "lies on the road in line"));
        nm_scene_destroy(c.scene);
    }
}

/// A ring road is no mistake: it leads back to its start.
static void test_ring(void **state) {
    (void)state;
    static const char text[] =
        "<OpenDRIVE><header revMajor=\"1\" revMinor=\"6\"/><road id=\"r\" length=\"314.159265\" junction=\"-1\"><link>"
        "<predecessor elementType=\"road\" elementId=\"r\" contactPoint=\"end\"/>"
        "<successor elementType=\"road\" elementId=\"r\" contactPoint=\"start\"/></link>"
        "<planView><geometry s=\"0\" x=\"0\" y=\"0\" hdg=\"0\" length=\"314.159265\"><arc "
        "curvature=\"0.02\"/></geometry>"
        "</planView><lanes><laneSection s=\"0\"><center><lane id=\"0\" type=\"none\"/></center><right>"
        "<lane id=\"-1\" type=\"driving\"><link><predecessor id=\"-1\"/><successor id=\"-1\"/></link><width "
        "sOffset=\"0\" "
        "a=\"3.5\" b=\"0\" c=\"0\" d=\"0\"/></lane></right></laneSection><laneSection s=\"100\"><center><lane id=\"0\" "
        "type=\"none\"/></center><right><lane id=\"-1\" type=\"driving\"><link><predecessor id=\"-1\"/><successor "
        "id=\"-1\"/>"
        "</link><width sOffset=\"0\" a=\"3.5\" b=\"0\" c=\"0\" "
        "d=\"0\"/></lane></right></laneSection></lanes></road></OpenDRIVE>";
    const nm_scene *scene = read_roads(text, sizeof text - 1);
    uint32_t count = scene->map->lane_count;
    assert_int_equal(count, 3); // the two sections, and a cut half-way: no lane may follow itself
    for (uint32_t i = 0; i < count; ++i) {
        assert_int_equal(scene->map->lanes[i].successors.count, 1);
        assert_int_equal(scene->map->lane_refs[scene->map->lanes[i].successors.first], (i + 1) % count);
    }
    nm_scene_destroy(scene);
}

/// Thousands of geometries are fine; what they would make of memory is bounded.
static void test_many(void **state) {
    (void)state;
    char *text = malloc(4 << 20), *at = text;
    assert_non_null(text);
    const int count = 20000;
    at += sprintf(
        at, "<OpenDRIVE><header revMajor=\"1\" revMinor=\"6\"/><road id=\"r\" length=\"%d\" junction=\"-1\"><planView>",
        count);
    for (int i = 0; i < count; ++i)
        at +=
            sprintf(at, "<geometry s=\"%d\" x=\"%d\" y=\"0\" hdg=\"0\" length=\"1\"><arc curvature=\"%s\"/></geometry>",
                    i, i, i % 2 ? "0.001" : "-0.001");
    at += sprintf(at,
                  "</planView><lanes><laneSection s=\"0\"><center><lane id=\"0\" type=\"none\"/></center><right><lane "
                  "id=\"-1\" type=\"driving\"><width sOffset=\"0\" a=\"3\" b=\"0\" c=\"0\" d=\"0\"/></lane></right>"
                  "</laneSection></lanes></road></OpenDRIVE>");
    nm_scene_destroy(read_roads(text, (size_t)(at - text)));
    at = text + sprintf(text, "<OpenDRIVE><header revMajor=\"1\" revMinor=\"6\"/>");
    for (int i = 0; i < 3000; ++i)
        at += sprintf(
            at,
            "<road id=\"%d\" length=\"9e5\" junction=\"-1\"><planView><geometry s=\"0\" x=\"0\" y=\"%d\" hdg=\"0\" "
            "length=\"9e5\"><arc curvature=\"0.001\"/></geometry></planView><lanes><laneSection s=\"0\"><center><lane "
            "id=\"0\" type=\"none\"/></center><right><lane id=\"-1\" type=\"driving\"><width sOffset=\"0\" a=\"3\" "
            "b=\"0\" c=\"0\" d=\"0\"/></lane></right></laneSection></lanes></road>",
            i, 10 * i);
    at += sprintf(at, "</OpenDRIVE>");
    catch c = import_bytes("long.xodr", text, (size_t)(at - text));
    assert_int_equal(c.scenes, 0);
    assert_int_equal(c.refusal.code, NM_E_LIMIT);
    free(text);
}

/// Every document cut short is refused.
static void test_cut_short(void **state) {
    (void)state;
    char *text = good_text();
    size_t size = strlen(text) - 2; // the last bytes are the end of the last tag
    for (size_t length = 12; length < size; length += 37) {
        catch c = import_bytes("short.xodr", text, length);
        assert_int_equal(c.scenes, 0);
        assert_int_equal(c.refusals, 1);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edits), cmocka_unit_test(test_overlap),   cmocka_unit_test(test_ring),
        cmocka_unit_test(test_many),  cmocka_unit_test(test_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
