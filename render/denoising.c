/// Recordings of a sampling run in memory.
#include "render/denoising.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "render/denoising_private.h"

/// Planes of [passes][tokens] grow together.
struct nm_denoising_builder {
    nm_denoising *denoising;
    uint32_t capacity; ///< passes
};

void nm_denoising_destroy(nm_denoising *denoising) {
    if (!denoising) return;
    nm_scene_destroy(denoising->scene);
    free((void *)denoising->track);
    free((void *)denoising->time);
    free((void *)denoising->level);
    free((void *)denoising->x);
    free((void *)denoising->y);
    free((void *)denoising->heading);
    free((void *)denoising->valid);
    free(denoising);
}

/// Makes room for `passes`. What was grown before memory ran out stays grown: the planes are only ever too long.
static nm_status reserve(nm_denoising *d, uint32_t passes, nm_error *error) {
    const size_t count = (size_t)passes * d->tokens;
    const float **planes[] = {&d->level, &d->x, &d->y, &d->heading};
    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++) {
        float *larger = realloc((void *)*planes[i], count * sizeof(float));
        if (!larger) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u passes of %u tokens", passes, d->tokens);
        *planes[i] = larger;
    }
    uint8_t *larger = realloc((void *)d->valid, count);
    if (!larger) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u passes of %u tokens", passes, d->tokens);
    d->valid = larger;
    return NM_OK;
}

nm_denoising *nm_denoising_new(uint32_t tokens, uint32_t passes) {
    nm_denoising *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->tokens = tokens;
    d->passes = passes;
    d->track = calloc(tokens, sizeof *d->track);
    d->time = calloc(tokens, sizeof *d->time);
    if (d->track && d->time && reserve(d, passes, NULL) == NM_OK) return d;
    nm_denoising_destroy(d);
    return NULL;
}

nm_status nm_denoising_check_tokens(const nm_scene *scene, uint32_t tokens, uint32_t times, uint32_t now,
                                    const uint32_t *track, const uint32_t *time, nm_error *error) {
    if (tokens < 1 || tokens > NM_DENOISING_MAX_TOKENS)
        return NM_ERROR(error, NM_E_LIMIT, "%u tokens; there can be 1 to %u", tokens, NM_DENOISING_MAX_TOKENS);
    if (times < 1 || times > NM_DENOISING_MAX_TIMES)
        return NM_ERROR(error, NM_E_LIMIT, "%u token times; there can be 1 to %u", times, NM_DENOISING_MAX_TIMES);
    if (now >= times) return NM_ERROR(error, NM_E_ARGUMENT, "the current token %u is not among %u times", now, times);
    uint8_t *seen = calloc(scene->track_count ? scene->track_count : 1, 1);
    if (!seen) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u tracks", scene->track_count);
    nm_status status = NM_OK;
    for (uint32_t i = 0; i < tokens && status == NM_OK; i++) {
        const int same = i > 0 && track[i] == track[i - 1];
        if (track[i] >= scene->track_count)
            status = NM_ERROR(error, NM_E_ARGUMENT, "token %u is of track %u; there are %u", i, track[i],
                              scene->track_count);
        else if (time[i] >= times)
            status = NM_ERROR(error, NM_E_ARGUMENT, "token %u has time %u; there are %u", i, time[i], times);
        else if (same ? time[i] <= time[i - 1] : seen[track[i]])
            status = NM_ERROR(error, NM_E_ARGUMENT, "token %u of track %u is out of order", i, track[i]);
        else
            seen[track[i]] = 1;
    }
    free(seen);
    return status;
}

int nm_denoising_good(float level, float x, float y, float heading, uint8_t valid) {
    if (!(level >= 0.0f && level <= 1.0f) || valid > 1) return 0;
    if (!valid) return x == 0.0f && y == 0.0f && heading == 0.0f;
    return fabsf(x) <= NM_DENOISING_MAX_COORDINATE && fabsf(y) <= NM_DENOISING_MAX_COORDINATE && isfinite(heading);
}

nm_status nm_denoising_builder_create(const nm_scene *scene, const char *title, uint32_t tokens, uint32_t times,
                                      uint32_t now, const uint32_t *track, const uint32_t *time,
                                      nm_denoising_builder **builder, nm_error *error) {
    NM_ASSERT(scene && title && track && time && builder);
    *builder = NULL;
    nm_status status = nm_denoising_check_tokens(scene, tokens, times, now, track, time, error);
    if (status != NM_OK) return status;
    nm_denoising_builder *b = calloc(1, sizeof *b);
    if (b) b->denoising = nm_denoising_new(tokens, 1);
    if (!b || !b->denoising) {
        free(b);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u tokens", tokens);
    }
    nm_denoising *d = b->denoising;
    d->passes = 0;
    b->capacity = 1;
    status = nm_scene_resample(scene, (double)scene->dt, &d->scene, error); // at its own rate: a copy
    if (status != NM_OK) {
        nm_denoising_builder_destroy(b);
        return status;
    }
    snprintf(d->title, sizeof d->title, "%s", title);
    d->times = times;
    d->now = now;
    memcpy((void *)d->track, track, tokens * sizeof *track);
    memcpy((void *)d->time, time, tokens * sizeof *time);
    *builder = b;
    return NM_OK;
}

void nm_denoising_builder_destroy(nm_denoising_builder *builder) {
    if (!builder) return;
    nm_denoising_destroy(builder->denoising);
    free(builder);
}

nm_status nm_denoising_builder_add(nm_denoising_builder *builder, const float *level, const float *x, const float *y,
                                   const float *heading, const uint8_t *valid, nm_error *error) {
    NM_ASSERT(builder && level && x && y && heading && valid);
    nm_denoising *d = builder->denoising;
    if (d->passes >= NM_DENOISING_MAX_PASSES)
        return NM_ERROR(error, NM_E_LIMIT, "a recording holds %u passes", NM_DENOISING_MAX_PASSES);
    if (d->passes == builder->capacity) {
        const uint32_t wanted = builder->capacity * 2;
        nm_status status = reserve(d, wanted, error);
        if (status != NM_OK) return status;
        builder->capacity = wanted;
    }
    const size_t at = (size_t)d->passes * d->tokens;
    for (uint32_t i = 0; i < d->tokens; i++) {
        const uint8_t good = valid[i] && nm_denoising_good(0.0f, x[i], y[i], heading[i], 1);
        ((float *)d->level)[at + i] = level[i] > 0.0f ? fminf(level[i], 1.0f) : 0.0f;
        ((float *)d->x)[at + i] = good ? x[i] : 0.0f;
        ((float *)d->y)[at + i] = good ? y[i] : 0.0f;
        ((float *)d->heading)[at + i] = good ? heading[i] : 0.0f;
        ((uint8_t *)d->valid)[at + i] = good;
    }
    d->passes++;
    return NM_OK;
}

nm_status nm_denoising_builder_finish(nm_denoising_builder *builder, nm_denoising **denoising, nm_error *error) {
    NM_ASSERT(builder && denoising);
    *denoising = NULL;
    nm_status status = NM_OK;
    if (builder->denoising->passes == 0) {
        status = NM_ERROR(error, NM_E_ARGUMENT, "nothing was recorded");
    } else {
        *denoising = builder->denoising;
        builder->denoising = NULL;
    }
    nm_denoising_builder_destroy(builder);
    return status;
}
