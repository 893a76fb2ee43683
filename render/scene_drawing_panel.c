/// The panel under a picture: how dangerous it was over time, what happened when, and where we are.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "render/drawing_private.h"
#include "render/frame_labels.h"
#include "render/scene_drawing.h"

#define MOST_TTC 10.0f    ///< s, top of its graph
#define CRITICAL_TTC 1.5f ///< s
#define MOST_ROWS 3       ///< of moments that overlap in time
#define MOST_POINTS 4096  ///< of a graph
#define LEAST_GRAPH 16.0f ///< px, height

typedef struct panel {
    nm_drawing *drawing;
    const nm_theme *theme;
    const nm_series *series;
    const nm_panel *what;
    float dt;
    float x, y, width, height; ///< px, of the area
    float text, pad;           ///< px, height of a capital; distance from the rim
    float left, right;         ///< px, where the time axis begins and ends
    nm_point *curve;           ///< working memory, MOST_POINTS
} panel;

typedef struct graph {
    const char *name, *unit;
    const float *values;
    float most;        ///< at the top
    float top, bottom; ///< px
    int clipped;       ///< beyond `most`: at the top; else a gap
} graph;

static nm_label text_style(float x, float y, nm_anchor anchor, nm_rgba colour, float size) {
    return (nm_label){
        .x = x, .y = y, .size = size, .colour = colour, .anchor = (uint8_t)anchor, .layer = NM_LAYER_PANEL};
}

static void draw_line(panel *p, float x0, float y0, float x1, float y1, float width, nm_rgba colour, float dash) {
    const nm_point ends[2] = {{x0, y0, 0}, {x1, y1, 0}};
    nm_draw_stroke(p->drawing, ends, 2,
                   (nm_stroke){.width = width, .dash = dash, .gap = dash, .colour = colour, .layer = NM_LAYER_PANEL});
}

static float clampf(float value, float least, float most) {
    return value > least ? (value < most ? value : most) : least; // NaN: least
}

/// Where a step lies on the time axis.
static float time_x(const panel *p, float step) {
    const float last = (float)p->series->steps - 1.0f;
    return p->left + (last > 0 ? clampf(step / last, 0.0f, 1.0f) : 0.5f) * (p->right - p->left);
}

// --- graphs ----------------------------------------------------------------------------------------------------------

/// The value a column of pixels shows: the lowest (most dangerous) of its steps.
static float column(const graph *g, uint32_t from, uint32_t to) {
    float least = INFINITY;
    for (uint32_t i = from; i < to; i++)
        if (g->values[i] < least) least = g->values[i];
    return g->clipped && !(least < g->most) ? g->most : least;
}

static float value_y(const graph *g, float value) {
    return g->bottom - clampf(value / g->most, 0.0f, 1.0f) * (g->bottom - g->top);
}

/// What of the curve's piece lies below the critical value, filled up to it.
static void draw_danger(panel *p, float critical, nm_point a, nm_point b) {
    if (a.y <= critical && b.y <= critical) return;
    const float t = a.y != b.y ? clampf((critical - a.y) / (b.y - a.y), 0.0f, 1.0f) : 0.0f;
    const nm_point crossing = {a.x + t * (b.x - a.x), critical, 0};
    if (a.y < critical) a = crossing;
    if (b.y < critical) b = crossing;
    const nm_point low[2] = {a, b}, high[2] = {{a.x, critical, 0}, {b.x, critical, 0}};
    nm_draw_band(p->drawing, NM_LAYER_PANEL, low, high, 2, nm_with_alpha(p->theme->panel_mark, 110));
}

/// The stretch of the curve in p->curve, and the danger under it.
static void draw_stretch(panel *p, const graph *g, uint32_t count) {
    if (count == 0) return;
    if (count == 1) { // one step alone still shows
        nm_draw_disc(p->drawing, NM_LAYER_PANEL, p->curve[0], 2.0f, p->theme->panel_graph);
        return;
    }
    for (uint32_t i = 0; g->clipped && i + 1 < count; i++)
        draw_danger(p, value_y(g, CRITICAL_TTC), p->curve[i], p->curve[i + 1]);
    nm_draw_stroke(p->drawing, p->curve, count,
                   (nm_stroke){.width = 1.8f, .colour = p->theme->panel_graph, .layer = NM_LAYER_PANEL});
}

