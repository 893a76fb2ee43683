/// Scenes as bytes.
///
/// Little-endian. Arranged for a general compressor to follow: what is alike lies together, states are stored as
/// differences to predictions (scene_states.c).
///
///   offset  size  header
///   0       8     magic "nm-scn\n\0"
///   8       4     version, 1
///   12      4     0
///   16      8     bytes of body that follow
///   24      8     hash of the body (nm_hash_block, seed 0)
///   32      8     hash of the map
///   40      8     hash of the content: the scene's identity
///
///   body
///   44      dt f32; steps, current step, ego, tracks, problems, goals, goal areas, tags, signals, text bytes u32
///   4       flags u8: 1 sizes vary, 2 signal states, 4 timestamps; 0, 0, 0 u8
///   24 n    tracks: id i64; length, width, height f32; type, flags, difficulty, 0 u8
///   56 n    problems: id i64; start x, y, z, heading, vx, vy, length, width, height f32; start step u32; first goal,
///           goals u32
///   32 n    goals: first step, last step u32; heading min, max, speed min, max f32; first area, areas u32
///   24 n    goal areas: centre x, y, length, width, heading f32; lane u32
///   24      provenance: record, seed, parent u64
///   n       text: the tags, then source, file, scene id, program, parameters, each ended by a 0
///   8 n     timestamps (if flagged), as differences of the bits of the differences, in 8 byte planes
///   n       signal states (if flagged), u8 [signal][step]
///   4 + 8 n runs of valid steps by track: their number u32; track (u32, difference to the run before), first step,
///           length: as 3 planes of u32
///   4 + n   states: their number u32; as in scene_states.c
#include "sim/bytes.h"
#include "sim/scene_states.h"

#include "sim/math.h"

#define HEADER 48
#define VERSION 1u
#define FLAG_SIZES 1u
#define FLAG_SIGNALS 2u
#define FLAG_TIMESTAMPS 4u

static const unsigned char magic[8] = {'n', 'm', '-', 's', 'c', 'n', '\n', 0};

static void padding_io(nm_io *io, int count) {
    for (int i = 0; i < count; i++) {
        uint8_t zero = 0;
        nm_io_u8(io, &zero);
        if (zero) io->bad = 1;
    }
}

static void shape_io(nm_io *io, nm_scene_shape *shape, nm_scene *scene) {
    nm_io_f32(io, &scene->dt);
    nm_io_u32(io, &shape->step_count);
    nm_io_u32(io, &scene->current_step);
    nm_io_u32(io, &scene->ego);
    nm_io_u32(io, &shape->track_count);
    nm_io_u32(io, &shape->problem_count);
    nm_io_u32(io, &shape->goal_count);
    nm_io_u32(io, &shape->goal_area_count);
    nm_io_u32(io, &shape->tag_count);
    nm_io_u32(io, &shape->signal_count);
    uint32_t text = (uint32_t)shape->text_bytes;
    nm_io_u32(io, &text);
    shape->text_bytes = text;
    uint8_t flags = (uint8_t)((shape->has_sizes ? FLAG_SIZES : 0u) | (shape->has_signals ? FLAG_SIGNALS : 0u) |
                              (shape->has_timestamps ? FLAG_TIMESTAMPS : 0u));
    nm_io_u8(io, &flags);
    padding_io(io, 3);
    shape->has_sizes = (flags & FLAG_SIZES) != 0;
    shape->has_signals = (flags & FLAG_SIGNALS) != 0;
    shape->has_timestamps = (flags & FLAG_TIMESTAMPS) != 0;
    if (flags > 7u) io->bad = 1;
}

static void state_io(nm_io *io, nm_state *s) {
    float *fields[] = {&s->x, &s->y, &s->z, &s->heading, &s->vx, &s->vy, &s->length, &s->width, &s->height};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) nm_io_f32(io, fields[i]);
}

static void range_io(nm_io *io, nm_range *range) {
    nm_io_u32(io, &range->first);
    nm_io_u32(io, &range->count);
}

