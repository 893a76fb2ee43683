/// The closed-loop score of nuPlan: checks, a run over all metrics, and how they make up the score.
#include "sim/metrics/nuplan_private.h"

#define MAX_SAMPLES 1000000u
#define MAX_VALUE 1e8

nm_nuplan_vehicle nm_nuplan_vehicle_pacifica(void) {
    return (nm_nuplan_vehicle){.length = 5.176, .width = 2.297, .rear_to_centre = 1.461, .wheelbase = 3.089};
}

nm_nuplan_vehicle nm_nuplan_vehicle_sized(double length, double width) {
    nm_nuplan_vehicle vehicle = nm_nuplan_vehicle_pacifica();
    const double scale = length / vehicle.length;
    vehicle.length = length;
    vehicle.width = width;
    vehicle.rear_to_centre *= scale;
    vehicle.wheelbase *= scale;
    return vehicle;
}

nm_nuplan_type nm_nuplan_type_of(nm_agent_type type) {
    switch (type) {
    case NM_AGENT_PEDESTRIAN:
        return NM_NUPLAN_PEDESTRIAN;
    case NM_AGENT_CYCLIST:
    case NM_AGENT_MOTORCYCLE:
        return NM_NUPLAN_BICYCLE;
    case NM_AGENT_OBSTACLE:
        return NM_NUPLAN_GENERIC_OBJECT;
    default:
        return NM_NUPLAN_VEHICLE;
    }
}

int nm_nuplan_type_static(nm_nuplan_type type) {
    return type >= NM_NUPLAN_TRAFFIC_CONE;
}

// --- checks ----------------------------------------------------------------------------------------------------------

static int sane(double value) {
    return fabs(value) <= MAX_VALUE; // false for NaN
}

static nm_status check_vehicle(const nm_nuplan_vehicle *v, nm_error *error) {
    if (!(v->length > 0.0 && v->width > 0.0 && sane(v->length) && sane(v->width) && sane(v->rear_to_centre)))
        return NM_ERROR(error, NM_E_ARGUMENT, "a vehicle of %g m by %g m, with its centre %g m ahead of its rear axle",
                        v->length, v->width, v->rear_to_centre);
    return NM_OK;
}

static nm_status check_ego(const nm_nuplan_drive *d, nm_error *error) {
    for (uint32_t k = 0; k < d->samples; ++k) {
        const nm_nuplan_ego *e = &d->ego[k];
        if (!(sane(e->x) && sane(e->y) && sane(e->heading) && sane(e->vx) && sane(e->vy) && sane(e->ax) &&
              sane(e->ay) && sane(e->yaw_rate) && sane(e->yaw_accel)))
            return NM_ERROR(error, NM_E_NUMERIC, "the ego's state at sample %u is not finite", k);
        if (k && e->time_us <= e[-1].time_us)
            return NM_ERROR(error, NM_E_ARGUMENT, "sample %u at %lld us does not come after the one before", k,
                            (long long)e->time_us);
        if (e->time_us < 0 || e->time_us > INT64_MAX / 4)
            return NM_ERROR(error, NM_E_ARGUMENT, "sample %u has the time stamp %lld us", k, (long long)e->time_us);
    }
    for (uint32_t k = 0; k < d->expert_samples; ++k) {
        const nm_nuplan_pose *p = &d->expert[k];
        if (!(sane(p->x) && sane(p->y) && sane(p->heading)))
            return NM_ERROR(error, NM_E_NUMERIC, "the expert's pose %u is not finite", k);
    }
    return NM_OK;
}

static nm_status check_tracks(const nm_nuplan_drive *d, nm_error *error) {
    for (uint32_t t = 0; t < d->tracks; ++t)
        if (d->types[t] >= NM_NUPLAN_TYPE_COUNT)
            return NM_ERROR(error, NM_E_ARGUMENT, "track %u is of type %u of %u", t, d->types[t], NM_NUPLAN_TYPE_COUNT);
    for (uint32_t k = 0; k < d->samples; ++k)
        for (uint32_t t = 0; t < d->tracks; ++t) {
            const size_t at = (size_t)k * d->tracks + t;
            const nm_nuplan_box *b = &d->boxes[at];
            if (!d->present[at]) continue;
            if (!(sane(b->x) && sane(b->y) && sane(b->heading) && sane(b->vx) && sane(b->vy) && sane(b->length) &&
                  sane(b->width)))
                return NM_ERROR(error, NM_E_NUMERIC, "track %u at sample %u is not finite", t, k);
            if (!(b->length > 0.0 && b->width > 0.0))
                return NM_ERROR(error, NM_E_ARGUMENT, "track %u at sample %u measures %g m by %g m", t, k, b->length,
                                b->width);
        }
    return NM_OK;
}

static nm_status check(const nm_nuplan_drive *d, nm_error *error) {
    if (d->samples < 4 || d->samples > MAX_SAMPLES || d->expert_samples < 1 || d->expert_samples > MAX_SAMPLES)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u samples of the ego and %u of the expert: 4 and 1 to %u can be scored",
                        d->samples, d->expert_samples, MAX_SAMPLES);
    nm_status status = check_vehicle(&d->vehicle, error);
    if (status == NM_OK) status = check_ego(d, error);
    if (status == NM_OK) status = check_tracks(d, error);
    return status;
}

// --- a run -----------------------------------------------------------------------------------------------------------

