#include "nexus/sampler.h"

#include "base/arena.h"
#include "base/rng.h"
#include "base/text.h"
#include "nexus/finite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/// z' = z_weight z + x0_weight x0 + past_weight (x0 of the pass before) + noise_weight e
typedef struct move {
    float z_weight, x0_weight, past_weight, noise_weight;
} move;

/// Everything that belongs to tokens, [max_tokens] or [max_tokens][channels]. Two of them, for rearrange.
typedef struct tokens {
    uint32_t *scene, *agent, *time, *frame, *agent_id;
    int32_t *left;      ///< levels + delay - passes: the level is clip(left, 0, most)
    uint16_t *step;     ///< the level in steps
    uint16_t *most;     ///< that the level ever is: levels, but for drafts
    uint8_t *predicted; ///< 1 = x0 is a prediction, not the first noise
    uint8_t *history;   ///< 1 = x0 was predicted one level above, in the pass before: the 2M solver may use it
    float *level, *z, *x0, *known, *mask;
} tokens;

struct nm_sampler {
    nm_sampler_config config;
    nm_arena *arena;
    uint32_t count, scene_count;
    uint64_t layout, passes;
    tokens now, other;
    uint64_t *scene_key;

    // by level in steps, [levels + 1]; a move leads from the level to the next lower one
    float *level_of, *alpha_of, *sigma_of;
    move *moves, *first_moves; ///< with and without a past prediction

    // of one pass
    float *v, *fresh, *alpha, *sigma, *noise;
    uint32_t *noise_agent, *noise_step;
    uint64_t *noise_scene;
    uint8_t *used;  ///< rearrange: old tokens that are continued; of a pass: nm_settled
    uint8_t *falls; ///< of a pass: the token's level does
};

static const char *const solver_names[] = {"ancestral", "ddim", "2m"};
#define SOLVER_COUNT (sizeof solver_names / sizeof *solver_names)

const char *nm_solver_name(nm_solver solver) {
    NM_ASSERT((size_t)solver < SOLVER_COUNT);
    return solver_names[solver];
}

nm_status nm_solver_parse(const char *text, nm_solver *solver, nm_error *error) {
    for (size_t i = 0; i < SOLVER_COUNT; i++) {
        if (strcmp(text, solver_names[i])) continue;
        *solver = (nm_solver)i;
        return NM_OK;
    }
    char shown[96];
    nm_text_escape(shown, sizeof shown, text);
    return NM_ERROR(error, NM_E_ARGUMENT, "no solver \"%s\"; known are ancestral, ddim, 2m", shown);
}

nm_sampler_config nm_sampler_config_default(void) {
    return (nm_sampler_config){
        .channels = 8, .levels = 32, .snr = NM_SNR_COSINE, .solver = NM_SOLVER_ANCESTRAL, .clip = 0.0f};
}

// ---------------------------------------------------------------------------------------------------------------------
// Creation

static move first_order(nm_solver solver, nm_noise_level from, nm_noise_level to) {
    if (solver == NM_SOLVER_ANCESTRAL) {
        const nm_ancestral a = nm_ancestral_step(from.logsnr, to.logsnr);
        return (move){(float)a.z_weight, (float)a.x0_weight, 0.0f, (float)sqrt(a.variance)};
    }
    // DDIM: e = (z - alpha x0) / sigma. With h = half the gain of log-SNR, alpha' - alpha sigma' / sigma is alpha' (1 -
    // exp(-h)): the first-order step of DPM-Solver++.
    const double h = 0.5 * (to.logsnr - from.logsnr);
    return (move){(float)(to.sigma / from.sigma), (float)(-to.alpha * expm1(-h)), 0.0f, 0.0f};
}

/// DPM-Solver++(2M): the prediction is extrapolated along the token's own half log-SNR, from the level before to the
/// middle of this step: x0 + (x0 - past) / (2 r), r = h_past / h. A last step has h = inf and stays first order.
static move second_order(move first, nm_noise_level past, nm_noise_level from, nm_noise_level to) {
    if (isinf(to.logsnr)) return first;
    const double weight = 0.5 * (to.logsnr - from.logsnr) / (from.logsnr - past.logsnr);
    first.past_weight = (float)(-(double)first.x0_weight * weight);
    first.x0_weight = (float)((double)first.x0_weight * (1.0 + weight));
    return first;
}

