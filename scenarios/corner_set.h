/// Sets of corner cases: attempts of the generators over kinds and sources, judged, and streamed into a store.
///
/// Attempts are made in rounds of at most NM_CORNER_ROUND. Which kinds a round tries, and by which generators, is
/// decided before it by what has been kept so far, and what is tried does not depend on anything else, so the same
/// configuration makes the same set for any number of threads. Attempts that use the model are made one after the
/// other, because a model serves one thread at a time; the others in parallel. A round goes into the store in one
/// transaction: a run that was stopped, or killed, goes on where it was, and one that was finished does nothing when it
/// is asked for again. Memory does not grow with the set.
///
/// An attempt is kept when the generator met what was asked, the detectors confirm the kind with the roles that were
/// meant, and every verdict on it holds (validity.h). Whatever else is counted by reason: the generator's (nm_reject),
/// the first verdict that failed, "repeated" (made before, bit for bit), or, where the generator could not go on with
/// this one attempt, "unsupported" or "numeric" (NM_E_UNSUPPORTED, NM_E_NUMERIC).
///
/// A generator that finds too few cases of a kind gives that kind up: those that remain make its share.
#ifndef NM_SCENARIOS_CORNER_SET_H
#define NM_SCENARIOS_CORNER_SET_H

#include "base/thread_pool.h"
#include "scenarios/case.h"
#include "scenarios/store.h"
#include "scenarios/validity.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_CORNER_ROUND 64u
#define NM_CORNER_MODEL_ROUND 16u ///< attempts with the model in a round

/// One kind of the set. Fill with nm_corner_kind_default().
typedef struct nm_corner_kind {
    nm_kind kind;
    double weight;     ///< share of the hours, > 0; without effect by `count`; default 1
    double collisions; ///< [0, 1] share of the attempts that are to collide, where the kind can have both severities;
                       ///< default 0.25
    nm_sampling sampling;                     ///< default uniform
    nm_kind_ranges ranges[NM_SEVERITY_COUNT]; ///< of those that the kind can have
    /// Shares of the generators for this kind, each >= 0; all 0 (default) = those of the set, without the generators
    /// that cannot make the kind. What is named here must be able to.
    double generators[NM_CASE_GENERATOR_COUNT];
} nm_corner_kind;
/// NM_E_ARGUMENT when the kind is no manoeuvre.
NM_API nm_status nm_corner_kind_default(nm_kind kind, nm_corner_kind *out, nm_error *error);
/// 1 = the kind has shares of generators of its own, which count instead of those of the set.
NM_API int nm_corner_own_shares(const nm_corner_kind *kind);

/// Fill with nm_corner_config_default(). Everything is borrowed during the run.
typedef struct nm_corner_config {
    const nm_corner_kind *kinds; ///< [kind_count] each kind once
    uint32_t kind_count;
    const nm_scene *const *sources; ///< [source_count] time step 0.1 s: maps and traffic
    /// [source_count] of the attempts, in proportion, > 0; nullable = all alike. Where a source cannot hold the kind
    /// the others have its share.
    const double *source_weights;
    uint32_t source_count;
    double generators[NM_CASE_GENERATOR_COUNT]; ///< shares of the generators in what is kept, >= 0; default: all by
                                                ///< manoeuvre
    uint32_t adversaries;                       ///< of cases that resample makes, 1..NM_CASE_MAX_ADVERSARIES; default 1
    nm_model *model;                            ///< nullable: then no share may need it (nm_case_uses_model)
    const nm_recipe *recipe;                    ///< of the model
    uint64_t count;                             ///< scenes of each kind; 0 = by `hours`
    double hours; ///< of all kinds together; 0 = by `count`. Both: whichever is reached first
    uint64_t seed;
    nm_policy_kind ego;          ///< default IDM
    const nm_policy *custom;     ///< for NM_POLICY_CUSTOM
    const nm_idm_params *idm;    ///< default nm_idm_named("nearmiss")
    uint32_t steps;              ///< of 0.1 s in a scene, 60..400; default 100
    uint32_t traffic;            ///< others kept in a scene; default 6
    nm_validity_params validity; ///< its violations are set for each kind
    double patience;             ///< attempts for one scene on average, after which a generator gives a kind up;
                                 ///< default 50
    const char *mining;          ///< JSON that is stored as the parameters of the detectors; NULL (default): those that
                                 ///< were used (nm_detect_params_json of the default), so that `mine` has nothing to do
    nm_generation_run run;       ///< as it is to be stored; its seed is that of above
    /// Nullable: asked between rounds; not 0 ends the run with NM_E_CANCELLED, what is there stays.
    int (*stop)(void *context);
    void *stop_context;
    void (*progress)(void *context, uint64_t kept, double hours); ///< nullable; after each round
    void *progress_context;
    /// Makes an attempt as nm_case_attempt does, which is the default: for generators of one's own, and for tests.
    nm_status (*attempt)(nm_case_work *work, const nm_scene *scene, const nm_case_request *request, uint64_t index,
                         nm_case *out, nm_error *error);
} nm_corner_config;
NM_API nm_corner_config nm_corner_config_default(void);

/// Of one kind by one generator, this and earlier runs of the set together.
typedef struct nm_corner_yield {
    nm_kind kind;
    nm_case_generator generator;
    double share; ///< of the kind's scenes, 0..1; 0 = the generator is not asked for, or cannot make the kind
    uint64_t attempts, kept;
    int given_up;
    uint32_t sources; ///< that can hold it
} nm_corner_yield;

typedef struct nm_corner_report {
    int64_t generation;
    nm_corner_yield *yields; ///< [kind_count * NM_CASE_GENERATOR_COUNT] the caller's array: by kind, then generator
    uint64_t kept;           ///< in this run
    uint64_t attempts;
    double hours; ///< of the set
} nm_corner_report;

/// Everything that can be said before work starts: NM_E_ARGUMENT for what makes no sense, or a share that needs a model
/// where there is none; NM_E_UNSUPPORTED, with what would fit, for a kind that no source can hold, or none of the
/// generators can make.
NM_API nm_status nm_corner_check(const nm_corner_config *config, nm_error *error);

/// pool   makes the attempts
/// report its yields point to the array above; filled as far as it came, whatever is returned
/// Errors of the check, of the store and of the generator; NM_E_CANCELLED.
NM_API nm_status nm_corner_set_run(const nm_corner_config *config, nm_store *store, nm_thread_pool *pool,
                                   nm_corner_report *report, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
