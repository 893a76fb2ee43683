/// What moves: bodies where the scene says, dangers as sim/metrics says, labels apart from each other.
#include "render/dice.h"
#include "render/scene_drawing.h"
#include "render/stage.h"
#include "sim/builtin.h"
#include "sim/metrics/criticality.h"

static const nm_theme *theme;

static nm_frame_options plain(void) {
    nm_frame_options options = nm_frame_options_default();
    options.labels = 0, options.trail_s = 0;
    return options;
}

static void draw(nm_drawing *d, const stage *s, float step, const nm_frame_options *options) {
    nm_drawing_clear(d);
    nm_draw_frame(d, &s->scene, step, options, theme);
}

static uint32_t strokes_of(const nm_drawing *d, nm_layer layer, nm_rgba colour) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->stroke_count; i++)
        count += d->strokes[i].layer == layer && !memcmp(&d->strokes[i].colour, &colour, sizeof colour);
    return count;
}

static uint32_t vertices_of(const nm_drawing *d, nm_layer layer) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->triangles_count; i++)
        if (d->triangles[i].layer == layer) count += d->triangles[i].count;
    return count;
}

static const char *label_at(const nm_drawing *d, uint32_t index) {
    return d->text + d->labels[index].text;
}

static int has_label(const nm_drawing *d, const char *text) {
    for (uint32_t i = 0; i < d->label_count; i++)
        if (strstr(label_at(d, i), text)) return 1;
    return 0;
}

// --- bodies ----------------------------------------------------------------------------------------------------------

static void every_valid_agent_is_a_body_where_it_is(void **state) {
    (void)state;
    dice r = dice_of(1);
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    stage s = stage_of(nm_test_road(200), 40, 5);
    const nm_frame_options options = plain();
    for (uint32_t i = 0; i < 40; i++)
        for (uint32_t t = 0; t < 5; t++)
            if (dice_below(&r, 3))
                stage_put(&s, i, t, 500 * dice_roll(&r), 500 * dice_roll(&r), 6 * dice_roll(&r) - 3,
                          10 * dice_roll(&r));
    for (uint32_t t = 0; t < 5; t++) {
        uint32_t expected = 0;
        draw(&d, &s, (float)t, &options);
        for (uint32_t i = 0; i < 40; i++) {
            const size_t at = nm_scene_at(&s.scene, i, t);
            if (!s.valid[at]) continue;
            const nm_box_body *b = &d.boxes[expected++];
            assert_true(expected <= d.box_count);
            assert_true(b->x == s.fields[0][at] && b->y == s.fields[1][at] && b->heading == s.fields[2][at]);
            assert_true(b->length == 4 && b->width == 2 && b->height > 0 && b->z == 0);
            assert_int_equal(b->layer, NM_LAYER_AGENTS);
            assert_int_equal(b->body, NM_BODY_CAR);
        }
        assert_int_equal(d.box_count, expected);
    }
    draw(&d, &s, 17, &options);
    assert_int_equal(d.box_count, 0);
    draw(&d, &s, NAN, &options);
    assert_int_equal(d.box_count, 0);
    nm_drawing_free(&d);
    stage_strike(&s);
}

static void states_run_between_steps(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    stage s = stage_of(nm_test_road(200), 2, 3);
    const nm_frame_options options = plain();
    stage_put(&s, 0, 0, 10, 0, 3.1f, 5), stage_put(&s, 0, 1, 14, 2, -3.1f, 5); // the short way is over pi
    stage_put(&s, 1, 1, 50, 0, 0, 0);                                          // there at one step only
    draw(&d, &s, 0.5f, &options);
    assert_int_equal(d.box_count, 2);
    assert_true(fabsf(d.boxes[0].x - 12) < 1e-5f && fabsf(d.boxes[0].y - 1) < 1e-5f);
    assert_true(fabsf(fabsf(d.boxes[0].heading) - 3.14159265f) < 1e-5f);
    draw(&d, &s, 0.25f, &options);
    assert_int_equal(d.box_count, 1); // half-way is half-way
    assert_true(fabsf(d.boxes[0].x - 11) < 1e-5f && fabsf(d.boxes[0].heading - (3.1f + 0.25f * 0.0831853f)) < 1e-5f);
    draw(&d, &s, 1.4f, &options);
    assert_int_equal(d.box_count, 2);
    assert_true(d.boxes[0].x == 14 && d.boxes[1].x == 50);
    draw(&d, &s, 1.6f, &options);
    assert_int_equal(d.box_count, 0);
    nm_drawing_free(&d);
    stage_strike(&s);
}

