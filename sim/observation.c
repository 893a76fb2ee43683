#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "sim/observation_private.h"

// The values are one ABI for planners that include planner.h alone.
_Static_assert((int)NM_PLANNER_OBSTACLE == (int)NM_AGENT_OBSTACLE, "types of agents");
_Static_assert((int)NM_PLANNER_PEDESTRIAN == (int)NM_AGENT_PEDESTRIAN, "types of agents");
_Static_assert((int)NM_PLANNER_LIGHT_OFF == (int)NM_SIGNAL_OFF, "states of lights");
_Static_assert((int)NM_PLANNER_LIGHT_STOP == (int)NM_SIGNAL_STOP, "states of lights");
_Static_assert(NM_PLANNER_NONE == NM_NONE, "no index");

#define MOST_HISTORY 100u
#define LARGEST_RADIUS 1000.0f

/// States by sample: of the recording in a ring, or gathered for planners.
typedef struct samples {
    float *x, *y, *heading, *vx, *vy;
} samples;

struct nm_observation {
    const nm_scene *scene;
    nm_arena *arena;
    nm_observation_config config;
    nm_route *own_route;
    nm_excerpt excerpt;
    nm_planner_scenario scenario;
    nm_planner_observation public;
    uint32_t looks; ///< updates since the reset
    // by track; the sample of scene step t lies in column t % history
    samples ring;   ///< [tracks][history]
    uint32_t *step; ///< [tracks][history] step + 1 of what is in the ring, 0 = nothing
    // rows of the agents there, then the ego's at the end
    samples row; ///< [tracks + 1][history]
    uint8_t *row_valid;
    uint32_t *track;
    int64_t *id;
    uint8_t *type, *is_static;
    float *length, *width;
};

nm_observation_config nm_observation_config_default(const nm_scene *scene) {
    return (nm_observation_config){
        .name = scene->provenance.scene_id,
        .start_step = scene->current_step,
        .history = NM_PLANNER_HISTORY,
        .map_radius = 100.0f,
        .map_refresh = 20.0f,
    };
}

nm_planner_vehicle nm_planner_vehicle_of(nm_agent_type type, float length, float width) {
    const float rear = nm_dynamics_limits_of(type).rear_axle * length;
    return (nm_planner_vehicle){length, width, 2.0f * rear, rear};
}

static int make_samples(nm_arena *arena, samples *s, size_t count) {
    s->x = nm_arena_calloc(arena, count, sizeof(float), 64);
    s->y = nm_arena_calloc(arena, count, sizeof(float), 64);
    s->heading = nm_arena_calloc(arena, count, sizeof(float), 64);
    s->vx = nm_arena_calloc(arena, count, sizeof(float), 64);
    s->vy = nm_arena_calloc(arena, count, sizeof(float), 64);
    return s->x && s->y && s->heading && s->vx && s->vy;
}

static nm_status make_arrays(nm_observation *o, nm_error *error) {
    const size_t tracks = o->scene->track_count, h = o->config.history;
    nm_arena *arena = o->arena;
    int ok = make_samples(arena, &o->ring, tracks * h) && make_samples(arena, &o->row, (tracks + 1) * h);
    ok = ok && (o->step = NM_ARENA_ARRAY(arena, uint32_t, tracks * h));
    ok = ok && (o->row_valid = NM_ARENA_ARRAY(arena, uint8_t, (tracks + 1) * h));
    ok = ok && (o->track = NM_ARENA_ARRAY(arena, uint32_t, tracks));
    ok = ok && (o->id = NM_ARENA_ARRAY(arena, int64_t, tracks));
    ok = ok && (o->type = NM_ARENA_ARRAY(arena, uint8_t, tracks));
    ok = ok && (o->is_static = NM_ARENA_ARRAY(arena, uint8_t, tracks));
    ok = ok && (o->length = NM_ARENA_ARRAY(arena, float, tracks));
    ok = ok && (o->width = NM_ARENA_ARRAY(arena, float, tracks));
    if (!ok)
        return NM_ERROR(error, NM_E_MEMORY, "no memory for %u samples of %u tracks", o->config.history,
                        o->scene->track_count);
    return NM_OK;
}

