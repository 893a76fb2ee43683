#include "nexus/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "nexus/safetensors_private.h"

// opening -------------------------------------------------------------------------------------------------------------

void nm_safetensors_close(nm_safetensors *file) {
    if (!file) return;
    for (size_t i = 0; i < file->source_count; i++)
        if (file->sources[i].descriptor >= 0) close(file->sources[i].descriptor);
    free(file->sources);
    free(file->tensors);
    free(file->meta);
    nm_arena_destroy(file->arena);
    free(file);
}

static nm_safetensors *create(size_t sources) {
    nm_safetensors *file = calloc(1, sizeof *file);
    if (!file) return NULL;
    file->arena = nm_arena_create(0);
    file->sources = calloc(sources ? sources : 1, sizeof *file->sources);
    if (file->arena && file->sources) return file;
    nm_safetensors_close(file);
    return NULL;
}

static nm_status open_source(nm_safetensors *file, const char *path, nm_error *error) {
    nm_safetensors_source source = {.path = nm_arena_strndup(file->arena, path, strlen(path))};
    struct stat about;
    if (!source.path) return NM_ERROR_AT(error, NM_E_MEMORY, path, 0, -1, "out of memory");
    source.descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // not to wait for the writer of a pipe
    if (source.descriptor < 0)
        return NM_ERROR_AT(error, errno == ENOENT ? NM_E_NOT_FOUND : NM_E_IO, path, 0, -1, "%s", strerror(errno));
    file->sources[file->source_count++] = source;
    if (fstat(source.descriptor, &about) != 0) return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "%s", strerror(errno));
    if (!S_ISREG(about.st_mode)) return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "not a plain file");
    file->sources[file->source_count - 1].size = (uint64_t)about.st_size;
    return NM_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const nm_stored_tensor *)a)->name, ((const nm_stored_tensor *)b)->name);
}

static int by_key(const void *a, const void *b) {
    const nm_safetensors_meta *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : (x->file > y->file) - (x->file < y->file);
}

static nm_status sort_tensors(nm_safetensors *file, nm_error *error) {
    if (file->tensor_count) qsort(file->tensors, file->tensor_count, sizeof *file->tensors, by_name);
    for (size_t i = 1; i < file->tensor_count; i++) {
        const nm_stored_tensor *a = &file->tensors[i - 1], *b = &file->tensors[i];
        if (strcmp(a->name, b->name) == 0)
            return NM_ERROR_AT(error, NM_E_FORMAT, file->sources[b->file].path, 0, (int64_t)b->offset,
                               "tensor '%s' is there twice, once in '%s'", nm_show(a->name).text,
                               nm_show(nm_base_name(file->sources[a->file].path)).text);
    }
    return NM_OK;
}

/// Shards repeat the metadata of the set; what they agree on is kept once.
static nm_status sort_metadata(nm_safetensors *file, nm_error *error) {
    size_t kept = 0;
    if (file->meta_count) qsort(file->meta, file->meta_count, sizeof *file->meta, by_key);
    for (size_t i = 0; i < file->meta_count; i++) {
        const nm_safetensors_meta *now = &file->meta[i], *before = kept ? &file->meta[kept - 1] : NULL;
        if (!before || strcmp(before->key, now->key) != 0) {
            file->meta[kept++] = *now;
            continue;
        }
        if (before->file == now->file)
            return NM_ERROR_AT(error, NM_E_FORMAT, file->sources[now->file].path, 0, 8,
                               "the metadata '%s' are there twice", nm_show(now->key).text);
        if (strcmp(before->value, now->value) != 0)
            return NM_ERROR_AT(error, NM_E_FORMAT, file->sources[now->file].path, 0, 8,
                               "the metadata '%s' are '%s' here and '%s' in '%s'", nm_show(now->key).text,
                               nm_show(now->value).text, nm_show(before->value).text,
                               nm_show(nm_base_name(file->sources[before->file].path)).text);
        file->meta[kept - 1].file = now->file; // so that a repeat within this file is seen
    }
    file->meta_count = kept;
    return NM_OK;
}

/// Parses all sources; hands the set out or closes it.
static nm_status finish(nm_safetensors *file, nm_status status, nm_safetensors **out, nm_error *error) {
    for (uint32_t i = 0; status == NM_OK && i < file->source_count; i++) status = nm_safetensors_parse(file, i, error);
    if (status == NM_OK) status = sort_tensors(file, error);
    if (status == NM_OK) status = sort_metadata(file, error);
    if (status == NM_OK)
        *out = file;
    else
        nm_safetensors_close(file);
    return status;
}

