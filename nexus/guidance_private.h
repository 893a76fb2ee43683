/// Inside of a guidance: private to guidance*.c.
#ifndef NM_NEXUS_GUIDANCE_PRIVATE_H
#define NM_NEXUS_GUIDANCE_PRIVATE_H

#include "nexus/guidance_paths.h"

#include "base/arena.h"

#define NM_GUIDE_MOST_TIME 4096u ///< times of states: time tokens times the states in each

/// Successive states of one agent without a gap: [first, end), and those of them and of their neighbours, [inner_first,
/// inner_end), that have a state on either side.
typedef struct nm_guide_run {
    uint32_t first, end, inner_first, inner_end;
} nm_guide_run;
typedef struct nm_guide_pair {
    uint32_t a, b;
    double near; ///< closer than this they may overlap
} nm_guide_pair;

struct nm_guidance {
    nm_guidance_config config;
    nm_arena *arena;
    const nm_guided_scene *scenes;
    uint32_t scene_count;
    const nm_adversary *adversaries;
    uint32_t adversary_count;

    // links, valid while `linked` and the tokens are these
    int linked;
    uint64_t link_count;            ///< how often they were made
    uint32_t count;                 ///< tokens
    uint32_t *scene, *agent, *time; ///< [max_tokens]
    const nm_guided_agent **who;    ///< [max_tokens]
    // all that follows is [max_tokens * states]: state i of token n at n * states + i
    uint32_t *previous, *next, *group_offsets, *group_tokens, *bucket;

    // of one pass
    nm_guide_view view;
    double *sum[NM_GUIDE_STATES], *term[NM_GUIDE_STATES]; ///< of states that can move; scratch
    double *length, *width, *lane_x, *lane_y, *lane_cos, *lane_sin, *lane_half;
    uint32_t *foe;
    nm_guide_encounter *encounters; ///< [adversary_count] of the tokens at hand: filled by nm_guidance_mark_foes
    uint32_t encounter_room;
    uint8_t *fixed, *clean, *on_lane, *touched;

    // what can move in this pass, and what it may meet: guidance_moving.c
    uint8_t *free_token, *seen; ///< [max_tokens] may be moved unless slow; is decoded
    nm_guide_run *runs;         ///< [states] of states that are not fixed, rising
    uint32_t run_count;
    double *x, *y, *reach; ///< [states] in the order of group_tokens, of groups in which something can move
    nm_guide_pair *pairs;  ///< [pair_room] that may come to overlap, in the order of their groups
    uint32_t pair_count;   ///< of the groups before swept_group;
    uint32_t swept_group;  ///< this one and those after it had no room: all of their pairs are looked at
    uint32_t *met;         ///< [states] states that can move of the pairs and of the swept groups
    uint32_t met_count;
    double *pull;    ///< [states + 2] scratch
    uint8_t *marked; ///< [states] 0 but while `met` is made
};

/// Of the pairs that are kept.
static inline uint32_t nm_guidance_pair_room(const nm_guidance_config *config) {
    const uint32_t states = config->max_tokens * config->encoding.states;
    return states < UINT32_MAX / 4 ? 4 * states : states;
}

/// links_only: without what a pass of nm_guidance_apply needs.
nm_status nm_guidance_create_part(const nm_guidance_config *config, int links_only, nm_guidance **guidance,
                                  nm_error *error);

/// Every strength is 0: a pass does nothing.
int nm_guidance_idle(const nm_guidance_config *config);
/// The encoding has no channel beyond these.
int nm_guidance_fits(const nm_guidance_config *config, uint32_t channels);
/// Of every step of a pass.
nm_guide_descent nm_guidance_descent(const nm_guidance *guidance);

/// Says of every token whether the pass may move it, and whether it must be seen for that. After nm_guidance_mark_foes.
void nm_guidance_choose(nm_guidance *guidance, const nm_denoise_input *in);
/// With states decoded and `fixed` said of all: the runs of those that are not, and the pairs that these can come to
/// overlap in, however the pass moves them.
void nm_guidance_gather_runs(nm_guidance *guidance);
void nm_guidance_gather_pairs(nm_guidance *guidance);
/// The slope of all energies into `sum` of the states that can move.
void nm_guidance_slope(nm_guidance *guidance);

/// Makes the links for these tokens unless they are made: then link_count stays.
nm_status nm_guidance_link(nm_guidance *guidance, const nm_denoise_input *in, nm_error *error);
/// Finds the encounters of the adversaries, once a pass, and marks who may touch whom, so that overlap does not undo
/// what adversarial wants.
nm_status nm_guidance_mark_foes(nm_guidance *guidance, const nm_denoise_input *in, nm_error *error);
nm_status nm_guidance_find_encounter(const nm_guidance *guidance, const nm_denoise_input *in, const nm_adversary *a,
                                     nm_guide_encounter *e, nm_error *error);

#endif
