#include "support.h"

#include "base/status.h"
#include "base/text.h"

static const char *formatted(const nm_error *error) {
    static char text[2048];
    nm_error_format(error, text, sizeof text);
    return text;
}

static void says_where(void **state) {
    (void)state;
    nm_error error;
    assert_int_equal(NM_ERROR(&error, NM_E_IO, "can not open %s", "x"), NM_E_IO);
    assert_string_equal(formatted(&error), "can not open x");
    assert_int_equal(error.offset, -1);
    assert_non_null(strstr(error.raised_in, "test_status.c"));
    assert_true(error.raised_at > 0);
    NM_ERROR_AT(&error, NM_E_FORMAT, "a.xml", 12, 345, "no <lanelet>");
    assert_string_equal(formatted(&error), "a.xml:12: no <lanelet>");
    NM_ERROR_AT(&error, NM_E_FORMAT, "a.tfrecord", 0, 345, "bad CRC");
    assert_string_equal(formatted(&error), "a.tfrecord: offset 345: bad CRC");
    NM_ERROR_AT(&error, NM_E_FORMAT, "a.xml", 0, -1, "empty");
    assert_string_equal(formatted(&error), "a.xml: empty");
    NM_ERROR_AT(&error, NM_E_FORMAT, NULL, 7, -1, "odd");
    assert_string_equal(formatted(&error), "line 7: odd");
    NM_ERROR_AT(&error, NM_E_FORMAT, NULL, 0, 7, "odd");
    assert_string_equal(formatted(&error), "offset 7: odd");
    nm_error_clear(&error);
    assert_int_equal(error.code, NM_OK);
    assert_string_equal(formatted(&error), "NM_OK");
    assert_int_equal(NM_ERROR(NULL, NM_E_LIMIT, "nobody listens"), NM_E_LIMIT);
    nm_error_clear(NULL);
}

static void wraps_itself(void **state) {
    (void)state;
    nm_error error;
    NM_ERROR_AT(&error, NM_E_FORMAT, "a.xml", 3, -1, "inner\n");
    assert_string_equal(error.message, "inner");
    NM_ERROR_AT(&error, error.code, error.input, error.line, -1, "outer: %s", error.message);
    assert_string_equal(formatted(&error), "a.xml:3: outer: inner");
}

static void cuts_long_texts_between_characters(void **state) {
    (void)state;
    char longer[2000];
    for (size_t i = 0; i + 2 < sizeof longer; i += 2) memcpy(longer + i, "\xc3\xa9", 3); // e with acute accent
    nm_error error;
    NM_ERROR_AT(&error, NM_E_FORMAT, longer, 1, -1, "x%s", longer);
    assert_int_equal(strlen(error.input), 254);
    assert_int_equal(strlen(error.message), 511);
    NM_ERROR_AT(&error, NM_E_FORMAT, longer + 0, 1, -1, "%s", longer);
    assert_int_equal(strlen(error.message), 510);
    char small[8];
    nm_error_format(&error, small, sizeof small);
    assert_int_equal(strlen(small), 6);
    nm_error_format(&error, small, 1);
    assert_string_equal(small, "");
}

static void names_every_code(void **state) {
    (void)state;
    for (int i = 0; i < NM_STATUS_COUNT; i++) {
        assert_memory_equal(nm_status_name((nm_status)i), "NM_", 3);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(nm_status_name((nm_status)i), nm_status_name((nm_status)j));
        }
    }
    assert_non_null(nm_status_name((nm_status)99));
    assert_non_null(nm_status_name((nm_status)-1));
}

static int failed_line;
static void note_failure(const char *condition, const char *file, int line) {
    assert_string_equal(condition, "1 == 2");
    assert_non_null(strstr(file, "test_status.c"));
    failed_line = line;
}

static void assertions_can_be_hooked(void **state) {
    (void)state;
    nm_set_assert_handler(note_failure);
    NM_ASSERT(1 == 1);
    assert_int_equal(failed_line, 0);
    NM_ASSERT(1 == 2);
    assert_int_equal(failed_line, __LINE__ - 1);
    nm_set_assert_handler(NULL);
}

static void escapes_for_people(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
        {"\033[2Jx\177", "\\x1b[2Jx\\x7f"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x97", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x97"},
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m"},                            // C1 CSI
        {"\xff\xc3", "\\xff\\xc3"},                   // not UTF-8, cut short
        {"\xc0\xaf", "\\xc0\\xaf"},                   // overlong
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          // surrogate
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, // over U+10FFFF
    };
    char out[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(nm_text_escape(out, sizeof out, cases[i][0]), strlen(cases[i][1]));
        assert_string_equal(out, cases[i][1]);
    }
    assert_int_equal(nm_text_escape(out, 4, "ab\ncd"), 2); // an escape is whole or absent
    assert_string_equal(out, "ab");
    assert_int_equal(nm_text_escape(out, 1, "x"), 0);
    assert_int_equal(nm_text_escape(NULL, 0, "x"), 0);
    nm_text_escape_json(out, sizeof out, "\"\\\n\001\xff\xc3\xa9");
    assert_string_equal(out, "\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa9");
    assert_int_equal(nm_text_columns("a\xc3\xa9z"), 3);
}

static void measures_distance(void **state) {
    (void)state;
    assert_string_equal(nm_base_name("a/b.tar.xz!c/d.xml"), "d.xml");
    assert_string_equal(nm_base_name("a.tar!d.xml"), "d.xml");
    assert_string_equal(nm_base_name("d.xml"), "d.xml");
    assert_string_equal(nm_base_name("a/b/"), "b/"); // never empty, unless the path is
    assert_string_equal(nm_base_name(""), "");
    assert_int_equal(nm_text_distance("import", "import"), 0);
    assert_int_equal(nm_text_distance("improt", "import"), 1);
    assert_int_equal(nm_text_distance("imprt", "import"), 1);
    assert_int_equal(nm_text_distance("mine", "find"), 2);
    assert_int_equal(nm_text_distance("", "abc"), 3);
    assert_int_equal(nm_text_distance("kitten", "sitting"), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_where),
        cmocka_unit_test(wraps_itself),
        cmocka_unit_test(cuts_long_texts_between_characters),
        cmocka_unit_test(names_every_code),
        cmocka_unit_test(assertions_can_be_hooked),
        cmocka_unit_test(escapes_for_people),
        cmocka_unit_test(measures_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
