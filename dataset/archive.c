/// Archives and compressed files, member by member, through libarchive. Nothing is unpacked to disk; one member is in
/// memory at a time, in the importer's buffer.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "dataset/import_private.h"

#define BLOCK_BYTES ((size_t)1 << 16)

/// What an archive may unpack to: so many times its own size, and this much in any case. Driving logs as XML compress
/// by 30 to 60; bombs by thousands.
#define MAX_RATIO 500u
#define FREE_BYTES (UINT64_C(256) << 20)

typedef struct unpacking {
    nm_importer *importer;
    struct archive *archive;
    const char *path;
    const nm_import_target *target;
    uint64_t unpacked; ///< bytes so far, skipped ones included
    char name[1024];   ///< "archive!member"
} unpacking;

static nm_status refuse_archive(const unpacking *u, nm_error *refusal) {
    const char *why = archive_error_string(u->archive);
    int number = archive_errno(u->archive);
    nm_status status = number == ENOMEM ? NM_E_MEMORY : (number == EIO ? NM_E_IO : NM_E_FORMAT);
    return NM_ERROR_AT(refusal, status, u->name, 0, -1, "cannot unpack: %s", why ? why : "damaged archive");
}

/// Bombs are told by what has come out against what has gone in.
static int is_bomb(const unpacking *u) {
    int64_t packed = archive_filter_bytes(u->archive, -1); // bytes taken from the file so far
    if (u->unpacked <= FREE_BYTES) return 0;
    return packed <= 0 || u->unpacked / MAX_RATIO > (uint64_t)packed;
}

static nm_status refuse_bomb(const unpacking *u, nm_error *refusal) {
    return NM_ERROR_AT(refusal, NM_E_LIMIT, u->name, 0, -1, "unpacks to more than %u times its packed size", MAX_RATIO);
}

/// Reads the member until its end or `limit` bytes.
static nm_status read_member(unpacking *u, size_t limit, size_t *size, nm_error *refusal) {
    nm_importer *importer = u->importer;
    while (*size < limit) {
        size_t wanted = limit - *size < BLOCK_BYTES ? limit - *size : BLOCK_BYTES;
        if (!nm_import_room(importer, *size + wanted))
            return NM_ERROR_AT(refusal, NM_E_MEMORY, u->name, 0, -1, "no memory to unpack");
        la_ssize_t got = archive_read_data(u->archive, importer->bytes + *size, wanted);
        if (got < 0) return refuse_archive(u, refusal);
        if (got == 0) return NM_OK;
        *size += (size_t)got;
        u->unpacked += (uint64_t)got;
        if (is_bomb(u)) return refuse_bomb(u, refusal);
    }
    return NM_OK;
}

/// A member of records as a stream: first the head, which is in the importer's buffer, then the rest.
typedef struct member_stream {
    unpacking *unpacking;
    size_t head, given;
} member_stream;

static nm_status next_bytes(void *context, void *buffer, size_t size, size_t *got, nm_error *error) {
    member_stream *stream = context;
    unpacking *u = stream->unpacking;
    if (stream->given < stream->head) {
        *got = stream->head - stream->given < size ? stream->head - stream->given : size;
        memcpy(buffer, u->importer->bytes + stream->given, *got);
        stream->given += *got;
    } else {
        la_ssize_t n = archive_read_data(u->archive, buffer, size);
        if (n < 0) return refuse_archive(u, error);
        *got = (size_t)n;
        u->unpacked += *got;
        if (is_bomb(u)) return refuse_bomb(u, error);
    }
    if (u->target->bytes_read) *u->target->bytes_read += *got;
    return NM_OK;
}

