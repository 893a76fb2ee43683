#include "nexus/guidance_cuda.h"

#include "nexus/guidance_private.h"
#include "nexus/ops/cuda/guidance.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 256u ///< of what device memory is cut into

/// A map on the device; shared by all scenes whose map has the same content.
typedef struct map_copy {
    uint64_t hash;
    void *memory;
    nm_cuda_guide_map device;
} map_copy;

struct nm_guidance_cuda {
    nm_backend *backend;
    nm_guidance *links; ///< scenes, adversaries, and the links between tokens, on the host
    uint32_t max_channels;
    uint64_t link_count;         ///< of the links on the device
    int encounters_are_new;      ///< those on the device are not of these adversaries
    nm_cuda_guide guide;         ///< what the kernels get
    void *memory, *met;          ///< device: all but maps and encounters; encounters
    uint32_t *group;             ///< [states] host, on its way to the device
    nm_cuda_guide_token *tokens; ///< [max_tokens] likewise
    nm_cuda_guide_encounter *encounters;
    uint32_t encounter_room;

    map_copy *copies;
    uint32_t copy_count, copy_room;
    uint32_t *map_of; ///< [scenes] index of the copy, or NM_NONE
    uint32_t scene_room;
    void *maps; ///< device: [map_room] nm_cuda_guide_map
    uint32_t map_room;

    // on the device
    float *x0, *level; ///< of nm_guidance_cuda_apply
    uint32_t *previous, *next, *group_offsets, *group_tokens, *foe, *group_on_device;
    nm_cuda_guide_token *tokens_on_device;
};

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "no memory for guidance on the GPU");
}

/// `bytes` is a multiple of 4, as every struct here is.
static void send(const nm_guidance_cuda *g, const void *from, size_t bytes, void *to) {
    NM_ASSERT(bytes % sizeof(uint32_t) == 0);
    g->backend->ops->upload_u32(g->backend, from, bytes / sizeof(uint32_t), to);
}

// ---------------------------------------------------------------------------------------------------------------------
// Creation

/// Cuts a block: the first time round, from no block, it only measures.
typedef struct cutter {
    char *block;
    size_t used;
} cutter;

static void *cut(cutter *c, size_t count, size_t size) {
    void *piece = c->block ? c->block + c->used : NULL;
    c->used += (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return piece;
}

static void cut_memory(nm_guidance_cuda *g, cutter *c) {
    nm_cuda_guide *d = &g->guide;
    const size_t tokens = d->config.max_tokens, states = tokens * d->config.encoding.states;
    for (int f = 0; f < NM_GUIDE_STATES; f++) {
        d->view.state[f] = cut(c, states, sizeof(double));
        d->sum[f] = cut(c, states, sizeof(double));
        d->term[f] = cut(c, states, sizeof(double));
    }
    double **const numbers[] = {&d->length,   &d->width,    &d->lane_x,   &d->lane_y,
                                &d->lane_cos, &d->lane_sin, &d->lane_half};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) *numbers[i] = cut(c, states, sizeof(double));
    uint8_t **const flags[] = {&d->fixed, &d->clean, &d->on_lane, &d->touched};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) *flags[i] = cut(c, states, 1);
    uint32_t **const indices[] = {&g->previous, &g->next, &g->group_tokens, &g->foe, &g->group_on_device};
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) *indices[i] = cut(c, states, sizeof(uint32_t));
    g->group_offsets = cut(c, states + 1, sizeof(uint32_t));
    g->tokens_on_device = cut(c, tokens, sizeof *g->tokens_on_device);
    g->x0 = cut(c, tokens * g->max_channels, sizeof(float));
    g->level = cut(c, tokens, sizeof(float));
}

static void set_constants(nm_guidance_cuda *g) {
    nm_cuda_guide *d = &g->guide;
    nm_guide_view *v = &d->view;
    v->dt = g->links->view.dt;
    v->length = d->length;
    v->width = d->width;
    v->previous = g->previous;
    v->next = g->next;
    v->group_offsets = g->group_offsets;
    v->group_tokens = g->group_tokens;
    v->foe = g->foe;
    v->fixed = d->fixed;
    v->on_lane = d->on_lane;
    v->lane_x = d->lane_x;
    v->lane_y = d->lane_y;
    v->lane_cos = d->lane_cos;
    v->lane_sin = d->lane_sin;
    v->lane_half = d->lane_half;
    d->group = g->group_on_device;
    d->tokens = g->tokens_on_device;
}

