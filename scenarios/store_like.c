/// Similarity search: the scenes whose features lie nearest to a given one's, exactly.
///
/// A million features of 32 floats are 128 MB, too much to read for one answer. So each is also kept rounded to 32
/// bytes with the length r of what rounding took away. For the true features a, b and the rounded ones a', b' the
/// triangle inequality gives |d(a, b) - d(a', b')| <= r_a + r_b: one pass over 36 MB bounds every distance from both
/// sides, the count-th smallest upper bound rules nearly everything out, and the few left are measured with their full
/// features. A feature out of the range of a byte is clamped, which makes its r large, and so it is always measured.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/store_internal.h"

// --- blocks ----------------------------------------------------------------------------------------------------------

void nm_like_encode(const float feature[NM_FEATURE_COUNT], uint8_t entry[NM_BLOCK_ENTRY]) {
    double lost = 0;
    for (int i = 0; i < NM_FEATURE_COUNT; i++) {
        double code = nearbyint((double)feature[i] * (double)NM_LIKE_SCALE);
        code = code < -127 ? -127 : code > 127 ? 127 : code;
        double rest = feature[i] - code / (double)NM_LIKE_SCALE;
        lost += rest * rest;
        entry[i] = (uint8_t)(int8_t)code;
    }
    float length = nextafterf((float)sqrt(lost), INFINITY); // rounded up: it bounds
    memcpy(entry + NM_FEATURE_COUNT, &length, sizeof length);
}

static void clear_entry(uint8_t entry[NM_BLOCK_ENTRY]) {
    const float none = -1.0f;
    memset(entry, 0, NM_FEATURE_COUNT);
    memcpy(entry + NM_FEATURE_COUNT, &none, sizeof none);
}

nm_status nm_like_flush(nm_store *store, nm_error *error) {
    if (!store->block_dirty) return NM_OK;
    sqlite3_stmt *put = nm_store_statement(store, NM_SQL_PUT_BLOCK, error);
    if (!put) return nm_store_status(store);
    sqlite3_bind_int64(put, 1, store->block);
    sqlite3_bind_blob(put, 2, store->vectors, NM_BLOCK_BYTES, SQLITE_STATIC);
    nm_status status = nm_store_run(store, put, "storing features", error);
    // another process may write before this one does again
    store->block = -1;
    store->block_dirty = 0;
    return status;
}

void nm_like_forget(nm_store *store) {
    store->block = -1;
    store->block_dirty = 0;
}

/// Makes `block` the one held. *there tells whether the store has it.
static nm_status hold_block(nm_store *store, int64_t block, int *there, nm_error *error) {
    *there = 1;
    if (store->block_dirty && store->block == block) return NM_OK;
    nm_status status = nm_like_flush(store, error);
    sqlite3_stmt *get = status == NM_OK ? nm_store_statement(store, NM_SQL_GET_BLOCK, error) : NULL;
    if (!get) return status != NM_OK ? status : nm_store_status(store);
    sqlite3_bind_int64(get, 1, block);
    int result = sqlite3_step(get);
    *there = result == SQLITE_ROW;
    if (result == SQLITE_ROW) {
        const void *bytes = sqlite3_column_blob(get, 0);
        if (bytes && sqlite3_column_bytes(get, 0) == NM_BLOCK_BYTES)
            memcpy(store->vectors, bytes, NM_BLOCK_BYTES);
        else
            status = NM_ERROR_AT(error, NM_E_FORMAT, store->path, 0, -1, "feature block %" PRId64 " is damaged", block);
    } else if (result != SQLITE_DONE) {
        status = nm_store_fail(store, result, "reading features", error);
    }
    sqlite3_reset(get);
    store->block = status == NM_OK ? block : -1;
    return status;
}

nm_status nm_like_set(nm_store *store, int64_t scene, const float *feature, nm_error *error) {
    int there = 0;
    nm_status status = hold_block(store, scene / NM_BLOCK_SCENES, &there, error);
    if (status != NM_OK || (!there && !feature)) return status;
    if (!there)
        for (size_t i = 0; i < NM_BLOCK_SCENES; i++) clear_entry(store->vectors + i * NM_BLOCK_ENTRY);
    uint8_t *entry = store->vectors + (size_t)(scene % NM_BLOCK_SCENES) * NM_BLOCK_ENTRY;
    if (feature)
        nm_like_encode(feature, entry);
    else
        clear_entry(entry);
    store->block_dirty = 1;
    return NM_OK;
}

// --- search ----------------------------------------------------------------------------------------------------------

typedef struct nm_candidate {
    int64_t scene;
    float low;
} nm_candidate;

typedef struct nm_like_pass {
    int64_t self;
    size_t count;               ///< asked for; 0 = all
    const int64_t *allowed;     ///< ascending, nullable
    size_t allowed_count, next; ///< allowed[next] is the first not yet passed
    float *heap;                ///< the `count` smallest upper bounds, the largest first
    size_t heap_size;
    nm_candidate *candidates;
    size_t candidate_count, capacity;
} nm_like_pass;

