/// Driving: how fast (IDM behind whatever is nearest on the path), and where to (the lane's centre, or the lane changed
/// to).
#include "sim/world_internal.h"

#include <string.h>

#define NM_RECENTRE 0.4f    ///< m/s back to the centre of the lane
#define NM_CHANGE_RATE 1.2f ///< m/s sideways in a lane change
#define NM_BLOCKED_STEPS 25u
#define NM_ROUTE_BRAKE 1.5f   ///< m/s^2 before a turn
#define NM_EMERGENCY_TTC 1.0f ///< s: below it the brakes come first

/// The share of `a` that is left of the way to the wanted speed. Falls with the fourth power: held to comfortable
/// braking, since a curve or a lower limit is no emergency.
static inline float free_share(float speed, float wanted, float a, float brake) {
    const float ratio = speed / nm_maxf(wanted, 0.5f), ratio2 = ratio * ratio;
    return nm_maxf(1.0f - ratio2 * ratio2, -brake / a);
}

/// What a leader `gap` m ahead leaves of it: (s* / s)^2, 0 on a free road.
static inline float held_share(const nm_idm_params *idm, float speed, float closing, float gap_factor, float root,
                               float gap) {
    const float dynamic = speed * idm->time_gap * gap_factor + speed * closing * root;
    const float desired = idm->min_gap + nm_maxf(dynamic, 0.0f);
    const float share = desired / nm_maxf(gap, 0.3f);
    return gap < 1e6f ? share * share : 0.0f;
}

float nm_idm_acceleration(const nm_world *w, uint32_t slot, float speed, float gap, float lead_speed) {
    const nm_idm_params *idm = w->config.idm;
    const float a = w->idm_accel[slot]; // heavy vehicles accelerate less than the set says
    const float wanted = nm_minf(w->cruise[slot] * w->desired_factor[slot], w->desired_cap[slot]);
    const float held = held_share(idm, speed, speed - lead_speed, w->gap_factor[slot], w->idm_root[slot], gap);
    return a * (free_share(speed, wanted, a, idm->brake) - held);
}

/// The lanes' own profile knows no routes: it slows down for the fastest branch. Here for the one that is taken.
static void slow_for_route(nm_world *w, uint32_t slot) {
    const nm_map *map = w->map;
    const uint32_t *path = w->path + (size_t)slot * NM_PATH_MAX;
    const float v = w->speed[slot], reach = v * v * (0.5f / NM_ROUTE_BRAKE) + v;
    if (w->slowest_ahead[slot] >= w->cruise[slot]) return;
    float distance = map->lanes[w->lane[slot]].length - w->lane_s[slot];
    for (uint32_t i = 0; distance < reach && i < w->path_count[slot]; ++i) {
        const nm_lane *lane = &map->lanes[path[i]];
        const float there = w->cruise_at[lane->rail.first];
        if (there < w->cruise[slot]) {
            const float here = sqrtf(there * there + 2.0f * NM_ROUTE_BRAKE * nm_maxf(distance - 0.3f * v, 0.0f));
            w->cruise[slot] = nm_minf(w->cruise[slot], here);
        }
        distance += lane->length;
    }
}

