/// How wide lanes are. WOMD gives centrelines, and for stretches of them the lines or edges that bound the lane; a
/// border point is where the normal of the centreline meets such a line. Where none is named, the lane ends half-way to
/// a neighbour that is; where there is no neighbour either, the width stays unknown and the map's builder assumes one.
#include "dataset/womd_private.h"

#include <math.h>

#define REACH 15.0   // m: a border further from the centreline is none; the widest half lanes in the samples have 11
#define NEAREST 0.05 // m: a border on the centreline would make a lane without surface
#define TOUCH 0.05   // m: a line that ends this close to the normal still meets it
#define DONE_MOST 32

static double least(double a, double b) {
    return a < b ? a : b;
}
static double most(double a, double b) {
    return a > b ? a : b;
}

int nm_womd_add_boxes(nm_arena *arena, nm_womd_polyline *line) {
    size_t runs = line->count > 1 ? (line->count - 2) / NM_WOMD_RUN + 1 : 0;
    line->boxes = NM_ARENA_ARRAY(arena, nm_womd_box, runs);
    if (!line->boxes) return 0;
    for (size_t run = 0; run < runs; run++) {
        nm_womd_box box = {INFINITY, INFINITY, -INFINITY, -INFINITY};
        size_t first = run * NM_WOMD_RUN, last = first + NM_WOMD_RUN;
        for (size_t i = first; i <= last && i < line->count; i++) {
            box.lo_x = least(box.lo_x, line->points[i].x);
            box.lo_y = least(box.lo_y, line->points[i].y);
            box.hi_x = most(box.hi_x, line->points[i].x);
            box.hi_y = most(box.hi_y, line->points[i].y);
        }
        line->boxes[run] = box;
    }
    return 1;
}

int nm_womd_add_tangents(nm_arena *arena, nm_womd_lane *lane) {
    const nm_point3 *p = lane->line.points;
    size_t count = lane->line.count, runs = 0;
    lane->tangents = NM_ARENA_ARRAY(arena, nm_womd_direction, count);
    size_t *starts = NM_ARENA_ARRAY(arena, size_t, count); // of runs of points that lie in one place
    if (!lane->tangents || !starts) return 0;
    for (size_t i = 0; i < count; i++) {
        const nm_point3 *anchor = runs ? &p[starts[runs - 1]] : NULL;
        if (anchor && fabs(p[i].x - anchor->x) + fabs(p[i].y - anchor->y) <= 1e-6) continue;
        starts[runs++] = i;
    }
    for (size_t run = 0; run < runs; run++) {
        const nm_point3 *a = &p[starts[run > 0 ? run - 1 : 0]], *b = &p[starts[run + 1 < runs ? run + 1 : run]];
        double dx = b->x - a->x, dy = b->y - a->y, length = sqrt(dx * dx + dy * dy);
        nm_womd_direction t = {1.0, 0.0};
        if (length > 0.0) t = (nm_womd_direction){dx / length, dy / length};
        size_t end = run + 1 < runs ? starts[run + 1] : count;
        for (size_t i = starts[run]; i < end; i++) lane->tangents[i] = t;
    }
    return 1;
}

/// A ray from a centreline point along its normal.
typedef struct ray {
    nm_point3 from;
    double tx, ty; // along the lane
    double nx, ny; // where it goes
} ray;

/// The box around the first `reach` m of a ray, `margin` wider.
static nm_womd_box box_around(const ray *r, double reach, double margin) {
    const double x = r->from.x + reach * r->nx, y = r->from.y + reach * r->ny;
    return (nm_womd_box){least(r->from.x, x) - margin, least(r->from.y, y) - margin, most(r->from.x, x) + margin,
                         most(r->from.y, y) + margin};
}

static int apart(const nm_womd_box *a, const nm_womd_box *b) {
    return a->lo_x > b->hi_x || a->hi_x < b->lo_x || a->lo_y > b->hi_y || a->hi_y < b->lo_y;
}

