// Kinds that begin with something that stands: parked_pull_out and blocked_lane.
#include "scenarios/detect_internal.h"

#define LANES 16
#define MIN_OVERLAP 0.3f // m sideways for one to be in the other's way
#define STANDSTILL 0.5f  // m/s

static float stood_for(const nm_detect_context *ctx, const nm_stand *stand, uint32_t until) {
    return (float)(until - stand->first + 1) * ctx->dt + 1e-4f;
}

// --- parked_pull_out -------------------------------------------------------------------------------------------------

#define BEFORE 2.0f // s before getting in the way, and after it, during which the other's braking counts
#define AFTER 3.0f

// A lane for traffic that drives on.
static int running(const nm_lane *lane) {
    return nm_lane_type_drivable((nm_lane_type)lane->type) && lane->type != NM_LANE_SHOULDER &&
           lane->type != NM_LANE_DRIVEWAY;
}

// 1 when it stands off the middle of every running lane. *inside: its centre is in one of them all the same.
static int at_side(const nm_detect_context *ctx, uint32_t track, uint32_t step, int *inside) {
    float offset = nm_detect_param(ctx, NM_KIND_PARKED_PULL_OUT, PULL_OUT_MIN_OFFSET);
    size_t at = nm_scene_at(ctx->scene, track, step);
    nm_frenet under[LANES];
    size_t count = nm_map_lanes_at(ctx->map, ctx->scene->x[at], ctx->scene->y[at], under, LANES);
    *inside = 0;
    if (count > LANES) return 0; // a knot of lanes in which nothing can be said
    for (size_t i = 0; i < count; i++) {
        const nm_lane *lane = &ctx->map->lanes[under[i].lane];
        if (!running(lane)) continue;
        if ((lane->flags & NM_LANE_JUNCTION) || fabsf(under[i].d - 0.5f * (under[i].left - under[i].right)) < offset)
            return 0;
        *inside = 1;
    }
    return 1;
}

// Who stood at the edge of a lane and is in another one now has changed lanes.
static int changed_lanes(const nm_detect_context *ctx, uint32_t track, uint32_t from, uint32_t to) {
    for (uint32_t t = from + 1; t <= to; t++) {
        const nm_sample *sample = nm_detect_sample(ctx, track, t);
        if (sample && sample->move > NM_MOVE_BACK) return 1;
    }
    return 0;
}

// The nearest one from behind whose way the actor has got into at `step`; NM_NONE when there is none.
static uint32_t comes_from_behind(const nm_detect_context *ctx, const nm_stand *stand, uint32_t step) {
    const float *value = ctx->params->values[NM_KIND_PARKED_PULL_OUT];
    const nm_scene *scene = ctx->scene;
    size_t was = nm_scene_at(scene, stand->track, stand->last), is = nm_scene_at(scene, stand->track, step);
    uint32_t best = NM_NONE;
    float nearest = value[PULL_OUT_MAX_GAP];
    for (uint32_t b = 0; b < scene->track_count; b++) {
        const nm_sample *sample = b == stand->track ? NULL : nm_detect_scored(ctx, b, step);
        if (!sample || sample->lane == NM_NONE || sample->speed < value[PULL_OUT_MIN_SPEED]) continue;
        size_t at = nm_scene_at(scene, b, step);
        float dx = scene->x[is] - scene->x[at], dy = scene->y[is] - scene->y[at];
        if (dx * dx + dy * dy > 4 * nearest * nearest + 400) continue; // lanes bend, centres are not bumpers
        nm_ahead ahead;
        if (!nm_detect_ahead(ctx, b, stand->track, step, &ahead) || ahead.lane == NM_NONE) continue;
        if (ahead.gap < 0 || ahead.gap > nearest || ahead.overlap < MIN_OVERLAP) continue;
        nm_frenet stood = nm_map_project(ctx->map, ahead.lane, scene->x[was], scene->y[was]);
        if (fabsf(stood.d - sample->d) - fabsf(ahead.offset) < value[PULL_OUT_MIN_SHIFT]) continue;
        best = b;
        nearest = ahead.gap;
    }
    return best;
}

