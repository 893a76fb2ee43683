/// Where agents are on the lane graph: cursors that move along rails instead of searching, the order of agents on each
/// lane, and leaders.
#include "sim/world_internal.h"

#define NM_CURVE_LATERAL 2.5f   ///< m/s^2 that drivers take in curves
#define NM_RAIL_FITS 4096u      ///< rail points (128 KiB) that stay in the second-level cache by themselves
#define NM_MIRROR 0.1f          ///< m that a box may reach over a border before it is in the way there
#define NM_TURN_BRAKE 1.8f      ///< m/s^2 at most to make a turn that was drawn
#define NM_CURVE_BRAKE 1.5f     ///< m/s^2 with which they slow down before them
#define NM_STEER_DELAY 0.1f     ///< s
#define NM_STEER_BUILD_UP 0.05f ///< 1/m of curvature, half of a tight bend's: it has to be built up before a corner
#define NM_CORNER 0.02f         ///< rad between one lane and the next that are no rounding error
#define NM_CORNER_FROM 0.5f     ///< s before it: the slowest wheels, those of a bus, take that long
#define NM_CORNER_LEAST 0.7f    ///< m over which a corner is driven at least
#define NM_RECORDED_STEPS 5u    ///< over which the recorded curvature is taken
#define NM_STEER_TRUST 2.0f     ///< m^2, see take_over_steering
#define NM_TAKEN_LATERAL 4.0f   ///< m/s^2 sideways that are taken over from a recording
#define NM_MATCH_RADIUS 4.0f    ///< m to the nearest lane for an agent to be on it

static unsigned lane_mask(uint8_t type) {
    if (type == NM_AGENT_PEDESTRIAN) return (1u << NM_LANE_SIDEWALK) | (1u << NM_LANE_CROSSWALK);
    if (type == NM_AGENT_CYCLIST) return NM_LANE_MASK_VEHICLE | (1u << NM_LANE_BIKE);
    return NM_LANE_MASK_VEHICLE;
}

/// How a lane without successors ends: beside a lane that goes on one has to change; otherwise the road leaves the map.
static nm_lane_end end_of_lane(const nm_map *map, const nm_lane *lane) {
    for (uint32_t k = 0; k < lane->successors.count; ++k)
        if (nm_lane_type_drivable((nm_lane_type)map->lanes[map->lane_refs[lane->successors.first + k]].type))
            return NM_LANE_GOES_ON;
    const nm_range sides[2] = {lane->left, lane->right};
    for (int side = 0; side < 2; ++side)
        for (uint32_t k = 0; k < sides[side].count; ++k) {
            const nm_neighbour *n = &map->neighbours[sides[side].first + k];
            const nm_lane *beside = &map->lanes[n->lane];
            if (!n->opposite && nm_lane_type_drivable((nm_lane_type)beside->type) && beside->type != NM_LANE_SHOULDER &&
                (beside->successors.count > 0 || n->other_end + 10.0f < beside->length))
                return NM_LANE_MUST_CHANGE;
        }
    return NM_LANE_LEAVES;
}

/// Does anything but the traffic on it say who may go on at this lane, and when?
static int has_rule(const nm_lane *lane) {
    return lane->conflicts.count > 0 || lane->signals.count > 0 || lane->control >= NM_CONTROL_STOP;
}

/// Speed allowed at every rail point: the limit, what the curvature allows, and what is needed to slow down for what
/// comes within the next lanes. Two sweeps over the graph carry a slow place back over short lanes.
void nm_world_prepare_lanes(nm_world *world) {
    const nm_map *map = world->map;
    float *cruise = world->cruise_at;
    for (uint32_t i = 0; i < map->rail_count; ++i) {
        const float bend = nm_maxf(fabsf(map->rail[i].curvature), 1e-4f);
        cruise[i] = nm_maxf(nm_minf(map->rail[i].speed_limit, sqrtf(NM_CURVE_LATERAL / bend)), 2.0f);
    }
    for (int sweep = 0; sweep < 3; ++sweep) {
        for (uint32_t l = 0; l < map->lane_count; ++l) {
            const nm_lane *lane = &map->lanes[l];
            float *at = cruise + lane->rail.first;
            float next = 0.0f; // the fastest start among the successors: nobody brakes for a branch not taken
            for (uint32_t k = 0; k < lane->successors.count; ++k) {
                const nm_lane *after = &map->lanes[map->lane_refs[lane->successors.first + k]];
                next = nm_maxf(next, cruise[after->rail.first]);
            }
            if (next > 0.0f) at[lane->rail.count - 1] = nm_minf(at[lane->rail.count - 1], next);
            for (uint32_t i = lane->rail.count - 1; i-- > 0;) {
                const float reach = sqrtf(at[i + 1] * at[i + 1] + 2.0f * NM_CURVE_BRAKE * lane->rail_step);
                at[i] = nm_minf(at[i], reach);
            }
        }
    }
    for (uint32_t l = 0; l < map->lane_count; ++l) {
        world->lane_end[l] = (uint8_t)end_of_lane(map, &map->lanes[l]);
        world->has_rules |= has_rule(&map->lanes[l]);
    }
}

