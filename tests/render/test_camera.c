/// Cameras: pixels and ground are each other's inverse, and what mouse and keys do keeps what it promises.
#include "render/camera.h"
#include "render/dice.h"
#include "support.h"

static const float W = 1280, H = 720;

static nm_camera random_camera(dice *rng, int index) {
    nm_camera camera = nm_camera_default();
    const float far = index % 3 == 2 ? 50000.0f : 100.0f;
    camera.kind = (nm_camera_kind)(index % 3);
    camera.yaw = 6.0f * dice_roll(rng) - 3.0f;
    camera.target = (nm_point){far * dice_roll(rng), -far * dice_roll(rng), 5.0f * dice_roll(rng)};
    camera.span = 20.0f + 300.0f * dice_roll(rng);
    camera.distance = 5.0f + 100.0f * dice_roll(rng);
    if (camera.kind != NM_CAMERA_BIRD) camera.pitch = 0.3f + 1.2f * dice_roll(rng);
    return camera;
}

static void project_undoes_unproject(void **state) {
    (void)state;
    dice rng = dice_of(5);
    int met = 0;
    for (int i = 0; i < 3000; i++) {
        const nm_camera camera = random_camera(&rng, i);
        const float px = W * dice_roll(&rng), py = H * dice_roll(&rng), z = 3.0f * dice_roll(&rng);
        nm_point ground;
        float qx, qy;
        if (!nm_camera_unproject(&camera, W, H, px, py, z, &ground)) continue;
        met++;
        assert_true(ground.z == z);
        assert_int_equal(nm_camera_project(&camera, W, H, ground, &qx, &qy), 1);
        // floats 50 km away have steps of 4 mm
        const float slack = 0.01f + 0.008f * nm_camera_scale(&camera, W, H) * (camera.kind == NM_CAMERA_FREE ? 20 : 1);
        if (fabsf(qx - px) > slack || fabsf(qy - py) > slack)
            fail_msg("camera %d: (%g, %g) came back as (%g, %g)", i, (double)px, (double)py, (double)qx, (double)qy);
    }
    assert_true(met > 2000);
}

static void matrix_and_project_agree(void **state) {
    (void)state;
    dice rng = dice_of(6);
    for (int i = 0; i < 500; i++) {
        nm_camera camera = random_camera(&rng, i);
        camera.target.x = fmodf(camera.target.x, 100.0f), camera.target.y = fmodf(camera.target.y, 100.0f);
        float m[16], px, py;
        nm_camera_matrix(&camera, W, H, m);
        const nm_point p = {camera.target.x + 4 * dice_roll(&rng), camera.target.y - 4 * dice_roll(&rng), 1.0f};
        float clip[4];
        for (int r = 0; r < 4; r++) clip[r] = m[r] * p.x + m[4 + r] * p.y + m[8 + r] * p.z + m[12 + r];
        assert_int_equal(nm_camera_project(&camera, W, H, p, &px, &py), 1);
        assert_true(fabsf(0.5f * W * (1 + clip[0] / clip[3]) - px) < 0.1f);
        assert_true(fabsf(0.5f * H * (1 - clip[1] / clip[3]) - py) < 0.1f);
        assert_true(fabsf(clip[2]) <= clip[3]); // visible: between near and far
        const nm_point higher = {p.x, p.y, p.z + 1.0f};
        float above[4];
        for (int r = 0; r < 4; r++) above[r] = m[r] * higher.x + m[4 + r] * higher.y + m[8 + r] * higher.z + m[12 + r];
        if (camera.kind == NM_CAMERA_BIRD) assert_true(above[2] < clip[2]); // what is higher hides what is lower
    }
}

