/// The order of rows; which tokens a pass needs, and which may stay as they are: nm_reuse_config.
#include <math.h>
#include <string.h>

#include "nexus/reuse_private.h"

/// The time of the next group of a scene that has not been taken, or UINT32_MAX. next: [scenes] groups.
static uint32_t time_of(const nm_batch *b, uint32_t scene, const uint32_t *next) {
    const uint32_t g = next[scene];
    if (g == b->by_time.count) return UINT32_MAX;
    const nm_token_ref ref = b->refs[b->by_time.rows[b->by_time.offsets[g]]];
    return ref.scene == scene ? ref.time : UINT32_MAX;
}

void nm_reuse_sort(nm_reuse *r) {
    const nm_batch *b = &r->pass->batch;
    const nm_row_lists *times = &b->by_time;
    uint32_t *next = r->work.next_group; // of each scene; times rise within it
    uint32_t sorted = 0;
    for (uint32_t s = 0, g = 0; s < b->scenes; ++s) {
        next[s] = g;
        while (g < times->count && b->refs[times->rows[times->offsets[g]]].scene == s) ++g;
    }
    while (sorted < b->tokens) {
        uint32_t time = UINT32_MAX;
        for (uint32_t s = 0; s < b->scenes; ++s) {
            const uint32_t own = time_of(b, s, next);
            if (own < time) time = own;
        }
        for (uint32_t s = 0; s < b->scenes; ++s) {
            if (time_of(b, s, next) != time) continue;
            for (uint32_t i = times->offsets[next[s]]; i < times->offsets[next[s] + 1]; ++i)
                r->order[sorted++] = times->rows[i];
            next[s]++;
        }
    }
    for (uint32_t row = 0; row < b->tokens; ++row) r->place_of[r->order[row]] = row;
    for (uint32_t i = 0; i < b->tokens; ++i) {
        r->agent_rows[i] = r->place_of[b->by_agent.rows[i]]; // by_scene lists the same rows in the same order
        r->time_rows[i] = r->place_of[times->rows[i]];
        if (r->position.data) nm_rows_copy(r->pass->position, r->order[i], r->position, i);
    }
}

/// Tokens that are predicted, and all that share their scene and time.
static void find_needed(nm_reuse *r) {
    const nm_row_lists *times = &r->pass->batch.by_time;
    for (uint32_t row = 0; row < r->tokens; ++row) r->work.needed[row] = r->work.level[row] > 0.0f;
    for (uint32_t g = 0; g < times->count; ++g) {
        uint8_t any = 0;
        for (uint32_t i = times->offsets[g]; i < times->offsets[g + 1]; ++i) any |= r->work.needed[r->time_rows[i]];
        for (uint32_t i = times->offsets[g]; i < times->offsets[g + 1]; ++i) r->work.time_needed[r->time_rows[i]] = any;
    }
}

/// Scenes in which nothing is predicted any more: nobody asks what becomes of their rows.
static void hold_finished(nm_reuse *r) {
    const nm_batch *b = &r->pass->batch;
    for (uint32_t s = 0; s < b->scenes; ++s) {
        uint8_t any = 0;
        for (uint32_t n = b->scene_tokens[s]; n < b->scene_tokens[s + 1]; ++n) any |= r->work.needed[r->place_of[n]];
        for (uint32_t n = b->scene_tokens[s]; n < b->scene_tokens[s + 1] && !any; ++n)
            r->work.held[r->place_of[n]] = NM_REUSE_FINISHED;
    }
}

static float limit_of(uint32_t limit) {
    return limit == NM_REUSE_NO_LIMIT ? INFINITY : (float)limit;
}

/// Of an agent's tokens, [begin, end) of by_agent: those that are far from all of its own that move, or from the first
/// that is to, where none does, as others agreed on it early. Not where it has finished ones behind that: any of those
/// between may be next.
static void hold_agent(nm_reuse *r, uint32_t begin, uint32_t end, float ahead, float behind) {
    const nm_batch *b = &r->pass->batch;
    float low = INFINITY, high = -INFINITY, next = INFINITY, finished = -INFINITY;
    for (uint32_t i = begin; i < end; ++i) {
        const float level = r->work.level[r->agent_rows[i]], time = (float)b->refs[b->by_agent.rows[i]].time;
        if (!(level > 0.0f)) finished = fmaxf(finished, time);
        if (level > 0.0f) next = fminf(next, time);
        if (!(level > 0.0f && level < 1.0f)) continue;
        low = fminf(low, time);
        high = fmaxf(high, time);
    }
    if (!(low <= high)) {
        low = next;
        high = fmaxf(next, finished);
    }
    for (uint32_t i = begin; i < end; ++i) {
        const float level = r->work.level[r->agent_rows[i]], time = (float)b->refs[b->by_agent.rows[i]].time;
        const float away = time < low ? low - time : time > high ? time - high : 0.0f;
        if (level >= 1.0f ? away > ahead : level <= 0.0f && away > behind) r->work.held[r->agent_rows[i]] = 1;
    }
}

static void hold_by_time(nm_reuse *r) {
    const nm_row_lists *agents = &r->pass->batch.by_agent;
    const float ahead = limit_of(r->config.ahead), behind = limit_of(r->config.behind);
    if (!(ahead < INFINITY) && !(behind < INFINITY)) return;
    for (uint32_t g = 0; g < agents->count; ++g)
        hold_agent(r, agents->offsets[g], agents->offsets[g + 1], ahead, behind);
}

/// Is agent g farther than config.far from all agents of its scene that are not settled?
static int is_far(const nm_reuse *r, uint32_t g, const float *pose) {
    const nm_row_lists *agents = &r->pass->batch.by_agent;
    const nm_token_ref *refs = r->pass->batch.refs;
    const uint32_t own = agents->offsets[g];
    const float limit = r->config.far * r->config.far;
    for (int side = 0; side < 2; ++side) {
        uint32_t other = g;
        while (side ? other + 1 < agents->count : other > 0) {
            other = side ? other + 1 : other - 1;
            const uint32_t row = agents->offsets[other];
            if (refs[row].scene != refs[own].scene) break;
            const float east = pose[4 * row] - pose[4 * own], north = pose[4 * row + 1] - pose[4 * own + 1];
            if (!r->work.settled[other] && !(east * east + north * north > limit)) return 0;
        }
    }
    return 1;
}

static void hold_far(nm_reuse *r, const float *pose) {
    const nm_row_lists *agents = &r->pass->batch.by_agent;
    if (!(r->config.far > 0.0f)) return;
    for (uint32_t g = 0; g < agents->count; ++g) {
        r->work.settled[g] = 1;
        for (uint32_t i = agents->offsets[g]; i < agents->offsets[g + 1]; ++i)
            if (r->work.level[r->agent_rows[i]] > 0.0f) r->work.settled[g] = 0;
    }
    for (uint32_t g = 0; g < agents->count; ++g) {
        if (!r->work.settled[g] || !is_far(r, g, pose)) continue;
        for (uint32_t i = agents->offsets[g]; i < agents->offsets[g + 1]; ++i) r->work.held[r->agent_rows[i]] = 1;
    }
}

void nm_reuse_choose(nm_reuse *r, const float *pose) {
    find_needed(r);
    memset(r->work.held, 0, r->tokens);
    r->work.any_held = 0;
    if (r->fresh) return;
    hold_by_time(r);
    hold_far(r, pose);
    hold_finished(r);
    for (uint32_t row = 0; row < r->tokens; ++row) r->work.any_held |= r->work.held[row];
}
