#include "tools/train_start.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "tools/shipped_model.h"

/// A key, as the configuration has it and as the weights do.
typedef struct pair {
    const char *key;
    double ours, theirs;
} pair;

/// What does not fit, one after another.
typedef struct differences {
    char text[340]; ///< what a message has room for
    size_t length;
    int more; ///< 1 = it had no room for all
} differences;

static void add(differences *d, const char *key, const char *ours, const char *theirs) {
    if (d->more) return;
    const size_t room = sizeof d->text - d->length;
    const int length = snprintf(d->text + d->length, room, "%sits %s is %s, the configuration's %s",
                                d->length ? "; " : "", key, theirs, ours);
    d->more |= length < 0 || (size_t)length >= room;
    if (d->more)
        d->text[d->length] = '\0'; // whole ones only
    else
        d->length += (size_t)length;
}

static void compare(differences *d, const pair *pairs, size_t count) {
    char ours[32], theirs[32];
    for (size_t i = 0; i < count; ++i) {
        if (pairs[i].ours == pairs[i].theirs) continue;
        snprintf(ours, sizeof ours, "%.9g", pairs[i].ours);
        snprintf(theirs, sizeof theirs, "%.9g", pairs[i].theirs);
        add(d, pairs[i].key, ours, theirs);
    }
}

static void compare_names(differences *d, const char *key, const char *our, const char *their) {
    char ours[32], theirs[32];
    if (strcmp(our, their) == 0) return;
    snprintf(ours, sizeof ours, "'%s'", our);
    snprintf(theirs, sizeof theirs, "'%s'", their);
    add(d, key, ours, theirs);
}

static void compare_recipes(const nm_train_config *config, const nm_recipe *r, differences *d) {
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
    const nm_trainer_config *t = &config->trainer;
    compare_names(d, "tokens.encoding", encodings[a->encoding], encodings[b->encoding]);
    compare(d, pairs, sizeof pairs / sizeof *pairs);
    if (a->encoding == NM_TOKENS_AGENT && b->encoding == NM_TOKENS_AGENT)
        compare(d, scales, sizeof scales / sizeof *scales);
    compare_names(d, "noise.snr", nm_snr_schedule_name(t->snr), nm_snr_schedule_name(r->snr));
    compare_names(d, "noise.prior", nm_prior_name(t->prior), nm_prior_name(r->prior));
}

static void compare_networks(const nm_train_config *config, const nm_model_config *b, differences *d) {
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
    if (nm_model_is_joint(a) != nm_model_is_joint(b))
        compare_names(d, "model.attention", nm_attention_name(a->attention.kind), nm_attention_name(b->attention.kind));
    compare(d, pairs, sizeof pairs / sizeof *pairs);
    if (a->map_encoder == NM_MAP_PERCEIVER && b->map_encoder == NM_MAP_PERCEIVER)
        compare(d, of_perceiver, sizeof of_perceiver / sizeof *of_perceiver);
}

static nm_status refuse_other(const nm_train_config *config, const nm_recipe *recipe, const nm_model *model,
                              nm_error *error) {
    differences d = {.length = 0};
    compare_recipes(config, recipe, &d);
    compare_networks(config, nm_model_get_config(model), &d);
    if (!d.length) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT, "start: '%.120s' can not be gone on from: %s%s", config->start, d.text,
                    d.more ? "; and more" : "");
}

nm_status nm_train_start(const nm_train_config *config, nm_backend *backend, nm_model **model, nm_error *error) {
    char path[NM_MODEL_PATH];
    nm_recipe recipe;
    nm_model *m = NULL;
    *model = NULL;
    nm_status status = nm_shipped_model(config->start, path, error);
    if (status == NM_OK) status = nm_recipe_load(path, backend, &m, &recipe, error);
    if (status == NM_OK) status = refuse_other(config, &recipe, m, error);
    // one joint kind goes on as the other, and from the first step on: the next call makes the configuration's
    if (status == NM_OK && nm_model_is_joint(&config->model))
        status = nm_model_set_attention(m, &config->model.attention, error);
    if (status == NM_OK)
        *model = m;
    else
        nm_model_destroy(m);
    return status;
}
