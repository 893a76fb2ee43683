/// The OpenDRIVE reader: every geometry against closed formulas or other ones, links of all kinds, what rules lanes,
/// and the files of other people.
#include "opendrive_support.h"

#include <unistd.h>

#define HEAD "<?xml version=\"1.0\"?>\n<OpenDRIVE><header revMajor=\"1\" revMinor=\"6\"/>\n"
#define LANES(left, right)                                                                                             \
    "<lanes><laneSection s=\"0\"><left>" left "</left><center><lane id=\"0\" type=\"none\">"                           \
    "<roadMark sOffset=\"0\" type=\"solid broken\" color=\"yellow\"/></lane></center>"                                 \
    "<right>" right "</right></laneSection></lanes>"
#define LANE(id, type, more)                                                                                           \
    "<lane id=\"" id "\" type=\"" type "\"><width sOffset=\"0\" a=\"3.5\" b=\"0\" c=\"0\" d=\"0\"/>" more "</lane>"
#define ONE_LANE                                                                                                       \
    "<lanes><laneSection s=\"0\"><center><lane id=\"0\" type=\"none\"/></center><right>" LANE(                         \
        "-1", "driving", "") "</right></laneSection></lanes>"
#define ROAD(id, more, length, shape, rest)                                                                            \
    "<road id=\"" id "\" length=\"" length "\" junction=\"-1\"" more                                                   \
    "><planView><geometry s=\"0\" x=\"10\" y=\"20\" hdg=\"0.3\" length=\"" length "\">" shape                          \
    "</geometry></planView>" rest "</road>"

static const nm_scene *read_text_roads(const char *text) {
    return read_roads(text, strlen(text));
}

static nm_vec2 on_map(const nm_map *map, double x, double y) {
    return (nm_vec2){(float)(x - map->origin.x), (float)(y - map->origin.y)};
}

/// The left border of the only lane is the reference line. It must pass within 5 mm of the point at s of a curve whose
/// curvature is k(s) = k0 + k1 s, walked in steps of 0.1 mm.
static void expect_clothoid(const char *shape, double length, double k0, double k1) {
    char text[3000];
    snprintf(text, sizeof text,
             HEAD "<road id=\"1\" length=\"%.9f\" junction=\"-1\"><planView><geometry s=\"0\" x=\"10\" "
                  "y=\"20\" hdg=\"0.3\" length=\"%.9f\">%s</geometry></planView>" ONE_LANE "</road></OpenDRIVE>",
             length, length, shape);
    const nm_scene *scene = read_text_roads(text);
    const nm_map *map = scene->map;
    assert_int_equal(map->lane_count, 1);
    const double step = 1e-4;
    double x = 10.0, y = 20.0, worst = 0.0;
    const long count = (long)(length / step);
    for (long i = 0; i < count; ++i) {
        double s = ((double)i + 0.5) * step, h = 0.3 + k0 * s + 0.5 * k1 * s * s;
        x += step * cos(h);
        y += step * sin(h);
        if (i % 997) continue;
        nm_vec2 p = on_map(map, x, y);
        worst = fmax(worst, to_line((double)p.x, (double)p.y, map->left, map->lanes[0].points));
    }
    nm_vec2 end = on_map(map, x, y), last = map->left[map->lanes[0].points.count - 1];
    assert_float_equal(end.x, last.x, 0.002);
    assert_float_equal(end.y, last.y, 0.002);
    double heading = 0.3 + k0 * length + 0.5 * k1 * length * length;
    nm_vec2 outer = map->right[map->lanes[0].points.count - 1];
    assert_float_equal(outer.x, (double)end.x + 3.5 * sin(heading), 0.003);
    assert_float_equal(outer.y, (double)end.y - 3.5 * cos(heading), 0.003);
    if (!(worst < 0.005)) fail_msg("%s is %.4f m off", shape, worst);
    // 3.5 m to the right all along
    for (uint32_t i = 0; i < map->lanes[0].points.count; ++i)
        assert_float_equal(
            hypot((double)(map->left[i].x - map->right[i].x), (double)(map->left[i].y - map->right[i].y)), 3.5, 1e-4);
    nm_scene_destroy(scene);
}

