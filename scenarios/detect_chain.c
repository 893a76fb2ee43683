// Kinds of one manoeuvre that others have to bear: chain_brake and sudden_u_turn.
#include <string.h>

#include "scenarios/detect_internal.h"

// --- chain_brake -----------------------------------------------------------------------------------------------------

#define NO_LINK SIZE_MAX

typedef struct nm_link {
    nm_braking braking;
    float hardest; // m/s^2
    size_t next;   // the braking of the follower, or NO_LINK
    int has_front; // it is the next of another
} nm_link;

typedef struct nm_links {
    nm_link *items; // ordered by (track, first)
    size_t count, capacity;
} nm_links;

static int add_link(nm_detect_context *ctx, nm_links *links, const nm_braking *braking) {
    if (links->count == links->capacity) {
        size_t capacity = links->capacity ? 2 * links->capacity : 32;
        nm_link *grown = NM_ARENA_ARRAY(ctx->arena, nm_link, capacity);
        if (!grown) {
            ctx->status = NM_E_MEMORY;
            return 0;
        }
        if (links->count) memcpy(grown, links->items, links->count * sizeof *grown);
        links->items = grown;
        links->capacity = capacity;
    }
    float hardest = -nm_detect_sample(ctx, braking->track, braking->critical)->accel;
    links->items[links->count++] = (nm_link){.braking = *braking, .hardest = hardest, .next = NO_LINK};
    return 1;
}

static int collect_links(nm_detect_context *ctx, nm_links *links) {
    const float *value = ctx->params->values[NM_KIND_CHAIN_BRAKE];
    const nm_braking_limits limits = {.min_decel = fminf(value[CHAIN_MIN_FOLLOWER], value[CHAIN_MIN_DECEL]),
                                      .min_duration = value[CHAIN_MIN_DURATION],
                                      .min_speed = value[CHAIN_MIN_SPEED],
                                      .min_mean = value[CHAIN_MIN_MEAN],
                                      .max_decel = value[CHAIN_MAX_DECEL]};
    for (uint32_t a = 0; a < ctx->scene->track_count; a++) {
        nm_braking braking;
        if (!nm_detect_vehicle(ctx, a) || nm_detect_static(ctx, a)) continue;
        for (uint32_t from = 0; nm_detect_braking(ctx, a, from, &limits, &braking); from = braking.last + 1)
            if (!add_link(ctx, links, &braking)) return 0;
    }
    return 1;
}

// Ties every braking to that of the follower which began after it, within the delay.
static void tie_links(const nm_detect_context *ctx, nm_links *links) {
    uint32_t delay = nm_detect_steps(ctx, nm_detect_param(ctx, NM_KIND_CHAIN_BRAKE, CHAIN_MAX_DELAY), 1);
    for (size_t i = 0; i < links->count; i++) {
        const nm_braking *front = &links->items[i].braking;
        uint32_t follower = nm_detect_concerned(ctx, front->track, front->critical);
        for (size_t j = 0; follower != NM_NONE && j < links->count; j++) {
            const nm_braking *behind = &links->items[j].braking;
            if (behind->track != follower || behind->first <= front->first || behind->first > front->first + delay)
                continue;
            links->items[i].next = j;
            links->items[j].has_front = 1;
            break;
        }
    }
}

static void emit_chain(nm_detect_context *ctx, const nm_links *links, size_t head) {
    const float *value = ctx->params->values[NM_KIND_CHAIN_BRAKE];
    const nm_link *items = links->items;
    // those in front that braked less belong to no chain: it begins with the first who brakes hard
    while (head != NO_LINK && items[head].hardest < value[CHAIN_MIN_DECEL]) head = items[head].next;
    if (head == NO_LINK || items[head].next == NO_LINK) return;
    const nm_link *link = &items[head];
    uint32_t critical = link->braking.first, last = link->braking.last;
    float followers = 0;
    for (size_t at = link->next; at != NO_LINK; at = items[at].next) {
        followers += 1;
        if (followers <= value[CHAIN_MIN_FOLLOWERS]) critical = items[at].braking.first; // from then on it is a chain
        if (items[at].braking.last > last) last = items[at].braking.last;
    }
    if (followers < value[CHAIN_MIN_FOLLOWERS]) return;
    uint32_t actor = link->braking.track, seen = critical; // the last one may brake when the actor is gone
    while (seen > link->braking.first && !nm_detect_sample(ctx, actor, seen)) seen--;
    nm_event event =
        nm_detect_event(NM_KIND_CHAIN_BRAKE, actor, items[link->next].braking.track, link->braking.first, seen, last);
    nm_detect_emit(ctx, &event);
}

void nm_detect_chain_brake(nm_detect_context *ctx) {
    nm_links links = {0};
    if (!nm_detect_enabled(ctx, NM_KIND_CHAIN_BRAKE) || !collect_links(ctx, &links)) return;
    tie_links(ctx, &links);
    // links go forward in time only, so walks end, and every chain has one without a front
    for (size_t i = 0; i < links.count; i++)
        if (!links.items[i].has_front) emit_chain(ctx, &links, i);
}

// --- sudden_u_turn ---------------------------------------------------------------------------------------------------

#define MIN_OVERLAP 0.1f // m sideways for the actor to be in the other's way
#define AFTER 1.0f       // s after the turn during which the other may still close in
#define NEAREST 30.0f    // m that the two come to

static float step_turn(const float *heading, uint32_t step) {
    float turn = heading[step + 1] - heading[step];
    return turn > NM_DETECT_PI ? turn - 2 * NM_DETECT_PI : turn < -NM_DETECT_PI ? turn + 2 * NM_DETECT_PI : turn;
}

