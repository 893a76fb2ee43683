/// What the commands of `nearmiss` share: options, output, exit status. One file per command: cmd_NAME.c.
///
/// Rules: results on standard output (tables for people, with --json exactly one JSON document), everything else on
/// standard error; exit status 0 done, 1 could not, 2 usage. Ctrl-C (SIGINT, SIGTERM, SIGHUP) sets a flag that long
/// loops look at, so that interrupted work is rolled back and ends with status 1.
#ifndef NM_TOOLS_CLI_H
#define NM_TOOLS_CLI_H

#include <stdio.h>

#include <cjson/cJSON.h>

#include "base/log.h"
#include "base/progress.h"
#include "base/status.h"
#include "base/thread_pool.h"

typedef enum nm_option_type {
    NM_OPTION_FLAG,
    NM_OPTION_TEXT,
    NM_OPTION_INTEGER,
    NM_OPTION_REAL,
    NM_OPTION_LIST ///< a text that may be given several times
} nm_option_type;

#define NM_LIST_MAX 64
typedef struct nm_text_list {
    const char *items[NM_LIST_MAX]; ///< in the order given
    size_t count;
} nm_text_list;

/// One --NAME. `value` points to int (flag), const char * (text), int64_t (integer), double (real) or nm_text_list,
/// preset to the default. Integers and reals outside [min, max] are usage errors when min < max. Given twice, the last
/// one counts, except for lists.
typedef struct nm_option {
    const char *name; ///< without the dashes
    nm_option_type type;
    void *value;
    const char *placeholder; ///< for the help: "N", "FILE"
    const char *help;        ///< one line, with unit and default
    double min, max;
} nm_option;

/// The options every command takes: --json, --quiet, --help, --threads N, --device cpu|cuda. Zero it before the parse.
typedef struct nm_common {
    int json, quiet, help;
    int64_t threads;    ///< 0 = all cores
    const char *device; ///< "cpu" or "cuda"
} nm_common;

typedef struct nm_command {
    const char *name;
    const char *summary;                                                 ///< one line
    const char *usage;                                                   ///< "import FILE... --store S.db"
    const char *example;                                                 ///< a line that works
    int cuda;                                                            ///< 1: some of it can run with --device cuda
    int (*run)(const struct nm_command *command, int argc, char **argv); ///< argv after the command's name
} nm_command;

#define NM_EXIT_OK 0
#define NM_EXIT_FAILED 1
#define NM_EXIT_USAGE 2

/// Parses options (anywhere among the arguments; "--name value" and "--name=value"; "--" ends them) and gathers the
/// positional arguments into argv[0 .. *positional). Returns -1 to go on, else the exit status to return at once: 0
/// after --help (printed to standard output), 2 after a usage error (message and usage on standard error; suggests the
/// nearest option name). An option of the command's own replaces the common one of its name. Counts outside
/// [min_positional, max_positional] are usage errors; a negative maximum = any. A value that begins with "--" must be
/// given as --name=value. Text values point into `argv`.
int nm_cli_parse(const nm_command *command, const nm_option *options, size_t option_count, nm_common *common, int argc,
                 char **argv, int min_positional, int max_positional, int *positional);

/// "nearmiss COMMAND: message" with the place, on standard error, control characters escaped. Returns NM_EXIT_FAILED.
int nm_cli_fail(const nm_command *command, const nm_error *error);
/// The same with a message of its own; returns NM_EXIT_USAGE.
int nm_cli_usage(const nm_command *command, const char *format, ...) NM_PRINTF(2, 3);

/// Prints the document (released here; NULL = it could not be built for lack of memory) with a newline. Bytes that are
/// not UTF-8 become U+FFFD. Non-finite numbers must have been made null: use nm_json_number.
/// Returns NM_EXIT_OK, or NM_EXIT_FAILED with a message when standard output is full or closed.
int nm_cli_print_json(const nm_command *command, cJSON *document);
/// Flushes standard output: the last call of a command that printed text. NM_EXIT_FAILED with a message when anything
/// written to it was lost (without one when a reader such as `head` went away).
int nm_cli_finish(const nm_command *command);
/// The document (released here; nullable) as text for a file, repaired alike; release it with cJSON_free. NULL: no
/// memory.
char *nm_json_text(cJSON *document, int indented);
void nm_json_number(cJSON *object, const char *name, double value);    ///< null when not finite
void nm_json_integer(cJSON *object, const char *name, uint64_t value); ///< exact to 2^53, else as text

/// A cell of CSV that is text: always in quotes, those in it doubled (RFC 4180).
void nm_csv_text(FILE *file, const char *text);

/// A table for people: columns are as wide as they need, numbers to the right. NULL (no memory) is accepted everywhere.
typedef struct nm_table nm_table;
nm_table *nm_table_create(const char *const *headings, size_t columns); ///< a heading that begins with '>' aligns right
void nm_table_cell(nm_table *table, const char *format, ...)
    NM_PRINTF(2, 3); ///< row by row; control characters are escaped
void nm_table_print(nm_table *table, FILE *file);
void nm_table_destroy(nm_table *table);

/// 1 after SIGINT, SIGTERM or SIGHUP. A second signal ends the process at once. Thread-safe.
int nm_cli_interrupted(void);
int nm_cli_stop(void *context); ///< the same as a callback (nm_interrupt, nm_world_config.stop); the context is ignored
/// Installs the handlers and makes sure that descriptors 0 to 2 are open, so that no file opened later is mistaken for
/// standard output. Called by main.
void nm_cli_start(void);

/// The entry of `names` nearest to `word`, or NULL when none is near enough for "did you mean".
const char *nm_cli_nearest(const char *word, const char *const *names, size_t count);

/// What the program was built from and with, and what it runs on: {"cpu", "cores", "memory_bytes", "os", "compiler",
/// "build", "version"}. NULL without memory.
cJSON *nm_machine_describe(void);

/// Rows of `nearmiss bench`: {"bench": NAME, "machine": {...}, "rows": [{"name", "value", "unit"}]} or a table. NULL
/// (no memory) is accepted everywhere; nm_bench_finish reports it.
typedef struct nm_bench nm_bench;
nm_bench *nm_bench_start(const char *name);
void nm_bench_row(nm_bench *bench, const char *name, double value, const char *unit);
void nm_bench_note(nm_bench *bench, const char *text);                     ///< shown under the table and as "notes"
int nm_bench_finish(const nm_command *command, nm_bench *bench, int json); ///< prints and releases
void nm_bench_discard(nm_bench *bench);                                    ///< releases only

/// The benches behind `nearmiss bench NAME`, one file each: bench_NAME.c, listed in commands.h. argv: the positional
/// arguments after the bench's name. A bench prints nothing itself; it validates what it computes before it times it.
typedef struct nm_bench_entry {
    const char *name;
    const char *summary;
    int cuda; ///< 1: can run with --device cuda
    nm_status (*run)(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error);
} nm_bench_entry;

#endif
