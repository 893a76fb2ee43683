// Kinds against the rules of the road: red_light_runner, wrong_way, head_on.
#include "scenarios/detect_internal.h"

// --- red_light_runner ------------------------------------------------------------------------------------------------

#define CLEAR_TIME 8.0f // s within which the box must be past the line

static int meant_for(const nm_signal *signal, nm_way way) {
    switch (signal->turn) {
    case NM_TURN_LEFT:
    case NM_TURN_U:
        return way == NM_WAY_LEFT;
    case NM_TURN_RIGHT:
        return way == NM_WAY_RIGHT;
    case NM_TURN_STRAIGHT:
        return way == NM_WAY_STRAIGHT;
    default:
        return 1;
    }
}

static int is_red(const nm_scene *scene, uint32_t signal, uint32_t step) {
    nm_signal_state state = nm_scene_signal(scene, signal, step);
    return state == NM_SIGNAL_STOP || state == NM_SIGNAL_ARROW_STOP;
}

// 1 when a signal that rules this way is red and has been, and none that rules it says anything else.
static int faces_red(const nm_detect_context *ctx, const nm_lane *lane, nm_way way, uint32_t step, uint32_t since) {
    int red = 0;
    for (uint32_t i = 0; i < lane->signals.count; i++) {
        uint32_t signal = ctx->map->signal_refs[lane->signals.first + i];
        if (!meant_for(&ctx->map->signals[signal], way)) continue;
        for (uint32_t t = since; t <= step; t++)
            if (!is_red(ctx->scene, signal, t)) return 0;
        red = 1;
    }
    return red;
}

// m driven from `step` on, up to CLEAR_TIME; *last is the step at which `wanted` m were reached.
static int drives_on(const nm_detect_context *ctx, uint32_t track, uint32_t step, float wanted, uint32_t *last) {
    uint32_t limit = step + nm_detect_steps(ctx, CLEAR_TIME, 1);
    float way = 0;
    for (uint32_t t = step; t < limit; t++) {
        if (way >= wanted) {
            *last = t;
            return 1;
        }
        const nm_sample *sample = nm_detect_sample(ctx, track, t + 1);
        if (!sample) return 0;
        way += fmaxf(sample->speed, 0) * ctx->dt;
    }
    return 0;
}

// A vehicle's front over the stop line of a lane with signals.
typedef struct nm_line_crossing {
    uint32_t track, step, lane, last;
    int red, hit; // it was red and has been; and it drove on
} nm_line_crossing;

static void judge_line(const nm_detect_context *ctx, nm_line_crossing *crossing) {
    const float *value = ctx->params->values[NM_KIND_RED_LIGHT_RUNNER];
    const nm_lane *lane = &ctx->map->lanes[crossing->lane];
    uint32_t red = nm_detect_steps(ctx, value[RED_LIGHT_MIN_RED], 0), step = crossing->step, track = crossing->track;
    if (step < red) return;
    nm_way way = nm_detect_way(ctx, track, step, NULL);
    if (way == NM_WAY_RIGHT || !faces_red(ctx, lane, way, step, step - red)) return;
    crossing->red = 1;
    if (nm_detect_sample(ctx, track, step)->speed < value[RED_LIGHT_MIN_SPEED]) return;
    float wanted = 0.5f * nm_detect_length(ctx, track, step) + value[RED_LIGHT_MIN_BEYOND];
    crossing->hit = drives_on(ctx, track, step, wanted, &crossing->last);
}

