/// Memory of the document, the table of ids, and shapes.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/commonroad.h"
#include "sim/math.h"

#define MAX_ITEMS 0x7fffffffu

void *nm_cr_grow(void *at, uint32_t *capacity, size_t item_size) {
    if (*capacity >= MAX_ITEMS) return at;
    uint64_t wanted = *capacity < 64 ? 64 : (uint64_t)*capacity + *capacity / 2;
    if (wanted > MAX_ITEMS) wanted = MAX_ITEMS;
    if (wanted > SIZE_MAX / item_size) return at;
    void *grown = realloc(at, (size_t)wanted * item_size);
    if (!grown) return at;
    *capacity = (uint32_t)wanted;
    return grown;
}

/// Every array of the document, once: `visit` is a macro of the field's name.
#define EACH_ARRAY(visit)                                                                                              \
    visit(points) visit(refs) visit(lanelets) visit(signs) visit(sign_elements) visit(lights) visit(phases)            \
        visit(intersections) visit(incomings) visit(obstacles) visit(states) visit(shapes) visit(problems)             \
            visit(goals) visit(tags)

void nm_cr_document_reset(nm_cr_document *document) {
    document->benchmark_id[0] = 0;
    document->dt = 0.0;
    document->version = 0;
#define EMPTY(field) document->field.count = 0;
    EACH_ARRAY(EMPTY)
#undef EMPTY
}

void nm_cr_document_release(nm_cr_document *document) {
#define RELEASE(field) free(document->field.at);
    EACH_ARRAY(RELEASE)
#undef RELEASE
    memset(document, 0, sizeof *document);
}

void nm_cr_build_release(nm_cr_build *build) {
    free(build->ids.at);
    free(build->facts.at);
    free(build->lists.at);
    free(build->members.at);
    free(build->neighbours.at);
    memset(build, 0, sizeof *build);
}

// --- ids -------------------------------------------------------------------------------------------------------------

static const char *const kind_names[] = {"lanelet",  "traffic sign", "traffic light",   "intersection",
                                         "incoming", "obstacle",     "planning problem"};

static int compare_ids(const void *left, const void *right) {
    const nm_cr_id *a = left, *b = right;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return a->line < b->line ? -1 : a->line > b->line;
}

static int add_id(nm_cr_build *build, nm_cr_kind kind, uint32_t index, int64_t id, int32_t line) {
    if (!NM_CR_APPEND(build->ids)) return 0;
    *NM_CR_LAST(build->ids) = (nm_cr_id){.id = id, .index = index, .line = line, .kind = (uint8_t)kind};
    return 1;
}

static int gather_ids(nm_cr_build *build) {
    const nm_cr_document *d = build->document;
    int ok = 1;
    build->ids.count = 0;
#define GATHER(array, kind)                                                                                            \
    for (uint32_t i = 0; ok && i < d->array.count; ++i)                                                                \
        ok = add_id(build, kind, i, d->array.at[i].id, d->array.at[i].line);
    GATHER(lanelets, NM_CR_KIND_LANELET)
    GATHER(signs, NM_CR_KIND_SIGN)
    GATHER(lights, NM_CR_KIND_LIGHT)
    GATHER(intersections, NM_CR_KIND_INTERSECTION)
    GATHER(obstacles, NM_CR_KIND_OBSTACLE)
    GATHER(problems, NM_CR_KIND_PROBLEM)
#undef GATHER
    for (uint32_t i = 0; ok && i < d->incomings.count; ++i) {
        const nm_cr_incoming *incoming = &d->incomings.at[i];
        if (incoming->id >= 0) ok = add_id(build, NM_CR_KIND_INCOMING, i, incoming->id, incoming->line);
    }
    return ok;
}

const nm_cr_id *nm_cr_find(const nm_cr_build *build, nm_cr_kind kind, int64_t id) {
    uint32_t low = 0, high = build->ids.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (build->ids.at[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == build->ids.count) return NULL;
    const nm_cr_id *found = &build->ids.at[low];
    return found->id == id && found->kind == kind ? found : NULL;
}

static nm_status check_ref(nm_cr_build *build, nm_cr_kind kind, int64_t id, int32_t line) {
    if (nm_cr_find(build, kind, id)) return NM_OK;
    return NM_ERROR_AT(build->error, NM_E_FORMAT, build->name, line, -1, "there is no %s %lld", kind_names[kind],
                       (long long)id);
}

static nm_cr_kind kind_of_ref(nm_cr_ref_kind kind) {
    if (kind == NM_CR_SIGN) return NM_CR_KIND_SIGN;
    return kind == NM_CR_LIGHT ? NM_CR_KIND_LIGHT : NM_CR_KIND_LANELET;
}

nm_status nm_cr_resolve(nm_cr_build *build) {
    const nm_cr_document *d = build->document;
    if (!gather_ids(build)) return NM_ERROR(build->error, NM_E_MEMORY, "no memory for the table of ids");
    // sorted and searched, not hashed: no choice of ids makes it slow
    if (build->ids.count > 1) qsort(build->ids.at, build->ids.count, sizeof *build->ids.at, compare_ids);
    for (uint32_t i = 1; i < build->ids.count; ++i) {
        const nm_cr_id *a = &build->ids.at[i - 1], *b = &build->ids.at[i];
        if (a->id == b->id)
            return NM_ERROR_AT(build->error, NM_E_FORMAT, build->name, b->line, -1,
                               "%s has the id %lld, which the %s of line %d has already", kind_names[b->kind],
                               (long long)b->id, kind_names[a->kind], a->line);
    }
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < d->refs.count; ++i)
        status = check_ref(build, kind_of_ref(d->refs.at[i].kind), d->refs.at[i].id, d->refs.at[i].line);
    for (uint32_t i = 0; status == NM_OK && i < d->shapes.count; ++i) {
        const nm_cr_shape *shape = &d->shapes.at[i];
        if (shape->kind == NM_CR_LANELET) status = check_ref(build, NM_CR_KIND_LANELET, shape->lanelet, shape->line);
    }
    for (uint32_t i = 0; status == NM_OK && i < d->states.count; ++i) {
        const nm_cr_state *state = &d->states.at[i];
        if (state->flags & NM_CR_AT_LANELET) status = check_ref(build, NM_CR_KIND_LANELET, state->lanelet, state->line);
    }
    return status;
}

