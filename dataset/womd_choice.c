#include "dataset/womd_choice.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUTURE 80u
#define CRITICAL_FROM 10u // steps after the current one
#define CRITICAL_TO 60u
#define MOVED 1.0f   // m
#define MOVES 0.5f   // m/s
#define SAME_DT 1e-5 // s
#define SAME_STEP 1e-3
#define NOT_KEPT NM_NONE

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory");
}

int nm_womd_object_type(unsigned agent_type) {
    switch ((nm_agent_type)agent_type) {
    case NM_AGENT_CAR:
    case NM_AGENT_TRUCK:
    case NM_AGENT_BUS:
    case NM_AGENT_MOTORCYCLE:
        return 1;
    case NM_AGENT_PEDESTRIAN:
        return 2;
    case NM_AGENT_CYCLIST:
        return 3;
    default:
        return 4;
    }
}

void nm_womd_scenario_id(const nm_export_item *item, char id[NM_WOMD_ID]) {
    const nm_provenance *from = &item->scene->provenance;
    int length;
    if (strcmp(from->source, "womd") == 0 && from->parent == 0 && from->scene_id[0] && strlen(from->scene_id) <= 256)
        length = snprintf(id, NM_WOMD_ID, "%s", from->scene_id);
    else
        length = snprintf(id, NM_WOMD_ID, "%016" PRIx64, item->scene->hash);
    if (item->windowed) snprintf(id + length, NM_WOMD_ID - (size_t)length, "-%" PRIu32, item->window_first);
}

// --- time ------------------------------------------------------------------------------------------------------------

static int has_other_steps(const nm_scene *scene) {
    return fabs((double)scene->dt - NM_WOMD_DT) > SAME_DT;
}

/// The step of 0.1 s for a step of the scene.
static uint32_t converted(const nm_scene *scene, uint32_t step) {
    return has_other_steps(scene) ? (uint32_t)lround((double)step * (double)scene->dt / NM_WOMD_DT) : step;
}

nm_status nm_womd_windows(const nm_scene *scene, uint32_t every, nm_pile *out, nm_error *error) {
    NM_ASSERT(every > 0);
    uint32_t steps = scene->step_count;
    if (has_other_steps(scene) && steps > 0) { // as many as resampling gives: none behind the last
        const double last = floor((double)(steps - 1) * (double)scene->dt / NM_WOMD_DT + SAME_STEP);
        if (last >= NM_SCENE_MAX_STEPS) return NM_OK; // refused, once, when it is resampled
        steps = 1 + (uint32_t)last;
    }
    if (steps <= NM_WOMD_STEPS) return NM_OK;
    const uint32_t last = steps - NM_WOMD_STEPS, whole = last / every + 1;
    const uint32_t count = whole + (last % every != 0);
    uint32_t *first = NM_PUSH(out, uint32_t, count);
    if (!first) return no_memory(error);
    for (uint32_t i = 0; i < count; i++) first[i] = i < whole ? i * every : last;
    return NM_OK;
}

int nm_womd_window_holds(const nm_scene *scene, uint32_t first, uint32_t step) {
    const uint32_t at = converted(scene, step);
    return at >= first && at - first < NM_WOMD_STEPS;
}

static void choose_window(const nm_export_item *item, nm_womd_choice *c) {
    const nm_scene *scene = c->scene;
    if (item->windowed) {
        c->first = item->window_first;
        return;
    }
    c->first = scene->current_step > NM_WOMD_NOW ? scene->current_step - NM_WOMD_NOW : 0;
    if (scene->step_count <= NM_WOMD_STEPS || item->label_count == 0) return;
    const uint32_t critical = converted(item->scene, item->labels[0].critical_step);
    const uint32_t now = c->first + NM_WOMD_NOW, last = scene->step_count - NM_WOMD_STEPS;
    if (critical > now + CRITICAL_TO) c->first = critical - CRITICAL_TO - NM_WOMD_NOW;
    if (critical < now + CRITICAL_FROM)
        c->first = critical > CRITICAL_FROM + NM_WOMD_NOW ? critical - CRITICAL_FROM - NM_WOMD_NOW : 0;
    // not further than to the end of the scene: it has a future to show
    if (c->first > last && now - NM_WOMD_NOW <= last) c->first = last;
}

void nm_womd_times(const nm_womd_choice *c, double times[NM_WOMD_STEPS]) {
    const double *recorded = c->scene->timestamps;
    for (uint32_t step = 0; step < NM_WOMD_STEPS; step++) {
        uint32_t t;
        const int there = nm_womd_step(c, step, &t);
        if (!recorded)
            times[step] = step * NM_WOMD_DT;
        else
            times[step] = there ? recorded[t] : step > 0 ? times[step - 1] + NM_WOMD_DT : 0.0;
    }
}

// --- who -------------------------------------------------------------------------------------------------------------

static int seen(const nm_womd_choice *c, uint32_t track, uint32_t step) {
    uint32_t t;
    return nm_womd_step(c, step, &t) && c->scene->valid[nm_scene_at(c->scene, track, t)];
}

