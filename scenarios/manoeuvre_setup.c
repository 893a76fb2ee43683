// What an attempt starts from: the ways, the sizes, where the ego begins and how fast.
#include "base/rng.h"
#include "scenarios/manoeuvre_internal.h"

#define LEAD_SECONDS 0.6f // s until somebody who leads the ego begins
#define LEAD_SHORT 2.0f
#define BLIND_STEPS 20u // until the ego notices what stands in its way: 0.75 s to react, 0.4 s to perceive (R157)
#define MARGIN 3.0f     // m of way left at a line's start
#define LEAST_TIME 1.8f // s to the conflict, where the way is short
#define CROSSING                                                                                                       \
    (NM_NEED_CROSSING_LANE | NM_NEED_LEFT_TURN | NM_NEED_RIGHT_TURN | NM_NEED_SIGNAL) // on lanes that meet the ego's

// The drawn value carried over to where the asked range and what is possible overlap; 0 when they do not.
static int fit(nm_attempt *a, nm_kind_param_id id, float low, float high) {
    const int at = nm_kind_param_index(a->spec->kind, id);
    const nm_kind_range *range = &a->request->ranges.range[at];
    const float from = nm_maxf(low, range->low), to = nm_minf(high, range->high);
    if (!(from <= to)) return 0;
    const float wide = range->high - range->low;
    const float share = wide > 0 ? (a->drawn[at] - range->low) / wide : 0.5f;
    a->drawn[at] = a->value[at] = a->aim[at] = from + share * (to - from);
    return 1;
}

static float lead_time(const nm_attempt *a, float random) {
    const int hits = a->request->ranges.severity == NM_SEVERITY_COLLISION;
    switch (a->spec->kind) {
    case NM_KIND_HARD_BRAKE:
        return hits ? LEAD_SHORT : LEAD_SECONDS; // left alone, the ego would open the gap
    case NM_KIND_CUT_OUT:
    case NM_KIND_CHAIN_BRAKE:
        return LEAD_SECONDS;
    case NM_KIND_LEAD_STOPPED:
    case NM_KIND_BLOCKED_LANE:
        return (float)BLIND_STEPS * NM_STEP_SECONDS;
    case NM_KIND_TAILGATE:
        return 1.0f;
    case NM_KIND_RED_LIGHT_RUNNER:
    case NM_KIND_SUDDEN_U_TURN:
        return 4.5f + random; // the adversary has a longer way
    case NM_KIND_WRONG_WAY:
        return 3.4f; // they come together fast
    case NM_KIND_LANE_DRIFT:
        return 3.7f; // the detector looks at how it drove before and after
    default:
        return 3.0f + random;
    }
}

static float least_time(const nm_attempt *a) {
    switch (a->spec->kind) {
    case NM_KIND_RED_LIGHT_RUNNER:
    case NM_KIND_SUDDEN_U_TURN:
        return 3.0f;
    case NM_KIND_LANE_DRIFT:
        return 3.5f;
    default:
        return nm_minf(a->seconds, LEAST_TIME);
    }
}

static void build_lines(nm_attempt *a) {
    nm_manoeuvre_work *work = a->work;
    nm_drive_line *own = &work->other_line;
    nm_drive_line_along(a->base->map, a->place.ego_lane, a->place.ego_s, &work->ego_line);
    const unsigned needs = a->spec->needs;
    const nm_kind kind = a->spec->kind;
    if (kind == NM_KIND_SUDDEN_U_TURN) {
        nm_drive_line_u_turn(a->base->map, &a->place, own);
    } else if ((needs & NM_NEED_STREET) && kind != NM_KIND_PARKED_PULL_OUT) {
        const nm_pose pose = nm_drive_line_at(&work->ego_line, 0, 0);
        const float turn = a->place.side < 0 ? NM_HALF_PI_F : -NM_HALF_PI_F;
        nm_drive_line_straight(pose.x, pose.y, pose.heading + turn, 60, own);
    } else if (needs & CROSSING) {
        nm_drive_line_along(a->base->map, a->place.lane, a->place.in, own);
    } else {
        own = &work->ego_line;
    }
    work->script[NM_ROLE_ADVERSARY].line = own;
    work->script[NM_ROLE_OTHER].line = &work->ego_line;
    work->script[NM_ROLE_OTHER].reversed = 0;
    work->script[NM_ROLE_ADVERSARY].reversed = kind == NM_KIND_HEAD_ON || kind == NM_KIND_WRONG_WAY;
}

