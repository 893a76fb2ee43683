#include "nexus/window.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

/// A row as it is, or as it shall be after the next change.
typedef struct agent_row {
    uint32_t scene, id;
} agent_row;

/// One token of the next layout.
typedef struct plan {
    uint32_t from; ///< as in nm_sampler_rearrange
    int32_t delay;
    const float *value; ///< of a new token with delay < 0
} plan;

struct nm_window {
    nm_window_config config;
    nm_arena *arena;
    nm_sampler *sampler;
    uint32_t length; ///< H + W
    uint32_t frame;  ///< number of the frame next to execute
    uint32_t left;   ///< passes until frame 0 is clean
    uint32_t row_count, scene_count;
    agent_row *rows, *next_rows;    ///< [max_rows]
    uint32_t *tokens;               ///< [max_rows][length] token or NM_TOKEN_NEW = none
    uint32_t *next_tokens;          ///< the same after the change
    plan *plans;                    ///< [max_rows][length]
    uint8_t *present;               ///< [max_rows][length] of the plans
    uint64_t *scene_key;            ///< [max_scenes]
    uint32_t *scene, *agent, *time; ///< [tokens] layout in the making
    uint32_t *frame_of, *id, *from;
    int32_t *delay;
    float *guess; ///< [tokens][channels]
};

nm_window_config nm_window_config_default(void) {
    return (nm_window_config){.history = 5, .future = 16, .stride = 1, .sampler = nm_sampler_config_default()};
}

static nm_status check_config(const nm_window_config *c, nm_error *error) {
    if (c->max_rows < 1 || c->max_rows > 100000)
        return NM_ERROR(error, NM_E_ARGUMENT, "max_rows is %u, not in 1..100000", (unsigned)c->max_rows);
    if (c->history < 1 || c->history > 1000)
        return NM_ERROR(error, NM_E_ARGUMENT, "history is %u frames, not in 1..1000", (unsigned)c->history);
    if (c->future < 1 || c->future > 1000)
        return NM_ERROR(error, NM_E_ARGUMENT, "future is %u frames, not in 1..1000", (unsigned)c->future);
    if (c->stride < 1 || c->stride > NM_SCHEDULE_MAX_LEVELS / c->future)
        return NM_ERROR(error, NM_E_ARGUMENT, "stride is %u, not in 1..%u for %u frames", (unsigned)c->stride,
                        (unsigned)(NM_SCHEDULE_MAX_LEVELS / c->future), (unsigned)c->future);
    return NM_OK;
}

static uint32_t levels_of(const nm_window *w) {
    return w->config.stride * w->config.future;
}

static int allocate(nm_window *w) {
    nm_arena *a = w->arena;
    const size_t rows = w->config.max_rows, count = rows * w->length;
    return (w->rows = NM_ARENA_ARRAY(a, agent_row, rows)) && (w->next_rows = NM_ARENA_ARRAY(a, agent_row, rows)) &&
           (w->tokens = NM_ARENA_ARRAY(a, uint32_t, count)) && (w->next_tokens = NM_ARENA_ARRAY(a, uint32_t, count)) &&
           (w->plans = NM_ARENA_ARRAY(a, plan, count)) && (w->present = NM_ARENA_ARRAY(a, uint8_t, count)) &&
           (w->scene_key = NM_ARENA_ARRAY(a, uint64_t, w->config.max_scenes)) &&
           (w->scene = NM_ARENA_ARRAY(a, uint32_t, count)) && (w->agent = NM_ARENA_ARRAY(a, uint32_t, count)) &&
           (w->time = NM_ARENA_ARRAY(a, uint32_t, count)) && (w->frame_of = NM_ARENA_ARRAY(a, uint32_t, count)) &&
           (w->id = NM_ARENA_ARRAY(a, uint32_t, count)) && (w->from = NM_ARENA_ARRAY(a, uint32_t, count)) &&
           (w->delay = NM_ARENA_ARRAY(a, int32_t, count)) &&
           (w->guess = NM_ARENA_ARRAY(a, float, count * w->config.sampler.channels));
}

