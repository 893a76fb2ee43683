/// The forward pass over lists of rows: what has changed is computed, the rest is as it was kept.
///
/// What is computed are the steps of network_private.h, over the rows of a list one after another, gathered from what
/// is kept; where they adjoin, what is kept is read and, while nothing is kept yet, written in place. Keys are always
/// those of all rows.
#include <math.h>
#include <string.h>

#include "nexus/reuse_private.h"

// ---------------------------------------------------------------------------------------------------------------------
// Rows, and what they cost

/// Matrix products count themselves, see nm_reuse_forward.
static void count_attention(nm_reuse *r, const nm_groups *g) {
    double pairs = 0.0;
    for (uint32_t i = 0; i < g->count; ++i)
        pairs += (double)(g->query_offsets[i + 1] - g->query_offsets[i]) * (g->key_offsets[i + 1] - g->key_offsets[i]);
    r->stats.flops += 4.0 * r->pass->model->config.hidden * pairs;
}

/// The first rows of working memory, as many as a list has.
static nm_tensor first_rows(nm_tensor t, const nm_some_rows *list) {
    return nm_tensor_rows(t, 0, list->count);
}

/// Working memory of a layer, of the rows of a list.
static nm_layer_acts first_acts(const nm_reuse *r, const nm_some_rows *list) {
    const nm_layer_acts *a = &r->work.layer;
    return (nm_layer_acts){
        .modulation = first_rows(a->modulation, list),
        .normed = first_rows(a->normed, list),
        .qkv = first_rows(a->qkv, list),
        .attended = first_rows(a->attended, list),
        .middle = first_rows(a->middle, list),
        .mlp = {.normed = first_rows(a->mlp.normed, list), .hidden = first_rows(a->mlp.hidden, list)},
        .out = first_rows(a->out, list)};
}

/// Slices [first, first + count) of the modulations of the rows of a list; the other slices are anything.
static nm_tensor gather_slices(nm_reuse *r, nm_tensor modulation, uint32_t first, uint32_t count,
                               const nm_some_rows *list) {
    const uint32_t hidden = r->pass->model->config.hidden;
    if (nm_rows_adjoin(list)) return nm_tensor_rows(modulation, list->rows[0], list->count);
    const nm_tensor work = first_rows(nm_tensor_cols(r->work.layer.modulation, 0, modulation.cols), list);
    nm_rows_gather(nm_tensor_cols(modulation, first * hidden, count * hidden), list,
                   nm_tensor_cols(work, first * hidden, count * hidden));
    return work;
}

/// Rows that nearly adjoin may as well do so, as nothing is changed by computing what is the same: unless some must
/// stay as they are.
static void widen(const nm_reuse *r, nm_some_rows *list, const uint8_t *wanted) {
    if (!list->count || wanted || r->work.any_held || r->config.skip_end > r->config.skip_first) return;
    const uint32_t first = list->rows[0], count = list->rows[list->count - 1] - first + 1;
    if ((uint64_t)list->count * 8 < (uint64_t)count * 7) return;
    list->count = count;
    for (uint32_t i = 0; i < count; ++i) list->rows[i] = first + i;
}

static int exceeds(const nm_reuse *r, float change) {
    return !(change <= r->config.drift); // what is no number does
}
/// Change of a row; with drift 0 it is enough to know whether there is any.
static float change_of(const nm_reuse *r, nm_tensor a, uint32_t row_a, nm_tensor b, uint32_t row_b) {
    if (r->config.drift > 0.0f) return nm_rows_change(a, row_a, b, row_b);
    return nm_rows_differ(a, row_a, b, row_b) ? 1.0f : 0.0f;
}
/// The row's output of a layer is due.
static void make_due(nm_kept_layer *layer, uint32_t row) {
    if (!isnan(layer->context[row])) layer->context[row] = INFINITY;
}

// ---------------------------------------------------------------------------------------------------------------------
// Entry: what tokens are told

