#include "render/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "render/media.h"
#include "render/plot_private.h"

// px
#define MARGIN 16
#define TITLE 13.0f // heights of capital letters
#define LABEL 10.0f
#define TICK 9.0f
#define LINE_HEIGHT 22
#define LINE 2.0  // width of lines
#define DOT 6.0   // diameter of a point without neighbours
#define SAMPLE 26 // length of a line in the legend
#define COLOURS 5

typedef struct sketch {
    const nm_plot *plot;
    const nm_theme *theme;
    nm_canvas canvas;
    nm_scale x, y;
    nm_area_px area; // where the lines are
    uint64_t left_out;
} sketch;

nm_plot nm_plot_default(void) {
    const nm_plot_axis axis = {.low = NAN, .high = NAN};
    return (nm_plot){.width = 1000, .height = 600, .theme = NM_THEME_DAY, .x = axis, .y = axis};
}

/// Roles whose colours stand out from the panel in both themes.
nm_rgba nm_plot_colour(nm_theme_kind theme, size_t index) {
    static const nm_role roles[2][COLOURS] = {
        {NM_ROLE_EGO, NM_ROLE_ADVERSARY, NM_ROLE_CYCLIST, NM_ROLE_LARGE, NM_ROLE_STATIC},
        {NM_ROLE_EGO, NM_ROLE_ADVERSARY, NM_ROLE_CYCLIST, NM_ROLE_PEDESTRIAN, NM_ROLE_VEHICLE}};
    return nm_theme_of(theme)->role[roles[theme == NM_THEME_DARK][index % COLOURS]];
}

static int is_shown(const nm_plot *plot, double x, double y) {
    return nm_scale_shows(plot->x.logarithmic, x) && nm_scale_shows(plot->y.logarithmic, y);
}

// --- ranges ----------------------------------------------------------------------------------------------------------

static nm_status fit(sketch *s, nm_error *error) {
    const nm_plot *plot = s->plot;
    double low[2] = {NAN, NAN}, high[2] = {NAN, NAN};
    for (size_t k = 0; k < plot->series_count; k++) {
        const nm_plot_series *series = &plot->series[k];
        for (size_t i = 0; i < series->count; i++) {
            const double at[2] = {series->x[i], series->y[i]};
            if (!is_shown(plot, at[0], at[1])) {
                s->left_out++;
                continue;
            }
            for (int axis = 0; axis < 2; axis++) { // fmin and fmax pass over the NaN of the beginning
                low[axis] = fmin(low[axis], at[axis]);
                high[axis] = fmax(high[axis], at[axis]);
            }
        }
    }
    nm_status status = nm_scale_fit(&plot->x, "x", low[0], high[0], &s->x, error);
    return status == NM_OK ? nm_scale_fit(&plot->y, "y", low[1], high[1], &s->y, error) : status;
}

// --- lines -----------------------------------------------------------------------------------------------------------

typedef struct spot {
    double x, y;
} spot;

/// A line under way: points go in one by one, segments come out.
typedef struct pen {
    sketch *s;
    nm_area_px clip;
    double dash, gap; // gap 0 = solid
    double along;     // px drawn of this line: where in the pattern it is
    int down;         // there is a last point
    int moved;        // and a segment to it
    spot last;
    // points of one column of pixels
    int pending; // how many
    long column;
    spot first, lowest, highest, newest;
    int lowest_first; // the lowest came before the highest
} pen;

static void piece(pen *p, spot from, spot to, double first, double last) {
    const double dx = to.x - from.x, dy = to.y - from.y;
    nm_canvas_segment(&p->s->canvas, p->clip, from.x + first * dx, from.y + first * dy, from.x + last * dx,
                      from.y + last * dy, LINE);
}

