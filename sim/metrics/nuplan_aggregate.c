/// How metrics make up a score, and scores a table.
#include <math.h>

#include "sim/metrics/nuplan_score.h"

static const nm_nuplan_description descriptions[NM_NUPLAN_METRIC_COUNT] = {
    [NM_NUPLAN_COLLISIONS] = {"no_ego_at_fault_collisions", "collisions", NM_NUPLAN_MULTIPLIER, 0.0, 0.0, 1.0,
                              "no collision at fault: with people or vehicles none is allowed (low), one object (high) "
                              "halves it"},
    [NM_NUPLAN_DRIVABLE_AREA] = {"drivable_area_compliance", "corners", NM_NUPLAN_MULTIPLIER, 0.0,
                                 NM_NUPLAN_AREA_TOLERANCE, NM_NUPLAN_AREA_TOLERANCE,
                                 "every corner less than this, in m, from the drivable area at all times"},
    [NM_NUPLAN_MAKING_PROGRESS] = {"ego_is_making_progress", "1", NM_NUPLAN_MULTIPLIER, 0.0,
                                   NM_NUPLAN_MAKING_PROGRESS_MIN, NM_NUPLAN_MAKING_PROGRESS_MIN,
                                   "at least this share of the expert's progress"},
    [NM_NUPLAN_DRIVING_DIRECTION] = {"driving_direction_compliance", "m", NM_NUPLAN_MULTIPLIER, 0.0,
                                     NM_NUPLAN_DIRECTION_COMPLIANT, NM_NUPLAN_DIRECTION_VIOLATION,
                                     "less than low against the lane within a second: 1; less than high: 0.5; else 0"},
    [NM_NUPLAN_PROGRESS] = {"ego_progress_along_expert_route", "1", NM_NUPLAN_AVERAGE, 5.0,
                            NM_NUPLAN_PROGRESS_THRESHOLD, NM_NUPLAN_PROGRESS_THRESHOLD,
                            "progress over the expert's; less than this, in m, counts as this"},
    [NM_NUPLAN_TTC] = {"time_to_collision_within_bound", "s", NM_NUPLAN_AVERAGE, 5.0, NM_NUPLAN_TTC_BOUND,
                       NM_NUPLAN_TTC_BOUND, "the time to collision exceeds this at all times"},
    [NM_NUPLAN_SPEED_LIMIT] = {"speed_limit_compliance", "m/s", NM_NUPLAN_AVERAGE, 4.0, NM_NUPLAN_SPEED_EXCESS,
                               NM_NUPLAN_SPEED_EXCESS,
                               "1 less the mean excess over the speed limit as a share of this"},
    [NM_NUPLAN_COMFORT] = {"ego_is_comfortable", "1", NM_NUPLAN_AVERAGE, 2.0, 1.0, 1.0,
                           "accelerations, jerks and yaw within all six bounds at all times"},
    [NM_NUPLAN_LON_ACCEL] = {"ego_lon_acceleration", "m/s^2", NM_NUPLAN_PART, 0.0, NM_NUPLAN_LON_ACCEL_MIN,
                             NM_NUPLAN_LON_ACCEL_MAX, "longitudinal acceleration of the centre between the two"},
    [NM_NUPLAN_LAT_ACCEL] = {"ego_lat_acceleration", "m/s^2", NM_NUPLAN_PART, 0.0, -NM_NUPLAN_LAT_ACCEL_MAX,
                             NM_NUPLAN_LAT_ACCEL_MAX, "lateral acceleration of the centre between the two"},
    [NM_NUPLAN_YAW_RATE] = {"ego_yaw_rate", "rad/s", NM_NUPLAN_PART, 0.0, -NM_NUPLAN_YAW_RATE_MAX,
                            NM_NUPLAN_YAW_RATE_MAX, "yaw rate between the two"},
    [NM_NUPLAN_YAW_ACCEL] = {"ego_yaw_acceleration", "rad/s^2", NM_NUPLAN_PART, 0.0, -NM_NUPLAN_YAW_ACCEL_MAX,
                             NM_NUPLAN_YAW_ACCEL_MAX, "yaw acceleration between the two"},
    [NM_NUPLAN_LON_JERK] = {"ego_lon_jerk", "m/s^3", NM_NUPLAN_PART, 0.0, -NM_NUPLAN_LON_JERK_MAX,
                            NM_NUPLAN_LON_JERK_MAX, "longitudinal jerk of the centre between the two"},
    [NM_NUPLAN_JERK] = {"ego_jerk", "m/s^3", NM_NUPLAN_PART, 0.0, -NM_NUPLAN_JERK_MAX, NM_NUPLAN_JERK_MAX,
                        "change of the magnitude of the rear axle's acceleration between the two"},
};

