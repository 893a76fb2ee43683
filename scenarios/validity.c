// The filter: who is judged by what, and the sum of it.
#include <math.h>

#include "scenarios/validity_internal.h"

// A NaN value is one that could not be measured.
void nm_verdict_take(nm_judging *j, nm_verdict_kind kind, uint32_t track, uint32_t step, float value, float limit,
                     int allowed) {
    nm_verdict *verdict = &j->out->verdicts[kind];
    if (isnan(value) || isinf(limit)) return;
    nm_verdict_result result = value <= limit ? NM_VERDICT_PASS : allowed ? NM_VERDICT_ALLOWED : NM_VERDICT_FAIL;
    // relative to its own limit: agents of several types share a verdict; limits of 0 are the same for all
    int worse = result > verdict->result;
    if (result == verdict->result) worse = value * fmaxf(verdict->limit, 1e-6f) > verdict->value * fmaxf(limit, 1e-6f);
    if (!worse) return;
    *verdict = (nm_verdict){.result = result, .value = value, .limit = limit, .track = track, .step = step};
}

static nm_status check_params(const nm_validity_params *p, nm_error *error) {
    const struct {
        const char *name;
        float value;
    } limits[] = {{"teleport", p->teleport},   {"heading_jump", p->heading_jump}, {"velocity", p->velocity},
                  {"overlap", p->overlap},     {"off_road", p->off_road},         {"jaywalk", p->jaywalk},
                  {"red_light", p->red_light}, {"stop_line", p->stop_line},       {"wrong_way", p->wrong_way},
                  {"speeding", p->speeding},   {"realism", p->realism},           {"cause", p->cause}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (!(limits[i].value >= 0))
            return NM_ERROR(error, NM_E_ARGUMENT, "the limit %s is %g: it must be 0 or more", limits[i].name,
                            (double)limits[i].value);
    if ((unsigned)p->profile > NM_LIMITS_COMFORT)
        return NM_ERROR(error, NM_E_ARGUMENT, "there is no profile %d of limits", (int)p->profile);
    return NM_OK;
}

static int is_static(const nm_scene *scene, uint32_t track) {
    return (scene->tracks[track].flags & NM_TRACK_STATIC) != 0;
}

static int is_adversary(const nm_conflict_case *conflict, uint32_t track) {
    for (uint32_t i = 0; i < conflict->adversary_count; i++)
        if (conflict->adversaries[i] == track) return 1;
    return 0;
}

// Up to its first collision: what a crash does to a vehicle is not modelled.
static nm_status judge_track(const nm_judging *judging, uint32_t track) {
    nm_judging own = *judging, *j = &own;
    int adversary = is_adversary(j->conflict, track);
    own.last = nm_last_free_step(judging, track);
    nm_status status = nm_judge_motion(j, track);
    if (status == NM_OK && !is_static(j->conflict->scene, track)) status = nm_judge_road(j, track, adversary);
    if (status == NM_OK && adversary) status = nm_judge_rules(j, track);
    if (status == NM_OK && (adversary || track == j->conflict->ego)) status = nm_judge_realism(j, track);
    if (status == NM_OK && track == j->conflict->ego) status = nm_judge_cause(j);
    return status;
}

static nm_status judge_all(nm_judging *j, nm_error *error) {
    const nm_scene *scene = j->conflict->scene;
    nm_status status = nm_judge_overlaps(j);
    for (uint32_t track = 0; track < scene->track_count && status == NM_OK; track++) {
        int principal = track == j->conflict->ego || is_adversary(j->conflict, track);
        if (principal || (j->params->everyone && !is_static(scene, track))) status = judge_track(j, track);
    }
    return status == NM_OK ? NM_OK : NM_ERROR(error, status, "out of memory while a scene is judged");
}

static nm_validity unjudged(void) {
    nm_validity result = {.valid = 1};
    for (int i = 0; i < NM_VERDICT_COUNT; i++)
        result.verdicts[i] = (nm_verdict){.result = NM_VERDICT_UNJUDGED, .track = NM_NONE, .step = NM_NONE};
    return result;
}

nm_status nm_validity_of_drive(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t last,
                               const nm_validity_params *params, nm_arena *arena, nm_validity *out, nm_error *error) {
    NM_ASSERT(scene && params && arena && out && first <= last && last < scene->step_count);
    nm_validity result = unjudged();
    nm_status status = check_params(params, error);
    if (status == NM_OK) status = nm_map_prepare(scene->map, error);
    if (status != NM_OK) return status;
    const nm_conflict_case alone = {
        .scene = scene, .ego = track, .adversaries = &track, .adversary_count = 1, .begin = first};
    nm_judging j = {.conflict = &alone, .params = params, .arena = arena, .out = &result, .begin = first, .last = last};
    nm_arena_mark mark = nm_arena_get_mark(arena);
    status = nm_judge_overlaps(&j);
    if (status == NM_OK) status = nm_judge_motion(&j, track);
    if (status == NM_OK) status = nm_judge_road(&j, track, 1);
    if (status == NM_OK) status = nm_judge_rules(&j, track);
    nm_arena_release(arena, mark);
    if (status != NM_OK) return NM_ERROR(error, status, "out of memory while a drive is judged");
    for (int i = 0; i < NM_VERDICT_COUNT; i++) result.valid &= result.verdicts[i].result != NM_VERDICT_FAIL;
    *out = result;
    return NM_OK;
}

nm_status nm_validity_of(const nm_conflict_case *conflict, const nm_validity_params *params, nm_arena *arena,
                         nm_validity *out, nm_error *error) {
    NM_ASSERT(params && arena && out);
    nm_validity result = unjudged();
    nm_status status = check_params(params, error);
    if (status == NM_OK) status = nm_avoidability_of(conflict, &params->driver, arena, &result.avoidability, error);
    if (status != NM_OK) return status;
    nm_judging j = {.conflict = conflict,
                    .params = params,
                    .arena = arena,
                    .out = &result,
                    .begin = params->from < conflict->begin ? params->from : conflict->begin,
                    .last = conflict->scene->step_count - 1};
    nm_arena_mark mark = nm_arena_get_mark(arena);
    status = judge_all(&j, error);
    nm_arena_release(arena, mark);
    if (status != NM_OK) return status;
    for (int i = 0; i < NM_VERDICT_COUNT; i++) result.valid &= result.verdicts[i].result != NM_VERDICT_FAIL;
    *out = result;
    return NM_OK;
}
