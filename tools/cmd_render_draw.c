/// Scenes of a store to pictures and films.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render/media.h"
#include "tools/cmd_render.h"

#define TILE_GAP 4 // px

// --- which scenes ----------------------------------------------------------------------------------------------------

typedef struct chosen {
    render_shot *shots;
    size_t count, most;
    int full;
} chosen;

/// One shot a scene: its most severe event, which comes first.
static nm_status take(void *context, const nm_hit *hit, nm_error *error) {
    chosen *c = context;
    for (size_t i = 0; i < c->count; i++)
        if (c->shots[i].scene == hit->scene) return NM_OK;
    c->shots[c->count++] = (render_shot){.scene = hit->scene, .has_event = hit->event != 0, .event = hit->detail};
    if (c->count < c->most) return NM_OK;
    c->full = 1;
    return NM_ERROR(error, NM_E_CANCELLED, "enough"); // ends the search
}

static nm_status choose_by_query(nm_store *store, const render_options *options, chosen *c, nm_error *error) {
    nm_query query = options->query;
    query.limit = 0;
    nm_status status = nm_store_find(store, &query, take, c, error);
    if (c->full) {
        nm_error_clear(error);
        status = NM_OK;
    }
    if (status == NM_OK && c->count == 0)
        status = NM_ERROR(error, NM_E_NOT_FOUND, "no scene fits: nearmiss find --store %s shows what there is",
                          options->store);
    return status;
}

static nm_status choose_by_id(nm_store *store, const render_options *options, chosen *c, nm_error *error) {
    nm_arena *arena = nm_arena_create(0);
    if (!arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < options->id_count; i++) {
        nm_event *events = NULL;
        size_t count = 0;
        render_shot *shot = &c->shots[c->count++];
        *shot = (render_shot){.scene = options->ids[i]};
        status = nm_store_get_events(store, options->ids[i], arena, &events, &count, error);
        if (status != NM_OK || count == 0) continue;
        shot->has_event = 1;
        shot->event = events[0];
    }
    nm_arena_destroy(arena);
    return status;
}

nm_status nm_render_choose(nm_store *store, const render_options *options, render_shot **shots, size_t *count,
                           nm_error *error) {
    chosen c = {.most = options->id_count};
    if (c.most == 0) c.most = options->columns ? (size_t)options->columns * (size_t)options->rows : 1;
    *shots = NULL;
    *count = 0;
    c.shots = calloc(c.most, sizeof *c.shots);
    if (!c.shots) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    const nm_status status =
        options->id_count ? choose_by_id(store, options, &c, error) : choose_by_query(store, options, &c, error);
    if (status != NM_OK) {
        free(c.shots);
        return status;
    }
    *shots = c.shots;
    *count = c.count;
    return NM_OK;
}

void nm_render_title(const render_shot *shot, char *text, size_t size) {
    if (!shot->has_event)
        snprintf(text, size, "%lld", (long long)shot->scene);
    else if (isfinite(shot->event.min_ttc))
        snprintf(text, size, "%lld  %s  TTC %.2f s", (long long)shot->scene, nm_kind_name(shot->event.kind),
                 (double)shot->event.min_ttc);
    else
        snprintf(text, size, "%lld  %s", (long long)shot->scene, nm_kind_name(shot->event.kind));
}

// --- one scene -------------------------------------------------------------------------------------------------------

/// A scene with what is drawn of it.
typedef struct stage {
    const nm_scene *scene;
    nm_arena *arena;
    nm_moment *moments;
    nm_picture *picture;
} stage;

static void close_stage(stage *s) {
    nm_picture_destroy(s->picture);
    nm_scene_destroy(s->scene);
    nm_arena_destroy(s->arena);
    free(s->moments);
    *s = (stage){0};
}

static nm_moment moment_of(const nm_event *event) {
    return (nm_moment){.first_step = event->first_step,
                       .peak_step = event->critical_step,
                       .last_step = event->last_step,
                       .first = event->actor,
                       .second = event->other,
                       .kind = nm_kind_name(event->kind),
                       .severity = event->severity};
}