/// Tracks and planning problems.
static void parts_io(nm_io *io, const nm_scene *scene) {
    nm_track *tracks = NM_MUTABLE(nm_track, scene->tracks);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        nm_io_i64(io, &tracks[i].source_id);
        nm_io_f32(io, &tracks[i].length);
        nm_io_f32(io, &tracks[i].width);
        nm_io_f32(io, &tracks[i].height);
        nm_io_u8(io, &tracks[i].type);
        nm_io_u8(io, &tracks[i].flags);
        nm_io_u8(io, &tracks[i].difficulty);
        padding_io(io, 1);
    }
    nm_problem *problems = NM_MUTABLE(nm_problem, scene->problems);
    for (uint32_t i = 0; i < scene->problem_count; i++) {
        nm_io_i64(io, &problems[i].source_id);
        state_io(io, &problems[i].start);
        nm_io_u32(io, &problems[i].start_step);
        range_io(io, &problems[i].goals);
    }
    nm_goal *goals = NM_MUTABLE(nm_goal, scene->goals);
    for (uint32_t i = 0; i < scene->goal_count; i++) {
        nm_io_u32(io, &goals[i].first_step);
        nm_io_u32(io, &goals[i].last_step);
        nm_io_f32(io, &goals[i].heading_min);
        nm_io_f32(io, &goals[i].heading_max);
        nm_io_f32(io, &goals[i].speed_min);
        nm_io_f32(io, &goals[i].speed_max);
        range_io(io, &goals[i].areas);
    }
    nm_goal_area *areas = NM_MUTABLE(nm_goal_area, scene->goal_areas);
    for (uint32_t i = 0; i < scene->goal_area_count; i++) {
        nm_io_f32(io, &areas[i].centre.x);
        nm_io_f32(io, &areas[i].centre.y);
        nm_io_f32(io, &areas[i].length);
        nm_io_f32(io, &areas[i].width);
        nm_io_f32(io, &areas[i].heading);
        nm_io_u32(io, &areas[i].lane);
    }
}

static void provenance_io(nm_io *io, nm_provenance *p) {
    nm_io_u64(io, &p->record);
    nm_io_u64(io, &p->seed);
    nm_io_u64(io, &p->parent);
}

// ---------------------------------------------------------------------------------------------------------------------
// The content's hash

static void described_io(nm_io *io, const nm_scene *scene) {
    nm_scene copy = *scene; // only scalars are read from it
    nm_scene_shape shape = nm_scene_shape_of(scene);
    shape.text_bytes = 0; // provenance is not content
    shape_io(io, &shape, &copy);
    parts_io(io, scene);
    for (uint32_t i = 0; i < scene->tag_count; i++) {
        nm_io_bytes(io, (void *)(uintptr_t)scene->tags[i], strlen(scene->tags[i]) + 1);
    }
}

static int content_hash(const nm_scene *scene, uint64_t *hash) {
    nm_io io = {.mode = NM_IO_MEASURE};
    described_io(&io, scene);
    size_t size = io.done;
    unsigned char *bytes = malloc(size);
    if (!bytes) return 0;
    io = (nm_io){.mode = NM_IO_WRITE, .at = bytes};
    described_io(&io, scene);
    uint64_t h = nm_hash_block(bytes, size, scene->map->hash);
    free(bytes);
    size_t cells = (size_t)scene->track_count * scene->step_count;
    h = nm_hash_block(scene->valid, cells, h);
#define PLANE(name, always)                                                                                            \
    if (scene->name) h = nm_hash_block(scene->name, cells * sizeof(float), h);
    NM_SCENE_PLANES(PLANE)
#undef PLANE
    if (scene->signal_states) {
        h = nm_hash_block(scene->signal_states, (size_t)scene->map->signal_count * scene->step_count, h);
    }
    if (scene->timestamps) h = nm_hash_block(scene->timestamps, scene->step_count * sizeof(double), h);
    *hash = h;
    return 1;
}

