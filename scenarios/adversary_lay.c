// Where and by whom a manoeuvre is played against what the ego did in the rehearsal.
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "scenarios/adversary_internal.h"
#include "scenarios/resample_internal.h"

#define LANES 48u          // that the ego may come over
#define PLACES 4096u       // on them, of these every ...
#define ABOUT 15.0f        // m before and after where it is looked for on them
#define SPACING 5.0f       // m
#define TRIES 48u          // places and parameters that are tried
#define MORE_TRIES 10u     // of these after somebody new was found, for somebody recorded
#define OFF_WAY 1.5f       // m that the ego may be off the place's way
#define ALONG 0.95f        // cosine of the angle between the two
#define LEADS_IN 30u       // steps before the conflict for which it has to be on the way, ...
#define LEADS_OUT 10u      // ... and after it
#define SIDE_BY_SIDE 40u   // ... where the adversary drives along with it
#define ON_LINE 0.7f       // m off the middle of the way that a recorded adversary may be
#define MOVES 1.0f         // m/s: slower ones stand
#define ROOM 0.2f          // m to all sides of the adversary that are free
#define KEPT_FREE 15u      // steps after the conflict for which they are, where others react
#define PLAYS 40u          // steps after the conflict for which the script counts
#define SHARES 60u         // ... where the adversary drives along with the ego
#define GOES_ON 30u        // steps of the script after the rehearsal's end
#define COMMITS 12u        // steps before the conflict
#define HARDEST_BRAKE 9.7f // m/s^2, of full braking
#define HARDEST_START 4.5f
#define REAR_BRAKE 16.0f // m/s^2, twice what who comes from behind brakes with, ...
#define GRIPS 0.4f       // s until it does
#define MOST_ACROSS 7.5f // m/s^2
#define SHARPEST 0.27f   // 1/m, the sharpest bend ...
#define SHORT_WAY 2.0f   // ... over so many m
#define JUMPS 0.15f      // m by which a step may be longer than its speed says
#define HURRIES 0.35f    // of its speed by which who leads in may be faster or slower
#define SAME_PLACE 0.3f  // m
#define BEFORE 5u        // steps before the conflict until which it does not touch the ego, either
#define SAME_WAY 2.5f    // m to both sides of the ego's way that are its own
#define USUAL 0.7f       // of the least speed of an ego that the kind is usually played with
#define LEAST_PAST 10u   // steps that somebody new has to have been there, if the recording has them
#define ON_LANES (NM_NEED_CROSSING_LANE | NM_NEED_LEFT_TURN | NM_NEED_RIGHT_TURN) // that meet the ego's
#define ALONG_ROAD(kind)                                                                                               \
    ((kind) == NM_KIND_CUT_IN || (kind) == NM_KIND_MERGE_CONFLICT || (kind) == NM_KIND_HARD_BRAKE ||                   \
     (kind) == NM_KIND_REAR_END)
#define ALONGSIDE(kind) ((kind) == NM_KIND_TAILGATE || (kind) == NM_KIND_LANE_DRIFT)

/// A place on the ego's way, and when the ego is there.
typedef struct spot {
    uint32_t place, step;
} spot;

typedef struct laying {
    nm_adversary_agent *out;
    const nm_rehearsed *seen;
    nm_attempt a;
    nm_case_request request;
    nm_case made;
    nm_rng_key key;
    nm_place *places;
    spot *spots;
    uint32_t spot_count;
    uint32_t cast;       ///< a recorded track, or NM_NONE
    uint32_t first_past; ///< of somebody new: first step of its past
    uint32_t taken;      ///< the try that was kept
    float cast_offset, cast_pace, cast_aside, cast_across;
    nm_script script; ///< kept of somebody new, while somebody recorded is looked for
} laying;

// --- places on the ego's way -----------------------------------------------------------------------------------------

/// Sample at which the ego is nearest to (x, y).
static uint32_t nearest(const nm_rehearsed *seen, uint32_t count, float x, float y) {
    float least = INFINITY;
    uint32_t best = 0;
    for (uint32_t stride = 4, first = 0, end = count; stride > 0; stride /= 4) {
        for (uint32_t k = first; k < end; k += stride) {
            const float dx = seen->x[k] - x, dy = seen->y[k] - y, distance = dx * dx + dy * dy;
            if (distance >= least) continue;
            least = distance;
            best = k;
        }
        first = best > 3 ? best - 3 : 0;
        end = best + 4 < count ? best + 4 : count;
    }
    return best;
}

