/// Plots: lines where they must be, ticks at round values, and nothing that breaks them.
#include "support.h"

#include <time.h>
#include <unistd.h>

#include "render/media.h"
#include "render/plot_private.h"

typedef struct picture {
    uint8_t *rgba;
    int width, height;
} picture;

static picture draw(const nm_plot *plot) {
    picture p = {malloc(4 * (size_t)plot->width * (size_t)plot->height), plot->width, plot->height};
    nm_error error = {0};
    assert_non_null(p.rgba);
    memset(p.rgba, 0x5a, 4 * (size_t)p.width * (size_t)p.height);
    if (nm_plot_draw(plot, p.rgba, &error) != NM_OK) fail_msg("%s", error.message);
    for (size_t i = 0; i < (size_t)p.width * (size_t)p.height; i++) assert_int_equal(p.rgba[4 * i + 3], 255);
    return p;
}

static int is_colour(const picture *p, int x, int y, nm_rgba colour) {
    const uint8_t *at = p->rgba + 4 * ((size_t)y * (size_t)p->width + (size_t)x);
    return at[0] == colour.r && at[1] == colour.g && at[2] == colour.b;
}

/// Below the legend, whose lines have the same colours.
#define PLOT_TOP 42

/// The smallest box around the pixels of a colour in the plot. Returns how many there are.
static int find(const picture *p, nm_rgba colour, nm_area_px *box) {
    int count = 0;
    *box = (nm_area_px){p->width, p->height, 0, 0};
    for (int y = PLOT_TOP; y < p->height; y++)
        for (int x = 0; x < p->width; x++) {
            if (!is_colour(p, x, y, colour)) continue;
            count++;
            if (x < box->x0) box->x0 = x;
            if (x >= box->x1) box->x1 = x + 1;
            if (y < box->y0) box->y0 = y;
            if (y >= box->y1) box->y1 = y + 1;
        }
    return count;
}

/// The middle of the pixels of a colour in column x; NaN when there are none.
static double middle(const picture *p, nm_rgba colour, int x) {
    int count = 0, sum = 0;
    for (int y = PLOT_TOP; y < p->height; y++)
        if (is_colour(p, x, y, colour)) {
            count++;
            sum += y;
        }
    return count ? (double)sum / count : NAN;
}

static nm_plot plot_of(const nm_plot_series *series, size_t count) {
    nm_plot plot = nm_plot_default();
    plot.series = series;
    plot.series_count = count;
    return plot;
}

static nm_rgba background(nm_theme_kind theme) {
    return nm_theme_of(theme)->panel;
}

static void a_straight_line_is_straight(void **state) {
    (void)state;
    const double x[] = {0, 10}, y[] = {-3, 5};
    const nm_plot_series series = {"line", x, y, 2};
    for (int theme = 0; theme < 2; theme++) {
        nm_plot plot = plot_of(&series, 1);
        plot.theme = (nm_theme_kind)theme;
        const picture p = draw(&plot);
        const nm_rgba colour = nm_plot_colour(plot.theme, 0);
        nm_area_px box;
        assert_true(find(&p, colour, &box) > 800);
        assert_true(box.x1 - box.x0 > 800 && box.y1 - box.y0 > 400); // fills the picture but for the air
        const double from = middle(&p, colour, box.x0 + 2), to = middle(&p, colour, box.x1 - 3);
        assert_true(from > to); // upwards
        for (int x_px = box.x0 + 2; x_px <= box.x1 - 3; x_px++) {
            const double t = (double)(x_px - box.x0 - 2) / (box.x1 - box.x0 - 5);
            assert_float_equal(middle(&p, colour, x_px), from + t * (to - from), 1.0);
        }
        assert_true(is_colour(&p, p.width - 1, 0, background(plot.theme)));
        free(p.rgba);
    }
}

static void a_power_law_is_straight_on_logarithmic_axes(void **state) {
    (void)state;
    double x[200], y[200];
    for (int i = 0; i < 200; i++) {
        x[i] = pow(10, -3 + i * 0.03);
        y[i] = 7 * pow(x[i], -2);
    }
    const nm_plot_series series = {NULL, x, y, 200};
    nm_plot plot = plot_of(&series, 1);
    plot.x.logarithmic = plot.y.logarithmic = 1;
    const picture p = draw(&plot);
    const nm_rgba colour = nm_plot_colour(plot.theme, 0);
    nm_area_px box;
    find(&p, colour, &box);
    const double from = middle(&p, colour, box.x0 + 2), to = middle(&p, colour, box.x1 - 3);
    assert_true(from < to);
    for (int x_px = box.x0 + 2; x_px <= box.x1 - 3; x_px++) {
        const double t = (double)(x_px - box.x0 - 2) / (box.x1 - box.x0 - 5);
        assert_float_equal(middle(&p, colour, x_px), from + t * (to - from), 1.0);
    }
    free(p.rgba);
}

