/// Writing shards. Files grow section by section under temporary names; what only the end knows (the number of shards,
/// the name of the set) goes into the headers last, and then all files get their names.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataset/crc32c.h"
#include "dataset/shards_private.h"
#include "dataset/tfrecord.h"
#include "sim/bytes.h"

typedef struct buffer {
    uint8_t *bytes;
    size_t used, capacity;
} buffer;

/// A shard whose sections and table of contents are in its file.
typedef struct done_shard {
    uint8_t header[NM_SHARD_HEADER]; // but the set
    int published;                   // has its name
} done_shard;

struct nm_shard_writer {
    char *base;
    size_t base_length;
    char *path; // scratch for names: base_length + 64
    uint64_t limit;
    uint64_t set; // hash of the scenes so far
    int file;     // -1: none is open
    uint64_t size;
    buffer maps, scenes; // tables of the open file
    uint32_t *slots;     // hash table over `maps`: index + 1, 0 = free
    size_t slot_count;   // a power of 2
    buffer scratch;      // a section
    done_shard *done;
    size_t done_count, done_capacity;
    nm_shard_totals totals;
};

#define FIRST_SLOTS 64u

static size_t map_count(const nm_shard_writer *w) {
    return w->maps.used / NM_SHARD_MAP_ENTRY;
}
static size_t scene_count(const nm_shard_writer *w) {
    return w->scenes.used / NM_SHARD_SCENE_ENTRY;
}

/// Room for `more` bytes behind those used; NULL without memory.
static uint8_t *reserve(buffer *b, size_t more) {
    if (more > SIZE_MAX / 4 - b->used) return NULL;
    if (b->used + more > b->capacity) {
        const size_t capacity = (b->used + more) * 2;
        uint8_t *grown = realloc(b->bytes, capacity);
        if (!grown) return NULL;
        b->bytes = grown;
        b->capacity = capacity;
    }
    return b->bytes + b->used;
}

static void put64(uint8_t *to, uint64_t value) {
    nm_store32(to, (uint32_t)value);
    nm_store32(to + 4, (uint32_t)(value >> 32));
}

static nm_status no_memory(const nm_shard_writer *w, nm_error *error) {
    return NM_ERROR_AT(error, NM_E_MEMORY, w->base, 0, -1, "no memory to write shards");
}

// --- names -----------------------------------------------------------------------------------------------------------

static const char *temporary_name(nm_shard_writer *w, size_t number) {
    snprintf(w->path, w->base_length + 64, "%s-%05zu.%ld.part", w->base, number, (long)getpid());
    return w->path;
}

static const char *final_name(nm_shard_writer *w, size_t number) {
    const size_t used = nm_shards_name(w->base, w->base_length, (uint32_t)number, (uint32_t)w->done_count, w->path,
                                       w->base_length + 64);
    memcpy(w->path + used, NM_SHARD_ENDING, sizeof NM_SHARD_ENDING);
    return w->path;
}

static nm_status system_error(const char *path, nm_error *error) {
    const int code = errno ? errno : EIO;
    return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "can not be written: %s", strerror(code));
}

static const char *folder_of(nm_shard_writer *w) {
    const char *slash = strrchr(w->base, '/');
    const size_t length = slash == w->base ? 1 : slash ? (size_t)(slash - w->base) : 0;
    if (!length) return ".";
    memcpy(w->path, w->base, length);
    w->path[length] = '\0';
    return w->path;
}

static nm_status refuse_existing(const nm_shard_writer *w, nm_error *error) {
    uint32_t count;
    nm_error why;
    nm_error_clear(&why);
    const nm_status status = nm_shards_find(w->base, &count, &why);
    if (status == NM_E_NOT_FOUND) return NM_OK;
    if (status == NM_OK || status == NM_E_FORMAT)
        return NM_ERROR_AT(error, NM_E_EXISTS, w->base, 0, -1,
                           "there are shards of this name already: remove them or choose another name");
    if (error) *error = why;
    return status;
}

