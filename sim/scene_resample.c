/// The same scene at another time step.
#include "sim/scene_private.h"

#include "sim/geometry.h"

#define SNAP 1e-4 // of an old step: nearer to a recorded state than this is that state

/// New step -> place between two old ones.
typedef struct place {
    uint32_t step;
    float part; // 0 = the old step itself
} place;

/// Old steps per new one. Step lengths are floats of decimal numbers: a ratio this near to a simple fraction is meant
/// to be it, and should not drift over long scenes.
static double step_ratio(const nm_scene *scene, double dt) {
    double ratio = (double)(float)dt / (double)scene->dt;
    for (int k = 1; k <= 64; k++) {
        double scaled = ratio * k, nearest = floor(scaled + 0.5);
        if (nearest > 0.0 && fabs(scaled - nearest) < 1e-6 * scaled) return nearest / k;
    }
    return ratio;
}

static place place_of(uint32_t step, double ratio) {
    double at = step * ratio, whole = floor(at + SNAP);
    double part = at - whole;
    return (place){(uint32_t)whole, part < SNAP ? 0.0f : (float)part};
}

static uint32_t convert_step(uint32_t step, double ratio, int up) {
    double at = step / ratio;
    at = up ? ceil(at - SNAP) : floor(at + SNAP);
    return at < (double)(NM_NONE - 1u) ? (uint32_t)at : NM_NONE - 1u;
}

static float blend(const float *plane, size_t at, float part) {
    return part > 0.0f ? plane[at] + part * (plane[at + 1] - plane[at]) : plane[at];
}

static void resample_track(const nm_scene *from, nm_scene *to, uint32_t index, double ratio) {
    nm_track *track = &NM_MUTABLE(nm_track, to->tracks)[index];
    uint8_t *valid = NM_MUTABLE(uint8_t, to->valid);
    track->first_step = 1;
    track->last_step = 0;
    for (uint32_t step = 0; step < to->step_count; step++) {
        place p = place_of(step, ratio);
        size_t at = nm_scene_at(from, index, p.step), out = nm_scene_at(to, index, step);
        if (p.step >= from->step_count || !from->valid[at]) continue;
        if (p.part > 0.0f && (p.step + 1 >= from->step_count || !from->valid[at + 1])) continue;
        valid[out] = 1;
        if (track->first_step > track->last_step) track->first_step = step;
        track->last_step = step;
#define PLANE(name, always)                                                                                            \
    if (from->name) NM_MUTABLE(float, to->name)[out] = blend(from->name, at, p.part);
        NM_SCENE_PLANES(PLANE)
#undef PLANE
        float heading = from->heading[at];
        if (p.part > 0.0f) heading += p.part * nm_wrap_angle(from->heading[at + 1] - heading);
        NM_MUTABLE(float, to->heading)[out] = nm_wrap_angle(heading);
    }
}

/// Signals keep the state of the recorded step before.
static void resample_signals(const nm_scene *from, nm_scene *to, double ratio) {
    uint8_t *states = NM_MUTABLE(uint8_t, to->signal_states);
    for (uint32_t i = 0; states && i < from->map->signal_count; i++) {
        for (uint32_t step = 0; step < to->step_count; step++) {
            states[(size_t)i * to->step_count + step] =
                from->signal_states[(size_t)i * from->step_count + place_of(step, ratio).step];
        }
    }
}

static void copy_rest(const nm_scene *from, nm_scene *to, char *text, double ratio) {
    double *times = NM_MUTABLE(double, to->timestamps);
    for (uint32_t step = 0; times && step < to->step_count; step++) {
        place p = place_of(step, ratio);
        double a = from->timestamps[p.step];
        times[step] = p.part > 0.0f ? a + (double)p.part * (from->timestamps[p.step + 1] - a) : a;
    }
    for (uint32_t i = 0; i < from->problem_count; i++) {
        nm_problem *problem = &NM_MUTABLE(nm_problem, to->problems)[i];
        *problem = from->problems[i];
        problem->start_step = convert_step(problem->start_step, ratio, 0);
    }
    for (uint32_t i = 0; i < from->goal_count; i++) {
        nm_goal *goal = &NM_MUTABLE(nm_goal, to->goals)[i];
        *goal = from->goals[i];
        goal->last_step = convert_step(goal->last_step, ratio, 0);
        goal->first_step = convert_step(goal->first_step, ratio, 1);
        if (goal->first_step > goal->last_step) goal->first_step = goal->last_step; // shorter than a new step
    }
    if (from->goal_area_count) {
        memcpy(NM_MUTABLE(nm_goal_area, to->goal_areas), from->goal_areas,
               from->goal_area_count * sizeof *from->goal_areas);
    }
    for (uint32_t i = 0; i < from->tag_count; i++) {
        NM_MUTABLE(const char *, to->tags)[i] = nm_scene_put_text(&text, from->tags[i]);
    }
    to->provenance = from->provenance;
    to->provenance.source = nm_scene_put_text(&text, from->provenance.source);
    to->provenance.file = nm_scene_put_text(&text, from->provenance.file);
    to->provenance.scene_id = nm_scene_put_text(&text, from->provenance.scene_id);
    to->provenance.program = nm_scene_put_text(&text, from->provenance.program);
    to->provenance.parameters = nm_scene_put_text(&text, from->provenance.parameters);
}

nm_status nm_scene_resample(const nm_scene *scene, double dt, const nm_scene **out, nm_error *error) {
    *out = NULL;
    if (!(dt > 0.0 && dt <= 3600.0) || !((float)dt > 0.0f)) {
        return NM_ERROR(error, NM_E_ARGUMENT, "time step %g s makes no sense", dt);
    }
    double ratio = step_ratio(scene, dt);
    double last = floor(((double)(scene->step_count - 1) + 0.5 * SNAP) / ratio);
    if (!(last < (double)NM_SCENE_MAX_STEPS)) {
        return NM_ERROR(error, NM_E_LIMIT, "a time step of %g s gives more than %u steps", dt, NM_SCENE_MAX_STEPS);
    }
    nm_scene_shape shape = nm_scene_shape_of(scene);
    shape.step_count = (uint32_t)last + 1;
    nm_scene *made;
    char *text;
    nm_status status = nm_scene_allocate(&shape, scene->map, &made, &text, error);
    if (status != NM_OK) return status;
    made->dt = (float)dt;
    made->current_step = convert_step(scene->current_step, ratio, 0);
    made->ego = scene->ego;
    if (scene->track_count) {
        memcpy(NM_MUTABLE(nm_track, made->tracks), scene->tracks, scene->track_count * sizeof *scene->tracks);
    }
    for (uint32_t i = 0; i < scene->track_count; i++) resample_track(scene, made, i, ratio);
    resample_signals(scene, made, ratio);
    copy_rest(scene, made, text, ratio);
    status = nm_scene_seal(made, error);
    if (status != NM_OK) {
        nm_scene_destroy(made);
        return status;
    }
    *out = made;
    return NM_OK;
}
