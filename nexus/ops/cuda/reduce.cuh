/// Sums over rows and over everything, in a fixed order whatever the GPU: two stages, no atomic additions.
#ifndef NM_NEXUS_OPS_CUDA_REDUCE_CUH
#define NM_NEXUS_OPS_CUDA_REDUCE_CUH

#include "nexus/ops/cuda/backend.cuh"

namespace nm_cuda {

/// sums[c] += sum over rows of dy[r][c], and, when x is given, weighted[c] += sum of dy[r][c] n[r][c] with
/// n = (x - statistics[r][0]) statistics[r][1]. sums and weighted [1][cols] F32 or absent. Uses the product scratch.
void add_column_sums(backend *b, nm_tensor dy, nm_tensor x, nm_tensor statistics, nm_tensor sums, nm_tensor weighted);

} // namespace nm_cuda
#endif
