#include "nexus/schedule.h"

#include "base/decimal.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum argument { ARGUMENT_NONE, ARGUMENT_SLOPE, ARGUMENT_BLOCK } argument;

static const struct {
    const char *name;
    nm_schedule_kind kind;
    argument argument;
} names[] = {
    {"full", NM_SCHEDULE_FULL, ARGUMENT_NONE},
    {"ar", NM_SCHEDULE_AUTOREGRESSIVE, ARGUMENT_NONE},
    {"autoregressive", NM_SCHEDULE_AUTOREGRESSIVE, ARGUMENT_NONE},
    {"pyramid", NM_SCHEDULE_PYRAMID, ARGUMENT_SLOPE},
    {"trapezoid", NM_SCHEDULE_TRAPEZOID, ARGUMENT_SLOPE},
    {"block", NM_SCHEDULE_BLOCK, ARGUMENT_BLOCK},
};
#define NAME_COUNT (sizeof names / sizeof *names)
#define KNOWN "full, ar, pyramid:C, trapezoid:C, block:N"
#define MOST_BLOCK 65535u

nm_schedule nm_schedule_default(void) {
    return (nm_schedule){.kind = NM_SCHEDULE_PYRAMID, .slope = 1.0, .block = 1};
}

static nm_status unknown_name(const char *text, nm_error *error) {
    const size_t length = strcspn(text, ":");
    char name[32], shown[160];
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), text);
    nm_text_escape(shown, sizeof shown, name);
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (nm_text_distance(name, names[i].name) <= 2 && length > 2) {
            return NM_ERROR(error, NM_E_ARGUMENT, "no schedule \"%s\": did you mean \"%s\"? Known are " KNOWN, shown,
                            names[i].name);
        }
    }
    return NM_ERROR(error, NM_E_ARGUMENT, "no schedule \"%s\"; known are " KNOWN, shown);
}

/// The number after the colon, which must be all of the text and in [low, high].
static nm_status read_number(const char *name, const char *text, double low, double high, double *value,
                             nm_error *error) {
    char shown[96];
    nm_text_escape(shown, sizeof shown, text);
    const size_t length = strlen(text);
    // digits and a point only: a parameter of a schedule needs no sign, exponent or blanks
    if (strspn(text, "0123456789.") != length || !nm_decimal_parse(text, length, value)) {
        return NM_ERROR(error, NM_E_ARGUMENT, "schedule %s: \"%s\" is not a number", name, shown);
    }
    if (!(*value >= low && *value <= high)) {
        return NM_ERROR(error, NM_E_ARGUMENT, "schedule %s: %s is outside %g..%g", name, shown, low, high);
    }
    return NM_OK;
}

nm_status nm_schedule_parse(const char *text, nm_schedule *schedule, nm_error *error) {
    NM_ASSERT(text && schedule);
    const size_t length = strcspn(text, ":");
    size_t i = 0;
    while (i < NAME_COUNT && !(strlen(names[i].name) == length && !strncmp(text, names[i].name, length))) i++;
    if (i == NAME_COUNT) return unknown_name(text, error);

    const char *name = names[i].name, *rest = text[length] ? text + length + 1 : NULL;
    nm_schedule read = nm_schedule_default();
    read.kind = names[i].kind;
    double value = 0.0;
    if (names[i].argument == ARGUMENT_NONE && rest) {
        return NM_ERROR(error, NM_E_ARGUMENT, "schedule %s takes no number", name);
    }
    if (names[i].argument == ARGUMENT_SLOPE && rest) {
        const nm_status status = read_number(name, rest, 0.0, NM_SCHEDULE_MAX_LEVELS, &value, error);
        if (status) return status;
        read.slope = value;
    }
    if (names[i].argument == ARGUMENT_BLOCK) {
        if (!rest) return NM_ERROR(error, NM_E_ARGUMENT, "schedule block needs its size, such as \"block:4\"");
        const nm_status status = read_number(name, rest, 1.0, MOST_BLOCK, &value, error);
        if (status) return status;
        if (value != floor(value)) {
            return NM_ERROR(error, NM_E_ARGUMENT, "schedule block: %g is not a whole number", value);
        }
        read.block = (uint32_t)value;
    }
    *schedule = read;
    return NM_OK;
}

