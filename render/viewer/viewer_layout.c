/// Where the parts of the viewer are, what can be asked of it, and its pictures put together.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "render/viewer/viewer_internal.h"

static float bottom(const nm_viewer *viewer) {
    return viewer->height - VIEWER_TIMELINE;
}

/// The graphs go where there is room for them and something to show.
int nm_viewer_graphs_shown(const nm_viewer *viewer) {
    return viewer->mode == NM_VIEWER_SCENE && viewer->panel && viewer->height > 420.0f;
}

nm_viewer_rect nm_viewer_pane_rect(const nm_viewer *viewer, uint32_t pane) {
    NM_ASSERT(viewer && pane < NM_VIEWER_PANES);
    const float height = fmaxf(bottom(viewer) - (nm_viewer_graphs_shown(viewer) ? VIEWER_GRAPHS : 0.0f), 1.0f);
    if (viewer->mode == NM_VIEWER_DENOISING)
        return (nm_viewer_rect){.width = fmaxf(viewer->width - VIEWER_TOKENS_PANEL, 1.0f), .height = height};
    const uint32_t count = nm_viewer_pane_count(viewer) == 2 ? 2 : 1;
    const float width = fmaxf(floorf(viewer->width / (float)count), 1.0f);
    return (nm_viewer_rect){.x = width * (float)pane, .y = 0.0f, .width = width, .height = height};
}

nm_panel nm_viewer_graphs(const nm_viewer *viewer, uint32_t index) {
    const nm_viewer_pane *pane = &viewer->panes[index];
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, index);
    return (nm_panel){.x = r.x,
                      .y = r.y + r.height,
                      .width = r.width,
                      .height = VIEWER_GRAPHS,
                      .step = nm_viewer_pane_step(viewer, index),
                      .moments = pane->content.moments,
                      .moment_count = pane->content.moment_count};
}

nm_viewer_rect nm_viewer_timeline_rect(const nm_viewer *viewer) {
    NM_ASSERT(viewer);
    float left = 16.0f, right = viewer->width - 16.0f;
    if (viewer->mode == NM_VIEWER_SCENE && nm_viewer_pane_count(viewer) == 1) { // under the axis of the graphs
        const nm_panel graphs = nm_viewer_graphs(viewer, 0);
        nm_panel_axis(&graphs, &left, &right);
    }
    return (nm_viewer_rect){
        .x = left, .y = bottom(viewer) + 4.0f, .width = fmaxf(right - left, 1.0f), .height = VIEWER_TIMELINE - 8.0f};
}

nm_viewer_status nm_viewer_get(const nm_viewer *viewer) {
    NM_ASSERT(viewer);
    nm_viewer_status s = {.mode = viewer->mode,
                          .closed = viewer->closed,
                          .visible = !viewer->hidden,
                          .help = viewer->help,
                          .filtering = viewer->filtering,
                          .entries = viewer->entries,
                          .selected = viewer->selected,
                          .filter = viewer->filter,
                          .panes = nm_viewer_pane_count(viewer),
                          .focus = viewer->focus,
                          .time = viewer->time,
                          .duration = nm_viewer_duration(viewer),
                          .playing = viewer->playing,
                          .speed = viewer->speed,
                          .layers = viewer->layers,
                          .labels = viewer->labels,
                          .panel = viewer->panel,
                          .scale = viewer->scale,
                          .theme = viewer->theme,
                          .pass = viewer->pass,
                          .passes = viewer->config.denoising ? viewer->config.denoising->passes : 0,
                          .message = viewer->message};
    for (uint32_t i = 0; i < NM_VIEWER_PANES; i++) {
        const nm_viewer_pane *pane = &viewer->panes[i];
        s.scene[i] = pane->open ? pane->id : 0;
        s.live[i] = pane->live != NULL;
        s.step[i] = nm_viewer_pane_step(viewer, i);
        s.steps[i] = pane->open ? nm_viewer_pane_steps(pane) : 0;
        s.follow[i] = pane->open ? pane->follow : NM_NONE;
        s.camera[i] = pane->camera;
    }
    for (uint32_t i = 0; i < viewer->config.thumbnails; i++)
        s.thumbnails += viewer->thumbnails[i].used && !viewer->thumbnails[i].failed;
    s.animating = s.visible && (viewer->playing || viewer->stale);
    return s;
}

static const char *camera_name(nm_camera_kind kind) {
    return kind == NM_CAMERA_BIRD ? "bird" : kind == NM_CAMERA_CHASE ? "chase" : "free";
}

