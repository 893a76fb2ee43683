#include "nexus/path.h"

#include <math.h>

#include "sim/math.h"

void nm_path_measure(nm_path *path) {
    path->s[0] = 0.0f;
    for (uint32_t i = 1; i < NM_PATH_POINTS; ++i) {
        const float chord = nm_hypotf(path->x[i] - path->x[i - 1], path->y[i] - path->y[i - 1]);
        path->s[i] = path->s[i - 1] + nm_maxf(chord, 1e-3f);
    }
}

static nm_path_pose pose_of(float x, float y, float heading) {
    nm_path_pose pose = {.x = x, .y = y};
    nm_sincosf(heading, &pose.sin_h, &pose.cos_h);
    return pose;
}

/// The place at s on the path itself.
static nm_path_pose middle(const nm_path *path, float s) {
    const uint32_t last = NM_PATH_POINTS - 1;
    if (s <= 0.0f || s >= path->s[last]) {
        const uint32_t i = s <= 0.0f ? 0 : last;
        nm_path_pose end = pose_of(path->x[i], path->y[i], path->heading[i]);
        end.x += (s - path->s[i]) * end.cos_h;
        end.y += (s - path->s[i]) * end.sin_h;
        return end;
    }
    uint32_t low = 0, high = last;
    while (high - low > 1) {
        const uint32_t i = (low + high) / 2;
        *(path->s[i] <= s ? &low : &high) = i;
    }
    const float d = path->s[high] - path->s[low], u = (s - path->s[low]) / d, q = 1.0f - u;
    const float h0 = q * q * (1.0f + 2.0f * u), h1 = u * u * (3.0f - 2.0f * u), t0 = d * u * q * q, t1 = -d * u * u * q;
    const nm_path_pose a = pose_of(path->x[low], path->y[low], path->heading[low]),
                       b = pose_of(path->x[high], path->y[high], path->heading[high]);
    return pose_of(h0 * a.x + h1 * b.x + t0 * a.cos_h + t1 * b.cos_h, h0 * a.y + h1 * b.y + t0 * a.sin_h + t1 * b.sin_h,
                   q * path->heading[low] + u * path->heading[high]);
}

nm_path_pose nm_path_place(const nm_path *path, const nm_path_pose *on) {
    const nm_path_pose at = middle(path, on->x);
    return (nm_path_pose){.x = at.x - on->y * at.sin_h,
                          .y = at.y + on->y * at.cos_h,
                          .cos_h = at.cos_h * on->cos_h - at.sin_h * on->sin_h,
                          .sin_h = at.sin_h * on->cos_h + at.cos_h * on->sin_h};
}

nm_path_pose nm_path_coast(const nm_path_pose *on, float speed, float time) {
    const float along = nm_maxf(on->cos_h, 0.1f); // by contract it looks along
    const float way = speed * time * along, reach = nm_maxf(3.0f, fabsf(speed));
    const float left = expf(-fabsf(way) / reach), aside = on->sin_h / along * reach * (1.0f - left);
    nm_path_pose to = {.x = on->x + way, .y = on->y + (way < 0.0f ? -aside : aside), .sin_h = on->sin_h * left};
    to.cos_h = sqrtf(nm_maxf(1.0f - to.sin_h * to.sin_h, 0.0f));
    return to;
}

#define ALIKE 0.01f // m

/// m along of the nearest place on the chords, the first and the last drawn out; of places that are as near to a
/// centimetre the first: a way may come back to where it began.
static float nearest(const nm_path *path, float x, float y) {
    const uint32_t last = NM_PATH_POINTS - 1;
    float best = 0.0f, least = 1e18f; // m
    for (uint32_t i = 0; i < last; ++i) {
        const float ax = path->x[i], ay = path->y[i], ex = path->x[i + 1] - ax, ey = path->y[i + 1] - ay;
        const float length2 = nm_maxf(ex * ex + ey * ey, 1e-6f);
        float u = ((x - ax) * ex + (y - ay) * ey) / length2;
        if (u < 0.0f && i > 0) u = 0.0f;
        if (u > 1.0f && i + 1 < last) u = 1.0f;
        const float dx = x - ax - u * ex, dy = y - ay - u * ey, d2 = dx * dx + dy * dy;
        if (least <= ALIKE || d2 >= (least - ALIKE) * (least - ALIKE)) continue;
        least = sqrtf(d2);
        best = path->s[i] + u * (path->s[i + 1] - path->s[i]);
    }
    return best;
}

nm_path_pose nm_path_project(const nm_path *path, const nm_path_pose *pose) {
    // chords cut corners: two steps of Newton along the curve's own tangent make it exact where curvature is small
    float s = nearest(path, pose->x, pose->y);
    nm_path_pose at = middle(path, s);
    for (int i = 0; i < 2; ++i) {
        s += (pose->x - at.x) * at.cos_h + (pose->y - at.y) * at.sin_h;
        at = middle(path, s);
    }
    return (nm_path_pose){.x = s,
                          .y = (pose->y - at.y) * at.cos_h - (pose->x - at.x) * at.sin_h,
                          .cos_h = pose->cos_h * at.cos_h + pose->sin_h * at.sin_h,
                          .sin_h = pose->sin_h * at.cos_h - pose->cos_h * at.sin_h};
}
