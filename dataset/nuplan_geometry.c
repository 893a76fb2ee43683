/// GeoPackage geometries and their projection.
///
///   0   2 bytes   "GP"
///   2   1 byte    version, 0
///   3   1 byte    flags: bit 0 = little-endian header, bits 1-3 = kind of envelope, bit 4 = empty, bit 5 = extended
///   4   int32     srs_id
///   8   0, 32, 48, 48 or 64 bytes of envelope
///   ..  ISO WKB: 1 byte order (0 = big-endian), uint32 type, payload; every member of a multi-geometry has both again
///       type 2 LineString: uint32 count, points; 3 Polygon: uint32 rings, each uint32 count, points; 5, 6: uint32
///       members, each a geometry. + 1000: points have a height, + 2000: a measure, + 3000: both
#include <math.h>

#include "dataset/nuplan.h"

#define PI 3.14159265358979323846
#define MAX_MEMBERS 100000u

typedef struct cursor {
    const uint8_t *bytes;
    size_t size, at;
    int little;
} cursor;

static uint64_t take(cursor *c, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i) {
        const uint64_t byte = c->bytes[c->at + i];
        value |= c->little ? byte << (8 * i) : byte << (8 * (count - 1 - i));
    }
    c->at += count;
    return value;
}
static int has(const cursor *c, size_t count) {
    return c->size - c->at >= count;
}
static double take_double(cursor *c) {
    const uint64_t bits = take(c, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static const char *const too_short = "the geometry ends in the middle";

/// Byte order and type; *dimensions is how many numbers a point has.
static const char *read_type(cursor *c, uint32_t *type, uint32_t *dimensions) {
    if (!has(c, 5)) return too_short;
    const uint8_t order = c->bytes[c->at++];
    if (order > 1) return "a byte order that is neither 0 nor 1";
    c->little = order;
    const uint32_t code = (uint32_t)take(c, 4);
    if (code >= 4000) return "a type of geometry that WKB does not have";
    *type = code % 1000;
    *dimensions = code < 1000 ? 2 : code < 3000 ? 3 : 4;
    return NULL;
}

static const char *read_points(cursor *c, uint32_t dimensions, uint32_t least, int hole, nm_pile *points,
                               nm_pile *rings) {
    if (!has(c, 4)) return too_short;
    const uint32_t count = (uint32_t)take(c, 4);
    if (count > (c->size - c->at) / (8 * dimensions)) return too_short;
    if (count < least) return "too few points";
    if (points->count + count > NM_NONE / 2) return "the map has too many points";
    nm_np_point *to = NM_PUSH(points, nm_np_point, count);
    nm_np_ring *ring = to ? NM_PUSH(rings, nm_np_ring, 1) : NULL;
    if (!ring) return "out of memory";
    for (uint32_t i = 0; i < count; ++i) {
        to[i].x = take_double(c);
        to[i].y = take_double(c);
        c->at += 8 * (dimensions - 2);
        if (!(fabs(to[i].x) <= 1e8 && fabs(to[i].y) <= 1e8)) return "a coordinate that is no number below 1e8";
    }
    *ring = (nm_np_ring){{(uint32_t)(points->count - count), count}, (uint8_t)hole};
    return NULL;
}

static const char *read_member(cursor *c, nm_np_shape shape, uint32_t dimensions, nm_pile *points, nm_pile *rings) {
    if (shape == NM_NP_LINE) return read_points(c, dimensions, 2, 0, points, rings);
    if (!has(c, 4)) return too_short;
    const uint32_t count = (uint32_t)take(c, 4);
    if (count == 0) return "a polygon without a ring";
    if (count > (c->size - c->at) / 4) return too_short;
    const char *wrong = NULL;
    for (uint32_t i = 0; !wrong && i < count; ++i) wrong = read_points(c, dimensions, 4, i > 0, points, rings);
    return wrong;
}

static const char *read_geometry(cursor *c, nm_np_shape shape, nm_pile *points, nm_pile *rings) {
    const uint32_t wanted = shape == NM_NP_LINE ? 2 : 3;
    uint32_t type, dimensions;
    const char *wrong = read_type(c, &type, &dimensions);
    if (wrong) return wrong;
    if (type == wanted) return read_member(c, shape, dimensions, points, rings);
    if (type != wanted + 3) return shape == NM_NP_LINE ? "not a line" : "not a polygon";
    if (!has(c, 4)) return too_short;
    const uint32_t count = (uint32_t)take(c, 4);
    if (count == 0) return "a geometry without members";
    if (shape == NM_NP_LINE && count > 1) return "a line in several parts";
    if (count > MAX_MEMBERS) return "too many members";
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t own;
        wrong = read_type(c, &type, &own);
        if (!wrong && type != wanted) wrong = "a member of another type";
        if (!wrong && own != dimensions) wrong = "a member of other dimensions";
        if (!wrong) wrong = read_member(c, shape, own, points, rings);
        if (wrong) return wrong;
    }
    return NULL;
}

const char *nm_np_decode(const void *blob, size_t size, nm_np_shape shape, int32_t *srs, nm_pile *points,
                         nm_pile *rings, size_t *offset) {
    static const uint8_t envelopes[8] = {0, 32, 48, 48, 64, 255, 255, 255};
    cursor c = {.bytes = blob, .size = size};
    *offset = 0;
    if (size < 8 || c.bytes[0] != 'G' || c.bytes[1] != 'P') return "it does not begin with \"GP\"";
    *offset = 2;
    if (c.bytes[2] != 0) return "a version of GeoPackage geometry other than 0";
    const uint8_t flags = c.bytes[3], envelope = envelopes[flags >> 1 & 7];
    *offset = 3;
    if (flags & 0x20) return "an extended type";
    if (envelope == 255) return "an envelope of unknown kind";
    if (flags & 0x10) return "it is empty";
    c.little = flags & 1;
    c.at = 4;
    *srs = (int32_t)(uint32_t)take(&c, 4);
    *offset = c.at;
    if (!has(&c, envelope)) return too_short;
    c.at += envelope;
    const char *wrong = read_geometry(&c, shape, points, rings);
    *offset = c.at;
    return wrong ? wrong : c.at == size ? NULL : "bytes behind its end";
}

// --- projection ------------------------------------------------------------------------------------------------------

int nm_np_projection_of(int32_t code, nm_np_projection *projection) {
    const int32_t zone = code % 100, hemisphere = code / 100;
    if ((hemisphere != 326 && hemisphere != 327) || zone < 1 || zone > 60) return 0;
    *projection = (nm_np_projection){code, 6.0 * zone - 183.0, hemisphere == 327 ? 1e7 : 0.0};
    return 1;
}

int nm_np_project(const nm_np_projection *projection, nm_np_point *points, size_t count) {
    const double f = 1.0 / 298.257223563, n = f / (2.0 - f), n2 = n * n, n3 = n2 * n;
    const double rectifying = 0.9996 * 6378137.0 / (1.0 + n) * (1.0 + n2 / 4.0 + n2 * n2 / 64.0);
    const double alpha[3] = {n / 2.0 - 2.0 * n2 / 3.0 + 5.0 * n3 / 16.0, 13.0 * n2 / 48.0 - 3.0 * n3 / 5.0,
                             61.0 * n3 / 240.0};
    const double e = 2.0 * sqrt(n) / (1.0 + n);
    for (size_t i = 0; i < count; ++i) {
        const double east = points[i].x - projection->central_meridian;
        if (!(fabs(points[i].y) < 89.0 && fabs(east) < 30.0)) return 0;
        const double s = sin(points[i].y * (PI / 180.0)), l = east * (PI / 180.0);
        const double t = sinh(atanh(s) - e * atanh(e * s));
        const double xi = atan2(t, cos(l)), eta = atanh(sin(l) / sqrt(1.0 + t * t));
        double x = eta, y = xi;
        for (int j = 0; j < 3; ++j) {
            const double k = 2.0 * (j + 1);
            x += alpha[j] * cos(k * xi) * sinh(k * eta);
            y += alpha[j] * sin(k * xi) * cosh(k * eta);
        }
        points[i] = (nm_np_point){500000.0 + rectifying * x, projection->false_northing + rectifying * y};
    }
    return 1;
}
