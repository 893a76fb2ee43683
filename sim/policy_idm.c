/// Driving: how fast (IDM behind whatever is nearest on the path), and where to (the lane's centre, or the lane changed
/// to).
#include "sim/world_internal.h"

#include <string.h>

#define NM_RECENTRE 0.4f       ///< m/s back to the centre of the lane
#define NM_RECENTRE_SLIP 0.06f ///< and at most this slip (sine of the angle to the lane)
#define NM_CHANGE_RATE 1.2f    ///< m/s sideways in a lane change
#define NM_CHANGE_SLIP 0.25f   ///< and at most this slip
#define NM_RETURN_SLIP 0.1f    ///< for who reaches over a border behind which no lane is known
#define NM_LEAST_SLIP 0.03f    ///< with which everybody gets where it wants to be
#define NM_STRAIGHTEN 0.5f     ///< of the look-ahead are driven to straighten up
#define NM_BLOCKED_STEPS 25u
#define NM_ROUTE_BRAKE 1.5f   ///< m/s^2 before a turn
#define NM_EMERGENCY_TTC 1.0f ///< s: below it the brakes come first
#define NM_CLOSING_IN 3.0f    ///< s to the leader, as things are, from which on the way past it is looked for
#define NM_BEND_HARSH 4.0f    ///< m/s^2 sideways from which on nobody brakes comfortably for a bend
#define NM_BEND_BRAKE 4.0f    ///< m/s^2 with which they brake then

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

/// Speed: IDM behind the leader, behind whom a merge or fork puts before it, and before the place to stop, and not too
/// fast for the bend. For all slots at once; where acts[] is 0 nothing changes. Before command_steering(), which
/// overwrites the curvature that was commanded in the step before.
NM_TARGET_CLONES
static void command_speeds(const nm_world *w, uint32_t count) {
    const nm_idm_params set = *w->config.idm, *idm = &set;
    const float *restrict speed = w->speed, *restrict a = w->idm_accel, *restrict cruise = w->cruise;
    const float *restrict factor = w->desired_factor, *restrict cap = w->desired_cap, *restrict acts = w->acts;
    const float *restrict gap_factor = w->gap_factor, *restrict root = w->idm_root, *restrict brakes = w->brake_max;
    const float *restrict lead_gap = w->lead_gap, *restrict lead_speed = w->lead_speed;
    const float *restrict merge_gap = w->merge_gap, *restrict merge_speed = w->merge_speed;
    const float *restrict stop_gap = w->stop_gap, *restrict brake_ttc = w->brake_ttc;
    const float *restrict here = w->lane_curvature, *restrict ahead = w->bend_ahead;
    const float *restrict turned = w->curvature_command;
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
        // The lanes' profile brakes comfortably and in time. Who takes over in the bend, or has to turn harder than the
        // lane to get back to it, has no time left: it would slide, or run wide as far as the steering lags behind.
        const float bend = nm_maxf(fabsf(here[i]), fabsf(ahead[i]));
        const float hard = nm_minf(accel, -NM_BEND_BRAKE);
        accel = v * v * nm_maxf(bend, fabsf(turned[i])) > NM_BEND_HARSH ? hard : accel;
        // off the lanes there is nothing to follow: keeps its speed, and brakes for what is in front
        accel = lane[i] == NM_NONE ? 0.0f : accel;
        const float emergency = nm_minf(accel, -v / nm_maxf(ttc, 0.2f) - 1.0f);
        accel = ttc < NM_EMERGENCY_TTC ? emergency : accel;
        command[i] = acts[i] != 0.0f ? accel : command[i];
    }
}

/// Close to something that no lane tells of, it would creep on by a hand's breadth whenever it has come to rest.
static inline void stand_if_blocked(nm_world *w, uint32_t slot) {
    const float v = w->speed[slot], ttc = w->brake_ttc[slot];
    if (v < 2.0f && ttc < 3.0f && v * ttc < 0.6f) w->blocked_until[slot] = w->step + NM_BLOCKED_STEPS;
    if (w->step < w->blocked_until[slot]) w->accel_command[slot] = nm_minf(w->accel_command[slot], -2.0f);
}

