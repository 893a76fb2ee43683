#include "nexus/guidance.h"

#include "nexus/guidance_terms.h"

#include "base/arena.h"
#include "sim/math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TIME 4096u ///< times of states: time tokens times the states in each
#define ACROSS 0.3      ///< overlapping agents give way across their lane this much as readily as along it

struct nm_guidance {
    nm_guidance_config config;
    nm_arena *arena;
    const nm_guided_scene *scenes;
    uint32_t scene_count;
    const nm_adversary *adversaries;
    uint32_t adversary_count;

    // links, valid while `linked` and the tokens are these
    int linked;
    uint32_t count;                 ///< tokens
    uint32_t *scene, *agent, *time; ///< [max_tokens]
    const nm_guided_agent **who;    ///< [max_tokens]
    // all that follows is [max_tokens * states]: state i of token n at n * states + i
    uint32_t *previous, *next, *group_offsets, *group_tokens, *bucket;

    // of one pass
    nm_guide_view view;
    double *sum[NM_GUIDE_STATES], *term[NM_GUIDE_STATES];
    double *length, *width, *lane_x, *lane_y, *lane_cos, *lane_sin, *lane_half;
    uint32_t *foe;
    uint8_t *fixed, *clean, *on_lane, *touched;
};

nm_guide_encoding nm_guide_encoding_published(void) {
    return (nm_guide_encoding){.states = 1,
                               .channel = {0, 1, 2, 3, 4, 5, 6, 7},
                               .mean = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 4.5f, 2.0f},
                               .scale = {104.0f, 104.0f, 1.0f, 1.0f, 4.0f, 4.0f, 5.0f, 1.6f}};
}

nm_guide_encoding nm_guide_encoding_own(float position_scale, float heading_scale, float speed_scale) {
    return (nm_guide_encoding){
        .states = 5,
        .stride = 5,
        .channel = {0, 1, 2, 3, 4, -1, -1, -1},
        .scale = {position_scale, position_scale, heading_scale, heading_scale, speed_scale, 1.0f, 1.0f, 1.0f}};
}

const char *nm_conflict_aim_name(nm_conflict_aim aim) {
    static const char *const names[NM_AIM_COUNT] = {"rear_end", "cut_in", "crossing", "head_on"};
    NM_ASSERT((unsigned)aim < NM_AIM_COUNT);
    return names[aim];
}

nm_adversary nm_adversary_default(void) {
    return (nm_adversary){.closing_speed = 5.0f,
                          .max_acceleration = 4.0f,
                          .max_braking = 8.0f,
                          .max_lateral = 5.0f,
                          .max_curvature = 0.2f};
}

nm_guidance_config nm_guidance_config_default(void) {
    return (nm_guidance_config){.encoding = nm_guide_encoding_published(),
                                .dt = 0.5f,
                                .margin = 0.2f,
                                .window = 1,
                                .min_speed = 0.7f,
                                .lane_radius = 15.0f,
                                .step = 0.5f,
                                .iterations = 5,
                                .max_move = 3.0f};
}

// ---------------------------------------------------------------------------------------------------------------------
// Creation

