// Kinds across lanes that run the same way: cut_in, cut_out, merge_conflict, lane_drift.
#include <stdlib.h>

#include "scenarios/detect_internal.h"

#define QUIET 1.0f         // s around the crossing in which the other may not change lanes itself
#define FIND_FOLLOWER 0.5f // s after the centre crossed within which the new follower must show
#define ENDS_SOONER 20.0f  // m
#define TURN_TIME 5.0f     // s before its end within which a right turn gets into the way of others
#define RAMP_END 150.0f    // m: a lane that ends within this is one that must be left

static size_t first_change(const nm_detect_context *ctx, uint32_t track) {
    size_t lo = 0, hi = ctx->change_count;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (ctx->changes[middle].track < track)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

int nm_detect_changing(const nm_detect_context *ctx, uint32_t track, uint32_t step) {
    for (size_t i = first_change(ctx, track); i < ctx->change_count && ctx->changes[i].track == track; i++)
        if (ctx->changes[i].begin <= step && step <= ctx->changes[i].end) return 1;
    return 0;
}

// 1 when the track changes lanes (to either side) within [from, to].
static int changes_within(const nm_detect_context *ctx, uint32_t track, uint32_t from, uint32_t to) {
    for (size_t lo = first_change(ctx, track); lo < ctx->change_count && ctx->changes[lo].track == track; lo++)
        if (ctx->changes[lo].step >= from && ctx->changes[lo].step <= to) return 1;
    return 0;
}

// A change that moved the body across and was not taken back or followed by the loss of the lane within `stay` seconds.
static int settled(const nm_detect_context *ctx, const nm_lane_change *change, float min_lateral, float stay) {
    if (change->shift < min_lateral) return 0;
    uint32_t until = change->step + nm_detect_steps(ctx, stay, 1);
    for (uint32_t t = change->step + 1; t <= until; t++) {
        const nm_sample *sample = nm_detect_sample(ctx, change->track, t);
        if (!sample || sample->lane == NM_NONE || sample->move > NM_MOVE_NEXT) return 0;
    }
    // the whole body moves over: from one side of the border to the other, give or take a tenth of its width
    float half = 0.5f * nm_detect_width(ctx, change->track, change->step);
    float before = change->side * nm_detect_shift(ctx, change->track, change->begin, change->step);
    float after = change->side * nm_detect_shift(ctx, change->track, change->step, change->end);
    return before >= 0.8f * half && after >= 0.8f * half;
}

static float along(const nm_sample *sample) {
    return sample->vx * sample->lane_cos + sample->vy * sample->lane_sin;
}

// Gap of `other` to the actor at `step`, from the gap at `known` (when the leader was recognised) by relative motion.
static float gap_at(const nm_detect_context *ctx, uint32_t other, uint32_t actor, uint32_t known, uint32_t step) {
    float gap = nm_detect_sample(ctx, other, known)->gap;
    for (uint32_t t = known; t > step; t--) {
        const nm_sample *a = nm_detect_sample(ctx, actor, t), *b = nm_detect_sample(ctx, other, t);
        const nm_sample *a0 = nm_detect_sample(ctx, actor, t - 1), *b0 = nm_detect_sample(ctx, other, t - 1);
        if (!a || !b || !a0 || !b0) break;
        gap += 0.5f * ctx->dt * (along(b) + along(b0) - along(a) - along(a0));
    }
    return gap;
}

typedef struct nm_entry {
    uint32_t other, known;     // who follows from then on, and the step when that is first seen
    float gap, speed, closing; // at the entry: m, m/s of the other, m/s
} nm_entry;

// Who is behind the actor in the new lane, kept its lane, and still follows after `stay` seconds.
static int find_entry(const nm_detect_context *ctx, const nm_lane_change *change, float stay, nm_entry *entry) {
    uint32_t window = nm_detect_steps(ctx, FIND_FOLLOWER, 1), quiet = nm_detect_steps(ctx, QUIET, 1);
    entry->other = NM_NONE;
    for (uint32_t t = change->step; t <= change->step + window && entry->other == NM_NONE; t++) {
        entry->other = nm_detect_follower(ctx, change->track, t);
        entry->known = t;
    }
    if (entry->other == NM_NONE) return 0;
    uint32_t other = entry->other, until = change->step + nm_detect_steps(ctx, stay, 1);
    if (changes_within(ctx, other, change->step > quiet ? change->step - quiet : 0, until)) return 0;
    const nm_sample *after = nm_detect_sample(ctx, other, until), *at = nm_detect_scored(ctx, other, change->entry);
    const nm_sample *actor = nm_detect_scored(ctx, change->track, change->entry);
    if (!after || !at || !actor || after->leader != change->track || at->leader == change->track) return 0;
    if (nm_detect_lateral_overlap(ctx, change->track, other, until) <= 0) return 0;
    entry->gap = gap_at(ctx, other, change->track, entry->known, change->entry);
    entry->speed = along(at);
    entry->closing = entry->speed - along(actor);
    return entry->gap > 0;
}

static uint32_t stay_until(const nm_detect_context *ctx, const nm_lane_change *change, float stay) {
    return change->step + nm_detect_steps(ctx, stay, 1);
}

void nm_detect_cut_in(nm_detect_context *ctx) {
    const float *value = ctx->params->values[NM_KIND_CUT_IN];
    if (!nm_detect_enabled(ctx, NM_KIND_CUT_IN)) return;
    for (size_t i = 0; i < ctx->change_count; i++) {
        const nm_lane_change *change = &ctx->changes[i];
        nm_entry entry;
        if (!nm_detect_vehicle(ctx, change->track)) continue;
        if (!settled(ctx, change, value[CUT_IN_MIN_LATERAL], value[CUT_IN_MIN_STAY])) continue;
        if (!find_entry(ctx, change, value[CUT_IN_MIN_STAY], &entry)) continue;
        if (entry.speed < value[CUT_IN_MIN_SPEED] || entry.gap > value[CUT_IN_MAX_GAP]) continue;
        if (entry.gap > value[CUT_IN_MAX_HEADWAY] * entry.speed || entry.closing < value[CUT_IN_MIN_CLOSING]) continue;
        uint32_t last = stay_until(ctx, change, value[CUT_IN_MIN_STAY]);
        nm_event event = nm_detect_event(NM_KIND_CUT_IN, change->track, entry.other, change->begin, change->entry,
                                         change->end > last ? change->end : last);
        event.gap = entry.gap;
        event.closing_speed = entry.closing;
        event.min_thw = entry.speed > 0 ? entry.gap / entry.speed : NAN;
        nm_detect_emit(ctx, &event);
    }
}

// --- cut_out ---------------------------------------------------------------------------------------------------------

void nm_detect_cut_out(nm_detect_context *ctx) {
    const float *value = ctx->params->values[NM_KIND_CUT_OUT];
    if (!nm_detect_enabled(ctx, NM_KIND_CUT_OUT)) return;
    uint32_t stay = nm_detect_steps(ctx, value[CUT_OUT_MIN_STAY], 1);
    for (size_t i = 0; i < ctx->change_count; i++) {
        const nm_lane_change *change = &ctx->changes[i];
        if (!nm_detect_vehicle(ctx, change->track) || change->step < stay + 1) continue;
        if (!settled(ctx, change, value[CUT_OUT_MIN_LATERAL], value[CUT_OUT_MIN_STAY])) continue;
        uint32_t other = nm_detect_follower(ctx, change->track, change->step - 1), until = change->step + stay;
        if (other == NM_NONE || changes_within(ctx, other, change->step - stay, until)) continue;
        const nm_sample *early = nm_detect_sample(ctx, other, change->step - stay);
        const nm_sample *before = nm_detect_sample(ctx, other, change->step - 1);
        const nm_sample *revealed = nm_detect_scored(ctx, other, change->exit);
        if (!early || !revealed || early->leader != change->track || revealed->leader == change->track) continue;
        if (revealed->leader == NM_NONE || before->gap > value[CUT_OUT_MAX_GAP]) continue;
        const nm_sample *slow = nm_detect_scored(ctx, revealed->leader, change->exit);
        if (!slow || revealed->gap <= 0 || revealed->gap > value[CUT_OUT_MAX_REVEAL]) continue;
        float closing = along(revealed) - along(slow);
        if (closing < value[CUT_OUT_MIN_CLOSING] || revealed->gap > value[CUT_OUT_MAX_TTC] * closing) continue;
        if (nm_detect_lateral_overlap(ctx, other, revealed->leader, change->exit) <= 0) continue;
        nm_event event = nm_detect_event(NM_KIND_CUT_OUT, change->track, other, change->begin, change->exit,
                                         change->end > until ? change->end : until);
        event.gap = revealed->gap; // to the revealed one, as is the closing speed
        event.closing_speed = closing;
        event.min_ttc = revealed->gap / closing;
        event.max_drac = closing * closing / (2 * revealed->gap);
        nm_detect_emit(ctx, &event);
    }
}

// --- merge_conflict --------------------------------------------------------------------------------------------------

// m from s to where the lane path ends, or RAMP_END when it goes on for longer.
static float runs_out(const nm_map *map, uint32_t lane, float s) {
    float left = map->lanes[lane].length - s;
    for (int hop = 0; hop < 16 && left < RAMP_END; hop++) {
        lane = nm_detect_next_lane(map, lane, NM_NONE);
        if (lane == NM_NONE) return left;
        left += map->lanes[lane].length;
    }
    return RAMP_END;
}

// 1 when `from` is a lane that must be left for `to`: a ramp beside something else, or it ends sooner (where a map is
// cut off all lanes end alike).
static int must_leave(const nm_map *map, const nm_sample *from, const nm_sample *to) {
    if (map->lanes[from->lane].type == NM_LANE_RAMP && map->lanes[to->lane].type != NM_LANE_RAMP) return 1;
    return runs_out(map, from->lane, from->s) + ENDS_SOONER < runs_out(map, to->lane, to->s);
}

static void merge_by_change(nm_detect_context *ctx) {
    const float *value = ctx->params->values[NM_KIND_MERGE_CONFLICT];
    for (size_t i = 0; i < ctx->change_count; i++) {
        const nm_lane_change *change = &ctx->changes[i];
        nm_entry entry;
        if (!nm_detect_vehicle(ctx, change->track)) continue;
        if (!settled(ctx, change, value[MERGE_MIN_SEPARATION], value[MERGE_MIN_STAY])) continue;
        const nm_sample *old = nm_detect_sample(ctx, change->track, change->step - 1);
        const nm_sample *now = nm_detect_sample(ctx, change->track, change->step);
        if (!must_leave(ctx->map, old, now)) continue;
        if (!find_entry(ctx, change, value[MERGE_MIN_STAY], &entry)) continue;
        if (entry.speed < value[MERGE_MIN_SPEED] || entry.closing < value[MERGE_MIN_CLOSING]) continue;
        if (entry.gap > value[MERGE_MAX_PET] * entry.speed) continue;
        nm_event event = nm_detect_event(NM_KIND_MERGE_CONFLICT, change->track, entry.other, change->begin,
                                         change->entry, stay_until(ctx, change, value[MERGE_MIN_STAY]));
        event.gap = entry.gap;
        event.closing_speed = entry.closing;
        event.pet = entry.gap / entry.speed;
        nm_detect_emit(ctx, &event);
    }
}

// The step at which `track` enters `lane` by driving on, and where it came from; 0 when it does not.
typedef struct nm_arrival {
    uint32_t lane, from, step, track;
} nm_arrival;

static int compare_arrivals(const void *left, const void *right) {
    const nm_arrival *a = left, *b = right;
    if (a->lane != b->lane) return a->lane < b->lane ? -1 : 1;
    if (a->step != b->step) return a->step < b->step ? -1 : 1;
    return a->track < b->track ? -1 : a->track > b->track;
}

static size_t collect_arrivals(const nm_detect_context *ctx, nm_arrival *arrivals) {
    size_t count = 0;
    for (uint32_t a = 0; a < ctx->scene->track_count; a++) {
        const nm_track *info = &ctx->scene->tracks[a];
        if (info->first_step > info->last_step || !nm_detect_vehicle(ctx, a)) continue;
        for (uint32_t t = info->first_step + 1; t <= info->last_step; t++) {
            const nm_sample *sample = nm_detect_scored(ctx, a, t), *before = nm_detect_sample(ctx, a, t - 1);
            if (!sample || !before || sample->move != NM_MOVE_NEXT) continue;
            if (ctx->map->lanes[sample->lane].predecessors.count < 2) continue;
            if (arrivals) arrivals[count] = (nm_arrival){sample->lane, before->lane, t, a};
            count++;
        }
    }
    return count;
}

// A right turn in front of somebody who drives straight on is a kind of its own.
static int turns_right_into(const nm_detect_context *ctx, const nm_arrival *first, const nm_arrival *second) {
    return nm_detect_way(ctx, first->track, first->step, NULL) == NM_WAY_RIGHT &&
           nm_detect_way(ctx, second->track, second->step, NULL) == NM_WAY_STRAIGHT;
}

// Time gap of the second to the first who reaches into its way, s, while it closes in; INFINITY when it does not.
static float closes_in(const nm_detect_context *ctx, uint32_t first, uint32_t second, uint32_t step, nm_event *event) {
    const float *value = ctx->params->values[NM_KIND_RIGHT_TURN_CONFLICT];
    const nm_sample *behind = nm_detect_scored(ctx, second, step), *ahead = nm_detect_scored(ctx, first, step);
    nm_frenet place;
    float way, into;
    if (!behind || !ahead || behind->lane == NM_NONE || (behind->flags & NM_SAMPLE_REVERSED)) return INFINITY;
    if (!nm_detect_on_path(ctx, first, second, step, &place, &way, &into)) return INFINITY;
    const float gap = way - 0.5f * (nm_detect_length(ctx, first, step) + nm_detect_length(ctx, second, step));
    const float speed = along(behind);
    const float closing = speed - (ahead->vx * behind->lane_cos + ahead->vy * behind->lane_sin);
    const float least = ctx->params->values[NM_KIND_MERGE_CONFLICT][MERGE_MIN_CLOSING]; // as for other ways to merge
    if (speed < value[CROSS_MIN_SPEED] || closing < least || gap <= 0) return INFINITY;
    event->gap = gap;
    event->closing_speed = closing;
    event->pet = gap / speed;
    return event->pet;
}

// From when the first reaches into the way of the second, which may have slowed down by the time that it comes to the
// lane they share.
static void emit_right_turn(nm_detect_context *ctx, const nm_arrival *first, const nm_arrival *second) {
    const float most = ctx->params->values[NM_KIND_RIGHT_TURN_CONFLICT][CROSS_MAX_PET];
    const uint32_t back = nm_detect_steps(ctx, TURN_TIME, 1);
    uint32_t begin = NM_NONE;
    nm_event worst = {.pet = INFINITY};
    for (uint32_t t = first->step > back ? first->step - back : 0; t <= second->step; t++) {
        nm_event now = nm_detect_event(NM_KIND_RIGHT_TURN_CONFLICT, first->track, second->track, t, t, second->step);
        if (closes_in(ctx, first->track, second->track, t, &now) > most) continue;
        if (begin == NM_NONE) begin = t;
        if (now.pet < worst.pet) worst = now;
    }
    if (begin == NM_NONE) return;
    worst.first_step = begin;
    nm_detect_emit(ctx, &worst);
}

// First one in at first->step, second at second->step, from different lanes into one.
static void judge_merge(nm_detect_context *ctx, const nm_arrival *first, const nm_arrival *second) {
    const float *value = ctx->params->values[NM_KIND_MERGE_CONFLICT];
    const nm_sample *behind = nm_detect_scored(ctx, second->track, second->step);
    const nm_sample *ahead = nm_detect_scored(ctx, first->track, second->step);
    uint32_t early = nm_detect_steps(ctx, 1.5f, 1);
    early = first->step > early ? first->step - early : 0;
    if (!behind || !ahead || behind->leader != first->track || behind->gap <= 0) return;
    if (!nm_detect_sample(ctx, first->track, early) || !nm_detect_sample(ctx, second->track, early)) return;
    float half = 0.5f * (nm_detect_width(ctx, first->track, early) + nm_detect_width(ctx, second->track, early));
    float apart = half - nm_detect_lateral_overlap(ctx, first->track, second->track, early);
    float speed = along(behind), closing = speed - along(ahead);
    if (turns_right_into(ctx, first, second)) { // it came from elsewhere, however long the two lanes lie on each other
        emit_right_turn(ctx, first, second);
        return;
    }
    if (apart < value[MERGE_MIN_SEPARATION] || speed < value[MERGE_MIN_SPEED]) return;
    if (closing < value[MERGE_MIN_CLOSING] || behind->gap > value[MERGE_MAX_PET] * speed) return;
    nm_event event =
        nm_detect_event(NM_KIND_MERGE_CONFLICT, first->track, second->track, first->step, second->step, second->step);
    event.gap = behind->gap;
    event.closing_speed = closing;
    event.pet = behind->gap / speed;
    nm_detect_emit(ctx, &event);
}

static void merge_by_lanes(nm_detect_context *ctx) {
    size_t count = collect_arrivals(ctx, NULL);
    nm_arrival *arrivals = NM_ARENA_ARRAY(ctx->arena, nm_arrival, count);
    if (!arrivals) {
        ctx->status = NM_E_MEMORY;
        return;
    }
    collect_arrivals(ctx, arrivals);
    qsort(arrivals, count, sizeof *arrivals, compare_arrivals);
    for (size_t i = 1; i < count; i++)
        if (arrivals[i].lane == arrivals[i - 1].lane && arrivals[i].from != arrivals[i - 1].from &&
            arrivals[i].track != arrivals[i - 1].track)
            judge_merge(ctx, &arrivals[i - 1], &arrivals[i]);
}

void nm_detect_merge(nm_detect_context *ctx) {
    if (!nm_detect_enabled(ctx, NM_KIND_MERGE_CONFLICT) || ctx->map->lane_count == 0) return;
    merge_by_change(ctx);
    merge_by_lanes(ctx);
}

// --- lane_drift ------------------------------------------------------------------------------------------------------

#define BASELINE 2.0f  // s looked at before and after the excursion
#define NO_CHANGE 3.0f // s before and after without lane change
#define RETURNED 0.5f  // of the excursion: how far back it must come
#define NARROWEST 2.5f // m: on narrower lanes overhang means nothing

// m of the box beyond the border on `side` (+1 left); negative inside. Heading makes the box wider across the lane.
static float overhang(const nm_detect_context *ctx, uint32_t track, uint32_t step, const nm_sample *sample,
                      float side) {
    float heading = ctx->scene->heading[nm_scene_at(ctx->scene, track, step)];
    float sine = fabsf(sinf(heading) * sample->lane_cos - cosf(heading) * sample->lane_sin);
    float half = 0.5f * (nm_detect_width(ctx, track, step) + nm_detect_length(ctx, track, step) * fminf(sine, 0.3f));
    return side > 0 ? sample->d + half - sample->left : -sample->d + half - sample->right;
}

// Mean sideways offset over [from, to] seen from `step` along the lanes (map steps at lane joints do not show).
static float mean_offset(const nm_detect_context *ctx, uint32_t track, uint32_t step, uint32_t from, uint32_t to) {
    float sum = 0;
    for (uint32_t t = from; t <= to; t++) sum += nm_detect_shift(ctx, track, step, t);
    return sum / (float)(to - from + 1);
}

static int plain_driving(const nm_detect_context *ctx, uint32_t track, uint32_t from, uint32_t to) {
    for (uint32_t t = from; t <= to; t++) {
        const nm_sample *sample = nm_detect_sample(ctx, track, t);
        if (!sample || sample->lane == NM_NONE || sample->move > NM_MOVE_NEXT) return 0;
        if (sample->flags & (NM_SAMPLE_REVERSED | NM_SAMPLE_ROUGH)) return 0;
        const nm_lane *lane = &ctx->map->lanes[sample->lane];
        if ((lane->flags & NM_LANE_JUNCTION) || sample->left + sample->right < NARROWEST) return 0;
    }
    return 1;
}

// Who drives in the lane on that side within reach, the nearest; NM_NONE when nobody.
static uint32_t beside(const nm_detect_context *ctx, uint32_t track, uint32_t step, float side) {
    nm_box self, other;
    uint32_t best = NM_NONE;
    float nearest = 3.0f; // m
    if (!nm_detect_box(ctx, track, step, &self)) return NM_NONE;
    for (uint32_t b = 0; b < ctx->scene->track_count; b++) {
        if (b == track || !nm_detect_box(ctx, b, step, &other)) continue;
        float across = (other.y - self.y) * self.cos_h - (other.x - self.x) * self.sin_h;
        if (across * side < 0.5f * self.width || hypotf(other.x - self.x, other.y - self.y) > 30) continue;
        float distance = nm_box_distance(&self, &other);
        if (distance >= nearest) continue;
        nearest = distance;
        best = b;
    }
    return best;
}

static void judge_drift(nm_detect_context *ctx, uint32_t track, uint32_t first, uint32_t last, float side) {
    const float *value = ctx->params->values[NM_KIND_LANE_DRIFT];
    float duration = (float)(last - first + 1) * ctx->dt;
    if (duration + 1e-4f < value[LANE_DRIFT_MIN_DURATION] || duration > value[LANE_DRIFT_MAX_DURATION]) return;
    uint32_t quiet = nm_detect_steps(ctx, NO_CHANGE, 1), base = nm_detect_steps(ctx, BASELINE, 1);
    if (first < quiet || !plain_driving(ctx, track, first - quiet, last + quiet)) return;
    uint32_t peak = first;
    for (uint32_t t = first; t <= last; t++)
        if (overhang(ctx, track, t, nm_detect_sample(ctx, track, t), side) >
            overhang(ctx, track, peak, nm_detect_sample(ctx, track, peak), side))
            peak = t;
    float before = -side * mean_offset(ctx, track, peak, first - quiet, first - quiet + base);
    float after = -side * mean_offset(ctx, track, peak, last + quiet - base, last + quiet);
    if (fminf(before, after) < value[LANE_DRIFT_MIN_EXCURSION] ||
        fminf(before, after) < RETURNED * fmaxf(before, after))
        return;
    nm_event event = nm_detect_event(NM_KIND_LANE_DRIFT, track, beside(ctx, track, peak, side), first, peak, last);
    nm_detect_emit(ctx, &event);
}

void nm_detect_lane_drift(nm_detect_context *ctx) {
    const float *value = ctx->params->values[NM_KIND_LANE_DRIFT];
    if (!nm_detect_enabled(ctx, NM_KIND_LANE_DRIFT)) return;
    for (uint32_t a = 0; a < ctx->scene->track_count; a++) {
        const nm_track *info = &ctx->scene->tracks[a];
        if (!nm_detect_vehicle(ctx, a) || nm_detect_static(ctx, a) || info->first_step > info->last_step) continue;
        for (int pass = 0; pass < 2; pass++) {
            float side = pass ? -1.0f : 1.0f;
            uint32_t first = NM_NONE;
            for (uint32_t t = info->first_step; t <= info->last_step + 1; t++) {
                const nm_sample *sample = nm_detect_scored(ctx, a, t);
                int out = sample && sample->lane != NM_NONE && sample->speed >= value[LANE_DRIFT_MIN_SPEED] &&
                          overhang(ctx, a, t, sample, side) >= value[LANE_DRIFT_MIN_OVERHANG];
                if (out && first == NM_NONE) first = t;
                if (!out && first != NM_NONE) {
                    judge_drift(ctx, a, first, t - 1, side);
                    first = NM_NONE;
                }
            }
        }
    }
}
