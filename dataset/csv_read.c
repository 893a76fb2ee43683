/// Scenes from rows (docs/formats/csv.md): columns by name, in any order; rows of a scene follow one another.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/text.h"
#include "dataset/csv_private.h"
#include "sim/math.h"
#include "sim/pile.h"

#define MAX_FIELDS 256u
#define MAX_FIELD 4096u                // bytes of one in quotes
#define WINDOW_BYTES ((size_t)1 << 20) // and of a row

typedef struct field {
    const char *text;
    size_t size;
} field;

/// A row as it is kept until its scene is complete.
typedef struct row {
    int64_t track, line;
    uint32_t step;
    uint8_t type, flags, ego;
    double time, east, north, up; // NaN: not said
    nm_state state;
} row;

typedef struct reading {
    nm_reader_context *context;
    const char *name;
    nm_byte_source *source; // NULL: it has given everything
    void *source_context;
    char *bytes;                    // a window of `capacity`, of which `size` hold what the source gave last
    size_t capacity, size, at, row; // `row`: where the last one begins
    int64_t line;
    field fields[MAX_FIELDS];
    size_t field_count;
    int column[NM_CSV_COLUMN_COUNT]; // place in a row, or -1
    char scratch[MAX_FIELD];         // of fields in quotes
    size_t scratch_used;
    nm_pile rows; // row
    nm_id_table ids;
    int begun;            // there was a row
    nm_byte_buffer scene; // of the rows, as the file has it
    char scene_id[64];    // and as it may go into file names and onto terminals
    uint64_t scenes;
} reading;

static nm_status refuse(const reading *r, nm_error *error, nm_status code, const char *what) {
    return NM_ERROR_AT(error, code, r->name, r->line, -1, "%s", what);
}

/// A field in quotes, without them; 0 when it does not end or is too long.
static int read_quoted(reading *r, field *to) {
    size_t start = r->scratch_used;
    for (r->at++; r->at < r->size; r->at++) {
        char c = r->bytes[r->at];
        if (c == '"') {
            if (r->at + 1 >= r->size || r->bytes[r->at + 1] != '"') {
                r->at++;
                *to = (field){r->scratch + start, r->scratch_used - start};
                return 1;
            }
            r->at++;
        }
        if (c == '\n' || r->scratch_used == sizeof r->scratch) return 0;
        r->scratch[r->scratch_used++] = c;
    }
    return 0;
}

/// Has the next row whole in the window: files have gigabytes, rows do not. No field goes on in the next line, not even
/// one in quotes, so that a row ends with the first LF.
static nm_status fill_window(reading *r, nm_error *error) {
    for (size_t seen = r->at; r->source && !memchr(r->bytes + seen, '\n', r->size - seen);) {
        memmove(r->bytes, r->bytes + r->at, r->size - r->at);
        r->size -= r->at;
        r->at = 0;
        seen = r->size;
        if (r->size == r->capacity) {
            r->line++;
            return refuse(r, error, NM_E_LIMIT, "a row of more than 1 MiB");
        }
        size_t got = 0;
        const nm_status status = r->source(r->source_context, r->bytes + r->size, r->capacity - r->size, &got, error);
        if (status != NM_OK) return status;
        if (got == 0) r->source = NULL;
        r->size += got;
    }
    return NM_OK;
}

/// Splits the next line into fields. NM_E_NOT_FOUND at the end.
static nm_status next_line(reading *r, nm_error *error) {
    const nm_status status = fill_window(r, error);
    if (status != NM_OK) return status;
    if (r->at >= r->size) return NM_E_NOT_FOUND;
    r->row = r->at;
    r->line++;
    r->field_count = r->scratch_used = 0;
    for (;;) {
        if (r->field_count == MAX_FIELDS) return refuse(r, error, NM_E_LIMIT, "a row of more than 256 fields");
        field *to = &r->fields[r->field_count++];
        if (r->at < r->size && r->bytes[r->at] == '"') {
            if (!read_quoted(r, to)) return refuse(r, error, NM_E_FORMAT, "a field in quotes that does not end");
        } else {
            size_t start = r->at;
            while (r->at < r->size && r->bytes[r->at] != ',' && r->bytes[r->at] != '\n') r->at++;
            *to = (field){r->bytes + start, r->at - start};
        }
        char end = r->at < r->size ? r->bytes[r->at++] : '\n';
        if (end == ',') continue;
        if (end == '\r' && r->at < r->size && r->bytes[r->at] == '\n') r->at++, end = '\n';
        if (end != '\n') return refuse(r, error, NM_E_FORMAT, "something follows a field in quotes");
        if (to->size && to->text[to->size - 1] == '\r') to->size--;
        return NM_OK;
    }
}

