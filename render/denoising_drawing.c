/// How a recording of a denoising looks: tokens in the world, and the panel with the K matrix.
#include <math.h>
#include <stdio.h>

#include "base/text.h"
#include "render/denoising.h"
#include "sim/math.h"

#define MOST_ROWS 64u
#define MOST_COLUMNS 128u
#define MOST_PASSES 256u

static nm_point corner(float x, float y, float heading, float along, float across) {
    float s, c;
    nm_sincosf(heading, &s, &c);
    return (nm_point){x + c * along - s * across, y + s * along + c * across, 0.0f};
}

/// The outline tells the box from the one that it overlaps, and the bar which end is the front.
static void draw_token(nm_drawing *drawing, const nm_denoising *d, uint32_t token, size_t at, const nm_theme *theme) {
    const nm_track *track = &d->scene->tracks[d->track[token]];
    const float length = fmaxf(track->length, 0.6f) / 2.0f, width = fmaxf(track->width, 0.6f) / 2.0f;
    const float x = d->x[at], y = d->y[at], h = d->heading[at];
    nm_rgba fill = nm_noise_colour(theme, d->level[at]), edge = theme->text;
    const nm_point box[4] = {corner(x, y, h, length, width), corner(x, y, h, -length, width),
                             corner(x, y, h, -length, -width), corner(x, y, h, length, -width)};
    const nm_point front[2] = {corner(x, y, h, 0.55f * length, 0.7f * width),
                               corner(x, y, h, 0.55f * length, -0.7f * width)};
    fill.a = d->level[at] > 0.0f ? 190 : 235;
    edge.a = d->time[token] == d->now ? 255 : 130;
    nm_draw_triangle(drawing, NM_LAYER_TOKENS, box[0], box[1], box[2], fill);
    nm_draw_triangle(drawing, NM_LAYER_TOKENS, box[0], box[2], box[3], fill);
    nm_draw_stroke(drawing, box, 4,
                   (nm_stroke){.width = d->time[token] == d->now ? 2.0f : 1.0f,
                               .colour = edge,
                               .layer = NM_LAYER_TOKENS,
                               .pixels = 1,
                               .closed = 1});
    nm_draw_stroke(drawing, front, 2,
                   (nm_stroke){.width = 1.0f, .colour = edge, .layer = NM_LAYER_TOKENS, .pixels = 1});
}

void nm_draw_denoising(nm_drawing *drawing, const nm_denoising *denoising, uint32_t pass, const nm_theme *theme) {
    NM_ASSERT(drawing && denoising && theme && drawing->space == NM_SPACE_WORLD && pass < denoising->passes);
    const nm_denoising *d = denoising;
    const size_t base = (size_t)pass * d->tokens;
    for (uint32_t i = 0; i < d->tokens; i++) { // piece by piece, so that a path needs no memory of its own
        if (i == 0 || d->track[i] != d->track[i - 1]) continue;
        const size_t at = base + i;
        if (!d->valid[at] || !d->valid[at - 1]) continue;
        const nm_point line[2] = {{d->x[at - 1], d->y[at - 1], 0.0f}, {d->x[at], d->y[at], 0.0f}};
        nm_rgba colour = nm_noise_colour(theme, d->level[at]);
        colour.a = 150;
        nm_draw_stroke(drawing, line, 2,
                       (nm_stroke){.width = 1.5f, .colour = colour, .layer = NM_LAYER_TOKENS, .pixels = 1});
    }
    for (uint32_t i = 0; i < d->tokens; i++)
        if (d->valid[base + i]) draw_token(drawing, d, i, base + i, theme);
}

// --- the panel -------------------------------------------------------------------------------------------------------

static void text(nm_drawing *drawing, float x, float y, float size, nm_anchor anchor, const nm_theme *theme,
                 const char *words) {
    nm_draw_label(
        drawing,
        (nm_label){
            .x = x, .y = y, .size = size, .colour = theme->text, .anchor = (uint8_t)anchor, .layer = NM_LAYER_PANEL},
        "%s", words);
}

static void legend(nm_drawing *drawing, float x, float y, float width, const nm_theme *theme) {
    enum { PARTS = 32 };
    for (int i = 0; i < PARTS; i++)
        nm_draw_rectangle(drawing, NM_LAYER_PANEL, x + width * (float)i / PARTS, y, x + width * (float)(i + 1) / PARTS,
                          y + 10.0f, nm_noise_colour(theme, ((float)i + 0.5f) / PARTS));
    text(drawing, x, y + 20.0f, 8.0f, NM_ANCHOR_LEFT, theme, "0 clean");
    text(drawing, x + width / 2.0f, y + 20.0f, 8.0f, NM_ANCHOR_CENTRE, theme, "noise level");
    text(drawing, x + width, y + 20.0f, 8.0f, NM_ANCHOR_RIGHT, theme, "1 noise");
}

/// A plot of `columns` x `rows` cells.
typedef struct grid {
    float x, y, width, height;
    uint32_t columns, rows;
} grid;

static void cell(nm_drawing *drawing, const grid *g, uint32_t column, uint32_t row, nm_rgba colour) {
    const float w = g->width / (float)g->columns, h = g->height / (float)g->rows;
    const float gap = fminf(w, h) > 4.0f ? 1.0f : 0.0f;
    nm_draw_rectangle(drawing, NM_LAYER_PANEL, g->x + w * (float)column, g->y + h * (float)row,
                      g->x + w * (float)(column + 1) - gap, g->y + h * (float)(row + 1) - gap, colour);
}

