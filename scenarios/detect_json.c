/// Parameters of the detectors as JSON.
#include <cjson/cJSON.h>

#include "base/decimal.h"
#include "scenarios/detect.h"

static int add_kind(cJSON *object, const nm_detect_params *params, nm_kind kind) {
    const nm_detector_info *info = nm_detector(kind);
    cJSON *values = cJSON_AddObjectToObject(object, info->name);
    for (size_t i = 0; values && i < info->param_count; i++)
        if (!cJSON_AddNumberToObject(values, info->params[i].name, nm_decimal_of_float(params->values[kind][i])))
            return 0;
    return values != NULL;
}

cJSON *nm_detect_params_json(const nm_detect_params *params) {
    cJSON *object = cJSON_CreateObject();
    for (int i = 0; object && i < NM_KIND_COUNT; i++) {
        if (!((params->enabled >> i) & 1u) || add_kind(object, params, (nm_kind)i)) continue;
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}
