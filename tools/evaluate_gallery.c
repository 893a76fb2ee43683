#include "tools/evaluate_gallery.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/evaluation.h"
#include "scenarios/problem.h"
#include "sim/metrics/criticality.h"

#define BEFORE_S 3.0  ///< shown before the moment
#define AFTER_S 1.0   ///< and after it
#define ROUND 16u     ///< scenes that are driven before they are drawn: so many are in memory
#define BEHIND 2.618f ///< rad, from the ego's heading: 150 degrees, as in nuPlan

/// What one thread works with.
typedef struct worker {
    nm_store *from;
    nm_episode_work *work;
    nm_planner *planner; ///< of the entrant at work
    int tried;           ///< to open it
    char why[512];       ///< it does not start
} worker;

typedef struct maker {
    const nm_evaluate_gallery_config *config;
    nm_evaluate_gallery *gallery;
    nm_thread_pool *pool;
    worker *workers; ///< [threads of the pool]
    nm_store *to;
    nm_evaluate_painter *painter;
    char no_pictures[512];           ///< why there is no painter
    size_t planner, first;           ///< at work: shots first, first + 1, ...
    size_t bytes;                    ///< of pictures of the planner so far
    const nm_scene *recorded[ROUND]; ///< of the shots at work
} maker;

// ---------------------------------------------------------------------------------------------------------------------
// Which scenes

static nm_status choose(const nm_evaluation_entrant *entrants, size_t most, nm_evaluate_gallery *g, nm_error *error) {
    for (size_t p = 0; p < g->planners; ++p) {
        const size_t room = most < entrants[p].count ? most : entrants[p].count;
        size_t *rows = malloc((room + 1) * sizeof *rows);
        g->shots[p] = calloc(room + 1, sizeof **g->shots);
        const size_t count = rows && g->shots[p] ? nm_evaluation_worst(&entrants[p], room, rows) : SIZE_MAX;
        for (size_t i = 0; count != SIZE_MAX && i < count; ++i) g->shots[p][i].row = &entrants[p].rows[rows[i]];
        free(rows);
        if (count == SIZE_MAX) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the gallery");
        g->counts[p] = count;
    }
    return NM_OK;
}

void nm_evaluate_gallery_destroy(nm_evaluate_gallery *g) {
    if (!g) return;
    for (size_t p = 0; g->shots && p < g->planners; ++p) {
        for (size_t i = 0; g->shots[p] && i < g->counts[p]; ++i)
            for (size_t f = 0; f < g->shots[p][i].frame_count; ++f) free(g->shots[p][i].frames[f].png);
        free(g->shots[p]);
    }
    free(g->shots);
    free(g->counts);
    free(g);
}

static nm_status create(const nm_evaluation_entrant *entrants, size_t count, size_t most, nm_evaluate_gallery **out,
                        nm_error *error) {
    nm_evaluate_gallery *g = calloc(1, sizeof *g);
    *out = NULL;
    if (!g) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the gallery");
    g->planners = count;
    g->shots = calloc(count + 1, sizeof *g->shots);
    g->counts = calloc(count + 1, sizeof *g->counts);
    const nm_status status = g->shots && g->counts ? choose(entrants, most, g, error)
                                                   : NM_ERROR(error, NM_E_MEMORY, "out of memory for the gallery");
    if (status == NM_OK)
        *out = g;
    else
        nm_evaluate_gallery_destroy(g);
    return status;
}

size_t nm_evaluate_gallery_size(const nm_evaluation_entrant *entrants, size_t count, size_t most) {
    nm_evaluate_gallery *g;
    size_t size = 0;
    if (create(entrants, count, most, &g, NULL) != NM_OK) return SIZE_MAX;
    for (size_t p = 0; p < count; ++p) size += g->counts[p];
    nm_evaluate_gallery_destroy(g);
    return size;
}

// ---------------------------------------------------------------------------------------------------------------------
// What to show of one

/// The sample to look at: where the score lost most; where the planner failed; none when no moment can be named.
static uint32_t moment_of(const nm_episode *e) {
    if (e->worst_sample != NM_NONE) return e->worst_sample < e->samples ? e->worst_sample : e->samples - 1;
    return e->outcome == NM_EPISODE_FAILED ? e->samples - 1 : NM_NONE;
}

static int worst_is(const nm_episode *e, nm_nuplan_metric metric) {
    return strcmp(e->worst, nm_nuplan_describe(metric)->name) == 0;
}

