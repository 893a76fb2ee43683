// Ranges of parameters from text, and drawing from them.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "scenarios/kinds.h"

// --- ranges ----------------------------------------------------------------------------------------------------------

nm_status nm_kind_ranges_default(nm_kind kind, nm_severity severity, nm_kind_ranges *ranges, nm_error *error) {
    NM_ASSERT(ranges && (unsigned)kind < NM_KIND_COUNT && (unsigned)severity < NM_SEVERITY_COUNT);
    const nm_kind_spec *spec = nm_kind_spec_of(kind);
    if (!spec->generable)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "%s is an outcome, not a manoeuvre: ask for a kind such as cut_in with the severity near_miss "
                        "or collision",
                        spec->name);
    if (!(spec->severities >> severity & 1u))
        return NM_ERROR(
            error, NM_E_ARGUMENT, "%s cannot end as %s; it can be a %s", spec->name, nm_severity_name(severity),
            nm_severity_name(severity == NM_SEVERITY_COLLISION ? NM_SEVERITY_NEAR_MISS : NM_SEVERITY_COLLISION));
    *ranges = (nm_kind_ranges){.kind = kind, .severity = severity};
    for (size_t i = 0; i < spec->param_count; i++) ranges->range[i] = spec->params[i].fallback[severity];
    return NM_OK;
}

static nm_status unknown_param(const nm_kind_spec *spec, const char *name, size_t length, nm_error *error) {
    char names[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < spec->param_count && used < sizeof names; i++) {
        int wrote = snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", spec->params[i].name);
        if (wrote > 0) used += (size_t)wrote;
    }
    return NM_ERROR(error, NM_E_ARGUMENT, "%s has no parameter '%.*s'; it has %s", spec->name,
                    (int)(length > 60 ? 60 : length), name, names);
}

// One number that ends at `end`; 0 when the text is none.
static int number(const char *text, const char *end, double *value) {
    char *stop;
    if (text == end || *text == ' ') return 0;
    *value = strtod(text, &stop);
    return stop == end && isfinite(*value);
}

nm_status nm_kind_ranges_set(nm_kind_ranges *ranges, const char *text, nm_error *error) {
    NM_ASSERT(ranges && text);
    const nm_kind_spec *spec = nm_kind_spec_of(ranges->kind);
    const char *equals = strchr(text, '=');
    if (!equals)
        return NM_ERROR(error, NM_E_ARGUMENT, "'%.80s' is not NAME=LOW:HIGH or NAME=VALUE, such as gap=3:8", text);
    size_t length = (size_t)(equals - text), at = 0;
    while (at < spec->param_count &&
           (strlen(spec->params[at].name) != length || strncmp(spec->params[at].name, text, length) != 0))
        at++;
    if (at == spec->param_count) return unknown_param(spec, text, length, error);
    const char *end = text + strlen(text), *colon = strchr(equals, ':');
    double low, high;
    if (!number(equals + 1, colon ? colon : end, &low) || !(colon ? number(colon + 1, end, &high) : (high = low, 1)))
        return NM_ERROR(error, NM_E_ARGUMENT, "'%.80s' is not NAME=LOW:HIGH or NAME=VALUE, such as gap=3:8", text);
    const nm_kind_param *param = &spec->params[at];
    if (low > high)
        return NM_ERROR(error, NM_E_ARGUMENT, "%s=%g:%g is empty: the lower bound comes first", param->name, low, high);
    const float from = (float)low, to = (float)high; // compared as stored
    if (!(from >= param->bounds.low && to <= param->bounds.high))
        return NM_ERROR(error, NM_E_ARGUMENT, "%s of %s must be between %g and %g %s, not %g:%g", param->name,
                        spec->name, (double)param->bounds.low, (double)param->bounds.high, param->unit, low, high);
    nm_kind_ranges changed = *ranges;
    changed.range[at] = (nm_kind_range){from, to};
    changed.given |= 1u << at;
    nm_status status = nm_kind_ranges_check(&changed, error);
    if (status == NM_OK) *ranges = changed;
    return status;
}

static const nm_kind_range *range_of(const nm_kind_ranges *ranges, nm_kind_param_id id) {
    int at = nm_kind_param_index(ranges->kind, id);
    return at < 0 ? NULL : &ranges->range[at];
}

static int given(const nm_kind_ranges *ranges, nm_kind_param_id id) {
    int at = nm_kind_param_index(ranges->kind, id);
    return at >= 0 && (ranges->given >> at & 1u);
}