static size_t collect_crossings(const nm_detect_context *ctx, nm_line_crossing *crossings) {
    size_t count = 0;
    for (uint32_t a = 0; a < ctx->scene->track_count; a++) {
        const nm_track *info = &ctx->scene->tracks[a];
        if (!nm_detect_vehicle(ctx, a) || nm_detect_static(ctx, a) || info->first_step >= info->last_step) continue;
        for (uint32_t t = info->first_step + 1; t <= info->last_step; t++) {
            const nm_sample *sample = nm_detect_scored(ctx, a, t), *before = nm_detect_sample(ctx, a, t - 1);
            if (!sample || !before || sample->lane == NM_NONE || before->lane == NM_NONE) continue;
            const nm_lane *lane = &ctx->map->lanes[sample->lane];
            if (lane->signals.count == 0 || (sample->flags & NM_SAMPLE_REVERSED)) continue;
            float half = 0.5f * nm_detect_length(ctx, a, t), was = before->s;
            if (sample->move == NM_MOVE_NEXT)
                was = sample->s - fmaxf(sample->speed, 0) * ctx->dt;
            else if (sample->move != NM_MOVE_NONE)
                continue;
            if (was + half >= lane->stop_s || sample->s + half < lane->stop_s) continue;
            if (crossings) {
                crossings[count] = (nm_line_crossing){.track = a, .step = t, .lane = sample->lane};
                judge_line(ctx, &crossings[count]);
            }
            count++;
        }
    }
    return count;
}

// Signals of a scene need not be those that the drivers saw: CommonRoad files carry cycles that were made up. When
// several drive over a lane's line on red, and no fewer than on green, it is the signal that is wrong.
static int trusted(const nm_line_crossing *crossings, size_t count, uint32_t lane) {
    size_t red = 0, other = 0;
    for (size_t i = 0; i < count; i++) {
        if (crossings[i].lane != lane) continue;
        red += crossings[i].red != 0;
        other += crossings[i].red == 0;
    }
    return red <= 1 || red < other;
}

void nm_detect_red_light(nm_detect_context *ctx) {
    if (!nm_detect_enabled(ctx, NM_KIND_RED_LIGHT_RUNNER) || ctx->map->signal_count == 0) return;
    size_t count = collect_crossings(ctx, NULL);
    nm_line_crossing *crossings = NM_ARENA_ARRAY(ctx->arena, nm_line_crossing, count);
    if (!crossings) {
        ctx->status = NM_E_MEMORY;
        return;
    }
    collect_crossings(ctx, crossings);
    for (size_t i = 0; i < count; i++) {
        const nm_line_crossing *crossing = &crossings[i];
        if (!crossing->hit || !trusted(crossings, count, crossing->lane)) continue;
        nm_event event = nm_detect_event(NM_KIND_RED_LIGHT_RUNNER, crossing->track, NM_NONE, crossing->step,
                                         crossing->step, crossing->last);
        nm_detect_emit(ctx, &event);
    }
}

// --- wrong_way -------------------------------------------------------------------------------------------------------

#define LANES 16

static int against_lane(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    const float *value = ctx->params->values[NM_KIND_WRONG_WAY];
    const nm_sample *sample = nm_detect_scored(ctx, track, step);
    if (!sample || sample->lane == NM_NONE || !(sample->flags & NM_SAMPLE_REVERSED)) return 0;
    const nm_lane *lane = &ctx->map->lanes[sample->lane];
    if ((lane->flags & (NM_LANE_JUNCTION | NM_LANE_BIDIRECTIONAL)) || sample->speed < value[WRONG_WAY_MIN_SPEED])
        return 0;
    if (fminf(sample->left - sample->d, sample->d + sample->right) < value[WRONG_WAY_MIN_INSIDE]) return 0;
    size_t at = nm_scene_at(ctx->scene, track, step);
    float moving = atan2f(sample->vy, sample->vx), heading = ctx->scene->heading[at];
    float lane_heading = atan2f(sample->lane_sin, sample->lane_cos);
    if (nm_detect_between(moving, lane_heading) < value[WRONG_WAY_MIN_ANGLE]) return 0; // backing up is not it
    if (nm_detect_between(heading, lane_heading) < value[WRONG_WAY_MIN_ANGLE]) return 0;
    nm_frenet under[LANES];
    size_t count = nm_map_lanes_at(ctx->map, ctx->scene->x[at], ctx->scene->y[at], under, LANES);
    if (count > LANES) return 0; // a knot of lanes in which nothing can be said
    for (size_t i = 0; i < count; i++) {
        if (!nm_lane_type_drivable((nm_lane_type)ctx->map->lanes[under[i].lane].type)) continue;
        if (ctx->map->lanes[under[i].lane].flags & NM_LANE_BIDIRECTIONAL) return 0;
        if (nm_detect_between(heading, under[i].heading) < value[WRONG_WAY_MIN_ANGLE]) return 0;
    }
    return 1;
}