nm_status nm_safetensors_open_memory(const char *name, const void *bytes, size_t size, nm_safetensors **file,
                                     nm_error *error) {
    NM_ASSERT(name && (bytes || size == 0) && file);
    *file = NULL;
    nm_safetensors *made = create(1);
    const char *path = made ? nm_arena_strndup(made->arena, name, strlen(name)) : NULL;
    if (!path) {
        nm_safetensors_close(made);
        return NM_ERROR_AT(error, NM_E_MEMORY, name, 0, -1, "out of memory");
    }
    made->sources[made->source_count++] =
        (nm_safetensors_source){.path = path, .descriptor = -1, .bytes = bytes, .size = size};
    return finish(made, NM_OK, file, error);
}

nm_status nm_safetensors_open_list(const char *const *paths, size_t count, nm_safetensors **file, nm_error *error) {
    NM_ASSERT(paths && count > 0 && file);
    *file = NULL;
    if (count > NM_SAFETENSORS_MAX_FILES)
        return NM_ERROR_AT(error, NM_E_LIMIT, paths[0], 0, -1, "one of %zu files, over the limit of %d", count,
                           NM_SAFETENSORS_MAX_FILES);
    nm_safetensors *made = create(count);
    if (!made) return NM_ERROR_AT(error, NM_E_MEMORY, paths[0], 0, -1, "out of memory");
    nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < count; i++) status = open_source(made, paths[i], error);
    return finish(made, status, file, error);
}

// index ---------------------------------------------------------------------------------------------------------------

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/// The distinct files of an index, sorted, as paths beside it, in `paths` [count of entries].
static nm_status shard_paths(const char *index_path, nm_arena *arena, const nm_shard_entry *entries, size_t count,
                             const char **paths, size_t *path_count, nm_error *error) {
    const char *slash = strrchr(index_path, '/');
    const size_t folder = slash ? (size_t)(slash - index_path) + 1 : 0;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) paths[i] = entries[i].file;
    qsort(paths, count, sizeof *paths, by_text);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(paths[i], paths[kept - 1]) != 0) paths[kept++] = paths[i];
    for (size_t i = 0; i < kept; i++) {
        const size_t length = strlen(paths[i]);
        char *path = nm_arena_alloc(arena, folder + length + 1, 1, 1);
        if (!path)
            return NM_ERROR_AT(error, NM_E_MEMORY, index_path, 0, -1, "out of memory for the names of the shards");
        memcpy(path, index_path, folder);
        memcpy(path + folder, paths[i], length + 1);
        paths[i] = path;
    }
    *path_count = kept;
    return NM_OK;
}

/// Both are sorted by tensor.
static nm_status compare_with_index(const nm_safetensors *file, const char *index_path, const nm_shard_entry *entries,
                                    size_t count, nm_error *error) {
    for (size_t i = 0, j = 0; i < count || j < file->tensor_count; i++, j++) {
        int order = i == count ? 1 : j == file->tensor_count ? -1 : strcmp(entries[i].tensor, file->tensors[j].name);
        if (order < 0)
            return NM_ERROR_AT(error, NM_E_FORMAT, index_path, 0, -1, "tensor '%s' is not in '%s', as the index says",
                               nm_show(entries[i].tensor).text, nm_show(entries[i].file).text);
        const nm_stored_tensor *tensor = &file->tensors[j];
        const char *where = nm_base_name(file->sources[tensor->file].path);
        if (order > 0)
            return NM_ERROR_AT(error, NM_E_FORMAT, index_path, 0, -1, "the index leaves out tensor '%s' of '%s'",
                               nm_show(tensor->name).text, nm_show(where).text);
        if (strcmp(where, entries[i].file) != 0)
            return NM_ERROR_AT(error, NM_E_FORMAT, index_path, 0, -1,
                               "tensor '%s' is in '%s', not in '%s', as the index says", nm_show(tensor->name).text,
                               nm_show(where).text, nm_show(entries[i].file).text);
    }
    return NM_OK;
}

