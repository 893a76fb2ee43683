/// What is wrong with the states of a scene. Overlaps: scene_overlap.c; goals and map: scene_validate_map.c.
#include "sim/scene_validate.h"

#include <stdarg.h>
#include <stdio.h>

#include "sim/geometry.h"

#define JUMP_SLACK 2.0f    // m beyond what the speed allows
#define MAX_SPEED 70.0f    // m/s
#define HEADING_JUMP 0.5f  // rad
#define SPEED_SLACK 5.0f   // m/s
#define MIN_VEHICLE 0.3f   // m
#define MAX_SIZE 30.0f     // m
#define BORDER_REACH 50.0f // m: how far off the road is still measured

nm_issue *nm_issue_add(nm_issue_list *list, nm_issue_kind kind) {
    list->counts[kind]++;
    size_t at = list->total++;
    if (at >= list->max) return NULL;
    nm_issue *issue = &list->issues[at];
    *issue = (nm_issue){.kind = kind, .track = NM_NONE, .other = NM_NONE, .lane = NM_NONE};
    return issue;
}

void nm_issue_say(nm_issue *issue, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(issue->detail, sizeof issue->detail, format, arguments);
    va_end(arguments);
}

static long long id_of(const nm_scene *scene, uint32_t track) {
    return (long long)scene->tracks[track].source_id;
}

static void check_off_road(const nm_scene *scene, nm_issue_list *list) {
    if (!scene->map->lane_count) return;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const nm_track *track = &scene->tracks[i];
        if (!nm_agent_type_vehicle((nm_agent_type)track->type) || (track->flags & NM_TRACK_STATIC)) continue;
        if (track->first_step > track->last_step) continue;
        size_t at = nm_scene_at(scene, i, track->first_step);
        float x = scene->x[at], y = scene->y[at];
        if (nm_map_drivable(scene->map, x, y)) continue;
        nm_issue *issue = nm_issue_add(list, NM_ISSUE_OFF_ROAD_AT_START);
        if (!issue) continue;
        issue->track = i;
        issue->step = track->first_step;
        issue->value = nm_map_border_distance(scene->map, x, y, BORDER_REACH);
        nm_issue_say(issue, "track %lld starts %.2f m off the drivable area at step %u", id_of(scene, i),
                     (double)issue->value, issue->step);
    }
}

/// One kind of trouble between two successive states; returns 1 and the value when there is any.
typedef int between(const nm_scene *scene, size_t at, float *value);

static float moved(const nm_scene *scene, size_t at) {
    return nm_hypotf(scene->x[at + 1] - scene->x[at], scene->y[at + 1] - scene->y[at]);
}
static float speed_at(const nm_scene *scene, size_t at) {
    return nm_hypotf(scene->vx[at], scene->vy[at]);
}

static int is_jump(const nm_scene *scene, size_t at, float *value) {
    float fastest = nm_maxf(speed_at(scene, at), speed_at(scene, at + 1));
    *value = moved(scene, at);
    return *value > fastest * scene->dt + JUMP_SLACK || *value > MAX_SPEED * scene->dt;
}

static int is_heading_jump(const nm_scene *scene, size_t at, float *value) {
    *value = fabsf(nm_wrap_angle(scene->heading[at + 1] - scene->heading[at]));
    return *value > HEADING_JUMP;
}

static int is_speed_mismatch(const nm_scene *scene, size_t at, float *value) {
    float stated = 0.5f * (speed_at(scene, at) + speed_at(scene, at + 1));
    *value = fabsf(moved(scene, at) / scene->dt - stated);
    return *value > SPEED_SLACK;
}

static void check_pairs_of_states(const nm_scene *scene, nm_issue_kind kind, between *test, const char *what,
                                  nm_issue_list *list) {
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const nm_track *track = &scene->tracks[i];
        for (uint32_t step = track->first_step; step < track->last_step; step++) {
            size_t at = nm_scene_at(scene, i, step);
            float value;
            if (!scene->valid[at] || !scene->valid[at + 1] || !test(scene, at, &value)) continue;
            nm_issue *issue = nm_issue_add(list, kind);
            if (!issue) continue;
            issue->track = i;
            issue->step = step + 1;
            issue->value = value;
            nm_issue_say(issue, what, id_of(scene, i), (double)value, step, step + 1);
        }
    }
}

