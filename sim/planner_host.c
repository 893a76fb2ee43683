#include "sim/planner_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/text.h"
#include "sim/math.h"
#include "sim/planner_builtin.h"

#define WORDS 1024 // bytes of a planner's own message
#define MOST_STEERING 1.0471975512f
#define LEAST_INTERVAL 1e-5f // s between two points: trackers count microseconds

struct nm_planner {
    const nm_planner_vtable *table;
    void *object;
    void (*release)(void *library);
    void *library;
    char name[128];
    char scenario[128];
    int begun;
    double seconds;
    float step_seconds;
    nm_planner_output output;
    nm_planner_trajectory_point points[NM_PLANNER_MAX_POINTS];
};

static nm_status check_table(const nm_planner_vtable *table, const char *name, nm_error *error) {
    if (table->abi != NM_PLANNER_ABI || table->size != sizeof *table)
        return NM_ERROR(
            error, NM_E_VERSION,
            "planner '%s' was built for version %u of sim/planner.h (a table of %u bytes): this program has "
            "version %u (%zu bytes)",
            name, table->abi, table->size, NM_PLANNER_ABI, sizeof *table);
    if (!table->create || !table->begin || !table->plan)
        return NM_ERROR(error, NM_E_ARGUMENT, "planner '%s' lacks one of create, begin and plan", name);
    return NM_OK;
}

nm_status nm_planner_adopt(const nm_planner_vtable *table, const char *name, void *object, nm_planner **out,
                           nm_error *error) {
    NM_ASSERT(table && object && out);
    *out = NULL;
    const char *shown = name ? name : table->name ? table->name : "unnamed";
    nm_status status = check_table(table, shown, error);
    nm_planner *planner = status == NM_OK ? calloc(1, sizeof *planner) : NULL;
    if (status == NM_OK && !planner) status = NM_ERROR(error, NM_E_MEMORY, "no memory for planner '%s'", shown);
    if (status != NM_OK) {
        if (table->abi == NM_PLANNER_ABI && table->destroy) table->destroy(object);
        return status;
    }
    planner->table = table;
    planner->object = object;
    nm_text_escape(planner->name, sizeof planner->name, shown);
    *out = planner;
    return NM_OK;
}

nm_status nm_planner_create(const nm_planner_vtable *table, const char *name, const char *config, nm_planner **out,
                            nm_error *error) {
    NM_ASSERT(table && out);
    *out = NULL;
    const char *shown = name ? name : table->name ? table->name : "unnamed";
    const nm_status status = check_table(table, shown, error);
    if (status != NM_OK) return status;
    char words[WORDS] = "", safe[WORDS];
    void *object = table->create(config ? config : "", words, sizeof words);
    words[sizeof words - 1] = '\0';
    nm_text_escape(safe, sizeof safe, words[0] ? words : "it does not say why");
    if (!object) return NM_ERROR(error, NM_E_UNSUPPORTED, "planner '%s' can not be made: %s", shown, safe);
    return nm_planner_adopt(table, shown, object, out, error);
}

void nm_planner_destroy(nm_planner *planner) {
    if (!planner) return;
    nm_planner_end(planner);
    if (planner->table->destroy) planner->table->destroy(planner->object);
    if (planner->release) planner->release(planner->library);
    free(planner);
}

void nm_planner_release_with(nm_planner *planner, void (*release)(void *library), void *library) {
    planner->release = release;
    planner->library = library;
}

void *nm_planner_object_of(const nm_planner *planner, const nm_planner_vtable *table) {
    return planner->table == table ? planner->object : NULL;
}

const char *nm_planner_name(const nm_planner *planner) {
    return planner->name;
}

nm_planner_needs nm_planner_get_needs(const nm_planner *planner) {
    nm_planner_needs needs = {NM_PLANNER_HISTORY, 100.0f};
    if (planner->table->needs) planner->table->needs(planner->object, &needs);
    // what makes no sense is brought into range: an observation must come of it
    needs.history = needs.history < 1 ? 1 : needs.history > 100 ? 100 : needs.history;
    needs.map_radius = needs.map_radius >= 0.0f ? nm_minf(needs.map_radius, 1000.0f) : 0.0f;
    return needs;
}

double nm_planner_last_seconds(const nm_planner *planner) {
    return planner->seconds;
}

static nm_status complain(const nm_planner *planner, int code, const char *doing, const char *words, nm_error *error) {
    char safe[WORDS];
    nm_text_escape(safe, sizeof safe, words[0] ? words : "it does not say why");
    const nm_status status = code > 0 && code < NM_STATUS_COUNT ? (nm_status)code : NM_E_UNSUPPORTED;
    return NM_ERROR(error, status, "planner '%s' failed %s: %s", planner->name, doing, safe);
}

