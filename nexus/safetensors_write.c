/// Safetensors files out of memory: the bytes, and their way to the disk.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "nexus/safetensors_private.h"

#define MAX_SHARDS 99999 ///< five digits in their names

nm_safetensors_config nm_safetensors_config_default(void) {
    return (nm_safetensors_config){.metadata = NULL};
}

// a growing text ------------------------------------------------------------------------------------------------------

typedef struct buffer {
    char *bytes;
    size_t used, capacity;
    int failed; ///< out of memory: what is added from then on is dropped
} buffer;

static void append(buffer *b, const void *bytes, size_t size) {
    if (b->failed) return;
    if (size > b->capacity - b->used) {
        size_t wanted = b->capacity * 2 > b->used + size ? b->capacity * 2 : b->used + size + 256;
        char *larger = realloc(b->bytes, wanted);
        if (!larger) {
            b->failed = 1;
            return;
        }
        b->bytes = larger;
        b->capacity = wanted;
    }
    memcpy(b->bytes + b->used, bytes, size);
    b->used += size;
}

static void append_text(buffer *b, const char *text) {
    append(b, text, strlen(text));
}

static void append_number(buffer *b, uint64_t number) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    append_text(b, text);
}

static void append_quoted(buffer *b, const char *text) {
    const size_t most = 6 * strlen(text) + 1;
    char *escaped = malloc(most);
    if (!escaped) {
        b->failed = 1;
        return;
    }
    append_text(b, "\"");
    append(b, escaped, nm_text_escape_json(escaped, most, text));
    append_text(b, "\"");
    free(escaped);
}

// what goes into a file -----------------------------------------------------------------------------------------------

/// An item with its size, and the place it gets.
typedef struct placed {
    const nm_safetensors_item *item;
    uint64_t bytes;
    uint32_t shard;
} placed;

static int by_name(const void *a, const void *b) {
    return strcmp(((const placed *)a)->item->name, ((const placed *)b)->item->name);
}

/// The order within a file: shard by shard, wide elements first, so that each begins at a multiple of its size.
static int by_place(const void *a, const void *b) {
    const placed *x = a, *y = b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    const size_t wide_x = nm_stored_type_size(x->item->type), wide_y = nm_stored_type_size(y->item->type);
    if (wide_x != wide_y) return wide_x > wide_y ? -1 : 1;
    return strcmp(x->item->name, y->item->name);
}

static int by_key(const void *a, const void *b) {
    return strcmp(((const nm_safetensors_text *)a)->key, ((const nm_safetensors_text *)b)->key);
}

/// Everything to be written, sorted.
typedef struct plan {
    placed *items;
    size_t count;
    nm_safetensors_text *metadata;
    size_t metadata_count;
    uint64_t total; ///< bytes of all tensors
    uint32_t shards;
} plan;

static void plan_release(plan *p) {
    free(p->items);
    free(p->metadata);
}

static int good_text(const char *text) {
    return nm_safetensors_is_utf8(text, strlen(text), NULL);
}

static nm_status plan_items(plan *p, const nm_safetensors_item *items, nm_error *error) {
    for (size_t i = 0; i < p->count; i++) {
        uint64_t elements;
        const nm_safetensors_item *item = &items[i];
        placed *place = &p->items[i];
        NM_ASSERT(item->name && (unsigned)item->type < NM_STORED_TYPE_COUNT && item->rank <= NM_SAFETENSORS_MAX_RANK);
        *place = (placed){.item = item};
        if (!good_text(item->name) || strcmp(item->name, NM_SAFETENSORS_METADATA) == 0)
            return NM_ERROR(error, NM_E_ARGUMENT, "'%s' can not be the name of a tensor", nm_show(item->name).text);
        if (!nm_stored_extent(item->type, item->rank, item->shape, &elements, &place->bytes) ||
            __builtin_add_overflow(p->total, place->bytes, &p->total) || p->total > INT64_MAX)
            return NM_ERROR(error, NM_E_ARGUMENT, "the shape %s of tensor '%s' overflows",
                            nm_show_shape(item->rank, item->shape).text, nm_show(item->name).text);
        NM_ASSERT(item->data || place->bytes == 0);
    }
    if (p->count) qsort(p->items, p->count, sizeof *p->items, by_name);
    for (size_t i = 1; i < p->count; i++)
        if (by_name(&p->items[i - 1], &p->items[i]) == 0)
            return NM_ERROR(error, NM_E_ARGUMENT, "two tensors are called '%s'", nm_show(p->items[i].item->name).text);
    return NM_OK;
}

