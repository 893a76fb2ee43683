/// What a proposal is worth, after the terms of nuPlan's closed-loop score: collisions at fault and drivable area as
/// factors, time to collision and comfort as parts of the mean (progress needs all proposals: planner_pdm.c).
#include "sim/planner_pdm_score.h"

#include "sim/math.h"

#define STOPPED 0.05f     // m/s, nuPlan's
#define AHEAD_COS 0.8660f // of 30 degrees
#define BEHIND_COS (-0.8660f)
#define CROSSING_COS 0.7071f // headings over 45 degrees apart
#define OFF_ROAD_MARGIN 0.3f // m, nuPlan's
#define STEP 0.1f

static nm_box ego_box(const nm_planner_vehicle *vehicle, const nm_pdm_state *at, float ahead) {
    return (nm_box){.x = at->x + ahead * at->cos_h,
                    .y = at->y + ahead * at->sin_h,
                    .cos_h = at->cos_h,
                    .sin_h = at->sin_h,
                    .length = vehicle->length,
                    .width = vehicle->width};
}

static nm_box agent_box(const nm_pdm_agent *agent, float time) {
    if (agent->future) return agent->future[(uint32_t)(time / STEP + 0.5f)];
    nm_box box = agent->box;
    box.x += box.vx * time;
    box.y += box.vy * time;
    return box;
}

static int near(const nm_box *a, const nm_box *b, float reach) {
    const float dx = b->x - a->x, dy = b->y - a->y;
    return dx * dx + dy * dy <= reach * reach && nm_box_overlap(a, b);
}

/// Cosine of the angle from the heading at the rear axle to a point.
static float bearing_cosine(const nm_pdm_state *at, float x, float y) {
    const float dx = x - at->rear_axle.x_scene, dy = y - at->rear_axle.y_scene;
    return (dx * at->cos_h + dy * at->sin_h) / nm_maxf(nm_hypotf(dx, dy), 1e-3f);
}

/// nuPlan's classes; sideways contacts count, since a proposal can avoid them.
static int at_fault(const nm_pdm_state *ego, const nm_box *box) {
    if (ego->speed <= STOPPED) return 0;
    if (nm_hypotf(box->vx, box->vy) <= STOPPED) return 1;
    return bearing_cosine(ego, box->x, box->y) >= BEHIND_COS;
}

static void judge_collisions(const nm_planner_vehicle *vehicle, const nm_pdm_agent *agents, uint32_t count,
                             nm_pdm_proposal *p) {
    const float ego_reach = 0.5f * nm_hypotf(vehicle->length, vehicle->width);
    p->collision_at = INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        if (agents[i].touches) continue;
        for (uint32_t k = 1; k <= NM_PDM_STEPS; k++) {
            const nm_box ego = ego_box(vehicle, &p->states[k], 0.0f), other = agent_box(&agents[i], STEP * (float)k);
            if (!near(&ego, &other, ego_reach + agents[i].reach)) continue;
            if (at_fault(&p->states[k], &other)) {
                p->allowed *= agents[i].type == NM_AGENT_OBSTACLE ? 0.5f : 0.0f;
                p->collision_at = nm_minf(p->collision_at, STEP * (float)k);
            }
            break; // each counts once
        }
    }
}

/// Would the ego, driving on straight, meet something ahead or crossing within 0.9 s? (nuPlan's bound is 0.95 s.)
static int closes_in(const nm_planner_vehicle *vehicle, const nm_pdm_agent *agents, uint32_t count,
                     const nm_pdm_state *at, float time) {
    const float ego_reach = 0.5f * nm_hypotf(vehicle->length, vehicle->width);
    if (at->speed <= STOPPED) return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (agents[i].touches) continue;
        const nm_box now = agent_box(&agents[i], time);
        const float aligned = now.cos_h * at->cos_h + now.sin_h * at->sin_h;
        const float bearing = bearing_cosine(at, now.x, now.y);
        if (bearing < AHEAD_COS && !(aligned < CROSSING_COS && bearing > 0.0f)) continue;
        for (uint32_t k = 1; k <= 3; k++) {
            const float later = 0.3f * (float)k;
            const nm_box ego = ego_box(vehicle, at, at->speed * later), other = agent_box(&agents[i], time + later);
            if (near(&ego, &other, ego_reach + agents[i].reach)) return 1;
        }
    }
    return 0;
}

/// nuPlan's bounds on acceleration and turning. Jerk is left out: a proposal changes its acceleration once, at its
/// start, which nuPlan's filter would smooth.
static int is_comfortable(const nm_pdm_proposal *p) {
    for (uint32_t k = 1; k <= NM_PDM_STEPS; k++) {
        const nm_pdm_state *a = &p->states[k - 1], *b = &p->states[k];
        const float accel = (b->speed - a->speed) / STEP;
        const float rate = nm_wrap_angle(b->rear_axle.heading_scene - a->rear_axle.heading_scene) / STEP;
        if (accel < -4.05f || accel > 2.40f || fabsf(rate) > 0.95f || fabsf(rate * b->speed) > 4.89f) return 0;
    }
    return 1;
}

static int leaves_road(const nm_map *map, const nm_planner_vehicle *vehicle, float end, const nm_pdm_proposal *p) {
    const float front = vehicle->rear_axle_to_box_centre + 0.5f * vehicle->length;
    enum { EVERY = 2, COUNT = NM_PDM_STEPS / EVERY + 1 };
    float x[COUNT], y[COUNT], c[COUNT], s[COUNT], length[COUNT], width[COUNT];
    uint8_t off[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        const nm_pdm_state *at = &p->states[EVERY * i];
        x[i] = at->x, y[i] = at->y, c[i] = at->cos_h, s[i] = at->sin_h;
        length[i] = vehicle->length, width[i] = vehicle->width;
    }
    nm_map_boxes_off_road(map, x, y, c, s, length, width, OFF_ROAD_MARGIN, COUNT, off);
    if (off[0]) return 0; // it is off now: no proposal changes that
    for (uint32_t i = 1; i < COUNT && p->states[EVERY * i].s + front < end; i++)
        if (off[i]) return 1;
    return 0;
}

void nm_pdm_judge(const nm_planner_scenario *scenario, const nm_map *map, const nm_pdm_agent *agents, uint32_t count,
                  nm_pdm_proposal *p) {
    const nm_planner_vehicle *vehicle = &scenario->vehicle;
    p->allowed = 1.0f;
    p->progress = p->states[NM_PDM_STEPS].s - p->states[0].s;
    judge_collisions(vehicle, agents, count, p);
    if (leaves_road(map, vehicle, scenario->route->length, p)) p->allowed = 0.0f;
    p->keeps_distance = 1;
    for (uint32_t k = 0; k <= NM_PDM_STEPS && p->keeps_distance; k += 2)
        p->keeps_distance = !closes_in(vehicle, agents, count, &p->states[k], STEP * (float)k);
    p->comfortable = is_comfortable(p);
}
