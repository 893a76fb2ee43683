/// The header of a safetensors file and the index of a sharded set: JSON in, checked tables out.
#include "nexus/safetensors_private.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define LENGTH_BYTES 8
#define MAX_JSON_VALUES 4000000u     ///< cJSON takes 64 bytes for each, whatever little text it came from
#define MAX_EXACT 9007199254740991.0 ///< 2^53 - 1: cJSON keeps numbers as doubles, and may have rounded larger ones

static const struct {
    const char *name;
    size_t size;
} types[NM_STORED_TYPE_COUNT] = {
    [NM_STORED_BOOL] = {"BOOL", 1}, [NM_STORED_U8] = {"U8", 1},     [NM_STORED_I8] = {"I8", 1},
    [NM_STORED_U16] = {"U16", 2},   [NM_STORED_I16] = {"I16", 2},   [NM_STORED_U32] = {"U32", 4},
    [NM_STORED_I32] = {"I32", 4},   [NM_STORED_U64] = {"U64", 8},   [NM_STORED_I64] = {"I64", 8},
    [NM_STORED_F16] = {"F16", 2},   [NM_STORED_BF16] = {"BF16", 2}, [NM_STORED_F32] = {"F32", 4},
    [NM_STORED_F64] = {"F64", 8},
};

const char *nm_stored_type_name(nm_stored_type type) {
    return (unsigned)type < NM_STORED_TYPE_COUNT ? types[type].name : "?";
}

size_t nm_stored_type_size(nm_stored_type type) {
    NM_ASSERT((unsigned)type < NM_STORED_TYPE_COUNT);
    return types[type].size;
}

nm_shown nm_show(const char *name) {
    nm_shown shown;
    nm_text_escape(shown.text, sizeof shown.text, name);
    return shown;
}

nm_shown nm_show_shape(uint32_t rank, const uint64_t *shape) {
    nm_shown shown = {"["};
    size_t used = 1;
    for (uint32_t i = 0; i < rank && used < sizeof shown.text; i++)
        used += (size_t)snprintf(shown.text + used, sizeof shown.text - used, "%s%" PRIu64, i ? ", " : "", shape[i]);
    if (used < sizeof shown.text) snprintf(shown.text + used, sizeof shown.text - used, "]");
    return shown;
}

int nm_stored_extent(nm_stored_type type, uint32_t rank, const uint64_t *shape, uint64_t *elements, uint64_t *bytes) {
    uint64_t product = 1;
    for (uint32_t i = 0; i < rank; i++)
        if (__builtin_mul_overflow(product, shape[i], &product)) return 0;
    *elements = product;
    return !__builtin_mul_overflow(product, (uint64_t)nm_stored_type_size(type), bytes);
}

int nm_safetensors_is_utf8(const char *text, size_t length, size_t *bad) {
    for (size_t at = 0; at < length;) {
        size_t step = nm_utf8_next(text + at, length - at);
        if (step == 0) {
            if (bad) *bad = at;
            return 0;
        }
        at += step;
    }
    return 1;
}

int nm_safetensors_grow(void **array, size_t *capacity, size_t count, size_t element) {
    if (count < *capacity) return 1;
    size_t wanted = *capacity ? 2 * *capacity : 64;
    void *larger = wanted <= SIZE_MAX / 2 / element ? realloc(*array, wanted * element) : NULL;
    if (!larger) return 0;
    *array = larger;
    *capacity = wanted;
    return 1;
}

