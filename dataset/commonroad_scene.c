/// From the document to a scene: tracks, planning problems, tags.
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "dataset/commonroad.h"
#include "sim/math.h"

/// A "car" longer than this is made a truck: NGSIM's files call every vehicle a car, up to 19.8 m of it. The longest
/// things sold as cars or pick-ups measure 6.8 m.
#define LONGEST_CAR 7.0 // m

// --- geometry --------------------------------------------------------------------------------------------------------

static void direction(double angle, double *cosine, double *sine) {
    float s, c;
    nm_sincosf((float)nm_wrap_angle_d(angle), &s, &c);
    *cosine = c;
    *sine = s;
}

/// Where a state is: its point, or the middle of the lanelet it names.
static nm_point3 position_of(const nm_cr_build *build, const nm_cr_state *state) {
    if (!(state->flags & NM_CR_AT_LANELET)) return (nm_point3){state->x, state->y, state->z};
    const nm_cr_document *d = build->document;
    const nm_cr_lanelet *lanelet = &d->lanelets.at[nm_cr_find(build, NM_CR_KIND_LANELET, state->lanelet)->index];
    const nm_point3 *left = &d->points.at[lanelet->left.first], *right = &d->points.at[lanelet->right.first];
    uint32_t low = (lanelet->left.count - 1) / 2, high = lanelet->left.count / 2;
    return (nm_point3){0.25 * (left[low].x + left[high].x + right[low].x + right[high].x),
                       0.25 * (left[low].y + left[high].y + right[low].y + right[high].y),
                       0.25 * (left[low].z + left[high].z + right[low].z + right[high].z)};
}

/// Velocity of a state that gives none: the way to the next state, for the last one the way from the one before.
static void velocity_from_way(const nm_cr_build *build, const nm_cr_obstacle *obstacle, uint32_t index, double *vx,
                              double *vy) {
    const nm_cr_state *states = &build->document->states.at[obstacle->states.first];
    *vx = *vy = 0.0;
    if (obstacle->states.count < 2) return;
    uint32_t first = index + 1 < obstacle->states.count ? index : index - 1;
    nm_point3 a = position_of(build, &states[first]), b = position_of(build, &states[first + 1]);
    double seconds = (states[first + 1].time - states[first].time) * build->document->dt;
    *vx = (b.x - a.x) / seconds;
    *vy = (b.y - a.y) / seconds;
}

/// The position is that of the shape's origin; the scene wants the centre of its box.
static nm_state_def state_def(const nm_cr_build *build, const nm_cr_state *state, const nm_cr_box *box) {
    nm_point3 p = position_of(build, state);
    nm_state_def def = {.x = p.x, .y = p.y, .z = p.z, .heading = state->orientation + box->orientation};
    if (box->x != 0.0 || box->y != 0.0) {
        double c, s;
        direction(state->orientation, &c, &s);
        def.x += c * box->x - s * box->y;
        def.y += s * box->x + c * box->y;
    }
    if (state->velocity != 0.0) {
        // recorded speed along the course, which the slip angle separates from the heading
        double c, s;
        direction(state->orientation + state->slip, &c, &s);
        def.vx = state->velocity * c;
        def.vy = state->velocity * s;
    }
    return def;
}

// --- tracks ----------------------------------------------------------------------------------------------------------

static nm_agent_type agent_type(const nm_cr_obstacle *obstacle, const nm_cr_box *box) {
    if (obstacle->type == NM_AGENT_CAR && box->length > LONGEST_CAR) return NM_AGENT_TRUCK;
    return (nm_agent_type)obstacle->type;
}

static nm_status add_track(const nm_cr_build *build, nm_scene_builder *builder, const nm_cr_obstacle *obstacle,
                           uint32_t step_count) {
    const nm_cr_document *d = build->document;
    nm_cr_box box = nm_cr_shape_box(d, obstacle->shapes);
    int still = obstacle->role == NM_CR_STATIC;
    nm_track_def def = {.id = obstacle->id,
                        .line = obstacle->line,
                        .type = agent_type(obstacle, &box),
                        .flags = still ? NM_TRACK_STATIC : 0,
                        .length = (float)box.length,
                        .width = (float)box.width};
    uint32_t track;
    nm_status status = nm_scene_builder_add_track(builder, &def, &track, build->error);
    if (status != NM_OK) return status;
    if (still) {
        nm_state_def state = state_def(build, &d->states.at[obstacle->states.first], &box);
        state.vx = state.vy = 0.0;
        for (uint32_t step = 0; status == NM_OK && step < step_count; ++step)
            status = nm_scene_builder_add_state(builder, track, step, &state, build->error);
        return status;
    }
    for (uint32_t i = 0; status == NM_OK && i < obstacle->states.count; ++i) {
        const nm_cr_state *from = &d->states.at[obstacle->states.first + i];
        nm_state_def state = state_def(build, from, &box);
        if (!(from->flags & NM_CR_HAS_VELOCITY)) velocity_from_way(build, obstacle, i, &state.vx, &state.vy);
        status = nm_scene_builder_add_state(builder, track, from->time, &state, build->error);
    }
    return status;
}