static void points_that_are_none_interrupt(void **state) {
    (void)state;
    const double x[] = {0, 1, 2, 3, 4, 5, 6}, y[] = {1, 1, NAN, 1, 1, INFINITY, 1};
    const nm_plot_series series = {NULL, x, y, 7};
    const nm_plot plot = plot_of(&series, 1);
    const picture p = draw(&plot);
    const nm_rgba colour = nm_plot_colour(plot.theme, 0);
    nm_area_px box;
    find(&p, colour, &box);
    const double step = (box.x1 - box.x0) / 6.0;
    for (int i = 0; i < 6; i++) { // middle of each stretch
        const int drawn = i == 0 || i == 3;
        assert_int_equal(!isnan(middle(&p, colour, (int)(box.x0 + (i + 0.5) * step))), drawn);
    }
    int thick = 0;
    for (int y_px = box.y0; y_px < box.y1; y_px++) thick += is_colour(&p, (int)(box.x0 + 0.5 * step), y_px, colour);
    assert_true(thick >= 1 && box.y1 - box.y0 > thick + 1); // the dot at 6 is higher than the line is thick
    assert_false(isnan(middle(&p, colour, box.x1 - 2)));
    // and the picture says that two are missing
    int red = 0; // of anti-aliased letters
    for (size_t i = (size_t)p.width * (size_t)(p.height - 32); i < (size_t)p.width * (size_t)p.height; i++)
        red += p.rgba[4 * i] > p.rgba[4 * i + 1] + 60;
    assert_true(red > 100);
    free(p.rgba);
}

static void fixed_limits_cut(void **state) {
    (void)state;
    const double x[] = {-1e9, 1e9}, y[] = {-1e9, 1e9};
    nm_plot_series series[6]; // the sixth is dashed
    for (int i = 0; i < 6; i++) series[i] = (nm_plot_series){"a", x, y, 2};
    nm_plot plot = plot_of(series, 1);
    plot.x.low = plot.y.low = 0;
    plot.x.high = plot.y.high = 10;
    int pixels[2];
    for (size_t count = 1; count <= 6; count += 5) {
        plot.series_count = count;
        const picture p = draw(&plot);
        const nm_rgba colour = nm_plot_colour(plot.theme, 0);
        nm_area_px box;
        pixels[count / 5] = find(&p, colour, &box);
        // from corner to corner of the frame, but for half a dash, and not beyond
        assert_true(box.x0 >= 16 && box.x0 < 60 && box.x1 == p.width - 24);
        assert_true(box.y0 == PLOT_TOP && box.y1 == p.height - 34);
        free(p.rgba);
    }
    assert_float_equal((double)pixels[1] / pixels[0], 9.0 / 15.0, 0.1); // dash and gap
}

static void a_million_points_look_like_all_of_them(void **state) {
    (void)state;
    enum { MANY = 300000 };
    double *x = malloc(MANY * sizeof *x), *y = malloc(MANY * sizeof *y);
    for (int i = 0; i < MANY; i++) {
        x[i] = i;
        y[i] = i == 123456 ? 100 : i % 2; // one spike
    }
    const nm_plot_series series = {NULL, x, y, MANY};
    const nm_plot plot = plot_of(&series, 1);
    const picture p = draw(&plot);
    const nm_rgba colour = nm_plot_colour(plot.theme, 0);
    nm_area_px box;
    find(&p, colour, &box);
    const int at = (int)(box.x0 + (double)(box.x1 - box.x0) * 123456 / MANY);
    int high = 0;
    for (int k = at - 2; k <= at + 2; k++) high += is_colour(&p, k, box.y0 + 20, colour);
    assert_true(high >= 1 && high <= 3);
    for (int k = box.x0; k < box.x1; k++) // no gap in the band
        assert_true(is_colour(&p, k, box.y1 - 2, colour));
    free(p.rgba);
    free(x);
    free(y);
}

