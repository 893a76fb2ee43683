/// Scenes for the viewer out of a store, one line a scene though a search answers with one hit an event.
#include "tools/cmd_view_source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define MOST_HITS 100000u ///< so that a store of millions of events opens at once: the worst ones are the first

typedef struct line {
    nm_viewer_entry entry;
    uint32_t kinds; ///< bit per kind
} line;

typedef struct lines {
    line *items;
    size_t count, capacity;
    uint32_t *table; ///< open addressing: index of a line + 1; 0 = free
    size_t slots;    ///< a power of two, over twice the count
} lines;

struct nm_view_store {
    nm_store *store;
    nm_query base;
    lines list;
};

static void lines_free(lines *list) {
    free(list->items);
    free(list->table);
    *list = (lines){0};
}

static size_t slot_of(const lines *list, int64_t id) {
    size_t slot = (size_t)nm_hash64((uint64_t)id) & (list->slots - 1);
    while (list->table[slot] && list->items[list->table[slot] - 1].entry.id != id)
        slot = (slot + 1) & (list->slots - 1);
    return slot;
}

static nm_status grow(lines *list, nm_error *error) {
    const size_t capacity = list->capacity ? list->capacity * 2 : 64;
    line *items = realloc(list->items, capacity * sizeof *items);
    if (items) list->items = items;
    uint32_t *table = calloc(capacity * 4, sizeof *table);
    if (!items || !table) {
        free(table);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for a list of %zu scenes", list->count);
    }
    free(list->table);
    list->table = table;
    list->slots = capacity * 4;
    list->capacity = capacity;
    for (size_t i = 0; i < list->count; i++) list->table[slot_of(list, items[i].entry.id)] = (uint32_t)i + 1;
    return NM_OK;
}

static void add_kind(line *l, int kind) {
    if (kind < 0 || kind >= NM_KIND_COUNT || l->kinds & 1u << kind) return;
    const size_t used = strlen(l->entry.kinds);
    l->kinds |= 1u << kind;
    snprintf(l->entry.kinds + used, sizeof l->entry.kinds - used, "%s%s", used ? " " : "", nm_kind_name((nm_kind)kind));
}

static nm_status take(void *context, const nm_hit *hit, nm_error *error) {
    lines *list = context;
    if (list->count == list->capacity) {
        nm_status status = grow(list, error);
        if (status != NM_OK) return status;
    }
    const size_t slot = slot_of(list, hit->scene);
    if (!list->table[slot]) {
        line *l = &list->items[list->count++];
        list->table[slot] = (uint32_t)list->count;
        *l = (line){.entry = {.id = hit->scene, .severity = NAN, .min_ttc = NAN}};
        snprintf(l->entry.name, sizeof l->entry.name, "%.95s", hit->scene_id[0] ? hit->scene_id : hit->file);
        snprintf(l->entry.source, sizeof l->entry.source, "%s", hit->source);
    }
    line *l = &list->items[list->table[slot] - 1];
    if (!hit->event) return NM_OK;
    add_kind(l, hit->kind);
    l->entry.severity = fmaxf(l->entry.severity, hit->detail.severity); // fmax takes the number where one is NaN
    l->entry.min_ttc = fminf(l->entry.min_ttc, hit->detail.min_ttc);
    return NM_OK;
}

static nm_status fill(nm_view_store *view, const nm_query *query, nm_error *error) {
    lines list = {0};
    nm_status status = nm_store_find(view->store, query, take, &list, error);
    if (status != NM_OK) {
        lines_free(&list);
        return status;
    }
    lines_free(&view->list);
    view->list = list;
    return NM_OK;
}

nm_status nm_view_store_create(nm_store *store, const nm_query *query, nm_view_store **out, nm_error *error) {
    nm_view_store *view = calloc(1, sizeof *view);
    *out = NULL;
    if (!view) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    view->store = store;
    view->base = *query;
    view->base.limit = MOST_HITS;
    nm_status status = fill(view, &view->base, error);
    if (status != NM_OK) {
        nm_view_store_destroy(view);
        return status;
    }
    *out = view;
    return NM_OK;
}

