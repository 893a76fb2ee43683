/// What an agent of a vector environment sees: see nm_vector_block in vector_env.h.
#include <string.h>

#include "sim/math.h"
#include "sim/vector_private.h"

#define SIGHT 100.0f   ///< m: what lies further ahead counts as there
#define TTC_SIGHT 3.0f ///< s, the world's horizon
#define PATH_LANES 24u ///< followed ahead at most

enum {
    AGENT_PRESENT = 0,
    AGENT_SPEED,
    AGENT_ACCELERATION,
    AGENT_CURVATURE,
    AGENT_LENGTH,
    AGENT_WIDTH,
    AGENT_ON_LANE,
    AGENT_LANE_OFFSET,
    AGENT_LANE_HEADING,
    AGENT_LANE_LEFT,
    AGENT_LANE_RIGHT,
    AGENT_SPEED_LIMIT,
    AGENT_STOP_DISTANCE,
    AGENT_LEAD_GAP,
    AGENT_TTC,
    AGENT_OFF_ROAD,
    AGENT_HAS_ROUTE,
    AGENT_ROUTE_OFFSET,
    AGENT_ROUTE_HEADING,
    AGENT_GOAL_DISTANCE,
    AGENT_STEPS_LEFT,
    AGENT_COLUMNS
};
static const nm_vector_column agent_columns[AGENT_COLUMNS] = {
    {"present", "0/1", "the agent is there"},
    {"speed", "m/s", "along its heading, backwards negative"},
    {"acceleration", "m/s^2", "along its heading, of the last step"},
    {"curvature", "1/m", "of its path, left positive"},
    {"length", "m", "of its box"},
    {"width", "m", "of its box"},
    {"on_lane", "0/1", "a lane is followed; where not, lane_* and speed_limit are 0"},
    {"lane_offset", "m", "left of the lane's centreline"},
    {"lane_heading", "rad", "heading minus the lane's"},
    {"lane_left", "m", "from the box centre to the lane's left border"},
    {"lane_right", "m", "to its right border"},
    {"speed_limit", "m/s", "here"},
    {"stop_distance", "m", "along the lane to the next line whose light is red or yellow; 100 = none nearer"},
    {"lead_gap", "m", "bumper to bumper to the leader; 100 = none nearer"},
    {"ttc", "s", "to the first contact at constant velocities; 3 = none sooner"},
    {"off_road", "0/1", "a corner is off the drivable area"},
    {"has_route", "0/1", "where not, route_* and goal_distance are 0"},
    {"route_offset", "m", "left of the route"},
    {"route_heading", "rad", "heading minus the route's"},
    {"goal_distance", "m", "along the route to its goal, at most 1000"},
    {"steps_left", "steps", "until the episode is truncated"},
};

enum {
    NEIGHBOUR_PRESENT = 0,
    NEIGHBOUR_X,
    NEIGHBOUR_Y,
    NEIGHBOUR_COS,
    NEIGHBOUR_SIN,
    NEIGHBOUR_VX,
    NEIGHBOUR_VY,
    NEIGHBOUR_LENGTH,
    NEIGHBOUR_WIDTH,
    NEIGHBOUR_TYPE,
    NEIGHBOUR_COLUMNS
};
static const nm_vector_column neighbour_columns[NEIGHBOUR_COLUMNS] = {
    {"present", "0/1", "there is one"},
    {"x", "m", "of its box centre, ahead"},
    {"y", "m", "of its box centre, left"},
    {"cos", "", "of its heading minus the agent's"},
    {"sin", "", "of its heading minus the agent's"},
    {"vx", "m/s", "its velocity minus the agent's, ahead"},
    {"vy", "m/s", "its velocity minus the agent's, left"},
    {"length", "m", "of its box"},
    {"width", "m", "of its box"},
    {"type", "", "nm_agent_type: 1 car, 2 truck, 3 bus, 4 motorcycle, 5 cyclist, 6 pedestrian, ..."},
};

