// Verdicts as JSON.
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>

#include "scenarios/validity.h"

// Each returns 0 when memory is out.
static int add_number(cJSON *object, const char *name, double value) {
    cJSON *item = isfinite(value) ? cJSON_AddNumberToObject(object, name, value) : cJSON_AddNullToObject(object, name);
    return item != NULL;
}
static int add_index(cJSON *object, const char *name, uint32_t value) {
    return add_number(object, name, value == NM_NONE ? NAN : (double)value);
}
// As many digits as a float has, so that 0.1 is not 0.10000000149.
static double shortened(float value) {
    char text[32];
    double parsed = (double)value;
    if (!isfinite(value)) return parsed;
    snprintf(text, sizeof text, "%.7g", (double)value);
    return sscanf(text, "%lf", &parsed) == 1 ? parsed : (double)value;
}

static int add_verdict(cJSON *verdicts, nm_verdict_kind kind, const nm_verdict *verdict) {
    const nm_verdict_info *info = nm_verdict_about(kind);
    cJSON *object = cJSON_AddObjectToObject(verdicts, info->name);
    if (!object) return 0;
    int judged = verdict->result != NM_VERDICT_UNJUDGED;
    return cJSON_AddStringToObject(object, "result", nm_verdict_result_name(verdict->result)) &&
           add_number(object, "value", judged ? shortened(verdict->value) : NAN) &&
           add_number(object, "limit", judged ? shortened(verdict->limit) : NAN) &&
           cJSON_AddStringToObject(object, "unit", info->unit) && add_index(object, "track", verdict->track) &&
           add_index(object, "step", verdict->step);
}

static int add_avoidability(cJSON *document, const nm_avoidability *avoid) {
    cJSON *object = cJSON_AddObjectToObject(document, "avoidability");
    if (!object) return 0;
    return cJSON_AddStringToObject(object, "label", nm_avoid_label_name(avoid->label)) &&
           cJSON_AddBoolToObject(object, "collided", avoid->collided) && add_index(object, "other", avoid->other) &&
           add_index(object, "conflict_step", avoid->conflict_step) &&
           add_index(object, "danger_step", avoid->danger_step) && add_index(object, "first_step", avoid->first_step) &&
           add_index(object, "last_brake_step", avoid->last_brake_step) &&
           add_index(object, "last_steer_step", avoid->last_steer_step) &&
           add_index(object, "last_both_step", avoid->last_both_step) &&
           add_number(object, "margin", shortened(avoid->margin));
}

struct cJSON *nm_validity_json(const nm_validity *validity) {
    NM_ASSERT(validity);
    cJSON *document = cJSON_CreateObject();
    cJSON *verdicts = NULL;
    int good = document && cJSON_AddBoolToObject(document, "valid", validity->valid);
    if (good) verdicts = cJSON_AddObjectToObject(document, "verdicts");
    good = verdicts != NULL;
    for (int i = 0; i < NM_VERDICT_COUNT && good; i++)
        good = add_verdict(verdicts, (nm_verdict_kind)i, &validity->verdicts[i]);
    if (good && add_avoidability(document, &validity->avoidability)) return document;
    cJSON_Delete(document);
    return NULL;
}
