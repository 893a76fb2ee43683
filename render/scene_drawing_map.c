/// The part of a picture that does not move.
///
/// Roads get their outline as cartographers draw it: first all surfaces a little wider in the colour of edges, then all
/// surfaces on top, so that only the outline of their union is left, through junctions too. Markings are drawn on the
/// borders of lanes; where two lanes share one, by the lane that knows more about it.
#include <math.h>

#include "render/drawing_private.h"
#include "render/scene_drawing.h"
#include "sim/geometry.h"

#define CASING 0.22f      ///< m, of the outline
#define OVERLAP 0.04f     ///< m by which surfaces are wider than lanes: slivers between borders do not shine through
#define LINE_WIDTH 0.12f  ///< m
#define BROAD_WIDTH 0.25f ///< m
#define PAIR_OFFSET 0.12f ///< m from the middle of a pair to the middle of each line: 0.12 m between them
#define EDGE_WIDTH 0.20f  ///< m
#define STOP_WIDTH 0.40f  ///< m
#define SAME_BORDER 0.6f  ///< m by which the borders of two lanes may differ and still be one
#define STRIPE 0.5f       ///< m, of a zebra, and between its stripes
#define MOST_CORNERS 128  ///< of an area that is filled
#define MOST_STRIPES 400  ///< of one crosswalk
#define MOST_CUTS 16      ///< stretches of one border that other lanes draw
#define MOST_CHAIN 256    ///< lanes behind one another whose dashes continue
#define ARROW_EVERY 25.0f ///< m of centreline

typedef enum side { LEFT = 0, RIGHT } side;

typedef struct brush {
    nm_drawing *drawing;
    const nm_map *map;
    const nm_theme *theme;
    nm_point *a, *b; ///< working memory: as many points as the longest lane or line has, and two more
    int road_lines;  ///< the map has its markings as lines: those of lanes are copies or guesses
} brush;

static nm_point flat(nm_vec2 p) {
    return (nm_point){p.x, p.y, 0};
}

// --- surfaces --------------------------------------------------------------------------------------------------------

typedef enum rank { RANK_WALK = 0, RANK_SIDE, RANK_ROAD, RANK_BIKE, RANK_JUNCTION, RANKS } rank;

static rank rank_of(const nm_lane *lane) {
    switch ((nm_lane_type)lane->type) {
    case NM_LANE_SIDEWALK:
    case NM_LANE_CROSSWALK:
        return RANK_WALK;
    case NM_LANE_SHOULDER:
    case NM_LANE_DRIVEWAY:
        return RANK_SIDE;
    case NM_LANE_BIKE:
        return RANK_BIKE;
    default:
        return lane->flags & NM_LANE_JUNCTION ? RANK_JUNCTION : RANK_ROAD;
    }
}

static nm_rgba surface_colour(const nm_theme *theme, const nm_lane *lane) {
    switch ((nm_lane_type)lane->type) {
    case NM_LANE_SIDEWALK:
        return theme->sidewalk;
    case NM_LANE_CROSSWALK:
        return theme->junction;
    case NM_LANE_SHOULDER:
        return theme->shoulder;
    case NM_LANE_DRIVEWAY:
        return theme->driveway;
    case NM_LANE_BIKE:
        return theme->bike_lane;
    default:
        return lane->flags & NM_LANE_JUNCTION ? theme->junction : theme->lane;
    }
}

/// The band between a lane's borders, `wider` m on both sides.
static void draw_surface(const brush *b, nm_layer layer, const nm_lane *lane, float wider, nm_rgba colour) {
    for (uint32_t i = 0; i < lane->points.count; i++) {
        const nm_vec2 l = b->map->left[lane->points.first + i], r = b->map->right[lane->points.first + i];
        const nm_vec2 across = nm_sub(l, r);
        const float width = nm_hypotf(across.x, across.y), more = width > 0.01f ? wider / width : 0.0f;
        b->a[i] = (nm_point){l.x + more * across.x, l.y + more * across.y, 0};
        b->b[i] = (nm_point){r.x - more * across.x, r.y - more * across.y, 0};
    }
    nm_draw_band(b->drawing, layer, b->a, b->b, lane->points.count, colour);
}

