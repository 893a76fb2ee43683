/// Drawings to pixels through OpenGL 3.3 core.
///
/// A renderer belongs to the GL context that was current when it was made, and to that context's thread. It keeps GL
/// buffers per drawing that was marked constant, and streams the others. It sets all GL state it needs and leaves the
/// default framebuffer binding as it was.
#ifndef NM_RENDER_RENDERER_H
#define NM_RENDER_RENDERER_H

#include "render/camera.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_renderer nm_renderer;

/// Compiles shaders and loads a font. NM_E_UNSUPPORTED naming the version when GL is older than 3.3; NM_E_NOT_FOUND
/// when there is no font (fonts-dejavu-core).
NM_API nm_status nm_renderer_create(nm_renderer **renderer, nm_error *error);
NM_API void nm_renderer_destroy(nm_renderer *renderer); ///< NULL is fine; the context must be current

/// A part of the framebuffer, px from the upper left corner, `full_height` the framebuffer's.
typedef struct nm_viewport {
    int x, y, width, height, full_height;
} nm_viewport;

NM_API void nm_renderer_clear(nm_renderer *renderer, nm_viewport viewport, nm_rgba colour);
/// Draws world drawings under a camera, layers 1 << layer of `layers` only, layer by layer and in each the first
/// drawing first. At most 8 drawings. In perspective bodies hide what is behind them; all else is painted in order. A
/// bird's-eye camera is moved to the nearest whole pixel. A drawing whose revision is the one of the last call costs no
/// upload, and under a bird's-eye camera that stands or pans over a viewport just cleared it is not even drawn again:
/// pass the map first and the frame second.
NM_API void nm_renderer_world(nm_renderer *renderer, nm_viewport viewport, const nm_camera *camera, uint32_t layers,
                              const nm_drawing *const *drawings, size_t count);
/// Draws screen drawings over it.
NM_API void nm_renderer_screen(nm_renderer *renderer, nm_viewport viewport, uint32_t layers,
                               const nm_drawing *const *drawings, size_t count);
/// Waits until all that was asked for is drawn: for those who measure.
NM_API void nm_renderer_finish(nm_renderer *renderer);
/// Width in px of `text` at a size (height of a capital letter, px).
NM_API float nm_renderer_text_width(const nm_renderer *renderer, const char *text, float size);
/// NM_E_NUMERIC with GL's own message when a call failed since the last check (lost context, out of memory).
NM_API nm_status nm_renderer_check(nm_renderer *renderer, nm_error *error);
NM_API const char *nm_renderer_name(const nm_renderer *renderer); ///< GL_RENDERER and version

#ifdef __cplusplus
}
#endif
#endif
