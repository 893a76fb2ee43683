/// `nearmiss bench import [FILE...]`: megabytes of CommonRoad XML a second on one core, beside libxml2 doing nothing.
///
/// Each document is in memory before it is timed; the time is the processor's for this thread, the least of several
/// passes after one to warm up, document by document. Without files a synthetic one is made, in the proportions of
/// converted traffic recordings.
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "dataset/readers.h"
#include "scenarios/store.h"
#include "tools/cli.h"
#include "tools/commands.h"

#define FILE_REPEATS 3
#define SYNTHETIC_REPEATS 30 // it is small: a few seconds in all

typedef enum stage { STAGE_BARE = 0, STAGE_SCENE, STAGE_PACKED, STAGE_COUNT } stage;

typedef struct measurement {
    nm_importer *importer;
    nm_packer *packer; ///< of the pass: a new one each time, for it keeps the maps that it has packed
    double seconds[STAGE_COUNT];
    uint64_t bytes, documents, agent_states, refused;
    nm_error refusal; ///< the last one
    int pack;         ///< the sink's part of the stage being timed
    uint64_t pass_states;
    int repeats;
} measurement;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static nm_status take_scene(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)record;
    measurement *m = context;
    uint64_t agents, states;
    nm_scene_count(scene, &agents, &states);
    m->pass_states += states;
    nm_status status = NM_OK;
    if (m->pack) {
        nm_packed_scene *packed = NULL;
        status = nm_pack_scene(m->packer, scene, &packed, error);
        if (status == NM_OK) nm_packed_scene_destroy(packed);
    }
    nm_scene_destroy(scene);
    return status;
}

static nm_status run_stage(measurement *m, stage which, const char *name, const void *bytes, size_t size,
                           nm_error *error) {
    if (which == STAGE_BARE) {
        if (nm_commonroad_parse_bare(bytes, size)) return NM_OK;
        return NM_ERROR_AT(error, NM_E_FORMAT, name, 0, -1, "not well-formed XML");
    }
    m->pack = which == STAGE_PACKED;
    m->pass_states = 0;
    return nm_import_memory(m->importer, name, bytes, size, take_scene, NULL, m, error);
}

static void count_refusal(void *context, const nm_error *error) {
    measurement *m = context;
    ++m->refused;
    m->refusal = *error;
}

/// Times one document. One that is refused is left out and counted; the rest goes on.
static nm_status measure(measurement *m, const char *name, const void *bytes, size_t size, nm_error *error) {
    double best[STAGE_COUNT] = {0};
    if (nm_cli_interrupted()) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    for (int pass = 0; pass <= m->repeats; ++pass) { // pass 0 warms up and checks
        for (int which = 0; which < STAGE_COUNT; ++which) {
            m->packer = nm_packer_create();
            if (!m->packer) return NM_ERROR(error, NM_E_MEMORY, "no memory to pack scenes");
            double start = now();
            nm_status status = run_stage(m, (stage)which, name, bytes, size, error);
            double taken = now() - start;
            nm_packer_destroy(m->packer);
            if (status == NM_E_MEMORY) return status;
            if (status != NM_OK) {
                count_refusal(m, error);
                return NM_OK;
            }
            if (pass == 1 || (pass > 1 && taken < best[which])) best[which] = taken;
        }
    }
    for (int which = 0; which < STAGE_COUNT; ++which) m->seconds[which] += best[which];
    m->bytes += size;
    m->agent_states += m->pass_states;
    ++m->documents;
    return NM_OK;
}

static nm_status measure_piece(void *context, const nm_piece *piece, nm_error *error) {
    if (piece->kind == NM_PIECE_FILE) return measure(context, piece->name, piece->bytes, piece->size, error);
    if (piece->kind == NM_PIECE_RECORDS) {
        nm_error refusal;
        NM_ERROR_AT(&refusal, NM_E_UNSUPPORTED, piece->name, 0, -1, "not CommonRoad XML, which this bench measures");
        count_refusal(context, &refusal);
    }
    return NM_OK;
}

// --- the synthetic document ------------------------------------------------------------------------------------------

#define LANELETS 150
#define BOUND_POINTS 12
#define VEHICLES 20
#define STEPS 60

