/// The viewer's state: creation, time, and what each event changes.
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "render/viewer/viewer_internal.h"

nm_viewer_config nm_viewer_config_default(void) {
    return (nm_viewer_config){
        .theme = NM_THEME_DAY, .width = 1280, .height = 800, .scale = 1.0f, .live_seconds = 120.0f, .thumbnails = 48};
}

static nm_status check_config(const nm_viewer_config *c, nm_error *error) {
    if (c->width < 160 || c->width > 8192 || c->height < 160 || c->height > 8192)
        return NM_ERROR(error, NM_E_ARGUMENT, "a window of %d x %d; sides are 160 to 8192", c->width, c->height);
    if (!(c->scale >= VIEWER_SCALE_MIN && c->scale <= VIEWER_SCALE_MAX))
        return NM_ERROR(error, NM_E_ARGUMENT, "a scale of %g; it is %g to %g", (double)c->scale,
                        (double)VIEWER_SCALE_MIN, (double)VIEWER_SCALE_MAX);
    if (!(c->live_seconds > 0.0f && c->live_seconds <= 600.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "live runs of %g s; they last up to 600", (double)c->live_seconds);
    if (c->thumbnails < 1 || c->thumbnails > 1024)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u thumbnails; there are 1 to 1024", c->thumbnails);
    if (c->theme != NM_THEME_DAY && c->theme != NM_THEME_DARK)
        return NM_ERROR(error, NM_E_ARGUMENT, "there is no theme %d", (int)c->theme);
    return NM_OK;
}

static void start_denoising(nm_viewer *viewer) {
    const nm_denoising *d = viewer->config.denoising;
    nm_point least = {INFINITY, INFINITY, 0.0f}, most = {-INFINITY, -INFINITY, 0.0f};
    const size_t last = (size_t)(d->passes - 1) * d->tokens; // what came out, not the noise, sets the frame
    viewer->mode = NM_VIEWER_DENOISING;
    for (uint32_t i = 0; i < d->tokens; i++) {
        if (!d->valid[last + i]) continue;
        least.x = fminf(least.x, d->x[last + i]);
        least.y = fminf(least.y, d->y[last + i]);
        most.x = fmaxf(most.x, d->x[last + i]);
        most.y = fmaxf(most.y, d->y[last + i]);
    }
    const float width = viewer->width - VIEWER_TOKENS_PANEL;
    viewer->token_camera = nm_camera_fit(least, most, fmaxf(width, 64.0f), viewer->height, 0.1f);
    nm_viewer_draw_map(viewer, &viewer->token_map, d->scene->map);
}

nm_status nm_viewer_create(const nm_viewer_config *config, nm_viewer **out, nm_error *error) {
    NM_ASSERT(config && out);
    *out = NULL;
    nm_status status = check_config(config, error);
    if (status != NM_OK) return status;
    nm_viewer *viewer = calloc(1, sizeof *viewer);
    if (viewer) viewer->thumbnails = calloc(config->thumbnails, sizeof *viewer->thumbnails);
    if (!viewer || !viewer->thumbnails) {
        free(viewer);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the viewer");
    }
    viewer->config = *config;
    nm_viewer_list_resize(viewer, config->width, config->height, config->scale);
    viewer->theme = config->theme;
    viewer->layers = NM_LAYERS_ALL & ~(1u << NM_LAYER_CENTRES | 1u << NM_LAYER_FUTURES);
    viewer->labels = 1;
    viewer->panel = 1;
    viewer->speed = 1.0f;
    viewer->stale = 1;
    nm_drawing_init(&viewer->screen, NM_SPACE_SCREEN);
    nm_drawing_init(&viewer->over, NM_SPACE_SCREEN);
    nm_drawing_init(&viewer->token_map, NM_SPACE_WORLD);
    nm_drawing_init(&viewer->token_frame, NM_SPACE_WORLD);
    nm_drawing_init(&viewer->tokens, NM_SPACE_WORLD);
    nm_drawing_init(&viewer->spare, NM_SPACE_WORLD);
    for (uint32_t i = 0; i < NM_VIEWER_PANES; i++) {
        nm_drawing_init(&viewer->panes[i].map, NM_SPACE_WORLD);
        nm_drawing_init(&viewer->panes[i].frame, NM_SPACE_WORLD);
    }
    for (uint32_t i = 0; i < config->thumbnails; i++) {
        nm_drawing_init(&viewer->thumbnails[i].map, NM_SPACE_WORLD);
        nm_drawing_init(&viewer->thumbnails[i].frame, NM_SPACE_WORLD);
    }
    if (config->source) {
        viewer->source = *config->source;
        viewer->has_source = 1;
        viewer->entries = viewer->source.count(viewer->source.context);
    }
    if (config->denoising) start_denoising(viewer);
    *out = viewer;
    return NM_OK;
}

void nm_viewer_destroy(nm_viewer *viewer) {
    if (!viewer) return;
    for (uint32_t i = 0; i < NM_VIEWER_PANES; i++) {
        nm_viewer_pane_close(viewer, i);
        nm_drawing_free(&viewer->panes[i].map);
        nm_drawing_free(&viewer->panes[i].frame);
    }
    for (uint32_t i = 0; i < viewer->config.thumbnails; i++) {
        nm_drawing_free(&viewer->thumbnails[i].map);
        nm_drawing_free(&viewer->thumbnails[i].frame);
    }
    nm_drawing_free(&viewer->screen);
    nm_drawing_free(&viewer->over);
    nm_drawing_free(&viewer->token_map);
    nm_drawing_free(&viewer->token_frame);
    nm_drawing_free(&viewer->tokens);
    nm_drawing_free(&viewer->spare);
    free(viewer->thumbnails);
    free(viewer);
}

// --- messages --------------------------------------------------------------------------------------------------------

void nm_viewer_say(nm_viewer *viewer, const char *format, ...) {
    char raw[VIEWER_MESSAGE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    nm_text_escape(viewer->message, sizeof viewer->message, raw);
    viewer->message_left = VIEWER_MESSAGE_SECONDS;
    viewer->stale = 1;
}

void nm_viewer_fail(nm_viewer *viewer, const nm_error *error) {
    char text[VIEWER_MESSAGE];
    nm_error_format(error, text, sizeof text);
    nm_viewer_say(viewer, "%s", text);
}

// --- time ------------------------------------------------------------------------------------------------------------

uint32_t nm_viewer_pane_count(const nm_viewer *viewer) {
    return viewer->panes[0].open ? viewer->panes[1].open ? 2 : 1 : 0;
}

uint32_t nm_viewer_pane_steps(const nm_viewer_pane *pane) {
    if (!pane->open) return 1;
    if (pane->live) return nm_viewer_live_now(pane->live) + 1;
    return pane->shown->step_count > 0 ? pane->shown->step_count : 1;
}

double nm_viewer_duration(const nm_viewer *viewer) {
    double longest = 0.0;
    for (uint32_t i = 0; i < NM_VIEWER_PANES; i++) {
        const nm_viewer_pane *pane = &viewer->panes[i];
        if (pane->open) longest = fmax(longest, (double)(nm_viewer_pane_steps(pane) - 1) * (double)pane->shown->dt);
    }
    return longest;
}

/// A scene that is over while the one beside it goes on stays at its end.
float nm_viewer_pane_step(const nm_viewer *viewer, uint32_t index) {
    const nm_viewer_pane *pane = &viewer->panes[index];
    if (!pane->open) return 0.0f;
    const double step = viewer->time / (double)pane->shown->dt, most = (double)(nm_viewer_pane_steps(pane) - 1);
    const double nearest = nearbyint(step); // steps that time stands on are shown as they are, without interpolation
    return (float)fmin(fabs(step - nearest) < 1e-4 ? nearest : step, most);
}

void nm_viewer_set_time(nm_viewer *viewer, double time) {
    viewer->time = fmin(fmax(time, 0.0), nm_viewer_duration(viewer));
    viewer->stale = 1;
}

nm_viewer_pane *nm_viewer_focused(nm_viewer *viewer) {
    nm_viewer_pane *pane = &viewer->panes[viewer->focus];
    return pane->open ? pane : NULL;
}

/// Live panes make as many steps as it takes to reach `time`. 0 when one of them is over or failed.
static int advance_live(nm_viewer *viewer, double time) {
    nm_error error;
    for (uint32_t i = 0; i < NM_VIEWER_PANES; i++) {
        nm_viewer_pane *pane = &viewer->panes[i];
        if (!pane->open || !pane->live) continue;
        while ((double)nm_viewer_live_now(pane->live) * (double)pane->shown->dt < time - 1e-9) {
            nm_error_clear(&error);
            nm_status status = nm_viewer_live_step(pane->live, &error);
            if (status != NM_OK) nm_viewer_fail(viewer, &error);
            if (status != NM_OK && status != NM_E_NUMERIC) return 0;
        }
    }
    return 1;
}

static void step_by(nm_viewer *viewer, int steps) {
    const nm_viewer_pane *pane = nm_viewer_focused(viewer);
    if (!pane) return;
    const double dt = (double)pane->shown->dt;
    const double from = viewer->time / dt;
    // from between two steps, the first key press goes to the next one
    const double to = steps > 0 ? floor(from + 1e-4) + steps : ceil(from - 1e-4) + steps;
    viewer->playing = 0;
    if (steps > 0) advance_live(viewer, to * dt);
    nm_viewer_set_time(viewer, to * dt);
}

static void play_or_pause(nm_viewer *viewer) {
    const nm_viewer_pane *pane = nm_viewer_focused(viewer);
    if (viewer->mode == NM_VIEWER_DENOISING) {
        if (!viewer->playing && viewer->pass + 1 >= viewer->config.denoising->passes) viewer->pass = 0;
        viewer->pass_time = 0.0;
        viewer->playing = !viewer->playing;
    } else if (pane) {
        if (!viewer->playing && !pane->live && viewer->time >= nm_viewer_duration(viewer) - 1e-9) viewer->time = 0.0;
        viewer->playing = !viewer->playing;
    }
}

static void tick_scene(nm_viewer *viewer, double seconds) {
    const double time = viewer->time + seconds * (double)viewer->speed;
    const int live_over = !advance_live(viewer, time);
    nm_viewer_set_time(viewer, time);
    if (live_over || viewer->time < time - 1e-9) viewer->playing = 0; // the end
}

/// 8 passes a second at speed 1.
static void tick_denoising(nm_viewer *viewer, double seconds) {
    viewer->pass_time += seconds * (double)viewer->speed * 8.0;
    while (viewer->pass_time >= 1.0 && viewer->playing) {
        viewer->pass_time -= 1.0;
        if (viewer->pass + 1 < viewer->config.denoising->passes) viewer->pass++;
        if (viewer->pass + 1 >= viewer->config.denoising->passes) viewer->playing = 0;
        viewer->stale = 1;
    }
}

static void tick(nm_viewer *viewer, float amount) {
    const double seconds = amount > 0.0f ? fmin((double)amount, 0.25) : 0.0; // NaN counts as 0
    if (viewer->message_left > 0.0f) {
        viewer->message_left -= (float)seconds;
        if (viewer->message_left <= 0.0f) {
            viewer->message[0] = 0;
            viewer->stale = 1;
        }
    }
    if (viewer->hidden) return;
    if (viewer->playing && viewer->mode == NM_VIEWER_SCENE) tick_scene(viewer, seconds);
    if (viewer->playing && viewer->mode == NM_VIEWER_DENOISING) tick_denoising(viewer, seconds);
    if (viewer->mode == NM_VIEWER_LIST) nm_viewer_list_load_thumbnail(viewer);
}

// --- keys ------------------------------------------------------------------------------------------------------------

/// The next critical moment after now, or the first.
static void jump_to_moment(nm_viewer *viewer) {
    const nm_viewer_pane *pane = nm_viewer_focused(viewer);
    if (!pane || pane->content.moment_count == 0) {
        nm_viewer_say(viewer, "no critical moment is known: nearmiss mine finds them");
        return;
    }
    const double dt = (double)pane->content.scene->dt;
    double first = INFINITY, next = INFINITY;
    for (uint32_t i = 0; i < pane->content.moment_count; i++) {
        const double at = (double)pane->content.moments[i].peak_step * dt;
        first = fmin(first, at);
        if (at > viewer->time + 1e-6) next = fmin(next, at);
    }
    viewer->playing = 0;
    nm_viewer_set_time(viewer, isfinite(next) ? next : first);
}

static void change_speed(nm_viewer *viewer, float factor) {
    viewer->speed = fminf(fmaxf(viewer->speed * factor, VIEWER_SPEED_MIN), VIEWER_SPEED_MAX);
}

static void toggle_layer(nm_viewer *viewer, uint32_t layers, const char *name) {
    viewer->layers ^= layers;
    nm_viewer_say(viewer, "%s %s", name, viewer->layers & layers ? "shown" : "hidden");
}

static int layer_key(nm_viewer *viewer, int key) {
    static const struct {
        int key;
        uint32_t layers;
        const char *name;
    } keys[] = {
        {'1', 1u << NM_LAYER_GROUND | 1u << NM_LAYER_CASING, "surfaces"},
        {'2', 1u << NM_LAYER_MARKINGS | 1u << NM_LAYER_EDGES, "markings and edges"},
        {'3', 1u << NM_LAYER_CROSSINGS, "crosswalks and stop lines"},
        {'4', 1u << NM_LAYER_CENTRES, "centrelines"},
        {'5', 1u << NM_LAYER_TRAILS, "trails"},
        {'6', 1u << NM_LAYER_FUTURES, "futures"},
        {'7', 1u << NM_LAYER_AGENTS, "agents"},
        {'8', 1u << NM_LAYER_SIGNALS, "signals"},
        {'9', 1u << NM_LAYER_HIGHLIGHTS, "highlights"},
        {'0', 1u << NM_LAYER_LABELS, "labels"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (keys[i].key != key) continue;
        toggle_layer(viewer, keys[i].layers, keys[i].name);
        return 1;
    }
    return 0;
}

/// In another theme or scale.
static void redraw_maps(nm_viewer *viewer) {
    for (uint32_t i = 0; i < NM_VIEWER_PANES; i++) {
        nm_viewer_pane *pane = &viewer->panes[i];
        if (pane->open) nm_viewer_draw_map(viewer, &pane->map, pane->shown->map);
    }
    if (viewer->config.denoising) nm_viewer_draw_map(viewer, &viewer->token_map, viewer->config.denoising->scene->map);
    for (uint32_t i = 0; i < viewer->config.thumbnails; i++) // made anew when they are wanted
        viewer->thumbnails[i].used = 0;
}

static void toggle_theme(nm_viewer *viewer) {
    viewer->theme = viewer->theme == NM_THEME_DAY ? NM_THEME_DARK : NM_THEME_DAY;
    redraw_maps(viewer);
}

static void resize(nm_viewer *viewer, int width, int height, float scale) {
    const float before = viewer->scale;
    if (width < 1 || height < 1) return; // some window managers report a minimised window so
    if (!(scale > 0.0f)) scale = before;
    scale = fminf(fmaxf(scale, VIEWER_SCALE_MIN), VIEWER_SCALE_MAX);
    nm_viewer_list_resize(viewer, width < 8192 ? width : 8192, height < 8192 ? height : 8192, scale);
    if (scale != before) redraw_maps(viewer);
    viewer->stale = 1;
}

/// Live and back. A live run that ends leaves its pane with the recorded scene.
static void toggle_live(nm_viewer *viewer) {
    nm_viewer_pane *pane = nm_viewer_focused(viewer);
    nm_error error;
    if (!pane) return;
    nm_error_clear(&error);
    if (pane->live) {
        nm_viewer_live_destroy(pane->live);
        pane->live = NULL;
        pane->shown = pane->content.scene;
        viewer->playing = 0;
        nm_viewer_set_time(viewer, viewer->time);
        nm_viewer_say(viewer, "back to the recording");
    } else if (nm_viewer_start_live(viewer, &error) != NM_OK) {
        nm_viewer_fail(viewer, &error);
    }
}

/// Who is followed: nobody, the ego, and so on through all who are there.
static void follow_next(nm_viewer *viewer) {
    const nm_viewer_pane *pane = nm_viewer_focused(viewer);
    if (!pane) return;
    const uint32_t count = pane->shown->track_count;
    nm_state state;
    const float step = nm_viewer_pane_step(viewer, viewer->focus);
    const uint32_t ego = pane->shown->ego;
    uint32_t from = pane->follow;
    if (from == NM_NONE && ego != NM_NONE && nm_viewer_state_at(pane->shown, ego, step, &state)) {
        nm_viewer_pane_follow(viewer, viewer->focus, ego);
        return;
    }
    for (uint32_t i = 1; i <= count; i++) {
        const uint32_t track = from == NM_NONE ? i - 1 : (from + i) % count;
        if (track == ego || pane->shown->tracks[track].flags & NM_TRACK_STATIC) continue;
        if (!nm_viewer_state_at(pane->shown, track, step, &state)) continue;
        nm_viewer_pane_follow(viewer, viewer->focus, track);
        return;
    }
}

static void close_pane(nm_viewer *viewer) {
    const uint32_t count = nm_viewer_pane_count(viewer);
    if (count == 0) return;
    if (count == 2 && viewer->focus == 0) { // what stays moves to the left: what both own changes hands
        nm_viewer_pane keep = viewer->panes[1];
        viewer->panes[1] = viewer->panes[0];
        viewer->panes[0] = keep;
        nm_viewer_pane_close(viewer, 1);
    } else {
        nm_viewer_pane_close(viewer, viewer->focus);
    }
    viewer->focus = 0;
    viewer->grip = GRIP_NONE; // what the mouse held may be gone
    if (count == 1) {
        viewer->mode = NM_VIEWER_LIST;
        viewer->playing = 0;
    }
    nm_viewer_set_time(viewer, viewer->time);
}

static void leave_scene(nm_viewer *viewer) {
    viewer->playing = 0;
    viewer->grip = GRIP_NONE;
    if (viewer->has_source && viewer->mode != NM_VIEWER_LIST) viewer->mode = NM_VIEWER_LIST;
}

static void time_key(nm_viewer *viewer, int key, int shift) {
    switch (key) {
    case NM_KEY_LEFT:
        step_by(viewer, shift ? -10 : -1);
        break;
    case NM_KEY_RIGHT:
        step_by(viewer, shift ? 10 : 1);
        break;
    case NM_KEY_HOME:
        nm_viewer_set_time(viewer, 0.0);
        break;
    case NM_KEY_END:
        nm_viewer_set_time(viewer, nm_viewer_duration(viewer));
        break;
    case 'm':
        jump_to_moment(viewer);
        break;
    default:
        break;
    }
}

static void scene_key(nm_viewer *viewer, int key, int shift) {
    nm_viewer_pane *pane = nm_viewer_focused(viewer);
    if (!pane) return;
    time_key(viewer, key, shift);
    switch (key) {
    case 'f':
        follow_next(viewer);
        break;
    case 'u':
        nm_viewer_pane_follow(viewer, viewer->focus, NM_NONE);
        break;
    case 'c':
        nm_viewer_pane_next_camera(viewer, viewer->focus);
        break;
    case 'r':
        nm_viewer_pane_fit(viewer, viewer->focus);
        break;
    case 'l':
        toggle_live(viewer);
        break;
    case 'g':
        viewer->panel = !viewer->panel;
        break;
    case 'n':
        viewer->labels = (viewer->labels + 1) % 3;
        break;
    case 'p':
        nm_viewer_show_parent(viewer);
        break;
    case 'x':
        close_pane(viewer);
        break;
    case NM_KEY_TAB:
        if (nm_viewer_pane_count(viewer) == 2) viewer->focus = 1 - viewer->focus;
        break;
    case NM_KEY_ESCAPE:
        leave_scene(viewer);
        break;
    default:
        break;
    }
}

static void denoising_key(nm_viewer *viewer, int key, int shift) {
    const uint32_t last = viewer->config.denoising->passes - 1, pass = viewer->pass, by = shift ? 10 : 1;
    switch (key) {
    case NM_KEY_LEFT:
        viewer->pass = pass > by ? pass - by : 0;
        break;
    case NM_KEY_RIGHT:
        viewer->pass = last - pass > by ? pass + by : last;
        break;
    case NM_KEY_HOME:
        viewer->pass = 0;
        break;
    case NM_KEY_END:
        viewer->pass = last;
        break;
    case NM_KEY_ESCAPE:
        leave_scene(viewer);
        return;
    default:
        return;
    }
    viewer->playing = 0;
}

static void common_key(nm_viewer *viewer, int key, int shift) {
    const int timed = viewer->mode != NM_VIEWER_LIST;
    if (timed && layer_key(viewer, key)) return;
    switch (key) {
    case 'q':
        viewer->closed = 1;
        return;
    case 't':
        toggle_theme(viewer);
        return;
    case 's':
    case NM_KEY_F12:
        viewer->screenshot = 1;
        return;
    case NM_KEY_SPACE:
        if (timed) play_or_pause(viewer);
        return;
    case '+':
    case '=':
        change_speed(viewer, 2.0f);
        return;
    case '-':
        change_speed(viewer, 0.5f);
        return;
    default:
        break;
    }
    if (viewer->mode == NM_VIEWER_LIST)
        nm_viewer_list_key(viewer, key, shift);
    else if (viewer->mode == NM_VIEWER_SCENE)
        scene_key(viewer, key, shift);
    else
        denoising_key(viewer, key, shift);
}

static void key_down(nm_viewer *viewer, int key, int shift) {
    viewer->stale = 1;
    if (viewer->filtering) { // letters arrive as text
        nm_viewer_list_key(viewer, key, shift);
        return;
    }
    if (key == NM_KEY_F1 || key == 'h') {
        viewer->help = !viewer->help;
        return;
    }
    if (viewer->help) {
        if (key == NM_KEY_ESCAPE) viewer->help = 0;
        if (key == NM_KEY_ESCAPE || key == 'q') {
            if (key == 'q') viewer->closed = 1;
            return;
        }
    }
    common_key(viewer, key, shift);
}

static void text_typed(nm_viewer *viewer, const char *text) {
    viewer->stale = 1;
    if (viewer->filtering)
        nm_viewer_list_text(viewer, text);
    else if (strcmp(text, "?") == 0)
        viewer->help = !viewer->help;
    else if (strcmp(text, "/") == 0 && viewer->mode == NM_VIEWER_LIST && viewer->has_source) {
        viewer->filtering = 1;
        snprintf(viewer->typed, sizeof viewer->typed, "%s", viewer->filter);
    }
}

// --- mouse -----------------------------------------------------------------------------------------------------------

static int inside(nm_viewer_rect r, float x, float y) {
    return x >= r.x && x < r.x + r.width && y >= r.y && y < r.y + r.height;
}

/// Time, or the pass, at a place on the time line.
static void scrub(nm_viewer *viewer, float x) {
    const nm_viewer_rect r = nm_viewer_timeline_rect(viewer);
    const float share = fminf(fmaxf((x - r.x) / fmaxf(r.width, 1.0f), 0.0f), 1.0f);
    viewer->playing = 0;
    if (viewer->mode == NM_VIEWER_DENOISING)
        viewer->pass = (uint32_t)lroundf(share * (float)(viewer->config.denoising->passes - 1));
    else
        nm_viewer_set_time(viewer, (double)share * nm_viewer_duration(viewer));
    viewer->stale = 1;
}

/// The same on the graphs of the scene that has the focus.
static void scrub_graphs(nm_viewer *viewer, float x) {
    const nm_viewer_pane *pane = &viewer->panes[viewer->focus];
    const nm_panel graphs = nm_viewer_graphs(viewer, viewer->focus);
    float left, right;
    nm_panel_axis(&graphs, &left, &right);
    const float share = fminf(fmaxf((x - left) / fmaxf(right - left, 1.0f), 0.0f), 1.0f);
    viewer->playing = 0;
    nm_viewer_set_time(viewer, (double)share * (nm_viewer_pane_steps(pane) - 1.0) * (double)pane->shown->dt);
}

static void mouse_down(nm_viewer *viewer, float x, float y, int button) {
    viewer->stale = 1;
    viewer->grip = GRIP_NONE; // letting go may have been missed: another window came up
    viewer->grip_button = button;
    viewer->dragged = 0;
    viewer->grip_x = viewer->mouse_x = x;
    viewer->grip_y = viewer->mouse_y = y;
    if (viewer->mode == NM_VIEWER_LIST) {
        if (button == 1) nm_viewer_list_click(viewer, x, y);
        return;
    }
    if (inside(nm_viewer_timeline_rect(viewer), x, y)) {
        viewer->grip = GRIP_TIMELINE;
        scrub(viewer, x);
        return;
    }
    const uint32_t panes = viewer->mode == NM_VIEWER_DENOISING ? 1 : nm_viewer_pane_count(viewer);
    for (uint32_t i = 0; i < panes; i++) {
        const nm_viewer_rect r = nm_viewer_pane_rect(viewer, i);
        if (x < r.x || x >= r.x + r.width || y < r.y) continue;
        viewer->focus = i;
        if (inside(r, x, y)) {
            viewer->grip = GRIP_PANE;
        } else if (nm_viewer_graphs_shown(viewer) && y < r.y + r.height + VIEWER_GRAPHS) {
            viewer->grip = GRIP_GRAPHS;
            scrub_graphs(viewer, x);
        }
    }
}

static void drag_pane(nm_viewer *viewer, float x, float y) {
    const int tokens = viewer->mode == NM_VIEWER_DENOISING;
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, viewer->focus);
    nm_viewer_pane *pane = &viewer->panes[viewer->focus];
    nm_camera *camera = tokens ? &viewer->token_camera : &pane->camera;
    if (viewer->grip_button != 1) {
        nm_camera_orbit(camera, (viewer->mouse_x - x) * 0.006f, (y - viewer->mouse_y) * 0.006f);
        return;
    }
    const nm_point before = camera->target;
    nm_camera_drag(camera, r.width, r.height, viewer->mouse_x - r.x, viewer->mouse_y - r.y, x - r.x, y - r.y);
    if (!tokens && pane->follow != NM_NONE) {
        pane->offset_x += camera->target.x - before.x;
        pane->offset_y += camera->target.y - before.y;
    }
}

static void mouse_move(nm_viewer *viewer, float x, float y) {
    if (viewer->grip == GRIP_TIMELINE) scrub(viewer, x);
    if (viewer->grip == GRIP_GRAPHS) scrub_graphs(viewer, x);
    if (viewer->grip == GRIP_PANE) {
        if (hypotf(x - viewer->grip_x, y - viewer->grip_y) > VIEWER_DRAG) viewer->dragged = 1;
        if (!viewer->dragged) return; // the first few pixels belong to a click
        drag_pane(viewer, x, y);
        viewer->stale = 1;
    }
    viewer->mouse_x = x;
    viewer->mouse_y = y;
}

static void mouse_up(nm_viewer *viewer, float x, float y) {
    const int clicked = viewer->grip == GRIP_PANE && !viewer->dragged && viewer->grip_button == 1;
    viewer->grip = GRIP_NONE;
    viewer->stale = 1;
    if (!clicked || viewer->mode != NM_VIEWER_SCENE) return;
    const uint32_t track = nm_viewer_pane_pick(viewer, viewer->focus, x, y);
    nm_viewer_pane_follow(viewer, viewer->focus, track);
}

static void wheel(nm_viewer *viewer, float x, float y, float amount) {
    if (!isfinite(amount)) return;
    viewer->stale = 1;
    if (viewer->mode == NM_VIEWER_LIST) {
        nm_viewer_list_wheel(viewer, amount);
        return;
    }
    const float factor = powf(1.15f, fminf(fmaxf(amount, -10.0f), 10.0f));
    const uint32_t panes = viewer->mode == NM_VIEWER_DENOISING ? 1 : nm_viewer_pane_count(viewer);
    for (uint32_t i = 0; i < panes; i++) {
        const nm_viewer_rect r = nm_viewer_pane_rect(viewer, i);
        if (!inside(r, x, y)) continue;
        nm_viewer_pane *pane = &viewer->panes[i];
        nm_camera *camera = viewer->mode == NM_VIEWER_DENOISING ? &viewer->token_camera : &pane->camera;
        const int held = viewer->mode == NM_VIEWER_SCENE && pane->follow != NM_NONE;
        // who is followed stays where it is: then the middle is what is zoomed about
        nm_camera_zoom(camera, r.width, r.height, held ? r.width / 2.0f : x - r.x, held ? r.height / 2.0f : y - r.y,
                       factor);
    }
}

/// One coordinate of the mouse, points. No mouse is 1e6 away, and differences of such places have to stay finite.
static float mouse_place(float place, float before) {
    return isfinite(place) ? fminf(fmaxf(place, -1e6f), 1e6f) : before;
}

void nm_viewer_event_handle(nm_viewer *viewer, const nm_viewer_event *event) {
    NM_ASSERT(viewer && event);
    const float x = mouse_place(event->x / viewer->scale, viewer->mouse_x);
    const float y = mouse_place(event->y / viewer->scale, viewer->mouse_y);
    switch (event->kind) {
    case NM_VIEWER_KEY:
        key_down(viewer, event->key, event->shift);
        break;
    case NM_VIEWER_TEXT:
        text_typed(viewer, event->text);
        break;
    case NM_VIEWER_MOUSE_DOWN:
        mouse_down(viewer, x, y, event->button);
        break;
    case NM_VIEWER_MOUSE_UP:
        mouse_up(viewer, x, y);
        break;
    case NM_VIEWER_MOUSE_MOVE:
        mouse_move(viewer, x, y);
        break;
    case NM_VIEWER_WHEEL:
        wheel(viewer, x, y, event->amount);
        break;
    case NM_VIEWER_RESIZE:
        resize(viewer, event->width, event->height, event->amount);
        break;
    case NM_VIEWER_VISIBILITY:
        viewer->hidden = !(event->amount > 0.0f);
        viewer->stale = 1;
        break;
    case NM_VIEWER_CLOSE:
        viewer->closed = 1;
        break;
    case NM_VIEWER_TICK:
        tick(viewer, event->amount);
        break;
    }
}

void nm_viewer_press(nm_viewer *viewer, int key) {
    nm_viewer_event_handle(viewer, &(nm_viewer_event){.kind = NM_VIEWER_KEY, .key = key});
}

void nm_viewer_type(nm_viewer *viewer, const char *text) {
    nm_viewer_event event = {.kind = NM_VIEWER_TEXT};
    while (*text) {
        size_t length = nm_utf8_next(text, strlen(text));
        if (length == 0) length = 1;
        memset(event.text, 0, sizeof event.text);
        memcpy(event.text, text, length);
        nm_viewer_event_handle(viewer, &event);
        text += length;
    }
}

void nm_viewer_tick(nm_viewer *viewer, float seconds) {
    nm_viewer_event_handle(viewer, &(nm_viewer_event){.kind = NM_VIEWER_TICK, .amount = seconds});
}