nm_status nm_safetensors_source_read(const nm_safetensors_source *source, uint64_t offset, void *out, uint64_t size,
                                     nm_error *error) {
    NM_ASSERT(offset <= source->size && size <= source->size - offset);
    if (source->descriptor < 0) {
        if (size) memcpy(out, source->bytes + offset, size);
        return NM_OK;
    }
    for (uint64_t done = 0; done < size;) {
        const uint64_t most = 1u << 30; // systems refuse more than 2 GiB at once
        const uint64_t left = size - done;
        ssize_t got = pread(source->descriptor, (char *)out + done, left < most ? left : most, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return NM_ERROR_AT(error, NM_E_IO, source->path, 0, (int64_t)(offset + done), "%s", strerror(errno));
        if (got == 0)
            return NM_ERROR_AT(error, NM_E_IO, source->path, 0, (int64_t)(offset + done),
                               "the file has become shorter while it was open");
        done += (uint64_t)got;
    }
    return NM_OK;
}

// JSON ----------------------------------------------------------------------------------------------------------------

/// Text of a file on its way to being a table.
typedef struct document {
    const char *path;
    uint64_t offset; ///< of the text in the file
    char *text;
    size_t size;
    cJSON *json;
} document;

#define FORMAT_ERROR(error, document, offset, ...)                                                                     \
    NM_ERROR_AT((error), NM_E_FORMAT, (document)->path, 0, (int64_t)(offset), __VA_ARGS__)

static void document_release(document *doc) {
    cJSON_Delete(doc->json);
    free(doc->text);
}

/// Where a text of the JSON has a zero character, raw or escaped: cJSON's texts end there, so that a name would be read
/// as its beginning. `size` when there is none.
static size_t find_zero(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\0') return i;
        if (text[i] != '\\') continue;
        if (size - i >= 6 && memcmp(text + i + 1, "u0000", 5) == 0) return i;
        i++; // what is escaped, another backslash for one
    }
    return size;
}

/// An upper bound on the number of values, found without allocating: each but the first follows one of these.
static size_t count_values(const char *text, size_t size) {
    size_t count = 1;
    for (size_t i = 0; i < size; i++) count += text[i] == ',' || text[i] == ':' || text[i] == '[' || text[i] == '{';
    return count;
}

/// Reads and parses `size` bytes of `source` at `offset`: an object. Release in any case.
static nm_status document_read(const nm_safetensors_source *source, uint64_t offset, uint64_t size, const char *what,
                               document *doc, nm_error *error) {
    *doc = (document){.path = source->path, .offset = offset, .size = (size_t)size};
    doc->text = malloc(doc->size + 1);
    if (!doc->text) return NM_ERROR_AT(error, NM_E_MEMORY, source->path, 0, -1, "out of memory for the %s", what);
    nm_status status = nm_safetensors_source_read(source, offset, doc->text, size, error);
    if (status != NM_OK) return status;
    doc->text[size] = '\0';
    size_t bad = 0;
    if (!nm_safetensors_is_utf8(doc->text, doc->size, &bad))
        return FORMAT_ERROR(error, doc, offset + bad, "the %s is not UTF-8", what);
    if (doc->size == 0 || doc->text[0] != '{')
        return FORMAT_ERROR(error, doc, offset, "the %s is not a JSON object", what);
    const size_t zero = find_zero(doc->text, doc->size);
    if (zero < doc->size) return FORMAT_ERROR(error, doc, offset + zero, "the %s has a zero character", what);
    if (count_values(doc->text, doc->size) > MAX_JSON_VALUES)
        return NM_ERROR_AT(error, NM_E_LIMIT, source->path, 0, (int64_t)offset, "the %s has more than %u JSON values",
                           what, MAX_JSON_VALUES);
    const char *end = doc->text;
    doc->json = cJSON_ParseWithLengthOpts(doc->text, doc->size, &end, 0);
    size_t at = (size_t)(end - doc->text);
    if (!doc->json) return FORMAT_ERROR(error, doc, offset + at, "the %s is not JSON", what);
    while (at < doc->size && strchr(" \t\r\n", doc->text[at]) && doc->text[at]) at++;
    if (at != doc->size) return FORMAT_ERROR(error, doc, offset + at, "text behind the JSON object of the %s", what);
    if (!cJSON_IsObject(doc->json)) return FORMAT_ERROR(error, doc, offset, "the %s is not a JSON object", what);
    return NM_OK;
}

static int read_integer(const cJSON *item, uint64_t *value) {
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0.0 && item->valuedouble <= MAX_EXACT)) return 0;
    *value = (uint64_t)item->valuedouble;
    return (double)*value == item->valuedouble;
}

// tensors -------------------------------------------------------------------------------------------------------------

