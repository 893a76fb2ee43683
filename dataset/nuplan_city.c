/// A nuPlan map, read whole: layers into lanes, borders and areas in metres.
#include <math.h>
#include <stdio.h>

#include "dataset/nuplan.h"

#define BORDER_REACH 15.0               // m: a boundary whose ends lie further from its lane's is not beside it
#define MAX_WORK (UINT64_C(1) << 34)    // comparisons of corners and lanes, all polygons of a map together
#define MAX_FID 9007199254740992.0      // 2^53: exact in doubles
#define COS_STRAIGHT 0.8660254037844386 // 30 degrees
#define COS_U_TURN -0.8660254037844386  // 150 degrees

/// What is needed while a map is read.
typedef struct reading {
    nm_np_database database;
    const nm_import_limits *limits;
    nm_np_city *city;
    nm_np_projection projection;
    nm_pile rings, corners; // nm_np_ring and nm_np_point of the geometry at hand; nm_range of simplifying
    nm_pile stack;
    nm_pile borders;      // border
    nm_id_table lane_ids; // fid -> index into lanes
    nm_id_table border_ids;
    uint64_t work;
} reading;

typedef struct border {
    nm_range points;
    uint8_t marking;
} border;

static nm_status no_memory(const reading *r) {
    return NM_ERROR_AT(r->database.error, NM_E_MEMORY, r->database.name, 0, -1, "no memory for the map");
}
static nm_status out_of_memory(const reading *r, nm_np_query *query) {
    if (query->status == NM_OK) query->status = no_memory(r);
    return query->status;
}

static nm_np_lane *lane_at(const nm_np_city *city, size_t index) {
    return &NM_AT(city->lanes, nm_np_lane, index);
}

// --- geometry --------------------------------------------------------------------------------------------------------

/// Decodes the geometry of a row into r->corners and r->rings, in metres of the projected system.
static int read_geometry(reading *r, nm_np_query *query, int column, nm_np_shape shape) {
    size_t size, offset;
    int32_t srs = 0;
    r->rings.count = r->corners.count = 0;
    const void *blob = nm_np_blob(query, column, &size);
    if (!blob) return 0;
    const char *wrong = nm_np_decode(blob, size, shape, &srs, &r->corners, &r->rings, &offset);
    if (wrong) {
        nm_np_wrong(query, "geom at byte %zu: %s", offset, wrong);
        return 0;
    }
    if (srs == r->projection.code) return 1;
    if (srs != 4326) {
        nm_np_wrong(query, "geom is in the reference system %d, neither WGS 84 (4326) nor the map's own (%d)", srs,
                    r->projection.code);
        return 0;
    }
    if (nm_np_project(&r->projection, r->corners.data, r->corners.count)) return 1;
    nm_np_wrong(query, "geom lies over 30 degrees from the zone of EPSG:%d", r->projection.code);
    return 0;
}

/// Takes over points from r->corners.
static int keep_points(reading *r, nm_np_query *query, nm_range from, int closed, nm_range *range) {
    nm_np_point *points = &NM_AT(r->corners, nm_np_point, from.first);
    size_t count = from.count;
    if (closed && count > 1 && points[0].x == points[count - 1].x && points[0].y == points[count - 1].y) --count;
    count = nm_np_simplify(points, count, &r->stack);
    nm_np_point *to = NM_PUSH(&r->city->points, nm_np_point, count);
    if (!to || r->city->points.count > NM_NONE / 2) return out_of_memory(r, query) == NM_OK;
    memcpy(to, points, count * sizeof *to);
    *range = (nm_range){(uint32_t)(r->city->points.count - count), (uint32_t)count};
    return 1;
}

static int keep_line(reading *r, nm_np_query *query, int column, nm_range *range) {
    return read_geometry(r, query, column, NM_NP_LINE) &&
           keep_points(r, query, (nm_range){0, (uint32_t)r->corners.count}, 0, range);
}

