/// `nearmiss find`: searches the store for corner cases.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "scenarios/store.h"
#include "tools/cli.h"
#include "tools/cmd_event.h"

typedef struct find_options {
    const char *store, *kind, *ttc, *distance;
    int64_t limit;
} find_options;

typedef struct find_output {
    const nm_query *query;
    nm_table *table; ///< or
    cJSON *hits;
    uint64_t count;
} find_output;

static nm_status take_json(find_output *output, const nm_hit *hit, nm_error *error) {
    cJSON *object = cJSON_CreateObject();
    nm_json_integer(object, "scene", (uint64_t)hit->scene);
    if (hit->event) {
        nm_json_integer(object, "event", (uint64_t)hit->event);
        nm_event_to_json(object, &hit->detail);
    } else {
        cJSON_AddNullToObject(object, "event");
        cJSON_AddNullToObject(object, "kind");
    }
    if (output->query->like) nm_json_number(object, "similarity_distance", hit->distance);
    cJSON_AddStringToObject(object, "source", hit->source);
    cJSON_AddStringToObject(object, "scene_name", hit->scene_id);
    cJSON_AddStringToObject(object, "file", hit->file);
    if (cJSON_AddItemToArray(output->hits, object)) return NM_OK;
    cJSON_Delete(object);
    return NM_ERROR(error, NM_E_MEMORY, "out of memory");
}

static nm_status take_row(find_output *output, const nm_hit *hit) {
    const nm_event *event = &hit->detail;
    nm_table *table = output->table;
    nm_table_cell(table, "%lld", (long long)hit->scene);
    nm_table_cell(table, "%s", hit->event ? nm_kind_name(event->kind) : "-");
    nm_table_number(table, 2, (double)event->severity);
    if (event->critical_step == NM_NONE)
        nm_table_cell(table, "-");
    else
        nm_table_cell(table, "%u", event->critical_step);
    nm_table_number(table, 2, (double)event->min_ttc);
    nm_table_number(table, 2, (double)event->min_distance);
    nm_table_number(table, 1, (double)event->closing_speed);
    if (output->query->like) nm_table_number(table, 3, hit->distance);
    nm_table_cell(table, "%s", hit->source);
    nm_table_cell(table, "%s", hit->scene_id);
    return NM_OK;
}

static nm_status take(void *context, const nm_hit *hit, nm_error *error) {
    find_output *output = context;
    output->count++;
    return output->hits ? take_json(output, hit, error) : take_row(output, hit);
}

/// "MIN:MAX", either side may be empty. 0 when it is neither.
static int parse_range(const char *text, double *low, double *high) {
    const char *colon = strchr(text, ':');
    if (!colon || strcmp(text, ":") == 0) return 0;
    if (colon != text) {
        if (!nm_decimal_parse(text, (size_t)(colon - text), low) || !isfinite(*low)) return 0;
    }
    if (colon[1]) {
        if (!nm_decimal_parse(colon + 1, strlen(colon + 1), high) || !isfinite(*high)) return 0;
    }
    return !(*low > *high);
}

static int parse_kind(const nm_command *command, const char *name, int *kind) {
    const char *names[NM_KIND_COUNT];
    nm_kind found;
    if (nm_kind_from_name(name, &found)) {
        *kind = (int)found;
        return -1;
    }
    char list[512] = "";
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        names[i] = nm_kind_name((nm_kind)i);
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = nm_cli_nearest(name, names, NM_KIND_COUNT);
    if (near) return nm_cli_usage(command, "there is no kind '%s'; did you mean '%s'?", name, near);
    return nm_cli_usage(command, "there is no kind '%s'; the kinds are %s", name, list);
}

/// Finding nothing among scenes that nobody mined looks like there was nothing.
static void hint(nm_store *store, const find_options *options, const nm_query *query) {
    nm_store_stats stats;
    if (query->like || nm_store_get_stats(store, &stats, NULL) != NM_OK) return;
    if (stats.mined < stats.scenes)
        fprintf(stderr, "nearmiss find: %llu of %llu scenes were not mined yet: nearmiss mine --store %s\n",
                (unsigned long long)(stats.scenes - stats.mined), (unsigned long long)stats.scenes, options->store);
}

