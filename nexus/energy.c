#include "nexus/energy.h"

#include "base/rng.h"
#include "nexus/energy_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

nm_energy_layout nm_energy_layout_of(uint32_t hidden) {
    const size_t h = hidden, d = NM_ENERGY_ROW;
    return (nm_energy_layout){.row_bias = h * d,
                              .agent_weight = h * d + h,
                              .agent_bias = h * d + h + 2 * h * h,
                              .output = h * d + 2 * h + 2 * h * h,
                              .count = h * d + 3 * h + 2 * h * h};
}

nm_status nm_energy_create(uint32_t hidden, uint64_t seed, nm_energy **energy, nm_error *error) {
    *energy = NULL;
    if (hidden < 1 || hidden > NM_ENERGY_MOST_HIDDEN)
        return NM_ERROR(error, NM_E_ARGUMENT, "an energy of %u hidden values, not 1..%u", hidden,
                        NM_ENERGY_MOST_HIDDEN);
    nm_energy *e = calloc(1, sizeof *e);
    const nm_energy_layout l = nm_energy_layout_of(hidden);
    if (e) e->parameters = calloc(l.count, sizeof *e->parameters);
    if (!e || !e->parameters) {
        nm_energy_destroy(e);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for an energy");
    }
    e->hidden = hidden;
    e->scale = 1.0;
    e->origin.agent_share = e->origin.scene_share = (double)NAN;
    for (size_t i = 0; i < l.count; ++i) {
        const double inputs = i < l.agent_weight ? NM_ENERGY_ROW : i < l.output ? 2.0 * hidden : hidden;
        const nm_rng_key key = {.seed = seed, .step = (uint32_t)i, .purpose = NM_PURPOSE_INIT};
        e->parameters[i] = (2.0 * (double)nm_rng_uniform(&key, 0) - 1.0) / sqrt(inputs);
    }
    *energy = e;
    return NM_OK;
}

void nm_energy_destroy(nm_energy *e) {
    if (!e) return;
    free(e->parameters);
    free(e);
}

uint32_t nm_energy_hidden(const nm_energy *e) {
    return e->hidden;
}

size_t nm_energy_parameter_count(const nm_energy *e) {
    return nm_energy_layout_of(e->hidden).count;
}

double *nm_energy_parameters(nm_energy *e) {
    return e->parameters;
}

double nm_energy_scale(const nm_energy *e) {
    return e->scale;
}

void nm_energy_set_scale(nm_energy *e, double scale) {
    e->scale = scale;
}

nm_energy_origin *nm_energy_get_origin(nm_energy *e) {
    return &e->origin;
}

nm_status nm_energy_check_model(const nm_energy *e, uint64_t hash, nm_error *error) {
    if (e->origin.model_hash == hash) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT, "this energy is of the model '%s', %016llx, not of the one with hash %016llx",
                    e->origin.model, (unsigned long long)e->origin.model_hash, (unsigned long long)hash);
}

// ---------------------------------------------------------------------------------------------------------------------
// The network

static double silu(double x) {
    return x / (1.0 + exp(-x));
}

static double silu_slope(double x) {
    const double s = 1.0 / (1.0 + exp(-x));
    return s * (1.0 + x * (1.0 - s));
}

static double row_sum(const double *weight, double bias, const float *row) {
    double sum = bias;
    for (int d = 0; d < NM_ENERGY_ROW; ++d) sum += weight[d] * (double)row[d];
    return sum;
}

/// Means of what the tokens say, then the largest of each: pooled [2 H].
static void pool(const nm_energy *e, const float *rows, uint32_t count, double *pooled) {
    const nm_energy_layout l = nm_energy_layout_of(e->hidden);
    const double *p = e->parameters;
    for (uint32_t h = 0; h < e->hidden; ++h) {
        double sum = 0.0, most = -INFINITY;
        for (uint32_t i = 0; i < count; ++i) {
            const double value =
                silu(row_sum(p + (size_t)h * NM_ENERGY_ROW, p[l.row_bias + h], rows + (size_t)i * NM_ENERGY_ROW));
            sum += value;
            most = fmax(most, value);
        }
        pooled[h] = sum / count;
        pooled[e->hidden + h] = most;
    }
}

