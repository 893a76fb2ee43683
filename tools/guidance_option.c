#include "tools/guidance_option.h"

#include <math.h>
#include <string.h>

#include "base/decimal.h"

nm_status nm_guidance_option(const char *text, nm_guidance_config *c, nm_error *error) {
    float iterations = 0.0f, ahead = -1.0f;
    const struct {
        const char *name;
        float *value;
        double least, most;
    } terms[] = {{"overlap", &c->overlap, 0, 1}, {"road", &c->road, 0, 1},
                 {"smooth", &c->smooth, 0, 1},   {"consistent", &c->consistent, 0, 1},
                 {"margin", &c->margin, 0, 10},  {"iterations", &iterations, 1, 100},
                 {"ahead", &ahead, 0, 1e6}};
    enum { TERMS = sizeof terms / sizeof *terms };
    *c = nm_guidance_config_default();
    if (strcmp(text, "none") == 0) return NM_OK;
    do {
        const size_t length = strcspn(text, ","), name = strcspn(text, "=,");
        double value = -1.0;
        size_t i = 0;
        while (i < TERMS && (strlen(terms[i].name) != name || strncmp(text, terms[i].name, name) != 0)) ++i;
        if (i == TERMS || text[name] != '=' || !nm_decimal_parse(text + name + 1, length - name - 1, &value) ||
            !(value >= terms[i].least && value <= terms[i].most) ||
            ((terms[i].value == &iterations || terms[i].value == &ahead) && value != floor(value)))
            return NM_ERROR(error, NM_E_ARGUMENT,
                            "guidance wants none, or strengths from 0 to 1: overlap=,road=,smooth=,consistent=; "
                            "margin= in m, 0 to 10; iterations= 1 to 100; ahead= tokens from 0");
        *terms[i].value = (float)value;
        text += length + (text[length] == ',');
    } while (*text);
    if (iterations > 0.0f) c->iterations = (uint32_t)iterations;
    if (ahead >= 0.0f) c->ahead = (uint32_t)ahead;
    return NM_OK;
}
