#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nexus/model_private.h"

nm_status nm_model_hash(const nm_model *m, uint64_t *hash, nm_error *error) {
    float *host = calloc(m->flat_size, sizeof *host);
    if (!host) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the hash of a model");
    m->backend->ops->download(m->backend, m->values, host);
    const nm_status status = m->backend->ops->synchronize(m->backend, error);
    uint64_t sum = 0;
    for (size_t i = 0; status == NM_OK && i < m->parameter_count; ++i) {
        const nm_parameter *p = &m->parameters[i];
        const uint32_t shape[2] = {p->rows, p->cols};
        sum = nm_hash_bytes(p->name, strlen(p->name) + 1, sum);
        sum = nm_hash_bytes(shape, sizeof shape, sum);
        sum = nm_hash_bytes(host + p->offset, (size_t)p->rows * p->cols * sizeof *host, sum);
    }
    free(host);
    if (status == NM_OK) *hash = sum;
    return status;
}
