// The adversary while it drives: the clock of its script, and what came of it.
#include "scenarios/adversary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/adversary_internal.h"
#include "sim/world_box.h"

#define SEARCH 20          // samples of the rehearsal to both sides of the clock in which the ego is looked for
#define STANDING 1.0f      // m/s: slower egos say nothing about progress
#define CATCH_UP 0.5f      // 1/s: a clock that is wrong by a second changes its rate by that
#define LEADS_ON 0.9f      // of its pace: somebody who leads does not wait for who keeps a distance
#define YIELD 5.0f         // m/s^2 for others
#define LOOKS_AHEAD 1.0f   // s
#define HARDEST_BRAKE 9.5f // m/s^2
#define HARDEST_START 5.0f
#define MOST_RATE 2.0f
#define STANDS 0.05f     // m/s
#define RECOVERS 0.5f    // m/s^2 with which who was held up comes back to the script's speed
#define HELD_UP 0.7f     // of the script's speed
#define CRASH_BRAKE 6.0f // m/s^2 after a contact
#define LEAST_SPEED 1.0f // m/s: the pace of slower ones may change as if they were this fast
#define TURNS 0.3f       // m/s below which moving sideways does not turn a body
#define SETTLES 15.0f    // steps in which the heading at the start fades into the script's
#define OVERTIME 100.0f  // steps after which a script that waits is over

// --- kinds -----------------------------------------------------------------------------------------------------------

int nm_adversary_steers(nm_kind kind) {
    return nm_kind_spec_of(kind)->generable && kind != NM_KIND_CUT_OUT && kind != NM_KIND_CHAIN_BRAKE &&
           kind != NM_KIND_OCCLUDED_PEDESTRIAN;
}

nm_status nm_adversary_check(nm_kind kind, nm_error *error) {
    char names[1024] = "";
    if (nm_adversary_steers(kind)) return NM_OK;
    for (int k = 0; k < NM_KIND_COUNT; k++) {
        const size_t used = strlen(names);
        if (nm_adversary_steers((nm_kind)k))
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", nm_kind_name((nm_kind)k));
    }
    return NM_ERROR(error, NM_E_UNSUPPORTED, "%s is nothing that one adversary can be steered by: it %s; there are %s",
                    nm_kind_name(kind),
                    nm_kind_spec_of(kind)->generable ? "takes two" : "is an outcome of the other kinds", names);
}

// --- memory ----------------------------------------------------------------------------------------------------------

nm_adversary_agent *nm_adversary_create(void) {
    nm_adversary_agent *adversary = calloc(1, sizeof *adversary);
    if (!adversary) return NULL;
    adversary->arena = nm_arena_create(0);
    adversary->work = nm_manoeuvre_work_create();
    if (adversary->arena && adversary->work) return adversary;
    nm_adversary_destroy(adversary);
    return NULL;
}

void nm_adversary_destroy(nm_adversary_agent *adversary) {
    if (!adversary) return;
    nm_arena_destroy(adversary->arena);
    nm_manoeuvre_work_destroy(adversary->work);
    free(adversary);
}

// --- the script between its steps ------------------------------------------------------------------------------------

/// Cubic Hermite; slopes per step. *slope [out, nullable].
static float between(float u, float from, float to, float from_slope, float to_slope, float *slope) {
    const float u2 = u * u, u3 = u2 * u;
    if (slope)
        *slope = (6 * u2 - 6 * u) * (from - to) + (3 * u2 - 4 * u + 1) * from_slope + (3 * u2 - 2 * u) * to_slope;
    return (2 * u3 - 3 * u2 + 1) * from + (u3 - 2 * u2 + u) * from_slope + (3 * u2 - 2 * u3) * to +
           (u3 - u2) * to_slope;
}

static float aside_slope(const nm_script *script, uint32_t t, uint32_t last) {
    const uint32_t before = t > 0 ? t - 1 : 0, after = t < last ? t + 1 : last;
    return after > before ? (script->d[after] - script->d[before]) / (float)(after - before) : 0;
}

