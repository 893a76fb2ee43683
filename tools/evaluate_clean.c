#include "tools/evaluate_clean.h"

#include "scenarios/evaluation.h"
#include "tools/cli.h"

static int index_of(const nm_cleanness *cleanness) {
    return (int)cleanness->blemish + (cleanness->blemish == NM_BLEMISH_VERDICT ? (int)cleanness->verdict : 0);
}

static const char *name_of(int index) {
    const nm_cleanness named = {.blemish = index < NM_BLEMISH_VERDICT ? (nm_blemish)index : NM_BLEMISH_VERDICT,
                                .verdict =
                                    (nm_verdict_kind)(index < NM_BLEMISH_VERDICT ? 0 : index - NM_BLEMISH_VERDICT)};
    return nm_cleanness_name(&named);
}

/// *clean: keep it.
static nm_status look_at(nm_store *store, int64_t id, const nm_episode_config *episode, nm_arena *arena,
                         nm_evaluate_clean *tally, int *clean, nm_error *error) {
    const nm_scene *scene = NULL;
    nm_cleanness cleanness;
    nm_error why;
    nm_error_clear(&why);
    *clean = 0;
    nm_status status = nm_evaluation_scene(store, id, &scene, &why);
    if (status != NM_OK && status != NM_E_MEMORY && status != NM_E_IO && status != NM_E_BUSY) {
        ++tally->unreadable;
        return NM_OK;
    }
    if (status == NM_OK) status = nm_episode_clean(scene, episode, arena, &cleanness, &why);
    nm_scene_destroy(scene);
    if (status == NM_OK) {
        *clean = cleanness.blemish == NM_BLEMISH_NONE;
        ++tally->count[index_of(&cleanness)];
    } else if (error) {
        *error = why;
    }
    return status;
}

nm_status nm_evaluate_keep_clean(const char *store, const nm_episode_config *episode, int (*stop)(void *context),
                                 nm_scene_ids *scenes, nm_evaluate_clean *tally, nm_error *error) {
    nm_store *open = NULL;
    *tally = (nm_evaluate_clean){.looked_at = scenes->count};
    nm_arena *arena = nm_arena_create(0);
    if (!arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an evaluation");
    nm_status status = nm_store_open(store, NM_STORE_READ, &open, error);
    size_t kept = 0;
    for (size_t i = 0; status == NM_OK && i < scenes->count; ++i) {
        int clean;
        if (stop && stop(NULL)) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        if (status == NM_OK) status = look_at(open, scenes->ids[i], episode, arena, tally, &clean, error);
        if (status == NM_OK && clean) scenes->ids[kept++] = scenes->ids[i];
    }
    nm_store_close(open);
    nm_arena_destroy(arena);
    if (status != NM_OK) return status;
    scenes->count = kept;
    tally->left_out = tally->looked_at - kept;
    if (kept) return NM_OK;
    return NM_ERROR_AT(error, NM_E_NOT_FOUND, store, 0, -1, "of %zu scenes none is clean: leave out --clean",
                       tally->looked_at);
}

void nm_evaluate_clean_add(nm_evaluate_clean *to, const nm_evaluate_clean *tally) {
    to->looked_at += tally->looked_at;
    to->left_out += tally->left_out;
    to->unreadable += tally->unreadable;
    for (int i = 0; i < NM_EVALUATE_BLEMISHES; ++i) to->count[i] += tally->count[i];
}

void nm_evaluate_print_clean(const nm_evaluate_clean *tally, FILE *file) {
    fprintf(file, "%zu of %zu scenes are not clean", tally->left_out, tally->looked_at);
    const char *before = ": ";
    for (int i = NM_BLEMISH_NONE + 1; i < NM_EVALUATE_BLEMISHES; ++i) {
        if (!tally->count[i]) continue;
        fprintf(file, "%s%s %zu", before, name_of(i), tally->count[i]);
        before = ", ";
    }
    if (tally->unreadable) fprintf(file, "%sunreadable %zu", before, tally->unreadable);
    fputc('\n', file);
}

cJSON *nm_evaluate_clean_json(const nm_evaluate_clean *tally) {
    cJSON *object = cJSON_CreateObject();
    nm_json_integer(object, "looked_at", tally->looked_at);
    nm_json_integer(object, "left_out", tally->left_out);
    cJSON *reasons = cJSON_AddObjectToObject(object, "reasons");
    for (int i = NM_BLEMISH_NONE + 1; i < NM_EVALUATE_BLEMISHES; ++i)
        if (tally->count[i]) nm_json_integer(reasons, name_of(i), tally->count[i]);
    if (tally->unreadable) nm_json_integer(reasons, "unreadable", tally->unreadable);
    return object;
}
