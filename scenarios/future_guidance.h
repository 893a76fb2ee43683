/// Behaviour guidance of futures: tells a guidance whose tokens are in a batch. Shared by model_futures.c and
/// scene_generator.c.
#ifndef NM_SCENARIOS_FUTURE_GUIDANCE_H
#define NM_SCENARIOS_FUTURE_GUIDANCE_H

#include "nexus/generator.h"
#include "nexus/guidance.h"

/// What futures are sampled with where nobody says otherwise: two levels, near tokens first (pyramid:1), agents pushed
/// apart and back onto the road, their motion smoothed a little. Chosen by score, see nexus/EXPERIMENTS.md.
nm_generator_config nm_future_generator_default(void);
nm_guidance_config nm_future_guidance_default(void);

/// *guidance stays NULL where all strengths of `config` are 0. Its encoding, dt and max_tokens are set here.
nm_status nm_future_guidance_create(const nm_guidance_config *config, const nm_token_config *tokens, uint32_t scenes,
                                    nm_guidance **guidance, nm_error *error);
/// What guidance and energies know of a batch: scene i is `scenes[i]`, its tokens `tokens[i]`. Arrays are in `arena`,
/// and must stay there until the batch is sampled. Prepares the maps. unbound [agents of a scene, nullable]: 1 = is not
/// drawn to lanes.
nm_status nm_future_guided(const nm_scene *const *scenes, const nm_tokens *const *tokens, uint32_t count,
                           const uint8_t *unbound, nm_arena *arena, const nm_guided_scene **guided, nm_error *error);
/// The same, told to a guidance.
nm_status nm_future_guidance_set(nm_guidance *guidance, const nm_scene *const *scenes, const nm_tokens *const *tokens,
                                 uint32_t count, const uint8_t *unbound, nm_arena *arena, nm_error *error);

#endif
