/// The map as the network sees it: features cut into pieces once a map, the nearest pieces of each agent once a scene.
#include "nexus/tokens_private.h"

#include <string.h>

#define MAX_PIECES (1u << 20)
#define MATCH_RADIUS 2.0f // m

// ---------------------------------------------------------------------------------------------------------------------
// Pieces

/// What pieces are cut from.
typedef struct feature {
    const nm_vec2 *points;
    uint32_t count;
    int closed;
    nm_polyline_kind kind;
    uint32_t lane; // or NM_NONE
} feature;

static nm_vec2 feature_point(const feature *f, uint32_t i) {
    return f->points[i < f->count ? i : 0]; // of closed ones the first is also the last
}
static uint32_t feature_segments(const feature *f) {
    return f->count < 2 ? 0 : f->closed ? f->count : f->count - 1;
}

static double feature_length(const feature *f) {
    double length = 0.0;
    for (uint32_t i = 0; i < feature_segments(f); i++) {
        nm_vec2 d = nm_sub(feature_point(f, i + 1), feature_point(f, i));
        length += (double)nm_hypotf(d.x, d.y);
    }
    return length;
}

/// Pieces of a feature; 0 for one without length. As a double: maps may hold more than there are integers for.
static double feature_pieces(double length, double piece) {
    return length < 1e-3 ? 0.0
                         : nm_max(ceil(length / piece - 1e-4), 1.0); // a hair over a whole number is no piece more
}

/// Features of the map one by one: at = 0, 1, ...; 0 when there are no more.
static int next_feature(const nm_map *map, unsigned wanted, uint32_t *at, feature *f) {
    const uint32_t lines = map->lane_count, areas = lines + map->line_count, all = areas + map->area_count;
    for (; *at < all;) {
        uint32_t i = (*at)++;
        if (i < lines) {
            if (!(wanted & NM_MAP_LANES)) continue;
            const nm_lane *lane = &map->lanes[i];
            *f = (feature){map->centre + lane->points.first, lane->points.count, 0, NM_POLYLINE_LANE, i};
        } else if (i < areas) {
            if (!(wanted & NM_MAP_LINES)) continue;
            const nm_line *line = &map->lines[i - lines];
            nm_polyline_kind kind = line->kind == NM_LINE_ROAD_LINE ? NM_POLYLINE_LINE : NM_POLYLINE_EDGE;
            *f = (feature){map->line_points + line->points.first, line->points.count, 0, kind, NM_NONE};
        } else {
            if (!(wanted & NM_MAP_AREAS)) continue;
            const nm_area *area = &map->areas[i - areas];
            nm_polyline_kind kind = area->kind == NM_AREA_CROSSWALK ? NM_POLYLINE_CROSSWALK : NM_POLYLINE_AREA;
            *f = (feature){map->area_points + area->points.first, area->points.count, 1, kind, NM_NONE};
        }
        return 1;
    }
    return 0;
}

static int may_change(const nm_map *map, nm_range neighbours) {
    for (uint32_t i = 0; i < neighbours.count; i++) {
        const nm_neighbour *n = &map->neighbours[neighbours.first + i];
        if (n->may_change && !n->opposite) return 1;
    }
    return 0;
}

/// What is the same for all pieces of a feature.
static void describe(const nm_map *map, const feature *f, float *row) {
    memset(row, 0, NM_ROW_ATTRIBUTES * sizeof *row);
    row[NM_ROW_KIND + f->kind] = 1.0f;
    if (f->lane == NM_NONE) return;
    const nm_lane *lane = &map->lanes[f->lane];
    row[NM_ROW_LANE_TYPE + lane->type] = 1.0f;
    if (lane->turn != NM_TURN_UNKNOWN) row[NM_ROW_TURN + lane->turn - NM_TURN_STRAIGHT] = 1.0f;
    if (lane->control != NM_CONTROL_NONE) row[NM_ROW_CONTROL + lane->control - NM_CONTROL_PRIORITY] = 1.0f;
    row[NM_ROW_JUNCTION] = lane->flags & NM_LANE_JUNCTION ? 1.0f : 0.0f;
    row[NM_ROW_TWO_WAY] = lane->flags & NM_LANE_BIDIRECTIONAL ? 1.0f : 0.0f;
    row[NM_ROW_LIMIT_KNOWN] = lane->speed_limit > 0.0f ? 1.0f : 0.0f;
    row[NM_ROW_LIMIT] = lane->speed_limit / NM_LIMIT_SCALE;
    row[NM_ROW_CHANGE_LEFT] = may_change(map, lane->left) ? 1.0f : 0.0f;
    row[NM_ROW_CHANGE_RIGHT] = may_change(map, lane->right) ? 1.0f : 0.0f;
}

