#include "tools/cli_config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

enum { MOST_BYTES = 1 << 20, MOST_KEYS = 1000, TEXT_BYTES = 256 };

static const char *dot(const char *where) {
    return *where ? "." : "";
}

static nm_status wrong(const cJSON *item, const char *where, const char *wanted, nm_error *error) {
    return NM_ERROR_AT(error, NM_E_FORMAT, NULL, nm_config_line(item), -1, "%s%s%s must be %s", where, dot(where),
                       item->string, wanted);
}

static nm_status take_number(const cJSON *item, const char *where, const nm_config_field *f, char *at,
                             nm_error *error) {
    const double value = item->valuedouble;
    const int whole = f->kind == NM_CONFIG_U32 || f->kind == NM_CONFIG_U64;
    char wanted[96];
    if (whole)
        snprintf(wanted, sizeof wanted, "a whole number from %.0f to %.0f", f->least, f->most);
    else
        snprintf(wanted, sizeof wanted, "a number from %.15g to %.15g", f->least, f->most);
    if (!cJSON_IsNumber(item) || !(value >= f->least && value <= f->most) || (whole && value != floor(value)))
        return wrong(item, where, wanted, error);
    switch (f->kind) {
    case NM_CONFIG_U32:
        *(uint32_t *)at = (uint32_t)value;
        break;
    case NM_CONFIG_U64:
        *(uint64_t *)at = (uint64_t)value;
        break;
    case NM_CONFIG_F32:
        *(float *)at = (float)value;
        break;
    default:
        *(double *)at = value;
        break;
    }
    return NM_OK;
}

static nm_status take_choice(const cJSON *item, const char *where, const nm_config_field *f, char *at,
                             nm_error *error) {
    const char *text = cJSON_GetStringValue(item);
    char wanted[192] = "one of";
    for (int i = 0; f->choices[i]; ++i) {
        if (text && strcmp(text, f->choices[i]) == 0) {
            *(int *)at = i;
            return NM_OK;
        }
        const size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, "%s %s", i ? "," : "", f->choices[i]);
    }
    return wrong(item, where, wanted, error);
}

static nm_status take(const cJSON *item, const char *where, const nm_config_field *f, char *at, nm_error *error) {
    const char *text = cJSON_GetStringValue(item);
    switch (f->kind) {
    case NM_CONFIG_SWITCH:
        if (!cJSON_IsBool(item)) return wrong(item, where, "true or false", error);
        *(int *)at = cJSON_IsTrue(item);
        return NM_OK;
    case NM_CONFIG_TEXT:
        if (!text || strlen(text) >= TEXT_BYTES) return wrong(item, where, "a text of at most 255 bytes", error);
        memcpy(at, text, strlen(text) + 1);
        return NM_OK;
    case NM_CONFIG_CHOICE:
        return take_choice(item, where, f, at, error);
    default:
        return take_number(item, where, f, at, error);
    }
}