static size_t scene_title(const nm_viewer *viewer, char *text, size_t size) {
    const nm_viewer_pane *pane = &viewer->panes[viewer->focus];
    char beside[40] = "", follow[24] = "nobody";
    if (nm_viewer_pane_count(viewer) == 2)
        snprintf(beside, sizeof beside, " beside %lld", (long long)viewer->panes[1].id);
    if (pane->follow != NM_NONE) snprintf(follow, sizeof follow, "%u", pane->follow);
    return (size_t)snprintf(
        text, size, "nearmiss: scene %lld%s, %.2f s, %s, speed %g, follow %s, %s, %s%s", (long long)viewer->panes[0].id,
        beside, viewer->time, viewer->playing ? "playing" : "paused", (double)viewer->speed, follow,
        camera_name(pane->camera.kind), pane->live ? "live" : "recorded", viewer->help ? ", help" : "");
}

size_t nm_viewer_title(const nm_viewer *viewer, char *text, size_t size) {
    NM_ASSERT(viewer && text && size > 0);
    if (viewer->mode == NM_VIEWER_SCENE) return scene_title(viewer, text, size);
    if (viewer->mode == NM_VIEWER_DENOISING)
        return (size_t)snprintf(text, size, "nearmiss: denoising, pass %u of %u, %s", viewer->pass,
                                viewer->config.denoising->passes - 1, viewer->playing ? "playing" : "paused");
    return (size_t)snprintf(text, size, "nearmiss: list, %u scenes, number %u selected%s%s%s", viewer->entries,
                            viewer->entries ? viewer->selected + 1 : 0, viewer->filter[0] ? ", filtered" : "",
                            viewer->filtering ? ", typing" : "", viewer->help ? ", help" : "");
}

int nm_viewer_take_screenshot(nm_viewer *viewer, char *name, size_t size) {
    NM_ASSERT(viewer && name && size > 0);
    if (!viewer->screenshot) return 0;
    viewer->screenshot = 0;
    if (viewer->mode == NM_VIEWER_SCENE)
        snprintf(name, size, "nearmiss-%lld-%.2fs.png", (long long)viewer->panes[0].id, viewer->time);
    else if (viewer->mode == NM_VIEWER_DENOISING)
        snprintf(name, size, "nearmiss-denoising-%u.png", viewer->pass);
    else
        snprintf(name, size, "nearmiss-list.png");
    return 1;
}

// --- pictures --------------------------------------------------------------------------------------------------------

void nm_viewer_magnify(const nm_viewer *viewer, nm_drawing *drawing) {
    if (viewer->scale != 1.0f) nm_drawing_magnify(drawing, viewer->scale);
}

void nm_viewer_draw_map(const nm_viewer *viewer, nm_drawing *drawing, const nm_map *map) {
    nm_drawing_clear(drawing);
    nm_draw_map(drawing, map, nm_theme_of(viewer->theme));
    nm_viewer_magnify(viewer, drawing);
}

/// Whole pixels. Edges are rounded, not sizes: what touches in points touches in pixels.
static nm_viewport viewport(const nm_viewer *viewer, nm_viewer_rect r) {
    const float s = viewer->scale;
    const int left = (int)lroundf(r.x * s), right = (int)lroundf((r.x + r.width) * s);
    const int upper = (int)lroundf(r.y * s), lower = (int)lroundf((r.y + r.height) * s);
    return (nm_viewport){.x = left,
                         .y = upper,
                         .width = right > left ? right - left : 1,
                         .height = lower > upper ? lower - upper : 1,
                         .full_height = viewer->pixel_height};
}

static nm_viewer_view *add_view(nm_viewer *viewer, nm_viewer_rect r, const nm_camera *camera) {
    NM_ASSERT(viewer->view_count < NM_VIEWER_MAX_VIEWS);
    nm_viewer_view *view = &viewer->views[viewer->view_count++];
    *view = (nm_viewer_view){.viewport = viewport(viewer, r),
                             .camera = *camera,
                             .background = nm_theme_of(viewer->theme)->background,
                             .layers = viewer->layers};
    return view;
}

static void compose_pane(nm_viewer *viewer, uint32_t index) {
    nm_viewer_pane *pane = &viewer->panes[index];
    nm_frame_options options = nm_frame_options_default();
    options.labels = viewer->labels;
    options.future_s = viewer->layers & 1u << NM_LAYER_FUTURES ? 3.0f : 0.0f;
    if (!pane->live) { // what was dangerous in the recording need not be so in another run
        options.moments = pane->content.moments;
        options.moment_count = pane->content.moment_count;
    }
    nm_viewer_pane_aim(viewer, index);
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, index);
    options.camera = &pane->camera;
    options.view_width = r.width;
    options.view_height = r.height;
    nm_drawing_clear(&pane->frame);
    nm_draw_frame(&pane->frame, pane->shown, nm_viewer_pane_step(viewer, index), &options, nm_theme_of(viewer->theme));
    nm_viewer_magnify(viewer, &pane->frame);
    nm_viewer_view *view = add_view(viewer, r, &pane->camera);
    view->world[view->world_count++] = &pane->map;
    view->world[view->world_count++] = &pane->frame;
}

