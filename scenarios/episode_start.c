/// Before the start of an episode: who is driven, over which steps, in which world.
#include "scenarios/episode_internal.h"

#include <math.h>

#include "sim/recording.h"

#define STEPS_LEAST 10u // recorded steps of the ego after the start, below which there is nothing to score

/// Steps for which a track was recorded without a gap after the start, at most `most`; *way m that it drove in them.
static uint32_t recorded_steps(const nm_scene *scene, uint32_t track, uint32_t start, uint32_t most, double *way) {
    uint32_t steps = 0;
    *way = 0.0;
    if (!scene->valid[nm_scene_at(scene, track, start)]) return 0;
    while (steps < most && start + steps + 1 < scene->step_count) {
        const size_t at = nm_scene_at(scene, track, start + steps + 1);
        if (!scene->valid[at]) break;
        *way += hypot((double)scene->x[at] - (double)scene->x[at - 1], (double)scene->y[at] - (double)scene->y[at - 1]);
        ++steps;
    }
    return steps;
}

static uint32_t choose_ego(const nm_scene *scene, uint32_t start, uint32_t most) {
    uint32_t best = NM_NONE, longest = 0;
    double furthest = 0.0;
    for (uint32_t track = 0; track < scene->track_count; ++track) {
        const nm_track *info = &scene->tracks[track];
        double way;
        if (info->flags & NM_TRACK_STATIC || nm_nuplan_type_of((nm_agent_type)info->type) != NM_NUPLAN_VEHICLE)
            continue;
        const uint32_t steps = recorded_steps(scene, track, start, most, &way);
        if (steps < longest || (steps == longest && way <= furthest)) continue;
        best = track;
        longest = steps;
        furthest = way;
    }
    return best;
}

int nm_episode_span(const nm_scene *scene, const nm_episode_config *config, uint32_t *ego, uint32_t *first,
                    uint32_t *last) {
    *first = config->start_step == NM_NONE ? scene->current_step : config->start_step;
    *last = *first;
    *ego = NM_NONE;
    const uint32_t most = (uint32_t)lroundf(config->seconds / NM_STEP_SECONDS);
    if (*first >= scene->step_count) return 0;
    *ego = config->ego_track == NM_NONE ? scene->ego : config->ego_track;
    if (*ego == NM_NONE) *ego = choose_ego(scene, *first, most);
    if (*ego == NM_NONE || *ego >= scene->track_count || !scene->valid[nm_scene_at(scene, *ego, *first)]) return 0;
    double way;
    *last += recorded_steps(scene, *ego, *first, most, &way);
    return 1;
}

int nm_episode_find_span(nm_episode_state *e) {
    const nm_scene *scene = e->scene;
    uint32_t ego, last;
    const int there = nm_episode_span(scene, e->config, &ego, &e->start, &last);
    const char *trouble = fabsf(scene->dt - NM_STEP_SECONDS) > 1e-4f ? "the scene's time step is not 0.1 s: resample it"
                          : e->start >= scene->step_count            ? "the scene ends before the start"
                          : !there                                   ? "the scene has no ego at the start"
                                                                     : NULL;
    if (trouble) {
        nm_episode_unfit(e->out, trouble);
        return 0;
    }
    e->own = *scene; // only the choice of the ego differs
    e->own.ego = ego;
    e->scene = &e->own;
    e->out->ego_track = ego;
    if (last - e->start < STEPS_LEAST) {
        nm_episode_unfit(e->out, "the ego's recording ends less than a second after the start");
        return 0;
    }
    e->iterations = last - e->start + 1;
    return 1;
}

static nm_status look_at_map(nm_episode_state *e, nm_error *error) {
    nm_episode_work *work = e->work;
    if (work->view && work->map_hash == e->scene->map->hash) return NM_OK;
    nm_nuplan_map_destroy(work->view);
    work->view = NULL;
    work->map_hash = e->scene->map->hash;
    return nm_nuplan_map_of(e->scene->map, &work->view, error);
}