static void fill_tables(nm_sampler *s) {
    const uint32_t levels = s->config.levels;
    nm_noise_level past = {0}, from = {0};
    for (uint32_t i = 0; i <= levels; i++) { // from pure noise down
        const uint32_t k = levels - i;
        const nm_noise_level to = nm_noise_level_at(s->config.snr, (double)k / levels);
        s->level_of[k] = (float)((double)k / levels);
        s->alpha_of[k] = (float)to.alpha;
        s->sigma_of[k] = (float)to.sigma;
        if (i >= 1) {
            s->moves[k + 1] = s->first_moves[k + 1] = first_order(s->config.solver, from, to);
            if (i >= 2 && s->config.solver == NM_SOLVER_2M)
                s->moves[k + 1] = second_order(s->first_moves[k + 1], past, from, to);
        }
        past = from;
        from = to;
    }
}

static int allocate_tokens(nm_arena *arena, size_t count, size_t values, tokens *t) {
    return (t->scene = NM_ARENA_ARRAY(arena, uint32_t, count)) && (t->agent = NM_ARENA_ARRAY(arena, uint32_t, count)) &&
           (t->time = NM_ARENA_ARRAY(arena, uint32_t, count)) && (t->frame = NM_ARENA_ARRAY(arena, uint32_t, count)) &&
           (t->agent_id = NM_ARENA_ARRAY(arena, uint32_t, count)) &&
           (t->left = NM_ARENA_ARRAY(arena, int32_t, count)) && (t->step = NM_ARENA_ARRAY(arena, uint16_t, count)) &&
           (t->most = NM_ARENA_ARRAY(arena, uint16_t, count)) && (t->history = NM_ARENA_ARRAY(arena, uint8_t, count)) &&
           (t->predicted = NM_ARENA_ARRAY(arena, uint8_t, count)) && (t->level = NM_ARENA_ARRAY(arena, float, count)) &&
           (t->z = NM_ARENA_ARRAY(arena, float, values)) && (t->x0 = NM_ARENA_ARRAY(arena, float, values)) &&
           (t->known = NM_ARENA_ARRAY(arena, float, values)) && (t->mask = NM_ARENA_ARRAY(arena, float, values));
}

static int allocate(nm_sampler *s) {
    nm_arena *arena = s->arena;
    const size_t count = s->config.max_tokens, values = count * s->config.channels, levels = s->config.levels + 1;
    return allocate_tokens(arena, count, values, &s->now) && allocate_tokens(arena, count, values, &s->other) &&
           (s->scene_key = NM_ARENA_ARRAY(arena, uint64_t, s->config.max_scenes)) &&
           (s->level_of = NM_ARENA_ARRAY(arena, float, levels)) &&
           (s->alpha_of = NM_ARENA_ARRAY(arena, float, levels)) &&
           (s->sigma_of = NM_ARENA_ARRAY(arena, float, levels)) && (s->moves = NM_ARENA_ARRAY(arena, move, levels)) &&
           (s->first_moves = NM_ARENA_ARRAY(arena, move, levels)) && (s->v = NM_ARENA_ARRAY(arena, float, values)) &&
           (s->fresh = NM_ARENA_ARRAY(arena, float, values)) && (s->alpha = NM_ARENA_ARRAY(arena, float, count)) &&
           (s->sigma = NM_ARENA_ARRAY(arena, float, count)) && (s->noise = NM_ARENA_ARRAY(arena, float, values)) &&
           (s->noise_agent = NM_ARENA_ARRAY(arena, uint32_t, count)) &&
           (s->noise_step = NM_ARENA_ARRAY(arena, uint32_t, count)) &&
           (s->noise_scene = NM_ARENA_ARRAY(arena, uint64_t, count)) &&
           (s->used = NM_ARENA_ARRAY(arena, uint8_t, count)) && (s->falls = NM_ARENA_ARRAY(arena, uint8_t, count));
}

