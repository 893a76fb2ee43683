#include "render/drawing.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "render/drawing_private.h"

#define DISC_CORNERS 24
#define MOST (UINT32_MAX / 4) ///< elements of an array: far beyond what a back end takes

// --- memory ----------------------------------------------------------------------------------------------------------

typedef enum part { VERTICES = 0, TRIANGLES, STROKES, POINTS, BOXES, LABELS, TEXT, PARTS } part;

static uint32_t *count_of(nm_drawing *d, part which) {
    uint32_t *const counts[PARTS] = {&d->vertex_count, &d->triangles_count, &d->stroke_count, &d->point_count,
                                     &d->box_count,    &d->label_count,     &d->text_size};
    return counts[which];
}

static void *array_of(const nm_drawing *d, part which) {
    void *const arrays[PARTS] = {d->vertices, d->triangles, d->strokes, d->points, d->boxes, d->labels, d->text};
    return arrays[which];
}

static void set_array(nm_drawing *d, part which, void *array) {
    switch (which) {
    case VERTICES:
        d->vertices = array;
        break;
    case TRIANGLES:
        d->triangles = array;
        break;
    case STROKES:
        d->strokes = array;
        break;
    case POINTS:
        d->points = array;
        break;
    case BOXES:
        d->boxes = array;
        break;
    case LABELS:
        d->labels = array;
        break;
    default:
        d->text = array;
        break;
    }
}

/// Makes room for `extra` more elements; 0 when memory is out, which the drawing remembers.
static int reserve(nm_drawing *d, part which, uint32_t extra) {
    static const size_t sizes[PARTS] = {sizeof(nm_vertex),   sizeof(nm_triangles), sizeof(nm_stroke), sizeof(nm_point),
                                        sizeof(nm_box_body), sizeof(nm_label),     sizeof(char)};
    const uint32_t count = *count_of(d, which);
    if (extra <= d->capacity[which] - count) return 1;
    if (extra > MOST - count) return d->failed = 1, 0;
    uint32_t capacity = d->capacity[which] + d->capacity[which] / 2 + 64;
    if (capacity < count + extra) capacity = count + extra;
    void *array = realloc(array_of(d, which), capacity * sizes[which]);
    if (!array) return d->failed = 1, 0;
    set_array(d, which, array);
    d->capacity[which] = capacity;
    return 1;
}

/// Changes the revision. What is added goes into it, so that two drawings that were at one address after each other do
/// not pass for the same even when they grew by as many additions.
static void touch(nm_drawing *d, float x, float y, uint32_t more) {
    uint32_t bits[2];
    memcpy(&bits[0], &x, sizeof x);
    memcpy(&bits[1], &y, sizeof y);
    const uint64_t mixed = d->revision ^ ((uint64_t)bits[0] << 32 | bits[1]) ^ (uint64_t)more * 0x9E3779B97F4A7C15u;
    const uint64_t next = (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9u + 1u;
    d->revision = next != d->revision ? next : next + 1u;
}

void nm_drawing_init(nm_drawing *drawing, nm_space space) {
    NM_ASSERT(drawing && (space == NM_SPACE_WORLD || space == NM_SPACE_SCREEN));
    memset(drawing, 0, sizeof *drawing);
    drawing->space = space;
}

void nm_drawing_free(nm_drawing *drawing) {
    NM_ASSERT(drawing);
    for (int i = 0; i < PARTS; i++) free(array_of(drawing, (part)i));
    free(drawing->scratch);
    nm_drawing_init(drawing, drawing->space);
}

void nm_drawing_clear(nm_drawing *drawing) {
    NM_ASSERT(drawing);
    for (int i = 0; i < PARTS; i++) *count_of(drawing, (part)i) = 0;
    drawing->failed = 0;
    touch(drawing, 0, 0, 1);
}

nm_status nm_drawing_check(const nm_drawing *drawing, nm_error *error) {
    NM_ASSERT(drawing);
    return drawing->failed ? NM_ERROR(error, NM_E_MEMORY, "out of memory for a drawing") : NM_OK;
}

void *nm_drawing_scratch(nm_drawing *drawing, size_t bytes) {
    if (bytes > drawing->scratch_size) {
        const size_t size = bytes + bytes / 2;
        void *scratch = realloc(drawing->scratch, size);
        if (!scratch) return drawing->failed = 1, NULL;
        drawing->scratch = scratch;
        drawing->scratch_size = size;
    }
    return drawing->scratch;
}

// --- triangles -------------------------------------------------------------------------------------------------------

static int finite_points(const nm_point *points, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!isfinite(points[i].x) || !isfinite(points[i].y) || !isfinite(points[i].z)) return 0;
    return 1;
}

