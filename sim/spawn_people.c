/// Pedestrians on sidewalks and beside crosswalks, cyclists at the right of the road.
#include "sim/math.h"
#include "sim/spawn_field.h"

#include <stdlib.h>

#define ATTEMPTS 16
#define DRAWS_PER_ATTEMPT 8u
#define BESIDE_CROSSWALK 12.0f // m of way to the kerb from where "beside a crosswalk" begins
#define FAST_ROAD 19.5f        // m/s, 70 km/h: no cyclists on the lanes of faster roads

enum { DRAW_LANE = 0, DRAW_ALONG, DRAW_ACROSS, DRAW_WAY, DRAW_PACE = 200, DRAW_SIZE };

/// A place where people may be: a lane, or an area's crossing direction.
typedef struct spots {
    uint32_t *lanes;
    float *ends; ///< running sums of lengths, to draw by length
    uint32_t count;
} spots;

static int begin_spots(nm_field *field, spots *list) {
    size_t room = (size_t)field->map->lane_count + 1;
    *list = (spots){.lanes = malloc(room * sizeof(uint32_t)), .ends = malloc(room * sizeof(float))};
    if (list->lanes && list->ends) return 1;
    free(list->lanes);
    free(list->ends);
    *list = (spots){0};
    field->failed = NM_E_MEMORY;
    return 0;
}

static void end_spots(spots *list) {
    free(list->lanes);
    free(list->ends);
}

static void add_spot(spots *list, const nm_map *map, uint32_t lane) {
    float before = list->count ? list->ends[list->count - 1] : 0.0f;
    list->lanes[list->count] = lane;
    list->ends[list->count++] = before + map->lanes[lane].length;
}

