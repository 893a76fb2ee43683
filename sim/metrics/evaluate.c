/// All pairs of a scene: lay out the tracks, find who comes near whom, summarise each pair, gather the extremes.
#include <stdlib.h>
#include <string.h>

#include "sim/math.h"
#include "sim/metrics/neighbours.h"
#include "sim/metrics/summary.h"

/// Results while their number is not known.
typedef struct results {
    nm_pair_summary *pairs;
    uint32_t pair_count, pair_capacity;
    nm_collision *collisions;
    uint32_t collision_count, collision_capacity;
} results;

static int grow(void **items, uint32_t *capacity, uint32_t needed, size_t size) {
    if (needed <= *capacity) return 1;
    uint32_t more = *capacity ? 2 * *capacity : 256;
    void *moved = realloc(*items, (size_t)more * size);
    if (!moved) return 0;
    *items = moved, *capacity = more;
    return 1;
}

static nm_status keep(results *out, const nm_summary *summary, nm_error *error) {
    if (out->pair_count == NM_CRITICALITY_MAX_PAIRS)
        return NM_ERROR(error, NM_E_LIMIT, "more than %u pairs of tracks come within range", NM_CRITICALITY_MAX_PAIRS);
    int collided = summary->collision.step != NM_NONE;
    void *pairs = out->pairs, *collisions = out->collisions;
    int fits = grow(&pairs, &out->pair_capacity, out->pair_count + 1, sizeof *out->pairs);
    out->pairs = pairs;
    fits = fits && (!collided ||
                    grow(&collisions, &out->collision_capacity, out->collision_count + 1, sizeof *out->collisions));
    out->collisions = collisions;
    if (!fits) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u pairs of tracks", out->pair_count + 1);
    out->pairs[out->pair_count++] = summary->pair;
    if (collided) out->collisions[out->collision_count++] = summary->collision;
    return NM_OK;
}

typedef struct evaluation {
    nm_summary_context context;
    const nm_course *courses;
    uint32_t first_step;
    nm_neighbours *neighbours;
} evaluation;

/// Runs the pair over the windows in which both are and may be near each other.
static void summarise(const evaluation *now, uint32_t first, uint32_t second, nm_summary *summary) {
    const nm_course *a = &now->courses[first], *b = &now->courses[second];
    uint32_t begin = nm_maxu(a->first, b->first), end = nm_minu(a->first + a->count, b->first + b->count);
    nm_summary_begin(summary, first, second);
    for (uint32_t step = begin; step < end;) {
        uint32_t window = (step - now->first_step) / NM_SCREEN_STEPS;
        uint32_t next = nm_minu(end, now->first_step + (window + 1) * NM_SCREEN_STEPS);
        if (nm_neighbours_near(now->neighbours, first, second, window))
            nm_summary_add(&now->context, a, b, step, next - step, summary);
        step = next;
    }
    if (summary->seen) nm_summary_end(&now->context, a, b, summary);
}

static nm_status lay_out(const nm_scene *scene, uint32_t first_step, uint32_t last_step, float max_range,
                         const nm_criticality_params *params, nm_arena *scratch, evaluation *now, nm_error *error) {
    nm_course *courses = NM_ARENA_ARRAY(scratch, nm_course, scene->track_count);
    if (!courses) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u tracks", scene->track_count);
    uint32_t most_blocks = 0;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        nm_status status = nm_course_make(scene, i, first_step, last_step, scratch, &courses[i], error);
        if (status == NM_OK) status = nm_course_block(&courses[i], params->pet_margin, scratch, error);
        if (status != NM_OK) return status;
        most_blocks = nm_maxu(most_blocks, courses[i].block_count);
    }
    *now = (evaluation){.courses = courses, .first_step = first_step};
    float sine, cosine;
    nm_sincosf(params->follow_angle, &sine, &cosine);
    now->context = (nm_summary_context){
        .scene = scene, .params = params, .limits = nm_screen_limits_of(params, max_range), .follow_cos = cosine};
    now->context.scratch = NM_ARENA_ARRAY(scratch, uint32_t, most_blocks);
    if (!now->context.scratch) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u blocks of steps", most_blocks);
    return nm_neighbours_make(courses, scene->track_count, first_step, max_range, scratch, &now->neighbours, error);
}

static nm_status evaluate_pairs(const evaluation *now, nm_arena *scratch, results *out, nm_error *error) {
    const nm_scene *scene = now->context.scene;
    uint32_t *near = NM_ARENA_ARRAY(scratch, uint32_t, scene->track_count);
    if (!near) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u tracks", scene->track_count);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        uint32_t count = nm_neighbours_above(now->neighbours, i, near);
        for (uint32_t n = 0; n < count; n++) {
            if (scene->tracks[i].flags & scene->tracks[near[n]].flags & NM_TRACK_STATIC) continue;
            nm_summary summary;
            summarise(now, i, near[n], &summary);
            nm_status status = summary.seen ? keep(out, &summary, error) : NM_OK;
            if (status != NM_OK) return status;
        }
    }
    return NM_OK;
}