static nm_status plan_metadata(plan *p, const nm_safetensors_config *config, nm_error *error) {
    for (size_t i = 0; i < p->metadata_count; i++) {
        p->metadata[i] = config->metadata[i];
        if (!good_text(p->metadata[i].key) || !good_text(p->metadata[i].value))
            return NM_ERROR(error, NM_E_ARGUMENT, "the metadata '%s' are not UTF-8", nm_show(p->metadata[i].key).text);
    }
    if (p->metadata_count) qsort(p->metadata, p->metadata_count, sizeof *p->metadata, by_key);
    for (size_t i = 1; i < p->metadata_count; i++)
        if (by_key(&p->metadata[i - 1], &p->metadata[i]) == 0)
            return NM_ERROR(error, NM_E_ARGUMENT, "the metadata '%s' are given twice",
                            nm_show(p->metadata[i].key).text);
    return NM_OK;
}

/// Fills files in the order of names, as full as they may be.
static nm_status assign_shards(plan *p, uint64_t shard_bytes, nm_error *error) {
    uint64_t filled = 0;
    p->shards = 1;
    for (size_t i = 0; i < p->count; i++) {
        if (shard_bytes && filled && p->items[i].bytes > shard_bytes - (filled < shard_bytes ? filled : shard_bytes)) {
            p->shards++;
            filled = 0;
        }
        filled += p->items[i].bytes;
        p->items[i].shard = p->shards - 1;
    }
    if (p->shards > MAX_SHARDS)
        return NM_ERROR(error, NM_E_LIMIT, "%" PRIu64 " bytes a file make %u files, over the limit of %d", shard_bytes,
                        p->shards, MAX_SHARDS);
    if (p->count) qsort(p->items, p->count, sizeof *p->items, by_place);
    return NM_OK;
}

static nm_status plan_make(plan *p, const nm_safetensors_item *items, size_t count, const nm_safetensors_config *config,
                           uint64_t shard_bytes, nm_error *error) {
    NM_ASSERT((items || !count) && config && (config->metadata || !config->metadata_count));
    *p = (plan){.count = count, .metadata_count = config->metadata_count};
    p->items = calloc(count ? count : 1, sizeof *p->items);
    p->metadata = calloc(p->metadata_count ? p->metadata_count : 1, sizeof *p->metadata);
    if (!p->items || !p->metadata) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %zu tensors", count);
    nm_status status = plan_items(p, items, error);
    if (status == NM_OK) status = plan_metadata(p, config, error);
    if (status == NM_OK) status = assign_shards(p, shard_bytes, error);
    return status;
}

static void append_metadata(buffer *b, const plan *p) {
    append_text(b, "\"" NM_SAFETENSORS_METADATA "\":{");
    for (size_t i = 0; i < p->metadata_count; i++) {
        if (i) append_text(b, ",");
        append_quoted(b, p->metadata[i].key);
        append_text(b, ":");
        append_quoted(b, p->metadata[i].value);
    }
    append_text(b, "}");
}

static void append_entry(buffer *b, const placed *place, uint64_t at) {
    const nm_safetensors_item *item = place->item;
    append_quoted(b, item->name);
    append_text(b, ":{\"dtype\":\"");
    append_text(b, nm_stored_type_name(item->type));
    append_text(b, "\",\"shape\":[");
    for (uint32_t d = 0; d < item->rank; d++) {
        if (d) append_text(b, ",");
        append_number(b, item->shape[d]);
    }
    append_text(b, "],\"data_offsets\":[");
    append_number(b, at);
    append_text(b, ",");
    append_number(b, at + place->bytes);
    append_text(b, "]}");
}

/// Length and header of one file; `items` are those of that file. Release head->bytes in any case.
static nm_status make_head(const plan *p, const placed *items, size_t count, buffer *head, nm_error *error) {
    uint64_t at = 0;
    *head = (buffer){.bytes = NULL};
    append(head, &at, sizeof at); // the length, known later
    append_text(head, "{");
    if (p->metadata_count) append_metadata(head, p);
    for (size_t i = 0; i < count; i++) {
        if (i || p->metadata_count) append_text(head, ",");
        append_entry(head, &items[i], at);
        at += items[i].bytes;
    }
    append_text(head, "}");
    while (head->used % 8 && !head->failed) append_text(head, " ");
    if (head->failed) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a header");
    const uint64_t length = head->used - sizeof length;
    if (length > NM_SAFETENSORS_MAX_HEADER)
        return NM_ERROR(error, NM_E_LIMIT, "a header of %" PRIu64 " bytes, over the format's limit of %u", length,
                        NM_SAFETENSORS_MAX_HEADER);
    memcpy(head->bytes, &length, sizeof length);
    return NM_OK;
}