nm_vertex *nm_drawing_add_vertices(nm_drawing *d, nm_layer layer, uint32_t count) {
    NM_ASSERT(d && layer >= 0 && layer < NM_LAYER_COUNT && count % 3 == 0);
    if (!reserve(d, VERTICES, count) || !reserve(d, TRIANGLES, 1)) return NULL;
    nm_triangles *last = d->triangles_count ? &d->triangles[d->triangles_count - 1] : NULL;
    if (last && last->layer == layer)
        last->count += count;
    else
        d->triangles[d->triangles_count++] = (nm_triangles){d->vertex_count, count, (uint8_t)layer};
    nm_vertex *vertices = d->vertices + d->vertex_count;
    d->vertex_count += count;
    return vertices;
}

static nm_vertex vertex(nm_point p, nm_rgba colour) {
    return (nm_vertex){p.x, p.y, p.z, colour};
}

void nm_draw_triangle(nm_drawing *drawing, nm_layer layer, nm_point a, nm_point b, nm_point c, nm_rgba colour) {
    const nm_point corners[3] = {a, b, c};
    if (!finite_points(corners, 3)) return;
    nm_vertex *v = nm_drawing_add_vertices(drawing, layer, 3);
    if (!v) return;
    for (int i = 0; i < 3; i++) v[i] = vertex(corners[i], colour);
    touch(drawing, a.x, c.y, 3);
}

void nm_draw_rectangle(nm_drawing *drawing, nm_layer layer, float x0, float y0, float x1, float y1, nm_rgba colour) {
    const nm_point corners[4] = {{x0, y0, 0}, {x1, y0, 0}, {x1, y1, 0}, {x0, y1, 0}};
    nm_draw_polygon(drawing, layer, corners, 4, colour);
}

void nm_draw_disc(nm_drawing *drawing, nm_layer layer, nm_point centre, float radius, nm_rgba colour) {
    nm_point corners[DISC_CORNERS];
    for (int i = 0; i < DISC_CORNERS; i++) {
        const float angle = 6.28318531f * (float)i / DISC_CORNERS;
        corners[i] = (nm_point){centre.x + radius * cosf(angle), centre.y + radius * sinf(angle), centre.z};
    }
    nm_draw_polygon(drawing, layer, corners, DISC_CORNERS, colour);
}

void nm_draw_fading_band(nm_drawing *drawing, nm_layer layer, const nm_point *left, const nm_point *right,
                         uint32_t count, nm_rgba from, nm_rgba to) {
    NM_ASSERT(drawing && left && right);
    if (count < 2 || count > MOST / 6 || !finite_points(left, count) || !finite_points(right, count)) return;
    nm_vertex *v = nm_drawing_add_vertices(drawing, layer, 6 * (count - 1));
    if (!v) return;
    nm_rgba here = from;
    for (uint32_t i = 0; i + 1 < count; i++, v += 6) {
        const nm_rgba next = nm_mix_colour(from, to, (float)(i + 1) / (float)(count - 1));
        v[0] = vertex(left[i], here), v[1] = vertex(right[i], here), v[2] = vertex(right[i + 1], next);
        v[3] = v[0], v[4] = v[2], v[5] = vertex(left[i + 1], next);
        here = next;
    }
    touch(drawing, left[0].x, right[count - 1].y, count);
}

void nm_draw_band(nm_drawing *drawing, nm_layer layer, const nm_point *left, const nm_point *right, uint32_t count,
                  nm_rgba colour) {
    nm_draw_fading_band(drawing, layer, left, right, count, colour, colour);
}

// --- polygons: ear clipping (Meisters 1975) --------------------------------------------------------------------------

/// > 0 when c lies left of the line from a to b. In double, where differences of floats and their products are exact
/// enough that far-away coordinates decide like near ones.
static double side(nm_point a, nm_point b, nm_point c) {
    return ((double)b.x - a.x) * ((double)c.y - a.y) - ((double)b.y - a.y) * ((double)c.x - a.x);
}

typedef struct ring {
    const nm_point *points;
    uint32_t *next, *previous; ///< of the corners that are left
    double turn;               ///< +1 counter-clockwise, -1 clockwise
} ring;

/// Is corner `i` convex, with no other corner in the triangle it makes with its neighbours? Corners that coincide with
/// one of the three (a polygon that touches itself) do not count.
static int is_ear(const ring *r, uint32_t i) {
    const uint32_t before = r->previous[i], after = r->next[i];
    const nm_point a = r->points[before], b = r->points[i], c = r->points[after];
    if (!(r->turn * side(a, b, c) > 0)) return 0;
    for (uint32_t k = r->next[after]; k != before; k = r->next[k]) {
        const nm_point p = r->points[k];
        if ((p.x == a.x && p.y == a.y) || (p.x == b.x && p.y == b.y) || (p.x == c.x && p.y == c.y)) continue;
        if (r->turn * side(a, b, p) >= 0 && r->turn * side(b, c, p) >= 0 && r->turn * side(c, a, p) >= 0) return 0;
    }
    return 1;
}

