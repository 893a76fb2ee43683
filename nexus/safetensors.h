/// Weights files in the safetensors format, read and written.
///
/// One file, byte by byte (https://huggingface.co/docs/safetensors, "Format"):
///   8 bytes      N, the length of the header, unsigned, little-endian, at most 100,000,000
///   N bytes      header: one JSON object in UTF-8 that begins with '{' and may end in spaces
///                  "NAME": {"dtype": TYPE, "shape": [..], "data_offsets": [BEGIN, END]}   one for each tensor
///                  "__metadata__": {"KEY": "VALUE", ..}                                    optional, texts only
///   the rest     data: offsets count from here; row-major, little-endian, every byte belongs to exactly one tensor
///
/// Large sets are cut into several files (shards) beside an index "NAME.safetensors.index.json", as Hugging Face does:
/// {"metadata": {"total_size": BYTES}, "weight_map": {"TENSOR": "FILE", ..}}.
///
/// A file is hostile: everything is checked when it is opened, and it is refused whole.
#ifndef NM_NEXUS_SAFETENSORS_H
#define NM_NEXUS_SAFETENSORS_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_SAFETENSORS_MAX_RANK 8
#define NM_SAFETENSORS_MAX_HEADER 100000000u ///< bytes; the format's own limit
#define NM_SAFETENSORS_MAX_FILES 512         ///< shards of one set, all held open

/// How elements are stored. The names in files are those behind NM_STORED_.
typedef enum nm_stored_type {
    NM_STORED_BOOL = 0, ///< one byte, 0 or 1
    NM_STORED_U8,
    NM_STORED_I8,
    NM_STORED_U16,
    NM_STORED_I16,
    NM_STORED_U32,
    NM_STORED_I32,
    NM_STORED_U64,
    NM_STORED_I64,
    NM_STORED_F16,  ///< IEEE 754 binary16
    NM_STORED_BF16, ///< the upper half of a binary32
    NM_STORED_F32,
    NM_STORED_F64,
    NM_STORED_TYPE_COUNT
} nm_stored_type;

NM_API const char *nm_stored_type_name(nm_stored_type type); ///< such as "BF16"; never NULL
NM_API size_t nm_stored_type_size(nm_stored_type type);      ///< bytes of an element: 1, 2, 4 or 8

/// One tensor of an open set. Rank 0 is a scalar: one element.
typedef struct nm_stored_tensor {
    const char *name; ///< UTF-8; lives as long as the set
    nm_stored_type type;
    uint32_t rank; ///< at most NM_SAFETENSORS_MAX_RANK
    uint64_t shape[NM_SAFETENSORS_MAX_RANK];
    uint64_t elements; ///< the product of the shape
    uint64_t bytes;    ///< elements times the size of the type
    uint64_t offset;   ///< of the first byte, from the beginning of the file
    uint32_t file;     ///< which file of the set, from 0
} nm_stored_tensor;

/// An open file or set of shards. Constant after opening: any number of threads may read from it at once.
typedef struct nm_safetensors nm_safetensors;

// Reading -------------------------------------------------------------------------------------------------------------

/// Opens `path`: a file; an index of shards, told from a file by its content; a folder with one of "model.safetensors"
/// and "model.safetensors.index.json"; or a name to which ".index.json" must be added, so that what
/// nm_safetensors_write made is found under the path it was given. Nothing but headers is read, and the files stay
/// open.
///
/// Refused with NM_E_FORMAT, naming file, tensor and offset: a header longer than its file or the limit, not UTF-8,
/// with a zero character, not JSON, not of the types above, with an unknown element type, with offsets out of range,
/// overlapping or with holes, a size that is not shape times type, a product that overflows, a rank over the maximum, a
/// name used twice (in one file or in two), metadata that two shards state differently, an index that names files
/// outside its folder or does not agree with them. NM_E_NOT_FOUND: there is no such file. NM_E_IO: it can not be read
/// or is no plain file. NM_E_LIMIT: a header of more than 4 million JSON values, more than NM_SAFETENSORS_MAX_FILES
/// shards. NM_E_ARGUMENT: a folder with both names.
///
/// Open from one thread at a time: cJSON keeps its last error in a global variable.
///
/// file   [out] release with nm_safetensors_close; NULL on failure
NM_API nm_status nm_safetensors_open(const char *path, nm_safetensors **file, nm_error *error);
/// The same for files listed one by one, without an index.
NM_API nm_status nm_safetensors_open_list(const char *const *paths, size_t count, nm_safetensors **file,
                                          nm_error *error);
/// The same for one file in memory. `bytes` are borrowed until the set is closed; `name` stands for it in messages.
NM_API nm_status nm_safetensors_open_memory(const char *name, const void *bytes, size_t size, nm_safetensors **file,
                                            nm_error *error);
NM_API void nm_safetensors_close(nm_safetensors *file); ///< NULL is fine

NM_API size_t nm_safetensors_count(const nm_safetensors *file);
/// Tensor `index` in the order of names (bytes compared), index < count.
NM_API const nm_stored_tensor *nm_safetensors_at(const nm_safetensors *file, size_t index);
NM_API const nm_stored_tensor *nm_safetensors_find(const nm_safetensors *file, const char *name); ///< NULL: not there

