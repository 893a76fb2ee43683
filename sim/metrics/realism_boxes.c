/// Distances between boxes: to the nearest one, and to the one driven behind.
#include "sim/metrics/realism_private.h"

#define MOST_TTC 5.0                   // s
#define FOLLOW_COS 0.25881904510252074 // 75 degrees
#define FOLLOW (75.0 / 180.0 * NM_PI)
#define ALONG (10.0 / 180.0 * NM_PI)
#define ALONG_COS 0.984807753012208 // 10 degrees
#define LEAST_OVERLAP 0.5           // m, for those at more than that

/// Square of the least distance of the corners of a box of half extents (length, width), centred at (x, y) and turned
/// by (c, s), to a rectangle of half extents (to_length, to_width) at the origin.
static double corners_distance2(double to_length, double to_width, double x, double y, double c, double s,
                                double length, double width) {
    double least = INFINITY;
    for (int corner = 0; corner < 4; corner++) {
        double l = corner & 1 ? length : -length, w = corner & 2 ? width : -width;
        double beyond_x = nm_max(fabs(x + c * l - s * w) - to_length, 0.0);
        double beyond_y = nm_max(fabs(y + s * l + c * w) - to_width, 0.0);
        least = nm_min(least, beyond_x * beyond_x + beyond_y * beyond_y);
    }
    return least;
}

/// The cores are rectangles. Where they overlap, the least translation that parts them is along one of their four edge
/// normals (those of the Minkowski difference), so its length is the least overlap along these; where they do not, the
/// distance is attained at a corner of one of them.
double nm_realism_distance(const nm_realism_world *world, size_t at_a, size_t at_b, const nm_realism_box *a,
                           const nm_realism_box *b) {
    double dx = (double)world->x[at_b] - world->x[at_a], dy = (double)world->y[at_b] - world->y[at_a];
    double ac = world->cos_h[at_a], as = world->sin_h[at_a], bc = world->cos_h[at_b], bs = world->sin_h[at_b];
    double c = ac * bc + as * bs, s = ac * bs - as * bc;    // of b's heading relative to a's
    double ax = ac * dx + as * dy, ay = -as * dx + ac * dy; // b's centre in a's frame
    double bx = -bc * dx - bs * dy, by = bs * dx - bc * dy; // a's centre in b's frame
    double fc = fabs(c), fs = fabs(s);
    double gaps[4] = {fabs(ax) - a->core_length - fc * b->core_length - fs * b->core_width,
                      fabs(ay) - a->core_width - fs * b->core_length - fc * b->core_width,
                      fabs(bx) - b->core_length - fc * a->core_length - fs * a->core_width,
                      fabs(by) - b->core_width - fs * a->core_length - fc * a->core_width};
    double gap = nm_max(nm_max(gaps[0], gaps[1]), nm_max(gaps[2], gaps[3]));
    if (gap > 0.0) {
        double of_b = corners_distance2(a->core_length, a->core_width, ax, ay, c, s, b->core_length, b->core_width);
        double of_a = corners_distance2(b->core_length, b->core_width, bx, by, c, -s, a->core_length, a->core_width);
        gap = sqrt(nm_min(of_a, of_b));
    }
    return gap - a->radius - b->radius;
}

/// The circles around two boxes are never further apart than the boxes, be these apart or not: the exact distance is
/// worked out only where the circles come closer than the best so far. The neighbour nearest one step before goes
/// first.
static double nearest_at(const nm_realism_world *world, uint32_t agent, uint32_t step, uint32_t *likely) {
    size_t at = nm_realism_at(world, agent, step);
    const nm_realism_box *mine = &world->box[agent];
    double best = NM_REALISM_NOBODY;
    if (!world->valid[at]) return best;
    if (*likely != agent && world->valid[nm_realism_at(world, *likely, step)]) {
        best = nm_realism_distance(world, at, nm_realism_at(world, *likely, step), mine, &world->box[*likely]);
    }
    for (uint32_t other = 0; other < world->agents; other++) {
        size_t to = nm_realism_at(world, other, step);
        double dx = (double)world->x[to] - world->x[at], dy = (double)world->y[to] - world->y[at];
        double within = best + mine->reach + world->box[other].reach;
        if (other == agent || !world->valid[to] || within <= 0.0 || dx * dx + dy * dy >= within * within) continue;
        double distance = nm_realism_distance(world, at, to, mine, &world->box[other]);
        if (distance < best) {
            best = distance;
            *likely = other;
        }
    }
    return best;
}

void nm_realism_nearest(const nm_realism_world *world, uint32_t agent, uint32_t steps, float *distance) {
    uint32_t likely = agent;
    for (uint32_t k = 0; k < steps; k++) distance[k] = (float)nearest_at(world, agent, k, &likely);
}

/// 2: the headings differ by at most 10 degrees; 1: by at most 75; 0: by more.
static int heading_alike(const nm_realism_world *world, size_t at, size_t to, double cosine) {
    if (!world->turned) return cosine < FOLLOW_COS ? 0 : cosine < ALONG_COS ? 1 : 2;
    double difference = fabs((double)world->turned[to] - world->turned[at]);
    return !(difference <= FOLLOW) ? 0 : difference <= ALONG ? 2 : 1;
}

/// m from the front of the box at `at` to the one at `to`, where it follows that; INFINITY where it does not. Only gaps
/// under `best` matter.
static double following_gap(const nm_realism_world *world, size_t at, size_t to, const nm_realism_box *mine,
                            const nm_realism_box *other, double best) {
    double x = (double)world->x[to] - world->x[at], y = (double)world->y[to] - world->y[at];
    double c = world->cos_h[at], s = world->sin_h[at];
    double ahead = c * x + s * y - mine->half_length;
    if (!(ahead > 0.0)) return INFINITY;
    double cosine = c * world->cos_h[to] + s * world->sin_h[to], sine = c * world->sin_h[to] - s * world->cos_h[to];
    double gap = ahead - other->half_length * fabs(cosine) - other->half_width * fabs(sine);
    if (!(gap > 0.0 && gap < best)) return INFINITY;
    int alike = heading_alike(world, at, to, cosine);
    double beside =
        fabs(c * y - s * x) - mine->half_width - other->half_length * fabs(sine) - other->half_width * fabs(cosine);
    return alike && beside < 0.0 && (beside < -LEAST_OVERLAP || alike == 2) ? gap : INFINITY;
}

void nm_realism_ttc(const nm_realism_world *world, uint32_t agent, uint32_t steps, float *ttc) {
    for (uint32_t k = 0; k < steps; k++) {
        size_t at = nm_realism_at(world, agent, k), leader = at;
        double gap = INFINITY;
        for (uint32_t other = 0; other < world->agents; other++) {
            size_t to = nm_realism_at(world, other, k);
            if (other == agent || !world->valid[to]) continue;
            double found = following_gap(world, at, to, &world->box[agent], &world->box[other], gap);
            if (!(found < gap)) continue;
            gap = found;
            leader = to;
        }
        double closing = leader == at ? 0.0 : (double)world->speed[at] - world->speed[leader];
        ttc[k] = closing > 0.0 ? (float)nm_min(gap / closing, MOST_TTC) : (float)MOST_TTC; // NaN closes on nobody
    }
}
