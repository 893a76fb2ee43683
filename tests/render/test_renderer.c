/// What is drawn where, pixel by pixel, from drawings made by hand.
#include "render/support_gl.h"

#include <malloc.h>
#include <time.h>

#include "render/gl/gl_internal.h"

#define SIZE 200
#define MIDDLE (SIZE / 2)

static const nm_rgba black = {0, 0, 0, 255}, white = {255, 255, 255, 255}, red = {255, 0, 0, 255},
                     half_red = {255, 0, 0, 128};

/// 20 m high: 10 px a metre, the origin in the middle of the picture.
typedef struct bench {
    nm_headless *headless;
    nm_renderer *renderer;
    nm_viewport viewport;
    nm_camera camera;
    nm_drawing world, more, screen;
    uint8_t pixels[4 * SIZE * SIZE];
} bench;

static bench *b; // of the test that runs

static int set_up(void **state) {
    (void)state;
    b = calloc(1, sizeof *b);
    b->headless = nm_test_headless(SIZE, SIZE);
    if (!b->headless) return 0;
    b->renderer = nm_headless_renderer(b->headless);
    b->viewport = nm_headless_viewport(b->headless);
    b->camera = nm_camera_default();
    b->camera.span = 20.0f;
    b->camera.yaw = 1.57079633f;
    nm_drawing_init(&b->world, NM_SPACE_WORLD);
    nm_drawing_init(&b->more, NM_SPACE_WORLD);
    nm_drawing_init(&b->screen, NM_SPACE_SCREEN);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    nm_headless_destroy(b->headless);
    nm_drawing_free(&b->world);
    nm_drawing_free(&b->more);
    nm_drawing_free(&b->screen);
    free(b);
    return 0;
}

static void draw_unchecked(uint32_t layers) {
    const nm_drawing *const worlds[2] = {&b->world, &b->more}, *const screens[1] = {&b->screen};
    nm_renderer_clear(b->renderer, b->viewport, black);
    nm_renderer_world(b->renderer, b->viewport, &b->camera, layers, worlds, 2);
    nm_renderer_screen(b->renderer, b->viewport, layers, screens, 1);
}
static void draw_layers(uint32_t layers) {
    nm_error error;
    nm_error_clear(&error);
    draw_unchecked(layers);
    CHECK_OK(nm_renderer_check(b->renderer, &error), error);
    CHECK_OK(nm_headless_read(b->headless, b->pixels, &error), error);
}
static void draw(void) {
    draw_layers(NM_LAYERS_ALL);
}

static const uint8_t *at(int x, int y) {
    return b->pixels + 4 * (y * SIZE + x);
}
static void assert_colour(int x, int y, nm_rgba wanted, int tolerance) {
    const uint8_t *p = at(x, y);
    if (abs(p[0] - wanted.r) > tolerance || abs(p[1] - wanted.g) > tolerance || abs(p[2] - wanted.b) > tolerance)
        fail_msg("pixel (%d, %d) is (%d, %d, %d), wanted (%d, %d, %d)", x, y, p[0], p[1], p[2], wanted.r, wanted.g,
                 wanted.b);
}
/// Sum of the red channel over 255: the area drawn in px when red is drawn on black.
static double red_area(void) {
    double sum = 0;
    for (int i = 0; i < SIZE * SIZE; i++) sum += b->pixels[4 * i] / 255.0;
    return sum;
}

static nm_stroke stroke(float width, nm_rgba colour) {
    return (nm_stroke){.width = width, .colour = colour, .layer = NM_LAYER_MARKINGS};
}

#define NEED_GL                                                                                                        \
    if (!b->headless) skip()

// --- strokes ---------------------------------------------------------------------------------------------------------

