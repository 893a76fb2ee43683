/// Reading weights files: what is sound comes back, what is not is refused by name.
#include "safetensors_support.h"

#include <fcntl.h>

static nm_safetensors *open_bytes(const void *bytes, size_t size) {
    nm_safetensors *file = NULL;
    nm_error error;
    if (nm_safetensors_open_memory("memory", bytes, size, &file, &error) != NM_OK) fail_msg("%s", error.message);
    return file;
}

static nm_safetensors *open_items(const nm_safetensors_item *items, size_t count, unsigned char **bytes) {
    nm_safetensors_config config = nm_safetensors_config_default();
    size_t size = 0, again = 0;
    assert_int_equal(nm_safetensors_encode(items, count, &config, NULL, 0, &size, NULL), NM_OK);
    *bytes = malloc(size);
    assert_int_equal(nm_safetensors_encode(items, count, &config, *bytes, size, &again, NULL), NM_OK);
    assert_int_equal(size, again);
    return open_bytes(*bytes, size);
}

/// The format's own example of a header, spaces and any order of members included.
static void reads_a_file_written_by_hand(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes = with_header(
        "{ \"b\": {\"data_offsets\":[4,8], \"shape\":[ 2,1 ], \"dtype\":\"BF16\", \"later\": \"\\\\u0000\"},\n"
        " \"a\\u00e9\":{\"dtype\":\"U32\",\"shape\":[],\"data_offsets\":[0,4]}, \"__metadata__\":"
        "{\"k\":\"v\",\"hidden\":\"64\"}, \"none\":{\"dtype\":\"F64\",\"shape\":[0,7],"
        "\"data_offsets\":[4,4]}}   ",
        8, &size);
    nm_safetensors *file = open_bytes(bytes, size);
    assert_int_equal(nm_safetensors_count(file), 3);
    const nm_stored_tensor *scalar = nm_safetensors_at(file, 0);
    assert_string_equal(scalar->name, "a\xc3\xa9");
    assert_int_equal(scalar->type, NM_STORED_U32);
    assert_int_equal(scalar->rank, 0);
    assert_int_equal(scalar->elements, 1);
    assert_int_equal(scalar->offset, size - 8);
    uint32_t value = 0;
    assert_int_equal(nm_safetensors_read(file, scalar, &value, NULL), NM_OK);
    assert_int_equal(value, 0x03020100);
    const nm_stored_tensor *b = nm_safetensors_find(file, "b");
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->shape[0], 2);
    assert_int_equal(b->bytes, 4);
    assert_int_equal(nm_safetensors_find(file, "none")->bytes, 0);
    assert_null(nm_safetensors_find(file, "k"));
    assert_int_equal(nm_safetensors_metadata_count(file), 2);
    assert_string_equal(nm_safetensors_metadata(file, "k"), "v");
    assert_null(nm_safetensors_metadata(file, "b"));
    nm_safetensors_close(file);
    free(bytes);
}

static void an_empty_set_is_a_set(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes = with_header("{}", 0, &size);
    nm_safetensors *file = open_bytes(bytes, size);
    assert_int_equal(nm_safetensors_count(file), 0);
    assert_null(nm_safetensors_find(file, ""));
    assert_int_equal(nm_safetensors_match(file, NULL, 0, NULL), NM_OK);
    nm_safetensors_close(file);
    nm_safetensors_close(NULL);
    free(bytes);
}

#define ENTRY(type, shape, offsets) "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

