/// Line charts, bars and histograms as PNG files, drawn by the processor: no OpenGL, no display. For curves of training
/// and evaluation, and for counts.
///
/// The same plot gives the same pixels on machines with the same font and FreeType. Nothing is kept between calls:
/// several threads may plot at once.
#ifndef NM_RENDER_PLOT_H
#define NM_RENDER_PLOT_H

#include "render/theme.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_PLOT_MAX_SERIES 16 ///< more lines are not told apart

/// A line through points in the order given. Points with a NaN or an infinity, or with a value <= 0 on a logarithmic
/// axis, are left out and interrupt the line; a point between two such is a dot. How many were left out is written into
/// the picture. Any number of points: what falls into one column of pixels is drawn as its first, lowest, highest and
/// last point, which looks the same as all of them (Jugel et al., "M4: a visualization-oriented time series data
/// aggregation", PVLDB 7, 2014).
typedef struct nm_plot_series {
    const char *name; ///< for the legend; NULL or "" = not in it
    const double *x, *y;
    size_t count;
} nm_plot_series;

typedef struct nm_plot_axis {
    const char *label; ///< such as "speed"; NULL = none
    const char *unit;  ///< such as "m/s", written in brackets behind the label; NULL = none
    int logarithmic;   ///< 1: decades
    double low, high;  ///< what is shown; NaN (default) = from the data. On a logarithmic axis > 0
} nm_plot_axis;

/// Fill with nm_plot_default().
typedef struct nm_plot {
    int width, height;   ///< px, 200 to 8192; default 1000 x 600
    nm_theme_kind theme; ///< default day
    const char *title;   ///< NULL = none
    nm_plot_axis x, y;
    const nm_plot_series *series; ///< [series_count]; colours in this order, and dashed from the sixth on
    size_t series_count;          ///< 0 to NM_PLOT_MAX_SERIES: none gives axes without lines
} nm_plot;
NM_API nm_plot nm_plot_default(void);

/// rgba [out, 4 width height], upper row first, opaque. NM_E_ARGUMENT for a size or a range that makes no sense,
/// NM_E_LIMIT for too many series, NM_E_NOT_FOUND when there is no font (fonts-dejavu-core), NM_E_MEMORY. Texts that
/// are too long for the picture are cut.
NM_API nm_status nm_plot_draw(const nm_plot *plot, uint8_t *rgba, nm_error *error);
/// The same into a PNG file, which appears under its name when it is complete. NM_E_IO besides.
NM_API nm_status nm_plot_png(const nm_plot *plot, const char *path, nm_error *error);
/// Colour of series `index` (taken modulo 5).
NM_API nm_rgba nm_plot_colour(nm_theme_kind theme, size_t index);

// --- bars ------------------------------------------------------------------------------------------------------------

#define NM_BARS_MAX 256      ///< rows or columns
#define NM_BARS_MAX_SERIES 5 ///< colours

typedef struct nm_bar_series {
    const char *name;     ///< for the legend; NULL or "" = not in it
    const double *values; ///< [count] of the bars: finite, >= 0
} nm_bar_series;

/// Fill with nm_bars_default(). With names: a row for each, the name on the left, its sum behind the bar. Without: a
/// histogram, columns of the same width from x.low to x.high.
typedef struct nm_bars {
    int width, height;        ///< px, 200 to 8192; default 1000 x 600. nm_bars_height gives what rows want
    nm_theme_kind theme;      ///< default day
    const char *title;        ///< NULL = none
    const char *const *names; ///< [count] or NULL
    size_t count;             ///< 0 to NM_BARS_MAX
    nm_plot_axis value; ///< of the bars, always from 0; high NaN (default) = from the data, low and logarithmic unused
    nm_plot_axis x;     ///< of a histogram: low < high, linear
    const nm_bar_series *series; ///< [series_count], one stacked upon the other
    size_t series_count;         ///< 0 to NM_BARS_MAX_SERIES
} nm_bars;
NM_API nm_bars nm_bars_default(void);
NM_API int nm_bars_height(size_t rows); ///< px in which so many rows can be read, at most 8192

/// As nm_plot_draw and nm_plot_png. NM_E_ARGUMENT also for a value that is negative or not finite.
NM_API nm_status nm_bars_draw(const nm_bars *bars, uint8_t *rgba, nm_error *error);
NM_API nm_status nm_bars_png(const nm_bars *bars, const char *path, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
