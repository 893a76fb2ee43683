/// Which piece leads into which, and the chains of pieces that are one lane of the map.
#include <math.h>
#include <stdlib.h>

#include "dataset/opendrive.h"

#define FARTHEST_LINK 10.0 // m between the ends of linked lanes: more is no road but a mistake
#define LONGEST_STUB 0.1   // m: a connecting road that is no place, only a link
#define MOST_EDGES (UINT32_C(1) << 23)
#define LEAST_JOINT 0.1  // m: lanes that begin or end in a point are not entered there
#define LARGEST_STEP 0.3 // m by which a border may jump inside a lane of the map

static nm_status no_memory(const nm_od_build *build) {
    return NM_ERROR(build->error, NM_E_MEMORY, "no memory for the links of a document");
}

// --- ends ------------------------------------------------------------------------------------------------------------

typedef struct lane_end {
    double x, y, width;
} lane_end;

static lane_end end_of(const nm_od_build *build, const nm_od_piece *piece, int at_end) {
    const nm_od_stretch *stretch = &build->stretches.at[piece->stretch];
    const nm_point3 *l = nm_od_border(build, stretch, at_end ? stretch->rows - 1 : 0, piece->left_border), *r = l + 1;
    double dx = l->x - r->x, dy = l->y - r->y;
    return (lane_end){0.5 * (l->x + r->x), 0.5 * (l->y + r->y), sqrt(dx * dx + dy * dy)};
}

static int road_line(const nm_od_build *build, const nm_od_piece *piece) {
    return build->document->roads.at[build->stretches.at[piece->stretch].road].line;
}

/// On foot one does not get onto the carriageway by following a lane, nor the other way.
static int same_users(const nm_od_piece *a, const nm_od_piece *b) {
    return a->type == b->type ||
           (nm_lane_type_drivable((nm_lane_type)a->type) && nm_lane_type_drivable((nm_lane_type)b->type));
}

/// Links piece `a` at one of its ends with piece `b` at one of its, whichever way they are driven.
static nm_status join(nm_od_build *build, uint32_t a, int a_end, uint32_t b, int b_end) {
    const nm_od_piece *p = &build->pieces.at[a], *q = &build->pieces.at[b];
    if (!(p->flags & NM_OD_USED) || !(q->flags & NM_OD_USED) || !same_users(p, q)) return NM_OK;
    int leaves = (p->flags & NM_OD_FORWARD ? 1 : 0) == a_end, enters = (q->flags & NM_OD_FORWARD ? 1 : 0) != b_end;
    if (leaves != enters) { // both lead to the joint, or away from it
        ++build->dangling;
        return NM_OK;
    }
    lane_end from = end_of(build, p, a_end), to = end_of(build, q, b_end);
    double gap = sqrt((from.x - to.x) * (from.x - to.x) + (from.y - to.y) * (from.y - to.y));
    if (gap > FARTHEST_LINK)
        return NM_ERROR_AT(build->error, NM_E_FORMAT, build->name, road_line(build, p), -1,
                           "lane %d of this road is linked with lane %d of the road in line %d, which begins or ends "
                           "%.1f m from it",
                           build->document->lanes.at[p->lane].id, build->document->lanes.at[q->lane].id,
                           road_line(build, q), gap);
    if (from.width < LEAST_JOINT || to.width < LEAST_JOINT) return NM_OK;
    nm_od_edge *edge = NM_OD_NEW(build->edges);
    if (!edge) return no_memory(build);
    *edge = leaves ? (nm_od_edge){a, b} : (nm_od_edge){b, a};
    return NM_OK;
}

/// The piece of a lane in a stretch, or NM_NONE.
static uint32_t piece_of(const nm_od_build *build, uint32_t stretch_index, int32_t lane_id) {
    const nm_od_stretch *stretch = &build->stretches.at[stretch_index];
    const nm_od_section *section = &build->document->sections.at[stretch->section];
    uint32_t low = 0, high = section->lanes.count; // sorted from left to right: ids fall
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (build->document->lanes.at[section->lanes.first + middle].id > lane_id)
            low = middle + 1;
        else
            high = middle;
    }
    int found = low < section->lanes.count && build->document->lanes.at[section->lanes.first + low].id == lane_id;
    return found ? stretch->first_piece + low : NM_NONE;
}

/// The stretch at an end of a road, or NM_NONE.
static uint32_t end_stretch(const nm_od_build *build, uint32_t road, int at_end) {
    nm_range stretches = build->road_stretches.at[road];
    if (stretches.count == 0) return NM_NONE;
    return at_end ? stretches.first + stretches.count - 1 : stretches.first;
}

