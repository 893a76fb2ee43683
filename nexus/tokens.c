/// Tokens of a scene: configuration, choice of agents, frames, values, masks.
#include "nexus/noise.h"
#include "nexus/tokens_private.h"

#include <string.h>

// ---------------------------------------------------------------------------------------------------------------------
// Configuration

nm_token_config nm_token_config_default(nm_token_encoding encoding) {
    int own = encoding == NM_TOKENS_AGENT;
    return (nm_token_config){.encoding = encoding,
                             .past = 4,
                             .future = 16,
                             .agents = 32,
                             .range = own ? 150.0 : 104.0,
                             .statics = 1,
                             .map_features = NM_MAP_LANES | NM_MAP_AREAS | (own ? 0 : NM_MAP_LINES),
                             .map_polylines = own ? 48 : 128,
                             .map_points = own ? 10 : 21,
                             .map_piece = own ? 30.0 : 40.0,
                             .map_range = own ? 100.0 : 104.0,
                             .position_scale = 20.0,
                             .heading_scale = 1.0,
                             .speed_scale = 10.0};
}

int nm_token_config_same(const nm_token_config *a, const nm_token_config *b) {
    const int scales = a->position_scale == b->position_scale && a->heading_scale == b->heading_scale &&
                       a->speed_scale == b->speed_scale;
    return a->encoding == b->encoding && a->paths == b->paths && a->past == b->past && a->future == b->future &&
           nm_token_map_channels(a) == nm_token_map_channels(b) && (scales || a->encoding != NM_TOKENS_AGENT);
}

nm_status nm_token_config_check(const nm_token_config *config, nm_error *error) {
    NM_ASSERT(config);
    if (config->encoding != NM_TOKENS_EGO && config->encoding != NM_TOKENS_AGENT)
        return NM_ERROR(error, NM_E_ARGUMENT, "encoding %d of tokens is none", (int)config->encoding);
    const struct {
        const char *name;
        double value, low, high;
    } fields[] = {
        {"past", config->past, 0.0, 64.0},
        {"future", config->future, 0.0, 256.0},
        {"agents", config->agents, 1.0, 65536.0},
        {"range", config->range, 1e-3, 1e7},
        {"statics", config->statics, 0.0, 1.0},
        {"paths", config->paths, 0.0, config->encoding == NM_TOKENS_AGENT ? 1.0 : 0.0},
        {"map_features", config->map_features, 0.0, NM_MAP_LANES | NM_MAP_LINES | NM_MAP_AREAS},
        {"map_polylines", config->map_polylines, 0.0, 4096.0},
        {"map_points", config->map_points, 2.0, 64.0},
        {"map_piece", config->map_piece, 1.0, 1e4},
        {"map_range", config->map_range, 1e-3, 1e7},
        {"position_scale", config->position_scale, 1e-3, 1e6},
        {"heading_scale", config->heading_scale, 1e-3, 1e6},
        {"speed_scale", config->speed_scale, 1e-3, 1e6},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (!(fields[i].value >= fields[i].low && fields[i].value <= fields[i].high)) // NaN, too
            return NM_ERROR(error, NM_E_ARGUMENT, "%s of tokens is %g: %g to %g are possible", fields[i].name,
                            fields[i].value, fields[i].low, fields[i].high);
    }
    return NM_OK;
}

uint32_t nm_token_count(const nm_token_config *config) {
    return config->past + 1 + config->future;
}

uint32_t nm_token_states(const nm_token_config *config) {
    return config->encoding == NM_TOKENS_AGENT ? NM_TOKEN_STEPS : 1;
}

nm_state_encoding nm_token_state_encoding(const nm_token_config *config) {
    if (config->encoding == NM_TOKENS_EGO) return nm_state_encoding_published();
    return nm_state_encoding_own((float)config->position_scale, (float)config->heading_scale,
                                 (float)config->speed_scale);
}

uint32_t nm_token_channels(const nm_token_config *config) {
    return config->encoding == NM_TOKENS_AGENT ? NM_TOKEN_STEPS * NM_OWN_CHANNELS : NM_EGO_CHANNELS;
}

uint32_t nm_token_conditions(const nm_token_config *config) {
    return config->encoding == NM_TOKENS_EGO ? 0 : config->paths ? NM_CONDITION_PATH_END : NM_CONDITION_COUNT;
}

uint32_t nm_token_map_channels(const nm_token_config *config) {
    return config->encoding == NM_TOKENS_AGENT ? NM_ROW_POINTS + 2 * config->map_points : NM_POINT_CHANNELS;
}