static void draw_areas_of(const brush *b, nm_area_kind kind, nm_layer layer, nm_rgba fill, nm_rgba outline) {
    for (uint32_t i = 0; i < b->map->area_count; i++) {
        const nm_area *area = &b->map->areas[i];
        if (area->kind != kind) continue;
        for (uint32_t k = 0; k < area->points.count; k++) b->a[k] = flat(b->map->area_points[area->points.first + k]);
        nm_draw_stroke(b->drawing, b->a, area->points.count,
                       (nm_stroke){.width = LINE_WIDTH, .colour = outline, .layer = (uint8_t)layer, .closed = 1});
        nm_point corners[MOST_CORNERS]; // not in b->a: cutting the polygon may use that memory
        if (area->points.count > MOST_CORNERS) continue;
        for (uint32_t k = 0; k < area->points.count; k++) corners[k] = b->a[k];
        nm_draw_polygon(b->drawing, layer, corners, area->points.count, fill);
    }
}

static void draw_surfaces(const brush *b) {
    const nm_map *map = b->map;
    for (int r = 0; r < RANKS; r++) {
        for (uint32_t i = 0; i < map->lane_count; i++) {
            const nm_lane *lane = &map->lanes[i];
            if (rank_of(lane) != (rank)r) continue;
            if (r != RANK_WALK) draw_surface(b, NM_LAYER_CASING, lane, CASING, b->theme->edge);
            draw_surface(b, NM_LAYER_GROUND, lane, OVERLAP, surface_colour(b->theme, lane));
        }
    }
}

// --- markings --------------------------------------------------------------------------------------------------------

/// `count` points moved by `offset` m to the left: along the half angle of the segments, stretched by at most 2.
static void offset_line(const nm_point *points, uint32_t count, float offset, nm_point *out) {
    nm_vec2 before = {0, 0};
    for (uint32_t i = 0; i < count; i++) {
        nm_vec2 after = {0, 0};
        if (i + 1 < count) {
            const float dx = points[i + 1].x - points[i].x, dy = points[i + 1].y - points[i].y, n = nm_hypotf(dx, dy);
            after = n > 0 ? (nm_vec2){-dy / n, dx / n} : before;
        }
        const nm_vec2 sum = {before.x + after.x, before.y + after.y};
        const float square = nm_dot(sum, sum), first = i == 0 || i + 1 == count ? 1.0f : 2.0f;
        const float scale = square > 0.25f ? offset * first / square : 0.0f;
        out[i] = (nm_point){points[i].x + scale * sum.x, points[i].y + scale * sum.y, points[i].z};
        before = after;
    }
}

typedef struct pattern {
    float dash, gap, phase;
} pattern;

static void draw_line(const brush *b, const nm_point *points, uint32_t count, float width, nm_rgba colour,
                      const pattern *dashes) {
    nm_stroke style = {.width = width, .colour = colour, .layer = NM_LAYER_MARKINGS};
    if (dashes) style.dash = dashes->dash, style.gap = dashes->gap, style.phase = dashes->phase;
    nm_draw_stroke(b->drawing, points, count, style);
}

