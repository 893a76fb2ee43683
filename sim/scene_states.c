/// The states of a scene as bytes that compress well, without losing a bit.
///
/// A float is mapped to an integer that orders alike; what is stored is the difference to a prediction, folded so that
/// small differences of both signs are small numbers (zigzag), with the four bytes of all differences in four planes
/// (lowest first) for a general compressor behind. Predictions use IEEE + - * / and this project's own sine, so that
/// they come out the same wherever they are read. Similar in spirit to fpzip (Lindstrom and Isenburg 2006), with the
/// physics of vehicles for a predictor.
///
/// For each track the encoder picks the best way to predict:
///   heading     0 the last one, 1 linear, 2 quadratic
///   velocity    0 the last one, 1 linear, 2 last speed along the new heading, 3 linear speed along the new heading
///   position    0 the last one, 1 linear, 2 quadratic, 3 last + dt (v_last + v) / 2, 4 last + dt v_last, 5 last + dt v
///   height      0 the last one, 1 linear
///   sizes       0 the last one
/// and writes it as one byte each for heading, velocity, position and height. States are taken in the order of tracks,
/// then time, leaving out invalid ones; history before the first is 0.
#include "sim/scene_states.h"

#include "sim/math.h"

enum { WAYS_HEADING = 3, WAYS_VELOCITY = 4, WAYS_POSITION = 6, WAYS_HEIGHT = 2 };
enum { TRIED = 40 }; // states by which the encoder judges: more gain under 1 %
enum { HEADING, VX, VY, X, Y, Z, LENGTH, WIDTH, HEIGHT, FIELDS };

typedef struct values {
    float field[FIELDS];
} values;

