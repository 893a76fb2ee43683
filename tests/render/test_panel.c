/// Series equal what the pair functions say, and the panel stays in its place and says it.
#include "render/dice.h"
#include "render/scene_drawing.h"
#include "render/stage.h"
#include "sim/metrics/criticality.h"

static stage crowd(uint32_t count, uint32_t steps, float size, uint64_t seed) {
    dice r = dice_of(seed);
    stage s = stage_of(nm_test_road(200), count, steps);
    for (uint32_t i = 0; i < count; i++) {
        stage_drive(&s, i, size * dice_roll(&r), size * dice_roll(&r), 6 * dice_roll(&r) - 3, 20 * dice_roll(&r));
        if (i % 5 == 3) s.tracks[i].flags = NM_TRACK_STATIC;
    }
    return s;
}

static void series_equal_the_pair_functions(void **state) {
    (void)state;
    uint32_t crashes = 0, none = 0, some = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        const float size = seed % 3 == 0 ? 40.0f : seed % 3 == 1 ? 400.0f : 3000.0f;
        stage s = crowd(2 + (uint32_t)seed % 14, 20, size, seed);
        if (seed % 2) s.scene.ego = 1;
        nm_series series;
        nm_error error;
        assert_int_equal(nm_series_create(&s.scene, &series, &error), NM_OK);
        assert_int_equal(series.steps, 20);
        for (uint32_t t = 0; t < 20; t++) {
            float ttc = INFINITY, distance = INFINITY;
            for (uint32_t i = 0; i < s.scene.track_count; i++)
                for (uint32_t k = 0; k < i; k++) {
                    nm_box a, b;
                    if (s.tracks[i].flags & s.tracks[k].flags & NM_TRACK_STATIC) continue;
                    assert_true(nm_scene_box(&s.scene, i, t, &a) && nm_scene_box(&s.scene, k, t, &b));
                    ttc = fminf(ttc, nm_ttc(&a, &b, 10));
                    distance = fminf(distance, nm_box_distance(&a, &b));
                }
            if (distance > 100) distance = INFINITY;
            assert_true(series.min_ttc[t] == ttc && series.min_distance[t] == distance);
            assert_int_equal(series.collision[t], ttc == 0);
            crashes += ttc == 0, none += ttc == INFINITY, some += ttc > 0 && ttc < INFINITY;
            if (seed % 2)
                assert_true(fabsf(series.ego_speed[t] - hypotf(s.scene.vx[20 + t], s.scene.vy[20 + t])) < 1e-4f);
        }
        nm_series_destroy(&series);
        stage_strike(&s);
    }
    if (crashes < 20 || none < 20 || some < 50) fail_msg("too tame: %u, %u, %u", crashes, none, some);
}

static void without_an_ego_the_most_endangered_counts(void **state) {
    (void)state;
    stage s = stage_of(nm_test_road(200), 4, 10);
    stage_drive(&s, 0, 0, 0, 0, 3);
    stage_drive(&s, 1, 100, 0, 0, 17); // closes in on the next
    stage_drive(&s, 2, 120, 0, 0, 0);
    stage_drive(&s, 3, 0, 100, 0, 5);
    nm_series series;
    nm_error error;
    assert_int_equal(nm_series_create(&s.scene, &series, &error), NM_OK);
    for (uint32_t t = 0; t < 9; t++) assert_true(fabsf(series.ego_speed[t] - 17) < 1e-4f);
    nm_series_destroy(&series);
    stage_strike(&s);
    s = stage_of(nm_test_road(200), 0, 3);
    assert_int_equal(nm_series_create(&s.scene, &series, &error), NM_OK);
    assert_true(series.min_ttc[2] == INFINITY && series.ego_speed[0] == INFINITY && !series.collision[1]);
    nm_series_destroy(&series);
    stage_strike(&s);
}

// --- the panel -------------------------------------------------------------------------------------------------------

static const char *text_of(const nm_drawing *d, uint32_t label) {
    return d->text + d->labels[label].text;
}

static const nm_label *find_label(const nm_drawing *d, const char *text) {
    for (uint32_t i = 0; i < d->label_count; i++)
        if (strstr(text_of(d, i), text)) return &d->labels[i];
    return NULL;
}

