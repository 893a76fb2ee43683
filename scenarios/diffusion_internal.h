/// The inside of the diffusion generator: what is set how. Private to scenarios/.
#ifndef NM_SCENARIOS_DIFFUSION_INTERNAL_H
#define NM_SCENARIOS_DIFFUSION_INTERNAL_H

#include "base/arena.h"
#include "scenarios/closed_loop.h"
#include "scenarios/diffusion.h"
#include "scenarios/manoeuvre.h"

/// One try: how closely the plan is kept.
typedef struct nm_diffusion_rung {
    uint32_t most; ///< level of the plan's tokens at most
    float pull;
} nm_diffusion_rung;

#define NM_DIFFUSION_RUNGS 4u

typedef struct nm_diffusion_settings {
    uint32_t history; ///< steps of the manoeuvre that are history, >= 5
    uint32_t levels;
    uint32_t sample; ///< of the first try: another one, another noise
    nm_schedule schedule;
    nm_guidance_config guidance;
    int unbound; ///< 1 = where the kind leaves lanes, 2 = all plans
    int goal;    ///< 1 = where the plan ends is given
    nm_diffusion_rung rungs[NM_DIFFUSION_RUNGS];
    uint32_t rung_count;
} nm_diffusion_settings;
nm_diffusion_settings nm_diffusion_settings_default(void);

struct nm_diffusion_work {
    nm_model *model;
    const nm_recipe *recipe;
    nm_diffusion_settings settings;
    uint64_t weights; ///< hash of the model
    int hashed;
    nm_manoeuvre_work *manoeuvre;
    nm_closed_loop *loop;
    uint32_t future, agents; ///< that `loop` is made for
    nm_scene_builder *builder;
    nm_arena *arena;                  ///< of what is found in the scene that is kept
    nm_arena *scratch;                ///< of the verdicts
    nm_scene_criticality criticality; ///< likewise
};

#endif
