#include "render/picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "render/frame_labels.h"
#include "render/scene_drawing_private.h"
#include "sim/math.h"

#define SMOOTH_S 0.8f ///< s to both sides over which the camera's target is averaged
#define SMOOTH_SAMPLES 9
#define FIT_MARGIN 0.06f ///< of the picture, around what moves
#define TITLE_SIZE 10.0f ///< px, in the corner of a picture without panel
#define LEAST_TITLE 6.0f ///< px
#define TITLE_EDGE 12.0f ///< px from the picture's edge
#define LEAST_SPAN 45.0f ///< m, around a moment
#define MOST_SPAN 160.0f ///< m, around one that is followed

struct nm_picture {
    const nm_scene *scene;
    nm_picture_options options;
    char *title;
    nm_series series;
    nm_drawing map, moving, screen;
    const nm_moment *moment; ///< the worst one, or NULL
    uint32_t follow[2];      ///< tracks whose middle is followed; NM_NONE = none
    uint32_t chased;         ///< track behind which a chasing camera stays
    nm_point least, most;    ///< of all that moves, over the whole scene; of the map where nothing does
    float span;              ///< m, of a picture that follows
};

nm_picture_options nm_picture_options_default(void) {
    return (nm_picture_options){.follow = NM_FOLLOW_MOMENT,
                                .layers = NM_LAYERS_ALL & ~(1u << NM_LAYER_CENTRES),
                                .panel = 1,
                                .frame = nm_frame_options_default()};
}

// --- what is followed ------------------------------------------------------------------------------------------------

static int is_track(const nm_scene *scene, uint32_t track) {
    return track < scene->track_count && scene->tracks[track].first_step <= scene->tracks[track].last_step;
}

static void find_extent(nm_picture *picture) {
    const nm_scene *scene = picture->scene;
    picture->least = (nm_point){INFINITY, INFINITY, 0}, picture->most = (nm_point){-INFINITY, -INFINITY, 0};
    for (uint32_t i = 0; i < scene->track_count; i++) {
        if (scene->tracks[i].flags & NM_TRACK_STATIC) continue;
        for (uint32_t s = 0; s < scene->step_count; s++) {
            const size_t at = nm_scene_at(scene, i, s);
            if (!scene->valid[at] || !isfinite(scene->x[at] + scene->y[at])) continue;
            const float reach = 0.5f * scene->tracks[i].length;
            picture->least.x = nm_minf(picture->least.x, scene->x[at] - reach);
            picture->least.y = nm_minf(picture->least.y, scene->y[at] - reach);
            picture->most.x = nm_maxf(picture->most.x, scene->x[at] + reach);
            picture->most.y = nm_maxf(picture->most.y, scene->y[at] + reach);
        }
    }
    if (picture->least.x <= picture->most.x || scene->map->lane_count == 0) return;
    const nm_vec2 least = scene->map->bounds_min, most = scene->map->bounds_max; // nothing moves: where it could
    picture->least = (nm_point){least.x, least.y, 0}, picture->most = (nm_point){most.x, most.y, 0};
}

static const nm_moment *worst_moment(const nm_picture *picture) {
    const nm_frame_options *frame = &picture->options.frame;
    const nm_moment *worst = NULL;
    for (uint32_t i = 0; i < frame->moment_count; i++) {
        const nm_moment *m = &frame->moments[i];
        if (!is_track(picture->scene, m->first) && !is_track(picture->scene, m->second)) continue;
        if (!worst || m->severity > worst->severity) worst = m;
    }
    return worst;
}

/// The track where it is valid: before its first step at its first, after its last at its last.
static int track_at(const nm_scene *scene, uint32_t track, float step, nm_pose *pose) {
    if (!is_track(scene, track)) return 0;
    const nm_track *t = &scene->tracks[track];
    return nm_pose_at(scene, track, nm_clampf(step, (float)t->first_step, (float)t->last_step), pose);
}

