/// `nearmiss bench export [FILE...]`: megabytes of WOMD Scenario records a second on one core, beside protobuf-c
/// packing the same messages; and the way back, beside protobuf-c unpacking them.
///
/// A message is in memory before protobuf-c packs it, and a scene before this program writes it; what is timed is the
/// processor's time of this thread, the least of several passes, scene by scene. `womd` writes every map anew, as for a
/// set in which no two scenes share one; `womd_kept` finds it written already. Without files a scene is made: a
/// junction with signals, 80 agents over 9.1 s.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/rng.h"
#include "dataset/encoders.h"
#include "dataset/protos/scenario.pb-c.h"
#include "dataset/readers.h"
#include "sim/builtin.h"
#include "tools/cli.h"
#include "tools/commands.h"

#define REPEATS 7
#define AGENTS 80
#define STEPS 91

typedef enum stage {
    STAGE_PACK = 0,
    STAGE_WOMD,
    STAGE_KEPT,
    STAGE_EXAMPLE,
    STAGE_UNPACK,
    STAGE_IMPORT,
    STAGE_COUNT
} stage;

typedef struct measurement {
    nm_importer *importer;
    double seconds[STAGE_COUNT];
    uint64_t bytes, example_bytes, scenes, refused;
    nm_error refusal; ///< the last one
} measurement;

/// One scene and its forms.
typedef struct subject {
    nm_export_item item;
    nm_encoded out;
    void *kept;    ///< an encoder's work that has seen the map
    uint8_t *file; ///< the record, framed
    size_t file_size;
    nm_arena *arena; ///< of the unpacked message
    Womd__Scenario *message;
    uint8_t *packed;
    size_t size; ///< of the message
} subject;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *take(void *data, size_t size) {
    return nm_arena_alloc(data, size, 1, 16);
}
static void give(void *data, void *memory) {
    (void)data, (void)memory;
}

static nm_status drop_scene(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)context, (void)input, (void)record, (void)error;
    nm_scene_destroy(scene);
    return NM_OK;
}

static nm_status encode(nm_export_format format, void *work, subject *s, nm_error *error) {
    s->out.main.size = 0;
    nm_status status = nm_encoder_of(format)->encode(work, &s->item, &s->out, error);
    if (status == NM_OK && s->out.main.failed) status = NM_ERROR(error, NM_E_MEMORY, "out of memory");
    return status;
}

/// With an encoder that has seen nothing yet.
static nm_status encode_anew(nm_export_format format, subject *s, double *seconds, nm_error *error) {
    void *work = nm_encoder_of(format)->create();
    if (!work) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    const double start = now();
    const nm_status status = encode(format, work, s, error);
    *seconds = now() - start;
    nm_encoder_of(format)->destroy(work);
    return status;
}

static nm_status run_stage(measurement *m, stage which, subject *s, double *seconds, nm_error *error) {
    ProtobufCAllocator allocator = {.alloc = take, .free = give, .allocator_data = s->arena};
    if (which == STAGE_WOMD) return encode_anew(NM_EXPORT_WOMD, s, seconds, error);
    if (which == STAGE_EXAMPLE) return encode_anew(NM_EXPORT_WOMD_EXAMPLE, s, seconds, error);
    const nm_arena_mark mark = nm_arena_get_mark(s->arena);
    nm_status status = NM_OK;
    const double start = now();
    if (which == STAGE_PACK) // as its users must: ask for the size, then pack
        status = womd__scenario__get_packed_size(s->message) == s->size &&
                         womd__scenario__pack(s->message, s->packed) == s->size
                     ? NM_OK
                     : NM_ERROR(error, NM_E_NUMERIC, "protobuf-c packs another size than it says");
    else if (which == STAGE_KEPT)
        status = encode(NM_EXPORT_WOMD, s->kept, s, error);
    else if (which == STAGE_UNPACK)
        status = womd__scenario__unpack(&allocator, s->size, s->packed)
                     ? NM_OK
                     : NM_ERROR(error, NM_E_NUMERIC, "protobuf-c can not unpack what it packed");
    else
        status = nm_import_memory(m->importer, "bench", s->file, s->file_size, drop_scene, NULL, NULL, error);
    *seconds = now() - start;
    nm_arena_release(s->arena, mark);
    return status;
}

