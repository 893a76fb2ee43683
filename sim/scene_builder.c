/// Collects tracks and states in the order the source gives them, and lays them out by track and step at the end.
///
/// Adding a state appends one record: files hold millions. A second state for a step is found at once: steps of a track
/// that only grow need no look-up; when one does not, all states so far go into a table, which is kept from there on.
#include "sim/scene_private.h"

#include "sim/math.h"

typedef struct raw_state {
    uint32_t track, step;
    nm_state state;
} raw_state;

typedef struct raw_track {
    nm_track track; // sizes and steps are settled by the build
    int64_t line;
    float length, width, height; // given with the track
} raw_track;

typedef struct raw_signal_state {
    uint32_t signal, step;
    uint8_t state;
} raw_signal_state;

struct nm_scene_builder {
    const nm_map *map;
    double dt;
    uint32_t step_count, current_step, ego;
    int begun, sizes; // sizes: some state came with its own
    nm_pile tracks;   // raw_track
    nm_pile states;   // raw_state
    nm_pile signals;  // raw_signal_state
    nm_pile times;    // double
    nm_pile problems; // nm_problem
    nm_pile goals;    // nm_goal
    nm_pile areas;    // nm_goal_area
    nm_pile text;     // char: tags one after the other, terminated
    uint32_t tag_count;
    nm_pile provenance_text;
    nm_provenance provenance; // strings as offsets + 1 into provenance_text until the build
    nm_id_table track_ids, state_ids, lane_ids;
    int check_states; // state_ids is in use
    int have_lane_ids;
};

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for the scene");
}

nm_scene_builder *nm_scene_builder_create(void) {
    nm_scene_builder *builder = calloc(1, sizeof *builder);
    if (builder) nm_scene_builder_reset(builder);
    return builder;
}

void nm_scene_builder_destroy(nm_scene_builder *builder) {
    if (!builder) return;
    nm_map_release(builder->map);
    nm_pile *piles[] = {&builder->tracks, &builder->states,   &builder->signals,
                        &builder->times,  &builder->problems, &builder->goals,
                        &builder->areas,  &builder->text,     &builder->provenance_text};
    for (size_t i = 0; i < sizeof piles / sizeof *piles; i++) nm_pile_free(piles[i]);
    nm_id_table_free(&builder->track_ids);
    nm_id_table_free(&builder->state_ids);
    nm_id_table_free(&builder->lane_ids);
    free(builder);
}

void nm_scene_builder_reset(nm_scene_builder *builder) {
    nm_map_release(builder->map);
    builder->map = NULL;
    nm_pile *piles[] = {&builder->tracks, &builder->states,   &builder->signals,
                        &builder->times,  &builder->problems, &builder->goals,
                        &builder->areas,  &builder->text,     &builder->provenance_text};
    for (size_t i = 0; i < sizeof piles / sizeof *piles; i++) piles[i]->count = 0;
    nm_id_table_reset(&builder->track_ids);
    nm_id_table_reset(&builder->state_ids);
    nm_id_table_reset(&builder->lane_ids);
    builder->begun = builder->sizes = builder->check_states = builder->have_lane_ids = 0;
    builder->tag_count = 0;
    builder->current_step = 0;
    builder->ego = NM_NONE;
    builder->provenance = (nm_provenance){0};
}

static nm_status too_many_steps(nm_error *error, uint64_t steps) {
    return NM_ERROR(error, NM_E_LIMIT, "step %llu: a scene has at most %u steps", (unsigned long long)steps,
                    NM_SCENE_MAX_STEPS);
}

nm_status nm_scene_builder_begin(nm_scene_builder *builder, const nm_map *map, double dt, uint32_t step_count,
                                 nm_error *error) {
    NM_ASSERT(map && !builder->begun);
    if (!(dt > 0.0 && dt <= 3600.0) || !((float)dt > 0.0f)) {
        return NM_ERROR(error, NM_E_FORMAT, "time step %g s makes no sense", dt);
    }
    if (step_count > NM_SCENE_MAX_STEPS) return too_many_steps(error, step_count);
    builder->map = nm_map_retain(map);
    builder->dt = dt;
    builder->step_count = step_count;
    builder->begun = 1;
    return NM_OK;
}

static int size_usable(float size) {
    return size >= 0.0f && size < 1e4f;
}

