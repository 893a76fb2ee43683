#include "nexus/recipe.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/model_private.h"
#include "nexus/safetensors.h"

#define KEY "nearmiss_recipe"
#define START "nearmiss_start"

typedef enum kind { WHOLE, SWITCH, REAL } kind;

/// The numbers of a token configuration, by name. Ranges are nm_token_config_check's.
static const struct {
    const char *name;
    kind kind;
    size_t offset;
} numbers[] = {
    {"past", WHOLE, offsetof(nm_token_config, past)},
    {"future", WHOLE, offsetof(nm_token_config, future)},
    {"agents", WHOLE, offsetof(nm_token_config, agents)},
    {"map_features", WHOLE, offsetof(nm_token_config, map_features)},
    {"map_polylines", WHOLE, offsetof(nm_token_config, map_polylines)},
    {"map_points", WHOLE, offsetof(nm_token_config, map_points)},
    {"paths", SWITCH, offsetof(nm_token_config, paths)},
    {"statics", SWITCH, offsetof(nm_token_config, statics)},
    {"range", REAL, offsetof(nm_token_config, range)},
    {"map_piece", REAL, offsetof(nm_token_config, map_piece)},
    {"map_range", REAL, offsetof(nm_token_config, map_range)},
    {"position_scale", REAL, offsetof(nm_token_config, position_scale)},
    {"heading_scale", REAL, offsetof(nm_token_config, heading_scale)},
    {"speed_scale", REAL, offsetof(nm_token_config, speed_scale)},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static nm_status wrong(const cJSON *item, nm_error *error) {
    return NM_ERROR(error, NM_E_FORMAT, "recipe of the model: '%.60s' has a value that makes no sense", item->string);
}

static nm_status take_number(const cJSON *item, size_t index, nm_token_config *tokens, nm_error *error) {
    char *at = (char *)tokens + numbers[index].offset;
    const double value = item->valuedouble;
    if (!cJSON_IsNumber(item) || !(fabs(value) < 4e9)) return wrong(item, error);
    if (numbers[index].kind == REAL) {
        *(double *)at = value;
        return NM_OK;
    }
    if (value < 0.0 || value != floor(value)) return wrong(item, error);
    if (numbers[index].kind == SWITCH)
        *(int *)at = value != 0.0;
    else
        *(uint32_t *)at = (uint32_t)value;
    return NM_OK;
}

static nm_status take_text(const cJSON *item, nm_recipe *r, nm_error *error) {
    const char *text = cJSON_GetStringValue(item);
    if (!text) return wrong(item, error);
    if (strcmp(item->string, "name") == 0) {
        snprintf(r->name, sizeof r->name, "%s", text);
        return NM_OK;
    }
    if (strcmp(item->string, "prior") == 0)
        return nm_prior_parse(text, &r->prior, NULL) == NM_OK ? NM_OK : wrong(item, error);
    if (strcmp(item->string, "encoding") == 0) {
        r->tokens.encoding = strcmp(text, "agent") == 0 ? NM_TOKENS_AGENT : NM_TOKENS_EGO;
        return r->tokens.encoding == NM_TOKENS_EGO && strcmp(text, "ego") != 0 ? wrong(item, error) : NM_OK;
    }
    for (int i = NM_SNR_COSINE; i <= NM_SNR_SHIFTED_COSINE; ++i) {
        if (strcmp(text, nm_snr_schedule_name((nm_snr_schedule)i)) != 0) continue;
        r->snr = (nm_snr_schedule)i;
        return NM_OK;
    }
    return wrong(item, error);
}

/// "blocks", "block_memory" and "block_causal"; nm_block_config_check has the ranges.
static nm_status take_blocks(const cJSON *item, nm_recipe *r, nm_error *error) {
    const double value = item->valuedouble;
    const int causal = strcmp(item->string, "block_causal") == 0;
    if (!cJSON_IsNumber(item) || !(value >= 0.0 && value <= (causal ? 1.0 : 1024.0)) || value != floor(value))
        return wrong(item, error);
    if (causal)
        r->blocks.causal = value != 0.0;
    else
        *(strcmp(item->string, "blocks") == 0 ? &r->blocks.size : &r->blocks.memory) = (uint32_t)value;
    return NM_OK;
}

static nm_status take(const cJSON *item, nm_recipe *r, nm_error *error) {
    static const char *const texts[] = {"name", "prior", "encoding", "snr"};
    static const char *const of_blocks[] = {"blocks", "block_memory", "block_causal"};
    for (size_t i = 0; i < NUMBERS; ++i)
        if (strcmp(item->string, numbers[i].name) == 0) return take_number(item, i, &r->tokens, error);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i)
        if (strcmp(item->string, texts[i]) == 0) return take_text(item, r, error);
    for (size_t i = 0; i < sizeof of_blocks / sizeof *of_blocks; ++i)
        if (strcmp(item->string, of_blocks[i]) == 0) return take_blocks(item, r, error);
    if (strcmp(item->string, "steps") != 0)
        return NM_ERROR(error, NM_E_FORMAT, "recipe of the model: there is no '%.60s'", item->string);
    const double steps = item->valuedouble;
    if (!cJSON_IsNumber(item) || !(steps >= 0.0 && steps < 9e15) || steps != floor(steps)) return wrong(item, error);
    r->steps = (uint64_t)steps;
    return NM_OK;
}