/// The middle of who is followed, and how far from it the others are.
static int middle_at(const nm_picture *picture, float step, nm_point *middle, float *reach) {
    nm_pose poses[2];
    int count = 0;
    for (int i = 0; i < 2; i++) count += track_at(picture->scene, picture->follow[i], step, &poses[count]);
    if (count == 0) return 0;
    *middle =
        (nm_point){0.5f * poses[0].x + 0.5f * poses[count - 1].x, 0.5f * poses[0].y + 0.5f * poses[count - 1].y, 0};
    *reach = nm_hypotf(poses[0].x - middle->x, poses[0].y - middle->y);
    return 1;
}

/// What one who is followed needs to see: some seconds of way, and a moment's two at all its steps.
static float span_for(const nm_picture *picture) {
    const nm_scene *scene = picture->scene;
    nm_pose pose;
    nm_point middle;
    float reach = 0, most = 0, fastest = 0;
    if (picture->moment && picture->options.follow == NM_FOLLOW_MOMENT) {
        for (uint32_t s = picture->moment->first_step; s <= picture->moment->last_step && s < scene->step_count; s++)
            if (middle_at(picture, (float)s, &middle, &reach)) most = nm_maxf(most, reach);
        return nm_clampf(2.0f * most + 30.0f, LEAST_SPAN, MOST_SPAN);
    }
    for (uint32_t s = 0; s < scene->step_count; s++)
        if (nm_pose_at(scene, picture->chased, (float)s, &pose))
            fastest = nm_maxf(fastest, nm_hypotf(pose.vx, pose.vy));
    return nm_clampf(60.0f + 2.5f * fastest, 60.0f, MOST_SPAN);
}

/// Settles what the options leave open. A moment needs one of its tracks, the ego needs to be there.
static void settle(nm_picture *picture) {
    const nm_scene *scene = picture->scene;
    picture->moment = worst_moment(picture);
    picture->follow[0] = picture->follow[1] = picture->chased = NM_NONE;
    nm_follow_kind follow = picture->options.follow;
    if (follow == NM_FOLLOW_MOMENT && !picture->moment) follow = NM_FOLLOW_EGO;
    if (follow == NM_FOLLOW_EGO && !is_track(scene, scene->ego)) follow = NM_FOLLOW_NONE;
    if (follow == NM_FOLLOW_MOMENT) {
        picture->follow[0] = picture->moment->first, picture->follow[1] = picture->moment->second;
        // seen from who suffers it: the ego when it is in it, else the second
        picture->chased = is_track(scene, picture->moment->second) ? picture->moment->second : picture->moment->first;
        if (picture->moment->first == scene->ego) picture->chased = scene->ego;
    } else if (follow != NM_FOLLOW_NONE) {
        picture->follow[0] = picture->chased = follow == NM_FOLLOW_TRACK ? picture->options.track : scene->ego;
    } else {
        picture->chased = is_track(scene, scene->ego) ? scene->ego : NM_NONE;
        for (uint32_t i = 0; i < scene->track_count && picture->chased == NM_NONE; i++)
            if (is_track(scene, i) && !(scene->tracks[i].flags & NM_TRACK_STATIC)) picture->chased = i;
    }
    if (picture->follow[0] != NM_NONE || picture->follow[1] != NM_NONE) picture->span = span_for(picture);
}

// --- the picture -----------------------------------------------------------------------------------------------------

nm_status nm_picture_create(const nm_scene *scene, const nm_picture_options *options, const char *title,
                            nm_picture **picture, nm_error *error) {
    NM_ASSERT(scene && options && picture);
    *picture = NULL;
    if (options->follow == NM_FOLLOW_TRACK && options->track >= scene->track_count)
        return NM_ERROR(error, NM_E_ARGUMENT, "there is no track %u to follow: the scene has %u", options->track,
                        scene->track_count);
    nm_picture *p = calloc(1, sizeof *p);
    char *copy = malloc(strlen(title ? title : "") + 1);
    nm_status status = p && copy ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for a picture");
    if (status == NM_OK)
        status = nm_series_create_until(scene, options->stop, options->stop_context, &p->series, error);
    if (status != NM_OK) {
        free(p);
        free(copy);
        return status;
    }
    p->title = strcpy(copy, title ? title : "");
    p->scene = scene;
    nm_drawing_init(&p->map, NM_SPACE_WORLD);
    nm_drawing_init(&p->moving, NM_SPACE_WORLD);
    nm_drawing_init(&p->screen, NM_SPACE_SCREEN);
    find_extent(p);
    p->options = *options;
    settle(p);
    nm_draw_map(&p->map, scene->map, nm_theme_of(options->theme));
    status = nm_drawing_check(&p->map, error);
    if (status == NM_OK)
        *picture = p;
    else
        nm_picture_destroy(p);
    return status;
}

