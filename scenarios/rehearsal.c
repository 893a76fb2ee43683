// The ego's way, the others around it, and driving along it again.
#include "scenarios/rehearsal.h"

#include "scenarios/detect_internal.h"
#include "sim/math.h"

#define DT 0.1f
#define SPACING 0.05f      // m between points of the way: who stands adds none
#define AHEAD_STEP 2.0f    // m between points where the way goes on along its lane
#define MATCH_RADIUS 3.0f  // m
#define MATCH_ANGLE 1.05f  // rad (60 degrees): beyond it the ego does not drive along that lane
#define BEHIND_COS -0.707f // others more than 135 degrees off the ego's heading are behind it
#define ALIKE_COS 0.2588f  // headings within 75 degrees: the same direction (WOSAC's rule of who follows)

// --- the way ---------------------------------------------------------------------------------------------------------

static float unwrapped(float heading, float before) {
    return before + nm_wrap_angle(heading - before);
}

static void add_point(nm_rehearsal *r, float x, float y, float heading) {
    NM_ASSERT(r->way_count < r->way_capacity);
    nm_way_point *point = &r->way[r->way_count];
    *point = (nm_way_point){0, x, y, heading};
    if (r->way_count > 0) {
        const nm_way_point *before = point - 1;
        point->s = before->s + nm_hypotf(x - before->x, y - before->y);
        point->heading = unwrapped(heading, before->heading);
    }
    r->way_count++;
}

// The recorded poses, and the ego's own place, speed and acceleration along them.
static void record_way(nm_rehearsal *r, uint32_t until) {
    const nm_scene *scene = r->scene;
    float s = 0, x = 0, y = 0;
    for (uint32_t i = 0; i < r->recorded; i++) {
        size_t at = nm_scene_at(scene, r->ego, r->first + i);
        float sine, cosine;
        nm_sincosf(scene->heading[at], &sine, &cosine);
        if (i > 0) s += nm_hypotf(scene->x[at] - x, scene->y[at] - y);
        x = scene->x[at];
        y = scene->y[at];
        r->s[i] = s;
        r->v[i] = nm_maxf(scene->vx[at] * cosine + scene->vy[at] * sine, 0);
        r->a[i] = i > 0 ? nm_clampf((r->v[i] - r->v[i - 1]) / DT, -10, 4) : 0;
        if (r->first + i > until || (r->way_count > 0 && s - r->way[r->way_count - 1].s < SPACING)) continue;
        add_point(r, x, y, scene->heading[at]);
        r->way[r->way_count - 1].s = s; // of the record, so that standing and noise do not shift it
    }
}

static void straight_on(nm_rehearsal *r, float length) {
    nm_way_point end = r->way[r->way_count - 1];
    float sine, cosine;
    nm_sincosf(end.heading, &sine, &cosine);
    add_point(r, end.x + length * cosine, end.y + length * sine, end.heading);
}

// `length` m on from its end: along the lane at the ego's distance from its middle, then straight.
static void extend_way(nm_rehearsal *r, float length) {
    const nm_map *map = r->scene->map;
    nm_way_point end = r->way[r->way_count - 1];
    float target = end.s + length;
    nm_frenet at = {.lane = NM_NONE};
    if (map->lane_count > 0)
        at = nm_map_match(map, end.x, end.y, nm_wrap_angle(end.heading), MATCH_RADIUS, NM_LANE_MASK_VEHICLE);
    uint32_t lane = at.lane;
    if (lane != NM_NONE && fabsf(nm_wrap_angle(at.heading - end.heading)) > MATCH_ANGLE) lane = NM_NONE;
    float s = at.s, skew = lane == NM_NONE ? 0 : nm_wrap_angle(end.heading - at.heading);
    uint32_t hops = 0;
    // inside of a bend the way is shorter than the lane: what there is room for, and one point for the rest
    while (lane != NM_NONE && r->way[r->way_count - 1].s < target && r->way_count + 1 < r->way_capacity) {
        s += AHEAD_STEP;
        while (lane != NM_NONE && s > map->lanes[lane].length) {
            s -= map->lanes[lane].length;
            lane = hops++ < 64 ? nm_detect_next_lane(map, lane, NM_NONE) : NM_NONE;
        }
        if (lane == NM_NONE) break;
        float x, y, heading;
        nm_map_position(map, lane, s, at.d, &x, &y, &heading);
        skew *= 0.5f; // the box turns into the lane's direction
        add_point(r, x, y, heading + skew);
    }
    if (r->way[r->way_count - 1].s < target) straight_on(r, target - r->way[r->way_count - 1].s);
}

