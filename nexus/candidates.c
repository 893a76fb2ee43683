#include "nexus/candidates.h"

#include "base/rng.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const choice_names[] = {"sampled", "best"};
#define CHOICE_COUNT (sizeof choice_names / sizeof *choice_names)

const char *nm_candidate_choice_name(nm_candidate_choice choice) {
    NM_ASSERT((size_t)choice < CHOICE_COUNT);
    return choice_names[choice];
}

nm_status nm_candidate_choice_parse(const char *text, nm_candidate_choice *c, nm_error *error) {
    for (size_t i = 0; i < CHOICE_COUNT; ++i) {
        if (strcmp(text, choice_names[i])) continue;
        *c = (nm_candidate_choice)i;
        return NM_OK;
    }
    char shown[96];
    nm_text_escape(shown, sizeof shown, text);
    return NM_ERROR(error, NM_E_ARGUMENT, "candidates are chosen sampled or best, not \"%s\"", shown);
}

nm_candidates_config nm_candidates_config_default(void) {
    return (nm_candidates_config){.count = 1, .first = 1.0, .last = 1.0, .temperature = 1.0};
}

nm_status nm_candidates_config_check(const nm_candidates_config *c, nm_error *error) {
    if (c->count < 1 || c->count > NM_CANDIDATES_MOST)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u candidates, not 1..%u", c->count, NM_CANDIDATES_MOST);
    if (!(c->first >= 0.0 && c->first <= c->last && c->last <= 1.0))
        return NM_ERROR(error, NM_E_ARGUMENT, "the window is %g..%g, not inside 0..1", c->first, c->last);
    if (!(c->temperature > 0.0 && isfinite(c->temperature)))
        return NM_ERROR(error, NM_E_ARGUMENT, "the temperature is %g, not above 0", c->temperature);
    if ((size_t)c->choice >= CHOICE_COUNT) return NM_ERROR(error, NM_E_ARGUMENT, "no such choice of candidates");
    if (c->count > 1 && !c->energy) return NM_ERROR(error, NM_E_ARGUMENT, "candidates want an energy");
    return NM_OK;
}

/// The pass after which something happens that a share of `passes` stands for; a share such as 0.1 of 20 is 2.
static uint64_t pass_of(double share, uint64_t passes) {
    const double exact = share * (double)passes, pass = ceil(exact - 1e-9);
    return pass < 1.0 ? 1 : (uint64_t)pass;
}

uint64_t nm_candidates_cost(const nm_candidates_config *config, uint64_t passes) {
    if (config->count == 1 || passes == 0) return passes;
    const uint64_t last = pass_of(config->last, passes);
    return last * config->count + (passes - last);
}

// ---------------------------------------------------------------------------------------------------------------------
// Weights

double nm_candidate_weights(uint32_t count, const double *log_weights, double *weights) {
    double most = log_weights[0], sum = 0.0, squares = 0.0;
    for (uint32_t k = 1; k < count; ++k) most = fmax(most, log_weights[k]);
    for (uint32_t k = 0; k < count; ++k) sum += weights[k] = exp(log_weights[k] - most);
    for (uint32_t k = 0; k < count; ++k) {
        weights[k] /= sum;
        squares += weights[k] * weights[k];
    }
    return fmin(1.0 / squares, (double)count);
}

uint32_t nm_candidate_draw(uint32_t count, const double *weights, double u) {
    double sum = 0.0;
    uint32_t last = 0; // that has a weight: where the sum stays below u by rounding
    for (uint32_t k = 0; k < count; ++k) {
        sum += weights[k];
        if (u < sum) return k;
        if (weights[k] > 0.0) last = k;
    }
    return last;
}

void nm_candidate_resample(uint32_t count, const double *weights, double u, uint32_t *from) {
    uint32_t times[NM_CANDIDATES_MOST] = {0};
    NM_ASSERT(count >= 1 && count <= NM_CANDIDATES_MOST);
    for (uint32_t i = 0; i < count; ++i) times[nm_candidate_draw(count, weights, ((double)i + u) / count)]++;
    for (uint32_t k = 0; k < count; ++k) {
        from[k] = k;
        if (times[k])
            times[k]--;
        else
            from[k] = UINT32_MAX; // free
    }
    for (uint32_t k = 0, next = 0; k < count; ++k) {
        if (from[k] != UINT32_MAX) continue;
        while (!times[next]) ++next;
        times[next]--;
        from[k] = next;
    }
}

uint64_t nm_candidate_key(uint64_t key, uint32_t k) {
    return k ? nm_hash64(key ^ nm_hash64(k)) : key;
}

// ---------------------------------------------------------------------------------------------------------------------
// A run

struct nm_candidates {
    nm_candidates_config config;
    uint64_t seed;
    uint32_t room, futures;
    uint64_t passes, first, last, done;
    uint64_t *keys;  ///< [room]
    double *energy;  ///< [room * K] at this pass
    double *counted; ///< [room * K] what the weights hold of the energy already: that of the ancestor when resampled
    nm_candidate_report *reports; ///< [room]
};