// How far the heading goes to both sides over the whole track, rad: most tracks need no closer look.
static float heading_range(const nm_detect_context *ctx, uint32_t track) {
    const nm_track *info = &ctx->scene->tracks[track];
    const float *heading = ctx->scene->heading + nm_scene_at(ctx->scene, track, 0);
    const uint8_t *valid = ctx->scene->valid + nm_scene_at(ctx->scene, track, 0);
    float sum = 0, low = 0, high = 0;
    for (uint32_t t = info->first_step; t < info->last_step; t++) {
        if (!valid[t] || !valid[t + 1]) continue;
        sum += step_turn(heading, t);
        low = fminf(low, sum);
        high = fmaxf(high, sum);
    }
    return high - low;
}

// The shortest turn that is complete at `last`: its first step, or NM_NONE.
static uint32_t turn_begin(const nm_detect_context *ctx, uint32_t track, uint32_t last) {
    const float *value = ctx->params->values[NM_KIND_SUDDEN_U_TURN];
    const float *heading = ctx->scene->heading + nm_scene_at(ctx->scene, track, 0);
    uint32_t longest = nm_detect_steps(ctx, value[U_TURN_MAX_TIME], 1);
    float sum = 0, way = 0;
    for (uint32_t t = last; t > 0 && last - t < longest; t--) {
        const nm_sample *sample = nm_detect_scored(ctx, track, t);
        if (!sample || !nm_detect_sample(ctx, track, t - 1)) return NM_NONE;
        float turn = step_turn(heading, t - 1);
        if (fabsf(turn) > value[U_TURN_MAX_RATE] * ctx->dt) return NM_NONE;
        sum += turn;
        way += hypotf(sample->vx, sample->vy) * ctx->dt;
        if (fabsf(sum) >= value[U_TURN_MIN_ANGLE]) return way >= value[U_TURN_MIN_WAY] ? t - 1 : NM_NONE;
    }
    return NM_NONE;
}

// Lanes that lead around by themselves, as in a hairpin or a roundabout, make no U-turn of driving along them.
static int follows_lanes(const nm_detect_context *ctx, uint32_t track, uint32_t first, uint32_t last) {
    for (uint32_t t = first; t <= last; t++) {
        const nm_sample *sample = nm_detect_sample(ctx, track, t);
        if (sample->lane == NM_NONE || (sample->flags & NM_SAMPLE_REVERSED)) return 0;
        if (t > first && sample->move > NM_MOVE_NEXT) return 0;
        if (ctx->map->lanes[sample->lane].turn == NM_TURN_U) return 0;
    }
    return 1;
}

static void judge_u_turn(nm_detect_context *ctx, uint32_t actor, uint32_t other, uint32_t first, uint32_t last) {
    const float *value = ctx->params->values[NM_KIND_SUDDEN_U_TURN];
    uint32_t critical = NM_NONE, end = last + nm_detect_steps(ctx, AFTER, 1);
    float least = INFINITY;
    for (uint32_t t = first; t <= end; t++) {
        const nm_sample *sample = nm_detect_scored(ctx, other, t);
        nm_ahead ahead;
        if (!sample || sample->speed < value[U_TURN_MIN_SPEED] || !nm_detect_ahead(ctx, other, actor, t, &ahead))
            continue;
        if (ahead.overlap < MIN_OVERLAP || ahead.closing <= 0) continue;
        float ttc = fmaxf(ahead.gap, 0) / ahead.closing;
        if (ttc > value[U_TURN_MAX_TTC] || ttc >= least) continue;
        least = ttc;
        critical = t;
    }
    if (critical == NM_NONE) return;
    nm_event event =
        nm_detect_event(NM_KIND_SUDDEN_U_TURN, actor, other, first, critical, critical > last ? critical : last);
    event.min_ttc = least;
    nm_detect_emit(ctx, &event);
}

static void look_for_others(nm_detect_context *ctx, uint32_t actor, uint32_t first, uint32_t last) {
    for (uint32_t i = 0; i < ctx->criticality.pair_count; i++) {
        const nm_pair_summary *pair = &ctx->criticality.pairs[i];
        if ((pair->first != actor && pair->second != actor) || pair->min_distance > NEAREST) continue;
        uint32_t other = pair->first == actor ? pair->second : pair->first;
        if (nm_detect_vehicle(ctx, other) && !nm_detect_static(ctx, other))
            judge_u_turn(ctx, actor, other, first, last);
    }
}

void nm_detect_u_turn(nm_detect_context *ctx) {
    if (!nm_detect_enabled(ctx, NM_KIND_SUDDEN_U_TURN)) return;
    float angle = nm_detect_param(ctx, NM_KIND_SUDDEN_U_TURN, U_TURN_MIN_ANGLE);
    uint32_t longest = nm_detect_steps(ctx, nm_detect_param(ctx, NM_KIND_SUDDEN_U_TURN, U_TURN_MAX_TIME), 1);
    for (uint32_t a = 0; a < ctx->scene->track_count; a++) {
        const nm_track *info = &ctx->scene->tracks[a];
        if (!nm_detect_vehicle(ctx, a) || nm_detect_static(ctx, a) || info->first_step >= info->last_step) continue;
        if (heading_range(ctx, a) < angle) continue;
        for (uint32_t t = info->first_step + 1; t <= info->last_step; t++) {
            uint32_t first = turn_begin(ctx, a, t);
            if (first == NM_NONE) continue;
            if (!follows_lanes(ctx, a, first, t)) look_for_others(ctx, a, first, t);
            t += longest; // the same turn is complete at the next steps as well, and judged once
        }
    }
}