/// Distance along the ray to the segments [first, last); `best` when none is nearer.
static double cast_run(const ray *r, const nm_womd_polyline *line, size_t first, size_t last, double best) {
    const nm_point3 *a = &line->points[first];
    double ua = (a->x - r->from.x) * r->tx + (a->y - r->from.y) * r->ty, ub;
    for (size_t i = first; i < last; i++, ua = ub) {
        const nm_point3 *b = &line->points[i + 1];
        ub = (b->x - r->from.x) * r->tx + (b->y - r->from.y) * r->ty;
        if ((ua > TOUCH && ub > TOUCH) || (ua < -TOUCH && ub < -TOUCH)) continue; // all before or all behind the ray
        a = b - 1;
        double k = ua != ub ? ua / (ua - ub) : 0.0;
        k = k < 0.0 ? 0.0 : k > 1.0 ? 1.0 : k;
        double x = a->x + k * (b->x - a->x) - r->from.x, y = a->y + k * (b->y - a->y) - r->from.y;
        double d = x * r->nx + y * r->ny;
        if (d >= NEAREST && d <= REACH && d < best) best = d;
    }
    return best;
}

/// A ray on its way along a line.
typedef struct search {
    const ray *r;
    const nm_womd_polyline *line;
    size_t first, last; // segments
    nm_womd_box whole, nearer;
    double best;
    size_t *hint;
    uint64_t *work;
} search;

static void search_run(search *s, size_t run) {
    const nm_womd_box *box = &s->line->boxes[run];
    ++*s->work;
    if (apart(box, &s->nearer) || apart(box, &s->whole)) return;
    const size_t from = run * NM_WOMD_RUN, to = from + NM_WOMD_RUN;
    const double d = cast_run(s->r, s->line, from > s->first ? from : s->first, to < s->last ? to : s->last, s->best);
    *s->work += NM_WOMD_RUN;
    if (!(d < s->best)) return;
    s->best = d;
    *s->hint = run;
    s->nearer = box_around(s->r, d, 2.0 * TOUCH); // a line that is met may end beside the ray
}

/// Distance along the ray to the segments [first, last) of a line; INFINITY when it meets none within reach. The run
/// that was met last, *hint, is looked at first: mostly it is met again, and then only what lies nearer can matter.
static double cast(const ray *r, const nm_womd_polyline *line, size_t first, size_t last, size_t *hint,
                   uint64_t *work) {
    const nm_womd_box whole = box_around(r, REACH, 0.0);
    search s = {r, line, first, last, whole, whole, INFINITY, hint, work};
    if (last <= first) return INFINITY;
    const size_t begin = first / NM_WOMD_RUN, end = (last - 1) / NM_WOMD_RUN + 1;
    const size_t expected = *hint >= begin && *hint < end ? *hint : begin;
    search_run(&s, expected);
    for (size_t run = begin; run < end; run++) {
        if (run != expected) search_run(&s, run);
    }
    return s.best;
}

static ray ray_at(const nm_womd_lane *lane, size_t i, int left) {
    ray r = {.from = lane->line.points[i], .tx = lane->tangents[i].x, .ty = lane->tangents[i].y};
    r.nx = left ? -r.ty : r.ty;
    r.ny = left ? r.tx : -r.tx;
    return r;
}

/// What one side of a lane needs while it is worked on.
typedef struct side {
    nm_womd_record *record;
    nm_womd_map *map;
    const nm_womd_lane *lane;
    int left;
    float *widths;
    uint8_t *covered; // a boundary is named at this point
    struct {
        const nm_womd_polyline *line;
        int64_t start, end;
    } done[DONE_MOST]; // what was cast already: neighbours mostly repeat the boundaries of the lane itself
    size_t done_count;
} side;

/// 1 when the stretch of that line was cast before: once more it would say the same. Notes it when not.
static int was_done(side *s, const nm_womd_polyline *line, int64_t start, int64_t end) {
    for (size_t i = 0; i < s->done_count; i++) {
        if (s->done[i].line == line && s->done[i].start <= start && s->done[i].end >= end) return 1;
    }
    if (s->done_count < DONE_MOST) {
        s->done[s->done_count].line = line;
        s->done[s->done_count].start = start;
        s->done[s->done_count++].end = end;
    }
    return 0;
}

