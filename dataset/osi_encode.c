/// A scene as an OSI trace: a GroundTruth message a step.
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataset/csv_private.h"
#include "dataset/osi_private.h"
#include "dataset/protobuf_out.h"
#include "sim/math.h"

#define LANE_REACH 5.0f // m around an object in which its lane is looked for
#define LIGHT_HEIGHT 5.0
#define REAR_AXLE 0.2823 // shares of the length: of nuPlan's vehicle (5.176 m, its rear axle 1.461 m behind the middle,
#define FRONT_AXLE 0.3145 // its wheelbase 3.089 m)

void nm_osi_put_id(nm_byte_buffer *out, uint32_t field, uint64_t id) {
    size_t begun = nm_pb_begin(out, field);
    nm_pb_uint(out, 1, id);
    nm_pb_end(out, begun);
}

void nm_osi_put_vector(nm_byte_buffer *out, uint32_t field, double x, double y, double z) {
    size_t begun = nm_pb_begin(out, field);
    nm_pb_double(out, 1, x);
    nm_pb_double(out, 2, y);
    nm_pb_double(out, 3, z);
    nm_pb_end(out, begun);
}

size_t nm_osi_begin_reference(nm_byte_buffer *out, uint32_t field, const char *type) {
    size_t begun = nm_pb_begin(out, field);
    nm_pb_text(out, 2, type);
    return begun;
}

void nm_osi_put_key(nm_byte_buffer *out, const char *key, int64_t value) {
    char text[64];
    snprintf(text, sizeof text, "%s=%" PRId64, key, value);
    nm_pb_text(out, 3, text);
}

int64_t nm_osi_time(double dt, uint32_t step) {
    return (int64_t)nearbyint((double)step * dt * 1e9);
}

// ---------------------------------------------------------------------------------------------------------------------
// Objects

typedef struct writing {
    const nm_scene *scene;
    nm_byte_buffer *out;
    nm_osi_ids ids;
    nm_map_source source;
    double dt;
    int complete; // static content in every message
    int flat;     // no object has a height: they stand on the ground
} writing;

static double height_of(const nm_track *track, float height) {
    static const double usual[NM_AGENT_TYPE_COUNT] = {1.5, 1.5, 3.5, 3.2, 1.5, 1.7, 1.75, 4.0, 1.0};
    return height > 0.0f ? (double)height : usual[track->type];
}

/// Does an obstacle stand at one place all the time? Then it is no moving object.
static int is_fixture(const nm_scene *scene, uint32_t track) {
    const nm_track *t = &scene->tracks[track];
    if (t->type != NM_AGENT_OBSTACLE || !(t->flags & NM_TRACK_STATIC) || scene->state_length) return 0;
    const size_t first = nm_scene_at(scene, track, 0);
    for (size_t at = first; at < first + scene->step_count; at++) {
        if (!scene->valid[at] || scene->x[at] != scene->x[first] || scene->y[at] != scene->y[first] ||
            scene->z[at] != scene->z[first] || scene->heading[at] != scene->heading[first] || scene->vx[at] != 0.0f ||
            scene->vy[at] != 0.0f)
            return 0;
    }
    return 1;
}

static void put_reference(const writing *w, uint32_t field, uint32_t track, float height) {
    const nm_track *t = &w->scene->tracks[track];
    size_t begun = nm_osi_begin_reference(w->out, field, NM_OSI_REF_TRACK);
    nm_osi_put_key(w->out, "id", t->source_id);
    nm_osi_put_key(w->out, "type", t->type);
    nm_osi_put_key(w->out, "flags", t->flags);
    if (t->difficulty) nm_osi_put_key(w->out, "difficulty", t->difficulty);
    if (w->flat) nm_osi_put_key(w->out, "flat", 1);
    if (!(height > 0.0f)) nm_osi_put_key(w->out, "height_assumed", 1);
    nm_pb_end(w->out, begun);
}

static void put_dimension(nm_byte_buffer *out, uint32_t field, double length, double width, double height) {
    nm_osi_put_vector(out, field, length, width, height); // the same three fields
}

/// Change of a plane around a step: by both neighbours where there are both, else by one. Per second.
static double rate(const writing *w, const float *plane, size_t at, uint32_t step, int angle) {
    const uint8_t *valid = w->scene->valid;
    size_t before = step > 0 && valid[at - 1] ? 1 : 0, after = step + 1 < w->scene->step_count && valid[at + 1];
    if (before + after == 0) return 0.0;
    double change = (double)plane[at + after] - (double)plane[at - before];
    return (angle ? nm_wrap_angle_d(change) : change) / ((double)(before + after) * w->dt);
}

