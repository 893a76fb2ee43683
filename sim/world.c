#include "sim/world_internal.h"

#include <stdlib.h>
#include <string.h>

nm_world_config nm_world_config_default(void) {
    nm_world_config config = {
        .agents = NM_POLICY_IDM,
        .ego = NM_POLICY_IDM,
        .idm = nm_idm_named("nearmiss"),
        .spawn_later = 1,
        .log_static = 1,
        .checks = NM_CHECK_ALL,
        .ttc_horizon = 3.0f,
    };
    return config;
}

static size_t aligned(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

/// Cuts the block into arrays, or with block NULL only adds up its size. One place decides both.
static size_t cut_block(nm_world *world, char *block) {
    const size_t n = aligned(world->capacity); // whole vectors, so that loops may run over the padding
    const nm_scene *scene = world->scene;
    const nm_map *map = world->map;
    size_t used = 0;
#define CUT(field, type, elements)                                                                                     \
    do {                                                                                                               \
        if (block) world->field = (type *)(void *)(block + used);                                                      \
        used += aligned(((size_t)(elements) + 1) * sizeof(type));                                                      \
    } while (0)
#define X(type, name, per, hashed) CUT(name, type, n *per);
    NM_WORLD_FIELDS(X)
#undef X
#define X(type, name, per) CUT(name, type, n *per);
    NM_WORLD_SCRATCH(X)
#undef X
    CUT(slot_of, uint32_t, scene->track_count);
    CUT(events, uint32_t, scene->track_count);
    CUT(taken, uint8_t, scene->track_count);
    CUT(entries, nm_entry, world->entry_capacity);
    CUT(waiting, nm_entry, world->entry_capacity);
    CUT(lane_end, uint8_t, map->lane_count);
    CUT(lane_first, uint32_t, map->lane_count);
    CUT(lane_agents, uint32_t, map->lane_count);
    CUT(approach_head, uint32_t, map->lane_count);
    CUT(touched, uint32_t, n * NM_APPROACH_MAX);
    CUT(cruise_at, float, map->rail_count);
    CUT(order, nm_order_entry, 2 * n);
    CUT(approaches, nm_approach, n * NM_APPROACH_MAX);
    CUT(signal_now, uint8_t, map->signal_count);
    CUT(sweep, nm_sweep_entry, n);
    CUT(rows, nm_row, n + 1);
    CUT(contacts, nm_pair, world->contact_capacity);
    CUT(contacts_before, nm_pair, world->contact_capacity);
    CUT(contact_since_entry, uint8_t, world->contact_capacity);
    CUT(contact_before_since_entry, uint8_t, world->contact_capacity);
#undef CUT
    return used;
}

/// The recorded state, heading-resolved. The track must be valid at `step`.
nm_state nm_world_log_state(const nm_scene *scene, uint32_t track, uint32_t step) {
    const size_t at = nm_scene_at(scene, track, step);
    const nm_track *info = &scene->tracks[track];
    nm_state state = {.x = scene->x[at],
                      .y = scene->y[at],
                      .z = scene->z[at],
                      .heading = scene->heading[at],
                      .vx = scene->vx[at],
                      .vy = scene->vy[at],
                      .length = scene->state_length ? scene->state_length[at] : info->length,
                      .width = scene->state_width ? scene->state_width[at] : info->width};
    if (!(state.length > 0.0f)) state.length = info->length > 0.0f ? info->length : 0.5f;
    if (!(state.width > 0.0f)) state.width = info->width > 0.0f ? info->width : 0.5f;
    return state;
}

void nm_world_note_event(nm_world *world, uint32_t slot, uint32_t event) {
    uint32_t *events = &world->events[world->track[slot]];
    if (*events & event) return;
    *events |= event;
    nm_world_stats *stats = &world->stats;
    if (event == NM_AGENT_COLLIDED) stats->collided++;
    if (event == NM_AGENT_WENT_OFF_ROAD) stats->off_road++;
    if (event == NM_AGENT_WENT_WRONG_WAY) stats->wrong_way++;
    if (event == NM_AGENT_FROZEN) stats->frozen++;
    if (event == NM_AGENT_STARTED_OFF_ROAD) stats->started_off_road++;
    if (event == NM_AGENT_STARTED_IN_CONTACT) stats->started_in_contact++;
    if (event == NM_AGENT_LEFT) stats->left++;
}

static void place_limits(nm_world *world, uint32_t slot, nm_agent_type type) {
    const nm_dynamics_limits limits = nm_dynamics_limits_of(type);
    world->accel_max[slot] = limits.accel_max;
    world->brake_max[slot] = limits.brake_max;
    world->jerk_step[slot] = limits.jerk_max * NM_STEP_SECONDS;
    world->curvature_max[slot] = limits.curvature_max;
    world->curvature_step[slot] = limits.curvature_rate_max * NM_STEP_SECONDS;
    world->steer_preview[slot] = nm_world_steer_preview(world->curvature_step[slot]);
    world->grip_squared[slot] = (limits.friction * 9.81f) * (limits.friction * 9.81f);
    world->speed_max[slot] = limits.speed_max;
    world->rear[slot] = limits.rear_axle * world->length[slot];
}

void nm_world_set_size(nm_world *world, uint32_t slot, float length, float width) {
    world->length[slot] = length;
    world->width[slot] = width;
    world->radius[slot] = 0.5f * sqrtf(length * length + width * width);
    world->longest = nm_maxf(world->longest, length);
}

/// Puts a track into the next free slot. What it touches on this step does not count against it.
void nm_world_place(nm_world *world, uint32_t track, const nm_state *state) {
    NM_ASSERT(world->count < world->capacity);
    const uint32_t slot = world->count++;
    const nm_track *info = &world->scene->tracks[track];
    const int is_ego = track == world->scene->ego;
    const int is_static = (info->flags & NM_TRACK_STATIC) != 0;
    world->track[slot] = track;
    world->slot_of[track] = slot;
    world->taken[track] = 1;
    world->x[slot] = state->x;
    world->y[slot] = state->y;
    world->heading[slot] = state->heading;
    nm_sincosf(state->heading, &world->sin_h[slot], &world->cos_h[slot]);
    world->vx[slot] = state->vx;
    world->vy[slot] = state->vy;
    world->speed[slot] = state->vx * world->cos_h[slot] + state->vy * world->sin_h[slot];
    world->accel[slot] = world->curvature[slot] = 0.0f;
    world->accel_command[slot] = world->curvature_command[slot] = 0.0f;
    nm_world_set_size(world, slot, state->length, state->width);
    world->type[slot] = info->type;
    world->policy[slot] = (uint8_t)(is_ego ? world->config.ego : world->config.agents);
    world->entered_step[slot] = world->step;
    world->was_on_road[slot] = 0;
    world->fixed[slot] = (uint8_t)(is_static && world->config.log_static);
    world->off_road[slot] = world->wrong_way[slot] = world->pending[slot] = world->leaving[slot] = 0;
    world->change_after[slot] = world->step + 5 + track % 10;
    world->cleared_lane[slot] = world->junction_lane[slot] = world->arrived_step[slot] = NM_NONE;
    world->halted_steps[slot] = 0;
    world->held[slot] = 0;
    world->lead[slot] = world->ttc_with[slot] = NM_NONE;
    world->lead_gap[slot] = world->ttc[slot] = world->brake_ttc[slot] = INFINITY;
    world->has_ghost[slot] = world->ordered[slot] = 0;
    world->lane[slot] = NM_NONE;
    place_limits(world, slot, (nm_agent_type)info->type);
    world->groups_stale = 1;
    nm_world_enter_lane(world, slot);
    nm_world_aim_from_here(world, slot);
    nm_world_seat_driver(world, slot);
    world->mobile[slot] = world->fixed[slot] || world->policy[slot] == NM_POLICY_LOG ? 0.0f : 1.0f;
    if (!is_static) world->stats.agents++;
}

/// Stable compaction by the field list, run by run of those who stay; nothing else knows how many arrays there are.
void nm_world_remove(nm_world *world, const uint8_t *leave) {
    uint32_t kept = 0;
    for (uint32_t slot = 0; slot < world->count;) {
        if (leave[slot]) {
            world->slot_of[world->track[slot++]] = NM_NONE;
            continue;
        }
        uint32_t end = slot + 1;
        while (end < world->count && !leave[end]) ++end;
        const uint32_t run = end - slot;
        for (uint32_t k = 0; k < run; ++k) world->list[slot + k] = kept + k; // old slot -> new slot
        if (kept != slot) {
#define X(type, name, per, hashed)                                                                                     \
    memmove(world->name + (size_t)kept * (per), world->name + (size_t)slot * (per), sizeof(type) * (per)*run);
            NM_WORLD_FIELDS(X)
#undef X
            for (uint32_t k = kept; k < kept + run; ++k) world->slot_of[world->track[k]] = k;
        }
        kept += run;
        slot = end;
    }
    for (uint32_t slot = 0; slot < kept; ++slot) {
        // Slots named by others moved, too.
        uint32_t *refs[2] = {&world->lead[slot], &world->ttc_with[slot]};
        for (int i = 0; i < 2; ++i)
            if (*refs[i] != NM_NONE) *refs[i] = leave[*refs[i]] ? NM_NONE : world->list[*refs[i]];
    }
    // Order entries keep their sorting: drop those of the leavers, rename the rest.
    uint32_t entries = 0;
    for (uint32_t i = 0; i < world->order_count; ++i) {
        nm_order_entry entry = world->order[i];
        const uint32_t slot = entry.slot & ~NM_GHOST;
        if (leave[slot]) {
            world->lane_agents[entry.lane] = 0; // counted anew by the sort, but only where somebody is left
            continue;
        }
        entry.slot = world->list[slot] | (entry.slot & NM_GHOST);
        world->order[entries++] = entry;
    }
    world->order_count = entries;
    uint32_t swept = 0;
    for (uint32_t i = 0; i < world->sweep_count; ++i) {
        const nm_sweep_entry entry = world->sweep[i];
        if (leave[entry.slot]) continue;
        world->sweep[swept] = entry;
        world->sweep[swept++].slot = world->list[entry.slot];
    }
    world->sweep_count = swept;
    world->count = kept;
    world->ordered_count = 0;
    world->groups_stale = 1;
}

void nm_world_reset(nm_world *world, uint64_t seed) {
    const nm_scene *scene = world->scene;
    world->config.seed = seed;
    world->scene_key = scene->hash;
    world->step = world->config.start_step;
    world->count = world->order_count = world->sweep_count = 0;
    world->ordered_count = 0;
    world->lanes_found = 0;
    world->row_height = 8.0f;
    world->longest = 0.0f;
    world->groups_stale = 1;
    world->contact_count = world->contact_before_count = 0;
    world->waiting_count = world->touched_count = 0;
    world->stats = (nm_world_stats){.first_collision_step = NM_NONE};
    memset(world->lane_agents, 0, sizeof(uint32_t) * world->map->lane_count);
    for (uint32_t lane = 0; lane < world->map->lane_count; ++lane) world->approach_head[lane] = NM_NONE;
    for (uint32_t track = 0; track < scene->track_count; ++track) {
        world->slot_of[track] = NM_NONE;
        world->events[track] = world->taken[track] = 0;
    }
    for (uint32_t track = 0; track < scene->track_count; ++track) {
        const nm_track *info = &scene->tracks[track];
        if (info->first_step > info->last_step || world->count == world->capacity) continue;
        if (!scene->valid[nm_scene_at(scene, track, world->step)]) continue;
        const nm_state state = nm_world_log_state(scene, track, world->step);
        nm_world_place(world, track, &state);
    }
    nm_world_list_entries(world);
    nm_world_sort_lanes(world);
    nm_world_find_leads(world);
    nm_world_fit_drivers(world);
    nm_world_find_contacts(world);
    nm_world_check_road(world);
}

/// The comparisons are written so that NaN fails.
nm_status nm_idm_check(const nm_idm_params *idm, nm_error *error) {
    if (!idm) return NM_ERROR(error, NM_E_ARGUMENT, "no IDM parameters given");
    if (!idm->name) return NM_ERROR(error, NM_E_ARGUMENT, "the IDM parameters have no name");
    const struct {
        const char *name;
        float value, low, high;
    } bounds[] = {{"time_gap", idm->time_gap, 0.0f, 100.0f},
                  {"min_gap", idm->min_gap, 0.0f, 1000.0f},
                  {"accel", idm->accel, 0.01f, 100.0f},
                  {"brake", idm->brake, 0.01f, 100.0f},
                  {"desired_speed", idm->desired_speed, 0.0f, 1000.0f},
                  {"speed_factor", idm->speed_factor, 0.01f, 100.0f},
                  {"spread", idm->spread, 0.0f, 10.0f},
                  {"politeness", idm->politeness, 0.0f, 10.0f},
                  {"change_gain", idm->change_gain, -100.0f, 100.0f},
                  {"safe_brake", idm->safe_brake, 0.0f, 100.0f}};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; ++i)
        if (!(bounds[i].value >= bounds[i].low && bounds[i].value <= bounds[i].high))
            return NM_ERROR(error, NM_E_ARGUMENT, "IDM set \"%s\": %s %g is outside [%g, %g]", idm->name,
                            bounds[i].name, (double)bounds[i].value, (double)bounds[i].low, (double)bounds[i].high);
    return NM_OK;
}

