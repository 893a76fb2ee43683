/// What lies over the worlds: list, time line, graphs, names, help, message line. Screen space.
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "render/viewer/viewer_internal.h"

#define LETTER 0.86f ///< mean width of a letter over the height of a capital: for cutting, not for measuring

static nm_rgba faded(nm_rgba colour, uint8_t alpha) {
    colour.a = alpha;
    return colour;
}

static void box_on(nm_drawing *drawing, nm_viewer_rect r, nm_rgba colour) {
    nm_draw_rectangle(drawing, NM_LAYER_PANEL, r.x, r.y, r.x + r.width, r.y + r.height, colour);
}

static void box(nm_viewer *viewer, nm_viewer_rect r, nm_rgba colour) {
    box_on(&viewer->screen, r, colour);
}

static void line(nm_viewer *viewer, float x0, float y0, float x1, float y1, float width, nm_rgba colour) {
    const nm_point points[2] = {{x0, y0, 0.0f}, {x1, y1, 0.0f}};
    nm_draw_stroke(&viewer->screen, points, 2,
                   (nm_stroke){.width = width, .colour = colour, .layer = NM_LAYER_PANEL, .pixels = 1});
}

/// At most `room` px of text, then "...".
static void write_on(nm_viewer *viewer, nm_drawing *drawing, float x, float y, float size, nm_anchor anchor, float room,
                     const char *whole) {
    const nm_theme *theme = nm_theme_of(viewer->theme);
    char text[300];
    snprintf(text, sizeof text - 4, "%s", whole);
    const size_t most = room > 0.0f ? (size_t)(room / (size * LETTER)) : 0;
    if (most < 3) return;
    if (nm_text_columns(text) > most) {
        size_t bytes = 0;
        for (size_t letters = 0; letters + 2 < most; letters++) {
            const size_t next = nm_utf8_next(text + bytes, strlen(text + bytes));
            bytes += next ? next : 1;
        }
        memcpy(text + bytes, "...", 4);
    }
    nm_draw_label(drawing,
                  (nm_label){.x = x,
                             .y = y,
                             .size = size,
                             .colour = theme->text,
                             .halo = theme->text_halo,
                             .anchor = (uint8_t)anchor,
                             .layer = NM_LAYER_PANEL},
                  "%s", text);
}

NM_PRINTF(7, 8)
static void write(nm_viewer *viewer, float x, float y, float size, nm_anchor anchor, float room, const char *format,
                  ...) {
    char text[296];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    write_on(viewer, &viewer->screen, x, y, size, anchor, room, text);
}

// --- list ------------------------------------------------------------------------------------------------------------

