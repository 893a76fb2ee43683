/// The shards of a set as one sequence of scenes.
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/shards_private.h"
#include "dataset/tfrecord.h"

struct nm_shard_set {
    nm_shard **shards;
    uint64_t *first; // [count + 1] number of each shard's first scene; the last is the number of all
    uint32_t count;
};

/// The number behind "-of-" when `name` is STEM-digits-of-digits.nmshard, else 0.
static uint32_t count_in_name(const char *name, const char *stem) {
    const size_t length = strlen(stem);
    if (strncmp(name, stem, length) != 0) return 0;
    uint32_t number = 0, count = 0;
    int end = 0;
    const char *rest = name + length;
    // digits are bounded, so that no number overflows
    if (sscanf(rest, "-%7" SCNu32 "-of-%7" SCNu32 "%n", &number, &count, &end) != 2 || end == 0) return 0;
    return number < count && count <= NM_SHARDS_MAX && strcmp(rest + end, NM_SHARD_ENDING) == 0 ? count : 0;
}

nm_status nm_shards_find(const char *base, uint32_t *count, nm_error *error) {
    const char *slash = strrchr(base, '/'), *stem = slash ? slash + 1 : base;
    const size_t length = slash == base ? 1 : slash ? (size_t)(slash - base) : 0;
    char *folder = malloc(length + 2);
    *count = 0;
    if (!folder) return NM_ERROR_AT(error, NM_E_MEMORY, base, 0, -1, "no memory to look for shards");
    memcpy(folder, length ? base : ".", length ? length : 1);
    folder[length ? length : 1] = '\0';
    DIR *directory = opendir(folder);
    nm_status status = NM_OK;
    if (!directory) status = NM_ERROR_AT(error, NM_E_IO, folder, 0, -1, "can not be read: %s", strerror(errno));
    for (struct dirent *entry; status == NM_OK && (entry = readdir(directory));) {
        const uint32_t found = count_in_name(entry->d_name, stem);
        if (found && *count && found != *count)
            status = NM_ERROR_AT(error, NM_E_FORMAT, base, 0, -1,
                                 "there are shards of several sets here, one of %" PRIu32 " and one of %" PRIu32
                                 ": remove one, or make them anew with `nearmiss shards`",
                                 *count, found);
        if (found) *count = found;
    }
    if (directory) closedir(directory);
    free(folder);
    if (status == NM_OK && *count == 0)
        status = NM_ERROR_AT(error, NM_E_NOT_FOUND, base, 0, -1,
                             "there are no shards of this name; `nearmiss shards` makes them");
    return status;
}

static nm_status open_one(nm_shard_set *set, const char *base, uint32_t index, unsigned flags, char *path, size_t size,
                          nm_error *error) {
    const size_t used = nm_shards_name(base, strlen(base), index, set->count, path, size);
    memcpy(path + used, NM_SHARD_ENDING, sizeof NM_SHARD_ENDING);
    nm_status status = nm_shard_open(path, flags, &set->shards[index], error);
    if (status == NM_E_NOT_FOUND)
        return NM_ERROR_AT(error, NM_E_FORMAT, path, 0, -1,
                           "this shard of the set is missing: copy it again, or make the set anew with `nearmiss "
                           "shards`");
    if (status != NM_OK) return status;
    uint32_t number, count;
    uint64_t name, first;
    nm_shard_place(set->shards[index], &number, &count, &name);
    nm_shard_place(set->shards[0], NULL, NULL, &first);
    if (number != index || count != set->count || name != first)
        return NM_ERROR_AT(error, NM_E_FORMAT, path, 0, NM_SHARD_AT_NUMBER,
                           "this is shard %" PRIu32 " of %" PRIu32
                           " of %s: shards of several sets are mixed; make the set anew with `nearmiss shards`",
                           number, count, name != first ? "another set" : "the set");
    set->first[index + 1] = set->first[index] + nm_shard_scene_count(set->shards[index]);
    return NM_OK;
}

nm_status nm_shard_set_open(const char *base, unsigned flags, nm_shard_set **set, nm_error *error) {
    NM_ASSERT(base && set);
    *set = NULL;
    uint32_t count;
    nm_status status = nm_shards_find(base, &count, error);
    if (status != NM_OK) return status;
    nm_shard_set *made = calloc(1, sizeof *made);
    const size_t size = strlen(base) + 64;
    char *path = malloc(size);
    if (made) {
        made->count = count;
        made->shards = calloc(count, sizeof *made->shards);
        made->first = calloc((size_t)count + 1, sizeof *made->first);
    }
    if (!path || !made || !made->shards || !made->first)
        status = NM_ERROR_AT(error, NM_E_MEMORY, base, 0, -1, "no memory to open %" PRIu32 " shards", count);
    for (uint32_t i = 0; i < count && status == NM_OK; i++) status = open_one(made, base, i, flags, path, size, error);
    free(path);
    if (status == NM_OK)
        *set = made;
    else
        nm_shard_set_close(made);
    return status;
}

void nm_shard_set_close(nm_shard_set *set) {
    if (!set) return;
    for (uint32_t i = 0; set->shards && i < set->count; i++) nm_shard_close(set->shards[i]);
    free(set->shards);
    free(set->first);
    free(set);
}

uint64_t nm_shard_set_scene_count(const nm_shard_set *set) {
    return set->first[set->count];
}
uint32_t nm_shard_set_shard_count(const nm_shard_set *set) {
    return set->count;
}

/// The shard that holds scene `index` of the set.
static uint32_t shard_of(const nm_shard_set *set, uint64_t index) {
    NM_ASSERT(index < set->first[set->count]);
    uint32_t low = 0, high = set->count; // first[low] <= index < first[high]
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (set->first[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

nm_shard_entry nm_shard_set_scene_entry(const nm_shard_set *set, uint64_t index) {
    const uint32_t shard = shard_of(set, index);
    return nm_shard_scene_entry(set->shards[shard], (uint32_t)(index - set->first[shard]));
}

const nm_scene *nm_shard_set_scene(nm_shard_set *set, uint64_t index, nm_error *error) {
    const uint32_t shard = shard_of(set, index);
    return nm_shard_scene(set->shards[shard], (uint32_t)(index - set->first[shard]), error);
}