/// A polygon with holes as one ring: there and back between the closest corners of outline and hole, which cancels out
/// for every rule of what is inside. r->corners receives it at its end; *ring says where.
static int bridge_hole(reading *r, nm_range *ring, nm_range hole) {
    const nm_np_point *at = r->corners.data;
    uint32_t from = 0, to = 0;
    double best = INFINITY;
    for (uint32_t i = 0; i < ring->count; ++i)
        for (uint32_t k = 0; k < hole.count; ++k) {
            const nm_np_point *a = &at[ring->first + i], *b = &at[hole.first + k];
            const double d = (a->x - b->x) * (a->x - b->x) + (a->y - b->y) * (a->y - b->y);
            if (d < best) best = d, from = i, to = k;
        }
    const uint32_t count = ring->count + hole.count + 2;
    nm_np_point *out = NM_PUSH(&r->corners, nm_np_point, count);
    if (!out) return 0;
    at = r->corners.data;
    uint32_t n = 0;
    for (uint32_t i = 0; i <= from; ++i) out[n++] = at[ring->first + i];
    for (uint32_t k = 0; k <= hole.count; ++k) out[n++] = at[hole.first + (to + k) % hole.count];
    for (uint32_t i = from; i < ring->count; ++i) out[n++] = at[ring->first + i];
    *ring = (nm_range){(uint32_t)(r->corners.count - count), count};
    return 1;
}

static double twice_area(const nm_np_point *points, nm_range ring) {
    double sum = 0.0;
    const nm_np_point *p = &points[ring.first];
    for (uint32_t i = 0; i < ring.count; ++i) {
        const nm_np_point *a = &p[i], *b = &p[(i + 1) % ring.count];
        sum += (a->x - p->x) * (b->y - p->y) - (b->x - p->x) * (a->y - p->y);
    }
    return sum;
}

static void turn_round(nm_np_point *points, nm_range ring) {
    for (uint32_t i = 0, k = ring.count - 1; i < k; ++i, --k) {
        const nm_np_point p = points[ring.first + i];
        points[ring.first + i] = points[ring.first + k];
        points[ring.first + k] = p;
    }
}

static int spend(reading *r, nm_np_query *query, uint64_t work) {
    r->work += work;
    return r->work <= MAX_WORK || nm_np_wrong(query, "polygons with too many corners or lanes") == NM_OK;
}

/// The next polygon of the geometry at hand, from ring *next on, as one ring with its holes turned the other way.
static int next_polygon(reading *r, nm_np_query *query, uint32_t *next, nm_range *polygon) {
    const uint32_t rings = (uint32_t)r->rings.count;
    nm_range outline = NM_AT(r->rings, nm_np_ring, *next).points;
    outline.count--; // closed: the last point is the first one
    const double area = twice_area(r->corners.data, outline);
    for (++*next; *next < rings && NM_AT(r->rings, nm_np_ring, *next).hole; ++*next) {
        nm_range hole = NM_AT(r->rings, nm_np_ring, *next).points;
        hole.count--;
        if (!spend(r, query, (uint64_t)hole.count * outline.count)) return 0;
        if ((twice_area(r->corners.data, hole) > 0.0) == (area > 0.0)) turn_round(r->corners.data, hole);
        if (!bridge_hole(r, &outline, hole)) return out_of_memory(r, query) == NM_OK;
    }
    *polygon = outline;
    return 1;
}

// --- layers ----------------------------------------------------------------------------------------------------------

