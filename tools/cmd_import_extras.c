#include "tools/cmd_import_extras.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

/// `mine` takes events with other parameters than its own for not yet mined: these stand until it has looked.
#define PARAMETERS "{\"imported\":true}"

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory");
}

static nm_event event_of(const nm_scene_label *l, nm_kind kind) {
    return (nm_event){.kind = kind,
                      .first_step = l->first_step,
                      .last_step = l->last_step,
                      .critical_step = l->critical_step,
                      .actor = l->actor,
                      .other = l->other,
                      .min_ttc = l->min_ttc,
                      .min_distance = l->min_distance,
                      .min_thw = l->min_thw,
                      .max_drac = l->max_drac,
                      .pet = l->pet,
                      .min_ttr = l->min_ttr,
                      .closing_speed = l->closing_speed,
                      .gap = l->gap,
                      .lateral_speed = l->lateral_speed,
                      .deceleration = l->deceleration,
                      .impact_speed = l->impact_speed,
                      .delta_v = l->delta_v,
                      .severity = l->severity};
}

static nm_status copy_labels(const nm_export_item *item, nm_import_extras *to, nm_error *error) {
    if (!item->label_count) return NM_OK;
    to->events = malloc(item->label_count * sizeof *to->events);
    if (!to->events) return no_memory(error);
    for (size_t i = 0; i < item->label_count; i++) {
        nm_kind kind;
        if (nm_kind_from_name(item->labels[i].kind, &kind))
            to->events[to->event_count++] = event_of(&item->labels[i], kind);
    }
    to->bytes += to->event_count * sizeof *to->events;
    return NM_OK;
}

/// Written anew: parsers disagree about what is nearly JSON, and the store refuses what is only nearly so. What the
/// store itself gave out stays as it is.
static nm_status copy_json(const char *text, char **to, nm_error *error) {
    cJSON *parsed = cJSON_ParseWithOpts(text[0] ? text : "{}", NULL, 1);
    nm_status status = NM_OK;
    if (cJSON_IsObject(parsed))
        *to = cJSON_PrintUnformatted(parsed);
    else
        status = NM_ERROR(error, NM_E_FORMAT, "what it was generated for is no JSON object: %.60s", text);
    cJSON_Delete(parsed);
    return status == NM_OK && !*to ? no_memory(error) : status;
}

static nm_status copy_generation(const nm_scene_generation *from, nm_import_extras *to, nm_error *error) {
    if (!from || !nm_kind_from_name(from->kind, &to->generated.kind)) return NM_OK;
    const char *const words[] = {from->generator, from->severity, from->label};
    const char *const objects[] = {from->requested, from->achieved, from->verdicts};
    nm_status status = NM_OK;
    for (int i = 0; i < 3 && status == NM_OK; i++) {
        to->texts[i] = strdup(words[i]);
        status = to->texts[i] ? copy_json(objects[i], &to->texts[3 + i], error) : no_memory(error);
    }
    if (status != NM_OK) return status;
    for (int i = 0; i < 6; i++) to->bytes += strlen(to->texts[i]) + 1;
    to->is_generated = 1;
    to->generated.generator = to->texts[0];
    to->generated.severity = to->texts[1];
    to->generated.label = to->texts[2];
    to->generated.requested = to->texts[3];
    to->generated.achieved = to->texts[4];
    to->generated.verdicts = to->texts[5];
    return NM_OK;
}

nm_status nm_import_extras_copy(const nm_export_item *item, nm_import_extras **extras, nm_error *error) {
    *extras = NULL;
    nm_import_extras *made = calloc(1, sizeof *made);
    if (!made) return no_memory(error);
    made->bytes = sizeof *made;
    nm_status status = copy_labels(item, made, error);
    if (status == NM_OK) status = copy_generation(item->generated, made, error);
    if (status == NM_OK)
        *extras = made;
    else
        nm_import_extras_destroy(made);
    return status;
}

void nm_import_extras_destroy(nm_import_extras *extras) {
    if (!extras) return;
    for (int i = 0; i < 6; i++) free(extras->texts[i]);
    free(extras->events);
    free(extras);
}

nm_status nm_import_extras_put(nm_store *store, int64_t scene, const nm_import_extras *extras, int64_t generation,
                               nm_error *error) {
    nm_status status = NM_OK;
    if (extras->event_count)
        status = nm_store_put_events(store, scene, extras->events, extras->event_count, NULL, NULL, PARAMETERS, error);
    if (status != NM_OK || !extras->is_generated) return status;
    nm_generated row = extras->generated;
    row.generation = generation;
    status = nm_store_put_generated(store, scene, &row, error);
    if (status != NM_OK) return status;
    return nm_store_count_attempts(store, generation, row.kind, row.generator, NM_ATTEMPT_KEPT, 1, error);
}