static nm_status open_shards(const nm_safetensors_source *index, nm_arena *arena, nm_safetensors **file,
                             nm_error *error) {
    nm_shard_entry *entries = NULL;
    size_t count = 0, path_count = 0;
    nm_status status = nm_shard_index_parse(index, arena, &entries, &count, error);
    if (status != NM_OK) return status;
    const char **paths = malloc(count * sizeof *paths);
    status = paths ? shard_paths(index->path, arena, entries, count, paths, &path_count, error)
                   : NM_ERROR_AT(error, NM_E_MEMORY, index->path, 0, -1, "out of memory for the names of the shards");
    if (status == NM_OK) status = nm_safetensors_open_list(paths, path_count, file, error);
    if (status == NM_OK) status = compare_with_index(*file, index->path, entries, count, error);
    if (status != NM_OK) {
        nm_safetensors_close(*file);
        *file = NULL;
    }
    free(paths);
    free(entries);
    return status;
}

/// `path` with `more` behind it if there is such a file, else NULL.
static const char *existing(nm_arena *arena, const char *path, const char *more) {
    const size_t length = strlen(path), extra = strlen(more) + 1;
    char *longer = nm_arena_alloc(arena, length + extra, 1, 1);
    if (!longer) return NULL;
    memcpy(longer, path, length);
    memcpy(longer + length, more, extra);
    return access(longer, F_OK) == 0 ? longer : NULL;
}

/// What a user means by `path`: see nm_safetensors_open.
static nm_status resolve(nm_arena *arena, const char *path, const char **found, nm_error *error) {
    struct stat about;
    *found = path;
    if (stat(path, &about) != 0) {
        const char *index = existing(arena, path, NM_SAFETENSORS_INDEX);
        if (index) *found = index;
        return NM_OK; // opening says what is wrong
    }
    if (!S_ISDIR(about.st_mode)) return NM_OK;
    const char *whole = existing(arena, path, "/model.safetensors");
    const char *index = existing(arena, path, "/model.safetensors" NM_SAFETENSORS_INDEX);
    if (whole && index)
        return NM_ERROR_AT(error, NM_E_ARGUMENT, path, 0, -1,
                           "the folder has both model.safetensors and model.safetensors" NM_SAFETENSORS_INDEX
                           ": name the one that is meant");
    if (!whole && !index)
        return NM_ERROR_AT(error, NM_E_NOT_FOUND, path, 0, -1,
                           "the folder has neither model.safetensors nor model.safetensors" NM_SAFETENSORS_INDEX);
    *found = whole ? whole : index;
    return NM_OK;
}

nm_status nm_safetensors_open(const char *path, nm_safetensors **file, nm_error *error) {
    NM_ASSERT(path && file);
    *file = NULL;
    nm_safetensors *made = create(1);
    if (!made) return NM_ERROR_AT(error, NM_E_MEMORY, path, 0, -1, "out of memory");
    const char *found = path;
    nm_status status = resolve(made->arena, path, &found, error);
    if (status == NM_OK) status = open_source(made, found, error);
    if (status == NM_OK && !nm_safetensors_is_index(&made->sources[0])) return finish(made, status, file, error);
    if (status == NM_OK) status = open_shards(&made->sources[0], made->arena, file, error);
    nm_safetensors_close(made);
    return status;
}

// looking up ----------------------------------------------------------------------------------------------------------

size_t nm_safetensors_count(const nm_safetensors *file) {
    return file->tensor_count;
}

const nm_stored_tensor *nm_safetensors_at(const nm_safetensors *file, size_t index) {
    NM_ASSERT(index < file->tensor_count);
    return &file->tensors[index];
}

const nm_stored_tensor *nm_safetensors_find(const nm_safetensors *file, const char *name) {
    const nm_stored_tensor key = {.name = name};
    if (!file->tensor_count) return NULL;
    return bsearch(&key, file->tensors, file->tensor_count, sizeof key, by_name);
}

size_t nm_safetensors_metadata_count(const nm_safetensors *file) {
    return file->meta_count;
}

void nm_safetensors_metadata_at(const nm_safetensors *file, size_t index, const char **key, const char **value) {
    NM_ASSERT(index < file->meta_count);
    *key = file->meta[index].key;
    *value = file->meta[index].value;
}

const char *nm_safetensors_metadata(const nm_safetensors *file, const char *key) {
    for (size_t i = 0; i < file->meta_count; i++)
        if (strcmp(file->meta[i].key, key) == 0) return file->meta[i].value;
    return NULL;
}