static void roles_and_bodies_follow_type_and_flags(void **state) {
    (void)state;
    static const struct {
        nm_agent_type type;
        unsigned flags;
        nm_role role;
        nm_body body;
    } cases[] = {
        {NM_AGENT_CAR, 0, NM_ROLE_VEHICLE, NM_BODY_CAR},
        {NM_AGENT_UNKNOWN, 0, NM_ROLE_VEHICLE, NM_BODY_CAR},
        {NM_AGENT_CAR, NM_TRACK_ADVERSARY, NM_ROLE_ADVERSARY, NM_BODY_CAR},
        {NM_AGENT_CAR, NM_TRACK_EGO | NM_TRACK_ADVERSARY, NM_ROLE_EGO, NM_BODY_CAR},
        {NM_AGENT_TRUCK, 0, NM_ROLE_LARGE, NM_BODY_LONG},
        {NM_AGENT_BUS, 0, NM_ROLE_LARGE, NM_BODY_LONG},
        {NM_AGENT_MOTORCYCLE, 0, NM_ROLE_CYCLIST, NM_BODY_CYCLE},
        {NM_AGENT_CYCLIST, 0, NM_ROLE_CYCLIST, NM_BODY_CYCLE},
        {NM_AGENT_PEDESTRIAN, 0, NM_ROLE_PEDESTRIAN, NM_BODY_PERSON},
        {NM_AGENT_OBSTACLE, 0, NM_ROLE_STATIC, NM_BODY_BOX},
        {NM_AGENT_CAR, NM_TRACK_STATIC, NM_ROLE_STATIC, NM_BODY_CAR},
    };
    enum { COUNT = sizeof cases / sizeof *cases };
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    stage s = stage_of(nm_test_road(200), COUNT, 1);
    for (uint32_t i = 0; i < COUNT; i++) {
        stage_put(&s, i, 0, 20.0f * (float)i, 0, 0, 0);
        s.tracks[i].type = (uint8_t)cases[i].type, s.tracks[i].flags = (uint8_t)cases[i].flags;
    }
    const nm_frame_options options = plain();
    draw(&d, &s, 0, &options);
    assert_int_equal(d.box_count, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(nm_role_of(&s.scene, i), cases[i].role);
        assert_int_equal(d.boxes[i].body, cases[i].body);
        assert_memory_equal(&d.boxes[i].colour, &theme->role[cases[i].role], sizeof(nm_rgba));
    }
    nm_drawing_free(&d);
    stage_strike(&s);
}

static void wheels_turn_with_the_curve(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    stage s = stage_of(nm_test_road(200), 4, 5);
    const nm_frame_options options = plain();
    const float radius = 12.0f;
    for (uint32_t t = 0; t < 5; t++) {
        const float a = 0.1f * (float)t;
        stage_put(&s, 0, t, radius * sinf(a), radius - radius * cosf(a), a, 12);    // a left bend
        stage_put(&s, 1, t, radius * sinf(a), -radius + radius * cosf(a), -a, 12);  // a right one
        stage_put(&s, 2, t, -radius * sinf(a), radius - radius * cosf(a), -a, -12); // backwards round the left side
        stage_put(&s, 3, t, 100, 100, 0.5f * a, 0);                                 // turns on the spot: noise
    }
    for (float step = 0; step <= 4; step += 0.5f) {
        draw(&d, &s, step, &options);
        // tan(angle) = wheelbase / radius
        assert_true(fabsf(d.boxes[0].steering - atanf(2.4f / radius)) < 0.01f);
        assert_true(fabsf(d.boxes[1].steering + atanf(2.4f / radius)) < 0.01f);
        assert_true(fabsf(d.boxes[2].steering - atanf(2.4f / radius)) < 0.01f);
        assert_true(d.boxes[3].steering == 0);
    }
    nm_drawing_free(&d);
    stage_strike(&s);
}

