/// Which lines bound a lane.
///
/// A map from WOMD has its lines, and the borders of its lanes lie on them: where a border point lies on a line, that
/// line is named. Elsewhere the reader (womd_borders.c) puts the border half-way to the neighbour, or holds it over a
/// gap, or assumes a width; where one of these gives the border that is there, nothing is named, so that no line is
/// added to a map that had none. Only what is left gets a line of its own along the border.
///
/// A map without lines (CommonRoad, the builtin ones) gets them: a road line where a marking is known, road edges where
/// the drivable area ends, with the road on their left, and elsewhere a road line of unknown type, which says how wide
/// the lane is; none within a junction whose lanes have the width that readers assume anyway. Borders that two lanes
/// share are written once.
#include <math.h>
#include <string.h>

#include "dataset/womd_write.h"

#define ON_LINE 0.06f    // m: the reader accepts a line that ends 0.05 m from the normal
#define ON_WIDTH 2e-3f   // m: what a line gives and the border is
#define SAME_WIDTH 0.02f // m
#define SAME_POINT 2e-3f // m
#define REACH 15.0f      // m, as in the reader
#define NEAREST 0.05f
#define TOUCH 0.05f
#define OUTSIDE 0.25f // m beyond a border, to ask whether the road goes on
#define CELL 4.0f     // m
#define MAX_NEAR 8u
#define HALF_LANE 1.75f // m: what the map's builder assumes
#define HALF_PATH 0.9f
enum { EDGE_BOUNDARY = 1 };

// --- the map's lines -------------------------------------------------------------------------------------------------

typedef struct span {
    uint32_t line, point, next; // segment point..point + 1 of line_points; next: index + 1 in the bucket
    int32_t x, y;               // cell
} span;

typedef struct nm_womd_line_grid {
    uint32_t *heads; // [mask + 1] index + 1
    uint32_t mask, count, room;
    span *spans;
} nm_womd_line_grid;

static int32_t cell_of(float v) {
    return (int32_t)floorf(v / CELL);
}

static uint32_t bucket_of(const nm_womd_line_grid *grid, int32_t x, int32_t y) {
    return ((uint32_t)x * 0x9E3779B1u ^ (uint32_t)y * 0x85EBCA77u) >> 7 & grid->mask;
}

/// Cells of a segment's box, widened by the reach of a match. Calls back through counting first.
static void cells_of(const nm_vec2 *a, int32_t lo[2], int32_t hi[2]) {
    lo[0] = cell_of(fminf(a[0].x, a[1].x) - ON_LINE);
    lo[1] = cell_of(fminf(a[0].y, a[1].y) - ON_LINE);
    hi[0] = cell_of(fmaxf(a[0].x, a[1].x) + ON_LINE);
    hi[1] = cell_of(fmaxf(a[0].y, a[1].y) + ON_LINE);
}

static int visit_segments(const nm_map *map, nm_womd_line_grid *grid, uint64_t *total) {
    for (uint32_t l = 0; l < map->line_count; l++) {
        const nm_range points = map->lines[l].points;
        for (uint32_t i = points.first; i + 1 < points.first + points.count; i++) {
            int32_t lo[2], hi[2];
            cells_of(&map->line_points[i], lo, hi);
            if (!grid) {
                *total += (uint64_t)(hi[0] - lo[0] + 1) * (uint64_t)(hi[1] - lo[1] + 1);
                if (*total > UINT32_MAX / 2) return 0;
                continue;
            }
            for (int32_t x = lo[0]; x <= hi[0]; x++) {
                for (int32_t y = lo[1]; y <= hi[1]; y++) {
                    uint32_t *head = &grid->heads[bucket_of(grid, x, y)];
                    grid->spans[grid->count] = (span){l, i, *head, x, y};
                    *head = ++grid->count;
                }
            }
        }
    }
    return 1;
}

