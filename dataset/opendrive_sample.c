/// Roads to polylines: borders of lanes in rows across the road.
///
/// All lanes of a road share their rows, so that the border between two of them is one line, without slivers. Between
/// two breaks (places where a geometry or a cubic begins) everything is smooth; there a row is put in the middle of two
/// rows as long as any border's quarter points lie further than NM_OD_TOLERANCE from its chord. Cubics are taken by
/// what holds in the middle between two breaks: where one jumps, there are two rows at the same s.
///
/// A road with superelevation leans about its reference line: a border at t lies at t cos(roll) beside it, seen from
/// above, and t sin(roll) over it.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/opendrive.h"
#include "sim/geometry.h"

#define MAX_POINTS (UINT32_C(1) << 23)
#define MAX_WAITING 22u       // halvings of one interval
#define HEIGHT_TOLERANCE 0.02 // m
#define LEAST_WIDTH (-0.05)   // m: widths that cubics let fall under 0 are taken for 0 down to this
#define MAX_OFFSET 1e4        // m from the reference line
#define MAX_COORDINATE 1e8    // m
#define MAX_LANES 512u

/// What holds between two breaks.
typedef struct interval {
    const nm_od_road *road;
    const nm_od_section *section;
    const nm_od_lane *lanes;
    const nm_od_geometry *geometry;
    const nm_od_poly *elevation, *roll, *offset; // nullable
    const nm_od_poly *widths[MAX_LANES];         // of the lanes, nullable
    uint8_t is_border[MAX_LANES];
    int straight;
} interval;

const nm_od_poly *nm_od_active(const nm_od_poly *polys, nm_range range, double s) {
    uint32_t low = 0, high = range.count; // the first that begins behind s
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (polys[range.first + middle].s <= s)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &polys[range.first + low - 1] : NULL;
}

static const nm_od_geometry *geometry_at(const nm_od_document *d, const nm_od_road *road, double s) {
    uint32_t low = 1, high = road->geometries.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (d->geometries.at[road->geometries.first + middle].s <= s)
            low = middle + 1;
        else
            high = middle;
    }
    return &d->geometries.at[road->geometries.first + low - 1];
}

nm_point3 nm_od_place(const nm_od_document *d, const nm_od_road *road, double s, double t, double *hdg) {
    s = fmin(fmax(s, 0.0), road->length);
    const nm_od_geometry *g = geometry_at(d, road, s);
    const nm_od_poly *z = nm_od_active(d->elevations.at, road->elevations, s);
    nm_od_pose pose = nm_od_geometry_at(g, fmin(s - g->s, g->length));
    if (hdg) *hdg = pose.hdg;
    return (nm_point3){pose.x - t * sin(pose.hdg), pose.y + t * cos(pose.hdg), z ? nm_od_poly_at(z, s) : 0.0};
}

// --- rows ------------------------------------------------------------------------------------------------------------

static int is_linear(const nm_od_poly *poly) {
    return !poly || (poly->c == 0.0 && poly->d == 0.0);
}

/// Cubics of lanes count from the start of their section, the others from the start of the road.
static void look_up(const nm_od_document *d, const nm_od_stretch *stretch, double s, interval *in) {
    in->road = &d->roads.at[stretch->road];
    in->section = &d->sections.at[stretch->section];
    in->lanes = &d->lanes.at[in->section->lanes.first];
    in->geometry = geometry_at(d, in->road, s);
    in->elevation = nm_od_active(d->elevations.at, in->road->elevations, s);
    in->roll = nm_od_active(d->rolls.at, in->road->rolls, s);
    in->offset = nm_od_active(d->offsets.at, in->road->offsets, s);
    in->straight = in->geometry->shape == NM_OD_LINE && is_linear(in->elevation) && is_linear(in->offset) &&
                   (!in->roll || (in->roll->b == 0.0 && is_linear(in->roll)));
    for (uint32_t i = 0; i < in->section->lanes.count; ++i) {
        const nm_od_lane *lane = &in->lanes[i];
        in->is_border[i] = lane->widths.count == 0 && lane->borders.count > 0;
        in->widths[i] = in->is_border[i] ? nm_od_active(d->borders.at, lane->borders, s - in->section->s)
                                         : nm_od_active(d->widths.at, lane->widths, s - in->section->s);
        in->straight = in->straight && is_linear(in->widths[i]);
    }
}