nm_status nm_scene_builder_add_track(nm_scene_builder *builder, const nm_track_def *def, uint32_t *track,
                                     nm_error *error) {
    NM_ASSERT(builder->begun && (unsigned)def->type < NM_AGENT_TYPE_COUNT);
    uint32_t index = (uint32_t)builder->tracks.count;
    if (index >= NM_SCENE_MAX_TRACKS) {
        return NM_ERROR_AT(error, NM_E_LIMIT, NULL, def->line, -1, "a scene has at most %u tracks",
                           NM_SCENE_MAX_TRACKS);
    }
    if (!size_usable(def->length) || !size_usable(def->width) || !size_usable(def->height)) {
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, def->line, -1, "track %lld: size %g x %g x %g m makes no sense",
                           (long long)def->id, (double)def->length, (double)def->width, (double)def->height);
    }
    uint32_t stored = nm_id_table_add(&builder->track_ids, def->id, index);
    if (stored == NM_NONE) return no_memory(error);
    if (stored != index) {
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, def->line, -1, "track id %lld is used twice", (long long)def->id);
    }
    raw_track *raw = NM_PUSH(&builder->tracks, raw_track, 1);
    if (!raw) return no_memory(error);
    *raw = (raw_track){.line = def->line, .length = def->length, .width = def->width, .height = def->height};
    raw->track.source_id = def->id;
    raw->track.type = (uint8_t)def->type;
    raw->track.flags = (uint8_t)def->flags;
    raw->track.difficulty = (uint8_t)def->difficulty;
    raw->track.first_step = 1; // none yet
    raw->track.last_step = 0;
    *track = index;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// States

static int64_t state_key(uint32_t track, uint32_t step) {
    return (int64_t)((uint64_t)track << 32 | step);
}

static nm_status check_repeat(nm_scene_builder *builder, uint32_t track, uint32_t step, nm_error *error) {
    uint32_t index = (uint32_t)builder->states.count;
    if (!builder->check_states) {
        for (uint32_t i = 0; i < index; i++) {
            const raw_state *s = &NM_AT(builder->states, raw_state, i);
            if (nm_id_table_add(&builder->state_ids, state_key(s->track, s->step), i) == NM_NONE) {
                return no_memory(error);
            }
        }
        builder->check_states = 1;
    }
    uint32_t stored = nm_id_table_add(&builder->state_ids, state_key(track, step), index);
    if (stored == NM_NONE) return no_memory(error);
    if (stored == index) return NM_OK;
    return NM_ERROR(error, NM_E_FORMAT, "track %lld has two states for step %u",
                    (long long)NM_AT(builder->tracks, raw_track, track).track.source_id, step);
}

static nm_status bad_state(const nm_scene_builder *builder, uint32_t track, uint32_t step, nm_error *error) {
    return NM_ERROR(error, NM_E_FORMAT, "track %lld, step %u: the state is not finite or absurd (over %g m or %g m/s)",
                    (long long)NM_AT(builder->tracks, raw_track, track).track.source_id, step, NM_SCENE_MAX_DISTANCE,
                    NM_SCENE_MAX_SPEED);
}

/// Into the map's frame; 0 when a value is not usable. The comparisons are written so that NaN fails.
static int convert(const nm_map *map, const nm_state_def *def, nm_state *out) {
    double x = def->x - map->origin.x, y = def->y - map->origin.y, z = def->z - map->origin.z;
    if (!(fabs(x) <= NM_SCENE_MAX_DISTANCE && fabs(y) <= NM_SCENE_MAX_DISTANCE && fabs(z) <= NM_SCENE_MAX_DISTANCE))
        return 0;
    if (!(fabs(def->vx) <= NM_SCENE_MAX_SPEED && fabs(def->vy) <= NM_SCENE_MAX_SPEED && fabs(def->heading) <= 1e15))
        return 0;
    if (!size_usable(def->length) || !size_usable(def->width) || !size_usable(def->height)) return 0;
    float heading = (float)nm_wrap_angle_d(def->heading);
    out->x = (float)x;
    out->y = (float)y;
    out->z = (float)z;
    out->heading = heading <= -NM_PI_F ? NM_PI_F : heading; // -pi + 1e-9 rounds to -pi
    out->vx = (float)def->vx;
    out->vy = (float)def->vy;
    out->length = def->length;
    out->width = def->width;
    out->height = def->height;
    return 1;
}