/// Steps of the scene: until the last state of any moving obstacle. Refuses what would be far too large as the dense
/// array that a scene is.
static nm_status count_steps(const nm_cr_build *build, const nm_import_limits *limits, uint32_t *step_count) {
    const nm_cr_document *d = build->document;
    uint32_t last = 0, tracks = 0;
    for (uint32_t i = 0; i < d->obstacles.count; ++i) {
        const nm_cr_obstacle *obstacle = &d->obstacles.at[i];
        tracks += obstacle->role != NM_CR_ENVIRONMENT;
        if (obstacle->role != NM_CR_DYNAMIC) continue;
        const nm_cr_state *state = &d->states.at[obstacle->states.first + obstacle->states.count - 1];
        if (state->time > last) last = state->time;
    }
    *step_count = last + 1;
    const uint64_t most = nm_import_cells(limits, d->states.count);
    if ((uint64_t)*step_count * tracks > most)
        return NM_ERROR_AT(build->error, NM_E_LIMIT, build->name, 0, -1,
                           "%u obstacles over %u time steps are more than %llu states", tracks, *step_count,
                           (unsigned long long)most);
    return NM_OK;
}

// --- planning problems -----------------------------------------------------------------------------------------------

static nm_status add_goal_area(const nm_cr_build *build, nm_scene_builder *builder, const nm_cr_shape *shape) {
    switch ((nm_cr_shape_kind)shape->kind) {
    case NM_CR_LANELET:
        return nm_scene_builder_add_goal_area(builder, 0.0, 0.0, 0.0, 0.0, 0.0, shape->lanelet, build->error);
    case NM_CR_CIRCLE:
        return nm_scene_builder_add_goal_area(builder, shape->x, shape->y, shape->length, 0.0, 0.0, -1, build->error);
    case NM_CR_POLYGON: {
        nm_cr_box box = nm_cr_polygon_box(build->document, shape->points);
        return nm_scene_builder_add_goal_area(builder, box.x, box.y, box.length, box.width, box.orientation, -1,
                                              build->error);
    }
    case NM_CR_RECTANGLE:
        break;
    }
    return nm_scene_builder_add_goal_area(builder, shape->x, shape->y, shape->length, shape->width,
                                          nm_wrap_angle_d(shape->orientation), -1, build->error);
}

static nm_status add_problem(const nm_cr_build *build, nm_scene_builder *builder, const nm_cr_problem *problem) {
    const nm_cr_document *d = build->document;
    static const nm_cr_box no_box = {0};
    const nm_cr_state *from = &d->states.at[problem->state];
    nm_state_def start = state_def(build, from, &no_box);
    nm_status status = nm_scene_builder_add_problem(builder, problem->id, &start, from->time, build->error);
    for (uint32_t g = 0; status == NM_OK && g < problem->goals.count; ++g) {
        const nm_cr_goal *from_goal = &d->goals.at[problem->goals.first + g];
        nm_goal goal = {.first_step = from_goal->first_step,
                        .last_step = from_goal->last_step,
                        .heading_min = (float)from_goal->orientation.start,
                        .heading_max = (float)from_goal->orientation.end,
                        .speed_min = (float)from_goal->velocity.start,
                        .speed_max = (float)from_goal->velocity.end};
        status = nm_scene_builder_add_goal(builder, &goal, build->error);
        for (uint32_t i = 0; status == NM_OK && i < from_goal->shapes.count; ++i)
            status = add_goal_area(build, builder, &d->shapes.at[from_goal->shapes.first + i]);
    }
    return status;
}

// --- the scene -------------------------------------------------------------------------------------------------------

static nm_status describe(const nm_cr_build *build, nm_scene_builder *builder) {
    const nm_cr_document *d = build->document;
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < d->tags.count; ++i)
        status = nm_scene_builder_add_tag(builder, d->tags.at[i].text, build->error);
    if (status != NM_OK) return status;
    nm_provenance provenance = {.source = "commonroad",
                                .file = nm_base_name(build->name),
                                .scene_id = d->benchmark_id,
                                .program = "nearmiss " NM_VERSION,
                                .parameters = "{}"};
    return nm_scene_builder_set_provenance(builder, &provenance, build->error);
}

nm_status nm_cr_build_scene(nm_cr_build *build, const nm_import_limits *limits, const nm_map *map,
                            nm_scene_builder *builder, const nm_scene **scene) {
    const nm_cr_document *d = build->document;
    uint32_t step_count = 0;
    nm_status status = count_steps(build, limits, &step_count);
    if (status != NM_OK) return status;
    nm_scene_builder_reset(builder);
    status = nm_scene_builder_begin(builder, map, d->dt, step_count, build->error);
    for (uint32_t i = 0; status == NM_OK && i < d->obstacles.count; ++i) {
        if (d->obstacles.at[i].role != NM_CR_ENVIRONMENT)
            status = add_track(build, builder, &d->obstacles.at[i], step_count);
    }
    for (uint32_t i = 0; status == NM_OK && i < d->problems.count; ++i)
        status = add_problem(build, builder, &d->problems.at[i]);
    if (status != NM_OK) return status;
    nm_scene_builder_set_current(builder, 0, NM_NONE); // the ego of CommonRoad is the planner: no track of its own
    status = describe(build, builder);
    return status == NM_OK ? nm_scene_builder_build(builder, scene, build->error) : status;
}