void nm_picture_destroy(nm_picture *picture) {
    if (!picture) return;
    nm_drawing_free(&picture->map);
    nm_drawing_free(&picture->moving);
    nm_drawing_free(&picture->screen);
    nm_series_destroy(&picture->series);
    free(picture->title);
    free(picture);
}

void nm_picture_set_options(nm_picture *picture, const nm_picture_options *options) {
    NM_ASSERT(picture && options);
    NM_ASSERT(options->follow != NM_FOLLOW_TRACK || options->track < picture->scene->track_count);
    const int repaint = options->theme != picture->options.theme;
    picture->options = *options;
    settle(picture);
    if (!repaint) return;
    nm_drawing_clear(&picture->map);
    nm_draw_map(&picture->map, picture->scene->map, nm_theme_of(options->theme));
}

static int panel_height(const nm_picture *picture, int height) {
    if (!picture->options.panel || height < 200) return 0;
    const int wanted = (int)(0.3f * (float)height);
    return wanted < 120 ? 120 : wanted > 320 ? 320 : wanted;
}

nm_viewport nm_picture_world(const nm_picture *picture, nm_viewport viewport) {
    NM_ASSERT(picture);
    viewport.height -= panel_height(picture, viewport.height);
    return viewport;
}

/// The middle followed, averaged over some time so that it neither trembles nor jumps.
static int smooth_middle(const nm_picture *picture, float step, nm_point *out) {
    double x = 0, y = 0, weights = 0;
    for (int i = 0; i < SMOOTH_SAMPLES; i++) {
        const float side = 2.0f * (float)i / (SMOOTH_SAMPLES - 1) - 1.0f;
        nm_point middle;
        float reach;
        if (!middle_at(picture, step + side * SMOOTH_S / picture->scene->dt, &middle, &reach)) continue;
        const double weight = 1.05 - fabs((double)side);
        x += weight * (double)middle.x, y += weight * (double)middle.y, weights += weight;
    }
    if (!(weights > 0)) return 0;
    *out = (nm_point){(float)(x / weights), (float)(y / weights), 0};
    return 1;
}

/// Behind the agent where it is; the direction lags and leads a little, so that the view swings softly.
static int chase(const nm_picture *picture, float step, nm_camera *camera) {
    nm_pose pose, other;
    double c = 0, s = 0;
    if (!track_at(picture->scene, picture->chased, step, &pose)) return 0;
    for (int i = 0; i < SMOOTH_SAMPLES; i++) {
        const float side = 2.0f * (float)i / (SMOOTH_SAMPLES - 1) - 1.0f;
        if (!track_at(picture->scene, picture->chased, step + side * SMOOTH_S / picture->scene->dt, &other)) continue;
        const double weight = 1.05 - fabs((double)side);
        c += weight * cos((double)other.heading), s += weight * sin((double)other.heading);
    }
    const float heading = c * c + s * s > 1e-6 ? (float)atan2(s, c) : pose.heading;
    *camera = nm_camera_behind((nm_point){pose.x, pose.y, 0}, heading, pose.length);
    return 1;
}

