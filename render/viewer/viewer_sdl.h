/// The window around the viewer: SDL2 and OpenGL 3.3.
#ifndef NM_RENDER_VIEWER_SDL_H
#define NM_RENDER_VIEWER_SDL_H

#include "render/viewer/viewer_state.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_viewer_window {
    int width, height;          ///< as the display measures windows: points or px; as the viewer was created with
    float scale;                ///< of texts and panels, over what the display asks for; 0 = 1
    const char *screenshot;     ///< nullable: written before the end
    double exit_after;          ///< s after which it ends; 0 = when it is closed
    int (*stop)(void *context); ///< nullable: asked every frame; not 0 ends it
    void *stop_context;
} nm_viewer_window;

typedef struct nm_viewer_window_stats {
    uint64_t frames;     ///< drawn
    double seconds;      ///< from the first frame to the end
    double draw_seconds; ///< of them composing and handing over to GL
    char renderer[128];  ///< nm_renderer_name
} nm_viewer_window_stats;

/// Opens a window and runs until it is closed. Only from the main thread, once at a time.
///
/// stats    [out, nullable]
/// returns  NM_E_UNSUPPORTED, with what SDL says, when there is no display or no OpenGL 3.3; NM_E_IO when the
/// screenshot
///          could not be written; what drawing returned when GL failed
NM_API nm_status nm_viewer_run(nm_viewer *viewer, const nm_viewer_window *window, nm_viewer_window_stats *stats,
                               nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
