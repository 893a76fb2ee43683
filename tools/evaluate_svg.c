#include "tools/evaluate_svg.h"

#include <math.h>

#include "tools/markup.h"

#define WIDTH 520.0
#define HEIGHT 270.0
#define LEFT 44.0
#define RIGHT 508.0
#define TOP 10.0
#define BOTTOM 224.0
#define POINTS_MOST 400u ///< of a line
#define BINS 10

static void begin(FILE *file, const char *title) {
    fprintf(file, "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    nm_markup_text(file, title);
    fputs("\">\n", file);
}

static double y_of(double share) {
    return BOTTOM - share * (BOTTOM - TOP);
}

static double x_of(const nm_svg_chart *chart, double value) {
    double at = (value - chart->low) / (chart->high - chart->low);
    if (chart->logarithmic) at = log(value / chart->low) / log(chart->high / chart->low);
    return LEFT + fmin(fmax(at, 0.0), 1.0) * (RIGHT - LEFT);
}

/// Lines at every quarter up to `most`, a share.
static void draw_y_axis(FILE *file, double most) {
    for (int i = 0; i <= 4; ++i) {
        const double y = y_of(0.25 * i);
        fprintf(file, "<line class=\"%s\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/>", i ? "grid" : "axis", LEFT,
                RIGHT, y, y);
        fprintf(file, "<text x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%.3g %%</text>\n", LEFT - 6, y + 4,
                25.0 * i * most);
    }
}

static void draw_tick(FILE *file, const nm_svg_chart *chart, double value, int digits) {
    const double x = x_of(chart, value);
    fprintf(file, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%g\" y2=\"%g\"/>", x, x, BOTTOM, BOTTOM + 4);
    fprintf(file, "<text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%.*f</text>\n", x, BOTTOM + 18, digits, value);
}

static void draw_x_axis(FILE *file, const nm_svg_chart *chart) {
    if (chart->logarithmic) {
        for (double decade = pow(10.0, ceil(log10(chart->low) - 1e-9)); decade <= chart->high * (1.0 + 1e-9);
             decade *= 10.0)
            draw_tick(file, chart, decade, decade < 0.99 ? (int)lround(-log10(decade)) : 0);
    } else {
        for (int i = 0; i <= 5; ++i)
            draw_tick(file, chart, chart->low + 0.2 * i * (chart->high - chart->low), chart->digits);
    }
    fprintf(file, "<text x=\"%g\" y=\"%g\" text-anchor=\"middle\">", 0.5 * (LEFT + RIGHT), HEIGHT - 8);
    nm_markup_text(file, chart->x_label);
    fputs("</text>\n", file);
}

/// Steps up at each value; of very many, at so many of them evenly.
static void draw_steps(FILE *file, const nm_svg_chart *chart, const nm_svg_series *s) {
    const size_t steps = s->count < POINTS_MOST ? s->count : POINTS_MOST;
    fprintf(file, "<path class=\"line s%d\" d=\"M%g %g", s->colour, LEFT, BOTTOM);
    for (size_t i = 1; i <= steps; ++i) {
        const size_t upto = i * s->count / steps;
        fprintf(file, "H%.1fV%.1f", x_of(chart, s->values[upto - 1]), y_of((double)upto / (double)s->total));
    }
    fprintf(file, "H%g\"><title>", RIGHT);
    nm_markup_text(file, s->name);
    fputs("</title></path>\n", file);
}

void nm_svg_shares(FILE *file, const nm_svg_chart *chart, const nm_svg_series *series, size_t count) {
    begin(file, chart->title);
    draw_y_axis(file, 1.0);
    draw_x_axis(file, chart);
    for (size_t i = 0; i < count; ++i)
        if (series[i].total) draw_steps(file, chart, &series[i]);
    fputs("</svg>\n", file);
}

static void count_bins(const nm_svg_chart *chart, const nm_svg_series *s, double shares[BINS]) {
    for (int b = 0; b < BINS; ++b) shares[b] = 0.0;
    for (size_t i = 0; i < s->count; ++i) {
        const double at = BINS * (s->values[i] - chart->low) / (chart->high - chart->low);
        shares[at < 0.0 ? 0 : at < BINS ? (int)at : BINS - 1] += 1.0 / (double)s->total;
    }
}

void nm_svg_histogram(FILE *file, const nm_svg_chart *chart, const nm_svg_series *series, size_t count) {
    double most = 0.0, shares[BINS];
    for (size_t i = 0; i < count; ++i) {
        count_bins(chart, &series[i], shares);
        for (int b = 0; b < BINS; ++b) most = fmax(most, shares[b]);
    }
    most = fmin(fmax(0.2, ceil(5.0 * most - 1e-9) / 5.0), 1.0);
    const double bin = (RIGHT - LEFT) / BINS, wide = 0.84 * bin / (double)(count ? count : 1);
    begin(file, chart->title);
    draw_y_axis(file, most);
    draw_x_axis(file, chart);
    for (size_t i = 0; i < count; ++i) {
        count_bins(chart, &series[i], shares);
        for (int b = 0; b < BINS; ++b) {
            if (!(shares[b] > 0.0)) continue;
            const double y = y_of(shares[b] / most);
            fprintf(file, "<rect class=\"f%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>",
                    series[i].colour, LEFT + bin * (b + 0.08) + wide * (double)i, y, fmax(1.0, wide - 1.0), BOTTOM - y);
            nm_markup_text(file, series[i].name);
            fprintf(file, ": %.1f %%</title></rect>\n", 100.0 * shares[b]);
        }
    }
    fputs("</svg>\n", file);
}

void nm_svg_interval(FILE *file, double value, double low, double high, double reach) {
    const double scale = 92.0 / reach;
    fprintf(file,
            "<svg class=\"interval\" viewBox=\"0 0 200 18\" role=\"img\" aria-label=\"%+.4f, from %+.4f to %+.4f\">",
            value, low, high);
    fputs("<line class=\"zero\" x1=\"100\" x2=\"100\" y1=\"1\" y2=\"17\"/>", file);
    fprintf(file, "<line class=\"bar\" x1=\"%.1f\" x2=\"%.1f\" y1=\"9\" y2=\"9\"/>", 100.0 + scale * low,
            100.0 + scale * high);
    fprintf(file, "<circle class=\"dot\" cx=\"%.1f\" cy=\"9\" r=\"4\"/></svg>", 100.0 + scale * value);
}
