#include "tools/train_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 2, PATH_BYTES = 4200 };
static const char *const stems[SLOTS] = {"state", "state2"};

static void path_of(const char *folder, int slot, const char *ending, char path[PATH_BYTES]) {
    snprintf(path, PATH_BYTES, "%s/%s.safetensors%s", folder, stems[slot], ending);
}

static int there(const char *folder, int slot) {
    char single[PATH_BYTES], index[PATH_BYTES];
    path_of(folder, slot, "", single);
    path_of(folder, slot, ".index.json", index);
    return access(single, F_OK) == 0 || access(index, F_OK) == 0;
}

int nm_train_state_exists(const char *folder) {
    return there(folder, 0) || there(folder, 1);
}

nm_status nm_train_state_load(const char *folder, nm_optimizer *optimizer, int *slot, nm_error *error) {
    char path[PATH_BYTES];
    uint64_t steps[SLOTS] = {0};
    int last = -1;
    *slot = -1;
    for (int i = 0; i < SLOTS; ++i) {
        if (!there(folder, i)) continue;
        path_of(folder, i, "", path);
        const nm_status status = nm_optimizer_load(optimizer, path, error);
        if (status != NM_OK) return status;
        steps[i] = nm_optimizer_steps(optimizer);
        if (*slot < 0 || steps[i] > steps[*slot]) *slot = i;
        last = i;
    }
    if (*slot < 0) return NM_ERROR(error, NM_E_NOT_FOUND, "%s: there is no checkpoint", folder);
    path_of(folder, *slot, "", path);
    return last == *slot ? NM_OK : nm_optimizer_load(optimizer, path, error);
}

// ---------------------------------------------------------------------------------------------------------------------

static nm_status failed(const char *path, nm_error *error) {
    return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "can not be removed: %s", strerror(errno));
}

/// Removes what has a name in `folder` that matches.
static nm_status remove_matching(const char *folder, const char *pattern, nm_error *error) {
    char path[PATH_BYTES + 256];
    DIR *open = opendir(folder);
    if (!open) return failed(folder, error);
    nm_status status = NM_OK;
    for (const struct dirent *entry; status == NM_OK && (entry = readdir(open));) {
        if (fnmatch(pattern, entry->d_name, 0) != 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (unlink(path) != 0 && errno != ENOENT) status = failed(path, error);
    }
    closedir(open);
    return status;
}

/// First what makes a set of the files, and that to the disk: what is left of it is never taken for a checkpoint.
static nm_status clear(const char *folder, int slot, nm_error *error) {
    static const char *const endings[] = {"", ".index.json"};
    char path[PATH_BYTES], pattern[128];
    for (int i = 0; i < 2; ++i) {
        path_of(folder, slot, endings[i], path);
        if (unlink(path) != 0 && errno != ENOENT) return failed(path, error);
    }
    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return failed(folder, error);
    fsync(descriptor); // some file systems can not: then there is no more to be done
    close(descriptor);
#define DIGITS "[0-9][0-9][0-9][0-9][0-9]"
    snprintf(pattern, sizeof pattern, "%s-" DIGITS "-of-" DIGITS ".safetensors", stems[slot]);
    return remove_matching(folder, pattern, error);
}

nm_status nm_train_state_save(const char *folder, const nm_optimizer *optimizer, size_t shard_bytes, int *slot,
                              nm_error *error) {
    const int next = *slot == 0 ? 1 : 0;
    char path[PATH_BYTES];
    path_of(folder, next, "", path);
    nm_status status = clear(folder, next, error);
    if (status == NM_OK) status = nm_optimizer_save(optimizer, path, shard_bytes, error);
    if (status != NM_OK) return status;
    *slot = next;
    return clear(folder, !next, error);
}

void nm_train_state_sweep(const char *folder) {
    static const char *const patterns[] = {"state*.safetensors*.[0-9]*-[0-9]*.tmp",
                                           "weights*.safetensors*.[0-9]*-[0-9]*.tmp"};
    nm_error ignored; // leftovers do no harm
    for (int i = 0; i < 2; ++i) (void)remove_matching(folder, patterns[i], &ignored);
}
