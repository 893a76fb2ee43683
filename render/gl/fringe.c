/// Smooth edges for triangles without multisampling: around triangles of one colour a seam, one pixel wide, that fades
/// out.
///
/// The edges that only one of the triangles has are chained into loops; the vertex shader moves the outer side of
/// the seam by a pixel whatever the zoom. Seams follow their triangles in the same buffer, so that what is painted over
/// a surface hides its seam too. The surface grows by half a pixel, which is less than jagged edges move from frame to
/// frame.
#include <math.h>
#include <string.h>

#include "render/gl/gl_internal.h"

#define SEAM_STRAIGHT 0.002f // m that a thinned seam may lie off its triangles: below a pixel where a camera gets to

/// Edge k of triangle t is 3 t + k, from its vertex k to the next one.
typedef struct fringe {
    const nm_vertex *vertices; ///< of the triangles
    uint32_t edge_count;
    uint32_t *table; ///< hash of edges by an end: edge + 1, 0 = free
    uint32_t mask;
    uint8_t *inner; ///< 1: two triangles share it, or it was drawn already
} fringe;

static const nm_vertex *edge_from(const fringe *f, uint32_t edge) {
    return &f->vertices[edge];
}
static const nm_vertex *edge_to(const fringe *f, uint32_t edge) {
    return &f->vertices[edge % 3 == 2 ? edge - 2 : edge + 1];
}

static int same_place(const nm_vertex *a, const nm_vertex *b) {
    return a->x == b->x && a->y == b->y && a->z == b->z;
}

static uint32_t hash_place(const nm_vertex *v) {
    uint32_t bits[3];
    const float place[3] = {v->x + 0.0f, v->y + 0.0f, v->z + 0.0f}; // no -0
    memcpy(bits, place, sizeof bits);
    uint32_t h = bits[0] * 0x9E3779B1u ^ (bits[1] * 0x85EBCA77u + bits[2] * 0xC2B2AE3Du);
    h ^= h >> 15;
    h *= 0x2C1B3C6Du;
    return h ^ h >> 13;
}

static void insert(fringe *f, uint32_t edge, uint32_t hash) {
    uint32_t place = hash & f->mask;
    while (f->table[place]) place = (place + 1) & f->mask;
    f->table[place] = edge + 1;
}

/// Which side of its edge the triangle is on, seen along a to b: > 0 left.
static float side_of(const fringe *f, uint32_t edge, const nm_vertex *a, const nm_vertex *b) {
    const nm_vertex *third = &f->vertices[edge / 3 * 3 + (edge + 2) % 3];
    return (b->x - a->x) * (third->y - a->y) - (b->y - a->y) * (third->x - a->x);
}

/// Marks the edges that two triangles share from both sides, in whatever direction each has it. Where triangles lie
/// over each other the edge is still the outer one, of the first of them: what lies there twice, as the tokens of a car
/// that stands, looks as once.
static void mark_inner(fringe *f) {
    memset(f->table, 0, ((size_t)f->mask + 1) * sizeof *f->table);
    for (uint32_t e = 0; e < f->edge_count; e++) {
        const nm_vertex *a = edge_from(f, e), *b = edge_to(f, e);
        const uint32_t hash = hash_place(a) + hash_place(b); // the same both ways
        uint32_t place = hash & f->mask, spare = UINT32_MAX;
        f->inner[e] = (uint8_t)same_place(a, b);
        for (; f->table[place] && !f->inner[e]; place = (place + 1) & f->mask) {
            const uint32_t other = f->table[place] - 1;
            if (f->inner[other]) { // used again, else thousands of boxes on one spot take their square in time
                if (spare == UINT32_MAX) spare = place;
                continue;
            }
            const nm_vertex *c = edge_from(f, other), *d = edge_to(f, other);
            if (!(same_place(a, c) && same_place(b, d)) && !(same_place(a, d) && same_place(b, c))) continue;
            f->inner[e] = 1;
            f->inner[other] = !(side_of(f, e, a, b) * side_of(f, other, a, b) > 0.0f);
        }
        if (f->inner[e]) continue;
        if (spare == UINT32_MAX)
            insert(f, e, hash);
        else
            f->table[spare] = e + 1;
    }
}

/// The outer edge that begins where `edge` ends; UINT32_MAX when there is none of the same colour.
static uint32_t next_edge(const fringe *f, uint32_t edge) {
    const nm_vertex *end = edge_to(f, edge);
    for (uint32_t place = hash_place(end) & f->mask; f->table[place]; place = (place + 1) & f->mask) {
        const uint32_t next = f->table[place] - 1;
        if (!f->inner[next] && same_place(edge_from(f, next), end)) return next;
    }
    return UINT32_MAX;
}

/// Outward normals at the points of a chain, mitred: longer at corners, so that the seam keeps its width. Up to 2 px.
static void miter(const nm_point *line, uint32_t count, uint32_t i, int closed, float side, int16_t push[2]) {
    float normal[2][2] = {{0, 0}, {0, 0}};
    for (int k = 0; k < 2; k++) { // of the edges before and after
        const uint32_t from = k ? i : (i ? i - 1 : count - 1), to = k ? (i + 1 < count ? i + 1 : 0) : i;
        const float x = line[to].x - line[from].x, y = line[to].y - line[from].y, length = sqrtf(x * x + y * y);
        if (!(length > 0.0f) || (!closed && ((k == 0 && i == 0) || (k == 1 && i + 1 == count)))) continue;
        normal[k][0] = side * y / length;
        normal[k][1] = -side * x / length;
    }
    const float x = normal[0][0] + normal[1][0], y = normal[0][1] + normal[1][1];
    const float square = x * x + y * y; // |n| = 2 / square * |sum| keeps the width: sum of unit vectors
    const float scale = square > 0.0f ? fminf(2.0f / square, 2.0f / sqrtf(square)) : 0.0f;
    const int single = normal[0][0] * normal[0][0] + normal[0][1] * normal[0][1] == 0.0f ||
                       normal[1][0] * normal[1][0] + normal[1][1] * normal[1][1] == 0.0f;
    push[0] = (int16_t)lrintf(NM_GL_PUSH * x * (single ? 1.0f : scale));
    push[1] = (int16_t)lrintf(NM_GL_PUSH * y * (single ? 1.0f : scale));
}

