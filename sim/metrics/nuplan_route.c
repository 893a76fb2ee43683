/// Which lanes and connectors a point, or the four corners of the ego, follow (nuPlan's route).
#include "sim/metrics/nuplan_private.h"

#define NEAR_CONNECTOR 5.0 // m

static const uint32_t *ref(const nm_nuplan_route *route, nm_range set) {
    return (const uint32_t *)route->refs.data + set.first;
}

static int contains(const nm_nuplan_map *map, uint32_t object, nm_nuplan_point p) {
    return nm_nuplan_polygon_contains(map, map->def.objects[object].surface, p.x, p.y);
}

/// Room for `count` more members, which ranges of 32 bits can name; NULL when memory is out.
static uint32_t *room(nm_nuplan_route *route, uint32_t count) {
    return route->refs.count > UINT32_MAX - count ? NULL : NM_PUSH(&route->refs, uint32_t, count);
}

static int push(nm_nuplan_route *route, nm_range *set, uint32_t object) {
    uint32_t *to = room(route, 1);
    if (!to) return 0;
    *to = object;
    set->count++;
    return 1;
}

/// An empty set at the end of the pile. Members are pushed before the next set begins.
static nm_range begin(const nm_nuplan_route *route) {
    return (nm_range){(uint32_t)route->refs.count, 0};
}

/// The candidates that contain the point; when none does and there is a single one, what it leads to.
static int among(const nm_nuplan_map *map, nm_nuplan_route *route, nm_range candidates, nm_nuplan_point p,
                 nm_range *set) {
    *set = begin(route);
    for (uint32_t i = 0; i < candidates.count; ++i) {
        const uint32_t object = ref(route, candidates)[i];
        if (contains(map, object, p) && !push(route, set, object)) return 0;
    }
    if (set->count || candidates.count != 1) return 1;
    const nm_range out = map->outgoing[ref(route, candidates)[0]];
    for (uint32_t i = out.first; i < out.first + out.count; ++i)
        if (contains(map, map->out_edges[i], p) && !push(route, set, map->out_edges[i])) return 0;
    return 1;
}

static int query(const nm_nuplan_map *map, nm_nuplan_route *route, nm_nuplan_point p, nm_range *set) {
    uint32_t few[16];
    *set = begin(route);
    const uint32_t count = nm_nuplan_objects_at(map, p.x, p.y, few, 16);
    uint32_t *to = room(route, count);
    if (!to) return 0;
    if (count <= 16)
        memcpy(to, few, count * sizeof *few);
    else
        nm_nuplan_objects_at(map, p.x, p.y, to, count);
    set->count = count;
    return 1;
}

static int starts_with(const nm_nuplan_map *map, const nm_nuplan_route *route, nm_range set, nm_nuplan_kind kind) {
    return set.count && map->def.objects[ref(route, set)[0]].kind == kind;
}

/// A step from connectors to other connectors, or to none within an intersection, is not taken while one of the old
/// ones is near.
static int stay_near(const nm_nuplan_map *map, nm_nuplan_route *route, nm_range before, nm_nuplan_point p,
                     nm_range *set) {
    if (!starts_with(map, route, before, NM_NUPLAN_CONNECTOR)) return 1;
    if (set->count ? !starts_with(map, route, *set, NM_NUPLAN_CONNECTOR)
                   : !nm_nuplan_layer_contains(map, NM_NUPLAN_INTERSECTIONS, p.x, p.y))
        return 1;
    nm_range kept = begin(route);
    for (uint32_t i = 0; i < before.count; ++i) {
        const uint32_t object = ref(route, before)[i];
        const uint32_t surface = map->def.objects[object].surface;
        if (nm_nuplan_polygon_distance(map, surface, p.x, p.y) < NEAR_CONNECTOR && !push(route, &kept, object))
            return 0;
    }
    if (kept.count) *set = kept;
    return 1;
}

static int is_in(const nm_nuplan_route *route, nm_range set, uint32_t object) {
    for (uint32_t i = 0; i < set.count; ++i)
        if (ref(route, set)[i] == object) return 1;
    return 0;
}

static int is_edge(const nm_range *edges, const uint32_t *list, uint32_t of, uint32_t object) {
    for (uint32_t i = edges[of].first; i < edges[of].first + edges[of].count; ++i)
        if (list[i] == object) return 1;
    return 0;
}

/// Narrows one set down to what the next sample has.
static int narrow(const nm_nuplan_map *map, nm_nuplan_route *route, nm_range *set, nm_range next) {
    const nm_range original = *set;
    if (original.count <= 1) return 1;
    int all = original.count > next.count; // for an empty next set this holds, and the set becomes empty: as published
    for (uint32_t i = 0; all && i < next.count; ++i) all = is_in(route, original, ref(route, next)[i]);
    if (all) *set = next;
    if (!starts_with(map, route, next, NM_NUPLAN_LANE)) return 1;
    nm_range leading = begin(route);
    for (uint32_t i = 0; i < original.count; ++i) {
        const uint32_t object = ref(route, original)[i];
        if (is_edge(map->incoming, map->in_edges, ref(route, next)[0], object) && !push(route, &leading, object))
            return 0;
    }
    if (leading.count) *set = leading;
    return 1;
}