/// Does the box stay on the lane's width and 0.6 m beside it, where the lane bends most? The front of a vehicle of
/// length 2 h whose axle is `rear` behind the middle swings out by about h (rear + h / 2) times the curvature.
static int fits(const nm_world *world, uint32_t slot, const nm_lane *lane) {
    const float h = 0.5f * world->length[slot];
    if (h < 3.0f) return 1;
    const nm_rail_point *p = &world->map->rail[lane->rail.first + lane->rail.count / 2];
    const float swing = h * (world->rear[slot] + 0.5f * h) * fabsf(p->curvature);
    return swing + world->width[slot] < p->left + p->right + 0.6f;
}

/// Goes round, as on a roundabout: another lane of the junction follows, which does not lead out of it.
static int stays_within(const nm_map *map, const nm_lane *to) {
    if (!(to->flags & NM_LANE_JUNCTION)) return 0;
    for (uint32_t k = 0; k < to->successors.count; ++k)
        if (map->lanes[map->lane_refs[to->successors.first + k]].flags & NM_LANE_JUNCTION) return 1;
    return 0;
}

/// A branch is drawn for (seed, agent, lane) alone, so routes need no memory; branches that cannot be taken any more at
/// this speed, `distance` m before them, are left out of the draw.
static uint32_t choose_successor(const nm_world *world, uint32_t slot, uint32_t lane, float distance) {
    const nm_map *map = world->map;
    const nm_lane *from = &map->lanes[lane];
    const unsigned mask = lane_mask(world->type[slot]);
    const float v = world->speed[slot];
    float total = 0.0f;
    float weights[8];
    uint32_t choices[8];
    uint32_t count = 0;
    for (uint32_t k = 0; k < from->successors.count && count < 8; ++k) {
        const uint32_t next = map->lane_refs[from->successors.first + k];
        const nm_lane *to = &map->lanes[next];
        if (!(mask >> to->type & 1u)) continue;
        const int bends = to->turn == NM_TURN_LEFT || to->turn == NM_TURN_RIGHT;
        float weight = bends ? 0.5f : to->turn == NM_TURN_U ? 0.02f : 2.0f;
        if (from->flags & NM_LANE_JUNCTION) weight = stays_within(map, to) ? 1.0f : 2.0f;
        if (to->successors.count == 0 && to->length < 30.0f) weight *= 0.1f;
        const float slow = world->cruise_at[to->rail.first];
        if (v * v > slow * slow + 2.0f * NM_TURN_BRAKE * distance) weight *= 1e-3f;
        if (!fits(world, slot, to)) weight *= 1e-2f;
        choices[count] = next;
        weights[count++] = weight;
        total += weight;
    }
    if (count == 0) return NM_NONE;
    if (count == 1) return choices[0];
    // anew every minute, or whoever drew to stay at every exit of a roundabout would stay for ever
    const nm_rng_key key = {world->config.seed, world->scene_key, world->track[slot], world->step / 600,
                            NM_PURPOSE_ROUTE};
    float draw = nm_rng_uniform(&key, lane) * total;
    for (uint32_t k = 0; k + 1 < count; ++k) {
        if (draw < weights[k]) return choices[k];
        draw -= weights[k];
    }
    return choices[count - 1];
}

