/// Rating: the likelihood of what was recorded under the distribution of what was simulated.
#include "sim/metrics/realism_private.h"

const char *nm_realism_preset_name(nm_realism_preset preset) {
    static const char *const names[NM_REALISM_PRESET_COUNT] = {"2025", "2024", "2023"};
    NM_ASSERT((unsigned)preset < NM_REALISM_PRESET_COUNT);
    return names[preset];
}

#define BINS(low, high, number, share)                                                                                 \
    {                                                                                                                  \
        .kind = NM_REALISM_HISTOGRAM, .min = (low), .max = (high), .bins = (number), .smoothing = 0.1,                 \
        .weight = (share), .independent = 1                                                                            \
    }
#define FLAGS(share)                                                                                                   \
    { .kind = NM_REALISM_BERNOULLI, .smoothing = 0.001, .weight = (share) }

nm_realism_config nm_realism_config_of(nm_realism_preset preset) {
    static const nm_realism_config configs[NM_REALISM_PRESET_COUNT] = {
        [NM_REALISM_2025] = {{BINS(0, 25, 10, 0.05), BINS(-12, 12, 11, 0.05), BINS(-0.628, 0.628, 11, 0.05),
                              BINS(-3.14, 3.14, 11, 0.05), BINS(-5, 40, 10, 0.1), FLAGS(0.25), BINS(0, 5, 10, 0.1),
                              BINS(-20, 40, 10, 0.05), FLAGS(0.25), FLAGS(0.05)}},
        [NM_REALISM_2024] = {{BINS(0, 25, 10, 0.05), BINS(-12, 12, 11, 0.05), BINS(-0.628, 0.628, 11, 0.05),
                              BINS(-3.14, 3.14, 11, 0.05), BINS(-5, 40, 10, 0.1), FLAGS(0.25), BINS(0, 5, 10, 0.1),
                              BINS(-20, 40, 10, 0.1), FLAGS(0.25), FLAGS(0.0)}},
        [NM_REALISM_2023] = {{BINS(0, 35, 10, 0.09), BINS(-15, 15, 10, 0.09), BINS(-31.5, 31.5, 10, 0.09),
                              BINS(-31.5, 31.5, 10, 0.09), BINS(-5, 40, 10, 0.09), FLAGS(0.18), BINS(0, 5, 10, 0.09),
                              BINS(-20, 40, 10, 0.09), FLAGS(0.18), FLAGS(0.0)}}};
    NM_ASSERT((unsigned)preset < NM_REALISM_PRESET_COUNT);
    return configs[preset];
}

static const char *wrong_setting(const nm_realism_setting *s, int flag) {
    if (!(s->weight >= 0.0 && s->weight < INFINITY)) return "its weight is no number from 0 on";
    if (flag != (s->kind == NM_REALISM_BERNOULLI)) return flag ? "it is a flag" : "it is a time series";
    if (s->kind == NM_REALISM_KERNEL)
        return s->bandwidth > 0.0 && s->bandwidth < INFINITY ? NULL : "its bandwidth is no number over 0";
    if (!(s->smoothing >= 0.0 && s->smoothing < INFINITY)) return "its smoothing is no number from 0 on";
    if (flag) return NULL;
    if (s->bins == 0 || s->bins > NM_REALISM_MAX_BINS) return "its number of bins is not supported";
    if (!(s->min < s->max && s->max - s->min < INFINITY)) return "its range is empty";
    return NULL;
}

static nm_status check_config(const nm_realism_config *config, nm_error *error) {
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; f++) {
        const char *wrong = wrong_setting(&config->feature[f], nm_realism_feature_flag((nm_realism_feature)f));
        if (wrong)
            return NM_ERROR(error, NM_E_ARGUMENT, "realism: feature %s: %s",
                            nm_realism_feature_name((nm_realism_feature)f), wrong);
    }
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// What is scored

/// Both neighbours of step `k` have what `mask` says: speeds need positions there, accelerations speeds.
static int speed_scored(const uint8_t *valid, uint32_t steps, uint32_t k) {
    return k > 0 && k + 1 < steps && valid[k - 1] && valid[k + 1];
}