static int is(const field *f, const char *text) {
    return f->size == strlen(text) && memcmp(f->text, text, f->size) == 0;
}

static nm_status read_header(reading *r, nm_error *error) {
    static const char *const names[] = {
#define COLUMN(id, name) name,
        NM_CSV_COLUMNS(COLUMN)
#undef COLUMN
    };
    static const nm_csv_column needed[] = {NM_CSV_SCENE, NM_CSV_STEP, NM_CSV_TIME,   NM_CSV_TRACK,
                                           NM_CSV_X,     NM_CSV_Y,    NM_CSV_HEADING};
    nm_status status = fill_window(r, error);
    if (status == NM_OK && r->size >= 3 && memcmp(r->bytes, "\xef\xbb\xbf", 3) == 0) r->at = 3;
    if (status == NM_OK) status = next_line(r, error);
    if (status != NM_OK) return status;
    for (size_t c = 0; c < NM_CSV_COLUMN_COUNT; c++) {
        r->column[c] = -1;
        for (size_t i = 0; i < r->field_count; i++) {
            if (!is(&r->fields[i], names[c])) continue;
            if (r->column[c] >= 0) return NM_ERROR_AT(error, NM_E_FORMAT, r->name, 1, -1, "two columns %s", names[c]);
            r->column[c] = (int)i;
        }
    }
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (r->column[needed[i]] < 0)
            return NM_ERROR_AT(error, NM_E_FORMAT, r->name, 1, -1, "there is no column %s", names[needed[i]]);
    }
    return NM_OK;
}

static int is_empty(const reading *r) {
    return r->field_count == 1 && r->fields[0].size == 0;
}

static const field *at(const reading *r, nm_csv_column column) {
    static const field none = {"", 0};
    int i = r->column[column];
    return i < 0 || (size_t)i >= r->field_count ? &none : &r->fields[i];
}

/// A number, or `otherwise` where there is none; 0 when it is something else.
static int number(const reading *r, nm_csv_column column, double otherwise, double *value) {
    const field *f = at(r, column);
    *value = otherwise;
    return f->size == 0 ? 1 : nm_decimal_parse(f->text, f->size, value) && isfinite(*value);
}

/// A whole number, also as programs write it that hold all in doubles: "12.0".
static int whole(const reading *r, nm_csv_column column, int64_t *value) {
    const field *f = at(r, column);
    double read;
    if (nm_decimal_parse_integer(f->text, f->size, value)) return 1;
    if (f->size == 20 || f->size == 19) { // longer than what nm_decimal_parse_integer takes
        char text[24] = "", *end;
        memcpy(text, f->text, f->size);
        errno = 0;
        *value = (int64_t)strtoll(text, &end, 10);
        if (*end == 0 && errno == 0) return 1;
    }
    if (!nm_decimal_parse(f->text, f->size, &read) || !(fabs(read) < 9e15) || read != floor(read)) return 0;
    *value = (int64_t)read;
    return 1;
}

static int floats(const reading *r, nm_state *state) {
    const struct {
        nm_csv_column column;
        float *to;
    } all[] = {{NM_CSV_X, &state->x},           {NM_CSV_Y, &state->y},
               {NM_CSV_Z, &state->z},           {NM_CSV_HEADING, &state->heading},
               {NM_CSV_VX, &state->vx},         {NM_CSV_VY, &state->vy},
               {NM_CSV_LENGTH, &state->length}, {NM_CSV_WIDTH, &state->width},
               {NM_CSV_HEIGHT, &state->height}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        double value;
        if (!number(r, all[i].column, 0.0, &value) || !(fabs(value) < 1e30)) return 0;
        *all[i].to = (float)value;
    }
    if (!(fabsf(state->heading) <= NM_PI_F)) state->heading = (float)nm_wrap_angle_d((double)state->heading);
    if (state->heading <= -NM_PI_F) state->heading = NM_PI_F; // the same direction, within (-pi, pi]
    return at(r, NM_CSV_X)->size && at(r, NM_CSV_Y)->size && at(r, NM_CSV_HEADING)->size;
}

