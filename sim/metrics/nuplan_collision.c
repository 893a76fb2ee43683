/// Collisions of the ego, and whose fault they are.
#include "sim/math.h"
#include "sim/metrics/nuplan_private.h"

#define GROUP_PEOPLE 0
#define GROUP_VEHICLES 1
#define GROUP_OBJECTS 2

static nm_nuplan_rectangle ego_rectangle(const nm_nuplan_run *run, const nm_nuplan_moment *m) {
    return (nm_nuplan_rectangle){
        m->x, m->y, m->cos_h, m->sin_h, 0.5 * run->drive->vehicle.length, 0.5 * run->drive->vehicle.width};
}

/// The front bumper: a rectangle without length.
static nm_nuplan_rectangle bumper(nm_nuplan_rectangle ego) {
    ego = nm_nuplan_advanced(ego, ego.half_length);
    ego.half_length = 0.0;
    return ego;
}

static double track_speed(const nm_nuplan_run *run, uint32_t track, const nm_nuplan_box *box) {
    return nm_nuplan_type_static((nm_nuplan_type)run->drive->types[track]) ? 0.0 : nm_nuplan_hypot(box->vx, box->vy);
}

static nm_nuplan_class classify(const nm_nuplan_run *run, uint32_t step, uint32_t track, const nm_nuplan_rectangle *ego,
                                const nm_nuplan_rectangle *other) {
    const nm_nuplan_drive *drive = run->drive;
    const nm_nuplan_moment *m = &run->moment[step];
    const nm_nuplan_box *box = &drive->boxes[(size_t)step * drive->tracks + track];
    if (m->speed <= NM_NUPLAN_COLLISION_STOPPED) return NM_NUPLAN_STOPPED_EGO;
    if (track_speed(run, track, box) <= NM_NUPLAN_COLLISION_STOPPED) return NM_NUPLAN_STOPPED_TRACK;
    if (nm_nuplan_side_of(run, step, box->x, box->y) == NM_NUPLAN_BEHIND) return NM_NUPLAN_ACTIVE_REAR;
    const nm_nuplan_rectangle front = bumper(*ego);
    return nm_nuplan_overlap(&front, other) ? NM_NUPLAN_ACTIVE_FRONT : NM_NUPLAN_ACTIVE_LATERAL;
}

static nm_nuplan_collision describe(const nm_nuplan_run *run, uint32_t step, uint32_t track,
                                    const nm_nuplan_rectangle *ego, const nm_nuplan_rectangle *other) {
    const nm_nuplan_drive *drive = run->drive;
    const nm_nuplan_moment *m = &run->moment[step];
    const nm_nuplan_box *box = &drive->boxes[(size_t)step * drive->tracks + track];
    const nm_nuplan_class which = classify(run, step, track, ego, other);
    const double ve = m->speed, va = track_speed(run, track, box);
    const double cosine = cos(drive->ego[step].heading - box->heading);
    const double square = ve * ve + va * va - 2.0 * ve * va * cosine;
    return (nm_nuplan_collision){
        .track = track,
        .step = step,
        .collision_class = (uint8_t)which,
        .at_fault = which == NM_NUPLAN_STOPPED_TRACK || which == NM_NUPLAN_ACTIVE_FRONT ||
                    (which == NM_NUPLAN_ACTIVE_LATERAL && m->multi_lane),
        .type = drive->types[track],
        .energy = 0.5 * sqrt(square > 0.0 ? square : 0.0), // equal motions: rounding must not make it negative
    };
}

static int group_of(nm_nuplan_type type) {
    if (type == NM_NUPLAN_PEDESTRIAN || type == NM_NUPLAN_BICYCLE) return GROUP_PEOPLE;
    return type == NM_NUPLAN_VEHICLE ? GROUP_VEHICLES : GROUP_OBJECTS;
}

static double allowance(uint32_t count, double threshold) {
    return nm_nuplan_larger(0.0, 1.0 - (double)count / (threshold + 1.0));
}

