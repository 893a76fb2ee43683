/// One pair over all its steps: exact metrics where the bounds of screen.c say that they can change an extreme.
#include "sim/metrics/summary.h"

typedef struct stretch {
    const nm_summary_context *context;
    const nm_course *a, *b;
    uint32_t step, count;
    const nm_screen *screen;
} stretch;

static void boxes_at(const stretch *now, uint32_t t, nm_box *a, nm_box *b) {
    *a = nm_course_box(now->a, now->step + t - now->a->first);
    *b = nm_course_box(now->b, now->step + t - now->b->first);
}

static int flagged(const stretch *now, uint32_t t, uint32_t flag) {
    return (now->screen->flags[t] & flag) != 0;
}
/// In range, and not the same states as a step before, whose results are in the extremes already.
static int counts(const stretch *now, uint32_t t) {
    return (now->screen->flags[t] & (NM_SCREEN_IN_RANGE | NM_SCREEN_SAME)) == NM_SCREEN_IN_RANGE;
}

/// Step of the least bound, `count` when none is below `limit`: looked at first, it rules out most of the others.
static uint32_t least_of(const float *bounds, uint32_t count, float limit) {
    uint32_t least = count;
    for (uint32_t t = 0; t < count; t++)
        if (bounds[t] < limit) limit = bounds[t], least = t;
    return least;
}

void nm_summary_begin(nm_summary *summary, uint32_t first, uint32_t second) {
    *summary = (nm_summary){0};
    summary->pair = (nm_pair_summary){
        .first = first,
        .second = second,
        .min_ttc = INFINITY,
        .min_ttc_step = NM_NONE,
        .min_ttc_projected = INFINITY,
        .min_distance = INFINITY,
        .min_distance_step = NM_NONE,
        .min_thw = INFINITY,
        .max_drac_step = NM_NONE,
        .min_ttce_dce = INFINITY,
        .pet = INFINITY,
        .pet_step = NM_NONE,
        .min_ttb = INFINITY,
        .min_tts = INFINITY,
        .min_ttr = INFINITY,
    };
    summary->collision = (nm_collision){.first = first, .second = second, .step = NM_NONE};
}

static void take_distance(const stretch *now, uint32_t t, nm_pair_summary *pair) {
    nm_box a, b;
    boxes_at(now, t, &a, &b);
    float distance = nm_box_distance(&a, &b);
    uint32_t step = now->step + t;
    if (distance < pair->min_distance || (distance == pair->min_distance && step < pair->min_distance_step))
        pair->min_distance = distance, pair->min_distance_step = step;
}

static void add_distance(const stretch *now, nm_pair_summary *pair) {
    const float *bound = now->screen->distance;
    uint32_t best = least_of(bound, now->count, pair->min_distance);
    if (best == now->count) return;
    take_distance(now, best, pair);
    for (uint32_t t = 0; t < now->count; t++) // <=: the earliest step of the least distance is the one to name
        if (t != best && bound[t] <= pair->min_distance && counts(now, t)) take_distance(now, t, pair);
}

static void take_approach(const stretch *now, uint32_t t, nm_pair_summary *pair) {
    nm_box a, b;
    float ttce, dce;
    boxes_at(now, t, &a, &b);
    nm_closest_approach(&a, &b, now->context->params->ttc_horizon, &ttce, &dce);
    if (dce < pair->min_ttce_dce) pair->min_ttce_dce = dce;
}

static void add_approach(const stretch *now, nm_pair_summary *pair) {
    const float *bound = now->screen->approach;
    uint32_t best = least_of(bound, now->count, pair->min_ttce_dce);
    if (best == now->count) return;
    take_approach(now, best, pair);
    for (uint32_t t = 0; t < now->count && pair->min_ttce_dce > 0.0f; t++)
        if (t != best && bound[t] < pair->min_ttce_dce && counts(now, t)) take_approach(now, t, pair);
}

static void add_ttc(const stretch *now, nm_summary *summary) {
    const nm_criticality_params *params = now->context->params;
    nm_pair_summary *pair = &summary->pair;
    float ttc = INFINITY;
    uint32_t known = NM_NONE; // step that `ttc` belongs to
    for (uint32_t t = 0; t < now->count; t++) {
        float limit = pair->min_ttc > params->ttc_threshold ? pair->min_ttc : params->ttc_threshold;
        if (!(now->screen->ttc[t] < limit)) continue;
        if (!(flagged(now, t, NM_SCREEN_SAME) && t > 0 && known == t - 1)) {
            nm_box a, b;
            boxes_at(now, t, &a, &b);
            ttc = nm_ttc(&a, &b, params->ttc_horizon);
        }
        known = t;
        if (ttc < pair->min_ttc) pair->min_ttc = ttc, pair->min_ttc_step = now->step + t;
        if (ttc < params->ttc_threshold) summary->exposed_steps++, summary->shortfall += params->ttc_threshold - ttc;
    }
}

