#include "nexus/ops/ops.h"
nm_status nm_backend_create_cuda(const nm_backend_config *config, nm_backend **backend, nm_error *error) {
    NM_ASSERT(config && backend);
    *backend = NULL;
    return NM_ERROR(error, NM_E_UNSUPPORTED, "This program was built without CUDA; use the cpu backend");
}
