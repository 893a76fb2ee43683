// The stage: ego, roles and traffic over arrays of the work; runs of the closed loop over it.
#include <string.h>

#include "base/rng.h"
#include "scenarios/manoeuvre_internal.h"

#define REACH 120.0f               // m around the ego from which traffic is taken
#define CLEAR_BEHIND 70.0f         // m of the ways that are kept free of traffic, before the ego's start, ...
#define CLEAR_AHEAD 90.0f          // ... after the conflict, and ...
#define CLEAR_ASIDE 1.2f           // ... to both sides of the boxes
#define CRASH_BRAKE 6.0f           // m/s^2 after a contact
#define ALIGNED 0.7f               // cosine of the angle up to which an impact is from behind
#define MOST_PUSH 3.0f             // m/s
#define CRASH_SLIP 0.35f           // m to the side at most per m of that way
#define MORE_ID (INT64_C(1) << 40) // source ids of further adversaries
#define SIGNAL_TRIES 240u
#define SIGNAL_STRIDE 5u

static void set_state(nm_arrays *arrays, uint32_t track, uint32_t step, nm_pose pose, float vx, float vy) {
    const size_t at = nm_scene_at(&arrays->scene, track, step);
    arrays->valid[at] = 1;
    arrays->x[at] = pose.x;
    arrays->y[at] = pose.y;
    arrays->heading[at] = pose.heading;
    arrays->vx[at] = vx;
    arrays->vy[at] = vy;
}

static void init_arrays(nm_attempt *a, nm_arrays *arrays) {
    nm_scene *scene = &arrays->scene;
    memset(scene, 0, sizeof *scene);
    scene->map = a->base->map;
    scene->dt = NM_STEP_SECONDS;
    scene->step_count = a->request->steps + 1;
    scene->track_count = a->tracks;
    scene->tracks = arrays->tracks;
    scene->valid = arrays->valid;
    scene->x = arrays->x;
    scene->y = arrays->y;
    scene->z = arrays->z;
    scene->heading = arrays->heading;
    scene->vx = arrays->vx;
    scene->vy = arrays->vy;
    scene->signal_states = a->base->map->signal_count ? a->work->signals : NULL;
    scene->provenance = (nm_provenance){.source = "", .file = "", .scene_id = "", .program = "", .parameters = "{}"};
    scene->hash = nm_hash64(a->base->hash ^ nm_hash64(a->index)); // keys the drivers' characters
    memset(arrays->valid, 0, (size_t)a->tracks * scene->step_count);
}

uint32_t nm_stage_track(const nm_attempt *a, uint32_t role) {
    return role < NM_ROLES ? role : (a->has_other ? 3 : 2) + role - NM_ROLES;
}

// Tracks of the stage that are no traffic.
static uint32_t cast_count(const nm_attempt *a) {
    return nm_stage_track(a, NM_ROLES) + a->more_count;
}

static void set_track(nm_attempt *a, uint32_t track, int64_t id, nm_agent_type type, unsigned flags, float length,
                      float width) {
    a->work->stage.tracks[track] = (nm_track){.source_id = id,
                                              .length = length,
                                              .width = width,
                                              .height = type == NM_AGENT_PEDESTRIAN ? 1.8f : 1.5f,
                                              .type = (uint8_t)type,
                                              .flags = (uint8_t)flags,
                                              .last_step = a->request->steps};
}

// --- traffic ---------------------------------------------------------------------------------------------------------

// In the ways of the roles, where it would spoil the conflict.
static int in_the_way(const nm_attempt *a, const nm_state *state, float length, float width) {
    const nm_manoeuvre_work *work = a->work;
    const float half = 0.5f * width + CLEAR_ASIDE + 1;
    uint32_t hint = NM_LINE_BACK;
    float s, d;
    nm_drive_line_project(&work->ego_line, state->x, state->y, &hint, &s, &d);
    // the whole band of the adversary's lane as well, where that is beside the ego's
    const float left = nm_maxf(a->place.offset, 0) + half, right = nm_minf(a->place.offset, 0) - half;
    if (d < left && d > right && s > a->start_s - CLEAR_BEHIND && s < CLEAR_AHEAD) return 1;
    if (work->script[NM_ROLE_ADVERSARY].line != &work->other_line) return 0;
    hint = NM_LINE_BACK;
    nm_drive_line_project(&work->other_line, state->x, state->y, &hint, &s, &d);
    return fabsf(d) < nm_maxf(half, 0.5f * length) && s > -CLEAR_BEHIND && s < CLEAR_AHEAD;
}

