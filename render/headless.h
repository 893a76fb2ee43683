/// Pictures without a screen: an EGL surfaceless context (software or GPU) with a framebuffer of its own.
#ifndef NM_RENDER_HEADLESS_H
#define NM_RENDER_HEADLESS_H

#include "render/renderer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_headless nm_headless;

/// device  NULL: the first that works, a GPU before software; "software"; or a number of EGL_EXT_device_enumeration
/// NM_E_UNSUPPORTED, saying what was tried and why it failed, where there is no EGL or no GL 3.3. The context is
/// current in the calling thread afterwards, and has to be for all that follows: one at a time per thread. 1 <= width,
/// height <= 8192. After a failure the context that was current before is current again.
NM_API nm_status nm_headless_create(int width, int height, const char *device, nm_headless **headless, nm_error *error);
/// NULL is fine. A context of another one that is current stays so.
NM_API void nm_headless_destroy(nm_headless *headless);
NM_API nm_renderer *nm_headless_renderer(nm_headless *headless);
NM_API nm_status nm_headless_resize(nm_headless *headless, int width, int height, nm_error *error);
NM_API nm_viewport nm_headless_viewport(const nm_headless *headless);
/// The framebuffer as RGBA, upper row first: pixels [out, 4 width height]. Waits for the drawing to end. Two frames can
/// overlap: begin starts the copy of the frame just drawn, end waits for it and may be called after the next was drawn.
NM_API nm_status nm_headless_read(nm_headless *headless, uint8_t *pixels, nm_error *error);
NM_API nm_status nm_headless_read_begin(nm_headless *headless, nm_error *error);
NM_API nm_status nm_headless_read_end(nm_headless *headless, uint8_t *pixels, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