// --- shapes ----------------------------------------------------------------------------------------------------------

typedef struct extent {
    double low_x, low_y, high_x, high_y;
} extent;

static void include(extent *e, double x, double y) {
    e->low_x = fmin(e->low_x, x);
    e->low_y = fmin(e->low_y, y);
    e->high_x = fmax(e->high_x, x);
    e->high_y = fmax(e->high_y, y);
}

static void direction(double angle, double *cosine, double *sine) {
    float s, c;
    nm_sincosf((float)nm_wrap_angle_d(angle), &s, &c);
    *cosine = c;
    *sine = s;
}

static void include_shape(extent *e, const nm_cr_document *document, const nm_cr_shape *shape) {
    if (shape->kind == NM_CR_POLYGON) {
        for (uint32_t i = 0; i < shape->points.count; ++i) {
            const nm_point3 *point = &document->points.at[shape->points.first + i];
            include(e, point->x, point->y);
        }
        return;
    }
    double c = 1.0, s = 0.0;
    if (shape->kind == NM_CR_RECTANGLE && shape->orientation != 0.0) direction(shape->orientation, &c, &s);
    double half_x = 0.5 * (fabs(c) * shape->length + fabs(s) * shape->width);
    double half_y = 0.5 * (fabs(s) * shape->length + fabs(c) * shape->width);
    include(e, shape->x - half_x, shape->y - half_y);
    include(e, shape->x + half_x, shape->y + half_y);
}

nm_cr_box nm_cr_shape_box(const nm_cr_document *document, nm_range shapes) {
    const nm_cr_shape *first = &document->shapes.at[shapes.first];
    if (shapes.count == 1 && first->kind == NM_CR_RECTANGLE)
        return (nm_cr_box){first->x, first->y, first->length, first->width, first->orientation};
    extent e = {INFINITY, INFINITY, -INFINITY, -INFINITY};
    for (uint32_t i = 0; i < shapes.count; ++i) include_shape(&e, document, &first[i]);
    return (nm_cr_box){0.5 * (e.low_x + e.high_x), 0.5 * (e.low_y + e.high_y), e.high_x - e.low_x, e.high_y - e.low_y,
                       0.0};
}

nm_cr_box nm_cr_polygon_box(const nm_cr_document *document, nm_range polygon) {
    const nm_point3 *points = &document->points.at[polygon.first];
    double longest = 0.0, c = 1.0, s = 0.0;
    for (uint32_t i = 0; i < polygon.count; ++i) {
        const nm_point3 *a = &points[i], *b = &points[i + 1 < polygon.count ? i + 1 : 0];
        double dx = b->x - a->x, dy = b->y - a->y, squared = dx * dx + dy * dy;
        if (squared <= longest) continue;
        longest = squared;
        c = dx / sqrt(squared);
        s = dy / sqrt(squared);
    }
    extent e = {INFINITY, INFINITY, -INFINITY, -INFINITY}; // in the frame of that edge, from the first point
    for (uint32_t i = 0; i < polygon.count; ++i) {
        double dx = points[i].x - points[0].x, dy = points[i].y - points[0].y;
        include(&e, c * dx + s * dy, c * dy - s * dx);
    }
    double along = 0.5 * (e.low_x + e.high_x), across = 0.5 * (e.low_y + e.high_y);
    return (nm_cr_box){points[0].x + c * along - s * across, points[0].y + s * along + c * across, e.high_x - e.low_x,
                       e.high_y - e.low_y, (double)nm_atan2f((float)s, (float)c)};
}

size_t nm_cr_outline(const nm_cr_shape *shape, nm_point3 corners[NM_CR_OUTLINE]) {
    if (shape->kind == NM_CR_RECTANGLE) {
        static const double along[4] = {0.5, -0.5, -0.5, 0.5}, across[4] = {0.5, 0.5, -0.5, -0.5};
        double c, s;
        direction(shape->orientation, &c, &s);
        for (int i = 0; i < 4; ++i) {
            double x = along[i] * shape->length, y = across[i] * shape->width;
            corners[i] = (nm_point3){shape->x + c * x - s * y, shape->y + s * x + c * y, 0.0};
        }
        return 4;
    }
    for (int i = 0; i < NM_CR_OUTLINE; ++i) {
        double c, s;
        direction(i * (2.0 * NM_PI / NM_CR_OUTLINE), &c, &s);
        corners[i] = (nm_point3){shape->x + 0.5 * shape->length * c, shape->y + 0.5 * shape->length * s, 0.0};
    }
    return NM_CR_OUTLINE;
}
