// Crossing ways: where two driven paths cross, who was first, with what PET, and how each of them went through; then
// the kinds that follow from it: unprotected_left_turn, crossing_conflict, right_turn_conflict, pedestrian_crossing,
// cyclist_crossing.
#include "scenarios/detect_internal.h"

#define LEAST_CROSSING_ANGLE 0.3f // rad: flatter "crossings" are lane changes and noise
#define LONGEST_PET 10.0f         // s between the two centres at the point
#define APPROACH 25.0f            // m before and after the crossing over which the manoeuvre is judged
#define APPROACH_TIME 10.0f       // s, at most
#define TURN_ANGLE 0.79f          // rad of heading change that make a turn (45 degrees)
#define OPPOSITE 2.44f            // rad between the approaches from which on two are oncoming (140 degrees)
#define FOLLOWED 3.0f             // s before the crossing at which it is asked whether one follows the other
#define LEAST_SPEED 0.3f          // m/s: who is slower does not draw a path
#define BLOCK 8u                  // steps of path per bounding box

typedef struct nm_extent {
    float min_x, min_y, max_x, max_y;
} nm_extent;

// The path of one track: bounding boxes of its blocks, and how far its heading ever is from its mean.
typedef struct nm_path {
    nm_extent all;
    float heading, spread; // rad; spread > pi: anything
    size_t blocks;         // first one
    uint32_t block_count;
} nm_path;

static int disjoint(const nm_extent *a, const nm_extent *b) {
    return a->max_x < b->min_x || b->max_x < a->min_x || a->max_y < b->min_y || b->max_y < a->min_y;
}

static nm_extent empty_extent(void) {
    return (nm_extent){INFINITY, INFINITY, -INFINITY, -INFINITY};
}

static void widen(nm_extent *extent, float x, float y) {
    extent->min_x = fminf(extent->min_x, x);
    extent->min_y = fminf(extent->min_y, y);
    extent->max_x = fmaxf(extent->max_x, x);
    extent->max_y = fmaxf(extent->max_y, y);
}

static void describe_path(const nm_detect_context *ctx, uint32_t track, nm_path *path, nm_extent *blocks) {
    const nm_scene *scene = ctx->scene;
    const nm_track *info = &scene->tracks[track];
    float sum_cos = 0, sum_sin = 0;
    path->all = empty_extent();
    for (uint32_t i = 0; i < path->block_count; i++) {
        nm_extent *block = &blocks[i];
        *block = empty_extent();
        // one step more than the block, so that the segment to the next block is inside
        for (uint32_t t = info->first_step + i * BLOCK, n = 0; n <= BLOCK && t <= info->last_step; t++, n++) {
            size_t at = nm_scene_at(scene, track, t);
            if (!scene->valid[at]) continue;
            widen(block, scene->x[at], scene->y[at]);
            sum_cos += cosf(scene->heading[at]);
            sum_sin += sinf(scene->heading[at]);
        }
        if (block->min_x > block->max_x) continue;
        widen(&path->all, block->min_x, block->min_y);
        widen(&path->all, block->max_x, block->max_y);
    }
    path->heading = atan2f(sum_sin, sum_cos);
    path->spread = 0;
    for (uint32_t t = info->first_step; t <= info->last_step; t++) {
        size_t at = nm_scene_at(scene, track, t);
        if (scene->valid[at]) path->spread = fmaxf(path->spread, nm_detect_between(scene->heading[at], path->heading));
    }
}

// Where segments a0-a1 and b0-b1 cross, as fractions of each; 0 when they do not.
static int cross_segments(const float a0[2], const float a1[2], const float b0[2], const float b1[2], float *u,
                          float *v) {
    float ax = a1[0] - a0[0], ay = a1[1] - a0[1], bx = b1[0] - b0[0], by = b1[1] - b0[1];
    float wx = b0[0] - a0[0], wy = b0[1] - a0[1], det = ax * by - ay * bx;
    if (det == 0) return 0;
    *u = (wx * by - wy * bx) / det;
    *v = (wx * ay - wy * ax) / det;
    // a little over both ends: a crossing at a recorded point must not fall between two segments by rounding
    return *u >= -1e-3f && *u <= 1.001f && *v >= -1e-3f && *v <= 1.001f;
}

typedef struct nm_meeting {
    uint32_t a_step, b_step;
    float a_time, b_time; // in steps, with fraction
    int found;
} nm_meeting;

