/// What benches of the denoising network share: networks and batches full of random numbers, none zero, and the rate of
/// a large matrix product, which is what they are compared with.
#ifndef NM_TOOLS_BENCH_NETWORK_H
#define NM_TOOLS_BENCH_NETWORK_H

#include "nexus/network.h"
#include "tools/cli.h"

/// Tokens of an agent, and how many of them are history.
enum { NM_BENCH_STEPS = 21, NM_BENCH_HISTORY = 5 };

/// A network in one precision on the device that the command line names.
typedef struct nm_bench_network {
    nm_backend *backend;
    nm_model *model;
} nm_bench_network;
/// Every parameter is random: the first values of a model leave out half of it (adaLN-Zero). Destroy it after a
/// failure, too.
nm_status nm_bench_create_network(nm_bench_network *network, const nm_common *common, const nm_model_config *config,
                                  nm_dtype compute, nm_error *error);
void nm_bench_destroy_network(nm_bench_network *network);

/// Scenes all tokens of which are valid, and what a pass is told of them.
typedef struct nm_bench_batch {
    uint32_t agents, count, tokens, points; ///< points: map rows of a scene
    nm_token_scene *scenes;
    uint8_t *valid;
    float *map;
    uint32_t *map_agent; ///< NULL unless the map is polylines of agents
    float *known, *mask, *noised, *condition, *level, *pose, *v;
} nm_bench_batch;
/// Maps are 128 polylines of 21 points a scene, or 48 polylines an agent. Destroy it after a failure, too.
nm_status nm_bench_create_batch(nm_bench_batch *batch, const nm_model_config *config, uint32_t agents, uint32_t scenes,
                                nm_error *error);
void nm_bench_destroy_batch(nm_bench_batch *batch);
nm_pass_input nm_bench_input(const nm_bench_batch *batch);

/// A number of the standard normal distribution, for every (what, index).
float nm_bench_normal(uint32_t what, size_t index);
/// Sorts values; count > 0.
double nm_bench_median(double *values, size_t count);
/// Best rate of a large product through the same operation: what the backend can reach, FLOP/s.
nm_status nm_bench_matmul_peak(nm_backend *backend, double *peak, nm_error *error);

#endif
