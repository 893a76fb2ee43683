/// Looks at what a file is and hands it to its reader.
#include "dataset/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataset/import_private.h"
#include "dataset/tfrecord.h"

nm_import_limits nm_import_limits_default(void) {
    return (nm_import_limits){.max_file_bytes = UINT64_C(1) << 30,
                              .max_tracks = 1000000,
                              .max_steps = NM_SCENE_MAX_STEPS,
                              .max_lanes = 1000000,
                              .max_cells = UINT64_C(1) << 26};
}

// --- formats ---------------------------------------------------------------------------------------------------------

typedef struct magic {
    size_t offset, size;
    const char *bytes;
} magic;

static int is_archive(const uint8_t *head, size_t size) {
    static const magic known[] = {{0, 2, "\x1f\x8b"},
                                  {0, 6,
                                   "\xfd"
                                   "7zXZ\0"},
                                  {0, 4, "\x28\xb5\x2f\xfd"},
                                  {0, 3, "BZh"},
                                  {0, 4, "PK\x03\x04"},
                                  {0, 4, "PK\x05\x06"},
                                  {257, 5, "ustar"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i) {
        if (size >= known[i].offset + known[i].size &&
            memcmp(head + known[i].offset, known[i].bytes, known[i].size) == 0)
            return 1;
    }
    return 0;
}

/// The beginning of a document as ASCII, without a byte order mark: of UTF-16 every other byte.
static size_t plain_head(const uint8_t *head, size_t size, char *plain) {
    size_t i = 0, count = 0;
    int wide = size >= 2 && (memcmp(head, "\xff\xfe", 2) == 0 || memcmp(head, "\xfe\xff", 2) == 0);
    if (size >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0) i = 3;
    if (wide) i = 2;
    for (; i < size && count < NM_IMPORT_HEAD; ++i) {
        if (!wide || head[i]) plain[count++] = (char)head[i];
    }
    return count;
}

static size_t find_text(const char *text, size_t size, size_t from, const char *wanted) {
    size_t length = strlen(wanted);
    while (from + length <= size && memcmp(text + from, wanted, length) != 0) ++from;
    return from + length <= size ? from + length : size;
}

/// Which XML it is, by the root element, which comes behind white space, declarations and comments. Whatever has none
/// in its first bytes is left to the CommonRoad reader, which says what is wrong with it.
static nm_format xml_format(const uint8_t *head, size_t size) {
    char text[NM_IMPORT_HEAD];
    size_t count = plain_head(head, size, text), i = 0;
    for (int first = 1;; first = 0) {
        while (i < count && text[i] && strchr(" \t\r\n", text[i])) ++i;
        if (i >= count || text[i] != '<') return first ? NM_FORMAT_UNKNOWN : NM_FORMAT_COMMONROAD;
        if (i + 1 < count && text[i + 1] == '?')
            i = find_text(text, count, i, "?>");
        else if (i + 3 < count && memcmp(text + i, "<!--", 4) == 0)
            i = find_text(text, count, i + 4, "-->");
        else
            break;
    }
    size_t begin = i + 1, end = begin;
    while (end < count && text[end] && !strchr(" \t\r\n/>", text[end])) {
        if (text[end++] == ':') begin = end;
    }
    if (end - begin == 9 && memcmp(text + begin, "OpenDRIVE", 9) == 0) return NM_FORMAT_OPENDRIVE;
    if (end - begin == 12 && memcmp(text + begin, "OpenSCENARIO", 12) == 0) return NM_FORMAT_OPENSCENARIO;
    return NM_FORMAT_COMMONROAD;
}

nm_format nm_detect_format(const void *head, size_t size) {
    const uint8_t *bytes = head;
    if (nm_tfrecord_detect(head, size)) {
        size_t behind = size - NM_TFRECORD_HEADER;
        if (nm_nearmiss_is(bytes + NM_TFRECORD_HEADER, behind)) return NM_FORMAT_NEARMISS;
        return nm_womd_is_example(bytes + NM_TFRECORD_HEADER, behind) ? NM_FORMAT_WOMD_EXAMPLE
                                                                      : NM_FORMAT_WOMD_SCENARIO;
    }
    if (is_archive(bytes, size)) return NM_FORMAT_ARCHIVE;
    const nm_format database = nm_nuplan_detect(head, size);
    if (database != NM_FORMAT_UNKNOWN) return database;
    if (nm_osi_is(head, size)) return NM_FORMAT_OSI;
    if (nm_csv_is(head, size)) return NM_FORMAT_CSV;
    return xml_format(bytes, size);
}

int nm_format_has_records(nm_format format) {
    return format == NM_FORMAT_WOMD_SCENARIO || format == NM_FORMAT_WOMD_EXAMPLE || format == NM_FORMAT_NEARMISS ||
           format == NM_FORMAT_CSV;
}

const char *nm_format_name(nm_format format) {
    switch (format) {
    case NM_FORMAT_COMMONROAD:
        return "commonroad";
    case NM_FORMAT_WOMD_SCENARIO:
        return "womd";
    case NM_FORMAT_WOMD_EXAMPLE:
        return "tf.Example";
    case NM_FORMAT_ARCHIVE:
        return "archive";
    case NM_FORMAT_NEARMISS:
        return "nearmiss";
    case NM_FORMAT_OSI:
        return "osi";
    case NM_FORMAT_CSV:
        return "csv";
    case NM_FORMAT_OPENSCENARIO:
        return "openscenario";
    case NM_FORMAT_OPENDRIVE:
        return "opendrive";
    case NM_FORMAT_NUPLAN:
        return "nuplan";
    case NM_FORMAT_NUPLAN_MAP:
        return "nuplan map";
    case NM_FORMAT_UNKNOWN:
        break;
    }
    return "unknown";
}

// --- the importer ----------------------------------------------------------------------------------------------------

nm_importer *nm_importer_create(const nm_import_limits *limits) {
    nm_importer *importer = calloc(1, sizeof *importer);
    if (!importer) return NULL;
    nm_commonroad_prepare();
    importer->readers.limits = limits ? *limits : nm_import_limits_default();
    importer->readers.nuplan_options = nm_import_nuplan_default();
    importer->readers.map_builder = nm_map_builder_create();
    importer->readers.scene_builder = nm_scene_builder_create();
    if (!importer->readers.map_builder || !importer->readers.scene_builder) {
        nm_importer_destroy(importer);
        return NULL;
    }
    return importer;
}

void nm_importer_destroy(nm_importer *importer) {
    if (!importer) return;
    nm_commonroad_release(&importer->readers);
    nm_womd_release(&importer->readers);
    nm_nearmiss_release(&importer->readers);
    nm_osi_release(&importer->readers);
    nm_openscenario_release(&importer->readers);
    nm_opendrive_release(&importer->readers);
    nm_nuplan_release(&importer->readers);
    if (importer->readers.map_builder) nm_map_builder_destroy(importer->readers.map_builder);
    if (importer->readers.scene_builder) nm_scene_builder_destroy(importer->readers.scene_builder);
    free(importer->bytes);
    free(importer);
}

void nm_importer_set_extras(nm_importer *importer, nm_extras_sink *sink, void *context) {
    importer->readers.extras = sink;
    importer->readers.extras_context = context;
}

void nm_importer_set_nuplan(nm_importer *importer, const nm_import_nuplan *options) {
    NM_ASSERT(importer && options);
    importer->readers.nuplan_options = *options;
}

int nm_import_room(nm_importer *importer, size_t size) {
    if (size <= importer->capacity) return 1;
    size_t wanted = importer->capacity + importer->capacity / 2;
    if (wanted < size) wanted = size;
    void *grown = realloc(importer->bytes, wanted);
    if (!grown) return 0;
    importer->bytes = grown;
    importer->capacity = wanted;
    return 1;
}

nm_status nm_import_refuse(const nm_import_target *target, nm_status status, const nm_error *refusal, nm_error *error) {
    if (target->refused) {
        target->refused(target->context, refusal);
        return NM_OK;
    }
    if (error) *error = *refusal;
    return status;
}

typedef nm_status scene_reader(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                               const nm_scene **scene, nm_error *error);
/// A file that is one scene.
static nm_status read_single(nm_importer *importer, scene_reader *read, const char *name, const void *bytes,
                             size_t size, const nm_import_target *target, nm_error *error) {
    nm_error refusal;
    nm_error_clear(&refusal);
    const nm_scene *scene;
    nm_status status = read(&importer->readers, name, bytes, size, &scene, &refusal);
    if (status != NM_OK) return nm_import_refuse(target, status, &refusal, error);
    return target->sink(target->context, scene, name, 0, error);
}

/// A file of SQLite, `bytes` of it or (NULL) the one of that name.
static nm_status read_database(nm_importer *importer, nm_format format, const char *name, const void *bytes,
                               size_t size, const nm_import_target *target, nm_error *error) {
    if (format == NM_FORMAT_NUPLAN_MAP)
        return read_single(importer, nm_nuplan_read_map, name, bytes, size, target, error);
    return nm_nuplan_read_log(&importer->readers, name, bytes, size, target->sink, target->refused, target->context,
                              error);
}

nm_status nm_import_check_format(const char *name, nm_format format, const void *head, size_t size, nm_error *error) {
    if (size == 0) return NM_ERROR_AT(error, NM_E_FORMAT, name, 0, -1, "the file is empty");
    if (format != NM_FORMAT_UNKNOWN) return NM_OK;
    const uint8_t *bytes = head;
    return NM_ERROR_AT(
        error, NM_E_FORMAT, name, 0, 0,
        "neither CommonRoad, OpenSCENARIO nor OpenDRIVE XML, TFRecord file of Scenario, tf.Example or Scene "
        "messages, OSI trace, CSV of scenes nor nuPlan log or map, nor an archive of them (it begins with %02x %02x "
        "%02x "
        "%02x)",
        bytes[0], size > 1 ? bytes[1] : 0, size > 2 ? bytes[2] : 0, size > 3 ? bytes[3] : 0);
}

nm_status nm_import_bytes(nm_importer *importer, const char *name, const void *bytes, size_t size,
                          const nm_import_target *target, nm_error *error) {
    nm_format format =
        size ? nm_detect_format(bytes, size < NM_IMPORT_HEAD ? size : NM_IMPORT_HEAD) : NM_FORMAT_UNKNOWN;
    nm_error refusal;
    nm_error_clear(&refusal);
    nm_status status = nm_import_check_format(name, format, bytes, size, &refusal);
    if (status == NM_OK && format == NM_FORMAT_ARCHIVE)
        status = NM_ERROR_AT(&refusal, NM_E_UNSUPPORTED, name, 0, 0,
                             "an archive inside an archive or in memory is not opened");
    if (status == NM_OK && size > importer->readers.limits.max_file_bytes)
        status = NM_ERROR_AT(&refusal, NM_E_LIMIT, name, 0, -1, "the file is larger than the limit of %llu bytes",
                             (unsigned long long)importer->readers.limits.max_file_bytes);
    if (status != NM_OK) return nm_import_refuse(target, status, &refusal, error);
    if (target->visit) {
        const nm_piece piece = {
            .kind = NM_PIECE_FILE, .name = name, .bytes = bytes, .size = size, .archive = importer->readers.archive};
        return target->visit(target->context, &piece, error);
    }
    if (format == NM_FORMAT_COMMONROAD)
        return read_single(importer, nm_commonroad_read, name, bytes, size, target, error);
    if (format == NM_FORMAT_OPENSCENARIO)
        return read_single(importer, nm_openscenario_read, name, bytes, size, target, error);
    if (format == NM_FORMAT_OPENDRIVE)
        return read_single(importer, nm_opendrive_read, name, bytes, size, target, error);
    if (format == NM_FORMAT_NUPLAN || format == NM_FORMAT_NUPLAN_MAP)
        return read_database(importer, format, name, bytes, size, target, error);
    if (format == NM_FORMAT_OSI) return read_single(importer, nm_osi_read, name, bytes, size, target, error);
    if (format == NM_FORMAT_CSV)
        return nm_csv_read(&importer->readers, name, nm_memory_next, &(nm_memory_source){bytes, size}, target->sink,
                           target->refused, target->context, error);
    return nm_womd_read(&importer->readers, name, bytes, size, target->sink, target->refused, target->context, error);
}

nm_status nm_import_stream(nm_importer *importer, nm_format format, const char *name, nm_byte_source *source,
                           void *source_context, const nm_import_target *target, nm_error *error) {
    const int rows = format == NM_FORMAT_CSV;
    if (!target->visit)
        return (rows ? nm_csv_read : nm_womd_read_stream)(&importer->readers, name, source, source_context,
                                                          target->sink, target->refused, target->context, error);
    nm_piece piece = {.kind = NM_PIECE_RECORDS, .name = name};
    nm_status status = target->visit(target->context, &piece, error);
    if (status == NM_OK && rows)
        status = nm_csv_split(&importer->readers, name, source, source_context, target->visit, target->refused,
                              target->context, error);
    else if (status == NM_OK)
        status =
            nm_womd_split_stream(name, source, source_context, target->visit, target->refused, target->context, error);
    piece.kind = NM_PIECE_END;
    return status == NM_OK ? target->visit(target->context, &piece, error) : status;
}

nm_status nm_import_memory(nm_importer *importer, const char *name, const void *bytes, size_t size, nm_scene_sink *sink,
                           nm_refusal_sink *refused, void *context, nm_error *error) {
    NM_ASSERT(importer && name && sink && (bytes || size == 0));
    nm_import_target target = {.sink = sink, .refused = refused, .context = context};
    return nm_import_bytes(importer, name, bytes, size, &target, error);
}

// --- files -----------------------------------------------------------------------------------------------------------

static nm_status io_error(const char *path, const char *what, nm_error *error) {
    return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "%s: %s", what, strerror(errno));
}

