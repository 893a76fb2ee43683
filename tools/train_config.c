#include "tools/train_config.h"

#include <assert.h>
#include <fnmatch.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define FIELD(name, kind, type, member, least, most)                                                                   \
    { name, kind, offsetof(type, member), least, most, NULL }
#define CHOICE(name, type, member, list)                                                                               \
    { name, NM_CONFIG_CHOICE, offsetof(type, member), 0, 0, list }
#define COUNT(table) (sizeof(table) / sizeof *(table))

// The order of names is that of the enumerations.
static_assert(NM_TOKENS_EGO == 0 && NM_TOKENS_AGENT == 1, "encodings");
static_assert(NM_PRIOR_NONE == 0 && NM_PRIOR_STRAIGHT == 1 && NM_PRIOR_BRIDGE == 2 && NM_PRIOR_LANE == 3, "priors");
static_assert(NM_SNR_COSINE == 0 && NM_SNR_SHIFTED_COSINE == 1, "schedules");
static_assert(NM_LOSS_PUBLISHED == 0 && NM_LOSS_V == 1, "losses");
static_assert(NM_ATTENTION_FACTORED == 0 && NM_ATTENTION_FULL == 1 && NM_ATTENTION_BLOCKS == 2, "attentions");
static_assert(NM_TRAIN_F32 == 0 && NM_TRAIN_BF16 == 1, "precisions");
static const char default_name[] = "model";
static const char *const encodings[] = {"ego", "agent", NULL};
static const char *const priors[] = {"none", "straight", "bridge", "lane", NULL};
static const char *const schedules[] = {"cosine", "shifted_cosine", NULL};
static const char *const losses[] = {"published", "v", NULL};
static const char *const attentions[] = {"factored", "full", "blocks", NULL};
static const char *const precisions[] = {"f32", "bf16", NULL};

static const nm_config_field model_fields[] = {
    FIELD("hidden", NM_CONFIG_U32, nm_model_config, hidden, 8, 4096),
    FIELD("heads", NM_CONFIG_U32, nm_model_config, heads, 1, 256),
    FIELD("blocks", NM_CONFIG_U32, nm_model_config, blocks, 1, 64),
    FIELD("widening", NM_CONFIG_U32, nm_model_config, widening, 1, 16),
    FIELD("frequencies", NM_CONFIG_U32, nm_model_config, frequencies, 2, 1024),
    FIELD("latents", NM_CONFIG_U32, nm_model_config, latents, 1, 4096),
    FIELD("encoder_cross_heads", NM_CONFIG_U32, nm_model_config, encoder_cross_heads, 1, 256),
    FIELD("encoder_self_heads", NM_CONFIG_U32, nm_model_config, encoder_self_heads, 1, 256),
    FIELD("encoder_rounds", NM_CONFIG_U32, nm_model_config, encoder_rounds, 0, 16),
    FIELD("encoder_layers", NM_CONFIG_U32, nm_model_config, encoder_layers, 0, 16),
    FIELD("rotary", NM_CONFIG_SWITCH, nm_model_config, rotary, 0, 1),
    FIELD("pose_bias", NM_CONFIG_SWITCH, nm_model_config, pose_bias, 0, 1),
    CHOICE("attention", nm_model_config, attention.kind, attentions),
    FIELD("block_target", NM_CONFIG_U32, nm_model_config, attention.target, NM_BLOCK_MIN, NM_BLOCK_MAX),
    FIELD("block_tau", NM_CONFIG_F32, nm_model_config, attention.tau, 0, 1),
};

