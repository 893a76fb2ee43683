/// Guidance: nudges the predicted x0 of every pass towards what scenes must be like, or towards what somebody asks for
/// (nexus-core section 7). Behaviour terms keep agents apart, on the road, smooth and consistent; adversaries are
/// steered into a conflict with the ego while staying drivable.
///
/// Each term is an energy in m^2 of the decoded states of all tokens (guidance_terms.h), scaled so that its curvature
/// is about 1 or less; a pass makes a few steps down the sum of the energies, each weighted by its strength in [0, 1].
/// Tokens at level 0 and tokens slower than `min_speed` are never changed, but the others mind them.
///
/// A guidance holds scratch memory: one thread at a time. A pass allocates nothing. What it costs is about what can
/// move in it: clean and slow tokens are looked at where such a token meets them, else not at all.
#ifndef NM_NEXUS_GUIDANCE_H
#define NM_NEXUS_GUIDANCE_H

#include "nexus/denoiser.h"
#include "nexus/encoding.h"
#include "sim/map.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_guided_agent {
    uint32_t agent;      ///< place in its scene, as in nm_denoise_input
    uint32_t lane_mask;  ///< lane types it drives on (NM_LANE_MASK_VEHICLE); 0 = it is not bound to lanes
    float length, width; ///< m; 0 = as decoded
    nm_motion pose;      ///< of the frame of its tokens, in the map
} nm_guided_agent;

/// Borrowed, and must stay as they are until they are set anew.
typedef struct nm_guided_scene {
    const nm_map *map; ///< nullable: no lanes then. Prepared (nm_map_prepare)
    uint32_t agent_count;
    const nm_guided_agent *agents; ///< by rising place; all those that have tokens
} nm_guided_scene;

/// What an adversary is steered into. Poses are the adversary's, seen from the ego, at the moment of contact.
typedef enum nm_conflict_aim {
    NM_AIM_REAR_END = 0, ///< bumper before the ego's, slower: the ego runs into it
    NM_AIM_CUT_IN,       ///< the same, still turning in from the side that it is on
    NM_AIM_CROSSING,     ///< its front in the ego's flank, at a right angle, from the side that it is on
    NM_AIM_HEAD_ON,      ///< bumper to bumper, opposed
    NM_AIM_COUNT
} nm_conflict_aim;
NM_API const char *nm_conflict_aim_name(nm_conflict_aim aim); ///< "rear_end", "cut_in", "crossing", "head_on"

typedef struct nm_adversary {
    uint32_t scene, ego, adversary; ///< index of the scene in the batch, places of the agents
    uint32_t time;                  ///< time of the contact, as in nm_denoise_input
    nm_conflict_aim aim;
    float closing_speed;                 ///< m/s, rear_end and cut_in: how much slower it is than the ego; default 5
    float max_acceleration, max_braking; ///< m/s^2 > 0, along its path; default 4, 8
    float max_lateral;                   ///< m/s^2 > 0, across its path; default 5
    float max_curvature;                 ///< 1/m > 0; default 0.2
} nm_adversary;
NM_API nm_adversary nm_adversary_default(void);

#define NM_GUIDANCE_NO_LIMIT UINT32_MAX

typedef struct nm_guidance_config {
    uint32_t max_tokens;        ///< >= 1, at most 2^28 states in all; no default
    nm_state_encoding encoding; ///< default published
    float dt;                   ///< s between time tokens, > 0; default 0.5
    float overlap;       ///< strength of pushing overlapping agents apart, mostly along their lanes, [0, 1]; default 0
    float road;          ///< of pulling to the nearest lane beyond half its width, [0, 1]; default 0
    float smooth;        ///< of the moving window, [0, 1]; default 0
    float consistent;    ///< of making velocity and heading agree with the positions, [0, 1]; default 0
    float adversarial;   ///< of the adversaries, [0, 1]; default 0
    float margin;        ///< m kept between agents, [0, 10]; default 0.2
    uint32_t window;     ///< half width of the moving window, in states, [1, 8]; default 1
    float min_speed;     ///< m/s, [0, inf); default 0.7
    float lane_radius;   ///< m, how far lanes are looked for, > 0; default 15
    float step;          ///< share of a full step down, (0, 1]; default 0.5
    uint32_t iterations; ///< steps a pass, [1, 100]; default 5
    float max_move; ///< most that a pass moves a token, m (headings count as 4 m a radian, velocities as dt / states),
                    ///< > 0; default 3
    /// Tokens of pure noise that the pass leaves as they are (nm_denoise_input), more than so many time tokens after
    /// all of their scene that it does not, stay as predicted: what they are told would be thrown away, and the nearest
    /// matter most to those that move. All are guided where nothing moves or `moves` is not known, and always are those
    /// of an adversary and its ego around the contact: what is to come there is what bends the path now. Default
    /// NM_GUIDANCE_NO_LIMIT: all
    uint32_t ahead;
} nm_guidance_config;
NM_API nm_guidance_config nm_guidance_config_default(void); ///< behaves as 0 strengths: set those that are wanted

typedef struct nm_guidance nm_guidance;
NM_API nm_status nm_guidance_create(const nm_guidance_config *config, nm_guidance **guidance, nm_error *error);
NM_API void nm_guidance_destroy(nm_guidance *guidance); ///< NULL is fine

/// scenes [count] in the order of the batch. Call again when agents or maps changed.
NM_API void nm_guidance_set_scenes(nm_guidance *guidance, const nm_guided_scene *scenes, uint32_t count);
/// Borrowed, as scenes are. NM_E_ARGUMENT for a limit that is not positive or an aim that there is not, NM_E_MEMORY;
/// the adversaries are then as before.
NM_API nm_status nm_guidance_set_adversaries(nm_guidance *guidance, const nm_adversary *adversaries, uint32_t count,
                                             nm_error *error);

/// The nm_guide of a guidance: pass it with the nm_guidance as context. x0 is changed in place; rows of clean and of
/// slow tokens keep their bits, and all do when every strength is 0. NM_E_NOT_FOUND when a token's scene or agent was
/// not set, or an adversary or its ego has no token at the time of the contact; NM_E_LIMIT for too many tokens or a
/// time over 4095.
NM_API nm_status nm_guidance_apply(void *guidance, const nm_denoise_input *in, float *x0, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