// --- trails and futures ----------------------------------------------------------------------------------------------

static void trails_fade_behind_and_futures_lie_ahead(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    stage s = stage_of(nm_test_road(200), 2, 101);
    stage_drive(&s, 0, 0, 0, 0, 10);
    stage_drive(&s, 1, 50, 40, 0, 0); // stands
    nm_frame_options options = plain();
    options.trail_s = 2.0f, options.future_s = 3.0f;
    draw(&d, &s, 50, &options);
    float least = INFINITY, most = -INFINITY;
    for (uint32_t i = 0; i < d.vertex_count; i++) {
        const nm_vertex *v = &d.vertices[i];
        least = fminf(least, v->x), most = fmaxf(most, v->x);
        assert_true(fabsf(v->y) < 1.0f); // none for the one who stands
        assert_true(fabsf((float)v->colour.a - (float)theme->trail.a * (v->x - 30) / 20) < 3);
    }
    assert_true(fabsf(least - 30) < 0.01f && fabsf(most - 50) < 0.01f);
    assert_int_equal(d.stroke_count, 1);
    assert_int_equal(d.strokes[0].layer, NM_LAYER_FUTURES);
    assert_true(d.strokes[0].gap > 0);
    assert_true(d.points[0].x == 50 && fabsf(d.points[d.strokes[0].count - 1].x - 80) < 0.01f);
    // cut where the recording begins and ends, and long trails stay within bounds
    options.trail_s = options.future_s = 1000;
    draw(&d, &s, 50.5f, &options);
    nm_point low, high;
    assert_true(nm_drawing_bounds(&d, &low, &high));
    assert_true(fabsf(low.x - 0) < 1.1f && low.x >= -0.01f && high.x <= 100.01f && high.x > 98.9f);
    nm_drawing_free(&d);
    stage_strike(&s);
}

static void the_plan_is_shown(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    stage s = stage_of(nm_test_road(200), 1, 1);
    stage_put(&s, 0, 0, 0, 0, 0, 0);
    const nm_point plan[3] = {{0, 0, 0}, {10, 0, 0}, {20, 2, 0}};
    nm_frame_options options = plain();
    options.plan = plan, options.plan_count = 3;
    draw(&d, &s, 0, &options);
    assert_int_equal(d.strokes[0].layer, NM_LAYER_PLAN);
    assert_memory_equal(d.points + d.strokes[0].first, plan, sizeof plan);
    assert_true(vertices_of(&d, NM_LAYER_PLAN) > 0); // its end
    nm_drawing_free(&d);
    stage_strike(&s);
}

// --- dangers ---------------------------------------------------------------------------------------------------------

/// A crowd in a small place, so that there are dangers of every kind.
static stage crowd(uint32_t count, uint32_t steps, float size, float cx, float cy, uint64_t seed) {
    dice r = dice_of(seed);
    stage s = stage_of(nm_test_road(200), count, steps);
    for (uint32_t i = 0; i < count; i++) {
        const float x = cx + size * dice_roll(&r), y = cy + size * dice_roll(&r);
        stage_drive(&s, i, x, y, 6 * dice_roll(&r) - 3, 25 * dice_roll(&r));
        if (i % 7 == 3) s.tracks[i].flags = NM_TRACK_STATIC;
    }
    return s;
}

static void judge(const stage *s, uint32_t step, float warn, uint32_t *warnings, uint32_t *collisions) {
    *warnings = *collisions = 0;
    for (uint32_t i = 0; i < s->scene.track_count; i++)
        for (uint32_t k = 0; k < i; k++) {
            nm_box a, b;
            if (!nm_scene_box(&s->scene, i, step, &a) || !nm_scene_box(&s->scene, k, step, &b)) continue;
            if (s->tracks[i].flags & s->tracks[k].flags & NM_TRACK_STATIC) continue;
            const float ttc = nm_ttc(&a, &b, 10);
            *collisions += ttc == 0;
            *warnings += ttc > 0 && ttc < warn;
        }
}

