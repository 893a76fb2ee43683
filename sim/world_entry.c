/// Who comes and who goes: recorded tracks that appear later, agents that reach the end of their road.
#include "sim/world_internal.h"

#define NM_ENTRY_PATIENCE 30u ///< steps that a track waits for room before it is left out

static int starts_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    const size_t at = nm_scene_at(scene, track, step);
    return scene->valid[at] && !scene->valid[at - 1];
}

uint32_t nm_world_count_entries(const nm_scene *scene, uint32_t start_step) {
    uint32_t count = 0;
    for (uint32_t track = 0; track < scene->track_count; ++track)
        for (uint32_t step = start_step + 1; step < scene->step_count && step <= scene->tracks[track].last_step; ++step)
            count += (uint32_t)starts_at(scene, track, step);
    return count;
}

static int entry_after(const nm_entry *a, const nm_entry *b) {
    return a->step != b->step ? a->step > b->step : a->track > b->track;
}

/// Shell sort: in place, no recursion; the list is made once a rollout.
static void sort_entries(nm_entry *entries, uint32_t count) {
    for (uint32_t gap = count / 2; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < count; ++i) {
            const nm_entry value = entries[i];
            uint32_t j = i;
            for (; j >= gap && entry_after(&entries[j - gap], &value); j -= gap) entries[j] = entries[j - gap];
            entries[j] = value;
        }
    }
}

void nm_world_list_entries(nm_world *world) {
    const nm_scene *scene = world->scene;
    world->entry_count = world->entry_next = 0;
    if (!world->config.spawn_later) return;
    for (uint32_t track = 0; track < scene->track_count; ++track)
        for (uint32_t step = world->step + 1; step < scene->step_count && step <= scene->tracks[track].last_step;
             ++step)
            if (starts_at(scene, track, step)) world->entries[world->entry_count++] = (nm_entry){step, track};
    sort_entries(world->entries, world->entry_count);
}

/// Room for a newcomer: no box within 2 m plus what closes in half a second. The log's own agents always have room.
static int has_room(const nm_world *world, const nm_state *state) {
    const float radius = 0.5f * nm_hypotf(state->length, state->width);
    float c, s;
    nm_sincosf(state->heading, &s, &c);
    for (uint32_t slot = 0; slot < world->count; ++slot) {
        const float dx = world->x[slot] - state->x, dy = world->y[slot] - state->y;
        const float closing = fabsf((world->vx[slot] - state->vx) * c + (world->vy[slot] - state->vy) * s);
        const float near = radius + world->radius[slot] + 20.0f + 0.5f * closing;
        if (dx * dx + dy * dy > near * near) continue;
        const float along = dx * c + dy * s, across = dy * c - dx * s;
        const float need_along = 0.5f * (state->length + world->length[slot]) + 2.0f + 0.5f * closing;
        const float need_across = 0.5f * (state->width + world->width[slot]) + 0.3f;
        const float turn = fabsf(world->cos_h[slot] * s - world->sin_h[slot] * c);
        const float skew = 0.5f * turn * world->length[slot]; // a box across needs its length
        if (fabsf(along) < need_along && fabsf(across) < need_across + skew) return 0;
    }
    return 1;
}

static int try_enter(nm_world *world, uint32_t track) {
    const nm_scene *scene = world->scene;
    const nm_policy_kind policy = track == scene->ego ? world->config.ego : world->config.agents;
    if (world->count == world->capacity) return 0;
    const nm_state state = nm_world_log_state(scene, track, world->step);
    if (policy != NM_POLICY_LOG && !has_room(world, &state)) return 0;
    nm_world_place(world, track, &state);
    return 1;
}

static void enter(nm_world *world) {
    const nm_scene *scene = world->scene;
    uint32_t still = 0;
    for (uint32_t i = 0; i < world->waiting_count; ++i) {
        const nm_entry entry = world->waiting[i];
        const uint32_t track = entry.track;
        const int present = world->step < scene->step_count && scene->valid[nm_scene_at(scene, track, world->step)];
        const int patient = world->step - entry.step <= NM_ENTRY_PATIENCE;
        if (present && patient && try_enter(world, track)) continue;
        if (present && patient)
            world->waiting[still++] = entry;
        else
            world->stats.held_back++;
    }
    world->waiting_count = still;
    for (; world->entry_next < world->entry_count; ++world->entry_next) {
        const nm_entry entry = world->entries[world->entry_next];
        if (entry.step > world->step) break;
        const nm_policy_kind policy = entry.track == scene->ego ? world->config.ego : world->config.agents;
        if (world->taken[entry.track] && policy != NM_POLICY_LOG) continue; // one life each
        if (world->slot_of[entry.track] != NM_NONE) continue;
        if (!try_enter(world, entry.track)) world->waiting[world->waiting_count++] = entry;
    }
}

/// Is the front bumper, all but half a metre, where the road leaves the map?
static int at_end(const nm_world *world, uint32_t slot) {
    const uint32_t lane = world->lane[slot];
    return world->lane_end[lane] == NM_LANE_LEAVES &&
           world->lane_s[slot] + 0.5f * world->length[slot] + 0.5f >= world->map->lanes[lane].length;
}

/// Somebody's road ended where it leaves the map, the recording of a log agent did, or somebody was taken out.
static int leaves(const nm_world *world, uint32_t slot) {
    const nm_scene *scene = world->scene;
    const uint32_t track = world->track[slot];
    if (world->leaving[slot]) return 1;
    if (world->policy[slot] == NM_POLICY_LOG || world->fixed[slot]) {
        if (world->step < scene->step_count) return !scene->valid[nm_scene_at(scene, track, world->step)];
        return world->policy[slot] == NM_POLICY_LOG && !world->fixed[slot];
    }
    if (world->policy[slot] != NM_POLICY_IDM || world->lane[slot] == NM_NONE) return 0;
    if (nm_is_walker(world->type[slot]) && world->walk_way[slot] == NM_WALK_BACK)
        return world->lane_s[slot] < 0.7f && nm_walk_back_lane(world, slot) == NM_NONE;
    return world->path_count[slot] == 0 && at_end(world, slot);
}

int nm_world_at_end(const nm_world *world, uint32_t track) {
    NM_ASSERT(world && track < world->scene->track_count);
    const uint32_t slot = world->slot_of[track];
    if (slot == NM_NONE || world->lane[slot] == NM_NONE) return 0;
    const float beside = world->lane_d[slot];
    return beside <= world->lane_left[slot] && beside >= -world->lane_right[slot] && at_end(world, slot);
}

void nm_world_come_and_go(nm_world *world) {
    uint32_t gone = 0;
    for (uint32_t slot = 0; slot < world->count; ++slot) {
        uint8_t leave = (uint8_t)leaves(world, slot);
        if (leave && world->policy[slot] != NM_POLICY_LOG) nm_world_note_event(world, slot, NM_AGENT_LEFT);
        if (world->config.remove_on_collision && (world->events[world->track[slot]] & NM_AGENT_COLLIDED)) leave = 1;
        world->flag[slot] = leave;
        gone += leave;
    }
    if (gone) nm_world_remove(world, world->flag);
    enter(world);
}