static nm_way_point way_at(const nm_rehearsal *r, float s) {
    uint32_t low = 0, high = r->way_count - 1;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (r->way[middle].s <= s)
            low = middle;
        else
            high = middle;
    }
    const nm_way_point *a = &r->way[low], *b = &r->way[high];
    float span = b->s - a->s, share = span > 0 ? nm_clampf((s - a->s) / span, 0, 1) : 0;
    return (nm_way_point){s, a->x + share * (b->x - a->x), a->y + share * (b->y - a->y),
                          a->heading + share * (b->heading - a->heading)};
}

nm_box nm_rehearsal_box(const nm_rehearsal *r, float s, float side, float turn) {
    nm_way_point at = way_at(r, s);
    nm_box box = {.length = r->length, .width = r->width};
    float sine, cosine;
    nm_sincosf(at.heading, &sine, &cosine);
    box.x = at.x - side * sine;
    box.y = at.y + side * cosine;
    box.cos_h = cosine;
    box.sin_h = sine;
    if (turn != 0) nm_sincosf(at.heading + turn, &box.sin_h, &box.cos_h);
    return box;
}

// --- the others ------------------------------------------------------------------------------------------------------

typedef struct nm_area_of_way {
    float x0, y0, x1, y1;
} nm_area_of_way;

static nm_area_of_way area_of(const nm_rehearsal *r, float reach) {
    nm_area_of_way area = {INFINITY, INFINITY, -INFINITY, -INFINITY};
    for (uint32_t i = 0; i < r->way_count; i++) {
        area.x0 = nm_minf(area.x0, r->way[i].x - reach);
        area.y0 = nm_minf(area.y0, r->way[i].y - reach);
        area.x1 = nm_maxf(area.x1, r->way[i].x + reach);
        area.y1 = nm_maxf(area.y1, r->way[i].y + reach);
    }
    return area;
}

// Its boxes; those past the recording with the last velocity, if it was there at the end.
static int fill_other(const nm_rehearsal *r, uint32_t track, const nm_area_of_way *area, nm_other *other) {
    const nm_scene *scene = r->scene;
    uint32_t past = scene->step_count > r->first ? scene->step_count - r->first : 0;
    int near = 0, ever = 0;
    other->track = track;
    other->radius = 0;
    for (uint32_t i = 0; i < r->steps; i++) {
        nm_box *box = &other->boxes[i];
        other->there[i] = 0;
        if (i < past) {
            other->there[i] = (uint8_t)nm_scene_box(scene, track, r->first + i, box);
        } else if (i > 0 && other->there[i - 1]) {
            *box = other->boxes[i - 1];
            box->x += box->vx * DT;
            box->y += box->vy * DT;
            other->there[i] = 1;
        }
        if (!other->there[i]) continue;
        float radius = 0.5f * nm_hypotf(box->length, box->width);
        other->radius = nm_maxf(other->radius, radius);
        ever = 1;
        near |= (box->x + radius >= area->x0) & (box->x - radius <= area->x1) & (box->y + radius >= area->y0) &
                (box->y - radius <= area->y1);
    }
    return ever && near;
}

static nm_status fill_others(nm_rehearsal *r, const nm_conflict_case *conflict, nm_arena *arena) {
    const nm_scene *scene = r->scene;
    r->others = NM_ARENA_ARRAY(arena, nm_other, scene->track_count);
    if (!r->others) return NM_E_MEMORY;
    nm_area_of_way area = area_of(r, r->radius + 20.0f); // more than any manoeuvre goes aside
    nm_other spare = {0};
    for (uint32_t track = 0; track < scene->track_count; track++) {
        const nm_track *info = &scene->tracks[track];
        if (track == r->ego || info->first_step > info->last_step) continue;
        if (info->last_step < r->first || info->first_step >= r->first + r->steps) continue;
        nm_other other = spare;
        if (!other.boxes) {
            other.boxes = NM_ARENA_ARRAY(arena, nm_box, r->steps);
            other.there = NM_ARENA_ARRAY(arena, uint8_t, r->steps);
            if (!other.boxes || !other.there) return NM_E_MEMORY;
        }
        other.adversary = 0;
        for (uint32_t i = 0; i < conflict->adversary_count; i++) other.adversary |= conflict->adversaries[i] == track;
        if (fill_other(r, track, &area, &other)) {
            r->others[r->other_count++] = other;
            spare = (nm_other){0};
        } else {
            spare = other; // its memory serves the next one
        }
    }
    return NM_OK;
}