static nm_agent_type type_of(const field *f) {
    for (int i = 0; i < NM_AGENT_TYPE_COUNT; i++) {
        if (is(f, nm_agent_type_name((nm_agent_type)i))) return (nm_agent_type)i;
    }
    return NM_AGENT_UNKNOWN;
}

static nm_status read_row(reading *r, nm_error *error) {
    row made = {.line = r->line, .type = (uint8_t)type_of(at(r, NM_CSV_TYPE)), .ego = is(at(r, NM_CSV_ROLE), "ego")};
    int64_t step, flags = 0;
    if (!whole(r, NM_CSV_STEP, &step) || step < 0 || step >= NM_SCENE_MAX_STEPS || step >= r->context->limits.max_steps)
        return refuse(r, error, NM_E_FORMAT, "the step is no whole number that a step can be");
    if (!whole(r, NM_CSV_TRACK, &made.track)) return refuse(r, error, NM_E_FORMAT, "the track_id is no whole number");
    if (at(r, NM_CSV_FLAGS)->size && (!whole(r, NM_CSV_FLAGS, &flags) || flags < 0 || flags > 255))
        return refuse(r, error, NM_E_FORMAT, "the flags are no whole number below 256");
    if (!number(r, NM_CSV_TIME, NAN, &made.time) || !number(r, NM_CSV_EAST, NAN, &made.east) ||
        !number(r, NM_CSV_NORTH, NAN, &made.north) || !number(r, NM_CSV_UP, NAN, &made.up) || !floats(r, &made.state))
        return refuse(r, error, NM_E_FORMAT, "a number is missing, or is none");
    made.step = (uint32_t)step;
    made.flags = (uint8_t)flags;
    if (r->rows.count >= r->context->limits.max_file_bytes / sizeof made)
        return refuse(r, error, NM_E_LIMIT, "the rows of the scene are more than is held at once");
    row *to = NM_PUSH(&r->rows, row, 1);
    if (!to) return refuse(r, error, NM_E_MEMORY, "out of memory for the rows of a scene");
    *to = made;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Building

/// The map's origin: what lies between both positions of the first row, to the millimetre. Nothing else is known.
static nm_status make_map(reading *r, const nm_map **map, nm_error *error) {
    const row *first = &NM_AT(r->rows, row, 0);
    nm_point3 origin = {first->east - (double)first->state.x, first->north - (double)first->state.y,
                        first->up - (double)first->state.z};
    double *parts[] = {&origin.x, &origin.y, &origin.z};
    for (int i = 0; i < 3; i++) {
        double rounded = nearbyint(*parts[i] * 1e3) / 1e3;
        *parts[i] = isfinite(rounded) && fabs(rounded) < 1e9 ? rounded + 0.0 : 0.0;
    }
    nm_map_builder_reset(r->context->map_builder);
    nm_map_builder_set_origin(r->context->map_builder, origin);
    return nm_map_builder_build(r->context->map_builder, map, error);
}

/// The time of each step that has one, the time step from the first and the last of them, and whether there was a clock
/// of its own. `times` has room for all steps.
static nm_status read_times(const reading *r, uint32_t steps, double *times, double *dt, int *clock, nm_error *error) {
    uint32_t first = NM_NONE, last = 0;
    for (uint32_t i = 0; i < steps; i++) times[i] = NAN;
    for (size_t i = 0; i < r->rows.count; i++) {
        const row *from = &NM_AT(r->rows, row, i);
        if (isnan(from->time)) continue;
        if (!isnan(times[from->step]) && times[from->step] != from->time)
            return NM_ERROR_AT(error, NM_E_FORMAT, r->name, from->line, -1, "step %" PRIu32 " has two times",
                               from->step);
        times[from->step] = from->time;
        if (first == NM_NONE || from->step < first) first = from->step;
        if (from->step > last) last = from->step;
    }
    *dt = 0.1;
    *clock = 0;
    if (first == NM_NONE) return NM_OK;
    if (last > first) *dt = (times[last] - times[first]) / (double)(last - first);
    if (!(*dt > 0.0 && *dt <= 3600.0))
        return NM_ERROR_AT(error, NM_E_FORMAT, r->name, NM_AT(r->rows, row, 0).line, -1,
                           "the times of steps %" PRIu32 " and %" PRIu32 " make no sense", first, last);
    *dt = nm_csv_float((float)*dt);
    for (uint32_t i = 0; i < steps; i++) *clock |= !isnan(times[i]) && times[i] != nm_csv_time(*dt, i);
    double base = times[first] - (double)first * *dt; // where no row tells, the clock goes on evenly
    for (uint32_t i = 0; i < steps; i++) {
        if (isnan(times[i])) times[i] = base + (double)i * *dt;
        base = times[i] - (double)i * *dt;
    }
    return NM_OK;
}

static nm_status add_track(reading *r, const row *from, uint32_t *track, uint32_t *ego, nm_error *error) {
    *track = nm_id_table_find(&r->ids, from->track);
    if (*track != UINT32_MAX) return NM_OK;
    const nm_track_def def = {.id = from->track,
                              .line = from->line,
                              .type = (nm_agent_type)from->type,
                              .flags = from->flags,
                              .length = from->state.length,
                              .width = from->state.width,
                              .height = from->state.height};
    nm_status status = nm_scene_builder_add_track(r->context->scene_builder, &def, track, error);
    if (status != NM_OK) return status;
    if (from->ego && *ego == NM_NONE) *ego = *track;
    if (*track >= r->context->limits.max_tracks)
        return NM_ERROR(error, NM_E_LIMIT, "a scene has more than %" PRIu32 " tracks", r->context->limits.max_tracks);
    if (nm_id_table_add(&r->ids, from->track, *track) == UINT32_MAX)
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the tracks of a scene");
    return NM_OK;
}

static nm_status add_rows(reading *r, uint32_t steps, nm_error *error) {
    uint32_t ego = NM_NONE;
    nm_scene_builder *builder = r->context->scene_builder;
    nm_id_table_reset(&r->ids);
    for (size_t i = 0; i < r->rows.count; i++) {
        const row *from = &NM_AT(r->rows, row, i);
        uint32_t track;
        nm_error why;
        nm_status status = add_track(r, from, &track, &ego, &why);
        if (status == NM_OK) status = nm_scene_builder_add_local_state(builder, track, from->step, &from->state, &why);
        if (status != NM_OK) return NM_ERROR_AT(error, status, r->name, from->line, -1, "%s", why.message);
    }
    if ((uint64_t)r->ids.count * steps > r->context->limits.max_cells)
        return NM_ERROR(error, NM_E_LIMIT, "%zu tracks over %" PRIu32 " steps", r->ids.count, steps);
    nm_scene_builder_set_current(builder, 0, ego);
    const nm_provenance provenance = {.source = "csv",
                                      .file = nm_base_name(r->name),
                                      .scene_id = r->scene_id,
                                      .record = r->scenes,
                                      .program = "nearmiss " NM_VERSION,
                                      .parameters = "{}"};
    return nm_scene_builder_set_provenance(builder, &provenance, error);
}

static nm_status build(reading *r, const nm_scene **scene, nm_error *error) {
    nm_scene_builder *builder = r->context->scene_builder;
    const nm_map *map = NULL;
    uint32_t steps = 0;
    double dt = 0.1;
    int clock = 0;
    for (size_t i = 0; i < r->rows.count; i++) {
        if (NM_AT(r->rows, row, i).step >= steps) steps = NM_AT(r->rows, row, i).step + 1;
    }
    double *times = malloc(steps * sizeof *times);
    if (!times) return NM_ERROR_AT(error, NM_E_MEMORY, r->name, 0, -1, "out of memory for the times of a scene");
    nm_scene_builder_reset(builder);
    nm_status status = read_times(r, steps, times, &dt, &clock, error);
    if (status == NM_OK) status = make_map(r, &map, error);
    if (status == NM_OK) status = nm_scene_builder_begin(builder, map, dt, steps, error);
    if (status == NM_OK && clock) status = nm_scene_builder_set_timestamps(builder, times, steps, error);
    if (status == NM_OK) status = add_rows(r, steps, error);
    if (status == NM_OK) status = nm_scene_builder_build(builder, scene, error);
    nm_map_release(map);
    free(times);
    return status;
}

/// Where scenes and refusals go. `refused` is nullable.
typedef struct output {
    nm_scene_sink *sink;
    nm_refusal_sink *refused;
    void *context;
} output;

static nm_status tell(const output *to, nm_status status, const nm_error *trouble, nm_error *error) {
    if (to->refused) {
        to->refused(to->context, trouble);
        return NM_OK;
    }
    if (error) *error = *trouble;
    return status;
}

/// The scene of the rows so far, which are gone then.
static nm_status finish(reading *r, const output *to, nm_error *error) {
    if (!r->rows.count) return NM_OK;
    const nm_scene *scene = NULL;
    nm_error trouble;
    nm_error_clear(&trouble);
    nm_status status = build(r, &scene, &trouble);
    if (status != NM_OK && !trouble.input[0]) { // the builders do not know where their definitions come from
        nm_error why = trouble;
        status = NM_ERROR_AT(&trouble, status, r->name, NM_AT(r->rows, row, 0).line, -1, "scene %s: %s", r->scene_id,
                             why.message);
    }
    uint64_t record = r->scenes++;
    r->rows.count = 0;
    if (status != NM_OK) return tell(to, status, &trouble, error);
    return to->sink(to->context, scene, r->name, record, error);
}

/// Does the last line belong to another scene than the one before? Names are compared as the file has them.
static int is_next_scene(const reading *r) {
    const field *scene = at(r, NM_CSV_SCENE);
    return !r->begun || scene->size != r->scene.size ||
           (scene->size && memcmp(scene->text, r->scene.bytes, scene->size) != 0);
}

static nm_status begin_scene(reading *r, nm_error *error) {
    const field *scene = at(r, NM_CSV_SCENE);
    r->begun = 1;
    r->scene.size = 0;
    nm_byte_buffer_put(&r->scene, scene->text, scene->size);
    size_t size = scene->size < sizeof r->scene_id ? scene->size : sizeof r->scene_id - 1;
    for (size_t i = 0; i < size; i++)
        r->scene_id[i] =
            (char)((unsigned char)scene->text[i] < 0x21 || (unsigned char)scene->text[i] > 0x7e ? '_' : scene->text[i]);
    r->scene_id[size] = 0;
    return r->scene.failed ? refuse(r, error, NM_E_MEMORY, "out of memory for the name of a scene") : NM_OK;
}

/// Rows of the scene that the last line belongs to, until another one begins; a scene with a bad row is refused whole.
static nm_status read_rows(reading *r, const output *to, nm_error *error) {
    nm_error trouble;
    int skipping = 0;
    for (;;) {
        nm_error_clear(&trouble);
        nm_status status = next_line(r, &trouble);
        if (status == NM_E_NOT_FOUND) return finish(r, to, error);
        if (status == NM_OK && is_empty(r)) continue;
        if (status == NM_OK && is_next_scene(r)) {
            status = finish(r, to, error);
            if (status != NM_OK) return status;
            skipping = 0;
            status = begin_scene(r, &trouble);
        }
        if (status != NM_OK) { // where the next row begins cannot be known
            r->rows.count = 0;
            return tell(to, status, &trouble, error);
        }
        if (skipping) continue;
        status = read_row(r, &trouble);
        if (status == NM_OK) continue;
        r->rows.count = 0;
        r->scenes++;
        skipping = 1;
        status = tell(to, status, &trouble, error);
        if (status != NM_OK) return status;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Splitting

/// A scene on its way to the visitor: a file of its own, the header and its rows.
typedef struct part {
    nm_byte_buffer text;
    size_t header; // bytes
    int64_t line;  // of the first row
    nm_piece_sink *visit;
} part;

static void put_line(const reading *r, nm_byte_buffer *text) {
    nm_byte_buffer_put(text, r->bytes + r->row, r->at - r->row);
    if (r->bytes[r->at - 1] != '\n') nm_byte_buffer_put(text, "\n", 1);
}

static nm_status give_part(reading *r, part *p, const output *to, nm_error *error) {
    if (p->text.size == p->header) return NM_OK;
    const nm_piece piece = {.kind = NM_PIECE_RECORD,
                            .name = r->name,
                            .bytes = p->text.bytes,
                            .size = p->text.size,
                            .offset = (uint64_t)p->line,
                            .index = r->scenes++};
    const nm_status status = p->visit(to->context, &piece, error);
    p->text.size = p->header;
    return status;
}

/// Adds the last line. What can not be held is refused.
static nm_status add_line(reading *r, part *p, nm_error *trouble) {
    if (p->text.size == p->header) p->line = r->line;
    if (r->at - r->row > r->context->limits.max_file_bytes - p->text.size)
        return refuse(r, trouble, NM_E_LIMIT, "the rows of the scene are more than is held at once");
    put_line(r, &p->text);
    return p->text.failed ? refuse(r, trouble, NM_E_MEMORY, "out of memory for the rows of a scene") : NM_OK;
}

/// As read_rows; what is in the rows is left to who reads the parts.
static nm_status split_rows(reading *r, part *p, const output *to, nm_error *error) {
    nm_error trouble;
    int skipping = 0;
    for (;;) {
        nm_error_clear(&trouble);
        nm_status status = next_line(r, &trouble);
        if (status == NM_E_NOT_FOUND) return give_part(r, p, to, error);
        if (status == NM_OK && is_empty(r)) continue;
        if (status == NM_OK && is_next_scene(r)) {
            status = give_part(r, p, to, error);
            if (status != NM_OK) return status;
            skipping = 0;
            status = begin_scene(r, &trouble);
        }
        if (status != NM_OK) return tell(to, status, &trouble, error);
        if (skipping) continue;
        status = add_line(r, p, &trouble);
        if (status == NM_E_MEMORY) return tell(to, status, &trouble, error);
        if (status == NM_OK) continue;
        p->text.size = p->header;
        r->scenes++;
        skipping = 1;
        status = tell(to, status, &trouble, error);
        if (status != NM_OK) return status;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Files

int nm_csv_is(const void *head, size_t size) {
    static const char begin[] = "scene,step,time_s,track_id,";
    const char *text = head;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) text += 3, size -= 3;
    return size >= sizeof begin - 1 && memcmp(text, begin, sizeof begin - 1) == 0;
}

static void close_reading(reading *r) {
    if (!r) return;
    nm_pile_free(&r->rows);
    nm_id_table_free(&r->ids);
    nm_byte_buffer_free(&r->scene);
    free(r->bytes);
    free(r);
}

/// Reads the header. NULL when that can not be: `trouble` says why.
static reading *open_reading(nm_reader_context *context, const char *name, size_t window, nm_byte_source *source,
                             void *source_context, nm_status *status, nm_error *trouble) {
    reading *r = calloc(1, sizeof *r);
    nm_error_clear(trouble);
    *status = NM_OK;
    if (r) {
        *r = (reading){.context = context,
                       .name = name,
                       .source = source,
                       .source_context = source_context,
                       .bytes = malloc(window),
                       .capacity = window};
    }
    if (!r || !r->bytes)
        *status = NM_ERROR_AT(trouble, NM_E_MEMORY, name, 0, -1, "out of memory for a row");
    else
        *status = read_header(r, trouble);
    if (*status == NM_OK) return r;
    close_reading(r);
    return NULL;
}

nm_status nm_csv_read(nm_reader_context *context, const char *name, nm_byte_source *source, void *source_context,
                      nm_scene_sink *sink, nm_refusal_sink *refused, void *sink_context, nm_error *error) {
    const output to = {sink, refused, sink_context};
    nm_error trouble;
    nm_status status;
    reading *r = open_reading(context, name, WINDOW_BYTES, source, source_context, &status, &trouble);
    status = r ? read_rows(r, &to, error) : tell(&to, status, &trouble, error);
    close_reading(r);
    return status;
}

nm_status nm_csv_split(nm_reader_context *context, const char *name, nm_byte_source *source, void *source_context,
                       nm_piece_sink *visit, nm_refusal_sink *refused, void *sink_context, nm_error *error) {
    const output to = {.refused = refused, .context = sink_context};
    part p = {.visit = visit};
    nm_error trouble;
    nm_status status;
    reading *r = open_reading(context, name, WINDOW_BYTES, source, source_context, &status, &trouble);
    if (r) {
        put_line(r, &p.text);
        p.header = p.text.size;
        status = split_rows(r, &p, &to, error);
    } else {
        status = tell(&to, status, &trouble, error);
    }
    nm_byte_buffer_free(&p.text);
    close_reading(r);
    return status;
}

nm_status nm_csv_read_part(nm_reader_context *context, const nm_piece *piece, nm_scene_sink *sink,
                           nm_refusal_sink *refused, void *sink_context, nm_error *error) {
    const output to = {sink, refused, sink_context};
    nm_memory_source memory = {piece->bytes, piece->size};
    const size_t window = piece->size < WINDOW_BYTES ? piece->size + 1 : WINDOW_BYTES; // a scene may be one row
    nm_error trouble;
    nm_status status;
    reading *r = open_reading(context, piece->name, window, nm_memory_next, &memory, &status, &trouble);
    if (r) {
        r->line = (int64_t)piece->offset - 1; // as in the file
        r->scenes = piece->index;
        status = read_rows(r, &to, error);
    } else {
        status = tell(&to, status, &trouble, error);
    }
    close_reading(r);
    return status;
}