// --- links -----------------------------------------------------------------------------------------------------------

/// Follows what the lanes of a stretch say of one of its ends, over which another stretch lies.
static nm_status follow_lane_links(nm_od_build *build, uint32_t from, int at_end, uint32_t to, int to_end) {
    const nm_od_document *d = build->document;
    const nm_od_stretch *stretch = &build->stretches.at[from];
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < stretch->border_count; ++i) {
        uint32_t piece = stretch->first_piece + i;
        const nm_od_lane *lane = &d->lanes.at[build->pieces.at[piece].lane];
        if (!(build->pieces.at[piece].flags & NM_OD_USED)) continue;
        for (uint32_t k = 0; status == NM_OK && k < lane->links.count; ++k) {
            const nm_od_lane_link *link = &d->lane_links.at[lane->links.first + k];
            if (link->successor != at_end) continue;
            uint32_t other = piece_of(build, to, link->lane);
            build->dangling += other == NM_NONE;
            if (other != NM_NONE) status = join(build, piece, at_end, other, to_end);
        }
    }
    return status;
}

static nm_status link_within(nm_od_build *build, uint32_t road) {
    nm_range stretches = build->road_stretches.at[road];
    nm_status status = NM_OK;
    for (uint32_t i = 1; status == NM_OK && i < stretches.count; ++i) {
        uint32_t from = stretches.first + i - 1, to = from + 1;
        const nm_od_stretch *a = &build->stretches.at[from], *b = &build->stretches.at[to];
        if (a->section != b->section) {
            status = follow_lane_links(build, from, 1, to, 0);
            if (status == NM_OK) status = follow_lane_links(build, to, 0, from, 1);
            continue;
        }
        for (uint32_t k = 0; status == NM_OK && k < a->border_count; ++k)
            status = join(build, a->first_piece + k, 1, b->first_piece + k, 0);
    }
    return status;
}

static nm_status link_to_roads(nm_od_build *build, uint32_t index) {
    nm_status status = NM_OK;
    for (int end = 0; status == NM_OK && end < 2; ++end) {
        const nm_od_road_link *link = &build->document->roads.at[index].links[end];
        if (!link->given || link->junction) continue;
        uint32_t from = end_stretch(build, index, end), to = end_stretch(build, link->target, link->at_end);
        if (from != NM_NONE && to != NM_NONE) status = follow_lane_links(build, from, end, to, link->at_end);
    }
    return status;
}

/// Which end of the incoming road a connection begins at: the one that the connecting road names; else the one that
/// leads to the junction; where both do, the nearer one.
static int incoming_end(const nm_od_build *build, uint32_t junction, const nm_od_connection *c) {
    const nm_od_document *d = build->document;
    const nm_od_road *incoming = &d->roads.at[c->incoming], *connecting = &d->roads.at[c->connecting];
    const nm_od_road_link *back = &connecting->links[c->at_end];
    if (!c->direct && back->given && !back->junction && back->target == c->incoming) return back->at_end;
    int leads[2];
    for (int end = 0; end < 2; ++end) {
        const nm_od_road_link *link = &incoming->links[end];
        leads[end] = link->given && link->junction && link->target == junction;
    }
    if (leads[0] != leads[1]) return leads[1];
    nm_point3 joint = nm_od_place(d, connecting, c->at_end ? connecting->length : 0.0, 0.0, NULL);
    nm_point3 start = nm_od_place(d, incoming, 0.0, 0.0, NULL),
              end = nm_od_place(d, incoming, incoming->length, 0.0, NULL);
    double to_start = (start.x - joint.x) * (start.x - joint.x) + (start.y - joint.y) * (start.y - joint.y);
    double to_end = (end.x - joint.x) * (end.x - joint.x) + (end.y - joint.y) * (end.y - joint.y);
    return to_end < to_start;
}

static nm_status link_connection(nm_od_build *build, uint32_t junction, const nm_od_connection *c) {
    const nm_od_document *d = build->document;
    nm_status status = NM_OK;
    if (c->links.count == 0) return NM_OK;
    int end = incoming_end(build, junction, c);
    uint32_t from = end_stretch(build, c->incoming, end), to = end_stretch(build, c->connecting, c->at_end);
    if (from == NM_NONE || to == NM_NONE) return NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < c->links.count; ++i) {
        const nm_od_junction_link *link = &d->junction_links.at[c->links.first + i];
        uint32_t a = piece_of(build, from, link->from), b = piece_of(build, to, link->to);
        build->dangling += a == NM_NONE || b == NM_NONE;
        if (a != NM_NONE && b != NM_NONE) status = join(build, a, end, b, c->at_end);
    }
    return status;
}

