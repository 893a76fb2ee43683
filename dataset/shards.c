/// Reading shards. The table of contents is checked whole when a file is opened, so that everything behind it may index
/// without looking; what lies in a section is trusted only after its checksum, and then by the decoders only.
#include "dataset/shards.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataset/crc32c.h"
#include "dataset/shards_private.h"
#include "sim/bytes.h"

typedef struct kept_map {
    const nm_map *map; // NULL: free
    uint32_t index;
    uint64_t used; // clock of the last use
} kept_map;

struct nm_shard {
    char *name;
    const uint8_t *bytes;
    size_t size;
    int mapped; // 1: munmap when closed
    uint32_t map_count, scene_count;
    const uint8_t *maps, *scenes; // the tables
    atomic_uchar *checked;        // [maps, then scenes] 1: the checksum was found good
    int locked;                   // the mutex was made
    pthread_mutex_t lock;         // over what follows
    kept_map kept[NM_SHARD_MAPS];
    uint64_t clock;
};

#define AGAIN "copy the file again, or make it anew with `nearmiss shards`"

nm_shard_label nm_shard_label_default(void) {
    return (nm_shard_label){.weight = 1.0f};
}

// --- the table of contents -------------------------------------------------------------------------------------------

typedef struct section {
    uint64_t offset, size;
    uint32_t crc;
} section;

static section map_section(const nm_shard *shard, uint32_t index) {
    const uint8_t *entry = shard->maps + (size_t)NM_SHARD_MAP_ENTRY * index;
    return (section){nm_load64(entry + 8), nm_load64(entry + 16), nm_load32(entry + 24)};
}
static uint64_t map_hash(const nm_shard *shard, uint32_t index) {
    return nm_load64(shard->maps + (size_t)NM_SHARD_MAP_ENTRY * index);
}
static section scene_section(const nm_shard *shard, uint32_t index) {
    const uint8_t *entry = shard->scenes + (size_t)NM_SHARD_SCENE_ENTRY * index;
    return (section){nm_load64(entry), nm_load64(entry + 8), nm_load32(entry + 32)};
}

nm_shard_entry nm_shard_scene_entry(const nm_shard *shard, uint32_t index) {
    NM_ASSERT(index < shard->scene_count);
    const uint8_t *entry = shard->scenes + (size_t)NM_SHARD_SCENE_ENTRY * index;
    const uint32_t weight = nm_load32(entry + 48);
    nm_shard_entry out = {.label = {.source = (int64_t)nm_load64(entry + 24),
                                    .group = nm_load64(entry + 56),
                                    .tags = nm_load32(entry + 52)},
                          .hash = nm_load64(entry + 16),
                          .bytes = nm_load64(entry + 8),
                          .map = nm_load32(entry + 36),
                          .step_count = nm_load32(entry + 40),
                          .track_count = nm_load32(entry + 44)};
    memcpy(&out.label.weight, &weight, sizeof weight);
    return out;
}

static nm_status broken(const nm_shard *shard, uint64_t offset, nm_error *error, const char *what) {
    return NM_ERROR_AT(error, NM_E_FORMAT, shard->name, 0, (int64_t)offset, "%s: " AGAIN, what);
}

static nm_status check_version(const nm_shard *shard, nm_error *error) {
    if (shard->size < 8 || memcmp(shard->bytes, NM_SHARD_MAGIC, 8) != 0)
        return NM_ERROR_AT(error, NM_E_FORMAT, shard->name, 0, 0,
                           "this is not a shard; `nearmiss shards` makes them from a store");
    if (shard->size < NM_SHARD_HEADER) return broken(shard, shard->size, error, "the shard is cut off in its header");
    const uint32_t version = nm_load32(shard->bytes + NM_SHARD_AT_VERSION);
    if (version != NM_SHARD_VERSION)
        return NM_ERROR_AT(error, version > NM_SHARD_VERSION ? NM_E_VERSION : NM_E_FORMAT, shard->name, 0,
                           NM_SHARD_AT_VERSION,
                           "the shard is of version %" PRIu32
                           ", this program reads version %u: use the nearmiss that made it, or make it anew with "
                           "`nearmiss shards`",
                           version, NM_SHARD_VERSION);
    return NM_OK;
}