int nm_womd_lines_begin(nm_womd_map_work *work) {
    uint64_t total = 0;
    if (work->map->line_count == 0) return 1;
    if (!visit_segments(work->map, NULL, &total)) return 0;
    nm_womd_line_grid *grid = nm_arena_calloc(work->arena, 1, sizeof *grid, 16);
    if (!grid) return 0;
    grid->mask = 255;
    while (grid->mask < total) grid->mask = 2 * grid->mask + 1;
    grid->heads = nm_arena_calloc(work->arena, (size_t)grid->mask + 1, sizeof *grid->heads, 16);
    grid->spans = NM_ARENA_ARRAY(work->arena, span, total);
    if (!grid->heads || !grid->spans) return 0;
    work->grid = grid;
    return visit_segments(work->map, grid, &total);
}

// --- a side of a lane ------------------------------------------------------------------------------------------------

typedef struct side {
    nm_womd_map_work *work;
    const nm_lane *lane;
    uint32_t index;
    int left;
    const nm_vec2 *centre, *border; // [count]
    uint32_t count;
    uint8_t *covered;           // [count] a stretch names a line here
    uint32_t (*near)[MAX_NEAR]; // [count]
    uint8_t *near_count;        // [count]
    nm_womd_stretches *out;
} side;

static void push(side *s, uint32_t first, uint32_t last, int64_t line, int type) {
    nm_womd_stretches *out = s->out;
    if (out->count == out->room) {
        const uint32_t room = out->room ? 2 * out->room : 16;
        nm_womd_stretch *moved = NM_ARENA_ARRAY(s->work->arena, nm_womd_stretch, room);
        if (!moved) {
            s->work->failed = 1;
            return;
        }
        if (out->count) memcpy(moved, out->items, out->count * sizeof *moved);
        out->items = moved;
        out->room = room;
    }
    out->items[out->count++] = (nm_womd_stretch){first, last, line, (uint8_t)type};
}

static float width_at(const side *s, uint32_t i) {
    return hypotf(s->border[i].x - s->centre[i].x, s->border[i].y - s->centre[i].y);
}

/// Unit direction of the normal towards the side, by the neighbouring points that lie elsewhere.
static nm_vec2 normal_at(const side *s, uint32_t i) {
    uint32_t a = i > 0 ? i - 1 : 0, b = i + 1 < s->count ? i + 1 : i;
    float dx = 0.0f, dy = 0.0f, length = 0.0f;
    for (;;) {
        dx = s->centre[b].x - s->centre[a].x;
        dy = s->centre[b].y - s->centre[a].y;
        length = hypotf(dx, dy);
        if (length > 1e-6f || (a == 0 && b + 1 >= s->count)) break;
        a -= a > 0;
        b += b + 1 < s->count;
    }
    if (!(length > 0.0f)) return (nm_vec2){0.0f, s->left ? 1.0f : -1.0f};
    return s->left ? (nm_vec2){-dy / length, dx / length} : (nm_vec2){dy / length, -dx / length};
}

/// How far from the centreline the reader meets one segment, INFINITY where it does not.
static float meet(const nm_vec2 *segment, nm_vec2 from, nm_vec2 n) {
    const nm_vec2 a = segment[0], b = segment[1];
    const float ua = (a.x - from.x) * n.y - (a.y - from.y) * n.x, ub = (b.x - from.x) * n.y - (b.y - from.y) * n.x;
    if ((ua > TOUCH && ub > TOUCH) || (ua < -TOUCH && ub < -TOUCH)) return INFINITY;
    float t = ua != ub ? ua / (ua - ub) : 0.0f;
    t = fminf(fmaxf(t, 0.0f), 1.0f);
    const float d = (a.x + t * (b.x - a.x) - from.x) * n.x + (a.y + t * (b.y - a.y) - from.y) * n.y;
    return d >= NEAREST && d <= REACH ? d : INFINITY;
}