// Where a right turn ends: the box of the adversary is over the right border of the ego's lane, and turned into it.
static void find_end_of_turn(nm_attempt *a) {
    const nm_manoeuvre_work *work = a->work;
    const float right = nm_map_rail(a->base->map, a->place.ego_lane, a->place.ego_out).right;
    uint32_t hint = NM_LINE_BACK;
    for (float on = 0; on < nm_drive_line_last(&work->other_line); on += 0.5f) {
        const nm_pose pose = nm_drive_line_at(&work->other_line, on, 0);
        float s, d, sine, cosine;
        nm_drive_line_project(&work->ego_line, pose.x, pose.y, &hint, &s, &d);
        nm_sincosf(pose.heading - nm_drive_line_at(&work->ego_line, s, 0).heading, &sine, &cosine);
        const float along = 0.5f * (a->length * fabsf(cosine) + a->width * fabsf(sine));
        const float across = 0.5f * (a->length * fabsf(sine) + a->width * fabsf(cosine));
        a->ground_in = s - along;
        a->cross_out = on - 0.5f * a->length; // of the rear, as elsewhere
        if (cosine > 0.8f && right + d >= across) return;
    }
}

void nm_plan_ground(nm_attempt *a) {
    const nm_kind kind = a->spec->kind;
    if (kind == NM_KIND_SUDDEN_U_TURN) {
        const nm_rail_point rail = nm_map_rail(a->base->map, a->place.ego_lane, a->place.ego_s);
        const float across = 0.5f * a->ego_width - NM_U_TURN_START(rail.right);
        const float cosine = nm_clampf(1 - across / NM_U_TURN_RADIUS, -1, 1);
        a->ground_in = 0.5f * a->length;
        a->cross_out = NM_U_TURN_RADIUS * nm_atan2f(sqrtf(1 - cosine * cosine), cosine);
    } else if (kind == NM_KIND_RIGHT_TURN_CONFLICT) {
        find_end_of_turn(a);
    } else if (a->spec->needs & CROSSING) {
        a->ground_in = 0;
        a->cross_out = a->place.out - a->place.in;
    } else {
        a->ground_in = -0.5f * a->width;
        a->cross_out = 0.5f * a->ego_width;
    }
}

static void set_roles(nm_attempt *a, const nm_rng_key *key) {
    const nm_scene *base = a->base;
    const nm_kind kind = a->spec->kind;
    a->ego_length = 4.6f;
    a->ego_width = 1.85f;
    if (base->ego != NM_NONE && nm_agent_type_vehicle((nm_agent_type)base->tracks[base->ego].type) &&
        base->tracks[base->ego].length > 2 && base->tracks[base->ego].width > 1) {
        a->ego_length = nm_minf(base->tracks[base->ego].length, 6);
        a->ego_width = nm_minf(base->tracks[base->ego].width, 2.2f);
    }
    a->adversary_type = NM_AGENT_CAR;
    a->length = 4.2f + 0.8f * nm_rng_uniform(key, 20);
    a->width = 1.75f + 0.2f * nm_rng_uniform(key, 21);
    a->other_length = 4.2f + 0.8f * nm_rng_uniform(key, 22);
    a->other_width = 1.75f + 0.2f * nm_rng_uniform(key, 23);
    if (kind == NM_KIND_PEDESTRIAN_CROSSING || kind == NM_KIND_OCCLUDED_PEDESTRIAN) {
        a->adversary_type = NM_AGENT_PEDESTRIAN;
        a->length = a->width = 0.5f;
    } else if (kind == NM_KIND_LANE_DRIFT && a->request->ranges.severity == NM_SEVERITY_COLLISION) {
        a->adversary_type = NM_AGENT_TRUCK; // wide enough to reach into the ego from its own lane
        a->length = 7 + 2 * nm_rng_uniform(key, 20);
        a->width = 2.4f + 0.15f * nm_rng_uniform(key, 21);
    } else if (kind == NM_KIND_CYCLIST_CROSSING) {
        a->adversary_type = NM_AGENT_CYCLIST;
        a->length = 1.8f;
        a->width = 0.6f;
    }
    a->other_reacts = kind == NM_KIND_CHAIN_BRAKE;
    a->has_other = a->other_reacts || kind == NM_KIND_CUT_OUT || kind == NM_KIND_OCCLUDED_PEDESTRIAN;
    a->other_flags = kind == NM_KIND_OCCLUDED_PEDESTRIAN ? NM_TRACK_STATIC : 0;
    a->adversary_flags = kind == NM_KIND_BLOCKED_LANE ? NM_TRACK_STATIC : 0;
    a->danger = kind == NM_KIND_CUT_OUT ? NM_ROLE_OTHER : NM_ROLE_ADVERSARY;
}

