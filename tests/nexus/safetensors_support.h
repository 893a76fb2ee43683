/// What the tests of weights files share: a scratch folder, files out of header texts, and looking at errors.
#ifndef NM_TESTS_SAFETENSORS_SUPPORT_H
#define NM_TESTS_SAFETENSORS_SUPPORT_H

#include "support.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nexus/safetensors.h"

#define GOLDEN NM_SOURCE_DIR "/tests/nexus/golden/"

/// A folder of this test; teardown removes it with the files in it.
static char folder[64];

static inline int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/nm_safetensors_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state) {
    (void)state;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.') unlink(path);
    }
    if (directory) closedir(directory);
    return rmdir(folder); // fails when something hidden was left
}

/// A path in the folder; good for the next few calls.
static inline const char *at(const char *name) {
    static char paths[8][256];
    static int next;
    char *path = paths[next = (next + 1) % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline int exists(const char *name) {
    return access(at(name), F_OK) == 0;
}

static inline size_t files_in_folder(void) {
    size_t count = 0;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

static inline void put_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/// The whole file; release with free.
static inline unsigned char *get_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

/// Length, header, then `data_size` bytes 0, 1, 2, ... Exactly as long as it says, so that a read past the end is seen.
static inline unsigned char *with_header(const char *header, size_t data_size, size_t *size) {
    const uint64_t length = strlen(header);
    *size = 8 + length + data_size;
    unsigned char *bytes = malloc(*size);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data_size; i++) bytes[8 + length + i] = (unsigned char)i;
    return bytes;
}

/// The status and, for a failure, that the error says so, names the input and mentions `part`.
static inline void check_error(const char *what, nm_status got, nm_status expected, const nm_error *error,
                               const char *input, const char *part) {
    if (got != expected || error->code != expected || !strstr(error->message, part) || !strstr(error->input, input))
        fail_msg("%s: %s instead of %s: %s: %s (expected '%s')", what, nm_status_name(got), nm_status_name(expected),
                 error->input, error->message, part);
}

#endif