static void draw_entry(nm_viewer *viewer, uint32_t index, nm_viewer_rect r) {
    const nm_theme *theme = nm_theme_of(viewer->theme);
    nm_viewer_entry entry;
    nm_error error;
    char name[120], kinds[120], more[260];
    const float left = r.x + VIEWER_THUMB_WIDTH + 24.0f, right = r.x + r.width - 20.0f;
    const float half = (right - left) * 0.62f;
    if (index == viewer->selected) {
        // around the small picture, not over it
        box(viewer, (nm_viewer_rect){left - 12.0f, r.y + 2.0f, r.width - left + 6.0f, r.height - 4.0f},
            faded(theme->panel_graph, 45));
        box(viewer, (nm_viewer_rect){r.x + 1.0f, r.y + 4.0f, 4.0f, r.height - 8.0f}, theme->panel_graph);
    }
    line(viewer, r.x + 8.0f, r.y + r.height, right, r.y + r.height, 1.0f, theme->panel_line);
    nm_error_clear(&error);
    if (viewer->source.entry(viewer->source.context, index, &entry, &error) != NM_OK) {
        write(viewer, left, r.y + 20.0f, 9.0f, NM_ANCHOR_LEFT, right - left, "%s", error.message);
        return;
    }
    nm_text_escape(name, sizeof name, entry.name);
    nm_text_escape(kinds, sizeof kinds, entry.kinds);
    write(viewer, left, r.y + 18.0f, 10.0f, NM_ANCHOR_LEFT, half, "%lld  %s", (long long)entry.id, name);
    write(viewer, left, r.y + 38.0f, 9.0f, NM_ANCHOR_LEFT, half, "%s", kinds[0] ? kinds : "no event known");
    const nm_viewer_thumbnail *t = entry.tags[0] ? NULL : nm_viewer_thumbnail_of(viewer, entry.id);
    const char *tags = t && !t->failed ? t->tags : entry.tags;
    const size_t used = nm_text_escape(more, sizeof more, entry.source);
    if (tags[0] && used + 2 < sizeof more) {
        memcpy(more + used, "  ", 3);
        nm_text_escape(more + used + 2, sizeof more - used - 2, tags);
    }
    write(viewer, left, r.y + 56.0f, 8.0f, NM_ANCHOR_LEFT, half, "%s", more);
    if (isfinite(entry.severity)) {
        const float share = fminf(fmaxf(entry.severity, 0.0f), 1.0f), x = right - 150.0f;
        write(viewer, right, r.y + 18.0f, 9.0f, NM_ANCHOR_RIGHT, 160.0f, "severity %.2f", (double)entry.severity);
        box(viewer, (nm_viewer_rect){x, r.y + 30.0f, 150.0f, 6.0f}, theme->panel_line);
        box(viewer, (nm_viewer_rect){x, r.y + 30.0f, 150.0f * share, 6.0f}, theme->warning);
    }
    if (isfinite(entry.min_ttc))
        write(viewer, right, r.y + 54.0f, 9.0f, NM_ANCHOR_RIGHT, 160.0f, "TTC %.2f s", (double)entry.min_ttc);
}

static void draw_list(nm_viewer *viewer) {
    const nm_theme *theme = nm_theme_of(viewer->theme);
    const float width = viewer->width;
    char typed[VIEWER_FILTER * 4];
    box(viewer, (nm_viewer_rect){0.0f, 0.0f, width, VIEWER_HEAD - 2.0f}, theme->panel);
    write(viewer, 16.0f, 18.0f, 12.0f, NM_ANCHOR_LEFT, width, "nearmiss");
    write(viewer, width - 20.0f, 18.0f, 9.0f, NM_ANCHOR_RIGHT, width / 2.0f, "%u scenes   ? for help", viewer->entries);
    nm_text_escape(typed, sizeof typed, viewer->filtering ? viewer->typed : viewer->filter);
    if (viewer->filtering)
        write(viewer, 16.0f, 42.0f, 10.0f, NM_ANCHOR_LEFT, width - 32.0f, "filter: %s_", typed);
    else
        write(viewer, 16.0f, 42.0f, 10.0f, NM_ANCHOR_LEFT, width - 32.0f, "%s%s",
              typed[0] ? "filter: " : "/ to filter by kind or words", typed);
    for (uint32_t i = viewer->first_row; i < viewer->entries; i++) {
        const nm_viewer_rect r = nm_viewer_entry_rect(viewer, i);
        if (r.height <= 0.0f) break;
        draw_entry(viewer, i, r);
    }
    if (viewer->entries == 0)
        write(viewer, width / 2.0f, VIEWER_HEAD + 60.0f, 11.0f, NM_ANCHOR_CENTRE, width, "%s",
              viewer->filter[0] ? "nothing fits the filter: Esc shows everything" : "there is no scene in the list");
}

// --- scenes ----------------------------------------------------------------------------------------------------------

