/// Drawings: what is added lies there, what is not finite does not, polygons keep their area, memory is kept.
#include "render/dice.h"
#include "render/drawing.h"
#include "support.h"

static const nm_rgba red = {200, 10, 20, 255};

static double triangles_area(const nm_drawing *d) {
    double sum = 0;
    for (uint32_t i = 0; i < d->vertex_count; i += 3) {
        const nm_vertex *v = d->vertices + i;
        sum += fabs(((double)v[1].x - v[0].x) * ((double)v[2].y - v[0].y) -
                    ((double)v[1].y - v[0].y) * ((double)v[2].x - v[0].x));
    }
    return 0.5 * sum;
}

static double polygon_area(const nm_point *p, uint32_t count) {
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        const nm_point a = p[i], b = p[(i + 1) % count];
        sum += ((double)a.x - p[0].x) * ((double)b.y - p[0].y) - ((double)b.x - p[0].x) * ((double)a.y - p[0].y);
    }
    return fabs(0.5 * sum);
}

/// A polygon that is simple because its corners go round the middle: star-shaped, with deep notches.
static uint32_t random_polygon(dice *rng, float cx, float cy, nm_point *p) {
    const uint32_t count = 8 + dice_below(rng, 56); // so many that no gap is over half a turn
    const int clockwise = dice_below(rng, 2) == 1;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t k = clockwise ? count - 1 - i : i;
        const float angle = 6.2831853f * ((float)k + 0.8f * dice_roll(rng)) / (float)count;
        const float radius = 1.0f + 20.0f * dice_roll(rng);
        p[i] = (nm_point){cx + radius * cosf(angle), cy + radius * sinf(angle), 0};
    }
    return count;
}

/// A comb: long teeth, not star-shaped. `teeth` at most 30.
static uint32_t comb(uint32_t teeth, nm_point *p) {
    uint32_t n = 0;
    p[n++] = (nm_point){0, 0, 0};
    p[n++] = (nm_point){(float)(2 * teeth), 0, 0};
    for (uint32_t i = teeth; i > 0; i--) {
        p[n++] = (nm_point){(float)(2 * i), 10, 0};
        p[n++] = (nm_point){(float)(2 * i) - 0.5f, 10, 0};
        p[n++] = (nm_point){(float)(2 * i) - 1.0f, 1, 0};
    }
    return n;
}

static void polygons_are_filled_exactly(void **state) {
    (void)state;
    dice rng = dice_of(11);
    nm_drawing d;
    nm_point p[128];
    nm_drawing_init(&d, NM_SPACE_WORLD);
    for (int i = 0; i < 2000; i++) {
        // without overlap and holes the areas add up to the polygon's; far away coordinates have 1/16 m steps
        const float far = i % 4 == 3 ? 400000.0f : 0.0f;
        const uint32_t count = i % 5 == 4 ? comb(1 + (uint32_t)i % 30, p) : random_polygon(&rng, far, -far, p);
        nm_drawing_clear(&d);
        nm_draw_polygon(&d, NM_LAYER_GROUND, p, count, red);
        assert_int_equal(d.vertex_count, 3 * (count - 2));
        const double expected = polygon_area(p, count);
        if (far == 0 && fabs(triangles_area(&d) - expected) > 1e-4 * expected + 1e-4)
            fail_msg("polygon %d of %u corners: %g instead of %g m^2", i, count, triangles_area(&d), expected);
    }
    nm_drawing_free(&d);
}

static void triangles_of_a_polygon_do_not_overlap(void **state) {
    (void)state;
    nm_drawing d;
    nm_point p[128];
    nm_drawing_init(&d, NM_SPACE_WORLD);
    const uint32_t count = comb(6, p);
    nm_draw_polygon(&d, NM_LAYER_GROUND, p, count, red);
    // between two teeth: outside; in a tooth: inside exactly one triangle
    const float inside[2] = {11.8f, 5.0f}, outside[2] = {11.05f, 5.0f};
    int hits[2] = {0, 0};
    for (uint32_t i = 0; i < d.vertex_count; i += 3) {
        for (int which = 0; which < 2; which++) {
            const float *q = which ? outside : inside;
            int left = 0;
            for (int k = 0; k < 3; k++) {
                const nm_vertex a = d.vertices[i + (uint32_t)k], b = d.vertices[i + (uint32_t)(k + 1) % 3];
                left += (b.x - a.x) * (q[1] - a.y) - (b.y - a.y) * (q[0] - a.x) > 0;
            }
            hits[which] += left == 0 || left == 3;
        }
    }
    assert_int_equal(hits[0], 1);
    assert_int_equal(hits[1], 0);
    nm_drawing_free(&d);
}

