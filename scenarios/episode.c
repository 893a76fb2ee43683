#include "scenarios/episode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/progress.h"
#include "base/text.h"
#include "scenarios/episode_danger.h"
#include "sim/observation.h"
#include "sim/recording.h"
#include "sim/tracker.h"
#include "sim/world_box.h"

#define STEPS_LEAST 10u // recorded steps of the ego after the start, below which there is nothing to score
#define SAMPLE_US 100000

struct nm_episode_work {
    nm_arena *arena;
    nm_scene_builder *builder;
    const nm_nuplan_map *view; // of the map seen last
    uint64_t map_hash;
};

/// What one episode needs.
typedef struct episode {
    nm_episode_work *work;
    const nm_scene *scene;
    nm_scene own; // the scene with the ego that was chosen
    nm_planner *planner;
    const nm_episode_config *config;
    nm_episode *out;
    uint32_t start, iterations; // of the scene; N of nuPlan: the expert's samples
    nm_world *world;
    nm_observation *observation;
    nm_planner_vehicle vehicle;
    nm_nuplan_ego *ego;       // [iterations]
    nm_nuplan_pose *expert;   // [iterations]
    uint8_t *types;           // [tracks]
    uint8_t *touching;        // [tracks] since the start: no doing of the planner's
    uint8_t *present;         // [iterations][tracks]
    nm_nuplan_box *boxes;     // the same
    nm_planner_motion motion; // of the last step
    nm_bicycle_state bicycle; // of a tracked ego, in double
    nm_plan_state *plan;      // [NM_PLANNER_MAX_POINTS + 1]
    nm_tracker_scratch *scratch;
    int builds;       // the driven scene is being written into work->builder
    uint32_t k;       // sample
    uint32_t asked;   // answers
    int over;         // nothing more to drive
    nm_status theirs; // the planner's doing, when not NM_OK
    nm_error why;     // what it says
} episode;

static const char *const agents_names[NM_EPISODE_AGENTS_COUNT] = {"log", "idm", "nexus"};

const char *nm_episode_agents_name(nm_episode_agents agents) {
    NM_ASSERT((unsigned)agents < NM_EPISODE_AGENTS_COUNT);
    return agents_names[agents];
}

int nm_episode_agents_from_name(const char *name, nm_episode_agents *agents) {
    for (int i = 0; i < NM_EPISODE_AGENTS_COUNT; ++i)
        if (strcmp(agents_names[i], name) == 0) {
            *agents = (nm_episode_agents)i;
            return 1;
        }
    return 0;
}

const char *nm_episode_outcome_name(nm_episode_outcome outcome) {
    static const char *const names[] = {"done", "failed", "unfit"};
    NM_ASSERT((unsigned)outcome < 3);
    return names[outcome];
}

nm_episode_config nm_episode_config_default(void) {
    return (nm_episode_config){.agents = NM_EPISODE_IDM,
                               .idm = nm_idm_named("nuplan"),
                               .start_step = NM_NONE,
                               .ego_track = NM_NONE,
                               .seconds = 15.0f,
                               .deadline = 1.0f};
}

nm_episode_work *nm_episode_work_create(void) {
    nm_episode_work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    work->arena = nm_arena_create(0);
    work->builder = nm_scene_builder_create();
    if (work->arena && work->builder) return work;
    nm_episode_work_destroy(work);
    return NULL;
}

void nm_episode_work_destroy(nm_episode_work *work) {
    if (!work) return;
    nm_arena_destroy(work->arena);
    nm_scene_builder_destroy(work->builder);
    nm_nuplan_map_destroy(work->view);
    free(work);
}

// ---------------------------------------------------------------------------------------------------------------------
// Before the start

