#include "tools/guidance_option.h"

#include <string.h>

#include "base/decimal.h"

nm_status nm_guidance_option(const char *text, nm_guidance_config *c, nm_error *error) {
    const struct {
        const char *name;
        float *value;
    } terms[] = {{"overlap", &c->overlap}, {"road", &c->road}, {"smooth", &c->smooth}, {"consistent", &c->consistent}};
    *c = nm_guidance_config_default();
    if (strcmp(text, "none") == 0) return NM_OK;
    while (*text) {
        const size_t length = strcspn(text, ","), name = strcspn(text, "=,");
        double value = -1.0;
        size_t i = 0;
        while (i < 4 && (strlen(terms[i].name) != name || strncmp(text, terms[i].name, name) != 0)) ++i;
        if (i == 4 || text[name] != '=' || !nm_decimal_parse(text + name + 1, length - name - 1, &value) ||
            !(value >= 0.0 && value <= 1.0))
            return NM_ERROR(error, NM_E_ARGUMENT,
                            "guidance wants none, or strengths from 0 to 1: overlap=,road=,smooth=,consistent=");
        *terms[i].value = (float)value;
        text += length + (text[length] == ',');
    }
    return NM_OK;
}
