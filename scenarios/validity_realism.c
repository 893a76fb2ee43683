// How like ordinary driving a motion is: a likelihood under histograms of recorded driving.
#include <math.h>

#include "scenarios/ordinary_motion.h"
#include "scenarios/validity_internal.h"
#include "sim/math.h"

#define WINDOW 8u // steps of a whole window to each side, of the jerk

uint32_t nm_ordinary_speed(float speed) {
    static const float borders[NM_ORDINARY_SPEEDS - 1] = {1, 3, 6, 9, 12, 16, 21};
    uint32_t cell = 0;
    while (cell < NM_ORDINARY_SPEEDS - 1 && speed >= borders[cell]) cell++;
    return cell;
}

// Acceleration along -8.2 .. 8.2 m/s^2, size across 0 .. 8.2 m/s^2 (left and right alike), jerk -20.5 .. 20.5 m/s^3;
// what is outside falls into the last bin.
uint32_t nm_ordinary_bin(int feature, float value) {
    static const float width[NM_ORDINARY_FEATURES] = {0.4f, 0.2f, 1.0f};
    float place = feature == 1 ? fabsf(value) / width[1] : value / width[feature] + 0.5f * NM_ORDINARY_BINS;
    return (uint32_t)nm_clampf(floorf(place), 0, NM_ORDINARY_BINS - 1);
}

typedef void nm_feature_sink(void *context, int feature, uint32_t speed, uint32_t bin);

static nm_status each_feature(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t last, nm_arena *arena,
                              nm_feature_sink *sink, void *context) {
    uint32_t from = first, run, end;
    for (; nm_valid_run(scene, track, from, last, &run, &end); from = end + 1) {
        nm_arena_mark mark = nm_arena_get_mark(arena);
        nm_motion m;
        nm_status status = nm_motion_measure(scene, track, run, end, arena, &m);
        if (status != NM_OK) return status;
        for (uint32_t i = WINDOW; i + WINDOW < m.count; i++) {
            const float value[NM_ORDINARY_FEATURES] = {m.along[i], m.across[i], m.jerk[i]};
            uint32_t speed = nm_ordinary_speed(m.speed[i]);
            for (int k = 0; k < NM_ORDINARY_FEATURES; k++) sink(context, k, speed, nm_ordinary_bin(k, value[k]));
        }
        nm_arena_release(arena, mark);
        if (end == last) break;
    }
    return NM_OK;
}

static void count_one(void *context, int feature, uint32_t speed, uint32_t bin) {
    uint32_t *counts = context;
    counts[((uint32_t)feature * NM_ORDINARY_SPEEDS + speed) * NM_ORDINARY_BINS + bin]++;
}

nm_status nm_ordinary_count(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t last, nm_arena *arena,
                            uint32_t *counts) {
    return each_feature(scene, track, first, last, arena, count_one, counts);
}

typedef struct nm_surprise {
    double sum;
    uint64_t count;
} nm_surprise;

static void add_surprise(void *context, int feature, uint32_t speed, uint32_t bin) {
    nm_surprise *surprise = context;
    surprise->sum += 0.01 * nm_ordinary_centinats[feature][speed][bin];
    surprise->count++;
}

nm_status nm_realism_of_motion(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t last, nm_arena *arena,
                               float *nats, nm_error *error) {
    NM_ASSERT(scene && arena && nats && track < scene->track_count && first <= last && last < scene->step_count);
    nm_surprise surprise = {0, 0};
    nm_status status = each_feature(scene, track, first, last, arena, add_surprise, &surprise);
    if (status != NM_OK) return NM_ERROR(error, status, "out of memory while motion is measured");
    *nats = surprise.count > 0 ? (float)(surprise.sum / (double)surprise.count) : NAN;
    return NM_OK;
}

nm_status nm_judge_realism(nm_judging *j, uint32_t track) {
    float nats;
    const nm_scene *scene = j->conflict->scene;
    if (!nm_agent_type_vehicle((nm_agent_type)scene->tracks[track].type)) return NM_OK;
    // some of the history, so that the seam counts
    uint32_t from = j->conflict->begin > WINDOW ? j->conflict->begin - WINDOW : 0;
    if (j->last < from) return NM_OK; // it crashed before
    nm_status status = nm_realism_of_motion(scene, track, from, j->last, j->arena, &nats, NULL);
    if (status == NM_OK) nm_verdict_take(j, NM_VERDICT_REALISM, track, j->last, nats, j->params->realism, 0);
    return status;
}