static nm_status check_config(const nm_sampler_config *c, nm_error *error) {
    if (c->max_tokens < 1 || c->max_tokens > (1u << 28))
        return NM_ERROR(error, NM_E_ARGUMENT, "max_tokens is %u, not in 1..2^28", (unsigned)c->max_tokens);
    if (c->max_scenes < 1) return NM_ERROR(error, NM_E_ARGUMENT, "max_scenes is 0");
    if (c->channels < 1 || c->channels > 64)
        return NM_ERROR(error, NM_E_ARGUMENT, "channels is %u, not in 1..64", (unsigned)c->channels);
    if (c->levels < 1 || c->levels > NM_SCHEDULE_MAX_LEVELS)
        return NM_ERROR(error, NM_E_ARGUMENT, "levels is %u, not in 1..%u", (unsigned)c->levels,
                        NM_SCHEDULE_MAX_LEVELS);
    if ((size_t)c->solver >= SOLVER_COUNT || (unsigned)c->snr > NM_SNR_SHIFTED_COSINE)
        return NM_ERROR(error, NM_E_ARGUMENT, "no such solver or log-SNR schedule");
    if (!(c->clip >= 0.0f)) return NM_ERROR(error, NM_E_ARGUMENT, "clip is %g, below 0", (double)c->clip);
    return NM_OK;
}

nm_status nm_sampler_create(const nm_sampler_config *config, nm_sampler **sampler, nm_error *error) {
    NM_ASSERT(config && sampler);
    *sampler = NULL;
    const nm_status status = check_config(config, error);
    if (status) return status;
    nm_sampler *s = calloc(1, sizeof *s);
    if (s) s->arena = nm_arena_create(0);
    if (s) s->config = *config;
    if (!s || !s->arena || !allocate(s)) {
        nm_sampler_destroy(s);
        return NM_ERROR(error, NM_E_MEMORY, "no memory for a sampler of %u tokens", (unsigned)config->max_tokens);
    }
    fill_tables(s);
    *sampler = s;
    return NM_OK;
}

void nm_sampler_destroy(nm_sampler *sampler) {
    if (!sampler) return;
    nm_arena_destroy(sampler->arena);
    free(sampler);
}

// ---------------------------------------------------------------------------------------------------------------------
// Layouts

/// Does token `n` follow token n - 1 in (scene, agent, time), and in its frame?
static int in_order(const nm_token_layout *l, uint32_t n) {
    if (l->scene[n] != l->scene[n - 1]) return l->scene[n] > l->scene[n - 1];
    if (l->agent[n] != l->agent[n - 1]) return l->agent[n] > l->agent[n - 1];
    return l->time[n] > l->time[n - 1] && (!l->frame || l->frame[n] > l->frame[n - 1]);
}

static nm_status check_layout(const nm_sampler *s, const nm_token_layout *l, nm_error *error) {
    if (l->count > s->config.max_tokens || l->scene_count > s->config.max_scenes) {
        return NM_ERROR(error, NM_E_LIMIT, "%u tokens of %u scenes; the sampler was made for %u of %u",
                        (unsigned)l->count, (unsigned)l->scene_count, (unsigned)s->config.max_tokens,
                        (unsigned)s->config.max_scenes);
    }
    for (uint32_t n = 0; n < l->count; n++) {
        if (l->scene[n] >= l->scene_count)
            return NM_ERROR(error, NM_E_ARGUMENT, "token %u is of scene %u, of %u", (unsigned)n, (unsigned)l->scene[n],
                            (unsigned)l->scene_count);
        const uint32_t frame = l->frame ? l->frame[n] : l->time[n];
        if (frame > NM_NOISE_MAX_FRAME)
            return NM_ERROR(error, NM_E_ARGUMENT, "token %u is of frame %u, over %u", (unsigned)n, (unsigned)frame,
                            NM_NOISE_MAX_FRAME);
        if (n && !in_order(l, n))
            return NM_ERROR(error, NM_E_ARGUMENT,
                            "token %u (scene %u, agent %u, time %u) does not come after the one before it", (unsigned)n,
                            (unsigned)l->scene[n], (unsigned)l->agent[n], (unsigned)l->time[n]);
    }
    return NM_OK;
}

/// The weights of a move and of x0 are of the order of 1: from values up to this one no infinity comes.
#define MOST_VALUE 1e30f

static int is_usable(const float *values, size_t count) {
    int usable = 1;
    for (size_t i = 0; i < count; i++) usable &= fabsf(values[i]) <= MOST_VALUE; // not of a NaN
    return usable;
}

static nm_status check_delay(uint32_t n, int32_t delay, int32_t least, nm_error *error) {
    if (delay >= least && delay <= NM_SCHEDULE_MAX_DELAY) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT, "token %u has delay %d, not in %d..2^28", (unsigned)n, (int)delay,
                    (int)least);
}

static void set_step(nm_sampler *s, tokens *t, uint32_t n) {
    const int32_t left = t->left[n];
    t->step[n] = (uint16_t)(left <= 0 ? 0 : left >= t->most[n] ? t->most[n] : left);
    t->level[n] = s->level_of[t->step[n]];
}

