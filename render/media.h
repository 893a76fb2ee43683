/// Pictures and films as files. Nothing half-written: a file appears under its name when it is complete, until then it
/// lies beside it as NAME.RANDOM.part (which a killed process leaves). Where the path is a link, the file behind it is
/// replaced. A device is written directly, and so is a pipe, which can take pictures but no films: an MP4's end is
/// known before its beginning is. All calls are safe for different files at the same time.
#ifndef NM_RENDER_MEDIA_H
#define NM_RENDER_MEDIA_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/// rgba [4 width height], upper row first; alpha is not written. 1 <= width, height. NM_E_IO naming the path (full
/// disk, no permission), NM_E_MEMORY.
NM_API nm_status nm_png_write(const char *path, const uint8_t *rgba, int width, int height, nm_error *error);
/// The same into memory: *bytes by malloc, NULL on failure, which is NM_E_MEMORY. For small pictures in other files.
NM_API nm_status nm_png_encode(const uint8_t *rgba, int width, int height, uint8_t **bytes, size_t *count,
                               nm_error *error);
/// Reads an 8-bit RGB or RGBA PNG of at most 8192 x 8192; *rgba by malloc. On failure *rgba is NULL: NM_E_IO when it
/// can not be opened, NM_E_FORMAT for what is no such PNG, NM_E_MEMORY.
NM_API nm_status nm_png_read(const char *path, uint8_t **rgba, int *width, int *height, nm_error *error);

typedef struct nm_film nm_film;
/// MP4 with H.264 (libx264 or what libavcodec has; NM_E_UNSUPPORTED naming what is missing). Width and height are even,
/// from 2 to NM_FILM_MOST_PX, frames_per_second from 1 to NM_FILM_MOST_FPS: else NM_E_ARGUMENT. threads 0: as many as
/// there are cores. The same frames give the same bytes for any number of threads. *film is NULL on failure.
#define NM_FILM_MOST_PX 8192
#define NM_FILM_MOST_FPS 240
NM_API nm_status nm_film_open(const char *path, int width, int height, int frames_per_second, int threads,
                              nm_film **film, nm_error *error);
/// rgba [4 width height], upper row first; it is not kept. After a failure the film can only be closed, which fails
/// likewise, or abandoned.
NM_API nm_status nm_film_add(nm_film *film, const uint8_t *rgba, nm_error *error);
/// Finishes and renames into place; on failure, and for nm_film_abandon, nothing is left behind. Releases `film`. A
/// film without frames is refused: NM_E_ARGUMENT.
NM_API nm_status nm_film_close(nm_film *film, nm_error *error);
NM_API void nm_film_abandon(nm_film *film); ///< NULL is fine

#ifdef __cplusplus
}
#endif
#endif