nm_status nm_scene_seal(nm_scene *scene, nm_error *error) {
    if (content_hash(scene, &scene->hash)) return NM_OK;
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for a scene");
}

// ---------------------------------------------------------------------------------------------------------------------
// Encoding

/// Calls with every run of valid steps; `to` NULL only counts. Planes of u32: track difference, first step, length.
static uint32_t runs_of(const nm_scene *scene, unsigned char *to, size_t total, size_t *states) {
    uint32_t runs = 0, last_track = 0;
    *states = 0;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const nm_track *t = &scene->tracks[i];
        const uint8_t *valid = scene->valid + nm_scene_at(scene, i, 0);
        for (uint32_t step = t->first_step; step <= t->last_step && t->first_step <= t->last_step;) {
            if (!valid[step]) {
                step++;
                continue;
            }
            uint32_t first = step;
            while (step <= t->last_step && valid[step]) step++;
            if (to) {
                nm_store32(to + 4 * (size_t)runs, i - last_track);
                nm_store32(to + 4 * (total + runs), first);
                nm_store32(to + 4 * (2 * total + runs), step - first);
            }
            last_track = i;
            *states += step - first;
            runs++;
        }
    }
    return runs;
}

static void write_text(nm_io *io, const nm_scene *scene) {
    const nm_provenance *p = &scene->provenance;
    const char *last[] = {p->source, p->file, p->scene_id, p->program, p->parameters};
    for (uint32_t i = 0; i < scene->tag_count + 5; i++) {
        const char *text = i < scene->tag_count ? scene->tags[i] : last[i - scene->tag_count];
        nm_io_bytes(io, (void *)(uintptr_t)text, strlen(text) + 1);
    }
}

/// Clocks tick evenly: the second differences of the bits are small.
static void code_times(double *times, uint32_t count, unsigned char *bytes, int reading) {
    uint64_t last = 0, slope = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t bits = 0, folded = 0;
        if (reading) {
            for (size_t k = 0; k < 8; k++) folded |= (uint64_t)bytes[k * count + i] << (8 * k);
            bits = last + slope + (folded >> 1 ^ (folded & 1u ? ~(uint64_t)0 : 0u));
            memcpy(&times[i], &bits, sizeof bits);
        } else {
            memcpy(&bits, &times[i], sizeof bits);
            uint64_t difference = bits - last - slope;
            folded = difference << 1 ^ (difference >> 63 ? ~(uint64_t)0 : 0u);
            for (size_t k = 0; k < 8; k++) bytes[k * count + i] = (unsigned char)(folded >> (8 * k));
        }
        slope = i ? bits - last : 0;
        last = bits;
    }
}

/// Writes, or measures, the whole body.
static void write_body(nm_io *io, const nm_scene *scene) {
    nm_scene copy = *scene;
    nm_scene_shape shape = nm_scene_shape_of(scene);
    shape_io(io, &shape, &copy);
    parts_io(io, scene);
    provenance_io(io, &copy.provenance);
    write_text(io, scene);
    if (scene->timestamps) {
        unsigned char *at = nm_io_take(io, 8 * (size_t)scene->step_count);
        if (at) code_times(NM_MUTABLE(double, scene->timestamps), scene->step_count, at, 0);
    }
    if (scene->signal_states) {
        nm_io_bytes(io, NM_MUTABLE(void, scene->signal_states), (size_t)scene->map->signal_count * scene->step_count);
    }
    size_t states;
    uint32_t runs = runs_of(scene, NULL, 0, &states);
    nm_io_u32(io, &runs);
    unsigned char *at = nm_io_take(io, 12 * (size_t)runs);
    if (at) runs_of(scene, at, runs, &states);
    uint32_t count = (uint32_t)states;
    nm_io_u32(io, &count);
    at = nm_io_take(io, nm_states_size(scene, states));
    if (at) nm_states_write(scene, states, at);
}