static void strokes_cover_their_width(void **state) {
    (void)state;
    NEED_GL;
    const float widths[] = {0.1f, 0.15f, 0.33f, 1.0f, 2.5f};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int turn = 0; turn < 12; turn++) { // 8 m long, any direction: the same area to a few hundredths
            const float c = cosf(0.27f * (float)turn), s = sinf(0.27f * (float)turn);
            const nm_point ends[2] = {{-4 * c + 0.013f, -4 * s, 0}, {4 * c + 0.013f, 4 * s, 0}};
            nm_drawing_clear(&b->world);
            nm_draw_stroke(&b->world, ends, 2, stroke(widths[i], red));
            draw();
            const double wanted = 80.0 * 10.0 * (double)widths[i];
            if (fabs(red_area() - wanted) > 0.04 * wanted + 1.0)
                fail_msg("width %g m, turn %d: %.1f px, wanted %.1f", (double)widths[i], turn, red_area(), wanted);
        }
}

static void thin_strokes_stay_visible(void **state) {
    (void)state;
    NEED_GL;
    const nm_point ends[2] = {{-4, 0.05f, 0}, {4, 0.05f, 0}};
    nm_draw_stroke(&b->world, ends, 2, stroke(0.001f, red));
    draw();
    assert_true(red_area() > 70.0 && red_area() < 90.0); // one pixel wide
}

static void pixel_strokes_do_not_grow(void **state) {
    (void)state;
    NEED_GL;
    const nm_point ends[2] = {{-40, 0, 0}, {40, 0, 0}};
    nm_stroke style = stroke(4.0f, red);
    style.pixels = 1;
    nm_draw_stroke(&b->world, ends, 2, style);
    for (int i = 0; i < 3; i++) {
        b->camera.span = i == 0 ? 5.0f : i == 1 ? 20.0f : 60.0f;
        draw();
        assert_true(fabs(red_area() - 4.0 * SIZE) < 0.05 * 4.0 * SIZE);
    }
}

/// Where two segments of a translucent stroke meet, no pixel is painted twice and none is left out.
static void joins_are_painted_once(void **state) {
    (void)state;
    NEED_GL;
    nm_point line[40];
    for (int shape = 0; shape < 3; shape++) {
        uint32_t count = 0;
        nm_stroke style = stroke(1.6f, half_red);
        if (shape == 0) { // zigzag
            for (int i = 0; i < 6; i++) line[count++] = (nm_point){-7.0f + 2.8f * (float)i, i % 2 ? 3.0f : -3.0f, 0};
        } else { // a circle in steps, open and closed
            style.closed = shape == 2;
            for (int i = 0; i < 40; i++) {
                const float t = 0.157f * (float)i;
                line[count++] = (nm_point){6 * cosf(t), 6 * sinf(t), 0};
            }
        }
        nm_drawing_clear(&b->world);
        nm_draw_stroke(&b->world, line, count, style);
        draw();
        int most = 0;
        for (int i = 0; i < SIZE * SIZE; i++) most = b->pixels[4 * i] > most ? b->pixels[4 * i] : most;
        assert_in_range(most, 127, 129);
        for (uint32_t i = 1; i + 1 < count; i++)
            assert_colour((int)(MIDDLE + 10 * line[i].x), (int)(MIDDLE - 10 * line[i].y), (nm_rgba){128, 0, 0, 255}, 2);
    }
    assert_true(fabs(red_area() - 0.502 * 2 * 3.14159 * 60 * 16) < 60); // the closed ring
}

static void joins_are_round(void **state) {
    (void)state;
    NEED_GL;
    const nm_point line[3] = {{-5, 0, 0}, {0, 0, 0}, {0, -5, 0}};
    nm_draw_stroke(&b->world, line, 3, stroke(4.0f, red));
    draw();
    assert_colour(MIDDLE + 13, MIDDLE - 13, red, 5);   // 18.4 px from the corner: in the circle of 20
    assert_colour(MIDDLE + 17, MIDDLE - 17, black, 5); // 24: a mitre would be there
    assert_colour(MIDDLE - 55, MIDDLE, black, 5);      // ends are blunt
    assert_colour(MIDDLE - 48, MIDDLE, red, 5);
}

