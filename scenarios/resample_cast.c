// Roles for those who were there: the moment of the recording, and who of its road users fits.
#include <math.h>

#include "scenarios/resample_internal.h"

#define MOST_SECONDS 5.5f   // s
#define ON_LINE 0.7f        // m off the middle of the way
#define ALIGNED 0.12f       // rad
#define MILD 2.0f           // m/s^2 by which the adversary may have to change its speed to come in time
#define SECONDS_WEIGHT 2.0f // m/s by which a speed may differ more for a second that the time to the place differs less
#define LONGEST 7.0f        // m
#define STANDS 1.0f         // m/s

void nm_cast_moment(nm_drawing *d, uint32_t try) {
    nm_attempt *a = &d->a;
    if (a->request->start_step != NM_NONE) {
        a->start_step = a->request->start_step;
        return;
    }
    a->start_step = nm_rng_below(&d->key, 20 + try, a->base->step_count);
}

int nm_cast_see(const nm_attempt *a, uint32_t track, const nm_drive_line *line, int reversed, float about,
                nm_seen *seen) {
    nm_state state;
    const nm_track *info = &a->base->tracks[track];
    if (info->type != NM_AGENT_CAR || (info->flags & NM_TRACK_STATIC) || info->length > LONGEST) return 0;
    if (!nm_scene_get_state(a->base, track, a->start_step, &state)) return 0;
    uint32_t hint = (uint32_t)nm_clampf(about + NM_LINE_BACK, (float)line->first, (float)line->last);
    // far from where it would have to be: the distance along a bent way is never less
    const float dx = state.x - line->x[hint], dy = state.y - line->y[hint];
    if (dx * dx + dy * dy > 150.0f * 150.0f) return 0;
    nm_drive_line_project(line, state.x, state.y, &hint, &seen->s, &seen->d);
    const float along = line->heading[hint] + (reversed ? NM_PI_F : 0);
    seen->turn = nm_wrap_angle(state.heading - along);
    seen->v = hypotf(state.vx, state.vy);
    return fabsf(seen->turn) < ALIGNED;
}

static float seconds_to_place(const nm_drawing *d, const nm_seen *seen) {
    const float front = d->habit.crosses ? 0.5f * d->a.ego_length : 0;
    return (-front - seen->s) / seen->v;
}

static int ego_fits(const nm_drawing *d, uint32_t track, nm_seen *seen) {
    const nm_attempt *a = &d->a;
    const int at = nm_kind_param_index(a->spec->kind, NM_PARAM_EGO_SPEED);
    const nm_kind_range range = a->request->ranges.range[at];
    if (!nm_cast_see(a, track, &a->work->ego_line, 0, a->start_s, seen) || fabsf(seen->d) > ON_LINE) return 0;
    if (seen->v < range.low || seen->v > range.high) return 0;
    const float seconds = seconds_to_place(d, seen);
    return seconds > d->habit.least && seconds < MOST_SECONDS;
}

static void be_ego(nm_drawing *d, const nm_seen *seen) {
    nm_attempt *a = &d->a;
    const int at = nm_kind_param_index(a->spec->kind, NM_PARAM_EGO_SPEED);
    a->start_s = seen->s;
    a->start_d = seen->d;
    a->start_turn = seen->turn;
    a->start_speed = a->drawn[at] = a->value[at] = seen->v;
    a->seconds = seconds_to_place(d, seen);
    nm_suppose_course(a);
}

// Largest change of speed of the quintic from where somebody was to the bare manoeuvre.
static float effort(float offset, float pace, float seconds) {
    float most = 0;
    for (int i = 1; i < 8; i++) {
        const float u = (float)i / 8, u2 = u * u;
        const float faster = offset / (seconds * seconds) * (-60 * u + 180 * u2 - 120 * u2 * u) +
                             pace / seconds * (-36 * u + 96 * u2 - 60 * u2 * u);
        most = nm_maxf(most, fabsf(faster));
    }
    return most;
}

// Who needs the least effort to play the adversary, whose scripts have been laid against the ego's course.
static uint32_t find_adversary(const nm_drawing *d, uint32_t ego, float *least, nm_seen *chosen) {
    const nm_attempt *a = &d->a;
    const nm_script *script = &a->work->script[NM_ROLE_ADVERSARY];
    const float direction = script->reversed ? -1.0f : 1.0f;
    uint32_t best = NM_NONE;
    for (uint32_t track = 0; track < a->base->track_count; track++) {
        nm_seen seen;
        if (track == ego || !nm_cast_see(a, track, script->line, script->reversed, script->s[0], &seen)) continue;
        if (seen.v < STANDS || fabsf(seen.d - script->d[0]) > ON_LINE) continue;
        const float most = effort(direction * (seen.s - script->s[0]), seen.v - script->v[0], a->seconds);
        if (most >= *least) continue;
        *least = most;
        *chosen = seen;
        best = track;
    }
    return best;
}

typedef struct nm_pair {
    uint32_t ego, adversary; // tracks, or NM_NONE
    nm_seen ego_seen, adversary_seen;
} nm_pair;

// The two who need the least effort; without a pair, who comes nearest to the ego that is wanted.
static nm_pair find_pair(nm_drawing *d) {
    nm_attempt *a = &d->a;
    const float speed = a->start_speed, seconds = a->seconds;
    nm_pair pair = {.ego = NM_NONE, .adversary = NM_NONE};
    float least_off = INFINITY, least = MILD;
    for (uint32_t track = 0; track < a->base->track_count; track++) {
        nm_seen seen, other = {0};
        if (!ego_fits(d, track, &seen)) continue;
        const float off = fabsf(seen.v - speed) + SECONDS_WEIGHT * fabsf(seconds_to_place(d, &seen) - seconds);
        if (pair.adversary == NM_NONE && off < least_off) {
            least_off = off;
            pair.ego = track;
            pair.ego_seen = seen;
        }
        if (!d->habit.recorded) continue;
        be_ego(d, &seen);
        if (nm_plan_scripts(a) != NM_REJECT_NONE) continue;
        const uint32_t found = find_adversary(d, track, &least, &other);
        if (found != NM_NONE) pair = (nm_pair){track, found, seen, other};
    }
    return pair;
}

uint32_t nm_cast_roles(nm_drawing *d) {
    nm_attempt *a = &d->a;
    const int at = nm_kind_param_index(a->spec->kind, NM_PARAM_EGO_SPEED);
    const float start = a->start_s, speed = a->start_speed, seconds = a->seconds;
    const nm_pair pair = find_pair(d);
    a->start_s = start;
    a->start_d = a->start_turn = 0;
    a->start_speed = a->drawn[at] = a->value[at] = speed;
    a->seconds = seconds;
    nm_suppose_course(a);
    d->fixed = pair.adversary != NM_NONE;
    a->ego_cast = pair.ego != NM_NONE;
    if (pair.ego == NM_NONE) return 0;
    be_ego(d, &pair.ego_seen);
    a->taken[a->taken_count++] = pair.ego;
    if (!d->fixed) return 1;
    a->taken[a->taken_count++] = pair.adversary;
    a->length = a->base->tracks[pair.adversary].length;
    a->width = a->base->tracks[pair.adversary].width;
    d->fixed_s = pair.adversary_seen.s;
    d->fixed_d = pair.adversary_seen.d;
    d->fixed_v = pair.adversary_seen.v;
    return 2;
}
