/// TensorBoard event files: bytes as TensorBoard's own writer makes them, read back, resumed, and cut off by a full
/// disk.
#include "support.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataset/events.h"
#include "dataset/tfrecord.h"

static double fixed_clock(void *context) {
    return *(double *)context;
}

typedef struct place {
    char folder[64];
    double now;
    nm_event_config config;
} place;

static place place_make(void) {
    place p = {.now = 1700000000.5, .config = nm_event_config_default()};
    snprintf(p.folder, sizeof p.folder, "/tmp/nearmiss-events-XXXXXX");
    assert_non_null(mkdtemp(p.folder));
    p.config.clock = fixed_clock;
    p.config.host = "a host/x.org-1";
    return p;
}

static int folder_count(const place *p, int removing) {
    DIR *directory = opendir(p->folder);
    int count = 0;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char path[400];
        if (entry->d_name[0] == '.') continue;
        count++;
        snprintf(path, sizeof path, "%s/%s", p->folder, entry->d_name);
        if (removing) unlink(path);
    }
    closedir(directory);
    if (removing) rmdir(p->folder);
    return count;
}

#define must(call)                                                                                                     \
    do {                                                                                                               \
        nm_error error_;                                                                                               \
        nm_error *error = &error_;                                                                                     \
        nm_error_clear(error);                                                                                         \
        if ((call) != NM_OK) fail_msg("%s: %s", #call, error->message);                                                \
    } while (0)

static size_t read_file(const char *path, uint8_t *bytes, size_t capacity) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s is not there", path);
    const size_t size = fread(bytes, 1, capacity, file);
    fclose(file);
    return size;
}

static void expect_record(nm_tfrecord_reader *reader, const char *hex) {
    nm_tfrecord record;
    must(nm_tfrecord_next(reader, &record, error));
    char text[1024] = "";
    assert_true(record.size < 512);
    for (size_t i = 0; i < record.size; i++) snprintf(text + 2 * i, 3, "%02x", record.payload[i]);
    assert_string_equal(text, hex);
}

/// What TensorBoard 2.21 serialises for the same events.
static void writes_what_tensorboard_writes(void **state) {
    (void)state;
    place p = place_make();
    p.config.context = &p.now;
    p.config.first_step = 300;
    nm_event_writer *writer = NULL;
    must(nm_event_writer_create(p.folder, &p.config, &writer, error));
    const nm_event_scalar scalars[] = {{"loss/train", 0.25f}, {"rate", 0.0f}};
    must(nm_event_writer_scalars(writer, 300, scalars, 2, error));
    must(nm_event_writer_scalar(writer, "x", 0, -1.0f, error));
    must(nm_event_writer_flush(writer, error));
    char wanted[200];
    snprintf(wanted, sizeof wanted, "%s/events.out.tfevents.1700000000.a_host_x.org-1.%ld.0", p.folder, (long)getpid());
    assert_string_equal(nm_event_writer_path(writer), wanted);
    uint8_t bytes[4096];
    const size_t size = read_file(wanted, bytes, sizeof bytes);
    // the first record with its frame, as TensorBoard's RecordWriter frames it
    static const uint8_t first[] = {0x18, 0,    0,    0,    0,    0,    0,    0,    0xa3, 0x7f, 0x4b, 0x22, 0x09, 0,
                                    0,    0x20, 0x40, 0xfc, 0x54, 0xd9, 0x41, 0x1a, 0x0d, 'b',  'r',  'a',  'i',  'n',
                                    '.',  'E',  'v',  'e',  'n',  't',  ':',  '2',  0x2b, 0x35, 0x31, 0x10};
    assert_true(size > sizeof first);
    assert_memory_equal(bytes, first, sizeof first);
    nm_tfrecord_reader reader = nm_tfrecord_open("events", bytes, size);
    expect_record(&reader, "0900002040fc54d9411a0d627261696e2e4576656e743a32");
    expect_record(&reader, "0900002040fc54d94110ac023a020801");
    expect_record(&reader,
                  "0900002040fc54d94110ac022a200a110a0a6c6f73732f747261696e150000803e0a0b0a04726174651500000000");
    expect_record(&reader, "0900002040fc54d9412a0a0a080a017815000080bf"); // no step: it is 0
    nm_tfrecord record;
    assert_int_equal(nm_tfrecord_next(&reader, &record, NULL), NM_E_NOT_FOUND);
    nm_event_writer_destroy(writer);
    assert_int_equal(folder_count(&p, 1), 1);
}

/// Payload of record `index` of a file.
static nm_tfrecord record_of(const uint8_t *bytes, size_t size, int index) {
    nm_tfrecord_reader reader = nm_tfrecord_open("events", bytes, size);
    nm_tfrecord record = {0};
    for (int i = 0; i <= index; i++) must(nm_tfrecord_next(&reader, &record, error));
    return record;
}

