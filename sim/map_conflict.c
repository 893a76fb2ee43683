/// Where lanes share ground, and who goes first.
///
/// Every lane is seen as the corridor of a car (2 m wide, less on narrow paths) along its rail. Two corridors conflict
/// where they overlap, unless the lanes follow each other, run side by side, or are the same road drawn twice. Found
/// over a hash of rail points: O(rail points at bounded density).
#include "sim/geometry.h"
#include "sim/map_private.h"

#define HALF_CORRIDOR 1.0f       // m
#define CORRIDOR_SHARE 0.4f      // of the lane's width at most, so that adjacent lanes never meet
#define CELL 4.0f                // m, twice the largest distance at which corridors meet: then 2 x 2 cells suffice
#define RUN_GAP 4u               // rail points apart that still belong to one stretch
#define END_REACH 3.0f           // m: "at the end of the lane"
#define PARALLEL 0.9f            // cosine
#define DUPLICATE_SHARE 0.7f     // of a lane's length
#define BRIDGE 3.0f              // m of height: one passes over the other
#define APPROACH 10.0f           // m before the conflict, where the direction of approach is read
#define MAX_JUNCTION_LANE 100.0f // m: longer lanes only pass through junctions
#define MAX_RUNS 96              // stretches of one lane with lanes of higher index; likewise
#define MAX_TESTS 512            // points looked at for one point; guards against maps with everything in one place

/// A stretch of lane `first` that shares ground with lane `second` > `first`; in rail points.
typedef struct run {
    uint32_t first, second;
    uint32_t first_in, first_out, second_in, second_out;
    float cosine; // of the directions, where they are closest
    float distance2;
} run;

typedef struct finder {
    nm_map *map;
    nm_map_object *object;
    const nm_rail_point *rail;
    uint32_t *owner; // [rail points] lane
    // hash of rail points by cell
    uint32_t *head, *next;
    uint32_t mask;
    // current stretch with every other lane, while walking along one
    uint32_t *open;   // [lanes] index of the run + 1
    uint32_t scanned; // the lane, and how many stretches it has
    int run_count;
    nm_pile runs; // run
    int failed;
} finder;

static uint32_t cell_hash(const finder *f, int32_t column, int32_t row) {
    return (uint32_t)nm_hash64((uint64_t)(uint32_t)column << 32 | (uint32_t)row) & f->mask;
}

static int32_t cell_of(float v) {
    return (int32_t)floorf(v / CELL);
}

static int index_points(finder *f) {
    uint32_t count = f->map->rail_count, size = 64;
    while (size < count) size *= 2;
    f->mask = size - 1;
    f->owner = malloc(((size_t)count + 1) * sizeof *f->owner);
    f->next = malloc(((size_t)count + 1) * sizeof *f->next);
    f->head = malloc(size * sizeof *f->head);
    f->open = calloc((size_t)f->map->lane_count + 1, sizeof *f->open);
    if (!f->owner || !f->next || !f->head || !f->open) return 0;
    memset(f->head, 0xff, size * sizeof *f->head);
    for (uint32_t lane = f->map->lane_count; lane-- > 0;) { // backwards: chains come out ascending
        nm_range range = f->map->lanes[lane].rail;
        for (uint32_t i = range.first + range.count; i-- > range.first;) {
            uint32_t at = cell_hash(f, cell_of(f->rail[i].x), cell_of(f->rail[i].y));
            f->owner[i] = lane;
            f->next[i] = f->head[at];
            f->head[at] = i;
        }
    }
    return 1;
}

static float half_corridor(const nm_rail_point *p) {
    return nm_minf(HALF_CORRIDOR, CORRIDOR_SHARE * (p->left + p->right));
}

static int contains(const nm_map *map, nm_range range, uint32_t lane) {
    for (uint32_t k = range.first; k < range.first + range.count; k++) {
        if (map->lane_refs[k] == lane) return 1;
    }
    return 0;
}

static int shares(const nm_map *map, nm_range a, nm_range b) {
    for (uint32_t k = a.first; k < a.first + a.count; k++) {
        if (contains(map, b, map->lane_refs[k])) return 1;
    }
    return 0;
}