/// The header, and that the table of contents is where it says and sound.
static nm_status check_header(nm_shard *shard, nm_error *error) {
    nm_status status = check_version(shard, error);
    if (status != NM_OK) return status;
    const uint8_t *header = shard->bytes;
    if (nm_load32(header + NM_SHARD_AT_HEADER_CRC) != nm_crc32c(0, header, NM_SHARD_AT_HEADER_CRC))
        return broken(shard, 0, error, "the header does not match its checksum");
    const uint64_t size = nm_load64(header + NM_SHARD_AT_FILE_SIZE);
    if (size != shard->size)
        return NM_ERROR_AT(error, NM_E_FORMAT, shard->name, 0, (int64_t)shard->size,
                           "the shard is %s: it has %zu bytes and should have %" PRIu64 ": " AGAIN,
                           size > shard->size ? "cut off" : "followed by something else", shard->size, size);
    const uint64_t contents = nm_load64(header + NM_SHARD_AT_CONTENTS);
    shard->map_count = nm_load32(header + NM_SHARD_AT_MAPS);
    shard->scene_count = nm_load32(header + NM_SHARD_AT_SCENES);
    const uint64_t tables = (uint64_t)NM_SHARD_MAP_ENTRY * shard->map_count +
                            (uint64_t)NM_SHARD_SCENE_ENTRY * shard->scene_count; // below 2^39
    if (nm_load32(header + NM_SHARD_AT_HEADER_SIZE) != NM_SHARD_HEADER || shard->map_count == 0 ||
        shard->scene_count == 0 || contents < NM_SHARD_HEADER || contents % NM_SHARD_ALIGN || contents > size ||
        size - contents != nm_shard_padded(tables))
        return broken(shard, NM_SHARD_AT_CONTENTS, error, "the counts of the header do not fit the file");
    const uint32_t number = nm_load32(header + NM_SHARD_AT_NUMBER), count = nm_load32(header + NM_SHARD_AT_COUNT);
    if (number >= count) return broken(shard, NM_SHARD_AT_NUMBER, error, "the shard is of no set");
    shard->maps = shard->bytes + contents;
    shard->scenes = shard->maps + (size_t)NM_SHARD_MAP_ENTRY * shard->map_count;
    if (nm_crc32c(0, shard->maps, (size_t)(size - contents)) != nm_load32(header + NM_SHARD_AT_CONTENTS_CRC))
        return broken(shard, contents, error, "the table of contents does not match its checksum");
    return NM_OK;
}

/// Walks through the file: each section begins where the one before ended, so none overlap and none is left out.
static nm_status check_sections(const nm_shard *shard, nm_error *error) {
    const uint64_t end = (uint64_t)(shard->maps - shard->bytes);
    uint64_t at = NM_SHARD_HEADER;
    uint32_t map = 0, scene = 0;
    while (map < shard->map_count || scene < shard->scene_count) {
        section next = {0};
        uint64_t entry = end; // where it is said, for the message
        if (map < shard->map_count) {
            next = map_section(shard, map);
            entry = end + (uint64_t)NM_SHARD_MAP_ENTRY * map + 8;
        }
        if (map < shard->map_count && next.offset == at) {
            map++;
        } else if (scene < shard->scene_count) {
            next = scene_section(shard, scene);
            entry = (uint64_t)(shard->scenes - shard->bytes) + (uint64_t)NM_SHARD_SCENE_ENTRY * scene;
            scene++;
        }
        if (next.offset != at || next.size == 0 || next.size > end - at) // the end is aligned: so is what is left
            return NM_ERROR_AT(error, NM_E_FORMAT, shard->name, 0, (int64_t)entry,
                               "a section of %" PRIu64 " bytes at %" PRIu64
                               " overlaps others or leaves a gap; it should begin at %" PRIu64 ": " AGAIN,
                               next.size, next.offset, at);
        at += nm_shard_padded(next.size);
    }
    return at == end ? NM_OK : broken(shard, at, error, "there are bytes that belong to no section");
}

