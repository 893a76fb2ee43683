#include "nexus/energy_trainer.h"

#include "base/rng.h"
#include "nexus/energy_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FUTURES = 64 };

typedef struct set_agent {
    uint32_t count; ///< rows of a future
    float *rows;    ///< [1 + futures][count][NM_ENERGY_ROW]
} set_agent;

typedef struct moment {
    uint64_t first; ///< agent; up to that of the next moment
    int held;
} moment;

struct nm_energy_set {
    uint32_t futures;
    set_agent *agents;
    moment *moments;
    uint64_t agent_count, agent_room, moment_count, moment_room;
};

nm_status nm_energy_set_create(uint32_t futures, nm_energy_set **set, nm_error *error) {
    *set = NULL;
    if (futures < 1 || futures > MOST_FUTURES)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u futures of each moment, not 1..%d", futures, MOST_FUTURES);
    nm_energy_set *s = calloc(1, sizeof *s);
    if (!s) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the examples of an energy");
    s->futures = futures;
    *set = s;
    return NM_OK;
}

void nm_energy_set_destroy(nm_energy_set *s) {
    if (!s) return;
    for (uint64_t i = 0; i < s->agent_count; ++i) free(s->agents[i].rows);
    free(s->agents);
    free(s->moments);
    free(s);
}

static nm_status grow(void **array, size_t size, uint64_t count, uint64_t *room, nm_error *error) {
    if (count < *room) return NM_OK;
    const uint64_t more = *room ? 2 * *room : 256;
    void *grown = realloc(*array, more * size);
    if (!grown) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the examples of an energy");
    *array = grown;
    *room = more;
    return NM_OK;
}

nm_status nm_energy_set_begin(nm_energy_set *s, int held, nm_error *error) {
    if (s->moment_count && s->moments[s->moment_count - 1].first == s->agent_count) { // nobody was in it
        s->moments[s->moment_count - 1].held = held != 0;
        return NM_OK;
    }
    void *array = s->moments;
    const nm_status status = grow(&array, sizeof *s->moments, s->moment_count, &s->moment_room, error);
    s->moments = array;
    if (status == NM_OK) s->moments[s->moment_count++] = (moment){.first = s->agent_count, .held = held != 0};
    return status;
}

nm_status nm_energy_set_add(nm_energy_set *s, uint32_t count, float **rows, nm_error *error) {
    NM_ASSERT(count >= 1 && s->moment_count);
    void *array = s->agents;
    const nm_status status = grow(&array, sizeof *s->agents, s->agent_count, &s->agent_room, error);
    s->agents = array;
    if (status != NM_OK) return status;
    *rows = calloc((size_t)(1 + s->futures) * count * NM_ENERGY_ROW, sizeof **rows);
    if (!*rows) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the examples of an energy");
    s->agents[s->agent_count++] = (set_agent){.count = count, .rows = *rows};
    return NM_OK;
}

static uint64_t end_of(const nm_energy_set *s, uint64_t m) {
    return m + 1 < s->moment_count ? s->moments[m + 1].first : s->agent_count;
}

static int counts(const nm_energy_set *s, uint64_t m, int held) {
    return s->moments[m].held == (held != 0) && end_of(s, m) > s->moments[m].first;
}

uint32_t nm_energy_set_examples(const nm_energy_set *s, int held) {
    uint32_t count = 0;
    for (uint64_t m = 0; m < s->moment_count; ++m) count += (uint32_t)counts(s, m, held);
    return count;
}

uint64_t nm_energy_set_agents(const nm_energy_set *s, int held) {
    uint64_t count = 0;
    for (uint64_t m = 0; m < s->moment_count; ++m)
        if (counts(s, m, held)) count += end_of(s, m) - s->moments[m].first;
    return count;
}

// ---------------------------------------------------------------------------------------------------------------------
// The loss

/// log(1 + sum exp(E_0 - E_i)) without overflow; shares[i] = exp(-E_i) / sum over all.
static double rank_loss(uint32_t count, const double *energy, double *shares) {
    double least = energy[0], sum = 0.0;
    for (uint32_t i = 1; i < count; ++i) least = fmin(least, energy[i]);
    for (uint32_t i = 0; i < count; ++i) sum += shares[i] = exp(least - energy[i]);
    for (uint32_t i = 0; i < count; ++i) shares[i] /= sum;
    return energy[0] - least + log(sum);
}

static void agent_energies(const nm_energy_set *s, const nm_energy *e, const set_agent *a, double *energy) {
    for (uint32_t i = 0; i <= s->futures; ++i)
        energy[i] = nm_energy_agent(e, a->rows + (size_t)i * a->count * NM_ENERGY_ROW, a->count, NULL);
}