static void test_lines_arcs_spirals(void **state) {
    (void)state;
    expect_clothoid("<line/>", 120.0, 0.0, 0.0);
    expect_clothoid("<arc curvature=\"0.02\"/>", 100.0, 0.02, 0.0);
    expect_clothoid("<arc curvature=\"-0.1\"/>", 60.0, -0.1, 0.0);
    expect_clothoid("<spiral curvStart=\"0\" curvEnd=\"0.05\"/>", 80.0, 0.0, 0.05 / 80.0);
    expect_clothoid("<spiral curvStart=\"0.1\" curvEnd=\"-0.1\"/>", 50.0, 0.1, -0.2 / 50.0);
    expect_clothoid("<spiral curvStart=\"-1e-05\" curvEnd=\"0\"/>", 200.0, -1e-5, 1e-5 / 200.0);
}

/// v = a + b u + ... in the frame of the start, whatever the form it is written in; `end` is u at the end.
static void expect_cubic(const char *shape, double length, const double c[4], double end) {
    char text[3000];
    snprintf(text, sizeof text,
             HEAD "<road id=\"1\" length=\"%.9f\" junction=\"-1\"><planView><geometry s=\"0\" x=\"10\" "
                  "y=\"20\" hdg=\"0.3\" length=\"%.9f\">%s</geometry></planView>" ONE_LANE "</road></OpenDRIVE>",
             length, length, shape);
    const nm_scene *scene = read_text_roads(text);
    const nm_map *map = scene->map;
    for (int i = 0; i <= 50; ++i) {
        double u = end * i / 50, v = c[0] + u * (c[1] + u * (c[2] + u * c[3]));
        nm_vec2 p = on_map(map, 10.0 + u * cos(0.3) - v * sin(0.3), 20.0 + u * sin(0.3) + v * cos(0.3));
        double off = to_line((double)p.x, (double)p.y, map->left, map->lanes[0].points);
        if (!(off < 0.005)) fail_msg("%s: %.4f m off at u = %.2f", shape, off, u);
    }
    nm_scene_destroy(scene);
}

static double cubic_length(const double c[4], double end) {
    double length = 0.0;
    for (int i = 0; i < 100000; ++i) {
        double u = end * (i + 0.5) / 100000;
        double slope = c[1] + u * (2.0 * c[2] + u * 3.0 * c[3]);
        length += end / 100000 * sqrt(1.0 + slope * slope);
    }
    return length;
}

static void test_cubics(void **state) {
    (void)state;
    const double c[4] = {0.0, 0.1, 0.02, -0.0004};
    double length = cubic_length(c, 40.0);
    char shape[400];
    expect_cubic("<poly3 a=\"0\" b=\"0.1\" c=\"0.02\" d=\"-0.0004\"/>", length, c, 40.0);
    // u = 40 p
    expect_cubic("<paramPoly3 pRange=\"normalized\" aU=\"0\" bU=\"40\" cU=\"0\" dU=\"0\" aV=\"0\" bV=\"4\" cV=\"32\" "
                 "dV=\"-25.6\"/>",
                 length, c, 40.0);
    expect_cubic("<paramPoly3 aU=\"0\" bU=\"40\" cU=\"0\" dU=\"0\" aV=\"0\" bV=\"4\" cV=\"32\" dV=\"-25.6\"/>", length,
                 c,
                 40.0); // 1.4: no pRange
    // u = k p, so that p is the length at the end
    double k = 40.0 / length;
    snprintf(
        shape, sizeof shape,
        "<paramPoly3 pRange=\"arcLength\" aU=\"0\" bU=\"%.12g\" cU=\"0\" dU=\"0\" aV=\"0\" bV=\"%.12g\" cV=\"%.12g\" "
        "dV=\"%.12g\"/>",
        k, c[1] * k, c[2] * k * k, c[3] * k * k * k);
    expect_cubic(shape, length, c, 40.0);
}

// --- lanes -----------------------------------------------------------------------------------------------------------

static const nm_lane *lane_at(const nm_map *map, uint32_t i) {
    assert_true(i < map->lane_count);
    return &map->lanes[i];
}

