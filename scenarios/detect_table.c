// The table of detectors: names, definitions, parameters with their sources.
//
// R157 = UNECE Regulation 157 (ALKS) and the public OpenSCENARIO files of its test cases; CriMe = CommonRoad-CriMe 0.3
// defaults; "target values" = the criticality-metrics collection of Westhofen et al. 2023. Values marked "chosen" were
// set by looking at real traffic (NGSIM) so that a hit is what its name says.
#include <stdio.h>
#include <string.h>

#include "scenarios/detect_internal.h"

#define CROSSING_PARAMS(pet, ttc, speed)                                                                               \
    .param_count = CROSS_PARAMS,                                                                                       \
    .params = {                                                                                                        \
        [CROSS_MAX_PET] = {"max_pet", "s", (pet), 0.1f, 10,                                                            \
                           "most time between the first one leaving and the second one reaching the shared ground "    \
                           "(PET; below 1.5 s critical, above 2 s normal: target values)"},                            \
        [CROSS_MAX_TTC] = {"max_ttc", "s", (ttc), 0, 10,                                                               \
                           "or at most this time to collision while their ways cross (1.5 s: target values)"},         \
        [CROSS_MIN_DRAC] = {"min_drac", "m/s^2", 3.4f, 0, 20,                                                          \
                            "and at least this needed deceleration with it (3.4: target values)"},                     \
        [CROSS_MIN_ANGLE] = {"min_angle", "rad", 0.52f, 0.1f, 1.57f, "least angle between the ways (30 degrees)"},     \
        [CROSS_MIN_SPEED] = {"min_speed", "m/s", (speed), 0, 30,                                                       \
                             "least speed of every vehicle that takes part, at the crossing"},                         \
    }

