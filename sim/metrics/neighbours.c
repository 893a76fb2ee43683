/// Hashed grid over (window, cell): one table for all windows, cells of the size of the range, filled by counting.
/// Buckets may mix cells; the extents are compared anyway. Courses that jump across the map would fill it, so they are
/// kept in a list of their own and compared with everybody.
#include "sim/metrics/neighbours.h"

#include <stdlib.h>

#include "base/rng.h"

#define MOST_CELLS 64         // of one course in one window, before it counts as wide
#define MOST_QUERY_CELLS 1024 // looked up, before looking at everybody is cheaper

struct nm_neighbours {
    const nm_course *courses;
    uint32_t count, first_step;
    double range, cell;
    nm_extent *extents; ///< of all windows of all courses
    size_t *offsets;    ///< [count + 1] into extents
    uint32_t bucket_mask;
    size_t *buckets;   ///< [bucket_mask + 2] into entries
    uint32_t *entries; ///< courses
    uint32_t *wide;    ///< courses that are in no bucket
    uint32_t wide_count;
    uint32_t *stamps; ///< course + 1 that has seen this one
};

typedef struct cells {
    int64_t low_x, high_x, low_y, high_y;
} cells;

static int empty(const nm_extent *extent) {
    return !(extent->low_x <= extent->high_x);
}

static int64_t cell_of(double coordinate, double size) {
    double cell = floor(coordinate / size);
    return (int64_t)(cell < -1e9 ? -1e9 : cell > 1e9 ? 1e9 : cell);
}

static cells cells_of(const nm_neighbours *find, const nm_extent *extent, double reach) {
    return (cells){cell_of(extent->low_x - reach, find->cell), cell_of(extent->high_x + reach, find->cell),
                   cell_of(extent->low_y - reach, find->cell), cell_of(extent->high_y + reach, find->cell)};
}

static double cell_count(const cells *area) {
    return (double)(area->high_x - area->low_x + 1) * (double)(area->high_y - area->low_y + 1);
}

static uint32_t bucket_of(const nm_neighbours *find, uint32_t window, int64_t x, int64_t y) {
    uint64_t key = nm_hash64((uint64_t)x * 0x9e3779b97f4a7c15u + (uint64_t)y * 0xc2b2ae3d27d4eb4fu + window);
    return (uint32_t)key & find->bucket_mask;
}

void nm_neighbours_windows(const nm_neighbours *find, uint32_t course, uint32_t *first, uint32_t *end) {
    const nm_course *of = &find->courses[course];
    *first = *end = 0;
    if (!of->count) return;
    *first = (of->first - find->first_step) / NM_SCREEN_STEPS;
    *end = (of->first - find->first_step + of->count - 1) / NM_SCREEN_STEPS + 1;
}

static const nm_extent *extent_of(const nm_neighbours *find, uint32_t course, uint32_t window) {
    uint32_t first, end;
    nm_neighbours_windows(find, course, &first, &end);
    return window >= first && window < end ? &find->extents[find->offsets[course] + (window - first)] : NULL;
}

int nm_neighbours_near(const nm_neighbours *find, uint32_t a, uint32_t b, uint32_t window) {
    const nm_extent *one = extent_of(find, a, window), *other = extent_of(find, b, window);
    if (!one || !other || empty(one) || empty(other)) return 0;
    double dx = nm_larger((double)one->low_x - other->high_x, (double)other->low_x - one->high_x);
    double dy = nm_larger((double)one->low_y - other->high_y, (double)other->low_y - one->high_y);
    dx = nm_positive(dx), dy = nm_positive(dy);
    return dx * dx + dy * dy <= find->range * find->range * (1.0 + 1e-5); // the range is tested in float later
}

static void measure(const nm_course *course, uint32_t first_step, nm_extent *extents, uint32_t count) {
    for (uint32_t w = 0; w < count; w++) extents[w] = (nm_extent){INFINITY, -INFINITY, INFINITY, -INFINITY};
    uint32_t shift = (course->first - first_step) % NM_SCREEN_STEPS;
    for (uint32_t i = 0; i < course->count; i++) {
        if (!nm_course_valid(course, i)) continue;
        nm_extent *extent = &extents[(shift + i) / NM_SCREEN_STEPS];
        float x = course->x[i], y = course->y[i];
        extent->low_x = x < extent->low_x ? x : extent->low_x, extent->high_x = x > extent->high_x ? x : extent->high_x;
        extent->low_y = y < extent->low_y ? y : extent->low_y, extent->high_y = y > extent->high_y ? y : extent->high_y;
    }
}

/// Calls for every (window, cell) of the course: counts (entries NULL) or fills in.
static void enter(nm_neighbours *find, uint32_t course, uint32_t *entries) {
    uint32_t first, end;
    nm_neighbours_windows(find, course, &first, &end);
    for (uint32_t w = first; w < end; w++) {
        const nm_extent *extent = &find->extents[find->offsets[course] + (w - first)];
        if (empty(extent)) continue;
        cells area = cells_of(find, extent, 0.0);
        for (int64_t y = area.low_y; y <= area.high_y; y++)
            for (int64_t x = area.low_x; x <= area.high_x; x++) {
                size_t *bucket = &find->buckets[bucket_of(find, w, x, y)];
                if (entries)
                    entries[--*bucket] = course;
                else
                    ++*bucket;
            }
    }
}

