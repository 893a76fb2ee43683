/// Who runs a red light.
///
/// A signal of WOMD names the lane through the junction that it rules, and where on it to stop; the challenge's rule
/// applies. Other signals rule the ends of the lanes before the junction; see realism.h for the rule then.
#include "sim/metrics/realism_private.h"

#define WIDEST 20.0 // m, from a centreline to the border

/// A lane of a street that the challenge looks at; slot k joins points k and k + 1.
typedef struct street {
    uint32_t lane;
    uint32_t slots; // points.count when the last one runs to the source's origin, else one fewer
    nm_bounds bounds;
} street;

typedef struct place {
    uint32_t street, slot;
} place;

/// Red light on a lane.
typedef struct light {
    uint32_t lane;
    const uint8_t *red;  // [steps]
    uint32_t street;     // of the challenge's rule, else NM_NONE
    double x, y, dx, dy; // its stop slot: start and direction
    double stop;         // dot product of the stop point with that direction, from the start
} light;

struct nm_realism_lights {
    const nm_map *map;
    uint32_t street_count, light_count;
    street *streets;
    light *lights;
};

static int stops(nm_signal_state state) {
    return state == NM_SIGNAL_ARROW_STOP || state == NM_SIGNAL_STOP;
}

static nm_vec2 slot_end(const nm_map *map, const nm_lane *lane, uint32_t slot) {
    if (slot + 1 < lane->points.count) return map->centre[lane->points.first + slot + 1];
    return (nm_vec2){-(float)map->origin.x, -(float)map->origin.y};
}

/// What the challenge takes for the square of the distance to a slot. Never less than that to the slot's start: when
/// the projection is positive both terms point the same way.
static double slot_distance2(const nm_map *map, const nm_lane *lane, uint32_t slot, double x, double y) {
    nm_vec2 start = map->centre[lane->points.first + slot], end = slot_end(map, lane, slot);
    double qx = x - start.x, qy = y - start.y, dx = (double)end.x - start.x, dy = (double)end.y - start.y;
    double square = dx * dx + dy * dy;
    double along = square > 0.0 ? nm_min(nm_max((qx * dx + qy * dy) / square, 0.0), 1.0) : 0.0;
    qx += along * dx;
    qy += along * dy;
    return qx * qx + qy * qy;
}

/// The nearest slot of street `index`, if nearer than *best; 1 then.
static int nearest_slot(const nm_realism_lights *lights, uint32_t index, double x, double y, double *best,
                        place *found) {
    const street *s = &lights->streets[index];
    const nm_lane *lane = &lights->map->lanes[s->lane];
    int better = 0;
    for (uint32_t k = 0; k < s->slots; k++) {
        double square = slot_distance2(lights->map, lane, k, x, y);
        if (!(square < *best)) continue;
        *best = square;
        *found = (place){index, k};
        better = 1;
    }
    return better;
}

/// Is street `index` the one the challenge takes a point to be on? `index` goes first: any other only has to be looked
/// at if it comes that near. Of streets equally near the first counts.
static int on_street(const nm_realism_lights *lights, uint32_t index, double x, double y) {
    double best = INFINITY;
    place found;
    nearest_slot(lights, index, x, y, &best, &found);
    for (uint32_t i = 0; i < lights->street_count; i++) {
        const nm_bounds *box = &lights->streets[i].bounds;
        double bx = nm_max(nm_max(box->lo.x - x, x - box->hi.x), 0.0);
        double by = nm_max(nm_max(box->lo.y - y, y - box->hi.y), 0.0);
        double other = i < index ? nextafter(best, INFINITY) : best;
        if (i != index && bx * bx + by * by < other && nearest_slot(lights, i, x, y, &other, &found)) return 0;
    }
    return 1;
}

static int make_streets(struct nm_realism_lights *lights, nm_arena *arena) {
    const nm_map *map = lights->map;
    uint32_t longest = 0;
    lights->streets = NM_ARENA_ARRAY(arena, street, map->lane_count);
    if (!lights->streets) return 0;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_lane *lane = &map->lanes[i];
        if (lane->type != NM_LANE_STREET) continue;
        if (lane->points.count > longest) longest = lane->points.count;
        nm_bounds bounds = nm_bounds_of(map->centre + lane->points.first, lane->points.count);
        lights->streets[lights->street_count++] = (street){i, lane->points.count, bounds};
    }
    for (uint32_t i = 0; i < lights->street_count; i++) lights->streets[i].slots -= lights->streets[i].slots == longest;
    return 1;
}

// ---------------------------------------------------------------------------------------------------------------------

static uint32_t lane_of(const nm_map *map, int64_t id) {
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (map->lanes[i].source_id == id) return i;
    }
    return NM_NONE;
}

/// The lane through the junction that each signal says it belongs to, or NM_NONE. NULL: no memory.
static const uint32_t *named_lanes(const nm_map *map, nm_arena *arena) {
    uint32_t *named = NM_ARENA_ARRAY(arena, uint32_t, map->signal_count);
    for (uint32_t i = 0; named && i < map->signal_count; i++) {
        named[i] = map->signals[i].placed ? lane_of(map, map->signals[i].source_id) : NM_NONE;
    }
    return named;
}

/// Step by step, red or not; NULL when it never is, or memory is out (then *good is 0). For a lane: of all the signals
/// at its end, one red and none anything else.
static const uint8_t *red_steps(const nm_scene *scene, const uint32_t *signals, uint32_t count, uint32_t steps,
                                nm_arena *arena, int *good) {
    uint8_t *red = nm_arena_calloc(arena, steps, 1, 1);
    int any = 0;
    *good = red != NULL;
    for (uint32_t k = 0; red && k < steps; k++) {
        uint32_t stop = 0, known = 0;
        for (uint32_t i = 0; i < count; i++) {
            nm_signal_state state = nm_scene_signal(scene, signals[i], scene->current_step + 1 + k);
            stop += (uint32_t)stops(state);
            known += state != NM_SIGNAL_UNKNOWN;
        }
        red[k] = stop > 0 && stop == known;
        any |= red[k];
    }
    return any ? red : NULL;
}