static nm_status unknown(const cJSON *item, const char *where, const nm_config_field *fields, size_t count,
                         const char *const *others, nm_error *error) {
    const char *names[96];
    size_t known = 0;
    for (size_t i = 0; i < count && known < 96; ++i) names[known++] = fields[i].name;
    for (size_t i = 0; others && others[i] && known < 96; ++i) names[known++] = others[i];
    const char *near = nm_cli_nearest(item->string, names, known);
    return NM_ERROR_AT(error, NM_E_FORMAT, NULL, nm_config_line(item), -1, "there is no key '%s%s%.60s'%s%s%s", where,
                       dot(where), item->string, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int is_other(const char *name, const char *const *others) {
    for (size_t i = 0; others && others[i]; ++i)
        if (strcmp(name, others[i]) == 0) return 1;
    return 0;
}

nm_status nm_config_read(const cJSON *object, const char *where, const nm_config_field *fields, size_t count,
                         const char *const *others, void *base, nm_error *error) {
    if (!cJSON_IsObject(object))
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, nm_config_line(object), -1, "%s must be an object {...}",
                           *where ? where : "the configuration");
    const cJSON *item;
    cJSON_ArrayForEach(item, object) {
        size_t i = 0;
        if (is_other(item->string, others)) continue;
        while (i < count && strcmp(fields[i].name, item->string) != 0) ++i;
        if (i == count) return unknown(item, where, fields, count, others, error);
        const nm_status status = take(item, where, &fields[i], (char *)base + fields[i].offset, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------

static nm_status read_file(const char *path, char **text, nm_error *error) {
    FILE *file = fopen(path, "rb");
    if (!file) return NM_ERROR(error, errno == ENOENT ? NM_E_NOT_FOUND : NM_E_IO, "%s: %s", path, strerror(errno));
    nm_status status = NM_OK;
    char *bytes = malloc(MOST_BYTES + 1);
    const size_t size = bytes ? fread(bytes, 1, MOST_BYTES, file) : 0;
    if (!bytes)
        status = NM_ERROR(error, NM_E_MEMORY, "out of memory for %s", path);
    else if (ferror(file))
        status = NM_ERROR(error, NM_E_IO, "%s: %s", path, strerror(errno));
    else if (size == MOST_BYTES)
        status = NM_ERROR(error, NM_E_LIMIT, "%s: a configuration of more than 1 MiB", path);
    else if (memchr(bytes, 0, size))
        status = NM_ERROR(error, NM_E_FORMAT, "%s: not a text", path);
    fclose(file);
    if (status == NM_OK) {
        bytes[size] = '\0';
        *text = bytes;
    } else {
        free(bytes);
    }
    return status;
}

/// cJSON keeps both of two keys alike, and finds the first.
static nm_status check_twice(const cJSON *item, const char *path, nm_error *error) {
    const cJSON *child, *other;
    if (cJSON_IsObject(item) && cJSON_GetArraySize(item) > MOST_KEYS) // every key is compared with every other
        return NM_ERROR(error, NM_E_LIMIT, "%s: an object of more than %d keys", path, MOST_KEYS);
    cJSON_ArrayForEach(child, item) {
        for (other = child->next; cJSON_IsObject(item) && other; other = other->next)
            if (strcmp(child->string, other->string) == 0)
                return NM_ERROR_AT(error, NM_E_FORMAT, path, nm_config_line(other), -1,
                                   "the key '%.60s' is there twice", child->string);
        const nm_status status = check_twice(child, path, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

// Lines: the text once more beside the document that was made of it. cJSON has no place for them but `valueint`, which
// it fills and reads for nothing but programs older than `valuedouble`.

typedef struct text_place {
    const char *at;
    int line;
} text_place;

static void skip_blank(text_place *p) {
    while (*p->at && (unsigned char)*p->at <= 32) p->line += *p->at++ == '\n';
}

static void skip_text(text_place *p) {
    if (*p->at) p->at++;
    while (*p->at && *p->at != '"') {
        p->line += *p->at == '\n';
        p->at += p->at[0] == '\\' && p->at[1] ? 2 : 1;
    }
    if (*p->at) p->at++;
}

static void note_lines(cJSON *item, text_place *p) {
    cJSON *child;
    skip_blank(p);
    if (!item->string) item->valueint = p->line; // a member has that of its key
    if (*p->at == '"') {
        skip_text(p);
    } else if (*p->at == '{' || *p->at == '[') {
        p->at++;
        cJSON_ArrayForEach(child, item) {
            skip_blank(p);
            child->valueint = p->line;
            if (child->string) skip_text(p);
            skip_blank(p);
            if (child->string && *p->at) p->at++; // the colon
            note_lines(child, p);
            skip_blank(p);
            if (child->next && *p->at) p->at++; // the comma
        }
        skip_blank(p);
        if (*p->at) p->at++;
    } else {
        while (*p->at && !strchr(",]}", *p->at) && (unsigned char)*p->at > 32) p->at++;
    }
}

int nm_config_line(const cJSON *item) {
    return item->valueint;
}

nm_status nm_config_load(const char *path, cJSON **document, nm_error *error) {
    *document = NULL;
    char *text = NULL;
    nm_status status = read_file(path, &text, error);
    if (status == NM_OK) status = nm_config_parse(text, path, document, error);
    free(text);
    return status;
}

nm_status nm_config_parse(const char *text, const char *path, cJSON **document, nm_error *error) {
    *document = NULL;
    nm_status status = NM_OK;
    const char *end = NULL;
    cJSON *made = cJSON_ParseWithOpts(text, &end, 1);
    if (!made) {
        int line = 1;
        for (const char *c = text; end && c < end; ++c) line += *c == '\n';
        status = NM_ERROR(error, NM_E_FORMAT, "%s, line %d: this is no JSON", path, line);
    } else {
        text_place begin = {strncmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text, 1};
        note_lines(made, &begin);
    }
    if (status == NM_OK) status = check_twice(made, path, error);
    if (status == NM_OK)
        *document = made;
    else
        cJSON_Delete(made);
    return status;
}