static void north_is_up_and_east_right(void **state) {
    (void)state;
    const nm_camera camera = nm_camera_default();
    float px, py;
    assert_true(nm_camera_project(&camera, W, H, (nm_point){10, 0, 0}, &px, &py));
    assert_true(fabsf(px - (W / 2 + 10 * H / 100)) < 0.01f && fabsf(py - H / 2) < 0.01f);
    assert_true(nm_camera_project(&camera, W, H, (nm_point){0, 10, 0}, &px, &py));
    assert_true(fabsf(px - W / 2) < 0.01f && fabsf(py - (H / 2 - 10 * H / 100)) < 0.01f);
    assert_true(fabsf(nm_camera_scale(&camera, W, H) - H / 100) < 1e-3f);
    nm_camera east = camera;
    east.yaw = 0; // up is east
    assert_true(nm_camera_project(&east, W, H, (nm_point){10, 0, 0}, &px, &py));
    assert_true(fabsf(px - W / 2) < 0.01f && py < H / 2);
}

static void zoom_keeps_what_is_under_the_pixel(void **state) {
    (void)state;
    dice rng = dice_of(7);
    int met = 0;
    for (int i = 0; i < 600; i++) {
        nm_camera camera = random_camera(&rng, i % 3 == 2 ? 3 * i + 1 : i);
        const float px = W * dice_roll(&rng), py = H * (0.4f + 0.6f * dice_roll(&rng));
        const float factor = 0.5f + 1.5f * dice_roll(&rng), scale = nm_camera_scale(&camera, W, H);
        nm_point before, after;
        if (!nm_camera_unproject(&camera, W, H, px, py, camera.target.z, &before)) continue;
        if (hypotf(before.x - camera.target.x, before.y - camera.target.y) > 10 * camera.distance) continue;
        nm_camera_zoom(&camera, W, H, px, py, factor);
        met++;
        assert_true(fabsf(nm_camera_scale(&camera, W, H) / scale - factor) < 1e-3f);
        assert_true(nm_camera_unproject(&camera, W, H, px, py, camera.target.z, &after));
        assert_true(hypotf(before.x - after.x, before.y - after.y) < 0.02f);
    }
    assert_true(met > 300);
    nm_camera camera = nm_camera_default();
    for (int i = 0; i < 100; i++) nm_camera_zoom(&camera, W, H, 10, 10, 2.0f);
    assert_true(camera.span == 1.0f);
    for (int i = 0; i < 100; i++) nm_camera_zoom(&camera, W, H, 10, 10, 0.5f);
    assert_true(camera.span == 2e5f && isfinite(camera.target.x));
}

static void drag_keeps_the_ground_under_the_mouse(void **state) {
    (void)state;
    dice rng = dice_of(8);
    for (int i = 0; i < 600; i++) {
        nm_camera camera = random_camera(&rng, i % 3 == 2 ? 3 * i + 1 : i);
        camera.pitch = fmaxf(camera.pitch, 0.6f);
        const float ax = W * dice_roll(&rng), ay = H * (0.3f + 0.7f * dice_roll(&rng));
        const float bx = W * dice_roll(&rng), by = H * (0.3f + 0.7f * dice_roll(&rng));
        nm_point before, after;
        assert_true(nm_camera_unproject(&camera, W, H, ax, ay, camera.target.z, &before));
        nm_camera_drag(&camera, W, H, ax, ay, bx, by);
        assert_true(nm_camera_unproject(&camera, W, H, bx, by, camera.target.z, &after));
        assert_true(hypotf(before.x - after.x, before.y - after.y) < 0.02f);
    }
    // the sky cannot be dragged
    nm_camera camera = nm_camera_behind((nm_point){0, 0, 0}, 0, 4.5f);
    const nm_camera same = camera;
    nm_camera_drag(&camera, W, H, 100, 1, 100, 700);
    assert_memory_equal(&camera, &same, sizeof same);
    nm_point ground;
    assert_int_equal(nm_camera_unproject(&camera, W, H, 100, 1, 0, &ground), 0);
}