static nm_status check_entries(const nm_shard *shard, nm_error *error) {
    for (uint32_t i = 0; i < shard->map_count; i++) {
        const uint8_t *entry = shard->maps + (size_t)NM_SHARD_MAP_ENTRY * i;
        if (nm_load32(entry + 28) != 0)
            return broken(shard, (uint64_t)(entry - shard->bytes) + 28, error, "the entry of a map makes no sense");
    }
    for (uint32_t i = 0; i < shard->scene_count; i++) {
        const nm_shard_entry entry = nm_shard_scene_entry(shard, i);
        const uint64_t at = (uint64_t)(shard->scenes - shard->bytes) + (uint64_t)NM_SHARD_SCENE_ENTRY * i;
        if (entry.map >= shard->map_count)
            return NM_ERROR_AT(error, NM_E_FORMAT, shard->name, 0, (int64_t)at + 36,
                               "scene %" PRIu32 " is on map %" PRIu32 ", but there are %" PRIu32 ": " AGAIN, i,
                               entry.map, shard->map_count);
        if (!isfinite(entry.label.weight) || entry.label.weight < 0.0f)
            return broken(shard, at + 48, error, "the weight of a scene makes no sense");
    }
    return NM_OK;
}

// --- opening and closing ---------------------------------------------------------------------------------------------

/// Takes over nothing on failure: the caller closes.
static nm_status prepare(nm_shard *shard, unsigned flags, nm_error *error) {
    nm_status status = check_header(shard, error);
    if (status == NM_OK) status = check_sections(shard, error);
    if (status == NM_OK) status = check_entries(shard, error);
    if (status != NM_OK) return status;
    shard->checked = calloc((size_t)shard->map_count + shard->scene_count, sizeof *shard->checked);
    shard->locked = shard->checked && pthread_mutex_init(&shard->lock, NULL) == 0;
    if (!shard->locked) return NM_ERROR_AT(error, NM_E_MEMORY, shard->name, 0, -1, "no memory to open the shard");
    return flags & NM_SHARD_VERIFY ? nm_shard_verify(shard, error) : NM_OK;
}

static nm_shard *create(const char *name, nm_error *error) {
    const size_t length = strlen(name) + 1;
    nm_shard *shard = calloc(1, sizeof *shard);
    if (shard) shard->name = malloc(length);
    if (!shard || !shard->name) {
        free(shard);
        NM_ERROR_AT(error, NM_E_MEMORY, name, 0, -1, "no memory to open the shard");
        return NULL;
    }
    memcpy(shard->name, name, length);
    return shard;
}

static nm_status keep(nm_status status, nm_shard *made, nm_shard **shard) {
    if (status == NM_OK)
        *shard = made;
    else
        nm_shard_close(made);
    return status;
}

nm_status nm_shard_open_memory(const char *name, const void *bytes, size_t size, unsigned flags, nm_shard **shard,
                               nm_error *error) {
    NM_ASSERT(name && shard && (bytes || size == 0));
    *shard = NULL;
    nm_shard *made = create(name, error);
    if (!made) return NM_E_MEMORY;
    made->bytes = bytes;
    made->size = size;
    return keep(prepare(made, flags, error), made, shard);
}

