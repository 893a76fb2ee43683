/// Runs a fuzz target without libFuzzer: every file named, every seed, then mutations of them drawn from Philox, so
/// that each compiler and each run tries the same inputs.
///
///   replay_NAME [--runs N] [--seed S] [--only RUN] [--dump FILE] [--seeds DIR] [FILE|DIR]...
///
/// When the target dies, the number of the mutation is printed; `--only RUN --dump FILE` gives the input.
#include "fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"

#define MAX_INPUT ((size_t)1 << 16)
#define MAX_INPUTS 256

typedef struct input {
    uint8_t *bytes;
    size_t size;
} input;

typedef struct corpus {
    input inputs[MAX_INPUTS];
    size_t count;
} corpus;

__attribute__((weak)) size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    (void)index, (void)buffer, (void)capacity;
    return 0;
}

// Sanitizers end the program behind our back unless told to abort, and then the run's number would be lost.
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void) {
    return "abort_on_error=1:handle_abort=0:allocator_may_return_null=1";
}
__attribute__((visibility("default"))) const char *__ubsan_default_options(void) {
    return "abort_on_error=1:print_stacktrace=1";
}

static char current_run[128]; // what the signal handler prints

static void on_death(int number) {
    ssize_t ignored = write(STDERR_FILENO, current_run, strlen(current_run));
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

static void fail(const char *what, const char *name) {
    fprintf(stderr, "fuzz driver: %s %s\n", what, name);
    exit(2);
}

/// The target gets a block of exactly `size` bytes, so that AddressSanitizer sees a read past it.
static void run_exact(const uint8_t *bytes, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) fail("out of memory", "");
    if (size) memcpy(copy, bytes, size);
    if (LLVMFuzzerTestOneInput(copy, size) != 0) fail("the target did not return 0", "");
    free(copy);
}

static void add_input(corpus *all, const uint8_t *bytes, size_t size) {
    if (all->count == MAX_INPUTS) return;
    input *entry = &all->inputs[all->count];
    entry->bytes = malloc(size ? size : 1);
    if (!entry->bytes) fail("out of memory", "");
    memcpy(entry->bytes, bytes, size);
    entry->size = size;
    all->count++;
}

static void add_file(corpus *all, const char *path, uint8_t *buffer) {
    FILE *file = fopen(path, "rb");
    if (!file) fail("cannot open", path);
    size_t size = fread(buffer, 1, MAX_INPUT, file);
    fclose(file);
    add_input(all, buffer, size);
}

static int visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static void add_path(corpus *all, const char *path, uint8_t *buffer) {
    struct stat status;
    if (stat(path, &status) != 0) fail("cannot find", path);
    if (!S_ISDIR(status.st_mode)) {
        add_file(all, path, buffer);
        return;
    }
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, visible, alphasort); // sorted: the runs must not depend on the file system
    if (count < 0) fail("cannot list", path);
    for (int i = 0; i < count; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        add_file(all, name, buffer);
        free(entries[i]);
    }
    free(entries);
}

/// Draws of one run, in order.
typedef struct dice {
    nm_rng_key key;
    uint32_t draw;
} dice;

static uint32_t roll(dice *d, uint32_t bound) {
    return nm_rng_below(&d->key, d->draw++, bound);
}

static uint64_t interesting(dice *d) {
    static const uint64_t values[] = {0,
                                      1,
                                      2,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0x7fff,
                                      0x8000,
                                      0xffff,
                                      0x10000,
                                      0x7fffffff,
                                      0x80000000,
                                      1u << 20,
                                      0xffffffff,
                                      0x7ff0000000000000,
                                      0x7ff8000000000000,
                                      0x7fefffffffffffff,
                                      UINT64_MAX,
                                      UINT64_MAX - 15,
                                      (uint64_t)1 << 63,
                                      0x100000000};
    return values[roll(d, sizeof values / sizeof values[0])];
}

static void overwrite(dice *d, uint8_t *bytes, size_t size) {
    size_t width = (size_t)1 << roll(d, 4);
    if (size < width) return;
    uint64_t value = roll(d, 4) ? interesting(d) : (uint64_t)roll(d, UINT32_MAX) << roll(d, 33);
    size_t at = roll(d, (uint32_t)(size - width + 1));
    for (size_t i = 0; i < width; i++) bytes[at + i] = (uint8_t)(value >> (8 * i));
}

/// Copies `count` bytes of `from` to position `at`, pushing the rest on.
static size_t insert(uint8_t *bytes, size_t size, size_t at, const uint8_t *from, size_t count) {
    if (count > MAX_INPUT - size) count = MAX_INPUT - size;
    memmove(bytes + at + count, bytes + at, size - at);
    memcpy(bytes + at, from, count);
    return size + count;
}

static size_t erase(dice *d, uint8_t *bytes, size_t size) {
    size_t at = roll(d, (uint32_t)size), most = size - at;
    size_t count = 1 + roll(d, (uint32_t)(most < 64 || !roll(d, 8) ? most : 64));
    memmove(bytes + at, bytes + at + count, size - at - count);
    return size - count;
}