static int on_way(const laying *l, const nm_place *place, uint32_t *step) {
    const nm_rehearsed *seen = l->seen;
    const nm_rail_point rail = nm_map_rail(seen->scene->map, place->ego_lane, place->ego_s);
    const uint32_t k = *step = nearest(seen, seen->samples, rail.x, rail.y);
    if ((float)k < NM_ADVERSARY_LEAST * 10 || (float)k > NM_ADVERSARY_MOST * 10) return 0;
    if ((float)k + NM_ADVERSARY_AFTER * 10 >= (float)seen->samples) return 0;
    const float dx = seen->x[k] - rail.x, dy = seen->y[k] - rail.y;
    const float along = dx * rail.cos_h + dy * rail.sin_h, across = dy * rail.cos_h - dx * rail.sin_h;
    float sine, cosine;
    nm_sincosf(seen->heading[k], &sine, &cosine);
    if (cosine * rail.cos_h + sine * rail.sin_h < ALONG || fabsf(across) > OFF_WAY) return 0;
    const int at = nm_kind_param_index(l->out->kind, NM_PARAM_EGO_SPEED);
    const nm_kind_param *speeds = &nm_kind_spec_of(l->out->kind)->params[at];
    return fabsf(along) < OFF_WAY + seen->speed[k] * NM_STEP_SECONDS && seen->speed[k] <= speeds->bounds.high &&
           seen->speed[k] >= USUAL * speeds->fallback[NM_SEVERITY_NEAR_MISS].low;
}

/// Lanes under the ego's way in the time in which a conflict may be. Returns how many.
static size_t find_lanes(const nm_rehearsed *seen, nm_lane_piece pieces[LANES]) {
    size_t count = 0;
    for (uint32_t k = (uint32_t)(10 * NM_ADVERSARY_LEAST);
         k < seen->samples && (float)k <= 10 * NM_ADVERSARY_MOST && count < LANES; k += 3) {
        nm_frenet under[8];
        size_t found = nm_map_lanes_at(seen->scene->map, seen->x[k], seen->y[k], under, 8);
        if (found > 8) found = 8;
        for (size_t i = 0; i < found && count < LANES; i++) {
            size_t at = 0;
            if (cosf(under[i].heading - seen->heading[k]) < ALONG) continue;
            while (at < count && pieces[at].lane != under[i].lane) at++;
            if (at == count) pieces[count++] = (nm_lane_piece){under[i].lane, INFINITY, -INFINITY};
            pieces[at].from = nm_minf(pieces[at].from, under[i].s - ABOUT);
            pieces[at].to = nm_maxf(pieces[at].to, under[i].s + ABOUT);
        }
    }
    return count;
}

static nm_status find_spots(laying *l, nm_error *error) {
    nm_lane_piece pieces[LANES];
    const size_t piece_count = find_lanes(l->seen, pieces);
    const nm_map *map = l->seen->scene->map;
    size_t count;
    l->places = NM_ARENA_ARRAY(l->out->arena, nm_place, PLACES);
    l->spots = NM_ARENA_ARRAY(l->out->arena, spot, PLACES);
    if (!l->places || !l->spots) return NM_ERROR(error, NM_E_MEMORY, "no memory for an adversary");
    const nm_status status =
        nm_kind_places_on(map, l->out->kind, pieces, piece_count, SPACING, l->places, PLACES, &count, error);
    for (size_t i = 0; status == NM_OK && i < count && i < PLACES; i++) {
        uint32_t step;
        if (on_way(l, &l->places[i], &step)) l->spots[l->spot_count++] = (spot){(uint32_t)i, step};
    }
    return status;
}

// --- the bare manoeuvre ----------------------------------------------------------------------------------------------

/// What the ego did, seen from the place's way; 0 where it does not keep to it for as long as the manoeuvre takes.
static int see_course(laying *l, uint32_t step) {
    nm_manoeuvre_work *work = l->out->work;
    nm_course *course = &work->course;
    const nm_rehearsed *seen = l->seen;
    const uint32_t steps = seen->samples < NM_STAGE_STEPS ? seen->samples - 1 : NM_STAGE_STEPS - 1;
    course->count = steps + 1;
    for (int side = 0; side < 2; side++) { // from the place on to both ends
        uint32_t hint = NM_LINE_BACK;
        for (uint32_t t = step; t <= steps; side ? t++ : t--) {
            nm_drive_line_project(&work->ego_line, seen->x[t], seen->y[t], &hint, &course->s[t], &course->d[t]);
            course->v[t] = seen->speed[t];
        }
    }
    const int alongside = ALONGSIDE(l->out->kind);
    const uint32_t first = alongside ? 0 : step > LEADS_IN ? step - LEADS_IN : 0;
    const uint32_t after = step + (alongside ? SIDE_BY_SIDE : LEADS_OUT), last = after < steps ? after : steps;
    for (uint32_t t = first; t <= last; t++)
        if (fabsf(course->d[t]) > OFF_WAY) return 0;
    work->undisturbed = *course;
    return 1;
}