nm_status nm_candidates_create(const nm_candidates_config *config, uint32_t futures, uint64_t seed,
                               nm_candidates **candidates, nm_error *error) {
    *candidates = NULL;
    const nm_status status = nm_candidates_config_check(config, error);
    if (status != NM_OK) return status;
    nm_candidates *c = calloc(1, sizeof *c);
    const size_t all = (size_t)futures * config->count;
    if (c) {
        c->config = *config;
        c->seed = seed;
        c->room = futures;
        c->keys = calloc(futures, sizeof *c->keys);
        c->energy = calloc(all, sizeof *c->energy);
        c->counted = calloc(all, sizeof *c->counted);
        c->reports = calloc(futures, sizeof *c->reports);
    }
    if (!c || !c->keys || !c->energy || !c->counted || !c->reports) {
        nm_candidates_destroy(c);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the candidates of %u futures", futures);
    }
    *candidates = c;
    return NM_OK;
}

void nm_candidates_destroy(nm_candidates *c) {
    if (!c) return;
    free(c->keys);
    free(c->energy);
    free(c->counted);
    free(c->reports);
    free(c);
}

void nm_candidates_begin(nm_candidates *c, const uint64_t *keys, uint32_t futures, uint64_t passes) {
    NM_ASSERT(futures <= c->room);
    c->futures = futures;
    c->passes = passes;
    c->last = pass_of(c->config.last, passes);
    c->first = c->config.choice == NM_CHOOSE_BEST ? c->last : pass_of(c->config.first, passes);
    c->done = 0;
    memcpy(c->keys, keys, futures * sizeof *keys);
    memset(c->counted, 0, (size_t)futures * c->config.count * sizeof *c->counted);
    memset(c->reports, 0, futures * sizeof *c->reports);
}

/// A number for each future and pass.
static double draw(const nm_candidates *c, uint32_t future) {
    const nm_rng_key key = {
        .seed = c->seed, .scene = c->keys[future], .step = (uint32_t)c->done, .purpose = NM_PURPOSE_CHOICE};
    return (double)nm_rng_uniform(&key, 0);
}

static double weigh(const nm_candidates *c, uint32_t future, double *weights) {
    const uint32_t count = c->config.count;
    const double *energy = c->energy + (size_t)future * count, *counted = c->counted + (size_t)future * count;
    double logs[NM_CANDIDATES_MOST];
    for (uint32_t k = 0; k < count; ++k) logs[k] = -(energy[k] - counted[k]) / c->config.temperature;
    return nm_candidate_weights(count, logs, weights);
}

static void resample(nm_candidates *c, nm_sampler *sampler, uint32_t future) {
    const uint32_t count = c->config.count, at = future * count;
    double weights[NM_CANDIDATES_MOST];
    uint32_t from[NM_CANDIDATES_MOST];
    if (weigh(c, future, weights) >= 0.5 * count) return;
    nm_candidate_resample(count, weights, draw(c, future), from);
    for (uint32_t k = 0; k < count; ++k) { // whoever is copied stays where it is
        if (from[k] != k) nm_sampler_copy_scene(sampler, at + from[k], at + k);
        c->counted[at + k] = c->energy[at + from[k]];
    }
    c->reports[future].resampled++;
}

static void choose(nm_candidates *c, uint32_t future) {
    const uint32_t count = c->config.count;
    const double *energy = c->energy + (size_t)future * count;
    nm_candidate_report *report = &c->reports[future];
    double weights[NM_CANDIDATES_MOST];
    report->effective = weigh(c, future, weights);
    report->chosen = 0;
    if (c->config.choice == NM_CHOOSE_SAMPLED) report->chosen = nm_candidate_draw(count, weights, draw(c, future));
    for (uint32_t k = 0; k < count; ++k) {
        report->mean_energy += energy[k] / count;
        if (c->config.choice == NM_CHOOSE_BEST && energy[k] < energy[report->chosen]) report->chosen = k;
    }
    report->energy = energy[report->chosen];
}

nm_status nm_candidates_after_pass(nm_candidates *c, nm_sampler *sampler, int *chosen, nm_error *error) {
    *chosen = 0;
    c->done++;
    if (c->done < c->first || c->done > c->last) return NM_OK;
    const nm_sampler_state state = nm_sampler_get(sampler);
    NM_ASSERT(state.in.scene_count == c->futures * c->config.count);
    const nm_status status = c->config.energy(c->config.context, &state.in, state.x0, c->energy, error);
    if (status != NM_OK) return status;
    for (uint32_t i = 0; i < state.in.scene_count; ++i)
        if (!isfinite(c->energy[i]))
            return NM_ERROR(error, NM_E_NUMERIC, "the energy of candidate %u of future %u is not finite",
                            i % c->config.count, i / c->config.count);
    *chosen = c->done == c->last;
    for (uint32_t i = 0; i < c->futures; ++i) {
        if (*chosen)
            choose(c, i);
        else
            resample(c, sampler, i);
    }
    return NM_OK;
}

const nm_candidate_report *nm_candidates_report(const nm_candidates *c, uint32_t future) {
    NM_ASSERT(future < c->futures);
    return &c->reports[future];
}
