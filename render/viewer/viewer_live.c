/// The live run: a world, and arrays in the shape of a scene that its steps are written to.
///
/// An nm_scene is constant for everybody else, and so is what it points to up to `now`; only this file writes behind
/// that. A rollout that builds a scene anew after each step would cost O(steps) a step.
#include "render/viewer/viewer_live.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES ((size_t)1 << 30)
enum { PLANES = 6 };

struct nm_viewer_live {
    const nm_scene *start;     ///< the world's
    const nm_scene *resampled; ///< owned, or NULL
    nm_world *world;
    nm_scene scene; ///< over the arrays below
    nm_track *tracks;
    uint8_t *valid, *signals;
    float *plane[PLANES]; ///< x, y, z, heading, vx, vy
    uint32_t now;
};

static nm_status allocate(nm_viewer_live *live, uint32_t steps, nm_error *error) {
    const nm_scene *from = live->start;
    const size_t states = (size_t)from->track_count * steps, signals = (size_t)from->map->signal_count * steps;
    if (states > MOST_BYTES / 25 || signals > MOST_BYTES)
        return NM_ERROR(error, NM_E_LIMIT, "%u tracks for %u steps take over 1 GiB", from->track_count, steps);
    live->tracks = malloc((from->track_count + 1u) * sizeof *live->tracks);
    live->valid = calloc(states + 1, 1);
    live->signals = calloc(signals + 1, 1);
    int good = live->tracks && live->valid && live->signals;
    for (int i = 0; i < PLANES; i++) {
        live->plane[i] = calloc(states + 1, sizeof(float));
        good = good && live->plane[i];
    }
    return good ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for a live run");
}

/// States up to and with the start. Sizes that vary over time are left out: the world knows one size an agent.
static void copy_history(nm_viewer_live *live, uint32_t start_step) {
    const nm_scene *from = live->start;
    const float *planes[PLANES] = {from->x, from->y, from->z, from->heading, from->vx, from->vy};
    for (uint32_t track = 0; track < from->track_count; track++) {
        nm_track *t = &live->tracks[track];
        *t = from->tracks[track];
        t->first_step = NM_NONE;
        t->last_step = 0;
        for (uint32_t step = 0; step < start_step; step++) {
            const size_t in = nm_scene_at(from, track, step), out = nm_scene_at(&live->scene, track, step);
            live->valid[out] = from->valid[in];
            for (int i = 0; i < PLANES; i++) live->plane[i][out] = planes[i][in];
            if (!from->valid[in]) continue;
            if (t->first_step == NM_NONE) t->first_step = step;
            t->last_step = step;
        }
    }
}

static void fill_scene(nm_viewer_live *live, uint32_t start_step, uint32_t steps) {
    nm_scene *scene = &live->scene;
    *scene = *live->start;
    scene->step_count = steps;
    scene->current_step = start_step;
    scene->tracks = live->tracks;
    scene->valid = live->valid;
    scene->x = live->plane[0];
    scene->y = live->plane[1];
    scene->z = live->plane[2];
    scene->heading = live->plane[3];
    scene->vx = live->plane[4];
    scene->vy = live->plane[5];
    scene->state_length = scene->state_width = scene->state_height = NULL;
    scene->signal_states = live->signals;
    scene->timestamps = NULL;
    for (uint32_t i = 0; i < scene->map->signal_count; i++)
        for (uint32_t step = 0; step < steps; step++)
            live->signals[(size_t)i * steps + step] = (uint8_t)nm_scene_signal(live->start, i, step);
}

