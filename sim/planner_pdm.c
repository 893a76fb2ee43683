/// The PDM planner, in the manner of PDM-Closed (Dauner et al. 2023, "Parting with misconceptions about learning-based
/// vehicle motion planning"): along the route, 5 shares of the allowed speed times 3 lateral offsets make 15 proposals;
/// each is driven 4 s behind its leader by the Intelligent Driver Model and judged with everybody else at constant
/// velocity; the best is taken, and when even that collides within 2 s, the ego brakes.
///
/// IDM: s0 1.0 m, T 1.5 s, a 1.5, b 3.0 m/s^2. Weights: progress 5, time to collision 5, comfort 2. Ours: the rear axle
/// keeps exactly to a smooth curve towards the proposal's line, where PDM-Closed lets a tracked bicycle follow it; the
/// plan ends after the 4 s.
#include <stdio.h>
#include <stdlib.h>

#include "sim/math.h"
#include "sim/planner_builtin.h"
#include "sim/planner_path.h"
#include "sim/planner_pdm_score.h"

#define LOOK_METRES 60.0f
#define STEP 0.1f
#define BRAKE 4.05f       // m/s^2, the end of nuPlan's comfort
#define BRAKE_WITHIN 2.0f // s

static const nm_route_path_idm parameters = {.accel = 1.5f, .brake = 3.0f, .min_gap = 1.0f, .time_gap = 1.5f};
static const float shares[NM_PDM_SPEEDS] = {1.0f, 0.8f, 0.6f, 0.4f, 0.2f};
static const float offsets[NM_PDM_OFFSETS] = {0.0f, -1.0f, 1.0f}; // the middle first: it wins ties

typedef struct pdm {
    nm_route_path_plan plan;
    nm_pdm_agent *agents;
    uint32_t agent_count;
    nm_pdm_proposal proposals[NM_PDM_PROPOSALS];
} pdm;

static void *create(const char *config, char *error, size_t error_size) {
    (void)config;
    pdm *p = calloc(1, sizeof *p);
    if (!p) snprintf(error, error_size, "out of memory");
    return p;
}

static void destroy(void *planner) {
    pdm *p = planner;
    nm_route_path_plan_release(&p->plan);
    free(p->agents);
    free(p);
}

static void needs(void *planner, nm_planner_needs *needs) {
    (void)planner;
    *needs = (nm_planner_needs){.history = 2, .map_radius = 0.0f};
}

static int begin(void *planner, const nm_planner_scenario *scenario, char *error, size_t error_size) {
    pdm *p = planner;
    const int status = nm_route_path_plan_begin(&p->plan, scenario, error, error_size);
    if (status != 0) return status;
    free(p->agents);
    p->agents = malloc((scenario->scene->track_count + 1) * sizeof *p->agents);
    if (p->agents) return 0;
    snprintf(error, error_size, "out of memory");
    return NM_E_MEMORY;
}

/// Those that could meet the ego within the time looked at.
static void find_agents(pdm *p, const nm_planner_observation *observation) {
    const nm_planner_agents *agents = &observation->agents;
    const nm_planner_history *h = &agents->history;
    const nm_planner_ego *ego = &observation->ego;
    const float horizon = STEP * (float)NM_PDM_STEPS + 1.0f;
    const float own = (nm_maxf(ego->rear_axle_speed_ahead, 0.0f) + parameters.accel * horizon) * horizon + 10.0f;
    nm_box now = {.x = ego->box_centre.x_scene,
                  .y = ego->box_centre.y_scene,
                  .length = ego->vehicle.length,
                  .width = ego->vehicle.width};
    nm_sincosf(ego->box_centre.heading_scene, &now.sin_h, &now.cos_h);
    p->agent_count = 0;
    for (uint32_t i = 0; i < agents->count; i++) {
        const size_t at = (size_t)i * h->sample_count + h->sample_count - 1;
        nm_pdm_agent agent = {.type = agents->type[i], .reach = 0.5f * nm_hypotf(agents->length[i], agents->width[i])};
        agent.box = (nm_box){.x = h->box_centre_x_scene[at],
                             .y = h->box_centre_y_scene[at],
                             .vx = h->velocity_x_scene[at],
                             .vy = h->velocity_y_scene[at],
                             .length = agents->length[i],
                             .width = agents->width[i]};
        const float dx = agent.box.x - now.x, dy = agent.box.y - now.y;
        const float far = own + nm_hypotf(agent.box.vx, agent.box.vy) * horizon + agent.reach;
        if (dx * dx + dy * dy > far * far) continue;
        nm_sincosf(h->heading_scene[at], &agent.box.sin_h, &agent.box.cos_h);
        agent.touches = (uint8_t)nm_box_overlap(&now, &agent.box);
        p->agents[p->agent_count++] = agent;
    }
}

static nm_pdm_state state_on(const nm_route_path *path, float ahead, float s, float speed) {
    nm_pdm_state state = {.rear_axle = nm_route_path_pose(path, s), .speed = speed, .s = s};
    nm_sincosf(state.rear_axle.heading_scene, &state.sin_h, &state.cos_h);
    state.x = state.rear_axle.x_scene + ahead * state.cos_h;
    state.y = state.rear_axle.y_scene + ahead * state.sin_h;
    return state;
}

