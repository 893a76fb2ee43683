// Boxes and roads of the audit, as one would draw them on paper. In double precision, corner by corner.
#include <math.h>

#include "scenarios/audit_internal.h"

#define MARCH 0.0005  // s
#define DIRECTIONS 64 // in which the edge of the road is looked for
#define RING 0.1      // m
#define FURTHEST 10.0 // m to the road's edge

double nm_audit_hypot(double x, double y) {
    return sqrt(x * x + y * y);
}

double nm_audit_wrap(double angle) {
    const double pi = 3.14159265358979323846;
    while (angle > pi) angle -= 2 * pi;
    while (angle <= -pi) angle += 2 * pi;
    return angle;
}

// --- boxes -----------------------------------------------------------------------------------------------------------

static void set_corners(nm_audit_box *box) {
    static const double along[4] = {-0.5, 0.5, 0.5, -0.5}, aside[4] = {-0.5, -0.5, 0.5, 0.5};
    const double c = box->cosine = cos(box->heading), s = box->sine = sin(box->heading);
    for (int i = 0; i < 4; i++) {
        const double u = along[i] * box->length, v = aside[i] * box->width;
        box->corner[i] = (nm_audit_point){box->x + u * c - v * s, box->y + u * s + v * c};
    }
}

int nm_audit_box_at(const nm_scene *scene, uint32_t track, uint32_t step, nm_audit_box *box) {
    nm_state state;
    if (!nm_scene_get_state(scene, track, step, &state)) return 0;
    const nm_track *info = &scene->tracks[track];
    *box = (nm_audit_box){.x = (double)state.x,
                          .y = (double)state.y,
                          .heading = (double)state.heading,
                          .length = (double)(state.length > 0 ? state.length : info->length),
                          .width = (double)(state.width > 0 ? state.width : info->width),
                          .vx = (double)state.vx,
                          .vy = (double)state.vy};
    set_corners(box);
    return 1;
}

nm_audit_box nm_audit_box_moved(const nm_audit_box *box, double seconds) {
    nm_audit_box moved = *box;
    const double dx = box->vx * seconds, dy = box->vy * seconds;
    moved.x += dx;
    moved.y += dy;
    for (int i = 0; i < 4; i++) {
        moved.corner[i].x += dx;
        moved.corner[i].y += dy;
    }
    return moved;
}

// How far the shadows of both on a line in the direction (c, s) reach over one another.
static double shadows(const nm_audit_box *a, const nm_audit_box *b, double c, double s) {
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    const nm_audit_box *boxes[2] = {a, b};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 4; i++) {
            const double at = boxes[k]->corner[i].x * c + boxes[k]->corner[i].y * s;
            low[k] = fmin(low[k], at);
            high[k] = fmax(high[k], at);
        }
    return fmin(high[0] - low[1], high[1] - low[0]);
}

// Two rectangles are apart exactly when a line along a side of one of them lies between (separating axes).
double nm_audit_depth(const nm_audit_box *a, const nm_audit_box *b) {
    const double depth_a = fmin(shadows(a, b, a->cosine, a->sine), shadows(a, b, -a->sine, a->cosine));
    const double depth_b = fmin(shadows(a, b, b->cosine, b->sine), shadows(a, b, -b->sine, b->cosine));
    return fmin(depth_a, depth_b);
}

double nm_audit_ahead(const nm_audit_box *self, const nm_audit_box *other) {
    double least = INFINITY;
    for (int i = 0; i < 4; i++) {
        const double dx = other->corner[i].x - self->x, dy = other->corner[i].y - self->y;
        least = fmin(least, dx * self->cosine + dy * self->sine);
    }
    return least - 0.5 * self->length;
}

static double circle(const nm_audit_box *box) {
    return 0.5 * nm_audit_hypot(box->length, box->width);
}

double nm_audit_ttc(const nm_audit_box *a, const nm_audit_box *b, double horizon, double slack) {
    const double speed = nm_audit_hypot(b->vx - a->vx, b->vy - a->vy);
    for (double t = 0; t <= horizon;) {
        const nm_audit_box one = nm_audit_box_moved(a, t), two = nm_audit_box_moved(b, t);
        const double depth = nm_audit_depth(&one, &two);
        if (depth >= -slack) return t;
        if (speed < 1e-9) break;
        t += fmax(MARCH, (-slack - depth) / speed); // shadows that are so far apart need as long at least
    }
    return INFINITY;
}

int nm_audit_touch(const nm_scene *scene, uint32_t first, uint32_t second, uint32_t step) {
    nm_audit_box a, b;
    if (!nm_audit_box_at(scene, first, step, &a) || !nm_audit_box_at(scene, second, step, &b)) return 0;
    if (nm_audit_hypot(b.x - a.x, b.y - a.y) > circle(&a) + circle(&b)) return 0;
    return nm_audit_depth(&a, &b) >= 0;
}

// --- the road --------------------------------------------------------------------------------------------------------