static nm_status check_config(const nm_guidance_config *c, nm_error *error) {
    const struct {
        const char *name;
        float value, low, high;
        int open; ///< low itself is out
    } ranges[] = {
        {"overlap", c->overlap, 0, 1, 0},
        {"road", c->road, 0, 1, 0},
        {"smooth", c->smooth, 0, 1, 0},
        {"consistent", c->consistent, 0, 1, 0},
        {"adversarial", c->adversarial, 0, 1, 0},
        {"margin", c->margin, 0, 10, 0},
        {"min_speed", c->min_speed, 0, 1e6f, 0},
        {"lane_radius", c->lane_radius, 0, 1000, 1},
        {"step", c->step, 0, 1, 1},
        {"max_move", c->max_move, 0, 1e6f, 1},
        {"dt", c->dt, 0, 1000, 1},
        {"window", (float)c->window, 1, 8, 0},
        {"iterations", (float)c->iterations, 1, 100, 0},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const float value = ranges[i].value;
        if (value >= ranges[i].low && value <= ranges[i].high && !(ranges[i].open && value == ranges[i].low)) continue;
        return NM_ERROR(error, NM_E_ARGUMENT, "guidance: %s is %g, not in %s%g..%g", ranges[i].name, (double)value,
                        ranges[i].open ? "above " : "", (double)ranges[i].low, (double)ranges[i].high);
    }
    if (c->max_tokens < 1 || c->max_tokens > (1u << 28))
        return NM_ERROR(error, NM_E_ARGUMENT, "guidance: max_tokens is %u, not in 1..2^28", (unsigned)c->max_tokens);
    if (c->encoding.states < 1 || c->encoding.states > 16)
        return NM_ERROR(error, NM_E_ARGUMENT, "guidance: %u states in a token, not in 1..16",
                        (unsigned)c->encoding.states);
    for (int f = 0; f < NM_FIELD_COUNT; f++) {
        if (!(fabsf(c->encoding.scale[f]) > 0.0f && isfinite(c->encoding.scale[f]) && isfinite(c->encoding.mean[f])))
            return NM_ERROR(error, NM_E_ARGUMENT, "guidance: field %d has no usable encoding", f);
        if (c->encoding.channel[f] < 0 && f < NM_FIELD_VY)
            return NM_ERROR(error, NM_E_ARGUMENT, "guidance: field %d is not encoded", f);
    }
    return NM_OK;
}

static int allocate(nm_guidance *g) {
    nm_arena *a = g->arena;
    const size_t tokens = g->config.max_tokens, count = tokens * g->config.encoding.states;
    for (int f = 0; f < NM_GUIDE_STATES; f++) {
        g->view.state[f] = NM_ARENA_ARRAY(a, double, count);
        g->sum[f] = NM_ARENA_ARRAY(a, double, count);
        g->term[f] = NM_ARENA_ARRAY(a, double, count);
        if (!g->view.state[f] || !g->sum[f] || !g->term[f]) return 0;
    }
    for (int i = 0; i < 3; i++) {
        if (!(g->view.scratch[i] = NM_ARENA_ARRAY(a, double, count))) return 0;
    }
    return (g->scene = NM_ARENA_ARRAY(a, uint32_t, tokens)) && (g->agent = NM_ARENA_ARRAY(a, uint32_t, tokens)) &&
           (g->time = NM_ARENA_ARRAY(a, uint32_t, tokens)) &&
           (g->who = NM_ARENA_ARRAY(a, const nm_guided_agent *, tokens)) &&
           (g->previous = NM_ARENA_ARRAY(a, uint32_t, count)) && (g->next = NM_ARENA_ARRAY(a, uint32_t, count)) &&
           (g->group_offsets = NM_ARENA_ARRAY(a, uint32_t, count + 1)) &&
           (g->group_tokens = NM_ARENA_ARRAY(a, uint32_t, count)) &&
           (g->bucket = NM_ARENA_ARRAY(a, uint32_t, MOST_TIME + 1)) && (g->foe = NM_ARENA_ARRAY(a, uint32_t, count)) &&
           (g->length = NM_ARENA_ARRAY(a, double, count)) && (g->width = NM_ARENA_ARRAY(a, double, count)) &&
           (g->lane_x = NM_ARENA_ARRAY(a, double, count)) && (g->lane_y = NM_ARENA_ARRAY(a, double, count)) &&
           (g->lane_cos = NM_ARENA_ARRAY(a, double, count)) && (g->lane_sin = NM_ARENA_ARRAY(a, double, count)) &&
           (g->lane_half = NM_ARENA_ARRAY(a, double, count)) && (g->fixed = NM_ARENA_ARRAY(a, uint8_t, count)) &&
           (g->clean = NM_ARENA_ARRAY(a, uint8_t, count)) && (g->on_lane = NM_ARENA_ARRAY(a, uint8_t, count)) &&
           (g->touched = NM_ARENA_ARRAY(a, uint8_t, count));
}

