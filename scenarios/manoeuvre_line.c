// Ways on the map as points a metre apart.
#include "scenarios/manoeuvre_internal.h"

#define LATERAL 2.5f // m/s^2 sideways that a bend may ask for

static void put(nm_drive_line *line, uint32_t at, const nm_rail_point *rail) {
    line->x[at] = rail->x;
    line->y[at] = rail->y;
    line->heading[at] = nm_atan2f(rail->sin_h, rail->cos_h);
    line->limit[at] = nm_minf(rail->speed_limit, sqrtf(LATERAL / nm_maxf(fabsf(rail->curvature), 1e-4f)));
}

void nm_drive_line_along(const nm_map *map, uint32_t lane, float s, nm_drive_line *line) {
    uint32_t before[NM_LANES_MAX], count = 0;
    float on = s;
    uint32_t at = lane;
    line->first = line->last = NM_LINE_BACK;
    for (uint32_t i = 1; i <= NM_LINE_BACK; i++) {
        on -= 1;
        while (at != NM_NONE && on < 0) {
            at = nm_straightest(map, at, 0);
            if (at == NM_NONE || count == NM_LANES_MAX / 2) {
                at = NM_NONE;
                break;
            }
            before[count++] = at;
            on += map->lanes[at].length;
        }
        if (at == NM_NONE) break;
        const nm_rail_point rail = nm_map_rail(map, at, on);
        put(line, NM_LINE_BACK - i, &rail);
        line->first = NM_LINE_BACK - i;
    }
    line->lane_count = 0;
    while (count > 0) line->lanes[line->lane_count++] = before[--count];
    line->lanes[line->lane_count++] = lane;
    at = lane;
    on = s - 1;
    for (uint32_t i = NM_LINE_BACK; i < NM_LINE_POINTS; i++) {
        on += 1;
        while (at != NM_NONE && on > map->lanes[at].length) {
            on -= map->lanes[at].length;
            at = line->lane_count < NM_LANES_MAX ? nm_straightest(map, at, 1) : NM_NONE;
            if (at != NM_NONE) line->lanes[line->lane_count++] = at;
        }
        if (at == NM_NONE) break;
        const nm_rail_point rail = nm_map_rail(map, at, on);
        put(line, i, &rail);
        line->last = i;
    }
}

void nm_drive_line_straight(float x, float y, float heading, float reach, nm_drive_line *line) {
    float sine, cosine;
    nm_sincosf(heading, &sine, &cosine);
    const uint32_t points = (uint32_t)nm_minf(reach, NM_LINE_BACK - 1);
    line->first = NM_LINE_BACK - points;
    line->last = NM_LINE_BACK + points;
    line->lane_count = 0;
    for (uint32_t i = line->first; i <= line->last; i++) {
        const float s = (float)i - NM_LINE_BACK;
        line->x[i] = x + s * cosine;
        line->y[i] = y + s * sine;
        line->heading[i] = nm_wrap_angle(heading);
        line->limit[i] = INFINITY;
    }
}

void nm_drive_line_u_turn(const nm_map *map, const nm_place *place, nm_drive_line *line) {
    const nm_rail_point rail = nm_map_rail(map, place->ego_lane, place->ego_s);
    const float heading = nm_atan2f(rail.sin_h, rail.cos_h), start = NM_U_TURN_START(rail.right);
    const float arc = (float)NM_PI * NM_U_TURN_RADIUS;
    line->first = NM_LINE_BACK - 40;
    line->last = NM_LINE_BACK + 60;
    line->lane_count = 0;
    for (uint32_t i = line->first; i <= line->last; i++) {
        const float s = (float)i - NM_LINE_BACK, on = nm_clampf(s, 0, arc), turned = on / NM_U_TURN_RADIUS;
        float sine, cosine;
        nm_sincosf(turned, &sine, &cosine);
        // in the frame of the lane: along and to the left
        const float along = NM_U_TURN_RADIUS * sine + (s < 0 ? s : 0) - (s > arc ? s - arc : 0);
        const float left = start + NM_U_TURN_RADIUS * (1 - cosine);
        line->x[i] = rail.x + along * rail.cos_h - left * rail.sin_h;
        line->y[i] = rail.y + along * rail.sin_h + left * rail.cos_h;
        line->heading[i] = nm_wrap_angle(heading + turned);
        line->limit[i] = INFINITY;
    }
}

float nm_drive_line_first(const nm_drive_line *line) {
    return (float)line->first - NM_LINE_BACK;
}

float nm_drive_line_last(const nm_drive_line *line) {
    return (float)line->last - NM_LINE_BACK;
}

nm_pose nm_drive_line_at(const nm_drive_line *line, float s, float d) {
    const float place = nm_clampf(s + NM_LINE_BACK, (float)line->first, (float)line->last);
    uint32_t i = (uint32_t)place;
    if (i >= line->last && i > line->first) i = line->last - 1;
    const uint32_t k = i < line->last ? i + 1 : i;
    const float share = place - (float)i;
    nm_pose pose;
    pose.heading = nm_wrap_angle(line->heading[i] + share * nm_wrap_angle(line->heading[k] - line->heading[i]));
    float sine, cosine;
    nm_sincosf(pose.heading, &sine, &cosine);
    pose.x = line->x[i] + share * (line->x[k] - line->x[i]) - d * sine;
    pose.y = line->y[i] + share * (line->y[k] - line->y[i]) + d * cosine;
    return pose;
}

void nm_drive_line_project(const nm_drive_line *line, float x, float y, uint32_t *hint, float *s, float *d) {
    uint32_t i = *hint < line->first ? line->first : *hint > line->last ? line->last : *hint;
    for (int moved = 1; moved;) { // downhill on the distance: agents move by some metres a step
        moved = 0;
        for (int side = -1; side <= 1; side += 2) {
            if ((side < 0 && i == line->first) || (side > 0 && i == line->last)) continue;
            const uint32_t k = side < 0 ? i - 1 : i + 1;
            const float now = (line->x[i] - x) * (line->x[i] - x) + (line->y[i] - y) * (line->y[i] - y);
            const float then = (line->x[k] - x) * (line->x[k] - x) + (line->y[k] - y) * (line->y[k] - y);
            if (then < now) {
                i = k;
                moved = 1;
                break;
            }
        }
    }
    *hint = i;
    float sine, cosine;
    nm_sincosf(line->heading[i], &sine, &cosine);
    const float dx = x - line->x[i], dy = y - line->y[i];
    *s = (float)i - NM_LINE_BACK + dx * cosine + dy * sine;
    *d = dy * cosine - dx * sine;
}

float nm_drive_line_limit(const nm_drive_line *line, float from, float to) {
    float least = INFINITY;
    for (float s = nm_maxf(from, nm_drive_line_first(line)); s <= nm_minf(to, nm_drive_line_last(line)); s += 2)
        least = nm_minf(least, line->limit[(uint32_t)(s + NM_LINE_BACK)]);
    return least;
}