static nm_status map_file(nm_shard *shard, int file, nm_error *error) {
    struct stat about;
    if (fstat(file, &about) != 0)
        return NM_ERROR_AT(error, NM_E_IO, shard->name, 0, -1, "can not be read: %s", strerror(errno));
    if (!S_ISREG(about.st_mode))
        return NM_ERROR_AT(error, NM_E_IO, shard->name, 0, -1, "can not be mapped: it is not a regular file");
    if (about.st_size == 0) return NM_OK; // refused as no shard
    if ((uint64_t)about.st_size > SIZE_MAX)
        return NM_ERROR_AT(error, NM_E_LIMIT, shard->name, 0, -1, "is too large for this machine");
    void *bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED)
        return NM_ERROR_AT(error, errno == ENOMEM ? NM_E_MEMORY : NM_E_IO, shard->name, 0, -1, "can not be mapped: %s",
                           strerror(errno));
    shard->bytes = bytes;
    shard->size = (size_t)about.st_size;
    shard->mapped = 1;
    return NM_OK;
}

nm_status nm_shard_open(const char *path, unsigned flags, nm_shard **shard, nm_error *error) {
    NM_ASSERT(path && shard);
    *shard = NULL;
    nm_shard *made = create(path, error);
    if (!made) return NM_E_MEMORY;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    nm_status status = file < 0 ? NM_ERROR_AT(error, errno == ENOENT ? NM_E_NOT_FOUND : NM_E_IO, path, 0, -1,
                                              "can not be read: %s", strerror(errno))
                                : map_file(made, file, error);
    if (file >= 0) close(file);
    if (status == NM_OK) status = prepare(made, flags, error);
    return keep(status, made, shard);
}

void nm_shard_close(nm_shard *shard) {
    if (!shard) return;
    for (int i = 0; i < NM_SHARD_MAPS; i++) nm_map_release(shard->kept[i].map);
    if (shard->locked) pthread_mutex_destroy(&shard->lock);
    if (shard->mapped) munmap((void *)(uintptr_t)shard->bytes, shard->size);
    free(shard->checked);
    free(shard->name);
    free(shard);
}

uint32_t nm_shard_scene_count(const nm_shard *shard) {
    return shard->scene_count;
}
uint32_t nm_shard_map_count(const nm_shard *shard) {
    return shard->map_count;
}
void nm_shard_place(const nm_shard *shard, uint32_t *number, uint32_t *count, uint64_t *set) {
    if (number) *number = nm_load32(shard->bytes + NM_SHARD_AT_NUMBER);
    if (count) *count = nm_load32(shard->bytes + NM_SHARD_AT_COUNT);
    if (set) *set = nm_load64(shard->bytes + NM_SHARD_AT_SET);
}

// --- sections --------------------------------------------------------------------------------------------------------

/// The checksum of a section, once. `slot` is its place in `checked`; threads that come together both compute.
static nm_status check_section(nm_shard *shard, section s, size_t slot, const char *what, uint32_t index,
                               nm_error *error) {
    if (atomic_load_explicit(&shard->checked[slot], memory_order_relaxed)) return NM_OK;
    if (nm_crc32c(0, shard->bytes + s.offset, (size_t)nm_shard_padded(s.size)) != s.crc)
        return NM_ERROR_AT(error, NM_E_FORMAT, shard->name, 0, (int64_t)s.offset,
                           "%s %" PRIu32 " does not match its checksum: " AGAIN, what, index);
    atomic_store_explicit(&shard->checked[slot], 1, memory_order_relaxed);
    return NM_OK;
}

static nm_status check_map(nm_shard *shard, uint32_t index, nm_error *error) {
    return check_section(shard, map_section(shard, index), index, "map", index, error);
}
static nm_status check_scene(nm_shard *shard, uint32_t index, nm_error *error) {
    return check_section(shard, scene_section(shard, index), (size_t)shard->map_count + index, "scene", index, error);
}

nm_status nm_shard_verify(nm_shard *shard, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t i = 0; i < shard->map_count && status == NM_OK; i++) status = check_map(shard, i, error);
    for (uint32_t i = 0; i < shard->scene_count && status == NM_OK; i++) status = check_scene(shard, i, error);
    return status;
}