static int is_scored(const nm_realism_values *v, nm_realism_feature feature, uint32_t agent, uint32_t k) {
    const uint8_t *valid = v->valid + (size_t)agent * v->steps;
    switch (feature) {
    case NM_REALISM_LINEAR_SPEED:
    case NM_REALISM_ANGULAR_SPEED:
        return speed_scored(valid, v->steps, k);
    case NM_REALISM_LINEAR_ACCELERATION:
    case NM_REALISM_ANGULAR_ACCELERATION:
        return k > 0 && k + 1 < v->steps && speed_scored(valid, v->steps, k - 1) &&
               speed_scored(valid, v->steps, k + 1);
    case NM_REALISM_TIME_TO_COLLISION:
        return valid[k] && v->vehicle[agent];
    default:
        return valid[k];
    }
}

/// The simulated values that a recorded one is compared with: a block of agents and steps, in every sample.
typedef struct pool {
    const float *series; // of sample 0
    size_t sample;       // distance from sample to sample
    uint32_t samples, agents, steps;
    uint32_t first_agent, agent_count, first_step, step_count;
} pool;

static pool pool_of(const nm_realism_values *v, const nm_realism_setting *s, const float *series, uint32_t agent,
                    uint32_t step) {
    size_t sample = (size_t)v->agents * v->steps;
    pool p = {series + sample, sample, v->samples, v->agents, v->steps, agent, 1, step, 1};
    if (s->aggregate_agents) p.first_agent = 0, p.agent_count = v->agents;
    if (s->independent) p.first_step = 0, p.step_count = v->steps;
    return p;
}

static int same_pool(const pool *a, const pool *b) {
    return a->first_agent == b->first_agent && a->agent_count == b->agent_count && a->first_step == b->first_step &&
           a->step_count == b->step_count;
}

static const float *pool_row(const pool *p, uint32_t sample, uint32_t agent) {
    return p->series + sample * p->sample + (size_t)(p->first_agent + agent) * p->steps + p->first_step;
}

// ---------------------------------------------------------------------------------------------------------------------
// Histograms

typedef struct histogram {
    uint32_t bins;
    float edges[NM_REALISM_MAX_BINS + 1];
    float per_width; // bins per unit
    uint32_t counts[NM_REALISM_MAX_BINS];
    uint64_t total;
    double smoothing;
} histogram;

static void open_bins(histogram *h, const nm_realism_setting *s) {
    float low = (float)s->min, high = (float)s->max, width = (high - low) / (float)s->bins;
    h->bins = s->bins;
    h->smoothing = s->smoothing;
    h->per_width = 1.0f / width;
    for (uint32_t k = 0; k < s->bins; k++) h->edges[k] = low + (float)k * width;
    h->edges[s->bins] = high;
}

/// Of [edge k, edge k + 1), the last one closed. NaN, which is above no edge, goes to the last one.
static uint32_t bin_of(const histogram *h, float value) {
    if (!(value < h->edges[h->bins])) return h->bins - 1;
    if (value <= h->edges[0]) return 0;
    uint32_t k = (uint32_t)((value - h->edges[0]) * h->per_width); // right, or off by a rounding
    if (k >= h->bins) k = h->bins - 1;
    while (k > 0 && value < h->edges[k]) k--;
    while (k + 1 < h->bins && value >= h->edges[k + 1]) k++;
    return k;
}

static void count_pool(histogram *h, const pool *p) {
    memset(h->counts, 0, h->bins * sizeof *h->counts);
    h->total = (uint64_t)p->samples * p->agent_count * p->step_count;
    for (uint32_t r = 0; r < p->samples; r++) {
        for (uint32_t a = 0; a < p->agent_count; a++) {
            const float *row = pool_row(p, r, a);
            for (uint32_t k = 0; k < p->step_count; k++) h->counts[bin_of(h, row[k])]++;
        }
    }
}

static double bin_likelihood(const histogram *h, float value) {
    return (h->counts[bin_of(h, value)] + h->smoothing) / ((double)h->total + h->smoothing * h->bins);
}

