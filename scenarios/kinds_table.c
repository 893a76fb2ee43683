// The table of kinds: roles, what the map must offer, parameters and their sources.
//
// R157 = UNECE Regulation 157 (ALKS): names and values of its public OpenSCENARIO test cases, 4.2 (target blocks the
// lane), 4.3 (lead brakes, 9.81 m/s^2), 4.4 (cut-in: Ve0 16.67 m/s, dx0 30 m, Vy 2 m/s), 4.5 (cut-out: dx0 38.3 m,
// dx0_f 50 m). Euro NCAP = the 2023 car, pedestrian and bicycle cases (CCRs, CCRb, CCFtap, CPNA, CPFA, CBNA, ...).
// NHTSA = pre-crash scenarios of DOT HS 810 767, by name. "chosen" = set so that generated events look like those found
// in recorded traffic and a reacting driver can still meet the severity.
#include <string.h>

#include "scenarios/kinds.h"

// clang-format off
// id, name, unit, bounds, fallback of near misses and of collisions, critical end, free, source
#define EGO_SPEED(near_low, near_high, hit_low, hit_high)                                                              \
    {NM_PARAM_EGO_SPEED, "ego_speed", "m/s", {3, 40}, {{(near_low), (near_high)}, {(hit_low), (hit_high)}}, 0, 0,      \
     "of the ego at the start; cut to 55..100 % of what the road allows (R157: Ve0, 16.67 m/s)"}
#define MIN_TTC                                                                                                        \
    {NM_PARAM_MIN_TTC, "min_ttc", "s", {0, 10}, {{0.05f, 3}, {0, 0}}, 0, 0,                                            \
     "least time to collision of the two (exact sweep), near misses only (below 1.5 s critical, 3 s noticeable)"}
#define PREDICTED_PET(near_high, hit_low, hit_high)                                                                    \
    {NM_PARAM_PREDICTED_PET, "predicted_pet", "s", {-2, 4}, {{0.1f, (near_high)}, {(hit_low), (hit_high)}}, -1, 0,     \
     "time from the adversary's leaving the strip that the ego drives over to the ego's coming to where it crossed, "  \
     "had it not braked (PrET; below 1 to 1.5 s critical)"}
#define LATERAL_SPEED                                                                                                  \
    {NM_PARAM_LATERAL_SPEED, "lateral_speed", "m/s", {0.6f, 3}, {{0.9f, 2}, {1.2f, 2.4f}}, 0, 0,                       \
     "largest speed of the adversary across its lane (R157: Vy 2 m/s)"}
#define ROAD_SPEED(low, high)                                                                                          \
    {NM_PARAM_SPEED, "speed", "m/s", {1.5f, 40}, {{(low), (high)}, {(low), (high)}}, 0, 0,                             \
     "of the adversary, the largest where it crosses the ego's way, else at the moment of the next one (chosen)"}
#define REACTION(near_low, near_high, hit_low)                                                                         \
    {NM_PARAM_REACTION, "reaction", "s", {0, 2.5f}, {{(near_low), (near_high)}, {(hit_low), 1.6f}}, 1, 1,              \
     "for which the ego keeps its velocity after there is something to see (R157's driver: 0.75 s, and 0.4 s to "      \
     "perceive); not measured where it did not keep it before, or keeps it to the end"}
#define LANE_CHANGES (NM_NEED_ROAD | NM_NEED_ADJACENT_LANE)
#define BOTH 3u
#define NEAR_MISS_ONLY 1u

