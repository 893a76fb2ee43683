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
    const nm_status status = nm_nuplan_score(&driven, &out->score, out->collisions, NM_EPISODE_COLLISIONS, NULL, error);
    if (status != NM_OK) return status;
    out->collision_count =
        out->score.collisions < NM_EPISODE_COLLISIONS ? out->score.collisions : NM_EPISODE_COLLISIONS;
    find_worst(out);
    const nm_episode_drive drive = {.vehicle = &e->vehicle,
                                    .ego = e->ego,
                                    .samples = out->samples,
                                    .tracks = e->scene->track_count,
                                    .present = e->present,
                                    .boxes = e->boxes};
    return nm_episode_measure_danger(&drive, e->work->arena, &out->danger, error);
}
