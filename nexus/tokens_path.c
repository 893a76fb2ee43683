/// Where the road leads each agent: its lane, the lanes after it, and the choice among them.
#include "nexus/tokens_private.h"

#include <string.h>

#include "base/rng.h"

#define ROUTE_LANES 24u
#define ROUTES 8u
#define ALONG_LANE 0.5f  // cosine: who stands farther across its lane, or against it, is not led by it
#define GOAL_RADIUS 4.0f // m beside a path: a goal farther away is not on it

/// Lanes one after another, each a successor of the one before.
typedef struct route {
    uint32_t lanes[ROUTE_LANES], count;
    float length; ///< m from the agent to the end of the last lane
} route;

/// rad, where a lane ends.
static float end_heading(const nm_map *map, uint32_t lane) {
    const nm_lane *at = &map->lanes[lane];
    const nm_rail_point *rail = &map->rail[at->rail.first + at->rail.count - 1];
    return nm_atan2f(rail->sin_h, rail->cos_h);
}

/// m that one can drive from the beginning of `lane` on, as far as `wanted`. visits: lanes that may still be looked at.
static float reach(const nm_map *map, uint32_t lane, unsigned mask, float wanted, uint32_t *visits) {
    const nm_lane *at = &map->lanes[lane];
    float best = 0.0f;
    if (at->length >= wanted || *visits == 0) return at->length;
    --*visits;
    for (uint32_t i = 0; i < at->successors.count && at->length + best < wanted; ++i) {
        const uint32_t next = map->lane_refs[at->successors.first + i];
        if (1u << map->lanes[next].type & mask)
            best = nm_maxf(best, reach(map, next, mask, wanted - at->length, visits));
    }
    return at->length + best;
}

/// The successor that turns least, of those for the agent from which it can go on for `wanted` m, or as far as from
/// any: who is seen in a map is rarely about to leave it. NM_NONE at the end of the road. Of equals the first.
static uint32_t straightest(const nm_map *map, uint32_t lane, unsigned mask, float wanted) {
    const nm_lane *at = &map->lanes[lane];
    const float heading = end_heading(map, lane);
    uint32_t best = NM_NONE;
    float least = INFINITY, farthest = 0.0f;
    for (uint32_t i = 0; i < at->successors.count; ++i) {
        const uint32_t next = map->lane_refs[at->successors.first + i];
        uint32_t visits = at->successors.count > 1 ? 32 : 0;
        if (!(1u << map->lanes[next].type & mask)) continue;
        const float turn = fabsf(nm_wrap_angle(end_heading(map, next) - heading)),
                    far = nm_minf(reach(map, next, mask, wanted, &visits), wanted);
        if (far < farthest || (far == farthest && turn >= least)) continue;
        least = turn;
        farthest = far;
        best = next;
    }
    return best;
}

static void extend(const nm_map *map, unsigned mask, float length, route *r) {
    while (r->length < length && r->count < ROUTE_LANES) {
        const uint32_t next = straightest(map, r->lanes[r->count - 1], mask, length - r->length);
        if (next == NM_NONE) return;
        r->lanes[r->count++] = next;
        r->length += map->lanes[next].length;
    }
}

/// The straightest way, then those that leave it once, in the order in which they do.
static uint32_t find_routes(const nm_map *map, const nm_frenet *on, unsigned mask, float length, int all,
                            route routes[ROUTES]) {
    const float first = map->lanes[on->lane].length - on->s;
    uint32_t count = 1;
    routes[0] = (route){.lanes = {on->lane}, .count = 1, .length = first};
    extend(map, mask, length, &routes[0]);
    float before = first;
    for (uint32_t k = 0; all && k + 1 < routes[0].count && count < ROUTES; ++k) {
        const nm_lane *at = &map->lanes[routes[0].lanes[k]];
        for (uint32_t i = 0; i < at->successors.count && count < ROUTES; ++i) {
            const uint32_t next = map->lane_refs[at->successors.first + i];
            if (next == routes[0].lanes[k + 1] || !(1u << map->lanes[next].type & mask)) continue;
            route *r = &routes[count++];
            memcpy(r->lanes, routes[0].lanes, (k + 1) * sizeof *r->lanes);
            r->lanes[k + 1] = next;
            r->count = k + 2;
            r->length = before + map->lanes[next].length;
            extend(map, mask, length, r);
        }
        before += map->lanes[routes[0].lanes[k + 1]].length;
    }
    return count;
}

