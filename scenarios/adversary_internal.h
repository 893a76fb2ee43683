/// The inside of the adversary of an episode. Private to scenarios/.
#ifndef NM_SCENARIOS_ADVERSARY_INTERNAL_H
#define NM_SCENARIOS_ADVERSARY_INTERNAL_H

#include "base/arena.h"
#include "scenarios/adversary.h"
#include "scenarios/manoeuvre_internal.h"

struct nm_adversary_agent {
    nm_arena *arena;         ///< of what was laid
    nm_manoeuvre_work *work; ///< places, ways and script
    nm_kind kind;
    nm_scene scene; ///< the rehearsal's with the adversary
    uint32_t ego, track;
    uint32_t start;
    int recorded; ///< somebody of the recording plays
    float length, width;
    nm_agent_type type;
    const nm_script *script;
    uint32_t conflict; ///< step of the script that the parameters are of
    uint32_t commit;   ///< from which on it carries through
    float brake_ttc;   ///< s to a collision with the ego at which it brakes, of kinds that say so; 0 = none
    uint32_t last;     ///< the script's last step on its line
    uint32_t over;     ///< from which on it drives like everybody
    float turn;        ///< rad by which the heading at the start differs from the script's
    // what the ego did
    uint32_t samples;
    float *x, *y, *speed; ///< [samples]
    // while it drives
    float clock, rate; ///< steps of the script
    float pace;        ///< m/s
    float offset;      ///< m that it is further on than the script has it
    float heading;
    float wreck; ///< m/s after a contact; NAN = none
    int done;    ///< handed over
};

/// The pose that the script has at a clock, but for `turn`; *speed along it. `heading` is kept where it stands.
nm_pose nm_adversary_pose(const nm_adversary_agent *adversary, float clock, float heading, float *speed);

#endif