static void set_values(laying *l, uint32_t try, uint32_t step) {
    nm_attempt *a = &l->a;
    const nm_kind kind = l->out->kind;
    const unsigned severities = a->spec->severities;
    const nm_severity severity = severities == 1u || (severities == 3u && nm_rng_uniform(&l->key, 0) < 0.5f)
                                     ? NM_SEVERITY_NEAR_MISS
                                     : NM_SEVERITY_COLLISION;
    (void)nm_kind_ranges_default(kind, severity, &l->request.ranges, NULL);
    nm_kind_sample(&l->request.ranges, NM_SAMPLING_UNIFORM, l->request.seed, try, a->drawn);
    const int reaction = nm_kind_param_index(kind, NM_PARAM_REACTION); // the planner's own
    if (reaction >= 0) a->drawn[reaction] = 0;
    if (kind == NM_KIND_REAR_END && severity == NM_SEVERITY_NEAR_MISS) { // as late as it can be, not later
        float *ttc = &a->drawn[nm_kind_param_index(kind, NM_PARAM_BRAKE_TTC)];
        *ttc = nm_maxf(*ttc, a->drawn[nm_kind_param_index(kind, NM_PARAM_CLOSING)] / REAR_BRAKE + GRIPS);
    }
    a->start_speed = a->drawn[nm_kind_param_index(kind, NM_PARAM_EGO_SPEED)] = l->seen->speed[step];
    memcpy(a->value, a->drawn, sizeof a->value);
    memcpy(a->aim, a->drawn, sizeof a->aim);
}

/// Before the conflict nobody drives at a constant speed where the ego does not: whom it meets on its own road keeps
/// its speed relative to the ego's.
static int drive_along(laying *l) {
    nm_script *script = &l->out->work->script[NM_ROLE_ADVERSARY];
    const nm_course *course = &l->out->work->course;
    const uint32_t c = l->a.conflict;
    const float faster = script->v[c] - course->v[c], from = script->s[c];
    if (!ALONG_ROAD(l->out->kind)) return 1;
    for (uint32_t t = 0; t < c; t++) {
        script->s[t] = from + course->s[t] - course->s[c] - faster * (float)(c - t) * NM_STEP_SECONDS;
        script->v[t] = course->v[t] + faster;
        if (script->v[t] < 0) return 0;
    }
    return 1;
}

/// The script of the manoeuvre alone, by the sizes that are set.
static int plan(laying *l) {
    nm_attempt *a = &l->a;
    nm_plan_ground(a);
    if (nm_plan_scripts(a) != NM_REJECT_NONE) return 0;
    if (a->conflict >= l->out->work->course.count || !drive_along(l)) return 0;
    const uint32_t from = a->conflict > 25 ? a->conflict - 25 : 0;
    if (l->out->kind == NM_KIND_RED_LIGHT_RUNNER) return nm_stage_red(a, from, a->conflict + 5);
    return !(a->spec->needs & ON_LANES) || nm_stage_green(a, from, a->conflict + 5);
}

static int open_try(laying *l, uint32_t try) {
    nm_attempt *a = &l->a;
    const spot *at = &l->spots[nm_rng_below(&l->key, 10 + try, l->spot_count)];
    const nm_track *ego = &l->seen->scene->tracks[l->seen->scene->ego];
    a->place = l->places[at->place];
    a->index = try;
    set_values(l, try, at->step);
    nm_plan_ways(a);
    a->ego_length = ego->length > 0 ? ego->length : 4.5f;
    a->ego_width = ego->width > 0 ? ego->width : 1.8f;
    if (!see_course(l, at->step)) return 0;
    nm_plan_ground(a);
    if (!nm_plan_speed(a)) return 0;
    a->seconds = (float)at->step * NM_STEP_SECONDS;
    a->blind = at->step; // what stands in the way is there when the ego comes to the place
    a->start_s = -a->start_speed * a->seconds;
    return plan(l);
}

