/// Map points of a tf.Example as features.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/womd_example.h"
#include "dataset/womd_samples.h"

#define GAP 3.0f           // m: lines whose samples lie further apart were cut there
#define SAME_PLACE 0.1     // m: floats of coordinates of several kilometres
#define COS_FOLLOWS 0.5    // 60 degrees
#define MAX_LINKS 32u      // of one lane
#define MAX_WORK 50000000u // pairs of lanes looked at
#define SET(message, field, value) ((message)->has_##field = 1, (message)->field = (value))

typedef struct gatherer {
    nm_womd_record *record;
    const nm_womd_points *from;
    Womd__Scenario *out;
} gatherer;

static void *take(const gatherer *g, size_t count, size_t size) {
    return nm_arena_calloc(g->record->arena, count, size, 16);
}

static int is_polygon(int64_t type) {
    return type >= NM_WOMD_CODE_CROSSWALK && type <= NM_WOMD_CODE_DRIVEWAY;
}

static int is_end(const gatherer *g, size_t i) {
    const float *d = g->from->dir ? &g->from->dir[3 * i] : NULL;
    return d && d[0] == 0.0f && d[1] == 0.0f && d[2] == 0.0f;
}

/// 1 when sample i + 1 goes on with the feature of sample i.
static int goes_on(const gatherer *g, size_t i) {
    const nm_womd_points *from = g->from;
    if (from->id[i + 1] != from->id[i] || from->type[i + 1] != from->type[i] || from->valid[i + 1] != 1) return 0;
    if (is_end(g, i)) return 0;
    if (is_polygon(from->type[i])) return 1;
    const float *a = &from->xyz[3 * i], *b = a + 3;
    return hypotf(b[0] - a[0], b[1] - a[1]) <= GAP;
}

static Womd__MapPoint **points_of(const gatherer *g, size_t first, size_t count) {
    Womd__MapPoint **list = take(g, count, sizeof *list), *points = take(g, count, sizeof *points);
    if (!list || !points) return NULL;
    for (size_t i = 0; i < count; i++) {
        const float *p = &g->from->xyz[3 * (first + i)];
        womd__map_point__init(&points[i]);
        SET(&points[i], x, (double)p[0]);
        SET(&points[i], y, (double)p[1]);
        SET(&points[i], z, (double)p[2]);
        list[i] = &points[i];
    }
    return list;
}

static int same_corner(const Womd__MapPoint *a, const Womd__MapPoint *b) {
    return fabs(a->x - b->x) <= 1e-2 && fabs(a->y - b->y) <= 1e-2;
}

#define MAKE(g, type, prefix)                                                                                          \
    type *made = take(g, 1, sizeof *made);                                                                             \
    if (!made) return 0;                                                                                               \
    prefix##__init(made)

static int make_lane(const gatherer *g, Womd__MapFeature *f, int64_t type, Womd__MapPoint **points, size_t count) {
    MAKE(g, Womd__LaneCenter, womd__lane_center);
    SET(made, type, (Womd__LaneCenter__LaneType)(type - NM_WOMD_CODE_LANE));
    made->polyline = points;
    made->n_polyline = count;
    f->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_LANE;
    f->lane = made;
    return 1;
}

static int make_line(const gatherer *g, Womd__MapFeature *f, int64_t type, Womd__MapPoint **points, size_t count) {
    MAKE(g, Womd__RoadLine, womd__road_line);
    SET(made, type, (Womd__RoadLine__RoadLineType)(type - NM_WOMD_CODE_LINE));
    made->polyline = points;
    made->n_polyline = count;
    f->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_LINE;
    f->road_line = made;
    return 1;
}

static int make_edge(const gatherer *g, Womd__MapFeature *f, int64_t type, Womd__MapPoint **points, size_t count) {
    MAKE(g, Womd__RoadEdge, womd__road_edge);
    SET(made, type, (Womd__RoadEdge__RoadEdgeType)(type - NM_WOMD_CODE_EDGE));
    made->polyline = points;
    made->n_polyline = count;
    f->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_EDGE;
    f->road_edge = made;
    return 1;
}

static int make_stop(const gatherer *g, Womd__MapFeature *f, Womd__MapPoint **points) {
    MAKE(g, Womd__StopSign, womd__stop_sign);
    made->position = points[0];
    f->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_STOP_SIGN;
    f->stop_sign = made;
    return 1;
}