static void put_base(const writing *w, uint32_t track, uint32_t step, const nm_state *s, double height) {
    const size_t at = nm_scene_at(w->scene, track, step);
    nm_byte_buffer *out = w->out;
    size_t begun = nm_pb_begin(out, 2);
    put_dimension(out, 1, (double)s->length, (double)s->width, height);
    nm_osi_put_vector(out, 2, (double)s->x, (double)s->y, (double)s->z + (w->flat ? 0.5 * height : 0.0));
    nm_osi_put_vector(out, 3, 0.0, 0.0, (double)s->heading);
    nm_osi_put_vector(out, 4, (double)s->vx, (double)s->vy, 0.0);
    nm_osi_put_vector(out, 5, rate(w, w->scene->vx, at, step, 0), rate(w, w->scene->vy, at, step, 0), 0.0);
    nm_osi_put_vector(out, 6, 0.0, 0.0, rate(w, w->scene->heading, at, step, 1));
    nm_pb_end(out, begun);
}

static void put_vehicle(nm_byte_buffer *out, nm_agent_type type, double length) {
    static const uint8_t types[NM_AGENT_TYPE_COUNT] = {NM_OSI_OTHER, NM_OSI_CAR,        NM_OSI_HEAVY_TRUCK,
                                                       NM_OSI_BUS,   NM_OSI_MOTORCYCLE, NM_OSI_BICYCLE,
                                                       NM_OSI_OTHER, NM_OSI_TRAIN,      NM_OSI_OTHER};
    size_t begun = nm_pb_begin(out, 5);
    nm_pb_uint(out, 3, type == NM_AGENT_CYCLIST || type == NM_AGENT_MOTORCYCLE ? 2 : 4);
    nm_osi_put_vector(out, 4, -REAR_AXLE * length, 0.0, 0.0);
    nm_osi_put_vector(out, 5, FRONT_AXLE * length, 0.0, 0.0);
    nm_pb_end(out, begun);
    begun = nm_pb_begin(out, 6);
    nm_pb_uint(out, 1, types[type]);
    nm_pb_uint(out, 3, 0);
    nm_pb_uint(out, 5, NM_OSI_CIVIL);
    nm_pb_end(out, begun);
}

static void put_lanes_of(const writing *w, const nm_state *s) {
    const nm_frenet at = nm_map_match(w->scene->map, s->x, s->y, s->heading, LANE_REACH, ~0u);
    if (at.lane == NM_NONE) return;
    size_t begun = nm_pb_begin(w->out, 9);
    nm_osi_put_id(w->out, 1, nm_osi_physical_lane(&w->source, &w->ids, at.lane));
    size_t inner = nm_pb_begin(w->out, 3);
    nm_osi_put_id(w->out, 1, w->ids.logical_lanes + at.lane);
    nm_pb_double(w->out, 2, (double)at.s);
    nm_pb_double(w->out, 3, (double)at.d);
    nm_pb_double(w->out, 4, nm_wrap_angle_d((double)s->heading - (double)at.heading));
    nm_pb_end(w->out, inner);
    nm_pb_end(w->out, begun);
}

static void put_moving(const writing *w, uint32_t track, uint32_t step) {
    const nm_track *t = &w->scene->tracks[track];
    nm_state s;
    if (!nm_scene_get_state(w->scene, track, step, &s) || is_fixture(w->scene, track)) return;
    if (!w->scene->state_length) s.length = t->length, s.width = t->width, s.height = t->height;
    nm_byte_buffer *out = w->out;
    size_t begun = nm_pb_begin(out, 5);
    nm_osi_put_id(out, 1, w->ids.tracks + track);
    put_base(w, track, step, &s, height_of(t, s.height));
    if (t->type == NM_AGENT_PEDESTRIAN) {
        nm_pb_uint(out, 3, NM_OSI_PEDESTRIAN);
    } else if (t->type == NM_AGENT_OBSTACLE || t->type == NM_AGENT_UNKNOWN) {
        nm_pb_uint(out, 3, NM_OSI_OTHER);
    } else {
        nm_pb_uint(out, 3, NM_OSI_VEHICLE);
        put_vehicle(out, (nm_agent_type)t->type, (double)s.length);
    }
    put_lanes_of(w, &s);
    if (w->complete || step == t->first_step) put_reference(w, 10, track, s.height);
    if (t->type == NM_AGENT_PEDESTRIAN) nm_pb_bytes(out, 12, "", 0); // pedestrian_attributes must be there
    nm_pb_end(out, begun);
}

