/// From a read OpenSCENARIO document to a scene: trajectories are sampled at equal steps, linearly between vertices, as
/// a player in the mode "position" would.
#include <math.h>
#include <stdio.h>

#include "base/text.h"
#include "dataset/openscenario.h"
#include "sim/math.h"

#define DEFAULT_STEP 0.1 // s
#define LONGEST 1e7      // s
#define ON_STEP 1e-3     // of a step: so near to it a vertex is meant to be on it

/// Sizes of entities without a box: a car's, m.
#define CAR_LENGTH 4.5
#define CAR_WIDTH 1.8
#define CAR_HEIGHT 1.5

typedef struct build {
    const nm_osc_document *document;
    nm_reader_context *context;
    const char *name;
    nm_error *error;
    double dt;
    uint32_t steps;
    double ground;           // m: z of what has no height of its own
    const nm_scene *network; // the context's, or NULL
    nm_pile order;           // uint32_t: runs by entity, then by beginning
    nm_pile states;          // nm_state_def of one run
} build;

static const nm_osc_entity *entity_at(const build *b, uint32_t index) {
    return (const nm_osc_entity *)b->document->entities.data + index;
}
static const nm_osc_run *run_at(const build *b, uint32_t index) {
    return (const nm_osc_run *)b->document->runs.data + index;
}
static const nm_osc_vertex *vertices_of(const build *b, const nm_osc_run *run) {
    return (const nm_osc_vertex *)b->document->vertices.data + run->vertices.first;
}
static double time_of(const build *b, const nm_osc_run *run, uint32_t vertex) {
    return run->shift + vertices_of(b, run)[vertex].time;
}

static nm_status no_memory(const build *b) {
    return NM_ERROR(b->error, NM_E_MEMORY, "no memory for the scene of a document");
}

// --- time ------------------------------------------------------------------------------------------------------------

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/// The time step: what the file says; else the median between vertices, when all vertices lie on multiples of it; else
/// 0.1 s.
static nm_status find_step(build *b) {
    const nm_osc_document *d = b->document;
    if (d->time_step > 0.0) {
        b->dt = d->time_step;
        return NM_OK;
    }
    b->dt = DEFAULT_STEP;
    double *ways = malloc((d->vertices.count + 1) * sizeof *ways);
    if (!ways) return no_memory(b);
    size_t count = 0;
    const nm_osc_vertex *v = d->vertices.data;
    for (size_t i = 1; i < d->vertices.count; ++i) {
        if (v[i].time > v[i - 1].time) ways[count++] = v[i].time - v[i - 1].time;
    }
    if (count) qsort(ways, count, sizeof *ways, compare_doubles);
    double median = count ? ways[count / 2] : 0.0;
    free(ways);
    median = rint(median * 1e6) / 1e6;
    if (!(median >= 1e-3 && median <= 60.0)) return NM_OK;
    for (uint32_t r = 0; r < d->runs.count; ++r) {
        const nm_osc_run *run = run_at(b, r);
        for (uint32_t i = 0; i < run->vertices.count; ++i) {
            double steps = time_of(b, run, i) / median;
            if (!(fabs(steps - rint(steps)) <= 0.01)) return NM_OK;
        }
    }
    b->dt = median;
    return NM_OK;
}

static nm_status count_steps(build *b) {
    const nm_osc_document *d = b->document;
    double last = 0.0;
    for (uint32_t r = 0; r < d->runs.count; ++r) {
        const nm_osc_run *run = run_at(b, r);
        double first = time_of(b, run, 0), end = time_of(b, run, run->vertices.count - 1);
        if (!(fabs(first) <= LONGEST && fabs(end) <= LONGEST))
            return NM_ERROR_AT(b->error, NM_E_LIMIT, b->name, run->line, -1, "a trajectory up to %g s", end);
        if (end > last) last = end;
    }
    double steps = floor(last / b->dt + ON_STEP) + 1.0;
    if (steps < d->steps) steps = d->steps;
    if (!(steps <= b->context->limits.max_steps))
        return NM_ERROR_AT(b->error, NM_E_LIMIT, b->name, 0, -1, "%.0f time steps of %g s, the limit is %u", steps,
                           b->dt, b->context->limits.max_steps);
    b->steps = (uint32_t)steps;
    uint64_t cells = (uint64_t)b->steps * d->entities.count;
    const uint64_t most = nm_import_cells(&b->context->limits, d->vertices.count);
    if (cells > most)
        return NM_ERROR_AT(b->error, NM_E_LIMIT, b->name, 0, -1,
                           "%zu entities over %u time steps are more than %llu states", d->entities.count, b->steps,
                           (unsigned long long)most);
    return NM_OK;
}

