/// Temporal attention by lists: who attends to whom, and the keys and values that outlive a pass.
#include <stdlib.h>
#include <string.h>

#include "nexus/network_private.h"

void nm_pass_release_links(nm_pass *p) {
    const nm_ops *ops = p->backend->ops;
    nm_link_acts *l = &p->links;
    if (l->indices) ops->release(p->backend, l->indices);
    for (uint32_t i = 0; l->kept && i < p->model->config.blocks; ++i)
        if (l->kept[i].data) ops->release(p->backend, l->kept[i].data);
    free(l->kept);
    *l = (nm_link_acts){0};
}

/// Query offsets, key offsets, query rows, key rows, one after the other.
static nm_status make_indices(nm_pass *p, nm_error *error) {
    nm_link_acts *l = &p->links;
    const size_t offsets = (size_t)l->capacity.groups + 1, rows = p->batch.capacity.tokens;
    const size_t count = 2 * offsets + rows + l->capacity.keys;
    l->indices = p->backend->ops->allocate(p->backend, (count + 1) * sizeof *l->indices);
    if (!l->indices) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u lists of keys", l->capacity.groups);
    l->groups = (nm_groups){.query_offsets = l->indices,
                            .key_offsets = l->indices + offsets,
                            .query_rows = l->indices + 2 * offsets,
                            .key_rows = l->indices + 2 * offsets + rows,
                            .shared_keys = 1};
    return NM_OK;
}

static nm_status make_kept(nm_pass *p, nm_error *error) {
    nm_link_acts *l = &p->links;
    const nm_model_config *c = &p->model->config;
    if (!l->capacity.kept) return NM_OK;
    l->kept = calloc(c->blocks, sizeof *l->kept);
    int complete = l->kept != NULL;
    for (uint32_t i = 0; complete && i < c->blocks; ++i) {
        l->kept[i] = nm_tensor_create(p->backend, l->capacity.kept, 2 * c->hidden, p->backend->compute);
        complete = l->kept[i].data != NULL;
    }
    return complete ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for %u rows of keys", l->capacity.kept);
}

nm_status nm_pass_create_linked(nm_model *model, const nm_batch_capacity *capacity, const nm_link_capacity *links,
                                int training, nm_pass **pass, nm_error *error) {
    *pass = NULL;
    NM_ASSERT(!training || links->kept == 0);
    if (nm_model_is_joint(&model->config))
        return NM_ERROR(error, NM_E_UNSUPPORTED,
                        "lists of who attends to whom are for factored attention; this model's is '%s'",
                        nm_attention_name(model->config.attention.kind));
    if (links->groups >= NM_BATCH_MAX_ROWS || links->keys >= NM_BATCH_MAX_ROWS || links->kept >= NM_BATCH_MAX_ROWS)
        return NM_ERROR(error, NM_E_LIMIT, "%u lists of %u keys, %u rows of which are kept: at most %u of each",
                        links->groups, links->keys, links->kept, NM_BATCH_MAX_ROWS - 1);
    nm_pass *p;
    nm_status status = nm_pass_create(model, capacity, training, &p, error);
    if (status != NM_OK) return status;
    p->links.capacity = *links;
    status = make_indices(p, error);
    if (status == NM_OK) status = make_kept(p, error);
    if (status == NM_OK)
        *pass = p;
    else
        nm_pass_destroy(p);
    return status;
}

static nm_status check_room(const nm_pass *p, const nm_pass_links *links, nm_error *error) {
    const nm_link_capacity *room = &p->links.capacity;
    const uint32_t groups = links->queries->count, keys = links->keys->offsets[groups];
    if (groups > room->groups || keys > room->keys)
        return NM_ERROR(error, NM_E_LIMIT, "%u lists of %u keys in a pass for %u of %u", groups, keys, room->groups,
                        room->keys);
    if (room->kept && (links->first > room->kept || p->batch.tokens > room->kept - links->first))
        return NM_ERROR(error, NM_E_LIMIT, "%u tokens from row %u on, of %u that are kept", p->batch.tokens,
                        links->first, room->kept);
    return NM_OK;
}

