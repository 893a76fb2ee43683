#include "tools/cmd_import_pipeline.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "base/text.h"
#include "base/thread_pool.h"

#define INPUT_BYTES ((size_t)32 << 20)  ///< of files waiting to be parsed
#define RESULT_BYTES ((size_t)48 << 20) ///< of packed scenes waiting to be taken
#define BORROW_BYTES ((size_t)16 << 20) ///< a larger member is not copied: the walking thread waits until it is parsed
#define UNITS 1024u
#define THREADS_MAX 256

typedef struct result {
    struct result *next;
    nm_packed_scene *packed; ///< NULL: a refusal
    nm_import_extras *extras;
    uint64_t agents, agent_states;
    size_t bytes;
    nm_error *error;
} result;

typedef enum unit_state { UNIT_QUEUED, UNIT_PARSING, UNIT_DONE } unit_state;

/// A file on its way, a record of one, or the end of an archive or of a file of records.
typedef struct unit {
    struct unit *next;
    unit_state state;
    int archive, member, skipped, borrowed; ///< the end of an archive; inside one; known; bytes are the importer's
    int record, sums;                       ///< inside a file of records; the end of one, which counts what was inside
    uint64_t offset, index;                 ///< of a record
    char *input;           ///< as messages name it: a path, which the worker opens, or "archive!member"
    uint8_t *bytes;        ///< of a member; NULL: a file of its own
    size_t archive_length; ///< of a member: of its archive's path, which `input` begins with
    size_t size;
    uint64_t identity_size, hash;
    result *first, *last;
    size_t result_bytes;
    uint64_t scenes, refusals;
} unit;

struct nm_pipeline {
    const char *const *paths;
    size_t path_count;
    nm_import_nuplan nuplan;
    nm_known_file *known;
    void *known_context;

    pthread_mutex_t lock;
    pthread_cond_t changed;     ///< anything below
    int stop, walked;           ///< told to end; all inputs were walked
    unit *first, *last;         ///< in order of the inputs
    unit *work;                 ///< the first queued one
    unit *borrowed;             ///< the walking thread waits for this one
    int in_archive, in_records; ///< these are the walking thread's own
    uint64_t records_size, records_hash;
    size_t unit_count, input_bytes, result_bytes;
    uint64_t bytes, archive_refusals, archive_scenes, record_refusals, record_scenes;
    uint64_t lost; ///< refusals that there was no memory to pass on

    pthread_t walker, workers[THREADS_MAX];
    int walker_started, worker_count;
};

// --- the queue -------------------------------------------------------------------------------------------------------

static void free_result(result *r) {
    nm_packed_scene_destroy(r->packed);
    nm_import_extras_destroy(r->extras);
    free(r->error);
    free(r);
}

static void free_unit(unit *u) {
    for (result *r = u->first; r;) {
        result *next = r->next;
        free_result(r);
        r = next;
    }
    if (!u->borrowed) free(u->bytes);
    free(u->input);
    free(u);
}

static unit *new_unit(const char *input, unit_state state) {
    unit *u = calloc(1, sizeof *u);
    if (!u) return NULL;
    u->state = state;
    u->input = strdup(input);
    if (u->input) return u;
    free(u);
    return NULL;
}

