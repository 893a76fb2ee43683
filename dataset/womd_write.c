/// Scenes as WOMD Scenario records. The message goes straight into bytes: fields in the order of their numbers, as
/// protobuf's libraries write them.
#include <stdlib.h>

#include "dataset/protobuf_out.h"
#include "dataset/womd_choice.h"
#include "dataset/womd_write.h"

#define VALID_BYTES 59u // of an ObjectState: three doubles, six floats, the flag, and their tags
#define KEEP_MEMORY ((size_t)64 << 20)

typedef struct writer {
    nm_arena *arena;
    nm_womd_map_cache maps;
} writer;

static void *create(void) {
    writer *w = calloc(1, sizeof *w);
    if (w) w->arena = nm_arena_create(0);
    if (w && w->arena) return w;
    free(w);
    return NULL;
}

static void destroy(void *work) {
    writer *w = work;
    nm_womd_map_cache_free(&w->maps);
    nm_arena_destroy(w->arena);
    free(w);
}

// --- tracks ----------------------------------------------------------------------------------------------------------

static uint8_t *put_state(uint8_t *at, const nm_scene *scene, const nm_track *track, size_t i) {
    const nm_point3 *o = &scene->map->origin;
    const int sized = scene->state_length && scene->state_length[i] > 0.0f;
    *at++ = 3 << 3 | NM_PB_BYTES;
    *at++ = VALID_BYTES;
    *at++ = 2 << 3 | NM_PB_64;
    at = nm_pb_store_double(at, o->x + (double)scene->x[i]);
    *at++ = 3 << 3 | NM_PB_64;
    at = nm_pb_store_double(at, o->y + (double)scene->y[i]);
    *at++ = 4 << 3 | NM_PB_64;
    at = nm_pb_store_double(at, o->z + (double)scene->z[i]);
    *at++ = 5 << 3 | NM_PB_32;
    at = nm_pb_store_float(at, sized ? scene->state_length[i] : track->length);
    *at++ = 6 << 3 | NM_PB_32;
    at = nm_pb_store_float(at, sized ? scene->state_width[i] : track->width);
    *at++ = 7 << 3 | NM_PB_32;
    at = nm_pb_store_float(at, sized ? scene->state_height[i] : track->height);
    *at++ = 8 << 3 | NM_PB_32;
    at = nm_pb_store_float(at, scene->heading[i]);
    *at++ = 9 << 3 | NM_PB_32;
    at = nm_pb_store_float(at, scene->vx[i]);
    *at++ = 10 << 3 | NM_PB_32;
    at = nm_pb_store_float(at, scene->vy[i]);
    *at++ = 11 << 3 | NM_PB_VARINT;
    *at++ = 1;
    return at;
}

static uint8_t *put_no_state(uint8_t *at) {
    *at++ = 3 << 3 | NM_PB_BYTES;
    *at++ = 2;
    *at++ = 11 << 3 | NM_PB_VARINT;
    *at++ = 0;
    return at;
}

static void put_track(const nm_womd_choice *c, uint32_t place, nm_byte_buffer *out) {
    const nm_scene *scene = c->scene;
    const nm_track *track = &scene->tracks[c->tracks[place]];
    const size_t row = nm_scene_at(scene, c->tracks[place], 0);
    uint32_t steps = scene->step_count - c->first, valid = 0;
    if (steps > NM_WOMD_STEPS) steps = NM_WOMD_STEPS;
    for (uint32_t t = 0; t < steps; t++) valid += scene->valid[row + c->first + t] != 0;
    const uint32_t id = (uint32_t)c->ids[place];
    const size_t size =
        1 + nm_pb_varint_size(id) + 2 + (size_t)valid * (VALID_BYTES + 2) + (size_t)(NM_WOMD_STEPS - valid) * 4;
    uint8_t *at = nm_byte_buffer_grow(out, 1 + nm_pb_varint_size(size) + size);
    if (!at) return;
    *at++ = 2 << 3 | NM_PB_BYTES;
    at = nm_pb_store_varint(at, size);
    *at++ = 1 << 3 | NM_PB_VARINT;
    at = nm_pb_store_varint(at, id);
    *at++ = 2 << 3 | NM_PB_VARINT;
    *at++ = (uint8_t)nm_womd_object_type(track->type);
    for (uint32_t t = 0; t < NM_WOMD_STEPS; t++) {
        const size_t i = row + c->first + t;
        at = t < steps && scene->valid[i] ? put_state(at, scene, track, i) : put_no_state(at);
    }
}

// --- time and signals ------------------------------------------------------------------------------------------------

static void put_times(const nm_womd_choice *c, nm_byte_buffer *out) {
    double times[NM_WOMD_STEPS];
    nm_womd_times(c, times);
    for (uint32_t step = 0; step < NM_WOMD_STEPS; step++) nm_pb_double(out, 1, times[step]);
}