/// A marking along `count` points in b->a, in driving direction; uses b->b.
static void draw_marking(const brush *b, uint32_t count, nm_marking marking, nm_rgba colour, const pattern *dashes) {
    const nm_point *points = b->a;
    const pattern *left = NULL, *right = NULL;
    switch (marking) {
    case NM_MARKING_UNKNOWN: {
        const nm_rgba faint = nm_mix_colour(b->theme->lane, b->theme->marking_white, 0.55f);
        draw_line(b, points, count, 0.75f * LINE_WIDTH, faint, NULL);
        return;
    }
    case NM_MARKING_DASHED:
        draw_line(b, points, count, LINE_WIDTH, colour, dashes);
        return;
    case NM_MARKING_SOLID:
        draw_line(b, points, count, LINE_WIDTH, colour, NULL);
        return;
    case NM_MARKING_BROAD_DASHED:
        draw_line(b, points, count, BROAD_WIDTH, colour, dashes);
        return;
    case NM_MARKING_BROAD_SOLID:
        draw_line(b, points, count, BROAD_WIDTH, colour, NULL);
        return;
    case NM_MARKING_CURB:
        nm_draw_stroke(b->drawing, points, count,
                       (nm_stroke){.width = EDGE_WIDTH, .colour = b->theme->edge, .layer = NM_LAYER_EDGES});
        return;
    case NM_MARKING_DOUBLE_SOLID:
        break;
    case NM_MARKING_DOUBLE_DASHED:
        left = right = dashes;
        break;
    case NM_MARKING_SOLID_DASHED:
        right = dashes;
        break;
    case NM_MARKING_DASHED_SOLID:
        left = dashes;
        break;
    default:
        return;
    }
    offset_line(points, count, PAIR_OFFSET, b->b);
    draw_line(b, b->b, count, LINE_WIDTH, colour, left);
    offset_line(points, count, -PAIR_OFFSET, b->b);
    draw_line(b, b->b, count, LINE_WIDTH, colour, right);
}

static nm_rgba marking_colour(const nm_theme *theme, uint8_t colour) {
    return colour == NM_COLOUR_YELLOW ? theme->marking_yellow : theme->marking_white;
}

static pattern pattern_of(nm_lane_type type, float phase) {
    const int fast = type == NM_LANE_FREEWAY || type == NM_LANE_RAMP;
    return fast ? (pattern){6.0f, 12.0f, fmodf(phase, 18.0f)} : (pattern){3.0f, 6.0f, fmodf(phase, 9.0f)};
}

/// m of lanes behind this one whose dashes it continues.
static float length_behind(const nm_map *map, uint32_t lane) {
    float sum = 0;
    for (int i = 0; i < MOST_CHAIN && map->lanes[lane].predecessors.count; i++) {
        lane = map->lane_refs[map->lanes[lane].predecessors.first];
        sum += map->lanes[lane].length;
    }
    return sum;
}

static const nm_vec2 *border(const nm_map *map, const nm_lane *lane, side which) {
    return (which == LEFT ? map->left : map->right) + lane->points.first;
}

static nm_vec2 border_at(const nm_map *map, const nm_lane *lane, side which, float s) {
    const nm_vec2 *points = border(map, lane, which);
    const float *along = map->point_s + lane->points.first;
    uint32_t i = 1;
    while (i + 1 < lane->points.count && along[i] < s) i++;
    const float step = along[i] - along[i - 1];
    return nm_lerp(points[i - 1], points[i], step > 0 ? nm_clampf((s - along[i - 1]) / step, 0.0f, 1.0f) : 0.0f);
}

static int knowledge(nm_marking marking) {
    return marking == NM_MARKING_UNKNOWN ? 0 : marking == NM_MARKING_NONE ? 1 : 2;
}

static nm_marking marking_of(const nm_lane *lane, side which) {
    return (nm_marking)(which == LEFT ? lane->left_marking : lane->right_marking);
}

/// Do the two lanes share this border along `n`, so that one of them draws it?
static int shares_border(const nm_map *map, uint32_t index, side which, const nm_neighbour *n) {
    const nm_lane *lane = &map->lanes[index], *other = &map->lanes[n->lane];
    const side theirs = n->opposite ? which : which == LEFT ? RIGHT : LEFT;
    const nm_vec2 here = border_at(map, lane, which, 0.5f * (n->self_start + n->self_end));
    const nm_vec2 there = border_at(map, other, theirs, 0.5f * (n->other_start + n->other_end));
    const nm_vec2 d = nm_sub(here, there);
    return nm_dot(d, d) < SAME_BORDER * SAME_BORDER;
}

