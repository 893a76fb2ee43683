/// Centrelines and the borders beside them.
#include <math.h>

#include "dataset/nuplan.h"

static double distance(const nm_np_point *a, const nm_np_point *b) {
    return hypot(b->x - a->x, b->y - a->y);
}

static double from_segment(const nm_np_point *p, const nm_np_point *a, const nm_np_point *b) {
    const double dx = b->x - a->x, dy = b->y - a->y, square = dx * dx + dy * dy;
    double k = square > 0.0 ? ((p->x - a->x) * dx + (p->y - a->y) * dy) / square : 0.0;
    k = k < 0.0 ? 0.0 : k > 1.0 ? 1.0 : k;
    return hypot(p->x - a->x - k * dx, p->y - a->y - k * dy);
}

/// The ranges of points still to be looked at lie on the stack; points that stay are marked by their place in it.
size_t nm_np_simplify(nm_np_point *points, size_t count, nm_pile *stack) {
    if (count < 3 || count > NM_NONE / 2) return count;
    stack->count = 0;
    uint8_t *stays = calloc(count, 1);
    nm_range *all = stays ? NM_PUSH(stack, nm_range, 1) : NULL;
    if (!all) {
        free(stays);
        return count; // without memory the line stays as it is
    }
    *all = (nm_range){0, (uint32_t)count - 1};
    stays[0] = stays[count - 1] = 1;
    while (stack->count) {
        const nm_range r = NM_AT(*stack, nm_range, --stack->count);
        const uint32_t last = r.first + r.count;
        double worst = NM_NP_TOLERANCE;
        uint32_t at = 0;
        for (uint32_t i = r.first + 1; i < last; ++i) {
            const double d = from_segment(&points[i], &points[r.first], &points[last]);
            if (d > worst) worst = d, at = i;
        }
        if (!at) continue;
        nm_range *halves = NM_PUSH(stack, nm_range, 2);
        if (!halves) {
            free(stays);
            return count;
        }
        halves[0] = (nm_range){r.first, at - r.first};
        halves[1] = (nm_range){at, last - at};
        stays[at] = 1;
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i)
        if (stays[i]) points[kept++] = points[i];
    free(stays);
    return kept;
}

double nm_np_length(const nm_np_point *points, size_t count) {
    double length = 0.0;
    for (size_t i = 1; i < count; ++i) length += distance(&points[i - 1], &points[i]);
    return length;
}

nm_np_point nm_np_at(const nm_np_point *points, size_t count, double share) {
    double left = share * nm_np_length(points, count);
    for (size_t i = 1; i < count; ++i) {
        const double step = distance(&points[i - 1], &points[i]);
        if (left <= step && step > 0.0) {
            const double k = left / step;
            return (nm_np_point){points[i - 1].x + k * (points[i].x - points[i - 1].x),
                                 points[i - 1].y + k * (points[i].y - points[i - 1].y)};
        }
        left -= step;
    }
    return points[count - 1];
}

// --- pairing ---------------------------------------------------------------------------------------------------------