/// Appends what the descriptor gives to the importer's buffer until the end or until `limit` bytes are in.
///
/// Files are read, not mapped: one that shrinks while it is mapped kills the process.
static nm_status read_until(nm_importer *importer, int file, const char *path, size_t limit, size_t *size,
                            nm_error *error) {
    for (;;) {
        if (*size == limit) return NM_OK;
        size_t wanted = *size < NM_IMPORT_HEAD ? NM_IMPORT_HEAD : *size + (UINT32_C(1) << 16);
        if (wanted > limit) wanted = limit;
        if (wanted < importer->capacity) wanted = importer->capacity < limit ? importer->capacity : limit;
        if (!nm_import_room(importer, wanted)) return NM_ERROR_AT(error, NM_E_MEMORY, path, 0, -1, "no memory to read");
        ssize_t got = read(file, importer->bytes + *size, wanted - *size);
        if (got == 0) return NM_OK;
        if (got < 0 && errno != EINTR) return io_error(path, "cannot read", error);
        if (got > 0) *size += (size_t)got;
    }
}

static nm_status read_rest(nm_importer *importer, int file, const char *path, const struct stat *about, size_t *size,
                           nm_error *error) {
    uint64_t limit = importer->readers.limits.max_file_bytes;
    int regular = S_ISREG(about->st_mode);
    if (regular && (uint64_t)about->st_size > limit)
        return NM_ERROR_AT(error, NM_E_LIMIT, path, 0, -1, "the file has %lld bytes, the limit is %llu",
                           (long long)about->st_size, (unsigned long long)limit);
    if (regular && about->st_size > 0 && !nm_import_room(importer, (size_t)about->st_size + 1))
        return NM_ERROR_AT(error, NM_E_MEMORY, path, 0, -1, "no memory to read");
    // one byte more than allowed or expected shows that there is more
    nm_status status = read_until(importer, file, path, (size_t)limit + 1, size, error);
    if (status != NM_OK) return status;
    if (*size > limit)
        return NM_ERROR_AT(error, NM_E_LIMIT, path, 0, -1, "the file is larger than the limit of %llu bytes",
                           (unsigned long long)limit);
    if (regular && *size != (size_t)about->st_size)
        return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "the file changed while it was read (%lld bytes, then %zu)",
                           (long long)about->st_size, *size);
    return NM_OK;
}