/// Cells the course is in, over all windows; 0 = too many in one.
static size_t entries_needed(const nm_neighbours *find, uint32_t course) {
    size_t sum = 0;
    for (size_t e = find->offsets[course]; e < find->offsets[course + 1]; e++) {
        if (empty(&find->extents[e])) continue;
        cells area = cells_of(find, &find->extents[e], 0.0);
        double count = cell_count(&area);
        if (count > MOST_CELLS) return 0;
        sum += (size_t)count;
    }
    return sum;
}

static nm_status fill_grid(nm_neighbours *find, nm_arena *arena, nm_error *error) {
    size_t total = 0;
    for (uint32_t i = 0; i < find->count; i++) {
        size_t needed = entries_needed(find, i);
        if (!needed && find->courses[i].count) find->wide[find->wide_count++] = i;
        total += needed;
    }
    uint32_t size = 64;
    while (size < total && size < (1u << 30)) size *= 2;
    find->bucket_mask = size - 1;
    find->buckets = nm_arena_calloc(arena, (size_t)size + 1, sizeof(size_t), 64);
    find->entries = NM_ARENA_ARRAY(arena, uint32_t, total);
    if (!find->buckets || !find->entries) return NM_ERROR(error, NM_E_MEMORY, "no memory for a grid of %zu", total);
    uint32_t skip = 0;
    for (uint32_t i = 0; i < find->count; i++) {
        if (skip < find->wide_count && find->wide[skip] == i)
            skip++;
        else
            enter(find, i, NULL);
    }
    for (uint32_t b = 0; b < size; b++) find->buckets[b + 1] += find->buckets[b];
    skip = 0;
    for (uint32_t i = 0; i < find->count; i++) {
        if (skip < find->wide_count && find->wide[skip] == i)
            skip++;
        else
            enter(find, i, find->entries);
    }
    return NM_OK;
}

nm_status nm_neighbours_make(const nm_course *courses, uint32_t count, uint32_t first_step, float range,
                             nm_arena *arena, nm_neighbours **neighbours, nm_error *error) {
    nm_neighbours *find = nm_arena_calloc(arena, 1, sizeof *find, 64);
    size_t *offsets = NM_ARENA_ARRAY(arena, size_t, (size_t)count + 1);
    uint32_t *wide = NM_ARENA_ARRAY(arena, uint32_t, count);
    uint32_t *stamps = nm_arena_calloc(arena, count, sizeof *stamps, 64);
    if (!find || !offsets || !wide || !stamps) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u tracks", count);
    *find = (nm_neighbours){
        .courses = courses,
        .count = count,
        .first_step = first_step,
        .range = range,
        .cell = nm_larger(range, 1.0),
        .offsets = offsets,
        .wide = wide,
        .stamps = stamps,
    };
    size_t windows = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t first, end;
        nm_neighbours_windows(find, i, &first, &end);
        offsets[i] = windows, windows += end - first;
    }
    offsets[count] = windows;
    find->extents = NM_ARENA_ARRAY(arena, nm_extent, windows);
    if (!find->extents) return NM_ERROR(error, NM_E_MEMORY, "no memory for the extents of %u tracks", count);
    for (uint32_t i = 0; i < count; i++)
        measure(&courses[i], first_step, find->extents + offsets[i], (uint32_t)(offsets[i + 1] - offsets[i]));
    *neighbours = find;
    return fill_grid(find, arena, error);
}

static void consider(nm_neighbours *find, uint32_t course, uint32_t other, uint32_t window, uint32_t *found,
                     uint32_t *count) {
    if (other <= course || find->stamps[other] == course + 1 || !nm_neighbours_near(find, course, other, window))
        return;
    find->stamps[other] = course + 1;
    found[(*count)++] = other;
}

static int ascending(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

uint32_t nm_neighbours_above(nm_neighbours *find, uint32_t course, uint32_t *found) {
    uint32_t first, end, count = 0;
    nm_neighbours_windows(find, course, &first, &end);
    for (uint32_t w = first; w < end; w++) {
        const nm_extent *extent = &find->extents[find->offsets[course] + (w - first)];
        if (empty(extent)) continue;
        for (uint32_t i = 0; i < find->wide_count; i++) consider(find, course, find->wide[i], w, found, &count);
        cells area = cells_of(find, extent, find->range);
        if (cell_count(&area) > MOST_QUERY_CELLS) {
            for (uint32_t i = course + 1; i < find->count; i++) consider(find, course, i, w, found, &count);
            continue;
        }
        for (int64_t y = area.low_y; y <= area.high_y; y++)
            for (int64_t x = area.low_x; x <= area.high_x; x++) {
                uint32_t bucket = bucket_of(find, w, x, y);
                for (size_t e = find->buckets[bucket]; e < find->buckets[bucket + 1]; e++)
                    consider(find, course, find->entries[e], w, found, &count);
            }
    }
    qsort(found, count, sizeof *found, ascending);
    return count;
}