static void drive(const pdm *p, const nm_route_path *path, float speed, float share, nm_pdm_proposal *proposal) {
    float gap, s = path->s;
    const nm_obstacle *leader = nm_route_path_leader(&p->plan, path, &gap);
    const float lead_speed = leader ? leader->speed : 0.0f;
    for (uint32_t k = 0; k <= NM_PDM_STEPS; k++) {
        proposal->states[k] = state_on(path, p->plan.scenario.vehicle.rear_axle_to_box_centre, s, speed);
        const float desired = share * nm_route_path_cruise(&p->plan, s);
        const float accel = nm_route_path_idm_accel(&parameters, speed, desired, gap, lead_speed);
        const float next = nm_maxf(speed + accel * STEP, 0.0f), way = 0.5f * (speed + next) * STEP;
        s += way;
        gap += lead_speed * STEP - way;
        speed = next;
    }
}

static const nm_pdm_proposal *choose(pdm *p) {
    float most = 0.0f;
    for (uint32_t i = 0; i < NM_PDM_PROPOSALS; i++)
        if (p->proposals[i].allowed > 0.0f) most = nm_maxf(most, p->proposals[i].progress);
    const nm_pdm_proposal *best = NULL;
    for (uint32_t i = 0; i < NM_PDM_PROPOSALS; i++) {
        nm_pdm_proposal *q = &p->proposals[i];
        // who is not going anywhere anyway is not told apart by it
        const float progress = most > 0.5f ? nm_clampf(q->progress / most, 0.0f, 1.0f) : 1.0f;
        q->score =
            q->allowed * (5.0f * progress + 5.0f * (float)q->keeps_distance + 2.0f * (float)q->comfortable) / 12.0f;
        if (!best || q->score > best->score ||
            (q->score == best->score && best->allowed == 0.0f && q->collision_at > best->collision_at))
            best = q;
    }
    return best;
}

/// As fast as comfort allows to a stand on the line that the ego is on.
static void brake(const nm_route_path *path, float speed, nm_planner_output *output) {
    float s = path->s;
    for (uint32_t k = 0; k <= NM_PDM_STEPS; k++) {
        output->points[output->point_count++] =
            (nm_planner_trajectory_point){STEP * (float)k, nm_route_path_pose(path, s), speed};
        const float next = nm_maxf(speed - BRAKE * STEP, 0.0f);
        s += 0.5f * (speed + next) * STEP;
        speed = next;
    }
}

static int plan(void *planner, const nm_planner_observation *observation, nm_planner_output *output, char *error,
                size_t error_size) {
    (void)error, (void)error_size;
    pdm *p = planner;
    const nm_planner_scenario *scenario = &p->plan.scenario;
    const float speed = nm_maxf(observation->ego.rear_axle_speed_ahead, 0.0f);
    nm_route_path paths[NM_PDM_OFFSETS];
    for (uint32_t i = 0; i < NM_PDM_OFFSETS; i++)
        paths[i] = nm_route_path_from(scenario->route, observation, offsets[i]);
    const float stopping = speed * parameters.time_gap + speed * speed / (2.0f * parameters.brake);
    nm_route_path_find_obstacles(&p->plan, observation, paths[0].s, nm_maxf(LOOK_METRES, stopping + 20.0f));
    find_agents(p, observation);
    for (uint32_t i = 0; i < NM_PDM_PROPOSALS; i++) {
        nm_pdm_proposal *proposal = &p->proposals[i];
        drive(p, &paths[i / NM_PDM_SPEEDS], speed, shares[i % NM_PDM_SPEEDS], proposal);
        nm_pdm_judge(scenario, scenario->scene->map, p->agents, p->agent_count, proposal);
    }
    const nm_pdm_proposal *best = choose(p);
    const uint32_t number = (uint32_t)(best - p->proposals);
    output->answer = NM_PLANNER_TRAJECTORY;
    if (best->collision_at <= BRAKE_WITHIN) {
        brake(&paths[number / NM_PDM_SPEEDS], speed, output);
        snprintf(output->text, sizeof output->text, "brakes: collision in %.1f s", (double)best->collision_at);
        return 0;
    }
    for (uint32_t k = 0; k <= NM_PDM_STEPS; k++) {
        const nm_pdm_state *at = &best->states[k];
        output->points[output->point_count++] =
            (nm_planner_trajectory_point){STEP * (float)k, at->rear_axle, at->speed};
    }
    snprintf(output->text, sizeof output->text, "%.0f%% of the speed, %+.0f m left, score %.2f",
             (double)(100.0f * shares[number % NM_PDM_SPEEDS]), (double)offsets[number / NM_PDM_SPEEDS],
             (double)best->score);
    return 0;
}

const nm_planner_vtable nm_planner_pdm = {
    .abi = NM_PLANNER_ABI,
    .size = sizeof(nm_planner_vtable),
    .name = "pdm",
    .create = create,
    .destroy = destroy,
    .needs = needs,
    .begin = begin,
    .plan = plan,
};