/// Fills known and mask of token n out of its level and z.
static void set_known(const nm_sampler *s, tokens *t, uint32_t n) {
    const size_t channels = s->config.channels, first = n * channels;
    const int clean = t->step[n] == 0;
    for (size_t i = first; i < first + channels; i++) {
        t->known[i] = clean ? t->z[i] : 0.0f;
        t->mask[i] = clean ? 1.0f : 0.0f;
    }
}

static void copy_layout(nm_sampler *s, const nm_token_layout *l, tokens *t) {
    const size_t bytes = l->count * sizeof(uint32_t);
    const size_t keys = l->scene_count * sizeof *s->scene_key;
    if (bytes) {
        const int same = l->count == s->count && !memcmp(s->now.scene, l->scene, bytes) &&
                         !memcmp(s->now.agent, l->agent, bytes) && !memcmp(s->now.time, l->time, bytes) &&
                         l->scene_count == s->scene_count;
        s->layout += !same;
        memmove(t->scene, l->scene, bytes);
        memmove(t->agent, l->agent, bytes);
        memmove(t->time, l->time, bytes);
        memmove(t->frame, l->frame ? l->frame : l->time, bytes);
        memmove(t->agent_id, l->agent_id ? l->agent_id : l->agent, bytes);
    } else {
        s->layout++;
    }
    if (keys) memmove(s->scene_key, l->scene_key, keys);
    s->count = l->count;
    s->scene_count = l->scene_count;
}

static void add_noise_key(nm_sampler *s, const tokens *t, uint32_t n, uint32_t row, uint32_t level) {
    s->noise_scene[row] = s->scene_key[t->scene[n]];
    s->noise_agent[row] = t->agent_id[n];
    s->noise_step[row] = nm_noise_step(t->frame[n], level);
}

/// Gives the tokens that `is_new` says their first noise, over the z that they have. At level 1, with
/// alpha = 4e-4 of a value that nobody knows, the noise is all.
static void draw_first(nm_sampler *s, tokens *t, const uint8_t *is_new) {
    const size_t channels = s->config.channels;
    const uint32_t levels = s->config.levels;
    uint32_t rows = 0;
    for (uint32_t n = 0; n < s->count; n++) {
        if (is_new[n] && t->step[n]) add_noise_key(s, t, n, rows++, t->step[n]);
    }
    nm_noise_fill(s->config.seed, rows, s->config.channels, s->noise_scene, s->noise_agent, s->noise_step, s->noise);
    const float *noise = s->noise;
    for (uint32_t n = 0; n < s->count; n++) {
        if (!is_new[n] || !t->step[n]) continue;
        float *z = t->z + n * channels;
        if (t->step[n] == levels) {
            memcpy(z, noise, channels * sizeof(float));
        } else {
            const float alpha = s->alpha_of[t->step[n]], sigma = s->sigma_of[t->step[n]];
            for (size_t c = 0; c < channels; c++) z[c] = alpha * z[c] + sigma * noise[c];
        }
        noise += channels;
    }
}

static void observe(const nm_sampler *s) {
    if (s->config.observer) s->config.observer(s->config.observer_context, s);
}

nm_status nm_sampler_begin(nm_sampler *sampler, const nm_token_layout *layout, const uint8_t *clean,
                           const float *values, const int32_t *delay, nm_error *error) {
    nm_sampler *s = sampler;
    nm_status status = check_layout(s, layout, error);
    if (status) return status;
    const size_t channels = s->config.channels;
    for (uint32_t n = 0; n < layout->count; n++) {
        if (clean[n] && !nm_all_finite(values + n * channels, channels))
            return NM_ERROR(error, NM_E_NUMERIC, "the value given for token %u is not finite", (unsigned)n);
        if (!clean[n] && delay && (status = check_delay(n, delay[n], 0, error))) return status;
    }

    tokens *t = &s->now;
    copy_layout(s, layout, t);
    for (uint32_t n = 0; n < s->count; n++) {
        s->used[n] = !clean[n];
        t->left[n] = clean[n] ? 0 : (int32_t)s->config.levels + (delay ? delay[n] : 0);
        t->most[n] = (uint16_t)s->config.levels;
        t->history[n] = t->predicted[n] = 0;
        set_step(s, t, n);
        if (clean[n]) memcpy(t->z + n * channels, values + n * channels, channels * sizeof(float));
    }
    draw_first(s, t, s->used);
    for (uint32_t n = 0; n < s->count; n++) set_known(s, t, n);
    memcpy(t->x0, t->z, s->count * channels * sizeof(float));
    s->passes = 0;
    observe(s);
    return NM_OK;
}

