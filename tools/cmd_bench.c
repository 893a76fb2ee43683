/// `nearmiss bench NAME`: measures, after checking that what it measures is right.
#include <string.h>

#include "tools/cli.h"
#include "tools/commands.h"

/// Ends with NULL: a core build may have none.
static const nm_bench_entry *const benches[] = {
    NM_BENCHES(NM_POINT_TO_BENCH, NM_FULL(NM_POINT_TO_BENCH), NM_PICTURES(NM_POINT_TO_BENCH)) NULL};

static void list_benches(FILE *file) {
    fprintf(file, "\nBenches:\n");
    for (const nm_bench_entry *const *b = benches; *b; b++) fprintf(file, "  %-10s %s\n", (*b)->name, (*b)->summary);
}

static const nm_bench_entry *find_bench(const char *name) {
    for (const nm_bench_entry *const *b = benches; *b; b++) {
        if (strcmp((*b)->name, name) == 0) return *b;
    }
    return NULL;
}

static int unknown_bench(const nm_command *command, const char *name) {
    const char *names[sizeof benches / sizeof benches[0]] = {0};
    size_t count = 0;
    for (; benches[count]; count++) names[count] = benches[count]->name;
    const char *near = nm_cli_nearest(name, names, count);
    int status;
    if (near) {
        status = nm_cli_usage(command, "there is no bench '%s'; did you mean '%s'?", name, near);
    } else {
        status = nm_cli_usage(command, "there is no bench '%s'", name);
    }
    list_benches(stderr);
    return status;
}

static int run(const nm_command *command, int argc, char **argv) {
    nm_common common = {0};
    int positional;
    const int status = nm_cli_parse(command, NULL, 0, &common, argc, argv, 1, -1, &positional);
    if (status == NM_EXIT_OK) list_benches(stdout); // after --help
    if (status >= 0) return status == NM_EXIT_OK ? nm_cli_finish(command) : status;
    const nm_bench_entry *entry = find_bench(argv[0]);
    if (!entry) return unknown_bench(command, argv[0]);
    if (!entry->cuda && strcmp(common.device, "cuda") == 0)
        return nm_cli_usage(command, "--device cuda: bench %s runs on the CPU only", entry->name);
    nm_bench *bench = nm_bench_start(entry->name);
    nm_error error;
    nm_error_clear(&error);
    const nm_status result = entry->run(bench, &common, positional - 1, argv + 1, &error);
    if (result != NM_OK) {
        nm_bench_discard(bench);
        if (error.code == NM_OK) error.code = result;
        nm_cli_fail(command, &error);
        return result == NM_E_ARGUMENT ? NM_EXIT_USAGE : NM_EXIT_FAILED;
    }
    return nm_bench_finish(command, bench, common.json);
}

const nm_command nm_command_bench = {
    .name = "bench",
    .summary = "Measures the speed of a part of the program, after checking its results.",
    .usage = "bench NAME [ARGUMENT...]",
    .example = "nearmiss bench sim --json",
    .cuda = 1,
    .run = run,
};