static void add_seam(nm_gl_upload *upload, const nm_point *line, uint32_t count, int closed, float side,
                     nm_rgba colour) {
    const uint32_t edges = closed ? count : count - 1;
    nm_gl_flat_vertex *out = nm_gl_more_flats(upload, 6 * edges);
    const nm_rgba faded = {colour.r, colour.g, colour.b, 0};
    if (!out) return;
    for (uint32_t i = 0; i < edges; i++) {
        const nm_point *ends[2] = {&line[i], &line[(i + 1) % count]};
        nm_gl_flat_vertex corners[4]; // inner and outer at both ends
        for (int k = 0; k < 2; k++) {
            const nm_gl_flat_vertex inner = {.x = ends[k]->x, .y = ends[k]->y, .z = ends[k]->z, .colour = colour};
            corners[2 * k] = corners[2 * k + 1] = inner;
            corners[2 * k + 1].colour = faded;
            miter(line, count, (i + (uint32_t)k) % count, closed, side, corners[2 * k + 1].push);
            // Thinned seams and the triangles have different corners: without overlap a pixel may lie between both.
            corners[2 * k].push[0] = (int16_t)(-corners[2 * k + 1].push[0] / 8);
            corners[2 * k].push[1] = (int16_t)(-corners[2 * k + 1].push[1] / 8);
        }
        static const int order[6] = {0, 1, 2, 2, 1, 3};
        for (int k = 0; k < 6; k++) *out++ = corners[order[k]];
    }
}

static void add_chain(nm_gl_upload *upload, fringe *f, const nm_drawing *drawing, uint32_t edge) {
    const nm_vertex *start = edge_from(f, edge), *next = edge_to(f, edge), *third = &f->vertices[edge / 3 * 3];
    for (int k = 0; k < 3 && (third == start || third == next); k++) third++;
    const float turn = (next->x - start->x) * (third->y - start->y) - (next->y - start->y) * (third->x - start->x);
    uint32_t count = 0;
    nm_point *line = (nm_point *)upload->edges.data; // sized by the caller: every edge once
    line[count++] = (nm_point){start->x, start->y, start->z};
    while (edge != UINT32_MAX) {
        const nm_vertex *end = edge_to(f, edge);
        f->inner[edge] = 1;
        line[count++] = (nm_point){end->x, end->y, end->z};
        edge = next_edge(f, edge);
    }
    // Upright rectangles of panels lie on whole pixels: a seam would blur them.
    const int world = drawing->space == NM_SPACE_WORLD;
    if (!world && count == 5 && (line[0].x == line[1].x || line[0].y == line[1].y) &&
        (line[1].x == line[2].x || line[1].y == line[2].y))
        return;
    count = nm_gl_thin_line(line, count, world ? SEAM_STRAIGHT : 0.0f);
    const int closed = count > 3 && line[0].x == line[count - 1].x && line[0].y == line[count - 1].y;
    if (closed) count--;
    if (count > 1) add_seam(upload, line, count, closed, turn > 0.0f ? 1.0f : -1.0f, start->colour);
}

/// The seam of triangles of one colour, beginning at vertex `first`.
void nm_gl_add_fringe(nm_gl_upload *upload, const nm_drawing *drawing, uint32_t first, uint32_t count) {
    fringe f = {.vertices = drawing->vertices + first, .edge_count = count};
    f.mask = 15;
    while (f.mask < 2 * count) f.mask = 2 * f.mask + 1;
    const size_t table = ((size_t)f.mask + 1) * sizeof *f.table;
    f.table = nm_gl_scratch_reserve(&upload->table, table + count);
    if (!f.table || !nm_gl_scratch_reserve(&upload->edges, ((size_t)count + 1) * sizeof(nm_point))) {
        upload->failed = 1;
        return;
    }
    f.inner = (uint8_t *)f.table + table;
    mark_inner(&f);
    memset(f.table, 0, table);
    for (uint32_t e = 0; e < f.edge_count; e++)
        if (!f.inner[e]) insert(&f, e, hash_place(edge_from(&f, e)));
    for (uint32_t e = 0; e < f.edge_count; e++)
        if (!f.inner[e]) add_chain(upload, &f, drawing, e);
}

static int same_colour(const nm_vertex *a, const nm_vertex *b) {
    return memcmp(&a->colour, &b->colour, sizeof a->colour) == 0;
}

uint32_t nm_gl_next_part(const nm_drawing *drawing, uint32_t first, uint32_t end, int *plain) {
    const nm_vertex *v = drawing->vertices + first;
    uint32_t count = 3;
    *plain = same_colour(&v[0], &v[1]) && same_colour(&v[0], &v[2]);
    for (; first + count < end; count += 3) {
        const int alike = same_colour(&v[count], &v[count + 1]) && same_colour(&v[count], &v[count + 2]);
        if (alike != *plain || (alike && !same_colour(&v[count], &v[0]))) break;
    }
    return count;
}
