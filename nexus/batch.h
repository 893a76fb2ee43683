/// Scenes packed for the network: padding is left out once, here, and never computed.
///
/// Token order: scene, then agent, then time. Only valid tokens get a row; N is their number over all scenes.
#ifndef NM_NEXUS_BATCH_H
#define NM_NEXUS_BATCH_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/// One scene as it goes in. Arrays are borrowed during nm_batch_set only.
typedef struct nm_token_scene {
    uint32_t agents, steps;    ///< A, T
    const uint8_t *valid;      ///< [A][T] 0 or 1
    uint32_t points;           ///< P rows of the map
    const float *map;          ///< [P][map channels] finite where valid
    const uint8_t *map_valid;  ///< [P] 0 or 1; NULL = all valid
    const uint32_t *map_agent; ///< [P] the agent a polyline belongs to (NM_MAP_POLYLINES), or NM_NO_AGENT; else NULL
} nm_token_scene;

/// How much a batch can hold; memory is made once for it.
typedef struct nm_batch_capacity {
    uint32_t scenes, tokens, points; ///< over all scenes; points counts map rows of all scenes
} nm_batch_capacity;

/// Where a packed token comes from.
typedef struct nm_token_ref {
    uint32_t scene, agent, time;
} nm_token_ref;

#define NM_NO_AGENT UINT32_MAX       ///< of a polyline that nobody attends to, such as that of an agent who left
#define NM_BATCH_MAX_ROWS (1u << 30) ///< every size of a batch is below

/// Lists of rows, [offsets[g], offsets[g + 1]) of `rows` being group g.
typedef struct nm_row_lists {
    uint32_t count;    ///< groups
    uint32_t longest;  ///< rows in the largest
    uint32_t *offsets; ///< [count + 1]
    uint32_t *rows;
} nm_row_lists;

typedef struct nm_batch {
    nm_batch_capacity capacity;
    uint32_t scenes, tokens, points; ///< what is in it now
    nm_token_ref *refs;              ///< [tokens]
    uint32_t *scene_tokens;          ///< [scenes + 1] first token of each scene
    nm_row_lists by_agent;           ///< tokens of (scene, agent), by time
    nm_row_lists by_time;            ///< tokens of (scene, time), by agent
    nm_row_lists by_scene;           ///< tokens of a scene
    nm_row_lists map_by_scene;       ///< map rows of a scene
    nm_row_lists map_by_agent;       ///< map rows of (scene, agent), groups as in by_agent. Polylines
    float *time;                     ///< [tokens] t / T
    float *position;                 ///< [tokens] t, for rotary positions
    float *map;                      ///< [points][map_channels] packed
    uint32_t map_channels;
    uint32_t *cursors; ///< [tokens] scratch of nm_batch_set
    void *block;       ///< owns all of the above
} nm_batch;

/// Memory for a batch, empty. NM_E_MEMORY, NM_E_LIMIT for a size of NM_BATCH_MAX_ROWS or more; `batch` may be destroyed
/// then, too.
NM_API nm_status nm_batch_create(const nm_batch_capacity *capacity, uint32_t map_channels, nm_batch *batch,
                                 nm_error *error);
NM_API void nm_batch_destroy(nm_batch *batch); ///< NULL is fine
/// Bytes that nm_batch_create takes, for what it does not refuse.
NM_API size_t nm_batch_bytes(const nm_batch_capacity *capacity, uint32_t map_channels);

/// Packs `scenes`. use_padding: take map rows that are NOT valid (nm_map_mask PADDING). Refuses, naming scene, agent
/// and step or map row: more than the capacity (NM_E_LIMIT), a map row to be taken that is not finite (NM_E_NUMERIC) or
/// whose map_agent is out of range (NM_E_ARGUMENT); the batch is empty then. A scene without any valid token or map row
/// is fine. O(agents * steps + points log agents), no allocation.
NM_API nm_status nm_batch_set(nm_batch *batch, const nm_token_scene *scenes, uint32_t count, int use_padding,
                              nm_error *error);
/// Packs other tokens of the scenes whose map rows are in the batch, by the last nm_batch_set; agents may have come,
/// left or changed places. Of the maps only points, map_valid and map_agent are read, and only where map_agent is not
/// NULL. Refuses, besides too many tokens (NM_E_LIMIT): another number of scenes, or of map rows that are taken, or a
/// map_agent out of range (NM_E_ARGUMENT). The batch has its maps and no tokens then. Cost and memory as above.
NM_API nm_status nm_batch_set_tokens(nm_batch *batch, const nm_token_scene *scenes, uint32_t count, int use_padding,
                                     nm_error *error);
/// Leaves the maps and no tokens.
NM_API void nm_batch_clear_tokens(nm_batch *batch);
/// Copies the valid tokens' rows of one scene, [A][T][C] -> packed [N][C] at that scene's rows, and back; what is not
/// valid is left alone on the way back. `packed` is the whole batch's array.
NM_API void nm_batch_gather(const nm_batch *batch, uint32_t scene, uint32_t steps, uint32_t channels,
                            const float *padded, float *packed);
NM_API void nm_batch_scatter(const nm_batch *batch, uint32_t scene, uint32_t steps, uint32_t channels,
                             const float *packed, float *padded);

#ifdef __cplusplus
}
#endif
#endif