uint32_t nm_token_map_rows(const nm_token_config *config, uint32_t agents) {
    return config->map_polylines * (config->encoding == NM_TOKENS_AGENT ? agents : config->map_points);
}

void nm_token_fit_model(const nm_token_config *config, nm_model_config *model) {
    int own = config->encoding == NM_TOKENS_AGENT;
    model->channels = nm_token_channels(config);
    model->conditions = nm_token_conditions(config);
    model->map_channels = nm_token_map_channels(config);
    model->map_encoder = own ? NM_MAP_POLYLINES : NM_MAP_PERCEIVER;
    model->pose_bias = own;
}

nm_token_request nm_token_request_default(const nm_scene *scene) {
    return (nm_token_request){.current_step = scene->current_step, .focus = NM_NONE, .generate = 0};
}

// ---------------------------------------------------------------------------------------------------------------------
// The smallest keys

static void sift_down(uint64_t *keys, uint32_t count, uint32_t at) {
    uint64_t key = keys[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && keys[child + 1] > keys[child]) child++;
        if (keys[child] <= key) break;
        keys[at] = keys[child];
    }
    keys[at] = key;
}

void nm_smallest_add(nm_smallest *heap, uint64_t key) {
    uint32_t at = heap->count;
    if (at == heap->limit) {
        if (at == 0 || key >= heap->keys[0]) return;
        heap->keys[0] = key;
        sift_down(heap->keys, heap->count, 0);
        return;
    }
    heap->count++;
    for (uint32_t parent; at && heap->keys[parent = (at - 1) / 2] < key; at = parent)
        heap->keys[at] = heap->keys[parent];
    heap->keys[at] = key;
}

void nm_smallest_sort(nm_smallest *heap) {
    for (uint32_t end = heap->count; end > 1; end--) {
        uint64_t largest = heap->keys[0];
        heap->keys[0] = heap->keys[end - 1];
        heap->keys[end - 1] = largest;
        sift_down(heap->keys, end - 1, 0);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Who takes part

/// The last valid step of a track in [first, last], NM_NONE when there is none.
static uint32_t last_seen(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t last) {
    const nm_track *t = &scene->tracks[track];
    if (t->first_step > t->last_step) return NM_NONE;
    uint32_t low = t->first_step > first ? t->first_step : first, step = t->last_step < last ? t->last_step : last;
    const uint8_t *valid = scene->valid + nm_scene_at(scene, track, 0);
    for (; step >= low; step--) {
        if (valid[step]) return step;
        if (step == 0) break;
    }
    return NM_NONE;
}

/// Steps of all tracks in the window; NM_NONE for those that take no part.
static uint32_t find_present(const nm_scene *scene, const nm_token_config *config, const nm_token_request *request,
                             uint32_t *seen) {
    const uint32_t current = request->current_step;
    uint32_t first = request->present ? current : nm_token_window_first(config, current), count = 0;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        seen[i] = last_seen(scene, i, first, current);
        count += seen[i] != NM_NONE;
    }
    return count;
}

/// The point with the least sum of distances to all agents (Weiszfeld 1937): unlike the mean it stays where the
/// traffic is when somebody is 10 km away. Ten rounds are plenty for a choice among vehicles.
static void geometric_median(const nm_scene *scene, const uint32_t *seen, double *x, double *y) {
    double at_x = 0.0, at_y = 0.0;
    for (int round = 0; round < 11; round++) {
        double sum_x = 0.0, sum_y = 0.0, sum = 0.0;
        for (uint32_t i = 0; i < scene->track_count; i++) {
            if (seen[i] == NM_NONE) continue;
            size_t at = nm_scene_at(scene, i, seen[i]);
            double dx = (double)scene->x[at] - at_x, dy = (double)scene->y[at] - at_y;
            // the first round is the mean; 1 m keeps an agent at the very place from taking all the weight
            double weight = round ? 1.0 / nm_max(sqrt(dx * dx + dy * dy), 1.0) : 1.0;
            sum_x += weight * dx;
            sum_y += weight * dy;
            sum += weight;
        }
        at_x += sum_x / sum;
        at_y += sum_y / sum;
    }
    *x = at_x;
    *y = at_y;
}

/// An ego for a scene that has none.
static uint32_t stand_in(const nm_scene *scene, const uint32_t *seen) {
    double x, y;
    uint32_t best = NM_NONE;
    uint64_t least = UINT64_MAX;
    geometric_median(scene, seen, &x, &y);
    for (int vehicles = 1; vehicles >= 0 && best == NM_NONE; vehicles--) {
        for (uint32_t i = 0; i < scene->track_count; i++) {
            const nm_track *track = &scene->tracks[i];
            if (seen[i] == NM_NONE) continue;
            if (vehicles && (track->flags & NM_TRACK_STATIC || !nm_agent_type_vehicle((nm_agent_type)track->type)))
                continue;
            size_t at = nm_scene_at(scene, i, seen[i]);
            double dx = (double)scene->x[at] - x, dy = (double)scene->y[at] - y;
            uint64_t key = nm_token_key(sqrt(dx * dx + dy * dy), i);
            if (key < least) {
                least = key;
                best = i;
            }
        }
    }
    return best;
}

static nm_status choose_ego(const nm_scene *scene, const nm_token_request *request, const uint32_t *seen, uint32_t *ego,
                            nm_error *error) {
    if (request->focus != NM_NONE) {
        *ego = request->focus;
        if (seen[*ego] == NM_NONE)
            return NM_ERROR(error, NM_E_NOT_FOUND,
                            "track %u, which is to be the ego, has no state in the history up to step %u", *ego,
                            request->current_step);
        return NM_OK;
    }
    *ego = scene->ego != NM_NONE && seen[scene->ego] != NM_NONE ? scene->ego : stand_in(scene, seen);
    return NM_OK;
}

/// Tracks of the tokens: the ego, then the nearest. Room in tokens->track for config.agents or all tracks.
static void choose_agents(const nm_scene *scene, const uint32_t *seen, uint32_t ego, uint64_t *keys,
                          nm_tokens *tokens) {
    const nm_token_config *config = &tokens->config;
    size_t at = nm_scene_at(scene, ego, seen[ego]);
    const double x = (double)scene->x[at], y = (double)scene->y[at];
    nm_smallest nearest = {.keys = keys, .limit = config->agents - 1};
    for (uint32_t i = 0; i < scene->track_count; i++) {
        if (i == ego || seen[i] == NM_NONE) continue;
        if (!config->statics && scene->tracks[i].flags & NM_TRACK_STATIC) continue;
        at = nm_scene_at(scene, i, seen[i]);
        double dx = (double)scene->x[at] - x, dy = (double)scene->y[at] - y, distance = sqrt(dx * dx + dy * dy);
        if (distance <= config->range) nm_smallest_add(&nearest, nm_token_key(distance, i));
    }
    nm_smallest_sort(&nearest);
    tokens->track[0] = ego;
    for (uint32_t i = 0; i < nearest.count; i++) tokens->track[1 + i] = (uint32_t)nearest.keys[i];
    tokens->shape.agents = 1 + nearest.count;
}

static nm_token_frame frame_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    size_t at = nm_scene_at(scene, track, step);
    nm_token_frame frame = {
        .x = (double)scene->x[at], .y = (double)scene->y[at], .heading = scene->heading[at], .step = step};
    nm_sincosf(frame.heading, &frame.sin, &frame.cos);
    return frame;
}

