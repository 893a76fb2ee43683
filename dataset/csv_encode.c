/// Scenes as rows, one per object and step: track by track, step by step.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "dataset/csv_private.h"

#define LANE_REACH 5.0f // m around an object in which its lane is looked for
#define MICRO 6         // digits of positions in the source's coordinates: they follow from others
#define MAX_DIGITS 12
#define NUMBER 48 // bytes

static const double powers[MAX_DIGITS + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12};

/// The text of an integer; returns its end.
static char *put_digits(char *at, uint64_t value, int least) {
    char digits[24];
    int count = 0;
    for (; value || count < least; value /= 10) digits[count++] = (char)('0' + value % 10);
    while (count) *at++ = digits[--count];
    return at;
}

/// A number of `digits` decimals, given times 10^digits. Returns the end.
static char *put_scaled(char *at, double scaled, int digits) {
    uint64_t all = (uint64_t)fabs(scaled);
    if (scaled < 0.0) *at++ = '-';
    uint64_t unit = (uint64_t)powers[digits];
    at = put_digits(at, all / unit, 1);
    if (digits) {
        *at++ = '.';
        at = put_digits(at, all % unit, digits);
    }
    return at;
}

/// What reads back as `value` with the fewest digits behind the point. Both the integer and the power of ten are exact
/// in doubles, so their quotient is what a reader makes of the text.
static char *put_float(char *at, float value) {
    if (value == 0.0f && !signbit(value)) {
        *at++ = '0';
        return at;
    }
    for (int digits = 0; digits <= MAX_DIGITS; digits++) {
        double scaled = nearbyint((double)value * powers[digits]);
        if (fabs(scaled) > 9e15) break;
        if ((float)(scaled / powers[digits]) == value && scaled != 0.0) return put_scaled(at, scaled, digits);
    }
    for (int digits = 6; digits <= 9; digits++) { // tiny, huge, -0
        double read;
        size_t size = nm_decimal_print(at, NUMBER, NM_DECIMAL_SHORT, digits, (double)value);
        if (nm_decimal_parse(at, size, &read) && (float)read == value) return at + size;
    }
    return at + nm_decimal_print(at, NUMBER, NM_DECIMAL_SHORT, 9, (double)value);
}

/// The same for a double, of at most `most` digits behind the point; rounded to that.
static char *put_rounded(char *at, double value, int most) {
    double rounded = nearbyint(value * powers[most]);
    if (!(fabs(rounded) < 9e15)) return at + nm_decimal_print_exact(at, NUMBER, NM_DECIMAL_SHORT, 1, value);
    int digits = most;
    while (digits > 0 && fmod(rounded, 10.0) == 0.0) {
        rounded /= 10.0;
        digits--;
    }
    return put_scaled(at, rounded, digits);
}

double nm_csv_time(double dt, uint32_t step) {
    double time = (double)step * dt, scale = time < 4000.0 ? 1e12 : 1e9;
    return nearbyint(time * scale) / scale;
}

double nm_csv_float(float value) {
    char text[NUMBER];
    double read = (double)value;
    nm_decimal_parse(text, (size_t)(put_float(text, value) - text), &read);
    return read;
}

static const char *role_of(const nm_scene *scene, uint32_t track) {
    unsigned flags = scene->tracks[track].flags;
    if (track == scene->ego) return "ego";
    if (flags & NM_TRACK_ADVERSARY) return "adversary";
    return flags & NM_TRACK_STATIC ? "static" : "agent";
}

/// What is the same in all rows of a scene or track.
typedef struct rows {
    nm_byte_buffer *out;
    const nm_export_item *item;
    double dt;
    char scene[32];
    size_t scene_size;
    char track[160]; // id to flags
    size_t track_size;
    float length, width, height;
    char sizes[3 * NUMBER]; // as text, of the numbers above
    size_t sizes_size;
} rows;

static void put_events(const rows *r, uint32_t track, uint32_t step) {
    int first = 1;
    for (size_t i = 0; i < r->item->label_count; i++) {
        const nm_scene_label *label = &r->item->labels[i];
        if (step < label->first_step || step > label->last_step) continue;
        if (track != label->actor && track != label->other) continue;
        if (!first) nm_byte_buffer_put(r->out, ";", 1);
        first = 0;
        for (const char *c = label->kind; *c; c++) // no quoting needed, whatever it is called
            nm_byte_buffer_put(r->out, strchr(",;:\"\r\n", *c) ? "_" : c, 1);
        nm_byte_buffer_text(r->out, track == label->actor ? ":actor" : ":other");
    }
}

