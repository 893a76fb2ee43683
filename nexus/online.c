#include "nexus/online.h"

#include "base/arena.h"
#include "nexus/pass_denoiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct nm_online {
    nm_online_config config;
    nm_arena *arena;
    nm_window *window;
    nm_pass *pass;
    nm_pass_denoiser context;
    uint32_t length;     ///< H + W
    uint32_t conditions; ///< K
    int has_pose, polylines;
    int has_maps;
    uint32_t scene_count;
    uint32_t frame;   ///< next to execute
    uint64_t layout;  ///< of the sampler, that the pass has the tokens of
    int pass_is_late; ///< it has not

    // of rows, through slots: a row's number changes as others come and go, its slot does not
    uint32_t *slot, *slot_before, *free_slots; ///< [max_rows]
    uint32_t free_count;
    float *slot_condition, *slot_pose; ///< [max_rows][length][K], [max_rows][4]

    // maps, as they were set
    uint32_t *points;   ///< [max_scenes]
    uint32_t *owner;    ///< [max_points]
    uint8_t *map_valid; ///< [max_points]

    // for the pass
    nm_token_scene *scenes;  ///< [max_scenes]
    uint8_t *valid;          ///< [max_rows][length]
    uint32_t *map_agent;     ///< [max_points]
    float *condition, *pose; ///< [max_rows * length][K], [max_rows * length][4]

    // of a step
    float *actual;      ///< [max_rows][channels]
    nm_motion *motions; ///< [max_rows]
};

nm_online_config nm_online_config_default(void) {
    return (nm_online_config){.window = nm_window_config_default(),
                              .encoding = nm_state_encoding_published(),
                              .reuse = nm_reuse_config_default()};
}

// ---------------------------------------------------------------------------------------------------------------------
// Creation

static int allocate(nm_online *o) {
    nm_arena *a = o->arena;
    const size_t rows = o->config.window.max_rows, scenes = o->config.window.max_scenes, tokens = rows * o->length;
    const size_t points = o->config.max_points, channels = o->config.window.sampler.channels;
    return (o->slot = NM_ARENA_ARRAY(a, uint32_t, rows)) && (o->slot_before = NM_ARENA_ARRAY(a, uint32_t, rows)) &&
           (o->free_slots = NM_ARENA_ARRAY(a, uint32_t, rows)) &&
           (o->slot_condition = NM_ARENA_ARRAY(a, float, tokens * o->conditions)) &&
           (o->slot_pose = NM_ARENA_ARRAY(a, float, rows * 4)) && (o->points = NM_ARENA_ARRAY(a, uint32_t, scenes)) &&
           (o->owner = NM_ARENA_ARRAY(a, uint32_t, points)) && (o->map_valid = NM_ARENA_ARRAY(a, uint8_t, points)) &&
           (o->scenes = NM_ARENA_ARRAY(a, nm_token_scene, scenes)) && (o->valid = NM_ARENA_ARRAY(a, uint8_t, tokens)) &&
           (o->map_agent = NM_ARENA_ARRAY(a, uint32_t, points)) &&
           (o->condition = NM_ARENA_ARRAY(a, float, tokens * o->conditions)) &&
           (o->pose = NM_ARENA_ARRAY(a, float, tokens * 4)) && (o->actual = NM_ARENA_ARRAY(a, float, rows *channels)) &&
           (o->motions = NM_ARENA_ARRAY(a, nm_motion, rows));
}

static nm_status fill(nm_online *o, nm_model *model, nm_error *error) {
    const nm_model_config *shape = nm_model_get_config(model);
    nm_window_config *window = &o->config.window;
    window->sampler.channels = shape->channels;
    nm_status status = nm_window_create(window, &o->window, error); // checks the sizes that follow
    if (status) return status;
    o->length = window->history + window->future;
    o->conditions = shape->conditions;
    o->has_pose = nm_model_wants_poses(shape);
    o->polylines = shape->map_encoder == NM_MAP_POLYLINES;
    const nm_batch_capacity capacity = {window->max_scenes, window->max_rows * o->length, o->config.max_points};
    status = nm_pass_create(model, &capacity, 0, &o->pass, error);
    if (status) return status;
    o->arena = nm_arena_create(0);
    if (!o->arena || !allocate(o))
        return NM_ERROR(error, NM_E_MEMORY, "no memory for %u rows online", (unsigned)window->max_rows);
    o->context = (nm_pass_denoiser){
        .pass = o->pass, .condition = o->conditions ? o->condition : NULL, .pose = o->has_pose ? o->pose : NULL};
    return o->config.reuse.on ? nm_reuse_create(o->pass, &o->config.reuse, &o->context.reuse, error) : NM_OK;
}