nm_status nm_window_create(const nm_window_config *config, nm_window **window, nm_error *error) {
    NM_ASSERT(config && window);
    *window = NULL;
    nm_status status = check_config(config, error);
    if (status) return status;
    nm_sampler_config of_sampler = config->sampler;
    of_sampler.max_tokens = config->max_rows * (config->history + config->future);
    of_sampler.max_scenes = config->max_scenes;
    of_sampler.levels = config->stride * config->future;
    nm_sampler *sampler = NULL;
    status = nm_sampler_create(&of_sampler, &sampler, error);
    if (status) return status;
    nm_window *w = calloc(1, sizeof *w);
    if (w) {
        w->config = *config;
        w->sampler = sampler;
        w->length = config->history + config->future;
        w->left = levels_of(w);
        w->arena = nm_arena_create(0);
    } else {
        nm_sampler_destroy(sampler);
    }
    if (!w || !w->arena || !allocate(w)) {
        nm_window_destroy(w);
        return NM_ERROR(error, NM_E_MEMORY, "no memory for a window of %u rows", (unsigned)config->max_rows);
    }
    *window = w;
    return NM_OK;
}

void nm_window_destroy(nm_window *window) {
    if (!window) return;
    nm_sampler_destroy(window->sampler);
    nm_arena_destroy(window->arena);
    free(window);
}

// ---------------------------------------------------------------------------------------------------------------------
// Changing the layout: next_rows, plans and present say what shall be; apply makes it so.

static void plan_token(nm_window *w, uint32_t row, uint32_t position, uint32_t from, int32_t delay,
                       const float *value) {
    const size_t at = (size_t)row * w->length + position;
    w->plans[at] = (plan){from, delay, value};
    w->present[at] = 1;
}

/// Row `to` of the plan goes on as row `row` is.
static void plan_same(nm_window *w, uint32_t to, uint32_t row) {
    w->next_rows[to] = w->rows[row];
    for (uint32_t p = 0; p < w->length; p++) {
        const uint32_t token = w->tokens[(size_t)row * w->length + p];
        w->present[(size_t)to * w->length + p] = 0;
        if (token != NM_TOKEN_NEW) plan_token(w, to, p, token, 0, NULL);
    }
}

/// Carries the plan of `rows` rows out; `frame` is what the present will be. On failure nothing has changed.
static nm_status apply(nm_window *w, uint32_t rows, uint32_t frame, nm_error *error) {
    const size_t channels = w->config.sampler.channels;
    uint32_t count = 0, first = 0; // row of the scene
    for (uint32_t r = 0; r < rows; r++) {
        if (w->next_rows[r].scene != w->next_rows[first].scene) first = r;
        for (uint32_t p = 0; p < w->length; p++) {
            const size_t at = (size_t)r * w->length + p;
            w->next_tokens[at] = w->present[at] ? count : NM_TOKEN_NEW;
            if (!w->present[at]) continue;
            w->scene[count] = w->next_rows[r].scene;
            w->agent[count] = r - first;
            w->id[count] = w->next_rows[r].id;
            w->time[count] = p;
            w->frame_of[count] = frame + p; // counted from the oldest history of frame 0: never negative
            w->from[count] = w->plans[at].from;
            w->delay[count] = w->plans[at].delay;
            if (w->plans[at].from == NM_TOKEN_NEW && w->plans[at].value)
                memcpy(w->guess + count * channels, w->plans[at].value, channels * sizeof(float));
            count++;
        }
    }
    const nm_token_layout layout = {.count = count,
                                    .scene_count = w->scene_count,
                                    .scene = w->scene,
                                    .agent = w->agent,
                                    .time = w->time,
                                    .frame = w->frame_of,
                                    .agent_id = w->id,
                                    .scene_key = w->scene_key};
    const nm_status status = nm_sampler_rearrange(w->sampler, &layout, w->from, w->delay, w->guess, error);
    if (status) return status;
    agent_row *rows_before = w->rows;
    uint32_t *tokens_before = w->tokens;
    w->rows = w->next_rows;
    w->tokens = w->next_tokens;
    w->next_rows = rows_before;
    w->next_tokens = tokens_before;
    w->row_count = rows;
    w->frame = frame;
    return NM_OK;
}

/// Can noise tell the frames of the window apart when the next to execute is `frame`?
static nm_status check_frame(const nm_window *w, uint32_t frame, nm_error *error) {
    const uint32_t most = NM_NOISE_MAX_FRAME - (w->length - 1);
    if (frame <= most) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT, "the window would be at frame %u, over %u", (unsigned)frame, (unsigned)most);
}

nm_status nm_window_begin(nm_window *window, uint32_t scenes, const uint64_t *scene_key, uint32_t frame,
                          nm_error *error) {
    nm_window *w = window;
    const nm_token_layout nothing = {.scene_count = scenes, .scene_key = scene_key};
    nm_status status = check_frame(w, frame, error);
    if (!status) status = nm_sampler_begin(w->sampler, &nothing, NULL, NULL, NULL, error);
    if (status) return status;
    memcpy(w->scene_key, scene_key, scenes * sizeof *scene_key);
    w->scene_count = scenes;
    w->row_count = 0;
    w->frame = frame;
    w->left = levels_of(w);
    return NM_OK;
}

