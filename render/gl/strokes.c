/// Strokes to segments: thinned where they are straight, with the planes where two segments meet.
#include <math.h>
#include <string.h>

#include "render/gl/gl_internal.h"

#define STRAIGHT 0.01f // m that a thinned line may lie off: nobody sees it

typedef struct flat_vector {
    float x, y;
} flat_vector;

static float cross(flat_vector a, flat_vector b) {
    return a.x * b.y - a.y * b.x;
}

/// Thins a line from `points` into `kept`, both may be the same. A point is dropped while a ray from the last kept one
/// passes all dropped ones within the tolerance: the ray's range narrows with each (Sklansky and Gonzalez 1980).
static uint32_t thin_line(const nm_point *points, uint32_t count, float tolerance, nm_point *kept) {
    uint32_t used = 0;
    flat_vector right = {0, 0}, left = {0, 0};
    int open = 1; // the range is still the whole circle
    nm_point last = points[0];
    kept[used++] = last;
    for (uint32_t i = 1; i < count; i++) {
        const nm_point here = points[i], before = points[i - 1];
        for (int again = 0; again < 2; again++) {
            const flat_vector v = {here.x - last.x, here.y - last.y};
            const float r = sqrtf(v.x * v.x + v.y * v.y);
            const flat_vector step = {here.x - before.x, here.y - before.y};
            const int bends = !open && (cross(right, v) < 0.0f || cross(v, left) < 0.0f);
            const int turns_back = step.x * v.x + step.y * v.y < 0.0f;
            if (!again && (bends || turns_back || fabsf(here.z - last.z) > 0.5f) &&
                (before.x != last.x || before.y != last.y || before.z != last.z)) {
                last = before;
                kept[used++] = last;
                open = 1;
                continue;
            }
            if (r <= tolerance) break;
            const float s = tolerance / r, c = sqrtf(1.0f - s * s);
            const flat_vector d = {v.x / r, v.y / r};
            const flat_vector r1 = {c * d.x + s * d.y, c * d.y - s * d.x}, l1 = {c * d.x - s * d.y, c * d.y + s * d.x};
            if (open || cross(right, r1) > 0.0f) right = r1;
            if (open || cross(l1, left) > 0.0f) left = l1;
            open = 0;
            break;
        }
    }
    kept[used++] = points[count - 1];
    return used;
}

/// Drops points that repeat the one before, or lie so near that their distance is 0 in floats: they have no direction.
static uint32_t drop_repeats(nm_point *points, uint32_t count) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        const float x = used ? points[i].x - points[used - 1].x : 1.0f,
                    y = used ? points[i].y - points[used - 1].y : 0.0f;
        if (!(x * x + y * y > 0.0f)) continue;
        points[used++] = points[i];
    }
    return used;
}

static flat_vector direction(nm_point a, nm_point b) {
    const float x = b.x - a.x, y = b.y - a.y, length = sqrtf(x * x + y * y);
    return (flat_vector){x / length, y / length};
}

/// The plane that halves the angle between two directions, in the frame of `own`.
static void cut(flat_vector own, flat_vector other, int16_t plane[2]) {
    flat_vector n = {own.x + other.x, own.y + other.y};
    const float length = sqrtf(n.x * n.x + n.y * n.y);
    if (length < 0.05f) { // it turns back on itself
        n = own;
    } else {
        n.x /= length;
        n.y /= length;
    }
    plane[0] = (int16_t)lrintf(32767.0f * (n.x * own.x + n.y * own.y));
    plane[1] = (int16_t)lrintf(32767.0f * cross(own, n));
}

static nm_gl_segment *four_more(nm_gl_upload *upload) {
    nm_gl_segment *all =
        nm_gl_scratch_reserve(&upload->segments, ((size_t)upload->segment_count + 4) * sizeof(nm_gl_segment));
    if (!all) {
        upload->failed = 1;
        return NULL;
    }
    upload->segment_count += 4;
    return all + upload->segment_count - 4;
}

/// Points without repeats; `closed`: the last one equals the first.
static void add_segments(nm_gl_upload *upload, const nm_point *points, uint32_t count, const nm_stroke *style,
                         int pixels, int closed) {
    float along = style->phase;
    flat_vector before = closed ? direction(points[count - 2], points[count - 1]) : (flat_vector){0, 0};
    const flat_vector first = direction(points[0], points[1]);
    for (uint32_t i = 0; i + 1 < count; i++) {
        const nm_point a = points[i], b = points[i + 1];
        const flat_vector own = direction(a, b);
        const int ends = i + 2 == count;
        nm_gl_segment segment = {.a = {a.x, a.y, a.z},
                                 .b = {b.x, b.y, b.z},
                                 .along = along,
                                 .width = style->width,
                                 .dash = style->dash,
                                 .gap = style->gap > 0.0f && style->dash > 0.0f ? style->gap : 0.0f,
                                 .colour = style->colour,
                                 .flags = pixels ? NM_GL_SEGMENT_PIXELS : 0};
        if (i == 0 && !closed) {
            cut(own, own, segment.cut_a);
            segment.flags |= NM_GL_SEGMENT_FREE_A;
        } else {
            cut(own, before, segment.cut_a);
        }
        if (ends && !closed) {
            cut(own, own, segment.cut_b);
            segment.flags |= NM_GL_SEGMENT_FREE_B;
        } else {
            cut(own, ends ? first : direction(b, points[i + 2]), segment.cut_b);
        }
        nm_gl_segment *four = four_more(upload);
        if (!four) return;
        for (int corner = 0; corner < 4; corner++) four[corner] = segment;
        along += sqrtf((b.x - a.x) * (b.x - a.x) + (b.y - a.y) * (b.y - a.y));
        before = own;
    }
}

uint32_t nm_gl_thin_line(nm_point *points, uint32_t count, float tolerance) {
    if (tolerance > 0.0f && count > 2) count = thin_line(points, count, tolerance, points);
    return drop_repeats(points, count);
}

void nm_gl_add_line(nm_gl_upload *upload, const nm_drawing *drawing, const nm_point *points, uint32_t count,
                    const nm_stroke *style) {
    if (count < 2 || !(style->width > 0.0f) || style->colour.a == 0) return;
    nm_point *line = nm_gl_scratch_reserve(&upload->line, ((size_t)count + 2) * sizeof *line);
    if (!line) {
        upload->failed = 1;
        return;
    }
    const int world = drawing->space == NM_SPACE_WORLD;
    memcpy(line, points, count * sizeof *line);
    if (style->closed) line[count++] = points[0];
    count = nm_gl_thin_line(line, count, world ? STRAIGHT : 0.0f);
    if (count < 2) return;
    const int closed = style->closed && count > 3;
    if (closed) line[count - 1] = line[0];
    add_segments(upload, line, count, style, style->pixels || !world, closed);
}
