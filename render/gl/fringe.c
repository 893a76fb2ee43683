/// Smooth edges for triangles without multisampling: a line of one pixel around every run of opaque triangles.
///
/// The edges that only one triangle of the run has are chained into loops and drawn as strokes of the run's colour. The
/// surface grows by half a pixel, which is less than what jagged edges move from frame to frame.
#include <string.h>

#include "render/gl/gl_internal.h"

/// Edge k of triangle t is 3 t + k, from its vertex k to the next one.
typedef struct fringe {
    const nm_vertex *vertices; ///< of the run
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

/// Marks the edges that two triangles share, in whatever direction each has it.
static void mark_inner(fringe *f) {
    memset(f->table, 0, ((size_t)f->mask + 1) * sizeof *f->table);
    for (uint32_t e = 0; e < f->edge_count; e++) {
        const nm_vertex *a = edge_from(f, e), *b = edge_to(f, e);
        const uint32_t hash = hash_place(a) + hash_place(b); // the same both ways
        uint32_t place = hash & f->mask;
        f->inner[e] = (uint8_t)same_place(a, b);
        for (; f->table[place] && !f->inner[e]; place = (place + 1) & f->mask) {
            const uint32_t other = f->table[place] - 1;
            if (f->inner[other]) continue;
            const nm_vertex *c = edge_from(f, other), *d = edge_to(f, other);
            if ((same_place(a, c) && same_place(b, d)) || (same_place(a, d) && same_place(b, c)))
                f->inner[e] = f->inner[other] = 1;
        }
        if (!f->inner[e]) insert(f, e, hash);
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

static void add_chain(nm_gl_upload *upload, fringe *f, const nm_drawing *drawing, uint32_t edge) {
    const nm_vertex *start = edge_from(f, edge);
    nm_stroke style = {.width = 1.0f, .colour = start->colour, .pixels = 1};
    uint32_t count = 0;
    nm_point *line = (nm_point *)upload->edges.data; // sized by the caller: every edge once
    line[count++] = (nm_point){start->x, start->y, start->z};
    while (edge != UINT32_MAX) {
        const nm_vertex *end = edge_to(f, edge);
        f->inner[edge] = 1;
        line[count++] = (nm_point){end->x, end->y, end->z};
        edge = next_edge(f, edge);
    }
    if (count > 3 && line[0].x == line[count - 1].x && line[0].y == line[count - 1].y) {
        style.closed = 1;
        count--;
    }
    // Upright rectangles of panels lie on whole pixels: a fringe would blur them.
    if (drawing->space == NM_SPACE_SCREEN && count == 4 && (line[0].x == line[1].x || line[0].y == line[1].y) &&
        (line[2].x == line[3].x || line[2].y == line[3].y))
        return;
    nm_gl_add_line(upload, drawing, line, count, &style);
}

void nm_gl_add_fringe(nm_gl_upload *upload, const nm_drawing *drawing, const nm_triangles *run) {
    fringe f = {.vertices = drawing->vertices + run->first, .edge_count = run->count};
    for (uint32_t i = 0; i < run->count; i++)
        if (f.vertices[i].colour.a != 255) return; // twice as dense where both overlap
    f.mask = 15;
    while (f.mask < 2 * run->count) f.mask = 2 * f.mask + 1;
    const size_t table = ((size_t)f.mask + 1) * sizeof *f.table;
    f.table = nm_gl_scratch_reserve(&upload->table, table + run->count);
    if (!f.table || !nm_gl_scratch_reserve(&upload->edges, ((size_t)run->count + 1) * sizeof(nm_point))) {
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