typedef struct nm_candidate {
    uint32_t track;
    float distance2;
} nm_candidate;

// Sorted by distance; of equal ones the lower track first.
static void keep_nearest(nm_candidate *list, uint32_t *count, uint32_t max, nm_candidate candidate) {
    if (max == 0 || (*count == max && candidate.distance2 >= list[max - 1].distance2)) return;
    uint32_t i = *count < max ? (*count)++ : max - 1;
    for (; i > 0 && list[i - 1].distance2 > candidate.distance2; i--) list[i] = list[i - 1];
    list[i] = candidate;
}

static int left_out(const nm_attempt *a, uint32_t track) {
    for (uint32_t i = 0; i < a->left_out_count; i++)
        if (a->left_out[i] == track) return 1;
    return 0;
}

// Plays a role: without a cast of its own the recorded ego gives way to the generated one.
static int taken(const nm_attempt *a, uint32_t track) {
    for (uint32_t i = 0; i < a->taken_count; i++)
        if (a->taken[i] == track) return 1;
    return !a->ego_cast && track == a->base->ego;
}

static uint32_t choose_traffic(nm_attempt *a, nm_candidate *nearest) {
    const nm_scene *base = a->base;
    uint32_t count = 0;
    const nm_pose ego = nm_drive_line_at(&a->work->ego_line, 0.5f * a->start_s, 0);
    for (uint32_t track = 0; track < base->track_count; track++) {
        nm_state state;
        const nm_track *info = &base->tracks[track];
        if (taken(a, track) || !nm_scene_get_state(base, track, a->start_step, &state)) continue;
        const float dx = state.x - ego.x, dy = state.y - ego.y, distance2 = dx * dx + dy * dy;
        if (distance2 > REACH * REACH || left_out(a, track) || in_the_way(a, &state, info->length, info->width))
            continue;
        keep_nearest(nearest, &count, a->request->traffic, (nm_candidate){track, distance2});
    }
    return count;
}

static nm_box start_box(const nm_arrays *arrays, uint32_t track) {
    nm_box box = {0};
    const size_t at = nm_scene_at(&arrays->scene, track, 0);
    box.x = arrays->x[at];
    box.y = arrays->y[at];
    box.length = arrays->tracks[track].length;
    box.width = arrays->tracks[track].width;
    nm_sincosf(arrays->heading[at], &box.sin_h, &box.cos_h);
    return box;
}

// As the next track; recorded boxes may lie on one another, then only the nearest is taken.
static void add_traffic(nm_attempt *a, uint32_t from) {
    nm_arrays *stage = &a->work->stage;
    const nm_track *info = &a->base->tracks[from];
    const uint32_t track = a->tracks;
    nm_state state;
    if (!nm_scene_get_state(a->base, from, a->start_step, &state)) return;
    set_track(a, track, NM_FIRST_TRAFFIC_ID + (int64_t)from, (nm_agent_type)info->type, info->flags & NM_TRACK_STATIC,
              info->length, info->width);
    stage->tracks[track].height = info->height;
    set_state(stage, track, 0, (nm_pose){state.x, state.y, state.heading}, state.vx, state.vy);
    const nm_box own = start_box(stage, track);
    for (uint32_t other = cast_count(a); other < track; other++) {
        const nm_box box = start_box(stage, other);
        if (!nm_box_overlap(&own, &box)) continue;
        stage->valid[nm_scene_at(&stage->scene, track, 0)] = 0;
        return;
    }
    a->tracks++;
}

