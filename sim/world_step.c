/// One step, as a list of stages.
#include <string.h>

#include "sim/world_internal.h"

/// Who decides how, listed again only after somebody came, went or changed policy.
static void group_by_policy(nm_world *w) {
    if (!w->groups_stale) return;
    w->groups_stale = w->has_others = 0;
    w->driver_count = w->walker_count = 0;
    for (uint32_t slot = 0; slot < w->count; ++slot) {
        w->has_others |= w->policy[slot] != NM_POLICY_IDM;
        if (w->policy[slot] != NM_POLICY_IDM || w->fixed[slot]) continue;
        if (nm_is_walker(w->type[slot]))
            w->walkers[w->walker_count++] = slot;
        else
            w->drivers[w->driver_count++] = slot;
    }
}

static void act_constant_velocity(nm_world *w) {
    for (uint32_t slot = 0; slot < w->count; ++slot) {
        if (w->policy[slot] != NM_POLICY_CONSTANT_VELOCITY) continue;
        w->accel_command[slot] = w->curvature_command[slot] = 0.0f;
    }
}

static void act_custom(nm_world *w) {
    if (!w->config.custom) return;
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < w->count; ++slot)
        if (w->policy[slot] == NM_POLICY_CUSTOM && !w->fixed[slot]) w->list[count++] = slot;
    if (count == 0) return;
    const nm_world_view view = nm_world_get_view(w);
    float *accel = w->sorted_x, *curvature = w->sorted_y; // scratch of the contacts, free here
    for (uint32_t k = 0; k < count; ++k) accel[k] = curvature[k] = 0.0f;
    w->config.custom->act(w->config.custom->context, &view, w->list, count, accel, curvature);
    for (uint32_t k = 0; k < count; ++k) {
        const uint32_t slot = w->list[k];
        if (!isfinite(accel[k]) || !isfinite(curvature[k])) {
            nm_world_note_event(w, slot, NM_AGENT_FROZEN);
            accel[k] = -w->brake_max[slot];
            curvature[k] = 0.0f;
        }
        w->accel_command[slot] = accel[k];
        w->curvature_command[slot] = curvature[k];
    }
}

static void act(nm_world *w) {
    group_by_policy(w);
    nm_policy_change_lanes(w, w->drivers, w->driver_count);
    nm_policy_idm_act(w, w->drivers, w->driver_count);
    nm_policy_walk_act(w, w->walkers, w->walker_count);
    if (!w->has_others) return;
    act_constant_velocity(w);
    act_custom(w);
}

/// Log agents are where the recording says; what was placed from outside is where it was told to be.
static void place_led(nm_world *w) {
    const nm_scene *scene = w->scene;
    if (!w->has_others) return;
    for (uint32_t slot = 0; slot < w->count; ++slot) {
        float x, y, heading, speed;
        if (w->pending[slot]) {
            w->pending[slot] = 0;
            x = w->pending_x[slot], y = w->pending_y[slot];
            heading = nm_wrap_angle(w->pending_heading[slot]), speed = w->pending_speed[slot];
            w->vx[slot] = (x - w->x[slot]) / NM_STEP_SECONDS;
            w->vy[slot] = (y - w->y[slot]) / NM_STEP_SECONDS;
            nm_sincosf(heading, &w->sin_h[slot], &w->cos_h[slot]);
            w->mobile[slot] = w->fixed[slot] ? 0.0f : 1.0f;
        } else if (w->policy[slot] == NM_POLICY_LOG && !w->fixed[slot] && w->step < scene->step_count &&
                   scene->valid[nm_scene_at(scene, w->track[slot], w->step)]) {
            const nm_state state = nm_world_log_state(scene, w->track[slot], w->step);
            x = state.x, y = state.y, heading = state.heading;
            nm_sincosf(heading, &w->sin_h[slot], &w->cos_h[slot]);
            w->vx[slot] = state.vx;
            w->vy[slot] = state.vy;
            nm_world_set_size(w, slot, state.length, state.width);
            speed = state.vx * w->cos_h[slot] + state.vy * w->sin_h[slot];
        } else {
            continue;
        }
        w->accel[slot] = (speed - w->speed[slot]) / NM_STEP_SECONDS;
        w->curvature[slot] = nm_wrap_angle(heading - w->heading[slot]) / nm_maxf(fabsf(speed) * NM_STEP_SECONDS, 0.05f);
        w->x[slot] = x, w->y[slot] = y, w->heading[slot] = heading, w->speed[slot] = speed;
    }
}

