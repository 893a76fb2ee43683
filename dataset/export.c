/// Shares scenes out to threads, and puts what comes back into files in the order of the scenes.
#include "dataset/export.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/export_files.h"
#include "dataset/tfrecord.h"

#define ROUND_PER_THREAD 4                 // scenes held encoded, at most
#define ROUND_BYTES ((size_t)64 << 20)     // of all of them, about; one a thread is held whatever its size
#define MAX_SCENES UINT64_C(1000000000000) // times shards stays within 64 bits

/// What became of one scene of a round.
typedef struct slot {
    nm_encoded out;
    uint8_t header[NM_TFRECORD_HEADER], footer[NM_TFRECORD_FOOTER];
    nm_status status;
    nm_error error;
} slot;

/// Names of files that scenes share, written so far: open addressing, a power of two of places.
typedef struct name_set {
    char (*names)[64];
    size_t count, room;
} name_set;

struct nm_exporter {
    nm_export_options options; // its texts are copies, or NULL
    char *texts[4];
    const nm_encoder *encoder;
    nm_thread_pool *pool;
    void **works; // [worker_count]
    int worker_count;
    slot *slots; // [slot_count]
    size_t slot_count;
    size_t largest;              // bytes that the encoder took for one scene, so far
    const nm_export_item *items; // of the round
    nm_export_folder folder;
    nm_export_file shard;
    uint32_t next_shard; // number of the one to be opened next
    name_set shared;
    // with windows: what the items of a call become
    nm_pile parts;       // nm_export_item
    nm_pile part_of;     // uint64_t: which item each comes from
    nm_pile part_labels; // size_t: where its labels begin in the next
    nm_pile labels;      // nm_scene_label
    nm_pile firsts;      // uint32_t
    uint64_t given;
    nm_export_totals totals;
    nm_error failure; // code NM_OK: none
};

nm_export_options nm_export_options_default(nm_export_format format) {
    return (nm_export_options){.format = format, .name = "nearmiss", .shards = 1};
}

// --- opening ---------------------------------------------------------------------------------------------------------

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory");
}

/// No folders, nothing hidden, nothing that a line of SHA256SUMS could not hold.
static int may_begin_a_name(const char *name) {
    if (!name || !name[0] || name[0] == '.' || strlen(name) > 200) return 0;
    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '/' || *c == '\\') return 0;
    }
    return 1;
}

static nm_status check_options(const nm_export_options *options, nm_error *error) {
    if (!nm_encoder_of(options->format))
        return NM_ERROR(error, NM_E_UNSUPPORTED, "this build does not write the format %s",
                        nm_export_format_name(options->format));
    if (!options->folder || !options->folder[0]) return NM_ERROR(error, NM_E_ARGUMENT, "no folder to write to");
    if (!may_begin_a_name(options->name)) {
        char shown[128];
        nm_text_escape(shown, sizeof shown, options->name ? options->name : "");
        return NM_ERROR(error, NM_E_ARGUMENT, "'%s' can not begin the name of a file", shown);
    }
    if (options->shards == 0 || options->shards > NM_SHARDS_MAX)
        return NM_ERROR(error, NM_E_ARGUMENT, "%" PRIu32 " shards, not 1 to %u", options->shards, NM_SHARDS_MAX);
    if (options->windows && !nm_encoder_of(options->format)->windows)
        return NM_ERROR(error, NM_E_ARGUMENT, "%s has no windows", nm_export_format_name(options->format));
    if (options->scenes > MAX_SCENES)
        return NM_ERROR(error, NM_E_ARGUMENT, "%" PRIu64 " scenes are more than can be exported at once",
                        options->scenes);
    return NM_OK;
}

static nm_status copy_options(nm_exporter *exporter, const nm_export_options *options, nm_error *error) {
    exporter->options = *options;
    const char **texts[] = {&exporter->options.folder, &exporter->options.name, &exporter->options.program,
                            &exporter->options.command};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!*texts[i]) continue;
        exporter->texts[i] = strdup(*texts[i]);
        if (!exporter->texts[i]) return no_memory(error);
        *texts[i] = exporter->texts[i];
    }
    return NM_OK;
}