static int in_window(const nm_womd_choice *c, uint32_t track) {
    for (uint32_t step = 0; step < NM_WOMD_STEPS; step++) {
        if (seen(c, track, step)) return 1;
    }
    return 0;
}

static nm_status keep_tracks(nm_womd_choice *c, nm_arena *arena, nm_error *error) {
    const nm_scene *scene = c->scene;
    uint32_t present = 0;
    c->tracks = NM_ARENA_ARRAY(arena, uint32_t, scene->track_count);
    if (!c->tracks) return no_memory(error);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const int there = in_window(c, i), never = scene->tracks[i].first_step > scene->tracks[i].last_step;
        present += (uint32_t)there;
        if (there || never || i == scene->ego) c->tracks[c->track_count++] = i;
    }
    if (present == 0)
        return NM_ERROR(error, NM_E_UNSUPPORTED,
                        scene->track_count ? "nobody is there in the 9.1 s from step %u (of 0.1 s) on"
                                           : "has no tracks, one of which must be the autonomous vehicle",
                        c->first);
    return NM_OK;
}

/// The place in c->tracks, or NOT_KEPT.
static uint32_t place_of(const nm_womd_choice *c, uint32_t track) {
    uint32_t low = 0, high = c->track_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (c->tracks[middle] < track)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->track_count && c->tracks[low] == track ? low : NOT_KEPT;
}

static float between(const nm_scene *scene, uint32_t track_a, uint32_t step_a, uint32_t track_b, uint32_t step_b) {
    const size_t a = nm_scene_at(scene, track_a, step_a), b = nm_scene_at(scene, track_b, step_b);
    return hypotf(scene->x[a] - scene->x[b], scene->y[a] - scene->y[b]);
}

/// How long the recording goes on without a gap from the current step, and how far; 0 when it is not there now.
static uint32_t recorded(const nm_womd_choice *c, uint32_t track, float *way) {
    const nm_scene *scene = c->scene;
    uint32_t steps = 0;
    *way = 0.0f;
    while (NM_WOMD_NOW + steps < NM_WOMD_STEPS && seen(c, track, NM_WOMD_NOW + steps)) {
        const uint32_t t = c->first + NM_WOMD_NOW + steps;
        if (steps > 0) *way += between(scene, track, t, track, t - 1);
        steps++;
    }
    return steps;
}

static void choose_ego(nm_womd_choice *c, int windowed) {
    uint32_t longest = 0;
    float furthest = -1.0f;
    c->ego = c->scene->ego == NM_NONE ? NOT_KEPT : place_of(c, c->scene->ego);
    if (windowed && c->ego != NOT_KEPT && !seen(c, c->scene->ego, NM_WOMD_NOW)) c->ego = NOT_KEPT;
    for (int vehicles = 1; vehicles >= 0 && c->ego == NOT_KEPT; vehicles--) {
        for (uint32_t i = 0; i < c->track_count; i++) {
            const nm_track *track = &c->scene->tracks[c->tracks[i]];
            float way;
            if (vehicles && (!nm_agent_type_vehicle((nm_agent_type)track->type) || track->flags & NM_TRACK_STATIC))
                continue;
            const uint32_t steps = recorded(c, c->tracks[i], &way);
            if (steps == 0 || steps < longest || (steps == longest && way <= furthest)) continue;
            longest = steps;
            furthest = way;
            c->ego = i;
        }
    }
    if (c->ego == NOT_KEPT) c->ego = 0; // nobody is there now: the first stands for it
}

/// Adds a track of the scene to a list, once.
static void add(const nm_womd_choice *c, uint32_t track, uint32_t *list, uint32_t *count) {
    const uint32_t place = track < c->scene->track_count ? place_of(c, track) : NOT_KEPT;
    if (place == NOT_KEPT) return;
    for (uint32_t i = 0; i < *count; i++) {
        if (list[i] == place) return;
    }
    list[(*count)++] = place;
}

static void add_marked(const nm_womd_choice *c, unsigned flag, uint32_t *list, uint32_t *count) {
    for (uint32_t i = 0; i < c->track_count; i++) {
        if (c->scene->tracks[c->tracks[i]].flags & flag) list[(*count)++] = i;
    }
}

static void choose_interest(const nm_export_item *item, nm_womd_choice *c) {
    add_marked(c, NM_TRACK_OF_INTEREST, c->interest, &c->interest_count);
    if (c->interest_count) return;
    if (item->label_count) {
        add(c, item->labels[0].actor, c->interest, &c->interest_count);
        add(c, item->labels[0].other, c->interest, &c->interest_count);
        return;
    }
    add_marked(c, NM_TRACK_ADVERSARY, c->interest, &c->interest_count);
    if (c->interest_count) add(c, c->tracks[c->ego], c->interest, &c->interest_count);
}