static void strange_polygons_end(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    const nm_point same[5] = {{1, 1, 0}, {1, 1, 0}, {1, 1, 0}, {1, 1, 0}, {1, 1, 0}};
    const nm_point line[4] = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}, {3, 0, 0}};
    const nm_point bow[4] = {{0, 0, 0}, {2, 2, 0}, {2, 0, 0}, {0, 2, 0}};
    const nm_point star[5] = {{0, 3, 0}, {2, -3, 0}, {-3, 1, 0}, {3, 1, 0}, {-2, -3, 0}};
    nm_draw_polygon(&d, NM_LAYER_GROUND, same, 5, red);
    nm_draw_polygon(&d, NM_LAYER_GROUND, line, 4, red);
    nm_draw_polygon(&d, NM_LAYER_GROUND, bow, 4, red);
    nm_draw_polygon(&d, NM_LAYER_GROUND, star, 5, red);
    assert_int_equal(d.vertex_count, 3 * (3 + 2 + 2 + 3));
    nm_draw_polygon(&d, NM_LAYER_GROUND, line, 2, red);
    assert_int_equal(d.vertex_count, 30);
    nm_drawing_free(&d);
}

static void what_is_not_finite_is_left_out(void **state) {
    (void)state;
    const float bad[3] = {NAN, INFINITY, -INFINITY};
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    for (int i = 0; i < 3; i++) {
        const nm_point p[4] = {{0, 0, 0}, {1, 0, 0}, {1, bad[i], 0}, {0, 1, 0}};
        const nm_point q[4] = {{0, 2, 0}, {1, 2, 0}, {1, 3, bad[i]}, {0, 3, 0}};
        const nm_point good[2] = {{0, 0, 0}, {1, 1, 0}};
        nm_draw_polygon(&d, NM_LAYER_GROUND, p, 4, red);
        nm_draw_band(&d, NM_LAYER_GROUND, p, q, 4, red);
        nm_draw_triangle(&d, NM_LAYER_GROUND, p[0], p[1], p[2], red);
        nm_draw_rectangle(&d, NM_LAYER_GROUND, 0, 0, bad[i], 1, red);
        nm_draw_disc(&d, NM_LAYER_GROUND, p[0], bad[i], red);
        nm_draw_disc(&d, NM_LAYER_GROUND, p[2], 1, red);
        nm_draw_stroke(&d, p, 4, (nm_stroke){.width = 1});
        nm_draw_stroke(&d, good, 2, (nm_stroke){.width = bad[i]});
        nm_draw_stroke(&d, good, 2, (nm_stroke){.width = 1, .dash = 1, .gap = bad[i]});
        nm_draw_box(&d, &(nm_box_body){.x = bad[i], .length = 4, .width = 2});
        nm_draw_box(&d, &(nm_box_body){.heading = bad[i], .length = 4, .width = 2});
        nm_draw_box(&d, &(nm_box_body){.length = bad[i], .width = 2});
        nm_draw_label(&d, (nm_label){.y = bad[i], .size = 10}, "here");
        nm_draw_label(&d, (nm_label){.size = bad[i]}, "here");
    }
    assert_int_equal(d.vertex_count + d.point_count + d.box_count + d.label_count, 0);
    nm_point least, most;
    assert_int_equal(nm_drawing_bounds(&d, &least, &most), 0);
    nm_error error;
    assert_int_equal(nm_drawing_check(&d, &error), NM_OK);
    nm_drawing_free(&d);
}

static void runs_of_one_layer_are_one(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    nm_draw_rectangle(&d, NM_LAYER_GROUND, 0, 0, 1, 1, red);
    nm_draw_rectangle(&d, NM_LAYER_GROUND, 2, 0, 3, 1, red);
    nm_draw_rectangle(&d, NM_LAYER_PANEL, 0, 0, 1, 1, red);
    nm_draw_rectangle(&d, NM_LAYER_GROUND, 4, 0, 5, 1, red);
    assert_int_equal(d.triangles_count, 3);
    assert_int_equal(d.triangles[0].count, 12);
    assert_int_equal(d.triangles[1].layer, NM_LAYER_PANEL);
    assert_int_equal(d.triangles[2].first, 18);
    nm_drawing_free(&d);
}