// clang-format off
static const nm_detector_info table[NM_KIND_COUNT] = {
    [NM_KIND_CUT_IN] = {
        .kind = NM_KIND_CUT_IN,
        .name = "cut_in",
        .definition =
            "The actor changes into the other's lane closely in front of it, stays there, and is its leader "
            "from then on.",
        .param_count = CUT_IN_PARAMS,
        .params = {
            [CUT_IN_MAX_GAP] = {"max_gap", "m", 30, 1, 200,
                "most gap when the actor's box reaches over the border (R157 4.4: dx0 30 m)"},
            [CUT_IN_MAX_HEADWAY] = {"max_headway", "s", 1.5f, 0.1f, 10,
                "most time headway then (R157 demands 2 s at motorway speed; chosen)"},
            [CUT_IN_MIN_LATERAL] = {"min_lateral", "m", 2, 0.5f, 5,
                "least sideways movement relative to the lanes (chosen: a change moves a lane width, noise and map "
                "steps less)"},
            [CUT_IN_MIN_STAY] = {"min_stay", "s", 1, 0.1f, 10,
                "least time in the new lane as the other's leader (chosen)"},
            [CUT_IN_MIN_CLOSING] = {"min_closing", "m/s", -2.5f, -50, 50,
                "least speed at which the other closes in then; an actor that pulls away faster is no danger "
                "(chosen)"},
            [CUT_IN_MIN_SPEED] = {"min_speed", "m/s", 3, 0, 50,
                "least speed of the other; slower is queueing (chosen)"},
        },
    },
    [NM_KIND_CUT_OUT] = {
        .kind = NM_KIND_CUT_OUT,
        .name = "cut_out",
        .definition =
            "The actor leads the other, changes out of the lane and so reveals a slower or standing vehicle "
            "that the other closes in on.",
        .param_count = CUT_OUT_PARAMS,
        .params = {
            [CUT_OUT_MAX_GAP] = {"max_gap", "m", 38.3f, 1, 200,
                "most gap from the other to the actor before (R157 4.5: dx0 38.3 m)"},
            [CUT_OUT_MAX_REVEAL] = {"max_reveal", "m", 88.3f, 1, 200,
                "most gap from the other to the revealed one (R157 4.5: dx0 + dx0_f 50 m)"},
            [CUT_OUT_MIN_CLOSING] = {"min_closing", "m/s", 2, 0, 50,
                "least speed at which the other closes in on the revealed one (chosen)"},
            [CUT_OUT_MAX_TTC] = {"max_ttc", "s", 6, 0.5f, 20,
                "most time to collision with the revealed one (chosen)"},
            [CUT_OUT_MIN_LATERAL] = {"min_lateral", "m", 2, 0.5f, 5,
                "as for cut_in"},
            [CUT_OUT_MIN_STAY] = {"min_stay", "s", 1, 0.1f, 10,
                "least time that the actor led before and stays away after (chosen)"},
        },
    },
    [NM_KIND_HARD_BRAKE] = {
        .kind = NM_KIND_HARD_BRAKE,
        .name = "hard_brake",
        .definition =
            "The actor brakes hard; the other is who follows it, if anybody does.",
        .param_count = HARD_BRAKE_PARAMS,
        .params = {
            [HARD_BRAKE_MIN_DECEL] = {"min_decel", "m/s^2", 4, 1, 15,
                "least deceleration throughout (nuPlan's bound of comfort is 4.05)"},
            [HARD_BRAKE_MIN_DURATION] = {"min_duration", "s", 0.5f, 0.1f, 5,
                "least time of it (chosen)"},
            [HARD_BRAKE_MIN_SPEED] = {"min_speed", "m/s", 5, 0, 50,
                "least speed when it begins (chosen)"},
            [HARD_BRAKE_MIN_MEAN] = {"min_mean", "m/s^2", 3, 0, 15,
                "and least mean deceleration over 2.5 s around it or until the standstill (chosen: recorded speeds "
                "come in steps that are no braking)"},
            [HARD_BRAKE_MAX_DECEL] = {"max_decel", "m/s^2", 9.9f, 5, 50,
                "most deceleration; more is a tracking error (R157 4.3: 9.81)"},
        },
    },
    [NM_KIND_REAR_END] = {
        .kind = NM_KIND_REAR_END,
        .name = "rear_end",
        .definition =
            "The actor closes in on the vehicle ahead in its lane so fast that only hard braking avoids "
            "running into it, or does run into it.",
        .param_count = REAR_END_PARAMS,
        .params = {
            [REAR_END_MAX_TTC] = {"max_ttc", "s", 1.5f, 0.1f, 10,
                "most time to collision (target values)"},
            [REAR_END_MIN_DRAC] = {"min_drac", "m/s^2", 3.4f, 0, 20,
                "least needed deceleration (target values: 3.4)"},
            [REAR_END_MIN_CLOSING] = {"min_closing", "m/s", 3, 0, 50,
                "least closing speed (chosen: slower is closing up in a queue)"},
            [REAR_END_MIN_DURATION] = {"min_duration", "s", 0.2f, 0, 5,
                "least time of it: noise is shorter (chosen)"},
        },
    },
    [NM_KIND_LEAD_STOPPED] = {
        .kind = NM_KIND_LEAD_STOPPED,
        .name = "lead_stopped",
        .definition =
            "The actor comes up to a vehicle that stands in its lane and has to brake hard for it.",
        .param_count = LEAD_STOPPED_PARAMS,
        .params = {
            [LEAD_STOPPED_LEADER_SPEED] = {"leader_speed", "m/s", 0.5f, 0, 5,
                "most speed of one that stands"},
            [LEAD_STOPPED_STANDING] = {"min_standing", "s", 1, 0, 20,
                "least time that it has been standing (chosen)"},
            [LEAD_STOPPED_MIN_SPEED] = {"min_speed", "m/s", 4, 0, 50,
                "least speed of the actor (chosen)"},
            [LEAD_STOPPED_MIN_DRAC] = {"min_drac", "m/s^2", 3, 0, 20,
                "least needed deceleration (chosen: above comfortable braking)"},
            [LEAD_STOPPED_MIN_DURATION] = {"min_duration", "s", 0.3f, 0, 5,
                "least time of it (chosen)"},
        },
    },
    [NM_KIND_MERGE_CONFLICT] = {
        .kind = NM_KIND_MERGE_CONFLICT,
        .name = "merge_conflict",
        .definition =
            "Two vehicles enter one lane from different lanes that join or end, the actor closely ahead of the "
            "other, which closes in.",
        .param_count = MERGE_PARAMS,
        .params = {
            [MERGE_MAX_PET] = {"max_pet", "s", 1, 0.1f, 10,
                "most time between the actor's rear and the other's front at the place where the lanes join, or "
                "headway at a forced change (target values: below 1 s critical)"},
            [MERGE_MIN_SPEED] = {"min_speed", "m/s", 3, 0, 50,
                "least speed of the other (chosen)"},
            [MERGE_MIN_CLOSING] = {"min_closing", "m/s", 0.5f, -10, 50,
                "least speed at which the other closes in (chosen)"},
            [MERGE_MIN_SEPARATION] = {"min_separation", "m", 2, 0, 10,
                "least sideways distance of the two before (chosen: really two lanes)"},
            [MERGE_MIN_STAY] = {"min_stay", "s", 1, 0.1f, 10,
                "as for cut_in"},
        },
    },
    [NM_KIND_UNPROTECTED_LEFT_TURN] = {
        .kind = NM_KIND_UNPROTECTED_LEFT_TURN,
        .name = "unprotected_left_turn",
        .definition =
            "The actor turns left across the way of the oncoming other, closely in time.",
        CROSSING_PARAMS(2, 1.5f, 2),
    },
    [NM_KIND_CROSSING_CONFLICT] = {
        .kind = NM_KIND_CROSSING_CONFLICT,
        .name = "crossing_conflict",
        .definition =
            "Two vehicles' ways cross (no left turn against oncoming traffic, no right turn), closely in time; "
            "the actor is first.",
        CROSSING_PARAMS(1.5f, 1.5f, 2),
    },
    [NM_KIND_RED_LIGHT_RUNNER] = {
        .kind = NM_KIND_RED_LIGHT_RUNNER,
        .name = "red_light_runner",
        .definition =
            "The actor drives over the stop line of a red signal and on; right turns on red do not count.",
        .param_count = RED_LIGHT_PARAMS,
        .params = {
            [RED_LIGHT_MIN_SPEED] = {"min_speed", "m/s", 2, 0, 50,
                "least speed at the line (chosen)"},
            [RED_LIGHT_MIN_RED] = {"min_red", "s", 0.5f, 0, 20,
                "least time that it has been red (chosen)"},
            [RED_LIGHT_MIN_BEYOND] = {"min_beyond", "m", 5, 0, 50,
                "least way of the box's centre past the line (chosen: not just stopped late)"},
        },
    },
    [NM_KIND_RIGHT_TURN_CONFLICT] = {
        .kind = NM_KIND_RIGHT_TURN_CONFLICT,
        .name = "right_turn_conflict",
        .definition =
            "The actor turns right across or into the way of another vehicle, closely in time.",
        CROSSING_PARAMS(1.5f, 1.5f, 2),
    },
    [NM_KIND_PEDESTRIAN_CROSSING] = {
        .kind = NM_KIND_PEDESTRIAN_CROSSING,
        .name = "pedestrian_crossing",
        .definition =
            "The actor, a pedestrian, crosses the way of a moving vehicle, closely in time.",
        CROSSING_PARAMS(2, 1.5f, 2),
    },
    [NM_KIND_CYCLIST_CROSSING] = {
        .kind = NM_KIND_CYCLIST_CROSSING,
        .name = "cyclist_crossing",
        .definition =
            "The actor, a cyclist, crosses the way of a moving vehicle, closely in time.",
        CROSSING_PARAMS(2, 1.5f, 2),
    },
    [NM_KIND_WRONG_WAY] = {
        .kind = NM_KIND_WRONG_WAY,
        .name = "wrong_way",
        .definition =
            "The actor drives against the direction of the lane under it, where no lane runs its way.",
        .param_count = WRONG_WAY_PARAMS,
        .params = {
            [WRONG_WAY_MIN_ANGLE] = {"min_angle", "rad", 2.36f, 1.58f, 3.14f,
                "least angle to the lane (135 degrees; chosen)"},
            [WRONG_WAY_MIN_DURATION] = {"min_duration", "s", 1, 0.1f, 20,
                "least time of it (nuPlan's driving direction check looks at 1 s)"},
            [WRONG_WAY_MIN_SPEED] = {"min_speed", "m/s", 2, 0, 50,
                "least speed (chosen)"},
            [WRONG_WAY_MIN_DISTANCE] = {"min_distance", "m", 6, 0, 100,
                "least way driven so (nuPlan: 6 m in 1 s)"},
            [WRONG_WAY_MIN_INSIDE] = {"min_inside", "m", 0.5f, 0, 5,
                "least distance of the centre from the lane's borders (chosen)"},
        },
    },
    [NM_KIND_TAILGATE] = {
        .kind = NM_KIND_TAILGATE,
        .name = "tailgate",
        .definition =
            "The actor follows the other in its lane at too short a headway for a while.",
        .param_count = TAILGATE_PARAMS,
        .params = {
            [TAILGATE_MAX_HEADWAY] = {"max_headway", "s", 0.9f, 0.1f, 5,
                "most time headway throughout (fined in Germany below 0.9 s)"},
            [TAILGATE_MIN_DURATION] = {"min_duration", "s", 2, 0.1f, 60,
                "least time of it (chosen)"},
            [TAILGATE_MIN_SPEED] = {"min_speed", "m/s", 8, 0, 50,
                "least speed throughout (chosen)"},
        },
    },
    [NM_KIND_LANE_DRIFT] = {
        .kind = NM_KIND_LANE_DRIFT,
        .name = "lane_drift",
        .definition =
            "The actor's box leaves its lane sideways and comes back, without a lane change.",
        .param_count = LANE_DRIFT_PARAMS,
        .params = {
            [LANE_DRIFT_MIN_OVERHANG] = {"min_overhang", "m", 0.3f, 0, 3,
                "least part of the box beyond the border (chosen)"},
            [LANE_DRIFT_MIN_EXCURSION] = {"min_excursion", "m", 0.7f, 0, 3,
                "least sideways distance from where it drove before and after (chosen: maps may be off by some "
                "decimetres)"},
            [LANE_DRIFT_MIN_DURATION] = {"min_duration", "s", 0.5f, 0, 10,
                "least time beyond (chosen)"},
            [LANE_DRIFT_MAX_DURATION] = {"max_duration", "s", 5, 0.5f, 60,
                "most time beyond (chosen)"},
            [LANE_DRIFT_MIN_SPEED] = {"min_speed", "m/s", 5, 0, 50,
                "least speed (chosen)"},
        },
    },
    [NM_KIND_HEAD_ON] = {
        .kind = NM_KIND_HEAD_ON,
        .name = "head_on",
        .definition =
            "The actor is in the lane of the oncoming other, and they are about to meet.",
        .param_count = HEAD_ON_PARAMS,
        .params = {
            [HEAD_ON_MAX_TTC] = {"max_ttc", "s", 2, 0.1f, 10,
                "most time until they meet along the lane"},
            [HEAD_ON_MIN_ANGLE] = {"min_angle", "rad", 2.62f, 1.58f, 3.14f,
                "least angle between their headings (150 degrees; chosen)"},
            [HEAD_ON_MIN_SPEED] = {"min_speed", "m/s", 2, 0, 50,
                "least speed of the actor (chosen)"},
            [HEAD_ON_MIN_OVERLAP] = {"min_overlap", "m", 0.2f, 0, 3,
                "least sideways overlap of the boxes (chosen)"},
        },
    },
    [NM_KIND_NEAR_MISS] = {
        .kind = NM_KIND_NEAR_MISS,
        .name = "near_miss",
        .definition =
            "Two road users come within a moment of colliding and do not; driving side by side or past each "
            "other in neighbouring lanes does not count.",
        .param_count = NEAR_MISS_PARAMS,
        .params = {
            [NEAR_MISS_MAX_TTC] = {"max_ttc", "s", 1.5f, 0.1f, 10,
                "most time to collision (target values)"},
            [NEAR_MISS_MAX_PET] = {"max_pet", "s", 1, 0, 10,
                "or most PET where ways cross (below 1 s critical: target values)"},
            [NEAR_MISS_MAX_DISTANCE] = {"max_distance", "m", 2, 0, 20,
                "with the time to collision: most distance they really come to"},
            [NEAR_MISS_MIN_CLOSING] = {"min_closing", "m/s", 3, 0, 50,
                "and least closing speed (chosen)"},
            [NEAR_MISS_MIN_DRAC] = {"min_drac", "m/s^2", 3.4f, 0, 20,
                "and least needed deceleration (target values)"},
            [NEAR_MISS_MIN_EVASION] = {"min_evasion", "m/s^2", 2, 0, 15,
                "and least braking or swerving of one of them within a second (chosen: without it they just pass "
                "closely)"},
            [NEAR_MISS_MIN_DURATION] = {"min_duration", "s", 0.2f, 0, 5,
                "and least time of it (chosen)"},
        },
    },
    [NM_KIND_COLLISION] = {
        .kind = NM_KIND_COLLISION,
        .name = "collision",
        .definition =
            "Two road users, at least one of them moving, run into each other. Boxes that overlap from the "
            "first step on are an issue of the scene, not a collision.",
        .param_count = COLLISION_PARAMS,
        .params = {
            [COLLISION_MIN_PENETRATION] = {"min_penetration", "m", 0.3f, 0, 3,
                "least depth of the overlap (logged boxes are off by decimetres)"},
            [COLLISION_MIN_SPEED] = {"min_speed", "m/s", 0.5f, 0, 50,
                "least speed along the line of contact (chosen)"},
        },
    },
    [NM_KIND_CHAIN_BRAKE] = {
        .kind = NM_KIND_CHAIN_BRAKE,
        .name = "chain_brake",
        .definition =
            "The actor brakes hard, and those who follow it brake hard one after the other; the other is the first of "
            "them.",
        .param_count = CHAIN_PARAMS,
        .params = {
            [CHAIN_MIN_DECEL] = {"min_decel", "m/s^2", 4, 1, 15,
                "least deceleration of the first one (as for hard_brake)"},
            [CHAIN_MIN_FOLLOWER] = {"min_follower", "m/s^2", 3, 1, 15,
                "least deceleration of every follower, throughout its braking (chosen: above comfortable braking; "
                "never counts for more than min_decel)"},
            [CHAIN_MIN_DURATION] = {"min_duration", "s", 0.5f, 0.1f, 5,
                "least time of each braking (as for hard_brake)"},
            [CHAIN_MIN_SPEED] = {"min_speed", "m/s", 5, 0, 50,
                "least speed of each when it begins to brake (as for hard_brake)"},
            [CHAIN_MIN_MEAN] = {"min_mean", "m/s^2", 2.5f, 0, 15,
                "and least mean deceleration of each over 2.5 s or until the standstill (chosen; see hard_brake)"},
            [CHAIN_MAX_DECEL] = {"max_decel", "m/s^2", 9.9f, 5, 50,
                "most deceleration; more is a tracking error (R157 4.3: 9.81)"},
            [CHAIN_MAX_DELAY] = {"max_delay", "s", 2.5f, 0.1f, 10,
                "most time from one vehicle's beginning to brake to that of the next (chosen: reaction and its headway)"},
            [CHAIN_MIN_FOLLOWERS] = {"min_followers", "", 2, 1, 20,
                "least number of followers that brake so"},
        },
    },
    [NM_KIND_PARKED_PULL_OUT] = {
        .kind = NM_KIND_PARKED_PULL_OUT,
        .name = "parked_pull_out",
        .definition =
            "The actor stood at the side of the road and moves off into the way of the other, which comes from behind "
            "and has to brake.",
        .param_count = PULL_OUT_PARAMS,
        .params = {
            [PULL_OUT_MIN_STANDING] = {"min_standing", "s", 1, 0.5f, 60,
                "least time that the actor stood, as far as the scene shows (chosen)"},
            [PULL_OUT_MIN_OFFSET] = {"min_offset", "m", 1.2f, 0, 10,
                "least distance of its centre from the middle of a lane for running traffic while it stood (chosen: "
                "who drives is nearer)"},
            [PULL_OUT_MIN_SHIFT] = {"min_shift", "m", 0.8f, 0.1f, 5,
                "least way towards the line of the other when it gets in its way (chosen)"},
            [PULL_OUT_MAX_TIME] = {"max_time", "s", 8, 0.5f, 30,
                "most time from moving off to getting in the other's way (chosen)"},
            [PULL_OUT_MAX_GAP] = {"max_gap", "m", 50, 1, 120,
                "most gap from the other to the actor then (chosen)"},
            [PULL_OUT_MIN_SPEED] = {"min_speed", "m/s", 3, 0, 50,
                "least speed of the other then (as for cut_in)"},
            [PULL_OUT_MIN_BRAKE] = {"min_brake", "m/s^2", 2, 0, 15,
                "least deceleration that the other needs, or brakes with, within 3 s (chosen: above everyday slowing)"},
        },
    },
    [NM_KIND_OCCLUDED_PEDESTRIAN] = {
        .kind = NM_KIND_OCCLUDED_PEDESTRIAN,
        .name = "occluded_pedestrian",
        .definition =
            "The actor, a pedestrian, walks into the way of the other, a moving vehicle, from behind an object or "
            "vehicle that hid it from the other's front until shortly before.",
        .param_count = OCCLUDED_PARAMS,
        .params = {
            [OCCLUDED_MIN_HIDDEN] = {"min_hidden", "s", 0.5f, 0.1f, 20,
                "least time that both its sides and its middle were hidden, without a break (chosen)"},
            [OCCLUDED_MAX_VISIBLE] = {"max_visible", "s", 1.5f, 0, 10,
                "most time from its coming into sight to its getting in the way (chosen: a reaction of 0.75 s (R157), "
                "twice; in Euro NCAP's CPNCO-50 a child steps out from behind parked cars)"},
            [OCCLUDED_MAX_TIME] = {"max_time", "s", 3, 0.2f, 10,
                "most time that the vehicle then needs to reach it (chosen)"},
            [OCCLUDED_MIN_SPEED] = {"min_speed", "m/s", 2, 0, 50,
                "least speed of the vehicle then (as for pedestrian_crossing)"},
            [OCCLUDED_MIN_WALK] = {"min_walk", "m/s", 0.5f, 0, 10,
                "least speed of the pedestrian then (chosen: one who stands is not walking out)"},
            [OCCLUDED_MARGIN] = {"margin", "m", 0.3f, 0, 3,
                "added to both sides of the vehicle's way (chosen)"},
            [OCCLUDED_MIN_HEIGHT] = {"min_height", "m", 1, 0, 5,
                "least height of what hides, where heights are known (chosen: a child)"},
        },
    },
    [NM_KIND_BLOCKED_LANE] = {
        .kind = NM_KIND_BLOCKED_LANE,
        .name = "blocked_lane",
        .definition =
            "The actor, an obstacle or a vehicle that stands (not queueing, not waiting at a junction), closes a lane, "
            "and the other has to stop for it or swerve.",
        .param_count = BLOCKED_PARAMS,
        .params = {
            [BLOCKED_MIN_STANDING] = {"min_standing", "s", 3, 0.5f, 60,
                "least time that a vehicle has been standing before the other comes near (chosen); obstacles and "
                "parked vehicles always have"},
            [BLOCKED_MAX_ROOM] = {"max_room", "m", 2, 0, 5,
                "most width of the lane left free beside it (chosen: a car with its mirrors needs more)"},
            [BLOCKED_MIN_SPEED] = {"min_speed", "m/s", 4, 0, 50,
                "least speed of the other when it comes near (as for lead_stopped)"},
            [BLOCKED_MAX_TIME] = {"max_time", "s", 4, 0.5f, 20,
                "near: the gap is driven in this time (chosen)"},
            [BLOCKED_MAX_STOP] = {"max_stop", "m", 15, 0.5f, 50,
                "most gap at which a stop is one for it (chosen)"},
            [BLOCKED_MIN_SHIFT] = {"min_shift", "m", 1, 0.1f, 5,
                "least sideways way that is a swerve (chosen)"},
            [BLOCKED_MIN_FREE] = {"min_free", "m", 20, 0, 100,
                "least gap ahead of a standing vehicle, to the next vehicle or to a junction; nearer it queues or "
                "waits (chosen)"},
        },
    },
    [NM_KIND_SUDDEN_U_TURN] = {
        .kind = NM_KIND_SUDDEN_U_TURN,
        .name = "sudden_u_turn",
        .definition =
            "The actor turns back within a few seconds, and the other closes in on it meanwhile.",
        .param_count = U_TURN_PARAMS,
        .params = {
            [U_TURN_MIN_ANGLE] = {"min_angle", "rad", 2.62f, 1.75f, 3.14f,
                "least change of heading (150 degrees)"},
            [U_TURN_MAX_TIME] = {"max_time", "s", 7, 1, 30,
                "most time of it (chosen: a half circle of 5.5 m radius at 2.5 m/s)"},
            [U_TURN_MIN_WAY] = {"min_way", "m", 5, 0, 50,
                "least way driven meanwhile (chosen: headings of standing tracks flip)"},
            [U_TURN_MAX_TTC] = {"max_ttc", "s", 3, 0.2f, 10,
                "most time until the other reaches the actor along its lane (chosen)"},
            [U_TURN_MIN_SPEED] = {"min_speed", "m/s", 3, 0, 50,
                "least speed of the other (chosen)"},
            [U_TURN_MAX_RATE] = {"max_rate", "rad/s", 2.5f, 0.5f, 30,
                "most turn rate; faster is a tracking error (chosen: 3.5 m radius at 8 m/s)"},
        },
    },
};
// clang-format on