// --- who plays -------------------------------------------------------------------------------------------------------

static nm_script *script_of(const laying *l) {
    return &l->out->work->script[NM_ROLE_ADVERSARY];
}

static float direction_of(const laying *l) {
    return script_of(l)->reversed ? -1.0f : 1.0f;
}

/// Largest change of speed of the way into the manoeuvre.
static float effort(float seconds, float offset, float pace) {
    float most = 0, before, now;
    nm_fading(0, seconds, offset, pace, &before);
    for (int i = 1; i <= 16; i++, before = now) {
        nm_fading((float)i / 16, seconds, offset, pace, &now);
        most = nm_maxf(most, fabsf(now - before) * 16 / seconds);
    }
    return most;
}

static uint32_t find_cast(laying *l, nm_seen *chosen) {
    const nm_scene *scene = l->seen->scene;
    const nm_script *script = script_of(l);
    float least = NM_ADVERSARY_EFFORT;
    uint32_t best = NM_NONE;
    if (l->a.adversary_type != NM_AGENT_CAR || script->v[0] < MOVES || l->out->kind == NM_KIND_WRONG_WAY)
        return NM_NONE;
    for (uint32_t track = 0; track < scene->track_count; track++) {
        nm_seen seen;
        if (track == scene->ego) continue;
        if (!nm_cast_see(&l->a, track, script->line, script->reversed, script->s[0], &seen)) continue;
        if (seen.v < MOVES || fabsf(seen.d - script->d[0]) > ON_LINE) continue;
        const float most = effort(l->a.seconds, direction_of(l) * (seen.s - script->s[0]), seen.v - script->v[0]);
        if (most > least) continue;
        least = most;
        best = track;
        *chosen = seen;
    }
    return best;
}

/// From the start into the manoeuvre. offset: m further on in its own direction; pace: m/s faster; aside, across: m and
/// m/s left of the script, seen along the line. 0: it would have to hurry or dawdle.
static int lead_in(laying *l, float offset, float pace, float aside, float across) {
    nm_script *script = script_of(l);
    const float seconds = l->a.seconds, soon = nm_minf(seconds, 3.0f);
    for (uint32_t t = 0; t <= l->request.steps; t++) {
        float faster, drift;
        const float time = (float)t * NM_STEP_SECONDS;
        if (time < seconds) {
            script->s[t] += direction_of(l) * nm_fading(time / seconds, seconds, offset, pace, &faster);
            if (fabsf(faster) > HURRIES * script->v[t] + 0.5f * fabsf(pace)) return 0;
            script->v[t] += faster;
        }
        if (time < soon) script->d[t] += nm_fading(time / soon, soon, aside, across, &drift);
    }
    return 1;
}

/// How the poses of the script move, whatever it says of its speed: ways on maps have corners.
static int moves_well(const laying *l, uint32_t count) {
    const nm_script *script = script_of(l);
    nm_pose past[5] = {nm_script_pose(script, 0)}; // of the last five steps, the latest first
    float turned = 0, way = 0;
    for (uint32_t t = 0; t < count; t++) {
        float speed;
        memmove(past + 1, past, sizeof past - sizeof *past);
        past[0] = nm_adversary_pose(l->out, (float)t, past[1].heading, &speed);
        if (t == 0) continue;
        const float step = nm_hypotf(past[0].x - past[1].x, past[0].y - past[1].y);
        if (step > script->v[t - 1] * NM_STEP_SECONDS + JUMPS || step > script->v[t] * NM_STEP_SECONDS + JUMPS)
            return 0;
        turned += nm_wrap_angle(past[0].heading - past[1].heading);
        way += step;
        if (way > SHORT_WAY) {
            if (fabsf(turned) > SHARPEST * way) return 0;
            turned = way = 0;
        }
        if (t < 4) continue;
        const float ax = (past[0].x - 2 * past[2].x + past[4].x) / 0.04f; // over steps of 0.2 s
        const float ay = (past[0].y - 2 * past[2].y + past[4].y) / 0.04f;
        float sine, cosine;
        nm_sincosf(past[2].heading, &sine, &cosine);
        if (fabsf(ay * cosine - ax * sine) > MOST_ACROSS) return 0;
        if (fabsf(ax * cosine + ay * sine) > HARDEST_BRAKE) return 0;
    }
    return 1;
}