nm_pose nm_adversary_pose(const nm_adversary_agent *a, float clock, float heading, float *speed) {
    const nm_script *script = a->script;
    const float most = (float)a->last, at = nm_clampf(clock, 0, most), direction = script->reversed ? -1.0f : 1.0f;
    const uint32_t i = at >= most && a->last > 0 ? a->last - 1 : (uint32_t)at, k = i < a->last ? i + 1 : i;
    const float u = at - (float)i, pace = direction * NM_STEP_SECONDS;
    float aside;
    const float s = between(u, script->s[i], script->s[k], pace * script->v[i], pace * script->v[k], NULL);
    const float d = between(u, script->d[i], script->d[k], aside_slope(script, i, a->last),
                            aside_slope(script, k, a->last), &aside);
    nm_pose pose = nm_drive_line_at(script->line, s + direction * a->offset, d);
    *speed = script->v[i] + u * (script->v[k] - script->v[i]);
    if (*speed < TURNS) {
        pose.heading = heading;
        return pose;
    }
    const float slip = nm_atan2f(direction * aside / NM_STEP_SECONDS, *speed);
    pose.heading += (script->reversed ? NM_PI_F : 0) + nm_clampf(slip, -0.6f, 0.6f);
    pose.heading = nm_wrap_angle(pose.heading + a->turn * (1 - nm_quintic(at / SETTLES)));
    return pose;
}

// --- the clock -------------------------------------------------------------------------------------------------------

/// Sample of the rehearsal at which the ego was where it is now: the nearest, of equally near ones that nearest to the
/// clock.
static float progress(const nm_adversary_agent *a, float x, float y) {
    const int about = (int)nm_minf(a->clock + 0.5f, (float)(a->samples - 1));
    float least = INFINITY;
    int best = about;
    for (int off = 0; off <= SEARCH; off++)
        for (int side = -1; side <= 1; side += 2) {
            const int k = about + side * off;
            if (k < 0 || k >= (int)a->samples) continue;
            const float dx = a->x[k] - x, dy = a->y[k] - y, distance = dx * dx + dy * dy;
            if (distance >= least) continue;
            least = distance;
            best = k;
        }
    const int from = best > 0 ? best - 1 : 0, to = best + 1 < (int)a->samples ? best + 1 : best;
    const float wide_x = a->x[to] - a->x[from], wide_y = a->y[to] - a->y[from];
    const float square = wide_x * wide_x + wide_y * wide_y;
    if (square < 1e-4f) return (float)best;
    const float share = ((x - a->x[best]) * wide_x + (y - a->y[best]) * wide_y) / square;
    return (float)best + nm_clampf(share * (float)(to - from), -1, 1);
}

/// The rate at which the script is to run, by what the ego does.
static float wanted_rate(const nm_adversary_agent *a, const nm_world_view *view) {
    const uint32_t slot = view->slot_of[a->ego];
    if (slot == NM_NONE || a->clock >= (float)(a->samples - 1)) return 1;
    const float there = progress(a, view->x[slot], view->y[slot]), did = a->speed[(uint32_t)there];
    if (did < STANDING) return 1;
    const float late = (there - a->clock) * NM_STEP_SECONDS;
    const float slowest = a->kind == NM_KIND_HARD_BRAKE ? LEADS_ON : NM_ADVERSARY_SLOWEST;
    return nm_clampf(view->speed[slot] / did + CATCH_UP * late, slowest, NM_ADVERSARY_FASTEST);
}

static nm_box box_of(const nm_adversary_agent *a, nm_pose pose) {
    nm_box box = {.x = pose.x, .y = pose.y, .length = a->length, .width = a->width};
    nm_sincosf(pose.heading, &box.sin_h, &box.cos_h);
    return box;
}

/// Somebody else than the ego will be on its way within a second, or is.
static int blocked(const nm_adversary_agent *a, const nm_world_view *view) {
    for (float ahead = 0.25f * LOOKS_AHEAD; ahead <= LOOKS_AHEAD; ahead += 0.25f * LOOKS_AHEAD) {
        float speed;
        const float clock = a->clock + nm_maxf(a->rate, NM_ADVERSARY_SLOWEST) * ahead / NM_STEP_SECONDS;
        const nm_pose pose = nm_adversary_pose(a, clock, a->heading, &speed);
        const nm_box own = box_of(a, pose);
        for (uint32_t slot = 0; slot < view->count; slot++) {
            if (view->track[slot] == a->ego || view->track[slot] == a->track) continue;
            nm_box box = nm_world_box(view, slot);
            const float dx = box.x + ahead * box.vx - own.x, dy = box.y + ahead * box.vy - own.y;
            const float reach = 0.5f * (own.length + own.width + box.length + box.width);
            // who is behind looks out himself
            if (dx * dx + dy * dy > reach * reach || dx * own.cos_h + dy * own.sin_h < 0) continue;
            box.x += ahead * box.vx;
            box.y += ahead * box.vy;
            if (nm_box_overlap(&own, &box)) return 1;
        }
    }
    return 0;
}

