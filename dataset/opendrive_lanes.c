/// Cuts roads into stretches and says what each lane is in each of them.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/opendrive.h"

#define LEAST_CUT 0.5f     // m: changes nearer to another cut than this are taken to be there
#define LEAST_WIDTH 0.3f   // m: what stays narrower is no lane
#define MAX_SIGNALS 10000u // of one road

static nm_status no_memory(const nm_od_build *build) {
    return NM_ERROR(build->error, NM_E_MEMORY, "no memory for the lanes of a document");
}

int nm_od_forward(const nm_od_road *road, const nm_od_lane *lane) {
    return ((lane->id < 0) != road->left_hand) != lane->reversed;
}

int nm_od_is_ring(const nm_od_document *document, const nm_od_road *road) {
    const nm_od_road_link *link = &road->links[1];
    return link->given && !link->junction && &document->roads.at[link->target] == road;
}

// --- cuts ------------------------------------------------------------------------------------------------------------

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int add_cut(nm_od_build *build, double s) {
    double *cut = NM_OD_NEW(build->cuts);
    if (cut) *cut = s;
    return cut != NULL;
}

static int cut_at_lane(nm_od_build *build, const nm_od_section *section, const nm_od_lane *lane) {
    const nm_od_document *d = build->document;
    for (uint32_t i = 0; i < lane->marks.count; ++i) {
        const nm_od_mark *mark = &d->marks.at[lane->marks.first + i];
        int same = i && mark->marking == mark[-1].marking && mark->colour == mark[-1].colour;
        if (!same && !add_cut(build, section->s + mark->s)) return 0;
    }
    for (uint32_t i = 0; i < lane->speeds.count; ++i) {
        const nm_od_speed *speed = &d->speeds.at[lane->speeds.first + i];
        if ((i == 0 || speed->max != speed[-1].max) && !add_cut(build, section->s + speed->s)) return 0;
    }
    return 1;
}

/// Limits hold from their sign on. What rules traffic in the middle of a road rules the end of the lane before it.
static int cut_at_signals(nm_od_build *build, const nm_od_road *road) {
    const nm_od_document *d = build->document;
    for (uint32_t i = 0; i < road->signals.count; ++i) {
        const nm_od_signal *signal = &d->signals.at[road->signals.first + i];
        nm_od_meaning meaning = (nm_od_meaning)signal->meaning;
        int stops = meaning == NM_OD_MEANS_LIGHT || meaning == NM_OD_MEANS_STOP || meaning == NM_OD_MEANS_YIELD;
        double to_end = signal->orientation < 0 ? signal->s : road->length - signal->s;
        int middle = stops && road->junction == NM_NONE && to_end > NM_OD_END_REACH;
        if ((middle || meaning == NM_OD_MEANS_SPEED) && !add_cut(build, signal->s)) return 0;
    }
    return 1;
}

/// Where anything changes within one section of a road, in order.
static int find_cuts(nm_od_build *build, const nm_od_road *road, const nm_od_section *section, double end) {
    const nm_od_document *d = build->document;
    build->cuts.count = 0;
    for (uint32_t i = 0; i < section->lanes.count; ++i) {
        if (!cut_at_lane(build, section, &d->lanes.at[section->lanes.first + i])) return 0;
    }
    for (uint32_t i = 1; i < road->types.count; ++i) {
        const nm_od_speed *type = &d->types.at[road->types.first + i];
        int same = type->type == type[-1].type && type->max == type[-1].max;
        if (!same && !add_cut(build, type->s)) return 0;
    }
    if (!cut_at_signals(build, road)) return 0;
    // a lane of the map cannot follow itself: a ring is two
    if (nm_od_is_ring(d, road) && !add_cut(build, 0.5 * road->length)) return 0;
    if (build->cuts.count) qsort(build->cuts.at, build->cuts.count, sizeof *build->cuts.at, ascending);
    uint32_t kept = 0;
    double last = section->s;
    for (uint32_t i = 0; i < build->cuts.count; ++i) {
        double cut = build->cuts.at[i];
        if (cut - last < (double)LEAST_CUT || end - cut < (double)LEAST_CUT) continue;
        build->cuts.at[kept++] = last = cut;
    }
    build->cuts.count = kept;
    return add_cut(build, end);
}

// --- pieces ----------------------------------------------------------------------------------------------------------