/// Speed: IDM behind the leader, behind whom a merge or fork puts before it, and before the place to stop. For all
/// slots at once; where acts[] is 0 nothing changes.
NM_TARGET_CLONES
static void command_speeds(const nm_world *w, uint32_t count) {
    const nm_idm_params set = *w->config.idm, *idm = &set;
    const float *restrict speed = w->speed, *restrict a = w->idm_accel, *restrict cruise = w->cruise;
    const float *restrict factor = w->desired_factor, *restrict cap = w->desired_cap, *restrict acts = w->acts;
    const float *restrict gap_factor = w->gap_factor, *restrict root = w->idm_root, *restrict brakes = w->brake_max;
    const float *restrict lead_gap = w->lead_gap, *restrict lead_speed = w->lead_speed;
    const float *restrict merge_gap = w->merge_gap, *restrict merge_speed = w->merge_speed;
    const float *restrict stop_gap = w->stop_gap, *restrict brake_ttc = w->brake_ttc;
    const uint32_t *restrict lane = w->lane;
    float *restrict command = w->accel_command;
    NM_INDEPENDENT
    for (uint32_t i = 0; i < count; ++i) {
        const float v = speed[i], ttc = brake_ttc[i];
        const float free = free_share(v, nm_minf(cruise[i] * factor[i], cap[i]), a[i], idm->brake);
        const float behind = held_share(idm, v, v - lead_speed[i], gap_factor[i], root[i], lead_gap[i]);
        float accel = a[i] * (free - behind);
        // there is time at a merge: both still come closer
        const float shy = held_share(idm, v, v - merge_speed[i], gap_factor[i], root[i], merge_gap[i]);
        const float merge = nm_minf(accel, nm_maxf(a[i] * (free - shy), -4.0f));
        accel = merge_gap[i] < 1e6f ? merge : accel;
        // with the bumper at the line: no standing gap is kept to paint
        const float line = held_share(idm, v, v, gap_factor[i], root[i], stop_gap[i] + idm->min_gap - 0.5f);
        const float rolling = nm_maxf(a[i] * (free - line), -brakes[i]);
        const float creeping = stop_gap[i] < 1.0f ? -1.0f : rolling;
        const float stop = nm_minf(accel, v < 0.1f ? creeping : rolling);
        accel = stop_gap[i] < 1e6f ? stop : accel;
        // off the lanes there is nothing to follow: keeps its speed, and brakes for what is in front
        accel = lane[i] == NM_NONE ? 0.0f : accel;
        const float emergency = nm_minf(accel, -v / nm_maxf(ttc, 0.2f) - 1.0f);
        accel = ttc < NM_EMERGENCY_TTC ? emergency : accel;
        command[i] = acts[i] != 0.0f ? accel : command[i];
    }
}

/// What the leader moves along our heading: one that crosses counts with what it contributes.
static inline float lead_speed_along(const nm_world *w, uint32_t slot) {
    const uint32_t lead = w->lead[slot];
    return lead == NM_NONE ? 0.0f : nm_maxf(w->vx[lead] * w->cos_h[slot] + w->vy[lead] * w->sin_h[slot], 0.0f);
}

/// Close to something that no lane tells of, it would creep on by a hand's breadth whenever it has come to rest.
static inline void stand_if_blocked(nm_world *w, uint32_t slot) {
    const float v = w->speed[slot], ttc = w->brake_ttc[slot];
    if (v < 2.0f && ttc < 3.0f && v * ttc < 0.6f) w->blocked_until[slot] = w->step + NM_BLOCKED_STEPS;
    if (w->step < w->blocked_until[slot]) w->accel_command[slot] = nm_minf(w->accel_command[slot], -2.0f);
}

/// Long vehicles swing out with the front and cut in with the rear: m left of the centreline that keeps them off the
/// kerb, which is on the right, and then, as far as there is room, off what is on the left.
static float swing_offset(const nm_world *w, uint32_t slot) {
    const float h = 0.5f * w->length[slot], rear = w->rear[slot], here = w->lane_curvature[slot];
    const float k = fabsf(here) > fabsf(w->bend_ahead[slot]) ? here : w->bend_ahead[slot];
    const float front = h * (rear + 0.5f * h) * k,
                inner = 0.5f * rear * rear * k; // to the right when positive, to the left
    const float right = nm_maxf(front, -inner) + 0.5f * w->width[slot] + 0.15f - w->lane_right[slot];
    const float left = nm_maxf(-front, inner) + 0.5f * w->width[slot] + 0.15f - w->lane_left[slot];
    if (right <= 0.0f && left <= 0.0f) return 0.0f;
    // a turn in a junction is open to its left
    const uint8_t turn = w->map->lanes[w->lane[slot]].turn;
    if (turn == NM_TURN_LEFT || turn == NM_TURN_U) return nm_clampf(right, 0.0f, 0.7f);
    const float shift = right > 0.0f ? nm_minf(right, nm_maxf(-left, 0.0f)) : -nm_minf(left, nm_maxf(-right, 0.0f));
    return nm_clampf(shift, -1.0f, 1.0f);
}

