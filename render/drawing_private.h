/// What the functions that fill drawings share beyond drawing.h. Private to render/.
#ifndef NM_RENDER_DRAWING_PRIVATE_H
#define NM_RENDER_DRAWING_PRIVATE_H

#include "render/drawing.h"

/// Room for `count` vertices (a multiple of 3) of a layer at the end of the drawing, counted already and to be filled
/// by the caller with finite values; NULL when memory is out (which the drawing remembers).
nm_vertex *nm_drawing_add_vertices(nm_drawing *drawing, nm_layer layer, uint32_t count);

/// At least `bytes` of working memory, good until the next call and until anything is added that needs some itself (a
/// polygon of more than three points); aligned as by malloc. NULL when memory is out (which the drawing remembers).
void *nm_drawing_scratch(nm_drawing *drawing, size_t bytes);

/// A band whose colour runs from `from` at its first pair of points to `to` at its last, by number of points.
void nm_draw_fading_band(nm_drawing *drawing, nm_layer layer, const nm_point *left, const nm_point *right,
                         uint32_t count, nm_rgba from, nm_rgba to);

static inline nm_rgba nm_with_alpha(nm_rgba colour, uint8_t alpha) {
    colour.a = alpha;
    return colour;
}

/// Between two colours, channel by channel; t in [0, 1].
static inline nm_rgba nm_mix_colour(nm_rgba a, nm_rgba b, float t) {
    return (nm_rgba){(uint8_t)((float)a.r + t * ((float)b.r - (float)a.r) + 0.5f),
                     (uint8_t)((float)a.g + t * ((float)b.g - (float)a.g) + 0.5f),
                     (uint8_t)((float)a.b + t * ((float)b.b - (float)a.b) + 0.5f),
                     (uint8_t)((float)a.a + t * ((float)b.a - (float)a.a) + 0.5f)};
}

#endif