/// Where resampling is on a feature: segment and arc length at its start.
typedef struct walk {
    uint32_t segment;
    double start, length; // of the segment
} walk;

static double segment_length(const feature *f, uint32_t i) {
    nm_vec2 d = nm_sub(feature_point(f, i + 1), feature_point(f, i));
    return (double)nm_hypotf(d.x, d.y);
}

/// Goes on to arc length s, which never decreases; returns the part of the segment.
static float walk_to(walk *w, const feature *f, double s) {
    const uint32_t last = feature_segments(f) - 1;
    while (w->segment < last && s > w->start + w->length) {
        w->start += w->length;
        w->length = segment_length(f, ++w->segment);
    }
    return w->length > 0.0 ? nm_clampf((float)((s - w->start) / w->length), 0.0f, 1.0f) : 0.0f;
}

static float gap(const nm_vec2 *border, const nm_vec2 *centre, uint32_t i, float part) {
    nm_vec2 d = nm_sub(nm_lerp(border[i], border[i + 1], part), nm_lerp(centre[i], centre[i + 1], part));
    return nm_hypotf(d.x, d.y);
}

static void cut_feature(nm_token_map *tm, const feature *f) {
    const uint32_t points = tm->config.map_points;
    const double length = feature_length(f);
    const uint32_t pieces = (uint32_t)feature_pieces(length, tm->config.map_piece);
    if (!pieces) return;
    const nm_map *map = tm->map;
    float row[NM_ROW_ATTRIBUTES];
    describe(map, f, row);
    row[NM_ROW_LENGTH] = (float)(length / pieces) / NM_NEAR_SCALE;
    walk w = {.segment = 0, .length = segment_length(f, 0)};
    for (uint32_t piece = 0; piece < pieces; piece++) {
        float *x = tm->x + (size_t)tm->count * points, *y = tm->y + (size_t)tm->count * points;
        float left = 0.0f, right = 0.0f;
        nm_bounds b = nm_bounds_of(NULL, 0);
        for (uint32_t j = 0; j < points; j++) {
            float part = walk_to(&w, f, length * (piece + (double)j / (points - 1)) / pieces);
            nm_vec2 p = nm_lerp(feature_point(f, w.segment), feature_point(f, w.segment + 1), part);
            x[j] = p.x;
            y[j] = p.y;
            b.lo = (nm_vec2){nm_minf(b.lo.x, p.x), nm_minf(b.lo.y, p.y)};
            b.hi = (nm_vec2){nm_maxf(b.hi.x, p.x), nm_maxf(b.hi.y, p.y)};
            if (f->lane == NM_NONE) continue;
            const uint32_t at = map->lanes[f->lane].points.first;
            left += gap(map->left + at, map->centre + at, w.segment, part);
            right += gap(map->right + at, map->centre + at, w.segment, part);
        }
        row[NM_ROW_LEFT] = left / (4.0f * (float)points);
        row[NM_ROW_RIGHT] = right / (4.0f * (float)points);
        if (f->lane != NM_NONE) row[NM_ROW_TO_END] = (float)(length - length * (piece + 1) / pieces) / NM_NEAR_SCALE;
        memcpy(tm->attributes + (size_t)tm->count * NM_ROW_ATTRIBUTES, row, sizeof row);
        tm->bounds[tm->count] = b;
        tm->lane[tm->count] = f->lane;
        tm->count++;
    }
}