/// A light of WOMD; nothing when its lane is no street.
static int add_named(struct nm_realism_lights *lights, const nm_scene *scene, uint32_t signal, uint32_t lane,
                     uint32_t steps, nm_arena *arena) {
    const nm_map *map = lights->map;
    const nm_signal *from = &map->signals[signal];
    light l = {.lane = lane, .street = 0};
    while (l.street < lights->street_count && lights->streets[l.street].lane != l.lane) l.street++;
    if (l.street == lights->street_count) return 1;
    int good;
    l.red = red_steps(scene, &signal, 1, steps, arena, &good);
    if (!l.red) return good;
    double best = INFINITY;
    place at = {0, 0};
    nearest_slot(lights, l.street, from->position.x, from->position.y, &best, &at);
    nm_vec2 start = map->centre[map->lanes[l.lane].points.first + at.slot];
    nm_vec2 end = slot_end(map, &map->lanes[l.lane], at.slot);
    l.x = start.x, l.y = start.y, l.dx = (double)end.x - start.x, l.dy = (double)end.y - start.y;
    l.stop = (from->position.x - l.x) * l.dx + (from->position.y - l.y) * l.dy;
    lights->lights[lights->light_count++] = l;
    return 1;
}

/// The end of a lane with signals of other sources.
static int add_end(struct nm_realism_lights *lights, const nm_scene *scene, uint32_t lane, const uint32_t *named,
                   uint32_t steps, nm_arena *arena) {
    const nm_map *map = lights->map;
    const uint32_t *refs = map->signal_refs + map->lanes[lane].signals.first;
    uint32_t *own = NM_ARENA_ARRAY(arena, uint32_t, map->lanes[lane].signals.count), count = 0;
    if (!own) return 0;
    for (uint32_t i = 0; i < map->lanes[lane].signals.count; i++) {
        if (named[refs[i]] == NM_NONE) own[count++] = refs[i];
    }
    if (count == 0) return 1;
    int good;
    light l = {.lane = lane, .street = NM_NONE, .stop = map->lanes[lane].stop_s};
    l.red = red_steps(scene, own, count, steps, arena, &good);
    if (l.red) lights->lights[lights->light_count++] = l;
    return good;
}

int nm_realism_make_lights(const nm_scene *scene, uint32_t steps, nm_arena *arena, const nm_realism_lights **out) {
    const nm_map *map = scene->map;
    *out = NULL;
    if (map->signal_count == 0) return 1;
    struct nm_realism_lights *lights = nm_arena_calloc(arena, 1, sizeof *lights, _Alignof(struct nm_realism_lights));
    if (!lights) return 0;
    lights->map = map;
    lights->lights = NM_ARENA_ARRAY(arena, light, (size_t)map->signal_count + map->lane_count);
    const uint32_t *named = named_lanes(map, arena);
    if (!lights->lights || !named || !make_streets(lights, arena)) return 0;
    for (uint32_t i = 0; i < map->signal_count; i++) {
        if (named[i] != NM_NONE && !add_named(lights, scene, i, named[i], steps, arena)) return 0;
    }
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (map->lanes[i].signals.count && !add_end(lights, scene, i, named, steps, arena)) return 0;
    }
    if (lights->light_count) *out = lights;
    return 1;
}

// ---------------------------------------------------------------------------------------------------------------------

static int passes_slot(const nm_realism_lights *lights, const light *l, const nm_realism_world *world, size_t at) {
    double before = (world->x[at - 1] - l->x) * l->dx + (world->y[at - 1] - l->y) * l->dy;
    double after = (world->x[at] - l->x) * l->dx + (world->y[at] - l->y) * l->dy;
    return before < l->stop && after > l->stop && on_street(lights, l->street, world->x[at], world->y[at]);
}

static int passes_end(const nm_map *map, const light *l, const nm_realism_world *world, size_t at) {
    const nm_range points = map->lanes[l->lane].points;
    nm_vec2 end = map->centre[points.first + points.count - 1];
    double dx = (double)world->x[at] - end.x, dy = (double)world->y[at] - end.y;
    double mx = (double)world->x[at] - world->x[at - 1], my = (double)world->y[at] - world->y[at - 1];
    double near = map->lanes[l->lane].length - l->stop + sqrt(mx * mx + my * my) + WIDEST; // just past the line
    if (dx * dx + dy * dy > near * near) return 0;
    nm_frenet before = nm_map_project(map, l->lane, world->x[at - 1], world->y[at - 1]);
    nm_frenet after = nm_map_project(map, l->lane, world->x[at], world->y[at]);
    int within = after.d <= after.left && -after.d <= after.right;
    return within && (double)before.s + before.beyond <= l->stop && (double)after.s + after.beyond > l->stop;
}

int nm_realism_runs_red(const nm_realism_lights *lights, const nm_realism_world *world, uint32_t agent, uint32_t step) {
    size_t at = nm_realism_at(world, agent, step);
    for (uint32_t i = 0; i < lights->light_count; i++) {
        const light *l = &lights->lights[i];
        if (!l->red[step]) continue;
        if (l->street == NM_NONE ? passes_end(lights->map, l, world, at) : passes_slot(lights, l, world, at)) return 1;
    }
    return 0;
}