static const nm_kind_spec table[NM_KIND_COUNT] = {
    [NM_KIND_CUT_IN] = {
        .kind = NM_KIND_CUT_IN, .name = "cut_in",
        .definition = "The adversary comes from the lane beside into the ego's, closely before it.",
        .generable = 1, .severities = BOTH,
        .ego = "keeps its lane", .adversary = "changes lanes in front of it", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = LANE_CHANGES, .violations = NM_VIOLATION_HEADWAY,
        .typology = "vehicles changing lanes, same direction", .tests = "R157 4.4",
        .param_count = 6,
        .params = {
            EGO_SPEED(6, 36, 6, 36),
            {NM_PARAM_GAP, "gap", "m", {1, 30}, {{4, 9}, {3, 6}}, -1, 0,
             "bumper to bumper when the adversary's box first reaches over the border of the ego's lane (R157: dx0, "
             "30 m)"},
            {NM_PARAM_CLOSING, "closing", "m/s", {-2, 15}, {{2.2f, 4.2f}, {4, 7}}, 1, 0,
             "by which the ego is faster then (R157: Ve0 - Vo0)"},
            LATERAL_SPEED,
            {NM_PARAM_BRAKING, "braking", "m/s^2", {0, 9}, {{0, 4}, {0, 9}}, 1, 1,
             "hardest of the adversary within 4 s after its middle is over the border (chosen)"},
            MIN_TTC,
        },
    },
    [NM_KIND_CUT_OUT] = {
        .kind = NM_KIND_CUT_OUT, .name = "cut_out",
        .definition = "The adversary, which the ego follows, leaves the lane and reveals a slow vehicle ahead.",
        .generable = 1, .severities = BOTH,
        .ego = "follows in its lane", .adversary = "leads, then changes lanes", .others = "slow vehicle ahead",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = LANE_CHANGES, .violations = 0,
        .typology = "following vehicle making a manoeuvre; lead vehicle moving slower", .tests = "R157 4.5",
        .param_count = 7,
        .params = {
            EGO_SPEED(7, 22, 12, 36),
            {NM_PARAM_HEADWAY, "headway", "s", {0.4f, 2.5f}, {{0.6f, 1.3f}, {0.4f, 0.9f}}, -1, 0,
             "of the ego to the adversary when that has moved 0.1 m aside (R157: dx0 38.3 m at 16.67 m/s = 2.3 s)"},
            {NM_PARAM_REVEAL, "reveal", "m", {2, 60}, {{2, 9}, {2, 6}}, -1, 1,
             "from the adversary's front to the slow vehicle's rear when its box has left the lane (R157: dx0_f, 50 "
             "m)"},
            {NM_PARAM_REVEALED_SPEED, "revealed_speed", "m/s", {0, 25}, {{0, 3}, {0, 2}}, -1, 0,
             "of the slow vehicle then (R157: stands)"},
            {NM_PARAM_LATERAL_SPEED, "lateral_speed", "m/s", {0.6f, 3}, {{1, 2.2f}, {1.6f, 2.8f}}, 1, 0,
             "largest speed of the adversary across its lane (R157: Vy 2 m/s)"},
            REACTION(0, 0.5f, 0.4f),
            MIN_TTC,
        },
    },
    [NM_KIND_HARD_BRAKE] = {
        .kind = NM_KIND_HARD_BRAKE, .name = "hard_brake",
        .definition = "The adversary leads the ego and brakes hard to a standstill.",
        .generable = 1, .severities = BOTH,
        .ego = "follows", .adversary = "leads and brakes", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD, .violations = NM_VIOLATION_STOPPING,
        .typology = "lead vehicle decelerating", .tests = "R157 4.3; Euro NCAP CCRb",
        .param_count = 5,
        .params = {
            EGO_SPEED(6, 36, 6, 36),
            {NM_PARAM_HEADWAY, "headway", "s", {0.1f, 2.8f}, {{0.5f, 1.5f}, {0.3f, 1}}, -1, 0,
             "of the ego when the adversary's braking passes half of its hardest (CCRb: 12 and 40 m at 13.9 m/s = "
             "0.9, 2.9 s)"},
            {NM_PARAM_DECELERATION, "deceleration", "m/s^2", {4.6f, 9.5f}, {{5, 9}, {6, 9.5f}}, 1, 0,
             "hardest of the adversary (R157: 9.81; CCRb: 2 and 6)"},
            REACTION(0, 0.5f, 0.6f),
            MIN_TTC,
        },
    },
    [NM_KIND_REAR_END] = {
        .kind = NM_KIND_REAR_END, .name = "rear_end",
        .definition = "The adversary comes up behind the ego far too fast and brakes too late.",
        .generable = 1, .severities = BOTH,
        .ego = "keeps its lane and speed", .adversary = "comes from behind", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD, .violations = NM_VIOLATION_HEADWAY | NM_VIOLATION_SPEEDING,
        .typology = "lead vehicle moving at lower constant speed", .tests = "Euro NCAP CCRm, with the ego as target",
        .param_count = 4,
        .params = {
            EGO_SPEED(5, 36, 5, 36),
            {NM_PARAM_CLOSING, "closing", "m/s", {5, 20}, {{6, 12}, {5, 15}}, 1, 0,
             "by which it is faster when its braking passes half of its hardest, or at the contact (CCRm: 8.3 m/s)"},
            {NM_PARAM_BRAKE_TTC, "brake_ttc", "s", {0, 2}, {{0.6f, 0.95f}, {0, 0.4f}}, -1, 1,
             "time to collision then; 0 when it does not brake before the contact (R157's AEB: 1.5 s)"},
            MIN_TTC,
        },
    },
    [NM_KIND_LEAD_STOPPED] = {
        .kind = NM_KIND_LEAD_STOPPED, .name = "lead_stopped",
        .definition = "The adversary stands in the ego's lane, noticed late.",
        .generable = 1, .severities = BOTH,
        .ego = "comes up to it", .adversary = "stands", .others = "",
        .actor = NM_ROLE_EGO, .other_named = 1,
        .needs = NM_NEED_ROAD, .violations = NM_VIOLATION_STOPPING,
        .typology = "lead vehicle stopped", .tests = "R157 4.2; Euro NCAP CCRs",
        .param_count = 3,
        .params = {
            EGO_SPEED(9, 30, 5, 36),
            {NM_PARAM_WARNING, "warning", "s", {0.3f, 4}, {{1.1f, 1.9f}, {0.4f, 0.75f}}, -1, 1,
             "gap over the ego's speed when that begins to brake; the scene begins 2 s before (CCRs: 4 s, for a "
             "system)"},
            MIN_TTC,
        },
    },
    [NM_KIND_MERGE_CONFLICT] = {
        .kind = NM_KIND_MERGE_CONFLICT, .name = "merge_conflict",
        .definition = "The adversary comes from a lane that ends or a ramp into the ego's, closely before it and "
            "slower.",
        .generable = 1, .severities = BOTH,
        .ego = "drives on the through lane", .adversary = "merges in front of it", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD | NM_NEED_ENDING_LANE, .violations = NM_VIOLATION_PRIORITY,
        .typology = "vehicles changing lanes, same direction", .tests = "R157 4.4",
        .param_count = 6,
        .params = {
            EGO_SPEED(6, 36, 6, 36),
            {NM_PARAM_GAP, "gap", "m", {1, 25}, {{4, 9}, {3, 6}}, -1, 0, "as for cut_in"},
            {NM_PARAM_CLOSING, "closing", "m/s", {1, 15}, {{2.2f, 4.2f}, {4, 6.5f}}, 1, 0, "as for cut_in"},
            LATERAL_SPEED,
            {NM_PARAM_BRAKING, "braking", "m/s^2", {0, 9}, {{0, 4}, {0, 9}}, 1, 1, "as for cut_in"},
            MIN_TTC,
        },
    },
    [NM_KIND_UNPROTECTED_LEFT_TURN] = {
        .kind = NM_KIND_UNPROTECTED_LEFT_TURN, .name = "unprotected_left_turn",
        .definition = "The adversary comes from ahead and turns left across the ego's way.",
        .generable = 1, .severities = BOTH,
        .ego = "goes straight on with the right of way", .adversary = "turns left before it", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD | NM_NEED_LEFT_TURN, .violations = NM_VIOLATION_PRIORITY,
        .typology = "left turn across path from opposite directions", .tests = "Euro NCAP CCFtap, with roles exchanged",
        .param_count = 5,
        .params = {EGO_SPEED(6, 16, 6, 16), ROAD_SPEED(3, 6), PREDICTED_PET(1.2f, -1.2f, -0.2f),
                   REACTION(0, 0.5f, 0.4f), MIN_TTC},
    },
    [NM_KIND_CROSSING_CONFLICT] = {
        .kind = NM_KIND_CROSSING_CONFLICT, .name = "crossing_conflict",
        .definition = "The adversary crosses the ego's way from the side without giving way.",
        .generable = 1, .severities = BOTH,
        .ego = "goes straight on", .adversary = "crosses from the side", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD | NM_NEED_CROSSING_LANE, .violations = NM_VIOLATION_PRIORITY | NM_VIOLATION_STOP_LINE,
        .typology = "straight crossing paths at non-signalised junctions", .tests = "Euro NCAP CCCscp",
        .param_count = 5,
        .params = {EGO_SPEED(6, 16, 6, 16), ROAD_SPEED(5, 14), PREDICTED_PET(1.2f, -0.75f, -0.15f),
                   REACTION(0, 0.5f, 0.4f), MIN_TTC},
    },
    [NM_KIND_RED_LIGHT_RUNNER] = {
        .kind = NM_KIND_RED_LIGHT_RUNNER, .name = "red_light_runner",
        .definition = "The adversary drives through its red signal across the ego's way.",
        .generable = 1, .severities = BOTH,
        .ego = "goes straight on at green", .adversary = "crosses at red", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 0,
        .needs = NM_NEED_ROAD | NM_NEED_SIGNAL, .violations = NM_VIOLATION_RED_LIGHT | NM_VIOLATION_PRIORITY,
        .typology = "running red light", .tests = "Euro NCAP CCCscp",
        .param_count = 5,
        .params = {EGO_SPEED(6, 16, 6, 16), ROAD_SPEED(8, 15), PREDICTED_PET(1.2f, -1, -0.2f),
                   REACTION(0, 0.5f, 0.4f), MIN_TTC},
    },
    [NM_KIND_RIGHT_TURN_CONFLICT] = {
        .kind = NM_KIND_RIGHT_TURN_CONFLICT, .name = "right_turn_conflict",
        .definition = "The adversary turns right into the ego's lane, closely before it and slower.",
        .generable = 1, .severities = BOTH,
        .ego = "goes straight on with the right of way", .adversary = "turns right before it", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD | NM_NEED_RIGHT_TURN, .violations = NM_VIOLATION_PRIORITY,
        .typology = "vehicles turning at non-signalised junctions", .tests = "",
        .param_count = 5,
        .params = {EGO_SPEED(6, 15, 6, 15), ROAD_SPEED(3, 5),
            {NM_PARAM_PREDICTED_PET, "predicted_pet", "s", {-2, 3}, {{0.1f, 1.2f}, {-0.8f, 0}}, -1, 0,
             "time from the adversary's box being over the border of the ego's lane to the ego's coming to its rear, "
             "had it not "
             "braked"},
            {NM_PARAM_REACTION, "reaction", "s", {0, 2.5f}, {{0.2f, 1.4f}, {0.7f, 1.6f}}, 1, 1,
             "until the ego notices; who gives room to those who merge is hard to bring close without it"}, MIN_TTC},
    },
    [NM_KIND_PEDESTRIAN_CROSSING] = {
        .kind = NM_KIND_PEDESTRIAN_CROSSING, .name = "pedestrian_crossing",
        .definition = "The adversary, a pedestrian, walks onto the road across the ego's way.",
        .generable = 1, .severities = BOTH,
        .ego = "drives on the street", .adversary = "walks across", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD | NM_NEED_STREET, .violations = NM_VIOLATION_PRIORITY | NM_VIOLATION_JAYWALK,
        .typology = "pedestrian crash without prior vehicle manoeuvre", .tests = "Euro NCAP CPNA, CPFA; R157 4.2",
        .param_count = 4,
        .params = {EGO_SPEED(5, 15, 5, 15),
            {NM_PARAM_SPEED, "speed", "m/s", {0.8f, 3}, {{1.2f, 2.2f}, {1.2f, 2.2f}}, 0, 0,
             "largest of the pedestrian on the strip that the ego drives over (Euro NCAP: 5 and 8 km/h = 1.39 and "
             "2.22)"},
            PREDICTED_PET(1.2f, -1.2f, -0.2f), MIN_TTC},
    },
    [NM_KIND_CYCLIST_CROSSING] = {
        .kind = NM_KIND_CYCLIST_CROSSING, .name = "cyclist_crossing",
        .definition = "The adversary, a cyclist, rides across the ego's way.",
        .generable = 1, .severities = BOTH,
        .ego = "drives on the street", .adversary = "rides across", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD | NM_NEED_STREET, .violations = NM_VIOLATION_PRIORITY | NM_VIOLATION_OFF_ROAD,
        .typology = "pedalcyclist crash without prior vehicle manoeuvre", .tests = "Euro NCAP CBNA, CBFA",
        .param_count = 4,
        .params = {EGO_SPEED(5, 15, 5, 15),
            {NM_PARAM_SPEED, "speed", "m/s", {2, 8}, {{3, 5.5f}, {3, 5.5f}}, 0, 0,
             "largest of the cyclist on the strip that the ego drives over (Euro NCAP: 15 km/h = 4.17)"},
            PREDICTED_PET(1.2f, -1, -0.2f), MIN_TTC},
    },
    [NM_KIND_WRONG_WAY] = {
        .kind = NM_KIND_WRONG_WAY, .name = "wrong_way",
        .definition = "The adversary comes towards the ego in the ego's lane, against its direction, and stops late.",
        .generable = 1, .severities = BOTH,
        .ego = "drives in its lane", .adversary = "drives against it", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 0,
        .needs = NM_NEED_ROAD, .violations = NM_VIOLATION_WRONG_WAY,
        .typology = "vehicles not making a manoeuvre, opposite direction", .tests = "Euro NCAP CCFhos",
        .param_count = 4,
        .params = {EGO_SPEED(5, 36, 5, 36), ROAD_SPEED(5, 18),
            {NM_PARAM_BRAKE_TTC, "brake_ttc", "s", {0, 4}, {{1.2f, 2.5f}, {0, 0.8f}}, -1, 1,
             "time until they would meet when its braking passes half of its hardest; 0 when it does not before the "
             "contact"},
            MIN_TTC},
    },
    [NM_KIND_TAILGATE] = {
        .kind = NM_KIND_TAILGATE, .name = "tailgate",
        .definition = "The adversary follows the ego at far too short a headway.",
        .generable = 1, .severities = NEAR_MISS_ONLY,
        .ego = "keeps its lane", .adversary = "follows closely", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD, .violations = NM_VIOLATION_HEADWAY,
        .typology = "following vehicle making a manoeuvre", .tests = "",
        .param_count = 2,
        .params = {
            {NM_PARAM_EGO_SPEED, "ego_speed", "m/s", {9, 40}, {{9, 36}, {9, 36}}, 0, 0,
             "of the ego at the start (Ve0)"},
            {NM_PARAM_HEADWAY, "headway", "s", {0.15f, 0.85f}, {{0.25f, 0.8f}, {0.25f, 0.8f}}, -1, 0,
             "of the adversary, mean over the event (fined in Germany below 0.9 s)"},
        },
    },
    [NM_KIND_LANE_DRIFT] = {
        .kind = NM_KIND_LANE_DRIFT, .name = "lane_drift",
        .definition = "The adversary, beside the ego, drifts over the border towards it and comes back.",
        .generable = 1, .severities = BOTH,
        .ego = "keeps its lane", .adversary = "drifts in the lane beside", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = LANE_CHANGES, .violations = NM_VIOLATION_LANE_KEEPING,
        .typology = "vehicles drifting, same direction", .tests = "R157 4.1 (swerving side)",
        .param_count = 3,
        .params = {
            EGO_SPEED(8, 36, 9, 36),
            {NM_PARAM_OVERHANG, "overhang", "m", {0.35f, 1.6f}, {{0.4f, 0.75f}, {1, 1.3f}}, 1, 1,
             "largest part of its box over the border of the ego's lane, turned as it is (chosen)"},
            {NM_PARAM_DURATION, "duration", "s", {0.8f, 4.5f}, {{1.2f, 3}, {1.2f, 3}}, 0, 0,
             "for which any of its box is over it (chosen)"},
        },
    },
    [NM_KIND_HEAD_ON] = {
        .kind = NM_KIND_HEAD_ON, .name = "head_on",
        .definition = "The adversary comes from ahead and strays from the oncoming lane into the ego's.",
        .generable = 1, .severities = BOTH,
        .ego = "keeps its lane", .adversary = "strays into it", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD | NM_NEED_ONCOMING_LANE, .violations = NM_VIOLATION_WRONG_WAY,
        .typology = "vehicles making a manoeuvre, opposite direction", .tests = "Euro NCAP CCFhol",
        .param_count = 4,
        .params = {EGO_SPEED(6, 16, 6, 16), ROAD_SPEED(6, 13),
            {NM_PARAM_BRAKE_TTC, "return_ttc", "s", {0, 2.5f}, {{1.1f, 1.7f}, {0, 0.3f}}, -1, 1,
             "time until they would meet when it is 0.1 m back from the furthest; 0 when it is not before the contact"},
            MIN_TTC},
    },
    [NM_KIND_NEAR_MISS] = {
        .kind = NM_KIND_NEAR_MISS, .name = "near_miss",
        .definition = "No manoeuvre: a severity of the other kinds, in which the two do not touch.",
        .ego = "", .adversary = "", .others = "", .typology = "", .tests = "", .other_named = 1,
    },
    [NM_KIND_COLLISION] = {
        .kind = NM_KIND_COLLISION, .name = "collision",
        .definition = "No manoeuvre: a severity of the other kinds, in which the two touch.",
        .ego = "", .adversary = "", .others = "", .typology = "", .tests = "", .other_named = 1,
    },
    [NM_KIND_CHAIN_BRAKE] = {
        .kind = NM_KIND_CHAIN_BRAKE, .name = "chain_brake",
        .definition = "The adversary leads the ego and brakes hard; a third one follows the ego and has to brake, too.",
        .generable = 1, .severities = NEAR_MISS_ONLY,
        .ego = "follows", .adversary = "leads and brakes", .others = "follows the ego",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD, .violations = NM_VIOLATION_STOPPING,
        .typology = "lead vehicle decelerating", .tests = "R157 4.3",
        .param_count = 4,
        .params = {
            {NM_PARAM_EGO_SPEED, "ego_speed", "m/s", {9, 40}, {{12, 36}, {12, 36}}, 0, 0,
             "of the ego at the start (Ve0)"},
            {NM_PARAM_HEADWAY, "headway", "s", {0.2f, 2}, {{0.5f, 1}, {0.5f, 1}}, 0, 0,
             "of the ego when the adversary's braking passes half of its hardest, and about that of who follows it"},
            {NM_PARAM_DECELERATION, "deceleration", "m/s^2", {5, 9.5f}, {{7, 9}, {7, 9}}, 1, 0,
             "of the adversary (R157: 9.81)"},
            MIN_TTC,
        },
    },
    [NM_KIND_PARKED_PULL_OUT] = {
        .kind = NM_KIND_PARKED_PULL_OUT, .name = "parked_pull_out",
        .definition = "The adversary stands at the roadside and pulls out in front of the ego.",
        .generable = 1, .severities = BOTH,
        .ego = "keeps its lane", .adversary = "moves off into it", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD | NM_NEED_STREET | NM_NEED_ROADSIDE, 
        .violations = NM_VIOLATION_PRIORITY | NM_VIOLATION_OFF_ROAD,
        .typology = "vehicles parking, same direction", .tests = "",
        .param_count = 4,
        .params = {
            EGO_SPEED(6, 15, 6, 15),
            {NM_PARAM_HEADWAY, "headway", "s", {0.2f, 4}, {{0.7f, 1.7f}, {0.3f, 0.6f}}, -1, 1,
             "of the ego to the adversary when that reaches into the strip that the ego drives over (CARLA's "
             "ParkingCutIn: 2.35 s)"},
            REACTION(0.4f, 1.2f, 0.4f),
            MIN_TTC,
        },
    },
    [NM_KIND_OCCLUDED_PEDESTRIAN] = {
        .kind = NM_KIND_OCCLUDED_PEDESTRIAN, .name = "occluded_pedestrian",
        .definition = "The adversary, a pedestrian, walks onto the road from behind a parked vehicle.",
        .generable = 1, .severities = BOTH,
        .ego = "drives on the street", .adversary = "walks out", .others = "parked vehicle that hides it",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD | NM_NEED_STREET | NM_NEED_ROADSIDE, 
        .violations = NM_VIOLATION_PRIORITY | NM_VIOLATION_JAYWALK,
        .typology = "pedestrian crash without prior vehicle manoeuvre", .tests = "Euro NCAP CPNCO-50",
        .param_count = 4,
        .params = {EGO_SPEED(7, 15, 6, 15),
            {NM_PARAM_SPEED, "speed", "m/s", {0.8f, 3}, {{1.4f, 2.2f}, {1.2f, 2.2f}}, 0, 0,
             "largest of the pedestrian on the strip that the ego drives over (Euro NCAP: 5 km/h = 1.39)"},
            PREDICTED_PET(0.7f, -1.2f, -0.2f), MIN_TTC},
    },
    [NM_KIND_BLOCKED_LANE] = {
        .kind = NM_KIND_BLOCKED_LANE, .name = "blocked_lane",
        .definition = "The adversary, a broken-down vehicle, closes the ego's lane, noticed late.",
        .generable = 1, .severities = NEAR_MISS_ONLY,
        .ego = "comes up to it", .adversary = "stands for good", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD, .violations = NM_VIOLATION_STOPPING,
        .typology = "lead vehicle stopped", .tests = "R157 4.2",
        .param_count = 3,
        .params = {
            EGO_SPEED(5, 36, 5, 36),
            {NM_PARAM_WARNING, "warning", "s", {0.9f, 5}, {{1.2f, 2.6f}, {0.9f, 1.5f}}, -1, 1,
             "gap over the ego's speed when that begins to brake; the scene begins 2 s before"},
            MIN_TTC,
        },
    },
    [NM_KIND_SUDDEN_U_TURN] = {
        .kind = NM_KIND_SUDDEN_U_TURN, .name = "sudden_u_turn",
        .definition = "The adversary turns back from the right edge of the road across the ego's way.",
        .generable = 1, .severities = NEAR_MISS_ONLY,
        .ego = "keeps its lane", .adversary = "turns back across it", .others = "",
        .actor = NM_ROLE_ADVERSARY, .other_named = 1,
        .needs = NM_NEED_ROAD | NM_NEED_STREET | NM_NEED_TURNING_ROOM,
        .violations = NM_VIOLATION_PRIORITY | NM_VIOLATION_WRONG_WAY | NM_VIOLATION_OFF_ROAD, // it stood beside it
        .typology = "vehicles making a manoeuvre, opposite direction", .tests = "",
        .param_count = 5,
        .params = {EGO_SPEED(6, 14, 6, 14),
            {NM_PARAM_SPEED, "speed", "m/s", {3, 5}, {{3.2f, 4.2f}, {3.2f, 4.2f}}, 0, 0,
             "largest of the adversary on the strip that the ego drives over (half circle of 5.4 m radius)"},
            {NM_PARAM_PREDICTED_PET, "predicted_pet", "s", {-3, 2}, {{-0.9f, 0.8f}, {-0.9f, 0.8f}}, -1, 0,
             "time from the adversary's leaving the strip that the ego drives over to the ego's coming to where it "
             "crossed, had "
             "it not braked"},
            REACTION(0, 1.4f, 0.4f), MIN_TTC},
    },
};
// clang-format on