/// Is it the neighbour that draws the shared border?
static int other_draws(const nm_map *map, uint32_t index, side which, const nm_neighbour *n) {
    const side theirs = n->opposite ? which : which == LEFT ? RIGHT : LEFT;
    const int mine = knowledge(marking_of(&map->lanes[index], which));
    const int other = knowledge(marking_of(&map->lanes[n->lane], theirs));
    return other != mine ? other > mine : n->lane < index;
}

/// The stretch [from, to] m of a border. Points of the border between them, and its two ends.
static void draw_stretch(const brush *b, uint32_t index, side which, float from, float to, float behind) {
    const nm_map *map = b->map;
    const nm_lane *lane = &map->lanes[index];
    const nm_vec2 *points = border(map, lane, which);
    const float *along = map->point_s + lane->points.first;
    if (!(to - from > 0.05f)) return;
    uint32_t count = 0;
    b->a[count++] = flat(border_at(map, lane, which, from));
    for (uint32_t i = 0; i < lane->points.count; i++)
        if (along[i] > from && along[i] < to) b->a[count++] = flat(points[i]);
    b->a[count++] = flat(border_at(map, lane, which, to));
    const pattern dashes = pattern_of((nm_lane_type)lane->type, behind + from);
    const uint8_t colour = which == LEFT ? lane->left_colour : lane->right_colour;
    draw_marking(b, count, marking_of(lane, which), marking_colour(b->theme, colour), &dashes);
}

/// A border whose marking is not known: shown where lanes lie side by side, unless the map has lines for that.
static int worth_drawing(const brush *b, const nm_lane *lane, side which, int shared) {
    const nm_marking marking = marking_of(lane, which);
    if (marking == NM_MARKING_NONE || b->road_lines) return 0;
    if (marking != NM_MARKING_UNKNOWN) return 1;
    if (rank_of(lane) == RANK_WALK || lane->flags & NM_LANE_JUNCTION) return 0;
    return shared && !(lane->flags & (which == LEFT ? NM_LANE_ASSUMED_LEFT : NM_LANE_ASSUMED_RIGHT));
}

static void draw_border(const brush *b, uint32_t index, side which, float behind) {
    const nm_map *map = b->map;
    const nm_lane *lane = &map->lanes[index];
    const nm_range range = which == LEFT ? lane->left : lane->right;
    float from[MOST_CUTS], to[MOST_CUTS];
    uint32_t cuts = 0;
    int shared = 0;
    for (uint32_t i = 0; i < range.count; i++) {
        const nm_neighbour *n = &map->neighbours[range.first + i];
        if (!shares_border(map, index, which, n)) continue;
        shared = 1;
        if (!other_draws(map, index, which, n) || cuts == MOST_CUTS) continue;
        uint32_t at = cuts++;
        for (; at > 0 && from[at - 1] > n->self_start; at--) from[at] = from[at - 1], to[at] = to[at - 1];
        from[at] = n->self_start, to[at] = n->self_end;
    }
    if (!worth_drawing(b, lane, which, shared)) return;
    float done = 0;
    for (uint32_t i = 0; i < cuts; i++) {
        draw_stretch(b, index, which, done, from[i], behind);
        done = nm_maxf(done, to[i]);
    }
    draw_stretch(b, index, which, done, lane->length, behind);
}

static void draw_markings(const brush *b) {
    for (uint32_t i = 0; i < b->map->lane_count; i++) {
        const float behind = length_behind(b->map, i);
        draw_border(b, i, LEFT, behind);
        draw_border(b, i, RIGHT, behind);
    }
}

/// Lines do not say what road they are on: as most of the lanes.
static nm_lane_type usual_type(const nm_map *map) {
    float fast = 0, all = 0;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_lane *lane = &map->lanes[i];
        if (!nm_lane_type_drivable((nm_lane_type)lane->type)) continue;
        all += lane->length;
        if (lane->type == NM_LANE_FREEWAY || lane->type == NM_LANE_RAMP) fast += lane->length;
    }
    return fast > 0.5f * all ? NM_LANE_FREEWAY : NM_LANE_STREET;
}

