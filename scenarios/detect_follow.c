// Kinds along one lane: hard_brake, rear_end, lead_stopped, tailgate.
#include "scenarios/detect_internal.h"

#define MIN_OVERLAP 0.3f        // m sideways for one vehicle to be in the other's way
#define LEAST_GAP 0.05f         // m: logged lengths are off by decimetres, gaps at a standstill may come out negative
#define FOLLOWER_HEADWAY 3.0f   // s within which a follower is concerned by the leader's braking
#define SMOOTHING_MARGIN 0.3f   // s by which the fitted windows blunt the flanks of a short braking
#define MEAN_TIME 2.5f          // s over which the mean deceleration is judged
#define STANDSTILL 0.5f         // m/s
#define GAIN_FROM 4.0f          // m/s from which on ...
#define MOST_GAIN 3.2f          // ... no car gains more than this in a second
#define MOST_NEGATIVE_GAP -0.5f // m: deeper is not a following pair but a wrong box or match

float nm_detect_lateral_overlap(const nm_detect_context *ctx, uint32_t a, uint32_t b, uint32_t step) {
    const nm_scene *scene = ctx->scene;
    size_t i = nm_scene_at(scene, a, step), j = nm_scene_at(scene, b, step);
    float turn = remainderf(scene->heading[j] - scene->heading[i], 2 * NM_DETECT_PI);
    if (fabsf(turn) > 0.5f * NM_DETECT_PI) turn -= copysignf(NM_DETECT_PI, turn);
    float middle = scene->heading[i] + 0.5f * turn;
    float offset = (scene->y[j] - scene->y[i]) * cosf(middle) - (scene->x[j] - scene->x[i]) * sinf(middle);
    return 0.5f * (nm_detect_width(ctx, a, step) + nm_detect_width(ctx, b, step)) - fabsf(offset);
}

uint32_t nm_detect_follower(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    uint32_t best = NM_NONE;
    float best_gap = INFINITY;
    for (uint32_t b = 0; b < ctx->scene->track_count; b++) {
        const nm_sample *sample = nm_detect_sample(ctx, b, step);
        if (!sample || sample->leader != track || sample->gap >= best_gap) continue;
        best = b;
        best_gap = sample->gap;
    }
    return best;
}

// --- hard_brake ------------------------------------------------------------------------------------------------------

// Recorded speeds come in stairs: trackers hold a speed for a second and then catch up within half a second, which
// looks like braking but is none. So the mean deceleration is judged as well, over MEAN_TIME or until the standstill;
// and nothing is concluded near a gain of speed that no car has: there the tracker had lost it.
static float mean_braking(const nm_detect_context *ctx, uint32_t track, uint32_t first, uint32_t last) {
    uint32_t span = nm_detect_steps(ctx, MEAN_TIME, 1);
    if (last - first > span) last = first + span; // of a longer braking any part of that length is enough
    uint32_t from = last > span ? last - span : 0;
    float most = 0;
    for (uint32_t t = from; t <= first; t++) {
        const nm_sample *start = nm_detect_sample(ctx, track, t);
        uint32_t end = t;
        for (uint32_t n = 0; start && n < span && nm_detect_sample(ctx, track, end + 1); n++) {
            end++;
            if (nm_detect_sample(ctx, track, end)->speed < STANDSTILL) break;
        }
        if (!start || end < last) continue;
        float lost = start->speed - nm_detect_sample(ctx, track, end)->speed;
        int whole = end - t == span || nm_detect_sample(ctx, track, end)->speed < STANDSTILL;
        most = fmaxf(most, lost / (whole ? (float)(end - t) * ctx->dt : MEAN_TIME));
    }
    return most;
}

static int gains_wrongly(const nm_detect_context *ctx, uint32_t track, uint32_t first, uint32_t last) {
    uint32_t reach = nm_detect_steps(ctx, 3, 1), second = nm_detect_steps(ctx, 1, 1);
    for (uint32_t t = first > reach ? first - reach : 0; t <= last + reach; t++) {
        const nm_sample *a = nm_detect_sample(ctx, track, t), *b = nm_detect_sample(ctx, track, t + second);
        if (a && b && a->speed > GAIN_FROM && b->speed - a->speed > MOST_GAIN) return 1;
    }
    return 0;
}

