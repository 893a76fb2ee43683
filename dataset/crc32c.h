/// CRC-32C (Castagnoli; polynomial 0x1EDC6F41, reflected in and out, initial value and final xor all ones), the
/// checksum of TFRecord files. Pure functions, safe everywhere.
#ifndef NM_DATASET_CRC32C_H
#define NM_DATASET_CRC32C_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The checksum of `size` bytes (nullable when 0). `crc` is that of the bytes before them, 0 to begin:
/// crc(a b) = nm_crc32c(nm_crc32c(0, a), b). Uses the processor's CRC instruction where it has one.
NM_API uint32_t nm_crc32c(uint32_t crc, const void *bytes, size_t size);
/// The same value, computed with tables on any processor: the specification of the above.
NM_API uint32_t nm_crc32c_portable(uint32_t crc, const void *bytes, size_t size);

/// TFRecord stores checksums masked, so that a checksum of data that hold checksums stays meaningful.
NM_API uint32_t nm_crc32c_mask(uint32_t crc);
NM_API uint32_t nm_crc32c_unmask(uint32_t masked);

#ifdef __cplusplus
}
#endif
#endif