/// Puts a unit at the end of the queue, waiting for room. 0 when told to stop (the unit is released).
static int enqueue(nm_pipeline *p, unit *u) {
    pthread_mutex_lock(&p->lock);
    while (!p->stop && p->first && (p->unit_count >= UNITS || p->input_bytes + u->size > INPUT_BYTES))
        pthread_cond_wait(&p->changed, &p->lock);
    const int stop = p->stop;
    if (!stop) {
        *(p->last ? &p->last->next : &p->first) = u;
        p->last = u;
        if (!p->work && u->state == UNIT_QUEUED) p->work = u;
        if (u->borrowed) p->borrowed = u;
        p->unit_count++;
        p->input_bytes += u->size;
        p->result_bytes += u->result_bytes;
        p->bytes += u->archive || u->sums ? 0 : u->identity_size;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    if (stop) free_unit(u);
    return !stop;
}

/// Adds a result to a unit that is being parsed. The unit whose turn it is may hold half of the room alone, so that
/// later ones can never starve it.
static nm_status add_result(nm_pipeline *p, unit *u, result *r) {
    pthread_mutex_lock(&p->lock);
    while (!p->stop && (p->first == u ? u->result_bytes > RESULT_BYTES / 2 : p->result_bytes > RESULT_BYTES / 2))
        pthread_cond_wait(&p->changed, &p->lock);
    const int stop = p->stop;
    if (!stop) {
        *(u->last ? &u->last->next : &u->first) = r;
        u->last = r;
        u->result_bytes += r->bytes;
        p->result_bytes += r->bytes;
        if (r->packed)
            u->scenes++;
        else
            u->refusals++;
        if (p->first == u) pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    if (stop) free_result(r);
    return stop ? NM_E_CANCELLED : NM_OK;
}

/// NULL without memory.
static result *new_refusal(const nm_error *error) {
    result *r = calloc(1, sizeof *r);
    nm_error *copy = malloc(sizeof *copy);
    if (!r || !copy) {
        free(r);
        free(copy);
        return NULL;
    }
    *copy = *error;
    r->error = copy;
    r->bytes = sizeof *r + sizeof *copy;
    return r;
}

/// There is no memory even to say what was refused: it is counted, so that nothing passes for imported.
static void lose_refusal(nm_pipeline *p) {
    pthread_mutex_lock(&p->lock);
    p->lost++;
    pthread_mutex_unlock(&p->lock);
}

static nm_status add_refusal(nm_pipeline *p, unit *u, const nm_error *error) {
    result *r = new_refusal(error);
    if (r) return add_result(p, u, r);
    lose_refusal(p);
    return NM_OK;
}

// --- parsing ---------------------------------------------------------------------------------------------------------

typedef struct worker {
    nm_pipeline *pipeline;
    unit *unit;
    nm_packer *packer;
    nm_import_extras *extras; ///< of the scene that comes next
    nm_status extras_status;
    nm_error extras_error;
} worker;

static void take_extras(void *context, const nm_export_item *item) {
    worker *w = context;
    nm_error_clear(&w->extras_error);
    w->extras_status = nm_import_extras_copy(item, &w->extras, &w->extras_error);
}

/// Packs a scene with what was said of it before. NULL and *error when that can not be.
static result *new_scene(worker *w, const nm_scene *scene, nm_error *error) {
    result *r = calloc(1, sizeof *r);
    nm_status status = w->extras_status;
    if (status != NM_OK)
        *error = w->extras_error;
    else
        status = r ? nm_pack_scene(w->packer, scene, &r->packed, error) : NM_ERROR(error, NM_E_MEMORY, "out of memory");
    if (status != NM_OK) {
        nm_import_extras_destroy(w->extras);
        free(r);
        r = NULL;
    } else {
        nm_scene_count(scene, &r->agents, &r->agent_states);
        r->extras = w->extras;
        r->bytes = sizeof *r + nm_packed_scene_bytes(r->packed) + (r->extras ? r->extras->bytes : 0);
    }
    w->extras = NULL;
    w->extras_status = NM_OK;
    return r;
}

static void take_refusal(void *context, const nm_error *error) {
    worker *w = context;
    (void)add_refusal(w->pipeline, w->unit, error);
}

static nm_status take_scene(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    worker *w = context;
    nm_error refusal;
    nm_status status;
    nm_error_clear(&refusal);
    result *r = new_scene(w, scene, &refusal);
    if (r) {
        status = add_result(w->pipeline, w->unit, r);
    } else {
        char message[sizeof refusal.message];
        snprintf(message, sizeof message, "%s", refusal.message);
        if (record)
            snprintf(refusal.message, sizeof refusal.message, "record %llu: %.480s", (unsigned long long)record,
                     message);
        if (!refusal.input[0]) snprintf(refusal.input, sizeof refusal.input, "%s", input);
        status = add_refusal(w->pipeline, w->unit, &refusal);
    }
    nm_scene_destroy(scene);
    return status == NM_OK ? NM_OK : NM_ERROR(error, status, "the import ends");
}

static unit *next_work(nm_pipeline *p) {
    pthread_mutex_lock(&p->lock);
    while (!p->stop && !p->work && !p->walked) pthread_cond_wait(&p->changed, &p->lock);
    unit *u = p->stop ? NULL : p->work;
    if (u) {
        u->state = UNIT_PARSING;
        do p->work = p->work->next;
        while (p->work && p->work->state != UNIT_QUEUED);
    }
    pthread_mutex_unlock(&p->lock);
    return u;
}

static void finish_work(nm_pipeline *p, unit *u) {
    if (!u->borrowed) free(u->bytes);
    pthread_mutex_lock(&p->lock);
    u->bytes = NULL;
    if (p->borrowed == u) p->borrowed = NULL;
    p->input_bytes -= u->size;
    u->state = UNIT_DONE;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void *run_worker(void *context) {
    nm_pipeline *p = context;
    nm_importer *importer = nm_importer_create(NULL);
    worker w = {.pipeline = p, .packer = nm_packer_create()};
    if (importer) {
        nm_importer_set_nuplan(importer, &p->nuplan);
        nm_importer_set_extras(importer, take_extras, &w);
    }
    for (unit *u; (u = next_work(p));) {
        nm_error error;
        nm_error_clear(&error);
        w.unit = u;
        nm_status status;
        if (!importer || !w.packer)
            status = NM_ERROR_AT(&error, NM_E_MEMORY, u->input, 0, -1, "out of memory");
        else if (u->bytes)
            status = nm_import_piece(importer,
                                     &(nm_piece){.kind = u->record ? NM_PIECE_RECORD : NM_PIECE_FILE,
                                                 .name = u->input,
                                                 .bytes = u->bytes,
                                                 .size = u->size,
                                                 .offset = u->offset,
                                                 .index = u->index,
                                                 .archive = u->archive_length},
                                     take_scene, take_refusal, &w, &error);
        else
            status = nm_import_file(importer, u->input, take_scene, take_refusal, &w, NULL, &error);
        if (status != NM_OK && status != NM_E_CANCELLED) (void)add_refusal(p, u, &error);
        finish_work(p, u);
    }
    nm_packer_destroy(w.packer);
    nm_importer_destroy(importer);
    return NULL;
}

// --- walking the inputs ----------------------------------------------------------------------------------------------

/// Not cryptographic: tells files of one name and size apart. Calls may be chained where `size` is a multiple of 8.
static uint64_t hash_content(uint64_t hash, const uint8_t *bytes, size_t size) {
    const uint64_t prime = UINT64_C(0x9E3779B97F4A7C15);
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 32;
    }
    uint64_t rest = 0;
    memcpy(&rest, bytes + i, size - i);
    return nm_hash64((hash ^ rest) * prime + (size - i));
}

/// Size and content hash of a file, 0 when it cannot be read; and its format. One pass in small pieces: the file may be
/// larger than memory.
static nm_format identify(const char *path, uint64_t *size, uint64_t *hash) {
    enum { CHUNK = 1 << 18 };
    struct stat about;
    nm_format format = NM_FORMAT_UNKNOWN;
    *size = *hash = 0;
    // a pipe can be read only once: by its reader
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode)) return format;
    uint8_t *chunk = malloc(CHUNK);
    int file = chunk ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
    for (ssize_t got = 1; file >= 0 && got > 0;) {
        size_t held = 0; // whole chunks, so that reads of any length hash the same
        while (held < CHUNK && (got = read(file, chunk + held, CHUNK - held)) > 0) held += (size_t)got;
        if (*size == 0 && held > 0) format = nm_detect_format(chunk, held);
        *hash = hash_content(*hash, chunk, held);
        *size += held;
        if (got < 0) *size = 0;
    }
    if (file >= 0) close(file);
    free(chunk);
    return format;
}