// The other brakes, or would have to, around the time at which the actor gets in its way. *critical: when most so.
static int must_brake(const nm_detect_context *ctx, uint32_t actor, uint32_t other, uint32_t moved, uint32_t step,
                      uint32_t *critical) {
    uint32_t before = nm_detect_steps(ctx, BEFORE, 1), until = step + nm_detect_steps(ctx, AFTER, 1);
    float most = 0;
    for (uint32_t t = step > moved + before ? step - before : moved; t <= until; t++) {
        const nm_sample *sample = nm_detect_scored(ctx, other, t);
        nm_ahead ahead;
        if (!sample || !nm_detect_ahead(ctx, other, actor, t, &ahead)) continue;
        float brakes = -sample->accel;
        if (ahead.overlap >= MIN_OVERLAP && ahead.closing > 0)
            brakes = fmaxf(brakes, ahead.closing * ahead.closing / (2 * fmaxf(ahead.gap, 0.1f)));
        if (brakes <= 1.005f * most) continue; // of moments that are alike, the first
        most = brakes;
        *critical = t;
    }
    return most >= nm_detect_param(ctx, NM_KIND_PARKED_PULL_OUT, PULL_OUT_MIN_BRAKE);
}

static void judge_pull_out(nm_detect_context *ctx, const nm_stand *stand) {
    const float *value = ctx->params->values[NM_KIND_PARKED_PULL_OUT];
    uint32_t actor = stand->track, until = stand->last + nm_detect_steps(ctx, value[PULL_OUT_MAX_TIME], 1);
    int inside;
    if (stood_for(ctx, stand, stand->last) < value[PULL_OUT_MIN_STANDING]) return;
    if (!nm_detect_sample(ctx, actor, stand->last + 1) || !at_side(ctx, actor, stand->last, &inside)) return;
    for (uint32_t t = stand->last + 1; t <= until; t++) {
        const nm_sample *sample = nm_detect_scored(ctx, actor, t);
        if (!sample || (inside && changed_lanes(ctx, actor, stand->last, t))) return;
        if (sample->flags & NM_SAMPLE_REVERSED) continue;
        uint32_t critical = t, other = comes_from_behind(ctx, stand, t);
        if (other == NM_NONE || !must_brake(ctx, actor, other, stand->last, t, &critical)) continue;
        nm_event event =
            nm_detect_event(NM_KIND_PARKED_PULL_OUT, actor, other, stand->last, critical, critical > t ? critical : t);
        nm_detect_emit(ctx, &event);
        return;
    }
}

void nm_detect_pull_out(nm_detect_context *ctx) {
    if (!nm_detect_enabled(ctx, NM_KIND_PARKED_PULL_OUT) || ctx->map->lane_count == 0) return;
    for (size_t i = 0; i < ctx->stand_count; i++) {
        const nm_stand *stand = &ctx->stands[i];
        if (stand->last >= ctx->scene->tracks[stand->track].last_step) continue;
        if (nm_detect_vehicle(ctx, stand->track) && !nm_detect_static(ctx, stand->track)) judge_pull_out(ctx, stand);
    }
}

// --- blocked_lane ----------------------------------------------------------------------------------------------------

#define NEAREST 15.0f   // m that the two come to
#define MIN_INSIDE 0.5f // m that it reaches into the lane
#define LEAST_GAP 0.5f  // m, for the deceleration that is needed
#define BESIDE 6.0f     // m to the side up to which it is passed, rather than left behind on another way

static int placed(const nm_detect_context *ctx, uint32_t track) {
    return nm_detect_static(ctx, track) || ctx->scene->tracks[track].type == NM_AGENT_OBSTACLE;
}

