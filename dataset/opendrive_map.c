/// From chains to lanes of a map, with neighbours, controls, signals, signs and crosswalks.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/opendrive.h"

#define CROSSWALK_CORNERS 4u

/// What one lane's definition points at; emptied for each.
typedef struct outline {
    NM_OD_ARRAY(nm_point3) left;
    NM_OD_ARRAY(nm_point3) right;
    NM_OD_ARRAY(nm_neighbour_def) beside[2];
    NM_OD_ARRAY(int64_t) ids;
} outline;

static nm_status no_memory(const nm_od_build *build) {
    return NM_ERROR(build->error, NM_E_MEMORY, "no memory for the map of a document");
}

static int64_t lane_id(uint32_t chain) {
    return (int64_t)chain + 1;
}

// --- borders ---------------------------------------------------------------------------------------------------------

static int same_place(const nm_point3 *a, const nm_point3 *b) {
    return fabs(a->x - b->x) + fabs(a->y - b->y) < 1e-6;
}

static int add_points(const nm_od_build *build, const nm_od_piece *piece, outline *out) {
    const nm_od_stretch *stretch = &build->stretches.at[piece->stretch];
    int forward = (piece->flags & NM_OD_FORWARD) != 0;
    for (uint32_t k = 0; k < stretch->rows; ++k) {
        const nm_point3 *row = nm_od_border(build, stretch, forward ? k : stretch->rows - 1 - k, piece->left_border);
        const nm_point3 *l = &row[forward ? 0 : 1], *r = &row[forward ? 1 : 0];
        // the first row of a piece is the last one of the piece before
        if (out->left.count && same_place(l, NM_OD_LAST(out->left)) && same_place(r, NM_OD_LAST(out->right))) continue;
        nm_point3 *left = NM_OD_NEW(out->left), *right = left ? NM_OD_NEW(out->right) : NULL;
        if (!right) return 0;
        *left = *l;
        *right = *r;
    }
    return 1;
}

// --- neighbours ------------------------------------------------------------------------------------------------------

static double width_at(const nm_od_build *build, const nm_od_stretch *stretch, uint32_t row, uint32_t border) {
    const nm_point3 *l = nm_od_border(build, stretch, row, border), *r = l + 1;
    return sqrt((l->x - r->x) * (l->x - r->x) + (l->y - r->y) * (l->y - r->y));
}

/// The next lane of the map on the left (seen along s) or right; lanes without width in between do not count.
static const nm_od_piece *piece_beside(const nm_od_build *build, const nm_od_piece *piece, int left) {
    const nm_od_stretch *stretch = &build->stretches.at[piece->stretch];
    uint32_t centre = build->document->sections.at[stretch->section].centre;
    for (uint32_t place = piece->place; left ? place > 0 : place + 1 < stretch->border_count;) {
        place = left ? place - 1 : place + 1;
        if (place == centre) continue;
        const nm_od_piece *other = &build->pieces.at[stretch->first_piece + place];
        if (other->flags & NM_OD_USED) return other;
        for (uint32_t row = 0; row < stretch->rows; ++row) {
            if (width_at(build, stretch, row, other->left_border) > 0.05) return NULL;
        }
    }
    return NULL;
}

/// m along the piece's centreline, with s, at a row.
static double along(const nm_od_build *build, const nm_od_piece *piece, uint32_t row) {
    const nm_od_stretch *stretch = &build->stretches.at[piece->stretch];
    double length = 0.0;
    for (uint32_t k = 1; k <= row; ++k) {
        const nm_point3 *a = nm_od_border(build, stretch, k - 1, piece->left_border);
        const nm_point3 *b = nm_od_border(build, stretch, k, piece->left_border);
        double dx = 0.5 * (b[0].x + b[1].x - a[0].x - a[1].x), dy = 0.5 * (b[0].y + b[1].y - a[0].y - a[1].y);
        length += sqrt(dx * dx + dy * dy);
    }
    return length;
}

/// Where a row lies along the chain of a piece.
static double chain_place(const nm_od_build *build, const nm_od_piece *piece, uint32_t row) {
    double s = along(build, piece, row);
    return (double)piece->chain_s + (piece->flags & NM_OD_FORWARD ? s : (double)piece->length - s);
}

/// Lanes are beside each other where both have half their width at least: a lane that opens is none at its tip.
static int common_rows(const nm_od_build *build, const nm_od_piece *a, const nm_od_piece *b, uint32_t *first,
                       uint32_t *last) {
    const nm_od_stretch *stretch = &build->stretches.at[a->stretch];
    *first = NM_NONE;
    *last = 0;
    for (uint32_t row = 0; row < stretch->rows; ++row) {
        if (width_at(build, stretch, row, a->left_border) < 0.5 * (double)a->width ||
            width_at(build, stretch, row, b->left_border) < 0.5 * (double)b->width)
            continue;
        if (*first == NM_NONE) *first = row;
        *last = row;
    }
    return *first != NM_NONE && *last > *first;
}