static nm_status allocate(nm_guidance_cuda *g, nm_error *error) {
    const size_t tokens = g->guide.config.max_tokens, states = tokens * g->guide.config.encoding.states;
    cutter c = {NULL, 0};
    cut_memory(g, &c);
    g->memory = g->backend->ops->allocate(g->backend, c.used);
    g->group = malloc(states * sizeof *g->group);
    g->tokens = malloc(tokens * sizeof *g->tokens);
    if (!g->memory || !g->group || !g->tokens) return no_memory(error);
    c = (cutter){g->memory, 0};
    cut_memory(g, &c);
    set_constants(g);
    return NM_OK;
}

nm_status nm_guidance_cuda_create(nm_backend *backend, const nm_guidance_config *config, uint32_t max_channels,
                                  nm_guidance_cuda **guidance, nm_error *error) {
    NM_ASSERT(backend && config && guidance);
    *guidance = NULL;
    if (!nm_cuda_made(backend))
        return NM_ERROR(error, NM_E_UNSUPPORTED, "guidance on a GPU takes a CUDA backend, not %s", backend->name);
    if (config->ahead != NM_GUIDANCE_NO_LIMIT)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "guidance on a GPU guides everything: ahead must have no limit");
    nm_guidance *links;
    nm_status status = nm_guidance_create_part(config, 1, &links, error);
    if (status) return status;
    if (!nm_guidance_fits(config, max_channels)) {
        nm_guidance_destroy(links);
        return NM_ERROR(error, NM_E_ARGUMENT, "guidance: the encoding has more channels than %u",
                        (unsigned)max_channels);
    }
    nm_guidance_cuda *g = calloc(1, sizeof *g);
    if (!g) {
        nm_guidance_destroy(links);
        return no_memory(error);
    }
    g->backend = backend;
    g->links = links;
    g->max_channels = max_channels;
    g->encounters_are_new = 1;
    g->guide.config = *config;
    status = allocate(g, error);
    if (status)
        nm_guidance_cuda_destroy(g);
    else
        *guidance = g;
    return status;
}

void nm_guidance_cuda_destroy(nm_guidance_cuda *g) {
    if (!g) return;
    const nm_ops *ops = g->backend->ops;
    for (uint32_t i = 0; i < g->copy_count; i++) ops->release(g->backend, g->copies[i].memory);
    void *const on_device[] = {g->memory, g->met, g->maps};
    for (size_t i = 0; i < sizeof on_device / sizeof *on_device; i++) ops->release(g->backend, on_device[i]);
    free(g->group);
    free(g->tokens);
    free(g->encounters);
    free(g->copies);
    free(g->map_of);
    nm_guidance_destroy(g->links);
    free(g);
}

// ---------------------------------------------------------------------------------------------------------------------
// Maps

/// Grows `*array` to hold `count`; 0 when there is no memory.
static int grow(void **array, uint32_t *room, uint32_t count, size_t size) {
    if (count <= *room) return 1;
    void *larger = realloc(*array, count * size);
    if (!larger) return 0;
    *array = larger;
    *room = count;
    return 1;
}
/// The same on the device; what was there is lost.
static int grow_on_device(nm_guidance_cuda *g, void **array, uint32_t count, size_t size) {
    void *larger = g->backend->ops->allocate(g->backend, count * size);
    if (!larger) return 0;
    g->backend->ops->release(g->backend, *array);
    *array = larger;
    return 1;
}

/// One array of a map on its way: where it is, and the pointer that shall lead to it.
typedef struct map_array {
    const void *from;
    size_t bytes;
    void *to;
} map_array;

static int copy_map(nm_guidance_cuda *g, const nm_map *map, map_copy *copy) {
    nm_cuda_guide_map *m = &copy->device;
    memset(copy, 0, sizeof *copy);
    copy->hash = map->hash;
    const nm_map_grid *grid = map->grid;
    const size_t points = map->point_count, cells = grid ? (size_t)grid->rows * (size_t)grid->columns : 0;
    map_array arrays[] = {{map->lanes, map->lane_count * sizeof *map->lanes, NULL},
                          {map->centre, points * sizeof *map->centre, NULL},
                          {map->left, points * sizeof *map->left, NULL},
                          {map->right, points * sizeof *map->right, NULL},
                          {map->point_s, points * sizeof *map->point_s, NULL},
                          {nm_map_lane_bounds(map), map->lane_count * sizeof(nm_bounds), NULL},
                          {grid ? grid->start : NULL, grid ? (cells + 1) * sizeof *grid->start : 0, NULL},
                          {grid ? grid->spans : NULL, grid ? grid->start[cells] * sizeof *grid->spans : 0, NULL}};
    enum { ARRAYS = sizeof arrays / sizeof *arrays };
    cutter c = {NULL, 0};
    for (int i = 0; i < ARRAYS; i++) cut(&c, arrays[i].bytes, 1);
    c = (cutter){g->backend->ops->allocate(g->backend, c.used), 0};
    if (!c.block) return 0;
    copy->memory = c.block;
    for (int i = 0; i < ARRAYS; i++) {
        arrays[i].to = cut(&c, arrays[i].bytes, 1);
        if (arrays[i].bytes) send(g, arrays[i].from, arrays[i].bytes, arrays[i].to);
    }
    m->map.lane_count = map->lane_count;
    m->map.point_count = map->point_count;
    m->map.lanes = arrays[0].to;
    m->map.centre = arrays[1].to;
    m->map.left = arrays[2].to;
    m->map.right = arrays[3].to;
    m->map.point_s = arrays[4].to;
    m->bounds = arrays[5].to;
    if (!grid) return 1;
    m->grid = (nm_map_grid){.origin = grid->origin,
                            .size = grid->size,
                            .inverse = grid->inverse,
                            .columns = grid->columns,
                            .rows = grid->rows,
                            .start = arrays[6].to,
                            .spans = arrays[7].to};
    return 1;
}

