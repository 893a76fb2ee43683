/// Traffic on any map: checking what is asked for, choosing the ego, and the scene.
#include "base/decimal.h"
#include "sim/math.h"
#include "sim/spawn_field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_STEP 0.1 // s
#define EGO_WAY 60.0f // m of road that the ego should have ahead

nm_spawn_params nm_spawn_params_default(void) {
    return (nm_spawn_params){.density = 20.0,
                             .speed_spread = 0.1,
                             .min_gap = 1.0,
                             .truck_share = 0.08,
                             .bus_share = 0.01,
                             .motorcycle_share = 0.01,
                             .step_count = 1};
}

static nm_status check_range(const char *name, double value, double low, double high, nm_error *error) {
    if (value >= low && value <= high) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT, "%s: %g is out of range, takes %g to %g", name, value, low, high);
}

nm_status nm_spawn_check(const nm_spawn_params *params, nm_error *error) {
    const struct {
        const char *name;
        double value, low, high;
    } ranges[] = {
        {"density", params->density, 0.0, 150.0},
        {"vehicles", params->max_vehicles, 0.0, 1000000.0},
        {"speed_spread", params->speed_spread, 0.0, 0.5},
        {"min_gap", params->min_gap, 0.3, 10.0},
        {"truck_share", params->truck_share, 0.0, 1.0},
        {"bus_share", params->bus_share, 0.0, 1.0},
        {"motorcycle_share", params->motorcycle_share, 0.0, 1.0},
        {"pedestrians", params->pedestrians, 0.0, 100000.0},
        {"cyclists", params->cyclists, 0.0, 100000.0},
        {"steps", params->step_count, 1.0, NM_SCENE_MAX_STEPS},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        nm_status status = check_range(ranges[i].name, ranges[i].value, ranges[i].low, ranges[i].high, error);
        if (status != NM_OK) return status;
    }
    double shares = params->truck_share + params->bus_share + params->motorcycle_share;
    if (shares > 1.0)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "truck_share, bus_share and motorcycle_share add up to %g, more than all vehicles", shares);
    return NM_OK;
}

void nm_spawn_number(char *text, size_t size, double value) {
    nm_decimal_print_exact(text, size, NM_DECIMAL_SHORT, 6, value);
}

// ---------------------------------------------------------------------------------------------------------------------
// Ego

/// m of road straight ahead of the agent, at most `enough`.
static float way_ahead(const nm_map *map, const nm_spawned *agent, float enough) {
    float way = map->lanes[agent->lane].length - agent->s;
    uint32_t lane = agent->lane;
    for (int i = 0; i < 32 && way < enough; i++) {
        lane = nm_spawn_ahead(map, lane);
        if (lane == NM_NONE) break;
        way += map->lanes[lane].length;
    }
    return way;
}

/// The car nearest to the middle of the map, where things happen; rather one that approaches it and has road ahead.
static uint32_t choose_ego(const nm_field *field) {
    const nm_map *map = field->map;
    float x = 0.5f * (map->bounds_min.x + map->bounds_max.x), y = 0.5f * (map->bounds_min.y + map->bounds_max.y);
    uint32_t best = NM_NONE;
    float best_cost = 0.0f;
    for (size_t i = 0; i < field->count; i++) {
        const nm_spawned *agent = &field->agents[i];
        if (!nm_agent_type_vehicle(agent->type)) continue;
        float dx = x - agent->x, dy = y - agent->y;
        float cost = nm_hypotf(dx, dy);
        if (dx * agent->cos_h + dy * agent->sin_h < 0.0f) cost = cost * 2.0f + 50.0f;
        if (way_ahead(map, agent, EGO_WAY) < EGO_WAY) cost += 1e5f;
        if (agent->type != NM_AGENT_CAR) cost += 1e6f;
        if (best != NM_NONE && cost >= best_cost) continue;
        best = (uint32_t)i;
        best_cost = cost;
    }
    return best;
}

// ---------------------------------------------------------------------------------------------------------------------
// The scene

/// Height of the ground under the agent, m above the map's origin.
static float ground_height(const nm_map *map, const nm_spawned *agent) {
    if (agent->lane == NM_NONE) return 0.0f;
    nm_range points = map->lanes[agent->lane].points;
    const float *s = &map->point_s[points.first], *z = &map->z[points.first];
    uint32_t low = 0, high = points.count - 1;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (s[middle] <= agent->s)
            low = middle;
        else
            high = middle;
    }
    float span = s[high] - s[low], share = span > 0.0f ? nm_clampf((agent->s - s[low]) / span, 0.0f, 1.0f) : 0.0f;
    return z[low] + share * (z[high] - z[low]);
}

static int is_flat(const nm_map *map) {
    for (uint32_t i = 0; i < map->point_count; i++)
        if (map->z[i] != 0.0f) return 0;
    return 1;
}

