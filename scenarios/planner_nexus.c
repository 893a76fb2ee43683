#include "scenarios/planner_nexus.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "scenarios/planner_nexus_choice.h"
#include "scenarios/scene_generator.h"
#include "sim/math.h"
#include "sim/route.h"
#include "sim/world.h"

#define AGENTS 32u        // the nearest to the ego
#define LEVELS 2u         // as futures are sampled, see nexus/EXPERIMENTS.md
#define MOST_HISTORY 100u // of what planners are shown
// Where on the route the ego is bound for: within the way that the model is told of (nexus/tokens_path.c).
#define REACH 6.0f        // s ...
#define REACH_FASTER 6.0f // m/s ... at a speed so much higher
#define REACH_MOST 300.0f // m

typedef struct mind {
    nm_scene_generator *generator;
    nm_nexus_choice *choice;
    nm_scene_builder *builder;
    uint32_t history; // steps
    uint32_t samples; // futures
    const nm_planner_scenario *scenario;
    uint32_t made;   // step of the plans; NM_NONE: none yet
    uint32_t chosen; // of them
    nm_nexus_plan plans[NM_PLANNER_NEXUS_MOST_SAMPLES];
} mind;

static void *create(const char *config, char *error, size_t size) {
    (void)config;
    snprintf(error, size, "made by nm_planner_nexus only");
    return NULL;
}

static void destroy(void *planner) {
    mind *m = planner;
    nm_scene_generator_destroy(m->generator);
    nm_nexus_choice_destroy(m->choice);
    nm_scene_builder_destroy(m->builder);
    free(m);
}

/// The map itself is at hand.
static void needs(void *planner, nm_planner_needs *wanted) {
    *wanted = (nm_planner_needs){.history = ((const mind *)planner)->history, .map_radius = 0.0f};
}

static int begin(void *planner, const nm_planner_scenario *scenario, char *error, size_t size) {
    mind *m = planner;
    m->scenario = scenario;
    m->made = NM_NONE;
    if (scenario->scene) return 0;
    snprintf(error, size, "there is no scene to take maps and sizes from");
    return NM_E_NOT_FOUND;
}

// ---------------------------------------------------------------------------------------------------------------------
// What is known

static nm_status add_track(mind *m, uint32_t track, const nm_planner_history *past, size_t row, nm_error *error) {
    const nm_track *info = &m->scenario->scene->tracks[track];
    const nm_track_def def = {.id = info->source_id,
                              .type = (nm_agent_type)info->type,
                              .flags = info->flags,
                              .length = info->length,
                              .width = info->width,
                              .height = info->height};
    uint32_t index;
    nm_status status = nm_scene_builder_add_track(m->builder, &def, &index, error);
    for (uint32_t k = 0; status == NM_OK && k < past->sample_count; ++k) {
        const size_t at = row * past->sample_count + k;
        if (!past->valid[at]) continue;
        const nm_state state = {.x = past->box_centre_x_scene[at],
                                .y = past->box_centre_y_scene[at],
                                .heading = past->heading_scene[at],
                                .vx = past->velocity_x_scene[at],
                                .vy = past->velocity_y_scene[at]};
        status = nm_scene_builder_add_local_state(m->builder, index, k, &state, error);
    }
    return status;
}

/// Lights as they were; before the recording they are not known.
static nm_status add_lights(mind *m, uint32_t step, nm_error *error) {
    const nm_scene *scene = m->scenario->scene;
    const uint32_t now = m->scenario->start_step + step;
    nm_status status = NM_OK;
    for (uint32_t k = 0; k < m->history; ++k) {
        if (now + k + 1 < m->history) continue;
        const uint32_t at = now + k + 1 - m->history;
        for (uint32_t i = 0; status == NM_OK && i < scene->map->signal_count; ++i)
            status = nm_scene_builder_set_signal(m->builder, i, k, nm_scene_signal(scene, i, at), error);
    }
    return status;
}

/// What was observed until now, as a scene whose last step is the current one.
static nm_status remember(mind *m, const nm_planner_observation *seen, const nm_scene **scene, nm_error *error) {
    nm_scene_builder_reset(m->builder);
    nm_status status =
        nm_scene_builder_begin(m->builder, m->scenario->scene->map, (double)NM_STEP_SECONDS, m->history, error);
    if (status == NM_OK) status = add_track(m, m->scenario->ego_track, &seen->ego_history, 0, error);
    for (uint32_t i = 0; status == NM_OK && i < seen->agents.count; ++i)
        status = add_track(m, seen->agents.track[i], &seen->agents.history, i, error);
    if (status == NM_OK) status = add_lights(m, seen->step, error);
    nm_scene_builder_set_current(m->builder, m->history - 1, 0);
    return status == NM_OK ? nm_scene_builder_build(m->builder, scene, error) : status;
}

// ---------------------------------------------------------------------------------------------------------------------
// The plan

static void take_plan(const mind *m, const nm_scene *future, const nm_planner_observation *seen, nm_nexus_plan *plan) {
    const nm_planner_ego *ego = &seen->ego;
    plan->poses[0] = (nm_nexus_pose){ego->box_centre.x_scene, ego->box_centre.y_scene, ego->box_centre.heading_scene,
                                     ego->rear_axle_speed_ahead};
    for (uint32_t i = 1; i <= NM_NEXUS_AHEAD; ++i) {
        const uint32_t step = m->history - 1 + i;
        nm_state state;
        nm_nexus_pose *p = &plan->poses[i];
        float sine, cosine;
        if (step < future->step_count && nm_scene_get_state(future, 0, step, &state)) {
            nm_sincosf(state.heading, &sine, &cosine);
            *p = (nm_nexus_pose){state.x, state.y, state.heading, state.vx * cosine + state.vy * sine};
        } else { // straight on from where it ends
            *p = plan->poses[i - 1];
            nm_sincosf(p->heading, &sine, &cosine);
            p->x += p->speed * NM_STEP_SECONDS * cosine;
            p->y += p->speed * NM_STEP_SECONDS * sine;
        }
    }
}

