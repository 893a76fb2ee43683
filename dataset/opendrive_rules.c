/// What signals and signs of OpenDRIVE mean, and which lanes they rule.
///
/// Codes: of the country "OpenDRIVE", 1000001 and 1000008 to 1000020 are lights for vehicles; 1000002, 1000007 and
/// 1000013 those of people on foot and bicycles. Signs have German numbers or MUTCD codes, as in CommonRoad.
///
/// A signal on a road that leads to a junction rules the end of the road's lanes; one on a road through a junction, in
/// its first half, rules the lanes that lead into it; one in the middle of a road rules the end of the lane before it,
/// for which the road has been cut there.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/opendrive.h"

#define NEAR 1.0 // m: a cut made for a signal

static const struct {
    const char *code;
    nm_od_meaning meaning;
} meanings[] = {{"274", NM_OD_MEANS_SPEED},    {"274.1", NM_OD_MEANS_SPEED},  {"R2-1", NM_OD_MEANS_SPEED},
                {"205", NM_OD_MEANS_YIELD},    {"R1-2", NM_OD_MEANS_YIELD},   {"206", NM_OD_MEANS_STOP},
                {"R1-1", NM_OD_MEANS_STOP},    {"301", NM_OD_MEANS_PRIORITY}, {"306", NM_OD_MEANS_PRIORITY},
                {"294", NM_OD_MEANS_STOP_LINE}};

nm_od_meaning nm_od_meaning_of(const nm_od_signal *signal) {
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; ++i) {
        if (strcmp(meanings[i].code, signal->code) == 0) return meanings[i].meaning;
    }
    if (strlen(signal->code) != 7 || memcmp(signal->code, "10000", 5) != 0) return NM_OD_MEANS_NOTHING;
    int number = atoi(signal->code + 5);
    if (number == 2 || number == 7 || number == 13) return NM_OD_MEANS_WALK_LIGHT;
    return number == 1 || (number >= 8 && number <= 20) ? NM_OD_MEANS_LIGHT : NM_OD_MEANS_NOTHING;
}

double nm_od_sign_speed(const nm_od_signal *signal) {
    double speed = signal->value;
    if (!signal->has_unit) speed *= signal->code[0] == 'R' ? 0.44704 : 1.0 / 3.6;
    return speed > 0.0 && speed < 50.0 ? speed : 0.0;
}

int nm_od_signal_holds(const nm_od_document *d, const nm_od_signal *signal, const nm_od_lane *lane, int forward) {
    if (signal->orientation && (signal->orientation > 0) != forward) return 0;
    if (signal->validity.count == 0) return 1;
    for (uint32_t i = 0; i < signal->validity.count; ++i) {
        const nm_od_validity *v = &d->validities.at[signal->validity.first + i];
        int32_t low = v->from < v->to ? v->from : v->to, high = v->from < v->to ? v->to : v->from;
        if (low <= lane->id && lane->id <= high) return 1;
    }
    return 0;
}

// --- controls --------------------------------------------------------------------------------------------------------

static nm_control_kind control_of(nm_od_meaning meaning) {
    switch (meaning) {
    case NM_OD_MEANS_LIGHT:
    case NM_OD_MEANS_WALK_LIGHT:
        return NM_CONTROL_SIGNAL;
    case NM_OD_MEANS_STOP:
        return NM_CONTROL_STOP;
    case NM_OD_MEANS_YIELD:
        return NM_CONTROL_YIELD;
    case NM_OD_MEANS_PRIORITY:
        return NM_CONTROL_PRIORITY;
    default:
        return NM_CONTROL_NONE;
    }
}

static nm_status rule(nm_od_build *build, uint32_t signal, uint32_t piece, nm_od_meaning meaning) {
    nm_od_ruling *ruling = NM_OD_NEW(build->rulings);
    if (!ruling) return NM_ERROR(build->error, NM_E_MEMORY, "no memory for the signals of a document");
    *ruling = (nm_od_ruling){signal, piece};
    nm_od_piece *ruled = &build->pieces.at[piece];
    ruled->flags |= NM_OD_RULED;
    if (control_of(meaning) > ruled->control) ruled->control = (uint8_t)control_of(meaning); // in order of strictness
    return NM_OK;
}

/// Every piece that leads into this one.
static nm_status rule_predecessors(nm_od_build *build, uint32_t signal, uint32_t piece, nm_od_meaning meaning) {
    nm_status status = NM_OK;
    uint32_t low = 0, high = build->incoming.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (build->incoming.at[middle].to < piece)
            low = middle + 1;
        else
            high = middle;
    }
    for (; status == NM_OK && low < build->incoming.count && build->incoming.at[low].to == piece; ++low)
        status = rule(build, signal, build->incoming.at[low].from, meaning);
    return status;
}

