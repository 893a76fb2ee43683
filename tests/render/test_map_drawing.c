/// Maps: every lane has its surface, every border its marking once, crosswalks their stripes.
#include "render/scene_drawing.h"
#include "sim/builtin.h"
#include "sim/scenes.h"

static const nm_theme *theme;

static uint32_t vertices_of(const nm_drawing *d, nm_layer layer) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->triangles_count; i++)
        if (d->triangles[i].layer == layer) count += d->triangles[i].count;
    return count;
}

static double area_of(const nm_drawing *d, nm_layer layer) {
    double sum = 0;
    for (uint32_t i = 0; i < d->triangles_count; i++) {
        if (d->triangles[i].layer != layer) continue;
        for (uint32_t k = 0; k < d->triangles[i].count; k += 3) {
            const nm_vertex *v = d->vertices + d->triangles[i].first + k;
            sum += 0.5 * fabs(((double)v[1].x - v[0].x) * ((double)v[2].y - v[0].y) -
                              ((double)v[1].y - v[0].y) * ((double)v[2].x - v[0].x));
        }
    }
    return sum;
}

/// Strokes of a layer, into `out` of 64.
static uint32_t strokes_of(const nm_drawing *d, nm_layer layer, const nm_stroke **out) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->stroke_count; i++)
        if (d->strokes[i].layer == layer && count < 64) out[count++] = &d->strokes[i];
    return count;
}

static int same_colour(nm_rgba a, nm_rgba b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

static nm_drawing draw(const nm_map *map) {
    nm_drawing d;
    nm_error error;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    nm_draw_map(&d, map, theme);
    assert_int_equal(nm_drawing_check(&d, &error), NM_OK);
    return d;
}

static void every_lane_has_a_surface(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(200);
    nm_drawing d = draw(map);
    assert_int_equal(vertices_of(&d, NM_LAYER_GROUND), 3 * 12); // three lanes of three points
    assert_int_equal(vertices_of(&d, NM_LAYER_CASING), 3 * 12);
    const double ground = area_of(&d, NM_LAYER_GROUND), casing = area_of(&d, NM_LAYER_CASING);
    assert_true(ground > 3 * 3.5 * 200 && ground < 3 * 3.7 * 200);
    assert_true(casing > 3 * 3.7 * 200 && casing < 3 * 4.2 * 200);
    nm_drawing_free(&d);
    nm_map_release(map);
}

static void unknown_markings_show_between_lanes_only(void **state) {
    (void)state;
    const nm_stroke *s[64];
    const nm_map *map = nm_test_road(200);
    nm_drawing d = draw(map);
    assert_int_equal(strokes_of(&d, NM_LAYER_MARKINGS, s), 2); // three lanes: not at the rims
    for (int i = 0; i < 2; i++) assert_true(fabsf(d.points[s[i]->first].y - (1.75f + 3.5f * (float)i)) < 1e-4f);
    nm_drawing_free(&d);
    nm_map_release(map);
}

/// One lane eastwards of `length` m from (x, y), 4 m wide, with borders of its own.
static void add_lane(nm_map_builder *builder, nm_lane_def *def, double x, double y, double length) {
    const nm_point3 left[2] = {{x, y + 2, 0}, {x + length, y + 2, 0}},
                    right[2] = {{x, y - 2, 0}, {x + length, y - 2, 0}};
    nm_error error;
    nm_error_clear(&error);
    def->left = left, def->right = right, def->point_count = 2;
    if (nm_map_builder_add_lane(builder, def, &error) != NM_OK) fail_msg("%s", error.message);
    def->left = def->right = NULL;
}

/// Two lanes beside each other; what each says about the border between them.
static const nm_map *two_lanes(nm_lane_type type, nm_marking right_says, nm_marking left_says, nm_colour colour) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    nm_lane_def right = nm_lane_def_default(), left = nm_lane_def_default();
    nm_neighbour_def to_left = {.lane = 2}, to_right = {.lane = 1};
    right.id = 1, left.id = 2, right.type = left.type = type;
    right.left_neighbours = &to_left, right.left_neighbour_count = 1;
    left.right_neighbours = &to_right, left.right_neighbour_count = 1;
    right.left_marking = right_says, left.right_marking = left_says;
    right.right_marking = left.left_marking = NM_MARKING_NONE;
    right.left_colour = left.right_colour = colour;
    add_lane(builder, &right, 0, 0, 90), add_lane(builder, &left, 0, 4, 90);
    return nm_test_build(builder);
}

