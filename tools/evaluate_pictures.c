/// Frames of driven scenes: seen from above, the ego's heading at the moment up, rings around the two it is about.
#include <math.h>
#include <stdlib.h>

#include "render/headless.h"
#include "render/media.h"
#include "render/scene_drawing.h"
#include "sim/math.h"
#include "tools/evaluate_gallery.h"

#define RING_POINTS 40u
#define LEAST_SPAN 46.0f ///< m that a frame is high
#define MOST_SPAN 110.0f
#define SPAN_SECONDS 2.2f ///< of way that are seen besides
#define AHEAD 0.14f       ///< of the span: the ego stands so much below the middle
#define PATH_MOST 640u    ///< points of the recorded way

struct nm_evaluate_painter {
    nm_headless *headless;
    nm_drawing map, moving;
    uint64_t map_hash;
    int has_map;
    uint8_t pixels[4 * NM_EVALUATE_FRAME_WIDTH * NM_EVALUATE_FRAME_HEIGHT];
};

nm_status nm_evaluate_painter_create(nm_evaluate_painter **painter, nm_error *error) {
    *painter = NULL;
    nm_evaluate_painter *p = calloc(1, sizeof *p);
    if (!p) return NM_ERROR(error, NM_E_MEMORY, "out of memory for pictures");
    const nm_status status =
        nm_headless_create(NM_EVALUATE_FRAME_WIDTH, NM_EVALUATE_FRAME_HEIGHT, NULL, &p->headless, error);
    if (status != NM_OK) {
        free(p);
        return status;
    }
    nm_drawing_init(&p->map, NM_SPACE_WORLD);
    nm_drawing_init(&p->moving, NM_SPACE_WORLD);
    *painter = p;
    return NM_OK;
}

void nm_evaluate_painter_destroy(nm_evaluate_painter *painter) {
    if (!painter) return;
    nm_drawing_free(&painter->map);
    nm_drawing_free(&painter->moving);
    nm_headless_destroy(painter->headless);
    free(painter);
}

/// Where a track is, or was last before the step.
static int place_of(const nm_scene *scene, uint32_t track, uint32_t step, nm_point *at, float *heading, float *length) {
    if (track >= scene->track_count) return 0;
    for (uint32_t s = step < scene->step_count ? step : scene->step_count - 1;; --s) {
        const size_t i = nm_scene_at(scene, track, s);
        if (scene->valid[i]) {
            *at = (nm_point){scene->x[i], scene->y[i], 0};
            *heading = scene->heading[i];
            *length = scene->state_length ? scene->state_length[i] : scene->tracks[track].length;
            return 1;
        }
        if (s == 0) return 0;
    }
}

static nm_camera camera_of(const nm_evaluate_scenery *s, uint32_t step) {
    nm_camera camera = nm_camera_default();
    nm_point here = {0, 0, 0}, there, other;
    float heading = 0, up = 0, length;
    place_of(s->scene, s->ego, step, &here, &heading, &length);
    camera.target = here;
    if (!place_of(s->scene, s->ego, s->moment, &there, &up, &length)) return camera;
    const size_t at = nm_scene_at(s->scene, s->ego, s->moment < s->scene->step_count ? s->moment : 0);
    const float speed = nm_hypotf(s->scene->vx[at], s->scene->vy[at]);
    camera.span = LEAST_SPAN + SPAN_SECONDS * speed;
    if (place_of(s->scene, s->other, s->moment, &other, &heading, &length))
        camera.span = nm_maxf(camera.span, 2.6f * nm_hypotf(other.x - there.x, other.y - there.y));
    camera.span = nm_clampf(camera.span, LEAST_SPAN, MOST_SPAN);
    camera.yaw = up;
    camera.target.x += AHEAD * camera.span * cosf(up);
    camera.target.y += AHEAD * camera.span * sinf(up);
    return camera;
}

