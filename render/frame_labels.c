#include "render/frame_labels.h"

#include <math.h>

#define GAP_PX 3.0f ///< between a label and what it names

float nm_text_width_estimate(const char *text, float size) {
    uint32_t letters = 0;
    for (const char *c = text; *c; c++) letters += (*c & 0xC0) != 0x80;
    return 0.92f * size * (float)letters;
}

void nm_label_field_begin(nm_label_field *field, nm_drawing *drawing, float pixels_per_metre, float up, nm_point origin,
                          nm_label_place *places) {
    const float c = cosf(up), s = sinf(up);
    *field = (nm_label_field){.drawing = drawing,
                              .pixels_per_metre = pixels_per_metre > 0 ? pixels_per_metre : 10.0f,
                              .right_x = s,
                              .right_y = -c,
                              .up_x = c,
                              .up_y = s,
                              .origin_x = origin.x,
                              .origin_y = origin.y,
                              .places = places};
}

static int is_free(const nm_label_field *field, const nm_label_place *place) {
    for (uint32_t i = 0; i < field->count; i++) {
        const nm_label_place *other = &field->places[i];
        if (fabsf(place->u - other->u) < place->half_width + other->half_width &&
            fabsf(place->v - other->v) < place->half_height + other->half_height)
            return 0;
    }
    return 1;
}

void nm_label_field_block(nm_label_field *field, float x, float y, float half_size) {
    const float dx = x - field->origin_x, dy = y - field->origin_y;
    if (field->count == NM_MOST_LABELS) return;
    field->places[field->count++] = (nm_label_place){field->right_x * dx + field->right_y * dy,
                                                     field->up_x * dx + field->up_y * dy, half_size, half_size};
}

int nm_label_field_add(nm_label_field *field, float x, float y, float clearance, nm_label style, const char *text) {
    // in order of preference: above, below, right, left, then further out
    static const signed char ways[][2] = {{0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
    if (field->count == NM_MOST_LABELS || !text[0]) return 0;
    const float metre = field->pixels_per_metre;
    const float dx = x - field->origin_x, dy = y - field->origin_y;
    const float u = field->right_x * dx + field->right_y * dy, v = field->up_x * dx + field->up_y * dy;
    nm_label_place place = {.half_width = 0.5f * nm_text_width_estimate(text, style.size) / metre,
                            .half_height = 0.85f * style.size / metre};
    for (int ring = 0; ring < 2; ring++) {
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            const float away = clearance > 0 || ring ? clearance + GAP_PX / metre : 0.0f;
            const float more = (float)ring * 2.0f * place.half_height;
            place.u = u + (float)ways[i][0] * (away > 0 ? away + place.half_width : 0.0f);
            place.v = v + (float)ways[i][1] * (away > 0 ? away + more + place.half_height : 0.0f);
            if (!is_free(field, &place)) continue;
            field->places[field->count++] = place;
            style.x = field->origin_x + field->right_x * place.u + field->up_x * place.v;
            style.y = field->origin_y + field->right_y * place.u + field->up_y * place.v;
            style.anchor = NM_ANCHOR_CENTRE;
            nm_draw_label(field->drawing, style, "%s", text);
            return 1;
        }
    }
    return 0;
}