/// Vehicles swing out with the front and cut in with the rear, long ones most: m left of the centreline that keeps them
/// off the kerb, which is on the right, and then, as far as there is room, off what is on the left.
static float swing_offset(const nm_world *w, uint32_t slot, float bend) {
    const float h = 0.5f * w->length[slot], rear = w->rear[slot], side = 0.5f * w->width[slot] + 0.15f;
    const float swing = h * (rear + 0.5f * h);
    if (swing * bend + side <= nm_minf(w->lane_left[slot], w->lane_right[slot])) return 0.0f; // mostly; inner is less
    const float here = w->lane_curvature[slot], soon = w->bend_ahead[slot];
    const float k = fabsf(here) > fabsf(soon) ? here : soon;
    const float front = swing * k;
    const float inner = 0.5f * rear * rear * k; // to the right when positive, to the left
    const float right = nm_maxf(front, -inner) + side - w->lane_right[slot];
    const float left = nm_maxf(-front, inner) + side - w->lane_left[slot];
    if (right <= 0.0f && left <= 0.0f) return 0.0f;
    // a turn in a junction is open to its left
    const uint8_t turn = w->map->lanes[w->lane[slot]].turn;
    if (turn == NM_TURN_LEFT || turn == NM_TURN_U) return nm_clampf(right, 0.0f, 0.7f);
    const float shift = right > 0.0f ? nm_minf(right, nm_maxf(-left, 0.0f)) : -nm_minf(left, nm_maxf(-right, 0.0f));
    return nm_clampf(shift, -1.0f, 1.0f);
}

/// Where in its lane an agent wants to be: cars in the middle; two-wheelers keep the side they ride on, so that what
/// passes them and what they pass stays clear.
static float resting_offset(const nm_world *w, uint32_t slot, float bend) {
    if (w->type[slot] != NM_AGENT_CYCLIST && w->type[slot] != NM_AGENT_MOTORCYCLE) return swing_offset(w, slot, bend);
    const float margin = 0.5f * w->width[slot] + 0.3f;
    return nm_clampf(w->offset_target[slot], margin - w->lane_right[slot], w->lane_left[slot] - margin);
}

/// m ahead that an agent steers for: long bodies swing their corners out when they straighten up quickly.
static inline float look_distance(float speed, float length) {
    return 3.0f + 0.6f * speed + 0.6f * nm_maxf(length - 5.0f, 0.0f);
}

/// The slip with which a vehicle may move sideways by `change` m without sweeping a corner over a border: the front
/// corner that leads, over the border it comes to, as long as it has not straightened up; the rear corner that swings
/// out behind it, over the one it comes from, unless a lane is known there. `beside`: it comes not to a border but to
/// somebody else.
static float slip_allowed(const nm_world *w, uint32_t slot, float change, float look, int beside) {
    const float half = 0.5f * w->length[slot], side = 0.5f * w->width[slot], d = w->lane_d[slot];
    const nm_lane *lane = &w->map->lanes[w->lane[slot]];
    const int to_left = change > 0.0f;
    const float end = w->offset_target[slot] + change;
    const float arrive = to_left ? w->lane_left[slot] - end - side : w->lane_right[slot] + end - side;
    const float leave = to_left ? w->lane_right[slot] + d - side : w->lane_left[slot] - d - side;
    const float front = (fabsf(change) + (beside ? 0.0f : nm_maxf(arrive, 0.0f))) / (half + NM_STRAIGHTEN * look);
    // quicker again once the box is over the border: that corner is out, and back in soonest that way
    const int open = (to_left ? lane->right.count : lane->left.count) > 0 || leave < -side;
    const float rear = open ? NM_CHANGE_SLIP : leave < 0.0f ? NM_RETURN_SLIP : leave / half;
    return nm_clampf(nm_minf(front, rear), NM_LEAST_SLIP, NM_CHANGE_SLIP);
}

