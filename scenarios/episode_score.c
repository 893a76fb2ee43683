/// After the end of an episode: what it comes to.
#include "scenarios/episode_internal.h"

#include "scenarios/episode_danger.h"

/// Where the score lost most, and by what.
static void find_worst(nm_episode *out) {
    double most = 1e-6; // less is rounding: of progress, say
    out->worst_sample = NM_NONE;
    out->worst = "";
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) {
        const nm_nuplan_description *about = nm_nuplan_describe((nm_nuplan_metric)m);
        const double lost =
            (1.0 - out->score.metric[m].value) * (about->role == NM_NUPLAN_MULTIPLIER ? 1.0 : about->weight / 16.0);
        if (lost <= most) continue;
        most = lost;
        out->worst = about->name;
        out->worst_sample = out->score.metric[m].step;
    }
}

/// A recording that cannot be scored says nothing.
static nm_status find_losses(nm_episode_state *e, nm_error *error) {
    nm_episode *out = e->out;
    nm_nuplan_result recorded;
    nm_error why;
    nm_error_clear(&why);
    nm_status status = e->config->asked ? NM_E_NOT_FOUND : NM_OK; // nobody drove there
    if (status == NM_OK)
        status = nm_recording_score(e->work->view, e->recorded ? e->recorded : e->scene, e->start, out->samples,
                                    &recorded, &why);
    if (status == NM_E_MEMORY) {
        if (error) *error = why;
        return status;
    }
    out->loss_count = nm_losses_of(&out->score, out->collisions, out->collision_count,
                                   status == NM_OK ? &recorded : NULL, out->losses);
    return NM_OK;
}

nm_status nm_episode_rate(nm_episode_state *e, nm_error *error) {
    nm_episode *out = e->out;
    const nm_nuplan_drive driven = {
        .map = e->work->view,
        .vehicle = {.length = (double)e->vehicle.length,
                    .width = (double)e->vehicle.width,
                    .rear_to_centre = (double)e->vehicle.rear_axle_to_box_centre,
                    .wheelbase = (double)e->vehicle.wheelbase},
        .ego = e->ego,
        .samples = out->samples,
        .expert = e->expert,
        .expert_samples = e->iterations,
        .tracks = e->scene->track_count,
        .types = e->types,
        .present = e->present,
        .boxes = e->boxes,
    };
    nm_status status = nm_nuplan_score(&driven, &out->score, out->collisions, NM_EPISODE_COLLISIONS, NULL, error);
    if (status != NM_OK) return status;
    out->collision_count =
        out->score.collisions < NM_EPISODE_COLLISIONS ? out->score.collisions : NM_EPISODE_COLLISIONS;
    find_worst(out);
    status = find_losses(e, error);
    if (status != NM_OK) return status;
    const nm_episode_drive drive = {.vehicle = &e->vehicle,
                                    .ego = e->ego,
                                    .samples = out->samples,
                                    .tracks = e->scene->track_count,
                                    .present = e->present,
                                    .boxes = e->boxes};
    return nm_episode_measure_danger(&drive, e->work->arena, &out->danger, error);
}