nm_camera nm_picture_camera(const nm_picture *picture, float step, int width, int height) {
    NM_ASSERT(picture && width > 0 && height > 0);
    const nm_picture_options *options = &picture->options;
    const float high = (float)(height - panel_height(picture, height));
    nm_camera camera;
    nm_point middle;
    if (options->camera == NM_CAMERA_CHASE && chase(picture, step, &camera)) return camera;
    if (smooth_middle(picture, step, &middle)) {
        camera = nm_camera_default();
        camera.target = middle;
        camera.span = picture->span;
    } else {
        camera = nm_camera_fit(picture->least, picture->most, (float)width, high, FIT_MARGIN);
    }
    if (options->span > 0) camera.span = options->span;
    if (options->camera != NM_CAMERA_BIRD) { // free, or nobody to chase: from the south, as wide as the bird sees
        camera.kind = NM_CAMERA_FREE;
        camera.pitch = 0.7f;
        camera.distance = 0.5f * camera.span / tanf(0.5f * camera.fov);
    }
    return camera;
}

/// Title and time in the corner, smaller where they would not fit.
static void draw_title(nm_picture *picture, float width, float step) {
    const nm_theme *theme = nm_theme_of(picture->options.theme);
    char text[200];
    snprintf(text, sizeof text, "%.180s%s%.1f s", picture->title, picture->title[0] ? "   " : "",
             (double)(step * picture->scene->dt));
    const float needed = nm_text_width_estimate(text, TITLE_SIZE), room = width - 2.0f * TITLE_EDGE;
    const nm_label label = {.x = TITLE_EDGE,
                            .y = 16.0f,
                            .size = nm_clampf(TITLE_SIZE * room / needed, LEAST_TITLE, TITLE_SIZE),
                            .colour = theme->text,
                            .halo = theme->text_halo,
                            .layer = NM_LAYER_PANEL};
    nm_draw_label(&picture->screen, label, "%s", text);
}

static void draw_overlay(nm_picture *picture, nm_viewport viewport, nm_viewport world, float step,
                         const nm_camera *camera, float scale) {
    const nm_theme *theme = nm_theme_of(picture->options.theme);
    const float width = (float)world.width, height = (float)world.height;
    nm_drawing_clear(&picture->screen);
    if (camera->kind == NM_CAMERA_BIRD)
        nm_draw_scale_bar(&picture->screen, width - 16.0f, height - 14.0f, scale, fminf(0.25f * width, 200.0f), theme);
    if (world.height < viewport.height) {
        const nm_panel panel = {.y = height,
                                .width = width,
                                .height = (float)(viewport.height - world.height),
                                .step = step,
                                .title = picture->title,
                                .moments = picture->options.frame.moments,
                                .moment_count = picture->options.frame.moment_count};
        nm_draw_panel(&picture->screen, picture->scene, &picture->series, &panel, theme);
        return;
    }
    draw_title(picture, width, step);
}

nm_status nm_picture_draw(nm_picture *picture, nm_renderer *renderer, nm_viewport viewport, float step,
                          const nm_camera *camera, nm_error *error) {
    NM_ASSERT(picture && renderer && viewport.width > 0 && viewport.height > 0);
    const nm_viewport world = nm_picture_world(picture, viewport);
    const nm_camera own = nm_picture_camera(picture, step, viewport.width, viewport.height);
    if (!camera) camera = &own;
    const nm_theme *theme = nm_theme_of(picture->options.theme);
    const float scale = nm_camera_scale(camera, (float)world.width, (float)world.height);
    nm_frame_options frame = picture->options.frame;
    frame.camera = camera, frame.view_width = (float)world.width, frame.view_height = (float)world.height;
    nm_drawing_clear(&picture->moving);
    nm_draw_frame(&picture->moving, picture->scene, step, &frame, theme);
    draw_overlay(picture, viewport, world, step, camera, scale);
    nm_status status = nm_drawing_check(&picture->map, error);
    if (status == NM_OK) status = nm_drawing_check(&picture->moving, error);
    if (status == NM_OK) status = nm_drawing_check(&picture->screen, error);
    if (status != NM_OK) return status;
    const nm_drawing *const both[2] = {&picture->map, &picture->moving}, *const over = &picture->screen;
    nm_renderer_clear(renderer, world, theme->background);
    nm_renderer_world(renderer, world, camera, picture->options.layers, both, 2);
    nm_renderer_screen(renderer, viewport, picture->options.layers, &over, 1);
    return nm_renderer_check(renderer, error);
}