/// Adds the stretch beside a piece, or lengthens the last one where it goes on.
static int add_beside(const nm_od_build *build, const nm_od_piece *piece, int driver_side, outline *out) {
    int forward = (piece->flags & NM_OD_FORWARD) != 0;
    const nm_od_piece *other = piece_beside(build, piece, driver_side == 0 ? forward : !forward);
    uint32_t first, last;
    if (!other || !common_rows(build, piece, other, &first, &last)) return 1;
    int opposite = ((piece->flags ^ other->flags) & NM_OD_FORWARD) != 0;
    uint32_t begin = forward ? first : last, end = forward ? last : first;
    nm_neighbour_def def = {.lane = lane_id(other->chain),
                            .opposite = opposite,
                            .self_start = chain_place(build, piece, begin),
                            .self_end = chain_place(build, piece, end),
                            .other_start = chain_place(build, other, begin),
                            .other_end = chain_place(build, other, end)};
    if (out->beside[driver_side].count) {
        nm_neighbour_def *before = NM_OD_LAST(out->beside[driver_side]);
        if (before->lane == def.lane && fabs(before->self_end - def.self_start) < 0.01) {
            before->self_end = def.self_end;
            before->other_end = def.other_end;
            return 1;
        }
    }
    nm_neighbour_def *at = NM_OD_NEW(out->beside[driver_side]);
    if (at) *at = def;
    return at != NULL;
}

// --- lanes -----------------------------------------------------------------------------------------------------------

static int add_ids(const nm_od_build *build, nm_range range, outline *out) {
    for (uint32_t i = 0; i < range.count; ++i) {
        int64_t *id = NM_OD_NEW(out->ids);
        if (!id) return 0;
        *id = lane_id(build->targets.at[range.first + i]);
    }
    return 1;
}

static nm_status add_lane(const nm_od_build *build, nm_map_builder *builder, uint32_t index, outline *out) {
    const nm_od_document *d = build->document;
    const nm_od_chain *chain = &build->chains.at[index];
    const nm_od_piece *first = &build->pieces.at[chain->first], *last = &build->pieces.at[chain->last];
    const nm_od_road *road = &d->roads.at[build->stretches.at[first->stretch].road];
    out->left.count = out->right.count = out->beside[0].count = out->beside[1].count = out->ids.count = 0;
    for (uint32_t p = chain->first; p != NM_NONE; p = build->pieces.at[p].next) {
        const nm_od_piece *piece = &build->pieces.at[p];
        if (!add_points(build, piece, out) || !add_beside(build, piece, 0, out) || !add_beside(build, piece, 1, out))
            return no_memory(build);
    }
    if (!add_ids(build, chain->successors, out) || !add_ids(build, chain->predecessors, out)) return no_memory(build);
    nm_lane_def def = nm_lane_def_default();
    def.id = lane_id(index);
    def.line = d->lanes.at[first->lane].line;
    def.left = out->left.at;
    def.right = out->right.at;
    def.point_count = out->left.count;
    def.speed_limit = (double)first->speed;
    def.type = (nm_lane_type)first->type;
    def.control = (nm_control_kind)last->control;
    def.flags = first->bidirectional ? NM_LANE_BIDIRECTIONAL : 0;
    def.left_marking = (nm_marking)first->left_marking;
    def.right_marking = (nm_marking)first->right_marking;
    def.left_colour = (nm_colour)first->left_colour;
    def.right_colour = (nm_colour)first->right_colour;
    if (road->junction != NM_NONE) {
        def.flags |= NM_LANE_JUNCTION;
        def.junction = road->junction;
    }
    def.successors = out->ids.at;
    def.successor_count = chain->successors.count;
    def.predecessors = out->ids.at ? out->ids.at + chain->successors.count : NULL;
    def.predecessor_count = chain->predecessors.count;
    def.left_neighbours = out->beside[0].at;
    def.left_neighbour_count = out->beside[0].count;
    def.right_neighbours = out->beside[1].at;
    def.right_neighbour_count = out->beside[1].count;
    def.stop_line = chain->has_stop ? chain->stop : NULL;
    return nm_map_builder_add_lane(builder, &def, build->error);
}

// --- signals and signs -----------------------------------------------------------------------------------------------

/// The chains whose ends a signal rules: rulings [first, end), by piece. The same one may be named twice.
static nm_status ruled_lanes(const nm_od_build *build, uint32_t first, uint32_t end, outline *out) {
    out->ids.count = 0;
    for (uint32_t i = first; i < end; ++i) {
        const nm_od_ruling *ruling = &build->rulings.at[i];
        if (i > first && ruling->piece == ruling[-1].piece) continue;
        int64_t *id = NM_OD_NEW(out->ids);
        if (!id) return no_memory(build);
        *id = lane_id(build->pieces.at[ruling->piece].chain);
    }
    return NM_OK;
}