static void highlights_are_the_pairs_that_metrics_finds(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    uint32_t all[2] = {0, 0};
    for (uint64_t seed = 0; seed < 12; seed++) {
        const float far = seed % 3 == 2 ? 100000.0f : 0.0f;
        stage s = crowd(40, 8, seed % 2 ? 120 : 300, far, -far, seed);
        nm_frame_options options = plain();
        options.warn_ttc_s = seed % 4 == 3 ? 0.7f : 2.0f;
        for (uint32_t t = 0; t < 8; t++) {
            uint32_t warnings, collisions;
            judge(&s, t, options.warn_ttc_s, &warnings, &collisions);
            draw(&d, &s, (float)t, &options);
            assert_int_equal(strokes_of(&d, NM_LAYER_HIGHLIGHTS, theme->warning), warnings);
            // a star of 24 triangles and a disc of 22
            assert_int_equal(vertices_of(&d, NM_LAYER_HIGHLIGHTS), collisions * 3 * (24 + 22));
            all[0] += warnings, all[1] += collisions;
        }
        options.warn_ttc_s = 0; // collisions are shown all the same
        draw(&d, &s, 0, &options);
        assert_int_equal(strokes_of(&d, NM_LAYER_HIGHLIGHTS, theme->warning), 0);
        stage_strike(&s);
    }
    assert_true(all[0] > 100 && all[1] > 20);
    nm_drawing_free(&d);
}

static void a_warning_lies_between_the_two_and_says_how_long(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    stage s = stage_of(nm_test_road(200), 3, 2);
    stage_drive(&s, 0, 0, 0, 0, 20);
    stage_drive(&s, 1, 24, 0, 0, 0);  // 20 m of gap at 20 m/s: 1 s
    stage_drive(&s, 2, 24, 30, 0, 0); // not concerned
    const nm_frame_options options = nm_frame_options_default();
    draw(&d, &s, 0, &options);
    assert_int_equal(strokes_of(&d, NM_LAYER_HIGHLIGHTS, theme->warning), 1);
    const nm_point *p = d.points + d.strokes[d.stroke_count - 1].first;
    assert_true(fminf(p[0].x, p[1].x) == 2 && fmaxf(p[0].x, p[1].x) == 22); // from bumper to bumper
    assert_true(has_label(&d, "1.0 s"));
    assert_memory_equal(&d.boxes[0].outline, &theme->warning, sizeof(nm_rgba));
    assert_memory_equal(&d.boxes[1].outline, &theme->warning, sizeof(nm_rgba));
    assert_memory_equal(&d.boxes[2].outline, &theme->outline[NM_ROLE_VEHICLE], sizeof(nm_rgba));
    assert_true(has_label(&d, "100") && has_label(&d, "101") && !has_label(&d, "102"));
    nm_drawing_free(&d);
    stage_strike(&s);
}

static void moments_are_named_while_they_last(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    stage s = stage_of(nm_test_road(200), 3, 50);
    for (uint32_t i = 0; i < 3; i++) stage_drive(&s, i, 0, 30 * (float)i, 0, 10);
    const nm_moment moments[2] = {{10, 12, 20, 2, 0, "cut_in", 0.5f}, {30, 30, 35, NM_NONE, 77, "lonely", 1}};
    nm_frame_options options = nm_frame_options_default();
    options.moments = moments, options.moment_count = 2;
    for (uint32_t t = 0; t < 50; t++) {
        draw(&d, &s, (float)t, &options);
        const int on = t >= 10 && t <= 20;
        assert_int_equal(has_label(&d, "cut in"), on);
        assert_int_equal(strokes_of(&d, NM_LAYER_HIGHLIGHTS, theme->warning), on ? 8 : 0); // two rings of four arcs
        for (uint32_t i = 0; i < d.label_count; i++) {
            if (strcmp(label_at(&d, i), "cut in") != 0) continue;
            assert_true(fabsf(d.labels[i].x - (float)t) < 4 && fabsf(d.labels[i].y - 60) < 6); // at the first
        }
    }
    nm_drawing_free(&d);
    stage_strike(&s);
}

// --- labels ----------------------------------------------------------------------------------------------------------

