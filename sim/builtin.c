/// The catalogue of built-in maps: names, defaults, ranges, and the way to the one that draws each.
#include "sim/builtin_params.h"
#include "sim/builtin_sketch.h"

#include <stdio.h>
#include <string.h>

typedef struct map_kind {
    const char *name;
    void (*draw)(nm_sketch *sketch, const nm_builtin_params *params);
    double lanes_low, lanes_high, length_low;
    double radius_low, radius_high; ///< 0 = has no radius
    int carriageways, signals, minor;
    nm_builtin_params defaults;
} map_kind;

#define HIGHWAY(length_m, radius_m, speed)                                                                             \
    {                                                                                                                  \
        .lanes = 3, .carriageways = 1, .lane_width = 3.5, .length = (length_m), .radius = (radius_m),                  \
        .speed_limit = (speed)                                                                                         \
    }
#define URBAN(radius_m, speed, minor)                                                                                  \
    {                                                                                                                  \
        .lanes = 1, .carriageways = 1, .lane_width = 3.5, .length = 100.0, .radius = (radius_m),                       \
        .speed_limit = (speed), .green = 20.0, .yellow = 3.0, .all_red = 2.0, .minor_control = (minor)                 \
    }

static const map_kind kinds[NM_BUILTIN_COUNT] = {
    [NM_BUILTIN_HIGHWAY] = {"highway", nm_draw_highway, 2, 5, 50, 0, 0, 1, 0, 0, HIGHWAY(1000.0, 0.0, 33.33)},
    [NM_BUILTIN_HIGHWAY_CURVED] = {"highway_curved", nm_draw_highway, 2, 5, 50, 50, 10000, 1, 0, 0,
                                   HIGHWAY(1000.0, 500.0, 33.33)},
    [NM_BUILTIN_ON_RAMP] = {"on_ramp", nm_draw_ramp, 2, 5, 400, 0, 0, 0, 0, 0, HIGHWAY(1000.0, 0.0, 27.78)},
    [NM_BUILTIN_OFF_RAMP] = {"off_ramp", nm_draw_ramp, 2, 5, 400, 0, 0, 0, 0, 0, HIGHWAY(1000.0, 0.0, 27.78)},
    [NM_BUILTIN_JUNCTION_SIGNAL] = {"junction_signal", nm_draw_junction, 1, 3, 50, 0, 0, 0, 1, 0,
                                    URBAN(0.0, 13.89, NM_CONTROL_YIELD)},
    [NM_BUILTIN_JUNCTION_PRIORITY] = {"junction_priority", nm_draw_junction, 1, 3, 50, 0, 0, 0, 0, 1,
                                      URBAN(0.0, 13.89, NM_CONTROL_STOP)},
    [NM_BUILTIN_JUNCTION_ALL_WAY] = {"junction_all_way", nm_draw_junction, 1, 3, 50, 0, 0, 0, 0, 0,
                                     URBAN(0.0, 13.89, NM_CONTROL_STOP)},
    [NM_BUILTIN_T_JUNCTION] = {"t_junction", nm_draw_junction, 1, 3, 50, 0, 0, 0, 0, 1,
                               URBAN(0.0, 13.89, NM_CONTROL_YIELD)},
    [NM_BUILTIN_ROUNDABOUT] = {"roundabout", nm_draw_roundabout, 1, 2, 50, 10, 100, 0, 0, 0,
                               URBAN(15.0, 11.11, NM_CONTROL_YIELD)},
    [NM_BUILTIN_CROSSWALK] = {"crosswalk", nm_draw_crosswalk, 1, 3, 50, 0, 0, 0, 0, 0,
                              URBAN(0.0, 13.89, NM_CONTROL_YIELD)},
};

nm_builtin_params nm_builtin_params_default(nm_builtin_kind kind) {
    NM_ASSERT((unsigned)kind < NM_BUILTIN_COUNT);
    nm_builtin_params params = kinds[kind].defaults;
    params.kind = kind;
    return params;
}

const char *nm_builtin_name(nm_builtin_kind kind) {
    NM_ASSERT((unsigned)kind < NM_BUILTIN_COUNT);
    return kinds[kind].name;
}