static nm_marking swap_pair(nm_marking marking) {
    if (marking == NM_MARKING_SOLID_DASHED) return NM_MARKING_DASHED_SOLID;
    return marking == NM_MARKING_DASHED_SOLID ? NM_MARKING_SOLID_DASHED : marking;
}

/// The marking on a border, seen along s: of a mixed pair the left line first. The lines of a pair are listed from
/// inside to outside, which is from right to left on the left side of the road.
static void marking_of(const nm_od_document *d, const nm_od_section *section, uint32_t border, double s,
                       uint8_t *marking, uint8_t *colour) {
    const nm_od_lane *lane = &d->lanes.at[section->lanes.first + border];
    *marking = NM_MARKING_UNKNOWN;
    *colour = NM_COLOUR_UNKNOWN;
    for (uint32_t i = lane->marks.count; i-- > 0;) {
        const nm_od_mark *mark = &d->marks.at[lane->marks.first + i];
        if (section->s + mark->s > s) continue;
        *marking = border < section->centre ? (uint8_t)swap_pair((nm_marking)mark->marking) : mark->marking;
        *colour = mark->colour;
        return;
    }
}

static void set_markings(const nm_od_document *d, const nm_od_section *section, double s, nm_od_piece *piece) {
    uint8_t marks[2], colours[2];
    for (uint32_t i = 0; i < 2; ++i) marking_of(d, section, piece->left_border + i, s, &marks[i], &colours[i]);
    int forward = (piece->flags & NM_OD_FORWARD) != 0;
    piece->left_marking = forward ? marks[0] : (uint8_t)swap_pair((nm_marking)marks[1]);
    piece->right_marking = forward ? marks[1] : (uint8_t)swap_pair((nm_marking)marks[0]);
    piece->left_colour = colours[forward ? 0 : 1];
    piece->right_colour = colours[forward ? 1 : 0];
}

static const nm_od_speed *speed_at(const nm_od_speed *speeds, nm_range range, double s) {
    for (uint32_t i = range.count; i-- > 0;) {
        if (speeds[range.first + i].s <= s) return &speeds[range.first + i];
    }
    return NULL;
}

/// The last limit sign that a driver has passed on this road.
static double posted_speed(const nm_od_build *build, const nm_od_road *road, const nm_od_lane *lane, int forward,
                           double s) {
    const nm_od_document *d = build->document;
    double nearest = 1e9, speed = 0.0;
    for (uint32_t i = 0; i < road->signals.count; ++i) {
        const nm_od_signal *signal = &d->signals.at[road->signals.first + i];
        double passed = forward ? s - signal->s : signal->s - s;
        if (signal->meaning != NM_OD_MEANS_SPEED || passed < 0.0 || passed >= nearest) continue;
        if (!nm_od_signal_holds(d, signal, lane, forward)) continue;
        nearest = passed;
        speed = nm_od_sign_speed(&d->signals.at[signal->meant]);
    }
    return speed;
}

static nm_lane_type lane_type(nm_od_lane_kind kind, const nm_od_speed *type) {
    switch (kind) {
    case NM_OD_LANE_RAMP:
        return NM_LANE_RAMP;
    case NM_OD_LANE_BUS:
        return NM_LANE_BUS;
    case NM_OD_LANE_BIKE:
        return NM_LANE_BIKE;
    case NM_OD_LANE_SIDEWALK:
        return NM_LANE_SIDEWALK;
    case NM_OD_LANE_SHOULDER:
        return NM_LANE_SHOULDER;
    default:
        return type ? (nm_lane_type)type->type : NM_LANE_STREET;
    }
}

/// Length of the centreline and the widest place.
static void measure(const nm_od_build *build, const nm_od_stretch *stretch, nm_od_piece *piece) {
    double length = 0.0, widest = 0.0, x = 0.0, y = 0.0;
    for (uint32_t row = 0; row < stretch->rows; ++row) {
        const nm_point3 *l = nm_od_border(build, stretch, row, piece->left_border), *r = l + 1;
        double cx = 0.5 * (l->x + r->x), cy = 0.5 * (l->y + r->y);
        if (row) length += sqrt((cx - x) * (cx - x) + (cy - y) * (cy - y));
        widest = fmax(widest, sqrt((l->x - r->x) * (l->x - r->x) + (l->y - r->y) * (l->y - r->y)));
        x = cx;
        y = cy;
    }
    piece->length = (float)length;
    piece->width = (float)widest;
}

