/// Labels that do not overlap in the picture: each takes the first free place near its anchor, or none. Private to
/// render/.
#ifndef NM_RENDER_FRAME_LABELS_H
#define NM_RENDER_FRAME_LABELS_H

#include "render/camera.h"

#define NM_MOST_LABELS 256 ///< no picture has room for more

/// Width in px of UTF-8 text of a size, before any font is known: an estimate from above for DejaVu Sans.
float nm_text_width_estimate(const char *text, float size);

typedef struct nm_label_place {
    float x, y, half_width, half_height; ///< px
} nm_label_place;

typedef struct nm_label_field {
    nm_drawing *drawing;
    const nm_camera *camera;
    float width, height; ///< px, of the picture
    float scale;         ///< px a metre, at the camera's target
    int everywhere;      ///< 1: labels outside the picture are kept, too
    uint32_t count, body_count;
    nm_label_place *places; ///< room for NM_MOST_LABELS: labels, and what they must not cover
    nm_label_place *bodies; ///< likewise: agents, which they had better not cover
} nm_label_field;

/// Whom a label belongs to: a place, and what must not be covered around it.
typedef struct nm_label_anchor {
    nm_point at;
    float half_width, half_height; ///< m in the picture's directions, seen from above; both 0: on the place itself
} nm_label_anchor;

/// Writes `text` near the anchor; from above beside it, in perspective over it. `style` gives size and colours. 1 =
/// there was room: clear of agents, or, where it is `important`, at least of other labels.
int nm_label_field_add(nm_label_field *field, nm_label_anchor anchor, nm_label style, const char *text, int important);
/// Keeps labels off an agent as far as there is room elsewhere. From above only.
void nm_label_field_body(nm_label_field *field, nm_label_anchor body);
/// Keeps labels off a place; radius in m.
void nm_label_field_block(nm_label_field *field, nm_point at, float radius);

#endif