static nm_status read_meta(reading *r) {
    nm_np_query query = nm_np_select(&r->database, "meta", "key, value", "");
    int found = 0;
    while (nm_np_next(&query)) {
        char key[64], value[64];
        long code = 0;
        nm_np_text(&query, 0, key, sizeof key);
        if (query.status != NM_OK || strcmp(key, "projectedCoordSystem") != 0) continue;
        nm_np_text(&query, 1, value, sizeof value);
        const char *digits = strrchr(value, ':');
        if (query.status == NM_OK) code = strtol(digits ? digits + 1 : value, NULL, 10);
        if (!nm_np_projection_of(code > 0 && code < 100000 ? (int32_t)code : 0, &r->projection))
            nm_np_wrong(&query, "projectedCoordSystem \"%s\" is no UTM zone on WGS 84 (EPSG:326xx, 327xx)", value);
        found = 1;
    }
    nm_status status = nm_np_finish(&query);
    if (status != NM_OK || found) return status;
    return NM_ERROR_AT(r->database.error, NM_E_FORMAT, r->database.name, 0, -1,
                       "layer meta has no projectedCoordSystem: not a nuPlan map");
}

/// A nullable reference; -1 = none.
static int64_t reference(nm_np_query *query, int column) {
    double value;
    if (!nm_np_number(query, column, &value)) return -1;
    if (value == floor(value) && fabs(value) < MAX_FID) return (int64_t)value;
    nm_np_wrong(query, "a fid of %.17g", value);
    return -1;
}

static nm_status read_boundaries(reading *r) {
    const int typed = nm_np_has_column(&r->database, "boundaries", "boundary_type_fid");
    nm_np_query query =
        nm_np_select(&r->database, "boundaries", typed ? "fid, geom, boundary_type_fid" : "fid, geom", "");
    while (nm_np_next(&query)) {
        const int64_t fid = reference(&query, 0);
        border made = {.marking = NM_MARKING_UNKNOWN};
        if (query.status != NM_OK || !keep_line(r, &query, 1, &made.points)) break;
        if (typed && !nm_np_is_null(&query, 2)) {
            const int64_t type = reference(&query, 2);
            made.marking = type == 0 ? NM_MARKING_DASHED : type == 2 ? NM_MARKING_SOLID : NM_MARKING_UNKNOWN;
        }
        border *to = NM_PUSH(&r->borders, border, 1);
        const uint32_t index = (uint32_t)r->borders.count - 1;
        const uint32_t stored = to ? nm_id_table_add(&r->border_ids, fid, index) : NM_NONE;
        if (!to || stored == NM_NONE) {
            out_of_memory(r, &query);
            break;
        }
        *to = made;
        if (stored != index) nm_np_wrong(&query, "fid %lld is used twice", (long long)fid);
    }
    return nm_np_finish(&query);
}

/// NULL (as NaN is stored), 0 and less are no limit.
static double speed_limit(nm_np_query *query, int column) {
    double limit;
    if (!nm_np_number(query, column, &limit)) return 0.0;
    if (limit >= 1000.0) nm_np_wrong(query, "a speed limit of %g m/s", limit);
    return limit > 0.0 ? limit : 0.0;
}

static int add_lane(reading *r, nm_np_query *query, nm_id_table *ids, const nm_np_lane *lane) {
    const uint32_t index = (uint32_t)r->city->lanes.count;
    if (query->status != NM_OK) return 0;
    if (lane->fid < 0) return nm_np_wrong(query, "fid %lld is negative", (long long)lane->fid) == NM_OK;
    if (index >= r->limits->max_lanes) {
        query->status = NM_ERROR_AT(r->database.error, NM_E_LIMIT, r->database.name, 0, -1,
                                    "the map has more than %u lanes", r->limits->max_lanes);
        return 0;
    }
    nm_np_lane *to = NM_PUSH(&r->city->lanes, nm_np_lane, 1);
    const uint32_t stored = to ? nm_id_table_add(ids, lane->fid, index) : NM_NONE;
    if (!to || stored == NM_NONE) return out_of_memory(r, query) == NM_OK;
    *to = *lane;
    to->id = lane->fid;
    to->stop_s = -1.0;
    to->before = to->behind = to->beside[0] = to->beside[1] = NM_NONE;
    if (stored != index) return nm_np_wrong(query, "fid %lld is used twice", (long long)lane->fid) == NM_OK;
    return 1;
}