/// The three members of a tensor's entry; others are left for later versions of the format to define.
static nm_status find_members(const document *doc, const cJSON *entry, const char *name, const cJSON *members[3],
                              nm_error *error) {
    static const char *const keys[3] = {"dtype", "shape", "data_offsets"};
    memset(members, 0, 3 * sizeof members[0]);
    const cJSON *first = cJSON_IsObject(entry) ? entry->child : NULL; // what is in a list has no name
    for (const cJSON *member = first; member; member = member->next) {
        for (int k = 0; k < 3; k++) {
            if (strcmp(member->string, keys[k]) != 0) continue;
            if (members[k])
                return FORMAT_ERROR(error, doc, doc->offset, "tensor '%s' has two members '%s'", nm_show(name).text,
                                    keys[k]);
            members[k] = member;
        }
    }
    if (!cJSON_IsString(members[0]) || !cJSON_IsArray(members[1]) || !cJSON_IsArray(members[2]))
        return FORMAT_ERROR(error, doc, doc->offset,
                            "tensor '%s' needs a text 'dtype' and lists 'shape' and 'data_offsets'",
                            nm_show(name).text);
    return NM_OK;
}

static nm_status parse_type(const document *doc, const cJSON *member, nm_stored_tensor *tensor, nm_error *error) {
    for (int t = 0; t < NM_STORED_TYPE_COUNT; t++) {
        if (strcmp(member->valuestring, types[t].name) != 0) continue;
        tensor->type = (nm_stored_type)t;
        return NM_OK;
    }
    return FORMAT_ERROR(error, doc, doc->offset, "tensor '%s' has the unknown dtype '%s'", nm_show(tensor->name).text,
                        nm_show(member->valuestring).text);
}

static nm_status parse_shape(const document *doc, const cJSON *member, nm_stored_tensor *tensor, nm_error *error) {
    for (const cJSON *item = member->child; item; item = item->next) {
        if (tensor->rank == NM_SAFETENSORS_MAX_RANK)
            return FORMAT_ERROR(error, doc, doc->offset, "tensor '%s' has more than %d dimensions",
                                nm_show(tensor->name).text, NM_SAFETENSORS_MAX_RANK);
        if (!read_integer(item, &tensor->shape[tensor->rank++]))
            return FORMAT_ERROR(error, doc, doc->offset, "the shape of tensor '%s' is not of whole numbers",
                                nm_show(tensor->name).text);
    }
    if (!nm_stored_extent(tensor->type, tensor->rank, tensor->shape, &tensor->elements, &tensor->bytes))
        return FORMAT_ERROR(error, doc, doc->offset, "the shape %s of tensor '%s' overflows",
                            nm_show_shape(tensor->rank, tensor->shape).text, nm_show(tensor->name).text);
    return NM_OK;
}

/// data  where the tensors begin in the file; end: where they end
static nm_status parse_offsets(const document *doc, const cJSON *member, uint64_t data, uint64_t end,
                               nm_stored_tensor *tensor, nm_error *error) {
    uint64_t first, last;
    const cJSON *item = member->child;
    if (cJSON_GetArraySize(member) != 2 || !read_integer(item, &first) || !read_integer(item->next, &last))
        return FORMAT_ERROR(error, doc, doc->offset, "the data_offsets of tensor '%s' are not two whole numbers",
                            nm_show(tensor->name).text);
    if (last < first || last > end - data)
        return FORMAT_ERROR(error, doc, first < end - data ? data + first : end,
                            "tensor '%s' lies at %" PRIu64 " to %" PRIu64 " of %" PRIu64 " bytes of data",
                            nm_show(tensor->name).text, first, last, end - data);
    if (last - first != tensor->bytes)
        return FORMAT_ERROR(error, doc, data + first,
                            "tensor '%s' has %" PRIu64 " bytes of data, but %s %s takes %" PRIu64,
                            nm_show(tensor->name).text, last - first, nm_stored_type_name(tensor->type),
                            nm_show_shape(tensor->rank, tensor->shape).text, tensor->bytes);
    tensor->offset = data + first;
    return NM_OK;
}