double nm_audit_to_segment(nm_audit_point p, nm_audit_point a, nm_audit_point b) {
    const double dx = b.x - a.x, dy = b.y - a.y, square = dx * dx + dy * dy;
    double t = square > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / square : 0;
    t = fmin(fmax(t, 0), 1);
    return nm_audit_hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

static double side(nm_audit_point a, nm_audit_point b, nm_audit_point p) {
    return (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
}

static int in_triangle(nm_audit_point a, nm_audit_point b, nm_audit_point c, nm_audit_point p) {
    const double u = side(a, b, p), v = side(b, c, p), w = side(c, a, p);
    return (u >= 0 && v >= 0 && w >= 0) || (u <= 0 && v <= 0 && w <= 0);
}

static double to_outline(const nm_audit_quad *quad, nm_audit_point p) {
    double least = INFINITY;
    for (int i = 0; i < 4; i++) least = fmin(least, nm_audit_to_segment(p, quad->p[i], quad->p[(i + 1) % 4]));
    return least;
}

static double to_quad(const nm_audit_quad *quad, nm_audit_point p) {
    const nm_audit_point *q = quad->p;
    if (in_triangle(q[0], q[1], q[2], p) || in_triangle(q[0], q[2], q[3], p)) return 0;
    return to_outline(quad, p);
}

static nm_audit_point point_of(nm_vec2 v) {
    return (nm_audit_point){(double)v.x, (double)v.y};
}

static nm_audit_quad quad_of(const nm_map *map, uint32_t at) {
    nm_audit_quad quad = {.p = {point_of(map->left[at]), point_of(map->right[at]), point_of(map->right[at + 1]),
                                point_of(map->left[at + 1])},
                          .low_x = INFINITY,
                          .low_y = INFINITY,
                          .high_x = -INFINITY,
                          .high_y = -INFINITY};
    for (int i = 0; i < 4; i++) {
        quad.low_x = fmin(quad.low_x, quad.p[i].x);
        quad.low_y = fmin(quad.low_y, quad.p[i].y);
        quad.high_x = fmax(quad.high_x, quad.p[i].x);
        quad.high_y = fmax(quad.high_y, quad.p[i].y);
    }
    return quad;
}

nm_status nm_audit_road_around(const nm_map *map, nm_audit_point low, nm_audit_point high, nm_arena *arena,
                               nm_audit_road *road) {
    size_t most = 0, count = 0;
    for (uint32_t l = 0; l < map->lane_count; l++) most += map->lanes[l].points.count;
    nm_audit_quad *quads = NM_ARENA_ARRAY(arena, nm_audit_quad, most + 1);
    if (!quads) return NM_E_MEMORY;
    for (uint32_t l = 0; l < map->lane_count; l++) {
        const nm_lane *lane = &map->lanes[l];
        if (!nm_lane_type_drivable((nm_lane_type)lane->type)) continue;
        for (uint32_t i = 0; i + 1 < lane->points.count; i++) {
            const nm_audit_quad quad = quad_of(map, lane->points.first + i);
            if (quad.low_x > high.x || quad.high_x < low.x || quad.low_y > high.y || quad.high_y < low.y) continue;
            quads[count++] = quad;
        }
    }
    *road = (nm_audit_road){.map = map, .quads = quads, .quad_count = count};
    return NM_OK;
}

// Distance to an area; 0 inside (a ray to +x crosses its outline an odd number of times).
static double to_area(const nm_map *map, const nm_area *area, nm_audit_point p) {
    double least = INFINITY;
    int inside = 0;
    for (uint32_t i = 0; i < area->points.count; i++) {
        const nm_audit_point a = point_of(map->area_points[area->points.first + i]);
        const nm_audit_point b = point_of(map->area_points[area->points.first + (i + 1) % area->points.count]);
        least = fmin(least, nm_audit_to_segment(p, a, b));
        if ((a.y > p.y) != (b.y > p.y) && p.x < a.x + (p.y - a.y) / (b.y - a.y) * (b.x - a.x)) inside = !inside;
    }
    return inside ? 0 : least;
}

static double to_areas(const nm_map *map, nm_area_kind kind, nm_audit_point p) {
    double least = INFINITY;
    for (uint32_t i = 0; i < map->area_count; i++)
        if (map->areas[i].kind == kind) least = fmin(least, to_area(map, &map->areas[i], p));
    return least;
}

int nm_audit_on_area(const nm_map *map, nm_area_kind kind, nm_audit_point p, double slack) {
    return to_areas(map, kind, p) <= slack;
}

double nm_audit_off_road(const nm_audit_road *road, nm_audit_point p) {
    double least = FURTHEST;
    for (size_t i = 0; i < road->quad_count; i++) {
        const nm_audit_quad *quad = &road->quads[i];
        if (p.x < quad->low_x - least || p.x > quad->high_x + least || p.y < quad->low_y - least ||
            p.y > quad->high_y + least)
            continue;
        least = fmin(least, to_quad(quad, p));
        if (least <= 0) return 0;
    }
    return fmin(least, to_areas(road->map, NM_AREA_DRIVEWAY, p));
}

int nm_audit_on_road(const nm_audit_road *road, nm_audit_point p) {
    return nm_audit_off_road(road, p) <= (double)NM_SURFACE_TOLERANCE;
}

// The widest circle around the point of which every direction is still on the road.
double nm_audit_into_road(const nm_audit_road *road, nm_audit_point p) {
    if (!nm_audit_on_road(road, p)) return 0;
    double reached = 0;
    for (double radius = RING; radius <= FURTHEST; radius += RING) {
        for (int k = 0; k < DIRECTIONS; k++) {
            const double angle = 2 * 3.14159265358979323846 * k / DIRECTIONS;
            const nm_audit_point there = {p.x + radius * cos(angle), p.y + radius * sin(angle)};
            if (!nm_audit_on_road(road, there)) return reached;
        }
        reached = radius;
    }
    return reached;
}