const nm_detector_info *nm_detector(nm_kind kind) {
    NM_ASSERT((unsigned)kind < NM_KIND_COUNT);
    return &table[kind];
}

const char *nm_kind_name(nm_kind kind) {
    return nm_detector(kind)->name;
}

int nm_kind_from_name(const char *name, nm_kind *kind) {
    for (int i = 0; i < NM_KIND_COUNT; i++)
        if (strcmp(table[i].name, name) == 0) {
            *kind = (nm_kind)i;
            return 1;
        }
    return 0;
}

nm_detect_params nm_detect_params_default(void) {
    nm_detect_params params = {.criticality = nm_criticality_params_default(), .enabled = (1u << NM_KIND_COUNT) - 1};
    for (int i = 0; i < NM_KIND_COUNT; i++)
        for (size_t j = 0; j < table[i].param_count; j++) params.values[i][j] = table[i].params[j].value;
    return params;
}

static nm_status unknown_param(const nm_detector_info *info, const char *name, nm_error *error) {
    char names[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < info->param_count && used < sizeof names; i++) {
        int wrote = snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", info->params[i].name);
        if (wrote > 0) used += (size_t)wrote;
    }
    return NM_ERROR(error, NM_E_ARGUMENT, "%s has no parameter '%.60s'; it has %s", info->name, name, names);
}

