/// Private to sim/builtin*.c: the arms of junctions and roundabouts, and the walkways around them.
///
/// An arm is seen from the junction outwards: u along its axis, v to the left. Traffic towards the junction is on the
/// left (v > 0), away from it on the right. Lanes are counted from the middle of the road: in[0] and out[0] touch it.
///
///            u = stop - LEAD      u = stop
///        sidewalk ...out--- M' --- | --- B (away)              v > 0
///   ------ kerb of the corner      |
///        junction      [crosswalk] | in[2] in[1] in[0]   <---
///                      [ 4 m     ] | ======================== axis
///        lanes         [         ] | out[0] out[1]       --->
///   ------ kerb of the next corner |
///        sidewalk C ...in---- M -- | --- A (towards)           v < 0
#ifndef NM_SIM_BUILTIN_ARM_H
#define NM_SIM_BUILTIN_ARM_H

#include "sim/builtin_sketch.h"

#define NM_ARM_LANES 3
#define NM_ARM_LEAD 5.5     ///< m from the stop line to where curves may begin: 1 m, the crosswalk, 0.5 m
#define NM_CROSSWALK 4.0    ///< m, depth of a crosswalk: two lanes for walkers
#define NM_STOP_GAP 1.0     ///< m between stop line and crosswalk
#define NM_SIDEWALK 2.5     ///< m, width
#define NM_KERB_GAP 0.4     ///< m before the kerb where crosswalk lanes begin, so that who waits there is off the road
#define NM_DROPPED_KERB 1.2 ///< m, width of the stubs between sidewalk and crosswalk
#define NM_CLEAR_SPEED 1.2  ///< m/s at which walkers are assumed to clear the road when signals are timed

typedef struct nm_arm {
    double c, s;                                  ///< axis, outwards; exact for quarter turns
    double stop;                                  ///< u of the stop line, where approach lanes end and exit lanes begin
    double half;                                  ///< m, half the width of the road
    double length;                                ///< m beyond the stop line
    uint32_t count;                               ///< lanes each way
    uint32_t in[NM_ARM_LANES], out[NM_ARM_LANES]; ///< at the stop line, in[0] and out[0] in the middle
    int64_t junction;
    int crossing; ///< has a crosswalk
    // walkways: near = at the crosswalk's junction side, far = at the stop line's side
    uint32_t towards, away;     ///< sidewalk lanes A and B, at the crosswalk
    uint32_t wait[2], cross[2]; ///< stubs at the kerb and crossings: [0] far one, from A's side to B's; [1] back
    uint32_t leave[2];          ///< stubs behind the crossings
} nm_arm;

/// The kerb of a corner, in driving direction: from an approach on the right side to the next exit.
typedef struct nm_kerb {
    nm_frame *frames;
    uint32_t count;
} nm_kerb;

/// Road, sidewalks, and the crosswalk with its lanes, area and waiting places. c, s, `stop`, `junction` and `crossing`
/// are filled in before, the rest here.
void nm_arm_draw(nm_sketch *sketch, nm_arm *arm, const nm_builtin_params *params, nm_control_kind control);

/// Appends the right border of `lane`, which was swept over `curve`. Joins without repeating a point.
void nm_kerb_add(nm_sketch *sketch, nm_kerb *kerb, uint32_t lane, const nm_curve *curve);
/// Road edge along the kerb of the corner left of `from` and right of `to`, the sidewalk round it, and its links.
void nm_arm_corner(nm_sketch *sketch, const nm_arm *from, const nm_arm *to, const nm_kerb *kerb);

/// Place on an arm: u along the axis, v to the left.
nm_point3 nm_arm_point(const nm_arm *arm, double u, double v);

#endif
