/// Measuring: who takes part, the worlds of the recording and of each sample, and the features of motion. Distances,
/// road edges and lights are in files of their own.
#include "sim/metrics/realism_private.h"

#include <inttypes.h>
#include <stdlib.h>

#define ROUNDING 0.7 // corner radius over half the smaller side
#define SERIES 7     // features that are time series

/// Who takes part, and where the results go.
typedef struct measurement {
    const nm_scene *scene;
    const nm_futures *futures;
    const nm_realism_headings *headings;
    uint32_t agents, scored, steps, width;
    uint32_t *track;  // [agents] of the scene, ascending
    uint32_t *future; // [agents] index in the futures, or NM_NONE: stands where it is
    uint32_t *who;    // [scored] of agents, ascending by source id
    const nm_realism_box *box;
    const nm_realism_edges *edges;
    const nm_realism_lights *lights;
    int has_road;
    nm_realism_values *values;
    float *series[NM_REALISM_FEATURE_COUNT];
    uint8_t *flag[NM_REALISM_FEATURE_COUNT];
    float *displacement;
} measurement;

const char *nm_realism_feature_name(nm_realism_feature feature) {
    static const char *const names[NM_REALISM_FEATURE_COUNT] = {
        "linear_speed",           "linear_acceleration",        "angular_speed",
        "angular_acceleration",   "distance_to_nearest_object", "collision_indication",
        "time_to_collision",      "distance_to_road_edge",      "offroad_indication",
        "traffic_light_violation"};
    NM_ASSERT((unsigned)feature < NM_REALISM_FEATURE_COUNT);
    return names[feature];
}

int nm_realism_feature_flag(nm_realism_feature feature) {
    return feature == NM_REALISM_COLLISION || feature == NM_REALISM_OFF_ROAD || feature == NM_REALISM_RED_LIGHT;
}

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for the realism metrics");
}

// ---------------------------------------------------------------------------------------------------------------------
// Who takes part

static int valid_now(const nm_scene *scene, uint32_t track) {
    return scene->valid[nm_scene_at(scene, track, scene->current_step)];
}
static int is_static(const nm_scene *scene, uint32_t track) {
    return (scene->tracks[track].flags & NM_TRACK_STATIC) != 0;
}

static nm_status check_states(const nm_futures *f, nm_error *error) {
    for (uint32_t r = 0; r < f->samples; r++) {
        for (uint32_t a = 0; a < f->agents; a++) {
            size_t row = ((size_t)r * f->agents + a) * f->steps;
            for (size_t i = row; i < row + f->steps; i++) {
                const float most = (float)NM_SCENE_MAX_DISTANCE;
                if (fabsf(f->x[i]) <= most && fabsf(f->y[i]) <= most && fabsf(f->z[i]) <= most &&
                    fabsf(f->heading[i]) <= NM_PI_F)
                    continue;
                return NM_ERROR(error, NM_E_ARGUMENT,
                                "futures: sample %" PRIu32 ", track %" PRIu32 ", step %zu is no state", r, f->track[a],
                                i - row);
            }
        }
    }
    return NM_OK;
}

static nm_status check_futures(const nm_scene *scene, const nm_futures *f, nm_error *error) {
    uint32_t recorded = scene->step_count - 1 - scene->current_step;
    if (f->samples == 0 || f->steps == 0) return NM_ERROR(error, NM_E_ARGUMENT, "futures: no samples or no steps");
    if (f->steps > recorded)
        return NM_ERROR(error, NM_E_ARGUMENT, "futures: %" PRIu32 " steps, but only %" PRIu32 " were recorded",
                        f->steps, recorded);
    for (uint32_t i = 0; i < f->agents; i++) {
        if (f->track[i] >= scene->track_count || (i > 0 && f->track[i] <= f->track[i - 1]))
            return NM_ERROR(error, NM_E_ARGUMENT, "futures: tracks have to be of the scene, ascending, each once");
        if (!valid_now(scene, f->track[i]))
            return NM_ERROR(error, NM_E_ARGUMENT, "futures: track %" PRIu32 " is not there at the current step",
                            f->track[i]);
    }
    return check_states(f, error);
}