static nm_status check(const nm_observation_config *c, nm_error *error) {
    if (c->history < 1 || c->history > MOST_HISTORY)
        return NM_ERROR(error, NM_E_ARGUMENT, "a planner can not be shown %u samples: 1 to %u are possible", c->history,
                        MOST_HISTORY);
    if (!(c->map_radius >= 0.0f && c->map_radius <= LARGEST_RADIUS))
        return NM_ERROR(error, NM_E_ARGUMENT, "a planner can not be shown the map %g m around: 0 to %g m are possible",
                        (double)c->map_radius, (double)LARGEST_RADIUS);
    if (!(c->map_refresh > 0.0f && c->deadline >= 0.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "map_refresh must be over 0 m and the deadline not negative");
    return NM_OK;
}

/// Memory that the excerpt, the route and the arrays live in is there; what planners are told once follows from it.
static void describe(nm_observation *o, const nm_route *route) {
    const nm_scene *scene = o->scene;
    const nm_track *ego = &scene->tracks[scene->ego];
    nm_planner_vehicle *vehicle = &o->config.vehicle;
    if (!(vehicle->length > 0.0f))
        *vehicle = nm_planner_vehicle_of((nm_agent_type)ego->type, ego->length > 0.0f ? ego->length : 4.5f,
                                         ego->width > 0.0f ? ego->width : 1.8f);
    o->scenario = (nm_planner_scenario){
        .name = o->config.name,
        .seed = o->config.seed,
        .step_seconds = NM_STEP_SECONDS,
        .step_count = o->config.step_count,
        .origin_x = scene->map->origin.x,
        .origin_y = scene->map->origin.y,
        .origin_z = scene->map->origin.z,
        .vehicle = *vehicle,
        .ego_track = scene->ego,
        .start_step = o->config.start_step,
        .map = &o->excerpt.public,
        .route = nm_route_get(route),
        .goal_box_centre = nm_route_goal(route),
        .scene = scene,
    };
}

static nm_status build(nm_observation *o, nm_error *error) {
    const nm_scene *scene = o->scene;
    const nm_route *route = o->config.route;
    nm_status status = NM_OK;
    if (!route) {
        status = nm_route_of_scene(scene, o->config.start_step, &o->own_route, error);
        route = o->own_route;
    } else if (scene->ego == NM_NONE || o->config.start_step >= scene->step_count ||
               !scene->valid[nm_scene_at(scene, scene->ego, o->config.start_step)]) {
        status = NM_ERROR(error, NM_E_NOT_FOUND, "the scene has no ego that is there at step %u", o->config.start_step);
    }
    if (status != NM_OK) return status;
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)scene->hash);
    const char *name = o->config.name && o->config.name[0] ? o->config.name : hash;
    o->config.name = nm_arena_strndup(o->arena, name, strlen(name));
    if (!o->config.name) return NM_ERROR(error, NM_E_MEMORY, "no memory for a scenario's name");
    status = nm_excerpt_create(&o->excerpt, scene->map, nm_route_get(route), o->config.map_radius,
                               o->config.map_refresh, o->arena, error);
    if (status == NM_OK) status = make_arrays(o, error);
    if (status == NM_OK) describe(o, route);
    return status;
}

nm_status nm_observation_create(const nm_scene *scene, const nm_observation_config *config, nm_observation **out,
                                nm_error *error) {
    NM_ASSERT(scene && config && out);
    *out = NULL;
    nm_status status = check(config, error);
    if (status != NM_OK) return status;
    nm_observation *o = calloc(1, sizeof *o);
    if (!o || !(o->arena = nm_arena_create(0))) {
        free(o);
        return NM_ERROR(error, NM_E_MEMORY, "no memory for an observation");
    }
    o->scene = scene;
    o->config = *config;
    status = build(o, error);
    if (status != NM_OK) {
        nm_observation_destroy(o);
        return status;
    }
    nm_observation_reset(o, config->seed);
    *out = o;
    return NM_OK;
}

void nm_observation_destroy(nm_observation *o) {
    if (!o) return;
    nm_route_destroy(o->own_route);
    nm_arena_destroy(o->arena);
    free(o);
}