// m from the front of a standing vehicle to the line or the junction that it may be waiting at.
static float to_junction(const nm_detect_context *ctx, const nm_sample *sample, float half) {
    const nm_lane *lane = &ctx->map->lanes[sample->lane];
    if (lane->flags & NM_LANE_JUNCTION) return 0;
    if (lane->control != NM_CONTROL_NONE || lane->signals.count > 0) return fmaxf(lane->stop_s - sample->s - half, 0);
    for (uint32_t i = 0; i < lane->successors.count; i++)
        if (ctx->map->lanes[ctx->map->lane_refs[lane->successors.first + i]].flags & NM_LANE_JUNCTION)
            return fmaxf(lane->length - sample->s - half, 0);
    return INFINITY;
}

// A vehicle that stands at `step` though nothing ahead tells it to.
static int stands_for_itself(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    float free_way = nm_detect_param(ctx, NM_KIND_BLOCKED_LANE, BLOCKED_MIN_FREE);
    const nm_sample *sample = nm_detect_sample(ctx, track, step);
    if (sample->lane == NM_NONE) return 1;
    if (sample->leader != NM_NONE && sample->gap < free_way) return 0;
    return to_junction(ctx, sample, 0.5f * nm_detect_length(ctx, track, step)) >= free_way;
}

// 1 when any drivable lane under the box has too little room beside it.
static int closes_lane(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    float room = nm_detect_param(ctx, NM_KIND_BLOCKED_LANE, BLOCKED_MAX_ROOM);
    nm_box box;
    if (!nm_detect_box(ctx, track, step, &box)) return 0;
    const float reach[5][2] = {{0, 0}, {0.5f, 0}, {-0.5f, 0}, {0, 0.5f}, {0, -0.5f}}; // middle and sides of the box
    for (int i = 0; i < 5; i++) {
        float along = reach[i][0] * box.length, across = reach[i][1] * box.width;
        nm_frenet under[LANES];
        size_t count = nm_map_lanes_at(ctx->map, box.x + along * box.cos_h - across * box.sin_h,
                                       box.y + along * box.sin_h + across * box.cos_h, under, LANES);
        for (size_t j = 0; j < count && j < LANES; j++) {
            if (!nm_lane_type_drivable((nm_lane_type)ctx->map->lanes[under[j].lane].type)) continue;
            nm_frenet place = nm_map_project(ctx->map, under[j].lane, box.x, box.y);
            float c = cosf(place.heading), s = sinf(place.heading);
            float half = 0.5f * (box.length * fabsf(box.sin_h * c - box.cos_h * s) +
                                 box.width * fabsf(box.cos_h * c + box.sin_h * s));
            if (fmaxf(place.left - place.d, place.right + place.d) - half <= room) return 1;
        }
    }
    return 0;
}

typedef struct nm_detour {
    uint32_t first, critical, last; // came near, needed most deceleration, stopped or was past sideways
    float most;                     // m/s^2
} nm_detour;

// Nobody drives between the two who would be the one to stop for.
static int nobody_between(const nm_sample *sample, uint32_t actor, float gap) {
    return sample->leader == NM_NONE || sample->leader == actor || sample->gap >= gap - 1;
}

// The other is near and on its way into the actor.
static int comes_near(const nm_detect_context *ctx, const nm_stand *stand, const nm_sample *sample,
                      const nm_ahead *ahead, uint32_t step) {
    const float *value = ctx->params->values[NM_KIND_BLOCKED_LANE];
    if (sample->speed < value[BLOCKED_MIN_SPEED] || ahead->overlap < MIN_OVERLAP || ahead->gap < 0) return 0;
    if (ahead->gap > value[BLOCKED_MAX_TIME] * sample->speed) return 0;
    if (ahead->room > value[BLOCKED_MAX_ROOM] || ahead->inside < MIN_INSIDE) return 0;
    if (!nobody_between(sample, stand->track, ahead->gap)) return 0;
    if (placed(ctx, stand->track)) return 1;
    return stood_for(ctx, stand, step) >= value[BLOCKED_MIN_STANDING] && stands_for_itself(ctx, stand->track, step);
}

