/// Tokens for `nearmiss bench attention`: agents of a scene at 2 Hz, and queries, keys and values that know where and
/// when their token is.
#ifndef NM_TOOLS_BENCH_ATTENTION_TOKENS_H
#define NM_TOOLS_BENCH_ATTENTION_TOKENS_H

#include "nexus/ops/block_attention.h"
#include "sim/scene.h"

/// Heads and columns of the published configuration.
enum { NM_BENCH_HEADS = 4, NM_BENCH_DEPTH = 64, NM_BENCH_WIDTH = NM_BENCH_HEADS * NM_BENCH_DEPTH };

/// The first `count` tokens of the scene at 2 Hz, repeated beside and after itself: up to two minutes in one place,
/// then the next place, mirrored every other time. NM_E_NOT_FOUND for a scene without a state.
nm_status nm_bench_place_tokens(const nm_scene *scene, uint32_t count, nm_block_token *tokens, nm_error *error);

typedef enum nm_bench_tokens_part { NM_BENCH_QUERIES = 0, NM_BENCH_KEYS, NM_BENCH_VALUES } nm_bench_tokens_part;

/// values [count][NM_BENCH_WIDTH]. A query and a key of one head have a dot product, over sqrt(D), of `peak` at the
/// same place and time, which falls off with distance like a Gaussian (random Fourier features, Rahimi and Recht 2007):
/// over 15 m and 1 s in head 0, 40 m and 3 s in head 1, 100 m and 10 s in head 2, 40 m whenever in head 3. 64 features
/// make it rough, and noise is added to each, 0.3 of it. Values are half such features of head 1, half noise.
void nm_bench_fill_tokens(const nm_block_token *tokens, uint32_t count, nm_bench_tokens_part part, float peak,
                          float *values);

#endif