static nm_status make_pieces(nm_token_map *tm, nm_error *error) {
    feature f;
    double total = 0.0;
    for (uint32_t at = 0; next_feature(tm->map, tm->config.map_features, &at, &f);)
        total += feature_pieces(feature_length(&f), tm->config.map_piece);
    if (total > MAX_PIECES)
        return NM_ERROR(error, NM_E_LIMIT, "the map gives %.0f pieces of %g m, %u are possible", total,
                        tm->config.map_piece, MAX_PIECES);
    const size_t count = (size_t)total, points = tm->config.map_points;
    tm->x = NM_ARENA_ARRAY(tm->arena, float, count *points);
    tm->y = NM_ARENA_ARRAY(tm->arena, float, count *points);
    tm->bounds = NM_ARENA_ARRAY(tm->arena, nm_bounds, count);
    tm->attributes = NM_ARENA_ARRAY(tm->arena, float, count *NM_ROW_ATTRIBUTES);
    tm->lane = NM_ARENA_ARRAY(tm->arena, uint32_t, count);
    if (!tm->x || !tm->y || !tm->bounds || !tm->attributes || !tm->lane)
        return NM_ERROR(error, NM_E_MEMORY, "no memory for %zu pieces of a map", count);
    for (uint32_t at = 0; next_feature(tm->map, tm->config.map_features, &at, &f);) cut_feature(tm, &f);
    NM_ASSERT(tm->count == count);
    return NM_OK;
}

nm_status nm_token_map_create(const nm_map *map, const nm_token_config *config, nm_token_map **token_map,
                              nm_error *error) {
    NM_ASSERT(map && config && token_map);
    *token_map = NULL;
    nm_status status = nm_token_config_check(config, error);
    if (status == NM_OK) status = nm_map_prepare(map, error);
    if (status != NM_OK) return status;
    nm_arena *arena = nm_arena_create(0);
    nm_token_map *tm = arena ? nm_arena_calloc(arena, 1, sizeof *tm, 64) : NULL;
    if (!tm) {
        nm_arena_destroy(arena);
        return NM_ERROR(error, NM_E_MEMORY, "no memory for the pieces of a map");
    }
    tm->arena = arena;
    tm->config = *config;
    tm->map = nm_map_retain(map);
    status = make_pieces(tm, error);
    if (status != NM_OK) {
        nm_token_map_destroy(tm);
        return status;
    }
    *token_map = tm;
    return NM_OK;
}

void nm_token_map_destroy(nm_token_map *token_map) {
    if (!token_map) return;
    nm_map_release(token_map->map);
    nm_arena_destroy(token_map->arena); // holds token_map itself
}

const nm_token_config *nm_token_map_config(const nm_token_map *token_map) {
    return &token_map->config;
}

uint32_t nm_token_map_pieces(const nm_token_map *token_map) {
    return token_map->count;
}

size_t nm_token_map_bytes(const nm_token_map *token_map) {
    return nm_arena_used(token_map->arena);
}

// ---------------------------------------------------------------------------------------------------------------------
// Signals and lanes of agents

nm_light nm_token_lane_light(const nm_scene *scene, uint32_t lane, uint32_t step) {
    const nm_range signals = scene->map->lanes[lane].signals;
    int stop = 0, caution = 0, go = 0;
    for (uint32_t i = 0; i < signals.count; i++) {
        switch (nm_scene_signal(scene, scene->map->signal_refs[signals.first + i], step)) {
        case NM_SIGNAL_STOP:
        case NM_SIGNAL_ARROW_STOP:
        case NM_SIGNAL_FLASHING_STOP:
            stop = 1;
            break;
        case NM_SIGNAL_CAUTION:
        case NM_SIGNAL_ARROW_CAUTION:
        case NM_SIGNAL_FLASHING_CAUTION:
            caution = 1;
            break;
        case NM_SIGNAL_GO:
        case NM_SIGNAL_ARROW_GO:
            go = 1;
            break;
        default:
            break;
        }
    }
    if (!signals.count) return NM_LIGHT_COUNT;
    return stop ? NM_LIGHT_STOP : caution ? NM_LIGHT_CAUTION : go ? NM_LIGHT_GO : NM_LIGHT_UNKNOWN;
}

unsigned nm_token_lanes_for(uint8_t type) {
    switch (type) {
    case NM_AGENT_PEDESTRIAN:
        return 0;
    case NM_AGENT_CYCLIST:
        return NM_LANE_MASK_VEHICLE | 1u << NM_LANE_BIKE;
    default:
        return NM_LANE_MASK_VEHICLE;
    }
}

/// The lane whose signal is the next one on the only way on, and the distance to where it stops one.
static uint32_t signal_ahead(const nm_map *map, uint32_t lane, float s, float *distance) {
    float ahead = -s;
    while (ahead < NM_SIGNAL_RANGE) { // ends: lanes have a length, and loops become too long
        const nm_lane *at = &map->lanes[lane];
        if (at->signals.count) {
            *distance = nm_maxf(ahead + at->stop_s, 0.0f);
            return *distance <= NM_SIGNAL_RANGE ? lane : NM_NONE;
        }
        ahead += nm_maxf(at->length, 0.01f);
        if (at->successors.count != 1) return NM_NONE;
        lane = map->lane_refs[at->successors.first];
    }
    return NM_NONE;
}