// ---------------------------------------------------------------------------------------------------------------------
// Values

static void encode_ego(const nm_token_frame *frame, const nm_state *state, float *values) {
    nm_vec2 p = nm_token_into(frame, (double)state->x, (double)state->y);
    nm_vec2 v = nm_token_turn(frame, state->vx, state->vy);
    float sine, cosine;
    nm_sincosf(state->heading, &sine, &cosine);
    nm_vec2 h = nm_token_turn(frame, cosine, sine);
    values[NM_EGO_X] = p.x / NM_EGO_POSITION_SCALE;
    values[NM_EGO_Y] = p.y / NM_EGO_POSITION_SCALE;
    values[NM_EGO_COS] = h.x;
    values[NM_EGO_SIN] = h.y;
    values[NM_EGO_VX] = v.x / 4.0f;
    values[NM_EGO_VY] = v.y / 4.0f;
    values[NM_EGO_LENGTH] = (state->length - 4.5f) / 5.0f;
    values[NM_EGO_WIDTH] = (state->width - 2.0f) / 1.6f;
}

static void encode_own(const nm_token_config *config, const nm_token_frame *frame, const nm_state *state,
                       float *values) {
    nm_vec2 p = nm_token_into(frame, (double)state->x, (double)state->y);
    float sine, cosine;
    nm_sincosf(state->heading, &sine, &cosine);
    nm_vec2 h = nm_token_turn(frame, cosine, sine);
    values[NM_OWN_X] = p.x / (float)config->position_scale;
    values[NM_OWN_Y] = p.y / (float)config->position_scale;
    values[NM_OWN_COS] = h.x / (float)config->heading_scale;
    values[NM_OWN_SIN] = h.y / (float)config->heading_scale;
    values[NM_OWN_SPEED] = (state->vx * cosine + state->vy * sine) / (float)config->speed_scale;
}