nm_status nm_safetensors_metadata_number(const nm_safetensors *file, const char *key, int64_t least, int64_t most,
                                         int64_t *value, nm_error *error) {
    const char *text = nm_safetensors_metadata(file, key), *path = file->sources[0].path;
    if (!text) return NM_ERROR_AT(error, NM_E_FORMAT, path, 0, -1, "the metadata lack '%s'", key);
    const char *digits = text + (text[0] == '-');
    const size_t length = strlen(digits);
    const int plain = length > 0 && length <= 18 && strspn(digits, "0123456789") == length;
    const long long number = plain ? strtoll(text, NULL, 10) : 0;
    if (!plain || number < least || number > most)
        return NM_ERROR_AT(error, NM_E_FORMAT, path, 0, -1,
                           "the metadata '%s' are '%s', not a number from %" PRId64 " to %" PRId64, key,
                           nm_show(text).text, least, most);
    *value = number;
    return NM_OK;
}

// reading -------------------------------------------------------------------------------------------------------------

nm_status nm_safetensors_read(const nm_safetensors *file, const nm_stored_tensor *tensor, void *out, nm_error *error) {
    NM_ASSERT(tensor->file < file->source_count);
    return nm_safetensors_source_read(&file->sources[tensor->file], tensor->offset, out, tensor->bytes, error);
}

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/// binary16: 1 sign, 5 exponent, 10 fraction bits.
static float from_half(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
    if (exponent == 31) return from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    const float small = (float)fraction * 0x1p-24f; // subnormal: exact
    return sign ? -small : small;
}

static void convert(nm_stored_type type, const uint8_t *from, size_t count, float *to) {
    for (size_t i = 0; i < count; i++) {
        if (type == NM_STORED_F64) {
            double wide;
            memcpy(&wide, from + 8 * i, 8);
            to[i] = (float)wide;
            continue;
        }
        uint16_t bits;
        memcpy(&bits, from + 2 * i, 2);
        to[i] = type == NM_STORED_BF16 ? from_bits((uint32_t)bits << 16) : from_half(bits);
    }
}

/// Reads in pieces through a buffer on the stack.
static nm_status read_converted(const nm_safetensors_source *source, const nm_stored_tensor *tensor, float *out,
                                nm_error *error) {
    uint8_t piece[8192];
    const size_t element = nm_stored_type_size(tensor->type), most = sizeof piece / element;
    for (uint64_t done = 0; done < tensor->elements;) {
        const uint64_t left = tensor->elements - done;
        const size_t count = left < most ? (size_t)left : most;
        nm_status status =
            nm_safetensors_source_read(source, tensor->offset + done * element, piece, count * element, error);
        if (status != NM_OK) return status;
        convert(tensor->type, piece, count, out + done);
        done += count;
    }
    return NM_OK;
}

static nm_status check_finite(const nm_safetensors_source *source, const nm_stored_tensor *tensor, const float *values,
                              nm_error *error) {
    uint64_t at = 0;
    while (at < tensor->elements && isfinite(values[at])) at++;
    if (at == tensor->elements) return NM_OK;
    uint64_t place[NM_SAFETENSORS_MAX_RANK] = {0}, rest = at;
    for (uint32_t i = tensor->rank; i-- > 0;) {
        place[i] = rest % tensor->shape[i];
        rest /= tensor->shape[i];
    }
    return NM_ERROR_AT(error, NM_E_NUMERIC, source->path, 0,
                       (int64_t)(tensor->offset + at * nm_stored_type_size(tensor->type)), "tensor '%s' holds %s at %s",
                       nm_show(tensor->name).text,
                       isnan(values[at])               ? "NaN"
                       : tensor->type == NM_STORED_F64 ? "infinity, or a value over the range of a float,"
                                                       : "infinity",
                       nm_show_shape(tensor->rank, place).text);
}

nm_status nm_safetensors_read_f32(const nm_safetensors *file, const char *name, uint32_t rank, const uint64_t *shape,
                                  float *out, nm_error *error) {
    const nm_stored_tensor *tensor = nm_safetensors_find(file, name);
    if (!tensor)
        return NM_ERROR_AT(error, NM_E_NOT_FOUND, file->sources[0].path, 0, -1, "there is no tensor '%s'",
                           nm_show(name).text);
    const nm_safetensors_source *source = &file->sources[tensor->file];
    if (tensor->rank != rank || (rank && memcmp(tensor->shape, shape, rank * sizeof *shape) != 0))
        return NM_ERROR_AT(error, NM_E_FORMAT, source->path, 0, (int64_t)tensor->offset,
                           "tensor '%s' is %s, expected %s", nm_show(name).text,
                           nm_show_shape(tensor->rank, tensor->shape).text, nm_show_shape(rank, shape).text);
    if (tensor->type < NM_STORED_F16)
        return NM_ERROR_AT(error, NM_E_FORMAT, source->path, 0, (int64_t)tensor->offset,
                           "tensor '%s' is stored as %s, expected a float type", nm_show(name).text,
                           nm_stored_type_name(tensor->type));
    nm_status status = tensor->type == NM_STORED_F32 ? nm_safetensors_read(file, tensor, out, error)
                                                     : read_converted(source, tensor, out, error);
    return status == NM_OK ? check_finite(source, tensor, out, error) : status;
}

