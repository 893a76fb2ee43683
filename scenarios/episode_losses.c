#include "scenarios/episode_losses.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/metrics/criticality.h"
#include "sim/metrics/nuplan_scene.h"

#define SHARE 0.5 // of a loss that the recording has, from which it is its

/// What the score would gain.
static double cost_of(const nm_nuplan_result *score, int metric) {
    double values[NM_NUPLAN_SCORED_COUNT];
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) values[m] = m == metric ? 1.0 : score->metric[m].value;
    return nm_nuplan_combine(values) - score->score;
}

static const nm_nuplan_collision *first_at_fault(const nm_nuplan_collision *collisions, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i)
        if (collisions[i].at_fault) return &collisions[i];
    return NULL;
}

/// How much of its bound a part of comfort takes up; below 1 for those that keep it.
static double share_of(const nm_nuplan_result *score, int part) {
    const nm_nuplan_description *about = nm_nuplan_describe((nm_nuplan_metric)part);
    const double worst = score->metric[part].worst;
    return worst > 0.0 ? worst / about->high : worst / about->low;
}

static uint8_t worst_part(const nm_nuplan_result *score) {
    int worst = NM_NUPLAN_LON_ACCEL;
    for (int part = worst + 1; part < NM_NUPLAN_METRIC_COUNT; ++part)
        if (share_of(score, part) > share_of(score, worst)) worst = part;
    return (uint8_t)worst;
}

static nm_loss loss_of(const nm_nuplan_result *score, int metric, const nm_nuplan_collision *fault) {
    const nm_nuplan_value *value = &score->metric[metric];
    nm_loss loss = {.metric = (uint8_t)metric,
                    .value = value->value,
                    .recorded = NAN,
                    .cost = cost_of(score, metric),
                    .sample = value->step,
                    .track = value->track};
    if (metric == NM_NUPLAN_COMFORT) {
        loss.detail = worst_part(score);
        loss.sample = score->metric[loss.detail].step;
    }
    const int collided = metric == NM_NUPLAN_COLLISIONS || (metric == NM_NUPLAN_TTC && value->track == NM_NONE);
    if (collided && fault) loss.track = fault->track; // a collision at fault is a TTC of 0
    if (metric == NM_NUPLAN_COLLISIONS && fault) loss.detail = fault->collision_class;
    return loss;
}

uint32_t nm_losses_of(const nm_nuplan_result *score, const nm_nuplan_collision *collisions, uint32_t collision_count,
                      const nm_nuplan_result *recorded, nm_loss *losses) {
    const nm_nuplan_collision *fault = first_at_fault(collisions, collision_count);
    uint32_t count = 0;
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) {
        const double lacks = 1.0 - score->metric[m].value;
        if (!(lacks > NM_LOSS_LEAST)) continue;
        nm_loss *loss = &losses[count++];
        *loss = loss_of(score, m, fault);
        if (!recorded) continue;
        loss->recorded = recorded->metric[m].value;
        loss->recording = 1.0 - loss->recorded >= SHARE * lacks;
    }
    return count;
}

const char *nm_loss_detail(const nm_loss *loss) {
    if (loss->metric == NM_NUPLAN_COLLISIONS) return nm_nuplan_class_name((nm_nuplan_class)loss->detail);
    return loss->metric == NM_NUPLAN_COMFORT ? nm_nuplan_describe((nm_nuplan_metric)loss->detail)->name : "";
}

static int has_detail(const nm_loss *loss) {
    if (loss->metric == NM_NUPLAN_COLLISIONS) return loss->detail < NM_NUPLAN_CLASS_COUNT;
    if (loss->metric == NM_NUPLAN_COMFORT)
        return loss->detail >= NM_NUPLAN_LON_ACCEL && loss->detail < NM_NUPLAN_METRIC_COUNT;
    return loss->detail == 0;
}

int nm_loss_from_names(const char *metric, const char *detail, nm_loss *loss) {
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) {
        if (strcmp(metric, nm_nuplan_describe((nm_nuplan_metric)m)->name) != 0) continue;
        for (int d = 0; d < NM_NUPLAN_METRIC_COUNT; ++d) {
            const nm_loss named = {.metric = (uint8_t)m, .detail = (uint8_t)d};
            if (!has_detail(&named) || strcmp(detail, nm_loss_detail(&named)) != 0) continue;
            loss->metric = named.metric;
            loss->detail = named.detail;
            return 1;
        }
    }
    return 0;
}

// ---------------------------------------------------------------------------------------------------------------------
// The recording

/// As an episode looks at the others: without those that touch the ego from the start on.
static void leave_out(nm_nuplan_record *record, const nm_scene *scene, uint32_t first) {
    const uint32_t tracks = record->drive.tracks;
    for (uint32_t t = 0; t < tracks; ++t) {
        int touching = 1;
        for (uint32_t k = 0; k < record->drive.samples; ++k) {
            const size_t at = (size_t)k * tracks + t;
            nm_box ego, other;
            if (!touching) break;
            touching = nm_scene_box(scene, scene->ego, first + k, &ego) && nm_scene_box(scene, t, first + k, &other) &&
                       nm_box_distance(&ego, &other) <= 0.0f;
            if (touching) record->present[at] = 0;
        }
    }
}

nm_status nm_recording_score(const nm_nuplan_map *map, const nm_scene *scene, uint32_t first, uint32_t samples,
                             nm_nuplan_result *score, nm_error *error) {
    nm_nuplan_record *record;
    nm_status status = nm_nuplan_record_scene(map, scene, scene, first, samples + 1, &record, error);
    if (status != NM_OK) return status;
    leave_out(record, scene, first);
    status = nm_nuplan_score(&record->drive, score, NULL, 0, NULL, error);
    nm_nuplan_record_destroy(record);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Of many episodes

static nm_reason *reason_of(nm_reasons *reasons, const nm_loss *loss) {
    for (uint32_t i = 0; i < reasons->count; ++i) {
        nm_reason *reason = &reasons->reasons[i];
        if (reason->about.metric == loss->metric && reason->about.detail == loss->detail) return reason;
    }
    NM_ASSERT(reasons->count < NM_REASONS_MAX && has_detail(loss));
    nm_reason *made = &reasons->reasons[reasons->count++];
    *made = (nm_reason){.about = {.metric = loss->metric, .detail = loss->detail}};
    return made;
}

void nm_reasons_add(nm_reasons *reasons, const nm_loss *losses, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
        nm_reason *reason = reason_of(reasons, &losses[i]);
        ++reason->episodes;
        reason->recordings += losses[i].recording;
        reason->cost += losses[i].cost;
    }
}

static int compare(const void *a, const void *b) {
    const nm_reason *x = a, *y = b;
    if (x->cost != y->cost) return x->cost > y->cost ? -1 : 1;
    if (x->episodes != y->episodes) return x->episodes > y->episodes ? -1 : 1;
    if (x->about.metric != y->about.metric) return x->about.metric < y->about.metric ? -1 : 1;
    return (x->about.detail > y->about.detail) - (x->about.detail < y->about.detail);
}

void nm_reasons_sort(nm_reasons *reasons) {
    qsort(reasons->reasons, reasons->count, sizeof *reasons->reasons, compare);
}