/// Mean over the pool of exp(-(x - x_i)^2 / (2 h^2)); values that are not there do not count.
static double kernel_likelihood(const pool *p, double bandwidth, float value) {
    double sum = 0.0;
    uint64_t count = 0;
    for (uint32_t r = 0; r < p->samples; r++) {
        for (uint32_t a = 0; a < p->agent_count; a++) {
            const float *row = pool_row(p, r, a);
            for (uint32_t k = 0; k < p->step_count; k++) {
                double z = ((double)value - row[k]) / bandwidth;
                if (!(z == z)) continue;
                sum += exp(-0.5 * z * z);
                count++;
            }
        }
    }
    return sum / (double)count;
}

/// exp of the mean log-likelihood over all scored agents and steps; NaN when there are none.
static double rate_series(const nm_realism_values *v, const nm_realism_setting *s, nm_realism_feature feature) {
    const float *series = v->series[feature];
    histogram h;
    pool counted = {0}; // in the histogram
    double sum = 0.0;
    uint64_t scored = 0;
    if (!series) return NAN;
    if (s->kind == NM_REALISM_HISTOGRAM) open_bins(&h, s);
    for (uint32_t a = 0; a < v->agents; a++) {
        for (uint32_t k = 0; k < v->steps; k++) {
            if (!is_scored(v, feature, a, k)) continue;
            float recorded = series[(size_t)a * v->steps + k];
            pool p = pool_of(v, s, series, a, k);
            if (s->kind == NM_REALISM_HISTOGRAM && !same_pool(&p, &counted)) {
                count_pool(&h, &p);
                counted = p;
            }
            sum += log(s->kind == NM_REALISM_HISTOGRAM ? bin_likelihood(&h, recorded)
                                                       : kernel_likelihood(&p, s->bandwidth, recorded));
            scored++;
        }
    }
    return scored ? exp(sum / (double)scored) : NAN;
}

/// A flag of somebody to whom the feature does not apply is 0.
static uint32_t flag_of(const nm_realism_values *v, nm_realism_feature feature, uint32_t slot, uint32_t agent) {
    if (feature == NM_REALISM_RED_LIGHT && !v->vehicle[agent]) return 0;
    return v->flag[feature][(size_t)slot * v->agents + agent];
}

static double rate_flags(const nm_realism_values *v, const nm_realism_setting *s, nm_realism_feature feature) {
    double sum = 0.0;
    if (!v->flag[feature]) return NAN;
    for (uint32_t a = 0; a < v->agents; a++) {
        uint32_t first = s->aggregate_agents ? 0 : a, last = s->aggregate_agents ? v->agents - 1 : a, same = 0;
        uint32_t recorded = flag_of(v, feature, 0, a);
        for (uint32_t r = 1; r <= v->samples; r++) {
            for (uint32_t i = first; i <= last; i++) same += flag_of(v, feature, r, i) == recorded;
        }
        double total = (double)v->samples * (last - first + 1);
        sum += log((same + s->smoothing) / (total + 2.0 * s->smoothing));
    }
    return exp(sum / v->agents);
}

// ---------------------------------------------------------------------------------------------------------------------
// Sums

/// Weights of what is there, raised so that their sum stays; with all there they stay as they are, bit for bit.
static void set_weights(const nm_realism_config *config, nm_realism *out) {
    double all = 0.0, there = 0.0;
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; f++) {
        all += config->feature[f].weight;
        if (out->likelihood[f] == out->likelihood[f]) there += config->feature[f].weight;
    }
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; f++) {
        int here = out->likelihood[f] == out->likelihood[f];
        double raise = there > 0.0 && there < all ? all / there : 1.0;
        out->weight[f] = here ? config->feature[f].weight * raise : 0.0;
    }
}

static double weighted(const nm_realism *out, int first, int last, double *weights) {
    double sum = 0.0;
    *weights = 0.0;
    for (int f = first; f <= last; f++) {
        if (out->weight[f] > 0.0) sum += out->weight[f] * out->likelihood[f];
        *weights += out->weight[f];
    }
    return sum;
}