/// Rectangles of all labels in pixels, with letters as wide as DejaVu Sans has them on average.
static void assert_labels_apart(const nm_drawing *d, const nm_camera *camera, float w, float h) {
    for (uint32_t i = 0; i < d->label_count; i++) {
        float x[2], y[2], hw[2], hh[2];
        for (uint32_t k = 0; k <= i; k++) {
            const uint32_t both[2] = {i, k};
            for (int n = 0; n < 2; n++) {
                const nm_label *l = &d->labels[both[n]];
                assert_int_equal(l->anchor, NM_ANCHOR_CENTRE);
                assert_true(nm_camera_project(camera, w, h, (nm_point){l->x, l->y, l->z}, &x[n], &y[n]));
                hw[n] = 0.5f * 0.85f * l->size * (float)strlen(label_at(d, both[n])), hh[n] = 0.7f * l->size;
            }
            if (k < i && fabsf(x[0] - x[1]) < hw[0] + hw[1] && fabsf(y[0] - y[1]) < hh[0] + hh[1])
                fail_msg("'%s' and '%s' overlap", label_at(d, i), label_at(d, k));
        }
    }
}

static void labels_do_not_overlap(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    uint32_t shown = 0;
    for (uint64_t seed = 0; seed < 6; seed++) {
        const float far = seed == 4 ? 30000.0f : 0.0f;
        stage s = crowd(150, 3, 200, far, far, seed);
        s.scene.ego = 0;
        nm_camera camera = nm_camera_default();
        camera.target = (nm_point){far + 100, far + 100, 0};
        camera.span = 220, camera.yaw = (float)seed;
        if (seed >= 2) camera.distance = 150;
        if (seed == 2) camera.kind = NM_CAMERA_FREE, camera.pitch = 0.5f;
        if (seed == 3) camera = nm_camera_behind((nm_point){100, 100, 0}, 1, 4.5f);
        nm_frame_options options = nm_frame_options_default();
        options.labels = 2, options.camera = &camera, options.view_width = 1280, options.view_height = 720;
        draw(&d, &s, 1, &options);
        assert_true(d.label_count > 10 && d.label_count < 400);
        assert_labels_apart(&d, &camera, 1280, 720);
        shown += d.label_count;
        options.labels = 0;
        draw(&d, &s, 1, &options);
        assert_int_equal(d.label_count, 0);
        stage_strike(&s);
    }
    assert_true(shown > 300);
    nm_drawing_free(&d);
}

static void the_ego_and_the_adversary_have_names(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    stage s = stage_of(nm_test_road(200), 3, 1);
    for (uint32_t i = 0; i < 3; i++) stage_put(&s, i, 0, 50 * (float)i, 0, 0, 7);
    s.tracks[2].flags = NM_TRACK_ADVERSARY;
    s.scene.ego = 1;
    nm_frame_options options = nm_frame_options_default();
    draw(&d, &s, 0, &options);
    assert_int_equal(d.label_count, 2);
    assert_true(has_label(&d, "ego  7 m/s") && has_label(&d, "adversary  7 m/s"));
    options.labels = 2;
    draw(&d, &s, 0, &options);
    assert_int_equal(d.label_count, 3);
    assert_true(has_label(&d, "100"));
    nm_drawing_free(&d);
    stage_strike(&s);
}

// --- signals ---------------------------------------------------------------------------------------------------------

static int is_walk(const nm_lane *lane) {
    return lane->type == NM_LANE_CROSSWALK || lane->type == NM_LANE_SIDEWALK;
}

/// The letter of the lamp at the end of a lane; 0 = none.
static char letter_at(const nm_drawing *d, const nm_map *map, uint32_t lane) {
    const nm_vec2 end = map->centre[map->lanes[lane].points.first + map->lanes[lane].points.count - 1];
    for (uint32_t i = 0; i < d->label_count; i++)
        if (d->labels[i].layer == NM_LAYER_SIGNALS && hypotf(d->labels[i].x - end.x, d->labels[i].y - end.y) < 1.7f)
            return label_at(d, i)[0];
    return 0;
}