// comparing -----------------------------------------------------------------------------------------------------------

/// One kind of difference: how many, and as many of the first as fit into `room` bytes, but at least one.
typedef struct findings {
    char text[480];
    size_t room, used, count, named;
} findings;

enum { MISSING, UNWANTED, MISSHAPEN, KINDS };

static void found(findings *f, const char *what) {
    const size_t length = strlen(what) + (f->named ? 2 : 0);
    if (f->named != f->count++ || (f->named && f->used + length > f->room)) return;
    f->used += (size_t)snprintf(f->text + f->used, sizeof f->text - f->used, "%s%s", f->named ? ", " : "", what);
    f->named++;
}

static int by_wanted(const void *a, const void *b) {
    return strcmp((*(const nm_wanted_tensor *const *)a)->name, (*(const nm_wanted_tensor *const *)b)->name);
}

static void compare_one(const nm_wanted_tensor *wanted, const nm_stored_tensor *tensor, findings *misshapen) {
    char text[150];
    if (wanted->rank == tensor->rank &&
        memcmp(wanted->shape, tensor->shape, wanted->rank * sizeof wanted->shape[0]) == 0)
        return;
    snprintf(text, sizeof text, "%.80s is %.24s, expected %.24s", nm_show(wanted->name).text,
             nm_show_shape(tensor->rank, tensor->shape).text, nm_show_shape(wanted->rank, wanted->shape).text);
    found(misshapen, text);
}

/// Walks both sorted lists side by side. `room` bytes for each kind.
static void compare_all(const nm_safetensors *file, const nm_wanted_tensor **sorted, size_t count, size_t room,
                        findings kinds[KINDS]) {
    for (int k = 0; k < KINDS; k++) kinds[k] = (findings){.room = room};
    for (size_t i = 0, j = 0; i < count || j < file->tensor_count;) {
        int order = i == count ? 1 : j == file->tensor_count ? -1 : strcmp(sorted[i]->name, file->tensors[j].name);
        if (order < 0) found(&kinds[MISSING], nm_show(sorted[i]->name).text);
        if (order > 0) found(&kinds[UNWANTED], nm_show(file->tensors[j].name).text);
        if (order == 0) compare_one(sorted[i], &file->tensors[j], &kinds[MISSHAPEN]);
        i += order <= 0;
        j += order >= 0;
    }
}

static void describe(const findings kinds[KINDS], char *text, size_t size) {
    static const char *const what[KINDS] = {"missing", "not expected", "of another shape"};
    size_t used = 0;
    text[0] = '\0';
    for (int k = 0; k < KINDS; k++) {
        const findings *f = &kinds[k];
        if (!f->count || used >= size) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%zu tensor%s %s: %s", used ? "; " : "", f->count,
                                 f->count == 1 ? "" : "s", what[k], f->text);
        if (f->count > f->named && used < size)
            used += (size_t)snprintf(text + used, size - used, " and %zu more", f->count - f->named);
    }
}

nm_status nm_safetensors_match(const nm_safetensors *file, const nm_wanted_tensor *wanted, size_t count,
                               nm_error *error) {
    const nm_wanted_tensor **sorted = malloc((count ? count : 1) * sizeof *sorted);
    findings kinds[KINDS];
    char text[512];
    if (!sorted) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++) sorted[i] = &wanted[i];
    qsort(sorted, count, sizeof *sorted, by_wanted);
    compare_all(file, sorted, count, 0, kinds); // to know how many kinds share the message
    const size_t found_kinds = (size_t)(kinds[0].count > 0) + (kinds[1].count > 0) + (kinds[2].count > 0);
    if (found_kinds) compare_all(file, sorted, count, 360 / found_kinds, kinds);
    free(sorted);
    if (!found_kinds) return NM_OK;
    describe(kinds, text, sizeof text);
    return NM_ERROR_AT(error, NM_E_FORMAT, file->sources[0].path, 0, -1, "%s", text);
}