/// Adds to a decoder's complaint where the bytes are.
static nm_status placed(const nm_shard *shard, nm_status status, uint64_t offset, const char *what, uint32_t index,
                        nm_error *error) {
    if (error) {
        char message[sizeof error->message];
        memcpy(message, error->message, sizeof message);
        nm_error_fill_at(error, status, error->raised_in, error->raised_at, shard->name, 0, (int64_t)offset,
                         "%s %" PRIu32 ": %s: " AGAIN, what, index, message);
    }
    return status;
}

/// The map if it is kept, with a reference of the caller's; else NULL.
static const nm_map *kept(nm_shard *shard, uint32_t index) {
    const nm_map *map = NULL;
    pthread_mutex_lock(&shard->lock);
    for (int i = 0; i < NM_SHARD_MAPS && !map; i++) {
        kept_map *slot = &shard->kept[i];
        if (!slot->map || slot->index != index) continue;
        slot->used = ++shard->clock;
        map = nm_map_retain(slot->map);
    }
    pthread_mutex_unlock(&shard->lock);
    return map;
}

/// Keeps a map just decoded. When another thread was faster, its map replaces *map, so that scenes share one.
static void keep_map(nm_shard *shard, uint32_t index, const nm_map **map) {
    const nm_map *unwanted = NULL;
    pthread_mutex_lock(&shard->lock);
    kept_map *slot = &shard->kept[0];
    for (int i = 0; i < NM_SHARD_MAPS; i++) {
        kept_map *one = &shard->kept[i];
        if (one->map && one->index == index) {
            slot = one;
            break;
        }
        if (one->used < slot->used) slot = one;
    }
    if (slot->map && slot->index == index) {
        unwanted = *map;
        *map = nm_map_retain(slot->map);
    } else {
        unwanted = slot->map;
        *slot = (kept_map){.map = nm_map_retain(*map), .index = index};
    }
    slot->used = ++shard->clock;
    pthread_mutex_unlock(&shard->lock);
    nm_map_release(unwanted);
}

/// *map has a reference of the caller's. Decoding happens outside the lock: it takes far longer than the rest.
static nm_status load_map(nm_shard *shard, uint32_t index, const nm_map **map, nm_error *error) {
    *map = kept(shard, index);
    if (*map) return NM_OK;
    const section s = map_section(shard, index);
    nm_status status = check_map(shard, index, error);
    if (status != NM_OK) return status;
    status = nm_map_decode(shard->bytes + s.offset, (size_t)s.size, map, error);
    if (status != NM_OK) return placed(shard, status, s.offset, "map", index, error);
    if ((*map)->hash != map_hash(shard, index)) {
        nm_map_release(*map);
        *map = NULL;
        return NM_ERROR_AT(error, NM_E_FORMAT, shard->name, 0, (int64_t)s.offset,
                           "map %" PRIu32 " is another one than the table of contents says: " AGAIN, index);
    }
    keep_map(shard, index, map);
    return NM_OK;
}

const nm_scene *nm_shard_scene(nm_shard *shard, uint32_t index, nm_error *error) {
    NM_ASSERT(shard && index < shard->scene_count);
    const nm_shard_entry entry = nm_shard_scene_entry(shard, index);
    const section s = scene_section(shard, index);
    const nm_scene *scene = NULL;
    const nm_map *map = NULL;
    nm_status status = check_scene(shard, index, error);
    if (status == NM_OK) status = load_map(shard, entry.map, &map, error);
    if (status != NM_OK) return NULL;
    status = nm_scene_decode(shard->bytes + s.offset, (size_t)s.size, map, &scene, error);
    nm_map_release(map);
    if (status != NM_OK) {
        placed(shard, status, s.offset, "scene", index, error);
        return NULL;
    }
    if (scene->hash == entry.hash && scene->step_count == entry.step_count && scene->track_count == entry.track_count)
        return scene;
    nm_scene_destroy(scene);
    NM_ERROR_AT(error, NM_E_FORMAT, shard->name, 0, (int64_t)s.offset,
                "scene %" PRIu32 " is another one than the table of contents says: " AGAIN, index);
    return NULL;
}