static void add_projected(const stretch *now, nm_pair_summary *pair) {
    for (uint32_t t = 0; t < now->count; t++) {
        if (!(now->screen->projected[t] < pair->min_ttc_projected) || !counts(now, t)) continue;
        nm_box a, b;
        boxes_at(now, t, &a, &b);
        float ttc = nm_ttc_projected(&a, &b, now->context->params);
        if (ttc < pair->min_ttc_projected) pair->min_ttc_projected = ttc;
    }
}

static void take_following(const nm_following *following, uint32_t step, nm_pair_summary *pair) {
    if (following->thw < pair->min_thw) pair->min_thw = following->thw;
    if (following->ittc > pair->max_ittc) pair->max_ittc = following->ittc;
    if (following->drac > pair->max_drac) pair->max_drac = following->drac, pair->max_drac_step = step;
}

static void add_following(const stretch *now, nm_pair_summary *pair) {
    for (uint32_t t = 0; t < now->count; t++) {
        if (!flagged(now, t, NM_SCREEN_A_FOLLOWS | NM_SCREEN_B_FOLLOWS) || !counts(now, t)) continue;
        nm_box a, b;
        boxes_at(now, t, &a, &b);
        if (flagged(now, t, NM_SCREEN_A_FOLLOWS)) {
            nm_following following = nm_follow_within(&a, &b, now->context->params, now->context->follow_cos);
            take_following(&following, now->step + t, pair);
        }
        if (flagged(now, t, NM_SCREEN_B_FOLLOWS)) {
            nm_following following = nm_follow_within(&b, &a, now->context->params, now->context->follow_cos);
            take_following(&following, now->step + t, pair);
        }
    }
}

static void add_rss(const stretch *now, nm_summary *summary) {
    int dangerous = 0;
    uint32_t known = NM_NONE;
    for (uint32_t t = 0; t < now->count; t++) {
        if (!flagged(now, t, NM_SCREEN_RSS)) continue;
        if (!(flagged(now, t, NM_SCREEN_SAME) && t > 0 && known == t - 1)) {
            nm_box a, b;
            boxes_at(now, t, &a, &b);
            dangerous = nm_rss_dangerous_within(&a, &b, now->context->params, now->context->follow_cos);
        }
        known = t;
        summary->rss_steps += dangerous != 0;
    }
}

/// Longest time a displacement takes that surely clears the other box: see delay() in react.c.
static float slowest_evasion(float displacement, float accel, float speed) {
    if (!(accel > 0.0f) || !(speed > 0.0f)) return INFINITY;
    if (displacement <= speed * speed / (2.0f * accel)) return sqrtf(2.0f * displacement / accel);
    return displacement / speed + speed / (2.0f * accel);
}

/// A lower bound of the pair's TTB and TTS at step t, from a lower bound of its TTC.
///
/// Displacing a box by the sum of both diameters clears the other whatever the direction. An evasion that does not go
/// towards the other along the contact normal n is asked for nothing before the contact (else a point of the Minkowski
/// sum would lie beyond its supporting line at n), so it may begin that long before the contact. One of left and right
/// is such an evasion, for both boxes; and braking is for at least one of the boxes, since not both can be moving away
/// from the other along n.
static float react_bound(const stretch *now, uint32_t t) {
    const nm_criticality_params *params = now->context->params;
    nm_box a, b;
    boxes_at(now, t, &a, &b);
    float diameters = sqrtf(a.length * a.length + a.width * a.width) + sqrtf(b.length * b.length + b.width * b.width);
    float speed_a = sqrtf(a.vx * a.vx + a.vy * a.vy), speed_b = sqrtf(b.vx * b.vx + b.vy * b.vy);
    float fast = speed_a > speed_b ? speed_a : speed_b, slow = speed_a > speed_b ? speed_b : speed_a;
    float braking = slowest_evasion(diameters, params->max_brake, slow > 0.0f ? slow : fast);
    float steering = slowest_evasion(diameters, params->max_lateral, fast);
    return now->screen->ttc[t] - 1.001f * (braking > steering ? braking : steering);
}

