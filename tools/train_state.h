/// The checkpoint of a run: DIR/state.safetensors or DIR/state2.safetensors, each perhaps in shards with an index.
///
/// A set of several files can not be replaced at one stroke. So a checkpoint is written under the name that the last
/// one does not have, and only when it is complete and on the disk the last one goes: a run that is killed at any
/// moment, or finds its disk full, has a whole checkpoint. Where both are there the later one counts.
///
/// One process at a time for a folder (train_log.h has the lock).
#ifndef NM_TOOLS_TRAIN_STATE_H
#define NM_TOOLS_TRAIN_STATE_H

#include "nexus/optimizer.h"

/// 1 = there is a checkpoint, good or not.
int nm_train_state_exists(const char *folder);
/// Reads the later one. slot [out]: which it was, for nm_train_state_save. NM_E_NOT_FOUND; what nm_optimizer_load
/// refuses: a checkpoint that is damaged is never passed over in silence.
nm_status nm_train_state_load(const char *folder, nm_optimizer *optimizer, int *slot, nm_error *error);
/// Writes the other one, then removes the last. slot: that of the last, -1 = none; renewed. NM_E_IO and others: the
/// last checkpoint is still there.
nm_status nm_train_state_save(const char *folder, const nm_optimizer *optimizer, size_t shard_bytes, int *slot,
                              nm_error *error);
/// Removes what processes that were killed while writing left behind of checkpoints and weights.
void nm_train_state_sweep(const char *folder);

#endif