/// A checked place for one more state. The caller fills `state` in and calls close_state, or takes the state back.
static nm_status open_state(nm_scene_builder *builder, uint32_t track, uint32_t step, raw_state **out,
                            nm_error *error) {
    NM_ASSERT(track < builder->tracks.count);
    if (NM_UNLIKELY(step >= NM_SCENE_MAX_STEPS)) return too_many_steps(error, step);
    const nm_track *t = &NM_AT(builder->tracks, raw_track, track).track;
    int grows = t->first_step > t->last_step || step > t->last_step;
    if (NM_UNLIKELY(!grows || builder->check_states)) {
        nm_status status = check_repeat(builder, track, step, error);
        if (status != NM_OK) return status;
    }
    if (NM_UNLIKELY(builder->states.count >= NM_SCENE_MAX_STATES)) {
        return NM_ERROR(error, NM_E_LIMIT, "a scene has at most %u states", NM_SCENE_MAX_STATES);
    }
    raw_state *raw = NM_PUSH(&builder->states, raw_state, 1);
    if (NM_UNLIKELY(!raw)) return no_memory(error);
    raw->track = track;
    raw->step = step;
    *out = raw;
    return NM_OK;
}

static void close_state(nm_scene_builder *builder, const raw_state *raw) {
    nm_track *t = &NM_AT(builder->tracks, raw_track, raw->track).track;
    const nm_state *state = &raw->state;
    builder->sizes |= state->length > 0.0f || state->width > 0.0f || state->height > 0.0f;
    if (t->first_step > t->last_step) t->first_step = t->last_step = raw->step;
    if (raw->step < t->first_step) t->first_step = raw->step;
    if (raw->step > t->last_step) t->last_step = raw->step;
    if (raw->step >= builder->step_count) builder->step_count = raw->step + 1;
}

nm_status nm_scene_builder_add_state(nm_scene_builder *builder, uint32_t track, uint32_t step,
                                     const nm_state_def *state, nm_error *error) {
    raw_state *raw;
    nm_status status = open_state(builder, track, step, &raw, error);
    if (NM_UNLIKELY(status != NM_OK)) return status;
    if (NM_UNLIKELY(!convert(builder->map, state, &raw->state))) {
        builder->states.count--;
        return bad_state(builder, track, step, error);
    }
    close_state(builder, raw);
    return NM_OK;
}

static int usable(const nm_state *s) {
    return fabs((double)s->x) <= NM_SCENE_MAX_DISTANCE && fabs((double)s->y) <= NM_SCENE_MAX_DISTANCE &&
           fabs((double)s->z) <= NM_SCENE_MAX_DISTANCE && s->heading > -NM_PI_F && s->heading <= NM_PI_F &&
           fabs((double)s->vx) <= NM_SCENE_MAX_SPEED && fabs((double)s->vy) <= NM_SCENE_MAX_SPEED &&
           size_usable(s->length) && size_usable(s->width) && size_usable(s->height);
}

nm_status nm_scene_builder_add_local_state(nm_scene_builder *builder, uint32_t track, uint32_t step,
                                           const nm_state *state, nm_error *error) {
    raw_state *raw;
    nm_status status = open_state(builder, track, step, &raw, error);
    if (NM_UNLIKELY(status != NM_OK)) return status;
    if (NM_UNLIKELY(!usable(state))) {
        builder->states.count--;
        return bad_state(builder, track, step, error);
    }
    raw->state = *state;
    close_state(builder, raw);
    return NM_OK;
}

nm_status nm_scene_builder_set_signal(nm_scene_builder *builder, uint32_t signal, uint32_t step, nm_signal_state state,
                                      nm_error *error) {
    NM_ASSERT(builder->begun && signal < builder->map->signal_count && (unsigned)state < NM_SIGNAL_STATE_COUNT);
    if (step >= NM_SCENE_MAX_STEPS) return too_many_steps(error, step);
    raw_signal_state *raw = NM_PUSH(&builder->signals, raw_signal_state, 1);
    if (!raw) return no_memory(error);
    *raw = (raw_signal_state){signal, step, (uint8_t)state};
    if (step >= builder->step_count) builder->step_count = step + 1;
    return NM_OK;
}