nm_status nm_planner_begin(nm_planner *planner, const nm_planner_scenario *scenario, nm_error *error) {
    NM_ASSERT(planner && scenario && !planner->begun);
    char words[WORDS] = "", doing[192];
    planner->begun = 1;
    planner->step_seconds = scenario->step_seconds;
    nm_text_escape(planner->scenario, sizeof planner->scenario, scenario->name ? scenario->name : "");
    const int code = planner->table->begin(planner->object, scenario, words, sizeof words);
    words[sizeof words - 1] = '\0';
    if (code == 0) return NM_OK;
    snprintf(doing, sizeof doing, "to begin scenario '%s'", planner->scenario);
    return complain(planner, code, doing, words, error);
}

void nm_planner_end(nm_planner *planner) {
    if (!planner->begun) return;
    planner->begun = 0;
    if (planner->table->end) planner->table->end(planner->object);
}

static int sound(float value, float most) {
    return fabsf(value) <= most; // NaN is not
}

static nm_status check_numbers(const nm_planner *planner, uint32_t step, const float *values, uint32_t count,
                               nm_error *error) {
    for (uint32_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return NM_ERROR(error, NM_E_NUMERIC, "planner '%s' answered %s at step %u", planner->name,
                            isnan(values[i]) ? "NaN" : "infinity", step);
    return NM_OK;
}

/// How far the ego would have to go to the first point after now.
static nm_status check_jump(const nm_planner *planner, const nm_planner_observation *observation, nm_error *error) {
    const nm_planner_trajectory_point *points = planner->output.points;
    nm_planner_pose at = observation->ego.rear_axle;
    float time = 0.0f;
    for (uint32_t i = 0; i < planner->output.point_count; i++) {
        const nm_planner_pose to = points[i].rear_axle;
        const float way = nm_hypotf(to.x_scene - at.x_scene, to.y_scene - at.y_scene);
        const float reach = NM_PLANNER_MAX_SPEED * nm_maxf(points[i].time - time, planner->step_seconds);
        if (!(way <= reach))
            return NM_ERROR(
                error, NM_E_FORMAT,
                "planner '%s' plans to be %.1f m away after %.2f s at step %u, over %.0f m/s: are its points "
                "in the scene's frame?",
                planner->name, (double)way, (double)(points[i].time - time), observation->step,
                (double)NM_PLANNER_MAX_SPEED);
        if (points[i].time > 0.0f) return NM_OK;
        at = to; // the trajectory may begin with a point of its own for now
    }
    return NM_OK;
}

static nm_status check_trajectory(const nm_planner *planner, const nm_planner_observation *observation,
                                  nm_error *error) {
    const nm_planner_output *output = &planner->output;
    const uint32_t step = observation->step;
    if (output->point_count < 2 || output->point_count > output->point_capacity)
        return NM_ERROR(error, NM_E_FORMAT,
                        "planner '%s' answered a trajectory of %u points at step %u: 2 to %u are "
                        "possible",
                        planner->name, output->point_count, step, output->point_capacity);
    for (uint32_t i = 0; i < output->point_count; i++) {
        const nm_planner_trajectory_point *p = &output->points[i];
        const float values[5] = {p->time, p->rear_axle.x_scene, p->rear_axle.y_scene, p->rear_axle.heading_scene,
                                 p->speed_ahead};
        const nm_status status = check_numbers(planner, step, values, 5, error);
        if (status != NM_OK) return status;
        const float since = p->time - (i ? p[-1].time : 0.0f);
        if (!(since >= LEAST_INTERVAL || (i == 0 && since == 0.0f)))
            return NM_ERROR(error, NM_E_FORMAT,
                            "planner '%s' answered times that do not rise from 0 at step %u: point "
                            "%u is at %.3f s",
                            planner->name, step, i, (double)p->time);
        if (p->time > NM_PLANNER_MAX_TIME)
            return NM_ERROR(error, NM_E_FORMAT,
                            "planner '%s' plans %g s ahead at step %u: at most %.0f s are possible, in seconds",
                            planner->name, (double)p->time, step, (double)NM_PLANNER_MAX_TIME);
        if (!sound(p->speed_ahead, NM_PLANNER_MAX_SPEED) || !sound(p->rear_axle.heading_scene, 1e4f) ||
            !sound(p->rear_axle.x_scene, 1e7f) || !sound(p->rear_axle.y_scene, 1e7f))
            return NM_ERROR(error, NM_E_FORMAT,
                            "planner '%s' answered a point out of range at step %u: point %u at "
                            "%g, %g m, %g rad, %g m/s",
                            planner->name, step, i, (double)p->rear_axle.x_scene, (double)p->rear_axle.y_scene,
                            (double)p->rear_axle.heading_scene, (double)p->speed_ahead);
    }
    const float end = output->points[output->point_count - 1].time;
    if (end < planner->step_seconds * 0.999f)
        return NM_ERROR(error, NM_E_FORMAT,
                        "planner '%s' answered a trajectory that is too short at step %u: it ends "
                        "after %.3f s, before the next step at %.3f s",
                        planner->name, step, (double)end, (double)planner->step_seconds);
    return check_jump(planner, observation, error);
}

static nm_status check_control(const nm_planner *planner, uint32_t step, nm_error *error) {
    const nm_planner_output *o = &planner->output;
    const int steered = o->answer == NM_PLANNER_CONTROL_STEERING;
    const float turn = steered ? o->steering_rate : o->rear_axle_curvature;
    const float values[2] = {o->acceleration_ahead, turn};
    const nm_status status = check_numbers(planner, step, values, 2, error);
    if (status != NM_OK) return status;
    if (sound(o->acceleration_ahead, NM_PLANNER_MAX_ACCEL) &&
        sound(turn, steered ? NM_PLANNER_MAX_STEERING : NM_PLANNER_MAX_CURVATURE))
        return NM_OK;
    return NM_ERROR(error, NM_E_FORMAT, "planner '%s' answered a control out of range at step %u: %g m/s^2, %g %s",
                    planner->name, step, (double)o->acceleration_ahead, (double)turn, steered ? "rad/s" : "1/m");
}

static nm_status check_answer(nm_planner *planner, const nm_planner_observation *observation, nm_error *error) {
    nm_planner_output *o = &planner->output;
    o->text[sizeof o->text - 1] = '\0';
    o->points = planner->points; // whatever the planner made of them
    o->point_capacity = NM_PLANNER_MAX_POINTS;
    switch (o->answer) {
    case NM_PLANNER_TRAJECTORY:
        return check_trajectory(planner, observation, error);
    case NM_PLANNER_CONTROL_CURVATURE:
    case NM_PLANNER_CONTROL_STEERING:
        return check_control(planner, observation->step, error);
    case NM_PLANNER_NO_ANSWER:
        return NM_ERROR(error, NM_E_FORMAT, "planner '%s' answered nothing at step %u", planner->name,
                        observation->step);
    default:
        return NM_ERROR(error, NM_E_FORMAT, "planner '%s' answered at step %u what is neither trajectory nor control",
                        planner->name, observation->step);
    }
}

nm_status nm_planner_plan(nm_planner *planner, const nm_planner_observation *observation,
                          const nm_planner_output **output, nm_error *error) {
    NM_ASSERT(planner && observation && output && planner->begun);
    *output = NULL;
    char words[WORDS] = "", doing[192];
    planner->output = (nm_planner_output){.point_capacity = NM_PLANNER_MAX_POINTS, .points = planner->points};
    const double before = nm_clock();
    const int code = planner->table->plan(planner->object, observation, &planner->output, words, sizeof words);
    planner->seconds = nm_clock() - before;
    words[sizeof words - 1] = '\0';
    if (code != 0) {
        snprintf(doing, sizeof doing, "at step %u of '%s'", observation->step, planner->scenario);
        return complain(planner, code, doing, words, error);
    }
    if (observation->deadline > 0.0f && planner->seconds > (double)observation->deadline)
        return NM_ERROR(error, NM_E_LIMIT,
                        "planner '%s' answered too late at step %u: after %.3f s, the deadline is "
                        "%.3f s",
                        planner->name, observation->step, planner->seconds, (double)observation->deadline);
    const nm_status status = check_answer(planner, observation, error);
    if (status == NM_OK) *output = &planner->output;
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------

static void centre_from_axle(const nm_planner_ego *ego, nm_planner_motion *next) {
    const float ahead = ego->vehicle.rear_axle_to_box_centre;
    float sine, cosine;
    next->rear_axle.heading_scene = nm_wrap_angle(next->rear_axle.heading_scene);
    nm_sincosf(next->rear_axle.heading_scene, &sine, &cosine);
    next->box_centre = next->rear_axle;
    next->box_centre.x_scene += ahead * cosine;
    next->box_centre.y_scene += ahead * sine;
}

static void follow_trajectory(const nm_planner_output *output, const nm_planner_ego *ego, float dt,
                              nm_planner_motion *next) {
    nm_planner_trajectory_point a = {0.0f, ego->rear_axle, ego->rear_axle_speed_ahead};
    uint32_t i = 0;
    if (output->points[0].time <= 0.0f) a = output->points[i++];
    while (i + 1 < output->point_count && output->points[i].time < dt) a = output->points[i++];
    const nm_planner_trajectory_point b = output->points[i];
    const float t = nm_clampf((dt - a.time) / (b.time - a.time), 0.0f, 1.0f);
    const float turn = nm_wrap_angle(b.rear_axle.heading_scene - a.rear_axle.heading_scene);
    next->rear_axle.x_scene = a.rear_axle.x_scene + t * (b.rear_axle.x_scene - a.rear_axle.x_scene);
    next->rear_axle.y_scene = a.rear_axle.y_scene + t * (b.rear_axle.y_scene - a.rear_axle.y_scene);
    next->rear_axle.heading_scene = a.rear_axle.heading_scene + t * turn;
    next->speed_ahead = a.speed_ahead + t * (b.speed_ahead - a.speed_ahead);
    next->acceleration_ahead = (next->speed_ahead - ego->rear_axle_speed_ahead) / dt;
    const float turned = nm_wrap_angle(next->rear_axle.heading_scene - ego->rear_axle.heading_scene);
    const float way = 0.5f * (next->speed_ahead + ego->rear_axle_speed_ahead) * dt;
    next->rear_axle_curvature = fabsf(way) > 0.01f ? turned / way : 0.0f; // standing: none that could be told
    next->steering_angle = nm_atan2f(ego->vehicle.wheelbase * next->rear_axle_curvature, 1.0f);
}

static void follow_control(const nm_planner_output *output, const nm_planner_ego *ego, float dt,
                           nm_planner_motion *next) {
    const float v0 = ego->rear_axle_speed_ahead, wheelbase = ego->vehicle.wheelbase;
    float angle = output->answer == NM_PLANNER_CONTROL_STEERING ? ego->steering_angle + output->steering_rate * dt
                                                                : nm_atan2f(wheelbase * output->rear_axle_curvature, 1);
    angle = nm_clampf(angle, -MOST_STEERING, MOST_STEERING);
    float sine, cosine;
    nm_sincosf(angle, &sine, &cosine);
    const float curvature = sine / (cosine * wheelbase);
    float v1 = v0 + output->acceleration_ahead * dt;
    if (v0 >= 0.0f) v1 = nm_maxf(v1, 0.0f);
    const float way = 0.5f * (v0 + v1) * dt, turn = way * curvature;
    nm_sincosf(nm_wrap_angle(ego->rear_axle.heading_scene + 0.5f * turn), &sine, &cosine);
    next->rear_axle.x_scene = ego->rear_axle.x_scene + way * cosine;
    next->rear_axle.y_scene = ego->rear_axle.y_scene + way * sine;
    next->rear_axle.heading_scene = ego->rear_axle.heading_scene + turn;
    next->speed_ahead = v1;
    next->acceleration_ahead = (v1 - v0) / dt;
    next->rear_axle_curvature = curvature;
    next->steering_angle = angle;
}

void nm_planner_follow_exactly(void *context, const nm_planner_output *output, const nm_planner_ego *ego, float dt,
                               nm_planner_motion *next) {
    (void)context;
    NM_ASSERT(output && ego && next && dt > 0.0f);
    if (output->answer == NM_PLANNER_TRAJECTORY)
        follow_trajectory(output, ego, dt, next);
    else
        follow_control(output, ego, dt, next);
    centre_from_axle(ego, next);
}

// ---------------------------------------------------------------------------------------------------------------------

static const struct {
    const nm_planner_vtable *table;
    const char *about;
} builtin[] = {
    {&nm_planner_expert, "drives as the ego was recorded"},
    {&nm_planner_constant_velocity, "keeps speed and heading"},
    {&nm_planner_idm, "follows the route by the Intelligent Driver Model, nuPlan's parameters"},
    {&nm_planner_pdm, "picks the best of 15 proposals along the route, PDM-Closed style"},
};
#define BUILTIN_COUNT (sizeof builtin / sizeof *builtin)

const char *nm_planner_builtin_name(size_t i) {
    return i < BUILTIN_COUNT ? builtin[i].table->name : NULL;
}

const char *nm_planner_builtin_about(size_t i) {
    return i < BUILTIN_COUNT ? builtin[i].about : NULL;
}

nm_status nm_planner_named(const char *name, const char *config, nm_planner **planner, nm_error *error) {
    NM_ASSERT(name && planner);
    *planner = NULL;
    char names[256];
    size_t used = 0;
    for (size_t i = 0; i < BUILTIN_COUNT; i++) {
        if (strcmp(builtin[i].table->name, name) == 0) {
            if (config && config[0])
                return NM_ERROR(error, NM_E_ARGUMENT, "planner '%s' takes no configuration, given is '%s'", name,
                                config);
            return nm_planner_create(builtin[i].table, NULL, config, planner, error);
        }
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", builtin[i].table->name);
    }
    char safe[128];
    nm_text_escape(safe, sizeof safe, name);
    return NM_ERROR(error, NM_E_NOT_FOUND, "there is no planner '%s'; there are %s", safe, names);
}
