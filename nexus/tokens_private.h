/// What the files of tokens share. Private.
#ifndef NM_NEXUS_TOKENS_PRIVATE_H
#define NM_NEXUS_TOKENS_PRIVATE_H

#include <math.h>

#include "nexus/tokens.h"
#include "sim/geometry.h"

#define NM_ROW_ATTRIBUTES NM_ROW_POINTS
#define NM_EGO_POSITION_SCALE 104.0f // 2 x 52 m
#define NM_LIMIT_SCALE 20.0f         // m/s, of speed limits
#define NM_NEAR_SCALE 50.0f          // m, of lengths and distances in conditions and rows

/// The map in pieces; arrays by piece.
struct nm_token_map {
    nm_token_config config;
    const nm_map *map; // one reference
    uint32_t count;
    float *x, *y;      // [count][map_points]
    nm_bounds *bounds; // [count] of the points
    float *attributes; // [count][NM_ROW_ATTRIBUTES] of an AGENT row; signal and distance are filled in later
    uint32_t *lane;    // [count] or NM_NONE
    nm_arena *arena;   // owns the arrays
};

/// History window of the current step: [first, last].
static inline uint32_t nm_token_window_first(const nm_token_config *config, uint32_t current_step) {
    uint32_t before = config->past * NM_TOKEN_STEPS + (nm_token_states(config) - 1);
    return current_step > before ? current_step - before : 0;
}

/// Distance in whole centimetres over an index: sorts by distance, then index. Up to 4e7 m.
static inline uint64_t nm_token_key(double distance, uint32_t index) {
    return (uint64_t)(distance * 100.0 + 0.5) << 32 | index;
}

/// The `limit` smallest keys seen, as a heap with the largest on top. `keys` has room for `limit`.
typedef struct nm_smallest {
    uint64_t *keys;
    uint32_t count, limit;
} nm_smallest;
void nm_smallest_add(nm_smallest *heap, uint64_t key);
/// Ascending order; ends the use as a heap.
void nm_smallest_sort(nm_smallest *heap);

/// Lights of a lane at a step: nm_light, or NM_LIGHT_COUNT when no signal rules its end.
nm_light nm_token_lane_light(const nm_scene *scene, uint32_t lane, uint32_t step);

/// Map rows of tokens->config: fills shape.points, map, map_valid, map_agent, map_piece and map_polylines.
nm_status nm_token_map_fill(const nm_token_map *token_map, const nm_scene *scene, nm_arena *arena, nm_tokens *tokens,
                            nm_error *error);
/// Conditions of agent `agent`, [T][K], and its path.
void nm_token_condition_fill(const nm_scene *scene, const nm_token_request *request, nm_tokens *tokens, uint32_t agent,
                             float *condition);

/// Lanes that lead an agent of this type: bits of nm_lane_type; 0 = none.
unsigned nm_token_lanes_for(uint8_t type);
#define NM_SIGNAL_RANGE 100.0f // m
#define NM_LEAD_RANGE 80.0f    // m
#define NM_LEAD_MARGIN 0.2f    // m beside the strip
#define NM_LEAD_STANDING 1.0f  // m/s: whoever is slower is in the way however it stands

/// Path of agent `agent`, which was matched to `on`. Values and `logged` are there.
/// k     [in/out, K] conditions that are the same for all of its tokens
/// lit   [in/out] lane of the next signal, NM_NONE = none
/// stop  [in/out] m to where it stops one
void nm_token_path_fill(const nm_scene *scene, const nm_token_request *request, nm_tokens *tokens, uint32_t agent,
                        const nm_frenet *on, float *k, uint32_t *lit, float *stop);
/// Where token `token` is on the path: condition [K].
void nm_token_path_condition(const nm_tokens *tokens, uint32_t agent, uint32_t token, float *condition);

/// nm_tokens_decode of one agent: states and valid [S].
nm_status nm_token_decode_agent(const nm_tokens *tokens, uint32_t agent, const float *values, const uint8_t *present,
                                nm_token_rate rate, nm_state *states, uint8_t *valid, nm_error *error);

/// A point of the scene seen from `frame`.
static inline nm_vec2 nm_token_into(const nm_token_frame *frame, double x, double y) {
    double dx = x - frame->x, dy = y - frame->y;
    return (nm_vec2){(float)(dx * (double)frame->cos + dy * (double)frame->sin),
                     (float)(dy * (double)frame->cos - dx * (double)frame->sin)};
}
/// A direction of the scene seen from `frame`.
static inline nm_vec2 nm_token_turn(const nm_token_frame *frame, float x, float y) {
    return (nm_vec2){x * frame->cos + y * frame->sin, y * frame->cos - x * frame->sin};
}

#endif
