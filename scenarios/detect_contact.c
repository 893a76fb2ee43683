// Kinds about touching, or nearly: near_miss and collision.
#include "scenarios/detect_internal.h"

#define PARALLEL 0.35f       // rad (20 degrees) between the ways up to which two drive along each other
#define ONCOMING 2.4f        // rad (140 degrees) from which on they come towards each other
#define MIN_OVERLAP 0.3f     // m sideways for one to be in the other's way
#define AHEAD 2.0f           // s after a moment within which the pair must come as close as it threatened to
#define TURN_WINDOW 0.3f     // s to each side for the turn rate
#define PROJECTION_STEP 0.1f // s

// --- projection with turn rates --------------------------------------------------------------------------------------

static float turn_rate(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    uint32_t half = nm_detect_steps(ctx, TURN_WINDOW, 1), from = step, to = step;
    while (from > 0 && step - from < half && nm_detect_sample(ctx, track, from - 1)) from--;
    while (to - step < half && nm_detect_sample(ctx, track, to + 1)) to++;
    if (from == to) return 0;
    const float *heading = ctx->scene->heading + nm_scene_at(ctx->scene, track, 0);
    return remainderf(heading[to] - heading[from], 2 * NM_DETECT_PI) / ((float)(to - from) * ctx->dt);
}

// Advances a box by one step of the projection along its arc.
static void advance(nm_box *box, float cosine, float sine) {
    float cos_h = box->cos_h, vx = box->vx;
    box->x += box->vx * PROJECTION_STEP;
    box->y += box->vy * PROJECTION_STEP;
    box->cos_h = cos_h * cosine - box->sin_h * sine;
    box->sin_h = cos_h * sine + box->sin_h * cosine;
    box->vx = vx * cosine - box->vy * sine;
    box->vy = vx * sine + box->vy * cosine;
}

float nm_detect_turning_ttc(const nm_detect_context *ctx, uint32_t a, uint32_t b, uint32_t step, float horizon) {
    nm_box first, second;
    if (!nm_detect_box(ctx, a, step, &first) || !nm_detect_box(ctx, b, step, &second)) return INFINITY;
    float turn_a = turn_rate(ctx, a, step) * PROJECTION_STEP, turn_b = turn_rate(ctx, b, step) * PROJECTION_STEP;
    float cos_a = cosf(turn_a), sin_a = sinf(turn_a), cos_b = cosf(turn_b), sin_b = sinf(turn_b);
    for (float time = 0; time <= horizon; time += PROJECTION_STEP) {
        if (nm_box_overlap(&first, &second)) return time;
        advance(&first, cos_a, sin_a);
        advance(&second, cos_b, sin_b);
    }
    return INFINITY;
}

// --- near_miss -------------------------------------------------------------------------------------------------------

int nm_detect_common(const nm_scene *scene, uint32_t first_track, uint32_t second_track, uint32_t *first,
                     uint32_t *last) {
    const nm_track *a = &scene->tracks[first_track], *b = &scene->tracks[second_track];
    if (a->first_step > a->last_step || b->first_step > b->last_step) return 0;
    *first = a->first_step > b->first_step ? a->first_step : b->first_step;
    *last = a->last_step < b->last_step ? a->last_step : b->last_step;
    return *first <= *last;
}

// Whether the two are in each other's way at all, rather than side by side or passing in lanes of their own.
static int in_the_way(const nm_detect_context *ctx, const nm_pair_summary *pair, uint32_t step, float angle,
                      float distance) {
    int overlap = nm_detect_lateral_overlap(ctx, pair->first, pair->second, step) >= MIN_OVERLAP;
    if (!nm_detect_ways_meet(ctx, pair->first, pair->second, step)) return 0;
    if (overlap || (angle > PARALLEL && angle < ONCOMING)) return 1;
    if (angle >= ONCOMING) return 0;
    return distance < 0.5f &&
           (nm_detect_changing(ctx, pair->first, step) || nm_detect_changing(ctx, pair->second, step));
}

