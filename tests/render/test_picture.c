/// Whole pictures, as far as they need no GL: whom the camera follows, and how.
#include "render/picture.h"
#include "render/stage.h"

static nm_picture *make(const stage *s, const nm_picture_options *options) {
    nm_picture *picture = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_picture_create(&s->scene, options, "title", &picture, &error) != NM_OK) fail_msg("%s", error.message);
    return picture;
}

static float away(nm_camera camera, float x, float y) {
    return hypotf(camera.target.x - x, camera.target.y - y);
}

/// An ego to the east, one behind it, one far off to the north, one parked even farther.
static stage street(void) {
    stage s = stage_of(nm_test_road(200), 4, 101);
    stage_drive(&s, 0, 0, 0, 0, 10);
    stage_drive(&s, 1, -20, 0, 0, 12);
    stage_drive(&s, 2, 0, 300, 0, 5);
    stage_drive(&s, 3, 0, 900, 0, 0);
    s.tracks[3].flags = NM_TRACK_STATIC;
    s.scene.ego = 0;
    return s;
}

static void the_camera_follows_whom_it_should(void **state) {
    (void)state;
    stage s = street();
    const nm_moment moments[2] = {{50, 55, 60, 1, 2, "small", 0.1f}, {20, 30, 40, 1, 0, "large", 0.9f}};
    nm_picture_options options = nm_picture_options_default();
    nm_picture *picture = make(&s, &options);
    // no moment: the ego, at constant speed exactly
    assert_true(away(nm_picture_camera(picture, 50, 1280, 720), 50, 0) < 0.1f);
    assert_true(away(nm_picture_camera(picture, 0, 1280, 720), 0, 0) < 5.0f);
    options.frame.moments = moments, options.frame.moment_count = 2;
    nm_picture_set_options(picture, &options); // the worst of them: between 1 and 0
    const float x = 0.5f * (50.0f + (-20.0f + 60.0f));
    assert_true(away(nm_picture_camera(picture, 50, 1280, 720), x, 0) < 0.1f);
    options.follow = NM_FOLLOW_TRACK, options.track = 2;
    nm_picture_set_options(picture, &options);
    assert_true(away(nm_picture_camera(picture, 50, 1280, 720), 25, 300) < 0.1f);
    options.span = 77;
    nm_picture_set_options(picture, &options);
    assert_true(nm_picture_camera(picture, 50, 1280, 720).span == 77);
    nm_picture_destroy(picture);
    stage_strike(&s);
}

static void nobody_followed_shows_all_that_moves(void **state) {
    (void)state;
    stage s = street();
    nm_picture_options options = nm_picture_options_default();
    options.follow = NM_FOLLOW_NONE;
    nm_picture *picture = make(&s, &options);
    const nm_viewport world = nm_picture_world(picture, (nm_viewport){0, 0, 1280, 720, 720});
    const nm_camera camera = nm_picture_camera(picture, 50, 1280, 720);
    const nm_point corners[2] = {{-22, 0, 0}, {102, 300, 0}};
    for (int i = 0; i < 2; i++) {
        float px, py;
        assert_true(nm_camera_project(&camera, (float)world.width, (float)world.height, corners[i], &px, &py));
        assert_true(px >= 0 && px <= 1280 && py >= 0 && py <= (float)world.height);
    }
    assert_true(camera.span < 500); // the parked one is not what moves
    const nm_camera later = nm_picture_camera(picture, 90, 1280, 720);
    assert_memory_equal(&camera, &later, sizeof camera);
    nm_picture_destroy(picture);
    stage_strike(&s);
}

static void the_camera_does_not_jump(void **state) {
    (void)state;
    stage s = stage_of(nm_test_road(200), 1, 101);
    for (uint32_t t = 0; t < 101; t++) // trembles by half a metre, as recordings do
        stage_put(&s, 0, t, (float)t, t % 2 ? 0.5f : 0.0f, 0, 10);
    s.scene.ego = 0;
    nm_picture_options options = nm_picture_options_default();
    nm_picture *picture = make(&s, &options);
    nm_camera before = nm_picture_camera(picture, 0, 1280, 720);
    for (float step = 0.25f; step <= 100; step += 0.25f) {
        const nm_camera now = nm_picture_camera(picture, step, 1280, 720);
        assert_true(now.target.x >= before.target.x && now.target.x - before.target.x < 0.5f);
        assert_true(fabsf(now.target.y - before.target.y) < 0.13f);
        before = now;
    }
    nm_picture_destroy(picture);
    stage_strike(&s);
}

