/// Which lanes a recorded path ran on.
///
/// Hidden Markov matching: each sample of the path has the lanes near it as states; the cost of a state is how far the
/// sample lies off its centreline and how far it is turned, the cost of a step is what the lane graph makes of it. The
/// cheapest sequence is found by Viterbi's algorithm, so that one sample between two lanes does not decide anything.
#include <stdlib.h>

#include "sim/route_private.h"

#define CANDIDATES 8
#define SAMPLE_METRES 2.0f
#define SEARCH_METRES 5.0f
#define BESIDE_METRES 1.5f  // over the line
#define TURNED_METRES 3.0f  // m that a radian counts, as in nm_map_match
#define MOST_TURNED 1.75f   // rad
#define HOP_COST 0.1f       // a successor; prefers the way with fewer lanes
#define CHANGE_COST 4.0f    // a lane beside
#define UNLINKED_COST 60.0f // what the graph does not know
#define BACKWARDS_COST 5.0f // against the lane, by more than a metre

typedef struct state {
    nm_frenet at;
    float cost;
    uint8_t before; // state of the sample before
} state;

typedef struct sample {
    state states[CANDIDATES];
    uint8_t count;
} sample;

int nm_route_follows(const nm_map *map, uint32_t lane, uint32_t next) {
    const nm_range range = map->lanes[lane].successors;
    for (uint32_t k = range.first; k < range.first + range.count; k++)
        if (map->lane_refs[k] == next) return 1;
    return 0;
}

static int beside(const nm_map *map, uint32_t lane, uint32_t other) {
    const nm_range sides[2] = {map->lanes[lane].left, map->lanes[lane].right};
    for (int side = 0; side < 2; side++)
        for (uint32_t k = sides[side].first; k < sides[side].first + sides[side].count; k++)
            if (map->neighbours[k].lane == other && !map->neighbours[k].opposite) return 1;
    return 0;
}

/// Hops along successors from a to b, at most `most`; 0 when it takes more.
static uint32_t hops(const nm_map *map, uint32_t a, uint32_t b, uint32_t most) {
    if (nm_route_follows(map, a, b)) return 1;
    if (most <= 1) return 0;
    const nm_range range = map->lanes[a].successors;
    uint32_t best = 0;
    for (uint32_t k = range.first; k < range.first + range.count; k++) {
        const uint32_t rest = hops(map, map->lane_refs[k], b, most - 1);
        if (rest && (!best || rest + 1 < best)) best = rest + 1;
    }
    return best;
}

static float step_cost(const nm_map *map, const nm_frenet *a, const nm_frenet *b) {
    if (a->lane == b->lane) return b->s < a->s - 1.0f ? BACKWARDS_COST : 0.0f;
    const uint32_t count = hops(map, a->lane, b->lane, 3);
    if (count) return HOP_COST * (float)count;
    if (beside(map, a->lane, b->lane)) return CHANGE_COST;
    const nm_range range = map->lanes[a->lane].successors; // a change at the seam of two lanes
    for (uint32_t k = range.first; k < range.first + range.count; k++)
        if (beside(map, map->lane_refs[k], b->lane)) return CHANGE_COST + HOP_COST;
    return UNLINKED_COST;
}

static float place_cost(const nm_map *map, const nm_frenet *f, float heading) {
    float turned = fabsf(nm_wrap_angle(heading - f->heading));
    if (map->lanes[f->lane].flags & NM_LANE_BIDIRECTIONAL) turned = nm_minf(turned, NM_PI_F - turned);
    return fabsf(f->d) + fabsf(f->beyond) + TURNED_METRES * turned;
}

static void add_state(const nm_map *map, sample *to, const nm_frenet *f, float heading) {
    for (uint8_t i = 0; i < to->count; i++)
        if (to->states[i].at.lane == f->lane) return;
    if (to->count == CANDIDATES || !nm_lane_type_drivable((nm_lane_type)map->lanes[f->lane].type)) return;
    const float cost = place_cost(map, f, heading);
    if (cost > SEARCH_METRES + TURNED_METRES * MOST_TURNED) return;
    to->states[to->count++] = (state){*f, cost, 0};
}