/// Ways from every lane that the agent may be on, the best match first: in a junction several begin side by side.
static uint32_t find_all_routes(const nm_map *map, const nm_frenet *on, const nm_token_frame *own, unsigned mask,
                                float length, route routes[ROUTES], nm_frenet starts[ROUTES]) {
    nm_frenet at[ROUTES];
    uint32_t count = find_routes(map, on, mask, length, 1, routes);
    for (uint32_t r = 0; r < count; ++r) starts[r] = *on;
    const size_t found = nm_map_lanes_at(map, (float)own->x, (float)own->y, at, ROUTES);
    for (size_t i = 0; i < found && i < ROUTES && count < ROUTES; ++i) {
        if (at[i].lane == on->lane || !(1u << map->lanes[at[i].lane].type & mask)) continue;
        if (cosf(own->heading - at[i].heading) < ALONG_LANE) continue;
        route more[ROUTES];
        const uint32_t others = find_routes(map, &at[i], mask, length, 1, more);
        for (uint32_t r = 0; r < others && count < ROUTES; ++r) {
            starts[count] = at[i];
            routes[count++] = more[r];
        }
    }
    return count;
}

/// Points of a route from place `on` on, d m beside it.
static void draw(const nm_map *map, const route *r, const nm_frenet *on, const nm_token_frame *frame, float length,
                 nm_path *path) {
    path->step = length / (float)(NM_PATH_POINTS - 1);
    uint32_t lane = 0;
    float s = on->s, turned = 0.0f, past = 0.0f; // past: m beyond the end of the road
    for (uint32_t i = 0; i < NM_PATH_POINTS; ++i, s += path->step) {
        while (lane + 1 < r->count && s > map->lanes[r->lanes[lane]].length) s -= map->lanes[r->lanes[lane++]].length;
        past = nm_maxf(s - map->lanes[r->lanes[lane]].length, 0.0f);
        const nm_rail_point rail = nm_map_rail(map, r->lanes[lane], s);
        const float x = rail.x - on->d * rail.sin_h + past * rail.cos_h,
                    y = rail.y + on->d * rail.cos_h + past * rail.sin_h;
        const nm_vec2 p = nm_token_into(frame, (double)x, (double)y), h = nm_token_turn(frame, rail.cos_h, rail.sin_h);
        const float heading = nm_atan2f(h.y, h.x);
        turned = i ? turned + nm_wrap_angle(heading - turned) : heading;
        path->x[i] = p.x;
        path->y[i] = p.y;
        path->heading[i] = turned;
    }
    nm_path_measure(path);
}

/// m from a goal to the path, or more than GOAL_RADIUS when it does not lie on it. A goal that looks the other way does
/// not.
static float miss(const nm_path *path, const nm_path_pose *goal) {
    const nm_path_pose on = nm_path_project(path, goal);
    if (on.x < -GOAL_RADIUS || on.cos_h < ALONG_LANE) return 2.0f * GOAL_RADIUS;
    return fabsf(on.y);
}

/// The agent's last logged state after its frame, in that frame.
static int find_goal(const nm_tokens *tokens, uint32_t agent, nm_path_pose *goal) {
    const nm_token_config *c = &tokens->config;
    const size_t channels = nm_token_channels(c);
    for (uint32_t t = tokens->shape.steps - 1; t > c->past; --t) {
        const size_t at = (size_t)agent * tokens->shape.steps + t;
        if (!tokens->logged[at]) continue;
        const float *state = tokens->values + at * channels + (NM_TOKEN_STEPS - 1) * (size_t)NM_OWN_CHANNELS;
        *goal = (nm_path_pose){.x = state[NM_OWN_X] * (float)c->position_scale,
                               .y = state[NM_OWN_Y] * (float)c->position_scale,
                               .cos_h = state[NM_OWN_COS] * (float)c->heading_scale,
                               .sin_h = state[NM_OWN_SIN] * (float)c->heading_scale};
        return 1;
    }
    return 0;
}

/// Where the agent is said to be bound for, in its own frame.
static int find_bound(const nm_token_request *request, const nm_tokens *tokens, uint32_t agent, nm_path_pose *goal) {
    const nm_token_frame *own = &tokens->frame[agent];
    for (uint32_t i = 0; i < request->bound_count; ++i) {
        const nm_token_bound *bound = &request->bounds[i];
        if (bound->track != tokens->track[agent]) continue;
        const float dx = (float)(bound->x - own->x), dy = (float)(bound->y - own->y);
        goal->x = dx * own->cos + dy * own->sin;
        goal->y = dy * own->cos - dx * own->sin;
        nm_sincosf(bound->heading - own->heading, &goal->sin_h, &goal->cos_h);
        return 1;
    }
    return 0;
}