static void put(nm_observation *o, uint32_t track, uint32_t step, float x, float y, float heading, float vx, float vy) {
    const uint32_t h = o->config.history;
    const size_t at = (size_t)track * h + step % h;
    o->step[at] = step + 1;
    o->ring.x[at] = x;
    o->ring.y[at] = y;
    o->ring.heading[at] = heading;
    o->ring.vx[at] = vx;
    o->ring.vy[at] = vy;
}

void nm_observation_reset(nm_observation *o, uint64_t seed) {
    const nm_scene *scene = o->scene;
    const uint32_t h = o->config.history, start = o->config.start_step;
    o->scenario.seed = seed;
    o->looks = 0;
    o->public.route_position = -1.0f;
    memset(o->step, 0, sizeof(uint32_t) * scene->track_count * h);
    for (uint32_t track = 0; track < scene->track_count; track++) {
        for (uint32_t step = start >= h - 1 ? start - (h - 1) : 0; step < start && step < scene->step_count; step++) {
            const size_t at = nm_scene_at(scene, track, step);
            if (!scene->valid[at]) continue;
            put(o, track, step, scene->x[at], scene->y[at], scene->heading[at], scene->vx[at], scene->vy[at]);
        }
    }
    nm_excerpt_reset(&o->excerpt);
    const size_t at = nm_scene_at(scene, scene->ego, start < scene->step_count ? start : scene->step_count - 1);
    nm_excerpt_look(&o->excerpt, scene->x[at], scene->y[at]);
}

const nm_planner_scenario *nm_observation_scenario(const nm_observation *o) {
    return &o->scenario;
}

/// Copies the samples of a track up to `step`, oldest first, into a row.
static void gather(nm_observation *o, uint32_t track, uint32_t step, size_t row) {
    const uint32_t h = o->config.history;
    const size_t from = (size_t)track * h, to = row * h;
    uint32_t column = (step + 1) % h; // of the oldest
    for (uint32_t k = 0; k < h; k++) {
        const size_t a = from + column, b = to + k;
        const uint32_t wanted = step + 2 + k - h; // 1 + its step; wraps to huge numbers before step 0
        const int there = o->step[a] == wanted && step + 1 + k >= h;
        o->row_valid[b] = (uint8_t)there;
        o->row.x[b] = there ? o->ring.x[a] : 0.0f;
        o->row.y[b] = there ? o->ring.y[a] : 0.0f;
        o->row.heading[b] = there ? o->ring.heading[a] : 0.0f;
        o->row.vx[b] = there ? o->ring.vx[a] : 0.0f;
        o->row.vy[b] = there ? o->ring.vy[a] : 0.0f;
        if (++column == h) column = 0;
    }
}

static nm_planner_history history_at(const nm_observation *o, size_t row) {
    const size_t at = row * o->config.history;
    return (nm_planner_history){o->config.history,   o->row_valid + at, o->row.x + at, o->row.y + at,
                                o->row.heading + at, o->row.vx + at,    o->row.vy + at};
}

static void show_agents(nm_observation *o, const nm_world_view *view) {
    const nm_scene *scene = o->scene;
    uint32_t count = 0;
    for (uint32_t track = 0; track < scene->track_count; track++) { // by track: slots move when somebody leaves
        const uint32_t slot = view->slot_of[track];
        if (slot == NM_NONE) continue;
        put(o, track, view->step, view->x[slot], view->y[slot], view->heading[slot], view->vx[slot], view->vy[slot]);
        if (track == scene->ego) continue;
        const nm_track *info = &scene->tracks[track];
        o->track[count] = track;
        o->id[count] = info->source_id;
        o->type[count] = view->type[slot];
        o->is_static[count] = (info->flags & NM_TRACK_STATIC) != 0;
        o->length[count] = view->length[slot];
        o->width[count] = view->width[slot];
        gather(o, track, view->step, count++);
    }
    o->public.agents =
        (nm_planner_agents){count, o->track, o->id, o->type, o->is_static, o->length, o->width, history_at(o, 0)};
}

