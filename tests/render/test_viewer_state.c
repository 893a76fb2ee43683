/// The viewer by its events, without a window.
#include "viewer_support.h"

static const nm_viewer_event no_event;

static void mouse(nm_viewer *viewer, nm_viewer_event_kind kind, float x, float y, int button) {
    nm_viewer_event event = no_event;
    event.kind = kind;
    event.x = x;
    event.y = y;
    event.button = button;
    nm_viewer_event_handle(viewer, &event);
}

static void click(nm_viewer *viewer, float x, float y) {
    mouse(viewer, NM_VIEWER_MOUSE_DOWN, x, y, 1);
    mouse(viewer, NM_VIEWER_MOUSE_UP, x, y, 1);
}

static void press_shift(nm_viewer *viewer, int key) {
    nm_viewer_event event = no_event;
    event.kind = NM_VIEWER_KEY;
    event.key = key;
    event.shift = 1;
    nm_viewer_event_handle(viewer, &event);
}

static void list_selects_and_opens(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 500);
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_LIST);
    assert_int_equal(nm_viewer_get(viewer).entries, SCENES);
    nm_viewer_press(viewer, NM_KEY_UP); // stays at the first
    assert_int_equal(nm_viewer_get(viewer).selected, 0);
    nm_viewer_press(viewer, NM_KEY_DOWN);
    nm_viewer_press(viewer, NM_KEY_DOWN);
    assert_int_equal(nm_viewer_get(viewer).selected, 2);
    assert_true(test_says(viewer, "scene number 2"));
    assert_false(test_says(viewer, "scene number 11")); // below the screen
    nm_viewer_press(viewer, NM_KEY_END);
    assert_int_equal(nm_viewer_get(viewer).selected, SCENES - 1);
    assert_true(test_says(viewer, "scene number 11")); // scrolled there
    assert_true(nm_viewer_entry_rect(viewer, SCENES - 1).height > 0.0f);
    assert_true(nm_viewer_entry_rect(viewer, 0).height == 0.0f);
    nm_viewer_press(viewer, NM_KEY_DOWN); // stays at the last
    assert_int_equal(nm_viewer_get(viewer).selected, SCENES - 1);
    nm_viewer_press(viewer, NM_KEY_HOME);
    const nm_viewer_rect second = nm_viewer_entry_rect(viewer, 1);
    click(viewer, second.x + 300.0f, second.y + 10.0f);
    assert_int_equal(nm_viewer_get(viewer).selected, 1);
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_LIST);
    click(viewer, second.x + 300.0f, second.y + 10.0f);
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_SCENE);
    assert_int_equal(nm_viewer_get(viewer).scene[0], 102);
    nm_viewer_press(viewer, NM_KEY_ESCAPE);
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_LIST);
    nm_viewer_press(viewer, NM_KEY_TAB); // back to what is open
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_SCENE);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void filter_is_typed(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 500);
    nm_viewer_press(viewer, NM_KEY_END);
    nm_viewer_type(viewer, "/");
    assert_true(nm_viewer_get(viewer).filtering);
    nm_viewer_press(viewer, 'q'); // a letter, not the end
    nm_viewer_type(viewer, "hard_\xc3\xa4");
    nm_viewer_press(viewer, NM_KEY_BACKSPACE); // takes the whole character
    nm_viewer_type(viewer, "brake");
    assert_true(test_says(viewer, "filter: hard_brake_"));
    assert_int_equal(nm_viewer_get(viewer).entries, SCENES); // not yet in force
    nm_viewer_press(viewer, NM_KEY_ENTER);
    assert_false(nm_viewer_get(viewer).filtering);
    assert_false(nm_viewer_get(viewer).closed);
    assert_int_equal(nm_viewer_get(viewer).entries, SCENES / 2);
    assert_int_equal(nm_viewer_get(viewer).selected, 0);
    assert_string_equal(nm_viewer_get(viewer).filter, "hard_brake");
    nm_viewer_press(viewer, NM_KEY_ENTER);
    assert_int_equal(nm_viewer_get(viewer).scene[0], 102);
    nm_viewer_press(viewer, NM_KEY_ESCAPE);
    nm_viewer_press(viewer, NM_KEY_ESCAPE); // everything again
    assert_int_equal(nm_viewer_get(viewer).entries, SCENES);
    nm_error error;
    assert_int_equal(nm_viewer_set_filter(viewer, "nothing like it", &error), NM_OK);
    assert_int_equal(nm_viewer_get(viewer).entries, 0);
    assert_true(test_says(viewer, "nothing fits"));
    nm_viewer_press(viewer, NM_KEY_ENTER); // nothing to open
    nm_viewer_press(viewer, NM_KEY_DOWN);
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_LIST);
    nm_viewer_press(viewer, NM_KEY_ESCAPE);
    nm_viewer_type(viewer, "/where ("); // refused: the list stays
    nm_viewer_press(viewer, NM_KEY_ENTER);
    assert_int_equal(nm_viewer_get(viewer).entries, SCENES);
    assert_true(test_says(viewer, "not understood"));
    nm_viewer_tick(viewer, 0.25f);
    for (int i = 0; i < 20; i++) nm_viewer_tick(viewer, 0.25f);
    assert_string_equal(nm_viewer_get(viewer).message, ""); // gone after a while
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void thumbnails_are_bounded(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 350); // 3 rows, 4 thumbnails
    const nm_viewer_view *views;
    const nm_drawing *screen[2];
    uint32_t count;
    nm_error error;
    nm_viewer_tick(viewer, 0.01f);
    assert_int_equal(nm_viewer_get(viewer).thumbnails, 1); // one a tick
    for (int i = 0; i < 10; i++) nm_viewer_tick(viewer, 0.01f);
    assert_int_equal(source.loaded, 3);
    assert_int_equal(source.open, 0);
    assert_int_equal(nm_viewer_compose(viewer, &views, &count, screen, &error), NM_OK);
    assert_int_equal(count, 3);
    assert_true(views[0].world[0]->vertex_count > 0 && views[0].world[1]->box_count > 0);
    nm_viewer_press(viewer, NM_KEY_END);
    for (int i = 0; i < 10; i++) nm_viewer_tick(viewer, 0.01f);
    assert_int_equal(nm_viewer_get(viewer).thumbnails, 4);
    assert_int_equal(source.loaded, 6);
    source.broken = 1; // what cannot be loaded is not tried for ever, and stops nothing
    nm_viewer_press(viewer, NM_KEY_HOME);
    for (int i = 0; i < 10; i++) nm_viewer_tick(viewer, 0.01f);
    assert_int_equal(nm_viewer_compose(viewer, &views, &count, screen, &error), NM_OK);
    assert_true(count < 3);
    nm_viewer_press(viewer, NM_KEY_ENTER);
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_LIST);
    assert_true(test_says(viewer, "there is no scene 101"));
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void time_stays_in_the_scene(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    test_open(viewer, 101, 0);
    assert_int_equal(nm_viewer_get(viewer).steps[0], 40);
    assert_true(fabs(nm_viewer_get(viewer).duration - 3.9) < 1e-6);
    nm_viewer_press(viewer, NM_KEY_LEFT);
    assert_true(nm_viewer_get(viewer).step[0] == 0.0f);
    nm_viewer_press(viewer, NM_KEY_RIGHT);
    nm_viewer_press(viewer, NM_KEY_RIGHT);
    assert_true(nm_viewer_get(viewer).step[0] == 2.0f);
    press_shift(viewer, NM_KEY_RIGHT);
    assert_true(nm_viewer_get(viewer).step[0] == 12.0f);
    nm_viewer_press(viewer, NM_KEY_LEFT);
    assert_true(nm_viewer_get(viewer).step[0] == 11.0f);
    nm_viewer_press(viewer, NM_KEY_END);
    nm_viewer_press(viewer, NM_KEY_RIGHT);
    press_shift(viewer, NM_KEY_RIGHT);
    assert_true(nm_viewer_get(viewer).step[0] == 39.0f);
    nm_viewer_press(viewer, NM_KEY_HOME);
    nm_viewer_press(viewer, 'm');
    assert_true(nm_viewer_get(viewer).step[0] == 25.0f); // the critical moment
    nm_viewer_press(viewer, 'm');                        // there is no later one: the first again
    assert_true(nm_viewer_get(viewer).step[0] == 25.0f);
    nm_viewer_press(viewer, NM_KEY_HOME);
    nm_viewer_press(viewer, NM_KEY_SPACE);
    assert_true(nm_viewer_get(viewer).playing);
    nm_viewer_tick(viewer, 0.2f);
    assert_true(fabs(nm_viewer_get(viewer).time - 0.2) < 1e-6);
    nm_viewer_tick(viewer, -5.0f); // clocks that jump
    nm_viewer_tick(viewer, NAN);
    assert_true(fabs(nm_viewer_get(viewer).time - 0.2) < 1e-6);
    nm_viewer_tick(viewer, 1e9f);
    assert_true(fabs(nm_viewer_get(viewer).time - 0.45) < 1e-6);
    nm_viewer_press(viewer, NM_KEY_SPACE);
    nm_viewer_tick(viewer, 0.2f);
    assert_true(fabs(nm_viewer_get(viewer).time - 0.45) < 1e-6); // paused
    nm_viewer_press(viewer, '+');
    nm_viewer_press(viewer, NM_KEY_SPACE);
    nm_viewer_tick(viewer, 0.1f);
    assert_true(fabs(nm_viewer_get(viewer).time - 0.65) < 1e-6); // twice as fast
    for (int i = 0; i < 20; i++) nm_viewer_press(viewer, '+');
    assert_true(nm_viewer_get(viewer).speed == 16.0f);
    for (int i = 0; i < 20; i++) nm_viewer_press(viewer, '-');
    assert_true(nm_viewer_get(viewer).speed == 0.125f);
    for (int i = 0; i < 20; i++) nm_viewer_press(viewer, '+');
    for (int i = 0; i < 8; i++) nm_viewer_tick(viewer, 0.25f);
    assert_true(nm_viewer_get(viewer).step[0] == 39.0f);
    assert_false(nm_viewer_get(viewer).playing); // the end stops it
    nm_viewer_press(viewer, NM_KEY_SPACE);       // from the beginning
    assert_true(nm_viewer_get(viewer).playing && nm_viewer_get(viewer).time == 0.0);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void scrubbing(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    test_open(viewer, 101, 0);
    const nm_viewer_rect r = nm_viewer_timeline_rect(viewer);
    nm_viewer_press(viewer, NM_KEY_SPACE);
    mouse(viewer, NM_VIEWER_MOUSE_DOWN, r.x + r.width / 2.0f, r.y + 20.0f, 1);
    assert_true(fabs(nm_viewer_get(viewer).time - 1.95) < 0.01);
    assert_false(nm_viewer_get(viewer).playing);
    mouse(viewer, NM_VIEWER_MOUSE_MOVE, r.x + r.width * 2.0f, -900.0f, 0); // out of the window: the end
    assert_true(fabs(nm_viewer_get(viewer).time - 3.9) < 1e-6);
    mouse(viewer, NM_VIEWER_MOUSE_MOVE, -500.0f, r.y, 0);
    assert_true(nm_viewer_get(viewer).time == 0.0);
    mouse(viewer, NM_VIEWER_MOUSE_UP, -500.0f, r.y, 1);
    mouse(viewer, NM_VIEWER_MOUSE_MOVE, r.x + r.width / 2.0f, r.y, 0); // let go
    assert_true(nm_viewer_get(viewer).time == 0.0);
    const nm_viewer_rect pane = nm_viewer_pane_rect(viewer, 0);
    click(viewer, r.x + r.width / 2.0f, pane.y + pane.height + 30.0f); // the graphs stand over the time line
    assert_true(fabs(nm_viewer_get(viewer).time - 1.95) < 0.01);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void side_by_side(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    nm_viewer_press(viewer, NM_KEY_ENTER); // 101
    press_shift(viewer, NM_KEY_RIGHT);
    nm_viewer_press(viewer, NM_KEY_ESCAPE);
    nm_viewer_press(viewer, NM_KEY_DOWN);
    nm_viewer_press(viewer, 'b'); // 102 beside it, at the same time
    nm_viewer_status s = nm_viewer_get(viewer);
    assert_int_equal(s.panes, 2);
    assert_int_equal(s.scene[0], 101);
    assert_int_equal(s.scene[1], 102);
    assert_true(s.step[0] == 10.0f && s.step[1] == 10.0f);
    assert_true(fabs(s.duration - 5.9) < 1e-6); // the longer one's
    const nm_viewer_rect left = nm_viewer_pane_rect(viewer, 0), right = nm_viewer_pane_rect(viewer, 1);
    assert_true(left.width == 400.0f && right.x == 400.0f && right.width == 400.0f);
    nm_viewer_press(viewer, NM_KEY_SPACE);
    for (int i = 0; i < 7; i++) {
        nm_viewer_tick(viewer, 0.03f);
        s = nm_viewer_get(viewer);
        assert_true(s.step[0] == s.step[1]);
    }
    nm_viewer_press(viewer, NM_KEY_END);
    s = nm_viewer_get(viewer);
    assert_true(s.step[0] == 39.0f && s.step[1] == 59.0f); // the shorter one waits at its end
    assert_int_equal(s.focus, 1);
    nm_viewer_press(viewer, NM_KEY_TAB);
    assert_int_equal(nm_viewer_get(viewer).focus, 0);
    const nm_viewer_view *views;
    const nm_drawing *screen[2];
    uint32_t count;
    nm_error error;
    assert_int_equal(nm_viewer_compose(viewer, &views, &count, screen, &error), NM_OK);
    assert_int_equal(count, 2);
    nm_viewer_press(viewer, 'x'); // the left one goes, the right one moves over
    s = nm_viewer_get(viewer);
    assert_int_equal(s.panes, 1);
    assert_int_equal(s.scene[0], 102);
    assert_int_equal(source.open, 1);
    nm_viewer_press(viewer, 'x');
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_LIST);
    assert_int_equal(source.open, 0);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void following(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    test_open(viewer, 101, 0);
    const nm_scene *scene = source.scenes[0];
    const uint32_t ego = scene->ego;
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, 0);
    float x, y;
    nm_viewer_press(viewer, 'm'); // what the camera was fitted to
    nm_camera camera = nm_viewer_get(viewer).camera[0];
    const nm_point at = {scene->x[nm_scene_at(scene, ego, 25)], scene->y[nm_scene_at(scene, ego, 25)], 0.0f};
    assert_true(nm_camera_project(&camera, r.width, r.height, at, &x, &y));
    click(viewer, r.x + x, r.y + y); // on the ego
    assert_int_equal(nm_viewer_get(viewer).follow[0], ego);
    nm_viewer_press(viewer, NM_KEY_END);
    assert_true(test_says(viewer, "following"));
    camera = nm_viewer_get(viewer).camera[0];
    const size_t last = nm_scene_at(scene, ego, 39);
    assert_true(scene->valid[last]);
    assert_true(fabsf(camera.target.x - scene->x[last]) < 1e-3f && fabsf(camera.target.y - scene->y[last]) < 1e-3f);
    const float span = camera.span;
    nm_viewer_event event = no_event;
    event.kind = NM_VIEWER_WHEEL;
    event.x = r.x + 20.0f;
    event.y = r.y + 90.0f;
    event.amount = 2.0f;
    nm_viewer_event_handle(viewer, &event); // nearer, and still on it
    assert_true(test_says(viewer, "following"));
    camera = nm_viewer_get(viewer).camera[0];
    assert_true(camera.span < span && fabsf(camera.target.x - scene->x[last]) < 1e-3f);
    nm_viewer_press(viewer, 'c'); // from behind
    camera = nm_viewer_get(viewer).camera[0];
    assert_int_equal(camera.kind, NM_CAMERA_CHASE);
    assert_true(fabsf(camera.yaw - scene->heading[last]) < 1e-3f);
    nm_viewer_press(viewer, 'f'); // the next one
    assert_true(nm_viewer_get(viewer).follow[0] != ego && nm_viewer_get(viewer).follow[0] != NM_NONE);
    nm_viewer_press(viewer, 'u');
    assert_int_equal(nm_viewer_get(viewer).follow[0], NM_NONE);
    assert_int_equal(nm_viewer_get(viewer).camera[0].kind, NM_CAMERA_FREE); // nobody to be behind
    nm_viewer_press(viewer, 'c');
    assert_int_equal(nm_viewer_get(viewer).camera[0].kind, NM_CAMERA_BIRD);
    nm_viewer_press(viewer, 'f');
    assert_int_equal(nm_viewer_get(viewer).follow[0], ego); // from nobody to the ego
    click(viewer, r.x + r.width / 2.0f, r.y + 60.0f);       // beside everybody
    assert_int_equal(nm_viewer_get(viewer).follow[0], NM_NONE);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void camera_by_mouse(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    test_open(viewer, 101, 0);
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, 0);
    const nm_camera before = nm_viewer_get(viewer).camera[0];
    const float scale = nm_camera_scale(&before, r.width, r.height);
    mouse(viewer, NM_VIEWER_MOUSE_DOWN, 200.0f, 200.0f, 1);
    mouse(viewer, NM_VIEWER_MOUSE_MOVE, 202.0f, 200.0f, 0); // a click shakes that much
    assert_true(nm_viewer_get(viewer).camera[0].target.x == before.target.x);
    mouse(viewer, NM_VIEWER_MOUSE_MOVE, 260.0f, 200.0f, 0);
    mouse(viewer, NM_VIEWER_MOUSE_UP, 260.0f, 200.0f, 1);
    nm_camera after = nm_viewer_get(viewer).camera[0];
    assert_true(fabsf(before.target.x - after.target.x - 60.0f / scale) < 3.0f / scale);
    assert_int_equal(nm_viewer_get(viewer).follow[0], NM_NONE); // a drag is no click
    mouse(viewer, NM_VIEWER_MOUSE_DOWN, 200.0f, 200.0f, 3);
    mouse(viewer, NM_VIEWER_MOUSE_MOVE, 300.0f, 200.0f, 0);
    mouse(viewer, NM_VIEWER_MOUSE_UP, 300.0f, 200.0f, 3);
    assert_true(nm_viewer_get(viewer).camera[0].yaw != after.yaw);
    nm_viewer_press(viewer, 'r');
    assert_memory_equal(&nm_viewer_get(viewer).camera[0], &before, sizeof before);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void layers_and_overlays(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    test_open(viewer, 101, 0);
    const uint32_t layers = nm_viewer_get(viewer).layers;
    const char *keys = "1234567890";
    for (const char *key = keys; *key; key++) {
        nm_viewer_press(viewer, *key);
        assert_true(nm_viewer_get(viewer).layers != layers);
        const nm_viewer_view *views;
        const nm_drawing *screen[2];
        uint32_t count;
        nm_error error;
        assert_int_equal(nm_viewer_compose(viewer, &views, &count, screen, &error), NM_OK);
        assert_int_equal(views[0].layers, nm_viewer_get(viewer).layers);
        nm_viewer_press(viewer, *key);
        assert_int_equal(nm_viewer_get(viewer).layers, layers);
    }
    nm_viewer_press(viewer, '1'); // no surface is left, not even what outlines the roads
    assert_int_equal(nm_viewer_get(viewer).layers & (1u << NM_LAYER_GROUND | 1u << NM_LAYER_CASING), 0);
    nm_viewer_press(viewer, '1');
    const float height = nm_viewer_pane_rect(viewer, 0).height;
    nm_viewer_press(viewer, 'g');
    assert_true(nm_viewer_pane_rect(viewer, 0).height > height);
    nm_viewer_press(viewer, 'n');
    assert_int_equal(nm_viewer_get(viewer).labels, 2);
    nm_viewer_press(viewer, 't');
    assert_int_equal(nm_viewer_get(viewer).theme, NM_THEME_DARK);
    assert_false(test_says(viewer, "play, pause"));
    nm_viewer_type(viewer, "?");
    assert_true(nm_viewer_get(viewer).help);
    assert_true(test_says(viewer, "play, pause"));
    nm_viewer_press(viewer, NM_KEY_ESCAPE); // closes the help, not the scene
    assert_false(nm_viewer_get(viewer).help);
    assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_SCENE);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void live_run(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    test_open(viewer, 101, 0);
    press_shift(viewer, NM_KEY_RIGHT);
    nm_viewer_press(viewer, 'l');
    nm_viewer_status s = nm_viewer_get(viewer);
    assert_true(s.live[0] && s.playing);
    assert_int_equal(s.steps[0], 11); // history and now
    for (int i = 0; i < 8; i++) nm_viewer_tick(viewer, 0.25f);
    s = nm_viewer_get(viewer);
    assert_int_equal(s.steps[0], 31); // two seconds later
    assert_true(fabs(s.time - 3.0) < 1e-6);
    assert_true(test_says(viewer, "LIVE"));
    nm_viewer_press(viewer, NM_KEY_SPACE);
    nm_viewer_press(viewer, NM_KEY_RIGHT); // one more step of the world
    assert_int_equal(nm_viewer_get(viewer).steps[0], 32);
    nm_viewer_press(viewer, NM_KEY_HOME); // looks back, the run stays
    assert_int_equal(nm_viewer_get(viewer).steps[0], 32);
    assert_true(nm_viewer_get(viewer).step[0] == 0.0f);
    nm_viewer_press(viewer, NM_KEY_SPACE);
    for (int i = 0; i < 60 && nm_viewer_get(viewer).playing; i++) nm_viewer_tick(viewer, 0.25f);
    s = nm_viewer_get(viewer);
    assert_int_equal(s.steps[0], 61); // 10 of history, now, 5 s
    assert_false(s.playing);
    assert_true(test_says(viewer, "over"));
    nm_viewer_press(viewer, 'l');
    s = nm_viewer_get(viewer);
    assert_false(s.live[0]);
    assert_int_equal(s.steps[0], 40);
    assert_true(s.time <= 3.9 + 1e-6); // back inside the recording
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

/// The live run is the world's: the same as a rollout from there.
static void live_run_is_a_rollout(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    test_open(viewer, 102, 0);
    nm_viewer_press(viewer, 'l');
    for (int i = 0; i < 12; i++) nm_viewer_tick(viewer, 0.25f);
    nm_viewer_press(viewer, NM_KEY_SPACE);
    nm_viewer_press(viewer, 'f');
    const nm_scene *same = test_drive(source.scenes[1], 30, 0);
    const nm_viewer_view *views;
    const nm_drawing *screen[2];
    uint32_t count;
    nm_error error;
    assert_int_equal(nm_viewer_compose(viewer, &views, &count, screen, &error), NM_OK);
    const size_t at = nm_scene_at(same, same->ego, 30);
    assert_int_equal(nm_viewer_get(viewer).step[0], 30);
    assert_true(same->valid[at]);
    assert_true(views[0].camera.target.x == same->x[at] && views[0].camera.target.y == same->y[at]);
    nm_scene_destroy(same);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void window_events(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    test_open(viewer, 101, 0);
    nm_viewer_press(viewer, NM_KEY_SPACE);
    nm_viewer_event event = no_event;
    event.kind = NM_VIEWER_RESIZE;
    const int sizes[][2] = {{1600, 1000}, {160, 160}, {1, 1}, {0, 0}, {-5, 3}, {100000, 20}, {900, 700}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) { // while it plays
        event.width = sizes[i][0];
        event.height = sizes[i][1];
        nm_viewer_event_handle(viewer, &event);
        nm_viewer_tick(viewer, 0.01f);
        test_says(viewer, "");
        const nm_viewer_rect r = nm_viewer_pane_rect(viewer, 0);
        assert_true(r.width >= 1.0f && r.height >= 1.0f && r.width <= 8192.0f);
    }
    assert_true(nm_viewer_pane_rect(viewer, 0).width == 900.0f);
    const double time = nm_viewer_get(viewer).time;
    nm_viewer_event hidden = no_event;
    hidden.kind = NM_VIEWER_VISIBILITY;
    nm_viewer_event_handle(viewer, &hidden);
    assert_false(nm_viewer_get(viewer).visible);
    assert_false(nm_viewer_get(viewer).animating);
    nm_viewer_tick(viewer, 0.25f); // time stands still behind the curtain
    assert_true(nm_viewer_get(viewer).time == time);
    hidden.amount = 1.0f;
    nm_viewer_event_handle(viewer, &hidden);
    nm_viewer_tick(viewer, 0.25f);
    assert_true(nm_viewer_get(viewer).time > time);
    event = no_event;
    event.kind = NM_VIEWER_CLOSE;
    nm_viewer_event_handle(viewer, &event);
    assert_true(nm_viewer_get(viewer).closed);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void screenshots_and_titles(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    char text[256];
    assert_false(nm_viewer_take_screenshot(viewer, text, sizeof text));
    nm_viewer_press(viewer, 's');
    assert_true(nm_viewer_take_screenshot(viewer, text, sizeof text));
    assert_string_equal(text, "nearmiss-list.png");
    assert_false(nm_viewer_take_screenshot(viewer, text, sizeof text)); // once
    nm_viewer_title(viewer, text, sizeof text);
    assert_string_equal(text, "nearmiss: list, 12 scenes, number 1 selected");
    test_open(viewer, 102, 0);
    press_shift(viewer, NM_KEY_RIGHT);
    nm_viewer_press(viewer, NM_KEY_F12);
    assert_true(nm_viewer_take_screenshot(viewer, text, sizeof text));
    assert_string_equal(text, "nearmiss-102-1.00s.png");
    nm_viewer_title(viewer, text, sizeof text);
    assert_string_equal(text, "nearmiss: scene 102, 1.00 s, paused, speed 1, follow nobody, bird, recorded");
    nm_viewer_say(viewer, "50%% of\x1b[31m %s", "it"); // no control characters on the screen
    assert_string_equal(nm_viewer_get(viewer).message, "50% of\\x1b[31m it");
    nm_viewer_press(viewer, 'q');
    assert_true(nm_viewer_get(viewer).closed);
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static uint64_t capacities(const nm_drawing *drawing) {
    uint64_t sum = 0;
    for (int i = 0; i < 7; i++) sum += drawing->capacity[i];
    return sum;
}

static void frames_do_not_allocate(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 800, 600);
    const nm_viewer_view *views;
    const nm_drawing *screen[2];
    uint32_t count;
    uint64_t before = 0;
    nm_error error;
    test_open(viewer, 101, 0);
    for (int round = 0; round < 2; round++) {
        nm_viewer_press(viewer, NM_KEY_HOME);
        for (int i = 0; i < 40; i++) {
            assert_int_equal(nm_viewer_compose(viewer, &views, &count, screen, &error), NM_OK);
            nm_viewer_press(viewer, NM_KEY_RIGHT);
        }
        const uint64_t now = capacities(screen[0]) + capacities(views[0].world[0]) + capacities(views[0].world[1]);
        if (round == 1) assert_int_equal(now, before);
        before = now;
    }
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void bad_configurations(void **state) {
    (void)state;
    nm_viewer *viewer;
    nm_error error;
    nm_viewer_config config = nm_viewer_config_default();
    config.width = 10;
    assert_int_equal(nm_viewer_create(&config, &viewer, &error), NM_E_ARGUMENT);
    assert_null(viewer);
    config = nm_viewer_config_default();
    config.live_seconds = NAN;
    assert_int_equal(nm_viewer_create(&config, &viewer, &error), NM_E_ARGUMENT);
    config = nm_viewer_config_default();
    config.thumbnails = 0;
    assert_int_equal(nm_viewer_create(&config, &viewer, &error), NM_E_ARGUMENT);
    config = nm_viewer_config_default();
    config.theme = (nm_theme_kind)7;
    assert_int_equal(nm_viewer_create(&config, &viewer, &error), NM_E_ARGUMENT);
    config = nm_viewer_config_default(); // no source at all: an empty list
    assert_int_equal(nm_viewer_create(&config, &viewer, &error), NM_OK);
    nm_viewer_type(viewer, "/x");
    nm_viewer_press(viewer, NM_KEY_ENTER);
    nm_viewer_press(viewer, NM_KEY_SPACE);
    nm_viewer_press(viewer, NM_KEY_TAB);
    assert_int_equal(nm_viewer_open(viewer, 1, 0, &error), NM_E_NOT_FOUND);
    assert_int_equal(nm_viewer_start_live(viewer, &error), NM_E_NOT_FOUND);
    assert_true(test_says(viewer, "there is no scene"));
    nm_viewer_destroy(viewer);
}

// What is held with the mouse may be closed from the keyboard.
static void closing_what_the_mouse_holds(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 900, 700);
    for (int where = 0; where < 3; where++) { // world, graphs, time line
        test_open(viewer, 101, 0);
        const nm_viewer_rect r = nm_viewer_pane_rect(viewer, 0), t = nm_viewer_timeline_rect(viewer);
        const float y = where == 0 ? 100.0f : where == 1 ? r.y + r.height + 40.0f : t.y + 10.0f;
        mouse(viewer, NM_VIEWER_MOUSE_DOWN, 300.0f, y, 1);
        nm_viewer_press(viewer, 'x');
        assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_LIST);
        mouse(viewer, NM_VIEWER_MOUSE_MOVE, 400.0f, y + 50.0f, 1);
        mouse(viewer, NM_VIEWER_MOUSE_UP, 400.0f, y + 50.0f, 1);
        assert_int_equal(nm_viewer_get(viewer).mode, NM_VIEWER_LIST);
    }
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

static void two_scenes_in_the_smallest_window(void **state) {
    (void)state;
    test_source source;
    test_source_begin(&source);
    nm_viewer *viewer = test_viewer(&source, 900, 700);
    nm_viewer_event event = no_event;
    test_open(viewer, 101, 0);
    test_open(viewer, 102, 1);
    event.kind = NM_VIEWER_RESIZE;
    event.width = event.height = 1;
    nm_viewer_event_handle(viewer, &event);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(nm_viewer_pane_rect(viewer, i).width >= 1.0f);
        assert_true(nm_viewer_pane_rect(viewer, i).height >= 1.0f);
    }
    nm_viewer_press(viewer, 'r');
    assert_true(isfinite(nm_viewer_get(viewer).camera[1].span));
    assert_false(test_says(viewer, "no such text"));
    nm_viewer_destroy(viewer);
    test_source_end(&source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_selects_and_opens),
        cmocka_unit_test(filter_is_typed),
        cmocka_unit_test(thumbnails_are_bounded),
        cmocka_unit_test(time_stays_in_the_scene),
        cmocka_unit_test(scrubbing),
        cmocka_unit_test(side_by_side),
        cmocka_unit_test(following),
        cmocka_unit_test(camera_by_mouse),
        cmocka_unit_test(layers_and_overlays),
        cmocka_unit_test(live_run),
        cmocka_unit_test(live_run_is_a_rollout),
        cmocka_unit_test(window_events),
        cmocka_unit_test(screenshots_and_titles),
        cmocka_unit_test(frames_do_not_allocate),
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(closing_what_the_mouse_holds),
        cmocka_unit_test(two_scenes_in_the_smallest_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