static void extend_path(nm_world *world, uint32_t slot) {
    uint32_t *path = world->path + (size_t)slot * NM_PATH_MAX;
    const nm_lane *lanes = world->map->lanes;
    float distance = lanes[world->lane[slot]].length - world->lane_s[slot];
    for (uint32_t i = 0; i < world->path_count[slot]; ++i) distance += lanes[path[i]].length;
    while (world->path_count[slot] < NM_PATH_MAX) {
        const uint32_t last = world->path_count[slot] ? path[world->path_count[slot] - 1] : world->lane[slot];
        const uint32_t next = choose_successor(world, slot, last, distance);
        if (next == NM_NONE || next == last) return;
        path[world->path_count[slot]++] = next;
        distance += lanes[next].length;
    }
}

/// Maps have corners between lanes, and no arc on which curvature could be built up: it has to be before. The sine of
/// the angle between `lane` and the one after it, 0 where that is no corner.
static float corner_between(const nm_map *map, const nm_lane *lane, const nm_lane *after) {
    const nm_rail_point *p = &map->rail[lane->rail.first + lane->rail.count - 1];
    const nm_rail_point *q = &map->rail[after->rail.first];
    const float turn = p->cos_h * q->sin_h - p->sin_h * q->cos_h;
    return fabsf(turn) > NM_CORNER ? turn : 0.0f;
}

/// Looks up, once for every change of the path, how it ends, where right of way begins to matter, whether there is a
/// corner or anything to slow down for, and what is beside it: most agents are far from all of it.
static void note_what_comes(nm_world *world, uint32_t slot) {
    const nm_lane *lanes = world->map->lanes;
    const uint32_t *path = world->path + (size_t)slot * NM_PATH_MAX, count = world->path_count[slot];
    world->conflict_ahead[slot] = world->rule_ahead[slot] = world->slowest_ahead[slot] = INFINITY;
    for (uint32_t i = 0; i < count; ++i)
        world->slowest_ahead[slot] = nm_minf(world->slowest_ahead[slot], world->cruise_at[lanes[path[i]].rail.first]);
    uint32_t lane = world->lane[slot];
    world->corner[slot] = count > 0 ? corner_between(world->map, &lanes[lane], &lanes[path[0]]) : 0.0f;
    world->lanes_beside[slot] =
        (lanes[lane].left.count > 0 ? NM_BESIDE_LEFT : 0u) | (lanes[lane].right.count > 0 ? NM_BESIDE_RIGHT : 0u);
    world->path_end[slot] =
        count == NM_PATH_MAX ? NM_LANE_GOES_ON : world->lane_end[count > 0 ? path[count - 1] : lane];
    float start = -INFINITY; // on it
    for (uint32_t i = 0; i <= count; ++i) {
        const nm_lane *l = &lanes[lane];
        if (has_rule(l)) world->rule_ahead[slot] = nm_minf(world->rule_ahead[slot], start);
        if (l->conflicts.count > 0) {
            world->conflict_ahead[slot] = start;
            return;
        }
        start = (i == 0 ? 0.0f : start) + l->length;
        if (i < count) lane = path[i];
    }
}

static void fill_path(nm_world *world, uint32_t slot) {
    extend_path(world, slot);
    note_what_comes(world, slot);
}

float nm_world_steer_preview(float curvature_step) {
    return NM_STEER_DELAY + NM_STEER_BUILD_UP * NM_STEP_SECONDS / curvature_step;
}

/// Curvature where the agent will be when the wheels begin to turn, and what has to be begun with for a corner.
static inline float bend_ahead(const nm_world *world, uint32_t slot) {
    const nm_map *map = world->map;
    const nm_lane *lane = &map->lanes[world->lane[slot]];
    const float v = world->speed[slot], length = lane->length, way = v * world->steer_preview[slot];
    const float start = world->lane_s[slot];
    float ahead = start + NM_STEER_DELAY * v, corner = 0.0f;
    if (ahead + NM_CORNER_FROM * v > length) {
        if (world->corner[slot] != 0.0f && length - start < way)
            corner = world->corner[slot] / nm_maxf(way, NM_CORNER_LEAST);
        if (ahead > length && world->path_count[slot] > 0) {
            ahead -= length;
            lane = &map->lanes[world->path[(size_t)slot * NM_PATH_MAX]];
        }
    }
    // recordings may go backwards, and as fast as their errors make them
    const float at = nm_clampf(ahead * lane->rail_inverse + 0.5f, 0.0f, (float)((int32_t)lane->rail.count - 1));
    return corner + map->rail[lane->rail.first + (uint32_t)(int32_t)at].curvature;
}