static void test_directions_and_marks(void **state) {
    (void)state;
    const char *lanes =
        LANES(LANE("1", "driving", "<roadMark sOffset=\"0\" type=\"broken solid\"/>"),
              LANE("-1", "driving", "<roadMark sOffset=\"0\" type=\"broken\" weight=\"bold\" color=\"white\"/>")
                  LANE("-2", "biking", "<roadMark sOffset=\"0\" type=\"curb\"/>"));
    for (int left_hand = 0; left_hand < 2; ++left_hand) {
        char text[4000];
        snprintf(text, sizeof text,
                 HEAD
                 "<road id=\"a\" length=\"50\" junction=\"-1\" rule=\"%s\"><planView><geometry "
                 "s=\"0\" x=\"0\" y=\"0\" hdg=\"0\" length=\"50\"><line/></geometry></planView>%s</road></OpenDRIVE>",
                 left_hand ? "LHT" : "RHT", lanes);
        const nm_scene *scene = read_text_roads(text);
        const nm_map *map = scene->map;
        assert_int_equal(map->lane_count, 3);
        const nm_lane *oncoming = lane_at(map, 0), *own = lane_at(map, 1), *bike = lane_at(map, 2);
        // right-hand traffic drives lane -1 with s, to the east
        float east = map->centre[own->points.first + own->points.count - 1].x - map->centre[own->points.first].x;
        assert_true(left_hand ? east < -49.0f : east > 49.0f);
        assert_int_equal(bike->type, NM_LANE_BIKE);
        assert_int_equal(own->left.count, 1);
        const nm_neighbour *beside = &map->neighbours[own->left.first];
        assert_int_equal(beside->lane, left_hand ? 2 : 0);
        assert_int_equal(beside->opposite, !left_hand);
        if (!left_hand) {
            // the centre's pair is solid on the left, seen along the road; pairs of lanes are named from inside
            assert_int_equal(own->left_marking, NM_MARKING_SOLID_DASHED);
            assert_int_equal(oncoming->left_marking, NM_MARKING_DASHED_SOLID);
            assert_int_equal(own->left_colour, NM_COLOUR_YELLOW);
            assert_int_equal(own->right_marking, NM_MARKING_BROAD_DASHED);
            assert_int_equal(oncoming->right_marking, NM_MARKING_DASHED_SOLID);
            assert_int_equal(bike->right_marking, NM_MARKING_CURB);
        } else {
            assert_int_equal(own->left_marking, NM_MARKING_BROAD_DASHED);
            assert_int_equal(oncoming->left_marking, NM_MARKING_SOLID_DASHED);
        }
        nm_scene_destroy(scene);
    }
}

/// A lane that opens beside another, a solid line before the end, and a limit: what changes cuts, what does not joins.
static void test_sections(void **state) {
    (void)state;
    const char *text = HEAD
        "<road id=\"x\" length=\"100\" junction=\"-1\"><type s=\"0\" type=\"town\"><speed max=\"50\" "
        "unit=\"km/h\"/></type>"
        "<planView><geometry s=\"0\" x=\"0\" y=\"0\" hdg=\"0\" length=\"100\"><line/></geometry></planView>"
        "<elevationProfile><elevation s=\"0\" a=\"5\" b=\"0.02\" c=\"0\" d=\"0\"/></elevationProfile><lanes>"
        "<laneOffset s=\"0\" a=\"1\" b=\"0\" c=\"0\" d=\"0\"/>"
        "<laneSection s=\"0\"><center><lane id=\"0\" type=\"none\"/></center><right>"
        "<lane id=\"-1\" type=\"driving\"><link><successor id=\"-1\"/></link><width sOffset=\"0\" a=\"3\" b=\"0\" "
        "c=\"0\" "
        "d=\"0\"/></lane></right></laneSection>"
        "<laneSection s=\"40\"><center><lane id=\"0\" type=\"none\"/></center><right>"
        "<lane id=\"-2\" type=\"driving\"><width sOffset=\"0\" a=\"0\" b=\"0.15\" c=\"0\" d=\"0\"/>"
        "<width sOffset=\"20\" a=\"3\" b=\"0\" c=\"0\" d=\"0\"/><speed sOffset=\"0\" max=\"30\" unit=\"mph\"/></lane>"
        "<lane id=\"-1\" type=\"driving\"><link><predecessor id=\"-1\"/></link><width sOffset=\"0\" a=\"3\" b=\"0\" "
        "c=\"0\" "
        "d=\"0\"/><roadMark sOffset=\"30\" type=\"solid\"/></lane></right></laneSection></lanes></road></OpenDRIVE>";
    const nm_scene *scene = read_text_roads(text);
    const nm_map *map = scene->map;
    // -1 is one lane through both sections up to s = 70, where a line begins between it and -2, and one from there on
    assert_int_equal(map->lane_count, 4);
    const nm_lane *through = lane_at(map, 0), *opening = lane_at(map, 1), *after = lane_at(map, 2);
    assert_float_equal(through->length, 70.0f, 0.01f);
    assert_int_equal(through->right_marking, NM_MARKING_UNKNOWN);
    assert_int_equal(after->right_marking, NM_MARKING_SOLID);
    assert_int_equal(through->successors.count, 1);
    assert_int_equal(map->lane_refs[through->successors.first], 2);
    assert_int_equal(opening->successors.count, 1);
    assert_float_equal(through->speed_limit, 50.0 / 3.6, 1e-4);
    assert_float_equal(opening->speed_limit, 30.0 * 0.44704, 1e-4);
    assert_float_equal(map->left[0].y + (float)map->origin.y, 1.0, 1e-4);
    assert_float_equal((double)map->z[0] + map->origin.z, 5.0, 1e-3);
    assert_float_equal((double)map->z[after->points.first + after->points.count - 1] + map->origin.z, 7.0, 1e-3);
    assert_int_equal(through->right.count, 1);
    const nm_neighbour *beside = &map->neighbours[through->right.first];
    assert_int_equal(beside->lane, 1);
    assert_true(beside->may_change);
    assert_float_equal(beside->self_start, 60.0, 0.01); // where the lane has its width
    assert_float_equal(beside->self_end, 70.0, 0.01);
    assert_float_equal(beside->other_start, 20.0, 1.0);
    assert_false(map->neighbours[after->right.first].may_change);
    nm_scene_destroy(scene);
}