static void segment(pen *p, spot from, spot to) {
    const double length = hypot(to.x - from.x, to.y - from.y), period = p->dash + p->gap, began = p->along;
    double first = 0, last = 1; // of what can be seen
    p->along += length;
    if (!nm_canvas_cut(from.x, to.x, p->clip.x0 - LINE, p->clip.x1 + LINE, &first, &last) ||
        !nm_canvas_cut(from.y, to.y, p->clip.y0 - LINE, p->clip.y1 + LINE, &first, &last))
        return;
    if (p->gap <= 0) {
        piece(p, from, to, first, last);
        return;
    }
    for (double at = first * length, next; at < last * length; at = next) {
        const double phase = fmod(began + at, period);
        const int drawn = phase < p->dash;
        next = fmin(last * length, at + fmax((drawn ? p->dash : period) - phase, 0.01)); // at least a bit further
        if (drawn) piece(p, from, to, at / length, next / length);
    }
}

static void go_to(pen *p, spot to) {
    if (p->down && (to.x != p->last.x || to.y != p->last.y)) {
        segment(p, p->last, to);
        p->moved = 1;
    }
    p->down = 1;
    p->last = to;
}

/// Draws the column that was gathered.
static void flush(pen *p) {
    if (!p->pending) return;
    p->pending = 0;
    go_to(p, p->first);
    go_to(p, p->lowest_first ? p->lowest : p->highest);
    go_to(p, p->lowest_first ? p->highest : p->lowest);
    go_to(p, p->newest);
}

static void add_point(pen *p, spot at) {
    const long column = lrint(floor(at.x));
    if (p->pending && column != p->column) flush(p);
    if (!p->pending) {
        p->column = column;
        p->first = p->lowest = p->highest = at;
        p->lowest_first = 1;
    }
    if (at.y < p->lowest.y) {
        p->lowest = at;
        p->lowest_first = 0;
    }
    if (at.y > p->highest.y) {
        p->highest = at;
        p->lowest_first = 1;
    }
    p->newest = at;
    p->pending++;
}

/// The end of a line, or a gap in it.
static void lift(pen *p) {
    flush(p);
    if (p->down && !p->moved)
        nm_canvas_segment(&p->s->canvas, p->clip, p->last.x, p->last.y, p->last.x, p->last.y, DOT);
    p->down = p->moved = 0;
}

static pen pen_of(sketch *s, nm_area_px clip, size_t index) {
    static const double patterns[][2] = {{1, 0}, {9, 6}, {2, 5}, {16, 5}};
    const double *pattern = patterns[index / COLOURS % (sizeof patterns / sizeof *patterns)];
    return (pen){.s = s, .clip = clip, .dash = pattern[0], .gap = pattern[1]};
}

static void draw_series(sketch *s, size_t index) {
    const nm_plot_series *series = &s->plot->series[index];
    pen p = pen_of(s, s->area, index);
    for (size_t i = 0; i < series->count; i++) {
        if (is_shown(s->plot, series->x[i], series->y[i]))
            add_point(&p, (spot){nm_scale_place(&s->x, series->x[i]), nm_scale_place(&s->y, series->y[i])});
        else
            lift(&p);
    }
    lift(&p);
    nm_canvas_paint(&s->canvas, s->area, nm_plot_colour(s->plot->theme, index));
}

// --- around them -----------------------------------------------------------------------------------------------------

static int has(const char *text) {
    return text && text[0];
}

/// Rows of the legend from `top` on, when `drawing`; returns their number.
static int legend(sketch *s, int top, int drawing) {
    const int left = MARGIN, right = s->plot->width - MARGIN, room = right - left - SAMPLE - 8;
    int x = left, row = 0, any = 0;
    for (size_t i = 0; i < s->plot->series_count; i++) {
        const char *name = s->plot->series[i].name;
        if (!has(name)) continue;
        int width = nm_canvas_text_width(&s->canvas, name, LABEL);
        if (width > room) width = room;
        if (any && x + SAMPLE + 8 + width > right) {
            x = left;
            row++;
        }
        any = 1;
        if (drawing) {
            const int y = top + LINE_HEIGHT * row + LINE_HEIGHT / 2;
            const nm_area_px clip = {x, y - 8, x + SAMPLE, y + 8};
            pen p = pen_of(s, clip, i);
            segment(&p, (spot){x + 2.0, y}, (spot){x + SAMPLE - 2.0, y});
            nm_canvas_paint(&s->canvas, clip, nm_plot_colour(s->plot->theme, i));
            nm_canvas_text(&s->canvas, name, LABEL, x + SAMPLE + 8, y + (int)(0.5f * LABEL), NM_ANCHOR_LEFT, width,
                           s->theme->text);
        }
        x += SAMPLE + 8 + width + 20;
    }
    return any ? row + 1 : 0;
}