nm_status nm_episode_check(const nm_episode_config *c, nm_error *error) {
    if ((unsigned)c->agents >= NM_EPISODE_AGENTS_COUNT)
        return NM_ERROR(error, NM_E_ARGUMENT, "there are no agents of kind %d", (int)c->agents);
    if (!(c->seconds >= 1.0f && c->seconds <= 60.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "an episode takes 1 to 60 s, not %g", (double)c->seconds);
    if (!(c->deadline >= 0.0f && c->deadline <= 3600.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "a deadline of %g s is none", (double)c->deadline);
    if (c->agents == NM_EPISODE_NEXUS && !c->loop)
        return NM_ERROR(error, NM_E_ARGUMENT, "agents driven by a model need one");
    return nm_idm_check(c->idm, error);
}

static void unfit(nm_episode *out, const char *reason) {
    out->outcome = NM_EPISODE_UNFIT;
    snprintf(out->reason, sizeof out->reason, "%s", reason);
}

static void failed(nm_episode *out, const nm_error *why) {
    out->outcome = NM_EPISODE_FAILED;
    snprintf(out->reason, sizeof out->reason, "%s", why->message);
}

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

/// From where to where the ego was recorded; 0 when there is too little to drive along.
static int find_span(episode *e) {
    const nm_scene *scene = e->scene;
    uint32_t ego, last;
    const int there = nm_episode_span(scene, e->config, &ego, &e->start, &last);
    const char *trouble = fabsf(scene->dt - NM_STEP_SECONDS) > 1e-4f ? "the scene's time step is not 0.1 s: resample it"
                          : e->start >= scene->step_count            ? "the scene ends before the start"
                          : !there                                   ? "the scene has no ego at the start"
                                                                     : NULL;
    if (trouble) {
        unfit(e->out, trouble);
        return 0;
    }
    e->own = *scene; // only the choice of the ego differs
    e->own.ego = ego;
    e->scene = &e->own;
    e->out->ego_track = ego;
    if (last - e->start < STEPS_LEAST) {
        unfit(e->out, "the ego's recording ends less than a second after the start");
        return 0;
    }
    e->iterations = last - e->start + 1;
    return 1;
}

static nm_status look_at_map(episode *e, nm_error *error) {
    nm_episode_work *work = e->work;
    if (work->view && work->map_hash == e->scene->map->hash) return NM_OK;
    nm_nuplan_map_destroy(work->view);
    work->view = NULL;
    work->map_hash = e->scene->map->hash;
    return nm_nuplan_map_of(e->scene->map, &work->view, error);
}

static nm_status reserve(episode *e, nm_error *error) {
    const size_t n = e->iterations, tracks = e->scene->track_count;
    nm_arena *arena = e->work->arena;
    e->ego = NM_ARENA_ARRAY(arena, nm_nuplan_ego, n);
    e->expert = NM_ARENA_ARRAY(arena, nm_nuplan_pose, n);
    e->types = NM_ARENA_ARRAY(arena, uint8_t, tracks);
    e->touching = nm_arena_calloc(arena, tracks, 1, 64);
    e->present = nm_arena_calloc(arena, n * tracks, 1, 64);
    e->boxes = NM_ARENA_ARRAY(arena, nm_nuplan_box, n * tracks);
    e->plan = NM_ARENA_ARRAY(arena, nm_plan_state, NM_PLANNER_MAX_POINTS + 1);
    e->scratch = NM_ARENA_ARRAY(arena, nm_tracker_scratch, 1);
    if (!e->ego || !e->expert || !e->types || !e->touching || !e->present || !e->boxes || !e->plan || !e->scratch)
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

static nm_status open_world(episode *e, nm_error *error) {
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
static nm_status begin_recording(episode *e, nm_error *error) {
    e->builds = e->config->keep_scene || e->config->agents == NM_EPISODE_NEXUS;
    if (!e->builds) return NM_OK;
    nm_scene_builder_reset(e->work->builder);
    return nm_recording_begin(e->work->builder, e->scene, e->start, e->start + 1, error); // grows with what is driven
}

/// The world as it is; lights as in the scene.
static nm_status record(const episode *e, const nm_world *world, nm_error *error) {
    if (!e->builds) return NM_OK;
    nm_status status = nm_recording_step(e->work->builder, world, error);
    if (e->config->agents != NM_EPISODE_NEXUS) return status;
    const uint32_t step = nm_world_get_view(world).step;
    for (uint32_t signal = 0; status == NM_OK && signal < e->scene->map->signal_count; ++signal)
        status =
            nm_scene_builder_set_signal(e->work->builder, signal, step, nm_scene_signal(e->scene, signal, step), error);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Driving

/// Everybody but the ego. Who touches it at the start, as recorded boxes may, is left out until they have parted.
static void take_others(episode *e, const nm_world_view *view) {
    const uint32_t k = e->k;
    const size_t row = (size_t)k * e->scene->track_count;
    const nm_box ego = nm_world_box(view, view->slot_of[e->scene->ego]);
    for (uint32_t slot = 0; slot < view->count; ++slot) {
        const uint32_t track = view->track[slot];
        if (track == e->scene->ego) continue;
        const nm_box box = nm_world_box(view, slot);
        if (k == 0) e->touching[track] = nm_box_distance(&ego, &box) <= 0.0f;
        if (e->touching[track]) continue;
        e->present[row + track] = 1;
        e->boxes[row + track] = (nm_nuplan_box){.x = (double)box.x,
                                                .y = (double)box.y,
                                                .heading = (double)view->heading[slot],
                                                .vx = (double)box.vx,
                                                .vy = (double)box.vy,
                                                .length = (double)box.length,
                                                .width = (double)box.width};
    }
}

/// Sample k as the score wants it. At the start turning counts as none, as in nuPlan, whose logs do not tell.
static void take_sample(episode *e, const nm_world *world, const nm_planner_observation *seen) {
    const nm_world_view view = nm_world_get_view(world);
    const uint32_t k = e->k;
    const nm_planner_ego *ego = &seen->ego;
    nm_nuplan_ego *to = &e->ego[k];
    *to = (nm_nuplan_ego){.time_us = (int64_t)k * SAMPLE_US,
                          .x = (double)ego->rear_axle.x_scene,
                          .y = (double)ego->rear_axle.y_scene,
                          .heading = (double)ego->rear_axle.heading_scene,
                          .vx = (double)ego->rear_axle_speed_ahead,
                          .ax = (double)ego->acceleration_ahead};
    if (!e->config->perfect && k) {
        *to = nm_bicycle_sample(&e->bicycle);
        to->time_us = (int64_t)k * SAMPLE_US;
    } else if (k) {
        to->ax = (double)e->motion.acceleration_ahead;
        to->yaw_rate =
            (double)e->motion.speed_ahead * tan((double)e->motion.steering_angle) / (double)e->vehicle.wheelbase;
        to->yaw_accel = (to->yaw_rate - e->ego[k - 1].yaw_rate) / (double)NM_STEP_SECONDS;
    }
    take_others(e, &view);
}
/// How close it came, after the start.
static void look_around(episode *e, const nm_world *world) {
    const nm_world_view view = nm_world_get_view(world);
    const uint32_t ego = view.slot_of[e->scene->ego];
    if (ego == NM_NONE) return;
    const nm_box mine = nm_world_box(&view, ego);
    for (uint32_t slot = 0; slot < view.count; ++slot) {
        const float dx = view.x[slot] - mine.x, dy = view.y[slot] - mine.y;
        const float reach =
            e->out->min_distance + 0.5f * (mine.length + mine.width + view.length[slot] + view.width[slot]);
        uint8_t *touching = &e->touching[view.track[slot]];
        if (slot == ego || (!*touching && dx * dx + dy * dy > reach * reach)) continue;
        const nm_box other = nm_world_box(&view, slot);
        const float distance = nm_box_distance(&mine, &other);
        *touching &= distance <= 0.0f;
        if (!*touching) e->out->min_distance = nm_minf(e->out->min_distance, distance);
    }
    const uint32_t next = view.ttc_with[ego];
    if (next != NM_NONE && !e->touching[view.track[next]]) e->out->min_ttc = nm_minf(e->out->min_ttc, view.ttc[ego]);
}

/// The answer as the tracker wants it: the ego now first where the planner did not say so itself.
static size_t plan_of(const episode *e, const nm_planner_output *answer) {
    nm_plan_state *plan = e->plan;
    size_t count = 0;
    if (answer->points[0].time > 0.0f)
        plan[count++] = (nm_plan_state){.time_us = e->bicycle.time_us,
                                        .x = e->bicycle.x,
                                        .y = e->bicycle.y,
                                        .heading = e->bicycle.heading,
                                        .speed = e->bicycle.speed};
    for (uint32_t i = 0; i < answer->point_count; ++i) {
        const nm_planner_trajectory_point *p = &answer->points[i];
        plan[count++] = (nm_plan_state){.time_us = e->bicycle.time_us + llround(1e6 * (double)p->time),
                                        .x = (double)p->rear_axle.x_scene,
                                        .y = (double)p->rear_axle.y_scene,
                                        .heading = (double)p->rear_axle.heading_scene,
                                        .speed = (double)p->speed_ahead};
    }
    return count;
}

/// nuPlan's two-stage controller. What a planner says as a control goes to the bicycle at once.
static nm_status track(episode *e, const nm_planner_output *answer, nm_error *why) {
    nm_tracker_params tracker = nm_tracker_params_default();
    nm_bicycle_params bicycle = nm_bicycle_params_default();
    nm_bicycle_command command = {.accel = (double)answer->acceleration_ahead};
    tracker.wheelbase = bicycle.wheelbase = (double)e->vehicle.wheelbase;
    if (answer->answer == NM_PLANNER_TRAJECTORY) {
        const nm_status status =
            nm_tracker_command(e->plan, plan_of(e, answer), &e->bicycle, &tracker, e->scratch, &command, why);
        if (status != NM_OK) return status;
    } else if (answer->answer == NM_PLANNER_CONTROL_STEERING) {
        command.steering_rate = (double)answer->steering_rate;
    } else {
        const double wanted = atan(bicycle.wheelbase * (double)answer->rear_axle_curvature);
        command.steering_rate = (wanted - e->bicycle.steering) / (double)NM_STEP_SECONDS;
    }
    e->bicycle = nm_bicycle_step(&bicycle, &e->bicycle, command, SAMPLE_US);
    const double ahead = (double)e->vehicle.rear_axle_to_box_centre;
    e->motion.box_centre =
        (nm_planner_pose){(float)(e->bicycle.x + ahead * cos(e->bicycle.heading)),
                          (float)(e->bicycle.y + ahead * sin(e->bicycle.heading)), (float)e->bicycle.heading};
    e->motion.speed_ahead = (float)e->bicycle.speed;
    return NM_OK;
}

/// Rear axle and speed as recorded; steering and turning count as none.
static void start_bicycle(episode *e, const nm_planner_ego *ego) {
    e->bicycle = (nm_bicycle_state){.x = (double)ego->rear_axle.x_scene,
                                    .y = (double)ego->rear_axle.y_scene,
                                    .heading = (double)ego->rear_axle.heading_scene,
                                    .speed = (double)ego->rear_axle_speed_ahead,
                                    .accel = (double)ego->acceleration_ahead};
}

/// The planner's answer, and where it leads.
static nm_status answer(episode *e, const nm_planner_observation *seen, nm_world *world) {
    const nm_planner_output *output;
    if (seen->step == 0) start_bicycle(e, &seen->ego);
    nm_status status = nm_planner_plan(e->planner, seen, &output, &e->why);
    const double seconds = nm_planner_last_seconds(e->planner);
    ++e->asked;
    e->out->plan_mean += seconds;
    e->out->plan_max = seconds > e->out->plan_max ? seconds : e->out->plan_max;
    if (status != NM_OK) return status;
    if (e->config->perfect)
        nm_planner_follow_exactly(NULL, output, &seen->ego, NM_STEP_SECONDS, &e->motion);
    else if ((status = track(e, output, &e->why)) != NM_OK)
        return status;
    const nm_planner_pose *centre = &e->motion.box_centre;
    nm_world_set_state(world, e->scene->ego, centre->x_scene, centre->y_scene, centre->heading_scene,
                       e->motion.speed_ahead);
    return NM_OK;
}

/// Ends the driving, in whatever loop it is done.
static nm_status finish(episode *e) {
    e->over = 1;
    return NM_E_CANCELLED;
}

/// Before a step of the world, a sample. nuPlan keeps N - 1 of N iterations.
static nm_status before_step(void *context, nm_world *world, nm_error *error) {
    episode *e = context;
    const nm_planner_observation *seen;
    e->theirs = nm_observation_update(e->observation, world, &seen, &e->why);
    if (e->theirs != NM_OK) return finish(e);
    take_sample(e, world, seen);
    e->out->samples = e->k + 1;
    if (e->config->stop && e->config->stop(e->config->stop_context))
        return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    if (e->k + 2 >= e->iterations) return finish(e);
    e->theirs = answer(e, seen, world);
    return e->theirs == NM_OK ? NM_OK : finish(e);
}

/// After it. The last sample is the one before the ego's front comes to where the map ends, since nobody can say how it
/// would go on there.
static nm_status after_step(void *context, nm_world *world, nm_error *error) {
    episode *e = context;
    if (nm_world_track_events(world, e->scene->ego) & NM_AGENT_FROZEN) {
        e->theirs = NM_ERROR(&e->why, NM_E_NUMERIC, "step %u: the ego was driven to where no scene reaches", e->k);
        return finish(e);
    }
    if (nm_world_at_end(world, e->scene->ego)) return finish(e);
    look_around(e, world);
    ++e->k;
    return record(e, world, error);
}

static nm_status drive_alone(episode *e, nm_error *error) {
    nm_status status = NM_OK;
    while (status == NM_OK) {
        status = before_step(e, e->world, error);
        if (status != NM_OK) break;
        (void)nm_world_step(e->world, NULL, 0, NULL); // somebody who became non-finite is frozen where he was
        status = after_step(e, e->world, error);
    }
    return status;
}

/// The scene as it was driven until now, for the model to go on from.
static nm_status next_window(episode *e, const nm_scene **window, nm_error *error) {
    nm_scene_builder *builder = e->work->builder;
    const nm_scene *driven = NULL;
    const uint32_t now = e->start + e->k;
    nm_status status = nm_scene_builder_build(builder, &driven, error);
    nm_scene_builder_reset(builder);
    nm_scene_destroy(*window);
    *window = driven;
    if (status == NM_OK) status = nm_recording_begin(builder, driven, now + 1, now + 1, error);
    if (status != NM_OK) return status;
    nm_scene_builder_set_current(builder, e->start, e->scene->ego);
    for (uint32_t step = e->start; status == NM_OK && step <= now; ++step)
        for (uint32_t signal = 0; status == NM_OK && signal < e->scene->map->signal_count; ++signal)
            status = nm_scene_builder_set_signal(builder, signal, step, nm_scene_signal(e->scene, signal, step), error);
    return status;
}

/// The model's futures are shorter than an episode: where one ends, another begins that has as its past what was
/// driven. Whoever the model has no room for drives by IDM.
static nm_status drive_among_model(episode *e, nm_error *error) {
    const nm_loop_driver driver = {before_step, after_step, e};
    const nm_scene *window = NULL;
    nm_status status = NM_OK;
    while (status == NM_OK) {
        nm_loop_request request = nm_loop_request_default(window ? window : e->scene);
        request.current_step = e->start + e->k;
        request.ego = NM_POLICY_EXTERNAL;
        request.driver = &driver;
        request.rest = NM_POLICY_IDM;
        request.checks = NM_CHECK_TTC;
        request.idm = e->config->idm;
        request.seed = e->config->seed;
        status = nm_closed_loop_run(e->config->loop, &request, NULL, error);
        if (status == NM_OK) status = next_window(e, &window, error);
    }
    nm_scene_destroy(window);
    return status;
}

/// The scene, or what the model makes of it; the same the next time, too.
static int is_the_scenes(nm_status status) {
    return status == NM_E_NUMERIC || status == NM_E_ARGUMENT || status == NM_E_LIMIT || status == NM_E_FORMAT ||
           status == NM_E_NOT_FOUND;
}

/// What fails of the planner is in e->theirs and e->why.
static nm_status drive(episode *e, nm_error *error) {
    nm_status status = NM_OK;
    e->theirs = nm_planner_begin(e->planner, nm_observation_scenario(e->observation), &e->why);
    if (e->theirs == NM_OK) {
        status = record(e, e->world, error);
        if (status == NM_OK)
            status = e->config->agents == NM_EPISODE_NEXUS ? drive_among_model(e, error) : drive_alone(e, error);
    }
    if (e->asked) e->out->plan_mean /= e->asked;
    nm_planner_end(e->planner);
    return e->over ? NM_OK : status;
}

// ---------------------------------------------------------------------------------------------------------------------
// After it

/// Where the score lost most, and by what.
static void find_worst(nm_episode *out) {
    double most = 1e-6; // less is rounding: of progress, say
    out->worst_sample = NM_NONE;
    out->worst = "";
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) {
        const nm_nuplan_description *about = nm_nuplan_describe((nm_nuplan_metric)m);
        const double lost =
            (1.0 - out->score.metric[m].value) * (about->role == NM_NUPLAN_MULTIPLIER ? 1.0 : about->weight / 16.0);
        if (lost <= most) continue;
        most = lost;
        out->worst = about->name;
        out->worst_sample = out->score.metric[m].step;
    }
}

static nm_status score(episode *e, nm_error *error) {
    nm_episode *out = e->out;
    const nm_nuplan_drive driven = {
        .map = e->work->view,
        .vehicle = {.length = (double)e->vehicle.length,
                    .width = (double)e->vehicle.width,
                    .rear_to_centre = (double)e->vehicle.rear_axle_to_box_centre,
                    .wheelbase = (double)e->vehicle.wheelbase},
        .ego = e->ego,
        .samples = out->samples,
        .expert = e->expert,
        .expert_samples = e->iterations,
        .tracks = e->scene->track_count,
        .types = e->types,
        .present = e->present,
        .boxes = e->boxes,
    };
    const nm_status status = nm_nuplan_score(&driven, &out->score, out->collisions, NM_EPISODE_COLLISIONS, NULL, error);
    if (status != NM_OK) return status;
    out->collision_count =
        out->score.collisions < NM_EPISODE_COLLISIONS ? out->score.collisions : NM_EPISODE_COLLISIONS;
    find_worst(out);
    const nm_episode_drive drive = {.vehicle = &e->vehicle,
                                    .ego = e->ego,
                                    .samples = out->samples,
                                    .tracks = e->scene->track_count,
                                    .present = e->present,
                                    .boxes = e->boxes};
    return nm_episode_measure_danger(&drive, e->work->arena, &out->danger, error);
}

static nm_status publish(episode *e, nm_error *error) {
    const nm_scene *scene = e->scene;
    const nm_provenance *parent = &scene->provenance;
    char name[128], parameters[512];
    nm_text_escape_json(name, sizeof name, nm_planner_name(e->planner));
    snprintf(
        parameters, sizeof parameters,
        "{\"planner\":\"%s\",\"agents\":\"%s\",\"idm\":\"%s\",\"execution\":\"%s\",\"start_step\":%u,\"steps\":%u}",
        name, nm_episode_agents_name(e->config->agents), e->config->idm->name,
        e->config->perfect ? "perfect" : "tracked", e->start, e->out->samples);
    const nm_provenance provenance = {.source = "evaluate",
                                      .file = parent->file,
                                      .scene_id = parent->scene_id,
                                      .record = parent->record,
                                      .program = "nearmiss " NM_VERSION,
                                      .seed = e->config->seed,
                                      .parent = scene->hash,
                                      .parameters = parameters};
    nm_status status = nm_scene_builder_set_provenance(e->work->builder, &provenance, error);
    for (uint32_t i = 0; status == NM_OK && i < scene->tag_count; ++i)
        status = nm_scene_builder_add_tag(e->work->builder, scene->tags[i], error);
    return status == NM_OK ? nm_scene_builder_build(e->work->builder, &e->out->scene, error) : status;
}

/// What there is before the first step; a scene that it can not be made of is unfit, for the reason in *why.
static nm_status prepare(episode *e, nm_error *why) {
    nm_status status = reserve(e, why);
    if (status == NM_OK) status = look_at_map(e, why);
    if (status == NM_OK) status = open_world(e, why);
    if (status == NM_OK) status = begin_recording(e, why);
    return status;
}

static nm_status run(episode *e, nm_error *error) {
    nm_status status = prepare(e, &e->why);
    if (status == NM_E_MEMORY) {
        if (error) *error = e->why;
        return status;
    }
    const int nowhere_to_go = status == NM_OK && nm_world_at_end(e->world, e->scene->ego);
    if (status != NM_OK || nowhere_to_go) {
        unfit(e->out, nowhere_to_go ? "the road leaves the map at the start" : e->why.message);
        return NM_OK;
    }
    nm_error broken;
    nm_error_clear(&broken);
    status = drive(e, &broken);
    if (e->config->agents == NM_EPISODE_NEXUS && is_the_scenes(status)) {
        unfit(e->out, broken.message);
        return NM_OK;
    }
    if (status != NM_OK) {
        if (error) *error = broken;
        return status;
    }
    e->out->seconds = (float)e->out->samples * NM_STEP_SECONDS;
    if (e->theirs == NM_OK) {
        e->theirs = score(e, &e->why); // what a planner drove may be beyond all scoring
        if (e->theirs == NM_E_MEMORY) {
            if (error) *error = e->why;
            return e->theirs;
        }
    }
    if (e->theirs != NM_OK) failed(e->out, &e->why);
    return e->config->keep_scene && e->out->samples ? publish(e, error) : NM_OK;
}

nm_status nm_episode_run(nm_episode_work *work, const nm_scene *scene, nm_planner *planner,
                         const nm_episode_config *config, nm_episode *out, nm_error *error) {
    NM_ASSERT(work && scene && planner && config && out);
    const double begin = nm_clock();
    *out = (nm_episode){.min_ttc = INFINITY,
                        .min_distance = INFINITY,
                        .danger = nm_episode_no_danger(),
                        .worst_sample = NM_NONE,
                        .worst = ""};
    nm_arena_reset(work->arena);
    nm_status status = nm_episode_check(config, error);
    if (status != NM_OK) return status;
    episode e = {.work = work, .scene = scene, .planner = planner, .config = config, .out = out};
    nm_error_clear(&e.why);
    if (find_span(&e)) {
        out->start_step = e.start;
        status = run(&e, error);
    }
    nm_observation_destroy(e.observation);
    nm_world_destroy(e.world);
    out->wall_seconds = nm_clock() - begin;
    return status;
}
