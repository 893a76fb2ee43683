#include "scenarios/evaluation_summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---------------------------------------------------------------------------------------------------------------------
// Distributions

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t count, double share) {
    const double at = share * (double)(count - 1);
    const size_t below = (size_t)at;
    if (below + 1 >= count) return sorted[count - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

nm_distribution nm_distribution_of(double *values, size_t count) {
    nm_distribution d = {count, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    if (!count) return d;
    qsort(values, count, sizeof *values, ascending);
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < count; ++i) sum += values[i];
    d.mean = sum / (double)count;
    for (size_t i = 0; i < count; ++i) squares += (values[i] - d.mean) * (values[i] - d.mean);
    if (count > 1) d.deviation = sqrt(squares / (double)(count - 1));
    d.least = values[0];
    d.p05 = quantile(values, count, 0.05);
    d.p25 = quantile(values, count, 0.25);
    d.median = quantile(values, count, 0.5);
    d.p75 = quantile(values, count, 0.75);
    d.p95 = quantile(values, count, 0.95);
    d.most = values[count - 1];
    return d;
}

// ---------------------------------------------------------------------------------------------------------------------
// Planners

double nm_evaluation_score_of(const nm_results_row *row) {
    switch (row->episode.outcome) {
    case NM_EPISODE_DONE:
        return row->episode.score.score;
    case NM_EPISODE_FAILED:
        return 0.0;
    default:
        return NAN;
    }
}

static void add_row(nm_evaluation_part *part, const nm_results_row *row) {
    const nm_episode *e = &row->episode;
    if (e->outcome == NM_EPISODE_UNFIT) {
        part->unfit++;
        return;
    }
    part->scenes++;
    part->score += nm_evaluation_score_of(row);
    if (e->outcome == NM_EPISODE_FAILED) {
        part->failed++;
        return;
    }
    part->staged += e->staged != 0;
    part->met += e->met != 0;
    part->avoidable += e->met && e->avoid == NM_AVOID_AVOIDABLE;
    part->collided += e->score.metric[NM_NUPLAN_COLLISIONS].value < 1.0;
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) part->metric[m] += e->score.metric[m].value;
}

static void divide(nm_evaluation_part *part) {
    part->score = part->scenes ? part->score / (double)part->scenes : NAN;
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m)
        part->metric[m] = part->scenes ? part->metric[m] / (double)part->scenes : NAN;
}

static void count_contacts(nm_evaluation_sum *planner, const nm_episode *e) {
    for (uint32_t i = 0; i < e->collision_count; ++i) {
        const nm_nuplan_collision *c = &e->collisions[i];
        planner->by_class[c->collision_class][c->at_fault != 0]++;
        planner->by_type[c->type][c->at_fault != 0]++;
    }
}

nm_status nm_evaluation_mean(const double *values, const uint32_t *group, size_t count,
                             const nm_bootstrap_config *bootstrap, nm_arena *arena, nm_estimate *mean,
                             nm_error *error) {
    *mean = (nm_estimate){.value = NAN, .low = NAN, .high = NAN};
    if (!count) return NM_OK;
    const nm_bootstrap_config usual = nm_bootstrap_config_default();
    size_t groups = count;
    for (size_t i = 0; group && i < count; ++i) groups = group[i] >= groups ? (size_t)group[i] + 1 : groups;
    const nm_arena_mark mark = nm_arena_get_mark(arena);
    double *sums = nm_arena_calloc(arena, groups, sizeof *sums, 64);
    double *counts = nm_arena_calloc(arena, groups, sizeof *counts, 64);
    nm_status status =
        sums && counts ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for the summary of an evaluation");
    for (size_t i = 0; status == NM_OK && i < count; ++i) {
        sums[group ? group[i] : i] += values[i];
        counts[group ? group[i] : i] += 1.0;
    }
    if (status == NM_OK)
        status = nm_bootstrap_ratio(sums, counts, groups, 1, bootstrap ? bootstrap : &usual, mean, error);
    nm_arena_release(arena, mark);
    return status;
}

const char *nm_evaluation_adversary_of(const nm_results_row *row) {
    return row->adversary ? row->adversary : "";
}

int nm_evaluation_row_order(const void *a, const void *b) {
    const nm_results_row *x = a, *y = b;
    if (x->scene != y->scene) return x->scene < y->scene ? -1 : 1;
    return strcmp(nm_evaluation_adversary_of(x), nm_evaluation_adversary_of(y));
}

uint32_t nm_evaluation_group_of(const nm_evaluation_entrant *entrant, size_t row) {
    if (entrant->group) return entrant->group[row];
    while (row > 0 && entrant->rows[row - 1].scene == entrant->rows[row].scene) --row;
    return (uint32_t)row;
}