nm_status nm_online_create(nm_model *model, const nm_online_config *config, nm_online **online, nm_error *error) {
    NM_ASSERT(model && config && online);
    *online = NULL;
    nm_online *o = calloc(1, sizeof *o);
    if (!o) return NM_ERROR(error, NM_E_MEMORY, "no memory to go online");
    o->config = *config;
    const nm_status status = fill(o, model, error);
    if (status)
        nm_online_destroy(o);
    else
        *online = o;
    return status;
}

void nm_online_destroy(nm_online *online) {
    if (!online) return;
    nm_reuse_destroy(online->context.reuse);
    nm_pass_destroy(online->pass);
    nm_window_destroy(online->window);
    nm_arena_destroy(online->arena);
    free(online);
}

const nm_window *nm_online_window(const nm_online *online) {
    return online->window;
}

// ---------------------------------------------------------------------------------------------------------------------
// What the pass is told

/// The scenes as the window has them, without map values, into o->scenes.
static void describe_scenes(nm_online *o) {
    const uint32_t rows = nm_window_rows(o->window);
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t p = 0; p < o->length; p++) {
            const int32_t frame = (int32_t)p - (int32_t)o->config.window.history;
            o->valid[(size_t)row * o->length + p] = nm_window_token(o->window, row, frame) != NM_TOKEN_NEW;
        }
    }
    uint32_t point = 0;
    for (uint32_t s = 0; s < o->scene_count; s++) {
        const uint32_t first = nm_window_first_row(o->window, s), end = nm_window_first_row(o->window, s + 1);
        o->scenes[s] = (nm_token_scene){.agents = end - first,
                                        .steps = o->length,
                                        .valid = o->valid + (size_t)first * o->length,
                                        .points = o->points[s],
                                        .map_valid = o->map_valid + point,
                                        .map_agent = o->polylines ? o->map_agent + point : NULL};
        for (uint32_t p = point; o->polylines && p < point + o->points[s]; p++) {
            const uint32_t row = nm_window_find(o->window, s, o->owner[p]);
            o->map_agent[p] = row == NM_TOKEN_NEW ? NM_NO_AGENT : row - first;
        }
        point += o->points[s];
    }
}

/// Conditions and poses in the order of tokens.
static void gather(nm_online *o) {
    const uint32_t rows = nm_window_rows(o->window), width = o->conditions;
    for (uint32_t row = 0; row < rows; row++) {
        const float *condition = o->slot_condition + (size_t)o->slot[row] * o->length * width;
        const float *pose = o->slot_pose + (size_t)o->slot[row] * 4;
        for (uint32_t p = 0; p < o->length; p++) {
            const int32_t frame = (int32_t)p - (int32_t)o->config.window.history;
            const uint32_t token = nm_window_token(o->window, row, frame);
            if (token == NM_TOKEN_NEW) continue;
            if (width) memcpy(o->condition + (size_t)token * width, condition + p * width, width * sizeof *condition);
            memcpy(o->pose + (size_t)token * 4, pose, 4 * sizeof *pose);
        }
    }
}

static uint64_t layout_of(const nm_online *o) {
    return nm_sampler_get(nm_window_sampler(o->window)).in.layout;
}

/// Makes the tokens of the pass those of the window.
static nm_status keep_up(nm_online *o, nm_error *error) {
    gather(o);
    if (!o->pass_is_late && o->layout == layout_of(o)) return NM_OK;
    describe_scenes(o);
    const nm_status status = nm_pass_set_tokens(o->pass, o->scenes, o->scene_count, error);
    o->pass_is_late = status != NM_OK;
    o->layout = layout_of(o);
    return status;
}

