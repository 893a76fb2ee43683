/// The list of scenes: selection, filter, and its small pictures.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "render/viewer/viewer_internal.h"

#define THUMBNAIL_VERTICES 300000u ///< a map that takes more is left out of the small picture

uint32_t nm_viewer_list_rows(const nm_viewer *viewer) {
    const float rows = floorf((viewer->height - VIEWER_HEAD - VIEWER_BAR) / VIEWER_ROW);
    const uint32_t most = NM_VIEWER_MAX_VIEWS - 2;
    return rows < 1.0f ? 1 : rows > (float)most ? most : (uint32_t)rows;
}

nm_viewer_rect nm_viewer_entry_rect(const nm_viewer *viewer, uint32_t index) {
    NM_ASSERT(viewer);
    const uint32_t rows = nm_viewer_list_rows(viewer);
    if (index >= viewer->entries || index < viewer->first_row || index - viewer->first_row >= rows)
        return (nm_viewer_rect){0};
    return (nm_viewer_rect){.x = 0.0f,
                            .y = VIEWER_HEAD + VIEWER_ROW * (float)(index - viewer->first_row),
                            .width = viewer->width,
                            .height = VIEWER_ROW};
}

/// The row stays among the entries, and what is selected on the screen.
static void select_row(nm_viewer *viewer, int64_t row) {
    const uint32_t rows = nm_viewer_list_rows(viewer);
    const int64_t last = viewer->entries ? (int64_t)viewer->entries - 1 : 0;
    viewer->selected = (uint32_t)(row < 0 ? 0 : row > last ? last : row);
    if (viewer->selected < viewer->first_row) viewer->first_row = viewer->selected;
    if (viewer->selected >= viewer->first_row + rows) viewer->first_row = viewer->selected - rows + 1;
}

nm_status nm_viewer_set_filter(nm_viewer *viewer, const char *text, nm_error *error) {
    NM_ASSERT(viewer && text);
    if (!viewer->has_source) return NM_ERROR(error, NM_E_NOT_FOUND, "there is no list to filter");
    if (strlen(text) > NM_VIEWER_FILTER_BYTES)
        return NM_ERROR(error, NM_E_LIMIT, "a filter of %zu bytes; they have up to %u", strlen(text),
                        NM_VIEWER_FILTER_BYTES);
    nm_status status = viewer->source.filter(viewer->source.context, text, error);
    if (status != NM_OK) return status;
    snprintf(viewer->filter, sizeof viewer->filter, "%s", text);
    viewer->entries = viewer->source.count(viewer->source.context);
    viewer->first_row = 0;
    viewer->stale = 1;
    select_row(viewer, 0);
    return NM_OK;
}

nm_status nm_viewer_list_reload(nm_viewer *viewer, nm_error *error) {
    nm_viewer_entry entry;
    const uint32_t row = viewer->selected, top = viewer->first_row;
    char filter[VIEWER_FILTER];
    const int known = viewer->selected < viewer->entries &&
                      viewer->source.entry(viewer->source.context, viewer->selected, &entry, NULL) == NM_OK;
    const int64_t id = known ? entry.id : 0;
    snprintf(filter, sizeof filter, "%s", viewer->filter);
    nm_status status = nm_viewer_set_filter(viewer, filter, error);
    if (status != NM_OK) return status;
    for (uint32_t i = 0; i < viewer->config.thumbnails; i++) // their moments may be others now
        viewer->thumbnails[i].used = 0;
    uint32_t now = 0;
    while (known && now < viewer->entries) {
        if (viewer->source.entry(viewer->source.context, now, &entry, NULL) == NM_OK && entry.id == id) break;
        now++;
    }
    viewer->first_row = top;
    nm_viewer_list_wheel(viewer, 0.0f);
    select_row(viewer, known && now < viewer->entries ? now : row); // who is gone: whoever follows in its place
    return NM_OK;
}

static void reload(nm_viewer *viewer) {
    const uint32_t before = viewer->entries;
    nm_error error;
    nm_error_clear(&error);
    if (nm_viewer_list_reload(viewer, &error) != NM_OK)
        nm_viewer_fail(viewer, &error);
    else
        nm_viewer_say(viewer, "read anew: %u scenes, %u before", viewer->entries, before);
}

static void open_selected(nm_viewer *viewer, int beside) {
    nm_viewer_entry entry;
    nm_error error;
    nm_error_clear(&error);
    if (viewer->selected >= viewer->entries) return;
    nm_status status = viewer->source.entry(viewer->source.context, viewer->selected, &entry, &error);
    if (status == NM_OK) status = nm_viewer_open(viewer, entry.id, beside, &error);
    if (status != NM_OK) nm_viewer_fail(viewer, &error);
}