static int is_known(const nm_pipeline *p, const char *input, uint64_t size, uint64_t hash, uint64_t *scenes) {
    return p->known && p->known(p->known_context, nm_base_name(input), size, hash, scenes);
}

static nm_status no_memory(const nm_piece *piece, nm_error *error) {
    return NM_ERROR_AT(error, NM_E_MEMORY, piece->name, 0, -1, "out of memory: %zu bytes", piece->size);
}

/// Queues bytes to be read, a copy of them where they are few, and waits for their reader where they are not.
static nm_status take_bytes(nm_pipeline *p, const nm_piece *piece, unit *u, nm_error *error) {
    u->size = piece->size;
    u->borrowed = piece->size > BORROW_BYTES;
    u->bytes = u->borrowed ? (uint8_t *)(uintptr_t)piece->bytes : malloc(piece->size ? piece->size : 1);
    if (!u->bytes) {
        free_unit(u);
        return no_memory(piece, error);
    }
    if (!u->borrowed && piece->size > 0) memcpy(u->bytes, piece->bytes, piece->size);
    if (!enqueue(p, u)) return NM_ERROR(error, NM_E_CANCELLED, "the import ends");
    pthread_mutex_lock(&p->lock); // a worker that has begun with borrowed bytes must end, whatever happens
    while (p->borrowed && !(p->stop && p->borrowed->state == UNIT_QUEUED)) pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return NM_OK;
}