static void emit_wrong_way(nm_detect_context *ctx, uint32_t track, uint32_t first, uint32_t last) {
    const float *value = ctx->params->values[NM_KIND_WRONG_WAY];
    float way = 0;
    for (uint32_t t = first; t <= last; t++) way += nm_detect_sample(ctx, track, t)->speed * ctx->dt;
    if ((float)(last - first + 1) * ctx->dt + 1e-4f < value[WRONG_WAY_MIN_DURATION]) return;
    if (way < value[WRONG_WAY_MIN_DISTANCE]) return;
    nm_event event = nm_detect_event(NM_KIND_WRONG_WAY, track, NM_NONE, first, first, last);
    nm_detect_emit(ctx, &event);
}

void nm_detect_wrong_way(nm_detect_context *ctx) {
    if (!nm_detect_enabled(ctx, NM_KIND_WRONG_WAY)) return;
    for (uint32_t a = 0; a < ctx->scene->track_count; a++) {
        const nm_track *info = &ctx->scene->tracks[a];
        if (!nm_detect_vehicle(ctx, a) || nm_detect_static(ctx, a) || info->first_step > info->last_step) continue;
        uint32_t first = NM_NONE;
        for (uint32_t t = info->first_step; t <= info->last_step + 1; t++) {
            int wrong = against_lane(ctx, a, t);
            if (wrong && first == NM_NONE) first = t;
            if (!wrong && first != NM_NONE) {
                emit_wrong_way(ctx, a, first, t - 1);
                first = NM_NONE;
            }
        }
    }
}

// --- head_on ---------------------------------------------------------------------------------------------------------

#define CHAIN 8            // lanes ahead of the other that are searched for the actor
#define FARTHEST 120.0f    // m
#define SHORTEST_TIME 0.3f // s that it must last

int nm_detect_on_path(const nm_detect_context *ctx, uint32_t actor, uint32_t other, uint32_t step, nm_frenet *place,
                      float *ahead, float *into) {
    const nm_sample *sample = nm_detect_sample(ctx, other, step);
    size_t at = nm_scene_at(ctx->scene, actor, step);
    float half = 0.5f * nm_detect_width(ctx, actor, step), start = -sample->s;
    uint32_t lane = sample->lane, known = sample->next;
    for (int hop = 0; hop < CHAIN && lane != NM_NONE && start < FARTHEST; hop++) {
        *place = nm_map_project(ctx->map, lane, ctx->scene->x[at], ctx->scene->y[at]);
        *ahead = start + place->s;
        *into = fminf(place->left - (place->d - half), place->d + half + place->right);
        if (fabsf(place->beyond) < 0.5f && *into > 0) return *ahead > 0;
        start += ctx->map->lanes[lane].length;
        lane = nm_detect_next_lane(ctx->map, lane, known);
        known = NM_NONE;
    }
    return 0;
}

// The actor in the lane of the other, which is where it belongs. *ttc: s until they meet along the lane.
static int meets_in_lane(const nm_detect_context *ctx, uint32_t actor, uint32_t other, uint32_t step, float *ttc) {
    const float *value = ctx->params->values[NM_KIND_HEAD_ON];
    const nm_sample *self = nm_detect_scored(ctx, actor, step), *them = nm_detect_scored(ctx, other, step);
    if (!self || !them || them->lane == NM_NONE || (them->flags & NM_SAMPLE_REVERSED)) return 0;
    if (self->speed < value[HEAD_ON_MIN_SPEED]) return 0;
    if (ctx->map->lanes[them->lane].flags & NM_LANE_BIDIRECTIONAL) return 0;
    nm_frenet place;
    float ahead, into;
    if (!nm_detect_on_path(ctx, actor, other, step, &place, &ahead, &into)) return 0;
    if (into < value[HEAD_ON_MIN_OVERLAP]) return 0;
    float wide = nm_detect_width(ctx, actor, step), wide_other = nm_detect_width(ctx, other, step);
    if (0.5f * (wide + wide_other) - fabsf(place.d - them->d) < value[HEAD_ON_MIN_OVERLAP]) return 0;
    if (nm_detect_lateral_overlap(ctx, actor, other, step) < value[HEAD_ON_MIN_OVERLAP]) return 0; // map apart
    float gap = ahead - 0.5f * (nm_detect_length(ctx, actor, step) + nm_detect_length(ctx, other, step));
    float closing = fmaxf(them->speed, 0) + self->speed;
    *ttc = fmaxf(gap, 0) / closing;
    return gap > -1 && *ttc <= value[HEAD_ON_MAX_TTC];
}

