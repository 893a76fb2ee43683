/// The scenes that corner cases take roads and traffic from.
#ifndef NM_TOOLS_CMD_GENERATE_SOURCES_H
#define NM_TOOLS_CMD_GENERATE_SOURCES_H

#include "tools/cmd_generate_mix.h"

typedef struct nm_case_sources {
    const nm_scene **scenes; ///< [count] at time steps of 0.1 s, in an order that depends on what they are alone
    double *weights;         ///< [count] their sum is 1
    size_t count, capacity;
    uint64_t unreadable; ///< scenes of stores that were left out, and named on standard error
    uint64_t hash;       ///< of all of it
} nm_case_sources;

/// What the mix asks for. Of a store that many scenes that no generator made, drawn by the seed, one from each of as
/// many parts of the store; a scene that cannot be read gives way to the next of its part. NM_E_NOT_FOUND when a store
/// has no such scene; errors of stores and maps. To be closed in any case.
nm_status nm_case_sources_open(const nm_mix *mix, int quiet, nm_case_sources *sources, nm_error *error);
void nm_case_sources_close(nm_case_sources *sources);

#endif
