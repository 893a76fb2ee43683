/// The memory of passes with reuse, and copying rows of it.
#include <math.h>
#include <string.h>

#include "nexus/reuse_private.h"

#define ALIGNMENT 256

typedef struct cutter {
    char *block; ///< NULL: only sums
    size_t used;
    uint32_t tokens;
    nm_dtype stream, compute;
} cutter;

static void *cut(cutter *c, size_t bytes) {
    char *here = c->block ? c->block + c->used : NULL;
    c->used += (bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    return here;
}
static nm_tensor cut_rows(cutter *c, uint32_t cols, nm_dtype type) {
    const nm_tensor t = {cut(c, (size_t)c->tokens * cols * nm_dtype_size(type)), c->tokens, cols, cols, type};
    return t;
}
static nm_tensor stream(cutter *c, uint32_t cols) {
    return cut_rows(c, cols, c->stream);
}
static nm_tensor compute(cutter *c, uint32_t cols) {
    return cut_rows(c, cols, c->compute);
}
static uint32_t *indices(cutter *c, size_t count) {
    return cut(c, count * sizeof(uint32_t));
}
static float *floats(cutter *c, size_t count) {
    return cut(c, count * sizeof(float));
}

static void cut_work(cutter *c, nm_reuse *r, uint32_t scenes) {
    const nm_model_config *m = &r->pass->model->config;
    const uint32_t hidden = m->hidden, inner = m->widening > 1 ? m->widening * hidden : hidden;
    const size_t n = c->tokens;
    nm_reuse_work *w = &r->work;
    w->assembled = stream(c, nm_model_inputs(m));
    w->entry = stream(c, hidden);
    w->stream = stream(c, hidden);
    w->shift = r->config.skip_end > r->config.skip_first ? stream(c, hidden) : nm_tensor_none();
    w->layer.modulation = compute(c, 6 * hidden);
    w->layer.normed = w->layer.mlp.normed = compute(c, hidden);
    w->layer.qkv = compute(c, 3 * hidden);
    w->layer.attended = compute(c, hidden);
    w->layer.middle = stream(c, hidden);
    w->layer.mlp.hidden = compute(c, inner);
    w->layer.out = stream(c, hidden);
    w->narrow = compute(c, hidden);
    w->position = stream(c, 1);
    w->level = floats(c, n);
    w->pose = m->pose_bias ? stream(c, 4) : nm_tensor_none();
    w->v = stream(c, m->channels);
    w->level_index = indices(c, n);
    w->time_index = indices(c, n);
    w->place = indices(c, n);
    w->inputs.rows = indices(c, n);
    w->keys.rows = indices(c, n);
    w->outputs.rows = indices(c, n);
    w->query_offsets = indices(c, (n > scenes ? n : scenes) + 1); // groups of scenes may be empty
    w->query_rows = indices(c, n);
    w->change = floats(c, n);
    w->told = floats(c, n);
    w->moved = cut(c, n);
    w->moved_next = cut(c, n);
    w->held = cut(c, n);
    w->needed = cut(c, n);
    w->time_needed = cut(c, n);
    w->next_group = indices(c, scenes);
    w->settled = cut(c, n);
}

size_t nm_reuse_cut(nm_reuse *r, uint32_t tokens, uint32_t scenes, void *block) {
    const nm_model_config *m = &r->pass->model->config;
    const nm_backend *backend = r->pass->backend;
    const uint32_t hidden = m->hidden, layers = nm_model_layers(m);
    cutter c = {block, 0, tokens, backend->stream, backend->compute};
    for (uint32_t i = 0; i <= layers; ++i) {
        nm_kept_layer *l = &r->layers[i];
        const int last = i == layers;
        l->stream = stream(&c, hidden);
        l->stale = floats(&c, tokens);
        l->modulation = compute(&c, (last ? 2 : 6) * hidden);
        l->qkv = last ? nm_tensor_none() : compute(&c, 3 * hidden);
        l->context = floats(&c, tokens);
    }
    r->assembled = stream(&c, nm_model_inputs(m));
    r->level = floats(&c, tokens);
    r->told_pose = m->pose_bias ? floats(&c, 4 * (size_t)tokens) : NULL;
    r->poses = m->pose_bias ? stream(&c, 4) : nm_tensor_none();
    r->position = m->rotary ? stream(&c, 1) : nm_tensor_none();
    r->order = indices(&c, tokens);
    r->place_of = indices(&c, tokens);
    r->agent_rows = indices(&c, tokens);
    r->time_rows = indices(&c, tokens);
    r->map_share = r->config.map >= 0.0f ? stream(&c, hidden) : nm_tensor_none();
    r->map_level = floats(&c, tokens);
    r->v = stream(&c, m->channels);
    cut_work(&c, r, scenes);
    return c.used;
}

// ---------------------------------------------------------------------------------------------------------------------
// Rows

static char *row_of(nm_tensor t, uint32_t row) {
    return (char *)t.data + (size_t)row * t.stride * nm_dtype_size(t.dtype);
}
static size_t row_bytes(nm_tensor t) {
    return t.cols * nm_dtype_size(t.dtype);
}

void nm_rows_copy(nm_tensor from, uint32_t from_row, nm_tensor to, uint32_t to_row) {
    NM_DEBUG_ASSERT(from.cols == to.cols && from.dtype == to.dtype);
    memcpy(row_of(to, to_row), row_of(from, from_row), row_bytes(from));
}

nm_tensor nm_rows_gather(nm_tensor from, const nm_some_rows *list, nm_tensor to) {
    if (nm_rows_adjoin(list)) return nm_tensor_rows(from, list->rows[0], list->count);
    to = nm_tensor_rows(to, 0, list->count);
    for (uint32_t i = 0; i < list->count; ++i) nm_rows_copy(from, list->rows[i], to, i);
    return to;
}

nm_tensor nm_rows_target(nm_tensor to, const nm_some_rows *list, nm_tensor work) {
    return nm_rows_adjoin(list) ? nm_tensor_rows(to, list->rows[0], list->count) : nm_tensor_rows(work, 0, list->count);
}

void nm_rows_scatter(nm_tensor from, const nm_some_rows *list, nm_tensor to) {
    if (nm_rows_adjoin(list)) return;
    for (uint32_t i = 0; i < list->count; ++i) nm_rows_copy(from, i, to, list->rows[i]);
}

int nm_rows_differ(nm_tensor a, uint32_t row_a, nm_tensor b, uint32_t row_b) {
    NM_DEBUG_ASSERT(a.cols == b.cols && a.dtype == b.dtype);
    return memcmp(row_of(a, row_a), row_of(b, row_b), row_bytes(a)) != 0;
}

enum { LANES = 16 };

/// Sums over columns [0, cols), cols a multiple of LANES, in chains that do not wait for each other.
static void add_lanes(const float *x, const float *y, uint32_t cols, float *difference, float *size) {
    for (uint32_t c = 0; c < cols; c += LANES) {
        for (uint32_t i = 0; i < LANES; ++i) {
            const float d = x[c + i] - y[c + i];
            difference[i] += d * d;
            size[i] += y[c + i] * y[c + i];
        }
    }
}

float nm_rows_change(nm_tensor a, uint32_t row_a, nm_tensor b, uint32_t row_b) {
    const void *x = row_of(a, row_a), *y = row_of(b, row_b);
    float d[LANES] = {0}, s[LANES] = {0};
    double difference = 0.0, size = 0.0;
    const uint32_t whole = a.dtype == NM_F32 ? a.cols / LANES * LANES : 0;
    if (whole) add_lanes(x, y, whole, d, s);
    for (uint32_t i = 0; i < LANES; ++i) {
        difference += (double)d[i];
        size += (double)s[i];
    }
    for (uint32_t c = whole; c < a.cols; ++c) {
        const double p = a.dtype == NM_F64 ? ((const double *)x)[c] : (double)((const float *)x)[c];
        const double q = a.dtype == NM_F64 ? ((const double *)y)[c] : (double)((const float *)y)[c];
        difference += (p - q) * (p - q);
        size += q * q;
    }
    const float change = (float)sqrt(difference / size);
    if (change > 0.0f && change < INFINITY) return change;
    if (!nm_rows_differ(a, row_a, b, row_b)) return 0.0f;
    return difference == 0.0 ? nextafterf(0.0f, 1.0f) : INFINITY; // another row, however near; of zeros, or no number
}

void nm_rows_subtract(nm_tensor a, uint32_t a_row, nm_tensor b, uint32_t b_row, nm_tensor to, uint32_t to_row) {
    const void *x = row_of(a, a_row), *y = row_of(b, b_row);
    void *z = row_of(to, to_row);
    for (uint32_t c = 0; c < to.cols; ++c) {
        if (to.dtype == NM_F64)
            ((double *)z)[c] = ((const double *)x)[c] - ((const double *)y)[c];
        else
            ((float *)z)[c] = ((const float *)x)[c] - ((const float *)y)[c];
    }
}

void nm_rows_add(nm_tensor from, uint32_t from_row, nm_tensor to, uint32_t to_row) {
    const void *x = row_of(from, from_row);
    void *z = row_of(to, to_row);
    for (uint32_t c = 0; c < to.cols; ++c) {
        if (to.dtype == NM_F64)
            ((double *)z)[c] += ((const double *)x)[c];
        else
            ((float *)z)[c] += ((const float *)x)[c];
    }
}
