/// How the roads of a plan hang together.
///
/// Every road has two ends. Ends that traffic passes between, directly or by way of others, form a joint. A joint of
/// two ends whose lanes lead into one another one to one is a link between two roads. A joint where one road (the hub)
/// meets connecting roads of one junction is an entry or exit of that junction. Any other one becomes a direct
/// junction, and roads of it that could have been connecting roads are plain ones; since that changes their other end,
/// this goes on until nothing changes.
#include "dataset/opendrive_plan.h"

enum { JOINT_NONE = 0, JOINT_PLAIN, JOINT_HUB, JOINT_STUBS };

static uint32_t root_of(uint32_t *joint, uint32_t end) {
    while (joint[end] != end) {
        joint[end] = joint[joint[end]];
        end = joint[end];
    }
    return end;
}

static uint32_t end_of(const nm_ow_plan *plan, uint32_t lane, int leaving) {
    const nm_ow_lane *info = &NM_AT(plan->lanes, nm_ow_lane, lane);
    int forward = info->id < 0;
    return info->road * 2 + (uint32_t)(forward == leaving);
}

static int compare_edges(const void *a, const void *b) {
    const nm_ow_edge *x = a, *y = b;
    if (x->from_end != y->from_end) return x->from_end < y->from_end ? -1 : 1;
    if (x->to_end != y->to_end) return x->to_end < y->to_end ? -1 : 1;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

static int list_edges(nm_ow_plan *plan) {
    const nm_map *map = plan->map;
    plan->edges.count = 0;
    for (uint32_t lane = 0; lane < map->lane_count; ++lane) {
        nm_range successors = map->lanes[lane].successors;
        for (uint32_t k = 0; k < successors.count; ++k) {
            uint32_t to = map->lane_refs[successors.first + k];
            nm_ow_edge *edge = NM_PUSH(&plan->edges, nm_ow_edge, 1);
            if (!edge) return 0;
            *edge = (nm_ow_edge){end_of(plan, lane, 1), end_of(plan, to, 0), lane, to};
        }
    }
    if (plan->edges.count) qsort(plan->edges.data, plan->edges.count, sizeof(nm_ow_edge), compare_edges);
    return 1;
}

static int make_joints(nm_ow_plan *plan) {
    uint32_t ends = 2 * (uint32_t)plan->roads.count;
    plan->joint.count = plan->kind.count = plan->hub.count = plan->inside.count = plan->source.count = 0;
    uint32_t *joint = NM_PUSH(&plan->joint, uint32_t, ends), *hub = NM_PUSH(&plan->hub, uint32_t, ends);
    uint32_t *source = NM_PUSH(&plan->source, uint32_t, plan->roads.count);
    uint8_t *kind = NM_PUSH(&plan->kind, uint8_t, ends);
    uint32_t *inside = NM_PUSH(&plan->inside, uint32_t, ends);
    if (!joint || !hub || !kind || !source || !inside) return 0;
    for (uint32_t i = 0; i < ends; ++i) joint[i] = i;
    for (size_t i = 0; i < plan->edges.count; ++i) {
        const nm_ow_edge *edge = &NM_AT(plan->edges, nm_ow_edge, i);
        uint32_t a = root_of(joint, edge->from_end), b = root_of(joint, edge->to_end);
        joint[a < b ? b : a] = a < b ? a : b;
    }
    for (uint32_t i = 0; i < ends; ++i) joint[i] = root_of(joint, i);
    for (size_t r = 0; r < plan->roads.count; ++r)
        source[r] = plan->map->lanes[nm_ow_lane_of(plan, nm_ow_road_at(plan, (uint32_t)r), 0)].junction;
    return 1;
}

// --- what kind of joint ----------------------------------------------------------------------------------------------

/// 1 when no lane has two partners over the joint. Edges are sorted by ends and lanes: what one lane leads to follows.
static void find_plain(nm_ow_plan *plan) {
    const uint32_t *joint = plan->joint.data;
    uint8_t *kind = plan->kind.data;
    uint32_t ends = (uint32_t)plan->joint.count;
    uint32_t *members = plan->hub.data; // counted here; the hubs are found later
    memset(kind, JOINT_NONE, ends);
    memset(members, 0, ends * sizeof *members);
    for (uint32_t i = 0; i < ends; ++i) ++members[joint[i]];
    for (size_t i = 0; i < plan->edges.count; ++i) {
        const nm_ow_edge *edge = &NM_AT(plan->edges, nm_ow_edge, i);
        const nm_lane *from = &plan->map->lanes[edge->from], *to = &plan->map->lanes[edge->to];
        uint32_t j = joint[edge->from_end];
        int plain = members[j] == 2 && edge->from_end != edge->to_end && from->successors.count == 1 &&
                    to->predecessors.count == 1;
        if (!plain)
            kind[j] = JOINT_HUB; // to be looked at
        else if (kind[j] == JOINT_NONE)
            kind[j] = JOINT_PLAIN;
    }
}

/// Looks at the ends of every joint that is no link: its hub, and the junction of the others.
static void find_hubs(nm_ow_plan *plan) {
    const uint32_t *joint = plan->joint.data, *source = plan->source.data;
    uint32_t *hub = plan->hub.data, *inside = plan->inside.data, ends = (uint32_t)plan->joint.count;
    uint8_t *kind = plan->kind.data;
    for (uint32_t i = 0; i < ends; ++i) hub[i] = inside[i] = NM_NONE;
    for (uint32_t i = 0; i < ends; ++i) {
        uint32_t j = joint[i], *slot = source[i / 2] == NM_NONE ? &hub[j] : &inside[j];
        uint32_t value = source[i / 2] == NM_NONE ? i : source[i / 2];
        if (kind[j] != JOINT_HUB) continue;
        if (*slot != NM_NONE && *slot != value) kind[j] = JOINT_STUBS;
        *slot = value;
    }
    for (size_t i = 0; i < plan->edges.count; ++i) {
        const nm_ow_edge *edge = &NM_AT(plan->edges, nm_ow_edge, i);
        uint32_t j = joint[edge->from_end];
        int over_hub = (edge->from_end == hub[j]) != (edge->to_end == hub[j]);
        if (kind[j] == JOINT_HUB && !over_hub) kind[j] = JOINT_STUBS;
    }
}

/// Roads at joints with stubs cannot be connecting ones, nor those of a junction that nobody enters over a hub. 1 when
/// that changed any.
static int demote(nm_ow_plan *plan) {
    const uint32_t *joint = plan->joint.data, *hub = plan->hub.data;
    const uint8_t *kind = plan->kind.data;
    uint32_t *source = plan->source.data, *entered = plan->number.data;
    int changed = 0;
    for (size_t i = 0; i < plan->number.count; ++i) entered[i] = 0;
    for (size_t i = 0; i < plan->edges.count; ++i) {
        const nm_ow_edge *edge = &NM_AT(plan->edges, nm_ow_edge, i);
        uint32_t j = joint[edge->from_end];
        if (kind[j] == JOINT_HUB && edge->from_end == hub[j]) entered[source[edge->to_end / 2]] = 1;
    }
    for (uint32_t end = 0; end < plan->joint.count; ++end) {
        uint32_t *own = &source[end / 2];
        if (*own == NM_NONE || (kind[joint[end]] != JOINT_STUBS && entered[*own])) continue;
        *own = NM_NONE;
        changed = 1;
    }
    return changed;
}

// --- links -----------------------------------------------------------------------------------------------------------

static int add_junction(nm_ow_plan *plan, int joint, uint32_t *number) {
    nm_ow_junction *junction = NM_PUSH(&plan->junctions, nm_ow_junction, 1);
    if (!junction) return 0;
    *junction = (nm_ow_junction){.joint = joint};
    *number = (uint32_t)plan->junctions.count - 1;
    return 1;
}

/// Numbers the junctions: those of connecting roads in the order of the roads, then the joints.
static int number_junctions(nm_ow_plan *plan) {
    uint32_t *number = plan->number.data, *inside = plan->inside.data;
    const uint32_t *source = plan->source.data, *joint = plan->joint.data;
    const uint8_t *kind = plan->kind.data;
    plan->junctions.count = 0;
    for (size_t i = 0; i < plan->number.count; ++i) number[i] = NM_NONE;
    for (uint32_t r = 0; r < plan->roads.count; ++r) {
        nm_ow_road *road = &NM_AT(plan->roads, nm_ow_road, r);
        if (source[r] == NM_NONE) continue;
        if (number[source[r]] == NM_NONE && !add_junction(plan, 0, &number[source[r]])) return 0;
        road->junction = number[source[r]];
    }
    for (uint32_t end = 0; end < plan->joint.count; ++end) { // of a joint, the least end is its own joint: it is first
        if (joint[end] != end) continue;
        if (kind[end] == JOINT_STUBS && !add_junction(plan, 1, &inside[end])) return 0;
        if (kind[end] == JOINT_HUB) inside[end] = number[inside[end]];
    }
    return 1;
}

static void link_ends(nm_ow_plan *plan) {
    const uint32_t *joint = plan->joint.data, *hub = plan->hub.data, *inside = plan->inside.data;
    const uint8_t *kind = plan->kind.data;
    for (uint32_t end = 0; end < plan->joint.count; ++end) {
        uint32_t j = joint[end];
        nm_ow_link *link = &NM_AT(plan->roads, nm_ow_road, end / 2).links[end % 2];
        if (kind[j] == JOINT_HUB && end != hub[j])
            *link = (nm_ow_link){NM_OW_TO_ROAD, hub[j] / 2, (int)(hub[j] % 2)};
        else if (kind[j] == JOINT_HUB || kind[j] == JOINT_STUBS)
            *link = (nm_ow_link){NM_OW_TO_JUNCTION, inside[j], 0};
    }
    for (size_t i = 0; i < plan->edges.count; ++i) {
        const nm_ow_edge *edge = &NM_AT(plan->edges, nm_ow_edge, i);
        if (kind[joint[edge->from_end]] != JOINT_PLAIN) continue;
        NM_AT(plan->roads, nm_ow_road, edge->from_end / 2).links[edge->from_end % 2] =
            (nm_ow_link){NM_OW_TO_ROAD, edge->to_end / 2, (int)(edge->to_end % 2)};
        NM_AT(plan->roads, nm_ow_road, edge->to_end / 2).links[edge->to_end % 2] =
            (nm_ow_link){NM_OW_TO_ROAD, edge->from_end / 2, (int)(edge->from_end % 2)};
    }
}

int nm_ow_join_roads(nm_ow_plan *plan) {
    plan->number.count = 0;
    if (!NM_PUSH(&plan->number, uint32_t, plan->map->junction_count) || !list_edges(plan) || !make_joints(plan))
        return 0;
    do { // every round takes a connecting road away
        find_plain(plan);
        find_hubs(plan);
    } while (demote(plan));
    if (!number_junctions(plan)) return 0;
    link_ends(plan);
    plan->stubs = 0;
    for (size_t i = 0; i < plan->edges.count; ++i) {
        uint32_t j = NM_AT(plan->joint, uint32_t, NM_AT(plan->edges, nm_ow_edge, i).from_end);
        plan->stubs += NM_AT(plan->kind, uint8_t, j) == JOINT_STUBS;
    }
    return 1;
}