/// Who plays has to be able to drive like that, on its way until the manoeuvre is over.
static int can_drive(laying *l) {
    const nm_script *script = script_of(l);
    const uint32_t count = nm_script_steps(script, l->request.steps), conflict = l->a.conflict;
    const uint32_t needed = conflict + KEPT_FREE < l->request.steps ? conflict + KEPT_FREE : l->request.steps;
    if (count <= needed) return 0;
    for (uint32_t t = 1; t < count; t++) {
        const float faster = (script->v[t] - script->v[t - 1]) / NM_STEP_SECONDS;
        if (!(script->v[t] >= 0) || faster < -HARDEST_BRAKE || faster > HARDEST_START) return 0;
    }
    l->out->script = script;
    l->out->last = count - 1;
    l->out->turn = l->out->offset = 0;
    if (nm_agent_type_vehicle(l->a.adversary_type) && !moves_well(l, count)) return 0;
    return nm_plan_check(&l->a) == NM_REJECT_NONE;
}

static nm_box box_of(const laying *l, nm_pose pose, float room) {
    nm_box box = {.x = pose.x, .y = pose.y, .length = l->a.length + 2 * room, .width = l->a.width + 2 * room};
    nm_sincosf(pose.heading, &box.sin_h, &box.cos_h);
    return box;
}

static int meets(const nm_box *a, const nm_box *b) {
    const float dx = a->x - b->x, dy = a->y - b->y, reach = 0.5f * (a->length + a->width + b->length + b->width);
    return dx * dx + dy * dy <= reach * reach && nm_box_overlap(a, b);
}

/// Nobody of the rehearsal is where the script leads, until the manoeuvre is over.
static int is_free(const laying *l) {
    const nm_rehearsed *seen = l->seen;
    const uint32_t tracks = seen->scene->track_count;
    const uint32_t after = l->a.conflict + (seen->reactive ? KEPT_FREE : PLAYS);
    const uint32_t count = nm_script_steps(script_of(l), l->request.steps);
    const nm_track *ego = &seen->scene->tracks[seen->scene->ego];
    for (uint32_t t = 0; t <= after && t < count && t < seen->samples; t++) {
        const nm_box own = box_of(l, nm_script_pose(script_of(l), t), t > 0 || l->cast == NM_NONE ? ROOM : 0);
        nm_box mine = {.x = seen->x[t], .y = seen->y[t], .length = ego->length, .width = ego->width};
        nm_sincosf(seen->heading[t], &mine.sin_h, &mine.cos_h);
        if (t + BEFORE < l->a.conflict && meets(&own, &mine)) return 0;
        for (uint32_t track = 0; track < tracks; track++) {
            const size_t at = (size_t)t * tracks + track;
            if (track == l->cast || !seen->present[at]) continue;
            const nm_nuplan_box *other = &seen->boxes[at];
            const float dx = (float)other->x - own.x, dy = (float)other->y - own.y;
            const float reach = 0.5f * (own.length + own.width + (float)(other->length + other->width));
            if (dx * dx + dy * dy > reach * reach) continue;
            nm_box box = {.x = (float)other->x,
                          .y = (float)other->y,
                          .length = (float)other->length,
                          .width = (float)other->width};
            nm_sincosf((float)other->heading, &box.sin_h, &box.cos_h);
            if (nm_box_overlap(&own, &box)) return 0;
        }
    }
    return 1;
}

static nm_box recorded_box(const nm_scene *scene, uint32_t track, uint32_t step) {
    const size_t at = nm_scene_at(scene, track, step);
    nm_box box = {.x = scene->x[at],
                  .y = scene->y[at],
                  .length = scene->tracks[track].length,
                  .width = scene->tracks[track].width,
                  .vx = scene->vx[at],
                  .vy = scene->vy[at]};
    nm_sincosf(scene->heading[at], &box.sin_h, &box.cos_h);
    return box;
}

/// Where somebody new was before the start: it kept its speed.
static nm_pose past_pose(const laying *l, uint32_t step) {
    nm_script *script = script_of(l);
    const float back = script->v[0] * (float)(l->seen->start - step) * NM_STEP_SECONDS;
    nm_pose pose = nm_drive_line_at(script->line, script->s[0] - direction_of(l) * back, script->d[0]);
    if (script->reversed) pose.heading = nm_wrap_angle(pose.heading + NM_PI_F);
    return pose;
}

