#include "render/frame_labels.h"

#include <math.h>

#define GAP_PX 3.0f    ///< between a label and what it names
#define FLOOR_GAP 0.5f ///< px between them
#define FLOORS 6       ///< places above one another, in perspective

float nm_text_width_estimate(const char *text, float size) {
    uint32_t letters = 0;
    for (const char *c = text; *c; c++) letters += (*c & 0xC0) != 0x80;
    return 0.92f * size * (float)letters;
}

static int is_apart(const nm_label_place *place, const nm_label_place *others, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (fabsf(place->x - others[i].x) < place->half_width + others[i].half_width &&
            fabsf(place->y - others[i].y) < place->half_height + others[i].half_height)
            return 0;
    return 1;
}

static int is_visible(const nm_label_field *field, float x, float y) {
    return field->everywhere || (x >= 0 && x <= field->width && y >= 0 && y <= field->height);
}

void nm_label_field_block(nm_label_field *field, nm_point at, float radius) {
    nm_label_place place = {.half_width = radius * field->scale, .half_height = radius * field->scale};
    if (field->count == NM_MOST_LABELS || field->camera->kind != NM_CAMERA_BIRD) return;
    if (!nm_camera_project(field->camera, field->width, field->height, at, &place.x, &place.y)) return;
    if (is_visible(field, place.x, place.y)) field->places[field->count++] = place;
}

void nm_label_field_body(nm_label_field *field, nm_label_anchor body) {
    nm_label_place place = {.half_width = body.half_width * field->scale,
                            .half_height = body.half_height * field->scale};
    if (field->body_count == NM_MOST_LABELS || field->camera->kind != NM_CAMERA_BIRD) return;
    if (!nm_camera_project(field->camera, field->width, field->height, body.at, &place.x, &place.y)) return;
    if (is_visible(field, place.x, place.y)) field->bodies[field->body_count++] = place;
}

static int put(nm_label_field *field, const nm_label_place *place, nm_point at, nm_label style, const char *text) {
    if (!is_apart(place, field->places, field->count)) return 0;
    field->places[field->count++] = *place;
    style.x = at.x, style.y = at.y, style.z = at.z;
    style.anchor = NM_ANCHOR_CENTRE;
    nm_draw_label(field->drawing, style, "%s", text);
    return 1;
}

static int add_from_above(nm_label_field *field, nm_label_anchor anchor, nm_label_place place, nm_label style,
                          const char *text, int over_bodies) {
    // in order of preference: above, below, right, left, the corners; then the same further out
    static const signed char ways[][2] = {{0, -1}, {0, 1}, {1, 0}, {-1, 0}, {1, -1}, {-1, -1}, {1, 1}, {-1, 1}};
    float x, y;
    if (!nm_camera_project(field->camera, field->width, field->height, anchor.at, &x, &y)) return 0;
    if (!is_visible(field, x, y)) return 0;
    const int beside = anchor.half_width > 0 || anchor.half_height > 0;
    for (int ring = 0; ring < 2; ring++) {
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            const float away = beside || ring ? 1.0f : 0.0f, more = (float)ring * 2.0f * place.half_height;
            place.x = x + away * (float)ways[i][0] * (anchor.half_width * field->scale + GAP_PX + place.half_width);
            place.y =
                y + away * (float)ways[i][1] * (anchor.half_height * field->scale + GAP_PX + more + place.half_height);
            if (!over_bodies && !is_apart(&place, field->bodies, field->body_count)) continue;
            nm_point ground;
            nm_camera_unproject(field->camera, field->width, field->height, place.x, place.y, 0, &ground);
            if (put(field, &place, ground, style, text)) return 1;
        }
    }
    return 0;
}

/// Over the place, each try a line higher than the last: in px, so that labels of near agents do not float away.
static int add_in_perspective(nm_label_field *field, nm_label_anchor anchor, nm_label_place place, nm_label style,
                              const char *text) {
    for (int i = 0; i < FLOORS; i++) {
        const nm_point above = {anchor.at.x, anchor.at.y, anchor.at.z + 0.1f};
        float x, y;
        if (!nm_camera_project(field->camera, field->width, field->height, anchor.at, &place.x, &place.y)) return 0;
        if (is_visible(field, place.x, place.y) && put(field, &place, anchor.at, style, text)) return 1;
        if (!nm_camera_project(field->camera, field->width, field->height, above, &x, &y)) return 0;
        const float metre = 10.0f * (place.y - y);
        if (!(metre > 0.1f)) return 0; // seen from right above, or far away
        anchor.at.z += (2.0f * place.half_height + FLOOR_GAP) / metre;
    }
    return 0;
}

int nm_label_field_add(nm_label_field *field, nm_label_anchor anchor, nm_label style, const char *text, int important) {
    nm_label_place place = {.half_width = 0.5f * nm_text_width_estimate(text, style.size),
                            .half_height = 0.85f * style.size};
    if (field->count == NM_MOST_LABELS || !text[0]) return 0;
    if (field->camera->kind != NM_CAMERA_BIRD) return add_in_perspective(field, anchor, place, style, text);
    return add_from_above(field, anchor, place, style, text, 0) ||
           (important && add_from_above(field, anchor, place, style, text, 1));
}
