#include "nexus/energy_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/// A state, scene frame; (c, s) the heading, of length 1.
typedef struct pose {
    double x, y, c, s;
} pose;

/// What is known of a token from its states.
typedef struct token_motion {
    const nm_guided_agent *who;
    pose last;
    double length, width;
    double speed; ///< mean of its steps
    double vx, vy;
    int steps;       ///< that it has: 0 = nothing before a single state
    uint32_t before; ///< token before it, one time earlier; UINT32_MAX = none
} token_motion;

struct nm_energy_reader {
    nm_energy_reader_config config;
    token_motion *motions; ///< [max_tokens]
    uint32_t *next;        ///< [max_tokens] of the same time
    uint32_t *first;       ///< [past + 1 + future] of a time
};

nm_status nm_energy_reader_create(const nm_energy_reader_config *config, nm_energy_reader **reader, nm_error *error) {
    *reader = NULL;
    const nm_status status = nm_state_encoding_check(&config->encoding, error);
    if (status != NM_OK) return status;
    if (config->max_tokens < 1 || config->max_tokens > 1u << 24 || config->past > 4096 || config->future > 4096 ||
        !(config->dt > 0.0f && config->dt < 1000.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "an energy of %u tokens, %u before and %u after the current one, %g s",
                        config->max_tokens, config->past, config->future, (double)config->dt);
    nm_energy_reader *r = calloc(1, sizeof *r);
    if (r) {
        r->config = *config;
        r->motions = calloc(config->max_tokens, sizeof *r->motions);
        r->next = calloc(config->max_tokens, sizeof *r->next);
        r->first = calloc(config->past + 1u + config->future, sizeof *r->first);
    }
    if (!r || !r->motions || !r->next || !r->first) {
        nm_energy_reader_destroy(r);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for an energy of %u tokens", config->max_tokens);
    }
    *reader = r;
    return NM_OK;
}

void nm_energy_reader_destroy(nm_energy_reader *r) {
    if (!r) return;
    free(r->motions);
    free(r->next);
    free(r->first);
    free(r);
}

const nm_energy_reader_config *nm_energy_reader_get_config(const nm_energy_reader *r) {
    return &r->config;
}

// ---------------------------------------------------------------------------------------------------------------------
// Motion

static double field(const nm_state_encoding *e, const float *state, int f, double fallback) {
    if (e->channel[f] < 0) return fallback;
    return (double)state[e->channel[f]] * (double)e->scale[f] + (double)e->mean[f];
}

static pose decode(const nm_state_encoding *e, const nm_motion *frame, const float *state) {
    const double x = field(e, state, NM_FIELD_X, 0.0), y = field(e, state, NM_FIELD_Y, 0.0);
    double c = field(e, state, NM_FIELD_COS, 1.0), s = field(e, state, NM_FIELD_SIN, 0.0);
    const double size = hypot(c, s);
    c = size > 1e-6 ? c / size : 1.0;
    s = size > 1e-6 ? s / size : 0.0;
    return (pose){.x = frame->x + frame->cos_h * x - frame->sin_h * y,
                  .y = frame->y + frame->sin_h * x + frame->cos_h * y,
                  .c = frame->cos_h * c - frame->sin_h * s,
                  .s = frame->sin_h * c + frame->cos_h * s};
}

/// The angle from the heading of a to that of b, (-pi, pi].
static double turned(pose a, pose b) {
    return atan2(a.c * b.s - a.s * b.c, a.c * b.c + a.s * b.s);
}

static float held(double value) {
    return (float)fmin(4.0, fmax(-4.0, value));
}

/// The token's own motion into its row, and what others want to know of it.
static void read_motion(const nm_energy_reader *r, const float *values, token_motion *m, float *row) {
    const nm_state_encoding *e = &r->config.encoding;
    const double dt = (double)r->config.dt / e->states;
    const token_motion *past = m->before == UINT32_MAX ? NULL : &r->motions[m->before];
    pose at = past ? past->last : (pose){0};
    double along = 0.0;
    for (uint32_t i = 0; i < e->states; ++i) {
        const pose to = decode(e, &m->who->pose, values + (size_t)i * e->stride);
        if (i > 0 || past) {
            along += ((to.x - at.x) * at.c + (to.y - at.y) * at.s) / dt;
            m->steps++;
        }
        at = to;
    }
    m->last = at;
    m->speed = m->steps ? along / m->steps : 0.0;
    m->vx = m->speed * at.c;
    m->vy = m->speed * at.s;
    const double before = past && past->steps ? past->speed : m->speed;
    const double acceleration = (m->speed - before) / (double)r->config.dt;
    const double yaw = past ? turned(past->last, at) / (double)r->config.dt : 0.0;
    row[NM_ENERGY_SPEED] = held(m->speed / 20.0);
    row[NM_ENERGY_STANDS] = fabs(m->speed) < 0.5 ? 1.0f : 0.0f;
    row[NM_ENERGY_ACCELERATION] = held(acceleration / 3.0);
    row[NM_ENERGY_EFFORT] = held(fabs(acceleration) / 3.0);
    row[NM_ENERGY_TURN] = held(fabs(yaw) / 0.3);
    row[NM_ENERGY_LATERAL] = held(fabs(m->speed * yaw) / 3.0);
}

/// Where it is against where its speed at the current token would lead.
static void read_course(const token_motion *now, const token_motion *m, double t, float *row) {
    if (!now || !now->steps) return;
    const double reach = 0.5 + 0.5 * t * t, dx = m->last.x - now->last.x - t * now->vx,
                 dy = m->last.y - now->last.y - t * now->vy;
    row[NM_ENERGY_ALONG] = held((dx * now->last.c + dy * now->last.s) / reach);
    row[NM_ENERGY_ACROSS] = held(fabs(dy * now->last.c - dx * now->last.s) / reach);
}

// ---------------------------------------------------------------------------------------------------------------------
// The road

static void read_road(const nm_map *map, const token_motion *m, float *row) {
    if (!m->who->lane_mask) return;
    row[NM_ENERGY_DRIVES] = 1.0f;
    if (!map) return;
    const double heading = atan2(m->last.s, m->last.c);
    const nm_frenet on =
        nm_map_match(map, (float)m->last.x, (float)m->last.y, (float)heading, 10.0f, m->who->lane_mask);
    if (on.lane == NM_NONE) return;
    const double d = (double)on.d, half = fmax(0.5, (double)(on.d > 0.0f ? on.left : on.right));
    const double angle = heading - (double)on.heading, limit = (double)map->lanes[on.lane].speed_limit;
    row[NM_ENERGY_ON_LANE] = 1.0f;
    row[NM_ENERGY_OFFSET] = held(fabs(d) / half);
    row[NM_ENERGY_BEYOND] = held(fmax(0.0, fabs(d) - half) / 2.0);
    row[NM_ENERGY_ANGLE] = held(fabs(sin(angle)));
    row[NM_ENERGY_AGAINST] = cos(angle) < 0.0 ? 1.0f : 0.0f;
    if (limit > 0.0) row[NM_ENERGY_OVER_LIMIT] = held((m->speed - limit) / 5.0);
}

// ---------------------------------------------------------------------------------------------------------------------
// Others

/// Half the extent of a box along the unit vector (x, y).
static double reach(const token_motion *m, double x, double y) {
    return 0.5 * (m->length * fabs(m->last.c * x + m->last.s * y) + m->width * fabs(m->last.c * y - m->last.s * x));
}

/// Separating axes: the largest gap between the projections on the sides' normals.
static double gap_between(const token_motion *a, const token_motion *b) {
    const double dx = b->last.x - a->last.x, dy = b->last.y - a->last.y;
    const double axes[4][2] = {
        {a->last.c, a->last.s}, {-a->last.s, a->last.c}, {b->last.c, b->last.s}, {-b->last.s, b->last.c}};
    double most = -1e30;
    for (int i = 0; i < 4; ++i) {
        const double x = axes[i][0], y = axes[i][1];
        most = fmax(most, fabs(dx * x + dy * y) - reach(a, x, y) - reach(b, x, y));
    }
    return most;
}

#define NEAR_RANGE 50.0 // m between centres

static void read_nearest(const nm_energy_reader *r, uint32_t n, uint32_t time, float *row) {
    const token_motion *m = &r->motions[n], *nearest = NULL;
    double gap = 1e30;
    for (uint32_t k = r->first[time]; k != UINT32_MAX; k = r->next[k]) {
        const token_motion *other = &r->motions[k];
        const double dx = other->last.x - m->last.x, dy = other->last.y - m->last.y;
        if (k == n || dx * dx + dy * dy > NEAR_RANGE * NEAR_RANGE) continue;
        const double between = gap_between(m, other);
        if (between >= gap) continue;
        gap = between;
        nearest = other;
    }
    if (!nearest) return;
    const double dx = nearest->last.x - m->last.x, dy = nearest->last.y - m->last.y, apart = hypot(dx, dy);
    const double closing = apart > 1e-6 ? ((m->vx - nearest->vx) * dx + (m->vy - nearest->vy) * dy) / apart : 0.0;
    row[NM_ENERGY_NEAR] = held(exp(-fmax(0.0, gap)));
    row[NM_ENERGY_NEARBY] = held(exp(-fmax(0.0, gap) / 6.0));
    row[NM_ENERGY_OVERLAP] = held(fmax(0.0, -gap));
    row[NM_ENERGY_CLOSING] = held(closing / 5.0);
    row[NM_ENERGY_URGENT] = held(fmax(0.0, closing) / (fmax(0.0, gap) + 1.0));
}

// ---------------------------------------------------------------------------------------------------------------------

/// Who each token is of, and which is before it.
static nm_status link(nm_energy_reader *r, const nm_guided_scene *scene, const nm_energy_tokens *t, nm_error *error) {
    const uint32_t times = r->config.past + 1 + r->config.future;
    if (t->count > r->config.max_tokens)
        return NM_ERROR(error, NM_E_LIMIT, "a scene of %u tokens for an energy of %u", t->count, r->config.max_tokens);
    for (uint32_t i = 0; i < times; ++i) r->first[i] = UINT32_MAX;
    for (uint32_t n = 0, a = 0; n < t->count; ++n) {
        token_motion *m = &r->motions[n];
        if (t->time[n] >= times) return NM_ERROR(error, NM_E_LIMIT, "token %u is of time %u", n, t->time[n]);
        while (a < scene->agent_count && scene->agents[a].agent < t->agent[n]) ++a;
        if (a == scene->agent_count || scene->agents[a].agent != t->agent[n])
            return NM_ERROR(error, NM_E_NOT_FOUND, "agent %u of a scene was not described", t->agent[n]);
        *m = (token_motion){.who = &scene->agents[a], .before = UINT32_MAX};
        if (n && t->agent[n - 1] == t->agent[n] && t->time[n - 1] + 1 == t->time[n]) m->before = n - 1;
        r->next[n] = r->first[t->time[n]];
        r->first[t->time[n]] = n;
    }
    return NM_OK;
}

static void read_size(const nm_energy_reader *r, const float *values, token_motion *m) {
    const nm_state_encoding *e = &r->config.encoding;
    const float *last = values + (size_t)(e->states - 1) * e->stride;
    m->length = m->who->length > 0.0f ? (double)m->who->length : field(e, last, NM_FIELD_LENGTH, 4.5);
    m->width = m->who->width > 0.0f ? (double)m->who->width : field(e, last, NM_FIELD_WIDTH, 2.0);
}

nm_status nm_energy_rows(nm_energy_reader *r, const nm_guided_scene *scene, const nm_energy_tokens *t, float *rows,
                         nm_error *error) {
    const uint32_t past = r->config.past;
    const nm_status status = link(r, scene, t, error);
    if (status != NM_OK) return status;
    NM_ASSERT(t->channels >= nm_state_encoding_channels(&r->config.encoding));
    for (uint32_t n = 0; n < t->count; ++n) {
        float *row = rows + (size_t)n * NM_ENERGY_ROW;
        memset(row, 0, NM_ENERGY_ROW * sizeof *row);
        read_size(r, t->values + (size_t)n * t->channels, &r->motions[n]);
        read_motion(r, t->values + (size_t)n * t->channels, &r->motions[n], row);
        if (t->time[n] <= past) memset(row, 0, NM_ENERGY_ROW * sizeof *row);
    }
    const token_motion *now = NULL;
    for (uint32_t n = 0; n < t->count; ++n) {
        if (n == 0 || t->agent[n] != t->agent[n - 1]) now = NULL;
        if (t->time[n] == past) now = &r->motions[n];
        if (t->time[n] <= past) continue;
        float *row = rows + (size_t)n * NM_ENERGY_ROW;
        const uint32_t ahead = t->time[n] - past;
        row[NM_ENERGY_WHEN] = held((double)(ahead - 1) / fmax(1.0, (double)r->config.future - 1.0));
        read_course(now, &r->motions[n], (double)ahead * (double)r->config.dt, row);
        read_road(scene->map, &r->motions[n], row);
        read_nearest(r, n, t->time[n], row);
    }
    return NM_OK;
}
