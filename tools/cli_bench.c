/// What benches report: rows and the machine they ran on.
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tools/cli.h"

#if defined(__clang__)
#define NM_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define NM_COMPILER "gcc " __VERSION__
#else
#define NM_COMPILER "unknown"
#endif

/// "model name" of the first processor; "unknown" where the system does not tell.
static void read_cpu_model(char *model, size_t size) {
    snprintf(model, size, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file) return;
    char line[512];
    while (fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        colon += strspn(colon, ": \t");
        snprintf(model, size, "%.*s", (int)strcspn(colon, "\n"), colon);
        break;
    }
    fclose(file);
}

cJSON *nm_machine_describe(void) {
    cJSON *machine = cJSON_CreateObject();
    if (!machine) return NULL;
    char model[256], system_name[256] = "unknown";
    read_cpu_model(model, sizeof model);
    struct utsname name;
    if (uname(&name) == 0)
        snprintf(system_name, sizeof system_name, "%.60s %.80s %.60s", name.sysname, name.release, name.machine);
    const double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    cJSON_AddStringToObject(machine, "cpu", model);
    cJSON_AddNumberToObject(machine, "cores", nm_cpu_count());
    cJSON_AddNumberToObject(machine, "memory_bytes", memory);
    cJSON_AddStringToObject(machine, "os", system_name);
    cJSON_AddStringToObject(machine, "compiler", NM_COMPILER);
    cJSON_AddStringToObject(machine, "build", NM_BUILD_TYPE);
    cJSON_AddStringToObject(machine, "version", NM_VERSION);
    return machine;
}

struct nm_bench {
    cJSON *document; ///< {"bench", "machine", "rows"[, "notes"]}
};

nm_bench *nm_bench_start(const char *name) {
    nm_bench *bench = calloc(1, sizeof *bench);
    if (!bench) return NULL;
    bench->document = cJSON_CreateObject();
    cJSON *machine = nm_machine_describe();
    if (!cJSON_AddStringToObject(bench->document, "bench", name) ||
        !cJSON_AddItemToObject(bench->document, "machine", machine) ||
        !cJSON_AddArrayToObject(bench->document, "rows")) {
        cJSON_Delete(bench->document);
        free(bench);
        return NULL;
    }
    return bench;
}

void nm_bench_row(nm_bench *bench, const char *name, double value, const char *unit) {
    if (!bench) return;
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "name", name);
    nm_json_number(row, "value", value);
    cJSON_AddStringToObject(row, "unit", unit);
    cJSON_AddItemToArray(cJSON_GetObjectItem(bench->document, "rows"), row);
}

void nm_bench_note(nm_bench *bench, const char *text) {
    if (!bench) return;
    cJSON *notes = cJSON_GetObjectItem(bench->document, "notes");
    if (!notes) notes = cJSON_AddArrayToObject(bench->document, "notes");
    cJSON_AddItemToArray(notes, cJSON_CreateString(text));
}

static const char *text_of(const cJSON *object, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
    return text ? text : "?";
}

static double number_of(const cJSON *object, const char *name) {
    return cJSON_GetNumberValue(cJSON_GetObjectItem(object, name));
}

/// Whole numbers above a thousand, four digits below.
static void value_cell(nm_table *table, double value) {
    nm_table_cell(table, value >= 1000.0 || value <= -1000.0 ? "%.0f" : "%.4g", value);
}

static void print_tables(const nm_bench *bench) {
    const cJSON *machine = cJSON_GetObjectItem(bench->document, "machine");
    printf("%s: %.0f cores, %.1f GiB, %s\nnearmiss %s, %s, %s\n\n", text_of(machine, "cpu"),
           number_of(machine, "cores"), number_of(machine, "memory_bytes") / (1 << 30), text_of(machine, "os"),
           text_of(machine, "version"), text_of(machine, "build"), text_of(machine, "compiler"));
    static const char *const headings[] = {"name", ">value", "unit"};
    nm_table *table = nm_table_create(headings, 3);
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(bench->document, "rows")) {
        nm_table_cell(table, "%s", text_of(row, "name"));
        value_cell(table, number_of(row, "value"));
        nm_table_cell(table, "%s", text_of(row, "unit"));
    }
    nm_table_print(table, stdout);
    nm_table_destroy(table);
    const cJSON *note;
    cJSON_ArrayForEach(note, cJSON_GetObjectItem(bench->document, "notes")) {
        printf("%s%s\n", note->prev->next ? "" : "\n", note->valuestring ? note->valuestring : "");
    }
}

void nm_bench_discard(nm_bench *bench) {
    if (!bench) return;
    cJSON_Delete(bench->document);
    free(bench);
}

int nm_bench_finish(const nm_command *command, nm_bench *bench, int json) {
    if (!bench) return nm_cli_print_json(command, NULL); // says that memory is out
    if (json) {
        cJSON *document = bench->document;
        free(bench);
        return nm_cli_print_json(command, document);
    }
    print_tables(bench);
    nm_bench_discard(bench);
    return nm_cli_finish(command);
}
