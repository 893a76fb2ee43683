// The lane of every agent at every step: a Viterbi match (Newson and Krumm 2009, hidden Markov map matching, with fixed
// costs in place of probabilities) of each run of valid states over the lanes it lies on.
//
// Why not the nearest lane: inside junctions several lanes lie on each other and only what the agent does later tells
// which one it is on; and near a border noise would make a lane change out of every wobble. A change of lane costs as
// much as several steps off the lane, so the best path changes only when the agent really stays on the other side, and
// changes where the centre crosses.
#include "scenarios/detect_internal.h"

#define CANDIDATES 6
#define FOUND 24          // lanes looked at per position before the best are kept
#define OFF_LANE 1.2f     // m outside a lane up to which it stays a candidate
#define MATCH_RADIUS 2.5f // m, search when no lane contains the position
#define HOPS 3            // short connectors that one step may skip
#define BRANCHES 12u      // looked at per lane: a hostile map may join every lane to every other

// Costs. One unit is about one step with the centre 0.7 m outside the lane.
#define COST_CENTRE 0.3f // at the border, falling with the square towards the middle
#define COST_OFF 1.5f    // per m outside
#define COST_TURN 1.5f   // times 1 - cos(heading difference)
#define COST_BACK 1.0f
#define COST_FORK 1.0f
#define COST_CHANGE 3.0f
#define COST_OPPOSITE 4.0f
#define COST_JUMP 8.0f

typedef struct nm_candidate {
    nm_frenet place;
    float emission;
} nm_candidate;

typedef struct nm_match {
    nm_candidate candidates[CANDIDATES];
    float cost[CANDIDATES];
    uint8_t from[CANDIDATES]; // candidate of the step before
    uint8_t count;
} nm_match;

static int refers(const nm_map *map, nm_range range, uint32_t lane) {
    for (uint32_t i = 0; i < range.count; i++)
        if (map->lane_refs[range.first + i] == lane) return 1;
    return 0;
}

static int leads_to(const nm_map *map, uint32_t from, uint32_t to, int hops) {
    nm_range next = map->lanes[from].successors;
    if (refers(map, next, to)) return 1;
    if (hops <= 1) return 0;
    for (uint32_t i = 0; i < next.count && i < BRANCHES; i++)
        if (leads_to(map, map->lane_refs[next.first + i], to, hops - 1)) return 1;
    return 0;
}

// The move from `from` into a lane beside it, or into one that follows or precedes a lane beside it.
static nm_move beside(const nm_map *map, uint32_t from, uint32_t to) {
    const nm_lane *lane = &map->lanes[from];
    for (int side = 0; side < 2; side++) {
        nm_range range = side ? lane->right : lane->left;
        for (uint32_t i = 0; i < range.count && i < BRANCHES; i++) {
            const nm_neighbour *neighbour = &map->neighbours[range.first + i];
            if (neighbour->lane == to)
                return neighbour->opposite ? NM_MOVE_OPPOSITE : side ? NM_MOVE_RIGHT : NM_MOVE_LEFT;
            if (!neighbour->opposite && leads_to(map, neighbour->lane, to, 2))
                return side ? NM_MOVE_RIGHT : NM_MOVE_LEFT;
        }
    }
    return NM_MOVE_NONE;
}

static int share_predecessor(const nm_map *map, uint32_t a, uint32_t b) {
    nm_range before = map->lanes[a].predecessors;
    for (uint32_t i = 0; i < before.count && i < BRANCHES; i++)
        if (refers(map, map->lanes[b].predecessors, map->lane_refs[before.first + i])) return 1;
    return 0;
}

static nm_move relation(const nm_map *map, uint32_t from, uint32_t to) {
    if (from == to) return NM_MOVE_NONE;
    if (leads_to(map, from, to, HOPS)) return NM_MOVE_NEXT;
    nm_move move = beside(map, from, to);
    if (move != NM_MOVE_NONE) return move;
    nm_range next = map->lanes[from].successors;
    for (uint32_t i = 0; i < next.count && i < BRANCHES; i++) {
        move = beside(map, map->lane_refs[next.first + i], to);
        if (move != NM_MOVE_NONE) return move;
    }
    if (leads_to(map, to, from, HOPS)) return NM_MOVE_BACK;
    return share_predecessor(map, from, to) ? NM_MOVE_FORK : NM_MOVE_JUMP;
}