void nm_stage_build(nm_attempt *a) {
    nm_candidate nearest[NM_CASE_MAX_TRAFFIC];
    nm_arrays *stage = &a->work->stage;
    const uint32_t roles = cast_count(a), count = choose_traffic(a, nearest);
    a->tracks = roles + count;
    init_arrays(a, stage);
    set_track(a, NM_ROLE_EGO, 1, NM_AGENT_CAR, NM_TRACK_EGO | NM_TRACK_GENERATED, a->ego_length, a->ego_width);
    set_track(a, NM_ROLE_ADVERSARY, 2, a->adversary_type, NM_TRACK_ADVERSARY | NM_TRACK_GENERATED | a->adversary_flags,
              a->length, a->width);
    if (a->has_other)
        set_track(a, NM_ROLE_OTHER, 3, NM_AGENT_CAR, NM_TRACK_GENERATED | a->other_flags, a->other_length,
                  a->other_width);
    for (uint32_t i = 0; i < a->more_count; i++)
        set_track(a, nm_stage_track(a, NM_ROLES + i), MORE_ID + (int64_t)i, a->more[i].type,
                  NM_TRACK_ADVERSARY | NM_TRACK_GENERATED, a->more[i].length, a->more[i].width);
    stage->scene.ego = NM_ROLE_EGO;
    nm_pose start = nm_drive_line_at(&a->work->ego_line, a->start_s, a->start_d);
    start.heading = nm_wrap_angle(start.heading + a->start_turn);
    float sine, cosine;
    nm_sincosf(start.heading, &sine, &cosine);
    set_state(stage, NM_ROLE_EGO, 0, start, a->start_speed * cosine, a->start_speed * sine);
    a->tracks = roles;
    for (uint32_t i = 0; i < count; i++) add_traffic(a, nearest[i].track);
    stage->scene.track_count = a->tracks;
    memset(stage->z, 0, sizeof(float) * a->tracks * stage->scene.step_count);
}

// --- scripts ---------------------------------------------------------------------------------------------------------

nm_pose nm_script_pose(const nm_script *script, uint32_t step) {
    nm_pose pose = nm_drive_line_at(script->line, script->s[step], script->d[step]);
    if (script->reversed) pose.heading = nm_wrap_angle(pose.heading + NM_PI_F);
    return pose;
}

static void write_script(nm_attempt *a, uint32_t role, const nm_script *script, uint32_t from) {
    nm_arrays *stage = &a->work->stage;
    const float first = nm_drive_line_first(script->line), last = nm_drive_line_last(script->line);
    const uint32_t steps = stage->scene.step_count, track = nm_stage_track(a, role);
    for (uint32_t t = from; t < steps; t++) {
        const size_t at = nm_scene_at(&stage->scene, track, t);
        stage->valid[at] = 0;
        if (script->s[t] < first || script->s[t] > last || (t > 0 && !stage->valid[at - 1])) continue;
        nm_pose pose = nm_script_pose(script, t);
        // sideways motion turns the body: by central difference
        const uint32_t before = t > 0 ? t - 1 : t, after = t + 1 < steps ? t + 1 : t;
        const float across = (script->d[after] - script->d[before]) / ((float)(after - before) * NM_STEP_SECONDS);
        const float speed = script->v[t];
        if (speed > 0.3f) {
            const float slip = nm_atan2f(script->reversed ? -across : across, speed);
            pose.heading = nm_wrap_angle(pose.heading + nm_clampf(slip, -0.6f, 0.6f));
        } else if (t > from || t > 0) {
            pose.heading = stage->heading[at - 1];
        }
        float sine, cosine;
        nm_sincosf(pose.heading, &sine, &cosine);
        const float pace = nm_hypotf(speed, speed > 0.3f ? across : 0);
        set_state(stage, track, t, pose, pace * cosine, pace * sine);
    }
}

void nm_stage_script(nm_attempt *a, uint32_t role) {
    write_script(a, role, &a->work->script[role], 0);
}

// Speed along its way right after a contact. Whom the ego runs into from behind is pushed on: the impact is plastic and
// the two weigh the same; by MOST_PUSH at most, as the detectors take more for a tracker's error. Other impacts take
// nothing from it.
static float pushed(const nm_attempt *a, uint32_t role, uint32_t step) {
    const nm_arrays *take = &a->work->take;
    const size_t own = nm_scene_at(&take->scene, nm_stage_track(a, role), step);
    const size_t ego = nm_scene_at(&take->scene, NM_ROLE_EGO, step);
    const float speed = a->work->script[role].v[step];
    float sine, cosine;
    nm_sincosf(take->heading[own], &sine, &cosine);
    const float along = take->vx[ego] * cosine + take->vy[ego] * sine;
    const float aligned = nm_maxf(nm_hypotf(take->vx[ego], take->vy[ego]), 0.1f) * ALIGNED;
    return along > speed && along > aligned ? speed + nm_minf(0.5f * (along - speed), MOST_PUSH) : speed;
}