static void dashes_have_their_length(void **state) {
    (void)state;
    NEED_GL;
    // with points in between, on a line that is thinned: the pattern runs on
    nm_point line[17];
    for (int i = 0; i < 17; i++) line[i] = (nm_point){-8.0f + (float)i, 0, 0};
    nm_stroke style = stroke(1.0f, red);
    style.dash = 3.0f;
    style.gap = 1.0f;
    nm_draw_stroke(&b->world, line, 17, style);
    draw();
    for (int x = 0; x < 160; x++) {
        const int place = x % 40;
        if (place > 1 && place < 28) assert_colour(20 + x, MIDDLE, red, 2);
        if (place > 31 && place < 38) assert_colour(20 + x, MIDDLE, black, 2);
    }
    nm_drawing_clear(&b->world);
    style.phase = 3.0f; // begins with a gap
    nm_draw_stroke(&b->world, line, 17, style);
    draw();
    assert_colour(25, MIDDLE, black, 2);
    assert_colour(35, MIDDLE, red, 2);
}

/// A wave with points every 5 cm is thinned: its length, its points and what is beside it stay what they are.
static void bent_lines_keep_their_bends(void **state) {
    (void)state;
    NEED_GL;
    nm_point line[321];
    double length = 0;
    for (int i = 0; i < 321; i++) {
        line[i] = (nm_point){-8.0f + 0.05f * (float)i, 3.0f * sinf(0.04f * (float)i), 0};
        if (i) length += hypot(0.05, (double)(line[i].y - line[i - 1].y));
    }
    nm_draw_stroke(&b->world, line, 321, stroke(0.6f, red));
    draw();
    assert_true(fabs(red_area() - 60.0 * length) < 0.02 * 60.0 * length);
    for (int i = 5; i < 316; i++) {
        const float x = 10.0f * line[i].x, y = 10.0f * line[i].y;
        const float slope = 0.04f * 3.0f / 0.05f * cosf(0.04f * (float)i), n = 5.0f / sqrtf(1.0f + slope * slope);
        assert_colour((int)floorf(MIDDLE + x), (int)floorf(MIDDLE - y), red, 2);
        for (int side = -1; side <= 1; side += 2) // 5 px from the middle of the line, 2 from its edge
            assert_colour((int)floorf(MIDDLE + x - (float)side * slope * n), (int)floorf(MIDDLE - y - (float)side * n),
                          black, 2);
    }
}

// --- surfaces --------------------------------------------------------------------------------------------------------

static void surfaces_have_smooth_edges(void **state) {
    (void)state;
    NEED_GL;
    nm_draw_disc(&b->world, NM_LAYER_GROUND, (nm_point){0.02f, 0.03f, 0}, 6.0f, red);
    draw();
    int between = 0;
    for (int i = 0; i < SIZE * SIZE; i++) between += b->pixels[4 * i] > 20 && b->pixels[4 * i] < 235;
    assert_in_range(between, 200, 800); // 377 px around
    assert_true(fabs(red_area() - 3.1416 * 60.5 * 60.5) < 200);
    for (int y = -40; y <= 40; y++) // no holes between the surface and its seam
        for (int x = -40; x <= 40; x++) assert_colour(MIDDLE + x, MIDDLE + y, red, 0);
}

