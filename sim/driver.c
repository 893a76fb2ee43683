/// Drivers differ: parameters drawn per agent, and a desired speed read out of the recorded past.
///
/// A driver whose recorded speed and acceleration are known, behind a known gap, tells its desired speed: IDM solved
/// for v0,
///     (v / v0)^4 = 1 - a / a_max - (s* / s)^2.
/// Who rolls along at 8 m/s on a free 25 m/s road is held up by something outside the recording (a queue beyond the
/// edge of the camera's view), and goes on to be. Only states up to the moment the agent enters are read.
#include "sim/world_internal.h"

#define NM_PAST_STEPS 10u ///< of the past that are averaged: 1 s
#define NM_TOO_SLOW 1.5f  ///< m/s: who stands tells nothing about the speed it would like

void nm_world_seat_driver(nm_world *world, uint32_t slot) {
    const nm_idm_params *idm = world->config.idm;
    const nm_rng_key key = {world->config.seed, world->scene_key, world->track[slot], 0, NM_PURPOSE_BEHAVIOUR};
    const float spread = idm->spread;
    world->idm_accel[slot] = nm_minf(idm->accel, world->accel_max[slot]);
    world->idm_root[slot] = 0.5f / sqrtf(world->idm_accel[slot] * idm->brake);
    world->desired_factor[slot] = idm->speed_factor;
    world->gap_factor[slot] = 1.0f;
    if (spread > 0.0f) {
        world->desired_factor[slot] *= nm_clampf(1.0f + spread * nm_rng_normal(&key, 0), 0.7f, 1.3f);
        world->gap_factor[slot] = nm_clampf(1.0f + 1.5f * spread * nm_rng_normal(&key, 1), 0.6f, 1.6f);
    }
    world->desired_cap[slot] = idm->desired_speed > 0.0f ? idm->desired_speed : world->speed_max[slot];
    world->walk_way[slot] = NM_WALK_UNDECIDED;
    world->blocked_until[slot] = 0;
}

/// Mean acceleration over the last second of the recording before `step`; 0 when less is known.
static float recorded_acceleration(const nm_world *world, uint32_t track, uint32_t step) {
    const nm_scene *scene = world->scene;
    if (step < NM_PAST_STEPS || step >= scene->step_count) return 0.0f;
    const size_t then = nm_scene_at(scene, track, step - NM_PAST_STEPS), now = nm_scene_at(scene, track, step);
    if (!scene->valid[then] || !scene->valid[now]) return 0.0f;
    const float before = nm_hypotf(scene->vx[then], scene->vy[then]), after = nm_hypotf(scene->vx[now], scene->vy[now]);
    return (after - before) / ((float)NM_PAST_STEPS * NM_STEP_SECONDS);
}

static void fit_driver(nm_world *world, uint32_t slot) {
    const nm_idm_params *idm = world->config.idm;
    const float v = world->speed[slot], limit = world->limit[slot];
    if (v < NM_TOO_SLOW || limit <= 0.0f || nm_is_walker(world->type[slot])) return;
    const float a = nm_clampf(recorded_acceleration(world, world->track[slot], world->step), -1.0f, 1.0f);
    float share = 0.0f;
    const uint32_t lead = world->lead[slot];
    if (lead != NM_NONE) {
        const float closing = v - nm_world_speed_along(world, slot, lead);
        const float dynamic = v * idm->time_gap * world->gap_factor[slot] + v * closing * world->idm_root[slot];
        share = (idm->min_gap + nm_maxf(dynamic, 0.0f)) / nm_maxf(world->lead_gap[slot], 0.5f);
    }
    const float power = 1.0f - a / world->idm_accel[slot] - share * share;
    if (power < 0.1f) return; // held by its leader: says nothing about the free road
    const float wanted = v / sqrtf(sqrtf(nm_minf(power, 1.5f)));
    const float factor = nm_minf(wanted / limit, 1.6f);
    if (factor > world->desired_factor[slot])
        world->desired_factor[slot] = factor; // keeps driving faster than the limit
    world->desired_cap[slot] = nm_minf(world->desired_cap[slot], nm_maxf(wanted, 2.0f * NM_TOO_SLOW));
}

void nm_world_fit_drivers(nm_world *world) {
    if (!world->config.idm->adapt_to_history) return;
    // A scene that begins here has no past: its states are what a generator drew, not what a driver did.
    const int has_past = world->config.start_step >= NM_PAST_STEPS;
    if (world->step == world->config.start_step && !has_past) return;
    for (uint32_t slot = world->count; slot-- > 0 && world->entered_step[slot] == world->step;)
        if (world->policy[slot] == NM_POLICY_IDM && !world->fixed[slot] && world->lane[slot] != NM_NONE)
            fit_driver(world, slot);
}