static void conclude(nm_nuplan_run *run, const uint32_t at_fault[3], uint32_t first) {
    nm_nuplan_result *result = run->result;
    result->at_fault_people = at_fault[GROUP_PEOPLE];
    result->at_fault_vehicles = at_fault[GROUP_VEHICLES];
    result->at_fault_objects = at_fault[GROUP_OBJECTS];
    const double value = allowance(at_fault[GROUP_PEOPLE], 0.0) * allowance(at_fault[GROUP_VEHICLES], 0.0) *
                         allowance(at_fault[GROUP_OBJECTS], 1.0);
    const double all = (double)at_fault[0] + (double)at_fault[1] + (double)at_fault[2];
    nm_nuplan_set_metric(run, NM_NUPLAN_COLLISIONS, value, all, first);
}

void nm_nuplan_find_collisions(nm_nuplan_run *run, nm_nuplan_collision *collisions, uint32_t max) {
    const nm_nuplan_drive *drive = run->drive;
    uint32_t at_fault[3] = {0, 0, 0}, found = 0, first = NM_NONE;
    for (uint32_t t = 0; t < drive->tracks; ++t) run->contact[t] = NM_NONE;
    const double ego_reach = 0.5 * nm_nuplan_hypot(drive->vehicle.length, drive->vehicle.width);
    for (uint32_t k = 0; k < drive->samples; ++k) {
        nm_nuplan_moment *m = &run->moment[k];
        const nm_nuplan_rectangle ego = ego_rectangle(run, m);
        for (uint32_t t = 0; t < drive->tracks; ++t) {
            const size_t at = (size_t)k * drive->tracks + t;
            if (!drive->present[at] || run->contact[t] != NM_NONE) continue;
            const nm_nuplan_box *box = &drive->boxes[at];
            const double reach = ego_reach + 0.5 * nm_nuplan_hypot(box->length, box->width);
            if (!nm_nuplan_within(box->x - m->x, box->y - m->y, reach)) continue;
            const nm_nuplan_rectangle other = nm_nuplan_rectangle_of(box);
            if (!nm_nuplan_overlap(&ego, &other)) continue;
            const nm_nuplan_collision c = describe(run, k, t, &ego, &other);
            run->contact[t] = k;
            if (c.at_fault) {
                m->at_fault = 1;
                at_fault[group_of((nm_nuplan_type)c.type)]++;
                if (first == NM_NONE) first = k;
            }
            if (collisions && found < max) collisions[found] = c;
            ++found;
        }
    }
    run->result->collisions = found;
    conclude(run, at_fault, first);
}

// --- time to collision -----------------------------------------------------------------------------------------------

/// Is the track one that the ego could be blamed for?
static int watched(const nm_nuplan_run *run, uint32_t step, const nm_nuplan_box *box, int aside) {
    const nm_nuplan_side side = nm_nuplan_side_of(run, step, box->x, box->y);
    return side == NM_NUPLAN_AHEAD || (side == NM_NUPLAN_BESIDE && aside);
}

/// Two boxes along the four normals of their edges: the centres are p apart and grow apart by v a second, the half
/// extents are e together. Neither turns, so that this is all that the projected boxes differ in.
typedef struct slabs {
    double p[4], v[4], e[4];
    double dx, dy, vx, vy, reach;
} slabs;

static slabs slabs_of(const nm_nuplan_rectangle *a, double a_speed, const nm_nuplan_rectangle *b, double b_speed) {
    const double c = a->cos_h * b->cos_h + a->sin_h * b->sin_h, s = a->cos_h * b->sin_h - a->sin_h * b->cos_h;
    const double nx[4] = {a->cos_h, -a->sin_h, b->cos_h, -b->sin_h}, ny[4] = {a->sin_h, a->cos_h, b->sin_h, b->cos_h};
    slabs made = {
        .e = {a->half_length + fabs(c) * b->half_length + fabs(s) * b->half_width,
              a->half_width + fabs(s) * b->half_length + fabs(c) * b->half_width,
              b->half_length + fabs(c) * a->half_length + fabs(s) * a->half_width,
              b->half_width + fabs(s) * a->half_length + fabs(c) * a->half_width},
        .dx = b->x - a->x,
        .dy = b->y - a->y,
        .vx = b_speed * b->cos_h - a_speed * a->cos_h,
        .vy = b_speed * b->sin_h - a_speed * a->sin_h,
        .reach = nm_nuplan_hypot(a->half_length, a->half_width) + nm_nuplan_hypot(b->half_length, b->half_width),
    };
    for (int i = 0; i < 4; ++i) {
        made.p[i] = nx[i] * made.dx + ny[i] * made.dy;
        made.v[i] = nx[i] * made.vx + ny[i] * made.vy;
    }
    return made;
}