static int touches(const nm_adversary_agent *a, const nm_world_view *view) {
    const nm_box own = nm_world_box(view, view->slot_of[a->track]);
    for (uint32_t slot = 0; slot < view->count; slot++) {
        if (view->track[slot] == a->track) continue;
        const nm_box box = nm_world_box(view, slot);
        const float dx = box.x - own.x, dy = box.y - own.y;
        const float reach = 0.5f * (own.length + own.width + box.length + box.width);
        if (dx * dx + dy * dy <= reach * reach && nm_box_overlap(&own, &box)) return 1;
    }
    return 0;
}

static void slide(nm_adversary_agent *a, nm_world *world, const nm_world_view *view) {
    const uint32_t slot = view->slot_of[a->track];
    const float now = nm_maxf(a->wreck - CRASH_BRAKE * NM_STEP_SECONDS, 0);
    const float way = 0.5f * (a->wreck + now) * NM_STEP_SECONDS;
    a->wreck = now;
    nm_world_set_state(world, a->track, view->x[slot] + way * view->cos_h[slot],
                       view->y[slot] + way * view->sin_h[slot], view->heading[slot], now);
}

static int stays_as_it_is(nm_kind kind) {
    return kind == NM_KIND_LEAD_STOPPED || kind == NM_KIND_BLOCKED_LANE || kind == NM_KIND_WRONG_WAY;
}

static float script_speed(const nm_adversary_agent *a, float clock) {
    float speed;
    (void)nm_adversary_pose(a, clock, a->heading, &speed);
    return speed;
}

/// Until it is committed: the clock runs as fast as the ego comes. Beside what the script does its speed changes by
/// NM_ADVERSARY_PACE at most, both together by what tyres hold.
static void wait_for_ego(nm_adversary_agent *a, const nm_world_view *view, int yields) {
    const float most =
        (yields ? YIELD : NM_ADVERSARY_PACE) * NM_STEP_SECONDS / nm_maxf(script_speed(a, a->clock), LEAST_SPEED);
    a->rate = nm_clampf(yields ? 0 : wanted_rate(a, view), a->rate - most, a->rate + most);
    const float then = script_speed(a, a->clock + a->rate);
    if (then > LEAST_SPEED) {
        const float slowest = a->pace - HARDEST_BRAKE * NM_STEP_SECONDS;
        const float fastest = a->pace + HARDEST_START * NM_STEP_SECONDS;
        a->rate = nm_clampf(nm_clampf(a->rate * then, slowest, fastest) / then, 0, MOST_RATE);
    }
    a->clock += a->rate;
    a->pace = a->rate * then;
}

/// From then on it speeds up and brakes as the script does, from the speed that it has. Who is held up goes through the
/// script more slowly, so that nobody moves sideways on the spot.
static void carry_through(nm_adversary_agent *a, int yields) {
    const float now = script_speed(a, a->clock), then = script_speed(a, a->clock + 1), usual = 0.5f * (now + then);
    float pace = a->pace + (then - now);
    if (then < STANDS) pace = a->pace - CRASH_BRAKE * NM_STEP_SECONDS;
    if (yields) pace = a->pace - YIELD * NM_STEP_SECONDS;
    if (!yields && pace < then) pace += nm_minf(RECOVERS * NM_STEP_SECONDS, then - pace);
    pace = nm_maxf(
        nm_clampf(pace, a->pace - HARDEST_BRAKE * NM_STEP_SECONDS, a->pace + HARDEST_START * NM_STEP_SECONDS), 0);
    const float driven = 0.5f * (a->pace + pace);
    const int held_up = usual > STANDS && driven < HELD_UP * usual;
    a->rate = held_up ? driven / usual : 1;
    if (!held_up) a->offset += (driven - usual) * NM_STEP_SECONDS;
    a->clock += a->rate;
    a->pace = pace;
}

