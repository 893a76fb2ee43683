/// Pictures of maps and scenes as drawings.
///
/// World drawings are flat, at z = 0: the heights that recordings give to lanes, lines and agents come from different
/// sources and do not agree, and simulated agents have none; a car that sinks into the road says less than a flat road.
/// What cannot be drawn (NaN, infinite) is left out. No function allocates but for the drawing it fills.
#ifndef NM_RENDER_SCENE_DRAWING_H
#define NM_RENDER_SCENE_DRAWING_H

#include "render/camera.h"
#include "render/theme.h"
#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Adds everything that does not move: surfaces, markings, edges, crosswalks, stop lines, centrelines. World space.
/// O(points). Thread-safe for different drawings.
NM_API void nm_draw_map(nm_drawing *drawing, const nm_map *map, const nm_theme *theme);

/// One interval in which something dangerous is going on, for highlights and the time line.
typedef struct nm_moment {
    uint32_t first_step, peak_step, last_step;
    uint32_t first, second; ///< tracks, or NM_NONE
    const char *kind;       ///< "cut_in", ...; borrowed
    float severity;         ///< [0, 1]
} nm_moment;

typedef struct nm_frame_options {
    float trail_s, future_s; ///< s of trail and of logged future; default 2, 0
    float warn_ttc_s;        ///< pairs below it are highlighted; 0 = none; default 2
    int labels; ///< 0 none, 1 ego, adversary and whom a moment concerns (default), 2 all; fewer in small pictures
    const nm_moment *moments; ///< nullable
    uint32_t moment_count;
    const nm_point *plan; ///< planned trajectory of the ego, or NULL
    uint32_t plan_count;
    /// How the picture will be seen, so that labels do not overlap in it. NULL: from above, 10 px a metre, north up.
    const nm_camera *camera;
    float view_width, view_height; ///< px, with `camera`
} nm_frame_options;
NM_API nm_frame_options nm_frame_options_default(void);

/// Adds what moves at time `step` (may lie between two steps: states are interpolated): agents as bodies by role,
/// trails, futures, plan, signals with their states, highlights of pairs below the warning TTC, of collisions and of
/// the moments going on, labels. World space. O(agents + near pairs).
NM_API void nm_draw_frame(nm_drawing *drawing, const nm_scene *scene, float step, const nm_frame_options *options,
                          const nm_theme *theme);

NM_API nm_role nm_role_of(const nm_scene *scene, uint32_t track);

// Criticality over time -----------------------------------------------------------------------------------------------

/// What the graphs show, once per scene. Arrays of scene->step_count; INFINITY = no danger, or nobody there. Pairs of
/// two static tracks do not count.
typedef struct nm_series {
    uint32_t steps;
    float *min_ttc;      ///< s, over all pairs: nm_ttc up to 10 s
    float *min_distance; ///< m, up to 100 m
    float *ego_speed;    ///< m/s; of the most endangered agent where there is no ego
    uint8_t *collision;  ///< 1 where two boxes overlap
} nm_series;
NM_API nm_status nm_series_create(const nm_scene *scene, nm_series *series, nm_error *error);
/// The same, which takes O(agents^2) a step at worst, but asks once a step whether to go on: NM_E_CANCELLED where
/// stop(context) is nonzero, and *series is empty. stop NULL = never.
NM_API nm_status nm_series_create_until(const nm_scene *scene, int (*stop)(void *context), void *context,
                                        nm_series *series, nm_error *error);
NM_API void nm_series_destroy(nm_series *series);

/// Adds the panel under the picture, screen space: graphs of the series, a time line with moments and a cursor, the
/// time in s, and the name. Area in px.
typedef struct nm_panel {
    float x, y, width, height;
    float step;
    const char *title; ///< nullable
    const nm_moment *moments;
    uint32_t moment_count;
} nm_panel;
NM_API void nm_draw_panel(nm_drawing *drawing, const nm_scene *scene, const nm_series *series, const nm_panel *panel,
                          const nm_theme *theme);
/// Where its time axis begins and ends, px: step 0 and the last step. For whoever points at it.
NM_API void nm_panel_axis(const nm_panel *panel, float *left, float *right);
/// Adds a scale bar of a round length (1, 2, 5 x 10^n m) that is at most `most_px` long. Its right end at (x, y).
NM_API void nm_draw_scale_bar(nm_drawing *drawing, float x, float y, float pixels_per_metre, float most_px,
                              const nm_theme *theme);

#ifdef __cplusplus
}
#endif
#endif