static nm_status make_workers(nm_exporter *exporter, nm_error *error) {
    const int count = nm_thread_pool_threads(exporter->pool);
    exporter->slot_count = (size_t)count * ROUND_PER_THREAD;
    exporter->slots = calloc(exporter->slot_count, sizeof *exporter->slots);
    exporter->works = calloc((size_t)count, sizeof *exporter->works);
    if (!exporter->slots || !exporter->works) return no_memory(error);
    for (; exporter->worker_count < count && exporter->encoder->create; exporter->worker_count++) {
        void *work = exporter->encoder->create();
        if (!work) return no_memory(error);
        exporter->works[exporter->worker_count] = work;
    }
    return NM_OK;
}

nm_status nm_exporter_create(const nm_export_options *options, nm_thread_pool *pool, nm_exporter **exporter,
                             nm_error *error) {
    NM_ASSERT(options && pool && exporter);
    *exporter = NULL;
    nm_status status = check_options(options, error);
    if (status != NM_OK) return status;
    nm_exporter *made = calloc(1, sizeof *made);
    if (!made) return no_memory(error);
    made->encoder = nm_encoder_of(options->format);
    made->pool = pool;
    nm_error_clear(&made->failure);
    status = copy_options(made, options, error);
    if (status == NM_OK) status = make_workers(made, error);
    if (status == NM_OK) status = nm_export_folder_open(&made->folder, &made->options, made->encoder, error);
    if (status != NM_OK) {
        nm_exporter_destroy(made);
        return status;
    }
    *exporter = made;
    return NM_OK;
}

void nm_exporter_destroy(nm_exporter *exporter) {
    if (!exporter) return;
    nm_export_file_drop(&exporter->shard);
    if (exporter->folder.path) nm_export_folder_abandon(&exporter->folder);
    for (int i = 0; i < exporter->worker_count; i++) {
        if (exporter->encoder->destroy) exporter->encoder->destroy(exporter->works[i]);
    }
    for (size_t i = 0; exporter->slots && i < exporter->slot_count; i++) {
        nm_byte_buffer_free(&exporter->slots[i].out.main);
        nm_byte_buffer_free(&exporter->slots[i].out.shared);
    }
    for (size_t i = 0; i < sizeof exporter->texts / sizeof *exporter->texts; i++) free(exporter->texts[i]);
    nm_pile *const piles[] = {&exporter->parts, &exporter->part_of, &exporter->part_labels, &exporter->labels,
                              &exporter->firsts};
    for (size_t i = 0; i < sizeof piles / sizeof *piles; i++) nm_pile_free(piles[i]);
    free(exporter->shared.names);
    free(exporter->works);
    free(exporter->slots);
    free(exporter);
}

// --- rounds ----------------------------------------------------------------------------------------------------------

/// Buffers keep their memory for the next scene, as far as that is little.
static void empty(nm_byte_buffer *buffer, size_t keep) {
    if (buffer->capacity > keep) nm_byte_buffer_free(buffer);
    buffer->size = 0;
    buffer->failed = 0;
}

static void release(nm_exporter *exporter, slot *s) {
    const size_t held = s->out.main.capacity + s->out.shared.capacity;
    if (held > exporter->largest) exporter->largest = held;
    empty(&s->out.main, ROUND_BYTES / 2 / exporter->slot_count);
    empty(&s->out.shared, ROUND_BYTES / 2 / exporter->slot_count);
}

/// How many of the scenes that are left the next round takes, going by the largest one so far.
static size_t round_size(const nm_exporter *exporter, size_t left) {
    size_t count = exporter->slot_count / ROUND_PER_THREAD; // threads
    const size_t fit = exporter->largest ? ROUND_BYTES / exporter->largest : 0;
    if (fit > count) count = fit < exporter->slot_count ? fit : exporter->slot_count;
    return left < count ? left : count;
}

// --- names -----------------------------------------------------------------------------------------------------------

static size_t place_of(const name_set *set, const char *name) {
    uint64_t hash = UINT64_C(14695981039346656037); // FNV-1a
    for (const char *c = name; *c; c++) hash = (hash ^ (uint8_t)*c) * UINT64_C(1099511628211);
    size_t at = (size_t)hash & (set->room - 1);
    while (set->names[at][0] && strcmp(set->names[at], name) != 0) at = (at + 1) & (set->room - 1);
    return at;
}