nm_status nm_detect_params_set(nm_detect_params *params, const char *name, double value, nm_error *error) {
    NM_ASSERT(params && name);
    const char *dot = strchr(name, '.');
    if (!dot) return NM_ERROR(error, NM_E_ARGUMENT, "'%.80s' is not KIND.PARAMETER, such as cut_in.max_gap", name);
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        const nm_detector_info *info = &table[i];
        if (strlen(info->name) != (size_t)(dot - name) || strncmp(info->name, name, (size_t)(dot - name)) != 0)
            continue;
        for (size_t j = 0; j < info->param_count; j++) {
            const nm_detector_param *param = &info->params[j];
            if (strcmp(param->name, dot + 1) != 0) continue;
            float given = (float)value; // compared as stored: the bound 0.1f is not the double 0.1
            if (!(given >= param->min && given <= param->max))
                return NM_ERROR(error, NM_E_ARGUMENT, "%.80s must be between %g and %g %s, not %g", name,
                                (double)param->min, (double)param->max, param->unit, value);
            params->values[i][j] = given;
            return NM_OK;
        }
        return unknown_param(info, dot + 1, error);
    }
    return NM_ERROR(error, NM_E_ARGUMENT, "there is no kind '%.*s'; see nearmiss mine --list-kinds",
                    (int)(dot - name > 60 ? 60 : dot - name), name);
}