static int by_step(const void *one, const void *other) {
    const nm_collision *a = one, *b = other;
    if (a->step != b->step) return a->step < b->step ? -1 : 1;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return (a->second > b->second) - (a->second < b->second);
}

static nm_scene_criticality nothing(void) {
    return (nm_scene_criticality){
        .min_ttc = INFINITY,
        .min_ttc_projected = INFINITY,
        .min_distance = INFINITY,
        .min_thw = INFINITY,
        .min_pet = INFINITY,
        .min_ttr = INFINITY,
        .critical_step = NM_NONE,
        .critical_first = NM_NONE,
        .critical_second = NM_NONE,
    };
}

static float lower(float a, float b) {
    return b < a ? b : a;
}
static float upper(float a, float b) {
    return b > a ? b : a;
}

static void gather(nm_scene_criticality *out) {
    for (uint32_t i = 0; i < out->pair_count; i++) {
        const nm_pair_summary *pair = &out->pairs[i];
        // the earliest of the most critical moments, then the lowest pair
        if (pair->min_ttc < out->min_ttc ||
            (pair->min_ttc == out->min_ttc && pair->min_ttc_step < out->critical_step)) {
            out->min_ttc = pair->min_ttc;
            out->critical_step = pair->min_ttc_step;
            out->critical_first = pair->first, out->critical_second = pair->second;
        }
        out->min_ttc_projected = lower(out->min_ttc_projected, pair->min_ttc_projected);
        out->min_distance = lower(out->min_distance, pair->min_distance);
        out->min_thw = lower(out->min_thw, pair->min_thw);
        out->max_drac = upper(out->max_drac, pair->max_drac);
        out->max_ittc = upper(out->max_ittc, pair->max_ittc);
        out->min_pet = lower(out->min_pet, pair->pet);
        out->min_ttr = lower(out->min_ttr, pair->min_ttr);
        out->tet = upper(out->tet, pair->tet);
        out->tit = upper(out->tit, pair->tit);
    }
    for (uint32_t i = 0; i < out->collision_count; i++)
        out->max_delta_v =
            upper(out->max_delta_v, upper(out->collisions[i].first_delta_v, out->collisions[i].second_delta_v));
}

/// Copies the results into the caller's arena.
static nm_status hand_over(const results *from, nm_arena *arena, nm_scene_criticality *out, nm_error *error) {
    nm_pair_summary *pairs = NM_ARENA_ARRAY(arena, nm_pair_summary, from->pair_count);
    nm_collision *collisions = NM_ARENA_ARRAY(arena, nm_collision, from->collision_count);
    if (!pairs || !collisions)
        return NM_ERROR(error, NM_E_MEMORY, "no memory for %u pairs of tracks", from->pair_count);
    if (from->pair_count) memcpy(pairs, from->pairs, from->pair_count * sizeof *pairs);
    if (from->collision_count) {
        memcpy(collisions, from->collisions, from->collision_count * sizeof *collisions);
        qsort(collisions, from->collision_count, sizeof *collisions, by_step);
    }
    *out = nothing();
    out->pair_count = from->pair_count, out->pairs = pairs;
    out->collision_count = from->collision_count, out->collisions = collisions;
    gather(out);
    return NM_OK;
}

nm_status nm_scene_evaluate(const nm_scene *scene, uint32_t first_step, uint32_t last_step, float max_range,
                            const nm_criticality_params *params, nm_arena *arena, nm_scene_criticality *out,
                            nm_error *error) {
    NM_ASSERT(scene && params && arena && out);
    NM_ASSERT(max_range > 0.0f && scene->dt > 0.0f);
    *out = nothing();
    if (!scene->step_count || first_step >= scene->step_count || first_step > last_step) return NM_OK;
    last_step = nm_minu(last_step, scene->step_count - 1);
    nm_arena *scratch = nm_arena_create(0);
    if (!scratch) return NM_ERROR(error, NM_E_MEMORY, "no memory to evaluate a scene");
    evaluation now;
    results found = {0};
    nm_status status = lay_out(scene, first_step, last_step, max_range, params, scratch, &now, error);
    if (status == NM_OK) status = evaluate_pairs(&now, scratch, &found, error);
    if (status == NM_OK) status = hand_over(&found, arena, out, error);
    free(found.pairs);
    free(found.collisions);
    nm_arena_destroy(scratch);
    return status;
}
