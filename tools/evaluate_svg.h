/// Charts as inline SVG, coloured by the classes of evaluate.css: s0 to s8 are strokes, f0 to f8 fillings.
#ifndef NM_TOOLS_EVALUATE_SVG_H
#define NM_TOOLS_EVALUATE_SVG_H

#include <stddef.h>
#include <stdio.h>

/// Values of a planner, ascending, finite.
typedef struct nm_svg_series {
    const char *name;
    int colour; ///< 0 to 8
    const double *values;
    size_t count;
    size_t total; ///< what 100 % is; >= count: some have no value
} nm_svg_series;

typedef struct nm_svg_chart {
    const char *title; ///< for those who cannot see it
    const char *x_label;
    double low, high; ///< of the x axis, low < high; > 0 when logarithmic
    int logarithmic;
    int digits; ///< behind the point of its numbers
} nm_svg_chart;

/// Which share of each series is at most x (empirical distribution functions).
void nm_svg_shares(FILE *file, const nm_svg_chart *chart, const nm_svg_series *series, size_t count);
/// Which share of each series lies in each of ten bins from low to high; the last one includes high.
void nm_svg_histogram(FILE *file, const nm_svg_chart *chart, const nm_svg_series *series, size_t count);
/// A number with its interval on an axis from -reach to reach, reach > 0, with a line at 0.
void nm_svg_interval(FILE *file, double value, double low, double high, double reach);

#endif
