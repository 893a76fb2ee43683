// What the model expects of the adversary: futures that candidates follow before they turn into the manoeuvre.
#include <math.h>

#include "scenarios/resample_internal.h"

#define OFF_WAY 1.2f    // m off the way that it starts on, beyond which a future has left it
#define SMOOTH 4u       // steps to both sides of a speed
#define SEAM 15         // steps
#define LEAST_STEPS 10u // of a future that is worth following

// A model's places are off by centimetres from step to step, and its speeds by some tenths of what was recorded, which
// no vehicle drives: speeds are those over 0.8 s, come from the recorded one within SEAM steps, and the way is theirs.
static void smooth(nm_expected *expected, float direction) {
    float along[NM_EXPECTED_STEPS], off = 0;
    for (uint32_t t = 0; t < expected->steps; t++) along[t] = direction * (expected->s[t] - expected->s[0]);
    const float start = expected->v[0];
    for (uint32_t t = 1; t < expected->steps; t++) {
        const uint32_t last = expected->steps - 1, half = t < SMOOTH ? t : SMOOTH;
        const uint32_t from = t - half, to = t + half < last ? t + half : last;
        if (to - from >= 2) expected->v[t] = (along[to] - along[from]) / ((float)(to - from) * NM_STEP_SECONDS);
        if (t == 1) off = start - expected->v[1];
        expected->v[t] = nm_maxf(expected->v[t] + off * (1 - nm_quintic((float)t / SEAM)), 0);
        const float moved = 0.5f * (expected->v[t] + expected->v[t - 1]) * NM_STEP_SECONDS;
        expected->s[t] = expected->s[t - 1] + direction * moved;
    }
}

// One future of the model, seen from the adversary's way.
static void project(nm_drawing *d, const nm_futures *futures, uint32_t sample, nm_expected *expected) {
    const nm_script *script = &d->a.work->script[NM_ROLE_ADVERSARY];
    const float direction = script->reversed ? -1.0f : 1.0f;
    uint32_t hint =
        (uint32_t)nm_clampf(d->fixed_s + NM_LINE_BACK, (float)script->line->first, (float)script->line->last);
    expected->s[0] = d->fixed_s;
    expected->d[0] = d->fixed_d;
    expected->v[0] = d->fixed_v;
    expected->steps = 1;
    for (uint32_t t = 1; t <= futures->steps && t < NM_EXPECTED_STEPS; t++) {
        const size_t at = (size_t)sample * futures->agents * futures->steps + t - 1;
        nm_drive_line_project(script->line, futures->x[at], futures->y[at], &hint, &expected->s[t], &expected->d[t]);
        expected->v[t] = direction * (expected->s[t] - expected->s[t - 1]) / NM_STEP_SECONDS;
        if (fabsf(expected->d[t] - d->fixed_d) > OFF_WAY || expected->v[t] < 0) break;
        expected->steps = t + 1;
    }
    smooth(expected, direction);
}

nm_status nm_resample_ask_model(nm_drawing *d, nm_error *error) {
    nm_attempt *a = &d->a;
    nm_resample_work *work = d->work;
    work->expected_count = 0;
    if (a->request->model_candidates == 0 || !d->fixed) return NM_OK;
    if (!work->futures) {
        const nm_model_futures_config config = nm_model_futures_config_default();
        const nm_status status = nm_model_futures_create(work->model, work->recipe, &config, &work->futures, error);
        if (status != NM_OK) return status;
    }
    const uint32_t adversary = a->taken[1];
    const nm_future_request request = {.scene = a->base,
                                       .current_step = a->start_step,
                                       .task = NM_TASK_FREE,
                                       .samples = a->request->model_candidates,
                                       .agents = 1,
                                       .track = &adversary,
                                       .seed = nm_hash64(a->request->seed ^ nm_hash64(a->index))};
    nm_futures futures;
    nm_arena_reset(a->work->arena);
    const nm_status status = nm_model_futures_run(work->futures, &request, a->work->arena, &futures, NULL, error);
    if (status != NM_OK) return status;
    for (uint32_t k = 0; k < futures.samples; k++) {
        nm_expected *expected = &work->expected[work->expected_count];
        project(d, &futures, k, expected);
        if (expected->steps >= LEAST_STEPS) work->expected_count++;
    }
    return NM_OK;
}
