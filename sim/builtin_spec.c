/// "kind[:key=value,...]": the built-in scenes as command lines name them, and as provenance remembers them.
#include "base/decimal.h"
#include "sim/builtin_params.h"
#include "sim/spawn_field.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_KEY 32

typedef struct traffic_key {
    const char *name;
    int is_integer;
    size_t offset; ///< in nm_spawn_params
} traffic_key;

#define TRAFFIC_KEY_COUNT 10
static const traffic_key traffic_keys[TRAFFIC_KEY_COUNT] = {
    {"density", 0, offsetof(nm_spawn_params, density)},
    {"vehicles", 1, offsetof(nm_spawn_params, max_vehicles)},
    {"speed_spread", 0, offsetof(nm_spawn_params, speed_spread)},
    {"min_gap", 0, offsetof(nm_spawn_params, min_gap)},
    {"truck_share", 0, offsetof(nm_spawn_params, truck_share)},
    {"bus_share", 0, offsetof(nm_spawn_params, bus_share)},
    {"motorcycle_share", 0, offsetof(nm_spawn_params, motorcycle_share)},
    {"pedestrians", 1, offsetof(nm_spawn_params, pedestrians)},
    {"cyclists", 1, offsetof(nm_spawn_params, cyclists)},
    {"steps", 1, offsetof(nm_spawn_params, step_count)},
};
enum { KEY_DENSITY = 0, KEY_VEHICLES = 1 };

typedef struct specification {
    nm_builtin_params map;
    nm_spawn_params traffic;
    unsigned map_given, traffic_given; ///< bits by key
} specification;

// ---------------------------------------------------------------------------------------------------------------------
// Text, growing into a fixed buffer; too long a text is cut.

typedef struct text {
    char *buffer;
    size_t size, used;
} text;

static void NM_PRINTF(2, 3) append(text *to, const char *format, ...) {
    if (to->used >= to->size) return;
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(to->buffer + to->used, to->size - to->used, format, arguments);
    va_end(arguments);
    if (written > 0) to->used += (size_t)written;
}

static void list_keys(const nm_builtin_params *params, text *list) {
    double low, high;
    for (int i = 0; i < NM_MAP_KEY_COUNT; i++) {
        const nm_map_key *key = nm_map_key_at(i);
        if (!nm_map_key_range(params, i, &low, &high)) continue;
        if (key->is_integer == 2)
            append(list, "%s (yield, stop), ", key->name);
        else
            append(list, "%s (%g..%g), ", key->name, low, high);
    }
    for (int i = 0; i < TRAFFIC_KEY_COUNT; i++) append(list, "%s%s", i ? ", " : "", traffic_keys[i].name);
}