static int follow_each_other(const nm_map *map, uint32_t a, uint32_t b) {
    return contains(map, map->lanes[a].successors, b) || contains(map, map->lanes[b].successors, a);
}

static int beside(const nm_map *map, nm_range range, uint32_t lane) {
    for (uint32_t k = range.first; k < range.first + range.count; k++) {
        if (map->neighbours[k].lane == lane) return 1;
    }
    return 0;
}

/// Lanes on foot do not conflict among themselves.
static int concerned(const nm_map *map, uint32_t a, uint32_t b) {
    unsigned wheels = NM_LANE_MASK_VEHICLE | 1u << NM_LANE_BIKE;
    unsigned ta = map->lanes[a].type, tb = map->lanes[b].type;
    return (int)((wheels >> ta | wheels >> tb) & 1u);
}

static void meet(finder *f, uint32_t i, uint32_t other_point, float distance2) {
    uint32_t lane = f->owner[i], other = f->owner[other_point];
    uint32_t at = i - f->map->lanes[lane].rail.first, other_at = other_point - f->map->lanes[other].rail.first;
    const nm_rail_point *p = &f->rail[i], *q = &f->rail[other_point];
    float cosine = p->cos_h * q->cos_h + p->sin_h * q->sin_h;
    run *r = f->open[other] ? &NM_AT(f->runs, run, f->open[other] - 1) : NULL;
    if (!r || r->first != lane || at > r->first_out + RUN_GAP) {
        if (f->scanned != lane) f->run_count = 0;
        f->scanned = lane;
        if (f->run_count++ >= MAX_RUNS) return;
        r = NM_PUSH(&f->runs, run, 1);
        if (!r) {
            f->failed = 1;
            return;
        }
        *r = (run){lane, other, at, at, other_at, other_at, cosine, distance2};
        f->open[other] = (uint32_t)f->runs.count;
        return;
    }
    r->first_out = at;
    if (other_at < r->second_in) r->second_in = other_at;
    if (other_at > r->second_out) r->second_out = other_at;
    if (distance2 < r->distance2) {
        r->distance2 = distance2;
        r->cosine = cosine;
    }
}