// Fills in the rest of a braking from `first` to `last`; 0 when it does not count.
static int judge_braking(const nm_detect_context *ctx, const nm_braking_limits *limits, nm_braking *braking) {
    uint32_t track = braking->track, first = braking->first, last = braking->last;
    if ((float)(last - first + 1) * ctx->dt + 1e-4f < limits->min_duration) return 0;
    uint32_t margin = nm_detect_steps(ctx, SMOOTHING_MARGIN, 0), before = first, critical = first;
    while (before > 0 && first - before < margin && nm_detect_sample(ctx, track, before - 1)) before--;
    if (nm_detect_sample(ctx, track, before)->speed < limits->min_speed) return 0;
    if (mean_braking(ctx, track, first, last) < limits->min_mean) return 0;
    if (gains_wrongly(ctx, track, first, last)) return 0;
    for (uint32_t t = first; t <= last; t++) // of moments that are alike, the first
        if (nm_detect_sample(ctx, track, t)->accel < 1.005f * nm_detect_sample(ctx, track, critical)->accel)
            critical = t;
    braking->critical = critical;
    return -nm_detect_sample(ctx, track, critical)->accel <= limits->max_decel;
}

int nm_detect_braking(const nm_detect_context *ctx, uint32_t track, uint32_t from, const nm_braking_limits *limits,
                      nm_braking *braking) {
    const nm_track *info = &ctx->scene->tracks[track];
    uint32_t first = NM_NONE;
    if (info->first_step > info->last_step) return 0;
    for (uint32_t t = from > info->first_step ? from : info->first_step; t <= info->last_step + 1; t++) {
        const nm_sample *sample = nm_detect_scored(ctx, track, t);
        int hard = sample && sample->accel <= -limits->min_decel;
        if (hard && first == NM_NONE) first = t;
        if (hard || first == NM_NONE) continue;
        *braking = (nm_braking){.track = track, .first = first, .critical = first, .last = t - 1};
        if (judge_braking(ctx, limits, braking)) return 1;
        first = NM_NONE;
    }
    return 0;
}

uint32_t nm_detect_concerned(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    uint32_t other = nm_detect_follower(ctx, track, step);
    if (other == NM_NONE) return NM_NONE;
    const nm_sample *behind = nm_detect_sample(ctx, other, step);
    return behind->gap > FOLLOWER_HEADWAY * fmaxf(behind->speed, 1) ? NM_NONE : other;
}

void nm_detect_hard_brake(nm_detect_context *ctx) {
    const float *value = ctx->params->values[NM_KIND_HARD_BRAKE];
    if (!nm_detect_enabled(ctx, NM_KIND_HARD_BRAKE)) return;
    const nm_braking_limits limits = {.min_decel = value[HARD_BRAKE_MIN_DECEL],
                                      .min_duration = value[HARD_BRAKE_MIN_DURATION],
                                      .min_speed = value[HARD_BRAKE_MIN_SPEED],
                                      .min_mean = value[HARD_BRAKE_MIN_MEAN],
                                      .max_decel = value[HARD_BRAKE_MAX_DECEL]};
    for (uint32_t a = 0; a < ctx->scene->track_count; a++) {
        nm_braking braking;
        if (!nm_detect_vehicle(ctx, a) || nm_detect_static(ctx, a)) continue;
        for (uint32_t from = 0; nm_detect_braking(ctx, a, from, &limits, &braking); from = braking.last + 1) {
            nm_event event = nm_detect_event(NM_KIND_HARD_BRAKE, a, nm_detect_concerned(ctx, a, braking.critical),
                                             braking.first, braking.critical, braking.last);
            nm_detect_emit(ctx, &event);
        }
    }
}

// --- pairs on one lane path ------------------------------------------------------------------------------------------

typedef struct nm_pursuit {
    uint32_t actor, leader, step;
    float gap, speed, closing; // m, m/s along the actor's lane, m/s
    float overlap;             // m sideways
} nm_pursuit;

// 0 when nobody is ahead or the moment is not to be scored.
static int pursuit_at(const nm_detect_context *ctx, uint32_t actor, uint32_t step, nm_pursuit *pursuit) {
    const nm_sample *self = nm_detect_scored(ctx, actor, step);
    if (!self || self->leader == NM_NONE) return 0;
    const nm_sample *leader = nm_detect_scored(ctx, self->leader, step);
    if (!leader || self->gap < MOST_NEGATIVE_GAP) return 0;
    *pursuit = (nm_pursuit){.actor = actor, .leader = self->leader, .step = step};
    pursuit->gap = fmaxf(self->gap, LEAST_GAP);
    pursuit->speed = self->vx * self->lane_cos + self->vy * self->lane_sin;
    pursuit->closing = pursuit->speed - (leader->vx * leader->lane_cos + leader->vy * leader->lane_sin);
    pursuit->overlap = nm_detect_lateral_overlap(ctx, actor, self->leader, step);
    return pursuit->overlap >= MIN_OVERLAP;
}