static nm_box box_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    const size_t at = nm_scene_at(scene, track, step);
    return (nm_box){.x = scene->x[at],
                    .y = scene->y[at],
                    .cos_h = cosf(scene->heading[at]),
                    .sin_h = sinf(scene->heading[at]),
                    .length = scene->state_length ? scene->state_length[at] : scene->tracks[track].length,
                    .width = scene->state_width ? scene->state_width[at] : scene->tracks[track].width,
                    .vx = scene->vx[at],
                    .vy = scene->vy[at]};
}

/// Whom nuPlan's TTC is about: of those that are not behind the ego the one it would meet first.
static uint32_t threat(const nm_scene *scene, uint32_t ego, uint32_t step) {
    const nm_criticality_params params = nm_criticality_params_default();
    const nm_box mine = box_at(scene, ego, step);
    uint32_t best = NM_NONE;
    float least = INFINITY;
    for (uint32_t track = 0; track < scene->track_count; ++track) {
        if (track == ego || !scene->valid[nm_scene_at(scene, track, step)]) continue;
        const nm_box other = box_at(scene, track, step);
        const float dx = other.x - mine.x, dy = other.y - mine.y;
        if (dx * mine.cos_h + dy * mine.sin_h < cosf(BEHIND) * hypotf(dx, dy)) continue;
        const float ttc = nm_ttc_projected(&mine, &other, &params);
        if (ttc >= least) continue;
        least = ttc;
        best = track;
    }
    return best;
}

/// Whom the ego hit, or came too near to, at that moment.
static uint32_t other_of(const nm_episode *e, const nm_scene *scene, uint32_t moment) {
    if (moment == NM_NONE) return NM_NONE;
    if (worst_is(e, NM_NUPLAN_TTC)) return threat(scene, e->ego_track, e->start_step + moment);
    if (!worst_is(e, NM_NUPLAN_COLLISIONS)) return NM_NONE;
    for (uint32_t i = 0; i < e->collision_count; ++i)
        if (e->collisions[i].at_fault && e->collisions[i].step == moment) return e->collisions[i].track;
    return NM_NONE;
}

/// Samples of the frames, ascending: the moment among them, with some seconds before it and a little after; without one
/// the whole drive, evenly.
static size_t choose_samples(const nm_episode *e, uint32_t moment, uint32_t samples[NM_EVALUATE_FRAMES]) {
    const double last = (double)(e->samples - 1), steps = NM_EVALUATE_FRAMES - 1;
    double first = 0.0, end = last, middle = 0.0, at = 0.0; // sample `at` is that of frame `middle`
    if (moment != NM_NONE) {
        first = fmax(0.0, (double)moment - 10.0 * BEFORE_S);
        end = fmin(last, fmax((double)moment + 10.0 * AFTER_S, first + 10.0 * (BEFORE_S + AFTER_S)));
        middle = end > first ? round(steps * ((double)moment - first) / (end - first)) : 0.0;
        if (moment > first) middle = fmax(middle, 1.0);
        if (moment < end) middle = fmin(middle, steps - 1.0);
        at = moment;
    }
    size_t count = 0;
    for (size_t i = 0; i < NM_EVALUATE_FRAMES; ++i) {
        const double k = (double)i;
        const double exact =
            k < middle ? first + (at - first) * k / middle : at + (end - at) * (k - middle) / fmax(1.0, steps - middle);
        const uint32_t sample = (uint32_t)lround(exact);
        if (count == 0 || sample > samples[count - 1]) samples[count++] = sample;
    }
    return count;
}

#ifdef NM_NO_PICTURES
static void open_painter(maker *m) {
    snprintf(m->no_pictures, sizeof m->no_pictures, "no pictures: nearmiss was built without them");
}
static void close_painter(maker *m) {
    (void)m;
}
static nm_status paint_frame(maker *m, const nm_evaluate_scenery *scenery, uint32_t step, nm_evaluate_frame *frame,
                             nm_error *error) {
    (void)scenery, (void)step, (void)frame;
    return NM_ERROR(error, NM_E_UNSUPPORTED, "%s", m->no_pictures);
}
#else
static void open_painter(maker *m) {
    nm_error why;
    nm_error_clear(&why);
    if (nm_evaluate_painter_create(&m->painter, &why) != NM_OK)
        snprintf(m->no_pictures, sizeof m->no_pictures, "nothing is drawn here: %.400s", why.message);
}
static void close_painter(maker *m) {
    nm_evaluate_painter_destroy(m->painter);
}
static nm_status paint_frame(maker *m, const nm_evaluate_scenery *scenery, uint32_t step, nm_evaluate_frame *frame,
                             nm_error *error) {
    return nm_evaluate_paint(m->painter, scenery, step, frame, error);
}
#endif

