// The leader of every agent: the nearest one ahead on its lane and on the lanes that follow. Which branch it takes at a
// fork is known from where it drives later; past the end of its recording the straightest branch is assumed.
#include <stdlib.h>

#include "scenarios/detect_internal.h"

#define LOOK_AHEAD 120.0f // m
#define LOOK_HOPS 24      // lanes; also ends walks around circles of tiny lanes

typedef struct nm_place {
    uint32_t lane, track;
    float s;
} nm_place;

static int compare_places(const void *left, const void *right) {
    const nm_place *a = left, *b = right;
    if (a->lane != b->lane) return a->lane < b->lane ? -1 : 1;
    if (a->s != b->s) return a->s < b->s ? -1 : 1;
    return a->track < b->track ? -1 : a->track > b->track;
}

// First place in the sorted list that is not before `wanted`.
static size_t lower_bound(const nm_place *places, size_t count, nm_place wanted) {
    size_t lo = 0, hi = count;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (compare_places(&places[middle], &wanted) < 0)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

uint32_t nm_detect_next_lane(const nm_map *map, uint32_t lane, uint32_t known) {
    nm_range next = map->lanes[lane].successors;
    if (known != NM_NONE && known != lane) return known;
    uint32_t best = NM_NONE;
    float best_turn = 0;
    nm_rail_point end = nm_map_rail(map, lane, map->lanes[lane].length);
    for (uint32_t i = 0; i < next.count; i++) {
        uint32_t candidate = map->lane_refs[next.first + i];
        nm_rail_point far = nm_map_rail(map, candidate, map->lanes[candidate].length);
        float turn = 1 - (end.cos_h * far.cos_h + end.sin_h * far.sin_h);
        if (best == NM_NONE || turn < best_turn || (turn == best_turn && candidate < best)) {
            best = candidate;
            best_turn = turn;
        }
    }
    return best;
}

// `next` of a sample may skip a short connector; the walk then misses only agents on that connector.
static void find_leader(const nm_detect_context *ctx, const nm_place *places, size_t count, const nm_place *self,
                        uint32_t step, nm_sample *sample) {
    uint32_t lane = self->lane, known = sample->next;
    float start = -self->s; // of the lane, relative to the agent
    nm_place from = *self;
    from.track++; // those after itself in the order
    for (int hop = 0; hop < LOOK_HOPS && lane != NM_NONE && start < LOOK_AHEAD; hop++) {
        size_t at = lower_bound(places, count, from);
        if (at < count && places[at].lane == lane) {
            float ahead = start + places[at].s;
            if (ahead > LOOK_AHEAD) return;
            sample->leader = places[at].track;
            sample->gap = ahead - 0.5f * (nm_detect_length(ctx, self->track, step) +
                                          nm_detect_length(ctx, places[at].track, step));
            return;
        }
        start += ctx->map->lanes[lane].length;
        lane = nm_detect_next_lane(ctx->map, lane, known);
        known = NM_NONE;
        from = (nm_place){.lane = lane, .track = 0, .s = -INFINITY};
    }
}

nm_status nm_detect_leaders(nm_detect_context *ctx) {
    const nm_scene *scene = ctx->scene;
    nm_arena_mark mark = nm_arena_get_mark(ctx->arena);
    nm_place *places = NM_ARENA_ARRAY(ctx->arena, nm_place, scene->track_count);
    if (!places) return NM_E_MEMORY;
    for (uint32_t t = 0; t < scene->step_count; t++) {
        size_t count = 0;
        for (uint32_t a = 0; a < scene->track_count; a++) {
            const nm_sample *sample = nm_detect_sample(ctx, a, t);
            if (!sample || sample->lane == NM_NONE || (sample->flags & NM_SAMPLE_REVERSED)) continue;
            places[count++] = (nm_place){.lane = sample->lane, .track = a, .s = sample->s};
        }
        qsort(places, count, sizeof *places, compare_places);
        for (size_t i = 0; i < count; i++) {
            uint32_t track = places[i].track;
            nm_sample *sample = &ctx->samples[ctx->base[track] + (t - scene->tracks[track].first_step)];
            find_leader(ctx, places, count, &places[i], t, sample);
        }
    }
    nm_arena_release(ctx->arena, mark);
    return NM_OK;
}

// --- ways ahead ------------------------------------------------------------------------------------------------------

#define WAY_LANES 8
#define WAY_TIME 4.0f  // s driven that are looked at
#define WAY_MORE 30.0f // m beyond the last of them
#define REACH_IN 0.3f  // m of a box in the other's lane that end the claim to keep to one's own

typedef struct nm_way_ahead {
    uint32_t lanes[WAY_LANES], count;
    float s; // m on the first one
} nm_way_ahead;

static void way_ahead(const nm_detect_context *ctx, uint32_t track, uint32_t step, nm_way_ahead *way) {
    uint32_t until = step + nm_detect_steps(ctx, WAY_TIME, 1);
    const nm_sample *sample = nm_detect_sample(ctx, track, step), *last = sample;
    way->lanes[0] = sample->lane;
    way->count = 1;
    way->s = sample->s;
    for (uint32_t t = step + 1; t <= until && way->count < WAY_LANES; t++) {
        sample = nm_detect_sample(ctx, track, t);
        if (!sample || sample->lane == NM_NONE) break;
        if (sample->lane != way->lanes[way->count - 1]) way->lanes[way->count++] = sample->lane;
        last = sample;
    }
    uint32_t lane = last->lane, known = last->next;
    float left = WAY_MORE - (ctx->map->lanes[lane].length - last->s);
    while (left > 0 && way->count < WAY_LANES) {
        lane = nm_detect_next_lane(ctx->map, lane, known);
        known = NM_NONE;
        if (lane == NM_NONE) break;
        way->lanes[way->count++] = lane;
        left -= ctx->map->lanes[lane].length;
    }
}

static int lanes_meet(const nm_map *map, uint32_t a, float a_from, uint32_t b, float b_from) {
    if (a == b) return 1;
    nm_range range = map->lanes[a].conflicts;
    for (uint32_t i = 0; i < range.count; i++) {
        const nm_conflict *conflict = &map->conflicts[range.first + i];
        if (conflict->lane == b && conflict->kind != NM_CONFLICT_DIVERGE && conflict->self_out >= a_from &&
            conflict->other_out >= b_from)
            return 1;
    }
    return 0;
}

static int reaches_in(const nm_detect_context *ctx, uint32_t actor, uint32_t other, uint32_t step) {
    nm_frenet place;
    float ahead, into;
    return nm_detect_on_path(ctx, actor, other, step, &place, &ahead, &into) && into >= REACH_IN;
}

int nm_detect_ways_meet(const nm_detect_context *ctx, uint32_t a, uint32_t b, uint32_t step) {
    const nm_sample *first = nm_detect_sample(ctx, a, step), *second = nm_detect_sample(ctx, b, step);
    if (!first || !second || first->lane == NM_NONE || second->lane == NM_NONE) return 1;
    if ((first->flags | second->flags) & NM_SAMPLE_REVERSED) return 1;
    float half_a = 0.5f * nm_detect_length(ctx, a, step), half_b = 0.5f * nm_detect_length(ctx, b, step);
    nm_way_ahead mine, theirs;
    way_ahead(ctx, a, step, &mine);
    way_ahead(ctx, b, step, &theirs);
    for (uint32_t i = 0; i < mine.count; i++)
        for (uint32_t j = 0; j < theirs.count; j++)
            if (lanes_meet(ctx->map, mine.lanes[i], i ? 0 : mine.s - half_a, theirs.lanes[j],
                           j ? 0 : theirs.s - half_b))
                return 1;
    return reaches_in(ctx, a, b, step) || reaches_in(ctx, b, a, step);
}