nm_status nm_memory_next(void *memory_source, void *buffer, size_t size, size_t *got, nm_error *error) {
    (void)error; // memory never refuses
    nm_memory_source *memory = memory_source;
    *got = memory->size < size ? memory->size : size;
    if (*got > 0) memcpy(buffer, memory->bytes, *got);
    memory->bytes += *got;
    memory->size -= *got;
    return NM_OK;
}

/// A file of records as a stream: first the head, which is in the importer's buffer, then the rest.
typedef struct streamed {
    const nm_importer *importer;
    const char *path;
    int file;
    size_t head, given;
    uint64_t *bytes_read; // nullable
} streamed;

static nm_status next_bytes(void *context, void *buffer, size_t size, size_t *got, nm_error *error) {
    streamed *s = context;
    if (s->given < s->head) {
        *got = s->head - s->given < size ? s->head - s->given : size;
        memcpy(buffer, s->importer->bytes + s->given, *got);
        s->given += *got;
    } else {
        ssize_t count;
        do count = read(s->file, buffer, size);
        while (count < 0 && errno == EINTR);
        if (count < 0) return io_error(s->path, "cannot read", error);
        *got = (size_t)count;
    }
    if (s->bytes_read) *s->bytes_read += *got;
    return NM_OK;
}

/// Reads the beginning, finds out what the file is, reads the rest. *handled is 1 when its scenes have gone to the
/// target: those of an archive's members, or of a file of records, which is read one by one since such files have
/// hundreds of megabytes.
static nm_status read_file(nm_importer *importer, int file, const char *path, const nm_import_target *target,
                           size_t *size, int *handled, nm_status *outcome, nm_error *error, nm_error *refusal) {
    struct stat about;
    if (fstat(file, &about) != 0) return io_error(path, "cannot read", refusal);
    if (S_ISDIR(about.st_mode)) return NM_ERROR_AT(refusal, NM_E_IO, path, 0, -1, "is a directory");
    nm_status status = read_until(importer, file, path, NM_IMPORT_HEAD, size, refusal);
    if (status != NM_OK) return status;
    nm_format format = *size ? nm_detect_format(importer->bytes, *size) : NM_FORMAT_UNKNOWN;
    status = nm_import_check_format(path, format, importer->bytes, *size, refusal);
    if (status != NM_OK) return status;
    if (nm_format_has_records(format)) {
        streamed s = {
            .importer = importer, .path = path, .file = file, .head = *size, .bytes_read = target->bytes_read};
        *handled = 1;
        *outcome = nm_import_stream(importer, format, path, next_bytes, &s, target, error);
        return NM_OK;
    }
    const int database = format == NM_FORMAT_NUPLAN || format == NM_FORMAT_NUPLAN_MAP;
    if (database && !target->visit && S_ISREG(about.st_mode)) { // read where they lie: logs have gigabytes
        *handled = 1;
        if (target->bytes_read) *target->bytes_read += (uint64_t)about.st_size;
        *outcome = read_database(importer, format, path, NULL, (size_t)about.st_size, target, error);
        return NM_OK;
    }
    if (format != NM_FORMAT_ARCHIVE) return read_rest(importer, file, path, &about, size, refusal);
    if (lseek(file, 0, SEEK_SET) != 0) return io_error(path, "archives must be seekable files", refusal);
    *handled = 1;
    *outcome = nm_import_archive(importer, file, path, target, error);
    return NM_OK;
}

