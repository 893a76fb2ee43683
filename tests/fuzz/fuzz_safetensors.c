/// Weights files from arbitrary bytes: refused with a place, or sound: every tensor lies inside, reads, and the set
/// written again is the same set.
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/safetensors_private.h"

/// No more than the input's bytes as tensors: what is read here is small.
static void check_tensor(const nm_safetensors *file, const nm_stored_tensor *tensor, const uint8_t *data, size_t size) {
    if (tensor->offset > size || tensor->bytes > size - tensor->offset) abort();
    if (nm_safetensors_find(file, tensor->name) != tensor) abort();
    uint8_t *bytes = malloc(tensor->bytes + 1);
    float *values = malloc((tensor->elements + 1) * sizeof *values);
    nm_error error;
    if (!bytes || !values) abort();
    if (nm_safetensors_read(file, tensor, bytes, &error) != NM_OK) abort();
    if (tensor->bytes && memcmp(bytes, data + tensor->offset, tensor->bytes) != 0) abort();
    nm_status status = nm_safetensors_read_f32(file, tensor->name, tensor->rank, tensor->shape, values, &error);
    if (status == NM_OK)
        for (uint64_t i = 0; i < tensor->elements; i++)
            if (!isfinite(values[i])) abort();
    if (status != NM_OK && status != NM_E_NUMERIC && (status != NM_E_FORMAT || tensor->type >= NM_STORED_F16)) abort();
    free(values);
    free(bytes);
}

/// Both hold the same tensors and texts.
static void check_same(const nm_safetensors *a, const nm_safetensors *b) {
    if (nm_safetensors_count(a) != nm_safetensors_count(b)) abort();
    for (size_t i = 0; i < nm_safetensors_count(a); i++) {
        const nm_stored_tensor *x = nm_safetensors_at(a, i), *y = nm_safetensors_at(b, i);
        if (strcmp(x->name, y->name) != 0 || x->type != y->type || x->rank != y->rank || x->bytes != y->bytes) abort();
        if (memcmp(x->shape, y->shape, sizeof x->shape) != 0) abort();
        if (y->offset % nm_stored_type_size(y->type) != 0) abort();
    }
    if (nm_safetensors_metadata_count(a) != nm_safetensors_metadata_count(b)) abort();
    for (size_t i = 0; i < nm_safetensors_metadata_count(a); i++) {
        const char *key, *value, *other = NULL;
        nm_safetensors_metadata_at(a, i, &key, &value);
        other = nm_safetensors_metadata(b, key);
        if (!other || strcmp(value, other) != 0) abort();
    }
}

static void write_again(const nm_safetensors *file, const uint8_t *data) {
    const size_t count = nm_safetensors_count(file), keys = nm_safetensors_metadata_count(file);
    nm_safetensors_item *items = calloc(count + 1, sizeof *items);
    nm_safetensors_text *texts = calloc(keys + 1, sizeof *texts);
    size_t size = 0;
    if (!items || !texts) abort();
    for (size_t i = 0; i < count; i++) {
        const nm_stored_tensor *tensor = nm_safetensors_at(file, i);
        items[i].name = tensor->name;
        items[i].type = tensor->type;
        items[i].rank = tensor->rank;
        memcpy(items[i].shape, tensor->shape, sizeof tensor->shape);
        items[i].data = data + tensor->offset;
    }
    for (size_t i = 0; i < keys; i++) nm_safetensors_metadata_at(file, i, &texts[i].key, &texts[i].value);
    const nm_safetensors_config config = {.metadata = texts, .metadata_count = keys};
    if (nm_safetensors_encode(items, count, &config, NULL, 0, &size, NULL) != NM_OK) abort();
    uint8_t *bytes = malloc(size);
    nm_safetensors *copy = NULL;
    if (!bytes || nm_safetensors_encode(items, count, &config, bytes, size, &size, NULL) != NM_OK) abort();
    if (nm_safetensors_open_memory("copy", bytes, size, &copy, NULL) != NM_OK) abort();
    check_same(file, copy);
    nm_safetensors_close(copy);
    free(bytes);
    free(texts);
    free(items);
}