/// Both may react: what counts at a step is who can longer.
static void take_react(const stretch *now, uint32_t t, nm_pair_summary *pair) {
    nm_box a, b;
    float ttb[2], tts[2], ttr[2];
    boxes_at(now, t, &a, &b);
    nm_time_to_react(&a, &b, now->context->params, &ttb[0], &tts[0], &ttr[0]);
    nm_time_to_react(&b, &a, now->context->params, &ttb[1], &tts[1], &ttr[1]);
    float brake = ttb[0] > ttb[1] ? ttb[0] : ttb[1], steer = tts[0] > tts[1] ? tts[0] : tts[1];
    float any = brake > steer ? brake : steer;
    if (brake < pair->min_ttb) pair->min_ttb = brake;
    if (steer < pair->min_tts) pair->min_tts = steer;
    if (any < pair->min_ttr) pair->min_ttr = any;
}

static void add_react(const stretch *now, nm_pair_summary *pair) {
    uint32_t best = least_of(now->screen->ttc, now->count, INFINITY);
    if (best == now->count || !(pair->min_ttr > 0.0f)) return;
    take_react(now, best, pair);
    for (uint32_t t = 0; t < now->count && pair->min_ttr > 0.0f; t++) {
        if (t == best || !(now->screen->ttc[t] < INFINITY) || !counts(now, t)) continue;
        if (react_bound(now, t) < pair->min_ttr) take_react(now, t, pair);
    }
}

/// Classified by what the boxes did just before. Where their velocities do not explain the contact (a jump, a hard
/// manoeuvre within the step), by where they are and how they came.
static void classify(const stretch *now, uint32_t t, nm_collision *collision) {
    const nm_summary_context *context = now->context;
    const nm_track *tracks = context->scene->tracks;
    uint32_t first = collision->first, second = collision->second;
    uint32_t step = now->step + t, at_a = step - now->a->first, at_b = step - now->b->first;
    nm_box a, b;
    boxes_at(now, t, &a, &b);
    if (at_a > 0 && at_b > 0 && nm_course_valid(now->a, at_a - 1) && nm_course_valid(now->b, at_b - 1)) {
        nm_box before_a = nm_course_box(now->a, at_a - 1), before_b = nm_course_box(now->b, at_b - 1);
        if (nm_ttc(&before_a, &before_b, 1.5f * context->scene->dt) < INFINITY) {
            a = before_a, b = before_b;
        } else {
            a.vx = before_a.vx, a.vy = before_a.vy;
            b.vx = before_b.vx, b.vy = before_b.vy;
        }
    }
    *collision = nm_classify_collision(&a, &b, (nm_agent_type)tracks[first].type, (nm_agent_type)tracks[second].type,
                                       context->params);
    collision->first = first, collision->second = second, collision->step = step;
}

static void add_collision(const stretch *now, nm_summary *summary) {
    for (uint32_t t = 0; t < now->count && summary->collision.step == NM_NONE; t++) {
        if (now->screen->distance[t] > 0.0f || !counts(now, t)) continue;
        nm_box a, b;
        boxes_at(now, t, &a, &b);
        if (nm_box_overlap(&a, &b)) classify(now, t, &summary->collision);
    }
}

void nm_summary_add(const nm_summary_context *context, const nm_course *a, const nm_course *b, uint32_t step,
                    uint32_t count, nm_summary *summary) {
    nm_screen screen;
    nm_screen_run(a, step - a->first, b, step - b->first, count, &context->limits, &screen);
    if (!(screen.any_flags & NM_SCREEN_IN_RANGE)) return;
    const stretch now = {context, a, b, step, count, &screen};
    nm_pair_summary *pair = &summary->pair;
    summary->seen = 1;
    if (screen.least_distance <= pair->min_distance) add_distance(&now, pair);
    if (screen.least_approach < pair->min_ttce_dce && pair->min_ttce_dce > 0.0f) add_approach(&now, pair);
    if (screen.least_ttc < INFINITY) {
        add_ttc(&now, summary);
        add_react(&now, pair);
    }
    if (screen.least_projected < pair->min_ttc_projected) add_projected(&now, pair);
    if (screen.any_flags & (NM_SCREEN_A_FOLLOWS | NM_SCREEN_B_FOLLOWS)) add_following(&now, pair);
    if (screen.any_flags & NM_SCREEN_RSS) add_rss(&now, summary);
    if (!(screen.least_distance > 0.0f) && summary->collision.step == NM_NONE) add_collision(&now, summary);
}

void nm_summary_end(const nm_summary_context *context, const nm_course *a, const nm_course *b, nm_summary *summary) {
    nm_pair_summary *pair = &summary->pair;
    double dt = context->scene->dt;
    pair->tet = (float)(summary->exposed_steps * dt);
    pair->tit = (float)(summary->shortfall * dt);
    pair->rss_exposed = (float)(summary->rss_steps * dt);
    if (summary->collision.step == NM_NONE)
        nm_course_pet(a, b, dt, context->params, context->scratch, &pair->pet, &pair->pet_step);
}
