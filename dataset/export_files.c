#include "dataset/export_files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define SUMS "SHA256SUMS"
#define MANIFEST "manifest.json"
#define MAX_TEXT 4096 // bytes of a text in the manifest, escaped

static char *join(const char *folder, const char *name) {
    const size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory");
}

// --- what may be in the folder ---------------------------------------------------------------------------------------

/// Moves past at least `least` digits (hexadecimal ones: exactly); 0 when they are not there.
static int skip_digits(const char **at, size_t least) {
    size_t count = 0;
    while (isdigit((unsigned char)(*at)[count])) count++;
    *at += count;
    return count >= least;
}

/// NAME-00000-of-00010.tfrecord; without `name` of any name.
static int is_shard(const char *file, const char *extension) {
    const size_t length = strlen(file), tail = strlen(extension);
    if (length < tail || strcmp(file + length - tail, extension) != 0) return 0;
    for (const char *at = strstr(file, "-of-"); at; at = strstr(at + 1, "-of-")) {
        const char *behind = at + 4;
        size_t digits = 0;
        while (at - digits > file && isdigit((unsigned char)at[-1 - (ptrdiff_t)digits])) digits++;
        if (digits < 5 || at - digits <= file + 1 || at[-1 - (ptrdiff_t)digits] != '-') continue;
        if (skip_digits(&behind, 5) && strcmp(behind, extension) == 0) return 1;
    }
    return 0;
}

/// 000042.xosc, or WORD-0123456789abcdef.EXTENSION: what scenes share.
static int is_single(const char *file, const char *extension) {
    const char *at = file;
    if (skip_digits(&at, 6) && strcmp(at, extension) == 0) return 1;
    at = strchr(file, '-');
    if (!at || at == file) return 0;
    for (const char *c = file; c < at; c++) {
        if (!islower((unsigned char)*c)) return 0;
    }
    return strspn(at + 1, "0123456789abcdef") == 16 && at[17] == '.' && isalpha((unsigned char)at[18]);
}

/// 1 when an export of this format can have left the file, whole or not.
static int is_ours(const char *file, const nm_encoder *encoder) {
    char name[256];
    snprintf(name, sizeof name, "%s", file);
    const size_t length = strlen(name);
    if (length > 22 && strcmp(name + length - 5, ".part") == 0 && name[length - 22] == '.') name[length - 22] = '\0';
    if (strcmp(name, SUMS) == 0 || strcmp(name, MANIFEST) == 0) return 1;
    if (encoder->layout != NM_ENCODER_FILES) return is_shard(name, encoder->extension);
    return is_single(name, encoder->extension) || (encoder->is_name && encoder->is_name(name));
}

static nm_status io_error(const char *path, const char *what, nm_error *error) {
    return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "%s: %s", what, strerror(errno));
}