// --- the map ---------------------------------------------------------------------------------------------------------

/// Without a map the origin is the middle of everything, in whole metres, so that floats will do.
static nm_point3 middle(const nm_osc_document *d) {
    double low_x = INFINITY, high_x = -INFINITY, low_y = INFINITY, high_y = -INFINITY;
    const nm_osc_vertex *v = d->vertices.data;
    for (size_t i = 0; i < d->vertices.count; ++i) {
        low_x = fmin(low_x, v[i].x);
        high_x = fmax(high_x, v[i].x);
        low_y = fmin(low_y, v[i].y);
        high_y = fmax(high_y, v[i].y);
    }
    const nm_osc_entity *e = d->entities.data;
    for (size_t i = 0; i < d->entities.count; ++i) {
        if (!e[i].has_teleport) continue;
        low_x = fmin(low_x, e[i].x);
        high_x = fmax(high_x, e[i].x);
        low_y = fmin(low_y, e[i].y);
        high_y = fmax(high_y, e[i].y);
    }
    if (!(low_x <= high_x && low_y <= high_y)) return (nm_point3){0.0, 0.0, 0.0};
    return (nm_point3){rint(0.5 * (low_x + high_x)), rint(0.5 * (low_y + high_y)), 0.0};
}

static nm_status make_map(build *b, const nm_map **map) {
    nm_status status = nm_osc_read_network(b->document, b->context, b->name, &b->network, b->error);
    if (status != NM_OK) return status;
    if (b->network) {
        *map = nm_map_retain(b->network->map);
        b->ground = (*map)->origin.z;
        return NM_OK;
    }
    nm_map_builder *builder = b->context->map_builder;
    nm_map_builder_reset(builder);
    nm_map_builder_set_origin(builder, middle(b->document));
    return nm_map_builder_build(builder, map, b->error);
}

// --- states ----------------------------------------------------------------------------------------------------------

/// Where the box's middle is when the entity's origin is at (x, y, z).
static nm_state_def state_def(const build *b, const nm_osc_entity *e, double x, double y, double z, double h) {
    nm_state_def def = {.x = x, .y = y, .z = b->document->has_heights ? z + 0.5 * e->height : b->ground, .heading = h};
    if (e->centre_x == 0.0 && e->centre_y == 0.0) return def;
    float sine, cosine;
    nm_sincosf((float)nm_wrap_angle_d(h), &sine, &cosine);
    def.x = x + (e->centre_x * (double)cosine - e->centre_y * (double)sine);
    def.y = y + (e->centre_x * (double)sine + e->centre_y * (double)cosine);
    return def;
}

/// Headings that are not given follow the way; where there is none, the one before.
static double way_heading(const nm_osc_vertex *v, uint32_t count, uint32_t index) {
    for (uint32_t i = index; i + 1 < count; ++i) {
        if (v[i + 1].x != v[i].x || v[i + 1].y != v[i].y) return atan2(v[i + 1].y - v[i].y, v[i + 1].x - v[i].x);
        if (i > index + 64) break; // who stands that long keeps what he had
    }
    for (uint32_t i = index; i > 0; --i) {
        if (v[i].x != v[i - 1].x || v[i].y != v[i - 1].y) return atan2(v[i].y - v[i - 1].y, v[i].x - v[i - 1].x);
        if (i + 64 < index) break;
    }
    return 0.0;
}

static double heading_of(const nm_osc_vertex *v, uint32_t count, uint32_t index) {
    return isnan(v[index].h) ? way_heading(v, count, index) : v[index].h;
}

/// The state at `time`, which vertex `at` is not after; `at` + 1 may not be there.
static nm_state_def sample(const build *b, const nm_osc_run *run, const nm_osc_entity *e, uint32_t at, double time) {
    const nm_osc_vertex *v = vertices_of(b, run);
    uint32_t count = run->vertices.count;
    double from = time_of(b, run, at), h = heading_of(v, count, at);
    if (time - from <= ON_STEP * b->dt || at + 1 == count) return state_def(b, e, v[at].x, v[at].y, v[at].z, h);
    double share = (time - from) / (time_of(b, run, at + 1) - from);
    double turn = nm_wrap_angle_d(heading_of(v, count, at + 1) - h);
    return state_def(b, e, v[at].x + share * (v[at + 1].x - v[at].x), v[at].y + share * (v[at + 1].y - v[at].y),
                     v[at].z + share * (v[at + 1].z - v[at].z), h + share * turn);
}