nm_status nm_shard_writer_create(const char *base, uint64_t limit, nm_shard_writer **writer, nm_error *error) {
    NM_ASSERT(base && writer);
    *writer = NULL;
    const size_t length = strlen(base);
    if (length == 0 || base[length - 1] == '/' || length > 4000)
        return NM_ERROR(error, NM_E_ARGUMENT, "'%.100s' is not the beginning of a file's name", base);
    nm_shard_writer *w = calloc(1, sizeof *w);
    if (!w) return NM_ERROR(error, NM_E_MEMORY, "no memory to write shards");
    *w = (nm_shard_writer){.base = malloc(length + 1),
                           .base_length = length,
                           .path = malloc(length + 64),
                           .limit = limit,
                           .file = -1,
                           .slot_count = FIRST_SLOTS};
    w->slots = calloc(w->slot_count, sizeof *w->slots);
    nm_status status = NM_OK;
    if (!w->base || !w->path || !w->slots) {
        status = NM_ERROR(error, NM_E_MEMORY, "no memory to write shards");
    } else {
        memcpy(w->base, base, length + 1);
        status = refuse_existing(w, error);
    }
    if (status != NM_OK)
        nm_shard_writer_abandon(w);
    else
        *writer = w;
    return status;
}

// --- files -----------------------------------------------------------------------------------------------------------

static int write_all(int file, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        const ssize_t done = write(file, bytes, size < 1u << 30 ? size : 1u << 30);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return 0;
        bytes += done;
        size -= (size_t)done;
    }
    return 1;
}

/// Pads and writes the section in `scratch`; *crc is of what was written.
static nm_status write_section(nm_shard_writer *w, uint32_t *crc, nm_error *error) {
    const size_t size = w->scratch.used, padded = (size_t)nm_shard_padded(size);
    uint8_t *rest = reserve(&w->scratch, padded - size);
    if (!rest) return no_memory(w, error);
    memset(rest, 0, padded - size);
    *crc = nm_crc32c(0, w->scratch.bytes, padded);
    if (!write_all(w->file, w->scratch.bytes, padded)) return system_error(temporary_name(w, w->done_count), error);
    w->size += padded;
    return NM_OK;
}

static nm_status open_file(nm_shard_writer *w, nm_error *error) {
    const uint8_t blank[NM_SHARD_HEADER] = {0};
    if (w->done_count == NM_SHARDS_MAX)
        return NM_ERROR_AT(error, NM_E_LIMIT, w->base, 0, -1, "more than %u shards: make them larger", NM_SHARDS_MAX);
    if (w->done_count == w->done_capacity) {
        const size_t capacity = w->done_capacity ? 2 * w->done_capacity : 16;
        done_shard *grown = realloc(w->done, capacity * sizeof *grown);
        if (!grown) return no_memory(w, error);
        w->done = grown;
        w->done_capacity = capacity;
    }
    const char *name = temporary_name(w, w->done_count);
    unlink(name); // of a process of the same number that was killed
    w->file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (w->file < 0 || !write_all(w->file, blank, sizeof blank)) return system_error(name, error);
    w->size = NM_SHARD_HEADER;
    w->maps.used = w->scenes.used = 0;
    memset(w->slots, 0, w->slot_count * sizeof *w->slots);
    return NM_OK;
}

/// Writes the table of contents and closes the file. The header waits for the end.
static nm_status close_file(nm_shard_writer *w, nm_error *error) {
    const uint64_t contents = w->size;
    w->scratch.used = 0;
    uint8_t *to = reserve(&w->scratch, w->maps.used + w->scenes.used);
    if (!to) return no_memory(w, error);
    memcpy(to, w->maps.bytes, w->maps.used);
    memcpy(to + w->maps.used, w->scenes.bytes, w->scenes.used);
    w->scratch.used = w->maps.used + w->scenes.used;
    uint32_t crc;
    nm_status status = write_section(w, &crc, error);
    const int failed = close(w->file) != 0;
    w->file = -1;
    w->totals.bytes += w->size;
    w->totals.maps += map_count(w);
    done_shard *done = &w->done[w->done_count++]; // also on failure: abandon removes the file
    *done = (done_shard){{0}, 0};
    if (status == NM_OK && failed) status = system_error(temporary_name(w, w->done_count - 1), error);
    memcpy(done->header, NM_SHARD_MAGIC, 8);
    nm_store32(done->header + NM_SHARD_AT_VERSION, NM_SHARD_VERSION);
    nm_store32(done->header + NM_SHARD_AT_HEADER_SIZE, NM_SHARD_HEADER);
    put64(done->header + NM_SHARD_AT_FILE_SIZE, w->size);
    put64(done->header + NM_SHARD_AT_CONTENTS, contents);
    nm_store32(done->header + NM_SHARD_AT_MAPS, (uint32_t)map_count(w));
    nm_store32(done->header + NM_SHARD_AT_SCENES, (uint32_t)scene_count(w));
    nm_store32(done->header + NM_SHARD_AT_NUMBER, (uint32_t)(w->done_count - 1));
    nm_store32(done->header + NM_SHARD_AT_CONTENTS_CRC, crc);
    return status;
}

