/// Progress bar on standard error with rate and time left. Silent when standard error is not a terminal or when told
/// so.
#ifndef NM_BASE_PROGRESS_H
#define NM_BASE_PROGRESS_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_progress nm_progress;

/// title   short verb, such as "import"; unit: what is counted, such as "files"
/// total   0 = unknown (shows count and rate only)
/// Returns NULL when silent (or out of memory): every other call accepts NULL and does nothing.
NM_API nm_progress *nm_progress_start(const char *title, const char *unit, uint64_t total, int quiet);
NM_API void nm_progress_add(nm_progress *progress, uint64_t done);     ///< thread-safe; draws at most 10 times a second
NM_API void nm_progress_note(nm_progress *progress, const char *text); ///< a short live text behind the bar, copied
NM_API void nm_progress_finish(nm_progress *progress);                 ///< clears the line and releases

/// Formats one bar line, for tests: e.g. "import  42% [====      ] 42/100 files  21.0 files/s  0:02 left  note".
NM_API void nm_progress_format(char *text, size_t size, const char *title, const char *unit, uint64_t done,
                               uint64_t total, double seconds, const char *note);

/// Seconds on a monotonic clock, for rates and benchmarks. Never used to compute results.
NM_API double nm_clock(void);

#ifdef __cplusplus
}
#endif
#endif