static void scan_point(finder *f, uint32_t i) {
    const nm_rail_point *p = &f->rail[i];
    uint32_t lane = f->owner[i];
    float mine = half_corridor(p);
    // the cell and its neighbours on the near sides
    int32_t column = cell_of(p->x - 0.5f * CELL), row = cell_of(p->y - 0.5f * CELL);
    int tests = 0;
    uint32_t slots[4];
    int slot_count = 0;
    for (int c = 0; c < 4; c++) {
        uint32_t at = cell_hash(f, column + (c & 1), row + (c >> 1));
        int seen = 0; // two cells may share a slot: its points must not count twice
        for (int k = 0; k < slot_count; k++) seen |= slots[k] == at;
        if (seen) continue;
        slots[slot_count++] = at;
        for (uint32_t k = f->head[at]; k != NM_NONE && tests < MAX_TESTS; k = f->next[k]) {
            if (f->owner[k] <= lane) continue;
            tests++;
            float dx = f->rail[k].x - p->x, dy = f->rail[k].y - p->y, d2 = dx * dx + dy * dy;
            float reach = mine + half_corridor(&f->rail[k]);
            if (d2 < reach * reach && concerned(f->map, lane, f->owner[k])) meet(f, i, k, d2);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What a stretch means

typedef struct stretch {
    float in, out; // m along the lane
    int at_start, at_end;
    float share; // of the lane's length
} stretch;

static stretch measure(const nm_lane *lane, uint32_t first, uint32_t last) {
    // a point stands for half a step to both sides
    float in = nm_maxf(((float)first - 0.5f) * lane->rail_step, 0.0f);
    float out = nm_minf(((float)last + 0.5f) * lane->rail_step, lane->length);
    return (stretch){in, out, in <= END_REACH, out >= lane->length - END_REACH, (out - in) / lane->length};
}

static float height_at(const nm_map *map, uint32_t index, float s) {
    const nm_lane *lane = &map->lanes[index];
    uint32_t i = lane->points.first, last = i + lane->points.count - 1;
    while (i < last && map->point_s[i] < s) i++;
    return map->z[i];
}

/// The kind of conflict, or -1 when it is none.
static int classify(const nm_map *map, const run *r, const stretch *a, const stretch *b) {
    const nm_lane *la = &map->lanes[r->first], *lb = &map->lanes[r->second];
    if (follow_each_other(map, r->first, r->second)) return -1;
    float height =
        height_at(map, r->first, 0.5f * (a->in + a->out)) - height_at(map, r->second, 0.5f * (b->in + b->out));
    if (fabsf(height) > BRIDGE) return -1;
    int starts = shares(map, la->predecessors, lb->predecessors) && a->at_start && b->at_start;
    int ends = shares(map, la->successors, lb->successors) && a->at_end && b->at_end;
    if (starts && ends && a->share > DUPLICATE_SHARE && b->share > DUPLICATE_SHARE) return -1; // drawn twice
    if (ends) return NM_CONFLICT_MERGE;
    if (starts) return NM_CONFLICT_DIVERGE;
    if (r->cosine > PARALLEL) {
        if ((a->at_end && b->at_start) || (b->at_end && a->at_start)) return -1; // one ahead of the other
        if (a->share > DUPLICATE_SHARE || b->share > DUPLICATE_SHARE) return -1;
        if (beside(map, la->left, r->second) || beside(map, la->right, r->second)) return -1;
        if (a->at_end || b->at_end) return NM_CONFLICT_MERGE;
        if (a->at_start || b->at_start) return NM_CONFLICT_DIVERGE;
    } else if (r->cosine < -PARALLEL) {
        if (beside(map, la->left, r->second) || beside(map, la->right, r->second)) return -1;
        if (a->share > 0.5f || b->share > 0.5f) return -1;                       // two-way road on one strip
        if ((a->at_end && b->at_end) || (a->at_start && b->at_start)) return -1; // face to face at a seam
    }
    return NM_CONFLICT_CROSS;
}

/// What rules the entry of a lane into a conflict: the control at the end of its predecessors; in a merge at its own
/// end first its own.
static nm_control_kind entry_control(const nm_map *map, uint32_t index, int merge_at_end) {
    const nm_lane *lane = &map->lanes[index];
    if (merge_at_end && lane->control != NM_CONTROL_NONE) return (nm_control_kind)lane->control;
    nm_control_kind strictest = NM_CONTROL_NONE;
    for (uint32_t k = lane->predecessors.first; k < lane->predecessors.first + lane->predecessors.count; k++) {
        nm_control_kind control = (nm_control_kind)map->lanes[map->lane_refs[k]].control;
        if (control > strictest) strictest = control;
    }
    return strictest;
}

static int rank_of(nm_control_kind control) {
    switch (control) {
    case NM_CONTROL_PRIORITY:
        return 2;
    case NM_CONTROL_YIELD:
    case NM_CONTROL_STOP:
        return 0;
    default: // nothing, signals and all-way stops give no rank by themselves
        return 1;
    }
}

static nm_vec2 approach(const nm_map *map, uint32_t index, float in) {
    const nm_lane *lane = &map->lanes[index];
    float s = nm_maxf(in - APPROACH, 0.0f) * lane->rail_inverse;
    uint32_t i = (uint32_t)s;
    if (i >= lane->rail.count) i = lane->rail.count - 1;
    const nm_rail_point *p = &map->rail[lane->rail.first + i];
    return (nm_vec2){p->cos_h, p->sin_h};
}

/// +1: a goes first, -1: b goes first, 0: nobody does.
static int who_first(const nm_map *map, const run *r, const stretch *a, const stretch *b, int kind) {
    if (kind == NM_CONFLICT_DIVERGE) return 0;
    const nm_lane *la = &map->lanes[r->first], *lb = &map->lanes[r->second];
    int foot_a = la->type == NM_LANE_CROSSWALK || la->type == NM_LANE_SIDEWALK;
    int foot_b = lb->type == NM_LANE_CROSSWALK || lb->type == NM_LANE_SIDEWALK;
    if (foot_a != foot_b) return foot_a ? 1 : -1;
    nm_control_kind ca = entry_control(map, r->first, kind == NM_CONFLICT_MERGE && a->at_end);
    nm_control_kind cb = entry_control(map, r->second, kind == NM_CONFLICT_MERGE && b->at_end);
    if (rank_of(ca) != rank_of(cb)) return rank_of(ca) > rank_of(cb) ? 1 : -1;
    if (kind == NM_CONFLICT_MERGE && (la->type == NM_LANE_RAMP) != (lb->type == NM_LANE_RAMP)) {
        return la->type == NM_LANE_RAMP ? -1 : 1;
    }
    nm_vec2 da = approach(map, r->first, a->in), db = approach(map, r->second, b->in);
    int left_a = la->turn == NM_TURN_LEFT || la->turn == NM_TURN_U;
    int left_b = lb->turn == NM_TURN_LEFT || lb->turn == NM_TURN_U;
    if (nm_dot(da, db) < -0.7f && left_a != left_b) return left_a ? -1 : 1; // turning left across oncoming traffic
    if (ca == NM_CONTROL_NONE && cb == NM_CONTROL_NONE) {
        float side = nm_cross(da, db); // > 0: b drives towards a's left, so it comes from a's right
        if (side > 0.5f) return -1;
        if (side < -0.5f) return 1;
    }
    return 0;
}

// ---------------------------------------------------------------------------------------------------------------------
// Collecting

static int compare_conflicts(const void *a, const void *b) {
    const nm_conflict *x = a, *y = b;
    if (x->self_in != y->self_in) return x->self_in < y->self_in ? -1 : 1;
    if (x->lane != y->lane) return x->lane < y->lane ? -1 : 1;
    return (x->other_in > y->other_in) - (x->other_in < y->other_in);
}

/// Sorts out the stretches: kinds into `kinds`, -1 for none; counts conflicts by lane.
static uint32_t judge(finder *f, int8_t *kinds, int8_t *first) {
    nm_lane *lanes = NM_MUTABLE(nm_lane, f->map->lanes);
    uint32_t count = 0;
    for (uint32_t i = 0; i < f->map->lane_count; i++) lanes[i].conflicts = (nm_range){0, 0};
    for (size_t i = 0; i < f->runs.count; i++) {
        const run *r = &NM_AT(f->runs, run, i);
        stretch a = measure(&lanes[r->first], r->first_in, r->first_out);
        stretch b = measure(&lanes[r->second], r->second_in, r->second_out);
        int kind = classify(f->map, r, &a, &b);
        kinds[i] = (int8_t)kind;
        if (kind < 0) continue;
        first[i] = (int8_t)who_first(f->map, r, &a, &b, kind);
        lanes[r->first].conflicts.count++;
        lanes[r->second].conflicts.count++;
        count += 2;
    }
    return count;
}

static void write_conflicts(finder *f, const int8_t *kinds, const int8_t *first, nm_conflict *conflicts) {
    nm_lane *lanes = NM_MUTABLE(nm_lane, f->map->lanes);
    uint32_t at = 0;
    for (uint32_t i = 0; i < f->map->lane_count; i++) {
        lanes[i].conflicts.first = at;
        at += lanes[i].conflicts.count;
        lanes[i].conflicts.count = 0;
    }
    for (size_t i = 0; i < f->runs.count; i++) {
        if (kinds[i] < 0) continue;
        const run *r = &NM_AT(f->runs, run, i);
        nm_lane *la = &lanes[r->first], *lb = &lanes[r->second];
        stretch a = measure(la, r->first_in, r->first_out), b = measure(lb, r->second_in, r->second_out);
        uint8_t mine = first[i] > 0 ? NM_PRECEDENCE_MINE : first[i] < 0 ? NM_PRECEDENCE_THEIRS : NM_PRECEDENCE_EQUAL;
        uint8_t theirs = first[i] > 0 ? NM_PRECEDENCE_THEIRS : first[i] < 0 ? NM_PRECEDENCE_MINE : NM_PRECEDENCE_EQUAL;
        conflicts[la->conflicts.first + la->conflicts.count++] =
            (nm_conflict){r->second, a.in, a.out, b.in, b.out, (uint8_t)kinds[i], mine, {0, 0}};
        conflicts[lb->conflicts.first + lb->conflicts.count++] =
            (nm_conflict){r->first, b.in, b.out, a.in, a.out, (uint8_t)kinds[i], theirs, {0, 0}};
    }
    for (uint32_t i = 0; i < f->map->lane_count; i++) {
        qsort(conflicts + lanes[i].conflicts.first, lanes[i].conflicts.count, sizeof *conflicts, compare_conflicts);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Junctions that the source does not name: connected groups of short lanes that cross.

static uint32_t root_of(uint32_t *parent, uint32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

static int within_junction(const nm_map *map, uint32_t index) {
    const nm_lane *lane = &map->lanes[index];
    if (lane->flags & NM_LANE_JUNCTION) return 1;
    if (lane->length > MAX_JUNCTION_LANE || !(NM_LANE_MASK_VEHICLE >> lane->type & 1u)) return 0;
    for (uint32_t k = lane->conflicts.first; k < lane->conflicts.first + lane->conflicts.count; k++) {
        const nm_conflict *c = &map->conflicts[k];
        if (c->kind == NM_CONFLICT_CROSS && nm_lane_type_drivable((nm_lane_type)map->lanes[c->lane].type)) return 1;
    }
    return 0;
}

/// `parent`: working memory [lanes].
static void group_junctions(nm_map *map, uint32_t *parent) {
    nm_lane *lanes = NM_MUTABLE(nm_lane, map->lanes);
    for (uint32_t i = 0; i < map->lane_count; i++) {
        parent[i] = i;
        if (within_junction(map, i)) lanes[i].flags |= NM_LANE_JUNCTION;
    }
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (!(lanes[i].flags & NM_LANE_JUNCTION)) continue;
        for (uint32_t k = lanes[i].conflicts.first; k < lanes[i].conflicts.first + lanes[i].conflicts.count; k++) {
            uint32_t other = map->conflicts[k].lane;
            if (!(lanes[other].flags & NM_LANE_JUNCTION)) continue;
            uint32_t a = root_of(parent, i), b = root_of(parent, other);
            // the root is a lane whose junction the source names, if the group has one; else the lowest
            int swap = lanes[a].junction == NM_NONE && (lanes[b].junction != NM_NONE || b < a);
            if (swap)
                parent[a] = b;
            else
                parent[b] = a;
        }
    }
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (!(lanes[i].flags & NM_LANE_JUNCTION) || lanes[i].junction != NM_NONE) continue;
        uint32_t root = root_of(parent, i);
        if (lanes[root].junction == NM_NONE) lanes[root].junction = map->junction_count++;
        lanes[i].junction = lanes[root].junction;
    }
}

int nm_map_make_conflicts(nm_map_object *object) {
    nm_map *map = &object->map;
    finder f = {.map = map, .object = object, .rail = map->rail, .scanned = NM_NONE};
    int8_t *kinds = NULL, *first = NULL;
    nm_conflict *conflicts = NULL;
    f.failed = !index_points(&f);
    for (uint32_t i = 0; i < map->rail_count && !f.failed; i++) scan_point(&f, i);
    if (!f.failed) {
        kinds = malloc(f.runs.count + 1);
        first = malloc(f.runs.count + 1);
        f.failed = !kinds || !first;
    }
    if (!f.failed) {
        uint32_t count = judge(&f, kinds, first);
        conflicts = calloc((size_t)count + 1, sizeof *conflicts);
        f.failed = !conflicts;
        if (conflicts) {
            write_conflicts(&f, kinds, first, conflicts);
            map->conflicts = object->conflicts = conflicts;
            map->conflict_count = count;
            map->bytes += count * sizeof *conflicts;
            group_junctions(map, f.open);
        }
    }
    free(kinds);
    free(first);
    free(f.owner);
    free(f.head);
    free(f.next);
    free(f.open);
    nm_pile_free(&f.runs);
    return !f.failed;
}