static nm_status read_lanes(reading *r) {
    const int typed = nm_np_has_column(&r->database, "lanes_polygons", "lane_type_fid");
    nm_np_query query = nm_np_select(
        &r->database, "lanes_polygons",
        typed ? "fid, lane_group_fid, lane_index, left_boundary_fid, right_boundary_fid, speed_limit_mps, lane_type_fid"
              : "fid, lane_group_fid, lane_index, left_boundary_fid, right_boundary_fid, speed_limit_mps",
        "");
    while (nm_np_next(&query)) {
        nm_np_lane lane = {.fid = reference(&query, 0),
                           .group = reference(&query, 1),
                           .index = reference(&query, 2),
                           .boundary = {reference(&query, 3), reference(&query, 4)},
                           .intersection = -1,
                           .exit_fid = -1,
                           .entry_fid = -1,
                           .speed_limit = speed_limit(&query, 5)};
        if (typed && !nm_np_is_null(&query, 6)) lane.bike = reference(&query, 6) == 1;
        if (!add_lane(r, &query, &r->lane_ids, &lane)) break;
    }
    r->city->lane_count = (uint32_t)r->city->lanes.count;
    return nm_np_finish(&query);
}

static nm_status read_connectors(reading *r) {
    nm_np_query query = nm_np_select(&r->database, "lane_connectors",
                                     "fid, exit_lane_fid, entry_lane_fid, lane_group_connector_fid, speed_limit_mps, "
                                     "traffic_light_stop_line_fids, intersection_fid",
                                     "");
    while (nm_np_next(&query)) {
        nm_np_lane lane = {.fid = reference(&query, 0),
                           .exit_fid = reference(&query, 1),
                           .entry_fid = reference(&query, 2),
                           .group = reference(&query, 3),
                           .index = -1,
                           .boundary = {-1, -1},
                           .speed_limit = speed_limit(&query, 4),
                           .intersection = reference(&query, 6),
                           .connector = 1};
        char lines[64];
        nm_np_text(&query, 5, lines, sizeof lines);
        lane.lit = strpbrk(lines, "0123456789") != NULL; // blanks mean none
        if (!add_lane(r, &query, &r->city->connectors, &lane)) break;
    }
    return nm_np_finish(&query);
}

static nm_np_lane *find(const reading *r, int connector, int64_t fid) {
    const uint32_t index = nm_id_table_find(connector ? &r->city->connectors : &r->lane_ids, fid);
    return index == NM_NONE ? NULL : lane_at(r->city, index);
}

static nm_status read_connector_borders(reading *r) {
    nm_np_query query = nm_np_select(&r->database, "gen_lane_connectors_scaled_width_polygons",
                                     "lane_connector_fid, left_boundary_fid, right_boundary_fid", "");
    while (nm_np_next(&query)) {
        const int64_t left = reference(&query, 1), right = reference(&query, 2);
        nm_np_lane *lane = find(r, 1, reference(&query, 0));
        if (query.status != NM_OK) break;
        if (!lane) {
            r->city->dangling++;
            continue;
        }
        lane->boundary[0] = left;
        lane->boundary[1] = right;
    }
    return nm_np_finish(&query);
}