static void put_fixture(const writing *w, uint32_t track) {
    const nm_track *t = &w->scene->tracks[track];
    nm_state s;
    if (!is_fixture(w->scene, track) || !nm_scene_get_state(w->scene, track, 0, &s)) return;
    double height = height_of(t, t->height);
    nm_byte_buffer *out = w->out;
    size_t begun = nm_pb_begin(out, 4);
    nm_osi_put_id(out, 1, w->ids.tracks + track);
    size_t inner = nm_pb_begin(out, 2);
    put_dimension(out, 1, (double)t->length, (double)t->width, height);
    nm_osi_put_vector(out, 2, (double)s.x, (double)s.y, (double)s.z + (w->flat ? 0.5 * height : 0.0));
    nm_osi_put_vector(out, 3, 0.0, 0.0, (double)s.heading);
    nm_pb_end(out, inner);
    inner = nm_pb_begin(out, 3);
    nm_pb_uint(out, 1, NM_OSI_OTHER);
    nm_pb_end(out, inner);
    put_reference(w, 5, track, t->height);
    nm_pb_end(out, begun);
}

// ---------------------------------------------------------------------------------------------------------------------
// Traffic lights

typedef struct bulbs {
    int lit; // colour, 0 = none
    int mode, arrow, rest;
} bulbs;

static bulbs bulbs_of(nm_signal_state state) {
    switch (state) {
    case NM_SIGNAL_ARROW_STOP:
        return (bulbs){NM_OSI_RED, NM_OSI_CONSTANT, 1, NM_OSI_MODE_OFF};
    case NM_SIGNAL_ARROW_CAUTION:
        return (bulbs){NM_OSI_YELLOW, NM_OSI_CONSTANT, 1, NM_OSI_MODE_OFF};
    case NM_SIGNAL_ARROW_GO:
        return (bulbs){NM_OSI_GREEN, NM_OSI_CONSTANT, 1, NM_OSI_MODE_OFF};
    case NM_SIGNAL_STOP:
        return (bulbs){NM_OSI_RED, NM_OSI_CONSTANT, 0, NM_OSI_MODE_OFF};
    case NM_SIGNAL_CAUTION:
        return (bulbs){NM_OSI_YELLOW, NM_OSI_CONSTANT, 0, NM_OSI_MODE_OFF};
    case NM_SIGNAL_GO:
        return (bulbs){NM_OSI_GREEN, NM_OSI_CONSTANT, 0, NM_OSI_MODE_OFF};
    case NM_SIGNAL_FLASHING_STOP:
        return (bulbs){NM_OSI_RED, NM_OSI_FLASHING, 0, NM_OSI_MODE_OFF};
    case NM_SIGNAL_FLASHING_CAUTION:
        return (bulbs){NM_OSI_YELLOW, NM_OSI_FLASHING, 0, NM_OSI_MODE_OFF};
    case NM_SIGNAL_OFF:
        return (bulbs){0, 0, 0, NM_OSI_MODE_OFF};
    default:
        return (bulbs){0, 0, 0, NM_OSI_OTHER}; // not known, which must not be said
    }
}

static int icon_of(nm_turn turn) {
    return turn == NM_TURN_LEFT || turn == NM_TURN_U ? NM_OSI_LEFT
           : turn == NM_TURN_RIGHT                   ? NM_OSI_RIGHT
                                                     : NM_OSI_STRAIGHT;
}

/// The bulbs look against the traffic of the first lane they rule.
static double facing(const nm_map *map, const nm_signal *signal) {
    if (!signal->lanes.count) return 0.0;
    const nm_lane *lane = &map->lanes[map->lane_refs[signal->lanes.first]];
    const nm_vec2 *end = &map->centre[lane->points.first + lane->points.count - 1];
    return atan2((double)end[-1].y - (double)end[0].y, (double)end[-1].x - (double)end[0].x);
}

