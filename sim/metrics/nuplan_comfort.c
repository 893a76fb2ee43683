/// Comfort: six filtered series of the ego within bounds.
#include "sim/metrics/nuplan_private.h"

/// The value with the greatest share of its bound; the metric is 1 when every share is below 1. `low` < 0 < `high`.
static void judge(nm_nuplan_run *run, nm_nuplan_metric which, const double *values, double low, double high) {
    const uint32_t count = run->drive->samples;
    double most = -1.0, worst = 0.0;
    uint32_t step = 0;
    int inside = 1;
    for (uint32_t k = 0; k < count; ++k) {
        const double share = values[k] > 0.0 ? values[k] / high : values[k] / low;
        if (share > most) most = share, worst = values[k], step = k;
        inside &= low < values[k] && values[k] < high; // not by the share, which rounds
    }
    nm_nuplan_set_metric(run, which, inside ? 1.0 : 0.0, worst, step);
    nm_nuplan_value *all = &run->result->metric[NM_NUPLAN_COMFORT];
    if (!inside) all->value = 0.0;
    if (most > all->worst) all->worst = most, all->step = step;
}

static void keep(double *to, const double *values, uint32_t count) {
    if (to) memcpy(to, values, count * sizeof *to);
}

static void smooth(const double *values, uint32_t count, double delta, double *out) {
    nm_nuplan_savgol(values, count, 8, 2, 0, delta, out);
    nm_nuplan_round(out, count);
}

static void differentiate(const double *values, uint32_t count, double delta, double *out) {
    nm_nuplan_savgol(values, count, 15, 2, 1, delta, out);
    nm_nuplan_round(out, count);
}

static void judge_accelerations(nm_nuplan_run *run) {
    const nm_nuplan_drive *drive = run->drive;
    const uint32_t count = drive->samples;
    double *raw = run->work, *smoothed = run->work + count, *jerk = run->work + 2 * (size_t)count;
    // the published code adds both terms of the shift along x, with a positive sign; that is no kinematics, but it is
    // the number everybody compares with
    for (uint32_t k = 0; k < count; ++k) {
        const nm_nuplan_ego *e = &drive->ego[k];
        raw[k] = e->ax + drive->vehicle.rear_to_centre * (e->yaw_rate * e->yaw_rate + e->yaw_accel);
    }
    smooth(raw, count, run->mean_dt, smoothed);
    judge(run, NM_NUPLAN_LON_ACCEL, smoothed, NM_NUPLAN_LON_ACCEL_MIN, NM_NUPLAN_LON_ACCEL_MAX);
    keep(run->series->lon_accel, smoothed, count);
    differentiate(smoothed, count, run->mean_dt, jerk);
    judge(run, NM_NUPLAN_LON_JERK, jerk, -NM_NUPLAN_LON_JERK_MAX, NM_NUPLAN_LON_JERK_MAX);
    keep(run->series->lon_jerk, jerk, count);

    for (uint32_t k = 0; k < count; ++k) raw[k] = drive->ego[k].ay;
    smooth(raw, count, run->mean_dt, smoothed);
    judge(run, NM_NUPLAN_LAT_ACCEL, smoothed, -NM_NUPLAN_LAT_ACCEL_MAX, NM_NUPLAN_LAT_ACCEL_MAX);
    keep(run->series->lat_accel, smoothed, count);

    for (uint32_t k = 0; k < count; ++k) raw[k] = nm_nuplan_hypot(drive->ego[k].ax, drive->ego[k].ay);
    smooth(raw, count, run->mean_dt, smoothed);
    differentiate(smoothed, count, run->mean_dt, jerk);
    judge(run, NM_NUPLAN_JERK, jerk, -NM_NUPLAN_JERK_MAX, NM_NUPLAN_JERK_MAX);
    keep(run->series->jerk, jerk, count);
}

static void judge_yaw(nm_nuplan_run *run) {
    const nm_nuplan_drive *drive = run->drive;
    const uint32_t count = drive->samples;
    double *raw = run->work, *heading = run->work + count, *out = run->work + 2 * (size_t)count;
    for (uint32_t k = 0; k < count; ++k) raw[k] = drive->ego[k].heading;
    nm_nuplan_unwrap(raw, count, heading);
    nm_nuplan_savgol(heading, count, 5, 2, 1, run->mean_dt, out); // 15 is asked for, but never handed on: 5 it is
    nm_nuplan_round(out, count);
    judge(run, NM_NUPLAN_YAW_RATE, out, -NM_NUPLAN_YAW_RATE_MAX, NM_NUPLAN_YAW_RATE_MAX);
    keep(run->series->yaw_rate, out, count);
    nm_nuplan_savgol(heading, count, 5, 3, 2, run->mean_dt, out);
    nm_nuplan_round(out, count);
    judge(run, NM_NUPLAN_YAW_ACCEL, out, -NM_NUPLAN_YAW_ACCEL_MAX, NM_NUPLAN_YAW_ACCEL_MAX);
    keep(run->series->yaw_accel, out, count);
}

void nm_nuplan_judge_comfort(nm_nuplan_run *run) {
    nm_nuplan_set_metric(run, NM_NUPLAN_COMFORT, 1.0, -1.0, NM_NONE);
    judge_accelerations(run);
    judge_yaw(run);
}