size_t nm_schedule_format(const nm_schedule *schedule, char *text, size_t size) {
    int length = 0;
    switch (schedule->kind) {
    case NM_SCHEDULE_FULL:
        length = snprintf(text, size, "full");
        break;
    case NM_SCHEDULE_AUTOREGRESSIVE:
        length = snprintf(text, size, "ar");
        break;
    case NM_SCHEDULE_PYRAMID:
    case NM_SCHEDULE_TRAPEZOID: {
        const char *name = schedule->kind == NM_SCHEDULE_PYRAMID ? "pyramid" : "trapezoid";
        char number[400];
        nm_decimal_print_exact(number, sizeof number, NM_DECIMAL_FIXED, 0, schedule->slope);
        length = snprintf(text, size, "%s:%s", name, number);
        break;
    }
    case NM_SCHEDULE_BLOCK:
        length = snprintf(text, size, "block:%u", (unsigned)schedule->block);
        break;
    }
    return (size_t)length;
}

int32_t nm_schedule_delay(const nm_schedule *schedule, uint32_t levels, uint32_t t, uint32_t window) {
    NM_DEBUG_ASSERT(levels >= 1 && levels <= NM_SCHEDULE_MAX_LEVELS && t < window);
    NM_ASSERT(schedule->kind != NM_SCHEDULE_BLOCK || schedule->block >= 1);
    NM_ASSERT((schedule->kind != NM_SCHEDULE_PYRAMID && schedule->kind != NM_SCHEDULE_TRAPEZOID) ||
              (schedule->slope >= 0.0 && schedule->slope <= NM_SCHEDULE_MAX_LEVELS)); // no NaN either
    double delay = 0.0;                                                               // exact: below 2^53
    switch (schedule->kind) {
    case NM_SCHEDULE_FULL:
        break;
    case NM_SCHEDULE_AUTOREGRESSIVE:
        delay = (double)levels * t;
        break;
    case NM_SCHEDULE_PYRAMID:
        delay = floor(schedule->slope * t);
        break;
    case NM_SCHEDULE_TRAPEZOID: {
        const uint32_t far = window - 1 - t;
        delay = floor(schedule->slope * (t < far ? t : far));
        break;
    }
    case NM_SCHEDULE_BLOCK:
        delay = (double)levels * (t / schedule->block);
        break;
    }
    return delay < NM_SCHEDULE_MAX_DELAY ? (int32_t)delay : NM_SCHEDULE_MAX_DELAY;
}

void nm_schedule_delays(const nm_schedule *schedule, uint32_t levels, uint32_t count, const uint32_t *time,
                        uint32_t first, uint32_t end, const int32_t *agent_delay, int32_t *delay) {
    NM_ASSERT(first < end);
    for (uint32_t n = 0; n < count; n++) {
        NM_DEBUG_ASSERT(time[n] < end);
        const uint32_t t = time[n] > first ? time[n] - first : 0;
        int32_t sum = nm_schedule_delay(schedule, levels, t, end - first);
        if (agent_delay) {
            NM_DEBUG_ASSERT(agent_delay[n] >= 0);
            const int32_t room = NM_SCHEDULE_MAX_DELAY - sum;
            sum += agent_delay[n] < room ? agent_delay[n] : room;
        }
        delay[n] = sum;
    }
}

int64_t nm_schedule_passes(uint32_t levels, uint32_t count, const int32_t *delay) {
    int64_t most = 0;
    for (uint32_t n = 0; n < count; n++) {
        const int64_t passes = (int64_t)levels + delay[n];
        most = passes > most ? passes : most;
    }
    return most;
}

size_t nm_schedule_draw(const nm_schedule *schedule, uint32_t levels, uint32_t window, uint32_t columns, char *text,
                        size_t size) {
    int64_t passes = 0;
    for (uint32_t t = 0; t < window; t++) {
        const int32_t delay = nm_schedule_delay(schedule, levels, t, window);
        const int64_t needed = nm_schedule_passes(levels, 1, &delay);
        passes = needed > passes ? needed : passes;
    }
    const int64_t shown = columns < passes + 1 ? columns : passes + 1; // before the first pass .. after the last
    size_t used = 0;
    for (uint32_t t = 0; t < window; t++) {
        const int32_t delay = nm_schedule_delay(schedule, levels, t, window);
        for (int64_t i = 0; i <= shown; i++) {
            const int64_t pass = shown > 1 ? i * passes / (shown - 1) : passes;
            const uint32_t level = nm_schedule_level(levels, delay, pass);
            const uint32_t tenths = (10 * level + levels - 1) / levels;
            const char cell = level == levels ? '#' : ".123456789"[tenths < 9 ? tenths : 9];
            if (used + 1 < size) text[used] = i == shown ? '\n' : cell;
            used++;
        }
    }
    if (size) text[used < size ? used : size - 1] = '\0';
    return used;
}
