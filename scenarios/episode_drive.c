/// From the start of an episode to its end.
#include "scenarios/episode_internal.h"

#include <math.h>

#include "scenarios/episode_entry.h"
#include "scenarios/problem.h"
#include "sim/recording.h"
#include "sim/world_box.h"

#define SAMPLE_US 100000

/// The world as it is; lights as in the scene.
static nm_status record(const nm_episode_state *e, const nm_world *world, nm_error *error) {
    if (!e->builds) return NM_OK;
    nm_status status = nm_recording_step(e->work->builder, world, error);
    if (e->config->agents != NM_EPISODE_NEXUS) return status;
    const uint32_t step = nm_world_get_view(world).step;
    for (uint32_t signal = 0; status == NM_OK && signal < e->scene->map->signal_count; ++signal)
        status =
            nm_scene_builder_set_signal(e->work->builder, signal, step, nm_scene_signal(e->scene, signal, step), error);
    return status;
}

/// Was a size recorded? A world makes one up where none was.
static int has_size(const nm_scene *scene, uint32_t track, uint32_t step) {
    const nm_track *info = &scene->tracks[track];
    if (info->length > 0.0f && info->width > 0.0f) return 1;
    if (!scene->state_length || !scene->state_width || step >= scene->step_count) return 0;
    const size_t at = nm_scene_at(scene, track, step);
    return scene->state_length[at] > 0.0f && scene->state_width[at] > 0.0f;
}

