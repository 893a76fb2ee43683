#include "tools/shipped_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "nearmiss.safetensors"

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

static nm_status beside_program(const char *program, char path[NM_MODEL_PATH], nm_error *error) {
    char folder[NM_MODEL_PATH];
    nm_status status = put(folder, error, program, "");
    if (status != NM_OK) return status;
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    else
        snprintf(folder, sizeof folder, ".");
    return put(path, error, folder, "/../share/nearmiss/" FILE_NAME);
}

nm_status nm_model_path(const char *asked, const nm_model_places *places, char path[NM_MODEL_PATH], nm_error *error) {
    char installed[NM_MODEL_PATH] = "";
    if (asked && strcmp(asked, "shipped") != 0) return put(path, error, asked, "");
    if (places->environment && places->environment[0]) {
        const nm_status status = put(path, error, places->environment, "");
        if (status != NM_OK || is_there(path)) return status;
        return NM_ERROR(error, NM_E_NOT_FOUND, "there is no model at '%.200s', which NEARMISS_MODEL names", path);
    }
    if (places->program) {
        const nm_status status = beside_program(places->program, installed, error);
        if (status != NM_OK) return status;
        if (is_there(installed)) return put(path, error, installed, "");
    }
    const int built = places->program && inside(places->program, NM_BUILD_FOLDER);
    if (built && is_there(NM_SOURCE_WEIGHTS "/" FILE_NAME)) return put(path, error, NM_SOURCE_WEIGHTS, "/" FILE_NAME);
    return NM_ERROR(error, NM_E_NOT_FOUND,
                    "no model: none was named, NEARMISS_MODEL is not set, and there is no %.150s%s%.150s",
                    installed[0] ? installed : "share/nearmiss/" FILE_NAME " beside the program", built ? ", nor " : "",
                    built ? NM_SOURCE_WEIGHTS "/" FILE_NAME : "");
}

nm_status nm_shipped_model(const char *asked, char path[NM_MODEL_PATH], nm_error *error) {
    char program[NM_MODEL_PATH];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length > 0) program[length] = '\0';
    const nm_model_places places = {.environment = getenv("NEARMISS_MODEL"), .program = length > 0 ? program : NULL};
    return nm_model_path(asked, &places, path, error);
}
