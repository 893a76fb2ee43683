/// Bars in rows with names, and histograms.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "render/media.h"
#include "render/plot_private.h"

// px, as in plot.c
#define MARGIN 16
#define TITLE 13.0f // heights of capital letters
#define LABEL 10.0f
#define TICK 9.0f
#define LINE_HEIGHT 22
#define ROW 26
#define AROUND 110 // above and below the rows
#define SWATCH 12

typedef struct chart {
    const nm_bars *bars;
    const nm_theme *theme;
    nm_canvas canvas;
    nm_scale value, x;
    nm_area_px area; // where the bars are
} chart;

nm_bars nm_bars_default(void) {
    const nm_plot_axis axis = {.low = NAN, .high = NAN};
    return (nm_bars){.width = 1000, .height = 600, .theme = NM_THEME_DAY, .value = axis, .x = axis};
}

int nm_bars_height(size_t rows) {
    return rows > (8192 - AROUND) / ROW ? 8192 : AROUND + ROW * (int)(rows > 3 ? rows : 4);
}

static int has(const char *text) {
    return text && text[0];
}

static double sum_of(const nm_bars *bars, size_t at) {
    double sum = 0;
    for (size_t k = 0; k < bars->series_count; k++) sum += bars->series[k].values[at];
    return sum;
}

static nm_status check(const nm_bars *bars, nm_error *error) {
    if (bars->width < 200 || bars->height < 200 || bars->width > 8192 || bars->height > 8192)
        return NM_ERROR(error, NM_E_ARGUMENT, "a plot of %d x %d px: both must be 200 to 8192", bars->width,
                        bars->height);
    if (bars->count > NM_BARS_MAX || bars->series_count > NM_BARS_MAX_SERIES)
        return NM_ERROR(error, NM_E_LIMIT, "%zu bars of %zu parts: at most %d of %d can be drawn", bars->count,
                        bars->series_count, NM_BARS_MAX, NM_BARS_MAX_SERIES);
    for (size_t k = 0; k < bars->series_count; k++)
        for (size_t i = 0; i < bars->count; i++) {
            double value = bars->series[k].values[i];
            if (!(value >= 0 && value <= NM_PLOT_LARGEST / NM_BARS_MAX_SERIES))
                return NM_ERROR(error, NM_E_ARGUMENT, "a bar can not be %g long", value);
        }
    if (!isnan(bars->value.high) && !(bars->value.high > 0 && bars->value.high <= NM_PLOT_LARGEST))
        return NM_ERROR(error, NM_E_ARGUMENT, "bars can not go from 0 to %g", bars->value.high);
    if (!bars->names &&
        !(bars->x.low < bars->x.high && fabs(bars->x.low) <= NM_PLOT_LARGEST && fabs(bars->x.high) <= NM_PLOT_LARGEST))
        return NM_ERROR(error, NM_E_ARGUMENT, "the x axis of a histogram can not go from %g to %g", bars->x.low,
                        bars->x.high);
    return NM_OK;
}

// --- layout ----------------------------------------------------------------------------------------------------------

/// The legend's row from `top` on, when `drawing`; 1 when there is one.
static int legend(chart *c, int top, int drawing) {
    int x = MARGIN, any = 0;
    for (size_t k = 0; k < c->bars->series_count; k++) {
        const char *name = c->bars->series[k].name;
        if (!has(name)) continue;
        any = 1;
        if (!drawing || x >= c->bars->width - MARGIN) continue;
        const int y = top + LINE_HEIGHT / 2, room = c->bars->width - MARGIN - x - SWATCH - 8;
        nm_canvas_fill(&c->canvas, (nm_area_px){x, y - SWATCH / 2, x + SWATCH, y + SWATCH / 2},
                       nm_plot_colour(c->bars->theme, k));
        nm_canvas_text(&c->canvas, name, LABEL, x + SWATCH + 8, y + (int)(0.5f * LABEL), NM_ANCHOR_LEFT, room,
                       c->theme->text);
        x += SWATCH + 8 + nm_canvas_text_width(&c->canvas, name, LABEL) + 20;
    }
    return any;
}

static const char *axis_text(const nm_plot_axis *axis, char *text, size_t size) {
    snprintf(text, size, "%s%s%s%s", has(axis->label) ? axis->label : "", has(axis->unit) ? " [" : "",
             has(axis->unit) ? axis->unit : "", has(axis->unit) ? "]" : "");
    return text;
}