/// A surface painted later hides the seams of those below it; neighbours of one colour show no line between them.
/// What lies there twice, or many times, has the same edges as once, and takes no more than its share of time.
static void surfaces_on_one_spot(void **state) {
    (void)state;
    NEED_GL;
    static uint8_t once[sizeof b->pixels];
    const nm_point box[4] = {{-4, -3, 0}, {5, -1, 0}, {4, 3, 0}, {-5, 1, 0}};
    const int times[] = {1, 2, 3, 4, 100000};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        nm_drawing_clear(&b->world);
        for (int k = 0; k < times[i]; k++) {
            nm_draw_triangle(&b->world, NM_LAYER_GROUND, box[0], box[1], box[2], red);
            nm_draw_triangle(&b->world, NM_LAYER_GROUND, box[0], box[2], box[3], red);
        }
        nm_gl_upload upload = {0};
        static nm_gl_layer layers[NM_LAYER_COUNT];
        const clock_t start = clock();
        nm_gl_upload_build(&upload, &b->world, layers);
        assert_true(clock() - start < 2 * CLOCKS_PER_SEC); // minutes when it was the square
        nm_gl_upload_free(&upload);
        assert_int_equal(layers[NM_LAYER_GROUND].flats.count, 6 * times[i] + 6 * 4);
        if (i > 3) break; // drawing it all again and again is another matter
        draw();
        if (i == 0) memcpy(once, b->pixels, sizeof once);
        assert_memory_equal(b->pixels, once, sizeof once);
    }
}

static void seams_keep_the_order(void **state) {
    (void)state;
    NEED_GL;
    const nm_point left[2] = {{-5, 2, 0}, {5, 2, 0}}, middle[2] = {{-5, 0.04f, 0}, {5, 0.04f, 0}},
                   right[2] = {{-5, -2, 0}, {5, -2, 0}};
    nm_draw_band(&b->world, NM_LAYER_GROUND, left, middle, 2, red);
    nm_draw_band(&b->world, NM_LAYER_GROUND, middle, right, 2, red);
    nm_draw_band(&b->world, NM_LAYER_GROUND, left, right, 2, white);
    draw();
    for (int y = -18; y < 18; y++) assert_colour(MIDDLE, MIDDLE + y, white, 0);
    nm_drawing_clear(&b->world);
    nm_draw_band(&b->world, NM_LAYER_GROUND, left, middle, 2, half_red);
    nm_draw_band(&b->world, NM_LAYER_GROUND, middle, right, 2, half_red);
    draw();
    for (int y = -18; y < 18; y++) assert_colour(MIDDLE, MIDDLE + y, (nm_rgba){128, 0, 0, 255}, 2);
}

static void layers_order_and_choose(void **state) {
    (void)state;
    NEED_GL;
    // added in the wrong order, in two drawings
    nm_draw_rectangle(&b->world, NM_LAYER_SIGNALS, -3, -3, 3, 3, white);
    nm_draw_rectangle(&b->world, NM_LAYER_GROUND, -6, -6, 6, 6, red);
    nm_draw_rectangle(&b->more, NM_LAYER_CENTRES, -4, -4, 4, 4, (nm_rgba){0, 0, 255, 255});
    draw();
    assert_colour(MIDDLE, MIDDLE, white, 0);
    assert_colour(MIDDLE + 35, MIDDLE, (nm_rgba){0, 0, 255, 255}, 0);
    assert_colour(MIDDLE + 50, MIDDLE, red, 0);
    draw_layers(1u << NM_LAYER_CENTRES);
    assert_colour(MIDDLE, MIDDLE, (nm_rgba){0, 0, 255, 255}, 0);
    assert_colour(MIDDLE + 50, MIDDLE, black, 0);
}

// --- bodies ----------------------------------------------------------------------------------------------------------

static nm_box_body car(float x, float y, float heading) {
    return (nm_box_body){.x = x,
                         .y = y,
                         .heading = heading,
                         .length = 4.0f,
                         .width = 2.0f,
                         .height = 1.5f,
                         .colour = red,
                         .outline = white,
                         .outline_px = 1.5f,
                         .body = NM_BODY_CAR,
                         .layer = NM_LAYER_AGENTS};
}

