/// `nearmiss train --list-keys`: every key of a configuration, from the tables that configurations are read with.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/train_config.h"

typedef struct key_text {
    char key[96], values[192], value[96], ego[96];
} key_text;

static void describe_values(const nm_config_field *f, char *text, size_t size) {
    switch (f->kind) {
    case NM_CONFIG_SWITCH:
        snprintf(text, size, "true, false");
        return;
    case NM_CONFIG_TEXT:
        snprintf(text, size, "a text of at most %.0f bytes", f->most);
        return;
    case NM_CONFIG_CHOICE:
        text[0] = '\0';
        for (int i = 0; f->choices[i]; ++i)
            snprintf(text + strlen(text), size - strlen(text), "%s%s", i ? ", " : "", f->choices[i]);
        return;
    case NM_CONFIG_U32:
    case NM_CONFIG_U64:
        snprintf(text, size, "whole, %.0f to %.0f", f->least, f->most);
        return;
    default:
        snprintf(text, size, "%.15g to %.15g", f->least, f->most);
    }
}

static void describe_value(const nm_config_field *f, const void *base, char *text, size_t size) {
    const char *at = (const char *)base + f->offset;
    switch (f->kind) {
    case NM_CONFIG_SWITCH:
        snprintf(text, size, "%s", *(const int *)at ? "true" : "false");
        return;
    case NM_CONFIG_U32:
        snprintf(text, size, "%" PRIu32, *(const uint32_t *)at);
        return;
    case NM_CONFIG_U64:
        snprintf(text, size, "%" PRIu64, *(const uint64_t *)at);
        return;
    case NM_CONFIG_F32:
        snprintf(text, size, "%.7g", (double)*(const float *)at);
        return;
    case NM_CONFIG_F64:
        snprintf(text, size, "%.15g", *(const double *)at);
        return;
    case NM_CONFIG_TEXT:
        snprintf(text, size, "%.90s", at);
        return;
    case NM_CONFIG_CHOICE:
        snprintf(text, size, "%s", f->choices[*(const int *)at]);
        return;
    }
}

static void add_key(const key_text *t, nm_table *table, cJSON *list) {
    nm_table_cell(table, "%s", t->key);
    nm_table_cell(table, "%s", t->values);
    nm_table_cell(table, "%s", t->value);
    nm_table_cell(table, "%s", strcmp(t->value, t->ego) == 0 ? "" : t->ego);
    cJSON *entry = list ? cJSON_CreateObject() : NULL;
    if (!entry) return;
    cJSON_AddStringToObject(entry, "key", t->key);
    cJSON_AddStringToObject(entry, "values", t->values);
    cJSON_AddStringToObject(entry, "default", t->value);
    cJSON_AddStringToObject(entry, "default_ego", t->ego);
    cJSON_AddItemToArray(list, entry);
}

/// The one key that is a list and so of no table; none by default.
static void add_schedule(nm_table *table, cJSON *list) {
    key_text t = {.key = "block_schedule"};
    snprintf(t.values, sizeof t.values, "up to %d pairs [step, size]", NM_BLOCK_STAGES);
    add_key(&t, table, list);
}

/// agent, ego: what the section is read to, with the defaults of each encoding.
static void add_section(const nm_train_section *s, const void *agent, const void *ego, nm_table *table, cJSON *list) {
    for (size_t i = 0; i < s->count; ++i) {
        const nm_config_field *f = &s->fields[i];
        key_text t;
        snprintf(t.key, sizeof t.key, "%s%s%s", s->name, s->name[0] ? "." : "", f->name);
        describe_values(f, t.values, sizeof t.values);
        describe_value(f, (const char *)agent + s->offset, t.value, sizeof t.value);
        describe_value(f, (const char *)ego + s->offset, t.ego, sizeof t.ego);
        add_key(&t, table, list);
        if (strcmp(t.key, "block_next") == 0) add_schedule(table, list); // where the manual has it
    }
}

static void add_all(const nm_train_config *agent, const nm_train_config *ego, nm_table *table, cJSON *list) {
    size_t count;
    const nm_train_section *sections = nm_train_sections(&count);
    const nm_train_part part = nm_train_part_default();
    for (size_t i = 0; i < count; ++i) add_section(&sections[i], agent, ego, table, list);
    add_section(nm_train_part_section(), &part, &part, table, list);
}

int nm_train_print_keys(const nm_command *command, int json) {
    static const char *const headings[] = {"key", "values", "default", "of encoding ego"};
    nm_train_config *configs = calloc(2, sizeof *configs);
    if (!configs) {
        nm_error error;
        (void)NM_ERROR(&error, NM_E_MEMORY, "out of memory for a list of keys");
        return nm_cli_fail(command, &error);
    }
    nm_train_config_set_defaults(NM_TOKENS_AGENT, &configs[0]);
    nm_train_config_set_defaults(NM_TOKENS_EGO, &configs[1]);
    cJSON *document = json ? cJSON_CreateObject() : NULL;
    cJSON *list = document ? cJSON_AddArrayToObject(document, "keys") : NULL;
    nm_table *table = json ? NULL : nm_table_create(headings, 4);
    add_all(&configs[0], &configs[1], table, list);
    free(configs);
    if (json) return nm_cli_print_json(command, document);
    nm_table_print(table, stdout);
    nm_table_destroy(table);
    return nm_cli_finish(command);
}
