/// Which stretches of a log become scenes.
///
/// As the devkit extracts a tagged scenario: from the first frame not before the tag's time plus the offset, every
/// second frame (10 Hz of 20) up to `future` seconds later, that moment included; and before it, every second frame
/// again, what a planner is shown as the past. A hole in the recording ends a stretch, which the devkit does not look
/// at.
#include <math.h>

#include "dataset/nuplan.h"

#define MAX_GAP 500000 // us between two frames that belong together

static int64_t time_at(const nm_np_log *log, uint32_t frame) {
    return NM_AT(log->frames, nm_np_frame, frame).time;
}

static int64_t microseconds(double seconds) {
    return (int64_t)llround(seconds * 1e6);
}

/// The first frame at or after a time.
static uint32_t frame_from(const nm_np_log *log, int64_t time) {
    uint32_t low = 0, high = (uint32_t)log->frames.count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (time_at(log, middle) < time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int holds_together(const nm_np_log *log, uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to; ++i)
        if (time_at(log, i + 1) - time_at(log, i) > MAX_GAP) return 0;
    return 1;
}

static int by_size(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/// Every which frame makes 10 Hz: 2 of the 20 Hz that logs have.
static nm_status find_stride(const nm_np_log *log, uint32_t *stride, nm_error *error) {
    const size_t count = log->frames.count;
    *stride = 2;
    if (count < 2) return NM_OK;
    int64_t *steps = malloc((count - 1) * sizeof *steps);
    if (!steps) return NM_ERROR(error, NM_E_MEMORY, "no memory for the log");
    for (uint32_t i = 0; i + 1 < count; ++i) steps[i] = time_at(log, i + 1) - time_at(log, i);
    qsort(steps, count - 1, sizeof *steps, by_size);
    const double ratio = 1e5 / (double)steps[(count - 1) / 2];
    *stride = ratio < 1.5 ? 1 : ratio > 100.0 ? 100 : (uint32_t)lround(ratio);
    free(steps);
    return NM_OK;
}

/// The window of a scenario that begins at `start` (us). Appended when it has a second of future.
static nm_status add_window(const nm_np_log *log, const nm_import_nuplan *options, uint32_t stride, uint32_t tagged,
                            int64_t start, double future, nm_pile *windows, nm_error *error) {
    const uint32_t count = (uint32_t)log->frames.count;
    const uint32_t now = frame_from(log, start);
    // the past is counted in samples, the future by time, as the devkit does
    const uint32_t past = (uint32_t)lround(options->past * 10.0);
    const int64_t end = start + microseconds(future);
    nm_np_window window = {.tagged = tagged, .first = now, .count = 1, .stride = stride};
    if (now >= count) return NM_OK;
    while (window.current < past && window.first >= stride &&
           holds_together(log, window.first - stride, window.first)) {
        window.first -= stride;
        window.current++;
    }
    uint32_t last = now;
    while (count - last > stride && time_at(log, last + stride) <= end && holds_together(log, last, last + stride))
        last += stride;
    if (time_at(log, last) - time_at(log, now) < microseconds(fmin(1.0, future)) - 50000) return NM_OK;
    window.count = window.current + (last - now) / stride + 1;
    nm_np_window *to = NM_PUSH(windows, nm_np_window, 1);
    if (!to) return NM_ERROR(error, NM_E_MEMORY, "no memory for the windows of a log");
    *to = window;
    return NM_OK;
}

static nm_status cut(const nm_np_log *log, const nm_import_nuplan *options, uint32_t stride, double length,
                     nm_pile *windows, nm_error *error) {
    nm_status status = NM_OK;
    const uint32_t count = (uint32_t)log->frames.count;
    const uint32_t past = (uint32_t)lround(options->past * 10.0) * stride;
    // the first scene has a past, too; the last frame of one is the first of the next
    for (uint32_t i = past < count ? past : count; status == NM_OK && i < count;) {
        const int64_t start = time_at(log, i);
        status = add_window(log, options, stride, i, start, length, windows, error);
        const uint32_t next = frame_from(log, start + microseconds(length));
        i = next > i ? next : i + 1;
    }
    return status;
}

/// Is the name one of a list with commas?
static int is_listed(const char *list, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = list; *at;) {
        const size_t part = strcspn(at, ",");
        if (part == length && memcmp(at, name, length) == 0) return 1;
        at += part + (at[part] == ',');
    }
    return 0;
}

static nm_status follow_tags(const nm_np_log *log, const nm_import_nuplan *options, uint32_t stride, nm_pile *windows,
                             nm_error *error) {
    uint8_t wanted[NM_NP_MAX_TYPES];
    int64_t last[NM_NP_MAX_TYPES];
    nm_status status = NM_OK;
    for (size_t i = 0; i < log->types.count; ++i) {
        wanted[i] = !options->types || is_listed(options->types, NM_AT(log->types, nm_np_type, i).name);
        last[i] = INT64_MIN / 2;
    }
    for (uint32_t f = 0; status == NM_OK && f < log->frames.count; ++f) {
        const nm_np_frame *frame = &NM_AT(log->frames, nm_np_frame, f);
        const nm_np_tag *tags = log->tags.count ? &NM_AT(log->tags, nm_np_tag, frame->tags.first) : NULL;
        int taken = 0;
        for (uint32_t i = 0; i < frame->tags.count; ++i)
            taken |= wanted[tags[i].type] && frame->time - last[tags[i].type] >= microseconds(options->spacing);
        if (!taken) continue;
        // every type of the frame is in that scene
        for (uint32_t i = 0; i < frame->tags.count; ++i) last[tags[i].type] = frame->time;
        status = add_window(log, options, stride, f, frame->time + microseconds(options->offset), options->future,
                            windows, error);
    }
    return status;
}

static int in_range(double value, double low, double high) {
    return value >= low && value <= high;
}

nm_status nm_np_plan(const nm_np_log *log, const nm_import_nuplan *options, nm_pile *windows, nm_error *error) {
    if (!in_range(options->windows, 0.0, 3600.0) || !in_range(options->spacing, 0.0, 1e6) ||
        !in_range(options->offset, -3600.0, 3600.0) || !in_range(options->past, 0.0, 3600.0) ||
        !in_range(options->future, 0.1, 3600.0) || !in_range(options->radius, 1.0, 1e6))
        return NM_ERROR(error, NM_E_ARGUMENT, "an option of the nuPlan import makes no sense");
    uint32_t stride;
    windows->count = 0;
    nm_status status = find_stride(log, &stride, error);
    if (status != NM_OK) return status;
    if (options->windows > 0.0) return cut(log, options, stride, options->windows, windows, error);
    if (log->tags.count == 0 && !options->types) return cut(log, options, stride, options->future, windows, error);
    return follow_tags(log, options, stride, windows, error);
}