/// The 2M solver's memory of the scenes that tokens `is_new` and given came to: predicted before these were known.
static void forget_scenes(const nm_sampler *s, tokens *t, const uint8_t *is_new) {
    for (uint32_t first = 0, end; first < s->count; first = end) {
        int news = 0;
        for (end = first; end < s->count && t->scene[end] == t->scene[first]; end++) {
            news |= is_new[end] && t->step[end] == 0;
        }
        if (news) memset(t->history + first, 0, end - first);
    }
}

static nm_status check_from(nm_sampler *s, const nm_token_layout *layout, const uint32_t *from, const int32_t *delay,
                            const float *guess, nm_error *error) {
    nm_status status = check_layout(s, layout, error);
    memset(s->used, 0, s->config.max_tokens);
    for (uint32_t n = 0; !status && n < layout->count; n++) {
        if (from[n] == NM_TOKEN_NEW) {
            if (!delay) continue;
            status = check_delay(n, delay[n], -(int32_t)s->config.levels, error);
            NM_ASSERT(status || delay[n] >= 0 || guess);
            if (!status && delay[n] < 0 && !nm_all_finite(guess + (size_t)n * s->config.channels, s->config.channels))
                status = NM_ERROR(error, NM_E_NUMERIC, "the value given for token %u is not finite", (unsigned)n);
        } else if (from[n] >= s->count) {
            status = NM_ERROR(error, NM_E_ARGUMENT, "token %u continues token %u, of %u", (unsigned)n,
                              (unsigned)from[n], (unsigned)s->count);
        } else if (s->used[from[n]]++) {
            status = NM_ERROR(error, NM_E_ARGUMENT, "token %u is continued twice", (unsigned)from[n]);
        }
    }
    return status;
}

nm_status nm_sampler_rearrange(nm_sampler *sampler, const nm_token_layout *layout, const uint32_t *from,
                               const int32_t *delay, const float *guess, nm_error *error) {
    nm_sampler *s = sampler;
    const nm_status status = check_from(s, layout, from, delay, guess, error);
    if (status) return status;
    const size_t channels = s->config.channels, bytes = channels * sizeof(float);
    tokens *t = &s->other;
    const tokens *old = &s->now;
    copy_layout(s, layout, t);
    for (uint32_t n = 0; n < s->count; n++) {
        s->used[n] = from[n] == NM_TOKEN_NEW;
        if (s->used[n]) {
            t->left[n] = (int32_t)s->config.levels + (delay ? delay[n] : 0);
            t->most[n] = (uint16_t)s->config.levels;
            t->history[n] = t->predicted[n] = 0;
            if (delay && delay[n] < 0) memcpy(t->z + n * channels, guess + n * channels, bytes);
        } else {
            t->left[n] = old->left[from[n]];
            t->most[n] = old->most[from[n]];
            t->history[n] = old->history[from[n]];
            t->predicted[n] = old->predicted[from[n]];
            memcpy(t->z + n * channels, old->z + from[n] * channels, bytes);
            memcpy(t->x0 + n * channels, old->x0 + from[n] * channels, bytes);
        }
        set_step(s, t, n);
    }
    forget_scenes(s, t, s->used);
    draw_first(s, t, s->used);
    for (uint32_t n = 0; n < s->count; n++) {
        set_known(s, t, n);
        if (s->used[n]) memcpy(t->x0 + n * channels, t->z + n * channels, bytes);
    }
    const tokens swapped = s->now;
    s->now = s->other;
    s->other = swapped;
    return NM_OK;
}

nm_status nm_sampler_set_token(nm_sampler *sampler, uint32_t token, const float *values, nm_error *error) {
    nm_sampler *s = sampler;
    NM_ASSERT(token < s->count);
    const size_t channels = s->config.channels, bytes = channels * sizeof(float);
    if (!nm_all_finite(values, channels))
        return NM_ERROR(error, NM_E_NUMERIC, "the value given for token %u is not finite", (unsigned)token);
    tokens *t = &s->now;
    const int news = t->step[token] != 0 || memcmp(t->z + token * channels, values, bytes) != 0;
    memcpy(t->z + token * channels, values, bytes);
    memcpy(t->x0 + token * channels, values, bytes);
    t->left[token] = 0;
    set_step(s, t, token);
    set_known(s, t, token);
    if (!news) return NM_OK;
    const uint32_t scene = t->scene[token];
    for (uint32_t n = token; n < s->count && t->scene[n] == scene; n++) t->history[n] = 0;
    for (uint32_t n = token; n-- > 0 && t->scene[n] == scene;) t->history[n] = 0;
    return NM_OK;
}

