/// What plot.c is made of: axes with their ticks, and a canvas of pixels. Private to render/plot*.c and their tests.
#ifndef NM_RENDER_PLOT_PRIVATE_H
#define NM_RENDER_PLOT_PRIVATE_H

#include "render/plot.h"
#include "render/typeface.h"

// --- axes: plot_axis.c -----------------------------------------------------------------------------------------------

#define NM_PLOT_LARGEST 1e300 ///< larger values are left out as infinite ones are: their differences must be finite
#define NM_PLOT_TICKS 64

/// The range shown by an axis and where it lies in the picture.
typedef struct nm_scale {
    int logarithmic;
    double low, high; ///< low < high; of log10 of the values on a logarithmic axis
    double from, to;  ///< px of low and high
} nm_scale;

/// 1 when the axis can show the value.
int nm_scale_shows(int logarithmic, double value);
/// Widens [*least, *most] (> 1 of them may be NaN: no data) to what is shown. NM_E_ARGUMENT when the axis's own limits
/// make no sense; `name` is for the message.
nm_status nm_scale_fit(const nm_plot_axis *axis, const char *name, double least, double most, nm_scale *scale,
                       nm_error *error);
/// px of a value that the axis can show.
double nm_scale_place(const nm_scale *scale, double value);

typedef struct nm_tick {
    double place; ///< px
    char text[32];
} nm_tick;
/// About `wanted` ticks at round values (1, 2 or 5 times a power of ten; decades), ascending. Returns how many.
size_t nm_scale_ticks(const nm_scale *scale, int wanted, nm_tick ticks[NM_PLOT_TICKS]);

// --- canvas: plot_canvas.c -------------------------------------------------------------------------------------------

typedef struct nm_canvas {
    uint8_t *rgba;
    int width, height;
    uint8_t *mask; ///< [width height] coverage of the line being drawn, all 0 between lines
    nm_typeface typeface;
} nm_canvas;

/// Pixels [x0, x1) x [y0, y1).
typedef struct nm_area_px {
    int x0, y0, x1, y1;
} nm_area_px;

void nm_canvas_fill(nm_canvas *canvas, nm_area_px area, nm_rgba colour);
/// Narrows [*first, *last], parameters of a segment, to where its coordinate from `from` to `to` lies in [low, high]; 0
/// when nothing is left.
int nm_canvas_cut(double from, double to, double low, double high, double *first, double *last);
/// Adds a line with round ends to the mask, anti-aliased: coverage falls from 1 to 0 over a pixel about its edge.
void nm_canvas_segment(nm_canvas *canvas, nm_area_px clip, double x0, double y0, double x1, double y1, double width);
/// Blends the colour where the mask is and clears it within `clip`.
void nm_canvas_paint(nm_canvas *canvas, nm_area_px clip, nm_rgba colour);
/// Width in px; size: height of a capital letter in px.
int nm_canvas_text_width(nm_canvas *canvas, const char *text, float size);
/// Writes with the anchor at (x, base), base the line the letters stand on; cut with an ellipsis to `limit` px.
void nm_canvas_text(nm_canvas *canvas, const char *text, float size, int x, int base, nm_anchor anchor, int limit,
                    nm_rgba colour);

#endif