static float move_cost(nm_move move) {
    switch (move) {
    case NM_MOVE_NONE:
    case NM_MOVE_NEXT:
        return 0;
    case NM_MOVE_BACK:
        return COST_BACK;
    case NM_MOVE_FORK:
        return COST_FORK;
    case NM_MOVE_LEFT:
    case NM_MOVE_RIGHT:
        return COST_CHANGE;
    case NM_MOVE_OPPOSITE:
        return COST_OPPOSITE;
    case NM_MOVE_JUMP:
        break;
    }
    return COST_JUMP;
}

static float emission(const nm_map *map, const nm_frenet *place, float heading) {
    float half = fmaxf(0.5f * (place->left + place->right), 0.5f);
    float centre = (place->d - 0.5f * (place->left - place->right)) / half;
    float off = fmaxf(fmaxf(place->d - place->left, -place->d - place->right), 0);
    float turn = 1 - cosf(heading - place->heading);
    if (map->lanes[place->lane].flags & NM_LANE_BIDIRECTIONAL) turn = fminf(turn, 2 - turn);
    return COST_CENTRE * fminf(centre * centre, 1) + COST_OFF * (off + fabsf(place->beyond)) + COST_TURN * turn;
}

// Keeps the best CANDIDATES, ordered by cost then lane.
static void offer(nm_match *match, const nm_map *map, const nm_frenet *place, float heading) {
    nm_candidate made = {.place = *place, .emission = emission(map, place, heading)};
    for (int i = 0; i < match->count; i++)
        if (match->candidates[i].place.lane == place->lane) return;
    int at = match->count;
    while (at > 0) {
        const nm_candidate *before = &match->candidates[at - 1];
        if (before->emission < made.emission || (before->emission == made.emission && before->place.lane < place->lane))
            break;
        at--;
    }
    if (at >= CANDIDATES) return;
    if (match->count < CANDIDATES) match->count++;
    for (int i = match->count - 1; i > at; i--) match->candidates[i] = match->candidates[i - 1];
    match->candidates[at] = made;
}

static void find_candidates(const nm_map *map, const nm_match *before, float x, float y, float heading, unsigned mask,
                            nm_match *match) {
    nm_frenet found[FOUND];
    size_t count = nm_map_lanes_at(map, x, y, found, FOUND);
    match->count = 0;
    for (size_t i = 0; i < count && i < FOUND; i++)
        if ((1u << map->lanes[found[i].lane].type) & mask) offer(match, map, &found[i], heading);
    // Lanes of the step before that were just left: so that a wobble over a border need not be a change.
    for (int i = 0; before && i < before->count; i++) {
        nm_frenet place = nm_map_project(map, before->candidates[i].place.lane, x, y);
        float off = fmaxf(place.d - place.left, -place.d - place.right);
        if (off <= OFF_LANE && fabsf(place.beyond) < 1e-3f) offer(match, map, &place, heading);
    }
    if (match->count == 0) {
        nm_frenet place = nm_map_match(map, x, y, heading, MATCH_RADIUS, mask);
        if (place.lane != NM_NONE) offer(match, map, &place, heading);
    }
}

// Cheapest way into every candidate. A step without candidates breaks the chain: what follows starts afresh.
static void advance(const nm_map *map, const nm_match *before, nm_match *match) {
    for (int i = 0; i < match->count; i++) {
        const nm_candidate *candidate = &match->candidates[i];
        float best = 0;
        match->from[i] = 0;
        for (int j = 0; before && j < before->count; j++) {
            float cost =
                before->cost[j] + move_cost(relation(map, before->candidates[j].place.lane, candidate->place.lane));
            if (j == 0 || cost < best) {
                best = cost;
                match->from[i] = (uint8_t)j;
            }
        }
        match->cost[i] = best + candidate->emission;
    }
}