nm_status nm_rehearsal_make(const nm_conflict_case *conflict, uint32_t first, uint32_t steps, uint32_t until,
                            nm_arena *arena, nm_rehearsal *out, nm_error *error) {
    const nm_scene *scene = conflict->scene;
    nm_rehearsal r = {.scene = scene, .ego = conflict->ego, .first = first, .steps = steps};
    while (first + r.recorded < scene->step_count && r.recorded < steps &&
           scene->valid[nm_scene_at(scene, r.ego, first + r.recorded)])
        r.recorded++;
    NM_ASSERT(r.recorded > 0);
    nm_box ego;
    nm_scene_box(scene, r.ego, first, &ego);
    r.length = ego.length;
    r.width = ego.width;
    r.radius = 0.5f * nm_hypotf(ego.length, ego.width);
    r.s = NM_ARENA_ARRAY(arena, float, r.recorded);
    r.v = NM_ARENA_ARRAY(arena, float, r.recorded);
    r.a = NM_ARENA_ARRAY(arena, float, r.recorded);
    nm_status status = r.s && r.v && r.a ? NM_OK : NM_E_MEMORY;
    float fastest = 1, reach;
    for (uint32_t i = 0; i < r.recorded; i++) {
        size_t at = nm_scene_at(scene, r.ego, first + i);
        fastest = nm_maxf(fastest, nm_hypotf(scene->vx[at], scene->vy[at]));
    }
    reach = nm_minf(fastest * (float)steps * DT + 5.0f, 5000.0f);
    r.way_capacity = r.recorded + (uint32_t)(reach / AHEAD_STEP) + 80u;
    r.way = NM_ARENA_ARRAY(arena, nm_way_point, r.way_capacity);
    if (!r.way) status = NM_E_MEMORY;
    if (status == NM_OK) {
        record_way(&r, until);
        extend_way(&r, reach);
        status = fill_others(&r, conflict, arena);
    }
    if (status != NM_OK) return NM_ERROR(error, status, "out of memory while a scene is driven again");
    *out = r;
    return NM_OK;
}

// --- driving ---------------------------------------------------------------------------------------------------------

static int looked_at(const nm_other *other, nm_whom whom) {
    return whom == NM_WHOM_ALL || (whom == NM_WHOM_ADVERSARIES) == (other->adversary != 0);
}

static int touches(const nm_box *ego, float radius, const nm_other *other, uint32_t index) {
    if (!other->there[index]) return 0;
    const nm_box *box = &other->boxes[index];
    float dx = box->x - ego->x, dy = box->y - ego->y, reach = radius + other->radius;
    return dx * dx + dy * dy <= reach * reach && nm_box_overlap(ego, box);
}

static int from_behind(const nm_box *ego, const nm_box *box) {
    float dx = box->x - ego->x, dy = box->y - ego->y;
    float along = dx * ego->cos_h + dy * ego->sin_h;
    return along < BEHIND_COS * nm_hypotf(dx, dy) && box->cos_h * ego->cos_h + box->sin_h * ego->sin_h > ALIKE_COS;
}

// Who hits the ego from behind is recorded and went on where a real one would have braked: from there on nothing about
// it means anything. Not so an adversary that really hits it. `passed` remembers the first 64 of them.
static uint32_t first_touched(const nm_rehearsal *r, const nm_box *ego, uint32_t step, nm_whom whom, uint64_t *passed) {
    for (uint32_t i = 0; i < r->other_count; i++) {
        const nm_other *other = &r->others[i];
        uint64_t bit = i < 64 ? (uint64_t)1 << i : 0;
        if (!looked_at(other, whom) || (*passed & bit) || !touches(ego, r->radius, other, step - r->first)) continue;
        int may_pass = !other->adversary || r->pass_adversaries;
        if (!may_pass || !from_behind(ego, &other->boxes[step - r->first])) return i;
        *passed |= bit;
    }
    return NM_NONE;
}

