// What every verdict is called and means, and the limits of motion by type.
#include <math.h>
#include <string.h>

#include "scenarios/validity.h"

static const nm_verdict_info verdict_infos[NM_VERDICT_COUNT] = {
    [NM_VERDICT_SPEED] = {"speed", "m/s", "highest speed; limit by type"},
    [NM_VERDICT_ACCELERATION] = {"acceleration", "m/s^2", "hardest speeding up; cars: Waymax's bicycle model, 6"},
    [NM_VERDICT_BRAKING] = {"braking", "m/s^2", "hardest braking; UNECE R157's full braking, 9.81"},
    [NM_VERDICT_LATERAL_ACCELERATION] = {"lateral_acceleration", "m/s^2",
                                         "acceleration across the motion; cars: grip of 0.9 g"},
    [NM_VERDICT_JERK] = {"jerk", "m/s^3", "change of the acceleration along, as measured over 1.6 s"},
    [NM_VERDICT_YAW_RATE] = {"yaw_rate", "rad/s", "rate of turning; where full lock meets the grip"},
    [NM_VERDICT_CURVATURE] = {"curvature", "1/m", "of the path over 2 m; cars: Waymax's kinematic infeasibility, 0.3"},
    [NM_VERDICT_SLIP] = {"slip", "rad", "angle between heading and motion: 0 for a bicycle's rear axle"},
    [NM_VERDICT_TELEPORT] = {"teleport", "m", "change of the displacement from one step to the next"},
    [NM_VERDICT_HEADING_JUMP] = {"heading_jump", "rad", "change of heading in one step"},
    [NM_VERDICT_VELOCITY] = {"velocity", "m/s", "stated velocity against displacement"},
    [NM_VERDICT_GAP] = {"gap", "s", "longest time without a state between states"},
    [NM_VERDICT_TURN_ON_SPOT] = {"turn_on_spot", "rad", "turn within 2 s while the centre stays within 0.3 m"},
    [NM_VERDICT_OVERLAP_AT_START] = {"overlap_at_start", "m",
                                     "how far two boxes reach into each other where both are first there"},
    [NM_VERDICT_OFF_ROAD] = {"off_road", "m", "corner furthest off the road; nuPlan's drivable area compliance, 0.3"},
    [NM_VERDICT_JAYWALK] = {"jaywalk", "m", "depth of a pedestrian in the carriageway, off every crosswalk"},
    [NM_VERDICT_RED_LIGHT] = {"red_light", "m/s", "speed 5 m beyond the stop line of a light that was red"},
    [NM_VERDICT_STOP_LINE] = {"stop_line", "m/s", "least speed on the last 5 m before the line of a stop sign"},
    [NM_VERDICT_WRONG_WAY] = {"wrong_way", "m",
                              "driven against the lane without a break; nuPlan's driving direction compliance, 6"},
    [NM_VERDICT_SPEEDING] = {"speeding", "m/s", "over the lane's speed limit"},
    [NM_VERDICT_REALISM] = {"realism", "nats", "how unlike ordinary driving the motion is; 99.9 % of recorded drives"},
    [NM_VERDICT_CAUSE] = {"cause", "m/s^2",
                          "braking that others than the adversaries demand of the ego; AASHTO's stopping sight, 3.4"},
};

const nm_verdict_info *nm_verdict_about(nm_verdict_kind kind) {
    NM_ASSERT((unsigned)kind < NM_VERDICT_COUNT);
    return &verdict_infos[kind];
}

int nm_verdict_from_name(const char *name, nm_verdict_kind *kind) {
    for (int i = 0; i < NM_VERDICT_COUNT; i++)
        if (strcmp(verdict_infos[i].name, name) == 0) {
            *kind = (nm_verdict_kind)i;
            return 1;
        }
    return 0;
}

const char *nm_verdict_result_name(nm_verdict_result result) {
    static const char *const names[] = {"unjudged", "pass", "allowed", "fail"};
    return (unsigned)result < sizeof names / sizeof *names ? names[result] : "invalid";
}

// The bounds of nm_dynamics_limits_of are what simulated vehicles are driven with; these lie at or above them, because
// they say what a vehicle of the type may do at all. Grip of trucks and buses 0.75 g, of cyclists 0.7 g. Curvature:
// half as much again as at the full lock of nm_dynamics_limits_of. People sprint with 5 m/s and change direction within
// a stride: what the fit over +-0.5 s makes of that is bounded, how they turn is not. In the order of the struct.
static nm_kinematic_limits feasible(nm_agent_type type) {
    const float none = INFINITY;
    switch (type) {
    case NM_AGENT_TRUCK:
        return (nm_kinematic_limits){40, 3, 9.81f, 7.36f, 15, 0, 0.18f, 0.2f, 0.2f};
    case NM_AGENT_BUS:
        return (nm_kinematic_limits){40, 3, 9.81f, 7.36f, 15, 0, 0.15f, 0.2f, 0.2f};
    case NM_AGENT_MOTORCYCLE:
        return (nm_kinematic_limits){70, 9.81f, 9.81f, 8.83f, 15, 0, 0.5f, 0.2f, 0.3f};
    case NM_AGENT_CYCLIST:
        return (nm_kinematic_limits){20, 4, 7, 6.87f, 15, 0, 1, 0.3f, 0.5f};
    case NM_AGENT_TRAIN:
        return (nm_kinematic_limits){100, 2, 3, 3, 10, 0, 0.05f, 0.2f, 0.1f};
    case NM_AGENT_PEDESTRIAN:
        return (nm_kinematic_limits){5, 8, 8, 8, none, none, none, none, none};
    default:
        return (nm_kinematic_limits){70, 6, 9.81f, 8.83f, 15, 0, 0.3f, 0.2f, 0.2f};
    }
}

nm_kinematic_limits nm_kinematic_limits_of(nm_agent_type type, nm_limit_profile profile) {
    nm_kinematic_limits limits = feasible(type);
    if (limits.yaw_rate == 0) limits.yaw_rate = sqrtf(limits.curvature * limits.lateral);
    if (profile == NM_LIMITS_COMFORT && nm_agent_type_vehicle(type)) {
        limits.acceleration = 2.40f;
        limits.braking = 4.05f;
        limits.lateral = 4.89f;
        limits.jerk = 4.13f;
        limits.yaw_rate = 0.95f;
    }
    return limits;
}

nm_validity_params nm_validity_params_default(void) {
    return (nm_validity_params){.profile = NM_LIMITS_FEASIBLE,
                                .teleport = 1.0f,
                                .heading_jump = 0.5f,
                                .velocity = 5.0f,
                                .overlap = 0.1f,
                                .off_road = 0.3f,
                                .jaywalk = 0.5f,
                                .red_light = 0.5f,
                                .stop_line = 1.0f,
                                .wrong_way = 6.0f,
                                .speeding = 5.0f,
                                .realism = NM_ORDINARY_REALISM,
                                .cause = 3.4f,
                                .from = NM_NONE,
                                .driver = nm_reference_driver_default()};
}
