/// States of a track as the metrics want them.
#include "sim/metrics/course.h"

#include "sim/math.h"

static float size_at(const float *states, size_t at, float of_track) {
    return states && states[at] > 0.0f ? states[at] : of_track;
}

int nm_scene_box(const nm_scene *scene, uint32_t track, uint32_t step, nm_box *box) {
    NM_ASSERT(track < scene->track_count && step < scene->step_count);
    size_t at = nm_scene_at(scene, track, step);
    if (!scene->valid[at]) return 0;
    const nm_track *info = &scene->tracks[track];
    box->x = scene->x[at], box->y = scene->y[at];
    nm_sincosf(scene->heading[at], &box->sin_h, &box->cos_h);
    box->length = size_at(scene->state_length, at, info->length);
    box->width = size_at(scene->state_width, at, info->width);
    box->vx = scene->vx[at], box->vy = scene->vy[at];
    box->ax = box->ay = 0.0f;
    if (step > 0 && step + 1 < scene->step_count && scene->valid[at - 1] && scene->valid[at + 1]) {
        float twice = 2.0f * scene->dt;
        box->ax = (scene->vx[at + 1] - scene->vx[at - 1]) / twice;
        box->ay = (scene->vy[at + 1] - scene->vy[at - 1]) / twice;
    }
    return 1;
}

nm_status nm_course_make(const nm_scene *scene, uint32_t track, uint32_t first_step, uint32_t last_step,
                         nm_arena *arena, nm_course *course, nm_error *error) {
    const uint8_t *valid = scene->valid + nm_scene_at(scene, track, 0);
    *course = (nm_course){0};
    while (first_step <= last_step && !valid[first_step]) first_step++;
    if (first_step > last_step) return NM_OK;
    while (!valid[last_step]) last_step--;
    uint32_t count = last_step - first_step + 1;
    size_t padded = (size_t)count + NM_COURSE_PAD;
    float *block = nm_arena_alloc(arena, padded, 9 * sizeof(float), 64);
    course->same = NM_ARENA_ARRAY(arena, uint32_t, padded);
    if (!block || !course->same) return NM_ERROR(error, NM_E_MEMORY, "no memory for the states of track %u", track);
    course->first = first_step, course->count = count;
    float **const fields[9] = {&course->x,     &course->y,           &course->vx,         &course->vy,   &course->cos_h,
                               &course->sin_h, &course->half_length, &course->half_width, &course->speed};
    for (size_t f = 0; f < 9; f++) *fields[f] = block + f * padded;
    for (uint32_t i = count; i < padded; i++) {
        for (size_t f = 0; f < 9; f++) (*fields[f])[i] = 0.0f;
        course->x[i] = NAN, course->same[i] = 0;
    }
    const nm_track *info = &scene->tracks[track];
    size_t base = nm_scene_at(scene, track, first_step);
    for (uint32_t i = 0; i < count; i++) {
        size_t at = base + i;
        course->x[i] = valid[first_step + i] ? scene->x[at] : NAN;
        course->y[i] = scene->y[at];
        course->vx[i] = scene->vx[at], course->vy[i] = scene->vy[at];
        nm_sincosf(scene->heading[at], &course->sin_h[i], &course->cos_h[i]);
        course->half_length[i] = 0.5f * nm_maxf(size_at(scene->state_length, at, info->length), 0.0f);
        course->half_width[i] = 0.5f * nm_maxf(size_at(scene->state_width, at, info->width), 0.0f);
        course->speed[i] = nm_hypotf(course->vx[i], course->vy[i]);
        course->most_speed = nm_maxf(course->most_speed, fabsf(course->vx[i]) + fabsf(course->vy[i]));
        course->most_extent = nm_maxf(course->most_extent, course->half_length[i] + course->half_width[i]);
        uint32_t same = i > 0;
        for (size_t f = 0; f < 9 && same; f++) same = (*fields[f])[i] == (*fields[f])[i - 1];
        course->same[i] = same ? ~0u : 0u;
    }
    return NM_OK;
}

/// A box around all ground covered between steps `from` and `to`, along the way from the first valid one to the last.
static nm_box bound(const nm_course *course, uint32_t from, uint32_t to, float margin) {
    while (from < to && !nm_course_valid(course, from)) from++;
    while (to > from && !nm_course_valid(course, to)) to--;
    nm_box out = {.x = NAN}; // overlaps nothing
    if (!nm_course_valid(course, from)) return out;
    double ux = (double)course->x[to] - course->x[from], uy = (double)course->y[to] - course->y[from];
    double way = sqrt(ux * ux + uy * uy);
    if (way > 0.1)
        ux /= way, uy /= way;
    else
        ux = course->cos_h[from], uy = course->sin_h[from];
    double low_x = 0.0, high_x = 0.0, low_y = 0.0, high_y = 0.0; // of the centres
    double length = 0.0, width = 0.0; // the largest half extents: a box keeps its heading over a step
    for (uint32_t i = from; i <= to; i++) {
        if (!nm_course_valid(course, i)) continue;
        double dx = (double)course->x[i] - course->x[from], dy = (double)course->y[i] - course->y[from];
        double along = ux * dx + uy * dy, aside = ux * dy - uy * dx;
        double c = fabs(ux * course->cos_h[i] + uy * course->sin_h[i]);
        double s = fabs(ux * course->sin_h[i] - uy * course->cos_h[i]);
        length = nm_larger(length, c * course->half_length[i] + s * course->half_width[i]);
        width = nm_larger(width, s * course->half_length[i] + c * course->half_width[i]);
        low_x = nm_smaller(low_x, along), high_x = nm_larger(high_x, along);
        low_y = nm_smaller(low_y, aside), high_y = nm_larger(high_y, aside);
    }
    double middle_x = 0.5 * (low_x + high_x), middle_y = 0.5 * (low_y + high_y);
    out.x = (float)(course->x[from] + ux * middle_x - uy * middle_y);
    out.y = (float)(course->y[from] + uy * middle_x + ux * middle_y);
    out.cos_h = (float)ux, out.sin_h = (float)uy;
    double size = high_x - low_x + high_y - low_y + length + width;
    double skin = 1e-3 + 1e-6 * (fabs((double)out.x) + fabs((double)out.y) + size); // the rounding to float
    out.length = (float)(high_x - low_x + 2.0 * (length + nm_positive(margin) + skin));
    out.width = (float)(high_y - low_y + 2.0 * (width + nm_positive(margin) + skin));
    return out;
}

nm_status nm_course_block(nm_course *course, float margin, nm_arena *arena, nm_error *error) {
    course->block_count = (course->count + NM_BLOCK_STEPS - 1) / NM_BLOCK_STEPS;
    course->blocks = NM_ARENA_ARRAY(arena, nm_box, course->block_count);
    course->radii = NM_ARENA_ARRAY(arena, float, course->block_count);
    if (!course->blocks || !course->radii)
        return NM_ERROR(error, NM_E_MEMORY, "no memory for %u blocks of steps", course->block_count);
    for (uint32_t b = 0; b < course->block_count; b++) {
        uint32_t from = b * NM_BLOCK_STEPS, to = from + NM_BLOCK_STEPS;
        course->blocks[b] = bound(course, from > 0 ? from - 1 : 0, nm_minu(to, course->count - 1), margin);
        const nm_box *box = &course->blocks[b];
        course->radii[b] = box->x == box->x ? 0.501f * nm_hypotf(box->length, box->width) : -INFINITY;
    }
    if (course->count) course->whole = bound(course, 0, course->count - 1, margin);
    return NM_OK;
}
