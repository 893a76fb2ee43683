// A fixed-length description of a scene for similarity search.
//
// Distance: Euclidean. Every entry lies in [-1, 1] and is 0 when there is nothing to say, so that a difference of 1 in
// any entry weighs the same. "near(x, h)" = h / (h + x): 1 at zero, one half at h, 0 at infinity. "much(x, h)" =
// x / (h + |x|): 0 at zero, one half at h.
//
//    0 near(least time to collision, 2 s)            16 speed of the worst event's actor: much(.., 10 m/s)
//    1 near(least projected TTC, 2 s)                17 speed of its other: much(.., 10 m/s)
//    2 near(least distance, 2 m)                     18 closing speed: much(.., 5 m/s)
//    3 near(least time headway, 1 s)                 19 sideways speed: much(.., 1 m/s)
//    4 much(largest DRAC, 3.4 m/s^2)                 20 cosine of the angle between their headings
//    5 near(least PET, 1.5 s)                        21 sine of it (absolute)
//    6 near(least time to react, 1 s)                22 deceleration of the actor: much(.., 4 m/s^2)
//    7 much(time exposed to low TTC, 2 s)            23 mean speed of all who move: much(.., 10 m/s)
//    8 much(largest delta-v, 11.1 m/s)               24 largest speed: much(.., 20 m/s)
//    9 severity of the worst event                   25 vehicles: much(count, 20)
//   10 worst severity along the lane                 26 pedestrians: much(count, 5)
//      (hard_brake, rear_end, lead_stopped,          27 cyclists: much(count, 3)
//      tailgate, chain_brake, blocked_lane)          28 share of trucks and buses
//   11 .. across lanes (cut_in, cut_out,             29 density: much(agents per km of lane, 20)
//      merge_conflict, lane_drift, parked_pull_out)  30 road under the actor: +1 freeway, +0.5 ramp, -0.5 other,
//   12 .. at crossings (unprotected_left_turn,          -1 in a junction, 0 unknown
//      crossing_conflict, right_turn_conflict)       31 its curvature: much(20 m * curvature, 1), left positive
//   13 .. with pedestrians or cyclists (crossings, occluded_pedestrian)
//   14 .. against the rules (red_light_runner,
//      wrong_way, head_on, sudden_u_turn)
//   15 .. near_miss (0.5 at most) or collision
#include <math.h>
#include <string.h>

#include "scenarios/detect.h"

static float near(float value, float half) {
    if (!(value >= 0)) return value < 0 ? 1.0f : 0.0f; // NaN: nothing to say
    return isinf(value) ? 0.0f : half / (half + value);
}

static float much(float value, float half) {
    if (isnan(value)) return 0;
    if (isinf(value)) return value > 0 ? 1.0f : -1.0f;
    return value / (half + fabsf(value));
}

static int group(nm_kind kind) {
    switch (kind) {
    case NM_KIND_HARD_BRAKE:
    case NM_KIND_REAR_END:
    case NM_KIND_LEAD_STOPPED:
    case NM_KIND_TAILGATE:
    case NM_KIND_CHAIN_BRAKE:
    case NM_KIND_BLOCKED_LANE:
        return 10;
    case NM_KIND_CUT_IN:
    case NM_KIND_CUT_OUT:
    case NM_KIND_MERGE_CONFLICT:
    case NM_KIND_LANE_DRIFT:
    case NM_KIND_PARKED_PULL_OUT:
        return 11;
    case NM_KIND_UNPROTECTED_LEFT_TURN:
    case NM_KIND_CROSSING_CONFLICT:
    case NM_KIND_RIGHT_TURN_CONFLICT:
        return 12;
    case NM_KIND_PEDESTRIAN_CROSSING:
    case NM_KIND_CYCLIST_CROSSING:
    case NM_KIND_OCCLUDED_PEDESTRIAN:
        return 13;
    case NM_KIND_RED_LIGHT_RUNNER:
    case NM_KIND_WRONG_WAY:
    case NM_KIND_HEAD_ON:
    case NM_KIND_SUDDEN_U_TURN:
        return 14;
    case NM_KIND_NEAR_MISS:
    case NM_KIND_COLLISION:
    case NM_KIND_COUNT:
        break;
    }
    return 15;
}

static void criticality_entries(const nm_scene_criticality *criticality, float *feature) {
    feature[0] = near(criticality->min_ttc, 2);
    feature[1] = near(criticality->min_ttc_projected, 2);
    feature[2] = near(criticality->min_distance, 2);
    feature[3] = near(criticality->min_thw, 1);
    feature[4] = much(criticality->max_drac, 3.4f);
    feature[5] = near(criticality->min_pet, 1.5f);
    feature[6] = near(criticality->min_ttr, 1);
    feature[7] = much(criticality->tet, 2);
    feature[8] = much(criticality->max_delta_v, 11.1f);
}