/// Which of two values would hold is nothing to guess at. A recipe has few keys: those it may have, and one more.
static nm_status refuse_twice(const cJSON *document, nm_error *error) {
    enum { MOST = NUMBERS + 8 };
    const cJSON *seen[MOST], *item;
    size_t count = 0;
    cJSON_ArrayForEach(item, document) {
        for (size_t i = 0; i < count; ++i)
            if (strcmp(seen[i]->string, item->string) == 0)
                return NM_ERROR(error, NM_E_FORMAT, "recipe of the model: '%.60s' is there twice", item->string);
        if (count == MOST) return NM_OK; // some of them there is not: the caller finds it
        seen[count++] = item;
    }
    return NM_OK;
}

nm_status nm_recipe_parse(const char *json, nm_recipe *recipe, nm_error *error) {
    cJSON *document = cJSON_ParseWithOpts(json, NULL, 1); // and nothing after it
    nm_status status = NM_OK;
    if (!cJSON_IsObject(document)) status = NM_ERROR(error, NM_E_FORMAT, "recipe of the model: no JSON object");
    if (status == NM_OK) status = refuse_twice(document, error);
    const cJSON *item;
    if (status == NM_OK) {
        cJSON_ArrayForEach(item, document) {
            status = take(item, recipe, error);
            if (status != NM_OK) break;
        }
    }
    const int memory = cJSON_GetObjectItemCaseSensitive(document, "block_memory") != NULL;
    const int causal = cJSON_GetObjectItemCaseSensitive(document, "block_causal") != NULL;
    cJSON_Delete(document);
    if (status == NM_OK && (memory || causal) && !recipe->blocks.size)
        status = NM_ERROR(error, NM_E_FORMAT, "recipe of the model: %s is of blocks, and there are none",
                          memory ? "block_memory" : "block_causal");
    nm_error reason;
    nm_error_clear(&reason);
    if (status == NM_OK && nm_token_config_check(&recipe->tokens, &reason) != NM_OK)
        status = NM_ERROR(error, NM_E_FORMAT, "recipe of the model: %s", reason.message);
    if (status == NM_OK && nm_block_config_check(&recipe->blocks, &recipe->tokens, &reason) != NM_OK)
        status = NM_ERROR(error, NM_E_FORMAT, "recipe of the model: %s", reason.message);
    if (status == NM_OK && recipe->prior != NM_PRIOR_NONE && recipe->tokens.encoding != NM_TOKENS_AGENT)
        status = NM_ERROR(error, NM_E_FORMAT, "recipe of the model: only tokens in own frames have a prior");
    if (status == NM_OK && recipe->prior == NM_PRIOR_LANE && !recipe->tokens.paths)
        status = NM_ERROR(error, NM_E_FORMAT, "recipe of the model: the prior 'lane' needs paths");
    return status;
}

