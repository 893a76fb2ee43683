/// Pixels of plots: rectangles, anti-aliased lines, text.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render/plot_private.h"

static void blend(uint8_t *pixel, nm_rgba colour, unsigned coverage) {
    const unsigned alpha = (coverage * colour.a + 127) / 255;
    const uint8_t in[3] = {colour.r, colour.g, colour.b};
    for (int i = 0; i < 3; i++) pixel[i] = (uint8_t)((in[i] * alpha + pixel[i] * (255 - alpha) + 127) / 255);
    pixel[3] = 255;
}

static uint8_t *pixel_at(nm_canvas *canvas, int x, int y) {
    return canvas->rgba + 4 * ((size_t)y * (size_t)canvas->width + (size_t)x);
}

static nm_area_px within(const nm_canvas *canvas, nm_area_px area) {
    return (nm_area_px){area.x0 > 0 ? area.x0 : 0, area.y0 > 0 ? area.y0 : 0,
                        area.x1 < canvas->width ? area.x1 : canvas->width,
                        area.y1 < canvas->height ? area.y1 : canvas->height};
}

void nm_canvas_fill(nm_canvas *canvas, nm_area_px area, nm_rgba colour) {
    area = within(canvas, area);
    for (int y = area.y0; y < area.y1; y++)
        for (int x = area.x0; x < area.x1; x++) blend(pixel_at(canvas, x, y), colour, 255);
}

int nm_canvas_cut(double from, double to, double low, double high, double *first, double *last) {
    if (from == to) return from >= low && from <= high;
    const double a = (low - from) / (to - from), b = (high - from) / (to - from);
    *first = fmax(*first, fmin(a, b));
    *last = fmin(*last, fmax(a, b));
    return *first <= *last;
}

void nm_canvas_segment(nm_canvas *canvas, nm_area_px clip, double x0, double y0, double x1, double y1, double width) {
    const double dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy, reach = 0.5 * width + 0.5;
    clip = within(canvas, clip);
    const int top = (int)fmax(clip.y0, floor(fmin(y0, y1) - reach));
    const int bottom = (int)fmin(clip.y1, ceil(fmax(y0, y1) + reach) + 1);
    for (int y = top; y < bottom; y++) {
        const double cy = y + 0.5;
        double first = 0, last = 1;
        if (!nm_canvas_cut(y0, y1, cy - reach, cy + reach, &first, &last)) continue; // no point of it is near this row
        const double xa = x0 + first * dx, xb = x0 + last * dx;
        const int left = (int)fmax(clip.x0, floor(fmin(xa, xb) - reach));
        const int right = (int)fmin(clip.x1, ceil(fmax(xa, xb) + reach) + 1);
        for (int x = left; x < right; x++) {
            uint8_t *mask = &canvas->mask[(size_t)y * (size_t)canvas->width + (size_t)x];
            if (*mask == 255) continue; // dense lines cover the same pixels again and again
            const double px = x + 0.5 - x0, py = cy - y0;
            const double t = length2 > 0 ? fmin(fmax((px * dx + py * dy) / length2, 0), 1) : 0;
            const double ex = px - t * dx, ey = py - t * dy;
            const double coverage = fmin(fmax(reach - sqrt(ex * ex + ey * ey), 0), 1);
            const uint8_t value = (uint8_t)(255 * coverage + 0.5);
            if (value > *mask) *mask = value; // not the sum: joints of a line are no darker than the line
        }
    }
}

void nm_canvas_paint(nm_canvas *canvas, nm_area_px clip, nm_rgba colour) {
    clip = within(canvas, clip);
    for (int y = clip.y0; y < clip.y1; y++)
        for (int x = clip.x0; x < clip.x1; x++) {
            uint8_t *mask = &canvas->mask[(size_t)y * (size_t)canvas->width + (size_t)x];
            if (*mask) blend(pixel_at(canvas, x, y), colour, *mask);
            *mask = 0;
        }
}

// --- text ------------------------------------------------------------------------------------------------------------

static int is_shown(uint32_t code) { // control characters have no picture
    return code >= 0x20 && !(code >= 0x7F && code < 0xA0);
}

/// px that the next glyph takes; the glyph is loaded. 0 when there is none.
static int load(nm_canvas *canvas, uint32_t code, uint32_t size) {
    if (!is_shown(code) || nm_typeface_load(&canvas->typeface, code, size) <= 0) return 0;
    return (int)((canvas->typeface.face->glyph->advance.x + 32) >> 6);
}

int nm_canvas_text_width(nm_canvas *canvas, const char *text, float size) {
    const uint32_t half = nm_typeface_size(size);
    int width = 0;
    for (uint32_t code; width < 100000 && (code = nm_typeface_next(&text)) != 0;) width += load(canvas, code, half);
    return width;
}

static void draw_glyph(nm_canvas *canvas, int x, int base, nm_rgba colour) {
    const FT_GlyphSlot slot = canvas->typeface.face->glyph;
    for (int v = 0; v < (int)slot->bitmap.rows; v++)
        for (int u = 0; u < (int)slot->bitmap.width; u++) {
            const int px = x + slot->bitmap_left + u, py = base - slot->bitmap_top + v;
            if (px < 0 || py < 0 || px >= canvas->width || py >= canvas->height) continue;
            blend(pixel_at(canvas, px, py), colour, slot->bitmap.buffer[v * slot->bitmap.pitch + u]);
        }
}

void nm_canvas_text(nm_canvas *canvas, const char *text, float size, int x, int base, nm_anchor anchor, int limit,
                    nm_rgba colour) {
    const uint32_t half = nm_typeface_size(size);
    const int full = nm_canvas_text_width(canvas, text, size);
    const int ellipsis = full > limit ? load(canvas, 0x2026, half) : 0;
    const int width = full > limit ? limit : full;
    const int start = x - (anchor == NM_ANCHOR_LEFT ? 0 : anchor == NM_ANCHOR_RIGHT ? width : width / 2);
    int pen = start;
    for (uint32_t code; (code = nm_typeface_next(&text)) != 0;) {
        const int advance = load(canvas, code, half);
        if (!advance) continue;
        if (full > limit && pen + advance + ellipsis > start + limit) break;
        draw_glyph(canvas, pen, base, colour);
        pen += advance;
    }
    if (full <= limit || pen + ellipsis > start + limit) return;
    load(canvas, 0x2026, half);
    draw_glyph(canvas, pen, base, colour);
}
