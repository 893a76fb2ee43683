/// Pictures and films as files. Nothing half-written: a file appears under its name when it is complete.
#ifndef NM_RENDER_MEDIA_H
#define NM_RENDER_MEDIA_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/// rgba [4 width height], upper row first; alpha is not written. NM_E_IO naming the path (full disk, no permission).
NM_API nm_status nm_png_write(const char *path, const uint8_t *rgba, int width, int height, nm_error *error);
/// Reads an 8-bit RGB or RGBA PNG of at most 8192 x 8192; *rgba by malloc.
NM_API nm_status nm_png_read(const char *path, uint8_t **rgba, int *width, int *height, nm_error *error);

typedef struct nm_film nm_film;
/// MP4 with H.264 (libx264 or what libavcodec has; NM_E_UNSUPPORTED naming what is missing). Width and height even.
/// The same frames give the same bytes for any number of threads.
NM_API nm_status nm_film_open(const char *path, int width, int height, int frames_per_second, int threads,
                              nm_film **film, nm_error *error);
NM_API nm_status nm_film_add(nm_film *film, const uint8_t *rgba, nm_error *error);
/// Finishes and renames into place; on failure, and for nm_film_abandon, nothing is left behind. Releases `film`.
NM_API nm_status nm_film_close(nm_film *film, nm_error *error);
NM_API void nm_film_abandon(nm_film *film); ///< NULL is fine

#ifdef __cplusplus
}
#endif
#endif