/// What lies about in archives and is no scene: said to be read by people, or by the system that packed it.
static int is_irrelevant(const char *member) {
    const char *base = strrchr(member, '/');
    base = base ? base + 1 : member;
    if (base[0] == 0 || base[0] == '.' || strncmp(member, "__MACOSX/", 9) == 0) return 1;
    char lower[64];
    size_t length = 0;
    for (; base[length] && length < sizeof lower - 1; ++length)
        lower[length] = (char)tolower((unsigned char)base[length]);
    lower[length] = 0;
    static const char *const beginnings[] = {"readme", "license", "licence", "copying", "changelog"};
    static const char *const endings[] = {".md", ".txt", ".pdf", ".png", ".jpg"};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; ++i) {
        if (strncmp(lower, beginnings[i], strlen(beginnings[i])) == 0) return 1;
    }
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; ++i) {
        size_t n = strlen(endings[i]);
        if (length >= n && strcmp(lower + length - n, endings[i]) == 0) return 1;
    }
    return 0;
}

/// "archive!member". A compressed single file has no member name: "scene.xml.xz!scene.xml".
static void name_member(unpacking *u, const char *member) {
    if (archive_format(u->archive) != ARCHIVE_FORMAT_RAW) {
        snprintf(u->name, sizeof u->name, "%s!%s", u->path, member);
        return;
    }
    const char *base = strrchr(u->path, '/');
    base = base ? base + 1 : u->path;
    const char *dot = strrchr(base, '.');
    int length = dot && dot != base ? (int)(dot - base) : (int)strlen(base);
    snprintf(u->name, sizeof u->name, "%s!%.*s", u->path, length, base);
}

/// Reads one member and gives it to its reader. *refusal is filled, and its status returned, when it is refused.
static nm_status take_member(unpacking *u, nm_status *outcome, nm_error *error, nm_error *refusal) {
    nm_importer *importer = u->importer;
    size_t size = 0;
    nm_status status = read_member(u, NM_IMPORT_HEAD, &size, refusal);
    if (status != NM_OK) return status;
    // what the first bytes say is asked before the rest is unpacked
    nm_format format = size ? nm_detect_format(importer->bytes, size) : NM_FORMAT_UNKNOWN;
    status = nm_import_check_format(u->name, format, importer->bytes, size, refusal);
    if (status != NM_OK) return status;
    if (format == NM_FORMAT_ARCHIVE)
        return NM_ERROR_AT(refusal, NM_E_UNSUPPORTED, u->name, 0, -1, "an archive inside an archive is not opened");
    if (nm_format_has_records(format)) {
        member_stream stream = {.unpacking = u, .head = size};
        *outcome = nm_import_stream(importer, format, u->name, next_bytes, &stream, u->target, error);
        return NM_OK;
    }
    uint64_t limit = importer->readers.limits.max_file_bytes;
    status = read_member(u, (size_t)limit + 1, &size, refusal); // one byte too many is refused by nm_import_bytes
    if (status != NM_OK) return status;
    if (u->target->bytes_read) *u->target->bytes_read += size;
    const size_t path = strlen(u->path); // a path as long as a name is at most has no member's name behind it
    importer->readers.archive =
        archive_format(u->archive) == ARCHIVE_FORMAT_RAW || path + 1 >= strlen(u->name) ? 0 : path;
    *outcome = nm_import_bytes(importer, u->name, importer->bytes, size, u->target, error);
    importer->readers.archive = 0;
    return NM_OK;
}

/// All members. A refusal of the archive itself ends it: what comes behind cannot be found.
static nm_status take_all(unpacking *u, nm_error *error) {
    nm_status outcome = NM_OK;
    uint64_t members = 0;
    for (;;) {
        struct archive_entry *entry;
        nm_error refusal;
        nm_error_clear(&refusal);
        snprintf(u->name, sizeof u->name, "%s", u->path);
        int got = archive_read_next_header(u->archive, &entry);
        if (got == ARCHIVE_EOF) break;
        if (got < ARCHIVE_WARN) {
            nm_status status = refuse_archive(u, &refusal);
            return nm_import_refuse(u->target, status, &refusal, error);
        }
        ++members;
        const char *member = archive_entry_pathname(entry);
        if (!member) member = "?";
        if (archive_entry_filetype(entry) != AE_IFREG && archive_format(u->archive) != ARCHIVE_FORMAT_RAW) continue;
        if (is_irrelevant(member) && archive_format(u->archive) != ARCHIVE_FORMAT_RAW) continue;
        name_member(u, member);
        nm_status status = take_member(u, &outcome, error, &refusal);
        if (status != NM_OK) outcome = nm_import_refuse(u->target, status, &refusal, error);
        if (outcome != NM_OK) return outcome;
        if (is_bomb(u)) return NM_OK; // even to skip it would unpack it
    }
    if (members == 0) {
        nm_error refusal;
        nm_status status = NM_ERROR_AT(&refusal, NM_E_FORMAT, u->path, 0, -1, "the archive is empty");
        return nm_import_refuse(u->target, status, &refusal, error);
    }
    return NM_OK;
}

