/// JSON output. cJSON builds and prints; what it leaves open is closed here: invalid UTF-8, integers over 2^53, a full
/// disk.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tools/cli.h"

void nm_json_number(cJSON *object, const char *name, double value) {
    if (isfinite(value)) {
        cJSON_AddNumberToObject(object, name, value);
    } else {
        cJSON_AddNullToObject(object, name);
    }
}

void nm_json_integer(cJSON *object, const char *name, uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    if (value < UINT64_C(1000000000000000)) {
        cJSON_AddNumberToObject(object, name, (double)value);
    } else if (value <= UINT64_C(1) << 53) {
        cJSON_AddRawToObject(object, name, text); // cJSON prints fifteen digits and rounds the rest away
    } else {
        cJSON_AddStringToObject(object, name, text); // most readers would round it
    }
}

/// A copy of `text` with U+FFFD for every byte that is not UTF-8; NULL when there is none such, or no memory (*failed).
static char *repaired(const char *text, int *failed) {
    const size_t length = strlen(text);
    size_t bad = 0;
    for (size_t i = 0, step; i < length; i += step ? step : 1) {
        step = nm_utf8_next(text + i, length - i);
        bad += step == 0;
    }
    if (bad == 0) return NULL;
    char *copy = cJSON_malloc(length + 2 * bad + 1);
    if (!copy) {
        *failed = 1;
        return NULL;
    }
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        const size_t step = nm_utf8_next(text + i, length - i);
        memcpy(copy + used, step ? text + i : "\xef\xbf\xbd", step ? step : 3);
        used += step ? step : 3;
        i += step ? step : 1;
    }
    copy[used] = '\0';
    return copy;
}

static int repair(cJSON *item) {
    int failed = 0;
    for (cJSON *i = item; i && !failed; i = i->next) {
        if (cJSON_IsString(i) && i->valuestring && !(i->type & cJSON_IsReference)) {
            char *text = repaired(i->valuestring, &failed);
            if (text) {
                cJSON_free(i->valuestring);
                i->valuestring = text;
            }
        }
        if (i->string && !(i->type & cJSON_StringIsConst)) {
            char *name = repaired(i->string, &failed);
            if (name) {
                cJSON_free(i->string);
                i->string = name;
            }
        }
        if (i->child && !failed) failed = repair(i->child);
    }
    return failed;
}

char *nm_json_text(cJSON *document, int indented) {
    char *text = NULL;
    if (document && repair(document) == 0) text = indented ? cJSON_Print(document) : cJSON_PrintUnformatted(document);
    cJSON_Delete(document);
    return text;
}

int nm_cli_print_json(const nm_command *command, cJSON *document) {
    char *text = nm_json_text(document, 1);
    if (!text) {
        nm_error error;
        NM_ERROR(&error, NM_E_MEMORY, "out of memory while writing JSON");
        return nm_cli_fail(command, &error);
    }
    fputs(text, stdout);
    fputc('\n', stdout);
    cJSON_free(text);
    return nm_cli_finish(command);
}

void nm_csv_text(FILE *file, const char *text) {
    fputc('"', file);
    for (; *text; ++text) {
        if (*text == '"') fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}
