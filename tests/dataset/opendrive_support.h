/// Shared by the OpenDRIVE tests: an import of a document, and how far lines lie from one another.
#ifndef NM_TESTS_OPENDRIVE_SUPPORT_H
#define NM_TESTS_OPENDRIVE_SUPPORT_H

#include "commonroad_support.h"

#include "dataset/opendrive_write.h"
#include "sim/builtin.h"

/// The scene of a document that must be accepted. Release with nm_scene_destroy.
static inline const nm_scene *read_roads(const char *text, size_t size) {
    catch c = import_bytes("roads.xodr", text, size);
    if (c.scenes != 1) fail_msg("refused, line %lld: %s", (long long)c.refusal.line, c.refusal.message);
    return c.scene;
}

static inline double to_segment(double x, double y, nm_vec2 a, nm_vec2 b) {
    double ax = (double)a.x, ay = (double)a.y, dx = (double)b.x - ax, dy = (double)b.y - ay, square = dx * dx + dy * dy;
    double share = square > 0.0 ? fmin(fmax(((x - ax) * dx + (y - ay) * dy) / square, 0.0), 1.0) : 0.0;
    return hypot(x - ax - share * dx, y - ay - share * dy);
}

/// From a point, in the map's frame, to a line of lane points.
static inline double to_line(double x, double y, const nm_vec2 *line, nm_range range) {
    double best = INFINITY;
    for (uint32_t i = range.first; i + 1 < range.first + range.count; ++i)
        best = fmin(best, to_segment(x, y, line[i], line[i + 1]));
    return best;
}

/// The furthest that a corner of line `a` lies from line `b`, frames taken into account.
static inline double line_distance(const nm_map *ma, const nm_vec2 *a, nm_range ra, const nm_map *mb, const nm_vec2 *b,
                                   nm_range rb) {
    double worst = 0.0;
    for (uint32_t i = ra.first; i < ra.first + ra.count; ++i)
        worst = fmax(worst, to_line((double)a[i].x + ma->origin.x - mb->origin.x,
                                    (double)a[i].y + ma->origin.y - mb->origin.y, b, rb));
    return worst;
}

/// Both borders of two lanes, both ways.
static inline double lane_distance(const nm_map *ma, const nm_lane *a, const nm_map *mb, const nm_lane *b) {
    double left = fmax(line_distance(ma, ma->left, a->points, mb, mb->left, b->points),
                       line_distance(mb, mb->left, b->points, ma, ma->left, a->points));
    double right = fmax(line_distance(ma, ma->right, a->points, mb, mb->right, b->points),
                        line_distance(mb, mb->right, b->points, ma, ma->right, a->points));
    return fmax(left, right);
}

/// A built-in map, with no more than a name and a seed to go by.
static inline const nm_scene *builtin_scene(const char *specification) {
    const nm_scene *scene;
    nm_error error;
    if (nm_builtin_scene(specification, 1, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    return scene;
}

#endif