/// A lane of the list by length, and the place along it.
static uint32_t draw_spot(const spots *list, float u, float *s) {
    float at = u * list->ends[list->count - 1];
    uint32_t low = 0, high = list->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->ends[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    *s = at - (low ? list->ends[low - 1] : 0.0f);
    return list->lanes[low];
}

// ---------------------------------------------------------------------------------------------------------------------
// Cyclists

static int cycle_lane(const nm_map *map, uint32_t lane) {
    const nm_lane *on = &map->lanes[lane];
    if (on->type == NM_LANE_BIKE) return on->length >= 3.0f;
    if ((on->type != NM_LANE_STREET && on->type != NM_LANE_UNKNOWN) || !nm_spawn_lane_usable(map, lane)) return 0;
    if (map->rail[on->rail.first].speed_limit > FAST_ROAD) return 0;
    for (uint32_t i = 0; i < on->right.count; i++) {
        const nm_neighbour *beside = &map->neighbours[on->right.first + i];
        if (!beside->opposite && nm_lane_type_drivable((nm_lane_type)map->lanes[beside->lane].type)) return 0;
    }
    return 1;
}

size_t nm_spawn_cyclists(nm_field *field) {
    spots list;
    if (field->failed || field->params->cyclists == 0 || !begin_spots(field, &list)) return 0;
    const nm_map *map = field->map;
    for (uint32_t pass = 0; pass < 2 && list.count == 0; pass++) // bike lanes first, else streets
        for (uint32_t i = 0; i < map->lane_count; i++)
            if ((map->lanes[i].type == NM_LANE_BIKE) == (pass == 0) && cycle_lane(map, i)) add_spot(&list, map, i);
    for (uint32_t i = 0; i < field->params->cyclists && list.count; i++) {
        for (uint32_t attempt = 0; attempt < ATTEMPTS; attempt++) {
            uint32_t draw = attempt * DRAWS_PER_ATTEMPT;
            nm_spawned rider = {.type = NM_AGENT_CYCLIST, .length = 1.8f, .width = 0.6f, .height = 1.75f};
            float s;
            uint32_t lane = draw_spot(&list, nm_field_uniform(field, NM_STREAM_CYCLISTS, i, draw + DRAW_LANE), &s);
            s = nm_spawn_free_span(map, lane, s - 0.5f * rider.length, rider.length);
            if (s < 0.0f) continue;
            s += 0.5f * rider.length;
            nm_rail_point rail = nm_map_rail(map, lane, s);
            if (rail.left + rail.right < 1.0f) continue;
            // 0.4 m between the handlebar and the kerb
            float d = map->lanes[lane].type == NM_LANE_BIKE ? 0.0f : nm_minf(0.7f - rail.right, 0.0f);
            nm_field_pose(map, &rider, lane, s, d, 0);
            rider.desired =
                nm_clampf(4.5f + 0.8f * nm_field_normal(field, NM_STREAM_CYCLISTS, i, DRAW_PACE), 3.0f, 6.0f);
            if (nm_field_add(field, &rider, 1.25f, 0.3f)) break;
        }
    }
    size_t places = list.count;
    end_spots(&list);
    return places;
}

// ---------------------------------------------------------------------------------------------------------------------
// Pedestrians

/// On the way to crosswalk lane `lane`: `back` m before its start, on the walkways that lead there, or straight behind
/// it where the map has none.
static void stand_before(const nm_map *map, nm_spawned *walker, uint32_t lane, float back, float across) {
    for (uint32_t steps = 0; steps < 4; steps++) {
        const nm_lane *on = &map->lanes[lane];
        uint32_t walkway = NM_NONE;
        for (uint32_t i = 0; i < on->predecessors.count && walkway == NM_NONE; i++) {
            uint32_t before = map->lane_refs[on->predecessors.first + i];
            if (map->lanes[before].type == NM_LANE_SIDEWALK) walkway = before;
        }
        if (walkway == NM_NONE) break;
        lane = walkway;
        if (back < map->lanes[lane].length) {
            float s = map->lanes[lane].length - back;
            nm_rail_point rail = nm_map_rail(map, lane, s);
            float room = nm_maxf(nm_minf(rail.left, rail.right) - 0.4f, 0.0f);
            nm_field_pose(map, walker, lane, s, across * room, 0);
            return;
        }
        back -= map->lanes[lane].length;
    }
    nm_field_pose(map, walker, lane, 0.0f, 0.0f, 0);
    float behind = nm_minf(back, 2.0f) + 0.4f;
    walker->x -= behind * walker->cos_h;
    walker->y -= behind * walker->sin_h;
}

/// Beside a crosswalk that is only an area: behind one end of its longest middle line, looking across.
static void stand_beside_area(const nm_map *map, nm_spawned *walker, uint32_t area, float back, int other_end) {
    nm_range points = map->areas[area].points;
    const nm_vec2 *p = &map->area_points[points.first];
    double cx = 0.0, cy = 0.0, xx = 0.0, yy = 0.0, xy = 0.0;
    for (uint32_t i = 0; i < points.count; i++) cx += p[i].x / points.count, cy += p[i].y / points.count;
    for (uint32_t i = 0; i < points.count; i++) {
        double x = p[i].x - cx, y = p[i].y - cy;
        xx += x * x, yy += y * y, xy += x * y;
    }
    // the principal axis: half the angle of (xx - yy, 2 xy)
    float angle = 0.5f * nm_atan2f((float)(2.0 * xy), (float)(xx - yy)), sine, cosine, reach = 0.0f;
    nm_sincosf(angle, &sine, &cosine);
    for (uint32_t i = 0; i < points.count; i++)
        reach = nm_maxf(reach, fabsf((p[i].x - (float)cx) * cosine + (p[i].y - (float)cy) * sine));
    float way = other_end ? 1.0f : -1.0f, away = reach + 0.4f + back;
    walker->lane = NM_NONE;
    walker->x = (float)cx + way * away * cosine;
    walker->y = (float)cy + way * away * sine;
    walker->cos_h = -way * cosine;
    walker->sin_h = -way * sine;
}

typedef struct walk_spots {
    spots sidewalks;
    uint32_t *crossings; ///< crosswalk lanes, or crosswalk areas where the map has no such lanes
    uint32_t crossing_count;
    int areas;
} walk_spots;

static void find_walk_spots(const nm_map *map, walk_spots *list) {
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (map->lanes[i].type == NM_LANE_SIDEWALK && map->lanes[i].length >= 1.0f) add_spot(&list->sidewalks, map, i);
        if (map->lanes[i].type == NM_LANE_CROSSWALK) list->crossings[list->crossing_count++] = i;
    }
    if (list->crossing_count) return;
    list->areas = 1;
    for (uint32_t i = 0; i < map->area_count; i++)
        if (map->areas[i].kind == NM_AREA_CROSSWALK && map->areas[i].points.count >= 3)
            list->crossings[list->crossing_count++] = i;
}