/// px that the names, or the ticks of a histogram, take on the left.
static int left_room(chart *c) {
    int widest = 0;
    if (!c->bars->names) {
        nm_tick ticks[NM_PLOT_TICKS];
        const size_t count = nm_scale_ticks(&c->value, (c->area.y1 - c->area.y0) / 45, ticks);
        for (size_t i = 0; i < count; i++) {
            const int width = nm_canvas_text_width(&c->canvas, ticks[i].text, TICK);
            if (width > widest) widest = width;
        }
        return widest;
    }
    for (size_t i = 0; i < c->bars->count; i++) {
        const int width = nm_canvas_text_width(&c->canvas, c->bars->names[i], LABEL);
        if (width > widest) widest = width;
    }
    return widest < c->bars->width * 2 / 5 ? widest : c->bars->width * 2 / 5;
}

static void lay_out(chart *c) {
    const nm_bars *bars = c->bars;
    char text[256];
    double most = 0;
    for (size_t i = 0; i < bars->count; i++) most = fmax(most, sum_of(bars, i));
    c->value = (nm_scale){.low = 0, .high = !isnan(bars->value.high) ? bars->value.high : most > 0 ? 1.06 * most : 1};
    int top = MARGIN + (has(bars->title) ? LINE_HEIGHT + 4 : 0) + LINE_HEIGHT * legend(c, 0, 0);
    // of rows the value runs to the right and is named below, of columns it runs up and is named above
    const nm_plot_axis *below = bars->names ? &bars->value : &bars->x;
    if (!bars->names && axis_text(&bars->value, text, sizeof text)[0]) top += LINE_HEIGHT + 4;
    const int foot = axis_text(below, text, sizeof text)[0] ? LINE_HEIGHT : 0;
    c->area = (nm_area_px){MARGIN, top + 4, bars->width - MARGIN - 8, bars->height - MARGIN - 18 - foot};
    if (c->area.y1 < c->area.y0 + 20) c->area.y1 = c->area.y0 + 20; // a tiny picture
    c->area.x0 += left_room(c) + 8;
    if (bars->names) {
        c->area.x1 -= 60; // the sum behind the longest bar
        if (c->area.x1 < c->area.x0 + 20) c->area.x1 = c->area.x0 + 20;
        c->value.from = c->area.x0;
        c->value.to = c->area.x1;
    } else {
        c->value.from = c->area.y1;
        c->value.to = c->area.y0;
        c->x = (nm_scale){.low = bars->x.low, .high = bars->x.high, .from = c->area.x0, .to = c->area.x1};
    }
}

// --- drawing ---------------------------------------------------------------------------------------------------------

static void ticks_across(chart *c, const nm_scale *scale, int lines) {
    nm_tick ticks[NM_PLOT_TICKS];
    const nm_area_px a = c->area;
    const size_t count = nm_scale_ticks(scale, (a.x1 - a.x0) / 90, ticks);
    int free_from = 0; // px at which the next text may begin
    for (size_t i = 0; i < count; i++) {
        const int at = (int)lrint(ticks[i].place), half = nm_canvas_text_width(&c->canvas, ticks[i].text, TICK) / 2;
        nm_canvas_fill(&c->canvas, (nm_area_px){at, lines ? a.y0 : a.y1, at + 1, lines ? a.y1 : a.y1 + 4},
                       c->theme->panel_line);
        if (at - half < free_from || at + half > c->bars->width) continue;
        nm_canvas_text(&c->canvas, ticks[i].text, TICK, at, a.y1 + 18, NM_ANCHOR_CENTRE, 2 * half + 1, c->theme->text);
        free_from = at + half + 10;
    }
}

static void ticks_up(chart *c) {
    nm_tick ticks[NM_PLOT_TICKS];
    const nm_area_px a = c->area;
    const size_t count = nm_scale_ticks(&c->value, (a.y1 - a.y0) / 45, ticks);
    for (size_t i = 0; i < count; i++) {
        const int at = (int)lrint(ticks[i].place);
        nm_canvas_fill(&c->canvas, (nm_area_px){a.x0, at, a.x1, at + 1}, c->theme->panel_line);
        nm_canvas_text(&c->canvas, ticks[i].text, TICK, a.x0 - 8, at + 5, NM_ANCHOR_RIGHT, a.x0 - 8, c->theme->text);
    }
}

