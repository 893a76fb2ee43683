#include "tools/cmd_generate_sources.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "scenarios/network.h"
#include "sim/builtin.h"

#define BUILTIN_VARIANTS 2u
#define TRIES 8u // scenes of a part that are looked at before it is left out

static nm_status add(nm_case_sources *s, const nm_scene *scene, nm_error *error) {
    if (s->count == s->capacity) {
        const size_t capacity = s->capacity ? 2 * s->capacity : 64;
        const nm_scene **scenes = realloc(s->scenes, capacity * sizeof *scenes);
        if (scenes) s->scenes = scenes;
        double *weights = scenes ? realloc(s->weights, capacity * sizeof *weights) : NULL;
        if (weights) s->weights = weights;
        if (!weights) {
            nm_scene_destroy(scene);
            return NM_ERROR(error, NM_E_MEMORY, "out of memory for the sources of corner cases");
        }
        s->capacity = capacity;
    }
    s->weights[s->count] = 1.0;
    s->scenes[s->count++] = scene;
    return NM_OK;
}

static nm_status add_map(nm_case_sources *s, const char *specification, uint64_t seed, nm_error *error) {
    const nm_scene *scene;
    const nm_status status = nm_builtin_scene(specification, seed, &scene, error);
    return status == NM_OK ? add(s, scene, error) : status;
}

static nm_status add_maps(nm_case_sources *s, const char *specification, uint64_t seed, nm_error *error) {
    nm_status status = NM_OK;
    if (strcmp(specification, "all") != 0) return add_map(s, specification, seed, error);
    for (int k = 0; status == NM_OK && k < NM_BUILTIN_COUNT; ++k) {
        for (uint64_t i = 0; status == NM_OK && i < BUILTIN_VARIANTS; ++i) {
            char text[80];
            snprintf(text, sizeof text, "%s:density=%g", nm_builtin_name((nm_builtin_kind)k), NM_NETWORK_DENSITY);
            status = add_map(s, text, seed + i, error);
        }
    }
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Stores

/// Whoever makes scenes out of others: "nexus" are the model's futures.
static const char *const makers[] = {"nexus", "manoeuvre", "resample", "diffusion"};

static int is_made(const nm_scene *scene) {
    for (size_t i = 0; i < sizeof makers / sizeof *makers; ++i)
        if (strcmp(scene->provenance.source, makers[i]) == 0) return 1;
    return 0;
}

/// A road network alone gets traffic in as many variants as built-in maps have; *scene goes.
static nm_status add_network(nm_case_sources *s, const nm_scene *scene, uint64_t seed, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < BUILTIN_VARIANTS; ++i) {
        const nm_scene *busy;
        status = nm_network_traffic(scene, seed + i, &busy, error);
        if (status == NM_OK) status = add(s, busy, error);
    }
    nm_scene_destroy(scene);
    return status;
}

static nm_status add_stored(nm_case_sources *s, nm_store *store, int64_t id, uint64_t seed, nm_error *error) {
    const nm_scene *scene, *ready;
    nm_status status = nm_store_get_scene(store, id, &scene, error);
    if (status != NM_OK) return status;
    if (is_made(scene)) {
        nm_scene_destroy(scene);
        return NM_ERROR(error, NM_E_ARGUMENT, "scene %" PRId64 " was generated: name a recorded one", id);
    }
    if (nm_is_network(scene)) return add_network(s, scene, seed, error);
    if (fabsf(scene->dt - NM_STEP_SECONDS) <= 1e-4f) return add(s, scene, error);
    status = nm_scene_resample(scene, (double)NM_STEP_SECONDS, &ready, error);
    nm_scene_destroy(scene);
    return status == NM_OK ? add(s, ready, error) : status;
}

static nm_status add_named(nm_case_sources *s, nm_store *store, const nm_text_list *ids, uint64_t seed,
                           nm_error *error) {
    nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < ids->count; ++i) {
        char *end;
        const int64_t id = strtoll(ids->items[i], &end, 10);
        if (*end || end == ids->items[i] || id <= 0)
            return NM_ERROR(error, NM_E_ARGUMENT, "'%.100s' is not the id of a scene", ids->items[i]);
        status = add_stored(s, store, id, seed, error);
    }
    return status;
}

/// One scene of the part ids[0 .. count), from the drawn one on; *first: why the first of those that are left out is.
static nm_status add_one_of(nm_case_sources *s, nm_store *store, const int64_t *ids, size_t count, size_t drawn,
                            uint64_t seed, uint64_t *unreadable, nm_error *first, nm_error *error) {
    for (size_t i = 0; i < count && i < TRIES; ++i) {
        nm_error why;
        nm_error_clear(&why);
        const nm_status status = add_stored(s, store, ids[(drawn + i) % count], seed, &why);
        if (status == NM_OK) return NM_OK;
        if (status == NM_E_CANCELLED || status == NM_E_MEMORY) {
            *error = why;
            return status;
        }
        if (!(*unreadable)++) *first = why;
    }
    return NM_OK;
}

