/// Shortest routes on the lane graph (Dijkstra 1959) with a binary heap.
///
/// The cost of a lane is counted from its start: following it to a successor costs its length, changing to a lane
/// beside it costs the change only, since the two run side by side. Ties go to the lower lane index.
#include "base/arena.h"
#include "sim/map_private.h"

typedef struct entry {
    double cost;
    uint32_t lane;
} entry;

typedef struct search {
    const nm_map *map;
    double *cost;     // [lanes] best known, INFINITY = not seen
    uint32_t *before; // [lanes] lane it was reached from
    uint8_t *done;    // [lanes]
    entry *heap;      // stale entries stay in until they come up
    size_t count;
    int drivable_only;
} search;

static int cheaper(const entry *a, const entry *b) {
    return a->cost < b->cost || (a->cost == b->cost && a->lane < b->lane);
}

static void push(search *s, entry e) {
    size_t at = s->count++;
    while (at > 0 && cheaper(&e, &s->heap[(at - 1) / 2])) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = e;
}

static entry pop(search *s) {
    entry top = s->heap[0], last = s->heap[--s->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= s->count) break;
        if (child + 1 < s->count && cheaper(&s->heap[child + 1], &s->heap[child])) child++;
        if (!cheaper(&s->heap[child], &last)) break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    return top;
}

static void relax(search *s, uint32_t from, uint32_t to, double cost) {
    if (s->done[to] || cost >= s->cost[to]) return;
    if (s->drivable_only && !nm_lane_type_drivable((nm_lane_type)s->map->lanes[to].type)) return;
    s->cost[to] = cost;
    s->before[to] = from;
    push(s, (entry){cost, to});
}

static void relax_neighbours(search *s, uint32_t lane, nm_range range, double cost) {
    for (uint32_t k = range.first; k < range.first + range.count; k++) {
        const nm_neighbour *n = &s->map->neighbours[k];
        if (!n->opposite && n->may_change) relax(s, lane, n->lane, cost);
    }
}

static void run(search *s, uint32_t from, uint32_t to, double change_cost) {
    const nm_map *map = s->map;
    for (uint32_t i = 0; i < map->lane_count; i++) s->cost[i] = INFINITY;
    memset(s->done, 0, map->lane_count);
    s->cost[from] = 0.0;
    s->before[from] = NM_NONE;
    push(s, (entry){0.0, from});
    while (s->count) {
        entry e = pop(s);
        if (s->done[e.lane]) continue;
        s->done[e.lane] = 1;
        if (e.lane == to) return;
        const nm_lane *lane = &map->lanes[e.lane];
        for (uint32_t k = lane->successors.first; k < lane->successors.first + lane->successors.count; k++) {
            relax(s, e.lane, map->lane_refs[k], e.cost + (double)lane->length);
        }
        relax_neighbours(s, e.lane, lane->left, e.cost + change_cost);
        relax_neighbours(s, e.lane, lane->right, e.cost + change_cost);
    }
}

/// Writes the lanes from the start to `to`; returns how many, NM_NONE when they do not fit.
static uint32_t trace(const search *s, uint32_t to, uint32_t *lanes, uint32_t max) {
    uint32_t count = 0;
    for (uint32_t lane = to; lane != NM_NONE; lane = s->before[lane]) count++;
    if (count > max) return NM_NONE;
    uint32_t at = count;
    for (uint32_t lane = to; lane != NM_NONE; lane = s->before[lane]) lanes[--at] = lane;
    return count;
}

uint32_t nm_map_route(const nm_map *map, uint32_t from, uint32_t to, float change_cost, uint32_t *lanes, uint32_t max,
                      nm_arena *scratch) {
    NM_ASSERT(from < map->lane_count && to < map->lane_count && change_cost >= 0.0f);
    // every relaxation pushes at most once: successors and neighbours bound the heap
    size_t n = map->lane_count, heap = (size_t)map->lane_ref_count + map->neighbour_count + 1;
    size_t bytes = n * sizeof(double) + heap * sizeof(entry) + n * sizeof(uint32_t) + n;
    nm_arena_mark mark = {0};
    if (scratch) mark = nm_arena_get_mark(scratch);
    char *memory = scratch ? nm_arena_alloc(scratch, bytes, 1, 64) : malloc(bytes);
    if (!memory) return 0;
    search s = {.map = map};
    s.cost = (double *)memory;
    s.heap = (entry *)(s.cost + n);
    s.before = (uint32_t *)(s.heap + heap);
    s.done = (uint8_t *)(s.before + n);
    s.drivable_only = nm_lane_type_drivable((nm_lane_type)map->lanes[from].type) &&
                      nm_lane_type_drivable((nm_lane_type)map->lanes[to].type);
    run(&s, from, to, (double)change_cost);
    uint32_t count = s.cost[to] < INFINITY ? trace(&s, to, lanes, max) : 0;
    if (scratch)
        nm_arena_release(scratch, mark);
    else
        free(memory);
    return count;
}