int nm_plan_speed(nm_attempt *a) {
    const nm_manoeuvre_work *work = a->work;
    const nm_kind kind = a->spec->kind;
    if (nm_kind_param_index(kind, NM_PARAM_SPEED) < 0 || (a->spec->needs & NM_NEED_STREET)) return 1;
    const float limit = a->spec->needs & CROSSING ? nm_drive_line_limit(&work->other_line, -25, a->cross_out + 10)
                                                  : nm_drive_line_limit(&work->ego_line, 0, 80);
    return fit(a, NM_PARAM_SPEED, (kind == NM_KIND_RED_LIGHT_RUNNER ? 0.65f : 0.4f) * limit, 1.15f * limit);
}

static nm_rng_key key_of(const nm_attempt *a) {
    return (nm_rng_key){
        .seed = a->request->seed, .scene = a->index, .agent = (uint32_t)a->spec->kind, .purpose = NM_PURPOSE_KIND};
}

void nm_plan_ways(nm_attempt *a) {
    const nm_rng_key key = key_of(a);
    build_lines(a);
    set_roles(a, &key);
}

nm_reject nm_plan_setup(nm_attempt *a) {
    const nm_rng_key key = key_of(a);
    nm_plan_ways(a);
    nm_plan_ground(a);
    const float first = nm_drive_line_first(&a->work->ego_line) + MARGIN;
    const float limit = nm_drive_line_limit(&a->work->ego_line, nm_maxf(first, -80), 30);
    if (!fit(a, NM_PARAM_EGO_SPEED, NM_SLOWEST * limit, limit) || !nm_plan_speed(a)) return NM_REJECT_EGO_SPEED;
    a->start_speed = nm_attempt_value(a, NM_PARAM_EGO_SPEED);
    a->seconds = lead_time(a, nm_rng_uniform(&key, 24));
    const int crosses = a->work->script[NM_ROLE_ADVERSARY].line == &a->work->other_line;
    const float front = crosses ? 0.5f * a->ego_length : 0;
    // less time where the way is short
    const float most = (-first - front) / a->start_speed;
    if (most < least_time(a)) return NM_REJECT_NO_ROOM;
    a->seconds = nm_minf(a->seconds, most);
    a->start_s = -front - a->start_speed * a->seconds;
    a->blind = a->spec->kind == NM_KIND_LEAD_STOPPED || a->spec->kind == NM_KIND_BLOCKED_LANE ? BLIND_STEPS : 0;
    return nm_plan_blind(a, a->blind);
}

nm_reject nm_plan_blind(nm_attempt *a, uint32_t steps) {
    const float way = a->start_speed * (float)steps * NM_STEP_SECONDS;
    const float turned = nm_drive_line_at(&a->work->ego_line, a->start_s + way, 0).heading -
                         nm_drive_line_at(&a->work->ego_line, a->start_s, 0).heading;
    a->blind = steps;
    a->shown = steps > 10 ? steps - 10 : 0;
    if (steps + 1 >= a->request->steps) return NM_REJECT_NO_ROOM; // it would never take over
    return fabsf(nm_wrap_angle(turned)) * way > NM_BLIND_DRIFT ? NM_REJECT_NO_ROOM : NM_REJECT_NONE;
}