static nm_status take_file(nm_pipeline *p, const nm_piece *piece, nm_error *error) {
    const uint64_t hash = hash_content(0, piece->bytes, piece->size);
    uint64_t scenes = 0;
    const int skip = is_known(p, piece->name, piece->size, hash, &scenes);
    unit *u = new_unit(piece->name, skip ? UNIT_DONE : UNIT_QUEUED);
    if (!u) return no_memory(piece, error);
    u->identity_size = piece->size;
    u->hash = hash;
    u->skipped = skip;
    u->scenes = scenes;
    u->member = p->in_archive;
    u->archive_length = piece->archive;
    if (!skip) return take_bytes(p, piece, u, error);
    return enqueue(p, u) ? NM_OK : NM_ERROR(error, NM_E_CANCELLED, "the import ends");
}

static nm_status take_record(nm_pipeline *p, const nm_piece *piece, nm_error *error) {
    unit *u = new_unit(piece->name, UNIT_QUEUED);
    if (!u) return no_memory(piece, error);
    u->record = 1;
    u->offset = piece->offset;
    u->index = piece->index;
    u->identity_size = piece->size;
    p->records_size += piece->size;
    p->records_hash = hash_content(p->records_hash, piece->bytes, piece->size);
    return take_bytes(p, piece, u, error);
}

/// The end of a file of records. One that is a member of an archive gets an identity like others, but it is known only
/// now: when the archive is read again its scenes are recognised one by one.
static nm_status end_records(nm_pipeline *p, const nm_piece *piece, nm_error *error) {
    if (!p->in_archive) return NM_OK; // the walker marks the end of a file
    p->in_records = 0;
    unit *u = new_unit(piece->name, UNIT_DONE);
    if (!u) return no_memory(piece, error);
    u->sums = u->member = 1;
    u->identity_size = p->records_size;
    u->hash = p->records_hash;
    return enqueue(p, u) ? NM_OK : NM_ERROR(error, NM_E_CANCELLED, "the import ends");
}

/// Called with each member of an archive and each record of a file.
static nm_status take_piece(void *context, const nm_piece *piece, nm_error *error) {
    nm_pipeline *p = context;
    switch (piece->kind) {
    case NM_PIECE_FILE:
        return take_file(p, piece, error);
    case NM_PIECE_RECORD:
        return take_record(p, piece, error);
    case NM_PIECE_RECORDS:
        p->in_records = 1;
        p->records_size = p->records_hash = 0;
        return NM_OK;
    case NM_PIECE_END:
        break;
    }
    return end_records(p, piece, error);
}