static void markings_have_their_patterns(void **state) {
    (void)state;
    static const struct {
        nm_marking marking;
        uint32_t strokes;
        float width;
        int dashed[2]; ///< from the left
    } cases[] = {
        {NM_MARKING_NONE, 0, 0, {0, 0}},
        {NM_MARKING_UNKNOWN, 1, 0.09f, {0, 0}},
        {NM_MARKING_DASHED, 1, 0.12f, {1, 0}},
        {NM_MARKING_SOLID, 1, 0.12f, {0, 0}},
        {NM_MARKING_DOUBLE_SOLID, 2, 0.12f, {0, 0}},
        {NM_MARKING_DOUBLE_DASHED, 2, 0.12f, {1, 1}},
        {NM_MARKING_SOLID_DASHED, 2, 0.12f, {0, 1}},
        {NM_MARKING_DASHED_SOLID, 2, 0.12f, {1, 0}},
        {NM_MARKING_BROAD_DASHED, 1, 0.25f, {1, 0}},
        {NM_MARKING_BROAD_SOLID, 1, 0.25f, {0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int fast = 0; fast < 2; fast++) {
            for (int yellow = 0; yellow < 2; yellow++) {
                const nm_stroke *s[64];
                const nm_map *map = two_lanes(fast ? NM_LANE_FREEWAY : NM_LANE_STREET, cases[i].marking,
                                              cases[i].marking, yellow ? NM_COLOUR_YELLOW : NM_COLOUR_WHITE);
                nm_drawing d = draw(map);
                assert_int_equal(strokes_of(&d, NM_LAYER_MARKINGS, s), cases[i].strokes);
                for (uint32_t k = 0; k < cases[i].strokes; k++) {
                    assert_true(fabsf(s[k]->width - cases[i].width) < 1e-6f && !s[k]->pixels);
                    assert_true(s[k]->dash == (cases[i].dashed[k] ? (fast ? 6 : 3) : 0));
                    assert_true(s[k]->gap == (cases[i].dashed[k] ? (fast ? 12 : 6) : 0));
                    if (cases[i].marking != NM_MARKING_UNKNOWN)
                        assert_true(same_colour(s[k]->colour, yellow ? theme->marking_yellow : theme->marking_white));
                    const float offset = cases[i].strokes == 1 ? 0 : k ? -0.12f : 0.12f; // 0.12 m between them
                    for (uint32_t n = 0; n < s[k]->count; n++)
                        assert_true(fabsf(d.points[s[k]->first + n].y - (2 + offset)) < 1e-4f);
                    assert_true(d.points[s[k]->first].x == 0 && d.points[s[k]->first + s[k]->count - 1].x == 90);
                }
                nm_drawing_free(&d);
                nm_map_release(map);
            }
        }
    }
    const nm_stroke *s[64];
    const nm_map *map = two_lanes(NM_LANE_STREET, NM_MARKING_CURB, NM_MARKING_CURB, NM_COLOUR_WHITE);
    nm_drawing d = draw(map);
    assert_int_equal(strokes_of(&d, NM_LAYER_EDGES, s), 1);
    nm_drawing_free(&d);
    nm_map_release(map);
}

static void who_knows_more_draws_the_border(void **state) {
    (void)state;
    static const nm_marking says[4][3] = {
        {NM_MARKING_DASHED, NM_MARKING_UNKNOWN, NM_MARKING_DASHED},
        {NM_MARKING_UNKNOWN, NM_MARKING_DASHED, NM_MARKING_DASHED},
        {NM_MARKING_NONE, NM_MARKING_DASHED, NM_MARKING_DASHED},
        {NM_MARKING_SOLID, NM_MARKING_DASHED, NM_MARKING_SOLID}, // both do: the lower index
    };
    for (int i = 0; i < 4; i++) {
        const nm_stroke *s[64];
        const nm_map *map = two_lanes(NM_LANE_STREET, says[i][0], says[i][1], NM_COLOUR_WHITE);
        nm_drawing d = draw(map);
        assert_int_equal(strokes_of(&d, NM_LAYER_MARKINGS, s), 1);
        assert_true((s[0]->gap > 0) == (says[i][2] == NM_MARKING_DASHED));
        nm_drawing_free(&d);
        nm_map_release(map);
    }
}

static void partly_shared_borders_leave_no_gap(void **state) {
    (void)state;
    // the left lane begins 30 m further on; it knows the marking of what they share
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    nm_lane_def right = nm_lane_def_default(), left = nm_lane_def_default();
    nm_neighbour_def to_left = {.lane = 1, .self_start = 30, .self_end = 90, .other_start = 0, .other_end = 60};
    nm_neighbour_def to_right = {.lane = 2, .self_start = 0, .self_end = 60, .other_start = 30, .other_end = 90};
    left.id = 1, right.id = 2, right.type = left.type = NM_LANE_STREET;
    right.left_neighbours = &to_left, right.left_neighbour_count = 1;
    left.right_neighbours = &to_right, left.right_neighbour_count = 1;
    right.left_marking = left.right_marking = NM_MARKING_SOLID;
    right.right_marking = left.left_marking = NM_MARKING_NONE;
    add_lane(builder, &left, 30, 4, 90), add_lane(builder, &right, 0, 0, 90);
    const nm_map *map = nm_test_build(builder);
    nm_drawing d = draw(map);
    const nm_stroke *s[64];
    float length = 0;
    const uint32_t count = strokes_of(&d, NM_LAYER_MARKINGS, s);
    assert_int_equal(count, 2);
    for (uint32_t i = 0; i < count; i++) length += d.points[s[i]->first + s[i]->count - 1].x - d.points[s[i]->first].x;
    assert_true(fabsf(length - 120) < 0.01f); // from 0 to 120 m, once
    nm_drawing_free(&d);
    nm_map_release(map);
}

static void dashes_go_on_from_lane_to_lane(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    for (int i = 0; i < 3; i++) {
        nm_lane_def def = nm_lane_def_default();
        const int64_t next = 2 + i;
        def.id = 1 + i, def.type = NM_LANE_STREET, def.left_marking = NM_MARKING_DASHED;
        def.right_marking = NM_MARKING_NONE;
        def.successors = &next, def.successor_count = i < 2;
        add_lane(builder, &def, 40 * i, 0, 40);
    }
    const nm_map *map = nm_test_build(builder);
    nm_drawing d = draw(map);
    const nm_stroke *s[64];
    assert_int_equal(strokes_of(&d, NM_LAYER_MARKINGS, s), 3);
    for (int i = 0; i < 3; i++) assert_true(fabsf(s[i]->phase - fmodf(40.0f * (float)i, 9.0f)) < 1e-3f);
    nm_drawing_free(&d);
    nm_map_release(map);
}

static void crosswalks_have_stripes_and_stop_lines_are_there(void **state) {
    (void)state;
    const nm_builtin_params params = nm_builtin_params_default(NM_BUILTIN_JUNCTION_SIGNAL);
    const nm_map *map = NULL;
    nm_error error;
    assert_int_equal(nm_builtin_map(&params, &map, &error), NM_OK);
    nm_drawing d = draw(map);
    double area = 0;
    for (uint32_t i = 0; i < map->area_count; i++) {
        const nm_vec2 *p = map->area_points + map->areas[i].points.first;
        double twice = 0;
        for (uint32_t k = 0; k < map->areas[i].points.count; k++) {
            const nm_vec2 a = p[k], b = p[(k + 1) % map->areas[i].points.count];
            twice += (double)a.x * b.y - (double)b.x * a.y;
        }
        area += 0.5 * fabs(twice);
    }
    assert_true(area > 50);
    // stripes and the gaps between them are equally wide, and each is as long as the crosswalk is deep
    const double striped = area_of(&d, NM_LAYER_CROSSINGS);
    assert_true(striped > 0.42 * area && striped < 0.58 * area);
    const nm_stroke *s[64];
    assert_int_equal(strokes_of(&d, NM_LAYER_CROSSINGS, s), map->stop_line_count);
    for (uint32_t i = 0; i < map->stop_line_count; i++) {
        assert_true(same_colour(s[i]->colour, theme->stop_line) && s[i]->width == 0.4f);
        assert_true(d.points[s[i]->first].x == map->stop_lines[i].a.x);
    }
    nm_drawing_free(&d);
    nm_map_release(map);
}

static void centrelines_have_arrows(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(200);
    nm_drawing d = draw(map);
    const nm_stroke *s[64];
    assert_int_equal(strokes_of(&d, NM_LAYER_CENTRES, s), 3);
    assert_true(s[0]->pixels == 1);
    const uint32_t arrows = vertices_of(&d, NM_LAYER_CENTRES) / 3;
    assert_int_equal(arrows, 6); // one for each stretch between points of at least 25 m
    for (uint32_t i = 0; i < d.triangles_count; i++) {
        if (d.triangles[i].layer != NM_LAYER_CENTRES) continue;
        for (uint32_t k = 0; k < d.triangles[i].count; k += 3) {
            const nm_vertex *v = d.vertices + d.triangles[i].first + k;
            assert_true(v[2].x > v[0].x && v[2].x > v[1].x); // the tip lies ahead: east
        }
    }
    nm_drawing_free(&d);
    nm_map_release(map);
}

static void all_built_in_maps_are_drawn_within_their_bounds(void **state) {
    (void)state;
    for (int kind = 0; kind < NM_BUILTIN_COUNT; kind++) {
        const nm_builtin_params params = nm_builtin_params_default((nm_builtin_kind)kind);
        const nm_map *map = NULL;
        nm_error error;
        assert_int_equal(nm_builtin_map(&params, &map, &error), NM_OK);
        nm_drawing d = draw(map);
        nm_point least, most;
        assert_true(nm_drawing_bounds(&d, &least, &most));
        assert_true(least.x > map->bounds_min.x - 2 && most.x < map->bounds_max.x + 2);
        assert_true(least.y > map->bounds_min.y - 2 && most.y < map->bounds_max.y + 2);
        uint32_t segments = 0;
        for (uint32_t i = 0; i < map->lane_count; i++) segments += map->lanes[i].points.count - 1;
        uint32_t corners = 0;
        for (uint32_t i = 0; i < map->area_count; i++)
            if (map->areas[i].kind == NM_AREA_DRIVEWAY) corners += map->areas[i].points.count - 2;
        assert_int_equal(vertices_of(&d, NM_LAYER_GROUND), 6 * segments + 3 * corners);
        const nm_drawing before = d;
        nm_drawing_clear(&d);
        nm_draw_map(&d, map, nm_theme_of(NM_THEME_DARK));
        assert_memory_equal(before.capacity, d.capacity, sizeof d.capacity);
        assert_int_equal(before.vertex_count, d.vertex_count);
        nm_drawing_free(&d);
        nm_map_release(map);
    }
}

static int set_theme(void **state) {
    (void)state;
    theme = nm_theme_of(NM_THEME_DAY);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_lane_has_a_surface),
        cmocka_unit_test(unknown_markings_show_between_lanes_only),
        cmocka_unit_test(markings_have_their_patterns),
        cmocka_unit_test(who_knows_more_draws_the_border),
        cmocka_unit_test(partly_shared_borders_leave_no_gap),
        cmocka_unit_test(dashes_go_on_from_lane_to_lane),
        cmocka_unit_test(crosswalks_have_stripes_and_stop_lines_are_there),
        cmocka_unit_test(centrelines_have_arrows),
        cmocka_unit_test(all_built_in_maps_are_drawn_within_their_bounds),
    };
    return cmocka_run_group_tests(tests, set_theme, NULL);
}
