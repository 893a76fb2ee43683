/// What `nearmiss train --config F` reads. docs/training.md has every key with its meaning.
#ifndef NM_TOOLS_TRAIN_CONFIG_H
#define NM_TOOLS_TRAIN_CONFIG_H

#include "nexus/model.h"
#include "nexus/recipe.h"
#include "nexus/training_set.h"
#include "tools/cli_config.h"

enum { NM_TRAIN_PARTS = 32, NM_TRAIN_PATTERNS = 128 };

/// Of matrix products.
typedef enum nm_train_precision { NM_TRAIN_F32 = 0, NM_TRAIN_BF16 } nm_train_precision;

struct nm_command;

typedef enum nm_train_from { NM_TRAIN_STORE = 0, NM_TRAIN_SHARDS, NM_TRAIN_SIMULATE } nm_train_from;

/// A part of the data.
typedef struct nm_train_part {
    nm_train_from from;
    char path[256];                         ///< of a store or shards; of simulations the map, or "all"
    double weight;                          ///< default 1
    double density;                         ///< of simulations: vehicles per km of lane up to which; default 40
    uint32_t maps;                          ///< of simulations: how many maps are made; default 64
    const char *only[NM_TRAIN_PATTERNS];    ///< scene names with * and ?, NULL at the end; none = all
    const char *without[NM_TRAIN_PATTERNS]; ///< those are left out
} nm_train_part;

typedef struct nm_train_parts {
    uint32_t count;
    nm_train_part part[NM_TRAIN_PARTS];
} nm_train_parts;

typedef struct nm_train_config {
    cJSON *document; ///< owns the texts
    nm_recipe recipe;
    nm_model_config model;
    nm_trainer_config trainer;
    nm_training_set_config set;
    nm_train_parts data, validation;
    char start[256];              ///< weights to begin with, or "shipped"; empty: first values
    nm_train_precision precision; ///< default bf16
    uint64_t validation_examples; ///< default 64; 0 = none
    uint64_t validation_every;    ///< steps; default 200
    uint32_t checkpoint_seconds;  ///< default 60
    double shard_mb;              ///< MB that a file of a checkpoint has at most; default 15
} nm_train_config;

/// A section of the file: its table of keys, and where in the configuration they are read to.
typedef struct nm_train_section {
    const char *name; ///< "" = the file itself
    const nm_config_field *fields;
    size_t count, offset;
} nm_train_section;
/// All but "data", whose parts are read into an nm_train_part each: nm_train_part_section.
const nm_train_section *nm_train_sections(size_t *count);
const nm_train_section *nm_train_part_section(void);
nm_train_part nm_train_part_default(void);
/// What stands where a file says no more than the encoding.
void nm_train_config_set_defaults(nm_token_encoding encoding, nm_train_config *config);
/// Prints all keys with their values and defaults; returns an exit status. See train_keys.c.
int nm_train_print_keys(const struct nm_command *command, int json);

/// NM_E_FORMAT and others name file and key. What contradicts itself is refused: a prior with tokens that have none,
/// map settings of the other encoder, no data.
nm_status nm_train_config_load(const char *path, nm_train_config *config, nm_error *error);
/// The same from a document, which is taken over, also by a failure.
nm_status nm_train_config_take(cJSON *document, const char *path, nm_train_config *config, nm_error *error);
void nm_train_config_release(nm_train_config *config);
/// Adds the parts of a list, which is called `name` in messages. They hold pointers into it. NM_E_FORMAT, NM_E_LIMIT.
nm_status nm_train_read_parts(const cJSON *list, const char *name, nm_train_parts *parts, nm_error *error);
/// 1 when a scene of this name is of a part.
int nm_train_part_wants(const nm_train_part *part, const char *name);

/// What a run reads examples from.
typedef struct nm_train_data {
    nm_training_set *set;
    struct nm_simulated_examples *simulated[NM_TRAIN_PARTS];
    uint32_t simulated_count;
} nm_train_data;

/// Examples to validate with are as recorded, not augmented, and other ones: other moments of the scenes, other maps
/// and other traffic of simulations, also where the parts are those that are learnt from.
typedef enum nm_train_purpose { NM_TRAIN_TO_LEARN = 0, NM_TRAIN_TO_VALIDATE } nm_train_purpose;

/// Reads the scenes and cuts their maps. Progress is shown unless quiet. After a failure there is nothing to close.
nm_status nm_train_data_open(const nm_train_config *config, const nm_train_parts *parts, nm_train_purpose purpose,
                             int quiet, nm_train_data *data, nm_error *error);
void nm_train_data_close(nm_train_data *data);

#endif