static int has_name(const void *context, const char *name) {
    const name_set *set = context;
    return set->room && set->names[place_of(set, name)][0];
}

/// 1 when the name is new, 0 when it was there, -1 when memory is out.
static int add_name(name_set *set, const char *name) {
    if (2 * (set->count + 1) > set->room) {
        name_set grown = {.room = set->room ? 2 * set->room : 64, .count = set->count};
        grown.names = calloc(grown.room, sizeof *grown.names);
        if (!grown.names) return -1;
        for (size_t i = 0; i < set->room; i++) {
            if (set->names[i][0]) memcpy(grown.names[place_of(&grown, set->names[i])], set->names[i], 64);
        }
        free(set->names);
        *set = grown;
    }
    const size_t at = place_of(set, name);
    if (set->names[at][0]) return 0;
    snprintf(set->names[at], 64, "%s", name);
    set->count++;
    return 1;
}

// --- encoding --------------------------------------------------------------------------------------------------------

static nm_status encode_task(void *context, size_t index, int worker, nm_error *error) {
    nm_exporter *exporter = context;
    slot *s = &exporter->slots[index];
    s->out.shared_name[0] = s->out.main_name[0] = '\0';
    s->out.left_out = 0;
    s->out.is_written = has_name;
    s->out.written = &exporter->shared;
    nm_error_clear(&s->error);
    s->status = exporter->encoder->encode(exporter->works[worker], &exporter->items[index], &s->out, &s->error);
    if (s->status == NM_OK && (s->out.main.failed || s->out.shared.failed)) s->status = no_memory(&s->error);
    if (s->status == NM_E_MEMORY) {
        if (error) *error = s->error;
        return s->status;
    }
    if (s->status == NM_OK && exporter->encoder->layout == NM_ENCODER_RECORDS) {
        nm_tfrecord_header(s->out.main.size, s->header);
        nm_tfrecord_footer(s->out.main.bytes, s->out.main.size, s->footer);
    }
    return NM_OK;
}

// --- writing ---------------------------------------------------------------------------------------------------------

static nm_status open_shard(nm_exporter *exporter, nm_error *error) {
    char name[256];
    const nm_export_options *options = &exporter->options;
    nm_shards_name(options->name, strlen(options->name), exporter->next_shard, options->shards, name, sizeof name);
    strncat(name, exporter->encoder->extension, sizeof name - strlen(name) - 1);
    exporter->next_shard++;
    nm_status status = nm_export_file_open(&exporter->folder, &exporter->shard, name, error);
    const char *header = exporter->encoder->header;
    if (status == NM_OK && header) status = nm_export_file_write(&exporter->shard, header, strlen(header), error);
    return status;
}

/// Completes shards and begins others until number `wanted` is open; past the last one: until none is.
static nm_status move_to_shard(nm_exporter *exporter, uint32_t wanted, nm_error *error) {
    nm_status status = NM_OK;
    while (status == NM_OK && !(exporter->shard.open && exporter->next_shard == wanted + 1)) {
        if (exporter->shard.open) status = nm_export_file_keep(&exporter->folder, &exporter->shard, error);
        if (status == NM_OK && exporter->next_shard == exporter->options.shards) break;
        if (status == NM_OK) status = open_shard(exporter, error);
    }
    return status;
}

static nm_status write_record(nm_exporter *exporter, const slot *s, nm_export_place *place, nm_error *error) {
    nm_export_file *file = &exporter->shard;
    const int framed = exporter->encoder->layout == NM_ENCODER_RECORDS;
    nm_status status = NM_OK;
    place->file = file->name;
    place->record = file->scenes;
    place->has_record = framed;
    if (framed) status = nm_export_file_write(file, s->header, sizeof s->header, error);
    if (status == NM_OK) status = nm_export_file_write(file, s->out.main.bytes, s->out.main.size, error);
    if (status == NM_OK && framed) status = nm_export_file_write(file, s->footer, sizeof s->footer, error);
    file->scenes += status == NM_OK;
    return status;
}