static int threatens(const nm_detect_context *ctx, const nm_pair_summary *pair, uint32_t step, float *ttc) {
    const float *value = ctx->params->values[NM_KIND_NEAR_MISS];
    nm_box a, b;
    if (!nm_detect_scored(ctx, pair->first, step) || !nm_detect_scored(ctx, pair->second, step)) return 0;
    if (!nm_detect_box(ctx, pair->first, step, &a) || !nm_detect_box(ctx, pair->second, step, &b)) return 0;
    float dx = a.x - b.x, dy = a.y - b.y, near = 60 + a.length + b.length;
    if (dx * dx + dy * dy > near * near) return 0;
    *ttc = nm_ttc(&a, &b, ctx->params->criticality.ttc_horizon);
    if (!(*ttc > 0 && *ttc <= value[NEAR_MISS_MAX_TTC])) return 0;
    float distance = nm_box_distance(&a, &b), closing = distance / *ttc;
    if (closing < value[NEAR_MISS_MIN_CLOSING] || closing / (2 * *ttc) < value[NEAR_MISS_MIN_DRAC]) return 0;
    float angle =
        nm_detect_between(nm_detect_direction(ctx, pair->first, step), nm_detect_direction(ctx, pair->second, step));
    if (!in_the_way(ctx, pair, step, angle, distance)) return 0;
    return nm_detect_turning_ttc(ctx, pair->first, pair->second, step, 1.5f * *ttc + 0.3f) < INFINITY;
}

// The least distance from `step` to AHEAD later; 0 when they touch.
static float comes_to(const nm_detect_context *ctx, const nm_pair_summary *pair, uint32_t step) {
    uint32_t until = step + nm_detect_steps(ctx, AHEAD, 1);
    float least = INFINITY;
    for (uint32_t t = step; t <= until; t++) {
        nm_box a, b;
        if (!nm_detect_box(ctx, pair->first, t, &a) || !nm_detect_box(ctx, pair->second, t, &b)) break;
        least = fminf(least, nm_box_distance(&a, &b));
    }
    return least;
}

// Speed of `self` towards the other.
static float towards(const nm_box *self, const nm_box *other) {
    float dx = other->x - self->x, dy = other->y - self->y, apart = hypotf(dx, dy);
    return apart > 0 ? (self->vx * dx + self->vy * dy) / apart : 0;
}

// Sideways acceleration relative to the lane (keeping to a bend is no swerving); without a lane, speed times turn rate.
static float swerve(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    uint32_t half = nm_detect_steps(ctx, TURN_WINDOW, 1);
    const nm_sample *now = nm_detect_scored(ctx, track, step), *after = nm_detect_scored(ctx, track, step + half);
    const nm_sample *before = step >= half ? nm_detect_scored(ctx, track, step - half) : NULL;
    if (!now || now->lane == NM_NONE) return now ? fabsf(now->speed * turn_rate(ctx, track, step)) : 0;
    if (!before || !after || before->lane == NM_NONE || after->lane == NM_NONE) return 0;
    return fabsf(after->lateral - before->lateral) / (2 * (float)half * ctx->dt);
}

// The strongest braking or swerving of the track within a second of [first, last], m/s^2.
static float evasion(const nm_detect_context *ctx, uint32_t track, uint32_t first, uint32_t last) {
    uint32_t second = nm_detect_steps(ctx, 1, 1);
    float most = 0;
    for (uint32_t t = first > second ? first - second : 0; t <= last + second; t++) {
        const nm_sample *sample = nm_detect_scored(ctx, track, t);
        if (sample) most = fmaxf(most, fmaxf(-sample->accel, swerve(ctx, track, t)));
    }
    return most;
}

