#include "nexus/encoding.h"

#include <math.h>

nm_state_encoding nm_state_encoding_published(void) {
    return (nm_state_encoding){.states = 1,
                               .channel = {0, 1, 2, 3, 4, 5, 6, 7},
                               .mean = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 4.5f, 2.0f},
                               .scale = {104.0f, 104.0f, 1.0f, 1.0f, 4.0f, 4.0f, 5.0f, 1.6f}};
}

nm_state_encoding nm_state_encoding_own(float position_scale, float heading_scale, float speed_scale) {
    return (nm_state_encoding){
        .states = 5,
        .stride = 5,
        .channel = {0, 1, 2, 3, 4, -1, -1, -1},
        .scale = {position_scale, position_scale, heading_scale, heading_scale, speed_scale, 1.0f, 1.0f, 1.0f}};
}

nm_status nm_state_encoding_check(const nm_state_encoding *e, nm_error *error) {
    if (e->states < 1 || e->states > 16)
        return NM_ERROR(error, NM_E_ARGUMENT, "encoding: %u states in a token, not in 1..16", (unsigned)e->states);
    for (int f = 0; f < NM_FIELD_COUNT; f++) {
        if (!(fabsf(e->scale[f]) > 0.0f && isfinite(e->scale[f]) && isfinite(e->mean[f])))
            return NM_ERROR(error, NM_E_ARGUMENT, "encoding: field %d has no usable scale or mean", f);
        if (e->channel[f] < 0 && f < NM_FIELD_VY)
            return NM_ERROR(error, NM_E_ARGUMENT, "encoding: field %d is in no channel", f);
    }
    return NM_OK;
}

uint32_t nm_state_encoding_channels(const nm_state_encoding *e) {
    uint64_t last = 0;
    for (int f = 0; f < NM_FIELD_COUNT; f++) {
        if (e->channel[f] >= 0 && (uint64_t)e->channel[f] > last) last = (uint64_t)e->channel[f];
    }
    last += (uint64_t)(e->states - 1) * e->stride;
    return last < UINT32_MAX ? (uint32_t)last + 1 : UINT32_MAX;
}

// ---------------------------------------------------------------------------------------------------------------------
// Frames

nm_motion nm_motion_between(const nm_motion *from, const nm_motion *to) {
    const double x = from->x - to->x, y = from->y - to->y;
    return (nm_motion){.x = to->cos_h * x + to->sin_h * y,
                       .y = to->cos_h * y - to->sin_h * x,
                       .cos_h = to->cos_h * from->cos_h + to->sin_h * from->sin_h,
                       .sin_h = to->cos_h * from->sin_h - to->sin_h * from->cos_h};
}

nm_status nm_motion_check(const nm_motion *m, nm_error *error) {
    const double size = m->cos_h * m->cos_h + m->sin_h * m->sin_h;
    if (isfinite(m->x) && isfinite(m->y) && fabs(size - 1.0) <= 2e-6) return NM_OK;
    return NM_ERROR(error, NM_E_NUMERIC, "a motion by (%g, %g) m and a turn of (%g, %g) is none", m->x, m->y, m->cos_h,
                    m->sin_h);
}

nm_status nm_state_encoding_check_motion(const nm_state_encoding *e, uint32_t channels, nm_error *error) {
    const nm_status status = nm_state_encoding_check(e, error);
    if (status) return status;
    if (nm_state_encoding_channels(e) > channels)
        return NM_ERROR(error, NM_E_ARGUMENT, "encoding: reaches %u channels, tokens have %u",
                        (unsigned)nm_state_encoding_channels(e), (unsigned)channels);
    for (int f = NM_FIELD_X; f <= NM_FIELD_VY; f += 2) {
        if (e->scale[f] == e->scale[f + 1] || e->channel[f + 1] < 0) continue;
        return NM_ERROR(error, NM_E_ARGUMENT, "encoding: fields %d and %d have the scales %g and %g: they can not turn",
                        f, f + 1, (double)e->scale[f], (double)e->scale[f + 1]);
    }
    return NM_OK;
}

/// One vector: fields `f` and `f + 1` of the state at `row`. t: 1 = a position, which is moved as well.
static void move_vector(const nm_state_encoding *e, int f, const nm_motion *m, double t, double alpha, float *row) {
    float *first = row + e->channel[f], *second = row + e->channel[f + 1];
    const double scale = (double)e->scale[f], mx = (double)e->mean[f], my = (double)e->mean[f + 1];
    const double bx = (m->cos_h * mx - m->sin_h * my - mx + t * m->x) / scale;
    const double by = (m->sin_h * mx + m->cos_h * my - my + t * m->y) / scale;
    const double x = (double)*first, y = (double)*second;
    *first = (float)(m->cos_h * x - m->sin_h * y + alpha * bx);
    *second = (float)(m->sin_h * x + m->cos_h * y + alpha * by);
}

void nm_state_encoding_move(const nm_state_encoding *e, const nm_motion *motion, double alpha, float *values) {
    for (uint32_t i = 0; i < e->states; i++) {
        float *row = values + (size_t)i * e->stride;
        move_vector(e, NM_FIELD_X, motion, 1.0, alpha, row);
        move_vector(e, NM_FIELD_COS, motion, 0.0, alpha, row);
        if (e->channel[NM_FIELD_VY] >= 0) move_vector(e, NM_FIELD_VX, motion, 0.0, alpha, row);
    }
}