static nm_status read_baselines(reading *r) {
    nm_np_query query = nm_np_select(&r->database, "baseline_paths", "lane_fid, lane_connector_fid, geom", "");
    while (nm_np_next(&query)) {
        const int64_t of_lane = reference(&query, 0), of_connector = reference(&query, 1);
        if (query.status == NM_OK && (of_lane < 0) == (of_connector < 0))
            nm_np_wrong(&query, "it belongs to a lane or to a lane connector, not to %s",
                        of_lane < 0 ? "neither" : "both");
        if (query.status != NM_OK) break;
        nm_np_lane *lane = find(r, of_lane < 0, of_lane < 0 ? of_connector : of_lane);
        if (!lane) {
            r->city->dangling++;
            continue;
        }
        if (lane->centre.count)
            nm_np_wrong(&query, "%s %lld has a second baseline", of_lane < 0 ? "lane connector" : "lane",
                        (long long)lane->fid);
        if (query.status != NM_OK || !keep_line(r, &query, 2, &lane->centre)) break;
        if (nm_np_length(&NM_AT(r->city->points, nm_np_point, lane->centre.first), lane->centre.count) < 1e-6)
            nm_np_wrong(&query, "a baseline without length");
    }
    return nm_np_finish(&query);
}

static nm_status read_areas(reading *r, const char *table, nm_area_kind kind) {
    nm_np_query query = nm_np_select(&r->database, table, "fid, geom", "");
    while (nm_np_next(&query)) {
        nm_np_area area = {.fid = reference(&query, 0), .kind = (uint8_t)kind};
        if (query.status != NM_OK || !read_geometry(r, &query, 1, NM_NP_POLYGON)) break;
        for (uint32_t next = 0; query.status == NM_OK && next < r->rings.count;) {
            nm_range polygon;
            if (!next_polygon(r, &query, &next, &polygon)) break;
            if (!keep_points(r, &query, polygon, 0, &area.points)) break;
            if (area.points.count < 3) continue;
            area.box = nm_np_bounds(&NM_AT(r->city->points, nm_np_point, area.points.first), area.points.count);
            nm_np_area *to = NM_PUSH(&r->city->areas, nm_np_area, 1);
            if (!to) out_of_memory(r, &query);
            if (to) *to = area;
        }
    }
    return nm_np_finish(&query);
}

// --- putting it together ---------------------------------------------------------------------------------------------

static nm_status attach_borders(reading *r) {
    const nm_np_city *city = r->city;
    const nm_np_point *points = city->points.data;
    for (size_t i = 0; i < city->lanes.count; ++i) {
        nm_np_lane *lane = lane_at(city, i);
        if (lane->centre.count < 2)
            return NM_ERROR_AT(r->database.error, NM_E_FORMAT, r->database.name, 0, -1, "%s %lld has no baseline path",
                               lane->connector ? "lane connector" : "lane", (long long)lane->fid);
        lane->box = nm_np_bounds(&points[lane->centre.first], lane->centre.count);
        for (int side = 0; side < 2; ++side) {
            if (lane->boundary[side] < 0) continue;
            const uint32_t index = nm_id_table_find(&r->border_ids, lane->boundary[side]);
            const border *b = index == NM_NONE ? NULL : &NM_AT(r->borders, border, index);
            const int against = b ? nm_np_orientation(&points[lane->centre.first], lane->centre.count,
                                                      &points[b->points.first], b->points.count, BORDER_REACH)
                                  : 0;
            r->city->dangling += !b;
            r->city->unfit += against < 0;
            if (!b || against < 0) continue;
            lane->border[side] = b->points;
            lane->against[side] = (uint8_t)against;
            lane->marking[side] = b->marking;
        }
    }
    return NM_OK;
}

/// Ids of connectors are moved out of the way where lanes have the same ones: those of a map are unique.
static void make_ids_unique(reading *r) {
    nm_np_city *city = r->city;
    int64_t highest = 0, shift = 10;
    int same = 0;
    for (size_t i = 0; i < city->lanes.count; ++i) {
        const nm_np_lane *lane = lane_at(city, i);
        if (!lane->connector && lane->fid > highest) highest = lane->fid;
        same |= lane->connector && find(r, 0, lane->fid) != NULL;
    }
    while (shift <= highest && shift < INT64_MAX / 100) shift *= 10;
    if (!same) return;
    city->shift = shift;
    for (size_t i = city->lane_count; i < city->lanes.count; ++i) lane_at(city, i)->id += shift;
}