static double signed_area(const nm_point *points, uint32_t count) {
    double sum = 0;
    for (uint32_t i = 1; i + 1 < count; i++) sum += side(points[0], points[i], points[i + 1]);
    return 0.5 * sum;
}

/// All corners turn the same way, and once round: a fan will do.
static int is_convex(const nm_point *points, uint32_t count) {
    int left = 0, right = 0, turns_of_x = 0;
    float last = 0;
    for (uint32_t i = 0; i < count; i++) {
        const nm_point a = points[i], b = points[(i + 1) % count];
        const double s = side(a, b, points[(i + 2) % count]);
        left |= s > 0;
        right |= s < 0;
        if (b.x != a.x) {
            if (last != 0 && (b.x > a.x) != (last > 0)) turns_of_x++;
            last = b.x - a.x;
        }
    }
    return !(left && right) && turns_of_x <= 2;
}

/// Cuts ears off until nothing is left; a polygon that crosses itself loses corners that are none, so that it ends.
static void clip_ears(ring *r, uint32_t count, nm_vertex *v, nm_rgba colour) {
    uint32_t left = count, i = 0, refused = 0;
    while (left >= 3) {
        const uint32_t before = r->previous[i], after = r->next[i];
        const int flat = side(r->points[before], r->points[i], r->points[after]) == 0;
        if (left == 3 || flat || refused >= left || is_ear(r, i)) {
            *v++ = vertex(r->points[before], colour);
            *v++ = vertex(r->points[i], colour);
            *v++ = vertex(r->points[after], colour);
            r->next[before] = after;
            r->previous[after] = before;
            left--;
            refused = 0;
            i = r->next[after]; // not the same corner again: fans make slivers
        } else {
            refused++;
            i = after;
        }
    }
}

void nm_draw_polygon(nm_drawing *drawing, nm_layer layer, const nm_point *points, uint32_t count, nm_rgba colour) {
    NM_ASSERT(drawing && points);
    if (count < 3 || count > MOST / 3 || !finite_points(points, count)) return;
    const int convex = is_convex(points, count);
    uint32_t *links = convex ? NULL : nm_drawing_scratch(drawing, 2 * sizeof *links * count);
    if (!convex && !links) return;
    nm_vertex *v = nm_drawing_add_vertices(drawing, layer, 3 * (count - 2));
    if (!v) return;
    if (convex) {
        for (uint32_t i = 1; i + 1 < count; i++) {
            *v++ = vertex(points[0], colour);
            *v++ = vertex(points[i], colour);
            *v++ = vertex(points[i + 1], colour);
        }
    } else {
        ring r = {points, links, links + count, signed_area(points, count) < 0 ? -1.0 : 1.0};
        for (uint32_t i = 0; i < count; i++) {
            r.next[i] = i + 1 < count ? i + 1 : 0;
            r.previous[i] = i ? i - 1 : count - 1;
        }
        clip_ears(&r, count, v, colour);
    }
    touch(drawing, points[0].x, points[count - 1].y, count);
}

// --- strokes, boxes, labels ------------------------------------------------------------------------------------------

void nm_draw_stroke(nm_drawing *drawing, const nm_point *points, uint32_t count, nm_stroke style) {
    NM_ASSERT(drawing && points && style.layer < NM_LAYER_COUNT);
    if (count < 2 || !finite_points(points, count)) return;
    if (!(style.width > 0) || !isfinite(style.width + style.dash + style.gap + style.phase)) return;
    if (!reserve(drawing, POINTS, count) || !reserve(drawing, STROKES, 1)) return;
    memcpy(drawing->points + drawing->point_count, points, count * sizeof *points);
    style.first = drawing->point_count;
    style.count = count;
    if (drawing->space == NM_SPACE_SCREEN) style.pixels = 1;
    drawing->point_count += count;
    drawing->strokes[drawing->stroke_count++] = style;
    touch(drawing, points[0].x, points[count - 1].y, count);
}

void nm_draw_box(nm_drawing *drawing, const nm_box_body *box) {
    NM_ASSERT(drawing && box && drawing->space == NM_SPACE_WORLD && box->layer < NM_LAYER_COUNT);
    if (!isfinite(box->x + box->y + box->z) || !isfinite(box->heading + box->steering + box->outline_px)) return;
    if (!isfinite(box->length) || !isfinite(box->width) || !isfinite(box->height)) return;
    if (!reserve(drawing, BOXES, 1)) return;
    drawing->boxes[drawing->box_count++] = *box;
    touch(drawing, box->x, box->y, 5);
}