typedef struct text {
    char *at;
    size_t size, capacity;
    int failed;
    nm_rng_key key;
    uint32_t draw;
} text;

static void add(text *t, const char *format, ...) NM_PRINTF(2, 3);
static void add(text *t, const char *format, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    NM_ASSERT(length >= 0 && length < (int)sizeof line);
    if (t->size + (size_t)length > t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : (size_t)1 << 20;
        char *grown = realloc(t->at, capacity);
        t->failed |= !grown;
        if (!grown) return;
        t->at = grown;
        t->capacity = capacity;
    }
    if (t->failed) return;
    memcpy(t->at + t->size, line, (size_t)length);
    t->size += (size_t)length;
}

/// A number near `value` with as many digits as converters print: mostly 4 places, some all 17 digits.
static void add_number(text *t, const char *indent, const char *tag, double value) {
    double jitter = 1e-3 * (double)nm_rng_uniform(&t->key, t->draw++);
    int exact = nm_rng_below(&t->key, t->draw++, 4) == 0;
    if (exact)
        add(t, "%s<%s>%.17g</%s>\n", indent, tag, value + jitter, tag);
    else
        add(t, "%s<%s>%.4f</%s>\n", indent, tag, value + jitter, tag);
}

static void add_point(text *t, double x, double y) {
    add(t, "      <point>\n");
    add_number(t, "        ", "x", x);
    add_number(t, "        ", "y", y);
    add(t, "      </point>\n");
}

static void add_lanelet(text *t, int index) {
    int row = index / 3, lane = index % 3;
    static const char *const sides[2] = {"leftBound", "rightBound"};
    add(t, "  <lanelet id=\"%d\">\n", 1000 + index);
    for (int side = 0; side < 2; ++side) {
        add(t, "    <%s>\n", sides[side]);
        for (int i = 0; i < BOUND_POINTS; ++i) add_point(t, row * 55.0 + i * 5.0, 3.5 * (lane + 1 - side));
        add(t, "    </%s>\n", sides[side]);
    }
    if (row > 0) add(t, "    <predecessor ref=\"%d\"/>\n", 1000 + index - 3);
    if (index + 3 < LANELETS) add(t, "    <successor ref=\"%d\"/>\n", 1000 + index + 3);
    if (lane < 2) add(t, "    <adjacentLeft ref=\"%d\" drivingDir=\"same\"/>\n", 1000 + index + 1);
    if (lane > 0) add(t, "    <adjacentRight ref=\"%d\" drivingDir=\"same\"/>\n", 1000 + index - 1);
    add(t, "    <laneletType>urban</laneletType>\n    <trafficSignRef ref=\"%d\"/>\n  </lanelet>\n", 5000 + lane);
}

static void add_state(text *t, const char *element, double x, double y, double speed, int step) {
    add(t, "      <%s>\n        <position>\n          <point>\n", element);
    add_number(t, "            ", "x", x);
    add_number(t, "            ", "y", y);
    add(t, "          </point>\n        </position>\n        <orientation>\n");
    add_number(t, "          ", "exact", 0.01);
    add(t, "        </orientation>\n        <time>\n          <exact>%d</exact>\n        </time>\n", step);
    add(t, "        <velocity>\n");
    add_number(t, "          ", "exact", speed);
    add(t, "        </velocity>\n        <acceleration>\n");
    add_number(t, "          ", "exact", 0.1);
    add(t, "        </acceleration>\n      </%s>\n", element);
}

static void add_vehicle(text *t, int index) {
    double speed = 8.0 + index % 7, x = 40.0 * index, y = 1.75 + 3.5 * (index % 3);
    add(t, "  <dynamicObstacle id=\"%d\">\n    <type>car</type>\n    <shape>\n      <rectangle>\n", 9000 + index);
    add_number(t, "        ", "length", 4.6);
    add_number(t, "        ", "width", 1.8);
    add(t, "      </rectangle>\n    </shape>\n");
    add_state(t, "initialState", x, y, speed, 0);
    add(t, "    <trajectory>\n");
    for (int step = 1; step < STEPS; ++step) add_state(t, "state", x + 0.1 * speed * step, y, speed, step);
    add(t, "    </trajectory>\n  </dynamicObstacle>\n");
}

