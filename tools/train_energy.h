/// `nearmiss train --energy MODEL`.
#ifndef NM_TOOLS_TRAIN_ENERGY_H
#define NM_TOOLS_TRAIN_ENERGY_H

#include "tools/cli.h"

/// Trains an energy for the weights at `model` (or "shipped") as the file `config` says, into `out`/energy.safetensors;
/// the exit status.
int nm_train_energy(const nm_command *command, const nm_common *common, const char *model, const char *config,
                    const char *out);

#endif
