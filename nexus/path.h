/// The way the road leads an agent: a curve in the agent's own frame, along its lane and the lanes after it.
///
/// A path begins at the agent's own frame and keeps its distance to the centreline. A place near it is (s, d): s m
/// along it, d m to its left. Before its beginning and after its end a path goes straight on.
///
/// Pure functions, safe everywhere.
#ifndef NM_NEXUS_PATH_H
#define NM_NEXUS_PATH_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_PATH_POINTS 48u

typedef struct nm_path {
    float step;              ///< m of lane between two points, > 0; 0 = no road leads the agent, and the rest is 0
    float s[NM_PATH_POINTS]; ///< m along, of the chords; ascending from 0
    float x[NM_PATH_POINTS]; ///< m
    float y[NM_PATH_POINTS]; ///< m
    float heading[NM_PATH_POINTS]; ///< rad, not wrapped: those of two points in succession differ by less than pi
} nm_path;

/// A place and a direction. Of a path: x = s, y = d, the direction relative to the path's.
typedef struct nm_path_pose {
    float x, y, cos_h, sin_h;
} nm_path_pose;

/// Sets s from x and y. Points that fall together (under 1 mm) are moved 1 mm apart along s, so that s ascends.
NM_API void nm_path_measure(nm_path *path);
/// From (s, d) and a direction relative to the path to the own frame. Between two points: the cubic Hermite curve of
/// both positions and headings; the heading is linear.
NM_API nm_path_pose nm_path_place(const nm_path *path, const nm_path_pose *on);
/// Where an agent at `on` is `time` s later (before, when negative) if it keeps its speed and takes up the direction of
/// the path: its angle to it dies away within the way of one second, at least 3 m. `on` looks along the path (cos_h >
/// 0).
NM_API nm_path_pose nm_path_coast(const nm_path_pose *on, float speed, float time);
/// From the own frame to the nearest place of the path, of places as near to a centimetre the first.
NM_API nm_path_pose nm_path_project(const nm_path *path, const nm_path_pose *pose);

#ifdef __cplusplus
}
#endif
#endif