// --- adding ----------------------------------------------------------------------------------------------------------

/// The slot of a map in the open file: its own, or the free one where it belongs.
static uint32_t *find_slot(const nm_shard_writer *w, uint64_t hash) {
    size_t at = (size_t)hash & (w->slot_count - 1);
    while (w->slots[at] && nm_load64(w->maps.bytes + (size_t)NM_SHARD_MAP_ENTRY * (w->slots[at] - 1)) != hash)
        at = (at + 1) & (w->slot_count - 1);
    return &w->slots[at];
}

static nm_status grow_slots(nm_shard_writer *w, nm_error *error) {
    if (map_count(w) < w->slot_count / 2) return NM_OK;
    uint32_t *grown = calloc(2 * w->slot_count, sizeof *grown);
    if (!grown) return no_memory(w, error);
    free(w->slots);
    w->slots = grown;
    w->slot_count *= 2;
    for (size_t i = 0; i < map_count(w); i++)
        *find_slot(w, nm_load64(w->maps.bytes + NM_SHARD_MAP_ENTRY * i)) = (uint32_t)i + 1;
    return NM_OK;
}

static nm_status add_map(nm_shard_writer *w, const nm_map *map, uint32_t *index, nm_error *error) {
    uint32_t *slot = find_slot(w, map->hash);
    *index = *slot - 1;
    if (*slot) return NM_OK;
    const uint64_t offset = w->size;
    const size_t size = nm_map_encode(map, NULL, 0);
    w->scratch.used = 0;
    uint8_t *to = reserve(&w->scratch, size), *entry = reserve(&w->maps, NM_SHARD_MAP_ENTRY);
    if (!to || !entry) return no_memory(w, error);
    nm_map_encode(map, to, size);
    w->scratch.used = size;
    uint32_t crc;
    nm_status status = write_section(w, &crc, error);
    if (status != NM_OK) return status;
    put64(entry, map->hash);
    put64(entry + 8, offset);
    put64(entry + 16, size);
    nm_store32(entry + 24, crc);
    nm_store32(entry + 28, 0);
    *index = (uint32_t)map_count(w);
    *slot = *index + 1;
    w->maps.used += NM_SHARD_MAP_ENTRY;
    return grow_slots(w, error);
}

static nm_status add_scene(nm_shard_writer *w, const nm_scene *scene, size_t size, const nm_shard_label *label,
                           uint32_t map, nm_error *error) {
    const uint64_t offset = w->size;
    w->scratch.used = 0;
    uint8_t *to = reserve(&w->scratch, size), *entry = reserve(&w->scenes, NM_SHARD_SCENE_ENTRY);
    if (!to || !entry) return no_memory(w, error);
    nm_scene_encode(scene, to, size);
    w->scratch.used = size;
    uint32_t crc, weight;
    nm_status status = write_section(w, &crc, error);
    if (status != NM_OK) return status;
    memcpy(&weight, &label->weight, sizeof weight);
    put64(entry, offset);
    put64(entry + 8, size);
    put64(entry + 16, scene->hash);
    put64(entry + 24, (uint64_t)label->source);
    nm_store32(entry + 32, crc);
    nm_store32(entry + 36, map);
    nm_store32(entry + 40, scene->step_count);
    nm_store32(entry + 44, scene->track_count);
    nm_store32(entry + 48, weight);
    nm_store32(entry + 52, label->tags);
    put64(entry + 56, label->group);
    w->scenes.used += NM_SHARD_SCENE_ENTRY;
    w->totals.scenes++;
    w->set = nm_hash64(w->set ^ scene->hash);
    return NM_OK;
}

/// Bytes of the open file if it ended with this scene.
static uint64_t size_with(const nm_shard_writer *w, const nm_scene *scene, size_t size) {
    const int known = *find_slot(w, scene->map->hash) != 0;
    const uint64_t map = known ? 0 : nm_shard_padded(nm_map_encode(scene->map, NULL, 0));
    const uint64_t tables = w->maps.used + w->scenes.used + (known ? 0 : NM_SHARD_MAP_ENTRY) + NM_SHARD_SCENE_ENTRY;
    return w->size + map + nm_shard_padded(size) + nm_shard_padded(tables);
}