static nm_status write_whole(nm_exporter *exporter, const char *name, const nm_byte_buffer *bytes, uint64_t scenes,
                             nm_error *error) {
    nm_export_file file;
    nm_status status = nm_export_file_open(&exporter->folder, &file, name, error);
    if (status != NM_OK) return status;
    file.scenes = scenes;
    status = nm_export_file_write(&file, bytes->bytes, bytes->size, error);
    if (status == NM_OK) return nm_export_file_keep(&exporter->folder, &file, error);
    nm_export_file_drop(&file);
    return status;
}

static nm_status write_files(nm_exporter *exporter, const nm_export_item *item, const slot *s, char name[64],
                             nm_export_place *place, nm_error *error) {
    place->file = place->shared = NULL;
    if (s->out.shared_name[0]) {
        const int fresh = add_name(&exporter->shared, s->out.shared_name);
        if (fresh < 0) return no_memory(error);
        place->shared = s->out.shared_name;
        if (fresh) {
            const nm_status status = write_whole(exporter, s->out.shared_name, &s->out.shared, 0, error);
            if (status != NM_OK) return status;
        }
    }
    if (s->out.main.size == 0) { // the map is all there is
        place->file = place->shared;
        place->shared = NULL;
        return NM_OK;
    }
    if (s->out.main_name[0])
        snprintf(name, 64, "%s", s->out.main_name);
    else
        snprintf(name, 64, "%06" PRId64 "%s", item->id, exporter->encoder->extension);
    if (nm_export_file_exists(&exporter->folder, name))
        return NM_ERROR(error, NM_E_EXISTS, "scene %" PRId64 " comes twice: '%s' is there", item->id, name);
    place->file = name;
    return write_whole(exporter, name, &s->out.main, 1, error);
}

/// `index`: of the scene among all that were given.
static nm_status write_slot(nm_exporter *exporter, const nm_export_item *item, uint64_t index, const slot *s,
                            nm_export_refusal *refused, void *context, nm_error *error) {
    nm_export_place place = {.left_out = s->out.left_out};
    char name[64];
    nm_status status = NM_OK;
    if (exporter->encoder->layout != NM_ENCODER_FILES) {
        const uint64_t wanted = index * exporter->options.shards / exporter->options.scenes;
        status = move_to_shard(exporter, (uint32_t)wanted, error);
    }
    if (status != NM_OK) return status;
    if (s->status != NM_OK) {
        exporter->totals.refused++;
        if (refused) refused(context, index, item, &s->error);
        place.refused = s->error.message;
    } else {
        exporter->totals.scenes++;
        exporter->totals.left_out += place.left_out;
        status = exporter->encoder->layout == NM_ENCODER_FILES ? write_files(exporter, item, s, name, &place, error)
                                                               : write_record(exporter, s, &place, error);
    }
    return status == NM_OK ? nm_export_folder_note(&exporter->folder, item, &place, error) : status;
}

// --- windows ---------------------------------------------------------------------------------------------------------

/// One item with these steps, or as it is where `first` is NULL, and with the labels that fall into them.
static int add_part(nm_exporter *exporter, const nm_export_item *item, uint64_t index, const uint32_t *first) {
    nm_export_item *part = NM_PUSH(&exporter->parts, nm_export_item, 1);
    uint64_t *owner = NM_PUSH(&exporter->part_of, uint64_t, 1);
    size_t *labels = NM_PUSH(&exporter->part_labels, size_t, 1);
    if (!part || !owner || !labels) return 0;
    *part = *item;
    *owner = index;
    *labels = exporter->labels.count;
    if (!first) return 1;
    part->windowed = 1;
    part->window_first = *first;
    part->label_count = 0;
    for (size_t i = 0; i < item->label_count; i++) {
        if (!exporter->encoder->window_holds(item->scene, *first, item->labels[i].critical_step)) continue;
        nm_scene_label *label = NM_PUSH(&exporter->labels, nm_scene_label, 1);
        if (!label) return 0;
        *label = item->labels[i];
        part->label_count++;
    }
    return 1;
}