/// Futures of what was observed, one for each sample. A future that came to nothing fails the planner.
static nm_status imagine(mind *m, const nm_planner_observation *seen, const nm_scene *past,
                         const nm_scene *futures[NM_PLANNER_NEXUS_MOST_SAMPLES], nm_error *error) {
    const float reach = REACH * (nm_maxf(seen->ego.rear_axle_speed_ahead, 0.0f) + REACH_FASTER);
    const nm_route_place ahead = nm_route_at(seen->route, seen->route_position + nm_minf(reach, REACH_MOST));
    const nm_token_bound bound = {0, ahead.pose.x_scene, ahead.pose.y_scene, ahead.pose.heading_scene};
    nm_generated_scene made[NM_PLANNER_NEXUS_MOST_SAMPLES] = {{0}};
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < m->samples; ++i) {
        const nm_scene_request request = {.scene = past,
                                          .current_step = past->current_step,
                                          .task = NM_TASK_FREE,
                                          .bound = &bound,
                                          .seed = m->scenario->seed,
                                          .sample = i,
                                          .parameters = "{}"};
        status = nm_scene_generator_add(m->generator, &request, error);
    }
    // what was added is taken out again by the run, whatever happened
    if (nm_scene_generator_count(m->generator) > 0) {
        nm_error ran;
        nm_error_clear(&ran);
        const nm_status run = nm_scene_generator_run(m->generator, made, NULL, &ran);
        if (status == NM_OK && run != NM_OK) {
            status = run;
            if (error) *error = ran;
        }
    }
    for (uint32_t i = 0; i < m->samples; ++i) {
        if (status == NM_OK && made[i].status != NM_OK) {
            status = made[i].status;
            if (error) *error = made[i].error;
        }
        futures[i] = made[i].scene;
    }
    return status;
}

static nm_status think(mind *m, const nm_planner_observation *seen, nm_error *error) {
    const nm_scene *past = NULL, *futures[NM_PLANNER_NEXUS_MOST_SAMPLES] = {NULL};
    nm_status status = remember(m, seen, &past, error);
    if (status != NM_OK) return status;
    status = imagine(m, seen, past, futures, error);
    if (status == NM_OK) {
        for (uint32_t i = 0; i < m->samples; ++i) take_plan(m, futures[i], seen, &m->plans[i]);
        m->chosen = nm_nexus_choose(m->choice, m->scenario, seen, futures, m->history - 1, m->plans);
        m->made = seen->step;
    }
    for (uint32_t i = 0; i < m->samples; ++i) nm_scene_destroy(futures[i]);
    nm_scene_destroy(past);
    return status;
}

static int plan(void *planner, const nm_planner_observation *seen, nm_planner_output *output, char *text, size_t size) {
    mind *m = planner;
    nm_error error;
    nm_error_clear(&error);
    if (m->made == NM_NONE || seen->step >= m->made + NM_TOKEN_STEPS) {
        const nm_status status = think(m, seen, &error);
        if (status != NM_OK) {
            snprintf(text, size, "%s", error.message);
            return (int)status;
        }
    }
    const float back = m->scenario->vehicle.rear_axle_to_box_centre;
    for (uint32_t i = seen->step - m->made, k = 0; i <= NM_NEXUS_AHEAD; ++i, ++k) {
        const nm_nexus_pose *p = &m->plans[m->chosen].poses[i];
        float sine, cosine;
        nm_sincosf(p->heading, &sine, &cosine);
        output->points[output->point_count++] = (nm_planner_trajectory_point){
            0.1f * (float)k, {p->x - back * cosine, p->y - back * sine, p->heading}, p->speed};
    }
    output->answer = NM_PLANNER_TRAJECTORY;
    return 0;
}

static const nm_planner_vtable table = {
    .abi = NM_PLANNER_ABI,
    .size = sizeof(nm_planner_vtable),
    .name = "nexus",
    .create = create,
    .destroy = destroy,
    .needs = needs,
    .begin = begin,
    .plan = plan,
};

nm_status nm_planner_nexus(nm_model *model, const nm_recipe *recipe, uint32_t samples, nm_planner **planner,
                           nm_error *error) {
    NM_ASSERT(model && recipe && planner && samples >= 1 && samples <= NM_PLANNER_NEXUS_MOST_SAMPLES);
    *planner = NULL;
    const uint32_t history = recipe->tokens.past * NM_TOKEN_STEPS + NM_TOKEN_STEPS; // the first token's states, too
    if (history > MOST_HISTORY)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "the model wants %u steps of the past: planners are shown %u", history,
                        MOST_HISTORY);
    mind *m = calloc(1, sizeof *m);
    if (!m) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a planner");
    nm_scene_generator_config config = nm_scene_generator_config_default();
    config.generator.scenes = samples;
    config.generator.schedule = (nm_schedule){.kind = NM_SCHEDULE_FULL}; // nobody drives in between: fewer passes
    config.generator.levels = LEVELS;
    config.agents = AGENTS;
    m->history = history;
    m->samples = samples;
    m->builder = nm_scene_builder_create();
    m->choice = nm_nexus_choice_create(samples, AGENTS);
    nm_status status = m->builder && m->choice ? nm_scene_generator_create(model, recipe, &config, &m->generator, error)
                                               : NM_ERROR(error, NM_E_MEMORY, "out of memory for a planner");
    if (status == NM_OK) return nm_planner_adopt(&table, "nexus", m, planner, error);
    destroy(m);
    return status;
}