static int allocate(nm_nuplan_run *run) {
    const size_t samples = run->drive->samples, experts = run->drive->expert_samples;
    run->moment = calloc(samples, sizeof *run->moment);
    run->route.set = calloc(samples, sizeof *run->route.set);
    run->corners.set = calloc(samples * NM_NUPLAN_CORNERS, sizeof *run->corners.set);
    run->expert.set = calloc(experts, sizeof *run->expert.set);
    run->contact = calloc((size_t)run->drive->tracks + 1, sizeof *run->contact);
    run->centre = calloc(samples, sizeof *run->centre);
    run->expert_centre = calloc(experts, sizeof *run->expert_centre);
    run->work = calloc(3 * samples, sizeof *run->work);
    return run->moment && run->route.set && run->corners.set && run->expert.set && run->contact && run->centre &&
           run->expert_centre && run->work;
}

static void release(nm_nuplan_run *run) {
    free(run->moment);
    free(run->route.set);
    free(run->corners.set);
    free(run->expert.set);
    nm_pile_free(&run->route.refs);
    nm_pile_free(&run->corners.refs);
    nm_pile_free(&run->expert.refs);
    free(run->contact);
    free(run->centre);
    free(run->expert_centre);
    free(run->work);
}

static nm_nuplan_moment moment_of(const nm_nuplan_vehicle *vehicle, const nm_nuplan_ego *e) {
    static const int forward[NM_NUPLAN_CORNERS] = {1, -1, -1, 1}, left[NM_NUPLAN_CORNERS] = {1, 1, -1, -1};
    nm_nuplan_moment m = {.cos_h = cos(e->heading), .sin_h = sin(e->heading), .speed = nm_nuplan_hypot(e->vx, e->vy)};
    m.x = e->x + vehicle->rear_to_centre * m.cos_h;
    m.y = e->y + vehicle->rear_to_centre * m.sin_h;
    for (int c = 0; c < NM_NUPLAN_CORNERS; ++c) {
        const double l = 0.5 * vehicle->length * forward[c], w = 0.5 * vehicle->width * left[c];
        m.corner[c] = (nm_nuplan_point){m.x + l * m.cos_h - w * m.sin_h, m.y + l * m.sin_h + w * m.cos_h};
    }
    return m;
}

static void look(nm_nuplan_run *run) {
    const nm_nuplan_drive *d = run->drive;
    run->mean_dt = 1e-6 * (double)(d->ego[d->samples - 1].time_us - d->ego[0].time_us) / (double)(d->samples - 1);
    for (uint32_t k = 0; k < d->samples; ++k) {
        run->moment[k] = moment_of(&d->vehicle, &d->ego[k]);
        run->centre[k] = (nm_nuplan_point){run->moment[k].x, run->moment[k].y};
    }
    for (uint32_t k = 0; k < d->expert_samples; ++k) {
        const nm_nuplan_pose *p = &d->expert[k];
        run->expert_centre[k] = (nm_nuplan_point){p->x + d->vehicle.rear_to_centre * cos(p->heading),
                                                  p->y + d->vehicle.rear_to_centre * sin(p->heading)};
    }
}

static int find_lanes(nm_nuplan_run *run) {
    const nm_nuplan_drive *d = run->drive;
    if (!nm_nuplan_find_route(run->map, run->centre, d->samples, &run->route) ||
        !nm_nuplan_find_route(run->map, run->expert_centre, d->expert_samples, &run->expert) ||
        !nm_nuplan_find_corners(run->map, run->moment, d->samples, &run->corners))
        return 0;
    for (uint32_t k = 0; k < d->samples; ++k) {
        run->moment[k].multi_lane = !nm_nuplan_in_one_lane(run->map, &run->corners, k);
        run->result->multi_lane_samples += run->moment[k].multi_lane;
        run->result->off_route_samples += run->route.set[k].count == 0;
        if (run->series->multi_lane) run->series->multi_lane[k] = run->moment[k].multi_lane;
    }
    return 1;
}

static int judge(nm_nuplan_run *run, nm_nuplan_collision *collisions, uint32_t max) {
    if (!allocate(run)) return 0;
    look(run);
    if (!find_lanes(run)) return 0;
    nm_nuplan_find_collisions(run, collisions, max);
    nm_nuplan_judge_ttc(run);
    nm_nuplan_judge_area(run);
    nm_nuplan_judge_direction(run);
    nm_nuplan_judge_speed(run);
    nm_nuplan_judge_comfort(run);
    return nm_nuplan_judge_progress(run);
}

nm_status nm_nuplan_score(const nm_nuplan_drive *drive, nm_nuplan_result *result, nm_nuplan_collision *collisions,
                          uint32_t max, const nm_nuplan_series *series, nm_error *error) {
    static const nm_nuplan_series none;
    NM_ASSERT(drive && drive->map && drive->ego && drive->expert && result);
    NM_ASSERT(drive->tracks == 0 || (drive->types && drive->present && drive->boxes));
    const nm_status status = check(drive, error);
    if (status != NM_OK) return status;
    nm_nuplan_result made = {0};
    nm_nuplan_run run = {.drive = drive, .map = drive->map, .result = &made, .series = series ? series : &none};
    const int done = judge(&run, collisions, max);
    release(&run);
    if (!done) return NM_ERROR(error, NM_E_MEMORY, "no memory to score %u samples", drive->samples);
    double values[NM_NUPLAN_SCORED_COUNT];
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) values[m] = made.metric[m].value;
    made.score = nm_nuplan_combine(values);
    *result = made;
    return NM_OK;
}