static int segment(const nm_detect_context *ctx, uint32_t track, uint32_t step, float from[2], float to[2]) {
    const nm_sample *a = nm_detect_scored(ctx, track, step + 1), *b = nm_detect_sample(ctx, track, step);
    if (!a || !b || hypotf(a->vx, a->vy) < LEAST_SPEED) return 0;
    size_t at = nm_scene_at(ctx->scene, track, step);
    from[0] = ctx->scene->x[at];
    from[1] = ctx->scene->y[at];
    to[0] = ctx->scene->x[at + 1];
    to[1] = ctx->scene->y[at + 1];
    return 1;
}

// The crossing that is closest in time, within two blocks.
static void cross_blocks(const nm_detect_context *ctx, uint32_t a, uint32_t a_from, uint32_t b, uint32_t b_from,
                         nm_meeting *meeting) {
    const nm_track *tracks = ctx->scene->tracks;
    for (uint32_t i = a_from; i < a_from + BLOCK && i < tracks[a].last_step; i++) {
        float a0[2], a1[2], b0[2], b1[2], u, v;
        if (!segment(ctx, a, i, a0, a1)) continue;
        for (uint32_t j = b_from; j < b_from + BLOCK && j < tracks[b].last_step; j++) {
            if (!segment(ctx, b, j, b0, b1) || !cross_segments(a0, a1, b0, b1, &u, &v)) continue;
            float angle = nm_detect_between(atan2f(a1[1] - a0[1], a1[0] - a0[0]), atan2f(b1[1] - b0[1], b1[0] - b0[0]));
            if (angle < LEAST_CROSSING_ANGLE || angle > NM_DETECT_PI - LEAST_CROSSING_ANGLE) continue;
            float a_time = (float)i + u, b_time = (float)j + v;
            if (meeting->found && fabsf(a_time - b_time) >= fabsf(meeting->a_time - meeting->b_time)) continue;
            *meeting = (nm_meeting){i, j, a_time, b_time, 1};
        }
    }
}

// Time (in steps) at which the centre is `way` m past (or, negative, before) where it is at `time`; clamped to the run.
static float time_at_way(const nm_detect_context *ctx, uint32_t track, float time, float way) {
    int direction = way < 0 ? -1 : 1;
    float left = fabsf(way), at = time;
    for (;;) {
        // the piece of the segment between `at` and the next whole step in that direction
        float next = direction > 0 ? floorf(at) + 1 : ceilf(at) - 1;
        uint32_t low = (uint32_t)(direction > 0 ? next - 1 : next);
        if (next < 0 || !nm_detect_sample(ctx, track, low) || !nm_detect_sample(ctx, track, low + 1)) return at;
        size_t i = nm_scene_at(ctx->scene, track, low);
        float length = hypotf(ctx->scene->x[i + 1] - ctx->scene->x[i], ctx->scene->y[i + 1] - ctx->scene->y[i]);
        float piece = length * fabsf(next - at);
        if (piece >= left && piece > 0) return at + (float)direction * fabsf(next - at) * left / piece;
        left -= piece;
        at = next;
    }
}

// Step `way` m (at most APPROACH_TIME) before or after `step`.
static uint32_t step_at_way(const nm_detect_context *ctx, uint32_t track, uint32_t step, float way) {
    float limit = (float)nm_detect_steps(ctx, APPROACH_TIME, 1), from = (float)step;
    float at = time_at_way(ctx, track, from, way);
    if (at < from - limit) at = from - limit;
    if (at > from + limit) at = from + limit;
    uint32_t found = (uint32_t)(at + 0.5f);
    while (found != step && !nm_detect_sample(ctx, track, found)) found += found < step ? 1u : UINT32_MAX;
    return found;
}

float nm_detect_direction(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    const nm_sample *sample = nm_detect_sample(ctx, track, step);
    if (ctx->scene->tracks[track].type == NM_AGENT_PEDESTRIAN && sample && hypotf(sample->vx, sample->vy) > LEAST_SPEED)
        return atan2f(sample->vy, sample->vx);
    return ctx->scene->heading[nm_scene_at(ctx->scene, track, step)];
}

static float heading_change(const nm_scene *scene, uint32_t track, uint32_t from, uint32_t to) {
    float sum = 0;
    const float *heading = scene->heading + nm_scene_at(scene, track, 0);
    for (uint32_t t = from; t < to; t++) sum += remainderf(heading[t + 1] - heading[t], 2 * NM_DETECT_PI);
    return sum;
}