/// Where in its lane an agent wants to be: cars in the middle; two-wheelers keep the side they ride on, so that what
/// passes them and what they pass stays clear.
static float resting_offset(const nm_world *w, uint32_t slot) {
    if (w->type[slot] != NM_AGENT_CYCLIST && w->type[slot] != NM_AGENT_MOTORCYCLE)
        return w->length[slot] > 5.5f ? swing_offset(w, slot) : 0.0f;
    const float margin = 0.5f * w->width[slot] + 0.3f;
    return nm_clampf(w->offset_target[slot], margin - w->lane_right[slot], w->lane_left[slot] - margin);
}

/// Pure pursuit about the rail, linearised: with a look-ahead L, curvature = lane's - 2 e / L^2 - 2 sin(psi_e) / L,
/// which is a second-order system with damping 1/sqrt(2) in the distance driven (Coulter 1992 for the geometry). For
/// all slots at once, towards rest[]; where acts[] is 0 nothing changes.
NM_TARGET_CLONES
static void command_steering(const nm_world *w, uint32_t count) {
    const float *restrict speed = w->speed, *restrict length = w->length, *restrict rear = w->rear;
    const float *restrict sin_h = w->sin_h, *restrict cos_h = w->cos_h, *restrict lane_d = w->lane_d;
    const float *restrict lane_cos = w->lane_cos, *restrict lane_sin = w->lane_sin, *restrict ahead = w->bend_ahead;
    const float *restrict here = w->lane_curvature, *restrict rest = w->rest, *restrict acts = w->acts;
    const uint32_t *restrict lane = w->lane;
    float *restrict target = w->offset_target, *restrict offset_rate = w->offset_rate;
    float *restrict command = w->curvature_command;
    NM_INDEPENDENT
    for (uint32_t i = 0; i < count; ++i) {
        const float v = speed[i], far = fabsf(rest[i] - target[i]);
        // Back to the middle at a slip of a few degrees only: a box that turns swings its rear corner out.
        const float brisk = nm_minf(NM_CHANGE_RATE, 0.25f * v), gentle = nm_minf(NM_RECENTRE, 0.06f * v);
        const float top = ((far > 1.0f) | (length[i] > 5.5f)) ? brisk : gentle;
        const float rate = nm_clampf((rest[i] - target[i]) / NM_STEP_SECONDS, -top, top);
        const float next = target[i] + rate * NM_STEP_SECONDS;
        // long bodies swing their corners out when they straighten up quickly
        const float look = 3.0f + 0.6f * v + 0.6f * nm_maxf(length[i] - 5.0f, 0.0f);
        const float offset = lane_d[i] - next;
        const float slip = sin_h[i] * lane_cos[i] - cos_h[i] * lane_sin[i]; // sin of heading error
        const float bend = ahead[i] / nm_maxf(1.0f - ahead[i] * lane_d[i], 0.3f);
        // In a bend the centre, ahead of the axle, moves along the lane only if the body points outwards by rear *
        // curvature.
        const float wanted = rate / nm_maxf(v, 1.0f) - rear[i] * here[i];
        const float steer =
            bend - 2.0f * nm_clampf(offset, -look, look) / (look * look) - 2.0f * (slip - wanted) / look;
        const int on = acts[i] != 0.0f, on_lane = lane[i] != NM_NONE;
        target[i] = on & on_lane ? next : target[i];
        offset_rate[i] = on & on_lane ? rate : offset_rate[i];
        const float held = on ? 0.0f : command[i];
        command[i] = on & on_lane ? steer : held;
    }
}

void nm_policy_idm_act(nm_world *w, const uint32_t *slots, uint32_t count) {
    if (count == 0) return;
    memset(w->acts, 0, sizeof(float) * w->count);
    for (uint32_t k = 0; k < count; ++k) {
        const uint32_t slot = slots[k];
        if (NM_UNLIKELY(w->events[w->track[slot]] & NM_AGENT_COLLIDED)) {
            w->accel_command[slot] = -6.0f;
            w->curvature_command[slot] = 0.0f;
            continue;
        }
        w->acts[slot] = 1.0f;
        if (w->lane[slot] == NM_NONE) continue;
        slow_for_route(w, slot);
        w->lead_speed[slot] = lead_speed_along(w, slot);
        w->rest[slot] = nm_world_elbow_room(w, slot, resting_offset(w, slot));
    }
    command_speeds(w, w->count);
    command_steering(w, w->count);
    for (uint32_t k = 0; k < count; ++k)
        if (w->acts[slots[k]] != 0.0f) stand_if_blocked(w, slots[k]);
}
