/// A reference line that is square to all rows of a lane.
///
/// A row joins the points of both borders with the same index; between two of them there are as many as it takes,
/// linear in both borders. A line that crosses all rows at right angles, an orthogonal trajectory of theirs, has every
/// point of the borders exactly beside it, also where a border turns back on itself: inside of a bend that is tighter
/// than the lane is wide, and where a recorded border is ragged.
///
/// With e the direction of a row from left to right, the line at L + w e, and b the bisector of two rows' directions,
/// which lie an angle of d apart, an arc joins two rows at right angles when its chord is square to b:
///
///     w' = w - (L' - L) b / cos(d / 2).
///
/// It gets on by (L' - L) T + (w + w') sin(d / 2), T square to b. That must be more than nothing for all pairs of rows,
/// which bounds w of the first row from both sides. Where the bounds leave nothing, rows are passed over.
#include <math.h>

#include "dataset/opendrive_plan.h"
#include "sim/math.h"

#define LEAST_STEP 1e-4    // m from row to row along the line
#define MOST_TURN 0.05     // rad between two rows
#define MOST_STRIDE 0.5    // m along a border between two rows
#define MOST_PARTS 64u     // from one row of the map to the next
#define MOST_ROWS 100000u  // of a lane: 50 km of it
#define NARROW 0.02        // m: a row that is shorter has the direction of the one before
#define LEAST_BISECTOR 0.5 // cosine of half the angle between two rows that are joined
#define SHORTEST 0.12      // m of a road: those under 0.1 m are taken for links by readers of ours
#define SPARE 0.5          // m that w keeps from its bounds where there is room

/// At L + w e; (x, y) is L.
typedef struct row {
    double x, y, ex, ey, width, w;
} row;

static nm_point3 corner(const nm_ow_plan *plan, const nm_lane *lane, int backward, uint32_t i, int right) {
    const nm_map *map = plan->map;
    uint32_t at = lane->points.first + (backward ? lane->points.count - 1 - i : i);
    const nm_vec2 *p = right != backward ? &map->right[at] : &map->left[at];
    return (nm_point3){(double)p->x + map->origin.x, (double)p->y + map->origin.y, 0.0};
}

static row row_between(const nm_point3 *l, const nm_point3 *r, double share, const row *before) {
    row made = {.x = l[0].x + share * (l[1].x - l[0].x), .y = l[0].y + share * (l[1].y - l[0].y)};
    double dx = r[0].x + share * (r[1].x - r[0].x) - made.x, dy = r[0].y + share * (r[1].y - r[0].y) - made.y;
    double width = sqrt(dx * dx + dy * dy);
    made.ex = width > NARROW || !before ? dx / fmax(width, 1e-9) : before->ex;
    made.ey = width > NARROW || !before ? dy / fmax(width, 1e-9) : before->ey;
    made.width = dx * made.ex + dy * made.ey;
    return made;
}

static uint32_t parts_between(const nm_point3 *l, const nm_point3 *r) {
    double turn =
        remainder(atan2(r[1].y - l[1].y, r[1].x - l[1].x) - atan2(r[0].y - l[0].y, r[0].x - l[0].x), 2.0 * NM_PI);
    double stride = fmax(hypot(l[1].x - l[0].x, l[1].y - l[0].y), hypot(r[1].x - r[0].x, r[1].y - r[0].y));
    return (uint32_t)fmin(1.0 + fmax(fabs(turn) / MOST_TURN, stride / MOST_STRIDE), MOST_PARTS);
}

/// 0 where there are too many, -1 when memory is out.
static int list_rows(nm_ow_plan *plan, const nm_lane *lane, int backward) {
    plan->rows.count = 0;
    for (uint32_t i = 0; i < lane->points.count; ++i) {
        nm_point3 l[2], r[2];
        for (uint32_t k = 0; k < 2; ++k) {
            l[k] = corner(plan, lane, backward, i && !k ? i - 1 : i, 0);
            r[k] = corner(plan, lane, backward, i && !k ? i - 1 : i, 1);
        }
        uint32_t parts = i ? parts_between(l, r) : 1;
        for (uint32_t part = 1; part <= parts; ++part) {
            size_t n = plan->rows.count;
            row made = row_between(l, r, (double)part / parts, n ? &NM_AT(plan->rows, row, n - 1) : NULL);
            row *at = NM_PUSH(&plan->rows, row, 1);
            if (!at) return -1;
            *at = made;
        }
        if (plan->rows.count > MOST_ROWS) return 0;
    }
    return 1;
}