static void bodies_show_their_heading(void **state) {
    (void)state;
    NEED_GL;
    for (int turn = 0; turn < 8; turn++) {
        const float heading = -3.0f + 0.77f * (float)turn;
        nm_box_body box = car(0, 0, heading);
        nm_drawing_clear(&b->world);
        nm_draw_box(&b->world, &box);
        draw();
        // what is dark inside the outline: the windscreen is larger than the rear window
        double ahead = 0, across = 0, dark = 0;
        for (int y = 0; y < SIZE; y++)
            for (int x = 0; x < SIZE; x++) {
                const double dx = x + 0.5 - MIDDLE, dy = MIDDLE - y - 0.5;
                const double u = dx * cos((double)heading) + dy * sin((double)heading);
                const double v = dy * cos((double)heading) - dx * sin((double)heading);
                if (fabs(u) > 17 || fabs(v) > 7 || at(x, y)[0] > 110) continue;
                ahead += u > 0, across += v, dark++;
            }
        assert_true(dark > 40);
        assert_true(ahead > 1.3 * (dark - ahead));
        assert_true(fabs(across / dark) < 0.7);
    }
}

static void every_body_has_its_size(void **state) {
    (void)state;
    NEED_GL;
    for (int kind = NM_BODY_BOX; kind <= NM_BODY_PERSON; kind++) {
        nm_box_body box = car(0, 0, 0);
        box.body = (uint8_t)kind;
        nm_drawing_clear(&b->world);
        nm_draw_box(&b->world, &box);
        draw();
        int x0 = SIZE, x1 = 0, y0 = SIZE, y1 = 0;
        for (int y = 0; y < SIZE; y++)
            for (int x = 0; x < SIZE; x++) {
                if (at(x, y)[0] < 30) continue;
                x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1, y0 = y < y0 ? y : y0, y1 = y > y1 ? y : y1;
            }
        assert_in_range(x1 - x0 + 1, 36, 42); // 4 m
        assert_in_range(y1 - y0 + 1, 17, 24); // 2 m, wheels included
    }
}

static void near_bodies_hide_far_ones(void **state) {
    (void)state;
    NEED_GL;
    nm_box_body near = car(0, 0, 0), far = car(8, 0, 0);
    near.body = far.body = NM_BODY_BOX;
    near.height = far.height = 2.0f;
    far.colour = (nm_rgba){0, 0, 255, 255};
    b->camera = nm_camera_behind((nm_point){0, 0, 0}, 0.0f, 4.0f);
    b->camera.kind = NM_CAMERA_FREE;
    b->camera.pitch = 0.05f;
    for (int order = 0; order < 2; order++) { // whichever comes first
        nm_drawing_clear(&b->world);
        nm_draw_box(&b->world, order ? &near : &far);
        nm_draw_box(&b->world, order ? &far : &near);
        draw();
        int reds = 0, blues = 0;
        for (int i = 0; i < SIZE * SIZE; i++) {
            reds += b->pixels[4 * i] > 60 && b->pixels[4 * i + 2] < 30;
            blues += b->pixels[4 * i + 2] > 60 && b->pixels[4 * i] < 30;
        }
        assert_true(reds > 1000);
        assert_true(blues < reds / 10);
    }
}

// --- text ------------------------------------------------------------------------------------------------------------

static void text_has_its_size_and_place(void **state) {
    (void)state;
    NEED_GL;
    const nm_anchor anchors[] = {NM_ANCHOR_LEFT, NM_ANCHOR_CENTRE, NM_ANCHOR_RIGHT};
    const float width = nm_renderer_text_width(b->renderer, "HEH", 20.0f);
    assert_true(width > 30.0f && width < 80.0f);
    for (int i = 0; i < 3; i++) {
        nm_drawing_clear(&b->screen);
        nm_draw_label(&b->screen,
                      (nm_label){.x = 100, .y = 60, .size = 20, .colour = red, .anchor = (uint8_t)anchors[i]}, "HEH");
        draw();
        int x0 = SIZE, x1 = 0, y0 = SIZE, y1 = 0;
        for (int y = 0; y < SIZE; y++)
            for (int x = 0; x < SIZE; x++) {
                if (at(x, y)[0] < 100) continue;
                x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1, y0 = y < y0 ? y : y0, y1 = y > y1 ? y : y1;
            }
        assert_in_range(y1 - y0 + 1, 19, 21);
        assert_in_range(y0 + y1, 116, 122); // around 60, with half a pixel
        const float left = 100.0f - width * 0.5f * (float)i;
        assert_true(fabsf((float)x0 - left) < 5.0f);
        assert_true(fabsf((float)x1 + 1.0f - left - width) < 5.0f);
    }
}