static const nm_config_field token_fields[] = {
    CHOICE("encoding", nm_token_config, encoding, encodings),
    FIELD("past", NM_CONFIG_U32, nm_token_config, past, 0, 64),
    FIELD("future", NM_CONFIG_U32, nm_token_config, future, 0, 256),
    FIELD("agents", NM_CONFIG_U32, nm_token_config, agents, 1, 65536),
    FIELD("range", NM_CONFIG_F64, nm_token_config, range, 1e-3, 1e7),
    FIELD("statics", NM_CONFIG_SWITCH, nm_token_config, statics, 0, 1),
    FIELD("paths", NM_CONFIG_SWITCH, nm_token_config, paths, 0, 1),
    FIELD("map_features", NM_CONFIG_U32, nm_token_config, map_features, 0, 7),
    FIELD("map_polylines", NM_CONFIG_U32, nm_token_config, map_polylines, 0, 4096),
    FIELD("map_points", NM_CONFIG_U32, nm_token_config, map_points, 2, 64),
    FIELD("map_piece", NM_CONFIG_F64, nm_token_config, map_piece, 1, 1e4),
    FIELD("map_range", NM_CONFIG_F64, nm_token_config, map_range, 1e-3, 1e7),
    FIELD("position_scale", NM_CONFIG_F64, nm_token_config, position_scale, 1e-3, 1e6),
    FIELD("heading_scale", NM_CONFIG_F64, nm_token_config, heading_scale, 1e-3, 1e6),
    FIELD("speed_scale", NM_CONFIG_F64, nm_token_config, speed_scale, 1e-3, 1e6),
};

#define NOISE(name, family)                                                                                            \
    { name, NM_CONFIG_F32, offsetof(nm_trainer_config, mask.weight) + (family) * sizeof(float), 0, 1e6, NULL }
static const nm_config_field noise_fields[] = {
    CHOICE("snr", nm_trainer_config, snr, schedules),
    CHOICE("loss", nm_trainer_config, loss, losses),
    CHOICE("prior", nm_trainer_config, prior, priors),
    NOISE("scene", NM_NOISE_SCENE),
    NOISE("rising", NM_NOISE_RISING),
    NOISE("agent", NM_NOISE_AGENT),
    NOISE("token", NM_NOISE_TOKEN),
    NOISE("smooth", NM_NOISE_SMOOTH),
    FIELD("threshold", NM_CONFIG_F32, nm_trainer_config, mask.threshold, 0, 1),
    FIELD("behaviour", NM_CONFIG_F32, nm_trainer_config, mask.behaviour, 0, 1),
    FIELD("goals", NM_CONFIG_F32, nm_trainer_config, mask.goals, 0, 1),
};

static const nm_config_field optimizer_fields[] = {
    FIELD("rate", NM_CONFIG_F32, nm_trainer_config, rate, 1e-9, 1),
    FIELD("final_rate", NM_CONFIG_F32, nm_trainer_config, final_rate, 0, 1),
    FIELD("warm_up", NM_CONFIG_U64, nm_trainer_config, warm_up, 0, 1e9),
    FIELD("beta1", NM_CONFIG_F32, nm_trainer_config, optimizer.beta1, 0, 0.999999),
    FIELD("beta2", NM_CONFIG_F32, nm_trainer_config, optimizer.beta2, 0, 0.999999),
    FIELD("epsilon", NM_CONFIG_F32, nm_trainer_config, optimizer.epsilon, 1e-12, 1),
    FIELD("decay", NM_CONFIG_F32, nm_trainer_config, optimizer.decay, 0, 1),
    FIELD("clip", NM_CONFIG_F32, nm_trainer_config, optimizer.clip, 0, 1e6),
    FIELD("ema", NM_CONFIG_F32, nm_trainer_config, optimizer.ema_decay, 0, 0.9999999),
};

static const nm_config_field augmentation_fields[] = {
    FIELD("mirror", NM_CONFIG_F32, nm_training_set_config, augmentation.mirror, 0, 1),
    FIELD("rotate", NM_CONFIG_F32, nm_training_set_config, augmentation.rotate, 0, 3.14159),
    FIELD("drop", NM_CONFIG_F32, nm_training_set_config, augmentation.drop, 0, 1),
    FIELD("history_noise", NM_CONFIG_F32, nm_training_set_config, augmentation.history_noise, 0, 10),
    FIELD("routes", NM_CONFIG_F32, nm_training_set_config, routes, 0, 1),
    FIELD("other_ego", NM_CONFIG_F32, nm_training_set_config, other_ego, 0, 1),
    FIELD("least_future", NM_CONFIG_U32, nm_training_set_config, least_future, 0, 256),
};