static void fill_static(const nm_scene *scene, const nm_tokens *tokens, uint32_t agent, float *k) {
    const nm_track *track = &scene->tracks[tokens->track[agent]];
    const nm_token_frame *ego = &tokens->frame[0], *own = &tokens->frame[agent];
    const size_t at = nm_scene_at(scene, tokens->track[agent], own->step);
    nm_vec2 place = nm_token_into(ego, own->x, own->y), ahead = nm_token_turn(ego, own->cos, own->sin);
    k[NM_CONDITION_TYPE + track->type] = 1.0f;
    k[NM_CONDITION_LENGTH] = (track->length - 4.5f) / 5.0f;
    k[NM_CONDITION_WIDTH] = (track->width - 2.0f) / 1.6f;
    k[NM_CONDITION_EGO] = agent == 0 ? 1.0f : 0.0f;
    k[NM_CONDITION_X] = place.x / NM_NEAR_SCALE;
    k[NM_CONDITION_Y] = place.y / NM_NEAR_SCALE;
    k[NM_CONDITION_COS] = ahead.x;
    k[NM_CONDITION_SIN] = ahead.y;
    k[NM_CONDITION_SPEED] = (scene->vx[at] * own->cos + scene->vy[at] * own->sin) / (float)tokens->config.speed_scale;
    k[NM_CONDITION_AGE] = (float)(tokens->current_step - own->step) * 0.1f;
}

/// What is straight ahead (or behind) of an agent, by the last states of all.
static void fill_neighbours(const nm_scene *scene, const nm_tokens *tokens, uint32_t agent, float *k) {
    const nm_token_frame *own = &tokens->frame[agent];
    const nm_track *track = &scene->tracks[tokens->track[agent]];
    const float own_speed = k[NM_CONDITION_SPEED] * (float)tokens->config.speed_scale;
    float nearest[2] = {NM_LEAD_RANGE, NM_LEAD_RANGE};
    for (uint32_t other = 0; other < tokens->shape.agents; other++) {
        if (other == agent) continue;
        const nm_token_frame *frame = &tokens->frame[other];
        const nm_track *them = &scene->tracks[tokens->track[other]];
        const nm_vec2 place = nm_token_into(own, frame->x, frame->y),
                      ahead = nm_token_turn(own, frame->cos, frame->sin);
        if (fabsf(place.x) > NM_LEAD_RANGE + 30.0f) continue;
        const float half_length = 0.5f * (them->length * fabsf(ahead.x) + them->width * fabsf(ahead.y));
        const float half_width = 0.5f * (them->length * fabsf(ahead.y) + them->width * fabsf(ahead.x));
        if (fabsf(place.y) > half_width + 0.5f * track->width + NM_LEAD_MARGIN) continue;
        const size_t at = nm_scene_at(scene, tokens->track[other], frame->step);
        const nm_vec2 velocity = nm_token_turn(own, scene->vx[at], scene->vy[at]);
        if (ahead.x < 0.5f && hypotf(velocity.x, velocity.y) > NM_LEAD_STANDING) continue;
        const int behind = place.x < 0.0f;
        const float gap = nm_maxf(fabsf(place.x) - half_length - 0.5f * track->length, 0.0f);
        if (gap >= nearest[behind]) continue;
        nearest[behind] = gap;
        float *found = k + (behind ? NM_CONDITION_TAIL : NM_CONDITION_LEAD);
        found[0] = 1.0f;
        found[1] = gap / NM_NEAR_SCALE;
        found[2] = (velocity.x - own_speed) / (float)tokens->config.speed_scale;
    }
}

