/// Bootstrap over groups: draws, and their percentiles.
#include "sim/metrics/interval.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

#define MAX_DRAWS 1000000u

typedef struct bootstrap {
    const double *numerator, *denominator; // [][parts]
    const size_t *groups;                  // [count] those that counted anything
    size_t count, parts;
    double *top, *bottom; // [parts] of the resample at work
} bootstrap;

nm_bootstrap_config nm_bootstrap_config_default(void) {
    return (nm_bootstrap_config){.draws = 2000, .low = 0.025, .high = 0.975};
}

static void take(bootstrap *b, size_t index) {
    const size_t at = b->groups[index] * b->parts;
    for (size_t p = 0; p < b->parts; ++p) {
        b->top[p] += b->numerator[at + p];
        b->bottom[p] += b->denominator[at + p];
    }
}

static void clear(bootstrap *b) {
    for (size_t p = 0; p < b->parts; ++p) b->top[p] = b->bottom[p] = 0.0;
}

/// Of what was taken. There is always a part that counts: every group that can be taken has one.
static double score(const bootstrap *b) {
    double sum = 0.0;
    size_t count = 0;
    for (size_t p = 0; p < b->parts; ++p) {
        if (!(b->bottom[p] > 0.0)) continue;
        sum += b->top[p] / b->bottom[p];
        count++;
    }
    NM_ASSERT(count > 0);
    return sum / (double)count;
}

static double draw(bootstrap *b, uint64_t seed, uint32_t number) {
    clear(b);
    for (size_t i = 0; i < b->count; ++i) {
        const nm_rng_key key = {.seed = seed, .agent = (uint32_t)i, .step = number, .purpose = NM_PURPOSE_BOOTSTRAP};
        take(b, nm_rng_below(&key, 0, (uint32_t)b->count));
    }
    return score(b);
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const double *sorted, uint32_t count, double share) {
    const double place = share * (double)(count - 1);
    const uint32_t below = (uint32_t)place, above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

static nm_status check(const double *numerator, const double *denominator, size_t groups, size_t parts,
                       const nm_bootstrap_config *config, nm_error *error) {
    if (groups > UINT32_MAX || parts == 0)
        return NM_ERROR(error, NM_E_ARGUMENT, "a bootstrap over %zu groups of %zu parts", groups, parts);
    if (config->draws == 0 || config->draws > MAX_DRAWS)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u resamples: 1 to %u are possible", config->draws, MAX_DRAWS);
    if (!(config->low >= 0.0 && config->low <= config->high && config->high <= 1.0))
        return NM_ERROR(error, NM_E_ARGUMENT, "an interval from %g to %g is not within [0, 1]", config->low,
                        config->high);
    for (size_t i = 0; i < groups * parts; ++i)
        if (!isfinite(numerator[i]) || !isfinite(denominator[i]) || denominator[i] < 0.0)
            return NM_ERROR(error, NM_E_ARGUMENT, "group %zu, part %zu: %g / %g is no share of a ratio", i / parts,
                            i % parts, numerator[i], denominator[i]);
    return NM_OK;
}

static size_t find_groups(const double *denominator, size_t groups, size_t parts, size_t *found) {
    size_t count = 0;
    for (size_t g = 0; g < groups; ++g) {
        int counts = 0;
        for (size_t p = 0; p < parts; ++p) counts |= denominator[g * parts + p] > 0.0;
        if (counts) found[count++] = g;
    }
    return count;
}

nm_status nm_bootstrap_ratio(const double *numerator, const double *denominator, size_t groups, size_t parts,
                             const nm_bootstrap_config *config, nm_estimate *estimate, nm_error *error) {
    NM_ASSERT((groups == 0 || (numerator && denominator)) && config && estimate);
    nm_status status = check(numerator, denominator, groups, parts, config, error);
    if (status != NM_OK) return status;
    size_t *found = calloc(groups + 1, sizeof *found);
    double *sums = calloc(parts, 2 * sizeof *sums), *draws = calloc(config->draws, sizeof *draws);
    bootstrap b = {.numerator = numerator, .denominator = denominator, .groups = found, .parts = parts};
    if (!found || !sums || !draws) {
        status = NM_ERROR(error, NM_E_MEMORY, "no memory for a bootstrap over %zu groups", groups);
    } else if ((b.count = find_groups(denominator, groups, parts, found)) == 0) {
        status = NM_ERROR(error, NM_E_NOT_FOUND, "nothing was counted in any of %zu groups", groups);
    } else {
        b.top = sums, b.bottom = sums + parts;
        for (size_t i = 0; i < b.count; ++i) take(&b, i);
        estimate->value = score(&b);
        estimate->groups = (uint32_t)b.count;
        for (uint32_t i = 0; i < config->draws; ++i) draws[i] = draw(&b, config->seed, i);
        qsort(draws, config->draws, sizeof *draws, compare);
        estimate->low = percentile(draws, config->draws, config->low);
        estimate->high = percentile(draws, config->draws, config->high);
    }
    free(found);
    free(sums);
    free(draws);
    return status;
}