static nm_status choose_agents(measurement *m, nm_arena *arena, nm_error *error) {
    const nm_scene *scene = m->scene;
    m->track = NM_ARENA_ARRAY(arena, uint32_t, scene->track_count);
    m->future = NM_ARENA_ARRAY(arena, uint32_t, scene->track_count);
    if (!m->track || !m->future) return no_memory(error);
    uint32_t next = 0;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        int simulated = next < m->futures->agents && m->futures->track[next] == i;
        if (!simulated && !valid_now(scene, i)) continue;
        if (!simulated && !is_static(scene, i))
            return NM_ERROR(error, NM_E_ARGUMENT, "futures: track %" PRIu32 " (id %" PRId64 ") is missing", i,
                            scene->tracks[i].source_id);
        m->track[m->agents] = i;
        m->future[m->agents++] = simulated ? next++ : NM_NONE;
    }
    return NM_OK;
}

/// Without the flags of WOMD everybody who is there and moves counts.
static int is_scored(const nm_scene *scene, uint32_t track, int flagged) {
    if (flagged) return track == scene->ego || (scene->tracks[track].flags & NM_TRACK_TO_PREDICT);
    return valid_now(scene, track) && !is_static(scene, track);
}

/// Sorted by id, by insertion from the right place: they are few, or in order already.
static void insert_by_id(measurement *m, uint32_t agent) {
    const nm_track *tracks = m->scene->tracks;
    uint32_t at = m->scored++;
    for (; at > 0 && tracks[m->track[m->who[at - 1]]].source_id > tracks[m->track[agent]].source_id; at--) {
        m->who[at] = m->who[at - 1];
    }
    m->who[at] = agent;
}

static nm_status choose_scored(measurement *m, nm_arena *arena, nm_error *error) {
    const nm_scene *scene = m->scene;
    int flagged = 0;
    for (uint32_t i = 0; i < scene->track_count; i++) flagged |= scene->tracks[i].flags & NM_TRACK_TO_PREDICT;
    m->who = NM_ARENA_ARRAY(arena, uint32_t, m->agents);
    if (!m->who) return no_memory(error);
    uint32_t agent = 0;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        while (agent < m->agents && m->track[agent] < i) agent++;
        if (!is_scored(scene, i, flagged != 0)) continue;
        if (agent == m->agents || m->track[agent] != i)
            return NM_ERROR(error, NM_E_ARGUMENT,
                            "track %" PRIu32 " (id %" PRId64 ") is to be scored, but is not there at the current step",
                            i, scene->tracks[i].source_id);
        insert_by_id(m, agent);
    }
    return m->scored ? NM_OK : NM_ERROR(error, NM_E_ARGUMENT, "the scene has no agent to score");
}

static nm_status make_boxes(measurement *m, nm_arena *arena, nm_error *error) {
    const nm_scene *scene = m->scene;
    nm_realism_box *boxes = NM_ARENA_ARRAY(arena, nm_realism_box, m->agents);
    if (!boxes) return no_memory(error);
    for (uint32_t i = 0; i < m->agents; i++) {
        const nm_track *track = &scene->tracks[m->track[i]];
        nm_state now = {0};
        nm_scene_get_state(scene, m->track[i], scene->current_step, &now);
        double length = now.length > 0.0f ? now.length : track->length;
        double width = now.width > 0.0f ? now.width : track->width;
        double radius = ROUNDING * 0.5 * nm_min(length, width);
        nm_realism_box *box = &boxes[i];
        *box = (nm_realism_box){.half_length = 0.5 * length,
                                .half_width = 0.5 * width,
                                .height = now.height > 0.0f ? now.height : track->height,
                                .radius = radius,
                                .core_length = 0.5 * length - radius,
                                .core_width = 0.5 * width - radius};
        box->reach = radius + sqrt(box->core_length * box->core_length + box->core_width * box->core_width);
    }
    m->box = boxes;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Worlds

static int allocate_world(const measurement *m, nm_arena *arena, nm_realism_world *world, uint8_t **valid) {
    size_t count = (size_t)m->agents * m->width;
    *world = (nm_realism_world){.agents = m->agents, .width = m->width, .box = m->box};
    float **planes[] = {&world->x, &world->y, &world->z, &world->heading, &world->cos_h, &world->sin_h, &world->speed};
    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++) {
        *planes[i] = NM_ARENA_ARRAY(arena, float, count);
        if (!*planes[i]) return 0;
    }
    if (m->headings) {
        world->turned = NM_ARENA_ARRAY(arena, float, count);
        if (!world->turned) return 0;
    }
    world->valid = *valid = nm_arena_alloc(arena, count, 1, 64);
    return *valid != NULL;
}