static void signals_show_their_states(void **state) {
    (void)state;
    const nm_scene *scene = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_builtin_scene("junction_signal:lanes=2,density=5,steps=2", 1, &scene, &error) != NM_OK)
        fail_msg("%s", error.message);
    const nm_map *map = scene->map;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    uint32_t seen[128] = {0};
    assert_true(map->signal_count > 0);
    // the cycle goes on past the recording: a scene of one step that says it is longer
    nm_scene longer = *scene;
    longer.step_count = 1, longer.track_count = 0;
    for (uint32_t step = 0; step < 1200; step += 5) {
        const nm_frame_options options = plain();
        nm_drawing_clear(&d);
        nm_draw_frame(&d, &longer, (float)step, &options, theme);
        for (uint32_t i = 0; i < map->signal_count; i++) {
            const nm_signal_state now = nm_scene_signal(scene, i, step);
            const char want = now == NM_SIGNAL_STOP || now == NM_SIGNAL_ARROW_STOP         ? 'R'
                              : now == NM_SIGNAL_CAUTION || now == NM_SIGNAL_ARROW_CAUTION ? 'Y'
                                                                                           : 'G';
            for (uint32_t k = 0; k < map->signals[i].lanes.count; k++) {
                const uint32_t lane = map->lane_refs[map->signals[i].lanes.first + k];
                if (is_walk(&map->lanes[lane]) || map->lanes[lane].signals.count != 1) continue;
                assert_int_equal(letter_at(&d, map, lane), want);
                seen[(int)want]++;
            }
        }
    }
    assert_true(seen['R'] > 0 && seen['G'] > 0 && seen['Y'] > 0);
    nm_drawing_free(&d);
    nm_scene_destroy(scene);
}

// --- goals -----------------------------------------------------------------------------------------------------------

static void goals_are_shown(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    stage s = stage_of(nm_test_road(200), 1, 1);
    const nm_goal_area areas[3] = {{{50, 10}, 6, 3, 0.5f, NM_NONE}, {{80, 10}, 5, 0, 0, NM_NONE}, {{0, 0}, 0, 0, 0, 1}};
    s.scene.goal_areas = areas, s.scene.goal_area_count = 3;
    const nm_frame_options options = plain();
    draw(&d, &s, 0, &options);
    // a rectangle; a disc with its middle; the band of a lane of three points
    assert_int_equal(vertices_of(&d, NM_LAYER_HIGHLIGHTS), 6 + 2 * 66 + 12);
    assert_int_equal(strokes_of(&d, NM_LAYER_HIGHLIGHTS, theme->goal), 1);
    nm_drawing_free(&d);
    stage_strike(&s);
}

// --- bad and large scenes --------------------------------------------------------------------------------------------

static void what_is_not_finite_is_left_out(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    for (int field = 0; field < 5; field++) {
        stage s = crowd(20, 3, 100, 0, 0, 3);
        nm_frame_options options = nm_frame_options_default();
        options.labels = 2, options.future_s = 1;
        s.fields[field][nm_scene_at(&s.scene, 4, 1)] = field % 2 ? NAN : INFINITY;
        draw(&d, &s, 1, &options);
        assert_int_equal(d.box_count, 19);
        for (uint32_t i = 0; i < d.vertex_count; i++) assert_true(isfinite(d.vertices[i].x + d.vertices[i].y));
        for (uint32_t i = 0; i < d.point_count; i++) assert_true(isfinite(d.points[i].x + d.points[i].y));
        for (uint32_t i = 0; i < d.label_count; i++) assert_true(isfinite(d.labels[i].x + d.labels[i].y));
        draw(&d, &s, 1.5f, &options);
        nm_series series;
        nm_error error;
        assert_int_equal(nm_series_create(&s.scene, &series, &error), NM_OK);
        nm_series_destroy(&series);
        stage_strike(&s);
    }
    nm_drawing_free(&d);
}

static void thousands_of_agents_are_drawn_without_new_memory(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    stage s = crowd(5000, 30, 2500, 0, 0, 9);
    nm_frame_options options = nm_frame_options_default();
    options.labels = 2, options.future_s = 1;
    draw(&d, &s, 20, &options);
    assert_int_equal(d.box_count, 5000);
    const nm_drawing before = d;
    for (int i = 0; i < 3; i++) {
        draw(&d, &s, 20, &options);
        assert_int_equal(d.stroke_count, before.stroke_count);
        assert_memory_equal(before.capacity, d.capacity, sizeof d.capacity);
        assert_ptr_equal(before.points, d.points);
        assert_ptr_equal(before.vertices, d.vertices);
        assert_ptr_equal(before.boxes, d.boxes);
        assert_ptr_equal(before.scratch, d.scratch);
        assert_int_equal(before.scratch_size, d.scratch_size);
    }
    nm_drawing_free(&d);
    stage_strike(&s);
}