/// At the first look the world does not know how the ego came there; the recording may.
static void recall_motion(const nm_observation *o, nm_planner_ego *ego) {
    const uint32_t h = o->config.history;
    const nm_planner_history *past = &o->public.ego_history;
    if (h < 2 || !past->valid[h - 2]) return;
    const float before = nm_hypotf(past->velocity_x_scene[h - 2], past->velocity_y_scene[h - 2]);
    const float speed = nm_hypotf(past->velocity_x_scene[h - 1], past->velocity_y_scene[h - 1]);
    ego->acceleration_ahead = (speed - before) / NM_STEP_SECONDS;
    if (speed < 1.0f) return; // turning on the spot is noise of the recording
    const float turn = nm_wrap_angle(past->heading_scene[h - 1] - past->heading_scene[h - 2]);
    ego->rear_axle_curvature = nm_clampf(turn / (speed * NM_STEP_SECONDS), -0.25f, 0.25f);
}

static void show_ego(nm_observation *o, const nm_world_view *view, uint32_t slot) {
    const nm_planner_vehicle vehicle = o->scenario.vehicle;
    const float back = vehicle.rear_axle_to_box_centre, x = view->x[slot], y = view->y[slot];
    const float heading = view->heading[slot];
    gather(o, o->scene->ego, view->step, o->scene->track_count);
    o->public.ego_history = history_at(o, o->scene->track_count);
    nm_planner_ego ego = {
        .rear_axle = {x - back * view->cos_h[slot], y - back * view->sin_h[slot], heading},
        .box_centre = {x, y, heading},
        .rear_axle_speed_ahead = view->speed[slot],
        .box_centre_velocity_x_scene = view->vx[slot],
        .box_centre_velocity_y_scene = view->vy[slot],
        .acceleration_ahead = view->accel[slot],
        .rear_axle_curvature = view->curvature[slot],
        .vehicle = vehicle,
    };
    if (o->looks == 0) recall_motion(o, &ego);
    ego.steering_angle = nm_atan2f(vehicle.wheelbase * ego.rear_axle_curvature, 1.0f);
    ego.yaw_rate = ego.rear_axle_speed_ahead * ego.rear_axle_curvature;
    o->public.ego = ego;
}

nm_status nm_observation_update(nm_observation *o, const nm_world *world, const nm_planner_observation **out,
                                nm_error *error) {
    const nm_world_view view = nm_world_get_view(world);
    NM_ASSERT(view.step >= o->config.start_step && view.scene->map == o->scene->map);
    NM_ASSERT(view.scene->track_count == o->scene->track_count && view.scene->ego == o->scene->ego);
    const uint32_t slot = view.slot_of[o->scene->ego];
    if (slot == NM_NONE) return NM_ERROR(error, NM_E_NOT_FOUND, "the ego is gone at step %u of the scene", view.step);
    show_agents(o, &view);
    show_ego(o, &view, slot);
    nm_planner_observation *p = &o->public;
    const nm_planner_pose at = p->ego.box_centre;
    nm_excerpt_look(&o->excerpt, at.x_scene, at.y_scene);
    p->step = view.step - o->config.start_step;
    p->time = (double)p->step * 0.1;
    p->seed = nm_hash64(nm_hash64(o->scenario.seed) + p->step); // not those of the next seed, a step later
    p->deadline = o->config.deadline;
    p->signals = nm_excerpt_signals(&o->excerpt, o->scene, view.step);
    p->map = &o->excerpt.public;
    p->route = o->scenario.route;
    p->route_position = nm_route_project(p->route, at.x_scene, at.y_scene, p->route_position, &p->route_offset);
    if (p->route_position <= 0.0f || p->route_position >= p->route->length) { // off an end: left of its prolongation
        const nm_planner_pose from = nm_route_at(p->route, p->route_position).pose;
        float sine, cosine;
        nm_sincosf(from.heading_scene, &sine, &cosine);
        p->route_offset = (at.y_scene - from.y_scene) * cosine - (at.x_scene - from.x_scene) * sine;
    }
    p->goal_box_centre = o->scenario.goal_box_centre;
    o->looks++;
    *out = p;
    return NM_OK;
}
