/// Scenes and maps as compressed blobs: packing, which many threads do, and unpacking with the maps used last cached.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/store_internal.h"

#define PACKED_MAPS 32 ///< kept by a packer
#define ZSTD_LEVEL 3   ///< level 5 takes twice as long for 1.4 % of the bytes, a dictionary saves 4 %: not worth it

struct nm_packer {
    ZSTD_CCtx *compressor;
    uint8_t *raw; ///< what is being compressed
    size_t raw_capacity;
    uint8_t *out;
    size_t out_capacity;
    nm_packed_map *maps[PACKED_MAPS];
    uint64_t clock;
};

static void release_map(nm_packed_map *map) {
    if (map && __atomic_sub_fetch(&map->references, 1, __ATOMIC_ACQ_REL) == 0) free(map);
}

nm_packer *nm_packer_create(void) {
    nm_packer *packer = calloc(1, sizeof *packer);
    if (!packer) return NULL;
    packer->compressor = ZSTD_createCCtx();
    if (!packer->compressor) {
        free(packer);
        return NULL;
    }
    ZSTD_CCtx_setParameter(packer->compressor, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    ZSTD_CCtx_setParameter(packer->compressor, ZSTD_c_checksumFlag, 1);
    return packer;
}

void nm_packer_destroy(nm_packer *packer) {
    if (!packer) return;
    for (int i = 0; i < PACKED_MAPS; i++) release_map(packer->maps[i]);
    ZSTD_freeCCtx(packer->compressor);
    free(packer->raw);
    free(packer->out);
    free(packer);
}

static nm_status grow(uint8_t **bytes, size_t *capacity, size_t size, nm_error *error) {
    if (size <= *capacity) return NM_OK;
    free(*bytes);
    *capacity = 0;
    *bytes = malloc(size);
    if (!*bytes) return NM_ERROR(error, NM_E_MEMORY, "out of memory: %zu bytes to pack a scene", size);
    *capacity = size;
    return NM_OK;
}

/// Compresses packer->raw[0 .. size) into packer->out.
static nm_status compress(nm_packer *packer, size_t size, size_t *compressed, nm_error *error) {
    nm_status status = grow(&packer->out, &packer->out_capacity, ZSTD_compressBound(size), error);
    if (status != NM_OK) return status;
    *compressed = ZSTD_compress2(packer->compressor, packer->out, packer->out_capacity, packer->raw, size);
    if (ZSTD_isError(*compressed))
        return NM_ERROR(error, NM_E_MEMORY, "compressing a scene: %s", ZSTD_getErrorName(*compressed));
    if (*compressed > NM_STORE_MAX_BLOB || size > NM_STORE_MAX_RAW)
        return NM_ERROR(error, NM_E_LIMIT, "a scene of %zu bytes (%zu compressed) is too large to store", size,
                        *compressed);
    return NM_OK;
}

static nm_status pack_map(nm_packer *packer, const nm_map *map, nm_packed_map **out, nm_error *error) {
    int slot = 0;
    for (int i = 0; i < PACKED_MAPS; i++) {
        nm_packed_map *kept = packer->maps[i];
        if (kept && kept->hash == map->hash) {
            kept->used = ++packer->clock;
            __atomic_add_fetch(&kept->references, 1, __ATOMIC_RELAXED);
            *out = kept;
            return NM_OK;
        }
        if (!kept || (packer->maps[slot] && kept->used < packer->maps[slot]->used)) slot = i;
    }
    size_t size = nm_map_encode(map, NULL, 0), compressed = 0;
    nm_status status = grow(&packer->raw, &packer->raw_capacity, size, error);
    if (status != NM_OK) return status;
    nm_map_encode(map, packer->raw, size);
    status = compress(packer, size, &compressed, error);
    if (status != NM_OK) return status;
    nm_packed_map *packed = malloc(sizeof *packed + compressed);
    if (!packed) return NM_ERROR(error, NM_E_MEMORY, "out of memory: %zu bytes to pack a map", compressed);
    double metres = 0;
    for (uint32_t i = 0; i < map->lane_count; i++) metres += map->lanes[i].length;
    *packed = (nm_packed_map){.hash = map->hash,
                              .lanes = map->lane_count,
                              .lane_km = round(metres) / 1000.0,
                              .origin_x = map->origin.x,
                              .origin_y = map->origin.y,
                              .raw_size = size,
                              .size = compressed,
                              .references = 2, // the packer's and the caller's
                              .used = ++packer->clock,
                              .bytes = (uint8_t *)(packed + 1)};
    memcpy(packed->bytes, packer->out, compressed);
    release_map(packer->maps[slot]);
    packer->maps[slot] = packed;
    *out = packed;
    return NM_OK;
}

static size_t text_size(const char *text) {
    return text ? strlen(text) + 1 : 1;
}

static const char *put_text(char **at, const char *text) {
    char *start = *at;
    size_t size = text_size(text);
    memcpy(start, text ? text : "", size);
    *at += size;
    return start;
}

/// Tags are words; a space inside one (no format has them) becomes "_", so that the list can be split again.
static const char *put_tags(char **at, const nm_scene *scene) {
    char *start = *at, *out = start;
    for (uint32_t i = 0; i < scene->tag_count; i++) {
        if (i) *out++ = ' ';
        for (const char *in = scene->tags[i]; *in; in++) *out++ = *in == ' ' ? '_' : *in;
    }
    *out++ = '\0';
    *at = out;
    return start;
}

static nm_packed_scene *describe(const nm_scene *scene, size_t compressed) {
    const nm_provenance *from = &scene->provenance;
    const char *parameters = from->parameters && from->parameters[0] ? from->parameters : "{}";
    size_t tags = 1, size = sizeof(nm_packed_scene) + compressed;
    for (uint32_t i = 0; i < scene->tag_count; i++) tags += strlen(scene->tags[i]) + 1;
    size += tags + text_size(from->source) + text_size(from->file) + text_size(from->scene_id) +
            text_size(from->program) + text_size(parameters);
    nm_packed_scene *packed = malloc(size);
    if (!packed) return NULL;
    *packed = (nm_packed_scene){.hash = scene->hash,
                                .record = from->record,
                                .seed = from->seed,
                                .parent = from->parent,
                                .dt = nm_decimal(scene->dt),
                                .steps = scene->step_count,
                                .current_step = scene->current_step,
                                .ego = scene->ego,
                                .tracks = scene->track_count,
                                .problems = scene->problem_count,
                                .size = compressed,
                                .bytes = (uint8_t *)(packed + 1),
                                .held = size};
    char *at = (char *)packed->bytes + compressed;
    packed->source = put_text(&at, from->source);
    packed->file = put_text(&at, from->file);
    packed->scene_id = put_text(&at, from->scene_id);
    packed->program = put_text(&at, from->program);
    packed->parameters = put_text(&at, parameters);
    packed->tags = put_tags(&at, scene);
    nm_scene_count(scene, &packed->agents, &packed->agent_states);
    return packed;
}

nm_status nm_pack_scene(nm_packer *packer, const nm_scene *scene, nm_packed_scene **out, nm_error *error) {
    NM_ASSERT(packer && scene && scene->map && out);
    *out = NULL;
    nm_packed_map *map = NULL;
    nm_status status = pack_map(packer, scene->map, &map, error);
    if (status != NM_OK) return status;
    size_t size = nm_scene_encode(scene, NULL, 0), compressed = 0;
    status = grow(&packer->raw, &packer->raw_capacity, size, error);
    if (status == NM_OK) {
        nm_scene_encode(scene, packer->raw, size);
        status = compress(packer, size, &compressed, error);
    }
    nm_packed_scene *packed = status == NM_OK ? describe(scene, compressed) : NULL;
    if (!packed) {
        release_map(map);
        return status != NM_OK ? status : NM_ERROR(error, NM_E_MEMORY, "out of memory: packing a scene");
    }
    memcpy(packed->bytes, packer->out, compressed);
    packed->raw_size = size;
    packed->map = map;
    *out = packed;
    return NM_OK;
}

void nm_packed_scene_destroy(nm_packed_scene *packed) {
    if (!packed) return;
    release_map(packed->map);
    free(packed);
}

size_t nm_packed_scene_bytes(const nm_packed_scene *packed) {
    return packed->held + packed->map->size;
}

// --- the way back ----------------------------------------------------------------------------------------------------

nm_status nm_store_unpack(nm_store *store, const void *bytes, size_t size, uint64_t raw_size, const char *name,
                          uint8_t **raw, nm_error *error) {
    *raw = NULL;
    if (!bytes || ZSTD_getFrameContentSize(bytes, size) != raw_size)
        return NM_ERROR_AT(error, NM_E_FORMAT, store->path, 0, -1, "the content of %s is damaged", name);
    if (raw_size > NM_STORE_MAX_RAW)
        return NM_ERROR_AT(error, NM_E_LIMIT, store->path, 0, -1, "the content of %s is larger than 2 GiB", name);
    if (!store->decompressor) store->decompressor = ZSTD_createDCtx();
    *raw = malloc(raw_size ? raw_size : 1);
    if (!store->decompressor || !*raw) {
        free(*raw);
        *raw = NULL;
        return NM_ERROR(error, NM_E_MEMORY, "out of memory: %llu bytes for %s", (unsigned long long)raw_size, name);
    }
    size_t got = ZSTD_decompressDCtx(store->decompressor, *raw, raw_size, bytes, size);
    if (ZSTD_isError(got) || got != raw_size) {
        free(*raw);
        *raw = NULL;
        return NM_ERROR_AT(error, NM_E_FORMAT, store->path, 0, -1, "the content of %s is damaged (%s)", name,
                           ZSTD_isError(got) ? ZSTD_getErrorName(got) : "its size is wrong");
    }
    return NM_OK;
}