/// Of the line where it crosses a row.
static double heading_of(const row *at) {
    return atan2(at->ex, -at->ey);
}

/// From row `a` to row `b`: *w is b's for a's; *on how far the line gets on. 0 = they cannot be joined.
static int join(const row *a, const row *b, double *w, double *on) {
    double bx = a->ex + b->ex, by = a->ey + b->ey, sum = sqrt(bx * bx + by * by), half = 0.5 * sum;
    if (half < LEAST_BISECTOR) return 0;
    bx /= sum;
    by /= sum;
    double dx = b->x - a->x, dy = b->y - a->y, sine = b->ey * bx - b->ex * by;
    *w = a->w - (dx * bx + dy * by) / half;
    *on = dy * bx - dx * by + (a->w + *w) * sine;
    return 1;
}

/// w of the first row: the middle of the lane, moved to where the line gets on from every row to the next.
static double first_w(row *rows, size_t count) {
    double low = -INFINITY, high = INFINITY, middle = 0.5 * rows[0].width;
    rows[0].w = 0.0;
    for (size_t i = 0; i + 1 < count; ++i) {
        double on;
        rows[i + 1].w = rows[i].w;
        if (!join(&rows[i], &rows[i + 1], &rows[i + 1].w, &on)) continue;
        double gain = 2.0 * (rows[i].ex * rows[i + 1].ey - rows[i].ey * rows[i + 1].ex); // sin d = 2 sin(d/2) cos(d/2)
        gain /= sqrt(2.0 * (1.0 + rows[i].ex * rows[i + 1].ex + rows[i].ey * rows[i + 1].ey));
        if (fabs(gain) < 1e-9) continue;
        double bound = (LEAST_STEP - on) / gain;
        if (gain > 0.0)
            low = fmax(low, bound);
        else
            high = fmin(high, bound);
    }
    if (low >= high) return 0.5 * (low + high);
    double spare = fmin(SPARE, 0.25 * (high - low));
    return fmin(fmax(middle, low + spare), high - spare);
}

static int put_row(nm_ow_plan *plan, const row *at, double s) {
    nm_ow_place *left = NM_PUSH(&plan->places, nm_ow_place, 1), *right = NM_PUSH(&plan->places_right, nm_ow_place, 1);
    if (!left || !right) return 0;
    *left = (nm_ow_place){s, at->w};
    *right = (nm_ow_place){s, at->w - at->width};
    return 1;
}

int nm_ow_follow_rows(nm_ow_plan *plan, const nm_ow_road *road, double *length) {
    int backward = road->backward > 0;
    plan->arcs.count = plan->places.count = plan->places_right.count = 0;
    double end_heading;
    *length = 0.0;
    const int listed = list_rows(plan, &plan->map->lanes[nm_ow_lane_of(plan, road, 0)], backward);
    if (listed <= 0) return listed;
    row *rows = plan->rows.data, *last = &rows[0];
    rows[0].w = first_w(rows, plan->rows.count);
    if (!isfinite(rows[0].w)) return 0;
    if (!put_row(plan, last, 0.0)) return -1;
    for (size_t i = 1; i < plan->rows.count; ++i) {
        double on;
        if (!join(last, &rows[i], &rows[i].w, &on) || on < LEAST_STEP) continue;
        nm_point3 p = {last->x + last->w * last->ex, last->y + last->w * last->ey, 0.0};
        nm_point3 q = {rows[i].x + rows[i].w * rows[i].ex, rows[i].y + rows[i].w * rows[i].ey, 0.0};
        if (!nm_ow_add_arc(plan, p.x, p.y, heading_of(last), q.x, q.y, &end_heading)) return -1;
        const nm_ow_arc *arc = &NM_AT(plan->arcs, nm_ow_arc, plan->arcs.count - 1);
        *length = arc->s + arc->length;
        last = &rows[i];
        if (!put_row(plan, last, *length)) return -1;
    }
    if (plan->arcs.count) return 1;
    nm_point3 p = {rows[0].x + rows[0].w * rows[0].ex, rows[0].y + rows[0].w * rows[0].ey, 0.0};
    *length = SHORTEST; // a lane that gets nowhere, or back: its first row, a little drawn out
    return nm_ow_add_arc(plan, p.x, p.y, heading_of(rows), p.x - SHORTEST * rows[0].ey, p.y + SHORTEST * rows[0].ex,
                         &end_heading) &&
                   put_row(plan, rows, SHORTEST)
               ? 1
               : -1;
}