/// Rows whose inputs differ from those that their entry was made of.
static void find_inputs(nm_reuse *r) {
    nm_some_rows *list = &r->work.inputs;
    const nm_tensor now = r->pass->assembled;
    list->count = 0;
    for (uint32_t row = 0; row < r->tokens; ++row) {
        // held at level 1: its inputs follow what is known of others, and it waits
        if (r->work.held[row] && (r->work.level[row] > 0.0f || r->work.held[row] == NM_REUSE_FINISHED)) continue;
        if (r->fresh || memcmp(&r->work.level[row], &r->level[row], sizeof *r->level) != 0 ||
            nm_rows_differ(now, r->order[row], r->assembled, row))
            list->rows[list->count++] = row;
    }
}

/// The stream at the start of the trunk, of the rows that are listed.
static nm_tensor make_entry(nm_reuse *r) {
    nm_pass *p = r->pass;
    nm_reuse_work *w = &r->work;
    const nm_some_rows *list = &w->inputs;
    const nm_tensor entry = first_rows(w->entry, list), assembled = first_rows(w->assembled, list);
    nm_lookup level = nm_pass_lookup(&p->level), time = nm_pass_lookup(&p->time);
    for (uint32_t i = 0; i < list->count; ++i) {
        const uint32_t row = r->order[list->rows[i]];
        nm_rows_copy(p->assembled, row, assembled, i);
        w->level_index[i] = level.index[row];
        w->time_index[i] = time.index[row];
    }
    level.index = w->level_index;
    time.index = w->time_index;
    nm_pass_enter(p, assembled, &level, &time, entry);
    return entry;
}

/// Takes over a layer's new input of a row, where it has changed.
static void store_stream(nm_reuse *r, uint32_t layer, uint32_t row, nm_tensor from, uint32_t at, int whatever,
                         uint8_t *moved) {
    nm_kept_layer *l = &r->layers[layer];
    const float change = whatever ? INFINITY : change_of(r, from, at, l->stream, row);
    if (!exceeds(r, change)) return;
    if (r->work.shift.data) nm_rows_subtract(from, at, l->stream, row, r->work.shift, row);
    nm_rows_copy(from, at, l->stream, row);
    l->stale[row] = fmaxf(l->stale[row], change);
    moved[row] = 1;
}

/// Keeps the listed rows whose entry has changed, and takes the others off the list.
static void keep_inputs(nm_reuse *r, nm_tensor entry) {
    nm_reuse_work *w = &r->work;
    nm_some_rows *list = &w->inputs;
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->count; ++i) {
        const uint32_t row = list->rows[i];
        w->told[row] = r->fresh ? INFINITY : change_of(r, entry, i, r->layers[0].stream, row);
        if (!exceeds(r, w->told[row])) continue;
        store_stream(r, 0, row, entry, i, r->fresh, w->moved);
        nm_rows_copy(r->pass->assembled, r->order[row], r->assembled, row);
        r->level[row] = w->level[row];
        w->held[row] = 0; // any_held may stay: it only keeps lists from being widened
        list->rows[count++] = row;
    }
    list->count = count;
}

// ---------------------------------------------------------------------------------------------------------------------
// The map, and the modulations

/// Groups of queries that are those of a list, in its order. owners: groups of the batch, whose rows are `rows` here.
static nm_groups group_queries(nm_reuse *r, const nm_row_lists *owners, const uint32_t *rows, const nm_some_rows *list,
                               nm_groups groups) {
    nm_reuse_work *w = &r->work;
    uint32_t next = 0;
    for (uint32_t row = 0, place = 0; row < r->tokens; ++row) {
        w->place[row] = place < list->count && list->rows[place] == row ? place++ : UINT32_MAX;
    }
    groups.max_queries = 0;
    w->query_offsets[0] = 0;
    for (uint32_t g = 0; g < owners->count; ++g) {
        for (uint32_t i = owners->offsets[g]; i < owners->offsets[g + 1]; ++i) {
            if (w->place[rows[i]] != UINT32_MAX) w->query_rows[next++] = w->place[rows[i]];
        }
        w->query_offsets[g + 1] = next;
        const uint32_t size = next - w->query_offsets[g];
        if (size > groups.max_queries) groups.max_queries = size;
    }
    groups.query_offsets = w->query_offsets;
    groups.query_rows = w->query_rows;
    return groups;
}

