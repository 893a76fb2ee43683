/// Signals and stop signs, the other way round of womd_control.c.
///
/// A signal that came from WOMD keeps the lane that it was given with as its id: it is said of that lane again. Any
/// other rules the ends of some lanes: it is said of each of them, with a stop point where one stops on it, in its
/// second half, which the reader understands as ruling the lane's own end; a signal for one turn is said of the lanes
/// that make it, behind. Of several signals for one lane the first counts: WOMD has one state for a lane.
#include <math.h>
#include <stdlib.h>

#include "dataset/protobuf_out.h"
#include "dataset/womd_write.h"

enum { FEATURE_STOP_SIGN = 7 };

/// The centreline at s, in the source's frame.
static void place_on(const nm_map *map, const nm_lane *lane, float s, double at[3]) {
    const uint32_t first = lane->points.first;
    uint32_t i = first;
    while (i + 2 < first + lane->points.count && map->point_s[i + 1] < s) i++;
    const float length = map->point_s[i + 1] - map->point_s[i];
    const float t = length > 0.0f ? fminf(fmaxf((s - map->point_s[i]) / length, 0.0f), 1.0f) : 0.0f;
    at[0] = map->origin.x + (double)(map->centre[i].x + t * (map->centre[i + 1].x - map->centre[i].x));
    at[1] = map->origin.y + (double)(map->centre[i].y + t * (map->centre[i + 1].y - map->centre[i].y));
    at[2] = map->origin.z + (double)(map->z[i] + t * (map->z[i + 1] - map->z[i]));
}

static uint32_t lane_with_id(const nm_map *map, const uint8_t *written, int64_t id) {
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (written[i] && map->lanes[i].source_id == id) return i;
    }
    return NM_NONE;
}

static int in_range(const nm_map *map, nm_range range, uint32_t lane) {
    for (uint32_t i = 0; i < range.count; i++) {
        if (map->lane_refs[range.first + i] == lane) return 1;
    }
    return 0;
}

static int add_light(nm_womd_map_bytes *out, const nm_womd_light *light) {
    for (uint32_t i = 0; i < out->light_count; i++) {
        if (out->lights[i].lane == light->lane) return 1;
    }
    if (out->light_count == out->light_room) {
        const uint32_t room = out->light_room ? 2 * out->light_room : 16;
        nm_womd_light *moved = realloc(out->lights, room * sizeof *moved);
        if (!moved) return 0;
        out->lights = moved;
        out->light_room = room;
    }
    out->lights[out->light_count++] = *light;
    return 1;
}

/// 1 when the signal was given with the lane of its id: it rules that lane's own end, or those of lanes that lead in.
static int came_with_lane(const nm_map *map, const nm_signal *signal, uint32_t lane) {
    if (lane == NM_NONE) return signal->lanes.count == 0;
    for (uint32_t i = 0; i < signal->lanes.count; i++) {
        const uint32_t ruled = map->lane_refs[signal->lanes.first + i];
        if (ruled == lane ? signal->lanes.count > 1 : !in_range(map, map->lanes[lane].predecessors, ruled)) return 0;
    }
    return 1;
}

static int add_given(const nm_map *map, uint32_t index, uint32_t lane, nm_womd_map_bytes *out) {
    const nm_signal *signal = &map->signals[index];
    nm_womd_light light = {.lane = signal->source_id, .signal = index, .placed = signal->placed};
    double at[3] = {0.0, 0.0, map->origin.z};
    if (lane != NM_NONE) place_on(map, &map->lanes[lane], 0.0f, at);
    light.x = map->origin.x + (double)signal->position.x;
    light.y = map->origin.y + (double)signal->position.y;
    light.z = at[2];
    return add_light(out, &light);
}

static int add_ruled(const nm_map *map, const uint8_t *written, uint32_t index, uint32_t ruled,
                     nm_womd_map_bytes *out) {
    const nm_lane *lane = &map->lanes[ruled];
    const unsigned turn = map->signals[index].turn;
    double at[3];
    int behind = 0;
    // in the second half of the lane even where the stop line is not
    place_on(map, lane, fmaxf(lane->stop_s, 0.51f * lane->length), at);
    nm_womd_light light = {lane->source_id, index, at[0], at[1], at[2], 1};
    for (uint32_t i = 0; i < lane->successors.count && turn != NM_TURN_UNKNOWN; i++) {
        const uint32_t next = map->lane_refs[lane->successors.first + i];
        if (!written[next] || map->lanes[next].turn != turn) continue;
        light.lane = map->lanes[next].source_id;
        behind = 1;
        if (!add_light(out, &light)) return 0;
    }
    return behind || !written[ruled] || add_light(out, &light);
}