/// Each of these has to end in a picture, and in a moment.
static void hostile_data_end_in_a_picture(void **state) {
    (void)state;
    static const double values[] = {0,      -0.0,  1,      -1,     NAN,       INFINITY, -INFINITY, 1e308,
                                    -1e308, 1e299, 5e-324, 1e-300, 1 + 1e-15, 1e15,     3};
    enum { VALUES = sizeof values / sizeof *values };
    const clock_t start = clock();
    for (int a = 0; a < VALUES; a++)
        for (int b = 0; b < VALUES; b++) {
            const double x[] = {values[a], values[b]}, y[] = {values[b], values[a]};
            const nm_plot_series series = {"\xff\x01 bad", x, y, a == b ? 1 : 2};
            nm_plot plot = plot_of(&series, 1);
            plot.width = plot.height = 200;
            plot.x.logarithmic = a % 2;
            plot.y.logarithmic = b % 2;
            const picture p = draw(&plot);
            const int shown = nm_scale_shows(a % 2, x[0]) && nm_scale_shows(b % 2, y[0]);
            nm_area_px box;
            if (shown && a == b) assert_true(find(&p, nm_plot_colour(plot.theme, 0), &box) > 10); // a dot
            free(p.rgba);
        }
    const nm_plot_series nothing = {"nothing", NULL, NULL, 0};
    nm_plot plot = plot_of(&nothing, 1);
    char title[5000];
    memset(title, 'W', sizeof title - 1);
    title[sizeof title - 1] = '\0';
    plot.title = plot.x.label = plot.y.label = plot.y.unit = title;
    free(draw(&plot).rgba);
    plot.series_count = 0;
    plot.x.logarithmic = 1;
    free(draw(&plot).rgba);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 60);
}

