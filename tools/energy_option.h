/// The options --energy, --candidates, --window and --choose of commands that sample.
#ifndef NM_TOOLS_ENERGY_OPTION_H
#define NM_TOOLS_ENERGY_OPTION_H

#include "nexus/energy.h"
#include "nexus/generator.h"
#include "nexus/guidance.h"
#include "tools/cli.h"

/// As typed. Begin with nm_energy_options_default().
typedef struct nm_energy_options {
    const char *energy, *window, *choose; ///< NULL = not given
    double temperature;
    int64_t candidates;
} nm_energy_options;
nm_energy_options nm_energy_options_default(void);

#define NM_ENERGY_OPTIONS 5
/// Fills NM_ENERGY_OPTIONS entries of a table of options.
void nm_energy_option_table(nm_energy_options *options, nm_option *to);
/// What they say, but for the energy. NM_E_ARGUMENT: usage.
nm_status nm_energy_option_read(const nm_energy_options *options, nm_candidates_config *candidates, nm_error *error);
/// What several candidates, and guidance with `ahead`, can not be with, as far as options say so. NM_E_ARGUMENT: usage.
nm_status nm_energy_option_check(const nm_candidates_config *candidates, const nm_agreement *agreement,
                                 const nm_reuse_config *reuse, const nm_guidance_config *guidance, nm_error *error);
/// Loads the energy, if one is named, and checks that it is the model's. NM_E_ARGUMENT where the model was trained on
/// blocks.
nm_status nm_energy_option_open(const nm_energy_options *options, const nm_model *model, const nm_recipe *recipe,
                                nm_energy **energy, nm_error *error);

#endif
