/// The drive as a scene that only the metrics see: no map, no history, nobody who never came near.
#include "scenarios/episode_danger.h"

#include <math.h>

#define NEAR 100.0 ///< m between centres, at least once: as scenes are mined

nm_ego_criticality nm_episode_no_danger(void) {
    nm_ego_criticality none = nm_ego_criticality_none();
    for (int m = 0; m < NM_EGO_MEASURE_COUNT; ++m) none.value[m] = NAN;
    return none;
}

/// A scene of `tracks` tracks that can be filled.
typedef struct shadow {
    nm_scene scene;
    nm_track *tracks;
    uint8_t *valid;
    float *x, *y, *heading, *vx, *vy, *length, *width;
    uint32_t *source; ///< [tracks] of the drive
} shadow;

static int reserve(shadow *s, uint32_t tracks, uint32_t steps, nm_arena *arena) {
    const size_t states = (size_t)tracks * steps;
    float **const fields[] = {&s->x, &s->y, &s->heading, &s->vx, &s->vy, &s->length, &s->width};
    s->tracks = nm_arena_calloc(arena, tracks, sizeof *s->tracks, 64);
    s->source = NM_ARENA_ARRAY(arena, uint32_t, tracks);
    s->valid = nm_arena_calloc(arena, states, 1, 64);
    int there = s->tracks && s->source && s->valid;
    for (size_t f = 0; f < sizeof fields / sizeof *fields; ++f) {
        *fields[f] = nm_arena_calloc(arena, states, sizeof(float), 64);
        there &= *fields[f] != NULL;
    }
    s->scene = (nm_scene){.dt = NM_STEP_SECONDS, .step_count = steps, .track_count = tracks, .tracks = s->tracks};
    s->scene.valid = s->valid;
    s->scene.x = s->x, s->scene.y = s->y, s->scene.heading = s->heading;
    s->scene.vx = s->vx, s->scene.vy = s->vy;
    s->scene.state_length = s->length, s->scene.state_width = s->width;
    return there;
}

static void put(shadow *s, uint32_t track, uint32_t step, const nm_nuplan_box *box) {
    const size_t at = nm_scene_at(&s->scene, track, step);
    s->valid[at] = 1;
    s->x[at] = (float)box->x, s->y[at] = (float)box->y, s->heading[at] = (float)box->heading;
    s->vx[at] = (float)box->vx, s->vy[at] = (float)box->vy;
    s->length[at] = (float)box->length, s->width[at] = (float)box->width;
}

/// Its box: the ego of the score is where its rear axle is.
static nm_nuplan_box ego_box(const nm_episode_drive *drive, uint32_t sample) {
    const nm_nuplan_ego *ego = &drive->ego[sample];
    const double ahead = (double)drive->vehicle->rear_axle_to_box_centre;
    return (nm_nuplan_box){.x = ego->x + ahead * cos(ego->heading),
                           .y = ego->y + ahead * sin(ego->heading),
                           .heading = ego->heading,
                           .vx = ego->vx * cos(ego->heading),
                           .vy = ego->vx * sin(ego->heading),
                           .length = (double)drive->vehicle->length,
                           .width = (double)drive->vehicle->width};
}

static int comes_near(const nm_episode_drive *drive, uint32_t track) {
    for (uint32_t k = 0; k < drive->samples; ++k) {
        const size_t at = (size_t)k * drive->tracks + track;
        if (!drive->present[at]) continue;
        const double dx = drive->boxes[at].x - drive->ego[k].x, dy = drive->boxes[at].y - drive->ego[k].y;
        if (dx * dx + dy * dy <= NEAR * NEAR) return 1;
    }
    return 0;
}

nm_status nm_episode_measure_danger(const nm_episode_drive *drive, nm_arena *arena, nm_ego_criticality *out,
                                    nm_error *error) {
    const nm_arena_mark mark = nm_arena_get_mark(arena);
    const nm_criticality_params params = nm_criticality_params_default();
    shadow s;
    uint32_t count = 1; // the ego is the first
    *out = nm_episode_no_danger();
    for (uint32_t track = 0; track < drive->tracks; ++track) count += (uint32_t)comes_near(drive, track);
    if (!reserve(&s, count, drive->samples, arena)) {
        nm_arena_release(arena, mark);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for an episode");
    }
    for (uint32_t k = 0; k < drive->samples; ++k) {
        const nm_nuplan_box ego = ego_box(drive, k);
        put(&s, 0, k, &ego);
    }
    count = 1;
    for (uint32_t track = 0; track < drive->tracks; ++track) {
        if (!comes_near(drive, track)) continue;
        for (uint32_t k = 0; k < drive->samples; ++k) {
            const size_t at = (size_t)k * drive->tracks + track;
            if (drive->present[at]) put(&s, count, k, &drive->boxes[at]);
        }
        s.source[count++] = track;
    }
    nm_ego_criticality found;
    const nm_status status = nm_ego_criticality_of(&s.scene, 0, 1, drive->samples - 1, &params, arena, &found, error);
    if (status == NM_OK) {
        *out = found;
        if (found.worst_track != NM_NONE) out->worst_track = s.source[found.worst_track];
    }
    nm_arena_release(arena, mark);
    return status;
}
