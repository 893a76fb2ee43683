/// The option --attention of commands that sample: joint attention of another kind than a model was trained with.
#ifndef NM_TOOLS_ATTENTION_OPTION_H
#define NM_TOOLS_ATTENTION_OPTION_H

#include "nexus/model.h"

#define NM_ATTENTION_HELP                                                                                              \
    "of a model with joint attention: full, to all tokens of a scene, or blocks:tau=T,target=N, to the blocks of at "  \
    "most N tokens that hold a share T of it (default: as it was trained)"

/// `text` is nullable: as trained. NM_E_ARGUMENT where it makes no sense.
nm_status nm_attention_option_check(const char *text, nm_error *error);
/// The same for a model, before anything is made of it; what is not named stays as it was trained. NM_E_ARGUMENT for a
/// factored model.
nm_status nm_attention_option_apply(const char *text, nm_model *model, nm_error *error);

#endif
