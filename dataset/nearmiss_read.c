/// Records of protos/nearmiss.proto: the scene, and what came with it.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "dataset/nearmiss_private.h"
#include "dataset/protobuf_in.h"

#define MAX_RECORD_MEMORY ((size_t)512 << 20) // unpacked
#define KEEP_MEMORY ((size_t)64 << 20)        // kept from record to record

int nm_nearmiss_is(const void *payload, size_t size) {
    static const char head[] = "\x0a\x0e" NM_NEARMISS_MAGIC; // field 1, 14 bytes
    return size >= sizeof head - 1 && memcmp(payload, head, sizeof head - 1) == 0;
}

void nm_nearmiss_release(nm_reader_context *context) {
    nm_arena_destroy(context->nearmiss);
    context->nearmiss = NULL;
}

/// A scene on its way: the state planes are a block of their own.
typedef struct reading {
    const NearmissScene__Scene *from;
    nm_arena *arena;
    const nm_import_limits *limits;
    nm_scene to;
    nm_track *tracks;
    uint8_t *valid;
    float *planes; // 9 or 6 of track_count * step_count
} reading;

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "needs more memory than there is, or than one record may take");
}

static uint8_t narrow(int64_t value) {
    return value < 0 || value > 255 ? 255 : (uint8_t)value;
}

static nm_status check_text(const char *text, const char *what, nm_error *error) {
    size_t left = text ? strlen(text) : 0, step;
    for (; left; text += step, left -= step) {
        step = nm_utf8_next(text, left);
        if (!step) return NM_ERROR(error, NM_E_FORMAT, "%s is not UTF-8", what);
    }
    return NM_OK;
}

static nm_status check_shape(const reading *r, nm_error *error) {
    const NearmissScene__Scene *s = r->from;
    if (s->version == 0 || !s->map) return NM_ERROR(error, NM_E_FORMAT, "has no version or no map");
    if (s->version > NM_NEARMISS_VERSION)
        return NM_ERROR(error, NM_E_VERSION, "is of version %" PRIu32 ", this program reads up to %u", s->version,
                        NM_NEARMISS_VERSION);
    if (s->steps == 0 || s->steps > NM_SCENE_MAX_STEPS || s->steps > r->limits->max_steps)
        return NM_ERROR(error, s->steps ? NM_E_LIMIT : NM_E_FORMAT, "has %" PRIu32 " steps", s->steps);
    if (s->n_tracks > NM_SCENE_MAX_TRACKS || s->n_tracks > r->limits->max_tracks)
        return NM_ERROR(error, NM_E_LIMIT, "has %zu tracks", s->n_tracks);
    if ((uint64_t)s->n_tracks * s->steps > r->limits->max_cells)
        return NM_ERROR(error, NM_E_LIMIT, "has %zu tracks over %" PRIu32 " steps", s->n_tracks, s->steps);
    if (s->map->n_lanes > r->limits->max_lanes) return NM_ERROR(error, NM_E_LIMIT, "has %zu lanes", s->map->n_lanes);
    if (s->n_signal_states && s->n_signal_states != (uint64_t)s->map->n_signals * s->steps)
        return NM_ERROR(error, NM_E_FORMAT, "has %zu signal_states for %zu signals over %" PRIu32 " steps",
                        s->n_signal_states, s->map->n_signals, s->steps);
    if (s->n_timestamps && s->n_timestamps != s->steps)
        return NM_ERROR(error, NM_E_FORMAT, "has %zu timestamps for %" PRIu32 " steps", s->n_timestamps, s->steps);
    return NM_OK;
}

/// How many steps are valid; UINT32_MAX when the runs pass the end.
static uint32_t mark_valid(const NearmissScene__Track *track, uint32_t steps, uint8_t *valid) {
    uint32_t at = 0, count = 0;
    for (size_t i = 0; i < track->n_valid_runs; i++) {
        uint32_t run = track->valid_runs[i];
        if (run > steps - at) return UINT32_MAX;
        if (i % 2) {
            memset(valid + at, 1, run);
            count += run;
        }
        at += run;
    }
    return count;
}

/// [all or one] into the valid cells of a plane that is 0.
static int spread(float *plane, const uint8_t *valid, uint32_t steps, uint32_t wanted, const float *from,
                  size_t given) {
    if (given == 0) return 1;
    if (given != 1 && given != wanted) return 0;
    size_t next = 0, advance = given == 1 ? 0 : 1;
    for (uint32_t i = 0; i < steps; i++) {
        if (!valid[i]) continue;
        plane[i] = from[next];
        next += advance;
    }
    return 1;
}

