#include "support.h"

#include <unistd.h>

#include "tools/cli.h"

static const nm_command command = {.name = "test", .usage = "test FILE...", .summary = "Tests.", .example = "none"};

/// Standard output into a file for the duration of a call.
typedef struct capture {
    FILE *file;
    int saved;
    char text[8192];
} capture;

static void capture_begin(capture *c) {
    fflush(stdout);
    c->file = tmpfile();
    assert_non_null(c->file);
    c->saved = dup(STDOUT_FILENO);
    dup2(fileno(c->file), STDOUT_FILENO);
}

static const char *capture_end(capture *c) {
    fflush(stdout);
    dup2(c->saved, STDOUT_FILENO);
    close(c->saved);
    rewind(c->file);
    c->text[fread(c->text, 1, sizeof c->text - 1, c->file)] = '\0';
    fclose(c->file);
    return c->text;
}

typedef struct values {
    int flag;
    const char *text;
    int64_t integer;
    double real;
    size_t listed;
    char last[8];
    nm_common common;
    int positional, status;
    const char *rest[8];
} values;

static values parse(int argc, const char *const *arguments) {
    values v = {.text = "default", .integer = 7, .real = 0.5};
    nm_text_list list = {.count = 0};
    const nm_option options[] = {
        {"flag", NM_OPTION_FLAG, &v.flag, NULL, "a flag", 0, 0},
        {"text", NM_OPTION_TEXT, &v.text, "T", "a text", 0, 0},
        {"integer", NM_OPTION_INTEGER, &v.integer, "N", "an integer", -10, 10},
        {"real", NM_OPTION_REAL, &v.real, "X", "a real", 0, 0},
        {"list", NM_OPTION_LIST, &list, "T", "texts", 0, 0},
    };
    char storage[16][64];
    char *argv[16];
    for (int i = 0; i < argc; i++) {
        snprintf(storage[i], sizeof storage[i], "%s", arguments[i]);
        argv[i] = storage[i];
    }
    v.status = nm_cli_parse(&command, options, 5, &v.common, argc, argv, 0, 3, &v.positional);
    static char kept[8][64];
    for (int i = 0; v.status < 0 && i < v.positional; i++) {
        snprintf(kept[i], sizeof kept[i], "%s", argv[i]);
        v.rest[i] = kept[i];
    }
    v.listed = list.count;
    if (list.count > 0) snprintf(v.last, sizeof v.last, "%s", list.items[list.count - 1]);
    // text points into storage, which ends here
    static char text[64];
    snprintf(text, sizeof text, "%s", v.text);
    v.text = text;
    return v;
}
#define PARSE(...)                                                                                                     \
    parse((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *const[]){__VA_ARGS__})

static void options_may_stand_anywhere(void **state) {
    (void)state;
    values v = PARSE("a", "--flag", "b", "--integer", "-3", "--real=2.5e3", "--text=--x", "c", "--threads", "2");
    assert_int_equal(v.status, -1);
    assert_int_equal(v.flag, 1);
    assert_int_equal(v.integer, -3);
    assert_true(v.real == 2500.0);
    assert_string_equal(v.text, "--x");
    assert_int_equal(v.common.threads, 2);
    assert_string_equal(v.common.device, "cpu");
    assert_int_equal(v.positional, 3);
    assert_string_equal(v.rest[0], "a");
    assert_string_equal(v.rest[2], "c");
    v = PARSE("--", "--flag", "-x");
    assert_int_equal(v.status, -1);
    assert_int_equal(v.flag, 0);
    assert_int_equal(v.positional, 2);
    assert_string_equal(v.rest[0], "--flag");
    v = PARSE("--list", "a", "--list=b", "x", "--list", "c");
    assert_int_equal(v.listed, 3);
    assert_string_equal(v.last, "c");
    v = PARSE("-", "-5");
    assert_int_equal(v.positional, 2);
    v = PARSE("x");
    assert_string_equal(v.text, "default");
    assert_int_equal(v.integer, 7);
}

static void nonsense_is_a_usage_error(void **state) {
    (void)state;
    const char *const bad[] = {"--integer=11",
                               "--integer=-11",
                               "--integer=",
                               "--integer=1.5",
                               "--integer=99999999999999999999",
                               "--real=nan",
                               "--real=inf",
                               "--real=1e999",
                               "--real=x",
                               "--real=",
                               "--flags",
                               "--flag=1",
                               "--text",
                               "-f",
                               "--=3",
                               "--device=gpu"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const values v = parse(1, &bad[i]);
        assert_int_equal(v.status, NM_EXIT_USAGE);
    }
    assert_int_equal(PARSE("1", "2", "3", "4").status, NM_EXIT_USAGE);
    assert_int_equal(PARSE("--text", "--flag").status, NM_EXIT_USAGE);
}

