#include "tools/train_start.h"

#include <stddef.h>

#include "tools/shipped_model.h"

/// A key, as the configuration has it and as the weights do.
typedef struct pair {
    const char *key;
    double ours, theirs;
} pair;

static nm_status compare(const nm_train_config *config, const pair *pairs, size_t count, nm_error *error) {
    for (size_t i = 0; i < count; ++i) {
        if (pairs[i].ours == pairs[i].theirs) continue;
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "start: '%.120s' can not be gone on from: its %s is %.9g, the configuration's %.9g",
                        config->start, pairs[i].key, pairs[i].theirs, pairs[i].ours);
    }
    return NM_OK;
}

static nm_status compare_names(const nm_train_config *config, const char *key, const char *ours, const char *theirs,
                               int same, nm_error *error) {
    if (same) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT,
                    "start: '%.120s' can not be gone on from: its %s is '%s', the configuration's '%s'", config->start,
                    key, theirs, ours);
}

static nm_status compare_recipes(const nm_train_config *config, const nm_recipe *r, nm_error *error) {
    static const char *const encodings[] = {"ego", "agent"};
    const nm_token_config *a = &config->set.tokens, *b = &r->tokens;
    const pair pairs[] = {{"tokens.past", a->past, b->past},
                          {"tokens.future", a->future, b->future},
                          {"tokens.paths", a->paths, b->paths},
                          {"tokens.map_features", a->map_features, b->map_features},
                          {"tokens.map_points", a->map_points, b->map_points}};
    const pair scales[] = {{"tokens.position_scale", a->position_scale, b->position_scale},
                           {"tokens.heading_scale", a->heading_scale, b->heading_scale},
                           {"tokens.speed_scale", a->speed_scale, b->speed_scale}};
    nm_status status = compare_names(config, "tokens.encoding", encodings[a->encoding], encodings[b->encoding],
                                     a->encoding == b->encoding, error);
    if (status == NM_OK) status = compare(config, pairs, sizeof pairs / sizeof *pairs, error);
    if (status == NM_OK && a->encoding == NM_TOKENS_AGENT)
        status = compare(config, scales, sizeof scales / sizeof *scales, error);
    const nm_trainer_config *t = &config->trainer;
    if (status == NM_OK)
        status = compare_names(config, "noise.snr", nm_snr_schedule_name(t->snr), nm_snr_schedule_name(r->snr),
                               t->snr == r->snr, error);
    if (status == NM_OK)
        status = compare_names(config, "noise.prior", nm_prior_name(t->prior), nm_prior_name(r->prior),
                               t->prior == r->prior, error);
    return status;
}

static nm_status compare_networks(const nm_train_config *config, const nm_model_config *b, nm_error *error) {
    const nm_model_config *a = &config->model;
    const pair pairs[] = {{"model.hidden", a->hidden, b->hidden},
                          {"model.heads", a->heads, b->heads},
                          {"model.blocks", a->blocks, b->blocks},
                          {"model.widening", a->widening, b->widening},
                          {"model.frequencies", a->frequencies, b->frequencies},
                          {"model.rotary", a->rotary, b->rotary},
                          {"model.pose_bias", a->pose_bias, b->pose_bias},
                          {"map mask", (double)a->map_mask, (double)b->map_mask}};
    const pair of_perceiver[] = {{"model.latents", a->latents, b->latents},
                                 {"model.encoder_cross_heads", a->encoder_cross_heads, b->encoder_cross_heads},
                                 {"model.encoder_self_heads", a->encoder_self_heads, b->encoder_self_heads},
                                 {"model.encoder_rounds", a->encoder_rounds, b->encoder_rounds},
                                 {"model.encoder_layers", a->encoder_layers, b->encoder_layers}};
    nm_status status = compare(config, pairs, sizeof pairs / sizeof *pairs, error);
    if (status == NM_OK && a->map_encoder == NM_MAP_PERCEIVER)
        status = compare(config, of_perceiver, sizeof of_perceiver / sizeof *of_perceiver, error);
    return status;
}

nm_status nm_train_start(const nm_train_config *config, nm_backend *backend, nm_model **model, nm_error *error) {
    char path[NM_MODEL_PATH];
    nm_recipe recipe;
    nm_model *m = NULL;
    *model = NULL;
    nm_status status = nm_shipped_model(config->start, path, error);
    if (status == NM_OK) status = nm_recipe_load(path, backend, &m, &recipe, error);
    if (status == NM_OK) status = compare_recipes(config, &recipe, error);
    if (status == NM_OK) status = compare_networks(config, nm_model_get_config(m), error);
    if (status == NM_OK)
        *model = m;
    else
        nm_model_destroy(m);
    return status;
}