/// The same for a polyline: its nearest segment.
static float cast(const side *s, uint32_t i, const nm_vec2 *points, uint32_t count) {
    const nm_vec2 n = normal_at(s, i), from = s->centre[i];
    float best = INFINITY;
    for (uint32_t k = 0; k + 1 < count; k++) best = fminf(best, meet(&points[k], from, n));
    return best;
}

/// Lines that give the border at a point.
static uint32_t lines_at(const side *s, uint32_t i, uint32_t found[MAX_NEAR]) {
    const nm_womd_line_grid *grid = s->work->grid;
    const nm_vec2 p = s->border[i], n = normal_at(s, i);
    const int32_t x = cell_of(p.x), y = cell_of(p.y);
    const float width = width_at(s, i);
    uint32_t count = 0;
    for (uint32_t at = grid->heads[bucket_of(grid, x, y)]; at; at = grid->spans[at - 1].next) {
        const span *there = &grid->spans[at - 1];
        if (there->x != x || there->y != y) continue;
        if (!(fabsf(meet(&s->work->map->line_points[there->point], s->centre[i], n) - width) <= ON_WIDTH)) continue;
        uint32_t k = 0;
        while (k < count && found[k] != there->line) k++;
        if (k == count && count < MAX_NEAR) found[count++] = there->line;
    }
    return count;
}

/// The width that a reader takes where no line is named.
static float width_without(const side *s, uint32_t i) {
    const nm_map *map = s->work->map;
    const nm_range range = s->left ? s->lane->left : s->lane->right;
    const float at = nm_womd_along(map, s->index, i);
    for (uint32_t k = 0; k < range.count; k++) {
        const nm_neighbour *n = &map->neighbours[range.first + k];
        const nm_lane *other = &map->lanes[n->lane];
        if (n->opposite || !s->work->written[n->lane] || at < n->self_start - 1e-3f || at > n->self_end + 1e-3f)
            continue;
        const float *along = map->point_s + other->points.first;
        uint32_t first = 0, last = other->points.count - 1;
        while (first < last && along[first] < n->other_start - 1e-3f) first++;
        while (last > first && along[last] > n->other_end + 1e-3f) last--;
        const float d = cast(s, i, map->centre + other->points.first + first, last - first + 1);
        if (d < INFINITY) return 0.5f * d;
    }
    return s->lane->type == NM_LANE_BIKE ? HALF_PATH : HALF_LANE;
}

// --- lines along borders ---------------------------------------------------------------------------------------------

int nm_womd_line_type(unsigned marking, unsigned colour) {
    const int yellow = colour == NM_COLOUR_YELLOW;
    switch ((nm_marking)marking) {
    case NM_MARKING_DASHED:
    case NM_MARKING_BROAD_DASHED:
        return yellow ? 4 : 1;
    case NM_MARKING_SOLID:
    case NM_MARKING_BROAD_SOLID:
        return yellow ? 6 : 2;
    case NM_MARKING_DOUBLE_SOLID:
        return yellow ? 7 : 3;
    case NM_MARKING_DOUBLE_DASHED:
        return yellow ? 5 : 1;
    case NM_MARKING_SOLID_DASHED:
    case NM_MARKING_DASHED_SOLID:
        return 8;
    default:
        return 0;
    }
}

static nm_vec2 made_point(const nm_map *map, const nm_womd_made_line *line, uint32_t i) {
    return (line->left ? map->left : map->right)[line->points[i]];
}

static int same_point(nm_vec2 a, nm_vec2 b) {
    return fabsf(a.x - b.x) <= SAME_POINT && fabsf(a.y - b.y) <= SAME_POINT;
}

static int same_line(const nm_map *map, const nm_womd_made_line *a, const nm_womd_made_line *b) {
    if (a->edge != b->edge || a->type != b->type || a->count != b->count) return 0;
    uint32_t ahead = 0, back = 0;
    while (ahead < a->count && same_point(made_point(map, a, ahead), made_point(map, b, ahead))) ahead++;
    while (back < a->count && same_point(made_point(map, a, back), made_point(map, b, b->count - 1 - back))) back++;
    return ahead == a->count || back == a->count;
}