nm_status nm_builtin_from_name(const char *name, nm_builtin_kind *kind, nm_error *error) {
    for (int i = 0; i < NM_BUILTIN_COUNT; i++) {
        if (strcmp(name, kinds[i].name) != 0) continue;
        *kind = (nm_builtin_kind)i;
        return NM_OK;
    }
    char list[256];
    size_t used = 0;
    for (int i = 0; i < NM_BUILTIN_COUNT && used < sizeof(list); i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", kinds[i].name);
    return NM_ERROR(error, NM_E_ARGUMENT, "no built-in map is named \"%.60s\"; there are: %s", name, list);
}

// ---------------------------------------------------------------------------------------------------------------------
// Parameters

static const nm_map_key keys[NM_MAP_KEY_COUNT] = {
    {"lanes", 1, offsetof(nm_builtin_params, lanes)},
    {"carriageways", 1, offsetof(nm_builtin_params, carriageways)},
    {"lane_width", 0, offsetof(nm_builtin_params, lane_width)},
    {"length", 0, offsetof(nm_builtin_params, length)},
    {"radius", 0, offsetof(nm_builtin_params, radius)},
    {"speed_limit", 0, offsetof(nm_builtin_params, speed_limit)},
    {"green", 0, offsetof(nm_builtin_params, green)},
    {"yellow", 0, offsetof(nm_builtin_params, yellow)},
    {"all_red", 0, offsetof(nm_builtin_params, all_red)},
    {"minor_control", 2, offsetof(nm_builtin_params, minor_control)},
};

const nm_map_key *nm_map_key_at(int index) {
    NM_ASSERT(index >= 0 && index < NM_MAP_KEY_COUNT);
    return &keys[index];
}

int nm_map_key_range(const nm_builtin_params *params, int index, double *low, double *high) {
    const map_kind *map = &kinds[params->kind];
    // two lanes need a larger ring, or the kerbs of the entries would be too tight for sidewalks
    double radius_low = params->kind == NM_BUILTIN_ROUNDABOUT && params->lanes > 1 ? 15.0 : map->radius_low;
    const double ranges[NM_MAP_KEY_COUNT][2] = {
        {map->lanes_low, map->lanes_high},
        {1.0, 2.0},
        {2.5, 5.0},
        {map->length_low, 20000.0},
        {radius_low, map->radius_high},
        {2.0, 60.0},
        {3.0, 300.0},
        {1.0, 10.0},
        {0.0, 10.0},
        {NM_CONTROL_YIELD, NM_CONTROL_STOP},
    };
    const int applies[NM_MAP_KEY_COUNT] = {
        1, map->carriageways, 1, 1, map->radius_high > 0.0, 1, map->signals, map->signals, map->signals, map->minor,
    };
    *low = ranges[index][0];
    *high = ranges[index][1];
    return applies[index];
}

nm_status nm_builtin_check(const nm_builtin_params *params, nm_error *error) {
    if ((unsigned)params->kind >= NM_BUILTIN_COUNT)
        return NM_ERROR(error, NM_E_ARGUMENT, "kind: there is no built-in map number %d", (int)params->kind);
    for (int i = 0; i < NM_MAP_KEY_COUNT; i++) {
        double low, high, value = 0.0;
        if (!nm_map_key_range(params, i, &low, &high)) continue;
        const char *field = (const char *)params + keys[i].offset;
        if (keys[i].is_integer == 0) {
            memcpy(&value, field, sizeof(value));
        } else if (keys[i].is_integer == 1) {
            int number;
            memcpy(&number, field, sizeof(number));
            value = number;
        } else {
            nm_control_kind control;
            memcpy(&control, field, sizeof(control));
            value = (double)control;
            if (!(value >= low && value <= high))
                return NM_ERROR(error, NM_E_ARGUMENT, "%s: must be yield or stop", keys[i].name);
        }
        if (!(value >= low && value <= high))
            return NM_ERROR(error, NM_E_ARGUMENT, "%s: %g is out of range, %s takes %g to %g", keys[i].name, value,
                            kinds[params->kind].name, low, high);
    }
    return NM_OK;
}

nm_status nm_builtin_map(const nm_builtin_params *params, const nm_map **map, nm_error *error) {
    *map = NULL;
    nm_status status = nm_builtin_check(params, error);
    if (status != NM_OK) return status;
    nm_sketch sketch;
    status = nm_sketch_begin(&sketch, error);
    if (status != NM_OK) return status;
    kinds[params->kind].draw(&sketch, params);
    status = nm_sketch_build(&sketch, map, error);
    nm_sketch_end(&sketch);
    return status;
}