/// A file that could not even be read: a unit that is done and holds nothing but the refusal.
static void refuse_file(void *context, const nm_error *error) {
    nm_pipeline *p = context;
    unit *u = new_unit(error->input, UNIT_DONE);
    result *r = u ? new_refusal(error) : NULL;
    if (!r) {
        if (u) free_unit(u);
        lose_refusal(p);
        return;
    }
    u->first = u->last = r;
    u->result_bytes = r->bytes;
    u->refusals = 1;
    u->member = p->in_archive;
    u->record = p->in_records;
    (void)enqueue(p, u);
}

/// A file of its own, or the end of one that was split. 0 when told to stop.
static int put_input(nm_pipeline *p, const char *path, uint64_t size, uint64_t hash, int skip, uint64_t scenes) {
    unit *u = new_unit(path, p->in_archive || p->in_records || skip ? UNIT_DONE : UNIT_QUEUED);
    if (!u) {
        nm_error error;
        p->in_records = 0;
        NM_ERROR_AT(&error, NM_E_MEMORY, path, 0, -1, "out of memory");
        refuse_file(p, &error);
        return 1;
    }
    u->archive = p->in_archive;
    u->sums = p->in_records && !skip;
    u->identity_size = size;
    u->hash = hash;
    u->skipped = skip;
    u->scenes = scenes;
    return enqueue(p, u);
}

/// The members of an archive or the records of a file. 0 when told to stop.
static int walk_pieces(nm_pipeline *p, nm_importer *importer, const char *path) {
    nm_error error;
    nm_error_clear(&error);
    nm_status status = importer ? nm_import_split(importer, path, take_piece, refuse_file, p, &error)
                                : NM_ERROR_AT(&error, NM_E_MEMORY, path, 0, -1, "out of memory");
    if (status == NM_E_CANCELLED) return 0;
    if (status != NM_OK) refuse_file(p, &error);
    return 1;
}

