/// Which lanes form roads: those side by side, from end to end, with one line between them.
#include "dataset/opendrive_plan.h"

#include <math.h>

#define SAME_LINE 0.005    // m between borders that are one
#define WHOLE 0.5          // m of a lane that may be without its neighbour
#define MOST_ERROR 0.008   // m by which a border of a road of several lanes may be off
#define MAX_LANES 120u     // on one side of a road
#define MAX_PAIRS 1000000u // of points that are compared

void nm_ow_plan_free(nm_ow_plan *plan) {
    nm_pile *piles[] = {&plan->order,   &plan->roads,  &plan->lanes,        &plan->edges,  &plan->junctions,
                        &plan->joint,   &plan->kind,   &plan->hub,          &plan->inside, &plan->source,
                        &plan->number,  &plan->path,   &plan->headings,     &plan->arcs,   &plan->places,
                        &plan->borders, &plan->ranges, &plan->breaks,       &plan->rulers, &plan->written,
                        &plan->exits,   &plan->rows,   &plan->places_right, &plan->drawn,  &plan->kept};
    for (size_t i = 0; i < sizeof piles / sizeof *piles; ++i) nm_pile_free(piles[i]);
}

// --- one line between two lanes --------------------------------------------------------------------------------------

static float segment_distance(nm_vec2 p, nm_vec2 a, nm_vec2 b) {
    float dx = b.x - a.x, dy = b.y - a.y, square = dx * dx + dy * dy;
    float share = square > 0.0f ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / square : 0.0f;
    share = share < 0.0f ? 0.0f : share > 1.0f ? 1.0f : share;
    float ox = p.x - a.x - share * dx, oy = p.y - a.y - share * dy;
    return sqrtf(ox * ox + oy * oy);
}

/// Does every point of `a` lie on the line `b`?
static int lies_on(const nm_vec2 *a, uint32_t a_count, const nm_vec2 *b, uint32_t b_count) {
    for (uint32_t i = 0; i < a_count; ++i) {
        int near = 0;
        for (uint32_t k = 0; !near && k + 1 < b_count; ++k)
            near = segment_distance(a[i], b[k], b[k + 1]) <= (float)SAME_LINE;
        if (!near) return 0;
    }
    return 1;
}

static int near(nm_vec2 a, nm_vec2 b) {
    return fabsf(a.x - b.x) + fabsf(a.y - b.y) <= (float)SAME_LINE;
}

/// Do the lines have the same ends and lie on each other? `turned`: one runs the other way.
static int same_line(const nm_map *map, const nm_vec2 *a, nm_range ra, const nm_vec2 *b, nm_range rb, int turned) {
    (void)map;
    const nm_vec2 *p = a + ra.first, *q = b + rb.first;
    uint32_t n = ra.count, m = rb.count;
    if (!near(p[0], q[turned ? m - 1 : 0]) || !near(p[n - 1], q[turned ? 0 : m - 1])) return 0;
    int paired = n == m;
    for (uint32_t i = 0; paired && i < n; ++i) paired = near(p[i], q[turned ? m - 1 - i : i]);
    if (paired) return 1;
    if ((uint64_t)n * m > MAX_PAIRS) return 0;
    return lies_on(p, n, q, m) && lies_on(q, m, p, n);
}

// --- neighbours ------------------------------------------------------------------------------------------------------

/// The lane that is beside this one the whole way, or NM_NONE.
static uint32_t whole_neighbour(const nm_map *map, uint32_t lane, nm_range range, int opposite) {
    for (uint32_t k = range.first; k < range.first + range.count; ++k) {
        const nm_neighbour *n = &map->neighbours[k];
        float low = n->opposite ? n->other_end : n->other_start, high = n->opposite ? n->other_start : n->other_end;
        if (n->opposite != opposite || n->lane == lane) continue;
        if (n->self_start > (float)WHOLE || n->self_end < map->lanes[lane].length - (float)WHOLE) continue;
        if (low > (float)WHOLE || high < map->lanes[n->lane].length - (float)WHOLE) continue;
        return n->lane;
    }
    return NM_NONE;
}

static int on_motorway(const nm_lane *lane) {
    return lane->type == NM_LANE_FREEWAY;
}

/// Street and freeway are the same kind of lane on another kind of road.
static int same_road(const nm_lane *a, const nm_lane *b) {
    int plain = a->type == NM_LANE_STREET || a->type == NM_LANE_DRIVEWAY || a->type == NM_LANE_UNKNOWN ||
                b->type == NM_LANE_STREET || b->type == NM_LANE_DRIVEWAY || b->type == NM_LANE_UNKNOWN;
    return a->junction == b->junction && !(plain && on_motorway(a) != on_motorway(b));
}

/// The lane on the right that shares a road with this one, or NM_NONE.
static uint32_t right_of(const nm_map *map, uint32_t lane) {
    const nm_lane *a = &map->lanes[lane];
    uint32_t other = whole_neighbour(map, lane, a->right, 0);
    if (other == NM_NONE) return NM_NONE;
    const nm_lane *b = &map->lanes[other];
    if (whole_neighbour(map, other, b->left, 0) != lane || !same_road(a, b)) return NM_NONE;
    return same_line(map, map->right, a->points, map->left, b->points, 0) ? other : NM_NONE;
}

static uint32_t left_of(const nm_map *map, uint32_t lane) {
    uint32_t other = whole_neighbour(map, lane, map->lanes[lane].left, 0);
    return other != NM_NONE && right_of(map, other) == lane ? other : NM_NONE;
}

