#include "tools/shipped_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOWS "nearmiss.safetensors"
#define BLOCKS "blocks.safetensors"

static nm_status put(char path[NM_MODEL_PATH], nm_error *error, const char *folder, const char *rest) {
    const int length = snprintf(path, NM_MODEL_PATH, "%s%s", folder, rest);
    if (length >= 0 && length < NM_MODEL_PATH) return NM_OK;
    return NM_ERROR(error, NM_E_LIMIT, "the path of the model is longer than %d bytes", NM_MODEL_PATH - 1);
}

/// A file, or an index beside it where the weights lie in shards.
static int is_there(const char *path) {
    char index[NM_MODEL_PATH + 16];
    snprintf(index, sizeof index, "%s.index.json", path);
    return access(path, F_OK) == 0 || access(index, F_OK) == 0;
}

static int inside(const char *path, const char *folder) {
    const size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

int nm_model_is_shipped(const char *name) {
    return strcmp(name, "shipped") == 0 || strcmp(name, NM_SHIPPED_BLOCKS) == 0;
}

static nm_status beside_program(const char *program, const char *file, char path[NM_MODEL_PATH], nm_error *error) {
    char folder[NM_MODEL_PATH];
    nm_status status = put(folder, error, program, "");
    if (status != NM_OK) return status;
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    else
        snprintf(folder, sizeof folder, ".");
    char rest[64];
    snprintf(rest, sizeof rest, "/../share/nearmiss/%s", file);
    return put(path, error, folder, rest);
}

nm_status nm_model_path(const char *asked, const nm_model_places *places, char path[NM_MODEL_PATH], nm_error *error) {
    char installed[NM_MODEL_PATH] = "", source[NM_MODEL_PATH];
    if (asked && !nm_model_is_shipped(asked)) return put(path, error, asked, "");
    const int windows = !asked || strcmp(asked, NM_SHIPPED_BLOCKS) != 0;
    const char *file = windows ? WINDOWS : BLOCKS;
    if (windows && places->environment && places->environment[0]) {
        const nm_status status = put(path, error, places->environment, "");
        if (status != NM_OK || is_there(path)) return status;
        return NM_ERROR(error, NM_E_NOT_FOUND, "there is no model at '%.200s', which NEARMISS_MODEL names", path);
    }
    if (places->program) {
        const nm_status status = beside_program(places->program, file, installed, error);
        if (status != NM_OK) return status;
        if (is_there(installed)) return put(path, error, installed, "");
    }
    const int built = places->program && inside(places->program, NM_BUILD_FOLDER);
    const nm_status status = put(source, error, NM_SOURCE_WEIGHTS "/", file);
    if (status != NM_OK) return status;
    if (built && is_there(source)) return put(path, error, source, "");
    return NM_ERROR(error, NM_E_NOT_FOUND, "no model: %sthere is no %.150s%s%.150s",
                    windows ? "none was named, NEARMISS_MODEL is not set, and " : "",
                    installed[0] ? installed : "share/nearmiss/ beside the program", built ? ", nor " : "",
                    built ? source : "");
}

nm_status nm_shipped_model(const char *asked, char path[NM_MODEL_PATH], nm_error *error) {
    char program[NM_MODEL_PATH];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length > 0) program[length] = '\0';
    const nm_model_places places = {.environment = getenv("NEARMISS_MODEL"), .program = length > 0 ? program : NULL};
    return nm_model_path(asked, &places, path, error);
}
