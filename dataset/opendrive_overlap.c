/// Finds roads that lie on one another: the same stretch of road described twice, where one would never meet the
/// traffic of the other.
///
/// Lanes that fork from one or merge into one do for a while; lanes of junctions cross, merge and diverge, and roads
/// pass over one another at an angle or a height; none of that counts. What counts is a lane whose centreline another
/// road's lane follows, in the same direction, for nine tenths of its length (of at least 10 m) or for 50 m.
#include <math.h>
#include <stdlib.h>

#include "dataset/opendrive.h"

#define LEAST_STEP 2.0    // m between samples of a centreline
#define MOST_SAMPLES 1e6  // of a document: beyond, they are further apart
#define BESIDE 0.3        // m between centrelines that are the same
#define HEIGHT 1.0        // m
#define LEAST_COSINE 0.98 // of the angle between them: 11 degrees
#define LEAST_LENGTH 10.0 // m
#define LONG 50.0         // m
#define MOST_IN_CELL 64u  // looked at: more lie in one cell of broken files only
#define MOST_OTHERS 8u    // lanes followed at a time

typedef struct sample {
    double x, y, z, c, s;
    uint32_t chain, next; // in its cell
} sample;

typedef struct samples {
    double step; // m
    NM_OD_ARRAY(sample) all;
    uint32_t *cells;
    uint32_t mask;
} samples;

static uint32_t cell_of(const samples *g, double x, double y, int dx, int dy) {
    uint64_t i = (uint64_t)(int64_t)floor(x / g->step) + (uint64_t)(int64_t)dx;
    uint64_t k = (uint64_t)(int64_t)floor(y / g->step) + (uint64_t)(int64_t)dy;
    uint64_t h = (i * UINT64_C(0x9E3779B97F4A7C15)) ^ (k * UINT64_C(0xC2B2AE3D27D4EB4F));
    return (uint32_t)(h >> 32) & g->mask;
}

static int counts(const nm_od_build *build, const nm_od_chain *chain) {
    const nm_od_piece *piece = &build->pieces.at[chain->first];
    return nm_lane_type_drivable((nm_lane_type)piece->type) &&
           build->document->roads.at[build->stretches.at[piece->stretch].road].junction == NM_NONE;
}

/// Samples the centreline of a chain every g->step m, in driving direction.
static int add_samples(const nm_od_build *build, uint32_t chain, samples *g) {
    double x = 0.0, y = 0.0, z = 0.0, due = 0.0;
    int begun = 0;
    for (uint32_t p = build->chains.at[chain].first; p != NM_NONE; p = build->pieces.at[p].next) {
        const nm_od_piece *piece = &build->pieces.at[p];
        const nm_od_stretch *stretch = &build->stretches.at[piece->stretch];
        for (uint32_t k = 0; k < stretch->rows; ++k) {
            uint32_t row = piece->flags & NM_OD_FORWARD ? k : stretch->rows - 1 - k;
            const nm_point3 *l = nm_od_border(build, stretch, row, piece->left_border), *r = l + 1;
            double nx = 0.5 * (l->x + r->x), ny = 0.5 * (l->y + r->y), nz = 0.5 * (l->z + r->z);
            double length = begun ? sqrt((nx - x) * (nx - x) + (ny - y) * (ny - y)) : 0.0;
            for (; length > 0.0 && due < length; due += g->step) {
                double share = due / length;
                sample *at = NM_OD_NEW(g->all);
                if (!at) return 0;
                *at = (sample){x + share * (nx - x),
                               y + share * (ny - y),
                               z + share * (nz - z),
                               (nx - x) / length,
                               (ny - y) / length,
                               chain,
                               NM_NONE};
            }
            due -= length;
            x = nx;
            y = ny;
            z = nz;
            begun = 1;
        }
    }
    return 1;
}

/// 1 when b lies on the same line as a, at most half a step before or behind it.
static int follows(const sample *a, const sample *b, double step) {
    double dx = b->x - a->x, dy = b->y - a->y;
    return fabs(dx * a->c + dy * a->s) <= 0.51 * step && fabs(dy * a->c - dx * a->s) <= BESIDE &&
           fabs(a->z - b->z) <= HEIGHT && a->c * b->c + a->s * b->s >= LEAST_COSINE;
}

static uint32_t road_of(const nm_od_build *build, uint32_t chain) {
    return build->stretches.at[build->pieces.at[build->chains.at[chain].first].stretch].road;
}