/// Velocities are the way to the next state; for the last one the way from the one before.
static void set_velocities(const build *b, nm_state_def *states, size_t count) {
    for (size_t i = 0; i + 1 < count; ++i) {
        states[i].vx = (states[i + 1].x - states[i].x) / b->dt;
        states[i].vy = (states[i + 1].y - states[i].y) / b->dt;
    }
    if (count < 2) return;
    states[count - 1].vx = states[count - 2].vx;
    states[count - 1].vy = states[count - 2].vy;
}

/// Adds the states of a run from step *next on, and moves *next behind them: of runs that overlap the earlier one
/// holds.
static nm_status add_run(build *b, nm_scene_builder *builder, uint32_t track, const nm_osc_run *run, uint32_t *next) {
    const nm_osc_entity *e = entity_at(b, run->entity);
    double begin = ceil(time_of(b, run, 0) / b->dt - ON_STEP);
    double end = floor(time_of(b, run, run->vertices.count - 1) / b->dt + ON_STEP);
    if (begin < *next) begin = *next;
    if (end > b->steps - 1) end = b->steps - 1;
    if (!(begin <= end)) return NM_OK; // between two steps, or over before the other run was
    const uint32_t first = (uint32_t)begin, count = (uint32_t)(end - begin) + 1;
    b->states.count = 0;
    nm_state_def *states = NM_PUSH(&b->states, nm_state_def, count);
    if (!states) return no_memory(b);
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; ++i) {
        double time = (first + i) * b->dt;
        while (at + 1 < run->vertices.count && time_of(b, run, at + 1) <= time + ON_STEP * b->dt) ++at;
        states[i] = sample(b, run, e, at, time);
    }
    set_velocities(b, states, count);
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < count; ++i)
        status = nm_scene_builder_add_state(builder, track, first + i, &states[i], b->error);
    *next = first + count;
    return status;
}

// --- tracks ----------------------------------------------------------------------------------------------------------

static int is_ego(const build *b, const nm_osc_entity *e) {
    const char *name = (const char *)b->document->texts.data + e->name;
    return (e->flags & NM_TRACK_EGO) || strcmp(name, "Ego") == 0 || strcmp(name, "ego") == 0 ||
           strcmp(name, "hero") == 0;
}

static nm_track_def track_def(const nm_osc_entity *e, uint32_t index, int any_id) {
    int sized = e->length > 0.0 || e->width > 0.0;
    return (nm_track_def){.id = e->has_id ? e->id
                                : any_id  ? -(int64_t)index - 1
                                          : (int64_t)index + 1,
                          .line = e->line,
                          .type = (nm_agent_type)e->type,
                          .flags = e->flags,
                          .length = (float)(sized ? e->length : CAR_LENGTH),
                          .width = (float)(sized ? e->width : CAR_WIDTH),
                          .height = e->assumed_height ? 0.0f : (float)(sized ? e->height : CAR_HEIGHT)};
}

/// Who only stands somewhere is there all the time; one that is left to a controller, at the beginning.
static nm_status add_standing(const build *b, nm_scene_builder *builder, uint32_t track, const nm_osc_entity *e) {
    nm_state_def state = state_def(b, e, e->x, e->y, e->z, e->h);
    nm_status status = NM_OK;
    for (uint32_t step = 0; status == NM_OK && step < (e->has_controller ? 1 : b->steps); ++step)
        status = nm_scene_builder_add_state(builder, track, step, &state, b->error);
    return status;
}

static int compare_runs(const build *b, uint32_t x, uint32_t y) {
    const nm_osc_run *a = run_at(b, x), *c = run_at(b, y);
    if (a->entity != c->entity) return a->entity < c->entity ? -1 : 1;
    double from = time_of(b, a, 0), to = time_of(b, c, 0);
    return from < to ? -1 : from > to;
}

/// Heap sort: as long as anybody's worst case, and the order of equal ones does not matter but for being the same.
static void sift(const build *b, uint32_t *order, uint32_t root, uint32_t count) {
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count) return;
        if (child + 1 < count && compare_runs(b, order[child], order[child + 1]) < 0) ++child;
        if (compare_runs(b, order[root], order[child]) >= 0) return;
        uint32_t swap = order[root];
        order[root] = order[child];
        order[child] = swap;
        root = child;
    }
}

static nm_status sort_runs(build *b) {
    uint32_t count = (uint32_t)b->document->runs.count;
    uint32_t *order = NM_PUSH(&b->order, uint32_t, count);
    if (!order) return no_memory(b);
    for (uint32_t i = 0; i < count; ++i) order[i] = i;
    for (uint32_t i = count / 2; i > 0; --i) sift(b, order, i - 1, count);
    for (uint32_t i = count; i > 1; --i) {
        uint32_t swap = order[0];
        order[0] = order[i - 1];
        order[i - 1] = swap;
        sift(b, order, 0, i - 1);
    }
    return NM_OK;
}

