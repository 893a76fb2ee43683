#include "scenarios/planner_nexus_choice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/math.h"
#include "sim/planner_pdm_score.h"

#define STEP 0.1f
#define BRAKE 4.05f       // m/s^2, the end of nuPlan's comfort
#define BRAKE_WITHIN 2.0f // s
#define NEAR 100.0f       // m from the ego now: nobody farther away meets it in 5 s of what is looked at

/// Everybody but the ego in one of the futures.
typedef struct company {
    nm_pdm_agent *agents;
    nm_box *boxes; // [agents][NM_PDM_LOOK]
    uint32_t count;
} company;

struct nm_nexus_choice {
    uint32_t samples, agents;
    company *others; // [samples]
    nm_pdm_proposal proposal;
};

nm_nexus_choice *nm_nexus_choice_create(uint32_t samples, uint32_t agents) {
    nm_nexus_choice *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->samples = samples;
    c->agents = agents;
    c->others = calloc(samples, sizeof *c->others);
    int there = c->others != NULL;
    for (uint32_t i = 0; there && i < samples; ++i) {
        c->others[i].agents = calloc(agents, sizeof *c->others[i].agents);
        c->others[i].boxes = calloc((size_t)agents * NM_PDM_LOOK, sizeof *c->others[i].boxes);
        there = c->others[i].agents && c->others[i].boxes;
    }
    if (there) return c;
    nm_nexus_choice_destroy(c);
    return NULL;
}

void nm_nexus_choice_destroy(nm_nexus_choice *c) {
    if (!c) return;
    for (uint32_t i = 0; c->others && i < c->samples; ++i) {
        free(c->others[i].agents);
        free(c->others[i].boxes);
    }
    free(c->others);
    free(c);
}

// ---------------------------------------------------------------------------------------------------------------------
// The others

static nm_box box_of(const nm_state *state, const nm_track *track) {
    nm_box box = {
        .x = state->x, .y = state->y, .vx = state->vx, .vy = state->vy, .length = track->length, .width = track->width};
    nm_sincosf(state->heading, &box.sin_h, &box.cos_h);
    return box;
}

/// Who ends before the time looked at is up keeps the last velocity.
static void predict(const nm_scene *future, uint32_t track, uint32_t now, nm_box *boxes) {
    for (uint32_t k = 0; k < NM_PDM_LOOK; ++k) {
        nm_state state;
        if (now + k < future->step_count && nm_scene_get_state(future, track, now + k, &state)) {
            boxes[k] = box_of(&state, &future->tracks[track]);
        } else {
            boxes[k] = boxes[k - 1]; // it is there now: k > 0
            boxes[k].x += STEP * boxes[k].vx;
            boxes[k].y += STEP * boxes[k].vy;
        }
    }
}