double nm_energy_set_loss(const nm_energy_set *s, const nm_energy *e, uint64_t index, double *gradient) {
    NM_ASSERT(index < s->agent_count);
    const set_agent *a = &s->agents[index];
    double energy[1 + MOST_FUTURES], shares[1 + MOST_FUTURES], scratch[3 * NM_ENERGY_MOST_HIDDEN];
    agent_energies(s, e, a, energy);
    const double loss = rank_loss(1 + s->futures, energy, shares);
    for (uint32_t i = 0; gradient && i <= s->futures; ++i) {
        const float *rows = a->rows + (size_t)i * a->count * NM_ENERGY_ROW;
        nm_energy_agent(e, rows, a->count, scratch);
        nm_energy_agent_backward(e, rows, a->count, scratch, (i == 0 ? 1.0 : 0.0) - shares[i], gradient);
    }
    return loss;
}

// ---------------------------------------------------------------------------------------------------------------------
// Training

struct nm_energy_trainer {
    nm_energy *energy;
    const nm_energy_set *set;
    nm_energy_trainer_config config;
    uint64_t *moments; ///< [moment_count] to train on
    uint32_t moment_count;
    uint64_t done;
    double *gradient, *mean, *square; ///< [parameters]
};

nm_energy_trainer_config nm_energy_trainer_config_default(void) {
    return (nm_energy_trainer_config){.steps = 2000, .batch = 128, .rate = 0.003, .decay = 0.01};
}

static nm_status check_config(const nm_energy_trainer_config *c, nm_error *error) {
    if (c->steps < 1) return NM_ERROR(error, NM_E_ARGUMENT, "an energy is trained for 0 steps");
    if (c->batch < 1 || c->batch > 65536)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u agents in a step, not 1..65536", c->batch);
    if (!(c->rate > 0.0 && c->rate <= 1.0) || !(c->decay >= 0.0 && c->decay <= 1.0))
        return NM_ERROR(error, NM_E_ARGUMENT, "a rate of %g and a decay of %g, not in 0..1", c->rate, c->decay);
    return NM_OK;
}

nm_status nm_energy_trainer_create(nm_energy *energy, const nm_energy_set *set, const nm_energy_trainer_config *config,
                                   nm_energy_trainer **trainer, nm_error *error) {
    *trainer = NULL;
    const nm_status status = check_config(config, error);
    if (status != NM_OK) return status;
    const uint32_t moments = nm_energy_set_examples(set, 0);
    if (!moments) return NM_ERROR(error, NM_E_NOT_FOUND, "there is nobody to train an energy on");
    nm_energy_trainer *t = calloc(1, sizeof *t);
    const size_t count = nm_energy_parameter_count(energy);
    if (t) {
        *t = (nm_energy_trainer){.energy = energy, .set = set, .config = *config};
        t->moments = calloc(moments, sizeof *t->moments);
        t->gradient = calloc(count, sizeof *t->gradient);
        t->mean = calloc(count, sizeof *t->mean);
        t->square = calloc(count, sizeof *t->square);
    }
    if (!t || !t->moments || !t->gradient || !t->mean || !t->square) {
        nm_energy_trainer_destroy(t);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for training an energy");
    }
    for (uint64_t m = 0; m < set->moment_count; ++m)
        if (counts(set, m, 0)) t->moments[t->moment_count++] = m;
    *trainer = t;
    return NM_OK;
}

void nm_energy_trainer_destroy(nm_energy_trainer *t) {
    if (!t) return;
    free(t->moments);
    free(t->gradient);
    free(t->mean);
    free(t->square);
    free(t);
}

/// Which agent is number `i` of this step.
static uint64_t pick(const nm_energy_trainer *t, uint32_t i) {
    const nm_rng_key key = {.seed = t->config.seed, .scene = t->done, .agent = i, .purpose = NM_PURPOSE_EXAMPLE};
    const uint64_t m = t->moments[nm_rng_below(&key, 0, t->moment_count)];
    const uint64_t first = t->set->moments[m].first;
    return first + nm_rng_below(&key, 1, (uint32_t)(end_of(t->set, m) - first));
}

/// Weights decay, biases do not.
static int decays(const nm_energy_layout *l, size_t i) {
    return i < l->row_bias || (i >= l->agent_weight && i < l->agent_bias) || i >= l->output;
}

static void adam(nm_energy_trainer *t) {
    const nm_energy_layout l = nm_energy_layout_of(t->energy->hidden);
    const double step = (double)t->done, left = 1.0 - (step - 1.0) / (double)t->config.steps;
    const double rate = t->config.rate * fmax(0.0, left);
    const double c1 = 1.0 - pow(0.9, step), c2 = 1.0 - pow(0.999, step);
    for (size_t i = 0; i < l.count; ++i) {
        const double g = t->gradient[i];
        t->mean[i] = 0.9 * t->mean[i] + 0.1 * g;
        t->square[i] = 0.999 * t->square[i] + 0.001 * g * g;
        const double pull = decays(&l, i) ? t->config.decay * t->energy->parameters[i] : 0.0;
        t->energy->parameters[i] -= rate * ((t->mean[i] / c1) / (sqrt(t->square[i] / c2) + 1e-8) + pull);
    }
}