/// The stretch at whose end, driven this way, the signal holds.
static uint32_t stretch_before(const nm_od_build *build, uint32_t road_index, double s, int forward) {
    const nm_od_road *road = &build->document->roads.at[road_index];
    nm_range stretches = build->road_stretches.at[road_index];
    if (stretches.count == 0) return NM_NONE;
    if ((forward ? road->length - s : s) <= NM_OD_END_REACH)
        return forward ? stretches.first + stretches.count - 1 : stretches.first;
    for (uint32_t i = stretches.first; i < stretches.first + stretches.count; ++i) {
        const nm_od_stretch *stretch = &build->stretches.at[i];
        if (fabs((forward ? stretch->end : stretch->start) - s) < NEAR) return i;
    }
    for (uint32_t i = stretches.first; i < stretches.first + stretches.count; ++i) {
        if (build->stretches.at[i].start <= s && s <= build->stretches.at[i].end) return i;
    }
    return NM_NONE;
}

/// Signals are meant for those who drive, unless they name one lane alone, or are lights for others.
static int meant_for(const nm_od_document *d, const nm_od_signal *signal, nm_od_meaning meaning,
                     const nm_od_piece *piece) {
    const nm_od_validity *v = signal->validity.count == 1 ? &d->validities.at[signal->validity.first] : NULL;
    if (v && v->from == v->to && v->from == d->lanes.at[piece->lane].id) return 1;
    return meaning != NM_OD_MEANS_WALK_LIGHT && nm_lane_type_drivable((nm_lane_type)piece->type);
}

/// Rules the lanes of one direction.
static nm_status apply(nm_od_build *build, uint32_t road_index, const nm_od_signal *signal, uint32_t meant,
                       nm_od_meaning meaning, int forward) {
    const nm_od_document *d = build->document;
    const nm_od_road *road = &d->roads.at[road_index];
    int inside = road->junction != NM_NONE;
    int early = inside && (forward ? signal->s : road->length - signal->s) < 0.5 * road->length;
    nm_range all = build->road_stretches.at[road_index];
    uint32_t index = early ? (all.count ? (forward ? all.first : all.first + all.count - 1) : NM_NONE)
                           : stretch_before(build, road_index, signal->s, forward);
    if (index == NM_NONE) return NM_OK;
    const nm_od_stretch *stretch = &build->stretches.at[index];
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < stretch->border_count; ++i) {
        uint32_t p = stretch->first_piece + i;
        const nm_od_piece *piece = &build->pieces.at[p];
        if (!(piece->flags & NM_OD_USED) || !meant_for(d, signal, meaning, piece)) continue;
        if (((piece->flags & NM_OD_FORWARD) != 0) != forward) continue;
        if (!nm_od_signal_holds(d, signal, &d->lanes.at[piece->lane], forward)) continue;
        status = early ? rule_predecessors(build, meant, p, meaning) : rule(build, meant, p, meaning);
    }
    return status;
}

static int compare_rulings(const void *a, const void *b) {
    const nm_od_ruling *x = a, *y = b;
    if (x->signal != y->signal) return x->signal < y->signal ? -1 : 1;
    return (x->piece > y->piece) - (x->piece < y->piece);
}

/// Stop signs on every lane that leads into a junction, from two roads at least, make it an all-way stop.
static nm_status find_all_way_stops(nm_od_build *build) {
    const nm_od_document *d = build->document;
    uint32_t junctions = d->junctions.count;
    struct counts {
        uint32_t road;
        uint8_t several, other;
    } *counts = junctions ? malloc(junctions * sizeof *counts) : NULL;
    if (!junctions) return NM_OK;
    if (!counts) return NM_ERROR(build->error, NM_E_MEMORY, "no memory for the junctions of a document");
    for (uint32_t j = 0; j < junctions; ++j) counts[j] = (struct counts){NM_NONE, 0, 0};
    for (int mark = 0; mark < 2; ++mark) {
        for (uint32_t i = 0; i < build->edges.count; ++i) {
            nm_od_piece *from = &build->pieces.at[build->edges.at[i].from];
            const nm_od_piece *to = &build->pieces.at[build->edges.at[i].to];
            uint32_t road = build->stretches.at[from->stretch].road;
            uint32_t j = d->roads.at[build->stretches.at[to->stretch].road].junction;
            if (j == NM_NONE || d->roads.at[road].junction != NM_NONE) continue;
            if (!nm_lane_type_drivable((nm_lane_type)to->type)) continue;
            if (mark) {
                if (counts[j].several && !counts[j].other) from->control = NM_CONTROL_ALL_WAY_STOP;
                continue;
            }
            counts[j].several = counts[j].several || (counts[j].road != NM_NONE && counts[j].road != road);
            counts[j].road = road;
            counts[j].other = counts[j].other || from->control != NM_CONTROL_STOP;
        }
    }
    free(counts);
    return NM_OK;
}

