/// Inside of the WOMD writers. Private to dataset/womd_write*.c and womd_example_write.c.
///
/// The features of a map are written once and kept with the writer: a set of generated scenes repeats its maps. What
/// they are is in womd_write_map.c; womd_write_lines.c says which lines bound a lane, and makes those that the map
/// lacks; womd_write_control.c has signals and stop signs.
#ifndef NM_DATASET_WOMD_WRITE_H
#define NM_DATASET_WOMD_WRITE_H

#include "base/arena.h"
#include "dataset/encoders.h"

/// A stretch of a lane's points beside one line.
typedef struct nm_womd_stretch {
    uint32_t first, last; ///< points of the lane, from 0
    int64_t line;         ///< feature id
    uint8_t type;         ///< RoadLineType; 0 for an edge
} nm_womd_stretch;
typedef struct nm_womd_stretches {
    nm_womd_stretch *items;
    uint32_t count, room;
} nm_womd_stretches;

/// A line that is written: one of the map's, or along a border.
typedef struct nm_womd_made_line {
    int64_t id;
    uint8_t edge, type; ///< RoadEdge of that RoadEdgeType, or RoadLine of that RoadLineType
    uint32_t *points;   ///< lane points of the map (index into left or right), in the order they are written
    uint32_t count;
    uint8_t left; ///< of `points`: borders on the left, else on the right
} nm_womd_made_line;

/// What is known while a map is written. Everything lives in the arena.
typedef struct nm_womd_map_work {
    nm_arena *arena;
    const nm_map *map;
    uint8_t *written;  ///< [lane_count] 1 = is a LaneCenter
    int64_t *line_ids; ///< [line_count]
    int64_t *area_ids, *sign_ids;
    int64_t next_id;                ///< free from here on
    struct nm_womd_line_grid *grid; ///< NULL: the map has no lines
    nm_womd_made_line *made;        ///< [made_count]
    uint32_t made_count, made_room;
    uint32_t *made_table; ///< by ends; [table_room] index + 1, a power of two
    uint32_t table_room;
    int failed; ///< memory was out
} nm_womd_map_work;

/// A signal's state as it is said of one lane.
typedef struct nm_womd_light {
    int64_t lane;
    uint32_t signal;
    double x, y, z; ///< stop point, in the source's frame
    int placed;
} nm_womd_light;

/// Everything about a map that does not change from scene to scene.
typedef struct nm_womd_map_bytes {
    uint64_t hash; ///< of the map; 0 = none yet
    nm_byte_buffer features;
    nm_womd_light *lights;
    uint32_t light_count, light_room;
    uint64_t used; ///< when it was last asked for
} nm_womd_map_bytes;

#define NM_WOMD_KEPT_MAPS 4u
typedef struct nm_womd_map_cache {
    nm_womd_map_bytes maps[NM_WOMD_KEPT_MAPS];
    uint64_t clock;
} nm_womd_map_cache;

/// The features of the scene's map; valid until the next call. NULL when memory is out. `arena` is scratch.
const nm_womd_map_bytes *nm_womd_map_write(nm_womd_map_cache *cache, const nm_map *map, nm_arena *arena);
void nm_womd_map_cache_free(nm_womd_map_cache *cache);
void nm_womd_map_cache_forget(nm_womd_map_cache *cache); ///< keeps the memory

// womd_write_lines.c
/// Prepares what follows. 0 when memory is out.
int nm_womd_lines_begin(nm_womd_map_work *work);
/// What bounds one side of a lane: the map's lines and, where it lacks them, lines made along the border. Emptied
/// first.
void nm_womd_lines_beside(nm_womd_map_work *work, uint32_t lane, int left, nm_womd_stretches *out);
int nm_womd_line_type(unsigned marking, unsigned colour); ///< as RoadLine.RoadLineType

// womd_write_control.c
#define NM_WOMD_SIGN_CODE "STOP" ///< of signs that the reader made
/// The lights of a map's signals. 0 when memory is out.
int nm_womd_lights(const nm_map *map, const uint8_t *written, nm_womd_map_bytes *out);
/// Writes the stop signs as features.
void nm_womd_write_signs(nm_womd_map_work *work, nm_byte_buffer *out);

// womd_write_map.c
/// m along a lane's points, from its start.
static inline float nm_womd_along(const nm_map *map, uint32_t lane, uint32_t point) {
    return map->point_s[map->lanes[lane].points.first + point];
}
#define NM_WOMD_POINT_BYTES 29u ///< a MapPoint with tag and length, fields below 16
/// Writes a MapPoint as that field (< 16); returns what lies behind.
uint8_t *nm_womd_put_point(uint8_t *at, uint32_t field, double x, double y, double z);

#endif