/// Worth predicting: there now and later, of a class that WOMD names.
static int predictable(const nm_womd_choice *c, uint32_t place) {
    const uint32_t track = c->tracks[place];
    if (place == c->ego || nm_womd_object_type(c->scene->tracks[track].type) == 4) return 0;
    if (!seen(c, track, NM_WOMD_NOW)) return 0;
    for (uint32_t step = NM_WOMD_NOW + 1; step < NM_WOMD_STEPS; step++) {
        if (seen(c, track, step)) return 1;
    }
    return 0;
}

static int moves(const nm_womd_choice *c, uint32_t track) {
    const nm_scene *scene = c->scene;
    const uint32_t now = c->first + NM_WOMD_NOW;
    const size_t at = nm_scene_at(scene, track, now);
    if (hypotf(scene->vx[at], scene->vy[at]) > MOVES) return 1;
    for (uint32_t step = NM_WOMD_NOW + 1; step < NM_WOMD_STEPS; step++) {
        if (seen(c, track, step) && between(scene, track, c->first + step, track, now) > MOVED) return 1;
    }
    return 0;
}

typedef struct candidate {
    float distance;
    uint32_t place;
} candidate;

static int nearer(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static nm_status choose_predicted(const nm_export_item *item, nm_womd_choice *c, nm_arena *arena, nm_error *error) {
    add_marked(c, NM_TRACK_TO_PREDICT, c->predict, &c->predict_count);
    if (c->predict_count) return NM_OK;
    for (size_t i = 0; i < item->label_count && c->predict_count < NM_WOMD_PREDICTED; i++) {
        const uint32_t roles[2] = {item->labels[i].actor, item->labels[i].other};
        for (int k = 0; k < 2 && c->predict_count < NM_WOMD_PREDICTED; k++) {
            const uint32_t place = roles[k] < c->scene->track_count ? place_of(c, roles[k]) : NOT_KEPT;
            if (place != NOT_KEPT && predictable(c, place)) add(c, roles[k], c->predict, &c->predict_count);
        }
    }
    candidate *others = NM_ARENA_ARRAY(arena, candidate, c->track_count);
    uint32_t count = 0;
    if (!others) return no_memory(error);
    const uint32_t now = c->first + NM_WOMD_NOW;
    const int placed = seen(c, c->tracks[c->ego], NM_WOMD_NOW);
    for (uint32_t i = 0; i < c->track_count; i++) {
        if (!predictable(c, i) || !moves(c, c->tracks[i])) continue;
        const float distance = placed ? between(c->scene, c->tracks[i], now, c->tracks[c->ego], now) : 0.0f;
        others[count++] = (candidate){distance, i};
    }
    qsort(others, count, sizeof *others, nearer);
    for (uint32_t i = 0; i < count && c->predict_count < NM_WOMD_PREDICTED; i++)
        add(c, c->tracks[others[i].place], c->predict, &c->predict_count);
    return NM_OK;
}

// --- ids -------------------------------------------------------------------------------------------------------------

static int ascending(const void *a, const void *b) {
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

static nm_status number_tracks(nm_womd_choice *c, nm_arena *arena, nm_error *error) {
    c->ids = NM_ARENA_ARRAY(arena, int32_t, c->track_count);
    int32_t *taken = NM_ARENA_ARRAY(arena, int32_t, c->track_count);
    uint32_t count = 0, next_taken = 0;
    int32_t next = 0;
    if (!c->ids || !taken) return no_memory(error);
    for (uint32_t i = 0; i < c->track_count; i++) {
        const int64_t id = c->scene->tracks[c->tracks[i]].source_id;
        c->ids[i] = id >= 0 && id <= INT32_MAX ? (int32_t)id : -1;
        if (c->ids[i] >= 0) taken[count++] = c->ids[i];
    }
    if (count == c->track_count) return NM_OK;
    qsort(taken, count, sizeof *taken, ascending);
    for (uint32_t i = 0; i < c->track_count; i++) {
        if (c->ids[i] >= 0) continue;
        for (; next_taken < count && taken[next_taken] <= next; next_taken++) next += taken[next_taken] == next;
        c->ids[i] = next++;
    }
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------

nm_status nm_womd_choose(const nm_export_item *item, nm_arena *arena, nm_womd_choice *choice, nm_error *error) {
    *choice = (nm_womd_choice){.scene = item->scene};
    if (has_other_steps(item->scene)) {
        const nm_status status = nm_scene_resample(item->scene, NM_WOMD_DT, &choice->owned, error);
        if (status != NM_OK) return status;
        choice->scene = choice->owned;
    }
    choose_window(item, choice);
    nm_status status = keep_tracks(choice, arena, error);
    if (status != NM_OK) return status;
    choice->predict = NM_ARENA_ARRAY(arena, uint32_t, choice->track_count);
    choice->interest = NM_ARENA_ARRAY(arena, uint32_t, choice->track_count);
    if (!choice->predict || !choice->interest) return no_memory(error);
    choose_ego(choice, item->windowed);
    choose_interest(item, choice);
    status = choose_predicted(item, choice, arena, error);
    return status == NM_OK ? number_tracks(choice, arena, error) : status;
}

void nm_womd_choice_release(nm_womd_choice *choice) {
    nm_scene_destroy(choice->owned);
    choice->owned = NULL;
}