/// The metadata of all files together, in the order of keys.
NM_API size_t nm_safetensors_metadata_count(const nm_safetensors *file);
NM_API void nm_safetensors_metadata_at(const nm_safetensors *file, size_t index, const char **key, const char **value);
NM_API const char *nm_safetensors_metadata(const nm_safetensors *file, const char *key); ///< NULL: not there
/// The same as a number. NM_E_FORMAT, naming the key, when it is missing, not a plain decimal number, or outside
/// [least, most].
NM_API nm_status nm_safetensors_metadata_number(const nm_safetensors *file, const char *key, int64_t least,
                                                int64_t most, int64_t *value, nm_error *error);

/// Copies the bytes of `tensor`, one of this set's. out [tensor->bytes]. NM_E_IO when the file fails or has become
/// shorter.
NM_API nm_status nm_safetensors_read(const nm_safetensors *file, const nm_stored_tensor *tensor, void *out,
                                     nm_error *error);
/// A hash of what the set says: names, types, shapes and bytes of all tensors, and the metadata, whatever files they
/// lie in. FNV-1a, against mix-ups, not against forgery. NM_E_IO; NM_E_MEMORY: it takes as much as the largest tensor.
NM_API nm_status nm_safetensors_hash(const nm_safetensors *file, uint64_t *hash, nm_error *error);
/// Reads a tensor as float: F32 and wider rounded to nearest even, F16 and BF16 exactly. Allocates nothing.
///
/// shape [rank]   what is expected; rank 0 = a scalar
/// out            [product of shape]; contents undefined on failure
/// NM_E_NOT_FOUND: no such tensor. NM_E_FORMAT: another shape, or stored in a type that is no float. NM_E_NUMERIC: a
/// value that is NaN, infinite or too large for a float; the message names the tensor and the index.
NM_API nm_status nm_safetensors_read_f32(const nm_safetensors *file, const char *name, uint32_t rank,
                                         const uint64_t *shape, float *out, nm_error *error);

/// A tensor that a program wants to find.
typedef struct nm_wanted_tensor {
    const char *name;
    uint32_t rank;
    uint64_t shape[NM_SAFETENSORS_MAX_RANK];
} nm_wanted_tensor;

/// Whether the set holds exactly what is wanted (element types are not looked at). NM_E_FORMAT with one message about
/// all that is missing, not wanted and of another shape: counts, the first names of each, "and N more". NM_E_MEMORY.
/// wanted   distinct names, in any order
NM_API nm_status nm_safetensors_match(const nm_safetensors *file, const nm_wanted_tensor *wanted, size_t count,
                                      nm_error *error);

// Writing -------------------------------------------------------------------------------------------------------------

typedef struct nm_safetensors_item {
    const char *name; ///< UTF-8, not "__metadata__"
    nm_stored_type type;
    uint32_t rank;
    uint64_t shape[NM_SAFETENSORS_MAX_RANK];
    const void *data; ///< row-major, as many bytes as shape and type say; NULL only when that is 0
} nm_safetensors_item;

typedef struct nm_safetensors_text {
    const char *key, *value; ///< UTF-8
} nm_safetensors_text;

typedef struct nm_safetensors_config {
    const nm_safetensors_text *metadata; ///< [metadata_count], distinct keys; nullable when there is none
    size_t metadata_count;               ///< default 0
    uint64_t shard_bytes; ///< most bytes of tensor data in one file; a larger tensor gets a file of its own;
                          ///< 0 (the default) = everything in one file
} nm_safetensors_config;
NM_API nm_safetensors_config nm_safetensors_config_default(void);

/// The bytes of a file with all items (shard_bytes is not looked at). The same set gives the same bytes in whatever
/// order it comes: metadata by key, tensors by element size (wide first) and then name, data beginning at a multiple of
/// 8, so that every element is aligned in a mapped file.
///
/// buffer, capacity   filled when large enough; NULL, 0 to ask for the size
/// size               [out] bytes needed
/// NM_E_ARGUMENT: a name or key that is used twice or is not UTF-8, a shape that overflows. NM_E_LIMIT: a header over
/// the format's limit. NM_E_MEMORY.
NM_API nm_status nm_safetensors_encode(const nm_safetensors_item *items, size_t count,
                                       const nm_safetensors_config *config, void *buffer, size_t capacity, size_t *size,
                                       nm_error *error);

/// Writes the items to `path`, which should end in ".safetensors", replacing what is there. With more than shard_bytes
/// of data, "STEM-00001-of-00003.safetensors", ... and "PATH.index.json" are written instead (tensors by name, files
/// filled in that order, the metadata in each), and a file at `path` is removed.
///
/// Files are written under temporary names, flushed to the disk and then renamed. A failure before the renaming leaves
/// everything as it was; one during it leaves whole files only and, with shards, no index until all of them are there:
/// never a set that mixes old and new. Errors as above, and NM_E_IO, also when `path` is a folder.
NM_API nm_status nm_safetensors_write(const char *path, const nm_safetensors_item *items, size_t count,
                                      const nm_safetensors_config *config, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