/// Who is to brake at a time to collision does so when it comes, whatever the clock says.
static void brake_in_time(nm_adversary_agent *a, const nm_world_view *view) {
    const uint32_t slot = view->slot_of[a->track], ego = view->slot_of[a->ego];
    if (ego == NM_NONE || !(a->brake_ttc > 0) || a->clock >= (float)a->conflict) return;
    const nm_box own = nm_world_box(view, slot), other = nm_world_box(view, ego);
    const float closing = view->speed[slot] - (other.vx * own.cos_h + other.vy * own.sin_h);
    if (closing <= 0 || nm_box_distance(&own, &other) > a->brake_ttc * closing) return;
    float s[2];
    const float clocks[2] = {a->clock, (float)a->conflict};
    for (int i = 0; i < 2; i++) {
        uint32_t step = (uint32_t)clocks[i];
        s[i] = a->script->s[step] + (clocks[i] - (float)step) * (a->script->s[step + 1] - a->script->s[step]);
    }
    a->offset += (a->script->reversed ? -1.0f : 1.0f) * (s[0] - s[1]);
    a->clock = (float)a->conflict;
}

static void tick(nm_adversary_agent *a, const nm_world_view *view) {
    const int yields = blocked(a, view);
    brake_in_time(a, view);
    if (a->clock < (float)a->commit)
        wait_for_ego(a, view, yields);
    else
        carry_through(a, yields);
}

void nm_adversary_steer(nm_adversary_agent *a, nm_world *world) {
    const nm_world_view view = nm_world_get_view(world);
    const uint32_t slot = view.slot_of[a->track];
    if (slot == NM_NONE || a->done) return;
    if (view.policy[slot] != NM_POLICY_EXTERNAL) nm_world_set_policy(world, a->track, NM_POLICY_EXTERNAL);
    if (isnan(a->wreck) && view.step > a->start && touches(a, &view)) a->wreck = view.speed[slot];
    if (!isnan(a->wreck)) {
        slide(a, world, &view);
        return;
    }
    const int late = (float)(view.step - a->start) > (float)a->over + OVERTIME;
    if (!stays_as_it_is(a->kind) && (late || a->clock >= (float)a->over)) {
        a->done = 1;
        nm_world_set_policy(world, a->track, NM_POLICY_IDM);
        return;
    }
    tick(a, &view);
    float speed;
    const nm_pose pose = nm_adversary_pose(a, a->clock, a->heading, &speed);
    a->heading = pose.heading;
    nm_world_set_state(world, a->track, pose.x, pose.y, pose.heading, a->clock < (float)a->last ? a->pace : 0);
}

// --- what came of it -------------------------------------------------------------------------------------------------

nm_status nm_adversary_judge(nm_adversary_agent *a, const nm_scene *driven, nm_adversary_outcome *out,
                             nm_error *error) {
    const nm_kind_spec *spec = nm_kind_spec_of(a->kind);
    const uint32_t actor = spec->actor == NM_ROLE_EGO ? a->ego : a->track;
    const uint32_t other = spec->actor == NM_ROLE_EGO ? a->track : a->ego;
    nm_detect_params params = nm_detect_params_default();
    params.enabled = 1u << a->kind;
    memset(out, 0, sizeof *out);
    nm_event *events;
    size_t count;
    nm_status status = nm_detect(driven, &params, a->arena, &events, &count, NULL, error);
    for (size_t i = 0; status == NM_OK && i < count; i++) {
        const nm_event *event = &events[i];
        if (event->kind != a->kind || event->actor != actor || event->last_step <= a->start) continue;
        if ((spec->other_named && event->other != other) || (out->staged && event->severity <= out->event.severity))
            continue;
        out->staged = 1;
        out->event = *event;
    }
    if (status != NM_OK) return status;
    const nm_conflict_case conflict = {.scene = driven,
                                       .ego = a->ego,
                                       .adversaries = &a->track,
                                       .adversary_count = 1,
                                       .begin = a->start,
                                       .event = out->staged ? &out->event : NULL};
    const nm_reference_driver driver = nm_reference_driver_default();
    status = nm_avoidability_of(&conflict, &driver, a->arena, &out->detail, error);
    out->label = out->detail.label;
    out->met = out->detail.collided;
    return status;
}