char *nm_recipe_format(const nm_recipe *r) {
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "name", r->name);
    cJSON_AddStringToObject(document, "encoding", r->tokens.encoding == NM_TOKENS_AGENT ? "agent" : "ego");
    cJSON_AddStringToObject(document, "snr", nm_snr_schedule_name(r->snr));
    cJSON_AddStringToObject(document, "prior", nm_prior_name(r->prior));
    cJSON_AddNumberToObject(document, "steps", (double)r->steps);
    for (size_t i = 0; i < NUMBERS; ++i) {
        const char *at = (const char *)&r->tokens + numbers[i].offset;
        const double value = numbers[i].kind == REAL     ? *(const double *)at
                             : numbers[i].kind == SWITCH ? (double)*(const int *)at
                                                         : (double)*(const uint32_t *)at;
        cJSON_AddNumberToObject(document, numbers[i].name, value);
    }
    if (r->blocks.size) {
        cJSON_AddNumberToObject(document, "blocks", r->blocks.size);
        cJSON_AddNumberToObject(document, "block_memory", r->blocks.memory);
        if (r->blocks.causal) cJSON_AddNumberToObject(document, "block_causal", 1); // else as before there was any
    }
    char *text = cJSON_PrintUnformatted(document);
    cJSON_Delete(document);
    return text;
}

nm_status nm_recipe_check(const nm_recipe *recipe, const nm_model *model, nm_error *error) {
    const nm_model_config *c = nm_model_get_config(model);
    const nm_token_config *t = &recipe->tokens;
    nm_model_config fit = *c;
    nm_token_fit_model(t, &fit);
    if (c->channels != fit.channels || c->conditions != fit.conditions || c->map_channels != fit.map_channels)
        return NM_ERROR(error, NM_E_FORMAT,
                        "the network has %u channels, %u conditions, %u map channels; its recipe's tokens %u, %u, %u",
                        c->channels, c->conditions, c->map_channels, fit.channels, fit.conditions, fit.map_channels);
    if (nm_model_is_joint(c) && t->encoding != NM_TOKENS_AGENT)
        return NM_ERROR(error, NM_E_FORMAT, "the network's attention is '%s', which needs tokens in own frames",
                        nm_attention_name(c->attention.kind));
    if (nm_model_is_joint(c) && recipe->blocks.size)
        return NM_ERROR(error, NM_E_FORMAT, "blocks need factored attention; the network's is '%s'",
                        nm_attention_name(c->attention.kind));
    if (c->map_encoder != fit.map_encoder)
        return NM_ERROR(error, NM_E_FORMAT, "the network's map encoder is not the one for its recipe's tokens");
    return NM_OK;
}

nm_status nm_recipe_save(const nm_recipe *recipe, const nm_model *model, const char *path, size_t shard_bytes,
                         nm_error *error) {
    char *text = nm_recipe_format(recipe);
    if (!text) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the recipe of a model");
    const nm_safetensors_text metadata[] = {{KEY, text}, {START, recipe->start}};
    const size_t count = recipe->start[0] ? 2 : 1;
    const nm_status status = nm_model_save_described(model, path, shard_bytes, metadata, count, error);
    free(text);
    return status;
}

static nm_status name_input(nm_status status, const char *path, nm_error *error) {
    if (error && !error->input[0])
        snprintf(error->input, sizeof error->input, "%.*s", (int)sizeof error->input - 1, path);
    return status;
}

static nm_status read_recipe(const char *path, nm_recipe *recipe, nm_error *error) {
    nm_safetensors *file;
    nm_status status = nm_safetensors_open(path, &file, error);
    if (status != NM_OK) return status;
    const char *text = nm_safetensors_metadata(file, KEY);
    if (text) status = nm_recipe_parse(text, recipe, error);
    const char *start = nm_safetensors_metadata(file, START);
    snprintf(recipe->start, sizeof recipe->start, "%s", start ? start : "");
    nm_safetensors_close(file);
    return status == NM_OK ? NM_OK : name_input(status, path, error);
}

nm_status nm_recipe_load(const char *path, nm_backend *backend, nm_model **model, nm_recipe *recipe, nm_error *error) {
    *model = NULL;
    *recipe = (nm_recipe){
        .tokens = nm_token_config_default(NM_TOKENS_EGO), .blocks = nm_block_config_default(), .name = "published"};
    nm_model *m = NULL;
    nm_status status = read_recipe(path, recipe, error);
    if (status == NM_OK) status = nm_model_load(path, NULL, backend, &m, error);
    if (status != NM_OK) return status;
    status = nm_recipe_check(recipe, m, error);
    if (status != NM_OK) {
        nm_model_destroy(m);
        return name_input(status, path, error);
    }
    *model = m;
    return NM_OK;
}