static nm_status parse_tensor(nm_safetensors *file, uint32_t index, const document *doc, const cJSON *entry,
                              nm_error *error) {
    const uint64_t data = doc->offset + doc->size, end = file->sources[index].size;
    const cJSON *members[3];
    nm_status status = find_members(doc, entry, entry->string, members, error);
    if (status != NM_OK) return status;
    nm_stored_tensor tensor = {.file = index};
    tensor.name = nm_arena_strndup(file->arena, entry->string, strlen(entry->string));
    if (!tensor.name ||
        !nm_safetensors_grow((void **)&file->tensors, &file->tensor_capacity, file->tensor_count, sizeof tensor))
        return NM_ERROR_AT(error, NM_E_MEMORY, doc->path, 0, -1, "out of memory for the list of tensors");
    if ((status = parse_type(doc, members[0], &tensor, error)) != NM_OK) return status;
    if ((status = parse_shape(doc, members[1], &tensor, error)) != NM_OK) return status;
    if ((status = parse_offsets(doc, members[2], data, end, &tensor, error)) != NM_OK) return status;
    file->tensors[file->tensor_count++] = tensor;
    return NM_OK;
}

static nm_status parse_metadata(nm_safetensors *file, uint32_t index, const document *doc, const cJSON *entry,
                                nm_error *error) {
    if (!cJSON_IsObject(entry)) return FORMAT_ERROR(error, doc, doc->offset, "the metadata are not an object");
    for (const cJSON *item = entry->child; item; item = item->next) {
        if (!cJSON_IsString(item))
            return FORMAT_ERROR(error, doc, doc->offset, "the metadata '%s' is not a text", nm_show(item->string).text);
        nm_safetensors_meta meta = {.file = index};
        meta.key = nm_arena_strndup(file->arena, item->string, strlen(item->string));
        meta.value = nm_arena_strndup(file->arena, item->valuestring, strlen(item->valuestring));
        if (!meta.key || !meta.value ||
            !nm_safetensors_grow((void **)&file->meta, &file->meta_capacity, file->meta_count, sizeof meta))
            return NM_ERROR_AT(error, NM_E_MEMORY, doc->path, 0, -1, "out of memory for the metadata");
        file->meta[file->meta_count++] = meta;
    }
    return NM_OK;
}

static int by_place(const void *a, const void *b) {
    const nm_stored_tensor *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); // empty ones before the one that begins there
}

/// Every byte of the data belongs to exactly one tensor.
static nm_status check_tiling(const document *doc, nm_stored_tensor *tensors, size_t count, uint64_t end,
                              nm_error *error) {
    uint64_t at = doc->offset + doc->size;
    if (count) qsort(tensors, count, sizeof *tensors, by_place);
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].offset < at)
            return FORMAT_ERROR(error, doc, tensors[i].offset, "tensor '%s' overlaps tensor '%s'",
                                nm_show(tensors[i].name).text, nm_show(tensors[i - 1].name).text);
        if (tensors[i].offset > at)
            return FORMAT_ERROR(error, doc, at, "%" PRIu64 " bytes before tensor '%s' belong to no tensor",
                                tensors[i].offset - at, nm_show(tensors[i].name).text);
        at += tensors[i].bytes;
    }
    if (at != end) return FORMAT_ERROR(error, doc, at, "%" PRIu64 " bytes at the end belong to no tensor", end - at);
    return NM_OK;
}

static nm_status parse_entries(nm_safetensors *file, uint32_t index, const document *doc, nm_error *error) {
    const size_t first = file->tensor_count;
    const cJSON *metadata = NULL;
    for (const cJSON *entry = doc->json->child; entry; entry = entry->next) {
        nm_status status = NM_OK;
        if (strcmp(entry->string, NM_SAFETENSORS_METADATA) != 0)
            status = parse_tensor(file, index, doc, entry, error);
        else if (metadata)
            status = FORMAT_ERROR(error, doc, doc->offset, "there are two '" NM_SAFETENSORS_METADATA "'");
        else
            status = parse_metadata(file, index, doc, metadata = entry, error);
        if (status != NM_OK) return status;
    }
    return check_tiling(doc, file->tensors ? file->tensors + first : NULL, file->tensor_count - first,
                        file->sources[index].size, error);
}

