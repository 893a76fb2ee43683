/// Where on a map a kind of corner case can happen: found in the lane graph, in an order that depends on the map alone.
///
/// Pure functions; safe for different threads. They prepare the map (nm_map_prepare).
#ifndef NM_SCENARIOS_PLACES_H
#define NM_SCENARIOS_PLACES_H

#include "scenarios/kinds.h"

#ifdef __cplusplus
extern "C" {
#endif

/// One place. The ego drives along ego_lane through ego_s.
///
/// Kinds on one road: ego_s is where the conflict is to be. `side` +1 = the adversary's lane lies left of the ego's,
/// -1 right, 0 none; `offset` m to its centreline (left positive), `border` m to the border between the two.
/// Kinds on crossing ways: [ego_s, ego_out] is the shared ground on the ego's lane, [in, out] on the adversary's.
/// Pedestrians and cyclists cross square to the lane at ego_s, from the right (side -1) or the left.
typedef struct nm_place {
    uint32_t ego_lane;
    float ego_s, ego_out; ///< m
    uint32_t lane;        ///< the adversary's, or NM_NONE
    float in, out;        ///< m
    int side;
    float offset, border; ///< m
    float behind, ahead;  ///< m of way on the ego's lanes before and after ego_s, up to NM_PLACE_REACH
} nm_place;
#define NM_PLACE_REACH 300.0f ///< m
/// Where a sudden U-turn is driven: a half circle to the left from beside the right edge of the lane, whose border is
/// `right` m off its centreline.
#define NM_U_TURN_RADIUS 5.4f ///< m
#define NM_U_TURN_START(right) (-0.6f - (right))

/// Places of the kind, ordered by (ego lane, ego_s, lane, side). Writes at most `max`; *count is how many there are in
/// all. places nullable with max 0. NM_E_MEMORY from preparing the map. A kind that is no manoeuvre has none.
NM_API nm_status nm_kind_places(const nm_map *map, nm_kind kind, nm_place *places, size_t max, size_t *count,
                                nm_error *error);

/// A piece of a lane, m along it.
typedef struct nm_lane_piece {
    uint32_t lane;
    float from, to;
} nm_lane_piece;
/// The same with ego_s on these pieces alone, in their order, and every `spacing` m of a lane (nm_kind_places: 25 m).
NM_API nm_status nm_kind_places_on(const nm_map *map, nm_kind kind, const nm_lane_piece *pieces, size_t piece_count,
                                   float spacing, nm_place *places, size_t max, size_t *count, nm_error *error);

/// Bit per nm_kind that the map can hold.
NM_API nm_status nm_kinds_on_map(const nm_map *map, uint32_t *kinds, nm_error *error);

/// NM_OK, or NM_E_UNSUPPORTED with a message that says what the kind needs and which kinds would fit.
NM_API nm_status nm_kind_check_map(const nm_map *map, nm_kind kind, nm_error *error);

/// The lane before or after `lane` that bends least from it; NM_NONE at the end. Only drivable ones.
NM_API uint32_t nm_straightest(const nm_map *map, uint32_t lane, int forward);

#ifdef __cplusplus
}
#endif
#endif