static nm_status paint(maker *m, nm_evaluate_shot *shot, const nm_scene *driven, const nm_scene *recorded,
                       nm_error *error) {
    const nm_episode *e = &shot->again;
    const uint32_t moment = moment_of(e);
    uint32_t samples[NM_EVALUATE_FRAMES];
    shot->other = other_of(e, driven, moment);
    if (shot->other == NM_NONE) shot->other = e->adversary;
    const nm_evaluate_scenery scenery = {
        .scene = driven,
        .recorded = recorded,
        .ego = e->ego_track,
        .other = shot->other,
        .start = e->start_step,
        .moment = e->start_step + (moment == NM_NONE ? e->samples / 2 : moment),
    };
    const size_t count = choose_samples(e, moment, samples);
    nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < count; ++i) {
        nm_evaluate_frame *frame = &shot->frames[i];
        *frame = (nm_evaluate_frame){.seconds = 0.1 * samples[i], .moment = samples[i] == moment};
        status = paint_frame(m, &scenery, e->start_step + samples[i], frame, error);
        if (status == NM_OK) shot->frame_count++;
        m->bytes += frame->size;
    }
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Driving

/// Keeps what was driven, and draws it.
static nm_status keep(maker *m, nm_evaluate_shot *shot, const nm_scene *recorded, nm_error *error) {
    const nm_scene *driven = shot->again.scene;
    if (!driven) {
        snprintf(shot->trouble, sizeof shot->trouble, "nothing was driven");
        return NM_OK;
    }
    nm_status status = nm_store_put_scene(m->to, driven, &shot->driven, error);
    if (status == NM_E_EXISTS) status = NM_OK; // of an earlier report: the same drive
    if (status != NM_OK) return status;
    if (!m->painter) {
        snprintf(shot->trouble, sizeof shot->trouble, "%s", m->no_pictures);
        return NM_OK;
    }
    if (m->bytes > m->config->bytes) {
        snprintf(shot->trouble, sizeof shot->trouble, "no pictures: the page would become larger than 10 MB");
        return NM_OK;
    }
    nm_error why;
    nm_error_clear(&why);
    if (paint(m, shot, driven, recorded, &why) != NM_OK)
        snprintf(shot->trouble, sizeof shot->trouble, "no pictures: %.400s", why.message);
    return NM_OK;
}

static nm_status open_worker(const maker *m, worker *w, nm_error *error) {
    nm_error why;
    nm_error_clear(&why);
    if (!w->work) w->work = nm_episode_work_create();
    if (!w->work) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the gallery");
    const nm_status status = w->from ? NM_OK : nm_store_open(m->config->store, NM_STORE_READ, &w->from, error);
    if (status != NM_OK || w->tried) return status;
    w->tried = 1;
    if (m->config->open(m->config->context, m->planner, &w->planner, &why) != NM_OK)
        snprintf(w->why, sizeof w->why, "the planner does not start again: %.400s", why.message);
    return NM_OK;
}

/// What is recorded of the ego is the reference to its goal then.
static nm_status shoot_problem(maker *m, worker *w, size_t index, nm_episode_config *episode, nm_evaluate_shot *shot,
                               nm_error *error) {
    const nm_scene *asked = m->recorded[index];
    nm_error why;
    nm_error_clear(&why);
    m->recorded[index] = NULL;
    nm_status status = nm_problem_scene(asked, 0, &m->recorded[index], &why);
    if (status == NM_OK) {
        episode->asked = asked;
        status = nm_episode_run(w->work, m->recorded[index], w->planner, episode, &shot->again, error);
    } else {
        snprintf(shot->trouble, sizeof shot->trouble, "the problem cannot be driven: %.400s", why.message);
        status = NM_OK;
    }
    nm_scene_destroy(asked);
    return status;
}

