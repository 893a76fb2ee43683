#include "nexus/reuse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/pages.h"
#include "base/text.h"
#include "nexus/reuse_private.h"

nm_reuse_config nm_reuse_config_default(void) {
    return (nm_reuse_config){.ahead = NM_REUSE_NO_LIMIT, .behind = NM_REUSE_NO_LIMIT, .map = -1.0f};
}

// ---------------------------------------------------------------------------------------------------------------------
// Options

typedef struct setting {
    const char *name;
    float *real;       ///< or
    uint32_t *integer; ///< where it goes
    double most;
} setting;

/// "NAME=NUMBER" of `length` characters into the setting of that name; 0 where it is none of them.
static int read_setting(const char *text, size_t length, const setting *settings, size_t count) {
    const size_t name = strcspn(text, "=,");
    double value;
    for (size_t i = 0; i < count; ++i) {
        const setting *s = &settings[i];
        if (strlen(s->name) != name || strncmp(text, s->name, name) != 0) continue;
        if (name >= length || !nm_decimal_parse(text + name + 1, length - name - 1, &value)) return 0;
        if (!(value >= 0.0 && value <= s->most) || (s->integer && value != floor(value))) return 0;
        if (s->integer)
            *s->integer = (uint32_t)value;
        else
            *s->real = (float)value;
        return 1;
    }
    return 0;
}

/// "skip=FIRST-LAST@LEVEL", blocks counted from 1.
static int read_skip(const char *text, size_t length, nm_reuse_config *c) {
    const char *end = text + length, *dash = memchr(text, '-', length), *at = memchr(text, '@', length);
    double first, last, level;
    if (strncmp(text, "skip=", 5) != 0 || !dash || !at || dash > at) return 0;
    if (!nm_decimal_parse(text + 5, (size_t)(dash - text) - 5, &first) ||
        !nm_decimal_parse(dash + 1, (size_t)(at - dash) - 1, &last) ||
        !nm_decimal_parse(at + 1, (size_t)(end - at) - 1, &level))
        return 0;
    if (!(first >= 1.0 && last >= first && last <= 64.0 && level >= 0.0 && level <= 1.0) || first != floor(first) ||
        last != floor(last))
        return 0;
    c->skip_first = (uint32_t)first - 1;
    c->skip_end = (uint32_t)last;
    c->skip_level = (float)level;
    return 1;
}

nm_status nm_reuse_parse(const char *text, nm_reuse_config *config, nm_error *error) {
    nm_reuse_config c = *config;
    const setting settings[] = {
        {"drift", &c.drift, NULL, 1.0}, {"refresh", NULL, &c.refresh, 1e6}, {"check", NULL, &c.check, 1e6}};
    const char *rest = text;
    c.on = 1;
    do {
        const size_t length = strcspn(rest, ",");
        if (length == 5 && strncmp(rest, "exact", 5) == 0) {
            c.drift = 0.0f;
        } else if (length == 7 && strncmp(rest, "compare", 7) == 0) {
            c.compare = 1;
        } else if (!read_setting(rest, length, settings, sizeof settings / sizeof *settings)) {
            char shown[96];
            nm_text_escape(shown, sizeof shown, text);
            return NM_ERROR(
                error, NM_E_ARGUMENT,
                "reuse wants exact, or drift= from 0 to 1, refresh= and check= in passes, compare; not \"%s\"", shown);
        }
        rest += length + (rest[length] == ',');
    } while (*rest);
    *config = c;
    return NM_OK;
}

nm_status nm_reuse_parse_reductions(const char *text, nm_reuse_config *config, nm_error *error) {
    nm_reuse_config c = *config;
    const setting settings[] = {{"ahead", NULL, &c.ahead, 1e6},
                                {"behind", NULL, &c.behind, 1e6},
                                {"far", &c.far, NULL, 1e6},
                                {"map", &c.map, NULL, 1.0}};
    const char *rest = text;
    c.on = 1;
    do {
        const size_t length = strcspn(rest, ",");
        if (!read_setting(rest, length, settings, sizeof settings / sizeof *settings) && !read_skip(rest, length, &c)) {
            char shown[96];
            nm_text_escape(shown, sizeof shown, text);
            return NM_ERROR(error, NM_E_ARGUMENT,
                            "reductions are ahead= and behind= in tokens, far= in m, map= from 0 to 1, and "
                            "skip=FIRST-LAST@LEVEL in blocks, from 0 to 1; not \"%s\"",
                            shown);
        }
        rest += length + (rest[length] == ',');
    } while (*rest);
    *config = c;
    return NM_OK;
}

