/* A planner as a shared library: follows the route, keeps its distance, stops at red lights.
 *
 *     cc -shared -fPIC -O2 -I DIR planner.c -o libplanner.so -lm     DIR: where sim/planner.h is
 *
 * and its name to --planner: ./libplanner.so. All there is to know about the structures stands in sim/planner.h.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/planner.h"

typedef float planner; /* cruising speed as a share of the limit */

static void *create(const char *config, char *error, size_t error_size) {
    planner *p = malloc(sizeof *p);
    if (!p) return snprintf(error, error_size, "out of memory"), NULL;
    *p = config[0] ? strtof(config, NULL) : 0.9f;
    return p;
}

static int begin(void *self, const nm_planner_scenario *scenario, char *error, size_t error_size) {
    return (void)self, (void)scenario, (void)error, (void)error_size, 0; /* nothing to prepare */
}

/* Metres from the front bumper to what is in the way on the route; its speed in *speed. */
static float gap_ahead(const nm_planner_observation *o, float *speed) {
    const nm_planner_route *r = o->route;
    const uint32_t now = o->agents.history.sample_count - 1, from = (uint32_t)o->route_position + 1;
    const float half = 0.5f * o->ego.vehicle.length;
    for (uint32_t i = from; i < r->point_count && i < from + 80; i++) {
        for (uint32_t a = 0; a < o->agents.count; a++) {
            const nm_planner_history *h = &o->agents.history;
            const size_t at = (size_t)a * h->sample_count + now;
            const float dx = h->box_centre_x_scene[at] - r->points[i].x_scene;
            const float dy = h->box_centre_y_scene[at] - r->points[i].y_scene;
            *speed = hypotf(h->velocity_x_scene[at], h->velocity_y_scene[at]);
            if (hypotf(dx, dy) < 1.2f) return (float)i - o->route_position - half - 0.5f * o->agents.length[a];
        }
        for (uint32_t l = 0; l < r->lane_count; l++) /* the stop of a lane is near its end */
            for (uint32_t s = 0; s < o->signals.count && i + 1 == (uint32_t)r->lane_from[l] && l; s++)
                if (o->signals.lane[s] == r->lanes[l - 1] && o->signals.state[s] == NM_PLANNER_LIGHT_STOP)
                    return *speed = 0.0f, (float)i - o->route_position - half - 2.0f;
    }
    return 1e6f;
}

static int plan(void *self, const nm_planner_observation *o, nm_planner_output *out, char *error, size_t error_size) {
    const planner *p = self;
    const nm_planner_route *r = o->route;
    float lead = 0.0f, v = o->ego.rear_axle_speed_ahead, s = o->route_position - o->ego.vehicle.rear_axle_to_box_centre;
    const float gap = fmaxf(gap_ahead(o, &lead), 0.5f);
    (void)error, (void)error_size;
    for (uint32_t k = 0; k <= 40; k++) { /* the Intelligent Driver Model, 4 s in steps of 0.1 s */
        const uint32_t i = s > 0.0f ? (uint32_t)fminf(s, (float)(r->point_count - 1)) : 0;
        const float wanted = *p * fminf(r->speed_limit[i], 1.5f / sqrtf(fabsf(r->curvature[i]) + 1e-3f));
        const float room = 2.0f + 1.2f * v + v * (v - lead) / 3.5f, share = v / wanted;
        const float a = 1.5f * (1.0f - share * share * share * share - (room > 0 ? room * room / (gap * gap) : 0));
        const float c = cosf(r->heading_scene[i]), d = sinf(r->heading_scene[i]), over = s - (float)i;
        out->points[k].time = 0.1f * (float)k;
        out->points[k].rear_axle.x_scene = r->points[i].x_scene + over * c;
        out->points[k].rear_axle.y_scene = r->points[i].y_scene + over * d;
        out->points[k].rear_axle.heading_scene = r->heading_scene[i];
        out->points[k].speed_ahead = v;
        v = fmaxf(v + 0.1f * fminf(fmaxf(a, -4.0f), 1.5f), 0.0f);
        s += 0.1f * v;
    }
    out->answer = NM_PLANNER_TRAJECTORY;
    out->point_count = 41;
    return 0;
}

static const nm_planner_vtable table = {
    NM_PLANNER_ABI, sizeof(nm_planner_vtable), "example in C", create, free, NULL, begin, plan, NULL};

const nm_planner_vtable *nm_planner_entry(uint32_t abi) {
    return abi == NM_PLANNER_ABI ? &table : NULL;
}