static int leaves_road(const nm_rehearsal *r, const nm_box *box) {
    uint8_t off = 0;
    if (r->scene->map->lane_count == 0) return 0;
    nm_map_boxes_off_road(r->scene->map, &box->x, &box->y, &box->cos_h, &box->sin_h, &box->length, &box->width,
                          NM_ROAD_SLACK, 1, &off);
    return off;
}

typedef struct nm_motion_now {
    float s, v, a; // along
    float y, vy;   // aside
} nm_motion_now;

// The fastest speed aside at the end of a step from which it can be slowed down with `most` in what is left then: of
// (vy + w) dt / 2 + w^2 / (2 most) = left.
static float slowed_in_time(float vy, float most, float left) {
    float rest = nm_maxf(left - 0.5f * vy * DT, 0);
    return most > 0 ? most * (sqrtf(0.25f * DT * DT + 2.0f * rest / most) - 0.5f * DT) : 0;
}

// One step. Sideways: as fast as it can be slowed down again, within the limits of steering.
static void drive_on(nm_motion_now *now, const nm_manoeuvre *m) {
    float used = 0;
    if (m->side != 0) {
        float sign = m->side > 0 ? 1.0f : -1.0f, left = nm_maxf(sign * (m->side - now->y), 0), vy = sign * now->vy;
        float most = nm_minf(m->lateral, NM_STEER_CURVATURE * now->v * now->v);
        float wanted = nm_minf(vy + most * DT, slowed_in_time(vy, most, left));
        wanted = nm_minf(wanted, tanf(NM_STEER_ANGLE) * now->v);
        used = nm_minf(fabsf(wanted - vy) / DT, m->lateral);
        now->y += sign * 0.5f * (vy + wanted) * DT;
        now->vy = sign * wanted;
    }
    float before = now->a, v = now->v;
    now->a = 0;
    if (m->brake > 0) {
        float most = sqrtf(nm_maxf(m->grip * m->grip - used * used, 0));
        now->a = nm_maxf(nm_minf(before, 0) - m->jerk * DT, -nm_minf(m->brake, most));
        before = nm_clampf(before, -m->brake, 0);
        now->v = nm_maxf(v + 0.5f * (before + now->a) * DT, 0);
    }
    now->s += 0.5f * (v + now->v) * DT;
}

uint32_t nm_rehearse(const nm_rehearsal *r, uint32_t step, float s, float v, float a, const nm_manoeuvre *manoeuvre,
                     uint32_t last, nm_whom whom, uint32_t *other) {
    nm_motion_now now = {.s = s, .v = v, .a = a};
    uint64_t passed = 0;
    uint32_t touched = NM_NONE;
    NM_DEBUG_ASSERT(step >= r->first && last < r->first + r->steps);
    for (uint32_t t = step + 1; t <= last; t++) {
        drive_on(&now, manoeuvre);
        float turn = now.vy != 0 ? atan2f(now.vy, nm_maxf(now.v, 1e-3f)) : 0;
        nm_box box = nm_rehearsal_box(r, now.s, now.y, turn);
        touched = first_touched(r, &box, t, whom, &passed);
        if (touched == NM_NONE && (now.y == 0 || !leaves_road(r, &box))) continue;
        if (other) *other = touched;
        return t;
    }
    if (other) *other = NM_NONE;
    return NM_NONE;
}

uint32_t nm_rehearsal_contact(const nm_rehearsal *r, uint32_t from, uint32_t last, uint32_t *other) {
    for (uint32_t t = from; t <= last && t < r->first + r->recorded; t++) {
        nm_box ego;
        uint64_t passed = 0;
        if (!nm_scene_box(r->scene, r->ego, t, &ego)) break;
        uint32_t touched = first_touched(r, &ego, t, NM_WHOM_ADVERSARIES, &passed);
        if (touched == NM_NONE) continue;
        *other = touched;
        return t;
    }
    return NM_NONE;
}
