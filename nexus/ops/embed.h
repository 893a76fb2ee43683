/// Inputs of the network: channels put together, sinusoids, and tables of embeddings added to rows.
#ifndef NM_NEXUS_OPS_EMBED_H
#define NM_NEXUS_OPS_EMBED_H

#include "nexus/ops/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/// out[n] = known[n] * mask[n] | mask[n] | noised[n] | condition[n]: the published input (nexus-core 3), C channels
/// each and K conditions (K may be 0: condition absent). The output has 3 C + K columns, or more: the rest is zeroed.
typedef struct nm_assemble {
    nm_tensor known, mask, noised; ///< [N][C] stream type
    nm_tensor condition;           ///< [N][K] stream type, or absent
    nm_tensor out;                 ///< [out, N x >= 3 C + K] compute or stream type
} nm_assemble;
typedef void nm_assemble_forward(nm_backend *backend, const nm_assemble *op);

/// out[n][i] = cos(value[n] f_i), out[n][i + F] = sin(value[n] f_i), f_i = 10000^(-i / F), i < F = cols / 2.
/// value [N][1] F32 (F64 reference), out [out, N x 2 F] compute or stream type.
typedef void nm_sinusoid_forward(nm_backend *backend, nm_tensor value, nm_tensor out);

/// x[n] += table_a[index_a[n]] + table_b[index_b[n]]. The inverse lists say which rows use an entry, in rising order:
/// rows_a[offsets_a[e] .. offsets_a[e + 1]); gradients are summed in that order.
typedef struct nm_lookup {
    nm_tensor table;         ///< [E][C] stream type
    const uint32_t *index;   ///< [N] backend memory, each < E
    const uint32_t *offsets; ///< [E + 1] backend memory
    const uint32_t *rows;    ///< [N] backend memory
} nm_lookup;
/// x [in/out, N x C] stream type.
typedef void nm_lookup_forward(nm_backend *backend, const nm_lookup *a, const nm_lookup *b, nm_tensor x);
/// dtable [out, E x C] compute type = sum of dx [N][C] stream type over the rows that use the entry.
typedef void nm_lookup_backward(nm_backend *backend, const nm_lookup *lookup, nm_tensor dx, nm_tensor dtable);

/// x[t E + e] = table[e], t < times: the whole table once per scene (latents). backward: dtable[e] += sum over t of
/// dx[t E + e]. x [out, times E x C], dx stream type; table, dtable [E][C] parameter type.
typedef void nm_repeat_forward(nm_backend *backend, nm_tensor table, uint32_t times, nm_tensor x);
typedef void nm_repeat_backward(nm_backend *backend, nm_tensor dx, uint32_t times, nm_tensor dtable);

#ifdef __cplusplus
}
#endif
#endif
