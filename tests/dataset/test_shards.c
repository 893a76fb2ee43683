/// Training shards: what goes in comes out, every damaged byte is found, and writing is all or nothing.
#include "support.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread_pool.h"
#include "dataset/crc32c.h"
#include "dataset/shards_private.h"
#include "sim/bytes.h"
#include "sim/scenes.h"

typedef struct folder {
    char path[64], base[80]; // PATH/set
} folder;

static folder folder_make(void) {
    folder f;
    snprintf(f.path, sizeof f.path, "/tmp/nearmiss-shards-XXXXXX");
    assert_non_null(mkdtemp(f.path));
    snprintf(f.base, sizeof f.base, "%s/set", f.path);
    return f;
}

/// Number of entries; with `removing`, they are deleted and the folder, too.
static int folder_count(const folder *f, int removing) {
    DIR *directory = opendir(f->path);
    int count = 0;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char path[400];
        if (entry->d_name[0] == '.') continue;
        count++;
        snprintf(path, sizeof path, "%s/%s", f->path, entry->d_name);
        if (removing) unlink(path);
    }
    closedir(directory);
    if (removing) rmdir(f->path);
    return count;
}

#define must(call)                                                                                                     \
    do {                                                                                                               \
        nm_error error_;                                                                                               \
        nm_error *error = &error_;                                                                                     \
        nm_error_clear(error);                                                                                         \
        if ((call) != NM_OK) fail_msg("%s: %s", #call, error->message);                                                \
    } while (0)

/// `call` fails with `wanted`, names a file, and its message has `part`.
#define must_fail(call, wanted, part)                                                                                  \
    do {                                                                                                               \
        nm_error error_;                                                                                               \
        nm_error *error = &error_;                                                                                     \
        nm_error_clear(error);                                                                                         \
        const nm_status status_ = (call);                                                                              \
        if (status_ != (wanted)) fail_msg("%s: %s %s", #call, nm_status_name(status_), error->message);                \
        if (!strstr(error->message, part) || !error->input[0])                                                         \
            fail_msg("%s: '%s' (%s) lacks '%s'", #call, error->message, error->input, part);                           \
    } while (0)

/// Scene `number`: on one of three maps, its agents, steps and speeds depend on the number.
static const nm_scene *scene_make(const nm_map *const maps[3], int number) {
    nm_test_agent agents[5];
    const size_t count = 1 + (size_t)number % 5;
    for (size_t i = 0; i < count; i++)
        agents[i] = (nm_test_agent){
            .x = 10.0 * (double)i + 0.1 * number, .y = 3.5, .speed = 5.0 + number, .type = NM_AGENT_CAR};
    return nm_test_scene(nm_map_retain(maps[number % 3]), agents, count, 11 + (uint32_t)number % 7);
}

typedef struct fixture {
    folder folder;
    const nm_map *maps[3];
    const nm_scene *scenes[30];
} fixture;
#define SCENES 30

static nm_shard_label label_of(int number) {
    return (nm_shard_label){.source = 100 - number,
                            .group = UINT64_MAX - (uint64_t)number,
                            .tags = 1u << number,
                            .weight = 0.25f * (float)number};
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->folder = folder_make();
    f->maps[0] = nm_test_road(100.0);
    f->maps[1] = nm_test_crossing(NM_CONTROL_PRIORITY, NM_CONTROL_YIELD);
    f->maps[2] = nm_test_curve(50.0, 1.0);
    for (int i = 0; i < SCENES; i++) f->scenes[i] = scene_make(f->maps, i);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    for (int i = 0; i < SCENES; i++) nm_scene_destroy(f->scenes[i]);
    for (int i = 0; i < 3; i++) nm_map_release(f->maps[i]);
    folder_count(&f->folder, 1);
    free(f);
    return 0;
}

static nm_shard_totals write_set(const fixture *f, const char *base, int count, uint64_t limit) {
    nm_shard_writer *writer = NULL;
    nm_shard_totals totals;
    must(nm_shard_writer_create(base, limit, &writer, error));
    for (int i = 0; i < count; i++) {
        const nm_shard_label label = label_of(i);
        must(nm_shard_writer_add(writer, f->scenes[i], &label, error));
    }
    must(nm_shard_writer_finish(writer, &totals, error));
    return totals;
}

static uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s is not there", path);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 64);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void write_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/// The one shard of the first `count` scenes, in memory.
static uint8_t *one_shard(const fixture *f, int count, size_t *size) {
    char path[160];
    write_set(f, f->folder.base, count, 0);
    snprintf(path, sizeof path, "%s-00000-of-00001.nmshard", f->folder.base);
    uint8_t *bytes = read_file(path, size);
    unlink(path);
    return bytes;
}

static void same_scene(const nm_scene *a, const nm_scene *b) {
    assert_true(a->hash == b->hash); // of everything but provenance
    assert_true(a->map->hash == b->map->hash);
    assert_int_equal(a->track_count, b->track_count);
    assert_memory_equal(a->x, b->x, sizeof(float) * a->track_count * a->step_count);
    assert_string_equal(a->provenance.source, b->provenance.source);
}

static void comes_out_as_it_went_in(void **state) {
    const fixture *f = *state;
    const nm_shard_totals totals = write_set(f, f->folder.base, SCENES, 0);
    assert_int_equal(totals.scenes, SCENES);
    assert_int_equal(totals.shards, 1);
    assert_int_equal(totals.maps, 3);
    char path[160];
    struct stat about;
    snprintf(path, sizeof path, "%s-00000-of-00001.nmshard", f->folder.base);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_size, totals.bytes);
    nm_shard *shard = NULL;
    must(nm_shard_open(path, NM_SHARD_VERIFY, &shard, error));
    assert_int_equal(nm_shard_scene_count(shard), SCENES);
    assert_int_equal(nm_shard_map_count(shard), 3);
    for (int i = SCENES - 1; i >= 0; i--) { // in any order
        const nm_shard_entry entry = nm_shard_scene_entry(shard, (uint32_t)i);
        const nm_shard_label label = label_of(i);
        assert_true(entry.label.source == label.source && entry.label.group == label.group);
        assert_true(entry.label.tags == label.tags && entry.label.weight == label.weight);
        assert_true(entry.hash == f->scenes[i]->hash);
        assert_int_equal(entry.step_count, f->scenes[i]->step_count);
        assert_int_equal(entry.track_count, f->scenes[i]->track_count);
        assert_int_equal(entry.map, i % 3);
        nm_error error = {0};
        const nm_scene *scene = nm_shard_scene(shard, (uint32_t)i, &error), *again;
        if (!scene) fail_msg("%s", error.message);
        same_scene(scene, f->scenes[i]);
        again = nm_shard_scene(shard, (uint32_t)(i % 3), &error);
        assert_ptr_equal(again->map, scene->map); // one map, shared
        nm_scene_destroy(again);
        nm_scene_destroy(scene);
    }
    const nm_scene *scene = nm_shard_scene(shard, 7, NULL);
    nm_shard_close(shard);
    same_scene(scene, f->scenes[7]); // lives on
    nm_scene_destroy(scene);
    unlink(path);
}

static void is_laid_out_as_described(void **state) {
    const fixture *f = *state;
    size_t size;
    uint8_t *bytes = one_shard(f, 4, &size); // scenes 0 and 3 share map 0
    assert_memory_equal(bytes, "nm-shd\n\0\1\0\0\0\100\0\0\0", 16);
    assert_int_equal(nm_load64(bytes + 16), size);
    const uint64_t contents = nm_load64(bytes + 24);
    assert_int_equal(nm_load32(bytes + 32), 3);
    assert_int_equal(nm_load32(bytes + 36), 4);
    assert_int_equal(nm_load64(bytes + 40), (uint64_t)1 << 32); // number 0 of 1
    assert_int_equal(nm_load32(bytes + 60), nm_crc32c_portable(0, bytes, 60));
    assert_int_equal(nm_load32(bytes + 56), nm_crc32c_portable(0, bytes + contents, size - contents));
    assert_int_equal(size % 64, 0);
    uint64_t at = 64;
    const int order[] = {-1, 0, -2, 1, -3, 2, 3}; // maps are negative
    for (size_t k = 0; k < 7; k++) {
        const uint8_t *map = bytes + contents + 32 * (size_t)(-order[k] - 1 > 0 ? -order[k] - 1 : 0);
        const uint8_t *scene = bytes + contents + 96 + 64 * (size_t)(order[k] > 0 ? order[k] : 0);
        const uint64_t offset = nm_load64(order[k] < 0 ? map + 8 : scene);
        const uint64_t length = nm_load64(order[k] < 0 ? map + 16 : scene + 8);
        const uint32_t crc = nm_load32(order[k] < 0 ? map + 24 : scene + 32);
        assert_int_equal(offset, at);
        assert_memory_equal(bytes + at, order[k] < 0 ? "nm-map\n" : "nm-scn\n", 8);
        at += (length + 63) / 64 * 64;
        assert_int_equal(crc, nm_crc32c_portable(0, bytes + offset, at - offset));
        assert_true(nm_load64(order[k] < 0 ? map : scene + 16) ==
                    (order[k] < 0 ? f->maps[-order[k] - 1]->hash : f->scenes[order[k]]->hash));
    }
    assert_int_equal(at, contents);
    free(bytes);
}

static void splits_at_the_limit(void **state) {
    const fixture *f = *state;
    const uint64_t limit = 8000;
    const nm_shard_totals totals = write_set(f, f->folder.base, SCENES, limit);
    assert_true(totals.shards > 2 && totals.maps > 3);
    nm_shard_set *set = NULL;
    must(nm_shard_set_open(f->folder.base, 0, &set, error));
    assert_int_equal(nm_shard_set_scene_count(set), SCENES);
    assert_int_equal(nm_shard_set_shard_count(set), totals.shards);
    for (int i = 0; i < SCENES; i++) {
        assert_int_equal(nm_shard_set_scene_entry(set, (uint64_t)i).label.source, 100 - i);
        const nm_scene *scene = nm_shard_set_scene(set, (uint64_t)i, NULL);
        assert_non_null(scene);
        same_scene(scene, f->scenes[i]);
        nm_scene_destroy(scene);
    }
    nm_shard_set_close(set);
    for (uint32_t i = 0; i < totals.shards; i++) {
        char path[160];
        struct stat about;
        snprintf(path, sizeof path, "%s-%05u-of-%05u.nmshard", f->folder.base, i, totals.shards);
        assert_int_equal(stat(path, &about), 0);
        assert_true((uint64_t)about.st_size <= limit);
        unlink(path);
    }
    // a limit that nothing fits: one scene each
    assert_int_equal(write_set(f, f->folder.base, 5, 1).shards, 5);
    assert_int_equal(folder_count(&f->folder, 0), 5);
    // the same scenes give the same bytes
    char one[160], other[160];
    snprintf(other, sizeof other, "%s-other", f->folder.base);
    write_set(f, other, 5, 1);
    for (int i = 0; i < 5; i++) {
        size_t size, other_size;
        snprintf(one, sizeof one, "%s-%05d-of-00005.nmshard", f->folder.base, i);
        snprintf(other, sizeof other, "%s-other-%05d-of-00005.nmshard", f->folder.base, i);
        uint8_t *bytes = read_file(one, &size), *other_bytes = read_file(other, &other_size);
        assert_int_equal(size, other_size);
        assert_memory_equal(bytes, other_bytes, size);
        free(bytes);
        free(other_bytes);
        unlink(one);
        unlink(other);
    }
}

static nm_status open_bytes(const uint8_t *bytes, size_t size, unsigned flags, nm_error *error) {
    nm_shard *shard = NULL;
    const nm_status status = nm_shard_open_memory("x.nmshard", bytes, size, flags, &shard, error);
    assert_true((status == NM_OK) == (shard != NULL));
    nm_shard_close(shard);
    return status;
}

static void finds_every_damaged_byte(void **state) {
    size_t size;
    uint8_t *bytes = one_shard(*state, 4, &size);
    must(open_bytes(bytes, size, NM_SHARD_VERIFY, error));
    for (size_t i = 0; i < size; i++) {
        nm_error error = {0};
        bytes[i] ^= (uint8_t)(1u << i % 8);
        const nm_status status = open_bytes(bytes, size, NM_SHARD_VERIFY, &error);
        if (status != NM_E_FORMAT && status != NM_E_VERSION) fail_msg("byte %zu: %s", i, nm_status_name(status));
        assert_string_equal(error.input, "x.nmshard");
        assert_true(error.offset >= 0 && error.offset <= (int64_t)i); // where, or the section it is in
        bytes[i] ^= (uint8_t)(1u << i % 8);
    }
    free(bytes);
}

static void refuses_every_cut(void **state) {
    size_t size;
    uint8_t *bytes = one_shard(*state, 2, &size);
    for (size_t left = 0; left < size; left += left < 200 || left + 200 > size ? 1 : 7) {
        uint8_t *copy = malloc(left ? left : 1); // so that a read past the end is seen
        memcpy(copy, bytes, left);
        must_fail(open_bytes(copy, left, 0, error), NM_E_FORMAT, left < 8 ? "not a shard" : "cut off");
        free(copy);
    }
    memset(bytes + size, 0, 64);
    must_fail(open_bytes(bytes, size + 64, 0, error), NM_E_FORMAT, "followed by something else");
    free(bytes);
}

/// Checksums that fit what was changed: of the table of contents and of the header.
static void reseal(uint8_t *bytes, size_t size) {
    const uint64_t contents = nm_load64(bytes + NM_SHARD_AT_CONTENTS);
    if (contents <= size) nm_store32(bytes + NM_SHARD_AT_CONTENTS_CRC, nm_crc32c(0, bytes + contents, size - contents));
    nm_store32(bytes + NM_SHARD_AT_HEADER_CRC, nm_crc32c(0, bytes, NM_SHARD_AT_HEADER_CRC));
}

static void refuses_lies_that_checksums_confirm(void **state) {
    size_t size;
    uint8_t *bytes = one_shard(*state, 4, &size), *copy = malloc(size);
    const size_t contents = (size_t)nm_load64(bytes + NM_SHARD_AT_CONTENTS), scenes = contents + 96;
    const struct lie {
        size_t at;
        uint32_t value;
        nm_status status;
        const char *part;
    } lies[] = {
        {NM_SHARD_AT_VERSION, 2, NM_E_VERSION, "of version 2, this program reads version 1"},
        {NM_SHARD_AT_VERSION, 0, NM_E_FORMAT, "of version 0"},
        {NM_SHARD_AT_HEADER_SIZE, 128, NM_E_FORMAT, "counts"},
        {NM_SHARD_AT_FILE_SIZE, 64, NM_E_FORMAT, "followed"},
        {NM_SHARD_AT_CONTENTS, 64, NM_E_FORMAT, "counts"},
        {NM_SHARD_AT_CONTENTS + 4, 1, NM_E_FORMAT, "counts"},
        {NM_SHARD_AT_MAPS, 0, NM_E_FORMAT, "counts"},
        {NM_SHARD_AT_MAPS, UINT32_MAX, NM_E_FORMAT, "counts"},
        {NM_SHARD_AT_SCENES, UINT32_MAX, NM_E_FORMAT, "counts"},
        {NM_SHARD_AT_NUMBER, 1, NM_E_FORMAT, "no set"},
        {contents + 8, 128, NM_E_FORMAT, "should begin at 64"}, // map 0 later
        {contents + 16, 1 << 20, NM_E_FORMAT, "overlaps"},      // longer than the file
        {contents + 20, UINT32_MAX, NM_E_FORMAT, "overlaps"},   // nearly 2^64
        {contents + 16, 0, NM_E_FORMAT, "overlaps"},            // empty
        {contents + 28, 1, NM_E_FORMAT, "entry of a map"},
        {scenes, 64, NM_E_FORMAT, "overlaps"},                                       // where map 0 is
        {scenes + 64, (uint32_t)nm_load64(bytes + scenes), NM_E_FORMAT, "overlaps"}, // scene 1 is scene 0
        {scenes + 36, 3, NM_E_FORMAT, "scene 0 is on map 3, but there are 3"},
        {scenes + 48, 0x7fc00000, NM_E_FORMAT, "weight"}, // NaN
        {scenes + 48, 0xbf800000, NM_E_FORMAT, "weight"}, // -1
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        memcpy(copy, bytes, size);
        nm_store32(copy + lies[i].at, lies[i].value);
        reseal(copy, size);
        must_fail(open_bytes(copy, size, 0, error), lies[i].status, lies[i].part);
    }
    memcpy(copy, bytes, size);
    reseal(copy, size);
    assert_memory_equal(copy, bytes, size);
    free(copy);
    free(bytes);
}

static void a_scene_that_is_another_one(void **state) {
    size_t size;
    uint8_t *bytes = one_shard(*state, 4, &size);
    const size_t contents = (size_t)nm_load64(bytes + NM_SHARD_AT_CONTENTS), scenes = contents + 96;
    const struct {
        size_t at;
        const char *part;
    } lies[] = {{scenes + 16, "scene 0 is another one"}, // its hash
                {scenes + 40, "scene 0 is another one"}, // its steps
                {contents, "map 0 is another one"},      // the map's hash
                {scenes + 32, "scene 0 does not match"}, // its checksum
                {contents + 24, "map 0 does not match"}, // the map's
                {scenes + 36, "scene 0: stored scene: it belongs to another map"}};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        nm_shard *shard = NULL;
        nm_error why = {0};
        bytes[lies[i].at] ^= 1;
        reseal(bytes, size);
        must(nm_shard_open_memory("x.nmshard", bytes, size, 0, &shard, error));
        assert_null(nm_shard_scene(shard, 0, &why));
        if (!strstr(why.message, lies[i].part)) fail_msg("'%s' lacks '%s'", why.message, lies[i].part);
        assert_int_equal(why.code, NM_E_FORMAT);
        const nm_scene *other = nm_shard_scene(shard, 1, NULL); // the others can be read
        assert_non_null(other);
        nm_scene_destroy(other);
        nm_shard_close(shard);
        bytes[lies[i].at] ^= 1;
    }
    free(bytes);
}

static void refuses_other_files(void **state) {
    const fixture *f = *state;
    char path[160];
    nm_shard *shard = NULL;
    snprintf(path, sizeof path, "%s/file", f->folder.path);
    must_fail(nm_shard_open(path, 0, &shard, error), NM_E_NOT_FOUND, "No such file");
    must_fail(nm_shard_open(f->folder.path, 0, &shard, error), NM_E_IO, "not a regular file");
    write_file(path, "", 0);
    must_fail(nm_shard_open(path, 0, &shard, error), NM_E_FORMAT, "not a shard");
    write_file(path, "SQLite format 3", 16);
    must_fail(nm_shard_open(path, 0, &shard, error), NM_E_FORMAT, "not a shard");
    assert_null(shard);
    unlink(path);
}

static void refuses_a_set_that_is_none(void **state) {
    const fixture *f = *state;
    nm_shard_set *set = NULL;
    char first[160], second[160], kept[160];
    must_fail(nm_shard_set_open(f->folder.base, 0, &set, error), NM_E_NOT_FOUND, "no shards of this name");
    write_set(f, f->folder.base, 2, 1);
    snprintf(first, sizeof first, "%s-00000-of-00002.nmshard", f->folder.base);
    snprintf(second, sizeof second, "%s-00001-of-00002.nmshard", f->folder.base);
    snprintf(kept, sizeof kept, "%s/kept", f->folder.path);
    rename(second, kept);
    must_fail(nm_shard_set_open(f->folder.base, 0, &set, error), NM_E_FORMAT, "missing");
    rename(kept, second);
    rename(first, kept);
    size_t size;
    uint8_t *bytes = read_file(second, &size);
    write_file(first, bytes, size);
    must_fail(nm_shard_set_open(f->folder.base, 0, &set, error), NM_E_FORMAT, "shard 1 of 2 of the set");
    rename(kept, first);
    nm_store32(bytes + NM_SHARD_AT_SET, 1);
    reseal(bytes, size);
    write_file(second, bytes, size);
    must_fail(nm_shard_set_open(f->folder.base, 0, &set, error), NM_E_FORMAT, "another set");
    free(bytes);
    snprintf(kept, sizeof kept, "%s-00000-of-00001.nmshard", f->folder.base);
    rename(second, kept);
    must_fail(nm_shard_set_open(f->folder.base, 0, &set, error), NM_E_FORMAT, "several sets");
    assert_null(set);
    unlink(kept);
    unlink(first);
}

static void writing_is_all_or_nothing(void **state) {
    const fixture *f = *state;
    nm_shard_writer *writer = NULL;
    must(nm_shard_writer_create(f->folder.base, 1, &writer, error));
    must_fail(nm_shard_writer_finish(writer, NULL, error), NM_E_ARGUMENT, "no scene was added");
    must(nm_shard_writer_create(f->folder.base, 1, &writer, error));
    for (int i = 0; i < 3; i++) must(nm_shard_writer_add(writer, f->scenes[i], NULL, error));
    assert_int_equal(folder_count(&f->folder, 0), 3); // under temporary names
    nm_shard_writer_abandon(writer);
    assert_int_equal(folder_count(&f->folder, 0), 0);
    // a name in the way of the last file: the others are taken back
    char path[160];
    must(nm_shard_writer_create(f->folder.base, 1, &writer, error));
    for (int i = 0; i < 3; i++) must(nm_shard_writer_add(writer, f->scenes[i], NULL, error));
    snprintf(path, sizeof path, "%s-00002-of-00003.nmshard", f->folder.base);
    assert_int_equal(mkdir(path, 0755), 0);
    must_fail(nm_shard_writer_finish(writer, NULL, error), NM_E_IO, "can not be written");
    assert_int_equal(folder_count(&f->folder, 0), 1);
    must_fail(nm_shard_writer_create(f->folder.base, 1, &writer, error), NM_E_EXISTS, "already");
    rmdir(path);
    must_fail(nm_shard_writer_create("/nowhere/at/all/x", 1, &writer, error), NM_E_IO, "No such file");
    assert_int_equal(nm_shard_writer_create("folder/", 1, &writer, NULL), NM_E_ARGUMENT);
    assert_null(writer);
    nm_shard_label bad = nm_shard_label_default();
    bad.weight = NAN;
    must(nm_shard_writer_create(f->folder.base, 0, &writer, error));
    assert_int_equal(nm_shard_writer_add(writer, f->scenes[0], &bad, NULL), NM_E_ARGUMENT);
    must(nm_shard_writer_add(writer, f->scenes[0], NULL, error)); // still good
    nm_shard_writer_abandon(writer);
    assert_int_equal(folder_count(&f->folder, 0), 0);
}

/// A full disk, as a limit on the size of files: at every place of the file.
static void a_full_disk_leaves_nothing(void **state) {
    const fixture *f = *state;
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    int failed = 0;
    size_t size;
    free(one_shard(f, 4, &size));
    for (size_t limit = 0; limit < size; limit += 40) {
        struct rlimit small = {limit, before.rlim_max};
        nm_shard_writer *writer = NULL;
        nm_error error = {0};
        setrlimit(RLIMIT_FSIZE, &small);
        nm_status status = nm_shard_writer_create(f->folder.base, 0, &writer, &error);
        for (int i = 0; i < 4 && status == NM_OK; i++) status = nm_shard_writer_add(writer, f->scenes[i], NULL, &error);
        if (status == NM_OK)
            status = nm_shard_writer_finish(writer, NULL, &error);
        else
            nm_shard_writer_abandon(writer);
        setrlimit(RLIMIT_FSIZE, &before);
        assert_int_equal(status, NM_E_IO);
        assert_non_null(strstr(error.message, "File too large"));
        assert_int_equal(folder_count(&f->folder, 0), 0);
        failed++;
    }
    assert_true(failed > 100);
}

typedef struct readers {
    const fixture *f;
    nm_shard *shard;
} readers;

static nm_status read_task(void *context, size_t index, int worker, nm_error *error) {
    const readers *r = context;
    (void)worker;
    const uint32_t number = (uint32_t)(index * 7 % SCENES);
    const nm_scene *scene = nm_shard_scene(r->shard, number, error);
    if (!scene) return error->code;
    const nm_status status =
        scene->hash == r->f->scenes[number]->hash ? NM_OK : NM_ERROR(error, NM_E_NUMERIC, "another scene");
    nm_scene_destroy(scene);
    return status;
}

static void is_read_by_several_threads(void **state) {
    const fixture *f = *state;
    readers r = {.f = f};
    size_t size;
    uint8_t *bytes = one_shard(f, SCENES, &size);
    nm_thread_pool *pool = NULL;
    must(nm_thread_pool_create(4, &pool, error));
    for (int round = 0; round < 5; round++) {
        must(nm_shard_open_memory("x.nmshard", bytes, size, 0, &r.shard, error));
        must(nm_thread_pool_for(pool, 120, 1, read_task, &r, error));
        nm_shard_close(r.shard);
    }
    nm_thread_pool_destroy(pool);
    free(bytes);
}

/// More maps than the shard keeps: those that go are made again.
static void keeps_the_last_maps(void **state) {
    const fixture *f = *state;
    enum { MAPS = NM_SHARD_MAPS + 3 };
    char path[160];
    nm_shard_writer *writer = NULL;
    must(nm_shard_writer_create(f->folder.base, 0, &writer, error));
    for (int i = 0; i < 100; i++) { // and more than the writer's first table of maps holds
        const nm_scene *scene =
            nm_test_scene(nm_test_road(50.0 + i % 90), &(nm_test_agent){.x = 5.0, .speed = 1.0}, 1, 5);
        must(nm_shard_writer_add(writer, scene, NULL, error));
        nm_scene_destroy(scene);
    }
    nm_shard_totals totals;
    must(nm_shard_writer_finish(writer, &totals, error));
    assert_int_equal(totals.maps, 90);
    snprintf(path, sizeof path, "%s-00000-of-00001.nmshard", f->folder.base);
    nm_shard *shard = NULL;
    must(nm_shard_open(path, 0, &shard, error));
    const nm_scene *held[MAPS];
    for (uint32_t i = 0; i < MAPS; i++) held[i] = nm_shard_scene(shard, i, NULL);
    for (uint32_t i = 0; i < MAPS; i++) {
        const nm_scene *again = nm_shard_scene(shard, i < 3 ? MAPS - 1 - i : i, NULL);
        if (i < 3) assert_ptr_equal(again->map, held[MAPS - 1 - i]->map); // used last
        nm_scene_destroy(again);
    }
    const nm_scene *first = nm_shard_scene(shard, 0, NULL); // long gone
    assert_ptr_not_equal(first->map, held[0]->map);
    same_scene(first, held[0]);
    nm_scene_destroy(first);
    for (uint32_t i = 0; i < MAPS; i++) nm_scene_destroy(held[i]);
    nm_shard_close(shard);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_out_as_it_went_in, setup, teardown),
        cmocka_unit_test_setup_teardown(is_laid_out_as_described, setup, teardown),
        cmocka_unit_test_setup_teardown(splits_at_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_every_damaged_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_every_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_lies_that_checksums_confirm, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scene_that_is_another_one, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_other_files, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_set_that_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(writing_is_all_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(is_read_by_several_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_the_last_maps, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