/// Order-preserving bijection between float bits and integers.
static uint32_t to_ordered(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
static float from_ordered(uint32_t ordered) {
    uint32_t bits = ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static uint32_t fold(uint32_t difference) {
    return difference << 1 ^ (difference & 0x80000000u ? ~0u : 0u);
}
static uint32_t unfold(uint32_t folded) {
    return folded >> 1 ^ (folded & 1u ? ~0u : 0u);
}

static uint32_t residual(float value, float predicted) {
    return fold(to_ordered(value) - to_ordered(predicted));
}
static float restore(uint32_t folded, float predicted) {
    return from_ordered(to_ordered(predicted) + unfold(folded));
}

/// The last three states of a track, newest first.
typedef struct history {
    values past[3];
    float speed[2]; // along the heading, of past[0] and past[1]
} history;

static float extrapolate(const history *h, int field, int way) {
    float a = h->past[0].field[field], b = h->past[1].field[field], c = h->past[2].field[field];
    if (way == 1) return a + (a - b);
    if (way == 2) return a + (a - b) + ((a - b) - (b - c));
    return a;
}

/// A heading that was read may be anything until the whole scene is checked; the sine wants one in range.
static float tame(float heading) {
    return heading >= -NM_PI_F && heading <= NM_PI_F ? heading : 0.0f;
}

static void remember(history *h, const values *v) {
    float s, c;
    nm_sincosf(tame(v->field[HEADING]), &s, &c);
    h->past[2] = h->past[1];
    h->past[1] = h->past[0];
    h->past[0] = *v;
    h->speed[1] = h->speed[0];
    h->speed[0] = v->field[VX] * c + v->field[VY] * s;
}

/// Which velocity component is predicted from the speed, the other then from it and the heading.
typedef struct along {
    int first, second; // VX, VY or the reverse
    float speed_part;  // of the speed in the first component
    float ratio;       // second over first
} along;

static along direction(float heading) {
    float s, c;
    nm_sincosf(tame(heading), &s, &c);
    if (c * c >= s * s) return (along){VX, VY, c, s / c};
    return (along){VY, VX, s, c / s};
}

static float predict_first(const history *h, const along *a, int way) {
    float speed = way == 3 ? h->speed[0] + (h->speed[0] - h->speed[1]) : h->speed[0];
    return speed * a->speed_part;
}

/// `velocity_field` is the velocity component that belongs to the position component.
static float predict_position(const history *h, const values *now, int field, int velocity_field, float dt, int way) {
    float last = h->past[0].field[field];
    float v0 = h->past[0].field[velocity_field], v1 = now->field[velocity_field];
    switch (way) {
    case 3:
        return last + dt * (0.5f * (v0 + v1));
    case 4:
        return last + dt * v0;
    case 5:
        return last + dt * v1;
    default:
        return extrapolate(h, field, way);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Both directions share one walk over a state: `code` turns a value and its prediction into bytes, or back.

typedef struct coder {
    int reading;
    unsigned char *bytes; // FIELDS or 6 fields of 4 planes of `count` bytes
    size_t count, at;
} coder;

static void code(coder *c, int field, float *value, float predicted) {
    unsigned char *low = c->bytes + (size_t)field * 4 * c->count + c->at;
    if (c->reading) {
        uint32_t folded = 0;
        for (size_t k = 0; k < 4; k++) folded |= (uint32_t)low[k * c->count] << (8 * k);
        *value = restore(folded, predicted);
    } else {
        uint32_t folded = residual(*value, predicted);
        for (size_t k = 0; k < 4; k++) low[k * c->count] = (unsigned char)(folded >> (8 * k));
    }
}

static void code_state(coder *c, const history *h, values *v, const uint8_t ways[NM_STATE_WAYS], float dt, int sizes) {
    code(c, HEADING, &v->field[HEADING], extrapolate(h, HEADING, ways[0]));
    if (ways[1] < 2) {
        code(c, VX, &v->field[VX], extrapolate(h, VX, ways[1]));
        code(c, VY, &v->field[VY], extrapolate(h, VY, ways[1]));
    } else {
        along a = direction(v->field[HEADING]);
        code(c, a.first, &v->field[a.first], predict_first(h, &a, ways[1]));
        code(c, a.second, &v->field[a.second], v->field[a.first] * a.ratio);
    }
    code(c, X, &v->field[X], predict_position(h, v, X, VX, dt, ways[2]));
    code(c, Y, &v->field[Y], predict_position(h, v, Y, VY, dt, ways[2]));
    code(c, Z, &v->field[Z], extrapolate(h, Z, ways[3]));
    for (int field = LENGTH; sizes && field <= HEIGHT; field++) {
        code(c, field, &v->field[field], extrapolate(h, field, 0));
    }
    c->at++;
}

static values gather(const nm_scene *scene, size_t at) {
    values v = {{scene->heading[at], scene->vx[at], scene->vy[at], scene->x[at], scene->y[at], scene->z[at], 0, 0, 0}};
    if (scene->state_length) {
        v.field[LENGTH] = scene->state_length[at];
        v.field[WIDTH] = scene->state_width[at];
        v.field[HEIGHT] = scene->state_height[at];
    }
    return v;
}

static void scatter(const nm_scene *scene, size_t at, const values *v) {
    const float *planes[FIELDS] = {scene->heading,     scene->vx, scene->vy,           scene->x,
                                   scene->y,           scene->z,  scene->state_length, scene->state_width,
                                   scene->state_height};
    for (int field = 0; field < FIELDS; field++) {
        if (planes[field]) NM_MUTABLE(float, planes[field])[at] = v->field[field];
    }
}

/// Bits that a residual is worth.
static uint32_t bits_of(uint32_t folded) {
    return folded ? 32u - (uint32_t)__builtin_clz(folded) : 0u;
}

/// The cheapest way for each group of fields, judged by the first TRIED states.
static void choose_ways(const nm_scene *scene, uint32_t track, uint8_t ways[NM_STATE_WAYS]) {
    uint32_t heading[WAYS_HEADING] = {0}, velocity[WAYS_VELOCITY] = {0};
    uint32_t position[WAYS_POSITION] = {0}, height[WAYS_HEIGHT] = {0};
    history h = {0};
    const nm_track *t = &scene->tracks[track];
    int tried = 0;
    for (uint32_t step = t->first_step; step <= t->last_step && t->first_step <= t->last_step; step++) {
        size_t at = nm_scene_at(scene, track, step);
        if (!scene->valid[at]) continue;
        if (tried++ == TRIED) break;
        values v = gather(scene, at);
        const float *f = v.field;
        for (int w = 0; w < WAYS_HEADING; w++) heading[w] += bits_of(residual(f[HEADING], extrapolate(&h, HEADING, w)));
        for (int w = 0; w < 2; w++) {
            velocity[w] += bits_of(residual(f[VX], extrapolate(&h, VX, w)));
            velocity[w] += bits_of(residual(f[VY], extrapolate(&h, VY, w)));
        }
        along a = direction(f[HEADING]);
        uint32_t second = bits_of(residual(f[a.second], f[a.first] * a.ratio));
        for (int w = 2; w < WAYS_VELOCITY; w++) {
            velocity[w] += second + bits_of(residual(f[a.first], predict_first(&h, &a, w)));
        }
        for (int w = 0; w < WAYS_POSITION; w++) {
            position[w] += bits_of(residual(f[X], predict_position(&h, &v, X, VX, scene->dt, w)));
            position[w] += bits_of(residual(f[Y], predict_position(&h, &v, Y, VY, scene->dt, w)));
        }
        for (int w = 0; w < WAYS_HEIGHT; w++) height[w] += bits_of(residual(f[Z], extrapolate(&h, Z, w)));
        remember(&h, &v);
    }
    memset(ways, 0, NM_STATE_WAYS);
    for (uint8_t w = 1; w < WAYS_HEADING; w++) ways[0] = heading[w] < heading[ways[0]] ? w : ways[0];
    for (uint8_t w = 1; w < WAYS_VELOCITY; w++) ways[1] = velocity[w] < velocity[ways[1]] ? w : ways[1];
    for (uint8_t w = 1; w < WAYS_POSITION; w++) ways[2] = position[w] < position[ways[2]] ? w : ways[2];
    for (uint8_t w = 1; w < WAYS_HEIGHT; w++) ways[3] = height[w] < height[ways[3]] ? w : ways[3];
}

static void code_track(const nm_scene *scene, uint32_t track, const uint8_t ways[NM_STATE_WAYS], coder *c) {
    history h = {0};
    const nm_track *t = &scene->tracks[track];
    int sizes = scene->state_length != NULL;
    for (uint32_t step = t->first_step; step <= t->last_step && t->first_step <= t->last_step; step++) {
        size_t at = nm_scene_at(scene, track, step);
        if (!scene->valid[at]) continue;
        values v = {{0}};
        if (!c->reading) v = gather(scene, at);
        code_state(c, &h, &v, ways, scene->dt, sizes);
        if (c->reading) scatter(scene, at, &v);
        remember(&h, &v);
    }
}

size_t nm_states_size(const nm_scene *scene, size_t count) {
    return (size_t)scene->track_count * NM_STATE_WAYS + count * 4 * (scene->state_length ? FIELDS : LENGTH);
}

void nm_states_write(const nm_scene *scene, size_t count, unsigned char *bytes) {
    coder c = {.bytes = bytes + (size_t)scene->track_count * NM_STATE_WAYS, .count = count};
    for (uint32_t i = 0; i < scene->track_count; i++) {
        uint8_t *ways = bytes + (size_t)i * NM_STATE_WAYS;
        choose_ways(scene, i, ways);
        code_track(scene, i, ways, &c);
    }
}

int nm_states_read(nm_scene *scene, size_t count, unsigned char *bytes) {
    coder c = {.reading = 1, .bytes = bytes + (size_t)scene->track_count * NM_STATE_WAYS, .count = count};
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const uint8_t *ways = bytes + (size_t)i * NM_STATE_WAYS;
        if (ways[0] >= WAYS_HEADING || ways[1] >= WAYS_VELOCITY || ways[2] >= WAYS_POSITION || ways[3] >= WAYS_HEIGHT) {
            return 0;
        }
        code_track(scene, i, ways, &c);
    }
    return 1;
}