/// Nearest rail point by tangent projection, iterated: converges to the foot on curves as well. Mostly the first guess
/// is right and is projected once.
static void read_rail(nm_world *world, uint32_t slot, float s) {
    const nm_lane *lane = &world->map->lanes[world->lane[slot]];
    const nm_rail_point *rail = world->map->rail + lane->rail.first;
    const int last = (int)lane->rail.count - 1;
    const float x = world->x[slot], y = world->y[slot];
    const float within = 0.51f * lane->rail_step;
    int at = (int)(nm_clampf(s, 0.0f, lane->length) * lane->rail_inverse + 0.5f);
    at = at > last ? last : at;
    const nm_rail_point *p = &rail[at];
    float along = (x - p->x) * p->cos_h + (y - p->y) * p->sin_h;
    for (int i = 0; i < 4 && !(along <= within && along >= -within); ++i) {
        const int move = (int)(along * lane->rail_inverse + (along < 0.0f ? -0.5f : 0.5f));
        const int next = at + move < 0 ? 0 : at + move > last ? last : at + move;
        if (next == at) break;
        at = next;
        p = &rail[at];
        along = (x - p->x) * p->cos_h + (y - p->y) * p->sin_h;
    }
    world->lane_s[slot] = (float)at * lane->rail_step + along;
    // between the points the lane is an arc: its tangent turns by curvature * along, and it bows by half of that
    const float turn = nm_clampf(p->curvature * along, -0.3f, 0.3f), shrink = 1.0f - 0.5f * turn * turn;
    world->lane_d[slot] = (y - p->y) * p->cos_h - (x - p->x) * p->sin_h - 0.5f * turn * along;
    world->lane_cos[slot] = p->cos_h * shrink - p->sin_h * turn;
    world->lane_sin[slot] = p->sin_h * shrink + p->cos_h * turn;
    world->lane_curvature[slot] = p->curvature;
    world->bend_ahead[slot] = bend_ahead(world, slot);
    world->lane_left[slot] = p->left;
    world->lane_right[slot] = p->right;
    world->limit[slot] = p->speed_limit;
    world->cruise[slot] = world->cruise_at[lane->rail.first + (uint32_t)at];
}

static void no_lane(nm_world *world, uint32_t slot) {
    world->lane[slot] = NM_NONE;
    world->path_count[slot] = 0;
    world->conflict_ahead[slot] = world->rule_ahead[slot] = INFINITY;
    world->lane_s[slot] = world->lane_d[slot] = world->lane_curvature[slot] = world->bend_ahead[slot] = 0.0f;
    world->lane_left[slot] = world->lane_right[slot] = world->limit[slot] = 0.0f;
    world->cruise[slot] = world->speed_max[slot];
    world->lane_cos[slot] = world->cos_h[slot];
    world->lane_sin[slot] = world->sin_h[slot];
}

void nm_world_follow_lane(nm_world *world, uint32_t slot, uint32_t lane, float s, float d) {
    world->lanes_found |= world->lane[slot] == NM_NONE;
    world->lane[slot] = lane;
    world->lane_s[slot] = s;
    world->lane_d[slot] = d;
    world->path_count[slot] = 0;
    fill_path(world, slot);
    read_rail(world, slot, s);
}

/// Curvature of the recorded path just before this step, of an agent that is where it was recorded, and whether it is
/// known.
static int recorded_curvature(const nm_world *world, uint32_t slot, float *curvature) {
    const nm_scene *scene = world->scene;
    const uint32_t track = world->track[slot], past = NM_RECORDED_STEPS;
    if (world->speed[slot] < 2.0f || world->step < past || world->step >= scene->step_count) return 0;
    const size_t then = nm_scene_at(scene, track, world->step - past), now = nm_scene_at(scene, track, world->step);
    if (!scene->valid[then] || !scene->valid[now]) return 0;
    const float turned = nm_wrap_angle(scene->heading[now] - scene->heading[then]);
    *curvature = turned / (world->speed[slot] * (float)past * NM_STEP_SECONDS);
    return 1;
}