static nm_status check_config(const nm_scene *scene, const nm_world_config *config, nm_error *error) {
    const float dt = scene->dt;
    if (!(dt > 0.0999f && dt < 0.1001f))
        return NM_ERROR(error, NM_E_ARGUMENT, "the scene's time step is %g s; the simulation needs 0.1 s: resample it",
                        (double)dt);
    if (scene->step_count == 0 || config->start_step >= scene->step_count)
        return NM_ERROR(error, NM_E_ARGUMENT, "start step %u is outside the scene's %u steps", config->start_step,
                        scene->step_count);
    if ((config->agents == NM_POLICY_CUSTOM || config->ego == NM_POLICY_CUSTOM) && !config->custom)
        return NM_ERROR(error, NM_E_ARGUMENT, "a custom policy was asked for but none was given");
    if (config->agents >= NM_POLICY_COUNT || config->ego >= NM_POLICY_COUNT)
        return NM_ERROR(error, NM_E_ARGUMENT, "policy %d or %d does not exist", (int)config->agents, (int)config->ego);
    if (config->checks & ~NM_CHECK_ALL)
        return NM_ERROR(error, NM_E_ARGUMENT, "unknown checks 0x%x", config->checks & ~NM_CHECK_ALL);
    if (!(config->off_road_margin >= 0.0f && config->off_road_margin <= 100.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "off-road margin %g m is outside [0, 100]",
                        (double)config->off_road_margin);
    if (!(config->ttc_horizon > 0.0f && config->ttc_horizon <= 30.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "TTC horizon %g s is outside (0, 30]", (double)config->ttc_horizon);
    return nm_idm_check(config->idm, error);
}

/// What a world over `scene` takes, the struct included; fills in all that cut_block reads.
static size_t size_up(nm_world *world, const nm_scene *scene, const nm_world_config *config) {
    world->scene = scene;
    world->map = scene->map;
    world->config = *config;
    world->capacity =
        config->max_agents && config->max_agents < scene->track_count ? config->max_agents : scene->track_count;
    world->entry_capacity = config->spawn_later ? nm_world_count_entries(scene, config->start_step) : 0;
    world->contact_capacity = 64 + 16 * world->capacity;
    world->bytes = cut_block(world, NULL);
    return aligned(sizeof *world) + world->bytes;
}

nm_status nm_world_measure(const nm_scene *scene, const nm_world_config *config, size_t *bytes, nm_error *error) {
    NM_ASSERT(scene && config && bytes);
    *bytes = 0;
    nm_status status = check_config(scene, config, error);
    if (status == NM_OK) status = nm_map_prepare(scene->map, error);
    nm_world probe = {0};
    if (status == NM_OK) *bytes = size_up(&probe, scene, config);
    return status;
}

nm_status nm_world_create_in(void *memory, size_t size, const nm_scene *scene, const nm_world_config *config,
                             nm_world **out, nm_error *error) {
    NM_ASSERT(memory && (uintptr_t)memory % 64 == 0 && out);
    *out = NULL;
    size_t needed;
    const nm_status status = nm_world_measure(scene, config, &needed, error);
    if (status != NM_OK) return status;
    if (size < needed)
        return NM_ERROR(error, NM_E_LIMIT, "a world over this scene takes %zu bytes, there are %zu", needed, size);
    memset(memory, 0, needed);
    nm_world *world = memory;
    size_up(world, scene, config);
    cut_block(world, (char *)memory + aligned(sizeof *world));
    nm_world_prepare_lanes(world);
    nm_world_choose_axis(world);
    nm_world_reset(world, config->seed);
    *out = world;
    return NM_OK;
}

nm_status nm_world_create(const nm_scene *scene, const nm_world_config *config, nm_world **out, nm_error *error) {
    NM_ASSERT(out);
    *out = NULL;
    size_t bytes;
    nm_status status = nm_world_measure(scene, config, &bytes, error);
    if (status != NM_OK) return status;
    void *memory = aligned_alloc(64, bytes);
    if (!memory) return NM_ERROR(error, NM_E_MEMORY, "no memory for a world of %u agents", scene->track_count);
    status = nm_world_create_in(memory, bytes, scene, config, out, error);
    if (status != NM_OK) free(memory);
    return status;
}

void nm_world_destroy(nm_world *world) {
    free(world);
}

nm_world_view nm_world_get_view(const nm_world *w) {
    const nm_world_view view = {
        .scene = w->scene,
        .step = w->step,
        .count = w->count,
        .track = w->track,
        .slot_of = w->slot_of,
        .x = w->x,
        .y = w->y,
        .heading = w->heading,
        .cos_h = w->cos_h,
        .sin_h = w->sin_h,
        .speed = w->speed,
        .accel = w->accel,
        .vx = w->vx,
        .vy = w->vy,
        .curvature = w->curvature,
        .length = w->length,
        .width = w->width,
        .type = w->type,
        .policy = w->policy,
        .lane = w->lane,
        .lane_s = w->lane_s,
        .lane_d = w->lane_d,
        .lead = w->lead,
        .lead_gap = w->lead_gap,
        .ttc = w->ttc,
        .ttc_with = w->ttc_with,
        .off_road = w->off_road,
        .wrong_way = w->wrong_way,
        .events = w->events,
    };
    return view;
}

nm_world_stats nm_world_get_stats(const nm_world *world) {
    return world->stats;
}

uint32_t nm_world_track_events(const nm_world *world, uint32_t track) {
    NM_ASSERT(track < world->scene->track_count);
    return world->events[track];
}

void nm_world_set_control(nm_world *world, uint32_t track, float accel, float curvature) {
    NM_ASSERT(track < world->scene->track_count);
    const uint32_t slot = world->slot_of[track];
    if (slot == NM_NONE || world->policy[slot] != NM_POLICY_EXTERNAL) return;
    if (!isfinite(accel) || !isfinite(curvature)) {
        nm_world_note_event(world, slot, NM_AGENT_FROZEN);
        accel = -world->brake_max[slot];
        curvature = 0.0f;
    }
    world->accel_command[slot] = accel;
    world->curvature_command[slot] = curvature;
}

void nm_world_set_state(nm_world *world, uint32_t track, float x, float y, float heading, float speed) {
    NM_ASSERT(track < world->scene->track_count);
    const uint32_t slot = world->slot_of[track];
    if (slot == NM_NONE || world->policy[slot] != NM_POLICY_EXTERNAL) return;
    const int sound = fabsf(x) <= (float)NM_SCENE_MAX_DISTANCE && fabsf(y) <= (float)NM_SCENE_MAX_DISTANCE &&
                      fabsf(heading) <= 1e4f && fabsf(speed) <= (float)NM_SCENE_MAX_SPEED; // NaN is not
    if (!sound) {
        nm_world_note_event(world, slot, NM_AGENT_FROZEN);
        x = world->x[slot], y = world->y[slot], heading = world->heading[slot], speed = 0.0f;
    }
    world->mobile[slot] = 0.0f;
    world->pending[slot] = 1; // applied by the next step, so that nobody sees it early
    world->pending_x[slot] = x;
    world->pending_y[slot] = y;
    world->pending_heading[slot] = heading;
    world->pending_speed[slot] = speed;
}

void nm_world_set_policy(nm_world *world, uint32_t track, nm_policy_kind policy) {
    NM_ASSERT(track < world->scene->track_count && policy < NM_POLICY_COUNT);
    NM_ASSERT(policy != NM_POLICY_CUSTOM || world->config.custom);
    const uint32_t slot = world->slot_of[track];
    if (slot == NM_NONE) return;
    if (policy == NM_POLICY_IDM && world->policy[slot] != NM_POLICY_IDM) {
        nm_world_aim_from_here(world, slot);
        if (world->policy[slot] == NM_POLICY_LOG) nm_world_take_over(world, slot);
    }
    world->pending[slot] = 0;
    world->policy[slot] = (uint8_t)policy;
    world->groups_stale = 1;
    world->mobile[slot] = world->fixed[slot] || policy == NM_POLICY_LOG ? 0.0f : 1.0f;
}

void nm_world_take_out(nm_world *world, uint32_t track) {
    NM_ASSERT(track < world->scene->track_count);
    const uint32_t slot = world->slot_of[track];
    if (slot != NM_NONE) world->leaving[slot] = 1; // by the next step, which makes anew all that is derived of slots
}

uint64_t nm_world_hash(const nm_world *world) {
    uint64_t hash = nm_hash_bytes(&world->step, sizeof world->step, 0);
    hash = nm_hash_bytes(&world->count, sizeof world->count, hash);
#define X(type, name, per, hashed)                                                                                     \
    if (hashed) hash = nm_hash_bytes(world->name, sizeof(type) * (per)*world->count, hash);
    NM_WORLD_FIELDS(X)
#undef X
    return nm_hash_bytes(world->events, sizeof(uint32_t) * world->scene->track_count, hash);
}

size_t nm_world_bytes(const nm_world *world) {
    return sizeof *world + world->bytes;
}