static void open_bytes(const uint8_t *data, size_t size) {
    nm_safetensors *file = NULL;
    nm_error error;
    nm_status status = nm_safetensors_open_memory("fuzz", data, size, &file, &error);
    if (status != NM_OK) {
        if (file || error.code != status || !error.message[0]) abort();
        if (status == NM_E_FORMAT && (error.offset < 0 || (size_t)error.offset > size)) abort();
        return;
    }
    const nm_wanted_tensor none = {.name = "none"};
    for (size_t i = 0; i < nm_safetensors_count(file); i++) check_tensor(file, nm_safetensors_at(file, i), data, size);
    if (nm_safetensors_match(file, &none, 1, &error) == NM_OK && nm_safetensors_count(file) != 1) abort();
    write_again(file, data);
    nm_safetensors_close(file);
}

/// The JSON text in the input as a header, its length right, and as many bytes of data as the text speaks of: mutations
/// of the text get past the first checks. What is read is refused, or sound.
static void open_fitted(const uint8_t *data, size_t size) {
    size_t begin = 0, end = size, numbers = 0;
    while (begin < size && data[begin] != '{') begin++;
    while (end > begin && data[end - 1] != '}') end--;
    for (size_t i = begin, number = 0; i + 1 < end; i++) {
        number = data[i] >= '0' && data[i] <= '9' ? number % 1000 * 10 + (size_t)(data[i] - '0') : 0;
        if (number > numbers && number <= 256 && data[i + 1] == ']') numbers = number; // an END, if all is well
    }
    const uint64_t length = end - begin;
    uint8_t *file = calloc(1, sizeof length + length + numbers);
    if (!file) abort();
    memcpy(file, &length, sizeof length);
    memcpy(file + sizeof length, data + begin, length);
    open_bytes(file, sizeof length + length + numbers);
    free(file);
}

/// Entries come out sorted, once each, and name files in the index's own folder.
static void open_index(const uint8_t *data, size_t size) {
    const nm_safetensors_source source = {.path = "index", .descriptor = -1, .bytes = data, .size = size};
    nm_arena *arena = nm_arena_create(0);
    nm_shard_entry *entries = NULL;
    size_t count = 0;
    if (!arena) abort();
    if (nm_shard_index_parse(&source, arena, &entries, &count, NULL) == NM_OK) {
        if (count == 0) abort();
        for (size_t i = 0; i < count; i++) {
            if (strchr(entries[i].file, '/') || !strcmp(entries[i].file, "..") || !entries[i].file[0]) abort();
            if (i && strcmp(entries[i - 1].tensor, entries[i].tensor) >= 0) abort();
        }
    } else if (entries) {
        abort();
    }
    free(entries);
    nm_arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    open_bytes(data, size);
    open_fitted(data, size);
    open_index(data, size);
    return 0;
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    static const uint8_t bytes[24] = {0, 60, 0, 188, 1, 0, 255, 251}; // 1, -1, the smallest and the lowest half
    const nm_safetensors_text texts[2] = {{"hidden", "64"}, {"format", "pt"}};
    const nm_safetensors_item items[5] = {
        {"model.latents", NM_STORED_F32, 2, {2, 3}, bytes}, {"model.bias", NM_STORED_F16, 1, {4}, bytes},
        {"empty", NM_STORED_BOOL, 2, {0, 4}, bytes},        {"scalar", NM_STORED_F64, 0, {0}, bytes},
        {"index", NM_STORED_I64, 3, {1, 2, 1}, bytes},
    };
    const nm_safetensors_config config = {.metadata = texts, .metadata_count = index % 3};
    size_t size = 0;
    static const char shards[] = "{\"weight_map\":{\"model.bias\":\"a\",\"scalar\":\"b\",\"empty\":\"a\"}}";
    if (index == 6) return memcpy(buffer, shards, sizeof shards - 1), sizeof shards - 1;
    if (index > 6 || nm_safetensors_encode(items, index, &config, buffer, capacity, &size, NULL) != NM_OK) return 0;
    return size <= capacity ? size : 0;
}