// 1 when the other has had to stop or swerve at `step`.
static int gave_way(const nm_detect_context *ctx, uint32_t other, const nm_sample *sample, const nm_ahead *ahead,
                    const nm_detour *detour, uint32_t step) {
    const float *value = ctx->params->values[NM_KIND_BLOCKED_LANE];
    if (ahead->overlap >= MIN_OVERLAP)
        return ahead->gap <= 0 || (sample->speed < STANDSTILL && ahead->gap <= value[BLOCKED_MAX_STOP]);
    if (ahead->overlap > 0 || fabsf(ahead->offset) > BESIDE) return 0;
    return fabsf(nm_detect_shift(ctx, other, detour->first, step)) >= value[BLOCKED_MIN_SHIFT];
}

static void judge_blocked(nm_detect_context *ctx, const nm_stand *stand, uint32_t other) {
    uint32_t from, to;
    nm_detour detour = {.first = NM_NONE};
    if (!nm_detect_common(ctx->scene, stand->track, other, &from, &to)) return;
    if (from < stand->first) from = stand->first;
    if (to > stand->last) to = stand->last;
    for (uint32_t t = from; t <= to; t++) {
        const nm_sample *sample = nm_detect_scored(ctx, other, t);
        nm_ahead ahead;
        if (!sample || !nm_detect_ahead(ctx, other, stand->track, t, &ahead)) {
            detour.first = NM_NONE;
            continue;
        }
        if (detour.first == NM_NONE) {
            if (!comes_near(ctx, stand, sample, &ahead, t)) continue;
            detour = (nm_detour){.first = t, .critical = t};
        }
        if (ahead.overlap >= MIN_OVERLAP) {
            float needed = sample->speed * sample->speed / (2 * fmaxf(ahead.gap, LEAST_GAP));
            if (needed > 1.005f * detour.most) {
                detour.most = needed;
                detour.critical = t;
            }
        }
        if (!gave_way(ctx, other, sample, &ahead, &detour, t)) continue;
        nm_event event = nm_detect_event(NM_KIND_BLOCKED_LANE, stand->track, other, detour.first, detour.critical, t);
        nm_detect_emit(ctx, &event);
        return;
    }
}

// Stands of a track: the first of them and how many.
static size_t stands_of(const nm_detect_context *ctx, uint32_t track, size_t *first) {
    size_t lo = 0, hi = ctx->stand_count, end;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (ctx->stands[middle].track < track)
            lo = middle + 1;
        else
            hi = middle;
    }
    for (end = lo; end < ctx->stand_count && ctx->stands[end].track == track; end++) {
    }
    *first = lo;
    return end - lo;
}

void nm_detect_blocked_lane(nm_detect_context *ctx) {
    if (!nm_detect_enabled(ctx, NM_KIND_BLOCKED_LANE) || ctx->map->lane_count == 0 || ctx->stand_count == 0) return;
    uint8_t *closes = nm_arena_calloc(ctx->arena, ctx->stand_count, sizeof *closes, 1);
    if (!closes) {
        ctx->status = NM_E_MEMORY;
        return;
    }
    for (size_t i = 0; i < ctx->stand_count; i++) {
        const nm_stand *stand = &ctx->stands[i];
        if (placed(ctx, stand->track) || stands_for_itself(ctx, stand->track, stand->last))
            closes[i] = (uint8_t)closes_lane(ctx, stand->track, stand->last);
    }
    for (uint32_t i = 0; i < ctx->criticality.pair_count; i++) {
        const nm_pair_summary *pair = &ctx->criticality.pairs[i];
        if (pair->min_distance > NEAREST) continue;
        for (int order = 0; order < 2; order++) {
            uint32_t actor = order ? pair->second : pair->first, other = order ? pair->first : pair->second;
            if (!nm_detect_vehicle(ctx, other) || nm_detect_static(ctx, other)) continue;
            size_t first, count = stands_of(ctx, actor, &first);
            for (size_t j = first; j < first + count; j++)
                if (closes[j]) judge_blocked(ctx, &ctx->stands[j], other);
        }
    }
}