static void fit_shows_all(void **state) {
    (void)state;
    dice rng = dice_of(9);
    for (int i = 0; i < 200; i++) {
        const nm_point least = {1000 * dice_roll(&rng), -1000 * dice_roll(&rng), 0};
        const nm_point most = {least.x + 500 * dice_roll(&rng), least.y + 500 * dice_roll(&rng), 0};
        const float w = 200 + 1500 * dice_roll(&rng), h = 200 + 1500 * dice_roll(&rng), margin = 0.1f;
        const nm_camera camera = nm_camera_fit(least, most, w, h, margin);
        const nm_point corners[2] = {least, most};
        for (int k = 0; k < 2; k++) {
            float px, py;
            assert_true(nm_camera_project(&camera, w, h, corners[k], &px, &py));
            assert_true(px >= margin * w - 0.1f && px <= w - margin * w + 0.1f);
            assert_true(py >= margin * h - 0.1f && py <= h - margin * h + 0.1f);
        }
        // and not much more than all
        const float fill = fmaxf((most.x - least.x) / (camera.span * w / h), (most.y - least.y) / camera.span);
        assert_true(camera.span == 10.0f || fabsf(fill - 0.8f) < 0.01f);
    }
    assert_true(nm_camera_fit((nm_point){1, 1, 0}, (nm_point){0, 0, 0}, W, H, 0.1f).span == 100.0f);
    assert_true(nm_camera_fit((nm_point){NAN, 1, 0}, (nm_point){0, 0, 0}, W, H, 0.1f).span == 100.0f);
}

static void behind_looks_at_the_agent_from_behind(void **state) {
    (void)state;
    const float headings[3] = {0, 2.0f, -3.0f};
    for (int i = 0; i < 3; i++) {
        const nm_point car = {100, -50, 0};
        const nm_camera camera = nm_camera_behind(car, headings[i], 4.5f);
        const float c = cosf(headings[i]), s = sinf(headings[i]);
        // where the eye is: the target less the distance along the view
        const float ex = camera.target.x - camera.distance * cosf(camera.pitch) * cosf(camera.yaw);
        const float ey = camera.target.y - camera.distance * cosf(camera.pitch) * sinf(camera.yaw);
        const float ez = camera.target.z + camera.distance * sinf(camera.pitch);
        assert_true(fabsf(c * (ex - car.x) + s * (ey - car.y) + 8) < 1e-3f);
        assert_true(fabsf(-s * (ex - car.x) + c * (ey - car.y)) < 1e-3f);
        assert_true(fabsf(ez - 4) < 1e-3f);
        float px, py, ax, ay;
        assert_true(nm_camera_project(&camera, W, H, car, &px, &py));
        assert_true(fabsf(px - W / 2) < 1 && py > H / 2 && py < H);
        const nm_point ahead = {car.x + 200 * c, car.y + 200 * s, 0}, back = {car.x - 20 * c, car.y - 20 * s, 0};
        assert_true(nm_camera_project(&camera, W, H, ahead, &ax, &ay) && ay > 0 && ay < py);
        assert_false(nm_camera_project(&camera, W, H, back, &ax, &ay));
        assert_true(nm_camera_behind(car, headings[i], 18.0f).distance > camera.distance + 10);
    }
}

static void orbit_stays_in_range(void **state) {
    (void)state;
    nm_camera camera = nm_camera_behind((nm_point){0, 0, 0}, 0, 4.5f);
    for (int i = 0; i < 100; i++) nm_camera_orbit(&camera, 1.0f, 0.3f);
    assert_true(fabsf(camera.pitch - 1.57079633f) < 1e-6f && fabsf(camera.yaw) <= 3.1416f);
    for (int i = 0; i < 100; i++) nm_camera_orbit(&camera, 0, -0.3f);
    assert_true(camera.pitch > 0);
    nm_camera bird = nm_camera_default();
    nm_camera_orbit(&bird, 0.5f, -1);
    assert_true(fabsf(bird.pitch - 1.57079633f) < 1e-6f && fabsf(bird.yaw - 2.0707963f) < 1e-5f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(project_undoes_unproject),
        cmocka_unit_test(matrix_and_project_agree),
        cmocka_unit_test(north_is_up_and_east_right),
        cmocka_unit_test(zoom_keeps_what_is_under_the_pixel),
        cmocka_unit_test(drag_keeps_the_ground_under_the_mouse),
        cmocka_unit_test(fit_shows_all),
        cmocka_unit_test(behind_looks_at_the_agent_from_behind),
        cmocka_unit_test(orbit_stays_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