static void text_of_any_bytes(void **state) {
    (void)state;
    NEED_GL;
    const char *const odd[] = {"", "\xff\xfe", "\xe2\x82", "äöüß€", "\xf0\x9f\x9a\x97", "a\tb"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        nm_draw_label(&b->world, (nm_label){.size = 12, .colour = red, .halo = white, .layer = NM_LAYER_LABELS}, "%s",
                      odd[i]);
        assert_true(nm_renderer_text_width(b->renderer, odd[i], 12.0f) >= 0.0f);
    }
    for (int i = 0; i < 3000; i++) // more sizes and characters than the atlas holds
        nm_draw_label(&b->screen,
                      (nm_label){.x = 5, .y = 100, .size = 8.0f + (float)(i % 90), .colour = red, .halo = white},
                      "%c%c", 33 + i % 90, 34 + i / 33);
    draw();
    draw();
    assert_true(red_area() > 1000);
}

// --- keeping and growing ---------------------------------------------------------------------------------------------

static void fill_map(nm_drawing *map) {
    nm_point left[30], right[30];
    for (int i = 0; i < 30; i++) {
        left[i] = (nm_point){-20.0f + 1.5f * (float)i, 3.0f + 2.0f * sinf(0.3f * (float)i), 0};
        right[i] = (nm_point){left[i].x, left[i].y - 5.0f, 0};
    }
    nm_draw_band(map, NM_LAYER_GROUND, left, right, 30, (nm_rgba){90, 90, 100, 255});
    nm_stroke style = stroke(0.3f, white);
    style.dash = 2.0f, style.gap = 1.0f;
    nm_draw_stroke(map, left, 30, style);
}

/// The kept picture of what stands still is the picture: wherever the camera has panned to.
static void kept_maps_look_the_same(void **state) {
    (void)state;
    NEED_GL;
    static uint8_t kept[4 * SIZE * SIZE];
    const nm_box_body box = car(1, 1, 0.5f);
    fill_map(&b->world);
    for (int i = 0; i < 60; i++) {
        b->camera.target = (nm_point){0.17f * (float)i - 4.0f, 0.05f * (float)i, 0}; // beyond the kept edges
        b->camera.yaw = i < 30 ? 1.57079633f : 1.1f;
        nm_drawing_clear(&b->more);
        nm_draw_box(&b->more, &box);
        draw();
        memcpy(kept, b->pixels, sizeof kept);
        // the same with nothing kept: a clear of another place lets the map be drawn
        const nm_viewport elsewhere = {0, 0, 1, 1, SIZE};
        const nm_drawing *const worlds[2] = {&b->world, &b->more};
        nm_error error;
        nm_renderer_clear(b->renderer, b->viewport, black);
        nm_renderer_clear(b->renderer, elsewhere, black);
        nm_renderer_world(b->renderer, b->viewport, &b->camera, NM_LAYERS_ALL, worlds, 2);
        CHECK_OK(nm_headless_read(b->headless, b->pixels, &error), error);
        int differ = 0;
        for (int k = 0; k < SIZE * SIZE; k++) differ += abs(kept[4 * k] - b->pixels[4 * k]) > 12;
        if (differ > 40) fail_msg("picture %d: %d px differ", i, differ);
    }
}