static nm_status prepare(subject *s, nm_error *error) {
    s->kept = nm_encoder_of(NM_EXPORT_WOMD)->create();
    s->arena = nm_arena_create(0);
    if (!s->kept || !s->arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    const nm_status status = encode(NM_EXPORT_WOMD, s->kept, s, error);
    if (status != NM_OK) return status;
    ProtobufCAllocator allocator = {.alloc = take, .free = give, .allocator_data = s->arena};
    s->size = s->out.main.size;
    s->message = womd__scenario__unpack(&allocator, s->size, s->out.main.bytes);
    s->packed = malloc(s->size);
    s->file_size = s->size + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER;
    s->file = malloc(s->file_size);
    if (!s->message || !s->packed || !s->file) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    womd__scenario__pack(s->message, s->packed);
    if (memcmp(s->packed, s->out.main.bytes, s->size) != 0)
        return NM_ERROR(error, NM_E_NUMERIC, "protobuf-c packs other bytes than were written");
    nm_tfrecord_header(s->size, s->file);
    memcpy(s->file + NM_TFRECORD_HEADER, s->packed, s->size);
    nm_tfrecord_footer(s->packed, s->size, s->file + NM_TFRECORD_HEADER + s->size);
    return NM_OK;
}

static void release(subject *s) {
    if (s->kept) nm_encoder_of(NM_EXPORT_WOMD)->destroy(s->kept);
    nm_byte_buffer_free(&s->out.main);
    nm_arena_destroy(s->arena);
    free(s->packed);
    free(s->file);
}

static nm_status time_subject(measurement *m, subject *s, nm_error *error) {
    double best[STAGE_COUNT] = {0};
    nm_status status = prepare(s, error);
    for (int pass = 0; pass <= REPEATS && status == NM_OK; pass++) { // pass 0 warms up
        for (int which = 0; which < STAGE_COUNT && status == NM_OK; which++) {
            double taken = 0;
            if (nm_cli_interrupted()) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
            status = run_stage(m, (stage)which, s, &taken, error);
            if (pass == 1 || (pass > 1 && taken < best[which])) best[which] = taken;
            if (pass == 1 && which == STAGE_EXAMPLE) m->example_bytes += s->out.main.size;
        }
    }
    if (status != NM_OK) return status;
    for (int which = 0; which < STAGE_COUNT; which++) m->seconds[which] += best[which];
    m->bytes += s->size;
    m->scenes++;
    return NM_OK;
}

static void count_refusal(void *context, const nm_error *error) {
    measurement *m = context;
    m->refused++;
    m->refusal = *error;
}

/// Times one scene; one that the format can not hold is left out and counted.
static nm_status measure(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)record;
    measurement *m = context;
    subject s = {.item = {.scene = scene, .id = 1}};
    nm_status status = time_subject(m, &s, error);
    release(&s);
    nm_scene_destroy(scene);
    if (status != NM_E_UNSUPPORTED) return status;
    count_refusal(m, error);
    return NM_OK;
}

// --- the scene that is made ------------------------------------------------------------------------------------------

static nm_status add_agent(nm_scene_builder *builder, uint32_t index, nm_error *error) {
    const nm_rng_key key = {.seed = 1, .agent = index, .purpose = NM_PURPOSE_TEST};
    const nm_track_def def = {.id = index, .type = NM_AGENT_CAR, .length = 4.6f, .width = 1.9f, .height = 1.5f};
    uint32_t track;
    nm_status status = nm_scene_builder_add_track(builder, &def, &track, error);
    for (uint32_t t = 0; t < STEPS && status == NM_OK; t++) {
        if ((t + index) % 3 == 0) continue; // about as many states are missing as in recorded scenes
        const float u = nm_rng_uniform(&key, t);
        const nm_state state = {.x = -80.0f + 2.0f * (float)index + 0.8f * (float)t,
                                .y = 3.5f * (float)(index % 4) + 0.1f * u,
                                .heading = 0.01f * u,
                                .vx = 8.0f,
                                .vy = 0.1f * u,
                                .length = 4.6f + 0.1f * u,
                                .width = 1.9f,
                                .height = 1.5f};
        status = nm_scene_builder_add_local_state(builder, track, t, &state, error);
    }
    return status;
}

