/// One number for what a set of tensors says.
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nexus/safetensors.h"

static uint64_t add_text(const char *text, uint64_t hash) {
    return nm_hash_bytes(text, strlen(text) + 1, hash); // the terminator keeps neighbours apart
}

static size_t largest(const nm_safetensors *file) {
    size_t most = 1;
    for (size_t i = 0; i < nm_safetensors_count(file); i++) {
        const uint64_t bytes = nm_safetensors_at(file, i)->bytes;
        if (bytes > most) most = (size_t)bytes;
    }
    return most;
}

nm_status nm_safetensors_hash(const nm_safetensors *file, uint64_t *hash, nm_error *error) {
    NM_ASSERT(file && hash);
    void *bytes = malloc(largest(file));
    if (!bytes) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the hash of a file of weights");
    nm_status status = NM_OK;
    uint64_t sum = 0;
    for (size_t i = 0; status == NM_OK && i < nm_safetensors_count(file); i++) {
        const nm_stored_tensor *tensor = nm_safetensors_at(file, i);
        sum = add_text(tensor->name, sum);
        sum = add_text(nm_stored_type_name(tensor->type), sum);
        sum = nm_hash_bytes(&tensor->rank, sizeof tensor->rank, sum);
        sum = nm_hash_bytes(tensor->shape, tensor->rank * sizeof *tensor->shape, sum);
        status = nm_safetensors_read(file, tensor, bytes, error);
        if (status == NM_OK) sum = nm_hash_bytes(bytes, (size_t)tensor->bytes, sum);
    }
    for (size_t i = 0; i < nm_safetensors_metadata_count(file); i++) {
        const char *key, *value;
        nm_safetensors_metadata_at(file, i, &key, &value);
        sum = add_text(value, add_text(key, sum));
    }
    free(bytes);
    if (status == NM_OK) *hash = sum;
    return status;
}
