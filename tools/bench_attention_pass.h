/// Whole passes of the network for `nearmiss bench attention`: full attention, blocks and factored.
#ifndef NM_TOOLS_BENCH_ATTENTION_PASS_H
#define NM_TOOLS_BENCH_ATTENTION_PASS_H

#include "nexus/network.h"
#include "tools/cli.h"

/// One scene, and what a pass is told of it. Owned by whoever filled it.
typedef struct nm_bench_crowd {
    nm_token_scene scene;
    uint32_t tokens; ///< that are valid
    nm_pass_input input;
} nm_bench_crowd;

/// One pass. v [out, tokens x C].
typedef struct nm_bench_passed {
    double ms, flops;
    float *v;
} nm_bench_passed;
/// Of a pass that has been made for the model as it is: run `warm_ups` times before it is timed once.
nm_status nm_bench_run_pass(nm_model *model, const nm_bench_crowd *crowd, int warm_ups, nm_bench_passed *passed,
                            nm_error *error);
/// Root of the mean squares of the difference, over that of `exact`, in `count` values.
double nm_bench_distance(const float *v, const float *exact, size_t count);

/// The shipped network's shape with the three kinds of attention, on the tokens of nm_bench_place_tokens: rows
/// "pass.KIND_ms.N" and the like. Blocks of `target` tokens at `tau`. Full attention of more than `most` tokens is left
/// out.
nm_status nm_bench_passes(nm_bench *bench, const nm_common *common, const nm_block_token *tokens, uint32_t count,
                          uint32_t target, float tau, uint32_t most, nm_error *error);

/// A trained network with joint attention on a minute of a crowded junction, as it was trained and with blocks at
/// several tau: rows "trained.full_ms.N" and the like. NM_E_ARGUMENT for weights with factored attention.
nm_status nm_bench_trained_passes(nm_bench *bench, nm_backend *backend, const char *weights, nm_error *error);

#endif