static void draw_curve(panel *p, const graph *g) {
    const uint32_t steps = p->series->steps;
    uint32_t columns = (uint32_t)fmaxf(p->right - p->left, 2.0f);
    if (columns > steps) columns = steps;
    if (columns > MOST_POINTS) columns = MOST_POINTS;
    uint32_t count = 0;
    for (uint32_t i = 0; i < columns; i++) {
        const uint32_t from = (uint32_t)((uint64_t)i * steps / columns);
        const uint32_t to = (uint32_t)((uint64_t)(i + 1) * steps / columns);
        const float value = column(g, from, to);
        if (!isfinite(value)) {
            draw_stretch(p, g, count);
            count = 0;
            continue;
        }
        const float middle = 0.5f * ((float)from + (float)(to - 1));
        p->curve[count++] = (nm_point){time_x(p, middle), value_y(g, value), 0};
    }
    draw_stretch(p, g, count);
}

static void draw_graph(panel *p, const graph *g) {
    const nm_theme *theme = p->theme;
    const float middle = 0.5f * (g->top + g->bottom), small = 0.8f * p->text;
    draw_line(p, p->left, g->bottom, p->right, g->bottom, 1.0f, theme->panel_line, 0);
    draw_line(p, p->left, g->top, p->right, g->top, 1.0f, theme->panel_line, 2.0f);
    if (g->clipped) {
        const float critical = value_y(g, CRITICAL_TTC);
        nm_draw_rectangle(p->drawing, NM_LAYER_PANEL, p->left, critical, p->right, g->bottom,
                          nm_with_alpha(theme->panel_mark, 26));
        draw_line(p, p->left, critical, p->right, critical, 1.0f, nm_with_alpha(theme->panel_mark, 200), 4.0f);
    }
    draw_curve(p, g);
    const int two_lines = g->bottom - g->top > 3.2f * p->text;
    nm_draw_label(
        p->drawing,
        text_style(p->x + p->pad, two_lines ? middle - 0.85f * p->text : middle, NM_ANCHOR_LEFT, theme->text, p->text),
        "%s", g->name);
    if (two_lines)
        nm_draw_label(p->drawing,
                      text_style(p->x + p->pad, middle + 0.95f * p->text, NM_ANCHOR_LEFT,
                                 nm_mix_colour(theme->text, theme->panel, 0.4f), small),
                      "0 to %.0f %s", (double)g->most, g->unit);
    const float last = (float)p->series->steps - 1.0f;
    const float value = g->values[(uint32_t)(clampf(p->what->step, 0.0f, last) + 0.5f)];
    const nm_label style = text_style(p->right + p->pad, middle, NM_ANCHOR_LEFT,
                                      g->clipped && value < CRITICAL_TTC ? theme->panel_mark : theme->text, p->text);
    if (isfinite(value))
        nm_draw_label(p->drawing, style, "%.1f %s", (double)value, g->unit);
    else
        nm_draw_label(p->drawing, style, g->clipped ? "> %.0f %s" : "-", (double)g->most, g->unit);
}

/// A round number at or above the largest finite value.
static float round_up(const float *values, uint32_t count, float least) {
    float most = least;
    for (uint32_t i = 0; i < count; i++)
        if (isfinite(values[i]) && values[i] > most) most = values[i];
    const float unit = powf(10.0f, floorf(log10f(most)));
    const float parts = most / unit;
    return unit * (parts <= 1.0f ? 1.0f : parts <= 2.0f ? 2.0f : parts <= 5.0f ? 5.0f : 10.0f);
}

static void draw_cross(panel *p, float x, float y, float size) {
    draw_line(p, x - size, y - size, x + size, y + size, 2.2f, p->theme->panel_mark, 0);
    draw_line(p, x - size, y + size, x + size, y - size, 2.2f, p->theme->panel_mark, 0);
}

/// A cross where boxes begin to overlap, a bar as long as they do.
static void draw_collisions(panel *p, float y, float size) {
    const nm_series *s = p->series;
    for (uint32_t i = 0; i < s->steps; i++) {
        if (!s->collision[i]) continue;
        const uint32_t from = i;
        while (i + 1 < s->steps && s->collision[i + 1]) i++;
        const float x0 = time_x(p, (float)from), x1 = time_x(p, (float)i);
        if (x1 - x0 > 1.0f)
            nm_draw_rectangle(p->drawing, NM_LAYER_PANEL, x0, y - 1.5f, x1, y + 1.5f, p->theme->panel_mark);
        draw_cross(p, clampf(x0, p->left + size, p->right - size), y, size);
    }
}