/// The wheels of a driver who takes over from a recording are turned as the recording drives, not straight ahead:
/// turning them takes half a second, in which a car would run out of a tight bend. Recorded headings are noisy: with
/// their difference off by 0.07 rad and curvatures spread by 0.05 1/m (chosen, not fitted), the best linear estimate
/// weights what was measured over `way` m by way^2 / (way^2 + (0.07 / 0.05)^2 m^2).
void nm_world_take_over(nm_world *world, uint32_t slot) {
    float curvature;
    world->curvature[slot] = 0.0f;
    if (!recorded_curvature(world, slot, &curvature)) return;
    const float v = world->speed[slot], way = (float)NM_RECORDED_STEPS * NM_STEP_SECONDS * v;
    const float most = nm_minf(world->curvature_max[slot], NM_TAKEN_LATERAL / (v * v)); // known from 2 m/s on
    world->curvature[slot] = nm_clampf(curvature * way * way / (way * way + NM_STEER_TRUST), -most, most);
}

/// Where lanes lie over one another, as in a junction, the one that is driven shows in heading, curvature and speed.
static uint32_t best_of_overlapping(const nm_world *world, uint32_t slot, nm_frenet *best) {
    nm_frenet here[12];
    const size_t found = nm_map_lanes_at(world->map, world->x[slot], world->y[slot], here, 12);
    const unsigned mask = lane_mask(world->type[slot]);
    float curvature = 0.0f, least = INFINITY;
    const int known = world->entered_step[slot] == world->step && recorded_curvature(world, slot, &curvature);
    for (size_t k = 0; k < found && k < 12; ++k) {
        const nm_lane *lane = &world->map->lanes[here[k].lane];
        const float turn = fabsf(nm_wrap_angle(here[k].heading - world->heading[slot]));
        if (!(mask >> lane->type & 1u) || turn > 1.2f) continue;
        const uint32_t at = (uint32_t)(here[k].s * lane->rail_inverse);
        const uint32_t rail = lane->rail.first + (at < lane->rail.count ? at : lane->rail.count - 1);
        float cost = fabsf(here[k].d) + 3.0f * turn;
        if (known) cost += 15.0f * nm_minf(fabsf(world->map->rail[rail].curvature - curvature), 0.2f);
        if (world->speed[slot] > 1.5f * world->cruise_at[rail]) cost += 2.0f;
        if (cost >= least) continue;
        least = cost;
        *best = here[k];
    }
    return least < INFINITY;
}

void nm_world_enter_lane(nm_world *world, uint32_t slot) {
    nm_frenet match;
    if (!best_of_overlapping(world, slot, &match)) {
        match = nm_map_match(world->map, world->x[slot], world->y[slot], world->heading[slot], NM_MATCH_RADIUS,
                             lane_mask(world->type[slot]));
    }
    if (match.lane == NM_NONE) {
        no_lane(world, slot);
        return;
    }
    nm_world_follow_lane(world, slot, match.lane, match.s, match.d);
    if (world->policy[slot] == NM_POLICY_IDM && world->entered_step[slot] == world->step)
        nm_world_take_over(world, slot);
}

void nm_world_aim_from_here(nm_world *world, uint32_t slot) {
    const int rides = world->type[slot] == NM_AGENT_CYCLIST || world->type[slot] == NM_AGENT_MOTORCYCLE;
    world->offset_target[slot] = world->lane_d[slot];
    world->offset_rest[slot] = rides ? world->lane_d[slot] : 0.0f;
}

/// Onto the next lane of the path once past the end. Returns 0 at the end of the road.
static int pass_ends(nm_world *world, uint32_t slot) {
    const nm_map *map = world->map;
    uint32_t *path = world->path + (size_t)slot * NM_PATH_MAX;
    for (int hops = 0; hops < NM_PATH_MAX; ++hops) {
        const float length = map->lanes[world->lane[slot]].length;
        if (world->lane_s[slot] <= length) return 1;
        if (world->path_count[slot] == 0) return 0;
        const float s = world->lane_s[slot] - length;
        world->lane[slot] = path[0];
        for (uint32_t i = 1; i < world->path_count[slot]; ++i) path[i - 1] = path[i];
        world->path_count[slot]--;
        fill_path(world, slot);
        read_rail(world, slot, s);
    }
    return 1;
}