static int make_area(const gatherer *g, Womd__MapFeature *f, int64_t type, Womd__MapPoint **points, size_t count) {
    if (count > 1 && same_corner(points[0], points[count - 1])) count--; // the first corner comes again
    if (type == NM_WOMD_CODE_CROSSWALK) {
        MAKE(g, Womd__Crosswalk, womd__crosswalk);
        made->polygon = points;
        made->n_polygon = count;
        f->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_CROSSWALK;
        f->crosswalk = made;
    } else if (type == NM_WOMD_CODE_BUMP) {
        MAKE(g, Womd__SpeedBump, womd__speed_bump);
        made->polygon = points;
        made->n_polygon = count;
        f->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_SPEED_BUMP;
        f->speed_bump = made;
    } else {
        MAKE(g, Womd__Driveway, womd__driveway);
        made->polygon = points;
        made->n_polygon = count;
        f->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA_DRIVEWAY;
        f->driveway = made;
    }
    return 1;
}

/// A feature of samples [first, first + count). 0 when memory is out; one of an unknown kind stays empty and is counted
/// where the map is built.
static int make_feature(const gatherer *g, size_t first, size_t count, Womd__MapFeature *f) {
    const int64_t type = g->from->type[first];
    womd__map_feature__init(f);
    SET(f, id, g->from->id[first]);
    Womd__MapPoint **points = points_of(g, first, count);
    if (!points) return 0;
    if (type < NM_WOMD_CODE_LANE || type >= NM_WOMD_CODE_COUNT || type == 4) return 1;
    if (type < 4) return make_lane(g, f, type, points, count);
    if (type < NM_WOMD_CODE_EDGE) return make_line(g, f, type, points, count);
    if (type < NM_WOMD_CODE_STOP) return make_edge(g, f, type, points, count);
    return type == NM_WOMD_CODE_STOP ? make_stop(g, f, points) : make_area(g, f, type, points, count);
}

static nm_status gather(const gatherer *g, nm_error *error) {
    const nm_womd_points *from = g->from;
    size_t features = 0;
    for (size_t i = 0; i < from->count; i++)
        features += from->valid[i] == 1 && (i + 1 == from->count || !goes_on(g, i));
    g->out->map_features = take(g, features, sizeof *g->out->map_features);
    Womd__MapFeature *made = take(g, features, sizeof *made);
    if (!g->out->map_features || !made) return nm_womd_no_memory(g->record, error);
    for (size_t i = 0, first = 0; i < from->count; i++) {
        if (from->valid[i] != 1) {
            first = i + 1;
            continue;
        }
        if (i + 1 < from->count && goes_on(g, i)) continue;
        Womd__MapFeature *f = &made[g->out->n_map_features];
        if (!make_feature(g, first, i + 1 - first, f)) return nm_womd_no_memory(g->record, error);
        g->out->map_features[g->out->n_map_features++] = f;
        first = i + 1;
    }
    return NM_OK;
}

// --- ids -------------------------------------------------------------------------------------------------------------

typedef struct named {
    int64_t id;
    size_t index;
} named;

