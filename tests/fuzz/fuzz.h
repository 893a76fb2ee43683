/// What a fuzz target is: a file fuzz_NAME.c with these two functions. It is built twice:
///   replay_NAME   with any compiler, driven by driver.c: corpus files, seeds and a few thousand deterministic
///   mutations
///                 of them; CTest runs it as fuzz/NAME
///   fuzz_NAME     with clang and -DNM_FUZZ=ON: a libFuzzer program under AddressSanitizer and UBSan
/// To fuzz from the seeds:  replay_NAME --seeds DIR ; fuzz_NAME DIR
#ifndef NM_TESTS_FUZZ_H
#define NM_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/// Feeds `size` arbitrary bytes to the code under test; `data` is exactly that long, so that a read past the end is
/// seen. Must return 0, leave nothing allocated, and abort() when a promise is broken (not merely on refused input).
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/// Optional (the driver has a weak one that gives none): well-formed inputs to start from, made by code so that the
/// repository holds no binary files. Writes seed number `index` (0, 1, ...) into `buffer` and returns its size, at most
/// `capacity`; 0 = there are no more. More seeds may lie in corpus/NAME/.
size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity);

#endif