static double bucket(const nm_realism *out, int first, int last) {
    double weights, sum = weighted(out, first, last, &weights);
    return weights > 0.0 ? sum / weights : NAN;
}

static double rate_of(const nm_realism_values *v, nm_realism_feature feature) {
    size_t count = (size_t)v->samples * v->agents, flagged = 0;
    if (!v->flag[feature]) return NAN;
    for (size_t i = 0; i < count; i++) flagged += v->flag[feature][v->agents + i];
    return (double)flagged / (double)count;
}

static void sum_displacements(const nm_realism_values *v, nm_realism *out) {
    out->min_ade = INFINITY;
    for (uint32_t r = 0; r < v->samples; r++) {
        double sum = 0.0;
        for (uint32_t a = 0; a < v->agents; a++) sum += v->displacement[(size_t)r * v->agents + a];
        sum /= v->agents;
        out->ade += sum;
        if (sum < out->min_ade) {
            out->min_ade = sum;
            out->best = r;
        }
    }
    out->ade /= v->samples;
}

nm_status nm_realism_rate(const nm_realism_values *values, const nm_realism_config *config, nm_realism *out,
                          nm_error *error) {
    *out = (nm_realism){0};
    nm_status status = check_config(config, error);
    if (status != NM_OK) return status;
    double ignored;
    out->agents = values->agents;
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; f++) {
        nm_realism_feature feature = (nm_realism_feature)f;
        out->likelihood[f] = nm_realism_feature_flag(feature) ? rate_flags(values, &config->feature[f], feature)
                                                              : rate_series(values, &config->feature[f], feature);
    }
    set_weights(config, out);
    out->meta = weighted(out, 0, NM_REALISM_FEATURE_COUNT - 1, &ignored);
    out->kinematic = bucket(out, NM_REALISM_LINEAR_SPEED, NM_REALISM_ANGULAR_ACCELERATION);
    out->interactive = bucket(out, NM_REALISM_NEAREST_DISTANCE, NM_REALISM_TIME_TO_COLLISION);
    out->map_based = bucket(out, NM_REALISM_ROAD_EDGE_DISTANCE, NM_REALISM_RED_LIGHT);
    out->collision_rate = rate_of(values, NM_REALISM_COLLISION);
    out->off_road_rate = rate_of(values, NM_REALISM_OFF_ROAD);
    out->red_light_rate = rate_of(values, NM_REALISM_RED_LIGHT);
    sum_displacements(values, out);
    return NM_OK;
}

/// Mean of the field at `offset` over those that have it.
static double mean_of(const nm_realism *scenes, size_t count, size_t offset) {
    double sum = 0.0;
    size_t there = 0;
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, (const char *)&scenes[i] + offset, sizeof value);
        if (!(value == value)) continue;
        sum += value;
        there++;
    }
    return there ? sum / (double)there : NAN;
}

nm_realism nm_realism_mean(const nm_realism *scenes, size_t count) {
    static const size_t offsets[] = {offsetof(nm_realism, meta),
                                     offsetof(nm_realism, kinematic),
                                     offsetof(nm_realism, interactive),
                                     offsetof(nm_realism, map_based),
                                     offsetof(nm_realism, ade),
                                     offsetof(nm_realism, min_ade),
                                     offsetof(nm_realism, collision_rate),
                                     offsetof(nm_realism, off_road_rate),
                                     offsetof(nm_realism, red_light_rate)};
    nm_realism mean = {0};
    NM_ASSERT(count > 0);
    for (size_t i = 0; i < count; i++) mean.agents += scenes[i].agents;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        double value = mean_of(scenes, count, offsets[i]);
        memcpy((char *)&mean + offsets[i], &value, sizeof value);
    }
    for (size_t f = 0; f < NM_REALISM_FEATURE_COUNT; f++) {
        mean.likelihood[f] = mean_of(scenes, count, offsetof(nm_realism, likelihood) + f * sizeof(double));
        mean.weight[f] = mean_of(scenes, count, offsetof(nm_realism, weight) + f * sizeof(double));
    }
    return mean;
}
