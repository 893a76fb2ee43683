#include "scenarios/evaluation_worlds.h"

#include <math.h>
#include <string.h>

int nm_evaluation_apart(const nm_evaluation_pair *pair) {
    return (pair->difference.low > 0.0) - (pair->difference.high < 0.0); // NaN is neither
}

// ---------------------------------------------------------------------------------------------------------------------
// A planner in two worlds

/// Score, no collision at fault, progress: what a row counts with, 0 of a planner that failed.
static double counts_with(const nm_results_row *row, int what) {
    const nm_episode *e = &row->episode;
    if (what == 0) return nm_evaluation_score_of(row);
    if (e->outcome == NM_EPISODE_FAILED) return 0.0;
    return e->score.metric[what == 1 ? NM_NUPLAN_COLLISIONS : NM_NUPLAN_PROGRESS].value;
}

static nm_status shift(const nm_evaluation_entrant *from, const nm_evaluation_entrant *to,
                       const nm_bootstrap_config *bootstrap, nm_arena *arena, nm_evaluation_shift *out,
                       nm_error *error) {
    nm_estimate *const estimates[3] = {&out->score, &out->collisions, &out->progress};
    const nm_arena_mark mark = nm_arena_get_mark(arena);
    const size_t most = from->count < to->count ? from->count : to->count;
    double *values = NM_ARENA_ARRAY(arena, double, most);
    uint32_t *group = NM_ARENA_ARRAY(arena, uint32_t, most);
    nm_status status =
        values && group ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for the comparison of worlds");
    for (int what = 0; status == NM_OK && what < 3; ++what) {
        size_t count = 0;
        for (size_t i = 0, j = 0; i < from->count && j < to->count;) {
            const nm_results_row *x = &from->rows[i], *y = &to->rows[j];
            const int order = nm_evaluation_row_order(x, y);
            i += order <= 0;
            j += order >= 0;
            if (order != 0 || isnan(nm_evaluation_score_of(x)) || isnan(nm_evaluation_score_of(y))) continue;
            const double moved = counts_with(y, what) - counts_with(x, what);
            if (!isfinite(moved)) continue; // of a damaged file
            group[count] = nm_evaluation_group_of(from, i - 1);
            values[count++] = moved;
        }
        out->scenes = count;
        status = nm_evaluation_mean(values, group, count, bootstrap, arena, estimates[what], error);
    }
    nm_arena_release(arena, mark);
    return status;
}

/// The first world over the same scenes.
static size_t base_of(const nm_evaluation_world *worlds, size_t world) {
    size_t base = 0;
    while (base < world && strcmp(worlds[base].store, worlds[world].store) != 0) ++base;
    return base;
}

static nm_status shift_all(const nm_evaluation_world *worlds, size_t count, const nm_bootstrap_config *bootstrap,
                           nm_arena *arena, nm_evaluation_comparison *out, nm_error *error) {
    nm_status status = NM_OK;
    for (size_t w = 0; w < count; ++w) {
        const size_t base = base_of(worlds, w);
        for (size_t p = 0; status == NM_OK && base < w && p < worlds[w].summary->planner_count; ++p) {
            nm_evaluation_shift *s = &out->shifts[out->shift_count++];
            *s = (nm_evaluation_shift){.planner = (uint32_t)p, .from = (uint32_t)base, .to = (uint32_t)w};
            status = shift(&worlds[base].entrants[p], &worlds[w].entrants[p], bootstrap, arena, s, error);
        }
    }
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Rankings

/// Which of a pair has the higher mean score.
static int order_of(const nm_evaluation_world *world, const nm_evaluation_pair *pair) {
    const double a = world->summary->planners[pair->first].all.score;
    const double b = world->summary->planners[pair->second].all.score;
    return (a > b + NM_EVALUATION_TIE) - (a < b - NM_EVALUATION_TIE);
}

/// Kendall 1945: the sum over pairs of the product of both orders, over the root of the product of how many pairs each
/// world orders.
static double tau_of(int64_t both, size_t first, size_t second) {
    return first && second ? (double)both / sqrt((double)first * (double)second) : NAN;
}

static nm_evaluation_agreement agreement(const nm_evaluation_world *worlds, uint32_t first, uint32_t second) {
    const nm_evaluation_world *a = &worlds[first], *b = &worlds[second];
    nm_evaluation_agreement out = {.first = first, .second = second};
    int64_t both[2] = {0, 0};
    size_t ordered[2][2] = {{0, 0}, {0, 0}}; // [by means, by intervals][world]
    for (size_t i = 0; i < a->summary->pair_count; ++i) {
        const nm_evaluation_pair *x = &a->summary->pairs[i], *y = &b->summary->pairs[i];
        const int orders[2][2] = {{order_of(a, x), order_of(b, y)}, {nm_evaluation_apart(x), nm_evaluation_apart(y)}};
        for (int k = 0; k < 2; ++k) {
            both[k] += orders[k][0] * orders[k][1];
            ordered[k][0] += orders[k][0] != 0;
            ordered[k][1] += orders[k][1] != 0;
        }
        const int p = orders[1][0], q = orders[1][1];
        out.same += p * q > 0;
        out.opposite += p * q < 0;
        out.only_first += p && !q;
        out.only_second += !p && q;
        out.neither += !p && !q;
    }
    out.tau = tau_of(both[0], ordered[0][0], ordered[0][1]);
    out.tau_apart = tau_of(both[1], ordered[1][0], ordered[1][1]);
    return out;
}

static void rank_all(const nm_evaluation_world *worlds, size_t count, nm_evaluation_comparison *out) {
    for (size_t a = 0; a < count; ++a)
        for (size_t b = a + 1; b < count; ++b)
            out->agreements[out->agreement_count++] = agreement(worlds, (uint32_t)a, (uint32_t)b);
    for (size_t i = 0; count && i < worlds[0].summary->pair_count; ++i)
        for (size_t a = 0; a < count; ++a)
            for (size_t b = 0; b < count; ++b)
                if (!nm_evaluation_apart(&worlds[a].summary->pairs[i]) &&
                    nm_evaluation_apart(&worlds[b].summary->pairs[i]))
                    out->splits[out->split_count++] = (nm_evaluation_split){(uint32_t)i, (uint32_t)a, (uint32_t)b};
}

nm_status nm_evaluation_compare(const nm_evaluation_world *worlds, size_t count, const nm_bootstrap_config *bootstrap,
                                nm_arena *arena, nm_evaluation_comparison *out, nm_error *error) {
    NM_ASSERT((worlds || !count) && arena && out);
    *out = (nm_evaluation_comparison){0};
    if (!count) return NM_OK;
    const size_t planners = worlds[0].summary->planner_count, pairs = worlds[0].summary->pair_count;
    for (size_t w = 1; w < count; ++w) NM_ASSERT(worlds[w].summary->planner_count == planners);
    out->shifts = nm_arena_calloc(arena, count * planners, sizeof *out->shifts, 64);
    out->agreements = nm_arena_calloc(arena, count * count, sizeof *out->agreements, 64);
    out->splits = nm_arena_calloc(arena, count * count * pairs, sizeof *out->splits, 64);
    if (!out->shifts || !out->agreements || !out->splits)
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the comparison of worlds");
    rank_all(worlds, count, out);
    return shift_all(worlds, count, bootstrap, arena, out, error);
}