static nm_status open_archive(unpacking *u, int file, nm_error *refusal) {
    archive_read_support_filter_gzip(u->archive);
    archive_read_support_filter_bzip2(u->archive);
    archive_read_support_filter_xz(u->archive);
    archive_read_support_filter_zstd(u->archive);
    archive_read_support_format_tar(u->archive);
    archive_read_support_format_zip(u->archive);
    archive_read_support_format_raw(u->archive);
    snprintf(u->name, sizeof u->name, "%s", u->path);
    return archive_read_open_fd(u->archive, file, BLOCK_BYTES) < ARCHIVE_WARN ? refuse_archive(u, refusal) : NM_OK;
}

nm_status nm_import_archive(nm_importer *importer, int file, const char *path, const nm_import_target *target,
                            nm_error *error) {
    unpacking u = {.importer = importer, .archive = archive_read_new(), .path = path, .target = target};
    nm_error refusal;
    nm_error_clear(&refusal);
    if (!u.archive) {
        nm_status status = NM_ERROR_AT(&refusal, NM_E_MEMORY, path, 0, -1, "no memory to unpack");
        return nm_import_refuse(target, status, &refusal, error);
    }
    nm_status status = open_archive(&u, file, &refusal);
    status = status == NM_OK ? take_all(&u, error) : nm_import_refuse(target, status, &refusal, error);
    archive_read_free(u.archive);
    return status;
}

// --- members of one format -------------------------------------------------------------------------------------------

/// One member, when it is of the format. NM_E_NOT_FOUND: the archive can be read no further.
static nm_status take_if(unpacking *u, nm_format format, uint64_t limit, const char *member, nm_member_sink *sink,
                         void *context, nm_error *error) {
    nm_error ignored;
    size_t size = 0;
    nm_status status = read_member(u, NM_IMPORT_HEAD, &size, &ignored);
    if (status == NM_OK && (size == 0 || nm_detect_format(u->importer->bytes, size) != format)) return NM_OK;
    if (status == NM_OK) status = read_member(u, (size_t)limit + 1, &size, &ignored);
    if (status == NM_E_MEMORY) return NM_ERROR_AT(error, status, u->name, 0, -1, "no memory to unpack");
    if (status != NM_OK) return NM_E_NOT_FOUND;
    return size > limit ? NM_OK : sink(context, member, u->importer->bytes, size, error);
}

nm_status nm_archive_each(const nm_import_limits *limits, int file, const char *path, nm_format format,
                          nm_member_sink *sink, void *context, nm_error *error) {
    nm_importer buffer = {.readers.limits = *limits};
    unpacking u = {.importer = &buffer, .archive = archive_read_new(), .path = path};
    if (!u.archive) return NM_ERROR_AT(error, NM_E_MEMORY, path, 0, -1, "no memory to unpack");
    nm_status status = open_archive(&u, file, error);
    struct archive_entry *entry;
    while (status == NM_OK && !is_bomb(&u)) {
        const int got = archive_read_next_header(u.archive, &entry);
        if (got == ARCHIVE_EOF || got < ARCHIVE_WARN || archive_format(u.archive) == ARCHIVE_FORMAT_RAW) break;
        const char *member = archive_entry_pathname(entry);
        if (!member || archive_entry_filetype(entry) != AE_IFREG) continue;
        status = take_if(&u, format, limits->max_file_bytes, member, sink, context, error);
    }
    archive_read_free(u.archive);
    free(buffer.bytes);
    return status == NM_E_MEMORY || status == NM_E_LIMIT ? status : NM_OK;
}