static nm_status read_track(const reading *r, uint32_t i, nm_error *error) {
    const NearmissScene__Track *from = r->from->tracks[i];
    const uint32_t steps = r->from->steps;
    const size_t cells = (size_t)r->to.track_count * steps;
    uint8_t *valid = r->valid + (size_t)i * steps;
    float *plane = r->planes + (size_t)i * steps;
    r->tracks[i] = (nm_track){.source_id = from->id,
                              .length = from->length,
                              .width = from->width,
                              .height = from->height,
                              .type = narrow(from->type),
                              .flags = (uint8_t)from->flags,
                              .difficulty = (uint8_t)from->difficulty};
    if (from->flags > 255 || from->difficulty > 255)
        return NM_ERROR(error, NM_E_FORMAT, "track %" PRIu32 ": flags or difficulty over 255", i);
    uint32_t count = mark_valid(from, steps, valid);
    if (count == UINT32_MAX) return NM_ERROR(error, NM_E_FORMAT, "track %" PRIu32 ": valid_runs pass the end", i);
    int good = 1;
#define PLANE(name, field)                                                                                             \
    if (field < 15 || r->from->sizes_vary) {                                                                           \
        good &= spread(plane, valid, steps, count, from->name, from->n_##name);                                        \
        plane += cells;                                                                                                \
    }
    NM_NEARMISS_PLANES(PLANE)
#undef PLANE
    if (good) return NM_OK;
    return NM_ERROR(error, NM_E_FORMAT, "track %" PRIu32 ": an array has neither one value nor one for each valid step",
                    i);
}

/// A record of few bytes must not make gigabytes: as many states at least as scenes from elsewhere must have.
static int mostly_empty(const reading *r) {
    uint64_t cells = (uint64_t)r->from->n_tracks * r->from->steps, runs = 0;
    for (size_t i = 0; i < r->from->n_tracks; i++) {
        for (size_t k = 1; k < r->from->tracks[i]->n_valid_runs; k += 2) runs += r->from->tracks[i]->valid_runs[k];
    }
    return cells > (UINT64_C(1) << 24) && cells / 512 > runs;
}

static nm_status read_tracks(reading *r, nm_error *error) {
    const size_t count = r->from->n_tracks, cells = count * r->from->steps, planes = r->from->sizes_vary ? 9 : 6;
    if (mostly_empty(r)) return NM_ERROR(error, NM_E_LIMIT, "is mostly empty");
    r->tracks = nm_arena_calloc(r->arena, count, sizeof *r->tracks, 16);
    r->valid = calloc(cells + 1, 1);
    r->planes = calloc(cells * planes + 1, sizeof *r->planes);
    if (!r->tracks || !r->valid || !r->planes) return no_memory(error);
    nm_status status = NM_OK;
    for (uint32_t i = 0; i < count && status == NM_OK; i++) status = read_track(r, i, error);
    const float **to[] = {
        &r->to.x,           &r->to.y,           &r->to.z, &r->to.heading, &r->to.vx, &r->to.vy, &r->to.state_length,
        &r->to.state_width, &r->to.state_height};
    for (size_t i = 0; i < planes; i++) *to[i] = r->planes + i * cells;
    r->to.tracks = r->tracks;
    r->to.valid = r->valid;
    return status;
}

static nm_status read_signals(reading *r, nm_error *error) {
    const size_t count = r->from->n_signal_states;
    if (!count) return NM_OK;
    uint8_t *states = nm_arena_alloc(r->arena, count, 1, 16);
    if (!states) return no_memory(error);
    for (size_t i = 0; i < count; i++) states[i] = narrow((int64_t)r->from->signal_states[i]);
    r->to.signal_states = states;
    return NM_OK;
}

static void fill_goal(reading *r, const NearmissScene__Goal *from, nm_goal *to, nm_goal_area *areas) {
    *to = (nm_goal){.first_step = from->first_step,
                    .last_step = from->last_step,
                    .heading_min = from->heading_min,
                    .heading_max = from->heading_max,
                    .speed_min = from->speed_min,
                    .speed_max = from->speed_max,
                    .areas = {r->to.goal_area_count, (uint32_t)from->n_areas}};
    for (size_t i = 0; i < from->n_areas; i++) {
        const NearmissScene__GoalArea *a = from->areas[i];
        areas[r->to.goal_area_count++] =
            (nm_goal_area){{a->x, a->y}, a->length, a->width, a->heading, (uint32_t)a->lane};
    }
}

static nm_status read_problems(reading *r, nm_error *error) {
    const NearmissScene__Scene *s = r->from;
    size_t goal_count = 0, area_count = 0;
    for (size_t i = 0; i < s->n_problems; i++) {
        goal_count += s->problems[i]->n_goals;
        for (size_t k = 0; k < s->problems[i]->n_goals; k++) area_count += s->problems[i]->goals[k]->n_areas;
    }
    nm_problem *problems = nm_arena_calloc(r->arena, s->n_problems, sizeof *problems, 16);
    nm_goal *goals = nm_arena_calloc(r->arena, goal_count, sizeof *goals, 16);
    nm_goal_area *areas = nm_arena_calloc(r->arena, area_count, sizeof *areas, 16);
    if (!problems || !goals || !areas) return no_memory(error);
    for (size_t i = 0; i < s->n_problems; i++) {
        const NearmissScene__Problem *from = s->problems[i];
        if (from->n_start != 9) return NM_ERROR(error, NM_E_FORMAT, "problem %zu: start has not 9 numbers", i);
        const float *v = from->start;
        problems[i] = (nm_problem){.source_id = from->id,
                                   .start = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8]},
                                   .start_step = from->start_step,
                                   .goals = {r->to.goal_count, (uint32_t)from->n_goals}};
        for (size_t k = 0; k < from->n_goals; k++) fill_goal(r, from->goals[k], &goals[r->to.goal_count++], areas);
    }
    r->to.problem_count = (uint32_t)s->n_problems;
    r->to.problems = problems;
    r->to.goals = goals;
    r->to.goal_areas = areas;
    return NM_OK;
}