static void emit_near_miss(nm_detect_context *ctx, const nm_pair_summary *pair, uint32_t first, uint32_t critical,
                           uint32_t last, float ttc) {
    const float *value = ctx->params->values[NM_KIND_NEAR_MISS];
    if ((float)(last - first + 1) * ctx->dt + 1e-4f < value[NEAR_MISS_MIN_DURATION]) return;
    float distance = comes_to(ctx, pair, first);
    if (distance <= 0 || distance > value[NEAR_MISS_MAX_DISTANCE]) return;
    if (evasion(ctx, pair->first, first, last) < value[NEAR_MISS_MIN_EVASION] &&
        evasion(ctx, pair->second, first, last) < value[NEAR_MISS_MIN_EVASION])
        return;
    nm_box a, b;
    nm_detect_box(ctx, pair->first, critical, &a);
    nm_detect_box(ctx, pair->second, critical, &b);
    int swap = towards(&b, &a) > towards(&a, &b);
    nm_event event = nm_detect_event(NM_KIND_NEAR_MISS, swap ? pair->second : pair->first,
                                     swap ? pair->first : pair->second, first, critical, last);
    event.min_ttc = ttc;
    event.min_distance = distance;
    nm_detect_emit(ctx, &event);
}

static int may_matter(const nm_detect_context *ctx, const nm_pair_summary *pair) {
    if (nm_detect_static(ctx, pair->first) && nm_detect_static(ctx, pair->second)) return 0;
    uint8_t a = ctx->scene->tracks[pair->first].type, b = ctx->scene->tracks[pair->second].type;
    return a != NM_AGENT_PEDESTRIAN || b != NM_AGENT_PEDESTRIAN;
}

static void near_miss_by_time(nm_detect_context *ctx, const nm_pair_summary *pair) {
    uint32_t from, to, first = NM_NONE, critical = 0;
    float least = INFINITY;
    if (!nm_detect_common(ctx->scene, pair->first, pair->second, &from, &to)) return;
    for (uint32_t t = from; t <= to + 1; t++) {
        float ttc = INFINITY;
        int hit = t <= to && threatens(ctx, pair, t, &ttc);
        if (hit && first == NM_NONE) first = t;
        if (hit && ttc < least) {
            least = ttc;
            critical = t;
        }
        if (hit || first == NM_NONE) continue;
        emit_near_miss(ctx, pair, first, critical, t - 1, least);
        first = NM_NONE;
        least = INFINITY;
    }
}

static void near_miss_by_crossing(nm_detect_context *ctx, const nm_crossing *crossing) {
    const float *value = ctx->params->values[NM_KIND_NEAR_MISS];
    const nm_sample *first = nm_detect_scored(ctx, crossing->first, crossing->first_step);
    const nm_sample *second = nm_detect_scored(ctx, crossing->second, crossing->second_step);
    if (!first || !second || crossing->follows || crossing->pet > value[NEAR_MISS_MAX_PET] || crossing->pet <= 0)
        return;
    if (crossing->angle < 2 * PARALLEL || crossing->angle > NM_DETECT_PI - PARALLEL) return;
    // what the second one would have had to brake with, when the first left, to stop short of the shared ground
    float speed = hypotf(second->vx, second->vy);
    if (speed < value[NEAR_MISS_MIN_CLOSING] || speed / (2 * crossing->pet) < value[NEAR_MISS_MIN_DRAC]) return;
    nm_event event = nm_detect_event(NM_KIND_NEAR_MISS, crossing->first, crossing->second, crossing->first_step,
                                     crossing->first_step, crossing->second_step);
    event.pet = crossing->pet;
    nm_detect_emit(ctx, &event);
}

void nm_detect_near_miss(nm_detect_context *ctx) {
    if (!nm_detect_enabled(ctx, NM_KIND_NEAR_MISS)) return;
    float ttc = 2 * nm_detect_param(ctx, NM_KIND_NEAR_MISS, NEAR_MISS_MAX_TTC);
    for (uint32_t i = 0; i < ctx->criticality.pair_count; i++) {
        const nm_pair_summary *pair = &ctx->criticality.pairs[i];
        if (pair->min_ttc <= ttc && pair->min_distance <= 10 && may_matter(ctx, pair)) near_miss_by_time(ctx, pair);
    }
    for (size_t i = 0; i < ctx->crossing_count; i++) {
        nm_pair_summary pair = {.first = ctx->crossings[i].first, .second = ctx->crossings[i].second};
        if (may_matter(ctx, &pair)) near_miss_by_crossing(ctx, &ctx->crossings[i]);
    }
}

