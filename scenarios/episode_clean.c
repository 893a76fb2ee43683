#include "scenarios/episode_clean.h"

#include <math.h>

#include "sim/geometry.h"

const char *nm_cleanness_name(const nm_cleanness *cleanness) {
    static const char *const names[] = {"clean", "unfit", "contact", "too_short"};
    NM_ASSERT((unsigned)cleanness->blemish <= NM_BLEMISH_VERDICT);
    return cleanness->blemish == NM_BLEMISH_VERDICT ? nm_verdict_about(cleanness->verdict)->name
                                                    : names[cleanness->blemish];
}

/// The first step at which somebody touches the ego, and who.
static int find_contact(const nm_scene *scene, uint32_t ego, uint32_t first, uint32_t last, nm_cleanness *out) {
    for (uint32_t t = first; t <= last; ++t) {
        nm_box mine, other;
        if (!nm_scene_box(scene, ego, t, &mine)) continue;
        for (uint32_t track = 0; track < scene->track_count; ++track) {
            if (track == ego || !nm_scene_box(scene, track, t, &other)) continue;
            const float reach = 0.5f * (mine.length + mine.width + other.length + other.width);
            if (fabsf(other.x - mine.x) > reach || fabsf(other.y - mine.y) > reach) continue;
            if (!nm_box_overlap(&mine, &other)) continue;
            *out = (nm_cleanness){.blemish = NM_BLEMISH_CONTACT, .track = track, .step = t};
            return 1;
        }
    }
    return 0;
}

nm_status nm_episode_clean(const nm_scene *scene, const nm_episode_config *config, nm_arena *arena, nm_cleanness *out,
                           nm_error *error) {
    NM_ASSERT(scene && config && arena && out);
    uint32_t ego, first, last;
    *out = (nm_cleanness){.track = NM_NONE, .step = NM_NONE};
    nm_status status = nm_map_prepare(scene->map, error);
    if (status != NM_OK) return status;
    if (!nm_episode_span(scene, config, &ego, &first, &last) || first == last ||
        fabsf(scene->dt - NM_STEP_SECONDS) > 1e-4f) {
        out->blemish = NM_BLEMISH_UNFIT;
        return NM_OK;
    }
    if (find_contact(scene, ego, first, last, out)) return NM_OK;
    nm_validity_params params = nm_validity_params_default();
    params.profile = NM_LIMITS_COMFORT;
    params.speeding = NM_CLEAN_SPEEDING;
    params.wrong_way = NM_CLEAN_WRONG_WAY;
    nm_validity verdicts;
    status = nm_validity_of_drive(scene, ego, first, last, &params, arena, &verdicts, error);
    if (status != NM_OK) return status;
    for (int kind = 0; kind < NM_VERDICT_COUNT; ++kind) {
        const nm_verdict *verdict = &verdicts.verdicts[kind];
        if (verdict->result != NM_VERDICT_FAIL) continue;
        *out = (nm_cleanness){NM_BLEMISH_VERDICT, (nm_verdict_kind)kind, verdict->value,
                              verdict->limit,     verdict->track,        verdict->step};
        return NM_OK;
    }
    if (verdicts.verdicts[NM_VERDICT_JERK].result == NM_VERDICT_UNJUDGED) out->blemish = NM_BLEMISH_SHORT;
    return NM_OK;
}