/// Distances of the rounded features, and what rounding took from each (negative = no scene). 32 bytes are one AVX2
/// register; sums of integers are the same in any order.
NM_TARGET_CLONES
static void block_distances(const uint8_t *vectors, const int8_t query[NM_FEATURE_COUNT], float *distance,
                            float *lost) {
    for (size_t i = 0; i < NM_BLOCK_SCENES; i++) {
        const int8_t *codes = (const int8_t *)(vectors + i * NM_BLOCK_ENTRY);
        int32_t sum = 0;
        for (int j = 0; j < NM_FEATURE_COUNT; j++) {
            int16_t step = (int16_t)(codes[j] - query[j]);
            sum += step * step;
        }
        distance[i] = sqrtf((float)sum) * (1.0f / NM_LIKE_SCALE);
        memcpy(&lost[i], codes + NM_FEATURE_COUNT, sizeof lost[i]);
    }
}

/// Keeps the `count` smallest values; heap[0] is the largest of them.
static void heap_offer(nm_like_pass *pass, float value) {
    float *heap = pass->heap;
    size_t at;
    if (pass->heap_size < pass->count) {
        at = pass->heap_size++;
        for (; at > 0 && heap[(at - 1) / 2] < value; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    } else {
        if (value >= heap[0]) return;
        at = 0;
        for (size_t child; (child = 2 * at + 1) < pass->heap_size; at = child) {
            if (child + 1 < pass->heap_size && heap[child + 1] > heap[child]) child++;
            if (heap[child] <= value) break;
            heap[at] = heap[child];
        }
    }
    heap[at] = value;
}

/// No scene whose lower bound is above this can be among the nearest.
static float threshold(const nm_like_pass *pass) {
    return pass->count && pass->heap_size == pass->count ? pass->heap[0] : INFINITY;
}

/// 1 when the scene may be a result. Scenes come in ascending order.
static int is_allowed(nm_like_pass *pass, int64_t scene) {
    if (scene == pass->self) return 0;
    if (!pass->allowed) return 1;
    while (pass->next < pass->allowed_count && pass->allowed[pass->next] < scene) pass->next++;
    return pass->next < pass->allowed_count && pass->allowed[pass->next] == scene;
}

static void drop_ruled_out(nm_like_pass *pass) {
    const float limit = threshold(pass);
    size_t kept = 0;
    for (size_t i = 0; i < pass->candidate_count; i++)
        if (pass->candidates[i].low <= limit) pass->candidates[kept++] = pass->candidates[i];
    pass->candidate_count = kept;
}

static int add_candidate(nm_like_pass *pass, int64_t scene, float low) {
    if (pass->candidate_count == pass->capacity) {
        drop_ruled_out(pass); // the threshold sank since they were added
        if (pass->candidate_count * 2 >= pass->capacity) {
            size_t larger = pass->capacity ? pass->capacity * 2 : 1024;
            nm_candidate *moved = realloc(pass->candidates, larger * sizeof *moved);
            if (!moved) return 0;
            pass->candidates = moved;
            pass->capacity = larger;
        }
    }
    pass->candidates[pass->candidate_count++] = (nm_candidate){scene, low};
    return 1;
}

static int pass_block(nm_like_pass *pass, int64_t block, const uint8_t *vectors, const uint8_t query[NM_BLOCK_ENTRY]) {
    float distance[NM_BLOCK_SCENES], lost[NM_BLOCK_SCENES], own;
    int8_t codes[NM_FEATURE_COUNT];
    memcpy(codes, query, sizeof codes);
    memcpy(&own, query + NM_FEATURE_COUNT, sizeof own);
    block_distances(vectors, codes, distance, lost);
    float limit = threshold(pass);
    for (size_t i = 0; i < NM_BLOCK_SCENES; i++) {
        const float slack = lost[i] + own + 1e-6f * (lost[i] + own + distance[i] + 1.0f); // and what float rounds away
        if (!(lost[i] >= 0) || distance[i] - slack > limit) continue;
        const int64_t scene = block * NM_BLOCK_SCENES + (int64_t)i;
        if (!is_allowed(pass, scene)) continue;
        if (!add_candidate(pass, scene, distance[i] - slack)) return 0;
        if (pass->count) {
            heap_offer(pass, distance[i] + slack);
            limit = threshold(pass);
        }
    }
    return 1;
}

static nm_status scan_blocks(nm_store *store, nm_like_pass *pass, const uint8_t query[NM_BLOCK_ENTRY],
                             nm_error *error) {
    sqlite3_stmt *scan = nm_store_statement(store, NM_SQL_SCAN_BLOCKS, error);
    if (!scan) return nm_store_status(store);
    nm_status status = NM_OK;
    int result = SQLITE_DONE;
    while (status == NM_OK && (result = sqlite3_step(scan)) == SQLITE_ROW) {
        int64_t block = sqlite3_column_int64(scan, 0);
        const void *vectors = sqlite3_column_blob(scan, 1);
        if (!vectors || sqlite3_column_bytes(scan, 1) != NM_BLOCK_BYTES)
            status = NM_ERROR_AT(error, NM_E_FORMAT, store->path, 0, -1, "feature block %" PRId64 " is damaged", block);
        else if (block < 0 || block > INT64_MAX / NM_BLOCK_SCENES - 1)
            continue;
        else if (!pass_block(pass, block, vectors, query))
            status = NM_ERROR(error, NM_E_MEMORY, "out of memory: searching for similar scenes");
        else if (store->interrupt && store->interrupt(store->interrupt_context))
            status = NM_ERROR(error, NM_E_CANCELLED, "searching for similar scenes: interrupted");
    }
    if (status == NM_OK && result != SQLITE_DONE)
        status = nm_store_fail(store, result, "searching for similar scenes", error);
    sqlite3_reset(scan);
    return status;
}

/// NM_E_NOT_FOUND without a message when the scene has no feature.
static nm_status read_feature(nm_store *store, int64_t scene, float feature[NM_FEATURE_COUNT], nm_error *error) {
    sqlite3_stmt *get = nm_store_statement(store, NM_SQL_GET_FEATURE, error);
    if (!get) return nm_store_status(store);
    sqlite3_bind_int64(get, 1, scene);
    nm_status status = NM_E_NOT_FOUND;
    int result = sqlite3_step(get);
    if (result == SQLITE_ROW) {
        const void *bytes = sqlite3_column_blob(get, 0);
        if (bytes && sqlite3_column_bytes(get, 0) == NM_FEATURE_COUNT * (int)sizeof *feature) {
            memcpy(feature, bytes, NM_FEATURE_COUNT * sizeof *feature);
            status = NM_OK;
        }
    } else if (result != SQLITE_DONE) {
        status = nm_store_fail(store, result, "reading a feature", error);
    }
    sqlite3_reset(get);
    return status;
}

static int by_distance(const void *a, const void *b) {
    const nm_neighbour_scene *p = a, *q = b;
    if (p->distance != q->distance) return p->distance < q->distance ? -1 : 1;
    return (p->scene > q->scene) - (p->scene < q->scene);
}

/// Measures the candidates; *stale counts those that are gone (deleted by hand: blocks are not told).
static nm_status measure(nm_store *store, nm_like_pass *pass, const float *query, nm_neighbour_scene **found,
                         size_t *found_count, size_t *stale, nm_error *error) {
    drop_ruled_out(pass);
    *found = malloc((pass->candidate_count ? pass->candidate_count : 1) * sizeof **found);
    *found_count = *stale = 0;
    if (!*found) return NM_ERROR(error, NM_E_MEMORY, "out of memory: searching for similar scenes");
    for (size_t i = 0; i < pass->candidate_count; i++) {
        float feature[NM_FEATURE_COUNT];
        nm_status status = read_feature(store, pass->candidates[i].scene, feature, error);
        if (status == NM_E_NOT_FOUND) {
            ++*stale;
            continue;
        }
        if (status != NM_OK) return status;
        double sum = 0;
        for (int j = 0; j < NM_FEATURE_COUNT; j++)
            sum += ((double)feature[j] - query[j]) * ((double)feature[j] - query[j]);
        (*found)[(*found_count)++] =
            (nm_neighbour_scene){.scene = pass->candidates[i].scene, .distance = (float)sqrt(sum)};
    }
    qsort(*found, *found_count, sizeof **found, by_distance);
    return NM_OK;
}

nm_status nm_like_search(nm_store *store, int64_t scene, const int64_t *allowed, size_t allowed_count, size_t count,
                         nm_neighbour_scene **found, size_t *found_count, nm_error *error) {
    float feature[NM_FEATURE_COUNT];
    uint8_t query[NM_BLOCK_ENTRY];
    *found = NULL;
    *found_count = 0;
    nm_status status = read_feature(store, scene, feature, error);
    if (status == NM_E_NOT_FOUND)
        return NM_ERROR_AT(error, NM_E_NOT_FOUND, store->path, 0, -1,
                           "scene %" PRId64 " is not there or was not mined (nearmiss mine --store %s)", scene,
                           store->path);
    if (status != NM_OK) return status;
    nm_like_encode(feature, query);
    size_t stale = 0;
    // stale entries may have ruled others out: then look again with room for them
    for (size_t wanted = count; status == NM_OK; wanted = count + stale) {
        nm_like_pass pass = {.self = scene, .count = wanted, .allowed = allowed, .allowed_count = allowed_count};
        free(*found);
        *found = NULL;
        pass.heap = malloc((wanted ? wanted : 1) * sizeof *pass.heap);
        if (!pass.heap) status = NM_ERROR(error, NM_E_MEMORY, "out of memory: searching for similar scenes");
        if (status == NM_OK) status = scan_blocks(store, &pass, query, error);
        if (status == NM_OK) status = measure(store, &pass, feature, found, found_count, &stale, error);
        free(pass.heap);
        free(pass.candidates);
        if (status == NM_OK && (!count || *found_count >= count || stale + count <= wanted)) break;
    }
    if (status != NM_OK) {
        free(*found);
        *found = NULL;
        *found_count = 0;
    } else if (count && *found_count > count) {
        *found_count = count;
    }
    return status;
}
