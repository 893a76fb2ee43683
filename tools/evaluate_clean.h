/// `nearmiss evaluate --clean`: only recordings that their own drivers can be measured by.
#ifndef NM_TOOLS_EVALUATE_CLEAN_H
#define NM_TOOLS_EVALUATE_CLEAN_H

#include <stdio.h>

#include <cjson/cJSON.h>

#include "scenarios/episode_clean.h"
#include "tools/scene_ids.h"

/// Scenes that were left out, by reason: index nm_blemish below NM_BLEMISH_VERDICT, that and more the verdicts.
#define NM_EVALUATE_BLEMISHES (NM_BLEMISH_VERDICT + NM_VERDICT_COUNT)
typedef struct nm_evaluate_clean {
    size_t looked_at, left_out;
    size_t unreadable; ///< of these, scenes that could not be read
    size_t count[NM_EVALUATE_BLEMISHES];
} nm_evaluate_clean;

/// Takes the others out of the list. A scene that cannot be read stays out as well. NM_E_NOT_FOUND when none is left;
/// else the store's errors, NM_E_MEMORY, and NM_E_CANCELLED when `stop` [nullable] says so.
nm_status nm_evaluate_keep_clean(const char *store, const nm_episode_config *episode, int (*stop)(void *context),
                                 nm_scene_ids *scenes, nm_evaluate_clean *tally, nm_error *error);

/// Adds up counts.
void nm_evaluate_clean_add(nm_evaluate_clean *to, const nm_evaluate_clean *tally);
/// "12 of 60 scenes are not clean: braking 5, contact 4, jerk 3"
void nm_evaluate_print_clean(const nm_evaluate_clean *tally, FILE *file);
/// {"looked_at": 60, "left_out": 12, "reasons": {"braking": 5, ...}}
cJSON *nm_evaluate_clean_json(const nm_evaluate_clean *tally);

#endif
