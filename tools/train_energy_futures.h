/// Futures that a model wrote to train an energy on, kept in DIR/futures.bin as they are made: a run that is
/// interrupted goes on where it was, and one that only learns otherwise does not sample again.
///
/// A moment after the other is added at the end, each with a checksum. Whatever a killed process left half-written, and
/// all that lies behind something damaged, is cut off by the next one: those moments are made again, to the same bits.
/// Numbers are those of the machine, which nobody else reads.
#ifndef NM_TOOLS_TRAIN_ENERGY_FUTURES_H
#define NM_TOOLS_TRAIN_ENERGY_FUTURES_H

#include "base/status.h"

/// Whose futures they are: nobody else's are read.
typedef struct nm_energy_futures_key {
    uint64_t model;    ///< of all of it that its futures depend on: parameters, recipe, how the network computes
    uint64_t sampling; ///< of all that says which moments are drawn and how their futures are sampled
} nm_energy_futures_key;

typedef struct nm_energy_futures nm_energy_futures;

/// Opens the file, made if there is none, before its first moment. The folder is there. NM_E_ARGUMENT where it is of
/// another key, NM_E_EXISTS where it is something else: it is left alone. NM_E_BUSY: another process writes it.
/// NM_E_IO, NM_E_MEMORY.
nm_status nm_energy_futures_open(const char *folder, const nm_energy_futures_key *key, nm_energy_futures **file,
                                 nm_error *error);
void nm_energy_futures_close(nm_energy_futures *file); ///< NULL is fine
/// The next moment that is kept. *values [out, *count] borrowed until the next call; *count 0: there is nobody in it.
/// NM_E_NOT_FOUND: none is left, it is to be made and added. NM_E_IO, NM_E_MEMORY.
nm_status nm_energy_futures_next(nm_energy_futures *file, const float **values, size_t *count, nm_error *error);
/// Adds a moment behind the last one; only when none was left. NM_E_IO: it is not there then.
nm_status nm_energy_futures_add(nm_energy_futures *file, const float *values, size_t count, nm_error *error);

#endif
