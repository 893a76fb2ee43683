/// Pairs of boxes that overlap at the first step at which both are there.
///
/// That step is always the beginning of a stretch of valid states of one of the two. So for each step at which some
/// stretch begins, the boxes of that step go into a hashed grid and only those that begin are looked up: O(states) at
/// bounded density, also for a million agents. The work is capped: hostile scenes pile all boxes up in one place.
#include "sim/geometry.h"
#include "sim/scene_validate.h"

#define CELL 8.0f            // m
#define MAX_CELLS 64         // cells of one box; larger boxes are compared with everybody that begins
#define MAX_TESTS 100000000u // pairs of boxes looked at in one scene
#define TOUCHING 0.01f       // m of penetration that still counts as touching

typedef struct box {
    nm_vec2 centre;
    float c, s, half_length, half_width;
    nm_bounds bounds;
} box;

typedef struct entry {
    int32_t column, row;
    uint32_t track; // index into boxes
    uint32_t next;
} entry;

typedef struct hit {
    uint32_t other;
    float depth;
} hit;

typedef struct sweep {
    const nm_scene *scene;
    nm_issue_list *list;
    uint32_t step;
    box *boxes;     // [tracks], valid ones of this step
    uint32_t *head; // [mask + 1] into entries
    uint32_t mask;
    nm_pile entries; // entry
    nm_pile large;   // uint32_t
    nm_pile hits;    // hit: of the box at work
    uint64_t tests;
} sweep;

static box box_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    size_t at = nm_scene_at(scene, track, step);
    const nm_track *t = &scene->tracks[track];
    float length = scene->state_length ? scene->state_length[at] : t->length;
    float width = scene->state_width ? scene->state_width[at] : t->width;
    box b = {.centre = {scene->x[at], scene->y[at]}, .half_length = 0.5f * length, .half_width = 0.5f * width};
    nm_sincosf(scene->heading[at], &b.s, &b.c);
    float x = fabsf(b.c) * b.half_length + fabsf(b.s) * b.half_width;
    float y = fabsf(b.s) * b.half_length + fabsf(b.c) * b.half_width;
    b.bounds = (nm_bounds){{b.centre.x - x, b.centre.y - y}, {b.centre.x + x, b.centre.y + y}};
    return b;
}

/// Depth of penetration by the separating-axis test over the four box axes; <= 0 when apart.
static float penetration(const box *a, const box *b) {
    nm_vec2 d = nm_sub(b->centre, a->centre);
    float c = fabsf(a->c * b->c + a->s * b->s), s = fabsf(a->c * b->s - a->s * b->c);
    float along_a = a->half_length + c * b->half_length + s * b->half_width - fabsf(d.x * a->c + d.y * a->s);
    float across_a = a->half_width + s * b->half_length + c * b->half_width - fabsf(d.y * a->c - d.x * a->s);
    float along_b = b->half_length + c * a->half_length + s * a->half_width - fabsf(d.x * b->c + d.y * b->s);
    float across_b = b->half_width + s * a->half_length + c * a->half_width - fabsf(d.y * b->c - d.x * b->s);
    return nm_minf(nm_minf(along_a, across_a), nm_minf(along_b, across_b));
}

static int32_t cell_of(float v) {
    return (int32_t)floorf(v / CELL);
}

static uint32_t slot_of(const sweep *w, int32_t column, int32_t row) {
    return (uint32_t)nm_hash64((uint64_t)(uint32_t)column << 32 | (uint32_t)row) & w->mask;
}

static int valid_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    const nm_track *t = &scene->tracks[track];
    return step >= t->first_step && step <= t->last_step && scene->valid[nm_scene_at(scene, track, step)];
}

static int begins_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    return valid_at(scene, track, step) && (step == 0 || !scene->valid[nm_scene_at(scene, track, step - 1)]);
}

static int met_before(const nm_scene *scene, uint32_t a, uint32_t b, uint32_t step) {
    const nm_track *ta = &scene->tracks[a], *tb = &scene->tracks[b];
    uint32_t first = ta->first_step > tb->first_step ? ta->first_step : tb->first_step;
    for (uint32_t t = first; t < step; t++) {
        if (valid_at(scene, a, t) && valid_at(scene, b, t)) return 1;
    }
    return 0;
}

static void compare(sweep *w, uint32_t beginner, uint32_t other) {
    const nm_scene *scene = w->scene;
    if (w->tests >= MAX_TESTS) return;
    w->tests++;
    if (beginner == other) return;
    // when both begin, the lower index finds the pair
    if (other < beginner && begins_at(scene, other, w->step)) return;
    if (scene->tracks[beginner].flags & scene->tracks[other].flags & NM_TRACK_STATIC) return;
    float depth = penetration(&w->boxes[beginner], &w->boxes[other]);
    if (depth <= TOUCHING || met_before(scene, beginner, other, w->step)) return;
    hit *found = NM_PUSH(&w->hits, hit, 1);
    if (found)
        *found = (hit){other, depth};
    else
        w->list->no_memory = 1;
}