static nm_status add_drawn(nm_case_sources *s, nm_store *store, const nm_mix_source *from, uint64_t seed, int quiet,
                           nm_error *error) {
    nm_arena *arena = nm_arena_create(0);
    int64_t *ids;
    size_t count;
    uint64_t unreadable = 0;
    nm_error first;
    nm_error_clear(&first);
    if (!arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the sources of corner cases");
    nm_status status = nm_store_ids_without(store, makers, sizeof makers / sizeof *makers, arena, &ids, &count, error);
    const size_t parts = count < from->scenes ? count : from->scenes;
    for (size_t i = 0; status == NM_OK && i < parts; ++i) {
        const size_t begin = i * count / parts, end = (i + 1) * count / parts;
        const nm_rng_key key = {.seed = seed, .scene = i, .agent = UINT32_MAX, .step = 2, .purpose = NM_PURPOSE_KIND};
        const size_t drawn = nm_rng_below(&key, 0, (uint32_t)(end - begin));
        status = add_one_of(s, store, ids + begin, end - begin, drawn, seed, &unreadable, &first, error);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    nm_arena_destroy(arena);
    if (unreadable && !quiet && status == NM_OK) {
        char text[sizeof first.input + sizeof first.message];
        nm_error_format(&first, text, sizeof text);
        fprintf(stderr, "nearmiss generate: without %" PRIu64 " scene%s of %s, for example: %s\n", unreadable,
                unreadable == 1 ? "" : "s", from->from, text);
    }
    s->unreadable += unreadable;
    return status;
}

static nm_status add_store(nm_case_sources *s, const nm_mix_source *from, uint64_t seed, int quiet, nm_error *error) {
    nm_store *store;
    const size_t before = s->count;
    nm_status status = nm_store_open(from->from, NM_STORE_READ, &store, error);
    if (status != NM_OK) return status;
    nm_store_set_interrupt(store, nm_cli_stop, NULL);
    status = from->ids ? add_named(s, store, from->ids, seed, error) : add_drawn(s, store, from, seed, quiet, error);
    nm_store_close(store);
    if (status == NM_OK && s->count == before)
        return NM_ERROR(error, NM_E_NOT_FOUND, "%s holds no recorded scene to begin from", from->from);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// All of them

typedef struct weighed {
    const nm_scene *scene;
    double weight;
} weighed;

static int by_content(const void *a, const void *b) {
    const weighed *left = a, *right = b;
    if (left->scene->hash != right->scene->hash) return left->scene->hash < right->scene->hash ? -1 : 1;
    const nm_provenance *p = &left->scene->provenance, *q = &right->scene->provenance;
    const int order = strcmp(p->file, q->file);
    if (order) return order;
    if (p->record != q->record) return p->record < q->record ? -1 : 1;
    return left->weight < right->weight ? -1 : left->weight > right->weight;
}

/// However they were named, the same scenes come in the same order.
static nm_status settle(nm_case_sources *s, nm_error *error) {
    weighed *all = calloc(s->count, sizeof *all);
    if (!all) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the sources of corner cases");
    for (size_t i = 0; i < s->count; ++i) all[i] = (weighed){s->scenes[i], s->weights[i]};
    qsort(all, s->count, sizeof *all, by_content);
    s->hash = 0;
    for (size_t i = 0; i < s->count; ++i) {
        s->scenes[i] = all[i].scene;
        s->weights[i] = all[i].weight;
        s->hash = nm_hash_bytes(&s->scenes[i]->hash, sizeof s->scenes[i]->hash, s->hash);
        s->hash = nm_hash_bytes(&s->weights[i], sizeof s->weights[i], s->hash);
    }
    free(all);
    return NM_OK;
}

nm_status nm_case_sources_open(const nm_mix *mix, int quiet, nm_case_sources *s, nm_error *error) {
    *s = (nm_case_sources){0};
    nm_status status = NM_OK;
    double weights = 0.0;
    for (uint32_t i = 0; i < mix->source_count; ++i) weights += mix->sources[i].weight;
    for (uint32_t i = 0; status == NM_OK && i < mix->source_count; ++i) {
        const nm_mix_source *from = &mix->sources[i];
        const size_t before = s->count;
        status = from->from[0] ? add_store(s, from, mix->seed, quiet, error) : add_maps(s, from->map, mix->seed, error);
        for (size_t k = before; k < s->count; ++k) s->weights[k] = from->weight / weights / (double)(s->count - before);
    }
    return status == NM_OK ? settle(s, error) : status;
}

void nm_case_sources_close(nm_case_sources *s) {
    for (size_t i = 0; i < s->count; ++i) nm_scene_destroy(s->scenes[i]);
    free(s->scenes);
    free(s->weights);
    *s = (nm_case_sources){0};
}