/// Chooses the route and draws the path; `start` receives where it begins.
static void choose(const nm_scene *scene, const nm_token_request *request, nm_tokens *tokens, uint32_t agent,
                   const nm_frenet *on, route *chosen, nm_frenet *start) {
    nm_path *path = &tokens->path[agent];
    const nm_token_frame *own = &tokens->frame[agent];
    const size_t at = nm_scene_at(scene, tokens->track[agent], own->step);
    const float speed = nm_hypotf(scene->vx[at], scene->vy[at]);
    const unsigned mask = nm_token_lanes_for(scene->tracks[tokens->track[agent]].type);
    // all the way that 8 s of hard acceleration take
    const float length = nm_clampf(8.0f * (speed + 8.0f), 40.0f, 400.0f);
    nm_path_pose goal;
    const nm_rng_key key = {.seed = request->seed, .agent = tokens->agent_id[agent], .purpose = NM_PURPOSE_EXAMPLE};
    const int given = find_bound(request, tokens, agent, &goal) ||
                      (request->routes > nm_rng_uniform(&key, 4) && find_goal(tokens, agent, &goal));
    route routes[ROUTES];
    nm_frenet starts[ROUTES] = {*on};
    uint32_t count = 1;
    if (given)
        count = find_all_routes(scene->map, on, own, mask, length, routes, starts);
    else
        find_routes(scene->map, on, mask, length, 0, routes);
    draw(scene->map, &routes[0], on, own, length, path);
    float least = given ? miss(path, &goal) : 0.0f;
    uint32_t best = 0;
    for (uint32_t r = 1; r < count; ++r) {
        nm_path other;
        draw(scene->map, &routes[r], &starts[r], own, length, &other);
        const float missed = miss(&other, &goal);
        if (!(missed < least - 0.01f)) continue; // before the ways part all are as good as the straightest
        least = missed;
        best = r;
        *path = other;
    }
    if (least > GOAL_RADIUS && best > 0) {
        best = 0;
        draw(scene->map, &routes[0], on, own, length, path);
    }
    tokens->route_given[agent] = given && least <= GOAL_RADIUS;
    *chosen = routes[best];
    *start = starts[best];
}

/// What the lanes along the route say, up to 100 m ahead.
static void fill_rules(const nm_map *map, const route *r, const nm_frenet *start, float *k, uint32_t *lit,
                       float *stop) {
    float before = -start->s; // m from the agent to the lane's beginning
    uint32_t limits = 0;
    int entry = 0;
    *lit = NM_NONE;
    for (uint32_t i = 0; i < r->count && before < NM_SIGNAL_RANGE; ++i) {
        const nm_lane *at = &map->lanes[r->lanes[i]];
        const float stops = nm_maxf(before + at->stop_s, 0.0f);
        for (; limits < 3 && (25.0f * (float)limits <= before + at->length || i + 1 == r->count); ++limits)
            k[NM_CONDITION_PATH_LIMIT + limits] =
                nm_map_rail(map, r->lanes[i], 25.0f * (float)limits - before).speed_limit / NM_LIMIT_SCALE;
        if (!entry && at->control >= NM_CONTROL_PRIORITY && stops <= NM_SIGNAL_RANGE) {
            k[NM_CONDITION_PATH_CONTROL + at->control - NM_CONTROL_PRIORITY] = 1.0f;
            k[NM_CONDITION_PATH_ENTRY] = stops / NM_NEAR_SCALE;
            entry = 1;
        }
        if (*lit == NM_NONE && at->signals.count && stops <= NM_SIGNAL_RANGE) {
            *lit = r->lanes[i];
            *stop = stops;
        }
        before += at->length;
    }
}