nm_status nm_kind_ranges_check(const nm_kind_ranges *ranges, nm_error *error) {
    NM_ASSERT(ranges);
    const nm_kind_range *speed = range_of(ranges, NM_PARAM_EGO_SPEED), *closing = range_of(ranges, NM_PARAM_CLOSING);
    const nm_kind_range *gap = range_of(ranges, NM_PARAM_GAP), *ttc = range_of(ranges, NM_PARAM_MIN_TTC);
    if (ranges->severity == NM_SEVERITY_COLLISION && given(ranges, NM_PARAM_MIN_TTC))
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "min_ttc and the severity collision contradict each other: it is 0 then; ask for near_miss");
    if (ranges->kind != NM_KIND_REAR_END && speed && closing && closing->low > speed->high)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "closing of at least %g m/s and ego_speed of at most %g m/s contradict each other: the "
                        "adversary would drive backwards; closing can be at most ego_speed",
                        (double)closing->low, (double)speed->high);
    // the adversary is slower by `closing` already: without any reaction it takes gap / closing
    if (given(ranges, NM_PARAM_MIN_TTC) && gap && closing && given(ranges, NM_PARAM_GAP) &&
        given(ranges, NM_PARAM_CLOSING) && closing->low > 0 && ttc->low > gap->high / closing->low)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "min_ttc of at least %g s contradicts a gap of at most %g m with closing of at least %g m/s: "
                        "that is %g s already",
                        (double)ttc->low, (double)gap->high, (double)closing->low,
                        (double)gap->high / (double)closing->low);
    return NM_OK;
}

// --- sampling --------------------------------------------------------------------------------------------------------

static const char *const sampling_names[NM_SAMPLING_COUNT] = {"uniform", "grid", "all", "critical"};

const char *nm_sampling_name(nm_sampling sampling) {
    NM_ASSERT((unsigned)sampling < NM_SAMPLING_COUNT);
    return sampling_names[sampling];
}

int nm_sampling_from_name(const char *name, nm_sampling *sampling) {
    for (int i = 0; i < NM_SAMPLING_COUNT; i++)
        if (strcmp(sampling_names[i], name) == 0) {
            *sampling = (nm_sampling)i;
            return 1;
        }
    return 0;
}

// Those that NM_SAMPLING_ALL combines: asked for, and more than a single value.
static int combined(const nm_kind_ranges *ranges, size_t i) {
    return (ranges->given >> i & 1u) && ranges->range[i].high > ranges->range[i].low;
}

uint64_t nm_kind_combinations(const nm_kind_ranges *ranges) {
    uint64_t count = 1;
    for (size_t i = 0; i < nm_kind_spec_of(ranges->kind)->param_count; i++)
        if (combined(ranges, i)) count *= NM_SAMPLING_LEVELS;
    return count;
}

// Generators of a rank-1 lattice modulo 5^k: with them consecutive attempts spread over all pairs of parameters.
static uint32_t grid_level(uint64_t index, size_t param) {
    static const uint32_t generator[NM_KIND_MAX_PARAMS] = {1, 2, 3, 4, 1, 2, 3, 4};
    const uint64_t digit = index / NM_SAMPLING_LEVELS; // each turn shifts the lattice
    return (uint32_t)((index * generator[param] + digit * (param + 1)) % NM_SAMPLING_LEVELS);
}

void nm_kind_sample(const nm_kind_ranges *ranges, nm_sampling sampling, uint64_t seed, uint64_t index,
                    float value[NM_KIND_MAX_PARAMS]) {
    NM_ASSERT(ranges && value && (unsigned)sampling < NM_SAMPLING_COUNT);
    const nm_kind_spec *spec = nm_kind_spec_of(ranges->kind);
    const nm_rng_key key = {.seed = seed, .scene = index, .agent = (uint32_t)ranges->kind, .purpose = NM_PURPOSE_KIND};
    uint64_t digits = index;
    for (size_t i = 0; i < spec->param_count; i++) {
        const nm_kind_range *range = &ranges->range[i];
        double share = (double)nm_rng_uniform(&key, (uint32_t)i);
        if (sampling == NM_SAMPLING_GRID) share = grid_level(index, i) / (double)(NM_SAMPLING_LEVELS - 1);
        if (sampling == NM_SAMPLING_ALL && combined(ranges, i)) {
            share = (double)(digits % NM_SAMPLING_LEVELS) / (NM_SAMPLING_LEVELS - 1);
            digits /= NM_SAMPLING_LEVELS;
        }
        if (sampling == NM_SAMPLING_CRITICAL && spec->params[i].critical) {
            share = 1 - sqrt(1 - share); // density falls linearly from the lower end ...
            if (spec->params[i].critical > 0) share = 1 - share;
        }
        value[i] = (float)((double)range->low + share * ((double)range->high - (double)range->low));
        if (value[i] > range->high) value[i] = range->high;
        if (value[i] < range->low) value[i] = range->low;
    }
}