/// fused, in place of the entries of the rows that are listed.
static void attend_to_map(nm_reuse *r, const nm_some_rows *list, nm_tensor x) {
    nm_pass *p = r->pass;
    const int perceiver = p->model->config.map_encoder == NM_MAP_PERCEIVER;
    const nm_layer_acts a = first_acts(r, list);
    nm_cross_acts cross = {.kv = p->cross.kv,
                           .normed = a.normed,
                           .q = first_rows(r->work.narrow, list),
                           .attended = a.attended,
                           .middle = x,
                           .mlp = {.normed = a.normed, .hidden = nm_tensor_cols(a.mlp.hidden, 0, x.cols)},
                           .out = x};
    const nm_groups groups =
        group_queries(r, perceiver ? &p->batch.by_scene : &p->batch.by_agent, r->agent_rows, list, p->to_map);
    count_attention(r, &groups);
    nm_pass_attend_to_map(p, &groups, x, &cross);
}

/// fused of the rows in work.inputs, where the map's share is computed at the levels that config.map asks for.
static nm_tensor fuse(nm_reuse *r) {
    nm_reuse_work *w = &r->work;
    const nm_some_rows *all = &w->inputs;
    nm_some_rows *some = &w->outputs;
    const nm_tensor entry = r->layers[0].stream, fused = first_rows(w->entry, all), part = w->stream;
    some->count = 0;
    for (uint32_t i = 0; i < all->count; ++i) {
        const uint32_t row = all->rows[i];
        nm_rows_copy(entry, row, fused, i);
        const int due = r->fresh || r->config.map < 0.0f || r->level[row] > r->map_level[row] ||
                        r->map_level[row] - r->level[row] > r->config.map;
        if (due) some->rows[some->count++] = row;
    }
    if (some->count == all->count && !r->map_share.data) {
        attend_to_map(r, all, fused);
        return fused;
    }
    const nm_tensor x = first_rows(part, some);
    for (uint32_t i = 0; i < some->count; ++i) nm_rows_copy(entry, some->rows[i], x, i);
    if (some->count) attend_to_map(r, some, x);
    for (uint32_t i = 0; i < some->count; ++i) {
        nm_rows_subtract(x, i, entry, some->rows[i], r->map_share, some->rows[i]);
        r->map_level[some->rows[i]] = r->level[some->rows[i]];
    }
    for (uint32_t i = 0; i < all->count; ++i) nm_rows_add(r->map_share, all->rows[i], fused, i);
    return fused;
}

/// The modulations of all layers of the rows in work.inputs; whatever was made with the old ones is due.
static void modulate(nm_reuse *r, nm_tensor fused) {
    nm_pass *p = r->pass;
    nm_reuse_work *w = &r->work;
    const nm_some_rows *list = &w->inputs;
    const uint32_t layers = nm_model_layers(&p->model->config);
    const nm_tensor modulator = first_rows(w->layer.normed, list);
    p->backend->ops->silu(p->backend, fused, modulator);
    for (uint32_t i = 0; i <= layers; ++i) {
        nm_kept_layer *l = &r->layers[i];
        const nm_tensor work = nm_tensor_cols(w->layer.modulation, 0, l->modulation.cols);
        const nm_tensor slices = nm_rows_target(l->modulation, list, work);
        nm_pass_modulate(p, i, modulator, slices);
        nm_rows_scatter(slices, list, l->modulation);
        for (uint32_t k = 0; k < list->count; ++k) {
            const uint32_t row = list->rows[k];
            l->stale[row] = i < layers ? fmaxf(l->stale[row], w->told[row]) : INFINITY;
            make_due(l, row);
        }
    }
}

static void enter(nm_reuse *r) {
    nm_pass_tell(r->pass);
    memset(r->work.moved, 0, r->tokens);
    find_inputs(r);
    if (r->work.inputs.count) keep_inputs(r, make_entry(r));
    if (r->work.inputs.count) modulate(r, fuse(r));
}

// ---------------------------------------------------------------------------------------------------------------------
// Layers

/// Is the row passed on by this layer as it was?
static int skips(const nm_reuse *r, uint32_t layer, uint32_t row) {
    const uint32_t block = layer / 2;
    return !isnan(r->layers[layer].context[row]) && block >= r->config.skip_first && block < r->config.skip_end &&
           r->level[row] <= r->config.skip_level;
}

