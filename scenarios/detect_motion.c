// Smoothed motion of every agent.
//
// Logged positions carry noise of a decimetre and logged speeds are derived from them; differences between neighbouring
// steps are useless for acceleration. Velocity is the slope of a straight line fitted to the positions of +-0.4 s
// (Savitzky-Golay, order 1; Savitzky and Golay 1964). Acceleration is measured twice - the curvature of a parabola
// fitted to the positions of +-0.5 s, and the slope of the logged speeds of +-0.3 s - and the weaker of the two counts,
// nothing when they disagree in sign: an artefact rarely shows in both.
#include "scenarios/detect_internal.h"

#define VELOCITY_WINDOW 0.4f // s to each side
#define PARABOLA_WINDOW 0.5f
#define SPEED_WINDOW 0.3f
#define ROUGH_MISMATCH 4.0f // m/s between fitted and logged velocity beyond which the states are not trusted

typedef struct nm_run {
    const float *x, *y, *heading, *vx, *vy; // of the track, indexed by step
    uint32_t first, last;                   // the contiguous valid steps
    int logged_speed;                       // the source gives velocities for this track
    float dt;
} nm_run;

typedef struct nm_window {
    uint32_t first, last;
    float count;
} nm_window;

static nm_window window_at(const nm_run *run, uint32_t step, float seconds) {
    float wanted = seconds / run->dt + 0.5f;
    uint32_t half = wanted < 1 ? 1u : wanted > 1000 ? 1000u : (uint32_t)wanted;
    nm_window window;
    window.first = step - run->first > half ? step - half : run->first;
    window.last = run->last - step > half ? step + half : run->last;
    window.count = (float)(window.last - window.first + 1);
    return window;
}

// Slope per second of the line fitted to `value` over the window; the values are taken relative to the one at `step` so
// that large coordinates cost no precision.
static float slope(const float *value, uint32_t step, nm_window window, float dt) {
    float middle = 0.5f * (window.count - 1), sum = 0, norm = 0;
    for (uint32_t t = window.first; t <= window.last; t++) {
        float place = (float)(t - window.first) - middle;
        sum += place * (value[t] - value[step]);
        norm += place * place;
    }
    return sum / (norm * dt);
}

static float mean(const float *value, nm_window window) {
    float sum = 0;
    for (uint32_t t = window.first; t <= window.last; t++) sum += value[t];
    return sum / window.count;
}

// Second derivative along `cos_h, sin_h` by the second orthogonal polynomial of the window.
static float parabola(const nm_run *run, uint32_t step, float cos_h, float sin_h) {
    nm_window window = window_at(run, step, PARABOLA_WINDOW);
    float middle = 0.5f * (window.count - 1), offset = (window.count * window.count - 1) / 12, sum = 0, norm = 0;
    for (uint32_t t = window.first; t <= window.last; t++) {
        float place = (float)(t - window.first) - middle, weight = place * place - offset;
        float along = (run->x[t] - run->x[step]) * cos_h + (run->y[t] - run->y[step]) * sin_h;
        sum += weight * along;
        norm += weight * weight;
    }
    return norm > 0 ? 2 * sum / (norm * run->dt * run->dt) : 0;
}

static float speed_slope(const nm_run *run, uint32_t step) {
    nm_window window = window_at(run, step, SPEED_WINDOW);
    float middle = 0.5f * (window.count - 1), sum = 0, norm = 0;
    for (uint32_t t = window.first; t <= window.last; t++) {
        float place = (float)(t - window.first) - middle;
        sum += place * (run->vx[t] * cosf(run->heading[t]) + run->vy[t] * sinf(run->heading[t]));
        norm += place * place;
    }
    return norm > 0 ? sum / (norm * run->dt) : 0;
}

static float acceleration(const nm_run *run, uint32_t step, float cos_h, float sin_h) {
    uint32_t count = run->last - run->first + 1;
    if (!run->logged_speed) return count >= 5 ? parabola(run, step, cos_h, sin_h) : 0;
    float by_speed = count >= 3 ? speed_slope(run, step) : 0;
    if (count < 5) return by_speed;
    float by_position = parabola(run, step, cos_h, sin_h);
    if (by_speed * by_position <= 0) return 0;
    return fabsf(by_speed) < fabsf(by_position) ? by_speed : by_position;
}

static void smooth_run(const nm_run *run, nm_sample *samples) {
    for (uint32_t t = run->first; t <= run->last; t++) {
        nm_sample *sample = &samples[t - run->first];
        float cos_h = cosf(run->heading[t]), sin_h = sinf(run->heading[t]);
        nm_window window = window_at(run, t, VELOCITY_WINDOW);
        sample->flags = NM_SAMPLE_VALID;
        if (t > run->first) sample->flags |= NM_SAMPLE_SCORED;
        sample->vx = run->vx[t];
        sample->vy = run->vy[t];
        if (window.count >= 3) {
            sample->vx = slope(run->x, t, window, run->dt);
            sample->vy = slope(run->y, t, window, run->dt);
            float wrong_x = sample->vx - mean(run->vx, window), wrong_y = sample->vy - mean(run->vy, window);
            if (run->logged_speed && wrong_x * wrong_x + wrong_y * wrong_y > ROUGH_MISMATCH * ROUGH_MISMATCH)
                sample->flags |= NM_SAMPLE_ROUGH;
        }
        sample->speed = sample->vx * cos_h + sample->vy * sin_h;
        sample->accel = acceleration(run, t, cos_h, sin_h);
        sample->lane = sample->next = sample->leader = NM_NONE;
    }
}

static void smooth_track(nm_detect_context *ctx, uint32_t track) {
    const nm_scene *scene = ctx->scene;
    const nm_track *info = &scene->tracks[track];
    if (info->first_step > info->last_step) return;
    size_t at = nm_scene_at(scene, track, 0);
    nm_run run = {.x = scene->x + at,
                  .y = scene->y + at,
                  .heading = scene->heading + at,
                  .vx = scene->vx + at,
                  .vy = scene->vy + at,
                  .dt = ctx->dt};
    const uint8_t *valid = scene->valid + at;
    for (uint32_t t = info->first_step; t <= info->last_step; t++)
        if (valid[t] && (run.vx[t] != 0 || run.vy[t] != 0)) run.logged_speed = 1;
    for (uint32_t t = info->first_step; t <= info->last_step; t++) {
        if (!valid[t]) continue;
        run.first = run.last = t;
        while (run.last < info->last_step && valid[run.last + 1]) run.last++;
        smooth_run(&run, &ctx->samples[ctx->base[track] + (t - info->first_step)]);
        t = run.last;
    }
}

nm_status nm_detect_motion(nm_detect_context *ctx) {
    const nm_scene *scene = ctx->scene;
    ctx->base = NM_ARENA_ARRAY(ctx->arena, size_t, scene->track_count);
    if (!ctx->base) return NM_E_MEMORY;
    size_t total = 0;
    for (uint32_t a = 0; a < scene->track_count; a++) {
        const nm_track *info = &scene->tracks[a];
        ctx->base[a] = total;
        if (info->first_step <= info->last_step) total += info->last_step - info->first_step + 1;
    }
    ctx->samples = nm_arena_calloc(ctx->arena, total, sizeof *ctx->samples, 64);
    if (!ctx->samples) return NM_E_MEMORY;
    for (uint32_t a = 0; a < scene->track_count; a++) smooth_track(ctx, a);
    return NM_OK;
}