static const char *or_empty(const char *text) {
    return text ? text : "";
}

static nm_status read_texts(reading *r, nm_error *error) {
    static const NearmissScene__Provenance none = NEARMISS_SCENE__PROVENANCE__INIT;
    const NearmissScene__Provenance *p = r->from->provenance ? r->from->provenance : &none;
    char *file = nm_arena_strndup(r->arena, p->file.data ? (const char *)p->file.data : "", p->file.len);
    if (!file) return no_memory(error);
    r->to.provenance = (nm_provenance){.source = or_empty(p->source),
                                       .file = file,
                                       .scene_id = or_empty(p->scene_id),
                                       .record = p->record,
                                       .program = or_empty(p->program),
                                       .seed = p->seed,
                                       .parent = p->parent,
                                       .parameters = or_empty(p->parameters)};
    const char *texts[] = {p->source, p->scene_id, p->program, p->parameters};
    nm_status status = NM_OK;
    for (size_t i = 0; i < 4 && status == NM_OK; i++) status = check_text(texts[i], "the provenance", error);
    for (size_t i = 0; i < r->from->n_tags && status == NM_OK; i++)
        status = check_text(r->from->tags[i], "a tag", error);
    r->to.tag_count = (uint32_t)r->from->n_tags;
    r->to.tags = (const char *const *)r->from->tags;
    return status;
}

static nm_status build(reading *r, const nm_scene **scene, nm_error *error) {
    const NearmissScene__Scene *s = r->from;
    const nm_map *map = NULL;
    nm_status status = nm_nearmiss_read_map(s->map, r->arena, &map, error);
    r->to.dt = s->dt;
    r->to.step_count = s->steps;
    r->to.current_step = s->current_step;
    r->to.ego = (uint32_t)s->ego; // -1 is NM_NONE
    r->to.track_count = (uint32_t)s->n_tracks;
    r->to.timestamps = s->n_timestamps ? s->timestamps : NULL;
    if (status == NM_OK) status = read_tracks(r, error);
    if (status == NM_OK) status = read_signals(r, error);
    if (status == NM_OK) status = read_problems(r, error);
    if (status == NM_OK) status = read_texts(r, error);
    if (status == NM_OK) status = nm_scene_assemble(&r->to, map, scene, error);
    nm_map_release(map);
    free(r->valid);
    free(r->planes);
    if (status != NM_OK || s->hash == 0 || (*scene)->hash == s->hash) return status;
    nm_scene_destroy(*scene);
    *scene = NULL;
    return NM_ERROR(error, NM_E_FORMAT, "its content is not what its hash says (leave the hash out after changes)");
}