static void draw_lines(const brush *b) {
    const nm_map *map = b->map;
    const pattern dashes = pattern_of(usual_type(map), 0);
    for (uint32_t i = 0; i < map->line_count; i++) {
        const nm_line *line = &map->lines[i];
        for (uint32_t k = 0; k < line->points.count; k++) b->a[k] = flat(map->line_points[line->points.first + k]);
        if (line->kind == NM_LINE_ROAD_LINE) {
            draw_marking(b, line->points.count, (nm_marking)line->marking, marking_colour(b->theme, line->colour),
                         &dashes);
        } else {
            const float width = line->kind == NM_LINE_EDGE_MEDIAN ? 1.5f * EDGE_WIDTH : EDGE_WIDTH;
            nm_draw_stroke(b->drawing, b->a, line->points.count,
                           (nm_stroke){.width = width, .colour = b->theme->edge, .layer = NM_LAYER_EDGES});
        }
    }
}

// --- crossings -------------------------------------------------------------------------------------------------------

/// What of the polygon lies where direction . p >= limit (Sutherland and Hodgman 1974). Room for count + corners it may
/// gain.
static uint32_t cut(const nm_point *in, uint32_t count, nm_vec2 direction, float limit, nm_point *out) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        const nm_point p = in[i], q = in[(i + 1) % count];
        const float here = direction.x * p.x + direction.y * p.y - limit;
        const float there = direction.x * q.x + direction.y * q.y - limit;
        if (here >= 0) out[n++] = p;
        if ((here > 0 && there < 0) || (here < 0 && there > 0)) {
            const float t = here / (here - there);
            out[n++] = (nm_point){p.x + t * (q.x - p.x), p.y + t * (q.y - p.y), 0};
        }
    }
    return n;
}

/// Direction of the nearest road, for crosswalks about as long as wide.
static nm_vec2 road_direction(const nm_map *map, nm_vec2 at) {
    nm_vec2 best = {1, 0};
    float least = INFINITY;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_range range = map->lanes[i].points;
        if (rank_of(&map->lanes[i]) < RANK_ROAD) continue;
        for (uint32_t k = range.first; k + 1 < range.first + range.count; k++) {
            const float square = nm_segment_distance2(map->centre[k], map->centre[k + 1], at);
            if (square < least) least = square, best = nm_sub(map->centre[k + 1], map->centre[k]);
        }
    }
    const float n = nm_hypotf(best.x, best.y);
    return n > 0 ? (nm_vec2){best.x / n, best.y / n} : (nm_vec2){1, 0};
}

static nm_vec2 extent_along(const nm_point *points, uint32_t count, nm_vec2 direction) {
    nm_vec2 extent = {INFINITY, -INFINITY};
    for (uint32_t i = 0; i < count; i++) {
        const float u = direction.x * points[i].x + direction.y * points[i].y;
        extent = (nm_vec2){nm_minf(extent.x, u), nm_maxf(extent.y, u)};
    }
    return extent;
}

/// The direction people walk: along the longest side, or across the road where there is hardly a longest.
static nm_vec2 walking_direction(const brush *b, const nm_point *points, uint32_t count) {
    nm_vec2 best = {1, 0}, middle = {0, 0};
    float longest = 0;
    for (uint32_t i = 0; i < count; i++) {
        const nm_point p = points[i], q = points[(i + 1) % count];
        const nm_vec2 d = {q.x - p.x, q.y - p.y};
        middle = (nm_vec2){middle.x + p.x / (float)count, middle.y + p.y / (float)count};
        if (nm_dot(d, d) > longest) longest = nm_dot(d, d), best = d;
    }
    const float n = nm_hypotf(best.x, best.y);
    best = n > 0 ? (nm_vec2){best.x / n, best.y / n} : (nm_vec2){1, 0};
    const nm_vec2 along = extent_along(points, count, best);
    const nm_vec2 across = extent_along(points, count, (nm_vec2){-best.y, best.x});
    if (along.y - along.x > 1.5f * (across.y - across.x)) return best;
    const nm_vec2 road = road_direction(b->map, middle);
    return (nm_vec2){-road.y, road.x};
}