void nm_token_condition_fill(const nm_scene *scene, const nm_token_request *request, nm_tokens *tokens, uint32_t agent,
                             float *condition) {
    const nm_map *map = scene->map;
    const nm_token_frame *own = &tokens->frame[agent];
    const unsigned mask = nm_token_lanes_for(scene->tracks[tokens->track[agent]].type);
    const uint32_t steps = tokens->shape.steps, past = tokens->config.past, current = tokens->current_step;
    const size_t width = nm_token_conditions(&tokens->config);
    float k[NM_CONDITION_PATH_END] = {0}, stop = 0.0f;
    fill_static(scene, tokens, agent, k);
    fill_neighbours(scene, tokens, agent, k);
    nm_frenet on = {.lane = NM_NONE};
    if (mask) on = nm_map_match(map, (float)own->x, (float)own->y, own->heading, MATCH_RADIUS, mask);
    uint32_t lit = NM_NONE;
    if (on.lane != NM_NONE) {
        const float limit = map->lanes[on.lane].speed_limit;
        k[NM_CONDITION_LANE] = 1.0f;
        k[NM_CONDITION_LANE_OFFSET] = on.d / 2.0f;
        nm_sincosf(nm_wrap_angle(own->heading - on.heading), &k[NM_CONDITION_LANE_SIN], &k[NM_CONDITION_LANE_COS]);
        k[NM_CONDITION_LIMIT_KNOWN] = limit > 0.0f ? 1.0f : 0.0f;
        k[NM_CONDITION_LIMIT] = limit / NM_LIMIT_SCALE;
        if (k[NM_CONDITION_LANE_COS] > 0.0f) lit = signal_ahead(map, on.lane, on.s, &stop); // not against the lane
    }
    if (tokens->path) nm_token_path_fill(scene, request, tokens, agent, &on, k, &lit, &stop);
    for (uint32_t t = 0; t < steps; t++) {
        float *out = condition + (size_t)t * width;
        memcpy(out, k, width * sizeof *k);
        if (tokens->path) nm_token_path_condition(tokens, agent, t, out);
        if (lit == NM_NONE) continue;
        uint32_t before = t < past ? (past - t) * NM_TOKEN_STEPS : 0;
        out[NM_CONDITION_SIGNAL + nm_token_lane_light(scene, lit, current > before ? current - before : 0)] = 1.0f;
        out[NM_CONDITION_STOP] = stop / NM_NEAR_SCALE;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The nearest pieces

/// Pieces near any agent, and working memory for one agent.
typedef struct search {
    const nm_token_map *map;
    uint32_t count;
    uint32_t *near;     // pieces, ascending
    uint8_t *light;     // of each of them, nm_light or NM_LIGHT_COUNT
    float *low;         // squared distance of the box of each of them
    nm_smallest bounds; // the smallest `high`
    nm_smallest found;
} search;

static float box_distance2(const nm_bounds *b, float x, float y) {
    float dx = nm_maxf(nm_maxf(b->lo.x - x, x - b->hi.x), 0.0f), dy = nm_maxf(nm_maxf(b->lo.y - y, y - b->hi.y), 0.0f);
    return dx * dx + dy * dy;
}

static float piece_distance2(const nm_token_map *tm, uint32_t piece, float x, float y) {
    const float *px = tm->x + (size_t)piece * tm->config.map_points, *py = tm->y + (px - tm->x);
    float least = INFINITY;
    for (uint32_t j = 0; j + 1 < tm->config.map_points; j++) {
        nm_vec2 a = {px[j], py[j]}, b = {px[j + 1], py[j + 1]};
        least = nm_minf(least, nm_segment_distance2(a, b, (nm_vec2){x, y}));
    }
    return least;
}

/// The nearest pieces of a place, ascending in s->found.
///
/// A piece's distance lies between that of its box and that of one of its points. Only pieces whose box is nearer than
/// the last of the nearest points can be among the nearest: for those alone the exact distance is worked out.
static void find_nearest(search *s, const nm_token_frame *frame) {
    const nm_token_map *tm = s->map;
    const uint32_t points = tm->config.map_points;
    const float x = (float)frame->x, y = (float)frame->y;
    const float range2 = (float)(tm->config.map_range * tm->config.map_range);
    s->bounds.count = s->found.count = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const uint32_t piece = s->near[i];
        const size_t middle = (size_t)piece * points + points / 2;
        s->low[i] = box_distance2(&tm->bounds[piece], x, y);
        if (s->low[i] > range2) continue;
        float dx = tm->x[middle] - x, dy = tm->y[middle] - y, high = dx * dx + dy * dy;
        uint32_t bits; // of a float that is not negative: ordered as it is
        memcpy(&bits, &high, sizeof bits);
        nm_smallest_add(&s->bounds, bits);
    }
    float limit2 = range2;
    if (s->bounds.count == s->bounds.limit && s->bounds.limit) {
        uint32_t bits = (uint32_t)s->bounds.keys[0];
        memcpy(&limit2, &bits, sizeof bits);
        // a centimetre and the rounding of floats more: what ties in whole centimetres must not be lost
        limit2 = nm_minf(range2, (sqrtf(limit2) * 1.00001f + 0.02f) * (sqrtf(limit2) * 1.00001f + 0.02f));
    }
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->low[i] > limit2) continue;
        float d2 = piece_distance2(tm, s->near[i], x, y);
        if (d2 <= range2) nm_smallest_add(&s->found, nm_token_key(sqrt((double)d2), i));
    }
    nm_smallest_sort(&s->found);
}