static const nm_config_field top_fields[] = {
    {"name", NM_CONFIG_TEXT, offsetof(nm_train_config, recipe.name), 0, 63, NULL}, // read by itself, see derive
    FIELD("seed", NM_CONFIG_U64, nm_train_config, trainer.seed, 0, 9007199254740992.0),
    FIELD("steps", NM_CONFIG_U64, nm_train_config, trainer.steps, 1, 1e12),
    FIELD("scenes", NM_CONFIG_U32, nm_train_config, trainer.scenes, 1, 4096),
    FIELD("accumulate", NM_CONFIG_U32, nm_train_config, trainer.accumulate, 1, 4096),
    FIELD("blocks", NM_CONFIG_U32, nm_train_config, trainer.blocks.size, 0, 256),
    FIELD("block_memory", NM_CONFIG_U32, nm_train_config, trainer.blocks.memory, 1, 1024),
    FIELD("block_parts", NM_CONFIG_U32, nm_train_config, set.parts, 0, 1024),
    FIELD("block_causal", NM_CONFIG_SWITCH, nm_train_config, trainer.blocks.causal, 0, 1),
    FIELD("block_next", NM_CONFIG_F32, nm_train_config, trainer.next, 0, 1000),
    FIELD("start", NM_CONFIG_TEXT, nm_train_config, start, 0, 255),
    CHOICE("precision", nm_train_config, precision, precisions),
    FIELD("checkpoint_seconds", NM_CONFIG_U32, nm_train_config, checkpoint_seconds, 1, 1e6),
    FIELD("shard_mb", NM_CONFIG_F64, nm_train_config, shard_mb, 0.01, 1e5),
};

static const nm_config_field validation_fields[] = {
    FIELD("examples", NM_CONFIG_U64, nm_train_config, validation_examples, 0, 1e6),
    FIELD("every", NM_CONFIG_U64, nm_train_config, validation_every, 1, 1e9),
};

#define SECTION(name, table, member)                                                                                   \
    { name, table, COUNT(table), offsetof(nm_train_config, member) }
static const nm_train_section sections[] = {
    {"", top_fields, COUNT(top_fields), 0},
    SECTION("tokens", token_fields, set.tokens),
    SECTION("model", model_fields, model),
    SECTION("noise", noise_fields, trainer),
    SECTION("optimizer", optimizer_fields, trainer),
    SECTION("augmentation", augmentation_fields, set),
    {"validation", validation_fields, COUNT(validation_fields), 0},
};

static const nm_config_field part_fields[] = {
    FIELD("weight", NM_CONFIG_F64, nm_train_part, weight, 1e-6, 1e6),
    FIELD("density", NM_CONFIG_F64, nm_train_part, density, 5, 150),
    FIELD("maps", NM_CONFIG_U32, nm_train_part, maps, 1, 1024),
};
static const nm_train_section part_section = {"data", part_fields, COUNT(part_fields), 0};

const nm_train_section *nm_train_sections(size_t *count) {
    *count = COUNT(sections);
    return sections;
}

const nm_train_section *nm_train_part_section(void) {
    return &part_section;
}

nm_train_part nm_train_part_default(void) {
    return (nm_train_part){.weight = 1.0, .density = 40.0, .maps = 64};
}

void nm_train_config_set_defaults(nm_token_encoding encoding, nm_train_config *c) {
    memset(c, 0, sizeof *c);
    c->set = nm_training_set_config_default(encoding);
    c->set.tokens.paths = encoding == NM_TOKENS_AGENT;
    c->model = nm_model_config_default();
    nm_token_fit_model(&c->set.tokens, &c->model);
    c->model.rotary = encoding == NM_TOKENS_AGENT;
    c->trainer = nm_trainer_config_default();
    c->trainer.prior = encoding == NM_TOKENS_AGENT ? NM_PRIOR_LANE : NM_PRIOR_NONE;
    c->precision = NM_TRAIN_BF16;
    c->validation_examples = 64;
    c->validation_every = 200;
    c->checkpoint_seconds = 60;
    c->shard_mb = 15.0;
    snprintf(c->recipe.name, sizeof c->recipe.name, "%s", default_name);
}

// ---------------------------------------------------------------------------------------------------------------------

