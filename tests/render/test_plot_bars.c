/// Bars: as long as their values, in order, and nothing that breaks them.
#include "support.h"

#include <unistd.h>

#include "render/media.h"
#include "render/plot_private.h"

typedef struct picture {
    uint8_t *rgba;
    int width, height;
} picture;

static picture draw(const nm_bars *bars) {
    picture p = {malloc(4 * (size_t)bars->width * (size_t)bars->height), bars->width, bars->height};
    nm_error error = {0};
    assert_non_null(p.rgba);
    memset(p.rgba, 0x5a, 4 * (size_t)p.width * (size_t)p.height);
    if (nm_bars_draw(bars, p.rgba, &error) != NM_OK) fail_msg("%s", error.message);
    for (size_t i = 0; i < (size_t)p.width * (size_t)p.height; i++) assert_int_equal(p.rgba[4 * i + 3], 255);
    return p;
}

static int is_colour(const picture *p, int x, int y, nm_rgba colour) {
    const uint8_t *at = p->rgba + 4 * ((size_t)y * (size_t)p->width + (size_t)x);
    return at[0] == colour.r && at[1] == colour.g && at[2] == colour.b;
}

/// The box around the pixels of a colour within an area. Returns how many there are.
static int find(const picture *p, nm_rgba colour, nm_area_px within, nm_area_px *box) {
    int count = 0;
    *box = (nm_area_px){p->width, p->height, 0, 0};
    for (int y = within.y0; y < within.y1; y++)
        for (int x = within.x0; x < within.x1; x++) {
            if (!is_colour(p, x, y, colour)) continue;
            count++;
            if (x < box->x0) box->x0 = x;
            if (x >= box->x1) box->x1 = x + 1;
            if (y < box->y0) box->y0 = y;
            if (y >= box->y1) box->y1 = y + 1;
        }
    return count;
}

static const char *const names[] = {"one", "two", "none", "four"};
static const double first[] = {1, 2, 0, 4}, second[] = {3, 0, 0, 2};

static nm_bars rows_of(const nm_bar_series *series, size_t count) {
    nm_bars bars = nm_bars_default();
    bars.height = nm_bars_height(4);
    bars.names = names;
    bars.count = 4;
    bars.series = series;
    bars.series_count = count;
    return bars;
}

// Rows are found by the blocks of colour: every bar is one block.
static void rows_are_as_long_as_their_values(void **state) {
    (void)state;
    const nm_bar_series series = {NULL, first};
    for (int theme = 0; theme < 2; theme++) {
        nm_bars bars = rows_of(&series, 1);
        bars.theme = (nm_theme_kind)theme;
        const picture p = draw(&bars);
        const nm_rgba colour = nm_plot_colour(bars.theme, 0);
        nm_area_px all, box;
        assert_true(find(&p, colour, (nm_area_px){0, 0, p.width, p.height}, &all) > 1000);
        // the tallest extent spans the rows 0 to 3: each is a quarter of the area, 4 gaps of a fifth between
        const int row = (all.y1 - all.y0) * 5 / 18; // 4 rows less a gap at either end = 18 fifths of a row
        double unit = 0;
        for (int i = 0; i < 4; i++) {
            const nm_area_px within = {0, all.y0 + row * i - 1, p.width, all.y0 + row * i + row / 2};
            const int count = find(&p, colour, within, &box);
            if (first[i] == 0) {
                assert_int_equal(count, 0);
                continue;
            }
            assert_int_equal(box.x0, all.x0);                               // they begin at the axis
            assert_int_equal(count, (box.x1 - box.x0) * (box.y1 - box.y0)); // and are whole
            if (i == 0) unit = box.x1 - box.x0;
            assert_true(fabs((box.x1 - box.x0) - unit * first[i]) <= 4);
        }
        assert_true(unit * 4 > 0.6 * p.width && all.x1 < p.width - 40);
        free(p.rgba);
    }
}

static void parts_are_stacked(void **state) {
    (void)state;
    const nm_bar_series series[] = {{"first", first}, {"second", second}};
    const nm_bars bars = rows_of(series, 2);
    const picture p = draw(&bars);
    nm_area_px a, b;
    const nm_area_px below = {100, 50, p.width, p.height}; // the legend has the same colours
    find(&p, nm_plot_colour(bars.theme, 0), (nm_area_px){0, 50, p.width, p.height}, &a);
    find(&p, nm_plot_colour(bars.theme, 1), below, &b);
    assert_true(abs(b.x0 - (a.x0 + (a.x1 - a.x0) / 4)) <= 1); // that of row one begins after 1, the longest first is 4
    assert_true(abs((b.x1 - a.x0) - (a.x1 - a.x0) * 3 / 2) <= 2); // that of row four ends at 6
    nm_area_px swatch;
    assert_true(find(&p, nm_plot_colour(bars.theme, 1), (nm_area_px){0, 0, p.width, 48}, &swatch) >= 100);
    free(p.rgba);
}