static void a_band_lies_between_its_lines(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    const nm_point left[3] = {{0, 2, 0}, {5, 3, 0}, {10, 2, 0}}, right[3] = {{0, 0, 0}, {5, 0, 0}, {10, 0, 0}};
    nm_draw_band(&d, NM_LAYER_GROUND, left, right, 3, red);
    assert_int_equal(d.vertex_count, 12);
    assert_true(fabs(triangles_area(&d) - 25.0) < 1e-6);
    nm_drawing_free(&d);
}

static void strokes_and_labels_are_copied(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_SCREEN);
    nm_point p[3] = {{1, 2, 0}, {3, 4, 0}, {5, 6, 0}};
    nm_draw_stroke(&d, p, 3, (nm_stroke){.first = 77, .count = 99, .width = 2, .layer = NM_LAYER_PANEL});
    nm_draw_stroke(&d, p, 2, (nm_stroke){.width = 2, .layer = NM_LAYER_PANEL});
    nm_draw_stroke(&d, p, 1, (nm_stroke){.width = 2});
    nm_draw_stroke(&d, p, 2, (nm_stroke){.width = 0});
    p[0].x = 100;
    assert_int_equal(d.stroke_count, 2);
    assert_int_equal(d.strokes[0].first, 0);
    assert_int_equal(d.strokes[0].count, 3);
    assert_int_equal(d.strokes[1].first, 3);
    assert_int_equal(d.strokes[0].pixels, 1); // there are no metres on a screen
    assert_true(d.points[0].x == 1.0f);
    nm_draw_label(&d, (nm_label){.size = 10, .text = 5}, "%s %d", "lane", 7);
    nm_draw_label(&d, (nm_label){.size = 10}, "%s", "");
    nm_draw_label(&d, (nm_label){.size = 10}, "a\tb\x01\xC3\xA9 \xE9 \xC0\x80 \xED\xA0\x80 \xF0\x9F\x9A\x97\x7F");
    assert_int_equal(d.label_count, 2);
    assert_string_equal(d.text + d.labels[0].text, "lane 7");
    assert_string_equal(d.text + d.labels[1].text, "a b \xC3\xA9 ? ?? ??? \xF0\x9F\x9A\x97 ");
    nm_drawing_free(&d);
}

static void fill(nm_drawing *d, uint32_t count) {
    const nm_point notch[5] = {{0, 0, 0}, {4, 0, 0}, {4, 4, 0}, {2, 1, 0}, {0, 4, 0}};
    for (uint32_t i = 0; i < count; i++) {
        nm_draw_polygon(d, (nm_layer)(i % NM_LAYER_COUNT), notch, 5, red);
        nm_draw_stroke(d, notch, 5, (nm_stroke){.width = 1});
        nm_draw_box(d, &(nm_box_body){.length = 4, .width = 2, .height = 1});
        nm_draw_label(d, (nm_label){.size = 10}, "label %u", i);
    }
}

static void memory_is_kept_and_revisions_change(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    fill(&d, 500);
    const nm_drawing before = d;
    uint64_t seen[4];
    for (int i = 0; i < 4; i++) {
        nm_drawing_clear(&d);
        assert_int_equal(d.vertex_count + d.text_size, 0);
        fill(&d, 500);
        seen[i] = d.revision;
        for (int k = 0; k < i; k++) assert_true(seen[k] != seen[i]);
    }
    assert_memory_equal(before.capacity, d.capacity, sizeof d.capacity);
    assert_ptr_equal(before.vertices, d.vertices);
    assert_ptr_equal(before.text, d.text);
    assert_ptr_equal(before.scratch, d.scratch);
    // every addition counts
    uint64_t revision = d.revision;
    nm_draw_box(&d, &(nm_box_body){.length = 4});
    assert_true(d.revision != revision);
    revision = d.revision;
    nm_draw_label(&d, (nm_label){.size = 1}, "x");
    assert_true(d.revision != revision);
    nm_drawing_free(&d);
    assert_null(d.vertices);
    // two drawings that grew alike with other content do not pass for one another
    nm_drawing e;
    nm_drawing_init(&e, NM_SPACE_WORLD);
    nm_draw_box(&d, &(nm_box_body){.x = 1, .length = 4});
    nm_draw_box(&e, &(nm_box_body){.x = 2, .length = 4});
    assert_true(d.revision != e.revision);
    nm_drawing_free(&d);
    nm_drawing_free(&e);
}