static uint32_t find_copy(const nm_guidance_cuda *g, uint64_t hash) {
    for (uint32_t i = 0; i < g->copy_count; i++) {
        if (g->copies[i].hash == hash) return i;
    }
    return NM_NONE;
}

/// Keeps the copies that the scenes want.
static void drop_copies(nm_guidance_cuda *g, const nm_guided_scene *scenes, uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->copy_count; i++) {
        uint32_t s = 0;
        while (s < count && !(scenes[s].map && scenes[s].map->hash == g->copies[i].hash)) s++;
        if (s < count)
            g->copies[kept++] = g->copies[i];
        else
            g->backend->ops->release(g->backend, g->copies[i].memory);
    }
    g->copy_count = kept;
}

static nm_status copy_maps(nm_guidance_cuda *g, const nm_guided_scene *scenes, uint32_t count, nm_error *error) {
    void *map_of = g->map_of, *copies = g->copies;
    const int fits = grow(&map_of, &g->scene_room, count, sizeof *g->map_of);
    g->map_of = map_of;
    if (!fits) return no_memory(error);
    for (uint32_t s = 0; s < count; s++) {
        const nm_map *map = scenes[s].map;
        g->map_of[s] = map ? find_copy(g, map->hash) : NM_NONE;
        if (!map || g->map_of[s] != NM_NONE) continue;
        const nm_status status = nm_map_prepare(map, error);
        if (status) return status;
        const int room = g->copy_count < g->copy_room ||
                         grow(&copies, &g->copy_room, g->copy_count + 1 + g->copy_count / 2, sizeof *g->copies);
        g->copies = copies;
        if (!room || !copy_map(g, map, &g->copies[g->copy_count])) return no_memory(error);
        g->map_of[s] = g->copy_count++;
    }
    if (g->copy_count > g->map_room) {
        if (!grow_on_device(g, &g->maps, g->copy_count, sizeof(nm_cuda_guide_map))) return no_memory(error);
        g->map_room = g->copy_count;
    }
    g->guide.maps = g->maps;
    for (uint32_t i = 0; i < g->copy_count; i++) {
        send(g, &g->copies[i].device, sizeof g->copies[i].device, (nm_cuda_guide_map *)g->maps + i);
    }
    return NM_OK;
}