// Whether the moment belongs to the kind; *badness orders the moments, the largest is the critical one.
typedef int nm_pursuit_test(const nm_detect_context *ctx, const nm_pursuit *pursuit, float *badness);

static void scan_pursuits(nm_detect_context *ctx, nm_kind kind, float min_duration, nm_pursuit_test *test) {
    if (!nm_detect_enabled(ctx, kind)) return;
    for (uint32_t a = 0; a < ctx->scene->track_count; a++) {
        const nm_track *info = &ctx->scene->tracks[a];
        if (nm_detect_static(ctx, a) || info->first_step > info->last_step) continue;
        uint32_t first = NM_NONE, critical = 0, leader = NM_NONE;
        float worst = 0;
        for (uint32_t t = info->first_step; t <= info->last_step + 1; t++) {
            nm_pursuit pursuit;
            float badness = 0;
            int hit = pursuit_at(ctx, a, t, &pursuit) && test(ctx, &pursuit, &badness);
            if (first != NM_NONE && (!hit || pursuit.leader != leader)) {
                if ((float)(t - first) * ctx->dt + 1e-4f >= min_duration) {
                    nm_event event = nm_detect_event(kind, a, leader, first, critical, t - 1);
                    nm_detect_emit(ctx, &event);
                }
                first = NM_NONE;
            }
            if (!hit) continue;
            if (first == NM_NONE) first = t;
            if (first == t || badness > worst + 0.005f * fabsf(worst)) { // of moments that are alike, the first
                worst = badness;
                critical = t;
            }
            leader = pursuit.leader;
        }
    }
}

static float drac(const nm_pursuit *pursuit) {
    return pursuit->closing > 0 ? pursuit->closing * pursuit->closing / (2 * pursuit->gap) : 0;
}

static int is_rear_end(const nm_detect_context *ctx, const nm_pursuit *pursuit, float *badness) {
    const float *value = ctx->params->values[NM_KIND_REAR_END];
    if (pursuit->closing < value[REAR_END_MIN_CLOSING] || pursuit->closing <= 0) return 0;
    float ttc = pursuit->gap / pursuit->closing;
    *badness = -ttc;
    return ttc <= value[REAR_END_MAX_TTC] && drac(pursuit) >= value[REAR_END_MIN_DRAC];
}

static int is_lead_stopped(const nm_detect_context *ctx, const nm_pursuit *pursuit, float *badness) {
    const float *value = ctx->params->values[NM_KIND_LEAD_STOPPED];
    *badness = drac(pursuit);
    if (pursuit->speed < value[LEAD_STOPPED_MIN_SPEED] || *badness < value[LEAD_STOPPED_MIN_DRAC]) return 0;
    uint32_t standing = nm_detect_steps(ctx, value[LEAD_STOPPED_STANDING], 0);
    for (uint32_t i = 0; i <= standing; i++) {
        const nm_sample *leader = i <= pursuit->step ? nm_detect_sample(ctx, pursuit->leader, pursuit->step - i) : NULL;
        if (!leader || hypotf(leader->vx, leader->vy) > value[LEAD_STOPPED_LEADER_SPEED]) return 0;
    }
    return 1;
}

static int is_tailgate(const nm_detect_context *ctx, const nm_pursuit *pursuit, float *badness) {
    const float *value = ctx->params->values[NM_KIND_TAILGATE];
    if (pursuit->speed < value[TAILGATE_MIN_SPEED] || pursuit->speed <= 0) return 0;
    *badness = -pursuit->gap / pursuit->speed;
    return -*badness <= value[TAILGATE_MAX_HEADWAY];
}

void nm_detect_following(nm_detect_context *ctx) {
    scan_pursuits(ctx, NM_KIND_REAR_END, nm_detect_param(ctx, NM_KIND_REAR_END, REAR_END_MIN_DURATION), is_rear_end);
    scan_pursuits(ctx, NM_KIND_LEAD_STOPPED, nm_detect_param(ctx, NM_KIND_LEAD_STOPPED, LEAD_STOPPED_MIN_DURATION),
                  is_lead_stopped);
    scan_pursuits(ctx, NM_KIND_TAILGATE, nm_detect_param(ctx, NM_KIND_TAILGATE, TAILGATE_MIN_DURATION), is_tailgate);
}
