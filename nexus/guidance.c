#include "nexus/guidance.h"

#include "nexus/guidance_private.h"

#include <stdlib.h>
#include <string.h>

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
    return (nm_guidance_config){.encoding = nm_state_encoding_published(),
                                .dt = 0.5f,
                                .margin = 0.2f,
                                .window = 1,
                                .min_speed = 0.7f,
                                .lane_radius = 15.0f,
                                .step = 0.5f,
                                .iterations = 5,
                                .max_move = 3.0f,
                                .ahead = NM_GUIDANCE_NO_LIMIT};
}

// ---------------------------------------------------------------------------------------------------------------------
// Creation

/// States are numbered in 32 bits, and NM_NONE is none of them.
#define MOST_STATES (1u << 28)

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
    if (c->max_tokens < 1 || c->max_tokens > MOST_STATES)
        return NM_ERROR(error, NM_E_ARGUMENT, "guidance: max_tokens is %u, not in 1..2^28", (unsigned)c->max_tokens);
    const nm_status status = nm_state_encoding_check(&c->encoding, error);
    if (status) return status;
    if (c->max_tokens > MOST_STATES / c->encoding.states)
        return NM_ERROR(error, NM_E_ARGUMENT, "guidance: max_tokens is %u of %u states each, over 2^28 states",
                        (unsigned)c->max_tokens, (unsigned)c->encoding.states);
    return NM_OK;
}

static int allocate_links(nm_guidance *g) {
    nm_arena *a = g->arena;
    const size_t tokens = g->config.max_tokens, count = tokens * g->config.encoding.states;
    return (g->scene = NM_ARENA_ARRAY(a, uint32_t, tokens)) && (g->agent = NM_ARENA_ARRAY(a, uint32_t, tokens)) &&
           (g->time = NM_ARENA_ARRAY(a, uint32_t, tokens)) &&
           (g->who = NM_ARENA_ARRAY(a, const nm_guided_agent *, tokens)) &&
           (g->previous = NM_ARENA_ARRAY(a, uint32_t, count)) && (g->next = NM_ARENA_ARRAY(a, uint32_t, count)) &&
           (g->group_offsets = NM_ARENA_ARRAY(a, uint32_t, count + 1)) &&
           (g->group_tokens = NM_ARENA_ARRAY(a, uint32_t, count)) &&
           (g->bucket = NM_ARENA_ARRAY(a, uint32_t, NM_GUIDE_MOST_TIME + 1)) &&
           (g->foe = NM_ARENA_ARRAY(a, uint32_t, count));
}

static int allocate_states(nm_guidance *g) {
    nm_arena *a = g->arena;
    const size_t count = (size_t)g->config.max_tokens * g->config.encoding.states;
    for (int f = 0; f < NM_GUIDE_STATES; f++) {
        g->view.state[f] = NM_ARENA_ARRAY(a, double, count);
        g->sum[f] = NM_ARENA_ARRAY(a, double, count);
        g->term[f] = NM_ARENA_ARRAY(a, double, count);
        if (!g->view.state[f] || !g->sum[f] || !g->term[f]) return 0;
    }
    g->marked = NM_ARENA_ARRAY(a, uint8_t, count);
    if (g->marked) memset(g->marked, 0, count);
    return g->marked && (g->free_token = NM_ARENA_ARRAY(a, uint8_t, g->config.max_tokens)) &&
           (g->seen = NM_ARENA_ARRAY(a, uint8_t, g->config.max_tokens)) &&
           (g->runs = NM_ARENA_ARRAY(a, nm_guide_run, count)) && (g->x = NM_ARENA_ARRAY(a, double, count)) &&
           (g->y = NM_ARENA_ARRAY(a, double, count)) && (g->reach = NM_ARENA_ARRAY(a, double, count)) &&
           (g->pairs = NM_ARENA_ARRAY(a, nm_guide_pair, nm_guidance_pair_room(&g->config))) &&
           (g->met = NM_ARENA_ARRAY(a, uint32_t, count)) && (g->pull = NM_ARENA_ARRAY(a, double, count + 2)) &&
           (g->length = NM_ARENA_ARRAY(a, double, count)) && (g->width = NM_ARENA_ARRAY(a, double, count)) &&
           (g->lane_x = NM_ARENA_ARRAY(a, double, count)) && (g->lane_y = NM_ARENA_ARRAY(a, double, count)) &&
           (g->lane_cos = NM_ARENA_ARRAY(a, double, count)) && (g->lane_sin = NM_ARENA_ARRAY(a, double, count)) &&
           (g->lane_half = NM_ARENA_ARRAY(a, double, count)) && (g->fixed = NM_ARENA_ARRAY(a, uint8_t, count)) &&
           (g->clean = NM_ARENA_ARRAY(a, uint8_t, count)) && (g->on_lane = NM_ARENA_ARRAY(a, uint8_t, count)) &&
           (g->touched = NM_ARENA_ARRAY(a, uint8_t, count));
}