/// Who comes to a lane from beside it steers, as far as the middle, for where it is heading.
static void aim_ahead(nm_world *world, uint32_t slot) {
    nm_world_aim_from_here(world, slot);
    const float d = world->lane_d[slot], rest = world->offset_rest[slot];
    const float slip = world->sin_h[slot] * world->lane_cos[slot] - world->cos_h[slot] * world->lane_sin[slot];
    const float there = d + slip * nm_look_distance(world->speed[slot], world->length[slot]);
    world->offset_target[slot] = nm_clampf(there, nm_minf(d, rest), nm_maxf(d, rest));
}

/// An agent that is not led by its lane (log, constant velocity, external) may have left it, and one that has none may
/// have come to one: look again, seldom.
static void rematch(nm_world *world, uint32_t slot) {
    const int strayed = world->lane[slot] == NM_NONE || world->lane_d[slot] > world->lane_left[slot] + 0.2f ||
                        -world->lane_d[slot] > world->lane_right[slot] + 0.2f ||
                        world->lane_s[slot] > world->map->lanes[world->lane[slot]].length + 2.0f ||
                        world->lane_s[slot] < -2.0f;
    if (!strayed || (world->step + world->track[slot]) % 5 != 0) return;
    nm_world_enter_lane(world, slot);
    if (world->policy[slot] == NM_POLICY_IDM && world->lane[slot] != NM_NONE) aim_ahead(world, slot);
}

/// Rails of a large map do not fit the cache and agents touch a new line at almost every step: ask for the lines before
/// the agents are moved, so that they have arrived when the cursors are.
void nm_world_prefetch_rails(const nm_world *world) {
    if (world->map->rail_count < NM_RAIL_FITS) return;
    for (uint32_t slot = 0; slot < world->count; ++slot) {
        if (world->lane[slot] == NM_NONE) continue;
        const nm_lane *lane = &world->map->lanes[world->lane[slot]];
        const float s = nm_clampf(world->lane_s[slot] + world->speed[slot] * NM_STEP_SECONDS, 0.0f, lane->length);
        const uint32_t at = lane->rail.first + (uint32_t)(s * lane->rail_inverse + 0.5f);
        __builtin_prefetch(world->map->rail + at);
        __builtin_prefetch(world->cruise_at + at);
    }
}