static char *put_sizes(rows *r, char *at, float length, float width, float height) {
    if (length != r->length || width != r->width || height != r->height) {
        char *to = put_float(r->sizes, length);
        *to++ = ',';
        to = put_float(to, width);
        *to++ = ',';
        to = put_float(to, height);
        r->sizes_size = (size_t)(to - r->sizes);
        r->length = length;
        r->width = width;
        r->height = height;
    }
    memcpy(at, r->sizes, r->sizes_size);
    return at + r->sizes_size;
}

static char *put_motion(char *at, const nm_map *map, const nm_state *s) {
    const float local[] = {s->x, s->y, s->z};
    const double source[] = {map->origin.x + (double)s->x, map->origin.y + (double)s->y, map->origin.z + (double)s->z};
    const float rest[] = {s->heading, s->vx, s->vy, (float)hypot((double)s->vx, (double)s->vy)};
    for (int i = 0; i < 3; i++) {
        at = put_float(at, local[i]);
        *at++ = ',';
    }
    for (int i = 0; i < 3; i++) {
        at = put_rounded(at, source[i], MICRO);
        *at++ = ',';
    }
    for (int i = 0; i < 4; i++) {
        at = put_float(at, rest[i]);
        *at++ = ',';
    }
    return at;
}

static void put_row(rows *r, uint32_t track, uint32_t step) {
    const nm_scene *scene = r->item->scene;
    nm_state s;
    if (!nm_scene_get_state(scene, track, step, &s)) return;
    const nm_track *t = &scene->tracks[track];
    char text[1024], *at = text;
    memcpy(at, r->scene, r->scene_size);
    at = put_digits(at + r->scene_size, step, 1);
    *at++ = ',';
    double time = scene->timestamps ? scene->timestamps[step] : nm_csv_time(r->dt, step);
    char *decimal = put_rounded(at, time, MAX_DIGITS);
    double read;
    if (!nm_decimal_parse(at, (size_t)(decimal - at), &read) || read != time)
        decimal = at + nm_decimal_print_exact(at, NUMBER, NM_DECIMAL_SHORT, 1, time);
    at = decimal;
    memcpy(at, r->track, r->track_size);
    at = put_motion(at + r->track_size, scene->map, &s);
    at = put_sizes(r, at, scene->state_length ? s.length : t->length, scene->state_length ? s.width : t->width,
                   scene->state_length ? s.height : t->height);
    *at++ = ',';
    const nm_frenet lane = nm_map_match(scene->map, s.x, s.y, s.heading, LANE_REACH, ~0u);
    if (lane.lane != NM_NONE) {
        at += snprintf(at, NUMBER, "%" PRId64, scene->map->lanes[lane.lane].source_id);
        *at++ = ',';
        at = put_rounded(at, (double)lane.d, 3);
    } else {
        *at++ = ',';
    }
    *at++ = ',';
    nm_byte_buffer_put(r->out, text, (size_t)(at - text));
    put_events(r, track, step);
    nm_byte_buffer_put(r->out, "\n", 1);
}

static nm_status encode(void *work, const nm_export_item *item, nm_encoded *out, nm_error *error) {
    (void)work;
    const nm_scene *scene = item->scene;
    rows r = {.out = &out->main, .item = item, .dt = nm_csv_float(scene->dt), .length = NAN};
    r.scene_size = (size_t)snprintf(r.scene, sizeof r.scene, "%" PRId64 ",", item->id);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const nm_track *t = &scene->tracks[i];
        int size = snprintf(r.track, sizeof r.track, ",%" PRId64 ",%s,%s,%u,", t->source_id,
                            nm_agent_type_name((nm_agent_type)t->type), role_of(scene, i), t->flags);
        r.track_size = (size_t)size;
        for (uint32_t step = t->first_step; step <= t->last_step; step++) put_row(&r, i, step);
    }
    return out->main.failed ? NM_ERROR(error, NM_E_MEMORY, "out of memory for the rows") : NM_OK;
}

#define COLUMN(id, name) "," name
static const char header[] = NM_CSV_COLUMNS(COLUMN) "\n"; // begins with a comma, which is left out
#undef COLUMN

const nm_encoder nm_encoder_csv = {
    .format = NM_EXPORT_CSV, .layout = NM_ENCODER_ROWS, .extension = ".csv", .header = header + 1, .encode = encode};
