/// Programs for traffic lights. OpenDRIVE says where lights are, not when they are green: that is in the scenario or
/// the simulation that comes with the road network. Lights without a program would be dark for ever, and nobody's.
///
/// So a plain one is assumed: the roads that lead into a junction fall into two groups by direction, those along the
/// axis of the first one (within 45 degrees, either way) and those across; each is green for 20 s, yellow for 3 s, then
/// all are red for 2 s, and the other group's turn comes. Left turns yield to oncoming traffic. A light on its own, for
/// a crosswalk say, has the first group's program.
#include <math.h>

#include "dataset/opendrive.h"

#define GREEN 200u // steps of NM_OD_CYCLE_DT
#define YELLOW 30u
#define RED 270u // the other group's green and yellow, and twice 2 s

nm_status nm_od_find_axes(nm_od_build *build) {
    const nm_od_document *d = build->document;
    build->axes.count = 0;
    for (uint32_t j = 0; j < d->junctions.count; ++j) {
        double *axis = NM_OD_NEW(build->axes);
        if (!axis) return NM_ERROR(build->error, NM_E_MEMORY, "no memory for the junctions of a document");
        *axis = NAN;
    }
    return NM_OK;
}

/// Heading of a piece where it ends.
static double end_heading(const nm_od_build *build, const nm_od_piece *piece) {
    const nm_od_stretch *stretch = &build->stretches.at[piece->stretch];
    int forward = (piece->flags & NM_OD_FORWARD) != 0;
    const nm_point3 *a = nm_od_border(build, stretch, forward ? stretch->rows - 2 : 1, piece->left_border);
    const nm_point3 *b = nm_od_border(build, stretch, forward ? stretch->rows - 1 : 0, piece->left_border);
    return atan2(b[0].y + b[1].y - a[0].y - a[1].y, b[0].x + b[1].x - a[0].x - a[1].x);
}

/// The junction that a piece leads into, or NM_NONE.
static uint32_t junction_behind(const nm_od_build *build, uint32_t piece) {
    const nm_od_chain *chain = &build->chains.at[build->pieces.at[piece].chain];
    if (chain->last != piece || chain->successors.count == 0) return NM_NONE;
    const nm_od_chain *next = &build->chains.at[build->targets.at[chain->successors.first]];
    return build->document->roads.at[build->stretches.at[build->pieces.at[next->first].stretch].road].junction;
}

void nm_od_light_program(nm_od_build *build, uint32_t piece, nm_phase phases[NM_OD_PHASES], uint32_t *offset) {
    phases[0] = (nm_phase){.steps = GREEN, .state = NM_SIGNAL_GO};
    phases[1] = (nm_phase){.steps = YELLOW, .state = NM_SIGNAL_CAUTION};
    phases[2] = (nm_phase){.steps = RED, .state = NM_SIGNAL_STOP};
    *offset = 0;
    uint32_t junction = junction_behind(build, piece);
    if (junction == NM_NONE) return;
    double heading = end_heading(build, &build->pieces.at[piece]), *axis = &build->axes.at[junction];
    if (isnan(*axis)) *axis = heading;
    if (fabs(cos(heading - *axis)) < 0.70710678) *offset = (GREEN + YELLOW + RED) / 2;
}