nm_way nm_detect_way(const nm_detect_context *ctx, uint32_t track, uint32_t step, float *approach) {
    uint32_t from = step_at_way(ctx, track, step, -APPROACH), to = step_at_way(ctx, track, step, APPROACH);
    float change = heading_change(ctx->scene, track, from, to);
    if (approach) *approach = ctx->scene->heading[nm_scene_at(ctx->scene, track, from)];
    const nm_sample *sample = nm_detect_sample(ctx, track, step);
    if (sample && sample->lane != NM_NONE && !(sample->flags & NM_SAMPLE_REVERSED) &&
        (ctx->map->lanes[sample->lane].flags & NM_LANE_JUNCTION)) {
        uint8_t turn = ctx->map->lanes[sample->lane].turn; // decides where the recording shows only half of a turn
        if ((turn == NM_TURN_LEFT || turn == NM_TURN_U) && change > -0.2f) return NM_WAY_LEFT;
        if (turn == NM_TURN_RIGHT && change < 0.2f) return NM_WAY_RIGHT;
    }
    return change > TURN_ANGLE ? NM_WAY_LEFT : change < -TURN_ANGLE ? NM_WAY_RIGHT : NM_WAY_STRAIGHT;
}

// PET on the shared ground: strips as wide as the boxes around each way, crossing at `angle`. Along its way a box of
// length l and width w shares ground with a strip of width v for l/2 + (v + w |cos|) / (2 sin) to both sides.
static float encroachment(const nm_detect_context *ctx, const nm_meeting *meeting, uint32_t a, uint32_t b,
                          float angle) {
    float sine = fmaxf(sinf(angle), 0.3f), cosine = fabsf(cosf(angle));
    float wide_a = nm_detect_width(ctx, a, meeting->a_step), wide_b = nm_detect_width(ctx, b, meeting->b_step);
    float reach_a = 0.5f * (nm_detect_length(ctx, a, meeting->a_step) + (wide_b + wide_a * cosine) / sine);
    float reach_b = 0.5f * (nm_detect_length(ctx, b, meeting->b_step) + (wide_a + wide_b * cosine) / sine);
    int a_first = meeting->a_time <= meeting->b_time;
    float leaves =
        a_first ? time_at_way(ctx, a, meeting->a_time, reach_a) : time_at_way(ctx, b, meeting->b_time, reach_b);
    float arrives =
        a_first ? time_at_way(ctx, b, meeting->b_time, -reach_b) : time_at_way(ctx, a, meeting->a_time, -reach_a);
    return fmaxf(arrives - leaves, 0) * ctx->dt;
}

static int find_meeting(const nm_detect_context *ctx, const nm_path *paths, const nm_extent *blocks, uint32_t a,
                        uint32_t b, nm_meeting *meeting) {
    const nm_track *tracks = ctx->scene->tracks;
    *meeting = (nm_meeting){0};
    if (disjoint(&paths[a].all, &paths[b].all)) return 0;
    // ways that always run within the least angle of each other, or of opposite directions, do not cross
    float apart = nm_detect_between(paths[a].heading, paths[b].heading), spread = paths[a].spread + paths[b].spread;
    if (apart + spread < LEAST_CROSSING_ANGLE || NM_DETECT_PI - apart + spread < LEAST_CROSSING_ANGLE) return 0;
    for (uint32_t i = 0; i < paths[a].block_count; i++) {
        const nm_extent *block = &blocks[paths[a].blocks + i];
        if (disjoint(block, &paths[b].all)) continue;
        for (uint32_t j = 0; j < paths[b].block_count; j++)
            if (!disjoint(block, &blocks[paths[b].blocks + j]))
                cross_blocks(ctx, a, tracks[a].first_step + i * BLOCK, b, tracks[b].first_step + j * BLOCK, meeting);
    }
    return meeting->found && fabsf(meeting->a_time - meeting->b_time) * ctx->dt <= LONGEST_PET;
}

// Whether the second came up behind the first in its lane, some seconds before the ways crossed.
static int follows(const nm_detect_context *ctx, const nm_crossing *crossing) {
    uint32_t back = nm_detect_steps(ctx, FOLLOWED, 1), step = crossing->first_step;
    for (step = step > back ? step - back : 0; step < crossing->first_step; step++) {
        const nm_sample *behind = nm_detect_sample(ctx, crossing->second, step);
        if (!behind || !nm_detect_sample(ctx, crossing->first, step)) continue;
        return behind->leader == crossing->first &&
               nm_detect_between(nm_detect_direction(ctx, crossing->first, step),
                                 nm_detect_direction(ctx, crossing->second, step)) < TURN_ANGLE;
    }
    return 0;
}