nm_status nm_scene_builder_set_timestamps(nm_scene_builder *builder, const double *seconds, size_t count,
                                          nm_error *error) {
    if (count > NM_SCENE_MAX_STEPS) return too_many_steps(error, count);
    for (size_t i = 0; i < count; i++) {
        if (!(fabs(seconds[i]) < 1e15) || (i && !(seconds[i] > seconds[i - 1]))) {
            return NM_ERROR(error, NM_E_FORMAT, "timestamp %zu (%g s) is not after the one before", i, seconds[i]);
        }
    }
    builder->times.count = 0;
    double *times = NM_PUSH(&builder->times, double, count);
    if (!times) return no_memory(error);
    if (count) memcpy(times, seconds, count * sizeof *times);
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Planning problems, tags, provenance

nm_status nm_scene_builder_add_problem(nm_scene_builder *builder, int64_t id, const nm_state_def *start,
                                       uint32_t start_step, nm_error *error) {
    NM_ASSERT(builder->begun);
    nm_problem problem = {.source_id = id, .start_step = start_step};
    problem.goals.first = (uint32_t)builder->goals.count;
    if (start_step >= NM_SCENE_MAX_STEPS) return too_many_steps(error, start_step);
    if (!convert(builder->map, start, &problem.start)) {
        return NM_ERROR(error, NM_E_FORMAT, "planning problem %lld: its initial state is not finite or absurd",
                        (long long)id);
    }
    nm_problem *to = NM_PUSH(&builder->problems, nm_problem, 1);
    if (!to) return no_memory(error);
    *to = problem;
    return NM_OK;
}

static int interval_usable(float low, float high) {
    return fabsf(low) <= 1e9f && fabsf(high) <= 1e9f;
}

nm_status nm_scene_builder_add_goal(nm_scene_builder *builder, const nm_goal *goal, nm_error *error) {
    NM_ASSERT(builder->problems.count > 0);
    if (goal->first_step > goal->last_step) {
        return NM_ERROR(error, NM_E_FORMAT, "goal: time interval [%u, %u] is empty", goal->first_step, goal->last_step);
    }
    if (!interval_usable(goal->heading_min, goal->heading_max) || !interval_usable(goal->speed_min, goal->speed_max)) {
        return NM_ERROR(error, NM_E_FORMAT, "goal: an interval is not finite");
    }
    nm_goal *to = NM_PUSH(&builder->goals, nm_goal, 1);
    if (!to) return no_memory(error);
    *to = *goal;
    to->areas = (nm_range){(uint32_t)builder->areas.count, 0};
    NM_AT(builder->problems, nm_problem, builder->problems.count - 1).goals.count++;
    return NM_OK;
}

/// Lane ids are hashed when the first goal names one: few scenes have such goals.
static nm_status lane_by_id(nm_scene_builder *builder, int64_t id, uint32_t *lane, nm_error *error) {
    if (!builder->have_lane_ids) {
        for (uint32_t i = 0; i < builder->map->lane_count; i++) {
            if (nm_id_table_add(&builder->lane_ids, builder->map->lanes[i].source_id, i) == NM_NONE) {
                return no_memory(error);
            }
        }
        builder->have_lane_ids = 1;
    }
    *lane = nm_id_table_find(&builder->lane_ids, id);
    if (*lane != NM_NONE) return NM_OK;
    return NM_ERROR(error, NM_E_FORMAT, "goal names lane %lld, which does not exist", (long long)id);
}

nm_status nm_scene_builder_add_goal_area(nm_scene_builder *builder, double x, double y, double length, double width,
                                         double heading, int64_t lane_id, nm_error *error) {
    NM_ASSERT(builder->goals.count > 0);
    nm_goal_area area = {.lane = NM_NONE};
    if (lane_id >= 0) {
        nm_status status = lane_by_id(builder, lane_id, &area.lane, error);
        if (status != NM_OK) return status;
    } else {
        nm_state_def def = {.x = x, .y = y, .z = builder->map->origin.z, .heading = heading};
        nm_state at;
        if (!convert(builder->map, &def, &at) || !(length >= 0.0 && length < 1e6 && width >= 0.0 && width < 1e6)) {
            return NM_ERROR(error, NM_E_FORMAT, "goal: an area is not finite or absurd");
        }
        area.centre = (nm_vec2){at.x, at.y};
        area.heading = at.heading;
        area.length = (float)length;
        area.width = (float)width;
    }
    nm_goal_area *to = NM_PUSH(&builder->areas, nm_goal_area, 1);
    if (!to) return no_memory(error);
    *to = area;
    NM_AT(builder->goals, nm_goal, builder->goals.count - 1).areas.count++;
    return NM_OK;
}

static int append_text(nm_pile *pile, const char *text) {
    size_t size = strlen(text) + 1;
    char *to = NM_PUSH(pile, char, size);
    if (to) memcpy(to, text, size);
    return to != NULL;
}

nm_status nm_scene_builder_add_tag(nm_scene_builder *builder, const char *tag, nm_error *error) {
    if (!append_text(&builder->text, tag)) return no_memory(error);
    builder->tag_count++;
    return NM_OK;
}

void nm_scene_builder_set_current(nm_scene_builder *builder, uint32_t current_step, uint32_t ego) {
    builder->current_step = current_step;
    builder->ego = ego;
}

nm_status nm_scene_builder_set_provenance(nm_scene_builder *builder, const nm_provenance *provenance, nm_error *error) {
    const char *strings[] = {provenance->source, provenance->file, provenance->scene_id, provenance->program,
                             provenance->parameters};
    builder->provenance_text.count = 0;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        if (!append_text(&builder->provenance_text, strings[i] ? strings[i] : "")) {
            builder->provenance_text.count = 0;
            return no_memory(error);
        }
    }
    builder->provenance.record = provenance->record;
    builder->provenance.seed = provenance->seed;
    builder->provenance.parent = provenance->parent;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Building

/// A track's size is that of its state at the current step, else of its first state, else what came with the track.
static void settle_sizes(nm_scene_builder *builder) {
    for (size_t i = 0; i < builder->tracks.count; i++) {
        raw_track *raw = &NM_AT(builder->tracks, raw_track, i);
        raw->track.length = raw->length;
        raw->track.width = raw->width;
        raw->track.height = raw->height;
    }
    if (!builder->sizes) return;
    for (size_t i = 0; i < builder->states.count; i++) {
        const raw_state *s = &NM_AT(builder->states, raw_state, i);
        nm_track *track = &NM_AT(builder->tracks, raw_track, s->track).track;
        uint32_t wanted = builder->current_step;
        if (s->step != wanted && s->step != track->first_step) continue;
        // the current step, when it is valid, comes after or is the first one in time; whatever the order here, it wins
        int settled = track->reserved;
        if (settled && s->step != wanted) continue;
        if (s->step == wanted) track->reserved = 1;
        if (s->state.length > 0.0f) track->length = s->state.length;
        if (s->state.width > 0.0f) track->width = s->state.width;
        if (s->state.height > 0.0f) track->height = s->state.height;
    }
    for (size_t i = 0; i < builder->tracks.count; i++) NM_AT(builder->tracks, raw_track, i).track.reserved = 0;
}

static float size_or(float size, float otherwise) {
    return size > 0.0f ? size : otherwise;
}

/// Does any state differ in size from its track?
static int sizes_vary(const nm_scene_builder *builder) {
    if (!builder->sizes) return 0;
    for (size_t i = 0; i < builder->states.count; i++) {
        const raw_state *s = &NM_AT(builder->states, raw_state, i);
        const nm_track *track = &NM_AT(builder->tracks, raw_track, s->track).track;
        if (size_or(s->state.length, track->length) != track->length ||
            size_or(s->state.width, track->width) != track->width ||
            size_or(s->state.height, track->height) != track->height) {
            return 1;
        }
    }
    return 0;
}

static void lay_states(const nm_scene_builder *builder, nm_scene *scene) {
    uint8_t *valid = NM_MUTABLE(uint8_t, scene->valid);
#define PLANE(name, always) float *name = NM_MUTABLE(float, scene->name);
    NM_SCENE_PLANES(PLANE)
#undef PLANE
    for (size_t i = 0; i < builder->states.count; i++) {
        const raw_state *s = &NM_AT(builder->states, raw_state, i);
        size_t at = nm_scene_at(scene, s->track, s->step);
        valid[at] = 1;
        x[at] = s->state.x;
        y[at] = s->state.y;
        z[at] = s->state.z;
        heading[at] = s->state.heading;
        vx[at] = s->state.vx;
        vy[at] = s->state.vy;
        if (!state_length) continue;
        const nm_track *track = &scene->tracks[s->track];
        state_length[at] = size_or(s->state.length, track->length);
        state_width[at] = size_or(s->state.width, track->width);
        state_height[at] = size_or(s->state.height, track->height);
    }
}

static void lay_texts(const nm_scene_builder *builder, nm_scene *scene, char *text) {
    const char **tags = NM_MUTABLE(const char *, scene->tags);
    const char *from = builder->text.data;
    for (uint32_t i = 0; i < builder->tag_count; i++) {
        tags[i] = nm_scene_put_text(&text, from);
        from += strlen(from) + 1;
    }
    scene->provenance = builder->provenance;
    const char **fields[] = {&scene->provenance.source, &scene->provenance.file, &scene->provenance.scene_id,
                             &scene->provenance.program, &scene->provenance.parameters};
    const char *strings = builder->provenance_text.count ? builder->provenance_text.data : NULL;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        *fields[i] = nm_scene_put_text(&text, strings ? strings : "");
        if (strings) strings += strlen(strings) + 1;
    }
}