static uint32_t agents_of(const nm_denoising *d) {
    uint32_t agents = 0;
    for (uint32_t i = 0; i < d->tokens; i++) agents += i == 0 || d->track[i] != d->track[i - 1];
    return agents;
}

/// Agents x time. Where there are too many, each cell shows one of those that fall on it: the last.
static void matrix(nm_drawing *drawing, const nm_denoising *d, uint32_t pass, grid g, const nm_theme *theme) {
    const uint32_t agents = agents_of(d);
    uint32_t agent = 0;
    g.rows = agents < MOST_ROWS ? agents : MOST_ROWS;
    g.columns = d->times < MOST_COLUMNS ? d->times : MOST_COLUMNS;
    for (uint32_t i = 0; i < d->tokens; i++) {
        agent += i > 0 && d->track[i] != d->track[i - 1];
        const size_t at = (size_t)pass * d->tokens + i;
        const uint32_t row = (uint32_t)((uint64_t)agent * g.rows / agents);
        const uint32_t column = (uint32_t)((uint64_t)d->time[i] * g.columns / d->times);
        cell(drawing, &g, column, row, nm_noise_colour(theme, d->level[at]));
    }
    const float x = g.x + g.width * ((float)d->now + 1.0f) / (float)d->times;
    const nm_point now[2] = {{x, g.y - 3.0f, 0.0f}, {x, g.y + g.height + 3.0f, 0.0f}};
    nm_draw_stroke(drawing, now, 2,
                   (nm_stroke){.width = 1.5f, .colour = theme->panel_mark, .layer = NM_LAYER_PANEL, .pixels = 1});
}

/// Time x passes: the mean level of the tokens of a time.
static void history(nm_drawing *drawing, const nm_denoising *d, uint32_t pass, grid g, const nm_theme *theme) {
    g.rows = d->times < MOST_COLUMNS ? d->times : MOST_COLUMNS;
    g.columns = d->passes < MOST_PASSES ? d->passes : MOST_PASSES;
    for (uint32_t column = 0; column < g.columns; column++) {
        const uint32_t shown = (uint32_t)((uint64_t)column * d->passes / g.columns);
        float sum[MOST_COLUMNS] = {0};
        uint32_t count[MOST_COLUMNS] = {0};
        for (uint32_t i = 0; i < d->tokens; i++) {
            const uint32_t row = (uint32_t)((uint64_t)d->time[i] * g.rows / d->times);
            sum[row] += d->level[(size_t)shown * d->tokens + i];
            count[row]++;
        }
        for (uint32_t row = 0; row < g.rows; row++)
            if (count[row]) cell(drawing, &g, column, row, nm_noise_colour(theme, sum[row] / (float)count[row]));
    }
    const float x = g.x + g.width * ((float)pass + 0.5f) / (float)d->passes;
    const nm_point cursor[2] = {{x, g.y - 3.0f, 0.0f}, {x, g.y + g.height + 3.0f, 0.0f}};
    nm_draw_stroke(drawing, cursor, 2,
                   (nm_stroke){.width = 2.0f, .colour = theme->panel_mark, .layer = NM_LAYER_PANEL, .pixels = 1});
}

void nm_draw_denoising_panel(nm_drawing *drawing, const nm_denoising *denoising, uint32_t pass,
                             const nm_denoising_panel *panel, const nm_theme *theme) {
    NM_ASSERT(drawing && denoising && panel && theme && drawing->space == NM_SPACE_SCREEN && pass < denoising->passes);
    if (!(panel->width >= 120.0f && panel->height >= 120.0f)) return;
    const nm_denoising *d = denoising;
    const float x = panel->x + 12.0f, width = panel->width - 24.0f;
    const float each = (panel->height - 124.0f) / 2.0f; // what heads, legend and margins leave to the two plots
    float y = panel->y + 16.0f;
    char line[96];
    nm_draw_rectangle(drawing, NM_LAYER_PANEL, panel->x, panel->y, panel->x + panel->width, panel->y + panel->height,
                      theme->panel);
    nm_text_escape(line, sizeof line, d->title);
    text(drawing, x, y, 10.0f, NM_ANCHOR_LEFT, theme, line);
    snprintf(line, sizeof line, "pass %u of %u", pass, d->passes - 1);
    text(drawing, x + width, y, 10.0f, NM_ANCHOR_RIGHT, theme, line);
    legend(drawing, x, y + 14.0f, width, theme);
    if (each < 16.0f) return;
    y += 56.0f;
    text(drawing, x, y, 8.0f, NM_ANCHOR_LEFT, theme, "agents (down) by token time (right), this pass");
    matrix(drawing, d, pass, (grid){.x = x, .y = y + 10.0f, .width = width, .height = each - 8.0f}, theme);
    y += each + 20.0f;
    text(drawing, x, y, 8.0f, NM_ANCHOR_LEFT, theme, "token time (down) by pass (right), mean level");
    history(drawing, d, pass, (grid){.x = x, .y = y + 10.0f, .width = width, .height = each - 8.0f}, theme);
}
