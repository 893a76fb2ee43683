/// The `nearmiss` program: finds the command and runs it.
#include <string.h>

#include "tools/cli.h"
#include "tools/commands.h"

static const nm_command *const commands[] = {
    NM_COMMANDS(NM_POINT_TO_COMMAND, NM_FULL(NM_POINT_TO_COMMAND), NM_PICTURES(NM_POINT_TO_COMMAND))};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

/// Stands for the program itself in messages.
static const nm_command program = {.name = NULL, .usage = "COMMAND [OPTIONS]"};

static const nm_command *find_command(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    }
    return NULL;
}

static int unknown_command(const char *name) {
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++) names[i] = commands[i]->name;
    const char *near = nm_cli_nearest(name, names, COMMAND_COUNT);
    if (near) return nm_cli_usage(&program, "there is no command '%s'; did you mean '%s'?", name, near);
    return nm_cli_usage(&program, "there is no command '%s'; 'nearmiss --help' lists them", name);
}

static int print_overview(void) {
    printf("nearmiss %s: rare dangerous driving scenes - import, simulate, mine, store, find, show\n\n", NM_VERSION);
    printf("Usage: nearmiss COMMAND [OPTIONS]\n\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    printf("\nEvery command takes --json, --quiet, --threads N, --device cpu|cuda and --help.\n"
           "Results go to standard output, everything else to standard error.\n"
           "Exit status: 0 done, 1 could not, 2 usage.\n\n"
           "  nearmiss help COMMAND    what a command does, its options and an example\n"
           "  nearmiss --version       version, compiler and build\n");
    return nm_cli_finish(&program);
}

static int print_version(int argc, char **argv) {
    cJSON *machine = nm_machine_describe();
    if (argc > 0 && strcmp(argv[0], "--json") == 0) return nm_cli_print_json(&program, machine);
    const char *compiler = cJSON_GetStringValue(cJSON_GetObjectItem(machine, "compiler"));
    const char *build = cJSON_GetStringValue(cJSON_GetObjectItem(machine, "build"));
    printf("nearmiss %s (%s, %s)\n", NM_VERSION, compiler ? compiler : "?", build ? build : "?");
    cJSON_Delete(machine);
    return nm_cli_finish(&program);
}

static int help_on(const char *name) {
    const nm_command *command = find_command(name);
    if (!command) return unknown_command(name);
    char option[] = "--help";
    char *arguments[] = {option, NULL};
    return command->run(command, 1, arguments);
}

int main(int argc, char **argv) {
    nm_cli_start();
    if (argc < 2) return nm_cli_usage(&program, "which command? 'nearmiss --help' lists them");
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return print_overview();
    if (strcmp(name, "--version") == 0) return print_version(argc - 2, argv + 2);
    if (strcmp(name, "help") == 0) return argc > 2 ? help_on(argv[2]) : print_overview();
    const nm_command *command = find_command(name);
    if (!command) return unknown_command(name);
    return command->run(command, argc - 2, argv + 2);
}