// --- time line -------------------------------------------------------------------------------------------------------

/// Seconds between marks: 1, 2, 5 x 10^n, so that `width` px a mark suffice.
static float tick_seconds(const panel *p, float width) {
    const float duration = ((float)p->series->steps - 1.0f) * p->dt;
    const float most = fmaxf(1.0f, (p->right - p->left) / width), least = duration / most;
    const float unit = powf(10.0f, floorf(log10f(fmaxf(least, 0.01f))));
    const float parts = least / unit;
    return unit * (parts <= 1.0f ? 1.0f : parts <= 2.0f ? 2.0f : parts <= 5.0f ? 5.0f : 10.0f);
}

static void draw_axis(panel *p, float y) {
    const float every = tick_seconds(p, 7.0f * p->text), duration = ((float)p->series->steps - 1.0f) * p->dt;
    draw_line(p, p->left, y, p->right, y, 1.0f, p->theme->text, 0);
    for (int i = 0; i < 1000 && (float)i * every <= duration + 1e-4f; i++) {
        const float x = time_x(p, (float)i * every / p->dt);
        draw_line(p, x, y, x, y + 0.4f * p->text, 1.0f, p->theme->text, 0);
        nm_draw_label(p->drawing, text_style(x, y + 1.2f * p->text, NM_ANCHOR_CENTRE, p->theme->text, 0.85f * p->text),
                      "%g", (double)(roundf((float)i * every * 100.0f) / 100.0f));
    }
    nm_draw_label(p->drawing,
                  text_style(p->x + p->pad, y + 1.2f * p->text, NM_ANCHOR_LEFT, p->theme->text, 0.85f * p->text),
                  "time, s");
}

static void draw_moment(panel *p, const nm_moment *m, float top, float bottom) {
    const nm_theme *theme = p->theme;
    const float size = 0.8f * p->text, severity = clampf(m->severity, 0.0f, 1.0f);
    const float x0 = time_x(p, (float)m->first_step);
    const float x1 = fminf(fmaxf(time_x(p, (float)m->last_step), x0 + 3.0f), p->right);
    const float peak = clampf(time_x(p, (float)m->peak_step), x0, x1);
    nm_draw_rectangle(p->drawing, NM_LAYER_PANEL, fminf(x0, x1 - 3.0f), top, x1, bottom,
                      nm_mix_colour(theme->panel, theme->warning, 0.25f + 0.35f * severity));
    draw_line(p, peak, top, peak, bottom, 2.0f, theme->warning, 0);
    char text[48];
    snprintf(text, sizeof text, "%s", m->kind ? m->kind : "");
    for (char *c = text; *c; c++)
        if (*c == '_') *c = ' ';
    const float needs = nm_text_width_estimate(text, size) + 2.0f * p->pad * 0.5f, y = 0.5f * (top + bottom);
    if (x1 - x0 >= needs)
        nm_draw_label(p->drawing, text_style(x0 + 0.5f * p->pad, y, NM_ANCHOR_LEFT, theme->text, size), "%s", text);
    else if (p->right - x1 >= needs)
        nm_draw_label(p->drawing, text_style(x1 + 0.5f * p->pad, y, NM_ANCHOR_LEFT, theme->text, size), "%s", text);
    else if (x0 - p->left >= needs)
        nm_draw_label(p->drawing, text_style(x0 - 0.5f * p->pad, y, NM_ANCHOR_RIGHT, theme->text, size), "%s", text);
}

/// Where the text of a bar may reach to: the next bar in its row must begin after it.
static float reach_of(const panel *p, const nm_moment *m) {
    const float x0 = time_x(p, (float)m->first_step), x1 = fmaxf(time_x(p, (float)m->last_step), x0 + 3.0f);
    const float needs = nm_text_width_estimate(m->kind ? m->kind : "", 0.8f * p->text) + p->pad;
    return x1 - x0 >= needs ? x1 : x1 + needs;
}

/// The first row where it does not meet what lies there, else the last.
static int row_of(const panel *p, const nm_moment *m, float ends[MOST_ROWS], int rows) {
    const float x0 = time_x(p, (float)m->first_step);
    for (int r = 0; r < rows; r++) {
        if (x0 <= ends[r] + 2.0f) continue;
        ends[r] = reach_of(p, m);
        return r;
    }
    return -1;
}