static uint32_t mix(nm_vec2 p) {
    const uint32_t x = (uint32_t)(int32_t)lrintf(p.x * 20.0f), y = (uint32_t)(int32_t)lrintf(p.y * 20.0f);
    const uint32_t h = x * 0x9E3779B1u ^ (y * 0x85EBCA77u + 0x7F4A7C15u);
    return h ^ h >> 15;
}

/// The bucket of a line, the same for either direction.
static uint32_t place_of(const nm_womd_map_work *work, const nm_womd_made_line *line) {
    const uint32_t ends = mix(made_point(work->map, line, 0)) + mix(made_point(work->map, line, line->count - 1));
    return (ends * 0x9E3779B1u >> 3) & (work->table_room - 1);
}

static int grow_made(nm_womd_map_work *work) {
    const uint32_t room = work->made_room ? 2 * work->made_room : 64;
    nm_womd_made_line *moved = NM_ARENA_ARRAY(work->arena, nm_womd_made_line, room);
    uint32_t *table = nm_arena_calloc(work->arena, 2 * (size_t)room, sizeof *table, 16);
    if (!moved || !table) {
        work->failed = 1;
        return 0;
    }
    if (work->made_count) memcpy(moved, work->made, work->made_count * sizeof *moved);
    work->made = moved;
    work->made_room = room;
    work->made_table = table;
    work->table_room = 2 * room;
    for (uint32_t i = 0; i < work->made_count; i++) {
        uint32_t at = place_of(work, &moved[i]);
        while (table[at]) at = (at + 1) & (work->table_room - 1);
        table[at] = i + 1;
    }
    return 1;
}

/// A line along points [first, last] of the border; its id. Without two different points none: -1.
static int64_t make_line(side *s, uint32_t first, uint32_t last, int edge, int type) {
    nm_womd_map_work *work = s->work;
    nm_womd_made_line line = {.edge = (uint8_t)edge, .type = (uint8_t)type, .left = (uint8_t)s->left};
    line.points = NM_ARENA_ARRAY(work->arena, uint32_t, (size_t)last - first + 1);
    if (!line.points || (work->made_count == work->made_room && !grow_made(work))) {
        work->failed = 1;
        return -1;
    }
    for (uint32_t k = 0; k <= last - first; k++) {
        const uint32_t i = edge && s->left ? last - k : first + k; // a road edge has the road on its left
        if (line.count && same_point(s->border[i], made_point(work->map, &line, line.count - 1))) continue;
        line.points[line.count++] = s->lane->points.first + i;
    }
    if (line.count < 2) return -1;
    uint32_t at = place_of(work, &line);
    for (; work->made_table[at]; at = (at + 1) & (work->table_room - 1)) {
        const nm_womd_made_line *there = &work->made[work->made_table[at] - 1];
        if (same_line(work->map, there, &line)) return there->id;
    }
    line.id = work->next_id++;
    work->made[work->made_count++] = line;
    work->made_table[at] = work->made_count;
    return line.id;
}

// --- maps with lines -------------------------------------------------------------------------------------------------

static int holds(const side *s, uint32_t point, uint32_t line) {
    for (uint32_t k = 0; k < s->near_count[point]; k++) {
        if (s->near[point][k] == line) return 1;
    }
    return 0;
}

static int type_of(const nm_line *line) {
    return line->kind == NM_LINE_ROAD_LINE ? nm_womd_line_type(line->marking, line->colour) : 0;
}

/// 1 when a border that needs no line merely crosses one.
static int crosses(const side *s, uint32_t first, uint32_t last) {
    if (last - first > 1) return 0;
    for (uint32_t i = first; i <= last; i++) {
        if (!(fabsf(width_without(s, i) - width_at(s, i)) <= 0.5f * ON_WIDTH)) return 0;
    }
    return 1;
}