static void a_histogram_stands_on_its_axis(void **state) {
    (void)state;
    const double counts[] = {2, 8, 4, 0};
    const nm_bar_series series = {NULL, counts};
    nm_bars bars = nm_bars_default();
    bars.count = 4;
    bars.series = &series;
    bars.series_count = 1;
    bars.x.low = 0;
    bars.x.high = 2;
    bars.value.high = 8;
    bars.title = "counts";
    bars.x.label = "time";
    const picture p = draw(&bars);
    const nm_rgba colour = nm_plot_colour(bars.theme, 0);
    nm_area_px all, box;
    find(&p, colour, (nm_area_px){0, 0, p.width, p.height}, &all);
    const int column = (all.x1 - all.x0) / 3;
    double unit = 0;
    for (int i = 0; i < 3; i++) {
        find(&p, colour, (nm_area_px){all.x0 + column * i + 4, 0, all.x0 + column * (i + 1) - 4, p.height}, &box);
        assert_int_equal(box.y1, all.y1); // all stand on it
        if (i == 0) unit = (box.y1 - box.y0) / 2.0;
        assert_true(fabs((box.y1 - box.y0) - unit * counts[i]) <= 4);
    }
    assert_true(all.x1 < p.width * 3 / 4 + 20); // the last column is empty
    free(p.rgba);
}

static void what_makes_no_sense_is_refused(void **state) {
    (void)state;
    nm_error error;
    static uint8_t rgba[4 * 1000 * 600];
    const double bad[][4] = {{1, -1, 0, 0}, {NAN, 0, 0, 0}, {0, 0, INFINITY, 0}};
    for (int i = 0; i < 3; i++) {
        const nm_bar_series series = {NULL, bad[i]};
        nm_bars bars = rows_of(&series, 1);
        assert_int_equal(nm_bars_draw(&bars, rgba, &error), NM_E_ARGUMENT);
    }
    const nm_bar_series series = {NULL, first};
    nm_bars bars = rows_of(&series, 1);
    bars.width = 199;
    assert_int_equal(nm_bars_draw(&bars, rgba, &error), NM_E_ARGUMENT);
    bars = rows_of(&series, 1);
    bars.value.high = 0;
    assert_int_equal(nm_bars_draw(&bars, rgba, &error), NM_E_ARGUMENT);
    bars = rows_of(&series, 1);
    bars.names = NULL; // a histogram without a range
    assert_int_equal(nm_bars_draw(&bars, rgba, &error), NM_E_ARGUMENT);
    bars.count = NM_BARS_MAX + 1;
    assert_int_equal(nm_bars_draw(&bars, rgba, &error), NM_E_LIMIT);
}

static void anything_else_is_drawn(void **state) {
    (void)state;
    static char long_name[5000];
    const char *many[NM_BARS_MAX];
    double values[NM_BARS_MAX];
    memset(long_name, 'W', sizeof long_name - 1);
    for (int i = 0; i < NM_BARS_MAX; i++) {
        many[i] = i % 3 ? "\x01\xff name" : long_name;
        values[i] = i % 2 ? 1e299 : 1e-300;
    }
    const nm_bar_series series[] = {{long_name, values}, {"", values}, {NULL, values}, {long_name, values}};
    for (int small = 0; small < 2; small++) {
        nm_bars bars = nm_bars_default();
        bars.width = small ? 200 : 1000;
        bars.height = small ? 200 : nm_bars_height(NM_BARS_MAX);
        bars.title = long_name;
        bars.value.label = bars.value.unit = long_name;
        bars.names = many;
        bars.count = NM_BARS_MAX;
        bars.series = series;
        bars.series_count = 4;
        picture p = draw(&bars);
        free(p.rgba);
        bars.count = 0; // nothing at all
        bars.series_count = 0;
        p = draw(&bars);
        free(p.rgba);
    }
}

static void a_file_holds_it(void **state) {
    (void)state;
    char folder[] = "/tmp/nearmiss-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/bars.png", folder);
    const nm_bar_series series = {NULL, first};
    const nm_bars bars = rows_of(&series, 1);
    nm_error error;
    assert_int_equal(nm_bars_png(&bars, path, &error), NM_OK);
    uint8_t head[8] = {0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(head, 1, 8, file), 8);
    fclose(file);
    assert_memory_equal(head + 1, "PNG", 3);
    unlink(path);
    rmdir(folder);
    assert_int_equal(nm_bars_png(&bars, path, &error), NM_E_IO); // the folder is gone
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_as_long_as_their_values), cmocka_unit_test(parts_are_stacked),
        cmocka_unit_test(a_histogram_stands_on_its_axis),   cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(anything_else_is_drawn),           cmocka_unit_test(a_file_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