nm_status nm_sampler_draft(nm_sampler *sampler, uint32_t token, const float *guess, uint32_t most, nm_error *error) {
    nm_sampler *s = sampler;
    tokens *t = &s->now;
    const size_t channels = s->config.channels, at = token * channels;
    NM_ASSERT(token < s->count && most >= 1 && most <= s->config.levels && t->step[token] > 0);
    if (!nm_all_finite(guess, channels))
        return NM_ERROR(error, NM_E_NUMERIC, "the value given for token %u is not finite", (unsigned)token);
    memset(s->used, 0, s->count);
    s->used[token] = 1;
    t->most[token] = (uint16_t)most;
    t->history[token] = t->predicted[token] = 0;
    memcpy(t->z + at, guess, channels * sizeof(float));
    set_step(s, t, token);
    draw_first(s, t, s->used);
    memcpy(t->x0 + at, t->z + at, channels * sizeof(float));
    return NM_OK;
}

static nm_status check_motions(const nm_sampler *s, const nm_state_encoding *encoding, const nm_motion *motions,
                               uint32_t motion_count, const uint32_t *motion_of, nm_error *error) {
    nm_status status = nm_state_encoding_check_motion(encoding, s->config.channels, error);
    for (uint32_t i = 0; !status && i < motion_count; i++) status = nm_motion_check(&motions[i], error);
    for (uint32_t n = 0; !status && n < s->count; n++)
        NM_ASSERT(motion_of[n] < motion_count || motion_of[n] == NM_TOKEN_STAYS);
    return status;
}

nm_status nm_sampler_reframe(nm_sampler *sampler, const nm_state_encoding *encoding, const nm_motion *motions,
                             uint32_t motion_count, const uint32_t *motion_of, nm_error *error) {
    nm_sampler *s = sampler;
    tokens *t = &s->now;
    const nm_status status = check_motions(s, encoding, motions, motion_count, motion_of, error);
    if (status) return status;
    const size_t channels = s->config.channels, bytes = s->count * channels * sizeof(float);
    float *z = s->v, *x0 = s->fresh; // of no use between passes
    memcpy(z, t->z, bytes);
    memcpy(x0, t->x0, bytes);
    for (uint32_t n = 0; n < s->count; n++) {
        if (motion_of[n] == NM_TOKEN_STAYS) continue;
        const nm_motion *motion = &motions[motion_of[n]];
        const double alpha = (double)s->alpha_of[t->step[n]];
        nm_state_encoding_move(encoding, motion, alpha, z + n * channels);
        nm_state_encoding_move(encoding, motion, t->predicted[n] ? 1.0 : alpha, x0 + n * channels);
        if (!nm_all_finite(z + n * channels, channels) || !nm_all_finite(x0 + n * channels, channels))
            return NM_ERROR(error, NM_E_NUMERIC, "token %u would be moved beyond all numbers", (unsigned)n);
    }
    memcpy(t->z, z, bytes);
    memcpy(t->x0, x0, bytes);
    for (uint32_t n = 0; n < s->count; n++) set_known(s, t, n);
    return NM_OK;
}

static void copy_token(const nm_sampler *s, uint32_t from, uint32_t to) {
    const tokens *t = &s->now;
    const size_t channels = s->config.channels, bytes = channels * sizeof(float);
    if (t->step[to] == t->most[to] && t->left[to] >= t->most[to]) return; // its own noise
    t->left[to] = t->left[from];
    t->step[to] = t->step[from];
    t->most[to] = t->most[from];
    t->predicted[to] = t->predicted[from];
    t->history[to] = t->history[from];
    t->level[to] = t->level[from];
    float *values[] = {t->z, t->x0, t->known, t->mask};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        memcpy(values[i] + to * channels, values[i] + from * channels, bytes);
}

