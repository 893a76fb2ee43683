#include "tools/scene_ids.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/store.h"
#include "tools/cli.h"

void nm_scene_ids_release(nm_scene_ids *list) {
    free(list->ids);
    *list = (nm_scene_ids){0};
}

static nm_status add_id(nm_scene_ids *list, int64_t id, nm_error *error) {
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 1024;
        int64_t *grown = realloc(list->ids, capacity * sizeof *grown);
        if (!grown) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the ids of scenes");
        list->ids = grown;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return NM_OK;
}

int nm_scene_ids_named(const char *patterns, const char *name) {
    char pattern[256];
    if (!patterns) return 1;
    while (*patterns) {
        const size_t length = strcspn(patterns, ",");
        if (length < sizeof pattern) {
            memcpy(pattern, patterns, length);
            pattern[length] = '\0';
            if (fnmatch(pattern, name, 0) == 0) return 1;
        }
        patterns += length + (patterns[length] == ',');
    }
    return 0;
}

typedef struct finder {
    nm_scene_ids *list;
    const char *only;
} finder;

static nm_status take_hit(void *context, const nm_hit *hit, nm_error *error) {
    const finder *f = context;
    return !nm_scene_ids_named(f->only, hit->scene_id) ? NM_OK : add_id(f->list, hit->scene, error);
}

static int by_id(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort_once(nm_scene_ids *list) {
    if (list->count < 2) return;
    qsort(list->ids, list->count, sizeof *list->ids, by_id);
    size_t kept = 1;
    for (size_t i = 1; i < list->count; i++)
        if (list->ids[i] != list->ids[kept - 1]) list->ids[kept++] = list->ids[i];
    list->count = kept;
}

static nm_status find_ids(nm_store *store, const char *only, int kind, const char *where, nm_scene_ids *list,
                          nm_error *error) {
    finder f = {list, only};
    nm_query query = nm_query_default();
    query.kind = kind;
    query.where = where;
    query.limit = 0;
    query.seconds = 0; // until interrupted
    return nm_store_find(store, &query, take_hit, &f, error);
}

static nm_status all_ids(nm_store *store, nm_scene_ids *list, nm_error *error) {
    nm_arena *arena = nm_arena_create(0);
    int64_t *ids = NULL;
    size_t count = 0;
    nm_status status = arena ? nm_store_scene_ids(store, -1, arena, &ids, &count, error)
                             : NM_ERROR(error, NM_E_MEMORY, "out of memory for the ids of scenes");
    for (size_t i = 0; i < count && status == NM_OK; i++) status = add_id(list, ids[i], error);
    nm_arena_destroy(arena);
    return status;
}

nm_status nm_scene_ids_choose(const char *path, const char *only, int kind, const char *where, size_t limit,
                              nm_scene_ids *list, nm_error *error) {
    nm_store *store = NULL;
    nm_status status = nm_store_open(path, NM_STORE_READ, &store, error);
    if (status != NM_OK) return status;
    nm_store_set_interrupt(store, nm_cli_stop, NULL);
    const int chosen = kind >= 0 || where;
    status = chosen || only ? find_ids(store, only, kind, where, list, error) : all_ids(store, list, error);
    nm_store_close(store);
    if (status != NM_OK) return status;
    sort_once(list);
    if (list->count == 0 && only)
        return NM_ERROR(error, NM_E_NOT_FOUND, "%s: no scene%s is named '%.200s' (nearmiss find lists names)", path,
                        chosen ? " with such an event" : "", only);
    if (list->count == 0)
        return NM_ERROR(error, NM_E_NOT_FOUND, "%s: no scene%s", path,
                        chosen ? " has an event for which the condition holds (nearmiss mine finds events)"
                               : " is in this store");
    if (limit && list->count > limit) {
        for (size_t i = 0; i < limit; i++)
            list->ids[i] = list->ids[(size_t)((double)i * (double)list->count / (double)limit)];
        list->count = limit;
    }
    return NM_OK;
}

nm_status nm_scene_ids_parse(char **texts, int count, nm_scene_ids *list, nm_error *error) {
    nm_status status = NM_OK;
    for (int i = 0; status == NM_OK && i < count; i++) {
        char *end;
        const int64_t id = strtoll(texts[i], &end, 10);
        if (*end || end == texts[i] || id <= 0)
            return NM_ERROR(error, NM_E_ARGUMENT, "'%.100s' is not the id of a scene", texts[i]);
        status = add_id(list, id, error);
    }
    sort_once(list);
    return status;
}