void nm_world_update_lanes(nm_world *world) {
    for (uint32_t slot = 0; slot < world->count; ++slot) {
        if (world->fixed[slot] && world->step % 10 != 0) continue;
        // who stands where it stood is still at the same place on the same lane
        // (recordings also have those who move without a velocity)
        if (world->vx[slot] == 0.0f && world->vy[slot] == 0.0f && world->lane[slot] != NM_NONE &&
            world->x[slot] == world->before_x[slot] && world->y[slot] == world->before_y[slot])
            continue;
        const int led = world->policy[slot] == NM_POLICY_IDM;
        if (world->lane[slot] != NM_NONE) {
            const float along = world->vx[slot] * world->lane_cos[slot] + world->vy[slot] * world->lane_sin[slot];
            read_rail(world, slot, world->lane_s[slot] + along * NM_STEP_SECONDS);
            pass_ends(world, slot);
        }
        if (!led || world->lane[slot] == NM_NONE) rematch(world, slot);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Order on lanes

static inline int entry_before(const nm_order_entry *a, const nm_order_entry *b) {
    if (a->lane != b->lane) return a->lane < b->lane;
    if (a->s != b->s) return a->s < b->s;
    return a->slot < b->slot;
}

/// The lane beside `slot`'s that its box reaches into, and where it is there, in that lane's own direction; NM_NONE
/// when there is none. *opposite: that lane runs the other way.
static uint32_t overlapped_lane(const nm_world *world, uint32_t slot, float *s, float *d, int *opposite) {
    const float half = 0.5f * world->width[slot] - NM_MIRROR;
    const float offset = world->lane_d[slot];
    const nm_lane *lane = &world->map->lanes[world->lane[slot]];
    nm_range beside;
    float border, other_side;
    if (offset + half > world->lane_left[slot]) {
        beside = lane->left, border = world->lane_left[slot], other_side = -1.0f;
    } else if (half - offset > world->lane_right[slot]) {
        beside = lane->right, border = -world->lane_right[slot], other_side = 1.0f;
    } else {
        return NM_NONE;
    }
    for (uint32_t k = 0; k < beside.count; ++k) {
        const nm_neighbour *n = &world->map->neighbours[beside.first + k];
        if (world->lane_s[slot] < n->self_start || world->lane_s[slot] > n->self_end) continue;
        const float span = n->self_end - n->self_start;
        const float share = span > 0.1f ? (world->lane_s[slot] - n->self_start) / span : 0.0f;
        *s = n->other_start + share * (n->other_end - n->other_start);
        // the neighbour's centreline is half its width beyond the border; take this lane's own width for it
        const float width = 0.5f * (world->lane_left[slot] + world->lane_right[slot]);
        *d = offset - border + other_side * width;
        *opposite = n->opposite;
        if (n->opposite) *d = -*d;
        return n->lane;
    }
    return NM_NONE;
}

/// Does the box reach over a border of its lane? The quick answer for nearly everybody: no.
static inline int reaches_over(const nm_world *world, uint32_t slot) {
    const float half = 0.5f * world->width[slot] - NM_MIRROR, d = world->lane_d[slot];
    return d + half > world->lane_left[slot] || half - d > world->lane_right[slot];
}

/// A ghost's entry after a move; 0 when it is over.
static int refresh_ghost(nm_world *world, uint32_t slot, nm_order_entry *entry) {
    int opposite;
    entry->lane = NM_NONE;
    if (world->lane[slot] != NM_NONE && reaches_over(world, slot))
        entry->lane = overlapped_lane(world, slot, &entry->s, &entry->d, &opposite);
    world->has_ghost[slot] = entry->lane != NM_NONE;
    return entry->lane != NM_NONE;
}

/// Refreshes the entries in their old order; ghosts that are over drop out, new ones come last.
static uint32_t refresh_order(nm_world *world) {
    nm_order_entry *order = world->order;
    uint32_t kept = 0, fresh = 0;
    int opposite;
    for (uint32_t i = 0; i < world->order_count; ++i) {
        const uint32_t name = order[i].slot, slot = name & ~NM_GHOST;
        if (NM_UNLIKELY(name & NM_GHOST)) {
            nm_order_entry ghost = order[i];
            if (refresh_ghost(world, slot, &ghost)) order[kept++] = ghost;
            continue;
        }
        const uint32_t lane = world->lane[slot];
        world->ordered[slot] = lane != NM_NONE;
        if (!world->has_ghost[slot] && reaches_over(world, slot)) world->list[fresh++] = slot;
        if (NM_UNLIKELY(lane == NM_NONE)) continue;
        nm_order_entry *entry = &order[kept++]; // field by field: copied whole, it would have to wait for its parts
        entry->lane = lane;
        entry->s = world->lane_s[slot];
        entry->d = world->lane_d[slot];
        entry->slot = slot;
    }
    for (uint32_t i = 0; i < fresh; ++i) {
        nm_order_entry ghost = {.lane = NM_NONE, .slot = world->list[i] | NM_GHOST};
        if (world->lane[world->list[i]] != NM_NONE && !world->has_ghost[world->list[i]])
            ghost.lane = overlapped_lane(world, world->list[i], &ghost.s, &ghost.d, &opposite);
        if (ghost.lane == NM_NONE) continue;
        world->has_ghost[world->list[i]] = 1;
        order[kept++] = ghost;
    }
    return kept;
}

/// Where each lane's agents begin in the sorted order, how many they are, and where each agent is.
static void index_order(nm_world *world) {
    const nm_order_entry *order = world->order;
    for (uint32_t i = 0; i < world->order_count;) {
        const uint32_t lane = order[i].lane, first = i;
        do {
            if (!(order[i].slot & NM_GHOST)) world->order_position[order[i].slot] = i;
            ++i;
        } while (i < world->order_count && order[i].lane == lane);
        world->lane_first[lane] = first;
        world->lane_agents[lane] = i - first;
    }
}

/// Brings the order of agents on lanes up to date and sorts it by insertion: nearly sorted, so nearly linear.
void nm_world_sort_lanes(nm_world *world) {
    nm_order_entry *order = world->order;
    for (uint32_t i = 0; i < world->order_count; ++i) world->lane_agents[order[i].lane] = 0;
    uint32_t kept = refresh_order(world);
    if (world->ordered_count < world->count || world->lanes_found) {
        world->lanes_found = 0;
        for (uint32_t slot = 0; slot < world->count; ++slot) {
            if (world->ordered[slot] || world->lane[slot] == NM_NONE) continue;
            order[kept++] = (nm_order_entry){world->lane[slot], world->lane_s[slot], world->lane_d[slot], slot};
            world->ordered[slot] = 1;
        }
    }
    world->ordered_count = world->count;
    world->order_count = kept;
    for (uint32_t i = 1; i < kept; ++i) {
        if (!entry_before(&order[i], &order[i - 1])) continue;
        const nm_order_entry entry = order[i];
        uint32_t j = i;
        for (; j > 0 && entry_before(&entry, &order[j - 1]); --j) order[j] = order[j - 1];
        order[j] = entry;
    }
    index_order(world);
}

uint32_t nm_world_order_after(const nm_world *world, uint32_t lane, float at) {
    uint32_t low = world->lane_agents[lane] ? world->lane_first[lane] : 0, high = low + world->lane_agents[lane];
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (world->order[middle].s > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/// In the way of `slot`, anywhere between the lateral offsets `low` and `high` of that lane?
static inline int in_the_way(const nm_world *world, uint32_t slot, float low, float high, const nm_order_entry *entry) {
    const uint32_t other = entry->slot & ~NM_GHOST;
    const float clear = 0.5f * (world->width[slot] + world->width[other]) + 0.2f;
    return other != slot && entry->d < high + clear && entry->d > low - clear;
}

/// Who reaches over a border still has those of the lane it reaches into before it.
static void find_lead_beside(nm_world *world, uint32_t slot, float reach) {
    float s, d;
    int opposite;
    const uint32_t lane = overlapped_lane(world, slot, &s, &d, &opposite);
    if (lane == NM_NONE || opposite || world->lane_agents[lane] == 0) return;
    const uint32_t end = world->lane_first[lane] + world->lane_agents[lane];
    for (uint32_t p = nm_world_order_after(world, lane, s); p < end; ++p) {
        const nm_order_entry *entry = &world->order[p];
        const uint32_t other = entry->slot & ~NM_GHOST;
        const float gap = entry->s - s - 0.5f * (world->length[slot] + world->length[other]);
        if (gap > reach || gap >= world->lead_gap[slot]) return;
        if (!in_the_way(world, slot, d, d, entry)) continue;
        world->lead[slot] = other;
        world->lead_gap[slot] = gap;
        return;
    }
}

static void find_lead(nm_world *world, uint32_t slot) {
    const float reach = 20.0f + 5.0f * world->speed[slot];
    // All that lies between where it is and where it will be matters while it moves sideways. The target creeps there
    // in a lane change: only two-wheelers stay away from the middle.
    const float here = world->lane_d[slot], target = world->offset_target[slot];
    const float rest = world->offset_rest[slot];
    const float low = nm_minf(nm_minf(here, target), rest), high = nm_maxf(nm_maxf(here, target), rest);
    const uint32_t *path = world->path + (size_t)slot * NM_PATH_MAX;
    uint32_t lane = world->lane[slot];
    uint32_t from = world->order_position[slot] + 1;
    float base = -world->lane_s[slot];
    world->lead[slot] = NM_NONE;
    world->lead_gap[slot] = INFINITY;
    for (uint32_t i = 0;; ++i) {
        const uint32_t first = world->lane_first[lane], end = first + world->lane_agents[lane];
        if (i > 0) from = first; // of an empty lane anything, but then it is the end as well
        for (uint32_t p = from; p < end; ++p) {
            const nm_order_entry *entry = &world->order[p];
            const uint32_t other = entry->slot & ~NM_GHOST;
            const float gap = base + entry->s - 0.5f * (world->length[slot] + world->length[other]);
            if (gap > reach) return;
            if (!in_the_way(world, slot, low, high, entry)) continue;
            world->lead[slot] = other;
            world->lead_gap[slot] = gap;
            return;
        }
        base += world->map->lanes[lane].length;
        if (base > reach || i == world->path_count[slot]) return;
        lane = path[i];
    }
}

void nm_world_find_leads(nm_world *world) {
    for (uint32_t slot = 0; slot < world->count; ++slot) {
        if (world->lane[slot] == NM_NONE || world->policy[slot] != NM_POLICY_IDM || world->fixed[slot]) {
            world->lead[slot] = NM_NONE;
            world->lead_gap[slot] = INFINITY;
            continue;
        }
        find_lead(world, slot);
        if (world->has_ghost[slot]) find_lead_beside(world, slot, 20.0f + 5.0f * world->speed[slot]);
    }
}
