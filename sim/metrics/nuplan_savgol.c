/// Filters of the comfort metrics: Savitzky-Golay as SciPy has it, rounding, unwrapping.
#include "sim/math.h"
#include "sim/metrics/nuplan_private.h"

#define MAX_WINDOW 16
#define MAX_DEGREE 3

/// The polynomials 1, u, u^2 - a, u^3 - b u, orthogonal over u = -(w - 1) / 2 .. (w - 1) / 2, and their squared norms.
typedef struct window_basis {
    uint32_t window, degree;
    double a, b, norm[MAX_DEGREE + 1];
} window_basis;

/// The m-th derivatives of the four at u; m is 0, 1 or 2.
static void basis_at(const window_basis *basis, double u, uint32_t m, double f[MAX_DEGREE + 1]) {
    const double values[3][MAX_DEGREE + 1] = {{1.0, u, u * u - basis->a, (u * u - basis->b) * u},
                                              {0.0, 1.0, 2.0 * u, 3.0 * u * u - basis->b},
                                              {0.0, 0.0, 2.0, 6.0 * u}};
    for (uint32_t p = 0; p <= MAX_DEGREE; ++p) f[p] = values[m][p];
}

static double place(const window_basis *basis, uint32_t sample) {
    return (double)sample - 0.5 * (double)(basis->window - 1);
}

static window_basis basis_of(uint32_t window, uint32_t degree) {
    window_basis basis = {.window = window, .degree = degree};
    double sum2 = 0.0, sum4 = 0.0;
    for (uint32_t j = 0; j < window; ++j) {
        const double u = place(&basis, j);
        sum2 += u * u, sum4 += u * u * u * u;
    }
    basis.a = sum2 / (double)window;
    basis.b = sum2 > 0.0 ? sum4 / sum2 : 0.0;
    for (uint32_t j = 0; j < window; ++j) {
        double f[MAX_DEGREE + 1];
        basis_at(&basis, place(&basis, j), 0, f);
        for (uint32_t p = 0; p <= degree; ++p) basis.norm[p] += f[p] * f[p];
    }
    return basis;
}

/// weights[j]: what sample j of the window contributes to the m-th derivative of the fit at u.
static void weigh(const window_basis *basis, double u, uint32_t m, double weights[MAX_WINDOW]) {
    double at[MAX_DEGREE + 1], f[MAX_DEGREE + 1];
    basis_at(basis, u, m, at);
    for (uint32_t j = 0; j < basis->window; ++j) {
        basis_at(basis, place(basis, j), 0, f);
        weights[j] = 0.0;
        for (uint32_t p = 0; p <= basis->degree; ++p) weights[j] += at[p] * f[p] / basis->norm[p];
    }
}

static double weighted(const double *values, const double *weights, uint32_t count) {
    double sum = 0.0;
    for (uint32_t j = 0; j < count; ++j) sum += weights[j] * values[j];
    return sum;
}

void nm_nuplan_savgol(const double *values, uint32_t count, uint32_t window, uint32_t degree, uint32_t derivative,
                      double delta, double *out) {
    if (window > count) window = count;
    NM_ASSERT(window <= MAX_WINDOW && degree <= MAX_DEGREE && degree < window && derivative <= 2);
    const window_basis basis = basis_of(window, degree);
    const uint32_t half = window / 2, last = count - window;
    double scale = 1.0, weights[MAX_WINDOW];
    for (uint32_t m = 0; m < derivative; ++m) scale /= delta;
    weigh(&basis, 0.0, derivative, weights); // the middle of the window: between two samples when it is even
    for (uint32_t i = half; i + half < count; ++i)
        out[i] = scale * weighted(values + i - (window - 1) / 2, weights, window);
    for (uint32_t i = 0; i < half; ++i) {
        weigh(&basis, place(&basis, i), derivative, weights);
        out[i] = scale * weighted(values, weights, window);
        weigh(&basis, place(&basis, window - half + i), derivative, weights);
        out[count - half + i] = scale * weighted(values + last, weights, window);
    }
}

void nm_nuplan_round(double *values, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) values[i] = rint(values[i] * 1e8) / 1e8;
}

void nm_nuplan_unwrap(const double *headings, uint32_t count, double *out) {
    double turns = 0.0;
    for (uint32_t i = 0; i < count; ++i) {
        if (i) turns += rint((headings[i] - headings[i - 1]) / (2.0 * NM_PI));
        out[i] = headings[i] - 2.0 * NM_PI * turns;
    }
}