static void bounds_contain_everything(void **state) {
    (void)state;
    nm_drawing d;
    nm_point least, most;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    nm_draw_box(&d, &(nm_box_body){.x = 10, .y = 20, .heading = 1.57079633f, .length = 4, .width = 2, .height = 1.5f});
    assert_int_equal(nm_drawing_bounds(&d, &least, &most), 1);
    assert_true(fabsf(least.x - 9) < 1e-4f && fabsf(most.x - 11) < 1e-4f);
    assert_true(fabsf(least.y - 18) < 1e-4f && fabsf(most.y - 22) < 1e-4f && most.z == 1.5f);
    nm_draw_label(&d, (nm_label){.x = -5, .size = 10}, "x");
    nm_draw_triangle(&d, NM_LAYER_GROUND, (nm_point){0, 0, 0}, (nm_point){1, 0, 0}, (nm_point){0, 99, 0}, red);
    nm_draw_stroke(&d, (nm_point[]){{0, 0, 0}, {50, 0, 0}}, 2, (nm_stroke){.width = 1});
    assert_int_equal(nm_drawing_bounds(&d, &least, &most), 1);
    assert_true(least.x == -5 && most.y == 99 && most.x == 50 && least.y == 0);
    nm_drawing_free(&d);
}

static void magnifying(void **state) {
    (void)state;
    for (int screen = 0; screen < 2; screen++) { // the world keeps its metres
        nm_drawing d;
        const float place = screen ? 3.0f : 1.0f;
        nm_drawing_init(&d, screen ? NM_SPACE_SCREEN : NM_SPACE_WORLD);
        nm_draw_triangle(&d, NM_LAYER_GROUND, (nm_point){1, 2, 0}, (nm_point){5, 2, 0}, (nm_point){1, 6, 0}, red);
        nm_draw_stroke(&d, (nm_point[]){{1, 2, 0}, {9, 2, 0}}, 2,
                       (nm_stroke){.width = 2, .dash = 4, .gap = 5, .phase = 1, .pixels = 1});
        if (!screen) {
            nm_draw_stroke(&d, (nm_point[]){{1, 2, 0}, {9, 2, 0}}, 2, (nm_stroke){.width = 2});
            nm_draw_box(&d, &(nm_box_body){.length = 4, .width = 2, .height = 1, .outline_px = 1.5f});
        }
        nm_draw_label(&d, (nm_label){.x = 7, .y = 8, .size = 10}, "x");
        const uint64_t revision = d.revision;
        nm_drawing_magnify(&d, 3.0f);
        assert_true(d.revision != revision);
        assert_true(d.vertices[1].x == 5 * place && d.vertices[2].y == 6 * place);
        assert_true(d.points[1].x == 9 * place && d.points[1].y == 2 * place);
        assert_true(d.strokes[0].width == 6 && d.strokes[0].dash == 4 * place);
        assert_true(d.strokes[0].gap == 5 * place && d.strokes[0].phase == place);
        assert_true(d.labels[0].size == 30 && d.labels[0].x == 7 * place && d.labels[0].y == 8 * place);
        if (!screen) assert_true(d.strokes[1].width == 2 && d.boxes[0].outline_px == 4.5f && d.boxes[0].length == 4);
        nm_drawing_free(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(polygons_are_filled_exactly),   cmocka_unit_test(triangles_of_a_polygon_do_not_overlap),
        cmocka_unit_test(strange_polygons_end),          cmocka_unit_test(what_is_not_finite_is_left_out),
        cmocka_unit_test(runs_of_one_layer_are_one),     cmocka_unit_test(a_band_lies_between_its_lines),
        cmocka_unit_test(strokes_and_labels_are_copied), cmocka_unit_test(memory_is_kept_and_revisions_change),
        cmocka_unit_test(bounds_contain_everything),     cmocka_unit_test(magnifying),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