/// "scenes": "NAME*" or ["NAME*", ...]
static nm_status read_patterns(const cJSON *item, const char *where, const char **patterns, nm_error *error) {
    size_t count = 0;
    const cJSON *one;
    if (cJSON_IsString(item)) {
        patterns[0] = item->valuestring;
        return NM_OK;
    }
    if (item && !cJSON_IsArray(item))
        return NM_ERROR(error, NM_E_FORMAT, "%s.%s must be a name or a list of names", where, item->string);
    cJSON_ArrayForEach(one, item) {
        if (!cJSON_IsString(one))
            return NM_ERROR(error, NM_E_FORMAT, "%s.%s must be a list of names", where, item->string);
        if (count + 1 >= NM_TRAIN_PATTERNS)
            return NM_ERROR(error, NM_E_LIMIT, "%s.%s has more than %d names", where, item->string,
                            NM_TRAIN_PATTERNS - 1);
        patterns[count++] = one->valuestring;
    }
    return NM_OK;
}

static nm_status read_part(const cJSON *item, const char *where, nm_train_part *part, nm_error *error) {
    static const char *const others[] = {"store", "shards", "simulate", "only", "without", NULL};
    *part = nm_train_part_default();
    nm_status status = nm_config_read(item, where, part_fields, COUNT(part_fields), others, part, error);
    if (status != NM_OK) return status;
    uint32_t given = 0;
    for (int i = 0; i < 3; ++i) {
        const cJSON *from = cJSON_GetObjectItemCaseSensitive(item, others[i]);
        if (!from) continue;
        if (!cJSON_IsString(from) || strlen(from->valuestring) >= sizeof part->path)
            return NM_ERROR(error, NM_E_FORMAT, "%s.%s must be a text of at most 255 bytes", where, others[i]);
        part->from = (nm_train_from)i;
        snprintf(part->path, sizeof part->path, "%s", from->valuestring);
        given++;
    }
    if (given != 1) return NM_ERROR(error, NM_E_FORMAT, "%s needs one of store, shards and simulate", where);
    const cJSON *only = cJSON_GetObjectItemCaseSensitive(item, "only");
    const cJSON *without = cJSON_GetObjectItemCaseSensitive(item, "without");
    if (part->from == NM_TRAIN_SIMULATE && (only || without))
        return NM_ERROR(error, NM_E_FORMAT, "%s is simulated: its scenes have no names to choose by", where);
    static const char *const of_simulations[] = {"density", "maps"};
    for (int i = 0; part->from != NM_TRAIN_SIMULATE && i < 2; ++i)
        if (cJSON_GetObjectItemCaseSensitive(item, of_simulations[i]))
            return NM_ERROR(error, NM_E_FORMAT, "%s.%s is of simulations only", where, of_simulations[i]);
    status = read_patterns(only, where, part->only, error);
    return status == NM_OK ? read_patterns(without, where, part->without, error) : status;
}

nm_status nm_train_read_parts(const cJSON *list, const char *name, nm_train_parts *parts, nm_error *error) {
    const cJSON *item;
    if (!cJSON_IsArray(list)) return NM_ERROR(error, NM_E_FORMAT, "%s must be a list [...]", name);
    cJSON_ArrayForEach(item, list) {
        char where[64];
        if (parts->count == NM_TRAIN_PARTS)
            return NM_ERROR(error, NM_E_LIMIT, "%s has more than %d parts", name, NM_TRAIN_PARTS);
        snprintf(where, sizeof where, "%s[%u]", name, parts->count);
        const nm_status status = read_part(item, where, &parts->part[parts->count], error);
        if (status != NM_OK) return status;
        parts->count++;
    }
    return NM_OK;
}

static int matches(const char *name, const char *const *patterns) {
    for (size_t i = 0; patterns[i]; ++i)
        if (fnmatch(patterns[i], name, 0) == 0) return 1;
    return 0;
}

int nm_train_part_wants(const nm_train_part *part, const char *name) {
    return (!part->only[0] || matches(name, part->only)) && !matches(name, part->without);
}

