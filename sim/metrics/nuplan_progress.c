/// Progress along the roadblocks that the expert drove through.
#include "sim/metrics/nuplan_private.h"

/// A roadblock of the expert's route, and the object whose baseline measures it.
typedef struct stretch {
    uint32_t roadblock, object;
} stretch;

typedef struct stretches {
    stretch *list;
    uint32_t count;
} stretches;

static int share_member(const nm_nuplan_route *route, uint32_t a, uint32_t b) {
    const uint32_t *x = nm_nuplan_set(route, a), *y = nm_nuplan_set(route, b);
    for (uint32_t i = 0; i < route->set[a].count; ++i)
        for (uint32_t k = 0; k < route->set[b].count; ++k)
            if (x[i] == y[k]) return 1;
    return 0;
}

/// The first object of every set that has nothing in common with the last one kept, where the roadblock changes.
static void list_stretches(const nm_nuplan_run *run, stretches *out) {
    const nm_nuplan_route *route = &run->expert;
    uint32_t kept = NM_NONE;
    for (uint32_t k = 0; k < run->drive->expert_samples; ++k) {
        if (!route->set[k].count || (kept != NM_NONE && share_member(route, kept, k))) continue;
        kept = k;
        const uint32_t object = nm_nuplan_set(route, k)[0];
        const uint32_t roadblock = run->map->def.objects[object].roadblock;
        if (out->count && out->list[out->count - 1].roadblock == roadblock) continue;
        out->list[out->count++] = (stretch){roadblock, object};
    }
}

static double along(const nm_nuplan_map *map, const stretch *on, nm_nuplan_point p) {
    return nm_nuplan_project(map, on->object, p.x, p.y);
}

static nm_nuplan_point first_point(const nm_nuplan_map *map, const stretch *of) {
    return map->def.points[map->def.objects[of->object].baseline.first];
}

static nm_nuplan_point last_point(const nm_nuplan_map *map, const stretch *of) {
    const nm_range line = map->def.objects[of->object].baseline;
    return map->def.points[line.first + line.count - 1];
}

/// The way from `s` on stretch `from` to `p` on the later stretch `to`: to the end of the one, from there to `p` on the
/// other, and over those in between what lies between their neighbours' ends.
static double way_between(const nm_nuplan_map *map, const stretches *route, uint32_t from, double s, uint32_t to,
                          nm_nuplan_point p) {
    const stretch *list = route->list;
    double way = nm_nuplan_length(map, list[from].object) - s;
    way += along(map, &list[to], p) - along(map, &list[to], last_point(map, &list[from]));
    for (uint32_t i = from + 1; i < to; ++i)
        way +=
            along(map, &list[i], first_point(map, &list[i + 1])) - along(map, &list[i], last_point(map, &list[i - 1]));
    return way;
}

static double sum_progress(const nm_nuplan_map *map, const stretches *route, const nm_nuplan_point *points,
                           uint32_t count) {
    uint32_t current = 0;
    double s = along(map, &route->list[0], points[0]), sum = 0.0;
    for (uint32_t k = 1; k < count; ++k) {
        const nm_nuplan_point p = points[k];
        uint32_t next = current;
        while (next < route->count &&
               !nm_nuplan_area_contains(map, map->def.roadblocks[route->list[next].roadblock], p.x, p.y))
            ++next;
        if (next == route->count) continue; // in none of those to come: nothing changes
        const double there = along(map, &route->list[next], p);
        sum += next == current ? there - s : way_between(map, route, current, s, next, p);
        current = next;
        s = there;
    }
    return sum;
}

int nm_nuplan_judge_progress(nm_nuplan_run *run) {
    const nm_nuplan_drive *drive = run->drive;
    const double least = NM_NUPLAN_PROGRESS_THRESHOLD;
    double ego = 0.0, expert = 0.0, ratio = 1.0; // without a route
    stretches route = {.list = malloc((size_t)drive->expert_samples * sizeof *route.list)};
    if (!route.list) return 0;
    list_stretches(run, &route);
    if (route.count) {
        ego = sum_progress(run->map, &route, run->centre, drive->samples);
        expert = sum_progress(run->map, &route, run->expert_centre, drive->expert_samples);
        ratio = nm_nuplan_larger(ego, least) / nm_nuplan_larger(expert, least);
        ratio = ego < -least ? 0.0 : ratio > 1.0 ? 1.0 : ratio;
    }
    free(route.list);
    run->result->ego_progress = ego;
    run->result->expert_progress = expert;
    nm_nuplan_set_metric(run, NM_NUPLAN_PROGRESS, ratio, ratio, NM_NONE);
    nm_nuplan_set_metric(run, NM_NUPLAN_MAKING_PROGRESS, ratio >= NM_NUPLAN_MAKING_PROGRESS_MIN ? 1.0 : 0.0, ratio,
                         NM_NONE);
    return 1;
}