/// Bytes of the UTF-8 sequence at `s`; 0 when it is none (overlong and beyond Unicode included).
static int sequence(const unsigned char *s) {
    const int n = s[0] < 0x80             ? 1
                  : (s[0] & 0xE0) == 0xC0 ? 2
                  : (s[0] & 0xF0) == 0xE0 ? 3
                  : (s[0] & 0xF8) == 0xF0 ? 4
                                          : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0; // the terminator is no continuation either
    if (n == 2 && s[0] < 0xC2) return 0;
    if (n == 3 && ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F))) return 0;
    if (n == 4 && ((s[0] == 0xF0 && s[1] < 0x90) || s[0] > 0xF4 || (s[0] == 0xF4 && s[1] > 0x8F))) return 0;
    return n;
}

static void clean(char *text) {
    for (unsigned char *s = (unsigned char *)text; *s;) {
        const int n = sequence(s);
        if (n == 0) *s = '?';
        if (n == 1 && (*s < 0x20 || *s == 0x7F)) *s = ' ';
        s += n ? n : 1;
    }
}

void nm_draw_label(nm_drawing *drawing, nm_label style, const char *format, ...) {
    NM_ASSERT(drawing && format && style.layer < NM_LAYER_COUNT);
    if (!isfinite(style.x + style.y + style.z) || !(style.size > 0) || !isfinite(style.size)) return;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length > 0 && reserve(drawing, TEXT, (uint32_t)length + 1) && reserve(drawing, LABELS, 1)) {
        char *text = drawing->text + drawing->text_size;
        vsnprintf(text, (size_t)length + 1, format, again);
        clean(text);
        style.text = drawing->text_size;
        drawing->text_size += (uint32_t)length + 1;
        drawing->labels[drawing->label_count++] = style;
        uint32_t sum = 0;
        for (int i = 0; i < length; i++) sum = sum * 31u + (unsigned char)text[i];
        touch(drawing, style.x, style.y, sum);
    }
    va_end(again);
}

// --- bounds ----------------------------------------------------------------------------------------------------------

static void include(nm_point *least, nm_point *most, float x, float y, float z) {
    *least = (nm_point){fminf(least->x, x), fminf(least->y, y), fminf(least->z, z)};
    *most = (nm_point){fmaxf(most->x, x), fmaxf(most->y, y), fmaxf(most->z, z)};
}

void nm_drawing_magnify(nm_drawing *drawing, float factor) {
    NM_ASSERT(drawing && factor > 0.0f);
    const int screen = drawing->space == NM_SPACE_SCREEN;
    const float place = screen ? factor : 1.0f;
    for (uint32_t i = 0; screen && i < drawing->vertex_count; i++) {
        drawing->vertices[i].x *= factor;
        drawing->vertices[i].y *= factor;
    }
    for (uint32_t i = 0; screen && i < drawing->point_count; i++) {
        drawing->points[i].x *= factor;
        drawing->points[i].y *= factor;
    }
    for (uint32_t i = 0; i < drawing->stroke_count; i++) {
        nm_stroke *stroke = &drawing->strokes[i];
        if (screen || stroke->pixels) stroke->width *= factor;
        stroke->dash *= place;
        stroke->gap *= place;
        stroke->phase *= place;
    }
    for (uint32_t i = 0; i < drawing->box_count; i++) drawing->boxes[i].outline_px *= factor;
    for (uint32_t i = 0; i < drawing->label_count; i++) {
        nm_label *label = &drawing->labels[i];
        label->x *= place;
        label->y *= place;
        label->size *= factor;
    }
    touch(drawing, factor, 0, 2);
}

int nm_drawing_bounds(const nm_drawing *drawing, nm_point *least, nm_point *most) {
    NM_ASSERT(drawing && least && most);
    *least = (nm_point){INFINITY, INFINITY, INFINITY};
    *most = (nm_point){-INFINITY, -INFINITY, -INFINITY};
    for (uint32_t i = 0; i < drawing->vertex_count; i++)
        include(least, most, drawing->vertices[i].x, drawing->vertices[i].y, drawing->vertices[i].z);
    for (uint32_t i = 0; i < drawing->point_count; i++)
        include(least, most, drawing->points[i].x, drawing->points[i].y, drawing->points[i].z);
    for (uint32_t i = 0; i < drawing->label_count; i++)
        include(least, most, drawing->labels[i].x, drawing->labels[i].y, drawing->labels[i].z);
    for (uint32_t i = 0; i < drawing->box_count; i++) {
        const nm_box_body *b = &drawing->boxes[i];
        const float c = fabsf(cosf(b->heading)), s = fabsf(sinf(b->heading));
        const float x = 0.5f * (c * b->length + s * b->width), y = 0.5f * (s * b->length + c * b->width);
        include(least, most, b->x - x, b->y - y, b->z);
        include(least, most, b->x + x, b->y + y, b->z + b->height);
    }
    return least->x <= most->x;
}