// --- collision -------------------------------------------------------------------------------------------------------

// Half the extent of a box along a direction.
static float reach(const nm_box *box, float x, float y) {
    return 0.5f *
           (box->length * fabsf(box->cos_h * x + box->sin_h * y) + box->width * fabsf(box->cos_h * y - box->sin_h * x));
}

// Depth of the overlap over the four separating axes, m; negative when there is none.
static float penetration(const nm_box *a, const nm_box *b) {
    const float axes[4][2] = {{a->cos_h, a->sin_h}, {-a->sin_h, a->cos_h}, {b->cos_h, b->sin_h}, {-b->sin_h, b->cos_h}};
    float least = INFINITY;
    for (int i = 0; i < 4; i++) {
        float apart = fabsf((b->x - a->x) * axes[i][0] + (b->y - a->y) * axes[i][1]);
        least = fminf(least, reach(a, axes[i][0], axes[i][1]) + reach(b, axes[i][0], axes[i][1]) - apart);
    }
    return least;
}

static void emit_collision(nm_detect_context *ctx, const nm_pair_summary *pair, uint32_t contact, uint32_t last) {
    nm_box a, b;
    uint32_t before = contact > 0 ? contact - 1 : 0; // the motion before the crash changed it
    if (!nm_scene_box(ctx->scene, pair->first, before, &a) || !nm_scene_box(ctx->scene, pair->second, before, &b)) {
        nm_scene_box(ctx->scene, pair->first, contact, &a);
        nm_scene_box(ctx->scene, pair->second, contact, &b);
    }
    const nm_track *tracks = ctx->scene->tracks;
    nm_collision collision = nm_classify_collision(&a, &b, (nm_agent_type)tracks[pair->first].type,
                                                   (nm_agent_type)tracks[pair->second].type, &ctx->params->criticality);
    if (collision.impact_speed < nm_detect_param(ctx, NM_KIND_COLLISION, COLLISION_MIN_SPEED)) return;
    int swap = hypotf(b.vx, b.vy) > hypotf(a.vx, a.vy);
    if (collision.fault == NM_FAULT_FIRST) swap = 0;
    if (collision.fault == NM_FAULT_SECOND) swap = 1;
    nm_event event = nm_detect_event(NM_KIND_COLLISION, swap ? pair->second : pair->first,
                                     swap ? pair->first : pair->second, contact, contact, last);
    event.impact_speed = collision.impact_speed;
    event.delta_v = fmaxf(collision.first_delta_v, collision.second_delta_v);
    nm_detect_emit(ctx, &event);
}

static void judge_contact(nm_detect_context *ctx, const nm_pair_summary *pair) {
    float deep = nm_detect_param(ctx, NM_KIND_COLLISION, COLLISION_MIN_PENETRATION);
    uint32_t from, to, contact = NM_NONE;
    int armed = 0, hit = 0; // armed: the boxes were apart before, so that an overlap is a contact
    if (!nm_detect_common(ctx->scene, pair->first, pair->second, &from, &to)) return;
    for (uint32_t t = from; t <= to + 1; t++) {
        nm_box a, b;
        int together =
            t <= to && nm_scene_box(ctx->scene, pair->first, t, &a) && nm_scene_box(ctx->scene, pair->second, t, &b);
        float depth = together ? penetration(&a, &b) : -1;
        if (depth <= 0) {
            if (contact != NM_NONE && hit) emit_collision(ctx, pair, contact, t - 1);
            contact = NM_NONE;
            hit = 0;
            armed = together;
        } else if (armed) {
            if (contact == NM_NONE) contact = t;
            if (depth >= deep) hit = 1;
        }
    }
}

void nm_detect_collision(nm_detect_context *ctx) {
    if (!nm_detect_enabled(ctx, NM_KIND_COLLISION)) return;
    for (uint32_t i = 0; i < ctx->criticality.pair_count; i++) {
        const nm_pair_summary *pair = &ctx->criticality.pairs[i];
        if (pair->min_distance <= 0 && may_matter(ctx, pair)) judge_contact(ctx, pair);
    }
}