static nm_crossing describe_crossing(const nm_detect_context *ctx, uint32_t a, uint32_t b, const nm_meeting *meeting) {
    int a_first = meeting->a_time <= meeting->b_time;
    float approach_a, approach_b;
    nm_way way_a = nm_detect_way(ctx, a, meeting->a_step, &approach_a);
    nm_way way_b = nm_detect_way(ctx, b, meeting->b_step, &approach_b);
    nm_crossing crossing = {.first = a_first ? a : b, .second = a_first ? b : a};
    crossing.first_step = a_first ? meeting->a_step : meeting->b_step;
    crossing.second_step = a_first ? meeting->b_step : meeting->a_step;
    crossing.first_way = a_first ? way_a : way_b;
    crossing.second_way = a_first ? way_b : way_a;
    crossing.angle =
        nm_detect_between(nm_detect_direction(ctx, a, meeting->a_step), nm_detect_direction(ctx, b, meeting->b_step));
    crossing.approach_angle = nm_detect_between(approach_a, approach_b);
    crossing.follows = follows(ctx, &crossing);
    crossing.pet = encroachment(ctx, meeting, a, b, crossing.angle);
    return crossing;
}

// Keeps only pairs that a crossing can matter for: both recorded as moving road users.
static int takes_part(const nm_detect_context *ctx, uint32_t track) {
    const nm_track *info = &ctx->scene->tracks[track];
    return !(info->flags & NM_TRACK_STATIC) && info->type != NM_AGENT_OBSTACLE && info->first_step < info->last_step;
}

nm_status nm_detect_crossings(nm_detect_context *ctx) {
    const nm_scene *scene = ctx->scene;
    size_t total = 0, capacity = 64;
    nm_path *paths = NM_ARENA_ARRAY(ctx->arena, nm_path, scene->track_count);
    ctx->crossings = NM_ARENA_ARRAY(ctx->arena, nm_crossing, capacity);
    if (!paths || !ctx->crossings) return NM_E_MEMORY;
    for (uint32_t a = 0; a < scene->track_count; a++) {
        const nm_track *info = &scene->tracks[a];
        uint32_t steps = info->first_step <= info->last_step ? info->last_step - info->first_step + 1 : 0;
        paths[a].blocks = total;
        paths[a].block_count = (steps + BLOCK - 1) / BLOCK;
        total += paths[a].block_count;
    }
    nm_extent *blocks = NM_ARENA_ARRAY(ctx->arena, nm_extent, total);
    if (!blocks) return NM_E_MEMORY;
    for (uint32_t a = 0; a < scene->track_count; a++) describe_path(ctx, a, &paths[a], blocks + paths[a].blocks);
    for (uint32_t i = 0; i < ctx->criticality.pair_count; i++) {
        const nm_pair_summary *pair = &ctx->criticality.pairs[i];
        nm_meeting meeting;
        if (!takes_part(ctx, pair->first) || !takes_part(ctx, pair->second)) continue;
        if (!find_meeting(ctx, paths, blocks, pair->first, pair->second, &meeting)) continue;
        if (ctx->crossing_count == capacity) {
            nm_crossing *grown = NM_ARENA_ARRAY(ctx->arena, nm_crossing, 2 * capacity);
            if (!grown) return NM_E_MEMORY;
            for (size_t j = 0; j < capacity; j++) grown[j] = ctx->crossings[j];
            ctx->crossings = grown;
            capacity *= 2;
        }
        ctx->crossings[ctx->crossing_count++] = describe_crossing(ctx, pair->first, pair->second, &meeting);
    }
    return NM_OK;
}

// --- kinds -----------------------------------------------------------------------------------------------------------

static int turns_left_against(const nm_crossing *crossing, nm_way own, nm_way others) {
    return own == NM_WAY_LEFT && others != NM_WAY_LEFT && crossing->approach_angle > OPPOSITE;
}