static void header_io(nm_io *io, unsigned char mark[8], uint32_t *version, uint64_t fields[4]) {
    uint32_t zero = 0;
    nm_io_bytes(io, mark, sizeof magic);
    nm_io_u32(io, version);
    nm_io_u32(io, &zero);
    for (int i = 0; i < 4; i++) nm_io_u64(io, &fields[i]);
    if (zero) io->bad = 1;
}

size_t nm_scene_encode(const nm_scene *scene, void *buffer, size_t size) {
    nm_io measure = {.mode = NM_IO_MEASURE};
    write_body(&measure, scene);
    if (!buffer || size < HEADER + measure.done) return HEADER + measure.done;
    nm_io body = {.mode = NM_IO_WRITE, .at = (unsigned char *)buffer + HEADER};
    write_body(&body, scene);
    uint64_t fields[4] = {measure.done, nm_hash_block((unsigned char *)buffer + HEADER, measure.done, 0),
                          scene->map->hash, scene->hash};
    unsigned char mark[8];
    memcpy(mark, magic, sizeof mark);
    uint32_t version = VERSION;
    nm_io header = {.mode = NM_IO_WRITE, .at = buffer};
    header_io(&header, mark, &version, fields);
    return HEADER + measure.done;
}

// ---------------------------------------------------------------------------------------------------------------------
// Decoding

static nm_status refuse(nm_error *error, const char *why) {
    return NM_ERROR(error, NM_E_FORMAT, "stored scene: %s", why);
}

static nm_status read_header(nm_io *io, uint64_t fields[4], nm_error *error) {
    unsigned char mark[8];
    uint32_t version = 0;
    if (io->left < HEADER) return refuse(error, "too short");
    header_io(io, mark, &version, fields);
    if (memcmp(mark, magic, sizeof magic) != 0) return refuse(error, "these bytes are not a scene");
    if (version > VERSION) return NM_ERROR(error, NM_E_VERSION, "stored scene: version %u is newer", version);
    if (io->bad || version != VERSION) return refuse(error, "broken header");
    return NM_OK;
}

nm_status nm_scene_peek_map(const void *bytes, size_t size, uint64_t *map_hash, nm_error *error) {
    nm_io io = {.mode = NM_IO_READ, .at = (unsigned char *)(uintptr_t)bytes, .left = size};
    uint64_t fields[4] = {0};
    nm_status status = read_header(&io, fields, error);
    *map_hash = status == NM_OK ? fields[2] : 0;
    return status;
}

static int finite(float value, float limit) {
    return value >= -limit && value <= limit;
}
static int is_size(float value) {
    return value >= 0.0f && value < 1e4f;
}

static int sound_state(const nm_state *s) {
    return finite(s->x, 1.01e7f) && finite(s->y, 1.01e7f) && finite(s->z, 1.01e7f) && s->heading > -NM_PI_F &&
           s->heading <= NM_PI_F && finite(s->vx, 1.01e5f) && finite(s->vy, 1.01e5f) && is_size(s->length) &&
           is_size(s->width) && is_size(s->height);
}

static int within(nm_range range, uint32_t limit) {
    return range.first <= limit && range.count <= limit - range.first;
}

static const char *check_parts(const nm_scene *scene) {
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const nm_track *t = &scene->tracks[i];
        if (t->type >= NM_AGENT_TYPE_COUNT || !is_size(t->length) || !is_size(t->width) || !is_size(t->height)) {
            return "a track makes no sense";
        }
    }
    for (uint32_t i = 0; i < scene->problem_count; i++) {
        if (!sound_state(&scene->problems[i].start) || !within(scene->problems[i].goals, scene->goal_count)) {
            return "a planning problem makes no sense";
        }
    }
    for (uint32_t i = 0; i < scene->goal_count; i++) {
        const nm_goal *g = &scene->goals[i];
        if (g->first_step > g->last_step || !finite(g->heading_min, 1e9f) || !finite(g->heading_max, 1e9f) ||
            !finite(g->speed_min, 1e9f) || !finite(g->speed_max, 1e9f) || !within(g->areas, scene->goal_area_count)) {
            return "a goal makes no sense";
        }
    }
    for (uint32_t i = 0; i < scene->goal_area_count; i++) {
        const nm_goal_area *a = &scene->goal_areas[i];
        if ((a->lane != NM_NONE && a->lane >= scene->map->lane_count) || !finite(a->centre.x, 1.01e7f) ||
            !finite(a->centre.y, 1.01e7f) || !finite(a->heading, 4.0f) || !finite(a->length, 1e6f) ||
            !finite(a->width, 1e6f)) {
            return "a goal area makes no sense";
        }
    }
    return NULL;
}

