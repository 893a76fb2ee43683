/// Training examples out of the simulator, made when they are asked for: built-in maps, spawned traffic, IDM drivers.
/// A rollout costs less than the training step it feeds, so no disk is needed.
#ifndef NM_SCENARIOS_SIMULATED_EXAMPLES_H
#define NM_SCENARIOS_SIMULATED_EXAMPLES_H

#include "nexus/blocks.h"
#include "nexus/trainer.h"
#include "sim/builtin.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { NM_SIMULATED_MOST_TOKENS = 1200 }; ///< ten minutes

/// Fill with nm_simulated_config_default().
typedef struct nm_simulated_config {
    nm_token_config tokens;
    const char *map; ///< name of a built-in kind, or "all"; default all. Read by the creation only
    uint32_t maps; ///< variants of maps, [1, 1024]: kinds in turn; lanes, widths, speed limits, radii drawn; default 64
    double density; ///< vehicles per km of lane, drawn from 5 to this, [5, 150]; default 40
    double seconds; ///< simulated before the current step at most, drawn from the history's length on, [1, 120];
                    ///< default 15
    float routes;   ///< nm_token_request.routes, where tokens have paths; default 0.5
    uint64_t seed;
    nm_block_config blocks; ///< as in nm_training_set_config; default none
    nm_block_growth growth; ///< likewise
    uint32_t parts;         ///< likewise; times blocks.size at most NM_SIMULATED_MOST_TOKENS: all of it is driven
} nm_simulated_config;
NM_API nm_simulated_config nm_simulated_config_default(nm_token_encoding encoding);

typedef struct nm_simulated_examples nm_simulated_examples;
/// Makes the maps. NM_E_ARGUMENT naming what is out of range; NM_E_MEMORY.
NM_API nm_status nm_simulated_examples_create(const nm_simulated_config *config, nm_simulated_examples **examples,
                                              nm_error *error);
NM_API void nm_simulated_examples_destroy(nm_simulated_examples *examples); ///< NULL is fine
/// Borrowed. Example n is a function of (config, n). Thread-safe.
NM_API nm_example_source nm_simulated_examples_source(nm_simulated_examples *examples);

#ifdef __cplusplus
}
#endif
#endif