void nm_view_store_destroy(nm_view_store *view) {
    if (!view) return;
    lines_free(&view->list);
    free(view);
}

// --- the source ------------------------------------------------------------------------------------------------------

static uint32_t store_count(void *context) {
    return (uint32_t)((nm_view_store *)context)->list.count;
}

static nm_status store_entry(void *context, uint32_t index, nm_viewer_entry *entry, nm_error *error) {
    const nm_view_store *view = context;
    (void)error;
    NM_ASSERT(index < view->list.count);
    *entry = view->list.items[index].entry;
    return NM_OK;
}

static nm_status nothing_found(void *context, const nm_hit *hit, nm_error *error) {
    (void)context;
    (void)hit;
    (void)error;
    return NM_OK;
}

/// Whether a condition can be read on its own. Put between the parentheses of a longer one, "1) OR (1" would pass for
/// part of that and let everything through.
static nm_status stands_alone(nm_view_store *view, const char *where, nm_error *error) {
    nm_query query = nm_query_default();
    query.where = where;
    query.severity_min = 2.0; // no event is: the condition is read, nothing is searched
    query.limit = 1;
    return nm_store_find(view->store, &query, nothing_found, NULL, error);
}

/// What a filter says, in parts that all have to hold.
typedef struct demand {
    char *text;          ///< room for words and where, one allocation
    char *words, *where; ///< grow by join
    int kind;            ///< of the events listed, or -1
    uint32_t kinds;      ///< bit per kind asked for
} demand;

/// Adds to the end of `to`, which has room; `between` stands before all but the first.
static void join(char *to, const char *between, const char *before, const char *text, const char *after) {
    sprintf(to + strlen(to), "%s%s%s%s", to[0] ? between : "", before, text, after);
}

/// A second kind is that of another event than the one listed, of the same scene.
static const char other_kind[] = "scene IN (SELECT scene FROM events WHERE kind = '";

static void demand_kind(demand *d, nm_kind kind) {
    if (d->kinds & 1u << kind) return;
    d->kinds |= 1u << kind;
    if (d->kind < 0)
        d->kind = (int)kind;
    else
        join(d->where, " AND ", other_kind, nm_kind_name(kind), "')");
}

