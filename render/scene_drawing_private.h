/// What frames and series share: tracks between steps, and pairs that may come together. Private to render/.
#ifndef NM_RENDER_SCENE_DRAWING_PRIVATE_H
#define NM_RENDER_SCENE_DRAWING_PRIVATE_H

#include "render/scene_drawing.h"
#include "sim/metrics/criticality.h"

/// A track at a time that may lie between two steps.
typedef struct nm_pose {
    float x, y, heading, vx, vy;
    float length, width, height; ///< m; a height that is not known is that of the type
} nm_pose;

/// Positions, sizes and velocities run linearly between the steps, headings the short way round. A track that is valid
/// at one of the two steps only is there up to half-way. 0 = not there, or not finite.
int nm_pose_at(const nm_scene *scene, uint32_t track, float step, nm_pose *pose);
/// Of the front wheels at that time, rad, from the curvature of the motion. The track must be there.
float nm_steering_at(const nm_scene *scene, uint32_t track, float step, float length);
nm_box nm_pose_box(const nm_pose *pose);

/// A box and the ground it may cover.
typedef struct nm_reach {
    nm_box box;
    float low_x, high_x, low_y, high_y; ///< m
    uint32_t item;                      ///< the caller's
    uint32_t fixed;                     ///< 1 = static: pairs of two such are not of interest
} nm_reach;

/// The ground covered within `horizon` s at constant velocity, `margin` m around it.
void nm_reach_set(nm_reach *reach, float horizon, float margin);
/// Orders by low_x or, where the crowd is longer that way, low_y; returns the axis. O(n log n), no memory.
int nm_reach_sort(nm_reach *reaches, uint32_t count);
/// The next pair (i, j), i < j, of sorted reaches that overlap after the pair given; begin with {0, 0}. 0 = no more.
/// Boxes that collide within the horizon, or are nearer than twice the margin, are among them.
typedef struct nm_reach_pair {
    uint32_t i, j;
} nm_reach_pair;
int nm_reach_next(const nm_reach *reaches, uint32_t count, int axis, nm_reach_pair *pair);

#endif