static void fill(const nm_map *map, const nm_frenet *place, float heading, nm_sample *sample) {
    sample->lane = place->lane;
    sample->s = place->s + place->beyond;
    sample->d = place->d;
    sample->left = place->left;
    sample->right = place->right;
    sample->lane_cos = cosf(place->heading);
    sample->lane_sin = sinf(place->heading);
    sample->lateral = sample->vy * sample->lane_cos - sample->vx * sample->lane_sin;
    if (cosf(heading - place->heading) < 0 && !(map->lanes[place->lane].flags & NM_LANE_BIDIRECTIONAL))
        sample->flags |= NM_SAMPLE_REVERSED;
}

// Walks the best path back, then forward for the moves and back for the next lanes.
static void trace(const nm_map *map, const nm_match *matches, const float *heading, uint32_t count,
                  nm_sample *samples) {
    int pick = -1;
    for (uint32_t i = count; i-- > 0;) {
        const nm_match *match = &matches[i];
        if (match->count == 0) {
            pick = -1;
            continue;
        }
        if (pick < 0) {
            pick = 0;
            for (int j = 1; j < match->count; j++)
                if (match->cost[j] < match->cost[pick]) pick = j;
        }
        fill(map, &match->candidates[pick].place, heading[i], &samples[i]);
        pick = match->from[pick];
    }
    for (uint32_t i = 1; i < count; i++)
        if (samples[i].lane != NM_NONE && samples[i - 1].lane != NM_NONE)
            samples[i].move = (uint8_t)relation(map, samples[i - 1].lane, samples[i].lane);
    for (uint32_t i = count - 1; i-- > 0;) {
        if (samples[i].lane == samples[i + 1].lane)
            samples[i].next = samples[i + 1].next;
        else if (samples[i + 1].move == NM_MOVE_NEXT)
            samples[i].next = samples[i + 1].lane;
    }
}

static nm_status match_run(nm_detect_context *ctx, uint32_t track, uint32_t first, uint32_t last, unsigned mask) {
    const nm_scene *scene = ctx->scene;
    size_t at = nm_scene_at(scene, track, first);
    uint32_t count = last - first + 1;
    nm_arena_mark mark = nm_arena_get_mark(ctx->arena);
    nm_match *matches = NM_ARENA_ARRAY(ctx->arena, nm_match, count);
    if (!matches) return NM_E_MEMORY;
    const float *x = scene->x + at, *y = scene->y + at, *heading = scene->heading + at;
    for (uint32_t i = 0; i < count; i++) {
        const nm_match *before = i > 0 && matches[i - 1].count > 0 ? &matches[i - 1] : NULL;
        if (before && x[i] == x[i - 1] && y[i] == y[i - 1] && heading[i] == heading[i - 1]) {
            matches[i] = matches[i - 1]; // standing: the same places
        } else {
            find_candidates(ctx->map, before, x[i], y[i], heading[i], mask, &matches[i]);
        }
        advance(ctx->map, before, &matches[i]);
    }
    trace(ctx->map, matches, heading, count,
          &ctx->samples[ctx->base[track] + (first - scene->tracks[track].first_step)]);
    nm_arena_release(ctx->arena, mark);
    return NM_OK;
}

nm_status nm_detect_lanes(nm_detect_context *ctx) {
    const nm_scene *scene = ctx->scene;
    if (ctx->map->lane_count == 0) return NM_OK;
    for (uint32_t a = 0; a < scene->track_count; a++) {
        const nm_track *info = &scene->tracks[a];
        unsigned mask = NM_LANE_MASK_VEHICLE;
        if (info->type == NM_AGENT_CYCLIST)
            mask |= 1u << NM_LANE_BIKE;
        else if (!nm_detect_vehicle(ctx, a))
            continue;
        if (info->first_step > info->last_step) continue;
        for (uint32_t t = info->first_step; t <= info->last_step; t++) {
            if (!nm_detect_sample(ctx, a, t)) continue;
            uint32_t last = t;
            while (last < info->last_step && nm_detect_sample(ctx, a, last + 1)) last++;
            nm_status status = match_run(ctx, a, t, last, mask);
            if (status != NM_OK) return status;
            t = last;
        }
    }
    return NM_OK;
}

// --- lane changes ----------------------------------------------------------------------------------------------------