/// Drives one shot of the round.
static nm_status shoot(void *context, size_t index, int thread, nm_error *error) {
    maker *m = context;
    worker *w = &m->workers[thread];
    nm_evaluate_shot *shot = &m->gallery->shots[m->planner][m->first + index];
    nm_error why;
    nm_error_clear(&why);
    shot->other = NM_NONE;
    const nm_status status = open_worker(m, w, error);
    if (status != NM_OK) return status;
    if (!w->planner) {
        snprintf(shot->trouble, sizeof shot->trouble, "%s", w->why);
        return NM_OK;
    }
    if (nm_evaluation_scene(w->from, shot->row->scene, &m->recorded[index], &why) != NM_OK) {
        snprintf(shot->trouble, sizeof shot->trouble, "the scene cannot be read: %.400s", why.message);
        return NM_OK;
    }
    nm_episode_config episode = *m->config->episode;
    nm_kind kind;
    episode.keep_scene = 1;
    episode.adversary = nm_kind_from_name(nm_evaluation_adversary_of(shot->row), &kind) ? (int)kind : -1;
    episode.stop = m->config->stop;
    episode.stop_context = NULL;
    if (m->config->problems && nm_evaluation_is_problem(m->recorded[index]))
        return shoot_problem(m, w, index, &episode, shot, error);
    return nm_episode_run(w->work, m->recorded[index], w->planner, &episode, &shot->again, error);
}

static nm_status drive_round(maker *m, size_t count, nm_error *error) {
    if (m->config->episode->agents != NM_EPISODE_NEXUS) return nm_thread_pool_for(m->pool, count, 1, shoot, m, error);
    nm_status status = NM_OK; // a model works on one thread, with others of its own
    for (size_t i = 0; status == NM_OK && i < count; ++i) status = shoot(m, i, 0, error);
    return status;
}

/// In the order of the shots, whoever drove them.
static nm_status keep_round(maker *m, size_t count, nm_status status, nm_error *error) {
    for (size_t i = 0; i < count; ++i) {
        nm_evaluate_shot *shot = &m->gallery->shots[m->planner][m->first + i];
        if (status == NM_OK && !shot->trouble[0]) status = keep(m, shot, m->recorded[i], error);
        nm_scene_destroy(shot->again.scene);
        shot->again.scene = NULL;
        nm_scene_destroy(m->recorded[i]);
        m->recorded[i] = NULL;
        if (status == NM_OK && m->config->progress) m->config->progress(m->config->context, 1);
    }
    return status;
}

static nm_status shoot_all(maker *m, nm_error *error) {
    const size_t shots = m->gallery->counts[m->planner];
    nm_status status = NM_OK;
    m->bytes = 0;
    for (m->first = 0; status == NM_OK && m->first < shots; m->first += ROUND) {
        const size_t left = shots - m->first, count = left < ROUND ? left : ROUND;
        status = keep_round(m, count, drive_round(m, count, error), error);
    }
    for (int i = 0; i < nm_thread_pool_threads(m->pool); ++i) {
        nm_planner_destroy(m->workers[i].planner);
        m->workers[i].planner = NULL;
        m->workers[i].tried = 0;
    }
    return status;
}

static nm_status open_all(maker *m, nm_error *error) {
    m->workers = calloc((size_t)nm_thread_pool_threads(m->pool), sizeof *m->workers);
    if (!m->workers) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the gallery");
    const nm_status status = nm_store_open(m->config->driven, NM_STORE_CREATE, &m->to, error);
    if (status == NM_OK) open_painter(m);
    return status;
}

static void close_all(maker *m) {
    close_painter(m);
    for (int i = 0; m->workers && i < nm_thread_pool_threads(m->pool); ++i) {
        nm_store_close(m->workers[i].from);
        nm_episode_work_destroy(m->workers[i].work);
    }
    free(m->workers);
    nm_store_close(m->to);
}

nm_status nm_evaluate_gallery_make(const nm_evaluate_gallery_config *config, const nm_evaluation_entrant *entrants,
                                   size_t count, nm_thread_pool *pool, nm_evaluate_gallery **gallery, nm_error *error) {
    maker m = {.config = config, .pool = pool};
    *gallery = NULL;
    nm_status status = create(entrants, count, config->most, &m.gallery, error);
    if (status != NM_OK) return status;
    m.gallery->driven = config->driven;
    status = open_all(&m, error);
    for (m.planner = 0; status == NM_OK && m.planner < count; ++m.planner) status = shoot_all(&m, error);
    close_all(&m);
    if (status == NM_OK)
        *gallery = m.gallery;
    else
        nm_evaluate_gallery_destroy(m.gallery);
    return status;
}