static nm_status check_config(const nm_pass *pass, const nm_reuse_config *c, nm_error *error) {
    const nm_model_config *m = &pass->model->config;
    const char *name = pass->backend->name;
    if (strncmp(name, "cpu", 3) != 0 && strncmp(name, "reference", 9) != 0)
        return NM_ERROR(error, NM_E_UNSUPPORTED,
                        "passes keep what hardly changed on the processor only, not on \"%s\": leave the option out, "
                        "or choose the device cpu",
                        name);
    if (nm_model_is_joint(m))
        return NM_ERROR(error, NM_E_UNSUPPORTED,
                        "passes keep what hardly changed with factored attention only; this model's is '%s'",
                        nm_attention_name(m->attention.kind));
    if (!(c->drift >= 0.0f && c->drift <= 1.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "drift is %g, not in 0..1", (double)c->drift);
    if (!(c->far >= 0.0f && c->far < INFINITY) || !(c->map <= 1.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "far is %g m and map %g, not from 0, and up to 1", (double)c->far,
                        (double)c->map);
    if (c->far > 0.0f && !m->pose_bias)
        return NM_ERROR(error, NM_E_ARGUMENT, "far agents can not be told: this model is not told where agents are");
    if (c->skip_first > c->skip_end || c->skip_end > m->blocks || !(c->skip_level >= 0.0f && c->skip_level <= 1.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "blocks %u to %u at level %g are to be skipped, of %u", c->skip_first + 1,
                        c->skip_end, (double)c->skip_level, m->blocks);
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Creation

static nm_status allocate(nm_reuse *r, nm_error *error) {
    const nm_batch_capacity *capacity = &r->pass->batch.capacity;
    r->layers = calloc((size_t)nm_model_layers(&r->pass->model->config) + 1, sizeof *r->layers);
    if (!r->layers) return NM_ERROR(error, NM_E_MEMORY, "out of memory for what passes keep");
    const size_t bytes = nm_reuse_cut(r, capacity->tokens, capacity->scenes, NULL);
    r->block = nm_pages_allocate(bytes); // of which batches that are smaller than may be touch the first part
    if (!r->block) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %zu bytes that passes keep", bytes);
    return NM_OK;
}

nm_status nm_reuse_create(nm_pass *pass, const nm_reuse_config *config, nm_reuse **reuse, nm_error *error) {
    NM_ASSERT(!pass->training && !pass->links.indices); // it knows no lists
    *reuse = NULL;
    nm_status status = check_config(pass, config, error);
    if (status != NM_OK) return status;
    nm_reuse *r = calloc(1, sizeof *r);
    if (!r) return NM_ERROR(error, NM_E_MEMORY, "out of memory for what passes keep");
    r->pass = pass;
    r->config = *config;
    status = allocate(r, error);
    if (status == NM_OK)
        *reuse = r;
    else
        nm_reuse_destroy(r);
    return status;
}

void nm_reuse_destroy(nm_reuse *r) {
    if (!r) return;
    nm_pages_release(r->block);
    free(r->layers);
    free(r);
}

// ---------------------------------------------------------------------------------------------------------------------
// Passes

/// Whether anything that is kept can be of use; if not, nothing is.
static void begin_pass(nm_reuse *r, const nm_pass_input *input) {
    const nm_pass *p = r->pass;
    const nm_reuse_config *c = &r->config;
    const uint32_t tokens = p->batch.tokens, layers = nm_model_layers(&p->model->config);
    const size_t poses = p->model->config.pose_bias ? 4 * sizeof(float) * tokens : 0;
    const int other = r->batches != p->batches || r->encoded != p->encoded;
    r->fresh =
        other || (c->refresh && r->since >= c->refresh) || (poses && memcmp(r->told_pose, input->pose, poses) != 0);
    r->since = r->fresh ? 1 : r->since + 1;
    if (other) {
        nm_reuse_cut(r, tokens, p->batch.scenes, r->block);
        r->tokens = tokens;
        nm_reuse_sort(r);
    }
    for (uint32_t row = 0; row < tokens; ++row) r->work.level[row] = input->level[r->order[row]];
    if (!r->fresh) return;
    r->batches = p->batches;
    r->encoded = p->encoded;
    if (poses) memcpy(r->told_pose, input->pose, poses);
    for (uint32_t row = 0; poses && row < tokens; ++row) nm_rows_copy(p->pose, r->order[row], r->poses, row);
    for (uint32_t i = 0; i <= layers; ++i) {
        for (uint32_t row = 0; row < tokens; ++row) {
            r->layers[i].stale[row] = INFINITY;
            r->layers[i].context[row] = NAN;
        }
    }
}

/// What is kept of v, in the order of the batch; 0 of tokens that are not predicted.
static void put_out(const nm_reuse *r, float *v) {
    const uint32_t channels = r->v.cols;
    for (uint32_t row = 0; row < r->tokens; ++row) {
        for (uint32_t c = 0; c < channels; ++c) {
            const size_t at = (size_t)row * channels + c;
            const float value =
                r->v.dtype == NM_F64 ? (float)((const double *)r->v.data)[at] : ((const float *)r->v.data)[at];
            v[(size_t)r->order[row] * channels + c] = r->work.needed[row] ? value : 0.0f;
        }
    }
}

/// Adds the difference between two predictions to the statistics.
static void compare(nm_reuse *r, const nm_pass_input *input, const float *v) {
    const nm_tensor exact = r->pass->v;
    nm_reuse_stats *s = &r->stats;
    double error_square = 0.0, exact_square = 0.0; // of what moves, in this pass
    s->checked++;
    for (uint32_t row = 0; row < r->tokens; ++row) {
        if (!(input->level[row] > 0.0f)) continue;
        for (uint32_t c = 0; c < exact.cols; ++c) {
            const size_t at = (size_t)row * exact.stride + c;
            const float rounded = exact.dtype == NM_F64 ? (float)((const double *)exact.data)[at]
                                                        : ((const float *)exact.data)[at]; // as v is
            const double right = (double)rounded, error = fabs((double)v[(size_t)row * exact.cols + c] - right);
            if (input->level[row] < 1.0f) {
                s->moving_values++;
                s->moving_error_sum += error;
                if (!(error <= s->moving_error_max)) s->moving_error_max = error;
                error_square += error * error;
                exact_square += right * right;
            }
            s->values++;
            s->error_sum += error;
            s->exact_square_sum += right * right;
            if (!(error <= s->error_max)) s->error_max = error;
        }
    }
    const double relative = error_square == 0.0 ? 0.0 : sqrt(error_square / exact_square);
    if (!(relative <= s->relative_max)) s->relative_max = relative;
}

nm_status nm_reuse_predict(nm_reuse *r, const nm_pass_input *input, float *v, nm_error *error) {
    nm_pass *p = r->pass;
    const uint32_t layers = nm_model_layers(&p->model->config);
    if (p->batch.tokens == 0) return NM_OK;
    nm_status status = nm_pass_upload(p, input, error);
    if (status != NM_OK) return status;
    begin_pass(r, input);
    nm_reuse_choose(r, input->pose);
    r->passes++;
    r->stats.passes++;
    r->stats.exact_flops += nm_pass_flops(p);
    r->stats.exact_outputs += (double)layers * r->tokens;
    nm_reuse_forward(r);
    status = p->backend->ops->synchronize(p->backend, error);
    if (status != NM_OK) {
        r->batches = 0; // what is kept may be half of what it should be
        return status;
    }
    put_out(r, v);
    status = nm_pass_check_prediction(p, v, error);
    if (status != NM_OK || !r->config.check || r->passes % r->config.check != 0) return status;
    nm_pass_forward(p);
    status = p->backend->ops->synchronize(p->backend, error);
    if (status == NM_OK) compare(r, input, v);
    return status;
}

nm_reuse_stats nm_reuse_get_stats(const nm_reuse *reuse) {
    return reuse->stats;
}

void nm_reuse_reset_stats(nm_reuse *reuse) {
    reuse->stats = (nm_reuse_stats){0};
}

/// What is not finite stays.
static void keep_larger(double *largest, double more) {
    if (!(more <= *largest)) *largest = more;
}

void nm_reuse_stats_add(nm_reuse_stats *sum, const nm_reuse_stats *more) {
    sum->passes += more->passes;
    sum->flops += more->flops;
    sum->exact_flops += more->exact_flops;
    sum->outputs += more->outputs;
    sum->exact_outputs += more->exact_outputs;
    sum->checked += more->checked;
    sum->values += more->values;
    sum->error_sum += more->error_sum;
    sum->exact_square_sum += more->exact_square_sum;
    keep_larger(&sum->error_max, more->error_max);
    sum->moving_values += more->moving_values;
    sum->moving_error_sum += more->moving_error_sum;
    keep_larger(&sum->moving_error_max, more->moving_error_max);
    keep_larger(&sum->relative_max, more->relative_max);
    sum->positions += more->positions;
    sum->position_error_sum += more->position_error_sum;
    keep_larger(&sum->position_error_max, more->position_error_max);
}