static uint32_t road_of_signal(const nm_od_document *d, uint32_t signal) {
    uint32_t low = 0, high = d->roads.count; // ranges of signals rise with the roads
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (d->roads.at[middle].signals.first <= signal)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static nm_status add_ruling(nm_od_build *build, nm_map_builder *builder, uint32_t index, uint32_t piece, int64_t id,
                            const outline *out) {
    const nm_od_document *d = build->document;
    const nm_od_signal *signal = &d->signals.at[index];
    nm_point3 position = signal->placed
                             ? signal->place
                             : nm_od_place(d, &d->roads.at[road_of_signal(d, index)], signal->s, signal->t, NULL);
    int walk = signal->meaning == NM_OD_MEANS_WALK_LIGHT;
    if (walk || signal->meaning == NM_OD_MEANS_LIGHT) {
        nm_phase phases[NM_OD_PHASES];
        uint32_t offset = 0;
        if (!walk) nm_od_light_program(build, piece, phases, &offset);
        build->assumed_programs += !walk;
        nm_signal_def def = {.id = id,
                             .line = signal->line,
                             .position = &position,
                             .phases = walk ? NULL : phases,
                             .phase_count = walk ? 0 : NM_OD_PHASES,
                             .phase_offset = offset,
                             .cycle_dt = NM_OD_CYCLE_DT,
                             .lanes = out->ids.at,
                             .lane_count = out->ids.count};
        return nm_map_builder_add_signal(builder, &def, build->error);
    }
    nm_sign_def def = {.id = id,
                       .line = signal->line,
                       .code = signal->code,
                       .position = &position,
                       .lanes = out->ids.at,
                       .lane_count = out->ids.count};
    return nm_map_builder_add_sign(builder, &def, build->error);
}

static nm_status add_signals(nm_od_build *build, nm_map_builder *builder, int64_t *id, outline *out) {
    nm_status status = NM_OK;
    for (uint32_t first = 0, end; status == NM_OK && first < build->rulings.count; first = end) {
        uint32_t signal = build->rulings.at[first].signal;
        for (end = first; end < build->rulings.count && build->rulings.at[end].signal == signal;) ++end;
        status = ruled_lanes(build, first, end, out);
        if (status == NM_OK) status = add_ruling(build, builder, signal, build->rulings.at[first].piece, (*id)++, out);
    }
    return status;
}

// --- crosswalks ------------------------------------------------------------------------------------------------------

/// Corners are given on the road, or in a frame at the object's place, turned by its heading from the road's.
static nm_status add_crosswalk(const nm_od_build *build, nm_map_builder *builder, const nm_od_road *road,
                               const nm_od_object *object, int64_t id, outline *out) {
    const nm_od_document *d = build->document;
    double hdg;
    nm_point3 at = nm_od_place(d, road, object->s, object->t, &hdg);
    double c = cos(hdg + object->hdg), s = sin(hdg + object->hdg);
    nm_od_corner box[CROSSWALK_CORNERS];
    for (int i = 0; i < 4; ++i)
        box[i] =
            (nm_od_corner){(i == 0 || i == 3 ? 0.5 : -0.5) * object->length, (i < 2 ? 0.5 : -0.5) * object->width, 1};
    const nm_od_corner *corners = object->corners.count >= 3 ? &d->corners.at[object->corners.first] : box;
    uint32_t count = object->corners.count >= 3 ? object->corners.count : CROSSWALK_CORNERS;
    out->left.count = 0;
    for (uint32_t i = 0; i < count; ++i) {
        nm_point3 *point = NM_OD_NEW(out->left);
        if (!point) return no_memory(build);
        *point = corners[i].local ? (nm_point3){at.x + corners[i].a * c - corners[i].b * s,
                                                at.y + corners[i].a * s + corners[i].b * c, at.z}
                                  : nm_od_place(d, road, corners[i].a, corners[i].b, NULL);
    }
    return nm_map_builder_add_area(builder, id, NM_AREA_CROSSWALK, out->left.at, out->left.count, build->error);
}

static nm_status add_crosswalks(const nm_od_build *build, nm_map_builder *builder, int64_t *id, outline *out) {
    const nm_od_document *d = build->document;
    nm_status status = NM_OK;
    for (uint32_t r = 0; r < d->roads.count; ++r) {
        const nm_od_road *road = &d->roads.at[r];
        for (uint32_t i = 0; status == NM_OK && i < road->objects.count; ++i)
            status = add_crosswalk(build, builder, road, &d->objects.at[road->objects.first + i], (*id)++, out);
    }
    return status;
}

nm_status nm_od_build_map(nm_od_build *build, nm_map_builder *builder, const nm_map **map) {
    outline out = {0};
    int64_t id = lane_id(build->chains.count);
    nm_map_builder_reset(builder);
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < build->chains.count; ++i) status = add_lane(build, builder, i, &out);
    if (status == NM_OK) status = add_signals(build, builder, &id, &out);
    if (status == NM_OK) status = add_crosswalks(build, builder, &id, &out);
    if (status == NM_OK) status = nm_map_builder_build(builder, map, build->error);
    free(out.left.at);
    free(out.right.at);
    free(out.beside[0].at);
    free(out.beside[1].at);
    free(out.ids.at);
    return status;
}