static void apply_filter(nm_viewer *viewer) {
    nm_error error;
    nm_error_clear(&error);
    viewer->filtering = 0;
    if (nm_viewer_set_filter(viewer, viewer->typed, &error) != NM_OK) nm_viewer_fail(viewer, &error);
}

static void filter_key(nm_viewer *viewer, int key) {
    size_t length = strlen(viewer->typed);
    switch (key) {
    case NM_KEY_ENTER:
        apply_filter(viewer);
        break;
    case NM_KEY_ESCAPE:
        viewer->filtering = 0;
        break; // what was in force stays
    case NM_KEY_BACKSPACE:
        while (length > 0 && ((unsigned char)viewer->typed[length - 1] & 0xc0u) == 0x80u) length--; // a whole character
        viewer->typed[length > 0 ? length - 1 : 0] = 0;
        break;
    default:
        break;
    }
}

void nm_viewer_list_key(nm_viewer *viewer, int key, int shift) {
    const int64_t page = nm_viewer_list_rows(viewer), row = viewer->selected;
    if (viewer->filtering) {
        filter_key(viewer, key);
        return;
    }
    switch (key) {
    case NM_KEY_UP:
        select_row(viewer, row - 1);
        break;
    case NM_KEY_DOWN:
        select_row(viewer, row + 1);
        break;
    case NM_KEY_PAGE_UP:
        select_row(viewer, row - page);
        break;
    case NM_KEY_PAGE_DOWN:
        select_row(viewer, row + page);
        break;
    case NM_KEY_HOME:
        select_row(viewer, 0);
        break;
    case NM_KEY_END:
        select_row(viewer, viewer->entries);
        break;
    case NM_KEY_ENTER:
        open_selected(viewer, shift);
        break;
    case 'b':
        open_selected(viewer, 1);
        break;
    case NM_KEY_F5:
        reload(viewer);
        break;
    case 'p':
        open_selected(viewer, 0);
        if (viewer->mode == NM_VIEWER_SCENE) nm_viewer_show_parent(viewer);
        break;
    case NM_KEY_TAB: // back to what is open
        if (viewer->panes[0].open)
            viewer->mode = NM_VIEWER_SCENE;
        else if (viewer->config.denoising)
            viewer->mode = NM_VIEWER_DENOISING;
        break;
    case NM_KEY_ESCAPE:
        if (viewer->filter[0]) {
            viewer->typed[0] = 0;
            apply_filter(viewer);
        }
        break;
    default:
        break;
    }
}

void nm_viewer_list_text(nm_viewer *viewer, const char *text) {
    const size_t length = strlen(viewer->typed), more = strlen(text);
    if (nm_utf8_next(text, more) != more || (unsigned char)text[0] < 0x20) return;
    if (length + more < sizeof viewer->typed) memcpy(viewer->typed + length, text, more + 1);
}

void nm_viewer_list_click(nm_viewer *viewer, float x, float y) {
    for (uint32_t i = viewer->first_row; i < viewer->entries; i++) {
        const nm_viewer_rect r = nm_viewer_entry_rect(viewer, i);
        if (r.height <= 0.0f) return;
        if (x < r.x || x >= r.x + r.width || y < r.y || y >= r.y + r.height) continue;
        const int again = viewer->selected == i; // the second click opens
        select_row(viewer, i);
        if (again) open_selected(viewer, 0);
        return;
    }
}

void nm_viewer_list_wheel(nm_viewer *viewer, float amount) {
    const uint32_t rows = nm_viewer_list_rows(viewer);
    const int64_t most = viewer->entries > rows ? (int64_t)viewer->entries - rows : 0;
    const int64_t row = (int64_t)viewer->first_row - (int64_t)lroundf(fminf(fmaxf(amount, -100.0f), 100.0f) * 2.0f);
    viewer->first_row = (uint32_t)(row < 0 ? 0 : row > most ? most : row);
}

void nm_viewer_list_resize(nm_viewer *viewer, int width, int height, float scale) {
    const int in_sight = nm_viewer_entry_rect(viewer, viewer->selected).height > 0.0f;
    viewer->pixel_width = width;
    viewer->pixel_height = height;
    viewer->scale = scale;
    viewer->width = (float)width / scale;
    viewer->height = (float)height / scale;
    nm_viewer_list_wheel(viewer, 0.0f); // no empty rows where there are entries to show
    if (in_sight) select_row(viewer, viewer->selected);
}

// --- small pictures --------------------------------------------------------------------------------------------------