/// Cuts the text into tags and provenance. `room` holds text_bytes.
static const char *read_text(nm_io *io, nm_scene *scene, char *room, size_t size) {
    nm_io_bytes(io, room, size);
    if (io->bad || size == 0 || room[size - 1] != 0) return "its text is cut off";
    const char **tags = NM_MUTABLE(const char *, scene->tags);
    const char **last[] = {&scene->provenance.source, &scene->provenance.file, &scene->provenance.scene_id,
                           &scene->provenance.program, &scene->provenance.parameters};
    const char *at = room, *end = room + size;
    for (uint32_t i = 0; i < scene->tag_count + 5; i++) {
        if (at >= end) return "a text is missing";
        if (i < scene->tag_count)
            tags[i] = at;
        else
            *last[i - scene->tag_count] = at;
        at += strlen(at) + 1;
    }
    return at == end ? NULL : "there is text too much";
}

static const char *check_times(const double *times, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (!(fabs(times[i]) < 1e15) || (i && !(times[i] > times[i - 1]))) return "its timestamps make no sense";
    }
    return NULL;
}

static const char *check_signals(const uint8_t *states, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (states[i] >= NM_SIGNAL_STATE_COUNT) return "a signal state does not exist";
    }
    return NULL;
}

static const char *read_runs(nm_io *io, nm_scene *scene, size_t *states) {
    nm_track *tracks = NM_MUTABLE(nm_track, scene->tracks);
    uint8_t *valid = NM_MUTABLE(uint8_t, scene->valid);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        tracks[i].first_step = 1;
        tracks[i].last_step = 0;
    }
    uint32_t runs = 0, track = 0;
    nm_io_u32(io, &runs);
    const unsigned char *at = nm_io_take(io, 12 * (size_t)runs);
    *states = 0;
    for (uint32_t i = 0; at && i < runs; i++) {
        uint32_t ahead = nm_load32(at + 4 * (size_t)i);
        uint32_t first = nm_load32(at + 4 * ((size_t)runs + i));
        uint32_t length = nm_load32(at + 4 * (2 * (size_t)runs + i));
        if (ahead >= scene->track_count - track) return "a run of states has no track";
        track += ahead;
        nm_track *t = &tracks[track];
        int any = t->first_step <= t->last_step;
        if (length == 0 || first >= scene->step_count || length > scene->step_count - first ||
            (any && first <= t->last_step + 1)) { // adjoining runs would have been one
            return "a run of states makes no sense";
        }
        memset(valid + nm_scene_at(scene, track, first), 1, length);
        if (!any) t->first_step = first;
        t->last_step = first + length - 1;
        *states += length;
    }
    return at ? NULL : "it is cut off";
}

static const char *check_states(const nm_scene *scene) {
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const nm_track *t = &scene->tracks[i];
        for (uint32_t step = t->first_step; step <= t->last_step && t->first_step <= t->last_step; step++) {
            size_t at = nm_scene_at(scene, i, step);
            if (!scene->valid[at]) continue;
            nm_state s = {
                scene->x[at], scene->y[at], scene->z[at], scene->heading[at], scene->vx[at], scene->vy[at], 0, 0, 0};
            if (scene->state_length) {
                s.length = scene->state_length[at];
                s.width = scene->state_width[at];
                s.height = scene->state_height[at];
            }
            if (!sound_state(&s)) return "a state is not finite or absurd";
        }
    }
    return NULL;
}

