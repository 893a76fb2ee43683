/// Colours by meaning, for day and dark, told apart by colour-blind people too: roles differ in lightness as well as
/// hue (Okabe and Ito 2008), and every state that matters has a shape or a text beside its colour.
#ifndef NM_RENDER_THEME_H
#define NM_RENDER_THEME_H

#include "render/drawing.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_theme_kind { NM_THEME_DAY = 0, NM_THEME_DARK } nm_theme_kind;

/// What an agent is in a picture.
typedef enum nm_role {
    NM_ROLE_EGO = 0,
    NM_ROLE_ADVERSARY,
    NM_ROLE_VEHICLE,
    NM_ROLE_LARGE, ///< truck, bus, train
    NM_ROLE_CYCLIST,
    NM_ROLE_PEDESTRIAN,
    NM_ROLE_STATIC, ///< parked, obstacle
    NM_ROLE_COUNT
} nm_role;

typedef struct nm_theme {
    nm_rgba background;
    nm_rgba lane, junction, shoulder, bike_lane, sidewalk, driveway; ///< surfaces
    nm_rgba crosswalk, stop_line, marking_white, marking_yellow, edge, centre;
    nm_rgba signal_stop, signal_caution, signal_go, signal_off;
    nm_rgba role[NM_ROLE_COUNT], outline[NM_ROLE_COUNT];
    nm_rgba trail, future, plan, warning, collision, goal;
    nm_rgba text, text_halo, panel, panel_line, panel_graph, panel_mark;
    nm_rgba noise[2]; ///< of a token at level 0 and at level 1; between them by nm_noise_colour
} nm_theme;

NM_API const nm_theme *nm_theme_of(nm_theme_kind kind);
/// Colour of a noise level in [0, 1]: even steps of lightness.
NM_API nm_rgba nm_noise_colour(const nm_theme *theme, float level);
NM_API const char *nm_role_name(nm_role role); ///< "ego", ...

#ifdef __cplusplus
}
#endif
#endif