/// What a caller must have right, and the number of pairs.
static double count_pairs(const nm_pass *p, const nm_pass_links *links) {
    const nm_row_lists *q = links->queries, *k = links->keys;
    const uint32_t rows = p->links.kept ? p->links.capacity.kept : p->batch.tokens;
    double sum = 0.0;
    NM_ASSERT(q->count == k->count && q->offsets[q->count] == p->batch.tokens);
    NM_ASSERT(p->links.kept || links->first == 0);
    for (uint32_t i = 0; i < q->offsets[q->count]; ++i) NM_ASSERT(q->rows[i] < p->batch.tokens);
    for (uint32_t i = 0; i < k->offsets[k->count]; ++i) NM_ASSERT(k->rows[i] < rows);
    for (uint32_t g = 0; g < q->count; ++g) {
        const uint32_t queries = q->offsets[g + 1] - q->offsets[g], keys = k->offsets[g + 1] - k->offsets[g];
        NM_ASSERT(queries <= q->longest && keys <= k->longest);
        sum += (double)queries * keys;
    }
    return sum;
}

static void upload_lists(nm_pass *p, const nm_row_lists *lists, const uint32_t *offsets, const uint32_t *rows) {
    const nm_ops *ops = p->backend->ops;
    ops->upload_u32(p->backend, lists->offsets, (size_t)lists->count + 1, (uint32_t *)(uintptr_t)offsets);
    ops->upload_u32(p->backend, lists->rows, lists->offsets[lists->count], (uint32_t *)(uintptr_t)rows);
}

/// Rows [from, from + count) to `to` < from. An operation reads all that it writes, so pieces that do not overlap.
static void move_rows(nm_pass *p, uint32_t from, uint32_t to, uint32_t count) {
    const uint32_t most = from - to;
    for (uint32_t done = 0; done < count; done += most) {
        const uint32_t piece = count - done < most ? count - done : most;
        for (uint32_t i = 0; i < p->model->config.blocks; ++i)
            p->backend->ops->convert(p->backend, nm_tensor_rows(p->links.kept[i], from + done, piece),
                                     nm_tensor_rows(p->links.kept[i], to + done, piece));
    }
}

void nm_pass_pack_kept(nm_pass *p, const uint32_t *to, uint32_t rows) {
    NM_ASSERT(p->links.kept && rows <= p->links.capacity.kept);
    nm_pass_forget_recording(p);
    p->links.set = 0;
    for (uint32_t row = 0; row < rows;) {
        uint32_t end = row + 1;
        if (to[row] != UINT32_MAX) {
            while (end < rows && to[end] != UINT32_MAX && to[end] == to[row] + (end - row)) ++end;
            NM_ASSERT(to[row] <= row);
            if (to[row] < row) move_rows(p, row, to[row], end - row);
        }
        row = end;
    }
}

nm_status nm_pass_set_links(nm_pass *p, const nm_pass_links *links, nm_error *error) {
    nm_link_acts *l = &p->links;
    nm_pass_forget_recording(p);
    l->set = 0;
    const nm_status status = check_room(p, links, error);
    if (status != NM_OK) return status;
    l->pairs = count_pairs(p, links);
    l->groups.count = links->queries->count;
    l->groups.max_queries = links->queries->longest;
    l->groups.max_keys = links->keys->longest;
    upload_lists(p, links->queries, l->groups.query_offsets, l->groups.query_rows);
    upload_lists(p, links->keys, l->groups.key_offsets, l->groups.key_rows);
    l->first = links->first;
    l->set = 1;
    const float *position = links->position ? links->position : p->batch.position;
    if (p->model->config.rotary) p->backend->ops->upload(p->backend, position, p->position);
    nm_pass_upload_values(p, &p->time, links->time ? links->time : p->batch.time);
    nm_pass_embed(p, &p->time, &p->model->time);
    return p->backend->ops->synchronize(p->backend, error);
}