/// All of it, letters as wide as DejaVu Sans has them on average.
static void assert_inside(const nm_drawing *d, const nm_panel *p) {
    const float slack = 0.1f, x1 = p->x + p->width + slack, y1 = p->y + p->height + slack;
    for (uint32_t i = 0; i < d->vertex_count; i++) {
        const nm_vertex *v = &d->vertices[i];
        assert_true(v->x >= p->x - slack && v->x <= x1 && v->y >= p->y - slack && v->y <= y1);
    }
    for (uint32_t i = 0; i < d->point_count; i++) {
        const nm_point *v = &d->points[i];
        assert_true(v->x >= p->x - slack && v->x <= x1 && v->y >= p->y - slack && v->y <= y1);
    }
    for (uint32_t i = 0; i < d->label_count; i++) {
        const nm_label *l = &d->labels[i];
        const float w = 0.85f * l->size * (float)strlen(text_of(d, i));
        const float left = l->x - w * (l->anchor == NM_ANCHOR_RIGHT    ? 1.0f
                                       : l->anchor == NM_ANCHOR_CENTRE ? 0.5f
                                                                       : 0.0f);
        if (!(left >= p->x - slack && left + w <= x1 && l->y - l->size >= p->y - slack && l->y + l->size <= y1))
            fail_msg("'%s' sticks out of %g x %g px", text_of(d, i), (double)p->width, (double)p->height);
    }
}

static void the_panel_stays_in_its_area(void **state) {
    (void)state;
    static const float sizes[][2] = {{1280, 240}, {1920, 320}, {640, 120}, {300, 90}, {120, 60}, {10, 10}, {2000, 30}};
    static const uint32_t lengths[] = {1, 2, 91, 3000};
    const nm_moment moments[6] = {{10, 22, 30, 0, 1, "cut_in", 0.8f},
                                  {25, 40, 60, 0, 2, "hard_brake", 0.4f},
                                  {28, 30, 35, 1, 2, "near_miss", 5},
                                  {29, 30, 99999, 1, 2, NULL, NAN},
                                  {31, 30, 2, 1, 2, "a_very_long_name_indeed", 1},
                                  {2999, 2999, 2999, 0, 1, "end", 1}};
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_SCREEN);
    for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++) {
        stage s = crowd(6, lengths[n], 100, n);
        nm_series series;
        nm_error error;
        assert_int_equal(nm_series_create(&s.scene, &series, &error), NM_OK);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (int k = 0; k < 4; k++) {
                const float steps[4] = {0, (float)lengths[n] - 1, -50, 1e6f};
                const nm_panel panel = {
                    .x = 30,
                    .y = 700,
                    .width = sizes[i][0],
                    .height = sizes[i][1],
                    .step = steps[k],
                    .title = k % 2 ? "a title that is longer than many a panel is wide \xC3\xA4\xC3\xA4" : "short",
                    .moments = moments,
                    .moment_count = k < 2 ? 6 : 0};
                nm_drawing_clear(&d);
                nm_draw_panel(&d, &s.scene, &series, &panel, nm_theme_of((nm_theme_kind)(k % 2)));
                assert_true(d.vertex_count >= 6); // its ground at least
                assert_inside(&d, &panel);
            }
        }
        nm_series_destroy(&series);
        stage_strike(&s);
    }
    nm_drawing_free(&d);
}

static void the_panel_says_what_the_series_say(void **state) {
    (void)state;
    const nm_theme *theme = nm_theme_of(NM_THEME_DAY);
    stage s = stage_of(nm_test_road(200), 2, 101);
    stage_drive(&s, 0, 0, 0, 0, 10);
    stage_drive(&s, 1, 54, 0, 0, 0); // 50 m ahead: 5 s; then they overlap
    s.scene.ego = 0;
    nm_series series;
    nm_error error;
    assert_int_equal(nm_series_create(&s.scene, &series, &error), NM_OK);
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_SCREEN);
    const nm_moment moment = {20, 40, 60, 0, 1, "rear_end", 1};
    nm_panel panel = {
        .width = 1200, .height = 300, .step = 40, .title = "scene 7", .moments = &moment, .moment_count = 1};
    nm_draw_panel(&d, &s.scene, &series, &panel, theme);
    assert_non_null(find_label(&d, "scene 7"));
    assert_non_null(find_label(&d, "4.0 s of 10.0 s"));
    assert_non_null(find_label(&d, "rear end"));
    assert_string_equal(d.text + find_label(&d, "1.0 s")->text, "1.0 s"); // 10 m at 10 m/s
    assert_true(find_label(&d, "1.0 s")->colour.r == theme->panel_mark.r);
    assert_non_null(find_label(&d, "10.0 m"));
    assert_non_null(find_label(&d, "10.0 m/s"));
    // the curve of the TTC: falls in a straight line from 5 s to 0, half of the height to nothing
    const nm_stroke *curve = NULL;
    for (uint32_t i = 0; i < d.stroke_count && !curve; i++)
        if (!memcmp(&d.strokes[i].colour, &theme->panel_graph, sizeof(nm_rgba))) curve = &d.strokes[i];
    assert_non_null(curve);
    assert_int_equal(curve->count, 101);
    const nm_point *p = d.points + curve->first;
    const float zero = p[55].y, five = p[0].y;
    for (int t = 0; t <= 50; t++) assert_true(fabsf(p[t].y - (five + (zero - five) * (float)t / 50)) < 0.2f);
    const float frac = (p[40].x - p[0].x) / (p[100].x - p[0].x);
    assert_true(fabsf(frac - 0.4f) < 1e-3f);
    // the cursor stands over step 40, the crosses where the overlap begins, the bar of the moment over steps 20 to 60
    const nm_stroke *cursor = &d.strokes[d.stroke_count - 1];
    assert_true(d.points[cursor->first].x == p[40].x && d.points[cursor->first + 1].x == p[40].x);
    uint32_t crosses = 0, bars = 0;
    for (uint32_t i = 0; i < d.stroke_count; i++)
        crosses += d.strokes[i].width == 2.2f &&
                   fabsf(0.5f * (d.points[d.strokes[i].first].x + d.points[d.strokes[i].first + 1].x) - p[50].x) < 1;
    assert_int_equal(crosses, 2);
    for (uint32_t i = 0; i + 5 < d.vertex_count; i += 3) {
        const nm_vertex *v = d.vertices + i;
        bars += fabsf(v[0].x - p[20].x) < 0.1f && fabsf(v[1].x - p[60].x) < 0.1f && v[2].y - v[0].y > 5;
    }
    assert_int_equal(bars, 2); // its two triangles
    // the danger under 1.5 s is filled: from 3.5 s on, to the end of the recording for those that stay overlapped
    float first = INFINITY;
    for (uint32_t i = 0; i < d.vertex_count; i++)
        if (d.vertices[i].colour.a == 110) first = fminf(first, d.vertices[i].x);
    assert_true(fabsf(first - p[35].x) < 0.2f * (p[1].x - p[0].x));
    nm_drawing_free(&d);
    nm_series_destroy(&series);
    stage_strike(&s);
}