static void lay_rest(const nm_scene_builder *builder, nm_scene *scene) {
    nm_track *tracks = NM_MUTABLE(nm_track, scene->tracks);
    for (uint32_t i = 0; i < scene->track_count; i++) tracks[i] = NM_AT(builder->tracks, raw_track, i).track;
    if (scene->ego != NM_NONE) tracks[scene->ego].flags |= NM_TRACK_EGO;
    uint8_t *signals = NM_MUTABLE(uint8_t, scene->signal_states);
    for (size_t i = 0; i < builder->signals.count; i++) {
        const raw_signal_state *s = &NM_AT(builder->signals, raw_signal_state, i);
        signals[(size_t)s->signal * scene->step_count + s->step] = s->state;
    }
    const struct {
        const nm_pile *pile;
        const void *to;
        size_t size;
    } copies[] = {{&builder->times, scene->timestamps, sizeof(double)},
                  {&builder->problems, scene->problems, sizeof(nm_problem)},
                  {&builder->goals, scene->goals, sizeof(nm_goal)},
                  {&builder->areas, scene->goal_areas, sizeof(nm_goal_area)}};
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        if (copies[i].pile->count) {
            memcpy(NM_MUTABLE(void, copies[i].to), copies[i].pile->data, copies[i].pile->count * copies[i].size);
        }
    }
}

