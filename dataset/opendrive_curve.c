/// Reference lines: where each kind of geometry runs.
///
/// In the frame of the geometry's start (u along its heading, v to the left), at ds m from it:
///   line        u = ds, v = 0
///   arc         u = sin(k ds) / k, v = (1 - cos(k ds)) / k
///   spiral      heading(ds) = k0 ds + (k1 - k0) ds^2 / (2 length); u, v are the integrals of its cosine and sine
///   poly3       v = a + b u + c u^2 + d u^3
///   paramPoly3  u = aU + bU p + cU p^2 + dU p^3, v likewise
/// The integrals are done by Gauss-Legendre quadrature (five points) over stretches short enough for 1e-9 m.
#include <math.h>

#include "dataset/opendrive.h"

#define MAX_TURN 1000.0 // rad a geometry may bend by in all: 160 loops
#define SPIRAL_STEP 0.5 // rad of bend integrated at a time

static const double node[5] = {-0.9061798459386640, -0.5384693101056831, 0.0, 0.5384693101056831, 0.9061798459386640};
static const double weight[5] = {0.2369268850561891, 0.4786286704993665, 0.5688888888888889, 0.4786286704993665,
                                 0.2369268850561891};

static double cubic(const double k[4], double p) {
    return k[0] + p * (k[1] + p * (k[2] + p * k[3]));
}
static double slope(const double k[4], double p) {
    return k[1] + p * (2.0 * k[2] + p * 3.0 * k[3]);
}

static double speed(const nm_od_geometry *g, double p) {
    double du = slope(g->u, p), dv = slope(g->v, p);
    return sqrt(du * du + dv * dv);
}

/// Length of a cubic from p to q.
static double arc_length(const nm_od_geometry *g, double p, double q) {
    double middle = 0.5 * (p + q), half = 0.5 * (q - p), sum = 0.0;
    for (int i = 0; i < 5; ++i) sum += weight[i] * speed(g, middle + half * node[i]);
    return half * sum;
}

/// Fills the table for a cubic whose p ends at `end`; returns the whole length.
static double fill_table(nm_od_geometry *g, double end) {
    g->end = end;
    g->arc[0] = 0.0;
    for (int i = 0; i < NM_OD_KNOTS; ++i)
        g->arc[i + 1] = g->arc[i] + arc_length(g, end * i / NM_OD_KNOTS, end * (i + 1) / NM_OD_KNOTS);
    return g->arc[NM_OD_KNOTS];
}

double nm_od_geometry_turn(const nm_od_geometry *g) {
    switch ((nm_od_shape)g->shape) {
    case NM_OD_ARC:
        return fabs(g->u[0]) * g->length;
    case NM_OD_SPIRAL:
        return 0.5 * (fabs(g->u[0]) + fabs(g->u[1])) * g->length;
    case NM_OD_POLY3:
    case NM_OD_PARAM_POLY3: // a plane cubic turns by less than 2 pi: its hodograph is a parabola
        return 4.0;
    default:
        return 0.0;
    }
}

const char *nm_od_geometry_prepare(nm_od_geometry *g) {
    for (int i = 0; i < 4; ++i) {
        if (!(fabs(g->u[i]) < 1e12 && fabs(g->v[i]) < 1e12)) return "a geometry's coefficient is over 1e12";
    }
    if (nm_od_geometry_turn(g) > MAX_TURN) return "a geometry that bends by more than 1000 rad";
    if (g->shape == NM_OD_PARAM_POLY3) {
        double length = fill_table(g, g->normalized ? 1.0 : g->length);
        if (!(length > 1e-9 && length < 1e7)) return "a paramPoly3 whose curve has no length, or no end";
        // the curve is scaled to the length stated; a tenth is more than any rounding or other reading of it makes
        if (length > 1.5 * g->length + 1.0 || length < g->length / 1.5 - 1.0)
            return "a paramPoly3 whose curve is not as long as it says";
    } else if (g->shape == NM_OD_POLY3) {
        // where u has come when the curve is as long as stated; between 0 and that length, and the length grows with u
        double low = 0.0, high = g->length;
        for (int i = 0; i < 60 && high - low > 1e-12 * g->length; ++i) {
            double middle = 0.5 * (low + high);
            if (fill_table(g, middle) < g->length)
                low = middle;
            else
                high = middle;
        }
        fill_table(g, high);
    }
    return NULL;
}

/// p of a cubic at a share (0..1) of its length.
static double parameter_at(const nm_od_geometry *g, double share) {
    double arc = share * g->arc[NM_OD_KNOTS];
    int low = 0, high = NM_OD_KNOTS;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (g->arc[middle] <= arc)
            low = middle;
        else
            high = middle;
    }
    double from = g->end * low / NM_OD_KNOTS, step = g->end / NM_OD_KNOTS;
    double whole = g->arc[low + 1] - g->arc[low], wanted = arc - g->arc[low];
    double p = from + (whole > 0.0 ? step * wanted / whole : 0.0);
    for (int i = 0; i < 4; ++i) {
        double v = speed(g, p), off = arc_length(g, from, p) - wanted;
        if (!(v > 1e-9) || fabs(off) < 1e-10) break;
        p -= off / v;
        p = fmin(fmax(p, from - 0.5 * step), from + 1.5 * step);
    }
    return p;
}

/// Integrates the spiral from its start; the heading there is 0.
static void spiral_at(const nm_od_geometry *g, double ds, double *u, double *v, double *turn) {
    double k = g->u[0], rate = (g->u[1] - g->u[0]) / g->length;
    double bend = (fabs(k) + fabs(k + rate * ds)) * 0.5 * fabs(ds);
    int steps = 1 + (int)(bend / SPIRAL_STEP);
    double step = ds / steps, sum_u = 0.0, sum_v = 0.0;
    for (int i = 0; i < steps; ++i) {
        double middle = step * (i + 0.5), half = 0.5 * step;
        for (int n = 0; n < 5; ++n) {
            double s = middle + half * node[n], h = s * (k + 0.5 * rate * s);
            sum_u += weight[n] * half * cos(h);
            sum_v += weight[n] * half * sin(h);
        }
    }
    *u = sum_u;
    *v = sum_v;
    *turn = ds * (k + 0.5 * rate * ds);
}

nm_od_pose nm_od_geometry_at(const nm_od_geometry *g, double ds) {
    double u = ds, v = 0.0, turn = 0.0;
    switch ((nm_od_shape)g->shape) {
    case NM_OD_ARC: {
        double k = g->u[0];
        turn = k * ds;
        // (1 - cos a) / a = sin^2(a / 2) / (a / 2): exact where a is small
        double half = 0.5 * turn, sinc = fabs(half) > 1e-9 ? sin(half) / half : 1.0;
        u = ds * sinc * cos(half);
        v = ds * sinc * sin(half);
        break;
    }
    case NM_OD_SPIRAL:
        spiral_at(g, ds, &u, &v, &turn);
        break;
    case NM_OD_POLY3:
    case NM_OD_PARAM_POLY3: {
        double p = parameter_at(g, ds / g->length);
        double du = slope(g->u, p), dv = slope(g->v, p);
        u = cubic(g->u, p);
        v = cubic(g->v, p);
        if (g->shape == NM_OD_POLY3) u = p;
        turn = du * du + dv * dv > 1e-18 ? atan2(dv, du) : 0.0;
        break;
    }
    default:
        break;
    }
    double c = cos(g->hdg), s = sin(g->hdg);
    return (nm_od_pose){g->x + u * c - v * s, g->y + u * s + v * c, g->hdg + turn};
}