/// "speed [m/s]" into `text`.
static const char *axis_text(const nm_plot_axis *axis, char *text, size_t size) {
    snprintf(text, size, "%s%s%s%s", has(axis->label) ? axis->label : "", has(axis->unit) ? " [" : "",
             has(axis->unit) ? axis->unit : "", has(axis->unit) ? "]" : "");
    return text;
}

/// Lines and texts at the ticks; for the y axis when `vertical`.
static void draw_ticks(sketch *s, const nm_scale *scale, int wanted, int vertical) {
    nm_tick ticks[NM_PLOT_TICKS];
    const nm_area_px a = s->area;
    const size_t count = nm_scale_ticks(scale, wanted, ticks);
    int free_from = 0; // px at which the next text may begin
    for (size_t i = 0; i < count; i++) {
        const int at = (int)lrint(floor(ticks[i].place));
        if (vertical) {
            nm_canvas_fill(&s->canvas, (nm_area_px){a.x0, at, a.x1, at + 1}, s->theme->panel_line);
            nm_canvas_text(&s->canvas, ticks[i].text, TICK, a.x0 - 8, at + 5, NM_ANCHOR_RIGHT, a.x0 - 8,
                           s->theme->text);
            continue;
        }
        const int half = nm_canvas_text_width(&s->canvas, ticks[i].text, TICK) / 2;
        nm_canvas_fill(&s->canvas, (nm_area_px){at, a.y0, at + 1, a.y1}, s->theme->panel_line);
        if (at - half < free_from || at + half > s->plot->width) continue;
        nm_canvas_text(&s->canvas, ticks[i].text, TICK, at, a.y1 + 18, NM_ANCHOR_CENTRE, 2 * half + 1, s->theme->text);
        free_from = at + half + 10;
    }
}

static int ticks_across(const sketch *s) {
    return (s->area.x1 - s->area.x0) / 90;
}
static int ticks_up(const sketch *s) {
    return (s->area.y1 - s->area.y0) / 45;
}

/// Places the area of the lines, leaving room for what is around it.
static void lay_out(sketch *s) {
    const nm_plot *plot = s->plot;
    char text[256];
    nm_tick ticks[NM_PLOT_TICKS];
    int top = MARGIN + (has(plot->title) ? LINE_HEIGHT + 4 : 0);
    top += LINE_HEIGHT * legend(s, 0, 0);
    if (axis_text(&plot->y, text, sizeof text)[0]) top += LINE_HEIGHT + 4;
    const int below = axis_text(&plot->x, text, sizeof text)[0] || s->left_out ? LINE_HEIGHT : 0;
    s->area = (nm_area_px){
        .x0 = MARGIN, .y0 = top + 4, .x1 = plot->width - MARGIN - 8, .y1 = plot->height - MARGIN - 18 - below};
    if (s->area.y1 < s->area.y0 + 20) s->area.y1 = s->area.y0 + 20; // a tiny picture with a long legend
    s->y.from = s->area.y1 - 0.5;
    s->y.to = s->area.y0 + 0.5;
    int widest = 0;
    const size_t count = nm_scale_ticks(&s->y, ticks_up(s), ticks);
    for (size_t i = 0; i < count; i++) {
        const int width = nm_canvas_text_width(&s->canvas, ticks[i].text, TICK);
        if (width > widest) widest = width;
    }
    s->area.x0 += widest + 8;
    s->x.from = s->area.x0 + 0.5;
    s->x.to = s->area.x1 - 0.5;
}