static nm_status refuse_width(const nm_od_build *build, const interval *in, const nm_od_lane *lane, double s,
                              double width) {
    return NM_ERROR_AT(build->error, NM_E_FORMAT, build->name, lane->line, -1,
                       "lane %d of the road in line %d is %g m wide at s = %g", lane->id, in->road->line, width, s);
}

/// t of all borders at s, from left to right.
static nm_status offsets_at(const nm_od_build *build, const interval *in, double s, double *t) {
    uint32_t centre = in->section->centre, count = in->section->lanes.count;
    double ds = s - in->section->s;
    t[centre] = in->offset ? nm_od_poly_at(in->offset, s) : 0.0;
    for (uint32_t k = 1; k < count; ++k) {
        int left = k <= centre;
        uint32_t i = left ? centre - k : k, inner = left ? i + 1 : i - 1;
        const nm_od_poly *poly = in->widths[i];
        double width = poly ? nm_od_poly_at(poly, ds) : 0.0;
        if (in->is_border[i] && poly) width = left ? width - t[inner] : t[inner] - width;
        if (!(width >= LEAST_WIDTH && width < MAX_OFFSET)) return refuse_width(build, in, &in->lanes[i], s, width);
        width = fmax(width, 0.0);
        t[i] = left ? t[inner] + width : t[inner] - width;
        if (!(fabs(t[i]) < MAX_OFFSET)) return refuse_width(build, in, &in->lanes[i], s, width);
    }
    if (fabs(t[centre]) < MAX_OFFSET) return NM_OK;
    return NM_ERROR_AT(build->error, NM_E_FORMAT, build->name, in->road->line, -1,
                       "the lanes of a road are moved aside by %g m at s = %g", t[centre], s);
}

static nm_status row_at(const nm_od_build *build, const interval *in, double s, nm_point3 *row) {
    double t[MAX_LANES];
    nm_status status = offsets_at(build, in, s, t);
    if (status != NM_OK) return status;
    nm_od_pose pose = nm_od_geometry_at(in->geometry, s - in->geometry->s);
    double roll = in->roll ? nm_od_poly_at(in->roll, s) : 0.0,
           z = in->elevation ? nm_od_poly_at(in->elevation, s) : 0.0;
    if (!(fabs(roll) < 1.6))
        return NM_ERROR_AT(build->error, NM_E_FORMAT, build->name, in->road->line, -1,
                           "a road leans by %g rad at s = %g", roll, s);
    double flat = roll != 0.0 ? cos(roll) : 1.0, up = roll != 0.0 ? sin(roll) : 0.0;
    double side_x = -sin(pose.hdg) * flat, side_y = cos(pose.hdg) * flat;
    if (!(fabs(pose.x) < MAX_COORDINATE && fabs(pose.y) < MAX_COORDINATE && fabs(z) < MAX_COORDINATE))
        return NM_ERROR_AT(build->error, NM_E_FORMAT, build->name, in->road->line, -1,
                           "a road reaches (%g, %g, %g) at s = %g: at most 1e8 m are read", pose.x, pose.y, z, s);
    for (uint32_t i = 0; i < in->section->lanes.count; ++i)
        row[i] = (nm_point3){pose.x + t[i] * side_x, pose.y + t[i] * side_y, z + t[i] * up};
    return NM_OK;
}

static nm_status no_memory(const nm_od_build *build) {
    return NM_ERROR(build->error, NM_E_MEMORY, "no memory for the lanes of a document");
}

