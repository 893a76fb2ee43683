/// What a generated set holds: hours, kinds and severities, how far the parameters reach, the least times to collision,
/// yields, and what was rejected why; and its data sheet in Markdown.
#ifndef NM_SCENARIOS_SET_STATS_H
#define NM_SCENARIOS_SET_STATS_H

#include "scenarios/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A run of generation (nm_store_begin_generation).
typedef struct nm_set_run {
    int64_t id;
    const char *parameters, *command, *program, *started, *finished; ///< finished "" = not
    uint64_t seed, attempts, kept, scenes;                           ///< scenes: in the store now
} nm_set_run;

/// Scenes asked for alike.
typedef struct nm_set_group {
    nm_kind kind;
    const char *generator, *severity, *label;
    uint64_t scenes;
    uint64_t confirmed; ///< those in which mining found an event of the kind asked for
    double hours;
} nm_set_group;

/// What the attempts for one kind by one generator came to.
typedef struct nm_set_yield {
    nm_kind kind;
    const char *generator;
    uint64_t attempts, kept;
} nm_set_yield;

typedef struct nm_set_reject {
    const char *generator, *reason;
    uint64_t count;
} nm_set_reject;

/// The same for one kind.
typedef struct nm_set_reason {
    nm_kind kind;
    const char *generator, *reason;
    uint64_t count;
} nm_set_reason;

/// How good what one generator made is: for one kind, or over all kinds.
typedef struct nm_set_quality {
    nm_kind kind; ///< NM_KIND_COUNT = all
    const char *generator;
    uint64_t scenes;
    uint64_t near_misses, collisions; ///< of them, asked for
    uint64_t unavoidable;             ///< for the reference driver
    double min_ttc;                   ///< s, median of those that have one; NaN without any
    double realism;                   ///< nats, mean of the verdicts (nm_realism_of_motion); NaN without any
    uint64_t realism_scenes;          ///< that have such a verdict
    /// Mean distance between the features of two scenes (nm_scene_feature) of a kind, over pairs of NM_SET_SAMPLE
    /// scenes spread over the set; over all kinds the mean of these, weighted by scenes. NaN with less than two.
    double diversity;
} nm_set_quality;
#define NM_SET_SAMPLE 200

/// Where scenes were made from: the source of their parents, by hash; of parents that are not in the store as the
/// scene's own parameters name it ("parent_source"); "" when nothing says, or there was no parent.
typedef struct nm_set_source {
    const char *source, *parent; ///< source of the scene itself, and of its parent
    uint64_t scenes;
} nm_set_source;

#define NM_SET_PARAMETER_BINS 10
/// One number asked for with one kind. Only numbers of at most 1e30 count.
typedef struct nm_set_parameter {
    nm_kind kind;
    const char *name;
    uint64_t requested, achieved;                        ///< how many scenes have it; min_ttc is asked for as a range
                                                         ///< alone
    double low, high;                                    ///< range asked for; NaN when nothing was. See below
    double achieved_low, achieved_median, achieved_high; ///< NaN without any
    /// Kolmogorov-Smirnov statistic, 0 to 1: largest difference between the distribution of what was achieved and that
    /// which was asked for, which is uniform over the range or as the sampling asked for makes it, each severity and
    /// run as often as there are scenes of it. Where no run says: that of the numbers asked for with the scenes. NaN
    /// without either, and where a single value was asked for.
    double ks;
    uint64_t bins[NM_SET_PARAMETER_BINS]; ///< achieved, in equal parts of [low, high]
    uint64_t outside;                     ///< achieved, below or above it
} nm_set_parameter;
// low, high: as the parameters of the runs say, over all runs and those severities of which there are scenes; where no
// run says, the least and the largest number asked for with a scene.

/// % of the bins that hold a scene; NaN where [low, high] is a single value, or nothing.
NM_API double nm_set_covered(const nm_set_parameter *parameter);

#define NM_SET_TTC_BINS 20
#define NM_SET_TTC_WIDTH 0.25 ///< s

typedef struct nm_set_stats {
    uint64_t scenes, mined; ///< of the set
    double hours;
    uint64_t bytes;                                  ///< of the file, everything else in it included
    uint64_t collisions;                             ///< scenes in which mining found one
    double duration_low, duration_high;              ///< s, of the scenes; NaN without any
    uint64_t ttc[NM_SET_TTC_BINS];                   ///< mined scenes by least time to collision: [i w, (i + 1) w) s
    uint64_t ttc_above, ttc_none;                    ///< at least NM_SET_TTC_BINS w; none at all
    uint64_t detected[NM_KIND_COUNT][NM_KIND_COUNT]; ///< [asked for][found]: scenes with such an event
    /// [asked for][found], each scene once: the kind asked for where mining found it between ego and adversary, each in
    /// the role that was meant; else the most severe other kind that it found between the two, near_miss and collision
    /// only where there is nothing else; else [NM_KIND_COUNT]. Scenes whose parameters name ego and adversary.
    uint64_t confusion[NM_KIND_COUNT][NM_KIND_COUNT + 1];
    uint64_t also[NM_KIND_COUNT][NM_KIND_COUNT]; ///< scenes in which there was that other kind between the two
    nm_set_run *runs;                            ///< by id
    nm_set_group *groups;                        ///< by kind, generator, severity, label
    nm_set_yield *yields;                        ///< by kind, generator
    nm_set_reject *rejects;                      ///< most frequent first
    nm_set_reason *reasons;                      ///< by kind, generator; most frequent first
    nm_set_parameter *parameters;                ///< by kind, name
    nm_set_quality *qualities;                   ///< by kind, generator; then those over all kinds, by generator
    nm_set_source *sources;                      ///< what the scenes were made from, most frequent first
    size_t run_count, group_count, yield_count, reject_count, reason_count, parameter_count, source_count,
        quality_count;
} nm_set_stats;

/// % of the scenes of a kind that are what was asked for, by `confusion`; NaN without any. scenes [out, nullable].
NM_API double nm_set_right(const nm_set_stats *stats, nm_kind kind, uint64_t *scenes);

/// Attempts for a kind in whose scenes the detectors did not see it (NM_REJECT_NOT_FOUND): none of them was kept.
NM_API uint64_t nm_set_not_found(const nm_set_stats *stats, nm_kind kind);

/// Counts over the scenes that have a row in `generated`; all zero when there is none. Everything is allocated from
/// `arena`. O(scenes of the set). Rows that another program wrote may say anything: a negative count counts as 0, a sum
/// is at most 2^53, what is not JSON as an empty object.
NM_API nm_status nm_set_stats_read(nm_store *store, nm_arena *arena, nm_set_stats *stats, nm_error *error);

/// Writes the data sheet: what it is, how it was made (command, seed, versions), sources and their terms, counts,
/// parameters, times to collision, yields, and limits. `name` is the set's, for the title; pictures [nullable]: folder,
/// relative to the sheet, in which the plots of `nearmiss stats --plots` lie. The file appears under its name when it
/// is complete. NM_E_IO, NM_E_MEMORY.
NM_API nm_status nm_data_sheet_write(const nm_set_stats *stats, const char *name, const char *pictures,
                                     const char *path, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