nm_status nm_safetensors_encode(const nm_safetensors_item *items, size_t count, const nm_safetensors_config *config,
                                void *out, size_t capacity, size_t *size, nm_error *error) {
    plan p;
    buffer head = {.bytes = NULL};
    nm_status status = plan_make(&p, items, count, config, 0, error);
    if (status == NM_OK) status = make_head(&p, p.items, p.count, &head, error);
    if (status == NM_OK && __builtin_add_overflow(head.used, p.total, size))
        status = NM_ERROR(error, NM_E_ARGUMENT, "the tensors do not fit into memory");
    if (status == NM_OK && capacity >= *size) {
        char *to = out;
        memcpy(to, head.bytes, head.used);
        to += head.used;
        for (size_t i = 0; i < p.count; i++) {
            if (p.items[i].bytes) memcpy(to, p.items[i].item->data, p.items[i].bytes);
            to += p.items[i].bytes;
        }
    }
    free(head.bytes);
    plan_release(&p);
    return status;
}

// the way to the disk -------------------------------------------------------------------------------------------------

/// A file under its temporary name, complete and flushed, waiting to be renamed.
typedef struct pending {
    char *path, *temporary;
} pending;

/// What one call writes: `shards` files and, for more than one, the index behind them.
typedef struct output {
    pending *files;
    size_t count;
} output;

static void output_release(output *out) {
    for (size_t i = 0; out->files && i < out->count; i++) {
        if (out->files[i].temporary) unlink(out->files[i].temporary); // renamed ones have none
        free(out->files[i].temporary);
        free(out->files[i].path);
    }
    free(out->files);
}

static nm_status system_error(nm_error *error, const char *path) {
    const nm_status status = errno == ENOMEM ? NM_E_MEMORY : NM_E_IO;
    return NM_ERROR_AT(error, status, path, 0, -1, "cannot be written: %s", strerror(errno));
}

static nm_status no_memory(nm_error *error, const char *path) {
    return NM_ERROR_AT(error, NM_E_MEMORY, path, 0, -1, "out of memory");
}

/// "STEM-00001-of-00003.safetensors"; number from 1.
static char *shard_path(const char *path, uint32_t number, uint32_t shards) {
    static const char ending[] = ".safetensors";
    size_t stem = strlen(path);
    if (stem >= sizeof ending - 1 && strcmp(path + stem - (sizeof ending - 1), ending) == 0) stem -= sizeof ending - 1;
    const size_t size = stem + 48;
    char *result = malloc(size);
    if (!result) return NULL;
    memcpy(result, path, stem);
    snprintf(result + stem, size - stem, "-%05" PRIu32 "-of-%05" PRIu32 "%s", number, shards, ending);
    return result;
}

static char *with_ending(const char *path, const char *ending) {
    const size_t size = strlen(path) + strlen(ending) + 1;
    char *result = malloc(size);
    if (result) snprintf(result, size, "%s%s", path, ending);
    return result;
}

/// Creates the file under a name that nobody has. Returns its descriptor, or -1 with errno.
static int create_temporary(pending *file) {
    for (unsigned attempt = 0; attempt < 1000; attempt++) {
        char ending[48];
        snprintf(ending, sizeof ending, ".%ld-%u.tmp", (long)getpid(), attempt);
        char *name = with_ending(file->path, ending);
        if (!name) return -1;
        int descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor >= 0) {
            file->temporary = name;
            return descriptor;
        }
        free(name);
        if (errno != EEXIST) return -1;
    }
    return -1;
}

static int write_bytes(int descriptor, const void *bytes, uint64_t size) {
    for (const char *at = bytes; size > 0;) {
        const uint64_t most = 1u << 30;
        ssize_t done = write(descriptor, at, size < most ? size : most);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return 0;
        at += done;
        size -= (uint64_t)done;
    }
    return 1;
}

/// Head, then the data of `items`, complete on the disk under the temporary name.
static nm_status write_pending(pending *file, const buffer *head, const placed *items, size_t count, nm_error *error) {
    int descriptor = create_temporary(file);
    if (descriptor < 0) return system_error(error, file->path);
    int good = write_bytes(descriptor, head->bytes, head->used);
    for (size_t i = 0; good && i < count; i++) good = write_bytes(descriptor, items[i].item->data, items[i].bytes);
    good = good && fsync(descriptor) == 0;
    const int reason = errno;
    if (close(descriptor) != 0 && good) return system_error(error, file->path);
    errno = reason;
    return good ? NM_OK : system_error(error, file->path);
}

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void append_index(buffer *b, const plan *p, const output *out) {
    append_text(b, "{\"metadata\":{\"total_size\":");
    append_number(b, p->total);
    append_text(b, "},\"weight_map\":{");
    for (size_t i = 0; i < p->count; i++) {
        append_text(b, i ? ",\n" : "\n");
        append_quoted(b, p->items[i].item->name);
        append_text(b, ":");
        append_quoted(b, name_of(out->files[p->items[i].shard].path));
    }
    append_text(b, "\n}}\n");
}

