/// A trained model and what its tokens mean: weights alone are of no use without the encoding they were trained for.
#ifndef NM_NEXUS_RECIPE_H
#define NM_NEXUS_RECIPE_H

#include "nexus/blocks.h"
#include "nexus/prior.h"

#ifdef __cplusplus
extern "C" {
#endif

/// In the weights file as metadata: key "nearmiss_recipe", one JSON object with these names (enumerations as text).
typedef struct nm_recipe {
    nm_token_config tokens;
    nm_snr_schedule snr;
    nm_prior prior;
    nm_block_config blocks; ///< size 0: all of the future at once, in any order; else block by block (block_cache.h)
    uint64_t steps;         ///< of training
    char name[64];          ///< of the model, for people
    char start[256];        ///< weights that training began with, as its configuration names them; empty: none. Not in
                     ///< the recipe's JSON but beside it, key "nearmiss_start": it changes nothing about the model
} nm_recipe;

/// Where `json` is silent the values of `recipe` stay; an unknown key, one that is there twice, a value of the wrong
/// type or out of range, and a prior that the encoding has not, are refused by name (NM_E_FORMAT).
NM_API nm_status nm_recipe_parse(const char *json, nm_recipe *recipe, nm_error *error);
/// The JSON text, the caller's (free); NULL without memory.
NM_API char *nm_recipe_format(const nm_recipe *recipe);

/// NM_E_FORMAT where the recipe's tokens are not those that the network was built for: channels, conditions, channels
/// and kind of map rows, frames for joint attention; and where joint attention is to go block by block.
NM_API nm_status nm_recipe_check(const nm_recipe *recipe, const nm_model *model, nm_error *error);

/// nm_model_save with the recipe in it.
NM_API nm_status nm_recipe_save(const nm_recipe *recipe, const nm_model *model, const char *path, size_t shard_bytes,
                                nm_error *error);
/// nm_model_load, and the recipe. A file without one is taken as the published model: NM_TOKENS_EGO as published, no
/// prior. NM_E_FORMAT where nm_recipe_check says so.
NM_API nm_status nm_recipe_load(const char *path, nm_backend *backend, nm_model **model, nm_recipe *recipe,
                                nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
