/// The viewer under events that nobody meant, and under long sequences of random ones.
#include "dice.h"
#include "render/viewer/viewer_internal.h"
#include "viewer_support.h"

static void mouse(nm_viewer *viewer, nm_viewer_event_kind kind, float x, float y, int button) {
    nm_viewer_event_handle(viewer, &(nm_viewer_event){.kind = kind, .x = x, .y = y, .button = button, .amount = 1.0f});
}

static void resize(nm_viewer *viewer, int width, int height) {
    nm_viewer_event_handle(viewer, &(nm_viewer_event){.kind = NM_VIEWER_RESIZE, .width = width, .height = height});
}

static void selection_survives_resizing(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 700); // 8 rows
    for (int i = 0; i < 7; i++) nm_viewer_press(viewer, NM_KEY_DOWN);
    assert_true(nm_viewer_entry_rect(viewer, 7).height > 0.0f);
    resize(viewer, 800, 350); // 3 rows
    assert_true(nm_viewer_entry_rect(viewer, 7).height > 0.0f);
    nm_viewer_press(viewer, NM_KEY_END);
    resize(viewer, 800, 700); // rows that came free are filled
    assert_true(nm_viewer_entry_rect(viewer, SCENES - 8).height > 0.0f);
    assert_true(nm_viewer_entry_rect(viewer, SCENES - 1).height > 0.0f);
    nm_viewer_press(viewer, NM_KEY_HOME);
    for (int i = 0; i < 9; i++) mouse(viewer, NM_VIEWER_WHEEL, 100.0f, 100.0f, 0), viewer->first_row = 4;
    resize(viewer, 800, 690); // scrolled away on purpose: stays there
    assert_int_equal(viewer->first_row, 4);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void filters_too_long(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 500);
    nm_error error;
    char text[NM_VIEWER_FILTER_BYTES + 2];
    nm_error_clear(&error);
    assert_int_equal(nm_viewer_set_filter(viewer, "cut_in", &error), NM_OK);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    assert_int_equal(nm_viewer_set_filter(viewer, text, &error), NM_E_LIMIT);
    assert_string_equal(nm_viewer_get(viewer).filter, "cut_in");
    assert_int_equal(nm_viewer_get(viewer).entries, SCENES / 2);
    text[sizeof text - 2] = 0; // as much as goes
    assert_int_equal(nm_viewer_set_filter(viewer, text, &error), NM_OK);
    assert_string_equal(nm_viewer_get(viewer).filter, text);
    nm_viewer_type(viewer, "/");
    nm_viewer_type(viewer, "yz"); // no room: what is there stays as it is
    nm_viewer_press(viewer, NM_KEY_ENTER);
    assert_string_equal(nm_viewer_get(viewer).filter, text);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void mouse_without_a_place(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    const float nowhere[] = {NAN, INFINITY, -INFINITY};
    test_open(viewer, 101, 0);
    const nm_viewer_rect t = nm_viewer_timeline_rect(viewer);
    for (int i = 0; i < 3; i++) {
        nm_viewer_press(viewer, 'r');
        mouse(viewer, NM_VIEWER_MOUSE_DOWN, 300.0f, 200.0f, 1);
        mouse(viewer, NM_VIEWER_MOUSE_MOVE, 350.0f, 200.0f, 0);
        const nm_camera camera = nm_viewer_get(viewer).camera[0];
        mouse(viewer, NM_VIEWER_MOUSE_MOVE, nowhere[i], nowhere[i], 0);
        assert_memory_equal(&nm_viewer_get(viewer).camera[0], &camera, sizeof camera);
        mouse(viewer, NM_VIEWER_MOUSE_UP, nowhere[i], nowhere[i], 1); // lets go all the same
        mouse(viewer, NM_VIEWER_MOUSE_MOVE, 500.0f, 300.0f, 0);
        assert_memory_equal(&nm_viewer_get(viewer).camera[0], &camera, sizeof camera);
        mouse(viewer, NM_VIEWER_MOUSE_DOWN, t.x + t.width / 2.0f, t.y + 10.0f, 1);
        const double time = nm_viewer_get(viewer).time;
        mouse(viewer, NM_VIEWER_MOUSE_MOVE, nowhere[i], 0.0f, 0);
        assert_true(time > 1.0 && nm_viewer_get(viewer).time == time);
        mouse(viewer, NM_VIEWER_MOUSE_UP, nowhere[i], nowhere[i], 1);
        mouse(viewer, NM_VIEWER_MOUSE_DOWN, 300.0f, 200.0f, 1);
        nm_viewer_press(viewer, NM_KEY_HOME);
        mouse(viewer, NM_VIEWER_MOUSE_DOWN, 300.0f, 5000.0f, 1); // nothing is there, and nothing is held
        mouse(viewer, NM_VIEWER_MOUSE_MOVE, 600.0f, 200.0f, 0);
        assert_memory_equal(&nm_viewer_get(viewer).camera[0], &camera, sizeof camera);
    }
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void live_from_live(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    nm_error error;
    nm_error_clear(&error);
    test_open(viewer, 101, 0); // 40 steps
    nm_viewer_press(viewer, NM_KEY_END);
    nm_viewer_press(viewer, 'l');
    for (int i = 0; i < 8; i++) nm_viewer_tick(viewer, 0.25f); // 2 s after the recording's end
    assert_int_equal(nm_viewer_get(viewer).steps[0], 60);
    assert_int_equal(nm_viewer_start_live(viewer, &error), NM_OK); // anew from that end
    assert_int_equal(nm_viewer_get(viewer).steps[0], 40);
    assert_true(nm_viewer_get(viewer).step[0] == 39.0f);
    for (int i = 0; i < 4; i++) nm_viewer_press(viewer, NM_KEY_LEFT);
    assert_int_equal(nm_viewer_start_live(viewer, &error), NM_OK);
    assert_int_equal(nm_viewer_get(viewer).steps[0], 36);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

/// A scene against the one it was made from: a key finds it.
static void parents(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_scene_destroy(source.scenes[1]);
    source.scenes[1] = test_drive(source.scenes[0], 59, 2); // 102 was made from 101
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_viewer_open_parent(viewer, &error), NM_E_NOT_FOUND); // of what
    nm_viewer_press(viewer, 'p');                                            // 101 was made from one that is not there
    nm_viewer_status s = nm_viewer_get(viewer);
    assert_int_equal(s.panes, 1);
    assert_int_equal(s.scene[0], 101);
    assert_true(test_says(viewer, "what scene 101 was made from is not here"));
    nm_viewer_press(viewer, NM_KEY_ESCAPE);
    nm_viewer_press(viewer, NM_KEY_DOWN);
    nm_viewer_press(viewer, 'p');
    s = nm_viewer_get(viewer);
    assert_int_equal(s.panes, 2);
    assert_int_equal(s.scene[0], 102);
    assert_int_equal(s.scene[1], 101);
    assert_int_equal(s.focus, 1);
    assert_memory_equal(&s.camera[0], &s.camera[1], sizeof s.camera[0]); // of the same place
    assert_true(test_says(viewer, "scene 102 was made from scene 101"));
    // the other way round, at the time shown; from behind somebody there is nobody to be behind in the other scene
    test_open(viewer, 101, 0);
    test_open(viewer, 102, 1);
    for (int i = 0; i < 12; i++) nm_viewer_press(viewer, NM_KEY_RIGHT);
    nm_viewer_press(viewer, 'c');
    assert_int_equal(nm_viewer_get(viewer).camera[1].kind, NM_CAMERA_CHASE);
    assert_int_equal(nm_viewer_open_parent(viewer, &error), NM_OK);
    s = nm_viewer_get(viewer);
    assert_int_equal(s.scene[0], 101);
    assert_int_equal(s.scene[1], 102);
    assert_int_equal(s.focus, 0);
    assert_true(s.step[0] == 12.0f && s.step[1] == 12.0f);
    assert_int_equal(s.camera[0].kind, NM_CAMERA_FREE);
    source.broken = 1;
    nm_viewer_press(viewer, NM_KEY_TAB);
    nm_viewer_press(viewer, 'p'); // found, but not loaded: what is open stays
    assert_int_equal(nm_viewer_get(viewer).scene[0], 101);
    assert_int_equal(source.open, 2);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

/// A store that others write to while it is looked at.
static void a_list_that_changes(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 350); // 3 rows
    for (int i = 0; i < 6; i++) nm_viewer_press(viewer, NM_KEY_DOWN);
    for (int i = 0; i < 6; i++) nm_viewer_tick(viewer, 0.01f);
    assert_int_equal(source.loaded, 3);
    nm_viewer_press(viewer, NM_KEY_UP);
    const uint32_t top = viewer->first_row;
    nm_viewer_press(viewer, NM_KEY_F5); // nothing is new: nothing moves
    assert_int_equal(viewer->first_row, top);
    nm_viewer_press(viewer, NM_KEY_DOWN);
    for (int i = 0; i < 6; i++) nm_viewer_tick(viewer, 0.01f);
    assert_int_equal(source.loaded, 6);
    source.gone = 2;
    assert_int_equal(nm_viewer_get(viewer).entries, SCENES); // not noticed yet
    nm_viewer_press(viewer, NM_KEY_F5);
    nm_viewer_status s = nm_viewer_get(viewer);
    assert_int_equal(s.entries, SCENES - 2);
    assert_int_equal(s.selected, 4); // the same scene
    assert_true(nm_viewer_entry_rect(viewer, 4).height > 0.0f);
    assert_true(test_says(viewer, "read anew: 10 scenes, 12 before"));
    for (int i = 0; i < 6; i++) nm_viewer_tick(viewer, 0.01f);
    assert_int_equal(source.loaded, 9); // with new pictures
    source.gone = 9;                    // the selected one as well
    nm_viewer_press(viewer, NM_KEY_F5);
    s = nm_viewer_get(viewer);
    assert_int_equal(s.entries, 3);
    assert_int_equal(s.selected, 2);
    assert_true(nm_viewer_entry_rect(viewer, 0).height > 0.0f); // no row stays empty
    source.gone = SCENES;
    nm_viewer_press(viewer, NM_KEY_F5);
    assert_int_equal(nm_viewer_get(viewer).entries, 0);
    source.gone = 0;
    nm_viewer_press(viewer, NM_KEY_F5);
    assert_int_equal(nm_viewer_get(viewer).entries, SCENES);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void tags_of_the_scene(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    const char *const tags[] = {"urban", "night\x1b[2J"};
    const nm_scene *whole = source.scenes[0];
    nm_scene tagged = *whole;
    tagged.tags = tags;
    tagged.tag_count = 2;
    source.scenes[0] = &tagged;
    nm_viewer *viewer = test_viewer(&source, 800, 500);
    assert_true(test_says(viewer, "builtin"));
    assert_false(test_says(viewer, "urban"));
    nm_viewer_tick(viewer, 0.01f);
    assert_true(test_says(viewer, "builtin  urban night\\x1b[2J")); // escaped, as all that files say
    nm_viewer_destroy(viewer);
    source.scenes[0] = whole;
    test_source_end(&source);
}

static void screenshots_are_clean(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    char name[64];
    nm_viewer_say(viewer, "saved the one before");
    assert_true(test_says(viewer, "saved the one before"));
    nm_viewer_press(viewer, 's');
    assert_false(test_says(viewer, "saved the one before")); // the picture that is taken
    assert_true(nm_viewer_take_screenshot(viewer, name, sizeof name));
    assert_true(test_says(viewer, "saved the one before"));
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static const nm_drawing *panels(nm_viewer *viewer, nm_viewport *world, float *stroke) {
    const nm_viewer_view *views;
    const nm_drawing *screen[2];
    uint32_t count;
    nm_error error;
    nm_error_clear(&error);
    if (nm_viewer_compose(viewer, &views, &count, screen, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(count, 1);
    *world = views[0].viewport;
    *stroke = 0.0f;
    for (uint32_t k = 0; k < views[0].world_count; k++) // the widest with a width in px
        for (uint32_t i = 0; i < views[0].world[k]->stroke_count; i++)
            if (views[0].world[k]->strokes[i].pixels) *stroke = fmaxf(*stroke, views[0].world[k]->strokes[i].width);
    return screen[0];
}

/// A display with small pixels shows the same picture from twice as many of them.
static void small_pixels(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *plain = test_viewer(&source, 800, 600), *fine = test_viewer(&source, 800, 600);
    nm_viewport world, fine_world;
    float stroke, fine_stroke;
    test_open(plain, 101, 0);
    test_open(fine, 101, 0);
    nm_viewer_press(plain, '4'); // centrelines have a width in px
    nm_viewer_press(fine, '4');
    nm_viewer_event_handle(fine,
                           &(nm_viewer_event){.kind = NM_VIEWER_RESIZE, .width = 1600, .height = 1200, .amount = 2.0f});
    assert_true(nm_viewer_get(fine).scale == 2.0f);
    const nm_drawing *a = panels(plain, &world, &stroke), *b = panels(fine, &fine_world, &fine_stroke);
    assert_true(stroke > 0.0f && fine_stroke == 2.0f * stroke);
    assert_int_equal(fine_world.width, 2 * world.width);
    assert_int_equal(fine_world.height, 2 * world.height);
    assert_int_equal(fine_world.full_height, 1200);
    assert_int_equal(a->vertex_count, b->vertex_count);
    assert_int_equal(a->label_count, b->label_count);
    for (uint32_t i = 0; i < a->vertex_count; i++)
        assert_true(b->vertices[i].x == 2.0f * a->vertices[i].x && b->vertices[i].y == 2.0f * a->vertices[i].y);
    for (uint32_t i = 0; i < a->label_count; i++)
        assert_true(b->labels[i].size == 2.0f * a->labels[i].size && b->labels[i].x == 2.0f * a->labels[i].x);
    const nm_viewer_rect t = nm_viewer_timeline_rect(plain), same = nm_viewer_timeline_rect(fine);
    assert_memory_equal(&t, &same, sizeof t);
    // the mouse is where the picture is
    mouse(plain, NM_VIEWER_MOUSE_DOWN, 300.0f, t.y + 5.0f, 1);
    mouse(fine, NM_VIEWER_MOUSE_DOWN, 600.0f, 2.0f * (t.y + 5.0f), 1);
    assert_true(nm_viewer_get(plain).time > 0.5 && nm_viewer_get(fine).time == nm_viewer_get(plain).time);
    mouse(plain, NM_VIEWER_MOUSE_UP, 300.0f, t.y, 1);
    mouse(fine, NM_VIEWER_MOUSE_UP, 600.0f, 2.0f * t.y, 1);
    mouse(plain, NM_VIEWER_WHEEL, 100.0f, 200.0f, 0);
    mouse(fine, NM_VIEWER_WHEEL, 200.0f, 400.0f, 0);
    const nm_camera camera = nm_viewer_get(plain).camera[0];
    assert_memory_equal(&nm_viewer_get(fine).camera[0], &camera, sizeof camera);
    resize(fine, 800, 600); // without a scale: as before
    assert_true(nm_viewer_get(fine).scale == 2.0f && nm_viewer_pane_rect(fine, 0).width == 400.0f);
    nm_viewer_destroy(plain);
    nm_viewer_destroy(fine);
    nm_viewer_config config = nm_viewer_config_default();
    nm_error error;
    config.scale = 0.0f;
    assert_int_equal(nm_viewer_create(&config, &plain, &error), NM_E_ARGUMENT);
    config.scale = NAN;
    assert_int_equal(nm_viewer_create(&config, &plain, &error), NM_E_ARGUMENT);
    test_source_end(&source);
}

static void help_in_a_low_window(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 360);
    const nm_viewer_view *views;
    const nm_drawing *screen[2];
    uint32_t count;
    nm_error error;
    nm_viewer_type(viewer, "?");
    assert_int_equal(nm_viewer_compose(viewer, &views, &count, screen, &error), NM_OK);
    assert_true(screen[1]->label_count > 20);
    for (uint32_t i = 0; i < screen[1]->label_count; i++)
        assert_true(screen[1]->labels[i].y > 5.0f && screen[1]->labels[i].y < 355.0f);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

/// Scenes without agents and of one step, as they come from files: odd ids and even ones. Given back by test_even.
static void test_odd(test_source *source, nm_scene *empty, const nm_scene *kept[2]) {
    nm_error error;
    nm_error_clear(&error);
    kept[0] = source->scenes[0];
    kept[1] = source->scenes[1];
    *empty = *kept[0];
    empty->track_count = 0;
    empty->ego = NM_NONE;
    source->scenes[0] = empty;
    if (nm_builtin_scene("junction_signal:density=5", 3, &source->scenes[1], &error) != NM_OK)
        fail_msg("%s", error.message);
    assert_int_equal(source->scenes[1]->step_count, 1);
    source->moments[0].first = NM_NONE; // of nobody, and after the end: cmd_view leaves such out, others need not
    source->moments[1].first = 0;
}

static void test_even(test_source *source, const nm_scene *kept[2]) {
    nm_scene_destroy(source->scenes[1]);
    source->scenes[0] = kept[0];
    source->scenes[1] = kept[1];
}

static void nobody_is_there(void **state) {
    (void)state;
    test_source source;
    nm_scene empty;
    const nm_scene *kept[2];
    test_source_begin(&source);
    test_odd(&source, &empty, kept);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    nm_viewer_tick(viewer, 0.01f);
    const nm_viewer_view *views;
    const nm_drawing *screen[2];
    uint32_t count;
    nm_error error;
    assert_int_equal(nm_viewer_compose(viewer, &views, &count, screen, &error), NM_OK);
    assert_int_equal(count, 1);
    const float width = (float)views[0].viewport.width, height = (float)views[0].viewport.height;
    assert_true(nm_camera_scale(&views[0].camera, width, height) * 600.0f < width); // all of the road's 600 m
    test_open(viewer, 101, 0);
    const nm_camera camera = nm_viewer_get(viewer).camera[0];
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, 0);
    assert_true(nm_camera_scale(&camera, r.width, r.height) * 600.0f < r.width);
    assert_true(test_says(viewer, "0.00 s of 3.90 s"));
    nm_viewer_press(viewer, 'l');
    nm_viewer_tick(viewer, 0.2f);
    assert_true(test_says(viewer, "0 agents took part"));
    nm_viewer_destroy(viewer);
    test_even(&source, kept);
    test_source_end(&source);
}

// --- random events ---------------------------------------------------------------------------------------------------

static void check_rect(nm_viewer_rect r) {
    assert_true(isfinite(r.x) && isfinite(r.y) && r.width >= 1.0f && r.height >= 1.0f);
}

static void check_pane(const nm_viewer *viewer, const nm_viewer_status *s, uint32_t i) {
    const nm_viewer_pane *pane = &viewer->panes[i];
    const nm_camera *c = &s->camera[i];
    assert_true(s->steps[i] >= 1 && s->steps[i] <= pane->shown->step_count);
    assert_true(s->step[i] >= 0.0f && s->step[i] <= (float)(s->steps[i] - 1));
    assert_true(s->follow[i] == NM_NONE || s->follow[i] < pane->shown->track_count);
    assert_true(isfinite(c->target.x) && isfinite(c->target.y) && isfinite(c->yaw));
    if (c->kind == NM_CAMERA_BIRD)
        assert_true(c->span >= 1.0f && c->span <= 200e3f);
    else
        assert_true(c->distance >= 1.0f && c->distance <= 50e3f && c->pitch >= 0.03f && c->pitch <= 1.5708f);
    assert_true(c->kind != NM_CAMERA_CHASE || s->follow[i] != NM_NONE);
    check_rect(nm_viewer_pane_rect(viewer, i));
    assert_int_equal(s->live[i], pane->shown != pane->content.scene);
}

/// What holds after every event.
static void check(nm_viewer *viewer, const test_source *source) {
    const nm_viewer_status s = nm_viewer_get(viewer);
    char title[200];
    assert_true(s.selected < s.entries || s.selected == 0);
    assert_true(viewer->first_row < s.entries || viewer->first_row == 0);
    assert_int_equal(s.entries, source->count);
    assert_int_equal(source->open, s.panes);
    assert_true(s.panes <= 2 && s.focus < (s.panes ? s.panes : 1));
    assert_true(s.mode == NM_VIEWER_LIST || (s.mode == NM_VIEWER_SCENE && s.panes > 0));
    assert_true(s.time >= 0.0 && s.time <= s.duration);
    assert_true(s.speed >= VIEWER_SPEED_MIN && s.speed <= VIEWER_SPEED_MAX);
    assert_true(s.thumbnails <= viewer->config.thumbnails);
    assert_true(s.scale >= VIEWER_SCALE_MIN && s.scale <= VIEWER_SCALE_MAX);
    assert_true(s.mode != NM_VIEWER_LIST || !s.playing);
    assert_true(!s.filtering || s.mode == NM_VIEWER_LIST);
    check_rect(nm_viewer_timeline_rect(viewer));
    for (uint32_t i = 0; i < s.panes; i++) check_pane(viewer, &s, i);
    assert_true(nm_viewer_title(viewer, title, sizeof title) < sizeof title);
}

static void check_picture(nm_viewer *viewer) {
    const nm_viewer_view *views;
    const nm_drawing *screen[2];
    uint32_t count;
    nm_error error;
    nm_error_clear(&error);
    if (nm_viewer_compose(viewer, &views, &count, screen, &error) != NM_OK) fail_msg("%s", error.message);
    assert_true(count <= NM_VIEWER_MAX_VIEWS);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(views[i].viewport.width >= 1 && views[i].viewport.height >= 1);
        assert_true(views[i].world_count >= 1);
        for (uint32_t k = 0; k < views[i].world_count; k++) assert_int_equal(views[i].world[k]->failed, 0);
    }
    assert_true(screen[0]->vertex_count > 0);
}

static float place(dice *d, int side) {
    static const float odd[] = {NAN, INFINITY, -1e30f, 3e38f, -1.0f, 0.0f};
    if (dice_below(d, 40) == 0) return odd[dice_below(d, 6)];
    return (dice_roll(d) * 1.2f - 0.1f) * (float)side;
}

static nm_viewer_event random_event(dice *d, const nm_viewer *viewer) {
    static const int keys[] = {
        NM_KEY_SPACE,     NM_KEY_ENTER, NM_KEY_ESCAPE,  NM_KEY_TAB,       NM_KEY_LEFT, NM_KEY_RIGHT,
        NM_KEY_UP,        NM_KEY_DOWN,  NM_KEY_PAGE_UP, NM_KEY_PAGE_DOWN, NM_KEY_HOME, NM_KEY_END,
        NM_KEY_BACKSPACE, NM_KEY_F1,    NM_KEY_F12,     NM_KEY_F5,        'b',         'l'};
    static const char *const texts[] = {"?", "/", "c", "_", "\xc3\xa4", "\xff", "\x1b", ""};
    static const float amounts[] = {1.0f, -1.0f, 0.0f, NAN, 1e30f, -3.0f, 1.5f, 0.3f};
    static const int sides[] = {0, -1, 1, 2, 161, 300, 421, 100000};
    nm_viewer_event e = {.kind = (nm_viewer_event_kind)dice_below(d, NM_VIEWER_TICK + 1u)};
    if (e.kind == NM_VIEWER_CLOSE || dice_below(d, 3) == 0) e.kind = NM_VIEWER_KEY;
    e.key = dice_below(d, 2) ? keys[dice_below(d, sizeof keys / sizeof *keys)] : (int)dice_below(d, 128);
    e.shift = (int)dice_below(d, 2);
    snprintf(e.text, sizeof e.text, "%s", texts[dice_below(d, sizeof texts / sizeof *texts)]);
    e.x = place(d, viewer->pixel_width);
    e.y = place(d, viewer->pixel_height);
    e.button = (int)dice_below(d, 6);
    e.amount =
        e.kind == NM_VIEWER_TICK ? dice_roll(d) * 0.3f : amounts[dice_below(d, sizeof amounts / sizeof *amounts)];
    e.width = dice_below(d, 3) ? 160 + (int)dice_below(d, 1200) : sides[dice_below(d, 8)];
    e.height = dice_below(d, 3) ? 160 + (int)dice_below(d, 800) : sides[dice_below(d, 8)];
    return e;
}

static uint64_t failing_seed; ///< that random_events is at; 0 = it came to its end
static uint32_t failing_event;

static int name_the_seed(void **state) {
    (void)state;
    if (failing_seed) print_error("seed %llu, event %u\n", (unsigned long long)failing_seed, failing_event);
    return 0;
}

static void random_events(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    int visited[3] = {0}, live = 0, both = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        dice d = dice_of(failing_seed = seed);
        nm_scene empty;
        const nm_scene *kept[2];
        if (seed % 3 == 0) test_odd(&source, &empty, kept);
        nm_viewer *viewer = test_viewer(&source, 800, 600);
        for (uint32_t i = 0; i < 500; i++) {
            failing_event = i;
            if (i % 50 == 49) source.broken = !source.broken;
            if (i % 70 == 69) source.gone = dice_below(&d, SCENES + 1);
            const nm_viewer_event event = random_event(&d, viewer);
            nm_viewer_event_handle(viewer, &event);
            check(viewer, &source);
            if (i % 5 == 0) check_picture(viewer);
            const nm_viewer_status s = nm_viewer_get(viewer);
            visited[s.mode]++;
            live += s.live[0] || s.live[1];
            both += s.panes == 2;
        }
        nm_viewer_destroy(viewer);
        if (seed % 3 == 0) test_even(&source, kept);
        source.broken = 0;
        source.gone = 0;
        nm_error error;
        test_filter(&source, "", &error);
    }
    failing_seed = 0;
    // the dice came everywhere
    assert_true(visited[NM_VIEWER_LIST] > 200 && visited[NM_VIEWER_SCENE] > 200 && live > 100 && both > 50);
    test_source_end(&source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selection_survives_resizing),
        cmocka_unit_test(filters_too_long),
        cmocka_unit_test(mouse_without_a_place),
        cmocka_unit_test(live_from_live),
        cmocka_unit_test(parents),
        cmocka_unit_test(a_list_that_changes),
        cmocka_unit_test(tags_of_the_scene),
        cmocka_unit_test(screenshots_are_clean),
        cmocka_unit_test(small_pixels),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(help_in_a_low_window),
        cmocka_unit_test_teardown(random_events, name_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