static nm_status check_complete(nm_scene_builder *builder, nm_error *error) {
    if (!builder->begun) return NM_ERROR(error, NM_E_ARGUMENT, "the scene was not begun");
    if (builder->times.count > builder->step_count) builder->step_count = (uint32_t)builder->times.count;
    if (builder->times.count && builder->times.count < builder->step_count) {
        return NM_ERROR(error, NM_E_FORMAT, "%zu timestamps for %u steps", builder->times.count, builder->step_count);
    }
    if (builder->step_count == 0) return NM_ERROR(error, NM_E_FORMAT, "the scene has no time step");
    if (builder->current_step >= builder->step_count) {
        return NM_ERROR(error, NM_E_FORMAT, "current step %u is not among the %u steps", builder->current_step,
                        builder->step_count);
    }
    if (builder->ego != NM_NONE && builder->ego >= builder->tracks.count) {
        return NM_ERROR(error, NM_E_FORMAT, "the ego is track %u of %zu", builder->ego, builder->tracks.count);
    }
    uint64_t cells = (uint64_t)builder->tracks.count * builder->step_count;
    if (cells > NM_SCENE_LARGE && cells / NM_SCENE_SPARSE > builder->states.count) {
        return NM_ERROR(error, NM_E_LIMIT, "%zu tracks over %u steps with only %zu states", builder->tracks.count,
                        builder->step_count, builder->states.count);
    }
    return NM_OK;
}

nm_status nm_scene_builder_build(nm_scene_builder *builder, const nm_scene **scene, nm_error *error) {
    *scene = NULL;
    nm_status status = check_complete(builder, error);
    if (status != NM_OK) return status;
    settle_sizes(builder);
    nm_scene_shape shape = {.track_count = (uint32_t)builder->tracks.count,
                            .step_count = builder->step_count,
                            .signal_count = builder->map->signal_count,
                            .problem_count = (uint32_t)builder->problems.count,
                            .goal_count = (uint32_t)builder->goals.count,
                            .goal_area_count = (uint32_t)builder->areas.count,
                            .tag_count = builder->tag_count,
                            .has_sizes = sizes_vary(builder),
                            .has_signals = builder->signals.count > 0,
                            .has_timestamps = builder->times.count > 0,
                            .text_bytes = builder->text.count + builder->provenance_text.count + 5};
    nm_scene *made;
    char *text;
    status = nm_scene_allocate(&shape, builder->map, &made, &text, error);
    if (status != NM_OK) return status;
    made->dt = (float)builder->dt;
    made->current_step = builder->current_step;
    made->ego = builder->ego;
    lay_rest(builder, made);
    lay_states(builder, made);
    lay_texts(builder, made, text);
    status = nm_scene_seal(made, error);
    if (status != NM_OK) {
        nm_scene_destroy(made);
        return status;
    }
    *scene = made;
    return NM_OK;
}