/// The recorded state of entry `e` of a row; see the contract for what stands in for what is missing.
static int put_recorded(const measurement *m, const nm_realism_world *world, uint32_t agent, uint32_t e) {
    const nm_scene *scene = m->scene;
    size_t to = (size_t)agent * m->width + e;
    nm_state state = {.x = -(float)scene->map->origin.x, .y = -(float)scene->map->origin.y};
    int valid = 0;
    if (scene->current_step + e == 0)
        state.x = state.y = state.z = state.heading = NAN;
    else
        valid = nm_scene_get_state(scene, m->track[agent], scene->current_step + e - 1, &state);
    world->x[to] = state.x;
    world->y[to] = state.y;
    world->z[to] = state.z;
    world->heading[to] = state.heading;
    if (world->turned) {
        const float *recorded = m->headings->recorded;
        world->turned[to] = valid && recorded
                                ? recorded[nm_scene_at(scene, m->track[agent], scene->current_step + e - 1)]
                                : state.heading;
    }
    return valid;
}

/// Directions and speeds, once positions and headings are there.
static void finish_world(const nm_realism_world *w, double dt) {
    for (uint32_t a = 0; a < w->agents; a++) {
        size_t row = (size_t)a * w->width;
        for (size_t i = row; i < row + w->width; i++) {
            nm_sincosf(w->heading[i] == w->heading[i] ? w->heading[i] : 0.0f, &w->sin_h[i], &w->cos_h[i]);
        }
        w->speed[row] = w->speed[row + w->width - 1] = NAN;
        for (size_t i = row + 1; i + 1 < row + w->width; i++) {
            double dx = (double)w->x[i + 1] - w->x[i - 1], dy = (double)w->y[i + 1] - w->y[i - 1];
            w->speed[i] = (float)(sqrt(dx * dx + dy * dy) / (2.0 * dt));
        }
    }
}

static void fill_recording(const measurement *m, const nm_realism_world *world, uint8_t *valid) {
    for (uint32_t a = 0; a < m->agents; a++) {
        for (uint32_t e = 0; e < m->width; e++) {
            valid[(size_t)a * m->width + e] = (uint8_t)put_recorded(m, world, a, e);
        }
    }
    finish_world(world, m->scene->dt);
}

static void fill_sample(const measurement *m, const nm_realism_world *world, uint32_t sample, uint8_t *valid) {
    const nm_futures *f = m->futures;
    memset(valid, 1, (size_t)m->agents * m->width);
    for (uint32_t a = 0; a < m->agents; a++) {
        put_recorded(m, world, a, 0);
        put_recorded(m, world, a, 1);
        size_t to = nm_realism_at(world, a, 0);
        if (m->future[a] == NM_NONE) {
            float *const planes[5] = {world->x, world->y, world->z, world->heading, world->turned};
            for (int p = 0; p < 5 && planes[p]; p++) {
                for (uint32_t k = 0; k < m->steps; k++) planes[p][to + k] = planes[p][to - 1];
            }
            continue;
        }
        size_t from = ((size_t)sample * f->agents + m->future[a]) * f->steps, bytes = m->steps * sizeof(float);
        memcpy(world->x + to, f->x + from, bytes);
        memcpy(world->y + to, f->y + from, bytes);
        memcpy(world->z + to, f->z + from, bytes);
        memcpy(world->heading + to, f->heading + from, bytes);
        if (!world->turned) continue;
        memcpy(world->turned + to, (m->headings->simulated ? m->headings->simulated : f->heading) + from, bytes);
    }
    finish_world(world, m->scene->dt);
}

// ---------------------------------------------------------------------------------------------------------------------
// Features

/// [-pi, pi)
static double wrap(double angle) {
    return angle - 2.0 * NM_PI * floor((angle + NM_PI) / (2.0 * NM_PI));
}

/// Speed in space, m/s, and yaw per step, rad, at entry `i` of a row.
static double speed_at(const nm_realism_world *w, size_t i, double dt) {
    double dx = (double)w->x[i + 1] - w->x[i - 1], dy = (double)w->y[i + 1] - w->y[i - 1];
    double dz = (double)w->z[i + 1] - w->z[i - 1];
    return sqrt(dx * dx + dy * dy + dz * dz) / (2.0 * dt);
}
static double turn_at(const nm_realism_world *w, size_t i) {
    return wrap((double)w->heading[i + 1] - w->heading[i - 1]) / 2.0;
}