nm_viewer_thumbnail *nm_viewer_thumbnail_of(nm_viewer *viewer, int64_t id) {
    for (uint32_t i = 0; i < viewer->config.thumbnails; i++) {
        nm_viewer_thumbnail *t = &viewer->thumbnails[i];
        if (!t->used || t->id != id) continue;
        t->last = ++viewer->uses;
        return t;
    }
    return NULL;
}

/// A free place, else that of the one that was not wanted for longest.
static nm_viewer_thumbnail *place(nm_viewer *viewer) {
    nm_viewer_thumbnail *oldest = &viewer->thumbnails[0];
    for (uint32_t i = 0; i < viewer->config.thumbnails; i++) {
        nm_viewer_thumbnail *t = &viewer->thumbnails[i];
        if (!t->used) return t;
        if (t->last < oldest->last) oldest = t;
    }
    return oldest;
}

static void note_tags(nm_viewer_thumbnail *t, const nm_scene *scene) {
    size_t used = 0;
    t->tags[0] = 0;
    for (uint32_t i = 0; i < scene->tag_count && used < sizeof t->tags; i++) // cut where they do not fit
        used += (size_t)snprintf(t->tags + used, sizeof t->tags - used, "%s%s", i ? " " : "", scene->tags[i]);
}

/// The worst moment, from near enough to see who is who.
static void draw_thumbnail(nm_viewer *viewer, nm_viewer_thumbnail *t, const nm_viewer_scene *content) {
    const nm_scene *scene = content->scene;
    const nm_moment *worst = NULL;
    for (uint32_t i = 0; i < content->moment_count; i++)
        if (!worst || content->moments[i].severity > worst->severity) worst = &content->moments[i];
    const uint32_t last = scene->step_count ? scene->step_count - 1 : 0;
    uint32_t step = worst ? worst->peak_step : scene->current_step;
    if (step > last) step = last;
    uint32_t track = worst && worst->first < scene->track_count ? worst->first : scene->ego;
    nm_state state;
    nm_frame_options options = nm_frame_options_default();
    options.labels = 0;
    options.warn_ttc_s = 0.0f; // the moment is highlighted, that is enough
    options.moments = content->moments;
    options.moment_count = content->moment_count;
    t->camera = nm_camera_default();
    t->camera.span = 50.0f;
    for (uint32_t i = 0; track == NM_NONE && i < scene->track_count; i++)
        if (nm_viewer_state_at(scene, i, (float)step, &state)) track = i;
    if (track != NM_NONE && nm_viewer_state_at(scene, track, (float)step, &state))
        t->camera.target = (nm_point){state.x, state.y, 0.0f};
    nm_viewer_draw_map(viewer, &t->map, scene->map);
    nm_point least, most;
    if (track == NM_NONE && nm_drawing_bounds(&t->map, &least, &most)) // nobody is there: the map
        t->camera = nm_camera_fit(least, most, VIEWER_THUMB_WIDTH, VIEWER_ROW - 8.0f, 0.05f);
    if (t->map.vertex_count > THUMBNAIL_VERTICES) {
        nm_drawing_free(&t->map);
        nm_drawing_init(&t->map, NM_SPACE_WORLD);
    }
    nm_draw_frame(&t->frame, scene, (float)step, &options, nm_theme_of(viewer->theme));
    nm_viewer_magnify(viewer, &t->frame);
    if (nm_drawing_check(&t->map, NULL) == NM_OK && nm_drawing_check(&t->frame, NULL) == NM_OK) return;
    t->failed = 1; // no memory: the list goes on without this picture
    nm_drawing_free(&t->map);
    nm_drawing_free(&t->frame);
}

void nm_viewer_list_load_thumbnail(nm_viewer *viewer) {
    const uint32_t rows = nm_viewer_list_rows(viewer);
    for (uint32_t i = viewer->first_row; i < viewer->entries && i - viewer->first_row < rows; i++) {
        nm_viewer_entry entry;
        nm_viewer_scene content = {0};
        if (i - viewer->first_row >= viewer->config.thumbnails) return; // they would push each other out
        if (viewer->source.entry(viewer->source.context, i, &entry, NULL) != NM_OK) continue;
        if (nm_viewer_thumbnail_of(viewer, entry.id)) continue;
        nm_viewer_thumbnail *t = place(viewer);
        nm_drawing_clear(&t->map);
        nm_drawing_clear(&t->frame);
        t->used = 1;
        t->id = entry.id;
        t->last = ++viewer->uses;
        t->failed = viewer->source.load(viewer->source.context, entry.id, &content, NULL) != NM_OK;
        if (!t->failed) {
            note_tags(t, content.scene);
            draw_thumbnail(viewer, t, &content);
            viewer->source.release(viewer->source.context, &content);
        }
        viewer->stale = 1;
        return;
    }
}