static void draw_zebra(const brush *b, const nm_area *area) {
    nm_point corners[MOST_CORNERS], first[2 * MOST_CORNERS], second[4 * MOST_CORNERS];
    const uint32_t count = area->points.count;
    if (count < 3 || count > MOST_CORNERS) return;
    for (uint32_t i = 0; i < count; i++) corners[i] = flat(b->map->area_points[area->points.first + i]);
    const nm_vec2 along = walking_direction(b, corners, count), back = {-along.x, -along.y};
    const nm_vec2 extent = extent_along(corners, count, along);
    const int stripes = (int)nm_minf((extent.y - extent.x + STRIPE) / (2 * STRIPE), (float)MOST_STRIPES);
    const float spare = extent.y - extent.x - (float)(2 * stripes - 1) * STRIPE;
    for (int i = 0; i < stripes; i++) {
        const float from = extent.x + 0.5f * spare + 2 * STRIPE * (float)i;
        const uint32_t n = cut(corners, count, along, from, first);
        const uint32_t m = n ? cut(first, n, back, -(from + STRIPE), second) : 0;
        nm_draw_polygon(b->drawing, NM_LAYER_CROSSINGS, second, m, b->theme->crosswalk);
    }
}

static int in_crosswalk_area(const nm_map *map, nm_vec2 p) {
    for (uint32_t i = 0; i < map->area_count; i++)
        if (map->areas[i].kind == NM_AREA_CROSSWALK && map->areas[i].points.count >= 3 &&
            nm_polygon_contains(map->area_points + map->areas[i].points.first, map->areas[i].points.count, p, 0.25f))
            return 1;
    return 0;
}

/// Stripes of a crosswalk that is a lane, where the map has no area for it.
static void draw_lane_zebra(const brush *b, const nm_lane *lane) {
    const nm_map *map = b->map;
    const nm_vec2 middle = nm_lerp(border_at(map, lane, LEFT, 0.5f * lane->length),
                                   border_at(map, lane, RIGHT, 0.5f * lane->length), 0.5f);
    if (in_crosswalk_area(map, middle)) return;
    for (int i = 0; i < MOST_STRIPES; i++) {
        const float from = 0.5f * STRIPE + 2 * STRIPE * (float)i;
        if (from + STRIPE > lane->length) break;
        const nm_point corners[4] = {flat(border_at(map, lane, LEFT, from)), flat(border_at(map, lane, RIGHT, from)),
                                     flat(border_at(map, lane, RIGHT, from + STRIPE)),
                                     flat(border_at(map, lane, LEFT, from + STRIPE))};
        nm_draw_polygon(b->drawing, NM_LAYER_CROSSINGS, corners, 4, b->theme->crosswalk);
    }
}

static void draw_crossings(const brush *b) {
    const nm_map *map = b->map;
    for (uint32_t i = 0; i < map->area_count; i++)
        if (map->areas[i].kind == NM_AREA_CROSSWALK) draw_zebra(b, &map->areas[i]);
    for (uint32_t i = 0; i < map->lane_count; i++)
        if (map->lanes[i].type == NM_LANE_CROSSWALK) draw_lane_zebra(b, &map->lanes[i]);
    for (uint32_t i = 0; i < map->stop_line_count; i++) {
        const nm_stop_line *line = &map->stop_lines[i];
        const nm_point ends[2] = {flat(line->a), flat(line->b)};
        nm_stroke style = {.width = STOP_WIDTH, .colour = b->theme->stop_line, .layer = NM_LAYER_CROSSINGS};
        if (line->lane < map->lane_count && map->lanes[line->lane].control == NM_CONTROL_YIELD)
            style.dash = 0.5f, style.gap = 0.4f; // a line to wait at, as far as somebody comes
        nm_draw_stroke(b->drawing, ends, 2, style);
    }
}

// --- centrelines -----------------------------------------------------------------------------------------------------