void nm_token_encode(const nm_token_config *config, const nm_token_frame *frame, const nm_state *states,
                     float *values) {
    if (config->encoding == NM_TOKENS_EGO) {
        encode_ego(frame, states, values);
        return;
    }
    for (uint32_t i = 0; i < NM_TOKEN_STEPS; i++) encode_own(config, frame, &states[i], values + i * NM_OWN_CHANNELS);
}

static nm_state state_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    size_t at = nm_scene_at(scene, track, step);
    nm_state state = {.x = scene->x[at],
                      .y = scene->y[at],
                      .z = scene->z[at],
                      .heading = scene->heading[at],
                      .vx = scene->vx[at],
                      .vy = scene->vy[at],
                      .length = scene->tracks[track].length,
                      .width = scene->tracks[track].width};
    if (scene->state_length) {
        state.length = scene->state_length[at] > 0.0f ? scene->state_length[at] : state.length;
        state.width = scene->state_width[at] > 0.0f ? scene->state_width[at] : state.width;
    }
    return state;
}

/// Token of the scene, when all its states are there.
static int encode_logged(const nm_scene *scene, const nm_tokens *tokens, uint32_t agent, uint32_t token,
                         float *values) {
    const nm_token_config *config = &tokens->config;
    const uint32_t count = nm_token_states(config), track = tokens->track[agent];
    // 64 bits: tokens of the past may lie before the recording
    int64_t last = (int64_t)tokens->current_step + (int64_t)NM_TOKEN_STEPS * ((int64_t)token - (int64_t)config->past);
    int64_t first = last - (count - 1);
    if (first < 0 || last >= (int64_t)scene->step_count) return 0;
    nm_state states[NM_TOKEN_STEPS];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t step = (uint32_t)first + i;
        if (!scene->valid[nm_scene_at(scene, track, step)]) return 0;
        states[i] = state_at(scene, track, step);
    }
    nm_token_encode(config, nm_tokens_frame(tokens, agent), states, values);
    return 1;
}

static void fill_agent(const nm_scene *scene, const nm_token_request *request, nm_tokens *tokens, uint32_t agent) {
    const nm_token_config *config = &tokens->config;
    const uint32_t steps = tokens->shape.steps, channels = nm_token_channels(config);
    const nm_token_frame *ego = &tokens->frame[0], *own = &tokens->frame[agent];
    nm_vec2 place = nm_token_into(ego, own->x, own->y), ahead = nm_token_turn(ego, own->cos, own->sin);
    for (uint32_t t = 0; t < steps; t++) {
        size_t at = (size_t)agent * steps + t;
        float *values = tokens->values + at * channels;
        tokens->logged[at] = (uint8_t)encode_logged(scene, tokens, agent, t, values);
        if (!tokens->logged[at]) memset(values, 0, channels * sizeof *values);
        tokens->valid[at] = (uint8_t)(tokens->logged[at] | (request->generate && t > config->past));
        float *pose = tokens->pose + 4 * at;
        pose[0] = place.x;
        pose[1] = place.y;
        pose[2] = ahead.x;
        pose[3] = ahead.y;
    }
    if (config->encoding == NM_TOKENS_AGENT)
        nm_token_condition_fill(scene, request, tokens, agent,
                                tokens->condition + (size_t)agent * steps * nm_token_conditions(config));
}

// ---------------------------------------------------------------------------------------------------------------------
// Building

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "no memory for the tokens of a scene");
}

static nm_status check_request(const nm_token_map *token_map, const nm_scene *scene, const nm_token_request *request,
                               nm_error *error) {
    if (!(fabsf(scene->dt - 0.1f) < 1e-6f))
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "the scene's time step is %g s, tokens are made of steps of 0.1 s: resample the scene first",
                        (double)scene->dt);
    if (request->current_step >= scene->step_count)
        return NM_ERROR(error, NM_E_ARGUMENT, "current step %u is not in the scene, which has %u steps",
                        request->current_step, scene->step_count);
    if (request->focus != NM_NONE && request->focus >= scene->track_count)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "track %u, which is to be the ego, is not in the scene, which has %u tracks", request->focus,
                        scene->track_count);
    if (token_map->map != scene->map && token_map->map->hash != scene->map->hash)
        return NM_ERROR(error, NM_E_ARGUMENT, "the token map was made from another map than the scene's");
    return NM_OK;
}