int nm_nuplan_find_route(const nm_nuplan_map *map, const nm_nuplan_point *points, uint32_t count,
                         nm_nuplan_route *route) {
    nm_range *set = route->set;
    for (uint32_t k = 0; k < count; ++k) {
        set[k] = begin(route);
        if (k && set[k - 1].count && !among(map, route, set[k - 1], points[k], &set[k])) return 0;
        if (set[k].count) continue;
        if (!query(map, route, points[k], &set[k])) return 0;
        if (k >= 2 && !stay_near(map, route, set[k - 1], points[k], &set[k])) return 0;
    }
    for (uint32_t k = count > 1 ? count - 1 : 0; k-- > 0;)
        if (!narrow(map, route, &set[k], set[k + 1])) return 0;
    return 1;
}

// --- corners ---------------------------------------------------------------------------------------------------------

/// The union of the corners' sets, as one set.
static int unite(nm_nuplan_route *route, const nm_range *sets, nm_range *all) {
    *all = begin(route);
    for (int c = 0; c < NM_NUPLAN_CORNERS; ++c)
        for (uint32_t i = 0; i < sets[c].count; ++i) {
            const uint32_t object = ref(route, sets[c])[i];
            if (!is_in(route, *all, object) && !push(route, all, object)) return 0;
        }
    return 1;
}

/// `candidates` and `set`, which have no member in common, as one set.
static int append(nm_nuplan_route *route, nm_range *candidates, nm_range set) {
    nm_range all = begin(route);
    const nm_range both[2] = {*candidates, set};
    for (int b = 0; b < 2; ++b)
        for (uint32_t i = 0; i < both[b].count; ++i)
            if (!push(route, &all, ref(route, both[b])[i])) return 0;
    *candidates = all;
    return 1;
}

int nm_nuplan_find_corners(const nm_nuplan_map *map, const nm_nuplan_moment *moments, uint32_t count,
                           nm_nuplan_route *route) {
    for (uint32_t k = 0; k < count; ++k) {
        nm_range *sets = &route->set[(size_t)k * NM_NUPLAN_CORNERS];
        nm_range candidates = begin(route);
        if (k && !unite(route, sets - NM_NUPLAN_CORNERS, &candidates)) return 0;
        for (int c = 0; c < NM_NUPLAN_CORNERS; ++c) {
            const nm_nuplan_point p = moments[k].corner[c];
            if (!among(map, route, candidates, p, &sets[c])) return 0;
            if (sets[c].count) continue;
            if (!query(map, route, p, &sets[c])) return 0;
            // as published: on the second sample only, what one corner finds is offered to the next ones
            if (k == 1 && sets[c].count && !append(route, &candidates, sets[c])) return 0;
        }
    }
    return 1;
}

/// Is `object` in the set, or does a member lead to it?
static int reaches(const nm_nuplan_map *map, const nm_nuplan_route *route, nm_range set, uint32_t object) {
    for (uint32_t i = 0; i < set.count; ++i) {
        const uint32_t member = ref(route, set)[i];
        if (member == object || is_edge(map->outgoing, map->out_edges, member, object)) return 1;
    }
    return 0;
}

/// Is `object` in the set, or does it lead to a member?
static int leads(const nm_nuplan_map *map, const nm_nuplan_route *route, nm_range set, uint32_t object) {
    for (uint32_t i = 0; i < set.count; ++i) {
        const uint32_t member = ref(route, set)[i];
        if (member == object || is_edge(map->incoming, map->in_edges, member, object)) return 1;
    }
    return 0;
}

/// One rear corner is where the other is, or just behind it.
static int rear_connected(const nm_nuplan_map *map, const nm_nuplan_route *route, const nm_range *s) {
    for (uint32_t i = 0; i < s[1].count; ++i)
        if (reaches(map, route, s[2], ref(route, s[1])[i])) return 1;
    for (uint32_t i = 0; i < s[2].count; ++i)
        if (reaches(map, route, s[1], ref(route, s[2])[i])) return 1;
    return 0;
}

/// Is `object` (of front left or just before it) where the rear right corner is or leads to, and the same the other way
/// round?
static int joins(const nm_nuplan_map *map, const nm_nuplan_route *route, const nm_range *s, uint32_t object) {
    return reaches(map, route, s[2], object) && leads(map, route, s[3], object) && reaches(map, route, s[1], object);
}

static int front_connected(const nm_nuplan_map *map, const nm_nuplan_route *route, const nm_range *s) {
    for (uint32_t i = 0; i < s[0].count; ++i) {
        const uint32_t member = ref(route, s[0])[i];
        if (joins(map, route, s, member)) return 1;
        const nm_range in = map->incoming[member];
        for (uint32_t k = in.first; k < in.first + in.count; ++k)
            if (joins(map, route, s, map->in_edges[k])) return 1;
    }
    return 0;
}

int nm_nuplan_in_one_lane(const nm_nuplan_map *map, const nm_nuplan_route *corners, uint32_t sample) {
    const nm_range *s = &corners->set[(size_t)sample * NM_NUPLAN_CORNERS]; // front left, rear left, rear right, ...
    for (int c = 0; c < NM_NUPLAN_CORNERS; ++c)
        if (!s[c].count) return 0;
    for (uint32_t i = 0; i < s[0].count; ++i) {
        const uint32_t object = ref(corners, s[0])[i];
        if (is_in(corners, s[1], object) && is_in(corners, s[2], object) && is_in(corners, s[3], object)) return 1;
    }
    return rear_connected(map, corners, s) && front_connected(map, corners, s);
}