static int compare_edges(const void *a, const void *b) {
    const nm_od_edge *x = a, *y = b;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

static int compare_targets(const void *a, const void *b) {
    const nm_od_edge *x = a, *y = b;
    if (x->to != y->to) return x->to < y->to ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

/// Both sides of a joint say the same.
static nm_status merge_edges(nm_od_build *build) {
    uint32_t kept = 0;
    if (build->edges.count == 0) return NM_OK;
    qsort(build->edges.at, build->edges.count, sizeof *build->edges.at, compare_edges);
    for (uint32_t i = 0; i < build->edges.count; ++i) {
        if (kept && compare_edges(&build->edges.at[kept - 1], &build->edges.at[i]) == 0) continue;
        build->edges.at[kept++] = build->edges.at[i];
        nm_od_edge *incoming = NM_OD_NEW(build->incoming);
        if (!incoming) return no_memory(build);
        *incoming = build->edges.at[i];
    }
    build->edges.count = kept;
    qsort(build->incoming.at, kept, sizeof *build->incoming.at, compare_targets);
    return NM_OK;
}

// --- stubs -----------------------------------------------------------------------------------------------------------

static int is_stub(const nm_od_build *build, uint32_t piece) {
    const nm_od_road *road = &build->document->roads.at[build->stretches.at[build->pieces.at[piece].stretch].road];
    return road->junction != NM_NONE && road->length < LONGEST_STUB;
}

/// The first edge that begins at a piece, among the first `count`, which are sorted.
static uint32_t first_edge(const nm_od_build *build, uint32_t piece, uint32_t count) {
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (build->edges.at[middle].from < piece)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/// Connecting roads of a few centimetres are there because OpenDRIVE knows no fork without them: what leads into one
/// leads to what is behind it. Two in a row are not taken for such.
static nm_status skip_stubs(nm_od_build *build) {
    uint32_t count = build->edges.count;
    for (uint32_t i = 0; i < count; ++i) {
        nm_od_edge edge = build->edges.at[i];
        if (!is_stub(build, edge.to) || is_stub(build, edge.from)) continue;
        for (uint32_t k = first_edge(build, edge.to, count); k < count && build->edges.at[k].from == edge.to; ++k) {
            if (is_stub(build, build->edges.at[k].to)) continue;
            if (build->edges.count > MOST_EDGES)
                return NM_ERROR_AT(build->error, NM_E_LIMIT, build->name, 0, -1, "more than %u links between lanes",
                                   MOST_EDGES);
            uint32_t behind = build->edges.at[k].to;
            nm_od_edge *added = NM_OD_NEW(build->edges);
            if (!added) return no_memory(build);
            *added = (nm_od_edge){edge.from, behind};
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < build->edges.count; ++i) {
        nm_od_edge edge = build->edges.at[i];
        if (!is_stub(build, edge.from) && !is_stub(build, edge.to)) build->edges.at[kept++] = edge;
    }
    build->edges.count = kept;
    for (uint32_t i = 0; i < build->pieces.count; ++i) {
        if (is_stub(build, i)) build->pieces.at[i].flags = 0;
    }
    build->incoming.count = 0;
    return merge_edges(build);
}

nm_status nm_od_make_edges(nm_od_build *build) {
    const nm_od_document *d = build->document;
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < d->roads.count; ++i) {
        status = link_within(build, i);
        if (status == NM_OK) status = link_to_roads(build, i);
    }
    for (uint32_t j = 0; status == NM_OK && j < d->junctions.count; ++j) {
        const nm_od_junction *junction = &d->junctions.at[j];
        if (junction->virtual_junction) continue;
        for (uint32_t k = 0; status == NM_OK && k < junction->connections.count; ++k)
            status = link_connection(build, j, &d->connections.at[junction->connections.first + k]);
    }
    if (status == NM_OK) status = merge_edges(build);
    return status == NM_OK ? skip_stubs(build) : status;
}

// --- chains ----------------------------------------------------------------------------------------------------------

/// May `b`, which follows `a` and nothing else, be the same lane of the map?
static int continues(const nm_od_build *build, const nm_od_piece *a, const nm_od_piece *b) {
    int forward = (a->flags & NM_OD_FORWARD) != 0;
    const nm_od_stretch *from_stretch = &build->stretches.at[a->stretch];
    if (from_stretch->road != build->stretches.at[b->stretch].road) return 0;
    if (b->stretch != (forward ? a->stretch + 1 : a->stretch - 1)) return 0;
    if (nm_od_is_ring(build->document, &build->document->roads.at[from_stretch->road])) return 0;
    if ((b->flags & NM_OD_FORWARD) != (a->flags & NM_OD_FORWARD) || (a->flags & NM_OD_RULED)) return 0;
    if (a->type != b->type || a->speed != b->speed || a->bidirectional != b->bidirectional) return 0;
    if (a->left_marking != b->left_marking || a->right_marking != b->right_marking) return 0;
    if (a->left_colour != b->left_colour || a->right_colour != b->right_colour) return 0;
    lane_end from = end_of(build, a, forward), to = end_of(build, b, !forward);
    return fabs(from.x - to.x) + fabs(from.y - to.y) + fabs(from.width - to.width) < LARGEST_STEP;
}

static nm_status add_chain(nm_od_build *build, uint32_t first) {
    nm_od_chain *chain = NM_OD_NEW(build->chains);
    if (!chain) return no_memory(build);
    chain->first = first;
    float s = 0.0f;
    for (uint32_t p = first; p != NM_NONE; p = build->pieces.at[p].next) {
        nm_od_piece *piece = &build->pieces.at[p];
        piece->chain = build->chains.count - 1;
        piece->chain_s = s;
        s += piece->length;
        chain->last = p;
    }
    return NM_OK;
}

/// The chains at the other ends of the edges of a piece: of those that leave it, or those that lead into it.
static nm_status list_targets(nm_od_build *build, uint32_t piece, int leaving, nm_range *range) {
    const nm_od_edge *edges = leaving ? build->edges.at : build->incoming.at;
    uint32_t low = 0, high = build->edges.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((leaving ? edges[middle].from : edges[middle].to) < piece)
            low = middle + 1;
        else
            high = middle;
    }
    range->first = build->targets.count;
    for (; low < build->edges.count && (leaving ? edges[low].from : edges[low].to) == piece; ++low) {
        uint32_t *target = NM_OD_NEW(build->targets);
        if (!target) return no_memory(build);
        *target = build->pieces.at[leaving ? edges[low].to : edges[low].from].chain;
        ++range->count;
    }
    return NM_OK;
}

nm_status nm_od_make_chains(nm_od_build *build) {
    nm_status status = NM_OK;
    // `chain` counts what leads into a piece until chains are made; NM_NONE = 0
    for (uint32_t i = 0; i < build->edges.count; ++i) ++build->pieces.at[build->edges.at[i].to].chain;
    for (uint32_t i = 0; i < build->edges.count; ++i) {
        const nm_od_edge *edge = &build->edges.at[i];
        int alone = (i == 0 || edge[-1].from != edge->from) &&
                    (i + 1 == build->edges.count || edge[1].from != edge->from) &&
                    build->pieces.at[edge->to].chain == 0;
        nm_od_piece *from = &build->pieces.at[edge->from];
        if (alone && continues(build, from, &build->pieces.at[edge->to])) from->next = edge->to;
    }
    for (uint32_t i = 0; i < build->pieces.count; ++i) build->pieces.at[i].chain = NM_NONE;
    for (uint32_t i = 0; i < build->pieces.count; ++i) { // what is carried on is no start of a chain: 0 marks it
        if (build->pieces.at[i].next != NM_NONE) build->pieces.at[build->pieces.at[i].next].chain = 0;
    }
    for (uint32_t i = 0; status == NM_OK && i < build->pieces.count; ++i) {
        const nm_od_piece *piece = &build->pieces.at[i];
        // a piece in the middle of a chain made before has its number; one that waits for its chain has 0 and is
        // reached from its start
        if ((piece->flags & NM_OD_USED) && piece->chain == NM_NONE) status = add_chain(build, i);
    }
    if (status == NM_OK && build->chains.count > build->limits->max_lanes)
        status =
            NM_ERROR_AT(build->error, NM_E_LIMIT, build->name, 0, -1, "more than %u lanes", build->limits->max_lanes);
    for (uint32_t c = 0; status == NM_OK && c < build->chains.count; ++c) {
        nm_od_chain *chain = &build->chains.at[c];
        status = list_targets(build, chain->last, 1, &chain->successors);
        if (status == NM_OK) status = list_targets(build, chain->first, 0, &chain->predecessors);
    }
    return status;
}