const nm_kind_spec *nm_kind_spec_of(nm_kind kind) {
    NM_ASSERT((unsigned)kind < NM_KIND_COUNT);
    return &table[kind];
}

int nm_kind_param_index(nm_kind kind, nm_kind_param_id id) {
    const nm_kind_spec *spec = nm_kind_spec_of(kind);
    for (size_t i = 0; i < spec->param_count; i++)
        if (spec->params[i].id == id) return (int)i;
    return -1;
}

static const char *const severity_names[NM_SEVERITY_COUNT] = {"near_miss", "collision"};

const char *nm_severity_name(nm_severity severity) {
    NM_ASSERT((unsigned)severity < NM_SEVERITY_COUNT);
    return severity_names[severity];
}

int nm_severity_from_name(const char *name, nm_severity *severity) {
    for (int i = 0; i < NM_SEVERITY_COUNT; i++)
        if (strcmp(severity_names[i], name) == 0) {
            *severity = (nm_severity)i;
            return 1;
        }
    return 0;
}

const char *nm_need_text(unsigned bit) {
    static const char *const texts[NM_NEED_COUNT] = {
        "a lane with 120 m of way through it",
        "a lane beside another that runs the same way, with a change allowed",
        "a lane that ends beside another, or a ramp beside one",
        "a lane beside another that runs the other way",
        "a lane that crosses another from the side, without signals",
        "a lane that turns left across one that comes from ahead",
        "a lane that turns right into another",
        "a lane with a signal that crosses another from the side",
        "a street on which people walk (no motorway or ramp, at most 60 km/h)",
        "an outermost lane",
        "ground beside a lane to turn back on",
    };
    int place = 0;
    while (bit > 1) {
        bit >>= 1;
        place++;
    }
    NM_ASSERT(place < NM_NEED_COUNT);
    return texts[place];
}
