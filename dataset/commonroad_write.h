/// The CommonRoad encoder: XML 2020a. Private to dataset/. docs/formats/commonroad.md says what becomes of a scene.
///
/// A document has two halves: what only the map says (lanelets, signs, intersections, obstacles of the environment) is
/// written once a map and kept as text, since thousands of scenes lie on one map; the rest once a scene.
///
/// Ids must be unique over everything in a document. Each keeps its source's where that is positive and not taken;
/// lanelets come before signs, lights, environment, obstacles and problems. The others get numbers after the next full
/// million.
#ifndef NM_DATASET_COMMONROAD_WRITE_H
#define NM_DATASET_COMMONROAD_WRITE_H

#include "dataset/xml_write.h"
#include "sim/pile.h"

#define NM_CR_LARGEST_ID INT64_C(100000000000000000) ///< ids of 18 digits are read back; this many leave room for more

/// Ids given out.
typedef struct nm_cr_numbers {
    nm_id_table taken;
    int64_t highest;
    int failed; ///< memory was out
} nm_cr_numbers;
/// Takes `id` when it is positive, not too large and not taken: returns it, or 0.
int64_t nm_cr_numbers_keep(nm_cr_numbers *numbers, int64_t id);
/// A new one.
int64_t nm_cr_numbers_next(nm_cr_numbers *numbers);

/// What stays while the map stays.
typedef struct nm_cr_map_text {
    uint64_t hash; ///< of the map it belongs to; valid only when `made`
    int made;
    nm_byte_buffer lanelets, signs, intersections, environment;
    nm_cr_numbers numbers;
    int64_t before_new; ///< the new ones lie after it, up to numbers.highest
    nm_pile ids;        ///< int64_t: lanes, signs, signals
    nm_pile lane_refs;  ///< uint32_t, see commonroad_write_map.c
    nm_pile lane_starts;
    nm_pile marks;                    ///< uint32_t: working memory of the intersections
    nm_pile members;                  ///< uint32_t: likewise
    int freeways, streets, junctions; ///< lanes of these kinds
} nm_cr_map_text;

void nm_cr_map_text_free(nm_cr_map_text *text);
/// Makes the text of `map`, unless it is there. NM_E_MEMORY.
nm_status nm_cr_map_text_of(nm_cr_map_text *text, const nm_map *map, nm_error *error);
static inline int64_t nm_cr_lane_id(const nm_cr_map_text *text, uint32_t lane) {
    return NM_AT(text->ids, int64_t, lane);
}
static inline int64_t nm_cr_light_id(const nm_cr_map_text *text, const nm_map *map, uint32_t signal) {
    return NM_AT(text->ids, int64_t, map->lane_count + map->sign_count + signal);
}

/// A <point> given in the map's frame.
void nm_cr_put_place(nm_byte_buffer *out, nm_point3 origin, int heights, float x, float y, float z);

#endif