/// The cells of a box; 0 when they are too many.
static int cells_of(const box *b, int32_t from[2], int32_t to[2]) {
    from[0] = cell_of(b->bounds.lo.x);
    from[1] = cell_of(b->bounds.lo.y);
    to[0] = cell_of(b->bounds.hi.x);
    to[1] = cell_of(b->bounds.hi.y);
    return ((int64_t)to[0] - from[0] + 1) * ((int64_t)to[1] - from[1] + 1) <= MAX_CELLS;
}

static int insert_all(sweep *w) {
    const nm_scene *scene = w->scene;
    memset(w->head, 0xff, ((size_t)w->mask + 1) * sizeof *w->head);
    w->entries.count = w->large.count = 0;
    for (uint32_t i = scene->track_count; i-- > 0;) {
        if (!valid_at(scene, i, w->step)) continue;
        w->boxes[i] = box_at(scene, i, w->step);
        int32_t from[2], to[2];
        if (!cells_of(&w->boxes[i], from, to)) {
            uint32_t *large = NM_PUSH(&w->large, uint32_t, 1);
            if (!large) return 0;
            *large = i;
            continue;
        }
        for (int32_t row = from[1]; row <= to[1]; row++) {
            for (int32_t column = from[0]; column <= to[0]; column++) {
                entry *e = NM_PUSH(&w->entries, entry, 1);
                if (!e) return 0;
                uint32_t slot = slot_of(w, column, row);
                *e = (entry){column, row, i, w->head[slot]};
                w->head[slot] = (uint32_t)(w->entries.count - 1);
            }
        }
    }
    return 1;
}

static void look_up(sweep *w, uint32_t i) {
    int32_t from[2], to[2];
    if (!cells_of(&w->boxes[i], from, to)) {
        for (uint32_t k = 0; k < w->scene->track_count && w->tests < MAX_TESTS; k++) {
            if (valid_at(w->scene, k, w->step)) compare(w, i, k);
        }
        return;
    }
    for (int32_t row = from[1]; row <= to[1]; row++) {
        for (int32_t column = from[0]; column <= to[0]; column++) {
            for (uint32_t k = w->head[slot_of(w, column, row)]; k != NM_NONE && w->tests < MAX_TESTS;) {
                const entry *e = &NM_AT(w->entries, entry, k);
                k = e->next;
                if (e->column != column || e->row != row) continue;
                // boxes that share several cells are compared in the first of them only
                int32_t f[2], t[2];
                (void)cells_of(&w->boxes[e->track], f, t);
                if ((f[0] > from[0] ? f[0] : from[0]) != column || (f[1] > from[1] ? f[1] : from[1]) != row) continue;
                compare(w, i, e->track);
            }
        }
    }
    for (size_t k = 0; k < w->large.count; k++) compare(w, i, NM_AT(w->large, uint32_t, k));
}

static int compare_hits(const void *a, const void *b) {
    const hit *x = a, *y = b;
    return (x->other > y->other) - (x->other < y->other);
}

static void report(sweep *w, uint32_t beginner) {
    if (w->hits.count > 1) qsort(w->hits.data, w->hits.count, sizeof(hit), compare_hits);
    for (size_t i = 0; i < w->hits.count; i++) {
        const hit *found = &NM_AT(w->hits, hit, i);
        nm_issue *issue = nm_issue_add(w->list, NM_ISSUE_OVERLAP_AT_START);
        if (!issue) continue;
        issue->track = beginner < found->other ? beginner : found->other;
        issue->other = beginner < found->other ? found->other : beginner;
        issue->step = w->step;
        issue->value = found->depth;
        nm_issue_say(issue, "tracks %lld and %lld overlap by %.2f m at step %u",
                     (long long)w->scene->tracks[issue->track].source_id,
                     (long long)w->scene->tracks[issue->other].source_id, (double)issue->value, issue->step);
    }
    w->hits.count = 0;
}

void nm_validate_overlaps(const nm_scene *scene, nm_issue_list *list) {
    sweep w = {.scene = scene, .list = list};
    uint32_t size = 64;
    while (size < scene->track_count && size < 1u << 30) size *= 2;
    w.mask = size - 1;
    w.boxes = malloc(((size_t)scene->track_count + 1) * sizeof *w.boxes);
    w.head = malloc((size_t)size * sizeof *w.head);
    uint8_t *begin = calloc((size_t)scene->step_count + 1, 1); // steps at which some stretch begins
    list->no_memory = !w.boxes || !w.head || !begin;
    for (uint32_t i = 0; i < scene->track_count && !list->no_memory; i++) {
        const nm_track *t = &scene->tracks[i];
        for (uint32_t step = t->first_step; step <= t->last_step && t->first_step <= t->last_step; step++) {
            begin[step] |= (uint8_t)begins_at(scene, i, step);
        }
    }
    for (w.step = 0; w.step < scene->step_count && !list->no_memory; w.step++) {
        if (!begin[w.step] || w.tests >= MAX_TESTS) continue;
        if (!insert_all(&w)) {
            list->no_memory = 1;
            break;
        }
        for (uint32_t i = 0; i < scene->track_count; i++) {
            if (!begins_at(scene, i, w.step)) continue;
            look_up(&w, i);
            report(&w, i);
        }
    }
    free(w.boxes);
    free(w.head);
    free(begin);
    nm_pile_free(&w.entries);
    nm_pile_free(&w.large);
    nm_pile_free(&w.hits);
}