nm_status nm_guidance_create(const nm_guidance_config *config, nm_guidance **guidance, nm_error *error) {
    NM_ASSERT(config && guidance);
    *guidance = NULL;
    const nm_status status = check_config(config, error);
    if (status) return status;
    nm_guidance *g = calloc(1, sizeof *g);
    if (g) g->arena = nm_arena_create(0);
    if (g) g->config = *config;
    if (!g || !g->arena || !allocate(g)) {
        nm_guidance_destroy(g);
        return NM_ERROR(error, NM_E_MEMORY, "no memory for guidance of %u tokens", (unsigned)config->max_tokens);
    }
    nm_guide_view *v = &g->view;
    v->dt = (double)config->dt / config->encoding.states;
    v->length = g->length;
    v->width = g->width;
    v->previous = g->previous;
    v->next = g->next;
    v->group_offsets = g->group_offsets;
    v->group_tokens = g->group_tokens;
    v->foe = g->foe;
    v->fixed = g->fixed;
    v->on_lane = g->on_lane;
    v->lane_x = g->lane_x;
    v->lane_y = g->lane_y;
    v->lane_cos = g->lane_cos;
    v->lane_sin = g->lane_sin;
    v->lane_half = g->lane_half;
    *guidance = g;
    return NM_OK;
}

void nm_guidance_destroy(nm_guidance *guidance) {
    if (!guidance) return;
    nm_arena_destroy(guidance->arena);
    free(guidance);
}

void nm_guidance_set_scenes(nm_guidance *guidance, const nm_guided_scene *scenes, uint32_t count) {
    guidance->scenes = scenes;
    guidance->scene_count = count;
    guidance->linked = 0;
}

nm_status nm_guidance_set_adversaries(nm_guidance *guidance, const nm_adversary *adversaries, uint32_t count,
                                      nm_error *error) {
    for (uint32_t i = 0; i < count; i++) {
        const nm_adversary *a = &adversaries[i];
        if (!(a->max_acceleration > 0.0f && a->max_braking > 0.0f && a->max_lateral > 0.0f && a->max_curvature > 0.0f &&
              a->closing_speed >= 0.0f))
            return NM_ERROR(error, NM_E_ARGUMENT, "adversary %u has a limit that is not positive", (unsigned)i);
        if ((unsigned)a->aim >= NM_AIM_COUNT || a->ego == a->adversary)
            return NM_ERROR(error, NM_E_ARGUMENT, "adversary %u has no aim", (unsigned)i);
    }
    guidance->adversaries = adversaries;
    guidance->adversary_count = count;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Links between tokens, made anew when the layout changes

static const nm_guided_agent *find_agent(const nm_guided_scene *scene, uint32_t agent) {
    uint32_t low = 0, high = scene->agent_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (scene->agents[middle].agent < agent)
            low = middle + 1;
        else
            high = middle;
    }
    return low < scene->agent_count && scene->agents[low].agent == agent ? &scene->agents[low] : NULL;
}

static nm_status link_agents(nm_guidance *g, const nm_denoise_input *in, nm_error *error) {
    const uint32_t states = g->config.encoding.states;
    for (uint32_t n = 0; n < in->count; n++) {
        const int same = n && in->scene[n] == in->scene[n - 1] && in->agent[n] == in->agent[n - 1];
        const int adjacent = same && in->time[n] == in->time[n - 1] + 1;
        for (uint32_t p = n * states; p < (n + 1) * states; p++) {
            g->previous[p] = p > n * states || adjacent ? p - 1 : NM_NONE;
            g->next[p] = NM_NONE;
            if (g->previous[p] != NM_NONE) g->next[p - 1] = p;
        }
        g->who[n] = same                            ? g->who[n - 1]
                    : in->scene[n] < g->scene_count ? find_agent(&g->scenes[in->scene[n]], in->agent[n])
                                                    : NULL;
        if (!g->who[n])
            return NM_ERROR(error, NM_E_NOT_FOUND, "guidance knows no agent %u of scene %u", (unsigned)in->agent[n],
                            (unsigned)in->scene[n]);
        if (in->time[n] >= MOST_TIME / states)
            return NM_ERROR(error, NM_E_LIMIT, "guidance: token %u is at time %u, not below %u", (unsigned)n,
                            (unsigned)in->time[n], (unsigned)(MOST_TIME / states));
    }
    return NM_OK;
}