static nm_status make_document(text *t, nm_error *error) {
    t->key = (nm_rng_key){.seed = 1, .purpose = NM_PURPOSE_TEST};
    add(t, "<?xml version='1.0' encoding='UTF-8'?>\n<commonRoad timeStepSize=\"0.1\" commonRoadVersion=\"2020a\" "
           "benchmarkID=\"ZAM_Bench-1_1_T-1\">\n  <scenarioTags>\n    <urban/>\n  </scenarioTags>\n");
    for (int i = 0; i < LANELETS; ++i) add_lanelet(t, i);
    for (int i = 0; i < 3; ++i) {
        add(t, "  <trafficSign id=\"%d\">\n    <trafficSignElement>\n      <trafficSignID>274</trafficSignID>\n",
            5000 + i);
        add(t, "      <additionalValue>13.889</additionalValue>\n    </trafficSignElement>\n  </trafficSign>\n");
    }
    for (int i = 0; i < VEHICLES; ++i) add_vehicle(t, i);
    add(t, "</commonRoad>\n");
    return t->failed ? NM_ERROR(error, NM_E_MEMORY, "no memory for the synthetic document") : NM_OK;
}

static nm_status measure_synthetic(measurement *m, nm_error *error) {
    text t = {0};
    nm_status status = make_document(&t, error);
    if (status == NM_OK) status = measure(m, "synthetic.xml", t.at, t.size, error);
    free(t.at);
    if (status == NM_OK && m->agent_states != (uint64_t)VEHICLES * STEPS)
        status = NM_ERROR(error, NM_E_NUMERIC, "the synthetic document gave %llu agent states, not %d",
                          (unsigned long long)m->agent_states, VEHICLES * STEPS);
    return status;
}

// --- the rows --------------------------------------------------------------------------------------------------------

static void report(nm_bench *bench, const measurement *m, int synthetic) {
    double megabytes = 1e-6 * (double)m->bytes;
    char note[200];
    nm_bench_row(bench, "xml_mb_per_s", megabytes / m->seconds[STAGE_PACKED], "MB/s");
    nm_bench_row(bench, "scene_mb_per_s", megabytes / m->seconds[STAGE_SCENE], "MB/s");
    nm_bench_row(bench, "bare_parse_mb_per_s", megabytes / m->seconds[STAGE_BARE], "MB/s");
    nm_bench_row(bench, "agent_states_per_s", (double)m->agent_states / m->seconds[STAGE_PACKED], "1/s");
    nm_bench_row(bench, "documents", (double)m->documents, "");
    nm_bench_row(bench, "megabytes", megabytes, "MB");
    nm_bench_note(bench, "xml: parsed, checked, built into a scene and packed for the store; scene: the same without "
                         "packing; bare_parse: libxml2's SAX2 callbacks doing nothing");
    snprintf(note, sizeof note, "one thread, its processor time, least of %d passes after a warm-up%s", m->repeats,
             synthetic ? "; synthetic document, name files to measure them" : "");
    nm_bench_note(bench, note);
    if (m->refused > 0) {
        snprintf(note, sizeof note, "%llu documents were refused or are not CommonRoad and are left out",
                 (unsigned long long)m->refused);
        nm_bench_note(bench, note);
    }
}

static nm_status run(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error) {
    (void)common;
    measurement m = {.importer = nm_importer_create(NULL), .repeats = argc > 0 ? FILE_REPEATS : SYNTHETIC_REPEATS};
    nm_importer *opener = nm_importer_create(NULL);
    nm_status status = m.importer && opener ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "no memory for the importer");
    for (int i = 0; status == NM_OK && i < argc; ++i)
        status = nm_import_split(opener, argv[i], measure_piece, count_refusal, &m, error);
    if (status == NM_OK && argc == 0) status = measure_synthetic(&m, error);
    if (status == NM_OK && m.documents == 0 && error) *error = m.refusal;
    if (status == NM_OK && m.documents == 0) status = m.refusal.code;
    if (status == NM_OK) report(bench, &m, argc == 0);
    nm_importer_destroy(opener);
    nm_importer_destroy(m.importer);
    return status;
}

const nm_bench_entry nm_bench_import = {
    .name = "import",
    .summary = "CommonRoad XML a second on one core: [FILE...], or a synthetic document",
    .run = run,
};
