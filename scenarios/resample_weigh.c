// The odds that a candidate makes the conflict that was asked for.
#include <math.h>

#include "scenarios/kinds_measure.h"
#include "scenarios/resample_internal.h"

#define NEAR_SHARE 0.05f   // deviation of what is measured from what is aimed at, of the range
#define OUT_OF_RANGE 12.0f // nats
#define CLOSE 4.0f         // m: deviation of how near the ways come without a reaction
#define UNLIKE 1.0f        // nats for a response that came out the other way
#define HITS_OTHERS 5.0f   // nats for way that somebody else takes
#define REACH 40.0f        // m beyond which boxes are not compared
#define ORDINARY_NATS 0.6f // of each of three features, for what the model expects: half of recorded drives lie below
#define MOST_BIAS 0.75f    // of what may be asked for
#define WEIGHT_OF_OLD 0.3f // of a response, once there is a newer one

// --- likely futures of the ego ---------------------------------------------------------------------------------------

void nm_circles_put(nm_pose pose, float length, float x[NM_CIRCLES], float y[NM_CIRCLES]) {
    float sine, cosine;
    nm_sincosf(pose.heading, &sine, &cosine);
    for (uint32_t k = 0; k < NM_CIRCLES; k++) {
        const float along = ((float)k - 1) * length / NM_CIRCLES;
        x[k] = pose.x + along * cosine;
        y[k] = pose.y + along * sine;
    }
}

float nm_circles_radius(float length, float width) {
    return 0.5f * nm_hypotf(length / NM_CIRCLES, width);
}

void nm_likely_add(nm_drawing *d, float weight, int responds, int contact) {
    nm_attempt *a = &d->a;
    nm_resample_work *work = d->work;
    // place 0 is the ego on its own; responses take turns in the others
    if (responds)
        for (uint32_t i = 1; i < work->likely_count; i++) work->likely[i].weight *= WEIGHT_OF_OLD;
    uint32_t at = work->likely_count;
    if (at == NM_FUTURES) {
        for (uint32_t i = 1; i + 1 < NM_FUTURES; i++) work->likely[i] = work->likely[i + 1];
        at = NM_FUTURES - 1;
    } else {
        work->likely_count++;
    }
    nm_likely *likely = &work->likely[at];
    const nm_course *course = &a->work->course;
    likely->course = *course;
    likely->weight = weight;
    likely->responds = responds;
    likely->contact = contact;
    likely->steps = a->request->steps;
    for (uint32_t t = 0; t <= likely->steps; t += NM_COARSE) {
        const uint32_t on = t < course->count ? t : course->count - 1;
        const float s = course->s[on] + course->v[on] * (float)(t - on) * NM_STEP_SECONDS;
        nm_circles_put(nm_drive_line_at(&a->work->ego_line, s, course->d[on]), a->ego_length, likely->x[t / NM_COARSE],
                       likely->y[t / NM_COARSE]);
    }
}

// --- odds ------------------------------------------------------------------------------------------------------------

float nm_circles_apart(const float *x, const float *y, const float *other_x, const float *other_y) {
    float least = INFINITY;
    const float dx = x[1] - other_x[1], dy = y[1] - other_y[1];
    if (dx * dx + dy * dy > REACH * REACH) return REACH;
    for (uint32_t i = 0; i < NM_CIRCLES; i++)
        for (uint32_t k = 0; k < NM_CIRCLES; k++) {
            const float ex = x[i] - other_x[k], ey = y[i] - other_y[k];
            least = nm_minf(least, ex * ex + ey * ey);
        }
    return sqrtf(least);
}

// Does the candidate take way that somebody of the traffic took in the last run?
static int hits_traffic(const nm_attempt *a, const float (*x)[NM_CIRCLES], const float (*y)[NM_CIRCLES],
                        uint32_t count) {
    const nm_arrays *take = &a->work->take;
    const float radius = nm_circles_radius(a->length, a->width);
    for (uint32_t track = nm_stage_track(a, NM_ROLES + a->more_count); track < a->tracks; track++) {
        const nm_track *info = &take->tracks[track];
        const float reach = radius + nm_circles_radius(info->length, info->width);
        for (uint32_t t = 0; t < count; t += 2 * NM_COARSE) {
            const size_t at = nm_scene_at(&take->scene, track, t);
            if (!take->valid[at]) continue;
            const float dx = take->x[at] - x[t / NM_COARSE][1], dy = take->y[at] - y[t / NM_COARSE][1];
            if (dx * dx + dy * dy > 400) continue;
            float ox[NM_CIRCLES], oy[NM_CIRCLES];
            nm_circles_put((nm_pose){take->x[at], take->y[at], take->heading[at]}, info->length, ox, oy);
            if (nm_circles_apart(x[t / NM_COARSE], y[t / NM_COARSE], ox, oy) < reach) return 1;
        }
    }
    return 0;
}