static void draw_heading(nm_viewer *viewer, uint32_t index) {
    const nm_theme *theme = nm_theme_of(viewer->theme);
    const nm_viewer_pane *pane = &viewer->panes[index];
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, index);
    const int focused = nm_viewer_pane_count(viewer) == 2 && index == viewer->focus;
    box(viewer, (nm_viewer_rect){r.x, r.y, r.width, VIEWER_BAR}, faded(theme->panel, 215));
    if (focused) box(viewer, (nm_viewer_rect){r.x, r.y + VIEWER_BAR, r.width, 2.0f}, theme->panel_mark);
    write(viewer, r.x + 12.0f, r.y + 13.0f, 9.0f, NM_ANCHOR_LEFT, r.width * 0.6f, "%lld  %s", (long long)pane->id,
          pane->name);
    if (pane->live)
        write(viewer, r.x + r.width - 12.0f, r.y + 13.0f, 9.0f, NM_ANCHOR_RIGHT, r.width * 0.38f, "LIVE  %u collided",
              nm_viewer_live_stats(pane->live).collided);
    else if (pane->follow != NM_NONE)
        write(viewer, r.x + r.width - 12.0f, r.y + 13.0f, 9.0f, NM_ANCHOR_RIGHT, r.width * 0.38f, "following %u",
              pane->follow);
    if (index > 0) line(viewer, r.x, r.y, r.x, r.y + r.height, 2.0f, theme->panel_line);
    if (pane->camera.kind == NM_CAMERA_BIRD)
        nm_draw_scale_bar(&viewer->screen, r.x + r.width - 16.0f, r.y + r.height - 14.0f,
                          nm_camera_scale(&pane->camera, r.width, r.height), 140.0f, theme);
}

static void draw_graphs(nm_viewer *viewer, uint32_t index) {
    const nm_viewer_pane *pane = &viewer->panes[index];
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, index);
    const nm_theme *theme = nm_theme_of(viewer->theme);
    if (pane->live) { // the series is of the recording
        box(viewer, (nm_viewer_rect){r.x, r.y + r.height, r.width, VIEWER_GRAPHS}, theme->panel);
        const nm_world_stats stats = nm_viewer_live_stats(pane->live);
        write(viewer, r.x + 16.0f, r.y + r.height + 24.0f, 9.0f, NM_ANCHOR_LEFT, r.width - 32.0f,
              "closed loop: %u agents took part, %u reached the end of their road", stats.agents, stats.left);
        write(viewer, r.x + 16.0f, r.y + r.height + 46.0f, 9.0f, NM_ANCHOR_LEFT, r.width - 32.0f,
              "%u collided, %u came off the road, %u lane changes", stats.collided, stats.off_road, stats.lane_changes);
        return;
    }
    const nm_panel panel = nm_viewer_graphs(viewer, index);
    nm_draw_panel(&viewer->screen, pane->shown, &pane->series, &panel, theme);
}

/// Share of the whole time.
static float along(const nm_viewer *viewer, double time) {
    const nm_viewer_rect r = nm_viewer_timeline_rect(viewer);
    const double duration = nm_viewer_duration(viewer);
    return r.x + (duration > 0.0 ? (float)(time / duration) : 0.0f) * r.width;
}

/// Moments as bars over the line, their peaks as diamonds; the second scene's below the first one's.
static void draw_moments(nm_viewer *viewer, uint32_t index, float y) {
    const nm_theme *theme = nm_theme_of(viewer->theme);
    const nm_viewer_pane *pane = &viewer->panes[index];
    if (pane->live) return;
    const double dt = (double)pane->content.scene->dt;
    for (uint32_t i = 0; i < pane->content.moment_count; i++) {
        const nm_moment *m = &pane->content.moments[i];
        const nm_rgba colour = strcmp(m->kind ? m->kind : "", "collision") == 0 ? theme->collision : theme->warning;
        const float x = along(viewer, m->peak_step * dt), h = 4.0f + 3.0f * fminf(fmaxf(m->severity, 0.0f), 1.0f);
        box(viewer,
            (nm_viewer_rect){along(viewer, m->first_step * dt), y - 2.0f,
                             fmaxf(along(viewer, m->last_step * dt) - along(viewer, m->first_step * dt), 1.0f), 4.0f},
            faded(colour, 150));
        const nm_point diamond[4] = {{x, y - h, 0.0f}, {x + h, y, 0.0f}, {x, y + h, 0.0f}, {x - h, y, 0.0f}};
        nm_draw_polygon(&viewer->screen, NM_LAYER_PANEL, diamond, 4, colour);
    }
}