/// Somebody new at the start: far enough from the ego, and with a past. 0: not here.
static int is_sudden(laying *l) {
    const nm_scene *scene = l->seen->scene;
    const nm_script *script = script_of(l);
    const uint32_t start = l->seen->start;
    nm_box own = box_of(l, nm_script_pose(script, 0), 0);
    own.vx = script->v[0] * own.cos_h;
    own.vy = script->v[0] * own.sin_h;
    const nm_box ego = recorded_box(scene, scene->ego, start);
    if (nm_box_distance(&own, &ego) < NM_ADVERSARY_APART || nm_ttc(&own, &ego, NM_ADVERSARY_TTC) < NM_ADVERSARY_TTC)
        return 1;
    if (script->line == &l->out->work->ego_line && fabsf(script->d[0]) < SAME_WAY) { // bends make velocities miss
        const nm_course *course = &l->out->work->course;
        const float ahead = script->s[0] - course->s[0], gap = fabsf(ahead) - 0.5f * (l->a.length + l->a.ego_length);
        const float faster = course->v[0] - direction_of(l) * script->v[0];
        if (gap < NM_ADVERSARY_APART || gap < NM_ADVERSARY_TTC * (ahead > 0 ? faster : -faster)) return 1;
    }
    l->first_past = start;
    for (uint32_t step = start; step-- > 0; l->first_past = step) {
        const float back = script->v[0] * (float)(start - step) * NM_STEP_SECONDS;
        const float s = script->s[0] - direction_of(l) * back;
        if (s < nm_drive_line_first(script->line) || s > nm_drive_line_last(script->line)) break;
        const nm_box box = box_of(l, past_pose(l, step), ROOM);
        uint32_t track = 0;
        for (; track < scene->track_count; track++) {
            if (!scene->valid[nm_scene_at(scene, track, step)]) continue;
            const nm_box other = recorded_box(scene, track, step);
            if (meets(&box, &other)) break;
        }
        if (track < scene->track_count) break;
    }
    return start - l->first_past < LEAST_PAST && l->first_past > 0;
}

/// The way's projection is a local one: where it winds, another part of it may have been meant.
static int starts_there(const laying *l) {
    const size_t at = nm_scene_at(l->seen->scene, l->cast, l->seen->start);
    const nm_pose pose = nm_script_pose(script_of(l), 0);
    return nm_hypotf(pose.x - l->seen->scene->x[at], pose.y - l->seen->scene->y[at]) < SAME_PLACE;
}

static int try_cast(laying *l) {
    nm_seen seen;
    const float length = l->a.length, width = l->a.width;
    l->cast = find_cast(l, &seen);
    if (l->cast == NM_NONE) return 0;
    l->a.length = l->seen->scene->tracks[l->cast].length;
    l->a.width = l->seen->scene->tracks[l->cast].width;
    int fits = plan(l);
    if (fits) {
        const nm_script *script = script_of(l);
        const float offset = direction_of(l) * (seen.s - script->s[0]), pace = seen.v - script->v[0];
        fits = effort(l->a.seconds, offset, pace) <= NM_ADVERSARY_EFFORT;
        fits = fits && lead_in(l, offset, pace, seen.d - script->d[0], direction_of(l) * seen.v * sinf(seen.turn)) &&
               starts_there(l);
    }
    if (fits && can_drive(l) && is_free(l)) return 1;
    l->cast = NM_NONE;
    l->a.length = length;
    l->a.width = width;
    return 0;
}

/// Further on or further back at the start than the bare manoeuvre has it, until it is nobody's surprise.
static int try_new(laying *l) {
    static const float offsets[] = {0, 10, -10, 20, -20, 32, -32, 46, -46, 62, -62};
    l->cast = NM_NONE;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        if (i > 0 && (script_of(l)->v[0] < MOVES || effort(l->a.seconds, offsets[i], 0) > NM_ADVERSARY_EFFORT))
            return 0;
        if (i > 0 && (l->a.spec->needs & NM_NEED_STREET)) return 0; // who walks or rides across keeps its pace
        if (!plan(l)) return 0;
        if (!lead_in(l, offsets[i], 0, 0, 0) || is_sudden(l)) continue;
        if (can_drive(l) && is_free(l)) return 1;
    }
    return 0;
}

// --- the scene with it -----------------------------------------------------------------------------------------------

static void *copy(nm_arena *arena, const void *from, size_t size, size_t more) {
    if (!from) return NULL;
    uint8_t *to = nm_arena_calloc(arena, size + more, 1, 64);
    if (to) memcpy(to, from, size);
    return to;
}