static nm_status write_index(const char *path, const plan *p, output *out, nm_error *error) {
    pending *file = &out->files[p->shards];
    buffer text = {.bytes = NULL};
    file->path = with_ending(path, NM_SAFETENSORS_INDEX);
    append_index(&text, p, out);
    nm_status status = file->path && !text.failed ? write_pending(file, &text, NULL, 0, error) : no_memory(error, path);
    free(text.bytes);
    return status;
}

static nm_status write_shards(const char *path, const plan *p, output *out, nm_error *error) {
    for (size_t first = 0, shard = 0; shard < p->shards; shard++) {
        size_t last = first;
        while (last < p->count && p->items[last].shard == shard) last++;
        out->files[shard].path =
            p->shards > 1 ? shard_path(path, (uint32_t)shard + 1, p->shards) : with_ending(path, "");
        if (!out->files[shard].path) return no_memory(error, path);
        buffer head;
        nm_status status = make_head(p, p->items + first, last - first, &head, error);
        if (status == NM_OK) status = write_pending(&out->files[shard], &head, p->items + first, last - first, error);
        free(head.bytes);
        if (status != NM_OK) return status;
        first = last;
    }
    return p->shards > 1 ? write_index(path, p, out, error) : NM_OK;
}

/// Makes renamings last. Some file systems can not flush a folder: then there is no more to be done.
static nm_status flush_folder(const char *path, nm_error *error) {
    const size_t length = (size_t)(name_of(path) - path);
    char *folder = length ? malloc(length + 1) : with_ending(".", "");
    if (!folder) return no_memory(error, path);
    if (length) {
        memcpy(folder, path, length);
        folder[length] = '\0';
    }
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (descriptor < 0) return system_error(error, path);
    const int failed = fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP;
    const int reason = errno;
    close(descriptor);
    errno = reason;
    return failed ? system_error(error, path) : NM_OK;
}

static nm_status remove_if_there(const char *path, nm_error *error) {
    return unlink(path) == 0 || errno == ENOENT ? NM_OK : system_error(error, path);
}

static nm_status rename_pending(pending *file, nm_error *error) {
    if (rename(file->temporary, file->path) != 0) return system_error(error, file->path);
    free(file->temporary);
    file->temporary = NULL;
    return NM_OK;
}

/// Renames all. An old index goes before the first shard changes, the new one comes when all are there, and each of the
/// two is on the disk before the next step; what the other form of the set left behind goes last.
static nm_status publish(const char *path, output *out, nm_error *error) {
    const size_t shards = out->count > 1 ? out->count - 1 : 0;
    nm_status status = NM_OK;
    if (shards) {
        status = remove_if_there(out->files[shards].path, error);
        if (status == NM_OK) status = flush_folder(path, error);
    }
    for (size_t i = 0; status == NM_OK && i < shards; i++) status = rename_pending(&out->files[i], error);
    if (status == NM_OK && shards) status = flush_folder(path, error);
    if (status == NM_OK) status = rename_pending(&out->files[shards], error);
    if (status == NM_OK) status = flush_folder(path, error);
    if (status != NM_OK) return status;
    if (shards) return remove_if_there(path, error);
    char *index = with_ending(path, NM_SAFETENSORS_INDEX);
    status = index ? remove_if_there(index, error) : no_memory(error, path);
    free(index);
    return status;
}

nm_status nm_safetensors_write(const char *path, const nm_safetensors_item *items, size_t count,
                               const nm_safetensors_config *config, nm_error *error) {
    NM_ASSERT(path && path[0]);
    plan p;
    output out = {.files = NULL};
    nm_status status = plan_make(&p, items, count, config, config->shard_bytes, error);
    struct stat about;
    if (status == NM_OK && stat(path, &about) == 0 && S_ISDIR(about.st_mode)) {
        errno = EISDIR;
        status = system_error(error, path);
    }
    if (status == NM_OK) {
        out.count = p.shards > 1 ? (size_t)p.shards + 1 : 1;
        out.files = calloc(out.count, sizeof *out.files);
        status = out.files ? write_shards(path, &p, &out, error) : no_memory(error, path);
    }
    if (status == NM_OK) status = publish(path, &out, error);
    output_release(&out);
    plan_release(&p);
    return status;
}