/// Place of a name in an ascending list that has it.
static size_t index_of(const char *const *names, size_t count, const char *name) {
    size_t low = 0, high = count;
    while (low + 1 < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(names[middle], name) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/// Working memory, [rows of the entrant with most] each.
typedef struct work {
    double *values;
    uint32_t *group;
    nm_arena *arena;
} work;

/// Of scenes driven to the end. values: of working memory.
static void sum_danger(const nm_evaluation_entrant *entrant, double *values, nm_evaluation_sum *planner) {
    for (int m = 0; m < NM_EGO_MEASURE_COUNT; ++m) {
        size_t count = 0;
        planner->measured = 0;
        for (size_t i = 0; i < entrant->count; ++i) {
            const nm_episode *e = &entrant->rows[i].episode;
            if (e->outcome != NM_EPISODE_DONE || isnan(e->danger.value[m])) continue;
            planner->measured++;
            if (isfinite(e->danger.value[m])) values[count++] = (double)e->danger.value[m];
        }
        planner->danger[m] = nm_distribution_of(values, count);
    }
}

static nm_status sum_up(const nm_evaluation_entrant *entrant, const nm_evaluation_summary *summary,
                        const nm_bootstrap_config *bootstrap, const work *w, nm_evaluation_sum *planner,
                        nm_error *error) {
    double *values = w->values;
    size_t count = 0, with_ttc = 0, planned = 0;
    planner->plan_most = NAN;
    for (size_t i = 0; i < entrant->count; ++i) {
        const nm_results_row *row = &entrant->rows[i];
        add_row(&planner->all, row);
        add_row(&planner->types[index_of(summary->types, summary->type_count, row->type)], row);
        add_row(&planner->adversaries[index_of(summary->adversaries, summary->adversary_count,
                                               nm_evaluation_adversary_of(row))],
                row);
        if (row->episode.outcome == NM_EPISODE_UNFIT) continue;
        w->group[count] = nm_evaluation_group_of(entrant, i);
        values[count++] = nm_evaluation_score_of(row);
        count_contacts(planner, &row->episode);
        planner->plan_most = fmax(planner->plan_most, row->episode.plan_max); // NaN counts as nothing
    }
    divide(&planner->all);
    for (size_t t = 0; t < summary->type_count; ++t) divide(&planner->types[t]);
    for (size_t k = 0; k < summary->adversary_count; ++k) divide(&planner->adversaries[k]);
    const nm_status status = nm_evaluation_mean(values, w->group, count, bootstrap, w->arena, &planner->mean, error);
    planner->score = nm_distribution_of(values, count);
    for (size_t i = 0; i < entrant->count; ++i) {
        const nm_episode *e = &entrant->rows[i].episode;
        if (e->outcome != NM_EPISODE_UNFIT) values[planned++] = e->plan_mean;
    }
    planner->plan_mean = nm_distribution_of(values, planned);
    for (size_t i = 0; i < entrant->count; ++i) {
        const nm_episode *e = &entrant->rows[i].episode;
        if (e->outcome != NM_EPISODE_DONE) continue;
        if (isfinite(e->min_ttc))
            values[with_ttc++] = (double)e->min_ttc;
        else
            planner->no_ttc++;
    }
    planner->min_ttc = nm_distribution_of(values, with_ttc);
    sum_danger(entrant, values, planner);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Pairs

static nm_status compare(const nm_evaluation_entrant *a, const nm_evaluation_entrant *b,
                         const nm_bootstrap_config *bootstrap, const work *w, nm_evaluation_pair *pair,
                         nm_error *error) {
    size_t count = 0;
    for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
        const nm_results_row *x = &a->rows[i], *y = &b->rows[j];
        const int order = nm_evaluation_row_order(x, y);
        i += order <= 0;
        j += order >= 0;
        if (order != 0) continue;
        const double difference = nm_evaluation_score_of(x) - nm_evaluation_score_of(y);
        if (isnan(difference)) continue;
        w->group[count] = nm_evaluation_group_of(a, i - 1);
        w->values[count++] = difference;
        pair->wins += difference > NM_EVALUATION_TIE;
        pair->losses += difference < -NM_EVALUATION_TIE;
    }
    pair->scenes = count;
    pair->ties = count - pair->wins - pair->losses;
    return nm_evaluation_mean(w->values, w->group, count, bootstrap, w->arena, &pair->difference, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// All together

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *type_of(const nm_results_row *row) {
    return row->type;
}

/// What the rows have for `of`, ascending, each once. NULL: no memory.
static const char **find_names(const nm_evaluation_entrant *entrants, size_t count, size_t rows,
                               const char *(*of)(const nm_results_row *), nm_arena *arena, size_t *found) {
    size_t n = 0;
    const char **names = NM_ARENA_ARRAY(arena, const char *, rows);
    *found = 0;
    if (!names) return NULL;
    for (size_t e = 0; e < count; ++e)
        for (size_t i = 0; i < entrants[e].count; ++i) names[n++] = of(&entrants[e].rows[i]);
    if (n) qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; ++i)
        if (i == 0 || strcmp(names[i], names[*found - 1]) != 0) names[(*found)++] = names[i];
    return names;
}

static int reserve(const nm_evaluation_entrant *entrants, size_t count, nm_arena *arena, nm_evaluation_summary *summary,
                   work *w) {
    size_t rows = 0, most = 0;
    for (size_t e = 0; e < count; ++e) {
        rows += entrants[e].count;
        most = entrants[e].count > most ? entrants[e].count : most;
    }
    *w = (work){NM_ARENA_ARRAY(arena, double, most), NM_ARENA_ARRAY(arena, uint32_t, most), arena};
    summary->planner_count = count;
    summary->planners = nm_arena_calloc(arena, count, sizeof *summary->planners, 64);
    summary->pairs = nm_arena_calloc(arena, count * (count + 1) / 2, sizeof *summary->pairs, 64);
    if (!w->values || !w->group || !summary->planners || !summary->pairs) return 0;
    summary->types = find_names(entrants, count, rows, type_of, arena, &summary->type_count);
    summary->adversaries =
        find_names(entrants, count, rows, nm_evaluation_adversary_of, arena, &summary->adversary_count);
    if (!summary->types || !summary->adversaries) return 0;
    for (size_t e = 0; e < count; ++e) {
        summary->planners[e].types =
            nm_arena_calloc(arena, summary->type_count, sizeof *summary->planners[e].types, 64);
        summary->planners[e].adversaries =
            nm_arena_calloc(arena, summary->adversary_count, sizeof *summary->planners[e].adversaries, 64);
        if (!summary->planners[e].types || !summary->planners[e].adversaries) return 0;
    }
    return 1;
}

nm_status nm_evaluation_summarize(const nm_evaluation_entrant *entrants, size_t count,
                                  const nm_bootstrap_config *bootstrap, nm_arena *arena, nm_evaluation_summary *summary,
                                  nm_error *error) {
    NM_ASSERT((entrants || !count) && arena && summary);
    work w;
    *summary = (nm_evaluation_summary){0};
    if (!reserve(entrants, count, arena, summary, &w))
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the summary of an evaluation");
    nm_status status = NM_OK;
    for (size_t e = 0; status == NM_OK && e < count; ++e)
        status = sum_up(&entrants[e], summary, bootstrap, &w, &summary->planners[e], error);
    for (size_t a = 0; a < count; ++a)
        for (size_t b = a + 1; status == NM_OK && b < count; ++b) {
            nm_evaluation_pair *pair = &summary->pairs[summary->pair_count++];
            pair->first = (uint32_t)a;
            pair->second = (uint32_t)b;
            status = compare(&entrants[a], &entrants[b], bootstrap, &w, pair, error);
        }
    return status;
}

typedef struct loser {
    double score, impact;
    size_t row;
} loser;

/// The hardest collision at fault, m/s; -1 without one.
static double impact_of(const nm_episode *e) {
    double most = -1.0;
    for (uint32_t i = 0; i < e->collision_count; ++i)
        if (e->collisions[i].at_fault) most = fmax(most, fmax(0.0, e->collisions[i].energy)); // NaN: of unknown force
    return most;
}

static int worst_first(const void *a, const void *b) {
    const loser *x = a, *y = b;
    if (x->score < y->score || x->score > y->score) return x->score < y->score ? -1 : 1;
    if (x->impact < y->impact || x->impact > y->impact) return x->impact > y->impact ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

size_t nm_evaluation_worst(const nm_evaluation_entrant *entrant, size_t most, size_t *rows) {
    loser *losers = malloc((entrant->count + 1) * sizeof *losers);
    if (!losers) return NM_EVALUATION_NO_MEMORY;
    size_t count = 0;
    for (size_t i = 0; i < entrant->count; ++i) {
        const double score = nm_evaluation_score_of(&entrant->rows[i]);
        if (score < 1.0 - NM_EVALUATION_TIE) losers[count++] = (loser){score, impact_of(&entrant->rows[i].episode), i};
    }
    qsort(losers, count, sizeof *losers, worst_first);
    if (count > most) count = most;
    for (size_t i = 0; i < count; ++i) rows[i] = losers[i].row;
    free(losers);
    return count;
}