void nm_sampler_copy_scene(nm_sampler *sampler, uint32_t from, uint32_t to) {
    nm_sampler *s = sampler;
    const tokens *t = &s->now;
    uint32_t a = 0, b = 0;
    while (a < s->count && t->scene[a] < from) a++;
    while (b < s->count && t->scene[b] < to) b++;
    for (; b < s->count && t->scene[b] == to; a++, b++) {
        NM_ASSERT(a < s->count && t->scene[a] == from && t->agent[a] == t->agent[b] && t->time[a] == t->time[b] &&
                  t->left[a] == t->left[b]);
        copy_token(s, a, b);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The pass

static nm_denoise_input input_of(const nm_sampler *s) {
    const tokens *t = &s->now;
    return (nm_denoise_input){.count = s->count,
                              .channels = s->config.channels,
                              .scene_count = s->scene_count,
                              .layout = s->layout,
                              .scene = t->scene,
                              .agent = t->agent,
                              .time = t->time,
                              .known = t->known,
                              .mask = t->mask,
                              .noised = t->z,
                              .level = t->level};
}

/// Does the pass take token n a level down?
static inline uint8_t falls(const tokens *t, uint32_t n) {
    return t->step[n] > 0 && t->left[n] <= t->most[n];
}

/// Rows of clean tokens become their values, whatever `fresh` has for them; the others must be usable.
static nm_status settle_fresh(nm_sampler *s, const char *by, nm_error *error) {
    const tokens *t = &s->now;
    const size_t channels = s->config.channels;
    for (uint32_t n = 0; n < s->count; n++) {
        if (t->step[n] == 0) {
            memcpy(s->fresh + n * channels, t->z + n * channels, channels * sizeof(float));
        } else if (!is_usable(s->fresh + n * channels, channels)) {
            return NM_ERROR(
                error, NM_E_NUMERIC, "%s made token %u (scene %u, agent %u, time %u) not finite, or larger than %g", by,
                (unsigned)n, (unsigned)t->scene[n], (unsigned)t->agent[n], (unsigned)t->time[n], (double)MOST_VALUE);
        }
    }
    return NM_OK;
}

/// The predicted x0 of all tokens into `fresh`, guidance included.
static nm_status predict(nm_sampler *s, const nm_denoiser *denoiser, nm_guide *guide, void *guide_context,
                         nm_error *error) {
    const tokens *t = &s->now;
    nm_denoise_input in = input_of(s);
    for (uint32_t n = 0; n < s->count; n++) s->falls[n] = falls(t, n);
    in.moves = s->falls;
    nm_status status = nm_denoise(denoiser, &in, s->v, error);
    if (status) return status;
    for (uint32_t n = 0; n < s->count; n++) {
        s->alpha[n] = s->alpha_of[t->step[n]];
        s->sigma[n] = s->sigma_of[t->step[n]];
    }
    nm_x0_of_v(s->count, s->config.channels, t->z, s->v, s->alpha, s->sigma, s->config.clip, s->fresh);
    status = settle_fresh(s, "the prediction", error);
    if (!status && guide) status = guide(guide_context, &in, s->fresh, error);
    if (!status && guide) status = settle_fresh(s, "guidance", error);
    if (status || !s->config.settle) return status;
    memset(s->used, NM_NOT_SETTLED, s->count);
    s->config.settle(s->config.settle_context, &in, s->fresh, s->used);
    for (uint32_t n = 0; n < s->count; n++)
        if (t->step[n] == 0) s->used[n] = NM_NOT_SETTLED;
    return settle_fresh(s, "what finishes tokens early", error);
}

/// With `channels` a constant after inlining; see x0_rows in noise.c.
static inline void move_row(const uint32_t channels, move m, float *restrict z, const float *restrict x0,
                            const float *restrict past, const float *restrict noise) {
    for (uint32_t c = 0; c < channels; c++) {
        z[c] = (m.z_weight * z[c] + m.x0_weight * x0[c]) + (m.past_weight * past[c] + m.noise_weight * noise[c]);
    }
}

/// Moves token n, whose noise is at `noise`, one level down.
static void move_token(nm_sampler *s, uint32_t n, const float *noise) {
    tokens *t = &s->now;
    const uint32_t channels = s->config.channels;
    const size_t at = (size_t)n * channels;
    const move m = t->history[n] ? s->moves[t->step[n]] : s->first_moves[t->step[n]];
    if (channels == 8)
        move_row(8, m, t->z + at, s->fresh + at, t->x0 + at, noise);
    else
        move_row(channels, m, t->z + at, s->fresh + at, t->x0 + at, noise);
}

/// Tokens that move to a level above 0 with noise on top, in order: their noise into s->noise.
static void draw_noise(nm_sampler *s) {
    if (s->config.solver != NM_SOLVER_ANCESTRAL) return;
    uint32_t rows = 0;
    for (uint32_t n = 0; n < s->count; n++) {
        if (s->now.step[n] >= 2 && falls(&s->now, n)) add_noise_key(s, &s->now, n, rows++, s->now.step[n] - 1u);
    }
    nm_noise_fill(s->config.seed, rows, s->config.channels, s->noise_scene, s->noise_agent, s->noise_step, s->noise);
}

static void update(nm_sampler *s) {
    tokens *t = &s->now;
    const size_t channels = s->config.channels;
    const int stochastic = s->config.solver == NM_SOLVER_ANCESTRAL;
    draw_noise(s);
    size_t row = 0;
    for (uint32_t n = 0; n < s->count; n++) {
        if (t->step[n] == 0) continue;
        const int moves = falls(t, n);
        t->left[n]--;
        if (!moves) continue;
        // without noise of its own a token reads finite numbers times 0
        move_token(s, n, stochastic && t->step[n] >= 2 ? s->noise + channels * row++ : s->fresh + n * channels);
        t->history[n] = 1;
        set_step(s, t, n);
        if (t->step[n] == 0) set_known(s, t, n);
    }
    memset(t->predicted, 1, s->count);
    float *past = t->x0;
    t->x0 = s->fresh;
    s->fresh = past;
    s->passes++;
}

/// Finishes the tokens that are to be, all of which were moved by the pass as by any other. Returns how many.
static uint32_t settle(nm_sampler *s) {
    tokens *t = &s->now;
    const size_t channels = s->config.channels;
    uint32_t count = 0;
    for (uint32_t n = 0; n < s->count; n++) {
        if (!s->used[n]) continue;
        memcpy(t->z + n * channels, t->x0 + n * channels, channels * sizeof(float));
        t->left[n] = 0;
        set_step(s, t, n);
        set_known(s, t, n);
        count++;
    }
    return count;
}

/// Leaves out the passes that would move no token of an agent of whom tokens were finished early.
static void hurry(nm_sampler *s) {
    tokens *t = &s->now;
    for (uint32_t first = 0, end; first < s->count; first = end) {
        int32_t wait = INT32_MAX;
        int settled = 0;
        for (end = first; end < s->count && t->scene[end] == t->scene[first] && t->agent[end] == t->agent[first];
             end++) {
            settled |= s->used[end];
            if (t->step[end] > 0 && t->left[end] - t->most[end] < wait) wait = t->left[end] - t->most[end];
        }
        if (!settled || wait <= 0 || wait == INT32_MAX) continue;
        for (uint32_t n = first; n < end; n++)
            if (t->step[n] > 0) t->left[n] -= wait;
    }
}

nm_status nm_sampler_step(nm_sampler *sampler, const nm_denoiser *denoiser, nm_guide *guide, void *guide_context,
                          nm_error *error) {
    nm_sampler *s = sampler;
    if (nm_sampler_remaining(s) == 0) {
        s->passes++;
        return NM_OK;
    }
    const nm_status status = predict(s, denoiser, guide, guide_context, error);
    if (status) return status;
    update(s);
    if (s->config.settle && settle(s)) {
        hurry(s);
        for (uint32_t n = 0; n < s->count; n++) s->used[n] = s->used[n] == NM_SETTLED_OTHERWISE;
        forget_scenes(s, &s->now, s->used);
    }
    observe(s);
    return NM_OK;
}

nm_status nm_sampler_run(nm_sampler *sampler, const nm_denoiser *denoiser, nm_guide *guide, void *guide_context,
                         nm_error *error) {
    nm_status status = NM_OK;
    while (!status && nm_sampler_remaining(sampler) > 0) {
        status = nm_sampler_step(sampler, denoiser, guide, guide_context, error);
    }
    return status;
}

int64_t nm_sampler_remaining(const nm_sampler *sampler) {
    int32_t most = 0;
    for (uint32_t n = 0; n < sampler->count; n++) {
        most = sampler->now.left[n] > most ? sampler->now.left[n] : most;
    }
    return most;
}

nm_sampler_state nm_sampler_get(const nm_sampler *sampler) {
    return (nm_sampler_state){.in = input_of(sampler),
                              .levels = sampler->config.levels,
                              .step = sampler->now.step,
                              .x0 = sampler->now.x0,
                              .passes = sampler->passes};
}
