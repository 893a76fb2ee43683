/// Road networks as sources of corner cases: scenes that hold a map and nobody on it, such as OpenDRIVE files give.
/// They get the traffic that built-in maps have.
#ifndef NM_SCENARIOS_NETWORK_H
#define NM_SCENARIOS_NETWORK_H

#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_NETWORK_DENSITY 15.0 ///< vehicles a km of lane: room for manoeuvres

/// 1 when the scene has roads and nobody on them.
static inline int nm_is_network(const nm_scene *scene) {
    return scene->track_count == 0 && scene->map->lane_count > 0;
}

/// Traffic on the network, as nm_spawn_traffic has it. The parameters of the scene's provenance name the network by its
/// content. NM_E_ARGUMENT when no lane has room for a vehicle.
NM_API nm_status nm_network_traffic(const nm_scene *network, uint64_t seed, const nm_scene **scene, nm_error *error);

/// Reads the parameters of a corner case whose parent is traffic on a network: the hash of the network's scene and the
/// seed of the traffic. Returns 0 when they say nothing of the kind.
NM_API int nm_network_of_case(const char *parameters, uint64_t *network, uint64_t *seed);

#ifdef __cplusplus
}
#endif
#endif
