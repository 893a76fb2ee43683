/// The energies of guidance and their gradients, on flat arrays: private to guidance*.c, their tests and GPU mirror.
///
/// All in double. What is called a token here is one state of one agent. A function returns its energy in m^2 and ADDS
/// its gradient to `gradient`. Positions are measured in m, headings (cos, sin) times NM_GUIDE_ARM, velocities times
/// dt: in these units the curvature of every energy is about 1 or less, so that a step of 1 / (sum of strengths) does
/// not overshoot.
#ifndef NM_NEXUS_GUIDANCE_TERMS_H
#define NM_NEXUS_GUIDANCE_TERMS_H

#include "nexus/guidance.h"

#define NM_GUIDE_STATES 6 ///< NM_FIELD_X .. NM_FIELD_VY; sizes are constants
#define NM_GUIDE_ARM 4.0  ///< m: what a radian of heading is worth

typedef struct nm_guide_view {
    uint32_t count;
    double dt;
    double *state[NM_GUIDE_STATES];    ///< [count] each, map frame
    const double *length, *width;      ///< [count]
    const uint32_t *previous, *next;   ///< [count] the same agent one time token before and after, or NM_NONE
    uint32_t group_count;              ///< groups of tokens of one scene at one time:
    const uint32_t *group_offsets;     ///< [group_count + 1]
    const uint32_t *group_tokens;      ///< [count], rising within a group
    const uint32_t *foe;               ///< [count] token that this one is steered into, which may touch it, or NM_NONE
    const uint8_t *fixed;              ///< [count] 1 = will not be moved; pairs of such are left out
    const uint8_t *on_lane;            ///< [count] 1 = the five below are set
    const double *lane_x, *lane_y;     ///< [count] nearest point of the lane's centreline
    const double *lane_cos, *lane_sin; ///< [count] its direction
    const double *lane_half;           ///< [count] m from there to the border on the token's side
} nm_guide_view;

// The energies of behaviour, of all states; their slopes where something can move: guidance_slope.c.
//
// overlap     Two boxes of a group that overlap, or are nearer than `margin`: with d the depths along the four axes
//             that may separate them (Gottschalk et al. 1996), and f = 1 along a box, 1/4 across it,
//               energy = (sum of f) / 4 / sum(f / d^2)
//             which is about the square of the least depth, a way out along a box being preferred to one across it, and
//             0 as soon as any axis separates. A quarter, as both move. Where many agents meet, curvatures add up.
// road        Half the square of how far a centre is beyond the border of its lane, with the lane as a straight line
//             there.
// smooth      Half the square of how far every state is from the mean of a window of up to `half` states on each side,
//             symmetric also near the ends.
// consistent  Three squares: positions against the mean velocity between them (trapezoid rule), the velocity's part
//             across the heading, and the length of (cos, sin) against 1.

/// For the tokens from `first` along `next`: the excess of the second difference of positions over `max_acceleration`,
/// and of its part across the path over `max_curvature`.
double nm_energy_kinematic(const nm_guide_view *view, uint32_t first, double max_acceleration, double max_curvature,
                           double *const gradient[NM_GUIDE_STATES]);

/// Where an adversary shall be at the time of the contact. speed < 0 = any.
typedef struct nm_conflict_target {
    double x, y, cos_h, sin_h, speed;
} nm_conflict_target;

/// ego, adversary: their tokens at the time of the contact; from: the adversary's first token, which tells its side.
nm_conflict_target nm_conflict_target_of(const nm_guide_view *view, const nm_adversary *what, uint32_t ego,
                                         uint32_t adversary, uint32_t ego_from, uint32_t from);

/// For the tokens of an adversary from `first` to `contact`, s seconds before it: half the squared miss when it goes on
/// at its velocity, |p + s v - target|^2, weighted by 1 / (1 + (s / dt)^2); at the contact also heading and velocity.
/// The ego is a constant.
double nm_energy_conflict(const nm_guide_view *view, uint32_t first, uint32_t contact, const nm_conflict_target *target,
                          double *const gradient[NM_GUIDE_STATES]);

/// Turns the gradient of nm_energy_conflict, which pulls hardest at the contact, into one that bends the whole path:
/// for positions and velocities a share LOCAL stays, and a displacement c (k / K)^2 of the k-th of K tokens since the
/// last fixed one is added, c being the step of the energy along that displacement. Positive definite: still downwards.
void nm_spread_conflict(const nm_guide_view *view, uint32_t first, uint32_t contact,
                        double *const gradient[NM_GUIDE_STATES]);

/// Makes the path from `first` on drivable within `limits`, token by token: each step keeps its length and its turn
/// within what the step before allows, and heading and velocity are those of the path. Tokens that are `clean` stay;
/// writes view->state, sets touched[n] = 1 where it did.
void nm_make_drivable(nm_guide_view *view, uint32_t first, const nm_adversary *limits, const uint8_t *clean,
                      uint8_t *touched);

#endif