/// The leftmost lane of the oncoming traffic beside the leftmost lane of a road, or NM_NONE.
static uint32_t oncoming(const nm_map *map, uint32_t lane) {
    const nm_lane *a = &map->lanes[lane];
    uint32_t other = whole_neighbour(map, lane, a->left, 1);
    if (other == NM_NONE || a->junction != NM_NONE) return NM_NONE;
    const nm_lane *b = &map->lanes[other];
    if (whole_neighbour(map, other, b->left, 1) != lane || !same_road(a, b)) return NM_NONE;
    if (left_of(map, other) != NM_NONE) return NM_NONE;
    return same_line(map, map->left, a->points, map->left, b->points, 1) ? other : NM_NONE;
}

// --- roads -----------------------------------------------------------------------------------------------------------

/// Appends the lanes from this one to the right.
static int collect(nm_ow_plan *plan, uint32_t lane, uint32_t *count) {
    for (*count = 0; lane != NM_NONE && *count < MAX_LANES; lane = right_of(plan->map, lane)) {
        nm_ow_lane *info = &NM_AT(plan->lanes, nm_ow_lane, lane);
        uint32_t *at = info->road == NM_NONE ? NM_PUSH(&plan->order, uint32_t, 1) : NULL;
        if (info->road != NM_NONE) return 1; // neighbours that do not agree on who is beside whom
        if (!at) return 0;
        *at = lane;
        info->road = (uint32_t)plan->roads.count; // the one that is being made
        ++*count;
    }
    return 1;
}

/// Makes a road of lanes in plan->order.
static int add_road(nm_ow_plan *plan, nm_range lanes, uint32_t backward) {
    uint32_t index = (uint32_t)plan->roads.count;
    nm_ow_road *road = NM_PUSH(&plan->roads, nm_ow_road, 1);
    if (!road) return 0;
    *road = (nm_ow_road){.lanes = lanes, .backward = backward, .junction = NM_NONE};
    for (uint32_t i = 0; i < lanes.count; ++i) {
        nm_ow_lane *info = &NM_AT(plan->lanes, nm_ow_lane, NM_AT(plan->order, uint32_t, lanes.first + i));
        info->road = index;
        info->place = i;
        info->id = i < backward ? (int32_t)(backward - i) : -(int32_t)(i - backward + 1);
    }
    return 1;
}

/// Lanes that one reference line does for make one road; if they do not, the two directions do, each by itself, or else
/// every lane is a road of its own.
static int add_roads(nm_ow_plan *plan, nm_range lanes, uint32_t backward) {
    double length, error = 0.0;
    nm_ow_road together = {.lanes = lanes, .backward = backward, .junction = NM_NONE};
    if (lanes.count > 1 && !nm_ow_lay_out(plan, &together, &length, &error)) return 0;
    if (error <= MOST_ERROR) return add_road(plan, lanes, backward);
    uint32_t *order = &NM_AT(plan->order, uint32_t, lanes.first);
    if (backward && backward < lanes.count) {
        for (uint32_t i = 0; i < backward / 2; ++i) { // alone, the oncoming lanes are the ones along their road
            uint32_t swapped = order[i];
            order[i] = order[backward - 1 - i];
            order[backward - 1 - i] = swapped;
        }
        return add_roads(plan, (nm_range){lanes.first, backward}, 0) &&
               add_roads(plan, (nm_range){lanes.first + backward, lanes.count - backward}, 0);
    }
    for (uint32_t i = 0; i < lanes.count; ++i) {
        if (!add_road(plan, (nm_range){lanes.first + i, 1}, 0)) return 0;
    }
    return 1;
}

static int make_road(nm_ow_plan *plan, uint32_t lane) {
    const nm_map *map = plan->map;
    uint32_t first = (uint32_t)plan->order.count, backward = 0, forward = 0;
    for (uint32_t steps = 0, next; steps < MAX_LANES && (next = left_of(map, lane)) != NM_NONE; ++steps) {
        if (NM_AT(plan->lanes, nm_ow_lane, next).road != NM_NONE) break;
        lane = next;
    }
    uint32_t other = oncoming(map, lane);
    if (other != NM_NONE && NM_AT(plan->lanes, nm_ow_lane, other).road == NM_NONE && !collect(plan, other, &backward))
        return 0;
    uint32_t *order = backward ? &NM_AT(plan->order, uint32_t, first) : NULL;
    for (uint32_t i = 0; i < backward / 2; ++i) { // the oncoming lane furthest from the centre is the leftmost
        uint32_t swapped = order[i];
        order[i] = order[backward - 1 - i];
        order[backward - 1 - i] = swapped;
    }
    if (!collect(plan, lane, &forward)) return 0;
    return add_roads(plan, (nm_range){first, backward + forward}, backward);
}

int nm_ow_group_lanes(nm_ow_plan *plan) {
    const nm_map *map = plan->map;
    plan->order.count = plan->roads.count = plan->lanes.count = 0;
    nm_ow_lane *lanes = NM_PUSH(&plan->lanes, nm_ow_lane, map->lane_count);
    if (!lanes) return 0;
    for (uint32_t i = 0; i < map->lane_count; ++i) lanes[i] = (nm_ow_lane){.road = NM_NONE};
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        if (lanes[i].road == NM_NONE && !make_road(plan, i)) return 0;
    }
    return 1;
}
