/// Labels that do not overlap: each takes the first free place near its anchor, or none. Private to render/.
#ifndef NM_RENDER_FRAME_LABELS_H
#define NM_RENDER_FRAME_LABELS_H

#include "render/drawing.h"

#define NM_MOST_LABELS 256 ///< no picture has room for more

/// Width in px of UTF-8 text of a size, before any font is known: an estimate from above for DejaVu Sans.
float nm_text_width_estimate(const char *text, float size);

typedef struct nm_label_place {
    float u, v, half_width, half_height; ///< m in the picture's directions right and up
} nm_label_place;

typedef struct nm_label_field {
    nm_drawing *drawing;
    float pixels_per_metre;
    float right_x, right_y, up_x, up_y; ///< the picture's directions on the ground
    float origin_x, origin_y;           ///< m, near the labels: keeps differences exact far from the origin
    uint32_t count;
    nm_label_place *places; ///< room for NM_MOST_LABELS
} nm_label_field;

void nm_label_field_begin(nm_label_field *field, nm_drawing *drawing, float pixels_per_metre, float up, nm_point origin,
                          nm_label_place *places);
/// Writes `text` near (x, y): on it when `clearance` (m) is 0, else beside, at least that far away. `style` gives size
/// and colours. 1 = there was room.
int nm_label_field_add(nm_label_field *field, float x, float y, float clearance, nm_label style, const char *text);
/// Keeps labels off a place.
void nm_label_field_block(nm_label_field *field, float x, float y, float half_size);

#endif
