/// Inside of an energy: private to energy*.c.
#ifndef NM_NEXUS_ENERGY_PRIVATE_H
#define NM_NEXUS_ENERGY_PRIVATE_H

#include "nexus/energy.h"

struct nm_energy {
    uint32_t hidden;
    double *parameters; ///< W1 [H][D] first, then as the layout says
    double scale;
    nm_energy_origin origin;
};

/// Where parts begin among the parameters; W1 at 0.
typedef struct nm_energy_layout {
    size_t row_bias, agent_weight, agent_bias, output, count;
} nm_energy_layout;
nm_energy_layout nm_energy_layout_of(uint32_t hidden);

#endif