// After a contact the wreck slides to a stop along its way. The script stays what was planned: another run over it may
// come to no contact, or to one at another step.
static void crash(nm_attempt *a, uint32_t role, uint32_t step) {
    const nm_script *script = &a->work->script[role];
    nm_script wreck = *script;
    const uint32_t steps = a->work->stage.scene.step_count;
    float speed = pushed(a, role, step);
    for (uint32_t t = step + 1; t < steps; t++) {
        speed = nm_maxf(speed - CRASH_BRAKE * NM_STEP_SECONDS, 0);
        wreck.v[t] = speed;
        const float moved = 0.5f * (wreck.v[t] + wreck.v[t - 1]) * NM_STEP_SECONDS;
        wreck.s[t] = wreck.s[t - 1] + (wreck.reversed ? -moved : moved);
        // still on its way sideways, as far as it rolls
        const float aside = script->d[t] - script->d[t - 1];
        wreck.d[t] = wreck.d[t - 1] + nm_clampf(aside, -CRASH_SLIP * moved, CRASH_SLIP * moved);
    }
    write_script(a, role, &wreck, step + 1);
}

// --- runs ------------------------------------------------------------------------------------------------------------

static void record(nm_attempt *a, const nm_world_view *view) {
    nm_arrays *take = &a->work->take;
    const uint32_t step = view->step;
    for (uint32_t slot = 0; slot < view->count; slot++)
        set_state(take, view->track[slot], step, (nm_pose){view->x[slot], view->y[slot], view->heading[slot]},
                  view->vx[slot], view->vy[slot]);
    nm_course *course = &a->work->course;
    const uint32_t slot = view->slot_of[NM_ROLE_EGO];
    if (slot == NM_NONE || course->count != step) return;
    nm_drive_line_project(&a->work->ego_line, view->x[slot], view->y[slot], &a->hint, &course->s[step],
                          &course->d[step]);
    course->v[step] = view->speed[slot];
    course->count = step + 1;
}

static int touch(const nm_world_view *view, uint32_t track) {
    const uint32_t i = view->slot_of[NM_ROLE_EGO], k = view->slot_of[track];
    if (i == NM_NONE || k == NM_NONE) return 0;
    const nm_box ego = {view->x[i], view->y[i], view->cos_h[i], view->sin_h[i], view->length[i], view->width[i], 0, 0,
                        0,          0};
    const nm_box other = {view->x[k], view->y[k], view->cos_h[k], view->sin_h[k], view->length[k], view->width[k], 0, 0,
                          0,          0};
    return nm_box_overlap(&ego, &other);
}

static int scripted(const nm_attempt *a, uint32_t role) {
    return role != NM_ROLE_OTHER || (a->has_other && !a->other_reacts);
}

static void restart(nm_attempt *a) {
    nm_arrays *take = &a->work->take;
    init_arrays(a, take);
    memcpy(take->tracks, a->work->stage.tracks, sizeof *take->tracks * a->tracks);
    take->scene.ego = NM_ROLE_EGO;
    memset(take->z, 0, sizeof(float) * a->tracks * take->scene.step_count);
    a->work->course.count = 0;
    a->hint = NM_LINE_BACK;
    memset(a->crashed, 0, sizeof a->crashed);
    nm_world_reset(a->world, a->world_seed);
    for (uint32_t role = NM_ROLE_ADVERSARY; role < NM_ROLES + a->more_count; role++)
        if (scripted(a, role)) nm_world_set_policy(a->world, nm_stage_track(a, role), NM_POLICY_LOG);
    if (a->blind > 0) nm_world_set_policy(a->world, NM_ROLE_EGO, NM_POLICY_CONSTANT_VELOCITY);
    const nm_world_view view = nm_world_get_view(a->world);
    record(a, &view);
    a->out->simulations++;
}

void nm_stage_run(nm_attempt *a, uint32_t until, int more) {
    if (!more) restart(a);
    for (uint32_t step = nm_world_get_view(a->world).step; step < until; step++) {
        if (step == a->blind && step > 0) nm_world_set_policy(a->world, NM_ROLE_EGO, a->request->ego);
        nm_world_step(a->world, NULL, 0, NULL);
        const nm_world_view view = nm_world_get_view(a->world);
        record(a, &view);
        for (uint32_t role = NM_ROLE_ADVERSARY; role < NM_ROLES + a->more_count; role++) {
            if (a->crashed[role] || !scripted(a, role)) continue;
            if (!touch(&view, nm_stage_track(a, role))) continue;
            a->crashed[role] = 1;
            crash(a, role, view.step);
        }
    }
}