/// Who is ahead on the path.
static void fill_lead(const nm_scene *scene, const nm_tokens *tokens, uint32_t agent, float *k) {
    const nm_token_frame *own = &tokens->frame[agent];
    const nm_path *path = &tokens->path[agent];
    const nm_track *track = &scene->tracks[tokens->track[agent]];
    const nm_path_pose begin = nm_path_project(path, &(nm_path_pose){.cos_h = 1.0f});
    float nearest = NM_LEAD_RANGE, *found = k + NM_CONDITION_LEAD;
    memset(found, 0, 3 * sizeof *found);
    for (uint32_t other = 0; other < tokens->shape.agents; ++other) {
        if (other == agent) continue;
        const nm_token_frame *frame = &tokens->frame[other];
        const nm_track *them = &scene->tracks[tokens->track[other]];
        const nm_vec2 place = nm_token_into(own, frame->x, frame->y),
                      ahead = nm_token_turn(own, frame->cos, frame->sin);
        if (nm_hypotf(place.x, place.y) > NM_LEAD_RANGE + 30.0f) continue;
        const nm_path_pose on =
            nm_path_project(path, &(nm_path_pose){.x = place.x, .y = place.y, .cos_h = ahead.x, .sin_h = ahead.y});
        const float half_length = 0.5f * (them->length * fabsf(on.cos_h) + them->width * fabsf(on.sin_h));
        const float half_width = 0.5f * (them->length * fabsf(on.sin_h) + them->width * fabsf(on.cos_h));
        if (on.x <= begin.x || fabsf(on.y) > half_width + 0.5f * track->width + NM_LEAD_MARGIN) continue;
        const size_t at = nm_scene_at(scene, tokens->track[other], frame->step);
        const float forward = scene->vx[at] * frame->cos + scene->vy[at] * frame->sin;
        if (on.cos_h < 0.5f && nm_hypotf(scene->vx[at], scene->vy[at]) > NM_LEAD_STANDING) continue;
        const float gap = nm_maxf(on.x - begin.x - half_length - 0.5f * track->length, 0.0f);
        if (gap >= nearest) continue;
        nearest = gap;
        found[0] = 1.0f;
        found[1] = gap / NM_NEAR_SCALE;
        found[2] = forward * on.cos_h / (float)tokens->config.speed_scale - k[NM_CONDITION_SPEED];
    }
}

void nm_token_path_fill(const nm_scene *scene, const nm_token_request *request, nm_tokens *tokens, uint32_t agent,
                        const nm_frenet *on, float *k, uint32_t *lit, float *stop) {
    route chosen;
    nm_frenet start;
    memset(&tokens->path[agent], 0, sizeof *tokens->path);
    tokens->route_given[agent] = 0;
    if (on->lane == NM_NONE || cosf(tokens->frame[agent].heading - on->heading) < ALONG_LANE) return;
    choose(scene, request, tokens, agent, on, &chosen, &start);
    k[NM_CONDITION_PATH] = 1.0f;
    k[NM_CONDITION_ROUTE] = tokens->route_given[agent] ? 1.0f : 0.0f;
    fill_rules(scene->map, &chosen, &start, k, lit, stop);
    fill_lead(scene, tokens, agent, k);
}

void nm_token_path_condition(const nm_tokens *tokens, uint32_t agent, uint32_t token, float *condition) {
    static const float offsets[] = {-24.0f, -12.0f, -6.0f, 6.0f, 12.0f, 24.0f};
    const nm_token_config *c = &tokens->config;
    const nm_path *path = &tokens->path[agent];
    const float speed = condition[NM_CONDITION_SPEED] * (float)c->speed_scale;
    const float time = 0.5f * ((float)token - (float)c->past) + condition[NM_CONDITION_AGE];
    condition[NM_CONDITION_PATH_X] = speed * time / (float)c->position_scale;
    condition[NM_CONDITION_PATH_COS] = 1.0f;
    if (!(path->step > 0.0f)) return;
    nm_path_pose on = nm_path_project(path, &(nm_path_pose){.cos_h = 1.0f});
    if (time > 0.0f) on = nm_path_coast(&on, speed, time);
    const nm_path_pose at = nm_path_place(path, &on);
    if (time > 0.0f) {
        condition[NM_CONDITION_PATH_X] = at.x / (float)c->position_scale;
        condition[NM_CONDITION_PATH_Y] = at.y / (float)c->position_scale;
        condition[NM_CONDITION_PATH_COS] = at.cos_h;
        condition[NM_CONDITION_PATH_SIN] = at.sin_h;
    }
    const nm_path_pose here = {.x = on.x, .y = on.y, .cos_h = 1.0f}, base = nm_path_place(path, &here);
    for (uint32_t i = 0; i < sizeof offsets / sizeof *offsets; ++i) {
        const nm_path_pose along = {.x = on.x + offsets[i], .y = on.y, .cos_h = 1.0f};
        const nm_path_pose p = nm_path_place(path, &along);
        float *shape = condition + NM_CONDITION_PATH_SHAPE + 3 * i;
        const float dx = p.x - base.x, dy = p.y - base.y;
        shape[0] = (dx * base.cos_h + dy * base.sin_h - offsets[i]) / 10.0f;
        shape[1] = (dy * base.cos_h - dx * base.sin_h) / 10.0f;
        shape[2] = nm_atan2f(p.sin_h * base.cos_h - p.cos_h * base.sin_h, p.cos_h * base.cos_h + p.sin_h * base.sin_h);
    }
}