static void draw_timeline(nm_viewer *viewer, float cursor, float now, const char *left, const char *right) {
    const nm_theme *theme = nm_theme_of(viewer->theme);
    const nm_viewer_rect r = nm_viewer_timeline_rect(viewer);
    const float y = r.y + r.height - 8.0f;
    box(viewer, (nm_viewer_rect){0.0f, r.y - 4.0f, viewer->width, VIEWER_TIMELINE}, theme->panel);
    line(viewer, r.x, y, r.x + r.width, y, 4.0f, theme->panel_line);
    line(viewer, r.x, y, cursor, y, 4.0f, theme->panel_graph);
    if (now >= r.x) line(viewer, now, y - 6.0f, now, y + 6.0f, 2.0f, theme->text);
    for (uint32_t i = 0; viewer->mode == NM_VIEWER_SCENE && i < nm_viewer_pane_count(viewer); i++)
        draw_moments(viewer, i, y - (i == 0 ? 1.0f : -5.0f));
    nm_draw_disc(&viewer->screen, NM_LAYER_PANEL, (nm_point){cursor, y, 0.0f}, 7.0f, theme->panel_mark);
    write(viewer, r.x, r.y + 8.0f, 9.0f, NM_ANCHOR_LEFT, r.width * 0.7f, "%s", left);
    write(viewer, r.x + r.width, r.y + 8.0f, 9.0f, NM_ANCHOR_RIGHT, r.width * 0.3f, "%s", right);
}

static void draw_scene_line(nm_viewer *viewer) {
    const nm_viewer_pane *pane = &viewer->panes[viewer->focus];
    const double dt = (double)pane->shown->dt;
    char left[160], right[40], rate[40] = "";
    if (viewer->speed != 1.0f) snprintf(rate, sizeof rate, ", %g x", (double)viewer->speed);
    snprintf(left, sizeof left, "%s%s    %.2f s of %.2f s    step %.1f", viewer->playing ? "playing" : "paused", rate,
             viewer->time, nm_viewer_duration(viewer), (double)nm_viewer_pane_step(viewer, viewer->focus));
    snprintf(right, sizeof right, "? for help");
    const float now = along(viewer, fmin(pane->shown->current_step * dt, nm_viewer_duration(viewer)));
    draw_timeline(viewer, along(viewer, viewer->time), now, left, right);
}

static void draw_denoising(nm_viewer *viewer) {
    const nm_denoising *d = viewer->config.denoising;
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, 0), t = nm_viewer_timeline_rect(viewer);
    const nm_theme *theme = nm_theme_of(viewer->theme);
    const nm_denoising_panel panel = {.x = r.width, .y = 0.0f, .width = VIEWER_TOKENS_PANEL, .height = r.height};
    char left[120];
    nm_draw_denoising_panel(&viewer->screen, d, viewer->pass, &panel, theme);
    if (viewer->token_camera.kind == NM_CAMERA_BIRD)
        nm_draw_scale_bar(&viewer->screen, r.width - 16.0f, r.height - 14.0f,
                          nm_camera_scale(&viewer->token_camera, r.width, r.height), 140.0f, theme);
    const float share = d->passes > 1 ? (float)viewer->pass / (float)(d->passes - 1) : 0.0f;
    snprintf(left, sizeof left, "%s    pass %u of %u", viewer->playing ? "playing" : "paused", viewer->pass,
             d->passes - 1);
    draw_timeline(viewer, t.x + share * t.width, -1.0f, left, "? for help");
}