static void long_texts_stay_in_the_picture(void **state) {
    (void)state;
    char name[400];
    memset(name, 'W', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const double x[] = {0, 1}, y[] = {0, 1};
    nm_plot_series series[NM_PLOT_MAX_SERIES];
    for (int i = 0; i < NM_PLOT_MAX_SERIES; i++) series[i] = (nm_plot_series){name, x, y, 2};
    nm_plot plot = plot_of(series, 2);
    plot.title = name;
    const picture p = draw(&plot);
    for (int y_px = 0; y_px < p.height; y_px++)
        for (int x_px = p.width - 14; x_px < p.width; x_px++)
            assert_true(is_colour(&p, x_px, y_px, background(plot.theme)));
    free(p.rgba);
    plot.width = plot.height = 200;
    plot.series_count = NM_PLOT_MAX_SERIES; // a legend higher than the picture
    free(draw(&plot).rgba);
}

static void refuses_what_makes_no_sense(void **state) {
    (void)state;
    uint8_t *rgba = malloc(4 * 200 * 200);
    nm_error error = {0};
    nm_plot plot = plot_of(NULL, 0);
    plot.width = 199;
    assert_int_equal(nm_plot_draw(&plot, rgba, &error), NM_E_ARGUMENT);
    plot.width = 8193;
    assert_int_equal(nm_plot_png(&plot, "/tmp/x.png", &error), NM_E_ARGUMENT);
    plot.width = plot.height = 200;
    const nm_plot_series many[NM_PLOT_MAX_SERIES + 1] = {{NULL, NULL, NULL, 0}};
    plot.series = many;
    plot.series_count = NM_PLOT_MAX_SERIES + 1;
    assert_int_equal(nm_plot_draw(&plot, rgba, &error), NM_E_LIMIT);
    plot.series_count = 0;
    const double bad[][2] = {{1, 1}, {2, 1}, {INFINITY, NAN}, {NAN, -INFINITY}, {1, 1 + 1e-15}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        plot.y.low = bad[i][0];
        plot.y.high = bad[i][1];
        assert_int_equal(nm_plot_draw(&plot, rgba, &error), NM_E_ARGUMENT);
        assert_non_null(strstr(error.message, "the y axis"));
    }
    plot.y.low = 0;
    plot.y.high = 1;
    assert_int_equal(nm_plot_draw(&plot, rgba, &error), NM_OK);
    plot.y.logarithmic = 1;
    assert_int_equal(nm_plot_draw(&plot, rgba, &error), NM_E_ARGUMENT);
    plot = plot_of(NULL, 0);
    assert_int_equal(nm_plot_png(&plot, "/nowhere/x.png", &error), NM_E_IO);
    free(rgba);
}

static void the_file_is_the_picture(void **state) {
    (void)state;
    const double x[] = {1, 2, 3}, y[] = {3, 1, 2};
    const nm_plot_series series = {"a", x, y, 3};
    nm_plot plot = plot_of(&series, 1);
    plot.width = 300;
    plot.height = 250;
    char path[64];
    snprintf(path, sizeof path, "/tmp/nearmiss-plot-%ld.png", (long)getpid());
    nm_error error = {0};
    if (nm_plot_png(&plot, path, &error) != NM_OK) fail_msg("%s", error.message);
    const picture p = draw(&plot), again = draw(&plot);
    uint8_t *rgba = NULL;
    int width, height;
    assert_int_equal(nm_png_read(path, &rgba, &width, &height, &error), NM_OK);
    assert_int_equal(width, 300);
    assert_int_equal(height, 250);
    assert_memory_equal(rgba, p.rgba, 4 * 300 * 250);
    assert_memory_equal(again.rgba, p.rgba, 4 * 300 * 250);
    free(rgba);
    free(p.rgba);
    free(again.rgba);
    unlink(path);
}

static void expect_ticks(double low, double high, int logarithmic, int wanted, const char *texts) {
    nm_scale scale;
    nm_tick ticks[NM_PLOT_TICKS];
    char found[600] = "";
    nm_error error = {0};
    const nm_plot_axis axis = {.low = low, .high = high, .logarithmic = logarithmic};
    if (nm_scale_fit(&axis, "x", NAN, NAN, &scale, &error) != NM_OK) fail_msg("%s", error.message);
    scale.from = 100;
    scale.to = 900;
    const size_t count = nm_scale_ticks(&scale, wanted, ticks);
    for (size_t i = 0; i < count; i++) {
        const double value = strtod(ticks[i].text, NULL); // the text says where it stands
        const double share = logarithmic ? log10(value / low) / log10(high / low) : (value - low) / (high - low);
        assert_float_equal(ticks[i].place, 100 + 800 * share, 0.01);
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", i ? " " : "", ticks[i].text);
    }
    assert_string_equal(found, texts);
}

static void ticks_stand_at_round_values(void **state) {
    (void)state;
    expect_ticks(0, 1, 0, 5, "0.0 0.2 0.4 0.6 0.8 1.0");
    expect_ticks(-1, 1, 0, 5, "-1.0 -0.5 0.0 0.5 1.0");
    expect_ticks(0.03, 97, 0, 10, "10 20 30 40 50 60 70 80 90");
    expect_ticks(-0.0025, 0.0025, 0, 5, "-0.002 -0.001 0.000 0.001 0.002");
    expect_ticks(0, 250000, 0, 5, "0 50000 100000 150000 200000 250000");
    expect_ticks(0, 3e6, 0, 3, "0 1e6 2e6 3e6");
    expect_ticks(9e5, 1.1e6, 0, 2, "9e5 1.0e6 1.1e6");
    expect_ticks(1e6, 1e6 + 10, 0, 2, "1.000000e6 1.000005e6 1.000010e6");
    expect_ticks(0, 4e-7, 0, 4, "0 1e-7 2e-7 3e-7 4e-7");
    expect_ticks(-4e12, 0, 0, 2, "-4e12 -2e12 0");
    expect_ticks(1, 1000, 1, 5, "1 10 100 1000");
    expect_ticks(1, 1000, 1, 10, "1 2 5 10 20 50 100 200 500 1000");
    expect_ticks(1e-4, 1e-3, 1, 8, "1e-4 2e-4 3e-4 4e-4 5e-4 6e-4 7e-4 8e-4 9e-4 0.001");
    expect_ticks(0.01, 1, 1, 3, "0.01 0.1 1");
    expect_ticks(1e-12, 1e12, 1, 4, "1e-12 1e-6 1 1e6 1e12");
    expect_ticks(2, 4, 1, 4, "2.0 2.5 3.0 3.5 4.0");
}

static void colours_stand_out(void **state) {
    (void)state;
    for (int theme = 0; theme < 2; theme++) {
        const nm_rgba ground = nm_theme_of((nm_theme_kind)theme)->panel;
        for (size_t i = 0; i < 5; i++) {
            const nm_rgba a = nm_plot_colour((nm_theme_kind)theme, i);
            const double far = fabs(0.299 * (a.r - ground.r) + 0.587 * (a.g - ground.g) + 0.114 * (a.b - ground.b));
            if (far < 70) fail_msg("colour %zu of theme %d is %.0f from the ground", i, theme, far);
            for (size_t k = 0; k < i; k++) { // test_theme.c holds how far roles are apart
                const nm_rgba b = nm_plot_colour((nm_theme_kind)theme, k);
                assert_true(a.r != b.r || a.g != b.g || a.b != b.b);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_straight_line_is_straight),
        cmocka_unit_test(a_power_law_is_straight_on_logarithmic_axes),
        cmocka_unit_test(points_that_are_none_interrupt),
        cmocka_unit_test(fixed_limits_cut),
        cmocka_unit_test(a_million_points_look_like_all_of_them),
        cmocka_unit_test(hostile_data_end_in_a_picture),
        cmocka_unit_test(long_texts_stay_in_the_picture),
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(the_file_is_the_picture),
        cmocka_unit_test(ticks_stand_at_round_values),
        cmocka_unit_test(colours_stand_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