static nm_status measure_made(measurement *m, nm_error *error) {
    nm_builtin_params params = nm_builtin_params_default(NM_BUILTIN_JUNCTION_SIGNAL);
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_map *map = NULL;
    const nm_scene *scene = NULL;
    nm_status status = builder ? nm_builtin_map(&params, &map, error) : NM_ERROR(error, NM_E_MEMORY, "out of memory");
    if (status == NM_OK) status = nm_scene_builder_begin(builder, map, 0.1, STEPS, error);
    for (uint32_t i = 0; i < AGENTS && status == NM_OK; i++) status = add_agent(builder, i, error);
    if (status == NM_OK) {
        nm_scene_builder_set_current(builder, 10, 0);
        status = nm_scene_builder_build(builder, &scene, error);
    }
    nm_map_release(map);
    if (builder) nm_scene_builder_destroy(builder);
    return status == NM_OK ? measure(m, scene, "", 0, error) : status;
}

// --- the rows --------------------------------------------------------------------------------------------------------

static void report(nm_bench *bench, const measurement *m, int made) {
    const double megabytes = 1e-6 * (double)m->bytes, scenes = (double)m->scenes;
    const double *s = m->seconds;
    char note[200];
    nm_bench_row(bench, "womd_ratio", s[STAGE_PACK] / s[STAGE_WOMD], "");
    nm_bench_row(bench, "womd_kept_ratio", s[STAGE_PACK] / s[STAGE_KEPT], "");
    nm_bench_row(bench, "womd_import_ratio", s[STAGE_UNPACK] / s[STAGE_IMPORT], "");
    nm_bench_row(bench, "scenes_per_second", scenes / s[STAGE_WOMD], "1/s");
    nm_bench_row(bench, "womd_mb_per_s", megabytes / s[STAGE_WOMD], "MB/s");
    nm_bench_row(bench, "womd_kept_mb_per_s", megabytes / s[STAGE_KEPT], "MB/s");
    nm_bench_row(bench, "pack_mb_per_s", megabytes / s[STAGE_PACK], "MB/s");
    nm_bench_row(bench, "example_mb_per_s", 1e-6 * (double)m->example_bytes / s[STAGE_EXAMPLE], "MB/s");
    nm_bench_row(bench, "import_mb_per_s", megabytes / s[STAGE_IMPORT], "MB/s");
    nm_bench_row(bench, "unpack_mb_per_s", megabytes / s[STAGE_UNPACK], "MB/s");
    nm_bench_row(bench, "scenes", scenes, "");
    nm_bench_row(bench, "megabytes", megabytes, "MB");
    nm_bench_note(bench, "womd: from a scene to the bytes of its record, every map anew; womd_kept: the map is known; "
                         "pack, unpack: protobuf-c with the same messages; import: from bytes to a scene");
    snprintf(note, sizeof note, "one thread, its processor time, least of %d passes after a warm-up%s", REPEATS,
             made ? "; a made scene, name files to measure theirs" : "");
    nm_bench_note(bench, note);
    if (m->refused > 0) {
        snprintf(note, sizeof note, "%llu scenes were refused and are left out", (unsigned long long)m->refused);
        nm_bench_note(bench, note);
    }
}

static nm_status run(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error) {
    (void)common;
    measurement m = {.importer = nm_importer_create(NULL)};
    nm_importer *reader = nm_importer_create(NULL);
    nm_status status = m.importer && reader ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "no memory for the importer");
    for (int i = 0; status == NM_OK && i < argc; i++)
        status = nm_import_file(reader, argv[i], measure, count_refusal, &m, NULL, error);
    if (status == NM_OK && argc == 0) status = measure_made(&m, error);
    if (status == NM_OK && m.scenes == 0 && error) *error = m.refusal;
    if (status == NM_OK && m.scenes == 0) status = m.refusal.code;
    if (status == NM_OK) report(bench, &m, argc == 0);
    nm_importer_destroy(reader);
    nm_importer_destroy(m.importer);
    return status;
}

const nm_bench_entry nm_bench_export = {
    .name = "export",
    .summary = "WOMD records a second on one core: [FILE...], or a made scene",
    .run = run,
};
