/// What an energy (energy.h) knows of a token: its motion, the road, and who is nearest, as numbers of order 1.
#ifndef NM_NEXUS_ENERGY_ROWS_H
#define NM_NEXUS_ENERGY_ROWS_H

#include "nexus/guidance.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Changes whenever what a row says, or is made of, does: heads of another version are refused.
#define NM_ENERGY_ROWS_VERSION 2

/// Nothing here is about the texture of a motion within a token, from state to state. By how far states slip sideways
/// alone recorded futures are told from a network's, nearly every one: an energy that sees it learns nothing else, and
/// says nothing of which of the network's own are better.
///
/// All are clamped to +-4. A token holds states at equal steps; steps are between them and from the state before the
/// token's first, where the agent has that token. Speeds and offsets are along and across the heading that the step
/// begins with, so that a speed backwards is negative.
typedef enum nm_energy_feature {
    NM_ENERGY_WHEN = 0,     ///< 0 just after the current token .. 1 at the end of the future
    NM_ENERGY_SPEED,        ///< mean of the steps, m/s / 20
    NM_ENERGY_STANDS,       ///< 1 = it is below 0.5 m/s
    NM_ENERGY_ACCELERATION, ///< mean speed less that of the token before, over the token's time: m/s^2 / 3
    NM_ENERGY_EFFORT,       ///< its size
    NM_ENERGY_TURN,         ///< size of the yaw rate from the token before, rad/s / 0.3
    NM_ENERGY_LATERAL,      ///< mean speed times yaw rate, its size: m/s^2 / 3
    NM_ENERGY_ALONG,        ///< ahead of where the speed at the current token would lead, t s: m / (0.5 + t^2 / 2)
    NM_ENERGY_ACROSS,       ///< beside it, its size: m / (0.5 + t^2 / 2)
    NM_ENERGY_DRIVES,       ///< 1 = is bound to lanes (nm_guided_agent.lane_mask); the next are 0 else
    NM_ENERGY_ON_LANE,      ///< 1 = a lane matches (nm_map_match) within 10 m; the next are 0 else
    NM_ENERGY_OFFSET,       ///< m from its centreline / half its width there, its size
    NM_ENERGY_BEYOND,       ///< m beyond its border / 2, 0 inside
    NM_ENERGY_ANGLE,        ///< sine of the heading against the lane's, its size
    NM_ENERGY_AGAINST,      ///< 1 = it is more than a right angle
    NM_ENERGY_OVER_LIMIT,   ///< speed above the lane's limit, m/s / 5, negative below, 0 = none is known
    NM_ENERGY_NEAR,         ///< exp(-gap / 1 m) to whoever is nearest at that time, of those within 50 m; 0 = nobody
    NM_ENERGY_NEARBY,       ///< exp(-gap / 6 m)
    NM_ENERGY_OVERLAP,      ///< m that the two overlap / 1
    NM_ENERGY_CLOSING,      ///< m/s at which the two approach each other / 5
    NM_ENERGY_URGENT,       ///< that over the gap and 1 m, 0 where they part: 1/s
    NM_ENERGY_ROW
} nm_energy_feature;

typedef struct nm_energy_reader_config {
    uint32_t max_tokens;        ///< of one scene, 1..2^24
    uint32_t past, future;      ///< tokens before and after the current one
    nm_state_encoding encoding; ///< nm_token_state_encoding
    float dt;                   ///< s of a token; default 0.5
} nm_energy_reader_config;

/// Working memory: one thread at a time. Nothing after the creation allocates.
typedef struct nm_energy_reader nm_energy_reader;
NM_API nm_status nm_energy_reader_create(const nm_energy_reader_config *config, nm_energy_reader **reader,
                                         nm_error *error);      ///< NM_E_ARGUMENT, NM_E_MEMORY
NM_API void nm_energy_reader_destroy(nm_energy_reader *reader); ///< NULL is fine
NM_API const nm_energy_reader_config *nm_energy_reader_get_config(const nm_energy_reader *reader);

/// Tokens of one scene, in the order (agent, time). Borrowed.
typedef struct nm_energy_tokens {
    uint32_t count;
    const uint32_t *agent, *time; ///< [count]
    uint32_t channels;
    const float *values; ///< [count][channels]
} nm_energy_tokens;

/// rows [out, count x NM_ENERGY_ROW]; of given tokens (time <= past) 0. `scene` has all agents that have tokens, its
/// map is nullable. Gaps are between boxes, along the axis of the two that separates them most: below the distance
/// where corners face each other, negative by as much as boxes overlap. NM_E_LIMIT for more tokens than the reader has
/// room for or a time beyond the future; NM_E_NOT_FOUND for an agent that the scene has not. O(tokens, matches of
/// lanes, and pairs of a time).
NM_API nm_status nm_energy_rows(nm_energy_reader *reader, const nm_guided_scene *scene, const nm_energy_tokens *tokens,
                                float *rows, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
