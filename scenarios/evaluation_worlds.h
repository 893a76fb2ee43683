/// The same planners in several worlds: among agents of different kinds, or over different sets of scenes.
///
/// What is asked of it: by how much a planner's score moves when the agents become others (on the same scenes, so scene
/// by scene); whether the worlds rank the planners alike; and which two planners one world tells apart that another
/// does not. Two planners are apart in a world where the 95 % interval of their mean difference leaves out 0
/// (nm_evaluation_pair); else they tie there.
///
/// Pure and deterministic; thread-safe.
#ifndef NM_SCENARIOS_EVALUATION_WORLDS_H
#define NM_SCENARIOS_EVALUATION_WORLDS_H

#include "scenarios/evaluation_summary.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Borrowed. All worlds have the same planners in the same order.
typedef struct nm_evaluation_world {
    const char *store; ///< the set of scenes: worlds of one store have the same scenes
    nm_episode_agents agents;
    const nm_evaluation_entrant *entrants; ///< [summary->planner_count]
    const nm_evaluation_summary *summary;
} nm_evaluation_world;

/// A planner in one world minus the same planner in another over the same scenes, against the same adversaries, in
/// those that count in both.
typedef struct nm_evaluation_shift {
    uint32_t planner, from, to; ///< worlds; `from` is the first one of the store
    size_t scenes;
    nm_estimate score, collisions, progress; ///< mean differences of score and of two of its parts, NaN without scenes
} nm_evaluation_shift;

/// How alike two worlds rank the planners.
typedef struct nm_evaluation_agreement {
    uint32_t first, second; ///< worlds
    double tau;             ///< Kendall's tau-b of the mean scores, -1 to 1; NaN where one of them has all equal
    double tau_apart;       ///< likewise, but pairs of planners that tie in a world are equal in it
    size_t same, opposite;  ///< pairs apart in both, in the same order and in the opposite one
    size_t only_first, only_second, neither; ///< pairs apart in only one of the worlds, and in none
} nm_evaluation_agreement;

/// Two planners that tie in one world and are apart in another.
typedef struct nm_evaluation_split {
    uint32_t pair; ///< index into summary->pairs of every world
    uint32_t tied_in, apart_in;
} nm_evaluation_split;

typedef struct nm_evaluation_comparison {
    nm_evaluation_shift *shifts; ///< [shift_count], by world, then planner
    size_t shift_count;
    nm_evaluation_agreement *agreements; ///< [agreement_count]: worlds (0, 1), (0, 2), ..., (1, 2), ...
    size_t agreement_count;
    nm_evaluation_split *splits; ///< [split_count], by pair, then world
    size_t split_count;
} nm_evaluation_comparison;

/// 1 = apart with `first` better, -1 = with `second` better, 0 = a tie, nothing to compare included.
NM_API int nm_evaluation_apart(const nm_evaluation_pair *pair);

/// bootstrap  nullable = nm_bootstrap_config_default()
/// arena      holds the comparison afterwards
/// Errors as nm_evaluation_summarize. O(worlds^2 planners^2 + worlds * planners * scenes * draws).
NM_API nm_status nm_evaluation_compare(const nm_evaluation_world *worlds, size_t count,
                                       const nm_bootstrap_config *bootstrap, nm_arena *arena,
                                       nm_evaluation_comparison *out, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