/// How many rows the moments need. Those that find no room in MOST_ROWS are drawn without order in the last.
static int rows_needed(const panel *p) {
    float ends[MOST_ROWS] = {-1e9f, -1e9f, -1e9f};
    int rows = 1;
    for (uint32_t i = 0; i < p->what->moment_count; i++) {
        const int row = row_of(p, &p->what->moments[i], ends, MOST_ROWS);
        if (row < 0) return MOST_ROWS;
        if (row + 1 > rows) rows = row + 1;
    }
    return rows;
}

static void draw_moments(panel *p, float top, float row_height, int rows) {
    float ends[MOST_ROWS] = {-1e9f, -1e9f, -1e9f};
    nm_draw_label(p->drawing,
                  text_style(p->x + p->pad, top + 0.5f * row_height, NM_ANCHOR_LEFT, p->theme->text, p->text),
                  "moments");
    for (uint32_t i = 0; i < p->what->moment_count; i++) {
        const nm_moment *m = &p->what->moments[i];
        const int row = row_of(p, m, ends, rows);
        const float y = top + row_height * (float)(row < 0 ? rows - 1 : row);
        if (row >= 0)
            draw_moment(p, m, y + 1.0f, y + row_height - 1.0f);
        else
            nm_draw_rectangle(p->drawing, NM_LAYER_PANEL, time_x(p, (float)m->first_step), y + row_height - 3.0f,
                              time_x(p, (float)m->last_step), y + row_height - 1.0f, p->theme->warning);
    }
}

// --- all -------------------------------------------------------------------------------------------------------------

static void draw_header(panel *p, float height) {
    const float y = p->y + p->pad + 0.4f * height;
    const float last = ((float)p->series->steps - 1.0f) * p->dt;
    char time[48], title[256];
    snprintf(time, sizeof time, "%.1f s of %.1f s", (double)(p->what->step * p->dt), (double)fmaxf(last, 0.0f));
    nm_draw_label(p->drawing, text_style(p->x + p->width - p->pad, y, NM_ANCHOR_RIGHT, p->theme->text, p->text), "%s",
                  time);
    if (!p->what->title) return;
    snprintf(title, sizeof title, "%s", p->what->title);
    const float room = p->width - 3.0f * p->pad - nm_text_width_estimate(time, p->text);
    size_t length = strlen(title);
    int cut = strlen(p->what->title) > length;
    while (length > 0 && nm_text_width_estimate(title, p->text) + (cut ? 3.0f * p->text : 0.0f) > room) {
        cut = 1;
        do title[--length] = 0;
        while (length > 0 && (title[length - 1] & 0x80) && (title[length - 1] & 0xC0) != 0xC0);
        if (length > 0 && (title[length - 1] & 0xC0) == 0xC0) title[--length] = 0; // the head of what was cut
    }
    if (length == 0) return;
    nm_draw_label(p->drawing, text_style(p->x + p->pad, y, NM_ANCHOR_LEFT, p->theme->text, p->text),
                  cut ? "%s..." : "%s", title);
}

/// Stacks as many graphs as find room, the most important first.
static float draw_graphs(panel *p, float top, float bottom) {
    const nm_series *s = p->series;
    const graph all[3] = {
        {.name = "min TTC", .unit = "s", .values = s->min_ttc, .most = MOST_TTC, .clipped = 1},
        {.name = "distance", .unit = "m", .values = s->min_distance, .most = round_up(s->min_distance, s->steps, 5.0f)},
        {.name = "speed", .unit = "m/s", .values = s->ego_speed, .most = round_up(s->ego_speed, s->steps, 5.0f)},
    };
    const float shares[3] = {2.0f, 1.0f, 1.0f}, gap = 0.8f * p->text;
    int count = 3;
    float sum = 4.0f;
    while (count > 1 && (bottom - top - gap * (float)(count - 1)) / sum < LEAST_GRAPH) sum -= shares[--count];
    float y = top;
    for (int i = 0; i < count; i++) {
        graph g = all[i];
        g.top = y;
        g.bottom = y + shares[i] / sum * (bottom - top - gap * (float)(count - 1));
        draw_graph(p, &g);
        if (i == 0) draw_collisions(p, clampf(g.top + 5.0f, g.top, g.bottom), 0.4f * p->text);
        y = g.bottom + gap;
    }
    return y - gap;
}