// --- files -----------------------------------------------------------------------------------------------------------

typedef struct known_file {
    const char *name;
    uint32_t lanes, signals;
} known_file;
static const known_file files[] = {
    {"curve_road_mixed.xodr", 6, 0},
    {"fabriksgatan_mixed_id_types.xodr", 32, 0},
    {"highway_example_with_merge_and_split.xodr", 33, 0},
    {"lane_width_and_offset.xodr", 1, 0},
    {"multi_intersections.xodr", 209, 34},
    {"simple_4way_intersection.xodr", 20, 0},
    {"straight_highway_500m.xodr", 6, 0},
};

/// Border points that the evaluator finds lie on a border of some lane; 0 when Python is missing.
static uint32_t compare_with_evaluator(const char *path, const nm_map *map) {
    char command[900], line[400], road[100];
    snprintf(command, sizeof command, "python3 '" NM_SOURCE_DIR "/tests/dataset/evaluate_opendrive.py' '%s' 9", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    uint32_t rows = 0;
    while (fgets(line, sizeof line, pipe)) {
        int section, lane_id;
        double s, p[4];
        assert_int_equal(
            sscanf(line, "%99[^,],%d,%d,%lf,%lf,%lf,%lf,%lf", road, &section, &lane_id, &s, &p[0], &p[1], &p[2], &p[3]),
            8);
        if (hypot(p[2] - p[0], p[3] - p[1]) < 0.05) continue; // a lane that is not there yet
        double best = INFINITY;
        for (uint32_t i = 0; i < map->lane_count && best > 0.01; ++i) {
            const nm_lane *lane = &map->lanes[i];
            double off[2][2];
            for (int k = 0; k < 2; ++k) {
                nm_vec2 q = on_map(map, p[2 * k], p[2 * k + 1]);
                off[k][0] = to_line((double)q.x, (double)q.y, map->left, lane->points);
                off[k][1] = to_line((double)q.x, (double)q.y, map->right, lane->points);
            }
            best = fmin(best, fmin(fmax(off[0][0], off[1][1]), fmax(off[0][1], off[1][0])));
        }
        if (!(best < 0.01)) fail_msg("%s: road %s, lane %d, s = %.2f: %.4f m off", path, road, lane_id, s, best);
        ++rows;
    }
    assert_int_equal(pclose(pipe), 0);
    return rows;
}

static void test_files(void **state) {
    (void)state;
    int python = system("python3 -c 0") == 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        char relative[200], path[600];
        size_t size;
        snprintf(relative, sizeof relative, "data/opendrive/%s", files[i].name);
        if (!nm_test_have(path, sizeof path, relative)) skip();
        char *text = read_text(path, &size);
        const nm_scene *scene = read_roads(text, size);
        assert_int_equal(scene->map->lane_count, files[i].lanes);
        assert_int_equal(scene->map->signal_count, files[i].signals);
        assert_int_equal(scene->track_count, 0);
        assert_int_equal(scene->step_count, 1);
        assert_string_equal(scene->provenance.source, "opendrive");
        uint32_t counts[NM_ISSUE_COUNT];
        nm_scene_validate(scene, NULL, 0, counts);
        assert_int_equal(counts[NM_ISSUE_DISCONNECTED], 0);
        assert_int_equal(counts[NM_ISSUE_REPAIRED], 0);
        assert_int_equal(counts[NM_ISSUE_KINK], 0);
        if (python) assert_true(compare_with_evaluator(path, scene->map) >= 2);
        nm_scene_destroy(scene);
        free(text);
    }
    if (!python) printf("the evaluator was left out: there is no python3\n");
}