static void check_sizes(const nm_scene *scene, nm_issue_list *list) {
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const nm_track *t = &scene->tracks[i];
        float least = nm_minf(t->length, t->width), most = nm_maxf(t->length, t->width);
        int small = least <= 0.0f || (least < MIN_VEHICLE && nm_agent_type_vehicle((nm_agent_type)t->type));
        int large = most > MAX_SIZE && t->type != NM_AGENT_TRAIN;
        if (!small && !large) continue;
        nm_issue *issue = nm_issue_add(list, NM_ISSUE_SIZE);
        if (!issue) continue;
        issue->track = i;
        issue->value = small ? least : most;
        nm_issue_say(issue, "track %lld (%s) is %.2f m long and %.2f m wide", id_of(scene, i),
                     nm_agent_type_name((nm_agent_type)t->type), (double)t->length, (double)t->width);
    }
}

static void check_gaps(const nm_scene *scene, nm_issue_list *list) {
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const nm_track *track = &scene->tracks[i];
        const uint8_t *valid = scene->valid + nm_scene_at(scene, i, 0);
        for (uint32_t step = track->first_step; step < track->last_step; step++) {
            if (valid[step]) continue;
            uint32_t first = step;
            while (!valid[step + 1]) step++; // ends before the last step, which is valid
            nm_issue *issue = nm_issue_add(list, NM_ISSUE_GAP);
            if (!issue) continue;
            issue->track = i;
            issue->step = first;
            issue->value = (float)(step + 1 - first) * scene->dt;
            nm_issue_say(issue, "track %lld has no state from step %u to %u", id_of(scene, i), first, step);
        }
    }
}

static void check_empty_tracks(const nm_scene *scene, nm_issue_list *list) {
    for (uint32_t i = 0; i < scene->track_count; i++) {
        if (scene->tracks[i].first_step <= scene->tracks[i].last_step) continue;
        nm_issue *issue = nm_issue_add(list, NM_ISSUE_NO_STATE);
        if (!issue) continue;
        issue->track = i;
        nm_issue_say(issue, "track %lld has no valid state", id_of(scene, i));
    }
}

size_t nm_scene_validate(const nm_scene *scene, nm_issue *issues, size_t max, uint32_t *counts) {
    nm_issue_list list = {.issues = issues, .max = max};
    list.no_memory = nm_map_prepare(scene->map, NULL) != NM_OK;
    if (!list.no_memory) nm_validate_overlaps(scene, &list);
    if (!list.no_memory) {
        check_off_road(scene, &list);
        check_pairs_of_states(scene, NM_ISSUE_JUMP, is_jump, "track %lld moves %.2f m from step %u to %u", &list);
        check_pairs_of_states(scene, NM_ISSUE_HEADING_JUMP, is_heading_jump,
                              "track %lld turns by %.2f rad from step %u to %u", &list);
        check_pairs_of_states(scene, NM_ISSUE_SPEED_MISMATCH, is_speed_mismatch,
                              "track %lld: displacement and speed differ by %.2f m/s from step %u to %u", &list);
        check_sizes(scene, &list);
        check_gaps(scene, &list);
        check_empty_tracks(scene, &list);
        nm_validate_goals(scene, &list);
        nm_validate_map(scene->map, &list);
    }
    if (counts) memcpy(counts, list.counts, sizeof list.counts);
    return list.no_memory ? SIZE_MAX : list.total;
}

const char *nm_issue_name(nm_issue_kind kind) {
    static const char *const names[NM_ISSUE_COUNT] = {
        "overlap_at_start", "off_road_at_start", "jump",       "heading_jump", "speed_mismatch", "size",     "gap",
        "no_state",         "goal_unreachable",  "short_lane", "narrow_lane",  "wide_lane",      "dead_end", "kink",
        "disconnected",     "repaired",          "empty_map"};
    return (unsigned)kind < NM_ISSUE_COUNT ? names[kind] : "invalid";
}
