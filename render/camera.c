/// Cameras, in double: a picture 100 km from the origin must not tremble. The ground a pixel shows is found from the
/// same frame of vectors that makes the matrix, not by inverting it.
#include "render/camera.h"

#include <math.h>

#define PI 3.14159265358979323846
#define LEAST_SPAN 1.0f
#define MOST_SPAN 2e5f
#define LEAST_DISTANCE 1.0f
#define MOST_DISTANCE 5e4f
#define LEAST_PITCH 0.03f
#define HALF_PI 1.57079633f
#define BIRD_DEPTH 2000.0 ///< m above and below the target that a bird sees
#define DRAG_REACH 20.0   ///< distances from the eye beyond which the ground counts as sky

typedef struct vec3 {
    double x, y, z;
} vec3;

static double dot(vec3 a, vec3 b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

/// The eye and the directions right, up and forward of the picture; all unit and at right angles.
typedef struct frame {
    vec3 eye, right, up, forward;
    double half_width, half_height; ///< bird: m; else tangents of half the angles of view
    int bird;
} frame;

static frame frame_of(const nm_camera *camera, float width, float height) {
    NM_ASSERT(camera && width > 0 && height > 0);
    const double c = cos((double)camera->yaw), s = sin((double)camera->yaw), aspect = (double)width / (double)height;
    const vec3 target = {camera->target.x, camera->target.y, camera->target.z};
    frame f = {.right = {s, -c, 0}, .bird = camera->kind == NM_CAMERA_BIRD};
    if (f.bird) {
        f.eye = target;
        f.up = (vec3){c, s, 0};
        f.forward = (vec3){0, 0, -1};
        f.half_height = 0.5 * (double)camera->span;
    } else {
        const double cp = cos((double)camera->pitch), sp = sin((double)camera->pitch), d = (double)camera->distance;
        f.forward = (vec3){c * cp, s * cp, -sp};
        f.up = (vec3){c * sp, s * sp, cp};
        f.eye = (vec3){target.x - d * f.forward.x, target.y - d * f.forward.y, target.z - d * f.forward.z};
        f.half_height = tan(0.5 * (double)camera->fov);
    }
    f.half_width = f.half_height * aspect;
    return f;
}

nm_camera nm_camera_default(void) {
    return (nm_camera){
        .kind = NM_CAMERA_BIRD, .yaw = HALF_PI, .pitch = HALF_PI, .distance = 100.0f, .span = 100.0f, .fov = 0.9f};
}

/// Row `row` of the matrix: factor * direction, so that the eye maps to `at_eye`.
static void set_row(double m[16], int row, vec3 direction, double factor, vec3 eye, double at_eye) {
    m[row] = factor * direction.x;
    m[4 + row] = factor * direction.y;
    m[8 + row] = factor * direction.z;
    m[12 + row] = at_eye - factor * dot(direction, eye);
}

void nm_camera_matrix(const nm_camera *camera, float width, float height, float matrix[16]) {
    NM_ASSERT(matrix);
    const frame f = frame_of(camera, width, height);
    const vec3 none = {0, 0, 0};
    double m[16];
    set_row(m, 0, f.right, 1.0 / f.half_width, f.eye, 0);
    set_row(m, 1, f.up, 1.0 / f.half_height, f.eye, 0);
    if (f.bird) {
        set_row(m, 2, f.forward, 1.0 / BIRD_DEPTH, f.eye, 0);
        set_row(m, 3, none, 1.0, f.eye, 1.0);
    } else {
        // near and far go with the distance, so that the depth buffer is as fine as what can be seen
        const double close = fmax(0.1, 0.03 * (double)camera->distance), far = 4000.0 + 20.0 * (double)camera->distance;
        set_row(m, 2, f.forward, (far + close) / (far - close), f.eye, -2.0 * far * close / (far - close));
        set_row(m, 3, f.forward, 1.0, f.eye, 0);
    }
    for (int i = 0; i < 16; i++) matrix[i] = (float)m[i];
}

/// The same in double, with the distance from the eye along the ray; 0 when there is no such ground.
static int ground_at(const frame *f, float width, float height, float px, float py, double z, vec3 *ground,
                     double *along) {
    const double u = (2.0 * (double)px / (double)width - 1.0) * f->half_width;
    const double v = (1.0 - 2.0 * (double)py / (double)height) * f->half_height;
    if (f->bird) {
        *ground = (vec3){f->eye.x + u * f->right.x + v * f->up.x, f->eye.y + u * f->right.y + v * f->up.y, z};
        *along = 0;
        return 1;
    }
    const vec3 ray = {f->forward.x + u * f->right.x + v * f->up.x, f->forward.y + u * f->right.y + v * f->up.y,
                      f->forward.z + u * f->right.z + v * f->up.z};
    const double t = (z - f->eye.z) / ray.z;
    if (!(t > 0) || !(t < 1e7)) return 0;
    *ground = (vec3){f->eye.x + t * ray.x, f->eye.y + t * ray.y, z};
    *along = t * sqrt(dot(ray, ray));
    return 1;
}

int nm_camera_unproject(const nm_camera *camera, float width, float height, float px, float py, float z,
                        nm_point *ground) {
    NM_ASSERT(ground);
    const frame f = frame_of(camera, width, height);
    vec3 at;
    double along;
    if (!ground_at(&f, width, height, px, py, (double)z, &at, &along)) return 0;
    *ground = (nm_point){(float)at.x, (float)at.y, z};
    return 1;
}

int nm_camera_project(const nm_camera *camera, float width, float height, nm_point world, float *px, float *py) {
    NM_ASSERT(px && py);
    const frame f = frame_of(camera, width, height);
    const vec3 d = {(double)world.x - f.eye.x, (double)world.y - f.eye.y, (double)world.z - f.eye.z};
    const double depth = f.bird ? 1.0 : dot(f.forward, d);
    if (!(depth > 1e-6)) return 0;
    *px = (float)(0.5 * (double)width * (1.0 + dot(f.right, d) / (depth * f.half_width)));
    *py = (float)(0.5 * (double)height * (1.0 - dot(f.up, d) / (depth * f.half_height)));
    return 1;
}

float nm_camera_scale(const nm_camera *camera, float width, float height) {
    const frame f = frame_of(camera, width, height);
    return (float)(0.5 * (double)height / (f.half_height * (f.bird ? 1.0 : (double)camera->distance)));
}

nm_camera nm_camera_fit(nm_point least, nm_point most, float width, float height, float margin) {
    NM_ASSERT(width > 0 && height > 0 && margin >= 0 && margin < 0.5f);
    nm_camera camera = nm_camera_default();
    if (!(least.x <= most.x && least.y <= most.y)) return camera;
    camera.target = (nm_point){0.5f * least.x + 0.5f * most.x, 0.5f * least.y + 0.5f * most.y,
                               least.z <= most.z ? 0.5f * least.z + 0.5f * most.z : 0.0f};
    const float high = fmaxf(most.y - least.y, (most.x - least.x) * height / width) / (1.0f - 2.0f * margin);
    camera.span = fminf(fmaxf(high, 10.0f), MOST_SPAN); // one agent alone: still some of the road around it
    return camera;
}

nm_camera nm_camera_behind(nm_point position, float heading, float length) {
    nm_camera camera = nm_camera_default();
    const float longer = fmaxf(length - 4.5f, 0.0f);
    const float back = 8.0f + 1.2f * longer, up = 4.0f + 0.3f * longer;
    // the middle of the picture lies ahead of the agent: the road it will drive on is what one wants to see
    const float ahead = 6.0f, above = 1.0f;
    camera.kind = NM_CAMERA_CHASE;
    camera.yaw = heading;
    camera.target =
        (nm_point){position.x + ahead * cosf(heading), position.y + ahead * sinf(heading), position.z + above};
    camera.distance = hypotf(back + ahead, up - above);
    camera.pitch = atan2f(up - above, back + ahead);
    return camera;
}

static float clamp(float value, float least, float most) {
    return value < least ? least : value > most ? most : value;
}

void nm_camera_zoom(nm_camera *camera, float width, float height, float px, float py, float factor) {
    NM_ASSERT(camera && factor > 0);
    const frame f = frame_of(camera, width, height);
    vec3 fixed;
    double along;
    float *size = f.bird ? &camera->span : &camera->distance;
    const float before = *size;
    *size =
        f.bird ? clamp(before / factor, LEAST_SPAN, MOST_SPAN) : clamp(before / factor, LEAST_DISTANCE, MOST_DISTANCE);
    if (!ground_at(&f, width, height, px, py, (double)camera->target.z, &fixed, &along)) return;
    if (!f.bird && along > DRAG_REACH * (double)before) return; // under the horizon: zoom about the middle
    const double rest = (double)*size / (double)before;
    camera->target.x = (float)(fixed.x + rest * ((double)camera->target.x - fixed.x));
    camera->target.y = (float)(fixed.y + rest * ((double)camera->target.y - fixed.y));
}

void nm_camera_drag(nm_camera *camera, float width, float height, float from_x, float from_y, float to_x, float to_y) {
    NM_ASSERT(camera);
    const frame f = frame_of(camera, width, height);
    const double z = (double)camera->target.z, reach = DRAG_REACH * (double)camera->distance;
    vec3 from, to;
    double along_from, along_to;
    if (!ground_at(&f, width, height, from_x, from_y, z, &from, &along_from)) return;
    if (!ground_at(&f, width, height, to_x, to_y, z, &to, &along_to)) return;
    if (!f.bird && fmax(along_from, along_to) > reach) return;
    camera->target.x = (float)((double)camera->target.x + from.x - to.x);
    camera->target.y = (float)((double)camera->target.y + from.y - to.y);
}

void nm_camera_orbit(nm_camera *camera, float yaw, float pitch) {
    NM_ASSERT(camera);
    camera->yaw = (float)remainder((double)camera->yaw + (double)yaw, 2.0 * PI);
    camera->pitch = camera->kind == NM_CAMERA_BIRD ? HALF_PI : clamp(camera->pitch + pitch, LEAST_PITCH, HALF_PI);
}
