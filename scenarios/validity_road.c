// Is it on ground that it belongs on?
#include <math.h>

#include "scenarios/validity_internal.h"
#include "sim/geometry.h"

#define REACH 10.0f // m off the road up to which the distance is measured
#define EDGE 20.0f  // m from the map's bounds within which lanes may end because the map does (as nm_scene_validate)
#define BATCH 64u
#define LANES 16u

static const unsigned cycle_ways = (1u << NM_LANE_BIKE) | (1u << NM_LANE_SIDEWALK) | (1u << NM_LANE_CROSSWALK);

// Maps end somewhere and roads go on: past the end of a lane, or before its beginning, at the edge of the map, nothing
// says that there is no road. (Lanes that end inside the map do end.)
static int past_the_map(const nm_map *map, const nm_box *box, float x, float y) {
    if (x > map->bounds_min.x + EDGE && x < map->bounds_max.x - EDGE && y > map->bounds_min.y + EDGE &&
        y < map->bounds_max.y - EDGE)
        return 0;
    nm_frenet at = nm_map_match(map, x, y, nm_atan2f(box->sin_h, box->cos_h), REACH, NM_LANE_MASK_VEHICLE);
    if (at.lane == NM_NONE) return 0;
    const nm_lane *lane = &map->lanes[at.lane];
    if (at.d > at.left + NM_ROAD_SLACK || at.d < -at.right - NM_ROAD_SLACK) return 0;
    return (at.beyond > 0 && lane->successors.count == 0) || (at.beyond < 0 && lane->predecessors.count == 0);
}

// The corner furthest off the road, m; 0 = none is.
static float corners_off(const nm_map *map, const nm_box *box) {
    float worst = 0;
    for (int corner = 0; corner < 4; corner++) {
        float along = (corner & 1 ? 0.5f : -0.5f) * box->length, aside = (corner & 2 ? 0.5f : -0.5f) * box->width;
        float x = box->x + along * box->cos_h - aside * box->sin_h;
        float y = box->y + along * box->sin_h + aside * box->cos_h;
        if (nm_map_drivable(map, x, y) || past_the_map(map, box, x, y)) continue;
        worst = nm_maxf(worst, nm_map_border_distance(map, x, y, REACH));
    }
    return worst;
}

static int on_lane_of(const nm_map *map, float x, float y, unsigned types) {
    nm_frenet under[LANES];
    size_t count = nm_map_lanes_at(map, x, y, under, LANES);
    for (size_t i = 0; i < count && i < LANES; i++)
        if ((1u << map->lanes[under[i].lane].type) & types) return 1;
    return 0;
}

static float cyclist_off(const nm_map *map, float x, float y) {
    if (nm_map_drivable(map, x, y) || on_lane_of(map, x, y, cycle_ways)) return 0;
    return nm_maxf(nm_map_border_distance(map, x, y, REACH), 0);
}

// Pedestrians have their own surfaces: everything that is not carriageway, and the crosswalks over it.
static float on_carriageway(const nm_map *map, float x, float y) {
    if (!nm_map_drivable(map, x, y)) return 0;
    if (on_lane_of(map, x, y, (1u << NM_LANE_CROSSWALK) | (1u << NM_LANE_SIDEWALK))) return 0;
    for (uint32_t i = 0; i < map->area_count; i++) {
        const nm_area *area = &map->areas[i];
        if (area->kind != NM_AREA_CROSSWALK) continue;
        if (nm_polygon_contains(map->area_points + area->points.first, area->points.count, (nm_vec2){x, y}, 0.25f))
            return 0;
    }
    return nm_maxf(-nm_map_border_distance(map, x, y, REACH), 0);
}

typedef struct nm_box_batch {
    float x[BATCH], y[BATCH], cos_h[BATCH], sin_h[BATCH], length[BATCH], width[BATCH];
    uint32_t step[BATCH];
    uint32_t count;
} nm_box_batch;

static void judge_batch(nm_judging *j, uint32_t track, nm_box_batch *b, int allowed) {
    const nm_map *map = j->conflict->scene->map;
    uint8_t off[BATCH];
    nm_map_boxes_off_road(map, b->x, b->y, b->cos_h, b->sin_h, b->length, b->width, 0, b->count, off);
    for (uint32_t i = 0; i < b->count; i++) {
        const nm_box box = {.x = b->x[i],
                            .y = b->y[i],
                            .cos_h = b->cos_h[i],
                            .sin_h = b->sin_h[i],
                            .length = b->length[i],
                            .width = b->width[i]};
        float value = off[i] ? corners_off(map, &box) : 0;
        nm_verdict_take(j, NM_VERDICT_OFF_ROAD, track, b->step[i], value, j->params->off_road, allowed);
    }
    b->count = 0;
}

static void judge_boxes(nm_judging *j, uint32_t track, int allowed) {
    nm_box_batch batch;
    batch.count = 0;
    for (uint32_t t = j->begin; t <= j->last; t++) {
        nm_box box;
        if (!nm_scene_box(j->conflict->scene, track, t, &box)) continue;
        uint32_t i = batch.count++;
        batch.x[i] = box.x;
        batch.y[i] = box.y;
        batch.cos_h[i] = box.cos_h;
        batch.sin_h[i] = box.sin_h;
        batch.length[i] = box.length;
        batch.width[i] = box.width;
        batch.step[i] = t;
        if (batch.count == BATCH) judge_batch(j, track, &batch, allowed);
    }
    judge_batch(j, track, &batch, allowed);
}

nm_status nm_judge_road(nm_judging *j, uint32_t track, int adversary) {
    const nm_scene *scene = j->conflict->scene;
    const nm_map *map = scene->map;
    nm_agent_type type = (nm_agent_type)scene->tracks[track].type;
    uint32_t asked = adversary ? j->params->violations : 0;
    if (map->lane_count == 0) return NM_OK;
    if (nm_agent_type_vehicle(type)) {
        judge_boxes(j, track, (asked & NM_VIOLATION_OFF_ROAD) != 0);
        return NM_OK;
    }
    if (type != NM_AGENT_CYCLIST && !(type == NM_AGENT_PEDESTRIAN && adversary)) return NM_OK;
    for (uint32_t t = j->begin; t <= j->last; t++) {
        size_t at = nm_scene_at(scene, track, t);
        if (!scene->valid[at]) continue;
        if (type == NM_AGENT_CYCLIST)
            nm_verdict_take(j, NM_VERDICT_OFF_ROAD, track, t, cyclist_off(map, scene->x[at], scene->y[at]),
                            j->params->off_road, (asked & NM_VIOLATION_OFF_ROAD) != 0);
        else
            nm_verdict_take(j, NM_VERDICT_JAYWALK, track, t, on_carriageway(map, scene->x[at], scene->y[at]),
                            j->params->jaywalk, (asked & NM_VIOLATION_JAYWALK) != 0);
    }
    return NM_OK;
}