static void a_second_panel_takes_no_memory(void **state) {
    (void)state;
    stage s = crowd(10, 91, 100, 3);
    nm_series series;
    nm_error error;
    assert_int_equal(nm_series_create(&s.scene, &series, &error), NM_OK);
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_SCREEN);
    const nm_panel panel = {.width = 1200, .height = 300, .step = 40, .title = "scene 7"};
    nm_draw_panel(&d, &s.scene, &series, &panel, nm_theme_of(NM_THEME_DAY));
    const nm_drawing before = d;
    nm_drawing_clear(&d);
    nm_draw_panel(&d, &s.scene, &series, &panel, nm_theme_of(NM_THEME_DAY));
    assert_memory_equal(before.capacity, d.capacity, sizeof d.capacity);
    assert_ptr_equal(before.points, d.points);
    assert_ptr_equal(before.scratch, d.scratch);
    assert_int_equal(before.vertex_count, d.vertex_count);
    nm_drawing_free(&d);
    nm_series_destroy(&series);
    stage_strike(&s);
}

static void scale_bars_are_round(void **state) {
    (void)state;
    static const struct {
        float scale, most;
        const char *text;
        float metres;
    } cases[] = {{10, 200, "20 m", 20},  {10, 199, "10 m", 10},     {10, 500, "50 m", 50},
                 {1, 180, "100 m", 100}, {0.1f, 180, "1 km", 1000}, {0.02f, 180, "5 km", 5000},
                 {150, 180, "1 m", 1},   {900, 180, "0.2 m", 0.2f}};
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_SCREEN);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nm_drawing_clear(&d);
        nm_draw_scale_bar(&d, 1000, 500, cases[i].scale, cases[i].most, nm_theme_of(NM_THEME_DAY));
        assert_string_equal(text_of(&d, 0), cases[i].text);
        assert_true(d.points[3].x == 1000 && d.points[2].y == 500);
        assert_true(fabsf(d.points[2].x - d.points[1].x - cases[i].metres * cases[i].scale) < 0.01f);
        assert_true(d.points[2].x - d.points[1].x <= cases[i].most * 1.001f);
    }
    nm_drawing_clear(&d);
    nm_draw_scale_bar(&d, 1000, 500, 0, 100, nm_theme_of(NM_THEME_DAY));
    nm_draw_scale_bar(&d, 1000, 500, NAN, 100, nm_theme_of(NM_THEME_DAY));
    assert_int_equal(d.stroke_count, 0);
    nm_drawing_free(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_equal_the_pair_functions), cmocka_unit_test(without_an_ego_the_most_endangered_counts),
        cmocka_unit_test(the_panel_stays_in_its_area),     cmocka_unit_test(the_panel_says_what_the_series_say),
        cmocka_unit_test(a_second_panel_takes_no_memory),  cmocka_unit_test(scale_bars_are_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