/// By the directions at both ends, as the WOMD reader tells turns.
static nm_turn turn_of(const nm_np_point *p, uint32_t count) {
    const double ax = p[1].x - p[0].x, ay = p[1].y - p[0].y;
    const double bx = p[count - 1].x - p[count - 2].x, by = p[count - 1].y - p[count - 2].y;
    const double lengths = hypot(ax, ay) * hypot(bx, by), cosine = (ax * bx + ay * by) / lengths;
    if (!(lengths > 0.0) || cosine > COS_STRAIGHT) return NM_TURN_STRAIGHT;
    if (cosine < COS_U_TURN) return NM_TURN_U;
    return ax * by - ay * bx > 0.0 ? NM_TURN_LEFT : NM_TURN_RIGHT;
}

static int by_lane(const void *a, const void *b) {
    const nm_np_link *x = a, *y = b;
    if (x->lane != y->lane) return x->lane < y->lane ? -1 : 1;
    return x->connector < y->connector ? -1 : x->connector > y->connector;
}

static int add_link(reading *r, nm_pile *links, int64_t fid, uint32_t connector, uint32_t *lane) {
    *lane = fid < 0 ? NM_NONE : nm_id_table_find(&r->lane_ids, fid);
    r->city->dangling += *lane == NM_NONE;
    if (*lane == NM_NONE) return 1;
    nm_np_link *link = NM_PUSH(links, nm_np_link, 1);
    if (link) *link = (nm_np_link){*lane, connector};
    return link != NULL;
}

static nm_status link_connectors(reading *r) {
    nm_np_city *city = r->city;
    for (uint32_t i = city->lane_count; i < city->lanes.count; ++i) {
        nm_np_lane *c = lane_at(city, i);
        c->turn = (uint8_t)turn_of(&NM_AT(city->points, nm_np_point, c->centre.first), c->centre.count);
        if (!add_link(r, &city->leaving, c->exit_fid, i, &c->before) ||
            !add_link(r, &city->arriving, c->entry_fid, i, &c->behind))
            return no_memory(r);
    }
    if (city->leaving.count) qsort(city->leaving.data, city->leaving.count, sizeof(nm_np_link), by_lane);
    if (city->arriving.count) qsort(city->arriving.data, city->arriving.count, sizeof(nm_np_link), by_lane);
    return NM_OK;
}

typedef struct placed {
    int64_t group, index;
    uint32_t lane;
} placed;

static int by_place(const void *a, const void *b) {
    const placed *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    if (x->index != y->index) return x->index < y->index ? -1 : 1;
    return x->lane < y->lane ? -1 : x->lane > y->lane;
}

/// lane_index grows from left to right within a group. Places that are taken twice have no neighbours.
static nm_status find_neighbours(reading *r) {
    const nm_np_city *city = r->city;
    const uint32_t count = city->lane_count;
    placed *places = malloc((count + 1) * sizeof *places);
    if (!places) return no_memory(r);
    for (uint32_t i = 0; i < count; ++i) places[i] = (placed){lane_at(city, i)->group, lane_at(city, i)->index, i};
    qsort(places, count, sizeof *places, by_place);
    for (uint32_t i = 0; i + 1 < count; ++i) {
        const placed *a = &places[i], *b = a + 1;
        if (a->group < 0 || a->index < 0 || a->group != b->group || b->index - a->index != 1) continue;
        const int twice = (i > 0 && a[-1].group == a->group && a[-1].index == a->index) ||
                          (i + 2 < count && b[1].group == b->group && b[1].index == b->index);
        if (twice) continue;
        lane_at(city, a->lane)->beside[1] = b->lane;
        lane_at(city, b->lane)->beside[0] = a->lane;
    }
    free(places);
    return NM_OK;
}