static int copy_tracks(laying *l) {
    nm_scene *to = &l->out->scene;
    const nm_scene *from = l->seen->scene;
    *to = *from;
    nm_track *tracks = copy(l->out->arena, from->tracks, from->track_count * sizeof *tracks, sizeof *tracks);
    if (!tracks) return 0;
    if (l->cast != NM_NONE) tracks[l->cast].flags |= NM_TRACK_ADVERSARY;
    to->tracks = tracks;
    if (l->cast != NM_NONE) return 1;
    const size_t count = (size_t)from->track_count * from->step_count, more = from->step_count;
    const float **arrays[] = {
        &to->x, &to->y, &to->z, &to->heading, &to->vx, &to->vy, &to->state_length, &to->state_width, &to->state_height};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        if (!*arrays[i]) continue;
        *arrays[i] = copy(l->out->arena, *arrays[i], count * sizeof(float), more * sizeof(float));
        if (!*arrays[i]) return 0;
    }
    to->valid = copy(l->out->arena, from->valid, count, more);
    to->track_count++;
    return to->valid != NULL;
}

static void put(nm_scene *scene, uint32_t track, uint32_t step, nm_pose pose, float speed) {
    const size_t at = nm_scene_at(scene, track, step);
    float sine, cosine;
    nm_sincosf(pose.heading, &sine, &cosine);
    ((uint8_t *)scene->valid)[at] = 1;
    ((float *)scene->x)[at] = pose.x;
    ((float *)scene->y)[at] = pose.y;
    ((float *)scene->heading)[at] = pose.heading;
    ((float *)scene->vx)[at] = speed * cosine;
    ((float *)scene->vy)[at] = speed * sine;
}

/// The past of somebody new, and, as if it had been recorded, what the script wants.
static void add_track(laying *l) {
    nm_adversary_agent *out = l->out;
    nm_scene *scene = &out->scene;
    const nm_scene *from = l->seen->scene;
    const uint32_t track = from->track_count, start = l->seen->start;
    int64_t id = 0;
    for (uint32_t i = 0; i < from->track_count; i++)
        if (from->tracks[i].source_id >= id) id = from->tracks[i].source_id + 1;
    for (uint32_t step = l->first_past; step < start; step++)
        put(scene, track, step, past_pose(l, step), script_of(l)->v[0]);
    uint32_t step = start;
    for (; step < scene->step_count && step - start <= out->last; step++) {
        float speed;
        out->heading = nm_script_pose(script_of(l), step - start).heading;
        const nm_pose pose = nm_adversary_pose(out, (float)(step - start), out->heading, &speed);
        put(scene, track, step, pose, speed);
    }
    const int person = l->a.adversary_type == NM_AGENT_PEDESTRIAN;
    ((nm_track *)scene->tracks)[track] = (nm_track){.source_id = id,
                                                    .length = l->a.length,
                                                    .width = l->a.width,
                                                    .height = person ? 1.8f : 1.5f,
                                                    .type = (uint8_t)l->a.adversary_type,
                                                    .flags = NM_TRACK_ADVERSARY | NM_TRACK_GENERATED,
                                                    .first_step = l->first_past,
                                                    .last_step = step - 1};
    for (uint32_t t = 0; scene->state_length && t < scene->step_count; t++) {
        ((float *)scene->state_length)[nm_scene_at(scene, track, t)] = l->a.length;
        ((float *)scene->state_width)[nm_scene_at(scene, track, t)] = l->a.width;
        ((float *)scene->state_height)[nm_scene_at(scene, track, t)] = person ? 1.8f : 1.5f;
    }
}

/// Step of the script from which on the adversary carries through.
static uint32_t commit_of(const laying *l) {
    const nm_script *script = script_of(l);
    const uint32_t conflict = l->a.conflict;
    switch (l->out->kind) {
    case NM_KIND_HARD_BRAKE:
    case NM_KIND_REAR_END:
        return conflict;
    case NM_KIND_TAILGATE:
    case NM_KIND_LANE_DRIFT:
        return conflict + SHARES;
    case NM_KIND_PARKED_PULL_OUT:
    case NM_KIND_SUDDEN_U_TURN: {
        uint32_t t = 0;
        while (t < conflict && script->v[t] <= 0) t++;
        return t;
    }
    default:
        return conflict > COMMITS ? conflict - COMMITS : 0;
    }
}

static int keep_course(laying *l) {
    nm_adversary_agent *out = l->out;
    const size_t size = l->seen->samples * sizeof(float);
    out->samples = l->seen->samples;
    out->x = copy(out->arena, l->seen->x, size, 0);
    out->y = copy(out->arena, l->seen->y, size, 0);
    out->speed = copy(out->arena, l->seen->speed, size, 0);
    return out->x && out->y && out->speed;
}