double nm_energy_agent(const nm_energy *e, const float *rows, uint32_t count, double *scratch) {
    const nm_energy_layout l = nm_energy_layout_of(e->hidden);
    const uint32_t hidden = e->hidden, wide = 2 * hidden;
    const double *p = e->parameters;
    double pooled[2 * NM_ENERGY_MOST_HIDDEN], energy = 0.0;
    if (count == 0) return 0.0;
    pool(e, rows, count, pooled);
    for (uint32_t g = 0; g < hidden; ++g) {
        double sum = p[l.agent_bias + g];
        for (uint32_t h = 0; h < wide; ++h) sum += p[l.agent_weight + (size_t)g * wide + h] * pooled[h];
        energy += p[l.output + g] * silu(sum);
        if (scratch) scratch[wide + g] = sum;
    }
    if (scratch) memcpy(scratch, pooled, wide * sizeof *pooled);
    return energy;
}

/// Adds what a row's value h has of the gradient.
static void row_backward(const nm_energy *e, uint32_t h, const float *row, double d, double *gradient) {
    const nm_energy_layout l = nm_energy_layout_of(e->hidden);
    const double *weight = e->parameters + (size_t)h * NM_ENERGY_ROW;
    double *to = gradient + (size_t)h * NM_ENERGY_ROW;
    const double slope = d * silu_slope(row_sum(weight, e->parameters[l.row_bias + h], row));
    gradient[l.row_bias + h] += slope;
    for (int k = 0; k < NM_ENERGY_ROW; ++k) to[k] += slope * (double)row[k];
}

void nm_energy_agent_backward(const nm_energy *e, const float *rows, uint32_t count, const double *scratch, double d,
                              double *gradient) {
    const nm_energy_layout l = nm_energy_layout_of(e->hidden);
    const uint32_t hidden = e->hidden, wide = 2 * hidden;
    const double *p = e->parameters, *pooled = scratch, *inner = scratch + wide;
    double d_pooled[2 * NM_ENERGY_MOST_HIDDEN] = {0};
    if (count == 0) return;
    for (uint32_t g = 0; g < hidden; ++g) {
        gradient[l.output + g] += d * silu(inner[g]);
        const double d_inner = d * p[l.output + g] * silu_slope(inner[g]);
        gradient[l.agent_bias + g] += d_inner;
        for (uint32_t h = 0; h < wide; ++h) {
            gradient[l.agent_weight + (size_t)g * wide + h] += d_inner * pooled[h];
            d_pooled[h] += d_inner * p[l.agent_weight + (size_t)g * wide + h];
        }
    }
    for (uint32_t h = 0; h < hidden; ++h) {
        int found = 0; // the first of the largest, which alone bears on it
        for (uint32_t i = 0; i < count; ++i) {
            const float *row = rows + (size_t)i * NM_ENERGY_ROW;
            const double value = silu(row_sum(p + (size_t)h * NM_ENERGY_ROW, p[l.row_bias + h], row));
            const int largest = !found && value >= pooled[hidden + h];
            found |= largest;
            row_backward(e, h, row, d_pooled[h] / count + (largest ? d_pooled[hidden + h] : 0.0), gradient);
        }
    }
}

double nm_energy_scene(const nm_energy *e, const nm_energy_tokens *t, uint32_t past, const float *rows) {
    double sum = 0.0;
    for (uint32_t first = 0, end; first < t->count; first = end) {
        uint32_t from = first;
        for (end = first; end < t->count && t->agent[end] == t->agent[first]; ++end)
            if (t->time[end] <= past) from = end + 1;
        sum += nm_energy_agent(e, rows + (size_t)from * NM_ENERGY_ROW, end - from, NULL);
    }
    return e->scale * sum;
}

nm_status nm_energy_of_batch(void *batch, const nm_denoise_input *in, const float *x0, double *energy,
                             nm_error *error) {
    const nm_energy_batch *b = batch;
    if (in->scene_count > b->scene_count)
        return NM_ERROR(error, NM_E_NOT_FOUND, "an energy of %u scenes was told of %u", in->scene_count,
                        b->scene_count);
    uint32_t first = 0;
    for (uint32_t i = 0; i < in->scene_count; ++i) {
        uint32_t end = first;
        while (end < in->count && in->scene[end] == i) ++end;
        const nm_energy_tokens tokens = {.count = end - first,
                                         .agent = in->agent + first,
                                         .time = in->time + first,
                                         .channels = in->channels,
                                         .values = x0 + (size_t)first * in->channels};
        const nm_status status = nm_energy_rows(b->reader, &b->scenes[i], &tokens, b->rows, error);
        if (status != NM_OK) return status;
        energy[i] = nm_energy_scene(b->energy, &tokens, nm_energy_reader_get_config(b->reader)->past, b->rows);
        first = end;
    }
    return NM_OK;
}
