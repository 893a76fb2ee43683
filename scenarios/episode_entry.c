#include "scenarios/episode_entry.h"

#include <stdlib.h>

#include "sim/math.h"
#include "sim/metrics/criticality.h"
#include "sim/recording.h"

#define ROOM 2.0f         // m
#define CLOSING_TIME 0.5f // s

static int there(const nm_scene *scene, uint32_t track, uint32_t step) {
    return step < scene->step_count && scene->valid[nm_scene_at(scene, track, step)];
}

static int was_there(const nm_scene *driven, uint32_t track, uint32_t start, uint32_t now) {
    for (uint32_t step = start; step <= now; ++step)
        if (there(driven, track, step)) return 1;
    return 0;
}

static int has_room_beside(const nm_box *mine, const nm_scene *scene, uint32_t track, uint32_t now) {
    nm_box other;
    if (!nm_scene_box(scene, track, now, &other)) return 1;
    const float closing = nm_hypotf(other.vx - mine->vx, other.vy - mine->vy);
    return nm_box_distance(mine, &other) > ROOM + CLOSING_TIME * closing;
}

/// Beside everybody that was driven, and those let in before.
static int has_room(const nm_scene *recorded, const nm_scene *driven, const uint8_t *let_in, uint32_t track,
                    uint32_t now) {
    nm_box mine;
    if (!nm_scene_box(recorded, track, now, &mine)) return 0;
    for (uint32_t other = 0; other < recorded->track_count; ++other)
        if (other != track && !has_room_beside(&mine, let_in[other] ? recorded : driven, other, now)) return 0;
    return 1;
}

static uint32_t choose(const nm_scene *recorded, const nm_scene *driven, uint32_t start, uint32_t now,
                       uint8_t *let_in) {
    uint32_t count = 0;
    for (uint32_t track = 0; track < recorded->track_count; ++track) {
        if (!there(recorded, track, now) || was_there(driven, track, start, now)) continue;
        let_in[track] = (uint8_t)has_room(recorded, driven, let_in, track, now);
        count += let_in[track];
    }
    return count;
}

static nm_status rebuild(nm_scene_builder *builder, const nm_scene *recorded, const uint8_t *let_in, uint32_t start,
                         uint32_t now, const nm_scene **driven, nm_error *error) {
    const nm_scene *made = NULL;
    nm_status status = nm_recording_begin(builder, *driven, now + 1, now + 1, error);
    for (uint32_t track = 0; status == NM_OK && track < recorded->track_count; ++track)
        if (let_in[track]) {
            nm_state state;
            nm_scene_get_state(recorded, track, now, &state);
            status = nm_scene_builder_add_local_state(builder, track, now, &state, error);
        }
    for (uint32_t step = start; status == NM_OK && step <= now; ++step)
        for (uint32_t signal = 0; status == NM_OK && signal < recorded->map->signal_count; ++signal)
            status = nm_scene_builder_set_signal(builder, signal, step, nm_scene_signal(recorded, signal, step), error);
    if (status == NM_OK) {
        nm_scene_builder_set_current(builder, (*driven)->current_step, recorded->ego);
        status = nm_scene_builder_build(builder, &made, error);
    }
    nm_scene_builder_reset(builder);
    nm_scene_destroy(*driven);
    *driven = made;
    return status;
}

nm_status nm_episode_let_in(nm_scene_builder *builder, const nm_scene *recorded, uint32_t start, uint32_t now,
                            const nm_scene **driven, nm_error *error) {
    NM_ASSERT((*driven)->track_count == recorded->track_count);
    uint8_t *let_in = calloc((size_t)recorded->track_count + 1, 1);
    nm_status status = NM_OK;
    if (!let_in) {
        nm_scene_destroy(*driven);
        *driven = NULL;
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for an episode");
    }
    if (choose(recorded, *driven, start, now, let_in))
        status = rebuild(builder, recorded, let_in, start, now, driven, error);
    free(let_in);
    return status;
}
