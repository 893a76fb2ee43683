/// Driving: how fast (IDM behind whatever is nearest on the path), and where to (the lane's centre, or the lane changed
/// to).
#include "sim/world_internal.h"

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

static inline float idm_acceleration(const nm_world *w, uint32_t slot, float speed, float gap, float lead_speed) {
    const nm_idm_params *idm = w->config.idm;
    const float a = w->idm_accel[slot]; // heavy vehicles accelerate less than the set says
    const float wanted = nm_minf(w->cruise[slot] * w->desired_factor[slot], w->desired_cap[slot]);
    const float ratio = speed / nm_maxf(wanted, 0.5f), ratio2 = ratio * ratio;
    // The free term falls with the fourth power: held to comfortable braking, since a curve or a lower limit is no
    // emergency.
    float free = nm_maxf(1.0f - ratio2 * ratio2, -idm->brake / a);
    if (!(gap < 1e6f)) return a * free;
    const float closing = speed - lead_speed;
    const float dynamic = speed * idm->time_gap * w->gap_factor[slot] + speed * closing * w->idm_root[slot];
    const float desired = idm->min_gap + nm_maxf(dynamic, 0.0f);
    const float share = desired / nm_maxf(gap, 0.3f);
    return a * (free - share * share);
}

float nm_idm_acceleration(const nm_world *w, uint32_t slot, float speed, float gap, float lead_speed) {
    return idm_acceleration(w, slot, speed, gap, lead_speed);
}

/// To stand with the bumper at a line `gap` m ahead: no standing gap is kept to paint.
static float stop_acceleration(const nm_world *w, uint32_t slot, float gap) {
    const float v = w->speed[slot];
    if (v < 0.1f && gap < 1.0f) return -1.0f;
    return nm_maxf(nm_idm_acceleration(w, slot, v, gap + w->config.idm->min_gap - 0.5f, 0.0f), -w->brake_max[slot]);
}

/// The lanes' own profile knows no routes: it slows down for the fastest branch. Here for the one that is taken.
static void slow_for_route(nm_world *w, uint32_t slot) {
    const nm_map *map = w->map;
    const uint32_t *path = w->path + (size_t)slot * NM_PATH_MAX;
    const float v = w->speed[slot], reach = v * v * (0.5f / NM_ROUTE_BRAKE) + v;
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

/// The lanes' profile brakes comfortably and in time. Who takes over in the bend, or has to turn harder than the lane
/// to get back to it, has no time left: it would slide, or run wide as far as the steering lags behind.
static inline int too_fast_for_bend(const nm_world *w, uint32_t slot, float bend) {
    const float command = fabsf(w->curvature_command[slot]); // of the step before
    return w->speed[slot] * w->speed[slot] * nm_maxf(bend, command) > NM_BEND_HARSH;
}

/// `bend`: the tightest of the lane, here and in a moment, 1/m. *closing_in: 1 when the leader will be reached within
/// three seconds as things are.
static float speed_command(nm_world *w, uint32_t slot, float bend, int *closing_in) {
    const float v = w->speed[slot];
    float accel;
    *closing_in = 0;
    if (w->lane[slot] == NM_NONE) {
        accel = 0.0f; // off the lanes there is nothing to follow: keeps its speed, and brakes for what is in front
    } else {
        slow_for_route(w, slot);
        const uint32_t lead = w->lead[slot];
        const float lead_speed = lead == NM_NONE ? 0.0f : nm_world_speed_along(w, slot, lead);
        accel = idm_acceleration(w, slot, v, w->lead_gap[slot], lead_speed);
        *closing_in = w->lead_gap[slot] < NM_CLOSING_IN * (v - lead_speed);
        if (w->merge_gap[slot] < 1e6f) {
            const float merge = nm_idm_acceleration(w, slot, v, w->merge_gap[slot], w->merge_speed[slot]);
            accel = nm_minf(accel, nm_maxf(merge, -4.0f)); // there is time: both still come closer
        }
        if (w->stop_gap[slot] < 1e6f) accel = nm_minf(accel, stop_acceleration(w, slot, w->stop_gap[slot]));
        if (too_fast_for_bend(w, slot, bend)) accel = nm_minf(accel, -NM_BEND_BRAKE);
    }
    const float ttc = w->brake_ttc[slot];
    if (ttc < NM_EMERGENCY_TTC) accel = nm_minf(accel, -v / nm_maxf(ttc, 0.2f) - 1.0f);
    // Close to something that no lane tells of, it would creep on by a hand's breadth whenever it has come to rest.
    if (v < 2.0f && ttc < 3.0f && v * ttc < 0.6f) w->blocked_until[slot] = w->step + NM_BLOCKED_STEPS;
    if (w->step < w->blocked_until[slot]) accel = nm_minf(accel, -2.0f);
    return accel;
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
static float move_target(nm_world *w, uint32_t slot, float look, float bend, int closing_in) {
    const float v = w->speed[slot], d = w->lane_d[slot], side = 0.5f * w->width[slot];
    float *target = &w->offset_target[slot];
    const float wish = resting_offset(w, slot, bend);
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
/// which is a second-order system with damping 1/sqrt(2) in the distance driven (Coulter 1992 for the geometry).
static float steer_command(nm_world *w, uint32_t slot, float tightest, int closing_in) {
    if (w->lane[slot] == NM_NONE) return 0.0f;
    const float v = w->speed[slot];
    // long bodies swing their corners out when they straighten up quickly
    const float look = 3.0f + 0.6f * v + 0.6f * nm_maxf(w->length[slot] - 5.0f, 0.0f);
    const float rate = move_target(w, slot, look, tightest, closing_in);
    const float offset = w->lane_d[slot] - w->offset_target[slot];
    const float slip = w->sin_h[slot] * w->lane_cos[slot] - w->cos_h[slot] * w->lane_sin[slot]; // sin of heading error
    const float bend = w->bend_ahead[slot] / nm_maxf(1.0f - w->bend_ahead[slot] * w->lane_d[slot], 0.3f);
    // In a bend the centre, ahead of the axle, moves along the lane only if the body points outwards by rear *
    // curvature.
    const float wanted = rate / nm_maxf(v, 1.0f) - w->rear[slot] * w->lane_curvature[slot];
    return bend - 2.0f * nm_clampf(offset, -look, look) / (look * look) - 2.0f * (slip - wanted) / look;
}

void nm_policy_idm_act(nm_world *w, const uint32_t *slots, uint32_t count) {
    for (uint32_t k = 0; k < count; ++k) {
        const uint32_t slot = slots[k];
        const int crashed = (w->events[w->track[slot]] & NM_AGENT_COLLIDED) != 0;
        if (crashed) {
            w->accel_command[slot] = -6.0f;
            w->curvature_command[slot] = 0.0f;
            continue;
        }
        const float bend = nm_maxf(fabsf(w->lane_curvature[slot]), fabsf(w->bend_ahead[slot]));
        int closing_in;
        w->accel_command[slot] = speed_command(w, slot, bend, &closing_in);
        w->curvature_command[slot] = steer_command(w, slot, bend, closing_in);
    }
}