static void compose_denoising(nm_viewer *viewer) {
    const nm_denoising *d = viewer->config.denoising;
    const nm_theme *theme = nm_theme_of(viewer->theme);
    nm_frame_options options = nm_frame_options_default();
    options.labels = viewer->labels;
    options.warn_ttc_s = 0.0f;
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, 0);
    options.camera = &viewer->token_camera;
    options.view_width = r.width;
    options.view_height = r.height;
    nm_drawing_clear(&viewer->token_frame);
    nm_drawing_clear(&viewer->tokens);
    nm_draw_frame(&viewer->token_frame, d->scene, (float)d->scene->current_step, &options, theme);
    nm_draw_denoising(&viewer->tokens, d, viewer->pass, theme);
    nm_viewer_magnify(viewer, &viewer->token_frame);
    nm_viewer_magnify(viewer, &viewer->tokens);
    nm_viewer_view *view = add_view(viewer, r, &viewer->token_camera);
    view->world[view->world_count++] = &viewer->token_map;
    view->world[view->world_count++] = &viewer->token_frame;
    view->world[view->world_count++] = &viewer->tokens;
}

static void compose_list(nm_viewer *viewer) {
    nm_viewer_entry entry;
    for (uint32_t i = viewer->first_row; i < viewer->entries; i++) {
        nm_viewer_rect r = nm_viewer_entry_rect(viewer, i);
        if (r.height <= 0.0f) return;
        if (viewer->source.entry(viewer->source.context, i, &entry, NULL) != NM_OK) continue;
        const nm_viewer_thumbnail *t = nm_viewer_thumbnail_of(viewer, entry.id);
        if (!t || t->failed) continue;
        r = (nm_viewer_rect){.x = 8.0f, .y = r.y + 4.0f, .width = VIEWER_THUMB_WIDTH, .height = VIEWER_ROW - 8.0f};
        nm_viewer_view *view = add_view(viewer, r, &t->camera);
        view->layers &= ~(1u << NM_LAYER_LABELS | 1u << NM_LAYER_SIGNALS); // of one size in px: too large here
        view->world[view->world_count++] = &t->map;
        view->world[view->world_count++] = &t->frame;
    }
}

static nm_status check_drawings(const nm_viewer *viewer, nm_error *error) {
    nm_status status = nm_drawing_check(&viewer->screen, error);
    if (status == NM_OK) status = nm_drawing_check(&viewer->over, error);
    for (uint32_t i = 0; i < viewer->view_count && status == NM_OK; i++)
        for (uint32_t k = 0; k < viewer->views[i].world_count && status == NM_OK; k++)
            status = nm_drawing_check(viewer->views[i].world[k], error);
    return status;
}

nm_status nm_viewer_compose(nm_viewer *viewer, const nm_viewer_view **views, uint32_t *count,
                            const nm_drawing *screen[2], nm_error *error) {
    NM_ASSERT(viewer && views && count && screen);
    viewer->view_count = 0;
    if (viewer->mode == NM_VIEWER_LIST)
        compose_list(viewer);
    else if (viewer->mode == NM_VIEWER_DENOISING)
        compose_denoising(viewer);
    else
        for (uint32_t i = 0; i < nm_viewer_pane_count(viewer); i++) compose_pane(viewer, i);
    nm_drawing_clear(&viewer->screen);
    nm_drawing_clear(&viewer->over);
    nm_viewer_draw_screen(viewer);
    nm_viewer_magnify(viewer, &viewer->screen);
    nm_viewer_magnify(viewer, &viewer->over);
    viewer->stale = 0;
    *views = viewer->views;
    *count = viewer->view_count;
    screen[0] = &viewer->screen;
    screen[1] = &viewer->over;
    return check_drawings(viewer, error);
}

nm_status nm_viewer_draw(nm_viewer *viewer, nm_renderer *renderer, nm_error *error) {
    NM_ASSERT(viewer && renderer);
    const nm_viewer_view *views;
    const nm_drawing *screen[2];
    uint32_t count;
    nm_status status = nm_viewer_compose(viewer, &views, &count, screen, error);
    if (status != NM_OK) return status;
    const nm_viewport whole = {
        .width = viewer->pixel_width, .height = viewer->pixel_height, .full_height = viewer->pixel_height};
    nm_renderer_clear(renderer, whole, nm_theme_of(viewer->theme)->background);
    for (uint32_t i = 0; i < count; i++) {
        const nm_viewer_view *view = &views[i];
        nm_renderer_clear(renderer, view->viewport, view->background);
        nm_renderer_world(renderer, view->viewport, &view->camera, view->layers, view->world, view->world_count);
    }
    // in two calls: within one, all texts lie over all surfaces
    nm_renderer_screen(renderer, whole, NM_LAYERS_ALL, &screen[0], 1);
    nm_renderer_screen(renderer, whole, NM_LAYERS_ALL, &screen[1], 1);
    return nm_renderer_check(renderer, error);
}