/// Sorts the states of the tokens [first, end) of a scene by time, stably (counting sort), and appends their groups.
static void link_times(nm_guidance *g, const nm_denoise_input *in, uint32_t first, uint32_t end) {
    const uint32_t states = g->config.encoding.states, from = first * states;
    uint32_t times = 0;
    for (uint32_t n = first; n < end; n++) times = in->time[n] + 1 > times ? in->time[n] + 1 : times;
    times *= states;
    memset(g->bucket, 0, (times + 1) * sizeof *g->bucket);
    for (uint32_t p = from; p < end * states; p++) g->bucket[in->time[p / states] * states + p % states + 1]++;
    for (uint32_t t = 0; t < times; t++) {
        if (g->bucket[t + 1]) g->group_offsets[g->view.group_count++] = from + g->bucket[t];
        g->bucket[t + 1] += g->bucket[t];
    }
    for (uint32_t p = from; p < end * states; p++) {
        g->group_tokens[from + g->bucket[in->time[p / states] * states + p % states]++] = p;
    }
}

static nm_status link_tokens(nm_guidance *g, const nm_denoise_input *in, nm_error *error) {
    const size_t bytes = in->count * sizeof(uint32_t);
    if (g->linked && g->count == in->count && !memcmp(g->scene, in->scene, bytes) &&
        !memcmp(g->agent, in->agent, bytes) && !memcmp(g->time, in->time, bytes)) {
        return NM_OK;
    }
    g->linked = 0;
    if (in->count > g->config.max_tokens)
        return NM_ERROR(error, NM_E_LIMIT, "%u tokens; guidance was made for %u", (unsigned)in->count,
                        (unsigned)g->config.max_tokens);
    const nm_status status = link_agents(g, in, error);
    if (status) return status;
    g->count = in->count;
    g->view.count = in->count * g->config.encoding.states;
    g->view.group_count = 0;
    for (uint32_t first = 0, n = 0; n < in->count; n++) {
        if (n + 1 < in->count && in->scene[n + 1] == in->scene[first]) continue;
        link_times(g, in, first, n + 1);
        first = n + 1;
    }
    g->group_offsets[g->view.group_count] = g->view.count;
    memcpy(g->scene, in->scene, bytes);
    memcpy(g->agent, in->agent, bytes);
    memcpy(g->time, in->time, bytes);
    g->linked = 1;
    return NM_OK;
}

/// The token of an agent at a time, or NM_NONE.
static uint32_t find_token(const nm_guidance *g, const nm_denoise_input *in, uint32_t scene, uint32_t agent,
                           uint32_t time) {
    uint32_t low = 0, high = g->count;
    while (low < high) {
        const uint32_t n = low + (high - low) / 2;
        const int less = in->scene[n] != scene   ? in->scene[n] < scene
                         : in->agent[n] != agent ? in->agent[n] < agent
                                                 : in->time[n] < time;
        if (less)
            low = n + 1;
        else
            high = n;
    }
    return low < g->count && in->scene[low] == scene && in->agent[low] == agent && in->time[low] == time ? low
                                                                                                         : NM_NONE;
}

// ---------------------------------------------------------------------------------------------------------------------
// Decoding and encoding

static double decoded(const nm_guide_encoding *e, const float *row, int field) {
    return (double)e->mean[field] + (double)e->scale[field] * (double)row[e->channel[field]];
}

static double size_of(const nm_guide_encoding *e, const float *row, int field, float given, double otherwise) {
    if (given > 0.0f) return (double)given;
    const double size = e->channel[field] < 0 ? otherwise : decoded(e, row, field);
    return fmax(0.3, fmin(30.0, size)); // early predictions may be anything
}

/// One state from the channels at `row` into point p.
static void decode_state(nm_guidance *g, const float *row, const nm_guide_pose *pose, uint32_t p) {
    const nm_guide_encoding *e = &g->config.encoding;
    double local[NM_GUIDE_STATES] = {0};
    for (int f = 0; f < NM_GUIDE_STATES; f++) {
        if (e->channel[f] >= 0) local[f] = decoded(e, row, f);
    }
    if (e->channel[NM_FIELD_VY] < 0) { // a speed along the heading
        const double size = fmax(1e-6, hypot(local[NM_FIELD_COS], local[NM_FIELD_SIN]));
        const double speed = local[NM_FIELD_VX];
        local[NM_FIELD_VX] = speed * local[NM_FIELD_COS] / size;
        local[NM_FIELD_VY] = speed * local[NM_FIELD_SIN] / size;
    }
    for (int f = 0; f < NM_GUIDE_STATES; f += 2) {
        g->view.state[f][p] = pose->cos_h * local[f] - pose->sin_h * local[f + 1];
        g->view.state[f + 1][p] = pose->sin_h * local[f] + pose->cos_h * local[f + 1];
    }
    g->view.state[NM_FIELD_X][p] += pose->x;
    g->view.state[NM_FIELD_Y][p] += pose->y;
}