static nm_status unknown_key(const specification *spec, const char *key, int elsewhere, nm_error *error) {
    char list[400];
    text to = {.buffer = list, .size = sizeof(list)};
    list_keys(&spec->map, &to);
    return NM_ERROR(error, NM_E_ARGUMENT,
                    elsewhere ? "%s does not apply to %s; its keys are %s" : "no key \"%s\" for %s; its keys are %s",
                    key, nm_builtin_name(spec->map.kind), list);
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading

static nm_status read_number(const char *key, const char *value, int is_integer, double *number, nm_error *error) {
    if (!nm_decimal_parse(value, strlen(value), number) || !isfinite(*number))
        return NM_ERROR(error, NM_E_ARGUMENT, "%s: \"%.40s\" is not a number", key, value);
    if (is_integer && (*number != floor(*number) || fabs(*number) > 1e9))
        return NM_ERROR(error, NM_E_ARGUMENT, "%s: \"%.40s\" is not a whole number", key, value);
    return NM_OK;
}

static nm_status set_map_key(specification *spec, int index, const char *value, nm_error *error) {
    const nm_map_key *key = nm_map_key_at(index);
    char *field = (char *)&spec->map + key->offset;
    double number;
    if (key->is_integer == 2) {
        nm_control_kind control = strcmp(value, "yield") == 0  ? NM_CONTROL_YIELD
                                  : strcmp(value, "stop") == 0 ? NM_CONTROL_STOP
                                                               : NM_CONTROL_NONE;
        if (control == NM_CONTROL_NONE)
            return NM_ERROR(error, NM_E_ARGUMENT, "%s: \"%.40s\" is neither yield nor stop", key->name, value);
        memcpy(field, &control, sizeof(control));
        return NM_OK;
    }
    nm_status status = read_number(key->name, value, key->is_integer, &number, error);
    if (status != NM_OK) return status;
    int whole = key->is_integer ? (int)number : 0;
    if (key->is_integer)
        memcpy(field, &whole, sizeof(whole));
    else
        memcpy(field, &number, sizeof(number));
    return NM_OK;
}

static nm_status set_traffic_key(specification *spec, int index, const char *value, nm_error *error) {
    const traffic_key *key = &traffic_keys[index];
    char *field = (char *)&spec->traffic + key->offset;
    double number;
    nm_status status = read_number(key->name, value, key->is_integer, &number, error);
    if (status != NM_OK) return status;
    if (key->is_integer) {
        if (number < 0.0) return NM_ERROR(error, NM_E_ARGUMENT, "%s: %g is negative", key->name, number);
        uint32_t whole = (uint32_t)number;
        memcpy(field, &whole, sizeof(whole));
    } else {
        memcpy(field, &number, sizeof(number));
    }
    return NM_OK;
}

static nm_status set_key(specification *spec, const char *key, const char *value, nm_error *error) {
    double low, high;
    for (int i = 0; i < NM_MAP_KEY_COUNT; i++) {
        if (strcmp(key, nm_map_key_at(i)->name) != 0) continue;
        if (!nm_map_key_range(&spec->map, i, &low, &high)) return unknown_key(spec, key, 1, error);
        if (spec->map_given >> i & 1u) return NM_ERROR(error, NM_E_ARGUMENT, "%s is given twice", key);
        spec->map_given |= 1u << i;
        return set_map_key(spec, i, value, error);
    }
    for (int i = 0; i < TRAFFIC_KEY_COUNT; i++) {
        if (strcmp(key, traffic_keys[i].name) != 0) continue;
        if (spec->traffic_given >> i & 1u) return NM_ERROR(error, NM_E_ARGUMENT, "%s is given twice", key);
        spec->traffic_given |= 1u << i;
        return set_traffic_key(spec, i, value, error);
    }
    return unknown_key(spec, key, 0, error);
}

static nm_status parse(const char *specification_text, specification *spec, nm_error *error) {
    char part[2 * MOST_KEY];
    size_t length = strcspn(specification_text, ":");
    if (length >= sizeof(part)) length = sizeof(part) - 1; // too long for any name: the message quotes its beginning
    memcpy(part, specification_text, length);
    part[length] = '\0';
    nm_builtin_kind kind;
    nm_status status = nm_builtin_from_name(part, &kind, error);
    if (status != NM_OK) return status;
    *spec = (specification){.map = nm_builtin_params_default(kind), .traffic = nm_spawn_params_default()};
    const char *at = specification_text + length;
    while (*at != '\0') {
        at++; // the colon or comma
        length = strcspn(at, ",");
        const char *equals = memchr(at, '=', length);
        if (!equals || equals == at || length >= sizeof(part))
            return NM_ERROR(error, NM_E_ARGUMENT, "\"%.*s\" is not key=value", (int)(length < 60 ? length : 60), at);
        memcpy(part, at, length);
        part[length] = '\0';
        part[equals - at] = '\0';
        status = set_key(spec, part, part + (equals - at) + 1, error);
        if (status != NM_OK) return status;
        at += length;
    }
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing

/// The specification with every key that applies: what the scene can be made from again.
static void write_specification(const specification *spec, text *to) {
    char number[32];
    double low, high;
    append(to, "%s:", nm_builtin_name(spec->map.kind));
    for (int i = 0; i < NM_MAP_KEY_COUNT; i++) {
        const nm_map_key *key = nm_map_key_at(i);
        const char *field = (const char *)&spec->map + key->offset;
        if (!nm_map_key_range(&spec->map, i, &low, &high)) continue;
        if (key->is_integer == 2) {
            append(to, "%s=%s,", key->name, spec->map.minor_control == NM_CONTROL_STOP ? "stop" : "yield");
        } else if (key->is_integer) {
            int whole;
            memcpy(&whole, field, sizeof(whole));
            append(to, "%s=%d,", key->name, whole);
        } else {
            double value;
            memcpy(&value, field, sizeof(value));
            nm_spawn_number(number, sizeof(number), value);
            append(to, "%s=%s,", key->name, number);
        }
    }
    for (int i = 0; i < TRAFFIC_KEY_COUNT; i++) {
        const char *field = (const char *)&spec->traffic + traffic_keys[i].offset;
        if (traffic_keys[i].is_integer) {
            uint32_t whole;
            memcpy(&whole, field, sizeof(whole));
            snprintf(number, sizeof(number), "%u", (unsigned)whole);
        } else {
            double value;
            memcpy(&value, field, sizeof(value));
            nm_spawn_number(number, sizeof(number), value);
        }
        append(to, "%s%s=%s", i ? "," : "", traffic_keys[i].name, number);
    }
}

static nm_status spawn(const specification *spec, const nm_map *map, const nm_scene **scene, nm_error *error) {
    char full[768], parameters[1024], scene_id[96];
    text to = {.buffer = full, .size = sizeof(full)};
    write_specification(spec, &to);
    NM_ASSERT(to.used < to.size);
    unsigned long long seed = spec->traffic.seed;
    const char *quote = seed > 1ull << 53 ? "\"" : "";
    snprintf(parameters, sizeof(parameters), "{\"spec\":\"%s\",\"seed\":%s%llu%s}", full, quote, seed, quote);
    // the name carries a hash of the whole specification: two densities of one map are two scenes
    snprintf(scene_id, sizeof(scene_id), "%s-%08llx-%llu", nm_builtin_name(spec->map.kind),
             (unsigned long long)(nm_hash_bytes(full, strlen(full), 0) & 0xffffffffu), seed);
    nm_spawn_label label = {.scene_id = scene_id, .parameters = parameters, .tag = nm_builtin_name(spec->map.kind)};
    return nm_spawn_labelled(map, &spec->traffic, &label, scene, error);
}

nm_status nm_builtin_scene(const char *specification_text, uint64_t seed, const nm_scene **scene, nm_error *error) {
    specification spec;
    const nm_map *map;
    *scene = NULL;
    nm_status status = parse(specification_text, &spec, error);
    if (status != NM_OK) return status;
    spec.traffic.seed = seed;
    status = nm_builtin_map(&spec.map, &map, error);
    if (status != NM_OK) return status;
    unsigned given = spec.traffic_given;
    if (given >> KEY_VEHICLES & 1u && spec.traffic.max_vehicles && !(given >> KEY_DENSITY & 1u)) {
        // dense enough for that many, with a quarter to spare for places that turn out to be taken
        double density = 1.25 * (spec.traffic.max_vehicles + 4.0) / fmax(nm_spawn_lane_km(map), 1e-3);
        spec.traffic.density = fmin(ceil(density), 150.0);
    }
    status = spawn(&spec, map, scene, error);
    nm_map_release(map);
    return status;
}