/// Central differences; no value where a neighbour is missing.
static void measure_motion(const nm_realism_world *w, uint32_t agent, uint32_t steps, double dt, float *const out[4]) {
    for (uint32_t k = 0; k < steps; k++) {
        size_t i = nm_realism_at(w, agent, k);
        int speeds = k + 1 < steps, accelerations = k + 2 < steps;
        out[0][k] = speeds ? (float)speed_at(w, i, dt) : NAN;
        out[1][k] = accelerations ? (float)((speed_at(w, i + 1, dt) - speed_at(w, i - 1, dt)) / (2.0 * dt)) : NAN;
        out[2][k] = speeds ? (float)(turn_at(w, i) / dt) : NAN;
        out[3][k] = accelerations ? (float)(wrap(turn_at(w, i + 1) - turn_at(w, i - 1)) / (2.0 * dt * dt)) : NAN;
    }
}

static int any_beyond(const float *series, const uint8_t *valid, uint32_t steps, float sign) {
    for (uint32_t k = 0; k < steps; k++) {
        if (valid[k] && sign * series[k] > 0.0f) return 1;
    }
    return 0;
}

/// All features of one world; `slot` 0 is the recording.
static void measure_world(const measurement *m, const nm_realism_world *world, uint32_t slot) {
    for (uint32_t i = 0; i < m->scored; i++) {
        uint32_t agent = m->who[i];
        size_t cell = (size_t)slot * m->scored + i, row = cell * m->steps;
        const uint8_t *valid = m->values->valid + (size_t)i * m->steps;
        float *const motion[4] = {
            m->series[NM_REALISM_LINEAR_SPEED] + row, m->series[NM_REALISM_LINEAR_ACCELERATION] + row,
            m->series[NM_REALISM_ANGULAR_SPEED] + row, m->series[NM_REALISM_ANGULAR_ACCELERATION] + row};
        measure_motion(world, agent, m->steps, m->scene->dt, motion);
        float *nearest = m->series[NM_REALISM_NEAREST_DISTANCE] + row;
        nm_realism_nearest(world, agent, m->steps, nearest);
        m->flag[NM_REALISM_COLLISION][cell] = (uint8_t)any_beyond(nearest, valid, m->steps, -1.0f);
        nm_realism_ttc(world, agent, m->steps, m->series[NM_REALISM_TIME_TO_COLLISION] + row);
        if (m->has_road) {
            float *road = m->series[NM_REALISM_ROAD_EDGE_DISTANCE] + row;
            nm_realism_road(m->scene->map, m->edges, world, agent, m->steps, road);
            m->flag[NM_REALISM_OFF_ROAD][cell] = (uint8_t)any_beyond(road, valid, m->steps, 1.0f);
        }
        uint8_t red = 0;
        for (uint32_t k = 0; m->lights && k < m->steps && !red; k++) {
            red = valid[k] && nm_realism_runs_red(m->lights, world, agent, k);
        }
        m->flag[NM_REALISM_RED_LIGHT][cell] = red;
    }
}

/// Mean distance to the recording over all steps in which it is valid; the history counts and has none.
static void measure_displacement(const measurement *m, const nm_realism_world *recording, const nm_realism_world *world,
                                 uint32_t sample) {
    const nm_scene *scene = m->scene;
    for (uint32_t i = 0; i < m->scored; i++) {
        const uint8_t *history = scene->valid + nm_scene_at(scene, m->track[m->who[i]], 0);
        uint32_t count = 0;
        double sum = 0.0;
        for (uint32_t t = 0; t <= scene->current_step; t++) count += history[t];
        for (uint32_t k = 0; k < m->steps; k++) {
            size_t at = nm_realism_at(world, m->who[i], k);
            if (!recording->valid[at]) continue;
            double dx = (double)world->x[at] - recording->x[at], dy = (double)world->y[at] - recording->y[at];
            double dz = (double)world->z[at] - recording->z[at];
            sum += sqrt(dx * dx + dy * dy + dz * dz);
            count++;
        }
        m->displacement[(size_t)sample * m->scored + i] = (float)(sum / count);
    }
}

// ---------------------------------------------------------------------------------------------------------------------

static int is_vehicle(nm_agent_type type) {
    return type == NM_AGENT_CAR || type == NM_AGENT_TRUCK || type == NM_AGENT_BUS || type == NM_AGENT_MOTORCYCLE;
}

