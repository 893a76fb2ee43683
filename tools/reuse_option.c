#include "tools/reuse_option.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

nm_status nm_reuse_option(const char *reuse, const char *reduce, nm_reuse_config *config, nm_error *error) {
    *config = nm_reuse_config_default();
    nm_status status = reuse ? nm_reuse_parse(reuse, config, error) : NM_OK;
    if (status == NM_OK && reduce && strcmp(reduce, "none") != 0)
        status = nm_reuse_parse_reductions(reduce, config, error);
    return status;
}

static double ratio(double part, double whole) {
    return whole > 0.0 ? part / whole : (double)NAN;
}

const char *nm_reuse_describe(const nm_reuse_stats *s, char *text, size_t size) {
    size_t used =
        (size_t)snprintf(text, size, "%.1f %% of the operations, %.1f %% of the outputs of layers in %llu passes",
                         100.0 * ratio(s->flops, s->exact_flops), 100.0 * ratio(s->outputs, s->exact_outputs),
                         (unsigned long long)s->passes);
    if (s->values && used < size)
        used += (size_t)snprintf(
            text + used, size - used,
            "; error mean %.3g, max %.3g (below level 1: %.3g, %.3g), where v is of size %.3g (%llu passes)",
            ratio(s->error_sum, (double)s->values), s->error_max, ratio(s->moving_error_sum, (double)s->moving_values),
            s->moving_error_max, sqrt(ratio(s->exact_square_sum, (double)s->values)), (unsigned long long)s->checked);
    if (s->moving_values && used < size)
        used += (size_t)snprintf(text + used, size - used, "; at most %.3g %% of v in any of these passes",
                                 100.0 * s->relative_max);
    if (s->positions && used < size)
        snprintf(text + used, size - used, "; positions differ by %.3g m on average, by %.3g m at most",
                 ratio(s->position_error_sum, (double)s->positions), s->position_error_max);
    return text;
}

void nm_reuse_json(cJSON *object, const nm_reuse_stats *s) {
    if (!s->passes) return;
    cJSON *one = cJSON_AddObjectToObject(object, "reuse");
    nm_json_integer(one, "passes", s->passes);
    nm_json_number(one, "operations", s->flops);
    nm_json_number(one, "exact_operations", s->exact_flops);
    nm_json_number(one, "outputs", s->outputs);
    nm_json_number(one, "exact_outputs", s->exact_outputs);
    nm_json_integer(one, "checked_passes", s->checked);
    nm_json_number(one, "error_mean", ratio(s->error_sum, (double)s->values));
    nm_json_number(one, "error_max", s->values ? s->error_max : (double)NAN);
    nm_json_number(one, "error_below_level_1_mean", ratio(s->moving_error_sum, (double)s->moving_values));
    nm_json_number(one, "error_below_level_1_max", s->moving_values ? s->moving_error_max : (double)NAN);
    nm_json_number(one, "relative_error_max", s->moving_values ? s->relative_max : (double)NAN);
    nm_json_integer(one, "positions", s->positions);
    nm_json_number(one, "position_error_mean_m", ratio(s->position_error_sum, (double)s->positions));
    nm_json_number(one, "position_error_max_m", s->positions ? s->position_error_max : (double)NAN);
    nm_json_number(one, "exact_rms", sqrt(ratio(s->exact_square_sum, (double)s->values)));
}