/// Nothing in the last two layers is for others than tokens that are predicted, and who shares their time.
static const uint8_t *keys_wanted(const nm_reuse *r, uint32_t layer) {
    return layer + 1 == nm_model_layers(&r->pass->model->config) ? r->work.time_needed : NULL;
}
static const uint8_t *outputs_wanted(const nm_reuse *r, uint32_t layer) {
    const uint32_t left = nm_model_layers(&r->pass->model->config) - layer;
    return left == 1 ? r->work.needed : left == 2 ? r->work.time_needed : NULL;
}

/// What a block that is skipped does to rows whose input moved: the output moves as much.
static void pass_on(nm_reuse *r, uint32_t layer) {
    if (!r->work.shift.data) return;
    nm_kept_layer *l = &r->layers[layer], *next = &r->layers[layer + 1];
    for (uint32_t row = 0; row < r->tokens; ++row) {
        if (!r->work.moved[row] || !skips(r, layer, row)) continue;
        nm_rows_add(r->work.shift, row, next->stream, row);
        next->stale[row] = fmaxf(next->stale[row], l->stale[row]);
        make_due(l, row);
        r->work.moved_next[row] = 1;
    }
}

/// Queries, keys and values of the rows whose input has changed.
static void make_keys(nm_reuse *r, uint32_t layer) {
    nm_kept_layer *l = &r->layers[layer];
    nm_reuse_work *w = &r->work;
    nm_some_rows *list = &w->keys;
    const uint8_t *wanted = keys_wanted(r, layer);
    list->count = 0;
    for (uint32_t row = 0; row < r->tokens; ++row) {
        w->change[row] = 0.0f;
        if (l->stale[row] > 0.0f && !w->held[row] && (!wanted || wanted[row]) && !skips(r, layer, row))
            list->rows[list->count++] = row;
    }
    if (!list->count) return;
    widen(r, list, wanted);
    nm_layer_acts a = first_acts(r, list);
    a.modulation = gather_slices(r, l->modulation, 0, 2, list);
    a.qkv = nm_rows_target(l->qkv, list, w->layer.qkv);
    const nm_tensor position = r->position.data ? nm_rows_gather(r->position, list, w->position) : nm_tensor_none();
    nm_pass_make_keys(r->pass, layer, nm_rows_gather(l->stream, list, w->stream), position, &a);
    for (uint32_t i = 0; i < list->count; ++i) {
        const uint32_t row = list->rows[i];
        if (l->stale[row] > 0.0f) make_due(l, row);
        w->change[row] = l->stale[row];
        l->stale[row] = 0.0f;
    }
    nm_rows_scatter(a.qkv, list, l->qkv);
}

/// Adds to every row's context by how much what the keys of its group are made of has changed.
static void spread_change(nm_reuse *r, uint32_t layer) {
    const nm_row_lists *groups = layer % 2 ? &r->pass->batch.by_time : &r->pass->batch.by_agent;
    const uint32_t *rows = layer % 2 ? r->time_rows : r->agent_rows;
    float *context = r->layers[layer].context;
    if (r->fresh || !r->work.keys.count) return;
    for (uint32_t g = 0; g < groups->count; ++g) {
        float sum = 0.0f;
        const uint32_t begin = groups->offsets[g], end = groups->offsets[g + 1];
        for (uint32_t i = begin; i < end; ++i) sum += r->work.change[rows[i]];
        if (!(sum != 0.0f)) continue;
        // a mean that rounds to 0 is a change all the same
        const float mean = fmaxf(sum / (float)(end - begin), nextafterf(0.0f, 1.0f));
        for (uint32_t i = begin; i < end; ++i) context[rows[i]] += mean;
    }
}

static int is_due(const nm_reuse *r, uint32_t layer, uint32_t row, const uint8_t *wanted) {
    return exceeds(r, r->layers[layer].context[row]) && !r->work.held[row] && (!wanted || wanted[row]) &&
           !skips(r, layer, row);
}

