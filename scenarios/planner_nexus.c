#include "scenarios/planner_nexus.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "scenarios/scene_generator.h"
#include "sim/math.h"
#include "sim/world.h"

#define AGENTS 32u        // the nearest to the ego
#define LEVELS 2u         // as futures are sampled, see nexus/EXPERIMENTS.md
#define MOST_HISTORY 100u // of what planners are shown
#define AHEAD 80u         // steps of a plan

/// The middle of the box at a step of the plan.
typedef struct pose {
    float x, y, heading, speed;
} pose;

typedef struct mind {
    nm_scene_generator *generator;
    nm_scene_builder *builder;
    uint32_t history; // samples
    const nm_planner_scenario *scenario;
    uint32_t made; // step of the plan; NM_NONE: none yet
    pose plan[AHEAD + 1];
} mind;

static void *create(const char *config, char *error, size_t size) {
    (void)config;
    snprintf(error, size, "made by nm_planner_nexus only");
    return NULL;
}

static void destroy(void *planner) {
    mind *m = planner;
    nm_scene_generator_destroy(m->generator);
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

static void take_plan(mind *m, const nm_scene *future, const nm_planner_observation *seen) {
    const nm_planner_ego *ego = &seen->ego;
    m->plan[0] = (pose){ego->box_centre.x_scene, ego->box_centre.y_scene, ego->box_centre.heading_scene,
                        ego->rear_axle_speed_ahead};
    for (uint32_t i = 1; i <= AHEAD; ++i) {
        const uint32_t step = m->history - 1 + i;
        nm_state state;
        pose *p = &m->plan[i];
        float sine, cosine;
        if (step < future->step_count && nm_scene_get_state(future, 0, step, &state)) {
            nm_sincosf(state.heading, &sine, &cosine);
            *p = (pose){state.x, state.y, state.heading, state.vx * cosine + state.vy * sine};
        } else { // straight on from where it ends
            *p = m->plan[i - 1];
            nm_sincosf(p->heading, &sine, &cosine);
            p->x += p->speed * NM_STEP_SECONDS * cosine;
            p->y += p->speed * NM_STEP_SECONDS * sine;
        }
    }
    m->made = seen->step;
}

static nm_status imagine(mind *m, const nm_planner_observation *seen, nm_error *error) {
    const nm_scene *past = NULL;
    nm_generated_scene made = {0};
    nm_status status = remember(m, seen, &past, error);
    if (status != NM_OK) return status;
    const nm_scene_request request = {.scene = past,
                                      .current_step = past->current_step,
                                      .task = NM_TASK_FREE,
                                      .seed = m->scenario->seed,
                                      .parameters = "{}"};
    status = nm_scene_generator_add(m->generator, &request, error);
    if (status == NM_OK) status = nm_scene_generator_run(m->generator, &made, NULL, error);
    if (status == NM_OK && made.status != NM_OK) {
        status = made.status;
        if (error) *error = made.error;
    }
    if (status == NM_OK) take_plan(m, made.scene, seen);
    nm_scene_destroy(made.scene);
    nm_scene_destroy(past);
    return status;
}

static int plan(void *planner, const nm_planner_observation *seen, nm_planner_output *output, char *text, size_t size) {
    mind *m = planner;
    nm_error error;
    nm_error_clear(&error);
    if (m->made == NM_NONE || seen->step >= m->made + NM_TOKEN_STEPS) {
        const nm_status status = imagine(m, seen, &error);
        if (status != NM_OK) {
            snprintf(text, size, "%s", error.message);
            return (int)status;
        }
    }
    const float back = m->scenario->vehicle.rear_axle_to_box_centre;
    for (uint32_t i = seen->step - m->made, k = 0; i <= AHEAD; ++i, ++k) {
        const pose *p = &m->plan[i];
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

nm_status nm_planner_nexus(nm_model *model, const nm_recipe *recipe, nm_planner **planner, nm_error *error) {
    NM_ASSERT(model && recipe && planner);
    *planner = NULL;
    const uint32_t history = recipe->tokens.past * NM_TOKEN_STEPS + NM_TOKEN_STEPS; // the first token's states, too
    if (history > MOST_HISTORY)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "the model wants %u steps of the past: planners are shown %u", history,
                        MOST_HISTORY);
    mind *m = calloc(1, sizeof *m);
    if (!m) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a planner");
    nm_scene_generator_config config = nm_scene_generator_config_default();
    config.generator.scenes = 1;
    config.generator.schedule = (nm_schedule){.kind = NM_SCHEDULE_FULL}; // nobody drives in between: fewer passes
    config.generator.levels = LEVELS;
    config.agents = AGENTS;
    m->history = history;
    m->builder = nm_scene_builder_create();
    nm_status status = m->builder ? nm_scene_generator_create(model, recipe, &config, &m->generator, error)
                                  : NM_ERROR(error, NM_E_MEMORY, "out of memory for a planner");
    if (status == NM_OK) return nm_planner_adopt(&table, "nexus", m, planner, error);
    destroy(m);
    return status;
}
