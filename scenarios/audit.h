/// An independent check of generated sets, for people who do not trust the generator.
///
/// Everything is derived again from what is stored - map, tracks, and the request in the provenance - by plain and slow
/// code that shares none with the generators, the detectors, the measuring and the filter (validity.h): boxes are
/// compared corner by corner, times to collision are found by moving boxes bit by bit,
/// accelerations by least squares in double precision, the road is the union of the quadrangles between the points of
/// lane borders. Of the map only the lanes' geometry is read, and lanes are looked up by place.
///
/// What the limits mean is said in validity.h; who plays which role is read from the row. Judged are the ego and all
/// who are staged, each until it first touches somebody: of manoeuvres and what was resampled from the first step on,
/// for what they show as history was generated, too; of diffusion from the scene's current step.
///
/// Not derived again, because they are opinions of models and no limits of what is recorded: the verdicts realism and
/// cause, the label of avoidability, and that the detectors see the kind.
#ifndef NM_SCENARIOS_AUDIT_H
#define NM_SCENARIOS_AUDIT_H

#include "base/thread_pool.h"
#include "scenarios/case.h"
#include "scenarios/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/// In the order of the report. The first NM_AUDIT_VERDICTS have the names and the meaning of the stored verdicts.
typedef enum nm_audit_check {
    NM_AUDIT_SPEED = 0,
    NM_AUDIT_ACCELERATION,
    NM_AUDIT_BRAKING,
    NM_AUDIT_LATERAL_ACCELERATION,
    NM_AUDIT_JERK,
    NM_AUDIT_YAW_RATE,
    NM_AUDIT_CURVATURE,
    NM_AUDIT_SLIP,
    NM_AUDIT_TELEPORT,
    NM_AUDIT_HEADING_JUMP,
    NM_AUDIT_VELOCITY,
    NM_AUDIT_GAP,
    NM_AUDIT_TURN_ON_SPOT,
    NM_AUDIT_OVERLAP_AT_START,
    NM_AUDIT_OFF_ROAD,
    NM_AUDIT_JAYWALK,
    NM_AUDIT_RED_LIGHT,
    NM_AUDIT_STOP_LINE,
    NM_AUDIT_WRONG_WAY,
    NM_AUDIT_SPEEDING,
    NM_AUDIT_VERDICTS,                    ///< how many of the above
    NM_AUDIT_CONTACT = NM_AUDIT_VERDICTS, ///< steps in contact: none of a near miss; of a collision at least one
    NM_AUDIT_CLOSENESS,     ///< s by which the danger lies outside of the range of min_ttc; near misses only. The least
                            ///< time to collision; where min_ttc was not asked for, the time by which one comes after
                            ///< the other on crossing ways if that is less
    NM_AUDIT_OTHERS,        ///< pairs that touch before the end, or before the collision that is meant, and should not
    NM_AUDIT_EGO_SPEED,     ///< m/s outside of the range of ego_speed, at the first step
    NM_AUDIT_ENTRY_GAP,     ///< m outside of the range of gap, as the adversary's box reaches over the border
    NM_AUDIT_CLOSING,       ///< m/s outside of the range of closing, likewise
    NM_AUDIT_LATERAL_SPEED, ///< m/s outside of the range of lateral_speed
    NM_AUDIT_ADVERSARY_SPEED, ///< m/s outside of the range of speed
    NM_AUDIT_DECELERATION,    ///< m/s^2 outside of the range of deceleration
    NM_AUDIT_HEADWAY,         ///< s outside of the range of headway
    NM_AUDIT_ROW,             ///< statements of the row that contradict one another or the scene
    NM_AUDIT_JUDGEMENT,       ///< stored verdicts that say otherwise than the checks above
    NM_AUDIT_AGAIN,           ///< 1 = made again from its row it is another scene
    NM_AUDIT_COUNT
} nm_audit_check;

NM_API const char *nm_audit_name(nm_audit_check check); ///< "speed", ...
NM_API const char *nm_audit_unit(nm_audit_check check); ///< "m/s", ...

typedef enum nm_audit_result {
    NM_AUDIT_UNJUDGED = 0, ///< nobody it applies to, or nothing to judge by
    NM_AUDIT_PASS,
    NM_AUDIT_ALLOWED, ///< passes the limit, as the kind has it
    NM_AUDIT_BROKEN
} nm_audit_result;

typedef struct nm_audit_finding {
    nm_audit_result result;
    double value, limit;  ///< value <= limit is right; of parameters the limit is the stated tolerance
    uint32_t track, step; ///< of the value, or NM_NONE
} nm_audit_finding;

/// What the stored verdict says about the same.
typedef struct nm_audit_stored {
    nm_audit_result result;
    double value, limit;
} nm_audit_stored;