static nm_status read_stops(reading *r) {
    nm_np_query query = nm_np_select(&r->database, "stop_polygons", "fid, stop_polygon_type_fid, geom", "");
    while (nm_np_next(&query)) {
        nm_np_stop stop = {.type = reference(&query, 1)};
        if (query.status != NM_OK || !read_geometry(r, &query, 2, NM_NP_POLYGON)) break;
        for (uint32_t next = 0; query.status == NM_OK && next < r->rings.count;) {
            nm_range polygon;
            const size_t before = r->city->points.count;
            if (!next_polygon(r, &query, &next, &polygon) || !keep_points(r, &query, polygon, 0, &stop.points)) break;
            stop.box = nm_np_bounds(&NM_AT(r->city->points, nm_np_point, stop.points.first), stop.points.count);
            const uint64_t work = nm_np_apply_stop(r->city, &stop);
            r->city->points.count = before;
            if (!spend(r, &query, work)) break;
        }
    }
    return nm_np_finish(&query);
}

static nm_status read_all(reading *r) {
    static const char *const layers[] = {"meta",
                                         "lanes_polygons",
                                         "lane_connectors",
                                         "gen_lane_connectors_scaled_width_polygons",
                                         "baseline_paths",
                                         "boundaries",
                                         "intersections",
                                         "stop_polygons",
                                         "crosswalks",
                                         "road_segments",
                                         "generic_drivable_areas",
                                         "carpark_areas",
                                         NULL};
    static const char *const drivable[] = {"road_segments", "intersections", "generic_drivable_areas", "carpark_areas"};
    nm_status status = nm_np_need_tables(&r->database, "layer", layers);
    if (status == NM_OK) status = read_meta(r);
    if (status == NM_OK) status = read_boundaries(r);
    if (status == NM_OK) status = read_lanes(r);
    if (status == NM_OK) status = read_connectors(r);
    if (status == NM_OK) status = read_connector_borders(r);
    if (status == NM_OK) status = read_baselines(r);
    if (status == NM_OK) status = attach_borders(r);
    if (status == NM_OK) make_ids_unique(r);
    if (status == NM_OK) status = link_connectors(r);
    if (status == NM_OK) status = find_neighbours(r);
    if (status == NM_OK) status = read_stops(r);
    if (status == NM_OK && !nm_np_find_all_way_stops(r->city)) status = no_memory(r);
    for (size_t i = 0; status == NM_OK && i < sizeof drivable / sizeof *drivable; ++i)
        status = read_areas(r, drivable[i], NM_AREA_DRIVEWAY);
    if (status == NM_OK) status = read_areas(r, "crosswalks", NM_AREA_CROSSWALK);
    if (status == NM_OK && r->city->lanes.count == 0)
        status = NM_ERROR_AT(r->database.error, NM_E_FORMAT, r->database.name, 0, -1, "the map has no lane");
    return status;
}

nm_status nm_np_city_read(const nm_import_limits *limits, const char *name, const void *bytes, size_t size,
                          nm_np_city *city, nm_error *error) {
    reading r = {.limits = limits, .city = city};
    *city = (nm_np_city){0};
    nm_status status = nm_np_open(&r.database, name, "a nuPlan map", bytes, size, error);
    if (status == NM_OK) status = read_all(&r);
    nm_np_close(&r.database);
    nm_pile_free(&r.rings);
    nm_pile_free(&r.corners);
    nm_pile_free(&r.stack);
    nm_pile_free(&r.borders);
    nm_id_table_free(&r.lane_ids);
    nm_id_table_free(&r.border_ids);
    if (status != NM_OK) nm_np_city_release(city);
    return status;
}

void nm_np_city_release(nm_np_city *city) {
    nm_pile_free(&city->points);
    nm_pile_free(&city->lanes);
    nm_pile_free(&city->areas);
    nm_pile_free(&city->leaving);
    nm_pile_free(&city->arriving);
    nm_id_table_free(&city->connectors);
    *city = (nm_np_city){0};
}