/// The shot's own event first: the picture follows the most severe of its moments, so a scene that was looked for by a
/// kind shows moments of this kind only.
static nm_status load_moments(nm_store *store, const render_options *options, const render_shot *shot, stage *s,
                              uint32_t *moment_count, nm_error *error) {
    nm_event *events = NULL;
    size_t count = 0, used = 0;
    const int only_this = options->id_count == 0 && (options->query.kind >= 0 || options->query.where);
    const nm_status status = nm_store_get_events(store, shot->scene, s->arena, &events, &count, error);
    if (status != NM_OK) return status;
    s->moments = calloc(count + 1, sizeof *s->moments);
    if (!s->moments) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    if (only_this && shot->has_event)
        s->moments[used++] = moment_of(&shot->event);
    else
        for (size_t i = 0; i < count; i++) s->moments[used++] = moment_of(&events[i]);
    *moment_count = (uint32_t)used;
    return NM_OK;
}

static nm_status open_stage(nm_store *store, const render_options *options, render_shot *shot, stage *s,
                            nm_error *error) {
    char title[160];
    nm_picture_options picture = options->picture;
    picture.stop = nm_cli_stop;
    *s = (stage){.arena = nm_arena_create(0)};
    if (!s->arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_status status = nm_store_get_scene(store, shot->scene, &s->scene, error);
    if (status == NM_OK) status = load_moments(store, options, shot, s, &picture.frame.moment_count, error);
    picture.frame.moments = s->moments;
    if (options->columns) picture.panel = 0;
    nm_render_title(shot, title, sizeof title);
    if (status == NM_OK) status = nm_picture_create(s->scene, &picture, title, &s->picture, error);
    return status;
}

/// A time given by the user in steps of the scene, at most its last one.
static float step_of(const render_options *options, const nm_scene *scene, double time) {
    const double step = options->in_seconds ? time / (double)scene->dt : time;
    return (float)fmin(step, scene->step_count ? (double)scene->step_count - 1.0 : 0.0);
}

static float still_step(const render_options *options, const nm_scene *scene, const render_shot *shot) {
    if (!isnan(options->from)) return step_of(options, scene, options->from);
    if (shot->has_event && shot->event.critical_step < scene->step_count) return (float)shot->event.critical_step;
    return (float)scene->current_step;
}

// --- stills ----------------------------------------------------------------------------------------------------------

/// Where tile `index` of a sheet lies; the whole picture when it is none.
static nm_viewport tile(const render_options *options, size_t index) {
    const nm_viewport whole = {0, 0, options->width, options->height, options->height};
    if (!options->columns) return whole;
    const int column = (int)(index % (size_t)options->columns), row = (int)(index / (size_t)options->columns);
    const int x0 = column * options->width / options->columns, x1 = (column + 1) * options->width / options->columns;
    const int y0 = row * options->height / options->rows, y1 = (row + 1) * options->height / options->rows;
    return (nm_viewport){x0 + TILE_GAP / 2, y0 + TILE_GAP / 2, x1 - x0 - TILE_GAP, y1 - y0 - TILE_GAP, options->height};
}

static nm_status draw_still(nm_store *store, const render_options *options, render_shot *shots, size_t count,
                            nm_headless *headless, nm_error *error) {
    nm_renderer *renderer = nm_headless_renderer(headless);
    uint8_t *pixels = malloc(4 * (size_t)options->width * (size_t)options->height);
    if (!pixels) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %d x %d px", options->width, options->height);
    nm_status status = NM_OK;
    nm_progress *progress = nm_progress_start("render", "scenes", count, options->common.quiet || count < 2);
    nm_renderer_clear(renderer, nm_headless_viewport(headless), nm_theme_of(options->picture.theme)->panel_line);
    for (size_t i = 0; status == NM_OK && i < count; i++) {
        stage s = {0};
        status = nm_cli_interrupted() ? NM_ERROR(error, NM_E_CANCELLED, "interrupted")
                                      : open_stage(store, options, &shots[i], &s, error);
        if (status == NM_OK) {
            shots[i].step = still_step(options, s.scene, &shots[i]);
            status = nm_picture_draw(s.picture, renderer, tile(options, i), shots[i].step, NULL, error);
        }
        close_stage(&s);
        nm_progress_add(progress, 1);
    }
    nm_progress_finish(progress);
    if (status == NM_OK) status = nm_headless_read(headless, pixels, error);
    if (status == NM_OK) status = nm_png_write(options->out, pixels, options->width, options->height, error);
    free(pixels);
    return status;
}

// --- films -----------------------------------------------------------------------------------------------------------

typedef struct reel {
    nm_headless *headless;
    nm_film *film;
    uint8_t *pixels;
    int pending; ///< a frame was drawn and is not in the film yet
    uint64_t frames;
} reel;

/// Puts the frame drawn before this one into the film, while this one is drawn.
static nm_status push(reel *s, nm_error *error) {
    if (!s->pending) return NM_OK;
    s->pending = 0;
    const nm_status status = nm_headless_read_end(s->headless, s->pixels, error);
    return status == NM_OK ? nm_film_add(s->film, s->pixels, error) : status;
}

static void stretch_of(const render_options *options, const nm_scene *scene, const render_shot *shot, float *from,
                       float *until) {
    const float end = scene->step_count ? (float)(scene->step_count - 1) : 0.0f;
    *from = isnan(options->from) ? 0.0f : step_of(options, scene, options->from);
    *until = isnan(options->until) ? end : step_of(options, scene, options->until);
    if (isnan(options->around) || !shot->has_event) return;
    const float margin = (float)(options->around / (double)scene->dt);
    *from = fmaxf(*from, (float)shot->event.first_step - margin);
    *until = fminf(*until, (float)shot->event.last_step + margin);
    if (*until < *from) *until = *from;
}

static nm_status shoot(const render_options *options, stage *s, float from, float until, reel *r, nm_error *error) {
    const double advance = options->speed / ((double)options->fps * (double)s->scene->dt);
    const uint64_t frames = (uint64_t)((double)(until - from) / advance) + 1;
    nm_progress *progress = nm_progress_start("render", "frames", frames, options->common.quiet);
    nm_status status = NM_OK;
    for (uint64_t i = 0; status == NM_OK && i < frames; i++) {
        if (nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        if (status == NM_OK)
            status = nm_picture_draw(s->picture, nm_headless_renderer(r->headless), nm_headless_viewport(r->headless),
                                     fminf(from + (float)((double)i * advance), until), NULL, error);
        if (status == NM_OK) status = nm_headless_read_begin(r->headless, error);
        if (status != NM_OK) break;
        status = push(r, error);
        r->pending = 1;
        r->frames++;
        nm_progress_add(progress, 1);
    }
    nm_progress_finish(progress);
    return status;
}

static nm_status draw_film(nm_store *store, const render_options *options, render_shot *shots, size_t count,
                           nm_headless *headless, uint64_t *frames, nm_error *error) {
    reel r = {.headless = headless};
    r.pixels = malloc(4 * (size_t)options->width * (size_t)options->height);
    if (!r.pixels) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_status status = nm_film_open(options->out, options->width, options->height, (int)options->fps,
                                    (int)options->common.threads, &r.film, error);
    for (size_t i = 0; status == NM_OK && i < count; i++) {
        stage s = {0};
        float from, until;
        status = open_stage(store, options, &shots[i], &s, error);
        if (status == NM_OK) {
            stretch_of(options, s.scene, &shots[i], &from, &until);
            shots[i].step = from;
            status = shoot(options, &s, from, until, &r, error);
        }
        close_stage(&s);
    }
    if (status == NM_OK) status = push(&r, error);
    if (status == NM_OK)
        status = nm_film_close(r.film, error);
    else
        nm_film_abandon(r.film);
    *frames = r.frames;
    free(r.pixels);
    return status;
}

nm_status nm_render_draw(nm_store *store, const render_options *options, render_shot *shots, size_t count,
                         render_result *result, nm_error *error) {
    nm_headless *headless = NULL;
    *result = (render_result){.frames = 1};
    nm_status status = nm_headless_create(options->width, options->height, options->device, &headless, error);
    if (status != NM_OK) return status;
    snprintf(result->renderer, sizeof result->renderer, "%s", nm_renderer_name(nm_headless_renderer(headless)));
    if (options->film)
        status = draw_film(store, options, shots, count, headless, &result->frames, error);
    else
        status = draw_still(store, options, shots, count, headless, error);
    if (options->film) result->seconds = (double)result->frames / (double)options->fps;
    nm_headless_destroy(headless);
    return status;
}
