/// Weights that a training run begins with, instead of first values of its own.
#ifndef NM_TOOLS_TRAIN_START_H
#define NM_TOOLS_TRAIN_START_H

#include "tools/train_config.h"

/// Makes the model out of config->start (a file, or "shipped"). It must be the network of the configuration, made for
/// tokens that mean the same, noised in the same way: else NM_E_ARGUMENT naming the keys that differ, with both values.
/// Attention that is full may go on as blocks, and the other way round: the model has the kind of the configuration
/// then. What only says how many agents or polylines there are, or from how far, may differ, and so may blocks: a
/// token's time does not depend on them. Other errors as nm_shipped_model and nm_recipe_load.
nm_status nm_train_start(const nm_train_config *config, nm_backend *backend, nm_model **model, nm_error *error);

#endif