static void tables_line_up(void **state) {
    (void)state;
    static const char *const headings[] = {"kind", ">count", "note"};
    nm_table *table = nm_table_create(headings, 3);
    nm_table_cell(table, "cut_in");
    nm_table_cell(table, "%d", 5);
    nm_table_cell(table, "caf\xc3\xa9");
    nm_table_cell(table, "x");
    nm_table_cell(table, "%d", 1234567);
    nm_table_cell(table, "tab\there");
    FILE *file = tmpfile();
    assert_non_null(file);
    nm_table_print(table, file);
    nm_table_destroy(table);
    rewind(file);
    char text[512];
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, "kind      count  note\n"
                              "cut_in        5  caf\xc3\xa9\n"
                              "x       1234567  tab\\there\n");
    nm_table_cell(NULL, "x");
    nm_table_print(NULL, stdout);
    nm_table_destroy(NULL);
}

static void a_table_of_many_rows(void **state) {
    (void)state;
    static const char *const headings[] = {">n"};
    nm_table *table = nm_table_create(headings, 1);
    for (int i = 0; i < 10000; i++) nm_table_cell(table, "%d", i);
    FILE *file = tmpfile();
    assert_non_null(file);
    nm_table_print(table, file);
    assert_int_equal(ftell(file), 10001 * 5);
    fclose(file);
    nm_table_destroy(table);
}

static void json_is_always_json(void **state) {
    (void)state;
    capture c;
    capture_begin(&c);
    cJSON *document = cJSON_CreateObject();
    nm_json_number(document, "nan", NAN);
    nm_json_number(document, "inf", -INFINITY);
    nm_json_number(document, "tenth", 0.1);
    nm_json_integer(document, "states", 204476);
    nm_json_integer(document, "exact", UINT64_C(1) << 53);
    nm_json_integer(document, "large", UINT64_MAX);
    cJSON_AddStringToObject(document, "file", "a\xff\xc3.xml");
    cJSON_AddNumberToObject(cJSON_AddObjectToObject(document, "in"), "k\xfe", 1);
    assert_int_equal(nm_cli_print_json(&command, document), NM_EXIT_OK);
    const char *text = capture_end(&c);
    document = cJSON_Parse(text);
    assert_non_null(document);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(document, "nan")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(document, "inf")));
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(document, "tenth")) == 0.1);
    assert_non_null(strstr(text, "204476,"));
    assert_non_null(strstr(text, "9007199254740992,"));
    assert_non_null(strstr(text, "\"18446744073709551615\""));
    assert_non_null(strstr(text, "a\xef\xbf\xbd\xef\xbf\xbd.xml"));
    assert_non_null(strstr(text, "\"k\xef\xbf\xbd\""));
    cJSON_Delete(document);
    assert_int_equal(nm_cli_print_json(&command, NULL), NM_EXIT_FAILED);
}

static void benches_report(void **state) {
    (void)state;
    capture c;
    nm_bench *bench = nm_bench_start("test");
    nm_bench_row(bench, "speed.64", 8123456.7, "steps/s");
    nm_bench_row(bench, "ratio", 1.987654, "1");
    nm_bench_row(bench, "broken", NAN, "1");
    nm_bench_note(bench, "said once");
    capture_begin(&c);
    assert_int_equal(nm_bench_finish(&command, bench, 1), NM_EXIT_OK);
    cJSON *document = cJSON_Parse(capture_end(&c));
    assert_non_null(document);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(document, "bench")), "test");
    const cJSON *rows = cJSON_GetObjectItem(document, "rows");
    assert_int_equal(cJSON_GetArraySize(rows), 3);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(rows, 0), "name")), "speed.64");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetArrayItem(rows, 2), "value")));
    static const char *const members[] = {"cpu", "cores", "memory_bytes", "os", "compiler", "build", "version"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(document, "machine"), members[i]));
    }
    cJSON_Delete(document);

    bench = nm_bench_start("test");
    nm_bench_row(bench, "speed.64", 8123456.7, "steps/s");
    nm_bench_row(bench, "ratio", 1.987654, "1");
    nm_bench_note(bench, "said once");
    capture_begin(&c);
    assert_int_equal(nm_bench_finish(&command, bench, 0), NM_EXIT_OK);
    const char *text = capture_end(&c);
    assert_non_null(strstr(text, "speed.64  8123457  steps/s\nratio       1.988  1\n\nsaid once\n"));
    nm_bench_discard(nm_bench_start("dropped"));
    nm_bench_discard(NULL);
    nm_bench_row(NULL, "x", 1, "1");
    nm_bench_note(NULL, "x");
}

static void suggests_what_is_near(void **state) {
    (void)state;
    static const char *const names[] = {"import", "simulate", "mine", "find", "show", "stats", "bench"};
    assert_string_equal(nm_cli_nearest("ipmort", names, 7), "import");
    assert_string_equal(nm_cli_nearest("imp", names, 7), "import");
    assert_string_equal(nm_cli_nearest("stat", names, 7), "stats");
    assert_string_equal(nm_cli_nearest("simulation", names, 7), "simulate");
    assert_null(nm_cli_nearest("frobnicate", names, 7));
    assert_null(nm_cli_nearest("", names, 7));
    assert_null(nm_cli_nearest("x", names, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_stand_anywhere),
        cmocka_unit_test(nonsense_is_a_usage_error),
        cmocka_unit_test(tables_line_up),
        cmocka_unit_test(a_table_of_many_rows),
        cmocka_unit_test(json_is_always_json),
        cmocka_unit_test(benches_report),
        cmocka_unit_test(suggests_what_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