enum { LANE_PRESENT = 0, LANE_X, LANE_Y, LANE_COS, LANE_SIN, LANE_LEFT, LANE_RIGHT, LANE_LIMIT, LANE_COLUMNS };
static const nm_vector_column lane_columns[LANE_COLUMNS] = {
    {"present", "0/1", "the lane goes on so far"},
    {"x", "m", "of the centreline, ahead"},
    {"y", "m", "of the centreline, left"},
    {"cos", "", "of the lane's heading minus the agent's"},
    {"sin", "", "of the lane's heading minus the agent's"},
    {"left", "m", "from the centreline to the left border"},
    {"right", "m", "from the centreline to the right border"},
    {"speed_limit", "m/s", "there"},
};

enum { ROUTE_PRESENT = 0, ROUTE_X, ROUTE_Y, ROUTE_COS, ROUTE_SIN, ROUTE_LIMIT, ROUTE_COLUMNS };
static const nm_vector_column route_columns[ROUTE_COLUMNS] = {
    {"present", "0/1", "the route goes on so far"},
    {"x", "m", "ahead"},
    {"y", "m", "left"},
    {"cos", "", "of the route's heading minus the agent's"},
    {"sin", "", "of the route's heading minus the agent's"},
    {"speed_limit", "m/s", "there"},
};

void nm_vector_lay_out(nm_vector_env *env) {
    const nm_vector_env_config *c = &env->config;
    const nm_vector_block blocks[NM_VECTOR_BLOCKS] = {
        {"agent", 0, 1, AGENT_COLUMNS, agent_columns},
        {"neighbours", 0, c->neighbours, NEIGHBOUR_COLUMNS, neighbour_columns},
        {"lane", 0, c->lane_points, LANE_COLUMNS, lane_columns},
        {"route", 0, c->route_points, ROUTE_COLUMNS, route_columns},
    };
    env->features = 0;
    for (int i = 0; i < NM_VECTOR_BLOCKS; ++i) {
        env->layout[i] = blocks[i];
        env->layout[i].first = env->features;
        env->features += blocks[i].rows * blocks[i].columns;
    }
}

/// The frame of the observer.
typedef struct observer {
    const nm_vector_env *env;
    const nm_vector_world *w;
    const nm_vector_agent *agent;
    nm_world_view view;
    const nm_map *map;
    uint32_t slot;
    float x, y, cos_h, sin_h;
} observer;

/// Position and direction in the observer's frame: four numbers.
static void put_pose(const observer *o, float x, float y, float cos_h, float sin_h, float *out) {
    const float dx = x - o->x, dy = y - o->y;
    out[0] = o->cos_h * dx + o->sin_h * dy;
    out[1] = o->cos_h * dy - o->sin_h * dx;
    out[2] = o->cos_h * cos_h + o->sin_h * sin_h;
    out[3] = o->cos_h * sin_h - o->sin_h * cos_h;
}

// ---------------------------------------------------------------------------------------------------------------------
// The lane ahead

typedef struct path {
    uint32_t count;
    uint32_t lane[PATH_LANES];
    float from[PATH_LANES]; ///< m ahead of the agent where the lane begins; the first one's is not positive
} path;

static int on_route(const nm_planner_route *route, uint32_t lane) {
    for (uint32_t i = 0; route && i < route->lane_count; ++i)
        if (route->lanes[i] == lane) return 1;
    return 0;
}

/// The successor that the route takes, else the first.
static uint32_t next_lane(const observer *o, uint32_t lane) {
    const nm_range after = o->map->lanes[lane].successors;
    for (uint32_t k = 0; after.count > 1 && k < after.count; ++k)
        if (on_route(o->agent->route, o->map->lane_refs[after.first + k])) return o->map->lane_refs[after.first + k];
    return after.count ? o->map->lane_refs[after.first] : NM_NONE;
}

static void follow(const observer *o, float reach, path *p) {
    uint32_t lane = o->view.lane[o->slot];
    float from = lane == NM_NONE ? 0.0f : -o->view.lane_s[o->slot];
    p->count = 0;
    while (lane != NM_NONE && p->count < PATH_LANES && from <= reach) {
        p->lane[p->count] = lane;
        p->from[p->count++] = from;
        from += o->map->lanes[lane].length;
        lane = next_lane(o, lane);
    }
}

