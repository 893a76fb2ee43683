#include "tools/energy_option.h"

#include <string.h>

#include "base/decimal.h"
#include "scenarios/future_sampler.h"

nm_energy_options nm_energy_options_default(void) {
    return (nm_energy_options){.temperature = 1.0};
}

void nm_energy_option_table(nm_energy_options *o, nm_option *to) {
    const nm_option table[NM_ENERGY_OPTIONS] = {
        {"energy", NM_OPTION_TEXT, &o->energy, "F",
         "energy by which one of several candidates of each future is chosen, as nearmiss train --energy makes it", 0,
         0},
        {"candidates", NM_OPTION_INTEGER, &o->candidates, "K",
         "of each future, with --energy (default 4); several can not be with --agree, --reduce map= or skip=, --reuse "
         "compare, or --guidance ahead=",
         1, NM_CANDIDATES_MOST},
        {"window", NM_OPTION_TEXT, &o->window, "A:B",
         "shares of the passes, 0 to 1: candidates of high energy are replaced after A and later, one goes on alone "
         "after B (default 1:1, whole futures)",
         0, 0},
        {"choose", NM_OPTION_TEXT, &o->choose, "NAME",
         "sampled: a candidate by its weight, exp(-energy) (default); best: the one of least energy", 0, 0},
        {"temperature", NM_OPTION_REAL, &o->temperature, "T", "energies are divided by it (default 1)", 1e-6, 1e6},
    };
    memcpy(to, table, sizeof table);
}

static nm_status read_window(const char *text, nm_candidates_config *c, nm_error *error) {
    const size_t first = strcspn(text, ":");
    if (text[first] != ':' || !nm_decimal_parse(text, first, &c->first) ||
        !nm_decimal_parse(text + first + 1, strlen(text + first + 1), &c->last) ||
        !(c->first >= 0.0 && c->first <= c->last && c->last <= 1.0))
        return NM_ERROR(error, NM_E_ARGUMENT, "--window wants A:B, 0 <= A <= B <= 1");
    return NM_OK;
}

nm_status nm_energy_option_read(const nm_energy_options *o, nm_candidates_config *c, nm_error *error) {
    *c = nm_candidates_config_default();
    if (!o->energy) {
        if (o->candidates || o->window || o->choose || o->temperature != 1.0)
            return NM_ERROR(error, NM_E_ARGUMENT,
                            "--candidates, --window, --choose and --temperature are of --energy, which is missing");
        return NM_OK;
    }
    c->count = o->candidates ? (uint32_t)o->candidates : 4;
    c->temperature = o->temperature;
    nm_status status = o->window ? read_window(o->window, c, error) : NM_OK;
    if (status == NM_OK && o->choose) status = nm_candidate_choice_parse(o->choose, &c->choice, error);
    if (status == NM_OK && c->choice == NM_CHOOSE_BEST && o->temperature != 1.0)
        status = NM_ERROR(error, NM_E_ARGUMENT, "--temperature changes nothing with --choose best");
    return status;
}

nm_status nm_energy_option_check(const nm_candidates_config *c, const nm_agreement *agreement,
                                 const nm_reuse_config *reuse, const nm_guidance_config *guidance, nm_error *error) {
    if (c->count > 1 && nm_agreement_is_on(agreement))
        return NM_ERROR(error, NM_E_ARGUMENT, "either --energy with several --candidates, or --agree, not both");
    if (c->count > 1 && reuse->on && (reuse->map >= 0.0f || reuse->skip_end > reuse->skip_first || reuse->compare))
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "either --energy with several --candidates, or --reduce map= and skip=, which keep what was of "
                        "another candidate, and --reuse compare, not both");
    if (c->count > 1 && guidance->ahead != NM_GUIDANCE_NO_LIMIT)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "either --energy with several --candidates, or --guidance ahead=, not both: candidates are "
                        "compared by all that is predicted of them");
    return nm_future_ahead_check(guidance, c, agreement, error);
}

nm_status nm_energy_option_open(const nm_energy_options *o, const nm_model *model, const nm_recipe *recipe,
                                nm_energy **energy, nm_error *error) {
    uint64_t hash = 0;
    *energy = NULL;
    if (!o->energy) return NM_OK;
    if (recipe->blocks.size)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "--energy chooses among candidates of whole futures, and '%s' was trained on blocks",
                        recipe->name);
    nm_status status = nm_energy_load(o->energy, energy, error);
    if (status == NM_OK) status = nm_model_hash(model, &hash, error);
    if (status == NM_OK) status = nm_energy_check_model(*energy, hash, error);
    if (status == NM_OK) return NM_OK;
    nm_energy_destroy(*energy);
    *energy = NULL;
    return status;
}