/// Everything of `values` that the arena holds.
static nm_status allocate_values(measurement *m, nm_arena *arena, nm_error *error) {
    nm_realism_values *v = m->values;
    size_t cells = (size_t)(1 + v->samples) * v->agents;
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; f++) {
        int road = f == NM_REALISM_ROAD_EDGE_DISTANCE || f == NM_REALISM_OFF_ROAD;
        if (road && !m->has_road) continue;
        if (nm_realism_feature_flag((nm_realism_feature)f))
            v->flag[f] = m->flag[f] = nm_arena_calloc(arena, cells, 1, 64);
        else
            v->series[f] = m->series[f] = NM_ARENA_ARRAY(arena, float, cells * v->steps);
        if (!m->flag[f] && !m->series[f]) return no_memory(error);
    }
    uint32_t *track = NM_ARENA_ARRAY(arena, uint32_t, v->agents);
    uint8_t *vehicle = nm_arena_alloc(arena, v->agents, 1, 64);
    uint8_t *valid = nm_arena_alloc(arena, (size_t)v->agents * v->steps, 1, 64);
    v->displacement = m->displacement = NM_ARENA_ARRAY(arena, float, (size_t)v->samples * v->agents);
    if (!track || !vehicle || !valid || !m->displacement) return no_memory(error);
    const nm_scene *scene = m->scene;
    for (uint32_t i = 0; i < v->agents; i++) {
        track[i] = m->track[m->who[i]];
        vehicle[i] = (uint8_t)is_vehicle((nm_agent_type)scene->tracks[track[i]].type);
        memcpy(valid + (size_t)i * v->steps, scene->valid + nm_scene_at(scene, track[i], scene->current_step + 1),
               v->steps);
    }
    v->track = track, v->vehicle = vehicle, v->valid = valid;
    return NM_OK;
}

static nm_status measure_all(measurement *m, nm_arena *arena, nm_error *error) {
    nm_realism_world recording, world;
    uint8_t *recorded, *all;
    if (!nm_realism_make_lights(m->scene, m->steps, arena, &m->lights) ||
        !allocate_world(m, arena, &recording, &recorded) || !allocate_world(m, arena, &world, &all))
        return no_memory(error);
    fill_recording(m, &recording, recorded);
    measure_world(m, &recording, 0);
    for (uint32_t r = 0; r < m->futures->samples; r++) {
        fill_sample(m, &world, r, all);
        measure_world(m, &world, r + 1);
        measure_displacement(m, &recording, &world, r);
    }
    return NM_OK;
}

/// Who takes part and what there is to measure them against. Lasts as long as the work.
static nm_status prepare(measurement *m, nm_arena *arena, nm_error *error) {
    nm_status status = check_futures(m->scene, m->futures, error);
    if (status == NM_OK) status = choose_agents(m, arena, error);
    if (status == NM_OK) status = choose_scored(m, arena, error);
    if (status == NM_OK) status = make_boxes(m, arena, error);
    if (status != NM_OK) return status;
    if (!nm_realism_make_edges(m->scene->map, arena, &m->edges)) return no_memory(error);
    m->has_road = m->edges || nm_realism_has_surface(m->scene->map);
    return m->edges || !m->has_road ? NM_OK : nm_map_prepare(m->scene->map, error);
}

nm_status nm_realism_measure(const nm_scene *scene, const nm_futures *futures, const nm_realism_headings *headings,
                             nm_arena *arena, nm_realism_values *values, nm_error *error) {
    nm_arena *work = nm_arena_create(0); // what is returned lies in `arena`: working memory above it could not be freed
    *values = (nm_realism_values){0};
    if (!work) return no_memory(error);
    measurement m = {.scene = scene,
                     .futures = futures,
                     .headings = headings,
                     .steps = futures->steps,
                     .width = futures->steps + NM_REALISM_PAST,
                     .values = values};
    nm_arena_mark mark = nm_arena_get_mark(arena);
    nm_status status = prepare(&m, work, error);
    if (status == NM_OK) {
        *values = (nm_realism_values){.samples = futures->samples, .agents = m.scored, .steps = m.steps};
        status = allocate_values(&m, arena, error);
    }
    if (status == NM_OK) status = measure_all(&m, work, error);
    if (status != NM_OK) {
        nm_arena_release(arena, mark);
        *values = (nm_realism_values){0};
    }
    nm_arena_destroy(work);
    return status;
}

nm_status nm_realism_score(const nm_scene *scene, const nm_futures *futures, const nm_realism_config *config,
                           nm_arena *arena, nm_realism *out, nm_error *error) {
    nm_realism_config standard = nm_realism_config_of(NM_REALISM_2025);
    nm_realism_values values;
    nm_arena_mark mark = nm_arena_get_mark(arena);
    nm_status status = nm_realism_measure(scene, futures, NULL, arena, &values, error);
    if (status == NM_OK) status = nm_realism_rate(&values, config ? config : &standard, out, error);
    nm_arena_release(arena, mark);
    return status;
}