const nm_nuplan_description *nm_nuplan_describe(nm_nuplan_metric metric) {
    NM_ASSERT(metric < NM_NUPLAN_METRIC_COUNT);
    return &descriptions[metric];
}

const char *nm_nuplan_type_name(nm_nuplan_type type) {
    static const char *const names[NM_NUPLAN_TYPE_COUNT] = {"vehicle", "pedestrian", "bicycle",       "traffic_cone",
                                                            "barrier", "czone_sign", "generic_object"};
    NM_ASSERT((unsigned)type < NM_NUPLAN_TYPE_COUNT);
    return names[type];
}

const char *nm_nuplan_class_name(nm_nuplan_class which) {
    static const char *const names[NM_NUPLAN_CLASS_COUNT] = {
        [NM_NUPLAN_STOPPED_EGO] = "stopped_ego",       [NM_NUPLAN_STOPPED_TRACK] = "stopped_track",
        [NM_NUPLAN_ACTIVE_REAR] = "active_rear",       [NM_NUPLAN_ACTIVE_FRONT] = "active_front",
        [NM_NUPLAN_ACTIVE_LATERAL] = "active_lateral",
    };
    NM_ASSERT(which < NM_NUPLAN_CLASS_COUNT);
    return names[which];
}

double nm_nuplan_combine(const double *values) {
    double product = 1.0, sum = 0.0, weights = 0.0;
    NM_ASSERT(values);
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) {
        if (isnan(values[m])) continue;
        if (descriptions[m].role == NM_NUPLAN_MULTIPLIER) {
            product *= values[m];
        } else {
            sum += descriptions[m].weight * values[m];
            weights += descriptions[m].weight;
        }
    }
    return weights > 0.0 ? product * (sum / weights) : 0.0;
}

static void add(nm_nuplan_mean *row, const nm_nuplan_entry *entry, int skip) {
    if (entry->failed) {
        row->failed++;
        row->scenarios += !skip;
        return;
    }
    row->scenarios++;
    row->score += entry->score;
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m)
        if (!isnan(entry->metric[m])) row->metric[m] += entry->metric[m];
}

static nm_status check(const nm_nuplan_entry *entries, size_t count, uint32_t type_count, nm_error *error) {
    for (size_t i = 0; i < count; ++i) {
        const nm_nuplan_entry *e = &entries[i];
        if (e->type >= type_count)
            return NM_ERROR(error, NM_E_ARGUMENT, "scenario %zu is of type %u of %u", i, e->type, type_count);
        int finite = isfinite(e->score);
        for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) finite &= !isinf(e->metric[m]);
        if (!e->failed && !finite) return NM_ERROR(error, NM_E_NUMERIC, "the score of scenario %zu is not finite", i);
    }
    return NM_OK;
}

nm_status nm_nuplan_aggregate(const nm_nuplan_entry *entries, size_t count, nm_nuplan_failures failures,
                              nm_nuplan_mean *types, uint32_t type_count, nm_nuplan_mean *all, nm_error *error) {
    NM_ASSERT((count == 0 || entries) && (type_count == 0 || types) && all);
    const nm_status status = check(entries, count, type_count, error);
    if (status != NM_OK) return status;
    nm_nuplan_mean sum = {0};
    for (uint32_t t = 0; t < type_count; ++t) types[t] = sum;
    for (size_t i = 0; i < count; ++i) add(&types[entries[i].type], &entries[i], failures == NM_NUPLAN_FAILURES_SKIP);
    for (uint32_t t = 0; t < type_count; ++t) {
        sum.scenarios += types[t].scenarios;
        sum.failed += types[t].failed;
        sum.score += types[t].score;
        for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) sum.metric[m] += types[t].metric[m];
        types[t].score /= (double)types[t].scenarios; // 0 / 0 = NaN: no scenarios
    }
    sum.score /= (double)sum.scenarios;
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) sum.metric[m] /= (double)sum.scenarios;
    *all = sum;
    return NM_OK;
}