// Speed of a track at a step; NaN when it is not there.
static float speed_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    if (track >= scene->track_count || step >= scene->step_count) return NAN;
    size_t at = nm_scene_at(scene, track, step);
    return scene->valid[at] ? hypotf(scene->vx[at], scene->vy[at]) : NAN;
}

static void road_entries(const nm_scene *scene, uint32_t track, uint32_t step, float *feature) {
    size_t at = nm_scene_at(scene, track, step);
    nm_frenet place = nm_map_match(scene->map, scene->x[at], scene->y[at], scene->heading[at], 5, NM_LANE_MASK_VEHICLE);
    if (place.lane == NM_NONE) return;
    const nm_lane *lane = &scene->map->lanes[place.lane];
    if (lane->flags & NM_LANE_JUNCTION)
        feature[30] = -1;
    else if (lane->type == NM_LANE_FREEWAY)
        feature[30] = 1;
    else
        feature[30] = lane->type == NM_LANE_RAMP ? 0.5f : -0.5f;
    feature[31] = much(20 * nm_map_rail(scene->map, place.lane, place.s).curvature, 1);
}

// What the worst event looks like at its moment.
static void event_entries(const nm_scene *scene, const nm_event *event, float *feature) {
    if (event->actor >= scene->track_count || event->critical_step >= scene->step_count) return;
    feature[16] = much(speed_at(scene, event->actor, event->critical_step), 10);
    feature[17] = much(speed_at(scene, event->other, event->critical_step), 10);
    feature[18] = much(event->closing_speed, 5);
    feature[19] = much(event->lateral_speed, 1);
    feature[22] = much(event->deceleration, 4);
    size_t at = nm_scene_at(scene, event->actor, event->critical_step);
    if (!scene->valid[at]) return;
    road_entries(scene, event->actor, event->critical_step, feature);
    if (event->other >= scene->track_count) return;
    size_t other = nm_scene_at(scene, event->other, event->critical_step);
    if (!scene->valid[other]) return;
    feature[20] = cosf(scene->heading[other] - scene->heading[at]);
    feature[21] = fabsf(sinf(scene->heading[other] - scene->heading[at]));
}

static void traffic_entries(const nm_scene *scene, float *feature) {
    double sum = 0, moving = 0, lanes = 0;
    float fastest = 0, vehicles = 0, pedestrians = 0, cyclists = 0, heavy = 0;
    for (uint32_t a = 0; a < scene->track_count; a++) {
        const nm_track *track = &scene->tracks[a];
        if (track->flags & NM_TRACK_STATIC) continue;
        vehicles += nm_agent_type_vehicle((nm_agent_type)track->type) ? 1.0f : 0.0f;
        pedestrians += track->type == NM_AGENT_PEDESTRIAN ? 1.0f : 0.0f;
        cyclists += track->type == NM_AGENT_CYCLIST ? 1.0f : 0.0f;
        heavy += track->type == NM_AGENT_TRUCK || track->type == NM_AGENT_BUS ? 1.0f : 0.0f;
        for (uint32_t t = track->first_step; t <= track->last_step && t < scene->step_count; t++) {
            float speed = speed_at(scene, a, t);
            if (!(speed > 0.5f)) continue;
            sum += (double)speed;
            moving += 1;
            fastest = fmaxf(fastest, speed);
        }
    }
    for (uint32_t i = 0; i < scene->map->lane_count; i++) lanes += (double)scene->map->lanes[i].length;
    feature[23] = moving > 0 ? much((float)(sum / moving), 10) : 0;
    feature[24] = much(fastest, 20);
    feature[25] = much(vehicles, 20);
    feature[26] = much(pedestrians, 5);
    feature[27] = much(cyclists, 3);
    feature[28] = vehicles > 0 ? heavy / vehicles : 0;
    feature[29] = lanes > 0 ? much((float)((double)(vehicles + cyclists) * 1000 / lanes), 20) : 0;
}

void nm_scene_feature(const nm_scene *scene, const nm_scene_criticality *criticality, const nm_event *events,
                      size_t event_count, float feature[NM_FEATURE_COUNT]) {
    NM_ASSERT(scene && feature && (events || event_count == 0));
    const nm_event *worst = NULL;
    memset(feature, 0, NM_FEATURE_COUNT * sizeof *feature);
    if (criticality) criticality_entries(criticality, feature);
    for (size_t i = 0; i < event_count; i++) {
        const nm_event *event = &events[i];
        float weight = event->kind == NM_KIND_NEAR_MISS ? 0.5f : 1.0f;
        float *entry = &feature[group(event->kind)];
        *entry = fmaxf(*entry, weight * event->severity);
        if (!worst || event->severity > worst->severity) worst = event;
    }
    if (worst) {
        feature[9] = worst->severity;
        event_entries(scene, worst, feature);
    }
    traffic_entries(scene, feature);
    for (int i = 0; i < NM_FEATURE_COUNT; i++)
        if (!isfinite(feature[i])) feature[i] = 0;
}