static void gather(const nm_nexus_choice *c, const nm_scene *future, uint32_t now, const nm_box *ego, company *others) {
    others->count = 0;
    for (uint32_t track = 1; track < future->track_count && others->count < c->agents; ++track) {
        nm_state state;
        if (!nm_scene_get_state(future, track, now, &state)) continue;
        const nm_track *info = &future->tracks[track];
        const nm_box box = box_of(&state, info);
        const float dx = box.x - ego->x, dy = box.y - ego->y;
        const float far = NEAR + 5.0f * nm_hypotf(box.vx, box.vy);
        if (dx * dx + dy * dy > far * far) continue;
        nm_box *boxes = others->boxes + (size_t)others->count * NM_PDM_LOOK;
        predict(future, track, now, boxes);
        others->agents[others->count++] = (nm_pdm_agent){.box = box,
                                                         .future = boxes,
                                                         .reach = 0.5f * nm_hypotf(info->length, info->width),
                                                         .type = info->type,
                                                         .touches = (uint8_t)nm_box_overlap(ego, &box)};
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The plans

static void propose(const nm_nexus_plan *plan, const nm_planner_scenario *scenario, float position,
                    nm_pdm_proposal *proposal) {
    const float back = scenario->vehicle.rear_axle_to_box_centre;
    for (uint32_t k = 0; k <= NM_PDM_STEPS; ++k) {
        const nm_nexus_pose *from = &plan->poses[k];
        nm_pdm_state *to = &proposal->states[k];
        *to = (nm_pdm_state){.x = from->x, .y = from->y, .speed = from->speed};
        nm_sincosf(from->heading, &to->sin_h, &to->cos_h);
        to->rear_axle = (nm_planner_pose){from->x - back * to->cos_h, from->y - back * to->sin_h, from->heading};
        position = nm_route_project(scenario->route, from->x, from->y, position, NULL);
        to->s = position;
    }
}

/// What a plan comes to over all futures.
typedef struct worth {
    float allowed, distance; // means over the futures: factors, and factors times time to collision kept
    float progress;          // m
    float comfortable, score, collision_at;
    uint32_t collides; // in so many futures within BRAKE_WITHIN
} worth;

static worth weigh(nm_nexus_choice *c, const nm_planner_scenario *scenario, const nm_nexus_plan *plan, float position) {
    worth w = {.collision_at = INFINITY};
    propose(plan, scenario, position, &c->proposal);
    for (uint32_t j = 0; j < c->samples; ++j) {
        nm_pdm_judge(scenario, scenario->scene->map, c->others[j].agents, c->others[j].count, &c->proposal);
        w.allowed += c->proposal.allowed / (float)c->samples;
        w.distance += c->proposal.allowed * (float)c->proposal.keeps_distance / (float)c->samples;
        w.collides += c->proposal.collision_at <= BRAKE_WITHIN;
        w.collision_at = nm_minf(w.collision_at, c->proposal.collision_at);
    }
    w.progress = nm_maxf(c->proposal.progress, 0.0f);
    w.comfortable = (float)c->proposal.comfortable;
    return w;
}

/// Where one is on the way of a plan, `gone` m from its beginning; *at [in/out] the pose before, *before m from it.
static nm_nexus_pose place_on(const nm_nexus_plan *way, float gone, uint32_t *at, float *before) {
    float piece = 0.0f;
    for (; *at < NM_NEXUS_AHEAD; ++*at, *before += piece) {
        const nm_nexus_pose *a = &way->poses[*at], *b = a + 1;
        piece = nm_hypotf(b->x - a->x, b->y - a->y);
        if (gone - *before < piece) {
            const float share = nm_maxf((gone - *before) / piece, 0.0f);
            return (nm_nexus_pose){.x = a->x + share * (b->x - a->x),
                                   .y = a->y + share * (b->y - a->y),
                                   .heading =
                                       nm_wrap_angle(a->heading + share * nm_wrap_angle(b->heading - a->heading))};
        }
    }
    return way->poses[NM_NEXUS_AHEAD];
}

/// As fast as comfort allows to a stand, on the way of the plan; where that brakes harder, as it does.
static void brake(nm_nexus_plan *plan) {
    const nm_nexus_plan way = *plan;
    float speed = nm_maxf(way.poses[0].speed, 0.0f), gone = 0.0f, own = 0.0f, before = 0.0f;
    uint32_t at = 0;
    for (uint32_t k = 1; k <= NM_NEXUS_AHEAD; ++k) {
        const nm_nexus_pose *from = &way.poses[k - 1], *to = &way.poses[k];
        const float next = nm_maxf(speed - BRAKE * STEP, 0.0f);
        own += nm_hypotf(to->x - from->x, to->y - from->y);
        gone += 0.5f * (speed + next) * STEP;
        speed = next;
        if (gone > own) { // no farther than without braking
            gone = own;
            speed = nm_minf(speed, nm_maxf(to->speed, 0.0f));
        }
        plan->poses[k] = place_on(&way, gone, &at, &before);
        plan->poses[k].speed = speed;
    }
}

uint32_t nm_nexus_choose(nm_nexus_choice *c, const nm_planner_scenario *scenario, const nm_planner_observation *seen,
                         const nm_scene *const *futures, uint32_t now, nm_nexus_plan *plans) {
    nm_box ego = {.x = seen->ego.box_centre.x_scene,
                  .y = seen->ego.box_centre.y_scene,
                  .length = scenario->vehicle.length,
                  .width = scenario->vehicle.width};
    nm_sincosf(seen->ego.box_centre.heading_scene, &ego.sin_h, &ego.cos_h);
    for (uint32_t j = 0; j < c->samples; ++j) gather(c, futures[j], now, &ego, &c->others[j]);
    worth worths[NM_PLANNER_NEXUS_MOST_SAMPLES];
    float most = 0.0f;
    for (uint32_t i = 0; i < c->samples; ++i) {
        worths[i] = weigh(c, scenario, &plans[i], seen->route_position);
        if (worths[i].allowed > 0.0f) most = nm_maxf(most, worths[i].progress);
    }
    uint32_t best = 0;
    for (uint32_t i = 0; i < c->samples; ++i) {
        worth *w = &worths[i];
        const float progress = most > 0.5f ? nm_minf(w->progress / most, 1.0f) : 1.0f;
        w->score = (w->allowed * (5.0f * progress + 2.0f * w->comfortable) + 5.0f * w->distance) / 12.0f;
        const worth *b = &worths[best];
        if (w->score > b->score || (w->score == b->score && b->allowed == 0.0f && w->collision_at > b->collision_at))
            best = i;
    }
    if (2 * worths[best].collides > c->samples) brake(&plans[best]);
    return best;
}