nm_status nm_od_apply_rules(nm_od_build *build) {
    const nm_od_document *d = build->document;
    nm_status status = NM_OK;
    for (uint32_t r = 0; r < d->roads.count; ++r) {
        const nm_od_road *road = &d->roads.at[r];
        for (uint32_t i = 0; i < road->signals.count && status == NM_OK; ++i) {
            const nm_od_signal *signal = &d->signals.at[road->signals.first + i];
            nm_od_meaning meaning = (nm_od_meaning)signal->meaning;
            if (control_of(meaning) == NM_CONTROL_NONE) continue;
            for (int forward = 0; forward < 2 && status == NM_OK; ++forward)
                status = apply(build, r, signal, signal->meant, meaning, forward);
        }
    }
    if (build->rulings.count)
        qsort(build->rulings.at, build->rulings.count, sizeof *build->rulings.at, compare_rulings);
    return status == NM_OK ? find_all_way_stops(build) : status;
}

// --- stop lines ------------------------------------------------------------------------------------------------------

/// The borders of a piece at s, left one in driving direction first.
static void across(const nm_od_build *build, const nm_od_piece *piece, double s, nm_point3 ends[2]) {
    const nm_od_stretch *stretch = &build->stretches.at[piece->stretch];
    uint32_t row = 1;
    while (row + 1 < stretch->rows && build->row_s.at[stretch->first_row + row] < s) ++row;
    double from = build->row_s.at[stretch->first_row + row - 1], to = build->row_s.at[stretch->first_row + row];
    double share = to > from ? fmin(fmax((s - from) / (to - from), 0.0), 1.0) : 1.0;
    int forward = (piece->flags & NM_OD_FORWARD) != 0;
    for (uint32_t i = 0; i < 2; ++i) {
        const nm_point3 *a = nm_od_border(build, stretch, row - 1, piece->left_border + i);
        const nm_point3 *b = nm_od_border(build, stretch, row, piece->left_border + i);
        ends[forward ? i : 1 - i] =
            (nm_point3){a->x + share * (b->x - a->x), a->y + share * (b->y - a->y), a->z + share * (b->z - a->z)};
    }
}

/// A line puts the stopping point of the lanes it holds for where it stands; so does, weaker, a stop sign or light,
/// when the ends of the lanes are ruled.
static void place_stops(nm_od_build *build, uint32_t road_index, const nm_od_signal *signal, uint8_t strength) {
    const nm_od_document *d = build->document;
    nm_range all = build->road_stretches.at[road_index];
    for (uint32_t k = all.first; k < all.first + all.count; ++k) {
        const nm_od_stretch *stretch = &build->stretches.at[k];
        if (signal->s < stretch->start - 0.01 || signal->s > stretch->end + 0.01) continue;
        for (uint32_t i = 0; i < stretch->border_count; ++i) {
            const nm_od_piece *piece = &build->pieces.at[stretch->first_piece + i];
            if (!(piece->flags & NM_OD_USED) || !meant_for(d, signal, (nm_od_meaning)signal->meaning, piece)) continue;
            nm_od_chain *chain = &build->chains.at[piece->chain];
            int ruled = (build->pieces.at[chain->last].flags & NM_OD_RULED) != 0;
            if ((strength < 2 && !ruled) || chain->has_stop >= strength) continue;
            int forward = (piece->flags & NM_OD_FORWARD) != 0;
            if (!nm_od_signal_holds(d, signal, &d->lanes.at[piece->lane], forward)) continue;
            double to_end = fabs((forward ? stretch->end : stretch->start) - signal->s);
            if (strength < 2 && chain->last == stretch->first_piece + i && to_end < 0.5) continue; // the end itself
            across(build, piece, signal->s, chain->stop);
            chain->has_stop = strength;
        }
    }
}

void nm_od_place_stop_lines(nm_od_build *build) {
    const nm_od_document *d = build->document;
    for (uint32_t r = 0; r < d->roads.count; ++r) {
        const nm_od_road *road = &d->roads.at[r];
        for (uint32_t i = 0; i < road->signals.count; ++i) {
            const nm_od_signal *signal = &d->signals.at[road->signals.first + i];
            nm_od_meaning meaning = (nm_od_meaning)signal->meaning;
            if (meaning == NM_OD_MEANS_STOP_LINE) place_stops(build, r, signal, 2);
            if (road->junction != NM_NONE) continue;
            if (meaning == NM_OD_MEANS_STOP || meaning == NM_OD_MEANS_LIGHT) place_stops(build, r, signal, 1);
        }
    }
}