static void changed_maps_are_seen(void **state) {
    (void)state;
    NEED_GL;
    nm_draw_rectangle(&b->world, NM_LAYER_GROUND, -5, -5, 5, 5, red);
    for (int i = 0; i < 4; i++) draw();
    assert_colour(MIDDLE, MIDDLE, red, 0);
    nm_drawing_clear(&b->world);
    nm_draw_rectangle(&b->world, NM_LAYER_GROUND, -5, -5, 5, 5, white);
    draw();
    assert_colour(MIDDLE, MIDDLE, white, 0);
    for (int i = 0; i < 4; i++) draw();
    nm_draw_rectangle(&b->world, NM_LAYER_GROUND, 6, 6, 8, 8, red); // added
    draw();
    assert_colour(MIDDLE + 70, MIDDLE - 70, red, 0);
    // another drawing at the same address
    nm_drawing_free(&b->world);
    nm_drawing_init(&b->world, NM_SPACE_WORLD);
    nm_draw_rectangle(&b->world, NM_LAYER_GROUND, -5, -5, 5, 5, (nm_rgba){0, 255, 0, 255});
    draw();
    assert_colour(MIDDLE, MIDDLE, (nm_rgba){0, 255, 0, 255}, 0);
    for (int i = 0; i < 4; i++) draw();
    for (int i = 0; i < 2; i++) { // the same one in another colour
        nm_drawing_free(&b->world);
        nm_drawing_init(&b->world, NM_SPACE_WORLD);
        nm_draw_rectangle(&b->world, NM_LAYER_GROUND, -5, -5, 5, 5, i ? red : white);
        draw();
        assert_colour(MIDDLE, MIDDLE, i ? red : white, 0);
    }
    const nm_rgba blue = {0, 0, 255, 255};
    const nm_drawing *const one = &b->world;
    nm_error error;
    nm_renderer_clear(b->renderer, b->viewport, blue); // another ground below the kept map
    nm_renderer_world(b->renderer, b->viewport, &b->camera, NM_LAYERS_ALL, &one, 1);
    CHECK_OK(nm_headless_read(b->headless, b->pixels, &error), error);
    assert_colour(2, 2, blue, 0);
}

static void a_viewport_is_not_left(void **state) {
    (void)state;
    NEED_GL;
    nm_error error;
    const nm_viewport part = {50, 30, 100, 60, SIZE};
    const nm_drawing *const one = &b->world;
    nm_draw_rectangle(&b->world, NM_LAYER_GROUND, -500, -500, 500, 500, red);
    for (int i = 0; i < 4; i++) { // drawn, then kept
        nm_renderer_clear(b->renderer, b->viewport, black);
        nm_renderer_clear(b->renderer, part, white);
        nm_renderer_world(b->renderer, part, &b->camera, NM_LAYERS_ALL, &one, 1);
        CHECK_OK(nm_headless_read(b->headless, b->pixels, &error), error);
        assert_true(fabs(red_area() - 6000.0) < 1.0);
        assert_colour(50, 30, red, 0);
        assert_colour(149, 89, red, 0);
        assert_colour(49, 30, black, 0);
        assert_colour(50, 29, black, 0);
        assert_colour(150, 89, black, 0);
        assert_colour(149, 90, black, 0);
    }
}

static void nothing_and_very_much(void **state) {
    (void)state;
    NEED_GL;
    draw(); // three empty drawings
    assert_true(red_area() == 0.0);
    for (int i = 0; i < 5000; i++) {
        nm_box_body box = car(-9.0f + 0.25f * (float)(i % 72), -9.0f + 0.25f * (float)(i / 72), 0.01f * (float)i);
        box.body = (uint8_t)(i % 5);
        nm_draw_box(&b->world, &box);
        nm_draw_label(&b->world,
                      (nm_label){.x = box.x, .y = box.y, .size = 6, .colour = white, .layer = NM_LAYER_LABELS}, "%d",
                      i);
    }
    draw();
    assert_true(red_area() > 0.3 * SIZE * SIZE);
    b->camera = nm_camera_behind((nm_point){0, 0, 0}, 0.0f, 4.0f);
    draw();
    assert_true(red_area() > 100);
}