float nm_detect_shift(const nm_detect_context *ctx, uint32_t track, uint32_t from, uint32_t to) {
    uint32_t lo = from < to ? from : to, hi = from < to ? to : from;
    float shift = 0;
    for (uint32_t t = lo; t < hi; t++) {
        const nm_sample *a = nm_detect_sample(ctx, track, t), *b = nm_detect_sample(ctx, track, t + 1);
        if (a && b) shift += 0.5f * (a->lateral + b->lateral) * ctx->dt;
    }
    return from < to ? shift : -shift;
}

#define SIDEWAYS_SPEED 0.08f // m/s below which the sideways motion counts as over
#define SIDEWAYS_PAUSE 0.4f  // s that it must stay below
#define SIDEWAYS_LONGEST 6.0f

// Last step, going from `step` in `direction`, up to which the agent keeps moving sideways.
static uint32_t sideways_end(const nm_detect_context *ctx, uint32_t track, uint32_t step, int direction, float side) {
    uint32_t longest = nm_detect_steps(ctx, SIDEWAYS_LONGEST, 1), pause = nm_detect_steps(ctx, SIDEWAYS_PAUSE, 1);
    uint32_t end = step, still = 0, t = step;
    for (uint32_t i = 0; i < longest && still < pause; i++) {
        if (direction < 0 && t == 0) break;
        t = direction < 0 ? t - 1 : t + 1;
        const nm_sample *sample = nm_detect_sample(ctx, track, t);
        if (!sample || sample->lane == NM_NONE || sample->move == NM_MOVE_JUMP) break;
        if (sample->lateral * side > SIDEWAYS_SPEED) {
            end = t;
            still = 0;
        } else {
            still++;
        }
    }
    return end;
}

static void measure_change(const nm_detect_context *ctx, nm_lane_change *change) {
    uint32_t track = change->track, step = change->step;
    float half = 0.5f * nm_detect_width(ctx, track, step);
    change->begin = sideways_end(ctx, track, step, -1, change->side);
    change->end = sideways_end(ctx, track, step, 1, change->side);
    change->shift = change->side * nm_detect_shift(ctx, track, change->begin, change->end);
    change->entry = change->begin;
    change->exit = change->end;
    for (uint32_t t = step; t > change->begin; t--)
        if (change->side * nm_detect_shift(ctx, track, t - 1, step) >= half) {
            change->entry = t - 1;
            break;
        }
    for (uint32_t t = step; t < change->end; t++)
        if (change->side * nm_detect_shift(ctx, track, step, t + 1) >= half) {
            change->exit = t + 1;
            break;
        }
}

static size_t collect_changes(const nm_detect_context *ctx, nm_lane_change *changes) {
    size_t count = 0;
    for (uint32_t a = 0; a < ctx->scene->track_count; a++) {
        const nm_track *info = &ctx->scene->tracks[a];
        if (info->first_step > info->last_step || nm_detect_static(ctx, a)) continue;
        for (uint32_t t = info->first_step + 1; t <= info->last_step; t++) {
            const nm_sample *sample = nm_detect_sample(ctx, a, t), *before = nm_detect_sample(ctx, a, t - 1);
            if (!sample || !before || (sample->move != NM_MOVE_LEFT && sample->move != NM_MOVE_RIGHT)) continue;
            if ((sample->flags | before->flags) & (NM_SAMPLE_REVERSED | NM_SAMPLE_ROUGH)) continue;
            if (changes) {
                nm_lane_change *change = &changes[count];
                *change = (nm_lane_change){.track = a, .step = t, .from = before->lane, .to = sample->lane};
                change->side = sample->move == NM_MOVE_LEFT ? 1.0f : -1.0f;
                measure_change(ctx, change);
            }
            count++;
        }
    }
    return count;
}

nm_status nm_detect_changes(nm_detect_context *ctx) {
    ctx->change_count = collect_changes(ctx, NULL);
    ctx->changes = NM_ARENA_ARRAY(ctx->arena, nm_lane_change, ctx->change_count);
    if (!ctx->changes) return NM_E_MEMORY;
    collect_changes(ctx, ctx->changes);
    return NM_OK;
}
