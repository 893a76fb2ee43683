#include "tools/cmd_event.h"

#include <math.h>
#include <stdio.h>

#include "base/decimal.h"

static void index_to_json(cJSON *object, const char *name, uint32_t value) {
    if (value == NM_NONE)
        cJSON_AddNullToObject(object, name);
    else
        cJSON_AddNumberToObject(object, name, value);
}

void nm_event_to_json(cJSON *object, const nm_event *event) {
    const struct {
        const char *name;
        float value;
    } numbers[] = {{"severity", event->severity},
                   {"min_ttc_s", event->min_ttc},
                   {"min_distance_m", event->min_distance},
                   {"min_thw_s", event->min_thw},
                   {"max_drac_mps2", event->max_drac},
                   {"pet_s", event->pet},
                   {"min_ttr_s", event->min_ttr},
                   {"closing_speed_mps", event->closing_speed},
                   {"gap_m", event->gap},
                   {"lateral_speed_mps", event->lateral_speed},
                   {"deceleration_mps2", event->deceleration},
                   {"impact_speed_mps", event->impact_speed},
                   {"delta_v_mps", event->delta_v}};
    cJSON_AddStringToObject(object, "kind", nm_kind_name(event->kind));
    index_to_json(object, "first_step", event->first_step);
    index_to_json(object, "last_step", event->last_step);
    index_to_json(object, "critical_step", event->critical_step);
    index_to_json(object, "actor_track", event->actor);
    index_to_json(object, "other_track", event->other);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        // six digits: what a float holds, without the tail that its double form shows
        char text[32];
        double value = NAN;
        const size_t length = nm_decimal_print(text, sizeof text, NM_DECIMAL_SHORT, 6, (double)numbers[i].value);
        if (isfinite(numbers[i].value)) nm_decimal_parse(text, length, &value);
        nm_json_number(object, numbers[i].name, value);
    }
}

void nm_table_number(nm_table *table, int decimals, double value) {
    char text[64];
    snprintf(text, sizeof text, "%.*f", decimals, value);
    nm_table_cell(table, "%s", isfinite(value) ? text : "-");
}