static void decode(nm_guidance *g, const nm_denoise_input *in, const float *x0) {
    const nm_guide_encoding *e = &g->config.encoding;
    const double least = (double)g->config.min_speed;
    for (uint32_t p = 0; p < g->view.count; p++) {
        const uint32_t n = p / e->states;
        const float *row = x0 + (size_t)n * in->channels + p % e->states * e->stride;
        decode_state(g, row, &g->who[n]->pose, p);
        g->length[p] = size_of(e, row, NM_FIELD_LENGTH, g->who[n]->length, 4.5);
        g->width[p] = size_of(e, row, NM_FIELD_WIDTH, g->who[n]->width, 2.0);
        const double vx = g->view.state[NM_FIELD_VX][p], vy = g->view.state[NM_FIELD_VY][p];
        g->clean[p] = in->level[n] == 0.0f;
        g->fixed[p] = g->clean[p] || vx * vx + vy * vy < least * least;
        g->touched[p] = 0;
    }
}

static void encode(const nm_guidance *g, const nm_denoise_input *in, float *x0) {
    const nm_guide_encoding *e = &g->config.encoding;
    double *const *q = g->view.state;
    for (uint32_t p = 0; p < g->view.count; p++) {
        if (!g->touched[p]) continue;
        const uint32_t n = p / e->states;
        float *row = x0 + (size_t)n * in->channels + p % e->states * e->stride;
        const nm_guide_pose *pose = &g->who[n]->pose;
        double local[NM_GUIDE_STATES];
        for (int f = 0; f < NM_GUIDE_STATES; f += 2) {
            const double a = q[f][p] - (f ? 0.0 : pose->x), b = q[f + 1][p] - (f ? 0.0 : pose->y);
            local[f] = pose->cos_h * a + pose->sin_h * b;
            local[f + 1] = -pose->sin_h * a + pose->cos_h * b;
        }
        if (e->channel[NM_FIELD_VY] < 0) {
            const double size = fmax(1e-6, hypot(local[NM_FIELD_COS], local[NM_FIELD_SIN]));
            local[NM_FIELD_VX] =
                (local[NM_FIELD_VX] * local[NM_FIELD_COS] + local[NM_FIELD_VY] * local[NM_FIELD_SIN]) / size;
        }
        for (int f = 0; f < NM_GUIDE_STATES; f++) {
            if (e->channel[f] < 0) continue;
            row[e->channel[f]] = (float)((local[f] - (double)e->mean[f]) / (double)e->scale[f]);
        }
    }
}

