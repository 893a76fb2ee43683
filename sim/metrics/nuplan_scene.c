/// Drives out of scenes.
#include "sim/metrics/nuplan_scene.h"

#include <math.h>
#include <stdlib.h>

#include "sim/math.h"

#define MAX_TIME 1e12 // s

static int64_t time_of(const nm_scene *scene, uint32_t step) {
    const double seconds = scene->timestamps ? scene->timestamps[step] : (double)step * (double)scene->dt;
    return (int64_t)rint(seconds * 1e6);
}

static nm_status check_scene(const nm_scene *scene, const char *who, uint32_t first, uint32_t count, nm_error *error) {
    if (scene->ego >= scene->track_count) return NM_ERROR(error, NM_E_ARGUMENT, "the scene of the %s has no ego", who);
    if (first > scene->step_count || count > scene->step_count - first)
        return NM_ERROR(error, NM_E_ARGUMENT, "the %s is asked for steps %u to %u of %u", who, first,
                        first + count - (count != 0), scene->step_count);
    for (uint32_t k = first; k < first + count; ++k) {
        if (!scene->valid[nm_scene_at(scene, scene->ego, k)])
            return NM_ERROR(error, NM_E_ARGUMENT, "the %s has no state at step %u", who, k);
        if (scene->timestamps && !(fabs(scene->timestamps[k]) <= MAX_TIME))
            return NM_ERROR(error, NM_E_ARGUMENT, "step %u is at %g s", k, scene->timestamps[k]);
    }
    return NM_OK;
}

static nm_nuplan_pose pose_of(const nm_scene *scene, uint32_t step, double back) {
    const size_t at = nm_scene_at(scene, scene->ego, step);
    const double heading = (double)scene->heading[at];
    return (nm_nuplan_pose){(double)scene->x[at] - back * cos(heading), (double)scene->y[at] - back * sin(heading),
                            heading};
}

static void read_ego(const nm_scene *scene, uint32_t first, nm_nuplan_record *record) {
    const uint32_t samples = record->drive.samples;
    const int64_t start = time_of(scene, first);
    nm_nuplan_ego *ego = record->ego;
    for (uint32_t k = 0; k < samples; ++k) {
        const size_t at = nm_scene_at(scene, scene->ego, first + k);
        const nm_nuplan_pose pose = pose_of(scene, first + k, record->drive.vehicle.rear_to_centre);
        ego[k] = (nm_nuplan_ego){.time_us = time_of(scene, first + k) - start,
                                 .x = pose.x,
                                 .y = pose.y,
                                 .heading = pose.heading,
                                 .vx = (double)scene->vx[at] * cos(pose.heading) +
                                       (double)scene->vy[at] * sin(pose.heading)};
    }
    for (uint32_t k = 0; k < samples; ++k) {
        const nm_nuplan_ego *before = &ego[k ? k - 1 : 0], *after = &ego[k + 1 < samples ? k + 1 : k];
        const double dt = 1e-6 * (double)(after->time_us - before->time_us);
        if (!(dt > 0.0)) continue; // the score refuses such time stamps
        ego[k].ax = (after->vx - before->vx) / dt;
        ego[k].ay = ego[k].vx * nm_wrap_angle_d(after->heading - before->heading) / dt;
    }
}

static void read_tracks(const nm_scene *scene, uint32_t first, nm_nuplan_record *record) {
    const uint32_t tracks = scene->track_count;
    for (uint32_t t = 0; t < tracks; ++t) {
        uint32_t sizeless = 0;
        record->types[t] = (uint8_t)nm_nuplan_type_of((nm_agent_type)scene->tracks[t].type);
        for (uint32_t k = 0; k < record->drive.samples && t != scene->ego; ++k) {
            nm_state state;
            if (!nm_scene_get_state(scene, t, first + k, &state)) continue;
            const size_t at = (size_t)k * tracks + t;
            record->boxes[at] = (nm_nuplan_box){
                .x = (double)state.x,
                .y = (double)state.y,
                .heading = (double)state.heading,
                .vx = (double)state.vx,
                .vy = (double)state.vy,
                .length = (double)(state.length > 0.0f ? state.length : scene->tracks[t].length),
                .width = (double)(state.width > 0.0f ? state.width : scene->tracks[t].width),
            };
            record->present[at] = record->boxes[at].length > 0.0 && record->boxes[at].width > 0.0;
            sizeless |= !record->present[at];
        }
        record->sizeless += sizeless;
    }
}

static nm_nuplan_record *allocate(uint32_t samples, uint32_t iterations, uint32_t tracks) {
    nm_nuplan_record *record = calloc(1, sizeof *record);
    if (!record) return NULL;
    const size_t boxes = (size_t)samples * tracks;
    record->ego = calloc(samples, sizeof *record->ego);
    record->expert = calloc(iterations, sizeof *record->expert);
    record->types = calloc((size_t)tracks, 1);
    record->present = calloc(boxes, 1);
    record->boxes = calloc(boxes, sizeof *record->boxes);
    if (record->ego && record->expert && record->types && record->present && record->boxes) return record;
    nm_nuplan_record_destroy(record);
    return NULL;
}

nm_status nm_nuplan_record_scene(const nm_nuplan_map *map, const nm_scene *driven, const nm_scene *expert,
                                 uint32_t first_step, uint32_t iterations, nm_nuplan_record **record, nm_error *error) {
    NM_ASSERT(map && driven && expert && record);
    *record = NULL;
    if (iterations < 5) return NM_ERROR(error, NM_E_ARGUMENT, "%u iterations: at least 5 can be scored", iterations);
    nm_status status = check_scene(driven, "ego", first_step, iterations - 1, error);
    if (status == NM_OK) status = check_scene(expert, "expert", first_step, iterations, error);
    if (status != NM_OK) return status;
    nm_nuplan_record *made = allocate(iterations - 1, iterations, driven->track_count);
    if (!made)
        return NM_ERROR(error, NM_E_MEMORY, "no memory for %u steps of %u tracks", iterations, driven->track_count);
    const nm_track *ego = &driven->tracks[driven->ego];
    made->drive = (nm_nuplan_drive){.map = map,
                                    .vehicle = nm_nuplan_vehicle_sized((double)ego->length, (double)ego->width),
                                    .ego = made->ego,
                                    .samples = iterations - 1,
                                    .expert = made->expert,
                                    .expert_samples = iterations,
                                    .tracks = driven->track_count,
                                    .types = made->types,
                                    .present = made->present,
                                    .boxes = made->boxes};
    read_ego(driven, first_step, made);
    read_tracks(driven, first_step, made);
    for (uint32_t k = 0; k < iterations; ++k)
        made->expert[k] = pose_of(expert, first_step + k, made->drive.vehicle.rear_to_centre);
    *record = made;
    return NM_OK;
}

void nm_nuplan_record_destroy(nm_nuplan_record *record) {
    if (!record) return;
    free(record->ego);
    free(record->expert);
    free(record->types);
    free(record->present);
    free(record->boxes);
    free(record);
}