static void find_states(const nm_map *map, float x, float y, float heading, sample *to) {
    nm_frenet found[2 * CANDIDATES];
    const size_t all = nm_map_lanes_at(map, x, y, found, 2 * CANDIDATES);
    to->count = 0;
    for (size_t i = 0; i < all && i < 2 * CANDIDATES; i++) {
        const int turned = fabsf(nm_wrap_angle(heading - found[i].heading)) > MOST_TURNED;
        if (turned && !(map->lanes[found[i].lane].flags & NM_LANE_BIDIRECTIONAL)) continue;
        add_state(map, to, &found[i], heading);
    }
    // who weaves over the line has not left its lane: those beside are states, too
    const uint8_t containing = to->count;
    for (uint8_t i = 0; i < containing; i++) {
        const nm_lane *lane = &map->lanes[to->states[i].at.lane];
        const nm_range sides[2] = {lane->left, lane->right};
        for (int side = 0; side < 2; side++) {
            for (uint32_t k = sides[side].first; k < sides[side].first + sides[side].count; k++) {
                if (map->neighbours[k].opposite) continue;
                const nm_frenet f = nm_map_project(map, map->neighbours[k].lane, x, y);
                const float outside = f.d > 0.0f ? f.d - f.left : -f.d - f.right;
                if (outside < BESIDE_METRES && f.beyond == 0.0f) add_state(map, to, &f, heading);
            }
        }
    }
    if (to->count) return;
    const nm_frenet nearest = nm_map_match(map, x, y, heading, SEARCH_METRES, NM_LANE_MASK_VEHICLE);
    if (nearest.lane != NM_NONE) add_state(map, to, &nearest, heading);
}

static void connect(const nm_map *map, const sample *from, sample *to) {
    for (uint8_t j = 0; j < to->count; j++) {
        float least = INFINITY;
        for (uint8_t i = 0; i < from->count; i++) {
            const float cost = from->states[i].cost + step_cost(map, &from->states[i].at, &to->states[j].at);
            if (cost >= least) continue;
            least = cost;
            to->states[j].before = i;
        }
        to->states[j].cost += least;
    }
}

/// Samples with at least one lane, SAMPLE_METRES apart; the last valid state is one of them.
static uint32_t take_samples(const nm_scene *scene, uint32_t start_step, sample *samples) {
    const nm_track *track = &scene->tracks[scene->ego];
    uint32_t count = 0;
    float x = INFINITY, y = INFINITY;
    for (uint32_t t = start_step; t <= track->last_step; t++) {
        const size_t at = nm_scene_at(scene, scene->ego, t);
        if (!scene->valid[at]) continue;
        const float way = nm_hypotf(scene->x[at] - x, scene->y[at] - y);
        if (way < SAMPLE_METRES && (t < track->last_step || way < 0.1f)) continue;
        x = scene->x[at], y = scene->y[at];
        find_states(scene->map, x, y, scene->heading[at], &samples[count]);
        if (samples[count].count == 0) continue; // a stretch off the lanes
        if (count) connect(scene->map, &samples[count - 1], &samples[count]);
        count++;
    }
    return count;
}

/// Goes from `from` to `to` over the lanes between them that no sample fell on.
static nm_status bridge(const nm_map *map, nm_frenet from, nm_frenet to, nm_route_legs *legs, nm_error *error) {
    enum { MOST = 8 };
    uint32_t way[MOST];
    legs->items[legs->count - 1].change_at = from.s;
    if (nm_route_follows(map, from.lane, to.lane) || beside(map, from.lane, to.lane))
        return nm_route_add_leg(legs, to.lane, -1.0f, error);
    const uint32_t count = nm_map_route(map, from.lane, to.lane, 10.0f, way, MOST, NULL);
    for (uint32_t i = 1; count != NM_NONE && i + 1 < count; i++) {
        const nm_status status = nm_route_add_leg(legs, way[i], -1.0f, error);
        if (status != NM_OK) return status;
    }
    return nm_route_add_leg(legs, to.lane, -1.0f, error); // unlinked where nothing leads there: drawn out as a change
}

nm_status nm_route_match(const nm_scene *scene, uint32_t start_step, nm_route_legs *legs, nm_error *error) {
    const uint32_t steps = scene->tracks[scene->ego].last_step - start_step + 1;
    sample *samples = malloc((size_t)steps * sizeof *samples);
    uint8_t *best = malloc(steps);
    nm_status status = NM_OK;
    if (!samples || !best) status = NM_ERROR(error, NM_E_MEMORY, "no memory to match %u steps to lanes", steps);
    const uint32_t count = status == NM_OK ? take_samples(scene, start_step, samples) : 0;
    if (status == NM_OK && count == 0)
        status = NM_ERROR(error, NM_E_NOT_FOUND, "the scene has no route: no lane within %.0f m of the ego's path",
                          (double)SEARCH_METRES);
    for (uint32_t i = count; i-- > 0;) {
        if (i + 1 < count) {
            best[i] = samples[i + 1].states[best[i + 1]].before;
            continue;
        }
        best[i] = 0;
        for (uint8_t k = 1; k < samples[i].count; k++)
            if (samples[i].states[k].cost < samples[i].states[best[i]].cost) best[i] = k;
    }
    for (uint32_t i = 0; status == NM_OK && i < count; i++) {
        const nm_frenet at = samples[i].states[best[i]].at;
        if (i == 0)
            status = nm_route_add_leg(legs, at.lane, -1.0f, error);
        else if (at.lane != legs->items[legs->count - 1].lane)
            status = bridge(scene->map, samples[i - 1].states[best[i - 1]].at, at, legs, error);
    }
    free(samples);
    free(best);
    return status;
}