nm_status nm_shard_writer_add(nm_shard_writer *w, const nm_scene *scene, const nm_shard_label *label, nm_error *error) {
    NM_ASSERT(w && scene);
    const nm_shard_label standard = nm_shard_label_default();
    if (!label) label = &standard;
    if (!isfinite(label->weight) || label->weight < 0.0f)
        return NM_ERROR(error, NM_E_ARGUMENT, "the weight of a scene is %g: it must be finite and not negative",
                        (double)label->weight);
    const size_t size = nm_scene_encode(scene, NULL, 0);
    nm_status status = NM_OK;
    if (w->file >= 0 && ((w->limit && size_with(w, scene, size) > w->limit) || scene_count(w) == UINT32_MAX - 1))
        status = close_file(w, error);
    if (status == NM_OK && w->file < 0) status = open_file(w, error);
    uint32_t map = 0;
    if (status == NM_OK) status = add_map(w, scene->map, &map, error);
    return status == NM_OK ? add_scene(w, scene, size, label, map, error) : status;
}

// --- the end ---------------------------------------------------------------------------------------------------------

/// Completes the header of a file and has all of it on the disk.
static nm_status seal(nm_shard_writer *w, size_t number, nm_error *error) {
    done_shard *done = &w->done[number];
    nm_store32(done->header + NM_SHARD_AT_COUNT, (uint32_t)w->done_count);
    put64(done->header + NM_SHARD_AT_SET, w->set);
    nm_store32(done->header + NM_SHARD_AT_HEADER_CRC, nm_crc32c(0, done->header, NM_SHARD_AT_HEADER_CRC));
    const char *name = temporary_name(w, number);
    const int file = open(name, O_WRONLY | O_CLOEXEC);
    if (file < 0) return system_error(name, error);
    int good = write_all(file, done->header, NM_SHARD_HEADER) && fsync(file) == 0;
    const int code = errno;
    if (close(file) != 0 && good) return system_error(name, error);
    errno = code;
    return good ? NM_OK : system_error(name, error);
}

static nm_status publish(nm_shard_writer *w, size_t number, nm_error *error) {
    char *from = malloc(w->base_length + 64);
    if (!from) return no_memory(w, error);
    strcpy(from, temporary_name(w, number));
    const char *to = final_name(w, number);
    nm_status status = NM_OK;
    if (rename(from, to) == 0)
        w->done[number].published = 1;
    else
        status = system_error(to, error);
    free(from);
    return status;
}

/// Makes the names last. Some file systems can not flush a folder: then there is no more to be done.
static nm_status flush_folder(nm_shard_writer *w, nm_error *error) {
    const char *folder = folder_of(w);
    const int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return system_error(folder, error);
    const int failed = fsync(directory) != 0 && errno != EINVAL && errno != ENOTSUP;
    const nm_status status = failed ? system_error(folder, error) : NM_OK;
    close(directory);
    return status;
}

nm_status nm_shard_writer_finish(nm_shard_writer *w, nm_shard_totals *totals, nm_error *error) {
    NM_ASSERT(w);
    nm_status status = NM_OK;
    if (w->totals.scenes == 0)
        status = NM_ERROR_AT(error, NM_E_ARGUMENT, w->base, 0, -1, "no scene was added: there is nothing to write");
    else
        status = w->file >= 0 ? close_file(w, error) : NM_OK;
    for (size_t i = 0; i < w->done_count && status == NM_OK; i++) status = seal(w, i, error);
    for (size_t i = 0; i < w->done_count && status == NM_OK; i++) status = publish(w, i, error);
    if (status == NM_OK) status = flush_folder(w, error);
    if (status == NM_OK) {
        w->totals.shards = (uint32_t)w->done_count;
        if (totals) *totals = w->totals;
        w->done_count = 0; // nothing to remove
    }
    nm_shard_writer_abandon(w);
    return status;
}

void nm_shard_writer_abandon(nm_shard_writer *w) {
    if (!w) return;
    if (w->file >= 0) {
        close(w->file);
        unlink(temporary_name(w, w->done_count));
    }
    for (size_t i = 0; i < w->done_count; i++) unlink(w->done[i].published ? final_name(w, i) : temporary_name(w, i));
    free(w->base);
    free(w->path);
    free(w->slots);
    free(w->maps.bytes);
    free(w->scenes.bytes);
    free(w->scratch.bytes);
    free(w->done);
    free(w);
}