// --- over everything -------------------------------------------------------------------------------------------------

static void draw_help(nm_viewer *viewer) {
    static const char *const keys[][2] = {
        {"Space", "play, pause"},
        {"Left, Right", "one step, with Shift ten"},
        {"Home, End", "first, last step"},
        {"m", "next critical moment"},
        {"+, -", "faster, slower"},
        {"drag, wheel", "move, zoom; right button: turn"},
        {"click", "follow an agent; beside one: nobody"},
        {"f, u", "follow the ego and the next ones, nobody"},
        {"c, r", "camera: above, behind, free; fit"},
        {"1 ... 9, 0", "surfaces, markings, crossings, centrelines, trails,"},
        {"", "futures, agents, signals, highlights, labels"},
        {"n, g, t", "labels: fewer, more; graphs; theme"},
        {"l", "live: all agents react from here on; back"},
        {"b, Tab, x", "in the list: open beside; other pane; close pane"},
        {"p", "beside it, the scene that this one was made from"},
        {"/, Enter, Esc", "filter; open; back to the list"},
        {"F5", "in the list: what is new in the store"},
        {"s, F12", "screenshot"},
        {"?, h, F1", "this help"},
        {"q", "quit"},
    };
    const nm_theme *theme = nm_theme_of(viewer->theme);
    const float rows = (float)(sizeof keys / sizeof *keys);
    const float each = fminf(22.0f, fmaxf((viewer->height - 36.0f) / rows, 12.0f)); // closer in a low window
    const float width = fminf(560.0f, viewer->width - 20.0f), height = rows * each + 28.0f;
    const float x = (viewer->width - width) / 2.0f, y = fmaxf((viewer->height - height) / 2.0f, 4.0f);
    box_on(&viewer->over, (nm_viewer_rect){x - 1.0f, y - 1.0f, width + 2.0f, height + 2.0f}, theme->panel_line);
    box_on(&viewer->over, (nm_viewer_rect){x, y, width, height}, faded(theme->panel, 245));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const float at = y + 25.0f + each * (float)i;
        write_on(viewer, &viewer->over, x + 20.0f, at, 9.0f, NM_ANCHOR_LEFT, 130.0f, keys[i][0]);
        write_on(viewer, &viewer->over, x + 150.0f, at, 9.0f, NM_ANCHOR_LEFT, width - 160.0f, keys[i][1]);
    }
}

static void draw_message(nm_viewer *viewer) {
    const nm_theme *theme = nm_theme_of(viewer->theme);
    const float y = viewer->height - VIEWER_TIMELINE - 34.0f -
                    (nm_viewer_graphs_shown(viewer) ? VIEWER_GRAPHS : 0.0f); // the graphs stay readable
    const float most = viewer->width - 32.0f;
    const float width = fminf(24.0f + 9.0f * LETTER * (float)nm_text_columns(viewer->message), most);
    box_on(&viewer->over, (nm_viewer_rect){16.0f, y, width, 26.0f}, faded(theme->panel, 235));
    write_on(viewer, &viewer->over, 28.0f, y + 13.0f, 9.0f, NM_ANCHOR_LEFT, width, viewer->message);
}

void nm_viewer_draw_screen(nm_viewer *viewer) {
    if (viewer->mode == NM_VIEWER_LIST) {
        draw_list(viewer);
    } else if (viewer->mode == NM_VIEWER_DENOISING) {
        draw_denoising(viewer);
    } else {
        for (uint32_t i = 0; i < nm_viewer_pane_count(viewer); i++) {
            draw_heading(viewer, i);
            if (nm_viewer_graphs_shown(viewer)) draw_graphs(viewer, i);
        }
        if (nm_viewer_pane_count(viewer) > 0) draw_scene_line(viewer);
    }
    if (viewer->message[0] && !viewer->screenshot) draw_message(viewer); // no picture tells of the one before
    if (viewer->help) draw_help(viewer);
}