static void *run_walker(void *context) {
    nm_pipeline *p = context;
    nm_importer *importer = nm_importer_create(NULL);
    for (size_t i = 0, going = 1; i < p->path_count && going; i++) {
        const char *path = p->paths[i];
        uint64_t size, hash, scenes = 0;
        const nm_format format = identify(path, &size, &hash);
        const int skip = size > 0 && is_known(p, path, size, hash, &scenes);
        p->in_archive = format == NM_FORMAT_ARCHIVE;
        p->in_records = nm_format_has_records(format);
        if ((p->in_archive || p->in_records) && !skip) going = (size_t)walk_pieces(p, importer, path);
        if (p->in_archive) p->in_records = 0; // also where a member broke off
        if (going) going = (size_t)put_input(p, path, size, hash, skip, scenes);
    }
    nm_importer_destroy(importer);
    pthread_mutex_lock(&p->lock);
    p->walked = 1;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

// --- the taker's side ------------------------------------------------------------------------------------------------

nm_pipeline *nm_pipeline_start(const char *const *paths, size_t count, int threads, const nm_import_nuplan *nuplan,
                               nm_known_file *known, void *context) {
    NM_ASSERT((paths || count == 0) && nuplan && threads >= 0 && threads <= THREADS_MAX);
    if (threads == 0) threads = nm_cpu_count() < THREADS_MAX ? nm_cpu_count() : THREADS_MAX;
    nm_pipeline *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    nm_importer_destroy(nm_importer_create(NULL)); // what the readers prepare once is not left to racing threads
    p->paths = paths;
    p->path_count = count;
    p->nuplan = *nuplan;
    p->known = known;
    p->known_context = context;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->walker_started = pthread_create(&p->walker, NULL, run_walker, p) == 0;
    while (p->worker_count < threads && pthread_create(&p->workers[p->worker_count], NULL, run_worker, p) == 0)
        p->worker_count++;
    if (p->walker_started && p->worker_count > 0) return p;
    nm_pipeline_destroy(p);
    return NULL;
}

void nm_pipeline_destroy(nm_pipeline *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->stop = 1;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (p->walker_started) pthread_join(p->walker, NULL);
    for (int i = 0; i < p->worker_count; i++) pthread_join(p->workers[i], NULL);
    while (p->first) {
        unit *next = p->first->next;
        free_unit(p->first);
        p->first = next;
    }
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

uint64_t nm_pipeline_bytes(nm_pipeline *p) {
    pthread_mutex_lock(&p->lock);
    uint64_t bytes = p->bytes;
    pthread_mutex_unlock(&p->lock);
    return bytes;
}

uint64_t nm_pipeline_lost(nm_pipeline *p) {
    pthread_mutex_lock(&p->lock);
    uint64_t lost = p->lost;
    pthread_mutex_unlock(&p->lock);
    return lost;
}

static struct timespec time_in(double seconds) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    long long ns = at.tv_nsec + (long long)(seconds * 1e9);
    at.tv_sec += (time_t)(ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    return at;
}

static void take_result(nm_pipeline *p, unit *u, nm_item *item) {
    result *r = u->first;
    u->first = r->next;
    if (!u->first) u->last = NULL;
    u->result_bytes -= r->bytes;
    p->result_bytes -= r->bytes;
    item->kind = r->packed ? NM_ITEM_SCENE : NM_ITEM_REFUSED;
    item->packed = r->packed;
    item->extras = r->extras;
    item->agents = r->agents;
    item->agent_states = r->agent_states;
    if (r->error) item->error = *r->error;
    r->packed = NULL;
    r->extras = NULL;
    free_result(r);
    pthread_cond_broadcast(&p->changed);
}

/// The first unit is done and empty: it leaves the queue. 0 when it was a record, of which nobody is told.
static int take_unit(nm_pipeline *p, unit *u, nm_item *item) {
    p->first = u->next;
    if (!p->first) p->last = NULL;
    p->unit_count--;
    if (u->sums || u->archive) { // an archive's, too: one of its members may have broken off
        u->scenes += p->record_scenes;
        u->refusals += p->record_refusals;
    }
    p->record_scenes = u->record ? p->record_scenes + u->scenes : 0;
    p->record_refusals = u->record ? p->record_refusals + u->refusals : 0;
    if (u->record) {
        free_unit(u);
        pthread_cond_broadcast(&p->changed);
        return 0;
    }
    item->kind = u->archive ? NM_ITEM_ARCHIVE : NM_ITEM_FILE;
    snprintf(item->file, sizeof item->file, "%s", nm_base_name(u->input));
    item->size = u->identity_size;
    item->hash = u->hash;
    item->skipped = u->skipped;
    item->scenes = u->archive ? p->archive_scenes + u->scenes : u->scenes;
    item->refusals = (u->archive ? p->archive_refusals + u->refusals : u->refusals) + p->lost;
    p->archive_scenes = u->member ? p->archive_scenes + u->scenes : 0;
    p->archive_refusals = u->member ? p->archive_refusals + u->refusals : 0;
    free_unit(u);
    pthread_cond_broadcast(&p->changed);
    return 1;
}

void nm_pipeline_next(nm_pipeline *p, double seconds, nm_item *item) {
    memset(item, 0, sizeof *item);
    const struct timespec deadline = time_in(seconds);
    pthread_mutex_lock(&p->lock);
    for (int waiting = 1;;) {
        unit *u = p->first;
        if (u && u->first) {
            take_result(p, u, item);
            break;
        }
        if (u && u->state == UNIT_DONE) {
            if (take_unit(p, u, item)) break;
            continue;
        }
        if (!u && p->walked) {
            item->kind = NM_ITEM_END;
            break;
        }
        if (!waiting) break;
        waiting = pthread_cond_timedwait(&p->changed, &p->lock, &deadline) == 0;
    }
    pthread_mutex_unlock(&p->lock);
}