/// Fills exporter->parts with the windows of the items.
static nm_status cut_windows(nm_exporter *exporter, const nm_export_item *items, size_t count, nm_error *error) {
    exporter->parts.count = exporter->part_of.count = exporter->part_labels.count = exporter->labels.count = 0;
    for (size_t i = 0; i < count; i++) {
        exporter->firsts.count = 0;
        const nm_status status =
            exporter->encoder->windows(items[i].scene, exporter->options.windows, &exporter->firsts, error);
        if (status != NM_OK) return status;
        const size_t windows = exporter->firsts.count;
        for (size_t k = 0; k < (windows ? windows : 1); k++) {
            const uint32_t *first = windows ? &NM_AT(exporter->firsts, uint32_t, k) : NULL;
            if (!add_part(exporter, &items[i], i, first)) return no_memory(error);
        }
    }
    for (size_t i = 0; i < exporter->parts.count; i++) { // now that they stay where they are
        nm_export_item *part = &NM_AT(exporter->parts, nm_export_item, i);
        if (part->windowed && part->label_count)
            part->labels = &NM_AT(exporter->labels, nm_scene_label, NM_AT(exporter->part_labels, size_t, i));
    }
    return NM_OK;
}

// --- adding and finishing --------------------------------------------------------------------------------------------

/// Encodes and writes items; `owners`: which of the scenes of this call each belongs to, NULL = the one of its place.
static nm_status write_items(nm_exporter *exporter, const nm_export_item *items, size_t count, const uint64_t *owners,
                             nm_export_refusal *refused, void *context, nm_error *error) {
    nm_status status = NM_OK;
    for (size_t done = 0, round; done < count && status == NM_OK; done += round) {
        round = round_size(exporter, count - done);
        exporter->items = items + done;
        status = nm_thread_pool_for(exporter->pool, round, 1, encode_task, exporter, error);
        for (size_t i = 0; i < round && status == NM_OK; i++) {
            const uint64_t index = exporter->given + (owners ? owners[done + i] : done + i);
            status = write_slot(exporter, &items[done + i], index, &exporter->slots[i], refused, context, error);
            release(exporter, &exporter->slots[i]);
        }
    }
    return status;
}

nm_status nm_exporter_add(nm_exporter *exporter, const nm_export_item *items, size_t count, nm_export_refusal *refused,
                          void *context, nm_error *error) {
    NM_ASSERT(exporter && (items || count == 0));
    nm_error trouble;
    nm_error_clear(&trouble);
    nm_status status = exporter->failure.code;
    if (status != NM_OK) {
        if (error) *error = exporter->failure;
        return status;
    }
    const uint64_t *owners = NULL;
    const nm_export_item *parts = items;
    size_t part_count = count;
    if (count > exporter->options.scenes - exporter->given)
        status = NM_ERROR(&trouble, NM_E_LIMIT, "more scenes come than the %" PRIu64 " that were announced",
                          exporter->options.scenes);
    if (status == NM_OK && exporter->options.windows) {
        status = cut_windows(exporter, items, count, &trouble);
        parts = exporter->parts.data;
        owners = exporter->part_of.data;
        part_count = exporter->parts.count;
    }
    if (status == NM_OK) status = write_items(exporter, parts, part_count, owners, refused, context, &trouble);
    exporter->given += count;
    if (status == NM_OK) return NM_OK;
    exporter->failure = trouble;
    exporter->failure.code = status;
    if (error) *error = exporter->failure;
    return status;
}

nm_status nm_exporter_finish(nm_exporter *exporter, nm_export_totals *totals, nm_error *error) {
    NM_ASSERT(exporter);
    nm_status status = exporter->failure.code;
    if (status != NM_OK) {
        if (error) *error = exporter->failure;
        return status;
    }
    if (exporter->encoder->layout != NM_ENCODER_FILES)
        status = move_to_shard(exporter, exporter->options.shards, error);
    exporter->totals.files = exporter->folder.file_count;
    exporter->totals.bytes = exporter->folder.file_bytes;
    if (status == NM_OK) status = nm_export_folder_finish(&exporter->folder, &exporter->totals, error);
    if (status == NM_OK && totals) *totals = exporter->totals;
    exporter->failure.code = status == NM_OK ? NM_E_ARGUMENT : status;
    if (status == NM_OK)
        NM_ERROR(&exporter->failure, NM_E_ARGUMENT, "the export is finished");
    else if (error)
        exporter->failure = *error;
    return status;
}