/// WOMD knows all states but the last.
static uint8_t state_at(const nm_womd_choice *c, const nm_womd_light *light, uint32_t step) {
    const nm_signal_state state = nm_scene_signal(c->scene, light->signal, c->first + step);
    return (uint8_t)(state < NM_SIGNAL_OFF ? state : NM_SIGNAL_UNKNOWN);
}

/// The signals at one step: the same bytes for each, but for the states.
static void put_signals(const nm_womd_choice *c, const nm_womd_map_bytes *map, nm_byte_buffer *out) {
    const size_t first = nm_pb_begin(out, 7);
    for (uint32_t i = 0; i < map->light_count; i++) {
        const nm_womd_light *light = &map->lights[i];
        const size_t at = nm_pb_begin(out, 1);
        nm_pb_int(out, 1, light->lane);
        nm_pb_int(out, 2, state_at(c, light, 0));
        uint8_t *point = light->placed ? nm_byte_buffer_grow(out, NM_WOMD_POINT_BYTES) : NULL;
        if (point) nm_womd_put_point(point, 3, light->x, light->y, light->z);
        nm_pb_end(out, at);
    }
    nm_pb_end(out, first);
}

/// Where the state of a light stands behind the start of its message, tag and length included.
static size_t light_bytes(const nm_womd_light *light, size_t *state) {
    const size_t lane = nm_pb_varint_size((uint64_t)light->lane);
    *state = 2 + 1 + lane + 1;
    return 2 + 1 + lane + 2 + (light->placed ? NM_WOMD_POINT_BYTES : 0);
}

static void put_all_signals(const nm_womd_choice *c, const nm_womd_map_bytes *map, nm_byte_buffer *out) {
    const size_t start = out->size;
    put_signals(c, map, out);
    const size_t size = out->size - start;
    uint8_t *at = nm_byte_buffer_grow(out, size * (NM_WOMD_STEPS - 1));
    if (!at) return;
    size_t content = 0, offset;
    for (uint32_t i = 0; i < map->light_count; i++) content += light_bytes(&map->lights[i], &offset);
    for (uint32_t step = 1; step < NM_WOMD_STEPS; step++, at += size) {
        memcpy(at, out->bytes + start, size);
        uint8_t *light = at + size - content;
        for (uint32_t i = 0; i < map->light_count; i++) {
            const size_t bytes = light_bytes(&map->lights[i], &offset);
            light[offset] = state_at(c, &map->lights[i], step);
            light += bytes;
        }
    }
}

// --- the record ------------------------------------------------------------------------------------------------------

static void put_scenario(const nm_export_item *item, const nm_womd_choice *c, const nm_womd_map_bytes *map,
                         nm_byte_buffer *out) {
    char id[NM_WOMD_ID];
    put_times(c, out);
    for (uint32_t i = 0; i < c->track_count; i++) put_track(c, i, out);
    for (uint32_t i = 0; i < c->interest_count; i++) nm_pb_int(out, 4, c->ids[c->interest[i]]);
    nm_womd_scenario_id(item, id);
    nm_pb_bytes(out, 5, id, strlen(id));
    nm_pb_int(out, 6, c->ego);
    put_all_signals(c, map, out);
    nm_byte_buffer_put(out, map->features.bytes, map->features.size);
    nm_pb_int(out, 10, NM_WOMD_NOW);
    for (uint32_t i = 0; i < c->predict_count; i++) {
        const unsigned difficulty = c->scene->tracks[c->tracks[c->predict[i]]].difficulty;
        const size_t at = nm_pb_begin(out, 11);
        nm_pb_int(out, 1, c->predict[i]);
        nm_pb_int(out, 2, difficulty <= 2 ? difficulty : 0);
        nm_pb_end(out, at);
    }
}

static nm_status encode(void *work, const nm_export_item *item, nm_encoded *out, nm_error *error) {
    writer *w = work;
    nm_womd_choice choice;
    if (nm_arena_used(w->arena) > KEEP_MEMORY) {
        nm_arena_destroy(w->arena);
        w->arena = nm_arena_create(0);
        if (!w->arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    }
    nm_arena_reset(w->arena);
    nm_status status = nm_womd_choose(item, w->arena, &choice, error);
    if (status == NM_OK) {
        const nm_womd_map_bytes *map = nm_womd_map_write(&w->maps, choice.scene->map, w->arena);
        if (map)
            put_scenario(item, &choice, map, &out->main);
        else
            status = NM_ERROR(error, NM_E_MEMORY, "out of memory for the map");
    }
    nm_womd_choice_release(&choice);
    return status;
}

const nm_encoder nm_encoder_womd = {.format = NM_EXPORT_WOMD,
                                    .layout = NM_ENCODER_RECORDS,
                                    .extension = ".tfrecord",
                                    .windows = nm_womd_windows,
                                    .window_holds = nm_womd_window_holds,
                                    .create = create,
                                    .destroy = destroy,
                                    .encode = encode};