/// Rows whose output is due, as a list and as groups of queries in the order of the list.
static nm_groups find_outputs(nm_reuse *r, uint32_t layer) {
    const nm_pass *p = r->pass;
    const uint8_t *wanted = outputs_wanted(r, layer);
    const uint32_t *rows = layer % 2 ? r->time_rows : r->agent_rows;
    nm_some_rows *list = &r->work.outputs;
    nm_groups groups = layer % 2 ? p->by_time : p->by_agent;
    groups.key_rows = rows;
    list->count = 0;
    for (uint32_t row = 0; row < r->tokens; ++row)
        if (is_due(r, layer, row, wanted)) list->rows[list->count++] = row;
    widen(r, list, wanted);
    return group_queries(r, layer % 2 ? &p->batch.by_time : &p->batch.by_agent, rows, list, groups);
}

/// Attention and MLP of the rows in work.outputs.
static nm_tensor make_outputs(nm_reuse *r, uint32_t layer, const nm_groups *groups, int direct) {
    const nm_kept_layer *l = &r->layers[layer];
    nm_reuse_work *w = &r->work;
    const nm_some_rows *list = &w->outputs;
    nm_layer_acts a = first_acts(r, list);
    a.qkv = l->qkv;
    nm_attention attention = nm_pass_layer_attention(r->pass, layer, &a);
    attention.q = nm_rows_gather(attention.q, list, w->narrow);
    attention.groups = groups;
    if (attention.pose_weight.data) {
        attention.query_pose = nm_rows_gather(r->poses, list, w->pose);
        attention.key_pose = r->poses;
    }
    a.modulation = gather_slices(r, l->modulation, 2, 4, list);
    if (direct) a.out = nm_tensor_rows(r->layers[layer + 1].stream, list->rows[0], list->count);
    count_attention(r, groups);
    nm_pass_make_outputs(r->pass, layer, nm_rows_gather(l->stream, list, w->stream), &attention, &a);
    return a.out;
}

static void compute_layer(nm_reuse *r, uint32_t layer) {
    nm_reuse_work *w = &r->work;
    make_keys(r, layer);
    spread_change(r, layer);
    const nm_groups groups = find_outputs(r, layer);
    memset(w->moved_next, 0, r->tokens);
    const nm_some_rows *list = &w->outputs;
    // with drift 0 rows that are computed have changed, or are as well said to have
    const int direct = list->count && nm_rows_adjoin(list) && !w->shift.data && (r->fresh || !(r->config.drift > 0.0f));
    r->stats.outputs += list->count;
    if (list->count) {
        const nm_tensor out = make_outputs(r, layer, &groups, direct);
        for (uint32_t i = 0; i < list->count; ++i) {
            const uint32_t row = list->rows[i];
            const int first = isnan(r->layers[layer].context[row]);
            r->layers[layer].context[row] = 0.0f;
            if (direct)
                r->layers[layer + 1].stale[row] = INFINITY;
            else
                store_stream(r, layer + 1, row, out, i, first || r->fresh, w->moved_next);
        }
    }
    pass_on(r, layer);
    uint8_t *moved = w->moved;
    w->moved = w->moved_next;
    w->moved_next = moved;
}

static void leave(nm_reuse *r) {
    nm_kept_layer *last = &r->layers[nm_model_layers(&r->pass->model->config)];
    nm_reuse_work *w = &r->work;
    nm_some_rows *list = &w->keys;
    list->count = 0;
    for (uint32_t row = 0; row < r->tokens; ++row) {
        if (!(last->stale[row] > 0.0f) || !w->needed[row] || w->held[row]) continue;
        last->stale[row] = 0.0f;
        list->rows[list->count++] = row;
    }
    if (!list->count) return;
    const nm_final_acts a = {.modulation = gather_slices(r, last->modulation, 0, 2, list),
                             .normed = first_rows(w->layer.normed, list)};
    const nm_tensor v = nm_rows_target(r->v, list, w->v);
    nm_pass_leave(r->pass, nm_rows_gather(last->stream, list, w->stream), &a, v);
    nm_rows_scatter(v, list, r->v);
}

void nm_reuse_forward(nm_reuse *r) {
    const uint32_t layers = nm_model_layers(&r->pass->model->config);
    r->pass->product_flops = 0.0;
    enter(r);
    for (uint32_t i = 0; i < layers; ++i) compute_layer(r, i);
    leave(r);
    r->stats.flops += r->pass->product_flops;
}
