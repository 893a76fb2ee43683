/// Recordings with gaps and hand-made futures of them, for the tests of what scores futures.
#ifndef NM_TESTS_FUTURES_SCENES_H
#define NM_TESTS_FUTURES_SCENES_H

#include "scenes.h"

#include "sim/metrics/futures.h"

/// Constant velocity along its heading (extrapolated to step 0), recorded in steps first .. last only.
typedef struct recorded_agent {
    double x, y, heading, speed; ///< at step 0
    uint32_t first, last;
    nm_agent_type type; ///< NM_AGENT_UNKNOWN = car
    unsigned flags;
    double length, width; ///< 0 = 4 x 2
} recorded_agent;

/// Takes over the reference to `map`.
static inline const nm_scene *record(const nm_map *map, const recorded_agent *agents, uint32_t count, uint32_t steps,
                                     uint32_t current, uint32_t ego) {
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, &error), NM_OK);
    for (uint32_t i = 0; i < count; i++) {
        const recorded_agent *a = &agents[i];
        const nm_track_def def = {.id = 100 + (int64_t)i,
                                  .type = a->type == NM_AGENT_UNKNOWN ? NM_AGENT_CAR : a->type,
                                  .flags = a->flags,
                                  .length = a->length > 0.0 ? (float)a->length : 4.0f,
                                  .width = a->width > 0.0 ? (float)a->width : 2.0f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t t = a->first; t <= a->last && t < steps; t++) {
            const double vx = a->speed * cos(a->heading), vy = a->speed * sin(a->heading);
            const nm_state_def state = {.x = map->origin.x + a->x + 0.1 * t * vx,
                                        .y = map->origin.y + a->y + 0.1 * t * vy,
                                        .z = map->origin.z + 0.01 * t,
                                        .heading = a->heading,
                                        .vx = vx,
                                        .vy = vy};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &state, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, current, ego);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

/// Futures whose states can be set.
typedef struct hand_made {
    nm_futures view;
    uint32_t *track;
    float *x, *y, *z, *heading;
} hand_made;

static inline size_t future_at(const hand_made *f, uint32_t sample, uint32_t agent, uint32_t step) {
    return ((size_t)sample * f->view.agents + agent) * f->view.steps + step;
}

/// Of all tracks valid now, each going on as recorded: at its velocity.
static inline hand_made going_on(const nm_scene *scene, uint32_t samples, uint32_t steps) {
    hand_made f = {.track = calloc(scene->track_count + 1, sizeof *f.track)};
    uint32_t agents = 0;
    for (uint32_t a = 0; a < scene->track_count; a++)
        if (scene->valid[nm_scene_at(scene, a, scene->current_step)]) f.track[agents++] = a;
    const size_t size = (size_t)samples * agents * steps + 1;
    f.x = calloc(size, sizeof *f.x);
    f.y = calloc(size, sizeof *f.y);
    f.z = calloc(size, sizeof *f.z);
    f.heading = calloc(size, sizeof *f.heading);
    f.view = (nm_futures){samples, agents, steps, f.track, f.x, f.y, f.z, f.heading};
    for (uint32_t r = 0; r < samples; r++) {
        for (uint32_t a = 0; a < agents; a++) {
            const size_t now = nm_scene_at(scene, f.track[a], scene->current_step);
            for (uint32_t k = 0; k < steps; k++) {
                const size_t at = future_at(&f, r, a, k);
                f.x[at] = (float)((double)scene->x[now] + 0.1 * (k + 1) * (double)scene->vx[now]);
                f.y[at] = (float)((double)scene->y[now] + 0.1 * (k + 1) * (double)scene->vy[now]);
                f.heading[at] = scene->heading[now];
            }
        }
    }
    return f;
}

static inline void shift(hand_made *f, uint32_t sample, uint32_t agent, float dx, float dy) {
    for (uint32_t k = 0; k < f->view.steps; k++) {
        f->x[future_at(f, sample, agent, k)] += dx;
        f->y[future_at(f, sample, agent, k)] += dy;
    }
}

static inline void hand_made_free(hand_made *f) {
    free(f->track);
    free(f->x);
    free(f->y);
    free(f->z);
    free(f->heading);
}

#endif