static size_t mutate_once(dice *d, const corpus *all, uint8_t *bytes, size_t size) {
    uint8_t piece[256];
    switch (size ? roll(d, 8) : 5) {
    case 0:
        bytes[roll(d, (uint32_t)size)] ^= (uint8_t)(1u << roll(d, 8));
        return size;
    case 1:
        bytes[roll(d, (uint32_t)size)] = (uint8_t)roll(d, 256);
        return size;
    case 2:
    case 3:
        overwrite(d, bytes, size);
        return size;
    case 4:
        return erase(d, bytes, size);
    case 5: { // random bytes
        size_t count = 1 + roll(d, 16);
        for (size_t i = 0; i < count; i++) piece[i] = (uint8_t)roll(d, 256);
        return insert(bytes, size, roll(d, (uint32_t)size + 1), piece, count);
    }
    case 6: { // a piece of this or another input
        const input *other = roll(d, 2) && all->count ? &all->inputs[roll(d, (uint32_t)all->count)] : NULL;
        const uint8_t *from = other ? other->bytes : bytes;
        size_t length = other ? other->size : size;
        if (length == 0) return size;
        size_t start = roll(d, (uint32_t)length), most = length - start;
        size_t count = 1 + roll(d, (uint32_t)(most < sizeof piece ? most : sizeof piece));
        memcpy(piece, from + start, count);
        return insert(bytes, size, roll(d, (uint32_t)size + 1), piece, count);
    }
    default:
        return roll(d, 4) ? size : roll(d, (uint32_t)size); // rarely: cut off
    }
}

static size_t mutate(dice *d, const corpus *all, uint8_t *bytes) {
    size_t size = 0;
    if (all->count) {
        const input *start = &all->inputs[roll(d, (uint32_t)all->count)];
        size = start->size;
        memcpy(bytes, start->bytes, size);
    }
    for (uint32_t i = 1 + roll(d, 6); i > 0; i--) size = mutate_once(d, all, bytes, size);
    return size;
}

static void dump(const char *path, const uint8_t *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) fail("cannot write", path);
}

static void write_seeds(const corpus *all, const char *folder) {
    for (size_t i = 0; i < all->count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/seed%03zu", folder, i);
        dump(path, all->inputs[i].bytes, all->inputs[i].size);
    }
}

typedef struct options {
    unsigned long runs, seed;
    long only;
    const char *dump_path, *seeds_folder;
} options;

static int parse_option(options *chosen, const char *name, const char *value) {
    if (!strcmp(name, "--runs")) return chosen->runs = strtoul(value, NULL, 10), 1;
    if (!strcmp(name, "--seed")) return chosen->seed = strtoul(value, NULL, 10), 1;
    if (!strcmp(name, "--only")) return chosen->only = strtol(value, NULL, 10), 1;
    if (!strcmp(name, "--dump")) return chosen->dump_path = value, 1;
    if (!strcmp(name, "--seeds")) return chosen->seeds_folder = value, 1;
    return 0;
}

int main(int argc, char **argv) {
    static corpus all;
    static uint8_t bytes[MAX_INPUT];
    options chosen = {.runs = 3000, .seed = 1, .only = -1};
    for (size_t size, i = 0; (size = nm_fuzz_seed(i, bytes, sizeof bytes)) > 0; i++) add_input(&all, bytes, size);
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && parse_option(&chosen, argv[i], argv[i + 1]))
            i++;
        else if (argv[i][0] == '-')
            fail("does not know the option", argv[i]);
        else
            add_path(&all, argv[i], bytes);
    }
    if (chosen.seeds_folder) {
        write_seeds(&all, chosen.seeds_folder);
        return 0;
    }
    static const int deaths[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) signal(deaths[i], on_death);

    for (size_t i = 0; i < all.count; i++) {
        snprintf(current_run, sizeof current_run, "fuzz driver: died in input %zu\n", i);
        run_exact(all.inputs[i].bytes, all.inputs[i].size);
    }
    for (unsigned long run = 0; run < chosen.runs; run++) {
        dice d = {.key = {.seed = chosen.seed, .step = (uint32_t)run, .purpose = NM_PURPOSE_TEST}};
        size_t size = mutate(&d, &all, bytes);
        if (chosen.only >= 0 && run != (unsigned long)chosen.only) continue;
        if (chosen.dump_path) dump(chosen.dump_path, bytes, size);
        snprintf(current_run, sizeof current_run, "fuzz driver: died in mutation --seed %lu --only %lu\n", chosen.seed,
                 run);
        run_exact(bytes, size);
    }
    printf("%zu inputs, %lu mutations, seed %lu\n", all.count, chosen.runs, chosen.seed);
    for (size_t i = 0; i < all.count; i++) free(all.inputs[i].bytes);
    return 0;
}