// The kind of a crossing and who is its actor.
static nm_kind classify(const nm_detect_context *ctx, const nm_crossing *crossing, uint32_t *actor) {
    uint8_t first_type = ctx->scene->tracks[crossing->first].type,
            second_type = ctx->scene->tracks[crossing->second].type;
    *actor = crossing->first;
    if (first_type == NM_AGENT_PEDESTRIAN) return NM_KIND_PEDESTRIAN_CROSSING;
    if (first_type == NM_AGENT_CYCLIST && second_type != NM_AGENT_PEDESTRIAN) return NM_KIND_CYCLIST_CROSSING;
    *actor = crossing->second;
    if (second_type == NM_AGENT_PEDESTRIAN) return NM_KIND_PEDESTRIAN_CROSSING;
    if (second_type == NM_AGENT_CYCLIST) return NM_KIND_CYCLIST_CROSSING;
    if (turns_left_against(crossing, crossing->second_way, crossing->first_way)) return NM_KIND_UNPROTECTED_LEFT_TURN;
    if (crossing->second_way == NM_WAY_RIGHT && crossing->first_way != NM_WAY_RIGHT) return NM_KIND_RIGHT_TURN_CONFLICT;
    *actor = crossing->first;
    if (turns_left_against(crossing, crossing->first_way, crossing->second_way)) return NM_KIND_UNPROTECTED_LEFT_TURN;
    if (crossing->first_way == NM_WAY_RIGHT && crossing->second_way != NM_WAY_RIGHT) return NM_KIND_RIGHT_TURN_CONFLICT;
    return NM_KIND_CROSSING_CONFLICT;
}

// One vehicle at least, and nobody slower than the kind's least speed but pedestrians and cyclists.
static int fast_enough(const nm_detect_context *ctx, uint32_t track, uint32_t step, float least) {
    uint8_t type = ctx->scene->tracks[track].type;
    if (type == NM_AGENT_PEDESTRIAN || type == NM_AGENT_CYCLIST) return 1;
    const nm_sample *sample = nm_detect_scored(ctx, track, step);
    return sample && hypotf(sample->vx, sample->vy) >= least;
}

static int involves_vehicle(const nm_detect_context *ctx, uint32_t a, uint32_t b) {
    return nm_detect_vehicle(ctx, a) || nm_detect_vehicle(ctx, b);
}

static void judge_crossing(nm_detect_context *ctx, const nm_crossing *crossing) {
    uint32_t actor;
    if (!involves_vehicle(ctx, crossing->first, crossing->second)) return;
    nm_kind kind = classify(ctx, crossing, &actor);
    const float *value = ctx->params->values[kind];
    if (crossing->angle < value[CROSS_MIN_ANGLE] || crossing->angle > NM_DETECT_PI - 0.5f * value[CROSS_MIN_ANGLE])
        return;
    if (crossing->pet > value[CROSS_MAX_PET] || crossing->follows) return;
    if (!fast_enough(ctx, crossing->first, crossing->first_step, value[CROSS_MIN_SPEED]) ||
        !fast_enough(ctx, crossing->second, crossing->second_step, value[CROSS_MIN_SPEED]))
        return;
    uint32_t margin = nm_detect_steps(ctx, 1, 1);
    uint32_t first = crossing->first_step > margin ? crossing->first_step - margin : 0;
    uint32_t other = actor == crossing->first ? crossing->second : crossing->first;
    nm_event event = nm_detect_event(kind, actor, other, first, crossing->first_step, crossing->second_step);
    event.pet = crossing->pet;
    nm_detect_emit(ctx, &event);
}

// --- conflicts in which somebody gave way at the last moment: the paths need not cross
// --------------------------------

typedef struct nm_approach {
    uint32_t first, last, critical;
    float ttc;
} nm_approach;