/// Chooses agents and their frames. Room for as many as there may be is allocated; the rest of it is not used.
static nm_status take_agents(const nm_scene *scene, const nm_token_request *request, nm_arena *arena, nm_tokens *tokens,
                             nm_error *error) {
    const uint32_t tracks = scene->track_count;
    const uint32_t most = tokens->config.agents < tracks ? tokens->config.agents : tracks;
    tokens->track = NM_ARENA_ARRAY(arena, uint32_t, most);
    tokens->agent_id = NM_ARENA_ARRAY(arena, uint32_t, most);
    tokens->frame = NM_ARENA_ARRAY(arena, nm_token_frame, most);
    nm_arena_mark mark = nm_arena_get_mark(arena);
    uint32_t *seen = NM_ARENA_ARRAY(arena, uint32_t, tracks);
    uint64_t *keys = NM_ARENA_ARRAY(arena, uint64_t, most);
    nm_status status = NM_OK;
    uint32_t ego = NM_NONE;
    if (!tokens->track || !tokens->agent_id || !tokens->frame || !seen || !keys)
        status = no_memory(error);
    else if (!find_present(scene, &tokens->config, request, seen))
        status =
            NM_ERROR(error, NM_E_NOT_FOUND, "no agent has a state in the history up to step %u", request->current_step);
    else
        status = choose_ego(scene, request, seen, &ego, error);
    if (status == NM_OK) {
        choose_agents(scene, seen, ego, keys, tokens);
        for (uint32_t a = 0; a < tokens->shape.agents; a++) {
            tokens->agent_id[a] = nm_noise_agent(scene->tracks[tokens->track[a]].source_id);
            tokens->frame[a] = frame_at(scene, tokens->track[a], seen[tokens->track[a]]);
        }
    }
    nm_arena_release(arena, mark);
    return status;
}

nm_status nm_tokens_build(const nm_token_map *token_map, const nm_scene *scene, const nm_token_request *request,
                          nm_arena *arena, nm_tokens *tokens, nm_error *error) {
    NM_ASSERT(token_map && scene && request && arena && tokens);
    nm_status status = check_request(token_map, scene, request, error);
    if (status != NM_OK) return status;
    memset(tokens, 0, sizeof *tokens);
    tokens->config = token_map->config;
    tokens->current_step = request->current_step;
    tokens->shape.steps = nm_token_count(&tokens->config);
    status = take_agents(scene, request, arena, tokens, error);
    if (status != NM_OK) return status;
    const size_t count = (size_t)tokens->shape.agents * tokens->shape.steps;
    tokens->logged = NM_ARENA_ARRAY(arena, uint8_t, count);
    tokens->valid = NM_ARENA_ARRAY(arena, uint8_t, count);
    tokens->known = NM_ARENA_ARRAY(arena, uint8_t, count);
    tokens->values = NM_ARENA_ARRAY(arena, float, count *nm_token_channels(&tokens->config));
    tokens->condition = NM_ARENA_ARRAY(arena, float, count *nm_token_conditions(&tokens->config));
    tokens->pose = NM_ARENA_ARRAY(arena, float, count * 4);
    if (tokens->config.paths) {
        tokens->path = NM_ARENA_ARRAY(arena, nm_path, tokens->shape.agents);
        tokens->route_given = NM_ARENA_ARRAY(arena, uint8_t, tokens->shape.agents);
        if (!tokens->path || !tokens->route_given) return no_memory(error);
    }
    if (!tokens->logged || !tokens->valid || !tokens->known || !tokens->values || !tokens->condition || !tokens->pose)
        return no_memory(error);
    for (uint32_t a = 0; a < tokens->shape.agents; a++) fill_agent(scene, request, tokens, a);
    tokens->shape.valid = tokens->valid;
    nm_tokens_set_task(tokens, &(nm_token_task){.kind = NM_TASK_FREE});
    return nm_token_map_fill(token_map, scene, arena, tokens, error);
}

void nm_tokens_set_task(nm_tokens *tokens, const nm_token_task *task) {
    const uint32_t steps = tokens->shape.steps, past = tokens->config.past;
    for (uint32_t a = 0; a < tokens->shape.agents; a++) {
        const uint8_t *logged = tokens->logged + (size_t)a * steps;
        uint8_t *known = tokens->known + (size_t)a * steps;
        uint32_t last = NM_NONE;
        for (uint32_t t = 0; t < steps; t++) last = logged[t] ? t : last;
        const int all = task->given && task->given[a];
        for (uint32_t t = 0; t < steps; t++) {
            int known_now = task->kind == NM_TASK_INFILL ? t < task->gap_first || t >= task->gap_end : t <= past;
            if (task->kind == NM_TASK_GOAL) known_now |= t == last;
            known[t] = (uint8_t)(logged[t] && (known_now || all));
        }
    }
}