/// Defaults depend on the encoding, so that is looked at first.
static nm_status set_defaults(nm_train_config *c, nm_error *error) {
    cJSON *document = c->document;
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(document, "tokens");
    nm_token_config chosen = {.encoding = NM_TOKENS_AGENT};
    nm_status status = NM_OK;
    if (tokens) status = nm_config_read(tokens, "tokens", token_fields, COUNT(token_fields), NULL, &chosen, error);
    nm_train_config_set_defaults(chosen.encoding, c);
    c->document = document;
    return status;
}

/// Whatever is given of one section.
static nm_status read_section(nm_train_config *c, const nm_train_section *section, nm_error *error) {
    static const char *const of_top[] = {"model", "tokens",     "noise", "optimizer",      "augmentation",
                                         "data",  "validation", "name",  "block_schedule", NULL};
    static const char *const of_validation[] = {"data", NULL};
    const int top = section->name[0] == '\0';
    const cJSON *object = top ? c->document : cJSON_GetObjectItemCaseSensitive(c->document, section->name);
    if (!object) return NM_OK;
    const char *const *others = top ? of_top : strcmp(section->name, "validation") == 0 ? of_validation : NULL;
    return nm_config_read(object, section->name, section->fields, section->count, others, (char *)c + section->offset,
                          error);
}

/// [[step, size], ...]
static nm_status read_schedule(const cJSON *list, nm_block_growth *growth, nm_error *error) {
    const cJSON *item;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1 || cJSON_GetArraySize(list) > NM_BLOCK_STAGES)
        return NM_ERROR(error, NM_E_FORMAT, "block_schedule must be a list of 1 to %d pairs [step, size]",
                        NM_BLOCK_STAGES);
    cJSON_ArrayForEach(item, list) {
        const cJSON *of[] = {cJSON_GetArrayItem(item, 0), cJSON_GetArrayItem(item, 1)};
        static const double most[] = {1e12, 256.0};
        int right = cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2;
        for (int i = 0; right && i < 2; ++i) {
            const double value = of[i]->valuedouble;
            right = cJSON_IsNumber(of[i]) && value >= 0.0 && value <= most[i] && value == floor(value);
        }
        if (!right)
            return NM_ERROR(error, NM_E_FORMAT, "block_schedule[%u] must be a pair of whole numbers, [step, size]",
                            growth->count);
        growth->stage[growth->count++] = (nm_block_stage){(uint64_t)of[0]->valuedouble, (uint32_t)of[1]->valuedouble};
    }
    return NM_OK;
}

static nm_status read_sections(nm_train_config *c, nm_error *error) {
    const cJSON *d = c->document;
    for (size_t i = 0; i < COUNT(sections); ++i) {
        const nm_status status = read_section(c, &sections[i], error);
        if (status != NM_OK) return status;
        if (sections[i].fields != token_fields) continue;
        nm_token_fit_model(&c->set.tokens, &c->model); // after which the configuration may switch the pose bias off
        if (c->set.least_future > c->set.tokens.future) c->set.least_future = c->set.tokens.future;
    }
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(d, "data");
    const cJSON *held = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(d, "validation"), "data");
    if (!data) return NM_ERROR(error, NM_E_FORMAT, "data is missing: what to train on");
    nm_status status = nm_train_read_parts(data, "data", &c->data, error);
    if (status == NM_OK && held) status = nm_train_read_parts(held, "validation.data", &c->validation, error);
    const cJSON *schedule = cJSON_GetObjectItemCaseSensitive(d, "block_schedule");
    return status == NM_OK && schedule ? read_schedule(schedule, &c->trainer.growth, error) : status;
}

/// Keys of a section that the encoding does not know would be ignored: they are refused.
static nm_status refuse_keys(const nm_train_config *c, const char *name, const char *const *keys, nm_error *error) {
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(c->document, name);
    for (size_t i = 0; keys[i]; ++i)
        if (cJSON_GetObjectItemCaseSensitive(object, keys[i]))
            return NM_ERROR(error, NM_E_FORMAT, "%s.%s changes nothing with tokens.encoding '%s'", name, keys[i],
                            encodings[c->set.tokens.encoding]);
    return NM_OK;
}