static int conflict_at(const nm_detect_context *ctx, const nm_pair_summary *pair, uint32_t step, const float *value,
                       float *ttc) {
    nm_box a, b;
    if (!nm_detect_scored(ctx, pair->first, step) || !nm_detect_scored(ctx, pair->second, step)) return 0;
    if (!nm_detect_box(ctx, pair->first, step, &a) || !nm_detect_box(ctx, pair->second, step, &b)) return 0;
    if (hypotf(a.x - b.x, a.y - b.y) > 60) return 0;
    if (!fast_enough(ctx, pair->first, step, value[CROSS_MIN_SPEED]) ||
        !fast_enough(ctx, pair->second, step, value[CROSS_MIN_SPEED]))
        return 0;
    float speed_a = hypotf(a.vx, a.vy), speed_b = hypotf(b.vx, b.vy);
    if (speed_a < LEAST_SPEED || speed_b < LEAST_SPEED) return 0;
    float angle =
        nm_detect_between(nm_detect_direction(ctx, pair->first, step), nm_detect_direction(ctx, pair->second, step));
    if (angle < value[CROSS_MIN_ANGLE] || angle > NM_DETECT_PI - value[CROSS_MIN_ANGLE]) return 0;
    *ttc = nm_ttc(&a, &b, ctx->params->criticality.ttc_horizon);
    if (*ttc > value[CROSS_MAX_TTC] || *ttc <= 0) return 0;
    if (nm_detect_turning_ttc(ctx, pair->first, pair->second, step, 1.5f * *ttc + 0.3f) == INFINITY) return 0;
    if (!nm_detect_ways_meet(ctx, pair->first, pair->second, step)) return 0;
    // to stop short of the conflict within the time left a road user at speed v must brake by v / (2 TTC); the faster
    // one has to brake hardest, but it is enough that one brakes, so the easier of the two counts
    return fminf(speed_a, speed_b) / (2 * *ttc) >= value[CROSS_MIN_DRAC] ||
           fmaxf(speed_a, speed_b) / (2 * *ttc) >= 2 * value[CROSS_MIN_DRAC];
}

static void judge_approach(nm_detect_context *ctx, const nm_pair_summary *pair) {
    nm_crossing crossing = {.first = pair->first, .second = pair->second, .pet = NAN};
    if (!involves_vehicle(ctx, pair->first, pair->second)) return;
    // which kind depends on how both go through; judged where the pair is most critical
    uint32_t step = pair->min_ttc_step;
    if (step == NM_NONE || !nm_detect_sample(ctx, pair->first, step) || !nm_detect_sample(ctx, pair->second, step))
        return;
    float approach_first, approach_second;
    crossing.first_step = crossing.second_step = step;
    crossing.first_way = nm_detect_way(ctx, pair->first, step, &approach_first);
    crossing.second_way = nm_detect_way(ctx, pair->second, step, &approach_second);
    crossing.approach_angle = nm_detect_between(approach_first, approach_second);
    uint32_t actor;
    nm_kind kind = classify(ctx, &crossing, &actor);
    const float *value = ctx->params->values[kind];
    nm_approach approach = {.first = NM_NONE};
    uint32_t reach = nm_detect_steps(ctx, 2, 1), from = step > reach ? step - reach : 0;
    uint32_t count = 0;
    for (uint32_t t = from; t <= step + reach && t < ctx->scene->step_count; t++) {
        float ttc;
        if (!conflict_at(ctx, pair, t, value, &ttc)) continue;
        if (approach.first == NM_NONE) approach.first = t;
        if (count == 0 || ttc < approach.ttc) {
            approach.ttc = ttc;
            approach.critical = t;
        }
        approach.last = t;
        count++;
    }
    if (count < nm_detect_steps(ctx, 0.2f, 1)) return;
    uint32_t other = actor == pair->first ? pair->second : pair->first;
    nm_event event = nm_detect_event(kind, actor, other, approach.first, approach.critical, approach.last);
    event.min_ttc = approach.ttc;
    nm_detect_emit(ctx, &event);
}

static int is_crossing_pair(const nm_detect_context *ctx, const nm_pair_summary *pair) {
    size_t lo = 0, hi = ctx->crossing_count; // ordered by pair, whoever of the two was first
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        const nm_crossing *crossing = &ctx->crossings[middle];
        uint32_t low = crossing->first < crossing->second ? crossing->first : crossing->second;
        uint32_t high = crossing->first < crossing->second ? crossing->second : crossing->first;
        if (low == pair->first && high == pair->second) return 1;
        if (low < pair->first || (low == pair->first && high < pair->second))
            lo = middle + 1;
        else
            hi = middle;
    }
    return 0;
}

void nm_detect_crossing_kinds(nm_detect_context *ctx) {
    for (size_t i = 0; i < ctx->crossing_count; i++) judge_crossing(ctx, &ctx->crossings[i]);
    for (uint32_t i = 0; i < ctx->criticality.pair_count; i++) {
        const nm_pair_summary *pair = &ctx->criticality.pairs[i];
        if (pair->min_ttc > 3 || !takes_part(ctx, pair->first) || !takes_part(ctx, pair->second)) continue;
        if (!is_crossing_pair(ctx, pair)) judge_approach(ctx, pair);
    }
}