static nm_status import_path(nm_importer *importer, const char *path, const nm_import_target *target, nm_error *error) {
    nm_error refusal;
    nm_error_clear(&refusal);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (file < 0) {
        nm_status status = io_error(path, "cannot open", &refusal);
        return nm_import_refuse(target, status, &refusal, error);
    }
    size_t size = 0;
    int handled = 0;
    nm_status outcome = NM_OK;
    nm_status status = read_file(importer, file, path, target, &size, &handled, &outcome, error, &refusal);
    close(file);
    if (status != NM_OK) return nm_import_refuse(target, status, &refusal, error);
    if (handled) return outcome;
    if (target->bytes_read) *target->bytes_read += size;
    importer->readers.path = path;
    status = nm_import_bytes(importer, path, importer->bytes, size, target, error);
    importer->readers.path = NULL;
    return status;
}

nm_status nm_import_file(nm_importer *importer, const char *path, nm_scene_sink *sink, nm_refusal_sink *refused,
                         // written to through the target: NOLINTNEXTLINE(readability-non-const-parameter)
                         void *context, uint64_t *bytes_read, nm_error *error) {
    NM_ASSERT(importer && path && sink);
    nm_import_target target = {.sink = sink, .refused = refused, .context = context, .bytes_read = bytes_read};
    return import_path(importer, path, &target, error);
}

