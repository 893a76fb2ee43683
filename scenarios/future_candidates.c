#include "scenarios/future_candidates.h"

#include <stdlib.h>

struct nm_future_candidates {
    nm_energy_batch batch;
};

nm_status nm_future_candidates_create(const nm_energy *energy, const nm_candidates_config *config,
                                      const nm_token_config *tokens, nm_generator_config *generator,
                                      nm_future_candidates **candidates, nm_error *error) {
    *candidates = NULL;
    generator->candidates = nm_candidates_config_default();
    if (config->count == 1) return nm_candidates_config_check(config, error);
    if (!energy) return NM_ERROR(error, NM_E_ARGUMENT, "%u candidates, and no energy to choose by", config->count);
    nm_future_candidates *c = calloc(1, sizeof *c);
    const nm_energy_reader_config reader = {.max_tokens = tokens->agents * nm_token_count(tokens),
                                            .past = tokens->past,
                                            .future = tokens->future,
                                            .encoding = nm_token_state_encoding(tokens),
                                            .dt = 0.1f * (float)NM_TOKEN_STEPS};
    if (c) c->batch.rows = calloc((size_t)reader.max_tokens * NM_ENERGY_ROW, sizeof *c->batch.rows);
    nm_status status =
        c && c->batch.rows ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for choosing among candidates");
    if (status == NM_OK) status = nm_energy_reader_create(&reader, &c->batch.reader, error);
    if (status != NM_OK) {
        nm_future_candidates_destroy(c);
        return status;
    }
    c->batch.energy = energy;
    generator->candidates = *config;
    generator->candidates.energy = nm_energy_of_batch;
    generator->candidates.context = &c->batch;
    *candidates = c;
    return NM_OK;
}

void nm_future_candidates_destroy(nm_future_candidates *c) {
    if (!c) return;
    nm_energy_reader_destroy(c->batch.reader);
    free(c->batch.rows);
    free(c);
}

void nm_future_candidates_set(nm_future_candidates *c, const nm_guided_scene *scenes, uint32_t count) {
    c->batch.scenes = scenes;
    c->batch.scene_count = count;
}
