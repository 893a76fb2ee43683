/// The memory of a map, its reference count, and the one-time making of its derived part.
#include "sim/map_private.h"

#include "sim/geometry.h"

#define ALIGNMENT 64

/// Adds room for `count` elements; 0 when the sum overflows.
static int add_size(size_t *total, size_t size, size_t count) {
    if (count > (SIZE_MAX / 2 - ALIGNMENT - *total) / size) return 0;
    *total += (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return 1;
}

nm_map_object *nm_map_allocate(const nm_map *shape) {
    size_t total = 0;
    int fits = add_size(&total, sizeof(nm_map_object), 1);
#define SIZE(type, name, length) fits = fits && add_size(&total, sizeof(type), shape->length);
    NM_MAP_ARRAYS(SIZE)
#undef SIZE
    fits = fits && add_size(&total, sizeof(uint8_t), shape->lane_count);
    fits = fits && add_size(&total, sizeof(uint32_t), shape->lane_count);
    fits = fits && add_size(&total, sizeof(nm_bounds), shape->lane_count);
    nm_map_object *object = fits ? aligned_alloc(ALIGNMENT, total) : NULL;
    if (!object) return NULL;
    memset(object, 0, total);
    if (pthread_mutex_init(&object->mutex, NULL)) {
        free(object);
        return NULL;
    }
    nm_map *map = &object->map;
    *map = *shape;
    size_t at = (sizeof(nm_map_object) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
#define CUT(type, name, length)                                                                                        \
    map->name = (const type *)((char *)object + at);                                                                   \
    at += (shape->length * sizeof(type) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    NM_MAP_ARRAYS(CUT)
#undef CUT
    object->lane_bounds = (nm_bounds *)((char *)object + at);
    at += (shape->lane_count * sizeof(nm_bounds) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    object->source_junction = (uint32_t *)((char *)object + at);
    at += (shape->lane_count * sizeof(uint32_t) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    object->source_flags = (uint8_t *)object + at;
    map->bytes = total;
    atomic_init(&object->references, 1);
    atomic_init(&object->prepared, 0);
    return object;
}

const nm_map *nm_map_retain(const nm_map *map) {
    atomic_fetch_add_explicit(&nm_map_object_of(map)->references, 1, memory_order_relaxed);
    return map;
}

void nm_map_release(const nm_map *map) {
    if (!map) return;
    nm_map_object *object = nm_map_object_of(map);
    if (atomic_fetch_sub_explicit(&object->references, 1, memory_order_acq_rel) != 1) return;
    free(object->rail);
    free(object->conflicts);
    nm_map_free_grid(object->grid);
    pthread_mutex_destroy(&object->mutex);
    free(object);
}

static void include(nm_bounds *bounds, nm_vec2 p) {
    bounds->lo.x = nm_minf(bounds->lo.x, p.x);
    bounds->lo.y = nm_minf(bounds->lo.y, p.y);
    bounds->hi.x = nm_maxf(bounds->hi.x, p.x);
    bounds->hi.y = nm_maxf(bounds->hi.y, p.y);
}

uint32_t nm_map_measure(nm_map_object *object) {
    nm_map *map = &object->map;
    nm_bounds all = nm_bounds_of(NULL, 0);
    nm_lane *lanes = NM_MUTABLE(nm_lane, map->lanes);
    float *point_s = NM_MUTABLE(float, map->point_s);
    uint32_t bad = NM_NONE;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        nm_lane *lane = &lanes[i];
        nm_bounds bounds = nm_bounds_of(NULL, 0);
        double s = 0.0;
        for (uint32_t k = lane->points.first; k < lane->points.first + lane->points.count; k++) {
            if (k > lane->points.first) {
                double dx = (double)map->centre[k].x - map->centre[k - 1].x;
                double dy = (double)map->centre[k].y - map->centre[k - 1].y;
                s += sqrt(dx * dx + dy * dy);
            }
            point_s[k] = (float)s;
            include(&bounds, map->left[k]);
            include(&bounds, map->right[k]);
            include(&bounds, map->centre[k]);
        }
        lane->length = (float)s;
        if (!(lane->length > 0.0f) && bad == NM_NONE) bad = i;
        object->lane_bounds[i] = bounds;
        include(&all, bounds.lo);
        include(&all, bounds.hi);
    }
    for (uint32_t i = 0; i < map->line_point_count; i++) include(&all, map->line_points[i]);
    for (uint32_t i = 0; i < map->area_point_count; i++) include(&all, map->area_points[i]);
    int any = all.lo.x <= all.hi.x;
    map->bounds_min = any ? all.lo : (nm_vec2){0.0f, 0.0f};
    map->bounds_max = any ? all.hi : (nm_vec2){0.0f, 0.0f};
    return bad;
}

/// Accumulates the change of direction over at most 8 chords, so that a loop of 270 degrees is not taken for a right
/// turn and points millimetres apart do not matter.
nm_turn nm_map_classify_turn(const nm_vec2 *centre, uint32_t count) {
    uint32_t chords = count - 1 < 8 ? count - 1 : 8;
    float sum = 0.0f, last = 0.0f;
    int have = 0;
    nm_vec2 from = centre[0];
    for (uint32_t i = 1; i <= chords; i++) {
        nm_vec2 to = centre[(uint64_t)(count - 1) * i / chords];
        nm_vec2 d = nm_sub(to, from);
        if (nm_dot(d, d) < 0.01f * 0.01f && i < chords) continue;
        from = to;
        float heading = nm_atan2f(d.y, d.x);
        if (have) sum += nm_wrap_angle(heading - last);
        last = heading;
        have = 1;
    }
    float size = sum < 0.0f ? -sum : sum;
    if (size < 0.45f) return NM_TURN_STRAIGHT; // 26 degrees between the first and the last eighth
    if (size > 2.3f) return NM_TURN_U;
    return sum > 0.0f ? NM_TURN_LEFT : NM_TURN_RIGHT;
}

static int make_derived(nm_map_object *object) {
    if (!object->rail && !nm_map_make_rails(object)) return 0;
    if (!object->grid && !nm_map_make_grid(object)) return 0;
    if (!object->grid->raster && !nm_map_make_raster(object)) return 0;
    if (!object->conflicts && !nm_map_make_conflicts(object)) return 0;
    return nm_map_thin_rails(object);
}

nm_status nm_map_prepare(const nm_map *map, nm_error *error) {
    nm_map_object *object = nm_map_object_of(map);
    if (NM_LIKELY(atomic_load_explicit(&object->prepared, memory_order_acquire))) return NM_OK;
    pthread_mutex_lock(&object->mutex);
    int done = atomic_load_explicit(&object->prepared, memory_order_relaxed);
    if (!done && make_derived(object)) {
        done = 1;
        atomic_store_explicit(&object->prepared, 1, memory_order_release);
    }
    pthread_mutex_unlock(&object->mutex);
    return done ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for the derived part of a map");
}

int nm_map_ready(const nm_map *map) {
    nm_map_object *object = nm_map_object_of(map);
    return NM_LIKELY(atomic_load_explicit(&object->prepared, memory_order_acquire)) ||
           nm_map_prepare(map, NULL) == NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Names

int nm_lane_type_drivable(nm_lane_type type) {
    return (int)((NM_LANE_MASK_VEHICLE >> (unsigned)type) & 1u);
}

const char *nm_lane_type_name(nm_lane_type type) {
    static const char *const names[NM_LANE_TYPE_COUNT] = {"unknown",  "freeway", "street", "ramp",     "shoulder",
                                                          "driveway", "bus",     "bike",   "sidewalk", "crosswalk"};
    return (unsigned)type < NM_LANE_TYPE_COUNT ? names[type] : "invalid";
}

const char *nm_signal_state_name(nm_signal_state state) {
    static const char *const names[NM_SIGNAL_STATE_COUNT] = {
        "unknown", "arrow_stop", "arrow_caution", "arrow_go",         "stop",
        "caution", "go",         "flashing_stop", "flashing_caution", "off"};
    return (unsigned)state < NM_SIGNAL_STATE_COUNT ? names[state] : "invalid";
}