static void put_light(const writing *w, uint32_t index, int bulb, bulbs state) {
    const nm_map *map = w->scene->map;
    const nm_signal *signal = &map->signals[index];
    nm_byte_buffer *out = w->out;
    const int colour = NM_OSI_RED + bulb;
    size_t begun = nm_pb_begin(out, 7);
    nm_osi_put_id(out, 1, w->ids.lights + 3 * (uint64_t)index + (uint64_t)bulb);
    size_t inner = nm_pb_begin(out, 2);
    put_dimension(out, 1, 0.2, 0.3, 0.3);
    nm_osi_put_vector(out, 2, (double)signal->position.x, (double)signal->position.y, LIGHT_HEIGHT - 0.3 * bulb);
    nm_osi_put_vector(out, 3, 0.0, 0.0, facing(map, signal));
    nm_pb_end(out, inner);
    inner = nm_pb_begin(out, 3);
    nm_pb_uint(out, 1, (uint64_t)colour);
    nm_pb_uint(out, 2, (uint64_t)(state.arrow ? icon_of((nm_turn)signal->turn) : NM_OSI_ICON_NONE));
    nm_pb_uint(out, 3, (uint64_t)(state.lit == colour ? state.mode : state.rest));
    for (uint32_t i = 0; i < signal->lanes.count; i++)
        nm_osi_put_id(out, 5, nm_osi_physical_lane(&w->source, &w->ids, map->lane_refs[signal->lanes.first + i]));
    for (uint32_t i = 0; i < signal->lanes.count; i++) {
        uint32_t lane = map->lane_refs[signal->lanes.first + i];
        size_t assigned = nm_pb_begin(out, 7);
        nm_osi_put_id(out, 1, w->ids.logical_lanes + lane);
        nm_pb_double(out, 2, (double)map->lanes[lane].stop_s);
        nm_pb_end(out, assigned);
    }
    nm_pb_end(out, inner);
    inner = nm_osi_begin_reference(out, 5, NM_OSI_REF_SIGNAL);
    nm_osi_put_key(out, "id", signal->source_id);
    nm_osi_put_key(out, "turn", signal->turn);
    nm_osi_put_key(out, "placed", signal->placed);
    nm_pb_end(out, inner);
    nm_pb_end(out, begun);
}

// ---------------------------------------------------------------------------------------------------------------------
// Messages

static void put_head(const writing *w, uint32_t step) {
    const nm_scene *scene = w->scene;
    nm_byte_buffer *out = w->out;
    size_t begun = nm_pb_begin(out, 1);
    nm_pb_uint(out, 1, NM_OSI_MAJOR);
    nm_pb_uint(out, 2, NM_OSI_MINOR);
    nm_pb_uint(out, 3, NM_OSI_PATCH);
    nm_pb_end(out, begun);
    int64_t ns = nm_osi_time(w->dt, step);
    if (scene->timestamps && scene->timestamps[0] >= 0.0 && scene->timestamps[scene->step_count - 1] < 9e9)
        ns = (int64_t)nearbyint(scene->timestamps[step] * 1e9);
    begun = nm_pb_begin(out, 2);
    nm_pb_uint(out, 1, (uint64_t)(ns / 1000000000));
    nm_pb_uint(out, 2, (uint64_t)(ns % 1000000000));
    nm_pb_end(out, begun);
    if (scene->ego != NM_NONE) nm_osi_put_id(out, 3, w->ids.tracks + scene->ego);
}

static void put_offset(const writing *w) {
    const nm_point3 *origin = &w->scene->map->origin;
    size_t begun = nm_pb_begin(w->out, 20);
    nm_osi_put_vector(w->out, 1, origin->x, origin->y, origin->z);
    nm_pb_double(w->out, 2, 0.0);
    nm_pb_end(w->out, begun);
}

/// One GroundTruth behind its length.
static void put_message(const writing *w, uint32_t step) {
    const nm_scene *scene = w->scene;
    size_t begun = w->out->size;
    if (!nm_byte_buffer_grow(w->out, 4)) return;
    int fixed = w->complete || step == 0;
    put_head(w, step);
    for (uint32_t i = 0; i < scene->track_count && fixed; i++) put_fixture(w, i);
    for (uint32_t i = 0; i < scene->track_count; i++) put_moving(w, i, step);
    for (uint32_t i = 0; i < scene->map->signal_count; i++) {
        const bulbs state = bulbs_of(nm_scene_signal(scene, i, step));
        for (int bulb = 0; bulb < 3; bulb++) put_light(w, i, bulb, state);
    }
    if (fixed) nm_osi_put_map(w->out, scene->map, &w->ids);
    put_offset(w);
    if (w->out->failed) return;
    uint64_t size = w->out->size - begun - 4;
    for (int i = 0; i < 4; i++) w->out->bytes[begun + (size_t)i] = (uint8_t)(size >> (8 * i));
}