static nm_status add_entities(build *b, nm_scene_builder *builder, uint32_t *ego, uint32_t *dropped) {
    const nm_osc_document *d = b->document;
    int any_id = 0;
    for (uint32_t i = 0; i < d->entities.count; ++i) any_id |= entity_at(b, i)->has_id;
    nm_status status = sort_runs(b);
    size_t at = 0;
    for (uint32_t i = 0; status == NM_OK && i < d->entities.count; ++i) {
        const nm_osc_entity *e = entity_at(b, i);
        nm_track_def def = track_def(e, i, any_id);
        uint32_t track, next = 0;
        int moves = at < d->runs.count && run_at(b, NM_AT(b->order, uint32_t, at))->entity == i;
        if (!moves && !e->has_teleport) {
            ++*dropped;
            continue;
        }
        if (!moves && !e->has_controller) def.flags |= NM_TRACK_STATIC;
        if (*ego == NM_NONE && is_ego(b, e)) def.flags |= NM_TRACK_EGO;
        status = nm_scene_builder_add_track(builder, &def, &track, b->error);
        if (status == NM_OK && (def.flags & NM_TRACK_EGO) && *ego == NM_NONE) *ego = track;
        if (status == NM_OK && !moves) status = add_standing(b, builder, track, e);
        for (; status == NM_OK && at < d->runs.count; ++at) {
            const nm_osc_run *run = run_at(b, NM_AT(b->order, uint32_t, at));
            if (run->entity != i) break;
            status = add_run(b, builder, track, run, &next);
        }
    }
    return status;
}

// --- the scene -------------------------------------------------------------------------------------------------------

static nm_status describe(const build *b, nm_scene_builder *builder, uint32_t dropped) {
    nm_status status = b->network ? NM_OK : nm_scene_builder_add_tag(builder, "map_not_read", b->error);
    for (uint32_t i = 0; status == NM_OK && b->network && i < b->network->tag_count; ++i)
        status = nm_scene_builder_add_tag(builder, b->network->tags[i], b->error);
    char tag[64];
    snprintf(tag, sizeof tag, "entities_without_trajectory:%u", dropped);
    if (status == NM_OK && dropped) status = nm_scene_builder_add_tag(builder, tag, b->error);
    const nm_provenance from = {.source = "openscenario",
                                .file = nm_base_name(b->name),
                                .scene_id = b->document->description,
                                .program = "nearmiss " NM_VERSION,
                                .parameters = "{}"};
    return status == NM_OK ? nm_scene_builder_set_provenance(builder, &from, b->error) : status;
}

static nm_status fill(build *b, const nm_map *map, const nm_scene **scene) {
    nm_scene_builder *builder = b->context->scene_builder;
    uint32_t ego = NM_NONE, dropped = 0;
    nm_scene_builder_reset(builder);
    nm_status status = nm_scene_builder_begin(builder, map, b->dt, b->steps, b->error);
    if (status == NM_OK) status = add_entities(b, builder, &ego, &dropped);
    if (status == NM_OK) status = describe(b, builder, dropped);
    nm_scene_builder_set_current(builder, b->document->current < b->steps ? b->document->current : 0, ego);
    if (status == NM_OK) status = nm_scene_builder_build(builder, scene, b->error);
    nm_scene_builder_reset(builder);
    return status;
}

nm_status nm_osc_build_scene(const nm_osc_document *document, nm_reader_context *context, const char *name,
                             const nm_scene **scene, nm_error *error) {
    build b = {.document = document, .context = context, .name = name, .error = error};
    if (document->runs.count == 0 && document->steps == 0)
        return NM_ERROR_AT(error, NM_E_UNSUPPORTED, name, 0, -1,
                           "no <FollowTrajectoryAction>: what the entities do follows from their behaviour, which a "
                           "player (esmini, for one) must run first");
    const nm_map *map = NULL;
    nm_status status = find_step(&b);
    if (status == NM_OK) status = count_steps(&b);
    if (status == NM_OK) status = make_map(&b, &map);
    if (status == NM_OK) status = fill(&b, map, scene);
    nm_map_release(map);
    nm_pile_free(&b.order);
    nm_pile_free(&b.states);
    if (status != NM_OK && error && !error->input[0]) snprintf(error->input, sizeof error->input, "%s", name);
    return status;
}