nm_status nm_safetensors_parse(nm_safetensors *file, uint32_t index, nm_error *error) {
    const nm_safetensors_source *source = &file->sources[index];
    uint64_t length = 0;
    if (source->size < LENGTH_BYTES)
        return NM_ERROR_AT(error, NM_E_FORMAT, source->path, 0, 0, "%" PRIu64 " bytes are no safetensors file",
                           source->size);
    nm_status status = nm_safetensors_source_read(source, 0, &length, LENGTH_BYTES, error);
    if (status != NM_OK) return status;
    if (length > NM_SAFETENSORS_MAX_HEADER)
        return NM_ERROR_AT(error, NM_E_FORMAT, source->path, 0, 0,
                           "a header of %" PRIu64 " bytes, over the format's limit of %u: is this a safetensors file?",
                           length, NM_SAFETENSORS_MAX_HEADER);
    if (length > source->size - LENGTH_BYTES)
        return NM_ERROR_AT(error, NM_E_FORMAT, source->path, 0, 0,
                           "a header of %" PRIu64 " bytes in a file of %" PRIu64, length, source->size);
    document doc;
    status = document_read(source, LENGTH_BYTES, length, "header", &doc, error);
    if (status == NM_OK) status = parse_entries(file, index, &doc, error);
    document_release(&doc);
    return status;
}

// index ---------------------------------------------------------------------------------------------------------------

int nm_safetensors_is_index(const nm_safetensors_source *source) {
    // Eight bytes of JSON text are all over 0x08, which makes a length over 5e17.
    uint64_t length = 0;
    if (source->size < LENGTH_BYTES || nm_safetensors_source_read(source, 0, &length, LENGTH_BYTES, NULL) != NM_OK)
        return 0;
    return length > NM_SAFETENSORS_MAX_HEADER && (length & 0xff) == '{';
}

/// A plain name in the index's own folder: an index must not make the reader open other places.
static int is_plain_name(const char *name) {
    return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int by_tensor(const void *a, const void *b) {
    return strcmp(((const nm_shard_entry *)a)->tensor, ((const nm_shard_entry *)b)->tensor);
}

static nm_status fill_shard_index(const document *doc, const cJSON *map, nm_arena *arena, nm_shard_entry *entries,
                                  size_t *count, nm_error *error) {
    *count = 0;
    for (const cJSON *item = map->child; item; item = item->next) {
        if (!cJSON_IsString(item) || !is_plain_name(item->valuestring))
            return FORMAT_ERROR(error, doc, 0, "the weight_map names no file beside the index for tensor '%s'",
                                nm_show(item->string).text);
        nm_shard_entry entry = {nm_arena_strndup(arena, item->string, strlen(item->string)),
                                nm_arena_strndup(arena, item->valuestring, strlen(item->valuestring))};
        if (!entry.tensor || !entry.file)
            return NM_ERROR_AT(error, NM_E_MEMORY, doc->path, 0, -1, "out of memory for the weight_map");
        entries[(*count)++] = entry;
    }
    qsort(entries, *count, sizeof *entries, by_tensor);
    for (size_t i = 1; i < *count; i++)
        if (strcmp(entries[i - 1].tensor, entries[i].tensor) == 0)
            return FORMAT_ERROR(error, doc, 0, "the weight_map has tensor '%s' twice", nm_show(entries[i].tensor).text);
    return NM_OK;
}

nm_status nm_shard_index_parse(const nm_safetensors_source *source, nm_arena *arena, nm_shard_entry **entries,
                               size_t *count, nm_error *error) {
    *entries = NULL;
    *count = 0;
    if (source->size > NM_SAFETENSORS_MAX_HEADER)
        return NM_ERROR_AT(error, NM_E_FORMAT, source->path, 0, 0,
                           "an index of %" PRIu64 " bytes, over the limit of %u", source->size,
                           NM_SAFETENSORS_MAX_HEADER);
    document doc;
    nm_status status = document_read(source, 0, source->size, "index", &doc, error);
    const cJSON *map = status == NM_OK ? cJSON_GetObjectItemCaseSensitive(doc.json, "weight_map") : NULL;
    if (status == NM_OK && (!cJSON_IsObject(map) || !map->child))
        status = FORMAT_ERROR(error, &doc, 0, "the index has no 'weight_map' with tensors");
    if (status == NM_OK) {
        nm_shard_entry *table = malloc((size_t)cJSON_GetArraySize(map) * sizeof *table);
        if (table)
            status = fill_shard_index(&doc, map, arena, table, count, error);
        else
            status = NM_ERROR_AT(error, NM_E_MEMORY, doc.path, 0, -1, "out of memory for the weight_map");
        if (status == NM_OK)
            *entries = table;
        else
            free(table);
    }
    document_release(&doc);
    return status;
}