static int find(const nm_command *command, const find_options *options, const nm_common *common,
                const nm_query *query) {
    static const char *const plain[] = {">scene", "kind",         ">severity", ">step", ">TTC s",
                                        ">gap m", ">closing m/s", "source",    "name"};
    static const char *const similar[] = {">scene", "kind",         ">severity", ">step",  ">TTC s",
                                          ">gap m", ">closing m/s", ">differs",  "source", "name"};
    nm_error error;
    nm_error_clear(&error);
    nm_store *store = NULL;
    if (nm_store_open(options->store, NM_STORE_READ, &store, &error) != NM_OK) return nm_cli_fail(command, &error);
    nm_store_set_interrupt(store, nm_cli_stop, NULL);
    find_output output = {.query = query};
    if (common->json)
        output.hits = cJSON_CreateArray();
    else
        output.table = query->like ? nm_table_create(similar, 10) : nm_table_create(plain, 9);
    nm_status status = nm_store_find(store, query, take, &output, &error);
    int result = NM_EXIT_OK;
    if (status == NM_OK && output.count == 0 && !common->quiet) hint(store, options, query);
    nm_store_close(store);
    if (status != NM_OK) {
        cJSON_Delete(output.hits);
        result = nm_cli_fail(command, &error);
        if (status == NM_E_ARGUMENT) result = NM_EXIT_USAGE;
    } else if (common->json) {
        cJSON *document = cJSON_CreateObject();
        nm_json_integer(document, "count", output.count);
        if (!cJSON_AddItemToObject(document, "hits", output.hits)) cJSON_Delete(output.hits);
        result = nm_cli_print_json(command, document);
    } else {
        nm_table_print(output.table, stdout);
        result = nm_cli_finish(command);
    }
    nm_table_destroy(output.table);
    return result;
}

static int run_find(const nm_command *command, int argc, char **argv) {
    nm_query query = nm_query_default();
    find_options options = {.limit = 20};
    nm_common common = {0};
    const nm_option table[] = {
        {"store", NM_OPTION_TEXT, &options.store, "S.db", "store to search", 0, 0},
        {"kind", NM_OPTION_TEXT, &options.kind, "KIND", "kind of event, such as cut_in", 0, 0},
        {"ttc", NM_OPTION_TEXT, &options.ttc, "MIN:MAX", "smallest time to collision in s; one side may be left open",
         0, 0},
        {"distance", NM_OPTION_TEXT, &options.distance, "MIN:MAX", "smallest distance in m", 0, 0},
        {"severity", NM_OPTION_REAL, &query.severity_min, "MIN", "at least this severe, 0 to 1", 0, 1},
        {"where", NM_OPTION_TEXT, &query.where, "SQL", "condition over the columns of the view events", 0, 0},
        {"text", NM_OPTION_TEXT, &query.text, "WORDS", "words among tags, source, file and name; high* = prefix", 0, 0},
        {"source", NM_OPTION_TEXT, &query.source, "NAME", "where scenes come from, such as commonroad", 0, 0},
        {"like", NM_OPTION_INTEGER, &query.like, "SCENE", "the scenes most similar to this one, nearest first", 1,
         9e15},
        {"limit", NM_OPTION_INTEGER, &options.limit, "N", "how many at most, 0 = all (default 20)", 0, 4e9},
        {"timeout", NM_OPTION_REAL, &query.seconds, "S", "give up after this many seconds, 0 = never (default 60)", 0,
         1e9},
    };
    int count;
    int status = nm_cli_parse(command, table, sizeof table / sizeof *table, &common, argc, argv, 0, 0, &count);
    if (status >= 0) return status;
    if (!options.store) return nm_cli_usage(command, "--store S.db is missing");
    if (options.kind && (status = parse_kind(command, options.kind, &query.kind)) >= 0) return status;
    if (options.ttc && !parse_range(options.ttc, &query.ttc_min, &query.ttc_max))
        return nm_cli_usage(command, "--ttc wants MIN:MAX in seconds, such as 0:1.5 or :1.5, not '%s'", options.ttc);
    if (options.distance && !parse_range(options.distance, &query.distance_min, &query.distance_max))
        return nm_cli_usage(command, "--distance wants MIN:MAX in metres, such as 0:2, not '%s'", options.distance);
    query.limit = (uint32_t)options.limit;
    return find(command, &options, &common, &query);
}

const nm_command nm_command_find = {
    .name = "find",
    .summary = "Searches a store for corner cases, the most severe first, or for scenes like a given one.",
    .usage = "find --store S.db [--kind KIND] [--ttc MIN:MAX] [--where SQL] [--text WORDS] [--like SCENE] [--limit N]",
    .example = "nearmiss find --store scenes.db --kind cut_in --ttc 0:1.5 --where \"closing_speed_mps > 3\"",
    .run = run_find,
};