int nm_womd_lights(const nm_map *map, const uint8_t *written, nm_womd_map_bytes *out) {
    for (uint32_t i = 0; i < map->signal_count; i++) {
        const nm_signal *signal = &map->signals[i];
        const uint32_t lane = lane_with_id(map, written, signal->source_id);
        if (came_with_lane(map, signal, lane)) {
            if (!add_given(map, i, lane, out)) return 0;
            continue;
        }
        for (uint32_t k = 0; k < signal->lanes.count; k++) {
            if (!add_ruled(map, written, i, map->lane_refs[signal->lanes.first + k], out)) return 0;
        }
    }
    return 1;
}

// --- stop signs ------------------------------------------------------------------------------------------------------

static int means_stop(const nm_sign *sign) {
    static const char *const codes[] = {NM_WOMD_SIGN_CODE, "R1-1", "206", "r2"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (strcmp(sign->code, codes[i]) == 0) return 1;
    }
    return 0;
}

static int stops(const nm_lane *lane) {
    return lane->control == NM_CONTROL_STOP || lane->control == NM_CONTROL_ALL_WAY_STOP;
}

/// Beside the end of the lane, on the right.
static void place_beside(const nm_map *map, const nm_lane *lane, double at[3]) {
    const uint32_t last = lane->points.first + lane->points.count - 1;
    at[0] = map->origin.x + (double)map->right[last].x;
    at[1] = map->origin.y + (double)map->right[last].y;
    at[2] = map->origin.z + (double)map->z[last];
}

static void put_sign(nm_byte_buffer *out, int64_t id, const int64_t *lanes, uint32_t count, const double at[3]) {
    const size_t feature = nm_pb_begin(out, 8);
    nm_pb_int(out, 1, id);
    const size_t sign = nm_pb_begin(out, FEATURE_STOP_SIGN);
    for (uint32_t i = 0; i < count; i++) nm_pb_int(out, 1, lanes[i]);
    uint8_t *point = at ? nm_byte_buffer_grow(out, NM_WOMD_POINT_BYTES) : NULL;
    if (point) nm_womd_put_point(point, 2, at[0], at[1], at[2]);
    nm_pb_end(out, sign);
    nm_pb_end(out, feature);
}

/// A sign of the map; notes the lanes that it stops. One that came from WOMD goes back as it came; another one rules
/// its lanes' own ends, and must stand in their second halves to be understood so.
static void write_sign(nm_womd_map_work *work, nm_byte_buffer *out, uint32_t index, uint8_t *stopped) {
    const nm_map *map = work->map;
    const nm_sign *sign = &map->signs[index];
    const int given = strcmp(sign->code, NM_WOMD_SIGN_CODE) == 0;
    int64_t *lanes = NM_ARENA_ARRAY(work->arena, int64_t, sign->lanes.count);
    double at[3];
    int placed = sign->placed;
    uint32_t count = 0;
    if (!lanes) {
        work->failed = 1;
        return;
    }
    for (uint32_t i = 0; i < sign->lanes.count; i++) {
        const uint32_t ref = map->lane_refs[sign->lanes.first + i];
        const nm_lane *lane = &map->lanes[ref];
        if (!work->written[ref]) continue;
        if (count == 0) place_beside(map, lane, at);
        lanes[count++] = lane->source_id;
        stopped[ref] = 1;
        for (uint32_t k = 0; k < lane->predecessors.count && given; k++)
            stopped[map->lane_refs[lane->predecessors.first + k]] = 1;
        if (given || !placed) continue;
        const nm_frenet where = nm_map_project(map, ref, sign->position.x, sign->position.y);
        placed = where.s > 0.5f * lane->length;
    }
    if (count == 0) at[2] = map->origin.z;
    if (placed) {
        at[0] = map->origin.x + (double)sign->position.x;
        at[1] = map->origin.y + (double)sign->position.y;
    }
    put_sign(out, work->sign_ids[index], lanes, count, placed || (count && !given) ? at : NULL);
}

void nm_womd_write_signs(nm_womd_map_work *work, nm_byte_buffer *out) {
    const nm_map *map = work->map;
    uint8_t *stopped = nm_arena_calloc(work->arena, map->lane_count, 1, 1);
    if (!stopped) {
        work->failed = 1;
        return;
    }
    for (uint32_t i = 0; i < map->sign_count; i++) {
        if (means_stop(&map->signs[i])) write_sign(work, out, i, stopped);
    }
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_lane *lane = &map->lanes[i];
        double at[3];
        if (!work->written[i] || !stops(lane) || stopped[i]) continue;
        place_beside(map, lane, at);
        put_sign(out, work->next_id++, &lane->source_id, 1, at);
    }
}