nm_status nm_online_set_maps(nm_online *online, const nm_online_map *maps, nm_error *error) {
    nm_online *o = online;
    uint64_t sum = 0;
    o->has_maps = 0;
    for (uint32_t s = 0; s < o->scene_count; s++) sum += maps[s].points;
    if (sum > o->config.max_points)
        return NM_ERROR(error, NM_E_LIMIT, "%llu map rows; online was made for %u", (unsigned long long)sum,
                        (unsigned)o->config.max_points);
    uint32_t point = 0;
    for (uint32_t s = 0; s < o->scene_count; s++) {
        o->points[s] = maps[s].points;
        for (uint32_t p = 0; p < maps[s].points; p++, point++) {
            o->map_valid[point] = !maps[s].map_valid || maps[s].map_valid[p];
            o->owner[point] = maps[s].owner ? maps[s].owner[p] : 0;
        }
    }
    describe_scenes(o);
    for (uint32_t s = 0; s < o->scene_count; s++) {
        o->scenes[s].map = maps[s].map;
        if (!maps[s].owner) o->scenes[s].map_agent = NULL; // refused where polylines need one
    }
    const nm_status status = nm_pass_set_scenes(o->pass, o->scenes, o->scene_count, error);
    o->has_maps = status == NM_OK;
    o->pass_is_late = 0;
    o->layout = layout_of(o);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Rows

nm_status nm_online_begin(nm_online *online, uint32_t scenes, const uint64_t *scene_key, const nm_online_map *maps,
                          uint32_t frame, nm_error *error) {
    nm_online *o = online;
    const nm_status status = nm_window_begin(o->window, scenes, scene_key, frame, error);
    if (status) return status;
    o->scene_count = scenes;
    o->frame = frame;
    o->free_count = o->config.window.max_rows;
    for (uint32_t i = 0; i < o->free_count; i++) o->free_slots[i] = o->free_count - 1 - i;
    return nm_online_set_maps(o, maps, error);
}

static void set_pose(nm_online *o, uint32_t slot, const float *pose) {
    if (o->has_pose) memcpy(o->slot_pose + (size_t)slot * 4, pose, 4 * sizeof *pose);
}

void nm_online_set_condition(nm_online *online, uint32_t row, const float *condition) {
    NM_ASSERT(row < nm_window_rows(online->window));
    const size_t size = (size_t)online->length * online->conditions;
    if (size) memcpy(online->slot_condition + online->slot[row] * size, condition, size * sizeof *condition);
}

nm_status nm_online_add(nm_online *online, const nm_window_row *rows, const float *condition, const float *pose,
                        uint32_t count, nm_error *error) {
    nm_online *o = online;
    NM_ASSERT(!count || ((!o->conditions || condition) && (!o->has_pose || pose)));
    memcpy(o->slot_before, o->slot, nm_window_rows(o->window) * sizeof *o->slot);
    const nm_status status = nm_window_add(o->window, rows, count, error);
    if (status) return status;
    const uint32_t row_count = nm_window_rows(o->window);
    for (uint32_t row = 0, old = 0; row < row_count; row++) { // those that were there kept their order
        uint32_t scene, id, i = 0;
        nm_window_row_at(o->window, row, &scene, &id);
        while (i < count && (rows[i].scene != scene || rows[i].id != id)) i++;
        NM_ASSERT(i == count || o->free_count > 0); // the window has room, and so have the slots
        o->slot[row] = i < count ? o->free_slots[--o->free_count] : o->slot_before[old++];
        if (i == count) continue;
        if (o->conditions) nm_online_set_condition(o, row, condition + (size_t)i * o->length * o->conditions);
        if (o->has_pose) set_pose(o, o->slot[row], pose + (size_t)i * 4);
    }
    return NM_OK;
}

nm_status nm_online_remove(nm_online *online, uint32_t row, nm_error *error) {
    nm_online *o = online;
    const uint32_t rows = nm_window_rows(o->window);
    const nm_status status = nm_window_remove(o->window, row, error);
    if (status) return status;
    o->free_slots[o->free_count++] = o->slot[row];
    memmove(o->slot + row, o->slot + row + 1, (rows - row - 1) * sizeof *o->slot);
    return NM_OK;
}

nm_status nm_online_overwrite(nm_online *online, uint32_t row, int32_t frame, const float *values, nm_error *error) {
    return nm_window_overwrite(online->window, row, frame, values, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Steps

static int is_alive(const nm_online_frame *happened, uint32_t row) {
    return !happened->alive || happened->alive[row];
}

/// Motions of all rows and what happened to them in the frames that they move to, into o->motions and o->actual.
static nm_status prepare(nm_online *o, const nm_online_frame *happened, nm_error *error) {
    const size_t channels = o->config.window.sampler.channels;
    const uint32_t rows = nm_window_rows(o->window), last = NM_NOISE_MAX_FRAME - (o->length - 1);
    nm_status status = NM_OK;
    if (o->frame >= last) // as nm_window_slide will find, when frames have moved
        return NM_ERROR(error, NM_E_ARGUMENT, "frame %u is the last that noise can tell apart", (unsigned)o->frame);
    if (happened->motions) status = nm_state_encoding_check_motion(&o->config.encoding, (uint32_t)channels, error);
    for (uint32_t row = 0; row < rows && !status; row++) {
        float *actual = o->actual + row * channels, sum = 0.0f;
        o->motions[row] = (nm_motion){.cos_h = 1.0};
        memset(actual, 0, channels * sizeof *actual);
        if (!is_alive(happened, row)) continue;
        if (happened->motions) {
            o->motions[row] = happened->motions[row];
            status = nm_motion_check(&o->motions[row], error);
        }
        if (!happened->actual || status) continue;
        memcpy(actual, happened->actual + row * channels, channels * sizeof *actual);
        if (happened->motions) nm_state_encoding_move(&o->config.encoding, &o->motions[row], 1.0, actual);
        for (size_t c = 0; c < channels; c++) sum += actual[c] * 0.0f;
        if (sum == 0.0f) continue;
        uint32_t scene, id;
        nm_window_row_at(o->window, row, &scene, &id);
        status = NM_ERROR(error, NM_E_NUMERIC, "the state of agent %u of scene %u is not finite", (unsigned)id,
                          (unsigned)scene);
    }
    return status;
}

/// Slots of the rows that stay; their conditions go one frame on.
static void slide_slots(nm_online *o, const nm_online_frame *happened, uint32_t rows) {
    const size_t width = o->conditions, rest = (size_t)(o->length - 1) * width;
    uint32_t made = 0;
    for (uint32_t row = 0; row < rows; row++) {
        const uint32_t slot = o->slot[row];
        if (!is_alive(happened, row)) {
            o->free_slots[o->free_count++] = slot;
            continue;
        }
        o->slot[made++] = slot;
        float *condition = o->slot_condition + slot * o->length * width;
        if (rest) memmove(condition, condition + width, rest * sizeof *condition); // the last one stays for the new
        if (happened->pose) set_pose(o, slot, happened->pose + (size_t)row * 4);
    }
}

/// A frame was popped, and this happened in it.
static nm_status slide(nm_online *o, const nm_online_frame *happened, nm_error *error) {
    const uint32_t rows = nm_window_rows(o->window);
    nm_status status = prepare(o, happened, error);
    if (!status && happened->motions) status = nm_window_reframe(o->window, &o->config.encoding, o->motions, error);
    if (!status) status = nm_window_slide(o->window, happened->actual ? o->actual : NULL, happened->alive, error);
    if (status) return status;
    slide_slots(o, happened, rows);
    o->frame++;
    return NM_OK;
}

nm_status nm_online_step(nm_online *online, const nm_online_frame *happened, nm_guide *guide, void *guide_context,
                         float *values, uint8_t *present, nm_error *error) {
    nm_online *o = online;
    const nm_online_frame nothing = {0};
    const nm_denoiser denoiser = nm_denoiser_of_pass(&o->context);
    nm_status status = NM_OK;
    if (!o->has_maps) return NM_ERROR(error, NM_E_ARGUMENT, "no maps: they were not set, or refused");
    if (nm_window_ready(o->window)) status = slide(o, happened ? happened : &nothing, error);
    if (!status) status = keep_up(o, error);
    while (!status && !nm_window_ready(o->window))
        status = nm_window_pass(o->window, &denoiser, guide, guide_context, error);
    if (!status) nm_window_frame(o->window, values, present);
    return status;
}