static void draw_cursor(panel *p, float top, float bottom) {
    const float x = time_x(p, p->what->step), half = 0.45f * p->text;
    draw_line(p, x, top, x, bottom, 1.5f, p->theme->text, 0);
    nm_draw_triangle(p->drawing, NM_LAYER_PANEL, (nm_point){x - half, top - half, 0},
                     (nm_point){x + half, top - half, 0}, (nm_point){x, top + half, 0}, p->theme->text);
}

static float text_height(const nm_panel *what) {
    return clampf(0.042f * what->height, 7.0f, 12.0f);
}

void nm_panel_axis(const nm_panel *what, float *left, float *right) {
    NM_ASSERT(what && left && right);
    const float text = text_height(what), pad = text;
    *left = what->x + 2.0f * pad + nm_text_width_estimate("distance", text);
    *right = what->x + what->width - 2.0f * pad - nm_text_width_estimate("100.0 m", text);
}

void nm_draw_panel(nm_drawing *drawing, const nm_scene *scene, const nm_series *series, const nm_panel *what,
                   const nm_theme *theme) {
    NM_ASSERT(drawing && scene && series && what && theme && drawing->space == NM_SPACE_SCREEN);
    NM_ASSERT(series->steps == scene->step_count);
    panel p = {.drawing = drawing,
               .theme = theme,
               .series = series,
               .what = what,
               .dt = scene->dt,
               .x = what->x,
               .y = what->y,
               .width = what->width,
               .height = what->height};
    if (!(p.width > 0) || !(p.height > 0) || !isfinite(what->step)) return;
    nm_draw_rectangle(drawing, NM_LAYER_PANEL, p.x, p.y, p.x + p.width, p.y + p.height, theme->panel);
    p.text = text_height(what);
    p.pad = p.text;
    nm_panel_axis(what, &p.left, &p.right);
    const float header = 2.0f * p.text, row = 1.9f * p.text, axis = 2.2f * p.text;
    p.curve = nm_drawing_scratch(drawing, sizeof *p.curve * MOST_POINTS);
    // too small to say anything, or nothing to say
    if (p.right - p.left < 40.0f || p.height < 8.0f * p.text || series->steps == 0 || !p.curve) return;
    draw_header(&p, header);
    const float bottom = p.y + p.height - p.pad * 0.5f - axis;
    int rows = rows_needed(&p);
    while (rows > 1 && p.height < (16.0f + 2.0f * (float)rows) * p.text) rows--;
    const float rows_top = bottom - row * (float)rows - 0.3f * p.text;
    const float top = p.y + p.pad + header;
    if (rows_top - p.text - top >= LEAST_GRAPH) draw_graphs(&p, top, rows_top - p.text);
    draw_moments(&p, rows_top, row, rows);
    draw_axis(&p, bottom);
    draw_cursor(&p, top, bottom);
}

void nm_draw_scale_bar(nm_drawing *drawing, float x, float y, float pixels_per_metre, float most_px,
                       const nm_theme *theme) {
    NM_ASSERT(drawing && theme && drawing->space == NM_SPACE_SCREEN);
    if (!(pixels_per_metre > 0) || !(most_px > 0) || !isfinite(pixels_per_metre + most_px)) return;
    const double most = (double)most_px / (double)pixels_per_metre;
    const double unit = pow(10.0, floor(log10(most))), parts = most / unit;
    // a hair is allowed for: 50 px at 10 px a metre are 5 m in spite of rounding
    const double length = unit * (parts >= 5.0 * (1 - 1e-6) ? 5.0 : parts >= 2.0 * (1 - 1e-6) ? 2.0 : 1.0);
    const float px = (float)(length * (double)pixels_per_metre), tick = 4.0f;
    const nm_point line[4] = {{x - px, y - tick, 0}, {x - px, y, 0}, {x, y, 0}, {x, y - tick, 0}};
    nm_stroke style = {.width = 5.0f, .colour = theme->text_halo, .layer = NM_LAYER_PANEL};
    nm_draw_stroke(drawing, line, 4, style);
    style.width = 2.0f, style.colour = theme->text;
    nm_draw_stroke(drawing, line, 4, style);
    const nm_label label = {.x = x - 0.5f * px,
                            .y = y - 11.0f,
                            .size = 10.0f,
                            .colour = theme->text,
                            .halo = theme->text_halo,
                            .anchor = NM_ANCHOR_CENTRE,
                            .layer = NM_LAYER_PANEL};
    if (length >= 1000.0)
        nm_draw_label(drawing, label, "%g km", length / 1000.0);
    else
        nm_draw_label(drawing, label, "%g m", length);
}