static int must_stop(nm_signal_state state) {
    return state == NM_SIGNAL_STOP || state == NM_SIGNAL_CAUTION || state == NM_SIGNAL_ARROW_STOP ||
           state == NM_SIGNAL_ARROW_CAUTION;
}

/// m to the first line ahead of the box's front, whose light says stop.
static float stop_distance(const observer *o, const path *p) {
    const float front = 0.5f * o->view.length[o->slot];
    for (uint32_t i = 0; i < p->count; ++i) {
        const nm_lane *lane = &o->map->lanes[p->lane[i]];
        const float line = p->from[i] + lane->stop_s - front;
        if (line < -front) continue; // behind
        if (line > SIGHT) break;
        for (uint32_t k = 0; k < lane->signals.count; ++k) {
            const uint32_t signal = o->map->signal_refs[lane->signals.first + k];
            if (must_stop(nm_scene_signal(o->view.scene, signal, o->view.step))) return nm_maxf(line, 0.0f);
        }
    }
    return SIGHT;
}

static void see_lane(const observer *o, const path *p, float *out) {
    const nm_vector_env_config *c = &o->env->config;
    uint32_t at = 0;
    for (uint32_t i = 0; i < c->lane_points; ++i, out += LANE_COLUMNS) {
        const float ahead = c->point_spacing * (float)i;
        while (at < p->count && ahead > p->from[at] + o->map->lanes[p->lane[at]].length) ++at;
        if (at == p->count) return;
        const nm_rail_point rail = nm_map_rail(o->map, p->lane[at], ahead - p->from[at]);
        out[LANE_PRESENT] = 1.0f;
        put_pose(o, rail.x, rail.y, rail.cos_h, rail.sin_h, out + LANE_X);
        out[LANE_LEFT] = rail.left;
        out[LANE_RIGHT] = rail.right;
        out[LANE_LIMIT] = rail.speed_limit;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The route, the others, the agent itself

static void see_route(const observer *o, float *out) {
    const nm_vector_env_config *c = &o->env->config;
    const nm_planner_route *route = o->agent->route;
    for (uint32_t i = 0; route && i < c->route_points; ++i, out += ROUTE_COLUMNS) {
        const float s = o->agent->route_at + c->point_spacing * (float)(i + 1);
        if (s > route->length) return;
        const nm_route_place place = nm_route_at(route, s);
        float sine, cosine;
        nm_sincosf(place.pose.heading_scene, &sine, &cosine);
        out[ROUTE_PRESENT] = 1.0f;
        put_pose(o, place.pose.x_scene, place.pose.y_scene, cosine, sine, out + ROUTE_X);
        out[ROUTE_LIMIT] = place.speed_limit;
    }
}

/// The nearest others, nearest first, of equally near ones the lower slot.
static void see_neighbours(const observer *o, float *out) {
    const nm_vector_env_config *c = &o->env->config;
    const nm_world_view *v = &o->view;
    uint32_t slot[NM_VECTOR_MAX_ROWS], count = 0;
    float square[NM_VECTOR_MAX_ROWS], reach = c->neighbour_radius * c->neighbour_radius;
    if (c->neighbours == 0) return;
    for (uint32_t s = 0; s < v->count; ++s) {
        const float dx = v->x[s] - o->x, dy = v->y[s] - o->y, d = dx * dx + dy * dy;
        if (!(d < reach) || s == o->slot) continue;
        uint32_t at = count < c->neighbours ? count++ : count - 1;
        for (; at > 0 && square[at - 1] > d; --at) {
            square[at] = square[at - 1];
            slot[at] = slot[at - 1];
        }
        square[at] = d;
        slot[at] = s;
        if (count == c->neighbours) reach = square[count - 1];
    }
    for (uint32_t i = 0; i < count; ++i, out += NEIGHBOUR_COLUMNS) {
        const uint32_t s = slot[i];
        const float vx = v->vx[s] - v->vx[o->slot], vy = v->vy[s] - v->vy[o->slot];
        out[NEIGHBOUR_PRESENT] = 1.0f;
        put_pose(o, v->x[s], v->y[s], v->cos_h[s], v->sin_h[s], out + NEIGHBOUR_X);
        out[NEIGHBOUR_VX] = o->cos_h * vx + o->sin_h * vy;
        out[NEIGHBOUR_VY] = o->cos_h * vy - o->sin_h * vx;
        out[NEIGHBOUR_LENGTH] = v->length[s];
        out[NEIGHBOUR_WIDTH] = v->width[s];
        out[NEIGHBOUR_TYPE] = (float)v->type[s];
    }
}

static void see_own_lane(const observer *o, float *out) {
    const nm_world_view *v = &o->view;
    const uint32_t lane = v->lane[o->slot];
    if (lane == NM_NONE) return;
    const nm_rail_point rail = nm_map_rail(o->map, lane, v->lane_s[o->slot]);
    const float offset = v->lane_d[o->slot];
    out[AGENT_ON_LANE] = 1.0f;
    out[AGENT_LANE_OFFSET] = offset;
    out[AGENT_LANE_HEADING] =
        nm_atan2f(o->sin_h * rail.cos_h - o->cos_h * rail.sin_h, o->cos_h * rail.cos_h + o->sin_h * rail.sin_h);
    out[AGENT_LANE_LEFT] = rail.left - offset;
    out[AGENT_LANE_RIGHT] = rail.right + offset;
    out[AGENT_SPEED_LIMIT] = rail.speed_limit;
}

static void see_own_route(const observer *o, float *out) {
    const nm_planner_route *route = o->agent->route;
    if (!route) return;
    const nm_route_place place = nm_route_at(route, o->agent->route_at);
    float sine, cosine;
    nm_sincosf(place.pose.heading_scene, &sine, &cosine);
    out[AGENT_HAS_ROUTE] = 1.0f;
    out[AGENT_ROUTE_OFFSET] = cosine * (o->y - place.pose.y_scene) - sine * (o->x - place.pose.x_scene);
    out[AGENT_ROUTE_HEADING] = nm_wrap_angle(o->view.heading[o->slot] - place.pose.heading_scene);
    out[AGENT_GOAL_DISTANCE] = nm_clampf(route->goal - o->agent->route_at, 0.0f, 1000.0f);
}

static void see_self(const observer *o, const path *p, float *out) {
    const nm_world_view *v = &o->view;
    const uint32_t slot = o->slot;
    out[AGENT_PRESENT] = 1.0f;
    out[AGENT_SPEED] = v->speed[slot];
    out[AGENT_ACCELERATION] = v->accel[slot];
    out[AGENT_CURVATURE] = v->curvature[slot];
    out[AGENT_LENGTH] = v->length[slot];
    out[AGENT_WIDTH] = v->width[slot];
    see_own_lane(o, out);
    out[AGENT_STOP_DISTANCE] = stop_distance(o, p);
    out[AGENT_LEAD_GAP] = v->lead[slot] == NM_NONE ? SIGHT : nm_clampf(v->lead_gap[slot], 0.0f, SIGHT);
    out[AGENT_TTC] = nm_minf(v->ttc[slot], TTC_SIGHT);
    out[AGENT_OFF_ROAD] = v->off_road[slot];
    see_own_route(o, out);
    const uint32_t most = o->env->config.max_steps;
    out[AGENT_STEPS_LEFT] = (float)(most > o->w->steps ? most - o->w->steps : 0);
}

void nm_vector_observe(const nm_vector_env *env, const nm_vector_world *w, uint32_t row, float *out) {
    memset(out, 0, sizeof *out * env->features);
    if (row >= w->agents) return;
    observer o = {.env = env, .w = w, .agent = &w->agent[row], .view = nm_world_get_view(w->world)};
    o.slot = o.view.slot_of[o.agent->track];
    if (o.slot == NM_NONE) return;
    o.map = o.view.scene->map;
    o.x = o.view.x[o.slot], o.y = o.view.y[o.slot];
    o.cos_h = o.view.cos_h[o.slot], o.sin_h = o.view.sin_h[o.slot];
    path p;
    follow(&o, nm_maxf(SIGHT, env->config.point_spacing * (float)env->config.lane_points), &p);
    see_self(&o, &p, out + env->layout[0].first);
    see_neighbours(&o, out + env->layout[1].first);
    see_lane(&o, &p, out + env->layout[2].first);
    see_route(&o, out + env->layout[3].first);
}