void nm_stage_close(nm_attempt *a, uint32_t steps) {
    nm_arrays *take = &a->work->take;
    for (uint32_t track = 0; track < a->tracks; track++) {
        nm_track *info = &take->tracks[track];
        info->first_step = 1;
        info->last_step = 0;
        for (uint32_t t = 0; t <= steps; t++) {
            if (!take->valid[nm_scene_at(&take->scene, track, t)]) continue;
            if (info->first_step > info->last_step) info->first_step = t;
            info->last_step = t;
        }
    }
}

// --- signals ---------------------------------------------------------------------------------------------------------

static int shows(const nm_attempt *a, uint32_t lane, uint32_t clock, uint32_t from, uint32_t to, int go) {
    const nm_map *map = a->base->map;
    const nm_range range = map->lanes[lane].signals;
    for (uint32_t i = 0; i < range.count; i++) {
        const nm_signal *signal = &map->signals[map->signal_refs[range.first + i]];
        if (signal->turn == NM_TURN_LEFT || signal->turn == NM_TURN_RIGHT || signal->turn == NM_TURN_U) continue;
        for (uint32_t t = from; t <= to; t += 2) {
            const nm_signal_state state = nm_scene_signal(a->base, map->signal_refs[range.first + i], clock + t);
            const int green = state == NM_SIGNAL_GO || state == NM_SIGNAL_ARROW_GO;
            const int red = state == NM_SIGNAL_STOP || state == NM_SIGNAL_ARROW_STOP;
            if (go ? !green : !red) return 0;
        }
    }
    return 1;
}

// Lanes of a line that end within [from, to] m of its s = 0.
static int line_shows(const nm_attempt *a, const nm_drive_line *line, uint32_t lane, float s, uint32_t clock,
                      uint32_t from, uint32_t to, int go) {
    const nm_map *map = a->base->map;
    float start = -s; // of `lane`
    uint32_t at = 0;
    while (at < line->lane_count && line->lanes[at] != lane) at++;
    for (uint32_t i = at; i-- > 0 && start > -100;) {
        if (!shows(a, line->lanes[i], clock, from, to, go)) return 0;
        start -= map->lanes[line->lanes[i]].length;
    }
    for (uint32_t i = at, hop = 0; i < line->lane_count && hop < 3 && go; i++, hop++)
        if (!shows(a, line->lanes[i], clock, from, to, go)) return 0;
    return 1;
}

int nm_stage_red(const nm_attempt *a, uint32_t from, uint32_t to) {
    return line_shows(a, &a->work->other_line, a->place.lane, a->place.in, a->start_step, from, to, 0);
}

int nm_stage_green(const nm_attempt *a, uint32_t from, uint32_t to) {
    return line_shows(a, &a->work->other_line, a->place.lane, a->place.in, a->start_step, from, to, 1);
}

int nm_stage_signals(nm_attempt *a) {
    const nm_map *map = a->base->map;
    a->clock = a->start_step;
    if (map->signal_count > 0) {
        const int red = a->spec->kind == NM_KIND_RED_LIGHT_RUNNER, crosses = a->place.lane != NM_NONE && red;
        const uint32_t moment = (uint32_t)(10 * a->seconds), from = moment > 25 ? moment - 25 : 0;
        uint32_t tries = 0;
        for (; tries < SIGNAL_TRIES; tries++, a->clock += SIGNAL_STRIDE) {
            if (!line_shows(a, &a->work->ego_line, a->place.ego_lane, a->place.ego_s, a->clock, 0, moment + 10, 1))
                continue;
            if (!crosses ||
                line_shows(a, &a->work->other_line, a->place.lane, a->place.in, a->clock, from, moment + 5, 0))
                break;
        }
        if (tries == SIGNAL_TRIES) return 0;
    }
    const uint32_t steps = a->request->steps + 1;
    for (uint32_t i = 0; i < map->signal_count; i++)
        for (uint32_t t = 0; t < steps; t++)
            a->work->signals[(size_t)i * steps + t] = (uint8_t)nm_scene_signal(a->base, i, a->clock + t);
    return 1;
}