/// Splits `text`, which is written to.
static void read_words(demand *d, char *text) {
    char *rest = NULL;
    for (char *word = strtok_r(text, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        nm_kind kind;
        if (nm_kind_from_name(word, &kind))
            demand_kind(d, kind);
        else
            join(d->words, " ", "", word, "");
    }
}

static nm_status store_filter(void *context, const char *text, nm_error *error) {
    static const char where[] = "where ";
    nm_view_store *view = context;
    nm_query query = view->base;
    const char *also = query.where ? query.where : "", *found = query.text ? query.text : "";
    const size_t length = strlen(text), words_size = strlen(found) + length + 2;
    const size_t where_size = strlen(also) + length + 32 + NM_KIND_COUNT * (sizeof other_kind + 64);
    demand d = {.kind = query.kind, .text = calloc(1, words_size + where_size + length + 1)};
    if (!d.text) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    d.words = d.text, d.where = d.text + words_size;
    if (d.kind >= 0) d.kinds = 1u << d.kind;
    nm_status status = NM_OK;
    if (found[0]) join(d.words, " ", "", found, "");
    if (also[0]) join(d.where, " AND ", "(", also, "\n)"); // a newline ends what may be a comment
    if (strncmp(text, where, sizeof where - 1) == 0) {
        status = stands_alone(view, text + sizeof where - 1, error);
        join(d.where, " AND ", "(", text + sizeof where - 1, "\n)");
    } else {
        read_words(&d, memcpy(d.where + where_size, text, length + 1));
    }
    query.kind = d.kind;
    query.text = d.words[0] ? d.words : NULL;
    query.where = d.where[0] ? d.where : NULL;
    if (status == NM_OK) status = fill(view, &query, error);
    free(d.text);
    return status;
}

// events of an open scene, as moments

static int by_peak(const void *a, const void *b) {
    const nm_moment *x = a, *y = b;
    return x->peak_step < y->peak_step ? -1 : x->peak_step > y->peak_step;
}

static nm_status load_moments(nm_store *store, int64_t id, nm_viewer_scene *out, nm_error *error) {
    nm_arena *arena = nm_arena_create(0);
    nm_event *events = NULL;
    size_t count = 0;
    if (!arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_status status = nm_store_get_events(store, id, arena, &events, &count, error);
    nm_moment *moments = status == NM_OK ? calloc(count ? count : 1, sizeof *moments) : NULL;
    if (status == NM_OK && !moments) status = NM_ERROR(error, NM_E_MEMORY, "out of memory for %zu events", count);
    uint32_t kept = 0;
    for (size_t i = 0; i < count && status == NM_OK; i++) {
        const uint32_t tracks = out->scene->track_count, steps = out->scene->step_count;
        if (events[i].critical_step >= steps || events[i].actor >= tracks) continue; // a store is a file: not trusted
        moments[kept++] = (nm_moment){.first_step = events[i].first_step < steps ? events[i].first_step : 0,
                                      .peak_step = events[i].critical_step,
                                      .last_step = events[i].last_step < steps ? events[i].last_step : steps - 1,
                                      .first = events[i].actor,
                                      .second = events[i].other < tracks ? events[i].other : NM_NONE,
                                      .kind = nm_kind_name(events[i].kind),
                                      .severity = events[i].severity};
    }
    nm_arena_destroy(arena);
    if (status != NM_OK) return status;
    qsort(moments, kept, sizeof *moments, by_peak);
    out->moments = out->owner = moments;
    out->moment_count = kept;
    return NM_OK;
}

static nm_status store_load(void *context, int64_t id, nm_viewer_scene *out, nm_error *error) {
    nm_view_store *view = context;
    *out = (nm_viewer_scene){0};
    nm_status status = nm_store_get_scene(view->store, id, &out->scene, error);
    if (status != NM_OK) return status;
    status = load_moments(view->store, id, out, error);
    if (status != NM_OK) nm_scene_destroy(out->scene);
    return status;
}

static void store_release(void *context, nm_viewer_scene *scene) {
    (void)context;
    nm_scene_destroy(scene->scene);
    free(scene->owner);
    *scene = (nm_viewer_scene){0};
}

nm_viewer_source nm_view_store_source(nm_view_store *view) {
    return (nm_viewer_source){view, store_count, store_entry, store_filter, store_load, store_release};
}

// --- a single scene --------------------------------------------------------------------------------------------------

static uint32_t single_count(void *context) {
    (void)context;
    return 1;
}

static nm_status single_entry(void *context, uint32_t index, nm_viewer_entry *entry, nm_error *error) {
    const nm_view_single *view = context;
    (void)index;
    (void)error;
    *entry = (nm_viewer_entry){.id = 1, .severity = NAN, .min_ttc = NAN};
    snprintf(entry->name, sizeof entry->name, "%s", view->name);
    snprintf(entry->source, sizeof entry->source, "%s", view->scene->provenance.source);
    return NM_OK;
}

static nm_status single_filter(void *context, const char *text, nm_error *error) {
    (void)context;
    return text[0] ? NM_ERROR(error, NM_E_UNSUPPORTED, "there is only one scene: open a store to filter") : NM_OK;
}

static nm_status single_load(void *context, int64_t id, nm_viewer_scene *out, nm_error *error) {
    const nm_view_single *view = context;
    if (id != 1) return NM_ERROR(error, NM_E_NOT_FOUND, "there is no scene %lld", (long long)id);
    *out = (nm_viewer_scene){.scene = view->scene};
    return NM_OK;
}

static void single_release(void *context, nm_viewer_scene *scene) {
    (void)context;
    *scene = (nm_viewer_scene){0};
}

nm_viewer_source nm_view_single_source(nm_view_single *view) {
    return (nm_viewer_source){view, single_count, single_entry, single_filter, single_load, single_release};
}