static nm_status apply_boundaries(side *s, Womd__BoundarySegment *const *segments, size_t count, nm_error *error) {
    for (size_t k = 0; k < count; k++) {
        const Womd__BoundarySegment *segment = segments[k];
        const nm_womd_id *found = nm_womd_find(s->map, segment->boundary_feature_id, NM_WOMD_LINE);
        int64_t start = segment->lane_start_index, end = segment->lane_end_index;
        // id 0 stands for "nothing is painted here": most stretches between neighbours in a junction have it
        if (!found && segment->boundary_feature_id != 0) s->record->notes[NM_WOMD_DANGLING_REFERENCE]++;
        if (start < 0 || end < start || (uint64_t)end >= s->lane->line.count) {
            s->record->notes[NM_WOMD_BAD_RANGE]++;
            continue;
        }
        const nm_womd_polyline *line = found ? &s->map->lines[found->index].line : NULL;
        if (!line || line->count < 2 || was_done(s, line, start, end)) continue;
        size_t hint = 0;
        for (size_t i = (size_t)start; i <= (size_t)end; i++) {
            ray r = ray_at(s->lane, i, s->left);
            double d = cast(&r, line, 0, line->count - 1, &hint, &s->map->work);
            s->covered[i] = 1;
            if (d < INFINITY && !(s->widths[i] > 0.0f && (double)s->widths[i] <= d)) s->widths[i] = (float)d;
        }
        nm_status status = nm_womd_check_work(s->record, s->map, s->lane->feature, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

/// Where a boundary is named but the normal misses it (its ends, mostly), the width is that of the points beside.
static void fill_gaps(const side *s) {
    const double *along = s->lane->along;
    size_t count = s->lane->line.count;
    for (size_t first = 0; first < count; first++) {
        if (!s->covered[first] || s->widths[first] > 0.0f) continue;
        size_t last = first;
        while (last + 1 < count && s->covered[last + 1] && !(s->widths[last + 1] > 0.0f)) last++;
        float before = first > 0 && s->covered[first - 1] ? s->widths[first - 1] : 0.0f;
        float after = last + 1 < count && s->covered[last + 1] ? s->widths[last + 1] : 0.0f;
        for (size_t i = first; i <= last; i++) {
            if (before > 0.0f && after > 0.0f) {
                double whole = along[last + 1] - along[first - 1];
                float share = whole > 0.0 ? (float)((along[i] - along[first - 1]) / whole) : 0.5f;
                s->widths[i] = before + share * (after - before);
            } else {
                s->widths[i] = before > 0.0f ? before : after;
            }
        }
        first = last;
    }
}

/// Half-way to the neighbour, where no boundary gave a width.
static nm_status apply_neighbours(const side *s, Womd__LaneNeighbor *const *neighbours, size_t count, nm_error *error) {
    for (size_t k = 0; k < count; k++) {
        const Womd__LaneNeighbor *n = neighbours[k];
        const nm_womd_id *found = nm_womd_find(s->map, n->feature_id, NM_WOMD_LANE);
        if (!found) continue; // counted where the neighbours themselves are read
        const nm_womd_polyline *other = &s->map->lanes[found->index].line;
        int64_t first = n->neighbor_start_index, last = n->neighbor_end_index;
        if (n->self_start_index < 0 || n->self_end_index < n->self_start_index ||
            (size_t)n->self_end_index >= s->lane->line.count)
            continue;
        if (first < 0 || last <= first || (uint64_t)last >= other->count) continue;
        size_t hint = 0;
        for (size_t i = (size_t)n->self_start_index; i <= (size_t)n->self_end_index; i++) {
            if (s->widths[i] > 0.0f) continue;
            ray r = ray_at(s->lane, i, s->left);
            double d = cast(&r, other, (size_t)first, (size_t)last, &hint, &s->map->work);
            if (d < INFINITY) s->widths[i] = (float)(0.5 * d);
        }
        nm_status status = nm_womd_check_work(s->record, s->map, s->lane->feature, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

nm_status nm_womd_widths(nm_womd_record *record, nm_womd_map *map, const nm_womd_lane *lane, int left, float *widths,
                         nm_error *error) {
    const Womd__LaneCenter *source = lane->source;
    Womd__BoundarySegment **segments = left ? source->left_boundaries : source->right_boundaries;
    size_t segment_count = left ? source->n_left_boundaries : source->n_right_boundaries;
    Womd__LaneNeighbor **neighbours = left ? source->left_neighbors : source->right_neighbors;
    size_t neighbour_count = left ? source->n_left_neighbors : source->n_right_neighbors;
    side s = {.record = record, .map = map, .lane = lane, .left = left, .widths = widths};
    s.covered = nm_arena_calloc(record->arena, lane->line.count, 1, 1);
    if (!s.covered) return nm_womd_no_memory(record, error);
    for (size_t i = 0; i < lane->line.count; i++) widths[i] = 0.0f;
    nm_status status = apply_boundaries(&s, segments, segment_count, error);
    for (size_t k = 0; k < neighbour_count && status == NM_OK; k++)
        status = apply_boundaries(&s, neighbours[k]->boundaries, neighbours[k]->n_boundaries, error);
    if (status != NM_OK) return status;
    fill_gaps(&s);
    return apply_neighbours(&s, neighbours, neighbour_count, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Markings

void nm_womd_line_style(Womd__RoadLine__RoadLineType type, nm_marking *marking, nm_colour *colour) {
    static const struct {
        uint8_t marking, colour;
    } styles[] = {
        [WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_UNKNOWN] = {NM_MARKING_UNKNOWN, NM_COLOUR_UNKNOWN},
        [WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_BROKEN_SINGLE_WHITE] = {NM_MARKING_DASHED, NM_COLOUR_WHITE},
        [WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_SOLID_SINGLE_WHITE] = {NM_MARKING_SOLID, NM_COLOUR_WHITE},
        [WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_SOLID_DOUBLE_WHITE] = {NM_MARKING_DOUBLE_SOLID, NM_COLOUR_WHITE},
        [WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_BROKEN_SINGLE_YELLOW] = {NM_MARKING_DASHED, NM_COLOUR_YELLOW},
        [WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_BROKEN_DOUBLE_YELLOW] = {NM_MARKING_DOUBLE_DASHED, NM_COLOUR_YELLOW},
        [WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_SOLID_SINGLE_YELLOW] = {NM_MARKING_SOLID, NM_COLOUR_YELLOW},
        [WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_SOLID_DOUBLE_YELLOW] = {NM_MARKING_DOUBLE_SOLID, NM_COLOUR_YELLOW},
        // one solid and one broken; the record does not say which lies where
        [WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_PASSING_DOUBLE_YELLOW] = {NM_MARKING_SOLID_DASHED, NM_COLOUR_YELLOW},
    };
    int index = nm_womd_enum((int)type, (int)(sizeof styles / sizeof styles[0]));
    *marking = (nm_marking)styles[index].marking;
    *colour = (nm_colour)styles[index].colour;
}

void nm_womd_side_marking(const nm_womd_map *map, const nm_womd_lane *lane, int left, nm_marking *marking,
                          nm_colour *colour) {
    Womd__BoundarySegment **segments = left ? lane->source->left_boundaries : lane->source->right_boundaries;
    size_t count = left ? lane->source->n_left_boundaries : lane->source->n_right_boundaries;
    double lengths[NM_MARKING_CURB + 1][NM_COLOUR_YELLOW + 1] = {{0.0}}, longest = 0.0;
    *marking = NM_MARKING_UNKNOWN;
    *colour = NM_COLOUR_UNKNOWN;
    for (size_t k = 0; k < count; k++) {
        int64_t start = segments[k]->lane_start_index, end = segments[k]->lane_end_index;
        if (start < 0 || end < start || (uint64_t)end >= lane->line.count) continue;
        const nm_womd_id *found = nm_womd_find(map, segments[k]->boundary_feature_id, NM_WOMD_LINE);
        nm_marking m;
        nm_colour c;
        nm_womd_line_style(segments[k]->boundary_type, &m, &c);
        if (m == NM_MARKING_UNKNOWN && found) {
            m = map->lines[found->index].marking;
            c = map->lines[found->index].colour;
        }
        lengths[m][c] += lane->along[end] - lane->along[start];
        if (lengths[m][c] > longest) {
            longest = lengths[m][c];
            *marking = m;
            *colour = c;
        }
    }
}
