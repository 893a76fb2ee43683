#include "dataset/womd_samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/womd_private.h"

#define SPACING 1.0   // m
#define SAME_END 0.01 // m: an end this close to the last sample adds none

static nm_womd_sample *push(nm_womd_samples *out) {
    if (out->count == out->room) {
        const size_t room = out->room ? 2 * out->room : 4096;
        nm_womd_sample *moved = realloc(out->items, room * sizeof *moved);
        if (!moved) return NULL;
        out->items = moved;
        out->room = room;
    }
    return &out->items[out->count++];
}

static int add(nm_womd_samples *out, const double p[3], int type, int64_t id) {
    nm_womd_sample *s = push(out);
    if (!s) return 0;
    *s = (nm_womd_sample){.xyz = {(float)p[0], (float)p[1], (float)p[2]}, .type = type, .id = id};
    return 1;
}

static double distance(const Womd__MapPoint *a, const Womd__MapPoint *b) {
    const double dx = b->x - a->x, dy = b->y - a->y, dz = b->z - a->z;
    return sqrt(dx * dx + dy * dy + dz * dz);
}

static int add_point(nm_womd_samples *out, const Womd__MapPoint *p, int type, int64_t id) {
    return add(out, (double[3]){p->x, p->y, p->z}, type, id);
}

static int add_between(nm_womd_samples *out, const Womd__MapPoint *a, const Womd__MapPoint *b, double t, int type,
                       int64_t id) {
    return add(out, (double[3]){a->x + t * (b->x - a->x), a->y + t * (b->y - a->y), a->z + t * (b->z - a->z)}, type,
               id);
}

/// Every `stride`-th point and the last one.
static int add_strided(nm_womd_samples *out, Womd__MapPoint *const *points, size_t count, size_t stride, int type,
                       int64_t id) {
    size_t last = 0;
    for (size_t i = 0; i < count; i += stride) {
        if (!add_point(out, points[i], type, id)) return 0;
        last = i;
    }
    if (last + 1 < count && distance(points[last], points[count - 1]) > SAME_END)
        return add_point(out, points[count - 1], type, id);
    return 1;
}

/// Every metre along the line, and its end.
static int add_resampled(nm_womd_samples *out, Womd__MapPoint *const *points, size_t count, int type, int64_t id) {
    double wanted = 0.0, along = 0.0;
    for (size_t i = 0; i + 1 < count; i++) {
        const double length = distance(points[i], points[i + 1]);
        for (; length > 0.0 && wanted <= along + length; wanted += SPACING) {
            if (!add_between(out, points[i], points[i + 1], (wanted - along) / length, type, id)) return 0;
        }
        along += length;
    }
    if (along - (wanted - SPACING) > SAME_END) return add_point(out, points[count - 1], type, id);
    return 1;
}

static int add_polyline(nm_womd_samples *out, Womd__MapPoint *const *points, size_t count, int type, int64_t id) {
    double length = 0.0;
    if (count == 0) return 1;
    for (size_t i = 0; i + 1 < count; i++) length += distance(points[i], points[i + 1]);
    const double mean = count > 1 ? length / (double)(count - 1) : SPACING;
    if (mean > 0.4 * SPACING && mean < 0.6 * SPACING) return add_strided(out, points, count, 2, type, id);
    if (mean > 0.85 * SPACING && mean < 1.15 * SPACING) return add_strided(out, points, count, 1, type, id);
    return add_resampled(out, points, count, type, id);
}

static int add_polygon(nm_womd_samples *out, Womd__MapPoint *const *points, size_t count, int type, int64_t id) {
    if (count == 0) return 1;
    for (size_t i = 0; i < count; i++) {
        const Womd__MapPoint *a = points[i], *b = points[(i + 1) % count];
        const double parts = fmax(floor(distance(a, b) / SPACING), 1.0);
        for (double k = 0.0; k < parts; k++) {
            if (!add_between(out, a, b, k / parts, type, id)) return 0;
        }
    }
    return add_point(out, points[0], type, id);
}

