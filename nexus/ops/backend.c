#include "nexus/ops/ops.h"

nm_backend_config nm_backend_config_default(void) {
    return (nm_backend_config){
        .threads = 0, .compute = NM_BF16, .device = 0, .gemm = NM_GEMM_AUTO, .isa = NM_CPU_ISA_AUTO};
}

void nm_backend_destroy(nm_backend *backend) {
    if (backend) backend->destroy(backend);
}