/// Everybody but the ego. Who touches it at the start, as recorded boxes may, is left out until they have parted; who
/// has no size cannot be scored.
static void take_others(nm_episode_state *e, const nm_world_view *view) {
    const uint32_t k = e->k;
    const size_t row = (size_t)k * e->scene->track_count;
    const nm_box ego = nm_world_box(view, view->slot_of[e->scene->ego]);
    for (uint32_t slot = 0; slot < view->count; ++slot) {
        const uint32_t track = view->track[slot];
        if (track == e->scene->ego) continue;
        const nm_box box = nm_world_box(view, slot);
        if (k == 0) e->touching[track] = nm_box_distance(&ego, &box) <= 0.0f;
        if (e->touching[track]) continue;
        if (!has_size(e->scene, track, view->step)) {
            e->out->sizeless += !e->sizeless[track];
            e->sizeless[track] = 1;
            continue;
        }
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

/// A pose taken off a trajectory has no yaw rate in nuPlan: its interpolated states do not carry one. A control has.
static void take_turning(const nm_episode_state *e, nm_nuplan_ego *to) {
    if (!e->steered) return;
    to->yaw_rate = (double)e->motion.speed_ahead * tan((double)e->motion.steering_angle) / (double)e->vehicle.wheelbase;
    to->yaw_accel = (to->yaw_rate - to[-1].yaw_rate) / (double)NM_STEP_SECONDS;
}

/// Speed of the ego along its heading, as recorded.
static double recorded_speed(const nm_scene *scene, uint32_t step) {
    const size_t at = nm_scene_at(scene, scene->ego, step);
    const double heading = (double)scene->heading[at];
    return (double)scene->vx[at] * cos(heading) + (double)scene->vy[at] * sin(heading);
}

/// What a log says of the acceleration at the start, as the score of a recording takes it (nuplan_scene.h): by central
/// differences, where nothing was recorded before the start by what comes after it.
static double start_acceleration(const nm_episode_state *e) {
    const nm_scene *scene = e->scene;
    const uint32_t start = e->start;
    const uint32_t before = start > 0 && scene->valid[nm_scene_at(scene, scene->ego, start - 1)] ? start - 1 : start;
    return (recorded_speed(scene, start + 1) - recorded_speed(scene, before)) /
           ((double)NM_STEP_SECONDS * (double)(start + 1 - before));
}

/// Is the ego at its goal, if it has one?
static void look_for_goal(nm_episode_state *e, const nm_planner_ego *ego) {
    const nm_episode_config *c = e->config;
    const nm_planner_pose at = ego->box_centre;
    if (!c->asked || e->out->goal_sample != NM_NONE) return;
    if (nm_problem_reached(c->asked, c->problem, e->start + e->k, at.x_scene, at.y_scene, at.heading_scene,
                           ego->rear_axle_speed_ahead))
        e->out->goal_sample = e->k;
}

/// Sample k as the score wants it. At the start turning counts as none, as in nuPlan, whose logs do not tell.
static void take_sample(nm_episode_state *e, const nm_world *world, const nm_planner_observation *seen) {
    const nm_world_view view = nm_world_get_view(world);
    const uint32_t k = e->k;
    const nm_planner_ego *ego = &seen->ego;
    nm_nuplan_ego *to = &e->ego[k];
    *to = (nm_nuplan_ego){.time_us = (int64_t)k * SAMPLE_US,
                          .x = (double)ego->rear_axle.x_scene,
                          .y = (double)ego->rear_axle.y_scene,
                          .heading = (double)ego->rear_axle.heading_scene,
                          .vx = (double)ego->rear_axle_speed_ahead,
                          .ax = start_acceleration(e)};
    if (!e->config->perfect && k) {
        *to = nm_bicycle_sample(&e->bicycle);
        to->time_us = (int64_t)k * SAMPLE_US;
    } else if (k) {
        to->ax = (double)e->motion.acceleration_ahead;
        take_turning(e, to);
    }
    take_others(e, &view);
    look_for_goal(e, ego);
}

/// How close it came, after the start.
static void look_around(nm_episode_state *e, const nm_world *world) {
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
static size_t plan_of(const nm_episode_state *e, const nm_planner_output *answer) {
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
static nm_status track(nm_episode_state *e, const nm_planner_output *answer, nm_error *why) {
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
static void start_bicycle(nm_episode_state *e, const nm_planner_ego *ego) {
    e->bicycle = (nm_bicycle_state){.x = (double)ego->rear_axle.x_scene,
                                    .y = (double)ego->rear_axle.y_scene,
                                    .heading = (double)ego->rear_axle.heading_scene,
                                    .speed = (double)ego->rear_axle_speed_ahead,
                                    .accel = start_acceleration(e)};
}

/// The planner's answer, and where it leads.
static nm_status answer(nm_episode_state *e, const nm_planner_observation *seen, nm_world *world) {
    const nm_planner_output *output;
    if (seen->step == 0) start_bicycle(e, &seen->ego);
    nm_status status = nm_planner_plan(e->planner, seen, &output, &e->why);
    const double seconds = nm_planner_last_seconds(e->planner);
    ++e->asked;
    e->out->plan_mean += seconds;
    e->out->plan_max = seconds > e->out->plan_max ? seconds : e->out->plan_max;
    if (status != NM_OK) return status;
    e->steered = output->answer != NM_PLANNER_TRAJECTORY;
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
static nm_status finish(nm_episode_state *e) {
    e->over = 1;
    return NM_E_CANCELLED;
}

/// Before a step of the world, a sample. nuPlan keeps N - 1 of N iterations.
static nm_status before_step(void *context, nm_world *world, nm_error *error) {
    nm_episode_state *e = context;
    const nm_planner_observation *seen;
    e->theirs = nm_observation_update(e->observation, world, &seen, &e->why);
    if (e->theirs != NM_OK) return finish(e);
    take_sample(e, world, seen);
    e->out->samples = e->k + 1;
    if (e->config->stop && e->config->stop(e->config->stop_context))
        return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    if (e->k + 2 >= e->iterations) return finish(e);
    if (e->adversary) nm_adversary_steer(e->adversary, world);
    e->theirs = answer(e, seen, world);
    return e->theirs == NM_OK ? NM_OK : finish(e);
}

/// After it. The last sample is the one before the ego's front comes to where the map ends, since nobody can say how it
/// would go on there.
static nm_status after_step(void *context, nm_world *world, nm_error *error) {
    nm_episode_state *e = context;
    if (nm_world_track_events(world, e->scene->ego) & NM_AGENT_FROZEN) {
        e->theirs = NM_ERROR(&e->why, NM_E_NUMERIC, "step %u: the ego was driven to where no scene reaches", e->k);
        return finish(e);
    }
    if (nm_world_at_end(world, e->scene->ego)) return finish(e);
    look_around(e, world);
    ++e->k;
    return record(e, world, error);
}

static nm_status drive_alone(nm_episode_state *e, nm_error *error) {
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
static nm_status next_window(nm_episode_state *e, const nm_scene **window, nm_error *error) {
    nm_scene_builder *builder = e->work->builder;
    const nm_scene *driven = NULL;
    const uint32_t now = e->start + e->k;
    nm_status status = nm_scene_builder_build(builder, &driven, error);
    nm_scene_builder_reset(builder);
    nm_scene_destroy(*window);
    *window = NULL;
    if (status == NM_OK) status = nm_episode_let_in(builder, e->scene, e->start, now, &driven, error);
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
static nm_status drive_among_model(nm_episode_state *e, nm_error *error) {
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

nm_status nm_episode_play(nm_episode_state *e, nm_error *error) {
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