static inline int is_broken(const nm_world *w, uint32_t slot) {
    const float sum = w->x[slot] + w->y[slot] + w->heading[slot] + w->speed[slot] + w->curvature[slot];
    return !(sum - sum == 0.0f);
}

NM_TARGET_CLONES
static int any_broken(const nm_world *w, uint32_t count) {
    int broken = 0;
    for (uint32_t slot = 0; slot < count; ++slot) broken |= is_broken(w, slot);
    return broken;
}

/// A state that is no number is caught before anything is derived from it: the agent is put back to where it was and
/// stays.
static nm_status freeze_broken(nm_world *w) {
    nm_status status = NM_OK;
    if (NM_LIKELY(!any_broken(w, w->count))) return NM_OK;
    for (uint32_t slot = 0; slot < w->count; ++slot) {
        if (!is_broken(w, slot)) continue;
        nm_world_note_event(w, slot, NM_AGENT_FROZEN);
        status = NM_E_NUMERIC;
        w->x[slot] = w->before_x[slot];
        w->y[slot] = w->before_y[slot];
        w->heading[slot] = w->before_heading[slot];
        nm_sincosf(w->heading[slot], &w->sin_h[slot], &w->cos_h[slot]);
        w->speed[slot] = w->accel[slot] = w->curvature[slot] = w->vx[slot] = w->vy[slot] = 0.0f;
        w->fixed[slot] = 1;
        w->mobile[slot] = 0.0f;
        w->groups_stale = 1;
    }
    return status;
}

static void count_step(nm_world *w) {
    double sum = 0.0;
    uint32_t moving = 0;
    for (uint32_t slot = 0; slot < w->count; ++slot) {
        if (w->fixed[slot]) continue;
        sum += (double)w->speed[slot];
        ++moving;
    }
    w->stats.speed_sum += sum;
    w->stats.agent_steps += moving;
    if (w->step >= w->scene->step_count) return;
    w->stats.recorded_speed_sum += sum;
    w->stats.recorded_agent_steps += moving;
}

/// Both lists are ordered by (first, second): what is in this one only began now.
static void list_contacts(const nm_world *w, nm_contact *contacts, size_t max_contacts) {
    uint32_t before = 0;
    for (uint32_t i = 0; i < w->contact_count && i < max_contacts; ++i) {
        const nm_pair pair = w->contacts[i];
        while (before < w->contact_before_count && nm_pair_before(w->contacts_before[before], pair)) ++before;
        const int held = before < w->contact_before_count && !nm_pair_before(pair, w->contacts_before[before]);
        contacts[i] = (nm_contact){pair.a, pair.b, !held};
    }
}

nm_status nm_world_step(nm_world *w, nm_contact *contacts, size_t max_contacts, size_t *count) {
    NM_ASSERT(w && (contacts || max_contacts == 0));
    nm_world_right_of_way(w);
    act(w);
    nm_world_prefetch_rails(w);
    const size_t bytes = sizeof(float) * w->count;
    memcpy(w->before_x, w->x, bytes);
    memcpy(w->before_y, w->y, bytes);
    memcpy(w->before_heading, w->heading, bytes);
    nm_world_integrate(w);
    w->step++;
    place_led(w);
    const nm_status status = freeze_broken(w);
    nm_world_update_lanes(w);
    nm_world_come_and_go(w);
    nm_world_sort_lanes(w);
    nm_world_find_leads(w);
    nm_world_fit_drivers(w);
    nm_world_find_contacts(w);
    nm_world_check_road(w);
    count_step(w);
    list_contacts(w, contacts, max_contacts);
    if (contacts && w->contact_count > max_contacts)
        w->stats.contacts_dropped += w->contact_count - (uint32_t)max_contacts;
    if (count) *count = w->contact_count;
    return status;
}