static void describe(nm_od_build *build, const nm_od_stretch *stretch, uint32_t place, nm_od_piece *piece) {
    const nm_od_document *d = build->document;
    const nm_od_road *road = &d->roads.at[stretch->road];
    const nm_od_section *section = &d->sections.at[stretch->section];
    const nm_od_lane *lane = &d->lanes.at[section->lanes.first + place];
    int forward = nm_od_forward(road, lane);
    double middle = 0.5 * (stretch->start + stretch->end);
    piece->lane = section->lanes.first + place;
    piece->place = place;
    piece->next = piece->chain = NM_NONE;
    piece->left_border = place < section->centre ? place : place - 1;
    if (place == section->centre || lane->kind == NM_OD_LANE_OTHER) return;
    measure(build, stretch, piece);
    if (piece->width < LEAST_WIDTH || piece->length < 0.01f) return;
    const nm_od_speed *own = speed_at(d->speeds.at, lane->speeds, middle - section->s);
    const nm_od_speed *type = speed_at(d->types.at, road->types, middle);
    double limit = own ? own->max : type ? type->max : 0.0;
    if (limit == 0.0) limit = posted_speed(build, road, lane, forward, middle);
    piece->flags = (uint8_t)(NM_OD_USED | (forward ? NM_OD_FORWARD : 0));
    piece->speed = (float)limit;
    piece->type = (uint8_t)lane_type((nm_od_lane_kind)lane->kind, type);
    piece->bidirectional = lane->kind == NM_OD_LANE_BOTH_WAYS;
    set_markings(d, section, middle, piece);
}

static nm_status make_stretch(nm_od_build *build, uint32_t road, uint32_t section, double start, double end) {
    nm_od_stretch *stretch = NM_OD_NEW(build->stretches);
    if (!stretch) return no_memory(build);
    *stretch = (nm_od_stretch){.start = start, .end = end, .road = road, .section = section};
    nm_status status = nm_od_sample(build, stretch);
    if (status != NM_OK) return status;
    stretch->first_piece = build->pieces.count;
    for (uint32_t place = 0; place < stretch->border_count; ++place) {
        nm_od_piece *piece = NM_OD_NEW(build->pieces);
        if (!piece) return no_memory(build);
        piece->stretch = build->stretches.count - 1;
        describe(build, stretch, place, piece);
    }
    return NM_OK;
}

static nm_status cut_road(nm_od_build *build, uint32_t index) {
    const nm_od_document *d = build->document;
    const nm_od_road *road = &d->roads.at[index];
    nm_range *stretches = NM_OD_NEW(build->road_stretches);
    nm_status status = stretches ? NM_OK : no_memory(build);
    uint32_t first = build->stretches.count;
    if (road->signals.count > MAX_SIGNALS)
        return NM_ERROR_AT(build->error, NM_E_LIMIT, build->name, road->line, -1, "a road with more than %u signals",
                           MAX_SIGNALS);
    for (uint32_t i = 0; status == NM_OK && i < road->sections.count; ++i) {
        const nm_od_section *section = &d->sections.at[road->sections.first + i];
        double start = section->s, end = i + 1 < road->sections.count ? section[1].s : road->length;
        end = fmin(end, road->length);
        if (end - start < 1e-3) continue; // behind the end, or rounding
        if (!find_cuts(build, road, section, end)) return no_memory(build);
        for (uint32_t k = 0; status == NM_OK && k < build->cuts.count; ++k) {
            status = make_stretch(build, index, road->sections.first + i, start, build->cuts.at[k]);
            start = build->cuts.at[k];
        }
    }
    if (status == NM_OK) *stretches = (nm_range){first, build->stretches.count - first};
    return status;
}

nm_status nm_od_make_pieces(nm_od_build *build) {
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < build->document->roads.count; ++i) {
        status = cut_road(build, i);
        if (status == NM_OK && build->pieces.count > 4u * (uint64_t)build->limits->max_lanes)
            status = NM_ERROR_AT(build->error, NM_E_LIMIT, build->name, 0, -1, "more than %u lanes",
                                 build->limits->max_lanes);
    }
    return status;
}
