/// The road network of an OpenSCENARIO document: an OpenDRIVE file beside it.
///
/// A document is somebody else's word for which file to open, so it opens little: a regular file in its own folder, by
/// a plain name. The last network is kept with its bytes: exports have thousands of scenarios on one map.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "dataset/opendrive.h"
#include "dataset/openscenario.h"

typedef struct network {
    uint8_t *bytes; // of the file that `scene` came from
    size_t size;
    const nm_scene *scene; // NULL: none is kept
} network;

static void forget(network *kept) {
    nm_scene_destroy(kept->scene);
    free(kept->bytes);
    *kept = (network){0};
}

void nm_openscenario_release(nm_reader_context *context) {
    if (!context->openscenario) return;
    forget(context->openscenario);
    free(context->openscenario);
    context->openscenario = NULL;
}

/// The path of what is named, malloced; NULL with NM_OK when it is not a plain name.
static nm_status path_beside(const char *document, const char *name, char **path, nm_error *error) {
    *path = NULL;
    while (strncmp(name, "./", 2) == 0) name += 2;
    if (!name[0] || strpbrk(name, "/\\") || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return NM_OK;
    const char *slash = strrchr(document, '/');
    const size_t folder = slash ? (size_t)(slash - document) + 1 : 0, length = strlen(name);
    *path = malloc(folder + length + 1);
    if (!*path) return NM_ERROR(error, NM_E_MEMORY, "no memory for the name of a road network");
    memcpy(*path, document, folder);
    memcpy(*path + folder, name, length + 1);
    return NM_OK;
}

/// What the descriptor holds, malloced. Only what begins like OpenDRIVE is read to its end.
static nm_status read_bytes(int file, const char *path, size_t size, uint8_t **bytes, nm_error *error) {
    *bytes = malloc(size + 1);
    if (!*bytes) return NM_ERROR_AT(error, NM_E_MEMORY, path, 0, -1, "no memory to read %zu bytes", size);
    for (size_t held = 0, checked = 0; held < size;) {
        const ssize_t got = read(file, *bytes + held, held < 4096 && size > 4096 ? 4096 - held : size - held);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "cannot read: %s", strerror(errno));
        if (got == 0) return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "the file changed while it was read");
        held += (size_t)got;
        if (checked || (held < 4096 && held < size)) continue;
        checked = 1;
        if (nm_detect_format(*bytes, held) != NM_FORMAT_OPENDRIVE)
            return NM_ERROR_AT(error, NM_E_FORMAT, path, 0, -1, "named as a road network, but not OpenDRIVE XML");
    }
    return NM_OK;
}

/// *bytes NULL with NM_OK: there is no such regular file.
static nm_status read_file(const nm_reader_context *context, const char *path, uint8_t **bytes, size_t *size,
                           nm_error *error) {
    struct stat about;
    *bytes = NULL;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) {
        if (errno == ENOENT || errno == ELOOP || errno == ENXIO || errno == ENAMETOOLONG) return NM_OK;
        return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "cannot open: %s", strerror(errno));
    }
    nm_status status = NM_OK;
    if (fstat(file, &about) == 0 && S_ISREG(about.st_mode)) {
        *size = (size_t)about.st_size;
        if (*size == 0)
            status = NM_ERROR_AT(error, NM_E_FORMAT, path, 0, -1, "the file is empty");
        else if (*size > context->limits.max_file_bytes)
            status = NM_ERROR_AT(error, NM_E_LIMIT, path, 0, -1, "the file has %zu bytes, the limit is %llu", *size,
                                 (unsigned long long)context->limits.max_file_bytes);
        else
            status = read_bytes(file, path, *size, bytes, error);
    }
    close(file);
    return status;
}

static int is_moved(const nm_scene *scene) {
    for (uint32_t i = 0; i < scene->tag_count; ++i) {
        if (strcmp(scene->tags[i], NM_OD_OFFSET_TAG) == 0) return 1;
    }
    return 0;
}

/// Reads the file and makes what `kept` holds that of this file. *there 0: there is no such file.
static nm_status update(network *kept, nm_reader_context *context, const char *path, int *there, nm_error *error) {
    uint8_t *bytes;
    size_t size;
    nm_status status = read_file(context, path, &bytes, &size, error);
    *there = bytes != NULL;
    if (status != NM_OK || !bytes || (kept->scene && kept->size == size && memcmp(kept->bytes, bytes, size) == 0)) {
        free(bytes);
        return status;
    }
    forget(kept);
    const nm_scene *scene;
    status = nm_opendrive_read(context, path, bytes, size, &scene, error);
    if (status == NM_OK)
        *kept = (network){bytes, size, scene};
    else
        free(bytes);
    return status;
}

/// What is wrong is wrong with the network; which scenario is refused for it is said behind.
static void say_whose(const char *document, nm_error *error) {
    char whose[96], name[64];
    nm_text_escape(name, sizeof name, nm_base_name(document));
    snprintf(whose, sizeof whose, " (the road network of %s)", name);
    const size_t room = sizeof error->message - strlen(whose) - 1, length = strlen(error->message);
    strcpy(error->message + (length < room ? length : room), whose);
}

nm_status nm_osc_read_network(const nm_osc_document *document, nm_reader_context *context, const nm_scene **network_,
                              nm_error *error) {
    *network_ = NULL;
    if (!context->path || !document->network[0]) return NM_OK;
    if (!context->openscenario) context->openscenario = calloc(1, sizeof(network));
    if (!context->openscenario) return NM_ERROR(error, NM_E_MEMORY, "no memory for a road network");
    network *kept = context->openscenario;
    char *path;
    int there = 0;
    nm_status status = path_beside(context->path, document->network, &path, error);
    if (status == NM_OK && path) status = update(kept, context, path, &there, error);
    if (status != NM_OK && path && error) say_whose(context->path, error);
    if (status == NM_OK && there && !is_moved(kept->scene)) *network_ = kept->scene;
    free(path);
    return status;
}