static nm_status emit(nm_od_build *build, nm_od_stretch *stretch, double s, const nm_point3 *row) {
    double *row_s = NM_OD_NEW(build->row_s);
    if (!row_s) return no_memory(build);
    *row_s = s;
    if (build->points.count > MAX_POINTS)
        return NM_ERROR_AT(build->error, NM_E_LIMIT, build->name, 0, -1,
                           "the roads need more than %u points: they bend too much or are too long", MAX_POINTS);
    for (uint32_t i = 0; i < stretch->border_count; ++i) {
        nm_point3 *point = NM_OD_NEW(build->points);
        if (!point) return no_memory(build);
        *point = row[i];
    }
    ++stretch->rows;
    return NM_OK;
}

// --- between two breaks ----------------------------------------------------------------------------------------------

static double chord_distance(const nm_point3 *a, const nm_point3 *b, const nm_point3 *p) {
    double dx = b->x - a->x, dy = b->y - a->y, px = p->x - a->x, py = p->y - a->y, square = dx * dx + dy * dy;
    double share = square > 0.0 ? fmin(fmax((px * dx + py * dy) / square, 0.0), 1.0) : 0.0;
    double ox = px - share * dx, oy = py - share * dy;
    return sqrt(ox * ox + oy * oy);
}

/// Does any border leave its chord, at this share of the way?
static int leaves(const nm_point3 *a, const nm_point3 *b, const nm_point3 *p, uint32_t count, double share) {
    for (uint32_t i = 0; i < count; ++i) {
        if (chord_distance(&a[i], &b[i], &p[i]) > NM_OD_TOLERANCE) return 1;
        if (fabs(a[i].z + share * (b[i].z - a[i].z) - p[i].z) > HEIGHT_TOLERANCE) return 1;
    }
    return 0;
}

/// Emits rows from `start`, whose row is the last one emitted or equal to it, to `end`.
static nm_status refine(nm_od_build *build, nm_od_stretch *stretch, const interval *in, double start, double end) {
    uint32_t n = stretch->border_count;
    nm_point3 *rows = build->scratch.at, *from = rows, *quarters = rows + n, *waiting = rows + 4 * n;
    double at[MAX_WAITING + 1];
    nm_status status = row_at(build, in, start, from);
    if (status == NM_OK) status = row_at(build, in, end, waiting);
    uint32_t count = 1;
    at[0] = end;
    while (status == NM_OK && count) {
        double next = at[count - 1];
        const nm_point3 *to = waiting + (size_t)(count - 1) * n;
        int split = 0;
        if (!in->straight && count < MAX_WAITING) {
            for (int q = 0; status == NM_OK && q < 3; ++q) {
                status = row_at(build, in, start + 0.25 * (q + 1) * (next - start), quarters + (size_t)q * n);
                split = split || (status == NM_OK && leaves(from, to, quarters + (size_t)q * n, n, 0.25 * (q + 1)));
            }
        }
        if (split) {
            at[count] = 0.5 * (start + next);
            memcpy(waiting + (size_t)count * n, quarters + n, n * sizeof *rows);
            ++count;
            continue;
        }
        if (status == NM_OK) status = emit(build, stretch, next, to);
        memcpy(from, to, n * sizeof *rows);
        start = next;
        --count;
    }
    return status;
}

static int differs(const nm_point3 *a, const nm_point3 *b, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
        if (fabs(a[i].x - b[i].x) + fabs(a[i].y - b[i].y) > 1e-3) return 1;
    }
    return 0;
}

/// Parts short enough that quarter points see every bend: under 1 rad each, and half a cubic at most.
static uint32_t parts_of(const interval *in, double start, double end) {
    if (in->straight) return 1;
    double turn = nm_od_geometry_turn(in->geometry) * (end - start) / in->geometry->length;
    if (in->geometry->shape == NM_OD_SPIRAL) turn *= 2.0; // it may be bent at one end only
    return 2 + (uint32_t)turn;
}