/// One attempt to find pedestrian `index` a place; every second one stands beside a crosswalk.
static void draw_walker(const nm_field *field, const walk_spots *list, uint32_t index, uint32_t attempt,
                        nm_spawned *walker) {
    const nm_map *map = field->map;
    uint32_t draw = attempt * DRAWS_PER_ATTEMPT;
    float where = nm_field_uniform(field, NM_STREAM_PEDESTRIANS, index, draw + DRAW_LANE);
    float along = nm_field_uniform(field, NM_STREAM_PEDESTRIANS, index, draw + DRAW_ALONG);
    float across = 2.0f * nm_field_uniform(field, NM_STREAM_PEDESTRIANS, index, draw + DRAW_ACROSS) - 1.0f;
    int way = nm_field_uniform(field, NM_STREAM_PEDESTRIANS, index, draw + DRAW_WAY) < 0.5f;
    if (list->crossing_count && (index % 2 == 0 || list->sidewalks.count == 0)) {
        uint32_t crossing = (uint32_t)(where * (float)list->crossing_count);
        crossing = list->crossings[crossing < list->crossing_count ? crossing : list->crossing_count - 1];
        if (list->areas)
            stand_beside_area(map, walker, crossing, 2.0f * along, way);
        else
            stand_before(map, walker, crossing, 0.4f + BESIDE_CROSSWALK * along, across);
        return;
    }
    float s;
    uint32_t lane = draw_spot(&list->sidewalks, where, &s);
    nm_rail_point rail = nm_map_rail(map, lane, s);
    float room = nm_maxf(nm_minf(rail.left, rail.right) - 0.4f, 0.0f);
    nm_field_pose(map, walker, lane, s, across * room, way && map->lanes[lane].flags & NM_LANE_BIDIRECTIONAL);
}

/// Off the road: nobody starts among the cars.
static int off_the_road(const nm_map *map, const nm_spawned *walker) {
    float x = 0.5f * (walker->length * walker->cos_h), y = 0.5f * (walker->length * walker->sin_h);
    return !nm_map_drivable(map, walker->x, walker->y) && !nm_map_drivable(map, walker->x + x, walker->y + y) &&
           !nm_map_drivable(map, walker->x - x, walker->y - y);
}

size_t nm_spawn_pedestrians(nm_field *field) {
    const nm_map *map = field->map;
    walk_spots list = {0};
    if (field->failed || field->params->pedestrians == 0) return 0;
    list.crossings = malloc(((size_t)map->lane_count + map->area_count + 1) * sizeof(*list.crossings));
    if (!list.crossings) field->failed = NM_E_MEMORY;
    if (list.crossings && begin_spots(field, &list.sidewalks)) find_walk_spots(map, &list);
    size_t places = (size_t)list.sidewalks.count + list.crossing_count;
    for (uint32_t i = 0; i < field->params->pedestrians && places && !field->failed; i++) {
        nm_spawned walker = {.type = NM_AGENT_PEDESTRIAN, .length = 0.4f, .height = 1.7f};
        walker.width = 0.5f + 0.1f * nm_field_uniform(field, NM_STREAM_PEDESTRIANS, i, DRAW_SIZE);
        // free walking speed 1.34 +- 0.26 m/s (Weidmann, Transporttechnik der Fussgaenger, 1993), without the extremes
        walker.speed =
            nm_clampf(1.34f + 0.26f * nm_field_normal(field, NM_STREAM_PEDESTRIANS, i, DRAW_PACE), 1.0f, 1.6f);
        walker.desired = walker.speed;
        for (uint32_t attempt = 0; attempt < ATTEMPTS; attempt++) {
            draw_walker(field, &list, i, attempt, &walker);
            if (off_the_road(map, &walker) && nm_field_add(field, &walker, 0.15f, 0.1f)) break;
        }
    }
    end_spots(&list.sidewalks);
    free(list.crossings);
    return places;
}