nm_status nm_guidance_cuda_set_scenes(nm_guidance_cuda *g, const nm_guided_scene *scenes, uint32_t count,
                                      nm_error *error) {
    drop_copies(g, scenes, count);
    const nm_status status = copy_maps(g, scenes, count, error);
    nm_guidance_set_scenes(g->links, status ? NULL : scenes, status ? 0 : count);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Links

nm_status nm_guidance_cuda_set_adversaries(nm_guidance_cuda *g, const nm_adversary *adversaries, uint32_t count,
                                           nm_error *error) {
    const nm_adversary *before = g->links->adversaries;
    const uint32_t count_before = g->links->adversary_count;
    const nm_status status = nm_guidance_set_adversaries(g->links, adversaries, count, error);
    if (status) return status;
    if (count > g->encounter_room) {
        void *encounters = g->encounters;
        uint32_t room = g->encounter_room;
        const int fits = grow(&encounters, &room, count, sizeof *g->encounters);
        g->encounters = encounters;
        if (!fits || !grow_on_device(g, &g->met, count, sizeof *g->encounters)) {
            nm_guidance_set_adversaries(g->links, before, count_before, NULL);
            return no_memory(error);
        }
        g->encounter_room = room;
    }
    g->encounters_are_new = 1;
    return NM_OK;
}

static nm_status find_encounters(nm_guidance_cuda *g, const nm_denoise_input *in, nm_error *error) {
    const nm_guidance *links = g->links;
    const uint32_t count = g->guide.config.adversarial > 0.0f ? links->adversary_count : 0;
    for (uint32_t i = 0; i < count; i++) {
        nm_cuda_guide_encounter *e = &g->encounters[i];
        const nm_status status = nm_guidance_find_encounter(links, in, &links->adversaries[i], &e->encounter, error);
        if (status) return status;
        uint32_t last = i; // of the same path
        while (last > 0 && g->encounters[last - 1].encounter.first != e->encounter.first) last--;
        e->leads = last == 0;
        e->then = NM_NONE;
        if (last > 0) g->encounters[last - 1].then = i;
    }
    g->guide.encounters = g->met;
    g->guide.encounter_count = count;
    return NM_OK;
}

static void send_links(nm_guidance_cuda *g, const nm_denoise_input *in) {
    const nm_guidance *links = g->links;
    const size_t states = links->view.count;
    for (uint32_t i = 0; i < links->view.group_count; i++) {
        for (uint32_t k = links->group_offsets[i]; k < links->group_offsets[i + 1]; k++)
            g->group[links->group_tokens[k]] = i;
    }
    for (uint32_t n = 0; n < in->count; n++) {
        const nm_guided_agent *who = links->who[n];
        g->tokens[n] = (nm_cuda_guide_token){.pose = who->pose,
                                             .length = who->length,
                                             .width = who->width,
                                             .lane_mask = who->lane_mask,
                                             .map = g->map_of[in->scene[n]]};
    }
    send(g, links->previous, states * sizeof(uint32_t), g->previous);
    send(g, links->next, states * sizeof(uint32_t), g->next);
    send(g, links->group_offsets, (links->view.group_count + 1) * sizeof(uint32_t), g->group_offsets);
    send(g, links->group_tokens, states * sizeof(uint32_t), g->group_tokens);
    send(g, g->group, states * sizeof(uint32_t), g->group_on_device);
    send(g, g->tokens, in->count * sizeof *g->tokens, g->tokens_on_device);
    g->guide.view.count = links->view.count;
    g->guide.view.group_count = links->view.group_count;
}

nm_status nm_guidance_cuda_link(nm_guidance_cuda *g, const nm_denoise_input *in, nm_error *error) {
    if (nm_guidance_idle(&g->guide.config)) return NM_OK;
    nm_status status = nm_guidance_link(g->links, in, error);
    if (!status && g->link_count == g->links->link_count && !g->encounters_are_new) return NM_OK;
    if (!status) status = nm_guidance_mark_foes(g->links, in, error);
    if (!status) status = find_encounters(g, in, error);
    if (status) return status;
    if (g->link_count != g->links->link_count) send_links(g, in);
    send(g, g->links->foe, g->links->view.count * sizeof(uint32_t), g->foe);
    send(g, g->encounters, g->guide.encounter_count * sizeof *g->encounters, g->met);
    g->guide.descent = nm_guidance_descent(g->links);
    g->link_count = g->links->link_count;
    g->encounters_are_new = 0;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// A pass

void nm_guidance_cuda_run(nm_guidance_cuda *g, nm_tensor level, nm_tensor x0) {
    nm_cuda_guide *d = &g->guide;
    if (nm_guidance_idle(&d->config)) return;
    const uint32_t count = d->view.count / d->config.encoding.states;
    NM_ASSERT(level.dtype == NM_F32 && level.rows == count && level.cols == 1);
    NM_ASSERT(x0.dtype == NM_F32 && x0.rows == count && x0.stride >= x0.cols);
    NM_ASSERT(nm_guidance_fits(&d->config, x0.cols));
    d->level = level.data;
    d->level_stride = level.stride;
    d->x0 = x0.data;
    d->x0_stride = x0.stride;
    nm_cuda_guide_pass(g->backend, d);
}

nm_status nm_guidance_cuda_apply(void *guidance, const nm_denoise_input *in, float *x0, nm_error *error) {
    nm_guidance_cuda *g = guidance;
    if (nm_guidance_idle(&g->guide.config)) return NM_OK;
    NM_ASSERT(in->channels <= g->max_channels);
    const nm_status status = nm_guidance_cuda_link(g, in, error);
    if (status) return status;
    const nm_ops *ops = g->backend->ops;
    const nm_tensor tokens = {g->x0, in->count, in->channels, in->channels, NM_F32};
    const nm_tensor level = {g->level, in->count, 1, 1, NM_F32};
    ops->upload(g->backend, x0, tokens);
    ops->upload(g->backend, in->level, level);
    nm_guidance_cuda_run(g, level, tokens);
    ops->download(g->backend, tokens, x0);
    return ops->synchronize(g->backend, error);
}
