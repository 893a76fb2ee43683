/// Scenes that show the same: every stretch of motion is a key, and scenes that share a key are joined (union-find).
#include "scenarios/groups.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "sim/pile.h"

#define SLOWEST 1.0     // m/s: what stands says nothing about when
#define SPEED_STEP 1e-3 // m/s
#define PLACE_STEP 1e-2 // m

struct nm_groups {
    nm_grouping grouping;
    uint32_t one_in;  ///< keys of motion are kept
    nm_pile parents;  ///< uint32_t, of scenes; a root is its own
    nm_pile keys;     ///< uint64_t, of the scene at work
    nm_id_table seen; ///< key to the first scene that had it
};

nm_groups *nm_groups_create(nm_grouping grouping) {
    NM_ASSERT(grouping == NM_GROUP_MOTION || grouping == NM_GROUP_PLACE);
    nm_groups *groups = calloc(1, sizeof *groups);
    if (groups) groups->grouping = grouping;
    if (groups) groups->one_in = 1;
    return groups;
}

void nm_groups_thin_out(nm_groups *groups, uint32_t one_in) {
    NM_ASSERT(groups && one_in && !groups->parents.count);
    groups->one_in = one_in;
}

void nm_groups_destroy(nm_groups *groups) {
    if (!groups) return;
    nm_pile_free(&groups->parents);
    nm_pile_free(&groups->keys);
    nm_id_table_free(&groups->seen);
    free(groups);
}

uint32_t nm_groups_scenes(const nm_groups *groups) {
    return (uint32_t)groups->parents.count;
}

// --- what a scene shows ----------------------------------------------------------------------------------------------

int nm_scene_place(const nm_scene *scene, char *text, size_t size) {
    NM_ASSERT(scene && text && size > 0);
    text[0] = '\0';
    const char *id = scene->provenance.scene_id;
    if (strncmp(id, "C-", 2) == 0) id += 2;
    for (int i = 0; i < 3; ++i)
        if (!isupper((unsigned char)id[i])) return 0;
    const char *end = strchr(id, '-');
    if (id[3] != '_' || !end || end == id + 4 || !isdigit((unsigned char)end[1])) return 0;
    size_t length = (size_t)(end - id);
    if (length >= size) length = size - 1;
    memcpy(text, id, length);
    text[length] = '\0';
    return 1;
}

static int push_key(nm_groups *groups, uint64_t key) {
    uint64_t *at = NM_PUSH(&groups->keys, uint64_t, 1);
    if (at) *at = key;
    return at != NULL;
}

static int push_place(nm_groups *groups, const nm_scene *scene) {
    char place[256];
    if (nm_scene_place(scene, place, sizeof place)) return push_key(groups, nm_hash_bytes(place, strlen(place), 0));
    return push_key(groups, nm_hash64(scene->map->hash));
}

/// Whole number of `step`s. Where the same number comes out of the source a little otherwise, rounding rarely falls on
/// the other side, and then only for one of many windows.
static int64_t steps_of(double value, double step) {
    return (int64_t)floor(value / step + 0.5);
}

/// Keys of the window of `track` that ends at `step`; 0 when memory is out.
static int push_window(nm_groups *groups, const nm_scene *scene, uint32_t track, uint32_t step) {
    int64_t speeds[NM_GROUP_WINDOW + 1],
        places[2 * NM_GROUP_WINDOW]; // of unlike sizes: no key is like one of the others
    for (uint32_t i = 0; i < NM_GROUP_WINDOW; ++i) {
        const size_t at = nm_scene_at(scene, track, step + 1 - NM_GROUP_WINDOW + i);
        const double vx = (double)scene->vx[at], vy = (double)scene->vy[at], speed = sqrt(vx * vx + vy * vy);
        if (!scene->valid[at] || !(speed > SLOWEST)) return 1;
        speeds[i] = steps_of(speed, SPEED_STEP);
        for (uint32_t k = 0; k < i; ++k)
            if (speeds[k] == speeds[i]) return 1;
        places[2 * i] = steps_of(scene->map->origin.x + (double)scene->x[at], PLACE_STEP);
        places[2 * i + 1] = steps_of(scene->map->origin.y + (double)scene->y[at], PLACE_STEP);
    }
    speeds[NM_GROUP_WINDOW] = scene->tracks[track].source_id;
    const uint64_t keys[2] = {nm_hash64(nm_hash_bytes(speeds, sizeof speeds, 0)),
                              nm_hash64(nm_hash_bytes(places, sizeof places, 0))};
    for (int k = 0; k < 2; ++k)
        if (keys[k] % groups->one_in == 0 && !push_key(groups, keys[k])) return 0;
    return 1;
}

static int push_motion(nm_groups *groups, const nm_scene *scene) {
    for (uint32_t a = 0; a < scene->track_count; ++a) {
        const nm_track *track = &scene->tracks[a];
        if (track->flags & NM_TRACK_STATIC) continue;
        for (uint32_t t = track->first_step; t <= track->last_step && t < scene->step_count; ++t) {
            if (t + 1 < track->first_step + NM_GROUP_WINDOW) continue;
            if (!push_window(groups, scene, a, t)) return 0;
        }
    }
    return 1;
}

// --- joining ---------------------------------------------------------------------------------------------------------

/// Halves the path on its way (Tarjan and van Leeuwen 1984).
static uint32_t root_of(nm_groups *groups, uint32_t scene) {
    uint32_t *parent = groups->parents.data;
    while (parent[scene] != scene) scene = parent[scene] = parent[parent[scene]];
    return scene;
}

/// The first scene becomes the root.
static void join(nm_groups *groups, uint32_t a, uint32_t b) {
    uint32_t *parent = groups->parents.data;
    a = root_of(groups, a), b = root_of(groups, b);
    if (a < b)
        parent[b] = a;
    else
        parent[a] = b;
}

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "no memory to compare scenes");
}

nm_status nm_groups_add(nm_groups *groups, const nm_scene *scene, nm_error *error) {
    NM_ASSERT(groups && scene);
    if (groups->parents.count > INT32_MAX) return NM_ERROR(error, NM_E_LIMIT, "too many scenes to compare");
    groups->keys.count = 0;
    const int known = groups->grouping == NM_GROUP_PLACE ? push_place(groups, scene) : push_motion(groups, scene);
    if (!known || !nm_pile_reserve(&groups->parents, sizeof(uint32_t), 1)) return no_memory(error);
    // room for all keys first, so that a scene is in whole or not at all
    while (groups->seen.mask < 2 * (groups->seen.count + groups->keys.count) + 2)
        if (!nm_id_table_grow(&groups->seen)) return no_memory(error);
    const uint32_t number = (uint32_t)groups->parents.count;
    *NM_PUSH(&groups->parents, uint32_t, 1) = number;
    for (size_t i = 0; i < groups->keys.count; ++i) {
        const uint32_t first = nm_id_table_add(&groups->seen, (int64_t)NM_AT(groups->keys, uint64_t, i), number);
        if (first != number) join(groups, first, number);
    }
    return NM_OK;
}

uint32_t nm_groups_get(nm_groups *groups, uint32_t *group) {
    NM_ASSERT(groups);
    uint32_t count = 0;
    for (uint32_t i = 0; i < groups->parents.count; ++i) {
        const uint32_t root = root_of(groups, i); // the lowest of its group, so it has its number already
        if (group) group[i] = root == i ? count : group[root];
        count += root == i;
    }
    return count;
}