static void a_resumed_run_adds_a_file(void **state) {
    (void)state;
    place p = place_make();
    p.config.context = &p.now;
    nm_event_writer *one = NULL, *two = NULL;
    must(nm_event_writer_create(p.folder, &p.config, &one, error));
    must(nm_event_writer_scalar(one, "loss", 1, NAN, error));
    p.config.first_step = 2;
    must(nm_event_writer_create(p.folder, &p.config, &two, error)); // in the same second, while the first is open
    must(nm_event_writer_scalar(two, "loss", 2, 1.0f, error));
    must(nm_event_writer_scalar(one, "loss", INT64_MAX, 2.0f, error));
    assert_string_not_equal(nm_event_writer_path(one), nm_event_writer_path(two));
    assert_true(strcmp(nm_event_writer_path(one), nm_event_writer_path(two)) < 0); // read in this order
    char paths[2][200];
    snprintf(paths[0], sizeof paths[0], "%s", nm_event_writer_path(one));
    snprintf(paths[1], sizeof paths[1], "%s", nm_event_writer_path(two));
    nm_event_writer_destroy(one); // flushes
    nm_event_writer_destroy(two);
    nm_event_writer_destroy(NULL);
    uint8_t bytes[4096];
    size_t size = read_file(paths[0], bytes, sizeof bytes);
    assert_int_equal(record_of(bytes, size, 1).payload[9], 0x10); // step 1: no session log before it
    assert_int_equal(record_of(bytes, size, 1).payload[10], 1);
    const nm_tfrecord last = record_of(bytes, size, 2);
    static const uint8_t most[] = {0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
    assert_memory_equal(last.payload + 9, most, sizeof most); // the varint of 2^63 - 1
    size = read_file(paths[1], bytes, sizeof bytes);
    const nm_tfrecord session = record_of(bytes, size, 1);
    static const uint8_t start[] = {0x10, 2, 0x3a, 2, 8, 1};
    assert_int_equal(session.size, 15);
    assert_memory_equal(session.payload + 9, start, sizeof start);
    assert_int_equal(folder_count(&p, 1), 2);
}

static void refuses_what_makes_no_sense(void **state) {
    (void)state;
    place p = place_make();
    p.config.context = &p.now;
    nm_event_writer *writer = NULL;
    nm_error error = {0};
    assert_int_equal(nm_event_writer_create("/nowhere/at/all", &p.config, &writer, &error), NM_E_IO);
    assert_non_null(strstr(error.message, "No such file"));
    p.config.first_step = -1;
    assert_int_equal(nm_event_writer_create(p.folder, &p.config, &writer, &error), NM_E_ARGUMENT);
    assert_null(writer);
    assert_int_equal(folder_count(&p, 0), 0);
    if (nm_event_writer_create(p.folder, NULL, &writer, &error) != NM_OK) fail_msg("%s", error.message);
    assert_non_null(strstr(nm_event_writer_path(writer), "events.out.tfevents."));
    struct stat before, after;
    stat(nm_event_writer_path(writer), &before);
    const nm_event_scalar bad[] = {{"good", 1.0f}, {"bad\xff", 1.0f}};
    assert_int_equal(nm_event_writer_scalars(writer, 1, bad, 2, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_event_writer_scalar(writer, "", 1, 1.0f, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_event_writer_scalar(writer, "x", -1, 1.0f, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_event_writer_scalars(writer, 1, NULL, 0, &error), NM_OK); // nothing to say
    assert_int_equal(nm_event_writer_flush(writer, &error), NM_OK);
    stat(nm_event_writer_path(writer), &after);
    assert_int_equal(before.st_size, after.st_size);
    nm_event_writer_destroy(writer);
    folder_count(&p, 1);
}

static void a_full_disk_is_reported_and_costs_one_record(void **state) {
    (void)state;
    place p = place_make();
    p.config.context = &p.now;
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    nm_event_writer *writer = NULL;
    nm_error error = {0};
    assert_int_equal(nm_event_writer_create(p.folder, &p.config, &writer, &error), NM_OK);
    const struct rlimit small = {1000, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    nm_status status = NM_OK;
    int steps = 0;
    while (status == NM_OK && steps < 1000) {
        status = nm_event_writer_scalar(writer, "loss", ++steps, 1.0f, &error);
        if (status == NM_OK) status = nm_event_writer_flush(writer, &error);
    }
    assert_int_equal(status, NM_E_IO);
    assert_int_equal(nm_event_writer_scalar(writer, "loss", 1, 1.0f, &error), NM_E_IO); // and stays so
    assert_int_equal(nm_event_writer_flush(writer, &error), NM_E_IO);
    uint8_t bytes[2048];
    nm_tfrecord record;
    const size_t size = read_file(nm_event_writer_path(writer), bytes, sizeof bytes);
    nm_event_writer_destroy(writer);
    setrlimit(RLIMIT_FSIZE, &before);
    nm_tfrecord_reader reader = nm_tfrecord_open("events", bytes, size);
    int whole = 0;
    while ((status = nm_tfrecord_next(&reader, &record, &error)) == NM_OK) whole++;
    assert_int_equal(status, NM_E_FORMAT); // cut off, after all that were flushed
    assert_int_equal(whole, steps);        // with the first record, but not the last step
    // nothing is left of a file that could not be begun
    const struct rlimit nothing = {10, before.rlim_max};
    folder_count(&p, 1);
    mkdir(p.folder, 0755);
    setrlimit(RLIMIT_FSIZE, &nothing);
    status = nm_event_writer_create(p.folder, &p.config, &writer, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, NM_E_IO);
    assert_null(writer);
    assert_int_equal(folder_count(&p, 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_tensorboard_writes),
        cmocka_unit_test(a_resumed_run_adds_a_file),
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(a_full_disk_is_reported_and_costs_one_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
