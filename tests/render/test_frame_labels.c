/// Where names go: clear of agents, next to whom they belong to, once, and fewer where there is little room.
#include "support.h"

#include "render/camera.h"
#include "render/scene_drawing.h"
#include "render/stage.h"

#define LETTER 0.85f ///< px of width a px of size, as DejaVu Sans has it on average

typedef struct seen {
    nm_drawing drawing;
    nm_camera camera;
    float width, height;
} seen;

static void look(seen *v, const stage *s, nm_frame_options options) {
    options.camera = &v->camera, options.view_width = v->width, options.view_height = v->height;
    nm_drawing_clear(&v->drawing);
    nm_draw_frame(&v->drawing, &s->scene, 0, &options, nm_theme_of(NM_THEME_DAY));
}

static const char *text_of(const seen *v, uint32_t index) {
    return v->drawing.text + v->drawing.labels[index].text;
}

static uint32_t count_of(const seen *v, const char *text) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < v->drawing.label_count; i++) count += strstr(text_of(v, i), text) != NULL;
    return count;
}

static void place_of(const seen *v, uint32_t label, float *x, float *y) {
    const nm_label *l = &v->drawing.labels[label];
    assert_true(nm_camera_project(&v->camera, v->width, v->height, (nm_point){l->x, l->y, l->z}, x, y));
}

static seen from_above(float width, float height, float span) {
    seen v = {.camera = nm_camera_default(), .width = width, .height = height};
    v.camera.span = span;
    v.camera.yaw = 1.57079633f; // north is up: heading 0 lies to the right
    nm_drawing_init(&v.drawing, NM_SPACE_WORLD);
    return v;
}

/// Cars in lanes side by side, an ego among them.
static stage queue(void) {
    stage s = stage_of(nm_test_road(200), 24, 1);
    for (uint32_t i = 0; i < 24; i++)
        stage_put(&s, i, 0, -33.0f + 11.0f * (float)(i % 8) + (float)(i / 8), 3.5f * (float)(i / 8) - 3.5f, 0, 5);
    s.scene.ego = 12;
    return s;
}

static void names_keep_off_agents(void **state) {
    (void)state;
    stage s = queue();
    seen v = from_above(1280, 720, 130); // a name is about as high as the gap between two lanes
    nm_frame_options options = nm_frame_options_default();
    options.labels = 2;
    look(&v, &s, options);
    assert_true(v.drawing.label_count >= 8);
    assert_int_equal(count_of(&v, "ego"), 1);
    const float scale = nm_camera_scale(&v.camera, v.width, v.height);
    for (uint32_t i = 0; i < v.drawing.label_count; i++)
        for (uint32_t k = 0; k < 24; k++) {
            float x, y, car_x, car_y;
            const nm_point car = {s.fields[0][k], s.fields[1][k], 0};
            place_of(&v, i, &x, &y);
            assert_true(nm_camera_project(&v.camera, v.width, v.height, car, &car_x, &car_y));
            const float half = 0.5f * LETTER * v.drawing.labels[i].size * (float)strlen(text_of(&v, i));
            if (fabsf(x - car_x) < half + 2.0f * scale &&
                fabsf(y - car_y) < 0.5f * v.drawing.labels[i].size + 1.0f * scale)
                fail_msg("'%s' lies on car %u", text_of(&v, i), 100 + k);
        }
    nm_drawing_free(&v.drawing);
    stage_strike(&s);
}

static void small_pictures_have_few_and_small_names(void **state) {
    (void)state;
    stage s = queue();
    const nm_moment moment = {0, 0, 0, 3, 4, "cut_in", 0.5f};
    nm_frame_options options = nm_frame_options_default();
    options.labels = 2, options.moments = &moment, options.moment_count = 1;
    seen v = from_above(250, 140, 60);
    look(&v, &s, options);
    assert_int_equal(v.drawing.label_count, 1);
    assert_string_equal(text_of(&v, 0), "ego");
    v.width = 480, v.height = 270;
    look(&v, &s, options);
    assert_true(v.drawing.label_count > 5 && count_of(&v, "cut in") == 1 && count_of(&v, "ego  5 m/s") == 1);
    float largest = 0;
    for (uint32_t i = 0; i < v.drawing.label_count; i++) largest = fmaxf(largest, v.drawing.labels[i].size);
    v.width = 1280, v.height = 720;
    look(&v, &s, options);
    float full = 0;
    for (uint32_t i = 0; i < v.drawing.label_count; i++) full = fmaxf(full, v.drawing.labels[i].size);
    assert_float_equal(largest, 0.8f * full, 1e-4f);
    nm_drawing_free(&v.drawing);
    stage_strike(&s);
}

static void a_kind_is_named_once_for_an_agent(void **state) {
    (void)state;
    stage s = stage_of(nm_test_road(200), 4, 1);
    stage_put(&s, 0, 0, 0, 0, 0, 5);
    stage_put(&s, 1, 0, 2, 0.5f, 0, 5); // both overlap
    stage_put(&s, 2, 0, 30, 0, 0, 5);
    stage_put(&s, 3, 0, 31, 0.5f, 0, 5); // and so do these, of which no moment speaks
    const nm_moment moments[4] = {{0, 0, 0, 0, 1, "collision", 1},
                                  {0, 0, 0, 1, 0, "collision", 1},
                                  {0, 0, 0, 0, 1, "near_miss", 1},
                                  {0, 0, 0, 1, NM_NONE, NULL, 1}};
    nm_frame_options options = nm_frame_options_default();
    options.moments = moments, options.moment_count = 4;
    seen v = from_above(1280, 720, 80);
    look(&v, &s, options);
    assert_int_equal(count_of(&v, "near miss"), 1);
    assert_int_equal(count_of(&v, "collision"), 2); // of the moment, and of the other pair
    nm_drawing_free(&v.drawing);
    stage_strike(&s);
}

/// Behind a car at 8 m a metre is 70 px: names that were stacked by metres flew away from it.
static void names_stay_near_in_perspective(void **state) {
    (void)state;
    stage s = stage_of(nm_test_road(200), 1, 1);
    stage_put(&s, 0, 0, 0, 0, 0, 5);
    s.scene.ego = 0;
    const nm_moment moments[3] = {{0, 0, 0, 0, NM_NONE, "hard_brake", 1},
                                  {0, 0, 0, 0, NM_NONE, "cut_in", 1},
                                  {0, 0, 0, 0, NM_NONE, "wrong_way", 1}};
    nm_frame_options options = nm_frame_options_default();
    options.moments = moments, options.moment_count = 3;
    seen v = {.camera = nm_camera_behind((nm_point){0, 0, 0}, 0, 4), .width = 1280, .height = 504};
    nm_drawing_init(&v.drawing, NM_SPACE_WORLD);
    look(&v, &s, options);
    assert_int_equal(v.drawing.label_count, 4);
    assert_string_equal(text_of(&v, 0), "ego  5 m/s"); // nearest to it
    float x, y, above;
    place_of(&v, 0, &x, &y);
    for (uint32_t i = 1; i < 4; i++, y = above) {
        place_of(&v, i, &x, &above);
        assert_true(y - above > 15 && y - above < 25);
    }
    nm_drawing_free(&v.drawing);
    stage_strike(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_keep_off_agents), cmocka_unit_test(small_pictures_have_few_and_small_names),
        cmocka_unit_test(a_kind_is_named_once_for_an_agent), cmocka_unit_test(names_stay_near_in_perspective)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