static nm_status check_encoding(const nm_train_config *c, nm_error *error) {
    static const char *const of_ego[] = {"latents",        "encoder_cross_heads", "encoder_self_heads",
                                         "encoder_rounds", "encoder_layers",      NULL};
    static const char *const of_agent[] = {"position_scale", "heading_scale", "speed_scale", "paths", NULL};
    if (c->set.tokens.encoding == NM_TOKENS_AGENT) return refuse_keys(c, "model", of_ego, error);
    return refuse_keys(c, "tokens", of_agent, error);
}

static nm_status check_blocks(const nm_train_config *c, nm_error *error) {
    static const char *const of_blocks[] = {"block_memory", "block_parts", "block_causal", "block_next",
                                            "block_schedule"};
    for (size_t i = 0; i < COUNT(of_blocks) && !c->trainer.blocks.size; ++i) {
        if (cJSON_GetObjectItemCaseSensitive(c->document, of_blocks[i]))
            return NM_ERROR(error, NM_E_FORMAT, "%s changes nothing without blocks", of_blocks[i]);
    }
    return NM_OK;
}

/// Joint attention has no biases by poses, which tokens in own frames have unless told otherwise.
static nm_status check_attention(nm_train_config *c, nm_error *error) {
    static const char *const of_blocks[] = {"block_target", "block_tau"};
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(c->document, "model");
    const char *kind = nm_attention_name(c->model.attention.kind);
    for (int i = 0; i < 2 && c->model.attention.kind != NM_ATTENTION_BLOCKS; ++i)
        if (cJSON_GetObjectItemCaseSensitive(model, of_blocks[i]))
            return NM_ERROR(error, NM_E_FORMAT, "model.%s changes nothing with model.attention '%s'", of_blocks[i],
                            kind);
    if (!nm_model_is_joint(&c->model)) return NM_OK;
    if (c->set.tokens.encoding != NM_TOKENS_AGENT)
        return NM_ERROR(error, NM_E_FORMAT, "model.attention '%s' needs tokens.encoding 'agent'", kind);
    if (c->trainer.blocks.size)
        return NM_ERROR(error, NM_E_FORMAT, "blocks need model.attention 'factored', not '%s'", kind);
    if (!cJSON_GetObjectItemCaseSensitive(model, "pose_bias")) c->model.pose_bias = 0;
    return NM_OK;
}

static nm_status check(nm_train_config *c, nm_error *error) {
    const nm_token_config *tokens = &c->set.tokens;
    nm_status status = nm_token_config_check(tokens, error);
    if (status == NM_OK) status = check_blocks(c, error);
    if (status == NM_OK) status = check_attention(c, error);
    if (status == NM_OK) status = nm_model_config_check(&c->model, error);
    if (status == NM_OK) status = nm_trainer_config_check(&c->trainer, error);
    if (status == NM_OK) status = nm_block_config_check(&c->trainer.blocks, tokens, error);
    if (status != NM_OK) return status;
    if (c->trainer.prior != NM_PRIOR_NONE && tokens->encoding != NM_TOKENS_AGENT)
        return NM_ERROR(error, NM_E_FORMAT, "noise.prior is '%s', which only tokens.encoding 'agent' has",
                        nm_prior_name(c->trainer.prior));
    const cJSON *noise = cJSON_GetObjectItemCaseSensitive(c->document, "noise");
    if (!tokens->paths && c->trainer.prior == NM_PRIOR_LANE && !cJSON_GetObjectItemCaseSensitive(noise, "prior"))
        c->trainer.prior = NM_PRIOR_BRIDGE; // the default without paths
    if (c->trainer.prior == NM_PRIOR_LANE && !tokens->paths)
        return NM_ERROR(error, NM_E_FORMAT, "noise.prior is 'lane', which needs tokens.paths");
    const cJSON *augmentation = cJSON_GetObjectItemCaseSensitive(c->document, "augmentation");
    if (cJSON_GetObjectItemCaseSensitive(augmentation, "routes") && !tokens->paths)
        return NM_ERROR(error, NM_E_FORMAT, "augmentation.routes changes nothing without tokens.paths");
    if (c->set.augmentation.rotate > 0.0f && tokens->encoding == NM_TOKENS_AGENT)
        return NM_ERROR(error, NM_E_FORMAT,
                        "augmentation.rotate changes nothing with tokens.encoding 'agent': frames are the agents' own");
    if (c->model.pose_bias && tokens->encoding != NM_TOKENS_AGENT)
        return NM_ERROR(error, NM_E_FORMAT, "model.pose_bias needs tokens.encoding 'agent'");
    if (c->set.least_future > tokens->future)
        return NM_ERROR(error, NM_E_FORMAT, "augmentation.least_future is %u, more than tokens.future, %u",
                        c->set.least_future, tokens->future);
    if (!c->data.count) return NM_ERROR(error, NM_E_FORMAT, "data is empty: nothing to train on");
    return check_encoding(c, error);
}

