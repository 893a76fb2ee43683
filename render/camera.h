/// Where a picture is seen from. Plain numbers: no GL.
#ifndef NM_RENDER_CAMERA_H
#define NM_RENDER_CAMERA_H

#include "render/drawing.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_camera_kind {
    NM_CAMERA_BIRD = 0, ///< straight down, parallel; north up turned by `yaw`
    NM_CAMERA_CHASE,    ///< behind and above an agent, perspective
    NM_CAMERA_FREE      ///< anywhere, perspective
} nm_camera_kind;

typedef struct nm_camera {
    nm_camera_kind kind;
    nm_point target; ///< m, what is in the middle
    float yaw;       ///< rad, direction of view on the ground, counter-clockwise from +x; bird: what is up
    float pitch;     ///< rad below the horizon, (0, pi/2]; bird: pi/2
    float distance;  ///< m from the target; chase, free
    float span;      ///< m that the picture is high; bird
    float fov;       ///< rad, vertical; chase, free; default 0.9
} nm_camera;
NM_API nm_camera nm_camera_default(void); ///< bird, 100 m, up is north

/// Column-major clip-from-world matrix for a viewport of width x height px. Depth in [-1, 1].
NM_API void nm_camera_matrix(const nm_camera *camera, float width, float height, float matrix[16]);
/// Pixel to the ground at height z. 0 when the ray does not meet it.
NM_API int nm_camera_unproject(const nm_camera *camera, float width, float height, float px, float py, float z,
                               nm_point *ground);
/// World to pixel; 0 when it is behind the camera.
NM_API int nm_camera_project(const nm_camera *camera, float width, float height, nm_point world, float *px, float *py);
/// Pixels per metre at the target.
NM_API float nm_camera_scale(const nm_camera *camera, float width, float height);
/// A bird's-eye camera that shows the box, with `margin` (fraction of the picture) around it. An empty box: 100 m.
NM_API nm_camera nm_camera_fit(nm_point least, nm_point most, float width, float height, float margin);
/// Behind an agent: 8 m back and 4 m up for a car of 4.5 m, more for longer ones.
NM_API nm_camera nm_camera_behind(nm_point position, float heading, float length);
/// What mouse and keys do. Ranges are kept: span 1 m to 200 km, distance 1 m to 50 km, pitch 0.03 to pi/2 (bird: pi/2).
/// Zoom (factor > 1: closer): what lies under the pixel, at the target's height, stays there. Drag: what lay under the
/// first pixel comes under the second; nothing happens where a pixel shows no ground within 20 distances. Orbit: adds
/// radians.
NM_API void nm_camera_zoom(nm_camera *camera, float width, float height, float px, float py, float factor);
NM_API void nm_camera_drag(nm_camera *camera, float width, float height, float from_x, float from_y, float to_x,
                           float to_y);
NM_API void nm_camera_orbit(nm_camera *camera, float yaw, float pitch);

#ifdef __cplusplus
}
#endif
#endif
