/// Results of evaluations: one SQLite file beside a report, which plain `sqlite3` opens and understands. Tables run,
/// episode, collision, loss, said and goal, views runs and episodes; scenarios/schema_results.sql and schema_losses.sql
/// name every column, and are in the file itself.
///
/// A file of an older schema is brought up to date when it is opened; what it lacks of an episode reads as not
/// measured.
///
/// WAL. Episodes go in within transactions, so a killed evaluation leaves whole rows and goes on where it was. One
/// nm_results per thread at a time; one writer at a time (NM_E_BUSY after 10 s of waiting). Errors name the file.
#ifndef NM_SCENARIOS_RESULTS_H
#define NM_SCENARIOS_RESULTS_H

#include "base/arena.h"
#include "scenarios/episode.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_results nm_results;

/// What makes a run the same run. Texts are the caller's.
typedef struct nm_results_run {
    const char *planner, *store, *program;
    const char *weights;   ///< what tells models and libraries of one name apart, such as hashes of their content
    const char *config;    ///< what the planner was handed; NULL = ""
    const char *adversary; ///< kind by which one agent is steered against it; NULL = ""
    nm_episode_agents agents;
    const char *idm;
    int perfect;
    float seconds, deadline;
    uint64_t seed;
} nm_results_run;

/// One episode. Texts: of a row that was read, allocated from the arena.
typedef struct nm_results_row {
    int64_t scene;       ///< id in the store
    uint64_t scene_hash; ///< of its content
    const char *name, *type;
    const char *adversary; ///< of the run, NULL or "" = nobody; of a row that is put without effect
    const char *said; ///< end of what a planner's program wrote to standard error before it failed; NULL or "": nothing
    nm_episode episode; ///< without a scene; of a row that was read: score, worst, values of scored metrics, counts,
                        ///< danger, collisions and losses; the sum of those at fault is in at_fault_vehicles
} nm_results_row;

/// Opens, or makes where it is missing when `create` is set. NM_E_NOT_FOUND, NM_E_FORMAT when it is no such file,
/// NM_E_VERSION for a newer one, NM_E_IO, NM_E_MEMORY.
NM_API nm_status nm_results_open(const char *path, int create, nm_results **results, nm_error *error);
NM_API void nm_results_close(nm_results *results); ///< rolls back what is open; NULL is fine
NM_API nm_status nm_results_begin(nm_results *results, nm_error *error);
NM_API nm_status nm_results_commit(nm_results *results, nm_error *error);
NM_API void nm_results_rollback(nm_results *results);

/// The run that is the same in everything, or a new one; it counts as not finished until nm_results_end_run. *id: its
/// row.
NM_API nm_status nm_results_begin_run(nm_results *results, const nm_results_run *run, int64_t *id, nm_error *error);
/// Takes all episodes of a run out.
NM_API nm_status nm_results_forget(nm_results *results, int64_t run, nm_error *error);
NM_API nm_status nm_results_end_run(nm_results *results, int64_t run, nm_error *error);
/// 1 = there is an episode of this scene in the run.
NM_API int nm_results_has(nm_results *results, int64_t run, int64_t scene);
/// The same. scene_hash [out, nullable]: of what was driven; 0 where the scene could not be read.
NM_API int nm_results_find(nm_results *results, int64_t run, int64_t scene, uint64_t *scene_hash);
/// Puts an episode in the place of one there may be.
NM_API nm_status nm_results_put(nm_results *results, int64_t run, const nm_results_row *row, nm_error *error);
/// All episodes of a run, ascending by scene, allocated from `arena`.
NM_API nm_status nm_results_rows(nm_results *results, int64_t run, nm_arena *arena, nm_results_row **rows,
                                 size_t *count, nm_error *error);
/// Keeps the rows of these scenes only, in place; both ascending by scene. Returns how many are left.
NM_API size_t nm_results_select(nm_results_row *rows, size_t count, const int64_t *scenes, size_t scene_count);

#ifdef __cplusplus
}
#endif
#endif
