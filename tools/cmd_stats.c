/// `nearmiss stats`: what a store holds, and whether it is sound; plots and the data sheet of a generated set.
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tools/cmd_stats_set.h"

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

typedef struct stats_options {
    const char *store, *plots, *sheet;
    int check;
} stats_options;

/// `folder` as seen from the folder of the file `from`, malloced; NULL when that is not plain (or without memory).
static char *seen_from(const char *from, const char *folder) {
    while (strncmp(from, "./", 2) == 0) from += 2;
    while (strncmp(folder, "./", 2) == 0) folder += 2;
    const char *slash = strrchr(from, '/');
    size_t own = slash ? (size_t)(slash - from) + 1 : 0, ups = 0;
    char *path = malloc(strlen(folder) + 3 * strlen(from) + 1);
    if (!path) return NULL;
    if (own && strncmp(from, folder, own) == 0) return strcpy(path, folder + own);
    if (folder[0] == '/' || own == 0) return strcpy(path, folder);
    path[0] = '\0';
    for (const char *c = from; c <= slash; c++) ups += *c == '/';
    if (from[0] == '/' || strstr(from, "//") || strstr(from, "../")) { // would need the working folder
        free(path);
        return NULL;
    }
    while (ups-- > 0) strcat(path, "../");
    return strcat(path, folder);
}

/// The plots and the data sheet of what was generated.
static nm_status write_files(const stats_options *options, const nm_set_stats *set, nm_error *error) {
    if (!options->plots && !options->sheet) return NM_OK;
    if (set->scenes == 0)
        return NM_ERROR_AT(error, NM_E_NOT_FOUND, options->store, 0, -1,
                           "holds no generated set: there is nothing to plot or to describe");
    nm_status status = options->plots ? nm_set_plot(set, options->plots, error) : NM_OK;
    if (status != NM_OK || !options->sheet) return status;
    char *pictures = options->plots ? seen_from(options->sheet, options->plots) : NULL;
    status = nm_data_sheet_write(set, nm_base_name(options->store), pictures, options->sheet, error);
    free(pictures);
    return status;
}

static nm_status print(const nm_command *command, const stats_options *options, int json, nm_store *store,
                       uint64_t findings, int *result, nm_error *error) {
    nm_store_stats stats;
    nm_set_stats set;
    nm_arena *arena = nm_arena_create(0);
    nm_status status = arena ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory");
    if (status == NM_OK) status = nm_store_get_stats(store, &stats, error);
    if (status == NM_OK) status = nm_set_stats_read(store, arena, &set, error);
    if (status == NM_OK) status = write_files(options, &set, error);
    if (status == NM_OK && json) {
        cJSON *document = to_json(store, &stats, &status, error);
        nm_set_to_json(&set, document);
        if (options->check) nm_json_integer(document, "findings", findings);
        if (status == NM_OK)
            *result = nm_cli_print_json(command, document);
        else
            cJSON_Delete(document);
    } else if (status == NM_OK) {
        status = print_tables(store, &stats, error);
        if (status == NM_OK && (set.scenes || set.run_count)) nm_set_print(&set);
        if (options->check && !findings) printf("\nno damage found\n");
        if (status == NM_OK) *result = nm_cli_finish(command);
    }
    nm_arena_destroy(arena);
    return status;
}

static int run_stats(const nm_command *command, int argc, char **argv) {
    stats_options options = {0};
    int result = NM_EXIT_OK;
    nm_common common = {0};
    const nm_option table[] = {
        {"store", NM_OPTION_TEXT, &options.store, "S.db", "store to describe", 0, 0},
        {"check", NM_OPTION_FLAG, &options.check, NULL, "look for damage first: every page, index, reference and scene",
         0, 0},
        {"plots", NM_OPTION_TEXT, &options.plots, "DIR", "write plots (PNG) of the generated set into this folder", 0,
         0},
        {"sheet", NM_OPTION_TEXT, &options.sheet, "F.md", "write the data sheet (Markdown) of the generated set", 0, 0},
    };
    int count;
    int parsed = nm_cli_parse(command, table, sizeof table / sizeof *table, &common, argc, argv, 0, 0, &count);
    if (parsed >= 0) return parsed;
    if (!options.store) return nm_cli_usage(command, "--store S.db is missing");
    nm_error error;
    nm_error_clear(&error);
    nm_store *store = NULL;
    uint64_t findings = 0;
    nm_status status = NM_E_IO;
    // a check may take the writer's place: then it sees the full-text index too, and nothing changes under it
    if (options.check) status = nm_store_open(options.store, NM_STORE_WRITE, &store, &error);
    if (status == NM_E_IO) status = nm_store_open(options.store, NM_STORE_READ, &store, &error);
    if (status == NM_OK) nm_store_set_interrupt(store, nm_cli_stop, NULL);
    if (status == NM_OK && options.check)
        status = nm_store_check(store, 1, take_finding, (void *)(uintptr_t)command, &findings, &error);
    if (status == NM_OK) status = print(command, &options, common.json, store, findings, &result, &error);
    nm_store_close(store);
    if (status != NM_OK) return nm_cli_fail(command, &error);
    return findings ? NM_EXIT_FAILED : result;
}

const nm_command nm_command_stats = {
    .name = "stats",
    .summary = "Counts what a store holds: scenes, agents, hours, events by kind, sources, generated sets.",
    .usage = "stats --store S.db [--check] [--plots DIR] [--sheet F.md]",
    .example = "nearmiss stats --store scenes.db --json",
    .run = run_stats,
};