/// Pieces within the range of the box around all agents that look for some.
static void find_near(search *s, const nm_scene *scene, const nm_tokens *tokens, uint32_t seekers) {
    const float range = (float)tokens->config.map_range;
    nm_bounds around = nm_bounds_of(NULL, 0);
    for (uint32_t a = 0; a < seekers; a++) {
        float x = (float)tokens->frame[a].x, y = (float)tokens->frame[a].y;
        around.lo = (nm_vec2){nm_minf(around.lo.x, x - range), nm_minf(around.lo.y, y - range)};
        around.hi = (nm_vec2){nm_maxf(around.hi.x, x + range), nm_maxf(around.hi.y, y + range)};
    }
    for (uint32_t i = 0; i < s->map->count; i++) {
        if (!nm_bounds_meet(&around, &s->map->bounds[i])) continue;
        const uint32_t lane = s->map->lane[i];
        s->near[s->count] = i;
        s->light[s->count++] =
            (uint8_t)(lane == NM_NONE ? NM_LIGHT_COUNT : nm_token_lane_light(scene, lane, tokens->current_step));
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Rows

static void write_row(const search *s, const nm_token_config *config, const nm_token_frame *frame, uint64_t key,
                      float *row) {
    const uint32_t near = (uint32_t)key, piece = s->near[near], points = config->map_points;
    const float *x = s->map->x + (size_t)piece * points, *y = s->map->y + (size_t)piece * points;
    const float scale = 1.0f / (float)config->position_scale;
    memcpy(row, s->map->attributes + (size_t)piece * NM_ROW_ATTRIBUTES, NM_ROW_ATTRIBUTES * sizeof *row);
    if (s->light[near] < NM_LIGHT_COUNT) row[NM_ROW_SIGNAL + s->light[near]] = 1.0f;
    row[NM_ROW_DISTANCE] = (float)(key >> 32) / (100.0f * NM_NEAR_SCALE);
    for (uint32_t j = 0; j < points; j++) {
        nm_vec2 p = nm_token_into(frame, (double)x[j], (double)y[j]);
        row[NM_ROW_POINTS + 2 * j] = p.x * scale;
        row[NM_ROW_POINTS + 2 * j + 1] = p.y * scale;
    }
}

static nm_point_channel point_type(const nm_token_map *tm, uint32_t piece) {
    const float *row = tm->attributes + (size_t)piece * NM_ROW_ATTRIBUTES;
    if (row[NM_ROW_KIND + NM_POLYLINE_LINE] > 0.0f || row[NM_ROW_KIND + NM_POLYLINE_EDGE] > 0.0f) return NM_POINT_LINE;
    if (tm->lane[piece] == NM_NONE) return NM_POINT_OTHER;
    const nm_lane *lane = &tm->map->lanes[tm->lane[piece]];
    if (!nm_lane_type_drivable((nm_lane_type)lane->type)) return NM_POINT_OTHER;
    return lane->flags & NM_LANE_JUNCTION ? NM_POINT_CONNECTOR : NM_POINT_LANE;
}

static void write_points(const search *s, const nm_token_frame *frame, uint32_t piece, float *rows) {
    const uint32_t points = s->map->config.map_points;
    const float *x = s->map->x + (size_t)piece * points, *y = s->map->y + (size_t)piece * points;
    const nm_point_channel type = point_type(s->map, piece);
    for (uint32_t j = 0; j < points; j++) {
        float *row = rows + (size_t)j * NM_POINT_CHANNELS;
        nm_vec2 p = nm_token_into(frame, (double)x[j], (double)y[j]);
        memset(row, 0, NM_POINT_CHANNELS * sizeof *row);
        row[NM_POINT_X] = p.x / NM_EGO_POSITION_SCALE;
        row[NM_POINT_Y] = p.y / NM_EGO_POSITION_SCALE;
        row[type] = 1.0f;
        row[NM_POINT_LIMIT] = s->map->attributes[(size_t)piece * NM_ROW_ATTRIBUTES + NM_ROW_LIMIT];
    }
}

/// Published rows: always the same number, those that are not needed 0.
static void fill_ego(search *s, nm_tokens *tokens, uint8_t *valid, float *map) {
    const nm_token_config *config = &tokens->config;
    const size_t points = config->map_points;
    find_nearest(s, &tokens->frame[0]);
    tokens->map_polylines = s->found.count;
    for (uint32_t i = 0; i < config->map_polylines; i++) {
        const int there = i < s->found.count;
        float *rows = map + i * points * NM_POINT_CHANNELS;
        tokens->map_piece[i] = there ? s->near[(uint32_t)s->found.keys[i]] : NM_NONE;
        memset(valid + i * points, there, points);
        if (there)
            write_points(s, &tokens->frame[0], tokens->map_piece[i], rows);
        else
            memset(rows, 0, points * NM_POINT_CHANNELS * sizeof *rows);
    }
}

/// Rows of all agents, as many as there are.
static void fill_own(search *s, nm_tokens *tokens, uint32_t *owner, float *map) {
    const uint32_t channels = nm_token_map_channels(&tokens->config);
    uint32_t count = 0;
    for (uint32_t a = 0; a < tokens->shape.agents; a++) {
        find_nearest(s, &tokens->frame[a]);
        for (uint32_t i = 0; i < s->found.count; i++, count++) {
            write_row(s, &tokens->config, &tokens->frame[a], s->found.keys[i], map + (size_t)count * channels);
            tokens->map_piece[count] = s->near[(uint32_t)s->found.keys[i]];
            owner[count] = a;
        }
    }
    tokens->map_polylines = tokens->shape.points = count;
}

nm_status nm_token_map_fill(const nm_token_map *token_map, const nm_scene *scene, nm_arena *arena, nm_tokens *tokens,
                            nm_error *error) {
    const nm_token_config *config = &tokens->config;
    const int own = config->encoding == NM_TOKENS_AGENT;
    const uint32_t seekers = own ? tokens->shape.agents : 1;
    // no more rows than pieces for each who looks for some: a small map takes little memory
    const uint32_t each = config->map_polylines < token_map->count ? config->map_polylines : token_map->count;
    const size_t rows = own ? (size_t)each * seekers : nm_token_map_rows(config, seekers);
    float *map = NM_ARENA_ARRAY(arena, float, rows *nm_token_map_channels(config));
    tokens->map_piece = NM_ARENA_ARRAY(arena, uint32_t, own ? rows : config->map_polylines);
    uint32_t *owner = own ? NM_ARENA_ARRAY(arena, uint32_t, rows) : NULL;
    uint8_t *valid = own ? NULL : NM_ARENA_ARRAY(arena, uint8_t, rows);
    nm_arena_mark mark = nm_arena_get_mark(arena);
    search s = {.map = token_map};
    s.near = NM_ARENA_ARRAY(arena, uint32_t, token_map->count);
    s.light = NM_ARENA_ARRAY(arena, uint8_t, token_map->count);
    s.low = NM_ARENA_ARRAY(arena, float, token_map->count);
    s.bounds = (nm_smallest){.keys = NM_ARENA_ARRAY(arena, uint64_t, each), .limit = each};
    s.found = (nm_smallest){.keys = NM_ARENA_ARRAY(arena, uint64_t, each), .limit = each};
    const int have = map && tokens->map_piece && (own ? owner != NULL : valid != NULL) && s.near && s.light && s.low &&
                     s.bounds.keys && s.found.keys;
    if (have) {
        find_near(&s, scene, tokens, seekers);
        if (own)
            fill_own(&s, tokens, owner, map);
        else
            fill_ego(&s, tokens, valid, map);
    }
    nm_arena_release(arena, mark);
    if (!have) return NM_ERROR(error, NM_E_MEMORY, "no memory for the map rows of a scene");
    if (!own) tokens->shape.points = (uint32_t)rows;
    tokens->shape.map = map;
    tokens->shape.map_valid = valid;
    tokens->shape.map_agent = owner;
    return NM_OK;
}