static nm_status reserve(nm_episode_state *e, nm_error *error) {
    const size_t n = e->iterations, tracks = e->scene->track_count;
    nm_arena *arena = e->work->arena;
    e->ego = NM_ARENA_ARRAY(arena, nm_nuplan_ego, n);
    e->expert = NM_ARENA_ARRAY(arena, nm_nuplan_pose, n);
    e->types = NM_ARENA_ARRAY(arena, uint8_t, tracks);
    e->touching = nm_arena_calloc(arena, tracks, 1, 64);
    e->sizeless = nm_arena_calloc(arena, tracks, 1, 64);
    e->present = nm_arena_calloc(arena, n * tracks, 1, 64);
    e->boxes = NM_ARENA_ARRAY(arena, nm_nuplan_box, n * tracks);
    e->plan = NM_ARENA_ARRAY(arena, nm_plan_state, NM_PLANNER_MAX_POINTS + 1);
    e->scratch = NM_ARENA_ARRAY(arena, nm_tracker_scratch, 1);
    if (!e->ego || !e->expert || !e->types || !e->touching || !e->sizeless || !e->present || !e->boxes || !e->plan ||
        !e->scratch)
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for an episode");
    for (uint32_t track = 0; track < tracks; ++track)
        e->types[track] = (uint8_t)nm_nuplan_type_of((nm_agent_type)e->scene->tracks[track].type);
    return NM_OK;
}

static nm_nuplan_pose rear_axle_of(const nm_scene *scene, uint32_t step, double rear_to_centre) {
    const size_t at = nm_scene_at(scene, scene->ego, step);
    const double heading = (double)scene->heading[at];
    return (nm_nuplan_pose){.x = (double)scene->x[at] - rear_to_centre * cos(heading),
                            .y = (double)scene->y[at] - rear_to_centre * sin(heading),
                            .heading = heading};
}

/// With its axles where the score's have them; a size that was not recorded is a car's, as observations have it.
static nm_planner_vehicle vehicle_of(const nm_track *ego) {
    const float length = ego->length > 0.0f ? ego->length : 4.5f, width = ego->width > 0.0f ? ego->width : 1.8f;
    const nm_nuplan_vehicle as_nuplan = nm_nuplan_vehicle_sized((double)length, (double)width);
    return (nm_planner_vehicle){.length = length,
                                .width = width,
                                .wheelbase = (float)as_nuplan.wheelbase,
                                .rear_axle_to_box_centre = (float)as_nuplan.rear_to_centre};
}

static nm_status open_world(nm_episode_state *e, nm_error *error) {
    const nm_scene *scene = e->scene;
    nm_world_config config = nm_world_config_default();
    config.seed = e->config->seed;
    config.start_step = e->start;
    config.agents = e->config->agents == NM_EPISODE_LOG ? NM_POLICY_LOG : NM_POLICY_IDM;
    config.ego = NM_POLICY_EXTERNAL;
    config.idm = e->config->idm;
    config.checks = NM_CHECK_COLLISION | NM_CHECK_TTC;
    nm_status status = nm_world_create(scene, &config, &e->world, error);
    if (status != NM_OK) return status;
    const nm_planner_needs needs = nm_planner_get_needs(e->planner);
    nm_observation_config seen = nm_observation_config_default(scene);
    seen.seed = e->config->seed;
    seen.start_step = e->start;
    seen.step_count = e->iterations - 1;
    seen.history = needs.history;
    seen.map_radius = needs.map_radius;
    seen.deadline = e->config->deadline;
    seen.vehicle = vehicle_of(&scene->tracks[scene->ego]);
    status = nm_observation_create(scene, &seen, &e->observation, error);
    if (status != NM_OK) return status;
    e->vehicle = nm_observation_scenario(e->observation)->vehicle;
    for (uint32_t k = 0; k < e->iterations; ++k)
        e->expert[k] = rear_axle_of(scene, e->start + k, (double)e->vehicle.rear_axle_to_box_centre);
    return NM_OK;
}

/// What the model drives goes on in a scene made of what was driven, kept or not.
static nm_status begin_recording(nm_episode_state *e, nm_error *error) {
    e->builds = e->config->keep_scene || e->adversary || e->config->agents == NM_EPISODE_NEXUS;
    if (!e->builds) return NM_OK;
    nm_scene_builder_reset(e->work->builder);
    return nm_recording_begin(e->work->builder, e->scene, e->start, e->start + 1, error); // grows with what is driven
}

nm_status nm_episode_prepare(nm_episode_state *e, nm_error *why) {
    nm_status status = reserve(e, why);
    if (status == NM_OK) status = look_at_map(e, why);
    if (status == NM_OK) status = open_world(e, why);
    if (status == NM_OK) status = begin_recording(e, why);
    return status;
}