/// Writes what the world shows. The ground does not change its height for the world: z stays the last recorded one.
static void record(nm_viewer_live *live) {
    const nm_world_view view = nm_world_get_view(live->world);
    const nm_scene *scene = &live->scene;
    live->now = view.step;
    for (uint32_t slot = 0; slot < view.count; slot++) {
        const uint32_t track = view.track[slot];
        if (track >= scene->track_count) continue;
        nm_track *t = &live->tracks[track];
        const size_t at = nm_scene_at(scene, track, view.step);
        float z = 0.0f;
        if (view.step > 0 && live->valid[at - 1]) {
            z = live->plane[2][at - 1];
        } else if (live->start->tracks[track].first_step < live->start->step_count) {
            uint32_t recorded = view.step;
            if (recorded >= live->start->step_count) recorded = live->start->tracks[track].first_step;
            z = live->start->z[nm_scene_at(live->start, track, recorded)];
        }
        const float values[PLANES] = {view.x[slot], view.y[slot], z, view.heading[slot], view.vx[slot], view.vy[slot]};
        live->valid[at] = 1;
        for (int i = 0; i < PLANES; i++) live->plane[i][at] = values[i];
        if (t->first_step == NM_NONE) t->first_step = view.step;
        t->last_step = view.step;
    }
}

static nm_status at_ten_hertz(nm_viewer_live *live, const nm_scene *scene, uint32_t *start_step, nm_error *error) {
    live->start = scene;
    if (fabsf(scene->dt - NM_STEP_SECONDS) <= 1e-6f) return NM_OK;
    const double time = (double)*start_step * (double)scene->dt;
    nm_status status = nm_scene_resample(scene, (double)NM_STEP_SECONDS, &live->resampled, error);
    if (status != NM_OK) return status;
    live->start = live->resampled;
    *start_step = (uint32_t)lround(time / (double)NM_STEP_SECONDS);
    if (*start_step >= live->start->step_count) *start_step = live->start->step_count - 1;
    return NM_OK;
}

nm_status nm_viewer_live_create(const nm_scene *scene, uint32_t start_step, uint32_t steps, uint64_t seed,
                                nm_viewer_live **out, nm_error *error) {
    NM_ASSERT(scene && out);
    *out = NULL;
    if (start_step >= scene->step_count)
        return NM_ERROR(error, NM_E_ARGUMENT, "there is no step %u; the scene has %u", start_step, scene->step_count);
    if (steps < 1 || steps > NM_SCENE_MAX_STEPS) return NM_ERROR(error, NM_E_ARGUMENT, "a live run of %u steps", steps);
    nm_viewer_live *live = calloc(1, sizeof *live);
    if (!live) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a live run");
    nm_status status = at_ten_hertz(live, scene, &start_step, error);
    if (status == NM_OK) status = allocate(live, start_step + steps + 1, error);
    if (status == NM_OK) {
        nm_world_config config = nm_world_config_default();
        config.seed = seed;
        config.start_step = start_step;
        status = nm_world_create(live->start, &config, &live->world, error);
    }
    if (status != NM_OK) {
        nm_viewer_live_destroy(live);
        return status;
    }
    fill_scene(live, start_step, start_step + steps + 1);
    copy_history(live, start_step);
    record(live);
    *out = live;
    return NM_OK;
}

void nm_viewer_live_destroy(nm_viewer_live *live) {
    if (!live) return;
    nm_world_destroy(live->world);
    nm_scene_destroy(live->resampled);
    free(live->tracks);
    free(live->valid);
    free(live->signals);
    for (int i = 0; i < PLANES; i++) free(live->plane[i]);
    free(live);
}

nm_status nm_viewer_live_step(nm_viewer_live *live, nm_error *error) {
    NM_ASSERT(live);
    if (nm_viewer_live_ended(live))
        return NM_ERROR(error, NM_E_LIMIT, "the live run is over: it has %u steps", live->scene.step_count);
    const uint32_t frozen = nm_world_get_stats(live->world).frozen;
    nm_status status = nm_world_step(live->world, NULL, 0, NULL);
    record(live);
    if (status != NM_OK)
        return NM_ERROR(error, status, "%u agents lost their way and were frozen",
                        nm_world_get_stats(live->world).frozen - frozen);
    return NM_OK;
}

const nm_scene *nm_viewer_live_scene(const nm_viewer_live *live) {
    return &live->scene;
}

uint32_t nm_viewer_live_now(const nm_viewer_live *live) {
    return live->now;
}

int nm_viewer_live_ended(const nm_viewer_live *live) {
    return live->now + 1 >= live->scene.step_count;
}

nm_world_stats nm_viewer_live_stats(const nm_viewer_live *live) {
    return nm_world_get_stats(live->world);
}