/// After the largest frame nothing is allocated on our side: the renderer's buffers stay what they are.
static void frames_do_not_allocate(void **state) {
    (void)state;
    NEED_GL;
    fill_map(&b->world);
    size_t before = 0;
    for (int i = 0; i < 400; i++) {
        nm_drawing_clear(&b->more);
        for (int k = 0; k < 20 + (i == 3 ? 60 : i % 30); k++) {
            const nm_box_body box = car(0.2f * (float)k, 0.1f * (float)i, 0.1f * (float)k);
            nm_draw_box(&b->more, &box);
            nm_draw_label(&b->more, (nm_label){.size = 9, .colour = white, .layer = NM_LAYER_LABELS}, "%d", k);
        }
        draw();
        if (i == 100) before = mallinfo2().uordblks;
    }
    const size_t after = mallinfo2().uordblks;
    assert_true(after < before + 65536); // what the driver keeps aside varies a little
}

// --- what fails ------------------------------------------------------------------------------------------------------

static PFNGLTEXIMAGE2DPROC real_image;
static int images_refused;
static void GLAPIENTRY refuse_image(GLenum target, GLint level, GLint inner, GLsizei width, GLsizei height,
                                    GLint border, GLenum format, GLenum type, const void *pixels) {
    (void)width;
    images_refused++;
    real_image(target, level, inner, -1, height, border, format, type, pixels);
}

/// The kept picture of the map is a shortcut: where there is no memory for it the map is drawn every time.
static void no_texture_for_what_stands_still(void **state) {
    (void)state;
    NEED_GL;
    static uint8_t wanted[sizeof b->pixels];
    const nm_point ends[2] = {{-4, 1, 0}, {4, -3, 0}};
    nm_error error;
    nm_draw_stroke(&b->world, ends, 2, stroke(1.0f, red));
    draw();
    memcpy(wanted, b->pixels, sizeof wanted);
    real_image = epoxy_glTexImage2D;
    epoxy_glTexImage2D = refuse_image;
    for (int i = 0; i < 4; i++) {
        draw();
        assert_memory_equal(b->pixels, wanted, sizeof wanted);
    }
    epoxy_glTexImage2D = real_image;
    assert_int_equal(images_refused, 1); // and is not asked for again
    glEnable(GL_TEXTURE_2D + 1);         // an error that is somebody's mistake is told all the same
    draw_unchecked(NM_LAYERS_ALL);
    assert_int_equal(nm_renderer_check(b->renderer, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "GL_INVALID_ENUM"));
    draw();
}

static void points_too_near_to_tell_a_direction(void **state) {
    (void)state;
    nm_point line[5] = {{3, 0, 0}, {0, 0, 0}, {1e-30f, -1e-30f, 0}, {0, 0, 0}, {0, 5, 0}};
    assert_int_equal(nm_gl_thin_line(line, 5, 0), 3);
    assert_true(line[1].x == 0 && line[1].y == 0 && line[2].y == 5);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {T(strokes_cover_their_width),
                                       T(thin_strokes_stay_visible),
                                       T(pixel_strokes_do_not_grow),
                                       T(joins_are_painted_once),
                                       T(joins_are_round),
                                       T(dashes_have_their_length),
                                       T(bent_lines_keep_their_bends),
                                       T(surfaces_have_smooth_edges),
                                       T(surfaces_on_one_spot),
                                       T(seams_keep_the_order),
                                       T(layers_order_and_choose),
                                       T(bodies_show_their_heading),
                                       T(every_body_has_its_size),
                                       T(near_bodies_hide_far_ones),
                                       T(text_has_its_size_and_place),
                                       T(text_of_any_bytes),
                                       T(kept_maps_look_the_same),
                                       T(changed_maps_are_seen),
                                       T(a_viewport_is_not_left),
                                       T(nothing_and_very_much),
                                       T(no_texture_for_what_stands_still),
                                       T(points_too_near_to_tell_a_direction),
                                       T(frames_do_not_allocate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
