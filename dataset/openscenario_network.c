/// The road network of an OpenSCENARIO document: an OpenDRIVE file beside it, or in the same archive.
///
/// A document is somebody else's word for which file to open, so it opens little: a regular file in its own folder, by
/// a plain name. The last network is kept with its bytes: exports have thousands of scenarios on one map.
///
/// In an archive a name may lead through its folders, since it leads nowhere else. The archive is gone through once for
/// all OpenDRIVE in it, which is kept until another one is read: to look for each document's network would make reading
/// an archive as slow as the square of its size.
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

#define LIBRARY_SHARE 4 // OpenDRIVE kept of one archive: this part of the bytes that a file may have
#define MAX_MEMBER 1024 // characters of a member's path

/// OpenDRIVE of an archive.
typedef struct member {
    char *path; // plain: no ".", no ".."
    uint8_t *bytes;
    size_t size, order;
} member;

typedef struct library {
    char *archive; // path; NULL = none
    struct stat about;
    nm_pile members; // member: by path, of the same path the last one of the archive first
    uint64_t bytes, most;
    nm_error refusal; // code NM_OK: none. Kept, too: to find out again would take as long for each document
} library;

typedef struct network {
    uint8_t *bytes; // of the file that `scene` came from
    size_t size;
    const nm_scene *scene; // NULL: none is kept
    library library;
} network;

static void forget(network *kept) {
    nm_scene_destroy(kept->scene);
    free(kept->bytes);
    kept->scene = NULL;
    kept->bytes = NULL;
    kept->size = 0;
}

static void forget_members(library *l) {
    for (size_t i = 0; i < l->members.count; ++i) {
        free(NM_AT(l->members, member, i).path);
        free(NM_AT(l->members, member, i).bytes);
    }
    nm_pile_free(&l->members);
    l->bytes = 0;
}

static void forget_library(library *l) {
    forget_members(l);
    free(l->archive);
    *l = (library){0};
}

