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
static float swing_offset(const nm_world *w, uint32_t slot) {
    const float h = 0.5f * w->length[slot], rear = w->rear[slot], side = 0.5f * w->width[slot] + 0.15f;
    const float here = w->lane_curvature[slot], soon = w->bend_ahead[slot];
    const float k = fabsf(here) > fabsf(soon) ? here : soon;
    const float front = h * (rear + 0.5f * h) * k;
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
/// passes them and what they pass stays clear. Nearly everybody is there already, comes up to nobody and does not swing
/// out of its lane: that is found for all slots at once, and only the others, in unsettled[], are looked at one by one.
/// Where acts[] is 0 nothing changes.
NM_TARGET_CLONES
static void find_settled(const nm_world *w, uint32_t count) {
    const float *restrict speed = w->speed, *restrict length = w->length, *restrict width = w->width;
    const float *restrict rear = w->rear, *restrict here = w->lane_curvature, *restrict ahead = w->bend_ahead;
    const float *restrict lane_d = w->lane_d, *restrict left = w->lane_left, *restrict right = w->lane_right;
    const float *restrict lead_gap = w->lead_gap, *restrict lead_speed = w->lead_speed, *restrict acts = w->acts;
    const float *restrict target = w->offset_target;
    const uint32_t *restrict lane = w->lane;
    const uint8_t *restrict type = w->type;
    float *restrict wish = w->wish, *restrict rest = w->offset_rest, *restrict unsettled = w->unsettled;
    NM_INDEPENDENT
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t kind = type[i];
        const int rides = (kind == NM_AGENT_CYCLIST) | (kind == NM_AGENT_MOTORCYCLE);
        const float margin = 0.5f * width[i] + 0.3f;
        const float ridden = nm_clampf(target[i], margin - right[i], left[i] - margin);
        const float place = rides ? ridden : 0.0f;
        // the front swings out by more than the rear cuts in
        const float half = 0.5f * length[i], bend = nm_maxf(fabsf(here[i]), fabsf(ahead[i]));
        const float swing = half * (rear[i] + 0.5f * half) * bend + (0.5f * width[i] + 0.15f);
        const int narrow = (rides == 0) & !(swing <= nm_minf(left[i], right[i]));
        const int closing_in = lead_gap[i] < NM_CLOSING_IN * (speed[i] - lead_speed[i]);
        const int away = !(fabsf(place - lane_d[i]) < 0.1f);
        const int drives = (acts[i] != 0.0f) & (lane[i] != NM_NONE);
        wish[i] = place;
        rest[i] = drives ? place : rest[i];
        unsettled[i] = (drives & (narrow | closing_in | away)) ? 1.0f : 0.0f;
    }
}

/// Where an agent that is unsettled wants to be. Who is where it wants to be has nothing to pull over to, unless it
/// comes up to somebody.
static void settle(nm_world *w, uint32_t slot) {
    if (w->type[slot] != NM_AGENT_CYCLIST && w->type[slot] != NM_AGENT_MOTORCYCLE)
        w->wish[slot] = swing_offset(w, slot);
    const float wish = w->wish[slot];
    const int closing_in = w->lead_gap[slot] < NM_CLOSING_IN * (w->speed[slot] - w->lead_speed[slot]);
    const int settled = fabsf(wish - w->lane_d[slot]) < 0.1f && !closing_in;
    w->offset_rest[slot] = settled ? wish : nm_world_elbow_room(w, slot, wish);
}

/// Moves the offset that is steered for towards offset_rest[], with a slip that sweeps no corner over a border: not the
/// front corner that leads, over the border it comes to, as long as it has not straightened up; nor the rear corner
/// that swings out behind it, over the one it comes from, unless a lane is known there. For all slots at once; where
/// acts[] is 0 nothing changes.
NM_TARGET_CLONES
static void move_targets(const nm_world *w, uint32_t count) {
    const float *restrict speed = w->speed, *restrict length = w->length, *restrict width = w->width;
    const float *restrict lane_d = w->lane_d, *restrict left = w->lane_left, *restrict right = w->lane_right;
    const float *restrict wish = w->wish, *restrict rest = w->offset_rest, *restrict acts = w->acts;
    const uint32_t *restrict lane = w->lane, *restrict lanes_beside = w->lanes_beside;
    float *restrict target = w->offset_target, *restrict offset_rate = w->offset_rate;
    NM_INDEPENDENT
    for (uint32_t i = 0; i < count; ++i) {
        const float v = speed[i], d = lane_d[i], half = 0.5f * length[i], side = 0.5f * width[i];
        // Further on its way than planned, as who takes over from a recording that moves sideways: nobody steers back
        // to where it came from.
        const float from = (d - target[i]) * (rest[i] - d) > 0.0f ? d : target[i];
        const float change = rest[i] - from, end = from + change;
        const int to_left = change > 0.0f;
        const float arrive = to_left ? left[i] - end - side : right[i] + end - side;
        const float leave = to_left ? right[i] + d - side : left[i] - d - side;
        // no border is come to where it stops beside somebody else
        const float room = rest[i] != wish[i] ? 0.0f : nm_maxf(arrive, 0.0f);
        const float front = (fabsf(change) + room) / (half + NM_STRAIGHTEN * nm_look_distance(v, length[i]));
        // quicker again once the box is over the border: that corner is out, and back in soonest that way
        const uint32_t known = lanes_beside[i] & (to_left ? (uint32_t)NM_BESIDE_RIGHT : (uint32_t)NM_BESIDE_LEFT);
        const float kept = leave < 0.0f ? NM_RETURN_SLIP : leave / half;
        const float rear = ((known != 0) | (leave < -side)) ? NM_CHANGE_SLIP : kept;
        const float slip = nm_clampf(nm_minf(front, rear), NM_LEAST_SLIP, NM_CHANGE_SLIP);
        // Back to the middle at a slip of a few degrees only: a box that turns swings its rear corner out.
        const int over = (d + side > left[i]) | (side - d > right[i]);
        const float brisk = nm_minf(NM_CHANGE_RATE, slip * v);
        const float gentle = nm_minf(NM_RECENTRE, nm_minf(slip, NM_RECENTRE_SLIP) * v);
        const float top = (over | (fabsf(change) > 1.0f) | (length[i] > 5.5f)) ? brisk : gentle;
        const float rate = nm_clampf(change / NM_STEP_SECONDS, -top, top);
        const int moves = (acts[i] != 0.0f) & (lane[i] != NM_NONE) & (rest[i] != target[i]);
        target[i] = moves ? from + rate * NM_STEP_SECONDS : target[i];
        offset_rate[i] = moves ? rate : 0.0f;
    }
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
        const float v = speed[i], look = nm_look_distance(v, length[i]);
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
    }
    find_settled(w, w->count);
    for (uint32_t k = 0; k < count; ++k)
        if (w->unsettled[slots[k]] != 0.0f) settle(w, slots[k]);
    command_speeds(w, w->count);
    move_targets(w, w->count);
    command_steering(w, w->count);
    for (uint32_t k = 0; k < count; ++k)
        if (w->acts[slots[k]] != 0.0f) stand_if_blocked(w, slots[k]);
}