void nm_bias_learn(nm_drawing *d) {
    nm_attempt *a = &d->a;
    nm_plan_correct(a, a->request->steps);
    for (size_t i = 0; i < a->spec->param_count; i++) {
        const nm_kind_range *bounds = &a->spec->params[i].bounds;
        const float most = MOST_BIAS * (bounds->high - bounds->low), bias = a->value[i] - a->aim[i];
        if (isfinite(bias)) d->bias[i] = nm_clampf(bias, -most, most);
    }
}

// How near what would be measured comes to what the candidate aims at, against one future of the ego.
static float nearness(nm_drawing *d) {
    nm_attempt *a = &d->a;
    float achieved[NM_KIND_MAX_PARAMS], sum = 0;
    if (a->conflict >= a->work->course.count) return -OUT_OF_RANGE;
    nm_plan_staged(a, achieved);
    for (size_t i = 0; i < a->spec->param_count; i++) {
        const nm_kind_param_id id = a->spec->params[i].id;
        const nm_kind_range *range = &a->request->ranges.range[i];
        const float tolerance = nm_kind_tolerance(id);
        if (id == NM_PARAM_EGO_SPEED || id == NM_PARAM_MIN_TTC || id == NM_PARAM_REACTION || isnan(achieved[i]))
            continue;
        achieved[i] += d->bias[i];
        const float off = (achieved[i] - a->value[i]) / (NEAR_SHARE * (range->high - range->low) + 0.5f * tolerance);
        sum -= 0.5f * nm_minf(off * off, 4 * OUT_OF_RANGE);
        if (achieved[i] < range->low - tolerance || achieved[i] > range->high + tolerance) sum -= OUT_OF_RANGE;
    }
    return sum;
}

// Whom the ego comes close to.
static const nm_script *danger_of(const nm_attempt *a) {
    return &a->work->script[a->danger];
}

void nm_choice_weigh(nm_drawing *d, nm_choice *choice) {
    nm_attempt *a = &d->a;
    nm_resample_work *work = d->work;
    const nm_script *own = &a->work->script[NM_ROLE_ADVERSARY], *danger = danger_of(a);
    const uint32_t steps = a->request->steps;
    const uint32_t count = nm_script_steps(own, steps), there = nm_script_steps(danger, steps);
    choice->odds = -INFINITY;
    if (!nm_script_across(own, count, work->across) && nm_agent_type_vehicle(a->adversary_type)) return;
    const uint32_t led = d->led < count ? d->led : count;
    choice->plausibility = nm_motion_plausibility(a->adversary_type, own->v + led, work->across + led, count - led) -
                           3 * ORDINARY_NATS * (float)led * NM_STEP_SECONDS / NM_DECISION_SECONDS;
    float x[NM_COARSE_STEPS][NM_CIRCLES], y[NM_COARSE_STEPS][NM_CIRCLES];
    for (uint32_t t = 0; t < there; t += NM_COARSE)
        nm_circles_put(nm_script_pose(danger, t), danger == own ? a->length : a->other_length, x[t / NM_COARSE],
                       y[t / NM_COARSE]);
    const float reach =
        nm_circles_radius(danger == own ? a->length : a->other_length, danger == own ? a->width : a->other_width) +
        nm_circles_radius(a->ego_length, a->ego_width);
    const int wants_contact = a->request->ranges.severity == NM_SEVERITY_COLLISION;
    const uint32_t planned = choice->likely;
    float odds = 0, weights = 0;
    for (uint32_t k = 0; k < work->likely_count; k++) {
        const nm_likely *likely = &work->likely[k];
        if (likely->weight <= 0) continue;
        float least = REACH;
        for (uint32_t t = 0; t < there; t += NM_COARSE)
            least = nm_minf(least, nm_circles_apart(x[t / NM_COARSE], y[t / NM_COARSE], likely->x[t / NM_COARSE],
                                                    likely->y[t / NM_COARSE]));
        least = nm_maxf(least - reach, 0);
        // on ways that cross the parameters are of an ego that does not react: of the first one
        if (!d->habit.crosses) a->work->course = likely->course;
        float log_odds = d->habit.crosses ? 0 : nearness(d);
        if (likely->responds)
            log_odds -= (least <= 0) == wants_contact ? 0 : UNLIKE;
        else
            log_odds -= 0.5f * (least / CLOSE) * (least / CLOSE);
        odds += likely->weight * expf(nm_maxf(log_odds, -60));
        weights += likely->weight;
    }
    a->work->course = work->likely[planned].course;
    choice->odds = logf(odds / weights);
    if (d->habit.crosses) choice->odds += nearness(d);
    if (danger == own && hits_traffic(a, (const float(*)[NM_CIRCLES])x, (const float(*)[NM_CIRCLES])y, there))
        choice->odds -= HITS_OTHERS;
}