/// Everything behind the shape; returns what is wrong, or NULL.
static const char *read_body(nm_io *io, nm_scene *scene, char *room, size_t text_bytes) {
    parts_io(io, scene);
    provenance_io(io, &scene->provenance);
    const char *wrong = read_text(io, scene, room, text_bytes);
    if (!wrong) wrong = check_parts(scene);
    if (wrong) return wrong;
    if (scene->timestamps) {
        double *times = NM_MUTABLE(double, scene->timestamps);
        unsigned char *at = nm_io_take(io, 8 * (size_t)scene->step_count);
        if (!at) return "it is cut off";
        code_times(times, scene->step_count, at, 1);
        wrong = check_times(times, scene->step_count);
        if (wrong) return wrong;
    }
    size_t signals = scene->signal_states ? (size_t)scene->map->signal_count * scene->step_count : 0;
    nm_io_bytes(io, NM_MUTABLE(void, scene->signal_states), signals);
    wrong = check_signals(scene->signal_states, signals);
    if (wrong) return wrong;
    size_t states;
    wrong = read_runs(io, scene, &states);
    if (wrong) return wrong;
    uint32_t count = 0;
    nm_io_u32(io, &count);
    if (io->bad || count != states) return "its states do not add up";
    unsigned char *at = nm_io_take(io, nm_states_size(scene, states));
    if (!at || io->left) return "its states do not add up";
    if (!nm_states_read(scene, states, at)) return "its states are broken";
    return check_states(scene);
}

static const char *check_shape(const nm_scene_shape *shape, const nm_scene *scene, const nm_map *map, size_t left) {
    if (!(scene->dt > 0.0f && scene->dt <= 3600.0f)) return "its time step makes no sense";
    if (shape->step_count == 0 || shape->step_count > NM_SCENE_MAX_STEPS || scene->current_step >= shape->step_count ||
        shape->track_count > NM_SCENE_MAX_TRACKS) {
        return "its steps or tracks make no sense";
    }
    if (scene->ego != NM_NONE && scene->ego >= shape->track_count) return "its ego does not exist";
    if (shape->signal_count != map->signal_count) return "its signals are not the map's";
    // what the arrays need at least in the bytes: guards the allocation
    uint64_t least = 24u * (uint64_t)shape->track_count + 56u * (uint64_t)shape->problem_count +
                     32u * (uint64_t)shape->goal_count + 24u * (uint64_t)shape->goal_area_count + shape->text_bytes;
    if (least > left || shape->tag_count > shape->text_bytes) return "its counts do not fit its size";
    uint64_t cells = (uint64_t)shape->track_count * shape->step_count;
    if (cells > NM_SCENE_LARGE && cells / NM_SCENE_SPARSE > left / 24) return "it is mostly empty";
    return NULL;
}

