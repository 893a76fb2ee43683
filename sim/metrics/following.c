/// One vehicle behind another: gap, headway, needed deceleration, and the distances RSS asks for.
#include "sim/math.h"
#include "sim/metrics/pair.h"

// WOSAC's time-to-collision feature: up to 10 degrees any lateral overlap makes a leader, above it takes half a metre.
#define SMALL_ANGLE_COS 0.98480775301220806 // cos(10 degrees)
#define LATERAL_OVERLAP 0.5

static double cosine_of(float angle) {
    float sine, cosine;
    nm_sincosf(angle, &sine, &cosine);
    return cosine;
}

/// v |v|: squares that keep the sign, so that formulas made for forward speeds stay monotone for reversing vehicles.
static double signed_square(double v) {
    return v * fabs(v);
}

/// Definition 1. Speeds along the common direction.
static double rss_longitudinal(double rear, double front, const nm_criticality_params *params) {
    double rho = params->rss_reaction, accel = params->rss_accel_max;
    double after = rear + rho * accel;
    return nm_positive(rear * rho + 0.5 * accel * rho * rho + signed_square(after) / (2.0 * params->rss_brake_min) -
                       signed_square(front) / (2.0 * params->rss_brake_max));
}

/// Definition 2. Speeds towards each other.
static double rss_oncoming(double one, double other, const nm_criticality_params *params) {
    double rho = params->rss_reaction, accel = params->rss_accel_max;
    double sum = 0.0;
    const double speeds[2] = {one, other};
    for (int i = 0; i < 2; i++) {
        double after = speeds[i] + rho * accel;
        sum += 0.5 * (speeds[i] + after) * rho + signed_square(after) / (2.0 * params->rss_brake_min);
    }
    return nm_positive(sum);
}

nm_following nm_follow(const nm_box *follower, const nm_box *leader, const nm_criticality_params *params) {
    return nm_follow_within(follower, leader, params, cosine_of(params->follow_angle));
}

nm_following nm_follow_within(const nm_box *follower, const nm_box *leader, const nm_criticality_params *params,
                              double follow_cos) {
    nm_following out = {0, INFINITY, 0.0f, INFINITY, 0.0f, INFINITY, 0.0f, 0.0f};
    nm_pair_axes axes = nm_pair_axes_of(follower, leader);
    double gap = axes.p[0] - axes.e[0], lateral = fabs(axes.p[1]) - axes.e[1];
    double cosine = axes.x[0] * axes.x[2] + axes.y[0] * axes.y[2];
    if (!(gap > 0.0) || !(lateral < 0.0) || cosine < follow_cos) return out;
    if (lateral >= -LATERAL_OVERLAP && cosine < SMALL_ANGLE_COS) return out;
    double own = axes.x[0] * follower->vx + axes.y[0] * follower->vy;
    double front = axes.x[0] * leader->vx + axes.y[0] * leader->vy;
    double closing = own - front;
    out.following = 1;
    out.gap = (float)gap;
    out.closing = (float)closing;
    if (closing > 0.0) {
        out.ttc = nm_result(gap / closing);
        out.ittc = nm_result(closing / gap);
        out.drac = nm_result(closing * closing / (2.0 * gap));
    }
    if (own > 0.0) out.thw = nm_result(gap / own);
    out.rss_gap = nm_result(rss_longitudinal(own, front, params));
    return out;
}

/// The pair in RSS's terms: longitudinal axis (mx, my), a's left-hand normal to it, extents along both.
typedef struct rss_frame {
    double cosine;               ///< of the heading difference
    double along, aside;         ///< centre of b - centre of a
    double gap_along, gap_aside; ///< between the boxes; negative when they overlap along that axis
    double a_along, b_along;     ///< velocities
    double a_aside, b_aside;
} rss_frame;

static rss_frame rss_frame_of(const nm_box *a, const nm_box *b) {
    rss_frame frame;
    double ac = a->cos_h, as = a->sin_h, bc = b->cos_h, bs = b->sin_h;
    frame.cosine = ac * bc + as * bs;
    double sign = frame.cosine < 0.0 ? -1.0 : 1.0;
    double mx = ac + sign * bc, my = as + sign * bs, norm = sqrt(mx * mx + my * my); // at least sqrt(2)
    mx /= norm, my /= norm;
    double dx = (double)b->x - a->x, dy = (double)b->y - a->y;
    frame.along = mx * dx + my * dy;
    frame.aside = mx * dy - my * dx;
    double half = 0.5 * norm; // cosine of half the angle between them; and its sine, the same for both boxes:
    double half_sine = fabs(ac * bs - as * bc) / norm;
    double length = nm_half_length(a) + nm_half_length(b), width = nm_half_width(a) + nm_half_width(b);
    frame.gap_along = fabs(frame.along) - (half * length + half_sine * width);
    frame.gap_aside = fabs(frame.aside) - (half * width + half_sine * length);
    frame.a_along = mx * a->vx + my * a->vy, frame.a_aside = mx * a->vy - my * a->vx;
    frame.b_along = mx * b->vx + my * b->vy, frame.b_aside = mx * b->vy - my * b->vx;
    return frame;
}

/// How far a box comes to the side when it accelerates that way for the reaction time, then brakes.
static double lateral_reach(double v, const nm_criticality_params *params) {
    double rho = params->rss_reaction, after = v + rho * params->rss_lateral_accel_max;
    return 0.5 * (v + after) * rho + signed_square(after) / (2.0 * params->rss_lateral_brake_min);
}

static double lateral_gap(const rss_frame *frame, const nm_criticality_params *params) {
    double b_is_left = lateral_reach(frame->a_aside, params) + lateral_reach(-frame->b_aside, params);
    double b_is_right = lateral_reach(-frame->a_aside, params) + lateral_reach(frame->b_aside, params);
    double reach = frame->aside > 0.0 ? b_is_left : frame->aside < 0.0 ? b_is_right : nm_larger(b_is_left, b_is_right);
    return params->rss_lateral_margin + nm_positive(reach);
}

float nm_rss_lateral_gap(const nm_box *a, const nm_box *b, const nm_criticality_params *params) {
    rss_frame frame = rss_frame_of(a, b);
    return nm_result(lateral_gap(&frame, params));
}

int nm_rss_dangerous(const nm_box *a, const nm_box *b, const nm_criticality_params *params) {
    return nm_rss_dangerous_within(a, b, params, cosine_of(params->follow_angle));
}

int nm_rss_dangerous_within(const nm_box *a, const nm_box *b, const nm_criticality_params *params, double follow_cos) {
    rss_frame frame = rss_frame_of(a, b);
    double safe;
    if (frame.cosine >= follow_cos) {
        int a_is_rear = frame.along > 0.0;
        safe = a_is_rear ? rss_longitudinal(frame.a_along, frame.b_along, params)
                         : rss_longitudinal(frame.b_along, frame.a_along, params);
    } else if (frame.cosine <= -follow_cos) {
        // a looks along the axis and b against it: b lies before a while they still approach
        safe = frame.along > 0.0 ? rss_oncoming(frame.a_along, -frame.b_along, params) : 0.0;
    } else {
        return 0;
    }
    return frame.gap_along < safe && frame.gap_aside < lateral_gap(&frame, params);
}
