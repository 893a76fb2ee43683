#include "nexus/ops/ops.h"

nm_backend_config nm_backend_config_default(void) {
    return (nm_backend_config){
        .threads = 0, .compute = NM_BF16, .device = 0, .gemm = NM_GEMM_AUTO, .isa = NM_CPU_ISA_AUTO};
}

nm_status nm_backend_create_beside(const nm_backend *backend, int threads, nm_backend **made, nm_error *error) {
    *made = NULL;
    if (!backend->beside)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "there can be no backend beside %.100s", backend->name);
    return backend->beside(backend, threads, made, error);
}

void nm_backend_destroy(nm_backend *backend) {
    if (backend) backend->destroy(backend);
}