// ---------------------------------------------------------------------------------------------------------------------
// Labels and generation

static nm_status read_labels(const reading *r, nm_scene_label **labels, nm_error *error) {
    const NearmissScene__Scene *s = r->from;
    nm_scene_label *made = nm_arena_calloc(r->arena, s->n_labels, sizeof *made, 16);
    if (!made) return no_memory(error);
    for (size_t i = 0; i < s->n_labels; i++) {
        const NearmissScene__Label *from = s->labels[i];
        made[i] = (nm_scene_label){.kind = or_empty(from->kind),
                                   .actor = from->actor,
                                   .other = (uint32_t)from->other,
                                   .first_step = from->first_step,
                                   .last_step = from->last_step,
                                   .critical_step = from->critical_step,
                                   .severity = from->severity};
        int good = from->actor < s->n_tracks && (from->other < 0 || (size_t)from->other < s->n_tracks) &&
                   from->other >= -1 && from->first_step <= from->critical_step &&
                   from->critical_step <= from->last_step && from->last_step < s->steps && from->severity >= 0.0f &&
                   from->severity <= 1.0f;
        if (!good || check_text(from->kind, "a kind", NULL) != NM_OK)
            return NM_ERROR(error, NM_E_FORMAT, "label %zu makes no sense", i);
#define MEASURE(name, field) made[i].name = from->has_##name ? from->name : (float)NAN;
        NM_NEARMISS_MEASURES(MEASURE)
#undef MEASURE
    }
    *labels = made;
    return NM_OK;
}

static nm_status read_generation(const NearmissScene__Generation *from, nm_scene_generation *to, nm_error *error) {
    *to = (nm_scene_generation){or_empty(from->kind),    or_empty(from->generator), or_empty(from->severity),
                                or_empty(from->label),   or_empty(from->requested), or_empty(from->achieved),
                                or_empty(from->verdicts)};
    const char *texts[] = {to->kind, to->generator, to->severity, to->label, to->requested, to->achieved, to->verdicts};
    nm_status status = NM_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && status == NM_OK; i++)
        status = check_text(texts[i], "the generation", error);
    return status;
}

/// The scene of a message, and what it says beyond the scene goes to the listener.
static nm_status read_message(nm_reader_context *context, reading *r, const nm_scene **scene, nm_error *error) {
    nm_scene_label *labels = NULL;
    nm_scene_generation generation;
    nm_status status = check_shape(r, error);
    if (status == NM_OK) status = read_labels(r, &labels, error);
    if (status == NM_OK && r->from->generation) status = read_generation(r->from->generation, &generation, error);
    if (status == NM_OK) status = build(r, scene, error);
    if (status != NM_OK || !context->extras || (!r->from->n_labels && !r->from->generation)) return status;
    const nm_export_item item = {.scene = *scene,
                                 .id = r->from->store_id,
                                 .labels = labels,
                                 .label_count = r->from->n_labels,
                                 .generated = r->from->generation ? &generation : NULL};
    context->extras(context->extras_context, &item);
    return NM_OK;
}

nm_status nm_nearmiss_read(nm_reader_context *context, const char *name, const nm_tfrecord *frame,
                           const nm_scene **scene, nm_error *error) {
    nm_error why;
    nm_error_clear(&why);
    *scene = NULL;
    if (!context->nearmiss) context->nearmiss = nm_arena_create(MAX_RECORD_MEMORY);
    if (!context->nearmiss) return no_memory(error);
    nm_pb_memory memory = {.arena = context->nearmiss};
    ProtobufCAllocator allocator = nm_pb_allocator(&memory);
    reading r = {.arena = context->nearmiss, .limits = &context->limits};
    r.from = nearmiss_scene__scene__unpack(&allocator, frame->size, frame->payload);
    nm_status status;
    if (r.from)
        status = read_message(context, &r, scene, &why);
    else
        status = memory.refused ? no_memory(&why) : NM_ERROR(&why, NM_E_FORMAT, "is no Scene message of nearmiss");
    if (nm_arena_used(context->nearmiss) > KEEP_MEMORY)
        nm_nearmiss_release(context);
    else
        nm_arena_reset(context->nearmiss);
    if (status == NM_OK) return NM_OK;
    return NM_ERROR_AT(error, status, name, 0, (int64_t)frame->offset, "record %" PRIu64 ": %s", frame->index,
                       why.message);
}
