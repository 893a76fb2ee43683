/// Trains an energy (energy.h) on recorded futures and those that its model made of the same moments.
///
/// All working memory is a set's and a trainer's; the same set, configuration and seed give the same energy, bit for
/// bit. One thread at a time.
#ifndef NM_NEXUS_ENERGY_TRAINER_H
#define NM_NEXUS_ENERGY_TRAINER_H

#include "nexus/energy.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Moments of scenes. Of each agent in one: its recorded future, then `futures` of the model's, each as the same number
/// of rows (nm_energy_rows).
typedef struct nm_energy_set nm_energy_set;
NM_API nm_status nm_energy_set_create(uint32_t futures, nm_energy_set **set, nm_error *error); ///< 1..64: NM_E_ARGUMENT
NM_API void nm_energy_set_destroy(nm_energy_set *set);                                         ///< NULL is fine
/// The next agents are of another moment. held: it is kept back, for the scale and for measuring. NM_E_MEMORY.
NM_API nm_status nm_energy_set_begin(nm_energy_set *set, int held, nm_error *error);
/// rows [out] of an agent, [1 + futures][count][NM_ENERGY_ROW], to be filled before the next call. count >= 1.
/// NM_E_MEMORY.
NM_API nm_status nm_energy_set_add(nm_energy_set *set, uint32_t count, float **rows, nm_error *error);
NM_API uint32_t nm_energy_set_examples(const nm_energy_set *set, int held); ///< moments with an agent
NM_API uint64_t nm_energy_set_agents(const nm_energy_set *set, int held);

/// Fill with nm_energy_trainer_config_default().
typedef struct nm_energy_trainer_config {
    uint64_t seed;
    uint64_t steps; ///< >= 1; default 2000; the rate falls to 0 towards the last
    uint32_t batch; ///< agents in a step, 1..65536; default 128: each of a moment drawn anew, all moments alike
    double rate;    ///< of Adam (Kingma and Ba 2015; beta 0.9, 0.999), > 0; default 0.003
    double decay;   ///< of weights, not of biases (Loshchilov and Hutter 2019), >= 0; default 0.01
} nm_energy_trainer_config;
NM_API nm_energy_trainer_config nm_energy_trainer_config_default(void);

typedef struct nm_energy_trainer nm_energy_trainer;
/// Energy and set are borrowed. NM_E_ARGUMENT for a value out of range, NM_E_NOT_FOUND for a set without an agent to
/// train on; NM_E_MEMORY.
NM_API nm_status nm_energy_trainer_create(nm_energy *energy, const nm_energy_set *set,
                                          const nm_energy_trainer_config *config, nm_energy_trainer **trainer,
                                          nm_error *error);
NM_API void nm_energy_trainer_destroy(nm_energy_trainer *trainer); ///< NULL is fine
/// One step; its mean loss. NM_E_NUMERIC when it is not finite: the energy is as before.
NM_API nm_status nm_energy_trainer_step(nm_energy_trainer *trainer, double *loss, nm_error *error);
/// Mean loss of an agent's ranking and its gradient [nm_energy_parameter_count, nullable, added to]; of agent `index`
/// of the set.
NM_API double nm_energy_set_loss(const nm_energy_set *set, const nm_energy *energy, uint64_t index, double *gradient);

/// What an energy says of the moments that are held (or not held).
typedef struct nm_energy_quality {
    double agent_loss;  ///< mean; log(1 + futures) knows nothing
    double agent_share; ///< of agents whose recorded future has less energy than each of the model's; 1 / (1 + futures)
    double scene_loss;  ///< the same of whole scenes, with the scale
    double scene_share;
} nm_energy_quality;
/// NaN without any moment.
NM_API nm_energy_quality nm_energy_set_quality(const nm_energy_set *set, const nm_energy *energy, int held);
/// Sets the scale to the one of least scene_loss on the held moments, in 0..10; without any it stays. NM_E_MEMORY.
NM_API nm_status nm_energy_fit_scale(const nm_energy_set *set, nm_energy *energy, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
