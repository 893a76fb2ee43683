#include "tools/cmd_import_inputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataset/import.h"

#define MAX_DEPTH 64

/// Looks into regular files only: what is read from a pipe is gone.
static nm_format format_of(const char *path) {
    uint8_t head[4096];
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode)) return NM_FORMAT_UNKNOWN;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t got = file >= 0 ? read(file, head, sizeof head) : -1;
    if (file >= 0) close(file);
    return got > 0 ? nm_detect_format(head, (size_t)got) : NM_FORMAT_UNKNOWN;
}

/// An empty or broken file that is meant to be imported must be refused, not overlooked.
static int named_like_input(const char *path) {
    static const char *const parts[] = {".xml", ".xosc", ".xodr", ".tfrecord", ".osi",
                                        ".csv", ".tar",  ".zip",  ".tgz",      ".txz"};
    const char *base = strrchr(path, '/');
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(base ? base : path, parts[i])) return 1;
    return 0;
}

static nm_status add(nm_inputs *inputs, const char *path, nm_format format, nm_error *error) {
    if (inputs->count == inputs->capacity) {
        size_t larger = inputs->capacity ? inputs->capacity * 2 : 64;
        char **moved = realloc(inputs->paths, larger * sizeof *moved);
        if (!moved) return NM_ERROR(error, NM_E_MEMORY, "out of memory: listing the files");
        inputs->paths = moved;
        inputs->capacity = larger;
    }
    inputs->paths[inputs->count] = strdup(path);
    if (!inputs->paths[inputs->count]) return NM_ERROR(error, NM_E_MEMORY, "out of memory: listing the files");
    inputs->count++;
    inputs->archives += format == NM_FORMAT_ARCHIVE;
    return NM_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/// The names in a folder, sorted by their bytes: the same order everywhere.
static nm_status list(const char *folder, char ***names, size_t *count, nm_error *error) {
    size_t capacity = 0;
    *names = NULL;
    *count = 0;
    DIR *directory = opendir(folder);
    if (!directory) return NM_ERROR_AT(error, NM_E_IO, folder, 0, -1, "cannot read the folder: %s", strerror(errno));
    nm_status status = NM_OK;
    for (struct dirent *entry; status == NM_OK && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.') continue;
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            char **moved = realloc(*names, capacity * sizeof *moved);
            if (moved) *names = moved;
            if (!moved) status = NM_E_MEMORY;
        }
        if (status == NM_OK && !((*names)[*count] = strdup(entry->d_name))) status = NM_E_MEMORY;
        if (status == NM_OK) ++*count;
    }
    closedir(directory);
    if (status != NM_OK) return NM_ERROR_AT(error, status, folder, 0, -1, "out of memory: listing the files");
    if (*count) qsort(*names, *count, sizeof **names, by_name);
    return NM_OK;
}

static nm_status walk(nm_inputs *inputs, const char *folder, int depth, nm_error *error) {
    char **names;
    size_t count;
    if (depth > MAX_DEPTH) return NM_ERROR_AT(error, NM_E_LIMIT, folder, 0, -1, "folders are nested too deeply");
    nm_status status = list(folder, &names, &count, error);
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(folder) + strlen(names[i]) + 2;
        char *path = malloc(size);
        struct stat about;
        if (status == NM_OK && !path) status = NM_ERROR(error, NM_E_MEMORY, "out of memory: listing the files");
        if (status == NM_OK) {
            snprintf(path, size, "%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", names[i]);
            nm_format format = NM_FORMAT_UNKNOWN;
            if (lstat(path, &about) == 0 && S_ISDIR(about.st_mode))
                status = walk(inputs, path, depth + 1, error);
            else if (stat(path, &about) != 0 || !S_ISREG(about.st_mode) ||
                     ((format = format_of(path)) == NM_FORMAT_UNKNOWN && !named_like_input(path)))
                inputs->ignored++;
            else if (format == NM_FORMAT_NUPLAN_MAP) // the maps of the logs beside them; imported when named themselves
                inputs->ignored++;
            else
                status = add(inputs, path, format, error);
        }
        free(path);
        free(names[i]);
    }
    free(names);
    return status;
}

static nm_status add_file(void *context, const char *path, nm_error *error) {
    return add(context, path, format_of(path), error);
}

nm_status nm_inputs_add(nm_inputs *inputs, const char *argument, nm_error *error) {
    struct stat about;
    if (argument[0] == '\0') return NM_ERROR(error, NM_E_ARGUMENT, "the name of a file is empty");
    if (stat(argument, &about) == 0 && S_ISDIR(about.st_mode)) return walk(inputs, argument, 0, error);
    return nm_import_expand(argument, add_file, inputs, error);
}

void nm_inputs_release(nm_inputs *inputs) {
    for (size_t i = 0; i < inputs->count; i++) free(inputs->paths[i]);
    free(inputs->paths);
    *inputs = (nm_inputs){0};
}