static void draw_arrow(const brush *b, nm_vec2 at, nm_vec2 d) {
    const float n = nm_hypotf(d.x, d.y);
    if (!(n > 0)) return;
    const nm_vec2 u = {d.x / n, d.y / n};
    const nm_point tip = {at.x + 0.9f * u.x, at.y + 0.9f * u.y, 0};
    const nm_point left = {at.x - 0.6f * u.x - 0.5f * u.y, at.y - 0.6f * u.y + 0.5f * u.x, 0};
    const nm_point right = {at.x - 0.6f * u.x + 0.5f * u.y, at.y - 0.6f * u.y - 0.5f * u.x, 0};
    nm_draw_triangle(b->drawing, NM_LAYER_CENTRES, left, right, tip, b->theme->centre);
}

static void draw_centre(const brush *b, const nm_lane *lane) {
    const nm_vec2 *points = b->map->centre + lane->points.first;
    const float *along = b->map->point_s + lane->points.first;
    float next = 0.5f * nm_minf(ARROW_EVERY, lane->length);
    for (uint32_t i = 0; i < lane->points.count; i++) b->a[i] = flat(points[i]);
    nm_draw_stroke(b->drawing, b->a, lane->points.count,
                   (nm_stroke){.width = 1.2f, .pixels = 1, .colour = b->theme->centre, .layer = NM_LAYER_CENTRES});
    for (uint32_t i = 1; i < lane->points.count; i++) {
        const float step = along[i] - along[i - 1];
        if (!(next <= along[i]) || !(step > 0)) continue;
        const float t = (next - along[i - 1]) / step;
        draw_arrow(b, nm_lerp(points[i - 1], points[i], t), nm_sub(points[i], points[i - 1]));
        next = (floorf(along[i] / ARROW_EVERY) + 0.5f) * ARROW_EVERY;
        if (next <= along[i]) next += ARROW_EVERY;
    }
}

// --- all -------------------------------------------------------------------------------------------------------------

static uint32_t longest_line(const nm_map *map) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < map->lane_count; i++)
        if (map->lanes[i].points.count > most) most = map->lanes[i].points.count;
    for (uint32_t i = 0; i < map->line_count; i++)
        if (map->lines[i].points.count > most) most = map->lines[i].points.count;
    for (uint32_t i = 0; i < map->area_count; i++)
        if (map->areas[i].points.count > most) most = map->areas[i].points.count;
    return most;
}

void nm_draw_map(nm_drawing *drawing, const nm_map *map, const nm_theme *theme) {
    NM_ASSERT(drawing && map && theme && drawing->space == NM_SPACE_WORLD);
    brush b = {.drawing = drawing, .map = map, .theme = theme};
    // never too little for a polygon of MOST_CORNERS, so that cutting one overwrites the memory but does not move it
    const uint32_t points = longest_line(map) + 2 > MOST_CORNERS ? longest_line(map) + 2 : MOST_CORNERS;
    b.a = nm_drawing_scratch(drawing, 2 * sizeof *b.a * points);
    if (!b.a) return;
    b.b = b.a + points;
    for (uint32_t i = 0; i < map->line_count; i++) b.road_lines |= map->lines[i].kind == NM_LINE_ROAD_LINE;
    draw_areas_of(&b, NM_AREA_DRIVEWAY, NM_LAYER_GROUND, theme->driveway, theme->driveway);
    draw_surfaces(&b);
    draw_markings(&b);
    draw_lines(&b);
    for (uint32_t i = 0; i < map->lane_count; i++)
        if (nm_lane_type_drivable((nm_lane_type)map->lanes[i].type)) draw_centre(&b, &map->lanes[i]);
    draw_areas_of(&b, NM_AREA_SPEED_BUMP, NM_LAYER_CROSSINGS, nm_with_alpha(theme->crosswalk, 90), theme->crosswalk);
    draw_areas_of(&b, NM_AREA_OBSTACLE, NM_LAYER_EDGES, theme->role[NM_ROLE_STATIC], theme->outline[NM_ROLE_STATIC]);
    draw_crossings(&b);
}