static nm_osi_ids number_items(const nm_scene *scene, const nm_map_source *source) {
    const nm_map *map = scene->map;
    nm_osi_ids ids = {.tracks = 1};
    ids.lanes = ids.tracks + scene->track_count;
    ids.junctions = ids.lanes + map->lane_count;
    ids.boundaries = ids.junctions + source->junction_count;
    ids.logical_lanes = ids.boundaries + 2 * (uint64_t)map->lane_count;
    ids.reference_lines = ids.logical_lanes + map->lane_count;
    ids.logical_boundaries = ids.reference_lines + map->lane_count;
    ids.lines = ids.logical_boundaries + 2 * (uint64_t)map->lane_count;
    ids.areas = ids.lines + map->line_count;
    ids.signs = ids.areas + map->area_count;
    ids.lights = ids.signs + map->sign_count;
    return ids;
}

static int is_flat(const nm_scene *scene) {
    const size_t cells = (size_t)scene->track_count * scene->step_count;
    for (size_t i = 0; i < cells; i++) {
        if (scene->z[i] != 0.0f) return 0;
    }
    return 1;
}

/// The standard's convention: when it begins, what it is, versions, messages, and a free part.
static void name_file(const nm_export_item *item, char *name, size_t size) {
    const nm_scene *scene = item->scene;
    time_t seconds = 0;
    if (scene->timestamps && scene->timestamps[0] >= 0.0 && scene->timestamps[0] < 9e9)
        seconds = (time_t)scene->timestamps[0];
    struct tm utc;
    char start[32] = "19700101T000000Z";
    if (gmtime_r(&seconds, &utc)) strftime(start, sizeof start, "%Y%m%dT%H%M%SZ", &utc);
    snprintf(name, size, "%s_gt_%d%d%d_%s_%" PRIu32 "_%06" PRId64 ".osi", start, NM_OSI_MAJOR, NM_OSI_MINOR,
             NM_OSI_PATCH, NM_OSI_PROTOBUF, scene->step_count, item->id);
}

/// The same of any release: 0 stands for a digit, + for one and more.
static int is_name(const char *file) {
    const char *at = file;
    for (const char *p = "00000000T000000Z_gt_+_+_+_000000"; *p; p++) {
        if (*p != '0' && *p != '+' && *at != *p) return 0;
        if ((*p == '0' || *p == '+') && !isdigit((unsigned char)*at)) return 0;
        at++;
        while (*p == '+' && isdigit((unsigned char)*at)) at++;
    }
    while (isdigit((unsigned char)*at)) at++;
    return strcmp(at, ".osi") == 0;
}

static nm_status encode_as(const nm_export_item *item, int complete, nm_encoded *out, nm_error *error) {
    const nm_scene *scene = item->scene;
    writing w = {.scene = scene,
                 .out = &out->main,
                 .source = nm_map_get_source(scene->map),
                 .dt = nm_csv_float(scene->dt),
                 .complete = complete,
                 .flat = is_flat(scene)};
    w.ids = number_items(scene, &w.source);
    for (uint32_t step = 0; step < scene->step_count && !w.out->failed; step++) {
        size_t before = w.out->size;
        put_message(&w, step);
        if (w.out->size - before > UINT32_MAX)
            return NM_ERROR(error, NM_E_UNSUPPORTED, "a message would have more than 4 GiB");
    }
    if (w.out->failed) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the messages");
    name_file(item, out->main_name, sizeof out->main_name);
    return NM_OK;
}

static nm_status encode(void *work, const nm_export_item *item, nm_encoded *out, nm_error *error) {
    (void)work;
    return encode_as(item, 0, out, error);
}
static nm_status encode_complete(void *work, const nm_export_item *item, nm_encoded *out, nm_error *error) {
    (void)work;
    return encode_as(item, 1, out, error);
}

const nm_encoder nm_encoder_osi = {
    .format = NM_EXPORT_OSI, .layout = NM_ENCODER_FILES, .extension = ".osi", .is_name = is_name, .encode = encode};
const nm_encoder nm_encoder_osi_complete = {.format = NM_EXPORT_OSI_COMPLETE,
                                            .layout = NM_ENCODER_FILES,
                                            .extension = ".osi",
                                            .is_name = is_name,
                                            .encode = encode_complete};
