/// `nearmiss stats`: what a store holds, and whether it is sound.
#include <string.h>

#include "scenarios/store.h"
#include "tools/cli.h"

typedef struct source_list {
    cJSON *json;
    nm_table *table;
} source_list;

static void take_source(void *context, const char *source, uint64_t scenes, uint64_t agent_states) {
    source_list *list = context;
    if (list->json) nm_json_integer(list->json, source, scenes);
    nm_table_cell(list->table, "%s", source);
    nm_table_cell(list->table, "%llu", (unsigned long long)scenes);
    nm_table_cell(list->table, "%llu", (unsigned long long)agent_states);
}

static cJSON *to_json(nm_store *store, const nm_store_stats *stats, nm_status *status, nm_error *error) {
    cJSON *document = cJSON_CreateObject();
    nm_json_integer(document, "scenes", stats->scenes);
    nm_json_integer(document, "agents", stats->agents);
    nm_json_integer(document, "agent_states", stats->agent_states);
    nm_json_number(document, "hours", stats->hours);
    nm_json_number(document, "agent_hours", stats->agent_hours);
    nm_json_integer(document, "maps", stats->maps);
    nm_json_integer(document, "mined", stats->mined);
    nm_json_integer(document, "events", stats->events);
    cJSON *by_kind = cJSON_AddObjectToObject(document, "by_kind");
    cJSON *scenes_by_kind = cJSON_AddObjectToObject(document, "scenes_by_kind");
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        nm_json_integer(by_kind, nm_kind_name((nm_kind)i), stats->by_kind[i]);
        nm_json_integer(scenes_by_kind, nm_kind_name((nm_kind)i), stats->scenes_by_kind[i]);
    }
    source_list list = {.json = cJSON_AddObjectToObject(document, "by_source")};
    *status = nm_store_by_source(store, take_source, &list, error);
    nm_json_integer(document, "files", stats->sources);
    nm_json_integer(document, "bytes", stats->bytes);
    return document;
}

static nm_status print_tables(nm_store *store, const nm_store_stats *stats, nm_error *error) {
    static const char *const totals[] = {">scenes", ">agents", ">agent states", ">hours",   ">maps",
                                         ">mined",  ">events", ">MB",           ">kB/scene"};
    static const char *const sources[] = {"source", ">scenes", ">agent states"};
    static const char *const kinds[] = {"kind", ">events", ">scenes"};
    nm_table *table = nm_table_create(totals, sizeof totals / sizeof *totals);
    nm_table_cell(table, "%llu", (unsigned long long)stats->scenes);
    nm_table_cell(table, "%llu", (unsigned long long)stats->agents);
    nm_table_cell(table, "%llu", (unsigned long long)stats->agent_states);
    nm_table_cell(table, "%.3f", stats->hours);
    nm_table_cell(table, "%llu", (unsigned long long)stats->maps);
    nm_table_cell(table, "%llu", (unsigned long long)stats->mined);
    nm_table_cell(table, "%llu", (unsigned long long)stats->events);
    nm_table_cell(table, "%.1f", (double)stats->bytes / 1e6);
    nm_table_cell(table, "%.1f", stats->scenes ? (double)stats->bytes / 1e3 / (double)stats->scenes : 0.0);
    nm_table_print(table, stdout);
    nm_table_destroy(table);
    source_list list = {.table = nm_table_create(sources, 3)};
    nm_status status = nm_store_by_source(store, take_source, &list, error);
    printf("\n");
    nm_table_print(list.table, stdout);
    nm_table_destroy(list.table);
    if (stats->events == 0) return status;
    table = nm_table_create(kinds, 3);
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        if (stats->by_kind[i] == 0) continue;
        nm_table_cell(table, "%s", nm_kind_name((nm_kind)i));
        nm_table_cell(table, "%llu", (unsigned long long)stats->by_kind[i]);
        nm_table_cell(table, "%llu", (unsigned long long)stats->scenes_by_kind[i]);
    }
    printf("\n");
    nm_table_print(table, stdout);
    nm_table_destroy(table);
    return status;
}

static void take_finding(void *context, const char *finding) {
    nm_error error;
    NM_ERROR(&error, NM_E_FORMAT, "%s", finding);
    nm_cli_fail(context, &error);
}

static int run_stats(const nm_command *command, int argc, char **argv) {
    const char *path = NULL;
    int check = 0, result = NM_EXIT_OK;
    nm_common common = {0};
    const nm_option table[] = {
        {"store", NM_OPTION_TEXT, &path, "S.db", "store to describe", 0, 0},
        {"check", NM_OPTION_FLAG, &check, NULL, "look for damage first: every page, index, reference and scene", 0, 0},
    };
    int count;
    int parsed = nm_cli_parse(command, table, sizeof table / sizeof *table, &common, argc, argv, 0, 0, &count);
    if (parsed >= 0) return parsed;
    if (!path) return nm_cli_usage(command, "--store S.db is missing");
    nm_error error;
    nm_error_clear(&error);
    nm_store *store = NULL;
    nm_store_stats stats;
    uint64_t findings = 0;
    nm_status status = NM_E_IO;
    // a check may take the writer's place: then it sees the full-text index too, and nothing changes under it
    if (check) status = nm_store_open(path, NM_STORE_WRITE, &store, &error);
    if (status == NM_E_IO) status = nm_store_open(path, NM_STORE_READ, &store, &error);
    if (status == NM_OK) nm_store_set_interrupt(store, nm_cli_stop, NULL);
    if (status == NM_OK && check)
        status = nm_store_check(store, 1, take_finding, (void *)(uintptr_t)command, &findings, &error);
    if (status == NM_OK) status = nm_store_get_stats(store, &stats, &error);
    if (status == NM_OK && common.json) {
        cJSON *document = to_json(store, &stats, &status, &error);
        if (check) nm_json_integer(document, "findings", findings);
        if (status == NM_OK)
            result = nm_cli_print_json(command, document);
        else
            cJSON_Delete(document);
    } else if (status == NM_OK) {
        status = print_tables(store, &stats, &error);
        if (check && !findings) printf("\nno damage found\n");
        if (status == NM_OK) result = nm_cli_finish(command);
    }
    nm_store_close(store);
    if (status != NM_OK) return nm_cli_fail(command, &error);
    return findings ? NM_EXIT_FAILED : result;
}

const nm_command nm_command_stats = {
    .name = "stats",
    .summary = "Counts what a store holds: scenes, agents, hours, events by kind, sources.",
    .usage = "stats --store S.db [--check]",
    .example = "nearmiss stats --store scenes.db --json",
    .run = run_stats,
};