static int before(uint32_t scene, uint32_t id, const agent_row *other) {
    return scene != other->scene ? scene < other->scene : id < other->id;
}

/// The first row that does not come before agent `id` of `scene`.
static uint32_t find_place(const nm_window *w, uint32_t scene, uint32_t id) {
    uint32_t low = 0, high = w->row_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const agent_row *r = &w->rows[middle];
        if (r->scene < scene || (r->scene == scene && r->id < id))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t nm_window_find(const nm_window *window, uint32_t scene, uint32_t id) {
    const uint32_t row = find_place(window, scene, id);
    return row < window->row_count && window->rows[row].scene == scene && window->rows[row].id == id ? row
                                                                                                     : NM_TOKEN_NEW;
}

uint32_t nm_window_first_row(const nm_window *window, uint32_t scene) {
    return find_place(window, scene, 0);
}

static void plan_new(nm_window *w, uint32_t to, const nm_window_row *from) {
    const size_t channels = w->config.sampler.channels;
    const uint32_t history = w->config.history, levels = levels_of(w);
    w->next_rows[to] = (agent_row){.scene = from->scene, .id = from->id};
    for (uint32_t p = 0; p < w->length; p++) {
        w->present[(size_t)to * w->length + p] = 0;
        if (p < history) {
            if (from->valid[p]) plan_token(w, to, p, NM_TOKEN_NEW, -(int32_t)levels, from->history + p * channels);
            continue;
        }
        const int32_t delay = (int32_t)(w->left + (p - history) * w->config.stride) - (int32_t)levels;
        const float *guess = from->guess ? from->guess + (p - history) * channels : NULL;
        if (delay >= 0 || guess) plan_token(w, to, p, NM_TOKEN_NEW, delay, guess);
    }
}

nm_status nm_window_add(nm_window *window, const nm_window_row *rows, uint32_t count, nm_error *error) {
    nm_window *w = window;
    if (count > w->config.max_rows - w->row_count) {
        return NM_ERROR(error, NM_E_LIMIT, "%u rows and %u more; the window was made for %u", (unsigned)w->row_count,
                        (unsigned)count, (unsigned)w->config.max_rows);
    }
    // Merge what there is with the new rows, the smallest of the rest each time: few come at once.
    uint32_t old = 0, made = 0;
    for (uint32_t i = 0; i < w->row_count + count; i++) {
        const nm_window_row *least = NULL;
        for (uint32_t k = 0; k < count; k++) {
            const int done = made && !before(w->next_rows[made - 1].scene, w->next_rows[made - 1].id,
                                             &(agent_row){.scene = rows[k].scene, .id = rows[k].id});
            if (done) continue;
            if (!least || before(rows[k].scene, rows[k].id, &(agent_row){.scene = least->scene, .id = least->id}))
                least = &rows[k];
        }
        const int take_old = old < w->row_count && (!least || !before(least->scene, least->id, &w->rows[old]));
        if (!take_old && !least) break; // some row came twice
        if (take_old)
            plan_same(w, made, old++);
        else
            plan_new(w, made, least);
        made++;
    }
    if (made < w->row_count + count) return NM_ERROR(error, NM_E_EXISTS, "an agent is in the window already");
    return apply(w, made, w->frame, error);
}

nm_status nm_window_remove(nm_window *window, uint32_t row, nm_error *error) {
    nm_window *w = window;
    NM_ASSERT(row < w->row_count);
    uint32_t made = 0;
    for (uint32_t r = 0; r < w->row_count; r++) {
        if (r != row) plan_same(w, made++, r);
    }
    return apply(w, made, w->frame, error);
}

uint32_t nm_window_rows(const nm_window *window) {
    return window->row_count;
}

void nm_window_row_at(const nm_window *window, uint32_t row, uint32_t *scene, uint32_t *id) {
    NM_ASSERT(row < window->row_count);
    *scene = window->rows[row].scene;
    *id = window->rows[row].id;
}

uint32_t nm_window_token(const nm_window *window, uint32_t row, int32_t frame) {
    const int64_t position = (int64_t)window->config.history + frame;
    NM_ASSERT(row < window->row_count && position >= 0 && position < window->length);
    return window->tokens[(size_t)row * window->length + (size_t)position];
}

const nm_sampler *nm_window_sampler(const nm_window *window) {
    return window->sampler;
}

// ---------------------------------------------------------------------------------------------------------------------
// Passes and frames

int nm_window_ready(const nm_window *window) {
    return window->left == 0;
}

nm_status nm_window_pass(nm_window *window, const nm_denoiser *denoiser, nm_guide *guide, void *guide_context,
                         nm_error *error) {
    if (nm_window_ready(window)) return NM_OK;
    const nm_status status = nm_sampler_step(window->sampler, denoiser, guide, guide_context, error);
    if (!status) window->left--;
    return status;
}

void nm_window_frame(const nm_window *window, float *values, uint8_t *present) {
    NM_ASSERT(nm_window_ready(window));
    const size_t channels = window->config.sampler.channels, bytes = channels * sizeof(float);
    const float *z = nm_sampler_get(window->sampler).in.noised;
    for (uint32_t r = 0; r < window->row_count; r++) {
        const uint32_t token = window->tokens[(size_t)r * window->length + window->config.history];
        present[r] = token != NM_TOKEN_NEW;
        if (present[r])
            memcpy(values + r * channels, z + token * channels, bytes);
        else
            memset(values + r * channels, 0, bytes);
    }
}

/// Row `r` one frame on, as row `to` of the plan.
static void plan_slid(nm_window *w, uint32_t to, uint32_t r, const float *actual) {
    const uint32_t history = w->config.history;
    w->next_rows[to] = w->rows[r];
    for (uint32_t p = 0; p + 1 < w->length; p++) {
        const uint32_t token = w->tokens[(size_t)r * w->length + p + 1];
        w->present[(size_t)to * w->length + p] = 0;
        if (token != NM_TOKEN_NEW)
            plan_token(w, to, p, token, 0, NULL);
        else if (p + 1 == history && actual)
            plan_token(w, to, p, NM_TOKEN_NEW, -(int32_t)levels_of(w), actual);
    }
    plan_token(w, to, w->length - 1, NM_TOKEN_NEW, 0, NULL);
}

static nm_status check_actual(const nm_window *w, const float *actual, const uint8_t *alive, nm_error *error) {
    const size_t channels = w->config.sampler.channels;
    for (uint32_t r = 0; actual && r < w->row_count; r++) {
        float sum = 0.0f;
        for (size_t c = 0; c < channels; c++) sum += actual[r * channels + c] * 0.0f;
        if (sum == 0.0f || (alive && !alive[r])) continue;
        return NM_ERROR(error, NM_E_NUMERIC, "the state of agent %u of scene %u is not finite", (unsigned)w->rows[r].id,
                        (unsigned)w->rows[r].scene);
    }
    return NM_OK;
}

nm_status nm_window_slide(nm_window *window, const float *actual, const uint8_t *alive, nm_error *error) {
    nm_window *w = window;
    NM_ASSERT(nm_window_ready(w));
    const size_t channels = w->config.sampler.channels;
    nm_status status = check_frame(w, w->frame + 1, error);
    if (!status) status = check_actual(w, actual, alive, error);
    if (status) return status;
    const uint32_t rows = w->row_count;
    uint32_t made = 0;
    for (uint32_t r = 0; r < rows; r++) {
        if (!alive || alive[r]) plan_slid(w, made++, r, actual ? actual + r * channels : NULL);
    }
    status = apply(w, made, w->frame + 1, error);
    if (!status) w->left = w->config.stride;
    made = 0;
    for (uint32_t r = 0; actual && !status && r < rows; r++) {
        if (alive && !alive[r]) continue;
        const uint32_t token = w->tokens[(size_t)made++ * w->length + w->config.history - 1];
        status = nm_sampler_set_token(w->sampler, token, actual + r * channels, error);
    }
    return status;
}

nm_status nm_window_overwrite(nm_window *window, uint32_t row, int32_t frame, const float *values, nm_error *error) {
    const uint32_t token = nm_window_token(window, row, frame);
    if (token == NM_TOKEN_NEW) {
        return NM_ERROR(error, NM_E_NOT_FOUND, "agent %u of scene %u has no token at frame %d",
                        (unsigned)window->rows[row].id, (unsigned)window->rows[row].scene, (int)frame);
    }
    return nm_sampler_set_token(window->sampler, token, values, error);
}

nm_status nm_window_reframe(nm_window *window, const nm_state_encoding *encoding, const nm_motion *motions,
                            nm_error *error) {
    const nm_window *w = window;
    for (uint32_t i = 0; i < w->row_count * w->length; i++) {
        if (w->tokens[i] != NM_TOKEN_NEW) w->from[w->tokens[i]] = i / w->length; // scratch between changes
    }
    return nm_sampler_reframe(w->sampler, encoding, motions, w->row_count, w->from, error);
}