void nm_openscenario_release(nm_reader_context *context) {
    if (!context->openscenario) return;
    forget(context->openscenario);
    forget_library(&((network *)context->openscenario)->library);
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

// --- in archives -----------------------------------------------------------------------------------------------------

/// Appends the parts of a path to `plain`, which is one that is plain already: no ".", ".." taken back, no doubled "/".
/// 0 when it leads out of the archive, or is too long.
static int append_path(char plain[MAX_MEMBER], const char *path) {
    size_t length = strlen(plain);
    while (*path) {
        const size_t part = strcspn(path, "/");
        if (part == 2 && memcmp(path, "..", 2) == 0) {
            if (length == 0) return 0;
            while (length > 0 && plain[--length] != '/') {
            }
        } else if (part > 0 && !(part == 1 && *path == '.')) {
            if (length + part + 2 > MAX_MEMBER) return 0;
            if (length > 0) plain[length++] = '/';
            memcpy(plain + length, path, part);
            length += part;
        }
        plain[length] = '\0';
        path += part + (path[part] == '/');
    }
    return 1;
}

/// A nm_member_sink.
static nm_status keep_member(void *context, const char *name, const void *bytes, size_t size, nm_error *error) {
    library *l = context;
    char plain[MAX_MEMBER] = "";
    if (!append_path(plain, name) || !plain[0]) return NM_OK;
    if (size > l->most - l->bytes)
        return NM_ERROR_AT(error, NM_E_LIMIT, l->archive, 0, -1, "the road networks in it have over %llu bytes",
                           (unsigned long long)l->most);
    member *at = NM_PUSH(&l->members, member, 1);
    if (!at) return NM_ERROR_AT(error, NM_E_MEMORY, l->archive, 0, -1, "no memory for a road network");
    *at = (member){.path = strdup(plain), .bytes = malloc(size), .size = size, .order = l->members.count};
    if (!at->path || !at->bytes)
        return NM_ERROR_AT(error, NM_E_MEMORY, l->archive, 0, -1, "no memory for a road network");
    memcpy(at->bytes, bytes, size);
    l->bytes += size;
    return NM_OK;
}

static int by_path(const void *a, const void *b) {
    const member *x = a, *y = b;
    const int order = strcmp(x->path, y->path);
    return order ? order : (x->order < y->order) - (x->order > y->order);
}

static int same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/// All members of the library's archive. What it holds too much of is refused, now and whenever it is asked for.
static nm_status fill_library(library *l, const nm_reader_context *context, int file, nm_error *error) {
    l->most = context->limits.max_file_bytes / LIBRARY_SHARE;
    const nm_status status =
        nm_archive_each(&context->limits, file, l->archive, NM_FORMAT_OPENDRIVE, keep_member, l, &l->refusal);
    if (l->members.count) qsort(l->members.data, l->members.count, sizeof(member), by_path);
    if (status == NM_OK) nm_error_clear(&l->refusal); // where the archive breaks off is for who reads it to say
    if (status == NM_OK) return NM_OK;
    if (error) *error = l->refusal;
    forget_members(l);
    if (status != NM_E_LIMIT) forget_library(l); // without memory once is not without memory for ever
    return status;
}

/// Makes the library that of this archive; without any member where it cannot be opened any more.
static nm_status open_library(library *l, const nm_reader_context *context, const char *archive, nm_error *error) {
    struct stat about;
    const int file = open(archive, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const int there = file >= 0 && fstat(file, &about) == 0 && S_ISREG(about.st_mode);
    nm_status status = NM_OK;
    if (!there || !l->archive || strcmp(l->archive, archive) != 0 || !same_file(&l->about, &about)) {
        forget_library(l);
        l->archive = there ? strdup(archive) : NULL;
        if (l->archive) {
            l->about = about;
            status = fill_library(l, context, file, error);
        } else if (there) {
            status = NM_ERROR_AT(error, NM_E_MEMORY, archive, 0, -1, "no memory for a road network");
        }
    } else if (l->refusal.code != NM_OK) {
        status = l->refusal.code;
        if (error) *error = l->refusal;
    }
    if (file >= 0) close(file);
    return status;
}

/// The member that a document of the archive names, or NULL. From the document's folder on.
static const member *find_member(const library *l, const char *document, const char *name) {
    char plain[MAX_MEMBER] = "", folder[MAX_MEMBER];
    const char *slash = strrchr(document, '/');
    const size_t length = slash ? (size_t)(slash - document) : 0;
    if (length >= sizeof folder || name[0] == '/' || strchr(name, '\\')) return NULL;
    memcpy(folder, document, length);
    folder[length] = '\0';
    if (!append_path(plain, folder) || !append_path(plain, name)) return NULL;
    const member *all = l->members.data;
    size_t low = 0, high = l->members.count; // the first that is not before it
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(all[middle].path, plain) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->members.count && strcmp(all[low].path, plain) == 0 ? &all[low] : NULL;
}

static int is_moved(const nm_scene *scene) {
    for (uint32_t i = 0; i < scene->tag_count; ++i) {
        if (strcmp(scene->tags[i], NM_OD_OFFSET_TAG) == 0) return 1;
    }
    return 0;
}

/// Makes what `kept` holds that of these bytes, which are malloced and taken over.
static nm_status update(network *kept, nm_reader_context *context, const char *path, uint8_t *bytes, size_t size,
                        nm_error *error) {
    const nm_scene *scene;
    if (kept->scene && kept->size == size && memcmp(kept->bytes, bytes, size) == 0) {
        free(bytes);
        return NM_OK;
    }
    forget(kept);
    const nm_status status = nm_opendrive_read(context, path, bytes, size, &scene, error);
    if (status != NM_OK) {
        free(bytes);
        return status;
    }
    kept->bytes = bytes;
    kept->size = size;
    kept->scene = scene;
    return NM_OK;
}

/// *there 0: there is no such file.
static nm_status take_file(network *kept, nm_reader_context *context, const char *wanted, int *there, nm_error *error) {
    char *path;
    uint8_t *bytes = NULL;
    size_t size = 0;
    nm_status status = path_beside(context->path, wanted, &path, error);
    if (status == NM_OK && path) status = read_file(context, path, &bytes, &size, error);
    *there = bytes != NULL;
    if (status == NM_OK && bytes)
        status = update(kept, context, path, bytes, size, error);
    else
        free(bytes);
    free(path);
    return status;
}

/// *there 0: the archive has no such member.
static nm_status take_member(network *kept, nm_reader_context *context, const char *document, const char *wanted,
                             int *there, nm_error *error) {
    char name[2 * MAX_MEMBER];
    char *archive = strndup(document, context->archive);
    nm_status status = archive ? open_library(&kept->library, context, archive, error)
                               : NM_ERROR(error, NM_E_MEMORY, "no memory for the name of a road network");
    const member *found = status == NM_OK ? find_member(&kept->library, document + context->archive + 1, wanted) : NULL;
    *there = found != NULL;
    if (found) {
        uint8_t *bytes = malloc(found->size);
        snprintf(name, sizeof name, "%s!%s", archive, found->path);
        if (bytes) memcpy(bytes, found->bytes, found->size);
        status = bytes ? update(kept, context, name, bytes, found->size, error)
                       : NM_ERROR_AT(error, NM_E_MEMORY, name, 0, -1, "no memory for a road network");
    }
    free(archive);
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

nm_status nm_osc_read_network(const nm_osc_document *document, nm_reader_context *context, const char *name,
                              const nm_scene **network_, nm_error *error) {
    *network_ = NULL;
    if ((!context->path && !context->archive) || !document->network[0]) return NM_OK;
    if (!context->openscenario) context->openscenario = calloc(1, sizeof(network));
    if (!context->openscenario) return NM_ERROR(error, NM_E_MEMORY, "no memory for a road network");
    network *kept = context->openscenario;
    int there = 0;
    const nm_status status = context->path ? take_file(kept, context, document->network, &there, error)
                                           : take_member(kept, context, name, document->network, &there, error);
    if (status != NM_OK && error) say_whose(name, error);
    if (status == NM_OK && there && !is_moved(kept->scene)) *network_ = kept->scene;
    return status;
}