static const nm_np_point *point_of(const nm_np_line *line, size_t i) {
    return &line->points[line->reversed ? line->count - 1 - i : i];
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int add_shares(const nm_np_line *line, nm_pile *shares) {
    const double length = nm_np_length(line->points, line->count);
    double at = 0.0;
    for (size_t i = 0; i < line->count; ++i) {
        double *share = NM_PUSH(shares, double, 1);
        if (!share) return 0;
        if (i) at += distance(point_of(line, i - 1), point_of(line, i));
        *share = i + 1 == line->count ? 1.0 : length > 0.0 ? fmin(at / length, 1.0) : 0.0;
    }
    return 1;
}

/// The points of a line at rising shares, of which its own corners are some: those are taken as they are.
static int add_points(const nm_np_line *line, const nm_pile *shares, nm_pile *out) {
    const double length = nm_np_length(line->points, line->count);
    nm_point3 *to = NM_PUSH(out, nm_point3, shares->count);
    if (!to) return 0;
    size_t i = 1;
    double begin = 0.0, step = distance(point_of(line, 0), point_of(line, 1));
    for (size_t k = 0; k < shares->count; ++k) {
        const double at = NM_AT(*shares, double, k) * length;
        while (i + 1 < line->count && at > begin + step) {
            begin += step;
            step = distance(point_of(line, i), point_of(line, i + 1));
            ++i;
        }
        const nm_np_point *a = point_of(line, i - 1), *b = point_of(line, i);
        const double t = step > 0.0 ? fmin(fmax((at - begin) / step, 0.0), 1.0) : 0.0;
        to[k] = (nm_point3){a->x + t * (b->x - a->x), a->y + t * (b->y - a->y), 0.0};
        if (k + 1 == shares->count)
            to[k] = (nm_point3){point_of(line, line->count - 1)->x, point_of(line, line->count - 1)->y, 0.0};
    }
    return 1;
}

int nm_np_pair(const nm_np_line lines[3], nm_pile out[3], nm_pile *shares) {
    shares->count = 0;
    for (int i = 0; i < 3; ++i)
        if (lines[i].count && !add_shares(&lines[i], shares)) return 0;
    qsort(shares->data, shares->count, sizeof(double), by_size);
    size_t kept = 0;
    double *share = shares->data;
    for (size_t i = 0; i < shares->count; ++i)
        if (kept == 0 || share[i] - share[kept - 1] > 1e-9) share[kept++] = share[i];
    if (kept && share[kept - 1] > 1.0 - 1e-9) share[kept - 1] = 1.0;
    shares->count = kept;
    for (int i = 0; i < 3; ++i)
        if (lines[i].count && !add_points(&lines[i], shares, &out[i])) return 0;
    return 1;
}

int nm_np_orientation(const nm_np_point *centre, size_t count, const nm_np_point *border, size_t border_count,
                      double reach) {
    const nm_np_point *a = centre, *b = &centre[count - 1], *c = border, *d = &border[border_count - 1];
    const double along = fmax(distance(a, c), distance(b, d)), against = fmax(distance(a, d), distance(b, c));
    if (fmin(along, against) > reach) return -1;
    return against < along;
}

nm_np_box nm_np_bounds(const nm_np_point *points, size_t count) {
    nm_np_box box = {points[0].x, points[0].y, points[0].x, points[0].y};
    for (size_t i = 1; i < count; ++i) {
        box.lo_x = fmin(box.lo_x, points[i].x);
        box.lo_y = fmin(box.lo_y, points[i].y);
        box.hi_x = fmax(box.hi_x, points[i].x);
        box.hi_y = fmax(box.hi_y, points[i].y);
    }
    return box;
}

// --- where a line enters a polygon -----------------------------------------------------------------------------------

static int inside(const nm_np_point *polygon, size_t corners, const nm_np_point *p) {
    int odd = 0;
    for (size_t i = 0, j = corners - 1; i < corners; j = i++) {
        const nm_np_point *a = &polygon[i], *b = &polygon[j];
        if ((a->y > p->y) != (b->y > p->y) && p->x < (b->x - a->x) * (p->y - a->y) / (b->y - a->y) + a->x) odd = !odd;
    }
    return odd;
}

/// Share of the segment a-b at which it crosses c-d, or 2.
static double crossing(const nm_np_point *a, const nm_np_point *b, const nm_np_point *c, const nm_np_point *d) {
    const double ux = b->x - a->x, uy = b->y - a->y, vx = d->x - c->x, vy = d->y - c->y;
    const double det = ux * vy - uy * vx;
    if (det == 0.0) return 2.0;
    const double wx = c->x - a->x, wy = c->y - a->y, t = (wx * vy - wy * vx) / det, s = (wx * uy - wy * ux) / det;
    return t >= 0.0 && t <= 1.0 && s >= 0.0 && s <= 1.0 ? t : 2.0;
}

double nm_np_enter(const nm_np_point *points, size_t count, double first, double last, const nm_np_point *polygon,
                   size_t corners) {
    double at = 0.0;
    for (size_t i = 1; i < count && at < last; ++i) {
        const nm_np_point *a = &points[i - 1], *b = &points[i];
        const double step = distance(a, b), from = fmax(first - at, 0.0), to = fmin(last - at, step);
        if (step > 0.0 && to >= from) {
            const nm_np_point p = {a->x + from / step * (b->x - a->x), a->y + from / step * (b->y - a->y)};
            const nm_np_point q = {a->x + to / step * (b->x - a->x), a->y + to / step * (b->y - a->y)};
            if (inside(polygon, corners, &p)) return at + from;
            double best = 2.0;
            for (size_t k = 0; k < corners; ++k)
                best = fmin(best, crossing(&p, &q, &polygon[k], &polygon[(k + 1) % corners]));
            if (best <= 1.0) return at + from + best * (to - from);
        }
        at += step;
    }
    return -1.0;
}