static void draw_frame(sketch *s) {
    const nm_plot *plot = s->plot;
    const nm_area_px a = s->area;
    const int room = plot->width - 2 * MARGIN;
    char text[256];
    int top = MARGIN;
    nm_canvas_fill(&s->canvas, (nm_area_px){0, 0, plot->width, plot->height}, s->theme->panel);
    draw_ticks(s, &s->x, ticks_across(s), 0);
    draw_ticks(s, &s->y, ticks_up(s), 1);
    nm_canvas_fill(&s->canvas, (nm_area_px){a.x0 - 1, a.y0, a.x0, a.y1 + 1}, s->theme->text);
    nm_canvas_fill(&s->canvas, (nm_area_px){a.x0 - 1, a.y1, a.x1, a.y1 + 1}, s->theme->text);
    if (has(plot->title)) {
        nm_canvas_text(&s->canvas, plot->title, TITLE, MARGIN, top + 15, NM_ANCHOR_LEFT, room, s->theme->text);
        top += LINE_HEIGHT + 4;
    }
    top += LINE_HEIGHT * legend(s, top, 1);
    nm_canvas_text(&s->canvas, axis_text(&plot->y, text, sizeof text), LABEL, MARGIN, top + 18, NM_ANCHOR_LEFT, room,
                   s->theme->text);
    const int base = a.y1 + 18 + LINE_HEIGHT;
    nm_canvas_text(&s->canvas, axis_text(&plot->x, text, sizeof text), LABEL, a.x1, base, NM_ANCHOR_RIGHT,
                   s->left_out ? room / 2 : room, s->theme->text);
    const int label = nm_canvas_text_width(&s->canvas, text, LABEL);
    if (!s->left_out) return;
    snprintf(text, sizeof text, "%llu point%s not shown: not finite%s", (unsigned long long)s->left_out,
             s->left_out == 1 ? "" : "s", plot->x.logarithmic || plot->y.logarithmic ? ", or not above 0" : "");
    nm_canvas_text(&s->canvas, text, TICK, MARGIN, base, NM_ANCHOR_LEFT,
                   a.x1 - MARGIN - (label < room / 2 ? label + 16 : room / 2), s->theme->panel_mark);
}

// --- plots -----------------------------------------------------------------------------------------------------------

static nm_status check(const nm_plot *plot, nm_error *error) {
    if (plot->width < 200 || plot->height < 200 || plot->width > 8192 || plot->height > 8192)
        return NM_ERROR(error, NM_E_ARGUMENT, "a plot of %d x %d px: both must be 200 to 8192", plot->width,
                        plot->height);
    if (plot->series_count > NM_PLOT_MAX_SERIES)
        return NM_ERROR(error, NM_E_LIMIT, "a plot of %zu lines: at most %d are told apart", plot->series_count,
                        NM_PLOT_MAX_SERIES);
    return NM_OK;
}

nm_status nm_plot_draw(const nm_plot *plot, uint8_t *rgba, nm_error *error) {
    NM_ASSERT(plot && rgba && (plot->series || plot->series_count == 0));
    nm_status status = check(plot, error);
    if (status != NM_OK) return status;
    sketch s = {.plot = plot,
                .theme = nm_theme_of(plot->theme),
                .canvas = {.rgba = rgba, .width = plot->width, .height = plot->height}};
    status = fit(&s, error);
    if (status != NM_OK) return status;
    s.canvas.mask = calloc((size_t)plot->width, (size_t)plot->height);
    status =
        s.canvas.mask ? nm_typeface_open(&s.canvas.typeface, error) : NM_ERROR(error, NM_E_MEMORY, "out of memory");
    if (status == NM_OK) {
        lay_out(&s);
        draw_frame(&s);
        for (size_t i = 0; i < plot->series_count; i++) draw_series(&s, i);
    }
    nm_typeface_close(&s.canvas.typeface);
    free(s.canvas.mask);
    return status;
}

nm_status nm_plot_png(const nm_plot *plot, const char *path, nm_error *error) {
    nm_status status = check(plot, error);
    if (status != NM_OK) return status;
    uint8_t *rgba = malloc(4 * (size_t)plot->width * (size_t)plot->height);
    if (!rgba) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    status = nm_plot_draw(plot, rgba, error);
    if (status == NM_OK) status = nm_png_write(path, rgba, plot->width, plot->height, error);
    free(rgba);
    return status;
}
