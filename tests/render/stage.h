/// Scenes filled by hand, so that tests can put anything into them: NaN, far-away places, thousands of agents.
#ifndef NM_TESTS_RENDER_STAGE_H
#define NM_TESTS_RENDER_STAGE_H

#include "sim/scenes.h"

typedef struct stage {
    nm_scene scene;
    const nm_map *map;
    nm_track *tracks;
    uint8_t *valid;
    float *fields[5]; ///< x, y, heading, vx, vy
} stage;

/// All tracks are cars of 4 m x 2 m, invalid everywhere. Takes over one reference to the map.
static inline stage stage_of(const nm_map *map, uint32_t tracks, uint32_t steps) {
    stage out = {.scene = {.dt = 0.1f, .step_count = steps, .track_count = tracks, .ego = NM_NONE, .map = map},
                 .map = map};
    const size_t states = (size_t)tracks * steps + 1;
    out.tracks = calloc(tracks + 1, sizeof *out.tracks);
    out.valid = calloc(states, 1);
    for (int f = 0; f < 5; f++) out.fields[f] = calloc(states, sizeof(float));
    for (uint32_t i = 0; i < tracks; i++)
        out.tracks[i] =
            (nm_track){.source_id = 100 + i, .length = 4, .width = 2, .type = NM_AGENT_CAR, .first_step = UINT32_MAX};
    out.scene.tracks = out.tracks, out.scene.valid = out.valid;
    out.scene.x = out.fields[0], out.scene.y = out.fields[1], out.scene.heading = out.fields[2];
    out.scene.vx = out.fields[3], out.scene.vy = out.fields[4];
    return out;
}

static inline void stage_put(stage *s, uint32_t track, uint32_t step, float x, float y, float heading, float speed) {
    const size_t at = nm_scene_at(&s->scene, track, step);
    const float values[5] = {x, y, heading, speed * cosf(heading), speed * sinf(heading)};
    for (int f = 0; f < 5; f++) s->fields[f][at] = values[f];
    s->valid[at] = 1;
    nm_track *t = &s->tracks[track];
    if (t->first_step == UINT32_MAX) t->first_step = step;
    t->last_step = step;
}

/// At constant velocity over all steps, from (x, y) at step 0.
static inline void stage_drive(stage *s, uint32_t track, float x, float y, float heading, float speed) {
    for (uint32_t step = 0; step < s->scene.step_count; step++) {
        const float way = speed * s->scene.dt * (float)step;
        stage_put(s, track, step, x + way * cosf(heading), y + way * sinf(heading), heading, speed);
    }
}

static inline void stage_strike(stage *s) {
    free(s->tracks), free(s->valid);
    for (int f = 0; f < 5; f++) free(s->fields[f]);
    nm_map_release(s->map);
}

#endif