static nm_status add_agent(nm_scene_builder *builder, const nm_map *map, const nm_spawned *agent, int64_t id, int ego,
                           int flat, nm_error *error) {
    nm_track_def def = {.id = id,
                        .type = agent->type,
                        .flags = ego ? NM_TRACK_EGO : 0,
                        .length = agent->length,
                        .width = agent->width,
                        .height = agent->height};
    uint32_t track;
    nm_status status = nm_scene_builder_add_track(builder, &def, &track, error);
    if (status != NM_OK) return status;
    nm_state_def state = {.x = map->origin.x + agent->x,
                          .y = map->origin.y + agent->y,
                          .z = map->origin.z,
                          .heading = nm_atan2f(agent->sin_h, agent->cos_h),
                          .vx = agent->speed * agent->cos_h,
                          .vy = agent->speed * agent->sin_h};
    if (!flat) state.z += ground_height(map, agent) + 0.5f * agent->height;
    return nm_scene_builder_add_state(builder, track, 0, &state, error);
}

static nm_status build_scene(const nm_field *field, const nm_spawn_label *label, const nm_scene **scene,
                             nm_error *error) {
    nm_scene_builder *builder = nm_scene_builder_create();
    if (!builder) return NM_ERROR(error, NM_E_MEMORY, "no memory to build a scene");
    const nm_map *map = field->map;
    uint32_t ego = choose_ego(field);
    int flat = is_flat(map);
    int64_t id = 0;
    nm_status status = nm_scene_builder_begin(builder, map, TIME_STEP, field->params->step_count, error);
    if (status == NM_OK && ego != NM_NONE) status = add_agent(builder, map, &field->agents[ego], id++, 1, flat, error);
    for (size_t i = 0; i < field->count && status == NM_OK; i++)
        if (i != ego) status = add_agent(builder, map, &field->agents[i], id++, 0, flat, error);
    if (status == NM_OK && label->tag) status = nm_scene_builder_add_tag(builder, label->tag, error);
    if (status == NM_OK) {
        nm_scene_builder_set_current(builder, 0, ego == NM_NONE ? NM_NONE : 0);
        nm_provenance provenance = {.source = "builtin",
                                    .scene_id = label->scene_id,
                                    .program = "nearmiss " NM_VERSION,
                                    .seed = field->params->seed,
                                    .parameters = label->parameters};
        status = nm_scene_builder_set_provenance(builder, &provenance, error);
    }
    if (status == NM_OK) status = nm_scene_builder_build(builder, scene, error);
    nm_scene_builder_destroy(builder);
    return status;
}

nm_status nm_spawn_labelled(const nm_map *map, const nm_spawn_params *params, const nm_spawn_label *label,
                            const nm_scene **scene, nm_error *error) {
    *scene = NULL;
    nm_status status = nm_spawn_check(params, error);
    if (status == NM_OK) status = nm_map_prepare(map, error);
    if (status != NM_OK) return status;
    nm_field field;
    status = nm_field_begin(&field, map, params, error);
    if (status != NM_OK) return status;
    nm_spawn_vehicles(&field);
    size_t cycle_lanes = nm_spawn_cyclists(&field), walkways = nm_spawn_pedestrians(&field);
    nm_spawn_speeds(&field);
    if (field.failed)
        status = NM_ERROR(error, field.failed, "%s",
                          field.failed == NM_E_LIMIT ? "more agents than a scene may have" : "no memory for traffic");
    else if (params->cyclists && cycle_lanes == 0)
        status = NM_ERROR(error, NM_E_ARGUMENT, "cyclists: the map has neither bike lanes nor streets under 70 km/h");
    else if (params->pedestrians && walkways == 0)
        status = NM_ERROR(error, NM_E_ARGUMENT, "pedestrians: the map has neither sidewalks nor crosswalks");
    else
        status = build_scene(&field, label, scene, error);
    nm_field_end(&field);
    return status;
}

nm_status nm_spawn_traffic(const nm_map *map, const nm_spawn_params *params, const char *map_parameters_json,
                           const nm_scene **scene, nm_error *error) {
    char number[8][32], scene_id[64];
    const double values[] = {params->density,     params->speed_spread, params->min_gap,
                             params->truck_share, params->bus_share,    params->motorcycle_share};
    for (int i = 0; i < 6; i++) nm_spawn_number(number[i], sizeof(number[i]), values[i]);
    const char *about = map_parameters_json && *map_parameters_json ? map_parameters_json : "null";
    size_t size = strlen(about) + 512;
    char *parameters = malloc(size);
    *scene = NULL;
    if (!parameters) return NM_ERROR(error, NM_E_MEMORY, "no memory for traffic");
    snprintf(parameters, size,
             "{\"map\":%s,\"spawn\":{\"density\":%s,\"vehicles\":%u,\"speed_spread\":%s,\"min_gap\":%s,"
             "\"truck_share\":%s,\"bus_share\":%s,\"motorcycle_share\":%s,\"pedestrians\":%u,\"cyclists\":%u,"
             "\"steps\":%u,\"seed\":%llu}}",
             about, number[0], (unsigned)params->max_vehicles, number[1], number[2], number[3], number[4], number[5],
             (unsigned)params->pedestrians, (unsigned)params->cyclists, (unsigned)params->step_count,
             (unsigned long long)params->seed);
    snprintf(scene_id, sizeof(scene_id), "traffic-%016llx-%llu", (unsigned long long)map->hash,
             (unsigned long long)params->seed);
    nm_spawn_label label = {.scene_id = scene_id, .parameters = parameters};
    nm_status status = nm_spawn_labelled(map, params, &label, scene, error);
    free(parameters);
    return status;
}
