#include "sim/metrics/ego.h"

#include <math.h>

#include "sim/math.h"

const nm_ego_description *nm_ego_describe(nm_ego_measure measure) {
    static const nm_ego_description about[NM_EGO_MEASURE_COUNT] = {
        [NM_EGO_TTC] = {"sweep_ttc_s", "time to collision", "s",
                        "least time until a contact with anybody at unchanged velocities, up to 10 s", 0, 5.0f},
        [NM_EGO_THW] = {"min_thw_s", "time headway", "s", "least time behind somebody it followed", 0, 4.0f},
        [NM_EGO_PET] = {"pet_s", "post-encroachment time", "s",
                        "least time between one leaving a piece of ground and the other coming to it", 0, 5.0f},
        [NM_EGO_CLOSING] = {"closing_mps", "relative speed", "m/s",
                            "of the two at the moment of the least time to collision", 1, 30.0f},
        [NM_EGO_DRAC] = {"max_drac_mps2", "DRAC", "m/s2",
                         "largest deceleration that just avoids running into somebody it followed", 1, 10.0f},
        [NM_EGO_REQUIRED] = {"required_decel_mps2", "required deceleration", "m/s2",
                             "largest deceleration of the relative motion that just avoids a contact with anybody", 1,
                             10.0f},
    };
    NM_ASSERT((unsigned)measure < NM_EGO_MEASURE_COUNT);
    return &about[measure];
}

nm_ego_criticality nm_ego_criticality_none(void) {
    nm_ego_criticality none = {.worst_step = NM_NONE, .worst_track = NM_NONE};
    for (int m = 0; m < NM_EGO_MEASURE_COUNT; ++m)
        none.value[m] = nm_ego_describe((nm_ego_measure)m)->more_is_worse ? 0.0f : INFINITY;
    return none;
}

/// Ground that a track may cover at any step: a circle around every box.
typedef struct reach {
    float low_x, low_y, high_x, high_y;
} reach;

static reach reach_of(const nm_scene *scene, uint32_t track) {
    reach r = {INFINITY, INFINITY, -INFINITY, -INFINITY};
    nm_box box;
    for (uint32_t step = 0; step < scene->step_count; ++step) {
        if (!nm_scene_box(scene, track, step, &box)) continue;
        const float half = 0.5f * nm_hypotf(box.length, box.width) + 0.01f; // past what floats round
        r.low_x = fminf(r.low_x, box.x - half), r.high_x = fmaxf(r.high_x, box.x + half);
        r.low_y = fminf(r.low_y, box.y - half), r.high_y = fmaxf(r.high_y, box.y + half);
    }
    return r;
}

static int share_ground(const reach *a, const reach *b, float margin) {
    const float m = 2.0f * margin;
    return a->low_x <= b->high_x + m && b->low_x <= a->high_x + m && a->low_y <= b->high_y + m &&
           b->low_y <= a->high_y + m;
}

/// The two at one step. contact: whether they have touched by then.
static void look(const nm_box *ego, const nm_box *other, uint32_t step, uint32_t track,
                 const nm_criticality_params *params, int *contact, nm_ego_criticality *out) {
    const float ttc = nm_ttc(ego, other, params->ttc_horizon);
    const float relative = nm_hypotf(other->vx - ego->vx, other->vy - ego->vy);
    *contact |= ttc <= 0.0f;
    if (ttc < out->value[NM_EGO_TTC] || (ttc == out->value[NM_EGO_TTC] && ttc < INFINITY && step < out->worst_step)) {
        out->value[NM_EGO_TTC] = ttc;
        out->value[NM_EGO_CLOSING] = relative;
        out->worst_step = step;
        out->worst_track = track;
    }
    if (*contact) return;
    if (ttc < INFINITY) out->value[NM_EGO_REQUIRED] = fmaxf(out->value[NM_EGO_REQUIRED], relative / (2.0f * ttc));
    const nm_following follows = nm_follow(ego, other, params);
    out->value[NM_EGO_THW] = fminf(out->value[NM_EGO_THW], follows.thw);
    out->value[NM_EGO_DRAC] = fmaxf(out->value[NM_EGO_DRAC], follows.drac);
}

nm_status nm_ego_criticality_of(const nm_scene *scene, uint32_t ego, uint32_t first_step, uint32_t last_step,
                                const nm_criticality_params *params, nm_arena *arena, nm_ego_criticality *out,
                                nm_error *error) {
    NM_ASSERT(scene && params && arena && out && ego < scene->track_count);
    *out = nm_ego_criticality_none();
    if (last_step >= scene->step_count) last_step = scene->step_count - 1; // 0 steps: the loops below see to it
    const reach mine = reach_of(scene, ego);
    nm_status status = NM_OK;
    for (uint32_t track = 0; status == NM_OK && track < scene->track_count; ++track) {
        if (track == ego) continue;
        nm_box a, b;
        int contact = 0;
        for (uint32_t step = first_step; scene->step_count && step <= last_step; ++step)
            if (nm_scene_box(scene, track, step, &b) && nm_scene_box(scene, ego, step, &a))
                look(&a, &b, step, track, params, &contact, out);
        const reach theirs = reach_of(scene, track);
        if (!share_ground(&mine, &theirs, params->pet_margin)) continue; // paths that never meet
        float pet;
        status = nm_pet(scene, ego, track, params, arena, &pet, NULL, error);
        if (status == NM_OK) out->value[NM_EGO_PET] = fminf(out->value[NM_EGO_PET], pet);
    }
    return status;
}