/// 1 for a line that has the marking of the lane's side.
static int marked_so(const side *s, uint32_t line) {
    const nm_line *l = &s->work->map->lines[line];
    const unsigned marking = s->left ? s->lane->left_marking : s->lane->right_marking;
    const unsigned colour = s->left ? s->lane->left_colour : s->lane->right_colour;
    return l->kind == NM_LINE_ROAD_LINE ? l->marking == marking && l->colour == colour : marking == NM_MARKING_CURB;
}

/// Names lines in stretches as long as they can be; of lines that lie on one another, the one with the marking.
static void name_lines(side *s) {
    const nm_womd_map_work *work = s->work;
    for (uint32_t i = 0; i < s->count; i++) s->near_count[i] = (uint8_t)lines_at(s, i, s->near[i]);
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t best = 0, end = i, most = 0;
        for (uint32_t k = 0; k < s->near_count[i]; k++) {
            const uint32_t line = s->near[i][k];
            uint32_t j = i;
            while (j + 1 < s->count && holds(s, j + 1, line)) j++;
            const uint32_t worth = (j - i + 1) * (marked_so(s, line) ? 2 : 1);
            if (worth <= most) continue;
            most = worth;
            best = line;
            end = j;
        }
        if (most == 0 || crosses(s, i, end)) continue;
        push(s, i, end, work->line_ids[best], type_of(&work->map->lines[best]));
        memset(s->covered + i, 1, end - i + 1);
        i = end;
    }
}

/// Would the reader, told that the line of a stretch goes on over [first, last] where no normal meets it, get the
/// border that is there?
static int bridges(const side *s, uint32_t first, uint32_t last, int64_t line) {
    const nm_map *map = s->work->map;
    const float before = first > 0 && s->covered[first - 1] ? width_at(s, first - 1) : 0.0f;
    const float after = last + 1 < s->count && s->covered[last + 1] ? width_at(s, last + 1) : 0.0f;
    uint32_t index = 0;
    while (index < map->line_count && s->work->line_ids[index] != line) index++;
    if (index == map->line_count) return 0;
    const nm_range points = map->lines[index].points;
    for (uint32_t i = first; i <= last; i++) {
        float width = before > 0.0f ? before : after;
        if (before > 0.0f && after > 0.0f) {
            const float start = nm_womd_along(map, s->index, first - 1), end = nm_womd_along(map, s->index, last + 1);
            const float here = nm_womd_along(map, s->index, i);
            width += (after - before) * (end > start ? (here - start) / (end - start) : 0.5f);
        }
        if (!(fabsf(width - width_at(s, i)) <= SAME_WIDTH)) return 0;
        if (cast(s, i, map->line_points + points.first, points.count) < INFINITY) return 0;
    }
    return 1;
}

/// Tries to say the border of points [first, last] by the stretch before or behind them.
static int bridge(side *s, uint32_t first, uint32_t last) {
    for (uint32_t k = 0; k < s->out->count; k++) {
        nm_womd_stretch *stretch = &s->out->items[k];
        const int before = stretch->last + 1 == first, behind = stretch->first == last + 1;
        if ((!before && !behind) || !bridges(s, first, last, stretch->line)) continue;
        if (before)
            stretch->last = last;
        else
            stretch->first = first;
        memset(s->covered + first, 1, last - first + 1);
        return 1;
    }
    return 0;
}

static int says_itself(const side *s, uint32_t i) {
    return s->covered[i] || fabsf(width_without(s, i) - width_at(s, i)) <= SAME_WIDTH;
}

static void along_border(side *s, uint32_t first, uint32_t last) {
    const unsigned marking = s->left ? s->lane->left_marking : s->lane->right_marking;
    const unsigned colour = s->left ? s->lane->left_colour : s->lane->right_colour;
    const int edge = marking == NM_MARKING_CURB, type = edge ? EDGE_BOUNDARY : nm_womd_line_type(marking, colour);
    const int64_t id = make_line(s, first > 0 ? first - 1 : 0, last + 1 < s->count ? last + 1 : last, edge, type);
    if (id >= 0) push(s, first, last, id, edge ? 0 : type);
}