static void draw_frame(chart *c) {
    const nm_bars *bars = c->bars;
    const nm_area_px a = c->area;
    const int room = bars->width - 2 * MARGIN;
    char text[256];
    int top = MARGIN;
    nm_canvas_fill(&c->canvas, (nm_area_px){0, 0, bars->width, bars->height}, c->theme->panel);
    if (has(bars->title)) {
        nm_canvas_text(&c->canvas, bars->title, TITLE, MARGIN, top + 15, NM_ANCHOR_LEFT, room, c->theme->text);
        top += LINE_HEIGHT + 4;
    }
    top += LINE_HEIGHT * legend(c, top, 1);
    if (bars->names) {
        ticks_across(c, &c->value, 1);
    } else {
        ticks_up(c);
        ticks_across(c, &c->x, 0);
        nm_canvas_text(&c->canvas, axis_text(&bars->value, text, sizeof text), LABEL, MARGIN, top + 18, NM_ANCHOR_LEFT,
                       room, c->theme->text);
    }
    const nm_plot_axis *below = bars->names ? &bars->value : &bars->x;
    nm_canvas_text(&c->canvas, axis_text(below, text, sizeof text), LABEL, (a.x0 + a.x1) / 2, bars->height - MARGIN,
                   NM_ANCHOR_CENTRE, room, c->theme->text);
}

/// Pixels [from, to) of part `index` of `count` along [low, high): neighbours share no pixel and leave none between.
static int edge(int low, int high, size_t index, size_t count) {
    return low + (int)((int64_t)(high - low) * (int64_t)index / (int64_t)count);
}

/// px of a value, cut where the axis ends.
static int along(const chart *c, double value) {
    return (int)lrint(nm_scale_place(&c->value, fmin(value, c->value.high)));
}

static void draw_bar(chart *c, size_t at) {
    const nm_bars *bars = c->bars;
    const nm_area_px a = c->area;
    double from = 0;
    const int low = bars->names ? edge(a.y0, a.y1, at, bars->count) : edge(a.x0, a.x1, at, bars->count);
    const int high = bars->names ? edge(a.y0, a.y1, at + 1, bars->count) : edge(a.x0, a.x1, at + 1, bars->count);
    const int gap = bars->names ? (high - low) / 5 : high - low > 3; // histograms have a line between columns
    for (size_t k = 0; k < bars->series_count; k++) {
        const double to = from + bars->series[k].values[at];
        nm_area_px bar = {along(c, from), low + gap, along(c, to), high - gap};
        if (!bars->names) bar = (nm_area_px){low, along(c, to), high - gap, along(c, from)};
        nm_canvas_fill(&c->canvas, bar, nm_plot_colour(bars->theme, k));
        from = to;
    }
    if (!bars->names || high - low < 10) return;
    char sum[32];
    snprintf(sum, sizeof sum, from >= 1e6 ? "%.4g" : "%.10g", from >= 1e6 ? from : round(100 * from) / 100);
    const int base = (low + high) / 2 + 5;
    nm_canvas_text(&c->canvas, bars->names[at], LABEL, a.x0 - 8, base, NM_ANCHOR_RIGHT, a.x0 - 8 - MARGIN / 2,
                   c->theme->text);
    nm_canvas_text(&c->canvas, sum, TICK, along(c, from) + 6, base, NM_ANCHOR_LEFT, 80, c->theme->text);
}

nm_status nm_bars_draw(const nm_bars *bars, uint8_t *rgba, nm_error *error) {
    NM_ASSERT(bars && rgba && (bars->series || bars->series_count == 0));
    nm_status status = check(bars, error);
    if (status != NM_OK) return status;
    chart c = {.bars = bars,
               .theme = nm_theme_of(bars->theme),
               .canvas = {.rgba = rgba, .width = bars->width, .height = bars->height}};
    status = nm_typeface_open(&c.canvas.typeface, error);
    if (status == NM_OK) {
        lay_out(&c);
        draw_frame(&c);
        for (size_t i = 0; i < bars->count; i++) draw_bar(&c, i);
        const nm_area_px a = c.area;
        nm_canvas_fill(&c.canvas, (nm_area_px){a.x0 - 1, a.y0, a.x0, a.y1 + 1}, c.theme->text);
        nm_canvas_fill(&c.canvas, (nm_area_px){a.x0 - 1, a.y1, a.x1, a.y1 + 1}, c.theme->text);
    }
    nm_typeface_close(&c.canvas.typeface);
    return status;
}

nm_status nm_bars_png(const nm_bars *bars, const char *path, nm_error *error) {
    NM_ASSERT(bars && path);
    nm_status status = check(bars, error);
    if (status != NM_OK) return status;
    uint8_t *rgba = malloc(4 * (size_t)bars->width * (size_t)bars->height);
    if (!rgba) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    status = nm_bars_draw(bars, rgba, error);
    if (status == NM_OK) status = nm_png_write(path, rgba, bars->width, bars->height, error);
    free(rgba);
    return status;
}