/// The nearest lane of every state that is bound to one, as it is before the first step of the pass.
static void sample_lanes(nm_guidance *g, const nm_denoise_input *in) {
    double *const *q = g->view.state;
    for (uint32_t n = 0; n < g->view.count; n++) {
        const uint32_t token = n / g->config.encoding.states;
        g->on_lane[n] = 0;
        const nm_map *map = g->scenes[in->scene[token]].map;
        if (g->fixed[n] || !map || !g->who[token]->lane_mask) continue;
        const float x = (float)q[NM_FIELD_X][n], y = (float)q[NM_FIELD_Y][n];
        const float heading = nm_atan2f((float)q[NM_FIELD_SIN][n], (float)q[NM_FIELD_COS][n]);
        const nm_frenet at = nm_map_match(map, x, y, heading, g->config.lane_radius, g->who[token]->lane_mask);
        if (at.lane == NM_NONE) continue;
        float lane_x, lane_y, lane_heading;
        nm_map_position(map, at.lane, at.s, 0.0f, &lane_x, &lane_y, &lane_heading);
        g->on_lane[n] = 1;
        g->lane_x[n] = (double)lane_x;
        g->lane_y[n] = (double)lane_y;
        g->lane_cos[n] = cos((double)lane_heading);
        g->lane_sin[n] = sin((double)lane_heading);
        g->lane_half[n] = (double)(at.d >= 0.0f ? at.left : at.right);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Steps

static void clear(const nm_guidance *g, double *const gradient[NM_GUIDE_STATES]) {
    for (int f = 0; f < NM_GUIDE_STATES; f++) memset(gradient[f], 0, g->view.count * sizeof(double));
}

static void add(nm_guidance *g, double strength) {
    for (int f = 0; f < NM_GUIDE_STATES; f++) {
        for (uint32_t n = 0; n < g->view.count; n++) g->sum[f][n] += strength * g->term[f][n];
    }
}

/// Along the lane as it is, across it less; without a lane, along the agent itself.
static void favour_lanes(nm_guidance *g) {
    for (uint32_t n = 0; n < g->view.count; n++) {
        double c = g->on_lane[n] ? g->lane_cos[n] : g->view.state[NM_FIELD_COS][n];
        double s = g->on_lane[n] ? g->lane_sin[n] : g->view.state[NM_FIELD_SIN][n];
        const double size = sqrt(c * c + s * s), gx = g->term[NM_FIELD_X][n], gy = g->term[NM_FIELD_Y][n];
        if (size < 1e-6) continue;
        c /= size;
        s /= size;
        const double along = c * gx + s * gy, across = ACROSS * (c * gy - s * gx);
        g->term[NM_FIELD_X][n] = c * along - s * across;
        g->term[NM_FIELD_Y][n] = s * along + c * across;
    }
}

typedef struct encounter {
    const nm_adversary *what;
    uint32_t contact, ego, first, ego_first; ///< states
} encounter;

static uint32_t first_of(const nm_guidance *g, uint32_t n) {
    while (g->previous[n] != NM_NONE) n = g->previous[n];
    return n;
}

static nm_status find_encounter(const nm_guidance *g, const nm_denoise_input *in, const nm_adversary *a, encounter *e,
                                nm_error *error) {
    e->what = a;
    e->contact = find_token(g, in, a->scene, a->adversary, a->time);
    e->ego = find_token(g, in, a->scene, a->ego, a->time);
    if (e->contact == NM_NONE || e->ego == NM_NONE) {
        return NM_ERROR(error, NM_E_NOT_FOUND, "agent %u of scene %u has no token at time %u, where it shall be met",
                        (unsigned)(e->ego == NM_NONE ? a->ego : a->adversary), (unsigned)a->scene, (unsigned)a->time);
    }
    const uint32_t states = g->config.encoding.states; // the last of a token is at its time
    e->contact = e->contact * states + states - 1;
    e->ego = e->ego * states + states - 1;
    e->first = first_of(g, e->contact);
    e->ego_first = first_of(g, e->ego);
    return NM_OK;
}

/// Marks who may touch whom, so that overlap does not undo what adversarial wants; checks the adversaries.
static nm_status mark_foes(nm_guidance *g, const nm_denoise_input *in, nm_error *error) {
    const uint32_t states = g->config.encoding.states;
    for (uint32_t n = 0; n < g->view.count; n++) g->foe[n] = NM_NONE;
    for (uint32_t i = 0; g->config.adversarial > 0.0f && i < g->adversary_count; i++) {
        encounter e;
        const nm_status status = find_encounter(g, in, &g->adversaries[i], &e, error);
        if (status) return status;
        for (uint32_t n = e.first; n != NM_NONE; n = g->next[n]) {
            const uint32_t foe = find_token(g, in, e.what->scene, e.what->ego, in->time[n / states]);
            g->foe[n] = foe == NM_NONE ? NM_NONE : foe * states + n % states;
        }
    }
    return NM_OK;
}

static void add_adversaries(nm_guidance *g, const nm_denoise_input *in) {
    for (uint32_t i = 0; i < g->adversary_count; i++) {
        encounter e;
        const nm_status found = find_encounter(g, in, &g->adversaries[i], &e, NULL);
        NM_ASSERT(found == NM_OK); // mark_foes looked
        const nm_adversary *a = e.what;
        const nm_conflict_target target = nm_conflict_target_of(&g->view, a, e.ego, e.contact, e.ego_first, e.first);
        clear(g, g->term);
        nm_energy_conflict(&g->view, e.first, e.contact, &target, g->term);
        nm_spread_conflict(&g->view, e.first, e.contact, g->term);
        const double acceleration = fmax((double)a->max_braking, (double)a->max_lateral);
        nm_energy_kinematic(&g->view, e.first, acceleration, (double)a->max_curvature, g->term);
        add(g, (double)g->config.adversarial);
    }
}

static double gather(nm_guidance *g, const nm_denoise_input *in) {
    const nm_guidance_config *c = &g->config;
    clear(g, g->sum);
    if (c->overlap > 0.0f) {
        clear(g, g->term);
        nm_energy_overlap(&g->view, (double)c->margin, g->term);
        favour_lanes(g);
        add(g, (double)c->overlap);
    }
    if (c->road > 0.0f) {
        clear(g, g->term);
        nm_energy_road(&g->view, g->term);
        add(g, (double)c->road);
    }
    if (c->smooth > 0.0f) {
        clear(g, g->term);
        nm_energy_smooth(&g->view, c->window, g->term);
        add(g, (double)c->smooth);
    }
    if (c->consistent > 0.0f) {
        clear(g, g->term);
        nm_energy_consistent(&g->view, g->term);
        add(g, (double)c->consistent);
    }
    const int conflict = c->adversarial > 0.0f && g->adversary_count > 0;
    if (conflict) add_adversaries(g, in);
    return (double)c->overlap + (double)c->road + (double)c->smooth + (double)c->consistent +
           (conflict ? 2.0 * (double)c->adversarial : 0.0); // homing and kinematics
}

/// One step down g->sum, in the units of the energies; no token moves by more than its share of max_move.
static void descend(nm_guidance *g, double strength) {
    const double units[NM_GUIDE_STATES / 2] = {1.0, 1.0 / NM_GUIDE_ARM, 1.0 / g->view.dt};
    const double step = (double)g->config.step / fmax(1.0, strength);
    const double most = (double)g->config.max_move / g->config.iterations;
    for (uint32_t n = 0; n < g->view.count; n++) {
        if (g->fixed[n]) continue;
        double move[NM_GUIDE_STATES], size2 = 0.0;
        for (int f = 0; f < NM_GUIDE_STATES; f++) {
            const double unit = units[f / 2];
            move[f] = -step * unit * g->sum[f][n]; // in m
            size2 += move[f] * move[f];
            move[f] *= unit; // in the state's own
        }
        if (!(size2 > 0.0)) continue;
        const double size = sqrt(size2), share = size > most ? most / size : 1.0;
        for (int f = 0; f < NM_GUIDE_STATES; f++) g->view.state[f][n] += share * move[f];
        g->touched[n] = 1;
    }
}

nm_status nm_guidance_apply(void *guidance, const nm_denoise_input *in, float *x0, nm_error *error) {
    nm_guidance *g = guidance;
    const nm_guidance_config *c = &g->config;
    if (!(c->overlap > 0.0f || c->road > 0.0f || c->smooth > 0.0f || c->consistent > 0.0f || c->adversarial > 0.0f))
        return NM_OK;
    const int64_t last_state = (int64_t)(c->encoding.states - 1) * c->encoding.stride;
    for (int f = 0; f < NM_FIELD_COUNT; f++) NM_ASSERT(last_state + c->encoding.channel[f] < (int64_t)in->channels);
    nm_status status = link_tokens(g, in, error);
    if (!status) status = mark_foes(g, in, error);
    if (status) return status;
    decode(g, in, x0);
    if (c->overlap > 0.0f || c->road > 0.0f)
        sample_lanes(g, in);
    else
        memset(g->on_lane, 0, g->view.count);
    for (uint32_t i = 0; i < c->iterations; i++) descend(g, gather(g, in));
    for (uint32_t i = 0; c->adversarial > 0.0f && i < g->adversary_count; i++) {
        encounter e;
        status = find_encounter(g, in, &g->adversaries[i], &e, error);
        NM_ASSERT(status == NM_OK);
        nm_make_drivable(&g->view, e.first, e.what, g->clean, g->touched);
    }
    encode(g, in, x0);
    return NM_OK;
}