static int add_feature(nm_womd_samples *out, const Womd__MapFeature *f) {
    switch (f->feature_data_case) {
    case WOMD__MAP_FEATURE__FEATURE_DATA_LANE:
        return add_polyline(out, f->lane->polyline, f->lane->n_polyline, NM_WOMD_CODE_LANE + (int)f->lane->type, f->id);
    case WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_LINE:
        return add_polyline(out, f->road_line->polyline, f->road_line->n_polyline,
                            NM_WOMD_CODE_LINE + (int)f->road_line->type, f->id);
    case WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_EDGE:
        return add_polyline(out, f->road_edge->polyline, f->road_edge->n_polyline,
                            NM_WOMD_CODE_EDGE + (int)f->road_edge->type, f->id);
    case WOMD__MAP_FEATURE__FEATURE_DATA_STOP_SIGN:
        return !f->stop_sign->position || add_point(out, f->stop_sign->position, NM_WOMD_CODE_STOP, f->id);
    case WOMD__MAP_FEATURE__FEATURE_DATA_CROSSWALK:
        return add_polygon(out, f->crosswalk->polygon, f->crosswalk->n_polygon, NM_WOMD_CODE_CROSSWALK, f->id);
    case WOMD__MAP_FEATURE__FEATURE_DATA_SPEED_BUMP:
        return add_polygon(out, f->speed_bump->polygon, f->speed_bump->n_polygon, NM_WOMD_CODE_BUMP, f->id);
    case WOMD__MAP_FEATURE__FEATURE_DATA_DRIVEWAY:
        return add_polygon(out, f->driveway->polygon, f->driveway->n_polygon, NM_WOMD_CODE_DRIVEWAY, f->id);
    default:
        return 1;
    }
}

/// Directions of the samples of one feature.
static void direct(nm_womd_sample *samples, size_t count) {
    for (size_t i = 0; i + 1 < count; i++) {
        double d[3], square = 0.0;
        for (int k = 0; k < 3; k++) {
            d[k] = (double)samples[i + 1].xyz[k] - (double)samples[i].xyz[k];
            square += d[k] * d[k];
        }
        for (int k = 0; k < 3 && square > 0.0; k++) samples[i].dir[k] = (float)(d[k] / sqrt(square));
    }
}

static void *take(void *data, size_t size) {
    return nm_arena_alloc(data, size, 1, 16);
}
static void give(void *data, void *memory) {
    (void)data, (void)memory;
}

int nm_womd_sample_features(const nm_byte_buffer *features, nm_arena *arena, nm_womd_samples *out) {
    static const Womd__MapFeature__FeatureDataCase order[] = {
        WOMD__MAP_FEATURE__FEATURE_DATA_LANE,       WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_LINE,
        WOMD__MAP_FEATURE__FEATURE_DATA_STOP_SIGN,  WOMD__MAP_FEATURE__FEATURE_DATA_CROSSWALK,
        WOMD__MAP_FEATURE__FEATURE_DATA_SPEED_BUMP, WOMD__MAP_FEATURE__FEATURE_DATA_ROAD_EDGE,
        WOMD__MAP_FEATURE__FEATURE_DATA_DRIVEWAY};
    ProtobufCAllocator allocator = {.alloc = take, .free = give, .allocator_data = arena};
    const nm_arena_mark mark = nm_arena_get_mark(arena);
    out->count = 0;
    // the features are those of a Scenario, and of nothing else one is
    Womd__Scenario *scenario = womd__scenario__unpack(&allocator, features->size, features->bytes);
    int good = scenario != NULL;
    for (size_t k = 0; good && k < sizeof order / sizeof *order; k++) {
        for (size_t i = 0; good && i < scenario->n_map_features; i++) {
            const size_t first = out->count;
            if (scenario->map_features[i]->feature_data_case != order[k]) continue;
            good = add_feature(out, scenario->map_features[i]);
            if (good && out->count > first) direct(out->items + first, out->count - first);
        }
    }
    nm_arena_release(arena, mark);
    return good;
}

void nm_womd_samples_free(nm_womd_samples *samples) {
    free(samples->items);
    *samples = (nm_womd_samples){0};
}
