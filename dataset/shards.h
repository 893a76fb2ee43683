/// Training shards: scenes and their maps in files that are mapped into memory and read at random by many threads.
///
/// A set of shards BASE-00000-of-00003.nmshard, ... holds scenes in the order they were added; each shard has the maps
/// its scenes need and can be read alone. The same scenes in the same order give the same bytes.
///
/// A file, byte by byte, little-endian. Scenes and maps are kept as nm_scene_encode and nm_map_encode make them, so
/// every value is checked as if it came from a store. A layout to be used in place was the alternative: it would be
/// larger (recorded traffic: 81 KB a scene against 58), need its own checks of every value, and save the 0.1 ms that
/// decoding a thousand states takes one thread.
///
///   offset  size  header
///   0       8     magic "nm-shd\n\0"
///   8       4     version, 1
///   12      4     bytes of the header, 64
///   16      8     bytes of the file
///   24      8     offset of the table of contents
///   32      4     maps
///   36      4     scenes, at least 1
///   40      4     number of this shard in its set, from 0
///   44      4     shards in the set
///   48      8     the set's name: hash of the content hashes of all its scenes, in order; tells sets apart
///   56      4     CRC-32C of the table of contents with its padding
///   60      4     CRC-32C of bytes 0 to 59
///
///   sections, each at a multiple of 64, one behind the other without a gap but zeros up to the next multiple:
///   maps and scenes, in each the order of the table, a map before the first scene on it
///   table of contents, the last section:
///   32 each  maps: content hash u64; offset u64; bytes u64; CRC-32C of the section with its padding u32; 0 u32
///   64 each  scenes: offset u64; bytes u64; content hash u64; source i64; CRC-32C of the section with its padding u32;
///            map (index into the table) u32; steps u32; tracks u32; weight f32; tags u32; group u64
///   the file ends with the padding of the table
///
/// So every byte is under a checksum. Version and magic stay where they are in every version to come.
#ifndef NM_DATASET_SHARDS_H
#define NM_DATASET_SHARDS_H

#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_SHARD_VERSION 1u
#define NM_SHARD_ENDING ".nmshard"
#define NM_SHARD_MAPS 8 ///< decoded maps that an open shard keeps, the ones used last

/// What is known about a scene without decoding it, as its maker gave it.
typedef struct nm_shard_label {
    int64_t source; ///< the maker's number of the scene, such as its row in a store; for messages
    uint64_t group; ///< scenes that must stay together when data are split, such as those of one recording
    uint32_t tags;  ///< bits of the maker's choice; `nearmiss shards` sets 1 << nm_kind for each kind of event
    float weight;   ///< how often to draw it, relative to others; finite, >= 0; default 1
} nm_shard_label;
NM_API nm_shard_label nm_shard_label_default(void); ///< source, group and tags 0

// ---------------------------------------------------------------------------------------------------------------------
// Writing. One thread at a time per writer.

typedef struct nm_shard_writer nm_shard_writer;

typedef struct nm_shard_totals {
    uint64_t scenes, bytes; ///< bytes of all files
    uint64_t maps;          ///< sections: a map that several shards need counts in each
    uint32_t shards;
} nm_shard_totals;

/// base   path and beginning of the names; its folder must be there and hold no shard of this base (NM_E_EXISTS)
/// limit  bytes a file may have, at least one scene in each; 0 = one file
/// Files are written beside their places as BASE-00000.PID.part and appear under their names in nm_shard_writer_finish.
NM_API nm_status nm_shard_writer_create(const char *base, uint64_t limit, nm_shard_writer **writer, nm_error *error);
/// label nullable (the default). NM_E_ARGUMENT for a weight that makes no sense; after any other failure the writer is
/// good for nm_shard_writer_abandon only.
NM_API nm_status nm_shard_writer_add(nm_shard_writer *writer, const nm_scene *scene, const nm_shard_label *label,
                                     nm_error *error);
/// Completes, flushes to the disk and renames all files; totals [out, nullable]. NM_E_ARGUMENT when no scene was added.
/// On failure nothing is left behind. Releases the writer in any case. (A process killed between two renames leaves a
/// set that is not complete, which nm_shard_set_open refuses.)
NM_API nm_status nm_shard_writer_finish(nm_shard_writer *writer, nm_shard_totals *totals, nm_error *error);
NM_API void nm_shard_writer_abandon(nm_shard_writer *writer); ///< leaves nothing behind; NULL is fine

// ---------------------------------------------------------------------------------------------------------------------
// Reading. Everything but open and close may be called from several threads at once.

typedef struct nm_shard nm_shard;

typedef struct nm_shard_entry {
    nm_shard_label label;
    uint64_t hash;  ///< of the scene's content
    uint64_t bytes; ///< encoded
    uint32_t map;   ///< number of its map in this shard
    uint32_t step_count, track_count;
} nm_shard_entry;

#define NM_SHARD_VERIFY 1u ///< flag: check all sections when opening, instead of each when it is first read

/// Maps the file and checks header, table of contents, and that sections lie in order without overlap. NM_E_IO,
/// NM_E_FORMAT, NM_E_VERSION or NM_E_MEMORY with the file, the byte and what to do; *shard is NULL then. The file must
/// not be changed or cut while it is open (the writer never does: it renames).
NM_API nm_status nm_shard_open(const char *path, unsigned flags, nm_shard **shard, nm_error *error);
/// The same from memory, which is borrowed and may have any alignment; `name` is for messages and is copied.
NM_API nm_status nm_shard_open_memory(const char *name, const void *bytes, size_t size, unsigned flags,
                                      nm_shard **shard, nm_error *error);
NM_API void nm_shard_close(nm_shard *shard); ///< NULL is fine; scenes taken from it live on

NM_API uint32_t nm_shard_scene_count(const nm_shard *shard);
NM_API uint32_t nm_shard_map_count(const nm_shard *shard);
NM_API nm_shard_entry nm_shard_scene_entry(const nm_shard *shard, uint32_t index); ///< index < scene count
/// Scene `index`, the caller's (nm_scene_destroy); its map is shared with the other scenes on it while the shard keeps
/// it. NULL with `error` filled (NM_E_FORMAT, NM_E_MEMORY) when it is damaged: the others can still be read.
NM_API const nm_scene *nm_shard_scene(nm_shard *shard, uint32_t index, nm_error *error);
/// Checks every section that was not yet. NM_E_FORMAT naming the first bad one.
NM_API nm_status nm_shard_verify(nm_shard *shard, nm_error *error);
/// Place in its set, from the header. All [out, nullable].
NM_API void nm_shard_place(const nm_shard *shard, uint32_t *number, uint32_t *count, uint64_t *set);

/// All shards of a set as one sequence.
typedef struct nm_shard_set nm_shard_set;
/// base as given to the writer. Opens every shard and checks that all are there and of one set. NM_E_NOT_FOUND when
/// there is none.
NM_API nm_status nm_shard_set_open(const char *base, unsigned flags, nm_shard_set **set, nm_error *error);
NM_API void nm_shard_set_close(nm_shard_set *set); ///< NULL is fine
NM_API uint64_t nm_shard_set_scene_count(const nm_shard_set *set);
NM_API uint32_t nm_shard_set_shard_count(const nm_shard_set *set);
NM_API nm_shard_entry nm_shard_set_scene_entry(const nm_shard_set *set, uint64_t index);
NM_API const nm_scene *nm_shard_set_scene(nm_shard_set *set, uint64_t index, nm_error *error); ///< see nm_shard_scene

#ifdef __cplusplus
}
#endif
#endif