nm_status nm_import_split(nm_importer *importer, const char *path, nm_piece_sink *sink, nm_refusal_sink *refused,
                          void *context, nm_error *error) {
    NM_ASSERT(importer && path && sink);
    nm_import_target target = {.refused = refused, .context = context, .visit = sink};
    return import_path(importer, path, &target, error);
}

nm_status nm_import_piece(nm_importer *importer, const nm_piece *piece, nm_scene_sink *sink, nm_refusal_sink *refused,
                          void *context, nm_error *error) {
    NM_ASSERT(importer && piece && sink && (piece->kind == NM_PIECE_FILE || piece->kind == NM_PIECE_RECORD));
    if (piece->kind == NM_PIECE_RECORD && nm_csv_is(piece->bytes, piece->size))
        return nm_csv_read_part(&importer->readers, piece, sink, refused, context, error);
    if (piece->kind == NM_PIECE_RECORD)
        return nm_womd_read_record(&importer->readers, piece, sink, refused, context, error);
    NM_ASSERT(piece->archive == 0 || piece->archive < strlen(piece->name));
    importer->readers.archive = piece->archive;
    const nm_status status =
        nm_import_memory(importer, piece->name, piece->bytes, piece->size, sink, refused, context, error);
    importer->readers.archive = 0;
    return status;
}
