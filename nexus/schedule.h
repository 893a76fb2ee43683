/// Noise-aware schedules: in which order the tokens of a scene lose their noise (nexus-core section 4).
///
/// A token with delay d is, before pass m (m = 0, 1, ...), at level clip(S + d - m, 0, S) / S: it waits d passes at
/// pure noise, then loses one of the S levels a pass. A schedule is a choice of delay by time; an agent may add its
/// own. Tokens that are given (conditions) are at level 0 throughout, whatever the schedule. Pure functions.
#ifndef NM_NEXUS_SCHEDULE_H
#define NM_NEXUS_SCHEDULE_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/// With t = 0 the first time token to generate, W the number of them:
typedef enum nm_schedule_kind {
    NM_SCHEDULE_FULL = 0,       ///< 0: all at once
    NM_SCHEDULE_AUTOREGRESSIVE, ///< S t: one time token after the other
    NM_SCHEDULE_PYRAMID,        ///< floor(c t): the near future first, overlapping
    NM_SCHEDULE_TRAPEZOID,      ///< floor(c min(t, W - 1 - t)): both ends first, so that goals steer
    NM_SCHEDULE_BLOCK           ///< S floor(t / n): blocks of n time tokens, one after the other
} nm_schedule_kind;

typedef struct nm_schedule {
    nm_schedule_kind kind;
    double slope;   ///< c, levels per time token, [0, 4095]; default 1. PYRAMID, TRAPEZOID
    uint32_t block; ///< n, [1, 65535]. BLOCK
} nm_schedule;

#define NM_SCHEDULE_MAX_LEVELS 4095u    ///< S, as nexus/noise.h can tell apart
#define NM_SCHEDULE_MAX_DELAY (1 << 28) ///< delays beyond are cut to it

NM_API nm_schedule nm_schedule_default(void); ///< pyramid, c = 1

/// Reads "full", "ar" (or "autoregressive"), "pyramid", "pyramid:C", "trapezoid", "trapezoid:C", "block:N".
/// NM_E_ARGUMENT, naming what is wrong and what is known, for anything else; `schedule` is then unchanged.
NM_API nm_status nm_schedule_parse(const char *text, nm_schedule *schedule, nm_error *error);
/// Writes the text that parses to `schedule` (at most 40 bytes, always terminated); returns its length.
NM_API size_t nm_schedule_format(const nm_schedule *schedule, char *text, size_t size);

/// Passes that a token at time `t` of `window` waits, t < window. levels: S, [1, NM_SCHEDULE_MAX_LEVELS]. A slope or
/// block out of its range is a caller's bug.
NM_API int32_t nm_schedule_delay(const nm_schedule *schedule, uint32_t levels, uint32_t t, uint32_t window);

/// Delays of packed tokens. time [count] counts from the start of history; time `first` is the first to generate (t =
/// time - first, earlier ones count as 0) and `end` is one past the last. agent_delay [count, nullable] >= 0 is added.
NM_API void nm_schedule_delays(const nm_schedule *schedule, uint32_t levels, uint32_t count, const uint32_t *time,
                               uint32_t first, uint32_t end, const int32_t *agent_delay, int32_t *delay);

/// clip(levels + delay - pass, 0, levels): the level in steps of 1 / levels, before pass `pass`.
static inline uint32_t nm_schedule_level(uint32_t levels, int32_t delay, int64_t pass) {
    const int64_t left = (int64_t)levels + delay - pass;
    return left <= 0 ? 0 : left >= (int64_t)levels ? levels : (uint32_t)left;
}

/// Passes until all of `delay` [count] are at level 0: levels + the largest; 0 without any token.
NM_API int64_t nm_schedule_passes(uint32_t levels, uint32_t count, const int32_t *delay);

/// The matrix of levels as text, for people: a line per time token, a column per pass (at most `columns` of them,
/// equally spaced, the last one included), '#' pure noise, 1..9 tenths of it rounded up (9 up to pure noise), '.'
/// clean. Always terminated; cut at `size`. Returns the length that the whole text has.
NM_API size_t nm_schedule_draw(const nm_schedule *schedule, uint32_t levels, uint32_t window, uint32_t columns,
                               char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