/// Examples are counted on from step to step.
static void derive_growth(nm_train_config *c) {
    const uint64_t per_step = (uint64_t)c->trainer.scenes * c->trainer.accumulate;
    c->set.growth = c->trainer.growth;
    for (uint32_t i = 0; i < c->set.growth.count; ++i) c->set.growth.stage[i].first *= per_step;
}

/// The most parts that an example has at any size, and the most tokens in them.
static void count_parts(const nm_train_config *c, uint32_t *parts, uint64_t *tokens) {
    const nm_block_growth *g = &c->trainer.growth;
    *parts = 0;
    *tokens = 0;
    for (uint32_t i = 0; i < g->count || i == 0; ++i) {
        const nm_block_config at = nm_block_growth_at(g, &c->trainer.blocks, g->stage[i].first);
        if (at.size == 0) continue; // refused later
        const uint32_t count = c->set.parts ? c->set.parts : nm_block_parts(&at, &c->set.tokens);
        if (count > *parts) *parts = count;
        if ((uint64_t)count * at.size > *tokens) *tokens = (uint64_t)count * at.size;
    }
}

static nm_status derive(nm_train_config *c, nm_error *error) {
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(c->document, "name");
    c->recipe = (nm_recipe){
        .tokens = c->set.tokens, .snr = c->trainer.snr, .prior = c->trainer.prior, .blocks = c->trainer.blocks};
    if (name && (!cJSON_IsString(name) || strlen(name->valuestring) >= sizeof c->recipe.name))
        return NM_ERROR(error, NM_E_FORMAT, "name must be a text of at most 63 bytes");
    snprintf(c->recipe.name, sizeof c->recipe.name, "%s", name ? name->valuestring : default_name);
    snprintf(c->recipe.start, sizeof c->recipe.start, "%s", c->start);
    const nm_token_config *t = &c->set.tokens;
    const nm_block_config *blocks = &c->trainer.blocks;
    c->trainer.max_tokens = t->agents * nm_token_count(t);
    c->trainer.max_map_rows = nm_token_map_rows(t, t->agents);
    c->set.blocks = *blocks;
    derive_growth(c);
    if (!blocks->size) return NM_OK;
    uint64_t future;
    count_parts(c, &c->trainer.parts, &future);
    // every block is there twice; and as many histories as agents once more, of those who come later
    const uint64_t tokens = 2 * (uint64_t)t->agents * (t->past + 1 + future);
    const uint64_t rows = (uint64_t)c->trainer.max_map_rows * c->trainer.parts;
    c->trainer.max_tokens = tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX; // which the trainer refuses
    c->trainer.max_map_rows = rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX;
    return NM_OK;
}

nm_status nm_train_config_load(const char *path, nm_train_config *c, nm_error *error) {
    cJSON *document;
    const nm_status status = nm_config_load(path, &document, error);
    if (status == NM_OK) return nm_train_config_take(document, path, c, error);
    memset(c, 0, sizeof *c);
    return status;
}

nm_status nm_train_config_take(cJSON *document, const char *path, nm_train_config *c, nm_error *error) {
    c->document = document;
    nm_status status = set_defaults(c, error);
    if (status == NM_OK) status = read_sections(c, error);
    if (status == NM_OK) status = derive(c, error);
    if (status == NM_OK) status = check(c, error);
    if (status != NM_OK) {
        nm_train_config_release(c);
        if (error && !error->input[0])
            snprintf(error->input, sizeof error->input, "%.*s", (int)sizeof error->input - 1, path);
    }
    return status;
}

void nm_train_config_release(nm_train_config *c) {
    cJSON_Delete(c->document);
    c->document = NULL;
}