/// nm_nuplan_collide of the boxes after `tau`.
static int collide_after(const slabs *s, double tau) {
    for (int i = 0; i < 4; ++i)
        if (!(fabs(s->p[i] + s->v[i] * tau) <= s->e[i])) return 0;
    return nm_nuplan_within(s->dx + s->vx * tau, s->dy + s->vy * tau, s->reach);
}

/// The first of 0.1, 0.2, ..., 2.9 s at which the advanced boxes collide.
static double project(nm_nuplan_rectangle ego, double speed, const nm_nuplan_box *box, double box_speed) {
    const double way = NM_NUPLAN_TTC_HORIZON * speed, box_way = NM_NUPLAN_TTC_HORIZON * box_speed;
    const double reach = nm_nuplan_hypot(ego.half_length, ego.half_width) +
                         0.5 * nm_nuplan_hypot(box->length, box->width) + way + box_way;
    if (!nm_nuplan_within(box->x - ego.x, box->y - ego.y, reach)) return INFINITY; // stretched boxes cannot meet
    const nm_nuplan_rectangle other = nm_nuplan_rectangle_of(box);
    const nm_nuplan_rectangle long_ego = nm_nuplan_stretched(ego, way);
    const nm_nuplan_rectangle long_other = nm_nuplan_stretched(other, box_way);
    if (!nm_nuplan_collide(&long_ego, &long_other)) return INFINITY;
    const slabs pair = slabs_of(&ego, speed, &other, box_speed);
    for (int i = 1; i <= NM_NUPLAN_TTC_STEPS; ++i) {
        const double tau = NM_NUPLAN_TTC_STEP * (double)i;
        if (collide_after(&pair, tau)) return tau;
    }
    return INFINITY;
}

static double ttc_at(const nm_nuplan_run *run, uint32_t k, uint32_t *with) {
    const nm_nuplan_drive *drive = run->drive;
    const nm_nuplan_moment *m = &run->moment[k];
    *with = NM_NONE;
    if (m->at_fault) return 0.0;
    if (m->speed <= NM_NUPLAN_TTC_STOPPED) return INFINITY;
    const nm_nuplan_rectangle ego = ego_rectangle(run, m);
    const int aside =
        m->multi_lane || nm_nuplan_layer_contains(run->map, NM_NUPLAN_INTERSECTIONS, drive->ego[k].x, drive->ego[k].y);
    double least = INFINITY;
    for (uint32_t t = 0; t < drive->tracks; ++t) {
        const size_t at = (size_t)k * drive->tracks + t;
        if (!drive->present[at] || run->contact[t] <= k) continue;
        const nm_nuplan_box *box = &drive->boxes[at];
        if (!watched(run, k, box, aside)) continue;
        const double ttc = project(ego, m->speed, box, track_speed(run, t, box));
        if (ttc < least) least = ttc, *with = t;
    }
    return least;
}

void nm_nuplan_judge_ttc(nm_nuplan_run *run) {
    double worst = INFINITY;
    uint32_t step = NM_NONE, track = NM_NONE, with;
    for (uint32_t k = 0; k < run->drive->samples; ++k) {
        const double ttc = ttc_at(run, k, &with);
        if (run->series->ttc) run->series->ttc[k] = ttc;
        if (ttc < worst) worst = ttc, step = k, track = with;
    }
    nm_nuplan_set_metric(run, NM_NUPLAN_TTC, worst > NM_NUPLAN_TTC_BOUND ? 1.0 : 0.0, worst, step);
    run->result->metric[NM_NUPLAN_TTC].track = track;
}