static void chasing_is_behind_who_suffers(void **state) {
    (void)state;
    stage s = street();
    const nm_moment moment = {20, 30, 40, 1, 0, "cut_in", 0.9f};
    nm_picture_options options = nm_picture_options_default();
    options.camera = NM_CAMERA_CHASE;
    options.frame.moments = &moment, options.frame.moment_count = 1;
    nm_picture *picture = make(&s, &options);
    const nm_camera camera = nm_picture_camera(picture, 50, 1280, 720);
    assert_int_equal(camera.kind, NM_CAMERA_CHASE);
    assert_true(fabsf(camera.yaw) < 1e-4f && away(camera, 50, 0) < 15 && camera.target.x > 50);
    nm_picture_destroy(picture);
    stage_strike(&s);
}

static void strange_scenes_have_a_camera(void **state) {
    (void)state;
    stage s = stage_of(nm_test_road(200), 2, 3);
    nm_picture_options options = nm_picture_options_default();
    for (int kind = 0; kind < 3; kind++) {
        for (int follow = 0; follow < 4; follow++) { // nobody is ever valid
            options.camera = (nm_camera_kind)kind, options.follow = (nm_follow_kind)follow, options.track = 1;
            nm_picture *picture = make(&s, &options);
            const nm_camera camera = nm_picture_camera(picture, 1, 640, 480);
            assert_true(isfinite(camera.target.x) && isfinite(camera.span) && camera.span > 0 && camera.distance > 0);
            nm_picture_destroy(picture);
        }
    }
    options.follow = NM_FOLLOW_TRACK, options.track = 2;
    nm_picture *picture = NULL;
    nm_error error;
    assert_int_equal(nm_picture_create(&s.scene, &options, NULL, &picture, &error), NM_E_ARGUMENT);
    assert_null(picture);
    assert_non_null(strstr(error.message, "no track 2"));
    nm_picture_destroy(NULL);
    stage_strike(&s);
}

static void the_panel_takes_its_part(void **state) {
    (void)state;
    stage s = street();
    nm_picture_options options = nm_picture_options_default();
    nm_picture *picture = make(&s, &options);
    nm_viewport v = nm_picture_world(picture, (nm_viewport){10, 20, 1280, 720, 800});
    assert_true(v.x == 10 && v.y == 20 && v.width == 1280 && v.height > 400 && v.height < 600 && v.full_height == 800);
    assert_int_equal(nm_picture_world(picture, (nm_viewport){0, 0, 200, 150, 150}).height, 150); // too small for one
    options.panel = 0;
    nm_picture_set_options(picture, &options);
    assert_int_equal(nm_picture_world(picture, (nm_viewport){0, 0, 1280, 720, 720}).height, 720);
    nm_picture_destroy(picture);
    stage_strike(&s);
}

static void nobody_there_shows_the_map(void **state) {
    (void)state;
    stage s = stage_of(nm_test_road(200), 0, 1);
    const nm_picture_options options = nm_picture_options_default();
    nm_picture *picture = make(&s, &options);
    const nm_camera camera = nm_picture_camera(picture, 0, 1280, 720);
    for (int end = 0; end < 2; end++) {
        float x, y;
        assert_true(nm_camera_project(&camera, 1280, 500, (nm_point){end ? 200.0f : 0.0f, 0, 0}, &x, &y));
        assert_true(end ? x > 1000 && x < 1280 : x > 0 && x < 280);
    }
    nm_picture_destroy(picture);
    stage_strike(&s);
}

static int stop_at_third(void *context) {
    return ++*(int *)context == 3;
}

static void creating_can_be_stopped(void **state) {
    (void)state;
    stage s = stage_of(nm_test_road(200), 2, 50);
    for (uint32_t i = 0; i < 2; i++) stage_drive(&s, i, 0, 10 * (float)i, 0, 10);
    nm_picture_options options = nm_picture_options_default();
    nm_picture *picture = NULL;
    nm_error error;
    int asked = 0;
    options.stop = stop_at_third, options.stop_context = &asked;
    assert_int_equal(nm_picture_create(&s.scene, &options, NULL, &picture, &error), NM_E_CANCELLED);
    assert_null(picture);
    assert_int_equal(asked, 3);
    nm_series series;
    asked = 0;
    assert_int_equal(nm_series_create_until(&s.scene, stop_at_third, &asked, &series, &error), NM_E_CANCELLED);
    assert_true(series.steps == 0 && !series.min_ttc);
    stage_strike(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_camera_follows_whom_it_should), cmocka_unit_test(nobody_followed_shows_all_that_moves),
        cmocka_unit_test(the_camera_does_not_jump),          cmocka_unit_test(chasing_is_behind_who_suffers),
        cmocka_unit_test(strange_scenes_have_a_camera),      cmocka_unit_test(the_panel_takes_its_part),
        cmocka_unit_test(nobody_there_shows_the_map),        cmocka_unit_test(creating_can_be_stopped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