/// Of one scene.
typedef struct nm_audit_report {
    nm_audit_finding found[NM_AUDIT_COUNT];
    nm_audit_stored stored[NM_AUDIT_VERDICTS];
    /// s, of the ego and whom it comes close to; 0 where they touch, INFINITY = none. The lower one counts what passes
    /// within a centimetre as a touch, too: where one grazes the other, rounding decides.
    double min_ttc, min_ttc_grazing;
    unsigned differs; ///< bit per check whose stored value is another one than found: beyond what rounding and the
                      ///< coarseness of the ways to measure explain
    char remark[160]; ///< what the row contradicts, or why it could not be made again; "" = nothing
} nm_audit_report;

/// What a scene is checked against: the request and the roles, from its row.
typedef struct nm_audit_case {
    nm_kind kind;
    nm_severity severity;
    uint32_t ego, adversary;
    uint32_t staged[2 + NM_CASE_MAX_ADVERSARIES]; ///< [staged_count] the adversary and all others who are staged
    uint32_t staged_count;
    uint32_t begin;  ///< the first step that is judged
    uint32_t danger; ///< whom the ego comes close to: of cut_out what is revealed, else the adversary
    nm_kind_range range[NM_KIND_MAX_PARAMS];
    uint32_t given; ///< bit per parameter that was asked for
} nm_audit_case;

/// Out of the parameters of a generated scene's provenance. NM_E_FORMAT when they are not those of a corner case or
/// name roles that the scene does not have.
NM_API nm_status nm_audit_read_case(const nm_scene *scene, nm_audit_case *out, nm_error *error);

/// All that follows from the scene: every check but row, judgement and again, which stay as they are. Scratch comes
/// from `arena` and is given back. NM_E_ARGUMENT for a time step other than 0.1 s; NM_E_MEMORY. Some 10 ms.
NM_API nm_status nm_audit_scene(const nm_scene *scene, const nm_audit_case *about, nm_arena *arena,
                                nm_audit_report *report, nm_error *error);

/// The row against the scene and against itself, and the stored verdicts against what was found: row, judgement,
/// `stored`, `differs` and `remark`.
NM_API void nm_audit_row(const nm_scene *scene, const nm_audit_case *about, const nm_generated *row,
                         nm_audit_report *report);

/// Makes the scene again and compares: `again`, and the remark when it is another one or cannot be made.
/// work    a scene that was made with a model which it does not have is unjudged, with a remark
/// parent  the scene that provenance.parent names; NULL when it is not to be had: then likewise
NM_API void nm_audit_again(nm_case_work *work, const nm_scene *scene, const nm_scene *parent, nm_audit_report *report);

/// The scene that a generated one was made from, when its row says how it is built: a built-in map and seed. *parent is
/// the caller's; NULL when the row does not say. Errors of nm_builtin_scene.
NM_API nm_status nm_audit_build_parent(const nm_scene *scene, const nm_scene **parent, nm_error *error);

// --- whole stores ----------------------------------------------------------------------------------------------------

#define NM_AUDIT_WORST 10u
typedef struct nm_audit_worst {
    int64_t scene;
    double value, limit;
} nm_audit_worst;

typedef struct nm_audit_total {
    uint64_t scenes;  ///< judged
    uint64_t allowed; ///< beyond the limit, as the kind has it
    uint64_t broken;
    double value, limit; ///< the worst one, relative to its limit; of those allowed only when nothing else was judged
    int64_t worst_scene; ///< 0 = none
    nm_audit_worst worst[NM_AUDIT_WORST]; ///< [worst_count] broken ones, worst first, then by scene
    uint32_t worst_count;
    uint64_t differs;     ///< scenes whose stored value is another
    int64_t differing;    ///< the one that differs most, 0 = none
    double found, stored; ///< of that one
} nm_audit_total;

typedef struct nm_audit_totals {
    uint64_t scenes, broken; ///< generated scenes; of them with any violation
    uint64_t unreadable;     ///< scenes and rows that could not be read: violations, too
    nm_audit_total check[NM_AUDIT_COUNT];
    char remark[200]; ///< of the first scene that has one; "" = none
} nm_audit_totals;

/// Fill with nm_audit_config_default(). Everything is borrowed.
typedef struct nm_audit_config {
    const char *store;
    const char *where;   ///< as nm_query.where; NULL = all
    const char *from;    ///< store with the parents of what is made again; NULL = none
    uint64_t regenerate; ///< how many are made again, drawn at random; default 0
    uint64_t seed;       ///< of that draw
    nm_model *model;     ///< nullable: for scenes of the diffusion generator, which else are not made again; makes one
                         ///< scene at a time
    const nm_recipe *recipe;
    int (*stop)(void *context); ///< nullable: not 0 ends with NM_E_CANCELLED
    void *stop_context;
    void (*progress)(void *context, uint64_t done, uint64_t all); ///< nullable; from one thread
    void *progress_context;
} nm_audit_config;
NM_API nm_audit_config nm_audit_config_default(void);

/// Audits the generated scenes of a store; the result is the same for any number of threads. NM_E_NOT_FOUND when there
/// are none. A scene that cannot be read is counted, not an error.
NM_API nm_status nm_audit_run(const nm_audit_config *config, nm_thread_pool *pool, nm_audit_totals *totals,
                              nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
