/// The ego and its road: drivable area, driving direction, speed limit.
#include "sim/metrics/nuplan_private.h"

// --- drivable area ---------------------------------------------------------------------------------------------------

/// Is the point less than the tolerance from the objects that the ego's centre follows?
static int near_route(const nm_nuplan_run *run, uint32_t k, nm_nuplan_point p) {
    const uint32_t *set = nm_nuplan_set(&run->route, k);
    for (uint32_t i = 0; i < run->route.set[k].count; ++i) {
        const uint32_t surface = run->map->def.objects[set[i]].surface;
        if (nm_nuplan_polygon_distance(run->map, surface, p.x, p.y) < NM_NUPLAN_AREA_TOLERANCE) return 1;
    }
    return 0;
}

void nm_nuplan_judge_area(nm_nuplan_run *run) {
    uint32_t far_off = 0, first = NM_NONE;
    for (uint32_t k = 0; k < run->drive->samples; ++k) {
        unsigned bits = 0;
        for (unsigned c = 0; c < NM_NUPLAN_CORNERS; ++c) {
            const nm_nuplan_point p = run->moment[k].corner[c];
            if (run->corners.set[(size_t)k * NM_NUPLAN_CORNERS + c].count || near_route(run, k, p) ||
                nm_nuplan_layer_near(run->map, NM_NUPLAN_DRIVABLE, p.x, p.y, NM_NUPLAN_AREA_TOLERANCE))
                continue;
            bits |= 1u << c;
            ++far_off;
            if (first == NM_NONE) first = k;
        }
        if (run->series->far_off) run->series->far_off[k] = (uint8_t)bits;
    }
    nm_nuplan_set_metric(run, NM_NUPLAN_DRIVABLE_AREA, far_off ? 0.0 : 1.0, (double)far_off, first);
}

// --- driving direction -----------------------------------------------------------------------------------------------

/// Progress of each sample along the first object of its route. As published: an object counts from its third sample on
/// (the initial one from its second), and never at its very start.
static void progress_along_lane(const nm_nuplan_run *run, double *progress) {
    uint32_t object = run->route.set[0].count ? nm_nuplan_set(&run->route, 0)[0] : NM_NONE;
    double remembered = 0.0;
    int remembers = 0;
    for (uint32_t k = 0; k < run->drive->samples; ++k) {
        progress[k] = 0.0;
        if (!run->route.set[k].count) continue;
        const uint32_t here = nm_nuplan_set(&run->route, k)[0];
        if (here != object) {
            object = here;
            remembers = 0;
            continue;
        }
        const double s = nm_nuplan_project(run->map, object, run->moment[k].x, run->moment[k].y);
        if (remembers && s != 0.0) progress[k] = s - remembered;
        remembered = s;
        remembers = 1;
    }
}

/// Terms of a window less one: floor(1 s / mean dt), in integers, since 1 / 0.1 need not be 10.
static uint32_t window_steps(const nm_nuplan_drive *drive) {
    const int64_t duration = drive->ego[drive->samples - 1].time_us - drive->ego[0].time_us;
    const int64_t steps = INT64_C(1000000) * (int64_t)(drive->samples - 1) / duration;
    return steps < (int64_t)drive->samples ? (uint32_t)steps : drive->samples;
}

#define LONG_WINDOW 1000u // terms

void nm_nuplan_judge_direction(nm_nuplan_run *run) {
    double *progress = run->work, *until = run->work + run->drive->samples, least = INFINITY;
    const uint32_t steps = window_steps(run->drive);
    uint32_t step = NM_NONE;
    progress_along_lane(run, progress);
    for (uint32_t k = 0; steps > LONG_WINDOW && k < run->drive->samples; ++k)
        until[k] = progress[k] + (k ? until[k - 1] : 0.0);
    for (uint32_t k = 0; k < run->drive->samples; ++k) {
        const uint32_t from = k > steps ? k - steps : 0;
        double sum = 0.0;        // anew for each: a running sum would carry its rounding along
        if (steps > LONG_WINDOW) // which is no matter beside that of so many terms
            sum = until[k] - (from ? until[from - 1] : 0.0);
        else
            for (uint32_t i = from; i <= k; ++i) sum += progress[i];
        if (run->series->progress_1s) run->series->progress_1s[k] = sum;
        if (sum < least) least = sum, step = k;
    }
    const double worst = fabs(least);
    const double value = worst < NM_NUPLAN_DIRECTION_COMPLIANT   ? 1.0
                         : worst < NM_NUPLAN_DIRECTION_VIOLATION ? 0.5
                                                                 : 0.0;
    nm_nuplan_set_metric(run, NM_NUPLAN_DRIVING_DIRECTION, value, least, least < 0.0 ? step : NM_NONE);
}

// --- speed limit -----------------------------------------------------------------------------------------------------

/// Takes a limit in; 0 when it is missing.
static int collect(const nm_nuplan_map *map, uint32_t object, double *limit) {
    const double here = map->def.objects[object].speed_limit;
    if (!(here > 0.0)) return 0;
    *limit = here > *limit ? here : *limit;
    return 1;
}

static int collect_all(const nm_nuplan_map *map, nm_range edges, const uint32_t *list, double *limit) {
    for (uint32_t i = edges.first; i < edges.first + edges.count; ++i)
        if (!collect(map, list[i], limit)) return 0;
    return 1;
}

/// The limit where the ego is, or INFINITY when there is none, or one is missing. On connectors it is the highest of
/// the lanes around all of them; their own is not looked at.
static double limit_at(const nm_nuplan_run *run, uint32_t k) {
    const nm_nuplan_map *map = run->map;
    const uint32_t count = run->route.set[k].count, *set = nm_nuplan_set(&run->route, k);
    double limit = 0.0;
    if (count && map->def.objects[set[0]].kind == NM_NUPLAN_LANE) {
        if (!collect(map, set[0], &limit)) return INFINITY;
    } else {
        for (uint32_t i = 0; i < count; ++i)
            if (!collect_all(map, map->incoming[set[i]], map->in_edges, &limit) ||
                !collect_all(map, map->outgoing[set[i]], map->out_edges, &limit))
                return INFINITY;
    }
    return limit > 0.0 ? limit : INFINITY;
}

void nm_nuplan_judge_speed(nm_nuplan_run *run) {
    const nm_nuplan_drive *drive = run->drive;
    double sum = 0.0, worst = 0.0;
    uint32_t step = NM_NONE;
    for (uint32_t k = 0; k < drive->samples; ++k) {
        const double over = nm_nuplan_larger(0.0, run->moment[k].speed - limit_at(run, k));
        if (run->series->over_limit) run->series->over_limit[k] = over;
        sum += over;
        if (over > worst) worst = over, step = k;
    }
    const double duration = 1e-6 * (double)(drive->ego[drive->samples - 1].time_us - drive->ego[0].time_us);
    const double share = run->mean_dt * sum / (NM_NUPLAN_SPEED_EXCESS * duration);
    nm_nuplan_set_metric(run, NM_NUPLAN_SPEED_LIMIT, nm_nuplan_larger(0.0, 1.0 - share), worst, step);
}