static nm_status sample_interval(nm_od_build *build, nm_od_stretch *stretch, double start, double end) {
    interval in;
    look_up(build->document, stretch, 0.5 * (start + end), &in);
    nm_point3 *row = build->scratch.at;
    nm_status status = row_at(build, &in, start, row);
    if (status != NM_OK) return status;
    if (stretch->rows == 0 || differs(row, nm_od_border(build, stretch, stretch->rows - 1, 0), stretch->border_count))
        status = emit(build, stretch, start, row);
    uint32_t parts = parts_of(&in, start, end);
    double from = start;
    for (uint32_t i = 0; status == NM_OK && i < parts; ++i) {
        double to = i + 1 == parts ? end : start + (end - start) * (i + 1) / parts;
        status = refine(build, stretch, &in, from, to);
        from = to;
    }
    return status;
}

// --- breaks ----------------------------------------------------------------------------------------------------------

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int add_break(nm_od_build *build, const nm_od_stretch *stretch, double s) {
    if (!(s > stretch->start + 1e-6 && s < stretch->end - 1e-6)) return 1;
    double *at = NM_OD_NEW(build->breaks);
    if (at) *at = s;
    return at != NULL;
}

static int add_breaks(nm_od_build *build, const nm_od_stretch *stretch, const nm_od_poly *polys, nm_range range,
                      double offset) {
    for (uint32_t i = range.first; i < range.first + range.count; ++i) {
        if (!add_break(build, stretch, offset + polys[i].s)) return 0;
    }
    return 1;
}

static int find_breaks(nm_od_build *build, const nm_od_stretch *stretch) {
    const nm_od_document *d = build->document;
    const nm_od_road *road = &d->roads.at[stretch->road];
    const nm_od_section *section = &d->sections.at[stretch->section];
    build->breaks.count = 0;
    for (uint32_t i = 0; i < road->geometries.count; ++i) {
        if (!add_break(build, stretch, d->geometries.at[road->geometries.first + i].s)) return 0;
    }
    if (!add_breaks(build, stretch, d->elevations.at, road->elevations, 0.0) ||
        !add_breaks(build, stretch, d->rolls.at, road->rolls, 0.0) ||
        !add_breaks(build, stretch, d->offsets.at, road->offsets, 0.0))
        return 0;
    for (uint32_t i = 0; i < section->lanes.count; ++i) {
        const nm_od_lane *lane = &d->lanes.at[section->lanes.first + i];
        if (!add_breaks(build, stretch, d->widths.at, lane->widths, section->s) ||
            !add_breaks(build, stretch, d->borders.at, lane->borders, section->s))
            return 0;
    }
    double *end = NM_OD_NEW(build->breaks);
    if (!end) return 0;
    *end = stretch->end;
    qsort(build->breaks.at, build->breaks.count, sizeof *build->breaks.at, ascending);
    return 1;
}

nm_status nm_od_sample(nm_od_build *build, nm_od_stretch *stretch) {
    const nm_od_section *section = &build->document->sections.at[stretch->section];
    NM_ASSERT(section->lanes.count < MAX_LANES); // ids of lanes end at 255
    stretch->border_count = section->lanes.count;
    stretch->first_point = build->points.count;
    stretch->first_row = build->row_s.count;
    stretch->rows = 0;
    build->scratch.count = 0;
    for (uint32_t i = 0; i < (MAX_WAITING + 5) * stretch->border_count; ++i) {
        if (!NM_OD_NEW(build->scratch)) return no_memory(build);
    }
    if (!find_breaks(build, stretch)) return no_memory(build);
    nm_status status = NM_OK;
    double from = stretch->start;
    for (uint32_t i = 0; status == NM_OK && i < build->breaks.count; ++i) {
        double to = build->breaks.at[i];
        if (to - from < 1e-6) continue;
        status = sample_interval(build, stretch, from, to);
        from = to;
    }
    return status;
}
