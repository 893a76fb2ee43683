/// The inside of the resampling generator. Private to scenarios/.
///
/// It plays on the stage of the manoeuvres (manoeuvre_internal.h): what nm_plan_scripts makes of a kind's parameters is
/// the bare manoeuvre, which a choice varies.
#ifndef NM_SCENARIOS_RESAMPLE_INTERNAL_H
#define NM_SCENARIOS_RESAMPLE_INTERNAL_H

#include "scenarios/manoeuvre_internal.h"
#include "scenarios/model_futures.h"
#include "scenarios/resample.h"
#include "scenarios/resample_prior.h"

#define NM_CHOICES 64u
#define NM_FUTURES 4u
#define NM_COARSE 2u ///< steps between those at which ways are compared
#define NM_COARSE_STEPS (NM_STAGE_STEPS / NM_COARSE + 1)
#define NM_CIRCLES 3u ///< of equal size along a box, which they cover

/// A future that the ego may have.
typedef struct nm_likely {
    nm_course course;
    float weight;   ///< relative
    int responds;   ///< 1 = it reacts to an adversary who does much the same
    int contact;    ///< ... and was hit
    uint32_t steps; ///< for which the places below are filled
    float x[NM_COARSE_STEPS][NM_CIRCLES], y[NM_COARSE_STEPS][NM_CIRCLES];
} nm_likely;

/// A future of the adversary that the model expects, from where it was recorded, seen from its way.
#define NM_EXPECTED_STEPS 81u
typedef struct nm_expected {
    uint32_t steps; ///< for which it keeps to the way, the first included
    float s[NM_EXPECTED_STEPS], d[NM_EXPECTED_STEPS], v[NM_EXPECTED_STEPS];
} nm_expected;

/// All that is drawn of a candidate.
typedef struct nm_choice {
    float value[NM_KIND_MAX_PARAMS]; ///< what the manoeuvre aims at
    float seconds;                   ///< to the conflict
    float pace, lead;                ///< m/s and m by which it starts off the bare manoeuvre; not where it was recorded
    float aside;                     ///< m off the way's middle at the start; likewise
    float later;                     ///< m/s^2 after the conflict
    uint32_t expected;               ///< 1 + the model's future that it follows at first, or 0; ...
    float leaves;                    ///< ... for this share of the way to the conflict
    uint32_t likely;                 ///< the future of the ego that it is laid against
    float proposal;                  ///< log density with which it was drawn
    float plausibility, odds;        ///< logarithms
} nm_choice;

/// How the adversary of a kind starts and goes on; see resample_choice.c.
typedef struct nm_habit {
    uint8_t moves;    ///< it moves before the conflict: how, may vary
    uint8_t recorded; ///< somebody who was recorded may play it
    uint8_t later;    ///< what it does after the conflict is free
    uint8_t crosses;  ///< on a way of its own: timed by an ego that does not react
    float least;      ///< s to the conflict, at least
} nm_habit;

struct nm_resample_work {
    nm_manoeuvre_work *stage;
    nm_likely likely[NM_FUTURES];
    uint32_t likely_count;
    nm_choice choice[NM_CHOICES];
    float log_weight[NM_CHOICES];
    nm_model *model;         ///< nullable, borrowed
    const nm_recipe *recipe; ///< likewise
    uint64_t weights;        ///< hash of the model, once `hashed`
    int hashed;
    nm_model_futures *futures; ///< made when first asked
    nm_expected expected[NM_CASE_MAX_MODEL_CANDIDATES];
    uint32_t expected_count;
    float across[NM_STAGE_STEPS]; ///< m/s^2 of the candidate in hand
};

/// One attempt in progress.
typedef struct nm_drawing {
    nm_attempt a;
    nm_resample_work *work;
    nm_rng_key key;
    nm_habit habit;
    int fixed; ///< the adversary starts as it was recorded:
    float fixed_s, fixed_d, fixed_v;
    float bias[NM_KIND_MAX_PARAMS]; ///< by which what is measured was above what was staged, in the last run
    uint32_t led;                   ///< steps for which the candidate in hand does as the model expects
    uint32_t followed;              ///< of the choice played last: its `expected`
    uint32_t round;                 ///< draws so far
    uint32_t runs;                  ///< closed-loop runs of drawn futures so far
} nm_drawing;

// resample.c
/// The course of an ego that keeps its speed, until it has been run.
void nm_suppose_course(nm_attempt *a);
/// Runs the scripts as they are and confirms what comes out.
nm_status nm_resample_play(nm_drawing *d, nm_error *error);
/// Would what was confirmed be refused as a scene? It may still drive off the road or against a rule.
nm_status nm_resample_judge(nm_drawing *d, int *valid, nm_error *error);

// resample_choice.c
nm_habit nm_habit_of(const nm_kind_ranges *ranges);
/// Choice `i` of this round, near to a->value; not yet weighed.
void nm_choice_draw(const nm_drawing *d, uint32_t i, nm_choice *choice);
/// Writes its scripts; NM_REJECT_NONE when that can be driven. Sets a->value to the choice's.
nm_reject nm_choice_realise(nm_drawing *d, const nm_choice *choice);
/// At the share u of `seconds`, the quintic that starts with (offset, speed, 0) and ends with nothing: way and slope.
float nm_fading(float u, float seconds, float offset, float speed, float *slope);
/// Sideways acceleration of a script along its line; 0 when no vehicle takes bends like that.
int nm_script_across(const nm_script *script, uint32_t count, float *across);
uint32_t nm_script_steps(const nm_script *script, uint32_t steps); ///< for which it is on its line

// resample_cast.c
void nm_cast_moment(nm_drawing *d, uint32_t try); ///< a->start_step
/// A car that was recorded at the start, seen from a way.
typedef struct nm_seen {
    float s, d, v, turn; ///< m, m, m/s, rad
} nm_seen;
/// `about`: where on the line it is looked for; 0 when it is not there, or not along it.
int nm_cast_see(const nm_attempt *a, uint32_t track, const nm_drive_line *line, int reversed, float about,
                nm_seen *seen);
/// Gives the roles of ego and adversary to two who were recorded and come together at the place with little effort, or
/// the ego's alone to somebody who comes there. Returns how many were given away. Leaves the supposed course.
uint32_t nm_cast_roles(nm_drawing *d);

// resample_model.c
/// Asks for what the request wants, once the roles are given away.
nm_status nm_resample_ask_model(nm_drawing *d, nm_error *error);

// resample_weigh.c
/// Learns from the last run by how much the measured values differ from the staged ones.
void nm_bias_learn(nm_drawing *d);
/// Takes the stage's course as a likely future; the oldest response gives way.
void nm_likely_add(nm_drawing *d, float weight, int responds, int contact);
/// The choice realised last, against all likely futures.
void nm_choice_weigh(nm_drawing *d, nm_choice *choice);

// resample_more.c
/// Further adversaries on the stage of what was confirmed, one after the other: out->reject says whether all were
/// found.
nm_status nm_resample_more(nm_drawing *d, nm_error *error);

// shared by those who weigh
void nm_circles_put(nm_pose pose, float length, float x[NM_CIRCLES], float y[NM_CIRCLES]);
float nm_circles_radius(float length, float width);
/// m between the nearest of two sets; more than 40 is 40.
float nm_circles_apart(const float *x, const float *y, const float *other_x, const float *other_y);

#endif