static nm_status finish(laying *l, nm_error *error) {
    nm_adversary_agent *out = l->out;
    out->recorded = l->cast != NM_NONE;
    out->ego = l->seen->scene->ego;
    out->start = l->seen->start;
    out->track = out->recorded ? l->cast : l->seen->scene->track_count;
    out->length = l->a.length;
    out->width = l->a.width;
    out->type = l->a.adversary_type;
    out->script = script_of(l);
    out->conflict = l->a.conflict;
    out->commit = commit_of(l);
    out->brake_ttc = 0;
    if (out->kind == NM_KIND_REAR_END || out->kind == NM_KIND_WRONG_WAY)
        out->brake_ttc = l->a.aim[nm_kind_param_index(out->kind, NM_PARAM_BRAKE_TTC)];
    out->last = nm_script_steps(out->script, l->request.steps) - 1;
    out->over = out->conflict + (ALONGSIDE(out->kind) ? SHARES : PLAYS);
    if (out->over > out->last) out->over = out->last;
    out->clock = 0;
    out->rate = 1;
    out->wreck = NAN;
    out->done = 0;
    out->turn = out->offset = 0;
    if (!copy_tracks(l) || !keep_course(l)) return NM_ERROR(error, NM_E_MEMORY, "no memory for an adversary");
    if (!out->recorded) add_track(l);
    const float now = out->scene.heading[nm_scene_at(&out->scene, out->track, out->start)];
    float speed;
    out->turn = nm_wrap_angle(now - nm_adversary_pose(out, 0, now, &speed).heading);
    out->heading = now;
    out->pace = out->script->v[0];
    return NM_OK;
}

// --- all of it -------------------------------------------------------------------------------------------------------

/// Somebody recorded before somebody new. 0: the kind has no place.
static int search(laying *l) {
    uint32_t until = TRIES;
    int found = 0;
    nm_attempt kept = l->a;
    uint32_t past = 0;
    for (uint32_t try = 0; try < until; try++) {
        if (!open_try(l, try)) continue;
        if (try_cast(l)) return 1;
        if (found || !try_new(l)) continue;
        found = 1;
        l->taken = try;
        l->script = *script_of(l);
        kept = l->a;
        past = l->first_past;
        if (try + 1 + MORE_TRIES < until) until = try + 1 + MORE_TRIES;
    }
    if (!found) return 0;
    (void)open_try(l, l->taken); // its ways
    *script_of(l) = l->script;
    l->a = kept;
    l->cast = NM_NONE;
    l->first_past = past;
    return 1;
}

nm_status nm_adversary_lay(nm_adversary_agent *adversary, const nm_rehearsed *rehearsed, nm_kind kind, uint64_t seed,
                           const nm_scene **scene, uint32_t *track, nm_error *error) {
    NM_ASSERT(adversary && rehearsed && scene && track && nm_adversary_steers(kind));
    *scene = NULL;
    *track = NM_NONE;
    nm_arena_reset(adversary->arena);
    adversary->kind = kind;
    if ((float)rehearsed->samples < 10 * (NM_ADVERSARY_LEAST + NM_ADVERSARY_AFTER)) return NM_OK;
    laying *l = nm_arena_calloc(adversary->arena, 1, sizeof *l, 64);
    if (!l) return NM_ERROR(error, NM_E_MEMORY, "no memory for an adversary");
    l->out = adversary;
    l->seen = rehearsed;
    l->request = nm_case_request_default();
    l->request.seed = nm_hash64(seed ^ nm_hash64(rehearsed->scene->hash));
    l->request.steps =
        rehearsed->samples - 1 + GOES_ON < NM_STAGE_STEPS ? rehearsed->samples - 1 + GOES_ON : NM_STAGE_STEPS - 1;
    l->key = (nm_rng_key){.seed = l->request.seed, .agent = (uint32_t)kind, .step = 1, .purpose = NM_PURPOSE_KIND};
    l->a = (nm_attempt){.work = adversary->work,
                        .base = rehearsed->scene,
                        .request = &l->request,
                        .spec = nm_kind_spec_of(kind),
                        .start_step = rehearsed->start,
                        .out = &l->made};
    nm_status status = find_spots(l, error);
    if (status != NM_OK || l->spot_count == 0 || !search(l)) return status;
    status = finish(l, error);
    if (status != NM_OK) return status;
    *scene = &adversary->scene;
    *track = adversary->track;
    return NM_OK;
}
