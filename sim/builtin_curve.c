/// The curves that built-in roads are swept along.
#include "sim/builtin_sketch.h"
#include "sim/math.h"

#define STRAIGHT_STEP 10.0 // m between samples on straights
#define TURN_STEP 0.06     // rad between samples on curves, which keeps chords within 1 cm up to a radius of 22 m
#define MAX_CURVE_STEP 2.0
#define MIN_CURVE_STEP 0.4
/// Share of a turn's angle that each of its two clothoids takes. 0.3 keeps the least radius within a fifth of the plain
/// arc's and lets the steering turn at a finite rate.
#define CLOTHOID_SHARE 0.3

static void sine_cosine(double angle, double *sine, double *cosine) {
    float s, c;
    nm_sincosf((float)angle, &s, &c);
    *sine = s;
    *cosine = c;
}

/// The place `length` m on, while the curvature runs from k0 to k1 over that length.
static nm_frame advance(nm_frame at, double length, double k0, double k1) {
    // three-point Gauss-Legendre: exact to degree five, far below the rounding grid for the steps used here
    static const double node[3] = {0.112701665379258311, 0.5, 0.887298334620741689};
    static const double weight[3] = {5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0};
    double forward = 0.0, sideways = 0.0, sine, cosine;
    for (int i = 0; i < 3; i++) {
        double u = node[i] * length;
        sine_cosine(k0 * u + 0.5 * (k1 - k0) * node[i] * u, &sine, &cosine);
        forward += weight[i] * cosine;
        sideways += weight[i] * sine;
    }
    sine_cosine(0.5 * (k0 + k1) * length, &sine, &cosine);
    nm_frame next = {at.x + length * (at.c * forward - at.s * sideways),
                     at.y + length * (at.s * forward + at.c * sideways), at.c * cosine - at.s * sine,
                     at.s * cosine + at.c * sine};
    double norm = sqrt(next.c * next.c + next.s * next.s);
    next.c /= norm;
    next.s /= norm;
    return next;
}

void nm_curve_place(nm_sketch *sketch, nm_curve *curve, nm_frame frame) {
    if (curve->count == curve->capacity) {
        uint32_t capacity = curve->capacity ? 2 * curve->capacity : 64;
        nm_frame *frames = nm_sketch_alloc(sketch, capacity, sizeof(*frames));
        if (!frames) return;
        for (uint32_t i = 0; i < curve->count; i++) frames[i] = curve->frames[i];
        curve->frames = frames;
        curve->capacity = capacity;
    }
    curve->frames[curve->count++] = frame;
}

void nm_curve_start(nm_sketch *sketch, nm_curve *curve, nm_frame start) {
    *curve = (nm_curve){0};
    nm_curve_place(sketch, curve, start);
}

void nm_curve_line(nm_sketch *sketch, nm_curve *curve, double length) {
    if (sketch->failed || length < 1e-6) return;
    nm_frame start = curve->frames[curve->count - 1];
    uint32_t steps = (uint32_t)ceil(length / STRAIGHT_STEP - 1e-9);
    if (steps == 0) steps = 1;
    for (uint32_t i = 1; i <= steps; i++) {
        double u = length * (double)i / (double)steps;
        nm_curve_place(sketch, curve, (nm_frame){start.x + u * start.c, start.y + u * start.s, start.c, start.s});
    }
}

void nm_curve_bend(nm_sketch *sketch, nm_curve *curve, double length, double k0, double k1) {
    if (sketch->failed || length < 1e-6) return;
    double sharpest = fmax(fabs(k0), fabs(k1));
    double step = fmax(fmin(TURN_STEP / fmax(sharpest, 1e-9), MAX_CURVE_STEP), MIN_CURVE_STEP);
    uint32_t steps = (uint32_t)ceil(length / step - 1e-9);
    if (steps == 0) steps = 1;
    nm_frame at = curve->frames[curve->count - 1];
    for (uint32_t i = 0; i < steps; i++) {
        double from = k0 + (k1 - k0) * (double)i / (double)steps;
        double to = k0 + (k1 - k0) * (double)(i + 1) / (double)steps;
        at = advance(at, length / (double)steps, from, to);
        nm_curve_place(sketch, curve, at);
    }
}

double nm_curve_turn_ratio(double angle) {
    // the unit turn, by the same steps as a drawn one; by symmetry both tangents are equally long
    enum { STEPS = 16 };
    double magnitude = fabs(angle), sine, cosine;
    nm_frame at = {0.0, 0.0, 1.0, 0.0};
    double clothoid = 2.0 * CLOTHOID_SHARE * magnitude, arc = (1.0 - 2.0 * CLOTHOID_SHARE) * magnitude;
    for (int i = 0; i < STEPS; i++) at = advance(at, clothoid / STEPS, (double)i / STEPS, (double)(i + 1) / STEPS);
    for (int i = 0; i < STEPS; i++) at = advance(at, arc / STEPS, 1.0, 1.0);
    for (int i = STEPS; i > 0; i--) at = advance(at, clothoid / STEPS, (double)i / STEPS, (double)(i - 1) / STEPS);
    sine_cosine(magnitude, &sine, &cosine);
    return at.x - at.y * cosine / sine;
}

void nm_curve_turn(nm_sketch *sketch, nm_curve *curve, double before, double after, double angle) {
    double tangent = fmin(before, after);
    double radius = tangent / nm_curve_turn_ratio(angle);
    double curvature = (angle > 0.0 ? 1.0 : -1.0) / radius, magnitude = fabs(angle);
    // a rest under 1 cm is a rounding error: the ends are snapped anyway
    if (before - tangent > 0.01) nm_curve_line(sketch, curve, before - tangent);
    nm_curve_bend(sketch, curve, 2.0 * CLOTHOID_SHARE * magnitude * radius, 0.0, curvature);
    nm_curve_bend(sketch, curve, (1.0 - 2.0 * CLOTHOID_SHARE) * magnitude * radius, curvature, curvature);
    nm_curve_bend(sketch, curve, 2.0 * CLOTHOID_SHARE * magnitude * radius, curvature, 0.0);
    if (after - tangent > 0.01) nm_curve_line(sketch, curve, after - tangent);
}

void nm_curve_reverse(nm_curve *curve) {
    for (uint32_t i = 0, j = curve->count; i < j--; i++) {
        nm_frame a = curve->frames[i], b = curve->frames[j];
        curve->frames[i] = (nm_frame){b.x, b.y, -b.c, -b.s};
        curve->frames[j] = (nm_frame){a.x, a.y, -a.c, -a.s};
    }
}