/// Calls `use` for every file; a status other than NM_OK ends it.
static nm_status each_file(const char *path, nm_status (*use)(const char *, const char *, const void *, nm_error *),
                           const void *context, nm_error *error) {
    DIR *folder = opendir(path);
    if (!folder) return io_error(path, "can not be read", error);
    nm_status status = NM_OK;
    for (const struct dirent *entry; status == NM_OK && (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        status = use(path, entry->d_name, context, error);
    }
    closedir(folder);
    return status;
}

typedef struct rules {
    const nm_encoder *encoder;
    int overwrite;
} rules;

static nm_status look(const char *path, const char *file, const void *context, nm_error *error) {
    const rules *r = context;
    char shown[128];
    nm_text_escape(shown, sizeof shown, file);
    if (!is_ours(file, r->encoder))
        return NM_ERROR_AT(error, NM_E_EXISTS, path, 0, -1,
                           "holds '%s', which no export to this format writes: choose another folder", shown);
    if (r->overwrite) return NM_OK;
    return NM_ERROR_AT(error, NM_E_EXISTS, path, 0, -1,
                       "holds an export ('%s'): choose another folder, or overwrite it", shown);
}

static nm_status remove_file(const char *path, const char *file, const void *context, nm_error *error) {
    (void)context;
    char *full = join(path, file);
    if (!full) return no_memory(error);
    const int failed = unlink(full) != 0 && errno != ENOENT;
    const nm_status status = failed ? io_error(full, "can not be removed", error) : NM_OK;
    free(full);
    return status;
}

static nm_status open_in(const nm_export_folder *folder, nm_whole_file *file, const char *name, nm_error *error) {
    char *path = join(folder->path, name);
    if (!path) return no_memory(error);
    const nm_status status = nm_whole_file_open(file, path, NM_WHOLE_FILE_STREAM, error);
    free(path);
    return status;
}

static void put_text(FILE *stream, const char *key, const char *text) {
    char escaped[MAX_TEXT];
    nm_text_escape_json(escaped, sizeof escaped, text ? text : "");
    fprintf(stream, "\"%s\": \"%s\"", key, escaped);
}

static void begin_manifest(const nm_export_folder *folder, const nm_export_options *options) {
    FILE *out = folder->manifest.stream;
    fprintf(out, "{\n\"manifest\": 1,\n");
    put_text(out, "program", options->program);
    fprintf(out, ",\n");
    put_text(out, "command", options->command);
    fprintf(out, ",\n");
    put_text(out, "format", nm_export_format_name(options->format));
    fprintf(out, ",\n");
    put_text(out, "name", options->name);
    fprintf(out, ",\n\"shards\": %" PRIu32 ",\n\"scenes\": [", options->shards);
}

/// mkdir -p; what was made is noted, for a folder that stays empty to be removed again.
static nm_status make_folder(nm_export_folder *folder, nm_error *error) {
    char *path = folder->path;
    for (size_t end = 1, last = strlen(path); end <= last; end++) {
        if (end < last && (path[end] != '/' || path[end - 1] == '/')) continue;
        const char cut = path[end];
        struct stat about;
        path[end] = '\0';
        // those above need not be ours to make: it is enough that they are there
        int failed = mkdir(path, 0777) != 0;
        const int made = !failed;
        if (failed && (errno == EEXIST || stat(path, &about) == 0)) failed = 0;
        const nm_status status = failed ? io_error(path, "can not be made", error) : NM_OK;
        path[end] = cut;
        if (status != NM_OK) return status;
        if (made && !folder->made) folder->made = end;
    }
    return NM_OK;
}

/// Removes what make_folder made, as far as it is empty.
static void remove_made(nm_export_folder *folder) {
    size_t end = folder->made ? strlen(folder->path) : 0;
    while (end > 0 && folder->path[end - 1] == '/') end--;
    while (end > 0 && end >= folder->made) {
        folder->path[end] = '\0';
        if (rmdir(folder->path) != 0) return;
        while (end > 0 && folder->path[end] != '/') end--;
        while (end > 0 && folder->path[end - 1] == '/') end--;
    }
}

nm_status nm_export_folder_open(nm_export_folder *folder, const nm_export_options *options, const nm_encoder *encoder,
                                nm_error *error) {
    const rules r = {encoder, options->overwrite};
    *folder = (nm_export_folder){.path = strdup(options->folder)};
    if (!folder->path) return no_memory(error);
    nm_status status = make_folder(folder, error);
    if (status == NM_OK) status = each_file(folder->path, look, &r, error);
    // the manifest first: what is left if this is cut off must not pass for a whole export
    if (status == NM_OK && options->overwrite) status = remove_file(folder->path, MANIFEST, NULL, error);
    if (status == NM_OK && options->overwrite) status = each_file(folder->path, remove_file, NULL, error);
    if (status == NM_OK) status = open_in(folder, &folder->sums, SUMS, error);
    folder->sums_open = status == NM_OK;
    if (status == NM_OK) status = open_in(folder, &folder->manifest, MANIFEST, error);
    folder->manifest_open = status == NM_OK;
    if (status == NM_OK) begin_manifest(folder, options);
    return status;
}

/// Gives the files that wait their names.
static nm_status keep_waiting(nm_export_folder *folder, nm_error *error) {
    const size_t count = folder->waiting_count;
    folder->waiting_count = 0; // they are released, whatever comes
    folder->waiting_bytes = 0;
    return nm_whole_files_keep(folder->waiting, count, error);
}

nm_status nm_export_folder_finish(nm_export_folder *folder, const nm_export_totals *totals, nm_error *error) {
    if (folder->files.failed) return no_memory(error);
    nm_status status = keep_waiting(folder, error);
    if (status != NM_OK) return status;
    folder->sums_open = 0; // keep releases it, whatever comes
    status = nm_whole_file_keep(&folder->sums, error);
    if (status != NM_OK) return status;
    FILE *out = folder->manifest.stream;
    fprintf(out, "],\n\"files\": [");
    if (folder->files.size) fwrite(folder->files.bytes, 1, folder->files.size, out);
    fprintf(out, "],\n\"written\": %" PRIu64 ",\n\"refused\": %" PRIu64 "\n}\n", totals->scenes, totals->refused);
    folder->manifest_open = 0;
    return nm_whole_file_keep(&folder->manifest, error);
}

void nm_export_folder_abandon(nm_export_folder *folder) {
    // files that are whole stay, those that wait as well
    (void)keep_waiting(folder, NULL);
    if (folder->sums_open) nm_whole_file_drop(&folder->sums);
    if (folder->manifest_open) nm_whole_file_drop(&folder->manifest);
    remove_made(folder);
    nm_byte_buffer_free(&folder->files);
    free(folder->path);
    *folder = (nm_export_folder){0};
}

nm_status nm_export_folder_note(nm_export_folder *folder, const nm_export_item *item, const nm_export_place *place,
                                nm_error *error) {
    FILE *out = folder->manifest.stream;
    const nm_provenance *from = &item->scene->provenance;
    fprintf(out, "%s\n{\"id\": %" PRId64 ", \"hash\": \"%016" PRIx64 "\", ", folder->entries++ ? "," : "", item->id,
            item->scene->hash);
    put_text(out, "source", from->source);
    fputs(", ", out);
    put_text(out, "scene_id", from->scene_id);
    fputs(", \"kinds\": [", out);
    for (size_t i = 0; i < item->label_count; i++) {
        size_t before = 0;
        while (before < i && strcmp(item->labels[before].kind, item->labels[i].kind) != 0) before++;
        if (before == i) fprintf(out, "%s\"%s\"", i ? ", " : "", item->labels[i].kind);
    }
    fputs("], ", out);
    if (item->windowed) fprintf(out, "\"first_step\": %" PRIu32 ", ", item->window_first);
    if (place->refused) {
        put_text(out, "refused", place->refused);
    } else {
        put_text(out, "file", place->file);
        if (place->has_record) fprintf(out, ", \"record\": %" PRIu64, place->record);
        if (place->shared && place->shared[0]) {
            fputs(", ", out);
            put_text(out, "shared", place->shared);
        }
        if (place->left_out) fprintf(out, ", \"left_out\": %" PRIu32, place->left_out);
    }
    fputs("}", out);
    if (ferror(out)) return io_error(folder->manifest.path, "can not be written", error);
    return NM_OK;
}

// --- files -----------------------------------------------------------------------------------------------------------

nm_status nm_export_file_open(nm_export_folder *folder, nm_export_file *file, const char *name, nm_error *error) {
    *file = (nm_export_file){0};
    snprintf(file->name, sizeof file->name, "%s", name);
    const nm_status status = open_in(folder, &file->whole, name, error);
    file->open = status == NM_OK;
    sha256_init(&file->sum);
    return status;
}

nm_status nm_export_file_write(nm_export_file *file, const void *bytes, size_t size, nm_error *error) {
    if (size == 0) return NM_OK;
    if (fwrite(bytes, 1, size, file->whole.stream) != size)
        return io_error(file->whole.path, "can not be written", error);
    sha256_update(&file->sum, size, bytes);
    file->bytes += size;
    return NM_OK;
}

nm_status nm_export_file_keep(nm_export_folder *folder, nm_export_file *file, nm_error *error) {
    uint8_t digest[SHA256_DIGEST_SIZE];
    char text[2 * SHA256_DIGEST_SIZE + 1];
    char name[6 * sizeof file->name];
    sha256_digest(&file->sum, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    file->open = 0;
    folder->waiting[folder->waiting_count] = file->whole;
    snprintf(folder->waiting_names[folder->waiting_count], sizeof *folder->waiting_names, "%s", file->name);
    folder->waiting_count++;
    folder->waiting_bytes += file->bytes;
    if (folder->waiting_count == NM_EXPORT_WAITING || folder->waiting_bytes >= NM_EXPORT_WAITING_BYTES) {
        const nm_status status = keep_waiting(folder, error);
        if (status != NM_OK) return status;
    }
    if (fprintf(folder->sums.stream, "%s  %s\n", text, file->name) < 0)
        return io_error(folder->sums.path, "can not be written", error);
    nm_text_escape_json(name, sizeof name, file->name);
    nm_byte_buffer_text(&folder->files, folder->file_count++ ? ",\n{\"name\": \"" : "\n{\"name\": \"");
    nm_byte_buffer_text(&folder->files, name);
    nm_byte_buffer_format(&folder->files, "\", \"bytes\": %" PRIu64 ", \"sha256\": \"%s\", \"scenes\": %" PRIu64 "}",
                          file->bytes, text, file->scenes);
    folder->file_bytes += file->bytes;
    return NM_OK;
}

void nm_export_file_drop(nm_export_file *file) {
    if (file->open) nm_whole_file_drop(&file->whole);
    file->open = 0;
}

int nm_export_file_exists(const nm_export_folder *folder, const char *name) {
    for (size_t i = 0; i < folder->waiting_count; i++) {
        if (strcmp(folder->waiting_names[i], name) == 0) return 1;
    }
    char *path = join(folder->path, name);
    struct stat about;
    const int there = path && lstat(path, &about) == 0;
    free(path);
    return there;
}