nm_status nm_scene_decode(const void *bytes, size_t size, const nm_map *map, const nm_scene **scene, nm_error *error) {
    *scene = NULL;
    nm_io io = {.mode = NM_IO_READ, .at = (unsigned char *)(uintptr_t)bytes, .left = size};
    uint64_t fields[4] = {0};
    nm_status status = read_header(&io, fields, error);
    if (status != NM_OK) return status;
    if (fields[0] != io.left) return refuse(error, "cut off, or followed by something else");
    if (nm_hash_block(io.at, io.left, 0) != fields[1]) return refuse(error, "its hash does not match");
    if (fields[2] != map->hash) return refuse(error, "it belongs to another map");
    nm_scene_shape shape = {0};
    nm_scene read = {0};
    shape_io(&io, &shape, &read);
    const char *wrong = io.bad ? "it is cut off" : check_shape(&shape, &read, map, io.left);
    if (wrong) return refuse(error, wrong);
    nm_scene *made;
    char *room;
    status = nm_scene_allocate(&shape, map, &made, &room, error);
    if (status != NM_OK) return status;
    made->dt = read.dt;
    made->current_step = read.current_step;
    made->ego = read.ego;
    wrong = read_body(&io, made, room, shape.text_bytes);
    uint64_t hash = 0;
    if (!wrong && !content_hash(made, &hash)) status = NM_ERROR(error, NM_E_MEMORY, "out of memory for a scene");
    if (!wrong && status == NM_OK && hash != fields[3]) wrong = "its content is not what its name says";
    if (wrong) status = refuse(error, wrong);
    if (status != NM_OK) {
        nm_scene_destroy(made);
        return status;
    }
    made->hash = hash;
    *scene = made;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Fields

/// The states of one track, and its first and last step.
static void copy_states(const nm_scene *from, nm_scene *to, uint32_t track) {
    nm_track *t = &NM_MUTABLE(nm_track, to->tracks)[track];
    t->first_step = 1;
    t->last_step = 0;
    size_t at = nm_scene_at(from, track, 0);
    for (uint32_t step = 0; step < from->step_count; step++, at++) {
        if (!from->valid[at]) continue;
        NM_MUTABLE(uint8_t, to->valid)[at] = 1;
#define PLANE(name, always)                                                                                            \
    if (from->name) NM_MUTABLE(float, to->name)[at] = from->name[at];
        NM_SCENE_PLANES(PLANE)
#undef PLANE
        if (t->first_step > t->last_step) t->first_step = step;
        t->last_step = step;
    }
}

static void copy_array(const void *to, const void *from, size_t count, size_t size) {
    if (from && count) memcpy(NM_MUTABLE(void, to), from, count * size);
}

static void copy_fields(const nm_scene *from, nm_scene *to, char *text) {
    to->dt = from->dt;
    to->current_step = from->current_step;
    to->ego = from->ego;
    copy_array(to->tracks, from->tracks, from->track_count, sizeof(nm_track));
    for (uint32_t i = 0; i < from->track_count; i++) NM_MUTABLE(nm_track, to->tracks)[i].reserved = 0;
    for (uint32_t i = 0; i < from->track_count; i++) copy_states(from, to, i);
    copy_array(to->problems, from->problems, from->problem_count, sizeof(nm_problem));
    copy_array(to->goals, from->goals, from->goal_count, sizeof(nm_goal));
    copy_array(to->goal_areas, from->goal_areas, from->goal_area_count, sizeof(nm_goal_area));
    copy_array(to->timestamps, from->timestamps, from->step_count, sizeof(double));
    copy_array(to->signal_states, from->signal_states, (size_t)to->map->signal_count * from->step_count, 1);
    for (uint32_t i = 0; i < from->tag_count; i++)
        NM_MUTABLE(const char *, to->tags)[i] = nm_scene_put_text(&text, from->tags[i]);
    to->provenance = from->provenance;
    const char **texts[] = {&to->provenance.source, &to->provenance.file, &to->provenance.scene_id,
                            &to->provenance.program, &to->provenance.parameters};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = nm_scene_put_text(&text, *texts[i]);
}

nm_status nm_scene_assemble(const nm_scene *fields, const nm_map *map, const nm_scene **scene, nm_error *error) {
    *scene = NULL;
    nm_scene from = *fields;
    from.map = map;
    nm_scene_shape shape = nm_scene_shape_of(&from);
    const char *wrong = check_shape(&shape, &from, map, SIZE_MAX);
    if (!wrong) wrong = check_parts(&from);
    if (!wrong && from.timestamps) wrong = check_times(from.timestamps, from.step_count);
    if (!wrong && from.signal_states)
        wrong = check_signals(from.signal_states, (size_t)map->signal_count * from.step_count);
    if (wrong) return NM_ERROR(error, NM_E_FORMAT, "scene: %s", wrong);
    nm_scene *made;
    char *text;
    nm_status status = nm_scene_allocate(&shape, map, &made, &text, error);
    if (status != NM_OK) return status;
    copy_fields(&from, made, text);
    wrong = check_states(made);
    status = wrong ? NM_ERROR(error, NM_E_FORMAT, "scene: %s", wrong) : nm_scene_seal(made, error);
    if (status != NM_OK) {
        nm_scene_destroy(made);
        return status;
    }
    *scene = made;
    return NM_OK;
}