/// Moves the offset that is steered for towards where the agent wants to be; returns the rate, m/s to the left.
static float move_target(nm_world *w, uint32_t slot) {
    const float v = w->speed[slot], d = w->lane_d[slot], side = 0.5f * w->width[slot];
    float *target = &w->offset_target[slot];
    const float bend = nm_maxf(fabsf(w->lane_curvature[slot]), fabsf(w->bend_ahead[slot]));
    const float wish = resting_offset(w, slot, bend);
    const int closing_in = w->lead_gap[slot] < NM_CLOSING_IN * (v - w->lead_speed[slot]);
    // who is where it wants to be has nothing to pull over to, unless it comes up to somebody
    const int settled = fabsf(wish - d) < 0.1f && !closing_in;
    const float rest = settled ? wish : nm_world_elbow_room(w, slot, wish);
    w->offset_rest[slot] = rest;
    if (rest == *target) return 0.0f;
    // Further on its way than planned, as who takes over from a recording that moves sideways: nobody steers back to
    // where it came from.
    if ((d - *target) * (rest - d) > 0.0f) *target = d;
    const float far = fabsf(rest - *target);
    const int over = d + side > w->lane_left[slot] || side - d > w->lane_right[slot];
    const float look = look_distance(v, w->length[slot]);
    const float slip = slip_allowed(w, slot, rest - *target, look, rest != wish);
    // Back to the middle at a slip of a few degrees only: a box that turns swings its rear corner out.
    const int brisk = over || far > 1.0f || w->length[slot] > 5.5f;
    const float top =
        brisk ? nm_minf(NM_CHANGE_RATE, slip * v) : nm_minf(NM_RECENTRE, nm_minf(slip, NM_RECENTRE_SLIP) * v);
    const float rate = nm_clampf((rest - *target) / NM_STEP_SECONDS, -top, top);
    *target += rate * NM_STEP_SECONDS;
    return rate;
}

/// Pure pursuit about the rail, linearised: with a look-ahead L, curvature = lane's - 2 e / L^2 - 2 sin(psi_e) / L,
/// which is a second-order system with damping 1/sqrt(2) in the distance driven (Coulter 1992 for the geometry). For
/// all slots at once, towards offset_target[], which moves at offset_rate[]; where acts[] is 0 nothing changes.
NM_TARGET_CLONES
static void command_steering(const nm_world *w, uint32_t count) {
    const float *restrict speed = w->speed, *restrict length = w->length, *restrict rear = w->rear;
    const float *restrict sin_h = w->sin_h, *restrict cos_h = w->cos_h, *restrict lane_d = w->lane_d;
    const float *restrict lane_cos = w->lane_cos, *restrict lane_sin = w->lane_sin, *restrict ahead = w->bend_ahead;
    const float *restrict here = w->lane_curvature, *restrict acts = w->acts;
    const float *restrict target = w->offset_target, *restrict rate = w->offset_rate;
    const uint32_t *restrict lane = w->lane;
    float *restrict command = w->curvature_command;
    NM_INDEPENDENT
    for (uint32_t i = 0; i < count; ++i) {
        const float v = speed[i], look = look_distance(v, length[i]);
        const float offset = lane_d[i] - target[i];
        const float slip = sin_h[i] * lane_cos[i] - cos_h[i] * lane_sin[i]; // sin of heading error
        const float bend = ahead[i] / nm_maxf(1.0f - ahead[i] * lane_d[i], 0.3f);
        // In a bend the centre, ahead of the axle, moves along the lane only if the body points outwards by rear *
        // curvature.
        const float wanted = rate[i] / nm_maxf(v, 1.0f) - rear[i] * here[i];
        const float steer =
            bend - 2.0f * nm_clampf(offset, -look, look) / (look * look) - 2.0f * (slip - wanted) / look;
        const int on = acts[i] != 0.0f, on_lane = lane[i] != NM_NONE;
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
        const uint32_t lead = w->lead[slot];
        w->lead_speed[slot] = lead == NM_NONE ? 0.0f : nm_world_speed_along(w, slot, lead);
        w->offset_rate[slot] = move_target(w, slot);
    }
    command_speeds(w, w->count);
    command_steering(w, w->count);
    for (uint32_t k = 0; k < count; ++k)
        if (w->acts[slots[k]] != 0.0f) stand_if_blocked(w, slots[k]);
}