static int by_id(const void *a, const void *b) {
    const named *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/// A line that was cut has several pieces: the first keeps the id, the others get free ones.
static nm_status name_pieces(const gatherer *g, nm_error *error) {
    const size_t count = g->out->n_map_features;
    named *list = take(g, count, sizeof *list);
    if (!list) return nm_womd_no_memory(g->record, error);
    for (size_t i = 0; i < count; i++) list[i] = (named){g->out->map_features[i]->id, i};
    qsort(list, count, sizeof *list, by_id);
    int64_t next = count && list[count - 1].id >= 0 && list[count - 1].id < INT64_MAX / 2 ? list[count - 1].id + 1 : 0;
    for (size_t i = 1; i < count; i++) {
        if (list[i].id != list[i - 1].id) continue;
        if (next == 0)
            return nm_womd_refuse(g->record, error, NM_E_FORMAT, NM_WOMD_RECORD, 0,
                                  "tf.Example: roadgraph_samples/id: no id is left for the pieces of feature %lld",
                                  (long long)list[i].id);
        g->out->map_features[list[i].index]->id = next++;
    }
    return NM_OK;
}

// --- the lane graph --------------------------------------------------------------------------------------------------

typedef struct lane_start {
    double x;
    Womd__MapFeature *feature;
} lane_start;

static int by_x(const void *a, const void *b) {
    const lane_start *p = a, *q = b;
    if (p->x != q->x) return p->x < q->x ? -1 : 1;
    return p->feature < q->feature ? -1 : p->feature > q->feature; // in the order of the record: they lie in one array
}

/// 1 when b begins where a ends and goes on about as a does.
static int follows(const Womd__LaneCenter *a, const Womd__LaneCenter *b) {
    const Womd__MapPoint *end = a->polyline[a->n_polyline - 1], *start = b->polyline[0];
    const double dx = end->x - start->x, dy = end->y - start->y, dz = end->z - start->z;
    if (!(dx * dx + dy * dy + dz * dz <= SAME_PLACE * SAME_PLACE)) return 0;
    const Womd__MapPoint *before = a->polyline[a->n_polyline - 2], *behind = b->polyline[1];
    const double ax = end->x - before->x, ay = end->y - before->y, bx = behind->x - start->x, by = behind->y - start->y;
    return ax * bx + ay * by >= COS_FOLLOWS * sqrt((ax * ax + ay * ay) * (bx * bx + by * by));
}

static nm_status link_one(const gatherer *g, Womd__MapFeature *from, const lane_start *starts, size_t count,
                          uint64_t *work, nm_error *error) {
    Womd__LaneCenter *a = from->lane;
    const double x = a->polyline[a->n_polyline - 1]->x;
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (starts[middle].x < x - SAME_PLACE)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count && starts[low].x <= x + SAME_PLACE && a->n_exit_lanes < MAX_LINKS; low++) {
        if (++*work > MAX_WORK)
            return nm_womd_refuse(g->record, error, NM_E_LIMIT, NM_WOMD_RECORD, 0,
                                  "tf.Example: too many lanes begin in one place");
        if (starts[low].feature == from || !follows(a, starts[low].feature->lane)) continue;
        Womd__LaneCenter *b = starts[low].feature->lane;
        if (b->n_entry_lanes == MAX_LINKS) continue;
        if (!a->exit_lanes) a->exit_lanes = take(g, MAX_LINKS, sizeof *a->exit_lanes);
        if (!b->entry_lanes) b->entry_lanes = take(g, MAX_LINKS, sizeof *b->entry_lanes);
        if (!a->exit_lanes || !b->entry_lanes) return nm_womd_no_memory(g->record, error);
        a->exit_lanes[a->n_exit_lanes++] = starts[low].feature->id;
        b->entry_lanes[b->n_entry_lanes++] = from->id;
    }
    return NM_OK;
}

static int has_length(const Womd__MapFeature *f) {
    return f->feature_data_case == WOMD__MAP_FEATURE__FEATURE_DATA_LANE && f->lane->n_polyline > 1;
}

static nm_status link_lanes(const gatherer *g, nm_error *error) {
    const Womd__Scenario *out = g->out;
    lane_start *starts = take(g, out->n_map_features, sizeof *starts);
    size_t count = 0;
    uint64_t work = 0;
    nm_status status = NM_OK;
    if (!starts) return nm_womd_no_memory(g->record, error);
    for (size_t i = 0; i < out->n_map_features; i++) {
        if (has_length(out->map_features[i]))
            starts[count++] = (lane_start){out->map_features[i]->lane->polyline[0]->x, out->map_features[i]};
    }
    qsort(starts, count, sizeof *starts, by_x);
    for (size_t i = 0; i < out->n_map_features && status == NM_OK; i++) {
        if (has_length(out->map_features[i])) status = link_one(g, out->map_features[i], starts, count, &work, error);
    }
    return status;
}

nm_status nm_womd_points_to_features(nm_womd_record *record, const nm_womd_points *points, Womd__Scenario *out,
                                     nm_error *error) {
    const gatherer g = {record, points, out};
    nm_status status = gather(&g, error);
    if (status == NM_OK) status = name_pieces(&g, error);
    return status == NM_OK ? link_lanes(&g, error) : status;
}