static void judge_head_on(nm_detect_context *ctx, uint32_t actor, uint32_t other, uint32_t from, uint32_t to) {
    uint32_t first = NM_NONE, critical = from;
    float least = INFINITY;
    for (uint32_t t = from; t <= to + 1; t++) {
        float ttc = INFINITY;
        int hit = t <= to && meets_in_lane(ctx, actor, other, t, &ttc);
        if (hit && first == NM_NONE) first = t;
        if (hit && ttc < least) {
            least = ttc;
            critical = t;
        }
        if (hit || first == NM_NONE) continue;
        nm_way way = nm_detect_way(ctx, actor, critical, NULL), way_other = nm_detect_way(ctx, other, critical, NULL);
        if ((float)(t - first) * ctx->dt + 1e-4f >= SHORTEST_TIME && way == NM_WAY_STRAIGHT &&
            way_other == NM_WAY_STRAIGHT) {
            nm_event event = nm_detect_event(NM_KIND_HEAD_ON, actor, other, first, critical, t - 1);
            event.min_ttc = least;
            nm_detect_emit(ctx, &event);
        }
        first = NM_NONE;
        least = INFINITY;
    }
}

// Steps during which both face each other near enough; 0 when there are none.
static int facing(const nm_detect_context *ctx, const nm_pair_summary *pair, uint32_t *from, uint32_t *to) {
    const nm_scene *scene = ctx->scene;
    const nm_track *a = &scene->tracks[pair->first], *b = &scene->tracks[pair->second];
    float angle = nm_detect_param(ctx, NM_KIND_HEAD_ON, HEAD_ON_MIN_ANGLE);
    uint32_t first = a->first_step > b->first_step ? a->first_step : b->first_step;
    uint32_t last = a->last_step < b->last_step ? a->last_step : b->last_step;
    *from = NM_NONE;
    for (uint32_t t = first; t <= last && last != NM_NONE; t++) {
        size_t i = nm_scene_at(scene, pair->first, t), j = nm_scene_at(scene, pair->second, t);
        if (!scene->valid[i] || !scene->valid[j]) continue;
        if (nm_detect_between(scene->heading[i], scene->heading[j]) < angle) continue;
        float dx = scene->x[j] - scene->x[i], dy = scene->y[j] - scene->y[i];
        if (dx * dx + dy * dy > FARTHEST * FARTHEST) continue;
        if (*from == NM_NONE) *from = t;
        *to = t;
    }
    return *from != NM_NONE;
}

void nm_detect_head_on(nm_detect_context *ctx) {
    if (!nm_detect_enabled(ctx, NM_KIND_HEAD_ON) || ctx->map->lane_count == 0) return;
    for (uint32_t i = 0; i < ctx->criticality.pair_count; i++) {
        const nm_pair_summary *pair = &ctx->criticality.pairs[i];
        uint32_t from, to;
        if (!nm_detect_vehicle(ctx, pair->first) || !nm_detect_vehicle(ctx, pair->second)) continue;
        if (pair->min_distance > 60 || !facing(ctx, pair, &from, &to)) continue;
        judge_head_on(ctx, pair->first, pair->second, from, to);
        judge_head_on(ctx, pair->second, pair->first, from, to);
    }
}
