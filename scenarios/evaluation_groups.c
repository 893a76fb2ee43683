/// Scenes that share a key are joined: their motion's group, their content, what they were made from.
#include "scenarios/evaluation_groups.h"

#include <stdlib.h>
#include <string.h>

#include "scenarios/groups.h"
#include "sim/pile.h"

#define SCENES_WHOLE 256u ///< up to which all keys of motion are kept

static const char *const names[NM_EVALUATION_GROUPING_COUNT] = {"motion", "place", "scene"};

const char *nm_evaluation_grouping_name(nm_evaluation_grouping grouping) {
    NM_ASSERT((unsigned)grouping < NM_EVALUATION_GROUPING_COUNT);
    return names[grouping];
}

int nm_evaluation_grouping_from_name(const char *name, nm_evaluation_grouping *grouping) {
    for (int i = 0; i < NM_EVALUATION_GROUPING_COUNT; ++i)
        if (strcmp(names[i], name) == 0) {
            *grouping = (nm_evaluation_grouping)i;
            return 1;
        }
    return 0;
}

typedef struct joiner {
    nm_groups *motion;  ///< of the scenes that were taken in
    uint32_t *taken;    ///< [count] scene of number i in `motion`
    uint32_t *parent;   ///< [count] union-find: the lower index is the root
    nm_id_table hashes; ///< of contents, of the scenes and of what they were made from; to the first scene with it
} joiner;

static uint32_t root_of(joiner *j, uint32_t scene) {
    while (j->parent[scene] != scene) scene = j->parent[scene] = j->parent[j->parent[scene]];
    return scene;
}

static void join(joiner *j, uint32_t a, uint32_t b) {
    a = root_of(j, a), b = root_of(j, b);
    if (a < b)
        j->parent[b] = a;
    else
        j->parent[a] = b;
}

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "no memory to group scenes");
}

static nm_status add_hash(joiner *j, uint64_t hash, uint32_t scene, nm_error *error) {
    while (j->hashes.mask < 2 * (j->hashes.count + 1) + 2)
        if (!nm_id_table_grow(&j->hashes)) return no_memory(error);
    const uint32_t first = nm_id_table_add(&j->hashes, (int64_t)hash, scene);
    if (first != scene) join(j, first, scene);
    return NM_OK;
}

static nm_status take(joiner *j, const nm_scene *scene, uint32_t index, int by_origin, nm_error *error) {
    nm_status status = NM_OK;
    if (by_origin) status = add_hash(j, scene->hash, index, error);
    if (status == NM_OK && by_origin && scene->provenance.parent)
        return add_hash(j, scene->provenance.parent, index, error);
    j->taken[nm_groups_scenes(j->motion)] = index;
    return status == NM_OK ? nm_groups_add(j->motion, scene, error) : status;
}

static nm_status take_all(joiner *j, nm_store *store, const int64_t *scenes, size_t count, int by_origin,
                          int (*stop)(void *context), void *context, nm_error *error) {
    nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < count; ++i) {
        const nm_scene *scene = NULL;
        nm_error why;
        nm_error_clear(&why);
        status = nm_store_get_scene(store, scenes[i], &scene, &why);
        if (status == NM_OK) {
            status = take(j, scene, (uint32_t)i, by_origin, error);
        } else if (status != NM_E_MEMORY && status != NM_E_CANCELLED && status != NM_E_BUSY && status != NM_E_IO) {
            status = NM_OK; // the scene's own trouble: whoever drives it says so
        } else if (error) {
            *error = why;
        }
        nm_scene_destroy(scene);
        if (status == NM_OK && stop && stop(context)) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    return status;
}

/// Joins what moves alike, and numbers the groups.
static nm_status number(joiner *j, size_t count, uint32_t *group, uint32_t *groups, nm_error *error) {
    const uint32_t taken = nm_groups_scenes(j->motion);
    uint32_t *alike = malloc(((size_t)taken + 1) * sizeof *alike), *first = malloc(((size_t)taken + 1) * sizeof *first);
    if (!alike || !first) {
        free(alike);
        free(first);
        return no_memory(error);
    }
    const uint32_t motions = nm_groups_get(j->motion, alike);
    for (uint32_t m = 0; m < motions; ++m) first[m] = NM_NONE;
    for (uint32_t i = 0; i < taken; ++i) {
        uint32_t *of = &first[alike[i]];
        if (*of == NM_NONE)
            *of = j->taken[i];
        else
            join(j, *of, j->taken[i]);
    }
    *groups = 0;
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t root = root_of(j, i); // the lowest of its group, so it has its number already
        group[i] = root == i ? (*groups)++ : group[root];
    }
    free(alike);
    free(first);
    return NM_OK;
}

nm_status nm_evaluation_groups(nm_store *store, const int64_t *scenes, size_t count, nm_evaluation_grouping grouping,
                               int (*stop)(void *context), void *context, uint32_t *group, uint32_t *groups,
                               nm_error *error) {
    NM_ASSERT(store && (scenes || !count) && group && groups && count < NM_NONE);
    *groups = (uint32_t)count;
    for (size_t i = 0; i < count; ++i) group[i] = (uint32_t)i;
    if (grouping == NM_EVALUATION_SCENE) return NM_OK;
    joiner j = {.motion = nm_groups_create(grouping == NM_EVALUATION_PLACE ? NM_GROUP_PLACE : NM_GROUP_MOTION),
                .taken = malloc((count + 1) * sizeof *j.taken),
                .parent = malloc((count + 1) * sizeof *j.parent)};
    nm_status status = j.motion && j.taken && j.parent ? NM_OK : no_memory(error);
    for (size_t i = 0; status == NM_OK && i < count; ++i) j.parent[i] = (uint32_t)i;
    if (status == NM_OK) {
        nm_groups_thin_out(j.motion, (uint32_t)(1 + count / SCENES_WHOLE));
        status = take_all(&j, store, scenes, count, grouping == NM_EVALUATION_MOTION, stop, context, error);
    }
    if (status == NM_OK) status = number(&j, count, group, groups, error);
    nm_groups_destroy(j.motion);
    nm_id_table_free(&j.hashes);
    free(j.taken);
    free(j.parent);
    return status;
}