/// A crossing of two-way roads: every arm leads to the three others.
static void test_junction_graph(void **state) {
    (void)state;
    char path[600];
    size_t size;
    if (!nm_test_have(path, sizeof path, "data/opendrive/simple_4way_intersection.xodr")) skip();
    char *text = read_text(path, &size);
    const nm_scene *scene = read_roads(text, size);
    const nm_map *map = scene->map;
    uint32_t arms_in = 0, arms_out = 0, inside = 0;
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        const nm_lane *lane = &map->lanes[i];
        if (lane->junction != NM_NONE) {
            ++inside;
            assert_int_equal(lane->successors.count, 1);
            assert_int_equal(lane->predecessors.count, 1);
            continue;
        }
        arms_in += lane->successors.count == 3;
        arms_out += lane->predecessors.count == 3;
    }
    assert_int_equal(map->junction_count, 1);
    assert_int_equal(inside, 12);
    assert_int_equal(arms_in, 4);
    assert_int_equal(arms_out, 4);
    nm_scene_destroy(scene);
    free(text);
}

static void test_detection(void **state) {
    (void)state;
    static const struct {
        const char *head;
        nm_format format;
    } heads[] = {
        {"<OpenDRIVE>", NM_FORMAT_OPENDRIVE},
        {"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- <commonRoad> -->\n<OpenDRIVE xmlns=\"x\">", NM_FORMAT_OPENDRIVE},
        {"<x:OpenDRIVE/>", NM_FORMAT_OPENDRIVE},
        {"<OpenDRIVEN>", NM_FORMAT_COMMONROAD},
        {"<!-- OpenDRIVE --><commonRoad>", NM_FORMAT_COMMONROAD},
        {"<?xml version=\"1.0\"?", NM_FORMAT_COMMONROAD},
        {"OpenDRIVE", NM_FORMAT_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; ++i)
        assert_int_equal(nm_detect_format(heads[i].head, strlen(heads[i].head)), heads[i].format);
    static const char wide[] = "\xff\xfe<\0O\0p\0e\0n\0D\0R\0I\0V\0E\0>\0";
    assert_int_equal(nm_detect_format(wide, sizeof wide - 1), NM_FORMAT_OPENDRIVE);
}

// --- heights ---------------------------------------------------------------------------------------------------------

#define HEIGHTS                                                                                                        \
    "<elevationProfile><elevation s=\"0\" a=\"5\" b=\"0.02\" c=\"0\" d=\"0\"/>"                                        \
    "<elevation s=\"60\" a=\"6.2\" b=\"0.02\" c=\"-0.001\" d=\"0.00001\"/></elevationProfile>"
#define LEANING                                                                                                        \
    "<lateralProfile><superelevation s=\"0\" a=\"0.05\" b=\"0.004\" c=\"0\" d=\"0\"/>"                                 \
    "<superelevation s=\"50\" a=\"0.25\" b=\"-0.01\" c=\"0.0001\" d=\"-0.000001\"/>%s</lateralProfile>"

/// By the standard's formulas: the road leans about its reference line, its left side up where that is positive.
static double roll_at(double s, double scale) {
    double ds = s - 50.0;
    return scale * (s < 50.0 ? 0.05 + 0.004 * s : 0.25 - 0.01 * ds + 0.0001 * ds * ds - 0.000001 * ds * ds * ds);
}

static double height_at(double s) {
    double ds = s - 60.0;
    return s < 60.0 ? 5.0 + 0.02 * s : 6.2 + 0.02 * ds - 0.001 * ds * ds + 0.00001 * ds * ds * ds;
}

/// Heading 0.3 from (10, 20): the place at s, t before it leans.
static void expect_beside(const nm_map *map, nm_vec2 p, double s, double t, double roll) {
    double across = t * cos(roll);
    nm_vec2 wanted = on_map(map, 10.0 + s * cos(0.3) - across * sin(0.3), 20.0 + s * sin(0.3) + across * cos(0.3));
    assert_float_equal(p.x, wanted.x, 1e-4);
    assert_float_equal(p.y, wanted.y, 1e-4);
}

/// Borders from t0 to t1, from left to right as they are driven.
static void expect_leaning_lane(const nm_map *map, const nm_lane *lane, double t0, double t1, double scale) {
    double last = -1.0;
    for (uint32_t i = lane->points.first; i < lane->points.first + lane->points.count; ++i) {
        double s = ((double)map->left[i].x + map->origin.x - 10.0) * cos(0.3) +
                   ((double)map->left[i].y + map->origin.y - 20.0) * sin(0.3);
        double roll = roll_at(s, scale);
        expect_beside(map, map->left[i], s, t0, roll);
        expect_beside(map, map->right[i], s, t1, roll);
        assert_float_equal((double)map->z[i] + map->origin.z, height_at(s) + 0.5 * (t0 + t1) * sin(roll), 1e-3);
        if (last >= 0.0) assert_true(fabs(s - last) > 1e-3);
        last = s;
    }
    // between the points, too, heights are those of the formulas
    for (uint32_t i = lane->points.first; i + 1 < lane->points.first + lane->points.count; ++i) {
        double x = 0.5 * ((double)map->left[i].x + (double)map->left[i + 1].x) + map->origin.x - 10.0;
        double y = 0.5 * ((double)map->left[i].y + (double)map->left[i + 1].y) + map->origin.y - 20.0;
        double s = x * cos(0.3) + y * sin(0.3), z = 0.5 * ((double)map->z[i] + (double)map->z[i + 1]) + map->origin.z;
        assert_float_equal(z, height_at(s) + 0.5 * (t0 + t1) * sin(roll_at(s, scale)), 0.025);
    }
}

static const nm_scene *leaning_road(const char *lateral) {
    char text[6000];
    snprintf(text, sizeof text, "%s%s%s%s</road></OpenDRIVE>",
             HEAD "<road id=\"1\" length=\"120\" junction=\"-1\"><planView><geometry s=\"0\" x=\"10\" y=\"20\" "
                  "hdg=\"0.3\" length=\"120\"><line/></geometry></planView>" HEIGHTS,
             lateral, LANES(LANE("1", "driving", ""), LANE("-1", "driving", "") LANE("-2", "biking", "")), "");
    return read_text_roads(text);
}

static void test_superelevation(void **state) {
    (void)state;
    char lateral[1000];
    snprintf(lateral, sizeof lateral, LEANING, "");
    const nm_scene *scene = leaning_road(lateral);
    const nm_map *map = scene->map;
    assert_int_equal(map->lane_count, 3);
    expect_leaning_lane(map, &map->lanes[0], 0.0, 3.5, 1.0); // against s: its left border is the reference line
    expect_leaning_lane(map, &map->lanes[1], 0.0, -3.5, 1.0);
    expect_leaning_lane(map, &map->lanes[2], -3.5, -7.0, 1.0);
    // the point at s = 50 by hand: roll 0.25, z 6; the lane -2 lies lower, and nearer seen from above
    uint32_t at = map->lanes[2].points.first;
    while (hypot((double)map->left[at].x + map->origin.x - 10.0, (double)map->left[at].y + map->origin.y - 20.0) < 50.0)
        ++at;
    assert_float_equal((double)map->z[at] + map->origin.z, 6.0 - 5.25 * 0.247404, 1e-3);
    assert_float_equal(
        hypot((double)(map->left[at].x - map->right[at].x), (double)(map->left[at].y - map->right[at].y)),
        3.5 * 0.968912, 1e-3);
    nm_scene_destroy(scene);
}

/// Without it the road is level across; crossfall and shape change neither places nor the heights of lanes.
static void test_level(void **state) {
    (void)state;
    const nm_scene *plain = leaning_road("");
    const nm_scene *falling =
        leaning_road("<lateralProfile><crossfall side=\"both\" s=\"0\" a=\"0.03\" b=\"0\" c=\"0\" d=\"0\"/><shape "
                     "s=\"0\" t=\"-4\" a=\"0.1\" b=\"0.02\" c=\"0\" d=\"0\"/></lateralProfile>");
    const nm_map *map = plain->map;
    expect_leaning_lane(map, &map->lanes[0], 0.0, 3.5, 0.0);
    expect_leaning_lane(map, &map->lanes[2], -3.5, -7.0, 0.0);
    assert_int_equal(map->hash, falling->map->hash);
    nm_scene_destroy(falling);
    nm_scene_destroy(plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_arcs_spirals),
        cmocka_unit_test(test_cubics),
        cmocka_unit_test(test_directions_and_marks),
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_superelevation),
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_junction_graph),
        cmocka_unit_test(test_detection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