/// What is wrong, the header, how many bytes of data follow, and what the message has to mention.
static const struct {
    const char *name, *header;
    size_t data;
    const char *part;
} hostile[] = {
    {"no object", "[1,2]", 0, "not a JSON object"},
    {"nothing", "", 0, "not a JSON object"},
    {"not JSON", "{\"a\":", 0, "not JSON"},
    {"text behind the object", "{} x", 0, "text behind"},
    {"a zero byte for a space", "{}\x01", 0, "text behind"},
    {"not UTF-8", "{\"\xff\":1}", 0, "not UTF-8"},
    {"entry no object", "{\"a\":[1,2,3]}", 0, "'a' needs"},
    {"entry a number", "{\"a\":7}", 0, "'a' needs"},
    {"no dtype", "{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, "'a' needs"},
    {"no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "'a' needs"},
    {"no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 4, "'a' needs"},
    {"dtype a number", "{\"a\":{\"dtype\":32,\"shape\":[],\"data_offsets\":[0,4]}}", 4, "'a' needs"},
    {"a member twice", "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
     "'dtype'"},
    {"unknown dtype", "{\"a\":" ENTRY("F33", "[]", "[0,4]") "}", 4, "unknown dtype 'F33'"},
    {"dtype in small letters", "{\"a\":" ENTRY("f32", "[]", "[0,4]") "}", 4, "unknown dtype 'f32'"},
    {"shape a text", "{\"a\":" ENTRY("F32", "\"1\"", "[0,4]") "}", 4, "'a' needs"},
    {"shape of texts", "{\"a\":" ENTRY("F32", "[\"1\"]", "[0,4]") "}", 4, "whole numbers"},
    {"negative shape", "{\"a\":" ENTRY("F32", "[-1]", "[0,4]") "}", 4, "whole numbers"},
    {"broken shape", "{\"a\":" ENTRY("F32", "[1.5]", "[0,4]") "}", 4, "whole numbers"},
    {"shape over 2^53", "{\"a\":" ENTRY("U8", "[9007199254740994]", "[0,4]") "}", 4, "whole numbers"},
    {"shape that a double rounds", "{\"a\":" ENTRY("U8", "[0,9007199254740993]", "[0,0]") "}", 0, "whole numbers"},
    {"a name with a zero", "{\"a\\u0000b\":" ENTRY("U8", "[]", "[0,1]") "}", 1, "zero character"},
    {"shape infinite", "{\"a\":" ENTRY("U8", "[1e999]", "[0,4]") "}", 4, "whole numbers"},
    {"too many dimensions", "{\"a\":" ENTRY("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "more than 8 dimensions"},
    {"product overflows", "{\"a\":" ENTRY("U8", "[4294967296,4294967296]", "[0,1]") "}", 1, "overflows"},
    {"bytes overflow", "{\"a\":" ENTRY("F64", "[4503599627370496,512]", "[0,1]") "}", 1, "overflows"},
    {"overflow hidden by a zero", "{\"a\":" ENTRY("U8", "[4294967296,4294967296,0]", "[0,0]") "}", 0, "overflows"},
    {"one offset", "{\"a\":" ENTRY("F32", "[1]", "[4]") "}", 4, "data_offsets of tensor 'a'"},
    {"three offsets", "{\"a\":" ENTRY("F32", "[1]", "[0,4,8]") "}", 4, "data_offsets of tensor 'a'"},
    {"negative offset", "{\"a\":" ENTRY("F32", "[1]", "[-4,0]") "}", 4, "data_offsets of tensor 'a'"},
    {"offsets turned round", "{\"a\":" ENTRY("F32", "[1]", "[4,0]") "}", 4, "'a' lies at 4 to 0 of 4"},
    {"behind the end", "{\"a\":" ENTRY("F32", "[1]", "[4,8]") "}", 4, "'a' lies at 4 to 8 of 4"},
    {"far behind the end", "{\"a\":" ENTRY("F32", "[1]", "[9007199254740987,9007199254740991]") "}", 4, "'a' lies at"},
    {"size is not shape times type", "{\"a\":" ENTRY("F32", "[1,2]", "[0,4]") "}", 4, "F32 [1, 2] takes 8"},
    {"overlap", "{\"a\":" ENTRY("U8", "[4]", "[0,4]") ",\"b\":" ENTRY("U8", "[4]", "[2,6]") "}", 6, "overlaps"},
    {"the same place", "{\"a\":" ENTRY("U8", "[4]", "[0,4]") ",\"b\":" ENTRY("U8", "[4]", "[0,4]") "}", 4, "overlaps"},
    {"an empty one inside", "{\"a\":" ENTRY("U8", "[4]", "[0,4]") ",\"b\":" ENTRY("U8", "[0]", "[2,2]") "}", 4,
     "overlaps"},
    {"hole", "{\"a\":" ENTRY("U8", "[2]", "[0,2]") ",\"b\":" ENTRY("U8", "[2]", "[4,6]") "}", 6, "2 bytes before"},
    {"hole at the beginning", "{\"a\":" ENTRY("U8", "[2]", "[1,3]") "}", 3, "1 bytes before"},
    {"bytes at the end", "{\"a\":" ENTRY("U8", "[2]", "[0,2]") "}", 3, "1 bytes at the end"},
    {"bytes without tensors", "{}", 3, "3 bytes at the end"},
    {"a name twice", "{\"a\":" ENTRY("U8", "[2]", "[0,2]") ",\"a\":" ENTRY("U8", "[2]", "[2,4]") "}", 4, "twice"},
    {"metadata a list", "{\"__metadata__\":[]}", 0, "metadata are not an object"},
    {"metadata of numbers", "{\"__metadata__\":{\"hidden\":64}}", 0, "'hidden' is not a text"},
    {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "two '__metadata__'"},
    {"a key twice", "{\"__metadata__\":{\"k\":\"1\",\"j\":\"1\",\"k\":\"1\"}}", 0, "'k' are there twice"},
    {"a name that would write to the terminal", "{\"\\u001b[2J\":7}", 0, "'\\x1b[2J'"},
};

static void refuses_each_broken_header(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        size_t size;
        nm_error error;
        unsigned char *bytes = with_header(hostile[i].header, hostile[i].data, &size);
        nm_safetensors *file = (void *)1;
        nm_status status = nm_safetensors_open_memory("bad.safetensors", bytes, size, &file, &error);
        check_error(hostile[i].name, status, NM_E_FORMAT, &error, "bad.safetensors", hostile[i].part);
        assert_null(file);
        if (error.offset < 0 || (size_t)error.offset > size) fail_msg("%s: no offset", hostile[i].name);
        free(bytes);
    }
}

static void tells_where_the_data_are_wrong(void **state) {
    (void)state;
    size_t size;
    nm_error error;
    nm_safetensors *file;
    unsigned char *bytes =
        with_header("{\"a\":" ENTRY("U8", "[2]", "[0,2]") ",\"b\":" ENTRY("U8", "[2]", "[4,6]") "}", 6, &size);
    assert_int_equal(nm_safetensors_open_memory("x", bytes, size, &file, &error), NM_E_FORMAT);
    assert_int_equal(error.offset, size - 4); // where the hole begins
    free(bytes);
}

static void refuses_lengths_that_lie(void **state) {
    (void)state;
    static const struct {
        uint64_t length;
        size_t size;
        const char *part;
    } cases[] = {
        {2, 0, "0 bytes are no safetensors"},        {2, 7, "7 bytes are no safetensors"},
        {3, 10, "a header of 3 bytes in a file"},    {2, 9, "a header of 2 bytes in a file"},
        {100000000, 10, "in a file of 10"},          {100000001, 10, "over the format's limit"},
        {UINT64_MAX, 10, "over the format's limit"}, {UINT64_MAX - 7, 10, "over the format's limit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char whole[10] = "........{}";
        memcpy(whole, &cases[i].length, 8);
        unsigned char *bytes = malloc(cases[i].size + !cases[i].size);
        memcpy(bytes, whole, cases[i].size);
        nm_error error;
        nm_safetensors *file;
        nm_status status = nm_safetensors_open_memory("x", bytes, cases[i].size, &file, &error);
        check_error(cases[i].part, status, NM_E_FORMAT, &error, "x", cases[i].part);
        free(bytes);
    }
}

/// 4 MB of text that would become 270 MB of values; and nesting without end.
static void refuses_json_bombs(void **state) {
    (void)state;
    const size_t count = 4100000;
    char *header = malloc(count + 16);
    nm_error error;
    nm_safetensors *file;
    size_t size;
    strcpy(header, "{\"a\":[1");
    memset(header + 7, ',', count);
    strcpy(header + 7 + count, "]}");
    unsigned char *bytes = with_header(header, 0, &size);
    check_error("values", nm_safetensors_open_memory("x", bytes, size, &file, &error), NM_E_LIMIT, &error, "x",
                "values");
    free(bytes);
    memset(header + 5, '[', 200000);
    header[200005] = '\0';
    bytes = with_header(header, 0, &size);
    check_error("nesting", nm_safetensors_open_memory("x", bytes, size, &file, &error), NM_E_FORMAT, &error, "x",
                "JSON");
    free(bytes);
    free(header);
}

/// Every half precision number against the definition of the format.
static void converts_every_half(void **state) {
    (void)state;
    uint16_t *halves = malloc(65536 * sizeof *halves);
    float *values = malloc(65536 * sizeof *values);
    uint64_t count = 0;
    for (uint32_t bits = 0; bits < 65536; bits++)
        if ((bits >> 10 & 31) != 31) halves[count++] = (uint16_t)bits;
    nm_safetensors_item item = {"half", NM_STORED_F16, 1, {count}, halves};
    unsigned char *bytes;
    nm_safetensors *file = open_items(&item, 1, &bytes);
    assert_int_equal(nm_safetensors_read_f32(file, "half", 1, &count, values, NULL), NM_OK);
    for (uint64_t i = 0; i < count; i++) {
        const int exponent = halves[i] >> 10 & 31, fraction = halves[i] & 1023;
        const double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        assert_true((double)values[i] == (halves[i] & 0x8000 ? -size : size));
        assert_int_equal(signbit(values[i]) != 0, halves[i] >> 15);
    }
    nm_safetensors_close(file);
    free(bytes);
    free(values);
    free(halves);
}

static void converts_wide_and_brain_floats(void **state) {
    (void)state;
    const double wide[6] = {1.0 + 0x1p-24, 1.0 + 0x1.8p-23, -0x1.fffffefp127, 1e-300, 0x1p-149, -0.1};
    const float expected[6] = {1.0f, 1.0f + 0x1p-22f, -0x1.fffffep127f, 0.0f, 0x1p-149f, -0.1f};
    const uint16_t brain[3] = {0x3f80, 0xc049, 0x0001}; // 1, -3.140625, the smallest
    const uint64_t six[1] = {6}, shape[2] = {3, 1};
    const nm_safetensors_item items[2] = {{"wide", NM_STORED_F64, 1, {6}, wide},
                                          {"brain", NM_STORED_BF16, 2, {3, 1}, brain}};
    unsigned char *bytes;
    float values[6];
    nm_safetensors *file = open_items(items, 2, &bytes);
    assert_int_equal(nm_safetensors_read_f32(file, "wide", 1, six, values, NULL), NM_OK);
    assert_memory_equal(values, expected, sizeof expected);
    assert_int_equal(nm_safetensors_read_f32(file, "brain", 2, shape, values, NULL), NM_OK);
    assert_true(values[0] == 1.0f && values[1] == -3.140625f && values[2] == 0x1p-133f);
    nm_safetensors_close(file);
    free(bytes);
}

static void refuses_values_that_are_no_numbers(void **state) {
    (void)state;
    float single[6] = {0, 1, 2, 3, NAN, 5};
    const double wide[6] = {0, 1, 2, -INFINITY, 4, 5}, large[6] = {0, 0, 0, 0, 0, 0x1.ffffffp127};
    const uint16_t half[6] = {0, 0xfc00}, brain[6] = {0, 0, 0, 0, 0, 0x7fc0};
    const nm_safetensors_item items[] = {{"single", NM_STORED_F32, 2, {2, 3}, single},
                                         {"wide", NM_STORED_F64, 2, {2, 3}, wide},
                                         {"large", NM_STORED_F64, 2, {2, 3}, large},
                                         {"half", NM_STORED_F16, 2, {2, 3}, half},
                                         {"brain", NM_STORED_BF16, 2, {2, 3}, brain}};
    const char *parts[] = {"tensor 'single' holds NaN at [1, 1]", "tensor 'wide' holds infinity, or",
                           "float, at [1, 2]", "tensor 'half' holds infinity at [0, 1]",
                           "tensor 'brain' holds NaN at [1, 2]"};
    const uint64_t shape[2] = {2, 3};
    unsigned char *bytes;
    float out[6];
    nm_error error;
    nm_safetensors *file = open_items(items, 5, &bytes);
    for (size_t i = 0; i < 5; i++)
        check_error(items[i].name, nm_safetensors_read_f32(file, items[i].name, 2, shape, out, &error), NM_E_NUMERIC,
                    &error, "memory", parts[i]);
    nm_safetensors_read_f32(file, "single", 2, shape, out, &error);
    assert_int_equal(error.offset, nm_safetensors_find(file, "single")->offset + 16);
    assert_int_equal(nm_safetensors_read(file, nm_safetensors_find(file, "single"), out, &error), NM_OK); // not asked
    assert_memory_equal(out, single, sizeof single);
    nm_safetensors_close(file);
    free(bytes);
}

static void refuses_what_was_not_expected(void **state) {
    (void)state;
    const float data[6] = {0};
    const nm_safetensors_item items[] = {{"w", NM_STORED_F32, 2, {2, 3}, data}, {"i", NM_STORED_I32, 1, {6}, data}};
    const uint64_t turned[2] = {3, 2}, longer[3] = {2, 3, 1}, six[1] = {6}, right[2] = {2, 3};
    unsigned char *bytes;
    float out[6];
    nm_error error;
    nm_safetensors *file = open_items(items, 2, &bytes);
    check_error("turned", nm_safetensors_read_f32(file, "w", 2, turned, out, &error), NM_E_FORMAT, &error, "memory",
                "tensor 'w' is [2, 3], expected [3, 2]");
    check_error("rank", nm_safetensors_read_f32(file, "w", 3, longer, out, &error), NM_E_FORMAT, &error, "",
                "[2, 3, 1]");
    check_error("scalar", nm_safetensors_read_f32(file, "w", 0, NULL, out, &error), NM_E_FORMAT, &error, "",
                "expected []");
    check_error("type", nm_safetensors_read_f32(file, "i", 1, six, out, &error), NM_E_FORMAT, &error, "",
                "stored as I32");
    check_error("name", nm_safetensors_read_f32(file, "v", 1, six, out, &error), NM_E_NOT_FOUND, &error, "memory",
                "no tensor 'v'");
    assert_int_equal(nm_safetensors_read_f32(file, "w", 2, right, out, &error), NM_OK);
    nm_safetensors_close(file);
    free(bytes);
    for (int type = 0; type < NM_STORED_TYPE_COUNT; type++) { // whole numbers and truths are no floats
        const nm_safetensors_item one = {"x", (nm_stored_type)type, 0, {0}, data};
        const int is_float = nm_stored_type_name(one.type)[0] == 'F' || one.type == NM_STORED_BF16;
        file = open_items(&one, 1, &bytes);
        assert_int_equal(nm_safetensors_read_f32(file, "x", 0, NULL, out, &error), is_float ? NM_OK : NM_E_FORMAT);
        nm_safetensors_close(file);
        free(bytes);
    }
}

static void reads_numbers_of_the_metadata(void **state) {
    (void)state;
    size_t size;
    nm_error error;
    int64_t value = 0;
    unsigned char *bytes =
        with_header("{\"__metadata__\":{\"h\":\"256\",\"n\":\"-3\",\"e\":\"\",\"x\":\"12x\",\"s\":\" 1\","
                    "\"l\":\"9999999999999999999\",\"m\":\"-\",\"p\":\"+1\"}}",
                    0, &size);
    nm_safetensors *file = open_bytes(bytes, size);
    assert_int_equal(nm_safetensors_metadata_number(file, "h", 1, 256, &value, &error), NM_OK);
    assert_int_equal(value, 256);
    assert_int_equal(nm_safetensors_metadata_number(file, "n", -3, 0, &value, &error), NM_OK);
    assert_int_equal(value, -3);
    check_error("range", nm_safetensors_metadata_number(file, "h", 1, 255, &value, &error), NM_E_FORMAT, &error,
                "memory", "'h' are '256', not a number from 1 to 255");
    check_error("least", nm_safetensors_metadata_number(file, "n", -2, 0, &value, &error), NM_E_FORMAT, &error, "",
                "-3");
    for (const char *const *key = (const char *const[]){"e", "x", "s", "l", "m", "p", NULL}; *key; key++)
        check_error(*key, nm_safetensors_metadata_number(file, *key, -9, INT64_MAX, &value, &error), NM_E_FORMAT,
                    &error, "memory", *key);
    check_error("lack", nm_safetensors_metadata_number(file, "blocks", 0, 9, &value, &error), NM_E_FORMAT, &error,
                "memory", "lack 'blocks'");
    assert_int_equal(value, -3); // untouched by failures
    nm_safetensors_close(file);
    free(bytes);
}

/// One message for everything that differs, with as many names as it can hold.
static void compares_with_what_is_wanted(void **state) {
    (void)state;
    const float data[16] = {0};
    const nm_safetensors_item items[] = {
        {"a", NM_STORED_F32, 2, {2, 3}, data}, {"b", NM_STORED_F32, 1, {4}, data}, {"c", NM_STORED_F32, 1, {4}, data}};
    unsigned char *bytes;
    nm_error error;
    nm_safetensors *file = open_items(items, 3, &bytes);
    const nm_wanted_tensor same[] = {{"c", 1, {4}}, {"a", 2, {2, 3}}, {"b", 1, {4}}};
    assert_int_equal(nm_safetensors_match(file, same, 3, &error), NM_OK);
    check_error("unwanted", nm_safetensors_match(file, same, 2, &error), NM_E_FORMAT, &error, "memory",
                "1 tensor not expected: b");
    const nm_wanted_tensor other[] = {{"z", 1, {4}}, {"a", 2, {3, 2}}, {"b", 2, {4, 1}}, {"y", 0, {0}}};
    check_error("all", nm_safetensors_match(file, other, 4, &error), NM_E_FORMAT, &error, "memory",
                "2 tensors missing: y, z; 1 tensor not expected: c; 2 tensors of another shape: a is [2, 3], expected "
                "[3, 2], b is [4], expected [4, 1]");
    nm_wanted_tensor *many = calloc(5000, sizeof *many);
    char(*names)[128] = calloc(5000, sizeof *names);
    for (int i = 0; i < 5000; i++) {
        snprintf(names[i], sizeof names[i], "%04d.%090d", i, 0);
        many[i].name = names[i];
    }
    assert_int_equal(nm_safetensors_match(file, many, 5000, &error), NM_E_FORMAT);
    assert_non_null(strstr(error.message, "5000 tensors missing: 0000.000"));
    assert_non_null(strstr(error.message, "and 4999 more; 3 tensors not expected: a, b, c"));
    assert_true(strlen(error.message) < sizeof error.message - 1);
    nm_safetensors_close(file);
    free(names);
    free(many);
    free(bytes);
}

/// The committed golden pair: what a network of this size consists of.
static void lists_the_golden_files(void **state) {
    (void)state;
    nm_safetensors *file = NULL;
    nm_error error;
    int64_t hidden = 0;
    assert_int_equal(nm_safetensors_open(GOLDEN "small-weights.safetensors", &file, &error), NM_OK);
    assert_int_equal(nm_safetensors_count(file), 138);
    assert_int_equal(nm_safetensors_metadata_number(file, "hidden", 1, 1024, &hidden, &error), NM_OK);
    assert_int_equal(hidden, 32);
    uint64_t parameters = 0;
    for (size_t i = 0; i < nm_safetensors_count(file); i++) {
        const nm_stored_tensor *tensor = nm_safetensors_at(file, i);
        float *values = malloc((tensor->elements + 1) * sizeof *values);
        assert_int_equal(tensor->type, tensor->rank > 1 ? NM_STORED_BF16 : NM_STORED_F32);
        assert_int_equal(nm_safetensors_read_f32(file, tensor->name, tensor->rank, tensor->shape, values, &error),
                         NM_OK);
        parameters += tensor->elements;
        free(values);
    }
    assert_int_equal(parameters, 121942);
    nm_safetensors_close(file);
    assert_int_equal(nm_safetensors_open(GOLDEN "small-io.safetensors", &file, &error), NM_OK);
    assert_int_equal(nm_safetensors_count(file), 20);
    const uint64_t shape[3] = {2, 5, 7};
    float valid[70];
    assert_int_equal(nm_safetensors_read_f32(file, "valid", 3, shape, valid, &error), NM_OK);
    for (int t = 0; t < 7; t++) assert_true(valid[4 * 7 + t] == 0.0f && valid[t] == 1.0f);
    nm_safetensors_close(file);
}

/// A file that the format's own library wrote.
static void reads_the_published_golden_file(void **state) {
    (void)state;
    char path[512];
    nm_safetensors *file = NULL;
    nm_error error;
    if (!nm_test_have(path, sizeof path, "reference/nexus-small-weights.safetensors")) skip();
    assert_int_equal(nm_safetensors_open(path, &file, &error), NM_OK);
    nm_safetensors *ours = NULL;
    assert_int_equal(nm_safetensors_open(GOLDEN "small-weights.safetensors", &ours, &error), NM_OK);
    assert_int_equal(nm_safetensors_count(file), nm_safetensors_count(ours)); // as many blocks: the same names
    for (size_t i = 0; i < nm_safetensors_count(file); i++)
        assert_non_null(nm_safetensors_find(ours, nm_safetensors_at(file, i)->name));
    assert_string_equal(nm_safetensors_metadata(file, "hidden"), "64");
    for (size_t i = 0; i < nm_safetensors_metadata_count(file); i++) {
        const char *key, *value;
        nm_safetensors_metadata_at(file, i, &key, &value);
        assert_non_null(nm_safetensors_metadata(ours, key));
    }
    nm_safetensors_close(ours);
    nm_safetensors_close(file);
}

static void says_why_a_path_can_not_be_opened(void **state) {
    (void)state;
    nm_safetensors *file;
    nm_error error;
    check_error("missing", nm_safetensors_open(at("none"), &file, &error), NM_E_NOT_FOUND, &error, "none", "");
    check_error("device", nm_safetensors_open("/dev/null", &file, &error), NM_E_IO, &error, "/dev/null", "not a plain");
    check_error("empty folder", nm_safetensors_open(folder, &file, &error), NM_E_NOT_FOUND, &error, folder, "neither");
    put_file(at("model.safetensors"), "short", 5);
    check_error("short", nm_safetensors_open(folder, &file, &error), NM_E_FORMAT, &error, "model.safetensors",
                "5 bytes");
    put_file(at("model.safetensors.index.json"), "{}", 2);
    check_error("both", nm_safetensors_open(folder, &file, &error), NM_E_ARGUMENT, &error, folder, "both");
    const char *const paths[2] = {GOLDEN "small-io.safetensors", GOLDEN "small-io.safetensors"};
    check_error("twice", nm_safetensors_open_list(paths, 2, &file, &error), NM_E_FORMAT, &error, "small-io", "twice");
}

static void notices_a_file_cut_off_while_open(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes = get_file(GOLDEN "small-io.safetensors", &size);
    nm_safetensors *file = NULL;
    nm_error error;
    float z[560];
    const uint64_t shape[4] = {2, 5, 7, 8};
    put_file(at("cut"), bytes, size);
    assert_int_equal(nm_safetensors_open(at("cut"), &file, &error), NM_OK);
    assert_int_equal(nm_safetensors_read_f32(file, "z", 4, shape, z, &error), NM_OK);
    assert_int_equal(truncate(at("cut"), (off_t)size - 100), 0);
    check_error("cut", nm_safetensors_read_f32(file, "z", 4, shape, z, &error), NM_E_IO, &error, "cut", "shorter");
    nm_safetensors_close(file);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_file_written_by_hand),
        cmocka_unit_test(an_empty_set_is_a_set),
        cmocka_unit_test(refuses_each_broken_header),
        cmocka_unit_test(tells_where_the_data_are_wrong),
        cmocka_unit_test(refuses_lengths_that_lie),
        cmocka_unit_test(refuses_json_bombs),
        cmocka_unit_test(converts_every_half),
        cmocka_unit_test(converts_wide_and_brain_floats),
        cmocka_unit_test(refuses_values_that_are_no_numbers),
        cmocka_unit_test(refuses_what_was_not_expected),
        cmocka_unit_test(reads_numbers_of_the_metadata),
        cmocka_unit_test(compares_with_what_is_wanted),
        cmocka_unit_test(lists_the_golden_files),
        cmocka_unit_test(reads_the_published_golden_file),
        cmocka_unit_test_setup_teardown(says_why_a_path_can_not_be_opened, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(notices_a_file_cut_off_while_open, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