/// What no line of the map says.
static void mend_rest(side *s) {
    for (uint32_t first = 0; first < s->count; first++) {
        if (s->covered[first]) continue;
        uint32_t last = first, bad = 0;
        for (;; last++) {
            bad += !says_itself(s, last);
            if (last + 1 == s->count || s->covered[last + 1]) break;
        }
        if (bad && !bridge(s, first, last)) {
            for (uint32_t i = first; i <= last; i++) {
                if (says_itself(s, i)) continue;
                uint32_t j = i;
                while (j < last && !says_itself(s, j + 1)) j++;
                if (!bridge(s, i, j)) along_border(s, i, j);
                i = j;
            }
        }
        first = last;
    }
}

// --- maps without lines ----------------------------------------------------------------------------------------------

static int is_outer(const side *s, uint32_t i) {
    const nm_vec2 a = s->border[i], b = s->border[i + 1];
    const float dx = b.x - a.x, dy = b.y - a.y, length = hypotf(dx, dy);
    if (!(length > 0.0f)) return -1; // says nothing
    const float out = s->left ? OUTSIDE : -OUTSIDE;
    return !nm_map_drivable(s->work->map, 0.5f * (a.x + b.x) - out * dy / length,
                            0.5f * (a.y + b.y) + out * dx / length);
}

/// Within a junction, and as wide as a reader assumes.
static int needs_no_line(const side *s) {
    if (s->lane->junction == NM_NONE) return 0;
    for (uint32_t i = 0; i < s->count; i++) {
        if (fabsf(width_without(s, i) - width_at(s, i)) > SAME_WIDTH) return 0;
    }
    return 1;
}

static void make_lines(side *s) {
    const unsigned marking = s->left ? s->lane->left_marking : s->lane->right_marking;
    const unsigned colour = s->left ? s->lane->left_colour : s->lane->right_colour;
    const int type = nm_womd_line_type(marking, colour), curb = marking == NM_MARKING_CURB;
    const int drivable = nm_lane_type_drivable((nm_lane_type)s->lane->type), plain = !type && needs_no_line(s);
    if (type) {
        const int64_t id = make_line(s, 0, s->count - 1, 0, type);
        if (id >= 0) push(s, 0, s->count - 1, id, type);
    }
    for (uint32_t first = 0; first + 1 < s->count;) {
        int edge = curb;
        uint32_t last = first;
        for (int known = curb; last + 1 < s->count; last++) {
            const int outer = known && curb ? 1 : drivable ? is_outer(s, last) : 0;
            if (outer < 0) continue;
            if (known && outer != edge) break;
            edge = outer;
            known = 1;
        }
        if (edge || (!type && !plain)) {
            const int64_t id = make_line(s, first, last, edge, edge ? EDGE_BOUNDARY : 0);
            if (id >= 0 && !type) push(s, first, last, id, 0);
        }
        first = last;
    }
}

void nm_womd_lines_beside(nm_womd_map_work *work, uint32_t lane, int left, nm_womd_stretches *out) {
    const nm_map *map = work->map;
    const nm_lane *l = &map->lanes[lane];
    side s = {.work = work, .lane = l, .index = lane, .left = left, .count = l->points.count, .out = out};
    s.centre = map->centre + l->points.first;
    s.border = (left ? map->left : map->right) + l->points.first;
    out->count = 0;
    if (!work->grid) {
        make_lines(&s);
        return;
    }
    s.covered = nm_arena_calloc(work->arena, s.count, 1, 1);
    s.near = nm_arena_alloc(work->arena, s.count, sizeof *s.near, 16);
    s.near_count = nm_arena_calloc(work->arena, s.count, 1, 1);
    if (!s.covered || !s.near || !s.near_count) {
        work->failed = 1;
        return;
    }
    name_lines(&s);
    mend_rest(&s);
}