/// All overlap with all: everybody is marked, and the marks do not grow with the number of pairs.
static void a_heap_of_agents_is_marked_only_so_often(void **state) {
    (void)state;
    nm_drawing d;
    nm_drawing_init(&d, NM_SPACE_WORLD);
    enum { HEAP = 400 };
    stage s = crowd(HEAP, 2, 1, 0, 0, 5);
    const nm_frame_options options = plain();
    uint32_t warnings, collisions;
    judge(&s, 0, 2, &warnings, &collisions);
    assert_true(collisions > HEAP * HEAP / 4);
    draw(&d, &s, 0, &options);
    assert_int_equal(d.box_count, HEAP);
    assert_true(vertices_of(&d, NM_LAYER_HIGHLIGHTS) > HEAP && vertices_of(&d, NM_LAYER_HIGHLIGHTS) < HEAP * 1000);
    nm_series series;
    nm_error error;
    assert_int_equal(nm_series_create(&s.scene, &series, &error), NM_OK);
    assert_true(series.min_ttc[0] == 0.0f && series.min_distance[0] == 0.0f);
    nm_series_destroy(&series);
    nm_drawing_free(&d);
    stage_strike(&s);
}

static void the_same_far_away(void **state) {
    (void)state;
    nm_drawing near, far;
    nm_drawing_init(&near, NM_SPACE_WORLD), nm_drawing_init(&far, NM_SPACE_WORLD);
    const float shift = 131072.0f; // floats have steps of 1/64 m there, and whole quarters stay what they are
    stage s = crowd(30, 2, 100, 0, 0, 4), t = crowd(30, 2, 100, 0, 0, 4);
    for (size_t i = 0; i < 60; i++)
        for (int f = 0; f < 2; f++) {
            s.fields[f][i] = roundf(4 * s.fields[f][i]) / 4;
            t.fields[f][i] = s.fields[f][i] + shift;
        }
    nm_frame_options options = nm_frame_options_default();
    options.labels = 2;
    draw(&near, &s, 1, &options), draw(&far, &t, 1, &options);
    assert_int_equal(near.box_count, far.box_count);
    assert_int_equal(near.stroke_count, far.stroke_count);
    assert_int_equal(near.label_count, far.label_count);
    assert_int_equal(near.vertex_count, far.vertex_count);
    for (uint32_t i = 0; i < near.label_count; i++) {
        assert_string_equal(label_at(&near, i), label_at(&far, i));
        assert_true(fabsf(near.labels[i].x + shift - far.labels[i].x) < 0.1f);
    }
    nm_drawing_free(&near), nm_drawing_free(&far);
    stage_strike(&s), stage_strike(&t);
}

static int set_theme(void **state) {
    (void)state;
    theme = nm_theme_of(NM_THEME_DAY);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_valid_agent_is_a_body_where_it_is),
        cmocka_unit_test(states_run_between_steps),
        cmocka_unit_test(roles_and_bodies_follow_type_and_flags),
        cmocka_unit_test(wheels_turn_with_the_curve),
        cmocka_unit_test(trails_fade_behind_and_futures_lie_ahead),
        cmocka_unit_test(the_plan_is_shown),
        cmocka_unit_test(highlights_are_the_pairs_that_metrics_finds),
        cmocka_unit_test(a_warning_lies_between_the_two_and_says_how_long),
        cmocka_unit_test(moments_are_named_while_they_last),
        cmocka_unit_test(labels_do_not_overlap),
        cmocka_unit_test(the_ego_and_the_adversary_have_names),
        cmocka_unit_test(signals_show_their_states),
        cmocka_unit_test(goals_are_shown),
        cmocka_unit_test(what_is_not_finite_is_left_out),
        cmocka_unit_test(thousands_of_agents_are_drawn_without_new_memory),
        cmocka_unit_test(a_heap_of_agents_is_marked_only_so_often),
        cmocka_unit_test(the_same_far_away),
    };
    return cmocka_run_group_tests(tests, set_theme, NULL);
}
