/// Signals of a written road: each stands at the end of a lane, for that lane, whose end it rules. Where the light or
/// sign itself stands is said with it.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/opendrive.h"
#include "dataset/opendrive_plan.h"

#define BESIDE 0.5 // m from the lane's outer border

static int compare_rulers(const void *a, const void *b) {
    const nm_ow_ruler *x = a, *y = b;
    if (x->lane != y->lane) return x->lane < y->lane ? -1 : 1;
    if (x->sign != y->sign) return x->sign < y->sign ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static nm_od_meaning meaning_of(const char *code) {
    nm_od_signal signal = {0};
    memcpy(signal.code, code, strlen(code)); // both have 16 bytes
    return nm_od_meaning_of(&signal);
}

static int add_rulers(nm_ow_plan *plan, nm_range lanes, uint32_t sign, uint32_t index) {
    for (uint32_t k = lanes.first; k < lanes.first + lanes.count; ++k) {
        nm_ow_ruler *ruler = NM_PUSH(&plan->rulers, nm_ow_ruler, 1);
        if (!ruler) return 0;
        *ruler = (nm_ow_ruler){plan->map->lane_refs[k], sign, index};
    }
    return 1;
}

int nm_ow_list_rulers(nm_ow_plan *plan) {
    const nm_map *map = plan->map;
    plan->rulers.count = plan->written.count = 0;
    uint8_t *written = NM_PUSH(&plan->written, uint8_t, map->signal_count + (size_t)map->sign_count);
    if (!written) return 0;
    memset(written, 0, map->signal_count + (size_t)map->sign_count);
    for (uint32_t i = 0; i < map->signal_count; ++i) {
        if (!add_rulers(plan, map->signals[i].lanes, 0, i)) return 0;
    }
    for (uint32_t i = 0; i < map->sign_count; ++i) {
        nm_od_meaning meaning = meaning_of(map->signs[i].code);
        int rules = meaning == NM_OD_MEANS_STOP || meaning == NM_OD_MEANS_YIELD || meaning == NM_OD_MEANS_PRIORITY;
        if (rules && !add_rulers(plan, map->signs[i].lanes, 1, i)) return 0;
    }
    if (plan->rulers.count) qsort(plan->rulers.data, plan->rulers.count, sizeof(nm_ow_ruler), compare_rulers);
    return 1;
}

// --- elements --------------------------------------------------------------------------------------------------------

typedef struct spot {
    double s, t;
    int forward;
    int32_t lane;
} spot;

/// At the end of a lane, beside it on the driver's right.
static spot spot_of(const nm_ow_plan *plan, uint32_t lane, double length) {
    const nm_ow_lane *info = &NM_AT(plan->lanes, nm_ow_lane, lane);
    int forward = info->id < 0;
    double s = forward ? length : 0.0;
    double t = nm_ow_border_at(plan, forward ? info->place + 1 : info->place, s);
    return (spot){s, forward ? t - BESIDE : t + BESIDE, forward, info->id};
}

static void open_element(nm_byte_buffer *out, const char *element, char letter, uint32_t index, const spot *at) {
    nm_byte_buffer_format(out, "      <%s id=\"%c%u\"", element, letter, index);
    nm_ow_number(out, "s", 6, at->s);
    nm_ow_number(out, "t", 6, at->t);
    nm_byte_buffer_format(out, " orientation=\"%s\"", at->forward ? "+" : "-");
}

static void close_element(nm_byte_buffer *out, const char *element, const spot *at) {
    nm_byte_buffer_format(out, "        <validity fromLane=\"%d\" toLane=\"%d\"/>\n      </%s>\n", at->lane, at->lane,
                          element);
}

/// The rest of a definition. `code` is safe to write: digits, letters, points and hyphens only.
static void define(nm_byte_buffer *out, const spot *at, int light, const char *code, const nm_map *map,
                   const nm_vec2 *place) {
    nm_byte_buffer_format(out, " dynamic=\"%s\" zOffset=\"%s\" country=\"%s\" type=\"%s\" subtype=\"-1\">\n",
                          light ? "yes" : "no", light ? "5" : "2",
                          light            ? "OpenDRIVE"
                          : code[0] == 'R' ? "US"
                                           : "DE",
                          code);
    close_element(out, "signal", at);
    if (!place) return;
    out->size -= strlen("      </signal>\n");
    nm_byte_buffer_text(out, "        <positionInertial");
    nm_ow_number(out, "x", 6, (double)place->x + map->origin.x);
    nm_ow_number(out, "y", 6, (double)place->y + map->origin.y);
    nm_byte_buffer_text(out, " z=\"0\" hdg=\"0\"/>\n      </signal>\n");
}

static const char *light_code(const nm_lane *lane) {
    return nm_lane_type_drivable((nm_lane_type)lane->type) ? "1000001" : "1000002";
}

static const char *code_of(const nm_lane *lane) {
    switch ((nm_control_kind)lane->control) {
    case NM_CONTROL_SIGNAL:
        return light_code(lane);
    case NM_CONTROL_STOP:
    case NM_CONTROL_ALL_WAY_STOP:
        return "206";
    case NM_CONTROL_YIELD:
        return "205";
    case NM_CONTROL_PRIORITY:
        return "306";
    default:
        return NULL;
    }
}

/// What control a code gives a lane; ALL_WAY_STOP is a stop sign, too.
static int gives(const char *code, nm_control_kind control) {
    switch (meaning_of(code)) {
    case NM_OD_MEANS_STOP:
        return control == NM_CONTROL_STOP || control == NM_CONTROL_ALL_WAY_STOP;
    case NM_OD_MEANS_YIELD:
        return control == NM_CONTROL_YIELD;
    case NM_OD_MEANS_PRIORITY:
        return control == NM_CONTROL_PRIORITY;
    default:
        return 0;
    }
}

static void write_ruler(nm_ow_plan *plan, const nm_ow_ruler *ruler, const spot *at, nm_byte_buffer *out) {
    const nm_map *map = plan->map;
    uint8_t *written = &NM_AT(plan->written, uint8_t, ruler->sign ? map->signal_count + ruler->index : ruler->index);
    const char *element = *written ? "signalReference" : "signal";
    open_element(out, element, ruler->sign ? 'g' : 's', ruler->index, at);
    if (*written) {
        nm_byte_buffer_text(out, ">\n");
        close_element(out, element, at);
        return;
    }
    *written = 1;
    if (ruler->sign) {
        const nm_sign *sign = &map->signs[ruler->index];
        define(out, at, 0, sign->code, map, sign->placed ? &sign->position : NULL);
    } else {
        const nm_signal *signal = &map->signals[ruler->index];
        define(out, at, 1, light_code(&map->lanes[ruler->lane]), map, signal->placed ? &signal->position : NULL);
    }
}

static void write_lane(nm_ow_plan *plan, uint32_t index, double length, nm_byte_buffer *out) {
    const nm_map *map = plan->map;
    const nm_lane *lane = &map->lanes[index];
    spot at = spot_of(plan, index, length);
    const nm_ow_ruler *rulers = plan->rulers.data;
    size_t low = 0, high = plan->rulers.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rulers[middle].lane < index)
            low = middle + 1;
        else
            high = middle;
    }
    int said = 0;
    for (; low < plan->rulers.count && rulers[low].lane == index; ++low) {
        // what does not hold is not written: a reader would make it hold
        int holds = rulers[low].sign ? gives(map->signs[rulers[low].index].code, (nm_control_kind)lane->control)
                                     : lane->control == NM_CONTROL_SIGNAL;
        if (holds) write_ruler(plan, &rulers[low], &at, out);
        said = said || holds;
    }
    const char *code = code_of(lane);
    if (code && !said) {
        open_element(out, "signal", 'c', index, &at);
        define(out, &at, lane->control == NM_CONTROL_SIGNAL, code, map, NULL);
    }
    if (lane->stop_line == NM_NONE) return;
    const nm_stop_line *line = &map->stop_lines[lane->stop_line];
    double x = 0.5 * ((double)line->a.x + (double)line->b.x) + map->origin.x;
    double y = 0.5 * ((double)line->a.y + (double)line->b.y) + map->origin.y;
    double back = (double)(lane->length - lane->stop_s);
    nm_ow_place place = nm_ow_project(plan, x, y, at.forward ? length - back : back);
    at.s = fmin(fmax(place.s, 0.0), length);
    at.t = place.t;
    open_element(out, "signal", 'l', index, &at);
    define(out, &at, 0, "294", map, NULL);
}

void nm_ow_write_signals(nm_ow_plan *plan, uint32_t index, double length, nm_byte_buffer *out) {
    const nm_ow_road *road = nm_ow_road_at(plan, index);
    nm_byte_buffer_text(out, "    <signals>\n");
    size_t before = out->size;
    for (uint32_t i = 0; i < road->lanes.count; ++i) write_lane(plan, nm_ow_lane_of(plan, road, i), length, out);
    if (out->size == before && !out->failed)
        out->size -= strlen("    <signals>\n");
    else
        nm_byte_buffer_text(out, "    </signals>\n");
}