/// Lanes that leave the same lane, or lead into the same one, lie on one another for a while.
static int fork_or_merge(const nm_od_build *build, uint32_t a, uint32_t b) {
    const nm_od_chain *p = &build->chains.at[a], *q = &build->chains.at[b];
    for (int side = 0; side < 2; ++side) {
        nm_range x = side ? p->successors : p->predecessors, y = side ? q->successors : q->predecessors;
        for (uint32_t i = 0; i < x.count && i < MOST_OTHERS; ++i) {
            for (uint32_t k = 0; k < y.count && k < MOST_OTHERS; ++k) {
                if (build->targets.at[x.first + i] == build->targets.at[y.first + k]) return 1;
            }
        }
    }
    return 0;
}

typedef struct other {
    uint32_t chain, shared, seen; // samples shared; the last sample that was counted
} other;

/// Counts a sample for every lane of another road that it lies on.
static void count_others(const nm_od_build *build, const samples *g, uint32_t index, other others[MOST_OTHERS]) {
    const sample *a = &g->all.at[index];
    for (int cell = 0; cell < 9; ++cell) {
        uint32_t looked = 0;
        for (uint32_t i = g->cells[cell_of(g, a->x, a->y, cell % 3 - 1, cell / 3 - 1)];
             i != NM_NONE && looked < MOST_IN_CELL; i = g->all.at[i].next, ++looked) {
            const sample *b = &g->all.at[i];
            if (b->chain == a->chain || !follows(a, b, g->step) || road_of(build, a->chain) == road_of(build, b->chain))
                continue;
            uint32_t k = 0;
            while (k < MOST_OTHERS && others[k].chain != b->chain && others[k].chain != NM_NONE) ++k;
            if (k == MOST_OTHERS || others[k].seen == index) continue;
            others[k].chain = b->chain;
            others[k].seen = index;
            ++others[k].shared;
        }
    }
}

static nm_status check_chain(const nm_od_build *build, const samples *g, uint32_t first, uint32_t end) {
    other others[MOST_OTHERS];
    for (uint32_t k = 0; k < MOST_OTHERS; ++k) others[k] = (other){NM_NONE, 0, NM_NONE};
    for (uint32_t i = first; i < end; ++i) count_others(build, g, i, others);
    double length = g->step * (end - first);
    for (uint32_t k = 0; k < MOST_OTHERS && others[k].chain != NM_NONE; ++k) {
        double shared = g->step * others[k].shared;
        if ((length < LEAST_LENGTH || shared < 0.9 * length) && shared < LONG) continue;
        if (fork_or_merge(build, g->all.at[first].chain, others[k].chain)) continue;
        const nm_od_document *d = build->document;
        return NM_ERROR_AT(build->error, NM_E_FORMAT, build->name,
                           d->roads.at[road_of(build, g->all.at[first].chain)].line, -1,
                           "this road lies on the road in line %d: %.0f m of a lane of theirs are the same",
                           d->roads.at[road_of(build, others[k].chain)].line, shared);
    }
    return NM_OK;
}

nm_status nm_od_check_overlap(nm_od_build *build) {
    samples g = {.mask = 1023};
    nm_status status = NM_OK;
    double total = 0.0;
    for (uint32_t i = 0; i < build->pieces.count; ++i) total += (double)build->pieces.at[i].length;
    g.step = fmax(LEAST_STEP, total / MOST_SAMPLES);
    for (uint32_t c = 0; status == NM_OK && c < build->chains.count; ++c) {
        if (counts(build, &build->chains.at[c]) && !add_samples(build, c, &g)) status = NM_E_MEMORY;
    }
    while (g.mask < g.all.count) g.mask = 2 * g.mask + 1;
    g.cells = status == NM_OK ? malloc((g.mask + (size_t)1) * sizeof *g.cells) : NULL;
    if (!g.cells) status = NM_E_MEMORY;
    for (uint32_t i = 0; g.cells && i <= g.mask; ++i) g.cells[i] = NM_NONE;
    for (uint32_t i = 0; g.cells && i < g.all.count; ++i) {
        uint32_t *cell = &g.cells[cell_of(&g, g.all.at[i].x, g.all.at[i].y, 0, 0)];
        g.all.at[i].next = *cell;
        *cell = i;
    }
    if (status == NM_E_MEMORY) NM_ERROR(build->error, NM_E_MEMORY, "no memory to compare the roads of a document");
    for (uint32_t first = 0, end; status == NM_OK && first < g.all.count; first = end) {
        for (end = first; end < g.all.count && g.all.at[end].chain == g.all.at[first].chain;) ++end;
        status = check_chain(build, &g, first, end);
    }
    free(g.all.at);
    free(g.cells);
    return status;
}