static void draw_ring(nm_drawing *drawing, const nm_evaluate_scenery *s, uint32_t track, uint32_t step, float width,
                      nm_rgba colour) {
    nm_point centre, ring[RING_POINTS];
    float heading, length;
    if (!place_of(s->scene, track, step, &centre, &heading, &length)) return;
    const float radius = 0.5f * length + 1.8f;
    for (uint32_t i = 0; i < RING_POINTS; ++i) {
        const float angle = 2.0f * NM_PI_F * (float)i / (float)RING_POINTS;
        ring[i] = (nm_point){centre.x + radius * cosf(angle), centre.y + radius * sinf(angle), 0};
    }
    nm_draw_stroke(
        drawing, ring, RING_POINTS,
        (nm_stroke){.width = width, .pixels = 1, .closed = 1, .colour = colour, .layer = NM_LAYER_HIGHLIGHTS});
}

/// Where the recording went: the way the expert drove.
static void draw_recorded(nm_drawing *drawing, const nm_evaluate_scenery *s, nm_rgba colour) {
    nm_point points[PATH_MOST];
    uint32_t count = 0;
    if (!s->recorded || s->ego >= s->recorded->track_count) return;
    for (uint32_t step = s->start; step < s->recorded->step_count && count < PATH_MOST; ++step) {
        const size_t at = nm_scene_at(s->recorded, s->ego, step);
        if (!s->recorded->valid[at]) break;
        points[count++] = (nm_point){s->recorded->x[at], s->recorded->y[at], 0};
    }
    if (count < 2) return;
    nm_draw_stroke(
        drawing, points, count,
        (nm_stroke){.width = 2.0f, .pixels = 1, .dash = 2.0f, .gap = 5.0f, .colour = colour, .layer = NM_LAYER_PLAN});
}

static void draw_moving(nm_evaluate_painter *p, const nm_evaluate_scenery *s, uint32_t step, int is_moment,
                        const nm_camera *camera, const nm_theme *theme) {
    nm_frame_options options = nm_frame_options_default();
    options.warn_ttc_s = 0.0f; // what others do to each other is another matter
    options.labels = 0;
    options.camera = camera;
    options.view_width = NM_EVALUATE_FRAME_WIDTH;
    options.view_height = NM_EVALUATE_FRAME_HEIGHT;
    nm_drawing_clear(&p->moving);
    nm_draw_frame(&p->moving, s->scene, (float)step, &options, theme);
    draw_recorded(&p->moving, s, theme->role[NM_ROLE_EGO]);
    if (is_moment) draw_ring(&p->moving, s, s->ego, step, 3.0f, theme->collision);
    if (s->other != NM_NONE) draw_ring(&p->moving, s, s->other, step, is_moment ? 3.0f : 1.5f, theme->collision);
}

nm_status nm_evaluate_paint(nm_evaluate_painter *p, const nm_evaluate_scenery *scenery, uint32_t step,
                            nm_evaluate_frame *frame, nm_error *error) {
    const nm_theme *theme = nm_theme_of(NM_THEME_DAY);
    const nm_map *map = scenery->scene->map;
    const nm_camera camera = camera_of(scenery, step);
    if (!p->has_map || p->map_hash != map->hash) {
        nm_drawing_clear(&p->map);
        nm_draw_map(&p->map, map, theme);
        p->map_hash = map->hash;
        p->has_map = 1;
    }
    draw_moving(p, scenery, step, frame->moment, &camera, theme);
    nm_status status = nm_drawing_check(&p->map, error);
    if (status == NM_OK) status = nm_drawing_check(&p->moving, error);
    if (status != NM_OK) return status;
    nm_renderer *renderer = nm_headless_renderer(p->headless);
    const nm_viewport view = nm_headless_viewport(p->headless);
    const nm_drawing *const both[2] = {&p->map, &p->moving};
    nm_renderer_clear(renderer, view, theme->background);
    nm_renderer_world(renderer, view, &camera, NM_LAYERS_ALL & ~(1u << NM_LAYER_CENTRES), both, 2);
    status = nm_renderer_check(renderer, error);
    if (status == NM_OK) status = nm_headless_read(p->headless, p->pixels, error);
    if (status != NM_OK) return status;
    return nm_png_encode(p->pixels, NM_EVALUATE_FRAME_WIDTH, NM_EVALUATE_FRAME_HEIGHT, &frame->png, &frame->size,
                         error);
}
