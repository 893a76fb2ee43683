/// One drive of an episode, in the order in which it comes about: episode_start.c, episode_drive.c, episode_score.c,
/// with episode.c around them. Private to episode*.c.
#ifndef NM_SCENARIOS_EPISODE_INTERNAL_H
#define NM_SCENARIOS_EPISODE_INTERNAL_H

#include "base/arena.h"
#include "scenarios/adversary.h"
#include "scenarios/episode.h"
#include "sim/observation.h"
#include "sim/tracker.h"

struct nm_episode_work {
    nm_arena *arena;
    nm_scene_builder *builder;
    const nm_nuplan_map *view; // of the map seen last
    uint64_t map_hash;
    nm_adversary_agent *adversary; // made when it is first needed
};

/// What one episode needs.
typedef struct nm_episode_state {
    nm_episode_work *work;
    const nm_scene *scene;
    nm_scene own; // the scene with the ego that was chosen
    nm_planner *planner;
    const nm_episode_config *config;
    nm_episode *out;
    uint32_t start, iterations; // of the scene; N of nuPlan: the expert's samples
    nm_world *world;
    nm_observation *observation;
    nm_planner_vehicle vehicle;
    nm_nuplan_ego *ego;       // [iterations]
    nm_nuplan_pose *expert;   // [iterations]
    uint8_t *types;           // [tracks]
    uint8_t *sizeless;        // [tracks] seen without a size
    uint8_t *touching;        // [tracks] since the start: no doing of the planner's
    uint8_t *present;         // [iterations][tracks]
    nm_nuplan_box *boxes;     // the same
    nm_planner_motion motion; // of the last step
    nm_bicycle_state bicycle; // of a tracked ego, in double
    nm_plan_state *plan;      // [NM_PLANNER_MAX_POINTS + 1]
    nm_tracker_scratch *scratch;
    int steered;                   // the last answer was a control
    const nm_scene *recorded;      // what losses are compared with; NULL = the scene
    nm_adversary_agent *adversary; // who is steered; NULL in a drive without
    int rehearses;                 // it is not scored
    int builds;                    // the driven scene is being written into work->builder
    uint32_t k;                    // sample
    uint32_t asked;                // answers
    int over;                      // nothing more to drive
    nm_status theirs;              // the planner's doing, when not NM_OK
    nm_error why;                  // what it says
} nm_episode_state;

void nm_episode_unfit(nm_episode *out, const char *reason);

/// From where to where the ego was recorded; 0 when there is too little to drive along: it is unfit then.
int nm_episode_find_span(nm_episode_state *e);
/// What there is before the first step; a scene that it can not be made of is unfit, for the reason in *why.
nm_status nm_episode_prepare(nm_episode_state *e, nm_error *why);
/// Drives from the start to the end. What fails of the planner is in e->theirs and e->why.
nm_status nm_episode_play(nm_episode_state *e, nm_error *error);
/// What was driven, as nuPlan scores it, why it lost what it lost, and how dangerous it was.
nm_status nm_episode_rate(nm_episode_state *e, nm_error *error);

#endif
