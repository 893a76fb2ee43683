#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dataset/import.h"
#include "dataset/tfrecord.h"

#define SUFFIX 32 // "-00000-of-00000" and more, should a shard number need seven digits

nm_status nm_import_expand(const char *argument, nm_path_sink *sink, void *context, nm_error *error) {
    size_t base;
    uint32_t count;
    struct stat status;
    if (!nm_shards_parse(argument, &base, &count) || stat(argument, &status) == 0)
        return sink(context, argument, error);
    char *path = malloc(base + SUFFIX);
    if (!path) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a file name of %zu bytes", base);
    nm_status result = NM_OK;
    for (uint32_t i = 0; i < count && result == NM_OK; i++) {
        nm_shards_name(argument, base, i, count, path, base + SUFFIX);
        result = sink(context, path, error);
    }
    free(path);
    return result;
}