nm_status nm_energy_trainer_step(nm_energy_trainer *t, double *loss, nm_error *error) {
    const size_t count = nm_energy_parameter_count(t->energy);
    memset(t->gradient, 0, count * sizeof *t->gradient);
    *loss = 0.0;
    for (uint32_t i = 0; i < t->config.batch; ++i)
        *loss += nm_energy_set_loss(t->set, t->energy, pick(t, i), t->gradient) / t->config.batch;
    double squares = 0.0;
    for (size_t i = 0; i < count; ++i) {
        t->gradient[i] /= t->config.batch;
        squares += t->gradient[i] * t->gradient[i];
    }
    if (!isfinite(*loss) || !isfinite(squares))
        return NM_ERROR(error, NM_E_NUMERIC, "step %llu of an energy is not finite", (unsigned long long)t->done + 1);
    t->done++;
    adam(t);
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Whole scenes

/// Sums of e over the agents of a moment, for each future, and what its agents' rankings are.
static void moment_energies(const nm_energy_set *s, const nm_energy *e, uint64_t m, double *sums,
                            nm_energy_quality *agents) {
    double energy[1 + MOST_FUTURES], shares[1 + MOST_FUTURES];
    memset(sums, 0, (1 + s->futures) * sizeof *sums);
    for (uint64_t a = s->moments[m].first; a < end_of(s, m); ++a) {
        agent_energies(s, e, &s->agents[a], energy);
        int least = 1;
        for (uint32_t i = 0; i <= s->futures; ++i) {
            sums[i] += energy[i];
            least &= i == 0 || energy[0] < energy[i];
        }
        agents->agent_loss += rank_loss(1 + s->futures, energy, shares);
        agents->agent_share += least;
    }
}

nm_energy_quality nm_energy_set_quality(const nm_energy_set *s, const nm_energy *e, int held) {
    nm_energy_quality q = {0};
    double sums[1 + MOST_FUTURES], shares[1 + MOST_FUTURES];
    for (uint64_t m = 0; m < s->moment_count; ++m) {
        if (!counts(s, m, held)) continue;
        moment_energies(s, e, m, sums, &q);
        int least = 1;
        for (uint32_t i = 1; i <= s->futures; ++i) least &= sums[0] < sums[i];
        for (uint32_t i = 0; i <= s->futures; ++i) sums[i] *= e->scale;
        q.scene_loss += rank_loss(1 + s->futures, sums, shares);
        q.scene_share += least;
    }
    const double moments = nm_energy_set_examples(s, held), agents = (double)nm_energy_set_agents(s, held);
    q.agent_loss /= agents;
    q.agent_share /= agents;
    q.scene_loss /= moments;
    q.scene_share /= moments;
    return q;
}

/// The derivative of the mean loss of held scenes by the scale: it rises with it, as the loss is convex.
static double scale_slope(const nm_energy_set *s, const double *sums, uint32_t moments, double scale) {
    double slope = 0.0, energy[1 + MOST_FUTURES], shares[1 + MOST_FUTURES];
    for (uint32_t m = 0; m < moments; ++m) {
        const double *sum = sums + (size_t)m * (1 + s->futures);
        for (uint32_t i = 0; i <= s->futures; ++i) energy[i] = scale * sum[i];
        rank_loss(1 + s->futures, energy, shares);
        slope += sum[0];
        for (uint32_t i = 0; i <= s->futures; ++i) slope -= shares[i] * sum[i];
    }
    return slope;
}

nm_status nm_energy_fit_scale(const nm_energy_set *s, nm_energy *e, nm_error *error) {
    const uint32_t moments = nm_energy_set_examples(s, 1);
    nm_energy_quality ignored = {0};
    if (!moments) return NM_OK;
    double *sums = calloc((size_t)moments * (1 + s->futures), sizeof *sums);
    if (!sums) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the scale of an energy");
    for (uint64_t m = 0, row = 0; m < s->moment_count; ++m)
        if (counts(s, m, 1)) moment_energies(s, e, m, sums + row++ * (1 + s->futures), &ignored);
    double low = 0.0, high = 10.0;
    for (int i = 0; i < 50; ++i) {
        const double middle = 0.5 * (low + high);
        if (scale_slope(s, sums, moments, middle) > 0.0)
            high = middle;
        else
            low = middle;
    }
    e->scale = 0.5 * (low + high);
    free(sums);
    return NM_OK;
}