nm_status nm_guidance_create_part(const nm_guidance_config *config, int links_only, nm_guidance **guidance,
                                  nm_error *error) {
    NM_ASSERT(config && guidance);
    *guidance = NULL;
    const nm_status status = check_config(config, error);
    if (status) return status;
    nm_guidance *g = calloc(1, sizeof *g);
    if (g) g->arena = nm_arena_create(0);
    if (g) g->config = *config;
    if (!g || !g->arena || !allocate_links(g) || !(links_only || allocate_states(g))) {
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

nm_status nm_guidance_create(const nm_guidance_config *config, nm_guidance **guidance, nm_error *error) {
    return nm_guidance_create_part(config, 0, guidance, error);
}

void nm_guidance_destroy(nm_guidance *guidance) {
    if (!guidance) return;
    free(guidance->encounters);
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
    if (count > guidance->encounter_room) {
        nm_guide_encounter *more = realloc(guidance->encounters, count * sizeof *more);
        if (!more) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u adversaries", (unsigned)count);
        guidance->encounters = more;
        guidance->encounter_room = count;
    }
    guidance->adversaries = adversaries;
    guidance->adversary_count = count;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Decoding and encoding

static void decode(nm_guidance *g, const nm_denoise_input *in, const float *x0) {
    const nm_state_encoding *e = &g->config.encoding;
    const double least = (double)g->config.min_speed;
    memset(g->touched, 0, g->view.count);
    memset(g->fixed, 1, g->view.count);
    for (uint32_t n = 0; n < g->count; n++) {
        for (uint32_t i = 0; i < e->states && g->seen[n]; i++) {
            const uint32_t p = n * e->states + i;
            const float *row = x0 + (size_t)n * in->channels + i * e->stride;
            nm_guide_decode_state(e, row, &g->who[n]->pose, &g->view, p);
            g->length[p] = nm_guide_extent(e, row, NM_FIELD_LENGTH, g->who[n]->length, 4.5);
            g->width[p] = nm_guide_extent(e, row, NM_FIELD_WIDTH, g->who[n]->width, 2.0);
            g->clean[p] = in->level[n] == 0.0f;
            g->fixed[p] = !g->free_token[n] || nm_guide_slow(&g->view, p, least);
        }
    }
}

static void encode(const nm_guidance *g, const nm_denoise_input *in, float *x0) {
    const nm_state_encoding *e = &g->config.encoding;
    for (uint32_t p = 0; p < g->view.count; p++) {
        if (!g->touched[p]) continue;
        const uint32_t n = p / e->states;
        float *row = x0 + (size_t)n * in->channels + p % e->states * e->stride;
        nm_guide_encode_state(e, &g->view, p, &g->who[n]->pose, row);
    }
}

/// The nearest lane of a state that is bound to one.
static void sample_lane(nm_guidance *g, const nm_denoise_input *in, uint32_t n) {
    const uint32_t token = n / g->config.encoding.states;
    const nm_map *map = g->scenes[in->scene[token]].map;
    g->on_lane[n] = 0;
    if (!map || !g->who[token]->lane_mask) return;
    double *const *q = g->view.state;
    const float x = (float)q[NM_FIELD_X][n], y = (float)q[NM_FIELD_Y][n];
    const float heading = nm_atan2f((float)q[NM_FIELD_SIN][n], (float)q[NM_FIELD_COS][n]);
    const nm_frenet at = nm_map_match(map, x, y, heading, g->config.lane_radius, g->who[token]->lane_mask);
    if (at.lane == NM_NONE) return;
    float lane_x, lane_y, lane_heading;
    nm_map_position(map, at.lane, at.s, 0.0f, &lane_x, &lane_y, &lane_heading);
    g->on_lane[n] = 1;
    g->lane_x[n] = (double)lane_x;
    g->lane_y[n] = (double)lane_y;
    g->lane_cos[n] = cos((double)lane_heading);
    g->lane_sin[n] = sin((double)lane_heading);
    g->lane_half[n] = (double)(at.d >= 0.0f ? at.left : at.right);
}

/// What can move, its lanes as they are before the first step of the pass, and what it may meet.
static void gather(nm_guidance *g, const nm_denoise_input *in) {
    const nm_guidance_config *c = &g->config;
    nm_guidance_gather_runs(g);
    for (uint32_t i = 0; i < g->run_count && (c->overlap > 0.0f || c->road > 0.0f); i++) {
        for (uint32_t n = g->runs[i].first; n < g->runs[i].end; n++) sample_lane(g, in, n);
    }
    if (c->overlap > 0.0f) nm_guidance_gather_pairs(g);
}

// ---------------------------------------------------------------------------------------------------------------------
// Steps

/// One step down g->sum. Returns whether anything moved: if not, the next step would be the same.
static int descend(nm_guidance *g, const nm_guide_descent *descent) {
    int any = 0;
    for (uint32_t i = 0; i < g->run_count; i++) {
        for (uint32_t n = g->runs[i].first; n < g->runs[i].end; n++) {
            double slope[NM_GUIDE_STATES], move[NM_GUIDE_STATES];
            for (int f = 0; f < NM_GUIDE_STATES; f++) slope[f] = g->sum[f][n];
            if (!nm_guide_move(descent, slope, move)) continue;
            for (int f = 0; f < NM_GUIDE_STATES; f++) g->view.state[f][n] += move[f];
            g->touched[n] = 1;
            any = 1;
        }
    }
    return any;
}

int nm_guidance_idle(const nm_guidance_config *c) {
    return !(c->overlap > 0.0f || c->road > 0.0f || c->smooth > 0.0f || c->consistent > 0.0f || c->adversarial > 0.0f);
}

int nm_guidance_fits(const nm_guidance_config *c, uint32_t channels) {
    return nm_state_encoding_channels(&c->encoding) <= channels;
}

nm_guide_descent nm_guidance_descent(const nm_guidance *g) {
    const nm_guidance_config *c = &g->config;
    const int conflict = c->adversarial > 0.0f && g->adversary_count > 0;
    const double strength = (double)c->overlap + (double)c->road + (double)c->smooth + (double)c->consistent +
                            (conflict ? 2.0 * (double)c->adversarial : 0.0); // homing and kinematics
    return (nm_guide_descent){.step = (double)c->step / fmax(1.0, strength),
                              .most = (double)c->max_move / c->iterations,
                              .units = {1.0, 1.0 / NM_GUIDE_ARM, 1.0 / g->view.dt}};
}

nm_status nm_guidance_apply(void *guidance, const nm_denoise_input *in, float *x0, nm_error *error) {
    nm_guidance *g = guidance;
    const nm_guidance_config *c = &g->config;
    if (nm_guidance_idle(c)) return NM_OK;
    NM_ASSERT(nm_guidance_fits(c, in->channels));
    nm_status status = nm_guidance_link(g, in, error);
    if (!status) status = nm_guidance_mark_foes(g, in, error);
    if (status) return status;
    nm_guidance_choose(g, in);
    decode(g, in, x0);
    gather(g, in);
    const nm_guide_descent descent = nm_guidance_descent(g);
    for (uint32_t i = 0; i < c->iterations; i++) {
        nm_guidance_slope(g);
        if (!descend(g, &descent)) break;
    }
    for (uint32_t i = 0; c->adversarial > 0.0f && i < g->adversary_count; i++) {
        const nm_guide_encounter *e = &g->encounters[i];
        nm_make_drivable(&g->view, e->first, &e->what, g->clean, g->touched);
    }
    encode(g, in, x0);
    return NM_OK;
}
